"""The rows of the layers that cut, slant, bend and cover images."""

from tests.layers.case import Case, T
from tests.layers.cases_image import FIRST, ONE, SMALL, OnDevice

BYTES = {"dtype": "uint8", "high": 255}  # Keras cannot compile these layers: no gradient either

CASES: list[Case] = [
    OnDevice("RandomCrop", {"height": 4, "width": 5, "seed": 5}, SMALL, call=T, **BYTES),
    OnDevice("RandomCrop", {"height": 9, "width": 5, "seed": 5, **FIRST}, SMALL, call=T, **BYTES),
    OnDevice("RandomCrop", {"height": 6, "width": 5, "seed": 5}, SMALL[1:], call=T, **BYTES, **ONE),
    Case(
        "RandomShear",
        {"x_factor": (0.1, 0.4), "y_factor": [0.3, 0.0], "seed": 5},
        SMALL,
        call=T,
        unknown=(None, None, None, 3),
    ),
    Case(
        "RandomShear",
        {"y_factor": (0, 1), "seed": 5, "fill_mode": "constant", "fill_value": 2,
         "interpolation": "nearest", **FIRST},
        SMALL[1:],
        call=T,
        **ONE,
    ),
    Case("RandomShear", {"x_factor": (0.1, 0.4), "seed": 5}, SMALL, call={"training": False}),
    Case("RandomPerspective", {"factor": (0.2, 0.9), "scale": 0.4, "seed": 5}, SMALL, call=T),
    Case(
        "RandomPerspective",
        {"seed": 3, "fill_value": 2.0, "interpolation": "nearest", **FIRST},
        SMALL,
        call=T,
        **BYTES,
    ),
    Case("RandomElasticTransform", {"seed": 5, "value_range": (-1, 1)}, SMALL, call=T, **BYTES),
    Case(
        "RandomElasticTransform",
        {"factor": (0.3, 0.8), "scale": [0.9, 0.5], "seed": 5, "fill_mode": "mirror",
         "interpolation": "nearest", **FIRST},
        (2, 3, 30, 24),
        call=T,
        **BYTES,
    ),
    Case("RandomElasticTransform", {"scale": 0, "value_range": [0, 1], "seed": 5}, SMALL, call=T),
    Case("RandomErasing", {"seed": 5, "scale": 0.7}, SMALL, call=T),
    Case(
        "RandomErasing",
        {"factor": [0.9, 0.2], "seed": 5, "fill_value": 3, "value_range": (0, 2), **FIRST},
        SMALL,
        call=T,
    ),
    Case(
        "RandomErasing",
        {"seed": 5, "fill_value": 300.5, "scale": (0.5, 0.9)},
        SMALL,
        call=T,
        **BYTES,
    ),
    Case("RandomErasing", {"seed": 5}, SMALL, call={"training": False}),
    Case("MaxNumBoundingBoxes", {"max_number": 3}, SMALL, mixed=False, **BYTES),
]  # fmt: skip
