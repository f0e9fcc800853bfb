"""ConvLSTM1D, ConvLSTM2D, ConvLSTM3D: an LSTM whose products are convolutions."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from staghorn import config, random
from staghorn.engine.arguments import Is, Options, Positive
from staghorn.layers.convolution import Ints, Sliding
from staghorn.layers.input_spec import InputSpec
from staghorn.layers.options import own_arguments
from staghorn.layers.recurrent_cell import RecurrentCell
from staghorn.layers.rnn import CellRNN, of_cell
from staghorn.ops import convolution, recurrence

_UNKNOWN_SIZE = """\
{name}: all sizes but batch and time must be known, got steps of shape {shape}.
Write them in staghorn.Input(shape=(time, ...)), where only the time may be None."""


class ConvLSTMCell(RecurrentCell):
    """One step of a convolutional LSTM; ConvLSTM2D says what the arguments mean.

    inputs (batch, *sizes, channels), states [h, c] (batch, *new sizes, filters) → h', [h', c']
    """

    arguments = {
        **{name: check for name, check in RecurrentCell.arguments.items() if name != "units"},
        "filters": Positive(int),
        "padding": Options("valid", "same"),
        "data_format": Options("channels_last", "channels_first", optional=True),
        "unit_forget_bias": Is(bool),
    }
    gates = 4
    rank: int
    filters: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    data_format: str
    dilation_rate: tuple[int, ...]
    unit_forget_bias: bool
    state_size = (-1, -1)  # two states; their shape is known when the cell is built
    units = property(lambda cell: cell.filters)
    # The geometry is that of a convolution layer.
    _ints: Any = Sliding._ints
    _channels: Any = Sliding._channels
    _refuse_strides_with_dilation: Any = Sliding._refuse_strides_with_dilation
    _output_size: Any = Sliding._output_size
    _output_shape: Any = Sliding._output_shape

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Ints,
        strides: Ints = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Ints = 1,
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
        self.seed_generator = random.SeedGenerator(seed)
        self.rank = rank
        self.data_format = options["data_format"] = data_format or config.image_data_format()
        for name in ("kernel_size", "strides", "dilation_rate"):
            options[name] = self._ints(name, options[name])
        if isinstance(padding, str):
            options["padding"] = padding.lower()
        self._configure(options)
        self._refuse_strides_with_dilation()
        self.implementation = 1  # a dropout mask for each gate

    def build(self, input_shape: tuple) -> None:
        channels = self._channels(input_shape)
        self._state_shape = self._output_shape(input_shape, self.filters)[1:]
        if None in self._state_shape:
            name = f"{type(self).__name__} '{self.name}'"
            raise ValueError(_UNKNOWN_SIZE.format(name=name, shape=tuple(input_shape)))
        size = 4 * self.filters
        self.kernel = self._add("kernel", "kernel", (*self.kernel_size, channels, size))
        shape = (*self.kernel_size, self.filters, size)
        self.recurrent_kernel = self._add("recurrent_kernel", "recurrent", shape)
        start = self._remembering if self.unit_forget_bias else None
        self.bias = self._add("bias", "bias", (size,), start) if self.use_bias else None

    def get_initial_state(self, batch_size: int | None = None) -> list[jax.Array]:
        """Return zeros for both states."""
        return [jnp.zeros((batch_size or 1, *self._state_shape), self.compute_dtype)] * 2

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[jax.Array, list]:
        h, _ = states
        masks, recurrent_masks = self._masks(inputs, h, training)
        projected = self._of_inputs(inputs, masks)
        return self._step(projected, states, self.recurrent_kernel.value, recurrent_masks)

    def _of_inputs(self, inputs: jax.Array, masks: list | None = None) -> jax.Array:
        """What the inputs add to the gates: (batch, *new sizes, 4 filters)."""
        kernel, _, bias = self._values()
        y = self._convolved(inputs, kernel, masks, self.strides, self.padding, self.dilation_rate)
        if bias is None:
            return y
        last = self.data_format == "channels_last"
        row = (1,) * (self.rank + 1) + (-1,) if last else (1, -1) + (1,) * self.rank
        return y + jnp.reshape(bias, row)

    def _step(
        self, projected: jax.Array, states: Any, kernel: jax.Array, masks: list | None = None
    ) -> tuple[jax.Array, list]:
        h, c = states
        pre = projected + self._convolved(h, kernel, masks, 1, "same", 1)
        i, f, g, o = jnp.split(pre, 4, axis=self._channel_axis)
        sigma, phi = self.recurrent_activation, self.activation
        c = sigma(f) * c + sigma(i) * phi(g)
        h = sigma(o) * phi(c)
        return h, [h, c]

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def _convolved(
        self, x: jax.Array, kernel: jax.Array, masks: list | None, *geometry: Any
    ) -> jax.Array:
        """Convolve with the kernels of all gates; with a mask per gate, gate by gate."""
        strides, padding, dilation = geometry
        rest = (strides, padding, self.data_format, dilation)
        if masks is None:
            return convolution.conv(x, kernel, *rest)
        parts = zip(masks, jnp.split(kernel, len(masks), axis=-1), strict=True)
        gates = [convolution.conv(x * mask, part, *rest) for mask, part in parts]
        return jnp.concatenate(gates, axis=self._channel_axis)

    def _has_fast_form(self) -> bool:
        return type(self) is ConvLSTMCell

    def _run_fast(
        self, steps: Any, states: list, mask: Any, unroll: bool, sequences: bool
    ) -> tuple[Any, list]:
        del sequences
        rows = jnp.reshape(steps, (-1, *steps.shape[2:]))  # (time · batch, *sizes, channels)
        projected = self._of_inputs(rows)
        projected = jnp.reshape(projected, (*steps.shape[:2], *projected.shape[1:]))
        kernel = self.recurrent_kernel.value  # read here: inside the loop it would be frozen

        def step(x: Any, states: Any, carried: None) -> tuple[Any, Any, None]:
            return *self._step(x, states, kernel), carried

        outputs, states, _ = recurrence.scan_steps(step, projected, states, None, mask, unroll)
        return outputs, states


class ConvLSTM(CellRNN):
    """The part of ConvLSTM1D, ConvLSTM2D and ConvLSTM3D that does not depend on the rank."""

    rank: ClassVar[int]

    def __init__(
        self,
        filters: int,
        kernel_size: Ints,
        strides: Ints = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Ints = 1,
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
        **kwargs: Any,
    ) -> None:
        options = {**own_arguments(locals()), "rank": self.rank}
        self._make_cell(ConvLSTMCell, options, kwargs)
        self.input_spec = InputSpec(ndim=self.rank + 3)

    filters = of_cell("filters")
    kernel_size = of_cell("kernel_size")
    strides = of_cell("strides")
    padding = of_cell("padding")
    data_format = of_cell("data_format")
    dilation_rate = of_cell("dilation_rate")
    recurrent_activation = of_cell("recurrent_activation")
    unit_forget_bias = of_cell("unit_forget_bias")

    def compute_output_shape(
        self, sequences_shape: tuple, initial_state_shape: Any = None
    ) -> tuple:
        del initial_state_shape
        batch, time, *rest = sequences_shape
        state = self.cell._output_shape((batch, *rest), self.filters)
        output = (batch, time, *state[1:]) if self.return_sequences else state
        return (output, state, state) if self.return_state else output


class ConvLSTM1D(ConvLSTM):
    """Long short-term memory over sequences of rows, with convolutions for products.

    (batch, time, size, channels) → (batch, *new sizes, filters), or
    (batch, time, *new sizes, filters) with `return_sequences`

        i, f, g, o = split(x * kernel + h * recurrent_kernel + bias)        *: convolution
        c' = σ(f) c + σ(i) φ(g);  h' = σ(o) φ(c')        φ: activation, σ: recurrent_activation

    Weights (in `cell`): kernel (*kernel_size, channels, 4 filters);
    recurrent_kernel (*kernel_size, filters, 4 filters); bias (4 filters,).

    Args:
        filters: int, number of channels of the output and of both states.
        kernel_size: int, what a place sees of its neighbours.
        strides: int, from one place of the inputs to the next. Default: 1.
        padding: "valid" or "same", for the inputs; states are padded to keep their size.
            Default: "valid".
        data_format: "channels_last", or "channels_first" for
            (batch, time, channels, size). Default: that of the configuration.
        dilation_rate: int, steps between what one kernel sees of the inputs. Default: 1.
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
        dropout: share of the inputs to drop in training, for each gate anew. Default: 0.0.
        recurrent_dropout: share of the state to drop in training. Default: 0.0.
        seed: int, for the dropout masks. Default: None, drawn from Python's `random`.
        return_sequences: return the output of every step. Default: False, of the last one.
        return_state: also return the last h and c. Default: False.
        go_backwards: run from the last step to the first. Default: False.
        stateful: start each batch with the last states of the one before. Default: False.
        **kwargs: `unroll`, `zero_output_for_mask`, `name`, ... as for RNN and every layer.

    Raises:
        ValueError: for sizes that are not positive ints, a rate outside [0, 1], strides together
            with dilation, or an input with an unknown size besides batch and time.

    Example:
        >>> layer = staghorn.layers.ConvLSTM1D(4, 3, padding="same")
        >>> layer(np.ones((2, 5, 8, 3), "float32")).shape
        (2, 8, 4)

    Notes: without dropout, the inputs of all steps are convolved at once, before the loop.
    Reference: Shi et al., 2015, https://arxiv.org/abs/1506.04214
    """

    rank = 1


class ConvLSTM2D(ConvLSTM):
    """Long short-term memory over sequences of images (video), with convolutions for products.

    (batch, time, height, width, channels) → (batch, *new sizes, filters), or
    (batch, time, *new sizes, filters) with `return_sequences`

        i, f, g, o = split(x * kernel + h * recurrent_kernel + bias)        *: convolution
        c' = σ(f) c + σ(i) φ(g);  h' = σ(o) φ(c')        φ: activation, σ: recurrent_activation

    Weights (in `cell`): kernel (*kernel_size, channels, 4 filters);
    recurrent_kernel (*kernel_size, filters, 4 filters); bias (4 filters,).

    Args:
        filters: int, number of channels of the output and of both states.
        kernel_size: int or 2 ints, what a place sees of its neighbours.
        strides: int or 2 ints, from one place of the inputs to the next. Default: 1.
        padding: "valid" or "same", for the inputs; states are padded to keep their size.
            Default: "valid".
        data_format: "channels_last", or "channels_first" for
            (batch, time, channels, height, width). Default: that of the configuration.
        dilation_rate: int or 2 ints, steps between what one kernel sees of the inputs. Default: 1.
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
        dropout: share of the inputs to drop in training, for each gate anew. Default: 0.0.
        recurrent_dropout: share of the state to drop in training. Default: 0.0.
        seed: int, for the dropout masks. Default: None, drawn from Python's `random`.
        return_sequences: return the output of every step. Default: False, of the last one.
        return_state: also return the last h and c. Default: False.
        go_backwards: run from the last step to the first. Default: False.
        stateful: start each batch with the last states of the one before. Default: False.
        **kwargs: `unroll`, `zero_output_for_mask`, `name`, ... as for RNN and every layer.

    Raises:
        ValueError: for sizes that are not positive ints, a rate outside [0, 1], strides together
            with dilation, or an input with an unknown size besides batch and time.

    Example:
        >>> layer = staghorn.layers.ConvLSTM2D(4, 3, padding="same")
        >>> layer(np.ones((2, 5, 8, 8, 3), "float32")).shape
        (2, 8, 8, 4)

    Notes: without dropout, the inputs of all steps are convolved at once, before the loop.
    Reference: Shi et al., 2015, https://arxiv.org/abs/1506.04214
    """

    rank = 2


class ConvLSTM3D(ConvLSTM):
    """Long short-term memory over sequences of volumes, with convolutions for products.

    (batch, time, depth, height, width, channels) → (batch, *new sizes, filters), or
    (batch, time, *new sizes, filters) with `return_sequences`

        i, f, g, o = split(x * kernel + h * recurrent_kernel + bias)        *: convolution
        c' = σ(f) c + σ(i) φ(g);  h' = σ(o) φ(c')        φ: activation, σ: recurrent_activation

    Weights (in `cell`): kernel (*kernel_size, channels, 4 filters);
    recurrent_kernel (*kernel_size, filters, 4 filters); bias (4 filters,).

    Args:
        filters: int, number of channels of the output and of both states.
        kernel_size: int or 3 ints, what a place sees of its neighbours.
        strides: int or 3 ints, from one place of the inputs to the next. Default: 1.
        padding: "valid" or "same", for the inputs; states are padded to keep their size.
            Default: "valid".
        data_format: "channels_last", or "channels_first" for
            (batch, time, channels, depth, height, width). Default: that of the configuration.
        dilation_rate: int or 3 ints, steps between what one kernel sees of the inputs. Default: 1.
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
        dropout: share of the inputs to drop in training, for each gate anew. Default: 0.0.
        recurrent_dropout: share of the state to drop in training. Default: 0.0.
        seed: int, for the dropout masks. Default: None, drawn from Python's `random`.
        return_sequences: return the output of every step. Default: False, of the last one.
        return_state: also return the last h and c. Default: False.
        go_backwards: run from the last step to the first. Default: False.
        stateful: start each batch with the last states of the one before. Default: False.
        **kwargs: `unroll`, `zero_output_for_mask`, `name`, ... as for RNN and every layer.

    Raises:
        ValueError: for sizes that are not positive ints, a rate outside [0, 1], strides together
            with dilation, or an input with an unknown size besides batch and time.

    Example:
        >>> layer = staghorn.layers.ConvLSTM3D(4, 3, padding="same")
        >>> layer(np.ones((2, 3, 4, 4, 4, 3), "float32")).shape
        (2, 4, 4, 4, 4)

    Notes: without dropout, the inputs of all steps are convolved at once, before the loop.
    Reference: Shi et al., 2015, https://arxiv.org/abs/1506.04214
    """

    rank = 3
