"""RandomColorDegeneration: blend an image with its grey version."""

from typing import Any

from staghorn.layers.preprocessing.colour_layer import RandomColourLayer
from staghorn.ops.image import rgb_to_grayscale


class RandomColorDegeneration(RandomColourLayer):
    """Take colour from each image at random, in training only.

    (batch, height, width, 3) → (batch, height, width, 3)
    y = x + f (grey - x), f ~ Uniform(lower, upper): 0 changes nothing, 1 is grey

    Args:
        factor: a pair (lower, upper) that reaches into [-1, 1]; x in [-1, 1] stands for (-x, x).
            A negative f strengthens colours.
        value_range: (lowest, highest) value of a pixel; results are clipped to it.
            Default: (0, 255).
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors or ranges, or images without 3 channels.

    Example:
        >>> images = np.array([[[[100.0, 0.0, 0.0]]]], "float32")
        >>> out = staghorn.layers.RandomColorDegeneration((1.0, 1.0))(images, training=True)
        >>> np.asarray(out).round(2).ravel().tolist()
        [29.89, 29.89, 29.89]

    Notes: images with 1 channel pass; Keras takes them in arrays only, not in models. Nothing is
    drawn at inference; Keras draws.
    """

    limits = (-1, 1)

    def _recolour(self, images: Any, factor: Any) -> Any:
        grey = rgb_to_grayscale(images, self.data_format)
        return self._clipped(images + factor.astype(images.dtype) * (grey - images))
