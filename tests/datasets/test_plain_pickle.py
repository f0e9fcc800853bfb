"""plain_pickle: the same data as Python's pickle, and nothing but data."""

import copyreg
import functools
import os
import pickle
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from staghorn.datasets import files
from staghorn.datasets.plain_pickle import loads
from staghorn.saving import CorruptFileError, UnsafeFileError

REFUSED = (CorruptFileError, UnsafeFileError)

leaves = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text() | st.binary(min_size=1)
    | st.floats(allow_nan=False)
)  # fmt: skip
data = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.text() | st.integers(-9, 9) | st.binary(min_size=1), inner)
    ),
    max_leaves=12,
)
kinds = (
    arrays.integer_dtypes(endianness="?") | arrays.unsigned_integer_dtypes() | st.just("bool")
    | arrays.floating_dtypes(endianness="?") | arrays.byte_string_dtypes() | st.just("<U3")
)  # fmt: skip


@given(data, st.integers(2, 5))
def test_data_as_pickle(value, protocol):
    assert loads(pickle.dumps(value, protocol)) == value


@given(arrays.arrays(kinds, arrays.array_shapes(min_dims=0)), st.integers(2, 4))
def test_arrays_as_pickle(array, protocol):
    for value in (array, np.asfortranarray(array)):
        read = loads(pickle.dumps({"a": value, "again": [value, value]}, protocol))
        assert read["a"].dtype == array.dtype
        assert read["a"].shape == value.shape
        assert read["a"].tobytes() == value.tobytes()
        assert read["a"].flags.writeable
        assert read["again"][0] is read["again"][1] is read["a"]


def test_arrays_of_lists_and_sharing():
    ragged = np.empty((2, 2), dtype=object)
    ragged[:] = [[[1, 2], [300]], [[], [70000, "a"]]]
    for protocol in (2, 3, 4):
        assert loads(pickle.dumps(ragged, protocol)).tolist() == ragged.tolist()
    shared = [1]
    read = loads(pickle.dumps([shared, shared, {"x": shared}], 4))
    assert read[0] is read[1] is read[2]["x"]


def test_texts_of_python_2_are_bytes():
    content = b"\x80\x02}q\x00(U\x01aq\x01K\x05T\x02\x00\x00\x00xy]q\x02h\x01au."
    assert loads(content) == pickle.loads(content, encoding="bytes")
    assert loads(content) == {b"a": 5, b"xy": [b"a"]}


class Calls:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


class State:
    def __setstate__(self, state):
        os.mkdir("ran")


class New:
    def __new__(cls, *arguments):
        os.mkdir("ran")
        return super().__new__(cls)

    def __getnewargs__(self):
        return ("ran",)

    def __getstate__(self):
        return {"x": 1}


def array_of(value):
    array = np.zeros(2, dtype=object)
    array[0] = value
    return array


