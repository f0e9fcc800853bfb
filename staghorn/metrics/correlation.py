"""Correlations along an axis: Pearson's, and the concordance coefficient."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.symbolic import op
from staghorn.losses.loss import matched
from staghorn.metrics.reduction import MeanMetricWrapper

__all__ = [
    "ConcordanceCorrelation", "PearsonCorrelation", "concordance_correlation",
    "pearson_correlation",
]  # fmt: skip


@op
def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> jax.Array:
    """Pearson's correlation of targets and predictions: 1 for any rising straight line.

    (..., n), (..., n) -> (...)        mean((t - mean(t)) (p - mean(p))) / (std(t) std(p))

    Args:
        y_true: targets.
        y_pred: predictions.
        axis: the axis along which they are compared. Default: -1.

    Example:
        >>> metric = staghorn.metrics.pearson_correlation
        >>> round(float(metric(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]))), 3)
        1.0
    """
    y_true, y_pred = matched(y_true, y_pred)
    return jnp.mean(_standardized(y_true, axis) * _standardized(y_pred, axis), axis=axis)


def _standardized(x: jax.Array, axis: int) -> jax.Array:
    centred = x - jnp.mean(x, axis=axis, keepdims=True)
    return centred / jnp.std(centred, axis=axis, keepdims=True)


@op
def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> jax.Array:
    """Lin's concordance of targets and predictions: 1 only where they are equal.

    (..., n), (..., n) -> (...)
    2 covariance(t, p) / (var(t) + var(p) + (mean(t) - mean(p))^2)

    Args:
        y_true: targets.
        y_pred: predictions.
        axis: the axis along which they are compared. Default: -1.

    Example:
        >>> metric = staghorn.metrics.concordance_correlation
        >>> round(float(metric(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 4.0]))), 3)
        0.615

    Reference: Lin (1989), https://doi.org/10.2307/2532051
    """
    y_true, y_pred = matched(y_true, y_pred)
    mean_true = jnp.mean(y_true, axis=axis, keepdims=True)
    mean_pred = jnp.mean(y_pred, axis=axis, keepdims=True)
    norm = jnp.square(mean_true - mean_pred)
    norm += jnp.var(y_true, axis=axis, keepdims=True) + jnp.var(y_pred, axis=axis, keepdims=True)
    # Centring one factor is enough: the other's mean drops out of the average.
    products = (y_true - mean_pred) * (y_pred - mean_pred)
    return jnp.mean(2.0 * products / (norm + config.epsilon()), axis=axis)


class PearsonCorrelation(MeanMetricWrapper):
    """Mean of Pearson's correlation of targets and predictions.

    (batch, ..., n), (batch, ..., n) -> ()

    Args:
        name: label. Default: "pearson_correlation".
        dtype: type of the computation. Default: `floatx()`.
        axis: the axis along which they are compared. Default: -1.

    Example:
        >>> metric = staghorn.metrics.PearsonCorrelation()
        >>> round(float(metric(np.array([[0.0, 1.0, 2.0]]), np.array([[1.0, 3.0, 5.0]]))), 3)
        1.0

    Notes: each sample is correlated by itself; `axis=0` correlates over each batch.
    """

    _direction = "up"

    def __init__(
        self, name: str = "pearson_correlation", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(pearson_correlation, name=name, dtype=dtype, axis=axis)
        self.axis = axis


class ConcordanceCorrelation(MeanMetricWrapper):
    """Mean of Lin's concordance of targets and predictions.

    (batch, ..., n), (batch, ..., n) -> ()

    Args:
        name: label. Default: "concordance_correlation".
        dtype: type of the computation. Default: `floatx()`.
        axis: the axis along which they are compared. Default: -1.

    Example:
        >>> metric = staghorn.metrics.ConcordanceCorrelation()
        >>> round(float(metric(np.array([[0.0, 1.0, 2.0]]), np.array([[0.0, 2.0, 4.0]]))), 3)
        0.615

    Notes: each sample is compared by itself; `axis=0` compares over each batch.
    """

    _direction = "up"

    def __init__(
        self, name: str = "concordance_correlation", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(concordance_correlation, name=name, dtype=dtype, axis=axis)
        self.axis = axis
