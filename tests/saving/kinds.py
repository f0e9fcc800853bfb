"""One model of each kind, written once for both libraries: `build(library)`."""

from __future__ import annotations

from typing import Any

import numpy as np


def sequential(k: Any) -> Any:
    return k.Sequential(
        [
            k.Input((4,)),
            k.layers.Dense(5, activation="relu", kernel_initializer="he_normal"),
            k.layers.Dropout(0.5),
            k.layers.BatchNormalization(),
            k.layers.Dense(2, activation="softmax", kernel_regularizer=k.regularizers.L2(0.01)),
        ],
        name="stack",
    )


def deferred(k: Any) -> Any:
    model = k.Sequential([k.layers.Dense(3, activation="tanh"), k.layers.Dense(2)])
    model(np.zeros((2, 4), "float32"))
    return model


def functional(k: Any) -> Any:
    x = k.Input((4,), name="x")
    h = k.layers.Dense(3, activation="gelu", name="hidden")(x)
    return k.Model(x, k.layers.Dense(2, name="out")(h), name="graph")


def shared(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    dense = k.layers.Dense(3, name="twice")
    both = k.layers.Concatenate()([dense(a), dense(b)])
    return k.Model([a, b], k.layers.Dense(2)(both))


def two_by_two(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    h = k.layers.Add()([k.layers.Dense(3)(a), k.layers.Dense(3)(b)])
    outputs = [k.layers.Dense(1, name="left")(h), k.layers.Dense(2, name="right")(h)]
    return k.Model([a, b], outputs)


def dictionaries(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    h = k.layers.Concatenate()([a, b])
    outputs = {"p": k.layers.Dense(1)(h), "q": k.layers.Dense(2)(h)}
    return k.Model({"a": a, "b": b}, outputs)


def nested(k: Any) -> Any:
    inner_in = k.Input((3,))
    inner = k.Model(inner_in, k.layers.Dense(3, activation="relu")(inner_in), name="inner")
    stack = k.Sequential([k.Input((3,)), k.layers.Dense(3), k.layers.Dense(3)], name="stack")
    x = k.Input((4,))
    h = k.layers.Dense(3)(x)
    return k.Model(x, k.layers.Dense(2)(stack(inner(inner(h)))))


def nested_output(k: Any) -> Any:
    inner_in = k.Input((4,))
    inner = k.Model(inner_in, k.layers.Dense(4)(inner_in), name="inner")
    x = k.Input((4,))
    return k.Model(x, inner(inner(x)))


def arithmetic(k: Any) -> Any:
    x = k.Input((4,))
    h = k.layers.Dense(4)(x)
    return k.Model(x, k.ops.tanh(h * 2.0 + x)[:, 1:3])


def normalized(k: Any) -> Any:
    return k.Sequential(
        [
            k.Input((4, 3)),
            k.layers.LayerNormalization(),
            k.layers.Dense(3),
            k.layers.Flatten(),
            k.layers.Dense(2),
        ]
    )


def bfloat16(k: Any) -> Any:
    return k.Sequential([k.Input((4,)), k.layers.Dense(3, dtype="bfloat16"), k.layers.Dense(2)])


def mixed(k: Any) -> Any:
    return k.Sequential(
        [k.Input((4,)), k.layers.Dense(3, dtype="mixed_bfloat16"), k.layers.Dense(2)]
    )


def frozen(k: Any) -> Any:
    model = sequential(k)
    model.layers[0].trainable = False
    return model


# name → (build, shapes of the inputs)
KINDS = {
    "sequential": (sequential, [(4,)]),
    "deferred": (deferred, [(4,)]),
    "functional": (functional, [(4,)]),
    "shared": (shared, [(4,), (4,)]),
    "two_by_two": (two_by_two, [(4,), (4,)]),
    "dictionaries": (dictionaries, {"a": (4,), "b": (4,)}),
    "nested": (nested, [(4,)]),
    "nested_output": (nested_output, [(4,)]),
    "arithmetic": (arithmetic, [(4,)]),
    "normalized": (normalized, [(4, 3)]),
    "bfloat16": (bfloat16, [(4,)]),
    "mixed": (mixed, [(4,)]),
    "frozen": (frozen, [(4,)]),
}


def data_for(kind: str, rows: int = 6) -> Any:
    """Return inputs of a model kind: one array, a list, or a dict."""
    shapes = KINDS[kind][1]
    rng = np.random.default_rng(0)
    if isinstance(shapes, dict):
        return {n: rng.normal(size=(rows, *s)).astype("float32") for n, s in shapes.items()}
    arrays = [rng.normal(size=(rows, *shape)).astype("float32") for shape in shapes]
    return arrays[0] if len(arrays) == 1 else arrays


def targets_for(outputs: Any) -> Any:
    """Return targets of the form of a model's outputs."""
    if isinstance(outputs, dict):
        return {name: targets_for(value) for name, value in outputs.items()}
    if isinstance(outputs, (list, tuple)):
        return [targets_for(value) for value in outputs]
    return np.random.default_rng(1).uniform(size=np.shape(outputs)).astype("float32")


def flat(outputs: Any) -> list[np.ndarray]:
    """Return outputs as a list of float64 arrays."""
    if isinstance(outputs, dict):
        return [array for key in sorted(outputs) for array in flat(outputs[key])]
    if isinstance(outputs, (list, tuple)):
        return [array for value in outputs for array in flat(value)]
    return [np.asarray(outputs, "float32").astype("float64")]


def scramble(model: Any, seed: int = 3) -> None:
    """Give every weight a value that no initializer gives."""
    rng = np.random.default_rng(seed)
    model.set_weights([_like(rng, weight) for weight in model.get_weights()])


def _like(rng: np.random.Generator, weight: np.ndarray) -> np.ndarray:
    return rng.uniform(0.1, 0.9, weight.shape).astype(weight.dtype)
