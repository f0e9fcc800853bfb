"""MaxNumBoundingBoxes: the same number of boxes for every image."""

from typing import Any

import jax.numpy as jnp

from staghorn.engine.arguments import Is, Positive
from staghorn.layers.preprocessing.image_layer import ImageLayer


class MaxNumBoundingBoxes(ImageLayer):
    """Cut or fill up the boxes of each image to one number.

    {"images": …, "bounding_boxes": {"boxes": (batch, n, 4), "labels": (batch, n)}} → the same keys,
    with (batch, max_number, 4) and (batch, max_number)

    Args:
        max_number: number of boxes of the result.
        fill_value: what boxes and labels that were added hold. Default: -1.
        **kwargs: `name`, `dtype`, ... as for every image layer.

    Raises:
        ValueError: if `max_number` is not a positive int, or boxes come without labels.

    Example:
        >>> layer = staghorn.layers.MaxNumBoundingBoxes(3)
        >>> found = {"boxes": np.zeros((1, 2, 4)), "labels": np.array([[5, 6]])}
        >>> out = layer({"images": np.zeros((1, 8, 8, 3)), "bounding_boxes": found})
        >>> np.asarray(out["bounding_boxes"]["labels"]).tolist()
        [[5, 6, -1]]

    Notes: `bounding_box_format` is not needed. A `fill_value` is written to the configuration;
    Keras forgets it. Labels may have an axis of classes.
    """

    arguments = {**ImageLayer.arguments, "max_number": Positive(int), "fill_value": Is(int)}
    _asks_for_format = False  # it counts them

    def __init__(self, max_number: int, fill_value: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_number = max_number
        self.fill_value = fill_value

    def transform_images(
        self, images: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        return images

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        def fitted(values: Any) -> Any:
            kept = values[:, : self.max_number]
            widths = [(0, 0)] * kept.ndim
            widths[1] = (0, self.max_number - kept.shape[1])
            fill = jnp.asarray(self.fill_value).astype(kept.dtype)
            return jnp.pad(kept, widths, constant_values=fill)

        changed = {key: fitted(bounding_boxes[key]) for key in ("boxes", "labels")}
        return {**bounding_boxes, **changed}

    def _boxes_shape(self, shape: tuple, batched: bool) -> tuple:
        place = 1 if batched else 0
        return (*shape[:place], self.max_number, *shape[place + 1 :])

    def _image_dtype(self, dtype: str) -> str:
        return self._kept_dtype(dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self.fill_value == -1:
            config.pop("fill_value")
        return config
