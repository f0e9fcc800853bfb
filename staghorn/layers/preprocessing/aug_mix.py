"""AugMix: an image mixed with several changed ones."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import random
from staghorn.engine.arguments import Is, NonNegative, Positive
from staghorn.layers.preprocessing.augmenting_layer import STEPS, AugmentingLayer, choose, fold
from staghorn.layers.preprocessing.random_transform import Factor

_NAMES = tuple(STEPS)
_WITHOUT_COLOUR = (*_NAMES[:3], *_NAMES[7:])
_ALL = (*_WITHOUT_COLOUR, *_NAMES[3:7])


class AugMix(AugmentingLayer):
    """Mix images with several of their changed copies, in training only.

    (batch, height, width, 3) → (batch, height, width, 3)
    y = w x + (1 - w) Σ_k v_k chain_k(x), w ~ Beta(alpha, alpha), v ~ Dirichlet(alpha); a chain:
    up to `chain_depth` changes after one another, chosen for each batch; weights too

    Args:
        value_range: (lowest, highest) value of a pixel; results are clipped to it.
            Default: (0, 255).
        num_chains: how many copies. Default: 3.
        chain_depth: how many changes each, some of them none. Default: 3.
        factor: how strong they are, in [0, 1]: x for (0, x), or a pair. Default: 0.3.
        alpha: above 0; the smaller, the more a single copy, or the image, prevails. Default: 1.
        all_ops: also change brightness, colour, contrast and sharpness. Default: True.
        interpolation: "nearest" or "bilinear", where pixels move. Default: "bilinear".
        seed: int. Default: None, drawn from Python's `random`.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `bounding_box_format`, `name`, `dtype`, ... as for every image layer.

    Raises:
        ValueError: for other numbers or ranges, or images of another rank.

    Example:
        >>> layer = staghorn.layers.AugMix(value_range=(0, 1), seed=1)
        >>> layer(np.ones((2, 8, 8, 3), "float32"), training=True).shape
        (2, 8, 8, 3)

    Notes: the changes are chosen from this layer's seed, anew at every step. Keras takes them from
    Python's `random`, whatever the seed, and in `fit` once for the whole training; for the same
    choice the results are equal. Boxes stay, as in Keras, though pixels move.

    Reference: https://arxiv.org/abs/1912.02781
    """

    arguments = {
        **AugmentingLayer.arguments,
        "num_chains": Positive(int),
        "chain_depth": NonNegative(int),
        "alpha": Positive(float),
        "all_ops": Is(bool),
    }

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Factor = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            value_range, factor, interpolation, seed=seed, data_format=data_format, **kwargs
        )
        self.num_chains = num_chains
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops
        self._choice = _ALL if all_ops else _WITHOUT_COLOUR
        self._make(self._choice)

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any] | None:
        del data
        if not training:
            return None
        source = self._source(seed)
        key, next_key = random.draw_seed(source), random.draw_seed(source)
        weights = random.gamma((self.num_chains,), self.alpha, seed=key)
        weight = random.beta((), self.alpha, self.alpha, seed=next_key)
        shape = (self.num_chains, self.chain_depth)
        # From a key beside the first one, so that all others are those of Keras.
        chosen = random.randint(shape, 0, len(self._choice) + 1, seed=jax.random.fold_in(key, 1))
        draws = {name: STEPS[name][2] for name in self._choice}
        if int(8 * self.factor[1]) <= 1:  # all images keep one bit
            draws["random_posterization"] = 0
        counts = jnp.array([*draws.values(), 0], "uint32")[chosen].ravel()
        first, free = next_key[0], next_key[1] + 1
        starts = free + jnp.cumsum(counts, dtype="uint32") - counts
        if source is self.generator:
            self.generator.state.assign(jnp.stack([first, free + jnp.sum(counts)]))
        keys = jnp.stack([jnp.full_like(starts, first), starts], axis=-1)
        return {
            "chain_mixing_weights": (weights / jnp.sum(weights)).astype(self.compute_dtype),
            "weight_sample": weight.astype(self.compute_dtype),
            "layer_idxes": chosen,
            "keys": keys.reshape(*shape, 2),
        }

    def _mixed(self, method: str, value: Any, drawn: dict[str, Any]) -> Any:
        value = value.astype(self.compute_dtype)
        weights, weight, chosen, keys = drawn.values()

        def change(v: Any, index: Any, key: Any) -> Any:
            branches = [_change(getattr(self, name), method, key) for name in self._choice]
            return choose(index, [*branches, lambda x: x], v)

        def add(total: Any, share: Any, indices: Any, starts: Any) -> Any:
            return total + share * fold(change, value, indices, starts)

        total = fold(add, jnp.zeros_like(value), weights, chosen, keys)
        return weight * value + (1 - weight) * total

    def _recolour(self, images: Any, *args: Any, **drawn: Any) -> Any:
        return self._clipped(self._mixed("transform_images", images, drawn))

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """Mix the masks as the images."""
        if transformation is None or not training:
            return segmentation_masks.astype(self.compute_dtype)
        return self._mixed("transform_segmentation_masks", segmentation_masks, transformation)

    def _mask_dtype(self, dtype: str) -> str:
        del dtype
        return self.compute_dtype


def _change(step: Any, method: str, key: Any) -> Any:
    """Return a function that draws from a key and changes images, or masks."""
    return lambda x: getattr(step, method)(x, step.get_random_transformation(x, seed=_Keys(key)))


class _Keys(random.SeedGenerator):
    """A key and those after it, without state."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def next(self, ordered: bool = True) -> Any:
        del ordered
        key = self.key
        self.key = key + jnp.array([0, 1], "uint32")
        return key
