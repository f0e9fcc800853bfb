"""A loss that is not finite: which step, why, and whether training goes on."""

import contextlib
import io
import re
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn.callbacks import Callback, TerminateOnNaN

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3)).astype("float32")  # batch 4: seven steps and a tail of two rows
Y = X[:, :1].copy()
COMMON = {"batch_size": 4, "verbose": 0, "shuffle": False}
KINDS = {
    "grouped": {},
    "by three": {"steps_per_execution": 3},
    "by eight": {"steps_per_execution": 8},
    "eager": {"run_eagerly": True},
}


class Batches(Callback):
    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(batch)


def dense(rate=0.01, middle=None, cls=staghorn.Sequential, **compile_with):
    staghorn.utils.set_random_seed(0)
    layers = [staghorn.layers.Dense(4, name="first"), staghorn.layers.Dense(1, name="last")]
    if middle is not None:
        layers.insert(1, staghorn.layers.Lambda(middle, name="middle"))
    model = cls([staghorn.Input((3,)), *layers])
    model.compile(staghorn.optimizers.SGD(rate), "mse", metrics=["mae"], **compile_with)
    return model


def with_nan(row):
    x = X.copy()
    x[row, 1] = np.nan
    return x


def trained_alone(count):
    """Weights after some steps, each a call of its own that looks at nothing."""
    model = dense()
    for i in range(count):
        model.train_on_batch(X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4])
    return model.get_weights()


def diverging():
    """A column that is fine for five steps, then larger than float32 can square."""
    x = X.copy()
    x[20:24] = 3e30
    return x


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_and_warns_once(kind):
    model = dense(**KINDS[kind])
    with pytest.warns(UserWarning, match="^Epoch 1, batch 5 .counted from 0.: the loss") as caught:
        history = model.fit(diverging(), Y, epochs=3, **COMMON).history
    assert len(caught) == 1
    assert not np.isfinite(history["loss"]).any()
    assert len(history["loss"]) == 3
    assert all(np.isnan(w).all() for w in model.get_weights())  # nothing was left out
    assert int(model.optimizer.iterations.numpy()) == 3 * 8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("listening", [False, True])
def test_training_ends_with_the_very_step(kind, listening, capsys):
    model = dense(**KINDS[kind])
    seen = Batches()
    callbacks = [TerminateOnNaN(), *([seen] if listening else [])]
    history = model.fit(diverging(), Y, epochs=3, callbacks=callbacks, **COMMON).history
    assert int(model.optimizer.iterations.numpy()) == 6
    assert len(history["loss"]) == 1
    assert not np.isfinite(history["loss"][0])
    out = capsys.readouterr().out
    assert out.startswith("Batch 5: Invalid loss, terminating training\n")
    assert "What usually helps" in out
    if listening:
        assert seen.seen[-1] == 5
    for got, wanted in zip(model.get_weights(), trained_alone(5), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4)


@pytest.mark.parametrize("row", [0, 29])
def test_the_first_step_and_the_smaller_last_one(row, capsys):
    model = dense(steps_per_execution=3)
    with pytest.warns(UserWarning, match=f"x holds NaN, in row {row} first"):
        model.fit(with_nan(row), Y, callbacks=[TerminateOnNaN()], **COMMON)
    out = capsys.readouterr().out
    assert out.startswith(f"Batch {row // 4}: ")
    assert f"x holds NaN in rows {row}." in out
    assert int(model.optimizer.iterations.numpy()) == row // 4 + 1


def test_rows_are_those_of_the_callers_array(capsys):
    model = dense()
    y = Y.copy()
    y[[13, 14]] = np.inf
    with pytest.warns(UserWarning, match="not finite"):
        model.fit(X, y, callbacks=[TerminateOnNaN()], batch_size=30, verbose=0)
    assert "y holds infinity in rows 13, 14." in capsys.readouterr().out


