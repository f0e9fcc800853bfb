"""RandomInvert: turn images into their negatives."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from staghorn.layers.preprocessing.colour_layer import RandomColourLayer
from staghorn.layers.preprocessing.random_transform import Factor


class RandomInvert(RandomColourLayer):
    """Turn some images into their negatives, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    y = lowest + highest - x with chance p, else x; p ~ Uniform(lower, upper) for each image

    Args:
        factor: the chance: a pair (lower, upper) that reaches into [0, 1]; x in [0, 1] stands for
            (0, x). Default: 1, so that about half of the images change.
        value_range: (lowest, highest) value of a pixel. Default: (0, 255).
        seed: int. Default: None, drawn from Python's `random`.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors or ranges, or images of another rank.

    Example:
        >>> layer = staghorn.layers.RandomInvert((1.0, 1.0), value_range=(0, 1))
        >>> np.asarray(layer(np.full((1, 1, 1, 1), 0.25), training=True)).item()
        0.75

    Notes: Keras forgets the lowest value, so that with (-1, 1) its negatives leave the range.
    """

    ordered_range = False

    def __init__(
        self,
        factor: Factor = 1.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, data_format, seed, **kwargs)

    def _draw(self, batch: int, seed: Any) -> dict[str, Any]:
        return {"apply_inversion": self._drawn_for_each(batch, seed)}

    def _recolour(self, images: Any, apply_inversion: Any) -> Any:
        return jnp.where(apply_inversion, sum(self.value_range) - images, images)
