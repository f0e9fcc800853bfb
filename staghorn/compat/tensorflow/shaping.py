"""The part of `tf` itself that makes, reshapes, joins and takes apart arrays."""

from __future__ import annotations

import builtins
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import ops
from staghorn.compat.spelled import as_shape, publish, spelled, table
from staghorn.engine.symbolic import op
from staghorn.engine.variable import Variable
from staghorn.layers.call import is_text

TABLE = table(
    {
        "broadcast_to": spelled(ops.broadcast_to, "input=x shape"),
        "clip_by_value": spelled(ops.clip, "t=x clip_value_min=x_min clip_value_max=x_max"),
        "cond": spelled(ops.cond, "pred true_fn false_fn"),
        "custom_gradient": ops.custom_gradient,
        "expand_dims": spelled(ops.expand_dims, "input=x axis"),
        "identity": spelled(ops.convert_to_tensor, "input=x"),
        "linspace": spelled(ops.linspace, "start stop num name=_ axis"),
        "map_fn": spelled(
            ops.map,
            "fn=f elems=xs dtype=_ parallel_iterations=_ back_prop=_ swap_memory=_ infer_shape=_ "
            "name=_ fn_output_signature=_",
        ),
        "meshgrid": ops.meshgrid,
        "ones_like": spelled(ops.ones_like, "input=x dtype"),
        "repeat": spelled(ops.repeat, "input=x repeats axis"),
        "reverse": spelled(ops.flip, "tensor=x axis"),
        "roll": spelled(ops.roll, "input=x shift axis"),
        "searchsorted": spelled(ops.searchsorted, "sorted_sequence values side"),
        "squeeze": spelled(ops.squeeze, "input=x axis"),
        "stop_gradient": spelled(ops.stop_gradient, "input=variable"),
        "tile": spelled(ops.tile, "input=x multiples=repeats"),
        "unstack": spelled(ops.unstack, "value=x num axis"),
        "vectorized_map": spelled(ops.vectorized_map, "fn=function elems=elements"),
        "while_loop": spelled(
            ops.while_loop,
            "cond body loop_vars shape_invariants=_ parallel_iterations=_ back_prop=_ "
            "swap_memory=_ maximum_iterations",
        ),
        "zeros_like": spelled(ops.zeros_like, "input=x dtype"),
    }
)


class StaticShape(np.ndarray):
    """What `tf.shape` returns: known sizes, so that shapes made of them stay known under `jit`.

    Example:
        >>> from staghorn.compat import tensorflow as tf
        >>> print(tf.shape(np.ones((2, 3))) * 2)
        [4 6]
    """

    def numpy(self):
        """The sizes as a plain NumPy array."""
        return np.asarray(self)


def _static(sizes):
    # Unknown sizes, and the symbols that stand for them while shapes are inferred, are objects.
    known = all(isinstance(d, (int, np.integer)) for d in sizes)
    return np.asarray(sizes, "int32" if known else object).view(StaticShape)


def _is_size(x):
    return isinstance(x, (int, np.integer)) or type(x).__name__ == "_DimExpr"


def shape(input, out_type="int32"):
    """Shape of an array, as an array of sizes; an unknown size of a KerasTensor is None."""
    return _static(ops.shape(input))


def size(input, out_type="int32"):
    """Number of values."""
    count = math.prod(ops.shape(input))
    return np.int32(count) if isinstance(count, int) else count


def rank(input):
    """Number of axes."""
    return len(ops.shape(input))


def reshape(tensor, shape):
    """Read the values in a new shape; one size may be -1 or unknown."""
    return ops.reshape(tensor, tuple(-1 if d is None else d for d in as_shape(shape)))


def constant(value, dtype=None, shape=None):
    """Make an array of a value; Python's floats become float32, its ints int32."""
    array = convert_to_tensor(value, dtype)
    if shape is None:
        return array
    sizes = as_shape(shape)
    return ops.broadcast_to(array, sizes) if array.size == 1 else ops.reshape(array, sizes)


def convert_to_tensor(value, dtype=None, dtype_hint=None):
    """Make an array of a value; Python's floats become float32, its ints int32.

    Of texts it is a NumPy array: they stay on the host.
    """
    if is_text(value):
        return np.asarray(value)
    if dtype is None and not hasattr(value, "dtype"):
        # A type of its own: a plain number would take that of whatever it meets.
        dtype = jnp.result_type(jnp.asarray(value)).name
    return ops.convert_to_tensor(value, dtype)


def is_tensor(x):
    """Whether `x` is an array (a traced one too) or a Variable."""
    return isinstance(x, (jax.Array, Variable))


def zeros(shape, dtype="float32"):
    """Zeros of a shape."""
    return ops.zeros(as_shape(shape), dtype)


def ones(shape, dtype="float32"):
    """Ones of a shape."""
    return ops.ones(as_shape(shape), dtype)


def fill(dims, value):
    """An array that holds one value everywhere."""
    return ops.broadcast_to(convert_to_tensor(value), as_shape(dims))


def range(start, limit=None, delta=1, dtype=None):
    """start, start + delta, ... up to, not including, the limit."""
    start, limit = (0, start) if limit is None else (start, limit)
    return ops.arange(start, limit, delta, dtype)


