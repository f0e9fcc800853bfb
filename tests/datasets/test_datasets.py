"""Loaders: the arrays that keras makes of the same files; downloaded once, then from the cache."""

import gzip
import hashlib
import importlib
import inspect
import io
import json
import shutil
import struct
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

import staghorn
from staghorn import datasets
from staghorn.datasets import files
from staghorn.engine import spellings
from staghorn.saving import CorruptFileError
from staghorn.utils.download import DownloadError
from tests.oracle import keras
from tests.utils.serving import serving

KERAS = ("boston_housing", "california_housing", "cifar10", "cifar100", "fashion_mnist", "imdb",
         "mnist", "reuters")  # fmt: skip
BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")

RNG = np.random.default_rng(7)


def bytes_of(*shape, high=256):
    return RNG.integers(0, high, shape).astype("uint8")


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def texts(count):
    """Lists of word numbers of different lengths, as an array of objects."""
    result = np.empty(count, dtype=object)
    for i in range(count):
        result[i] = RNG.zipf(1.3, RNG.integers(1, 40)).clip(1, 70000).tolist()
    return result


def idx(array):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def python_2_text(text):
    return b"U" + bytes([len(text)]) + text


def python_2_pickle(images, **labels):
    """A batch as CIFAR has it: a dict of Python 2, with texts of bytes."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
        b"(K\x01J" + struct.pack("<i", len(images)) + b"M\x00\x0c\x86cnumpy\ndtype\nq\x04"
        b"U\x02u1K\x00K\x01\x87Rq\x05(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + struct.pack("<i", images.nbytes) + images.tobytes() + b"tb"
    )
    lists = b"".join(
        python_2_text(name.encode()) + b"](" + b"".join(b"K" + bytes([x]) for x in values) + b"e"
        for name, values in labels.items()
    )
    return b"\x80\x02}q\x00(" + python_2_text(b"data") + array + lists + b"u."


def cifar(folder, mode="w:gz", **batches):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        info = tarfile.TarInfo(folder)
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
        for name, content in {"batches.meta": b"", **batches}.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def cifar10(rows, mode="w:gz"):
    labels = {f"data_batch_{i}" if i else "test_batch": bytes_of(rows, high=10) for i in range(6)}
    return cifar(
        "cifar-10-batches-py",
        mode,
        **{name: python_2_pickle(bytes_of(rows, 3072), labels=y) for name, y in labels.items()},
    )


def make_files():
    words = {"the": 1, "naïve": 2}
    return {
        "mnist.npz": npz(
            x_train=bytes_of(6, 28, 28), y_train=bytes_of(6, high=10),
            x_test=bytes_of(2, 28, 28), y_test=bytes_of(2, high=10),
        ),
        "boston_housing.npz": npz(x=RNG.normal(size=(37, 13)), y=RNG.normal(size=37)),
        "california_housing.npz": npz(
            x=RNG.normal(size=(700, 8)).astype("float32"), y=RNG.normal(size=700).astype("float32")
        ),
        "imdb.npz": npz(
            x_train=texts(30), y_train=RNG.integers(0, 2, 30),
            x_test=texts(20), y_test=RNG.integers(0, 2, 20),
        ),
        "reuters.npz": npz(x=texts(50), y=RNG.integers(0, 46, 50)),
        "imdb_word_index.json": json.dumps(words).encode(),
        "reuters_word_index.json": json.dumps(words).encode(),
        "train-images-idx3-ubyte.gz": idx(bytes_of(6, 28, 28)),
        "train-labels-idx1-ubyte.gz": idx(bytes_of(6, high=10)),
        "t10k-images-idx3-ubyte.gz": idx(bytes_of(2, 28, 28)),
        "t10k-labels-idx1-ubyte.gz": idx(bytes_of(2, high=10)),
        "cifar-10-batches-py-target_archive": cifar10(3),
        "cifar-100-python-target_archive": cifar(
            "cifar-100-python",
            **{
                part: python_2_pickle(
                    bytes_of(4, 3072),
                    fine_labels=bytes_of(4, high=100),
                    coarse_labels=bytes_of(4, high=20),
                )
                for part in ("train", "test")
            },
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def made():
    return make_files()


@pytest.fixture
def online(made, tmp_path, monkeypatch):
    """An empty cache, and a server that has every file."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        server.files.update(made)
        for name, content in made.items():
            monkeypatch.setitem(files.ORIGINS, name, server.url(name))
            if name in files.CHECKSUMS:
                checksum = hashlib.sha256(content).hexdigest()
                monkeypatch.setitem(files.CHECKSUMS, name, checksum)
        yield server


