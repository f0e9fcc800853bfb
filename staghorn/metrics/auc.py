"""AUC: the area under the ROC, precision-recall or precision-recall-gain curve."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config
from staghorn.engine.arguments import Each, Is, Options, Positive
from staghorn.engine.variable import Variable
from staghorn.losses.loss import divide_no_nan
from staghorn.metrics.confusion_counts import (
    Counts,
    counts_by_comparison,
    counts_in_buckets,
    evenly_spaced,
    prepared,
)
from staghorn.metrics.metric import Metric

__all__ = ["AUC"]

CURVES = ("ROC", "PR", "PRGAIN")
SUMMATIONS = ("interpolation", "majoring", "minoring")


def curve_points(counts: Counts, curve: str) -> tuple[jax.Array, jax.Array]:
    """Return the abscissas and ordinates of a curve, one point per threshold.

    (thresholds, ...) -> (thresholds, ...), (thresholds, ...)

    Args:
        counts: true and false positives and negatives.
        curve: "ROC" (false positive rate, recall), "PR" (recall, precision) or "PRGAIN".
    """
    tp, fp, tn, fn = counts
    recall = divide_no_nan(tp, tp + fn)
    if curve == "ROC":
        return divide_no_nan(fp, fp + tn), recall
    if curve == "PR":
        return recall, divide_no_nan(tp, tp + fp)
    # Flach & Kull (2015): gain = 1 - positives / negatives * errors / true positives.
    odds = divide_no_nan(tp + fn, tn + fp)
    none = tp == 0
    recall_gain = jnp.where(none, jnp.zeros_like(tp), 1.0 - odds * divide_no_nan(fn, tp))
    precision_gain = jnp.where(none, jnp.ones_like(tp), 1.0 - odds * divide_no_nan(fp, tp))
    return jnp.maximum(recall_gain, 0.0), precision_gain


def riemann_area(x: jax.Array, y: jax.Array, summation_method: str) -> jax.Array:
    """Sum the strips under a curve given from right to left.

    (thresholds, ...) -> (...)

    Args:
        x: abscissas.
        y: ordinates.
        summation_method: the strip's height is the mean of its sides ("interpolation"), the
            higher one ("majoring") or the lower one ("minoring").
    """
    left, right = y[1:], y[:-1]
    if summation_method == "interpolation":
        heights = (left + right) / 2.0
    elif summation_method == "minoring":
        heights = jnp.minimum(left, right)
    else:
        heights = jnp.maximum(left, right)
    return jnp.sum((x[:-1] - x[1:]) * heights, axis=0)


def interpolated_pr_area(counts: Counts) -> jax.Array:
    """Area under the precision-recall curve with the counts, not the precision, interpolated.

    (thresholds, ...) -> (...)

    Between two thresholds, true positives grow in proportion to positives p:  tp = a + s p, so
    the precision a / p + s integrates to  s (dtp + a log(p0 / p1)) / (tp + fn).
    Davis & Goadrich (2006), https://doi.org/10.1145/1143844.1143874
    """
    tp, fp, _, fn = counts
    positives = tp + fp
    before, after = positives[:-1], positives[1:]
    gained = tp[:-1] - tp[1:]
    slope = divide_no_nan(gained, jnp.maximum(before - after, 0.0))
    intercept = tp[1:] - slope * after
    both = jnp.logical_and(before > 0, after > 0)
    ratio = jnp.where(both, divide_no_nan(before, jnp.maximum(after, 0.0)), jnp.ones_like(after))
    labels = jnp.maximum(tp[1:] + fn[1:], 0.0)
    strips = divide_no_nan(slope * (gained + intercept * jnp.log(ratio)), labels)
    return jnp.sum(strips, axis=0)


class AUC(Metric):
    """Area under a curve over all decision thresholds, by a Riemann sum at some of them.

    (batch, ...), (batch, ...) -> ()

    Args:
        num_thresholds: how many thresholds in [0, 1], more than 1. Default: 200.
        curve: "ROC", "PR" or "PRGAIN". Default: "ROC".
        summation_method: "interpolation", "majoring" or "minoring". Default: "interpolation".
        name: label. Default: from the class name.
        dtype: type of the computation. Default: `floatx()`.
        thresholds: thresholds in [0, 1] instead of evenly spaced ones; one below 0 and one above
            1 are added. Default: None.
        multi_label: whether each place of the last axis gets its own area, of which the mean is
            taken. Default: False.
        num_labels: number of labels, to create the state at once. Default: None.
        label_weights: weights of the labels. Default: None.
        from_logits: whether predictions are logits. Default: False.

    Raises:
        ValueError: if an argument is out of range or `num_labels` comes without `multi_label`.

    Example:
        >>> metric = staghorn.metrics.AUC(num_thresholds=3)
        >>> print(metric([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]))
        0.75

    Notes: a batch costs one pass over its samples, whatever the number of thresholds, as long as
    they are evenly spaced.
    """

    _direction = "up"
    true_positives: Variable
    arguments: ClassVar = {
        "num_thresholds": Positive(int),
        "multi_label": Is(bool),
        "num_labels": Positive(int, optional=True),
        "label_weights": Each(Is(float), optional=True),
        "thresholds": Each(Is(float), optional=True),
        "curve": Options(*CURVES),
        "summation_method": Options(*SUMMATIONS),
    }

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = None if thresholds is None else sorted(map(float, thresholds))
        inner = _inner_thresholds(num_thresholds, self.init_thresholds)
        self.num_thresholds = len(inner) + 2
        self._evenly_spaced = self.init_thresholds is None or evenly_spaced([0.0, *inner, 1.0])
        # The ends lie outside, so that scores of exactly 0 and 1 fall on the right sides.
        self._thresholds = np.array([-config.epsilon(), *inner, 1.0 + config.epsilon()])
        # Keras also takes "roc" and "Interpolation".
        self.curve = curve.upper() if curve == curve.lower() else curve
        self.summation_method = summation_method.lower()
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = label_weights
        if label_weights is not None:
            self.label_weights = np.asarray(label_weights, self.dtype)
        self.from_logits = from_logits
        self.built = False
        if num_labels and not multi_label:
            raise ValueError(f"AUC: num_labels={num_labels!r} needs multi_label=True.")
        if num_labels or not multi_label:
            self.build(None, (None, num_labels))

    @property
    def thresholds(self) -> list[float]:
        """All thresholds, with the one below 0 and the one above 1."""
        return self._thresholds.tolist()

    def build(self, y_true_shape: Any, y_pred_shape: Any) -> None:
        """Create the counts, one row per label with `multi_label`."""
        if self.built:
            return
        shape: tuple[int, ...] = (self.num_thresholds,)
        if self.multi_label:
            if len(y_pred_shape) != 2:
                raise ValueError(
                    "AUC: with multi_label=True predictions must have shape (batch, labels), got "
                    f"{tuple(y_pred_shape)}."
                )
            shape = (self.num_thresholds, y_pred_shape[1])
        for count in Counts._fields:
            setattr(self, count, self.add_variable(shape, name=count))
        self.built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch."""
        y_pred = jnp.asarray(y_pred)
        self.build(np.shape(y_true), y_pred.shape)
        if self.from_logits:
            y_pred = jax.nn.sigmoid(y_pred)
        dtype = self.true_positives.dtype
        y_true, y_pred, weights = prepared(y_true, y_pred, sample_weight, dtype)
        if not self.multi_label:
            if self.label_weights is not None:
                weights = weights * jnp.broadcast_to(self.label_weights, weights.shape)
            y_true, y_pred, weights = (x.reshape(-1) for x in (y_true, y_pred, weights))
        count = counts_in_buckets if self._evenly_spaced else counts_by_comparison
        counts = count(y_true, y_pred, weights, self._thresholds)
        for name in Counts._fields:
            getattr(self, name).assign_add(getattr(counts, name))

    def result(self) -> jax.Array:
        """Return the area; with `multi_label`, the (weighted) mean over the labels."""
        counts = Counts(*(getattr(self, name).value for name in Counts._fields))
        if self.curve == "PR" and self.summation_method == "interpolation":
            area = interpolated_pr_area(counts)
        else:
            area = riemann_area(*curve_points(counts, self.curve), self.summation_method)
        if not self.multi_label:
            return area
        if self.label_weights is None:
            return jnp.mean(area)
        weights = jnp.asarray(self.label_weights)
        return divide_no_nan(jnp.sum(area * weights), jnp.sum(weights))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; `thresholds` only where they were given, as Keras."""
        derived = super().get_config()
        derived["thresholds"] = self.init_thresholds
        if self.init_thresholds is None:
            del derived["thresholds"]
        return derived


def _inner_thresholds(num_thresholds: int, thresholds: list[float] | None) -> list[float]:
    if thresholds is not None:
        return thresholds
    if not isinstance(num_thresholds, int) or num_thresholds <= 1:
        raise ValueError(
            f"AUC: num_thresholds must be an int above 1, got {num_thresholds!r} "
            f"({type(num_thresholds).__name__})."
        )
    return [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
