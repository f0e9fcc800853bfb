"""Optimizers: from gradients to new weights. Names, arguments and numbers are Keras 3's.

The rule of each lives in the file of its family, everything around the rule in `optimizer.py`,
learning rates that change in `schedules.py`.
"""

from typing import TYPE_CHECKING, Any

from staghorn.engine.registry import Family, missing_names
from staghorn.optimizers import schedules as schedules
from staghorn.optimizers.adafactor import Adafactor as Adafactor
from staghorn.optimizers.adagrad import Adadelta as Adadelta
from staghorn.optimizers.adagrad import Adagrad as Adagrad
from staghorn.optimizers.adam import Adam as Adam
from staghorn.optimizers.adam import Adamax as Adamax
from staghorn.optimizers.adam import AdamW as AdamW
from staghorn.optimizers.adam import Lamb as Lamb
from staghorn.optimizers.adam import Nadam as Nadam
from staghorn.optimizers.ftrl import Ftrl as Ftrl
from staghorn.optimizers.lion import Lion as Lion
from staghorn.optimizers.loss_scale import LossScaleOptimizer as LossScaleOptimizer
from staghorn.optimizers.multi_optimizer import MultiOptimizer as MultiOptimizer
from staghorn.optimizers.multi_optimizer import OptimizerMap as OptimizerMap
from staghorn.optimizers.muon import Muon as Muon
from staghorn.optimizers.optax_optimizer import OptaxOptimizer as OptaxOptimizer
from staghorn.optimizers.optax_optimizer import is_transformation
from staghorn.optimizers.optimizer import Optimizer as Optimizer
from staghorn.optimizers.rmsprop import RMSprop as RMSprop
from staghorn.optimizers.schedule_free import ScheduleFreeAdamW as ScheduleFreeAdamW
from staghorn.optimizers.sgd import SGD as SGD

_CLASSES = (
    SGD, RMSprop, Adam, AdamW, Adamax, Nadam, Lamb, Adagrad, Adadelta, Adafactor, Lion, Ftrl,
    Muon, ScheduleFreeAdamW, LossScaleOptimizer, MultiOptimizer, OptimizerMap,
)  # fmt: skip

FAMILY = Family(
    "optimizer", "keras.optimizers", {optimizer.__name__: optimizer for optimizer in _CLASSES}
)

__all__ = [
    "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion",
    "LossScaleOptimizer", "MultiOptimizer", "Muon", "Nadam", "OptaxOptimizer", "Optimizer",
    "OptimizerMap", "RMSprop", "ScheduleFreeAdamW", "deserialize", "get", "schedules", "serialize",
]  # fmt: skip

_SPELLINGS = {name.lower(): name for name in FAMILY.objects}


def _spelled(name: Any) -> Any:
    """Return the public spelling of a built-in name; Keras ignores its case."""
    return _SPELLINGS.get(name.lower(), name) if isinstance(name, str) else name


def get(identifier: Any) -> Optimizer | None:
    """Return an optimizer from a name, config, class or object.

    Args:
        identifier: None, string (case does not matter), config dict, class, `Optimizer`, or a
            gradient transformation of optax.

    Raises:
        ValueError: if nothing answers to it.

    Example:
        >>> type(staghorn.optimizers.get("adam")).__name__
        'Adam'
    """
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if is_transformation(identifier):
        return OptaxOptimizer(identifier)
    found = FAMILY.get(_spelled(identifier))
    if found is not None and not isinstance(found, Optimizer):
        raise ValueError(
            "An optimizer is given by name, config, class or object, such as 'adam' or "
            f"Adam(learning_rate=0.001); got {identifier!r} ({type(identifier).__name__})."
        )
    return found


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return the JSON form of an optimizer.

    Args:
        optimizer: an `Optimizer`.

    Example:
        >>> staghorn.optimizers.serialize(staghorn.optimizers.SGD(0.5))["config"]["learning_rate"]
        0.5
    """
    return FAMILY.serialize(optimizer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
    """Build an optimizer from its JSON form.

    Args:
        config: what `serialize` returned.
        custom_objects: class name -> class, for your own optimizers. Default: None.

    Example:
        >>> json_form = staghorn.optimizers.serialize(staghorn.optimizers.SGD(0.5))
        >>> float(staghorn.optimizers.deserialize(json_form).learning_rate)
        0.5
    """
    return FAMILY.deserialize(
        {**config, "class_name": _spelled(config["class_name"])}, custom_objects
    )


if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
