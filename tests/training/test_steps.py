"""The steps one can override, and what enters the loss."""

import numpy as np
import pytest

import staghorn
from tests.oracle import keras
from tests.training.twins import (
    assert_close,
    assert_history,
    assert_weights,
    dense,
    regression,
    twins,
    two_heads,
    values,
)

COMMON = {"batch_size": 4, "verbose": 0, "shuffle": False}
X, Y = regression(rows=10)


def stack(library, cls=None):
    return (cls or library.Sequential)(
        [library.Input((3,)), library.layers.Dense(4, "tanh"), library.layers.Dense(1)]
    )


def same_weights(*models):
    for model in models[1:]:
        model.set_weights(values(models[0]))


def test_compute_loss_with_and_without_training():
    seen = []

    class With(staghorn.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            seen.append(training)
            return 2 * staghorn.ops.mean((y - y_pred) ** 2)

    class Without(staghorn.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return 2 * staghorn.ops.mean((y - y_pred) ** 2)

    class Through(staghorn.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
            return 2 * super().compute_loss(x, y, y_pred, sample_weight, **kwargs)

    models = [stack(staghorn, cls) for cls in (With, Without, Through)]
    same_weights(*models)
    histories = []
    for model in models:
        model.compile("sgd", loss=None if type(model) is not Through else "mse", metrics=["mae"])
        histories.append(model.fit(X, Y, epochs=2, **COMMON).history)
        model.evaluate(X, Y, verbose=0)
    for history in histories[1:]:
        assert list(history) == ["loss", "mae"]
        assert_close(history["loss"], histories[0]["loss"])
    assert set(seen) == {True, False}


def test_compute_metrics_adds_to_the_logs():
    class Signs(staghorn.Sequential):
        def __init__(self, *args):
            super().__init__(*args)
            self.positive = staghorn.metrics.Mean(name="positive")

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            self.positive.update_state(y_pred > 0)
            return {**super().compute_metrics(x, y, y_pred, sample_weight), "twice": 2.0}

    model = stack(staghorn, Signs)
    model.compile(staghorn.optimizers.SGD(0.0), "mse", metrics=["mae"])
    history = model.fit(X, Y, epochs=2, **COMMON).history
    assert sorted(history) == ["loss", "mae", "positive", "twice"]
    share = (model.predict(X, verbose=0) > 0).mean()
    assert_close(history["positive"], [share, share])  # of each epoch: it is reset
    assert len(model.evaluate(X, Y, verbose=0)) == 4


def custom(library):
    """A model whose train_step is written by hand in each library's way."""

    class Ours(staghorn.Sequential):
        def train_step(self, data):
            x, y = data

            def loss_fn():
                return self.compute_loss(x, y, self(x, training=True))

            loss, gradients = staghorn.value_and_grad(loss_fn, self.trainable_variables)()
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"loss": loss, "rows": x.shape[0]}

    return Ours


def test_logs_of_a_custom_train_step_are_the_last_batch_s():
    ours, theirs = stack(staghorn, custom(staghorn)), stack(keras)
    same_weights(theirs, ours)
    ours.compile("sgd", "mse")
    theirs.compile("sgd", "mse")
    history = ours.fit(X, Y, epochs=2, **COMMON).history
    assert history["rows"] == [2.0, 2.0]
    last = []
    for _ in range(2):
        for start in (0, 4, 8):
            loss = theirs.train_on_batch(X[start : start + 4], Y[start : start + 4])
        last.append(loss)
    assert_close(history["loss"], last)
    assert_weights(ours, theirs)


def test_custom_train_step_without_compile_and_metrics_as_attributes():
    class Own(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.layer = staghorn.layers.Dense(1)
            self.rule = staghorn.optimizers.SGD(0.1)
            self.tracker = staghorn.metrics.Mean(name="error")

        def call(self, inputs):
            return self.layer(inputs)

        def train_step(self, data):
            x, y = data

            def loss_fn():
                return staghorn.ops.mean((self(x, training=True) - y) ** 2)

            loss, gradients = staghorn.value_and_grad(loss_fn, self.trainable_variables)()
            self.rule.apply(gradients, self.trainable_variables)
            self.tracker.update_state(loss)
            return {"error": self.tracker.result()}

    model = Own()
    model.compile()
    history = model.fit(X, Y, epochs=2, **COMMON).history
    model.layer.set_weights([np.zeros((3, 1)), np.zeros(1)])
    w, b, errors = np.zeros((3, 1)), 0.0, []
    for start in (0, 4, 8):
        x, y = X[start : start + 4], Y[start : start + 4]
        difference = x @ w + b - y
        errors.append((difference**2).mean())
        w = w - 0.1 * 2 * x.T @ difference / len(x)
        b = b - 0.1 * 2 * difference.mean()
    again = model.fit(X, Y, **COMMON).history
    assert_close(again["error"], [np.mean(errors)])
    assert_close(model.layer.kernel.numpy(), w)
    assert list(history) == ["error"]
    assert len(history["error"]) == 2


def test_overridden_metrics_property_decides_what_is_reported():
    class Own(staghorn.Sequential):
        def __init__(self, *args):
            super().__init__(*args)
            self.mine = staghorn.metrics.Mean(name="mine")

        @property
        def metrics(self):
            return [self.mine]

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            loss = staghorn.ops.mean((y - y_pred) ** 2)
            self.mine.update_state(loss)
            return loss

    model = stack(staghorn, Own)
    model.compile("sgd", "mse", metrics=["mae"])
    assert list(model.fit(X, Y, **COMMON).history) == ["mine"]


def test_test_step_and_predict_step():
    class Own(staghorn.Sequential):
        def test_step(self, data):
            x, y = data
            return {"largest": staghorn.ops.max(staghorn.ops.abs(self(x, training=False) - y))}

        def predict_step(self, data):
            return {"doubled": 2 * self(data, training=False)}

    model = stack(staghorn, Own)
    model.compile("sgd", "mse")
    out = model(X)
    expected = np.abs(np.asarray(out)[8:] - Y[8:]).max()  # the last batch's
    assert_close(model.evaluate(X, Y, batch_size=4, verbose=0), expected)
    assert_close(model.predict(X, batch_size=4, verbose=0)["doubled"], 2 * np.asarray(out))
    history = model.fit(X, Y, validation_data=(X, Y), **COMMON).history
    assert sorted(history) == ["loss", "val_largest"]


class GAN(staghorn.Model):
    """Two networks, two optimizers; networks and optimizers are built when first used."""

    def __init__(self):
        super().__init__()
        dense = staghorn.layers.Dense
        self.generator = staghorn.Sequential([dense(4, activation="tanh"), dense(3)])
        self.critic = staghorn.Sequential([dense(4, activation="tanh"), dense(1)])
        self.bce = staghorn.losses.BinaryCrossentropy(from_logits=True)

    def compile(self, g_optimizer, c_optimizer, **kwargs):
        super().compile(**kwargs)
        self.g_optimizer, self.c_optimizer = g_optimizer, c_optimizer

    def critic_loss(self, noise, real):
        fake = self.generator(noise, training=True)
        logits = self.critic(staghorn.ops.concatenate([fake, real], axis=0), training=True)
        labels = np.r_[np.ones(len(fake)), np.zeros(len(real))][:, None]
        return self.bce(labels, logits)

    def generator_loss(self, noise):
        logits = self.critic(self.generator(noise, training=True), training=True)
        return self.bce(np.zeros(logits.shape), logits)

    def train_step(self, data):
        noise, real = data
        loss_c, gradients = staghorn.value_and_grad(
            lambda: self.critic_loss(noise, real), self.critic.trainable_variables
        )()
        self.c_optimizer.apply(gradients, self.critic.trainable_variables)
        loss_g, gradients = staghorn.value_and_grad(
            lambda: self.generator_loss(noise), self.generator.trainable_variables
        )()
        self.g_optimizer.apply(gradients, self.generator.trainable_variables)
        return {"critic": loss_c, "generator": loss_g}


def test_gan_equals_a_loop_written_by_hand():
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(10, 2)).astype("float32")
    real = rng.normal(size=(10, 3)).astype("float32") + 2

    def made():
        adam = staghorn.optimizers.Adam
        model = GAN()
        model.compile(adam(0.01), adam(0.02))
        return model

    staghorn.utils.set_random_seed(5)
    compiled = made()
    history = compiled.fit(noise, real, epochs=3, **COMMON).history
    staghorn.utils.set_random_seed(5)
    by_hand = made()
    by_hand.critic_loss(noise, real)  # a loop over unbuilt networks would lose its first step
    for _ in range(3):
        for start in (0, 4, 8):
            logs = by_hand.train_step((noise[start : start + 4], real[start : start + 4]))
    assert_weights(compiled, by_hand, rtol=1e-4, atol=1e-5)
    assert_close(history["critic"][-1], float(logs["critic"]), rtol=1e-4)
    assert_close(history["generator"][-1], float(logs["generator"]), rtol=1e-4)
    assert int(compiled.g_optimizer.iterations) == int(compiled.c_optimizer.iterations) == 9
    assert len(compiled.g_optimizer.variables) == 2 + 2 * 4
    again = compiled.fit(noise, real, epochs=2, **COMMON).history
    assert again["critic"] != history["critic"][:2]


@pytest.mark.parametrize("build", [dense(), two_heads()])
def test_run_eagerly_gives_the_same_numbers(build):
    rng = np.random.default_rng(0)
    two = build(staghorn).output_names == ["a", "b"]
    x = [rng.normal(size=(10, 3)).astype("float32") for _ in range(2)] if two else X
    y = [Y, np.eye(3, dtype="float32")[rng.integers(0, 3, 10)]] if two else Y
    models, histories, results = [], [], []
    for eagerly in (False, True):
        model, _ = twins(build)
        model.compile("adam", "mse", metrics=[["mae"], ["mse"]] if two else ["mae"],
                      run_eagerly=eagerly)
        fit_with = {"epochs": 2, "validation_data": (x, y), **COMMON}
        histories.append(model.fit(x, y, **fit_with))
        results.append([model.evaluate(x, y, batch_size=4, verbose=0), model.train_on_batch(x, y)])
        models.append(model)
    assert_history(*histories)
    assert_weights(*models)
    assert_close(*results)


def regularized(library):
    class Quiet(library.layers.Layer):
        def call(self, inputs):
            self.add_loss(0.3 * library.ops.mean(inputs**2))
            return inputs

        def compute_output_shape(self, input_shape):
            return input_shape

    return library.Sequential(
        [
            library.Input((3,)),
            library.layers.Dense(4, kernel_regularizer="l2", activity_regularizer="l1"),
            Quiet(),
            library.layers.Dense(1, bias_regularizer=library.regularizers.L1(0.2)),
        ]
    )


def test_regularizers_and_added_losses_enter_the_loss():
    ours, theirs = twins(regularized)
    histories = []
    for model in (ours, theirs):
        model.compile("sgd", "mse")
        histories.append(model.fit(X, Y, epochs=2, validation_data=(X, Y), **COMMON))
    assert_history(*histories)
    assert_weights(ours, theirs)


def test_added_losses_alone_train():
    model = regularized(staghorn)
    model.compile("sgd")
    first, last = model.fit(X, epochs=2, **COMMON).history["loss"]
    assert last < first


def freezable(library):
    return library.Sequential(
        [
            library.Input((3,)),
            library.layers.Dense(4),
            library.layers.BatchNormalization(),
            library.layers.Dense(1),
        ]
    )


def test_trainable_switches_equal_keras():
    ours, theirs = twins(freezable)
    for frozen in ([0], [1], [0, 1, 2], []):
        histories = []
        for model in (ours, theirs):
            for position, layer in enumerate(model.layers):
                layer.trainable = position not in frozen
            model.compile("sgd", "mse")
            if frozen == [0, 1, 2]:
                histories.append(model.evaluate(X, Y, batch_size=4, verbose=0))
                continue
            histories.append(model.fit(X, Y, epochs=2, **COMMON))
        if frozen != [0, 1, 2]:
            assert_history(*histories)
        assert_weights(ours, theirs)


def test_a_model_with_nothing_to_train_warns():
    model = freezable(staghorn)
    model.trainable = False
    model.compile("sgd", "mse")
    before = model.get_weights()
    with pytest.warns(UserWarning, match="no trainable weights"):
        model.fit(X, Y, **COMMON)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_switch_without_compiling_again_takes_effect():
    model = freezable(staghorn)
    model.compile("sgd", "mse")
    model.fit(X, Y, **COMMON)
    before = model.layers[0].kernel.numpy()
    model.layers[0].trainable = False
    with pytest.warns(UserWarning, match="`trainable` was changed after compile"):
        model.fit(X, Y, **COMMON)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), before)


