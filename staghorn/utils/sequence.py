"""Sequences of different lengths as one array."""

from typing import Any

import numpy as np

__all__ = ["pad_sequences"]

_SIDES = ("pre", "post")


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Pad and cut sequences to one length.

    n sequences of (length, ...) → (n, maxlen, ...)

    Args:
        sequences: list of sequences: lists of numbers, or arrays with equal shapes but for the
            first axis.
        maxlen: int, the length. Default: None (that of the longest sequence).
        dtype: type of the result; `object` for words. Default: "int32".
        padding: "pre" or "post", whether `value` fills the beginning or the end. Default: "pre".
        truncating: "pre" or "post", which end of longer sequences is cut off. Default: "pre".
        value: what fills. Default: 0.0.

    Raises:
        ValueError: if something in the list is not a sequence, if shapes differ, if a word is to
            fill numbers, or if an option is unknown.

    Example:
        >>> staghorn.utils.pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2).tolist()
        [[0, 1], [2, 3], [5, 6]]
        >>> staghorn.utils.pad_sequences([[1], [2, 3]], padding="post").tolist()
        [[1, 0], [2, 3]]

    Notes: Keras fails, or pads nothing, for `maxlen=0` and an empty list; both give an array
        without elements here.

    Reference: https://keras.io/api/utils/python_utils/#pad_sequences-function
    """
    for name, option in (("padding", padding), ("truncating", truncating)):
        if option not in _SIDES:
            raise ValueError(f"pad_sequences: {name} must be 'pre' or 'post', got {option!r}.")
    if not hasattr(sequences, "__len__"):
        raise ValueError(
            "pad_sequences: sequences must be a list of sequences, got "
            f"{sequences!r} ({type(sequences).__name__}). Of a generator make a list first."
        )
    lengths = [_length(row, i) for i, row in enumerate(sequences)]
    if maxlen is None:
        maxlen = max(lengths, default=0)
    _check_value(value, dtype)
    inner = next((np.shape(row)[1:] for row, n in zip(sequences, lengths, strict=True) if n), ())
    padded = np.full((len(lengths), maxlen, *inner), value, dtype=dtype)
    for i, (row, length) in enumerate(zip(sequences, lengths, strict=True)):
        kept = min(length, maxlen)
        if not kept:
            continue
        part = np.asarray(row[length - kept :] if truncating == "pre" else row[:kept], dtype=dtype)
        if part.shape[1:] != inner:
            raise ValueError(
                f"pad_sequences: the steps of sequence {i} have shape {part.shape[1:]}, those of "
                f"the first one have {inner}. Only the lengths may differ."
            )
        start = maxlen - kept if padding == "pre" else 0
        padded[i, start : start + kept] = part
    return padded


def _length(row: Any, place: int) -> int:
    if not hasattr(row, "__len__"):
        raise ValueError(
            f"pad_sequences: sequence {place} is {row!r} ({type(row).__name__}), which has no "
            "length. Each item must be a list or an array: [[1, 2], [3]]."
        )
    return len(row)


def _check_value(value: Any, dtype: Any) -> None:
    kind = np.dtype(dtype).kind
    if isinstance(value, str) and kind not in "OUS":
        raise ValueError(
            f"pad_sequences: the word {value!r} cannot fill an array of {np.dtype(dtype)}. "
            "Pass dtype=object."
        )
