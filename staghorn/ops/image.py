"""Operations on images: `keras.ops.image`.

Images have shape (height, width, channels), or a batch axis in front; with
`data_format="channels_first"` the channels come before the height.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from staghorn.engine.dtypes import is_float
from staghorn.engine.registry import missing_names
from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array, saturate_cast
from staghorn.ops.image_filters import extract_patches as extract_patches
from staghorn.ops.image_filters import extract_patches_3d as extract_patches_3d
from staghorn.ops.image_filters import gaussian_blur as gaussian_blur
from staghorn.ops.image_filters import sobel_edges as sobel_edges
from staghorn.ops.image_quality import ssim as ssim
from staghorn.ops.image_sampling import (
    FILL_MODES,
    INTERPOLATIONS,
    batch_index,
    batched_last,
    check_option,
    check_rank,
    is_first,
    restored,
    sample,
    spatial_axes,
)
from staghorn.ops.image_sampling import affine_transform as affine_transform
from staghorn.ops.image_sampling import map_coordinates as map_coordinates
from staghorn.ops.image_sampling import perspective_transform as perspective_transform

__all__ = [
    "affine_transform", "crop_images", "elastic_transform", "extract_patches", "extract_patches_3d",
    "gaussian_blur", "hsv_to_rgb", "map_coordinates", "pad_images", "perspective_transform",
    "resize", "rgb_to_grayscale", "rgb_to_hsv", "scale_and_translate", "sobel_edges", "ssim",
]  # fmt: skip

_RESIZINGS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
_SCALINGS = (
    "linear", "bilinear", "trilinear", "cubic", "bicubic", "tricubic", "lanczos3", "lanczos5",
)  # fmt: skip


# Sizes ---------------------------------------------------------------------------------------


def _fitted(lengths: list[int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the height that fits the width, and the width that fits the height, at one ratio."""
    height, width = lengths
    return int(float(width * size[0]) / size[1]), int(float(height * size[1]) / size[0])


def _cropped_to_ratio(images: jax.Array, size: tuple[int, int], first: bool) -> jax.Array:
    axes = spatial_axes(first)
    lengths = [images.shape[axis] for axis in axes]
    for axis, length, fitted in zip(axes, lengths, _fitted(lengths, size), strict=True):
        kept = max(min(length, fitted), 1)
        start = (length - kept) // 2
        images = jax.lax.slice_in_dim(images, start, start + kept, axis=axis)
    return images


def _padded_to_ratio(
    images: jax.Array, size: tuple[int, int], fill: float, first: bool
) -> jax.Array:
    axes = spatial_axes(first)
    lengths = [images.shape[axis] for axis in axes]
    widths = [(0, 0)] * images.ndim
    for axis, length, fitted in zip(axes, lengths, _fitted(lengths, size), strict=True):
        side = (max(length, fitted) - length) // 2
        widths[axis] = (side, side)
    return jnp.pad(images, widths, constant_values=jnp.asarray(fill).astype(images.dtype))


@op
def resize(
    images: Any,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> jax.Array:
    """Bring images to another height and width.

    (batch, height, width, channels) → (batch, *size, channels)

    Args:
        images: one image or a batch.
        size: (height, width) of the result.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
            Default: "bilinear".
        antialias: smooth before shrinking. Default: False.
        crop_to_aspect_ratio: keep the proportions, cutting off two sides. Default: False.
        pad_to_aspect_ratio: keep the proportions, filling two sides. Default: False.
        fill_mode: "constant", the only one.
        fill_value: what the sides are filled with. Default: 0.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.

    Raises:
        ValueError: for other ranks or unknown options, or if asked both to cut and to fill.

    Example:
        >>> images = np.ones((2, 4, 6, 3), "uint8")
        >>> staghorn.ops.image.resize(images, (8, 8)).shape
        (2, 8, 8, 3)

    Notes: whole numbers are rounded and kept inside the limits of their type.
    """
    first = is_first("resize", data_format)
    check_option("resize", "interpolation", interpolation, _RESIZINGS)
    check_option("resize", "fill_mode", fill_mode, ("constant",))
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            "image.resize: crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other; "
            "set one of them to False."
        )
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError(f"image.resize: size must be (height, width), got {size!r}.")
    images = as_array(images)
    check_rank("resize", images.shape)
    target = (int(size[0]), int(size[1]))
    source = images
    if not is_float(images.dtype) and (pad_to_aspect_ratio or interpolation != "nearest"):
        source = images.astype("float32")
    if crop_to_aspect_ratio:
        source = _cropped_to_ratio(source, target, first)
    if pad_to_aspect_ratio:
        source = _padded_to_ratio(source, target, fill_value, first)
    shape = list(source.shape)
    for axis, length in zip(spatial_axes(first), target, strict=True):
        shape[axis] = length
    resized = jax.image.resize(source, shape, method=interpolation, antialias=antialias)
    if resized.dtype == images.dtype:
        return resized
    return saturate_cast(jnp.round(resized), images.dtype)


