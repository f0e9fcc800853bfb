"""`tf.math`: `staghorn.ops` under TensorFlow's names and argument names."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from staghorn import ops
from staghorn.compat.spelled import publish, spelled, table
from staghorn.compat.tensorflow.advice import explain
from staghorn.engine.symbolic import op

_UNARY = """
    abs acos=arccos acosh=arccosh asin=arcsin asinh=arcsinh atan=arctan atanh=arctanh ceil cos cosh
    erf erfinv exp expm1 floor is_finite=isfinite is_inf=isinf is_nan=isnan log log1p log_sigmoid
    logical_not negative reciprocal rint=round round rsqrt sigmoid sign sin sinh sqrt square tan
    tanh
"""
_BINARY = """
    add divide divide_no_nan equal floordiv=floor_divide floormod=mod greater greater_equal less
    less_equal logical_and logical_or logical_xor maximum minimum mod multiply not_equal pow=power
    subtract truediv=divide
"""
_REDUCTIONS = """
    reduce_all=all reduce_any=any reduce_logsumexp=logsumexp reduce_max=max reduce_mean=mean
    reduce_min=min reduce_prod=prod reduce_std=std reduce_sum=sum reduce_variance=var
"""


def _rows(names, parameters):
    pairs = (pair.partition("=") for pair in names.split())
    return {name: spelled(getattr(ops, ours or name), parameters) for name, _, ours in pairs}


TABLE = table(
    _rows(_UNARY, "x")
    | _rows(_BINARY, "x=x1 y=x2")
    | _rows(_REDUCTIONS, "input_tensor=x axis keepdims")
    | _rows("angle conj imag real", "input=x")
    | _rows("softplus softsign", "features=x")
    | {
        "atan2": spelled(ops.arctan2, "y=x1 x=x2"),
        "digamma": spelled(op(jax.scipy.special.digamma), "x"),
        "in_top_k": spelled(ops.in_top_k, "targets predictions k"),
        "lgamma": spelled(op(jax.scipy.special.gammaln), "x"),
        "scalar_mul": spelled(ops.multiply, "scalar=x1 x=x2"),
        "unsorted_segment_max": spelled(ops.segment_max, "data segment_ids num_segments"),
        "unsorted_segment_sum": spelled(ops.segment_sum, "data segment_ids num_segments"),
    }
)


class TopK(NamedTuple):
    """The largest values and where they are."""

    values: Any
    indices: Any


def top_k(input, k=1, sorted=True):
    """The `k` largest values of the last axis, with their places."""
    return TopK(*ops.top_k(input, k, sorted))


def argmax(input, axis=0, output_type="int32"):
    """Place of the largest value; unlike Keras's, over the first axis by default."""
    return ops.cast(ops.argmax(input, 0 if axis is None else axis), output_type)


def argmin(input, axis=0, output_type="int32"):
    """Place of the smallest value; unlike Keras's, over the first axis by default."""
    return ops.cast(ops.argmin(input, 0 if axis is None else axis), output_type)


def _running(function, x, axis, exclusive, reverse, first):
    x = ops.flip(x, axis) if reverse else ops.convert_to_tensor(x)
    if exclusive:
        width = [(1, 0) if i == axis % x.ndim else (0, 0) for i in range(x.ndim)]
        ahead = ops.pad(x, width, constant_values=first)
        x = ahead[(slice(None),) * (axis % x.ndim) + (slice(0, -1),)]
    x = function(x, axis)
    return ops.flip(x, axis) if reverse else x


def cumsum(x, axis=0, exclusive=False, reverse=False):
    """Running sum, with or without the value itself, from either end."""
    return _running(ops.cumsum, x, axis, exclusive, reverse, first=0)


def cumprod(x, axis=0, exclusive=False, reverse=False):
    """Running product, with or without the value itself, from either end."""
    return _running(ops.cumprod, x, axis, exclusive, reverse, first=1)


def add_n(inputs):
    """Sum of a list of arrays of one shape."""
    total, *rest = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    for item in rest:
        total = ops.add(total, item)
    return total


def squared_difference(x, y):
    """(x - y)²."""
    return ops.square(ops.subtract(x, y))


def count_nonzero(input, axis=None, keepdims=False, dtype="int32"):
    """Number of values that are not 0."""
    return ops.sum(ops.cast(ops.not_equal(input, 0), dtype), axis, keepdims)


def l2_normalize(x, axis=None, epsilon=1e-12):
    """Scale to length 1: x / √max(sum(x²), epsilon)."""
    squared = ops.sum(ops.square(x), axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squared, epsilon)))


def confusion_matrix(labels, predictions, num_classes=None, weights=None, dtype="int32"):
    """How often each class (row) was taken for each class (column)."""
    labels, predictions = ops.cast(labels, "int32"), ops.cast(predictions, "int32")
    if num_classes is None:
        num_classes = 1 + int(max(jnp.max(labels), jnp.max(predictions)))
    counts = jnp.ones(labels.shape) if weights is None else jnp.asarray(weights, "float32")
    zeros = jnp.zeros((num_classes, num_classes))
    return ops.cast(zeros.at[labels, predictions].add(counts), dtype)


def zero_fraction(value):
    """Part of the values that is 0."""
    return ops.mean(ops.cast(ops.equal(value, 0), "float32"))


__all__ = publish(globals(), TABLE)
__getattr__ = explain("tf.math", __all__)
