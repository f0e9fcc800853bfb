"""The rows of the recurrent layers."""

from tests.layers.case import Case, T

SEQ = (2, 4, 3)
UNKNOWN = (None, None, 3)
EVERYTHING = {
    "kernel_initializer": "he_normal",
    "recurrent_initializer": "glorot_normal",
    "bias_initializer": "ones",
    "kernel_regularizer": "l2",
    "recurrent_regularizer": "l1",
    "bias_regularizer": "l2",
    "activity_regularizer": "l2",
    "kernel_constraint": "max_norm",
    "recurrent_constraint": "unit_norm",
    "bias_constraint": "non_neg",
}
# Not the default "orthogonal", which has no float16 form in either library.
FIVE = {"units": 5, "seed": 5, "recurrent_initializer": "glorot_uniform"}
SEQUENCES = {**FIVE, "return_sequences": True}
DROPPED = {**FIVE, "dropout": 0.4}

LSTM = [
    Case("LSTM", FIVE, SEQ, masked=True, unknown=UNKNOWN),
    Case("LSTM", {**SEQUENCES, "go_backwards": True, "unit_forget_bias": False}, SEQ, masked=True),
    Case("LSTM", {**SEQUENCES, "zero_output_for_mask": True}, SEQ, masked=True, slow=True),
    Case("LSTM", {**FIVE, "use_bias": False, "unroll": True}, SEQ, slow=True),
    Case("LSTM", {**FIVE, "activation": "relu", **EVERYTHING}, SEQ, label="(everything)"),
    Case("LSTM", {**SEQUENCES, "activation": "elu"}, SEQ, masked=True, slow=True),
    Case("LSTM", DROPPED, SEQ, call=T),
    Case("LSTM", {**DROPPED, "recurrent_dropout": 0.3, "return_sequences": True}, SEQ, call=T),
    Case("LSTM", DROPPED, SEQ, call={"training": False}, slow=True),
]

GRU = [
    Case("GRU", FIVE, SEQ, masked=True, unknown=UNKNOWN),
    Case("GRU", {**SEQUENCES, "go_backwards": True}, SEQ, masked=True, slow=True),
    Case("GRU", {**SEQUENCES, "reset_after": False}, SEQ, masked=True),
    Case("GRU", {**FIVE, "use_bias": False, "recurrent_activation": "linear"}, SEQ),
    Case("GRU", {**FIVE, **EVERYTHING}, SEQ, label="(everything)", slow=True),
    Case("GRU", {**DROPPED, "recurrent_dropout": 0.3}, SEQ, call=T),
    Case(
        "GRU", {**DROPPED, "recurrent_dropout": 0.3, "reset_after": False}, SEQ, call=T, slow=True
    ),
    Case("GRU", DROPPED, SEQ, call=T, slow=True),
]

SIMPLE = [
    Case("SimpleRNN", {**SEQUENCES, "go_backwards": True}, SEQ, masked=True, unknown=UNKNOWN),
    Case("SimpleRNN", {**FIVE, "activation": "relu", "use_bias": False}, SEQ, masked=True),
    Case(
        "SimpleRNN",
        {**FIVE, **EVERYTHING, "activity_regularizer": None},
        SEQ,
        label="(everything)",
        slow=True,
    ),
    Case("SimpleRNN", {**DROPPED, "recurrent_dropout": 0.3}, SEQ, call=T),
    Case("SimpleRNN", DROPPED, SEQ, call=T, slow=True),
]

CASES: list[Case] = [*LSTM, *GRU, *SIMPLE]
