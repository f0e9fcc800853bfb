"""The tables that drive the tests of the layer families; large families have files of their own."""

import pytest

from tests.layers.case import IMAGE, SEQ, THREE, TWO, Case, T
from tests.layers.cases_attention import CASES as ATTENTION
from tests.layers.cases_categorical import CATEGORICAL
from tests.layers.cases_colour import CASES as COLOURS
from tests.layers.cases_convolution import CASES as CONVOLUTION
from tests.layers.cases_geometry import CASES as GEOMETRY
from tests.layers.cases_image import CASES as IMAGES
from tests.layers.cases_pooling import CASES as POOLING
from tests.layers.cases_recurrent import CASES as RECURRENT
from tests.layers.cases_rest import CASES as REST
from tests.layers.cases_spectrogram import CASES as SPECTROGRAMS

DENSE = [
    Case("Dense", {"units": 3}, (2, 5), masked=False),
    Case("Dense", {"units": 3, "activation": "relu"}, SEQ, masked=True, unknown=(None, None, 4)),
    Case("Dense", {"units": 2, "use_bias": False}, IMAGE),
    Case("Dense", {"units": 3}, (2, 5), dtype="int32"),
    Case(
        "Dense",
        {
            "units": 3,
            "activation": "tanh",
            "kernel_initializer": "he_normal",
            "bias_initializer": "ones",
            "kernel_regularizer": "l2",
            "bias_regularizer": "l1",
            "activity_regularizer": "l2",
            "kernel_constraint": "non_neg",
            "bias_constraint": "max_norm",
        },
        (2, 5),
        label="(everything)",
    ),
    Case("Embedding", {"input_dim": 7, "output_dim": 3}, (2, 5), dtype="int32"),
    Case("Embedding", {"input_dim": 7, "output_dim": 3}, (2, 5, 2), dtype="uint8"),
    Case("Embedding", {"input_dim": 7, "output_dim": 3}, (2,), dtype="int64", mixed=False),
    Case("Embedding", {"input_dim": 7, "output_dim": 3, "mask_zero": True}, (4, 5), dtype="int16"),
    Case(
        "Embedding",
        {
            "input_dim": 7,
            "output_dim": 3,
            "embeddings_initializer": "normal",
            "embeddings_regularizer": "l2",
            "embeddings_constraint": "unit_norm",
        },
        (2, 5),
        dtype="int32",
        label="(everything)",
    ),
]

