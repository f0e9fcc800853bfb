"""`pad_sequences`, `split_dataset` and `timeseries_dataset_from_array` against keras and NumPy."""

import itertools
import random

import numpy as np
import pandas as pd
import pytest

from staghorn.training.sources import make_source
from staghorn.utils import pad_sequences, split_dataset, timeseries_dataset_from_array
from tests.oracle import keras

ROWS = [[1], [2, 3], [], [4, 5, 6, 7]]
STEPS = [np.ones((1, 2)), np.full((3, 2), 2.0)]


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("maxlen", [None, 1, 3, 6])
@pytest.mark.parametrize("rows", [ROWS, STEPS, [np.arange(5)]], ids=["lists", "steps", "array"])
def test_pad_sequences(rows, maxlen, padding, truncating):
    options = {"maxlen": maxlen, "padding": padding, "truncating": truncating}
    for more in ({}, {"dtype": "float32", "value": -1.5}):
        ours = pad_sequences(rows, **options, **more)
        theirs = keras.utils.pad_sequences(rows, **options, **more)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_pad_words_and_nothing():
    words = pad_sequences([["a"], ["b", "longer"]], dtype=object, value="")
    assert words.tolist() == [["", "a"], ["b", "longer"]]
    assert pad_sequences([]).shape == (0, 0)
    assert pad_sequences([[1]], maxlen=0).shape == (1, 0)


MISTAKES = {
    "side": (lambda: pad_sequences([[1]], padding="left"), "padding must be 'pre' or 'post'.*left"),
    "cut": (lambda: pad_sequences([[1]], truncating=1), "truncating must be .* got 1"),
    "flat": (lambda: pad_sequences([1, 2]), r"sequence 0 is 1 \(int\).*\[\[1, 2\], \[3\]\]"),
    "generator": (
        lambda: pad_sequences(x for x in ROWS),
        "must be a list of sequences.*list first",
    ),
    "shapes": (
        lambda: pad_sequences([np.ones((1, 2)), np.ones((1, 3))]),
        r"sequence 1 have shape \(3,\), those of the first one have \(2,\)",
    ),
    "word": (lambda: pad_sequences([[1]], value="x"), "'x' cannot fill .* int32.*dtype=object"),
    "no size": (lambda: split_dataset(np.ones(3)), "left_size=0.8"),
    "too much": (lambda: split_dataset(np.ones(4), 3, 2), r"3 \+ 2 rows, more than the 4"),
    "all": (lambda: split_dataset(np.ones(4), 4), "int between 1 and 3.* got 4"),
    "share": (lambda: split_dataset(np.ones(4), right_size=1.5), "right_size .* got 1.5"),
    "nothing left": (lambda: split_dataset(np.ones(4), 0.01), "leave 0 and 4 of 4 rows"),
    "rows": (lambda: split_dataset((np.ones(4), np.ones(3)), 0.5), "different numbers of rows"),
    "no window": (
        lambda: timeseries_dataset_from_array(np.ones(6), None, 4, sampling_rate=2),
        "no window fits. A window of 4 steps, 2 apart, spans 7; there are 6 steps",
    ),
    "start": (
        lambda: timeseries_dataset_from_array(np.ones(6), None, 2, start_index=6),
        "start_index must be an int between 0 and 5, got 6",
    ),
    "end": (
        lambda: timeseries_dataset_from_array(np.ones(6), None, 2, start_index=3, end_index=3),
        "end_index must be an int between 4 and 6, got 3",
    ),
    "stride": (
        lambda: timeseries_dataset_from_array(np.ones(6), None, 2, sequence_stride=0),
        "sequence_stride must be an int between 1 and 5, got 0",
    ),
    "batch": (
        lambda: timeseries_dataset_from_array(np.ones(6), None, 2, batch_size=0),
        "batch_size must be an int of at least 1, got 0",
    ),
    "format": (
        lambda: timeseries_dataset_from_array(np.ones(6), None, 2, format="torch"),
        "format must be 'tf', got 'torch'",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_taught(case):
    make, message = MISTAKES[case]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        make()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2, 3], "list of ints.*np.asarray"),
        (make_source(iter([])), "is a IteratorSource.*Split the arrays"),
    ],
)
def test_what_cannot_be_split(data, message):
    with pytest.raises(TypeError, match=f"(?s){message}"):
        split_dataset(data, 0.5)


X, Y = np.arange(20.0).reshape(10, 2), np.arange(10)


@pytest.mark.parametrize(
    ("sizes", "left", "right"),
    [
        ({"left_size": 0.8}, 8, 2),
        ({"left_size": 3}, 3, 7),
        ({"right_size": 0.25}, 8, 2),
        ({"left_size": 2, "right_size": 3}, 2, 3),
        ({"left_size": 0.5, "right_size": 0.3}, 5, 3),
    ],
)
def test_split_takes_the_two_ends(sizes, left, right):
    (x_left, y_left), (x_right, y_right) = split_dataset((X, Y), **sizes)
    assert y_left.tolist() == list(range(left))
    assert y_right.tolist() == list(range(10 - right, 10))
    np.testing.assert_array_equal(x_left, X[:left])
    np.testing.assert_array_equal(x_right, X[10 - right :])