@pytest.fixture
def theirs(made, tmp_path_factory, monkeypatch):
    """keras's modules, which find the same files."""
    folder = tmp_path_factory.mktemp("keras")

    def get_file(fname, origin, extract=False, **_):
        name = Path(f"{fname}_archive" if extract else fname)
        path = folder / name
        path.write_bytes(made[str(name)])
        if not extract:
            return str(path)
        with tarfile.open(path) as archive:
            archive.extractall(folder / fname, filter="data")
        return str(folder / fname)

    for name in KERAS:
        module = importlib.import_module(f"keras.src.datasets.{name}")
        monkeypatch.setattr(module, "get_file", get_file)
    return keras.datasets


def assert_same_arrays(ours, theirs):
    for (x, y), (x_keras, y_keras) in zip(ours, theirs, strict=True):
        for a, b in ((x, x_keras), (y, y_keras)):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            assert a.tolist() == b.tolist()
            assert a.flags.writeable


CALLS = [
    ("mnist", {}),
    ("fashion_mnist", {}),
    ("cifar100", {}),
    ("cifar100", {"label_mode": "coarse"}),
    ("boston_housing", {}),
    ("boston_housing", {"test_split": 0.0, "seed": 3}),
    ("boston_housing", {"test_split": 0.37}),
    ("california_housing", {}),
    ("california_housing", {"version": "small", "seed": 1}),
    *[
        (name, {**arguments, **more})
        for name, more in (("imdb", {}), ("reuters", {}), ("reuters", {"test_split": 0.33}))
        for arguments in (
            {},
            {"num_words": 20},
            {"skip_top": 3},
            {"num_words": 50, "skip_top": 4, "oov_char": None},
            {"maxlen": 20},
            {"seed": 5, "index_from": 0},
            {"start_char": None},
            {"start_char": None, "index_from": 0, "maxlen": 15},
            {"start_char": 7, "oov_char": 9, "index_from": 10, "num_words": 40},
        )
    ],
]


@pytest.mark.parametrize(("name", "arguments"), CALLS, ids=str)
def test_arrays_as_keras(name, arguments, online, theirs):
    ours = getattr(datasets, name).load_data(**arguments)
    assert_same_arrays(ours, getattr(theirs, name).load_data(**arguments))


@pytest.mark.parametrize("image_data_format", ["channels_last", "channels_first"])
def test_layouts_of_images(image_data_format, online, theirs, monkeypatch):
    staghorn.config.set_image_data_format(image_data_format)
    monkeypatch.setattr(keras.src.backend, "image_data_format", lambda: image_data_format)
    monkeypatch.setattr(
        keras.src.datasets.cifar100.backend, "image_data_format", lambda: image_data_format
    )
    assert_same_arrays(datasets.cifar100.load_data(), theirs.cifar100.load_data())
    assert_same_arrays([datasets.cifar10.load_data()[1]], [expected_cifar10(online)[1]])


def expected_cifar10(online):
    """The arrays of the archive by Python's own pickle: it is a file made here."""
    import pickle

    content = io.BytesIO(online.files["cifar-10-batches-py-target_archive"])
    x, y = {}, {}
    with tarfile.open(fileobj=content) as archive:
        for member in archive:
            if "batch_" in member.name or "test_batch" in member.name:
                batch = pickle.loads(archive.extractfile(member).read(), encoding="bytes")
                images = batch[b"data"].reshape(-1, 3, 32, 32)
                if staghorn.config.image_data_format() == "channels_last":
                    images = np.moveaxis(images, 1, -1)
                x[member.name] = images
                y[member.name] = np.array(batch[b"labels"], "uint8").reshape(-1, 1)
    *train, test = sorted(x)
    return tuple(
        (np.concatenate([x[n] for n in part]), np.concatenate([y[n] for n in part]))
        for part in (train, [test])
    )


def test_cifar10(online):
    assert_same_arrays(datasets.cifar10.load_data(), expected_cifar10(online))


