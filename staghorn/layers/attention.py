"""Attention over sequences without projections: Attention (Luong) and AdditiveAttention."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn import random
from staghorn.engine.arguments import Interval, Is, Options
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.layer import Layer
from staghorn.ops.attention import attention_scores, causal_mask, weighted_values
from staghorn.ops.core import common_type

_WRONG_INPUTS = """\
{cls} '{name}' takes one list, [query, value] or [query, value, key], got {got}.
Write    {name}([query, value])"""

_WRONG_MASK = """\
{cls} '{name}': mask must be a list, [query_mask, value_mask], with None where there is none,
got {got}."""

# What keeps masked places out of the softmax: subtracted, so that a row without any place left
# keeps its order, as in Keras. Scores are in float32, so that float16 needs no smaller number.
_PENALTY = 1e9


class Attention(Layer):
    """Average values, weighted by how well they fit each query.

    [(batch, T, dim), (batch, S, dim_v), (batch, S, dim)] → (batch, T, dim_v)
    y = softmax(scores(query, key)) @ value; "dot": query @ key^T,
    "concat": concat_score_weight * sum(tanh(query + key))

    Weights: scale (), if `use_scale`; concat_score_weight (), if `score_mode` is "concat".

    Args:
        use_scale: whether the scores have a trainable factor. Default: False.
        score_mode: "dot" or "concat". Default: "dot".
        dropout: number in [0, 1), the share of weights to drop in training. Default: 0.
        seed: int, for the dropout. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Call arguments:
        inputs: [query, value] or [query, value, key]; without a key, the values are the keys.
        mask: [query_mask, value_mask], (batch, T) and (batch, S), True for real steps. Outputs of
            other query steps are 0; other value steps are not looked at. Default: None.
        training: whether to drop. Default: False.
        return_attention_scores: also return the weights (batch, T, S). Default: False.
        use_causal_mask: whether step i sees only steps up to i. Default: False.

    Raises:
        ValueError: for inputs or a mask that are no such lists, or an unknown `score_mode`.

    Example:
        >>> query, value = np.ones((2, 3, 4), "float32"), np.ones((2, 5, 4), "float32")
        >>> staghorn.layers.Attention()([query, value]).shape
        (2, 3, 4)

    Notes: scores and softmax are computed in float32 at least, whatever the layer's type.

    Reference: Luong et al., 2015, https://arxiv.org/abs/1508.04025
    """

    arguments = {
        "use_scale": Is(bool),
        "score_mode": Options("dot", "concat"),
        "dropout": Interval(0, 1, closed="left"),
        "seed": Is(int, optional=True),
    }

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_scale = use_scale
        self.score_mode = score_mode
        self.dropout = dropout
        self.seed = seed
        if isinstance(dropout, (int, float)) and dropout > 0:
            self.seed_generator = random.SeedGenerator(seed)

    def build(self, input_shape: list) -> None:
        self._check(input_shape)
        self.scale = None
        self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(
                name="concat_score_weight", shape=(), initializer="ones"
            )

    def _check(self, inputs: Any, mask: Any = None) -> None:
        if not isinstance(inputs, list) or len(inputs) not in (2, 3):
            got = f"{len(inputs)} of them" if isinstance(inputs, list) else type(inputs).__name__
            raise ValueError(_WRONG_INPUTS.format(cls=type(self).__name__, name=self.name, got=got))
        if mask is not None and (not isinstance(mask, list) or len(mask) not in (2, 3)):
            got = f"{len(mask)} of them" if isinstance(mask, list) else type(mask).__name__
            raise ValueError(_WRONG_MASK.format(cls=type(self).__name__, name=self.name, got=got))

    def _calculate_scores(self, query: jax.Array, key: jax.Array) -> jax.Array:
        if self.score_mode == "dot":
            scores = attention_scores(query, key)  # (batch, T, S)
            return scores if self.scale is None else scores * self.scale.value.astype(scores.dtype)
        pairs = _sums_of_pairs(query, key)  # (batch, T, S, dim)
        pairs = pairs if self.scale is None else pairs * self.scale.value
        weight = self.concat_score_weight.value  # type: ignore[union-attr]
        return weight * jnp.sum(jnp.tanh(pairs), axis=-1)

    def call(
        self,
        inputs: list,
        mask: list | None = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        self._check(inputs, mask)
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask, value_mask = (mask[0], mask[1]) if mask else (None, None)
        scores = self._calculate_scores(query, key)
        scores = scores.astype(common_type(scores.dtype, jnp.dtype("float32")))
        seen = _seen(scores, value_mask, use_causal_mask)
        if seen is not None:
            scores = jnp.where(seen, scores, scores - _PENALTY)
        drop = self._drop if training and self.dropout > 0 else None
        if return_attention_scores:
            weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
            weights = weights if drop is None else drop(weights)
            output = jnp.matmul(weights, value)  # (batch, T, dim_v)
        else:
            output = weighted_values(scores, value, drop)
        if query_mask is not None:
            output = jnp.where(jnp.expand_dims(query_mask, -1), output, 0.0)
        return (output, weights) if return_attention_scores else output

    def _drop(self, weights: jax.Array) -> jax.Array:
        return random.dropout(weights, self.dropout, seed=self.seed_generator)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        self._check(inputs, mask)
        return None if mask is None else mask[0]

    def compute_output_shape(self, input_shape: list) -> tuple:
        return (*input_shape[0][:-1], input_shape[1][-1])

    def compute_output_spec(
        self,
        inputs: list,
        mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        del training, use_causal_mask
        self._check(inputs, mask)
        query, value = inputs[0].shape, inputs[1].shape
        output = KerasTensor(self.compute_output_shape([query, value]), self.compute_dtype)
        if not return_attention_scores:
            return output
        return output, KerasTensor((*query[:-1], value[-2]), self.compute_dtype)


class AdditiveAttention(Attention):
    """Average values, weighted by a small network of each query and key.

    [(batch, T, dim), (batch, S, dim_v), (batch, S, dim)] → (batch, T, dim_v)
    y = softmax(sum(scale * tanh(query + key))) @ value

    Weights: scale (dim,), if `use_scale`.

    Args:
        use_scale: whether the features of a score have trainable factors. Default: True.
        dropout: number in [0, 1), the share of weights to drop in training. Default: 0.
        **kwargs: `seed`, `name`, `dtype`, ...; the call takes what that of Attention does.

    Raises:
        ValueError: for inputs or a mask that are no such lists.

    Example:
        >>> query, value = np.ones((2, 3, 4), "float32"), np.ones((2, 5, 4), "float32")
        >>> staghorn.layers.AdditiveAttention()([query, value]).shape
        (2, 3, 4)

    Reference: Bahdanau et al., 2014, https://arxiv.org/abs/1409.0473
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: list) -> None:
        self._check(input_shape)
        self.scale = None
        if self.use_scale:
            self.scale = self.add_weight(
                name="scale", shape=(input_shape[0][-1],), initializer="glorot_uniform"
            )

    def _calculate_scores(self, query: jax.Array, key: jax.Array) -> jax.Array:
        pairs = jnp.tanh(_sums_of_pairs(query, key))  # (batch, T, S, dim)
        if self.scale is not None:
            pairs = pairs * jnp.reshape(self.scale.value, (1,) * (pairs.ndim - 1) + (-1,))
        return jnp.sum(pairs, axis=-1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["score_mode"]  # has only one here, and is no argument
        return config


def _sums_of_pairs(query: jax.Array, key: jax.Array) -> jax.Array:
    """Add every key to every query: (batch, T, dim), (batch, S, dim) → (batch, T, S, dim)."""
    return jnp.expand_dims(query, -2) + jnp.expand_dims(key, -3)


def _seen(scores: jax.Array, value_mask: Any, causal: bool) -> jax.Array | None:
    """Return which values each query may look at, for scores (batch, T, S), or None for all."""
    mask = None
    if value_mask is not None:
        mask = jnp.expand_dims(value_mask, -2)  # (batch, 1, S)
    if causal:
        allowed = causal_mask(*scores.shape[-2:])
        allowed = jnp.reshape(allowed, (1,) * (scores.ndim - 2) + allowed.shape)
        mask = allowed if mask is None else mask & allowed
    return mask
