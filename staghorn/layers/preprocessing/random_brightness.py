"""RandomBrightness: add the same random amount to every pixel of an image."""

from collections.abc import Sequence
from typing import Any

from staghorn import random
from staghorn.layers.preprocessing.colour_layer import RandomColourLayer
from staghorn.layers.preprocessing.random_transform import Factor


class RandomBrightness(RandomColourLayer):
    """Make each image brighter or darker at random, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    y = x + (highest - lowest) * delta, delta ~ Uniform(lower, upper)

    Args:
        factor: a pair (lower, upper) that reaches into [-1, 1]; x in [-1, 1] stands for (-x, x).
        value_range: (lowest, highest) value of a pixel; results are clipped to it.
            Default: (0, 255).
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `data_format`, `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors or ranges, or images of another rank.

    Example:
        >>> layer = staghorn.layers.RandomBrightness((0.5, 0.5), value_range=(0, 1))
        >>> np.asarray(layer(np.zeros((1, 1, 2, 1)), training=True)).ravel().tolist()
        [0.5, 0.5]

    Notes: bytes leave as floats; in Keras they stay bytes, and overflow.
    """

    limits = (-1, 1)

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor or 0.0, value_range, seed=seed, **kwargs)

    def _draw(self, batch: int, seed: Any) -> dict[str, Any]:
        delta = random.uniform((batch, 1, 1, 1), *self.factor, seed=seed)
        return {"rgb_delta": delta * (self.value_range[1] - self.value_range[0])}

    def _recolour(self, images: Any, rgb_delta: Any) -> Any:
        return self._clipped(images + rgb_delta.astype(images.dtype))
