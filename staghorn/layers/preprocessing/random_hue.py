"""RandomHue: turn the colours of an image round the colour wheel."""

from typing import Any

import jax.numpy as jnp

from staghorn import random
from staghorn.layers.preprocessing.colour_layer import RandomColourLayer, recoloured


class RandomHue(RandomColourLayer):
    """Turn the hue of each image at random, in training only.

    (batch, height, width, 3) → (batch, height, width, 3)
    hue ← (hue ± factor / 2) mod 1, factor ~ Uniform(lower, upper), either sign with chance 1/2

    Args:
        factor: a pair (lower, upper) that reaches into [0, 1]; x in [0, 1] stands for (0, x).
        value_range: (lowest, highest) value of a pixel. Default: (0, 255).
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors or ranges, or images without 3 channels.

    Example:
        >>> red = np.array([[[[1.0, 0.0, 0.0]]]], "float32")
        >>> out = staghorn.layers.RandomHue((1.0, 1.0), (0, 1), seed=1)(red, training=True)
        >>> np.asarray(out).round(3).ravel().tolist()  # half the wheel away: cyan
        [0.0, 1.0, 1.0]

    Notes: halves are computed in float32. Nothing is drawn at inference; Keras draws.
    """

    ordered_range = False

    def _draw(self, batch: int, seed: Any) -> dict[str, Any]:
        sign = jnp.where(random.uniform((batch, 1, 1, 1), seed=seed) > 0.5, -1.0, 1.0)
        size = random.uniform((batch, 1, 1, 1), *self.factor, seed=seed)
        return {"factor": sign.astype(size.dtype) * size * 0.5}

    def _recolour(self, images: Any, factor: Any) -> Any:
        def turn(hue: Any, *others: Any) -> tuple:
            hue = hue + factor.astype(hue.dtype)
            hue = jnp.where(hue > 1.0, hue - 1.0, hue)
            return jnp.where(hue < 0.0, hue + 1.0, hue), *others

        return self._clipped(recoloured(images, turn, self.value_range, self.data_format))
