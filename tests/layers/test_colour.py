"""Layers of colour and mixing against keras, beyond the family table."""

from unittest import mock

import jax.numpy as jnp
import numpy as np
import pytest
from keras.src.layers.preprocessing.image_preprocessing import aug_mix

import staghorn
from staghorn import layers
from tests.layers import test_families as families
from tests.layers.cases_colour import MIX_UP
from tests.oracle import assert_same, keras

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, size=(4, 6, 8, 3)).astype("float32")
BYTES = IMAGES.astype("uint8")
MASKS = RNG.integers(0, 4, size=(4, 6, 8, 3)).astype("int32")
LABELS = np.eye(4, dtype="float32")

COLOURS = {
    "RandomBrightness": {"factor": 0.3, "seed": 5},
    "RandomHue": {"factor": 0.3, "seed": 5},
    "RandomSaturation": {"factor": 0.4, "seed": 5},
    "RandomSharpness": {"factor": 0.3, "seed": 5},
    "RandomColorDegeneration": {"factor": 0.3, "seed": 5},
    "RandomColorJitter": {"brightness_factor": 0.3, "hue_factor": 0.2, "seed": 5},
    "RandomInvert": {"seed": 5},
    "RandomPosterization": {"factor": 6, "seed": 5},
    "RandomGaussianBlur": {"seed": 5},
    "Solarization": {"threshold_factor": 0.5, "seed": 5},
    "AutoContrast": {},
    "CutMix": {"seed": 5},
    "MixUp": {"seed": 5},
}
# Layers that Keras cannot call on a dict with labels and masks: it has no rule for them there.
ARRAYS_ONLY = {
    "RandomGrayscale": {"seed": 5},
    "Equalization": {"bins": 16},
    "ContrastLimitedAdaptiveHistogramEqualization": {"tile_grid_size": (2, 2)},
    "RandAugment": {"seed": 5},
    "AugMix": {"seed": 5},
}
RANDOM = [n for n, given in {**COLOURS, **ARRAYS_ONLY}.items() if "seed" in given]

int64_of_keras = pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")


def pair(name, /, **kwargs):
    given = {**COLOURS, **ARRAYS_ONLY}[name] | kwargs
    return getattr(layers, name)(**given), getattr(keras.layers, name)(**given)


# Against keras -------------------------------------------------------------------------------


@int64_of_keras
@pytest.mark.parametrize("case", MIX_UP, ids=str)
@pytest.mark.parametrize("what", ["forward_and_state", "gradient", "config_round_trip", "shapes"])
def test_mix_up(case, what):
    getattr(families, f"test_{what}")(case)


@int64_of_keras
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", COLOURS)
def test_dict(name, training):
    ours, theirs = pair(name)
    data = {
        "images": jnp.asarray(IMAGES),
        "labels": jnp.asarray(LABELS),
        "segmentation_masks": jnp.asarray(MASKS),
        "weights": jnp.ones((2,)),
    }
    if name == "MixUp":  # keras mixes masks with single pixels of others
        del data["segmentation_masks"]
    kept = dict(data)
    out = ours(data, training=training)
    assert all(data[key] is kept[key] for key in kept), "the caller's dict was changed"
    assert_same(out, theirs(dict(data), training=training), rtol=1e-4, atol=1e-3)
    spec = ours({k: staghorn.Input(batch_shape=x.shape, dtype=x.dtype) for k, x in data.items()})
    assert {k: (v.shape, v.dtype) for k, v in spec.items()} == {
        k: (v.shape, str(v.dtype)) for k, v in out.items()
    }


@int64_of_keras
@pytest.mark.parametrize("name", [n for n in RANDOM if n != "AugMix"])
def test_stream_draws_anew(name):
    """A plain `map` over NumPy batches: as many draws as in keras, each with new numbers."""
    ours, theirs = pair(name)
    stream = [IMAGES, IMAGES[:2], IMAGES[0], IMAGES]
    results = list(map(ours, stream))
    assert_same(results, [theirs(jnp.asarray(x)) for x in stream], rtol=1e-4, atol=2e-2)
    assert not np.allclose(results[0], results[3])
    # A seed from outside leaves the layer's own alone. Nothing is drawn at inference; some layers
    # of keras draw there.
    before = np.asarray(ours.generator.state.value)
    ours.get_random_transformation(IMAGES, seed=3)
    np.testing.assert_array_equal(ours(IMAGES, training=False), IMAGES)
    np.testing.assert_array_equal(np.asarray(ours.generator.state.value), before)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("first", [False, True])
