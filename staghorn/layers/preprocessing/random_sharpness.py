"""RandomSharpness: blur or sharpen an image."""

from typing import Any

from staghorn.layers.preprocessing.colour_layer import RandomColourLayer
from staghorn.ops.image_filters import correlated
from staghorn.ops.image_sampling import spatial_axes


class RandomSharpness(RandomColourLayer):
    """Blur or sharpen each image at random, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)
    y = x + (1 - 2 f) (smooth - x), f ~ Uniform(lower, upper): 0 is smooth, 0.5 changes nothing,
    1 is sharp. smooth: the mean of the 9 pixels around, where the one in the middle counts 5 times.

    Args:
        factor: a pair (lower, upper) that reaches into [0, 1]; x in [0, 1] stands for (0, x).
        value_range: (lowest, highest) value of a pixel; results are clipped to it.
            Default: (0, 255).
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors or ranges, or images of another rank.

    Example:
        >>> images = np.zeros((1, 3, 3, 1), "float32")
        >>> images[0, 1, 1] = 13.0
        >>> out = staghorn.layers.RandomSharpness((0.0, 0.0))(images, training=True)
        >>> np.asarray(out).round(3)[0, :, :, 0].tolist()
        [[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]

    Notes: zeros are assumed outside, as in Keras. Nothing is drawn at inference; Keras draws.
    """

    def _recolour(self, images: Any, factor: Any) -> Any:
        total = images
        for axis in spatial_axes(self._channels_first):
            total = correlated(total, (1, 1, 1), axis)
        smooth = (total + 4.0 * images) / 13.0
        sharpness = (factor * 2).astype(images.dtype)
        return self._clipped(images + (1.0 - sharpness) * (smooth - images))
