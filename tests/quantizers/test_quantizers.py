"""Quantizers and their functions against keras."""

import json

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import staghorn
from staghorn import quantizers
from tests.oracle import assert_same, compare, keras

RNG = np.random.default_rng(0)
A = RNG.normal(size=(6, 4)).astype("float32")
B = RNG.normal(size=(2, 3, 4)).astype("float32")
BITS = RNG.integers(-8, 8, (5, 3, 4)).astype("int8")
SMALL = np.float32(-0.7), np.float32(1.3)
PER_CHANNEL = np.linspace(-1, -0.2, 4, dtype="float32"), np.linspace(0.1, 2, 4, dtype="float32")

# function, arguments
CALLS = [
    ("abs_max_quantize", (A, 0), {}),
    ("abs_max_quantize", (A, -1), {"to_numpy": True}),
    ("abs_max_quantize", (B, (0, 2)), {"value_range": (-8, 7), "epsilon": 1e-3}),
    ("abs_max_quantize", (B, [1], (-127, 127), "int16"), {}),
    ("abs_max_quantize", (A.astype("float16"), 1), {}),
    ("abs_max_quantize", (A.astype("float16"), 1), {"to_numpy": True}),
    ("abs_max_quantize", (np.zeros((2, 2), "float32"), 0), {}),
    *(
        ("abs_max_quantize_grouped_with_zero_point", (x, size), {"to_numpy": numpy})
        for x in (A, A + 5, np.ones((6, 4), "float32"))
        for size in (2, 4, 6, 8)
        for numpy in (False, True)
    ),
    ("compute_float8_scale", (np.float32(3), np.float32(2), np.float32(448)), {}),
    ("compute_float8_scale", (np.float32(0), np.float32(2), np.float32(448), 3), {}),
    ("compute_float8_scale", (np.float32(np.inf), np.float32(2), np.float32(448)), {}),
    ("compute_float8_amax_history", (A, np.arange(4, dtype="float32")), {}),
    ("quantize_and_dequantize", (A * 300, np.float32(2), "float8_e4m3fn", "float32"), {}),
    ("quantize_and_dequantize", (A, np.float32(0.1), "float8_e5m2", "bfloat16"), {}),
    *(("unpack_int4", (x, n, axis, t), {}) for x, n, axis, t in [
        (BITS, 9, 0, "int8"), (BITS, 8, -1, "int8"), (BITS.astype("uint8"), 5, 1, "uint8"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs"), CALLS)
def test_functions(name, args, kwargs):
    ours = getattr(quantizers, name)(*args, **kwargs)
    assert_same(ours, getattr(keras.quantizers, name)(*args, **kwargs), rtol=1e-6)


@pytest.mark.parametrize("shape", [(5,), (4, 3), (3, 5, 2)])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_four_bits(shape, dtype):
    low, high = (-8, 8) if dtype == "int8" else (0, 16)
    x = np.random.default_rng(1).integers(low, high, shape).astype(dtype)
    for axis in range(-len(shape), len(shape)):
        packed, packed_shape, count = quantizers.pack_int4(x, axis, dtype)
        theirs = keras.quantizers.pack_int4(x, axis, dtype)
        assert_same(packed, theirs[0])
        assert (packed_shape, count) == theirs[1:]
        np.testing.assert_array_equal(quantizers.unpack_int4(packed, count, axis, dtype), x)


FAKE = [
    (A, *SMALL, {}),
    (A, *SMALL, {"num_bits": 4, "narrow_range": True}),
    (A, np.float32([-1.1]), np.float32([0.4]), {"num_bits": 3}),
    (B, *PER_CHANNEL, {"axis": -1}),
    (B, *PER_CHANNEL, {"axis": 2, "num_bits": 5, "narrow_range": True}),
]


@pytest.mark.parametrize(("x", "low", "high", "kwargs"), FAKE)
def test_fake_quantization(x, low, high, kwargs):
    def ours(*arrays):
        return quantizers.fake_quant_with_min_max_vars(*arrays, **kwargs)

    def theirs(*arrays):
        return keras.quantizers.fake_quant_with_min_max_vars(*arrays, **kwargs)

    compare(ours, theirs, x, low, high)
    y = jax.jit(ours)(x.astype("bfloat16"), low, high)
    assert_same(y, theirs(x.astype("bfloat16"), low, high), rtol=1e-2)


def test_channels_may_be_any_axis():
    x = np.moveaxis(B, -1, 0)
    y = quantizers.fake_quant_with_min_max_vars(x, *PER_CHANNEL, axis=0)
    wanted = quantizers.fake_quant_with_min_max_vars(B, *PER_CHANNEL, axis=-1)
    np.testing.assert_allclose(jnp.moveaxis(y, 0, -1), wanted)


def test_symbolic_tensors():
    x = staghorn.Input((4,))
    model = staghorn.Model(x, quantizers.fake_quant_with_min_max_vars(x, -0.7, 1.3, num_bits=3))
    assert model.output_shape == (None, 4)
    wanted = quantizers.fake_quant_with_min_max_vars(A, -0.7, 1.3, num_bits=3)
    np.testing.assert_array_equal(model(A), wanted)
    assert quantizers.abs_max_quantize(x, axis=-1)[0].dtype == "int8"


# Objects --------------------------------------------------------------------------------------

OBJECTS = [
    lambda q: q.AbsMaxQuantizer(),
    lambda q: q.AbsMaxQuantizer(axis=0, value_range=(-100, 100), epsilon=1e-3),
    lambda q: q.AbsMaxQuantizer([0, 1], output_dtype="int16", value_range=(-999, 999)),
    lambda q: q.Int8QuantizationConfig(),
    lambda q: q.Int8QuantizationConfig(q.AbsMaxQuantizer(axis=0), None),
]


@pytest.mark.parametrize("make", OBJECTS)
def test_configs_equal_keras_and_round_trip(make):
    ours, theirs = make(quantizers), make(keras.quantizers)
    config = json.loads(json.dumps(quantizers.serialize(ours)))
    assert config == json.loads(json.dumps(keras.quantizers.serialize(theirs)))
    again = staghorn.saving.deserialize_keras_object(config)
    assert quantizers.serialize(again) == quantizers.serialize(ours)
    assert getattr(ours, "mode", None) == getattr(theirs, "mode", None)


@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
@pytest.mark.parametrize("own", [None, 1])
def test_the_quantizer_itself(axis, own):
    found = [q.AbsMaxQuantizer(own)(B, axis=axis) for q in (quantizers, keras.quantizers)]
    assert_same(*found)


def test_get():
    quantizer = quantizers.AbsMaxQuantizer()
    assert quantizers.get(None) is None
    assert quantizers.get(quantizer) is quantizer
    assert quantizers.get("AbsMaxQuantizer", axis=1).axis == (1,)
    assert quantizers.get(quantizers.serialize(quantizer)).get_config() == quantizer.get_config()


def test_a_quantizer_of_ones_own():
    @staghorn.saving.register_keras_serializable("demo")
    class Coarse(quantizers.AbsMaxQuantizer):
        def __call__(self, x, axis=None, to_numpy=False):
            y, scale = super().__call__(x, axis, to_numpy)
            return y // 16 * 16, scale

    config = quantizers.Int8QuantizationConfig(Coarse(0))
    layer = staghorn.layers.Dense(3)
    layer.build((None, 5))
    layer.quantize("int8", config=config)
    assert not (layer.kernel.numpy() % 16).any()
    again = staghorn.layers.Dense.from_config(layer.get_config())
    assert type(again.quantization_config.weight_quantizer) is Coarse


BAD = [
    (lambda: quantizers.get("abs_max_quant"), ValueError, "Did you mean 'abs_max_quantizer'"),
    (lambda: quantizers.AbsMaxQuantizer(0, (-200, 127)), ValueError, r"in \[-128, 127\] for int8"),
    (
        lambda: quantizers.Int8QuantizationConfig(
            quantizers.AbsMaxQuantizer(output_dtype="int16", value_range=(-9, 9))
        ),
        ValueError,
        "must have output_dtype='int8', got 'int16'",
    ),
    (lambda: quantizers.QuantizationConfig().mode, NotImplementedError, "has no mode"),
    (lambda: quantizers.Int4QuantizationConfig(block_size=8), NotImplementedError, "'int4' is not"),
    (lambda: quantizers.GPTQConfig(None, None), NotImplementedError, "'gptq' is not supported"),
    (lambda: quantizers.AWQConfig(None, None), NotImplementedError, "'awq' is not supported"),
    (lambda: quantizers.Float8QuantizationConfig(), NotImplementedError, "'float8' is not supp"),
    (lambda: quantizers.pack_int4(A), TypeError, "must be int8, got float32"),
    (lambda: quantizers.pack_int4(BITS, dtype="int4"), ValueError, "'int8' or 'uint8', got 'int4'"),
    (lambda: quantizers.unpack_int4(A, 3), TypeError, "must be int8 or uint8, got float32"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_float8_has_the_range_it_should():
    x = np.float32([1e9, -1e9])
    for dtype in ("float8_e4m3fn", "float8_e5m2"):
        largest = float(ml_dtypes.finfo(dtype).max)
        y = quantizers.quantize_and_dequantize(x, 1.0, dtype, "float32")
        np.testing.assert_array_equal(y, [largest, -largest])
