"""RandomTranslation: shift images."""

from typing import Any

from staghorn import random
from staghorn.layers.preprocessing.random_transform import Factor, RandomAffineLayer, bounds


class RandomTranslation(RandomAffineLayer):
    """Shift each image down or up and right or left at random, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    shift ~ Uniform(factor) of the height, and of the width; positive is down, and right

    Args:
        height_factor: share of the height, in [-1, 1]: x for (-x, x), or a pair (lower, upper).
        width_factor: the same for the width.
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
        >>> layer = staghorn.layers.RandomTranslation(0, (0.25, 0.25), fill_mode="constant")
        >>> image = np.arange(1.0, 5.0).reshape(1, 4, 1)
        >>> np.asarray(layer(image, training=True)).ravel().tolist()
        [0.0, 1.0, 2.0, 3.0]
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
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
        self.height_factor = height_factor
        self.width_factor = width_factor
        name = type(self).__name__
        self._height_bounds = bounds(name, "height_factor", height_factor, -1, 1)
        self._width_bounds = bounds(name, "width_factor", width_factor, -1, 1)

    def _draw_matrix(self, batch: int, height: int, width: int, seed: Any) -> list[Any]:
        down = random.uniform((batch,), *self._height_bounds, seed=seed) * height
        right = random.uniform((batch,), *self._width_bounds, seed=seed) * width
        return [1.0, 0.0, -right, 0.0, 1.0, -down]
