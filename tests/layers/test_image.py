"""Image layers, Normalization and `ops.image` against keras, beyond the family table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers
from tests.oracle import assert_same, gradients, keras

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, size=(3, 6, 8, 3)).astype("float32")
BYTES = IMAGES.astype("uint8")
MASKS = RNG.integers(0, 4, size=(3, 6, 8, 1)).astype("int32")
LABELS = np.arange(3, dtype="int32")

LAYERS = {
    "RandomFlip": {"seed": 5},
    "RandomRotation": {"factor": 0.3, "seed": 5, "fill_mode": "constant", "fill_value": 1.0},
    "RandomZoom": {"height_factor": 0.3, "width_factor": 0.5, "seed": 5},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.5, "seed": 5},
    "RandomContrast": {"factor": 0.3, "seed": 5},
    "CenterCrop": {"height": 3, "width": 5},
    "Resizing": {"height": 9, "width": 4, "crop_to_aspect_ratio": True},
}


def pair(name, **kwargs):
    given = {**LAYERS.get(name, {}), **kwargs}
    return getattr(layers, name)(**given), getattr(keras.layers, name)(**given)


# Dicts, streams, models ----------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_dict(name, training):
    ours, theirs = pair(name)
    for some in (slice(None), 1):  # a batch, then one image; the second draw of each
        data = {
            "images": jnp.asarray(BYTES[some] if name == "Resizing" else IMAGES[some]),
            "labels": jnp.asarray(LABELS[some]),
            "segmentation_masks": jnp.asarray(MASKS[some]),
            "weights": jnp.ones((2,)),
        }
        kept = dict(data)
        out = ours(data, training=training)
        assert all(data[key] is kept[key] for key in kept), "the caller's dict was changed"
        assert_same(out, theirs(dict(data), training=training), rtol=1e-4, atol=1e-3)
        spec = ours(
            {key: staghorn.Input(batch_shape=x.shape, dtype=x.dtype) for key, x in data.items()}
        )
        assert {k: (v.shape, v.dtype) for k, v in spec.items()} == {
            k: (v.shape, str(v.dtype)) for k, v in out.items()
        }


@pytest.mark.parametrize("name", [n for n in LAYERS if n.startswith("Random")])
def test_stream_draws_anew(name):
    """A plain `map` over batches: as many draws as in keras, each with new numbers."""
    ours, theirs = pair(name)
    stream = [IMAGES, IMAGES[:2], IMAGES]
    results = list(map(ours, stream))
    assert_same(results, list(map(theirs, stream)), rtol=1e-4, atol=1e-3)
    assert not np.allclose(results[0], results[2])
    # A seed from outside leaves the layer's own alone, and nothing is drawn at inference.
    before = np.asarray(ours.generator.state.value)
    ours.get_random_transformation(IMAGES, seed=3)
    ours(IMAGES, training=False)
    np.testing.assert_array_equal(np.asarray(ours.generator.state.value), before)


def test_fit_draws_at_every_step():
    flip, turn = layers.RandomFlip(seed=1), layers.RandomRotation(0.1, seed=2)
    model = staghorn.Sequential(
        [staghorn.Input((6, 8, 3)), flip, turn, layers.Flatten(), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    x, y = np.tile(IMAGES / 255, (2, 1, 1, 1)), np.ones((6, 1), "float32")
    model.fit(x, y, batch_size=2, epochs=2, verbose=0)
    model.predict(x, verbose=0)
    for layer, seed in ((flip, 1), (turn, 2)):
        assert np.asarray(layer.generator.state.value).tolist() == [seed, 6]
    still = staghorn.Model(model.inputs, model.layers[-3].output)
    np.testing.assert_array_equal(still.predict(x, verbose=0), x)


def test_resized_bytes_saturate():
    ours, theirs = pair("Resizing", height=17, width=23, interpolation="bicubic")
    corner = np.zeros((1, 4, 4, 1), "uint8")
    corner[0, :2, :2] = 255
    assert_same(ours(corner), theirs(corner), rtol=0, atol=1)


# Normalization -------------------------------------------------------------------------------


class Batches:
    """A dataset without `__iter__`, as PyDataset is one."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index], np.zeros(len(self.batches[index]))


