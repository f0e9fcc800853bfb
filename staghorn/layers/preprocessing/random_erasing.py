"""RandomErasing: cover a part of images."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from staghorn import random
from staghorn.layers.preprocessing.colour_layer import ColourLayer, strength
from staghorn.layers.preprocessing.image_layer import images_of
from staghorn.layers.preprocessing.random_transform import Factor, RandomImageLayer
from staghorn.ops.image_sampling import spatial_axes


class RandomErasing(RandomImageLayer):
    """Cover a random rectangle of each image, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    height and width of the rectangle: sqrt(Uniform(scale)) of the image's, each drawn for itself

    Args:
        factor: probability that an image is touched: x for one drawn from (0, x), or a pair
            (lower, upper) for one drawn between them. Default: 1.
        scale: squared share of a side, a pair in [0, 1]; x stands for (0, x).
            Default: (0.02, 0.33).
        fill_value: a number, or one for each channel. Default: None, noise: a normal
            distribution times the upper end of `value_range`.
        value_range: (lowest, highest) value of a pixel; what is filled in is clipped to it.
            Default: (0, 255).
        seed: int. Default: None, drawn from Python's `random`.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `bounding_box_format`, `name`, `dtype`, ... as for every image layer.

    Raises:
        ValueError: for other factors, fillings or ranges, or images of another rank.

    Example:
        >>> layer = staghorn.layers.RandomErasing((1, 1), (0.25, 0.25), fill_value=7, seed=1)
        >>> erased = np.asarray(layer(np.zeros((2, 8, 8, 1)), training=True))
        >>> sorted(set(erased.ravel().tolist()))
        [0.0, 7.0]

    Notes: one number per channel works for any number of channels; in Keras on JAX for none. Masks
    and boxes stay, as in Keras.

    Reference: https://arxiv.org/abs/1708.04896
    """

    arguments = {**RandomImageLayer.arguments, "value_range": ColourLayer.arguments["value_range"]}

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        name = type(self).__name__
        self.factor = strength(name, factor, 0, 1)
        self.scale = strength(name, scale, 0, 1, "scale")
        self.fill_value = fill_value
        self.value_range = value_range
        numbers = fill_value if isinstance(fill_value, (tuple, list)) else [fill_value]
        if fill_value is not None and not all(isinstance(x, (int, float)) for x in numbers):
            raise ValueError(
                f"{name}: fill_value must be a number, one number per channel, or None for noise, "
                f"got {fill_value!r} ({type(fill_value).__name__})."
            )

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any] | None:
        if not training:
            return None
        batch, height, width = self._sizes(data)
        seed = self._source(seed)

        def draw(*shape: int, limits: Sequence[float] = (0, 1)) -> Any:
            low, high = limits
            return random.uniform((batch, *shape), low, high, dtype=self.compute_dtype, seed=seed)

        shares = jnp.sqrt(draw(2, limits=self.scale))  # (batch, 2)
        inside = []
        rows, columns = spatial_axes(self._channels_first)
        for k, (axis, length) in enumerate(((columns, width), (rows, height))):
            extent = shares[:, k] * length
            start = draw() * (length - extent)
            places = [1] * 4
            places[axis] = length
            place = jnp.reshape(jnp.arange(length, dtype=self.compute_dtype), places)
            low, high = (jnp.reshape(x, (-1, 1, 1, 1)) for x in (start, start + extent))
            inside.append((place >= low) & (place < high))
        applied = jnp.reshape(self._chosen(self.factor, batch, seed), (-1, 1, 1, 1))
        filling = self._filling(data, batch, seed)
        return {"erased": inside[0] & inside[1] & applied, "fill_value": filling}

    def _filling(self, data: Any, batch: int, seed: Any) -> Any:
        """Return what covers: (batch, height, width, channels), or 1 where all are alike."""
        if self.fill_value is None:
            shape = (batch, *images_of(data).shape[-3:])
            filling = random.normal(shape, dtype=self.compute_dtype, seed=seed)
            filling = filling * self.value_range[1]
        else:
            filling = jnp.ravel(jnp.asarray(self.fill_value, self.compute_dtype))
            filling = jnp.reshape(filling, (1, -1, 1, 1) if self._channels_first else (1, 1, 1, -1))
        return jnp.clip(filling, *self.value_range)

    def transform_images(
        self, images: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        images = images.astype(self.compute_dtype)
        if transformation is None:
            return images
        return jnp.where(transformation["erased"], transformation["fill_value"], images)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """Leave the masks as they are."""
        del transformation, training
        return segmentation_masks

    def _mask_dtype(self, dtype: str) -> str:
        return self._kept_dtype(dtype)