def test_split_keeps_kinds():
    left, right = split_dataset({"a": X, "b": [pd.Series(Y)]}, 4, shuffle=True, seed=1)
    assert left["a"].shape == (4, 2)
    assert isinstance(right["b"][0], pd.Series)
    np.testing.assert_array_equal(right["a"][:, 0], 2 * right["b"][0])
    assert sorted([*left["b"][0], *right["b"][0]]) == list(range(10))


def test_shuffled_split_follows_the_seed_and_leaves_the_generator_alone():
    random.seed(0)
    state = random.getstate()
    first, _ = split_dataset(Y, 0.5, shuffle=True, seed=7)
    assert random.getstate() == state
    order = list(range(10))
    random.seed(7)  # what keras does
    random.shuffle(order)
    assert first.tolist() == order[:5]
    assert split_dataset(Y, 0.5, shuffle=True, seed=8)[0].tolist() != order[:5]
    assert sorted(np.concatenate(split_dataset(Y, 0.5, shuffle=True)).tolist()) == list(range(10))


def windows_of(data, targets, length, stride=1, rate=1, start=0, end=None):
    """The windows by the definition, one at a time."""
    end = len(data) if end is None else end
    for first in range(start, end, stride):
        steps = [first + i * rate for i in range(length)]
        if steps[-1] >= end or (targets is not None and first >= len(targets)):
            return
        yield data[steps] if targets is None else (data[steps], targets[first])


WINDOWS = [
    {"length": 3},
    {"length": 10, "rate": 2, "stride": 3},
    {"length": 2, "stride": 7, "start": 5, "end": 40},
    {"length": 1, "rate": 4},
]
SERIES = np.arange(99.0)


@pytest.mark.parametrize("case", WINDOWS, ids=str)
@pytest.mark.parametrize("batch_size", [None, 4])
def test_windows(case, batch_size):
    names = {"length": "sequence_length", "rate": "sampling_rate", "stride": "sequence_stride"}
    options = {names.get(key, f"{key}_index"): value for key, value in case.items()}
    for data, targets in ((SERIES, None), (np.stack([SERIES, -SERIES], 1), SERIES[:50] * 2)):
        dataset = timeseries_dataset_from_array(data, targets, batch_size=batch_size, **options)
        wanted = list(windows_of(data, targets, **case))
        found = list(dataset)
        assert len(found) == len(dataset) == -(-len(wanted) // (batch_size or 1))
        if batch_size is not None:
            found = [
                row
                for batch in found
                for row in (batch if targets is None else zip(*batch, strict=True))
            ]
        for ours, theirs in zip(found, wanted, strict=True):
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(a, b)


def test_shuffled_windows_differ_from_pass_to_pass_and_follow_the_seed():
    def passes(seed):
        dataset = timeseries_dataset_from_array(SERIES, SERIES, 3, shuffle=True, seed=seed)
        return [np.concatenate([y for _, y in dataset]).tolist() for _ in range(2)]

    first, second = passes(1)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(97))
    assert passes(1) == [first, second]
    assert passes(2) != [first, second]
    starts = np.arange(97)
    np.random.RandomState(1).shuffle(starts)  # as keras, before its buffer
    assert first == starts.tolist()


def test_windows_are_a_source_whose_order_is_kept():
    dataset = timeseries_dataset_from_array(SERIES, SERIES, 3, batch_size=10)
    source = make_source(dataset, shuffle=True)
    assert source.num_batches == 10
    assert source.restarts
    found = [y for _, y in source.batches()]
    np.testing.assert_array_equal(np.concatenate(found), SERIES[:97])


def test_windows_against_keras():
    pytest.importorskip("tensorflow", reason="keras makes windows with TensorFlow only")
    for case, targets in itertools.product(range(3), (None, SERIES[:60])):
        options = [
            {"sequence_length": 5},
            {"sequence_length": 4, "sampling_rate": 3, "sequence_stride": 2, "batch_size": 7},
            {"sequence_length": 4, "start_index": 9, "end_index": 55, "batch_size": None},
        ][case]
        ours = list(timeseries_dataset_from_array(SERIES, targets, **options))
        theirs = keras.utils.timeseries_dataset_from_array(SERIES, targets, **options)
        for a, b in zip(ours, theirs.as_numpy_iterator(), strict=True):
            for one, other in zip(a, b, strict=True):
                np.testing.assert_array_equal(one, other)


def test_split_against_keras():
    pytest.importorskip("tensorflow", reason="keras splits with TensorFlow only")
    for options in ({"left_size": 0.8}, {"right_size": 3, "shuffle": True, "seed": 4}):
        ours = split_dataset((X, Y), **options)
        theirs = keras.utils.split_dataset((X, Y), **options)
        for a, b in zip(ours, theirs, strict=True):
            x, y = zip(*b.as_numpy_iterator(), strict=True)
            np.testing.assert_array_equal(a[0], x)
            np.testing.assert_array_equal(a[1], y)


def test_split_of_a_torch_dataset():
    torch = pytest.importorskip("torch", reason="splitting a torch Dataset needs torch")
    rows = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    left, right = split_dataset(rows, 0.8)
    assert (len(left), len(right)) == (8, 2)
    assert int(right[0][1]) == 8
