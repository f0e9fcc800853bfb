"""Rescaling: inputs times a scale plus an offset."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.serialization import WithCustomObjects
from staghorn.layers.layer import Layer


class Rescaling(WithCustomObjects, Layer):
    """Multiply by a scale and add an offset, such as `Rescaling(1 / 255)` for images.

    (batch, …) → (batch, …)        y = x * scale + offset

    Args:
        scale: number, or one per channel.
        offset: number, or one per channel. Default: 0.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a scale or offset with more axes than the input.

    Example:
        >>> layer = staghorn.layers.Rescaling(1 / 127.5, offset=-1)
        >>> np.asarray(layer(np.array([[0, 255]], "uint8"))).tolist()
        [[-1.0, 1.0]]
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset
        self.supports_masking = True

    def call(self, inputs: Any) -> jax.Array:
        x = inputs.astype(self.compute_dtype)
        return x * self._channels(self.scale, x) + self._channels(self.offset, x)

    def _channels(self, values: Any, x: jax.Array) -> jax.Array:
        """Return numbers per channel with as many axes as the input."""
        values = jnp.asarray(values, x.dtype)
        shape = values.shape
        if shape and config.image_data_format() == "channels_first":
            shape = (*shape, *(1,) * (3 - len(shape)))
        if len(shape) > x.ndim:
            raise ValueError(
                f"Rescaling '{self.name}': scale and offset have at most as many axes as the "
                f"input, got shape {shape} for an input of shape {x.shape}."
            )
        return jnp.reshape(values, (1,) * (x.ndim - len(shape)) + shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
