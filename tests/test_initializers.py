"""Initializers: Keras's numbers, configs and names, in plain NumPy."""

import logging

import jax
import numpy as np
import pytest

import staghorn
from staghorn import initializers, random
from tests.oracle import half_tolerance, keras, plain

# name → (arguments, shapes to draw)
RANDOM = {
    "RandomNormal": ({"mean": 0.5, "stddev": 0.2}, [(3,), (4, 5)]),
    "RandomUniform": ({"minval": -1.0, "maxval": 0.5}, [(3,), (4, 5)]),
    "TruncatedNormal": ({"mean": -0.5, "stddev": 2.0}, [(3,), (4, 5)]),
    "GlorotUniform": ({}, [(), (3,), (4, 5), (3, 3, 4, 8)]),
    "GlorotNormal": ({}, [(4, 5), (3, 3, 4, 8)]),
    "HeUniform": ({}, [(4, 5), (3, 3, 4, 8)]),
    "HeNormal": ({}, [(4, 5), (3, 3, 4, 8)]),
    "LecunUniform": ({}, [(4, 5), (3, 3, 4, 8)]),
    "LecunNormal": ({}, [(4, 5), (3, 3, 4, 8)]),
    "VarianceScaling": ({"scale": 3.0}, [(4, 5), (2, 3, 4)]),
}
VARIANTS = [
    {"mode": mode, "distribution": distribution}
    for mode in ("fan_in", "fan_out", "fan_avg")
    for distribution in ("normal", "truncated_normal", "untruncated_normal", "uniform")
]
FIXED = {
    "Zeros": ({}, [(), (2, 3)]),
    "Ones": ({}, [(), (2, 3)]),
    "Constant": ({"value": 2.5}, [(), (2, 3)]),
    "Identity": ({"gain": 1.0}, [(3, 3), (2, 4)]),
    "STFT": ({"side": "imag"}, [(16, 1, 9)]),
}
DTYPES = ["float32", "float16", "bfloat16"]
EVERY = {**RANDOM, **FIXED, "Orthogonal": ({"gain": 1.5}, [(4, 4)])}


def pair(name, **arguments):
    return getattr(initializers, name)(**arguments), getattr(keras.initializers, name)(**arguments)


def assert_drawn_alike(ours, theirs, shape, dtype="float32", rtol=1e-6, atol=1e-7):
    a, b = ours(shape, dtype=dtype), theirs(shape, dtype=dtype)
    assert type(a) is np.ndarray
    assert a.shape == tuple(b.shape)
    assert a.dtype == b.dtype
    np.testing.assert_allclose(plain(a), plain(b), rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RANDOM)
def test_equal_seeds_give_kerass_numbers(name, dtype):
    arguments, shapes = RANDOM[name]
    ours, theirs = pair(name, **arguments, seed=1337)
    for shape in shapes:
        largest = float(np.abs(ours(shape)).max())
        atol = 1e-7 + 4 * half_tolerance(dtype, largest)
        assert_drawn_alike(ours, theirs, shape, dtype, atol=atol)


@pytest.mark.parametrize("arguments", VARIANTS, ids=str)
def test_variance_scaling_variants(arguments):
    ours, theirs = pair("VarianceScaling", scale=0.5, seed=3, **arguments)
    assert_drawn_alike(ours, theirs, (6, 4))
    assert ours.get_config() == theirs.get_config()


def test_fans_may_be_named():
    ours, theirs = pair("GlorotUniform", seed=3, input_axes=[0, 2], output_axes=[1])
    assert_drawn_alike(ours, theirs, (2, 3, 4))
    assert initializers.compute_fans((2, 3, 4), [0, 2], [1]) == (8, 3)


@pytest.mark.parametrize("name", RANDOM)
def test_set_random_seed_gives_kerass_weights(name):
    staghorn.utils.set_random_seed(7)
    ours = [getattr(initializers, name)() for _ in range(2)]
    keras.utils.set_random_seed(7)
    theirs = [getattr(keras.initializers, name)() for _ in range(2)]
    for a, b in zip(ours, theirs, strict=True):
        assert a.seed == b.seed
        assert_drawn_alike(a, b, (4, 5))


@pytest.mark.parametrize("name", [*RANDOM, "Orthogonal"])
def test_a_seed_generator_gives_kerass_sequence(name):
    ours = getattr(initializers, name)(seed=random.SeedGenerator(5))
    theirs = getattr(keras.initializers, name)(seed=keras.random.SeedGenerator(5))
    first = ours((4, 5))
    theirs((4, 5))
    assert_drawn_alike(ours, theirs, (4, 5), rtol=1e-4, atol=1e-5)
    assert not np.array_equal(first, ours((4, 5)))


def test_an_int_seed_gives_the_same_numbers_each_time():
    ours = initializers.HeNormal(seed=1)
    np.testing.assert_array_equal(ours((3, 3)), ours((3, 3)))


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3), (3, 3, 2, 5), (1, 6)])
def test_orthogonal_equals_keras(shape):
    ours, theirs = pair("Orthogonal", gain=1.5, seed=11)
    assert_drawn_alike(ours, theirs, shape, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [*DTYPES, "int32", "bool"])
