"""LSTM and its cell: long short-term memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import random
from staghorn.engine.arguments import Is
from staghorn.layers.options import own_arguments
from staghorn.layers.recurrent_cell import (
    RecurrentCell,
    activation_name,
    add_bias,
    has_fast_form,
    masked_product,
)
from staghorn.layers.rnn import GatedRNN
from staghorn.ops import recurrence


class LSTMCell(RecurrentCell):
    """One step of LSTM.

    inputs (batch, d), states [h, c] (batch, units) → h', [h', c']

        i, f, g, o = split(x @ kernel + h @ recurrent_kernel + bias)
        c' = σ(f) c + σ(i) φ(g);  h' = σ(o) φ(c')        φ: activation, σ: recurrent_activation

    Args:
        units: int, size of the output and of both states.
        activation: function or name, φ. Default: "tanh".
        recurrent_activation: function or name, σ. Default: "sigmoid".
        use_bias: whether a bias is added. Default: True.
        kernel_initializer: Default: "glorot_uniform".
        recurrent_initializer: Default: "orthogonal".
        bias_initializer: Default: "zeros".
        unit_forget_bias: start the bias of the forget gate at 1. Default: True.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: added to the loss.
            Default: None.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
            Default: None.
        dropout: share of the inputs to drop, in [0, 1]. Default: 0.0.
        recurrent_dropout: share of the state to drop, in [0, 1]. Default: 0.0.
        seed: int, for the masks. Default: None, drawn from Python's `random`.
        **kwargs: `implementation`, `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for `units` that is not a positive int or a rate outside [0, 1].

    Example:
        >>> cell = staghorn.layers.LSTMCell(3)
        >>> output, states = cell(np.ones((2, 5), "float32"), cell.get_initial_state(2))
        >>> output.shape, len(states)
        ((2, 3), 2)

    Notes: called by itself in training, a cell draws a new mask at each call, where Keras keeps
    the first one for good. Keras clips rates to [0, 1]. `implementation=1` gives each gate its own
    dropout mask, as `recurrent_dropout` does.
    """

    arguments = {**RecurrentCell.arguments, "unit_forget_bias": Is(bool)}
    gates = 4
    unit_forget_bias: bool

    def __init__(
        self,
        units: int,
        activation: str | Callable | None = "tanh",
        recurrent_activation: str | Callable | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
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
        self._configure(options)
        self.seed_generator = random.SeedGenerator(seed)
        self.state_size = [units, units]

    def build(self, input_shape: tuple) -> None:
        start = self._remembering if self.unit_forget_bias else None
        self._add_weights(input_shape[-1], (4 * self.units,), start)

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[jax.Array, list]:
        h, c = states
        kernel, recurrent_kernel, bias = self._values()
        masks, recurrent_masks = self._masks(inputs, h, training)
        pre = masked_product(inputs, kernel, masks)
        pre = add_bias(pre + masked_product(h, recurrent_kernel, recurrent_masks), bias)
        i, f, g, o = jnp.split(pre, 4, axis=-1)
        sigma, phi = self.recurrent_activation, self.activation
        c = sigma(f) * c + sigma(i) * phi(g)
        h = sigma(o) * phi(c)
        return h, [h, c]

    def _has_fast_form(self) -> bool:
        known = has_fast_form(self.activation, self.recurrent_activation)
        return type(self) is LSTMCell and known

    def _run_fast(
        self, steps: Any, states: list, mask: Any, unroll: bool, sequences: bool
    ) -> tuple[Any, list]:
        phi, sigma = activation_name(self.activation), activation_name(self.recurrent_activation)
        outputs, h, c = recurrence.lstm(
            steps,
            states[0],
            states[1],
            *self._values(),
            mask,
            phi or "",
            sigma or "",
            unroll,
            sequences,
        )
        return outputs, [h, c]


class LSTM(GatedRNN):
    """Long short-term memory over a sequence.

    (batch, time, d) → (batch, units), or (batch, time, units) with `return_sequences`

        i, f, g, o = split(x @ kernel + h @ recurrent_kernel + bias)
        c' = σ(f) c + σ(i) φ(g);  h' = σ(o) φ(c')        φ: activation, σ: recurrent_activation

    Weights (in `cell`): kernel (d, 4 units); recurrent_kernel (units, 4 units); bias (4 units,).

    Args:
        units: int, size of the output and of both states.
        activation: function or name, φ. Default: "tanh".
        recurrent_activation: function or name, σ. Default: "sigmoid".
        use_bias: whether a bias is added. Default: True.
        kernel_initializer: Default: "glorot_uniform".
        recurrent_initializer: Default: "orthogonal".
        bias_initializer: Default: "zeros".
        unit_forget_bias: start the bias of the forget gate at 1. Default: True.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: added to the loss.
            Default: None.
        activity_regularizer: applied to the output. Default: None.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
            Default: None.
        dropout: share of the inputs to drop in training. Default: 0.0.
        recurrent_dropout: share of the state to drop in training; it rules out the fast loop.
            Default: 0.0.
        seed: int, for the dropout masks. Default: None, drawn from Python's `random`.
        return_sequences: return the output of every step. Default: False, of the last one.
        return_state: also return the last h and c. Default: False.
        go_backwards: run from the last step to the first. Default: False.
        stateful: start each batch with the last states of the one before. Default: False.
        unroll: compile one long program instead of a loop. Default: False.
        use_cudnn: "auto", True or False; accepted, all three run the same compiled loop.
            Default: "auto".
        **kwargs: `zero_output_for_mask`, `implementation`, `name`, `dtype`, ... as for RNN,
            LSTMCell and every layer.

    Raises:
        ValueError: for `units` that is not a positive int, a rate outside [0, 1], or an input
            that has not 3 axes.

    Example:
        >>> x = np.ones((2, 5, 4), "float32")
        >>> staghorn.layers.LSTM(3)(x).shape
        (2, 3)
        >>> outputs, h, c = staghorn.layers.LSTM(3, return_sequences=True, return_state=True)(x)
        >>> outputs.shape, h.shape, c.shape
        ((2, 5, 3), (2, 3), (2, 3))

    Notes: the masks of dropout are drawn once per call and are the same at every step. The usual
    activations run in a loop with a derivative of its own (`staghorn.ops.recurrence`).
    Reference: Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735
    """

    def __init__(
        self,
        units: int,
        activation: str | Callable | None = "tanh",
        recurrent_activation: str | Callable | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        self._make_cell(LSTMCell, own_arguments(locals()), kwargs)

    @property
    def unit_forget_bias(self) -> bool:
        return self.cell.unit_forget_bias
