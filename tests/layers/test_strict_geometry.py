"""Layers that move pixels by themselves: a box stays round its object, errors, odd inputs."""

import jax
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.engine.scope import jit
from staghorn.utils.bounding_boxes import convert_format

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 40, 56
COUNT = 4
FORMATS = ["xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx"]
FORMATS += ["rel_xywh", "rel_center_xywh"]

MOVES = {
    "RandomFlip": {},
    "RandomRotation": {"factor": 0.1, "fill_mode": "constant"},
    "RandomZoom": {"height_factor": 0.3, "width_factor": 0.3, "fill_mode": "constant"},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3, "fill_mode": "constant"},
    "RandomShear": {"x_factor": 0.5, "y_factor": 0.4, "fill_mode": "constant"},
    "RandomPerspective": {"scale": 0.5},
    "RandomCrop": {"height": 24, "width": 30},
    "RandomCrop, too small": {"height": 60, "width": 30},
    "CenterCrop": {"height": 24, "width": 30},
    "CenterCrop, too small": {"height": 60, "width": 30},
    "Resizing": {"height": 60, "width": 30},
    "Resizing, cut": {"height": 60, "width": 30, "crop_to_aspect_ratio": True},
    "Resizing, filled": {"height": 60, "width": 30, "pad_to_aspect_ratio": True},
}
TURNED = {"RandomRotation", "RandomShear", "RandomPerspective"}  # boxes are larger than objects


@pytest.fixture(autouse=True)
def strict_modes():
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


def make(label, **kwargs):
    given = {**MOVES[label], **kwargs}
    given |= {"seed": 7} if label.startswith("Random") else {}
    return getattr(layers, label.split(",")[0])(**given)


def scene(form):
    """Images with one bright rectangle each, and the boxes round them."""
    images = np.zeros((COUNT, HEIGHT, WIDTH, 1), "float32")
    left, top = RNG.integers(8, 24, size=COUNT), RNG.integers(6, 16, size=COUNT)
    right, bottom = left + 20, top + 14
    for image, x1, y1, x2, y2 in zip(images, left, top, right, bottom, strict=True):
        image[y1:y2, x1:x2] = 1.0
    boxes = np.stack([left, top, right, bottom], -1).astype("float32")[:, None]
    boxes = convert_format(boxes, "xyxy", form, HEIGHT, WIDTH)
    return {
        "images": images,
        "bounding_boxes": {"boxes": boxes, "labels": np.full((COUNT, 1), 3, "int32")},
        "segmentation_masks": images.astype("uint8"),
    }


def check_boxes(label, out, form):
    masks = np.asarray(out["segmentation_masks"])[..., 0] > 0
    height, width = masks.shape[1:]
    boxes = convert_format(out["bounding_boxes"]["boxes"], form, "xyxy", height, width)
    for mask, box, found in zip(
        masks, np.asarray(boxes)[:, 0], np.asarray(out["bounding_boxes"]["labels"])[:, 0],
        strict=True,
    ):  # fmt: skip
        rows, columns = np.nonzero(mask)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert found == 3
        outside = np.array([seen[0] - box[0], seen[1] - box[1], box[2] - seen[2], box[3] - seen[3]])
        # One pixel: boxes are moved by their edges, and pixels by their middles.
        assert outside.min() > -2.01, (label, seen, box)
        if label not in TURNED:
            assert outside.max() < 2.01, (label, seen, box)


@pytest.mark.parametrize("label", MOVES)
def test_a_box_stays_round_its_object(label):
    for form, training in (("xyxy", True), ("rel_center_xywh", True), ("yxyx", False)):
        data = scene(form)
        check_boxes(label, make(label, bounding_box_format=form)(data, training=training), form)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format(form):
    """The same layer in another format says the same."""
    data = scene("xyxy")
    boxes = convert_format(data["bounding_boxes"]["boxes"], "xyxy", form, HEIGHT, WIDTH)
    other = {**data, "bounding_boxes": {**data["bounding_boxes"], "boxes": boxes}}
    expected = make("RandomCrop", bounding_box_format="xyxy")(data)["bounding_boxes"]
    out = make("RandomCrop", bounding_box_format=form)(other)["bounding_boxes"]
    back = convert_format(out["boxes"], form, "xyxy", 24, 30)
    np.testing.assert_allclose(back, expected["boxes"], atol=1e-3)
    np.testing.assert_array_equal(out["labels"], expected["labels"])


