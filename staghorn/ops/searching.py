"""Sorting, searching, counting and choosing (`keras.ops.numpy`)."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array

__all__ = [
    "argpartition", "argsort", "bincount", "digitize", "histogram", "isin", "nonzero",
    "searchsorted", "select", "sort", "unique", "vectorize",
]  # fmt: skip


@op
def sort(x: Any, axis: int | None = -1) -> jax.Array:
    """Values in rising order along an axis.

    (...) → (...)

    Args:
        x: an array.
        axis: the axis to sort; None flattens first. Default: -1.

    Example:
        >>> print(staghorn.ops.sort([3, 1, 2]))
        [1 2 3]
    """
    return jnp.sort(as_array(x), axis=axis)


@op
def argsort(x: Any, axis: int | None = -1) -> jax.Array:
    """Indices that put the values in rising order, int32; equal values keep their order.

    (...) → (...) int32

    Args:
        x: an array.
        axis: the axis to sort; None flattens first. Default: -1.

    Example:
        >>> print(staghorn.ops.argsort([3, 1, 2]))
        [1 2 0]
    """
    x = as_array(x)
    return jnp.argsort(x, axis=None if x.ndim == 0 else axis)


@op
def argpartition(x: Any, kth: int, axis: int | None = -1) -> jax.Array:
    """Indices that put the kth smallest value in its place, smaller ones before it.

    (...) → (...) int32

    Args:
        x: an array.
        kth: a place in the sorted axis.
        axis: the axis to order; None flattens first. Default: -1.

    Example:
        >>> int(staghorn.ops.argpartition([3, 1, 2], 0)[0])
        1
    """
    x = as_array(x)
    return jnp.argpartition(
        x.reshape(-1) if axis is None else x, kth, axis=0 if axis is None else axis
    )


@op
def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> jax.Array:
    """Where values would have to go to keep a sorted row sorted.

    (n,), (...) → (...)

    Args:
        sorted_sequence: a row in rising order.
        values: an array.
        side: "left" of equal values or "right". Default: "left".

    Raises:
        ValueError: if the sequence is not a row.

    Example:
        >>> print(staghorn.ops.searchsorted([1, 3, 5], [0, 3, 9]))
        [0 1 3]
    """
    row = as_array(sorted_sequence)
    if row.ndim != 1:
        raise ValueError(
            f"searchsorted: sorted_sequence must have 1 axis, got shape {row.shape}. "
            "For several rows: staghorn.ops.vectorized_map(lambda pair: "
            "staghorn.ops.searchsorted(*pair), (rows, values))."
        )
    return jnp.searchsorted(row, as_array(values), side=side)


@op
def digitize(x: Any, bins: Any) -> jax.Array:
    """Number of the bin each value falls into, int32; bins are rising edges.

    (...), (bins,) → (...)

    Args:
        x: an array.
        bins: a row of edges.

    Example:
        >>> print(staghorn.ops.digitize([0.5, 1.5, 9.0], [1.0, 2.0]))
        [0 1 2]
    """
    return jnp.digitize(as_array(x), as_array(bins))


@op
def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> jax.Array:
    """How often each int occurs, or the sum of its weights; per row of a table.

    (n,) → (max(x) + 1,), or (rows, n) → (rows, max(x) + 1)

    The length depends on the values, so this cannot be compiled.

    Args:
        x: ints, a row or a table of rows.
        weights: one per int. Default: None, each counts 1.
        minlength: smallest length of the result. Default: 0.
        sparse: accepted for Keras's sake; the result is dense. Default: False.

    Example:
        >>> print(staghorn.ops.bincount([0, 2, 2]))
        [1 0 2]
    """
    x = as_array(x)
    if x.ndim != 2:
        return jnp.bincount(x, None if weights is None else as_array(weights), minlength)
    length = max(minlength, int(x.max()) + 1)
    if weights is None:
        return jnp.stack([jnp.bincount(row, minlength=length) for row in x])
    pairs = zip(x, as_array(weights), strict=True)
    return jnp.stack([jnp.bincount(row, weight, length) for row, weight in pairs])


@op
def histogram(x: Any, bins: int = 10, range: tuple | None = None) -> tuple:
    """Counts per bin and the edges of the bins.

    (n,) → (bins,), (bins + 1,)

    Args:
        x: a row.
        bins: number of bins. Default: 10.
        range: (low, high). Default: from the smallest to the largest value.

    Raises:
        TypeError: if `bins` is not an int.
        ValueError: for negative bins, a range that is not (low, high), or an x that is not a row.

    Example:
        >>> print(staghorn.ops.histogram([0.0, 1.0, 2.0, 2.0], bins=2)[0])
        [1. 3.]
    """
    x = as_array(x)
    if not isinstance(bins, int):
        raise TypeError(f"histogram: bins must be an int, got {bins!r} ({type(bins).__name__}).")
    if bins < 0:
        raise ValueError(f"histogram: bins must not be negative, got {bins}.")
    if range and (not isinstance(range, tuple) or len(range) != 2 or range[1] < range[0]):
        raise ValueError(f"histogram: range must be a tuple (low, high), got {range!r}.")
    if x.ndim > 1:
        raise ValueError(f"histogram: x must have 1 axis, got shape {x.shape}.")
    return jnp.histogram(x, bins=bins, range=range)


@op
def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> jax.Array:
    """True for the values of x1 that x2 has.

    (...), (n, ...) → the shape of `x1`

    Args:
        x1: an array.
        x2: an array of what is looked for.
        assume_unique: whether both have each value once, which is faster. Default: False.
        invert: whether to answer "is not in". Default: False.

    Example:
        >>> print(staghorn.ops.isin([1, 2, 3], [2, 5]))
        [False  True False]
    """
    return jnp.isin(as_array(x1), as_array(x2), assume_unique=assume_unique, invert=invert)


@op
def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The different values, each once; `size` fixes how many, so that it can be compiled.

    Args:
        x: an array.
        sorted: put them in rising order. Default: True.
        return_index: also where each occurs first. Default: False.
        return_inverse: also which of them each value of x is. Default: False.
        return_counts: also how often each occurs. Default: False.
        axis: compare slices along this axis. Default: None, single values.
        size: length of the result. Default: None, as many as there are.
        fill_value: what fills up to `size`. Default: the smallest value.

    Example:
        >>> print(staghorn.ops.unique([3, 1, 3]))
        [1 3]
    """
    return jnp.unique(
        as_array(x),
        return_index=return_index,
        return_inverse=return_inverse,
        return_counts=return_counts,
        axis=axis,
        equal_nan=False,
        size=size,
        sorted=sorted,
        fill_value=fill_value,
    )


