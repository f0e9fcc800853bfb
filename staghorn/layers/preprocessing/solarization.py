"""Solarization: invert the bright pixels of an image."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from staghorn import random
from staghorn.layers.preprocessing.colour_layer import DrawnColourLayer, rescaled
from staghorn.layers.preprocessing.random_transform import Factor, bounds


class Solarization(DrawnColourLayer):
    """Invert the pixels of each image that are above a threshold, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    z = min(x + addition, 255), y = z if z < threshold else 255 - z, on a scale of 0 to 255

    Args:
        addition_factor: what is added, as a part of the range: a pair of numbers in [0, 1]; x
            stands for (0, x). Default: 0.
        threshold_factor: the threshold, likewise. Default: 0: everything is inverted.
        value_range: (lowest, highest) value of a pixel. Default: (0, 255).
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `data_format`, `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors or ranges, or images of another rank.

    Example:
        >>> images = np.array([[[[59.0, 62.0, 63.0]]]], "float32")
        >>> np.asarray(staghorn.layers.Solarization()(images)).ravel().tolist()
        [196.0, 193.0, 192.0]

    Notes: the numbers are drawn from Uniform(lower, 255 * upper), as in Keras, where the lower
    bound is left in parts.
    """

    def __init__(
        self,
        addition_factor: Factor = 0.0,
        threshold_factor: Factor = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed=seed, **kwargs)
        self.addition_factor = _part("addition_factor", addition_factor)
        self.threshold_factor = _part("threshold_factor", threshold_factor)

    def _draw(self, batch: int, seed: Any) -> dict[str, Any]:
        parts = {"additions": self.addition_factor, "thresholds": self.threshold_factor}
        return {
            key: random.uniform(
                (batch, 1, 1, 1), lower, upper * 255, dtype=self.compute_dtype, seed=seed
            )
            for key, (lower, upper) in parts.items()
        }

    def _recolour(self, images: Any, additions: Any, thresholds: Any) -> Any:
        images = rescaled(images, self.value_range, (0, 255))
        raised = jnp.clip(images + additions, 0, 255)
        inverted = jnp.where(raised < thresholds, raised, 255 - raised)
        return rescaled(inverted, (0, 255), self.value_range)


def _part(name: str, factor: Factor) -> tuple[float, float]:
    """Return the range of a factor in [0, 1]; x stands for (0, x)."""
    lower, upper = bounds("Solarization", name, factor, 0, 1)
    return max(lower, 0), upper
