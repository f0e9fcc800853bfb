"""What image layers share: one image or a batch, alone or in a dict with labels and masks."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.arguments import Is, Options
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.layer import Layer
from staghorn.ops.image_sampling import spatial_axes

_NO_BOXES = """\
{cls} '{name}': 'bounding_boxes' in the input are not supported yet, only 'images', 'labels' and
'segmentation_masks'. Leave them out, if they are not needed:
    layer({{key: value for key, value in data.items() if key != "bounding_boxes"}})"""

_WRONG_RANK = """\
{cls} '{name}': images have 3 axes ({axes}), or 4 with a batch in front, got shape {shape}.
{hint}"""


class ImageLayer(Layer):
    """Base of layers that change images and, in a dict, what goes with them.

    (batch, height, width, channels) or (height, width, channels) → the same rank
    {"images": …, "labels": …, "segmentation_masks": …} → the same keys

    Subclasses write `transform_images`; random ones also `get_random_transformation`, which makes
    all draws of a call.

    Args:
        bounding_box_format: kept in the configuration; boxes are not supported yet.
            Default: None.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Notes: a dict comes back as a new dict; Keras changes the one it is given.
    """

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

    def _image_shape(self, shape: tuple) -> tuple:
        """Return the shape of the result for one of an input."""
        return shape

    def _image_dtype(self, dtype: str) -> str:
        """Return the type of the resulting images for that of an input."""
        del dtype
        return self.compute_dtype

    # Calling -------------------------------------------------------------------------------

    def call(self, data: Any, training: bool = True) -> Any:
        """Change images, or the images, labels and masks of a dict."""
        self._check(data)
        transformation = self.get_random_transformation(data, training=training)
        if not isinstance(data, dict):
            return self._apply(self.transform_images, data, transformation, training)
        steps = {
            "images": self.transform_images,
            "labels": self.transform_labels,
            "segmentation_masks": self.transform_segmentation_masks,
        }
        batched = data["images"].ndim == 4
        return {
            key: self._apply(steps[key], value, transformation, training, batched)
            if key in steps
            else value
            for key, value in data.items()
        }

    def _apply(
        self, step: Any, value: Any, transformation: Any, training: bool, batched: Any = None
    ) -> jax.Array:
        value = jnp.asarray(value)
        if batched is None:
            batched = value.ndim == 4
        if batched:
            return step(value, transformation, training=training)
        single = step(jnp.expand_dims(value, 0), transformation, training=training)
        return jnp.squeeze(single, 0)

    def _check(self, data: Any) -> None:
        if isinstance(data, dict) and "bounding_boxes" in data:
            raise NotImplementedError(_NO_BOXES.format(cls=type(self).__name__, name=self.name))
        if isinstance(data, dict) and "images" not in data:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': a dict needs the key 'images', got "
                f"{', '.join(map(repr, data))}."
            )
        shape = tuple(_images(data).shape)
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

    @property
    def _channels_first(self) -> bool:
        return self.data_format == "channels_first"

    def _sizes(self, data: Any) -> tuple[int, int, int]:
        """Return (batch, height, width) of the images; a single image is a batch of 1."""
        shape = _images(data).shape
        height, width = (shape[axis] for axis in spatial_axes(self._channels_first))
        return (shape[0] if len(shape) == 4 else 1), height, width

    # Symbolic inputs -----------------------------------------------------------------------

    def compute_output_shape(self, input_shape: Any) -> Any:
        if isinstance(input_shape, dict):
            return {
                key: self._image_shape(tuple(shape)) if key in _PICTURES else shape
                for key, shape in input_shape.items()
            }
        return self._image_shape(tuple(input_shape))

    def compute_output_spec(self, data: Any, training: bool = True) -> Any:
        self._check(data)
        if not isinstance(data, dict):
            return self._picture("images", data)
        return {
            key: self._picture(key, value)
            if key in _PICTURES
            else KerasTensor(value.shape, value.dtype)
            for key, value in data.items()
        }

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


def _images(data: Any) -> Any:
    return data["images"] if isinstance(data, dict) else data
