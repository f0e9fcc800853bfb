"""Whole programs under mixed precision against keras: fit, predict, save, load, fit again."""

import numpy as np
import pytest

import staghorn
from tests.oracle import keras

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
RNG = np.random.default_rng(0)
POLICIES = ("mixed_float16", "mixed_bfloat16")
EQUALIZED = {"value_range": (0, 1), "tile_grid_size": (2, 2)}

# name, arguments of the first layer, shape of the data
PROGRAMS = [
    ("ContrastLimitedAdaptiveHistogramEqualization", EQUALIZED, (4, 8, 8, 1)),
    ("ConvLSTM1D", {"filters": 3, "kernel_size": 3}, (4, 3, 6, 2)),
    ("ConvLSTM2D", {"filters": 2, "kernel_size": 2, "return_sequences": True}, (4, 2, 4, 4, 2)),
    ("ConvLSTM3D", {"filters": 2, "kernel_size": 2}, (4, 2, 3, 3, 3, 1)),
]
QUANTIZED = [
    ("Dense", {"units": 5, "activation": "relu"}, (4, 6)),
    ("Conv2D", {"filters": 3, "kernel_size": 3}, (4, 6, 6, 2)),  # stays as it is; Dense follows
    ("Embedding", {"input_dim": 9, "output_dim": 4}, (4, 3)),
    ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 3}, (4, 5)),
]


def program(library, policy, name, kwargs, x):
    library.config.set_dtype_policy(policy)
    library.utils.set_random_seed(1)
    try:
        layers = library.layers
        first = getattr(layers, name)(**kwargs)
        stack = [library.Input(x.shape[1:]), first, layers.Flatten(), layers.Dense(2)]
        model = library.Sequential(stack)
        model.compile(library.optimizers.SGD(0.01), "mse")
        return model
    finally:
        library.config.set_dtype_policy("float32")


def data_of(name, shape):
    x = RNG.integers(0, 9, shape) if name == "Embedding" else RNG.uniform(size=shape)
    return x.astype("float32"), np.ones((len(x), 2), "float32")


def run(library, policy, name, kwargs, x, y, path, quantize):
    """Return losses and predictions; the model in the file goes on as the one in memory does."""
    model = program(library, policy, name, kwargs, x)
    losses = model.fit(x, y, 2, epochs=2, shuffle=False, verbose=0).history["loss"]
    if quantize:
        model.quantize("int8")
        model.compile("sgd", "mse")
    out = model.predict(x, verbose=0)
    if library is staghorn:  # Keras forgets that the loss was scaled, and cannot load its state
        model.save(path)
        again = library.models.load_model(path)
        np.testing.assert_array_equal(np.asarray(again.predict(x, verbose=0)), np.asarray(out))
        assert type(again.optimizer) is type(model.optimizer)
        assert again.dtype_policy == model.dtype_policy
        further = [
            m.fit(x, y, 2, shuffle=False, verbose=0).history["loss"] for m in (model, again)
        ]
        np.testing.assert_allclose(*further, rtol=1e-6)
    return losses, out


def compare(tmp_path, policy, name, kwargs, shape, quantize=False):
    x, y = data_of(name, shape)
    ours, theirs = (
        run(library, policy, name, kwargs, x, y, tmp_path / f"{library.__name__}.keras", quantize)
        for library in (staghorn, keras)
    )
    assert ours[1].dtype == theirs[1].dtype
    close = {"rtol": 0.03, "atol": 0.02} if policy == "mixed_bfloat16" else {"atol": 4e-3}
    np.testing.assert_allclose(ours[0], theirs[0], **close)
    np.testing.assert_allclose(*(np.asarray(o, "float32") for o in (ours[1], theirs[1])), **close)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("name", "kwargs", "shape"), PROGRAMS, ids=[row[0] for row in PROGRAMS])
def test_programs(tmp_path, policy, name, kwargs, shape):
    compare(tmp_path, policy, name, kwargs, shape)


@pytest.mark.parametrize(("name", "kwargs", "shape"), QUANTIZED, ids=[row[0] for row in QUANTIZED])
@pytest.mark.filterwarnings("ignore::UserWarning")  # of layers that stay as they are
def test_int8_in_half_precision(tmp_path, name, kwargs, shape):
    compare(tmp_path, "mixed_bfloat16", name, kwargs, shape, quantize=True)


def test_keras_goes_on_with_a_scaled_loss(tmp_path):
    x, y = data_of("Dense", (4, 6))
    model = program(staghorn, "mixed_float16", "Dense", {"units": 5}, x)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    theirs = keras.models.load_model(tmp_path / "model.keras")
    assert type(theirs.optimizer).__name__ == "LossScaleOptimizer"
    assert int(theirs.optimizer.inner_optimizer.iterations) == 1


def test_int8_does_not_go_with_float16():
    x, _ = data_of("Dense", (4, 6))
    for library in (staghorn, keras):
        model = program(library, "mixed_float16", "Dense", {"units": 5}, x)
        with pytest.raises(ValueError, match="float16"):
            model.quantize("int8")
