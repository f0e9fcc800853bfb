"""What attention with projections shares: MultiHeadAttention and GroupQueryAttention."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config, initializers
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.activation import Softmax
from staghorn.layers.dropout import Dropout
from staghorn.layers.einsum_dense import EinsumDense
from staghorn.layers.layer import Layer
from staghorn.layers.options import store_options
from staghorn.ops.attention import (
    attention_scores,
    causal_mask,
    dot_product_attention,
    mask_scores,
    weighted_values,
    window_mask,
)

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class ProjectedAttention(Layer):
    """Base: projections to heads, attention in each, a projection back.

    query (batch, T, dim), value (batch, S, dim_v), key (batch, S, dim_k) → (batch, T, dim)

    Args:
        options: the constructor's arguments, stored under their own names.
        heads: how many heads the query has, and how many key and value have.
        depths: size of a head of query and key, and of one of the value.
        **kwargs: as for every layer.
    """

    attention_axes: tuple[int, ...] | None = None
    dropout: float
    use_bias: bool
    use_gate: bool
    sliding_window: int | None
    seed: int | None
    kernel_initializer: Any
    bias_initializer: Any
    kernel_regularizer: Any
    bias_regularizer: Any
    kernel_constraint: Any
    bias_constraint: Any
    _output_shape: tuple[int, ...] | None = None
    _projections_regularizer: Any  # the activity_regularizer of the projections

    def __init__(
        self,
        options: dict[str, Any],
        heads: tuple[int, int],
        depths: tuple[int, int],
        flash_attention: bool | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        store_options(self, options)
        self._heads = heads
        self._depths = depths
        self._flash_attention = flash_attention or config.is_flash_attention_enabled()
        if self._flash_attention and self.dropout:
            raise ValueError(
                f"{type(self).__name__}: flash_attention=True computes no weights that dropout "
                f"could change, got dropout={self.dropout!r}. Leave one of them out."
            )

    # Building --------------------------------------------------------------------------------

    def build(  # type: ignore[override]
        self, query_shape: tuple, value_shape: tuple, key_shape: tuple | None = None
    ) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        self._check_lengths(value_shape, key_shape)
        (heads, groups), (depth, width) = self._heads, self._depths
        self._query_dense = self._projection("query", query_shape, heads, depth)
        self._key_dense = self._projection("key", key_shape, groups, depth)
        if self.use_gate:
            self._gate_dense = self._projection(
                "gate", query_shape, heads, width, activation="sigmoid"
            )
        self._value_dense = self._projection("value", value_shape, groups, width)
        self._build_attention(len(value_shape) + 1)
        self._output_dense = self._projection_back(query_shape)

    def _check_lengths(self, value_shape: tuple, key_shape: tuple) -> None:
        if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
            raise ValueError(
                f"{type(self).__name__} '{self.name}': value and key must have the same steps, got "
                f"shapes {tuple(value_shape)} and {tuple(key_shape)}."
            )

    def _projection(
        self, name: str, shape: tuple, heads: int, size: int, **kwargs: Any
    ) -> EinsumDense:
        """Make and build the layer (batch, steps, dim) → (batch, steps, heads, size)."""
        free, letters = _letters(len(shape) - 1, 3)
        summed, made = letters[0], letters[1:]
        dense = EinsumDense(
            f"{free}{summed},{summed}{made}->{free}{made}",
            output_shape=(*(None,) * (len(shape) - 2), heads, size),
            bias_axes=made if self.use_bias else None,
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
        dense.build((*query_shape[:-1], self._heads[0], self._depths[1]))
        return dense

    def _common_arguments(self) -> dict[str, Any]:
        return {
            # Twins: one initializer would give all four projections the same numbers.
            "kernel_initializer": _twin(self.kernel_initializer),
            "bias_initializer": _twin(self.bias_initializer),
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "activity_regularizer": self._projections_regularizer,
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
        options = {}
        given = (query_mask, value_mask, key_mask, attention_mask, self.sliding_window)
        own = type(self)._compute_attention is ProjectedAttention._compute_attention
        if use_causal_mask and own and all(mask is None for mask in given):
            options["use_causal_mask"] = True  # without a mask the fused kernel may be taken
        else:
            attention_mask = self._compute_attention_mask(
                query, value, query_mask, value_mask, key_mask, attention_mask, use_causal_mask
            )
        gate = self._gate_dense(query) if self.use_gate else None  # (batch, T, heads, width)
        output, scores = self._compute_attention(
            self._query_dense(query),  # (batch, T, heads, depth)
            self._key_dense(key),  # (batch, S, groups, depth)
            self._value_dense(value),  # (batch, S, groups, width)
            attention_mask,
            training,
            return_attention_scores,
            **options,
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
        use_causal_mask: bool = False,
    ) -> tuple:
        """Attend with projected queries, keys and values; subclasses may replace it.

        (batch, T, heads, depth), (batch, S, groups, depth), (batch, S, groups, width)
        → (batch, T, heads, width), and the weights (batch, heads, T, S) or None
        """
        if self._flash_attention and return_attention_scores:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': flash_attention=True computes no "
                "scores that return_attention_scores=True could return. Leave one of them out."
            )
        scale = 1.0 / math.sqrt(self._depths[0])
        if self.dropout == 0 and not return_attention_scores and query.ndim == 4:
            output = dot_product_attention(
                query,
                key,
                value,
                mask=self._aligned(attention_mask, 4),
                scale=scale,
                is_causal=use_causal_mask,
                flash_attention=self._flash_attention,
            )
            return output, None
        if use_causal_mask:
            attention_mask = self._compute_attention_mask(
                query, value, attention_mask=attention_mask, use_causal_mask=True
            )
        times = self._heads[0] // self._heads[1]
        if times > 1:
            key, value = (jnp.repeat(x, times, axis=-2) for x in (key, value))
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
        scores = (query.shape[0], *free, self._heads[0], *steps)
        return output, KerasTensor(scores, self.compute_dtype)


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
