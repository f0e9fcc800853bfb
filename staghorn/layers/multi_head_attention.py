"""MultiHeadAttention: projections, attention in several heads, and a projection back."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import constraints, initializers, regularizers
from staghorn.engine.arguments import Interval, Is, Positive
from staghorn.engine.serialization import derived_config
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.activation import Softmax
from staghorn.layers.dropout import Dropout
from staghorn.layers.einsum_dense import EinsumDense
from staghorn.layers.elementwise import base_config
from staghorn.layers.layer import Layer
from staghorn.ops.attention import (
    attention_scores,
    causal_mask,
    dot_product_attention,
    mask_scores,
    weighted_values,
    window_mask,
)

_OWN = (
    "num_heads",
    "key_dim",
    "value_dim",
    "dropout",
    "use_bias",
    "use_gate",
    "attention_axes",
    "sliding_window",
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "kernel_constraint",
    "bias_constraint",
    "seed",
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class MultiHeadAttention(Layer):
    """Let each step of one sequence look at the steps of another, in several ways at once.

    query (batch, T, dim), value (batch, S, dim_v), key (batch, S, dim_k) → (batch, T, dim)
    y = concat over heads(softmax(q @ k^T / sqrt(key_dim)) @ v) @ W_out + b_out, where q, k and v
    are the query, key and value projected to (batch, heads, steps, key_dim or value_dim)

    Children: query, key, value and attention_output, EinsumDense layers, in this order; a gate
    before value, if `use_gate`.

    Args:
        num_heads: int, how many heads.
        key_dim: int, size of a head of query and key.
        value_dim: int, size of a head of the value. Default: None, `key_dim`.
        dropout: number in [0, 1], the share of weights to drop in training. Default: 0.
        use_bias: whether the projections have biases. Default: True.
        output_shape: int or tuple, the output's axes after the steps. Default: None, the query's.
        attention_axes: int or tuple, the axes of steps. Default: None, all but batch and features.
        sliding_window: int, steps see only those fewer than so many places away. Default: None.
        flash_attention: True asks for the fused kernel of an NVIDIA GPU. Default: None, not used.
        kernel_initializer: of the projections. Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        kernel_regularizer, bias_regularizer: added to the loss. Default: None.
        activity_regularizer: applied to the output of each projection. Default: None.
        kernel_constraint, bias_constraint: applied after each update. Default: None.
        use_gate: whether a sigmoid of the projected query multiplies the heads. Default: False.
        seed: int, for the dropout. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Call arguments:
        query, value, key: sequences; without a key, the value is the key. Give the same tensor
            twice for self-attention.
        query_mask, value_mask, key_mask: (batch, steps), True for real steps. Default: the masks
            that travel with the three.
        attention_mask: (batch, T, S), True where a step may look. Default: None.
        return_attention_scores: also return the weights (batch, heads, T, S). Default: False.
        training: whether to drop. Default: that of the layer around, or False.
        use_causal_mask: whether a step sees only those up to its own place. Default: False.

    Raises:
        ValueError: for sizes that are not positive ints, value and key of different lengths, or
            `flash_attention` together with dropout or returned scores.

    Example:
        >>> layer = staghorn.layers.MultiHeadAttention(num_heads=2, key_dim=4)
        >>> x = np.ones((3, 5, 8), "float32")
        >>> layer(x, x, use_causal_mask=True).shape
        (3, 5, 8)

    Notes: an explicit `query_mask` counts, where Keras forgets it; the query keeps its own mask;
    symbolic scores have the value's length where Keras writes the query's.

    Reference: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762
    """

    arguments = {
        "num_heads": Positive(int),
        "key_dim": Positive(int),
        "value_dim": Positive(int, optional=True),
        "dropout": Interval(0, 1),
        "use_bias": Is(bool),
        "sliding_window": Positive(int, optional=True),
        "use_gate": Is(bool),
        "seed": Is(int, optional=True),
    }

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = key_dim if value_dim is None else value_dim
        self.dropout = dropout
        self.use_bias = use_bias
        self.use_gate = use_gate
        self.sliding_window = sliding_window
        self.attention_axes = self._axes("attention_axes", attention_axes)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.seed = seed
        # The children's, not this layer's own; `output_shape` is a property of every layer.
        self._activity_regularizer = regularizers.get(activity_regularizer)
        self._output_shape = self._axes("output_shape", output_shape or None)
        self._flash_attention = flash_attention
        if flash_attention and dropout:
            raise ValueError(
                "MultiHeadAttention: flash_attention=True computes no weights that dropout could "
                f"change, got dropout={dropout!r}. Leave one of them out."
            )

    def _axes(self, name: str, value: Any) -> tuple | None:
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return None if value is None else (value,)
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, int) for v in value):
            raise ValueError(
                f"MultiHeadAttention: {name} must be an int or a tuple of ints, "
                f"got {value!r} ({type(value).__name__})."
            )
        return tuple(value)

    # Building --------------------------------------------------------------------------------

    def build(  # type: ignore[override]
        self, query_shape: tuple, value_shape: tuple, key_shape: tuple | None = None
    ) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        self._check_lengths(value_shape, key_shape)
        self._query_dense = self._projection("query", query_shape, self.key_dim)
        self._key_dense = self._projection("key", key_shape, self.key_dim)
        if self.use_gate:
            self._gate_dense = self._projection(
                "gate", query_shape, self.value_dim, activation="sigmoid"
            )
        self._value_dense = self._projection("value", value_shape, self.value_dim)
        self._build_attention(len(value_shape) + 1)
        self._output_dense = self._projection_back(query_shape)

    def _check_lengths(self, value_shape: tuple, key_shape: tuple) -> None:
        if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
            raise ValueError(
                f"MultiHeadAttention '{self.name}': value and key must have the same steps, got "
                f"shapes {tuple(value_shape)} and {tuple(key_shape)}."
            )

    def _projection(self, name: str, shape: tuple, size: int, **kwargs: Any) -> EinsumDense:
        """Make and build the layer (batch, steps, dim) → (batch, steps, heads, size)."""
        free, letters = _letters(len(shape) - 1, 3)
        summed, heads = letters[0], letters[1:]
        dense = EinsumDense(
            f"{free}{summed},{summed}{heads}->{free}{heads}",
            output_shape=(*(None,) * (len(shape) - 2), self.num_heads, size),
            bias_axes=heads if self.use_bias else None,
            name=name,
            **kwargs,
            **self._common_arguments(),
        )
        dense.supports_masking = True  # the masks of its input are this layer's to use
        dense.build(shape)
        return dense

    def _projection_back(self, query_shape: tuple) -> EinsumDense:
        """Make and build the layer (batch, steps, heads, value_dim) → (batch, steps, …)."""
        made = self._output_shape or (query_shape[-1],)
        free, letters = _letters(len(query_shape) - 1, 2 + len(made))
        summed, out = letters[:2], letters[2:]
        dense = EinsumDense(
            f"{free}{summed},{summed}{out}->{free}{out}",
            output_shape=(*(None,) * (len(query_shape) - 2), *made),
            bias_axes=out if self.use_bias else None,
            name="attention_output",
            **self._common_arguments(),
        )
        dense.build((*query_shape[:-1], self.num_heads, self.value_dim))
        return dense

    def _common_arguments(self) -> dict[str, Any]:
        return {
            # Twins: one initializer would give all four projections the same numbers.
            "kernel_initializer": _twin(self.kernel_initializer),
            "bias_initializer": _twin(self.bias_initializer),
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "activity_regularizer": self._activity_regularizer,
            "kernel_constraint": self.kernel_constraint,
            "bias_constraint": self.bias_constraint,
            "dtype": self.dtype_policy,
        }

    def _build_attention(self, rank: int) -> None:
        """Settle the axes of steps, for projected values of `rank` axes."""
        axes = range(1, rank - 2) if self.attention_axes is None else self.attention_axes
        self.attention_axes = tuple(axis if axis >= 0 else rank - 1 + axis for axis in axes)
        count = len(self.attention_axes)
        self._softmax = Softmax(axis=tuple(range(-count, 0)), dtype=self.dtype_policy)
        self._dropout_layer = Dropout(self.dropout, dtype=self.dtype_policy, seed=self.seed)

    @property
    def query_dense(self) -> EinsumDense:
        """The layer that projects the query."""
        return self._query_dense

    @property
    def key_dense(self) -> EinsumDense:
        """The layer that projects the key."""
        return self._key_dense

    @property
    def value_dense(self) -> EinsumDense:
        """The layer that projects the value."""
        return self._value_dense

    @property
    def output_dense(self) -> EinsumDense:
        """The layer that projects the heads back."""
        return self._output_dense

    # Calling ---------------------------------------------------------------------------------

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        key = value if key is None else key
        attention_mask = self._compute_attention_mask(
            query,
            value,
            query_mask=query_mask,
            value_mask=value_mask,
            key_mask=key_mask,
            attention_mask=attention_mask,
            use_causal_mask=use_causal_mask,
        )
        gate = self._gate_dense(query) if self.use_gate else None  # (batch, T, heads, value_dim)
        output, scores = self._compute_attention(
            self._query_dense(query),  # (batch, T, heads, key_dim)
            self._key_dense(key),  # (batch, S, heads, key_dim)
            self._value_dense(value),  # (batch, S, heads, value_dim)
            attention_mask,
            training,
            return_attention_scores,
        )
        output = self._output_dense(output if gate is None else output * gate)
        return (output, scores) if return_attention_scores else output

    def _compute_attention(
        self,
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        attention_mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
    ) -> tuple:
        """Attend with projected queries, keys and values; subclasses may replace it.

        (batch, T, heads, key_dim), (batch, S, heads, key_dim), (batch, S, heads, value_dim)
        → (batch, T, heads, value_dim), and the weights (batch, heads, T, S) or None
        """
        if self._flash_attention and return_attention_scores:
            raise ValueError(
                f"MultiHeadAttention '{self.name}': flash_attention=True computes no scores that "
                "return_attention_scores=True could return. Leave one of them out."
            )
        scale = 1.0 / math.sqrt(self.key_dim)
        if self.dropout == 0 and not return_attention_scores and query.ndim == 4:
            output = dot_product_attention(
                query,
                key,
                value,
                mask=self._aligned(attention_mask, 4),
                scale=scale,
                flash_attention=self._flash_attention,
            )
            return output, None
        return self._attend_with_weights(
            query, key, value, scale, attention_mask, training, return_attention_scores
        )

    def _attend_with_weights(
        self,
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        scale: float,
        attention_mask: Any,
        training: bool | None,
        return_scores: bool,
    ) -> tuple:
        """Attend over any axes, with dropout of the weights, and return these if asked to."""
        axes = self.attention_axes or ()
        queries, keys = ([x.shape[axis] for axis in axes] for x in (query, key))
        rows, columns = _steps_last(query, axes), _steps_last(key, axes)  # (…, heads, T, d)
        values = _steps_last(value, axes)
        scores = attention_scores(rows, columns, scale)  # (…, heads, T, S)
        full = (*scores.shape[:-2], *queries, *keys)
        mask = self._aligned(attention_mask, len(full))
        if mask is not None and len(axes) > 1:
            mask = jnp.broadcast_to(mask, (*mask.shape[: -2 * len(axes)], *queries, *keys))
            mask = mask.reshape(*mask.shape[: -2 * len(axes)], *scores.shape[-2:])
        scores = mask_scores(scores, mask, -1e9)

        def drop(weights: jax.Array) -> jax.Array:
            dropped = self._dropout_layer(weights.reshape(full), training=training)
            return dropped.reshape(weights.shape)

        weights = None
        if return_scores:
            weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
            weights = weights if mask is None else jnp.where(mask, weights, 0.0)
            output = jnp.matmul(drop(weights), values)
            weights = weights.reshape(full)
        else:
            output = weighted_values(scores, values, drop if self.dropout else None, mask)
        output = output.reshape(*output.shape[:-2], *queries, output.shape[-1])
        return _steps_back(output, axes), weights

    def _aligned(self, mask: Any, rank: int) -> Any:
        """Return a mask (batch, T, S) with as many axes as the scores: axes of size 1 for heads."""
        if mask is None or mask.ndim >= rank:
            return mask
        place = max(mask.ndim - 2 * len(self.attention_axes or ()), 0)
        new = tuple(range(place, place + rank - mask.ndim))
        return jnp.expand_dims(mask, new)

    def _compute_attention_mask(
        self,
        query: Any,
        value: Any,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """Return where all masks together let a step look: (batch, T, S), or None."""
        masks = [
            jnp.asarray(mask).astype(bool)
            for mask in (
                None if query_mask is None else jnp.expand_dims(query_mask, -1),  # (batch, T, 1)
                None if value_mask is None else jnp.expand_dims(value_mask, -2),  # (batch, 1, S)
                None if key_mask is None else jnp.expand_dims(key_mask, -2),  # (batch, 1, S)
                attention_mask,
            )
            if mask is not None
        ]
        lengths = query.shape[1], value.shape[1]
        if use_causal_mask:
            masks.append(jnp.expand_dims(causal_mask(*lengths), 0))  # (1, T, S)
        if self.sliding_window is not None:
            masks.append(jnp.expand_dims(window_mask(*lengths, self.sliding_window), 0))
        if not masks:
            return None
        rank = max(mask.ndim for mask in masks)
        merged = self._aligned(masks[0], rank)
        for mask in masks[1:]:
            merged = merged & self._aligned(mask, rank)
        return merged

    def compute_output_shape(  # type: ignore[override]
        self, query_shape: tuple, value_shape: tuple, key_shape: tuple | None = None
    ) -> tuple:
        self._check_lengths(value_shape, value_shape if key_shape is None else key_shape)
        return (*query_shape[:-1], *(self._output_shape or query_shape[-1:]))

    def compute_output_spec(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        del query_mask, value_mask, key_mask, attention_mask, training, use_causal_mask
        shape = self.compute_output_shape(
            query.shape, value.shape, None if key is None else key.shape
        )
        output = KerasTensor(shape, self.compute_dtype)
        if not return_attention_scores:
            return output
        axes = self.attention_axes or ()
        free = [query.shape[a] for a in range(1, query.ndim - 1) if a not in axes]
        steps = [x.shape[axis] for x in (query, value) for axis in axes]
        scores = (query.shape[0], *free, self.num_heads, *steps)
        return output, KerasTensor(scores, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        # By hand: what `output_shape` and `activity_regularizer` mean here, no layer else does.
        return {
            **base_config(self),
            **derived_config(self, _OWN),
            "output_shape": self._output_shape,
            "activity_regularizer": regularizers.serialize(self._activity_regularizer),
        }


def _letters(free: int, more: int) -> tuple[str, str]:
    return _LETTERS[:free], _LETTERS[free : free + more]


def _twin(initializer: Any) -> Any:
    return initializer.clone() if isinstance(initializer, initializers.Initializer) else initializer


def _order(rank: int, axes: Sequence[int]) -> list[int]:
    """Return the axes of (batch, …, heads, d) with those of steps moved behind the heads."""
    return [*(a for a in range(rank - 1) if a not in axes), *axes, rank - 1]


def _steps_last(x: jax.Array, axes: Sequence[int]) -> jax.Array:
    """Join the axes of steps to one, behind the heads: → (batch, …, heads, steps, d)."""
    moved = jnp.transpose(x, _order(x.ndim, axes))
    kept = x.ndim - 1 - len(axes)
    return moved.reshape(*moved.shape[:kept], -1, x.shape[-1])


def _steps_back(x: jax.Array, axes: Sequence[int]) -> jax.Array:
    """Move the axes of steps back to their places: → (batch, …, heads, d)."""
    order = _order(x.ndim, axes)
    return jnp.transpose(x, [order.index(axis) for axis in range(x.ndim)])
