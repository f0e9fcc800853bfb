"""Hashing: strings and integers into a fixed number of bins."""

from __future__ import annotations

from typing import Any

import numpy as np

from staghorn import config
from staghorn.engine.arguments import Options, Positive
from staghorn.layers.preprocessing.host_layer import (
    MODES,
    HostLayer,
    encoded,
    encoded_shape,
    no_sparse,
    salt_pair,
)
from staghorn.layers.preprocessing.index_lookup import hash_bins


def as_texts(values: np.ndarray) -> list[bytes]:
    """Return what is hashed for each value: strings themselves, numbers written as decimals.

    Example:
        >>> from staghorn.layers.preprocessing.hashing import as_texts
        >>> as_texts(np.array([3.7, -1.0]))
        [b'3', b'-1']
    """
    flat = values.ravel()
    if flat.dtype == object:
        return flat.tolist()
    if flat.dtype == bool:
        return [b"true" if value else b"false" for value in flat.tolist()]
    return [b"%d" % value for value in flat.astype(np.int64).tolist()]


class Hashing(HostLayer):
    """A bin for each string or integer, by a hash: no vocabulary is needed.

    (...) → ints (...), or (..., num_bins) for the encodings        bin = hash(value) mod num_bins

    Args:
        num_bins: number of bins, that of the mask included.
        mask_value: the value with the bin 0, which nothing else gets then. Default: None.
        salt: an int or two: SipHash-2-4 with this key instead of FarmHash. Default: None.
        output_mode: "int"; "one_hot" (each value), "multi_hot" (which bins are in a row), "count"
            (how often). Default: "int".
        sparse: must be False.
        **kwargs: `name`, `dtype` (of the output; "int64" for "int", else floatx), ...

    Example:
        >>> layer = staghorn.layers.Hashing(num_bins=3)
        >>> np.asarray(layer([["A"], ["B"], ["C"], ["D"], ["E"]])).ravel().tolist()
        [1, 0, 1, 1, 2]

    Notes: without TensorFlow, with its bins. Floats are cut to integers first.

    Reference: https://github.com/google/farmhash, https://www.aumasson.jp/siphash/siphash.pdf
    """

    arguments = {"num_bins": Positive(int), "output_mode": Options(*MODES)}

    def __init__(
        self, num_bins: int, mask_value: Any = None, salt: Any = None, output_mode: str = "int",
        sparse: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else config.floatx()
        super().__init__(**kwargs)
        no_sparse("Hashing", sparse)
        self.num_bins = num_bins
        self.mask_value = mask_value
        self.salt = salt_pair("Hashing", salt)
        self.output_mode = output_mode
        self.sparse = sparse
        if output_mode == "int" and self.compute_dtype not in ("int32", "int64"):
            raise ValueError(
                f"Hashing: with output_mode='int' dtype must be 'int32' or 'int64', got "
                f"{kwargs['dtype']!r}."
            )

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return encoded_shape(input_shape, self.output_mode, self.num_bins)

    def _compute(self, inputs: np.ndarray) -> np.ndarray:
        masked = self.mask_value is not None and self.num_bins > 1
        bins = hash_bins(as_texts(inputs), self.num_bins - masked, self.salt).reshape(inputs.shape)
        if masked:
            value = self.mask_value
            is_mask = inputs == (value.encode() if isinstance(value, str) else value)
            bins = np.where(is_mask, 0, bins + 1)
        return encoded(bins, self.output_mode, self.num_bins, self.compute_dtype)
