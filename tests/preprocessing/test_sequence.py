"""`TimeseriesGenerator`, `skipgrams` and `make_sampling_table` against keras."""

import importlib
import itertools
import random

import numpy as np
import pandas as pd
import pytest

import staghorn
from staghorn.preprocessing import sequence as ours
from tests.oracle import keras

theirs = importlib.import_module(f"{keras.__name__}.src.legacy.preprocessing.sequence")

SERIES = np.arange(46.0).reshape(23, 2)
OPTIONS = {
    "plain": {"length": 4},
    "batches": {"length": 3, "batch_size": 5},
    "sampled": {"length": 6, "sampling_rate": 2, "stride": 3, "batch_size": 2},
    "part": {"length": 4, "start_index": 2, "end_index": 15, "batch_size": 4},
    "reverse": {"length": 5, "reverse": True, "batch_size": 8},
    "shuffled": {"length": 5, "shuffle": True, "batch_size": 8},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_timeseries_generator(name):
    for data in (SERIES, SERIES.tolist()):
        a, b = (m.TimeseriesGenerator(data, data, **OPTIONS[name]) for m in (ours, theirs))
        assert len(a) == len(b)
        for i in range(len(a)):
            np.random.seed(i)
            batch = a[i]
            np.random.seed(i)
            for mine, other in zip(batch, b[i], strict=True):
                assert mine.dtype == other.dtype
                np.testing.assert_array_equal(mine, other)


def test_timeseries_generator_of_a_table():
    table = pd.DataFrame(SERIES, index=np.arange(23) * 10)
    a = ours.TimeseriesGenerator(table, table[1], length=4)
    b = ours.TimeseriesGenerator(SERIES, SERIES[:, 1], length=4)
    for mine, other in zip(a[0], b[0], strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_model_learns_from_windows():
    staghorn.utils.set_random_seed(0)
    series = np.sin(np.arange(200) / 5).astype("float32")
    windows = ours.TimeseriesGenerator(series, series, length=8, batch_size=32)
    model = staghorn.Sequential([staghorn.layers.Dense(1)])
    model.compile("adam", "mse")
    losses = model.fit(windows, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.predict(windows, verbose=0).shape == (192, 1)


@pytest.mark.parametrize(
    ("window", "negative", "shuffle", "categorical"),
    list(itertools.product([1, 4], [0, 1.0, 2.5], [True, False], [True, False])),
)
def test_skipgrams(window, negative, shuffle, categorical):
    rows = [3, 1, 0, 4, 1, 5, 9, 2, 6]
    table = ours.make_sampling_table(10, 0.05)
    for sampling_table in (None, table):
        results = []
        for module in (ours, theirs):
            random.seed(4)
            results.append(
                module.skipgrams(
                    rows, 10, window, negative, shuffle, categorical, sampling_table, seed=2
                )
            )
        assert results[0] == results[1]
    random.seed(1)
    first = ours.skipgrams(rows, 10)
    random.seed(1)
    assert ours.skipgrams(rows, 10) == first


@pytest.mark.parametrize("factor", [1e-5, 1e-3, 1.0])
def test_make_sampling_table(factor):
    np.testing.assert_array_equal(
        ours.make_sampling_table(50, factor), theirs.make_sampling_table(50, factor)
    )


def test_pad_sequences_is_the_one_of_utils():
    assert ours.pad_sequences is staghorn.utils.pad_sequences


MISTAKES = {
    "lengths": (lambda: ours.TimeseriesGenerator([1, 2], [1], 1), "2 steps, targets has 1"),
    "window": (lambda: ours.TimeseriesGenerator([1, 2], [1, 2], 2), "= 2 .* end_index = 1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    call, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        call()
