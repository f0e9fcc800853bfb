"""Random numbers: equal to `jax.random` (NumPy threefry) and to Keras (public functions)."""

import logging
import random as python_random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import random
from staghorn.engine import threefry
from tests.oracle import half_tolerance, keras

KEY = np.array([123456789, 42], np.uint32)
SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 4), (0, 3), (threefry.BLOCK + 3,)]
FLOATS = ["float32", "float16", "bfloat16"]


# The NumPy generator against jax.random ------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("width", [8, 16, 32])
def test_bits_equal_jax(shape, width):
    ours = threefry.bits(KEY, shape, width)
    theirs = np.asarray(jax.random.bits(jnp.array(KEY), shape, f"uint{width}"))
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


def test_split_equals_jax():
    np.testing.assert_array_equal(threefry.split(KEY, 5), jax.random.split(jnp.array(KEY), 5))


def test_counter_carries_into_the_high_word():
    near = (1 << 32) - 2
    buffers = [np.empty(4, np.uint32) for _ in range(3)]
    threefry.words(KEY, near, *buffers)
    high = np.array([0, 0, 1, 1], np.uint32)
    low = np.array([near, near + 1, 0, 1], np.uint32)
    threefry.hash_block(*threefry.raw_key(KEY), high, low, np.empty(4, np.uint32))
    np.testing.assert_array_equal(buffers[0], high)
    np.testing.assert_array_equal(buffers[1], low)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-0.05, 0.05), (-0.123, 0.456)])
def test_uniform_equals_jax(dtype, bounds):
    ours = threefry.uniform(KEY, (5000,), dtype, *bounds)
    theirs = jax.random.uniform(jnp.array(KEY), (5000,), jnp.dtype(dtype), *bounds)
    atol = half_tolerance(dtype, max(map(abs, bounds)))
    np.testing.assert_allclose(np.float32(ours), np.float32(theirs), rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["normal", "truncated_normal"])
def test_normals_equal_jax(dtype, name):
    arguments = (-2.0, 2.0) if name == "truncated_normal" else ()
    ours = getattr(threefry, name)(KEY, *arguments, (200, 300), dtype)
    theirs = getattr(jax.random, name)(jnp.array(KEY), *arguments, (200, 300), jnp.dtype(dtype))
    assert ours.dtype == theirs.dtype
    # The inverse of the error function is steep where a truncated normal ends.
    atol = 1e-7 + 4 * half_tolerance(dtype, 2.0)
    np.testing.assert_allclose(np.float32(ours), np.float32(theirs), rtol=1e-6, atol=atol)


@pytest.mark.parametrize("name", ["uniform", "normal", "truncated_normal"])
def test_float64_equals_jax(name):
    with jax.enable_x64(True):
        arguments = (-2.0, 2.0) if name == "truncated_normal" else ()
        ours = getattr(threefry, name)(KEY, *arguments, (1000,), "float64")
        theirs = getattr(jax.random, name)(jnp.array(KEY), *arguments, (1000,), jnp.float64)
        assert ours.dtype == np.float64
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-12, atol=1e-14)


def test_bits_of_64_equal_jax():
    with jax.enable_x64(True):
        theirs = np.asarray(jax.random.bits(jnp.array(KEY), (9,), "uint64"))
    np.testing.assert_array_equal(threefry.bits(KEY, (9,), 64), theirs)


RANGES = [
    (0, 10, "int32"),
    (-5, 7, "int32"),
    (0, 2**31 - 1, "int32"),
    (-(2**31), 2**31 - 1, "int32"),
    (5, 5, "int32"),
    (0, 256, "uint8"),
    (-3, 100, "int16"),
]


@pytest.mark.parametrize(("low", "high", "dtype"), RANGES)
def test_randint_equals_jax(low, high, dtype):
    ours = threefry.randint(KEY, (1000,), low, high, dtype)
    theirs = np.asarray(jax.random.randint(jnp.array(KEY), (1000,), low, high, dtype))
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


def test_erfinv_reaches_the_tails():
    x = np.array([-1.0, -0.9999999, -0.999, 0.0, 0.5, 0.999, 0.9999999, 1.0], np.float32)
    ours, theirs = threefry.erfinv(x), np.asarray(jax.lax.erf_inv(x))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


