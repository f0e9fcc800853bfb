"""RandomFlip: mirror images."""

from typing import Any

import jax.numpy as jnp

from staghorn import random
from staghorn.engine.arguments import Options
from staghorn.layers.preprocessing.image_layer import images_of
from staghorn.layers.preprocessing.random_transform import RandomImageLayer
from staghorn.ops.image_sampling import spatial_axes

_MODES = {
    "horizontal": (1,),
    "vertical": (0,),
    "horizontal_and_vertical": (1, 0),
}  # mode -> which of (height, width) are turned round


class RandomFlip(RandomImageLayer):
    """Mirror each image with a probability of one half, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)

    Args:
        mode: "horizontal" (left becomes right), "vertical" or "horizontal_and_vertical".
            Default: "horizontal_and_vertical".
        seed: int. Default: None, drawn from Python's `random`.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `bounding_box_format`, `name`, `dtype`, ... as for every image layer.

    Raises:
        ValueError: for an unknown mode or images of another rank.

    Example:
        >>> layer = staghorn.layers.RandomFlip("horizontal", seed=1)
        >>> image = np.arange(3.0).reshape(1, 1, 3, 1)
        >>> row = np.asarray(layer(image, training=True)).ravel().tolist()
        >>> row in ([0.0, 1.0, 2.0], [2.0, 1.0, 0.0])
        True

    Notes: as in Keras, "horizontal_and_vertical" does both or neither: one draw per image. Boxes
    that leave the image are cut off at all four edges; in Keras at two.
    """

    arguments = {**RandomImageLayer.arguments, "mode": Options(*_MODES)}

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.mode = mode

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any] | None:
        if not training:
            return None
        batch, _, _ = self._sizes(data)
        flips = random.uniform((batch, 1, 1, 1), seed=self._source(seed)) <= 0.5
        return {"flips": flips, "input_shape": images_of(data).shape}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = images.astype(self.compute_dtype)
        if transformation is None:
            return images
        axes = spatial_axes(self._channels_first)
        turned = jnp.flip(images, [axes[which] for which in _MODES[self.mode]])
        return jnp.where(transformation["flips"], turned, images)

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        if transformation is None:
            return bounding_boxes
        size = self._size(transformation)

        def mirror(boxes: Any) -> Any:
            sides = [boxes[..., k] for k in range(4)]  # left, top, right, bottom
            for axis in _MODES[self.mode]:
                near, far = 1 - axis, 3 - axis
                sides[near], sides[far] = size[axis] - sides[far], size[axis] - sides[near]
            flips = jnp.squeeze(transformation["flips"], -1)
            return jnp.where(flips, jnp.stack(sides, axis=-1), boxes)

        return self._move_boxes(bounding_boxes, mirror, size)
