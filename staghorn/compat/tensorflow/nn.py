"""`tf.nn`: `staghorn.ops` under TensorFlow's names and argument names."""

from __future__ import annotations

from staghorn import ops, random
from staghorn.compat.spelled import as_shape, publish, seeded, spelled, table
from staghorn.compat.tensorflow import math
from staghorn.compat.tensorflow.advice import explain

_SHARED = (
    "in_top_k", "l2_normalize", "sigmoid", "softplus", "softsign", "tanh", "top_k", "zero_fraction"
)  # fmt: skip
TABLE = {name: getattr(math, name) for name in _SHARED}
TABLE |= table(
    {
        **{n: spelled(getattr(ops, n), "features=x") for n in ("elu", "relu", "relu6", "selu")},
        "embedding_lookup": spelled(ops.take, "params=x ids=indices", axis=0),
        "gelu": spelled(ops.gelu, "features=x approximate", approximate=False),
        "leaky_relu": spelled(ops.leaky_relu, "features=x alpha=negative_slope"),
        "log_softmax": spelled(ops.log_softmax, "logits=x axis"),
        "sigmoid_cross_entropy_with_logits": spelled(
            ops.binary_crossentropy, "labels=target logits=output", from_logits=True
        ),
        "silu": spelled(ops.silu, "features=x"),
        "softmax": spelled(ops.softmax, "logits=x axis"),
        "softmax_cross_entropy_with_logits": spelled(
            ops.categorical_crossentropy, "labels=target logits=output axis", from_logits=True
        ),
        "sparse_softmax_cross_entropy_with_logits": spelled(
            ops.sparse_categorical_crossentropy, "labels=target logits=output", from_logits=True
        ),
        "swish": spelled(ops.silu, "features=x"),
    }
)


def moments(x, axes, shift=None, keepdims=False):
    """Mean and variance over some axes."""
    return ops.moments(x, axes, keepdims=keepdims)


def batch_normalization(x, mean, variance, offset, scale, variance_epsilon):
    """(x - mean) / √(variance + epsilon) · scale + offset."""
    factor = ops.rsqrt(ops.add(variance, variance_epsilon))
    factor = factor if scale is None else ops.multiply(factor, scale)
    result = ops.multiply(ops.subtract(x, mean), factor)
    return result if offset is None else ops.add(result, offset)


def dropout(x, rate, noise_shape=None, seed=None):
    """Zero a random part of the values and scale up the rest."""
    return random.dropout(x, rate, noise_shape, seed=seeded(seed))


def bias_add(value, bias, data_format=None):
    """Add one number per channel."""
    first = data_format is not None and data_format.startswith("NC")
    sizes = [1] * len(value.shape)
    sizes[1 if first else -1] = -1
    return ops.add(value, ops.reshape(bias, sizes))


def l2_loss(t):
    """Half the sum of the squares."""
    return ops.sum(ops.square(t)) / 2


def _layout(data_format):
    return "channels_first" if data_format.startswith("NC") else "channels_last"


def _window(size, data_format):
    """The spatial sizes of `[1, 2, 2, 1]`; an int or two numbers stay."""
    sizes = as_shape(size)
    if len(sizes) == 4:
        return sizes[2:] if data_format.startswith("NC") else sizes[1:3]
    return sizes * 2 if len(sizes) == 1 else sizes


def conv2d(input, filters, strides, padding, data_format="NHWC", dilations=1):
    """Convolution of images with filters (height, width, in, out)."""
    strides, dilations = _window(strides, data_format), _window(dilations or 1, data_format)
    return ops.conv(input, filters, strides, padding.lower(), _layout(data_format), dilations)


def _pooling(function):
    def pool(input, ksize, strides, padding, data_format="NHWC"):
        """Largest value or mean of each window of images."""
        sizes = _window(ksize, data_format), _window(strides, data_format)
        return function(input, *sizes, padding.lower(), _layout(data_format))

    return pool


max_pool2d = max_pool = _pooling(ops.max_pool)
avg_pool2d = avg_pool = _pooling(ops.average_pool)

__all__ = publish(globals(), TABLE)
__getattr__ = explain("tf.nn", __all__)
