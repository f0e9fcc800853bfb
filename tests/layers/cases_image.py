"""The rows of the image layers and of Normalization."""

from dataclasses import dataclass

import jax.numpy as jnp

from tests.layers.case import IMAGE, SEQ, Case, T

SMALL = (2, 6, 8, 3)
FIRST = {"data_format": "channels_first"}
ONE = {"unknown": (6, 8, 3)}


@dataclass
class OnDevice(Case):
    """A row whose inputs are JAX arrays: Keras's RandomFlip forgets the shape of a NumPy array."""

    __str__ = Case.__str__

    def inputs(self, seed=0):
        return jnp.asarray(super().inputs(seed))


CASES: list[Case] = [
    OnDevice("RandomFlip", {"seed": 5}, SMALL, call=T, unknown=(None, None, None, 3)),
    OnDevice("RandomFlip", {"seed": 5, "mode": "vertical", **FIRST}, SMALL, call=T),
    OnDevice(
        "RandomFlip", {"seed": 5, "mode": "horizontal"}, SMALL, dtype="uint8", high=255, call=T
    ),
    Case("RandomRotation", {"factor": 0.2, "seed": 5}, SMALL, call=T),
    Case(
        "RandomRotation",
        {"factor": (-0.3, 0.1), "seed": 5, "fill_mode": "constant", "fill_value": 2.0, **FIRST},
        SMALL,
        call=T,
    ),
    Case(
        "RandomRotation",
        {"factor": [0.1, 0.2], "seed": 5, "fill_mode": "wrap", "interpolation": "nearest"},
        SMALL[1:],
        call=T,
        **ONE,
    ),
    Case("RandomRotation", {"factor": 0.2, "seed": 5}, SMALL, call={"training": False}),
    Case("RandomZoom", {"height_factor": 0.4, "seed": 5}, SMALL, call=T),
    Case(
        "RandomZoom",
        {"height_factor": (-0.5, 0.2), "width_factor": [0.1, 0.9], "fill_mode": "nearest",
         "seed": 5, **FIRST},
        SMALL,
        dtype="uint8",
        high=255,
        call=T,
    ),
    Case("RandomTranslation", {"height_factor": 0.4, "width_factor": 1, "seed": 5}, SMALL, call=T),
    Case(
        "RandomTranslation",
        {"height_factor": (-0.5, 0.2), "width_factor": 1, "fill_mode": "constant",
         "interpolation": "nearest", "fill_value": 3, "seed": 5, **FIRST},
        SMALL[1:],
        call=T,
        **ONE,
    ),
    Case(
        "RandomContrast",
        {"factor": (0.2, 0.9), "value_range": (-1, 1), "seed": 5},
        SMALL,
        call=T,
    ),
    Case("RandomContrast", {"factor": 0.5, "seed": 5, **FIRST}, SMALL, dtype="uint8", high=255,
         call=T),
    Case("CenterCrop", {"height": 3, "width": 4}, SMALL),
    Case("CenterCrop", {"height": 9, "width": 4, **FIRST}, SMALL, dtype="int32", high=255),
    Case("Resizing", {"height": 4, "width": 9}, SMALL, unknown=(None, None, None, 3)),
    Case(
        "Resizing",
        {"height": 9, "width": 5, "interpolation": "bicubic", "crop_to_aspect_ratio": True,
         "antialias": True, **FIRST},
        SMALL,
        dtype="uint8",
        high=255,
    ),
    Case(
        "Resizing",
        {"height": 5, "width": 5, "interpolation": "nearest", "pad_to_aspect_ratio": True,
         "fill_value": 1.5},
        SMALL[1:],
        **ONE,
    ),
    Case("Normalization", {"mean": 2.0, "variance": 4.0}, SEQ, masked=True),
    Case(
        "Normalization",
        {"axis": (1, 3), "mean": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "variance": [1.0, 2.0] * 3,
         "invert": True},
        IMAGE,
        dtype="int32",
    ),
]  # fmt: skip
# Every mode of filling with every way of interpolating; the same code as above.
CASES += [
    Case(
        "RandomTranslation",
        {"height_factor": 1, "width_factor": 1, "seed": 3, "fill_mode": mode, "interpolation": way},
        SMALL,
        call=T,
        slow=True,
    )
    for mode in ("reflect", "wrap", "constant", "nearest")
    for way in ("nearest", "bilinear")
]
CASES += [
    Case(
        "Resizing",
        {"height": height, "width": 7, "interpolation": way, "antialias": smooth, **more},
        SMALL,
        slow=True,
    )
    for height, way, smooth, more in (
        (3, "lanczos3", True, {}),
        (9, "lanczos5", False, {"crop_to_aspect_ratio": True}),
        (3, "bilinear", True, {"pad_to_aspect_ratio": True, "fill_value": 0.5}),
        (9, "nearest", False, {"pad_to_aspect_ratio": True, **FIRST}),
    )
]
