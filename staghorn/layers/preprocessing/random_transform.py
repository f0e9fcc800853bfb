"""Bases of the random image layers: draws from a seed, and matrices that move pixels."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import random
from staghorn.engine.arguments import Is, Options
from staghorn.layers.preprocessing.image_layer import ImageLayer, images_of
from staghorn.ops.bounding_boxes import moved_as_pixels
from staghorn.ops.image_sampling import affine_transform

Factor = float | Sequence[float]


def bounds(
    layer: str, name: str, factor: Any, low: float, high: float, open_low: bool = False
) -> tuple[float, float]:
    """Return the range that a factor stands for: x for (-x, x), or a pair as it is.

    Args:
        layer: the layer's name for the error.
        name: the argument's name for the error.
        factor: a number, or a pair of numbers.
        low, high: limits of each number.
        open_low: whether `low` itself is excluded. Default: False.

    Raises:
        ValueError: for anything else, or numbers beyond the limits.

    Example:
        >>> from staghorn.layers.preprocessing.random_transform import bounds
        >>> bounds("RandomZoom", "height_factor", 0.2, -1, 1)
        (-0.2, 0.2)
    """
    pair = factor if isinstance(factor, (tuple, list)) else (factor,)
    numbers = all(isinstance(f, (int, float)) and not isinstance(f, bool) for f in pair)
    if (
        not numbers
        or len(pair) not in (1, 2)
        or (len(pair) == 1) == isinstance(factor, (tuple, list))
        or not all(low < f <= high or (f == low and not open_low) for f in pair)
    ):
        bracket = "(" if open_low else "["
        raise ValueError(
            f"{layer}: {name} must be a number, or a pair of numbers, in {bracket}{low}, {high}], "
            f"got {factor!r} ({type(factor).__name__})."
        )
    if len(pair) == 1:
        return -abs(pair[0]), abs(pair[0])
    return min(pair), max(pair)


class RandomImageLayer(ImageLayer):
    """Base of image layers that draw random numbers in training, and do nothing otherwise.

    Args:
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `data_format`, `name`, `dtype`, ... as for every image layer.
    """

    arguments = {**ImageLayer.arguments, "seed": Is(int, optional=True)}

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def _chosen(self, factor: tuple[float, float], batch: int, seed: Any) -> jax.Array:
        """Draw which images change, (batch,): a chance for each, then whether it comes to pass."""
        chance = random.uniform((batch,), *factor, seed=seed)
        return random.uniform((batch,), seed=seed) < chance

    def _source(self, seed: Any) -> Any:
        return self.generator if seed is None else seed


class RandomAffineLayer(RandomImageLayer):
    """Base of layers that move pixels by a random matrix: rotation, zoom, translation, shear.

    Subclasses write `_draw_matrix`. Boxes are drawn anew round the moved corners.

    Args:
        fill_mode: what lies outside the image: "reflect", "wrap", "constant" or "nearest".
            Default: "reflect".
        interpolation: "nearest" or "bilinear". Default: "bilinear".
        seed: int. Default: None, drawn from Python's `random`.
        fill_value: the constant. Default: 0.
        **kwargs: `data_format`, `name`, `dtype`, ... as for every image layer.
    """

    arguments = {
        **RandomImageLayer.arguments,
        "fill_mode": Options("reflect", "wrap", "constant", "nearest"),
        "interpolation": Options("nearest", "bilinear"),
        "fill_value": Is(float),
    }

    def __init__(
        self,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.fill_mode = fill_mode
        self.interpolation = interpolation
        self.fill_value = fill_value

    def _draw_matrix(self, batch: int, height: int, width: int, seed: Any) -> list[Any]:
        """Draw a0, a1, a2, b0, b1, b2 (and c0, c1) of a matrix: numbers or (batch,)."""
        raise NotImplementedError

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any] | None:
        if not training:
            return None
        batch, height, width = self._sizes(data)
        numbers = self._draw_matrix(batch, height, width, self._source(seed))
        columns = [
            jnp.broadcast_to(jnp.asarray(x, "float32"), (batch,)) for x in (*numbers, 0.0, 0.0)[:8]
        ]
        transform = jnp.stack(columns, axis=1)  # (batch, 8)
        return {"transform": transform, "input_shape": images_of(data).shape}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = images.astype(self.compute_dtype)
        return self._moved(images, transformation, self.interpolation)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """Move the masks as the images, without mixing their classes."""
        return self._moved(segmentation_masks, transformation, "nearest")

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        if transformation is None:
            return bounding_boxes
        transform = transformation["transform"]
        return self._move_boxes(
            bounding_boxes,
            lambda boxes: moved_as_pixels(boxes, transform),
            self._size(transformation),
        )

    def _moved(self, images: Any, transformation: Any, interpolation: str) -> jax.Array:
        if transformation is None:
            return images
        return affine_transform(
            images,
            transformation["transform"],
            interpolation=interpolation,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )

    def _mask_dtype(self, dtype: str) -> str:
        return self._kept_dtype(dtype)
