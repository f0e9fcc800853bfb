"""True and false positives and negatives at many thresholds, as pure functions of arrays."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config
from staghorn.engine.arguments import Interval
from staghorn.losses.loss import squeeze_or_expand_to_same_rank

# `top_k` sets all but the best scores to this; as a threshold it lets those, and only those, pass.
LOWEST = -1e10


class Counts(NamedTuple):
    """Weighted counts at each threshold, each (thresholds,) or (thresholds, labels)."""

    true_positives: jax.Array
    false_positives: jax.Array
    true_negatives: jax.Array
    false_negatives: jax.Array


def threshold_list(thresholds: Any, default: float, owner: str) -> list[float]:
    """Return thresholds as a list; each must lie in [0, 1]."""
    if thresholds is None:
        return [default]
    values = list(thresholds) if isinstance(thresholds, (list, tuple, np.ndarray)) else [thresholds]
    wrong = [t for t in values if not Interval(0, 1).accepts(t)]
    if wrong or not values:
        raise ValueError(f"{owner}: thresholds must lie in [0, 1], got {wrong or thresholds!r}.")
    return values


def evenly_spaced(thresholds: Sequence[float]) -> bool:
    """Say whether the thresholds divide [0, 1] evenly, so that counting may use buckets."""
    if len(thresholds) < 3:
        return False
    even = np.linspace(0.0, 1.0, len(thresholds))
    return bool(np.allclose(thresholds, even, atol=config.epsilon()))


def prepared(
    y_true: Any,
    y_pred: Any,
    sample_weight: Any,
    dtype: Any,
    top_k: int | None = None,
    class_id: int | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return labels (0 or 1), scores and weights of one shape.

    Args:
        y_true: labels; all but 0 count as 1.
        y_pred: scores.
        sample_weight: weights of the first axes, or None.
        dtype: type of the results.
        top_k: only the best k scores of the last axis may be positive. Default: None.
        class_id: only this place of the last axis counts. Default: None.
    """
    y_pred = jnp.asarray(y_pred).astype(dtype)
    y_true = (jnp.asarray(y_true).astype(dtype) != 0).astype(dtype)
    y_pred, y_true = squeeze_or_expand_to_same_rank(y_pred, y_true)
    weights = jnp.ones((), dtype) if sample_weight is None else jnp.asarray(sample_weight)
    weights = weights.astype(dtype)
    if weights.ndim:
        weights = jnp.expand_dims(weights, -1)
        weights = squeeze_or_expand_to_same_rank(y_true, weights, expand_rank_1=False)[1]
    if top_k is not None:
        y_pred = keep_top_k(y_pred, top_k)
    if class_id is not None:
        if y_pred.ndim == 1:
            raise ValueError(
                f"class_id={class_id} needs predictions of shape (batch, classes), "
                f"got {y_pred.shape}."
            )
        y_true, y_pred = y_true[..., class_id, None], y_pred[..., class_id, None]
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"The shapes of y_true {y_true.shape} and y_pred {y_pred.shape} differ. Integer labels "
            "of several classes must be one-hot here."
        )
    return y_true, y_pred, jnp.broadcast_to(weights, y_pred.shape)


def keep_top_k(scores: jax.Array, k: int) -> jax.Array:
    """Set all but the k best scores of the last axis to `LOWEST`; ties go to the first."""
    best = jax.lax.top_k(scores, k)[1]
    kept = jnp.sum(jax.nn.one_hot(best, scores.shape[-1], dtype="int32"), axis=-2)
    return jnp.where(kept > 0, scores, jnp.full_like(scores, LOWEST))


def counts_in_buckets(
    y_true: jax.Array, y_pred: jax.Array, weights: jax.Array, thresholds: np.ndarray
) -> Counts:
    """Count at evenly spaced thresholds: each sample is touched once, whatever their number.

    (samples,) or (samples, labels) -> (thresholds,) or (thresholds, labels)

    A score p lies above the thresholds 0..b of T, b = ceil(p (T - 1)) - 1. So one sum per bucket
    and a running sum from the top give the positives at every threshold.
    """
    count = len(thresholds)
    labels = y_pred.shape[1] if y_pred.ndim == 2 else 1
    score = jnp.clip(y_pred, 0.0, 1.0)
    bucket = (jnp.ceil(score * (count - 1.0)) - 1.0).astype("int32")
    if thresholds[0] < 0:
        bucket = jnp.maximum(bucket, 0)  # a score of 0 still lies above the first threshold
    place = bucket.reshape((-1, labels)) * labels + jnp.arange(labels, dtype="int32").reshape(1, -1)
    place = jnp.where(bucket.reshape((-1, labels)) < 0, -1, place)  # -1 is dropped below
    both = jnp.stack([y_true * weights, (1.0 - y_true) * weights], axis=-1)
    both = both.reshape((-1, 2))
    sums = jax.ops.segment_sum(both, place.reshape(-1), num_segments=count * labels)
    shape = (count, labels, 2) if y_pred.ndim == 2 else (count, 2)
    positives = jax.lax.cumsum(sums.reshape(shape), axis=0, reverse=True)
    totals = jnp.sum(both.reshape((-1, *shape[1:])), axis=0, keepdims=True)
    negatives = totals - positives
    return Counts(positives[..., 0], positives[..., 1], negatives[..., 1], negatives[..., 0])


def counts_by_comparison(
    y_true: jax.Array, y_pred: jax.Array, weights: jax.Array, thresholds: np.ndarray
) -> Counts:
    """Count at any thresholds by comparing every score with every one.

    (samples,) or (samples, labels) -> (thresholds,) or (thresholds, labels)
    """
    levels = jnp.asarray(thresholds).astype(y_pred.dtype)
    levels = levels.reshape((-1,) + (1,) * y_pred.ndim)
    above = jnp.expand_dims(y_pred, 0) > levels  # (thresholds, samples[, labels])
    true = jnp.broadcast_to(jnp.expand_dims(y_true * weights, 0), above.shape)
    false = jnp.broadcast_to(jnp.expand_dims((1.0 - y_true) * weights, 0), above.shape)
    below = jnp.logical_not(above)
    return Counts(
        jnp.sum(true, axis=1, where=above),
        jnp.sum(false, axis=1, where=above),
        jnp.sum(false, axis=1, where=below),
        jnp.sum(true, axis=1, where=below),
    )
