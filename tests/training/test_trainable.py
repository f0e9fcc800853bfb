"""`trainable` set after `compile` counts at once; where old scripts meant otherwise, it is said."""

import warnings

import numpy as np
import pytest

import staghorn
from staghorn import layers
from tests.oracle import keras

X, Y = np.ones((8, 3), "float32"), np.zeros((8, 1), "float32")


def compiled(library):
    model = library.Sequential(
        [library.Input((3,)), library.layers.Dense(4), library.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    return model


def moved(model):
    before = model.get_weights()
    model.fit(X, Y, epochs=1, verbose=0)
    return [bool((a != b).any()) for a, b in zip(before, model.get_weights(), strict=True)]


def test_a_layer_frozen_after_compile_counts_at_once_as_in_keras():
    ours, theirs = compiled(staghorn), compiled(keras)
    for model in (ours, theirs):
        model.layers[0].trainable = False
    with pytest.warns(UserWarning, match=r"2 weights are trained, 4 were trainable at compile"):
        found = moved(ours)
    assert found == moved(theirs) == [False, False, True, True]
    assert moved(ours) == found  # said once


def test_compiled_again_it_is_meant():
    model = compiled(staghorn)
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    assert moved(model) == [False, False, True, True]


def test_a_frozen_model_warns_at_the_users_line():
    model = compiled(staghorn)
    model.trainable = False
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        moved(model)
    assert any("no trainable weights" in str(w.message) for w in said)
    assert {w.filename for w in said} == {__file__}


def test_layers_that_came_after_compile_are_as_they_are():
    model = staghorn.Sequential([layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(X, np.zeros((8, 2)), verbose=0)
    assert len(model.trainable_weights) == 2
