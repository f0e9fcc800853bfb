"""RNN: a cell run over the steps of a sequence; the base of SimpleRNN, GRU and LSTM."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import regularizers
from staghorn.engine import naming, tree
from staghorn.engine.arguments import Is, Options
from staghorn.engine.scope import abstractly
from staghorn.engine.serialization import WithCustomObjects
from staghorn.engine.variable import Variable
from staghorn.layers import call as calling
from staghorn.layers.input_spec import InputSpec
from staghorn.layers.layer import Layer
from staghorn.layers.recurrent_cell import Masks, RecurrentCell, dropout_masks
from staghorn.layers.stacked_rnn_cells import StackedRNNCells, check_cell, output_size
from staghorn.layers.steps import run_steps
from staghorn.ops import recurrence

_UNKNOWN_BATCH = """\
{name}: with stateful=True the batch size must be known, got an input of shape {shape}.
Write staghorn.Input(batch_shape=(batch, time, features)) and use that batch size in fit()."""

_OTHER_BATCH = """\
{name}: with stateful=True every batch must have the size the layer was built for.
It was built for {expected} sequences, got {got}. Drop the last, smaller batch of the data."""


_NO_STEPS = (
    "Sequences are (batch, time, features). After another recurrent layer, give that one "
    "return_sequences=True; one number per step becomes a feature with x[..., None]."
)


class RNN(WithCustomObjects, Layer):
    """Run a cell over the steps of a sequence.

    (batch, time, …) → output (batch, n), or (batch, time, n) with `return_sequences`

    output_t, states_t = cell(input_t, states_{t-1})

    A cell is a layer, or any object, with `call(inputs, states)` that returns
    `(output, new_states)`, and `state_size`: an int or a list of ints. It may have `output_size`,
    `get_initial_state(batch_size)`, and a `training` argument in its call.

    Args:
        cell: a cell, or a list of cells to be stacked.
        return_sequences: return the output of every step. Default: False, of the last one.
        return_state: also return the last states: `(output, *states)`. Default: False.
        go_backwards: run from the last step to the first; the outputs are in that order too.
            Default: False.
        stateful: start each batch with the last states of the one before. Default: False.
        unroll: compile one long program instead of a loop; for a few steps only. Default: False.
        zero_output_for_mask: the output of masked steps is 0, not the one before. Default: False.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Call with `layer(sequences, initial_state=None, mask=None, training=False)`. The mask is bool
    (batch, time): where it is False, the states stay as they are.

    Raises:
        ValueError: if the cell has no `call` or no `state_size`; with `stateful`, if the batch
            size is unknown or changes.

    Example:
        >>> class Sum(staghorn.layers.Layer):
        ...     state_size = 3
        ...     def call(self, inputs, states):
        ...         total = inputs + states[0]
        ...         return total, [total]
        >>> layer = staghorn.layers.RNN(Sum())
        >>> np.asarray(layer(np.ones((1, 5, 3), "float32"))).tolist()
        [[5.0, 5.0, 5.0]]

    Notes: as in Keras, the mask that travels with the sequences is used only when they are the one
    tensor of the call; beside `initial_state`, pass `mask=` too. A cell may change Variables and
    draw random numbers (in Keras on JAX this leaks). `stateful` layers carry their states in `fit`
    and `predict` too. Unrolling changes the compiled program only, not the numbers.
    """

    arguments = {
        name: Is(bool)
        for name in (
            "return_sequences", "return_state", "go_backwards", "stateful", "unroll",
            "zero_output_for_mask",
        )
    }  # fmt: skip
    _untracked = frozenset({"_states", "_state_form"})
    # The states' nest, or None before a stateful layer is built.
    _states: list[Variable] | None = None
    _state_form: Any = None

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        check_cell(type(self).__name__, cell)
        super().__init__(**kwargs)
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.supports_masking = True
        self.single_state = isinstance(cell.state_size, (int, np.integer))
        self.state_size = [cell.state_size] if self.single_state else list(cell.state_size)

    # Shapes and masks ----------------------------------------------------------------------

    def compute_output_shape(
        self, sequences_shape: tuple, initial_state_shape: Any = None
    ) -> tuple:
        del initial_state_shape
        batch, time = sequences_shape[:2]
        size = output_size(self.cell)
        output = (batch, time, *size) if self.return_sequences else (batch, *size)
        if not self.return_state:
            return output
        return (output, *(_state_shape(batch, size) for size in self.state_size))

    def compute_mask(self, _: Any, mask: Any) -> Any:
        mask = tree.flatten(mask)[0]
        mask = mask if self.return_sequences else None
        return [mask, *(None for _ in self.state_size)] if self.return_state else mask

    # Building ------------------------------------------------------------------------------

    def build(self, sequences_shape: tuple, initial_state_shape: Any = None) -> None:
        del initial_state_shape
        cell = self.cell
        if isinstance(cell, Layer) and not cell.built:
            if cell._overrides_build:
                cell.build((sequences_shape[0], *sequences_shape[2:]))
            else:
                self._build_cell_by_tracing(sequences_shape)
        if self.stateful and self._states is None:
            if sequences_shape[0] is None:
                name = f"{type(self).__name__} '{self.name}'"
                raise ValueError(_UNKNOWN_BATCH.format(name=name, shape=tuple(sequences_shape)))
            self._make_states(sequences_shape[0])

    def _build_cell_by_tracing(self, sequences_shape: tuple) -> None:
        """Run one step for its shapes only: layers inside the cell make their weights."""
        shape = [size or 1 for size in (sequences_shape[0], *sequences_shape[2:])]
        inputs = jax.ShapeDtypeStruct(shape, self.compute_dtype)
        states = self.get_initial_state(shape[0])
        jax.eval_shape(abstractly(self._step(False)), inputs, states)
        self.cell.built = True

    def _make_states(self, batch_size: int) -> None:
        self._state_form = self.get_initial_state(batch_size)
        values = tree.flatten(self._state_form)
        self._states = []
        for value in values:
            kept = value.astype(self.variable_dtype)
            state = Variable(kept, trainable=False, autocast=False, name="rnn_state")
            state.path = f"{self._scope_path()}/rnn_state"
            self._states.append(state)
        self._state_form = tree.map_structure(lambda _: 0, self._state_form)
        self._transient_variables.extend(self._states)

    @property
    def states(self) -> Any:
        """The states kept between batches, as Variables; None unless stateful and built."""
        if self._states is None:
            return None
        return tree.pack_sequence_as(self._state_form, self._states)

    def get_initial_state(self, batch_size: int | None = None) -> list:
        """Return the states a sequence starts with: the cell's, or zeros."""
        make = getattr(self.cell, "get_initial_state", None)
        if make is None:
            dtype = getattr(self.cell, "compute_dtype", self.compute_dtype)
            return [_zeros(batch_size or 1, size, dtype) for size in self.state_size]
        states = make(batch_size=batch_size)
        return list(states) if tree.is_nested(states) else [states]

    def reset_state(self) -> None:
        """Set the states kept between batches to zero.

        Example:
            >>> layer = staghorn.layers.LSTM(3, stateful=True)
            >>> y = layer(np.ones((2, 5, 4), "float32"))
            >>> layer.reset_state()
            >>> float(layer.states[0].value.sum())
            0.0
        """
        for kept in self._states or ():
            kept.assign(jnp.zeros_like(kept.value))

    reset_states = reset_state

    # Calling -------------------------------------------------------------------------------

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        states = self._first_states(sequences, initial_state)
        with dropout_masks(draw_masks(self.cell, sequences[:, 0], states, bool(training))):
            last, outputs, states = self.inner_loop(sequences, states, mask, training)
        states = tree.map_structure(lambda x: x.astype(self.compute_dtype), states)
        if self.stateful:
            for kept, state in zip(self._states or (), tree.flatten(states), strict=True):
                kept.assign(state.astype(kept.dtype))
        output = (outputs if self.return_sequences else last).astype(self.compute_dtype)
        return (output, *states) if self.return_state else output

    def _first_states(self, sequences: Any, given: Any) -> list:
        batch = sequences.shape[0]
        if self.stateful and self._states:
            expected = self._states[0].shape[0]
            if batch != expected:
                name = f"{type(self).__name__} '{self.name}'"
                raise ValueError(_OTHER_BATCH.format(name=name, expected=expected, got=batch))
        if given is None:
            given = self.states if self.stateful else self.get_initial_state(batch_size=batch)
        states = list(given) if tree.is_nested(given) else [given]
        if len(states) != len(self.state_size):
            raise ValueError(
                f"{type(self).__name__} '{self.name}': initial_state must hold "
                f"{len(self.state_size)} tensor(s), one per state, got {len(states)}."
            )
        dtype = getattr(self.cell, "compute_dtype", self.compute_dtype)
        form = self.get_initial_state(batch_size=batch)
        flat = [_value(x).astype(dtype) for x in tree.flatten(states)]
        shapes, wanted = [x.shape for x in flat], [x.shape for x in tree.flatten(form)]
        if shapes != wanted:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': initial_state must have the shape"
                f"{'s' * (len(wanted) > 1)} {', '.join(map(str, wanted))}, got "
                f"{', '.join(map(str, shapes))}."
            )
        return tree.pack_sequence_as(form, flat)

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple[Any, Any, Any]:
        """Run the loop: (batch, time, …) → last output, outputs (batch, time, …), states."""
        inputs = recurrence.time_major(sequences)  # (time, batch, …)
        keep = _time_major_mask(mask)  # (time, batch)
        if self.go_backwards:
            inputs, keep = inputs[::-1], None if keep is None else keep[::-1]
        zeroed = keep if self.zero_output_for_mask else None
        all_steps = self.return_sequences or zeroed is not None
        outputs, states = self._loop(inputs, initial_state, keep, training, all_steps)
        if outputs is None:
            return states[0], None, states
        if zeroed is not None:
            shown = recurrence.broadcast_mask(zeroed, outputs)
            outputs = jnp.where(shown, outputs, jnp.zeros_like(outputs))
        return outputs[-1], recurrence.time_major(outputs), states

    def _loop(
        self, inputs: Any, states: list, mask: Any, training: bool, all_steps: bool
    ) -> tuple[Any, Any]:
        cell = self.cell
        if isinstance(cell, RecurrentCell):
            with calling.frame_for(cell, training):
                done = cell.run_sequence(inputs, states, mask, self.unroll, all_steps)
            if done is not None:
                return done
        variables = cell.variables if isinstance(cell, Layer) else []
        stacked = isinstance(cell, StackedRNNCells)
        step = self._step(training)
        return run_steps(self, variables, step, inputs, states, mask, self.unroll, stacked)

    def _step(self, training: bool) -> Callable:
        cell = self.cell
        options = training_option(cell, training)

        def step(inputs: Any, states: Any) -> tuple[Any, Any]:
            output, new = run_cell(cell, inputs, states, options)
            return output, new if tree.is_nested(new) else [new]

        return step


