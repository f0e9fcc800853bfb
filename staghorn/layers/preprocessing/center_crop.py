"""CenterCrop: keep the middle of images."""

from collections.abc import Sequence
from typing import Any

import jax

from staghorn.layers.preprocessing.resizing import SizedImageLayer, middle
from staghorn.ops.bounding_boxes import moved_by_window
from staghorn.ops.image import resize
from staghorn.ops.image_sampling import spatial_axes


class CenterCrop(SizedImageLayer):
    """Cut images to a height and width, keeping the middle.

    (batch, h, w, channels) → (batch, height, width, channels)

    An image that is too small is enlarged until it covers the target, and cut then.

    Args:
        height: height of the result.
        width: width of the result.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `bounding_box_format`, `name`, `dtype`, ... as for every image layer.

    Raises:
        ValueError: if a size is not a positive int, or for images of another rank.

    Example:
        >>> layer = staghorn.layers.CenterCrop(1, 2)
        >>> np.asarray(layer(np.arange(12.0).reshape(1, 3, 4, 1))).ravel().tolist()
        [5.0, 6.0]
    """

    def __init__(
        self, height: int, width: int, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(height, width, data_format=data_format, **kwargs)

    def transform_images(
        self, images: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        images = images.astype(self.compute_dtype)
        axes = spatial_axes(self._channels_first)
        start, kept = self._window([images.shape[axis] for axis in axes])
        for axis, first, size in zip(axes, start, kept, strict=True):
            images = jax.lax.slice_in_dim(images, first, first + size, axis=axis)
        wanted = (self.height, self.width)
        return images if kept == wanted else resize(images, wanted, data_format=self.data_format)

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        before, after = self._size(transformation), (self.height, self.width)
        start, kept = self._window(before)
        return self._move_boxes(
            bounding_boxes,
            lambda boxes: moved_by_window(boxes, start, kept, after),
            before,
            after,
        )

    def _window(self, lengths: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return where the part that is kept begins, and its size."""
        wanted = (self.height, self.width)
        spare = tuple(n - size for n, size in zip(lengths, wanted, strict=True))
        if min(spare) < 0:
            return middle(lengths, wanted)
        return tuple(left // 2 for left in spare), wanted
