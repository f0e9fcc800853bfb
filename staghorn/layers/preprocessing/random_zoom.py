"""RandomZoom: enlarge or shrink images."""

from typing import Any

from staghorn import random
from staghorn.layers.preprocessing.random_transform import Factor, RandomAffineLayer, bounds


class RandomZoom(RandomAffineLayer):
    """Enlarge or shrink the content of each image at random, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    zoom ~ Uniform(1 + lower, 1 + upper): below 1 zooms in, above 1 zooms out

    Args:
        height_factor: in (-1, 1]: x for (-x, x), or a pair (lower, upper).
        width_factor: the same for the width. Default: None, keep the proportions.
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
        >>> layer = staghorn.layers.RandomZoom((0.5, 0.5), fill_mode="constant")
        >>> layer(np.ones((2, 8, 8, 3), "float32"), training=True).shape
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
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
        self._height_bounds = bounds(name, "height_factor", height_factor, -1, 1, open_low=True)
        self._width_bounds = None
        if width_factor is not None:
            self._width_bounds = bounds(name, "width_factor", width_factor, -1, 1, open_low=True)

    def _draw_matrix(self, batch: int, height: int, width: int, seed: Any) -> list[Any]:
        def draw(limits: tuple[float, float]) -> Any:
            return random.uniform((batch,), 1.0 + limits[0], 1.0 + limits[1], seed=seed)

        down = draw(self._height_bounds)
        across = down if self._width_bounds is None else draw(self._width_bounds)
        x, y = (width - 1) / 2 * (1.0 - across), (height - 1) / 2 * (1.0 - down)
        return [across, 0.0, x, 0.0, down, y]
