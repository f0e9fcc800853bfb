"""RandomColorJitter: change brightness, contrast, saturation and hue."""

from collections.abc import Sequence
from typing import Any

from staghorn.layers.preprocessing.colour_layer import DrawnColourLayer, strength
from staghorn.layers.preprocessing.random_brightness import RandomBrightness
from staghorn.layers.preprocessing.random_contrast import RandomContrast
from staghorn.layers.preprocessing.random_hue import RandomHue
from staghorn.layers.preprocessing.random_saturation import RandomSaturation
from staghorn.layers.preprocessing.random_transform import Factor

_STEPS: dict[str, Any] = {
    "brightness": RandomBrightness,
    "contrast": RandomContrast,
    "saturation": RandomSaturation,
    "hue": RandomHue,
}


class RandomColorJitter(DrawnColourLayer):
    """Change brightness, contrast, saturation and hue of each image at random, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)

    Args:
        value_range: (lowest, highest) value of a pixel. Default: (0, 255).
        brightness_factor: as in `RandomBrightness`. Default: None, unchanged.
        contrast_factor: as in `RandomContrast`. Default: None, unchanged.
        saturation_factor: as in `RandomSaturation`. Default: None, unchanged.
        hue_factor: as in `RandomHue`. Default: None, unchanged.
        seed: int. Default: None, drawn from Python's `random`.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other factors or ranges, or images of another rank.

    Example:
        >>> layer = staghorn.layers.RandomColorJitter((0, 1), 0.2, 0.3, (0.4, 0.6), 0.1, seed=1)
        >>> layer(np.ones((2, 8, 8, 3), "float32"), training=True).shape
        (2, 8, 8, 3)

    Notes: the steps know this layer's `data_format`; those of Keras take that of the
    configuration.
    """

    ordered_range = False

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        brightness_factor: Factor | None = None,
        contrast_factor: Factor | None = None,
        saturation_factor: Factor | None = None,
        hue_factor: Factor | None = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format=data_format, seed=seed, **kwargs)
        factors = (brightness_factor, contrast_factor, saturation_factor, hue_factor)
        given = {"seed": seed, "data_format": data_format, "dtype": self.dtype_policy}
        for (name, step), factor in zip(_STEPS.items(), factors, strict=True):
            made = None
            if factor is not None:
                low, high = step.limits
                strength("RandomColorJitter", factor, low, high, f"{name}_factor")
                made = step(factor, value_range, **given)
            setattr(self, f"{name}_factor", factor)
            setattr(self, f"random_{name}", made)

    def _draw(self, batch: int, seed: Any) -> dict[str, Any]:
        steps = {name: getattr(self, f"random_{name}") for name in _STEPS}
        return {name: step._draw(batch, seed) for name, step in steps.items() if step is not None}

    def _recolour(self, images: Any, *args: Any, **drawn: Any) -> Any:
        for name, numbers in drawn.items():
            images = getattr(self, f"random_{name}").transform_images(images, numbers)
        return images
