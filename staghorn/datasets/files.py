"""Where the data sets come from, and what reading their files has in common."""

from __future__ import annotations

import json
import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from staghorn.datasets import plain_pickle
from staghorn.engine.spellings import user_level
from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from staghorn.utils.download import DownloadError, get_file
from staghorn.utils.extraction import DAMAGE

Split = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
TORONTO = "https://www.cs.toronto.edu/~kriz/"

# name in the cache → checksum, as in Keras 3.15.1, which has none for Fashion-MNIST
CHECKSUMS = {
    "boston_housing.npz": "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",
    "california_housing.npz": "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
    "cifar-10-batches-py-target_archive":
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "cifar-100-python-target_archive":
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    "imdb.npz": "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    "imdb_word_index.json": "bfafd718b763782e994055a2d397834f",
    "mnist.npz": "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    "reuters.npz": "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
    "reuters_word_index.json": "4d44cc38712099c9e383dc6e5f11a921",
}  # fmt: skip
# Not from the folder `KERAS`
ORIGINS = {
    "cifar-10-batches-py-target_archive": f"{TORONTO}cifar-10-python.tar.gz",
    "cifar-100-python-target_archive": f"{TORONTO}cifar-100-python.tar.gz",
}


def fetch(
    name: str, path: str | os.PathLike[str] | None = None, cache_subdir: str = "datasets"
) -> str:
    """Return where a data set's file is, after downloading it if it is not in the cache.

    Args:
        name: its name in the cache.
        path: another name in the cache, or the path of a file in any other folder, which is
            taken as it is. Default: None (`name`).
        cache_subdir: folder in the cache. Default: "datasets".

    Raises:
        DownloadError: it is not there and cannot be downloaded.

    Example:
        >>> import pathlib, tempfile
        >>> from staghorn.datasets.files import fetch
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "mnist.npz"
        >>> file.touch()
        >>> fetch("mnist.npz", file) == str(file)
        True

    Notes:
        A cached file with another checksum is downloaded again, as Keras does. Where that is
        impossible, it is read, with a warning, instead of deleted.
    """
    origin, checksum = ORIGINS.get(name, KERAS + name), CHECKSUMS.get(name)
    chosen = os.path.expanduser(path or name)
    if os.path.dirname(chosen) and os.path.isfile(chosen):
        return chosen
    try:
        return get_file(chosen, origin, file_hash=checksum, cache_subdir=cache_subdir)
    except DownloadError as error:
        if not os.path.isfile(error.target):
            raise
        warnings.warn(
            f"{error.target} is not the file that {origin} is known to hold (its checksum is "
            "another one), and that one could not be downloaded. It is read as it is.",
            stacklevel=user_level(),
        )
        return error.target


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Name the file, and what to do, where its contents cannot be read.

    Raises:
        CorruptFileError: something inside failed as damaged files fail.

    Example:
        >>> from staghorn.datasets.files import reading
        >>> with reading("mnist.npz"):
        ...     raise EOFError("no end")
        Traceback (most recent call last):
        ...
        staghorn.engine.file_errors.CorruptFileError: mnist.npz is damaged, or not what its name ...
    """
    try:
        yield
    except (CorruptFileError, UnsafeFileError, FileNotFoundError, PermissionError):
        raise
    except (*DAMAGE, LookupError, OSError, TypeError, ValueError) as error:
        raise CorruptFileError(
            f"{path} is damaged, or not what its name says ({type(error).__name__}: {error}). "
            "Delete it, and it is downloaded again."
        ) from error


def read_npz(path: str, *names: str) -> list[np.ndarray]:
    """Return arrays of an `.npz` file; those of Python objects are read by `plain_pickle`.

    Raises:
        UnsafeFileError: an array of objects holds anything but data.
        CorruptFileError: the file is damaged.

    Example:
        >>> import pathlib, tempfile
        >>> from staghorn.datasets.files import read_npz
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "a.npz"
        >>> np.savez(file, x=np.array([[1, 2], [3]], dtype=object))
        >>> read_npz(str(file), "x")[0].tolist()
        [[1, 2], [3]]
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        return [_read_npy(archive, name, path) for name in names]


def _read_npy(archive: zipfile.ZipFile, name: str, path: str) -> np.ndarray:
    layout = np.lib.format
    with archive.open(f"{name}.npy") as file:
        old = layout.read_magic(file) == (1, 0)
        header = layout.read_array_header_1_0 if old else layout.read_array_header_2_0
        _, _, dtype = header(file)
        if dtype.hasobject:
            array = plain_pickle.loads(file.read(), f"{name!r} in {path}")
            if not isinstance(array, np.ndarray):
                raise ValueError(f"{name!r} is a {type(array).__name__}, not an array")
            return array
    with archive.open(f"{name}.npy") as file:
        return layout.read_array(file, allow_pickle=False)


def read_json(path: str) -> Any:
    """Return what a JSON file holds.

    Raises:
        CorruptFileError: the file is damaged.

    Example:
        >>> import pathlib, tempfile
        >>> from staghorn.datasets.files import read_json
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "a.json"
        >>> _ = file.write_text('{"the": 1}')
        >>> read_json(str(file))
        {'the': 1}
    """
    with reading(path), open(path, encoding="utf-8") as file:
        return json.load(file)


def shuffled_split(x: np.ndarray, y: np.ndarray, test_split: float, seed: int | None) -> Split:
    """Shuffle rows as Keras does for this seed, and return ((x, y) to train, (x, y) to test).

    Raises:
        ValueError: `test_split` is not in [0, 1).

    Example:
        >>> from staghorn.datasets.files import shuffled_split
        >>> rows = np.arange(5)
        >>> (x, _), (x_test, _) = shuffled_split(rows, rows, test_split=0.2, seed=113)
        >>> len(x), len(x_test)
        (4, 1)
    """
    check_fraction(test_split)
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    x, y = x[order], y[order]
    count = int(len(x) * (1 - test_split))
    return (x[:count], y[:count]), (x[count:], y[count:])


def check_fraction(test_split: float) -> None:
    """Refuse a fraction of rows to test on that leaves none to train on.

    Raises:
        ValueError: `test_split` is not in [0, 1).

    Example:
        >>> from staghorn.datasets.files import check_fraction
        >>> check_fraction(0.2)
    """
    if not 0 <= test_split < 1:
        raise ValueError(
            f"load_data: test_split must be a number in [0, 1), got {test_split!r}: the part of "
            "the rows to test on."
        )
