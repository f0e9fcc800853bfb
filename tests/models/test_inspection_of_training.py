"""Gradients, learning rate search, multipliers, freezing: against Keras, JAX and steps by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers, optimizers
from staghorn.callbacks import BackupAndRestore, LearningRateScheduler
from staghorn.training.learning_rate_search import LearningRates, smooth
from tests.callbacks.test_backup_and_restore import Interrupt
from tests.oracle import keras

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 4)).astype("float32")
Y = RNG.normal(size=(20, 1)).astype("float32")
WEIGHT = RNG.uniform(0.5, 2, size=20).astype("float32")


def encoder_and_head(library=staghorn, **options):
    """Every kind of state: moving statistics, a seed, a nested model, a regularizer."""
    encoder = library.Sequential(
        [
            library.layers.Dense(5, activation="tanh", name="wide", kernel_regularizer="l2"),
            library.layers.BatchNormalization(name="norm"),
        ],
        name="encoder",
    )
    inputs = library.Input((4,))
    x = library.layers.Dropout(options.pop("rate", 0.3), name="drop")(encoder(inputs))
    model = library.Model(inputs, library.layers.Dense(1, name="head")(x))
    rng = np.random.default_rng(1)
    model.set_weights([np.abs(rng.normal(size=w.shape)) for w in model.get_weights()])
    return model


def compiled(optimizer="adam", **options):
    model = encoder_and_head(rate=options.pop("rate", 0.3))
    model.compile(optimizer, "mse", metrics=["mae"], **options)
    return model


def snapshot(model):
    """All numbers that training goes on from."""
    state = [v.numpy().copy() for v in model._state_variables()]
    return [*state, np.array(np.random.get_state()[1]), np.array(np.random.get_state()[2])]


def assert_untouched(before, model):
    for old, new in zip(before, snapshot(model), strict=True):
        np.testing.assert_array_equal(old, new)


# Gradients ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("sample_weight", [None, WEIGHT])
def test_gradients_equal_keras(training, sample_weight):
    ours, theirs = encoder_and_head(rate=0.0), encoder_and_head(keras, rate=0.0)
    for model in (ours, theirs):
        model.compile("sgd", "mse")
    found = ours.gradients(X, Y, sample_weight, training=training)

    def loss(trained):
        rest = [v.value for v in theirs.non_trainable_variables]
        y, _, losses = theirs.stateless_call(
            trained, rest, X, training=training, return_losses=True
        )
        each = jnp.mean((y - Y) ** 2, axis=-1)
        weighted = each if sample_weight is None else each * sample_weight
        return jnp.mean(weighted) + sum(losses)

    wanted = jax.grad(loss)([v.value for v in theirs.trainable_variables])
    assert list(found) == ["encoder/wide", "encoder/norm", "head"]
    assert {k: list(v) for k, v in found.items()}["encoder/norm"] == ["gamma", "beta"]
    flat = [g for own in found.values() for g in own.values()]
    for one, two in zip(flat, wanted, strict=True):
        np.testing.assert_allclose(one, two, rtol=2e-5, atol=1e-6)


def test_gradients_are_those_of_the_next_step_and_change_nothing():
    model = compiled(optimizers.SGD(1.0))
    model.fit(X, Y, epochs=1, verbose=0)  # running metrics, moving statistics, a used seed
    before = snapshot(model)
    found = model.gradients(X, Y)
    assert_untouched(before, model)
    old = {v.path: v.numpy() for v in model.trainable_variables}
    model.train_on_batch(X, Y)  # with the same Dropout mask
    slopes = [g for own in found.values() for g in own.values()]
    for variable, slope in zip(model.trainable_variables, slopes, strict=True):
        np.testing.assert_allclose(old[variable.path] - variable.numpy(), slope, atol=1e-6)


def test_gradients_of_a_subclassed_model_never_built_with_a_shared_layer():
    class Twice(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.shared = layers.Dense(4, name="shared")
            self.scale = None

        def build(self, shape):
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

        def call(self, x):
            return self.shared(self.shared(x)) * self.scale

    model = Twice()
    model.compile("sgd", "mse")
    found = model.gradients(X, X)
    assert {path: list(own) for path, own in found.items()} == {
        "": ["scale"],
        "shared": ["kernel", "bias"],
    }
    kernel = model.shared.kernel.numpy()
    wanted = jax.grad(lambda k: jnp.mean((X @ k @ k - X) ** 2))(kernel)
    np.testing.assert_allclose(found["shared"]["kernel"], wanted, rtol=1e-4, atol=1e-6)


def test_gradients_leave_out_what_is_frozen_and_say_so_where_nothing_is_left():
    model = compiled()
    model.freeze("encoder")
    assert list(model.gradients(X, Y)) == ["head"]
    model.freeze("*")
    with pytest.raises(ValueError, match=r"no trainable weights(.|\n)*unfreeze"):
        model.gradients(X, Y)
    with pytest.raises(ValueError, match="not compiled"):
        encoder_and_head().gradients(X, Y)


def test_gradients_of_several_outputs():
    a, b = staghorn.Input((4,), name="a"), staghorn.Input((4,), name="b")
    shared = layers.Dense(3, name="shared")
    left = layers.Dense(1, name="left")(shared(a))
    right = layers.Dense(1, name="right")(shared(b))
    model = staghorn.Model([a, b], [left, right])
    model.compile("sgd", ["mse", "mse"], loss_weights=[1.0, 0.0])
    found = model.gradients({"a": X, "b": X}, [Y, Y])
    assert np.abs(found["left"]["kernel"]).max() > 0
    assert np.abs(found["right"]["kernel"]).max() == 0


# Learning rate search ----------------------------------------------------------------------------


def by_hand(rates, order):
    """Losses of plain descent on a linear model, in NumPy."""
    kernel, losses = np.zeros((4, 1)), []
    for rate, rows in zip(rates, order, strict=False):
        error = X[rows] @ kernel - Y[rows]
        losses.append(np.mean(error**2))
        kernel = kernel - rate * 2 * X[rows].T @ error / len(rows)
    return losses


def linear(optimizer="sgd", **options):
    model = staghorn.Sequential([staghorn.Input((4,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.zeros((4, 1))])
    model.compile(optimizer, "mse", **options)
    return model


def test_search_equals_a_loop_by_hand_and_stops_where_it_diverges():
    found = linear().find_learning_rate(X, Y, batch_size=20, low=1e-3, high=100.0, steps=40)
    rates = np.geomspace(1e-3, 100.0, 40)
    wanted = by_hand(rates, [np.arange(20)] * 40)
    count = len(found.losses)
    assert 5 < count < 40
    np.testing.assert_allclose(found.learning_rates, rates[:count])
    np.testing.assert_allclose(found.losses, wanted[:count], rtol=1e-2)  # it blows up at the end
    assert np.mean(found.losses[-3:]) > 4 * found.losses[0]
    assert np.mean(found.losses[-4:-1]) <= 4 * found.losses[0]
    assert 1e-3 < found.suggestion < 1


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: optimizers.Adam(0.5),
        lambda: optimizers.SGD(optimizers.schedules.ExponentialDecay(1e-4, 5, 0.5), momentum=0.9),
        lambda: optimizers.LossScaleOptimizer(optimizers.AdamW(0.1)),
        lambda: optimizers.SGD(0.1, use_ema=True, gradient_accumulation_steps=2),
    ],
)
@pytest.mark.parametrize("fitted", [False, True])
def test_search_changes_nothing(optimizer, fitted):
    model = compiled(optimizer())
    if fitted:
        model.fit(X, Y, verbose=0)
    else:
        model._executor_for("train", model._one_batch_feed(X, Y, None, "fit").first_batch())
    before, config = snapshot(model), model.optimizer.get_config()
    found = model.find_learning_rate(X, Y, batch_size=8, steps=30)
    assert len(found.losses) > 5
    assert np.isfinite(found.losses).all()
    assert_untouched(before, model)
    assert model.optimizer.get_config() == config


def test_search_compiles_one_program():
    traces = []
    staghorn.utils.set_random_seed(3)  # weights whose losses differ little between batches

    class Counting(staghorn.Sequential):
        def train_step(self, data):
            traces.append(data)
            return super().train_step(data)

    model = Counting([staghorn.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    options = {"batch_size": 6, "high": 1e-3}  # 20 rows: a rest of 2; no divergence
    found = model.find_learning_rate(X, Y, steps=50, **options)
    assert len(found.losses) == 50
    few = len(traces)
    model.find_learning_rate(X, Y, steps=10, **options)
    assert len(traces) == 2 * few <= 2 * 4  # found on shapes (as fit does), then compiled once


def test_search_takes_generators():
    def endless():
        while True:
            yield X[:10], Y[:10]

    def three():
        yield from [(X[:10], Y[:10])] * 3

    found = linear().find_learning_rate(endless(), steps=12, low=1e-4, high=1e-2)
    wanted = by_hand(found.learning_rates, [np.arange(10)] * 12)
    np.testing.assert_allclose(found.losses, wanted, rtol=1e-4)
    with pytest.warns(UserWarning, match="used up"):
        assert len(linear().find_learning_rate(three(), steps=12).losses) == 3


def test_search_says_what_is_wrong():
    model = linear()
    for wrong in ({"low": 1.0, "high": 0.1}, {"low": 0.0}, {"steps": 1}, {"steps": 2.5}):
        with pytest.raises(ValueError, match="0 < low < high"):
            model.find_learning_rate(X, Y, **wrong)
    with pytest.raises(ValueError, match="batch_size must be a positive int"):
        model.find_learning_rate(X, Y, batch_size=0)
    with pytest.raises(ValueError, match="not compiled"):
        encoder_and_head().find_learning_rate(X, Y)
    assert LearningRates(np.ones(0), np.ones(0)).suggestion is None
    assert LearningRates(np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0])).suggestion is None


def test_smoothing_keeps_straight_lines():
    line = np.arange(60.0)
    np.testing.assert_allclose(smooth(line)[5:-5], line[5:-5])
    assert smooth(line).shape == line.shape


def test_search_of_a_nan_loss_keeps_what_was_finite():
    model = linear()
    with pytest.warns(UserWarning, match="^find_learning_rate: x holds NaN, in row 0 first"):
        found = model.find_learning_rate(np.where(X > 10, X, np.nan), Y, steps=5)
    assert found.losses.size == 0
    assert found.suggestion is None
    assert len(found.plot().axes) == 1


# Multipliers -------------------------------------------------------------------------------------

MAKERS = {
    "SGD": lambda rate: optimizers.SGD(rate),
    "momentum": lambda rate: optimizers.SGD(rate, momentum=0.9, nesterov=True),
    "Adam": lambda rate: optimizers.Adam(rate),
    "AdamW": lambda rate: optimizers.AdamW(rate, weight_decay=0.1),
    "Nadam": lambda rate: optimizers.Nadam(rate),
    "RMSprop": lambda rate: optimizers.RMSprop(rate, centered=True),
    "Lion": lambda rate: optimizers.Lion(rate),
    "Ftrl": lambda rate: optimizers.Ftrl(rate),
    "averaged": lambda rate: optimizers.Adam(rate, use_ema=True, ema_overwrite_frequency=3),
    "accumulated": lambda rate: optimizers.Adam(rate, gradient_accumulation_steps=2),
    "scheduled": lambda rate: optimizers.Adam(
        optimizers.schedules.ExponentialDecay(rate, 3, 0.5)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_multipliers_equal_an_optimizer_of_their_own(name):
    """A quarter is exact in floating point, so the two agree but for the order of operations.

    Adam and its like divide by roots of squares, in which a last bit grows over twelve steps.
    """
    make = MAKERS[name]
    one = compiled(make(0.02), rate=0.0, learning_rate_multipliers={"encoder": 0.25, "norm": 1})
    two = encoder_and_head(rate=0.0)
    slow, fast = make(0.005), make(0.02)
    kernel = two.get_layer("encoder").layers[0]
    own = {id(v) for v in kernel.weights}
    two.compile(optimizers.MultiOptimizer(lambda v: slow if id(v) in own else fast), "mse")
    for model in (one, two):
        model.fit(X, Y, batch_size=6, epochs=3, shuffle=False, verbose=0)
    for left, right in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=3e-6)


def test_multipliers_equal_adam_by_hand():
    """The update is scaled: Adam would not notice a scaled gradient."""
    model = linear(optimizers.Adam(0.1, epsilon=1e-12), learning_rate_multipliers={"*kernel": 0.3})
    slope = model.gradients(X, Y)[model.layers[0].name]["kernel"]
    model.train_on_batch(X, Y)
    np.testing.assert_allclose(model.get_weights()[0], -0.03 * np.sign(slope), rtol=1e-4)


def test_zero_keeps_weights_and_the_last_pattern_counts():
    model = compiled(learning_rate_multipliers={"*": 0, "head/bias": 2.0})
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    changed = [
        v.name
        for v, old in zip(model.weights, before, strict=True)
        if not np.array_equal(v.numpy(), old)
    ]
    assert changed == ["moving_mean", "moving_variance", "bias"]


@pytest.mark.parametrize("late", [False, True])
def test_multipliers_in_files_and_in_a_resumed_fit(tmp_path, late):
    def make(factors):
        model = staghorn.Sequential([layers.Dense(3, name="a"), layers.Dense(1, name="b")])
        if not late:
            model.build((None, 4))
        model.compile("adam", "mse", learning_rate_multipliers=factors)
        return model

    factors = {"a": 0.1}
    model = make(factors)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = staghorn.models.load_model(tmp_path / "model.keras")
    theirs = keras.models.load_model(tmp_path / "model.keras")  # which has no multipliers
    assert type(theirs.optimizer).__name__ == "Adam"
    for one in (model, again):
        one.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    for left, right in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)

    def run(seed, factors, *calls):
        staghorn.utils.set_random_seed(seed)
        model = make(factors)
        rate = LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
        model.fit(X, Y, epochs=4, batch_size=6, verbose=0, callbacks=[rate, *calls])
        return model.get_weights()

    whole = run(1, factors)
    backup = BackupAndRestore(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run(1, factors, backup, Interrupt(epoch=2))
    with pytest.raises(ValueError, match=r"learning rate multipliers: None now"):
        run(1, None, backup)
    for left, right in zip(whole, run(9, factors, backup), strict=True):
        np.testing.assert_array_equal(left, right)


def test_compiling_again_forgets_multipliers():
    optimizer = optimizers.SGD(0.1)
    model = linear(optimizer, learning_rate_multipliers={"*": 0})
    model.compile(optimizer, "mse")
    model.fit(X, Y, verbose=0)
    assert np.abs(model.get_weights()[0]).max() > 0


def test_wrong_multipliers():
    with pytest.raises(ValueError, match=r"nothing fits 'encodr\*'\. Did you mean 'encoder'\?"):
        compiled(learning_rate_multipliers={"encodr*": 0.1})
    for wrong in ({"head": -1}, {"head": "fast"}, {3: 1.0}, 0.1, {"head": float("nan")}):
        with pytest.raises(ValueError, match="pattern → factor of 0 or more"):
            compiled(learning_rate_multipliers=wrong)
    late = staghorn.Sequential([layers.Dense(1, name="out")])
    late.compile("sgd", "mse", learning_rate_multipliers={"outt": 0.1})
    with pytest.raises(ValueError, match=r"nothing fits 'outt'\. Did you mean 'out'\?"):
        late.fit(X, Y, verbose=0)


# Freezing ----------------------------------------------------------------------------------------


def test_freezing_by_pattern():
    model = compiled()
    assert model.freeze("encoder/*", "head") == ["encoder/wide", "encoder/norm", "head"]
    assert model.trainable_variables == []
    assert model.unfreeze("norm") == ["encoder/norm"]
    assert [v.name for v in model.trainable_variables] == ["gamma", "beta"]
    assert model.unfreeze("*") == ["encoder", "encoder/wide", "encoder/norm", "drop", "head"]
    assert len(model.trainable_variables) == 6
    model.trainable = False
    model.unfreeze("head")
    assert [v.name for v in model.trainable_variables] == ["kernel", "bias"]


def test_frozen_layers_do_not_train_and_fit_warns_after_compile():
    model = compiled()
    model.freeze("encoder")
    before = model.get_layer("encoder").get_weights()
    with pytest.warns(UserWarning, match="changed after compile"):
        model.fit(X, Y, verbose=0)
    for old, new in zip(before, model.get_layer("encoder").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)  # the moving statistics too


def test_a_name_that_fits_nothing_changes_nothing():
    model = compiled()
    with pytest.raises(ValueError, match=r"freeze: nothing fits 'hed'\. Did you mean 'head'\?"):
        model.freeze("encoder", "hed")
    assert len(model.trainable_variables) == 6
    with pytest.raises(ValueError, match="Known: encoder, encoder/wide"):
        model.unfreeze()
    with pytest.raises(TypeError, match="a pattern must be a str"):
        model.freeze(model.layers[1])
