"""Pictures in files and in arrays; Pillow reads and writes them."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from staghorn import config as defaults
from staghorn.engine.registry import suggestion
from staghorn.ops import image as image_ops
from staghorn.saving.atomic import replacing_file

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]

_LAYOUTS = ("channels_last", "channels_first")
# color_mode → (Pillow's mode, modes of files that are taken as they are)
_MODES = {
    "grayscale": ("L", ("L", "I;16", "I")),
    "rgb": ("RGB", ("RGB",)),
    "rgba": ("RGBA", ("RGBA",)),
}
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def load_img(
    path: Any, color_mode: str | bool = "rgb", target_size: Sequence[int] | None = None,
    interpolation: str = "nearest", keep_aspect_ratio: bool = False, grayscale: bool = False,
) -> Image:  # fmt: skip
    """Read a picture from a file.

    Args:
        path: name of the file, or an open binary file such as `io.BytesIO`.
        color_mode: "rgb", "rgba" or "grayscale" (which keeps 16 and 32 bits). Default: "rgb".
        target_size: (height, width) to bring it to. Default: None (as it is).
        interpolation: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".
            Default: "nearest".
        keep_aspect_ratio: bool, whether to cut the middle out before resizing, instead of
            stretching. Default: False.
        grayscale: bool, the oldest way to say `color_mode="grayscale"`. Default: False.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        ValueError: if an option is unknown.
        PIL.UnidentifiedImageError: if Pillow cannot read the file.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> staghorn.utils.save_img(file, np.zeros((4, 6, 3)), file_format="png")
        >>> picture = staghorn.utils.load_img(file, target_size=(2, 3))
        >>> picture.size, picture.mode
        ((3, 2), 'RGB')

    Reference: https://keras.io/api/data_loading/image/#loadimg-function
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(color_mode, bool):  # load_img(path, True): `grayscale` came second once
        color_mode = "grayscale" if color_mode else "rgb"
    mode, kept = _MODES[check_option("load_img", "color_mode", color_mode, _MODES)]
    if grayscale:
        mode, kept = _MODES["grayscale"]
    if not isinstance(path, (str, bytes, os.PathLike)) and not hasattr(path, "read"):
        raise TypeError(
            "load_img: path must be the name of a file or an open binary file, got "
            f"{type(path).__name__}."
        )
    if not hasattr(path, "read"):
        with open(path, "rb") as file:
            content = io.BytesIO(file.read())
    try:
        picture: Image.Image = Image.open(path if hasattr(path, "read") else content)
    except UnidentifiedImageError as error:
        raise UnidentifiedImageError(
            f"load_img: {path!r} is not a picture, or not in a format that Pillow reads."
        ) from error
    if grayscale or picture.mode not in kept:
        picture = picture if picture.mode in kept else picture.convert(mode)
    if target_size is None or picture.size == (target_size[1], target_size[0]):
        return picture
    check_option("load_img", "interpolation", interpolation, _INTERPOLATIONS)
    method = Image.Resampling[interpolation.upper()]
    box = _middle(picture.size, target_size) if keep_aspect_ratio else None
    return picture.resize((target_size[1], target_size[0]), method, box=box)


