"""Margin losses: hinge, squared hinge, categorical hinge."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.losses.loss import LossFunctionWrapper, matched

__all__ = [
    "CategoricalHinge", "Hinge", "SquaredHinge", "categorical_hinge", "hinge", "squared_hinge",
]  # fmt: skip


def _signs(y_true: jax.Array) -> jax.Array:
    # Labels in {0, 1} mean {-1, 1}. The test looks at the whole batch, as Keras does.
    is_binary = jnp.all(jnp.logical_or(y_true == 0, y_true == 1))
    return jnp.where(is_binary, 2.0 * y_true - 1.0, y_true)


@op
def hinge(y_true: Any, y_pred: Any) -> jax.Array:
    """Hinge loss for labels -1 and 1 (a batch of only 0 and 1 is read as -1 and 1).

    (..., d), (..., d) -> (...)        mean(max(1 - y_true * y_pred, 0))

    Args:
        y_true: labels, -1 or 1 (or 0 or 1).
        y_pred: scores.

    Example:
        >>> print(staghorn.losses.hinge(np.array([[1.0, -1.0]]), np.array([[0.5, 0.5]])))
        [1.]
    """
    y_true, y_pred = matched(y_true, y_pred)
    return jnp.mean(jnp.maximum(1.0 - _signs(y_true) * y_pred, 0.0), axis=-1)


@op
def squared_hinge(y_true: Any, y_pred: Any) -> jax.Array:
    """Squared hinge loss for labels -1 and 1 (a batch of only 0 and 1 is read as -1 and 1).

    (..., d), (..., d) -> (...)        mean(max(1 - y_true * y_pred, 0)^2)

    Args:
        y_true: labels, -1 or 1 (or 0 or 1).
        y_pred: scores.

    Example:
        >>> print(staghorn.losses.squared_hinge(np.array([[1.0, -1.0]]), np.array([[0.5, 0.5]])))
        [1.25]
    """
    y_true, y_pred = matched(y_true, y_pred)
    return jnp.mean(jnp.square(jnp.maximum(1.0 - _signs(y_true) * y_pred, 0.0)), axis=-1)


@op
def categorical_hinge(y_true: Any, y_pred: Any) -> jax.Array:
    """Multi-class hinge loss: the true class should beat the best other one by 1.

    (..., classes), (..., classes) -> (...)        max(neg - pos + 1, 0)
    pos = sum(y_true * y_pred), neg = max((1 - y_true) * y_pred)

    Args:
        y_true: one-hot labels.
        y_pred: scores.

    Example:
        >>> print(staghorn.losses.categorical_hinge(np.array([[0, 1]]), np.array([[0.25, 0.75]])))
        [0.5]
    """
    y_true, y_pred = matched(y_true, y_pred)
    pos = jnp.sum(y_true * y_pred, axis=-1)
    neg = jnp.max((1.0 - y_true) * y_pred, axis=-1)
    return jnp.maximum(neg - pos + 1.0, 0.0)


class Hinge(LossFunctionWrapper):
    """Hinge loss for labels -1 and 1 (or 0 and 1).

    (..., d), (..., d) -> ()        mean(max(1 - y_true * y_pred, 0))

    Args:
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "hinge".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> print(staghorn.losses.Hinge()(np.array([[1.0, -1.0]]), np.array([[0.5, 0.5]])))
        1.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(hinge, reduction=reduction, name=name, dtype=dtype)


class SquaredHinge(LossFunctionWrapper):
    """Squared hinge loss for labels -1 and 1 (or 0 and 1).

    (..., d), (..., d) -> ()        mean(max(1 - y_true * y_pred, 0)^2)

    Args:
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "squared_hinge".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> print(staghorn.losses.SquaredHinge()(np.array([[1.0, -1.0]]), np.array([[0.5, 0.5]])))
        1.25
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "squared_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(squared_hinge, reduction=reduction, name=name, dtype=dtype)


class CategoricalHinge(LossFunctionWrapper):
    """Multi-class hinge loss: the true class should beat the best other one by 1.

    (..., classes), (..., classes) -> ()        max(neg - pos + 1, 0), see `categorical_hinge`

    Args:
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "categorical_hinge".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> print(staghorn.losses.CategoricalHinge()(np.array([[0, 1]]), np.array([[0.25, 0.75]])))
        0.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(categorical_hinge, reduction=reduction, name=name, dtype=dtype)
