"""The sequence of hooks that a library's fit, evaluate and predict produce.

`hook_order(keras, "fit")` is the oracle; the trainer's tests compare it with
`hook_order(staghorn, "fit")`, which runs the same program with the same names.
"""

import numpy as np

ROWS, BATCH, EPOCHS = 10, 4, 2  # 3 steps an epoch, the last one of 2 rows

INDEXED = ["on_epoch_begin", "on_epoch_end"] + [
    f"on_{mode}_batch_{moment}"
    for mode in ("train", "test", "predict")
    for moment in ("begin", "end")
]
PLAIN = [
    f"on_{mode}_{moment}" for mode in ("train", "test", "predict") for moment in ("begin", "end")
]


def recorder(library):
    """A callback of this library that records (hook, index or None, sorted names of the logs)."""

    def indexed(hook):
        def record(self, index, logs=None):
            self.calls.append((hook, index, tuple(sorted(logs))))

        return record

    def plain(hook):
        def record(self, logs=None):
            self.calls.append((hook, None, tuple(sorted(logs))))

        return record

    def set_model(self, model):
        base.set_model(self, model)
        self.calls.append(("set_model", None, ()))

    def set_params(self, params):
        base.set_params(self, params)
        self.calls.append(("set_params", None, tuple(sorted(params.items()))))

    base = library.callbacks.Callback
    hooks = {hook: indexed(hook) for hook in INDEXED} | {hook: plain(hook) for hook in PLAIN}
    body = {**hooks, "set_model": set_model, "set_params": set_params}
    callback = type("Recorder", (base,), body)()
    callback.calls = []
    return callback


def hook_order(library, method, validation=True, steps_per_execution=1):
    """Run "fit", "evaluate" or "predict" of `library` and return the recorded calls.

    A call is `(hook, index, names)`: the index of the epoch or batch, or None, and the sorted names
    in the logs. `set_params` records the sorted items of the parameters instead.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3)).astype("float32")
    y = rng.normal(size=(ROWS, 1)).astype("float32")
    model = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"], steps_per_execution=steps_per_execution)
    record = recorder(library)
    common = {"batch_size": BATCH, "verbose": 0, "callbacks": [record]}
    if method == "fit":
        validation_data = (x[:5], y[:5]) if validation else None
        model.fit(x, y, epochs=EPOCHS, validation_data=validation_data, **common)
    elif method == "evaluate":
        model.evaluate(x, y, **common)
    elif method == "predict":
        model.predict(x, **common)
    else:
        raise ValueError(f"hook_order: method must be fit, evaluate or predict, got {method!r}.")
    return record.calls
