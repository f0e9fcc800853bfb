"""RandomContrast: move pixels from or towards the mean of their channel."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from staghorn import random
from staghorn.layers.preprocessing.colour_layer import RandomColourLayer
from staghorn.layers.preprocessing.random_transform import Factor
from staghorn.ops.image_sampling import spatial_axes


class RandomContrast(RandomColourLayer):
    """Change the contrast of each image at random, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    y = (x - mean) * contrast + mean, mean over height and width,
    contrast ~ Uniform(1 - lower, 1 + upper)

    Args:
        factor: a pair (lower, upper) that reaches into [0, 1]; x in [0, 1] stands for (0, x).
        value_range: (lowest, highest) value of a pixel; results are clipped to it.
            Default: (0, 255).
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `data_format`, `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors or ranges, or images of another rank.

    Example:
        >>> layer = staghorn.layers.RandomContrast((0.5, 1.0), value_range=(0, 1), seed=1)
        >>> layer(np.ones((2, 8, 8, 3), "float32"), training=True).shape
        (2, 8, 8, 3)

    Notes: a single number only strengthens the contrast, as in Keras. Whole numbers always leave
    as floats; in Keras only in training.
    """

    ordered_range = False

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, seed=seed, **kwargs)

    def _draw(self, batch: int, seed: Any) -> dict[str, Any]:
        low, high = 1.0 - self.factor[0], 1.0 + self.factor[1]
        shape = (batch, 1, 1, 1)
        drawn = random.uniform(shape, low, high, dtype=self.compute_dtype, seed=seed)
        return {"contrast_factor": drawn}

    def _recolour(self, images: Any, contrast_factor: Any) -> Any:
        height, width = spatial_axes(self._channels_first)
        # One axis after the other: in half precision the mean is rounded where Keras rounds it.
        mean = jnp.mean(jnp.mean(images, axis=height, keepdims=True), axis=width, keepdims=True)
        return self._clipped((images - mean) * contrast_factor + mean)
