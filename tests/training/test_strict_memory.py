"""What is kept: nothing grows from round to round. And `predict` from several threads at once."""

import gc
import importlib
import inspect
import pkgutil
import sys
import threading
import weakref
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.training.predictor import Predictor
from staghorn.training.step import Program

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 3)).astype("float32")
Y = RNG.normal(size=(22, 1)).astype("float32")
FIT = {"batch_size": 4, "verbose": 0}

# What one round may add to the resident size on average, in the long test. A round of `compile`
# adds less than half a megabyte: XLA's allocator keeps pages, and JAX keeps an entry per program
# in caches that it bounds itself. One array of 1 MB that is kept per round would show.
KEPT_PER_ROUND = 1_000_000


def make_model(units=4):
    inputs = staghorn.Input((3,))
    hidden = layers.Dropout(0.2)(layers.Dense(units)(inputs))
    model = staghorn.Model(inputs, layers.Dense(1)(hidden))
    model.compile("adam", "mse", metrics=["mae"])
    return model


def fit(model, folder):
    model.fit(X, Y, validation_data=(X, Y), **FIT)


def compile_again(model, folder):
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, **FIT)


def predict(model, folder):
    for rows in (3, 22):
        model.predict(X[:rows], batch_size=4, verbose=0)


def evaluate(model, folder):
    model.evaluate(X, Y, batch_size=4, verbose=0)


def single_batches(model, folder):
    model.train_on_batch(X, Y)
    model.test_on_batch(X, Y)
    model.predict_on_batch(X)


def build(model, folder):
    make_model()


def build_and_fit(model, folder):
    made = staghorn.Sequential([staghorn.Input((3,)), layers.Dense(1)])
    made.compile("sgd", "mse")
    made.fit(X, Y, batch_size=22, verbose=0)
    made.predict(X, batch_size=22, verbose=0)


