"""The base of layers without weights that work on a grid: sequences, images, volumes."""

from typing import Any, ClassVar

from staghorn import config
from staghorn.engine.arguments import Check
from staghorn.engine.dtypes import is_float
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.elementwise import carried_dtype
from staghorn.layers.input_spec import InputSpec
from staghorn.layers.layer import Layer
from staghorn.ops.pooling import DATA_FORMATS, sizes_of, spatial_axes


class GridLayer(Layer):
    """Base: `rank` axes of space between the batch and the channels, or after both.

    Values keep their type, whatever it is; where means are taken, whole numbers become floats.
    """

    rank: ClassVar[int] = 2
    takes_means: ClassVar[bool] = False
    arguments: ClassVar[dict[str, Check]] = {"data_format": DATA_FORMATS}
    data_format = "channels_last"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        return spatial_axes(self.rank + 2, self.data_format)

    @property
    def _label(self) -> str:
        return f"{type(self).__name__} '{self.name}'"

    def compute_output_spec(self, inputs: Any, **kwargs: Any) -> Any:
        del kwargs
        becomes_float = self.takes_means and not is_float(inputs.dtype)
        dtype = config.floatx() if becomes_float else carried_dtype(self, inputs)
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype)


def chosen_format(data_format: str | None) -> str:
    """Return the data format an argument stands for; None is that of the configuration.

    Example:
        >>> staghorn.layers.grid.chosen_format("Channels_First")
        'channels_first'
    """
    chosen = config.image_data_format() if data_format is None else data_format
    return chosen.lower() if isinstance(chosen, str) else chosen


def known_sizes(shape: Any) -> tuple[int | None, ...]:
    """Return a shape with None for the sizes that are unknown while a model is built."""
    return tuple(size if isinstance(size, int) else None for size in shape)


def pairs_of(owner: str, name: str, value: Any, count: int) -> tuple[tuple[int, int], ...]:
    """Return what to add or take away before and after each of `count` axes.

    Args:
        owner, name: the layer and its argument, for errors.
        value: an int for all; or for each axis an int or a pair.
        count: number of axes.

    Raises:
        ValueError: for anything else, and for values below 0.

    Example:
        >>> staghorn.layers.grid.pairs_of("ZeroPadding2D", "padding", (1, (0, 2)), 2)
        ((1, 1), (0, 2))
    """
    entries = value if isinstance(value, (list, tuple)) else (value,) * count
    try:
        if len(entries) != count:
            raise ValueError
        pairs = [sizes_of(owner, name, entry, 2, least=0) for entry in entries]
    except ValueError:
        raise ValueError(
            f"{owner}: {name} must be an int of 0 or more, or for each of the {count} axes such an "
            f"int or a pair (before, after), got {value!r} ({type(value).__name__})."
        ) from None
    return tuple((before, after) for before, after in pairs)
