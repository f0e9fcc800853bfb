"""Steps of one's own have what built-in ones have, in both styles; what is wrong is explained."""

import copy
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers, ops
from staghorn.callbacks import BackupAndRestore, Callback, ModelCheckpoint

RNG = np.random.default_rng(0)
ROWS, BATCH, EPOCHS = 10, 4, 3  # three batches, the last of two rows
X = RNG.normal(size=(ROWS, 3)).astype("float32")
Y = RNG.normal(size=(ROWS, 1)).astype("float32")


def stack(*units):
    """Dense layers; the first is built when it is first used."""
    return staghorn.Sequential([layers.Dense(n, activation="tanh") for n in units])


class GAN(staghorn.Model):
    """Two optimizers, a gradient penalty, `metrics` of its own, noise; all built late."""

    def __init__(self):
        super().__init__()
        self.generator, self.critic = stack(4, 3), stack(4, 1)
        self.noise = staghorn.random.SeedGenerator(5)
        self.trackers = [staghorn.metrics.Mean(name=n) for n in ("critic", "generator")]

    def compile(self, **options):
        super().compile(**options)
        self.c_optimizer = staghorn.optimizers.Adam(0.01)
        self.g_optimizer = staghorn.optimizers.RMSprop(0.01)

    @property
    def metrics(self):
        return self.trackers

    def draw(self, count):
        return self.generator(staghorn.random.normal((count, 2), seed=self.noise))

    def critic_loss(self, real):
        fake = self.draw(len(real))
        slopes = jax.grad(lambda x: ops.sum(self.critic(x)))(0.5 * (real + fake))
        penalty = ops.mean((ops.sqrt(ops.sum(slopes**2, axis=-1)) - 1) ** 2)
        return ops.mean(self.critic(fake)) - ops.mean(self.critic(real)) + 3.0 * penalty

    def generator_loss(self, count):
        return -ops.mean(self.critic(self.draw(count)))

    def train_step(self, data):
        weights = self.critic.trainable_variables
        loss_c, gradients = staghorn.value_and_grad(self.critic_loss, weights)(data)
        self.c_optimizer.apply(gradients, weights)
        weights = self.generator.trainable_variables
        loss_g, gradients = staghorn.value_and_grad(self.generator_loss, weights)(len(data))
        self.g_optimizer.apply(gradients, weights)
        for tracker, loss in zip(self.trackers, (loss_c, loss_g), strict=True):
            tracker.update_state(loss)
        return self.get_metrics_result()


class Distilled(staghorn.Model):
    """A frozen teacher and a student, the object style."""

    def __init__(self):
        super().__init__()
        self.teacher, self.student = stack(4, 1), stack(1)
        self.teacher.trainable = False

    def call(self, x):
        return self.student(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        hard = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        return hard + ops.mean((self.teacher(x, training=False) - y_pred) ** 2)


class Stateless(staghorn.Model):
    """The style of Keras on JAX, over a net with statistics and a seed."""

    def __init__(self):
        super().__init__()
        self.hidden = [layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.3, seed=2)]
        self.out = layers.Dense(1)
        self.error = staghorn.metrics.Mean(name="error")

    def call(self, x, training=False):
        for layer in self.hidden:
            x = layer(x, training=training) if layer is not self.hidden[0] else layer(x)
        return self.out(x)

    @property
    def metrics(self):
        return [self.error]

    def train_step(self, state, data):
        weights, rest, slots, tracked = state
        gradient = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)
        (loss, (_, _, rest, tracked)), grads = gradient(
            weights, rest, tracked, *data, None, training=True
        )
        weights, slots = self.optimizer.stateless_apply(slots, grads, weights)
        tracked = self.error.stateless_update_state(tracked, loss)
        logs = {"error": self.error.stateless_result(tracked)}
        return logs, (weights, rest, slots, tracked)

    def test_step(self, state, data):
        loss, (_, _, rest, tracked) = self.compute_loss_and_updates(*state, *data, None)
        tracked = self.error.stateless_update_state(tracked, loss)
        return {"error": self.error.stateless_result(tracked)}, (state[0], rest, tracked)

    def predict_step(self, state, data):
        outputs, rest = self.stateless_call(*state, data, training=False)
        return 2.0 * outputs, rest


def gan(**options):
    model = GAN()
    model.compile(**options)
    return model, (X,)


def distilled(**options):
    model = Distilled()
    model.compile("adam", "mse", metrics=["mae"], **options)
    return model, (X, Y)


def stateless(**options):
    model = Stateless()
    model.compile("adam", "mse", **options)
    return model, (X, Y)


MODELS = [gan, distilled, stateless]


def trained(make, *callbacks, seed=3, fit=None, **options):
    staghorn.utils.set_random_seed(seed)
    model, data = make(**options)
    history = model.fit(
        *data, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=list(callbacks), **fit or {}
    )
    return model, history.history


