"""What ImageDataGenerator does to one picture: turn, shift, shear, zoom, change its colours.

Pictures here have the channels first unless `channel_axis` says otherwise, as in Keras. The
random ones draw from NumPy's global generator.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from staghorn.utils.image import array_to_img, img_to_array

__all__ = [
    "apply_affine_transform", "apply_brightness_shift", "apply_channel_shift",
    "random_brightness", "random_channel_shift", "random_rotation", "random_shear",
    "random_shift", "random_zoom",
]  # fmt: skip


def apply_affine_transform(
    x: np.ndarray, theta: float = 0, tx: float = 0, ty: float = 0, shear: float = 0, zx: float = 1,
    zy: float = 1, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Turn, shift, shear and zoom a picture about its middle.

    (channels, height, width) → (channels, height, width)
    output(p) = x(R T S Z p), p counted from the middle: rotation, shift, shear, zoom

    Args:
        x: array of three axes.
        theta: degrees to turn. Default: 0.
        tx: pixels to shift along the width. Default: 0.
        ty: pixels to shift along the height. Default: 0.
        shear: degrees of shear. Default: 0.
        zx: zoom of the width; below 1 things grow. Default: 1.
        zy: zoom of the height. Default: 1.
        row_axis: axis of the height. Default: 1.
        col_axis: axis of the width. Default: 2.
        channel_axis: axis of the channels, the first or the last. Default: 0.
        fill_mode: "nearest", "constant", "reflect" or "wrap", what lies outside of the picture.
            Default: "nearest".
        cval: value outside for "constant". Default: 0.0.
        order: 0 to 5, order of the interpolating splines. Default: 1 (linear).

    Raises:
        ValueError: if x has not three axes, or the axes are not 0, 1 and 2 in some order with the
            channels first or last.

    Example:
        >>> x = np.arange(4.0).reshape(1, 2, 2)
        >>> staghorn.preprocessing.image.apply_affine_transform(x, theta=180).tolist()
        [[[3.0, 2.0], [1.0, 0.0]]]

    Notes: As in Keras, the middle is taken as (width / 2, height / 2) along (height, width): in
        pictures that are not square, turns and zooms have another centre.

    Reference: https://github.com/keras-team/keras-preprocessing
    """
    if np.ndim(x) != 3 or sorted((row_axis, col_axis, channel_axis)) != [0, 1, 2]:
        raise ValueError(
            "apply_affine_transform: a picture has three axes, each of them named once; got shape "
            f"{np.shape(x)}, row_axis={row_axis}, col_axis={col_axis}, "
            f"channel_axis={channel_axis}. For channels last: row_axis=0, col_axis=1, "
            "channel_axis=2."
        )
    if channel_axis == 1:
        raise ValueError("apply_affine_transform: channel_axis must be 0 or 2, got 1.")
    matrices = []
    if theta != 0:
        c, s = np.cos(np.deg2rad(theta)), np.sin(np.deg2rad(theta))
        matrices.append([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    if tx != 0 or ty != 0:
        matrices.append([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    if shear != 0:
        c, s = np.cos(np.deg2rad(shear)), np.sin(np.deg2rad(shear))
        matrices.append([[1, -s, 0], [0, c, 0], [0, 0, 1]])
    if zx != 1 or zy != 1:
        matrices.append([[zx, 0, 0], [0, zy, 0], [0, 0, 1]])
    if not matrices:
        return x
    from scipy import ndimage  # comes with JAX; slow to import

    middle, back = np.eye(3), np.eye(3)
    middle[:2, 2] = [x.shape[axis] / 2 - 0.5 for axis in (row_axis, col_axis)]
    back[:2, 2] = -middle[:2, 2]
    matrix = middle @ functools.reduce(np.dot, map(np.array, matrices)) @ back
    if col_axis > row_axis:  # see Notes
        matrix = matrix[[1, 0, 2]][:, [1, 0, 2]]
    channels = [
        ndimage.affine_transform(
            channel, matrix[:2, :2], matrix[:2, 2], order=order, mode=fill_mode, cval=cval
        )
        for channel in np.moveaxis(x, channel_axis, 0)
    ]
    return np.moveaxis(np.stack(channels), 0, channel_axis)


def apply_channel_shift(x: np.ndarray, intensity: float, channel_axis: int = 0) -> np.ndarray:
    """Add a number to all values, and keep them between the smallest and the largest there were.

    (channels, height, width) → (channels, height, width)

    Args:
        x: array of three axes.
        intensity: what to add.
        channel_axis: taken for compatibility; has no effect.

    Example:
        >>> x = np.array([[[0.0, 1.0, 5.0]]])
        >>> staghorn.preprocessing.image.apply_channel_shift(x, 2.0).tolist()
        [[[2.0, 3.0, 5.0]]]
    """
    return np.clip(x + intensity, np.min(x), np.max(x))


def apply_brightness_shift(
    x: np.ndarray, brightness: float, scale: bool = True, data_format: str | None = None
) -> np.ndarray:
    """Make a picture brighter or darker.

    (height, width, channels) → (height, width, channels)

    Args:
        x: array of three axes.
        brightness: 0.0 gives black, 1.0 the picture itself.
        scale: bool, whether its values are stretched to 0 ... 255 first. Default: True.
        data_format: "channels_last" or "channels_first". Default: None (`image_data_format()`).

    Example:
        >>> x = np.full((1, 1, 3), 100.0)
        >>> staghorn.preprocessing.image.apply_brightness_shift(x, 0.5, scale=False).tolist()
        [[[50.0, 50.0, 50.0]]]

    Notes: Values pass through 8 bits: fractions are lost. Keras has no `data_format`.
    """
    from PIL import ImageEnhance

    low, high = np.min(x), np.max(x)
    outside = low < 0 or high > 255
    picture = array_to_img(x, data_format, scale=bool(outside or scale))
    enhanced = img_to_array(ImageEnhance.Brightness(picture).enhance(brightness), data_format)
    return enhanced / 255 * (high - low) + low if outside and not scale else enhanced


def _affine(x: np.ndarray, where: tuple, options: dict[str, Any], **drawn: Any) -> np.ndarray:
    """Apply what one of the functions below has drawn."""
    places = ("row_axis", "col_axis", "channel_axis", "fill_mode", "cval", "order")
    options = dict(zip(places, where, strict=False)) | options
    if "interpolation_order" in options:
        options["order"] = options.pop("interpolation_order")
    return apply_affine_transform(x, **drawn, **options)


def random_rotation(x: np.ndarray, rg: float, *where: Any, **options: Any) -> np.ndarray:
    """Turn a picture by a random angle.

    Args:
        x: array of three axes.
        rg: degrees; the angle is between -rg and rg.
        *where: row_axis=1, col_axis=2, channel_axis=0, fill_mode="nearest", cval=0.0,
            interpolation_order=1, as in `apply_affine_transform`.
        **options: the same by name.

    Example:
        >>> staghorn.preprocessing.image.random_rotation(np.ones((3, 8, 8)), 30).shape
        (3, 8, 8)
    """
    return _affine(x, where, options, theta=np.random.uniform(-rg, rg))


def random_shift(
    x: np.ndarray, wrg: float, hrg: float, row_axis: int = 1, col_axis: int = 2,
    *where: Any, **options: Any,
) -> np.ndarray:  # fmt: skip
    """Shift a picture by a random distance.

    Args:
        x: array of three axes.
        wrg: largest shift, as a share of the width.
        hrg: largest shift, as a share of the height.
        row_axis: axis of the height. Default: 1.
        col_axis: axis of the width. Default: 2.
        *where: channel_axis=0 and so on, as in `random_rotation`.
        **options: the same by name.

    Example:
        >>> staghorn.preprocessing.image.random_shift(np.ones((3, 8, 8)), 0.2, 0.2).shape
        (3, 8, 8)
    """
    tx = np.random.uniform(-hrg, hrg) * x.shape[row_axis]
    ty = np.random.uniform(-wrg, wrg) * x.shape[col_axis]
    return _affine(x, (row_axis, col_axis, *where), options, tx=tx, ty=ty)


def random_shear(x: np.ndarray, intensity: float, *where: Any, **options: Any) -> np.ndarray:
    """Shear a picture by a random angle.

    Args:
        x: array of three axes.
        intensity: degrees; the angle is between -intensity and intensity.
        *where: row_axis=1 and so on, as in `random_rotation`.
        **options: the same by name.

    Example:
        >>> staghorn.preprocessing.image.random_shear(np.ones((3, 8, 8)), 10).shape
        (3, 8, 8)
    """
    return _affine(x, where, options, shear=np.random.uniform(-intensity, intensity))


def random_zoom(
    x: np.ndarray, zoom_range: Sequence[float], *where: Any, **options: Any
) -> np.ndarray:
    """Zoom a picture at random, each direction for itself.

    Args:
        x: array of three axes.
        zoom_range: (lowest, highest) zoom; below 1 things grow.
        *where: row_axis=1 and so on, as in `random_rotation`.
        **options: the same by name.

    Raises:
        ValueError: if `zoom_range` is not a pair.

    Example:
        >>> staghorn.preprocessing.image.random_zoom(np.ones((3, 8, 8)), (0.5, 1.5)).shape
        (3, 8, 8)
    """
    low, high = pair("random_zoom", "zoom_range", zoom_range)
    zx, zy = (1, 1) if low == high == 1 else np.random.uniform(low, high, 2)
    return _affine(x, where, options, zx=zx, zy=zy)


def random_channel_shift(
    x: np.ndarray, intensity_range: float, channel_axis: int = 0
) -> np.ndarray:
    """Add a random number to all values, as `apply_channel_shift`.

    Args:
        x: array of three axes.
        intensity_range: the number is between -intensity_range and intensity_range.
        channel_axis: taken for compatibility; has no effect.

    Example:
        >>> staghorn.preprocessing.image.random_channel_shift(np.ones((3, 8, 8)), 0.1).shape
        (3, 8, 8)
    """
    return apply_channel_shift(x, np.random.uniform(-intensity_range, intensity_range))


def random_brightness(
    x: np.ndarray, brightness_range: Sequence[float], scale: bool = True
) -> np.ndarray:
    """Make a picture brighter or darker at random.

    Args:
        x: array of three axes.
        brightness_range: (lowest, highest) brightness; 1.0 is the picture itself.
        scale: see `apply_brightness_shift`. Default: True.

    Raises:
        ValueError: if `brightness_range` is not a pair.

    Example:
        >>> staghorn.preprocessing.image.random_brightness(np.ones((8, 8, 3)), (0.5, 1.5)).shape
        (8, 8, 3)
    """
    brightness = np.random.uniform(*pair("random_brightness", "brightness_range", brightness_range))
    return apply_brightness_shift(x, brightness, scale)


def pair(function: str, name: str, value: Any) -> tuple[float, float]:
    """Return two numbers, or raise.

    Example:
        >>> from staghorn.preprocessing.transforms import pair
        >>> pair("random_zoom", "zoom_range", [0.5, 1.5])
        (0.5, 1.5)
    """
    if np.shape(value) != (2,):
        raise ValueError(f"{function}: {name} must be two numbers (low, high), got {value!r}.")
    return value[0], value[1]
