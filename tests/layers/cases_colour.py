"""The rows of the image layers that change colours or mix images."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from tests.layers.case import Case, T

SMALL = (3, 6, 8, 3)
COLOURS_FIRST = (3, 3, 6, 8)
FIRST = {"data_format": "channels_first"}
UNIT = {"value_range": (0, 1)}
BYTES = {"dtype": "uint8", "high": 256}


@dataclass
class Picture(Case):
    """A row whose floats are pixels in the layer's range, as JAX arrays."""

    __str__ = Case.__str__

    def arrays(self, seed=0):
        low, high = self.kwargs.get("value_range", (0, 255))
        if not self.dtype.startswith("float"):
            return super().arrays(seed)
        rng = np.random.default_rng(seed)
        return [rng.uniform(low, high, size=self.shapes).astype(self.dtype)]

    def inputs(self, seed=0):
        return jnp.asarray(self.arrays(seed)[0])


def rows(layer, kwargs, ranged=True, seeded=True, floats=True, mixed=True, slow=False):
    """Batches and one image, both formats, two ranges, bytes."""
    given = {**kwargs, "seed": 5} if seeded else kwargs
    unit = UNIT if ranged else {}
    single = {"unknown": SMALL[1:], "label": "(one)"}
    free = {"unknown": (None, None, None, 3)}
    found = [
        Picture(layer, given, SMALL, call=T, mixed=mixed, slow=slow, **free),
        Picture(layer, {**given, **unit, **FIRST}, COLOURS_FIRST, call=T, slow=slow),
        Picture(layer, {**given, **unit}, SMALL[1:], call=T, slow=slow, **single),
    ]
    if floats:  # keras computes with whole numbers as it does with floats
        found.append(Picture(layer, given, SMALL, call=T, slow=slow, **BYTES))
    return found


CASES: list[Case] = [
    # Keras lets bytes overflow here.
    *rows("RandomBrightness", {"factor": (-0.2, 0.6)}, floats=False),
    *rows("RandomHue", {"factor": 0.6}),
    # Keras refuses bytes, and computes halves as halves.
    *rows("RandomSaturation", {"factor": (0.1, 0.5)}, floats=False, mixed=False),
    *rows("RandomSharpness", {"factor": 0.9}),
    *rows("RandomColorDegeneration", {"factor": 0.7}),
    *rows("RandomInvert", {"factor": (0.2, 0.9)}),
    *rows("RandomPosterization", {"factor": 7}),
    *rows("Solarization", {"addition_factor": 0.3, "threshold_factor": (0.1, 0.9)}),
    *rows("RandomContrast", {"factor": (0.2, 0.9)}),
    *rows("RandomGaussianBlur", {"kernel_size": (3, 5), "sigma": (0.2, 0.9)}),
    *rows("Equalization", {"bins": 16}, seeded=False),
    *rows(
        "ContrastLimitedAdaptiveHistogramEqualization",
        {"tile_grid_size": (3, 2), "clip_limit": 1.5},
        seeded=False,
    ),
    *rows("CutMix", {"factor": (0.3, 0.9)}, ranged=False),
    Picture("RandomPosterization", {"factor": (3, 3), "seed": 5}, SMALL, call=T),
    Picture("RandomSharpness", {"factor": 1.0, "seed": 5}, (3, 6, 8, 1), call=T),
    Picture("RandomInvert", {"seed": 5}, (3, 6, 8, 1), call=T),
    Picture("AutoContrast", {}, SMALL),
    Picture("AutoContrast", {**UNIT}, SMALL[1:], unknown=SMALL[1:]),
    Picture("AutoContrast", {}, (3, 6, 8, 1), **BYTES),
    Picture("Equalization", {"bins": 4}, SMALL),
    Picture("ContrastLimitedAdaptiveHistogramEqualization", {"clip_limit": 0}, (2, 16, 9, 1)),
    # The steps of keras do not know this layer's data_format: channels last only.
    Picture(
        "RandomColorJitter",
        {"brightness_factor": 0.3, "contrast_factor": 0.4, "saturation_factor": (0.2, 0.5),
         "hue_factor": 0.3, "seed": 5},
        SMALL,
        call=T,
        mixed=False,
    ),
    Picture("RandomColorJitter", {"hue_factor": (0.1, 0.3), "seed": 5, **UNIT}, SMALL, call=T),
    Picture("RandomColorJitter", {"contrast_factor": 0.3, "seed": 5}, SMALL, call=T, **BYTES),
    # Half precision on pixels of 0 ... 255 rounds some of them across a level of Posterization.
    *(
        Picture("RandAugment", {"seed": seed, **more}, SMALL, call=T, mixed=seed == 4, slow=True)
        for seed, more in ((3, {}), (4, {"num_ops": 4, **UNIT}), (6, {"factor": (0.3, 1.0)}))
    ),
]  # fmt: skip

# Keras warns of an int64 in each call, so these have a test of their own.
MIX_UP = [*rows("MixUp", {"alpha": 0.4}, ranged=False), Picture("MixUp", {"seed": 5}, (3, 6, 8, 1))]
