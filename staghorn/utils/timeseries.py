"""Windows of a time series, as batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["WindowDataset", "timeseries_dataset_from_array"]


class WindowDataset:
    """Batches of windows of a time series; every pass makes them anew, so little is stored.

    data (steps, ...) → batches of (batch, length, ...), or of these and targets (batch, ...)

    Args:
        data: array, one row per time step.
        targets: array, or None.
        starts: integer array, the first step of each window, which is also the row of its target.
        offsets: integer array, the steps of a window after its first.
        batch_size: int, windows in a batch; None gives single windows without a batch axis.
        rng: draws another order for each pass but the first; None keeps the order.

    Example:
        >>> windows = staghorn.utils.timeseries_dataset_from_array(np.arange(5.0), None, 2)
        >>> len(windows), next(iter(windows)).tolist()
        (1, [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])
    """

    def __init__(
        self,
        data: np.ndarray,
        targets: np.ndarray | None,
        starts: np.ndarray,
        offsets: np.ndarray,
        batch_size: int | None,
        rng: np.random.RandomState | None,
    ) -> None:
        self.data = data
        self.targets = targets
        self.starts = starts
        self.offsets = offsets
        self.batch_size = batch_size
        self._rng = rng

    def __len__(self) -> int:
        return -(-len(self.starts) // (self.batch_size or 1))

    def __iter__(self) -> Iterator[Any]:
        starts = self.starts
        if self._rng is not None:
            self.starts = self._rng.permutation(starts)  # of the next pass
        if self.batch_size is None:
            for start in starts:
                yield self._windows(start)
            return
        for place in range(0, len(starts), self.batch_size):
            yield self._windows(starts[place : place + self.batch_size])

    def _windows(self, starts: Any) -> Any:
        """Return the windows that start here: a batch, or one for a single start."""
        windows = self.data[np.expand_dims(starts, -1) + self.offsets]  # (batch, length, ...)
        return windows if self.targets is None else (windows, self.targets[starts])


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> WindowDataset:
    """Cut a time series into windows, in batches for `fit`, `evaluate` and `predict`.

    data (steps, ...) → batches of (batch, sequence_length, ...), or of these and targets
    window i: data[s], data[s + sampling_rate], ... with s = i sequence_stride; target: targets[s]

    Args:
        data: array, one row per time step.
        targets: array; row s belongs to the window that starts at step s. None: windows only.
        sequence_length: int, steps in a window.
        sequence_stride: int, steps from the start of a window to that of the next. Default: 1.
        sampling_rate: int, steps from one step of a window to the next. Default: 1.
        batch_size: int, windows in a batch; None gives single windows. Default: 128.
        shuffle: bool, whether windows come in a random order, another one in each pass.
            Default: False.
        seed: int that decides the orders. Default: None (from `np.random`).
        start_index: int, the first step that is used. Default: None (0).
        end_index: int, the step before which to end. Default: None (all).
        format: "tf" or "grain", taken for compatibility; has no effect.

    Returns:
        A data set to iterate over, again and again; `len` of it is the number of batches.

    Raises:
        ValueError: if a number is outside the data, or no window fits.

    Example:
        >>> series = np.arange(100.0)
        >>> dataset = staghorn.utils.timeseries_dataset_from_array(
        ...     series[:-10], series[10:], sequence_length=10, batch_size=32)
        >>> x, y = next(iter(dataset))
        >>> x.shape, x[1, :3].tolist(), float(y[1])
        ((32, 10), [1.0, 2.0, 3.0], 11.0)

    Notes: Keras returns a tf.data.Dataset or a grain one. The first pass's order of shuffled
        windows is that of Keras before it shuffles again within a buffer; `start_index=0` and
        `end_index=len(data)` are checked like any other (Keras ignores 0, and refuses the
        latter). As in Keras, `targets` are cut at `start_index` as `data` are.

    Reference: https://keras.io/api/data_loading/timeseries/
    """
    if format not in ("tf", "grain"):
        raise ValueError(f"timeseries_dataset_from_array: format must be 'tf', got {format!r}.")
    data = np.asarray(data)
    first = 0 if start_index is None else start_index
    last = len(data) if end_index is None else end_index
    _check("start_index", first, 0, len(data) - 1)
    _check("end_index", last, first + 1, len(data))
    _check("sequence_length", sequence_length, 1, len(data))
    _check("sampling_rate", sampling_rate, 1, len(data) - 1)
    _check("sequence_stride", sequence_stride, 1, len(data) - 1)
    if batch_size is not None:
        _check("batch_size", batch_size, 1, None)
    number = last - first - (sequence_length - 1) * sampling_rate
    if targets is not None:
        targets = np.asarray(targets)[first:]
        number = min(number, len(targets))
    if number <= 0:
        raise ValueError(
            f"timeseries_dataset_from_array: no window fits. A window of {sequence_length} steps, "
            f"{sampling_rate} apart, spans {(sequence_length - 1) * sampling_rate + 1}; there are "
            f"{last - first} steps" + ("." if targets is None else f" and {len(targets)} targets.")
        )
    starts, rng = np.arange(0, number, sequence_stride), None
    if shuffle:
        rng = np.random.RandomState(np.random.randint(10**6) if seed is None else seed)
        rng.shuffle(starts)
    offsets = np.arange(sequence_length) * sampling_rate
    return WindowDataset(data[first:last], targets, starts, offsets, batch_size, rng)


def _check(name: str, value: Any, low: int, high: int | None) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        span = f"of at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(
            f"timeseries_dataset_from_array: {name} must be an int {span}, got {value!r} "
            f"({type(value).__name__})."
        )
