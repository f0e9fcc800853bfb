"""Callbacks inside the loops: order, immediate effect, evaluation in the middle of an epoch."""

import numpy as np
import pytest

import staghorn
from staghorn.callbacks import Callback
from tests.callbacks.hook_order import hook_order
from tests.oracle import keras
from tests.training.twins import assert_close, assert_history, assert_weights, dense, regression
from tests.training.twins import twins as make_twins

COMMON = {"batch_size": 4, "verbose": 0, "shuffle": False}


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_order(method):
    assert hook_order(staghorn, method) == hook_order(keras, method)


def test_order_without_validation_and_in_groups():
    assert hook_order(staghorn, "fit", validation=False) == hook_order(
        keras, "fit", validation=False
    )
    ours = hook_order(staghorn, "fit", validation=False, steps_per_execution=2)
    theirs = hook_order(keras, "fit", validation=False, steps_per_execution=2)
    assert [hook for hook, *_ in ours] == [hook for hook, *_ in theirs]


def both(make_callback, epochs=3, fit_with=None, compile_with=None, rows=10):
    """Train both libraries with a callback; histories and weights must be equal."""
    x, y = regression(rows=rows)
    ours, theirs = make_twins(dense())
    histories = []
    for model, library in ((ours, staghorn), (theirs, keras)):
        arguments = {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], **(compile_with or {})}
        model.compile(**arguments)
        callbacks = [make_callback(library)]
        given = {**COMMON, "epochs": epochs, "callbacks": callbacks, **(fit_with or {})}
        histories.append(model.fit(x, y, **given))
    assert_history(*histories)
    assert_weights(ours, theirs)
    return ours, histories[0]


def on(library, **hooks):
    """A callback with these hooks, as methods."""
    return type("Made", (library.callbacks.Callback,), hooks)()


def halve_rate(self, *_, **__):
    optimizer = self.model.optimizer
    optimizer.learning_rate = float(np.asarray(optimizer.learning_rate.value)) / 2


@pytest.mark.parametrize(
    "hook", ["on_train_batch_end", "on_train_batch_begin", "on_epoch_begin", "on_epoch_end"]
)
def test_a_new_learning_rate_takes_effect_at_once(hook):
    both(lambda k: on(k, **{hook: halve_rate}))


def halve_weights(self, *_, **__):
    self.model.set_weights([np.array(w.value) / 2 for w in self.model.weights])


def test_new_weights_take_effect_at_once_in_epoch_hooks():
    both(lambda k: on(k, on_epoch_end=halve_weights))


def test_new_weights_take_effect_at_once_in_batch_hooks():
    """Keras has given its weights away by then; a loop over train_on_batch is the oracle."""
    x, y = regression(rows=10)
    model, twin = (dense()(staghorn) for _ in range(2))
    twin.set_weights(model.get_weights())
    for each in (model, twin):
        each.compile("sgd", "mse")
    model.fit(x, y, callbacks=[on(staghorn, on_train_batch_end=halve_weights)], **COMMON)
    for start in (0, 4, 8):
        twin.train_on_batch(x[start : start + 4], y[start : start + 4])
        twin.set_weights([w / 2 for w in twin.get_weights()])
    assert_weights(model, twin)


def stop(self, *_, **__):
    self.model.stop_training = True


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end"])
def test_stop_training(hook):
    """The validation after it still sees all of its batches."""
    x, y = regression(rows=10, seed=9)
    fit_with = {"validation_data": (x, y)}
    ours, history = both(lambda k: on(k, **{hook: stop}), fit_with=fit_with)
    assert history.epoch == [0]
    # The flag stays, and means nothing to evaluate.
    error = np.abs(ours.predict(x, verbose=0) - y).mean()
    assert_close(ours.evaluate(x, y, batch_size=4, verbose=0)[1], error)


