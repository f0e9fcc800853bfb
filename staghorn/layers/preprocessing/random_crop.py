"""RandomCrop: keep a random part of images."""

from typing import Any

import jax

from staghorn import random
from staghorn.layers.preprocessing.image_layer import images_of
from staghorn.layers.preprocessing.random_transform import RandomImageLayer
from staghorn.layers.preprocessing.resizing import SizedImageLayer, middle
from staghorn.ops.bounding_boxes import moved_by_window
from staghorn.ops.image import resize
from staghorn.ops.image_sampling import spatial_axes


class RandomCrop(RandomImageLayer, SizedImageLayer):
    """Cut images to a height and width: at a random place in training, in the middle otherwise.

    (batch, h, w, channels) → (batch, height, width, channels)

    One place is drawn for a batch. At inference, the largest part in the middle that has the
    proportions of the result is resized to it; in training, an image that is not larger than the
    result is cut in the middle, and resized where that is too small.

    Args:
        height: height of the result.
        width: width of the result.
        seed: int. Default: None, drawn from Python's `random`.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        name: name of the layer.
        **kwargs: `bounding_box_format`, `dtype`, ... as for every image layer.

    Raises:
        ValueError: if a size is not a positive int, or for images of another rank.

    Example:
        >>> layer = staghorn.layers.RandomCrop(2, 3, seed=1)
        >>> images = np.ones((4, 6, 8, 3), "float32")
        >>> layer(images, training=True).shape, layer(images, training=False).shape
        ((4, 2, 3, 3), (4, 2, 3, 3))

    Notes: Keras 3 returns images uncut at inference, against its documentation and its
    `compute_output_shape`. Boxes follow the images, and are cut off at all four edges; Keras
    exchanges their x and y. Masks are resized without mixing their classes. Without a seed the
    configuration has none; Keras writes one there that it does not use.
    """

    arguments = {**SizedImageLayer.arguments, **RandomImageLayer.arguments}

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if seed is None:
            random.make_default_seed()  # Keras draws one for the configuration, and then its own
        super().__init__(
            seed=seed, height=height, width=width, data_format=data_format, name=name, **kwargs
        )

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any]:
        _, *lengths = self._sizes(data)
        start, _ = self._window(lengths, training)
        if start is None:
            source = self._source(seed)
            start = tuple(
                random.uniform((), 0, float(length - size + 1), seed=source).astype("int32")
                for length, size in zip(lengths, (self.height, self.width), strict=True)
            )
        return {"start": start, "input_shape": images_of(data).shape}

    def _window(self, lengths: list[int], training: bool) -> tuple[Any, tuple[int, ...]]:
        """Return where the part that is kept begins, None if that is drawn, and its size."""
        wanted = (self.height, self.width)
        pairs = list(zip(lengths, wanted, strict=True))
        if training and all(length > size for length, size in pairs):
            return None, wanted
        start, fitted = middle(lengths, wanted)
        if not training:
            return start, fitted
        # In training Keras cuts to the size of the result, and not to its proportions.
        kept = (min(size, n - first) for (n, size), first in zip(pairs, start, strict=True))
        return start, tuple(kept)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._cut(images, transformation, training, "bilinear")

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """Cut the masks as the images, without mixing their classes."""
        return self._cut(segmentation_masks, transformation, training, "nearest")

    def _cut(self, images: Any, transformation: Any, training: bool, interpolation: str) -> Any:
        images = images.astype(self.compute_dtype)
        axes = spatial_axes(self._channels_first)
        _, kept = self._window([images.shape[axis] for axis in axes], training)
        for axis, first, size in zip(axes, transformation["start"], kept, strict=True):
            images = jax.lax.dynamic_slice_in_dim(images, first, size, axis=axis)
        wanted = (self.height, self.width)
        if kept == wanted:
            return images
        return resize(images, wanted, interpolation, data_format=self.data_format)

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        before, after = self._size(transformation), (self.height, self.width)
        _, kept = self._window(list(before), training)
        start = transformation["start"]
        return self._move_boxes(
            bounding_boxes,
            lambda boxes: moved_by_window(boxes, start, kept, after),
            before,
            after,
        )
