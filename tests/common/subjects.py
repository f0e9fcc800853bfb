"""The table of hard cases: one row for every public layer, loss, metric, optimizer, callback.

A row says how to put its subject into a small model over 8 features. A class without a row fails
`test_every_public_class_has_a_row`.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import optax

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
        twice: for layers: whether they are called with two tensors.
        target: kind of target: "real", "binary", "sparse", "onehot", "sequence".
        random: whether training draws random numbers, so that two runs differ.
        augments: whether the layer changes its input unless `training=False` is passed.
        steps: whether the layer treats time steps alike, and so must carry masks.
        supplied: what a file cannot hold and is handed to `load_model`.
    """

    kind: str
    make: Callable[[], Any]
    before: tuple | None = None
    ids: bool = False
    pair: bool = False
    twice: bool = False
    target: str = "real"
    random: bool = False
    augments: bool = False
    steps: bool = False
    options: dict = field(default_factory=dict)
    supplied: dict = field(default_factory=dict)

    def apply(self, x: Any, layer: Any = None) -> Any:
        """Put the layer on a symbolic or real (batch, 8) tensor and return (batch, n)."""
        layer = self.make() if layer is None else layer
        if self.ids:
            x = staghorn.ops.cast(staghorn.ops.clip(x * 2 + 2, 0, 4), "int32")
        if self.before is not None:
            x = staghorn.ops.reshape(x, (-1, *self.before))
        inputs = [x, x] if self.twice else [[x, x * 0.5]] if self.pair else [x]
        x = layer(*inputs)
        width = int(np.prod(x.shape[1:]))
        return staghorn.ops.reshape(x, (-1, width)) if x.ndim != 2 else x


def _layer(make: Callable[[], Any], **kwargs: Any) -> Row:
    return Row("layer", make, **kwargs)


IMAGE = (2, 2, 2)
SEQUENCE = (4, 2)


def _coloured(make: Callable[[], Any]) -> Row:
    """A random layer that takes images with 3 channels, in [0, 1]."""

    def made() -> Any:
        return layers.Pipeline([layers.Conv2D(3, 1, activation="sigmoid"), make()])

    return _layer(made, before=IMAGE, random=True, augments=True)


@staghorn.saving.register_keras_serializable()
def scaled(params, inputs):
    """Multiply by parameters, as a function of JAX."""
    return inputs * params["scale"][None]


@staghorn.saving.register_keras_serializable()
def scale_of(rng, inputs):
    """The parameters of `scaled` for inputs of a shape."""
    return {"scale": jax.random.uniform(rng, inputs.shape[1:])}


