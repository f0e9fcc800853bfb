"""RandomSaturation: make the colours of an image paler or stronger."""

from typing import Any

import jax.numpy as jnp

from staghorn import config, random
from staghorn.layers.preprocessing.colour_layer import RandomColourLayer, recoloured


class RandomSaturation(RandomColourLayer):
    """Make the colours of each image paler or stronger at random, in training only.

    (batch, height, width, 3) → (batch, height, width, 3)
    saturation ← min(saturation * f / (1 - f), 1), f ~ Uniform(lower, upper):
    0 is grey, 0.5 changes nothing, 1 is as strong as can be.

    Args:
        factor: a pair (lower, upper) that reaches into [-1, 1]; x in [-1, 1] stands for (-x, x).
        value_range: (lowest, highest) value of a pixel. Default: (0, 255).
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors or ranges, or images without 3 channels.

    Example:
        >>> images = np.array([[[[0.2, 0.4, 0.6]]]], "float32")
        >>> out = staghorn.layers.RandomSaturation((0.0, 0.0), (0, 1))(images, training=True)
        >>> np.asarray(out).round(3).ravel().tolist()
        [0.6, 0.6, 0.6]

    Notes: a negative f makes grey, as in Keras, so write a pair to strengthen. The lowest value is
    black, and the saturation stays in [0, 1]; Keras takes 0 for black, and keeps the saturation in
    `value_range`, so that with (0, 255) strong colours leave the range. Bytes are taken; Keras
    refuses them. Nothing is drawn at inference; Keras draws.
    """

    limits = (-1, 1)

    def _draw(self, batch: int, seed: Any) -> dict[str, Any]:
        factor = random.uniform((batch, 1, 1, 1), *self.factor, seed=seed)
        return {"factor": factor / (1 - factor + config.epsilon())}

    def _recolour(self, images: Any, factor: Any) -> Any:
        def strengthen(hue: Any, saturation: Any, value: Any) -> tuple:
            return hue, jnp.clip(saturation * factor.astype(hue.dtype), 0, 1), value

        return recoloured(images, strengthen, self.value_range, self.data_format)
