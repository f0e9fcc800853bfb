"""What CutMix and MixUp share: a partner for each image, and labels mixed by weight."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config, random
from staghorn.engine.dtypes import is_float
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.preprocessing.random_transform import RandomImageLayer


class MixingLayer(RandomImageLayer):
    """Base of layers that mix each image of a batch with another one, in training only.

    Subclasses write `_draw` and `_mixed`.

    Args:
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `data_format`, `name`, `dtype`, ... as for every image layer.
    """

    def _draw(self, data: Any, seed: Any) -> dict[str, Any] | None:
        """Draw "permutation_order" (batch,), "mix_weight" (batch,), and what else is needed."""
        raise NotImplementedError

    def _mixed(self, images: jax.Array, others: jax.Array, transformation: Any) -> jax.Array:
        """Mix images with their partners: shape → shape."""
        raise NotImplementedError

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any] | None:
        return self._draw(data, self._source(seed)) if training else None

    def transform_images(
        self, images: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        images = images.astype(self.compute_dtype)
        if transformation is None or not training:
            return images
        return self._mixed(images, _partners(images, transformation), transformation)

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        """Mix the labels by weight; classes must be one-hot vectors, or parts of one."""
        labels = labels.astype(_label_dtype(str(labels.dtype)))
        if transformation is None or not training:
            return labels
        others = _partners(labels, transformation)
        return blended(labels, others, transformation["mix_weight"].astype(labels.dtype))

    def compute_output_spec(self, data: Any, training: bool = True) -> Any:
        spec = super().compute_output_spec(data, training=training)
        if isinstance(spec, dict) and "labels" in spec:
            labels = spec["labels"]
            spec["labels"] = KerasTensor(labels.shape, _label_dtype(labels.dtype))
        return spec


def blended(values: jax.Array, others: jax.Array, weight: jax.Array) -> jax.Array:
    """Return weight * values + (1 - weight) * others, with a weight for each row: shape → shape.

    Example:
        >>> from staghorn.layers.preprocessing.mixing_layer import blended
        >>> blended(np.ones((1, 2)), np.zeros((1, 2)), np.array([0.25])).tolist()
        [[0.25, 0.25]]
    """
    weight = weight.reshape((-1,) + (1,) * (values.ndim - 1))
    return weight * values + (1.0 - weight) * others


def _partners(values: Any, transformation: Any) -> Any:
    return jnp.take(values, transformation["permutation_order"], axis=0)


def _label_dtype(dtype: str) -> str:
    return dtype if is_float(dtype) else config.floatx()


def shuffled(batch: Any, seed: Any) -> jax.Array:
    """Return the rows of a batch in a random order, as they are where the size is not known yet.

    Args:
        batch: how many rows.
        seed: a seed or `SeedGenerator`.

    Example:
        >>> from staghorn.layers.preprocessing.mixing_layer import shuffled
        >>> sorted(shuffled(3, seed=1).tolist())
        [0, 1, 2]
    """
    rows = jnp.arange(batch)
    return random.shuffle(rows, seed=seed) if isinstance(batch, int) else rows
