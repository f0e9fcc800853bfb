"""Image layers and Normalization by themselves: geometry, statistics, errors, symbolic sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.engine.scope import jit
from staghorn.ops import image

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 5, 3)).astype("float32")
STILL = {
    "RandomRotation": {"factor": (0.0, 0.0)},
    "RandomZoom": {"height_factor": 0.0},
    "RandomTranslation": {"height_factor": 0.0, "width_factor": 0.0},
    "RandomContrast": {"factor": (0.0, 0.0), "value_range": (-9, 9)},
}


@pytest.fixture(autouse=True)
def strict_modes():
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


# Geometry ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STILL)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_factor_of_zero_changes_nothing(name, data_format):
    layer = getattr(layers, name)(**STILL[name], data_format=data_format)
    for x in (X, X[0]):
        np.testing.assert_allclose(layer(x, training=True), x, atol=1e-5)


@pytest.mark.parametrize("turns", [0.25, 0.5, -0.25])
def test_quarter_turns_are_exact(turns):
    layer = layers.RandomRotation((turns, turns))
    expected = np.rot90(X, k=round(turns * 4), axes=(1, 2))
    np.testing.assert_allclose(layer(X, training=True), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("mode", "row"),
    [
        ("constant", [9, 9, 0, 1, 2]),
        ("nearest", [0, 0, 0, 1, 2]),
        ("reflect", [1, 0, 0, 1, 2]),
        ("wrap", [3, 4, 0, 1, 2]),
    ],
)
def test_what_lies_outside(mode, row):
    layer = layers.RandomTranslation(0, (0.4, 0.4), fill_mode=mode, fill_value=9.0)
    out = layer(np.arange(5, dtype="float32").reshape(1, 5, 1), training=True)
    np.testing.assert_allclose(np.ravel(out), row, atol=1e-5)
    mirrored = image.affine_transform(
        jnp.arange(5.0).reshape(1, 5, 1), [1, 0, -2, 0, 1, 0, 0, 0], fill_mode="mirror"
    )
    np.testing.assert_allclose(np.ravel(mirrored), [2, 1, 0, 1, 2])


def test_flips_are_of_the_whole_image():
    out = np.asarray(layers.RandomFlip("horizontal", seed=3)(np.tile(X, (8, 1, 1, 1))))
    kept = [np.array_equal(a, b) for a, b in zip(out, np.tile(X, (8, 1, 1, 1)), strict=True)]
    turned = [
        np.array_equal(a[:, ::-1], b) for a, b in zip(out, np.tile(X, (8, 1, 1, 1)), strict=True)
    ]
    assert all(a != b for a, b in zip(kept, turned, strict=True))
    assert 0 < sum(kept) < 16


def test_masks_keep_their_classes():
    masks = RNG.choice([0, 7], size=(2, 5, 5, 1)).astype("uint8")
    out = layers.RandomRotation(0.2, seed=1)({"images": X, "segmentation_masks": masks})
    assert out["segmentation_masks"].dtype == "uint8"
    assert set(np.unique(out["segmentation_masks"])) <= {0, 7}


def test_compiled_equals_eager():
    for name, kwargs in {"RandomFlip": {}, **STILL}.items():
        make = getattr(layers, name)
        eager, compiled = make(**kwargs, seed=4), make(**kwargs, seed=4)
        call = jit(lambda x, layer=compiled: layer(x, training=True))
        for _ in range(2):
            np.testing.assert_allclose(call(X), eager(X, training=True), atol=1e-5)


def test_patches_hold_every_pixel_once():
    patches = np.asarray(image.extract_patches(X[:, :4, :4], 2)).reshape(2, 2, 2, 2, 2, 3)
    np.testing.assert_array_equal(
        patches.transpose(0, 1, 3, 2, 4, 5).reshape(2, 4, 4, 3), X[:, :4, :4]
    )


def test_hue_round_trip():
    x = jnp.asarray(RNG.uniform(size=(2, 4, 4, 3)).astype("float32"))
    np.testing.assert_allclose(image.hsv_to_rgb(image.rgb_to_hsv(x)), x, atol=1e-5)


def test_padding_then_cropping_is_nothing():
    padded = image.pad_images(X, 1, 2, 3, target_width=9)
    assert padded.shape == (2, 9, 9, 3)
    np.testing.assert_array_equal(image.crop_images(padded, 1, 2, 3, target_width=5), X)


# Symbolic inputs -----------------------------------------------------------------------------


def test_unknown_sizes():
    x = staghorn.Input((None, None, 3), dtype="uint8")
    assert layers.RandomZoom(0.2)(x).shape == (None, None, None, 3)
    assert layers.RandomZoom(0.2)(x).dtype == "float32"
    small = layers.Resizing(4, 6)(x)
    assert (small.shape, small.dtype) == ((None, 4, 6, 3), "uint8")
    model = staghorn.Model(x, layers.CenterCrop(3, 3)(small))
    for size in (5, 7):
        assert model(np.ones((2, size, size, 3), "uint8")).shape == (2, 3, 3, 3)


# Statistics ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [[], [1], [1, 2, 3], [500], [3, 900, 901]])
def test_chunking_is_invisible(cuts):
    """Merged statistics are those of the whole, even far from zero."""
    data = (RNG.normal(size=(1000, 2)) + np.array([1e4, -3e4])).astype("float32")
    layer = layers.Normalization()
    layer.adapt(np.split(data, cuts))
    whole = data.astype("float64")
    np.testing.assert_allclose(layer.mean[0], whole.mean(0), rtol=1e-6)
    np.testing.assert_allclose(layer.variance[0], whole.var(0), rtol=1e-5)


def test_weights_count_at_once():
    layer = layers.Normalization()
    layer.build((None, 2))
    layer.set_weights([np.array([1.0, 2.0]), np.array([4.0, 9.0]), np.array(0)])
    np.testing.assert_allclose(layer(np.array([[3.0, 5.0]], "float32")), [[1.0, 1.0]])


def test_integers_are_normalized():
    layer = layers.Normalization(axis=None, mean=127.5, variance=127.5**2)
    out = layer(np.array([[0, 255]], "uint8"))
    assert out.dtype == "float32"
    np.testing.assert_allclose(out, [[-1.0, 1.0]])


# Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.RandomFlip("horizontl"), "mode must be one of .* Did you mean"),
        (lambda: layers.RandomRotation(1.5), r"RandomRotation: factor .* in \[-1, 1\], got 1.5"),
        (lambda: layers.RandomRotation((0.1,)), "pair of numbers"),
        (lambda: layers.RandomRotation("0.1"), r"got '0.1' \(str\)"),
        (lambda: layers.RandomZoom(-1.0), r"height_factor .* in \(-1, 1\]"),
        (lambda: layers.RandomZoom(0.1, (0.2, 3)), "width_factor"),
        (lambda: layers.RandomTranslation(0.1, None), "width_factor"),
        (lambda: layers.RandomTranslation(0.1, 0.1, fill_mode="mirror"), "fill_mode must be"),
        (lambda: layers.RandomZoom(0.1, interpolation="bicubic"), "interpolation must be"),
        (lambda: layers.RandomContrast(2.0), r"factor must be a number in \[0, 1\]"),
        (lambda: layers.RandomContrast(0.1, value_range=255), "value_range must be"),
        (lambda: layers.CenterCrop(0, 3), "height must be a positive int"),
        (lambda: layers.Resizing(3, 3, "bilinar"), "Did you mean"),
        (lambda: layers.Resizing(3, 3, True, True), "interpolation must be one of"),
        (
            lambda: layers.Resizing(3, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
            "exclude each other",
        ),
        (lambda: layers.Normalization(mean=1.0), "must be given together"),
        (lambda: layers.Normalization(mean=[1.0], variance=[1.0, 2.0]), "the same shape"),
        (lambda: layers.Normalization(mean=[[1.0]], variance=[[1.0]]), "leaves room for 1 axes"),
        (lambda: layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 2.0])(X), "does not fit"),
        (lambda: layers.Normalization(axis=4)(X), "axes go from -4 to 3"),
        (lambda: layers.Normalization()(staghorn.Input((None,))), "size must be known"),
        (lambda: layers.Normalization().adapt([]), "no data"),
        (lambda: layers.Normalization().adapt([X, X[..., :2]]), r"got data of shape \(2, 5, 5, 2"),
        (lambda: layers.Normalization(mean=0.0, variance=1.0).adapt(X), "it was made with"),
        (lambda: layers.RandomFlip()(X[0, 0]), r"got shape \(5, 3\).\nAdd the channels"),
        (lambda: layers.RandomFlip()({"labels": X}), "needs the key 'images'"),
        (lambda: image.resize(X, 3), "size must be"),
        (lambda: image.resize(X[0, 0], (3, 3)), r"got shape \(5, 3\)"),
        (lambda: image.affine_transform(X, [1, 0, 0]), r"\(8,\) or \(batch, 8\)"),
        (lambda: image.rgb_to_hsv(np.ones((4, 4, 3), "uint8")), "images / 255"),
        (lambda: image.rgb_to_grayscale(X[..., :2]), "3 channels"),
        (lambda: image.crop_images(X, 1, 2, 3), "exactly two of left_cropping"),
        (lambda: image.crop_images(X, 4, 0, 3, target_width=2), "target_height must be 0 or more"),
        (lambda: image.pad_images(X, 1, 2, target_height=4, target_width=9), "bottom_padding must"),
        (lambda: image.extract_patches(X, (2, 0)), "positive int or 2 of them"),
    ],
)
def test_errors(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("data", [3, {"a": X}, [1.0, 2.0], [[1.0], [2.0]]])
def test_adapt_needs_arrays(data):
    with pytest.raises(TypeError, match="Pass one array"):
        layers.Normalization().adapt(data)
