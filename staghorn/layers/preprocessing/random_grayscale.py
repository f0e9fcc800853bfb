"""RandomGrayscale: turn images grey."""

from typing import Any

import jax.numpy as jnp

from staghorn import random
from staghorn.engine.arguments import Interval
from staghorn.layers.preprocessing.colour_layer import PlainColourLayer
from staghorn.layers.preprocessing.random_transform import RandomImageLayer
from staghorn.ops.image import rgb_to_grayscale


class RandomGrayscale(PlainColourLayer, RandomImageLayer):
    """Turn some images grey, in training only; the channels stay, all with the same value.

    (batch, height, width, 3) → (batch, height, width, 3)

    Args:
        factor: chance of each image, in [0, 1]. Default: 0.5.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors, or images without 3 channels.

    Example:
        >>> images = np.array([[[[100.0, 0.0, 0.0]]]], "float32")
        >>> out = staghorn.layers.RandomGrayscale(1.0)(images, training=True)
        >>> np.asarray(out).round(2).ravel().tolist()
        [29.89, 29.89, 29.89]

    Notes: whole numbers stay whole, as in Keras, which takes no dicts here, leaves a seed that was
    given out of the configuration, and draws at inference too.
    """

    arguments = {**RandomImageLayer.arguments, "factor": Interval(0, 1)}
    whole = True

    def __init__(
        self,
        factor: float = 0.5,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, seed=seed, **kwargs)
        self.factor = factor

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any] | None:
        if not training:
            return None
        shape = (self._sizes(data)[0], 1, 1, 1)
        return {"should_apply": random.uniform(shape, seed=self._source(seed)) < self.factor}

    def _recolour(self, images: Any, should_apply: Any) -> Any:
        return jnp.where(should_apply, rgb_to_grayscale(images, self.data_format), images)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return config if self.seed is not None else {k: v for k, v in config.items() if k != "seed"}
