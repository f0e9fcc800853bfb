"""Accuracies: how often a prediction is right."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.symbolic import op
from staghorn.losses.loss import align_ranks, matched, squeeze_or_expand_to_same_rank
from staghorn.metrics.reduction import MeanMetricWrapper

__all__ = [
    "Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy", "TopKCategoricalAccuracy", "binary_accuracy",
    "categorical_accuracy", "sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]  # fmt: skip


def _hits(matches: jax.Array) -> jax.Array:
    return matches.astype(config.floatx())


@op
def accuracy(y_true: Any, y_pred: Any) -> jax.Array:
    """Say where predictions equal targets, as 1 and 0.

    (...), (...) -> (...)

    Args:
        y_true: targets.
        y_pred: predictions.

    Example:
        >>> print(staghorn.metrics.accuracy.accuracy(np.array([1, 2]), np.array([1, 3])))
        [1. 0.]
    """
    y_true, y_pred = matched(y_true, y_pred)
    return _hits(y_true == y_pred)


@op
def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> jax.Array:
    """Say where the thresholded prediction equals the label, as 1 and 0.

    (...), (...) -> (...)        (y_pred > threshold) == y_true

    Args:
        y_true: labels 0 or 1.
        y_pred: probabilities.
        threshold: what counts as 1 lies above it. Default: 0.5.

    Example:
        >>> print(staghorn.metrics.binary_accuracy(np.array([[1], [0]]), np.array([[0.9], [0.6]])))
        [[1.]
         [0.]]
    """
    y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
    y_true, y_pred = align_ranks(*squeeze_or_expand_to_same_rank(y_true, y_pred))
    return _hits(y_true == (y_pred > threshold).astype(y_true.dtype))


def _best_is(labels: jax.Array, y_pred: jax.Array) -> jax.Array:
    shape = labels.shape
    if labels.ndim == y_pred.ndim and shape[-1] == 1:
        labels = jnp.squeeze(labels, -1)
    # Compared in the labels' own type: a label of 1.5 is never hit.
    best = jnp.argmax(y_pred, axis=-1).astype(labels.dtype)
    matches = _hits(jnp.equal(*align_ranks(labels, best)))
    return jnp.reshape(matches, shape) if len(shape) > labels.ndim else matches


@op
def categorical_accuracy(y_true: Any, y_pred: Any) -> jax.Array:
    """Say where the largest prediction stands at the label's place, as 1 and 0.

    (..., classes), (..., classes) -> (...)        argmax(y_pred) == argmax(y_true)

    Args:
        y_true: one-hot labels.
        y_pred: probabilities or logits.

    Example:
        >>> labels = np.array([[0, 1], [1, 0]])
        >>> print(staghorn.metrics.categorical_accuracy(labels, np.array([[0.2, 0.8], [0.4, 0.6]])))
        [1. 0.]
    """
    return _best_is(jnp.argmax(jnp.asarray(y_true), axis=-1), jnp.asarray(y_pred))


@op
def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> jax.Array:
    """Say where the largest prediction stands at the integer label, as 1 and 0.

    (...), (..., classes) -> (...)        argmax(y_pred) == y_true

    Args:
        y_true: labels 0..classes-1, with or without a last axis of 1.
        y_pred: probabilities or logits.

    Example:
        >>> y_pred = np.array([[0.2, 0.8], [0.4, 0.6]])
        >>> print(staghorn.metrics.sparse_categorical_accuracy(np.array([1, 0]), y_pred))
        [1. 0.]
    """
    matches = _best_is(jnp.asarray(y_true), jnp.asarray(y_pred))
    return jnp.squeeze(matches, -1) if matches.ndim > 1 and matches.shape[-1] == 1 else matches


def _in_top_k(labels: jax.Array, scores: jax.Array, k: int) -> jax.Array:
    # Counting the better scores needs no sort, and ties count for the label. A NaN is the worst.
    own = jnp.take_along_axis(scores, jnp.expand_dims(labels, -1), axis=-1)  # (..., 1)
    own = jnp.where(jnp.isnan(own), jnp.full_like(own, -jnp.inf), own)
    return jnp.sum(scores > own, axis=-1) < k


@op
def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> jax.Array:
    """Say where the label is among the k largest predictions, as 1 and 0.

    (..., classes), (..., classes) -> (...)

    Args:
        y_true: one-hot labels.
        y_pred: probabilities or logits.
        k: how many predictions count. Default: 5.

    Example:
        >>> labels, y_pred = np.array([[0, 0, 1]]), np.array([[0.5, 0.2, 0.3]])
        >>> print(staghorn.metrics.top_k_categorical_accuracy(labels, y_pred, k=2))
        [1.]
    """
    return _hits(_in_top_k(jnp.argmax(jnp.asarray(y_true), axis=-1), jnp.asarray(y_pred), k))


@op
def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> jax.Array:
    """Say where the integer label is among the k largest predictions, as 1 and 0.

    (...), (..., classes) -> (...)

    Args:
        y_true: labels 0..classes-1.
        y_pred: probabilities or logits; with `from_sorted_ids`, class ids, the best first.
        k: how many predictions count. Default: 5.
        from_sorted_ids: whether `y_pred` holds sorted ids. Default: False.

    Example:
        >>> labels, y_pred = np.array([2]), np.array([[0.5, 0.2, 0.3]])
        >>> print(staghorn.metrics.sparse_top_k_categorical_accuracy(labels, y_pred, k=2))
        [1.]
    """
    y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
    shape = y_true.shape
    classes = y_pred.shape[-1]
    y_true = jnp.reshape(y_true, (-1,))  # a last axis of 1 stays in the result, as in Keras
    y_pred = jnp.reshape(y_pred, (-1, classes))
    if from_sorted_ids:
        labels = jnp.expand_dims(y_true.astype(y_pred.dtype), 1)
        return _hits(jnp.reshape(jnp.any(labels == y_pred[:, :k], axis=1), shape))
    return _hits(jnp.reshape(_in_top_k(y_true.astype("int32"), y_pred, k), shape))


class Accuracy(MeanMetricWrapper):
    """How often predictions equal targets.

    (batch, ...), (batch, ...) -> ()

    Args:
        name: label. Default: "accuracy".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> print(staghorn.metrics.Accuracy()(np.array([1, 2]), np.array([1, 3])))
        0.5
    """

    _direction = "up"

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name=name, dtype=dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """How often the thresholded prediction equals the label.

    (batch, ...), (batch, ...) -> ()

    Args:
        name: label. Default: "binary_accuracy".
        dtype: type of the computation. Default: `floatx()`.
        threshold: what counts as 1 lies above it. Default: 0.5.

    Example:
        >>> print(staghorn.metrics.BinaryAccuracy()(np.array([1, 0]), np.array([0.9, 0.6])))
        0.5
    """

    _direction = "up"

    def __init__(
        self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(binary_accuracy, name=name, dtype=dtype, threshold=threshold)
        self.threshold = threshold


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the largest prediction stands at the one-hot label's place.

    (batch, ..., classes), (batch, ..., classes) -> ()

    Args:
        name: label. Default: "categorical_accuracy".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> metric = staghorn.metrics.CategoricalAccuracy()
        >>> print(metric(np.array([[0, 1], [1, 0]]), np.array([[0.2, 0.8], [0.4, 0.6]])))
        0.5
    """

    _direction = "up"

    def __init__(self, name: str = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name=name, dtype=dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the largest prediction stands at the integer label.

    (batch, ...), (batch, ..., classes) -> ()

    Args:
        name: label. Default: "sparse_categorical_accuracy".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> metric = staghorn.metrics.SparseCategoricalAccuracy()
        >>> print(metric(np.array([1, 0]), np.array([[0.2, 0.8], [0.4, 0.6]])))
        0.5
    """

    _direction = "up"

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name=name, dtype=dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the one-hot label is among the k largest predictions.

    (batch, ..., classes), (batch, ..., classes) -> ()

    Args:
        k: how many predictions count. Default: 5.
        name: label. Default: "top_k_categorical_accuracy".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> metric = staghorn.metrics.TopKCategoricalAccuracy(k=2)
        >>> print(metric(np.array([[0, 0, 1]]), np.array([[0.5, 0.2, 0.3]])))
        1.0
    """

    _direction = "up"

    def __init__(
        self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name=name, dtype=dtype, k=k)
        self.k = k


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the integer label is among the k largest predictions.

    (batch, ...), (batch, ..., classes) -> ()

    Args:
        k: how many predictions count. Default: 5.
        name: label. Default: "sparse_top_k_categorical_accuracy".
        dtype: type of the computation. Default: `floatx()`.
        from_sorted_ids: whether predictions are class ids, the best first. Default: False.

    Example:
        >>> metric = staghorn.metrics.SparseTopKCategoricalAccuracy(k=2)
        >>> print(metric(np.array([2]), np.array([[0.5, 0.2, 0.3]])))
        1.0
    """

    _direction = "up"

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        fn = sparse_top_k_categorical_accuracy
        super().__init__(fn, name=name, dtype=dtype, k=k, from_sorted_ids=from_sorted_ids)
        self.k = k
        self.from_sorted_ids = from_sorted_ids

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; `from_sorted_ids` only where it is set, as Keras."""
        config_ = super().get_config()
        if not self.from_sorted_ids:
            del config_["from_sorted_ids"]
        return config_
