"""MaxPooling and AveragePooling over sequences, images and volumes."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax

from staghorn.layers.grid import GridLayer, chosen_format, known_sizes
from staghorn.ops import pooling
from staghorn.ops.pooling import PADDINGS, pooled_shape, sizes_of


class Pooling(GridLayer):
    """Base of the layers that pool windows of a fixed size."""

    pool: ClassVar[Callable[..., jax.Array]]

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.data_format = chosen_format(data_format)
        owner = type(self).__name__
        self.pool_size = sizes_of(owner, "pool_size", pool_size, self.rank)
        self.strides = sizes_of(
            owner, "strides", self.pool_size if strides is None else strides, self.rank
        )
        self.padding = padding
        if not PADDINGS.accepts(self._lower_padding):
            raise ValueError(
                f"{owner}: padding must be {PADDINGS}, got {padding!r} ({type(padding).__name__})."
            )
        self.built = not self._overrides_build

    @property
    def _lower_padding(self) -> Any:
        # Keras keeps the spelling it was given: it goes into configs.
        return self.padding.lower() if isinstance(self.padding, str) else self.padding

    def call(self, inputs: Any) -> jax.Array:
        self.compute_output_shape(known_sizes(inputs.shape))
        pool = type(self).pool
        return pool(inputs, self.pool_size, self.strides, self._lower_padding, self.data_format)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        return pooled_shape(
            self._label,
            input_shape,
            self.pool_size,
            self.strides,
            self._lower_padding,
            self.data_format,
        )


class AveragePooling(Pooling):
    """Base of the layers that pool means: whole numbers become floats."""

    takes_means = True
    pool = staticmethod(pooling.average_pool)


class MaxPooling1D(Pooling):
    """Take the largest value of each window of sequences.

    (batch, steps, channels) → (batch, pooled, channels)
    pooled = floor((size - pool_size) / stride) + 1 for "valid", ceil(size / stride) for "same"

    Args:
        pool_size: int, the window. Default: 2.
        strides: int, from one window to the next. Default: None, `pool_size`.
        padding: "valid", only whole windows; or "same", windows may reach over the edges, by as
            much on both sides. Default: "valid".
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, steps). Default: that of the configuration.
        name: a label. Default: from the class name.
        **kwargs: `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that is none of the above, and for a window that is larger than
            the input where padding is "valid".

    Example:
        >>> x = np.array([1.0, 3, 2, 0, 5, 4]).reshape(1, 6, 1)
        >>> staghorn.layers.MaxPooling1D(2)(x).ravel().tolist()
        [3.0, 2.0, 5.0]

    Notes: where values are equal, the gradient goes to the first of them, as in Keras on JAX.
    """

    rank = 1
    pool = staticmethod(pooling.max_pool)

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class MaxPooling2D(Pooling):
    """Take the largest value of each window of images.

    (batch, height, width, channels) → (batch, pooled, pooled, channels)
    pooled = floor((size - pool_size) / stride) + 1 for "valid", ceil(size / stride) for "same"

    Args:
        pool_size: int or 2 ints, the window. Default: (2, 2).
        strides: int or 2 ints, from one window to the next. Default: None, `pool_size`.
        padding: "valid", only whole windows; or "same", windows may reach over the edges, by as
            much on both sides. Default: "valid".
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, height, width). Default: that of the configuration.
        name: a label. Default: from the class name.
        **kwargs: `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that is none of the above, and for a window that is larger than
            the input where padding is "valid".

    Example:
        >>> staghorn.layers.MaxPooling2D(3, strides=2, padding="same")(np.ones((1, 5, 6, 4))).shape
        (1, 3, 3, 4)

    Notes: where values are equal, the gradient goes to the first of them, as in Keras on JAX.
    """

    rank = 2
    pool = staticmethod(pooling.max_pool)

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class MaxPooling3D(Pooling):
    """Take the largest value of each window of volumes.

    (batch, depth, height, width, channels) → (batch, pooled, pooled, pooled, channels)
    pooled = floor((size - pool_size) / stride) + 1 for "valid", ceil(size / stride) for "same"

    Args:
        pool_size: int or 3 ints, the window. Default: (2, 2, 2).
        strides: int or 3 ints, from one window to the next. Default: None, `pool_size`.
        padding: "valid", only whole windows; or "same", windows may reach over the edges, by as
            much on both sides. Default: "valid".
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, depth, height, width). Default: that of the configuration.
        name: a label. Default: from the class name.
        **kwargs: `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that is none of the above, and for a window that is larger than
            the input where padding is "valid".

    Example:
        >>> staghorn.layers.MaxPooling3D()(np.ones((1, 4, 5, 6, 3))).shape
        (1, 2, 2, 3, 3)

    Notes: where values are equal, the gradient goes to the first of them, as in Keras on JAX.
    """

    rank = 3
    pool = staticmethod(pooling.max_pool)

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class AveragePooling1D(AveragePooling):
    """Take the mean value of each window of sequences.

    (batch, steps, channels) → (batch, pooled, channels)
    pooled = floor((size - pool_size) / stride) + 1 for "valid", ceil(size / stride) for "same"

    Args:
        pool_size: int, the window.
        strides: int, from one window to the next. Default: None, `pool_size`.
        padding: "valid", only whole windows; or "same", windows may reach over the edges, by as
            much on both sides.
            Padding does not count. Default: "valid".
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, steps). Default: that of the configuration.
        name: a label. Default: from the class name.
        **kwargs: `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that is none of the above, and for a window that is larger than
            the input where padding is "valid".

    Example:
        >>> x = np.array([1.0, 3, 2, 0, 5]).reshape(1, 5, 1)
        >>> staghorn.layers.AveragePooling1D(2, padding="same")(x).ravel().tolist()
        [2.0, 1.0, 5.0]

    Notes: whole numbers are summed as floats; Keras on JAX sums them in their own type.
    """

    rank = 1


class AveragePooling2D(AveragePooling):
    """Take the mean value of each window of images.

    (batch, height, width, channels) → (batch, pooled, pooled, channels)
    pooled = floor((size - pool_size) / stride) + 1 for "valid", ceil(size / stride) for "same"

    Args:
        pool_size: int or 2 ints, the window.
        strides: int or 2 ints, from one window to the next. Default: None, `pool_size`.
        padding: "valid", only whole windows; or "same", windows may reach over the edges, by as
            much on both sides.
            Padding does not count. Default: "valid".
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, height, width). Default: that of the configuration.
        name: a label. Default: from the class name.
        **kwargs: `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that is none of the above, and for a window that is larger than
            the input where padding is "valid".

    Example:
        >>> staghorn.layers.AveragePooling2D(2)(np.ones((1, 5, 6, 4))).shape
        (1, 2, 3, 4)

    Notes: whole numbers are summed as floats; Keras on JAX sums them in their own type.
    """

    rank = 2


class AveragePooling3D(AveragePooling):
    """Take the mean value of each window of volumes.

    (batch, depth, height, width, channels) → (batch, pooled, pooled, pooled, channels)
    pooled = floor((size - pool_size) / stride) + 1 for "valid", ceil(size / stride) for "same"

    Args:
        pool_size: int or 3 ints, the window.
        strides: int or 3 ints, from one window to the next. Default: None, `pool_size`.
        padding: "valid", only whole windows; or "same", windows may reach over the edges, by as
            much on both sides.
            Padding does not count. Default: "valid".
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, depth, height, width). Default: that of the configuration.
        name: a label. Default: from the class name.
        **kwargs: `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that is none of the above, and for a window that is larger than
            the input where padding is "valid".

    Example:
        >>> staghorn.layers.AveragePooling3D(2)(np.ones((1, 4, 5, 6, 3))).shape
        (1, 2, 2, 3, 3)

    Notes: whole numbers are summed as floats; Keras on JAX sums them in their own type.
    """

    rank = 3


MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
