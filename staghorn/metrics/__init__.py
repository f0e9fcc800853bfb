"""Metric classes and functions, under Keras's names."""

from typing import TYPE_CHECKING, Any

from staghorn.engine.naming import to_snake_case
from staghorn.engine.registry import Family, function_names, missing_names
from staghorn.losses.focal import binary_focal_crossentropy as binary_focal_crossentropy
from staghorn.losses.focal import categorical_focal_crossentropy as categorical_focal_crossentropy
from staghorn.losses.hinge import categorical_hinge as categorical_hinge
from staghorn.losses.hinge import squared_hinge as squared_hinge
from staghorn.losses.probabilistic import binary_crossentropy as binary_crossentropy
from staghorn.losses.probabilistic import categorical_crossentropy as categorical_crossentropy
from staghorn.losses.probabilistic import kl_divergence as kl_divergence
from staghorn.losses.probabilistic import poisson as poisson
from staghorn.losses.probabilistic import (
    sparse_categorical_crossentropy as sparse_categorical_crossentropy,
)
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
from staghorn.metrics.accuracy import Accuracy as Accuracy
from staghorn.metrics.accuracy import BinaryAccuracy as BinaryAccuracy
from staghorn.metrics.accuracy import CategoricalAccuracy as CategoricalAccuracy
from staghorn.metrics.accuracy import SparseCategoricalAccuracy as SparseCategoricalAccuracy
from staghorn.metrics.accuracy import SparseTopKCategoricalAccuracy as SparseTopKCategoricalAccuracy
from staghorn.metrics.accuracy import TopKCategoricalAccuracy as TopKCategoricalAccuracy
from staghorn.metrics.accuracy import binary_accuracy as binary_accuracy
from staghorn.metrics.accuracy import categorical_accuracy as categorical_accuracy
from staghorn.metrics.accuracy import sparse_categorical_accuracy as sparse_categorical_accuracy
from staghorn.metrics.accuracy import (
    sparse_top_k_categorical_accuracy as sparse_top_k_categorical_accuracy,
)
from staghorn.metrics.accuracy import top_k_categorical_accuracy as top_k_categorical_accuracy
from staghorn.metrics.auc import AUC as AUC
from staghorn.metrics.confusion import FalseNegatives as FalseNegatives
from staghorn.metrics.confusion import FalsePositives as FalsePositives
from staghorn.metrics.confusion import Precision as Precision
from staghorn.metrics.confusion import PrecisionAtRecall as PrecisionAtRecall
from staghorn.metrics.confusion import Recall as Recall
from staghorn.metrics.confusion import RecallAtPrecision as RecallAtPrecision
from staghorn.metrics.confusion import SensitivityAtSpecificity as SensitivityAtSpecificity
from staghorn.metrics.confusion import SpecificityAtSensitivity as SpecificityAtSensitivity
from staghorn.metrics.confusion import TrueNegatives as TrueNegatives
from staghorn.metrics.confusion import TruePositives as TruePositives
from staghorn.metrics.correlation import ConcordanceCorrelation as ConcordanceCorrelation
from staghorn.metrics.correlation import PearsonCorrelation as PearsonCorrelation
from staghorn.metrics.correlation import concordance_correlation as concordance_correlation
from staghorn.metrics.correlation import pearson_correlation as pearson_correlation
from staghorn.metrics.f_score import F1Score as F1Score
from staghorn.metrics.f_score import FBetaScore as FBetaScore
from staghorn.metrics.hinge import CategoricalHinge as CategoricalHinge
from staghorn.metrics.hinge import Hinge as Hinge
from staghorn.metrics.hinge import SquaredHinge as SquaredHinge

# From the file of its own name: importing that file would hide the function again.
from staghorn.metrics.hinge import hinge as hinge
from staghorn.metrics.iou import BinaryIoU as BinaryIoU
from staghorn.metrics.iou import IoU as IoU
from staghorn.metrics.iou import MeanIoU as MeanIoU
from staghorn.metrics.iou import OneHotIoU as OneHotIoU
from staghorn.metrics.iou import OneHotMeanIoU as OneHotMeanIoU
from staghorn.metrics.metric import Metric as Metric
from staghorn.metrics.probabilistic import BinaryCrossentropy as BinaryCrossentropy
from staghorn.metrics.probabilistic import CategoricalCrossentropy as CategoricalCrossentropy
from staghorn.metrics.probabilistic import KLDivergence as KLDivergence
from staghorn.metrics.probabilistic import Poisson as Poisson
from staghorn.metrics.probabilistic import (
    SparseCategoricalCrossentropy as SparseCategoricalCrossentropy,
)
from staghorn.metrics.reduction import Mean as Mean
from staghorn.metrics.reduction import MeanMetricWrapper as MeanMetricWrapper
from staghorn.metrics.reduction import Sum as Sum
from staghorn.metrics.regression import CosineSimilarity as CosineSimilarity
from staghorn.metrics.regression import LogCoshError as LogCoshError
from staghorn.metrics.regression import MeanAbsoluteError as MeanAbsoluteError
from staghorn.metrics.regression import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from staghorn.metrics.regression import MeanSquaredError as MeanSquaredError
from staghorn.metrics.regression import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
from staghorn.metrics.regression import R2Score as R2Score
from staghorn.metrics.regression import RootMeanSquaredError as RootMeanSquaredError

_CLASSES = (
    Metric,
    AUC,
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    BinaryIoU,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ConcordanceCorrelation,
    CosineSimilarity,
    F1Score,
    FBetaScore,
    FalseNegatives,
    FalsePositives,
    Hinge,
    IoU,
    KLDivergence,
    LogCoshError,
    Mean,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanIoU,
    MeanMetricWrapper,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    OneHotIoU,
    OneHotMeanIoU,
    PearsonCorrelation,
    Poisson,
    Precision,
    PrecisionAtRecall,
    R2Score,
    Recall,
    RecallAtPrecision,
    RootMeanSquaredError,
    SensitivityAtSpecificity,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    SpecificityAtSensitivity,
    SquaredHinge,
    Sum,
    TopKCategoricalAccuracy,
    TrueNegatives,
    TruePositives,
)

# Also under these names in keras.metrics. A string never means one of them: "mse" is a class.
_FUNCTIONS = (
    binary_accuracy,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_accuracy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    concordance_correlation,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    pearson_correlation,
    poisson,
    sparse_categorical_accuracy,
    sparse_categorical_crossentropy,
    sparse_top_k_categorical_accuracy,
    squared_hinge,
    top_k_categorical_accuracy,
)

_ALIASES = {
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
    "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "MAPE": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
    "MSLE": MeanSquaredLogarithmicError,
}

FAMILY = Family(
    "metric",
    "keras.metrics",
    {
        **function_names(_CLASSES),
        **{to_snake_case(metric.__name__): metric for metric in _CLASSES},
        **_ALIASES,
    },
)

__all__ = [
    *(thing.__name__ for thing in (*_CLASSES, *_FUNCTIONS)),
    "deserialize",
    "get",
    "serialize",
]


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
