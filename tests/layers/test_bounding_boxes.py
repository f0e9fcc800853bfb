"""`utils.bounding_boxes` against keras: formats, moves, overlap, offsets from anchors."""

import numpy as np
import pytest

import staghorn
from staghorn.utils import bounding_boxes as ours
from tests.oracle import assert_same, compare, keras

theirs = keras.utils.bounding_boxes
RNG = np.random.default_rng(0)
CORNERS = RNG.uniform(0, 40, size=(2, 5, 2)).astype("float32")
BOXES = np.concatenate([CORNERS, CORNERS + RNG.uniform(1, 9, size=(2, 5, 2))], -1).astype("float32")
OTHERS = BOXES[:, ::-1] + 2.5
LABELS = np.arange(10, dtype="int32").reshape(2, 5)
FORMATS = ["xyxy", "yxyx", "xywh", "center_xywh", "rel_xyxy", "rel_yxyx", "rel_xywh"]
FORMATS += ["rel_center_xywh", "center_yxhw", "REL_xyWH"]
SIZE = {"height": 48, "width": 52}


@pytest.mark.parametrize(
    ("source", "target"),
    [*((form, "xyxy") for form in FORMATS), *zip(FORMATS, FORMATS[3:] + FORMATS, strict=False)],
)
def test_formats(source, target):
    boxes = BOXES / 50 if "rel" in source.lower() else BOXES
    out = ours.convert_format(boxes, source, target, **SIZE)
    assert_same(out, theirs.convert_format(boxes, source, target, **SIZE), rtol=0, atol=0)
    back = ours.convert_format(out[0], target, source, **SIZE)
    np.testing.assert_allclose(back, boxes[0], rtol=1e-4, atol=1e-4)


def test_a_dict_keeps_its_other_entries_and_is_not_changed():
    found = {"boxes": BOXES, "labels": LABELS}
    out = ours.convert_format(found, "xyxy", "xywh", dtype="float16")
    assert found["boxes"] is BOXES
    assert out["labels"] is LABELS
    assert_same(out, theirs.convert_format(dict(found), "xyxy", "xywh", dtype="float16"))


