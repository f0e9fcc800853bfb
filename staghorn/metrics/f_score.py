"""F-scores: precision and recall in one number."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.arguments import Interval, Options, Positive
from staghorn.metrics.metric import Metric

__all__ = ["F1Score", "FBetaScore"]

_COUNTS = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")


class FBetaScore(Metric):
    """Weighted harmonic mean of precision and recall.

    (batch, classes), (batch, classes) -> (classes,) or ()
    (1 + beta^2) precision recall / (beta^2 precision + recall)

    Args:
        average: None gives one score per class; "micro" counts all classes together; "macro" is
            the mean over classes; "weighted" weighs it by their frequency. Default: None.
        beta: how much recall counts over precision, a positive float. Default: 1.0.
        threshold: a prediction above it is positive; None takes the largest of each sample.
            Default: None.
        name: label. Default: "fbeta_score".
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if an argument is out of range, or the data are not 2-dimensional.

    Example:
        >>> metric = staghorn.metrics.FBetaScore(beta=2.0, threshold=0.5)
        >>> y_true = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0]])
        >>> y_pred = np.array([[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]])
        >>> print(np.asarray(metric(y_true, y_pred)).round(3))
        [0.385 0.909 0.833]
    """

    _direction = "up"
    arguments: ClassVar = {
        "average": Options(None, "micro", "macro", "weighted"),
        "beta": Positive(float),
        "threshold": Interval(0, 1, closed="right", optional=True),
    }

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self.built = False

    def build(self, y_true_shape: Any, y_pred_shape: Any) -> None:
        """Create the counts, one per class unless all are counted together."""
        if len(y_true_shape) != 2 or len(y_pred_shape) != 2 or y_pred_shape[-1] is None:
            raise ValueError(
                f"{type(self).__name__}: labels and predictions must have shape (batch, classes), "
                f"got {tuple(y_true_shape)} and {tuple(y_pred_shape)}."
            )
        shape = () if self.average == "micro" else (y_pred_shape[-1],)
        for name in _COUNTS:
            setattr(self, name, self.add_variable(shape, dtype=self.dtype, name=name))
        self.built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch."""
        y_true = jnp.asarray(y_true).astype(self.dtype)
        y_pred = jnp.asarray(y_pred).astype(self.dtype)
        if not self.built:
            self.build(y_true.shape, y_pred.shape)
        if self.threshold is None:
            largest = jnp.max(y_pred, axis=-1, keepdims=True)
            # All zeros are no decision for the first class.
            chosen = jnp.logical_and(y_pred >= largest, jnp.abs(y_pred) > 1e-9)
        else:
            chosen = y_pred > self.threshold
        positive = chosen.astype(self.dtype)
        weights = jnp.ones((1, 1), self.dtype)
        if sample_weight is not None:
            weights = jnp.asarray(sample_weight).astype(self.dtype).reshape((-1, 1))
        axis = None if self.average == "micro" else 0
        figures = (
            positive * y_true,
            positive * (1.0 - y_true),
            (1.0 - positive) * y_true,
            y_true,
        )
        for name, figure in zip(_COUNTS, figures, strict=True):
            getattr(self, name).assign_add(jnp.sum(figure * weights, axis=axis))

    def result(self) -> jax.Array:
        """Return the score, one per class without an average."""
        true, wrong, missed, frequency = (getattr(self, name).value for name in _COUNTS)
        epsilon = config.epsilon()
        precision = true / (true + wrong + epsilon)
        recall = true / (true + missed + epsilon)
        square = self.beta**2
        mean = precision * recall / (square * precision + recall + epsilon)
        score = mean * (1.0 + square)
        if self.average == "weighted":
            return jnp.sum(score * frequency / (jnp.sum(frequency) + epsilon))
        return score if self.average is None else jnp.mean(score)


class F1Score(FBetaScore):
    """Harmonic mean of precision and recall.

    (batch, classes), (batch, classes) -> (classes,) or ()        2 precision recall / (p + r)

    Args:
        average: None gives one score per class; "micro" counts all classes together; "macro" is
            the mean over classes; "weighted" weighs it by their frequency. Default: None.
        threshold: a prediction above it is positive; None takes the largest of each sample.
            Default: None.
        name: label. Default: "f1_score".
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if an argument is out of range, or the data are not 2-dimensional.

    Example:
        >>> metric = staghorn.metrics.F1Score(threshold=0.5)
        >>> y_true = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0]])
        >>> y_pred = np.array([[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]])
        >>> print(np.asarray(metric(y_true, y_pred)).round(3))
        [0.5   0.8   0.667]
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average=average, beta=1.0, threshold=threshold, name=name, dtype=dtype)
