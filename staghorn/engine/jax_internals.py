"""The only place that touches JAX's private names, so that a new JAX release breaks one file.

Written against jax 0.10.2. Public replacements do not exist for these two questions: "is JAX
staging a program right now?" and "is this the trace that was current a moment ago?".
"""

from typing import Any

import jax
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


def has_convolutions(program: Any) -> bool:
    """Say whether a traced program, or one inside it, convolves."""
    return any(
        equation.primitive.name in ("conv_general_dilated", "staghorn_convolution")
        or any(map(has_convolutions, inner_programs(equation)))
        for equation in getattr(program, "jaxpr", program).eqns
    )
