"""CenterCrop: keep the middle of images."""

from typing import Any

import jax

from staghorn.engine.arguments import Positive
from staghorn.layers.preprocessing.image_layer import ImageLayer
from staghorn.layers.preprocessing.resizing import resized_shape
from staghorn.ops.image import resize
from staghorn.ops.image_sampling import spatial_axes


class CenterCrop(ImageLayer):
    """Cut images to a height and width, keeping the middle.

    (batch, h, w, channels) → (batch, height, width, channels)

    An image that is too small is enlarged until it covers the target, and cut then.

    Args:
        height: height of the result.
        width: width of the result.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: if a size is not a positive int, or for images of another rank.

    Example:
        >>> layer = staghorn.layers.CenterCrop(1, 2)
        >>> np.asarray(layer(np.arange(12.0).reshape(1, 3, 4, 1))).ravel().tolist()
        [5.0, 6.0]
    """

    arguments = {**ImageLayer.arguments, "height": Positive(int), "width": Positive(int)}

    def __init__(
        self, height: int, width: int, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height = height
        self.width = width

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = images.astype(self.compute_dtype)
        wanted = (self.height, self.width)
        axes = spatial_axes(self._channels_first)
        spare = [images.shape[axis] - size for axis, size in zip(axes, wanted, strict=True)]
        if min(spare) < 0:
            return resize(images, wanted, crop_to_aspect_ratio=True, data_format=self.data_format)
        for axis, size, left in zip(axes, wanted, spare, strict=True):
            images = jax.lax.slice_in_dim(images, left // 2, left // 2 + size, axis=axis)
        return images

    def _image_shape(self, shape: tuple) -> tuple:
        return resized_shape(shape, self.height, self.width, self._channels_first)
