"""HDF5: plain arrays come back exactly; damage and references elsewhere are refused."""

import io
import random
import time

import h5py
import jax
import ml_dtypes
import numpy as np
import pytest

import staghorn
from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from staghorn.saving.hdf5 import read_hdf5, read_hdf5_file, write_hdf5
from staghorn.saving.memory import sealed

ARRAYS = {
    "float32": np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4),
    "float64": np.array([np.nan, np.inf, 1e300]),
    "float16": np.ones((2, 1), "float16"),
    "bfloat16": np.array([[0.5, 3.0]], ml_dtypes.bfloat16),
    "int32": np.array(7, "int32"),
    "uint32": np.arange(2, dtype="uint32"),
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 3), "float32"),
    "large": np.linspace(0, 1, 50_000).reshape(2, -1)[:, ::-1],
    "large_bool": np.arange(100_000) % 3 == 0,
    "large_bfloat16": np.ones((90_000, 1), ml_dtypes.bfloat16),
    "scalar_bfloat16": np.array(2.5, ml_dtypes.bfloat16),
}


def small_file():
    rng = np.random.default_rng(0)
    groups = {
        "": ("net", {}),
        "layers/dense": ("d", {"0": rng.normal(size=(5, 3)).astype("float32"), "1": np.zeros(3)}),
        "optimizer": ("adam", {"0": np.array(3, "int32")}),
    }
    return groups, b"".join(write_hdf5(groups, will_be_sealed=False))


def file_of(arrays):
    return b"".join(write_hdf5({"a/b": ("b", arrays)}, will_be_sealed=False))


@pytest.mark.parametrize("kind", ARRAYS)
def test_round_trip(kind):
    array = ARRAYS[kind]
    got = read_hdf5(file_of({"0": array})).entry("a/b")["0"]
    assert got.dtype == array.dtype
    assert got.shape == array.shape
    np.testing.assert_array_equal(got.astype("float64"), array.astype("float64"))


def test_keys_are_in_the_order_of_numbers():
    data = file_of({str(i): np.array(i) for i in range(12)} | {"idf": np.zeros(1)})
    assert list(read_hdf5(data).entry("a/b")) == [*map(str, range(12)), "idf"]


def test_same_arrays_same_bytes():
    first = small_file()[1]
    time.sleep(1.1)  # timestamps in HDF5 count seconds
    assert first == small_file()[1]


@pytest.mark.parametrize("value", ["text", np.array([None]), np.array(1j)])
def test_only_numbers_are_written(value):
    with pytest.raises(ValueError, match="numbers and booleans only"):
        write_hdf5({"a": ("a", {"0": value})})


def values(data):
    file = read_hdf5(data)
    return {path: file.read(path).tobytes() for path in file.arrays}


def sealed_file(size=100_000):
    """A file of several blocks of checksums, and its content."""
    large = np.random.default_rng(1).normal(size=(size,)).astype("float32")
    groups = {"a": ("a", {"0": large, "1": np.zeros(3)}), "b": (None, {"0": np.array(3, "int32")})}
    return b"".join(sealed(write_hdf5(groups)))


def sealed_values(data):
    file = read_hdf5_file(io.BytesIO(data), "'m.weights.h5'")
    return {path: file.read(path).tobytes() for path in file.arrays}


def test_large_arrays_lie_where_the_device_can_use_them():
    data = sealed_file()
    file = read_hdf5_file(io.BytesIO(data), "'m.weights.h5'")
    value = file.read("a/vars/0")
    assert value.ctypes.data % 64 == 0
    assert not value.flags.writeable
    variable = staghorn.Variable(value)
    assert variable.value.unsafe_buffer_pointer() == value.ctypes.data
    before = value.copy()
    donated = jax.jit(lambda x: x + 1, donate_argnums=0)(variable.value)
    np.testing.assert_array_equal(donated, before + 1)
    np.testing.assert_array_equal(value, before)