def training_option(cell: Any, training: bool) -> dict[str, bool]:
    """Return the `training` argument for a cell whose call takes one."""
    takes = isinstance(cell, Layer) and calling.signature_of(type(cell).call).has_training
    return {"training": training} if takes else {}


def run_cell(cell: Any, inputs: Any, states: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """Call a cell, which is a layer or any object with a `call`."""
    # A list of lists would be taken for rows of numbers where layers convert their inputs.
    states = tuple(states) if any(tree.is_nested(state) for state in states) else states
    return (cell if callable(cell) else cell.call)(inputs, states, **options)


def draw_masks(cell: Any, inputs: jax.Array, states: Any, training: bool) -> dict[int, Masks]:
    """Draw the dropout masks of a cell, or of the cells of a stack, before the loop."""
    if isinstance(cell, RecurrentCell):
        return {id(cell): cell.draw_masks(inputs, tree.flatten(states)[0], training)}
    masks: dict[int, Masks] = {}
    if isinstance(cell, StackedRNNCells):
        for inner, state in zip(cell.cells, states, strict=True):
            masks |= draw_masks(inner, inputs, state, training)
            inputs = jnp.zeros((inputs.shape[0], *output_size(inner)), inputs.dtype)
    return masks


def _state_shape(batch: int | None, size: Any) -> Any:
    return [(batch, s) for s in size] if isinstance(size, (list, tuple)) else (batch, size)


def _zeros(batch: int, size: Any, dtype: str) -> Any:
    if isinstance(size, (list, tuple)):
        return [_zeros(batch, s, dtype) for s in size]
    return jnp.zeros((batch, size), dtype)


def _value(x: Any) -> jax.Array:
    return x.value if isinstance(x, Variable) else jnp.asarray(x)


def _time_major_mask(mask: Any) -> jax.Array | None:
    """(batch, time) or (batch, time, …) → bool (time, batch)."""
    mask = tree.flatten(mask)[0]
    if mask is None:
        return None
    keep = jnp.asarray(mask, bool)
    if keep.ndim > 2:
        keep = keep.any(axis=tuple(range(2, keep.ndim)))
    return recurrence.time_major(keep)


def of_cell(name: str) -> property:
    """Return a property that reads an attribute of the cell."""
    return property(lambda layer: getattr(layer.cell, name), doc=f"The cell's `{name}`.")


class CellRNN(RNN):
    """Base of the recurrent layers with a cell of their own, whose arguments they take."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:  # type: ignore[override]
        return super().from_config(config)  # no objects of one's own inside: as in Keras

    def _make_cell(self, cls: type, options: dict[str, Any], kwargs: dict[str, Any]) -> None:
        """Split a constructor's arguments between the cell and this layer, and call `RNN`'s."""
        names = inspect.signature(cls).parameters
        own = {k: v for k, v in options.items() if k not in names}
        shared = {k: kwargs[k] for k in ("dtype", "trainable", "implementation") if k in kwargs}
        chosen = {k: v for k, v in options.items() if k in names}
        cell = cls(**chosen, **shared, name=naming.to_snake_case(cls.__name__))
        self._check_own(own)
        rest = {k: v for k, v in kwargs.items() if k != "implementation"}
        super().__init__(cell, **own, **rest)
        self.input_spec = InputSpec(ndim=3)
        self.input_spec.missing_axis_advice = _NO_STEPS

    def _check_own(self, own: dict[str, Any]) -> None:
        """Take out what is neither the cell's nor RNN's."""

    units = of_cell("units")
    activation = of_cell("activation")
    use_bias = of_cell("use_bias")
    kernel_initializer = of_cell("kernel_initializer")
    recurrent_initializer = of_cell("recurrent_initializer")
    bias_initializer = of_cell("bias_initializer")
    kernel_regularizer = of_cell("kernel_regularizer")
    recurrent_regularizer = of_cell("recurrent_regularizer")
    bias_regularizer = of_cell("bias_regularizer")
    kernel_constraint = of_cell("kernel_constraint")
    recurrent_constraint = of_cell("recurrent_constraint")
    bias_constraint = of_cell("bias_constraint")
    dropout = of_cell("dropout")
    recurrent_dropout = of_cell("recurrent_dropout")
    seed = of_cell("seed")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in ("cell", "use_cudnn", "implementation"):
            config.pop(name, None)
        config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        return config


class GatedRNN(CellRNN):
    """What GRU and LSTM share."""

    arguments = {**RNN.arguments, "use_cudnn": Options("auto", True, False)}
    recurrent_activation = of_cell("recurrent_activation")
    implementation = of_cell("implementation")
    use_cudnn: bool | str

    def _check_own(self, own: dict[str, Any]) -> None:
        self.use_cudnn = own.pop("use_cudnn")
