"""Conv1D, Conv2D, Conv3D, and what all layers with a sliding kernel share."""

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import activations, config, constraints, initializers, regularizers
from staghorn.engine.arguments import Is, Options, Positive, check_arguments
from staghorn.layers.adaptation import Adaptable, Merged
from staghorn.layers.input_spec import InputSpec
from staghorn.layers.layer import Layer
from staghorn.ops import convolution
from staghorn.ops.channel_sums import to_rows

Ints = int | Sequence[int]


class Sliding(Layer):
    """What all layers have whose kernel slides along the axes between batch and channels.

    Args:
        filters, kernel_size, strides, padding, data_format, dilation_rate: as for `Conv2D`.
        activation, use_bias: as for `Conv2D`.
        roles: the name of each weight and its initializer, regularizer and constraint.
        **kwargs: as for every layer.
    """

    arguments = {
        "padding": Options("valid", "same"),
        "data_format": Options("channels_last", "channels_first"),
        "use_bias": Is(bool),
    }

    rank: int
    bias: Any

    def __init__(
        self,
        kernel_size: Ints,
        strides: Ints,
        padding: str,
        data_format: str | None,
        dilation_rate: Ints,
        activation: Any,
        use_bias: bool,
        roles: dict[str, tuple[Any, Any, Any]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = self._ints("kernel_size", kernel_size)
        self.strides = self._ints("strides", strides)
        self.padding = padding.lower() if isinstance(padding, str) else padding
        self.data_format = data_format or config.image_data_format()
        self.dilation_rate = self._ints("dilation_rate", dilation_rate)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        for role, (initializer, regularizer, constraint) in roles.items():
            setattr(self, f"{role}_initializer", initializers.get(initializer))
            setattr(self, f"{role}_regularizer", regularizers.get(regularizer))
            setattr(self, f"{role}_constraint", constraints.get(constraint))
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def get_config(self) -> dict[str, Any]:
        # Keras writes this entry for these layers even where it is empty.
        return {"activity_regularizer": None, **super().get_config()}

    def _ints(self, name: str, value: Any, least: int = 1) -> tuple[int, ...]:
        """Return one int for each axis the kernel slides along."""
        try:
            numbers = (index(value),) * self.rank
        except TypeError:
            numbers = _indices(value)
        if len(numbers) != self.rank or min(numbers) < least:
            kind = "a positive int" if least else "an int of 0 or more"
            each = "" if self.rank == 1 else f" or {self.rank} of them, one for each axis"
            raise ValueError(
                f"{type(self).__name__}: {name} must be {kind}{each}, "
                f"got {value!r} ({type(value).__name__})."
            )
        return numbers

    def _refuse_strides_with_dilation(self) -> None:
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{type(self).__name__}: strides above 1 and a dilation_rate above 1 exclude each "
                f"other, got strides={self.strides} and dilation_rate={self.dilation_rate}. "
                "Set one of them to 1."
            )

    def _channels(self, input_shape: Sequence) -> int:
        axis = -1 if self.data_format == "channels_last" else 1
        channels = input_shape[axis]
        if channels is None:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': the number of channels (axis {axis} with "
                f"data_format='{self.data_format}') must be known, got shape "
                f"{tuple(input_shape)}. Give it in Input(shape=...)."
            )
        return channels

    def _expect(self, input_shape: Sequence) -> int:
        """Note the number of channels for later inputs and return it."""
        channels = self._channels(input_shape)
        axis = -1 if self.data_format == "channels_last" else 1
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={axis: channels})
        return channels

    def _add(self, name: str, shape: tuple, role: str) -> Any:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=getattr(self, f"{role}_initializer"),
            regularizer=getattr(self, f"{role}_regularizer"),
            constraint=getattr(self, f"{role}_constraint"),
        )

    def _add_bias(self, size: int) -> Any:
        return self._add("bias", (size,), "bias") if self.use_bias else None

    def _pads(self) -> Any:
        if self.padding != "causal":
            return self.padding
        return [(d * (k - 1), 0) for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]

    def _finish(self, y: jax.Array) -> jax.Array:
        """Add the bias and apply the activation."""
        if self.bias is not None:
            bias = self.bias.value
            if self.data_format == "channels_last":
                y = y + to_rows(bias, y.shape)
            else:
                y = y + jnp.reshape(bias, (1, -1) + (1,) * self.rank)
        return self.activation(y)

    def _output_size(self, size: int | None, axis: int) -> int | None:
        if size is None:
            return None
        reach = self.dilation_rate[axis] * (self.kernel_size[axis] - 1) + 1
        needed = reach if self.padding == "valid" else 1
        return (size - needed) // self.strides[axis] + 1

    def _output_shape(self, input_shape: Sequence, filters: int) -> tuple:
        if len(input_shape) != self.rank + 2:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': the input must have {self.rank + 2} axes "
                f"(batch, {self.rank} to slide along, channels), got shape {tuple(input_shape)}."
            )
        last = self.data_format == "channels_last"
        sizes = tuple(input_shape[1:-1] if last else input_shape[2:])
        out = tuple(self._output_size(size, axis) for axis, size in enumerate(sizes))
        if any(n is not None and n < 1 for n in out):
            name = f"{type(self).__name__} '{self.name}'"
            raise ValueError(
                convolution.too_large(name, sizes, self.kernel_size, self.dilation_rate)
            )
        return (input_shape[0], *out, filters) if last else (input_shape[0], filters, *out)