def own_classes(model, folder):
    class Own(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    class Quiet(staghorn.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            pass

    made = Own()
    made.compile("sgd", "mse")
    made.fit(X, Y, verbose=0, callbacks=[Quiet()])


def save_and_load(model, folder):
    model.save(folder / "model.keras")
    staghorn.saving.load_model(folder / "model.keras")


def weights(model, folder):
    model.save_weights(folder / "model.weights.h5")
    model.load_weights(folder / "model.weights.h5")


def clone(model, folder):
    staghorn.models.clone_model(model)


def failed_fit(model, folder):
    class Fail(staghorn.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        model.fit(X, Y, callbacks=[Fail()], **FIT)


def backup(model, folder):
    calls = [
        staghorn.callbacks.BackupAndRestore(folder / "backup"),
        staghorn.callbacks.TensorBoard(folder / "logs", histogram_freq=1),
    ]
    model.fit(X, Y, callbacks=calls, **FIT)


ROUNDS = {
    function.__name__: function
    for function in (
        fit, compile_again, predict, evaluate, single_batches, build, build_and_fit, own_classes,
        save_and_load, weights, clone, failed_fit, backup,
    )
}  # fmt: skip
# Rounds that compile: few of them tell as much.
COMPILING = {"compile_again", "build_and_fit", "own_classes"}
# About a second each, for what `compile_again` does too.
ROUNDS_OF = {"build_and_fit": 50, "own_classes": 50}


def census():
    """Count what must not grow: arrays on the device, models, and programs of our own."""
    gc.collect()
    counts = {"arrays": len(jax.live_arrays())}
    kept = (staghorn.Model, Program, Predictor, staghorn.Variable)
    for cls, count in Counter(map(type, gc.get_objects())).items():
        for kind in kept:
            if issubclass(cls, kind):
                counts[kind.__name__] = counts.get(kind.__name__, 0) + count
    return counts


def resident():
    """Bytes of memory that the process holds, as Linux tells."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def cached(model):
    """Number of things in the model's own caches, and of compiled forms of its programs."""
    held = dict(model._executor or {})
    programs = [entry[-1].program for mode, entry in held.items() if mode in ("train", "test")]
    forms = sum(p.run.program._cache_size() + p.run_rows.program._cache_size() for p in programs)
    if "predict" in held:
        predictor = held["predict"][-1]
        forms += sum(p.program._cache_size() for p in (predictor.one, predictor.many))
    return len(held), forms


def assert_nothing_kept(names, model, folder, warm_up, rounds):
    def run(count):
        for name in names * count:
            ROUNDS[name](model, folder)

    run(warm_up)
    before, caches = census(), cached(model)
    run(rounds)
    assert (names, census(), cached(model)) == (names, before, caches)


def test_20_rounds_keep_nothing(tmp_path):
    """One model goes through all of them, which saves compiling one for each."""
    model = make_model()
    ordinary = [name for name in ROUNDS if name not in COMPILING]
    assert_nothing_kept(ordinary, model, tmp_path, warm_up=2, rounds=20)
    assert_nothing_kept(sorted(COMPILING), model, tmp_path, warm_up=1, rounds=2)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize("name", ROUNDS)
def test_200_rounds_keep_nothing(name, tmp_path):
    model = make_model()
    rounds = ROUNDS_OF.get(name, 200)
    # Allocators and JAX's caches reach their usual size.
    assert_nothing_kept([name], model, tmp_path, warm_up=2, rounds=18)
    size = resident()
    assert_nothing_kept([name], model, tmp_path, warm_up=0, rounds=rounds)
    assert resident() - size < rounds * KEPT_PER_ROUND


def test_caches_of_functions_are_bounded():
    """A cache by class or function keeps what it knows alive, also classes made in a loop."""
    for module in pkgutil.walk_packages(staghorn.__path__, "staghorn."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    caches = {
        f"{name}.{attribute}": value.cache_info().maxsize
        for name, module in list(sys.modules.items())
        if name.startswith("staghorn")
        for attribute, value in vars(module).items()
        if hasattr(value, "cache_info") and inspect.signature(value).parameters
    }
    assert caches
    assert [name for name, size in caches.items() if size is None] == []


def test_the_census_sees_a_leak():
    before = census()
    leak = make_model()
    after = census()
    assert after["Model"] == before.get("Model", 0) + 1
    assert after["arrays"] > before["arrays"]
    del leak
    assert census() == before


def test_a_deleted_model_is_freed():
    model = make_model()
    model.fit(X, Y, **FIT)
    predict(model, None)
    held = [weakref.ref(thing) for thing in (model, model.layers[1], model.optimizer)]
    held.append(weakref.ref(model._executor["train"][-1]))
    del model
    gc.collect()
    assert [reference() for reference in held] == [None] * len(held)


def test_clear_session_starts_names_again_and_keeps_models(monkeypatch):
    model = make_model()
    expected = model.predict(X, verbose=0)
    caches = cached(model)
    collected = []
    monkeypatch.setattr(gc, "collect", lambda *args: collected.append(1) or 0)
    staghorn.utils.clear_session(free_memory=False)
    assert not collected  # cheap: nothing is walked, no program is thrown away
    staghorn.utils.clear_session()
    assert collected == [1]
    assert layers.Dense(1).name == "dense"
    assert staghorn.utils.get_random_seed() is None
    np.testing.assert_array_equal(model.predict(X, verbose=0), expected)
    assert cached(model) == caches


# Threads ---------------------------------------------------------------------------------------


def run_threads(*tasks):
    """Run functions at the same time, each in a thread; return results, raise errors."""
    start = threading.Barrier(len(tasks))
    results = [None] * len(tasks)

    def work(place, task):
        start.wait(timeout=60)
        try:
            results[place] = task()
        except BaseException as error:
            results[place] = error

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def numpy_answers(model, x):
    """The same answers, computed by NumPy from the weights."""
    kernel, bias, last, last_bias = model.get_weights()
    return (x @ kernel + bias) @ last + last_bias


@pytest.mark.parametrize(("models", "warm"), [(1, False), (2, True)])
def test_predict_from_four_threads(models, warm):
    made = [make_model(units=4 + i) for i in range(models)]
    if warm:
        for model in made:
            model.fit(X, Y, **FIT)
            model.predict(X, verbose=0)

    def task(number):
        model, answers = made[number % models], []
        for count in (1, 5, 16, 40) * 3:
            rows = RNG_ROWS[number][:count]
            answers.append((rows, model.predict(rows, batch_size=16, verbose=0)))
        return model, answers

    for model, answers in run_threads(*(lambda n=n: task(n) for n in range(4))):
        for rows, answer in answers:
            np.testing.assert_allclose(answer, numpy_answers(model, rows), rtol=1e-5, atol=1e-6)


RNG_ROWS = RNG.normal(size=(4, 40, 3)).astype("float32")


def test_calls_from_four_threads():
    model = make_model()

    def task(number):
        return [np.asarray(model(RNG_ROWS[number])) for _ in range(5)]

    for number, answers in enumerate(run_threads(*(lambda n=n: task(n) for n in range(4)))):
        for answer in answers:
            expected = numpy_answers(model, RNG_ROWS[number])
            np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-6)


def test_training_in_one_thread_and_predicting_in_another():
    """Two models: one trains while the other answers."""
    staghorn.utils.set_random_seed(0)
    alone, beside, answering = make_model(), make_model(), make_model()
    beside.set_weights(alone.get_weights())
    state = alone.layers[2].seed_generator.state.numpy()
    beside.layers[2].seed_generator.state.assign(state)
    alone.fit(X, Y, shuffle=False, epochs=5, **FIT)

    def answer():
        return [answering.predict(X, verbose=0) for _ in range(20)]

    def train():
        beside.fit(X, Y, shuffle=False, epochs=5, **FIT)

    answers, _ = run_threads(answer, train)
    for got in answers:
        expected = numpy_answers(answering, X)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    for one, two in zip(alone.get_weights(), beside.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