def test_grayscale(dtype, channels, first):
    """Not in the family table: keras leaves the seed out of its configuration."""
    form = "channels_first" if first else "channels_last"
    ours, theirs = pair("RandomGrayscale", data_format=form)
    x = np.moveaxis(IMAGES[..., :channels], -1, 1) if first else IMAGES[..., :channels]
    for some in (x, x[0], x):
        given = jnp.asarray(some.astype(dtype))
        assert_same(ours(given), theirs(given), rtol=1e-5)
    assert staghorn.Input(x.shape[1:], dtype=dtype).dtype == ours(given).dtype
    config = theirs.get_config()
    assert ours.get_config() == {**config, "seed": 5, "name": ours.name}
    unseeded = layers.RandomGrayscale(data_format=form, name=theirs.name)
    assert unseeded.get_config() == config
    assert layers.RandomGrayscale.from_config(config).get_config() == config


@pytest.mark.parametrize("all_ops", [True, False])
@pytest.mark.parametrize("data", [{"images": IMAGES, "segmentation_masks": MASKS}, IMAGES[0]])
def test_aug_mix(all_ops, data):
    """For the same choice of changes, which keras takes from Python's `random`."""
    ours, theirs = pair("AugMix", all_ops=all_ops, value_range=(0, 255))
    data = {k: jnp.asarray(x) for k, x in data.items()} if isinstance(data, dict) else data
    for _ in range(2):
        state = np.asarray(ours.generator.state.value)
        drawn = ours.get_random_transformation(data)
        ours.generator.state.assign(state)
        names = [*ours._choice, None]
        picks = iter([names[i] for i in np.ravel(drawn["layer_idxes"])])
        with mock.patch.object(aug_mix.py_random, "choice", lambda _, picks=picks: next(picks)):
            expected = theirs(dict(data) if isinstance(data, dict) else jnp.asarray(data))
        assert_same(ours(data), expected, rtol=1e-4, atol=1e-3)
        assert_same(ours.generator.state.value, theirs.generator.state.value, what="state")


