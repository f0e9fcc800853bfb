"""RandomRotation: turn images."""

import math
from typing import Any

import jax.numpy as jnp

from staghorn import random
from staghorn.layers.preprocessing.random_transform import Factor, RandomAffineLayer, bounds


class RandomRotation(RandomAffineLayer):
    """Turn each image round its centre by a random angle, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    angle ~ Uniform(factor) of a full turn, counter-clockwise where positive

    Args:
        factor: share of a full turn, in [-1, 1]: x for (-x, x), or a pair (lower, upper).
        fill_mode: what lies outside the image: "reflect", "wrap", "constant" or "nearest".
            Default: "reflect".
        interpolation: "nearest" or "bilinear". Default: "bilinear".
        seed: int. Default: None, drawn from Python's `random`.
        fill_value: the constant. Default: 0.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `bounding_box_format`, `name`, `dtype`, ... as for every image layer.

    Raises:
        ValueError: for other factors or options, or images of another rank.

    Example:
        >>> half_turn = staghorn.layers.RandomRotation((0.5, 0.5))
        >>> image = np.arange(4.0).reshape(2, 2, 1)
        >>> np.asarray(half_turn(image, training=True)).round(3).ravel().tolist()
        [3.0, 2.0, 1.0, 0.0]
    """

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            fill_mode, interpolation, seed, fill_value, data_format=data_format, **kwargs
        )
        self.factor = bounds(type(self).__name__, "factor", factor, -1, 1)

    def _draw_matrix(self, batch: int, height: int, width: int, seed: Any) -> list[Any]:
        lower, upper = (turn * 360.0 for turn in self.factor)
        degrees = random.uniform((batch,), lower, upper, seed=seed)
        cos, sin = jnp.cos(degrees * (math.pi / 180)), jnp.sin(degrees * (math.pi / 180))
        x, y = 0.5 * (width - 1), 0.5 * (height - 1)  # the centre stays where it is
        return [cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos]
