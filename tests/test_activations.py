"""Activations equal Keras's; names, configs and functions are found and written as Keras does."""

import inspect

import numpy as np
import pytest

from staghorn import activations, ops
from staghorn.engine.symbolic import KerasTensor
from staghorn.saving import custom_object_scope, register_keras_serializable
from tests.oracle import compare, keras

FUNCTIONS = sorted(set(activations.__all__) - {"get", "serialize", "deserialize"})
X = np.random.default_rng(0).uniform(-8, 8, (4, 6)).astype("float32")
ARGUMENTS = [
    *((name, {}) for name in FUNCTIONS if name != "threshold"),
    ("threshold", {"threshold": 0.5, "default_value": -1.0}),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"max_value": 6}),
    ("relu", {"max_value": 3.0}),
    ("relu", {"threshold": 1.5}),
    ("relu", {"negative_slope": 0.1, "threshold": 1.5, "max_value": 4.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 6}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("elu", {"alpha": 0.3}),
    ("celu", {"alpha": 0.3}),
    ("gelu", {"approximate": True}),
    ("glu", {"axis": 0}),
    ("squareplus", {"b": 1.0}),
    ("softmax", {"axis": 0}),
    ("log_softmax", {"axis": 0}),
    ("sparsemax", {"axis": 0}),
    ("hard_shrink", {"threshold": 2.0}),
    ("soft_shrink", {"threshold": 2.0}),
]


@pytest.mark.parametrize(("name", "kwargs"), ARGUMENTS, ids=str)
def test_equals_keras(name, kwargs):
    ours, theirs = getattr(activations, name), getattr(keras.activations, name)
    compare(lambda x: ours(x, **kwargs), lambda x: theirs(x, **kwargs), X)
    compare(
        lambda x: ours(x, **kwargs),
        lambda x: theirs(x, **kwargs),
        X.astype("float16"),
        grad=False,
        rtol=4e-3,
        atol=4e-3,
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signature_equals_keras(name):
    ours = inspect.signature(getattr(activations, name)).parameters.values()
    theirs = inspect.signature(getattr(keras.activations, name)).parameters.values()
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


def test_public_names_equal_keras():
    assert set(activations.__all__) == {n for n in dir(keras.activations) if n[0] != "_"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_name_round_trip(name):
    function = activations.get(name)
    written = activations.serialize(function)
    assert written == keras.activations.serialize(keras.activations.get(name))
    assert activations.get(written) is function
    assert activations.deserialize(written) is function


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"threshold"}))
def test_symbolic(name):
    x = KerasTensor((None, 6))
    out = getattr(activations, name)(x)
    assert out.shape == ((None, 3) if name == "glu" else (None, 6))


def test_none_is_linear():
    assert activations.get(None) is activations.linear
    assert activations.linear(X) is X


def test_callables_pass_and_ops_have_the_name_of_their_activation():
    assert activations.get(np.tanh) is np.tanh
    assert activations.serialize(ops.relu) == "relu"
    assert activations.serialize(ops.swish) == "silu"


def test_unknown_names_are_helped():
    with pytest.raises(ValueError, match=r"Unknown activation 'rleu'\. Did you mean 'relu'"):
        activations.get("rleu")
    with pytest.raises(ValueError, match="got 3"):
        activations.get(3)


def test_configs_of_functions():
    config = {"class_name": "function", "config": "relu", "module": "builtins"}
    assert activations.get(config) is activations.relu


def test_custom_functions():
    @register_keras_serializable(package="test_activations")
    def cubed(x):
        return x**3

    written = activations.serialize(cubed)
    assert written["config"] == "test_activations>cubed"
    assert activations.deserialize(written) is cubed
    with custom_object_scope({"mine": cubed}):
        assert activations.get("mine") is cubed
