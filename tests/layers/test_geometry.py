"""Layers that move pixels, with labels, masks and boxes, against keras; streams, models, fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.engine.scope import jit
from tests.oracle import assert_same, keras

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 10, 12
IMAGES = RNG.uniform(0, 255, size=(3, HEIGHT, WIDTH, 3)).astype("float32")
MASKS = RNG.integers(0, 4, size=(3, HEIGHT, WIDTH, 1)).astype("int32")
LABELS = np.arange(3, dtype="int32")
# The last of each image is padding.
BOXES = np.tile(np.array([[1, 2, 6, 7], [3, 1, 12, 9], [0, 0, 0, 0]], "float32"), (3, 1, 1))
CLASSES = np.array([[1, 2, -1], [0, 5, -1], [4, 4, -1]], "int32")

LAYERS = {
    "RandomFlip": {"seed": 5},
    "RandomFlip, one way": {"seed": 5, "mode": "vertical"},
    "RandomRotation": {"factor": 0.2, "seed": 5},
    "RandomZoom": {"height_factor": 0.3, "width_factor": (0.1, 0.5), "seed": 5},
    "RandomZoom, both ways": {"height_factor": (-0.4, -0.1), "seed": 5, "fill_mode": "wrap"},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.5, "seed": 5},
    "RandomShear": {"x_factor": (0.1, 0.4), "y_factor": (0, 0.2), "seed": 5},
    "RandomPerspective": {"factor": (0.3, 0.9), "scale": 0.5, "seed": 5},
    "RandomErasing": {"seed": 5},
    "RandomErasing, of one colour": {"seed": 5, "fill_value": 3, "scale": 0.5, "factor": 0.9},
    "RandomElasticTransform": {"seed": 5, "factor": (0.4, 0.9)},
    "RandomCrop": {"height": 4, "width": 5, "seed": 5},
    "RandomCrop, too small": {"height": 12, "width": 7, "seed": 5},
    "RandomCrop, as high": {"height": 10, "width": 7, "seed": 5},
    "CenterCrop": {"height": 4, "width": 5},
    "CenterCrop, too small": {"height": 12, "width": 5},
    "Resizing": {"height": 5, "width": 20},
    "Resizing, cut": {"height": 5, "width": 20, "crop_to_aspect_ratio": True},
    "Resizing, filled": {"height": 5, "width": 20, "pad_to_aspect_ratio": True},
    "MaxNumBoundingBoxes": {"max_number": 2},
    "MaxNumBoundingBoxes, more": {"max_number": 5},
}
# What Keras gets wrong, and where; what it should be is in test_strict_geometry.py.
WRONG = {
    # It slants shares of the height and width, and one way after the other.
    "RandomShear": {"bounding_boxes"},
    # It subtracts the first row from x and the first column from y.
    "RandomCrop": {"bounding_boxes"},
    # It draws another field for the masks, after that of the images; boxes raise.
    "RandomElasticTransform": {"bounding_boxes", "segmentation_masks"},
    # It forgets to convert to "xyxy", or back.
    "RandomRotation": {"bounding_boxes of another format"},
    "RandomPerspective": {"bounding_boxes of another format"},
}
# The masks of an image that is too small are interpolated between their classes.
WRONG["RandomCrop, too small"] = {"bounding_boxes", "segmentation_masks"}


def data_for(first, dtype, form, some=slice(None)):
    def placed(images):
        return jnp.asarray(np.moveaxis(images, -1, 1) if first else images)[some]

    boxes = BOXES
    if form == "rel_yxyx":
        boxes = BOXES[..., [1, 0, 3, 2]] / np.array([HEIGHT, WIDTH] * 2, "float32")
    return {
        "images": placed(IMAGES.astype(dtype)),
        "labels": jnp.asarray(LABELS)[some],
        "segmentation_masks": placed(MASKS),
        "bounding_boxes": {
            "boxes": jnp.asarray(boxes)[some],
            "labels": jnp.asarray(CLASSES)[some],
        },
    }


def both(label, **kwargs):
    name = label.split(",")[0]
    given = {**LAYERS[label], **kwargs}
    return getattr(layers, name)(**given), getattr(keras.layers, name)(**given)


def compared(label, ours, theirs, data, training, form="xyxy"):
    """Compare everything in which keras is right; our dict is whole, and the input unchanged."""
    wrong = WRONG.get(label) or WRONG.get(label.split(",")[0], set())
    left_out = {key for key in data if key in wrong}
    if "bounding_boxes of another format" in wrong and form != "xyxy":
        left_out.add("bounding_boxes")
    kept = jax.tree.leaves(data)
    out = ours(data, training=training)
    assert all(a is b for a, b in zip(kept, jax.tree.leaves(data), strict=True))
    assert set(out) == set(data)
    given = jax.tree.map(lambda x: x, data)  # Keras changes the dicts it is given
    if label == "RandomElasticTransform":
        given = {key: x for key, x in given.items() if key not in left_out}
    expected = theirs(given, training=training)
    for key in set(data) - left_out:
        assert_same(out[key], expected[key], rtol=1e-4, atol=2e-3, what=key)
    return out


VARIANTS = {
    "plain": ("channels_last", "float32", "xyxy", slice(None)),
    "first, one image": ("channels_first", "float32", "xyxy", 1),
    "bytes, shares": ("channels_last", "uint8", "rel_yxyx", slice(None)),
}
# The second way of calling a layer is tried in all variants by `make test-full` only.
ROWS = [
    pytest.param(
        label,
        way,
        id=f"{label}-{way}",
        marks=[pytest.mark.slow] * ("," in label and way != "plain"),
    )
    for label in LAYERS
    for way in VARIANTS
]


@pytest.mark.parametrize(("label", "variant"), ROWS)
def test_dict(label, variant):
    data_format, dtype, form, some = VARIANTS[variant]
    ours, theirs = both(label, data_format=data_format, bounding_box_format=form)
    data = data_for(data_format == "channels_first", dtype, form, some)
    out = compared(label, ours, theirs, data, True, form)
    if "RandomCrop" not in label:  # Keras does not cut at inference
        compared(label, ours, theirs, data, False, form)
    still = ours(data, training=False)
    spec = ours(jax.tree.map(lambda x: staghorn.Input(batch_shape=x.shape, dtype=x.dtype), data))
    shapes = ours.compute_output_shape(jax.tree.map(lambda x: x.shape, data))
    for known, eager in ((spec, out), (spec, still)):
        assert jax.tree.map(lambda x: (x.shape, str(x.dtype)), known) == jax.tree.map(
            lambda x: (x.shape, str(x.dtype)), eager
        )
    assert shapes == jax.tree.map(lambda x: x.shape, out)


@pytest.mark.parametrize("label", [name for name in LAYERS if name.startswith("Random")])
def test_compiled(label):
    """A compiled call draws and computes what an eager one does, call after call."""
    eager, compiled = (both(label, bounding_box_format="xywh")[0] for _ in range(2))
    data = data_for(False, "float32", "xyxy")
    call = jit(lambda data: compiled(data, training=True))
    first = call(data)
    assert_same(first, eager(data, training=True), rtol=1e-4, atol=2e-3)
    assert_same(call(data), eager(data, training=True), rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("label", ["RandomCrop", "RandomElasticTransform", "RandomErasing"])
def test_stream_draws_anew(label):
    """A plain `map` over dicts: as many draws as in keras, whatever the dicts hold."""
    ours, theirs = both(label)
    stream = [{"images": IMAGES, "segmentation_masks": MASKS * 1.0}, {"images": IMAGES}, IMAGES]
    stream = jax.tree.map(lambda x: jnp.asarray(x, "float32"), stream)
    for data in stream:
        out, expected = ours(data), theirs(dict(data) if isinstance(data, dict) else data)
        if isinstance(data, dict):
            out, expected = out["images"], expected["images"]
        assert_same(out, expected, rtol=1e-4, atol=2e-3)


def test_without_a_seed():
    """`set_random_seed` makes the crops, and the layers after them, of keras."""
    images = jnp.asarray(IMAGES)
    results = []
    for module in (staghorn, keras):
        module.utils.set_random_seed(3)
        crop, flip = module.layers.RandomCrop(4, 5), module.layers.RandomFlip()
        results.append(flip(crop(images)))
        # Keras writes a seed into the configuration that is not the one it uses.
        assert (crop.get_config()["seed"] is None) == (module is staghorn)
    assert_same(*results)


def test_in_fit():
    """Cutting, bending and covering inside a model: trained, predicted, saved, read again."""
    model = staghorn.Sequential(
        [
            staghorn.Input((HEIGHT, WIDTH, 3)),
            layers.RandomCrop(8, 8, seed=1),
            layers.RandomShear(0.2, seed=2),
            layers.RandomPerspective(scale=0.2, seed=3),
            layers.RandomElasticTransform(seed=4),
            layers.RandomErasing(seed=5),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    x, y = np.tile(IMAGES / 255, (2, 1, 1, 1)), np.ones((6, 1), "float32")
    model.fit(x, y, batch_size=2, epochs=2, verbose=0)
    draws = {1: 12, 2: 18, 3: 18, 4: 24, 5: 36}  # six steps
    for layer in model.layers[:5]:
        state = np.asarray(layer.generator.state.value).tolist()
        assert state == [layer.seed, draws[layer.seed]]
    expected = model.predict(x, verbose=0)
    again = staghorn.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again.predict(x, verbose=0), expected, rtol=1e-5)


def test_shear_reads_what_it_writes():
    # Keras writes (-0.3, 0.3) for 0.3, and refuses it.
    layer = layers.RandomShear(0.3, seed=1)
    theirs = keras.layers.RandomShear(0.3, seed=1, name=layer.name)
    assert layer.get_config() == theirs.get_config()
    again = layers.RandomShear.from_config(theirs.get_config())
    assert_same(again(IMAGES), theirs(IMAGES), rtol=1e-4, atol=1e-3)


def test_half_precision_leaves_boxes_alone():
    for name in ("RandomFlip", "RandomTranslation", "RandomShear", "RandomCrop"):
        layer = both(name, dtype="mixed_bfloat16", bounding_box_format="xyxy")[0]
        boxes = np.array([[[1.03, 2.01, 5.07, 7.11]]], "float32")
        data = {"images": IMAGES[:1], "bounding_boxes": {"boxes": boxes, "labels": [[1]]}}
        out = layer(data, training=True)
        assert out["images"].dtype == "bfloat16"
        assert out["bounding_boxes"]["boxes"].dtype == "float32"
    still = layers.RandomFlip(dtype="mixed_bfloat16", bounding_box_format="xyxy")
    out = still(data, training=False)["bounding_boxes"]["boxes"]
    np.testing.assert_array_equal(out, boxes)