BAD_THREEFRY = [
    (lambda: threefry.uniform(KEY, (2,), "int32"), "dtype must be a float dtype, got 'int32'"),
    (lambda: threefry.randint(KEY, (2,), 0, 3, "float32"), "integer dtype, got 'float32'"),
    (lambda: threefry.randint(KEY, (2,), 0, 2**40), "does not fit in 'int32'"),
    (lambda: threefry.bits([1, 2, 3], (2,)), r"array of shape \(3,\)"),
]


@pytest.mark.parametrize(("call", "message"), BAD_THREEFRY)
def test_threefry_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# The public functions against Keras ----------------------------------------------------------

X = np.linspace(-1, 1, 24, dtype="float32").reshape(4, 6)
LOGITS = np.log(np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]], "float32"))
ALPHA = np.array([0.5, 1.0, 4.0], "float32")
CALLS = {
    "normal": lambda r, s: r.normal((3, 4), mean=1.5, stddev=0.3, seed=s),
    "normal_half": lambda r, s: r.normal((3, 4), dtype="float16", seed=s),
    "uniform": lambda r, s: r.uniform((3, 4), -2.0, 3.0, seed=s),
    "uniform_bfloat16": lambda r, s: r.uniform((3, 4), dtype="bfloat16", seed=s),
    "truncated_normal": lambda r, s: r.truncated_normal((3, 4), 0.5, 2.0, seed=s),
    "randint": lambda r, s: r.randint((3, 4), -3, 9, seed=s),
    "randint_uint8": lambda r, s: r.randint((3, 4), 0, 200, dtype="uint8", seed=s),
    "categorical": lambda r, s: r.categorical(LOGITS, 5, seed=s),
    "dropout": lambda r, s: r.dropout(X, 0.3, seed=s),
    "dropout_rows": lambda r, s: r.dropout(X, 0.5, noise_shape=(None, 1), seed=s),
    "shuffle": lambda r, s: r.shuffle(X, seed=s),
    "shuffle_columns": lambda r, s: r.shuffle(X, axis=1, seed=s),
    "gamma": lambda r, s: r.gamma((2, 3), ALPHA, seed=s),
    "gamma_number": lambda r, s: r.gamma((2, 3), 2.0, seed=s),
    "binomial": lambda r, s: r.binomial((2, 3), 10, ALPHA / 5, seed=s),
    "beta": lambda r, s: r.beta((2, 3), ALPHA, 2.0, seed=s),
}


def assert_same(ours, theirs):
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(
        np.asarray(ours, "float64"), np.asarray(theirs, "float64"), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("name", CALLS)
def test_an_int_seed_gives_kerass_numbers(name):
    assert_same(CALLS[name](random, 17), CALLS[name](keras.random, 17))


@pytest.mark.parametrize("name", CALLS)
def test_a_generator_gives_kerass_sequence(name):
    ours, theirs = random.SeedGenerator(17), keras.random.SeedGenerator(17)
    for _ in range(2):
        assert_same(CALLS[name](random, ours), CALLS[name](keras.random, theirs))
    np.testing.assert_array_equal(ours.state.numpy(), np.asarray(theirs.state.value))


@pytest.mark.parametrize("name", CALLS)
def test_unseeded_calls_follow_set_random_seed(name):
    staghorn.utils.set_random_seed(5)
    ours = [CALLS[name](random, None) for _ in range(3)]
    keras.utils.set_random_seed(5)
    for value in ours:
        assert_same(value, CALLS[name](keras.random, None))


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 7, 2**31 + 5])
def test_states_equal_keras(seed, ordered):
    ours, theirs = random.SeedGenerator(seed), keras.random.SeedGenerator(seed)
    for _ in range(4):
        np.testing.assert_array_equal(ours.next(ordered), theirs.next(ordered))
        np.testing.assert_array_equal(ours.state.numpy(), np.asarray(theirs.state.value))


def test_default_seeds_come_from_pythons_random():
    python_random.seed(3)
    first = random.SeedGenerator().state.numpy()
    python_random.seed(3)
    assert first[0] == int(keras.random.SeedGenerator().state.value[0]) != 0


@pytest.mark.parametrize("seed", [None, 3])
def test_generator_config_equals_keras(seed):
    ours = random.SeedGenerator(seed, name="noise").get_config()
    assert ours == keras.random.SeedGenerator(seed, name="noise").get_config()


def test_generator_round_trip():
    again = random.SeedGenerator.from_config(random.SeedGenerator(3).get_config())
    assert again.next().tolist() == [3, 0]