@pytest.mark.slow
def test_cifar10_as_keras_at_its_real_size(made, online, theirs, monkeypatch):
    name = "cifar-10-batches-py-target_archive"
    monkeypatch.setitem(made, name, cifar10(10000, "w"))
    monkeypatch.setitem(online.files, name, made[name])
    monkeypatch.delitem(files.CHECKSUMS, name)
    for ours, wanted in zip(datasets.cifar10.load_data(), theirs.cifar10.load_data(), strict=True):
        for a, b in zip(ours, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype


def test_words_and_labels_as_keras(online, theirs):
    for name in ("imdb", "reuters"):
        ours = getattr(datasets, name).get_word_index()
        assert ours == getattr(theirs, name).get_word_index()
    assert datasets.reuters.get_label_names() == theirs.reuters.get_label_names()


@pytest.mark.parametrize("name", KERAS)
def test_signatures_and_addresses_as_keras(name):
    module = importlib.import_module(f"keras.src.datasets.{name}")
    for function in ("load_data", "get_word_index", "get_label_names"):
        assert hasattr(getattr(datasets, name), function) == hasattr(module, function)
        if hasattr(module, function):
            ours, theirs = (
                [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]
                for f in (getattr(getattr(datasets, name), function), getattr(module, function))
            )
            assert ours == theirs


def test_files_as_keras(monkeypatch):
    """What keras asks for: names, addresses, checksums."""
    asked = {}

    class Asked(Exception):
        pass

    def get_file(fname, origin, file_hash=None, extract=False, **_):
        asked[f"{fname}_archive" if extract else fname] = (origin, file_hash)
        if not fname.endswith("ubyte.gz") or len(asked) % 4:
            raise Asked

    for name in KERAS:
        module = importlib.import_module(f"keras.src.datasets.{name}")
        monkeypatch.setattr(module, "get_file", get_file)
        for function in ("load_data", "get_word_index"):
            if hasattr(module, function):
                with pytest.raises(Asked):
                    getattr(module, function)()
    assert len(asked) >= 10
    for name, (origin, checksum) in asked.items():
        assert files.ORIGINS.get(name, files.KERAS + name) == origin
        assert files.CHECKSUMS.get(name) == checksum


# --- caches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KERAS)
def test_downloaded_once_then_offline(name, online, tmp_path):
    first = getattr(datasets, name).load_data()
    asked = len(online.asked)
    online.files.clear()
    assert_same_arrays(getattr(datasets, name).load_data(), first)
    assert asked == len(online.asked) == (4 if name == "fashion_mnist" else 1)
    names = {path.name for path in (tmp_path / "datasets").rglob("*") if path.is_file()}
    assert names <= set(files.ORIGINS)


def test_nothing_cached_and_offline(online, tmp_path):
    online.files.clear()
    for name in KERAS:
        with pytest.raises(DownloadError, match=r"curl -L -o .*/datasets/.* http://"):
            getattr(datasets, name).load_data()


def test_another_file_in_the_cache_is_read_offline_with_a_warning(online, made, tmp_path):
    online.files.clear()
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "mnist.npz").write_bytes(npz(
        x_train=bytes_of(1), y_train=bytes_of(1), x_test=bytes_of(1), y_test=bytes_of(1)
    ))  # fmt: skip
    with pytest.warns(UserWarning, match="checksum is another one"):
        (x, _), _ = datasets.mnist.load_data()
    assert x.shape == (1,)
    online.files.update(made)
    (x, _), _ = datasets.mnist.load_data()
    assert x.shape == (6, 28, 28)


def test_a_path_elsewhere(online, made, tmp_path):
    (tmp_path / "mine.npz").write_bytes(made["mnist.npz"])
    (x, _), _ = datasets.mnist.load_data(str(tmp_path / "mine.npz"))
    (again, _), _ = datasets.mnist.load_data(path="other.npz")
    assert x.tolist() == again.tolist()
    assert (tmp_path / "datasets" / "other.npz").is_file()


@pytest.mark.parametrize("place", ["cifar-10-batches-py-target/cifar-10-batches-py",
                                   "cifar-10-batches-py"])  # fmt: skip
