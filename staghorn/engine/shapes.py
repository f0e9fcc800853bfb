"""What comes out of a function on symbolic tensors: `jax.eval_shape` with unknown sizes.

An unknown size of axis k becomes one symbol for that axis, so that the batch and a sequence length
are never taken for equal, while two inputs with unknown lengths may still be added. Where a
function really needs two unknown sizes to be equal (a dot product of two sequences), tracing is
tried again with one symbol for all axes but the batch. The batch is never equal to another axis.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn

import jax

from staghorn.engine import tree
from staghorn.engine.probing import probe
from staghorn.engine.scope import abstractly
from staghorn.engine.symbolic import KerasTensor, replace_symbolic, symbolic_leaves

_UNKNOWN_SIZE = """\
{what}: the result depends on a size that is unknown while the model is built
(inputs: {inputs}). Tracing said: {error}
Look for something like `if x.shape[0] > 1` or a reshape that must divide that size.
Give the size in Input(shape=...), or write the code so that it does not look at it."""

_UNKNOWN_VALUE = """\
{what}: Python code looks at the values of an array, which are unknown while the model is built
(inputs: {inputs}). Tracing said: {error}
You wrote something like      if staghorn.ops.mean(x) > 0: ...
Write instead                 x = staghorn.ops.where(staghorn.ops.mean(x) > 0, a, b)"""

_AXES = 8


@lru_cache(maxsize=1)
def _symbols() -> tuple[tuple, Any]:
    """One symbol for each axis, and one for all but the batch.

    Each is at least 1 (JAX's default), not more: `size > 1` must be undecidable.
    """
    from jax import export

    names = ["batch", *(f"size{axis}" for axis in range(1, _AXES)), "any_size"]
    symbols = export.symbolic_shape(", ".join(names))
    return tuple(symbols[:_AXES]), symbols[_AXES]


def abstract_shape(shape: tuple, one_for_all: bool = False) -> tuple:
    """Replace the unknown sizes of a shape by symbols."""
    if None not in shape:
        return shape
    by_axis, for_all = _symbols()
    return tuple(
        d if d is not None else for_all if one_for_all and axis else by_axis[min(axis, _AXES - 1)]
        for axis, d in enumerate(shape)
    )


def to_keras_tensor(spec: Any) -> Any:
    """Turn what `eval_shape` returns for a leaf into a KerasTensor."""
    if not hasattr(spec, "shape"):
        return spec
    shape = tuple(d if isinstance(d, int) else None for d in spec.shape)
    return KerasTensor(shape, str(spec.dtype))


def infer(fn: Callable, args: tuple, kwargs: dict, what: str, probing: bool = False) -> Any:
    """Return `fn`'s output for symbolic arguments, as a nest of KerasTensors.

    Args:
        fn: any function of arrays; Variables may be read, writes are forgotten.
        args, kwargs: its arguments; only the KerasTensors are traced.
        what: the caller's name for errors.
        probing: whether to try sizes where symbols do not do; for ops, whose code is ours.
            Default: False.
    """
    inputs = symbolic_leaves(args, kwargs)
    unique = list({id(t): t for t in inputs}.values())

    def traced(values: list) -> Any:
        table = {id(t): value for t, value in zip(unique, values, strict=True)}
        return fn(*replace_symbolic(args, table), **replace_symbolic(kwargs, table))

    def evaluate(shapes: list[tuple]) -> Any:
        specs = [jax.ShapeDtypeStruct(s, t.dtype) for s, t in zip(shapes, unique, strict=True)]
        return jax.eval_shape(abstractly(traced), specs)

    def attempt(one_for_all: bool) -> Any:
        return evaluate([abstract_shape(t.shape, one_for_all) for t in unique])

    unknown = {axis for t in unique for axis, d in enumerate(t.shape) if axis and d is None}
    try:
        result = attempt(one_for_all=False)
    except Exception as error:
        if probing and any(None in t.shape for t in unique):
            found = probe(evaluate, unique, (args, kwargs))
            if found is not None:
                return found
        if len(unknown) > 1:
            try:
                result = attempt(one_for_all=True)
            except Exception:
                _raise_explained(error, unique, what)
        else:
            _raise_explained(error, unique, what)
    return tree.map_structure(to_keras_tensor, result)


def _raise_explained(error: Exception, inputs: list[KerasTensor], what: str) -> NoReturn:
    """Say which layer stumbled over something unknown; the user's own errors pass unchanged."""
    if isinstance(error, jax.errors.InconclusiveDimensionOperation):
        explanation = _UNKNOWN_SIZE
    elif isinstance(error, jax.errors.ConcretizationTypeError):
        explanation = _UNKNOWN_VALUE
    else:
        raise error
    shapes = ", ".join(str(t.shape) for t in inputs)
    first_line = str(error).splitlines()[0]
    raise ValueError(explanation.format(what=what, inputs=shapes, error=first_line)) from error
