"""Reductions over axes and running sums (`keras.ops.numpy`), with Keras's type rules."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array, as_float, as_type, common_type

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "cumprod",
    "cumsum", "max", "mean", "median", "min", "nanargmax", "nanargmin", "nancumprod", "nancumsum",
    "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile", "nanprod", "nanquantile", "nanstd",
    "nansum", "nanvar", "percentile", "prod", "ptp", "quantile", "std", "sum", "var",
]  # fmt: skip


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


_REDUCTION = """{summary}

(...) → the shape without the reduced axes

Args:
    x: an array.
    axis: int or ints. Default: None, all axes.
    keepdims: keep reduced axes with size 1. Default: False.

Example:
    >>> print(staghorn.ops.{name}([[1.0, 2.0], [3.0, 5.0]], axis=1))
    {result}
"""


def _reduction(function: Callable, name: str, summary: str, result: str) -> Callable:
    def row(x, axis=None, keepdims=False):
        return function(as_array(x), axis=_axes(axis), keepdims=keepdims)

    row.__name__ = row.__qualname__ = name
    row.__doc__ = _REDUCTION.format(summary=summary, name=name, result=result)
    return op(row)


sum = _reduction(jnp.sum, "sum", "Sum.", "[3. 8.]")
all = _reduction(jnp.all, "all", "True where all are nonzero.", "[ True True]")
any = _reduction(jnp.any, "any", "True where one is nonzero.", "[ True True]")
amax = _reduction(jnp.max, "amax", "Largest value.", "[2. 5.]")
amin = _reduction(jnp.min, "amin", "Smallest value.", "[1. 3.]")
ptp = _reduction(jnp.ptp, "ptp", "Largest minus smallest value.", "[1. 2.]")
argmax = _reduction(jnp.argmax, "argmax", "Index of the first largest value, int32.", "[1 1]")
argmin = _reduction(jnp.argmin, "argmin", "Index of the first smallest value, int32.", "[0 0]")
median = _reduction(jnp.median, "median", "Middle value.", "[1.5 4. ]")
std = _reduction(jnp.std, "std", "Standard deviation (divides by n).", "[0.5 1. ]")
nanargmax = _reduction(jnp.nanargmax, "nanargmax", "argmax that skips NaN.", "[1 1]")
nanargmin = _reduction(jnp.nanargmin, "nanargmin", "argmin that skips NaN.", "[0 0]")
nanmax = _reduction(jnp.nanmax, "nanmax", "max that skips NaN.", "[2. 5.]")
nanmin = _reduction(jnp.nanmin, "nanmin", "min that skips NaN.", "[1. 3.]")
nanmean = _reduction(jnp.nanmean, "nanmean", "mean that skips NaN.", "[1.5 4. ]")
nanmedian = _reduction(jnp.nanmedian, "nanmedian", "median that skips NaN.", "[1.5 4. ]")
nanprod = _reduction(jnp.nanprod, "nanprod", "prod that skips NaN.", "[ 2. 15.]")
nanstd = _reduction(jnp.nanstd, "nanstd", "std that skips NaN.", "[0.5 1. ]")
nansum = _reduction(jnp.nansum, "nansum", "sum that skips NaN.", "[3. 8.]")
nanvar = _reduction(jnp.nanvar, "nanvar", "var that skips NaN.", "[0.25 1.  ]")


def _in_float32(function: Callable, x: Any, axis: Any, keepdims: bool) -> jax.Array:
    # Sums of many halves overflow or stall: compute in float32, return the type of x.
    x = as_float(x) if as_array(x).dtype != bool else as_array(x).astype(config.floatx())
    wide = common_type(x.dtype, jnp.dtype("float32"))
    return function(x, axis=_axes(axis), keepdims=keepdims, dtype=wide).astype(x.dtype)


@op
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> jax.Array:
    """Mean, computed in float32 at least; ints and bools give a float.

    (...) → the shape without the reduced axes

    Args:
        x: an array.
        axis: int or ints. Default: None, all axes.
        keepdims: keep reduced axes with size 1. Default: False.

    Example:
        >>> print(staghorn.ops.mean([[1, 2], [3, 5]], axis=1))
        [1.5 4. ]
    """
    return _in_float32(jnp.mean, x, axis, keepdims)


@op
def var(x: Any, axis: Any = None, keepdims: bool = False) -> jax.Array:
    """Variance (divides by n), computed in float32 at least; ints and bools give a float.

    (...) → the shape without the reduced axes

    Args:
        x: an array.
        axis: int or ints. Default: None, all axes.
        keepdims: keep reduced axes with size 1. Default: False.

    Example:
        >>> print(staghorn.ops.var([[1, 2], [3, 5]], axis=1))
        [0.25 1.  ]
    """
    return _in_float32(jnp.var, x, axis, keepdims)


@op
def max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> jax.Array:
    """Largest value, and at least `initial` if that is given.

    (...) → the shape without the reduced axes

    Args:
        x: an array.
        axis: int or ints. Default: None, all axes.
        keepdims: keep reduced axes with size 1. Default: False.
        initial: the least result. Default: None.

    Example:
        >>> print(staghorn.ops.max([[1, 2], [3, 5]], axis=1, initial=3))
        [3 5]
    """
    return jnp.max(as_array(x), axis=_axes(axis), keepdims=keepdims, initial=initial)


@op
def min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> jax.Array:
    """Smallest value, and at most `initial` if that is given.

    (...) → the shape without the reduced axes

    Args:
        x: an array.
        axis: int or ints. Default: None, all axes.
        keepdims: keep reduced axes with size 1. Default: False.
        initial: the greatest result. Default: None.

    Example:
        >>> print(staghorn.ops.min([[1, 2], [3, 5]], axis=1, initial=2))
        [1 2]
    """
    return jnp.min(as_array(x), axis=_axes(axis), keepdims=keepdims, initial=initial)


@op
def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> jax.Array:
    """Product of the values.

    (...) → the shape without the reduced axes

    Args:
        x: an array.
        axis: int or ints. Default: None, all axes.
        keepdims: keep reduced axes with size 1. Default: False.
        dtype: data type. Default: None, that of x.

    Example:
        >>> print(staghorn.ops.prod([[1, 2], [3, 5]], axis=1))
        [ 2 15]
    """
    return jnp.prod(as_array(x), axis=_axes(axis), keepdims=keepdims, dtype=as_type(dtype))


@op
def average(x: Any, axis: Any = None, weights: Any = None) -> jax.Array:
    """Weighted mean: sum(weights * x) / sum(weights).

    (...) → the shape without the reduced axes

    Args:
        x: an array.
        axis: int or ints. Default: None, all axes.
        weights: of the shape of x, or a row along the axis. Default: None, all alike.

    Example:
        >>> print(staghorn.ops.average([1, 2], weights=[1, 3]))
        1.75
    """
    x = as_float(x)
    if weights is not None:
        weights = as_array(weights)
        wide = common_type(x.dtype, weights.dtype)
        x, weights = x.astype(wide), weights.astype(wide)
    return jnp.average(x, axis=_axes(axis), weights=weights)


@op
def count_nonzero(x: Any, axis: Any = None) -> jax.Array:
    """How many values are not zero, int32.

    (...) → the shape without the reduced axes

    Args:
        x: an array.
        axis: int or ints. Default: None, all axes.

    Example:
        >>> print(staghorn.ops.count_nonzero([[0, 2], [3, 5]], axis=1))
        [1 2]
    """
    return jnp.count_nonzero(as_array(x), axis=_axes(axis)).astype("int32")


def _running(function: Callable, name: str, summary: str, result: str) -> Callable:
    def row(x, axis=None, dtype=None):
        return function(as_array(x), axis=axis, dtype=as_type(dtype))

    row.__name__ = row.__qualname__ = name
    row.__doc__ = (
        f"{summary} Without an axis, of the flattened array.\n\n(...) → (...)\n\n"
        "Args:\n    x: an array.\n    axis: the axis to run along. Default: None, flatten first.\n"
        "    dtype: data type. Default: None, that of x.\n\n"
        f"Example:\n    >>> print(staghorn.ops.{name}([1, 2, 3]))\n    {result}\n"
    )
    return op(row)


cumsum = _running(jnp.cumsum, "cumsum", "Running sum.", "[1 3 6]")
cumprod = _running(jnp.cumprod, "cumprod", "Running product.", "[1 2 6]")
nancumsum = _running(jnp.nancumsum, "nancumsum", "Running sum, NaN counts as 0.", "[1 3 6]")
nancumprod = _running(jnp.nancumprod, "nancumprod", "Running product, NaN as 1.", "[1 2 6]")


def _quantile(function: Callable, name: str, summary: str, share: str) -> Callable:
    def row(x, q, axis=None, method="linear", keepdims=False):
        return function(
            as_array(x), as_float(q), axis=_axes(axis), method=method, keepdims=keepdims
        )

    row.__name__ = row.__qualname__ = name
    row.__doc__ = (
        f"{summary}\n\n(...), q (...) → (*q, *shape without the reduced axes)\n\n"
        "Args:\n    x: an array.\n    q: one share, or several.\n"
        "    axis: int or ints. Default: None, all axes.\n"
        '    method: how to read between two values, as in NumPy. Default: "linear".\n'
        "    keepdims: keep reduced axes with size 1. Default: False.\n\nExample:\n"
        f"    >>> print(staghorn.ops.{name}([1.0, 2.0, 5.0], {share}))\n    2.0\n"
    )
    return op(row)


quantile = _quantile(jnp.quantile, "quantile", "Value below which a share q in 0..1 lies.", "0.5")
percentile = _quantile(jnp.percentile, "percentile", "Quantile for q in 0..100.", "50.0")
nanquantile = _quantile(jnp.nanquantile, "nanquantile", "quantile that skips NaN.", "0.5")
nanpercentile = _quantile(jnp.nanpercentile, "nanpercentile", "percentile without NaN.", "50.0")
