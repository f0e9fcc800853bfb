"""Metrics between real numbers: squared, absolute and relative errors, cosine, R squared."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.arguments import NonNegative, Options
from staghorn.engine.jax_internals import is_tracer
from staghorn.losses.loss import matched
from staghorn.losses.regression import (
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    normalized,
)
from staghorn.metrics.metric import Metric
from staghorn.metrics.reduction import Mean, MeanMetricWrapper

__all__ = [
    "CosineSimilarity", "LogCoshError", "MeanAbsoluteError", "MeanAbsolutePercentageError",
    "MeanSquaredError", "MeanSquaredLogarithmicError", "R2Score", "RootMeanSquaredError",
]  # fmt: skip


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> jax.Array:
    """Cosine of the angle between targets and predictions: 1 is the best value.

    (..., d), (..., d) -> (...)        sum(y_true / |y_true| * y_pred / |y_pred|)

    Args:
        y_true: targets.
        y_pred: predictions.
        axis: the axis that holds the vectors. Default: -1.

    Example:
        >>> metric = staghorn.metrics.regression.cosine_similarity
        >>> print(metric(np.array([[0.0, 1.0]]), np.array([[0.0, 3.0]])))
        [1.]

    Notes: the loss of the same name has the opposite sign, as in Keras.
    """
    y_true, y_pred = matched(y_true, y_pred)
    return jnp.sum(normalized(y_true, axis) * normalized(y_pred, axis), axis=axis)


class MeanSquaredError(MeanMetricWrapper):
    """Mean squared error.

    (batch, ..., d), (batch, ..., d) -> ()

    Args:
        name: label. Default: "mean_squared_error".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> metric = staghorn.metrics.MeanSquaredError()
        >>> print(metric(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])))
        2.5
    """

    _direction = "down"

    def __init__(self, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(mean_squared_error, name=name, dtype=dtype)


class MeanAbsoluteError(MeanMetricWrapper):
    """Mean absolute error.

    (batch, ..., d), (batch, ..., d) -> ()

    Args:
        name: label. Default: "mean_absolute_error".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> metric = staghorn.metrics.MeanAbsoluteError()
        >>> print(metric(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])))
        1.5
    """

    _direction = "down"

    def __init__(self, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(mean_absolute_error, name=name, dtype=dtype)


class MeanAbsolutePercentageError(MeanMetricWrapper):
    """Mean relative error in percent.

    (batch, ..., d), (batch, ..., d) -> ()

    Args:
        name: label. Default: "mean_absolute_percentage_error".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> metric = staghorn.metrics.MeanAbsolutePercentageError()
        >>> print(metric(np.array([[2.0, 4.0]]), np.array([[3.0, 4.0]])))
        25.0
    """

    _direction = "down"

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: Any = None) -> None:
        super().__init__(mean_absolute_percentage_error, name=name, dtype=dtype)


class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """Mean squared difference of log(1 + x).

    (batch, ..., d), (batch, ..., d) -> ()

    Args:
        name: label. Default: "mean_squared_logarithmic_error".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> metric = staghorn.metrics.MeanSquaredLogarithmicError()
        >>> round(float(metric(np.array([[0.0, 0.0]]), np.array([[0.0, np.e - 1]]))), 3)
        0.5
    """

    _direction = "down"

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: Any = None) -> None:
        super().__init__(mean_squared_logarithmic_error, name=name, dtype=dtype)


class LogCoshError(MeanMetricWrapper):
    """Mean logarithm of the hyperbolic cosine of the error.

    (batch, ..., d), (batch, ..., d) -> ()

    Args:
        name: label. Default: "logcosh".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> round(float(staghorn.metrics.LogCoshError()(np.array([[0.0]]), np.array([[1.0]]))), 3)
        0.434
    """

    _direction = "down"

    def __init__(self, name: str = "logcosh", dtype: Any = None) -> None:
        super().__init__(log_cosh, name=name, dtype=dtype)


class CosineSimilarity(MeanMetricWrapper):
    """Mean cosine of the angle between targets and predictions.

    (batch, ..., d), (batch, ..., d) -> ()

    Args:
        name: label. Default: "cosine_similarity".
        dtype: type of the computation. Default: `floatx()`.
        axis: the axis that holds the vectors. Default: -1.

    Example:
        >>> metric = staghorn.metrics.CosineSimilarity()
        >>> print(metric(np.array([[0.0, 1.0]]), np.array([[0.0, 3.0]])))
        1.0
    """

    _direction = "up"

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(cosine_similarity, name=name, dtype=dtype, axis=axis)
        self.axis = axis

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; `axis` only where it is not -1 (Keras forgets it)."""
        config = super().get_config()
        if self.axis == -1:
            del config["axis"]
        return config