LAYERS: dict[str, Row] = {
    "Activation": _layer(lambda: layers.Activation("tanh"), steps=True),
    "ActivityRegularization": _layer(lambda: layers.ActivityRegularization(0.01, 0.1), steps=True),
    "AdaptiveAveragePooling1D": _layer(lambda: layers.AdaptiveAveragePooling1D(3), before=SEQUENCE),
    "AdaptiveAveragePooling2D": _layer(
        lambda: layers.AdaptiveAveragePooling2D((2, 1)), before=IMAGE
    ),
    "AdaptiveAveragePooling3D": _layer(
        lambda: layers.AdaptiveAveragePooling3D((1, 2, 1)), before=(2, 2, 1, 2)
    ),
    "AdaptiveMaxPooling1D": _layer(lambda: layers.AdaptiveMaxPooling1D(3), before=SEQUENCE),
    "AdaptiveMaxPooling2D": _layer(lambda: layers.AdaptiveMaxPooling2D((2, 1)), before=IMAGE),
    "AdaptiveMaxPooling3D": _layer(
        lambda: layers.AdaptiveMaxPooling3D((1, 2, 1)), before=(2, 2, 1, 2)
    ),
    "Add": _layer(layers.Add, pair=True),
    "AdditiveAttention": _layer(layers.AdditiveAttention, before=SEQUENCE, pair=True),
    "AlphaDropout": _layer(lambda: layers.AlphaDropout(0.3), random=True, steps=True),
    "Attention": _layer(lambda: layers.Attention(True), before=SEQUENCE, pair=True),
    "AugMix": _coloured(lambda: layers.AugMix((0, 1), 1, 1, all_ops=False)),
    "AutoContrast": _layer(lambda: layers.AutoContrast((-1, 1)), before=IMAGE),
    "Average": _layer(layers.Average, pair=True),
    "AveragePooling1D": _layer(lambda: layers.AveragePooling1D(3, 2, "same"), before=SEQUENCE),
    "AveragePooling2D": _layer(lambda: layers.AveragePooling2D(2), before=IMAGE),
    "AveragePooling3D": _layer(
        lambda: layers.AveragePooling3D(2, padding="same"), before=(2, 2, 1, 2)
    ),
    "BatchNormalization": _layer(layers.BatchNormalization, steps=True),
    "Bidirectional": _layer(lambda: layers.Bidirectional(layers.GRU(2)), before=SEQUENCE),
    "CategoryEncoding": _layer(lambda: layers.CategoryEncoding(5, "count"), ids=True),
    "CenterCrop": _layer(lambda: layers.CenterCrop(1, 2), before=IMAGE),
    "Concatenate": _layer(layers.Concatenate, pair=True),
    "ContrastLimitedAdaptiveHistogramEqualization": _layer(
        lambda: layers.ContrastLimitedAdaptiveHistogramEqualization((-1, 1)), before=IMAGE
    ),
    "Conv1D": _layer(
        lambda: layers.Conv1D(3, 2, padding="causal", dilation_rate=2), before=SEQUENCE
    ),
    "Conv1DTranspose": _layer(lambda: layers.Conv1DTranspose(3, 2, strides=2), before=SEQUENCE),
    "Conv2D": _layer(lambda: layers.Conv2D(3, 2, activation="relu"), before=IMAGE),
    "Conv2DTranspose": _layer(
        lambda: layers.Conv2DTranspose(3, 3, strides=2, padding="same"), before=IMAGE
    ),
    "Conv3D": _layer(lambda: layers.Conv3D(3, 2, padding="same"), before=(2, 2, 1, 2)),
    "Conv3DTranspose": _layer(lambda: layers.Conv3DTranspose(3, 2), before=(2, 2, 1, 2)),
    "ConvLSTM1D": _layer(lambda: layers.ConvLSTM1D(2, 2, return_sequences=True), before=(2, 2, 2)),
    "ConvLSTM2D": _layer(
        lambda: layers.ConvLSTM2D(2, 2, return_sequences=True), before=(2, 2, 2, 1)
    ),
    "ConvLSTM3D": _layer(
        lambda: layers.ConvLSTM3D(2, 1, return_sequences=True), before=(2, 2, 1, 1, 2)
    ),
    "Cropping1D": _layer(layers.Cropping1D, before=SEQUENCE),
    "Cropping2D": _layer(lambda: layers.Cropping2D(((1, 0), (0, 1))), before=IMAGE),
    "Cropping3D": _layer(lambda: layers.Cropping3D((0, (1, 0), 0)), before=(2, 2, 1, 2)),
    "CutMix": _layer(layers.CutMix, before=IMAGE, random=True, augments=True),
    "Dense": _layer(lambda: layers.Dense(5, kernel_regularizer="l2"), steps=True),
    "DepthwiseConv1D": _layer(
        lambda: layers.DepthwiseConv1D(2, depth_multiplier=2), before=SEQUENCE
    ),
    "DepthwiseConv2D": _layer(lambda: layers.DepthwiseConv2D(2, padding="same"), before=IMAGE),
    "Discretization": _layer(lambda: layers.Discretization([-0.5, 0.0, 0.5], output_mode="count")),
    "Dot": _layer(lambda: layers.Dot(axes=1), pair=True),
    "Dropout": _layer(lambda: layers.Dropout(0.3), random=True, steps=True),
    "ELU": _layer(layers.ELU, steps=True),
    "EinsumDense": _layer(lambda: layers.EinsumDense("ab,bc->ac", 3, bias_axes="c")),
    "Embedding": _layer(lambda: layers.Embedding(5, 3), ids=True),
    "Equalization": _layer(lambda: layers.Equalization((-1, 1)), before=IMAGE, augments=True),
    "Flatten": _layer(layers.Flatten, before=SEQUENCE),
    "GRU": _layer(lambda: layers.GRU(3), before=SEQUENCE),
    "GaussianDropout": _layer(lambda: layers.GaussianDropout(0.3), random=True, steps=True),
    "GaussianNoise": _layer(lambda: layers.GaussianNoise(0.3), random=True, steps=True),
    "GlobalAveragePooling1D": _layer(layers.GlobalAveragePooling1D, before=SEQUENCE),
    "GlobalAveragePooling2D": _layer(layers.GlobalAveragePooling2D, before=IMAGE),
    "GlobalAveragePooling3D": _layer(layers.GlobalAveragePooling3D, before=(2, 2, 1, 2)),
    "GlobalMaxPooling1D": _layer(layers.GlobalMaxPooling1D, before=SEQUENCE),
    "GlobalMaxPooling2D": _layer(layers.GlobalMaxPooling2D, before=IMAGE),
    "GlobalMaxPooling3D": _layer(layers.GlobalMaxPooling3D, before=(2, 2, 1, 2)),
    "GroupNormalization": _layer(lambda: layers.GroupNormalization(2)),
    "GroupQueryAttention": _layer(
        lambda: layers.GroupQueryAttention(3, 4, 2), before=SEQUENCE, twice=True
    ),
    "Hashing": _layer(lambda: layers.Hashing(3, output_mode="count"), ids=True),
    "IntegerLookup": _layer(
        lambda: layers.IntegerLookup(vocabulary=[3, 1], output_mode="count"), ids=True
    ),
    "Identity": _layer(layers.Identity, steps=True),
    "JaxLayer": _layer(lambda: layers.JaxLayer(scaled, scale_of)),
    "LSTM": _layer(lambda: layers.LSTM(3, return_sequences=True), before=SEQUENCE),
    "Lambda": _layer(lambda: layers.Lambda(staghorn.activations.softplus)),
    "LayerNormalization": _layer(layers.LayerNormalization, steps=True),
    "LeakyReLU": _layer(layers.LeakyReLU, steps=True),
    "Masking": _layer(layers.Masking, before=SEQUENCE),
    "MaxNumBoundingBoxes": _layer(lambda: layers.MaxNumBoundingBoxes(3), before=IMAGE),
    "MaxPooling1D": _layer(lambda: layers.MaxPooling1D(3, 2, "same"), before=SEQUENCE),
    "MaxPooling2D": _layer(layers.MaxPooling2D, before=IMAGE),
    "MaxPooling3D": _layer(lambda: layers.MaxPooling3D(2, padding="same"), before=(2, 2, 1, 2)),
    "Maximum": _layer(layers.Maximum, pair=True),
    "MelSpectrogram": _layer(
        lambda: layers.MelSpectrogram(4, 2, sampling_rate=800, num_mel_bins=3, power_to_db=False)
    ),
    "Minimum": _layer(layers.Minimum, pair=True),
    "MixUp": _layer(layers.MixUp, before=IMAGE, random=True, augments=True),
    "MultiHeadAttention": _layer(
        lambda: layers.MultiHeadAttention(2, 3, dropout=0.2),
        before=SEQUENCE,
        twice=True,
        random=True,
    ),
    "Multiply": _layer(layers.Multiply, pair=True),
    "Normalization": _layer(layers.Normalization, steps=True),
    "PReLU": _layer(layers.PReLU, steps=True),
    "Permute": _layer(lambda: layers.Permute((2, 1)), before=SEQUENCE),
    "Pipeline": _layer(
        lambda: layers.Pipeline([layers.Dense(5), layers.Activation("tanh")]), steps=True
    ),
    "RMSNormalization": _layer(layers.RMSNormalization),
    "RNN": _layer(lambda: layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)]), before=SEQUENCE),
    "RandAugment": _coloured(lambda: layers.RandAugment((0, 1))),
    "RandomBrightness": _layer(
        lambda: layers.RandomBrightness(0.5, (-5, 5)), before=IMAGE, random=True, augments=True
    ),
    "RandomColorDegeneration": _coloured(lambda: layers.RandomColorDegeneration(0.5, (0, 1))),
    "RandomColorJitter": _coloured(lambda: layers.RandomColorJitter((0, 1), 0.5, 0.5, 0.5, 0.5)),
    "RandomContrast": _layer(
        lambda: layers.RandomContrast(0.5, (-5, 5)), before=IMAGE, random=True, augments=True
    ),
    "RandomCrop": _layer(lambda: layers.RandomCrop(1, 1), before=IMAGE, random=True, augments=True),
    "RandomElasticTransform": _layer(
        lambda: layers.RandomElasticTransform(value_range=(-5, 5)),
        before=IMAGE,
        random=True,
        augments=True,
    ),
    "RandomErasing": _layer(
        lambda: layers.RandomErasing(scale=(0.5, 1.0)), before=IMAGE, random=True, augments=True
    ),
    "RandomFlip": _layer(layers.RandomFlip, before=IMAGE, random=True, augments=True),
    "RandomGaussianBlur": _layer(
        lambda: layers.RandomGaussianBlur((1, 1), sigma=(0.9, 1), value_range=(-5, 5)),
        before=IMAGE,
        random=True,
        augments=True,
    ),
    "RandomGrayscale": _coloured(layers.RandomGrayscale),
    "RandomHue": _coloured(lambda: layers.RandomHue(0.5, (0, 1))),
    "RandomInvert": _layer(
        lambda: layers.RandomInvert(value_range=(-1, 1)), before=IMAGE, random=True, augments=True
    ),
    "RandomPerspective": _layer(
        lambda: layers.RandomPerspective(scale=0.5), before=IMAGE, random=True, augments=True
    ),
    "RandomPosterization": _layer(
        lambda: layers.RandomPosterization(5, (-1, 1)), before=IMAGE, random=True, augments=True
    ),
    "RandomRotation": _layer(
        lambda: layers.RandomRotation(0.3), before=IMAGE, random=True, augments=True
    ),
    "RandomSaturation": _coloured(lambda: layers.RandomSaturation(0.5, (0, 1))),
    "RandomSharpness": _layer(
        lambda: layers.RandomSharpness(0.5, (-5, 5)), before=IMAGE, random=True, augments=True
    ),
    "RandomShear": _layer(
        lambda: layers.RandomShear(0.3, 0.2), before=IMAGE, random=True, augments=True
    ),
    "RandomTranslation": _layer(
        lambda: layers.RandomTranslation(0.3, 0.3), before=IMAGE, random=True, augments=True
    ),
    "RandomZoom": _layer(lambda: layers.RandomZoom(0.3), before=IMAGE, random=True, augments=True),
    "ReLU": _layer(lambda: layers.ReLU(6.0), steps=True),
    "RepeatVector": _layer(lambda: layers.RepeatVector(2)),
    "Rescaling": _layer(lambda: layers.Rescaling(0.5, offset=1.0)),
    "Reshape": _layer(lambda: layers.Reshape((2, 4))),
    "Resizing": _layer(lambda: layers.Resizing(3, 3), before=IMAGE),
    "ReversibleEmbedding": _layer(lambda: layers.ReversibleEmbedding(5, 3), ids=True),
    "STFTSpectrogram": _layer(lambda: layers.STFTSpectrogram("magnitude", 4, 2), before=SEQUENCE),
    "SeparableConv1D": _layer(lambda: layers.SeparableConv1D(3, 2), before=SEQUENCE),
    "SeparableConv2D": _layer(lambda: layers.SeparableConv2D(3, 2), before=IMAGE),
    "SimpleRNN": _layer(lambda: layers.SimpleRNN(3), before=SEQUENCE),
    "Softmax": _layer(layers.Softmax),
    "Solarization": _layer(
        lambda: layers.Solarization(0.2, 0.5, (-1, 1)), before=IMAGE, random=True, augments=True
    ),
    "SpatialDropout1D": _layer(
        lambda: layers.SpatialDropout1D(0.3), before=SEQUENCE, random=True, steps=True
    ),
    "SpatialDropout2D": _layer(lambda: layers.SpatialDropout2D(0.3), before=IMAGE, random=True),
    "SpatialDropout3D": _layer(
        lambda: layers.SpatialDropout3D(0.3), before=(2, 2, 1, 2), random=True
    ),
    "SpectralNormalization": _layer(lambda: layers.SpectralNormalization(layers.Dense(3))),
    "Subtract": _layer(layers.Subtract, pair=True),
    "TimeDistributed": _layer(lambda: layers.TimeDistributed(layers.Dense(3)), before=SEQUENCE),
    "UnitNormalization": _layer(layers.UnitNormalization, steps=True),
    "UpSampling1D": _layer(layers.UpSampling1D, before=SEQUENCE),
    "UpSampling2D": _layer(lambda: layers.UpSampling2D(interpolation="bilinear"), before=IMAGE),
    "UpSampling3D": _layer(layers.UpSampling3D, before=(2, 2, 1, 2)),
    "ZeroPadding1D": _layer(layers.ZeroPadding1D, before=SEQUENCE),
    "ZeroPadding2D": _layer(layers.ZeroPadding2D, before=IMAGE),
    "ZeroPadding3D": _layer(layers.ZeroPadding3D, before=(2, 2, 1, 2)),
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
    name: Row("loss", getattr(losses, name), target=target) for name, target in LOSS_TARGETS.items()
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
        lambda name=name, options=options: getattr(optimizers, name)(learning_rate=0.01, **options),
    )
    for name, options in OPTIMIZER_OPTIONS.items()
}
OPTIMIZERS["LossScaleOptimizer"] = Row(
    "optimizer", lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.01))
)
OPTIMIZERS["MultiOptimizer"] = Row(
    "optimizer",
    lambda: optimizers.MultiOptimizer(
        optimizers.OptimizerMap(optimizers.SGD(0.01), {".*bias": optimizers.Adam(0.01)})
    ),
)