def test_boxes_that_leave_lose_their_label():
    layer = layers.RandomTranslation(0, (0.5, 0.5), bounding_box_format="xywh")
    boxes = np.array([[[0, 2, 4, 4], [6, 2, 4, 4], [3, 3, 4, 4]]], "float32")
    found = {"boxes": boxes, "labels": np.array([[5, 6, 7]], "uint8")}
    data = {"images": np.ones((1, 10, 10, 1), "float32"), "bounding_boxes": found}
    out = layer(data, training=True)["bounding_boxes"]
    assert np.asarray(out["labels"]).tolist() == [[5, -1, 7]]  # bytes cannot hold -1
    np.testing.assert_allclose(out["boxes"][0], [[5, 2, 4, 4], [10, 2, 0, 4], [8, 3, 2, 4]])
    one_hot = np.eye(3, dtype="float32")[None]
    found["labels"] = one_hot
    out = layer(data, training=True)["bounding_boxes"]["labels"]
    assert np.asarray(out)[0].tolist() == [[1, 0, 0], [-1, -1, -1], [0, 0, 1]]


def test_lists_of_boxes():
    """As many boxes as each image has: Keras fails on lists, whatever their lengths."""
    layer = layers.RandomFlip("horizontal", bounding_box_format="xyxy")
    found = {"boxes": [[[1, 2, 3, 4], [0, 0, 2, 2]], [[5, 5, 6, 7]], []],
             "labels": [[1, 2], [3], []]}  # fmt: skip
    data = {"images": np.ones((3, 8, 8, 3), "float32"), "bounding_boxes": found}
    out = layer(data, training=False)["bounding_boxes"]
    assert out["boxes"].shape == (3, 2, 4)
    assert np.asarray(out["labels"]).tolist() == [[1, 2], [3, -1], [-1, -1]]
    single = {"images": data["images"][0],
              "bounding_boxes": {"boxes": [[1, 2, 3, 4]], "labels": [7]}}  # fmt: skip
    out = layer(single, training=True)["bounding_boxes"]
    assert out["boxes"].shape == (1, 4)
    assert np.asarray(out["labels"]).tolist() == [7]
    nothing = {**single, "bounding_boxes": {"boxes": [], "labels": []}}
    assert layer(nothing, training=True)["bounding_boxes"]["boxes"].shape == (0, 4)
    trimmed = layers.MaxNumBoundingBoxes(1)(data)["bounding_boxes"]
    assert np.asarray(trimmed["labels"]).tolist() == [[1], [3], [-1]]


def test_max_num_bounding_boxes():
    data = scene("xyxy")
    layer = layers.MaxNumBoundingBoxes(3, fill_value=0)
    out = layer(data)["bounding_boxes"]
    assert (out["boxes"].shape, out["labels"].shape) == ((4, 3, 4), (4, 3))
    assert np.asarray(out["labels"])[0].tolist() == [3, 0, 0]
    again = layers.MaxNumBoundingBoxes.from_config(layer.get_config())
    assert again.fill_value == 0  # Keras forgets it
    one = jax.tree.map(lambda x: x[0], data)
    assert layer(one)["bounding_boxes"]["boxes"].shape == (3, 4)
    classes = {**one, "bounding_boxes": {"boxes": np.ones((2, 4)), "labels": np.ones((2, 9))}}
    spec = layer.compute_output_shape(jax.tree.map(lambda x: x.shape, classes))
    assert spec["bounding_boxes"] == {"boxes": (3, 4), "labels": (3, 9)}
    assert jax.tree.map(lambda x: x.shape, layer(classes)) == spec


def test_boxes_in_a_model():
    inputs = {
        "images": staghorn.Input((HEIGHT, WIDTH, 1)),
        "bounding_boxes": {
            "boxes": staghorn.Input((None, 4)),
            "labels": staghorn.Input((None,), dtype="int32"),
        },
    }
    kwargs = {"bounding_box_format": "xywh"}
    cut = layers.CenterCrop(20, 20, **kwargs)(inputs)
    outputs = layers.MaxNumBoundingBoxes(5)(layers.Resizing(8, 8, **kwargs)(cut))
    assert outputs["bounding_boxes"]["boxes"].shape == (None, 5, 4)
    model = staghorn.Model(inputs, outputs)
    data = {key: value for key, value in scene("xywh").items() if key in inputs}
    out = model(data)
    assert out["images"].shape == (COUNT, 8, 8, 1)
    assert out["bounding_boxes"]["boxes"].shape == (COUNT, 5, 4)


# Images ------------------------------------------------------------------------------------------


def test_crops_are_cut_out_of_the_image():
    image = np.arange(HEIGHT * WIDTH, dtype="float32").reshape(1, HEIGHT, WIDTH, 1)
    layer = layers.RandomCrop(5, 7, seed=3)
    corners = set()
    for _ in range(6):
        out = np.asarray(layer(image, training=True))[0, ..., 0]
        row, column = divmod(int(out[0, 0]), WIDTH)
        np.testing.assert_array_equal(out, image[0, row : row + 5, column : column + 7, 0])
        corners.add((row, column))
    assert len(corners) > 3
    # At inference Keras returns the image uncut; its documentation says what follows.
    still = layer(image, training=False)
    expected = staghorn.ops.image.resize(image, (5, 7), crop_to_aspect_ratio=True)
    np.testing.assert_allclose(still, expected)