TABLE = RNG.normal(3.0, 2.0, size=(10, 3, 4)).astype("float32")
PARTS = [TABLE[:4], TABLE[4:8], TABLE[8:]]
SOURCES = {
    "array": lambda: TABLE,
    "jax": lambda: jnp.asarray(TABLE),
    "list": lambda: list(PARTS),
    "generator": lambda: (part for part in PARTS),
    "pairs": lambda: iter([(part, part) for part in PARTS]),
    "dataset": lambda: Batches(PARTS),
}


@pytest.mark.parametrize("axis", [-1, None, 1, (1, 2), [2, -2], (0, 1, 2)])
def test_adapt(axis):
    """Batches of any kind give what keras gets from the whole array."""
    theirs = keras.layers.Normalization(axis=axis)
    theirs.adapt(TABLE)
    whole = ("array", "jax") if axis == (0, 1, 2) else SOURCES
    for kind in whole:
        ours = layers.Normalization(axis=axis)
        ours.adapt(SOURCES[kind]())
        assert [v.name for v in ours.weights] == [v.name for v in theirs.weights]
        left, right = ([v.value for v in layer.weights] for layer in (ours, theirs))
        assert_same(left, right, rtol=1e-5, atol=1e-5, what=kind)
    assert_same(ours(TABLE), theirs(TABLE), rtol=1e-4, atol=1e-5)
    assert_same(ours.mean, theirs.mean, rtol=1e-5)
    assert_same(ours.variance, theirs.variance, rtol=1e-5, atol=1e-5)
    assert ours.get_config() == {**theirs.get_config(), "name": ours.name}
    ours, theirs = pair("Normalization", axis=axis)
    for layer in (ours, theirs):
        layer.adapt(TABLE)
    assert ours.get_build_config() == theirs.get_build_config()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "bfloat16"])
def test_invert_undoes_it(policy):
    ours, theirs = pair("Normalization", invert=True, dtype=policy)
    for layer in (ours, theirs):
        layer.adapt(TABLE)
    out = ours(TABLE[:2])
    assert_same(out, theirs(TABLE[:2]), rtol=1e-5, atol=1e-5)
    if policy == "float32":
        forth = layers.Normalization()
        forth.adapt(TABLE)
        np.testing.assert_allclose(forth(out), TABLE[:2], rtol=1e-4, atol=1e-5)


