"""Layers of colour and mixing by themselves: what they do to pixels, errors, half precision."""

import jax
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.engine.scope import jit

RNG = np.random.default_rng(0)
X = RNG.uniform(0, 1, size=(2, 5, 6, 3)).astype("float32")
UNIT = {"value_range": (0, 1)}
STILL = {  # a strength that changes nothing
    "RandomBrightness": {"factor": 0.0, **UNIT},
    "RandomHue": {"factor": 0.0, **UNIT},
    "RandomSaturation": {"factor": (0.5, 0.5), **UNIT},
    "RandomSharpness": {"factor": (0.5, 0.5), **UNIT},
    "RandomColorDegeneration": {"factor": 0.0, **UNIT},
    "RandomColorJitter": {"brightness_factor": 0.0, "contrast_factor": 0.0, **UNIT},
    "RandomGrayscale": {"factor": 0.0},
    "RandomInvert": {"factor": 0.0, **UNIT},
    "RandomGaussianBlur": {"factor": 0.0, **UNIT},
    "RandomContrast": {"factor": 0.0, **UNIT},
    "RandAugment": {"num_ops": 0, **UNIT},
    "AugMix": {"chain_depth": 0, **UNIT},
}
MOVING = {
    "RandomHue": {"factor": 0.9, **UNIT},
    "RandomColorJitter": {"brightness_factor": 0.5, "saturation_factor": (0.1, 0.6), **UNIT},
    "RandomGrayscale": {"factor": 0.5},
    "RandomPosterization": {"factor": 5, **UNIT},
    "RandomGaussianBlur": {"sigma": (0.4, 0.9), **UNIT},
    "Solarization": {"threshold_factor": 0.5, **UNIT},
    "Equalization": {**UNIT},
    "ContrastLimitedAdaptiveHistogramEqualization": {**UNIT},
    "CutMix": {},
    "MixUp": {},
    "RandAugment": {**UNIT},
}


@pytest.fixture(autouse=True)
def strict_modes():
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.mark.parametrize("name", STILL)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_what_changes_nothing(name, data_format):
    layer = getattr(layers, name)(**STILL[name], data_format=data_format, seed=1)
    x = X if data_format == "channels_last" else np.moveaxis(X, -1, 1)
    for some in (x, x[0]):
        np.testing.assert_allclose(layer(some, training=True), some, atol=1e-5)


