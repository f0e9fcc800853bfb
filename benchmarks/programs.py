"""The programs, as a user writes them: one text, run on Staghorn and on every backend of keras.

A program takes (library, options of `compile`) and returns (work, quality): `work(n)` does n
epochs of `fit`, or n calls; `quality()` says what was reached. `torch_loops.py` and
`jax_loops.py` have the same names, written without either library.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks import data


def power_plant(lib, compile_options):
    x, y, x_test, y_test = data.power_plant()
    dense = lib.layers.Dense
    inputs = lib.Input((3,))
    trunk = dense(64, activation="relu")(dense(64, activation="relu")(inputs))
    power = dense(1, name="PE")(trunk)
    vacuum = dense(1, name="V")(dense(32, activation="relu")(trunk))
    model = lib.Model(inputs, [power, vacuum])
    model.compile("adam", loss={"PE": "mse", "V": "mse"}, **compile_options)
    targets, wanted = (y[:, 0], y[:, 1]), (y_test[:, 0], y_test[:, 1])

    def fit(epochs):
        test = (x_test, wanted)
        model.fit(x, targets, batch_size=128, epochs=epochs, validation_data=test, verbose=0)

    def quality():
        outputs = zip(["PE", "V"], wanted, model.predict(x_test, verbose=0), strict=True)
        return {f"R2 {name}": data.r2(actual, predicted) for name, actual, predicted in outputs}

    return fit, quality


def _classifier(model, batch_size, compile_options, rows=20000):
    x, y, x_test, y_test = data.mnist(rows)
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"], **compile_options)

    def fit(epochs):
        model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)

    def quality():
        return {"accuracy": float(model.evaluate(x_test, y_test, verbose=0)[1])}

    return fit, quality


def mnist_mlp(lib, compile_options):
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


def mnist_wide(lib, compile_options):
    image = lib.Input((28, 28))
    x = lib.layers.Flatten()(image)
    x = lib.layers.Dense(2**14, activation="relu")(x)
    x = lib.layers.Dense(28 * 28, activation="relu")(x)
    x = lib.layers.Concatenate()([image, lib.layers.Reshape((28, 28))(x)])  # (batch, 28, 56)
    outputs = lib.layers.Dense(10, activation="softmax")(lib.layers.Flatten()(x))
    return _classifier(lib.Model(image, outputs), 128, compile_options, 2560)


def mnist_subclassed(lib, compile_options):
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

    return _classifier(MLP(), 64, compile_options)


def mnist_cnn(lib, compile_options):
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


def _trained_on(model, x, y, batch_size, loss, compile_options):
    """Compile a model and return its fit and its quality on the data it saw (made-up data)."""
    model.compile("adam", loss, **compile_options)

    def fit(epochs):
        model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)

    def quality():
        return {"loss": float(model.evaluate(x, y, batch_size=batch_size, verbose=0))}

    return fit, quality


def residual_cnn(lib, compile_options):
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
    loss = "sparse_categorical_crossentropy"
    return _trained_on(lib.Model(inputs, outputs), *data.pictures(), 64, loss, compile_options)


def autoencoder(lib, compile_options):
    layers, options = lib.layers, {"strides": 2, "padding": "same", "activation": "relu"}
    model = lib.Sequential(
        [
            lib.Input((28, 28)),
            layers.Reshape((28, 28, 1)),
            layers.Conv2D(16, 3, **options),
            layers.Conv2D(32, 3, **options),
            layers.Conv2DTranspose(32, 3, **options),
            layers.Conv2DTranspose(16, 3, **options),
            layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
            layers.Reshape((28, 28)),
        ]
    )
    x = data.mnist(2560)[0]
    return _trained_on(model, x, x, 128, "mse", compile_options)


def separable_cnn(lib, compile_options):
    layers = lib.layers

    def block(x, filters, strides):
        x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization()(x))

    inputs = lib.Input((32, 32, 3))
    x = layers.ReLU()(layers.Conv2D(32, 3, padding="same")(inputs))
    for filters, strides in ((64, 1), (128, 2), (128, 1), (256, 2)):
        x = block(x, filters, strides)
    outputs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    loss = "sparse_categorical_crossentropy"
    return _trained_on(lib.Model(inputs, outputs), *data.pictures(1600), 64, loss, compile_options)


def _recurrent(lib, compile_options, layer):
    model = lib.Sequential(
        [
            lib.Input((100,), dtype="int32"),
            lib.layers.Embedding(5000, 64),
            layer,
            lib.layers.Dense(1, activation="sigmoid"),
        ]
    )
    return _trained_on(model, *data.sequences(), 32, "binary_crossentropy", compile_options)


def lstm(lib, compile_options):
    return _recurrent(lib, compile_options, lib.layers.LSTM(64))


def gru(lib, compile_options):
    return _recurrent(lib, compile_options, lib.layers.GRU(64))


def bidirectional(lib, compile_options):
    return _recurrent(lib, compile_options, lib.layers.Bidirectional(lib.layers.LSTM(64)))


def transformer(lib, compile_options):
    layers = lib.layers
    inputs = lib.Input((128,), dtype="int32")
    x = layers.Embedding(5000, 128)(inputs)
    y = layers.MultiHeadAttention(4, 32)(x, x)
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    y = layers.Dense(128)(layers.Dense(256, activation="relu")(x))
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    outputs = layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling1D()(x))
    model = lib.Model(inputs, outputs)
    words = data.sequences(1600, 128, 128)
    return _trained_on(model, *words, 32, "binary_crossentropy", compile_options)


# One row at a time -----------------------------------------------------------------------------


def _small(lib, compile_options):
    model = lib.Sequential(
        [
            lib.Input((8,)),
            lib.layers.Dense(64, activation="relu"),
            lib.layers.Dense(64, activation="relu"),
            lib.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse", **compile_options)
    return model


def _calls(call):
    def calls(count):
        for _ in range(count):
            result = call()
        return np.asarray(result)

    return calls, lambda: {"answer": bool(calls(1).shape == (1, 1))}


def predict_row(lib, compile_options):
    model, row = _small(lib, compile_options), data.rows()[0][:1]
    return _calls(lambda: model.predict(row, verbose=0))


def call_row(lib, compile_options):
    model, row = _small(lib, compile_options), data.rows()[0][:1]
    return _calls(lambda: lib.ops.convert_to_numpy(model(row)))


# Once ------------------------------------------------------------------------------------------


def deep(lib, compile_options):
    """200 layers: what is measured is how long they take to build and to compile."""
    x = inputs = lib.Input((8,))
    for _ in range(199):
        x = lib.layers.Dense(32, activation="relu")(x)
    model = lib.Model(inputs, lib.layers.Dense(1)(x))
    return _trained_on(model, *data.rows(64), 64, "mse", compile_options)


def first_fit(lib, compile_options):
    return _trained_on(_small(lib, {}), *data.rows(), 32, "mse", compile_options)


@dataclass(frozen=True)
class Program:
    """How a program is measured.

    Args:
        make: (library, compile options) → (work, quality).
        title: what it is, for the page.
        steps: the steps of an epoch, for `steps_per_execution`; None where nothing is fitted.
        whole: epochs (calls) of the first, whole run, compilation included: (quick, full).
        some: epochs (calls) in one measurement afterwards, everything compiled; 0: none.
        unit: of `some`.
        targets: against whom (`peers_meant` in contenders.py) → how many times faster Staghorn
            shall be, once compiled.
        first: the same for building and the first run together.
        limit: how much longer than the hand-written loop Staghorn may take; None: no limit.
        judge_whole: whether `--full` judges `targets` by the whole run.
        contenders: who runs it; None: everyone.
    """

    make: object
    title: str
    steps: int | None
    whole: tuple[int, int]
    some: int
    targets: dict
    unit: str = "epoch"
    first: dict | None = None
    limit: float | None = None
    judge_whole: bool = False
    contenders: tuple | None = None


PROGRAMS = {
    "power_plant": Program(
        power_plant,
        "power plant: 2 outputs, batch 128, with validation",
        60,
        (30, 1000),
        30,
        {"default": 7.0, "tuned": 4.5},
        limit=1.3,
        judge_whole=True,
    ),
    "mnist_mlp": Program(
        mnist_mlp, "MNIST MLP, batch 32", 625, (1, 10), 2, {"best": 3.0}, limit=1.3
    ),
    "mnist_subclassed": Program(
        mnist_subclassed, "MNIST, subclassed, batch 64", 313, (1, 5), 2, {"best": 1.0}
    ),
    "mnist_wide": Program(
        mnist_wide,
        "MNIST, functional, 2^14 wide, batch 128, 2,560 rows",
        20,
        (1, 8),
        1,
        {"best": 1.0},
        limit=1.1,
    ),
    "mnist_cnn": Program(
        mnist_cnn,
        "MNIST CNN, batch 128",
        157,
        (1, 3),
        1,
        {"keras-tensorflow": 1.1, "torch": 1.1},
    ),
    "residual_cnn": Program(
        residual_cnn, "residual CNN on 32 x 32 x 3, batch 64", 50, (1, 3), 1, {"best": 1.0}
    ),
    "autoencoder": Program(
        autoencoder, "convolutional autoencoder, batch 128", 20, (1, 3), 1, {"best": 1.0}
    ),
    "separable_cnn": Program(
        separable_cnn, "depthwise separable CNN, batch 64", 25, (1, 3), 1, {"best": 1.0}
    ),
    "lstm": Program(lstm, "Embedding, LSTM, batch 32", 100, (1, 5), 1, {"best": 1.3}),
    "gru": Program(gru, "Embedding, GRU, batch 32", 100, (1, 5), 1, {"best": 1.3}),
    "bidirectional": Program(
        bidirectional, "Embedding, Bidirectional(LSTM), batch 32", 100, (1, 5), 1, {"best": 1.3}
    ),
    "transformer": Program(
        transformer, "Transformer encoder, batch 32, length 128", 50, (1, 5), 1, {"best": 1.2}
    ),
    "predict_row": Program(
        predict_row,
        "`predict` on one row, in a loop",
        None,
        (3, 3),
        30,
        {"keras": 5.0},
        unit="call",
    ),
    "call_row": Program(
        call_row, "`model(x)` on one row", None, (3, 3), 30, {"keras": 3.0}, unit="call"
    ),
    "deep": Program(
        deep,
        "200 layers: build, first step compiled",
        1,
        (1, 1),
        0,
        {},
        first={"keras-jax": 1.0},
        contenders=("staghorn", "jax", "torch", "keras-jax", "keras-torch"),
    ),
    "first_fit": Program(first_fit, "a first fit on 1,000 rows", 32, (1, 1), 0, {}),
}
