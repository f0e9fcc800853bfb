"""UpSampling: sequences, images and volumes on a finer grid."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.arguments import Options, Positive
from staghorn.engine.dtypes import is_float
from staghorn.layers.grid import GridLayer, chosen_format
from staghorn.ops.core import saturate_cast
from staghorn.ops.pooling import sizes_of

__all__ = ["UpSampling1D", "UpSampling2D", "UpSampling3D"]

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


class UpSampling(GridLayer):
    """Base of the layers that make each axis `size` times as long."""

    size: Any

    def _factors(self) -> dict[int, int]:
        return dict(zip(self.spatial_axes, self.size, strict=True))

    def call(self, inputs: Any) -> jax.Array:
        return repeated(inputs, self._factors())

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        factors = self._factors()
        return tuple(
            None if size is None else size * factors.get(axis, 1)
            for axis, size in enumerate(input_shape)
        )


class UpSampling1D(UpSampling):
    """Repeat each step of sequences.

    (batch, steps, channels) → (batch, steps * size, channels)

    Args:
        size: int, how often. Default: 2.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a size that is not a positive int.

    Example:
        >>> x = np.array([1.0, 2, 3]).reshape(1, 3, 1)
        >>> staghorn.layers.UpSampling1D(2)(x).ravel().tolist()
        [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    """

    rank = 1
    arguments = {"size": Positive(int)}

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def _factors(self) -> dict[int, int]:
        return {1: self.size}


class UpSampling2D(UpSampling):
    """Make images larger, by repeating rows and columns or by interpolation.

    (batch, height, width, channels) → (batch, height * size[0], width * size[1], channels)

    Args:
        size: int or 2 ints, how many times as high and wide. Default: (2, 2).
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, height, width). Default: that of the configuration.
        interpolation: "nearest" repeats; "bilinear", "bicubic", "lanczos3" and "lanczos5" blend
            neighbours (whole numbers are rounded). Default: "nearest".
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for sizes that are not positive ints, unknown formats and interpolations.

    Example:
        >>> x = np.array([0.0, 4]).reshape(1, 1, 2, 1)
        >>> staghorn.layers.UpSampling2D((1, 2), interpolation="bilinear")(x).ravel().tolist()
        [0.0, 1.0, 3.0, 4.0]

    Notes: an unknown interpolation is an error here at once; in Keras at the first call.
    """

    rank = 2
    arguments = {**GridLayer.arguments, "interpolation": Options(*INTERPOLATIONS)}

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = chosen_format(data_format)
        self.size = sizes_of("UpSampling2D", "size", size, 2)
        lower = isinstance(interpolation, str)
        self.interpolation = interpolation.lower() if lower else interpolation

    def call(self, inputs: Any) -> jax.Array:
        if self.interpolation == "nearest":
            return super().call(inputs)
        whole = not is_float(inputs.dtype)
        source = inputs.astype("float32") if whole else inputs
        shape = self.compute_output_shape(inputs.shape)
        blend = jax.image.resize(source, shape, method=self.interpolation, antialias=False)
        return saturate_cast(jnp.round(blend), inputs.dtype) if whole else blend


class UpSampling3D(UpSampling):
    """Repeat the values of volumes along each axis.

    (batch, depth, height, width, channels) → (batch, depth * size[0], height * size[1], width *
    size[2], channels)

    Args:
        size: int or 3 ints, how often along each axis. Default: (2, 2, 2).
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, depth, height, width). Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for sizes that are not positive ints and for an unknown data format.

    Example:
        >>> staghorn.layers.UpSampling3D((1, 2, 3))(np.ones((1, 4, 5, 6, 2))).shape
        (1, 4, 10, 18, 2)
    """

    rank = 3

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2, 2),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = chosen_format(data_format)
        self.size = sizes_of("UpSampling3D", "size", size, 3)


def repeated(x: jax.Array, factors: dict[int, int]) -> jax.Array:
    """Repeat values along some axes: one broadcast, whose gradient is one sum.

    Example:
        >>> staghorn.layers.upsampling.repeated(np.array([[1, 2]]), {1: 2}).tolist()
        [[1, 1, 2, 2]]
    """
    wide = [(size, factors.get(axis, 1)) for axis, size in enumerate(x.shape)]
    split = jnp.reshape(x, [n for size, _ in wide for n in (size, 1)])  # (a, 1, b, 1, ...)
    tiled = jnp.broadcast_to(split, [n for pair in wide for n in pair])  # (a, fa, b, fb, ...)
    return jnp.reshape(tiled, [size * factor for size, factor in wide])
