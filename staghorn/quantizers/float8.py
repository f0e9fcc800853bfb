"""Floats of 8 bits: rounding to them, and the scales that keep numbers in their range."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op


@op
def compute_float8_scale(amax: Any, scale: Any, dtype_max: Any, margin: int = 0) -> jax.Array:
    """The next scale: `amax / dtype_max * 2^margin`, or the old one where amax is 0 or not finite.

    Args:
        amax: the largest absolute value of late.
        scale: the scale so far.
        dtype_max: the largest number of the 8-bit type.
        margin: powers of two to keep free. Default: 0.

    Example:
        >>> float(staghorn.quantizers.compute_float8_scale(896.0, 1.0, 448.0))
        2.0
    """
    amax, inverse = jnp.asarray(amax), 1.0 / jnp.asarray(scale)
    wanted = dtype_max / amax / 2**margin
    return 1.0 / jnp.where((amax > 0.0) & jnp.isfinite(amax), wanted, inverse)


@op
def compute_float8_amax_history(x: Any, amax_history: Any) -> jax.Array:
    """The last largest absolute values, moved on by one, with that of `x` in the first place.

    Example:
        >>> history = np.array([1.0, 2.0, 3.0], "float32")
        >>> print(staghorn.quantizers.compute_float8_amax_history(np.array([-5.0, 4.0]), history))
        [5. 3. 1.]
    """
    history = jnp.asarray(amax_history)
    latest = jnp.max(jnp.abs(jnp.asarray(x))).astype(history.dtype)
    return jnp.roll(history, -1).at[0].set(latest)


@op
def quantize_and_dequantize(
    inputs: Any, scale: Any, quantized_dtype: str, compute_dtype: str
) -> jax.Array:
    """Floats as they are after a visit to an 8-bit type: `float8(clip(x / scale)) * scale`.

    Args:
        inputs: floats.
        scale: see `compute_float8_scale`.
        quantized_dtype: "float8_e4m3fn" or "float8_e5m2".
        compute_dtype: type of the result.

    Example:
        >>> x = np.array([0.3, 500.0], "float32")
        >>> print(staghorn.quantizers.quantize_and_dequantize(x, 1.0, "float8_e4m3fn", "float32"))
        [3.125e-01 4.480e+02]

    Reference: Micikevicius et al., 2022, https://arxiv.org/abs/2209.05433
    """
    largest = jnp.asarray(float(jnp.finfo(quantized_dtype).max), compute_dtype)
    scale = jnp.asarray(scale).astype(compute_dtype)
    x = jnp.clip(jnp.asarray(inputs).astype(compute_dtype) / scale, -largest, largest)
    return x.astype(quantized_dtype).astype(compute_dtype) * scale
