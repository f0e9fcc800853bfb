"""Steps in the style of Keras on JAX: the same class in both libraries gives the same numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from tests.oracle import keras
from tests.training.twins import assert_close, assert_weights, values

RNG = np.random.default_rng(7)
ROWS = 22  # five batches of four and one of two
X = RNG.normal(size=(ROWS, 3)).astype("float32")
Y = RNG.normal(size=(ROWS, 1)).astype("float32")
COMMON = {"batch_size": 4, "verbose": 0, "shuffle": False}


def net(library, cls, outputs=1):
    """A functional model of a class, with state that is not trained: statistics and a seed."""
    layers = library.layers
    inputs = library.Input((3,))
    x = layers.Dense(5, activation="tanh")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.3, seed=4)(x)
    return cls(inputs, layers.Dense(outputs, kernel_regularizer="l2")(x))


def by_hand(library):
    """Its own trackers, which `metrics` lists, and every pure method there is."""

    class ByHand(library.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.error = library.metrics.Mean(name="error")
            self.mae = library.metrics.MeanAbsoluteError(name="mae")

        @property
        def metrics(self):
            return [self.error, self.mae]

        def loss_of(self, weights, rest, x, y, training):
            guess, rest = self.stateless_call(weights, rest, x, training=training)
            return library.ops.mean((guess - y) ** 2), (guess, rest)

        def measured(self, old, loss, y, guess):
            split = len(self.error.variables)
            error = self.error.stateless_update_state(old[:split], loss)
            mae = self.mae.stateless_update_state(old[split:], y, guess)
            logs = {
                "error": self.error.stateless_result(error),
                "mae": self.mae.stateless_result(mae),
            }
            return logs, error + mae

        def train_step(self, state, data):
            weights, rest, slots, tracked = state
            x, y = data
            gradient = jax.value_and_grad(self.loss_of, has_aux=True)
            (loss, (guess, rest)), grads = gradient(weights, rest, x, y, True)
            weights, slots = self.optimizer.stateless_apply(slots, grads, weights)
            logs, tracked = self.measured(tracked, loss, y, guess)
            return logs, (weights, rest, slots, tracked)

        def test_step(self, state, data):
            weights, rest, tracked = state
            x, y = data
            loss, (guess, rest) = self.loss_of(weights, rest, x, y, False)
            logs, tracked = self.measured(tracked, loss, y, guess)
            return logs, (weights, rest, tracked)

        def predict_step(self, state, data):
            weights, rest = state
            x = data[0] if isinstance(data, tuple) else data
            outputs, rest = self.stateless_call(weights, rest, x, training=False)
            return 2 * outputs, rest

    return ByHand


def with_compiled(library):
    """What `compile` was given, through `compute_loss_and_updates` and a loop over `metrics`."""

    class WithCompiled(library.Model):
        def train_step(self, state, data):
            weights, rest, slots, tracked = state
            x, y, sample_weight = library.utils.unpack_x_y_sample_weight(data)
            gradient = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)
            (_, (loss, guess, rest, tracked)), grads = gradient(
                weights, rest, tracked, x, y, sample_weight,
                training=True, optimizer_variables=slots,
            )  # fmt: skip
            weights, slots = self.optimizer.stateless_apply(slots, grads, weights)
            logs, new = {}, []
            for metric in self.metrics:
                own = tracked[len(new) : len(new) + len(metric.variables)]
                if metric.name == "loss":
                    own = metric.stateless_update_state(own, loss, sample_weight=x.shape[0])
                else:
                    own = metric.stateless_update_state(own, y, guess)
                logs[metric.name] = metric.stateless_result(own)
                new += own
            return logs, (weights, rest, slots, new)

    return WithCompiled


def on_top(library):
    """The built-in steps called as pure functions, with something changed around them."""

    class OnTop(library.Model):
        def train_step(self, state, data):
            x, y = data
            logs, state = super().train_step(state, (x, 2 * y))
            return {**logs, "twice": 2 * logs["loss"]}, state

        def test_step(self, state, data):
            x, y = data
            return super().test_step(state, (x, 2 * y))

        def predict_step(self, state, data):
            outputs, rest = super().predict_step(state, data)
            return library.ops.tanh(outputs), rest

    return OnTop


def penalized(library):
    """A gradient penalty: the loss holds a derivative by the inputs."""

    class Penalized(library.Model):
        def loss_of(self, weights, rest, x, y):
            def total(x):
                return self.stateless_call(weights, rest, x, training=False)[0].sum()

            slopes = jax.grad(total)(x)
            penalty = ((library.ops.sqrt(library.ops.sum(slopes**2, axis=-1)) - 1) ** 2).mean()
            guess, rest = self.stateless_call(weights, rest, x, training=True)
            return library.ops.mean((guess - y) ** 2) + 3 * penalty, (rest, penalty)

        def train_step(self, state, data):
            weights, rest, slots, tracked = state
            gradient = jax.value_and_grad(self.loss_of, has_aux=True)
            (loss, (rest, penalty)), grads = gradient(weights, rest, *data)
            weights, slots = self.optimizer.stateless_apply(slots, grads, weights)
            return {"total": loss, "penalty": penalty}, (weights, rest, slots, tracked)

    return Penalized


def distilled(library):
    """A frozen teacher inside; the student alone is trained."""

    class Distilled(library.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.teacher = library.Sequential(
                [library.Input((3,)), library.layers.Dense(4), library.layers.Dense(1)]
            )
            self.teacher.trainable = False
            for variable, value in zip(self.teacher.weights, TEACHER, strict=True):
                variable.assign(value)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            soft = self.teacher(x, training=False)
            hard = super().compute_loss(x, y, y_pred, sample_weight, training=training)
            return 0.3 * hard + 0.7 * library.ops.mean((soft - y_pred) ** 2)

        def train_step(self, state, data):
            return super().train_step(state, data)

    return Distilled


TEACHER = [RNG.normal(size=s).astype("float32") for s in [(3, 4), (4,), (4, 1), (1,)]]
STYLES = [by_hand, with_compiled, on_top, penalized, distilled]


def compiled(library, make, **options):
    model = net(library, make(library))
    model.compile("adam", "mse", metrics=["mae"], **options)
    return model


def pair(make, **options):
    """The model in both libraries, with the same weights."""
    keras.utils.set_random_seed(0)
    ours, theirs = compiled(staghorn, make, **options), compiled(keras, make)
    ours.set_weights(values(theirs))
    return ours, theirs


def assert_same_logs(ours, theirs):
    """Keras groups what `compile` was given under one name, so its order is another."""
    assert sorted(ours.history) == sorted(theirs.history)
    assert ours.epoch == theirs.epoch
    for name, found in theirs.history.items():
        assert_close(ours.history[name], found, name, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", STYLES)
def test_fit_evaluate_and_predict_equal_keras(make):
    ours, theirs = pair(make)
    histories = [
        model.fit(X, Y, epochs=2, validation_data=(X[:6], Y[:6]), **COMMON)
        for model in (ours, theirs)
    ]
    assert_same_logs(*histories)
    assert_weights(ours, theirs, rtol=1e-4, atol=1e-5)
    found = [m.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True) for m in (ours, theirs)]
    assert found[0].keys() == found[1].keys()
    for name in found[0]:
        assert_close(found[0][name], found[1][name], name, rtol=1e-4)
    both = [model.predict(X, batch_size=4, verbose=0) for model in (ours, theirs)]
    assert_close(*both, rtol=1e-4, atol=1e-5)


def test_train_on_batch_equals_keras():
    ours, theirs = pair(with_compiled)
    for _ in range(2):
        both = [m.train_on_batch(X[:5], Y[:5], return_dict=True) for m in (ours, theirs)]
        assert both[0].keys() == both[1].keys()
        for name in both[0]:
            assert_close(both[0][name], both[1][name], name, rtol=1e-4)


def test_compute_loss_and_updates_equals_keras():
    ours, theirs = pair(on_top)
    found = []
    for model in (ours, theirs):
        model.fit(X, Y, **COMMON)  # builds the optimizer and moves the statistics
        state = [
            [jnp.array(v.value) for v in group]
            for group in (
                model.trainable_variables,
                model.non_trainable_variables,
                model.metrics_variables,
            )
        ]
        for training in (True, False):
            loss, (unscaled, guess, rest, tracked) = model.compute_loss_and_updates(
                *state, X, Y, None, training=training,
                optimizer_variables=[v.value for v in model.optimizer.variables],
            )  # fmt: skip
            found.append([loss, unscaled, guess, *rest, *tracked])
        assert_close(model.trainable_variables[0].value, state[0][0])
    for a, b in zip(found[0] + found[1], found[2] + found[3], strict=True):
        assert_close(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-5)


def test_a_model_that_was_never_built():
    """Its first contact with data is `fit`: the state is whole all the same."""

    def stack(library):
        class Stack(with_compiled(library)):
            def __init__(self):
                super().__init__()
                self.hidden = library.layers.Dense(4, activation="tanh")
                self.out = library.layers.Dense(1)

            def call(self, x):
                return self.out(self.hidden(x))

        return Stack()

    models = []
    for library in (staghorn, keras):
        library.utils.set_random_seed(3)
        model = stack(library)
        model.compile("rmsprop", "mse", metrics=["mae"])
        models.append((model, model.fit(X, Y, epochs=2, **COMMON)))
    (ours, mine), (theirs, other) = models
    assert_same_logs(mine, other)
    assert_weights(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_loop_over_train_function_equals_keras():
    ours, theirs = pair(on_top)
    ends = []
    for model in (ours, theirs):
        model.fit(X[:4], Y[:4], **COMMON)  # makes the optimizer's and the metrics' variables
        model.reset_metrics()
        model.make_train_function()
        kinds = [
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        ]
        state = tuple([jnp.array(v.value) for v in kind] for kind in kinds)
        batches = iter([(X[i : i + 4], Y[i : i + 4]) for i in range(0, ROWS, 4)])
        for _ in range(6):
            logs, state = model.train_function(state, batches)
        ends.append((logs, state))
        if model is ours:  # what Keras leaves to the caller is done
            for kind, part in zip(kinds, state, strict=True):
                for variable, value in zip(kind, part, strict=True):
                    assert_close(variable.value, value)
    (mine, state), (other, expected) = ends
    assert_close(float(mine["loss"]), float(other["loss"]), rtol=1e-4)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
        assert_close(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-5)


def counting(library):
    """`make_train_function` overridden, as scripts do to see every step."""

    class Counting(library.Model):
        calls = 0

        def make_train_function(self, force=False):
            if self.train_function is not None and not force:
                return
            super().make_train_function(force)
            compiled = self.train_function

            def train_function(state, iterator):
                self.calls += 1
                return compiled(state, iterator)

            self.train_function = train_function

    return Counting


def test_an_overridden_train_function_is_called_for_every_batch():
    ours, theirs = pair(counting)
    histories = [model.fit(X, Y, epochs=2, **COMMON) for model in (ours, theirs)]
    assert_same_logs(*histories)
    assert_weights(ours, theirs, rtol=1e-4, atol=1e-5)
    assert ours.calls == theirs.calls == 12
