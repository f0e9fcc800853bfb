"""Losses of overlap between masks, for segmentation: Dice and Tversky."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.symbolic import op
from staghorn.losses.loss import LossFunctionWrapper, matched

__all__ = ["Dice", "Tversky", "dice", "tversky"]

Axes = int | tuple[int, ...] | None


@op
def dice(y_true: Any, y_pred: Any, axis: Axes = None) -> jax.Array:
    """One minus the overlap of two masks (Dice coefficient).

    (...), (...) -> () or what `axis` leaves        1 - 2 |t p| / (|t| + |p| + epsilon)

    Args:
        y_true: masks in [0, 1].
        y_pred: masks in [0, 1].
        axis: axes to sum over; None is all of them. Default: None.

    Example:
        >>> round(float(staghorn.losses.dice(np.array([1.0, 0.0]), np.array([1.0, 1.0]))), 3)
        0.333

    Reference: Sudre et al. (2017), https://arxiv.org/abs/1707.03237
    """
    y_true, y_pred = matched(y_true, y_pred)
    both = jnp.sum(y_true * y_pred, axis=_axes(axis))
    total = jnp.sum(y_true, axis=_axes(axis)) + jnp.sum(y_pred, axis=_axes(axis))
    return 1.0 - 2.0 * both / (total + config.epsilon())


@op
def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Axes = None
) -> jax.Array:
    """One minus the overlap of two masks in which the two kinds of error weigh differently.

    (...), (...) -> () or what `axis` leaves
    1 - |t p| / (|t p| + alpha |t (1 - p)| + beta |p (1 - t)| + epsilon)

    Args:
        y_true: masks in [0, 1].
        y_pred: masks in [0, 1].
        alpha: weight of what the prediction misses. Default: 0.5.
        beta: weight of what the prediction adds. Default: 0.5.
        axis: axes to sum over; None is all of them. Default: None.

    Example:
        >>> round(float(staghorn.losses.tversky(np.array([1.0, 0.0]), np.array([1.0, 1.0]))), 3)
        0.333

    Notes: the paper's alpha weighs what the prediction adds; Keras's formula, which we follow,
    has it the other way round.

    Reference: Salehi et al. (2017), https://arxiv.org/abs/1706.05721
    """
    y_true, y_pred = matched(y_true, y_pred)
    both = jnp.sum(y_true * y_pred, axis=_axes(axis))
    missed = jnp.sum(y_true * (1.0 - y_pred), axis=_axes(axis))
    added = jnp.sum(y_pred * (1.0 - y_true), axis=_axes(axis))
    return 1.0 - both / (both + alpha * missed + beta * added + config.epsilon())


def _axes(axis: Any) -> Axes:
    return tuple(axis) if isinstance(axis, list) else axis  # lists come from JSON configs


class Dice(LossFunctionWrapper):
    """One minus the overlap of two masks (Dice coefficient).

    (...), (...) -> ()        1 - 2 |t p| / (|t| + |p|)

    Args:
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "dice".
        axis: axes to sum over; None is all of them. Default: None.
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> round(float(staghorn.losses.Dice()(np.array([1.0, 0.0]), np.array([1.0, 1.0]))), 3)
        0.333

    Reference: Sudre et al. (2017), https://arxiv.org/abs/1707.03237
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "dice",
        axis: int | tuple[int, ...] | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dice, reduction=reduction, name=name, dtype=dtype, axis=axis)
        self.axis = axis


class Tversky(LossFunctionWrapper):
    """Overlap of two masks in which the two kinds of error weigh differently.

    (...), (...) -> ()        see `tversky`

    Args:
        alpha: weight of what the prediction misses. Default: 0.5.
        beta: weight of what the prediction adds. Default: 0.5.
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "tversky".
        axis: axes to sum over; None is all of them. Default: None.
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> round(float(staghorn.losses.Tversky()(np.array([1.0, 0.0]), np.array([1.0, 1.0]))), 3)
        0.333

    Reference: Salehi et al. (2017), https://arxiv.org/abs/1706.05721
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "tversky",
        axis: int | tuple[int, ...] | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            tversky,
            reduction=reduction,
            name=name,
            dtype=dtype,
            alpha=alpha,
            beta=beta,
            axis=axis,
        )
        self.alpha = alpha
        self.beta = beta
        self.axis = axis