def test_statistics_travel_in_files(tmp_path):
    layer = layers.Normalization()
    layer.adapt(TABLE)
    x = staghorn.Input((3, 4))
    model = staghorn.Model(x, layers.Dense(2)(layer(x)))
    model.save(tmp_path / "ours.keras")
    expected = model.predict(TABLE, verbose=0)
    for library in (staghorn, keras):
        again = library.models.load_model(tmp_path / "ours.keras")
        np.testing.assert_allclose(again.predict(TABLE, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_adapting_again_reaches_a_compiled_model():
    layer = layers.Normalization()
    layer.adapt(TABLE)
    model = staghorn.Sequential([layer])
    first = model.predict(TABLE, verbose=0)
    layer.adapt(TABLE * 2 + 1)
    np.testing.assert_allclose(model.predict(TABLE * 2 + 1, verbose=0), first, atol=1e-4)


# ops.image -----------------------------------------------------------------------------------

POINTS = np.array([[[0, 0], [0, 5], [7, 0], [7, 5]]], "float32").repeat(3, axis=0)
MOVED = POINTS + RNG.uniform(-1, 1, size=POINTS.shape).astype("float32")
# No place falls between two pixels, where a last bit would decide which is nearest.
TURN = np.array([[0.913, 0.287, -1.237, -0.371, 1.093, 0.719, 0, 0]], "float32").repeat(3, axis=0)
UNIT = IMAGES / 255

# name, arguments after the images, options, images
OPS = [
    ("resize", ((3, 5),), {}, IMAGES),
    ("resize", ((9, 5),), {"interpolation": "nearest", "pad_to_aspect_ratio": True}, BYTES),
    ("resize", ((4, 4),), {"antialias": True, "crop_to_aspect_ratio": True}, IMAGES),
    ("affine_transform", (TURN,), {}, IMAGES),
    ("affine_transform", (TURN[0],), {"fill_mode": "mirror"}, IMAGES[0]),
    ("affine_transform", (TURN,), {"fill_mode": "wrap", "interpolation": "nearest"}, BYTES),
    ("affine_transform", (TURN,), {"fill_mode": "reflect", "fill_value": 3}, BYTES),
    ("affine_transform", (TURN,), {"fill_mode": "nearest"}, IMAGES.astype("float16")),
    ("perspective_transform", (POINTS, MOVED), {}, IMAGES),
    ("perspective_transform", (POINTS[0], MOVED[0]), {"interpolation": "nearest"}, IMAGES[0]),
    ("elastic_transform", (), {"seed": 4, "alpha": 3.0, "sigma": 1.0}, IMAGES[:2, ..., :1]),
    ("rgb_to_grayscale", (), {}, BYTES),
    ("rgb_to_grayscale", (), {}, IMAGES),
    ("rgb_to_hsv", (), {}, UNIT),
    ("hsv_to_rgb", (), {}, UNIT),
    ("pad_images", (1, 2, None, 3), {"target_height": 10}, IMAGES),
    ("crop_images", (1, 2, None, 3), {"target_height": 4}, BYTES),
    ("gaussian_blur", ((3, 5), (0.7, 1.3)), {}, IMAGES),
    ("gaussian_blur", ((4, 2),), {}, IMAGES[0]),
    ("sobel_edges", (), {}, IMAGES),
    ("extract_patches", (3,), {}, IMAGES),
    ("extract_patches", ((2, 3),), {"strides": (1, 2), "padding": "same"}, IMAGES),
    ("extract_patches", (2,), {"strides": 1, "dilation_rate": 3}, IMAGES[0]),
    ("extract_patches_3d", (2,), {"strides": 1, "padding": "same"}, TABLE[..., None][None]),
]


def both(name, arguments, options):
    return [
        lambda x, m=m: getattr(m.ops.image, name)(x, *arguments, **options)
        for m in (staghorn, keras)
    ]


def tolerances(images):
    half = images.dtype == "float16"
    return {"rtol": 1e-2 if half else 1e-4, "atol": 1e-2 if half else 1e-3}


@pytest.mark.parametrize("row", OPS, ids=lambda row: f"{row[0]}-{row[2]}-{row[3].dtype}")
def test_op(row):
    name, arguments, options, images = row
    ours, theirs = both(name, arguments, {**options, "data_format": "channels_last"})
    out = ours(images)
    # Keras's elastic transform cannot be compiled.
    expected = (theirs if name == "elastic_transform" else jax.jit(theirs))(images)
    assert_same(out, expected, **tolerances(images))
    symbolic = ours(staghorn.Input(batch_shape=images.shape, dtype=images.dtype))
    assert (symbolic.shape, symbolic.dtype) == (out.shape, str(out.dtype))
    # The other layout is the same computation between two transpositions.
    if name != "sobel_edges":
        channels = -4 if name.endswith("3d") else -3
        first = both(name, arguments, {**options, "data_format": "channels_first"})[0]
        turned = first(np.moveaxis(images, -1, channels))
        assert_same(jnp.moveaxis(turned, channels, -1), out, **tolerances(images))


@pytest.mark.parametrize("row", OPS[3:5], ids=lambda row: f"{row[0]}-{row[2]}")
def test_gradient_of_sampling(row):
    name, arguments, options, images = row
    ours, theirs = both(name, arguments, options)
    assert_same(*jax.jit(lambda x: (gradients(ours, [x]), gradients(theirs, [x])))(images), 2e-4)


@pytest.mark.parametrize("mode", ["constant", "nearest", "wrap", "mirror", "reflect"])
@pytest.mark.parametrize("order", [0, 1])
def test_map_coordinates(mode, order):
    places = RNG.uniform(-9, 14, size=(3, 40)).astype("float32")
    for x in (TABLE, (TABLE * 20).astype("int32")):
        ours, theirs = (
            m.ops.image.map_coordinates(x, places, order, mode, 2.0) for m in (staghorn, keras)
        )
        assert_same(ours, theirs, rtol=1e-4, atol=1e-4)


def test_scale_and_translate():
    call = (IMAGES, (3, 9, 5, 3), np.array([1.5, 0.6]), np.array([0.3, -0.2]), (1, 2), "cubic")
    ours, theirs = (m.ops.image.scale_and_translate(*call) for m in (staghorn, keras))
    assert_same(ours, theirs, rtol=1e-4, atol=1e-3)
