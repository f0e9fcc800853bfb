"""RandomPosterization: keep few bits of each colour."""

from typing import Any

import jax.numpy as jnp

from staghorn import random
from staghorn.layers.preprocessing.colour_layer import RandomColourLayer, rescaled


class RandomPosterization(RandomColourLayer):
    """Keep the highest bits of each colour, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    y = x with all but its `bits` highest of 8 bits set to zero, bits ∈ {lower, …, upper - 1}

    Args:
        factor: number of bits: a pair (lower, upper) that reaches into [1, 8]; x in [1, 8] stands
            for (1, x). Where both are equal, that many.
        value_range: (lowest, highest) value of a pixel. Default: (0, 255).
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors or ranges, or images of another rank.

    Example:
        >>> images = np.array([[[[31.0, 100.0, 255.0]]]], "float32")
        >>> out = staghorn.layers.RandomPosterization((2, 2))(images, training=True)
        >>> np.asarray(out).ravel().tolist()
        [0.0, 64.0, 192.0]

    Notes: upper itself is never drawn, as in Keras: (3, 4) keeps 3 bits. Nothing is drawn at
    inference; Keras draws.

    Reference: https://arxiv.org/abs/1805.09501
    """

    limits = (1, 8)

    def _draw(self, batch: int, seed: Any) -> dict[str, Any]:
        lower, upper = map(int, self.factor)
        shape = (batch, 1, 1, 1)
        if lower == upper:
            return {"shift_factor": jnp.full(shape, 8 - lower, "uint8")}
        return {"shift_factor": 8 - random.randint(shape, lower, upper, "uint8", seed=seed)}

    def _recolour(self, images: Any, shift_factor: Any) -> Any:
        whole = rescaled(images, self.value_range, (0, 255)).astype("uint8")
        kept = (whole >> shift_factor) << shift_factor
        return rescaled(kept.astype(images.dtype), (0, 255), self.value_range)
