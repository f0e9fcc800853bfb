"""The table of hard cases: one row for every public layer, loss, metric, optimizer, callback.

A row says how to put its subject into a small model over 8 features. A class without a row fails
`test_every_public_class_has_a_row`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import staghorn
from staghorn import callbacks, layers, losses, metrics, optimizers

FEATURES = 8


@dataclass(frozen=True)
class Row:
    """One subject.

    Args:
        kind: layer, loss, metric, optimizer or callback.
        make: makes the subject, a new one at each call.
        before: for layers: shape that 8 features are brought into first.
        ids: for layers: whether they take integers.
        pair: for layers: whether they take a list of two tensors.
        target: kind of target: "real", "binary", "sparse", "onehot", "sequence".
        random: whether training draws random numbers, so that two runs differ.
        steps: whether the layer treats time steps alike, and so must carry masks.
    """

    kind: str
    make: Callable[[], Any]
    before: tuple | None = None
    ids: bool = False
    pair: bool = False
    target: str = "real"
    random: bool = False
    steps: bool = False
    options: dict = field(default_factory=dict)

    def apply(self, x: Any, layer: Any = None) -> Any:
        """Put the layer on a symbolic or real (batch, 8) tensor and return (batch, n)."""
        layer = self.make() if layer is None else layer
        if self.ids:
            x = staghorn.ops.cast(staghorn.ops.clip(x * 2 + 2, 0, 4), "int32")
        if self.before is not None:
            x = staghorn.ops.reshape(x, (-1, *self.before))
        x = layer([x, x * 0.5]) if self.pair else layer(x)
        width = int(np.prod(x.shape[1:]))
        return staghorn.ops.reshape(x, (-1, width)) if x.ndim != 2 else x


def _layer(make: Callable[[], Any], **kwargs: Any) -> Row:
    return Row("layer", make, **kwargs)


IMAGE = (2, 2, 2)
SEQUENCE = (4, 2)

LAYERS: dict[str, Row] = {
    "Activation": _layer(lambda: layers.Activation("tanh"), steps=True),
    "Add": _layer(layers.Add, pair=True),
    "Average": _layer(layers.Average, pair=True),
    "BatchNormalization": _layer(layers.BatchNormalization, steps=True),
    "Concatenate": _layer(layers.Concatenate, pair=True),
    "Dense": _layer(lambda: layers.Dense(5, kernel_regularizer="l2"), steps=True),
    "Dot": _layer(lambda: layers.Dot(axes=1), pair=True),
    "Dropout": _layer(lambda: layers.Dropout(0.3), random=True, steps=True),
    "ELU": _layer(layers.ELU, steps=True),
    "Embedding": _layer(lambda: layers.Embedding(5, 3), ids=True),
    "Flatten": _layer(layers.Flatten, before=SEQUENCE),
    "GaussianDropout": _layer(lambda: layers.GaussianDropout(0.3), random=True, steps=True),
    "GaussianNoise": _layer(lambda: layers.GaussianNoise(0.3), random=True, steps=True),
    "GroupNormalization": _layer(lambda: layers.GroupNormalization(2)),
    "Identity": _layer(layers.Identity, steps=True),
    "Lambda": _layer(lambda: layers.Lambda(staghorn.activations.softplus)),
    "LayerNormalization": _layer(layers.LayerNormalization, steps=True),
    "LeakyReLU": _layer(layers.LeakyReLU, steps=True),
    "Masking": _layer(layers.Masking, before=SEQUENCE),
    "Maximum": _layer(layers.Maximum, pair=True),
    "Minimum": _layer(layers.Minimum, pair=True),
    "Multiply": _layer(layers.Multiply, pair=True),
    "PReLU": _layer(layers.PReLU, steps=True),
    "Permute": _layer(lambda: layers.Permute((2, 1)), before=SEQUENCE),
    "RMSNormalization": _layer(layers.RMSNormalization),
    "ReLU": _layer(lambda: layers.ReLU(6.0), steps=True),
    "RepeatVector": _layer(lambda: layers.RepeatVector(2)),
    "Rescaling": _layer(lambda: layers.Rescaling(0.5, offset=1.0)),
    "Reshape": _layer(lambda: layers.Reshape((2, 4))),
    "Softmax": _layer(layers.Softmax),
    "SpatialDropout1D": _layer(
        lambda: layers.SpatialDropout1D(0.3), before=SEQUENCE, random=True, steps=True
    ),
    "SpatialDropout2D": _layer(lambda: layers.SpatialDropout2D(0.3), before=IMAGE, random=True),
    "SpatialDropout3D": _layer(
        lambda: layers.SpatialDropout3D(0.3), before=(2, 2, 1, 2), random=True
    ),
    "Subtract": _layer(layers.Subtract, pair=True),
    "UnitNormalization": _layer(layers.UnitNormalization, steps=True),
}

LOSS_TARGETS: dict[str, str] = {
    "BinaryCrossentropy": "binary",
    "BinaryFocalCrossentropy": "binary",
    "CTC": "sequence",
    "CategoricalCrossentropy": "onehot",
    "CategoricalFocalCrossentropy": "onehot",
    "CategoricalGeneralizedCrossEntropy": "sparse",
    "CategoricalHinge": "onehot",
    "Circle": "labels",
    "CosineSimilarity": "real",
    "Dice": "onehot",
    "Hinge": "binary",
    "Huber": "real",
    "KLDivergence": "onehot",
    "LogCosh": "real",
    "MeanAbsoluteError": "real",
    "MeanAbsolutePercentageError": "real",
    "MeanSquaredError": "real",
    "MeanSquaredLogarithmicError": "real",
    "Poisson": "binary",
    "SparseCategoricalCrossentropy": "sparse",
    "SquaredHinge": "binary",
    "Tversky": "onehot",
}
LOSSES = {
    name: Row("loss", getattr(losses, name), target=target)
    for name, target in LOSS_TARGETS.items()
}

METRIC_TARGETS: dict[str, tuple[str, dict]] = {
    "AUC": ("binary", {}),
    "Accuracy": ("real", {}),
    "BinaryAccuracy": ("binary", {}),
    "BinaryCrossentropy": ("binary", {}),
    "BinaryIoU": ("binary", {}),
    "CategoricalAccuracy": ("onehot", {}),
    "CategoricalCrossentropy": ("onehot", {}),
    "CategoricalHinge": ("onehot", {}),
    "ConcordanceCorrelation": ("real", {}),
    "CosineSimilarity": ("real", {}),
    "F1Score": ("onehot", {}),
    "FBetaScore": ("onehot", {}),
    "FalseNegatives": ("binary", {}),
    "FalsePositives": ("binary", {}),
    "Hinge": ("binary", {}),
    "IoU": ("binary", {"num_classes": 2, "target_class_ids": [0]}),
    "KLDivergence": ("onehot", {}),
    "LogCoshError": ("real", {}),
    "MeanAbsoluteError": ("real", {}),
    "MeanAbsolutePercentageError": ("real", {}),
    "MeanIoU": ("binary", {"num_classes": 2}),
    "MeanSquaredError": ("real", {}),
    "MeanSquaredLogarithmicError": ("real", {}),
    "OneHotIoU": ("onehot", {"num_classes": 3, "target_class_ids": [0, 2]}),
    "OneHotMeanIoU": ("onehot", {"num_classes": 3}),
    "PearsonCorrelation": ("real", {}),
    "Poisson": ("binary", {}),
    "Precision": ("binary", {}),
    "PrecisionAtRecall": ("binary", {"recall": 0.5}),
    "R2Score": ("real", {}),
    "Recall": ("binary", {}),
    "RecallAtPrecision": ("binary", {"precision": 0.5}),
    "RootMeanSquaredError": ("real", {}),
    "SensitivityAtSpecificity": ("binary", {"specificity": 0.5}),
    "SparseCategoricalAccuracy": ("sparse", {}),
    "SparseCategoricalCrossentropy": ("sparse", {}),
    "SparseTopKCategoricalAccuracy": ("sparse", {"k": 2}),
    "SpecificityAtSensitivity": ("binary", {"sensitivity": 0.5}),
    "SquaredHinge": ("binary", {}),
    "TopKCategoricalAccuracy": ("onehot", {"k": 2}),
    "TrueNegatives": ("binary", {}),
    "TruePositives": ("binary", {}),
}
METRICS = {
    name: Row(
        "metric",
        lambda name=name, options=options: getattr(metrics, name)(**options),
        target=target,
    )
    for name, (target, options) in METRIC_TARGETS.items()
}

OPTIMIZER_OPTIONS: dict[str, dict] = {
    "SGD": {"momentum": 0.9, "nesterov": True},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "Adam": {"amsgrad": True, "global_clipnorm": 1.0},
    "AdamW": {},
    "Adadelta": {},
    "Adafactor": {},
    "Adagrad": {},
    "Adamax": {},
    "Ftrl": {},
    "Lamb": {},
    "Lion": {},
    "Muon": {},
    "Nadam": {},
    "ScheduleFreeAdamW": {},
}
OPTIMIZERS = {
    name: Row(
        "optimizer",
        lambda name=name, options=options: getattr(optimizers, name)(
            learning_rate=0.01, **options
        ),
    )
    for name, options in OPTIMIZER_OPTIONS.items()
}
OPTIMIZERS["LossScaleOptimizer"] = Row(
    "optimizer", lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.01))
)

CALLBACKS = {
    "EarlyStopping": Row(
        "callback",
        lambda: callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True),
    ),
    "LambdaCallback": Row(
        "callback", lambda: callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)
    ),
    "LearningRateScheduler": Row(
        "callback", lambda: callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    ),
    "ReduceLROnPlateau": Row(
        "callback", lambda: callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=10.0)
    ),
    "TerminateOnNaN": Row("callback", callbacks.TerminateOnNaN),
    "History": Row("callback", callbacks.History),
    "ProgbarLogger": Row("callback", callbacks.ProgbarLogger),
}

ROWS: dict[str, Row] = {
    f"{row.kind}:{name}": row
    for table in (LAYERS, LOSSES, METRICS, OPTIMIZERS, CALLBACKS)
    for name, row in table.items()
}

# Bases, symbols and things that are no subject of their own, or need a file (tested elsewhere).
WITHOUT_A_ROW = {
    "layers": {"Input", "InputLayer", "InputSpec", "Layer"},
    "losses": {"Loss", "LossFunctionWrapper"},
    "metrics": {"Metric", "Mean", "Sum", "MeanMetricWrapper"},
    "optimizers": {"Optimizer"},
    "callbacks": {"Callback", "CallbackList", "CSVLogger", "ModelCheckpoint", "Monitor"},
}


def targets(kind: str, rows: int, seed: int = 0) -> np.ndarray:
    """Return targets of a kind; `width` says how many outputs they need."""
    rng = np.random.default_rng(seed)
    if kind == "real":
        return rng.normal(size=(rows, 2)).astype("float32") + 2.0
    if kind == "binary":
        return rng.integers(0, 2, (rows, 1)).astype("float32")
    if kind == "onehot":
        return np.eye(3, dtype="float32")[rng.integers(0, 3, rows)]
    if kind == "sequence":
        return rng.integers(1, 3, (rows, 2))
    return rng.integers(0, 3, rows)


# output head for each kind of target: (units, activation)
HEADS = {
    "real": (2, None),
    "binary": (1, "sigmoid"),
    "onehot": (3, "softmax"),
    "sparse": (3, "softmax"),
    "labels": (3, None),
    "sequence": (12, None),
}


def head(kind: str, x: Any, name: str | None = None) -> Any:
    """Return the output for a kind of target."""
    units, activation = HEADS[kind]
    after = {"sequence": lambda: layers.Reshape((4, 3), name=name)}
    after["labels"] = lambda: layers.UnitNormalization(name=name)  # Circle compares directions
    out = layers.Dense(units, activation=activation, name=None if kind in after else name)(x)
    return after[kind]()(out) if kind in after else out
