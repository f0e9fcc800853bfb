"""Fake quantization: floats that can only have the values that whole numbers would give."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.ops.core import common_type


@op
def fake_quant_with_min_max_vars(
    inputs: Any,
    min_vals: Any,
    max_vals: Any,
    num_bits: int = 8,
    narrow_range: bool = False,
    axis: int | None = None,
) -> jax.Array:
    """Round floats to the 2^num_bits values between two bounds, with gradients for all three.

    any shape → the same shape

    Args:
        inputs: floats.
        min_vals, max_vals: the bounds, which are moved a little so that 0 is one of the values:
            numbers, or vectors with one for each channel.
        num_bits: Default: 8.
        narrow_range: whether one value less is used. Default: False.
        axis: the channels' axis, for bounds by channel. Default: None.

    Example:
        >>> x = np.array([-2.0, 0.1, 0.9, 9.0], "float32")
        >>> print(staghorn.quantizers.fake_quant_with_min_max_vars(x, -1.0, 2.0, num_bits=2))
        [-1.  0.  1.  2.]

    Notes: inside the bounds the gradient passes unchanged, as if nothing had been rounded; outside
    it goes to the bound.

    Reference: Jacob et al., 2018, https://arxiv.org/abs/1712.05877
    """
    x = jnp.asarray(inputs)
    least = 1 if narrow_range else 0
    most = (1 << int(num_bits)) - 1

    def spread(bound: Any) -> jax.Array:
        bound = jnp.asarray(bound)
        bound = bound.astype(common_type(bound.dtype, jnp.float32))
        shape = [1] * x.ndim
        if axis is not None:
            shape[axis] = -1
        return jnp.reshape(bound, shape)

    @jax.custom_vjp
    def rounded(x: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
        return forward(x, low, high)[0]

    def forward(x: jax.Array, low: jax.Array, high: jax.Array) -> Any:
        scale, inverse = (high - low) / (most - least), (most - least) / (high - low)
        zero = jnp.round(jnp.clip(least - low / scale, least, most))
        floor, ceiling = (least - zero) * scale, (most - zero) * scale
        shift = jnp.floor(-floor * inverse + 0.5)
        inside = jnp.clip(x.astype(floor.dtype), floor, ceiling) - floor
        y = jnp.floor(inside * inverse - shift + 0.5) * scale
        return y.astype(x.dtype), (x, floor, ceiling)

    def backward(kept: tuple, upstream: jax.Array) -> tuple:
        x, floor, ceiling = kept
        wide = x.astype(floor.dtype)
        keep = (wide >= floor) & (wide <= ceiling)
        others = tuple(i for i in range(x.ndim) if floor.shape[i] == 1)

        def bound(where: jax.Array) -> jax.Array:
            chosen = jnp.where(where, upstream, 0).astype(floor.dtype)
            return jnp.sum(chosen, axis=others, keepdims=True)

        return jnp.where(keep, upstream, 0), bound(wide <= floor), bound(wide >= ceiling)

    rounded.defvjp(forward, backward)
    return rounded(x, spread(min_vals), spread(max_vals))
