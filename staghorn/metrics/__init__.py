"""Metric classes and functions, under Keras's names."""

# ruff: noqa: F401, F403, F405

from typing import TYPE_CHECKING, Any

from staghorn.engine.naming import to_snake_case
from staghorn.engine.registry import Family, missing_names
from staghorn.losses.focal import binary_focal_crossentropy, categorical_focal_crossentropy
from staghorn.losses.hinge import categorical_hinge, squared_hinge
from staghorn.losses.probabilistic import (
    binary_crossentropy,
    categorical_crossentropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from staghorn.losses.regression import (
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from staghorn.metrics.accuracy import *
from staghorn.metrics.auc import *
from staghorn.metrics.confusion import *
from staghorn.metrics.correlation import *
from staghorn.metrics.f_score import *
from staghorn.metrics.hinge import *
from staghorn.metrics.iou import *
from staghorn.metrics.metric import *
from staghorn.metrics.probabilistic import *
from staghorn.metrics.reduction import *
from staghorn.metrics.regression import *

# What the files above make public. A string never means one of the functions: "mse" is a class.
_PUBLIC = {
    name: thing
    for name, thing in globals().items()
    if getattr(thing, "__module__", "").startswith(("staghorn.losses.", "staghorn.metrics."))
}
_CLASSES = {name: metric for name, metric in _PUBLIC.items() if isinstance(metric, type)}
_SHORT = {
    "bce": BinaryCrossentropy,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
}
_ALIASES = {
    **{to_snake_case(name): metric for name, metric in _CLASSES.items()},
    **{name: metric for short, metric in _SHORT.items() for name in (short, short.upper())},
}
FAMILY = Family("metric", "keras.metrics", _CLASSES | _ALIASES)

__all__ = [*_PUBLIC, "deserialize", "get", "serialize"]


def get(identifier: Any) -> Any:
    """Return a metric from a name, config, class, function or object.

    Args:
        identifier: None, "mse", "mean_squared_error", "MeanSquaredError", a config dict, ...

    Raises:
        ValueError: if nothing has that name; the message lists the names.

    Example:
        >>> staghorn.metrics.get("mse")
        <MeanSquaredError name=mean_squared_error>
    """
    return FAMILY.get(identifier)


def serialize(metric: Any) -> Any:
    """Return the JSON form of a metric.

    Args:
        metric: a metric object or function.

    Example:
        >>> staghorn.metrics.serialize(staghorn.metrics.AUC())["class_name"]
        'AUC'
    """
    return FAMILY.serialize(metric)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Build a metric from its JSON form or name.

    Args:
        config: what `serialize` returned.
        custom_objects: further names. Default: None.

    Example:
        >>> config = staghorn.metrics.serialize(staghorn.metrics.AUC(curve="PR"))
        >>> staghorn.metrics.deserialize(config).curve
        'PR'
    """
    return FAMILY.deserialize(config, custom_objects)


if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
