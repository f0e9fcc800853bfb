"""Loss functions and classes, under Keras's names."""

# ruff: noqa: F403, F405

from typing import TYPE_CHECKING, Any

from staghorn.engine.registry import Family, missing_names
from staghorn.losses.focal import *
from staghorn.losses.hinge import *
from staghorn.losses.loss import *
from staghorn.losses.metric_learning import *
from staghorn.losses.probabilistic import *
from staghorn.losses.regression import *
from staghorn.losses.segmentation import *
from staghorn.losses.sequence import *

_LOSSES = {  # what the files above make public
    name: loss
    for name, loss in globals().items()
    if getattr(loss, "__module__", "").startswith("staghorn.losses.")
}
_SHORT = {
    "bce": binary_crossentropy,
    "kld": kl_divergence,
    "mae": mean_absolute_error,
    "mape": mean_absolute_percentage_error,
    "mse": mean_squared_error,
    "msle": mean_squared_logarithmic_error,
}
_ALIASES = {name: loss for short, loss in _SHORT.items() for name in (short, short.upper())}
FAMILY = Family("loss", "keras.losses", _LOSSES | _ALIASES)

__all__ = [*_LOSSES, "deserialize", "get", "serialize"]


def get(identifier: Any) -> Any:
    """Return a loss function or object from a name, config, class, function or object.

    Args:
        identifier: None, "mse", "mean_squared_error", "MeanSquaredError", a config dict, ...

    Raises:
        ValueError: if nothing has that name; the message lists the names.

    Example:
        >>> staghorn.losses.get("mse") is staghorn.losses.mean_squared_error
        True
        >>> staghorn.losses.get("Huber").delta
        1.0
    """
    return FAMILY.get(identifier)


def serialize(loss: Any) -> Any:
    """Return the JSON form of a loss.

    Args:
        loss: a loss object or function.

    Example:
        >>> staghorn.losses.serialize(staghorn.losses.Huber())["class_name"]
        'Huber'
    """
    return FAMILY.serialize(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Build a loss from its JSON form or name.

    Args:
        name: what `serialize` returned.
        custom_objects: further names. Default: None.

    Example:
        >>> config = staghorn.losses.serialize(staghorn.losses.Huber(delta=2.0))
        >>> staghorn.losses.deserialize(config).delta
        2.0
    """
    return FAMILY.deserialize(name, custom_objects)


if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
