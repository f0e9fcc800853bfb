"""What counts as a source of batches, what its batches are, and what is said of wrong ones."""

import functools
import itertools
import math
import random

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from keras.src.trainers.data_adapters import get_data_adapter

import staghorn
from staghorn.engine import tree
from staghorn.training.sources import make_source
from staghorn.utils import PyDataset
from tests.oracle import keras

X, Y, W = np.arange(12.0).reshape(4, 3), np.arange(4), np.ones(4)


class Dataset(PyDataset):
    """Returns the batches it was given."""

    def __init__(self, batches, **kwargs):
        super().__init__(**kwargs)
        self.given = batches

    def __len__(self):
        return len(self.given)

    def __getitem__(self, index):
        return self.given[index]


class KerasDataset(keras.utils.PyDataset):
    """The same for keras."""

    def __init__(self, batches):
        super().__init__()
        self.given = batches

    def __len__(self):
        return len(self.given)

    def __getitem__(self, index):
        return self.given[index]


class ByNumber:
    """What looks like a PyDataset."""

    def __init__(self, batches):
        self.given = batches

    def __len__(self):
        return len(self.given)

    def __getitem__(self, index):
        return self.given[index]


class ByNumberToo(ByNumber):
    """Both ways, as Keras's Sequence."""

    def __iter__(self):
        raise AssertionError("its hooks say that it is to be used by number")

    def on_epoch_end(self):
        self.given = self.given[:1]


class Loader:
    """Gives a new iterator each time."""

    def __init__(self, batches):
        self.given = batches

    def __iter__(self):
        return iter(self.given)


class SizedLoader(Loader):
    def __len__(self):
        return len(self.given)


class Itself(SizedLoader):
    """Its own iterator, and starts again."""

    def __iter__(self):
        self.place = 0
        return self

    def __next__(self):
        if self.place == len(self.given):
            raise StopIteration
        self.place += 1
        return self.given[self.place - 1]


def generator(batches):
    yield from batches


# name, maker, what messages call it, length known?, again?
SOURCES = [
    ("PyDataset", Dataset, "PyDataset Dataset", True, True),
    ("keras's PyDataset", KerasDataset, "PyDataset KerasDataset", True, True),
    ("threads", functools.partial(Dataset, workers=2), "PyDataset Dataset", True, True),
    ("by number", ByNumber, "sequence ByNumber", True, True),
    ("by number, iterable", ByNumberToo, "sequence ByNumberToo", True, True),
    ("iterable", Loader, "iterable Loader", False, True),
    ("sized iterable", SizedLoader, "iterable SizedLoader", True, True),
    ("starts itself again", Itself, "iterable Itself", True, True),
    ("generator", generator, "generator generator", False, False),
    ("expression", lambda b: (x for x in b), "generator", False, False),
    ("iterator", iter, "iterator of type list_iterator", False, False),
    ("map", lambda b: map(tuple, b), "iterator of type map", False, False),
]
IDS = [name for name, *_ in SOURCES]


@pytest.mark.parametrize(("name", "make", "what", "sized", "again"), SOURCES, ids=IDS)
def test_kinds(name, make, what, sized, again):
    source = make_source(make([(X, Y)] * 3))
    assert source.what == what
    assert source.num_batches == (3 if sized else None)
    assert source.restarts is again
    assert source.infinite is False
    assert len(list(source.batches())) == 3
    assert len(list(source.batches())) == (3 if again else 0)
    source.on_epoch_begin()
    source.on_epoch_end()
    assert source.num_batches == {"by number, iterable": 1}.get(name, 3 if sized else None)
    source.close()
    source.close()
    assert make_source(source) is source


