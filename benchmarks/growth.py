"""How the time of `fit` grows: python -m benchmarks.growth staghorn prints curves as JSON.

Each curve varies one thing and keeps the rest. A point is the least time of several repeats (what
disturbs only adds), and the repeats of all sizes take turns. The first `fit` compiles and is a
curve of its own where the size is part of the program.
"""

import argparse
import importlib
import json
import os
import time

from benchmarks import data

ROWS = (1000, 4000, 16000, 64000)
BATCHES = (32, 128, 512, 2048)
LAYERS = (2, 8, 32, 128)
OUTPUTS = (1, 4, 16, 64)
CALLBACKS = (0, 4, 16, 64)
STEPS = 20
EPOCHS = 10


def perceptron(lib, layers=2, outputs=1):
    """Return a compiled model of so many layers of 64, and its number of outputs."""
    inputs = x = lib.Input((8,))
    for _ in range(layers):
        x = lib.layers.Dense(64, activation="relu")(x)
    heads = [lib.layers.Dense(1)(x) for _ in range(outputs)]
    model = lib.Model(inputs, heads if outputs > 1 else heads[0])
    model.compile("adam", ["mse"] * outputs if outputs > 1 else "mse")
    return model


def fitting(model, rows, batch_size=128, outputs=1, epochs=1, callbacks=()):
    """Return a function that fits once."""
    x, y = data.rows(rows)
    targets = [y] * outputs if outputs > 1 else y
    options = {"batch_size": batch_size, "epochs": epochs, "verbose": 0}
    return lambda: model.fit(x, targets, callbacks=list(callbacks), **options)


def timed(work):
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def curve(sizes, make, repeats):
    """Return the milliseconds of the first run of each size, and the least of later ones."""
    works = [make(size) for size in sizes]
    first = [timed(work) for work in works]
    for work in works:  # the pace of a fit is known only after some steps
        work()
    rounds = [[timed(work) for work in works] for _ in range(repeats)]
    return first, [min(times) for times in zip(*rounds, strict=True)]


def curves(lib, repeats):
    """Return {name: {"unit", "x", "ms"}}."""

    class Epochs(lib.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            pass

    class Batches(lib.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    def with_callbacks(kind, epochs):
        return lambda n: fitting(
            perceptron(lib), STEPS * 128, epochs=epochs, callbacks=[kind() for _ in range(n)]
        )

    cases = {
        "rows": (ROWS, lambda n: fitting(perceptron(lib), n), None),
        "batch size": (BATCHES, lambda n: fitting(perceptron(lib), STEPS * n, n), None),
        "layers": (LAYERS, lambda n: fitting(perceptron(lib, n), STEPS * 128), "layers, first fit"),
        "outputs": (
            OUTPUTS,
            lambda n: fitting(perceptron(lib, outputs=n), STEPS * 128, outputs=n),
            "outputs, first fit",
        ),
        "callbacks, by epoch": (CALLBACKS, with_callbacks(Epochs, EPOCHS), None),
        "callbacks, by batch": (CALLBACKS[1:], with_callbacks(Batches, 1), None),
    }
    found = {}
    for name, (sizes, make, compiling) in cases.items():
        first, later = curve(sizes, make, repeats)
        found[name] = {"x": list(sizes), "ms": later}
        if compiling:
            found[compiling] = {"x": list(sizes), "ms": first}
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library", choices=["staghorn", "keras-jax"])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "jax"
    lib = importlib.import_module(options.library.partition("-")[0])
    print(json.dumps(curves(lib, options.repeats)))


if __name__ == "__main__":
    main()
