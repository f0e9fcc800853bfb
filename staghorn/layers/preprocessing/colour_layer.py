"""Bases of the layers that change colours: a range of pixel values, and a random strength."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import random
from staghorn.engine.arguments import Is
from staghorn.engine.dtypes import is_float
from staghorn.layers.preprocessing.image_layer import ImageLayer
from staghorn.layers.preprocessing.random_transform import Factor, RandomImageLayer
from staghorn.ops.image import hsv_to_rgb, rgb_to_hsv


class PixelRange(Is):
    """A pair of different numbers, the limits of pixel values."""

    def accepts(self, value: Any) -> bool:
        return (
            super().accepts(value)
            and len(value) == 2
            and all(isinstance(v, (int, float)) for v in value)
            and value[0] != value[1]
        )

    def __str__(self) -> str:
        return "(lowest, highest), such as (0, 1)"


def strength(
    layer: str, factor: Any, low: float, high: float, name: str = "factor"
) -> tuple[float, float]:
    """Return the range that a factor stands for: x for (-x, x) within the limits, or a pair.

    Args:
        layer: the layer's name for the error.
        factor: a number in [low, high], or a pair of numbers that reaches into it.
        low, high: limits.
        name: the argument's name for the error. Default: "factor".

    Raises:
        ValueError: for anything else.

    Example:
        >>> from staghorn.layers.preprocessing.colour_layer import strength
        >>> strength("RandomHue", 0.2, 0, 1), strength("RandomHue", [0.5, 0.1], 0, 1)
        ((0, 0.2), (0.1, 0.5))
    """
    pair = factor if isinstance(factor, (tuple, list)) else (factor,)
    numbers = all(isinstance(f, (int, float)) and not isinstance(f, bool) for f in pair)
    if numbers and pair is not factor and low <= factor <= high:
        return max(-abs(factor), low), abs(factor)
    if numbers and pair is factor and len(pair) == 2:
        lower, upper = sorted(pair)
        if lower <= high and upper >= low:
            return lower, upper
    raise ValueError(
        f"{layer}: {name} must be a number in [{low}, {high}], or a pair of numbers that reaches "
        f"into it, got {factor!r} ({type(factor).__name__})."
    )


def rescaled(images: jax.Array, source: Sequence[float], target: Sequence[float]) -> jax.Array:
    """Move pixel values from one range to another: shape → shape.

    Example:
        >>> from staghorn.layers.preprocessing.colour_layer import rescaled
        >>> rescaled(np.array([-1.0, 0.0, 1.0]), (-1, 1), (0, 255)).tolist()
        [0.0, 127.5, 255.0]
    """
    (low, high), (start, end) = source, target
    if (low, high) == (start, end):
        return images
    return (images - low) / (high - low) * (end - start) + start


def recoloured(images: jax.Array, change: Any, limits: Sequence[float], form: str) -> jax.Array:
    """Change the hue, saturation and value of images, each in [0, 1]: shape → shape.

    Args:
        images: a batch with 3 channels; halves are computed in float32.
        change: a function of three arrays with 1 channel, which returns three.
        limits: (lowest, highest) value of a pixel.
        form: "channels_last" or "channels_first".
    """
    wide = images.astype("float32") if images.dtype.itemsize < 4 else images
    axis = -3 if form == "channels_first" else -1
    planes = jnp.split(rgb_to_hsv(rescaled(wide, limits, (0, 1)), form), 3, axis)
    changed = hsv_to_rgb(jnp.concatenate(change(*planes), axis), form)
    return rescaled(changed, (0, 1), limits)


class PlainColourLayer(ImageLayer):
    """Base of layers that change the colours of images: labels, boxes and masks stay.

    (batch, height, width, channels) → (batch, height, width, channels)

    Subclasses write `_recolour`, which gets what was drawn as keyword arguments.

    Notes: images leave as floats, unless the class says `whole`; in some other layers of Keras
    whole numbers stay whole, and overflow.
    """

    always = False  # whether inference changes images too
    whole = False  # whether whole numbers stay whole

    def _recolour(self, images: Any, *args: Any, **drawn: Any) -> Any:
        """Change a batch of images."""
        raise NotImplementedError

    def transform_images(
        self, images: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        dtype = self._image_dtype(str(images.dtype))
        images = images.astype(dtype)
        if self.always or (training and transformation is not None):
            images = self._recolour(images, **(transformation or {}))
        return images.astype(dtype)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """Leave the masks as they are: colours change, places do not."""
        del transformation, training
        return segmentation_masks

    def _image_dtype(self, dtype: str) -> str:
        return dtype if self.whole and not is_float(dtype) else self.compute_dtype

    def _mask_dtype(self, dtype: str) -> str:
        return dtype


class ColourLayer(PlainColourLayer):
    """Base of layers that know the limits of pixel values.

    Args:
        value_range: (lowest, highest) value of a pixel. Default: (0, 255).
        **kwargs: `data_format`, `name`, `dtype`, ... as for every image layer.
    """

    arguments = {**ImageLayer.arguments, "value_range": PixelRange(tuple, list)}
    ordered_range = True  # Keras sorts the range in some layers, and keeps it as given in others

    def __init__(self, value_range: Sequence[float] = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sort = self.ordered_range and self.arguments["value_range"].accepts(value_range)
        self.value_range = sorted(value_range) if sort else value_range

    def _clipped(self, images: jax.Array) -> jax.Array:
        return jnp.clip(images, *self.value_range)


class DrawnColourLayer(ColourLayer, RandomImageLayer):
    """Base of layers that change colours by what they draw, in training only.

    Subclasses write `_draw` and `_recolour`.

    Args:
        value_range: (lowest, highest) value of a pixel. Default: (0, 255).
        **kwargs: `seed`, `data_format`, `name`, `dtype`, ... as for every random image layer.

    Notes: at inference nothing is drawn; some layers of Keras draw, and change nothing.
    """

    arguments = {**RandomImageLayer.arguments, **ColourLayer.arguments}

    def _draw(self, batch: int, seed: Any) -> dict[str, Any]:
        """Draw what `_recolour` takes beside the images."""
        raise NotImplementedError

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any] | None:
        if not training:
            return None
        return self._draw(self._sizes(data)[0], self._source(seed))


class RandomColourLayer(DrawnColourLayer):
    """Base of layers that change the colours of each image by a random strength, in training.

    Subclasses write `_recolour(images, factor)`, where factor has shape (batch, 1, 1, 1); with
    other draws, `_draw` as well.

    Args:
        factor: the strength: a number, or the pair (lower, upper) that it is drawn from.
        value_range: (lowest, highest) value of a pixel. Default: (0, 255).
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.
    """

    limits: tuple[float, float] = (0, 1)  # of the factor

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format=data_format, seed=seed, **kwargs)
        self.factor = strength(type(self).__name__, factor, *self.limits)

    def _draw(self, batch: int, seed: Any) -> dict[str, Any]:
        return {"factor": random.uniform((batch, 1, 1, 1), *self.factor, seed=seed)}

    def _drawn_for_each(self, batch: int, seed: Any) -> jax.Array:
        """Draw which images change: a chance for each, then whether it comes to pass."""
        chance = random.uniform((batch, 1, 1, 1), *self.factor, seed=seed)
        return random.uniform((batch, 1, 1, 1), seed=seed) < chance
