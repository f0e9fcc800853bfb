"""RandomShear: slant images."""

from typing import Any

import jax.numpy as jnp

from staghorn import random
from staghorn.layers.preprocessing.random_transform import Factor, RandomAffineLayer, bounds


class RandomShear(RandomAffineLayer):
    """Slant each image along its rows, its columns or both by a random amount, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    x ← x + s_x y, y ← y + s_y x, s ~ Uniform(factor), both with one random sign

    Args:
        x_factor: in [0, 1]: x for (-x, x), or a pair (lower, upper). Default: 0.
        y_factor: the same along the columns. Default: 0.
        interpolation: "nearest" or "bilinear". Default: "bilinear".
        fill_mode: what lies outside the image: "reflect", "wrap", "constant" or "nearest".
            Default: "reflect".
        fill_value: the constant. Default: 0.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `bounding_box_format`, `name`, `dtype`, ... as for every image layer.

    Raises:
        ValueError: for other factors or options, or images of another rank.

    Example:
        >>> layer = staghorn.layers.RandomShear(x_factor=0.3, seed=1)
        >>> layer(np.ones((2, 8, 8, 3), "float32"), training=True).shape
        (2, 8, 8, 3)

    Notes: a single number is written to the configuration as (-x, x), and read again; Keras writes
    the same and refuses to read it. Boxes hold the slanted object; those of Keras do so only in
    square images that are slanted one way.
    """

    def __init__(
        self,
        x_factor: Factor = 0.0,
        y_factor: Factor = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            fill_mode, interpolation, seed, fill_value, data_format=data_format, **kwargs
        )
        self.x_factor = bounds(type(self).__name__, "x_factor", x_factor, -1, 1)
        self.y_factor = bounds(type(self).__name__, "y_factor", y_factor, -1, 1)

    def _draw_matrix(self, batch: int, height: int, width: int, seed: Any) -> list[Any]:
        def draw(low: float, high: float) -> Any:
            return random.uniform((batch,), low, high, dtype=self.compute_dtype, seed=seed)

        sign = jnp.where(draw(0, 1) > 0.5, -1.0, 1.0).astype(self.compute_dtype)
        down = draw(*self.y_factor) * sign
        across = draw(*self.x_factor) * sign
        return [1.0, across, 0.0, down, 1.0, 0.0]
