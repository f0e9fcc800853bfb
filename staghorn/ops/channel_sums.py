"""Sums over all axes but the last, and their counterpart, as matrix products on a CPU.

XLA's CPU backend sums the rows of a (rows, channels) array in several slow passes: (64, 32, 32, 16)
takes it 0.7 ms, as a product with a row of ones 0.3 ms. Means of a batch, and the gradients of
biases and of factors per channel, are such sums. The two functions here are linear and each is the
other's transpose, so that derivatives of any order and mode stay as fast.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

# Below this the sum costs less than what a product needs to start.
FEWEST_ROWS = 2048
# Rows are joined until they have about so many columns: narrow products are slow.
COLUMNS = 512


def sum_rows(x: jax.Array) -> jax.Array:
    """Sum over all axes but the last.

    (..., channels) → (channels,)

    Example:
        >>> from staghorn.ops.channel_sums import sum_rows
        >>> sum_rows(jnp.ones((2, 3, 4))).tolist()
        [6.0, 6.0, 6.0, 6.0]
    """
    if not _pays(x.shape, x.dtype):
        return jnp.sum(x, axis=tuple(range(x.ndim - 1)))
    return sum_p.bind(x)


def to_rows(vector: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Repeat a vector for every row of a shape.

    (channels,) → (..., channels)

    Example:
        >>> from staghorn.ops.channel_sums import to_rows
        >>> to_rows(jnp.ones(2), (3, 2)).shape
        (3, 2)
    """
    if not _pays(shape, vector.dtype):
        return _spread(vector, shape=shape)
    return spread_p.bind(vector, shape=tuple(shape))


def _pays(shape: tuple, dtype: Any) -> bool:
    if jax.default_backend() != "cpu" or dtype != jnp.float32:
        return False
    known = all(isinstance(size, int) for size in shape)
    return known and math.prod(shape[:-1]) >= FEWEST_ROWS and shape[-1] > 0


def _sum(x: jax.Array) -> jax.Array:
    channels = x.shape[-1]
    rows, joined = x.size // channels, 1
    while joined * channels < COLUMNS and rows % (2 * joined) == 0:
        joined *= 2
    wide = jnp.reshape(x, (rows // joined, joined * channels))
    sums = jnp.matmul(jnp.ones((1, rows // joined), x.dtype), wide)
    return jnp.sum(jnp.reshape(sums, (joined, channels)), axis=0)


def _spread(vector: jax.Array, *, shape: tuple[int, ...]) -> jax.Array:
    return jnp.broadcast_to(jnp.reshape(vector, (1,) * (len(shape) - 1) + vector.shape), shape)


def _sum_batched(arrays: tuple, axes: tuple) -> tuple:
    x = jnp.moveaxis(arrays[0], axes[0], 0)
    return jnp.sum(x, axis=tuple(range(1, x.ndim - 1))), 0


def _spread_batched(arrays: tuple, axes: tuple, *, shape: tuple[int, ...]) -> tuple:
    vectors = jnp.moveaxis(arrays[0], axes[0], 0)
    return jax.vmap(functools.partial(_spread, shape=shape))(vectors), 0


sum_p = Primitive("staghorn_sum_rows")
sum_p.def_impl(jax.jit(_sum))
sum_p.def_abstract_eval(lambda x: x.update(shape=x.shape[-1:], weak_type=False))
ad.deflinear2(sum_p, lambda ct, x: [to_rows(ct, x.aval.shape)])
batching.primitive_batchers[sum_p] = _sum_batched
mlir.register_lowering(sum_p, mlir.lower_fun(_sum, multiple_results=False))

spread_p = Primitive("staghorn_to_rows")
spread_p.def_impl(jax.jit(_spread, static_argnames="shape"))
spread_p.def_abstract_eval(lambda v, *, shape: v.update(shape=shape, weak_type=False))
ad.deflinear2(spread_p, lambda ct, vector, *, shape: [sum_rows(ct)])
batching.primitive_batchers[spread_p] = _spread_batched
mlir.register_lowering(spread_p, mlir.lower_fun(_spread, multiple_results=False))
