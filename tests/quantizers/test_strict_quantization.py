"""Quantized layers and low-rank updates under JAX's strict modes."""

import numpy as np
import pytest

import staghorn
from staghorn import layers, quantizers

X = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
POLICIES = ["float32", "bfloat16", "mixed_bfloat16"]
LAYERS = {
    "dense": lambda dtype: layers.Dense(2, "relu", dtype=dtype),
    "einsum": lambda dtype: layers.EinsumDense(
        "abc,cde->abde", (4, 2, 3), bias_axes="de", dtype=dtype
    ),
    "last_axis_in_front": lambda dtype: layers.EinsumDense("abc,cd->adb", (3, 4), dtype=dtype),
    "embedding": lambda dtype: layers.Embedding(5, 3, dtype=dtype),
}


def quantized(name, dtype, rank):
    layer = LAYERS[name](dtype)
    x = np.abs(X[0]).astype("int32") if name == "embedding" else X
    layer(x)
    layer.quantize("int8")
    if rank:
        layer.enable_lora(rank, b_initializer="ones")
    return layer, x


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("dtype", POLICIES)
@pytest.mark.parametrize("name", LAYERS)
def test_calls(name, dtype, rank):
    layer, x = quantized(name, dtype, rank)
    y = layer(x)
    assert y.dtype == layer.compute_dtype
    np.testing.assert_allclose(
        np.asarray(staghorn.jit(layer)(x), "float32"),
        np.asarray(y, "float32"),
        rtol=5e-2,
        atol=5e-2,
    )
    store = {}
    layer.save_own_variables(store)
    layer.load_own_variables(store)
    again = np.asarray(layer(x), "float32")
    np.testing.assert_allclose(again, np.asarray(y, "float32"), rtol=0.2, atol=0.2)


@pytest.mark.parametrize("dtype", POLICIES)
def test_training_of_updates(dtype):
    model = staghorn.Sequential(
        [staghorn.Input((5,)), layers.Dense(4, "relu", dtype=dtype), layers.Dense(1, dtype=dtype)]
    )
    model.quantize("int8")
    for layer in model.layers:
        layer.enable_lora(2)
    model.compile("sgd", "mse")
    x, y = X[0], X[0, :, :1]
    before = model.evaluate(x, y, verbose=0)
    model.fit(x, y, epochs=5, verbose=0)
    assert model.evaluate(x, y, verbose=0) < before


@pytest.mark.parametrize("dtype", POLICIES)
def test_the_kernel_under_an_update(dtype):
    layer = layers.Conv2D(2, 2, dtype=dtype, lora_rank=2)
    layer(X[..., None])
    assert layer.kernel.dtype == layer.compute_dtype
    assert layer.kernel.shape == (2, 2, 1, 2)


def test_functions():
    y, scale = quantizers.abs_max_quantize(X, axis=(0, 2))
    assert (y.dtype, scale.shape) == ("int8", (1, 4, 1))
    y = quantizers.fake_quant_with_min_max_vars(X, -np.ones(5, "float32"), 1.0, axis=-1)
    assert y.shape == X.shape
    assert quantizers.abs_max_quantize_grouped_with_zero_point(X[0], 3)[1].shape == (2, 5)
    assert quantizers.compute_float8_amax_history(X, np.zeros(3, "float32")).shape == (3,)
    assert quantizers.quantize_and_dequantize(X, 2.0, "float8_e5m2", "bfloat16").shape == X.shape
