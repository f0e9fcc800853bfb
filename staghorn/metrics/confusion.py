"""Metrics of yes/no decisions: counts, precision, recall, and one at a given level of the other."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine.arguments import Interval, Is, Positive
from staghorn.engine.variable import Variable
from staghorn.losses.loss import divide_no_nan
from staghorn.metrics.confusion_counts import (
    LOWEST,
    Counts,
    counts_by_comparison,
    counts_in_buckets,
    evenly_spaced,
    prepared,
    threshold_list,
)
from staghorn.metrics.metric import Metric

__all__ = [
    "FalseNegatives", "FalsePositives", "Precision", "PrecisionAtRecall", "Recall",
    "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity", "TrueNegatives",
    "TruePositives",
]  # fmt: skip

Thresholds = float | Sequence[float] | None


class _Counting(Metric):
    """Keeps some of the four counts at some thresholds."""

    counted: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, thresholds: list[float], name: str | None, dtype: Any, class_id: int | None = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.thresholds = thresholds
        self.class_id = class_id
        self.top_k: int | None = None
        self._evenly_spaced = evenly_spaced(thresholds)
        for count in self.counted:
            setattr(self, count, self.add_variable((len(thresholds),), name=count))

    def _counts(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Counts:
        dtype = self.variables[0].dtype
        data = prepared(y_true, y_pred, sample_weight, dtype, self.top_k, self.class_id)
        flat = [x.reshape(-1) for x in data]
        count = counts_in_buckets if self._evenly_spaced else counts_by_comparison
        return count(flat[0], flat[1], flat[2], np.asarray(self.thresholds))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch."""
        counts = self._counts(y_true, y_pred, sample_weight)
        for name in self.counted:
            getattr(self, name).assign_add(getattr(counts, name))

    def _share(self, part: str, rest: str) -> jax.Array:
        wanted = getattr(self, part).value
        return divide_no_nan(wanted, wanted + getattr(self, rest).value)