def _middle(size: tuple[int, int], target_size: Sequence[int]) -> tuple[int, int, int, int]:
    """Return (left, upper, right, lower) of the largest part with the target's proportions."""
    (width, height), (target_height, target_width) = size, target_size
    cut_height = min(height, width * target_height // target_width)
    cut_width = min(width, height * target_width // target_height)
    left, upper = (width - cut_width) // 2, (height - cut_height) // 2
    return left, upper, left + cut_width, upper + cut_height


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """Turn a picture into an array.

    (height, width) or (height, width, channels) → (height, width, channels)

    Args:
        img: a `PIL.Image.Image`, or an array of two or three axes.
        data_format: "channels_last" or "channels_first", the layout of the result.
            Default: None (`image_data_format()`).
        dtype: its type. Default: None (`floatx()`).

    Raises:
        ValueError: if it has another number of axes.

    Example:
        >>> from PIL import Image
        >>> staghorn.utils.img_to_array(Image.new("RGB", (6, 4))).shape
        (4, 6, 3)

    Reference: https://keras.io/api/data_loading/image/#imgtoarray-function
    """
    first = _layout("img_to_array", data_format) == "channels_first"
    pixels = np.asarray(img, dtype=dtype or defaults.floatx())
    if pixels.ndim == 2:
        return np.expand_dims(pixels, 0 if first else 2)
    if pixels.ndim != 3:
        raise ValueError(
            "img_to_array: a picture has shape (height, width) or (height, width, channels), "
            f"got {pixels.shape}."
        )
    return pixels.transpose(2, 0, 1) if first else pixels


def array_to_img(
    x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None
) -> Image:
    """Turn an array into a picture.

    (height, width, channels) → a picture of one channel (grey), three (RGB) or four (RGBA)

    Args:
        x: array of three axes.
        data_format: "channels_last" or "channels_first", its layout.
            Default: None (`image_data_format()`).
        scale: bool, whether its smallest value becomes 0 and its largest one 255; False for
            values that are from 0 to 255 already. Default: True.
        dtype: type in which this is computed. Default: None (`floatx()`).

    Returns:
        A `PIL.Image.Image`; of one channel with values above 255, one of 32 bits.

    Raises:
        ValueError: if the shape is not that of a picture.

    Example:
        >>> picture = staghorn.utils.array_to_img(np.eye(4)[..., None])
        >>> picture.mode, picture.getpixel((1, 1)), picture.getpixel((0, 1))
        ('L', 255, 0)

    Reference: https://keras.io/api/data_loading/image/#arraytoimg-function
    """
    from PIL import Image

    first = _layout("array_to_img", data_format) == "channels_first"
    x = np.asarray(x, dtype=dtype or defaults.floatx())
    if x.ndim != 3:
        hint = " Take one picture of the batch: x[0]." if x.ndim == 4 else ""
        raise ValueError(
            f"array_to_img: one picture has three axes, got an array of shape {x.shape}.{hint}"
        )
    if first:
        x = x.transpose(1, 2, 0)  # (height, width, channels)
    if scale:
        x = x - np.min(x)
        highest = np.max(x)
        x = (x / highest if highest != 0 else x) * 255
    if x.shape[2] not in (1, 3, 4):
        raise ValueError(
            f"array_to_img: a picture has 1, 3 or 4 channels, got {x.shape[2]} "
            f"(shape {x.shape} as height, width, channels). Is data_format right?"
        )
    if x.shape[2] == 1:
        return Image.fromarray(x[:, :, 0].astype("int32" if np.max(x) > 255 else "uint8"))
    return Image.fromarray(x.astype("uint8"))


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array to a file as a picture.

    Args:
        path: name of the file, or an open binary file.
        x: array of three axes.
        data_format: "channels_last" or "channels_first", its layout.
            Default: None (`image_data_format()`).
        file_format: such as "png". Default: None (from the name's ending).
        scale: see `array_to_img`. Default: True.
        **kwargs: passed to `PIL.Image.Image.save`, such as `quality=90`.

    Raises:
        ValueError: if there is no format, or an unknown one.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "grey.png"
        >>> staghorn.utils.save_img(path, np.full((2, 2, 1), 128.0), scale=False)
        >>> staghorn.utils.load_img(path, "grayscale").getpixel((0, 0))
        128

    Notes: The file is the old one or the whole new one, also if the program is interrupted.

    Reference: https://keras.io/api/data_loading/image/#saveimg-function
    """
    from PIL import Image

    named = isinstance(path, (str, os.PathLike))
    if file_format is None and named:
        file_format = os.path.splitext(os.fspath(path))[1][1:]
    formats = Image.registered_extensions()  # {".jpg": "JPEG", ...}
    name = formats.get(f".{file_format or ''}".lower(), (file_format or "").upper())
    if name not in Image.SAVE:
        raise ValueError(
            f"save_img: {file_format!r} is not a format of pictures that Pillow writes; "
            "end the file's name with .png, or pass file_format='png'."
        )
    picture = array_to_img(x, data_format=data_format, scale=scale)
    if picture.mode == "RGBA" and name == "JPEG":
        warnings.warn(
            "save_img: a JPEG file has no transparency; the picture is written as RGB.",
            stacklevel=2,
        )
        picture = picture.convert("RGB")
    if not named:
        picture.save(path, format=name, **kwargs)
        return
    with replacing_file(path) as file:
        picture.save(file, format=name, **kwargs)


def smart_resize(
    x: Any,
    size: Sequence[int],
    interpolation: str = "bilinear",
    data_format: str | None = "channels_last",
) -> Any:
    """Resize pictures without distortion: the middle is cut out first.

    (..., height, width, channels) → (..., size[0], size[1], channels)

    Args:
        x: a picture or a batch of pictures.
        size: (height, width) of the result.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
            Default: "bilinear".
        data_format: "channels_last" or "channels_first"; None: `image_data_format()`.
            Default: "channels_last".

    Returns:
        A NumPy array for a NumPy array, else a JAX array.

    Raises:
        ValueError: if `size` is not a pair, or x has not three or four axes.

    Example:
        >>> wide = np.ones((4, 16, 3), "float32")
        >>> staghorn.preprocessing.image.smart_resize(wide, (2, 2)).shape
        (2, 2, 3)

    Reference: https://keras.io/api/data_loading/image/
    """
    if len(size) != 2:
        raise ValueError(f"smart_resize: size must be (height, width), got {size!r}.")
    resized = image_ops.resize(
        x, size, interpolation, crop_to_aspect_ratio=True, data_format=data_format
    )
    return np.array(resized) if isinstance(x, np.ndarray) else resized


def _layout(function: str, data_format: str | None) -> str:
    value = defaults.image_data_format() if data_format is None else str(data_format).lower()
    return check_option(function, "data_format", value, _LAYOUTS)


def check_option(function: str, name: str, value: Any, known: Collection[Any]) -> Any:
    """Return an argument's value if it is one of the known ones, or raise.

    Example:
        >>> from staghorn.utils.image import check_option
        >>> check_option("load_img", "color_mode", "rgb", ("rgb", "rgba"))
        'rgb'
    """
    if value not in known:
        hint = suggestion(str(value), [option for option in known if option])
        raise ValueError(
            f"{function}: {name} must be one of {', '.join(map(repr, known))}, got {value!r}.{hint}"
        )
    return value
