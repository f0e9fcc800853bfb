"""Margin metrics: hinge, squared hinge, categorical hinge."""

from typing import Any

from staghorn.losses.hinge import categorical_hinge, hinge, squared_hinge
from staghorn.metrics.reduction import MeanMetricWrapper

__all__ = ["CategoricalHinge", "Hinge", "SquaredHinge", "hinge"]


class Hinge(MeanMetricWrapper):
    """Mean of the hinge loss for labels -1 and 1 (or 0 and 1).

    (batch, ..., d), (batch, ..., d) -> ()

    Args:
        name: label. Default: "hinge".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> print(staghorn.metrics.Hinge()(np.array([[1.0, -1.0]]), np.array([[0.5, 0.5]])))
        1.0
    """

    _direction = "down"

    def __init__(self, name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(hinge, name=name, dtype=dtype)


class SquaredHinge(MeanMetricWrapper):
    """Mean of the squared hinge loss for labels -1 and 1 (or 0 and 1).

    (batch, ..., d), (batch, ..., d) -> ()

    Args:
        name: label. Default: "squared_hinge".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> print(staghorn.metrics.SquaredHinge()(np.array([[1.0, -1.0]]), np.array([[0.5, 0.5]])))
        1.25
    """

    _direction = "down"

    def __init__(self, name: str = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(squared_hinge, name=name, dtype=dtype)


class CategoricalHinge(MeanMetricWrapper):
    """Mean of the multi-class hinge loss.

    (batch, ..., classes), (batch, ..., classes) -> ()

    Args:
        name: label. Default: "categorical_hinge".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> metric = staghorn.metrics.CategoricalHinge()
        >>> print(metric(np.array([[0, 1]]), np.array([[0.25, 0.75]])))
        0.5
    """

    _direction = "down"

    def __init__(self, name: str = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(categorical_hinge, name=name, dtype=dtype)
