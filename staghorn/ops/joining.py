"""Joining and cutting of arrays (`keras.ops.numpy`)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array

__all__ = [
    "append", "array_split", "concatenate", "dsplit", "dstack", "hsplit", "hstack", "meshgrid",
    "split", "stack", "vsplit", "vstack",
]  # fmt: skip


@op
def concatenate(xs: Any, axis: int | None = 0) -> jax.Array:
    """Join arrays along an axis they have.

    (n, ...), (m, ...) → (n + m, ...)

    Args:
        xs: a list of arrays.
        axis: the axis that grows; None flattens them first. Default: 0.

    Example:
        >>> print(staghorn.ops.concatenate([[1, 2], [3]]))
        [1 2 3]
    """
    return jnp.concatenate([as_array(x) for x in xs], axis=axis)


@op
def stack(x: Any, axis: int = 0) -> jax.Array:
    """Join arrays of one shape along a new axis.

    n arrays (...) → (n, ...)

    Args:
        x: a list of arrays.
        axis: place of the new axis. Default: 0.

    Example:
        >>> staghorn.ops.stack([np.ones(3), np.ones(3)], axis=1).shape
        (3, 2)
    """
    return jnp.stack([as_array(item) for item in x], axis=axis)


@op
def append(x1: Any, x2: Any, axis: int | None = None) -> jax.Array:
    """Join two arrays along an axis; without one, flattened.

    (n, ...), (m, ...) → (n + m, ...)

    Args:
        x1: an array.
        x2: an array to put behind it.
        axis: the axis that grows. Default: None, both are flattened.

    Example:
        >>> print(staghorn.ops.append([1, 2], [[3]]))
        [1 2 3]
    """
    return jnp.append(as_array(x1), as_array(x2), axis=axis)


def _joining(function: Callable, name: str, summary: str, result: str) -> Callable:
    def row(xs):
        return function([as_array(x) for x in xs])

    row.__name__ = row.__qualname__ = name
    row.__doc__ = (
        f"{summary}\n\n[(2, 3), (2, 3)] → {result}\n\nArgs:\n    xs: a list of arrays.\n\n"
        f"Example:\n    >>> staghorn.ops.{name}([np.ones((2, 3)), np.ones((2, 3))]).shape\n"
        f"    {result}\n"
    )
    return op(row)


hstack = _joining(jnp.hstack, "hstack", "Join along the second axis (the first of rows).", "(2, 6)")
vstack = _joining(jnp.vstack, "vstack", "Join along the first axis; rows become tables.", "(4, 3)")
dstack = _joining(jnp.dstack, "dstack", "Join along the third axis.", "(2, 3, 2)")


@op
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list:
    """Cut into equal parts (an int), or before the given indices.

    (n, ...) → arrays of shape (n / parts, ...)

    Args:
        x: an array.
        indices_or_sections: the number of parts, or the places to cut at.
        axis: the axis to cut. Default: 0.

    Example:
        >>> [part.shape for part in staghorn.ops.split(np.ones(6), [1, 3])]
        [(1,), (2,), (3,)]
    """
    return jnp.split(as_array(x), indices_or_sections, axis=axis)


@op
def array_split(x: Any, indices_or_sections: int, axis: int = 0) -> list:
    """Cut into nearly equal parts, the longer ones first.

    (n, ...) → arrays of shape (n // parts + 1, ...) and (n // parts, ...)

    Args:
        x: an array.
        indices_or_sections: the number of parts.
        axis: the axis to cut. Default: 0.

    Raises:
        TypeError: if the number of parts or the axis is not an int.
        ValueError: if the number of parts is not positive.

    Example:
        >>> [part.shape for part in staghorn.ops.array_split(np.ones(5), 2)]
        [(3,), (2,)]
    """
    for label, number in (("indices_or_sections", indices_or_sections), ("axis", axis)):
        if not isinstance(number, int):
            raise TypeError(
                f"array_split: {label} must be an int, got {number!r} ({type(number).__name__})."
            )
    if indices_or_sections <= 0:
        raise ValueError(
            f"array_split: indices_or_sections must be positive, got {indices_or_sections}."
        )
    return jnp.array_split(as_array(x), indices_or_sections, axis=axis)


def _cutting(function: Callable, name: str, summary: str, result: str) -> Callable:
    def row(x, indices_or_sections):
        return function(as_array(x), indices_or_sections)

    row.__name__ = row.__qualname__ = name
    row.__doc__ = (
        f"{summary}\n\n(2, 4, 6), 2 → two arrays {result}\n\nArgs:\n    x: an array.\n"
        "    indices_or_sections: the number of parts, or the places to cut at.\n\n"
        f"Example:\n    >>> staghorn.ops.{name}(np.ones((2, 4, 6)), 2)[0].shape\n    {result}\n"
    )
    return op(row)


hsplit = _cutting(jnp.hsplit, "hsplit", "Cut along the second axis.", "(2, 2, 6)")
vsplit = _cutting(jnp.vsplit, "vsplit", "Cut along the first axis.", "(1, 4, 6)")
dsplit = _cutting(jnp.dsplit, "dsplit", "Cut along the third axis.", "(2, 4, 3)")


@op
def meshgrid(*x: Any, indexing: str = "xy") -> list:
    """Coordinate tables from coordinate rows.

    (m,), (n,), ... → one (n, m, ...) for each row

    Args:
        x: rows of coordinates.
        indexing: "xy" (the first row runs along the second axis) or "ij". Default: "xy".

    Example:
        >>> [table.shape for table in staghorn.ops.meshgrid([1, 2, 3], [4, 5])]
        [(2, 3), (2, 3)]
    """
    return list(jnp.meshgrid(*(as_array(row) for row in x), indexing=indexing))
