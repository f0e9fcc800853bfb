"""Regularizers: Keras's values, gradients, configs and names."""

import math

import numpy as np
import pytest

import staghorn
from staghorn import regularizers
from tests.oracle import compare, keras

TABLE = {
    "L1": [{}, {"l1": 0.3}, {"l1": 2}],
    "L2": [{}, {"l2": 0.3}, {"l2": None}],
    "L1L2": [{}, {"l1": 0.3}, {"l2": 0.2}, {"l1": 0.1, "l2": 0.4}],
    "OrthogonalRegularizer": [{}, {"factor": 0.7}, {"factor": 0.5, "mode": "columns"}],
}
CASES = [(name, arguments) for name, table in TABLE.items() for arguments in table]
X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


def pair(name, arguments):
    return getattr(regularizers, name)(**arguments), getattr(keras.regularizers, name)(**arguments)


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_value_and_gradient_equal_keras(name, arguments):
    ours, theirs = pair(name, arguments)
    # The oracle's wrapper: keras's L1L2() is a constant, which it cannot differentiate.
    compare(ours, theirs, keras.ops.convert_to_tensor(X), grad=arguments != {} or name != "L1L2")


@pytest.mark.parametrize("name", ["L1", "L2"])
def test_any_rank(name):
    ours, theirs = pair(name, {})
    compare(ours, theirs, keras.ops.reshape(X, (2, 2, 3)))


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_configs_equal_keras(name, arguments):
    ours, theirs = pair(name, arguments)
    assert regularizers.serialize(ours) == keras.regularizers.serialize(theirs)
    again = regularizers.deserialize(keras.regularizers.serialize(theirs))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()


def test_every_name_of_keras_is_known():
    from keras.src.regularizers import ALL_OBJECTS_DICT

    for name, cls in ALL_OBJECTS_DICT.items():
        assert type(regularizers.get(name)).__name__ == cls.__name__, name
    public = {n for n in dir(keras.regularizers) if not n.startswith("_")}
    assert public <= set(regularizers.__all__)


def test_a_variable_is_penalised_by_its_value():
    weight = staghorn.Variable(X)
    assert float(regularizers.L2(1.0)(weight)) == pytest.approx(float((X**2).sum()), rel=1e-6)


def test_numpy_arrays_and_integers_are_accepted():
    assert float(regularizers.L1(1.0)(np.array([1, -2]))) == 3.0


BAD = [
    (lambda: regularizers.L2(-1.0), r"L2: l2 must be a number in \[0, inf\), got -1.0"),
    (lambda: regularizers.L1("x"), r"L1: l1 must be a number in \[0, inf\), got 'x' \(str\)"),
    (lambda: regularizers.L1L2(l2=math.inf), "L1L2: l2 must be"),
    (lambda: regularizers.L1L2(l1=math.nan), "L1L2: l1 must be"),
    (lambda: regularizers.OrthogonalRegularizer(-1.0), "factor must be"),
    (lambda: regularizers.OrthogonalRegularizer(mode="row"), "Did you mean 'rows'"),
    (lambda: regularizers.OrthogonalRegularizer()(np.zeros((2, 2, 2))), "must have two axes"),
    (lambda: regularizers.get("l22"), "Did you mean 'l2'"),
    (lambda: regularizers.get(3), "regularizer is given by name"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