OPTIMIZERS["OptaxOptimizer"] = Row(
    "optimizer",
    lambda: optimizers.OptaxOptimizer(optax.adamw(0.01)),
    supplied={"transformation": optax.adamw(0.01)},
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
    "Statistics": Row("callback", callbacks.Statistics),
    "StochasticWeightAveraging": Row("callback", callbacks.StochasticWeightAveraging),
    "TerminateOnNaN": Row("callback", callbacks.TerminateOnNaN),
    "History": Row("callback", callbacks.History),
    "ProgbarLogger": Row("callback", callbacks.ProgbarLogger),
    "OrbaxCheckpoint": Row(
        "callback",
        lambda: callbacks.OrbaxCheckpoint(tempfile.mkdtemp(prefix="staghorn-"), save_freq=2),
    ),
    "BackupAndRestore": Row(
        "callback", lambda: callbacks.BackupAndRestore(tempfile.mkdtemp(prefix="staghorn-"))
    ),
    "TensorBoard": Row(
        "callback",
        lambda: callbacks.TensorBoard(tempfile.mkdtemp(prefix="staghorn-"), histogram_freq=1),
    ),
}

ROWS: dict[str, Row] = {
    f"{row.kind}:{name}": row
    for table in (LAYERS, LOSSES, METRICS, OPTIMIZERS, CALLBACKS)
    for name, row in table.items()
}

# Bases, symbols and things that are no subject of their own, or need a file (tested elsewhere).
WITHOUT_A_ROW = {
    "layers": {
        "Convolution2D",  # Keras 1's names: they make Conv2D, ...
        "Convolution3D",
        "SeparableConvolution2D",
        "GRUCell",
        "HashedCrossing",  # these three take strings or pairs of integers: test_strings_models.py
        "StringLookup",
        "TextVectorization",
        "Input",
        "InputLayer",
        "InputSpec",
        "LSTMCell",
        "Layer",
        "SimpleRNNCell",
        "StackedRNNCells",
        "FlaxLayer",  # needs another package: tests/layers/test_jax_layer.py
        "TFSMLayer",  # left out on purpose
        "TorchModuleWrapper",
        "Wrapper",
    },
    "losses": {"Loss", "LossFunctionWrapper"},
    "metrics": {"Metric", "Mean", "Sum", "MeanMetricWrapper"},
    "optimizers": {"Optimizer", "OptimizerMap"},
    "callbacks": {
        "Callback",
        "CallbackList",
        "CSVLogger",
        "ModelCheckpoint",
        "Monitor",
        "RemoteMonitor",  # needs a server
        "SwapEMAWeights",  # needs an optimizer that keeps averages
    },
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