@pytest.mark.parametrize(
    "arrays",
    [
        *(None, X, jnp.ones(3), X.tolist(), (X, X), {"a": X}, [], range(3), {1, 2}),
        *(pd.DataFrame({"a": Y}), pd.Series(Y), scipy.sparse.eye_array(3), 3.0, "text"),
        *(np.float32(1), [(X, Y)], bytearray(b"ab"), keras.Variable(X), staghorn.Variable(X)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_arrays_are_not_sources(arrays):
    assert make_source(arrays) is None


def test_files_of_arrays_are_not_sources(tmp_path):
    import h5py

    np.save(tmp_path / "x.npy", X)
    assert make_source(np.load(tmp_path / "x.npy", mmap_mode="r")) is None
    with h5py.File(tmp_path / "x.h5", "w") as file:
        assert make_source(file.create_dataset("x", data=X)) is None


def test_batches_cut_from_a_file_are_read(tmp_path):
    np.save(tmp_path / "x.npy", X.astype("float64"))
    file = np.load(tmp_path / "x.npy", mmap_mode="r")
    ((x, y),) = make_source((file[i:], [{"a": file[i:, 0]}]) for i in [1]).batches()
    np.testing.assert_array_equal(x, X[1:])
    assert type(x) is type(y[0]["a"]) is np.ndarray
    assert y[0]["a"].dtype == "float32"


def test_a_generator_goes_on_where_a_pass_was_left():
    source = make_source(np.full((1, 1), i) for i in itertools.count())
    batches = source.batches()
    found = [next(batches), next(batches)]
    batches.close()
    found += itertools.islice(source.batches(), 2)
    assert [int(x[0, 0]) for (x,) in found] == [0, 1, 2, 3]


def test_endless_datasets():
    class Endless(Dataset):
        num_batches = property(lambda self: math.inf)

    source = make_source(Endless([(X,)]))
    assert source.num_batches is None
    assert source.infinite


FORMS = {
    "x": (X, 1),
    "(x,)": ((X,), 1),
    "(x, y)": ((X, Y), 2),
    "[x, y]": ([X, Y], 2),
    "(x, y, w)": ((X, Y, W), 3),
    "(x, None)": ((X, None), 1),
    "(x, y, None)": ((X, Y, None), 2),
    "(x, None, w)": ((X, None, W), 3),
    "dict": ({"a": X, "b": Y}, 1),
    "nests": (((X, [X, Y]), {"a": Y}), 2),
    "jax": ((jnp.asarray(X), jnp.asarray(Y)), 2),
    "pandas": ((pd.DataFrame({"a": Y, "b": W}), pd.Series(Y)), 2),
    "lists": ((X.tolist(), Y.tolist()), 2),
    "halves and images": ((X.astype("float16"), X.astype("uint8")), 2),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_batches(form):
    batch, parts = FORMS[form]
    (found,) = make_source(Dataset([batch])).batches()
    assert isinstance(found, tuple)
    assert len(found) == parts
    for array in tree.flatten(found):
        if array is not None:
            assert isinstance(array, (np.ndarray, jax.Array))
            assert array.dtype in ("float32", "int32", "uint8")
            assert len(array) == 4


@pytest.mark.parametrize("form", ["(x,)", "(x, y)", "[x, y]", "(x, y, w)", "x"])
def test_batches_equal_those_of_keras(form):
    batch, _ = FORMS[form]
    theirs = get_data_adapter(KerasDataset([batch] * 2)).get_numpy_iterator()
    ours = make_source(Dataset([batch] * 2)).batches()
    for a, b in zip(ours, theirs, strict=True):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_order_of_shuffled_batches_is_that_of_keras():
    batches = [(np.full((2, 1), i),) for i in range(20)]
    random.seed(3)
    ours = make_source(Dataset(batches), shuffle=True)
    ours = [x[0, 0] for _ in range(2) for (x,) in ours.batches()]
    random.seed(3)
    theirs = get_data_adapter(KerasDataset(batches), shuffle=True)
    assert ours == [x[0, 0] for _ in range(2) for (x,) in theirs.get_numpy_iterator()]


GOOD = (X, Y)
WRONG = {
    "four": ((X, Y, W, W), "Batch 1 of PyDataset Dataset is a tuple of 4. A batch is x"),
    "none at all": ((), "is a tuple of 0"),
    "None": (None, "is None. .* `return` missing"),
    "no x": ((None, Y), "is None"),
    "number": (3.0, "x of batch 1 of PyDataset Dataset is a single number, 3.0"),
    "sample": ((X, Y[0]), "y of batch 1 .* is a single number"),
    "ragged": (([[1, 2], [3]], Y), r"x of batch 1 .* different lengths \(\[1, 2\]"),
    "text": ((X, ["a", "b", "c", "d"]), "y of batch 1 .* holds str values such as 'a'"),
    "missing": ((X, [1, None, 2, 3]), "y of batch 1 .*missing"),
    "sparse": ((scipy.sparse.eye_array(4), Y), "x of batch 1 .* sparse .*toarray"),
    "rows": ((X, Y[:3]), "different numbers of rows: x has 4, y has 3"),
    "no rows": ((X[:0], Y[:0]), "Batch 1 of PyDataset Dataset has 0 rows"),
    "parts": ((X,), "holds x; the first batch held x, y"),
    "structure": (({"a": X}, Y), r"holds x\['a'\], y; the first batch held x, y"),
    "rank": ((X, Y[:, None]), r"y has shape \(4, 1\), in the first batch it had \(4,\)"),
    "type": ((X, Y + 0.5), "y is float32, in the first batch it was int32.*'int32'"),
    "big": ((X, Y + 2**40), "y of batch 1 .* outside 32 bits"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_batches_are_named(case):
    batch, message = WRONG[case]
    batches = make_source(Dataset([GOOD, batch])).batches()
    next(batches)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        next(batches)


def test_messages_give_the_number_in_the_dataset_when_shuffled():
    wrong = [(X, Y) if i != 13 else (X, Y[:2]) for i in range(20)]
    with pytest.raises(ValueError, match="Batch 13 of"):
        list(make_source(Dataset(wrong), shuffle=True).batches())


@pytest.mark.parametrize(("name", "make", "what", "sized", "again"), SOURCES, ids=IDS)
def test_errors_of_the_users_code_say_where(name, make, what, sized, again):
    class Broken(list):
        def __getitem__(self, index):
            if index == 2:
                raise OSError("no such picture")
            return super().__getitem__(index)

        def __iter__(self):
            return (self[i] for i in range(len(self)))

    source = make_source(make(Broken([(X, Y)] * 4)))
    with pytest.raises(OSError, match="no such picture") as caught:
        list(source.batches())
    assert caught.value.__notes__ == [f"This happened while {source.what} made batch 2."]


class Nothing(PyDataset):
    pass


class HalfBatches(Dataset):
    def __len__(self):
        return np.ceil(2.5)


class OddNumber(Dataset):
    num_batches = 2.5


MISTAKES = {
    "class": (lambda: make_source(Dataset), "x is the class Dataset itself.*one of its objects"),
    "generator function": (
        lambda: make_source(generator, "validation_data"),
        r"validation_data is the function generator itself. .* generator\(\)",
    ),
    "method": (lambda: make_source(Dataset([]).__len__), "is the function __len__ itself"),
    "partial": (lambda: make_source(functools.partial(generator, [])), "function generator itself"),
    "empty": (lambda: make_source(Dataset([])), "PyDataset Dataset has 0 batches"),
    "float length": (lambda: make_source(HalfBatches([])), "HalfBatches: __len__ .* math.ceil"),
    "odd number": (lambda: make_source(OddNumber([])), "num_batches must be an int, or None.*2.5"),
    "workers": (lambda: Dataset([], workers=-1), "Dataset: workers must be an int .* 0, got -1"),
    "queue": (lambda: Dataset([], max_queue_size=0), "max_queue_size must be an int .* 1, got 0"),
    "kind": (lambda: Dataset([], workers="2"), r"got '2' \(str\)"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_taught(case):
    make, message = MISTAKES[case]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        make()


def test_what_a_py_dataset_must_have():
    with pytest.raises(NotImplementedError, match=r"(?s)Nothing does not say .*def __len__"):
        make_source(Nothing())
    with pytest.raises(NotImplementedError, match=r"Nothing has no __getitem__"):
        Nothing()[0]


def test_py_dataset_is_that_of_keras():
    ours, theirs = Dataset([GOOD] * 3), KerasDataset([GOOD] * 3)
    names = [name for name in dir(keras.utils.PyDataset) if not name.startswith("_")]
    assert names == [name for name in dir(PyDataset) if not name.startswith("_")]
    for name in ("workers", "use_multiprocessing", "max_queue_size", "num_batches"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert len(list(ours)) == len(list(theirs)) == 3
    assert staghorn.utils.Sequence is staghorn.utils.PyDataset is PyDataset

    class Uncalled(PyDataset):
        def __init__(self):
            pass

    assert (Uncalled().workers, Uncalled().max_queue_size) == (1, 10)