def test_masks_bend_as_their_images():
    image = RNG.integers(0, 255, size=(3, 20, 20, 1))
    data = {"images": image.astype("float32"), "segmentation_masks": image.astype("int32")}
    layer = layers.RandomElasticTransform(scale=(1, 1), interpolation="nearest", seed=1)
    out = layer(data, training=True)
    assert not np.array_equal(out["images"], data["images"])
    np.testing.assert_array_equal(out["images"], out["segmentation_masks"].astype("float32"))


def test_a_rectangle_is_erased_in_its_colours():
    image = np.zeros((2, 3, 12, 16), "float32")
    colours = {"fill_value": [1.0, 2.0, 300.0], "data_format": "channels_first"}
    layer = layers.RandomErasing((1, 1), scale=(0.25, 0.25), seed=1, **colours)
    out = np.asarray(layer(image, training=True))
    for one in out:
        rows, columns = np.nonzero(one[0])
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (6, 8)
        assert len(rows) == 48
        assert {float(c[rows[0], columns[0]]) for c in one} == {1.0, 2.0, 255.0}


@pytest.mark.parametrize("name", ["RandomPerspective", "RandomElasticTransform", "RandomErasing"])
def test_a_chance_of_zero_changes_nothing(name):
    image = RNG.uniform(0, 255, size=(2, 12, 16, 3)).astype("float32")
    layer = getattr(layers, name)(factor=0.0, seed=1)
    np.testing.assert_array_equal(layer(image, training=True), image)
    half = getattr(layers, name)(factor=(0.5, 0.5), seed=1)
    out = np.asarray(jit(lambda x: half(x, training=True))(np.tile(image, (16, 1, 1, 1))))
    kept = [np.array_equal(a, b) for a, b in zip(out, np.tile(image, (16, 1, 1, 1)), strict=True)]
    assert 4 < sum(kept) < 28


# Errors ------------------------------------------------------------------------------------------

IMAGE = np.ones((2, 8, 8, 3), "float32")
BOX = np.ones((2, 1, 4), "float32")


def called(boxes, **kwargs):
    return layers.RandomFlip(**kwargs)({"images": IMAGE, "bounding_boxes": boxes})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: called({"boxes": BOX, "labels": BOX[..., 0]}), "bounding_box_format is needed"),
        (
            lambda: called({"boxes": BOX, "labels": BOX[..., 0]}, bounding_box_format="xyyx"),
            "must be one of 'xyxy'.*got 'xyyx'.*Did you mean",
        ),
        (lambda: called({"boxes": BOX}, bounding_box_format="xyxy"), r"got the keys \['boxes'\]"),
        (lambda: called(BOX, bounding_box_format="xyxy"), "must be a dict"),
        (
            lambda: called({"boxes": BOX[0], "labels": BOX[0, :, 0]}, bounding_box_format="xyxy"),
            r"got boxes of shape \(1, 4\) with labels \(1,\) beside images of 4 axes",
        ),
        (lambda: layers.RandomCrop(0, 3), "height must be a positive int"),
        (lambda: layers.RandomShear(2.0), r"RandomShear: x_factor .* in \[-1, 1\], got 2.0"),
        (lambda: layers.RandomShear(0.1, (0.1, 0.2, 0.3)), "y_factor must be a number, or a pair"),
        (lambda: layers.RandomShear(fill_mode="mirror"), "fill_mode must be one of"),
        (lambda: layers.RandomPerspective(1.5), r"factor must be a number in \[0, 1\]"),
        (lambda: layers.RandomPerspective(scale=2), r"scale must be a number in \[0, 1\]"),
        (lambda: layers.RandomElasticTransform(scale=2), r"scale must be a number in \[0, 1\]"),
        (lambda: layers.RandomElasticTransform(value_range=255), "value_range must be"),
        (
            lambda: layers.RandomErasing(fill_value="red"),
            r"fill_value must be .* got 'red' \(str\)",
        ),
        (lambda: layers.RandomErasing(scale=(2, 3)), "scale must be a number"),
        (lambda: layers.MaxNumBoundingBoxes(0), "max_number must be a positive int"),
        (lambda: layers.RandomCrop(3, 3)(IMAGE[0, 0]), r"got shape \(8, 3\).\nAdd the channels"),
    ],
)
def test_errors(make, words):
    with pytest.raises(ValueError, match=words):
        make()
