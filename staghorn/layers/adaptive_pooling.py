"""AdaptiveAveragePooling and AdaptiveMaxPooling: a given number of windows over any grid."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax

from staghorn.layers.grid import GridLayer, chosen_format
from staghorn.ops import pooling
from staghorn.ops.pooling import sizes_of


class AdaptivePooling(GridLayer):
    """Base of the layers that divide the grid into a given number of windows."""

    pool: ClassVar[Callable[..., jax.Array]]

    def __init__(
        self, output_size: int | Sequence[int], data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.output_size = sizes_of(type(self).__name__, "output_size", output_size, self.rank)
        self.data_format = chosen_format(data_format)

    def call(self, inputs: Any) -> jax.Array:
        return type(self).pool(inputs, self.output_size, self.data_format)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        sizes = dict(zip(self.spatial_axes, self.output_size, strict=True))
        return tuple(sizes.get(axis, size) for axis, size in enumerate(input_shape))


class AdaptiveAveragePooling(AdaptivePooling):
    """Base of the layers that take means: whole numbers become floats."""

    takes_means = True
    pool = staticmethod(pooling.adaptive_average_pool)


class AdaptiveMaxPooling(AdaptivePooling):
    """Base of the layers that take the largest value."""

    pool = staticmethod(pooling.adaptive_max_pool)


class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    """Take the mean of each of `output_size` windows that divide sequences evenly.

    (batch, steps, channels) → (batch, output_size, channels)
    window i of n covers floor(i * size / n) to ceil((i + 1) * size / n)

    Args:
        output_size: int or 1 int, how many windows.
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, steps). Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that is none of the above.

    Example:
        >>> x = np.ones((2, 7, 3), "float32")
        >>> staghorn.layers.AdaptiveAveragePooling1D(3)(x).shape
        (2, 3, 3)
    """

    rank = 1


class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    """Take the mean of each of `output_size` windows that divide images evenly.

    (batch, height, width, channels) → (batch, *output_size, channels)
    window i of n covers floor(i * size / n) to ceil((i + 1) * size / n)

    Args:
        output_size: int or 2 ints, how many windows.
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, height, width). Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that is none of the above.

    Example:
        >>> x = np.ones((2, 7, 5, 3), "float32")
        >>> staghorn.layers.AdaptiveAveragePooling2D((3, 2))(x).shape
        (2, 3, 2, 3)
    """

    rank = 2


class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """Take the mean of each of `output_size` windows that divide volumes evenly.

    (batch, depth, height, width, channels) → (batch, *output_size, channels)
    window i of n covers floor(i * size / n) to ceil((i + 1) * size / n)

    Args:
        output_size: int or 3 ints, how many windows.
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, depth, height, width). Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that is none of the above.

    Example:
        >>> x = np.ones((2, 3, 4, 5, 3), "float32")
        >>> staghorn.layers.AdaptiveAveragePooling3D(2)(x).shape
        (2, 2, 2, 2, 3)
    """

    rank = 3


class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    """Take the largest value of each of `output_size` windows that divide sequences evenly.

    (batch, steps, channels) → (batch, output_size, channels)
    window i of n covers floor(i * size / n) to ceil((i + 1) * size / n)

    Args:
        output_size: int or 1 int, how many windows.
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, steps). Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that is none of the above.

    Example:
        >>> x = np.ones((2, 7, 3), "float32")
        >>> staghorn.layers.AdaptiveMaxPooling1D(3)(x).shape
        (2, 3, 3)

    Notes: where values are equal, the gradient goes to the first of them.
    """

    rank = 1


class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    """Take the largest value of each of `output_size` windows that divide images evenly.

    (batch, height, width, channels) → (batch, *output_size, channels)
    window i of n covers floor(i * size / n) to ceil((i + 1) * size / n)

    Args:
        output_size: int or 2 ints, how many windows.
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, height, width). Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that is none of the above.

    Example:
        >>> x = np.ones((2, 7, 5, 3), "float32")
        >>> staghorn.layers.AdaptiveMaxPooling2D((3, 2))(x).shape
        (2, 3, 2, 3)

    Notes: where values are equal, the gradient goes to the first of them.
    """

    rank = 2


class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    """Take the largest value of each of `output_size` windows that divide volumes evenly.

    (batch, depth, height, width, channels) → (batch, *output_size, channels)
    window i of n covers floor(i * size / n) to ceil((i + 1) * size / n)

    Args:
        output_size: int or 3 ints, how many windows.
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, depth, height, width). Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that is none of the above.

    Example:
        >>> x = np.ones((2, 3, 4, 5, 3), "float32")
        >>> staghorn.layers.AdaptiveMaxPooling3D(2)(x).shape
        (2, 2, 2, 2, 3)

    Notes: where values are equal, the gradient goes to the first of them.
    """

    rank = 3
