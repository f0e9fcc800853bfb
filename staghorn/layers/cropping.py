"""Cropping: edges cut off sequences, images and volumes."""

from collections.abc import Sequence
from typing import Any

import jax
from jax import lax

from staghorn.layers.grid import GridLayer, chosen_format, known_sizes, pairs_of
from staghorn.ops.pooling import sizes_of

Pairs = int | Sequence[int] | Sequence[Sequence[int]]


class Cropping(GridLayer):
    """Base of the cropping layers."""

    cropping: Any

    def _edges(self) -> dict[int, tuple[int, int]]:
        return dict(zip(self.spatial_axes, self.cropping, strict=True))

    def call(self, inputs: Any) -> jax.Array:
        self.compute_output_shape(known_sizes(inputs.shape))
        edges = self._edges()
        starts = [edges.get(axis, (0, 0))[0] for axis in range(inputs.ndim)]
        stops = [size - edges.get(axis, (0, 0))[1] for axis, size in enumerate(inputs.shape)]
        return lax.slice(inputs, starts, stops)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        cropped = list(input_shape)
        for axis, edges in self._edges().items():
            size = input_shape[axis]
            if size is None:
                continue
            if sum(edges) >= size:
                raise ValueError(
                    f"{self._label}: cropping={self.cropping} takes {sum(edges)} values from axis "
                    f"{axis}, which has {size}: nothing would be left.\n"
                    f"Full shape received: {tuple(input_shape)}."
                )
            cropped[axis] = size - sum(edges)
        return tuple(cropped)


class Cropping1D(Cropping):
    """Cut the edges off sequences.

    (batch, steps, channels) → (batch, new, channels)
    new = size - before - after

    Args:
        cropping: int, how many values at both ends; or a pair (before, after). Default: (1, 1).
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for sizes below 0 or of another form, and if nothing of an axis is left.

    Example:
        >>> staghorn.layers.Cropping1D((1, 0))(np.ones((2, 3, 4))).shape
        (2, 2, 4)
    """

    rank = 1

    def __init__(self, cropping: int | Sequence[int] = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = sizes_of("Cropping1D", "cropping", cropping, 2, least=0)

    def _edges(self) -> dict[int, tuple[int, int]]:
        return {self.spatial_axes[0]: (self.cropping[0], self.cropping[1])}


class Cropping2D(Cropping):
    """Cut the edges off images.

    (batch, height, width, channels) → (batch, new, new, channels)
    new = size - before - after

    Args:
        cropping: int, how many values at both ends of each axis; or for each axis such an int or a
            pair (before, after). Default: ((0, 0), (0, 0)).
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, height, width). Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for sizes below 0 or of another form, and if nothing of an axis is left.

    Example:
        >>> staghorn.layers.Cropping2D(((1, 0), 2))(np.ones((2, 5, 6, 4))).shape
        (2, 4, 2, 4)
    """

    rank = 2

    def __init__(
        self, cropping: Pairs = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = chosen_format(data_format)
        self.cropping = pairs_of("Cropping2D", "cropping", cropping, 2)


class Cropping3D(Cropping):
    """Cut the edges off volumes.

    (batch, depth, height, width, channels) → (batch, new, new, new, channels)
    new = size - before - after

    Args:
        cropping: int, how many values at both ends of each axis; or for each axis such an int or a
            pair (before, after). Default: ((1, 1), (1, 1), (1, 1)).
        data_format: "channels_last", or "channels_first" for inputs
            (batch, channels, depth, height, width). Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for sizes below 0 or of another form, and if nothing of an axis is left.

    Example:
        >>> staghorn.layers.Cropping3D(1)(np.ones((2, 5, 6, 7, 4))).shape
        (2, 3, 4, 5, 4)
    """

    rank = 3

    def __init__(
        self,
        cropping: Pairs = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = chosen_format(data_format)
        self.cropping = pairs_of("Cropping3D", "cropping", cropping, 3)
