"""Dot-product attention as pure functions of arrays (`keras.ops.nn`).

Sequences are brought into the layout (batch, heads, time, depth), where scores and outputs are
plain batched matrix products, and softmax(scores) @ value is divided by the softmax's sum after
the product. With its gradients, (32, 128, 4, 32) on two CPU cores then takes half of what
`jax.nn.dot_product_attention` does; forward and reverse differentiation stay available.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array, common_type

__all__ = ["dot_product_attention"]

Drop = Callable[[jax.Array], jax.Array]


def attention_scores(query: jax.Array, key: jax.Array, scale: Any = None) -> jax.Array:
    """Products of every query with every key, in float32 at least.

    (..., T, d), (..., S, d) → (..., T, S)        scale * query @ key^T

    Example:
        >>> from staghorn.ops.attention import attention_scores
        >>> attention_scores(np.ones((2, 3, 4), "float32"), np.ones((2, 5, 4), "float32")).shape
        (2, 3, 5)
    """
    query, key = jnp.asarray(query), jnp.asarray(key)
    wide = common_type(query.dtype, jnp.dtype("float32"))
    # Halves are scaled after the product, which costs more, but loses no digits.
    first = scale is not None and query.dtype == wide
    query = query * scale if first else query
    batch = tuple(range(query.ndim - 2))
    last = query.ndim - 1
    scores = jax.lax.dot_general(
        query, key, (((last,), (last,)), (batch, batch)), preferred_element_type=wide
    )  # (..., T, S)
    return scores if scale is None or first else scores * scale


def mask_scores(scores: jax.Array, mask: Any, low: float | None = None) -> jax.Array:
    """Give places that a mask leaves out a score so low that the softmax makes it 0.

    (..., T, S), a mask that broadcasts to it → (..., T, S)

    A row without any place left has equal scores: its softmax is uniform.

    Example:
        >>> from staghorn.ops.attention import mask_scores
        >>> print(mask_scores(np.zeros((1, 2), "float32"), np.array([[True, False]]), -9.0))
        [[ 0. -9.]]
    """
    if mask is None:
        return scores
    lowest = -0.7 * float(jnp.finfo(scores.dtype).max) if low is None else low
    return jnp.where(mask, scores, lowest)


def weighted_values(
    scores: jax.Array, value: jax.Array, drop: Drop | None = None, mask: Any = None
) -> jax.Array:
    """Means of the values, weighted by the softmax of the scores.

    (..., T, S), (..., S, d) → (..., T, d)        softmax(scores) @ value

    Args:
        scores: one for each query and value, float32 or wider.
        value: what is averaged, of any float type, which is the result's.
        drop: changes the weights (..., T, S) before they are used: dropout. Default: None.
        mask: weights to set to 0, also where a row has no other. Default: None.

    Example:
        >>> from staghorn.ops.attention import weighted_values
        >>> print(weighted_values(np.zeros((1, 2), "float32"), np.array([[2.0], [4.0]], "float32")))
        [[3.]]
    """
    # The gradient with respect to the peak is 0: the softmax does not depend on it.
    peak = jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True))
    weights = jnp.exp(scores - peak)  # (..., T, S)
    total = jnp.sum(weights, axis=-1, keepdims=True)  # (..., T, 1)
    weights = weights if mask is None else jnp.where(mask, weights, 0.0)
    weights = weights.astype(value.dtype)
    weights = weights if drop is None else drop(weights)
    sums = jnp.matmul(weights, value, preferred_element_type=total.dtype)  # (..., T, d)
    # T * d divisions in place of T * S, and one pass less over (T, S) in the gradient.
    return (sums / total).astype(value.dtype)


def causal_mask(queries: int, keys: int) -> jax.Array:
    """True where a query may look: at its own place and those before it: (T, S)."""
    shape = (queries, keys)
    rows = jax.lax.broadcasted_iota(jnp.int32, shape, 0)
    return rows >= jax.lax.broadcasted_iota(jnp.int32, shape, 1)


def window_mask(queries: int, keys: int, width: int) -> jax.Array:
    """True where a key is fewer than `width` places away from the query: (T, S)."""
    shape = (queries, keys)
    rows = jax.lax.broadcasted_iota(jnp.int32, shape, 0)
    return jnp.abs(rows - jax.lax.broadcasted_iota(jnp.int32, shape, 1)) < width


def heads_first(x: jax.Array) -> jax.Array:
    """Swap time and heads: (batch, T, heads, d) ↔ (batch, heads, T, d)."""
    return jnp.transpose(x, (0, 2, 1, 3))


def grouped_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    bias: Any = None,
    mask: Any = None,
    scale: Any = None,
) -> jax.Array:
    """Attention where each key head serves one or more query heads.

    (B, T, N, H), (B, S, K, H), (B, S, K, V) → (B, T, N, V), with N a multiple of K

    Example:
        >>> from staghorn.ops.attention import grouped_attention
        >>> x, y = np.ones((2, 3, 4, 5), "float32"), np.ones((2, 6, 2, 5), "float32")
        >>> grouped_attention(x, y, y).shape
        (2, 3, 4, 5)
    """
    batch, length, heads, depth = query.shape
    groups = key.shape[2]
    rows = (batch, groups, (heads // groups) * length)
    query = heads_first(query).reshape(*rows, depth)  # (B, K, N/K * T, H)
    scores = attention_scores(query, heads_first(key), scale)  # (B, K, N/K * T, S)
    steps = key.shape[1]
    if bias is not None or mask is not None:
        scores = scores.reshape(batch, heads, length, steps)
        scores = scores if bias is None else scores + bias.astype(scores.dtype)
        scores = mask_scores(scores, mask).reshape(*rows, steps)
    out = weighted_values(scores, heads_first(value))  # (B, K, N/K * T, V)
    return heads_first(out.reshape(batch, heads, length, value.shape[-1]))


def _to_four_axes(x: Any, name: str, shape: tuple, dtype: Any) -> jax.Array | None:
    """Return a mask or a bias with four axes; each must have size 1 or that of the scores."""
    if x is None:
        return None
    x = as_array(x).astype(dtype)
    # A size that is still a symbol is taken as it comes.
    wrong = x.ndim > 4 or any(
        isinstance(a, int) and isinstance(b, int) and a not in (1, b)
        for a, b in zip(reversed(x.shape), reversed(shape), strict=False)
    )
    if wrong:
        raise ValueError(
            f"dot_product_attention: {name} must broadcast to (batch, heads, queries, keys) = "
            f"{shape}, got shape {x.shape}."
        )
    return jnp.reshape(x, (1,) * (4 - x.ndim) + x.shape)


def _check_shapes(query: jax.Array, key: jax.Array, value: jax.Array) -> None:
    for name, x in (("query", query), ("key", key), ("value", value)):
        if x.ndim != 4:
            raise ValueError(
                f"dot_product_attention: {name} must have 4 axes (batch, time, heads, depth), "
                f"got shape {x.shape}. For one head write x[:, :, None, :]."
            )
    if query.shape[3] != key.shape[3]:
        raise ValueError(
            "dot_product_attention: query and key must have the same depth, "
            f"got shapes {query.shape} and {key.shape}."
        )
    heads, groups = query.shape[2], key.shape[2]
    if key.shape[2] != value.shape[2] or heads % groups:
        raise ValueError(
            "dot_product_attention: key and value must have as many heads as the query, or a "
            f"divisor of that, got shapes {query.shape}, {key.shape} and {value.shape}."
        )


def _flash(query: Any, key: Any, value: Any, bias: Any, mask: Any, **options: Any) -> jax.Array:
    """NVIDIA's fused kernel; JAX itself says which shapes and types it takes."""
    if jax.default_backend() != "gpu":
        raise ValueError(
            "dot_product_attention: flash_attention=True needs an NVIDIA GPU, and the device is a "
            f"{jax.default_backend()}. Leave the argument out: flash_attention=None."
        )
    return jax.nn.dot_product_attention(
        query, key, value, bias=bias, mask=mask, implementation="cudnn", **options
    )


