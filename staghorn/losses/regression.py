"""Losses between real numbers: squared, absolute, relative and robust errors, cosine."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.symbolic import op
from staghorn.losses.loss import LossFunctionWrapper, matched

__all__ = [
    "CosineSimilarity", "Huber", "LogCosh", "MeanAbsoluteError", "MeanAbsolutePercentageError",
    "MeanSquaredError", "MeanSquaredLogarithmicError", "cosine_similarity", "huber", "log_cosh",
    "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error",
]  # fmt: skip


@op
def mean_squared_error(y_true: Any, y_pred: Any) -> jax.Array:
    """Mean of the squared errors over the last axis.

    (..., d), (..., d) -> (...)        mean((y_true - y_pred)^2)

    Args:
        y_true: targets.
        y_pred: predictions.

    Example:
        >>> loss = staghorn.losses.mean_squared_error
        >>> print(loss(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])))
        [2.5]
    """
    y_true, y_pred = matched(y_true, y_pred)
    return jnp.mean(jnp.square(y_true - y_pred), axis=-1)


@op
def mean_absolute_error(y_true: Any, y_pred: Any) -> jax.Array:
    """Mean of the absolute errors over the last axis.

    (..., d), (..., d) -> (...)        mean(|y_true - y_pred|)

    Args:
        y_true: targets.
        y_pred: predictions.

    Example:
        >>> loss = staghorn.losses.mean_absolute_error
        >>> print(loss(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])))
        [1.5]
    """
    y_true, y_pred = matched(y_true, y_pred)
    return jnp.mean(jnp.abs(y_true - y_pred), axis=-1)


@op
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> jax.Array:
    """Mean of the relative errors over the last axis, in percent.

    (..., d), (..., d) -> (...)        100 * mean(|y_true - y_pred| / max(|y_true|, epsilon))

    Args:
        y_true: targets.
        y_pred: predictions.

    Example:
        >>> loss = staghorn.losses.mean_absolute_percentage_error
        >>> print(loss(np.array([[2.0, 4.0]]), np.array([[3.0, 4.0]])))
        [25.]
    """
    y_true, y_pred = matched(y_true, y_pred)
    relative = jnp.abs((y_true - y_pred) / jnp.maximum(jnp.abs(y_true), config.epsilon()))
    return 100.0 * jnp.mean(relative, axis=-1)


@op
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> jax.Array:
    """Mean of the squared differences of log(1 + x) over the last axis.

    (..., d), (..., d) -> (...)        mean((log(1 + y_true) - log(1 + y_pred))^2)

    Args:
        y_true: targets, negative ones count as 0.
        y_pred: predictions, negative ones count as 0.

    Example:
        >>> loss = staghorn.losses.mean_squared_logarithmic_error
        >>> print(np.asarray(loss(np.array([[0.0, 0.0]]), np.array([[0.0, np.e - 1]]))).round(3))
        [0.5]
    """
    y_true, y_pred = matched(y_true, y_pred)
    log_pred = jnp.log(jnp.maximum(y_pred, config.epsilon()) + 1.0)
    log_true = jnp.log(jnp.maximum(y_true, config.epsilon()) + 1.0)
    return jnp.mean(jnp.square(log_pred - log_true), axis=-1)


@op
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> jax.Array:
    """Squared error for small errors, absolute error for large ones.

    (..., d), (..., d) -> (...)
    mean(e^2 / 2 where |e| <= delta, delta * |e| - delta^2 / 2 elsewhere), e = y_pred - y_true

    Args:
        y_true: targets.
        y_pred: predictions.
        delta: where the parabola becomes a line. Default: 1.0.

    Example:
        >>> print(staghorn.losses.huber(np.array([[0.0, 0.0]]), np.array([[1.0, 3.0]])))
        [1.5]

    Reference: Huber (1964), https://doi.org/10.1214/aoms/1177703732
    """
    y_true, y_pred = matched(y_true, y_pred)
    error = y_pred - y_true
    size = jnp.abs(error)
    line = delta * size - 0.5 * delta * delta
    return jnp.mean(jnp.where(size <= delta, 0.5 * jnp.square(error), line), axis=-1)


@op
def log_cosh(y_true: Any, y_pred: Any) -> jax.Array:
    """Mean of log(cosh(error)): about e^2 / 2 near 0 and |e| - log 2 far from it.

    (..., d), (..., d) -> (...)        mean(e + softplus(-2 e) - log 2), e = y_pred - y_true

    Args:
        y_true: targets.
        y_pred: predictions.

    Example:
        >>> round(float(staghorn.losses.log_cosh(np.array([0.0]), np.array([1.0]))), 3)
        0.434

    Notes: the formula is log(cosh(e)) written so that a large error does not overflow.
    """
    y_true, y_pred = matched(y_true, y_pred)
    error = y_pred - y_true
    log_2 = jnp.log(jnp.full((), 2.0, error.dtype))
    return jnp.mean(error + jax.nn.softplus(-2.0 * error) - log_2, axis=-1)


def normalized(x: jax.Array, axis: int) -> jax.Array:
    """Divide by the Euclidean norm along `axis`; a zero vector stays zero (gradient included)."""
    square_sum = jnp.sum(jnp.square(x), axis=axis, keepdims=True)
    is_zero = square_sum == 0
    inverse_norm = jax.lax.rsqrt(jnp.where(is_zero, jnp.ones_like(square_sum), square_sum))
    largest = 1.0 / config.epsilon()
    return x * jnp.where(is_zero, largest, jnp.minimum(inverse_norm, largest))


@op
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> jax.Array:
    """Cosine of the angle between targets and predictions, negated: -1 is the best value.

    (..., d), (..., d) -> (...)        -sum(y_true / |y_true| * y_pred / |y_pred|)

    Args:
        y_true: targets.
        y_pred: predictions.
        axis: the axis that holds the vectors. Default: -1.

    Example:
        >>> loss = staghorn.losses.cosine_similarity
        >>> print(loss(np.array([[0.0, 1.0], [2.0, 0.0]]), np.array([[0.0, 3.0], [-1.0, 0.0]])))
        [-1.  1.]

    Notes: the metric of the same name has the opposite sign, as in Keras.
    """
    y_true, y_pred = matched(y_true, y_pred)
    return -jnp.sum(normalized(y_true, axis) * normalized(y_pred, axis), axis=axis)


class MeanSquaredError(LossFunctionWrapper):
    """Squared error.

    (..., d), (..., d) -> ()        mean((y_true - y_pred)^2)

    Args:
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "mean_squared_error".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> loss = staghorn.losses.MeanSquaredError()
        >>> print(loss(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])))
        2.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_error, reduction=reduction, name=name, dtype=dtype)


