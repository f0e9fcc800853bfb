"""RandomElasticTransform: pull images about like rubber."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import random
from staghorn.engine.arguments import Options
from staghorn.layers.preprocessing.colour_layer import ColourLayer, strength
from staghorn.layers.preprocessing.random_transform import Factor, RandomAffineLayer
from staghorn.ops.image_sampling import (
    FILL_MODES,
    INTERPOLATIONS,
    batch_index,
    batched_last,
    restored,
    sample,
)


class RandomElasticTransform(RandomAffineLayer):
    """Shift the pixels of each image by a smooth random field, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    shift = 0.1 s max(height, width) * blurred noise of width 0.05 s min(height, width),
    s ~ Uniform(scale), one for the whole batch

    Args:
        factor: probability that an image is touched: x for one drawn from (0, x), or a pair
            (lower, upper) for one drawn between them. Default: 1.
        scale: strength, a number in [0, 1] for (0, x), or a pair (lower, upper). Default: 1.
        interpolation: "nearest" or "bilinear". Default: "bilinear".
        fill_mode: what lies outside the image: "constant", "nearest", "wrap", "mirror" or
            "reflect". Default: "reflect".
        fill_value: the constant. Default: 0.
        value_range: (lowest, highest) value of a pixel; results are clipped to it.
            Default: (0, 255).
        seed: int. Default: None, drawn from Python's `random`.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `bounding_box_format`, `name`, `dtype`, ... as for every image layer.

    Raises:
        ValueError: for other factors or options, or images of another rank.

    Example:
        >>> layer = staghorn.layers.RandomElasticTransform(seed=1)
        >>> layer(np.ones((2, 8, 8, 3), "float32"), training=True).shape
        (2, 8, 8, 3)

    Notes: masks move as their images do, and are not clipped; Keras draws another field for them.
    Boxes stay, as the shifts are small; Keras fails on them. It works in compiled programs.
    """

    arguments = {
        **RandomAffineLayer.arguments,
        "fill_mode": Options(*FILL_MODES),
        "value_range": ColourLayer.arguments["value_range"],
    }

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            fill_mode, interpolation, seed, fill_value, data_format=data_format, **kwargs
        )
        self.factor = strength(type(self).__name__, factor, 0, 1)
        self.scale = strength(type(self).__name__, scale, 0, 1, "scale")
        self.value_range = value_range

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any] | None:
        if not training or self.scale[1] == 0 or self.factor[1] == 0:
            return None
        batch, height, width = self._sizes(data)
        seed = self._source(seed)
        chosen = self._chosen(self.factor, batch, seed)
        amount = random.uniform((), *self.scale, dtype=self.compute_dtype, seed=seed)
        noise = random.normal((batch, height, width), dtype=self.compute_dtype, seed=seed)
        if isinstance(data, dict) and "segmentation_masks" in data:
            random.draw_seed(seed)  # Keras's field for the masks: later draws stay equal to its
        sigma = (min(height, width) * (0.05 * amount)).astype("float32")
        alpha = (max(height, width) * (0.1 * amount)).astype("float32")
        widest = min(height, width) * 0.05 * self.scale[1]
        down, across = (blurring(length, sigma, widest) for length in (height, width))
        field = noise.astype("float32") * sigma
        field = jnp.einsum("ih,bhw,wj->bij", down, field, across, precision="highest")
        shift = jnp.where(jnp.reshape(chosen, (-1, 1, 1)), alpha * field, 0.0)
        return {"shift": shift}  # (batch, height, width), the same down and across

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = super().transform_images(images, transformation, training=training)
        return images if transformation is None else jnp.clip(images, *self.value_range)

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        """Leave the boxes as they are."""
        del transformation, training
        return bounding_boxes

    def _moved(self, images: Any, transformation: Any, interpolation: str) -> jax.Array:
        if transformation is None:
            return images
        shift = transformation["shift"]
        batch = batched_last(images, self._channels_first)
        _, height, width, _ = batch.shape
        y = shift + jnp.reshape(jnp.arange(height, dtype=shift.dtype), (1, -1, 1))
        x = shift + jnp.reshape(jnp.arange(width, dtype=shift.dtype), (1, 1, -1))
        order = INTERPOLATIONS.index(interpolation)
        lead = (batch_index(batch),)
        moved = sample(batch, lead, (y, x), order, self.fill_mode, self.fill_value)
        return restored(moved, images, self._channels_first)


def blurring(length: int, sigma: jax.Array, widest: float) -> jax.Array:
    """Return the matrix that smooths an axis with a bell, zeros outside: (length, length).

    The bell ends where `ops.image.gaussian_blur` of int(6 * sigma) | 1 points ends it, but `sigma`
    may be a traced number, of at most `widest`.
    """
    sigma = jnp.maximum(sigma, 1e-6)
    half = jnp.floor(6 * sigma) // 2

    def bell(offset: jax.Array) -> jax.Array:
        offset = jnp.abs(offset).astype("float32")
        return jnp.where(offset <= half, jnp.exp(-0.5 * (offset / sigma) ** 2), 0.0)

    reach = int(3 * widest) + 1
    places = jnp.arange(length)
    offsets = jnp.expand_dims(places, 1) - jnp.expand_dims(places, 0)
    return bell(offsets) / jnp.sum(bell(jnp.arange(-reach, reach + 1)))
