"""Masks of symbolic tensors: a layer whose `call` takes a mask gets one as the model is built."""

import random
import warnings

import numpy as np
import pytest

import staghorn
from staghorn import layers, ops

IDS = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])


class MeanOfSteps(layers.Layer):
    """Averages the steps that count; it cannot run without a mask."""

    def call(self, x, mask=None):
        weight = ops.expand_dims(ops.cast(mask, x.dtype), -1)
        return ops.sum(x * weight, axis=1) / ops.sum(weight, axis=1)


class FirstStepsOnly(layers.Layer):
    """Hands on a mask of its own."""

    def call(self, x):
        return x[:, :2]

    def compute_mask(self, inputs, previous_mask):
        return previous_mask[:, :2]


def by_hand(model, embedding):
    table = embedding.get_weights()[0]
    return np.stack([table[[1, 2]].mean(axis=0), table[3]])


@pytest.mark.parametrize("style", ["sequential", "functional", "nested"])
def test_mask_reaches_a_layer_that_takes_it(style):
    embedding = layers.Embedding(5, 3, mask_zero=True)
    x = staghorn.Input((4,))
    if style == "sequential":
        model = staghorn.Sequential([x, embedding, layers.Activation("linear"), MeanOfSteps()])
    elif style == "functional":
        model = staghorn.Model(x, MeanOfSteps()(embedding(x)))
    else:
        model = staghorn.Model(x, MeanOfSteps()(staghorn.Sequential([embedding])(x)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = model.predict(IDS, verbose=0)
    np.testing.assert_allclose(got, by_hand(model, embedding), rtol=1e-6)


def test_mask_of_a_users_layer_goes_on():
    embedding = layers.Embedding(5, 3, mask_zero=True)
    x = staghorn.Input((4,))
    cut = FirstStepsOnly()(embedding(x))
    assert cut._keras_mask.shape == (None, 2)
    model = staghorn.Model(x, MeanOfSteps()(cut))
    np.testing.assert_allclose(model.predict(IDS, verbose=0), by_hand(model, embedding), rtol=1e-6)


def test_summary_and_shuffled_fit_leave_the_seeds_of_later_weights_alone():
    staghorn.utils.set_random_seed(1)
    model = staghorn.Sequential([staghorn.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    before = random.getstate()
    model.summary(print_fn=lambda text: None)
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    assert random.getstate() == before


class Positives(staghorn.metrics.Metric):
    """Returns its Variable itself, as Keras's guide does."""

    def __init__(self, name="positives", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(ops.sum(y_true))

    def result(self):
        return self.total


def test_a_metric_may_return_its_variable():
    model = staghorn.Sequential([staghorn.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[Positives()])
    x, y = np.ones((6, 2)), np.ones((6, 1))
    history = model.fit(x, y, batch_size=4, epochs=2, verbose=0).history
    assert history["positives"] == [6.0, 6.0]
    assert model.evaluate(x, y, batch_size=4, verbose=0)[1] == 6.0