@pytest.mark.parametrize("name", MOVING)
def test_compiled_equals_eager(name):
    seed = {} if "Equalization" in name else {"seed": 4}
    eager, compiled = (getattr(layers, name)(**MOVING[name], **seed) for _ in range(2))
    step = jit(compiled)
    for _ in range(2):  # the second draw, too
        np.testing.assert_allclose(step(X), eager(X), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_compiled_aug_mix_equals_eager():
    """Each chain is a compiled loop over a switch, and still draws the same numbers."""
    eager, compiled = (layers.AugMix(**UNIT, seed=4) for _ in range(2))
    step = jit(compiled)
    for _ in range(3):
        np.testing.assert_allclose(step(X), eager(X), rtol=1e-4, atol=1e-4)
    state = [np.asarray(layer.generator.state.value).tolist() for layer in (eager, compiled)]
    assert state[0] == state[1]


def test_blur_of_a_point():
    point = np.zeros((1, 5, 5, 1), "float32")
    point[0, 2, 2] = 1.0
    out = layers.RandomGaussianBlur((1.0, 1.0), 5, (1.0, 1.0), (0, 1))(point)
    bell = np.exp(-0.5 * np.arange(-2, 3) ** 2)
    expected = np.outer(bell, bell) / bell.sum() ** 2
    np.testing.assert_allclose(out[0, :, :, 0], expected, atol=1e-5)


def test_equalization_makes_levels_equally_frequent():
    dark = (RNG.uniform(size=(1, 64, 64, 1)) ** 1.5 * 255).astype("float32")
    out = np.asarray(layers.Equalization()(dark))
    counts, _ = np.histogram(out, bins=4, range=(0, 255))
    np.testing.assert_allclose(counts / out.size, 0.25, atol=0.06)
    # One tile and no limit: the same, but for rounding to bins.
    whole = layers.ContrastLimitedAdaptiveHistogramEqualization(clip_limit=0, tile_grid_size=(1, 1))
    np.testing.assert_allclose(whole(dark), out, atol=1.5)


def test_cut_mix_pastes_one_rectangle():
    images = np.stack([np.zeros((9, 7, 1)), np.ones((9, 7, 1))]).astype("float32")
    labels = np.eye(2, dtype="float32")
    layer = layers.CutMix((0.9, 1.0), seed=2)
    found = set()
    for _ in range(20):
        out = layer({"images": images, "labels": labels})
        np.testing.assert_allclose(np.sum(out["labels"], axis=1), 1.0, rtol=1e-5)
        for given, image in zip(images, np.asarray(out["images"]), strict=True):
            rows, columns = (np.flatnonzero((image != given).any(axis=(a, 2))) for a in (1, 0))
            if rows.size:
                inside = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                assert (inside == 1 - given[0, 0]).all()
                found.add(inside.shape)
    assert len(found) > 2


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_halves(policy):
    """Hue and saturation are computed in float32."""
    for name, given in (
        ("RandomSaturation", {"factor": (0.2, 0.5)}),
        ("RandomColorJitter", {"hue_factor": (0.2, 0.5)}),
    ):
        half, full = (
            getattr(layers, name)(**given, **UNIT, seed=1, dtype=p)(X) for p in (policy, None)
        )
        assert half.dtype == policy.removeprefix("mixed_")
        np.testing.assert_allclose(np.asarray(half, "float32"), full, atol=2e-2)


def test_a_single_image_passes_cut_mix():
    np.testing.assert_array_equal(layers.CutMix()(X[0]), X[0])


def test_pipeline_carries_masks_and_text():
    x = np.array([[[1.0], [0.0]]], "float32")
    steps = layers.Pipeline([layers.Masking(), layers.Rescaling(3.0), layers.LSTM(2)])
    np.testing.assert_allclose(steps(x), steps.layers[2](x[:, :1] * 3.0), rtol=1e-6)
    words = layers.Pipeline([layers.StringLookup(vocabulary=["a", "b"])])
    assert np.asarray(words(["b", "c", "a"])).tolist() == [2, 0, 1]
    nested = layers.Pipeline([layers.Pipeline([layers.RandomInvert((1, 1), (0, 1))])])
    np.testing.assert_allclose(nested(X, training=True), 1 - X)
    np.testing.assert_allclose(nested(X, training=False), X)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.RandomBrightness(1.5), r"RandomBrightness: factor .* in \[-1, 1\], .* 1.5"),
        (lambda: layers.RandomHue(-0.1), r"factor must be a number in \[0, 1\]"),
        (lambda: layers.RandomHue((2.0, 3.0)), "that reaches into it"),
        (lambda: layers.RandomSaturation("0.1"), r"got '0.1' \(str\)"),
        (lambda: layers.RandomSharpness((0.1,)), "a pair of numbers"),
        (lambda: layers.RandomSharpness(0.1, value_range=255), "value_range must be"),
        (lambda: layers.Equalization((3, 3)), r"value_range must be \(lowest, highest\)"),
        (lambda: layers.Equalization(bins=0), "bins must be a positive int"),
        (lambda: layers.RandomPosterization(9), r"in \[1, 8\]"),
        (lambda: layers.RandomGrayscale(2), r"factor must be a number in \[0, 1\]"),
        (lambda: layers.RandomGaussianBlur(kernel_size=4), "odd positive int"),
        (lambda: layers.RandomGaussianBlur(sigma=3.0), r"sigma must be a number in \[0, 1\]"),
        (lambda: layers.Solarization(threshold_factor=(0.5, 1.5)), "threshold_factor must be"),
        (lambda: layers.Solarization(factor=0.5), "unknown argument 'factor'"),
        (lambda: layers.MixUp(alpha=0), "alpha must be a positive float"),
        (lambda: layers.CutMix(factor=-1), r"CutMix: factor must be a number in \[0, 1\]"),
        (lambda: layers.RandAugment(interpolation="cubic"), "interpolation must be one of"),
        (lambda: layers.RandAugment(num_ops=-1), "num_ops must be an int of 0 or more"),
        (lambda: layers.AugMix(num_chains=0), "num_chains must be a positive int"),
        (
            lambda: layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=8),
            "tile_grid_size must be two positive ints",
        ),
        (lambda: layers.RandomHue(0.1)(X[..., :2]), "need 3 channels on axis -1"),
        (lambda: layers.RandomInvert()(X[0, 0]), r"got shape \(6, 3\).\nAdd the channels"),
        (lambda: layers.Pipeline([3]), r"layers must be a list, each element a Layer, got \[3\]"),
    ],
)
def test_errors(make, words):
    with pytest.raises((ValueError, TypeError), match=words):
        make()


def test_unknown_sizes():
    free = staghorn.Input((None, None, 3))
    for name, given in MOVING.items():
        out = getattr(layers, name)(**given)(free)
        assert out.shape == (None, None, None, 3)
