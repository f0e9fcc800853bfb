"""Loss functions and classes, under Keras's names."""

from typing import TYPE_CHECKING, Any

from staghorn.engine.registry import Family, function_names, missing_names
from staghorn.losses.focal import BinaryFocalCrossentropy as BinaryFocalCrossentropy
from staghorn.losses.focal import CategoricalFocalCrossentropy as CategoricalFocalCrossentropy
from staghorn.losses.focal import (
    CategoricalGeneralizedCrossEntropy as CategoricalGeneralizedCrossEntropy,
)
from staghorn.losses.focal import binary_focal_crossentropy as binary_focal_crossentropy
from staghorn.losses.focal import categorical_focal_crossentropy as categorical_focal_crossentropy
from staghorn.losses.focal import (
    categorical_generalized_cross_entropy as categorical_generalized_cross_entropy,
)
from staghorn.losses.hinge import CategoricalHinge as CategoricalHinge
from staghorn.losses.hinge import Hinge as Hinge
from staghorn.losses.hinge import SquaredHinge as SquaredHinge
from staghorn.losses.hinge import categorical_hinge as categorical_hinge
from staghorn.losses.hinge import hinge as hinge
from staghorn.losses.hinge import squared_hinge as squared_hinge
from staghorn.losses.loss import Loss as Loss
from staghorn.losses.loss import LossFunctionWrapper as LossFunctionWrapper
from staghorn.losses.metric_learning import Circle as Circle
from staghorn.losses.metric_learning import circle as circle
from staghorn.losses.probabilistic import BinaryCrossentropy as BinaryCrossentropy
from staghorn.losses.probabilistic import CategoricalCrossentropy as CategoricalCrossentropy
from staghorn.losses.probabilistic import KLDivergence as KLDivergence
from staghorn.losses.probabilistic import Poisson as Poisson
from staghorn.losses.probabilistic import (
    SparseCategoricalCrossentropy as SparseCategoricalCrossentropy,
)
from staghorn.losses.probabilistic import binary_crossentropy as binary_crossentropy
from staghorn.losses.probabilistic import categorical_crossentropy as categorical_crossentropy
from staghorn.losses.probabilistic import kl_divergence as kl_divergence
from staghorn.losses.probabilistic import poisson as poisson
from staghorn.losses.probabilistic import (
    sparse_categorical_crossentropy as sparse_categorical_crossentropy,
)
from staghorn.losses.regression import CosineSimilarity as CosineSimilarity
from staghorn.losses.regression import Huber as Huber
from staghorn.losses.regression import LogCosh as LogCosh
from staghorn.losses.regression import MeanAbsoluteError as MeanAbsoluteError
from staghorn.losses.regression import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from staghorn.losses.regression import MeanSquaredError as MeanSquaredError
from staghorn.losses.regression import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
from staghorn.losses.regression import cosine_similarity as cosine_similarity
from staghorn.losses.regression import huber as huber
from staghorn.losses.regression import log_cosh as log_cosh
from staghorn.losses.regression import mean_absolute_error as mean_absolute_error
from staghorn.losses.regression import (
    mean_absolute_percentage_error as mean_absolute_percentage_error,
)
from staghorn.losses.regression import mean_squared_error as mean_squared_error
from staghorn.losses.regression import (
    mean_squared_logarithmic_error as mean_squared_logarithmic_error,
)
from staghorn.losses.segmentation import Dice as Dice
from staghorn.losses.segmentation import Tversky as Tversky
from staghorn.losses.segmentation import dice as dice
from staghorn.losses.segmentation import tversky as tversky
from staghorn.losses.sequence import CTC as CTC
from staghorn.losses.sequence import ctc as ctc

_CLASSES = (
    Loss,
    LossFunctionWrapper,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CTC,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    CategoricalHinge,
    Circle,
    CosineSimilarity,
    Dice,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    Tversky,
)

_FUNCTIONS = (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    categorical_hinge,
    circle,
    cosine_similarity,
    ctc,
    dice,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
    tversky,
)

_ALIASES = {
    "bce": binary_crossentropy,
    "BCE": binary_crossentropy,
    "kld": kl_divergence,
    "KLD": kl_divergence,
    "mae": mean_absolute_error,
    "MAE": mean_absolute_error,
    "mape": mean_absolute_percentage_error,
    "MAPE": mean_absolute_percentage_error,
    "mse": mean_squared_error,
    "MSE": mean_squared_error,
    "msle": mean_squared_logarithmic_error,
    "MSLE": mean_squared_logarithmic_error,
}

FAMILY = Family(
    "loss",
    "keras.losses",
    {**function_names(_CLASSES), **function_names(_FUNCTIONS), **_ALIASES},
)

__all__ = [
    *(thing.__name__ for thing in (*_CLASSES, *_FUNCTIONS)),
    "deserialize",
    "get",
    "serialize",
]


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