@pytest.mark.parametrize("size", [10, 3_000_000])  # one block of checksums, or three
def test_every_change_of_a_sealed_file_is_seen(size):
    data = sealed_file(size)
    assert sealed_values(data)
    places = random.Random(0).sample(range(len(data)), 60)
    for position in [*places, *range(len(data) - 40, len(data))]:
        broken = bytearray(data)
        broken[position] ^= 1 << position % 8
        with pytest.raises(CorruptFileError, match=r"m\.weights\.h5"):
            sealed_values(bytes(broken))
        broken = data[:position] + bytes(min(512, len(data) - position)) + data[position + 512 :]
        if broken != data:
            with pytest.raises(CorruptFileError, match=r"m\.weights\.h5"):
                sealed_values(broken)


@pytest.mark.parametrize("cut", [1, 8, 19, 20, 24, 500])
def test_a_sealed_file_needs_its_end(cut):
    with pytest.raises(CorruptFileError, match="is damaged"):
        sealed_values(sealed_file()[:-cut])


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_truncated(share):
    _, data = small_file()
    with pytest.raises(CorruptFileError, match="the weights"):
        read_hdf5(data[: int(len(data) * share)])


def evil(change):
    buffer = io.BytesIO(small_file()[1])
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue()


def external(file):
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", (5, 3), "f4", external=[("secret.bin", 0, 60)])


def virtual(file):
    layout = h5py.VirtualLayout((5, 3), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(5, 3))
    file["layers/dense/vars"].create_virtual_dataset("7", layout)


def bomb(file):
    file.create_dataset("big", (2**40,), "f4", chunks=(1024,))


def compressed_bomb(file):
    file.create_dataset("big", data=np.zeros(40_000_000, "f4"), chunks=(10_000_000,), compression=9)


def text(file):
    file.create_dataset("text", data=["a"], dtype=h5py.string_dtype())


def plugin(file):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((4,))
    plist.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (1,))
    space = h5py.h5s.create_simple((4,))
    h5py.h5d.create(file.id, b"filtered", h5py.h5t.IEEE_F32LE, space, plist)


def set_link(name, link):
    def change(file):
        file[name] = link(file) if callable(link) else link

    return change


UNSAFE = {
    "external storage": (external, "layers/dense/vars/0' keeps its data in another file"),
    "virtual dataset": (virtual, "layers/dense/vars/7' keeps its data in another file"),
    "external link": (set_link("x", h5py.ExternalLink("o.h5", "/x")), "'x' is a ExternalLink"),
    "soft link": (set_link("layers/x", h5py.SoftLink("/layers")), "'layers/x' is a SoftLink"),
    "second name": (set_link("layers/x", lambda f: f["layers/dense"]), "second name"),
    "shape bomb": (bomb, "declares the shape"),
    "compressed bomb": (compressed_bomb, "declares the shape"),
    "text": (text, "weights are numbers"),
    "compound": (set_link("c", np.zeros(2, [("a", "f4"), ("b", "i4")])), "weights are numbers"),
    "opaque": (set_link("c", np.zeros(2, "V3")), "weights are numbers"),
    "reference": (set_link("r", lambda f: f["layers"].ref), "weights are numbers"),
    "named type": (set_link("t", np.dtype("f4")), "not an array"),
    "plugin filter": (plugin, "filters"),
}


@pytest.mark.parametrize("case", UNSAFE)
def test_references_elsewhere_are_refused(case):
    change, message = UNSAFE[case]
    with pytest.raises(UnsafeFileError, match=message):
        read_hdf5(evil(change))


def test_loop_of_groups_is_refused():
    with pytest.raises(UnsafeFileError, match="second name"):
        read_hdf5(evil(set_link("layers/again", lambda file: file["layers"])))


def test_missing_array_is_named():
    file = read_hdf5(small_file()[1])
    with pytest.raises(KeyError, match="no array '9' in 'layers/dense/vars'; there are 0, 1"):
        file.entry("layers/dense")["9"]
    assert len(file.entry("layers/nothing")) == 0