ACTIVATIONS = [
    Case("Activation", {"activation": "relu"}, (2, 5)),
    Case("Activation", {"activation": "gelu"}, SEQ, masked=True),
    Case("Activation", {"activation": None}, (2, 5)),
    Case("ReLU", {}, (2, 5), masked=False),
    Case("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}, SEQ, masked=True),
    Case("LeakyReLU", {}, (2, 5)),
    Case("LeakyReLU", {"negative_slope": 0.1}, SEQ, masked=True),
    Case("PReLU", {}, (2, 5)),
    Case("PReLU", {"shared_axes": [1]}, SEQ, masked=True, unknown=(None, None, 4)),
    Case("PReLU", {"shared_axes": [-1]}, SEQ),
    Case("PReLU", {"shared_axes": [0, -2]}, IMAGE),
    Case("PReLU", {"shared_axes": (1, 2), "alpha_regularizer": "l2"}, IMAGE),
    Case("ELU", {}, (2, 5)),
    Case("ELU", {"alpha": 0.3}, SEQ, masked=True),
    Case("Softmax", {}, (2, 5)),
    Case("Softmax", {"axis": 1}, SEQ),
    Case("Softmax", {"axis": (1, 2)}, IMAGE),
]

RESHAPING = [
    Case("Flatten", {}, SEQ),
    Case("Flatten", {}, (3,)),
    Case("Flatten", {"data_format": "channels_first"}, IMAGE),
    Case("Flatten", {}, IMAGE, unknown=(None, None, 5, 6)),
    Case("Flatten", {}, SEQ, dtype="int32"),
    Case("Reshape", {"target_shape": (4, 3)}, SEQ),
    Case("Reshape", {"target_shape": (-1, 2)}, SEQ),
    Case("Reshape", {"target_shape": [-1]}, SEQ, unknown=(None, None, 4)),
    Case("Reshape", {"target_shape": ()}, (2, 1)),
    Case("Permute", {"dims": (2, 1)}, SEQ),
    Case("Permute", {"dims": [3, 1, 2]}, IMAGE, unknown=(None, None, 5, None)),
    Case("RepeatVector", {"n": 3}, (2, 4)),
]

RANDOM = [
    Case("Dropout", {"rate": 0.4, "seed": 5}, SEQ, call=T, masked=True),
    Case("Dropout", {"rate": 0.4, "seed": 5, "noise_shape": (None, 1, 4)}, SEQ, call=T),
    Case("Dropout", {"rate": 0.4, "seed": 5, "noise_shape": [2, 3, 1]}, SEQ, call=T),
    Case("Dropout", {"rate": 0.4, "seed": 5}, SEQ, call={"training": False}),
    Case("Dropout", {"rate": 0.4, "seed": 5}, SEQ),
    Case("Dropout", {"rate": 0}, SEQ, call=T),
    Case("Dropout", {"rate": 1.0, "seed": 5}, SEQ, call=T),
    Case("GaussianNoise", {"stddev": 0.3, "seed": 5}, SEQ, call=T, masked=True),
    Case("GaussianNoise", {"stddev": 0.3, "seed": 5}, SEQ),
    Case("GaussianDropout", {"rate": 0.3, "seed": 5}, SEQ, call=T, masked=True),
    Case("SpatialDropout1D", {"rate": 0.4, "seed": 5}, SEQ, call=T, masked=True),
    Case("SpatialDropout2D", {"rate": 0.4, "seed": 5}, IMAGE, call=T),
    Case(
        "SpatialDropout2D",
        {"rate": 0.4, "seed": 5, "data_format": "channels_first"},
        IMAGE,
        call=T,
    ),
    Case("SpatialDropout3D", {"rate": 0.4, "seed": 5}, (2, 2, 2, 2, 6), call=T),
]

NORMALIZATION = [
    Case("BatchNormalization", {}, (6, 3), call=T),
    Case("BatchNormalization", {}, (6, 3), call={"training": False}),
    Case("BatchNormalization", {"momentum": 0.7, "epsilon": 0.01}, IMAGE, call=T),
    Case("BatchNormalization", {"axis": 1}, IMAGE, call=T),
    Case("BatchNormalization", {"center": False, "scale": False}, SEQ, call=T, masked=True),
    Case("BatchNormalization", {"gamma_regularizer": "l2"}, SEQ, masked=True),
    Case("BatchNormalization", {"trainable": False}, SEQ, call=T),
    Case("BatchNormalization", {"renorm": True}, SEQ, call=T),
    Case(
        "BatchNormalization",
        {"renorm": True, "renorm_clipping": {"rmax": 1.5, "rmin": 0.5, "dmax": 0.4}},
        SEQ,
        call=T,
    ),
    Case("LayerNormalization", {}, SEQ, masked=True, unknown=(None, None, 4)),
    Case("LayerNormalization", {"axis": [1, 2], "epsilon": 0.1}, SEQ),
    Case("LayerNormalization", {"axis": 1, "center": False}, IMAGE),
    Case("LayerNormalization", {"axis": (3, 1), "scale": False}, IMAGE),
    Case("RMSNormalization", {}, SEQ),
    Case("RMSNormalization", {"epsilon": 0.1}, IMAGE),
    Case("GroupNormalization", {"groups": 2}, SEQ, masked=True),
    Case("GroupNormalization", {"groups": 3, "beta_initializer": "ones"}, IMAGE),
    Case("GroupNormalization", {"groups": 2, "axis": 1}, IMAGE),
    Case("GroupNormalization", {"groups": -1, "scale": False}, IMAGE),
    Case("UnitNormalization", {}, SEQ, masked=True),
    Case("UnitNormalization", {"axis": (1, 2)}, SEQ),
]

MERGING = [
    *(
        Case(name, {}, shapes, masked=shapes is TWO)
        for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
        for shapes in (
            TWO,
            ((2, 1, 4), (2, 3, 1)),
            ((2, 4), (2, 3, 4)),
            *([THREE] if name != "Subtract" else []),
        )
    ),
    Case("Add", {}, ((2, 4), (2, 4)), dtype="int32"),
    Case("Average", {}, ((2, 4), (2, 4)), dtype="int32"),
    Case("Concatenate", {}, ((2, 3), (2, 4), (2, 1))),
    Case("Concatenate", {"axis": 1}, ((2, 3, 4), (2, 2, 4)), masked=True),
    Case("Concatenate", {}, TWO, masked=True),
    Case("Dot", {"axes": 1}, ((2, 4), (2, 4))),
    Case("Dot", {"axes": -1, "normalize": True}, ((2, 4), (2, 4))),
    Case("Dot", {"axes": (2, 1)}, ((2, 3, 4), (2, 4, 5))),
    Case("Dot", {"axes": [1, 2]}, ((2, 3, 4), (2, 5, 3))),
    Case("Dot", {"axes": (1, 2)}, ((2, 3), (2, 5, 3))),
    Case("Dot", {"axes": (2, 1)}, ((2, 5, 3), (2, 3))),
    Case("Dot", {"axes": 2}, ((2, 3, 4, 5), (2, 3, 4, 6))),
]

CORE = [
    Case("Identity", {}, SEQ, masked=True),
    Case("Identity", {}, (2, 5), dtype="int32"),
    Case("Masking", {}, SEQ),
    Case("Masking", {"mask_value": 3}, SEQ, dtype="int32", high=4),
    Case("Rescaling", {"scale": 0.5}, IMAGE),
    Case("Rescaling", {"scale": 1 / 255, "offset": -1.0}, IMAGE, dtype="uint8", high=255),
    Case("Rescaling", {"scale": [1.0, 2.0, 3.0, 4.0], "offset": [0.5] * 4}, SEQ, masked=True),
]

ALL = [
    *DENSE, *ACTIVATIONS, *RESHAPING, *RANDOM, *NORMALIZATION, *MERGING, *CORE,
    *ATTENTION, *CATEGORICAL, *CONVOLUTION, *GEOMETRY, *IMAGES, *POOLING, *RECURRENT, *REST,
    *SPECTROGRAMS,
    *COLOURS,
]  # fmt: skip


def over(cases):
    """Parametrise over cases, the slow ones marked so."""
    marked = [pytest.param(c, marks=[pytest.mark.slow] if c.slow else []) for c in cases]
    return pytest.mark.parametrize("case", marked, ids=[str(c) for c in cases])
