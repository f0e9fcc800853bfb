"""Intersection over union, for segmentation."""

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config
from staghorn.engine.arguments import Each, Is, NonNegative, Positive
from staghorn.metrics.metric import Metric

__all__ = ["BinaryIoU", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU"]


def confusion_matrix(
    labels: jax.Array, predictions: jax.Array, weights: jax.Array, num_classes: int
) -> jax.Array:
    """Add up the weights of each (label, prediction) pair; pairs out of range are dropped.

    (n,), (n,), (n,) -> (num_classes, num_classes)

    Args:
        labels: integers.
        predictions: integers.
        weights: one per pair; their type is that of the result.
        num_classes: number of classes.

    Example:
        >>> matrix = staghorn.metrics.iou.confusion_matrix
        >>> print(matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), np.ones(3, "int32"), 2))
        [[1 0]
         [1 1]]
    """
    inside = jnp.ones(labels.shape, bool)
    for values in (labels, predictions):
        inside = jnp.logical_and(inside, jnp.logical_and(values >= 0, values < num_classes))
    place = jnp.where(inside, labels * num_classes + predictions, -1)
    sums = jax.ops.segment_sum(weights, place, num_segments=num_classes**2)
    return sums.reshape((num_classes, num_classes))


class _IoU(Metric):
    """Keeps the confusion matrix and reads IoUs off it."""

    _direction = "up"
    arguments: ClassVar = {
        "num_classes": Positive(int),
        "target_class_ids": Each(NonNegative(int)),
        "ignore_class": Is(int, optional=True),
        "sparse_y_true": Is(bool),
        "sparse_y_pred": Is(bool),
    }

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None,
        dtype: Any,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name=name, dtype=dtype or "int32")
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        if max(self.target_class_ids) >= num_classes:
            raise ValueError(
                f"{type(self).__name__}: target_class_ids must be below num_classes={num_classes}, "
                f"got {self.target_class_ids}."
            )
        self.total_cm = self.add_variable(
            (num_classes, num_classes), dtype=self.dtype, name="total_confusion_matrix"
        )

    def _classes(self, values: Any, sparse: bool) -> jax.Array:
        values = jnp.asarray(values)
        values = values if sparse else jnp.argmax(values, axis=self.axis)
        return values.astype("int32").reshape(-1)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch."""
        labels = self._classes(y_true, self.sparse_y_true)
        predictions = self._classes(y_pred, self.sparse_y_pred)
        if sample_weight is None:
            weights = jnp.ones((), self.dtype)
        else:
            weights = jnp.asarray(sample_weight)
            if jnp.issubdtype(weights.dtype, jnp.floating) and "int" in self.dtype:
                warnings.warn(
                    f"{type(self).__name__}: sample_weight of type {weights.dtype} is cut down to "
                    f'{self.dtype}. Give the metric dtype="float32" to keep fractions.',
                    stacklevel=2,
                )
            weights = weights.astype(self.dtype)
        if weights.ndim:
            weights = weights.reshape(-1)
        weights = jnp.broadcast_to(weights, labels.shape)
        if self.ignore_class is not None:
            labels = jnp.where(labels == self.ignore_class, -1, labels)
        matrix = confusion_matrix(labels, predictions, weights, self.num_classes)
        self.total_cm.assign_add(matrix)

    def result(self) -> jax.Array:
        """Return the mean IoU of the target classes that occur."""
        matrix = self.total_cm.value
        both = jnp.diagonal(matrix)
        either = jnp.sum(matrix, axis=0) + jnp.sum(matrix, axis=1) - both
        ids = np.array(self.target_class_ids)
        both, either = both[ids].astype("float32"), either[ids].astype("float32")
        occurs = either > 1e-9
        ious = jnp.where(occurs, both / (either + config.epsilon()), jnp.zeros_like(either))
        return jnp.sum(ious) / (jnp.sum(occurs.astype("float32")) + config.epsilon())


class IoU(_IoU):
    """Mean intersection over union of some classes: tp / (tp + fp + fn).

    (batch, ...), (batch, ...) -> ()

    Args:
        num_classes: number of classes.
        target_class_ids: the classes whose IoU counts.
        name: label. Default: from the class name.
        dtype: type of the confusion matrix. Default: "int32".
        ignore_class: a label whose places do not count. Default: None.
        sparse_y_true: whether labels are integers, not one-hot. Default: True.
        sparse_y_pred: whether predictions are integers, not probabilities. Default: True.
        axis: the axis of the classes. Default: -1.

    Example:
        >>> metric = staghorn.metrics.IoU(num_classes=2, target_class_ids=[0])
        >>> round(float(metric([0, 0, 1, 1], [0, 1, 0, 1])), 3)
        0.333
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes,
            target_class_ids,
            name,
            dtype,
            ignore_class,
            sparse_y_true,
            sparse_y_pred,
            axis,
        )


