"""Convolution layers against keras: sizes over a grid, weights, and steps of training."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from tests.oracle import assert_same, keras


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_sizes_equal_those_of_keras(padding):
    grid = itertools.product((1, 2, 3, 5), (1, 2, 3), (1, 2), (5, 8, None))
    for kernel_size, strides, dilation_rate, size in grid:
        if strides > 1 and dilation_rate > 1:
            continue
        kwargs = {
            "filters": 2,
            "kernel_size": kernel_size,
            "strides": strides,
            "dilation_rate": dilation_rate,
            "padding": padding,
        }
        shape = (None, size, 3)
        theirs = keras.layers.Conv1D(**kwargs)
        try:
            wanted = theirs.compute_output_shape(shape)
        except ValueError:
            with pytest.raises(ValueError, match="larger than the input"):
                staghorn.layers.Conv1D(**kwargs).compute_output_shape(shape)
            continue
        assert staghorn.layers.Conv1D(**kwargs).compute_output_shape(shape) == tuple(wanted)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_transposed_sizes_equal_those_of_keras(padding):
    grid = itertools.product((1, 2, 3, 5), (1, 2, 3), (1, 2), (None, 0, 1), (4, None))
    for kernel_size, strides, dilation_rate, output_padding, size in grid:
        if (strides > 1 and dilation_rate > 1) or (output_padding or 0) >= strides:
            continue
        kwargs = {
            "filters": 2,
            "kernel_size": kernel_size,
            "strides": strides,
            "dilation_rate": dilation_rate,
            "output_padding": output_padding,
            "padding": padding,
        }
        shape = (None, size, 3)
        wanted = keras.layers.Conv1DTranspose(**kwargs).compute_output_shape(shape)
        assert staghorn.layers.Conv1DTranspose(**kwargs).compute_output_shape(shape) == tuple(
            wanted
        )


def network(library):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((12, 12, 1)),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.SeparableConv2D(6, 3, padding="same", name="second"),
            layers.DepthwiseConv2D(3, strides=2, name="third"),
            layers.Conv2DTranspose(3, 3, strides=2, padding="same", name="fourth"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def test_training_and_weight_files_equal_those_of_keras(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 12, 12, 1)).astype("f"), rng.normal(size=(8, 2)).astype("f")
    ours, theirs = network(staghorn), network(keras)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")

    for model, library in ((ours, staghorn), (theirs, keras)):
        model.compile(library.optimizers.SGD(0.05), "mse")
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    arrays = [[jnp.asarray(v.value) for v in model.weights] for model in (ours, theirs)]
    assert_same(*arrays, rtol=1e-3, atol=1e-5, what="weight")

    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    assert_same(ours(x), jax.jit(lambda a: theirs(a))(x), rtol=1e-4, atol=1e-5)


KINDS = (("Conv", "", 3), ("Conv", "Transpose", 3), ("SeparableConv", "", 2))


def test_other_names_make_the_same_layers():
    for kind, suffix, ranks in KINDS:
        for rank in range(1, ranks + 1):
            name, other = f"{kind}{rank}D{suffix}", f"{kind}olution{rank}D{suffix}"
            layer = getattr(staghorn.layers, other)(4, 3, padding="same")
            assert type(layer) is getattr(staghorn.layers, name)
            assert isinstance(layer, getattr(staghorn.layers, other))
            assert hasattr(keras.layers, other)
