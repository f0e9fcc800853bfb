"""Random numbers, initializers, regularizers, constraints under JAX's strict modes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import constraints, initializers, random, regularizers

HALF = ["float32", "bfloat16", "float16"]


def linear(dtype, shape=(4, 3)):
    return jnp.arange(1, 1 + np.prod(shape), dtype=dtype).reshape(shape) / 10


DRAWS = {
    "normal": lambda s: random.normal((3, 2), mean=np.ones(2), stddev=0.5, seed=s),
    "normal_half": lambda s: random.normal((3, 2), 1.0, 0.5, dtype="bfloat16", seed=s),
    "uniform": lambda s: random.uniform((3, 2), -1.0, 1.0, seed=s),
    "truncated_normal": lambda s: random.truncated_normal((3, 2), 1.0, 0.5, seed=s),
    "randint": lambda s: random.randint((3, 2), 0, 9, seed=s),
    "categorical": lambda s: random.categorical(np.zeros((3, 4), "float32"), 2, seed=s),
    "dropout": lambda s: random.dropout(linear("float32", (3, 2)), 0.5, seed=s),
    "dropout_half": lambda s: random.dropout(linear("bfloat16", (3, 2)), 0.5, (3, 1), seed=s),
    "shuffle": lambda s: random.shuffle(linear("float32", (3, 2)), seed=s),
    "gamma": lambda s: random.gamma((3, 2), np.ones(2), seed=s),
    "binomial": lambda s: random.binomial((3, 2), 4, 0.5, seed=s),
    "beta": lambda s: random.beta((3, 2), 1.0, np.ones(2), seed=s),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws(name):
    assert DRAWS[name](1).shape == (3, 2)


@pytest.mark.parametrize("name", DRAWS)
def test_compiled_draws_equal_eager_ones(name):
    seeds, twin = random.SeedGenerator(4), random.SeedGenerator(4)
    compiled = staghorn.jit(lambda: DRAWS[name](seeds))
    for _ in range(2):
        ours, theirs = compiled(), DRAWS[name](twin)
        np.testing.assert_allclose(
            np.asarray(ours, "float32"), np.asarray(theirs, "float32"), rtol=1e-2
        )
    assert seeds.state.numpy().tolist() == [4, 2]


def test_an_unordered_draw_is_the_same_when_traced():
    seeds, twin = random.SeedGenerator(2**31 + 7), random.SeedGenerator(2**31 + 7)
    compiled = staghorn.jit(lambda: seeds.next(ordered=False))
    for _ in range(3):
        np.testing.assert_array_equal(compiled(), twin.next(ordered=False))


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", ["l1", "l2", "l1_l2", "orthogonal_regularizer"])
def test_regularizers(name, dtype):
    penalty = regularizers.get(name)
    if name == "l1_l2":
        penalty = regularizers.L1L2(0.1, 0.2)
    x = linear(dtype)
    value, gradient = jax.value_and_grad(penalty)(x)
    assert value.dtype == gradient.dtype == dtype
    assert value.shape == ()
    assert bool(jnp.isfinite(gradient).all())


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", ["max_norm", "non_neg", "unit_norm", "min_max_norm"])
def test_constraints(name, dtype):
    project = constraints.get(name)
    x = linear(dtype)
    y, gradient = project(x), jax.grad(lambda w: project(w).sum())(x)
    assert y.dtype == gradient.dtype == dtype
    assert y.shape == x.shape


@pytest.mark.parametrize("name", ["max_norm", "unit_norm", "min_max_norm"])
def test_a_zero_vector_has_a_finite_gradient(name):
    project = constraints.get(name)
    gradient = jax.grad(lambda w: project(w).sum())(jnp.zeros((3, 2)))
    assert bool(jnp.isfinite(gradient).all())


def test_a_zero_row_has_a_finite_penalty_gradient():
    penalty = regularizers.OrthogonalRegularizer()
    x = linear("float32").at[0].set(0.0)
    assert bool(jnp.isfinite(jax.grad(penalty)(x)).all())


NAMES = ["glorot_uniform", "he_normal", "random_normal", "random_uniform", "orthogonal"]


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", NAMES)
def test_initializers_draw_from_a_traced_generator(name, dtype):
    seeds = random.SeedGenerator(6)
    initializer = type(initializers.get(name))(seed=seeds)
    compiled = staghorn.jit(lambda: initializer((4, 3), dtype))
    inside = compiled()
    eager = type(initializers.get(name))(seed=6)((4, 3), dtype)
    assert inside.dtype == eager.dtype == dtype
    np.testing.assert_allclose(
        np.asarray(inside, "float32"), np.asarray(eager, "float32"), rtol=2e-2, atol=1e-2
    )
    assert seeds.state.numpy().tolist() == [6, 1]


def test_initializers_give_arrays_inside_any_trace():
    seen = []

    def traced(x):
        seen.append(initializers.GlorotUniform(seed=1)((2, 3)))
        return x

    jax.jit(jax.grad(traced))(1.0)
    assert all(type(array) is np.ndarray for array in seen)
    assert len(seen) == 1


def test_a_weight_made_while_shapes_are_traced_gets_a_real_draw():
    from staghorn.engine.scope import abstractly

    seeds = random.SeedGenerator(8)
    made = []

    def build(x):
        initializer = initializers.GlorotUniform(seed=seeds)
        made.extend(staghorn.Variable(initializer, shape=(2, 3)) for _ in range(2))
        return x

    jax.eval_shape(abstractly(build), jnp.zeros(2))
    twin = initializers.GlorotUniform(seed=random.SeedGenerator(8))
    for variable in made:
        np.testing.assert_allclose(variable.numpy(), twin((2, 3)), rtol=1e-6)
    assert seeds.state.numpy().tolist() == [8, 2]


def test_normalize_and_to_categorical():
    x = linear("bfloat16")
    assert staghorn.utils.normalize(x).dtype == x.dtype
    assert staghorn.utils.normalize(x, order=1).dtype == x.dtype
    assert staghorn.utils.to_categorical(jnp.array([[0], [2]]), 3).tolist() == [
        [1.0, 0.0, 0.0],
        [0.0, 0.0, 1.0],
    ]


@pytest.mark.parametrize("shape", [(), (1,), (64, 256), (3, 5, 7), (2, 0), (100_003,)])
@pytest.mark.parametrize("key", [(3, 0), (2**32 - 1, 77)])
def test_compiled_dropout_draws_what_jax_draws(shape, key):
    key = np.array(key, np.uint32)
    for keep in (0.9, 0.5, 0.3):
        drop = jax.jit(lambda x: staghorn.random.dropout(x, 1 - keep, seed=key))  # noqa: B023
        kept = np.asarray(drop(np.ones(shape, "float32"))) > 0
        expected = jax.random.bernoulli(key, np.float32(1 - (1 - keep)), shape)
        np.testing.assert_array_equal(kept, np.asarray(expected))