@op
def nonzero(x: Any) -> tuple:
    """Places of the values that are not zero, one array per axis; cannot be compiled.

    (...) → one (count,) for each axis

    Args:
        x: an array.

    Example:
        >>> print(staghorn.ops.nonzero([0, 5, 6])[0])
        [1 2]
    """
    return jnp.nonzero(as_array(x))


@op
def select(condlist: Sequence, choicelist: Sequence, default: Any = 0) -> jax.Array:
    """Of several arrays, the one whose condition is the first to hold, value by value.

    (...), ... → (...)

    Args:
        condlist: conditions.
        choicelist: an array for each.
        default: the value where none holds. Default: 0.

    Raises:
        ValueError: if the two are not lists, or empty.

    Example:
        >>> x = np.array([1, 5, 9])
        >>> print(staghorn.ops.select([x < 3, x > 7], [x, -x]))
        [ 1  0 -9]
    """
    for label, given in (("condlist", condlist), ("choicelist", choicelist)):
        if not isinstance(given, (list, tuple)) or not given:
            raise ValueError(f"select: {label} must be a list that is not empty, got {given!r}.")
    choices = [as_array(x) for x in choicelist]
    return jnp.select([as_array(x) for x in condlist], choices, default=default)


def vectorize(
    pyfunc: Callable, *, excluded: Collection | None = None, signature: str | None = None
) -> Callable:
    """Make a function of numbers work on arrays, with broadcasting.

    f(()) → f((...)), or the core shapes of `signature`

    Args:
        pyfunc: a function JAX can trace.
        excluded: positions or names of arguments to leave alone. Default: None.
        signature: core shapes, as in "(n),(n)->()". Default: None, numbers.

    Raises:
        ValueError: if `pyfunc` cannot be called.

    Example:
        >>> bigger = staghorn.ops.vectorize(lambda a, b: a + b)
        >>> print(bigger(np.array([1, 2]), 10))
        [11 12]
    """
    if not callable(pyfunc):
        raise ValueError(f"vectorize: pyfunc must be a function, got {pyfunc!r}.")
    left_alone = frozenset(excluded or ())
    return op(jnp.vectorize(pyfunc, excluded=left_alone, signature=signature))
