"""The only place that touches JAX's private names, so that a new JAX release breaks one file.

Written against jax 0.10.2. Public replacements do not exist for these questions: "is JAX staging
a program right now?", "is this the trace that was current a moment ago?", and for a cache of
compiled programs that is more than the name of a folder.
"""

from collections import Counter
from typing import Any

import jax
from jax._src import compilation_cache as _compilation_cache
from jax._src import core as _core
from jax._src.interpreters import partial_eval as _partial_eval


def is_staging() -> bool:
    """Say whether code runs inside `jit`, `scan`, `eval_shape` or the like, at any depth."""
    if _core.trace_ctx.is_top_level():
        return False
    trace = _core.trace_ctx.trace
    while trace is not None:
        if isinstance(trace, _partial_eval.DynamicJaxprTrace):
            return True
        trace = getattr(trace, "parent_trace", None)
    return False


def current_trace() -> Any:
    """Return a token that compares equal while the same JAX trace is current."""
    return _core.get_opaque_trace_state()


def is_tracer(x: Any) -> bool:
    """Say whether `x` is a value being traced, not a concrete array."""
    return isinstance(x, jax.core.Tracer)


def inner_programs(equation: Any) -> list[Any]:
    """Return the traced programs that an operation holds: a loop's body, a call's, branches."""
    return [
        inner
        for value in equation.params.values()
        for inner in (value if isinstance(value, (list, tuple)) else [value])
        if hasattr(inner, "eqns") or hasattr(inner, "jaxpr")
    ]


def operations(program: Any, in_loops: bool = True) -> Counter[str]:
    """Count the operations of a traced program and of those inside it, by name.

    Args:
        program: what `jax.make_jaxpr` returns.
        in_loops: whether those that loops hold count too. Default: True.
    """
    found: Counter[str] = Counter()
    for equation in getattr(program, "jaxpr", program).eqns:
        name = equation.primitive.name
        found[name] += 1
        if in_loops or name not in ("while", "scan"):
            for inner in inner_programs(equation):
                found += operations(inner, in_loops)
    return found


# The cache that this file gave to JAX: one that somebody else chose stays.
_given: list[Any] = [None]


def use_compile_cache(cache: Any) -> None:
    """Have JAX ask `cache` for compiled programs, or nobody if it is None.

    A folder that was chosen in JAX itself comes first. Programs that compile in less than a
    second, which JAX would leave out, are kept too: a small model is made of them.
    """
    settings: Any = jax.config
    if settings.jax_compilation_cache_dir:
        cache = None
    if cache is _given[0] or _compilation_cache._cache is not _given[0]:
        return
    if settings.jax_persistent_cache_min_compile_time_secs == 1.0:  # JAX's default
        settings.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    _compilation_cache._cache = _given[0] = cache
    _compilation_cache._cache_initialized = cache is not None