@pytest.mark.parametrize("name", ["Zeros", "Ones", "Constant"])
def test_fixed_values_equal_keras(name, dtype):
    arguments, shapes = FIXED[name]
    ours, theirs = pair(name, **arguments)
    for shape in shapes:
        assert_drawn_alike(ours, theirs, shape, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_identity_equals_keras(dtype):
    ours, theirs = pair("Identity", gain=2.0)
    for shape in FIXED["Identity"][1]:
        assert_drawn_alike(ours, theirs, shape, dtype)


STFTS = [
    {"side": side, "window": window, "scaling": scaling, "periodic": periodic}
    for side in ("real", "imag")
    for window, periodic in (("hann", False), ("hamming", True), (None, False))
    for scaling in ("density", "spectrum", None)
]


@pytest.mark.parametrize("arguments", STFTS, ids=str)
def test_stft_equals_keras(arguments):
    ours, theirs = pair("STFT", **arguments)
    assert_drawn_alike(ours, theirs, (16, 1, 9), rtol=1e-4, atol=1e-5)
    assert ours.get_config() == theirs.get_config()


def test_constant_may_be_an_array():
    assert initializers.Constant(np.array([1.0, 2.0]))((3, 2)).tolist() == [[1.0, 2.0]] * 3


# Configs and names ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_configs_equal_keras(name):
    for ours, theirs in (pair(name), pair(name, **EVERY[name][0])):
        assert initializers.serialize(ours) == keras.initializers.serialize(theirs)


@pytest.mark.parametrize("name", [*RANDOM, "Orthogonal"])
def test_seeds_in_configs_equal_keras(name):
    ours, theirs = pair(name, seed=3)
    assert ours.get_config() == theirs.get_config()
    ours = getattr(initializers, name)(seed=random.SeedGenerator(3, name="s"))
    theirs = getattr(keras.initializers, name)(seed=keras.random.SeedGenerator(3, name="s"))
    assert ours.get_config() == theirs.get_config()


@pytest.mark.parametrize("name", EVERY)
def test_round_trip(name):
    arguments, shapes = EVERY[name]
    seed = {} if name in FIXED else {"seed": 5}
    ours = getattr(initializers, name)(**arguments, **seed)
    for again in (
        initializers.deserialize(initializers.serialize(ours)),
        initializers.get(keras.initializers.serialize(pair(name, **arguments, **seed)[1])),
        ours.clone(),
    ):
        assert type(again) is type(ours)
        np.testing.assert_array_equal(again(shapes[0]), ours(shapes[0]))


def test_identitys_gain_survives_a_round_trip():
    assert initializers.Identity(2.0).clone().gain == 2.0


def test_a_clone_without_a_seed_draws_other_numbers():
    ours = initializers.HeNormal()
    assert ours.clone().seed != ours.seed
    assert ours.get_config()["seed"] is None


def test_a_subclass_may_fix_its_seed():
    class Mine(initializers.RandomNormal):
        def __init__(self, width):
            super().__init__(stddev=width, seed=1)

    again = Mine.from_config(Mine(0.5).get_config())
    np.testing.assert_array_equal(again((3,)), Mine(0.5)((3,)))


def test_every_name_of_keras_is_known():
    from keras.src.initializers import ALL_OBJECTS_DICT

    for name, cls in ALL_OBJECTS_DICT.items():
        assert type(initializers.get(name)).__name__ == cls.__name__, name
    public = {n for n in dir(keras.initializers) if not n.startswith("_")}
    assert public <= set(initializers.__all__)


def test_get_passes_objects_classes_and_functions():
    made = initializers.Zeros()
    assert initializers.get(made) is made
    assert isinstance(initializers.get(initializers.Zeros), initializers.Zeros)
    assert initializers.get(len) is len
    assert initializers.get(None) is None


def test_get_takes_arrays():
    values = np.arange(4.0).reshape(2, 2)
    start = initializers.get(values)
    assert start((2, 2), "float16").dtype == np.float16
    np.testing.assert_array_equal(start((2, 2)), values)
    with pytest.raises(ValueError, match=r"Give an array of shape \(3,\)"):
        start((3,))


BAD = [
    (lambda: initializers.get("zeross"), "Did you mean 'zeros'"),
    (lambda: initializers.get(3), "initializer is given by name"),
    (lambda: initializers.HeNormal(seed="x"), "HeNormal: seed must be an int"),
    (lambda: initializers.VarianceScaling(-1.0), "scale must be a positive float, got -1.0"),
    (lambda: initializers.VarianceScaling(mode="fan"), "mode must be one of 'fan_in'"),
    (lambda: initializers.VarianceScaling(distribution="x"), "distribution must be one of"),
    (lambda: initializers.STFT(side="left"), "side must be one of 'real', 'imag'"),
    (lambda: initializers.STFT(window="nonsense"), "nonsense|Unknown window"),
    (lambda: initializers.STFT(window=np.ones(4))((8, 1, 5)), "window must have 8 values"),
    (lambda: initializers.Identity()((3,)), "Identity: shape must have two axes"),
    (lambda: initializers.Orthogonal()((3,)), "Orthogonal: shape must have at least two axes"),
    (lambda: initializers.HeNormal()((3, 3), "int32"), "HeNormal: dtype must be a float dtype"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_base_class_says_what_to_define():
    with pytest.raises(NotImplementedError, match="must define __call__"):
        initializers.Initializer()((2,))


# Costs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_compiled(name, caplog):
    arguments, shapes = EVERY[name]
    with caplog.at_level(logging.DEBUG), jax.log_compiles():
        getattr(initializers, name)(**arguments)(shapes[-1])
        assert "Compiling" not in caplog.text
        jax.jit(lambda x: x * np.float32(len(name)))(1.0)
        assert "Compiling" in caplog.text


def test_a_large_kernel_needs_little_more_than_itself():
    import tracemalloc

    initializer = initializers.GlorotNormal(seed=1)
    tracemalloc.start()
    kernel = initializer((1000, 2000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kernel.nbytes <= peak < 1.5 * kernel.nbytes
