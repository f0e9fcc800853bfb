"""Sequences: `keras.preprocessing.sequence`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from staghorn.training.py_dataset import PyDataset
from staghorn.utils.sequence import pad_sequences as pad_sequences

__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams"]


class TimeseriesGenerator(PyDataset):
    """Batches of windows of a time series, each with the target after its last step.

    data (steps, ...) → batches of ((batch, length / sampling_rate, ...), (batch, ...))
    window of step t: data[t - length], data[t - length + sampling_rate], ...; target: targets[t]

    Args:
        data: array, list or pandas table, one row per time step.
        targets: the same, as long as `data`.
        length: int, steps that a window spans.
        sampling_rate: int, steps from one step of a window to the next. Default: 1.
        stride: int, steps from one window to the next. Default: 1.
        start_index: int, the first step that is used. Default: 0.
        end_index: int, the last step that is used. Default: None (the last one).
        shuffle: bool, whether windows are drawn at random, anew for each batch. Default: False.
        reverse: bool, whether the steps of a window come last first. Default: False.
        batch_size: int, windows in a batch. Default: 128.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `PyDataset`.

    Raises:
        ValueError: if lengths differ, or no window fits.

    Example:
        >>> series = np.arange(10.0)
        >>> windows = staghorn.preprocessing.sequence.TimeseriesGenerator(
        ...     series, series, length=3, batch_size=4)
        >>> x, y = windows[0]
        >>> len(windows), x[0].tolist(), float(y[0])
        (2, [0.0, 1.0, 2.0], 3.0)

    Notes: Written today: `staghorn.utils.timeseries_dataset_from_array`. Without `to_json`, which
        fails in Keras 3.15.1.

    Reference: https://github.com/keras-team/keras-preprocessing
    """

    def __init__(
        self, data: Any, targets: Any, length: int, sampling_rate: int = 1, stride: int = 1,
        start_index: int = 0, end_index: int | None = None, shuffle: bool = False,
        reverse: bool = False, batch_size: int = 128, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if len(data) != len(targets):
            raise ValueError(
                f"TimeseriesGenerator: data has {len(data)} steps, targets has {len(targets)}; "
                "they must be equally long."
            )
        self.data = data
        self.targets = targets
        self.length = length
        self.sampling_rate = sampling_rate
        self.stride = stride
        self.start_index = start_index + length
        self.end_index = len(data) - 1 if end_index is None else end_index
        self.shuffle = shuffle
        self.reverse = reverse
        self.batch_size = batch_size
        if self.start_index > self.end_index:
            raise ValueError(
                f"TimeseriesGenerator: no window fits. start_index + length = {self.start_index} "
                f"is the first target, end_index = {self.end_index} the last one."
            )

    def __len__(self) -> int:
        steps = self.batch_size * self.stride
        return (self.end_index - self.start_index + steps) // steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if self.shuffle:
            rows = np.random.randint(self.start_index, self.end_index + 1, size=self.batch_size)
        else:
            steps = self.batch_size * self.stride
            first = self.start_index + steps * index
            rows = np.arange(first, min(first + steps, self.end_index + 1), self.stride)
        # pandas counts rows by `iloc`
        data, targets = (getattr(part, "iloc", part) for part in (self.data, self.targets))
        samples = np.array([data[row - self.length : row : self.sampling_rate] for row in rows])
        return samples[:, ::-1] if self.reverse else samples, np.array([targets[r] for r in rows])


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> np.ndarray:
    """Return how probably a word of each rank is kept, as word2vec does it: frequent ones rarely.

    p = min(1, sqrt(sampling_factor / f)), f = 1 / (rank (log rank + 0.577) + 1/2 - 1/(12 rank))

    Args:
        size: int, number of ranks.
        sampling_factor: the smaller, the fewer are kept. Default: 1e-5.

    Returns:
        An array (size,).

    Example:
        >>> table = staghorn.preprocessing.sequence.make_sampling_table(5)
        >>> [round(float(p), 5) for p in table]
        [0.00315, 0.00315, 0.00548, 0.00742, 0.00913]

    Reference: https://arxiv.org/abs/1310.4546
    """
    rank = np.maximum(np.arange(size), 1)
    inverse_frequency = rank * (np.log(rank) + 0.577) + 0.5 - 1.0 / (12.0 * rank)
    ratio = sampling_factor * inverse_frequency
    return np.minimum(1.0, ratio / np.sqrt(ratio))


def skipgrams(
    sequence: Sequence[int], vocabulary_size: int, window_size: int = 4,
    negative_samples: float = 1.0, shuffle: bool = True, categorical: bool = False,
    sampling_table: Any = None, seed: int | None = None,
) -> tuple[list[list[int]], list[Any]]:  # fmt: skip
    """Pair words with their neighbours (label 1), and with random words (label 0).

    Args:
        sequence: numbers of words; 0 is no word and left out.
        vocabulary_size: int, one more than the largest number.
        window_size: int, how far neighbours are. Default: 4.
        negative_samples: how many random pairs for each pair of neighbours. Default: 1.0.
        shuffle: bool, whether pairs come in random order. Default: True.
        categorical: bool, whether labels are [0, 1] and [1, 0]. Default: False.
        sampling_table: probabilities to keep words, see `make_sampling_table`. Default: None.
        seed: int that decides the order. Default: None (from Python's `random`).

    Returns:
        Pairs and labels, two lists.

    Example:
        >>> pairs, labels = staghorn.preprocessing.sequence.skipgrams(
        ...     [1, 2, 3], vocabulary_size=4, window_size=1, negative_samples=0, shuffle=False)
        >>> pairs, labels
        ([[1, 2], [2, 1], [2, 3], [3, 2]], [1, 1, 1, 1])

    Reference: https://arxiv.org/abs/1301.3781
    """
    no, yes = ([1, 0], [0, 1]) if categorical else (0, 1)
    couples = []
    for place, word in enumerate(sequence):
        if not word or (sampling_table is not None and sampling_table[word] < random.random()):
            continue
        for near in range(max(0, place - window_size), place + window_size + 1):
            if near != place and near < len(sequence) and sequence[near]:
                couples.append([word, sequence[near]])
    labels: list[Any] = [yes] * len(couples)
    if negative_samples > 0:
        words = [word for word, _ in couples]
        random.shuffle(words)
        count = int(len(labels) * negative_samples)
        couples += [
            [words[i % len(words)], random.randint(1, vocabulary_size - 1)] for i in range(count)
        ]
        labels += [no] * count
    if shuffle:
        seed = random.randint(0, 10**7) if seed is None else seed
        for part in (couples, labels):  # the same order twice
            random.seed(seed)
            random.shuffle(part)
    return couples, labels
