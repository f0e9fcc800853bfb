"""`PyDataset`: batches made by the user's Python code, by number.

This file imports nothing: the worker processes of a dataset import it, and they should start fast.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

__all__ = ["PyDataset", "Sequence"]

_NO_LENGTH = """\
{name} does not say how many batches it has. Add to the class:
    def __len__(self):
        return math.ceil(len(self.x) / self.batch_size)
or, for batches without end, a property num_batches that returns None."""


class PyDataset:
    """A data set whose batches Python code makes, on threads or in processes if wanted.

    A subclass has `__getitem__(index)`, which returns one whole batch: x, (x,), (x, y) or
    (x, y, sample_weight); and `__len__()`, the number of batches. `on_epoch_begin()` and
    `on_epoch_end()` may change the data between epochs.

    Args:
        workers: int, how many threads or processes make batches ahead of the training.
            Default: 1 (with threads, one means none: batches are made when they are needed).
        use_multiprocessing: bool, processes instead of threads. Threads are enough where the
            time goes into files, NumPy or image libraries; processes also for plain Python
            code. Each process gets a pickled copy of the data set. Default: False.
        max_queue_size: int, how many batches may wait to be used. Default: 10.

    Raises:
        ValueError: if an argument is not a whole number in its range.

    Example:
        >>> class Squares(staghorn.utils.PyDataset):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, index):
        ...         x = np.arange(4.0) + 4 * index
        ...         return x[:, None], x[:, None] ** 2
        >>> data = Squares(workers=2)
        >>> data.num_batches, data[1][0].ravel().tolist()
        (3, [4.0, 5.0, 6.0, 7.0])

    Notes:
        A script that uses processes starts training under `if __name__ == "__main__":`, because
        each process imports the script; a class written in a notebook cannot be used there.
        Unlike in Keras, a subclass that does not call `super().__init__()` has the defaults
        without a warning, processes are started afresh instead of forked (JAX has threads,
        and a fork of a process with threads may hang), and random numbers drawn in processes
        from `random` and `numpy.random` depend on the seed and the batch only.

    Reference: https://keras.io/api/utils/python_utils/#pydataset-class
    """

    _workers: int = 1
    _use_multiprocessing: bool = False
    _max_queue_size: int = 10

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    @property
    def workers(self) -> int:
        """How many threads or processes make batches."""
        return self._workers

    @workers.setter
    def workers(self, value: int) -> None:
        self._workers = _whole(self, "workers", value, 0)

    @property
    def use_multiprocessing(self) -> bool:
        """Whether the workers are processes."""
        return self._use_multiprocessing

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        self._use_multiprocessing = bool(value)

    @property
    def max_queue_size(self) -> int:
        """How many batches may wait to be used."""
        return self._max_queue_size

    @max_queue_size.setter
    def max_queue_size(self, value: int) -> None:
        self._max_queue_size = _whole(self, "max_queue_size", value, 1)

    def __getitem__(self, index: int) -> Any:
        """Return the batch with this number."""
        raise NotImplementedError(
            f"{type(self).__name__} has no __getitem__(self, index), which returns one batch: "
            "x, (x, y) or (x, y, sample_weight)."
        )

    def __iter__(self) -> Iterator[Any]:
        """Yield every batch once, in order; without end where the number is None."""
        number = self.num_batches
        for index in itertools.count() if number is None else range(number):
            yield self[index]

    @property
    def num_batches(self) -> int | None:
        """Number of batches; None means that they never end."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(_NO_LENGTH.format(name=type(self).__name__))

    def on_epoch_begin(self) -> None:
        """Run before each epoch; does nothing unless overridden."""

    def on_epoch_end(self) -> None:
        """Run after each epoch; does nothing unless overridden."""


def _whole(dataset: PyDataset, name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise ValueError(
            f"{type(dataset).__name__}: {name} must be an int of at least {least}, "
            f"got {value!r} ({type(value).__name__})."
        )
    return int(value)


Sequence = PyDataset
