"""SimpleRNN and its cell: the fully connected recurrence."""

from collections.abc import Callable
from typing import Any

import jax

from staghorn import random
from staghorn.layers.options import own_arguments
from staghorn.layers.recurrent_cell import (
    RecurrentCell,
    activation_name,
    add_bias,
    has_fast_form,
    masked_product,
)
from staghorn.layers.rnn import CellRNN
from staghorn.ops import recurrence


class SimpleRNNCell(RecurrentCell):
    """One step of SimpleRNN.

    inputs (batch, d), states [(batch, units)] → (batch, units), [(batch, units)]

    h' = activation(x @ kernel + h @ recurrent_kernel + bias)

    Args:
        units: int, size of the output and of the state.
        activation: function or name. Default: "tanh".
        use_bias: whether a bias is added. Default: True.
        kernel_initializer: Default: "glorot_uniform".
        recurrent_initializer: Default: "orthogonal".
        bias_initializer: Default: "zeros".
        kernel_regularizer, recurrent_regularizer, bias_regularizer: added to the loss.
            Default: None.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
            Default: None.
        dropout: share of the inputs to drop, in [0, 1]. Default: 0.0.
        recurrent_dropout: share of the state to drop, in [0, 1]. Default: 0.0.
        seed: int, for the masks. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for `units` that is not a positive int or a rate outside [0, 1].

    Example:
        >>> cell = staghorn.layers.SimpleRNNCell(3)
        >>> output, states = cell(np.ones((2, 5), "float32"), cell.get_initial_state(2))
        >>> output.shape, len(states)
        ((2, 3), 1)

    Notes: called by itself in training, a cell draws a new mask at each call, where Keras keeps
    the first one for good. Keras clips rates to [0, 1].
    """

    def __init__(
        self,
        units: int,
        activation: str | Callable | None = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        options = own_arguments(locals())
        super().__init__(**kwargs)
        # Before the initializers, as in Keras: both draw seeds from Python's `random`.
        self.seed_generator = random.SeedGenerator(seed)
        self._configure(options)
        self.state_size = units

    def build(self, input_shape: tuple) -> None:
        self._add_weights(input_shape[-1], (self.units,))

    def call(self, sequence: Any, states: Any, training: bool = False) -> tuple[jax.Array, Any]:
        nested = isinstance(states, (list, tuple))
        h = states[0] if nested else states
        kernel, recurrent_kernel, bias = self._values()
        masks, recurrent_masks = self._masks(sequence, h, training)
        pre = add_bias(masked_product(sequence, kernel, masks), bias)
        h = self.activation(pre + masked_product(h, recurrent_kernel, recurrent_masks))
        return h, [h] if nested else h

    def _has_fast_form(self) -> bool:
        return type(self) is SimpleRNNCell and has_fast_form(self.activation)

    def _run_fast(
        self, steps: Any, states: list, mask: Any, unroll: bool, sequences: bool
    ) -> tuple[Any, list]:
        name = activation_name(self.activation) or ""
        kernel, recurrent_kernel, bias = self._values()
        outputs, h = recurrence.simple_rnn(
            steps, states[0], kernel, recurrent_kernel, bias, mask, name, unroll, sequences
        )
        return outputs, [h]


class SimpleRNN(CellRNN):
    """Fully connected recurrence over a sequence: each output is fed back as the next state.

    (batch, time, d) → (batch, units), or (batch, time, units) with `return_sequences`

    h' = activation(x @ kernel + h @ recurrent_kernel + bias)

    Weights (in `cell`): kernel (d, units); recurrent_kernel (units, units); bias (units,).

    Args:
        units: int, size of the output and of the state.
        activation: function or name. Default: "tanh".
        use_bias: whether a bias is added. Default: True.
        kernel_initializer: Default: "glorot_uniform".
        recurrent_initializer: Default: "orthogonal".
        bias_initializer: Default: "zeros".
        kernel_regularizer, recurrent_regularizer, bias_regularizer: added to the loss.
            Default: None.
        activity_regularizer: applied to the output. Default: None.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
            Default: None.
        dropout: share of the inputs to drop in training. Default: 0.0.
        recurrent_dropout: share of the state to drop in training. Default: 0.0.
        return_sequences: return the output of every step. Default: False, of the last one.
        return_state: also return the last state. Default: False.
        go_backwards: run from the last step to the first. Default: False.
        stateful: start each batch with the last states of the one before. Default: False.
        unroll: compile one long program instead of a loop. Default: False.
        seed: int, for the dropout masks. Default: None, drawn from Python's `random`.
        **kwargs: `zero_output_for_mask`, `name`, `dtype`, ... as for RNN and every layer.

    Raises:
        ValueError: for `units` that is not a positive int, a rate outside [0, 1], or an input
            that has not 3 axes.

    Example:
        >>> x = np.ones((2, 5, 4), "float32")
        >>> staghorn.layers.SimpleRNN(3)(x).shape
        (2, 3)
        >>> staghorn.layers.SimpleRNN(3, return_sequences=True)(x).shape
        (2, 5, 3)

    Notes: the masks of dropout are drawn once per call and are the same at every step. Keras 3.15
    accepts `activity_regularizer` here and forgets it.
    Reference: Elman, 1990, https://doi.org/10.1207/s15516709cog1402_1
    """

    def __init__(
        self,
        units: int,
        activation: str | Callable | None = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._make_cell(SimpleRNNCell, own_arguments(locals()), kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["seed"]  # Keras does not write it for this layer
        return config
