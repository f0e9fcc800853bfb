"""Boxes against boxes: how far they overlap, and how they differ from anchors."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.symbolic import op
from staghorn.ops.bounding_boxes import convert_format
from staghorn.ops.core import as_array

# Overlap ---------------------------------------------------------------------------------------


def _sizes(image_shape: Sequence[int] | None) -> tuple[Any, Any]:
    return (None, None) if image_shape is None else (image_shape[0], image_shape[1])


def _as_corners(
    function: str, boxes: Any, form: str, image_shape: Sequence[int] | None
) -> jax.Array:
    if str(form).lower().startswith("rel_") and image_shape is None:
        raise ValueError(
            f"bounding_boxes.{function}: {form!r} needs image_shape=(height, width, channels)."
        )
    return convert_format(boxes, form, "xyxy", *_sizes(image_shape))


def _overlap(one: jax.Array, other: jax.Array) -> jax.Array:
    """(…, 4), (…, 4) → (…): the area in both."""
    least = jnp.minimum(one[..., 2:], other[..., 2:])
    most = jnp.maximum(one[..., :2], other[..., :2])
    return jnp.prod(jnp.maximum(least - most, 0), axis=-1)


def _area(boxes: jax.Array) -> jax.Array:
    return jnp.prod(boxes[..., 2:4] - boxes[..., :2], axis=-1)


@op
def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Sequence[int] | None = None,
) -> jax.Array:
    """Area in both boxes over the area in either, for every pair.

    (m, 4) or (batch, m, 4), (n, 4) or (batch, n, 4) → (m, n) or (batch, m, n)

    Args:
        boxes1: boxes.
        boxes2: boxes.
        bounding_box_format: their format.
        use_masking: whether pairs with a box that is negative throughout (padding) give
            `mask_val`. Default: False.
        mask_val: what they give. Default: -1.
        image_shape: (height, width, channels), needed for relative formats.

    Raises:
        ValueError: for other ranks or formats, or a missing shape.

    Example:
        >>> from staghorn.utils import bounding_boxes
        >>> one, other = np.array([[0, 0, 2, 2]]), np.array([[0, 0, 2, 4], [3, 3, 4, 4]])
        >>> np.asarray(bounding_boxes.compute_iou(one, other, "xyxy")).round(3).tolist()
        [[0.5, 0.0]]

    Notes: `use_masking` works for a batch against one set of boxes too, where Keras fails.
    """
    for name, boxes in (("boxes1", boxes1), ("boxes2", boxes2)):
        if as_array(boxes).ndim not in (2, 3):
            raise ValueError(
                f"bounding_boxes.compute_iou: {name} must have shape (boxes, 4) or "
                f"(batch, boxes, 4), got {as_array(boxes).shape}."
            )
    one, other = (
        _as_corners("compute_iou", boxes, bounding_box_format, image_shape)
        for boxes in (boxes1, boxes2)
    )
    rank = max(one.ndim, other.ndim)
    one, other = (x if x.ndim == rank else jnp.expand_dims(x, 0) for x in (one, other))
    one, other = jnp.expand_dims(one, -2), jnp.expand_dims(other, -3)  # (…, m, 1, 4), (…, 1, n, 4)
    both = _overlap(one, other)  # (…, m, n)
    result = both / (_area(one) + _area(other) - both + config.epsilon())
    if not use_masking:
        return result
    empty = (jnp.max(one, axis=-1) < 0) | (jnp.max(other, axis=-1) < 0)
    return jnp.where(empty, jnp.asarray(mask_val).astype(result.dtype), result)


@op
def compute_ciou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    image_shape: Sequence[int] | None = None,
) -> jax.Array:
    """Overlap of boxes less how far apart, and how differently shaped, they are.

    (…, 4), (…, 4) → (…)
    ciou = iou - distance² / diagonal² - v² / (1 - iou + v), v = 4/π² (atan w2/h2 - atan w1/h1)²

    Args:
        boxes1: boxes.
        boxes2: boxes, as many.
        bounding_box_format: their format.
        image_shape: (height, width, channels), needed for relative formats.

    Raises:
        ValueError: for unknown formats or a missing shape.

    Example:
        >>> from staghorn.utils import bounding_boxes
        >>> box = np.array([[0.0, 0.0, 2.0, 2.0]])
        >>> np.asarray(bounding_boxes.compute_ciou(box, box, "xyxy")).round(3).tolist()
        [1.0]

    Notes: Keras refuses relative formats even with an `image_shape`.

    Reference: https://arxiv.org/abs/1911.08287
    """
    one, other = (
        _as_corners("compute_ciou", boxes, bounding_box_format, image_shape)
        for boxes in (boxes1, boxes2)
    )
    epsilon = config.epsilon()
    both = _overlap(one, other)
    (w1, h1), (w2, h2) = (
        (x[..., 2] - x[..., 0], x[..., 3] - x[..., 1] + epsilon) for x in (one, other)
    )
    iou = both / (w1 * h1 + w2 * h2 - both + 2 * epsilon)
    hull = jnp.maximum(one[..., 2:], other[..., 2:]) - jnp.minimum(one[..., :2], other[..., :2])
    apart = (one[..., :2] + one[..., 2:] - other[..., :2] - other[..., 2:]) / 2
    distance = jnp.sum(apart**2, axis=-1) / (jnp.sum(hull**2, axis=-1) + epsilon)
    shape = (4 / math.pi**2) * (jnp.arctan(w2 / h2) - jnp.arctan(w1 / h1)) ** 2
    return iou - (distance + shape * shape / (shape - iou + (1 + epsilon)))


# Offsets from anchors --------------------------------------------------------------------------


def _check_deltas(function: str, name: str, form: str, variance: Any) -> Any:
    if form not in ("center_xywh", "center_yxhw"):
        raise ValueError(
            f"bounding_boxes.{function}: {name} must be 'center_xywh' or 'center_yxhw', "
            f"got {form!r}."
        )
    if variance is None:
        return None
    variance = as_array(variance).astype("float32")
    if variance.shape[-1:] != (4,):
        raise ValueError(
            f"bounding_boxes.{function}: variance must be 4 numbers, got {variance.shape}."
        )
    return variance


def _beside(variance: jax.Array, boxes: jax.Array) -> jax.Array:
    return jnp.reshape(variance, (1,) * (boxes.ndim - 1) + (4,))


def _aligned(anchors: jax.Array, boxes: jax.Array) -> jax.Array:
    return anchors if anchors.ndim == boxes.ndim else jnp.expand_dims(anchors, 0)


@op
def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Sequence[int] | None = None,
) -> jax.Array:
    """Describe boxes by how they differ from anchors: what a detector learns.

    (n, 4), (n, 4) or (batch, n, 4) → the boxes' shape
    centres: (box - anchor) / size of the anchor; sizes: log(box / anchor); all over variance

    Args:
        anchors: anchors.
        boxes: boxes.
        anchor_format: the anchors' format.
        box_format: the boxes' format.
        encoding_format: "center_yxhw" or "center_xywh", the order of the four numbers.
            Default: "center_yxhw".
        variance: 4 numbers to divide by. Default: None.
        image_shape: (height, width, channels), needed for relative formats.

    Raises:
        ValueError: for unknown formats, or a variance that is not 4 numbers.

    Example:
        >>> from staghorn.utils import bounding_boxes
        >>> anchor, box = np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 15, 10]])
        >>> deltas = bounding_boxes.encode_box_to_deltas(anchor, box, "xyxy", "xyxy", "center_xywh")
        >>> np.asarray(deltas).tolist()
        [[0.5, 0.0, 0.0, 0.0]]
    """
    variance = _check_deltas("encode_box_to_deltas", "encoding_format", encoding_format, variance)
    sizes = _sizes(image_shape)
    boxes = convert_format(boxes, box_format, encoding_format, *sizes)
    start = _aligned(convert_format(anchors, anchor_format, encoding_format, *sizes), boxes)
    own, base = (jnp.maximum(x[..., 2:], config.epsilon()) for x in (boxes, start))
    deltas = jnp.concatenate(
        [(boxes[..., :2] - start[..., :2]) / base, jnp.log(own / base)], axis=-1
    )
    return deltas if variance is None else deltas / _beside(variance, deltas)


@op
def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Sequence[int] | None = None,
) -> Any:
    """Undo `encode_box_to_deltas`: boxes from anchors and what a detector says of them.

    (n, 4), (n, 4) or (batch, n, 4) → the deltas' shape; dicts of them level by level

    Args:
        anchors: anchors, or a dict of them by level.
        boxes_delta: deltas, or a dict of them by the same levels.
        anchor_format: the anchors' format.
        box_format: the format of the result.
        encoded_format: "center_yxhw" or "center_xywh", the deltas' order. Default: "center_yxhw".
        variance: 4 numbers to multiply by. Default: None.
        image_shape: (height, width, channels), needed for relative formats.

    Raises:
        ValueError: for unknown formats, or a variance that is not 4 numbers.

    Example:
        >>> from staghorn.utils import bounding_boxes
        >>> anchor, deltas = np.array([[0.0, 0, 10, 10]]), np.array([[0.0, 0.5, 0, 0]])
        >>> boxes = bounding_boxes.decode_deltas_to_boxes(anchor, deltas, "xyxy", "xyxy")
        >>> np.asarray(boxes).tolist()
        [[5.0, 0.0, 15.0, 10.0]]
    """
    variance = _check_deltas("decode_deltas_to_boxes", "encoded_format", encoded_format, variance)
    sizes = _sizes(image_shape)

    def decode(anchors: Any, deltas: Any) -> jax.Array:
        deltas = as_array(deltas)
        start = _aligned(convert_format(anchors, anchor_format, encoded_format, *sizes), deltas)
        deltas = deltas.astype(start.dtype)
        if variance is not None:
            deltas = deltas * _beside(variance, deltas)
        size = start[..., 2:]
        places = [deltas[..., :2] * size + start[..., :2], jnp.exp(deltas[..., 2:]) * size]
        return convert_format(jnp.concatenate(places, axis=-1), encoded_format, box_format, *sizes)

    if isinstance(anchors, dict) and isinstance(boxes_delta, dict):
        return {level: decode(anchors[level], boxes_delta[level]) for level in anchors}
    return decode(anchors, boxes_delta)