@op
def scale_and_translate(
    images: Any,
    output_shape: Sequence[int],
    scale: Any,
    translation: Any,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> jax.Array:
    """Scale some axes, then shift them, into an array of a given shape.

    (…) → output_shape        y[i] = x[(i - translation) / scale], with pixel centres at i + 0.5

    Args:
        images: an array.
        output_shape: shape of the result.
        scale: a factor for each of `spatial_dims`.
        translation: a shift for each of them.
        spatial_dims: the axes.
        method: "linear", "cubic", "lanczos3", "lanczos5", or "bilinear", "trilinear", "bicubic",
            "tricubic" for the same.
        antialias: smooth before shrinking. Default: True.

    Raises:
        ValueError: for an unknown method.

    Example:
        >>> double = staghorn.ops.image.scale_and_translate(
        ...     np.ones((2, 2, 1), "float32"), (4, 4, 1), [2.0, 2.0], [0.0, 0.0], (0, 1), "linear")
        >>> double.shape
        (4, 4, 1)
    """
    check_option("scale_and_translate", "method", method, _SCALINGS)
    scale, translation = (as_array(x).astype("float32") for x in (scale, translation))
    return jax.image.scale_and_translate(
        as_array(images),
        tuple(output_shape),
        tuple(spatial_dims),
        scale,
        translation,
        method,
        antialias,
    )


def _margins(
    function: str,
    names: tuple[str, str, str],
    given: tuple[int | None, int | None, int | None],
    length: int,
    cropping: bool,
) -> tuple[int, int]:
    """Return what to add or cut before and after an axis, from two of (before, after, target).

    Padding: before + length + after = target; cropping: before + target + after = length.
    """
    if given.count(None) != 1:
        raise ValueError(
            f"image.{function}: give exactly two of {', '.join(names)}, got {given!r}."
        )
    before, after, target = given
    if target is not None:
        margin = length - target if cropping else target - length
        before = margin - after if before is None else before  # type: ignore[operator]
        after = margin - before if after is None else after
    left = length - before - after if cropping else 0  # type: ignore[operator]
    for name, value in zip(names, (before, after, left), strict=True):
        if isinstance(value, int) and value < 0:
            raise ValueError(f"image.{function}: {name} must be 0 or more, got {value}.")
    return before, after  # type: ignore[return-value]


@op
def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> jax.Array:
    """Put zeros around images.

    (batch, height, width, channels) → (batch, target_height, target_width, channels)

    Args:
        images: one image or a batch.
        top_padding, bottom_padding, target_height: two of these three.
        left_padding, right_padding, target_width: two of these three.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.

    Raises:
        ValueError: for more or fewer of them, or a target smaller than the image.

    Example:
        >>> images = np.ones((2, 4, 6, 3), "float32")
        >>> staghorn.ops.image.pad_images(images, 1, 0, 2, target_width=8).shape
        (2, 7, 8, 3)
    """
    axes = spatial_axes(is_first("pad_images", data_format))
    images = as_array(images)
    check_rank("pad_images", images.shape)
    rows = ("top_padding", "bottom_padding", "target_height")
    columns = ("left_padding", "right_padding", "target_width")
    widths: list[tuple[int, int]] = [(0, 0)] * images.ndim
    for axis, names, given in (
        (axes[0], rows, (top_padding, bottom_padding, target_height)),
        (axes[1], columns, (left_padding, right_padding, target_width)),
    ):
        widths[axis] = _margins("pad_images", names, given, images.shape[axis], cropping=False)
    return jnp.pad(images, widths)


@op
def crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> jax.Array:
    """Cut off the sides of images.

    (batch, height, width, channels) → (batch, target_height, target_width, channels)

    Args:
        images: one image or a batch.
        top_cropping, bottom_cropping, target_height: two of these three.
        left_cropping, right_cropping, target_width: two of these three.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.

    Raises:
        ValueError: for more or fewer of them, or a target larger than the image.

    Example:
        >>> images = np.ones((2, 4, 6, 3), "float32")
        >>> staghorn.ops.image.crop_images(images, 1, 0, 2, target_width=5).shape
        (2, 1, 5, 3)
    """
    axes = spatial_axes(is_first("crop_images", data_format))
    images = as_array(images)
    check_rank("crop_images", images.shape)
    rows = ("top_cropping", "bottom_cropping", "target_height")
    columns = ("left_cropping", "right_cropping", "target_width")
    for axis, names, given in (
        (axes[0], rows, (top_cropping, bottom_cropping, target_height)),
        (axes[1], columns, (left_cropping, right_cropping, target_width)),
    ):
        length = images.shape[axis]
        before, after = _margins("crop_images", names, given, length, cropping=True)
        images = jax.lax.slice_in_dim(images, before, length - after, axis=axis)
    return images


# Random ------------------------------------------------------------------------------------


@op
def elastic_transform(
    images: Any,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> jax.Array:
    """Shift each pixel by a smooth random amount.

    (batch, height, width, channels) → (batch, height, width, channels)

    Args:
        images: one image or a batch.
        alpha: strength of the shifts. Default: 20.
        sigma: their smoothness. Default: 5.
        interpolation: "nearest" or "bilinear". Default: "bilinear".
        fill_mode: what lies outside: "constant", "nearest", "wrap", "mirror" or "reflect".
            Default: "reflect".
        fill_value: the constant. Default: 0.
        seed: int, SeedGenerator or None. Default: None (the global generator).
        data_format: "channels_last" or "channels_first". Default: that of the configuration.

    Raises:
        ValueError: for other ranks or unknown options.

    Example:
        >>> images = np.ones((2, 8, 8, 3), "float32")
        >>> staghorn.ops.image.elastic_transform(images, seed=1).shape
        (2, 8, 8, 3)

    Notes: as in Keras, one draw serves both directions.
    """
    from staghorn import random  # it lies above ops

    first = is_first("elastic_transform", data_format)
    check_option("elastic_transform", "interpolation", interpolation, INTERPOLATIONS)
    check_option("elastic_transform", "fill_mode", fill_mode, FILL_MODES)
    images = as_array(images)
    check_rank("elastic_transform", images.shape)
    batch = batched_last(images, first)
    count, height, width, _ = batch.shape
    size = int(6 * sigma) | 1
    noise = random.normal((count, height, width, 1), stddev=sigma, seed=seed)
    shift = alpha * gaussian_blur(noise, (size, size), (sigma, sigma), "channels_last")[..., 0]
    x = shift + jnp.reshape(jnp.arange(width, dtype=shift.dtype), (1, 1, width))
    y = shift + jnp.reshape(jnp.arange(height, dtype=shift.dtype), (1, height, 1))
    order = INTERPOLATIONS.index(interpolation)
    moved = sample(batch, (batch_index(batch),), (y, x), order, fill_mode, fill_value)
    return restored(moved, images, first)


# Colours -------------------------------------------------------------------------------------


def _colours(function: str, images: jax.Array, first: bool) -> list[jax.Array]:
    """Split images into their red, green and blue, or other three channels."""
    axis = -3 if first else -1
    if images.shape[axis] != 3:
        raise ValueError(
            f"image.{function}: images need 3 channels on axis {axis}, got shape {images.shape}. "
            f"Is data_format right?"
        )
    return [jax.lax.index_in_dim(images, k, axis=axis, keepdims=False) for k in range(3)]


@op
def rgb_to_grayscale(images: Any, data_format: str | None = None) -> jax.Array:
    """Turn colours into brightness.

    (batch, height, width, 3) → (batch, height, width, 1)
    y = 0.2989 red + 0.5870 green + 0.1140 blue

    Args:
        images: one image or a batch, with 3 channels; those with 1 pass unchanged.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.

    Raises:
        ValueError: for other ranks or numbers of channels.

    Example:
        >>> staghorn.ops.image.rgb_to_grayscale(np.ones((2, 4, 4, 3), "float32")).shape
        (2, 4, 4, 1)
    """
    first = is_first("rgb_to_grayscale", data_format)
    images = as_array(images)
    check_rank("rgb_to_grayscale", images.shape)
    axis = -3 if first else -1
    if images.shape[axis] == 1:
        return images
    floats = images if is_float(images.dtype) else images.astype("float32")
    red, green, blue = _colours("rgb_to_grayscale", floats, first)
    gray = 0.2989 * red + 0.5870 * green + 0.1140 * blue
    return jnp.expand_dims(gray, axis).astype(images.dtype)


@op
def rgb_to_hsv(images: Any, data_format: str | None = None) -> jax.Array:
    """Turn red, green, blue into hue, saturation, value; all in [0, 1].

    (batch, height, width, 3) → (batch, height, width, 3)

    Args:
        images: floats, one image or a batch.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.

    Raises:
        ValueError: for whole numbers, other ranks or numbers of channels.

    Example:
        >>> red = np.array([[[1.0, 0.0, 0.0]]], "float32")
        >>> np.asarray(staghorn.ops.image.rgb_to_hsv(red)).ravel().tolist()
        [0.0, 1.0, 1.0]
    """
    first = is_first("rgb_to_hsv", data_format)
    images = _float_images("rgb_to_hsv", images)
    images = jnp.where(jnp.abs(images) < jnp.finfo(images.dtype).eps, 0.0, images)
    red, green, blue = _colours("rgb_to_hsv", images, first)
    value = jnp.maximum(jnp.maximum(red, green), blue)
    span = value - jnp.minimum(jnp.minimum(red, green), blue)
    saturation = jnp.where(value > 0, span / jnp.where(value > 0, value, 1.0), 0.0)
    sixth = 1.0 / (6.0 * jnp.where(span > 0, span, 1.0))
    hue = jnp.where(
        value == red,
        sixth * (green - blue),
        jnp.where(
            value == green, sixth * (blue - red) + 2.0 / 6.0, sixth * (red - green) + 4.0 / 6.0
        ),
    )
    hue = jnp.where(span > 0, hue, 0.0)
    hue = jnp.where(hue < 0, hue + 1.0, hue)
    return jnp.stack([hue, saturation, value], axis=-3 if first else -1)


@op
def hsv_to_rgb(images: Any, data_format: str | None = None) -> jax.Array:
    """Turn hue, saturation, value into red, green, blue; all in [0, 1].

    (batch, height, width, 3) → (batch, height, width, 3)

    Args:
        images: floats, one image or a batch.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.

    Raises:
        ValueError: for whole numbers, other ranks or numbers of channels.

    Example:
        >>> red = np.array([[[0.0, 1.0, 1.0]]], "float32")
        >>> np.asarray(staghorn.ops.image.hsv_to_rgb(red)).ravel().tolist()
        [1.0, 0.0, 0.0]
    """
    first = is_first("hsv_to_rgb", data_format)
    hue, saturation, value = _colours("hsv_to_rgb", _float_images("hsv_to_rgb", images), first)
    angle = jnp.mod(hue, 1.0) * 6.0
    shares = (
        jnp.abs(angle - 3.0) - 1.0,
        2.0 - jnp.abs(angle - 2.0),
        2.0 - jnp.abs(angle - 4.0),
    )
    colours = [value * (1.0 - saturation + saturation * jnp.clip(s, 0.0, 1.0)) for s in shares]
    return jnp.stack(colours, axis=-3 if first else -1)


def _float_images(function: str, images: Any) -> jax.Array:
    images = as_array(images)
    check_rank(function, images.shape)
    if not is_float(images.dtype):
        raise ValueError(
            f"image.{function}: images must be floats in [0, 1], got {images.dtype}. "
            "Write images / 255 for bytes."
        )
    return images


if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
