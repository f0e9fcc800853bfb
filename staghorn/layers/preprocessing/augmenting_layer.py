"""What RandAugment and AugMix share: eleven layers, and a way to choose among them in a program."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from staghorn.engine.arguments import Options
from staghorn.engine.jax_internals import is_tracer
from staghorn.layers.preprocessing.auto_contrast import AutoContrast
from staghorn.layers.preprocessing.colour_layer import DrawnColourLayer, strength
from staghorn.layers.preprocessing.equalization import Equalization
from staghorn.layers.preprocessing.random_brightness import RandomBrightness
from staghorn.layers.preprocessing.random_color_degeneration import RandomColorDegeneration
from staghorn.layers.preprocessing.random_contrast import RandomContrast
from staghorn.layers.preprocessing.random_posterization import RandomPosterization
from staghorn.layers.preprocessing.random_rotation import RandomRotation
from staghorn.layers.preprocessing.random_sharpness import RandomSharpness
from staghorn.layers.preprocessing.random_shear import RandomShear
from staghorn.layers.preprocessing.random_transform import Factor, RandomAffineLayer
from staghorn.layers.preprocessing.random_translation import RandomTranslation
from staghorn.layers.preprocessing.solarization import Solarization

# The arguments that take the factor, and how many numbers are drawn. The order is that of a choice.
STEPS: dict[str, tuple[type, tuple[str, ...], int]] = {
    "random_shear": (RandomShear, ("x_factor", "y_factor"), 3),
    "random_translation": (RandomTranslation, ("height_factor", "width_factor"), 2),
    "random_rotation": (RandomRotation, ("factor",), 1),
    "random_brightness": (RandomBrightness, ("factor",), 1),
    "random_color_degeneration": (RandomColorDegeneration, ("factor",), 1),
    "random_contrast": (RandomContrast, ("factor",), 1),
    "random_sharpness": (RandomSharpness, ("factor",), 1),
    "random_posterization": (RandomPosterization, ("factor",), 1),
    "solarization": (Solarization, ("addition_factor", "threshold_factor"), 2),
    "auto_contrast": (AutoContrast, (), 0),
    "equalization": (Equalization, (), 0),
}


class AugmentingLayer(DrawnColourLayer):
    """Base of layers that choose among shear, translation, rotation and eight changes of colour.

    Args:
        value_range: (lowest, highest) value of a pixel.
        factor: how strong each change is, in [0, 1].
        interpolation: "nearest" or "bilinear", where pixels move.
        **kwargs: `seed`, `data_format`, `name`, `dtype`, ... as for every random image layer.
    """

    arguments = {**DrawnColourLayer.arguments, "interpolation": Options("nearest", "bilinear")}
    ordered_range = False

    def __init__(
        self, value_range: Sequence[float], factor: Factor, interpolation: str, **kwargs: Any
    ) -> None:
        super().__init__(value_range, **kwargs)
        self.factor = strength(type(self).__name__, factor, 0, 1)
        self.interpolation = interpolation

    def _make(self, names: Sequence[str]) -> None:
        """Make the layers to choose among, as attributes of these names."""
        own = {
            "data_format": self.data_format,
            "bounding_box_format": self.bounding_box_format,
            "dtype": self.dtype_policy,
        }
        for name in names:
            kind, factors, draws = STEPS[name]
            given = {**own, **dict.fromkeys(factors, self.factor)}
            if name == "random_posterization":
                given["factor"] = max(1, int(8 * self.factor[1]))
            if draws:
                given["seed"] = self.seed
            moves = issubclass(kind, RandomAffineLayer)
            shared = "interpolation" if moves else "value_range"
            setattr(self, name, kind(**given, **{shared: getattr(self, shared)}))


def fold(step: Callable, value: Any, *sequences: Any) -> Any:
    """Apply `step(value, *elements)` again and again: one compiled loop where traced."""
    if any(map(is_tracer, sequences)):
        return jax.lax.scan(lambda v, elements: (step(v, *elements), None), value, sequences)[0]
    for elements in zip(*sequences, strict=True):
        value = step(value, *elements)
    return value


def choose(index: Any, branches: Sequence[Callable], value: Any) -> Any:
    """Apply one of several functions; only that one is computed."""
    if is_tracer(index):
        return jax.lax.switch(index, branches, value)
    return branches[int(index)](value)
