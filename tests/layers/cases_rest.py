"""The rows of adaptive pooling, convolutional recurrence, and single layers."""

from tests.layers.case import Case, T
from tests.layers.cases_recurrent import EVERYTHING

FIRST = {"data_format": "channels_first"}
SEQ = (2, 3, 4)
STEPS = (2, 7, 3)
PICTURE = (2, 6, 7, 3)
VOLUME = (2, 4, 5, 4, 2)
ROWS = (2, 3, 5, 2)
VIDEO = (2, 3, 5, 4, 2)

ADAPTIVE = [
    Case("AdaptiveAveragePooling1D", {"output_size": 3}, STEPS, unknown=(None, None, 3)),
    Case("AdaptiveAveragePooling1D", {"output_size": (2,), **FIRST}, STEPS, dtype="int32"),
    Case("AdaptiveAveragePooling2D", {"output_size": (3, 2)}, PICTURE),
    Case("AdaptiveAveragePooling2D", {"output_size": 2, **FIRST}, (2, 3, 6, 7), slow=True),
    Case("AdaptiveAveragePooling3D", {"output_size": (2, 3, 1)}, VOLUME),
    Case("AdaptiveAveragePooling3D", {"output_size": 2, **FIRST}, (2, 2, 4, 5, 4), slow=True),
    Case("AdaptiveMaxPooling1D", {"output_size": [3]}, STEPS, unknown=(None, None, 3)),
    Case("AdaptiveMaxPooling1D", {"output_size": 2, **FIRST}, STEPS, slow=True),
    Case("AdaptiveMaxPooling2D", {"output_size": (3, 2)}, PICTURE, dtype="int32", mixed=False),
    Case("AdaptiveMaxPooling2D", {"output_size": 2, **FIRST}, (2, 3, 6, 7)),
    Case("AdaptiveMaxPooling3D", {"output_size": (2, 3, 1)}, VOLUME),
    Case("AdaptiveMaxPooling3D", {"output_size": 2, **FIRST}, (2, 2, 4, 5, 4), slow=True),
]

# Not the default "orthogonal", which has no float16 form in either library.
FOUR = {"filters": 4, "kernel_size": 3, "seed": 5, "recurrent_initializer": "glorot_uniform"}
SEQUENCES = {**FOUR, "return_sequences": True}
DROPPED = {**FOUR, "dropout": 0.4, "recurrent_dropout": 0.3}

CONV_LSTM = [
    Case("ConvLSTM1D", FOUR, ROWS, unknown=(None, None, 5, 2)),
    Case("ConvLSTM1D", {**SEQUENCES, "strides": 2, "padding": "same"}, ROWS),
    Case("ConvLSTM1D", {**SEQUENCES, "dilation_rate": 2, **FIRST}, (2, 3, 2, 6)),
    Case("ConvLSTM1D", {**SEQUENCES, **DROPPED}, ROWS, call=T),
    Case("ConvLSTM1D", {**DROPPED, **FIRST}, (2, 3, 2, 6), call=T, slow=True),
    Case("ConvLSTM2D", {**SEQUENCES, "go_backwards": True}, VIDEO, unknown=(None, None, 5, 4, 2)),
    Case("ConvLSTM2D", {**SEQUENCES, "padding": "same", **FIRST}, (2, 3, 2, 5, 4), slow=True),
    Case("ConvLSTM2D", {**FOUR, "activation": "relu", **EVERYTHING}, VIDEO, label="(everything)"),
    Case("ConvLSTM2D", {**FOUR, "use_bias": False, "kernel_size": (1, 2)}, VIDEO, slow=True),
    Case("ConvLSTM2D", {**DROPPED, "unit_forget_bias": False}, VIDEO, call=T, slow=True),
    Case("ConvLSTM3D", {**FOUR, "kernel_size": 2}, (2, 2, 3, 2, 3, 2)),
]

SINGLE = [
    Case("ActivityRegularization", {"l1": 0.1, "l2": 0.2}, SEQ, masked=True),
    Case("ActivityRegularization", {}, (2, 5), dtype="int32", mixed=False),
    Case("AlphaDropout", {"rate": 0.4, "seed": 5}, SEQ, call=T, masked=True),
    Case("AlphaDropout", {"rate": 0.4, "seed": 5, "noise_shape": (None, 1, 4)}, SEQ, call=T),
    Case("AlphaDropout", {"rate": 0.4, "seed": 5}, SEQ),
    Case("AlphaDropout", {"rate": 0}, SEQ, call=T),
    Case("ReversibleEmbedding", {"input_dim": 7, "output_dim": 3}, (2, 5), dtype="int32"),
    Case(
        "ReversibleEmbedding",
        {"input_dim": 7, "output_dim": 3, "tie_weights": False, "mask_zero": True},
        (4, 5),
        dtype="int32",
    ),
]

CASES: list[Case] = [*ADAPTIVE, *CONV_LSTM, *SINGLE]