class RootMeanSquaredError(Mean):
    """Square root of the mean squared error.

    (batch, ..., d), (batch, ..., d) -> ()        sqrt(mean((y_true - y_pred)^2))

    Args:
        name: label. Default: "root_mean_squared_error".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> metric = staghorn.metrics.RootMeanSquaredError()
        >>> print(metric(np.array([[0.0, 1.0]]), np.array([[2.0, 3.0]])))
        2.0
    """

    _direction = "down"

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take in a batch."""
        y_true, y_pred = matched(y_true, jnp.asarray(y_pred).astype(self.dtype))
        super().update_state(jnp.square(y_pred - y_true), sample_weight=sample_weight)

    def result(self) -> jax.Array:
        """Return the root of the mean."""
        return jnp.sqrt(super().result())


class R2Score(Metric):
    """Coefficient of determination: the share of the targets' variance that is explained.

    (batch, d), (batch, d) -> () or (d,)        1 - sum((t - p)^2) / sum((t - mean(t))^2)

    Args:
        class_aggregation: how the outputs become one number: "uniform_average",
            "variance_weighted_average", or None for one score each. Default: "uniform_average".
        num_regressors: number of predictors for the adjusted score; 0 means the ordinary one.
            Default: 0.
        name: label. Default: "r2_score".
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if an argument is out of range, or the data are not 2-dimensional.

    Example:
        >>> metric = staghorn.metrics.R2Score()
        >>> metric.update_state(np.array([[1.0], [4.0], [3.0]]), np.array([[2.0], [4.0], [4.0]]))
        >>> round(float(metric.result()), 3)
        0.571
    """

    _direction = "up"
    arguments = {
        "class_aggregation": Options("uniform_average", "variance_weighted_average", None),
        "num_regressors": NonNegative(int),
    }

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable(name="num_samples")
        self.built = False

    def build(self, y_true_shape: Any, y_pred_shape: Any) -> None:
        """Create the sums, one per output."""
        if len(y_true_shape) != 2 or len(y_pred_shape) != 2 or y_pred_shape[-1] is None:
            raise ValueError(
                f"R2Score: targets and predictions must have shape (batch, outputs), got "
                f"{tuple(y_true_shape)} and {tuple(y_pred_shape)}."
            )
        shape = (y_pred_shape[-1],)
        self.squared_sum = self.add_variable(shape, name="squared_sum")
        self.sum = self.add_variable(shape, name="sum")
        self.total_mse = self.add_variable(shape, name="residual")
        self.count = self.add_variable(shape, name="count")
        self.built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch."""
        y_true, y_pred = matched(y_true, jnp.asarray(y_pred).astype(self.dtype))
        if not self.built:
            self.build(y_true.shape, y_pred.shape)
        weights = jnp.asarray(1 if sample_weight is None else sample_weight).astype(self.dtype)
        if weights.ndim == 1:
            weights = jnp.expand_dims(weights, 1)
        weights = jnp.broadcast_to(weights, y_true.shape)
        self.sum.assign_add(jnp.sum(y_true * weights, axis=0))
        self.squared_sum.assign_add(jnp.sum(y_true * y_true * weights, axis=0))
        self.total_mse.assign_add(jnp.sum(jnp.square(y_true - y_pred) * weights, axis=0))
        self.count.assign_add(jnp.sum(weights, axis=0))
        self.num_samples.assign_add(y_true.size)

    def result(self) -> jax.Array:
        """Return the score, or one per output."""
        sums = self.sum.value
        total = self.squared_sum.value - sums * (sums / self.count.value)
        scores = 1.0 - self.total_mse.value / total
        scores = jnp.where(jnp.isinf(scores), jnp.zeros_like(scores), scores)
        if self.class_aggregation == "uniform_average":
            scores = jnp.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = jnp.sum(total * scores) / jnp.sum(total)
        return self._adjusted(scores) if self.num_regressors else scores

    def _adjusted(self, score: jax.Array) -> jax.Array:
        samples = self.num_samples.value
        freedom = samples - self.num_regressors - 1.0
        if not is_tracer(freedom) and freedom <= 0:  # no warnings from compiled code
            warnings.warn(
                f"R2Score: {int(samples)} values are too few to adjust for {self.num_regressors} "
                "regressors; the ordinary score is returned.",
                stacklevel=3,
            )
        adjusted = 1.0 - (1.0 - score) * (samples - 1.0) / jnp.where(freedom > 0, freedom, 1.0)
        return jnp.where(freedom > 0, adjusted, score)
