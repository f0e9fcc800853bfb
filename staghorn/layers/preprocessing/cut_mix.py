"""CutMix: paste a piece of another image, and mix the labels by area."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn import random
from staghorn.layers.preprocessing.colour_layer import strength
from staghorn.layers.preprocessing.image_layer import images_of
from staghorn.layers.preprocessing.mixing_layer import MixingLayer, shuffled
from staghorn.layers.preprocessing.random_transform import Factor

_NO_BOXES = """\
CutMix: 'bounding_boxes' cannot be mixed, since a box may be cut in two (nor can they in Keras).
Leave them out, or use MixUp, which keeps the boxes of both images."""


class CutMix(MixingLayer):
    """Paste a rectangle of another image of the batch into each, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    w ~ Beta(a, a), a ~ Uniform(lower, upper); the rectangle has sqrt(1 - w) of both sides;
    labels: w y + (1 - w) y[order], order: a permutation

    Args:
        factor: the numbers lower and upper, in [0, 1]; x stands for (0, x). The larger, the more
            the rectangles differ in size. Default: 1.
        seed: int. Default: None, drawn from Python's `random`.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors, or images of another rank.
        NotImplementedError: for bounding boxes.

    Example:
        >>> data = {"images": np.ones((4, 8, 8, 3), "float32"), "labels": np.eye(4)}
        >>> mixed = staghorn.layers.CutMix(seed=1)(data)
        >>> np.asarray(mixed["labels"].sum(axis=1)).round(4).tolist()
        [1.0, 1.0, 1.0, 1.0]

    Notes: a single image stays as it is. Segmentation masks keep their channels, and labels that
    are a vector stay one; Keras repeats masks of one channel, and makes a matrix of such labels.

    Reference: https://arxiv.org/abs/1905.04899
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = strength("CutMix", factor, 0, 1)

    def _draw(self, data: Any, seed: Any) -> dict[str, Any] | None:
        if len(images_of(data).shape) == 3:
            return None
        batch, height, width = self._sizes(data)
        dtype = self.compute_dtype
        alpha = random.uniform((), *self.factor, dtype=dtype, seed=seed) + 1e-6
        weight = random.beta((batch,), alpha, alpha, dtype=dtype, seed=seed)
        side = jnp.sqrt(1.0 - weight).reshape(batch, 1, 1)
        spans = []
        for length in (width, height):
            size = side * length
            start = random.uniform((batch, 1, 1), dtype=dtype, seed=seed) * (length - size)
            spans.append((start, start + size))
        (left, right), (top, bottom) = spans
        x, y = jnp.arange(width, dtype=dtype), jnp.arange(height, dtype=dtype)
        x, y = x.reshape(1, 1, width), y.reshape(1, height, 1)
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)  # (batch, height, width)
        area = (right - left) * (bottom - top) / (width * height)
        return {
            "batch_masks": jnp.expand_dims(inside, 1 if self._channels_first else 3),
            "mix_weight": (1.0 - area).reshape(batch),
            "permutation_order": shuffled(batch, seed),
        }

    def _mixed(self, images: jax.Array, others: jax.Array, transformation: Any) -> jax.Array:
        return jnp.where(transformation["batch_masks"], others, images)

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Any, training: bool = True
    ) -> Any:
        if training:
            raise NotImplementedError(_NO_BOXES)
        return bounding_boxes
