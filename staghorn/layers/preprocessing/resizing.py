"""Resizing: bring images to one size."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from staghorn.engine.arguments import Is, Options, Positive
from staghorn.layers.preprocessing.image_layer import ImageLayer, images_of
from staghorn.ops.bounding_boxes import placed
from staghorn.ops.image import resize
from staghorn.ops.image_sampling import spatial_axes


class SizedImageLayer(ImageLayer):
    """Base of layers whose results have one height and width.

    Args:
        height: height of the result.
        width: width of the result.
        **kwargs: `data_format`, `name`, `dtype`, ... as for every image layer.
    """

    arguments = {**ImageLayer.arguments, "height": Positive(int), "width": Positive(int)}

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height = height
        self.width = width

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any]:
        """Draw nothing, and tell the boxes how large the images were."""
        del training, seed
        return {"input_shape": images_of(data).shape}

    def _image_shape(self, shape: tuple) -> tuple:
        sizes = list(shape)
        for axis, size in zip(
            spatial_axes(self._channels_first), (self.height, self.width), strict=True
        ):
            sizes[axis] = size
        return tuple(sizes)


def middle(
    lengths: Sequence[int], wanted: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return where the largest part with the wanted proportions begins, and its size.

    Example:
        >>> from staghorn.layers.preprocessing.resizing import middle
        >>> middle((6, 8), (3, 3))
        ((0, 1), (6, 6))
    """
    (height, width), (rows, columns) = lengths, wanted
    fitted = int(float(width * rows) / columns), int(float(height * columns) / rows)
    kept = tuple(max(min(n, fit), 1) for n, fit in zip(lengths, fitted, strict=True))
    return tuple((n - size) // 2 for n, size in zip(lengths, kept, strict=True)), kept


class Resizing(SizedImageLayer):
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
        **kwargs: `bounding_box_format`, `name`, `dtype`, ... as for every image layer.

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
        **SizedImageLayer.arguments,
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
        super().__init__(height, width, data_format=data_format, **kwargs)
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

    def transform_images(
        self, images: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        return self._resized(images, self.interpolation)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool = True
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

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        given = bounding_boxes["boxes"]
        empty = jnp.all(given == -1, axis=-1, keepdims=True)
        empty |= jnp.all(given == 0, axis=-1, keepdims=True)  # both ways of padding stay zeros
        before, after = self._size(transformation), (self.height, self.width)

        def move(boxes: Any) -> Any:
            return jnp.where(empty, jnp.zeros_like(boxes), placed(boxes, *self._placing(before)))

        return self._move_boxes(bounding_boxes, move, before, after)

    def _placing(self, before: Sequence[int]) -> tuple[list[float], list[float]]:
        """Return by what boxes are multiplied, and what is added to them: along x, along y."""
        wanted = (self.width, self.height)
        ratios = [size / length for size, length in zip(wanted, before[::-1], strict=True)]
        if not (self.pad_to_aspect_ratio or self.crop_to_aspect_ratio):
            return ratios, [0.0, 0.0]
        one = min(ratios) if self.pad_to_aspect_ratio else max(ratios)
        spare = [size - length * one for size, length in zip(wanted, before[::-1], strict=True)]
        if self.pad_to_aspect_ratio:
            return [one, one], [left // 2 for left in spare]
        return [one, one], [-(-left // 2) for left in spare]

    def _image_dtype(self, dtype: str) -> str:
        return self._kept_dtype(dtype)
