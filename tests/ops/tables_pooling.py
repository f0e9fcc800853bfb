"""Rows of the pooling ops: the arguments of `tables.Row`.

Keras fails without `strides`, so that they are always given.
"""

import numpy as np

# Whole numbers, few of them: many windows have equal largest values.
STEPS = np.random.default_rng(0).integers(0, 3, (2, 7, 3)).astype("float32")
IMAGE = np.random.default_rng(1).integers(0, 3, (2, 5, 6, 3)).astype("float32")

POOLING = [
    ("max_pool", (IMAGE, 3, 2, "same")),
    ("max_pool", (IMAGE, (2, 3), (1, 2), "valid", "channels_first")),
    ("max_pool", (STEPS.astype("int32"), 2, 2)),
    ("average_pool", (IMAGE, (2, 3), 2, "same")),
    ("average_pool", (STEPS, 3, 1)),
    ("average_pool", (STEPS.astype("int32"), 2, 2, "same", "channels_first")),
    ("adaptive_max_pool", (STEPS, (3,))),
    ("adaptive_max_pool", (IMAGE, (2, 4), "channels_first")),
    ("adaptive_average_pool", (IMAGE, (2, 4))),
    ("adaptive_average_pool", (STEPS, (2,), "channels_first")),
]