@pytest.mark.parametrize("name", ["RandAugment", "AugMix"])
def test_augmenter_config(name):
    for given in ({}, {"factor": (0.1, 0.4), "interpolation": "nearest", "value_range": (0, 1)}):
        ours, theirs = pair(name, name="given", **given)
        assert ours.get_config() == theirs.get_config()
        assert len(ours.variables) == len(theirs.variables)
        again = getattr(layers, name).from_config(theirs.get_config())
        assert again.get_config() == ours.get_config()


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1)])
@pytest.mark.parametrize(
    "name", ["RandomBrightness", "RandomPosterization", "Solarization", "Equalization"]
)
def test_other_ranges(name, value_range):
    ours, theirs = pair(name, value_range=value_range)
    low, high = value_range
    x = jnp.asarray(IMAGES / 255 * (high - low) + low)
    assert_same(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


# Where keras fails or is wrong ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["AutoContrast", "RandomColorJitter"])
def test_channels_first_equals_channels_last(name):
    """Keras takes the wrong axes (AutoContrast) or hands no data_format on (RandomColorJitter)."""
    last, _ = pair(name)
    first, _ = pair(name, data_format="channels_first")
    moved = np.moveaxis(np.asarray(first(np.moveaxis(IMAGES, -1, 1))), 1, -1)
    np.testing.assert_allclose(moved, last(IMAGES), rtol=1e-5, atol=1e-4)


@int64_of_keras
def test_bytes_do_not_overflow():
    """Keras adds brightness to bytes, which overflow, and refuses them for saturation."""
    for name in ("RandomBrightness", "RandomSaturation"):
        ours, theirs = pair(name)
        expected = theirs(jnp.asarray(BYTES.astype("float32")))
        assert_same(ours(BYTES), expected, rtol=1e-4, atol=1e-3)


def test_colours_stay_in_range():
    """Keras clips the saturation to (0, 255), and inverts (-1, 1) to (0, 2)."""
    strong = layers.RandomSaturation((0.8, 1.0), seed=1)(IMAGES)
    assert float(jnp.min(strong)) >= -1e-3
    assert float(jnp.max(strong)) <= 255.001
    np.testing.assert_allclose(np.max(strong, axis=-1), np.max(IMAGES, axis=-1), rtol=1e-5)
    negative = layers.RandomInvert((1.0, 1.0), value_range=(-1, 1))(IMAGES / 127.5 - 1)
    np.testing.assert_allclose(negative, 1 - IMAGES / 127.5, atol=1e-6)
    # Black is the lowest value, whatever it is.
    unit, _ = pair("RandomSaturation", value_range=(0, 1))
    signed, _ = pair("RandomSaturation", value_range=(-1, 1))
    expected = np.asarray(unit(IMAGES / 255)) * 2 - 1
    np.testing.assert_allclose(signed(IMAGES / 127.5 - 1), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["CutMix", "MixUp"])
def test_labels_and_masks_of_any_shape(name):
    """Keras makes a matrix of a vector of labels, and mixes masks up (MixUp) or repeats them."""
    layer = getattr(layers, name)(seed=3)
    binary = np.array([0.0, 1.0, 0.0, 1.0], "float32")
    maps = np.arange(4, dtype="float32").reshape(4, 1, 1, 1) * np.ones((1, 6, 8, 1), "float32")
    images = maps * np.ones((1, 1, 1, 3), "float32")
    drawn = layer.get_random_transformation(images)
    with mock.patch.object(layer, "get_random_transformation", return_value=drawn):
        out = layer({"images": images, "labels": binary, "segmentation_masks": maps})
        whole = layer({"images": images, "labels": np.stack([binary] * 2, axis=1)})
    assert out["labels"].shape == (4,)
    np.testing.assert_allclose(out["labels"], whole["labels"][:, 0])
    assert out["segmentation_masks"].shape == maps.shape
    np.testing.assert_allclose(out["segmentation_masks"][..., 0], out["images"][..., 0])
    assert layer({"images": images, "labels": np.arange(4)})["labels"].dtype == "float32"


def test_boxes():
    boxes = {
        "boxes": RNG.uniform(0, 6, size=(4, 2, 4)).astype("float32"),
        "labels": np.arange(8, dtype="int32").reshape(4, 2),
    }
    boxes["boxes"][..., 2:] += boxes["boxes"][..., :2]
    data = {"images": IMAGES, "bounding_boxes": boxes}
    form = {"bounding_box_format": "xyxy"}
    same = layers.RandomHue(0.3, **form)(data)["bounding_boxes"]
    assert_same(same, {k: jnp.asarray(x) for k, x in boxes.items()})
    # Keras puts the partners' labels into new rows.
    mixed = layers.MixUp(seed=1, **form)(data)["bounding_boxes"]
    assert mixed["boxes"].shape == (4, 4, 4)
    order = layers.MixUp(seed=1).get_random_transformation(IMAGES)["permutation_order"]
    np.testing.assert_array_equal(mixed["labels"][:, :2], boxes["labels"])
    np.testing.assert_array_equal(mixed["labels"][:, 2:], boxes["labels"][np.asarray(order)])
    with pytest.raises(NotImplementedError, match="MixUp, which keeps the boxes"):
        layers.CutMix(**form)(data)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of keras: int64 is int32
@pytest.mark.parametrize(
    "name", ["AugMix", "Equalization", "MixUp", "RandomColorJitter", "RandomHue", "Solarization"]
)
def test_boxes_without_a_format(name):
    found = {"boxes": np.ones((4, 1, 4), "float32"), "labels": np.ones((4, 1), "int32")}
    kwargs = {"factor": 0.3} if name == "RandomHue" else {}
    for library in (staghorn, keras):
        layer = getattr(library.layers, name)(**kwargs)
        with pytest.raises(ValueError, match="bounding_box_format"):
            layer({"images": IMAGES, "bounding_boxes": found})


def test_boxes_follow_the_images():
    """In keras in another order, and once where a change is chosen twice."""
    data = {"images": IMAGES[:1], "bounding_boxes": {
        "boxes": np.array([[[1.0, 1.0, 4.0, 4.0]]], "float32"), "labels": np.ones((1, 1), "int32")
    }}  # fmt: skip
    layer = layers.RandAugment(seed=1, bounding_box_format="xyxy", num_ops=3)
    drawn = layer.get_random_transformation(data)
    drawn["layer_idxes"] = jnp.array([1, 5, 1])  # translation, contrast, translation
    twice = layer.transform_bounding_boxes(data["bounding_boxes"], drawn)
    step, move = layer.random_translation, drawn["transforms"]["random_translation"]
    once = step.transform_bounding_boxes(data["bounding_boxes"], move)
    assert_same(twice, step.transform_bounding_boxes(once, move))
    assert not np.allclose(once["boxes"], data["bounding_boxes"]["boxes"])


def test_auto_contrast_of_one_value():
    flat = np.full((1, 3, 3, 2), 7.0, "float32")
    flat[..., 1] = 0.0
    ours, theirs = pair("AutoContrast")
    assert_same(ours(flat), theirs(flat))
    slope = families.jax.grad(lambda x: jnp.sum(ours(x)))(jnp.asarray(flat))
    np.testing.assert_allclose(slope, 1.0)  # NaN in keras


# Inside models -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "draws"),
    [
        ("RandomColorJitter", 3),
        ("RandAugment", 14),
        pytest.param("AugMix", None, marks=pytest.mark.slow),  # as many as were chosen
    ],
)
def test_fit_draws_at_every_step(name, draws):
    layer, _ = pair(name, value_range=(0, 1))
    model = staghorn.Sequential(
        [staghorn.Input((6, 8, 3)), layer, layers.Flatten(), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    x, y = IMAGES / 255, np.ones((4, 1), "float32")
    history = model.fit(x, y, batch_size=2, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    seed, count = np.asarray(layer.generator.state.value).tolist()
    assert seed == 5
    assert count >= 4 * 3 if draws is None else count == 4 * draws
    model.predict(x, verbose=0)
    assert np.asarray(layer.generator.state.value).tolist() == [seed, count]
    still = staghorn.Model(model.inputs, layer.output)
    np.testing.assert_array_equal(still.predict(x, verbose=0), x)


def test_pipeline():
    def made(library):
        steps = [
            library.layers.AutoContrast(name="stretch"),
            library.layers.RandomBrightness(0.3, seed=5, name="light"),
            library.layers.Rescaling(1 / 255, name="scale"),
        ]
        return library.layers.Pipeline(steps, name="steps")

    ours, theirs = made(staghorn), made(keras)
    assert [layer.name for layer in ours.layers] == ["stretch", "light", "scale"]
    for call in ({}, {"training": False}):
        assert_same(ours(IMAGES, **call), theirs(IMAGES, **call), rtol=1e-5, atol=1e-5)
    written = staghorn.saving.serialize_keras_object(ours)
    expected = keras.saving.serialize_keras_object(theirs)
    assert written["config"].keys() == expected["config"].keys() == {"layers", "name"}
    again = staghorn.saving.deserialize_keras_object(expected)
    assert again.get_config() == ours.get_config()
    assert keras.saving.deserialize_keras_object(written).get_config() == theirs.get_config()
    assert ours.compute_output_shape((None, 6, 8, 3)) == (None, 6, 8, 3)
    out = ours(staghorn.Input((6, 8, 3), dtype="uint8"))
    assert (out.shape, out.dtype) == ((None, 6, 8, 3), "float32")


def test_pipeline_in_a_model(tmp_path):
    steps = layers.Pipeline([layers.RandomFlip(seed=1), layers.Conv2D(2, 3)])
    model = staghorn.Sequential(
        [staghorn.Input((6, 8, 3)), steps, layers.GlobalAveragePooling2D(), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    assert len(model.trainable_weights) == 4
    model.fit(IMAGES / 255, np.ones((4, 1), "float32"), epochs=2, batch_size=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = staghorn.models.load_model(tmp_path / "model.keras")
    x = IMAGES / 255
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
