"""The programs that `compare.py` times: one text, run on either library, in a process of its own.

    python benchmarks/programs.py power_plant staghorn --epochs 1000 --seed 0

prints one JSON line: seconds of the whole `fit`, milliseconds of an epoch once compiled,
and the quality reached on rows the model never saw.
"""

import argparse
import importlib
import json
import os
import time
from pathlib import Path

import numpy as np

DATA = Path(
    os.environ.get("STAGHORN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)


def r2(actual, predicted):
    actual, predicted = actual.astype("float64"), np.ravel(predicted).astype("float64")
    return float(1 - ((actual - predicted) ** 2).sum() / ((actual - actual.mean()) ** 2).sum())


def power_plant(lib, seed, compile_options):
    import pandas as pd

    frame = pd.read_excel(DATA / "Folds5x2_pp.xlsx")
    order = np.random.default_rng(0).permutation(len(frame))
    x, y = frame[["AT", "AP", "RH"]].to_numpy()[order], frame[["PE", "V"]].to_numpy()[order]
    split = len(x) * 4 // 5
    low, high = x[:split].min(axis=0), x[:split].max(axis=0)
    x = (x - low) / (high - low)
    x_test, y_test = x[split:], (y[split:, 0], y[split:, 1])

    lib.utils.set_random_seed(seed)
    dense = lib.layers.Dense
    inputs = lib.Input((3,))
    trunk = dense(64, activation="relu")(dense(64, activation="relu")(inputs))
    power = dense(1, name="PE")(trunk)
    vacuum = dense(1, name="V")(dense(32, activation="relu")(trunk))
    model = lib.Model(inputs, [power, vacuum])
    model.compile("adam", loss={"PE": "mse", "V": "mse"}, **compile_options)

    def fit(epochs):
        model.fit(
            x[:split],
            (y[:split, 0], y[:split, 1]),
            batch_size=128,
            epochs=epochs,
            validation_data=(x_test, y_test),
            verbose=0,
        )

    def quality():
        outputs = zip(["PE", "V"], y_test, model.predict(x_test, verbose=0), strict=True)
        return {f"R2 {name}": r2(actual, predicted) for name, actual, predicted in outputs}

    return fit, quality


def _mnist():
    with np.load(DATA / "mnist.npz", allow_pickle=False) as arrays:
        x_train = (arrays["x_train"] / 255.0).astype("float32")
        x_test = (arrays["x_test"] / 255.0).astype("float32")
        return x_train, arrays["y_train"], x_test, arrays["y_test"]


def _classifier(model, batch_size, compile_options):
    x_train, y_train, x_test, y_test = _mnist()
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **compile_options
    )

    def fit(epochs):
        model.fit(x_train, y_train, batch_size=batch_size, epochs=epochs, verbose=0)

    def quality():
        return {"accuracy": float(model.evaluate(x_test, y_test, verbose=0)[1])}

    return fit, quality


def mnist_mlp(lib, seed, compile_options):
    lib.utils.set_random_seed(seed)
    model = lib.Sequential(
        [
            lib.Input((28, 28)),
            lib.layers.Flatten(),
            lib.layers.Dense(256, activation="relu"),
            lib.layers.Dense(128, activation="relu"),
            lib.layers.Dense(10, activation="softmax"),
        ]
    )
    return _classifier(model, 32, compile_options)


def mnist_wide(lib, seed, compile_options):
    lib.utils.set_random_seed(seed)
    image = lib.Input((28, 28))
    x = lib.layers.Flatten()(image)
    x = lib.layers.Dense(2**14, activation="relu")(x)
    x = lib.layers.Dense(28 * 28, activation="relu")(x)
    x = lib.layers.Concatenate()([image, lib.layers.Reshape((28, 28))(x)])  # (batch, 28, 56)
    outputs = lib.layers.Dense(10, activation="softmax")(lib.layers.Flatten()(x))
    return _classifier(lib.Model(image, outputs), 128, compile_options)


def mnist_subclassed(lib, seed, compile_options):
    class MLP(lib.Model):
        def __init__(self):
            super().__init__()
            self.flatten = lib.layers.Flatten()
            self.wide = lib.layers.Dense(256, activation="relu")
            self.norm = lib.layers.BatchNormalization()
            self.dropout = lib.layers.Dropout(0.3)
            self.narrow = lib.layers.Dense(128, activation="relu")
            self.classify = lib.layers.Dense(10, activation="softmax")

        def call(self, inputs):
            x = self.norm(self.wide(self.flatten(inputs)))
            return self.classify(self.narrow(self.dropout(x)))

    lib.utils.set_random_seed(seed)
    return _classifier(MLP(), 64, compile_options)


def mnist_cnn(lib, seed, compile_options):
    lib.utils.set_random_seed(seed)
    model = lib.Sequential(
        [
            lib.Input((28, 28)),
            lib.layers.Reshape((28, 28, 1)),
            lib.layers.Conv2D(32, 3, activation="relu"),
            lib.layers.MaxPooling2D(2),
            lib.layers.Conv2D(64, 3, activation="relu"),
            lib.layers.MaxPooling2D(2),
            lib.layers.Flatten(),
            lib.layers.Dropout(0.5),
            lib.layers.Dense(10, activation="softmax"),
        ]
    )
    return _classifier(model, 128, compile_options)


def _trained_on(model, x, y, batch_size, loss, compile_options, **kwargs):
    """Compile a model and return its fit and its quality on the data it saw (made-up data)."""
    model.compile("adam", loss, **compile_options)

    def fit(epochs):
        model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0, **kwargs)

    def quality():
        return {"loss": float(model.evaluate(x, y, batch_size=batch_size, verbose=0))}

    return fit, quality


