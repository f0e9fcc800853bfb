"""`to_categorical` and `normalize` against Keras."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from staghorn import utils
from tests.oracle import assert_same, keras

INDICES = {
    "list": [0, 2, 1],
    "scalar": 2,
    "row": np.array([0, 3, 1]),
    "column": np.array([[0], [2]]),
    "matrix": np.array([[0, 1], [2, 0]]),
    "one": np.array([1]),
    "float": np.array([0.0, 2.0]),
}


@pytest.mark.parametrize("num_classes", [None, 5])
@pytest.mark.parametrize("name", INDICES)
def test_to_categorical_equals_keras(name, num_classes):
    ours = utils.to_categorical(INDICES[name], num_classes)
    theirs = keras.utils.to_categorical(INDICES[name], num_classes)
    assert type(ours) is np.ndarray
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3)])
def test_to_categorical_of_jax_arrays_equals_keras(shape):
    x = jnp.array([0, 2, 1]).reshape(shape)
    assert_same(utils.to_categorical(x, 4), keras.utils.to_categorical(x, 4))


def test_to_categorical_of_a_jax_array_finds_the_classes():
    assert utils.to_categorical(jnp.array([0, 2])).shape == (2, 3)


def test_to_categorical_can_be_traced():
    inside = jax.jit(lambda x: utils.to_categorical(x, 3))(jnp.array([0, 2]))
    np.testing.assert_array_equal(inside, utils.to_categorical([0, 2], 3))


@pytest.mark.parametrize("bad", [-1, 3])
def test_to_categorical_names_the_wrong_index(bad):
    with pytest.raises(ValueError, match=rf"must be in \[0, 3\), got {bad}\."):
        utils.to_categorical([0, bad], 3)


X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
X[1] = 0


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("axis", [-1, 1])
def test_normalize_equals_keras(axis, order):
    assert_same(utils.normalize(X, axis, order), keras.utils.normalize(X, axis, order))


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("axis", [-1, 0])
def test_normalize_of_jax_arrays_equals_keras(axis, order):
    x = jnp.array(X)
    assert_same(utils.normalize(x, axis, order), keras.utils.normalize(x, axis, order))


@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_normalize_along_the_first_axis(order):
    lengths = np.linalg.norm(utils.normalize(X, axis=0, order=order), order, axis=0)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)


def test_normalize_of_a_list():
    assert np.allclose(utils.normalize([[3.0, 4.0]]), [[0.6, 0.8]])


def test_unknown_names_are_explained():
    with pytest.raises(AttributeError, match="Did you mean 'to_categorical'"):
        utils.to_categoricl  # noqa: B018


def test_every_listed_name_loads():
    assert all(getattr(utils, name) is not None for name in utils.__all__)
