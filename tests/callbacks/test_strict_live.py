"""Callbacks at work: ours keep groups of steps together, and weights are live in every hook."""

import numpy as np
import pytest

import staghorn
from staghorn import callbacks
from staghorn.callbacks.callback import BATCH_HOOKS
from staghorn.training.executor import Executor

# Without shuffling and with a linear loss every number below is a small whole number: exact.
ROWS, BATCH = 12, 4
STEPS = ROWS // BATCH
X = np.ones((ROWS, 1), "float32")


def counting_model(weight=0.0):
    """One weight w; the output is w, the loss is its mean, and each step takes 1 off it."""
    model = staghorn.Sequential([staghorn.Input((1,)), staghorn.layers.Dense(1, use_bias=False)])
    model.set_weights([np.full((1, 1), weight, "float32")])
    model.compile(staghorn.optimizers.SGD(1.0), lambda y, y_pred: y_pred)
    return model


def make_hook(name, seen, change):
    """A callback that notes the weight in one hook and adds `change` to it."""

    def hook(self, *args, logs=None):
        weight = self.model.layers[0].kernel
        seen.append(float(weight.numpy()[0, 0]))
        weight.assign(weight.value + change)

    return type("Live", (callbacks.Callback,), {name: hook})()


FIT = {"batch_size": BATCH, "epochs": 2, "shuffle": False, "verbose": 0}
# Training hooks: weight that each call sees, when each call adds 100.
TRAIN_HOOKS = {
    "on_train_begin": [0],
    "on_train_end": [-6],
    "on_epoch_begin": [0, 97],
    "on_epoch_end": [-3, 94],
    "on_train_batch_begin": [99 * i for i in range(6)],
    "on_train_batch_end": [99 * i - 1 for i in range(6)],
    "on_batch_begin": [99 * i for i in range(6)],
    "on_batch_end": [99 * i - 1 for i in range(6)],
    "on_test_begin": [-3, 94],
    "on_test_end": [-3, 94],
    "on_test_batch_begin": [-3, 97, 197, 294, 394, 494],
    "on_test_batch_end": [-3, 97, 197, 294, 394, 494],
}


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("hook", TRAIN_HOOKS)
def test_weights_are_live_in_fit(hook, eager):
    model, seen = counting_model(), []
    model.run_eagerly = eager
    model.fit(X, X, validation_data=(X, X), callbacks=[make_hook(hook, seen, 100.0)], **FIT)
    assert seen == TRAIN_HOOKS[hook]
    assert float(model.get_weights()[0][0, 0]) == 100 * len(seen) - 2 * STEPS


