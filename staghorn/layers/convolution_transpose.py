"""Conv1DTranspose, Conv2DTranspose, Conv3DTranspose: from small to large."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from staghorn.engine.arguments import Positive, check_arguments
from staghorn.layers.convolution import Ints, Sliding
from staghorn.ops import convolution


class ConvTranspose(Sliding):
    """The part of the transposed layers that does not depend on the number of axes."""

    arguments = {
        "filters": Positive(int),
        **Sliding.arguments,
    }

    def __init__(
        self,
        filters: int,
        kernel_size: Ints,
        strides: Ints = 1,
        padding: str = "valid",
        output_padding: Ints | None = None,
        data_format: str | None = None,
        dilation_rate: Ints = 1,
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
        geometry = (kernel_size, strides, padding, data_format, dilation_rate)
        roles = {"kernel": kernel, "bias": bias}
        super().__init__(*geometry, activation, use_bias, roles, **kwargs)
        self.filters = filters
        self.output_padding = (
            None if output_padding is None else self._ints("output_padding", output_padding, 0)
        )
        check_arguments(self, self.arguments)
        self._refuse_strides_with_dilation()
        pairs = zip(self.output_padding or (), self.strides, strict=False)
        if any(extra >= stride for extra, stride in pairs):
            raise ValueError(
                f"{type(self).__name__}: output_padding must be smaller than strides on each axis, "
                f"got output_padding={self.output_padding} and strides={self.strides}."
            )

    def build(self, input_shape: tuple) -> None:
        channels = self._expect(input_shape)
        self.kernel = self._add("kernel", (*self.kernel_size, self.filters, channels), "kernel")
        self.bias = self._add_bias(self.filters)

    def call(self, inputs: Any) -> jax.Array:
        y = convolution.conv_transpose(
            inputs,
            self.kernel,
            self.strides,
            self.padding,
            self.output_padding,
            self.data_format,
            self.dilation_rate,
        )
        return self._finish(y)

    def _output_size(self, size: int | None, axis: int) -> int | None:
        if size is None:
            return None
        kernel, stride, dilation = (
            numbers[axis] for numbers in (self.kernel_size, self.strides, self.dilation_rate)
        )
        extra = None if self.output_padding is None else self.output_padding[axis]
        pads = convolution.transposed_pads(kernel, stride, dilation, self.padding, extra)
        return (size - 1) * stride + 1 + sum(pads) - (kernel - 1) * dilation

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return self._output_shape(input_shape, self.filters)


class Conv1DTranspose(ConvTranspose):
    """Transposed convolution along one axis: makes sequences larger.

    (batch, steps, channels) → (batch, new_steps, filters)
    Each input place adds kernel @ x, shifted by strides, to the output: what the gradient of
    Conv1D does.

    A side of n becomes n · strides with "same" padding and
    (n - 1) · strides + max(kernel_size, strides) with "valid".
    Weights: kernel (kernel_size, filters, channels); bias (filters,).

    Args:
        filters: int, number of output channels.
        kernel_size: int, size of the kernel.
        strides: int, steps between the places of two inputs. Default: 1.
        padding: "valid" or "same". Default: "valid".
        output_padding: int, outputs added at the end; less than strides.
            Default: None, chosen so that the sizes above come out.
        data_format: "channels_last", or "channels_first" for (batch, channels, steps).
            Default: `config.image_data_format()`.
        dilation_rate: int, steps between the places of one kernel. Default: 1.
        activation: function or name. Default: None, the identity.
        use_bias: whether a bias is added. Default: True.
        kernel_initializer: Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        kernel_regularizer, bias_regularizer: added to the loss. Default: None.
        activity_regularizer: applied to the output. Default: None.
        kernel_constraint, bias_constraint: applied after each update. Default: None.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape`, ... as for every layer.

    Raises:
        ValueError: for arguments out of range; strides together with dilation.

    Example:
        >>> x = np.ones((2, 5, 4), "float32")
        >>> staghorn.layers.Conv1DTranspose(8, 3, strides=2, padding="same")(x).shape
        (2, 10, 8)

    Reference:
        Dumoulin and Visin, 2016, https://arxiv.org/abs/1603.07285
    """

    rank = 1


class Conv2DTranspose(ConvTranspose):
    """Transposed convolution along two axes: makes images larger.

    (batch, height, width, channels) → (batch, new_height, new_width, filters)
    Each input place adds kernel @ x, shifted by strides, to the output: what the gradient of
    Conv2D does.

    A side of n becomes n · strides with "same" padding and
    (n - 1) · strides + max(kernel_size, strides) with "valid".
    Weights: kernel (*kernel_size, filters, channels); bias (filters,).

    Args:
        filters: int, number of output channels.
        kernel_size: int or 2 ints, size of the kernel.
        strides: int or 2 ints, steps between the places of two inputs. Default: 1.
        padding: "valid" or "same". Default: "valid".
        output_padding: int or 2 ints, outputs added at the end; less than strides.
            Default: None, chosen so that the sizes above come out.
        data_format: "channels_last", or "channels_first" for (batch, channels, height, width).
            Default: `config.image_data_format()`.
        dilation_rate: int or 2 ints, steps between the places of one kernel. Default: 1.
        activation: function or name. Default: None, the identity.
        use_bias: whether a bias is added. Default: True.
        kernel_initializer: Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        kernel_regularizer, bias_regularizer: added to the loss. Default: None.
        activity_regularizer: applied to the output. Default: None.
        kernel_constraint, bias_constraint: applied after each update. Default: None.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape`, ... as for every layer.

    Raises:
        ValueError: for arguments out of range; strides together with dilation.

    Example:
        >>> x = np.ones((2, 7, 7, 4), "float32")
        >>> staghorn.layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x).shape
        (2, 14, 14, 8)

    Reference:
        Dumoulin and Visin, 2016, https://arxiv.org/abs/1603.07285
    """

    rank = 2


class Conv3DTranspose(ConvTranspose):
    """Transposed convolution along three axes: makes volumes larger.

    (batch, d1, d2, d3, channels) → (batch, new_d1, new_d2, new_d3, filters)
    Each input place adds kernel @ x, shifted by strides, to the output: what the gradient of
    Conv3D does.

    A side of n becomes n · strides with "same" padding and
    (n - 1) · strides + max(kernel_size, strides) with "valid".
    Weights: kernel (*kernel_size, filters, channels); bias (filters,).

    Args:
        filters: int, number of output channels.
        kernel_size: int or 3 ints, size of the kernel.
        strides: int or 3 ints, steps between the places of two inputs. Default: 1.
        padding: "valid" or "same". Default: "valid".
        output_padding: int or 3 ints, outputs added at the end; less than strides.
            Default: None, chosen so that the sizes above come out.
        data_format: "channels_last", or "channels_first" for (batch, channels, d1, d2, d3).
            Default: `config.image_data_format()`.
        dilation_rate: int or 3 ints, steps between the places of one kernel. Default: 1.
        activation: function or name. Default: None, the identity.
        use_bias: whether a bias is added. Default: True.
        kernel_initializer: Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        kernel_regularizer, bias_regularizer: added to the loss. Default: None.
        activity_regularizer: applied to the output. Default: None.
        kernel_constraint, bias_constraint: applied after each update. Default: None.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape`, ... as for every layer.

    Raises:
        ValueError: for arguments out of range; strides together with dilation.

    Example:
        >>> x = np.ones((2, 3, 3, 3, 4), "float32")
        >>> staghorn.layers.Conv3DTranspose(8, 2, strides=2)(x).shape
        (2, 6, 6, 6, 8)

    Reference:
        Dumoulin and Visin, 2016, https://arxiv.org/abs/1603.07285
    """

    rank = 3

    # Keras has data_format before output_padding here, and only here.
    def __init__(
        self,
        filters: int,
        kernel_size: Ints,
        strides: Ints = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Ints | None = None,
        dilation_rate: Ints = (1, 1, 1),
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
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            output_padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            **kwargs,
        )


Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
