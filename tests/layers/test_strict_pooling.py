"""Pooling under strict modes: what the compiled gradient is made of, and rules about windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

import staghorn
from staghorn import ops

WINDOWS = [
    ((2, 9, 3), 2, 2, "valid"),
    ((2, 8, 7, 2), 2, 2, "valid"),
    ((2, 8, 7, 2), 3, 2, "same"),
    ((2, 8, 7, 2), 3, 1, "same"),
    ((2, 4, 5, 3, 2), 2, 2, "same"),
]


def program(pool, x):
    return jax.jit(jax.grad(lambda x: jnp.sum(jnp.square(pool(x))))).lower(x).as_text()


@pytest.mark.parametrize("case", WINDOWS, ids=str)
def test_gradients_have_no_select_and_scatter(case):
    shape, *options = case
    x = jnp.zeros(shape)
    assert "select_and_scatter" not in program(lambda x: ops.max_pool(x, *options), x)


def test_what_is_looked_for_is_there_without_our_rule():
    def pool(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 1), (1, 2, 1), "VALID")

    assert "select_and_scatter" in program(pool, jnp.zeros((2, 8, 3)))


@pytest.mark.parametrize("case", WINDOWS, ids=str)
def test_equal_values_give_the_gradient_to_the_first(case):
    shape, *options = case
    y, back = jax.vjp(lambda x: ops.max_pool(x, *options), jnp.ones(shape))
    (dx,) = back(jnp.ones(y.shape))
    places = np.argwhere(np.asarray(dx)[0, ..., 0])
    # The first value inside each window: its corner, or the edge of the input.
    pool_size, strides, padding = options
    expected = []
    for size, out in zip(shape[1:-1], y.shape[1:-1], strict=True):
        over = max((out - 1) * strides + pool_size - size, 0) if padding == "same" else 0
        starts = np.arange(out) * strides - over // 2
        expected.append(starts)
    corners = np.stack(np.meshgrid(*expected, indexing="ij"), -1).reshape(-1, len(expected))
    inside = {tuple(np.maximum(corner, 0)) for corner in corners.tolist()}
    assert {tuple(place) for place in places.tolist()} == {tuple(map(int, p)) for p in inside}
    assert float(dx.sum()) == y.size


def test_mapped_is_looped():
    x = jnp.asarray(np.random.default_rng(0).integers(0, 3, (3, 2, 7, 4)).astype("float32"))

    def gradient(x):
        return jax.grad(lambda x: jnp.sum(ops.max_pool(x, 3, 2, "same") ** 2))(x)

    np.testing.assert_array_equal(jax.vmap(gradient)(x), jnp.stack([gradient(row) for row in x]))


def test_a_program_for_any_size():
    batch, height, width = export.symbolic_shape("b, h, w")

    def gradient(x):
        loss = jnp.sum(ops.average_pool(ops.max_pool(x, 3, 2, "same"), 2, 1, "same") ** 2)
        return loss, jax.grad(lambda x: jnp.sum(ops.max_pool(x, 3, 2, "same") ** 2))(x)

    spec = jax.ShapeDtypeStruct((batch, height, width, 2), "float32")
    exported = export.export(jax.jit(gradient))(spec)
    x = jnp.asarray(np.random.default_rng(0).integers(0, 3, (2, 8, 7, 2)).astype("float32"))
    for ours, eager in zip(exported.call(x), gradient(x), strict=True):
        np.testing.assert_allclose(ours, eager, rtol=1e-6)


def test_unknown_sizes_stay_unknown():
    images = staghorn.Input((None, 9, 3))
    assert ops.max_pool(images, 2).shape == (None, None, 4, 3)
    assert ops.average_pool(images, 2, padding="same").shape == (None, None, 5, 3)


def test_small_whole_numbers_do_not_overflow():
    x = np.full((1, 4, 1), 200, "uint8")
    assert ops.average_pool(x, 2).ravel().tolist() == [200.0, 200.0]


def test_as_many_windows_as_values_is_the_identity():
    x = np.arange(7, dtype="float32").reshape(1, 7, 1)
    for pool in (ops.adaptive_max_pool, ops.adaptive_average_pool):
        np.testing.assert_array_equal(pool(x, 7), x)


def test_windows_of_an_empty_batch():
    x = jnp.zeros((0, 6, 6, 2))
    assert jax.grad(lambda x: jnp.sum(ops.max_pool(x, 2)))(x).shape == x.shape


def test_a_sequence_without_steps_is_nan():
    mask = np.array([[True, False], [False, False]])
    y = staghorn.layers.GlobalAveragePooling1D()(np.ones((2, 2, 3), "float32"), mask=mask)
    np.testing.assert_array_equal(y[0], 1.0)
    assert np.isnan(y[1]).all()


def test_upsampling_then_cropping_and_padding_return():
    layers = staghorn.layers
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype("float32"))
    large = layers.UpSampling2D((2, 3))(x)
    np.testing.assert_array_equal(layers.MaxPooling2D((2, 3))(large), x)
    edges = ((1, 2), (0, 3))
    padded = layers.ZeroPadding2D(edges)(x)
    np.testing.assert_array_equal(layers.Cropping2D(edges)(padded), x)
    assert float(jnp.abs(padded).sum()) == pytest.approx(float(jnp.abs(x).sum()), rel=1e-6)
