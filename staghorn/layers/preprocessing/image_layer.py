"""What image layers share: one image or a batch, alone or in a dict with labels and masks."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config
from staghorn.engine.arguments import Is, Options
from staghorn.engine.dtypes import is_float, standardize_dtype
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.call import convert
from staghorn.layers.layer import Layer
from staghorn.ops.bounding_boxes import clip_to_image_size, convert_format
from staghorn.ops.image_sampling import spatial_axes

_NO_FORMAT = """\
{cls} '{name}': bounding_box_format is needed for an input with 'bounding_boxes', and says what
their four numbers are. For example:
    {cls}(..., bounding_box_format="xyxy")  # left, top, right, bottom, in pixels"""

_WRONG_BOXES = """\
{cls} '{name}': 'bounding_boxes' must be a dict
    {{"boxes": (batch, boxes, 4), "labels": (batch, boxes)}}
or, beside one image, the same without the batch; got {given}."""

_WRONG_RANK = """\
{cls} '{name}': images have 3 axes ({axes}), or 4 with a batch in front, got shape {shape}.
{hint}"""


class ImageLayer(Layer):
    """Base of layers that change images and, in a dict, what goes with them.

    (batch, height, width, channels) or (height, width, channels) → the same rank
    {"images": …, "labels": …, "segmentation_masks": …, "bounding_boxes": {"boxes": (batch, boxes,
    4), "labels": (batch, boxes)}} → the same keys

    Subclasses write `transform_images`; random ones also `get_random_transformation`, which makes
    all draws of a call; those that move pixels also `transform_bounding_boxes`.

    Args:
        bounding_box_format: what the four numbers of a box are: "xyxy", "yxyx", "xywh",
            "center_xywh", "center_yxhw", or one of the first four with "rel_" in front.
            Default: None, for inputs without boxes.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Notes: a dict comes back as a new dict; Keras changes the one it is given. Boxes are float32
    under every policy. Where a box leaves the image, its label becomes -1; boxes of padding have
    that label. Lists of boxes, as many as each image has, are padded; Keras fails on them.
    """

    _asks_for_format = True  # of boxes
    _convert_input_args = False  # boxes are not for the compute type, which may be half precision

    arguments = {
        "bounding_box_format": Is(str, optional=True),
        "data_format": Options("channels_last", "channels_first"),
    }

    def __init__(
        self,
        bounding_box_format: str | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bounding_box_format = bounding_box_format
        self.data_format = data_format or config.image_data_format()

    # What subclasses write -----------------------------------------------------------------

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any] | None:
        """Make the random draws of one call; None where nothing is drawn."""
        del data, training, seed
        return None

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        """Change a batch of images: (batch, height, width, channels) → the same rank."""
        raise NotImplementedError(f"{type(self).__name__} has no transform_images().")

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        """Change the labels of a batch; by default they stay."""
        del transformation, training
        return labels

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """Change a batch of masks; by default as if they were images."""
        return self.transform_images(segmentation_masks, transformation, training=training)

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        """Change the boxes and labels of a batch; by default they stay."""
        del transformation, training
        return bounding_boxes

    def transform_single_image(self, image: Any, transformation: Any, training: bool = True) -> Any:
        """Change one image, a batch of one: (height, width, channels) → the same rank."""
        return self._apply(self.transform_images, image, transformation, training, False)

    def transform_single_label(self, label: Any, transformation: Any, training: bool = True) -> Any:
        """Change the label of one image."""
        return self._apply(self.transform_labels, label, transformation, training, False)

    def transform_single_segmentation_mask(
        self, segmentation_mask: Any, transformation: Any, training: bool = True
    ) -> Any:
        """Change the mask of one image."""
        step = self.transform_segmentation_masks
        return self._apply(step, segmentation_mask, transformation, training, False)

    def transform_single_bounding_box(
        self, bounding_box: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        """Change the boxes and labels of one image."""
        step = self.transform_bounding_boxes
        return self._apply(step, bounding_box, transformation, training, False)

    def _move_boxes(
        self, bounding_boxes: dict[str, Any], move: Any, before: Any, after: Any = None
    ) -> dict[str, Any]:
        """Change boxes, given and returned as "xyxy" in pixels, and cut them off at the edges.

        Args:
            bounding_boxes: boxes in the layer's format, and labels.
            move: the change, a function of (batch, boxes, 4).
            before: (height, width) of the images before.
            after: (height, width) of the images after. Default: None, the same.
        """
        after = before if after is None else after
        form = self.bounding_box_format or "xyxy"
        boxes = move(convert_format(bounding_boxes["boxes"], form, "xyxy", *before))
        clipped = clip_to_image_size({**bounding_boxes, "boxes": boxes}, *after)
        return convert_format(clipped, "xyxy", form, *after)

    def _image_shape(self, shape: tuple) -> tuple:
        """Return the shape of the result for one of an input."""
        return shape

    def _image_dtype(self, dtype: str) -> str:
        """Return the type of the resulting images for that of an input."""
        del dtype
        return self.compute_dtype

    def _kept_dtype(self, dtype: str) -> str:
        """Return the type of what is passed on: floats are cast on the way in."""
        return self.compute_dtype if is_float(dtype) and self.autocast else dtype

    def convert_weight(self, weight: Any) -> Any:
        """Return a weight as it is: Keras moves it to another engine here."""
        return weight

    # Calling -------------------------------------------------------------------------------

    def call(self, data: Any, training: bool = True) -> Any:
        """Change images, or the images, labels, masks and boxes of a dict."""
        data = self._converted(data)
        self._check(data)
        transformation = self.get_random_transformation(data, training=training)
        if not isinstance(data, dict):
            return self._apply(self.transform_images, data, transformation, training)
        steps = {
            "images": self.transform_images,
            _BOXES: self.transform_bounding_boxes,
            "labels": self.transform_labels,
            "segmentation_masks": self.transform_segmentation_masks,
        }
        batched = data["images"].ndim == 4
        changed = {
            key: self._apply(step, data[key], transformation, training, batched)
            for key, step in steps.items()
            if key in data
        }
        return {**data, **changed}

    def _converted(self, data: Any) -> Any:
        """Turn images and what goes with them into arrays, floats in the compute type."""
        if not isinstance(data, dict):
            return jnp.asarray(convert(self, data))
        return {
            key: _dense(value) if key == _BOXES else convert(self, value)
            for key, value in data.items()
        }

    def _apply(
        self, step: Any, value: Any, transformation: Any, training: bool, batched: Any = None
    ) -> Any:
        value = value if isinstance(value, dict) else jnp.asarray(value)
        if batched is None:
            batched = value.ndim == 4
        if batched:
            return step(value, transformation, training=training)
        lifted = jax.tree.map(lambda x: jnp.expand_dims(x, 0), value)
        single = step(lifted, transformation, training=training)
        return jax.tree.map(lambda x: jnp.squeeze(x, 0), single)

    def _check(self, data: Any) -> None:
        if isinstance(data, dict) and "images" not in data:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': a dict needs the key 'images', got "
                f"{', '.join(map(repr, data))}."
            )
        if isinstance(data, dict) and _BOXES in data:
            self._check_boxes(data[_BOXES], len(data["images"].shape))
        shape = tuple(images_of(data).shape)
        if len(shape) not in (3, 4):
            axes = ["height", "width"]
            axes.insert(0 if self._channels_first else 2, "channels")
            hint = "Add the channels: x[..., None]." if len(shape) == 2 else ""
            text = _WRONG_RANK.format(
                cls=type(self).__name__,
                name=self.name,
                axes=", ".join(axes),
                shape=shape,
                hint=hint,
            )
            raise ValueError(text.rstrip())

    def _check_boxes(self, boxes: Any, rank: int) -> None:
        who = {"cls": type(self).__name__, "name": self.name}
        if self._asks_for_format and not self.bounding_box_format:
            raise ValueError(_NO_FORMAT.format(**who))
        if not _holds_boxes(boxes):
            given = f"the keys {list(boxes)}" if isinstance(boxes, dict) else f"{type(boxes)}"
            raise ValueError(_WRONG_BOXES.format(given=given, **who))
        shape, labels = tuple(boxes["boxes"].shape), tuple(boxes["labels"].shape)
        if len(shape) != rank - 1 or shape[-1] != 4 or len(labels) not in (rank - 2, rank - 1):
            given = f"boxes of shape {shape} with labels {labels} beside images of {rank} axes"
            raise ValueError(_WRONG_BOXES.format(given=given, **who))

    def _size(self, transformation: Any) -> tuple[Any, Any]:
        """Return (height, width) of the images that a transformation was drawn for."""
        height, width = spatial_axes(self._channels_first)
        return transformation["input_shape"][height], transformation["input_shape"][width]

    @property
    def _channels_first(self) -> bool:
        return self.data_format == "channels_first"

    def _sizes(self, data: Any) -> tuple[int, int, int]:
        """Return (batch, height, width) of the images; a single image is a batch of 1."""
        shape = images_of(data).shape
        height, width = (shape[axis] for axis in spatial_axes(self._channels_first))
        return (shape[0] if len(shape) == 4 else 1), height, width

    # Symbolic inputs -----------------------------------------------------------------------

    def compute_output_shape(self, input_shape: Any) -> Any:
        if not isinstance(input_shape, dict):
            return self._image_shape(tuple(input_shape))
        shapes: dict[str, Any] = {
            key: self._image_shape(tuple(shape)) if key in _PICTURES else shape
            for key, shape in input_shape.items()
        }
        if _BOXES in shapes:
            batched = len(shapes["images"]) == 4
            shapes[_BOXES] = {
                k: self._boxes_shape(tuple(s), batched) for k, s in shapes[_BOXES].items()
            }
        return shapes

    def compute_output_spec(self, data: Any, training: bool = True) -> Any:
        self._check(data)
        if not isinstance(data, dict):
            return self._picture("images", data)
        return {
            key: self._picture(key, value)
            if key in _PICTURES
            else {k: self._box_spec(k, x, data) for k, x in value.items()}
            if key == _BOXES
            else KerasTensor(value.shape, self._kept_dtype(value.dtype))
            for key, value in data.items()
        }

    def _box_spec(self, key: str, tensor: Any, data: dict[str, Any]) -> KerasTensor:
        dtype = {"boxes": "float32", "labels": _label_dtype(tensor.dtype)}
        shape = self._boxes_shape(tuple(tensor.shape), len(data["images"].shape) == 4)
        return KerasTensor(shape, dtype.get(key, tensor.dtype))

    def _boxes_shape(self, shape: tuple, batched: bool) -> tuple:
        """Return the shape of boxes or their labels for that of an input."""
        return shape

    def _picture(self, key: str, tensor: Any) -> KerasTensor:
        dtype = self._image_dtype if key == "images" else self._mask_dtype
        return KerasTensor(self._image_shape(tuple(tensor.shape)), dtype(tensor.dtype))

    def _mask_dtype(self, dtype: str) -> str:
        return self._image_dtype(dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if config.get("bounding_box_format") is None:
            config.pop("bounding_box_format", None)
        return config


_PICTURES = ("images", "segmentation_masks")
_BOXES = "bounding_boxes"


def images_of(data: Any) -> Any:
    """Return the images of a call's data."""
    return data["images"] if isinstance(data, dict) else data


def _holds_boxes(found: Any) -> bool:
    return isinstance(found, dict) and {"boxes", "labels"} <= set(found)


def _label_dtype(dtype: Any) -> str:
    """Return a type that holds -1, the label of no object."""
    name = standardize_dtype(dtype)
    return "int32" if name.startswith(("uint", "bool")) else name


def _dense(found: Any) -> Any:
    """Turn boxes and labels into arrays; lists of different lengths are padded."""
    if not _holds_boxes(found):
        return found  # the checks say what is wrong
    boxes, labels = found["boxes"], found["labels"]
    if isinstance(boxes, (list, tuple)) and len({len(some) for some in boxes}) > 1:
        boxes = _padded([np.asarray(some, "float32").reshape(-1, 4) for some in boxes], 0)
        labels = _padded([np.asarray(some, "int32") for some in labels], -1)
    labels = jnp.asarray(labels)
    boxes = jnp.asarray(boxes, "float32")
    boxes = boxes if boxes.size else jnp.reshape(boxes, (*labels.shape, 4))
    return {**found, "boxes": boxes, "labels": labels.astype(_label_dtype(labels.dtype))}


def _padded(rows: list[np.ndarray], fill: int) -> np.ndarray:
    longest = max(map(len, rows))
    filled = [np.full((longest - len(row), *row.shape[1:]), fill, row.dtype) for row in rows]
    return np.stack([np.concatenate(pair) for pair in zip(rows, filled, strict=True)])