def one_hot(indices, depth, on_value=None, off_value=None, axis=None, dtype=None):
    """`on_value` (1) at the place each index names, `off_value` (0) elsewhere."""
    hot = ops.one_hot(indices, int(depth), -1 if axis is None else axis, dtype or "float32")
    if on_value is None and off_value is None:
        return hot
    on, off = (1 if on_value is None else on_value), (0 if off_value is None else off_value)
    return ops.cast(ops.where(ops.equal(hot, 1), on, off), dtype or jnp.result_type(on, off).name)


def concat(values, axis):
    """Join arrays along an axis they have; parts of `tf.shape` give a shape."""
    if not isinstance(values, (list, tuple)):
        return ops.convert_to_tensor(values)
    if any(isinstance(v, StaticShape) for v in values) and not any(map(is_tensor, values)):
        return _static([d for value in values for d in np.ravel(value)])
    return ops.concatenate(values, int(axis))


def stack(values, axis=0):
    """Join arrays of one shape along a new axis; sizes taken from `tf.shape` give a shape."""
    if all(map(_is_size, values)) and not all(type(v) is int for v in values):
        return _static(list(values))
    return ops.stack(values, axis)


def split(value, num_or_size_splits, axis=0, num=None):
    """Cut into equal parts (an int), or into parts of the given sizes, one of which may be -1."""
    if isinstance(num_or_size_splits, int):
        return ops.split(value, num_or_size_splits, axis)
    sizes = list(as_shape(num_or_size_splits))
    if -1 in sizes:
        rest = value.shape[axis] - builtins.sum(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = rest
    return ops.split(value, [int(i) for i in np.cumsum(sizes)[:-1]], axis)


def transpose(a, perm=None, conjugate=False):
    """Axes in another order, by default the reverse one."""
    turned = ops.transpose(a, None if perm is None else as_shape(perm))
    return ops.conj(turned) if conjugate else turned


def pad(tensor, paddings, mode="CONSTANT", constant_values=0):
    """Add values around an array; mode "CONSTANT", "REFLECT" or "SYMMETRIC"."""
    widths = [as_shape(pair) for pair in paddings]
    if mode.upper() == "CONSTANT":
        return ops.pad(tensor, widths, constant_values=constant_values)
    return ops.pad(tensor, widths, mode.lower())


@op
def _gather(x, indices, axis, batch_dims):
    def take(row, places):
        return jnp.take(row, places, axis=axis - batch_dims)

    for _ in builtins.range(batch_dims):
        take = jax.vmap(take)
    return take(jnp.asarray(x), jnp.asarray(indices))


def gather(params, indices, validate_indices=None, axis=None, batch_dims=0):
    """Slices at the given indices along an axis; indices outside give NaN."""
    axis = batch_dims if axis is None else axis
    return _gather(params, indices, axis % len(ops.shape(params)), batch_dims)


@op
def gather_nd(params, indices, batch_dims=0):
    """Values or slices at the places that the last axis of `indices` names."""

    def take(values, places):
        return values[tuple(jnp.moveaxis(places, -1, 0))]

    for _ in builtins.range(batch_dims):
        take = jax.vmap(take)
    return take(jnp.asarray(params), jnp.asarray(indices))


def where(condition, x=None, y=None):
    """Values of x where the condition holds, of y elsewhere; alone, the places where it holds."""
    if x is None and y is None:
        return jnp.argwhere(jnp.asarray(condition))
    return ops.where(condition, x, y)


def boolean_mask(tensor, mask, axis=None):
    """The slices where the mask holds; their number depends on it, so not in compiled code."""
    places = jnp.nonzero(jnp.asarray(mask))
    return jnp.asarray(tensor)[(slice(None),) * (axis or 0) + places]


def clip_by_norm(t, clip_norm, axes=None):
    """Values scaled down so that their length is at most `clip_norm`."""
    length = ops.sqrt(ops.sum(ops.square(t), axes, keepdims=True))
    return ops.multiply(t, clip_norm / ops.maximum(length, clip_norm))


def global_norm(t_list):
    """Length of all arrays of a list together; None is skipped."""
    total: Any = 0.0
    for t in t_list:
        total = total if t is None else ops.add(total, ops.sum(ops.square(t)))
    return ops.sqrt(total)


def clip_by_global_norm(t_list, clip_norm, use_norm=None):
    """The arrays scaled down to a common length of at most `clip_norm`, and that length."""
    length = global_norm(t_list) if use_norm is None else use_norm
    factor = clip_norm / ops.maximum(length, clip_norm)
    return [None if t is None else t * factor for t in t_list], length


def sort(values, axis=-1, direction="ASCENDING"):
    """Values in rising or falling order."""
    rising = ops.sort(values, axis)
    return rising if direction == "ASCENDING" else ops.flip(rising, axis)


def argsort(values, axis=-1, direction="ASCENDING", stable=False):
    """Places of the values in rising or falling order."""
    return ops.argsort(values if direction == "ASCENDING" else ops.negative(values), axis)


__all__ = publish(globals(), TABLE)