class _OneCount(_Counting):
    """One of the four counts."""

    counted = ("accumulator",)
    count: ClassVar[str]
    accumulator: Variable

    def __init__(self, thresholds: Thresholds = None, name: str | None = None, dtype: Any = None):
        self.init_thresholds = thresholds
        super().__init__(threshold_list(thresholds, 0.5, type(self).__name__), name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch."""
        counts = self._counts(y_true, y_pred, sample_weight)
        self.accumulator.assign_add(getattr(counts, self.count))

    def result(self) -> jax.Array:
        """Return the count, one per threshold where several were given."""
        counts = self.accumulator.value
        return counts[0] if len(self.thresholds) == 1 else counts

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_OneCount):
    """Number of positive labels that are predicted positive.

    (batch, ...), (batch, ...) -> () or (thresholds,)

    Args:
        thresholds: a prediction above it is positive; a list gives one result each. Default: 0.5.
        name: label. Default: from the class name.
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if a threshold is outside [0, 1].

    Example:
        >>> metric = staghorn.metrics.TruePositives()
        >>> print(metric([0, 0, 1, 1, 1], [0.1, 0.9, 0.2, 0.8, 0.7]))
        2.0
    """

    count = "true_positives"


class TrueNegatives(_OneCount):
    """Number of negative labels that are predicted negative.

    (batch, ...), (batch, ...) -> () or (thresholds,)

    Args:
        thresholds: a prediction above it is positive; a list gives one result each. Default: 0.5.
        name: label. Default: from the class name.
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if a threshold is outside [0, 1].

    Example:
        >>> metric = staghorn.metrics.TrueNegatives()
        >>> print(metric([0, 0, 1, 1, 1], [0.1, 0.9, 0.2, 0.8, 0.7]))
        1.0
    """

    count = "true_negatives"


class FalsePositives(_OneCount):
    """Number of negative labels that are predicted positive.

    (batch, ...), (batch, ...) -> () or (thresholds,)

    Args:
        thresholds: a prediction above it is positive; a list gives one result each. Default: 0.5.
        name: label. Default: from the class name.
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if a threshold is outside [0, 1].

    Example:
        >>> metric = staghorn.metrics.FalsePositives()
        >>> print(metric([0, 0, 1, 1, 1], [0.1, 0.9, 0.2, 0.8, 0.7]))
        1.0
    """

    count = "false_positives"


class FalseNegatives(_OneCount):
    """Number of positive labels that are predicted negative.

    (batch, ...), (batch, ...) -> () or (thresholds,)

    Args:
        thresholds: a prediction above it is positive; a list gives one result each. Default: 0.5.
        name: label. Default: from the class name.
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if a threshold is outside [0, 1].

    Example:
        >>> metric = staghorn.metrics.FalseNegatives()
        >>> print(metric([0, 0, 1, 1, 1], [0.1, 0.9, 0.2, 0.8, 0.7]))
        1.0
    """

    count = "false_negatives"


class _Share(_Counting):
    """The share of the true positives in them and another count."""

    arguments = {"top_k": Positive(int, optional=True), "class_id": Is(int, optional=True)}
    _direction = "up"

    def __init__(
        self,
        thresholds: Thresholds = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        self.init_thresholds = thresholds
        default = 0.5 if top_k is None else LOWEST
        levels = threshold_list(thresholds, default, type(self).__name__)
        super().__init__(levels, name, dtype, class_id)
        self.top_k = top_k

    def result(self) -> jax.Array:
        """Return the share, one per threshold where several were given."""
        shares = self._share(*self.counted)
        return shares[0] if len(self.thresholds) == 1 else shares

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "thresholds": self.init_thresholds}


class Precision(_Share):
    """The share of the positive predictions that are right.

    (batch, ...), (batch, ...) -> () or (thresholds,)        tp / (tp + fp)

    Args:
        thresholds: a prediction above it is positive; a list gives one result each. Default: 0.5,
            or no threshold with `top_k`.
        top_k: only the k best predictions of each sample can be positive. Default: None.
        class_id: only this class counts. Default: None.
        name: label. Default: from the class name.
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if a threshold is outside [0, 1].

    Example:
        >>> round(float(staghorn.metrics.Precision()([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0])), 3)
        0.667
    """

    counted = ("true_positives", "false_positives")


class Recall(_Share):
    """The share of the positive labels that are found.

    (batch, ...), (batch, ...) -> () or (thresholds,)        tp / (tp + fn)

    Args:
        thresholds: a prediction above it is positive; a list gives one result each. Default: 0.5,
            or no threshold with `top_k`.
        top_k: only the k best predictions of each sample can be positive. Default: None.
        class_id: only this class counts. Default: None.
        name: label. Default: from the class name.
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if a threshold is outside [0, 1].

    Example:
        >>> round(float(staghorn.metrics.Recall()([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0])), 3)
        0.667
    """

    counted = ("true_positives", "false_negatives")


class _Trade(_Counting):
    """The best of one share among the thresholds where another is high enough."""

    counted = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    arguments = {"num_thresholds": Positive(int), "class_id": Is(int, optional=True)}
    _direction = "up"

    def __init__(
        self, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any
    ) -> None:
        self.num_thresholds = num_thresholds
        levels = np.linspace(0.0, 1.0, num_thresholds).tolist() if num_thresholds > 1 else [0.5]
        super().__init__(levels, name, dtype, class_id)

    def _sensitivity(self) -> jax.Array:
        return self._share("true_positives", "false_negatives")

    def _specificity(self) -> jax.Array:
        return self._share("true_negatives", "false_positives")

    def _precision(self) -> jax.Array:
        return self._share("true_positives", "false_positives")


def _best_where(values: jax.Array, feasible: jax.Array) -> jax.Array:
    return jnp.max(jnp.where(feasible, values, jnp.zeros_like(values)), initial=0.0)


class SensitivityAtSpecificity(_Trade):
    """The best sensitivity (recall) at a specificity of at least the given one.

    (batch, ...), (batch, ...) -> ()

    Args:
        specificity: the least specificity that is accepted, in [0, 1].
        num_thresholds: how many thresholds in [0, 1] are tried. Default: 200.
        class_id: only this class counts. Default: None.
        name: label. Default: from the class name.
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if `specificity` is outside [0, 1] or `num_thresholds` is not positive.

    Example:
        >>> metric = staghorn.metrics.SensitivityAtSpecificity(0.5)
        >>> round(float(metric([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])), 3)
        0.5
    """

    arguments: ClassVar = {**_Trade.arguments, "specificity": Interval(0, 1)}

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_thresholds, class_id, name, dtype)
        self.specificity = specificity

    def result(self) -> jax.Array:
        """Return the best sensitivity, or 0 where no threshold is good enough."""
        return _best_where(self._sensitivity(), self._specificity() >= self.specificity)


class SpecificityAtSensitivity(_Trade):
    """The best specificity at a sensitivity (recall) of at least the given one.

    (batch, ...), (batch, ...) -> ()

    Args:
        sensitivity: the least sensitivity that is accepted, in [0, 1].
        num_thresholds: how many thresholds in [0, 1] are tried. Default: 200.
        class_id: only this class counts. Default: None.
        name: label. Default: from the class name.
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if `sensitivity` is outside [0, 1] or `num_thresholds` is not positive.

    Example:
        >>> metric = staghorn.metrics.SpecificityAtSensitivity(0.5)
        >>> round(float(metric([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])), 3)
        0.667
    """

    arguments: ClassVar = {**_Trade.arguments, "sensitivity": Interval(0, 1)}

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_thresholds, class_id, name, dtype)
        self.sensitivity = sensitivity

    def result(self) -> jax.Array:
        """Return the best specificity, or 0 where no threshold is good enough."""
        return _best_where(self._specificity(), self._sensitivity() >= self.sensitivity)


class PrecisionAtRecall(_Trade):
    """The best precision at a recall of at least the given one.

    (batch, ...), (batch, ...) -> ()

    Args:
        recall: the least recall that is accepted, in [0, 1].
        num_thresholds: how many thresholds in [0, 1] are tried. Default: 200.
        class_id: only this class counts. Default: None.
        name: label. Default: from the class name.
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if `recall` is outside [0, 1] or `num_thresholds` is not positive.

    Example:
        >>> metric = staghorn.metrics.PrecisionAtRecall(0.5)
        >>> round(float(metric([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])), 3)
        0.5
    """

    arguments: ClassVar = {**_Trade.arguments, "recall": Interval(0, 1)}

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_thresholds, class_id, name, dtype)
        self.recall = recall

    def result(self) -> jax.Array:
        """Return the best precision, or 0 where no threshold is good enough."""
        return _best_where(self._precision(), self._sensitivity() >= self.recall)


class RecallAtPrecision(_Trade):
    """The best recall at a precision of at least the given one.

    (batch, ...), (batch, ...) -> ()

    Args:
        precision: the least precision that is accepted, in [0, 1].
        num_thresholds: how many thresholds in [0, 1] are tried. Default: 200.
        class_id: only this class counts. Default: None.
        name: label. Default: from the class name.
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if `precision` is outside [0, 1] or `num_thresholds` is not positive.

    Example:
        >>> metric = staghorn.metrics.RecallAtPrecision(0.5)
        >>> round(float(metric([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])), 3)
        1.0
    """

    arguments: ClassVar = {**_Trade.arguments, "precision": Interval(0, 1)}

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_thresholds, class_id, name, dtype)
        self.precision = precision

    def result(self) -> jax.Array:
        """Return the best recall, or 0 where no threshold is good enough."""
        return _best_where(self._sensitivity(), self._precision() >= self.precision)
