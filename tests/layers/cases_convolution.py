"""The rows of the convolution layers."""

from tests.layers.case import IMAGE, SEQ, Case

LINE, VOLUME = (2, 8, 4), (2, 4, 5, 3, 2)
EVERYTHING = {
    "activation": "tanh",
    "bias_initializer": "ones",
    "bias_regularizer": "l1",
    "activity_regularizer": "l2",
    "bias_constraint": "max_norm",
}
KERNEL = {
    "kernel_initializer": "he_normal",
    "kernel_regularizer": "l2",
    "kernel_constraint": "non_neg",
}
DEPTHWISE = {
    "depthwise_initializer": "he_normal",
    "depthwise_regularizer": "l2",
    "depthwise_constraint": "non_neg",
}
POINTWISE = {
    "pointwise_initializer": "lecun_normal",
    "pointwise_regularizer": "l1",
    "pointwise_constraint": "unit_norm",
}
FIRST = {"data_format": "channels_first"}
EVERYWHERE = (None, None, None, 6)


def conv(name, kwargs, shape=IMAGE, **more):
    return Case(name, kwargs, shape, **more)


CASES: list[Case] = [
    conv(
        "Conv1D",
        {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2},
        LINE,
        unknown=(None, None, 4),
    ),
    conv("Conv1D", {"filters": 3, "kernel_size": [2], "strides": 2, "padding": "SAME"}, LINE),
    conv("Conv1D", {"filters": 4, "kernel_size": 2, "groups": 2}, SEQ),
    conv(
        "Conv1D",
        {"filters": 3, "kernel_size": 3, "padding": "causal", "strides": 2, **FIRST},
        LINE,
        slow=True,
    ),
    conv(
        "Conv2D",
        {"filters": 3, "kernel_size": 3, **KERNEL, **EVERYTHING},
        unknown=EVERYWHERE,
        label="(everything)",
    ),
    conv(
        "Conv2D",
        {"filters": 4, "kernel_size": (2, 3), "strides": 2, "padding": "same", "groups": 2},
        unknown=EVERYWHERE,
    ),
    conv("Conv2D", {"filters": 3, "kernel_size": 2, "dilation_rate": (2, 1), **FIRST}),
    conv("Conv2D", {"filters": 3, "kernel_size": 1, "use_bias": False, "strides": (1, 2)}),
    conv("Conv2D", {"filters": 3, "kernel_size": 3}, (2, 6, 5, 1)),
    conv("Conv2D", {"filters": 3, "kernel_size": 2}, dtype="uint8", slow=True),
    conv("Conv3D", {"filters": 3, "kernel_size": 2, "strides": (1, 2, 1)}, VOLUME),
    conv("Conv3D", {"filters": 3, "kernel_size": 2, "padding": "same"}, VOLUME, slow=True),
    conv(
        "Conv1DTranspose",
        {"filters": 3, "kernel_size": 3, "strides": 2, "output_padding": 1},
        LINE,
        unknown=(None, None, 4),
    ),
    conv(
        "Conv2DTranspose",
        {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", **KERNEL, **EVERYTHING},
        unknown=EVERYWHERE,
        label="(everything)",
    ),
    conv(
        "Conv2DTranspose",
        {"filters": 3, "kernel_size": (2, 4), "strides": (3, 1), **FIRST},
    ),
    conv(
        "Conv2DTranspose",
        {"filters": 2, "kernel_size": 4, "strides": 3, "padding": "same", "output_padding": 2},
        slow=True,
    ),
    conv(
        "Conv2DTranspose",
        {"filters": 2, "kernel_size": 3, "dilation_rate": 2, "use_bias": False},
        slow=True,
    ),
    conv("Conv3DTranspose", {"filters": 2, "kernel_size": 2, "strides": 2}, VOLUME),
    conv(
        "DepthwiseConv1D",
        {"kernel_size": 3, "depth_multiplier": 2, "dilation_rate": 2},
        LINE,
        unknown=(None, None, 4),
    ),
    conv(
        "DepthwiseConv2D",
        {"kernel_size": 3, "strides": 2, "padding": "same", **DEPTHWISE, **EVERYTHING},
        unknown=EVERYWHERE,
        label="(everything)",
    ),
    conv("DepthwiseConv2D", {"kernel_size": 2, "depth_multiplier": 2, **FIRST}),
    conv(
        "SeparableConv1D",
        {"filters": 3, "kernel_size": 2, "depth_multiplier": 2, "strides": 2},
        LINE,
        unknown=(None, None, 4),
    ),
    conv(
        "SeparableConv2D",
        {
            "filters": 3,
            "kernel_size": 3,
            "padding": "same",
            **DEPTHWISE,
            **POINTWISE,
            **EVERYTHING,
        },
        unknown=EVERYWHERE,
        label="(everything)",
    ),
    conv("SeparableConv2D", {"filters": 3, "kernel_size": 2, **FIRST, "use_bias": False}),
]
