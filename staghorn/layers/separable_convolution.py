"""SeparableConv1D and SeparableConv2D: along the axes first, across the channels second."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from staghorn.engine.arguments import Positive, check_arguments
from staghorn.layers.convolution import Ints, Sliding
from staghorn.ops import convolution


class SeparableConv(Sliding):
    """The part of the separable layers that does not depend on the number of axes."""

    arguments = {
        "filters": Positive(int),
        "depth_multiplier": Positive(int),
        **Sliding.arguments,
    }

    def __init__(
        self,
        filters: int,
        kernel_size: Ints,
        strides: Ints = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Ints = 1,
        depth_multiplier: int = 1,
        activation: str | Callable | None = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        roles = {
            "depthwise": (depthwise_initializer, depthwise_regularizer, depthwise_constraint),
            "pointwise": (pointwise_initializer, pointwise_regularizer, pointwise_constraint),
            "bias": (bias_initializer, bias_regularizer, bias_constraint),
        }
        kwargs["activity_regularizer"] = activity_regularizer
        geometry = (kernel_size, strides, padding, data_format, dilation_rate)
        super().__init__(*geometry, activation, use_bias, roles, **kwargs)
        self.filters = filters
        self.depth_multiplier = depth_multiplier
        check_arguments(self, self.arguments)

    def build(self, input_shape: tuple) -> None:
        channels = self._expect(input_shape)
        self.compute_output_shape(input_shape)
        deep = (*self.kernel_size, channels, self.depth_multiplier)
        point = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        self.depthwise_kernel = self._add("depthwise_kernel", deep, "depthwise")
        self.pointwise_kernel = self._add("pointwise_kernel", point, "pointwise")
        self.bias = self._add_bias(self.filters)

    def call(self, inputs: Any) -> jax.Array:
        y = convolution.separable_conv(
            inputs,
            self.depthwise_kernel,
            self.pointwise_kernel,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
        )
        return self._finish(y)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return self._output_shape(input_shape, self.filters)


class SeparableConv1D(SeparableConv):
    """Convolve each channel of sequences by itself, then mix the channels place by place.

    (batch, steps, channels) → (batch, new_steps, filters)
    y = activation(depthwise convolution of x @ pointwise_kernel + bias)

    Weights: depthwise_kernel (kernel_size, channels, depth_multiplier);
    pointwise_kernel (1, channels * depth_multiplier, filters); bias (filters,).

    Args:
        filters: int, number of output channels.
        kernel_size: int, size of the kernel.
        strides: int, steps between two outputs. Default: 1.
        padding: "valid" for none, "same" for zeros on all sides. Default: "valid".
        data_format: "channels_last", or "channels_first" for (batch, channels, steps).
            Default: `config.image_data_format()`.
        dilation_rate: int, steps between the inputs of one kernel. Default: 1.
        depth_multiplier: int, outputs of the first step for each channel. Default: 1.
        activation: function or name. Default: None, the identity.
        use_bias: whether a bias is added. Default: True.
        depthwise_initializer, pointwise_initializer: Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        depthwise_regularizer, pointwise_regularizer, bias_regularizer: added to the loss.
            Default: None.
        activity_regularizer: applied to the output. Default: None.
        depthwise_constraint, pointwise_constraint, bias_constraint: applied after each update.
            Default: None.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape`, ... as for every layer.

    Raises:
        ValueError: for arguments out of range; a kernel larger than the input.

    Example:
        >>> x = np.ones((2, 10, 4), "float32")
        >>> staghorn.layers.SeparableConv1D(8, 3)(x).shape
        (2, 8, 8)

    Reference:
        Chollet, 2016, https://arxiv.org/abs/1610.02357
    """

    rank = 1


class SeparableConv2D(SeparableConv):
    """Convolve each channel of images by itself, then mix the channels place by place.

    (batch, height, width, channels) → (batch, new_height, new_width, filters)
    y = activation(depthwise convolution of x @ pointwise_kernel + bias)

    Weights: depthwise_kernel (*kernel_size, channels, depth_multiplier);
    pointwise_kernel (1, 1, channels * depth_multiplier, filters); bias (filters,).

    Args:
        filters: int, number of output channels.
        kernel_size: int or 2 ints, size of the kernel.
        strides: int or 2 ints, steps between two outputs. Default: 1.
        padding: "valid" for none, "same" for zeros on all sides. Default: "valid".
        data_format: "channels_last", or "channels_first" for (batch, channels, height, width).
            Default: `config.image_data_format()`.
        dilation_rate: int or 2 ints, steps between the inputs of one kernel. Default: 1.
        depth_multiplier: int, outputs of the first step for each channel. Default: 1.
        activation: function or name. Default: None, the identity.
        use_bias: whether a bias is added. Default: True.
        depthwise_initializer, pointwise_initializer: Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        depthwise_regularizer, pointwise_regularizer, bias_regularizer: added to the loss.
            Default: None.
        activity_regularizer: applied to the output. Default: None.
        depthwise_constraint, pointwise_constraint, bias_constraint: applied after each update.
            Default: None.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape`, ... as for every layer.

    Raises:
        ValueError: for arguments out of range; a kernel larger than the input.

    Example:
        >>> x = np.ones((2, 8, 8, 4), "float32")
        >>> staghorn.layers.SeparableConv2D(16, 3, padding="same")(x).shape
        (2, 8, 8, 16)

    Reference:
        Chollet, 2016, https://arxiv.org/abs/1610.02357
    """

    rank = 2


SeparableConvolution1D = SeparableConv1D
