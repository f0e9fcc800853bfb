"""Operations that look at the neighbourhood of each pixel."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine.dtypes import is_float
from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array, saturate_cast
from staghorn.ops.image_sampling import check_option, check_rank, is_first, spatial_axes


def correlated(x: jax.Array, kernel: Sequence[Any], axis: int) -> jax.Array:
    """Correlate one axis with a few numbers, zeros outside: shape → shape.

    Shifted sums: on a CPU many times faster than a convolution with a group per channel.

    Args:
        x: an array.
        kernel: the numbers, (size,).
        axis: the axis.

    Example:
        >>> from staghorn.ops.image_filters import correlated
        >>> correlated(np.array([1.0, 2.0, 4.0]), (1, 1, 1), 0).tolist()
        [3.0, 7.0, 6.0]
    """
    size, length = len(kernel), x.shape[axis]
    widths = [(0, 0)] * x.ndim
    widths[axis] = ((size - 1) // 2, size // 2)
    padded = jnp.pad(x, widths)
    parts = [
        jax.lax.slice_in_dim(padded, k, k + length, axis=axis) * weight
        for k, weight in enumerate(kernel)
    ]
    return functools.reduce(jnp.add, parts)


@op
def gaussian_blur(
    images: Any,
    kernel_size: Sequence[int] = (3, 3),
    sigma: Sequence[float] = (1.0, 1.0),
    data_format: str | None = None,
) -> jax.Array:
    """Smooth images: each pixel becomes a bell-weighted mean of those around it.

    (batch, height, width, channels) → (batch, height, width, channels)

    Args:
        images: one image or a batch; zeros are assumed outside.
        kernel_size: how many columns, and how many rows, are averaged. Default: (3, 3).
        sigma: width of the bell along them. Default: (1, 1).
        data_format: "channels_last" or "channels_first". Default: that of the configuration.

    Raises:
        ValueError: for other ranks.

    Example:
        >>> staghorn.ops.image.gaussian_blur(np.ones((2, 8, 8, 3), "float32")).shape
        (2, 8, 8, 3)

    Notes: the order (columns, rows) is what Keras computes. Without `data_format` Keras on JAX
    takes images for channels-first whatever the configuration says.
    """
    first = is_first("gaussian_blur", data_format)
    images = as_array(images)
    check_rank("gaussian_blur", images.shape)
    blurred = images if is_float(images.dtype) else images.astype("float32")
    for axis, size, width in zip(spatial_axes(first), kernel_size[::-1], sigma[::-1], strict=True):
        offset = jnp.arange(size, dtype=blurred.dtype) - (size - 1) / 2
        bell = jnp.exp(-0.5 * (offset / width) ** 2)
        blurred = correlated(blurred, list(bell / jnp.sum(bell)), axis)
    if is_float(images.dtype):
        return blurred
    return saturate_cast(jnp.round(blurred), images.dtype)


@op
def sobel_edges(images: Any, data_format: str | None = None) -> jax.Array:
    """How fast images change down and across.

    (batch, height, width, channels) → (batch, height, width, channels, 2)

    Args:
        images: a batch; zeros are assumed outside.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.

    Raises:
        ValueError: for other ranks.

    Example:
        >>> staghorn.ops.image.sobel_edges(np.ones((2, 8, 8, 3), "float32")).shape
        (2, 8, 8, 3, 2)
    """
    first = is_first("sobel_edges", data_format)
    images = as_array(images)
    check_rank("sobel_edges", images.shape)
    height, width = spatial_axes(first)
    smooth, change = (1, 2, 1), (-1, 0, 1)
    down = correlated(correlated(images, change, height), smooth, width)
    across = correlated(correlated(images, smooth, height), change, width)
    return jnp.stack([down, across], axis=-1)


@op
def extract_patches(
    images: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> jax.Array:
    """Cut images into patches, each flattened into the channels.

    (batch, height, width, channels) → (batch, rows, columns, size[0] * size[1] * channels)

    Args:
        images: one image or a batch; with three sizes, volumes.
        size: height and width of a patch.
        strides: steps between patches. Default: None, the size: patches side by side.
        dilation_rate: steps between the pixels of a patch. Default: 1.
        padding: "valid", or "same" with zeros around. Default: "valid".
        data_format: "channels_last" or "channels_first". Default: that of the configuration.

    Raises:
        ValueError: for other ranks, sizes or options.

    Example:
        >>> images = np.ones((2, 8, 12, 3), "float32")
        >>> staghorn.ops.image.extract_patches(images, 4).shape
        (2, 2, 3, 48)
    """
    axes = 3 if not isinstance(size, int) and len(size) == 3 else 2
    return _patches(
        "extract_patches", images, axes, size, strides, dilation_rate, padding, data_format
    )


@op
def extract_patches_3d(
    volumes: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> jax.Array:
    """Cut volumes into patches, each flattened into the channels.

    (batch, depth, height, width, channels) → (batch, d, h, w, product of size * channels)

    Args:
        volumes: one volume or a batch.
        size: depth, height and width of a patch.
        strides: steps between patches. Default: None, the size: patches side by side.
        dilation_rate: steps between the points of a patch. Default: 1.
        padding: "valid", or "same" with zeros around. Default: "valid".
        data_format: "channels_last" or "channels_first". Default: that of the configuration.

    Raises:
        ValueError: for other ranks, sizes or options.

    Example:
        >>> volumes = np.ones((2, 4, 4, 6, 3), "float32")
        >>> staghorn.ops.image.extract_patches_3d(volumes, 2).shape
        (2, 2, 2, 3, 24)
    """
    return _patches(
        "extract_patches_3d", volumes, 3, size, strides, dilation_rate, padding, data_format
    )


def _per_axis(function: str, name: str, value: Any, axes: int) -> tuple[int, ...]:
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes or not all(isinstance(v, int) and v > 0 for v in values):
        raise ValueError(
            f"image.{function}: {name} must be a positive int or {axes} of them, got {value!r}."
        )
    return values


def _patches(
    function: str, images: Any, axes: int, size: Any, strides: Any, dilation_rate: Any,
    padding: str, data_format: str | None,
) -> jax.Array:  # fmt: skip
    first = is_first(function, data_format)
    check_option(function, "padding", padding, ("valid", "same"))
    size = _per_axis(function, "size", size, axes)
    strides = size if not strides else _per_axis(function, "strides", strides, axes)
    dilation = _per_axis(function, "dilation_rate", dilation_rate, axes)
    given = as_array(images)
    if given.ndim not in (axes + 1, axes + 2):
        raise ValueError(
            f"image.{function}: expected {axes + 1} axes, or {axes + 2} with a batch, "
            f"got shape {given.shape}."
        )
    x = given if given.ndim == axes + 2 else jnp.expand_dims(given, 0)
    x = jnp.moveaxis(x, 1, -1) if first else x
    for k in range(axes):  # each splits one axis into (patches, points of a patch)
        x = _split(x, 1 + 2 * k, size[k], strides[k], dilation[k], padding)
    order = [0, *range(1, 2 * axes, 2), *range(2, 2 * axes + 1, 2), 2 * axes + 1]
    x = jnp.transpose(x, order)  # (batch, *patches, *size, channels)
    x = jnp.reshape(x, (*x.shape[: axes + 1], math.prod(size) * x.shape[-1]))
    x = jnp.moveaxis(x, -1, 1) if first else x
    return x if given.ndim == axes + 2 else jnp.squeeze(x, 0)


def _split(
    x: jax.Array, axis: int, size: int, stride: int, dilation: int, padding: str
) -> jax.Array:
    """(…, length, …) → (…, patches, size, …)."""
    reach = (size - 1) * dilation + 1
    length = x.shape[axis]
    if padding == "same":
        missing = max((math.ceil(length / stride) - 1) * stride + reach - length, 0)
        widths = [(0, 0)] * x.ndim
        widths[axis] = (missing // 2, missing - missing // 2)
        x = jnp.pad(x, widths)
        length += missing
    count = max((length - reach) // stride + 1, 0)
    places = np.arange(count)[:, None] * stride + np.arange(size)[None, :] * dilation
    shape = (*x.shape[:axis], count, size, *x.shape[axis + 1 :])
    return jnp.reshape(jnp.take(x, places.ravel(), axis=axis, mode="clip"), shape)
