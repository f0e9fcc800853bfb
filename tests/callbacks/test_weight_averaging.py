"""StochasticWeightAveraging: the mean, the statistics that belong to it, and an exact resume."""

import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.callbacks import BackupAndRestore, Callback, ModelCheckpoint
from staghorn.callbacks import StochasticWeightAveraging as Averaging
from tests.callbacks.test_backup_and_restore import Interrupt

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 4)).astype("float32")
Y = RNG.normal(size=(22, 1)).astype("float32")


def make_model(norm=True, policy=None):
    staghorn.utils.set_random_seed(1)
    inside = [layers.BatchNormalization(name="norm", dtype=policy)] if norm else []
    model = staghorn.Sequential(
        [
            staghorn.Input((4,)),
            layers.Dense(6, activation="tanh", name="hidden", dtype=policy),
            *inside,
            layers.Dropout(0.2, dtype=policy),
            layers.Dense(1, name="out", dtype=policy),
        ]
    )
    model.compile(staghorn.optimizers.SGD(0.1), "mse")
    return model


class Watch(Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append([v.numpy() for v in self.model.trainable_variables])


def fit(model, *calls, seed=7, **options):
    staghorn.utils.set_random_seed(seed)
    options = {"batch_size": 8, "epochs": 5, "verbose": 0, **options}
    return model.fit(X, Y, callbacks=list(calls), **options).history


@pytest.mark.parametrize(("start", "every", "epochs"), [(0, 1, [0, 1, 2, 3, 4]), (1, 2, [1, 3])])
def test_the_model_ends_with_the_mean(start, every, epochs):
    model, plain, watch = make_model(), make_model(), Watch()
    average = Averaging(start, every)
    assert fit(model, average, watch) == fit(plain)  # training itself is not changed
    assert average.count == len(epochs)
    for i, variable in enumerate(model.trainable_variables):
        wanted = np.mean([watch.seen[epoch][i] for epoch in epochs], axis=0)
        np.testing.assert_allclose(variable.numpy(), wanted, rtol=1e-5, atol=1e-7)


def test_moving_statistics_are_those_of_the_averaged_weights():
    model = make_model()
    fit(model, Averaging(2), batch_size=22)
    norm = model.get_layer("norm")
    hidden = np.asarray(model.get_layer("hidden")(X))
    np.testing.assert_allclose(norm.moving_mean.numpy(), hidden.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance.numpy(), hidden.var(axis=0), rtol=1e-4)
    assert norm.momentum == 0.99
    before = norm.moving_mean.numpy()
    fit(model, epochs=1)  # and they move on as before
    moved = norm.moving_mean.numpy() - before
    assert 0 < np.abs(moved).max() < 0.1


def test_statistics_of_uneven_batches_are_weighted_by_rows():
    model = make_model()
    fit(model, Averaging(2), batch_size=8)  # 8, 8 and 6 rows
    hidden = np.asarray(model.get_layer("hidden")(X))
    found = model.get_layer("norm").moving_mean.numpy()
    np.testing.assert_allclose(found, hidden.mean(axis=0), rtol=1e-4, atol=1e-6)


def test_before_the_start_and_after_a_failure_nothing_is_assigned():
    plain, late, failed = make_model(), make_model(), make_model()
    fit(plain, epochs=2)
    average = Averaging(start_epoch=7)
    fit(late, average, epochs=2)
    assert average.count == 0
    with pytest.raises(KeyboardInterrupt):
        fit(failed, Averaging(), Interrupt(epoch=2))
    for other in (late, failed):
        for left, right in zip(plain.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("kind", ["backup", "checkpoint"])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, kind):
    def run(seed, *calls, **options):
        model = make_model()
        fit(model, Averaging(1), *calls, epochs=6, seed=seed, **options)
        return model.get_weights()

    whole = run(3)
    if kind == "backup":
        call = BackupAndRestore(tmp_path / "run")
    else:
        call = ModelCheckpoint(tmp_path / "model.keras")
    with pytest.raises(KeyboardInterrupt):
        run(3, call, Interrupt(epoch=4))
    if kind == "backup":
        again = run(8, call)
    else:
        again = run(8, ModelCheckpoint(tmp_path / "new.keras"), resume=tmp_path / "model.keras")
    for left, right in zip(whole, again, strict=True):
        np.testing.assert_array_equal(left, right)


def test_half_precision_weights_are_averaged_in_float32():
    model, watch = make_model(norm=False, policy="bfloat16"), Watch()
    average = Averaging()
    fit(model, average, watch, epochs=9)
    for i, variable in enumerate(model.trainable_variables):
        wanted = np.mean([seen[i].astype("float32") for seen in watch.seen], axis=0)
        assert variable.dtype == "bfloat16"
        np.testing.assert_allclose(
            variable.numpy().astype("float32"), wanted, rtol=2**-8, atol=1e-6
        )


def test_generators():
    def batches():
        while True:
            yield X[:8], Y[:8]

    with pytest.raises(ValueError, match=r"StochasticWeightAveraging\(data=\(x, y\)\)"):
        make_model().fit(batches(), steps_per_epoch=2, verbose=0, callbacks=[Averaging()])
    for model, average in (
        (make_model(), Averaging(data=(X, Y))),
        (make_model(False), Averaging()),
    ):
        model.fit(batches(), steps_per_epoch=2, epochs=2, verbose=0, callbacks=[average])
        assert average.count == 2
        assert all(np.isfinite(w).all() for w in model.get_weights())


def test_wrong_arguments():
    with pytest.raises(ValueError, match="start_epoch must be an int of 0 or more"):
        Averaging(start_epoch=-1)
    with pytest.raises(ValueError, match="every must be"):
        Averaging(every=0)