def test_mixed_precision_trains_in_float32_variables():
    def build(library):
        return library.Sequential(
            [
                library.Input((3,)),
                library.layers.Dense(8, activation="tanh", dtype="mixed_bfloat16"),
                library.layers.BatchNormalization(dtype="mixed_bfloat16"),
                library.layers.Dense(1, dtype="mixed_bfloat16"),
            ]
        )

    ours, theirs = twins(build)
    histories = []
    for model in (ours, theirs):
        model.compile("adam", "mse", metrics=["mae"])
        histories.append(model.fit(X, Y, epochs=2, validation_data=(X, Y), **COMMON))
    assert {str(w.value.dtype) for w in ours.weights} == {"float32"}
    assert_history(*histories, rtol=3e-2, atol=1e-2)
    assert str(ours.predict(X, verbose=0).dtype) == "bfloat16"


def test_a_mixed_float16_model_scales_its_loss():
    before = staghorn.dtype_policies.dtype_policy()
    staghorn.dtype_policies.set_dtype_policy("mixed_float16")
    try:
        model = stack(staghorn)
        model.compile("sgd", "mse")
        assert type(model.optimizer).__name__ == "LossScaleOptimizer"
        history = model.fit(X, Y, epochs=2, **COMMON).history
        assert np.isfinite(history["loss"]).all()
        assert history["loss"][1] < history["loss"][0]
        model.compile("sgd", "mse", auto_scale_loss=False)
        assert type(model.optimizer).__name__ == "SGD"
    finally:
        staghorn.dtype_policies.set_dtype_policy(before)
