"""Reading images between their pixels, and the checks that image operations share."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.dtypes import is_float
from staghorn.engine.registry import suggestion
from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array

INTERPOLATIONS = ("nearest", "bilinear")  # their position is the order of the polynomial
FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


# Checks --------------------------------------------------------------------------------------


def check_option(function: str, name: str, value: Any, options: Sequence[Any]) -> None:
    """Raise ValueError unless an argument is one of a few values."""
    if value not in options:
        raise ValueError(
            f"image.{function}: {name} must be one of {', '.join(map(repr, options))}, "
            f"got {value!r} ({type(value).__name__}).{suggestion(str(value), map(str, options))}"
        )


def is_first(function: str, data_format: str | None) -> bool:
    """Say whether channels come first."""
    data_format = data_format or config.image_data_format()
    check_option(function, "data_format", data_format, ("channels_last", "channels_first"))
    return data_format == "channels_first"


def check_rank(function: str, shape: tuple) -> None:
    """Raise ValueError unless a shape is that of an image or of a batch."""
    if len(shape) not in (3, 4):
        raise ValueError(
            f"image.{function}: images have 3 axes (one image) or 4 (a batch), got shape {shape}."
        )


def spatial_axes(first: bool) -> tuple[int, int]:
    """Return the axes of height and width, counted from the end."""
    return (-2, -1) if first else (-3, -2)


def batched_last(images: jax.Array, first: bool) -> jax.Array:
    """(height, width, channels) or a batch, in either format → (batch, height, width, channels)."""
    batch = images if images.ndim == 4 else jnp.expand_dims(images, 0)
    return jnp.moveaxis(batch, 1, -1) if first else batch


def restored(result: jax.Array, images: jax.Array, first: bool) -> jax.Array:
    """Undo `batched_last`."""
    result = jnp.moveaxis(result, -1, 1) if first else result
    return result if images.ndim == 4 else jnp.squeeze(result, 0)


# Sampling ------------------------------------------------------------------------------------


def _inside(index: jax.Array, size: int, mode: str) -> jax.Array:
    """Map any index to one in [0, size), as the fill mode says."""
    if mode == "wrap":
        return jnp.mod(index, size)
    if mode == "reflect":  # d c b a | a b c d | d c b a
        folded = jnp.mod(index, 2 * size)
        return jnp.minimum(folded, 2 * size - 1 - folded)
    if mode == "mirror" and size > 1:  # d c b | a b c d | c b a
        folded = jnp.mod(index, 2 * size - 2)
        return jnp.minimum(folded, 2 * size - 2 - folded)
    return jnp.clip(index, 0, size - 1)


def _neighbours(coordinate: jax.Array, order: int) -> list[tuple[jax.Array, Any]]:
    """Return the one or two grid points beside a coordinate, with their weights."""
    if order == 0:
        return [(jax.lax.round(coordinate).astype("int32"), None)]
    below = jnp.floor(coordinate)
    weight = coordinate - below
    index = below.astype("int32")
    return [(index, 1 - weight), (index + 1, weight)]


def sample(
    values: jax.Array,
    lead: tuple[jax.Array, ...],
    coordinates: Sequence[jax.Array],
    order: int,
    mode: str,
    fill: Any,
) -> jax.Array:
    """Read an array between its grid points.

    values: (*leading, *sizes, *rest), lead: an index array for each leading axis, coordinates: a
    float array for each of the sizes → (*coordinates' shape, *rest). One gather per corner fetches
    all of `rest` (the channels) at once, which is what makes it fast on a CPU.
    """
    sizes = values.shape[len(lead) : len(lead) + len(coordinates)]
    rest = values.ndim - len(lead) - len(coordinates)

    def aligned(x: jax.Array) -> jax.Array:
        return jnp.reshape(x, (*x.shape, *(1,) * rest))

    total: Any = None
    for corner in itertools.product(*(_neighbours(c, order) for c in coordinates)):
        indices = [index for index, _ in corner]
        places = (*lead, *(_inside(i, n, mode) for i, n in zip(indices, sizes, strict=True)))
        found = values.at[places].get(mode="promise_in_bounds", wrap_negative_indices=False)
        if mode == "constant":
            known = [(i >= 0) & (i < n) for i, n in zip(indices, sizes, strict=True)]
            outside = jnp.asarray(fill).astype(values.dtype)
            found = jnp.where(aligned(functools.reduce(jnp.logical_and, known)), found, outside)
        if order == 0:
            return found
        weight = aligned(math.prod(w for _, w in corner))
        work = values.dtype if values.dtype == "float64" else weight.dtype
        part = found.astype(work) * weight.astype(work)
        total = part if total is None else total + part
    return (total if is_float(values.dtype) else jax.lax.round(total)).astype(values.dtype)


@functools.partial(jax.jit, static_argnames=("order", "mode"))
def _affine(images: jax.Array, transform: jax.Array, fill: Any, order: int, mode: str) -> jax.Array:
    """(batch, height, width, channels), (batch or 1, 8) → (batch, height, width, channels)."""
    _, height, width, _ = images.shape
    column = jnp.reshape(jnp.arange(width, dtype=transform.dtype), (1, 1, width))
    row = jnp.reshape(jnp.arange(height, dtype=transform.dtype), (1, height, 1))
    a0, a1, a2, b0, b1, b2, c0, c1 = (
        jnp.reshape(transform[:, k], (-1, 1, 1)) for k in range(8)
    )  # each (batch, 1, 1)
    k = c0 * column + c1 * row + 1  # (batch, height, width)
    x = (a0 * column + a1 * row + a2) / k
    y = (b0 * column + b1 * row + b2) / k
    return sample(images, (batch_index(images),), (y, x), order, mode, fill)


def batch_index(images: jax.Array) -> jax.Array:
    """(batch, …) → (batch, 1, 1): the position of each image."""
    return jnp.reshape(jnp.arange(images.shape[0], dtype="int32"), (-1, 1, 1))


@op
def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> jax.Array:
    """Move the pixels of images as a matrix says.

    (batch, height, width, channels), (batch, 8) → (batch, height, width, channels)
    The pixel at column x and row y is read from column (a0 x + a1 y + a2) / k and row
    (b0 x + b1 y + b2) / k, where k = c0 x + c1 y + 1.

    Args:
        images: one image or a batch.
        transform: a0, a1, a2, b0, b1, b2, c0, c1: one row for all images, or one for each.
        interpolation: "nearest" or "bilinear". Default: "bilinear".
        fill_mode: what lies outside: "constant", "nearest", "wrap", "mirror" or "reflect".
            Default: "constant".
        fill_value: the constant. Default: 0.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.

    Raises:
        ValueError: for other ranks or unknown options.

    Example:
        >>> image = np.arange(3.0).reshape(1, 3, 1)
        >>> shifted = staghorn.ops.image.affine_transform(image, [1, 0, 1, 0, 1, 0, 0, 0])
        >>> np.asarray(shifted).ravel().tolist()
        [1.0, 2.0, 0.0]

    Notes: Keras on JAX reads c0 and c1 as a shift per channel; here they are the perspective that
    its documentation (and TensorFlow) give them.
    """
    first = is_first("affine_transform", data_format)
    check_option("affine_transform", "interpolation", interpolation, INTERPOLATIONS)
    check_option("affine_transform", "fill_mode", fill_mode, FILL_MODES)
    images, transform = as_array(images), as_array(transform).astype("float32")
    check_rank("affine_transform", images.shape)
    if transform.ndim not in (1, 2) or transform.shape[-1] != 8:
        raise ValueError(
            "image.affine_transform: transform must have shape (8,) or (batch, 8), "
            f"got {transform.shape}."
        )
    moved = _affine(
        batched_last(images, first),
        jnp.reshape(transform, (-1, 8)),
        fill_value,
        INTERPOLATIONS.index(interpolation),
        fill_mode,
    )
    return restored(moved, images, first)


@op
def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: float = 0
) -> jax.Array:
    """Read an array at coordinates between its grid points.

    (d1, …, dn), (n, …) → (…)

    Args:
        inputs: an array of n axes.
        coordinates: n arrays, one for each axis.
        order: 0 takes the nearest point, 1 interpolates linearly.
        fill_mode: what lies outside: "constant", "nearest", "wrap", "mirror" or "reflect".
            Default: "constant".
        fill_value: the constant. Default: 0.

    Raises:
        ValueError: if there are not as many coordinates as axes, or for an unknown option.

    Example:
        >>> values = np.array([0.0, 10.0, 20.0])
        >>> np.asarray(staghorn.ops.image.map_coordinates(values, [[0.5, 1.25]], 1)).tolist()
        [5.0, 12.5]
    """
    inputs, places = as_array(inputs), as_array(coordinates)
    check_option("map_coordinates", "order", order, (0, 1))
    check_option("map_coordinates", "fill_mode", fill_mode, FILL_MODES)
    if places.ndim < 2 or places.shape[0] != inputs.ndim:
        raise ValueError(
            f"image.map_coordinates: coordinates must have shape ({inputs.ndim}, ...), a row for "
            f"each axis of the inputs {inputs.shape}, got {places.shape}."
        )
    places = places if is_float(places.dtype) else places.astype("float32")
    return sample(inputs, (), list(places), order, fill_mode, fill_value)


@op
def perspective_transform(
    images: Any,
    start_points: Any,
    end_points: Any,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> jax.Array:
    """Move four points of images to four others, and everything else with them.

    (batch, height, width, channels), (batch, 4, 2), (batch, 4, 2) → the images' shape

    Args:
        images: one image or a batch.
        start_points: (x, y) of four points, (4, 2) or (batch, 4, 2).
        end_points: where they go.
        interpolation: "nearest" or "bilinear". Default: "bilinear".
        fill_value: what lies outside. Default: 0.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.

    Raises:
        ValueError: for points of another shape, other ranks or unknown options.

    Example:
        >>> corners = np.array([[0, 0], [0, 4], [4, 0], [4, 4]])
        >>> images = np.ones((2, 5, 5, 3), "float32")
        >>> staghorn.ops.image.perspective_transform(images, corners, corners).shape
        (2, 5, 5, 3)
    """
    start, end = (as_array(p).astype("float32") for p in (start_points, end_points))
    if start.shape[-2:] != (4, 2) or start.ndim not in (2, 3) or start.shape != end.shape:
        raise ValueError(
            "image.perspective_transform: start_points and end_points must both have shape (4, 2) "
            f"or (batch, 4, 2), got {start.shape} and {end.shape}."
        )
    (xs, ys), (xe, ye) = ((p[..., 0], p[..., 1]) for p in (start, end))
    zero, one = jnp.zeros_like(xe), jnp.ones_like(xe)
    rows = [
        jnp.stack([xe, ye, one, zero, zero, zero, -xs * xe, -xs * ye], axis=-1),
        jnp.stack([zero, zero, zero, xe, ye, one, -ys * xe, -ys * ye], axis=-1),
    ]
    known = jnp.concatenate([xs, ys], axis=-1)[..., None]  # (…, 8, 1)
    transform = jnp.linalg.solve(jnp.concatenate(rows, axis=-2), known)[..., 0]  # (…, 8)
    return affine_transform(images, transform, interpolation, "constant", fill_value, data_format)