def test_stop_evaluating():
    x, y = regression(rows=10)
    model = dense()(staghorn)
    model.compile("sgd", "mse")

    class Stop(Callback):
        def on_test_batch_end(self, batch, logs=None):
            self.model.stop_evaluating = True

    first = model.evaluate(x[:4], y[:4], verbose=0)
    assert_close(model.evaluate(x, y, callbacks=[Stop()], batch_size=4, verbose=0), first)
    assert model.evaluate(x, y, batch_size=4, verbose=0) != first


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # keras's own
def test_early_stopping_and_its_relatives_equal_keras():
    x, y = regression(rows=10, seed=5)
    for arguments in (
        {"monitor": "val_loss", "patience": 1, "restore_best_weights": True},
        {"monitor": "loss", "min_delta": 0.5, "restore_best_weights": True},
    ):
        both(
            lambda k, a=arguments: k.callbacks.EarlyStopping(**a),
            epochs=8,
            fit_with={"validation_data": (x[::-1], y)},
            compile_with={"optimizer": "adam"},
        )
    both(lambda k: k.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5))
    both(lambda k: k.callbacks.ReduceLROnPlateau(monitor="loss", min_delta=10.0, patience=1))


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_train_batch_begin", "on_epoch_end"])
@pytest.mark.parametrize("eagerly", [False, True])
def test_evaluating_inside_a_callback_leaves_the_epoch_right(hook, eagerly):
    """Keras's evaluate() would reset the training metrics in the middle of an epoch."""
    x, y = regression(rows=10)
    plain, watched = (dense()(staghorn) for _ in range(2))
    watched.set_weights(plain.get_weights())
    for model in (plain, watched):
        model.compile("sgd", "mse", metrics=["mae"], run_eagerly=eagerly)
    found = []

    def evaluate(self, *_, **__):
        found.append(self.model.evaluate(x[:7], y[:7], batch_size=4, verbose=0))
        self.model.test_on_batch(x[:3], y[:3])
        self.model.predict(x[:2], verbose=0)

    callback = on(staghorn, **{hook: evaluate})
    fit_with = {**COMMON, "epochs": 2}
    expected = plain.fit(x, y, **fit_with)
    got = watched.fit(x, y, callbacks=[callback], **fit_with)
    assert len(found) == (2 if hook == "on_epoch_end" else 6)
    for name, values in expected.history.items():
        assert_close(got.history[name], values, name)
    assert_weights(watched, plain)


def test_every_callback_of_the_library_sees_the_same_logs(tmp_path):
    file = tmp_path / "log.csv"
    seen = []
    _, history = both(
        lambda k: k.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append((epoch, dict(logs)))
        )
    )
    assert seen[0][1] == {name: values[0] for name, values in history.history.items()}
    x, y = regression(rows=10)
    model = dense()(staghorn)
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=2, callbacks=[staghorn.callbacks.CSVLogger(str(file))], **COMMON)
    assert len(file.read_text().splitlines()) == 3


def test_terminate_on_nan():
    x, y = regression(rows=10)
    x[5, 0] = np.nan
    model = dense()(staghorn)
    model.compile("sgd", "mse")
    nan = staghorn.callbacks.TerminateOnNaN()
    with pytest.warns(UserWarning, match="^fit: x holds NaN, in row 5 first"):
        history = model.fit(x, y, epochs=5, callbacks=[nan], **COMMON)
    assert len(history.epoch) == 1


def test_validation_metrics_do_not_leak_into_training():
    x, y = regression(rows=10)
    model, twin = (dense()(staghorn) for _ in range(2))
    twin.set_weights(model.get_weights())
    histories = []
    for each, validation in ((model, None), (twin, (x * 3, y - 5))):
        each.compile("sgd", "mse", metrics=["mae"])
        histories.append(each.fit(x, y, epochs=3, validation_data=validation, **COMMON).history)
    assert histories[0]["loss"] == histories[1]["loss"]
    assert histories[0]["mae"] == histories[1]["mae"]


@pytest.mark.parametrize("verbose", [0, 1, 2, "auto"])
def test_verbose(verbose, capsys):
    x, y = regression(rows=10)
    model = dense()(staghorn)
    model.compile("sgd", "mse")
    model.fit(x, y, batch_size=4, epochs=2, verbose=verbose, validation_split=0.3)
    model.evaluate(x, y, verbose=verbose)
    model.predict(x, verbose=verbose)
    printed = capsys.readouterr().out
    assert bool(printed) == (verbose != 0)
    if verbose == 2:
        lines = printed.splitlines()
        assert len(lines) == 6  # an epoch is two lines, as in Keras; evaluate and predict are one
        assert "val_loss" in lines[1]
