"""AutoContrast: stretch the colours of an image over the whole range."""

from typing import Any

import jax.numpy as jnp

from staghorn.layers.preprocessing.colour_layer import ColourLayer, rescaled
from staghorn.ops.image_sampling import spatial_axes


class AutoContrast(ColourLayer):
    """Stretch each channel of each image over the whole range of values, always.

    (batch, height, width, channels) → (batch, height, width, channels)
    y = lowest + (x - min) / (max - min) * (highest - lowest), min and max over height and width

    Args:
        value_range: (lowest, highest) value of a pixel. Default: (0, 255).
        **kwargs: `data_format`, `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other ranges, or images of another rank.

    Example:
        >>> images = np.array([[[[1.0], [2.0], [3.0]]]], "float32")
        >>> np.asarray(staghorn.layers.AutoContrast()(images)).ravel().tolist()
        [0.0, 127.5, 255.0]

    Notes: a channel of one value stays. Keras takes the minimum over the wrong axes where channels
    come first.
    """

    always = True

    def _recolour(self, images: Any) -> Any:
        values = rescaled(images, self.value_range, (0, 255))
        axes = spatial_axes(self._channels_first)
        low, high = (find(values, axis=axes, keepdims=True) for find in (jnp.min, jnp.max))
        scale = 255.0 / jnp.where(high > low, high - low, 1.0)  # else gradients become NaN
        full = jnp.clip(values * scale - low * scale, 0.0, 255.0)
        return jnp.where(high > low, rescaled(full, (0, 255), self.value_range), images)
