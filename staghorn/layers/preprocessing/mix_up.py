"""MixUp: blend images, and their labels."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn import random
from staghorn.engine.arguments import Positive
from staghorn.layers.preprocessing.mixing_layer import MixingLayer, blended, shuffled


class MixUp(MixingLayer):
    """Blend each image of a batch with another one, and their labels alike, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    y = w x + (1 - w) x[order], w ~ Beta(alpha, alpha) for each image, order: a permutation

    Args:
        alpha: above 0; the smaller, the nearer the weights to 0 or 1. Default: 0.2.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for another alpha, or images of another rank.

    Example:
        >>> data = {"images": np.ones((4, 8, 8, 3), "float32"), "labels": np.eye(4)}
        >>> mixed = staghorn.layers.MixUp(seed=1)(data)
        >>> np.asarray(mixed["labels"].sum(axis=1)).round(4).tolist()
        [1.0, 1.0, 1.0, 1.0]

    Notes: boxes of both images are kept, with the labels of each beside them; Keras puts the
    labels into new rows. Labels of any rank and segmentation masks are mixed row by row; Keras
    mixes masks with single pixels of others, and makes a matrix of labels that are a vector.
    Nothing is drawn at inference; Keras draws.

    Reference: https://arxiv.org/abs/1710.09412
    """

    arguments = {**MixingLayer.arguments, "alpha": Positive(float)}

    def __init__(
        self,
        alpha: float = 0.2,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, seed=seed, **kwargs)
        self.alpha = alpha

    def _draw(self, data: Any, seed: Any) -> dict[str, Any]:
        batch, _, _ = self._sizes(data)
        return {
            "permutation_order": shuffled(batch, seed),
            "mix_weight": random.beta((batch,), self.alpha, self.alpha, seed=seed),
        }

    def _mixed(self, images: jax.Array, others: jax.Array, transformation: Any) -> jax.Array:
        return blended(images, others, transformation["mix_weight"].astype(images.dtype))

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Any, training: bool = True
    ) -> Any:
        """Keep the boxes of both images: (batch, boxes, 4) → (batch, 2 boxes, 4)."""
        if transformation is None or not training:
            return bounding_boxes
        order = transformation["permutation_order"]
        return {
            key: jnp.concatenate([value, jnp.take(value, order, axis=0)], axis=1)
            for key, value in bounding_boxes.items()
        }
