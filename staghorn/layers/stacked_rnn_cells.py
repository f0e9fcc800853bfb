"""StackedRNNCells: several cells as one."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from staghorn.engine import tree
from staghorn.engine.serialization import WithCustomObjects
from staghorn.layers import call as calling
from staghorn.layers.layer import Layer

_NO_CELL = """\
{owner}: a cell must have {what}, got {cell!r} ({kind}).
Built-in cells: SimpleRNNCell, GRUCell, LSTMCell. Your own is a layer with
    self.state_size = units
    def call(self, inputs, states): ...; return output, [new_state]"""


def check_cell(owner: str, cell: Any) -> None:
    """Raise ValueError unless an object has what a cell needs."""
    lacking = [name for name in ("call", "state_size") if not _has(cell, name)]
    if lacking:
        what = {"call": "a call(inputs, states) method", "state_size": "a state_size attribute"}
        raise ValueError(
            _NO_CELL.format(owner=owner, what=what[lacking[0]], cell=cell, kind=type(cell).__name__)
        )


def _has(cell: Any, name: str) -> bool:
    return not isinstance(cell, type) and getattr(cell, name, None) is not None


def output_size(cell: Any) -> tuple[int, ...]:
    """Return the shape of a cell's output without the batch: by default that of its first state."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size
        size = size[0] if isinstance(size, (list, tuple)) else size
    return tuple(size) if isinstance(size, (list, tuple)) else (size,)


class StackedRNNCells(WithCustomObjects, Layer):
    """Several cells as one: each takes the output of the one before.

    inputs (batch, d), states [of the first, of the second, …] → output of the last, new states

    Args:
        cells: a list of cells.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: if a cell has no `call` or no `state_size`.

    Example:
        >>> cells = [staghorn.layers.LSTMCell(3), staghorn.layers.GRUCell(2)]
        >>> layer = staghorn.layers.RNN(staghorn.layers.StackedRNNCells(cells))
        >>> layer(np.ones((4, 5, 3), "float32")).shape
        (4, 2)

    Notes: a cell with one state has a tensor in the list of states, not a list of one tensor.
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            check_cell(type(self).__name__, cell)
        self.cells = list(cells)

    @property
    def state_size(self) -> list:
        """The state sizes of the cells."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """The output size of the last cell."""
        size = output_size(self.cells[-1])
        return size[0] if len(size) == 1 else size

    def get_initial_state(self, batch_size: int | None = None) -> list:
        """Return the states of all cells."""
        return [self._initial_state(cell, batch_size) for cell in self.cells]

    def _initial_state(self, cell: Any, batch_size: int | None) -> Any:
        make = getattr(cell, "get_initial_state", None)
        if make is None:
            return tree.map_structure(
                lambda size: jnp.zeros((batch_size or 1, size), self.compute_dtype),
                cell.state_size,
            )
        state = make(batch_size=batch_size)
        # In the form of `state_size`, which the shapes of symbolic states follow.
        single = tree.is_nested(state) and not isinstance(cell.state_size, (list, tuple))
        return state[0] if single else state

    def build(self, input_shape: tuple) -> None:
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            input_shape = (input_shape[0], *output_size(cell))

    def call(self, inputs: Any, states: Any, training: bool = False, **kwargs: Any) -> tuple:
        new_states = []
        for cell, state in zip(self.cells, states, strict=True):
            options = dict(kwargs)
            if isinstance(cell, Layer) and calling.signature_of(type(cell).call).has_training:
                options["training"] = training
            given = list(state) if tree.is_nested(state) else [state]
            run = cell if callable(cell) else cell.call
            inputs, new = run(inputs, given, **options)
            if not tree.is_nested(state) and tree.is_nested(new):
                new = new[0]
            new_states.append(new)
        return inputs, new_states
