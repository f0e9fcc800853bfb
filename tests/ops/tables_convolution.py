"""Rows of the convolution operations: name, arguments, keyword arguments."""

import numpy as np

RNG = np.random.default_rng(11)


def floats(*shape):
    return RNG.uniform(-1.0, 1.0, shape).astype("float32")


LINE, SQUARE, CUBE = floats(2, 9, 4), floats(2, 7, 6, 4), floats(1, 4, 5, 3, 2)
FIRST = floats(2, 4, 7, 6)
KERNEL = floats(3, 2, 4, 5)

CONVOLUTION = [
    ("conv", (SQUARE, KERNEL), {"strides": 2, "padding": "same"}),
    ("conv", (LINE, floats(3, 4, 5)), {"dilation_rate": 2}),
    ("conv", (LINE, floats(3, 2, 6)), {"strides": (3,), "padding": "SAME"}),
    ("conv", (CUBE, floats(2, 3, 1, 2, 3)), {"strides": (1, 2, 3)}),
    ("conv", (FIRST, KERNEL), {"data_format": "channels_first", "padding": "same"}),
    ("conv", (SQUARE[..., :1], floats(3, 3, 1, 6))),
    ("conv", (SQUARE, floats(1, 1, 4, 3)), {"strides": 2}),
    ("depthwise_conv", (SQUARE, floats(3, 3, 4, 2)), {"strides": 2, "padding": "same"}),
    ("depthwise_conv", (LINE, floats(3, 4, 1)), {"dilation_rate": 2}),
    ("depthwise_conv", (FIRST, floats(2, 2, 4, 1)), {"data_format": "channels_first"}),
    ("separable_conv", (SQUARE, floats(3, 3, 4, 2), floats(1, 1, 8, 3)), {"strides": (2, 2)}),
    ("separable_conv", (LINE, floats(3, 4, 1), floats(1, 4, 3)), {"dilation_rate": 2}),
    ("conv_transpose", (SQUARE, floats(3, 2, 5, 4)), {"strides": 2, "padding": "same"}),
    *(
        (
            "conv_transpose",
            (LINE, floats(k, 5, 4)),
            {"strides": s, "padding": p, "output_padding": extra},
        )
        for k, s, p, extra in (
            (3, 2, "valid", None),
            (2, 3, "valid", 1),
            (4, 2, "same", 1),
            (1, 3, "same", None),
        )
    ),
    (
        "conv_transpose",
        (FIRST, floats(3, 2, 5, 4)),
        {"data_format": "channels_first", "dilation_rate": 2},
    ),
    ("conv_transpose", (CUBE, floats(2, 2, 2, 3, 2)), {"strides": (1, 2, 1)}),
]
