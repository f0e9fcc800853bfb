"""Boxes round objects in images: formats, clipping, moving."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.dtypes import is_float
from staghorn.engine.registry import suggestion
from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array

FORMATS = (
    "xyxy",
    "yxyx",
    "xywh",
    "center_xywh",
    "center_yxhw",
    "rel_xyxy",
    "rel_yxyx",
    "rel_xywh",
    "rel_center_xywh",
)

# Formats ---------------------------------------------------------------------------------------


def _known(function: str, name: str, given: Any) -> tuple[str, bool]:
    """Return a format without "rel_", and whether it had it."""
    lower = given.lower() if isinstance(given, str) else given
    if lower not in FORMATS:
        raise ValueError(
            f"bounding_boxes.{function}: {name} must be one of {', '.join(map(repr, FORMATS))}, "
            f"got {given!r} ({type(given).__name__}).{suggestion(str(given), FORMATS)}"
        )
    return lower.removeprefix("rel_"), lower.startswith("rel_")


def _only_corners(function: str, given: str, *accepted: str) -> None:
    if given not in ("xyxy", *accepted):
        raise NotImplementedError(
            f"bounding_boxes.{function} reads {' and '.join(('xyxy', *accepted))}, got {given!r}. "
            f"Convert first: convert_format(boxes, {given!r}, 'xyxy', height, width)."
        )


def _columns(boxes: jax.Array) -> list[jax.Array]:
    """(…, 4) → four of (…, 1)."""
    return jnp.split(boxes, 4, axis=-1)


@op
def convert_format(
    boxes: Any,
    source: str,
    target: str,
    height: Any = None,
    width: Any = None,
    dtype: str = "float32",
) -> Any:
    """Write boxes in another format.

    (…, 4) → (…, 4)
    "xyxy" is (left, top, right, bottom), "yxyx" (top, left, bottom, right), "xywh" (left, top,
    width, height), "center_xywh" and "center_yxhw" have the centre in front; "rel_xyxy",
    "rel_yxyx", "rel_xywh" and "rel_center_xywh" are shares of the image's width and height.

    Args:
        boxes: boxes, or a dict that holds them under "boxes".
        source: their format; upper or lower case.
        target: the format of the result.
        height: of the image, where one of the formats is relative.
        width: the same.
        dtype: of the result. Default: "float32".

    Raises:
        ValueError: for unknown formats, if the last axis is not 4, or a size is missing.

    Example:
        >>> from staghorn.utils import bounding_boxes
        >>> boxes = bounding_boxes.convert_format(np.array([[10, 20, 30, 60]]), "xyxy", "xywh")
        >>> np.asarray(boxes).tolist()
        [[10.0, 20.0, 20.0, 40.0]]

    Notes: a dict comes back as a new dict; Keras changes the one it is given. Sizes are asked for
    only if they are needed.
    """
    if isinstance(boxes, dict):
        changed = convert_format(boxes["boxes"], source, target, height, width, dtype)
        return {**boxes, "boxes": changed}
    (start, relative), (end, wanted) = (
        _known("convert_format", name, value)
        for name, value in (("source", source), ("target", target))
    )
    boxes = as_array(boxes)
    if boxes.ndim == 0 or boxes.shape[-1] != 4:
        raise ValueError(
            f"bounding_boxes.convert_format: boxes must have shape (..., 4), got {boxes.shape}."
        )
    boxes = boxes.astype(dtype)
    if relative != wanted and (height is None or width is None):
        raise ValueError(
            f"bounding_boxes.convert_format: {source!r} → {target!r} needs the image's height and "
            f"width, got height={height}, width={width}."
        )
    if (start, relative) == (end, wanted):
        return boxes
    parts = _corners(_swapped(_columns(boxes), start), start)
    if relative != wanted:
        sizes = [jnp.asarray(size).astype(dtype) for size in (width, height)] * 2
    if relative and not wanted:
        parts = [part * size for part, size in zip(parts, sizes, strict=True)]
    parts = _measured(parts, end)
    if wanted and not relative:  # divided last, as Keras rounds
        parts = [part / size for part, size in zip(parts, sizes, strict=True)]
    return jnp.concatenate(_swapped(parts, end), axis=-1)


def _swapped(parts: list[jax.Array], form: str) -> list[jax.Array]:
    """Exchange x and y where a format has y first."""
    return [parts[k] for k in (1, 0, 3, 2)] if form in ("yxyx", "center_yxhw") else parts


def _corners(parts: list[jax.Array], form: str) -> list[jax.Array]:
    """Four columns of any format, x first → left, top, right, bottom."""
    x, y, width, height = parts
    if form.startswith("center"):
        half_width, half_height = width / 2.0, height / 2.0
        return [x - half_width, y - half_height, x + half_width, y + half_height]
    return [x, y, x + width, y + height] if form == "xywh" else parts


def _measured(parts: list[jax.Array], form: str) -> list[jax.Array]:
    """Undo `_corners`."""
    x1, y1, x2, y2 = parts
    if form.startswith("center"):
        return [x1 + (x2 - x1) / 2.0, y1 + (y2 - y1) / 2.0, x2 - x1, y2 - y1]
    return [x1, y1, x2 - x1, y2 - y1] if form == "xywh" else parts


# Moving ----------------------------------------------------------------------------------------


@op
def clip_to_image_size(
    bounding_boxes: dict[str, Any],
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, Any]:
    """Cut boxes off at the edges of the image; the labels of those that vanish become -1.

    {"boxes": (…, boxes, 4), "labels": (…, boxes)} → the same shapes

    Args:
        bounding_boxes: a dict of boxes and, if there are any, labels; one-hot labels have one
            more axis.
        height: of the image; not needed for "rel_xyxy".
        width: the same.
        bounding_box_format: "xyxy" or "rel_xyxy". Default: "xyxy".

    Raises:
        ValueError: if a size is missing.
        NotImplementedError: for other formats.

    Example:
        >>> from staghorn.utils import bounding_boxes
        >>> found = {"boxes": np.array([[-10.0, 5, 150, 60], [200, 0, 300, 9]]),
        ...          "labels": np.array([3, 4])}
        >>> cut = bounding_boxes.clip_to_image_size(found, height=50, width=100)
        >>> np.asarray(cut["boxes"]).tolist(), np.asarray(cut["labels"]).tolist()
        ([[0.0, 5.0, 100.0, 50.0], [100.0, 0.0, 100.0, 9.0]], [3, -1])
    """
    _only_corners("clip_to_image_size", bounding_box_format, "rel_xyxy")
    if bounding_box_format == "rel_xyxy":
        height = width = 1
    elif height is None or width is None:
        raise ValueError(
            "bounding_boxes.clip_to_image_size: 'xyxy' needs the image's height and width, got "
            f"height={height}, width={width}."
        )
    boxes = as_array(bounding_boxes["boxes"])
    x1, y1, x2, y2 = _clipped(_columns(boxes), height, width)
    result = {**bounding_boxes, "boxes": jnp.concatenate([x1, y1, x2, y2], axis=-1)}
    if bounding_boxes.get("labels") is not None:
        labels = as_array(bounding_boxes["labels"])
        seen = (x2 - x1) * (y2 - y1) > 0  # (…, boxes, 1)
        seen = seen if labels.ndim == boxes.ndim else jnp.squeeze(seen, -1)
        result["labels"] = jnp.where(seen, labels, jnp.full_like(labels, -1))
    return result


def _clipped(parts: list[jax.Array], height: Any, width: Any) -> list[jax.Array]:
    limits = [jnp.asarray(size).astype(parts[0].dtype) for size in (width, height)] * 2
    return [jnp.clip(part, 0, limit) for part, limit in zip(parts, limits, strict=True)]


def moved_by_matrix(boxes: jax.Array, matrix: jax.Array) -> jax.Array:
    """Return the boxes round the four corners that a matrix moves.

    (batch, boxes, 4) as "xyxy", (batch or 1, 3, 3) → (batch, boxes, 4)
    """
    left, top, right, bottom = (boxes[..., k] for k in range(4))  # (batch, boxes)
    one = jnp.ones_like(left)
    corners = jnp.stack(
        [
            jnp.stack([x, y, one], axis=-1)
            for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))
        ],
        axis=-2,
    )  # (batch, boxes, 4, 3)
    matrix = jnp.broadcast_to(matrix.astype(boxes.dtype), (boxes.shape[0], 3, 3))
    moved = jnp.einsum("bncj,bij->bnci", corners, matrix, precision="highest")
    depth = moved[..., 2:]
    depth = jnp.where(jnp.abs(depth) < config.epsilon(), config.epsilon(), depth)
    places = moved[..., :2] / depth  # (batch, boxes, 4, 2)
    return jnp.concatenate([jnp.min(places, axis=2), jnp.max(places, axis=2)], axis=-1)


def moved_as_pixels(boxes: jax.Array, transform: jax.Array) -> jax.Array:
    """Move boxes as `image.affine_transform` moves pixels: where each pixel goes, not comes from.

    (batch, boxes, 4) as "xyxy", (batch, 8) → (batch, boxes, 4)
    """
    ones = jnp.ones_like(transform[:, :1])
    rows = jnp.reshape(jnp.concatenate([transform, ones], axis=1), (-1, 3, 3))
    # The inverse up to a factor, which the division by depth takes out.
    inverse = jnp.stack(
        [jnp.cross(rows[:, (k + 1) % 3], rows[:, (k + 2) % 3]) for k in range(3)], axis=-1
    )
    return moved_by_matrix(boxes, inverse)


def placed(boxes: jax.Array, scale: list[Any], shift: list[Any]) -> jax.Array:
    """Return boxes * scale + shift; both are (along x, along y): (…, 4) → (…, 4)."""
    parts = zip(_columns(boxes), scale * 2, shift * 2, strict=True)
    return jnp.concatenate([part * factor + offset for part, factor, offset in parts], axis=-1)


def moved_by_window(
    boxes: jax.Array, start: Sequence[Any], kept: Sequence[int], size: Sequence[int]
) -> jax.Array:
    """Return "xyxy" boxes as they lie in a window that is cut out and resized: (…, 4) → (…, 4).

    All pairs are (down, across): where the window begins, its size, and the size of the result.
    """
    scale = [full / part for full, part in zip(size, kept, strict=True)][::-1]
    shifts = [jnp.asarray(first).astype(boxes.dtype) for first in start][::-1]
    return placed(boxes, scale, [-shift * by for shift, by in zip(shifts, scale, strict=True)])


@op
def affine_transform(
    boxes: Any,
    angle: Any,
    translate_x: Any,
    translate_y: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    height: Any,
    width: Any,
    center_x: Any = None,
    center_y: Any = None,
    bounding_box_format: str = "xyxy",
) -> jax.Array:
    """Turn, shift, scale and shear boxes; each result is the box round the moved corners.

    (batch, boxes, 4), (batch,) each → (batch, boxes, 4); or (boxes, 4) with numbers

    Args:
        boxes: boxes as "xyxy".
        angle: degrees, for each image.
        translate_x: shift as a share of the width less one pixel.
        translate_y: the same of the height.
        scale: factor.
        shear_x: degrees.
        shear_y: degrees.
        height: of the image.
        width: of the image.
        center_x: what stays in place, as a share of the width. Default: None (0.5).
        center_y: the same of the height. Default: None (0.5).
        bounding_box_format: "xyxy", the only one.

    Raises:
        NotImplementedError: for other formats.

    Example:
        >>> from staghorn.utils import bounding_boxes
        >>> box = np.array([[[0.0, 0.0, 4.0, 2.0]]])
        >>> zero, one = np.zeros(1), np.ones(1)
        >>> turned = bounding_boxes.affine_transform(
        ...     box, 180.0 * one, zero, zero, one, zero, zero, height=9, width=9
        ... )
        >>> np.asarray(turned).round(3).tolist()
        [[[4.0, 6.0, 8.0, 8.0]]]

    Notes: Keras takes batches only.
    """
    _only_corners("affine_transform", bounding_box_format)
    boxes = as_array(boxes)
    boxes = boxes if is_float(boxes.dtype) else boxes.astype("float32")
    single = boxes.ndim == 2
    boxes = jnp.expand_dims(boxes, 0) if single else boxes
    angle, right, down, scale, shear_x, shear_y = (
        jnp.broadcast_to(jnp.ravel(as_array(x)).astype(boxes.dtype), (boxes.shape[0],))
        for x in (angle, translate_x, translate_y, scale, shear_x, shear_y)
    )
    x = (0.5 if center_x is None else center_x) * (width - 1)
    y = (0.5 if center_y is None else center_y) * (height - 1)
    turn, lean_x, lean_y = (-degrees * (math.pi / 180.0) for degrees in (angle, shear_x, shear_y))
    a = jnp.cos(turn - lean_y) / jnp.cos(lean_y)
    b = a * jnp.tan(lean_x) + jnp.sin(turn)
    c = -jnp.sin(turn - lean_y) / jnp.cos(lean_y)
    d = jnp.cos(turn) - c * jnp.tan(lean_x)
    a0, a1, b0, b1 = d * scale, -b * scale, -c * scale, a * scale
    from_x, from_y = x - right * (width - 1), y - down * (height - 1)
    zero, one = jnp.zeros_like(angle), jnp.ones_like(angle)
    numbers = [a0, a1, x - a0 * from_x - a1 * from_y, b0, b1, y - b0 * from_x - b1 * from_y]
    matrix = jnp.reshape(jnp.stack([*numbers, zero, zero, one], axis=-1), (-1, 3, 3))
    moved = moved_by_matrix(boxes, matrix)
    return jnp.squeeze(moved, 0) if single else moved


@op
def crop(
    boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy"
) -> jax.Array:
    """Return boxes as they lie in a part cut out of the image.

    (…, 4) → (…, 4)

    Args:
        boxes: boxes as "xyxy".
        top: first row of the part.
        left: its first column.
        height: its height.
        width: its width.
        bounding_box_format: "xyxy", the only one.

    Raises:
        NotImplementedError: for other formats.

    Example:
        >>> from staghorn.utils import bounding_boxes
        >>> boxes = np.array([[10, 20, 50, 60]])
        >>> cut = bounding_boxes.crop(boxes, top=10, left=20, height=40, width=30)
        >>> np.asarray(cut).tolist()
        [[0, 10, 30, 40]]
    """
    _only_corners("crop", bounding_box_format)
    parts = _clipped(_shifted(as_array(boxes), top, left, -1), height, width)
    return jnp.concatenate(parts, axis=-1)


@op
def pad(
    boxes: Any,
    top: Any,
    left: Any,
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> jax.Array:
    """Return boxes as they lie in an image with rows above it and columns to its left.

    (…, 4) → (…, 4)

    Args:
        boxes: boxes as "xyxy".
        top: rows added above.
        left: columns added on the left.
        height: not used, as in Keras.
        width: not used, as in Keras.
        bounding_box_format: "xyxy", the only one.

    Raises:
        NotImplementedError: for other formats.

    Example:
        >>> from staghorn.utils import bounding_boxes
        >>> np.asarray(bounding_boxes.pad(np.array([[10, 20, 50, 60]]), 5, 1)).tolist()
        [[11, 25, 51, 65]]
    """
    del height, width
    _only_corners("pad", bounding_box_format)
    return jnp.concatenate(_shifted(as_array(boxes), top, left, 1), axis=-1)


def _shifted(boxes: jax.Array, top: Any, left: Any, sign: int) -> list[jax.Array]:
    shifts = (sign * left, sign * top) * 2
    return [part + shift for part, shift in zip(_columns(boxes), shifts, strict=True)]
