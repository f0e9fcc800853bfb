"""GlobalMaxPooling and GlobalAveragePooling: one value per channel."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.arguments import Is
from staghorn.layers.grid import GridLayer, chosen_format
from staghorn.ops import reduction


class GlobalPooling(GridLayer):
    """Base of the layers that make one value of each channel."""

    arguments = {**GridLayer.arguments, "keepdims": Is(bool)}

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = chosen_format(data_format)
        self.keepdims = keepdims
        self.built = not self._overrides_build

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        axes = self.spatial_axes
        if self.keepdims:
            return tuple(1 if axis in axes else size for axis, size in enumerate(input_shape))
        return tuple(size for axis, size in enumerate(input_shape) if axis not in axes)


class GlobalMaxPooling(GlobalPooling):
    """Base of the layers that take the largest value."""

    def call(self, inputs: Any) -> jax.Array:
        return reduction.max(inputs, axis=self.spatial_axes, keepdims=self.keepdims)


class GlobalAveragePooling(GlobalPooling):
    """Base of the layers that take the mean: whole numbers become floats."""

    takes_means = True

    def call(self, inputs: Any) -> jax.Array:
        return reduction.mean(inputs, axis=self.spatial_axes, keepdims=self.keepdims)


class GlobalMaxPooling1D(GlobalMaxPooling):
    """Take the largest value of each channel of sequences.

    (batch, steps, channels) → (batch, channels)

    Args:
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, steps). Default: that of the configuration.
        keepdims: whether the axes stay, with size 1. Default: False.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an unknown data format or an input that has not 3 axes.

    Example:
        >>> staghorn.layers.GlobalMaxPooling1D()(np.ones((2, 3, 4))).shape
        (2, 4)

    Notes: where values are equal, they share the gradient, as in Keras on JAX.
    """

    rank = 1


class GlobalMaxPooling2D(GlobalMaxPooling):
    """Take the largest value of each channel of images.

    (batch, height, width, channels) → (batch, channels)

    Args:
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, height, width). Default: that of the configuration.
        keepdims: whether the axes stay, with size 1. Default: False.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an unknown data format or an input that has not 4 axes.

    Example:
        >>> staghorn.layers.GlobalMaxPooling2D()(np.ones((2, 5, 6, 4))).shape
        (2, 4)

    Notes: where values are equal, they share the gradient, as in Keras on JAX.
    """

    rank = 2


class GlobalMaxPooling3D(GlobalMaxPooling):
    """Take the largest value of each channel of volumes.

    (batch, depth, height, width, channels) → (batch, channels)

    Args:
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, depth, height, width). Default: that of the configuration.
        keepdims: whether the axes stay, with size 1. Default: False.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an unknown data format or an input that has not 5 axes.

    Example:
        >>> staghorn.layers.GlobalMaxPooling3D()(np.ones((2, 3, 5, 6, 4))).shape
        (2, 4)

    Notes: where values are equal, they share the gradient, as in Keras on JAX.
    """

    rank = 3


class GlobalAveragePooling1D(GlobalAveragePooling):
    """Take the mean value of each channel of sequences over the steps that its mask keeps.

    (batch, steps, channels) → (batch, channels)        y = sum(mask * x) / sum(mask)

    Args:
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, steps). Default: that of the configuration.
        keepdims: whether the axes stay, with size 1. Default: False.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an unknown data format or an input that has not 3 axes.

    Example:
        >>> staghorn.layers.GlobalAveragePooling1D(keepdims=True)(np.ones((2, 3, 4))).shape
        (2, 1, 4)

    Notes: a sequence whose steps are all masked gives NaN (0 / 0), as in Keras.
    """

    rank = 1

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> jax.Array:
        if mask is None:
            return super().call(inputs)
        (steps,) = self.spatial_axes
        kept = jnp.expand_dims(jnp.asarray(mask, bool), -1 if steps == 1 else 1)
        values = jnp.where(kept, inputs, jnp.zeros((), inputs.dtype))
        total = jnp.sum(values, axis=steps, keepdims=self.keepdims)
        count = jnp.sum(kept.astype(inputs.dtype), axis=steps, keepdims=self.keepdims)
        return total / count

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        del inputs, mask  # the steps are gone


class GlobalAveragePooling2D(GlobalAveragePooling):
    """Take the mean value of each channel of images.

    (batch, height, width, channels) → (batch, channels)

    Args:
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, height, width). Default: that of the configuration.
        keepdims: whether the axes stay, with size 1. Default: False.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an unknown data format or an input that has not 4 axes.

    Example:
        >>> staghorn.layers.GlobalAveragePooling2D(keepdims=True)(np.ones((2, 5, 6, 4))).shape
        (2, 1, 1, 4)
    """

    rank = 2


class GlobalAveragePooling3D(GlobalAveragePooling):
    """Take the mean value of each channel of volumes.

    (batch, depth, height, width, channels) → (batch, channels)

    Args:
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, depth, height, width). Default: that of the configuration.
        keepdims: whether the axes stay, with size 1. Default: False.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an unknown data format or an input that has not 5 axes.

    Example:
        >>> staghorn.layers.GlobalAveragePooling3D(keepdims=True)(np.ones((2, 3, 5, 6, 4))).shape
        (2, 1, 1, 1, 4)
    """

    rank = 3


GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