NUMBERS = {
    "angle": np.array([30.0, -100.0], "float32"),
    "translate_x": np.array([0.1, -0.2], "float32"),
    "translate_y": np.array([0.3, 0.0], "float32"),
    "scale": np.array([1.0, 0.7], "float32"),
    "shear_x": np.array([0.0, 20.0], "float32"),
    "shear_y": np.array([10.0, -5.0], "float32"),
}
CALLS = {
    "clip": lambda m, x, y: m.clip_to_image_size({"boxes": x, "labels": LABELS}, 20, 30),
    "clip shares": lambda m, x, y: m.clip_to_image_size(
        {"boxes": x / 20 - 0.5, "labels": LABELS}, bounding_box_format="rel_xyxy"
    ),
    "clip without labels": lambda m, x, y: m.clip_to_image_size({"boxes": x}, 20, 30),
    "crop": lambda m, x, y: m.crop(x, 3, 5, 20, 30),
    "crop one image": lambda m, x, y: m.crop(x[0], 3.5, 5, 20, 30),
    "pad": lambda m, x, y: m.pad(x, 3, 5, 60, 70),
    "move": lambda m, x, y: m.affine_transform(x, **NUMBERS, height=48, width=52),
    "move round a point": lambda m, x, y: m.affine_transform(
        x, **NUMBERS, height=48, width=52, center_x=0.1, center_y=0.9
    ),
    "iou": lambda m, x, y: m.compute_iou(x, y, "xyxy"),
    "iou one image": lambda m, x, y: m.compute_iou(x[0], y[0, :3], "yxyx"),
    "iou left": lambda m, x, y: m.compute_iou(x[0], y, "xywh"),
    "iou right": lambda m, x, y: m.compute_iou(x, y[0], "center_xywh"),
    "iou masked": lambda m, x, y: m.compute_iou(x - 30, y - 20, "xyxy", True, -2),
    "iou shares": lambda m, x, y: m.compute_iou(x, y, "rel_xywh", image_shape=(8, 9, 3)),
    "ciou": lambda m, x, y: m.compute_ciou(x, y, "center_xywh"),
    "ciou one image": lambda m, x, y: m.compute_ciou(x[0], y[0], "xyxy"),
    "encode": lambda m, x, y: m.encode_box_to_deltas(x[0], y, "xyxy", "xyxy"),
    "encode more": lambda m, x, y: m.encode_box_to_deltas(
        x, y, "xywh", "rel_xyxy", "center_xywh", [0.1, 0.1, 0.2, 0.2], (8, 9, 3)
    ),
    "decode": lambda m, x, y: m.decode_deltas_to_boxes(x[0], y / 10, "xyxy", "xywh"),
    "decode more": lambda m, x, y: m.decode_deltas_to_boxes(
        x, y / 10, "xyxy", "rel_yxyx", "center_xywh", [0.1, 0.1, 0.2, 0.2], (8, 9, 3)
    ),
    "decode levels": lambda m, x, y: m.decode_deltas_to_boxes(
        {0: x[0], 1: x[1]}, {0: y / 10, 1: y / 20}, "xyxy", "xyxy"
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_functions(call):
    compare(lambda x, y: call(ours, x, y), lambda x, y: call(theirs, x, y), BOXES, OTHERS,
            rtol=2e-4, atol=2e-4)  # fmt: skip


def test_whole_numbers():
    boxes = BOXES.astype("int32")
    assert_same(ours.crop(boxes, 3, 5, 20, 30), theirs.crop(boxes, 3, 5, 20, 30))
    found = {"boxes": boxes, "labels": LABELS}
    assert_same(ours.clip_to_image_size(found, 9, 9), theirs.clip_to_image_size(found, 9, 9))


# What Keras fails on, or gets wrong --------------------------------------------------------------


def test_where_keras_fails():
    # Keras: `use_masking` transposes by the rank of the wrong boxes.
    both = [ours.compute_iou(BOXES[0] - 30, y, "xyxy", True) for y in OTHERS - 20]
    out = ours.compute_iou(BOXES[0] - 30, OTHERS - 20, "xyxy", use_masking=True)
    np.testing.assert_array_equal(out, np.stack(both))
    # Keras: relative formats raise, and the message asks for the image_shape that was given.
    shares, shape = BOXES / 50, (50, 50, 3)
    out = ours.compute_ciou(shares, OTHERS / 50, "rel_xyxy", image_shape=shape)
    np.testing.assert_allclose(out, ours.compute_ciou(BOXES, OTHERS, "xyxy"), atol=1e-5)
    # Keras: one-hot labels are taken for a batch.
    one_hot = np.eye(10, dtype="float32")[LABELS]
    out = ours.clip_to_image_size({"boxes": BOXES, "labels": one_hot}, 20, 30)["labels"]
    plain = ours.clip_to_image_size({"boxes": BOXES, "labels": LABELS}, 20, 30)["labels"]
    gone = np.asarray(plain) == -1
    assert 0 < gone.sum() < gone.size
    np.testing.assert_array_equal(np.asarray(out)[gone], -1)
    np.testing.assert_array_equal(np.asarray(out)[~gone], one_hot[~gone])
    # Keras: affine_transform documents (boxes, 4), and fails on it.
    first = {key: value[0] for key, value in NUMBERS.items()}
    out = ours.affine_transform(BOXES[0], **first, **SIZE)
    np.testing.assert_allclose(out, ours.affine_transform(BOXES, **NUMBERS, **SIZE)[0], atol=1e-4)


def test_symbolic():
    boxes = staghorn.Input((None, 4))
    out = ours.convert_format(boxes, "xyxy", "center_xywh")
    assert (out.shape, out.dtype) == ((None, None, 4), "float32")
    model = staghorn.Model(boxes, ours.compute_iou(out, out, "center_xywh"))
    np.testing.assert_allclose(model(BOXES), theirs.compute_iou(BOXES, BOXES, "xyxy"), atol=1e-4)


# Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: ours.convert_format(BOXES, "xyxz", "xywh"), ValueError, "source.*Did you mean"),
        (lambda: ours.convert_format(BOXES, "xyxy", None), ValueError, r"got None \(NoneType\)"),
        (lambda: ours.convert_format(BOXES[..., :3], "xyxy", "xywh"), ValueError, r"\(2, 5, 3\)"),
        (lambda: ours.convert_format(BOXES, "xyxy", "rel_xyxy", 3), ValueError, "width=None"),
        (lambda: ours.clip_to_image_size({"boxes": BOXES}, 3), ValueError, "height=3, width=None"),
        (
            lambda: ours.clip_to_image_size({"boxes": BOXES}, 3, 3, "xywh"),
            NotImplementedError,
            "reads xyxy and rel_xyxy, got 'xywh'",
        ),
        (lambda: ours.crop(BOXES, 1, 1, 1, 1, "yxyx"), NotImplementedError, "Convert first"),
        (lambda: ours.pad(BOXES, 1, 1, 1, 1, "yxyx"), NotImplementedError, "Convert first"),
        (lambda: ours.compute_iou(BOXES[0, 0], BOXES, "xyxy"), ValueError, r"boxes1.*\(4,\)"),
        (lambda: ours.compute_iou(BOXES, BOXES, "rel_xyxy"), ValueError, "needs image_shape"),
        (lambda: ours.compute_ciou(BOXES, BOXES, "rel_xyxy"), ValueError, "needs image_shape"),
        (
            lambda: ours.encode_box_to_deltas(BOXES, BOXES, "xyxy", "xyxy", "xyxy"),
            ValueError,
            "encoding_format must be 'center_xywh'",
        ),
        (
            lambda: ours.decode_deltas_to_boxes(BOXES, BOXES, "xyxy", "xyxy", variance=[1.0]),
            ValueError,
            "variance must be 4 numbers",
        ),
    ],
)
def test_errors(make, kind, words):
    with pytest.raises(kind, match=words):
        make()
