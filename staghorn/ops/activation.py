"""Activation functions as pure functions of arrays (`keras.ops.nn`)."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array, as_float
from staghorn.ops.elementwise import unary

__all__ = [
    "celu", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "relu", "relu6", "selu", "sigmoid",
    "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid",
    "sparsemax", "squareplus", "swish", "tanh_shrink", "threshold",
]  # fmt: skip

relu = unary(jax.nn.relu, "Rectified linear unit: max(x, 0).", "[-1.0, 2.0] -> [0. 2.]")
relu6 = unary(jax.nn.relu6, "Rectifier cut at 6: min(max(x, 0), 6).", "[-1.0, 8.0] -> [0. 6.]")
sigmoid = unary(jax.nn.sigmoid, "Logistic function: 1 / (1 + exp(-x)).", "0.0 -> 0.5")
softplus = unary(jax.nn.softplus, "Smooth rectifier: log(1 + exp(x)).", "-1000.0 -> 0.0")
softsign = unary(
    jax.nn.soft_sign, "x / (1 + |x|).", "[-1.0, 3.0] -> [-0.5   0.75]", name="softsign"
)
silu = unary(jax.nn.silu, "x * sigmoid(x), also called swish.", "0.0 -> 0.0", name="silu")
swish = unary(jax.nn.silu, "x * sigmoid(x), also called silu.", "0.0 -> 0.0", name="swish")
log_sigmoid = unary(
    jax.nn.log_sigmoid, "log(sigmoid(x)), exact for large |x|.", "-1000.0 -> -1000.0"
)
hard_sigmoid = unary(
    jax.nn.hard_sigmoid,
    "Straight-line sigmoid: min(max(x / 6 + 1/2, 0), 1).",
    "[-4.0, 0.0] -> [0.  0.5]",
)
hard_silu = unary(
    jax.nn.hard_silu, "x * hard_sigmoid(x).", "[-4.0, 4.0] -> [-0.  4.]", name="hard_silu"
)
hard_swish = unary(
    jax.nn.hard_silu, "x * hard_sigmoid(x).", "[-4.0, 4.0] -> [-0.  4.]", name="hard_swish"
)
hard_tanh = unary(jax.nn.hard_tanh, "x, cut at -1 and 1.", "[-4.0, 0.5] -> [-1.   0.5]")
selu = unary(jax.nn.selu, "Self-normalizing unit: 1.0507 * elu(x, 1.6733).", "0.0 -> 0.0")
sparse_plus = unary(
    jax.nn.sparse_plus,
    "0 up to -1, (x + 1)**2 / 4, x from 1 on.",
    "[-2.0, 0.0, 2.0] -> [0.   0.25 2.  ]",
)
sparse_sigmoid = unary(
    jax.nn.sparse_sigmoid,
    "0 up to -1, (x + 1) / 2, 1 from 1 on.",
    "[-2.0, 0.0, 2.0] -> [0.  0.5 1. ]",
)
tanh_shrink = unary(lambda x: x - jnp.tanh(x), "x - tanh(x).", "0.0 -> 0.0", name="tanh_shrink")


@op
def leaky_relu(x: Any, negative_slope: float = 0.2) -> jax.Array:
    """Values of x where x is positive, negative_slope * x elsewhere.

    (...) → (...)

    Args:
        x: an array.
        negative_slope: slope below 0. Default: 0.2.

    Example:
        >>> print(staghorn.ops.leaky_relu([-1.0, 2.0], negative_slope=0.5))
        [-0.5  2. ]
    """
    return jax.nn.leaky_relu(as_array(x), negative_slope=negative_slope)


@op
def elu(x: Any, alpha: float = 1.0) -> jax.Array:
    """Values of x where x is positive, alpha * (exp(x) - 1) elsewhere.

    (...) → (...)        y = x where x > 0, alpha * (exp(x) - 1) elsewhere

    Args:
        x: an array.
        alpha: minus the limit for very negative x. Default: 1.

    Example:
        >>> print(staghorn.ops.elu([-1000.0, 2.0]))
        [-1.  2.]
    """
    return jax.nn.elu(as_array(x), alpha=alpha)


@op
def celu(x: Any, alpha: float = 1.0) -> jax.Array:
    """Values of x above 0, alpha * (exp(x / alpha) - 1) below: smooth for every alpha.

    (...) → (...)        y = x where x > 0, alpha * (exp(x / alpha) - 1) elsewhere

    Args:
        x: an array.
        alpha: minus the limit for very negative x. Default: 1.

    Example:
        >>> print(staghorn.ops.celu([-1000.0, 2.0], alpha=0.5))
        [-0.5  2. ]
    """
    return jax.nn.celu(as_array(x), alpha=alpha)


@op
def gelu(x: Any, approximate: bool = True) -> jax.Array:
    """Gaussian error linear unit: x * P(X <= x) for a standard normal X.

    Args:
        x: an array.
        approximate: use the tanh formula. Default: True (in `activations.gelu`: False).

    Example:
        >>> print(staghorn.ops.gelu([-100.0, 0.0, 100.0]))
        [ -0.   0. 100.]

    Reference:
        Hendrycks and Gimpel, 2016, https://arxiv.org/abs/1606.08415
    """
    return jax.nn.gelu(as_array(x), approximate)


@op
def glu(x: Any, axis: int = -1) -> jax.Array:
    """First half times the sigmoid of the second half of an axis.

    (..., 2n) → (..., n)

    Args:
        x: an array.
        axis: the axis that is halved; its size is even. Default: -1.

    Example:
        >>> print(staghorn.ops.glu([4.0, 6.0, 0.0, 0.0]))
        [2. 3.]
    """
    return jax.nn.glu(as_array(x), axis=axis)


@op
def squareplus(x: Any, b: float = 4) -> jax.Array:
    """(x + sqrt(x**2 + b)) / 2: a smooth rectifier without exponentials.

    (...) → (...)

    Args:
        x: an array.
        b: how round the bend at 0 is. Default: 4.

    Example:
        >>> print(staghorn.ops.squareplus(0.0))
        1.0
    """
    return jax.nn.squareplus(as_array(x), b=b)


@op
def hard_shrink(x: Any, threshold: float = 0.5) -> jax.Array:
    """Values of x where |x| is above the threshold, 0 elsewhere.

    (...) → (...)        y = x where |x| > threshold, 0 elsewhere

    Args:
        x: an array.
        threshold: below it x counts as 0. Default: 0.5.

    Example:
        >>> print(staghorn.ops.hard_shrink([-1.0, 0.25]))
        [-1.  0.]
    """
    x = as_array(x)
    return jnp.where(jnp.abs(x) > threshold, x, 0.0)


@op
def soft_shrink(x: Any, threshold: float = 0.5) -> jax.Array:
    """Values of x moved towards 0 by the threshold, and 0 where |x| is below it.

    (...) → (...)        y = sign(x) * max(|x| - threshold, 0)

    Args:
        x: an array.
        threshold: how far values move. Default: 0.5.

    Example:
        >>> print(staghorn.ops.soft_shrink([-1.0, 0.25]))
        [-0.5  0. ]
    """
    x = as_array(x)
    below = jnp.where(x < -threshold, x + threshold, 0.0)
    return jnp.where(x > threshold, x - threshold, below)


@op
def threshold(x: Any, threshold: float, default_value: float) -> jax.Array:
    """Values of x where x is above the threshold, a default value elsewhere.

    (...) → (...)        y = x where x > threshold, default_value elsewhere

    Args:
        x: an array.
        threshold: the limit.
        default_value: what stands at and below the limit.

    Example:
        >>> print(staghorn.ops.threshold([1.0, 3.0], 2.0, 0.0))
        [0. 3.]
    """
    x = as_array(x)
    return jnp.where(x > threshold, x, default_value)


@op
def softmax(x: Any, axis: Any = -1) -> jax.Array:
    """Positive numbers that sum to 1 along an axis, or along several together.

    (...) → (...)        exp(x) / sum(exp(x))

    Args:
        x: logits.
        axis: an int or a tuple of ints. Default: -1.

    Example:
        >>> print(staghorn.ops.softmax([0.0, 0.0]))
        [0.5 0.5]

    Notes:
        Over an axis of size 1 every value is 1, which is hardly meant: a warning says so.
    """
    x = as_array(x)
    if isinstance(axis, int) and -x.ndim <= axis < x.ndim and x.shape[axis] == 1:
        warnings.warn(
            f"softmax: axis {axis} of shape {x.shape} has size 1, so every result is 1. "
            "For two classes with one output use sigmoid instead.",
            stacklevel=3,
        )
    return jax.nn.softmax(x, axis=axis)


@op
def log_softmax(x: Any, axis: Any = -1) -> jax.Array:
    """log(softmax(x)), exact where the softmax is tiny.

    (...) → (...)        y = x - log(sum(exp(x)))

    Args:
        x: an array.
        axis: the axis or axes that are summed over. Default: -1.

    Example:
        >>> print(staghorn.ops.log_softmax([0.0, -1000.0]))
        [    0. -1000.]
    """
    return jax.nn.log_softmax(as_array(x), axis=axis)


@op
def sparsemax(x: Any, axis: int = -1) -> jax.Array:
    """The nearest point of the simplex: like softmax, with exact zeros.

    (...) → (...)        max(x - tau, 0), with tau such that the sum is 1

    Args:
        x: an array.
        axis: the axis of which the results sum to 1. Default: -1.

    Example:
        >>> print(staghorn.ops.sparsemax([2.0, 0.0, 0.0]))
        [1. 0. 0.]

    Reference:
        Martins and Astudillo, 2016, https://arxiv.org/abs/1602.02068
    """
    x = as_float(x)
    falling = -jnp.sort(-x, axis=axis)
    total = jnp.cumsum(falling, axis=axis)
    rank_shape = [1] * x.ndim
    rank_shape[axis] = -1
    rank = jnp.arange(1, x.shape[axis] + 1).astype(x.dtype).reshape(rank_shape)
    support = falling - (total - 1) / rank > 0
    size = jnp.sum(support, axis=axis, keepdims=True).astype(x.dtype)
    # Summing the running totals, not the logits, over the support is what Keras computes.
    tau = (jnp.sum(jnp.where(support, total, 0.0), axis=axis, keepdims=True) - 1) / size
    return jnp.maximum(x - tau, 0.0)