def state(model):
    """Weights, statistics, seeds, optimizers. The GAN has two, and does not use the default one."""
    two = [getattr(model, f"{name}_optimizer", None) for name in "cg"]
    used = two if all(two) else [model.optimizer]
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    return [v.numpy() for v in [*variables, *(v for o in used for v in o.variables)]]


def assert_equal(one, two):
    assert one[1] == two[1]
    for a, b in zip(state(one[0]), state(two[0]), strict=True):
        np.testing.assert_array_equal(a, b)


class Interrupt(Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 1):
            raise KeyboardInterrupt


@functools.cache
def whole(make):
    return trained(make)


@pytest.mark.parametrize("make", MODELS)
def test_chunks_interruptions_and_callbacks_do_not_show(make, tmp_path):
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.jax_state_sync()
            seen.append((batch, logs, sum(np.abs(w).sum() for w in self.model.get_weights())))

    expected = whole(make)
    assert all(len(values) == EPOCHS for values in expected[1].values())
    assert np.isfinite([v for values in expected[1].values() for v in values]).all()
    assert_equal(trained(make, steps_per_execution=2), expected)

    backup = {"backup_dir": tmp_path / "run", "save_freq": 1}
    with pytest.raises(KeyboardInterrupt):
        trained(make, Watch(), BackupAndRestore(**backup), Interrupt())
    assert_equal(trained(make, Watch(), BackupAndRestore(**backup), seed=50), expected)
    # The machine went off after batch 1 of the second epoch, before the backup was written.
    assert [batch for batch, _, _ in seen] == [0, 1, 2, 0, 1, 1, 2, 0, 1, 2]
    assert len({size for *_, size in seen}) == len(seen) - 1  # live weights, after every step
    assert all(logs.keys() == expected[1].keys() for _, logs, _ in seen)


def test_a_checkpoint_of_a_stateless_model_continues(tmp_path):
    path = tmp_path / "last.keras"
    calls = {"filepath": path, "save_freq": 1}
    with pytest.raises(KeyboardInterrupt):
        trained(stateless, ModelCheckpoint(**calls), Interrupt())
    resumed = trained(stateless, ModelCheckpoint(**calls), seed=60, fit={"resume": path})
    assert_equal(resumed, whole(stateless))


@pytest.mark.parametrize("make", [distilled, stateless])
def test_eager_steps_are_the_same_steps(make):
    compiled, eager = whole(make), trained(make, run_eagerly=True)
    assert list(compiled[1]) == list(eager[1])
    for name, values in compiled[1].items():
        np.testing.assert_allclose(eager[1][name], values, rtol=1e-3, atol=1e-4)
    both = [m.evaluate(X, Y, verbose=0) for m in (compiled[0], eager[0])]
    np.testing.assert_allclose(*both, rtol=1e-3, atol=1e-4)
    both = [m.predict(X, verbose=0) for m in (compiled[0], eager[0])]
    np.testing.assert_allclose(*both, rtol=1e-3, atol=1e-3)


def test_a_stateless_step_is_one_program():
    model, history = trained(stateless)
    assert list(history) == ["error"]
    (_, _, executor) = model._executor["train"]
    assert executor.program.traces == 1
    model.fit(X, Y, batch_size=BATCH, verbose=0)
    assert model._executor["train"][2] is executor
    assert executor.program.traces == 1


def test_progress_and_history_of_a_stateless_step(capsys):
    model, data = stateless()
    model.fit(*data, batch_size=BATCH, epochs=2, verbose=2)
    assert capsys.readouterr().out.count("error: ") == 2


# Loops of one's own ------------------------------------------------------------------------------


