"""The rows of the attention layers; MultiHeadAttention, called with two tensors, has its own."""

from tests.layers.case import SEQ, Case, T

PAIR = ((2, 3, 4), (2, 5, 4))
TRIPLE = ((2, 3, 4), (2, 5, 6), (2, 5, 4))
UNKNOWN = ((None, None, 4), (None, None, 4))

CASES: list[Case] = [
    Case("Attention", {}, PAIR, masked=True, unknown=UNKNOWN),
    Case(
        "Attention",
        {"use_scale": True, "dropout": 0.4, "seed": 3},
        TRIPLE,
        call={**T, "use_causal_mask": True},
        masked=True,
    ),
    Case("Attention", {"use_scale": True, "score_mode": "concat"}, PAIR, masked=True),
    Case("Attention", {"score_mode": "concat"}, TRIPLE, call={"use_causal_mask": True}, slow=True),
    Case("AdditiveAttention", {}, PAIR, masked=True, unknown=UNKNOWN),
    Case(
        "AdditiveAttention",
        {"use_scale": False, "dropout": 0.4, "seed": 3},
        TRIPLE,
        call={**T, "use_causal_mask": True},
        masked=True,
        slow=True,
    ),
    Case("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 3}, (2, 5)),
    Case(
        "EinsumDense",
        {
            "equation": "abc,cde->abde",
            "output_shape": (None, 2, 3),
            "bias_axes": "de",
            "activation": "tanh",
            "kernel_initializer": "he_normal",
            "bias_initializer": "ones",
            "kernel_regularizer": "l2",
            "bias_regularizer": "l1",
            "activity_regularizer": "l2",
            "kernel_constraint": "non_neg",
            "bias_constraint": "max_norm",
        },
        SEQ,
        unknown=(None, None, 4),
        label="(everything)",
    ),
    Case(
        "EinsumDense",
        {"equation": "...x,xy->...y", "output_shape": 4, "bias_axes": "y"},
        SEQ,
    ),
    Case(
        "EinsumDense",
        {"equation": "ab...,bc->ac...", "output_shape": 4, "bias_axes": "c"},
        (2, 3, 4, 5),
    ),
    Case(
        "EinsumDense",
        {"equation": "abc,dc->abd", "output_shape": (None, 4), "bias_axes": "d"},
        SEQ,
        unknown=(None, None, 4),
        label="(no matrix product)",
        slow=True,
    ),
]
