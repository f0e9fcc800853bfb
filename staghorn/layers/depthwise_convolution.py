"""DepthwiseConv1D and DepthwiseConv2D: each channel is convolved by itself."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from staghorn.engine.arguments import Positive, check_arguments
from staghorn.layers.convolution import Ints, Sliding
from staghorn.ops import convolution


class DepthwiseConv(Sliding):
    """The part of the depthwise layers that does not depend on the number of axes."""

    arguments = {
        "depth_multiplier": Positive(int),
        **Sliding.arguments,
    }

    def __init__(
        self,
        kernel_size: Ints,
        strides: Ints = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Ints = 1,
        activation: str | Callable | None = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        depthwise = (depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        bias = (bias_initializer, bias_regularizer, bias_constraint)
        kwargs["activity_regularizer"] = activity_regularizer
        geometry = (kernel_size, strides, padding, data_format, dilation_rate)
        roles = {"depthwise": depthwise, "bias": bias}
        super().__init__(*geometry, activation, use_bias, roles, **kwargs)
        self.depth_multiplier = depth_multiplier
        check_arguments(self, self.arguments)

    def build(self, input_shape: tuple) -> None:
        channels = self._expect(input_shape)
        self.compute_output_shape(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self._add("kernel", shape, "depthwise")
        self.bias = self._add_bias(channels * self.depth_multiplier)

    def call(self, inputs: Any) -> jax.Array:
        y = convolution.depthwise_conv(
            inputs,
            self.kernel,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
        )
        return self._finish(y)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        channels = self._channels(input_shape)
        return self._output_shape(input_shape, channels * self.depth_multiplier)


class DepthwiseConv1D(DepthwiseConv):
    """Convolve each channel of sequences by itself, with its own kernels.

    (batch, steps, channels) → (batch, new_steps, channels * depth_multiplier)
    y[o, c] = activation(sum over k of x[o * strides + k * dilation_rate, c] * kernel[k, c] + bias)

    Weights: kernel (kernel_size, channels, depth_multiplier);
    bias (channels * depth_multiplier,).

    Args:
        kernel_size: int, size of the kernel.
        strides: int, steps between two outputs. Default: 1.
        padding: "valid" for none, "same" for zeros on all sides. Default: "valid".
        depth_multiplier: int, outputs for each channel. Default: 1.
        data_format: "channels_last", or "channels_first" for (batch, channels, steps).
            Default: `config.image_data_format()`.
        dilation_rate: int, steps between the inputs of one kernel. Default: 1.
        activation: function or name. Default: None, the identity.
        use_bias: whether a bias is added. Default: True.
        depthwise_initializer: of the kernel. Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        depthwise_regularizer, bias_regularizer: added to the loss. Default: None.
        activity_regularizer: applied to the output. Default: None.
        depthwise_constraint, bias_constraint: applied after each update. Default: None.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape`, ... as for every layer.

    Raises:
        ValueError: for arguments out of range; a kernel larger than the input.

    Example:
        >>> x = np.ones((2, 10, 4), "float32")
        >>> staghorn.layers.DepthwiseConv1D(3, depth_multiplier=2)(x).shape
        (2, 8, 8)
    """

    rank = 1


class DepthwiseConv2D(DepthwiseConv):
    """Convolve each channel of images by itself, with its own kernels.

    (batch, height, width, channels) → (batch, new_height, new_width, channels * depth_multiplier)
    y[o, c] = activation(sum over k of x[o * strides + k * dilation_rate, c] * kernel[k, c] + bias)

    Weights: kernel (*kernel_size, channels, depth_multiplier);
    bias (channels * depth_multiplier,).

    Args:
        kernel_size: int or 2 ints, size of the kernel.
        strides: int or 2 ints, steps between two outputs. Default: 1.
        padding: "valid" for none, "same" for zeros on all sides. Default: "valid".
        depth_multiplier: int, outputs for each channel. Default: 1.
        data_format: "channels_last", or "channels_first" for (batch, channels, height, width).
            Default: `config.image_data_format()`.
        dilation_rate: int or 2 ints, steps between the inputs of one kernel. Default: 1.
        activation: function or name. Default: None, the identity.
        use_bias: whether a bias is added. Default: True.
        depthwise_initializer: of the kernel. Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        depthwise_regularizer, bias_regularizer: added to the loss. Default: None.
        activity_regularizer: applied to the output. Default: None.
        depthwise_constraint, bias_constraint: applied after each update. Default: None.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape`, ... as for every layer.

    Raises:
        ValueError: for arguments out of range; a kernel larger than the input.

    Example:
        >>> x = np.ones((2, 8, 8, 4), "float32")
        >>> staghorn.layers.DepthwiseConv2D(3, padding="same")(x).shape
        (2, 8, 8, 4)
    """

    rank = 2
