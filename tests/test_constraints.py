"""Constraints: Keras's values, gradients, configs and names."""

import numpy as np
import pytest

import staghorn
from staghorn import constraints
from tests.oracle import compare, keras

TABLE = {
    "MaxNorm": [{}, {"max_value": 0.7}, {"max_value": 1.5, "axis": 1}],
    "NonNeg": [{}],
    "UnitNorm": [{}, {"axis": 1}],
    "MinMaxNorm": [
        {},
        {"min_value": 0.5, "max_value": 0.9},
        {"min_value": 2.0, "max_value": 3.0, "rate": 0.3, "axis": 1},
    ],
}
CASES = [(name, arguments) for name, table in TABLE.items() for arguments in table]
W = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
KERNEL = np.random.default_rng(1).normal(size=(3, 3, 2, 5)).astype("float32")


def pair(name, arguments):
    return getattr(constraints, name)(**arguments), getattr(keras.constraints, name)(**arguments)


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_value_and_gradient_equal_keras(name, arguments):
    compare(*pair(name, arguments), W)


@pytest.mark.parametrize("axis", [(0, 1, 2), [0, 1, 2], -1, None], ids=str)
@pytest.mark.parametrize("name", ["MaxNorm", "UnitNorm", "MinMaxNorm"])
def test_axes_equal_keras(name, axis):
    ours = getattr(constraints, name)(axis=axis)
    theirs = getattr(keras.constraints, name)(axis=tuple(axis) if type(axis) is list else axis)
    compare(ours, theirs, KERNEL)


@pytest.mark.parametrize("name", TABLE)
def test_zero_weights_stay_zero(name):
    ours, theirs = pair(name, {})
    compare(ours, theirs, np.zeros((3, 2), "float32"), grad=False)


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_configs_equal_keras(name, arguments):
    ours, theirs = pair(name, arguments)
    assert constraints.serialize(ours) == keras.constraints.serialize(theirs)
    again = constraints.deserialize(keras.constraints.serialize(theirs))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()


def test_the_base_class_changes_nothing():
    assert constraints.Constraint()(W) is W


def test_every_name_of_keras_is_known():
    from keras.src.constraints import ALL_OBJECTS_DICT

    for name, cls in ALL_OBJECTS_DICT.items():
        assert type(constraints.get(name)).__name__ == cls.__name__, name
    public = {n for n in dir(keras.constraints) if not n.startswith("_")}
    assert public <= set(constraints.__all__)


def test_a_variable_is_projected_by_its_value():
    weight = staghorn.Variable(W)
    weight.assign(constraints.NonNeg()(weight))
    np.testing.assert_array_equal(weight.numpy(), np.maximum(W, 0))


def test_get_names_the_nearest_constraint():
    with pytest.raises(ValueError, match="Did you mean 'MaxNorm'"):
        constraints.get("maxnorm_")
