"""RandAugment: a few changes after one another, chosen at random."""

from collections.abc import Sequence
from typing import Any

from staghorn import random
from staghorn.engine.arguments import NonNegative
from staghorn.layers.preprocessing.augmenting_layer import STEPS, AugmentingLayer, choose, fold
from staghorn.layers.preprocessing.random_transform import Factor


class RandAugment(AugmentingLayer):
    """Apply a few of eleven changes, chosen at random for each batch, in training only.

    (batch, height, width, 3) → (batch, height, width, 3)

    Args:
        value_range: (lowest, highest) value of a pixel. Default: (0, 255).
        num_ops: how many changes, after one another. Default: 2.
        factor: how strong they are, in [0, 1]: x for (0, x), or a pair. Default: 0.5.
        interpolation: "nearest" or "bilinear", where pixels move. Default: "bilinear".
        seed: int. Default: None, drawn from Python's `random`.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `bounding_box_format`, `name`, `dtype`, ... as for every image layer.

    Raises:
        ValueError: for other numbers or ranges, or images of another rank.

    Example:
        >>> layer = staghorn.layers.RandAugment(value_range=(0, 1), num_ops=3, seed=1)
        >>> layer(np.ones((2, 8, 8, 3), "float32"), training=True).shape
        (2, 8, 8, 3)

    Notes: only the chosen changes are computed. Boxes go through the changes in their order, as
    the images do; in Keras in another order, and once where a change is chosen twice.

    Reference: https://arxiv.org/abs/1909.13719
    """

    arguments = {**AugmentingLayer.arguments, "num_ops": NonNegative(int)}

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_ops: int = 2,
        factor: Factor = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            value_range, factor, interpolation, seed=seed, data_format=data_format, **kwargs
        )
        self.num_ops = num_ops
        self._make(tuple(STEPS))

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any] | None:
        if not training:
            return None
        source = self._source(seed)
        chosen = random.randint((self.num_ops,), 0, len(STEPS), seed=source)
        steps = [(name, getattr(self, name)) for name in STEPS]
        drawn = {name: step.get_random_transformation(data, seed=source) for name, step in steps}
        return {"layer_idxes": chosen, "transforms": drawn}

    def _through(self, method: str, value: Any, layer_idxes: Any, transforms: Any) -> Any:
        branches = [
            lambda v, name=name, drawn=drawn: getattr(getattr(self, name), method)(v, drawn)
            for name, drawn in transforms.items()
        ]
        return fold(lambda v, index: choose(index, branches, v), value, layer_idxes)

    def _recolour(self, images: Any, *args: Any, **drawn: Any) -> Any:
        return self._through("transform_images", images, **drawn)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """Move the masks as the images."""
        if transformation is None or not training:
            return segmentation_masks
        return self._through("transform_segmentation_masks", segmentation_masks, **transformation)

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Any, training: bool = True
    ) -> Any:
        if transformation is None or not training:
            return bounding_boxes
        return self._through("transform_bounding_boxes", bounding_boxes, **transformation)