def _suits_flash(query: Any, key: Any, value: Any, mask: Any, options: dict[str, Any]) -> bool:
    """Say whether the fused kernel surely takes these, in training too: half-precision types, and
    no mask, since a row without any place left has another result there.
    """
    if jax.default_backend() != "gpu" or mask is not None or query.dtype.itemsize != 2:
        return False
    depth = query.shape[-1]
    if depth > 128 or depth % 8 or key.shape != value.shape:
        return False
    try:  # JAX's own checks: the card, cuDNN's version, the layout
        jax.eval_shape(lambda q, k, v: _flash(q, k, v, None, None, **options), query, key, value)
    except (NotImplementedError, RuntimeError, TypeError, ValueError):
        return False
    return True


@op
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> jax.Array:
    """Mean of the values, weighted by how well their keys fit each query.

    (B, T, N, H), (B, S, K, H), (B, S, K, V) → (B, T, N, V)
    y = softmax(query @ key^T * scale + bias) @ value, for each batch item and head

    Args:
        query: what is asked, N heads.
        key: what it is compared with, K heads; N is a multiple of K.
        value: what is averaged.
        bias: added to the scores; broadcasts to (B, N, T, S). Default: None.
        mask: True where a query may look; broadcasts to (B, N, T, S). Default: None.
        scale: factor of the scores. Default: 1 / sqrt(H).
        is_causal: whether a query sees only keys at its own place and before. Default: False.
        flash_attention: True asks for the fused kernel of an NVIDIA GPU, False for plain products.
            Default: None, the kernel where it surely fits: on a GPU, for half-precision types,
            without bias and mask.
        attn_logits_soft_cap: must be None. Default: None.

    Raises:
        ValueError: for shapes that do not fit, a fused kernel where there is none, or a soft cap.

    Example:
        >>> x = np.ones((2, 6, 4, 8), "float32")
        >>> staghorn.ops.dot_product_attention(x, x, x, is_causal=True).shape
        (2, 6, 4, 8)

    Notes:
        The softmax is computed in float32 at least. A query that may look nowhere gets the plain
        mean of the values, as in Keras.

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762
    """
    if attn_logits_soft_cap is not None:
        raise ValueError(
            "dot_product_attention: attn_logits_soft_cap is not supported, got "
            f"{attn_logits_soft_cap!r}. Leave it out."
        )
    query, key, value = as_array(query), as_array(key), as_array(value)
    _check_shapes(query, key, value)
    dtype = common_type(common_type(query.dtype, key.dtype), value.dtype)
    query, key, value = query.astype(dtype), key.astype(dtype), value.astype(dtype)
    queries, keys = query.shape[1], key.shape[1]
    shape = (query.shape[0], query.shape[2], queries, keys)
    bias = _to_four_axes(bias, "bias", shape, dtype)
    mask = _to_four_axes(mask, "mask", shape, bool)
    scale = 1.0 / math.sqrt(query.shape[3]) if scale is None else scale
    options = {"scale": scale, "is_causal": is_causal}
    if flash_attention is None and bias is None:
        flash_attention = _suits_flash(query, key, value, mask, options)
    if flash_attention:
        return _flash(query, key, value, bias, mask, **options)
    if is_causal:
        causal = jnp.reshape(causal_mask(queries, keys), (1, 1, queries, keys))
        mask = causal if mask is None else mask & causal
    return grouped_attention(query, key, value, bias, mask, scale)
