"""Metrics between distributions: cross-entropies, divergence, Poisson."""

from typing import Any

from staghorn.losses.probabilistic import (
    binary_crossentropy,
    categorical_crossentropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from staghorn.metrics.reduction import MeanMetricWrapper

__all__ = [
    "BinaryCrossentropy", "CategoricalCrossentropy", "KLDivergence", "Poisson",
    "SparseCategoricalCrossentropy",
]  # fmt: skip


class KLDivergence(MeanMetricWrapper):
    """Mean Kullback-Leibler divergence of predictions from targets.

    (batch, ..., classes), (batch, ..., classes) -> ()

    Args:
        name: label. Default: "kl_divergence".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> metric = staghorn.metrics.KLDivergence()
        >>> round(float(metric(np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]]))), 3)
        0.144
    """

    _direction = "down"

    def __init__(self, name: str = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(kl_divergence, name=name, dtype=dtype)


class Poisson(MeanMetricWrapper):
    """Mean Poisson loss of rates for counts.

    (batch, ..., d), (batch, ..., d) -> ()

    Args:
        name: label. Default: "poisson".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> round(float(staghorn.metrics.Poisson()(np.array([[2.0]]), np.array([[1.0]]))), 3)
        1.0
    """

    _direction = "down"

    def __init__(self, name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(poisson, name=name, dtype=dtype)


class BinaryCrossentropy(MeanMetricWrapper):
    """Mean cross-entropy of independent yes/no labels.

    (batch, ..., d), (batch, ..., d) -> ()

    Args:
        name: label. Default: "binary_crossentropy".
        dtype: type of the computation. Default: `floatx()`.
        from_logits: whether predictions are logits instead of probabilities. Default: False.
        label_smoothing: how far labels are drawn towards the uniform ones. Default: 0.

    Example:
        >>> metric = staghorn.metrics.BinaryCrossentropy()
        >>> round(float(metric(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))), 3)
        0.693
    """

    _direction = "down"

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(
            binary_crossentropy,
            name=name,
            dtype=dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing


class CategoricalCrossentropy(MeanMetricWrapper):
    """Mean cross-entropy of one-hot labels.

    (batch, ..., classes), (batch, ..., classes) -> ()

    Args:
        name: label. Default: "categorical_crossentropy".
        dtype: type of the computation. Default: `floatx()`.
        from_logits: whether predictions are logits instead of probabilities. Default: False.
        label_smoothing: how far labels are drawn towards the uniform ones. Default: 0.
        axis: the axis of the classes. Default: -1.

    Example:
        >>> metric = staghorn.metrics.CategoricalCrossentropy()
        >>> round(float(metric(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))), 3)
        0.693
    """

    _direction = "down"

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            categorical_crossentropy,
            name=name,
            dtype=dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """Mean cross-entropy of integer labels.

    (batch, ...), (batch, ..., classes) -> ()

    Args:
        name: label. Default: "sparse_categorical_crossentropy".
        dtype: type of the computation. Default: `floatx()`.
        from_logits: whether predictions are logits instead of probabilities. Default: False.
        ignore_class: a label whose places give 0. Default: None.
        axis: the axis of the classes. Default: -1.

    Example:
        >>> metric = staghorn.metrics.SparseCategoricalCrossentropy()
        >>> round(float(metric(np.array([1]), np.array([[0.5, 0.5]]))), 3)
        0.693
    """

    _direction = "down"

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy,
            name=name,
            dtype=dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