def residual_cnn(lib, seed, compile_options):
    lib.utils.set_random_seed(seed)
    layers = lib.layers

    def block(x, filters, strides):
        y = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization()(y)
        if strides != 1 or x.shape[-1] != filters:
            x = layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x)
        return layers.ReLU()(layers.Add()([x, y]))

    inputs = lib.Input((32, 32, 3))
    x = layers.ReLU()(layers.Conv2D(16, 3, padding="same")(inputs))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        x = block(x, filters, strides)
    outputs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3200, 32, 32, 3)).astype("float32"), rng.integers(0, 10, 3200)
    loss = "sparse_categorical_crossentropy"
    return _trained_on(lib.Model(inputs, outputs), x, y, 64, loss, compile_options)


def _recurrent(lib, seed, compile_options, make):
    lib.utils.set_random_seed(seed)
    model = lib.Sequential(
        [
            lib.Input((100,), dtype="int32"),
            lib.layers.Embedding(5000, 64),
            make(lib.layers),
            lib.layers.Dense(1, activation="sigmoid"),
        ]
    )
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5000, (3200, 100)).astype("int32")
    y = (x[:, -10:].mean(axis=1) > 2500).astype("float32")[:, None]
    return _trained_on(model, x, y, 32, "binary_crossentropy", compile_options)


def lstm(lib, seed, compile_options):
    return _recurrent(lib, seed, compile_options, lambda layers: layers.LSTM(64))


def gru(lib, seed, compile_options):
    return _recurrent(lib, seed, compile_options, lambda layers: layers.GRU(64))


def bidirectional(lib, seed, compile_options):
    return _recurrent(
        lib, seed, compile_options, lambda layers: layers.Bidirectional(layers.LSTM(64))
    )


def transformer(lib, seed, compile_options):
    lib.utils.set_random_seed(seed)
    layers = lib.layers
    inputs = lib.Input((128,), dtype="int32")
    x = layers.Embedding(5000, 128)(inputs)
    y = layers.MultiHeadAttention(4, 32)(x, x)
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    y = layers.Dense(128)(layers.Dense(256, activation="relu")(x))
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    outputs = layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling1D()(x))
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5000, (1600, 128)).astype("int32")
    y = (x[:, 0] > 2500).astype("float32")[:, None]
    return _trained_on(lib.Model(inputs, outputs), x, y, 32, "binary_crossentropy", compile_options)


# name → (program, epochs of the measured fit, epochs of the second one, steps in an epoch)
PROGRAMS = {
    "power_plant": (power_plant, 1000, 100, 60),
    "mnist_mlp": (mnist_mlp, 10, 5, 625),
    "mnist_subclassed": (mnist_subclassed, 5, 3, 313),
    "mnist_wide": (mnist_wide, 2, 1, 157),
    "mnist_cnn": (mnist_cnn, 2, 3, 157),
    "residual_cnn": (residual_cnn, 1, 2, 50),
    "lstm": (lstm, 1, 2, 100),
    "gru": (gru, 1, 2, 100),
    "bidirectional": (bidirectional, 1, 2, 100),
    "transformer": (transformer, 1, 2, 50),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("library", choices=["staghorn", "keras"])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps-per-execution", type=int)
    parser.add_argument("--backend", default="jax", help="of keras")
    options = parser.parse_args()
    program, epochs, more_epochs, _ = PROGRAMS[options.program]
    epochs = options.epochs or epochs
    more_epochs = min(epochs, more_epochs)

    os.environ["KERAS_BACKEND"] = options.backend
    lib = importlib.import_module(options.library)
    compile_options = {}
    if options.steps_per_execution:
        compile_options["steps_per_execution"] = options.steps_per_execution
    fit, quality = program(lib, options.seed, compile_options)
    start = time.perf_counter()
    fit(epochs)
    seconds = time.perf_counter() - start
    reached = quality()
    start = time.perf_counter()
    fit(more_epochs)  # everything is compiled by now
    epoch = 1000 * (time.perf_counter() - start) / more_epochs
    print(json.dumps({"fit": seconds, "epoch": epoch, "quality": reached}))


if __name__ == "__main__":
    main()