def _indices(value: Any) -> tuple[int, ...]:
    try:
        return tuple(index(item) for item in value)
    except TypeError:
        return ()


class Conv(Adaptable, Sliding):
    """The part of Conv1D, Conv2D and Conv3D that does not depend on the number of axes."""

    arguments = {
        "filters": Positive(int),
        "groups": Positive(int),
        **Sliding.arguments,
    }
    kernel = Merged()

    def __init__(
        self,
        filters: int,
        kernel_size: Ints,
        strides: Ints = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Ints = 1,
        groups: int = 1,
        activation: str | Callable | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        kernel = (kernel_initializer, kernel_regularizer, kernel_constraint)
        bias = (bias_initializer, bias_regularizer, bias_constraint)
        kwargs["activity_regularizer"] = activity_regularizer
        self._set_adaptation(kwargs.pop("lora_rank", None), kwargs.pop("lora_alpha", None))
        geometry = (kernel_size, strides, padding, data_format, dilation_rate)
        roles = {"kernel": kernel, "bias": bias}
        super().__init__(*geometry, activation, use_bias, roles, **kwargs)
        self.filters = filters
        self.groups = groups
        check_arguments(self, self.arguments)
        self._refuse_strides_with_dilation()
        if filters % groups:
            raise ValueError(
                f"{type(self).__name__}: filters must be divisible by groups, "
                f"got filters={filters} and groups={groups}."
            )

    def build(self, input_shape: tuple) -> None:
        channels = self._expect(input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': the channels of the input must be divisible "
                f"by groups, got {channels} channels (shape {tuple(input_shape)}) "
                f"and groups={self.groups}."
            )
        self.compute_output_shape(input_shape)
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self._add("kernel", shape, "kernel")
        self.bias = self._add_bias(self.filters)

    def convolution_op(self, inputs: Any, kernel: Any) -> jax.Array:
        """The convolution alone; a subclass may change the kernel here, say standardize it."""
        return convolution.conv(
            inputs, kernel, self.strides, self._pads(), self.data_format, self.dilation_rate
        )

    def call(self, inputs: Any) -> jax.Array:
        return self._finish(self.convolution_op(inputs, self.kernel))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return self._output_shape(input_shape, self.filters)


class Conv1D(Conv):
    """Convolution along one axis: a small kernel slides over sequences.

    (batch, steps, channels) → (batch, new_steps, filters)
    y[o] = activation(sum over k of x[o * strides + k * dilation_rate] @ kernel[k] + bias)

    Weights: kernel (kernel_size, channels / groups, filters); bias (filters,).

    Args:
        filters: int, number of output channels.
        kernel_size: int, steps the kernel sees at once.
        strides: int, steps between two outputs. Default: 1.
        padding: "valid" for none; "same" for zeros on both sides; "causal" for zeros before the
            start, so that no output sees a later input. Default: "valid".
        data_format: "channels_last", or "channels_first" for (batch, channels, steps).
            Default: `config.image_data_format()`.
        dilation_rate: int, steps between the inputs of one kernel. Default: 1.
        groups: int, parts of the channels that are convolved separately. Default: 1.
        activation: function or name. Default: None, the identity.
        use_bias: whether a bias is added. Default: True.
        kernel_initializer: Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        kernel_regularizer, bias_regularizer: added to the loss. Default: None.
        activity_regularizer: applied to the output. Default: None.
        kernel_constraint, bias_constraint: applied after each update. Default: None.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape`, ... as for every layer; `lora_rank`
            and `lora_alpha`, to train an update of the kernel, see `enable_lora`.

    Raises:
        ValueError: for arguments out of range; filters or channels that `groups` does not divide;
            strides together with dilation; a kernel larger than the input.

    Example:
        >>> x = np.ones((2, 10, 4), "float32")
        >>> staghorn.layers.Conv1D(8, 3, padding="causal", activation="relu")(x).shape
        (2, 10, 8)
    """

    rank = 1
    arguments = {**Conv.arguments, "padding": Options("valid", "same", "causal")}


class Conv2D(Conv):
    """Convolution along two axes: a small kernel slides over images.

    (batch, height, width, channels) → (batch, new_height, new_width, filters)
    y[o] = activation(sum over k of x[o * strides + k * dilation_rate] @ kernel[k] + bias)

    A side of n becomes ceil(n / strides) with "same" padding, and
    ceil((n - (kernel_size - 1) * dilation_rate) / strides) with "valid".
    Weights: kernel (*kernel_size, channels / groups, filters); bias (filters,).

    Args:
        filters: int, number of output channels.
        kernel_size: int or 2 ints, height and width of the kernel.
        strides: int or 2 ints, steps between two outputs. Default: 1.
        padding: "valid" for none, "same" for zeros all round. Default: "valid".
        data_format: "channels_last", or "channels_first" for (batch, channels, height, width).
            Default: `config.image_data_format()`.
        dilation_rate: int or 2 ints, steps between the inputs of one kernel. Default: 1.
        groups: int, parts of the channels that are convolved separately. Default: 1.
        activation: function or name. Default: None, the identity.
        use_bias: whether a bias is added. Default: True.
        kernel_initializer: Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        kernel_regularizer, bias_regularizer: added to the loss. Default: None.
        activity_regularizer: applied to the output. Default: None.
        kernel_constraint, bias_constraint: applied after each update. Default: None.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape`, ... as for every layer; `lora_rank`
            and `lora_alpha`, to train an update of the kernel, see `enable_lora`.

    Raises:
        ValueError: for arguments out of range; filters or channels that `groups` does not divide;
            strides together with dilation; a kernel larger than the input.

    Example:
        >>> x = np.ones((4, 28, 28, 1), "float32")
        >>> staghorn.layers.Conv2D(32, 3, activation="relu")(x).shape
        (4, 26, 26, 32)

    Notes: on a CPU the gradients are written as convolutions that XLA knows how to do fast.
    """

    rank = 2


class Conv3D(Conv):
    """Convolution along three axes: a small kernel slides over volumes.

    (batch, d1, d2, d3, channels) → (batch, new_d1, new_d2, new_d3, filters)
    y[o] = activation(sum over k of x[o * strides + k * dilation_rate] @ kernel[k] + bias)

    Weights: kernel (*kernel_size, channels / groups, filters); bias (filters,).

    Args:
        filters: int, number of output channels.
        kernel_size: int or 3 ints, sides of the kernel.
        strides: int or 3 ints, steps between two outputs. Default: 1.
        padding: "valid" for none, "same" for zeros all round. Default: "valid".
        data_format: "channels_last", or "channels_first" for (batch, channels, d1, d2, d3).
            Default: `config.image_data_format()`.
        dilation_rate: int or 3 ints, steps between the inputs of one kernel. Default: 1.
        groups: int, parts of the channels that are convolved separately. Default: 1.
        activation: function or name. Default: None, the identity.
        use_bias: whether a bias is added. Default: True.
        kernel_initializer: Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        kernel_regularizer, bias_regularizer: added to the loss. Default: None.
        activity_regularizer: applied to the output. Default: None.
        kernel_constraint, bias_constraint: applied after each update. Default: None.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape`, ... as for every layer; `lora_rank`
            and `lora_alpha`, to train an update of the kernel, see `enable_lora`.

    Raises:
        ValueError: for arguments out of range; filters or channels that `groups` does not divide;
            strides together with dilation; a kernel larger than the input.

    Example:
        >>> x = np.ones((2, 6, 6, 6, 1), "float32")
        >>> staghorn.layers.Conv3D(4, (3, 3, 2))(x).shape
        (2, 4, 4, 5, 4)
    """

    rank = 3


Convolution1D = Conv1D
