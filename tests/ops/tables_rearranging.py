"""Rows of the ops that cut and join axes, compare images and read sequences of labels."""

import numpy as np

RNG = np.random.default_rng(13)


def floats(*shape):
    return RNG.uniform(-1.0, 1.0, shape).astype("float32")


IMAGE, FIRST = floats(2, 4, 6, 8), floats(2, 8, 4, 6)
WINDOWS = {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (1, 0), "stride": (2, 1)}
LABELS = np.int32([[1, 1, 2, 3], [4, 2, 0, 0]])
LENGTHS, STEPS = np.int32([4, 2]), np.int32([9, 5])
LOGITS = 3 * floats(2, 9, 5)

REARRANGING = [
    ("rearrange", (IMAGE, "b h w c -> b c h w")),
    # Without its gradient: with sizes given, Keras's rearrange cannot be compiled.
    ("rearrange", (IMAGE, "b (h p) (w q) c -> b (h w) (p q c)"), {"p": 2, "q": 3}, False),
    ("rearrange", (IMAGE, "a b c d->(a b) (d c)")),
    ("depth_to_space", (IMAGE, 2)),
    ("depth_to_space", (FIRST, 2, "channels_first")),
    ("space_to_depth", (IMAGE, 2)),
    ("space_to_depth", (FIRST, 2, "channels_first")),
    ("unfold", (FIRST, 2), {"stride": 2}),
    ("unfold", (FIRST,), WINDOWS),
    ("fold", (floats(2, 8, 6), (4, 6), 2), {"stride": 2}),
    ("fold", (floats(2, 12, 8), (4, 6)), WINDOWS),
    ("ctc_loss", (LABELS, LOGITS, LENGTHS, STEPS), {}, True, 1e-4),
    ("ctc_loss", (LABELS, LOGITS, LENGTHS, STEPS, 4), {}, True, 1e-4),
    *(
        ("ctc_decode", (LOGITS, STEPS), {"merge_repeated": merge, "mask_index": blank}, False)
        for merge, blank in ((True, 0), (False, 4), (True, None))
    ),
    *(
        (
            "ctc_decode",
            (LOGITS, STEPS, "beam_search", width, paths),
            {"mask_index": blank},
            False,
            1e-4,
        )
        for width, paths, blank in ((8, 3, 0), (3, 1, 4), (30, 5, None))
    ),
]
