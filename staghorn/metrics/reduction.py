"""Sums and means over batches, and the metric made of a function."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.masks import get_mask
from staghorn.engine.registry import Family
from staghorn.engine.serialization import serialize_keras_object
from staghorn.losses import FAMILY as LOSSES
from staghorn.losses.loss import apply_mask, divide_no_nan, squeeze_or_expand_to_same_rank
from staghorn.metrics.metric import Metric

__all__ = ["Mean", "MeanMetricWrapper", "Sum"]

# Predictions of a mixed-precision model; the function would lose digits in their own type.
_HALVES = ("float16", "bfloat16")

Reduce = Callable[..., jax.Array]


def reduce_to_samplewise_values(
    values: Any, sample_weight: Any, reduce_fn: Reduce, dtype: Any
) -> tuple[jax.Array, jax.Array | None]:
    """Weigh values and reduce all axes but the first.

    (batch, ...), (batch, ...) -> (batch,), (batch,)

    Args:
        values: figures of each sample, of any rank.
        sample_weight: weights of the first axes of `values`, or None.
        reduce_fn: `jnp.sum` or `jnp.mean`.
        dtype: type of the computation.
    """
    mask = get_mask(values)
    values = jnp.asarray(values).astype(dtype)
    if sample_weight is None:
        return _over_tail(values, reduce_fn, 1), None
    sample_weight = jnp.asarray(sample_weight).astype(dtype)
    if mask is not None:
        sample_weight = apply_mask(sample_weight, mask, dtype=dtype, reduction="sum")
    values, weights = squeeze_or_expand_to_same_rank(values, sample_weight)
    weight_rank = weights.ndim
    values = _over_tail(values, reduce_fn, weight_rank)
    weights = jnp.broadcast_to(weights, values.shape)
    values = values * weights
    if weight_rank > 1:
        weights = _over_tail(weights, reduce_fn, 1)
    return _over_tail(values, reduce_fn, 1), weights


def _over_tail(x: jax.Array, reduce_fn: Reduce, first: int) -> jax.Array:
    return reduce_fn(x, axis=tuple(range(first, x.ndim))) if x.ndim > first else x


class Sum(Metric):
    """Sum of values over all batches.

    (batch, ...) -> ()        sum(value * weight)

    Args:
        name: label. Default: "sum".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> metric = staghorn.metrics.Sum()
        >>> metric.update_state([1, 3, 5, 7])
        >>> print(metric.result())
        16.0
    """

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable(dtype=self.dtype, name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add a batch of values."""
        values, _ = reduce_to_samplewise_values(values, sample_weight, jnp.sum, self.dtype)
        self.total.assign_add(jnp.sum(values))

    def result(self) -> jax.Array:
        """Return the sum."""
        return self.total.value


class Mean(Metric):
    """Mean of values over all batches, weighted.

    (batch, ...) -> ()        sum(value * weight) / sum(weight)

    Args:
        name: label. Default: "mean".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> metric = staghorn.metrics.Mean()
        >>> metric.update_state([1, 3, 5, 7])
        >>> metric.update_state([10, 10], sample_weight=[1, 0])
        >>> print(metric.result())
        5.2

    Notes: 0 before the first batch. Every sample of the epoch weighs the same, so that a shorter
    last batch does not count more.
    """

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable(dtype=self.dtype, name="total")
        self.count = self.add_variable(dtype=self.dtype, name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take in a batch of values."""
        values, weights = reduce_to_samplewise_values(values, sample_weight, jnp.mean, self.dtype)
        self.total.assign_add(jnp.sum(values))
        if weights is not None:
            self.count.assign_add(jnp.sum(weights))
        else:
            self.count.assign_add(values.shape[0] if values.ndim else 1)

    def result(self) -> jax.Array:
        """Return the mean, or 0 where nothing was counted."""
        return divide_no_nan(self.total.value, self.count.value)


def _as_column(y_true: Any, y_pred: Any) -> Any:
    """Give labels (n,) the shape (n, 1) of the outputs: a user's function would make (n, n)."""
    shape = jnp.shape(y_pred)
    return jnp.reshape(y_true, shape) if (*jnp.shape(y_true), 1) == shape else y_true


class MeanMetricWrapper(Mean):
    """The mean of `fn(y_true, y_pred, **kwargs)` over all samples.

    (batch, ..., d), (batch, ..., d) -> ()

    Args:
        fn: returns one figure per sample.
        name: label. Default: from the class name.
        dtype: type of the computation. Default: `floatx()`.
        **kwargs: further arguments of `fn`.

    Example:
        >>> metric = staghorn.metrics.MeanMetricWrapper(staghorn.losses.huber, delta=2.0)
        >>> metric.update_state(np.zeros((1, 2)), np.array([[1.0, 3.0]]))
        >>> print(metric.result())
        2.25

    Notes: half-precision predictions are widened to the metric's type first (Keras computes in
    halves).
    """

    def __init__(
        self, fn: Callable, name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name, dtype=dtype)  # type: ignore[arg-type]
        self.fn = fn
        self._fn_kwargs = kwargs
        if self._direction is None and _is_loss(fn, LOSSES):
            self._direction = "down"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take in a batch; a mask that travels with `y_pred` weighs it."""
        mask = get_mask(y_pred)
        if str(getattr(y_pred, "dtype", "")) in _HALVES:
            y_pred = jnp.asarray(y_pred).astype(self.dtype)
        if not getattr(self.fn, "__module__", "").startswith("staghorn."):
            y_true = _as_column(y_true, y_pred)
        values = self.fn(y_true, y_pred, **self._fn_kwargs)
        if values is None:
            raise ValueError(f"Metric '{self.name}' returned None: add a return.")
        if mask is not None:
            if sample_weight is not None:
                sample_weight = jnp.asarray(sample_weight)
            sample_weight = apply_mask(sample_weight, mask, dtype=self.dtype, reduction="sum")
        super().update_state(values, sample_weight=sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; the wrapper's own also lists those of `fn`."""
        derived = super().get_config()
        if "fn" in derived:
            derived.update(serialize_keras_object(self._fn_kwargs))
        return derived


def _is_loss(fn: Callable, losses: Family) -> bool:
    return any(fn is known or type(fn) is known for known in losses.objects.values())
