"""Sums over rows as products: equal to plain sums in value and in derivatives of any kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.engine.jax_internals import operations
from staghorn.ops.channel_sums import FEWEST_ROWS, sum_rows, to_rows

SHAPES = [(FEWEST_ROWS, 3), (4, 8, FEWEST_ROWS // 16, 5), (FEWEST_ROWS + 1, 7), (6, 2)]


def random(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape).astype("float32"))


def plain_sum(x):
    return jnp.sum(x, axis=tuple(range(x.ndim - 1)))


def plain_rows(vector, shape):
    return jnp.broadcast_to(jnp.reshape(vector, (1,) * (len(shape) - 1) + vector.shape), shape)


def uses(sums, rows, x, vector):
    """A function with both, not linear, so that it has second derivatives."""
    y = x * rows(vector, x.shape) + rows(jnp.square(vector), x.shape)
    return jnp.sum(jnp.sin(sums(y * y) / x.size))


@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_derivatives(shape):
    x, vector = random(*shape), random(shape[-1])
    np.testing.assert_allclose(sum_rows(x), plain_sum(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(
        jnp.broadcast_to(to_rows(vector, shape), shape), plain_rows(vector, shape)
    )
    ours = lambda x, v: uses(sum_rows, to_rows, x, v)  # noqa: E731
    plain = lambda x, v: uses(plain_sum, plain_rows, x, v)  # noqa: E731
    for transform in (
        lambda f: jax.grad(f, (0, 1)),
        lambda f: lambda x, v: jax.jvp(f, (x, v), (jnp.ones_like(x), jnp.ones_like(v))),
        lambda f: lambda x, v: jax.hessian(lambda u: f(x, u))(v),
        lambda f: jax.jit(jax.grad(f, 1)),
    ):
        got, wanted = transform(ours)(x, vector), transform(plain)(x, vector)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-6)


def test_many_at_once():
    x, vectors = random(3, FEWEST_ROWS, 2), random(3, 2)
    np.testing.assert_allclose(jax.vmap(sum_rows)(x), x.sum(axis=1), rtol=1e-4, atol=1e-4)
    rows = jax.vmap(lambda v: jnp.broadcast_to(to_rows(v, (FEWEST_ROWS, 2)), (FEWEST_ROWS, 2)))
    np.testing.assert_array_equal(rows(vectors)[1, 7], vectors[1])


def test_infinities_stay_in_their_channel():
    x = np.ones((FEWEST_ROWS, 3), "float32")
    x[5, 1] = np.inf
    np.testing.assert_array_equal(sum_rows(jnp.asarray(x)), [FEWEST_ROWS, np.inf, FEWEST_ROWS])


def test_prediction_still_fills_up_a_smaller_batch():
    """The sums do not hide that rows stay apart."""
    model = staghorn.Sequential(
        [
            staghorn.Input((16, 16, 3)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
        ]
    )
    x = random(20, 16, 16, 3)
    whole = model.predict(x, batch_size=16, verbose=0)
    assert model._executor["predict"][1]._fills is True
    np.testing.assert_allclose(whole, np.asarray(model(x)), rtol=1e-4, atol=1e-5)
    assert "staghorn_sum_rows" in operations(jax.make_jaxpr(sum_rows)(x))


@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives_of_moments_of_channels(shape):
    x, direction = random(*shape), jnp.cos(random(*shape))

    def with_ours(x):
        mean, variance = staghorn.ops.moments(x, tuple(range(x.ndim - 1)))
        return jnp.sum(jnp.sin(mean) + jnp.square(variance))

    def with_plain(x):
        axes = tuple(range(x.ndim - 1))
        return jnp.sum(jnp.sin(jnp.mean(x, axes)) + jnp.square(jnp.var(x, axes)))

    def kinds(fn):
        gradient = jax.grad(fn)
        twice = jax.jvp(gradient, (x,), (direction,))[1]
        return gradient(x), twice, jax.jvp(fn, (x,), (direction,))[1]

    for ours, wanted in zip(kinds(with_ours), kinds(with_plain), strict=True):
        scale = float(jnp.max(jnp.abs(wanted)))
        np.testing.assert_allclose(ours, wanted, rtol=1e-3, atol=1e-5 * scale)
