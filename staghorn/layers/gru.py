"""GRU and its cell: gated recurrent units."""

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


class GRUCell(RecurrentCell):
    """One step of GRU.

    inputs (batch, d), states [(batch, units)] → (batch, units), [(batch, units)]

        z, r, n = split(x @ kernel + bias[0]);  z', r', n' = split(h @ recurrent_kernel + bias[1])
        h' = σ(z + z') h + (1 - σ(z + z')) φ(n + σ(r + r') n')

    Args:
        units: int, size of the output and of the state.
        activation: function or name, φ. Default: "tanh".
        recurrent_activation: function or name, σ. Default: "sigmoid".
        use_bias: whether biases are added. Default: True.
        kernel_initializer: Default: "glorot_uniform".
        recurrent_initializer: Default: "orthogonal".
        bias_initializer: Default: "zeros".
        kernel_regularizer, recurrent_regularizer, bias_regularizer: added to the loss.
            Default: None.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each update.
            Default: None.
        dropout: share of the inputs to drop, in [0, 1]. Default: 0.0.
        recurrent_dropout: share of the state to drop, in [0, 1]. Default: 0.0.
        reset_after: apply the reset gate after the matrix product (as above), or before it, with
            a single bias (3 units,). Default: True.
        seed: int, for the masks. Default: None, drawn from Python's `random`.
        **kwargs: `implementation`, `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for `units` that is not a positive int or a rate outside [0, 1].

    Example:
        >>> cell = staghorn.layers.GRUCell(3)
        >>> output, states = cell(np.ones((2, 5), "float32"), cell.get_initial_state(2))
        >>> output.shape, len(states)
        ((2, 3), 1)

    Notes: called by itself in training, a cell draws a new mask at each call, where Keras keeps
    the first one for good. Keras clips rates to [0, 1]. `implementation=1` gives each gate its own
    dropout mask, as `recurrent_dropout` does.
    """

    arguments = {**RecurrentCell.arguments, "reset_after": Is(bool)}
    gates = 3
    reset_after: bool

    def __init__(
        self,
        units: int,
        activation: str | Callable | None = "tanh",
        recurrent_activation: str | Callable | None = "sigmoid",
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
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        options = own_arguments(locals())
        super().__init__(**kwargs)
        self._configure(options)
        self.seed_generator = random.SeedGenerator(seed)
        self.state_size = units

    def build(self, input_shape: tuple) -> None:
        width = 3 * self.units
        self._add_weights(input_shape[-1], (2, width) if self.reset_after else (width,))

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[jax.Array, Any]:
        nested = isinstance(states, (list, tuple))
        h = states[0] if nested else states
        kernel, recurrent_kernel, bias = self._values()
        masks, recurrent_masks = self._masks(inputs, h, training)
        of_input, of_state = bias if bias is not None and self.reset_after else (bias, None)
        x = add_bias(masked_product(inputs, kernel, masks), of_input)
        step = self._reset_after if self.reset_after else self._reset_before
        h = step(x, h, recurrent_kernel, of_state, recurrent_masks)
        return h, [h] if nested else h

    def _reset_after(self, x: Any, h: Any, weights: Any, bias: Any, masks: list | None) -> Any:
        sigma, phi = self.recurrent_activation, self.activation
        z, r, n = jnp.split(x, 3, axis=-1)
        inner = add_bias(masked_product(h, weights, masks), bias)
        inner_z, inner_r, inner_n = jnp.split(inner, 3, axis=-1)
        z = sigma(z + inner_z)
        return z * h + (1 - z) * phi(n + sigma(r + inner_r) * inner_n)

    def _reset_before(self, x: Any, h: Any, weights: Any, bias: Any, masks: list | None) -> Any:
        del bias  # there is one bias only, and it is in x
        sigma, phi = self.recurrent_activation, self.activation
        z, r, n = jnp.split(x, 3, axis=-1)
        of_gates, of_new = jnp.split(weights, [2 * self.units], axis=-1)
        inner = masked_product(h, of_gates, masks[:2] if masks else None)
        inner_z, inner_r = jnp.split(inner, 2, axis=-1)
        z, r = sigma(z + inner_z), sigma(r + inner_r)
        new = phi(n + masked_product(r * h, of_new, masks[2:] if masks else None))
        return z * h + (1 - z) * new

    def _has_fast_form(self) -> bool:
        known = has_fast_form(self.activation, self.recurrent_activation)
        return type(self) is GRUCell and known and self.reset_after

    def _run_fast(
        self, steps: Any, states: list, mask: Any, unroll: bool, sequences: bool
    ) -> tuple[Any, list]:
        phi, sigma = activation_name(self.activation), activation_name(self.recurrent_activation)
        outputs, h = recurrence.gru(
            steps, states[0], *self._values(), mask, phi or "", sigma or "", unroll, sequences
        )
        return outputs, [h]


class GRU(GatedRNN):
    """Gated recurrent units over a sequence.

    (batch, time, d) → (batch, units), or (batch, time, units) with `return_sequences`

        z, r, n = split(x @ kernel + bias[0]);  z', r', n' = split(h @ recurrent_kernel + bias[1])
        h' = σ(z + z') h + (1 - σ(z + z')) φ(n + σ(r + r') n')

    Weights (in `cell`): kernel (d, 3 units); recurrent_kernel (units, 3 units); bias (2, 3 units).

    Args:
        units: int, size of the output and of the state.
        activation: function or name, φ. Default: "tanh".
        recurrent_activation: function or name, σ. Default: "sigmoid".
        use_bias: whether biases are added. Default: True.
        kernel_initializer: Default: "glorot_uniform".
        recurrent_initializer: Default: "orthogonal".
        bias_initializer: Default: "zeros".
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
        return_state: also return the last state. Default: False.
        go_backwards: run from the last step to the first. Default: False.
        stateful: start each batch with the last states of the one before. Default: False.
        unroll: compile one long program instead of a loop. Default: False.
        reset_after: apply the reset gate after the matrix product (as above), or before it, with
            a single bias (3 units,); before rules out the fast loop. Default: True.
        use_cudnn: "auto", True or False; accepted, all three run the same compiled loop.
            Default: "auto".
        **kwargs: `zero_output_for_mask`, `implementation`, `name`, `dtype`, ... as for RNN,
            GRUCell and every layer.

    Raises:
        ValueError: for `units` that is not a positive int, a rate outside [0, 1], or an input
            that has not 3 axes.

    Example:
        >>> x = np.ones((2, 5, 4), "float32")
        >>> staghorn.layers.GRU(3)(x).shape
        (2, 3)
        >>> outputs, state = staghorn.layers.GRU(3, return_sequences=True, return_state=True)(x)
        >>> outputs.shape, state.shape
        ((2, 5, 3), (2, 3))

    Notes: the masks of dropout are drawn once per call and are the same at every step. The usual
    activations run in a loop with a derivative of its own (`staghorn.ops.recurrence`).
    Reference: Cho et al., 2014, https://arxiv.org/abs/1406.1078
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
        reset_after: bool = True,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        self._make_cell(GRUCell, own_arguments(locals()), kwargs)

    @property
    def reset_after(self) -> bool:
        return self.cell.reset_after
