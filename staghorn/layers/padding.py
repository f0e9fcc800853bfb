"""ZeroPadding: zeros around sequences, images and volumes."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from staghorn.layers.grid import GridLayer, chosen_format, pairs_of
from staghorn.ops.pooling import sizes_of

Pairs = int | Sequence[int] | Sequence[Sequence[int]]


class ZeroPadding(GridLayer):
    """Base of the padding layers."""

    padding: Any

    def _edges(self) -> dict[int, tuple[int, int]]:
        return dict(zip(self.spatial_axes, self.padding, strict=True))

    def call(self, inputs: Any) -> jax.Array:
        edges = self._edges()
        around = [(*edges.get(axis, (0, 0)), 0) for axis in range(inputs.ndim)]
        return lax.pad(inputs, np.zeros((), inputs.dtype), around)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        edges = self._edges()
        return tuple(
            None if size is None else size + sum(edges.get(axis, ()))
            for axis, size in enumerate(input_shape)
        )


class ZeroPadding1D(ZeroPadding):
    """Put zeros around sequences.

    (batch, steps, channels) → (batch, new, channels)
    new = size + before + after

    Args:
        padding: int, how many zeros at both ends; or a pair (before, after). Default: 1.
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, steps). Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for sizes below 0 or of another form.

    Example:
        >>> staghorn.layers.ZeroPadding1D(2)(np.ones((2, 3, 4))).shape
        (2, 7, 4)
    """

    rank = 1

    def __init__(
        self, padding: int | Sequence[int] = 1, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = chosen_format(data_format)
        self.padding = sizes_of("ZeroPadding1D", "padding", padding, 2, least=0)

    def _edges(self) -> dict[int, tuple[int, int]]:
        return {self.spatial_axes[0]: (self.padding[0], self.padding[1])}


class ZeroPadding2D(ZeroPadding):
    """Put zeros around images.

    (batch, height, width, channels) → (batch, new, new, channels)
    new = size + before + after

    Args:
        padding: int, how many zeros at both ends of each axis; or for each axis such an int or a
            pair (before, after). Default: (1, 1).
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, height, width). Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for sizes below 0 or of another form.

    Example:
        >>> staghorn.layers.ZeroPadding2D(((1, 0), 2))(np.ones((2, 5, 6, 4))).shape
        (2, 6, 10, 4)
    """

    rank = 2

    def __init__(
        self, padding: Pairs = (1, 1), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = chosen_format(data_format)
        self.padding = pairs_of("ZeroPadding2D", "padding", padding, 2)


class ZeroPadding3D(ZeroPadding):
    """Put zeros around volumes.

    (batch, depth, height, width, channels) → (batch, new, new, new, channels)
    new = size + before + after

    Args:
        padding: int, how many zeros at both ends of each axis; or for each axis such an int or a
            pair (before, after). Default: ((1, 1), (1, 1), (1, 1)).
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, depth, height, width). Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for sizes below 0 or of another form.

    Example:
        >>> staghorn.layers.ZeroPadding3D(1)(np.ones((2, 5, 6, 7, 4))).shape
        (2, 7, 8, 9, 4)
    """

    rank = 3

    def __init__(
        self,
        padding: Pairs = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = chosen_format(data_format)
        self.padding = pairs_of("ZeroPadding3D", "padding", padding, 3)
