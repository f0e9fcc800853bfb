"""Memory of the host that the device can use as it is."""

from __future__ import annotations

from typing import Any

import numpy as np

# XLA takes over an array of NumPy's that begins at a multiple of so many bytes; it copies others.
_ALIGNMENT = 64


def aligned_empty(size: int) -> np.ndarray:
    """Return so many bytes that begin where XLA wants them.

    Example:
        >>> from staghorn.engine.host_memory import aligned_empty
        >>> aligned_empty(10).ctypes.data % 64
        0
    """
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size]


def freeze(array: np.ndarray) -> np.ndarray:
    """Make an array from `aligned_empty`, and the memory below it, read-only."""
    if isinstance(array.base, np.ndarray):
        array.base.flags.writeable = False
    array.flags.writeable = False
    return array


def own_copy(value: np.ndarray, dtype: Any) -> np.ndarray:
    """Return an aligned copy. NumPy's large pages make it five times as fast as XLA's own copy."""
    dtype = np.dtype(dtype)
    copy = aligned_empty(value.size * dtype.itemsize).view(dtype).reshape(value.shape)
    np.copyto(copy, value, casting="unsafe")
    return copy


def cannot_change(value: Any) -> bool:
    """Say whether an array is read-only down to its memory, as those read from a file are.

    It matters since JAX returns before it has read an array, with `jnp.array(copy=True)` too:
    measured, a caller who writes into the array at once changes what arrives.
    """
    while isinstance(value, np.ndarray):
        if value.flags.writeable:
            return False
        value = value.base
    return value is None or isinstance(value, bytes)