class Losses(callbacks.Callback):
    """Notes the running mean of the loss after each batch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_test_batch_end(self, batch, logs=None):
        self.seen.append(logs["loss"])


@pytest.mark.parametrize(
    ("hook", "weights"),
    [
        ("on_test_begin", [105, 105, 105]),
        ("on_test_batch_begin", [105, 205, 305]),
        ("on_test_batch_end", [5, 105, 205]),
        ("on_test_end", [5, 5, 5]),
    ],
)
def test_weights_are_live_in_evaluate(hook, weights):
    model, losses = counting_model(5.0), Losses()
    calls = [make_hook(hook, [], 100.0), losses]
    loss = model.evaluate(X, X, batch_size=BATCH, verbose=0, callbacks=calls)
    means = [np.mean(weights[: i + 1]) for i in range(STEPS)]
    assert losses.seen == means
    assert loss == means[-1]
    changes = STEPS if "batch" in hook else 1
    assert float(model.get_weights()[0][0, 0]) == 5 + 100 * changes


@pytest.mark.parametrize(
    ("hook", "weights"),
    [
        ("on_predict_begin", [105, 105, 105]),
        ("on_predict_batch_begin", [105, 205, 305]),
        ("on_predict_batch_end", [5, 105, 205]),
        ("on_predict_end", [5, 5, 5]),
    ],
)
def test_weights_are_live_in_predict(hook, weights):
    model = counting_model(5.0)
    calls = [make_hook(hook, [], 100.0)]
    out = model.predict(X, batch_size=BATCH, verbose=0, callbacks=calls)
    assert out[:, 0].tolist() == np.repeat(weights, BATCH).tolist()


def test_every_hook_is_tried():
    named = callbacks.Callback.hooks | set(TRAIN_HOOKS)
    named |= {f"on_predict_{moment}" for moment in ("begin", "end", "batch_begin", "batch_end")}
    wanted = {hook for hooks in BATCH_HOOKS.values() for hook in hooks}
    wanted |= {f"on_{mode}_{moment}" for mode in BATCH_HOOKS for moment in ("begin", "end")}
    assert named == wanted | {"on_epoch_begin", "on_epoch_end"}


@pytest.fixture
def dispatches(monkeypatch):
    """A list that gets an entry for each call of a compiled training or test program."""
    made = []
    dispatch = Executor.dispatch

    def counted(self, *args, **kwargs):
        made.append(1)
        return dispatch(self, *args, **kwargs)

    monkeypatch.setattr(Executor, "dispatch", counted)
    return made


OURS = {
    "BackupAndRestore": lambda folder: callbacks.BackupAndRestore(folder / "backup"),
    "CSVLogger": lambda folder: callbacks.CSVLogger(folder / "log.csv"),
    "EarlyStopping": lambda folder: callbacks.EarlyStopping("loss", restore_best_weights=True),
    "History": lambda folder: callbacks.History(),
    "LambdaCallback": lambda folder: callbacks.LambdaCallback(on_epoch_end=lambda *args: None),
    "LearningRateScheduler": lambda folder: callbacks.LearningRateScheduler(lambda epoch: 0.1),
    "ModelCheckpoint": lambda folder: callbacks.ModelCheckpoint(folder / "model.keras"),
    "OrbaxCheckpoint": lambda folder: NewFolder(folder),
    "ProgbarLogger": lambda folder: callbacks.ProgbarLogger(),
    "ReduceLROnPlateau": lambda folder: callbacks.ReduceLROnPlateau("loss"),
    "RemoteMonitor": lambda folder: Quiet(),
    "Statistics": lambda folder: callbacks.Statistics(),
    "StochasticWeightAveraging": lambda folder: callbacks.StochasticWeightAveraging(0),
    "SwapEMAWeights": lambda folder: callbacks.SwapEMAWeights(swap_on_epoch=True),
    "TensorBoard": lambda folder: callbacks.TensorBoard(folder, histogram_freq=1),
    "TerminateOnNaN": lambda folder: callbacks.TerminateOnNaN(),
}
BASES = {"Callback", "CallbackList"}


class Quiet(callbacks.RemoteMonitor):
    """Does everything but send."""

    def on_epoch_end(self, epoch, logs=None):
        self.request({"epoch": epoch, **logs})


class NewFolder(callbacks.OrbaxCheckpoint):
    """Each `fit` saves in a folder of its own: one whose steps are there already is refused."""

    def on_train_begin(self, logs=None):
        self.directory += "/next"
        super().on_train_begin(logs)


def test_every_callback_is_tried():
    assert set(OURS) | BASES == set(callbacks.__all__)


# 80 steps: far more than the calls that a group's growth 1, 2, 4, ... needs.
MANY = np.ones((80, 1), "float32")


@pytest.mark.parametrize("name", OURS)
def test_groups_of_steps_stay_together(name, dispatches, tmp_path):
    callback = OURS[name](tmp_path)
    model = staghorn.Sequential([staghorn.Input((1,)), staghorn.layers.Dense(1)])
    model.compile(staghorn.optimizers.SGD(0.1, use_ema=True), "mse", steps_per_execution=40)
    options = {"batch_size": 1, "verbose": 0, "callbacks": [callback]}
    model.fit(MANY, MANY, validation_data=(MANY[:40], MANY[:40]), epochs=2, **options)
    assert len(dispatches) == 2 * (2 + 1)
    model.compile(staghorn.optimizers.SGD(0.1, use_ema=True), "mse")
    dispatches.clear()
    model.fit(MANY, MANY, epochs=1, **options)
    assert len(dispatches) < len(MANY) / 4


def test_the_count_sees_single_steps(dispatches):
    model = counting_model()
    watch = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    model.fit(X, X, callbacks=[watch], **FIT)
    assert len(dispatches) == 2 * STEPS
