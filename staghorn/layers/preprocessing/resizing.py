"""Resizing: bring images to one size."""

from typing import Any

from staghorn.engine.arguments import Is, Options, Positive
from staghorn.engine.dtypes import is_float
from staghorn.layers.preprocessing.image_layer import ImageLayer
from staghorn.ops.image import resize
from staghorn.ops.image_sampling import spatial_axes


class Resizing(ImageLayer):
    """Bring images to a height and width.

    (batch, h, w, channels) → (batch, height, width, channels)

    Args:
        height: height of the result.
        width: width of the result.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
            Default: "bilinear".
        crop_to_aspect_ratio: keep the proportions, cutting off two sides. Default: False.
        pad_to_aspect_ratio: keep the proportions, filling two sides. Default: False.
        fill_mode: "constant", the only one.
        fill_value: what the sides are filled with. Default: 0.
        antialias: smooth before shrinking. Default: False.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: if a size is not a positive int, for unknown options, if asked both to cut and
            to fill, or for images of another rank.

    Example:
        >>> layer = staghorn.layers.Resizing(8, 8)
        >>> layer(np.ones((2, 4, 6, 3), "uint8")).shape
        (2, 8, 8, 3)

    Notes: whole numbers keep their type, rounded.
    """

    arguments = {
        **ImageLayer.arguments,
        "height": Positive(int),
        "width": Positive(int),
        "interpolation": Options("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"),
        "crop_to_aspect_ratio": Is(bool),
        "pad_to_aspect_ratio": Is(bool),
        "fill_mode": Options("constant"),
        "fill_value": Is(float),
        "antialias": Is(bool),
    }

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height = height
        self.width = width
        self.interpolation = interpolation
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_mode = fill_mode
        self.fill_value = fill_value
        self.antialias = antialias
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError(
                f"{type(self).__name__}: crop_to_aspect_ratio and pad_to_aspect_ratio exclude "
                "each other; set one of them to False."
            )

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._resized(images, self.interpolation)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """Resize the masks without mixing their classes."""
        return self._resized(segmentation_masks, "nearest")

    def _resized(self, images: Any, interpolation: str) -> Any:
        return resize(
            images,
            (self.height, self.width),
            interpolation=interpolation,
            antialias=self.antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio,
            pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )

    def _image_shape(self, shape: tuple) -> tuple:
        return resized_shape(shape, self.height, self.width, self._channels_first)

    def _image_dtype(self, dtype: str) -> str:
        return self.compute_dtype if is_float(dtype) and self.autocast else dtype


def resized_shape(shape: tuple, height: int, width: int, channels_first: bool) -> tuple:
    """Return a shape of images with another height and width."""
    sizes = list(shape)
    for axis, size in zip(spatial_axes(channels_first), (height, width), strict=True):
        sizes[axis] = size
    return tuple(sizes)