class BinaryIoU(_IoU):
    """Mean intersection over union of thresholded predictions.

    (batch, ...), (batch, ...) -> ()

    Args:
        target_class_ids: the classes whose IoU counts. Default: (0, 1).
        threshold: a prediction from it on is class 1. Default: 0.5.
        name: label. Default: from the class name.
        dtype: type of the confusion matrix. Default: "int32".

    Example:
        >>> metric = staghorn.metrics.BinaryIoU(threshold=0.3)
        >>> round(float(metric([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])), 3)
        0.333
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch."""
        classes = jnp.asarray(y_pred).astype("float32") >= self.threshold
        super().update_state(y_true, classes, sample_weight)


class MeanIoU(_IoU):
    """Mean intersection over union of all classes.

    (batch, ...), (batch, ...) -> ()

    Args:
        num_classes: number of classes.
        name: label. Default: from the class name.
        dtype: type of the confusion matrix. Default: "int32".
        ignore_class: a label whose places do not count. Default: None.
        sparse_y_true: whether labels are integers, not one-hot. Default: True.
        sparse_y_pred: whether predictions are integers, not probabilities. Default: True.
        axis: the axis of the classes. Default: -1.

    Example:
        >>> metric = staghorn.metrics.MeanIoU(num_classes=2)
        >>> round(float(metric([0, 0, 1, 1], [0, 1, 0, 1])), 3)
        0.333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes,
            range(num_classes),
            name,
            dtype,
            ignore_class,
            sparse_y_true,
            sparse_y_pred,
            axis,
        )


class OneHotIoU(_IoU):
    """Mean intersection over union of some classes, for one-hot labels.

    (batch, ..., classes), (batch, ..., classes) -> ()

    Args:
        num_classes: number of classes.
        target_class_ids: the classes whose IoU counts.
        name: label. Default: from the class name.
        dtype: type of the confusion matrix. Default: "int32".
        ignore_class: a label whose places do not count. Default: None.
        sparse_y_pred: whether predictions are integers, not probabilities. Default: False.
        axis: the axis of the classes. Default: -1.

    Example:
        >>> y_true = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
        >>> y_pred = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
        >>> metric = staghorn.metrics.OneHotIoU(num_classes=2, target_class_ids=[0])
        >>> round(float(metric(y_true, y_pred)), 3)
        0.333
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes,
            target_class_ids,
            name,
            dtype,
            ignore_class,
            False,
            sparse_y_pred,
            axis,
        )


class OneHotMeanIoU(_IoU):
    """Mean intersection over union of all classes, for one-hot labels.

    (batch, ..., classes), (batch, ..., classes) -> ()

    Args:
        num_classes: number of classes.
        name: label. Default: from the class name.
        dtype: type of the confusion matrix. Default: "int32".
        ignore_class: a label whose places do not count. Default: None.
        sparse_y_pred: whether predictions are integers, not probabilities. Default: False.
        axis: the axis of the classes. Default: -1.

    Example:
        >>> y_true = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
        >>> y_pred = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
        >>> metric = staghorn.metrics.OneHotMeanIoU(num_classes=2)
        >>> round(float(metric(y_true, y_pred)), 3)
        0.333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes,
            range(num_classes),
            name,
            dtype,
            ignore_class,
            False,
            sparse_y_pred,
            axis,
        )
