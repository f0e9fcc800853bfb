"""What no row of the spectrogram layers can say."""

import jax
import numpy as np
import pytest

from staghorn import layers
from tests.oracle import assert_same, keras

SIGNAL = np.random.default_rng(0).normal(size=(2, 40, 1)).astype("float32")
MEL = {"fft_length": 16, "sequence_stride": 6, "sampling_rate": 800, "num_mel_bins": 5}


def test_half_precision_equals_keras():
    kwargs = {"frame_length": 12, "mode": "magnitude", "dtype": "mixed_float16"}
    ours, theirs = layers.STFTSpectrogram(**kwargs), keras.layers.STFTSpectrogram(**kwargs)
    assert_same(ours(SIGNAL), theirs(SIGNAL), rtol=2e-2, atol=2e-2)
    assert layers.STFTSpectrogram(dtype="bfloat16", frame_length=12)(SIGNAL).dtype == "bfloat16"


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"frame_length": 8, "frame_step": 9}, "frame_step must not be longer"),
        ({"frame_length": 8, "fft_length": 4}, "fft_length must not be shorter"),
        ({"mode": "power"}, "mode must be one of"),
        ({"padding": "causal"}, "padding must be one of"),
        ({"window": "unheard"}, "unheard"),
    ],
)
def test_bad_arguments(kwargs, said):
    with pytest.raises(ValueError, match=said):
        layers.STFTSpectrogram(**kwargs)


def test_whole_numbers_are_refused():
    with pytest.raises(TypeError, match="signals must be floats, got int16"):
        layers.STFTSpectrogram(frame_length=12)(np.zeros((2, 40, 1), "int16"))


def test_mel_windows_fit_in_the_transform():
    with pytest.raises(ValueError, match="must not be longer than fft_length, got 32 and 16"):
        layers.MelSpectrogram(fft_length=16, sequence_length=32)


@pytest.mark.parametrize("shape", [(50,), (53,), (2, 3, 50)])
def test_mel_of_any_rank(shape):
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    ours, theirs = layers.MelSpectrogram(**MEL), keras.layers.MelSpectrogram(**MEL)
    assert_same(ours(x), theirs(x), rtol=1e-4, atol=1e-4)
    assert ours.compute_output_shape(shape) == ours(x).shape
    assert_same(jax.jit(ours)(x), theirs(x), rtol=1e-4, atol=1e-4)


def test_silence_has_finite_gradients():
    silent = np.zeros((1, 50), "float32")
    gradient = jax.grad(lambda x: layers.MelSpectrogram(**MEL)(x).sum())(silent)
    assert np.isfinite(gradient).all()


def test_weight_matrix_equals_keras():
    ours, theirs = layers.MelSpectrogram(), keras.layers.MelSpectrogram()
    matrices = [layer.linear_to_mel_weight_matrix(9, 33) for layer in (ours, theirs)]
    assert_same(*matrices, rtol=1e-4, atol=2e-5)