def test_generator_names_count():
    assert [random.SeedGenerator(1).name for _ in range(2)] == [
        "seed_generator",
        "seed_generator_1",
    ]


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_dropout_without_a_draw_leaves_the_generator(rate):
    seeds = random.SeedGenerator(1)
    y = random.dropout(X, rate, seed=seeds)
    np.testing.assert_array_equal(y, X * (1 - rate))
    assert seeds.state.numpy().tolist() == [1, 0]


def test_dropout_gradient_equals_keras():
    ours = jax.grad(lambda x: random.dropout(x, 0.4, seed=3).sum())(jnp.array(X))
    theirs = jax.grad(lambda x: keras.random.dropout(x, 0.4, seed=3).sum())(jnp.array(X))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_means_and_deviations_may_be_arrays():
    means, deviations = np.array([0.0, 10.0], "float32"), np.array([1.0, 0.1], "float32")
    ours = random.normal((50, 2), means, deviations, seed=1)
    plain = random.normal((50, 2), seed=1)
    np.testing.assert_allclose(ours, plain * deviations + means, rtol=1e-6)


# Tracing -------------------------------------------------------------------------------------


def test_an_unseeded_draw_in_a_plain_jit_names_the_fix():
    with pytest.raises(ValueError, match=r"seed_generator = staghorn\.random\.SeedGenerator"):
        jax.jit(lambda: random.normal((2,)))()


def test_an_int_seed_is_fine_in_a_plain_jit():
    inside = jax.jit(lambda: random.normal((2,), seed=4))()
    np.testing.assert_allclose(inside, random.normal((2,), seed=4), rtol=1e-6)


def test_a_generator_moves_on_in_compiled_code():
    seeds, twin = random.SeedGenerator(9), random.SeedGenerator(9)
    draw = staghorn.jit(lambda: random.uniform((3,), seed=seeds))
    for _ in range(3):
        np.testing.assert_array_equal(draw(), random.uniform((3,), seed=twin))
    assert seeds.state.numpy().tolist() == [9, 3]


def test_a_functionalized_draw_returns_the_next_state():
    seeds = random.SeedGenerator(9)
    pure = staghorn.functionalize(lambda: random.uniform((3,), seed=seeds), [seeds.state])
    state = [seeds.state.value]
    first, state = jax.jit(pure)(state)
    second, state = jax.jit(pure)(state)
    assert np.asarray(state[0]).tolist() == [9, 2]
    assert seeds.state.numpy().tolist() == [9, 0]
    assert not np.array_equal(first, second)


def test_unseeded_draws_move_on_in_staghorns_jit():
    staghorn.utils.set_random_seed(2)
    eager = [random.uniform((3,)) for _ in range(2)]
    staghorn.utils.set_random_seed(2)
    random.global_seed_generator()
    draw = staghorn.jit(lambda: random.uniform((3,)))
    for value in eager:
        np.testing.assert_array_equal(draw(), value)


def test_an_unowned_global_generator_is_an_error_in_a_step():
    random.global_seed_generator()
    other = random.SeedGenerator(1)
    pure = staghorn.functionalize(lambda: random.uniform((3,)), [other.state])
    with pytest.raises(ValueError, match="without a seed"):
        jax.jit(pure)([other.state.value])


def test_key_draws_compile_nothing(caplog):
    seeds = random.SeedGenerator(1)
    with caplog.at_level(logging.DEBUG), jax.log_compiles():
        for _ in range(3):
            seeds.next()
        assert "Compiling" not in caplog.text
        jax.jit(lambda x: x + jnp.float32(1234.5))(1.0)
        assert "Compiling" in caplog.text


# Errors --------------------------------------------------------------------------------------

BAD_CALLS = [
    (lambda: random.SeedGenerator(1.5), r"SeedGenerator: seed must be an int or None, got 1.5"),
    (lambda: random.normal((2,), seed="x"), "seed must be an int, a SeedGenerator or None"),
    (lambda: random.uniform((2,), dtype="int32"), "uniform: dtype must be a float dtype"),
    (lambda: random.randint((2,), 0, 3, dtype="float32"), "randint: dtype must be an integer"),
    (lambda: random.categorical(np.zeros(3), 1), r"must have shape \(batch, classes\)"),
    (lambda: staghorn.utils.set_random_seed("a"), "seed must be an int"),
    (lambda: staghorn.utils.set_random_seed(-1), r"in \[0, 2\*\*32\), got -1"),
]


@pytest.mark.parametrize(("call", "message"), BAD_CALLS)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_users_seed_is_remembered():
    staghorn.utils.set_random_seed(11)
    assert staghorn.utils.get_random_seed() == random.global_seed() == 11