def ended(model, x):
    """What is said about a training that ends."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        model.fit(x, Y, epochs=3, callbacks=[TerminateOnNaN()], **COMMON)
    return out.getvalue()


def batches(size=4):
    x = with_nan(21)
    for i in range(0, 30, size):
        yield x[i : i + size], Y[i : i + size]


@pytest.mark.parametrize("size", [4, 7])
def test_batches_of_a_generator(size, capsys):
    model = dense()
    history = model.fit(batches(size), callbacks=[TerminateOnNaN()], verbose=0).history
    out = capsys.readouterr().out
    assert out.startswith(f"Batch {21 // size}: ")
    assert f"x holds NaN in rows {21 % size} of the batch." in out
    assert np.isnan(history["loss"][0])
    assert int(model.optimizer.iterations.numpy()) == 21 // size + 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_layer_is_named(kind):
    model = dense(middle=lambda x: jnp.log(x - 1e3), **KINDS[kind])
    assert re.match(r"(?s)Batch 0: .*that of layer 'middle' \(Lambda\)", ended(model, X))


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_that_was_not_finite_is_told_from_the_loss(kind):
    """The square root of zero: the first loss is fine, its gradient is not."""
    model = dense(middle=jnp.sqrt, **KINDS[kind])
    said = ended(model, np.zeros_like(X))
    assert re.match(r"(?s)Batch 1: .*the weights .*first/kernel.* its gradient", said)


def test_moving_statistics_are_kept_too():
    staghorn.utils.set_random_seed(0)
    inner = [staghorn.layers.BatchNormalization(name="norm"), staghorn.layers.Dense(1)]
    model = staghorn.Sequential([staghorn.Input((3,)), *inner])
    model.compile("adam", "mse")
    with pytest.warns(UserWarning, match="x holds NaN, in row 21 first"):
        assert ended(model, with_nan(21)).startswith("Batch 5: ")
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_the_loss_itself():
    model = dense()
    model.compile("sgd", lambda y, p: jnp.log(jnp.mean(y, axis=-1) * 0.0))
    assert "look at the loss: the logarithm of zero" in ended(model, X)


def test_the_error_says_why():
    model = dense(middle=lambda x: jnp.log(x - 1e3))
    with pytest.raises(RuntimeError, match=r"(?s)^Batch 0: .*that of layer 'middle'"):
        model.fit(X, Y, callbacks=[TerminateOnNaN(raise_error=True)], **COMMON)


def test_batches_of_several_shapes_end_with_the_bad_one(capsys):
    """Each is a call of its own, and the next one is started before the last one is known."""
    model = dense()
    sizes = [4, 3, 5, 2, 6, 1]
    data = [(np.full((n, 3), 3e30 if n == 5 else 0.1, "float32"), Y[:n]) for n in sizes]
    model.fit(iter(data), callbacks=[TerminateOnNaN()], verbose=0)
    assert capsys.readouterr().out.startswith("Batch 2: ")
    assert int(model.optimizer.iterations.numpy()) == 3
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_watching_adds_no_program_and_no_call():
    """With or without a bad step: one trace, and as many calls as there are groups."""
    for x in (X, diverging()):
        model = dense(steps_per_execution=4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x, Y, epochs=3, **COMMON)
            executor = model._executor["train"][2]
            calls, run = [], executor.program.run
            executor.program.run = lambda *args, calls=calls, run=run: calls.append(1) or run(*args)
            model.fit(x, Y, epochs=3, **COMMON)
        assert len(calls) == 6
        assert executor.program.traces == 1


def test_the_layers_calls_are_as_before():
    model = dense()
    ended(model, diverging())
    assert all("call" not in vars(layer) for layer in model.layers)
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    assert np.isfinite(model.predict(X, verbose=0)).all()


class Own(staghorn.Sequential):
    logs = staticmethod(lambda loss: {"loss": loss})

    def train_step(self, data):
        x, y = data

        def loss_fn():
            return self.compute_loss(x, y, self(x, training=True))

        loss, gradients = staghorn.value_and_grad(loss_fn, self.trainable_variables)()
        self.optimizer.apply(gradients, self.trainable_variables)
        return self.logs(loss)


class Unnamed(Own):
    logs = staticmethod(lambda loss: {"energy": loss})


def test_an_own_step(capsys):
    model = dense(cls=Own, steps_per_execution=3)
    history = model.fit(diverging(), Y, epochs=2, callbacks=[TerminateOnNaN()], **COMMON).history
    assert capsys.readouterr().out.startswith("Batch 5: ")
    assert not np.isfinite(history["loss"]).any()
    assert int(model.optimizer.iterations.numpy()) == 6


def test_an_own_step_without_a_loss_is_left_alone():
    model = dense(cls=Unnamed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = model.fit(diverging(), Y, **COMMON).history
    assert np.isnan(history["energy"]).all()


def test_single_batches_are_taken_as_they_are():
    model = dense()
    bad = np.full((4, 3), 3e30, "float32")
    assert not np.isfinite(model.train_on_batch(bad, Y[:4])[0])
    assert int(model.optimizer.iterations.numpy()) == 1
    assert not np.isfinite(model.get_weights()[0]).any()


def test_gradients_that_loss_scaling_skips_are_no_alarm():
    staghorn.utils.set_random_seed(0)
    model = staghorn.Sequential(
        [staghorn.Input((3,)), staghorn.layers.Dense(1, dtype="mixed_float16")]
    )
    inner = staghorn.optimizers.SGD(0.01)
    model.compile(staghorn.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**30), "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = model.fit(X, Y, **COMMON).history
    assert np.isfinite(history["loss"]).all()
    assert float(model.optimizer.dynamic_scale.numpy()) < 2.0**30  # some steps were skipped


def test_the_state_that_led_to_it_is_what_is_looked_at(monkeypatch):
    found = []
    from staghorn.training import loop

    def explain(model, batch, rows, known):
        assert known
        found.append((model.get_weights(), rows.tolist()))
        return "because"

    monkeypatch.setattr(loop, "explain", explain)
    assert "because" in ended(dense(steps_per_execution=3), diverging())
    weights, rows = found[0]
    assert rows == [20, 21, 22, 23]
    for got, wanted in zip(weights, trained_alone(5), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_the_next_fit_warns_again():
    model = dense()
    for _ in range(2):
        with pytest.warns(UserWarning, match="batch 5"):
            model.fit(diverging(), Y, initial_epoch=0, **COMMON)
        model.set_weights(dense().get_weights())


def test_epochs_are_counted_from_the_first():
    model = dense()
    with pytest.warns(UserWarning, match="^Epoch 3, batch 5"):
        model.fit(diverging(), Y, initial_epoch=2, epochs=3, **COMMON)
