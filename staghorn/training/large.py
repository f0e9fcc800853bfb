"""Arrays that are not held in memory as the model needs them: files, and large arrays to cast."""

from __future__ import annotations

from typing import Any

import numpy as np


class LargeArray:
    """Rows of an array on disk, or of another type, read and cast when they are wanted.

    Args:
        source: a `numpy.memmap`, an `h5py.Dataset`, or anything with shape, dtype and rows.
        dtype: type of the rows that are read.
        start, stop: which rows of the source. Default: all.

    Example:
        >>> rows = staghorn.training.large.LargeArray(np.arange(6.0).reshape(3, 2), "float32")
        >>> rows[1:].shape, rows.take(np.array([2, 0])).dtype.name
        ((2, 2), 'float32')
    """

    def __init__(self, source: Any, dtype: Any, start: int = 0, stop: int | None = None) -> None:
        self.source = source
        self.dtype = np.dtype(dtype)
        self.start = start
        self.stop = len(source) if stop is None else stop
        self.shape = (self.stop - start, *source.shape[1:])
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __getitem__(self, rows: slice) -> LargeArray:
        """Return a part, still unread."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise IndexError("LargeArray: parts are cut with a step of 1; use take(rows).")
        return LargeArray(self.source, self.dtype, self.start + start, self.start + stop)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = np.asarray(self.source[self.start : self.stop])
        return whole.astype(self.dtype if dtype is None else dtype, copy=False)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Read some rows, in any order, also the same one twice."""
        rows = np.asarray(rows) + self.start
        if isinstance(self.source, np.ndarray):
            return self.source[rows].astype(self.dtype, copy=False)
        # A file is read forwards, neighbours together: each read costs about as much as 50 kB.
        sorted_rows, places = np.unique(rows, return_inverse=True)
        out = np.empty((len(sorted_rows), *self.shape[1:]), self.dtype)
        breaks = np.flatnonzero(np.diff(sorted_rows) != 1) + 1
        for part in np.split(np.arange(len(sorted_rows)), breaks):
            if len(part):
                first, last = sorted_rows[part[0]], sorted_rows[part[-1]]
                out[part] = self.source[first : last + 1]
        return out if np.array_equal(sorted_rows, rows) else out[places]


def take(array: Any, rows: np.ndarray) -> np.ndarray:
    """Return some rows of an array of any kind as a NumPy array.

    Example:
        >>> staghorn.training.large.take(np.arange(4), np.array([3, 0])).tolist()
        [3, 0]
    """
    return array.take(rows) if isinstance(array, LargeArray) else np.asarray(array)[rows]
