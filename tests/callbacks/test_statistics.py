"""Statistics: the numbers, what they cost, and that training does not notice them."""

import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.callbacks import BackupAndRestore, Statistics
from staghorn.callbacks.statistics import NAMES, of_arrays
from tests.callbacks.test_backup_and_restore import Interrupt

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 4)).astype("float32")
Y = RNG.normal(size=(22, 1)).astype("float32")


class Counted(layers.Layer):
    """Counts how often it is traced."""

    traces = 0

    def call(self, x):
        Counted.traces += 1
        return x


def make_model():
    staghorn.utils.set_random_seed(1)
    model = staghorn.Sequential(
        [
            staghorn.Input((4,)),
            layers.Dense(6, activation="relu", name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.3, name="drop"),
            Counted(name="counted"),
            layers.Dense(1, name="out"),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model


def fit(model, *calls, seed=7, **options):
    staghorn.utils.set_random_seed(seed)
    options = {"batch_size": 8, "epochs": 3, "verbose": 0, **options}
    return model.fit(X, Y, callbacks=list(calls), **options).history


def test_the_formulas():
    x = RNG.normal(size=(5, 7)).astype("float32") * (RNG.uniform(size=(5, 7)) > 0.4)
    whole = np.concatenate([x.ravel(), [2, 3, 0]])
    found = {name: float(value) for name, value in of_arrays([x, np.array([2, 3, 0])]).items()}
    assert tuple(found) == NAMES
    wanted = [whole.mean(), whole.std(), np.linalg.norm(whole), np.mean(whole == 0), 0]
    np.testing.assert_allclose(list(found.values()), wanted, rtol=1e-5)
    broken = of_arrays(np.array([np.nan, np.inf, 1.0, 0.0]))
    assert [float(v) for v in broken.values()] == [0.5, 0.5, 1.0, 0.25, 0.5]
    nothing = of_arrays(np.full(3, np.nan))
    assert [float(v) for v in nothing.values()] == [0, 0, 0, 0, 1]


def test_they_are_those_of_the_first_batch_after_each_epoch():
    model, look, seen = make_model(), Statistics(), []

    class Watch(staghorn.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            slopes = self.model.gradients(X[:8], Y[:8])
            hidden = self.model.get_layer("hidden")(X[:8])
            seen.append((np.linalg.norm(slopes["out"]["kernel"]), np.linalg.norm(hidden)))
            seen[-1] = (np.hypot(seen[-1][0], slopes["out"]["bias"][0]), seen[-1][1])

    fit(model, look, Watch())
    assert list(look.history["activations"]) == ["hidden", "norm", "drop", "counted", "out"]
    assert list(look.history["gradients"]) == ["hidden", "norm", "out"]
    found = look.history["gradients"]["out"]["norm"], look.history["activations"]["hidden"]["norm"]
    np.testing.assert_allclose(np.transpose(found), seen, rtol=1e-4)
    assert look.history["activations"]["hidden"]["zeros"][0] > 0  # relu
    assert look.epoch == [0, 1, 2]


def test_training_is_the_same_with_and_without():
    plain, watched = make_model(), make_model()
    one, two = fit(plain), fit(watched, Statistics())
    assert one == two
    for left, right in zip(plain.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_cost_is_a_program_and_a_call_per_recorded_epoch(monkeypatch):
    model, look, calls = make_model(), Statistics(every=2), []
    fit(model, epochs=1)
    Counted.traces = 0
    make = model._statistics

    def counting(*arguments):
        compute = make(*arguments)
        return lambda: calls.append(1) or compute()

    monkeypatch.setattr(type(model), "_statistics", lambda self, *arguments: counting(*arguments))
    program = model._executor["train"][2].program
    traces = program.traces
    fit(model, look, epochs=6)
    assert len(calls) == 3
    assert look.epoch == [1, 3, 5]
    assert Counted.traces == 2  # on shapes, to find what it reads; then compiled
    assert model._executor["train"][2].program is program
    assert program.traces == traces
    assert not look.needs_batches


def test_only_one_kind_own_rows_generators_and_loops():
    model = staghorn.Sequential([layers.LSTM(3, name="lstm"), layers.Dense(1, name="out")])
    model.compile("sgd", "mse")
    series = RNG.normal(size=(22, 5, 2)).astype("float32")

    def batches():
        while True:
            yield series[:8], Y[:8]

    first, own = Statistics(activations=False), Statistics(gradients=False, data=(series, Y))
    model.fit(batches(), steps_per_epoch=2, epochs=2, verbose=0, callbacks=[first, own])
    assert list(first.history) == ["gradients"]
    assert list(first.history["gradients"]) == ["lstm/lstm_cell", "out"]
    assert list(own.history["activations"]) == ["lstm", "out"]
    assert len(own.history["activations"]["lstm"]["mean"]) == 2


def test_nan_is_seen_where_it_begins():
    model, look = make_model(), Statistics()
    model.get_layer("norm").gamma.assign(np.full(6, np.nan))
    with pytest.warns(UserWarning, match="^Epoch 1, batch 0 .*the loss is not finite"):
        fit(model, look, epochs=1)
    found = {path: own["nonfinite"][0] for path, own in look.history["activations"].items()}
    assert found["hidden"] in (0, 1)  # the step before has spread it
    assert found["norm"] == 1


def test_a_resumed_fit_goes_on_with_the_record(tmp_path):
    def run(seed, *calls):
        model, look = make_model(), Statistics()
        fit(model, look, *calls, epochs=4, seed=seed)
        return look.history, look.epoch

    whole = run(1)
    backup = BackupAndRestore(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run(1, backup, Interrupt(epoch=2))
    assert run(2, backup) == whole


def test_pictures(tmp_path):
    model, look = make_model(), Statistics()
    with pytest.raises(ValueError, match="nothing was recorded"):
        look.plot()
    fit(model, look)
    fit(model, look)
    figure = look.plot(tmp_path / "norms.png")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "gradients: norm",
        "activations: norm",
    ]
    lines = figure.axes[1].get_lines()
    assert [line.get_label() for line in lines] == list(look.history["activations"])
    assert [len(line.get_xdata()) for line in lines] == [6] * 5
    assert (tmp_path / "norms.png").stat().st_size > 5000
    with pytest.raises(ValueError, match="Did you mean 'zeros'"):
        look.plot(statistic="zeroes")


def test_wrong_arguments():
    with pytest.raises(ValueError, match="leave nothing"):
        Statistics(gradients=False, activations=False)
    with pytest.raises(ValueError, match="Statistics: every must be"):
        Statistics(every=0)
    with pytest.raises(ValueError, match=r"data must be \(x, y\)"):
        fit(make_model(), Statistics(data=X))
