"""RandomContrast: move pixels from or towards the mean of their channel."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from staghorn import random
from staghorn.layers.preprocessing.random_transform import Factor, RandomImageLayer
from staghorn.ops.image_sampling import spatial_axes


class RandomContrast(RandomImageLayer):
    """Change the contrast of each image at random, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    y = (x - mean) * contrast + mean, mean over height and width,
    contrast ~ Uniform(1 - lower, 1 + upper)

    Args:
        factor: a pair (lower, upper) that reaches into [0, 1]; x in [0, 1] stands for (0, x).
        value_range: (lowest, highest) value of a pixel; results are clipped to it.
            Default: (0, 255).
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `data_format`, `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors or ranges, or images of another rank.

    Example:
        >>> layer = staghorn.layers.RandomContrast((0.5, 1.0), value_range=(0, 1), seed=1)
        >>> layer(np.ones((2, 8, 8, 3), "float32"), training=True).shape
        (2, 8, 8, 3)

    Notes: a single number only strengthens the contrast, as in Keras. Whole numbers always leave
    as floats; in Keras only in training.
    """

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.factor = _strength(type(self).__name__, factor)
        self.value_range = value_range
        if not isinstance(value_range, (tuple, list)) or len(value_range) != 2:
            raise ValueError(
                f"{type(self).__name__}: value_range must be (lowest, highest), such as (0, 1), "
                f"got {value_range!r} ({type(value_range).__name__})."
            )

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any] | None:
        if not training:
            return None
        batch, _, _ = self._sizes(data)
        lower, upper = self.factor
        contrast = random.uniform(
            (batch, 1, 1, 1),
            1.0 - lower,
            1.0 + upper,
            dtype=self.compute_dtype,
            seed=self._source(seed),
        )
        return {"contrast_factor": contrast}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = images.astype(self.compute_dtype)
        if transformation is None:
            return images
        height, width = spatial_axes(self._channels_first)
        # One axis after the other: in half precision the mean is rounded where Keras rounds it.
        mean = jnp.mean(jnp.mean(images, axis=height, keepdims=True), axis=width, keepdims=True)
        changed = (images - mean) * transformation["contrast_factor"] + mean
        return jnp.clip(changed, *self.value_range)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """Leave the masks as they are: colours change, places do not."""
        del transformation, training
        return segmentation_masks

    def _mask_dtype(self, dtype: str) -> str:
        return dtype


def _strength(layer: str, factor: Any) -> tuple[float, float]:
    """Return (lower, upper); x stands for (0, x)."""
    pair = factor if isinstance(factor, (tuple, list)) else (0.0, factor)
    numbers = [f for f in pair if isinstance(f, (int, float)) and not isinstance(f, bool)]
    if len(pair) == len(numbers) == 2:
        lower, upper = sorted(numbers)
        if lower <= 1 and upper >= 0 and (isinstance(factor, (tuple, list)) or 0 <= factor <= 1):
            return lower, upper
    raise ValueError(
        f"{layer}: factor must be a number in [0, 1], or a pair of numbers that reaches into it, "
        f"got {factor!r} ({type(factor).__name__})."
    )