def test_extracted_cifar_without_its_archive(place, online, made, tmp_path):
    expected = expected_cifar10(online)
    with tarfile.open(fileobj=io.BytesIO(made["cifar-10-batches-py-target_archive"])) as archive:
        archive.extractall(tmp_path / "datasets" / Path(place).parent, filter="data")
    online.files.clear()
    assert_same_arrays(datasets.cifar10.load_data(), expected)
    shutil.rmtree(tmp_path / "datasets")


@pytest.mark.parametrize("name", ["mnist", "imdb", "cifar10", "fashion_mnist"])
def test_damaged_files_are_named(name, online, made, tmp_path, monkeypatch):
    for file, content in made.items():
        online.files[file] = content[: len(content) // 2]
        monkeypatch.delitem(files.CHECKSUMS, file, raising=False)
    with pytest.raises(CorruptFileError, match=r"datasets/.* is damaged, or not .* Delete it"):
        getattr(datasets, name).load_data()


def test_the_real_mnist(data_folder):
    path = data_folder / "mnist.npz"
    if not path.is_file():
        pytest.skip(f"no mnist.npz in {data_folder}")
    (x, y), (x_test, y_test) = datasets.mnist.load_data(path)
    assert x.shape[1:] == x_test.shape[1:] == (28, 28)
    assert x.dtype == y.dtype == "uint8"
    assert set(y) == set(y_test) == set(range(10))


# --- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("boston_housing", {"test_split": 1.0}, "test_split must be"),
        ("california_housing", {"test_split": -0.1}, "test_split must be"),
        ("california_housing", {"version": "tiny"}, "version must be 'small' or 'large'"),
        ("reuters", {"test_split": 2}, "test_split must be"),
        ("cifar100", {"label_mode": "medium"}, "label_mode must be"),
        ("imdb", {"maxlen": 1}, "no text has fewer than maxlen=1 words"),
        ("reuters", {"maxlen": 1}, "no text has fewer than maxlen=1 words"),
        ("iris", {"test_split": 1}, "test_split must be"),
    ],
)
def test_wrong_arguments(name, arguments, words, online):
    with pytest.raises(ValueError, match=words):
        getattr(datasets, name).load_data(**arguments)


def test_old_spellings(online, monkeypatch):
    monkeypatch.setattr(spellings, "_said", set())
    for name in ("imdb", "reuters"):
        module = getattr(datasets, name)
        wanted = module.load_data(num_words=20)
        with pytest.warns(spellings.OldSpelling, match="nb_words= is an old spelling"):
            assert_same_arrays(module.load_data(nb_words=20), wanted)
        spellings._said.clear()
    with pytest.warns(spellings.OldSpelling, match="test_split="):
        (x, y), (x_test, y_test) = datasets.imdb.load_data(test_split=0.1)
    (whole, labels), (rest, more) = datasets.imdb.load_data()
    assert [len(x), len(y), len(x_test), len(y_test)] == [45, 45, 5, 5]
    assert [*x, *x_test] == [*whole, *rest]
    assert [*y, *y_test] == [*labels, *more]
    with pytest.raises(TypeError, match=r"'maxlenn'.* Did you mean 'maxlen'"):
        datasets.imdb.load_data(maxlenn=3)


# --- without a download -------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_tables(name):
    module, table = getattr(datasets, name), getattr(sklearn.datasets, f"load_{name}")()
    order = np.arange(len(table.target))
    np.random.RandomState(113).shuffle(order)
    (x, y), (x_test, y_test) = module.load_data()
    wanted = table.images if name == "digits" else table.data
    np.testing.assert_array_equal(np.concatenate([x, x_test]), wanted[order].astype(x.dtype))
    np.testing.assert_array_equal(np.concatenate([y, y_test]), table.target[order])
    assert len(x) == len(y) == int(len(order) * 0.8)
    for names in ("feature_names", "target_names"):
        if hasattr(module, names):
            assert getattr(module, names)() == list(getattr(table, names))
    assert not np.array_equal(module.load_data(seed=1)[0][1], y)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"datasets\.iris .*\n  pip install 'staghorn\[demo\]'"):
        datasets.iris.load_data()


def test_public_names():
    assert {*KERAS, *BUNDLED} == set(datasets.__all__)
    assert {name for name in dir(keras.datasets) if not name.startswith("_")} == set(KERAS)
    with pytest.raises(AttributeError, match="Did you mean 'mnist'"):
        datasets.mnst  # noqa: B018
