"""The small helpers around training under JAX's strict modes: no hidden broadcast, no leak."""

import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.callbacks import Statistics, StochasticWeightAveraging

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 4)).astype("float32")  # batch 4: a smaller last one
Y = (X[:, :1] > 0).astype("float32")


@pytest.fixture
def model():
    staghorn.utils.set_random_seed(0)
    encoder = staghorn.Sequential(
        [layers.Dense(5, activation="relu", name="wide"), layers.BatchNormalization(name="norm")],
        name="encoder",
    )
    inputs = staghorn.Input((4,))
    x = layers.Dropout(0.2)(encoder(inputs))
    made = staghorn.Model(inputs, layers.Dense(1, activation="sigmoid", name="head")(x))
    made.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return made


def fit(model, **arguments):
    return model.fit(X, Y, batch_size=4, epochs=3, verbose=0, **arguments).history


def test_find_learning_rate_leaves_all_as_it_is(model):
    before = [v.numpy() for v in model.variables]
    found = model.find_learning_rate(X, Y, low=1e-4, high=1.0, batch_size=4)
    assert len(found.learning_rates) == len(found.losses) > 1
    assert np.isfinite(found.losses).all()
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


def test_gradients_have_the_shapes_of_the_weights(model):
    gradients = model.gradients(X, Y)
    assert set(gradients) == {"encoder/wide", "encoder/norm", "head"}
    assert gradients["encoder/wide"]["kernel"].shape == (4, 5)
    assert all(np.isfinite(g).all() for own in gradients.values() for g in own.values())


def test_frozen_weights_stay_and_come_back(model):
    frozen = model.freeze("encoder*")
    assert frozen
    model.compile("adam", "binary_crossentropy")
    before, head = model.get_layer("encoder").get_weights(), model.layers[-1].get_weights()
    fit(model)
    for old, new in zip(before, model.get_layer("encoder").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(head[0], model.layers[-1].get_weights()[0])
    model.unfreeze("*")
    model.compile("adam", "binary_crossentropy")
    fit(model)
    assert not np.array_equal(before[0], model.get_layer("encoder").get_weights()[0])


def test_statistics_see_every_epoch(model):
    look = Statistics()
    fit(model, callbacks=[look])
    zeros = look.history["activations"]["encoder/wide"]["zeros"]
    assert len(zeros) == 3
    assert all(0 <= share <= 1 for share in zeros)


def test_averaging_ends_with_the_mean(model):
    seen = []

    class Seen(staghorn.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.layers[-1].get_weights()[0])

    average = StochasticWeightAveraging(start_epoch=1)
    fit(model, callbacks=[Seen(), average])
    assert average.count == 2
    got = model.layers[-1].get_weights()[0]
    np.testing.assert_allclose(got, np.mean(seen[1:], axis=0), rtol=1e-5)