OBJECTS = {
    "call": Calls(os.mkdir, "ran"),
    "call in a list": [Calls(os.mkdir, "ran")],
    "call in an array": array_of(Calls(os.mkdir, "ran")),
    "eval": Calls(eval, "__import__('os').mkdir('ran')"),
    "partial": functools.partial(os.mkdir, "ran"),
    "getattr": Calls(getattr, "x", "upper"),
    "numpy's load": Calls(np.load, "x.npy", "r", True),
    "setstate": State(),
    "new": object.__new__(New),
    "class": State,
    "function": os.mkdir,
    "set": {1, 2},
    "complex number": 1j,
    "bytearray": bytearray(b"x"),
    "records": np.zeros(1, dtype=[("a", "O"), ("b", "u8")]),
}


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", OBJECTS)
def test_objects_are_refused(name, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps(OBJECTS[name], protocol)
    with pytest.raises(REFUSED):
        loads(content)
    assert os.listdir(tmp_path) == []


DTYPE = b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
EMPTY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"

PROGRAMS = {
    "GLOBAL and REDUCE": b"cos\nmkdir\n(U\x03rantR.",
    "GLOBAL of a dotted name": b"cnumpy\nf2py.os.mkdir\n(U\x03rantR.",
    "STACK_GLOBAL": b"\x8c\x02os\x8c\x05mkdir\x93\x8c\x03ran\x85R.",
    "STACK_GLOBAL with a list": b"]\x8c\x05mkdir\x93.",
    "INST": b"(U\x03ranios\nmkdir\n.",
    "OBJ": b"(cos\nmkdir\nU\x03rano.",
    "NEWOBJ": b"cos\nmkdir\nU\x03ran\x85\x81.",
    "NEWOBJ_EX": b"cos\nmkdir\nU\x03ran\x85}\x92.",
    "EXT1": b"\x82\x01.",
    "EXT2": b"\x83\x01\x00.",
    "EXT4": b"\x84\x01\x00\x00\x00.",
    "PERSID": b"Pran\n.",
    "BINPERSID": b"K\x01Q.",
    "NEXT_BUFFER": b"\x97.",
    "call of a text": b"U\x05mkdir(U\x03rantR.",
    "call of a list": b"](U\x03rantR.",
    "call of the array type": b"cnumpy\nndarray\n(K\x01tR.",
    "call of an empty tuple": b"cnumpy\ndtype\n)R.",
    "codec of a file": b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR.",
    "codec of a number": b"c_codecs\nencode\n(K\x01X\x06\x00\x00\x00latin1tR.",
    "a name as the result": b"cnumpy\nndarray\n.",
    "a name in a list": b"]cnumpy\nndarray\na.",
    "a dtype as the result": DTYPE + b".",
    "state of a list": b"]}b.",
    "state of a name": b"cnumpy\nndarray\n}b.",
    "state of an array, a dict": EMPTY + b"}b.",
    "an array without contents": EMPTY + b".",
    "an array without contents in a list": b"]" + EMPTY + b"a.",
    "an array in itself": EMPTY + b"q\x00(K\x01K\x01\x85" + DTYPE + b"\x89]h\x00atb.",
    "objects out of bytes": EMPTY + b"(K\x01K\x01\x85" + DTYPE + b"\x89U\x08AAAAAAAAtb.",
    "objects without a list": EMPTY + b"(K\x01K\x01\x85" + DTYPE + b"\x89Ntb.",
    "a shape too large": EMPTY + b"(K\x01J\xff\xff\xff\x7f\x85" + DTYPE + b"\x89]tb.",
    "a negative shape": EMPTY + b"(K\x01J\xff\xff\xff\xff\x85" + DTYPE + b"\x89]tb.",
    "a shape of lists": EMPTY + b"(K\x01]\x85" + DTYPE + b"\x89]tb.",
    "a dtype with fields": b"cnumpy\ndtype\n(U\x02V8K\x00K\x01tR(K\x03U\x01|N)}K\x08K\x01K\x00tb.",
    "a void dtype": EMPTY + b"(K\x01)" + DTYPE.replace(b"O8", b"V8") + b"\x89U\x08AAAAAAAAtb.",
    "a dtype by a class": b"cnumpy\ndtype\n(cnumpy\nndarray\nK\x00K\x01tR.",
    "append to a dict": b"}K\x01a.",
    "append to a tuple": b")(K\x01e.",
    "item of a list": b"]K\x00K\x01s.",
    "odd items": b"}(K\x00K\x01K\x02u.",
    "a list as a key": b"}]K\x01s.",
    "a tuple as a key": b"})K\x01s.",
    "memo without an entry": b"h\x07.",
    "memo of nothing": b"q\x07.",
    "no mark": b"K\x01t.",
    "a mark as the result": b"(.",
    "a mark in a list": b"](q\x000h\x00a.",
    "nothing": b"",
    "no result": b".",
    "two results": b"K\x01K\x02.",
    "no end": b"K\x01",
    "number cut": b"M\x01",
    "text cut": b"U\x09abc.",
    "wrong text": b"X\x01\x00\x00\x00\xff.",
    "name cut": b"cos\nmkdir",
    "8 EiB of bytes": b"\x8e" + struct.pack("<Q", 2**63) + b".",
    "16 EiB of bytes": b"\x8e" + struct.pack("<Q", 2**64 - 1) + b".",
    "2 GiB of text": b"X\xff\xff\xff\x7f.",
    "a long number": b"\x8b\xff\xff\xff\x7f.",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_are_refused(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(copyreg, "_extension_cache", {1: os.mkdir})
    with pytest.raises(REFUSED, match="the pickle"):
        loads(PROGRAMS[program])
    assert os.listdir(tmp_path) == []


def test_a_large_place_in_the_memo_takes_no_room():
    assert loads(b"K\x05r\xff\xff\xff\xffj\xff\xff\xff\xff\x86.") == (5, 5)


def test_deep_nesting():
    depth = 100_000
    value = loads(b"]" * depth + b"a" * (depth - 1) + b".")
    for _ in range(depth - 1):
        (value,) = value
    assert value == []
    deep = b")" + b"\x85" * depth  # as a shape, as a key, as a name, as the arguments
    for content in (EMPTY + b"(K\x01" + deep + DTYPE + b"\x89]tb.", b"}" + deep + b"K\x01s."):
        with pytest.raises(REFUSED):
            loads(content)
    for content in (deep + b"\x8c\x01a\x93.", b"c_codecs\nencode\n(X\x01\x00\x00\x00a" + deep):
        with pytest.raises(REFUSED):
            loads(content + b"tR.")


SAMPLE = pickle.dumps(
    {"a": np.arange(6.0).reshape(2, 3), "b": [1, 300, -5, 1.5, None], "c": ("x", b"y")}, 2
)


@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), max_size=4))
def test_damage_gives_data_or_a_typed_error(changes):
    content = bytearray(SAMPLE)
    for place, byte in changes:
        content[place] = byte
    with suppress(*REFUSED):
        loads(bytes(content))


@given(st.binary(max_size=60))
def test_noise_gives_data_or_a_typed_error(content):
    with suppress(*REFUSED):
        loads(content)


def test_a_hostile_npz(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    array = np.zeros(1, dtype=object)
    array[0] = Calls(os.mkdir, "ran")
    np.savez("a.npz", x=array)
    with pytest.raises(UnsafeFileError, match=r"'x' in a\.npz asks for posix\.mkdir"):
        files.read_npz("a.npz", "x")
    with open("a.npz", "rb") as file, open("b.npz", "wb") as damaged:
        damaged.write(file.read()[:-40])
    for name, member in (("b.npz", "x"), ("a.npz", "y")):
        with pytest.raises(CorruptFileError, match=f"{name} is damaged, or not"):
            files.read_npz(name, member)
    assert sorted(os.listdir()) == ["a.npz", "b.npz"]
