"""Equalization: make all brightnesses equally frequent."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.arguments import Positive
from staghorn.layers.preprocessing.colour_layer import ColourLayer


class Equalization(ColourLayer):
    """Make the values of each channel equally frequent, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    y = 255 * (count(x' <= x) - c) / (pixels - c), c: how many have the lowest value

    Args:
        value_range: (lowest, highest) value of a pixel. Default: (0, 255).
        bins: how many values are told apart. Default: 256.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other ranges or numbers, or images of another rank.

    Example:
        >>> images = np.array([[[[10.0], [10.0], [20.0], [30.0]]]], "float32")
        >>> np.asarray(staghorn.layers.Equalization()(images)).ravel().tolist()
        [0.0, 0.0, 128.0, 255.0]

    Notes: pixels are counted over the whole batch, as in Keras, so an image's result depends on
    the others: give one image at a time to equalize each by itself. A channel of one value stays.
    """

    arguments = {**ColourLayer.arguments, "bins": Positive(int)}

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        bins: int = 256,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format=data_format, **kwargs)
        self.bins = bins

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any] | None:
        """Draw nothing; say whether anything is to be done."""
        del data, seed
        return {} if training else None

    def _recolour(self, images: Any) -> Any:
        low, high = self.value_range
        scale = 255 / (high - low)
        bytes_ = images * scale - low * scale
        axis = -3 if self._channels_first else -1
        each = jax.vmap(equalized, (axis, None), axis)
        return each(bytes_, self.bins) * (1 / scale) + low


def equalized(channel: jax.Array, bins: int) -> jax.Array:
    """Make the values of one channel, 0 to 255, equally frequent: shape → shape."""
    places = (channel.astype("float32") * (bins - 1) / 255).astype("int32")
    counts = jnp.bincount(jnp.clip(places, 0, bins - 1).ravel(), length=bins)
    below = jnp.cumsum(counts)
    lowest = jnp.min(jnp.where(below > 0, below, channel.size))
    others = jnp.maximum(channel.size - lowest, 1).astype("float32")
    table = jnp.clip(jnp.round((below - lowest).astype("float32") * 255 / others), 0, 255)
    # In the order of Keras: x / 255 * 255 may be below x, and then belongs to the bin before.
    places = jnp.clip(channel / 255.0 * (bins - 1), 0, bins - 1).astype("int32")
    return jnp.where(jnp.count_nonzero(counts) <= 1, channel, table[places].astype(channel.dtype))
