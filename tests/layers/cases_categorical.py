"""The rows of Discretization; the other categorical layers have golden files: test_strings.py."""

from tests.layers.case import Case

IDS = (2, 3)
BINS = {"bin_boundaries": [-0.5, 0.0, 0.75]}

CATEGORICAL = [
    Case("Discretization", BINS, IDS, mixed=False),
    Case("Discretization", BINS, (2, 3, 4), dtype="int32", mixed=False),
    Case("Discretization", {**BINS, "output_mode": "one_hot"}, IDS),
    Case("Discretization", {**BINS, "output_mode": "multi_hot"}, IDS),
    Case("Discretization", {**BINS, "output_mode": "count"}, (2, 5)),
]
