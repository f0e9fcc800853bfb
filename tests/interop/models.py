"""The models that go back and forth between libraries: `build(library)`, written once for all.

Nothing here imports a library, and every argument is known to Keras 3.9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.saving.kinds import KINDS


def convolutions(k: Any) -> Any:
    return k.Sequential(
        [
            k.Input((8, 8, 3)),
            k.layers.Conv2D(4, 3, activation="relu", padding="same", use_bias=False),
            k.layers.BatchNormalization(),
            k.layers.MaxPooling2D(),
            k.layers.SeparableConv2D(4, 3, padding="same", dilation_rate=1),
            k.layers.DepthwiseConv2D(3, depth_multiplier=2),
            k.layers.Conv2DTranspose(3, 3, strides=2),
            k.layers.PReLU(shared_axes=[1, 2]),
            k.layers.GlobalAveragePooling2D(),
            k.layers.Dense(2),
        ]
    )


def one_and_three(k: Any) -> Any:
    a, b = k.Input((6, 2), name="a"), k.Input((4, 4, 4, 1), name="b")
    p = k.layers.AveragePooling1D(2)(k.layers.Conv1D(3, 3, padding="causal")(a))
    q = k.layers.MaxPooling3D(2)(k.layers.Conv3D(3, 2, padding="same", groups=1)(b))
    both = [k.layers.GlobalMaxPooling1D()(p), k.layers.GlobalAveragePooling3D()(q)]
    return k.Model([a, b], k.layers.Dense(1)(k.layers.Average()(both)))


def reshaping(k: Any) -> Any:
    return k.Sequential(
        [
            k.Input((4, 6)),
            k.layers.Permute((2, 1)),
            k.layers.ZeroPadding1D(1),
            k.layers.Cropping1D((0, 1)),
            k.layers.UpSampling1D(2),
            k.layers.Reshape((7, 2, 4)),
            k.layers.ZeroPadding2D(((0, 1), (1, 0))),
            k.layers.UpSampling2D(2, interpolation="bilinear"),
            k.layers.Cropping2D(1),
            k.layers.GaussianNoise(0.1),
            k.layers.Flatten(),
            k.layers.RepeatVector(2),
            k.layers.Dense(2),
        ]
    )


def merging(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    p, q = k.layers.Dense(3)(a), k.layers.Dense(3)(b)
    pairs = [layer([p, q]) for layer in (
        k.layers.Add(), k.layers.Subtract(), k.layers.Multiply(), k.layers.Maximum(),
        k.layers.Minimum(), k.layers.Dot(1, normalize=True), k.layers.Concatenate(axis=1),
    )]  # fmt: skip
    return k.Model([a, b], k.layers.Dense(2)(k.layers.Concatenate()(pairs)))


def recurrent(k: Any) -> Any:
    return k.Sequential(
        [
            k.Input((6,), dtype="int32"),
            k.layers.Embedding(11, 4, mask_zero=True),
            k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True), merge_mode="sum"),
            k.layers.GRU(3, reset_after=False, return_sequences=True),
            k.layers.SimpleRNN(3, activation="relu"),
            k.layers.Dense(2, activation="softmax"),
        ]
    )


def cells(k: Any) -> Any:
    stack = [k.layers.LSTMCell(3), k.layers.GRUCell(2)]
    return k.Sequential(
        [
            k.Input((5, 3)),
            k.layers.RNN(stack, return_sequences=True),
            k.layers.TimeDistributed(k.layers.Dense(2)),
        ]
    )


def states(k: Any) -> Any:
    a, b = k.Input((5, 3), name="a"), k.Input((4, 3), name="b")
    _, h, c = k.layers.LSTM(3, return_state=True)(k.layers.Masking(0.0)(a))
    x = k.layers.LSTM(3, return_sequences=True)(b, initial_state=[h, c])
    return k.Model([a, b], k.layers.Dense(1)(x))


def attention(k: Any) -> Any:
    x = k.Input((5, 4))
    h = k.layers.MultiHeadAttention(2, 3, use_bias=False)(x, x, use_causal_mask=True)
    h = k.layers.LayerNormalization(epsilon=1e-5)(x + h)
    h = k.layers.AdditiveAttention()([h, x])
    h = k.layers.Attention(use_scale=True)([h, x])
    return k.Model(x, k.layers.EinsumDense("abc,cd->abd", (None, 2), bias_axes="d")(h))


def norms(k: Any) -> Any:
    return k.Sequential(
        [
            k.Input((4, 6)),
            k.layers.GroupNormalization(3),
            k.layers.Dense(6),
            k.layers.RMSNormalization(),
            k.layers.Conv1D(4, 2),
            k.layers.UnitNormalization(),
            k.layers.Flatten(),
            k.layers.Dense(2),
        ]
    )


def activations(k: Any) -> Any:
    names = ("elu", "gelu", "hard_sigmoid", "mish", "relu6", "selu", "silu", "softplus", "softsign")
    layers: list[Any] = [k.Input((4,))]
    for name in names:
        layers += [k.layers.Dense(3), k.layers.Activation(name)]
    layers += [
        k.layers.LeakyReLU(0.1),
        k.layers.ELU(0.5),
        k.layers.ReLU(6.0, 0.1),
        k.layers.PReLU(),
    ]
    return k.Sequential([*layers, k.layers.Dense(3), k.layers.Softmax()])


def penalties(k: Any) -> Any:
    start, regular, limit = k.initializers, k.regularizers, k.constraints
    return k.Sequential(
        [
            k.Input((4,)),
            k.layers.Dense(
                4, kernel_initializer=start.VarianceScaling(2.0, "fan_out", "uniform", seed=1),
                kernel_regularizer=regular.L1L2(0.01, 0.02), kernel_constraint=limit.MaxNorm(2.0),
                bias_initializer=start.Constant(0.1), bias_constraint=limit.NonNeg(),
            ),
            k.layers.Dense(
                4, kernel_initializer=start.Orthogonal(0.5),
                kernel_regularizer=regular.OrthogonalRegularizer(0.01),
                kernel_constraint=limit.UnitNorm(),
            ),
            k.layers.Dense(
                2, kernel_initializer=start.TruncatedNormal(stddev=0.2), bias_initializer="ones",
                kernel_constraint=limit.MinMaxNorm(0.1, 1.0, 0.5), bias_regularizer="l2",
            ),
        ]
    )  # fmt: skip


def preprocessing(k: Any) -> Any:
    x = k.Input((4,))
    scaled = k.layers.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 3.0, 4.0])(x)
    return k.Model(x, k.layers.Dense(2)(k.layers.Rescaling(0.5, offset=0.1)(scaled)))


def augmentation(k: Any) -> Any:
    return k.Sequential(
        [
            k.Input((8, 8, 3)),
            k.layers.RandomFlip("horizontal"),
            k.layers.RandomRotation(0.1),
            k.layers.RandomZoom(0.1),
            k.layers.RandomContrast(0.1),
            k.layers.RandomTranslation(0.1, 0.1),
            k.layers.CenterCrop(6, 6),
            k.layers.Resizing(4, 4),
            k.layers.SpatialDropout2D(0.2),
            k.layers.GlobalMaxPooling2D(),
            k.layers.Dense(2),
        ]
    )


def operations(k: Any) -> Any:
    ops = k.ops
    x = k.Input((4, 6))
    h = k.layers.Dense(6)(x)
    a, b = ops.split(h, 2, axis=-1)
    h = ops.concatenate([ops.abs(a), ops.square(b) / 2.0, -a], axis=-1)
    h = ops.where(h > 0.5, h, ops.zeros_like(h)) ** 2
    h = ops.reshape(ops.transpose(h, (0, 2, 1)), (-1, 6, 6))
    h = ops.matmul(h, ops.swapaxes(h, 1, 2)) + ops.mean(x, axis=1, keepdims=True)
    h = ops.einsum("bij,bkj->bik", h, ops.stack([x[:, 0], x[:, -1]], axis=1))
    h = ops.softmax(ops.squeeze(ops.expand_dims(h, 1), 1), axis=-1)
    h = ops.clip(ops.cumsum(h, axis=1), 0.0, 2.0) + ops.max(h, axis=-1, keepdims=True)
    return k.Model(x, k.layers.Dense(2)(h))


def multiplied(k: Any) -> Any:
    """A layer of the user's own, inside a model of the user's own."""

    class Scaled(k.layers.Layer):
        def __init__(self, factor: float = 2.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factor = factor

        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="w")

        def call(self, x: Any) -> Any:
            return x * self.w * self.factor

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "factor": self.factor}

    class Net(k.Model):
        def __init__(self, width: int = 3, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.width = width
            self.blocks = [k.layers.Dense(width, activation="tanh"), Scaled(3.0)]
            self.head = k.layers.Dense(2)

        def call(self, x: Any) -> Any:
            for block in self.blocks:
                x = block(x)
            return self.head(x)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "width": self.width}

    model = Net(4)
    model(np.zeros((2, 4), "float32"))
    model.custom_objects = {"Scaled": Scaled, "Net": Net}
    return model


def _kind(name: str) -> Callable[[Any], Any]:
    return KINDS[name][0]


def _adam(k: Any) -> Any:
    return k.optimizers.Adam(0.01)


@dataclass(frozen=True)
class Case:
    """One model: how it is built and compiled, and what it is given.

    Args:
        build: library -> model.
        shapes: of its inputs: a tuple, a list or a dict of them.
        optimizer: library -> optimizer. Default: Adam.
        options: library -> the other arguments of `compile`. Default: mean squared error.
        targets: "numbers", "classes" (whole numbers) or "one_hot". Default: "numbers".
        whole: whether inputs are whole numbers. Default: False.
        tolerance: of predictions. Default: 1e-6.
        step: whether a training step is alike: not with random numbers. Default: True.
        fails: version of keras that cannot open it -> why. Default: none.
    """

    build: Callable[[Any], Any]
    shapes: Any = (4,)
    optimizer: Callable[[Any], Any] = _adam
    options: Callable[[Any], dict[str, Any]] = lambda k: {"loss": "mse", "metrics": ["mae"]}
    targets: str = "numbers"
    whole: bool = False
    tolerance: float = 1e-6
    step: bool = True
    fails: Mapping[str, str] = field(default_factory=dict)


TWO = [(4,), (4,)]


def _two_losses(k: Any) -> dict[str, Any]:
    return {
        "loss": {"left": k.losses.Huber(), "right": k.losses.LogCosh(reduction="sum")},
        "loss_weights": {"left": 0.3, "right": 2.0},
        "metrics": {"right": [k.metrics.RootMeanSquaredError(name="far"), "mae"]},
    }


def _classes(k: Any) -> dict[str, Any]:
    metrics = k.metrics
    return {
        "loss": k.losses.SparseCategoricalCrossentropy(ignore_class=None),
        "metrics": ["accuracy", metrics.SparseTopKCategoricalAccuracy(k=1)],
        "weighted_metrics": [metrics.SparseCategoricalCrossentropy()],
    }


def _one_hot(k: Any) -> dict[str, Any]:
    metrics = k.metrics
    return {
        "loss": k.losses.CategoricalCrossentropy(label_smoothing=0.1),
        "metrics": [metrics.AUC(num_thresholds=20), metrics.Precision(0.4), metrics.F1Score()],
    }


def _schedule(k: Any) -> Any:
    return k.optimizers.SGD(k.optimizers.schedules.CosineDecay(0.1, 20, warmup_steps=2))


def _averaged(k: Any) -> Any:
    return k.optimizers.Adam(0.01, use_ema=True, amsgrad=True)


def _centered(k: Any) -> Any:
    return k.optimizers.RMSprop(0.01, momentum=0.5, centered=True)


def _accumulating(k: Any) -> Any:
    return k.optimizers.SGD(0.1, gradient_accumulation_steps=2)


def _scaled(k: Any) -> Any:
    return k.optimizers.LossScaleOptimizer(k.optimizers.SGD(0.1, momentum=0.9))


# name -> what it is
CASES: dict[str, Case] = {
    "sequential": Case(_kind("sequential"), targets="one_hot", options=_one_hot, step=False),
    "deferred": Case(_kind("deferred"), optimizer=lambda k: k.optimizers.SGD(0.1)),
    "functional": Case(_kind("functional"), optimizer=_averaged),
    "shared": Case(_kind("shared"), TWO, optimizer=_schedule),
    "two outputs": Case(_kind("two_by_two"), TWO, options=_two_losses),
    "dictionaries": Case(
        _kind("dictionaries"), {"a": (4,), "b": (4,)}, options=lambda k: {"loss": "mse"}
    ),
    "nested": Case(_kind("nested"), optimizer=lambda k: k.optimizers.AdamW(0.01, clipnorm=1.0)),
    "nested output": Case(
        _kind("nested_output"),
        optimizer=lambda k: k.optimizers.Nadam(0.01),
        fails={"keras 3.9.2": "Nadam's variables have another order there than in 3.15"},
    ),
    "arithmetic": Case(
        _kind("arithmetic"), optimizer=lambda k: k.optimizers.RMSprop(centered=True)
    ),
    # Not Adam: in bfloat16 its 0.999 is 1 to keras, which then never moves.
    "bfloat16": Case(_kind("bfloat16"), optimizer=lambda k: k.optimizers.SGD(0.1), tolerance=2e-2),
    "mixed": Case(_kind("mixed"), optimizer=_scaled, tolerance=2e-2),
    "frozen": Case(_kind("frozen"), step=False, options=_one_hot, targets="one_hot"),
    "convolutions": Case(convolutions, (8, 8, 3), lambda k: k.optimizers.SGD(momentum=0.9)),
    "1-D and 3-D": Case(one_and_three, [(6, 2), (4, 4, 4, 1)]),
    "reshaping": Case(reshaping, (4, 6), step=False),
    "merging": Case(merging, TWO, lambda k: k.optimizers.Adagrad(0.01)),
    "recurrent": Case(recurrent, (6,), options=_classes, targets="classes", whole=True),
    "cells": Case(cells, (5, 3), lambda k: k.optimizers.Adadelta(0.1)),
    "states": Case(states, [(5, 3), (4, 3)], lambda k: k.optimizers.Lion(0.01)),
    "attention": Case(attention, (5, 4), lambda k: k.optimizers.Lamb(0.01)),
    "norms": Case(norms, (4, 6), lambda k: k.optimizers.Ftrl(0.01)),
    "activations": Case(activations),
    "penalties": Case(
        penalties, optimizer=lambda k: k.optimizers.SGD(gradient_accumulation_steps=2)
    ),
    "preprocessing": Case(preprocessing),
    "augmentation": Case(augmentation, (8, 8, 3), step=False),
    "operations": Case(operations, (4, 6)),
    "subclassed": Case(multiplied),
}


def inputs_of(case: Case, rows: int = 6) -> Any:
    """Return inputs for a case, the same ones in every process."""
    rng = np.random.default_rng(0)

    def array(shape: tuple[int, ...]) -> np.ndarray:
        if case.whole:
            return rng.integers(0, 5, (rows, *shape)).astype("int32")
        return rng.normal(size=(rows, *shape)).astype("float32")

    if isinstance(case.shapes, dict):
        return {name: array(shape) for name, shape in case.shapes.items()}
    arrays = [array(s) for s in (case.shapes if isinstance(case.shapes, list) else [case.shapes])]
    return arrays if isinstance(case.shapes, list) else arrays[0]


def targets_of(case: Case, outputs: Any) -> Any:
    """Return targets of the form of a model's outputs."""
    if isinstance(outputs, dict):
        return {name: targets_of(case, value) for name, value in outputs.items()}
    if isinstance(outputs, (list, tuple)):
        return [targets_of(case, value) for value in outputs]
    shape, rng = np.shape(outputs), np.random.default_rng(1)
    if case.targets == "numbers":
        return rng.uniform(size=shape).astype("float32")
    classes = rng.integers(0, shape[-1], shape[:-1])
    return classes if case.targets == "classes" else np.eye(shape[-1], dtype="float32")[classes]
