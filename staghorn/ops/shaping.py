"""Changes of shape and order, indexing (`keras.ops.numpy`)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array

__all__ = [
    "broadcast_to", "diag", "diagflat", "diagonal", "expand_dims", "flip", "fliplr", "flipud",
    "get_item", "moveaxis", "ndim", "pad", "ravel", "repeat", "reshape", "roll", "rot90", "size",
    "squeeze", "swapaxes", "take", "take_along_axis", "tile", "transpose", "tril", "triu",
    "unravel_index",
]  # fmt: skip

# --- shape and order ------------------------------------------------------------------------------


@op
def reshape(x: Any, newshape: Any) -> jax.Array:
    """Read the values in a new shape; one size may be -1.

    (...) → `newshape`

    Args:
        x: an array.
        newshape: sizes; -1 stands for what is left.

    Example:
        >>> staghorn.ops.reshape(np.ones((2, 6)), (3, -1)).shape
        (3, 4)
    """
    return jnp.reshape(as_array(x), newshape)


@op
def ravel(x: Any) -> jax.Array:
    """All values in one row.

    (...) → (n,)

    Args:
        x: an array.

    Example:
        >>> print(staghorn.ops.ravel([[1, 2], [3, 4]]))
        [1 2 3 4]
    """
    return jnp.ravel(as_array(x))


@op
def expand_dims(x: Any, axis: Any) -> jax.Array:
    """Add axes of size 1 at the given places.

    (...) → (..., 1)

    Args:
        x: an array.
        axis: place or places in the result.

    Example:
        >>> staghorn.ops.expand_dims(np.ones((2, 3)), -1).shape
        (2, 3, 1)
    """
    return jnp.expand_dims(as_array(x), axis)


@op
def squeeze(x: Any, axis: Any = None) -> jax.Array:
    """Drop axes of size 1: the given ones, or all.

    (..., 1) → (...)

    Args:
        x: an array.
        axis: int or ints. Default: None, all axes of size 1.

    Example:
        >>> staghorn.ops.squeeze(np.ones((2, 1, 3))).shape
        (2, 3)
    """
    return jnp.squeeze(as_array(x), axis=tuple(axis) if isinstance(axis, list) else axis)


@op
def transpose(x: Any, axes: Sequence[int] | None = None) -> jax.Array:
    """Put the axes in another order; by default turn it round.

    (a, b, c) → (c, b, a)

    Args:
        x: an array.
        axes: the old axis for each place. Default: None, turned round.

    Example:
        >>> staghorn.ops.transpose(np.ones((2, 3, 4)), (0, 2, 1)).shape
        (2, 4, 3)
    """
    return jnp.transpose(as_array(x), axes=axes)


@op
def moveaxis(x: Any, source: Any, destination: Any) -> jax.Array:
    """Move axes to new places; the others keep their order.

    (a, b, c) → (b, c, a) for source 0, destination -1

    Args:
        x: an array.
        source: int or ints.
        destination: int or ints, one for each.

    Example:
        >>> staghorn.ops.moveaxis(np.ones((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    return jnp.moveaxis(as_array(x), source, destination)


@op
def swapaxes(x: Any, axis1: int, axis2: int) -> jax.Array:
    """Exchange two axes.

    (a, b, c) → (c, b, a) for axes 0 and 2

    Args:
        x: an array.
        axis1: one axis.
        axis2: the other.

    Example:
        >>> staghorn.ops.swapaxes(np.ones((2, 3, 4)), 0, 2).shape
        (4, 3, 2)
    """
    return jnp.swapaxes(as_array(x), axis1, axis2)


@op
def broadcast_to(x: Any, shape: Any) -> jax.Array:
    """Repeat an array along axes of size 1, and new leading axes, up to a shape.

    (...) → `shape`

    Args:
        x: an array.
        shape: sizes of the result.

    Example:
        >>> staghorn.ops.broadcast_to([1, 2], (3, 2)).shape
        (3, 2)
    """
    return jnp.broadcast_to(as_array(x), shape)


@op
def flip(x: Any, axis: Any = None) -> jax.Array:
    """Turn the order round along axes; by default all of them.

    (...) → (...)

    Args:
        x: an array.
        axis: int or ints. Default: None, all axes.

    Example:
        >>> print(staghorn.ops.flip([1, 2, 3]))
        [3 2 1]
    """
    return jnp.flip(as_array(x), axis=axis)


@op
def fliplr(x: Any) -> jax.Array:
    """Turn the order of the second axis round.

    (m, n, ...) → (m, n, ...)

    Args:
        x: an array.

    Example:
        >>> print(staghorn.ops.fliplr([[1, 2], [3, 4]]))
        [[2 1]
         [4 3]]
    """
    return jnp.fliplr(as_array(x))


@op
def flipud(x: Any) -> jax.Array:
    """Turn the order of the first axis round.

    (n, ...) → (n, ...)

    Args:
        x: an array.

    Example:
        >>> print(staghorn.ops.flipud([[1, 2], [3, 4]]))
        [[3 4]
         [1 2]]
    """
    return jnp.flipud(as_array(x))


@op
def roll(x: Any, shift: Any, axis: Any = None) -> jax.Array:
    """Shift values along axes; what leaves at one end enters at the other.

    (...) → (...)        y[i] = x[i - shift]

    Args:
        x: an array.
        shift: steps, an int or one for each axis.
        axis: int or ints. Default: None, the flattened array is shifted.

    Example:
        >>> print(staghorn.ops.roll([1, 2, 3], 1))
        [3 1 2]
    """
    return jnp.roll(as_array(x), shift, axis=axis)


@op
def rot90(array: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> jax.Array:
    """Turn k quarter turns in the plane of two axes, the first towards the second.

    (m, n, ...) → (n, m, ...) for one turn

    Args:
        array: an array of two axes or more.
        k: how many quarter turns. Default: 1.
        axes: the plane. Default: (0, 1).

    Raises:
        ValueError: for fewer than two axes, or if `axes` are not two different ones.

    Example:
        >>> print(staghorn.ops.rot90([[1, 2], [3, 4]]))
        [[2 4]
         [1 3]]
    """
    array = as_array(array)
    if array.ndim < 2:
        raise ValueError(f"rot90: array must have 2 axes or more, got shape {array.shape}.")
    if len(axes) != 2 or axes[0] == axes[1]:
        raise ValueError(f"rot90: axes must be two different axes, got {axes!r}.")
    return jnp.rot90(array, k=k, axes=axes)


@op
def repeat(x: Any, repeats: Any, axis: int | None = None) -> jax.Array:
    """Repeat each value; without an axis, of the flattened array.

    (n, ...) → (n * repeats, ...)

    Args:
        x: an array.
        repeats: how often, for all or for each value.
        axis: the axis that grows. Default: None, the array is flattened.

    Example:
        >>> print(staghorn.ops.repeat([1, 2], 2))
        [1 1 2 2]
    """
    counts = repeats if isinstance(repeats, int) else as_array(repeats)
    return jnp.repeat(as_array(x), counts, axis=axis)


@op
def tile(x: Any, repeats: Any) -> jax.Array:
    """Lay copies of the array side by side.

    (n, ...) → (n * repeats, ...)

    Args:
        x: an array.
        repeats: how often along each axis.

    Example:
        >>> print(staghorn.ops.tile([1, 2], 2))
        [1 2 1 2]
    """
    return jnp.tile(as_array(x), repeats)


@op
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> jax.Array:
    """Add values around an array.

    (n, ...) → (before + n + after, ...)

    Args:
        x: an array.
        pad_width: an int, (before, after), or one such pair per axis.
        mode: "constant", "reflect", "symmetric", "edge", "wrap", ... Default: "constant".
        constant_values: what to add in mode "constant". Default: 0.

    Raises:
        ValueError: if `constant_values` comes with another mode.

    Example:
        >>> print(staghorn.ops.pad([1, 2], (1, 0)))
        [0 1 2]
    """
    if constant_values is None:
        return jnp.pad(as_array(x), pad_width, mode=mode)
    if mode != "constant":
        raise ValueError(f"pad: constant_values needs mode='constant', got mode={mode!r}.")
    return jnp.pad(as_array(x), pad_width, mode=mode, constant_values=constant_values)


# --- indexing -------------------------------------------------------------------------------------


@op
def get_item(x: Any, key: Any) -> Any:
    """`x[key]` as a function.

    (...) → what NumPy's rules of indexing give

    Args:
        x: an array.
        key: an int, slice, array, or a tuple of such.

    Example:
        >>> print(staghorn.ops.get_item([1, 2, 3], slice(1, None)))
        [2 3]
    """
    return as_array(x)[key]


@op
def take(x: Any, indices: Any, axis: int | None = None) -> jax.Array:
    """Values at the given indices along an axis; without one, of the flattened array.

    (n, ...), (...) → (..., ...)        y[i] = x[indices[i]]

    Indices outside give NaN (the lowest number, for ints).

    Args:
        x: an array.
        indices: ints; negative ones count from the end.
        axis: the axis to choose along. Default: None, the array is flattened.

    Example:
        >>> print(staghorn.ops.take([10, 20, 30], [2, 0]))
        [30 10]
    """
    return jnp.take(as_array(x), as_array(indices), axis=axis)


@op
def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> jax.Array:
    """Values at indices that vary along the other axes, as `argsort` gives them.

    (..., n), (..., m) → (..., m)

    Args:
        x: an array.
        indices: ints, with as many axes as x.
        axis: the axis to choose along. Default: None, the array is flattened.

    Example:
        >>> print(staghorn.ops.take_along_axis([[10, 20], [30, 40]], [[1], [0]], axis=1))
        [[20]
         [30]]
    """
    return jnp.take_along_axis(as_array(x), as_array(indices), axis=axis)


@op
def unravel_index(indices: Any, shape: Sequence[int]) -> tuple:
    """Places in a shape for indices into its flattened array.

    (...) → one (...) for each axis of `shape`

    Args:
        indices: ints.
        shape: sizes.

    Example:
        >>> [int(i) for i in staghorn.ops.unravel_index(5, (2, 3))]
        [1, 2]
    """
    return jnp.unravel_index(as_array(indices), tuple(shape))


@op
def diag(x: Any, k: int = 0) -> jax.Array:
    """The k-th diagonal of a table, or a table with a row on it.

    (m, n) → (min(m, n),), or (n,) → (n, n)

    Args:
        x: an array.
        k: which diagonal; above the main one if positive. Default: 0.

    Example:
        >>> print(staghorn.ops.diag([[1, 2], [3, 4]]))
        [1 4]
    """
    return jnp.diag(as_array(x), k=k)


@op
def diagflat(x: Any, k: int = 0) -> jax.Array:
    """A table with the flattened array on its k-th diagonal.

    (...) → (n, n)

    Args:
        x: an array.
        k: which diagonal; above the main one if positive. Default: 0.

    Example:
        >>> print(staghorn.ops.diagflat([1, 2]))
        [[1 0]
         [0 2]]
    """
    return jnp.diagflat(as_array(x), k=k)


@op
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> jax.Array:
    """The diagonal of two axes, put last.

    (m, n, ...) → (..., min(m, n))

    Args:
        x: an array.
        offset: which diagonal. Default: 0.
        axis1: the rows' axis. Default: 0.
        axis2: the columns' axis. Default: 1.

    Raises:
        ValueError: if both axes are the same.

    Example:
        >>> staghorn.ops.diagonal(np.ones((2, 3, 4))).shape
        (4, 2)
    """
    x = as_array(x)
    if axis1 % x.ndim == axis2 % x.ndim:
        raise ValueError(f"diagonal: axis1 and axis2 must differ, got {axis1} and {axis2}.")
    return jnp.diagonal(x, offset=offset, axis1=axis1, axis2=axis2)


@op
def tril(x: Any, k: int = 0) -> jax.Array:
    """Zero what lies above the k-th diagonal.

    (..., m, n) → (..., m, n)

    Args:
        x: an array.
        k: which diagonal; above the main one if positive. Default: 0.

    Example:
        >>> print(staghorn.ops.tril([[1, 2], [3, 4]]))
        [[1 0]
         [3 4]]
    """
    return jnp.tril(as_array(x), k=k)


@op
def triu(x: Any, k: int = 0) -> jax.Array:
    """Zero what lies below the k-th diagonal.

    (..., m, n) → (..., m, n)

    Args:
        x: an array.
        k: which diagonal; above the main one if positive. Default: 0.

    Example:
        >>> print(staghorn.ops.triu([[1, 2], [3, 4]]))
        [[1 2]
         [0 4]]
    """
    return jnp.triu(as_array(x), k=k)


@op
def size(x: Any) -> Any:
    """The number of values.

    (...) → int

    Args:
        x: an array.

    Example:
        >>> staghorn.ops.size(np.ones((2, 3)))
        6
    """
    return jnp.size(as_array(x))


def ndim(x: Any) -> int:
    """The number of axes.

    (...) → int

    Args:
        x: an array.

    Example:
        >>> staghorn.ops.ndim(np.ones((2, 3)))
        2
    """
    return x.ndim if hasattr(x, "ndim") else jnp.ndim(x)
