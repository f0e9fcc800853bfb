"""The executor: groups of steps are invisible, programs are few, models stay alive."""

import os
import signal
import threading
import time

import jax
import numpy as np
import pytest

import staghorn
from staghorn.callbacks import Callback
from staghorn.engine.variable import Variable
from staghorn.training import data as training_data
from staghorn.training.executor import Executor
from staghorn.training.step import Program

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3)).astype("float32")  # batch 4: seven steps and a tail of two rows
Y = RNG.normal(size=(30, 1)).astype("float32")
COMMON = {"batch_size": 4, "verbose": 0}


def noisy(optimizer="adam", **compile_with):
    """A model with every kind of state: weights, moving statistics, a seed, slots, metrics."""
    staghorn.utils.set_random_seed(0)
    model = staghorn.Sequential(
        [
            staghorn.Input((3,)),
            staghorn.layers.Dense(4),
            staghorn.layers.BatchNormalization(),
            staghorn.layers.Dropout(0.5, seed=7),
            staghorn.layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mse", metrics=["mae"], **compile_with)
    return model


def state(model):
    """Every array of a model and its optimizer, with the seed counters."""
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


def assert_identical(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def programs(model):
    """Traces of each program of a model: "train" and "test"."""
    made = {k: v[-1].program for k, v in model._executor.items() if k in ("train", "test")}
    return {mode: program.traces for mode, program in made.items()}


class Batches(Callback):
    """Records each training batch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((batch, logs["loss"]))


@pytest.fixture(scope="module")
def reference():
    model = noisy()
    history = model.fit(X, Y, epochs=3, validation_data=(X[:9], Y[:9]), **COMMON)
    return state(model), history.history


@pytest.mark.parametrize("steps", [1, 3, 7, 8, 100])
def test_chunking_is_invisible(reference, steps):
    model = noisy(steps_per_execution=steps)
    history = model.fit(X, Y, epochs=3, validation_data=(X[:9], Y[:9]), **COMMON)
    assert_identical(state(model), reference[0])
    assert history.history == reference[1]


def test_scan_equals_loop(reference):
    """A callback that needs every batch brings single steps: the same numbers."""
    model, batches = noisy(), Batches()
    data = {"validation_data": (X[:9], Y[:9]), "callbacks": [batches]}
    history = model.fit(X, Y, epochs=3, **data, **COMMON)
    assert_identical(state(model), reference[0])
    assert history.history == reference[1]
    assert [batch for batch, _ in batches.seen] == [*range(8)] * 3
    assert batches.seen[-1][1] == history.history["loss"][-1]


def test_data_above_the_resident_budget_gives_the_same_bits(reference, monkeypatch):
    monkeypatch.setattr(training_data, "RESIDENT_BYTES", 0)
    model = noisy()
    history = model.fit(X, Y, epochs=3, validation_data=(X[:9], Y[:9]), **COMMON)
    assert_identical(state(model), reference[0])
    assert history.history == reference[1]


def test_large_data_passes_in_several_groups(reference, monkeypatch):
    monkeypatch.setattr(training_data, "RESIDENT_BYTES", 0)
    monkeypatch.setattr("staghorn.training.data.GROUP_STEPS", 3)
    model = noisy()
    model.fit(X, Y, epochs=3, **COMMON)
    assert_identical(state(model), reference[0])


def test_fit_compiles_once():
    model = noisy()
    model.fit(X, Y, epochs=4, validation_data=(X[:9], Y[:9]), **COMMON)
    first = programs(model)
    assert first["train"] <= 2
    assert first["test"] <= 2  # one for whole batches, one for the tail
    with jax.log_compiles(), Compilations() as compiled:
        model.fit(X, Y, epochs=3, validation_data=(X[:9], Y[:9]), **COMMON)
        model.evaluate(X[:9], Y[:9], **COMMON)
    assert programs(model) == first
    assert compiled.names == []


def test_a_second_fit_with_batch_hooks_compiles_nothing():
    model = noisy()
    model.fit(X, Y, epochs=2, **COMMON)
    first = programs(model)
    model.fit(X, Y, epochs=2, callbacks=[Batches()], **COMMON)
    assert programs(model) == first


class Compilations:
    """Names of what JAX compiles while it is open."""

    def __enter__(self):
        import logging

        self.names = []
        self.handler = logging.Handler()
        self.handler.emit = lambda record: self._note(record.getMessage())
        self.logger = logging.getLogger("jax")
        self.logger.addHandler(self.handler)
        self.propagate, self.logger.propagate = self.logger.propagate, False
        return self

    def _note(self, message):
        if message.startswith("Compiling "):
            self.names.append(message)

    def __exit__(self, *_):
        self.logger.removeHandler(self.handler)
        self.logger.propagate = self.propagate


def test_the_compile_log_is_heard():
    with jax.log_compiles(), Compilations() as compiled:
        jax.jit(lambda x: x * 3.25)(1.0)
    assert compiled.names


def test_one_fetch_and_no_copy_of_weights_per_epoch(monkeypatch):
    fetched, copied = [], []
    model = noisy(steps_per_execution=4)
    model.fit(X, Y, **COMMON)
    original, numpy = Executor.fetch, Variable.numpy
    monkeypatch.setattr(Executor, "fetch", lambda *a: fetched.append(1) or original(*a))
    monkeypatch.setattr(Variable, "numpy", lambda self: copied.append(1) or numpy(self))
    model.fit(X, Y, epochs=5, **COMMON)
    assert len(fetched) <= 2 * 5  # two groups an epoch, each fetched once
    assert copied == []


def numpy_batch_norm_losses(w):
    """Losses of one epoch over 10 rows, batch 4, of BatchNormalization and a mean of squares."""
    momentum, losses, rows = 0.99, [], []
    mean, variance = np.zeros(3), np.ones(3)
    for start in (0, 4, 8):
        x = X[start : start + 4][: 10 - start]
        m, v = x.mean(0), x.var(0)
        out = (x - m) / np.sqrt(v + 1e-3) @ w
        losses.append(((out - Y[start : start + len(x)]) ** 2).mean())
        rows.append(len(x))
        mean = mean * momentum + m * (1 - momentum)
        variance = variance * momentum + v * (1 - momentum)
    return np.average(losses, weights=rows), mean, variance


def test_partial_batch():
    """10 rows, batch 4: loss, metric and moving statistics equal a NumPy loop over 4, 4, 2."""
    dense = staghorn.layers.Dense(1, use_bias=False)
    norm = staghorn.layers.BatchNormalization()
    model = staghorn.Sequential([staghorn.Input((3,)), norm, dense])
    model.compile(staghorn.optimizers.SGD(0.0), "mse", metrics=["mse"])
    history = model.fit(X[:10], Y[:10], shuffle=False, **COMMON).history
    loss, mean, variance = numpy_batch_norm_losses(dense.kernel.numpy())
    np.testing.assert_allclose(history["loss"], [loss], rtol=1e-5)
    np.testing.assert_allclose(history["mse"], [loss], rtol=1e-5)
    np.testing.assert_allclose(norm.moving_mean.numpy(), mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(norm.moving_variance.numpy(), variance, rtol=1e-5)


class Raises(Callback):
    def __init__(self, error, batch=3):
        super().__init__()
        self.error = error
        self.batch = batch

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.batch:
            raise self.error


def assert_alive(model):
    assert all(np.isfinite(array).all() for array in state(model))
    assert not any(isinstance(v.value, jax.core.Tracer) for v in model.variables)
    assert model.predict(X, verbose=0).shape == (30, 1)
    before = int(model.optimizer.iterations)
    model.fit(X, Y, **COMMON)
    assert int(model.optimizer.iterations) == before + 8


@pytest.mark.parametrize("error", [KeyError("user's own"), KeyboardInterrupt()])
def test_interrupt_keeps_model_usable(error):
    model = noisy()
    with pytest.raises(type(error)) as caught:
        model.fit(X, Y, callbacks=[Raises(error)], **COMMON)
    assert caught.value is error
    assert int(model.optimizer.iterations) == 4  # the steps up to then are kept
    assert_alive(model)


@pytest.fixture
def python_sigint():
    """Python's own handler: a test worker of pytest-xdist ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("python_sigint")
def test_ctrl_c_during_compiled_groups_keeps_model_usable():
    model = noisy()
    model.fit(X, Y, **COMMON)
    done = threading.Event()

    def press():
        time.sleep(0.2)
        while not done.is_set():
            os.kill(os.getpid(), signal.SIGINT)
            done.wait(5)

    presser = threading.Thread(target=press)
    presser.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y, epochs=1_000_000, **COMMON)
    finally:
        done.set()
        presser.join()
    assert_alive(model)


def test_a_step_that_fails_to_trace_leaves_the_model_alive():
    class Picky(staghorn.Sequential):
        broken = False

        def train_step(self, data):
            if self.broken:
                raise RuntimeError("no")
            return super().train_step(data)

    model = Picky([staghorn.Input((3,)), staghorn.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.broken = True
    with pytest.raises(RuntimeError, match="no"):
        model.fit(X, Y, **COMMON)
    model.broken = False
    model.fit(X, Y, **COMMON)
    assert int(model.optimizer.iterations) == 8


def attributes(thing, seen):
    """Every object that can be reached through attributes and containers of our own classes."""
    if id(thing) in seen:
        return
    seen[id(thing)] = thing
    if isinstance(thing, dict):
        children = list(thing.values())
    elif isinstance(thing, (list, tuple, set)):
        children = list(thing)
    elif type(thing).__module__.startswith(("staghorn", "tests")):
        children = list(getattr(thing, "__dict__", {}).values())
    else:
        return
    for child in children:
        attributes(child, seen)


def test_no_tracer_survives():
    model = noisy()
    with pytest.raises(KeyError):
        model.fit(X, Y, callbacks=[Raises(KeyError())], **COMMON)
    history = model.fit(X, Y, validation_split=0.2, **COMMON)
    model.evaluate(X, Y, **COMMON)
    model.predict(X, verbose=0)
    seen = {}
    attributes([model, history, [v._value for v in model.variables]], seen)
    assert len(seen) > 100
    assert not [thing for thing in seen.values() if isinstance(thing, jax.core.Tracer)]


def test_early_stopping_restores_copies():
    model = noisy("sgd")

    class Remember(Callback):
        weights = []

        def on_epoch_end(self, epoch, logs=None):
            self.weights.append(self.model.get_weights())
            logs["score"] = [3.0, 1.0, 2.0, 2.5, 4.0][epoch]

    remember = Remember()
    stop = staghorn.callbacks.EarlyStopping(
        "score", mode="min", patience=2, restore_best_weights=True
    )
    history = model.fit(X, Y, epochs=5, callbacks=[remember, stop], **COMMON)
    assert len(history.epoch) == 4
    assert_identical(model.get_weights(), remember.weights[1])
    assert_alive(model)


def test_shuffle_follows_seed():
    def orders(seed):
        staghorn.utils.set_random_seed(seed)
        model = staghorn.Sequential([staghorn.Input((3,)), staghorn.layers.Dense(1)])
        model.set_weights([np.ones((3, 1), "float32"), np.zeros(1, "float32")])
        model.compile("sgd", "mse")
        return [model.fit(X, Y, **COMMON).history["loss"] for _ in range(2)]

    assert orders(1) == orders(1)
    assert orders(1) != orders(2)
    feed = training_data.ArrayFeed(X, 4, shuffle=True, seed=3)
    assert sorted(feed.order(0)) == list(range(30))
    assert list(feed.order(0)) != list(feed.order(1))
    batches = training_data.ArrayFeed(X, 4, shuffle="batch", seed=3).order(0)
    assert (np.diff(batches[:28].reshape(7, 4)) == 1).all()


def test_a_program_counts_its_traces():
    assert Program(lambda batch: {}, None, lambda: None, list).traces == 0