def small():
    staghorn.utils.set_random_seed(4)
    model = staghorn.Sequential([staghorn.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)])
    model.compile(staghorn.optimizers.Adam(0.01), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def values(variables):
    return [jnp.array(v.value) for v in variables]


def test_three_ways_to_write_a_loop_give_what_fit_gives():
    batches = [(X[i : i + BATCH], Y[i : i + BATCH]) for i in range(0, ROWS, BATCH)]
    fitted = small()
    fitted.fit(X, Y, batch_size=BATCH, shuffle=False, verbose=0)

    with_jit = small()

    @staghorn.jit
    def step(x, y):
        def loss_fn():
            return ops.mean((with_jit(x, training=True) - y) ** 2)

        loss, gradients = staghorn.value_and_grad(loss_fn, with_jit.trainable_variables)()
        with_jit.optimizer.apply(gradients, with_jit.trainable_variables)
        return loss

    for batch in batches:
        step(*batch)

    pure = small()
    weights, slots = values(pure.trainable_variables), values(pure.optimizer.variables)

    @jax.jit
    def pure_step(weights, slots, x, y):
        def loss_fn(weights):
            return ops.mean((pure.stateless_call(weights, [], x)[0] - y) ** 2)

        return pure.optimizer.stateless_apply(slots, jax.grad(loss_fn)(weights), weights)

    for batch in batches:
        weights, slots = pure_step(weights, slots, *batch)

    own = small()
    own.make_train_function()
    kinds = [own.trainable_variables, [], own.optimizer.variables, own.metrics_variables]
    carried = tuple(values(kind) for kind in kinds)
    for batch in batches:
        logs, carried = own.train_function(carried, iter([batch]))
    assert list(logs) == ["loss"]

    expected = fitted.get_weights()
    for found in (with_jit.get_weights(), weights, own.get_weights(), carried[0]):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_test_and_predict_functions():
    model = small()
    state = values(model.trainable_variables), [], values(model.metrics_variables)
    logs, _ = model.make_test_function()(state, iter([(X, Y)]))
    assert float(logs["loss"]) == pytest.approx(float(((model(X) - Y) ** 2).mean()), rel=1e-4)
    outputs, _ = model.make_predict_function()(state[:2], iter([(X,)]))
    np.testing.assert_allclose(outputs, model(X), rtol=1e-4, atol=1e-6)
    assert model.make_train_function() is model.make_train_function()
    assert model.make_train_function(force=True) is not None
    assert copy.deepcopy(model).train_function is None


def test_a_train_function_as_old_scripts_override_it():
    class Old(staghorn.Sequential):
        calls = 0

        def make_train_function(self):
            def train_function(iterator):
                self.calls += 1
                return self.train_step(next(iterator))

            self.train_function = train_function
            return self.train_function

    model = Old([staghorn.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(X, Y, batch_size=BATCH, epochs=2, verbose=0).history
    assert model.calls == 6
    assert history["loss"][1] < history["loss"][0]


# What is wrong -----------------------------------------------------------------------------------


def returning(what, mode="train"):
    """A model whose step returns `what(logs, state)`."""

    def step(self, state, data):
        return what({"loss": 1.0}, state)

    cls = type("Own", (staghorn.Sequential,), {f"{mode}_step": step})
    model = cls([staghorn.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


WRONG = {
    "swapped": (lambda logs, s: (s, logs), "returned the state before the logs"),
    "logs alone": (lambda logs, s: logs, "returned a dict, not two things"),
    "nothing": (lambda logs, s: None, "returned None, not two things"),
    "loss alone": (lambda logs, s: (1.0, s), "returned a float as logs"),
    "metrics forgotten": (lambda logs, s: (logs, s[:3]), "a state of a tuple of 3, .* be 4 lists"),
    "a part forgotten": (
        lambda logs, s: (logs, (s[0][:1], *s[1:])),
        "a list of 1 as trainable_variables, which must be 2",
    ),
    "two values swapped": (
        lambda logs, s: (logs, (s[0][::-1], *s[1:])),
        r"shape \(1,\) for '.*kernel' in trainable_variables, whose shape is \(3, 1\)",
    ),
    "a value lost": (lambda logs, s: (logs, ([None, s[0][1]], *s[1:])), "a value of None for"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_return_says_what_to_return(case):
    what, words = WRONG[case]
    with pytest.raises(ValueError, match=rf"(?s)Own.train_step.*{words}.*return logs, \(train"):
        returning(what).fit(X, Y, verbose=0)


def test_a_wrong_return_when_predicting():
    model = returning(lambda _, s: (X, s), "predict")
    with pytest.raises(ValueError, match=r"(?s)non_trainable_variables.*return outputs, non_train"):
        model.predict(X, verbose=0)


def test_a_variable_that_is_assigned_and_returned():
    class Both(staghorn.Sequential):
        def train_step(self, state, data):
            self.weights[1].assign([3.0])
            weights, *rest = state
            return {"loss": 1.0}, ([w + 1.0 for w in weights], *rest)

    model = Both([staghorn.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"(?s)'.*bias' was assigned in the step.*would be lost"):
        model.fit(X, Y, verbose=0)


def test_what_a_stateless_step_assigns_itself_stays():
    class Mixed(staghorn.Sequential):
        def train_step(self, state, data):
            self._loss_tracker.update_state(ops.mean(data[0]))
            return {"loss": self._loss_tracker.result()}, state

    model = Mixed([staghorn.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(X, Y, batch_size=5, verbose=0).history
    assert history["loss"] == pytest.approx([X.mean()], rel=1e-4)


def test_a_step_with_other_arguments():
    class Three(staghorn.Sequential):
        def train_step(self, x, y, sample_weight):
            return {}

    model = Three([staghorn.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match=r"(?s)takes \(self, x, y, sample_weight\).*state, data"):
        model.fit(X, Y, verbose=0)


def test_a_make_train_function_that_makes_none():
    class Forgetful(staghorn.Sequential):
        def make_train_function(self, force=False):
            pass

    model = Forgetful([staghorn.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"(?s)neither returned.*super\(\).make_train_function"):
        model.fit(X, Y, verbose=0)