class MeanAbsoluteError(LossFunctionWrapper):
    """Absolute error.

    (..., d), (..., d) -> ()        mean(|y_true - y_pred|)

    Args:
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "mean_absolute_error".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> loss = staghorn.losses.MeanAbsoluteError()
        >>> print(loss(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])))
        1.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_error, reduction=reduction, name=name, dtype=dtype)


class MeanAbsolutePercentageError(LossFunctionWrapper):
    """Relative error in percent.

    (..., d), (..., d) -> ()        100 * mean(|y_true - y_pred| / |y_true|)

    Args:
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "mean_absolute_percentage_error".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> loss = staghorn.losses.MeanAbsolutePercentageError()
        >>> print(loss(np.array([[2.0, 4.0]]), np.array([[3.0, 4.0]])))
        25.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            mean_absolute_percentage_error,
            reduction=reduction,
            name=name,
            dtype=dtype,
        )


class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """Squared difference of log(1 + x).

    (..., d), (..., d) -> ()        mean((log(1 + y_true) - log(1 + y_pred))^2)

    Args:
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "mean_squared_logarithmic_error".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> loss = staghorn.losses.MeanSquaredLogarithmicError()
        >>> round(float(loss(np.array([[0.0, 0.0]]), np.array([[0.0, np.e - 1]]))), 3)
        0.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            mean_squared_logarithmic_error,
            reduction=reduction,
            name=name,
            dtype=dtype,
        )


class Huber(LossFunctionWrapper):
    """Squared error for small errors, absolute error for large ones.

    (..., d), (..., d) -> ()        see `huber`

    Args:
        delta: where the parabola becomes a line. Default: 1.0.
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "huber_loss".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> print(staghorn.losses.Huber()(np.array([[0.0, 0.0]]), np.array([[1.0, 3.0]])))
        1.5

    Notes: Keras's config forgets `delta`; ours keeps one that differs from 1.0.

    Reference: Huber (1964), https://doi.org/10.1214/aoms/1177703732
    """

    config_omits: ClassVar = {"delta": 1.0}

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(huber, reduction=reduction, name=name, dtype=dtype, delta=delta)
        self.delta = delta


class LogCosh(LossFunctionWrapper):
    """Logarithm of the hyperbolic cosine of the error.

    (..., d), (..., d) -> ()        mean(log(cosh(y_pred - y_true)))

    Args:
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "log_cosh".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> round(float(staghorn.losses.LogCosh()(np.array([[0.0]]), np.array([[1.0]]))), 3)
        0.434
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "log_cosh",
        dtype: Any = None,
    ) -> None:
        super().__init__(log_cosh, reduction=reduction, name=name, dtype=dtype)


class CosineSimilarity(LossFunctionWrapper):
    """Cosine of the angle between targets and predictions, negated.

    (..., d), (..., d) -> ()        -sum(y_true / |y_true| * y_pred / |y_pred|)

    Args:
        axis: the axis that holds the vectors. Default: -1.
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "cosine_similarity".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> loss = staghorn.losses.CosineSimilarity()
        >>> print(loss(np.array([[0.0, 1.0]]), np.array([[0.0, 3.0]])))
        -1.0

    Notes: Keras's config forgets `axis`; ours keeps one that differs from -1.
    """

    config_omits: ClassVar = {"axis": -1}

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction=reduction, name=name, dtype=dtype, axis=axis)
        self.axis = axis
