"""Data in the pickle format, read without Python's pickle.

The archives of CIFAR and the arrays of IMDB and Reuters are pickles. A pickle is a program for a
small machine that may call anything it can name. This is another machine for the same format: it
knows the instructions that build numbers, texts, lists, dicts and NumPy arrays, and looks a name
up in a table of four, which are marks and not functions. So nothing that a file holds can be
called: there is no import, no attribute access and no call of a looked-up object in this module.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from enum import Enum
from math import prod
from typing import Any

import numpy as np

from staghorn.saving.errors import CorruptFileError, UnsafeFileError

__all__ = ["loads"]


class _Name(Enum):
    """What a pickled array names; NumPy 2 calls its module `numpy._core`."""

    RECONSTRUCT = "numpy.core.multiarray._reconstruct"
    ARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"
    ENCODE = "_codecs.encode"


DTYPE = re.compile(r"[?biufcSU]\d{0,9}")
NUMBERS = re.compile(rb"(?:K.|M..)++", re.DOTALL)  # millions of them in IMDB: read in one go
NAMES = re.compile(rb"([\w.]+)\n([\w.]+)\n")


class _Unfinished:
    """An array or a dtype between its making and the instruction that fills it."""

    def __init__(self, dtype: str | None = None) -> None:
        self.dtype = dtype  # None for an array
        self.order = "|"
        self.place: int | None = None  # in the memo: there the finished array takes its place


NOT_DATA = {_Name, _Unfinished}

# Instructions whose value lies behind them: code → (bytes, how to read them)
VALUES: dict[int, tuple[int, Callable[[bytes], Any]]] = {
    ord("K"): (1, bytes),  # K and M come here only where the file ends inside them
    ord("M"): (2, bytes),
    ord("J"): (4, lambda b: int.from_bytes(b, "little", signed=True)),
    ord("G"): (8, lambda b: struct.unpack(">d", b)[0]),
    ord("N"): (0, lambda b: None),
    0x88: (0, lambda b: True),
    0x89: (0, lambda b: False),
    ord("]"): (0, lambda b: []),
    ord("}"): (0, lambda b: {}),
    ord(")"): (0, lambda b: ()),
}
# Instructions with a length and as many bytes: code → (bytes of the length, how to read the rest)
SIZED: dict[int, tuple[int, Callable[[bytes], Any]]] = {
    ord("U"): (1, bytes),  # Python 2's str, as bytes
    ord("T"): (4, bytes),
    ord("C"): (1, bytes),
    ord("B"): (4, bytes),
    0x8E: (8, bytes),
    ord("X"): (4, lambda b: b.decode("utf-8", "surrogatepass")),
    0x8C: (1, lambda b: b.decode("utf-8", "surrogatepass")),
    0x8A: (1, lambda b: int.from_bytes(b, "little", signed=True)),
}
# Places in the memo: code → bytes of the number; 0x94 counts by itself.
PUT = {ord("q"): 1, ord("r"): 4, 0x94: 0}
GET = {ord("h"): 1, ord("j"): 4}
TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}
SKIPPED = {0x80: 1, 0x95: 8}  # the protocol's number, the length of a frame


def loads(data: bytes, name: str = "the pickle") -> Any:
    """Return the data in a pickle (protocols 2 to 5) that holds nothing but data.

    Args:
        data: the pickle.
        name: what to call it in an error.

    Raises:
        UnsafeFileError: it names, calls or makes anything but NumPy arrays.
        CorruptFileError: it is damaged.

    Example:
        >>> from staghorn.datasets.plain_pickle import loads
        >>> loads(b"\\x80\\x02]q\\x00(K\\x01X\\x01\\x00\\x00\\x00ae.")
        [1, 'a']

    Notes:
        Texts of Python 2 are bytes, as with `pickle.loads(data, encoding="bytes")`. Arrays of
        records, sets, and objects of any class are refused.
    """
    try:
        return _Reader(data, name).run()
    except (CorruptFileError, UnsafeFileError):
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CorruptFileError(
            f"{name} is damaged: {type(error).__name__}: {error}. Delete the file, and it is "
            "downloaded again."
        ) from error


class _Reader:
    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []  # where lists, tuples and dicts in the making begin on the stack
        self.memo: dict[int, Any] = {}

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise ValueError(f"it ends at byte {len(self.data)}, inside a value of {count} bytes")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def unsafe(self, what: str) -> UnsafeFileError:
        return UnsafeFileError(
            f"{self.name} {what} (at byte {self.at}). A data set holds only numbers, texts "
            "and arrays; nothing of the file was run. Delete it, and get it from its source."
        )

    def run(self) -> Any:
        data = self.data
        while (code := data[self.at]) != 46:  # .
            if run := NUMBERS.match(data, self.at):
                rest = iter(run[0])
                self.stack += [
                    next(rest) if kind == 75 else next(rest) | next(rest) << 8 for kind in rest
                ]
                self.at = run.end()
            else:
                self.at += 1
                self.step(code)
        (result,) = self.finished(self.stack)
        if self.marks:
            raise ValueError("a list is not finished")
        return result

    def step(self, code: int) -> None:
        """Run one instruction; pickletools names them all."""
        stack = self.stack
        if code in VALUES:
            size, read = VALUES[code]
            stack.append(read(self.take(size)))
        elif code in SIZED:
            size, read = SIZED[code]
            stack.append(read(self.take(self.number(size))))
        elif code in PUT:
            place = self.number(PUT[code]) if PUT[code] else len(self.memo)
            self.memo[place] = stack[-1]
            if isinstance(stack[-1], _Unfinished):
                stack[-1].place = place
        elif code in GET:
            stack.append(self.memo[self.number(GET[code])])
        elif code in TUPLES:
            items = [stack.pop() for _ in range(TUPLES[code])]
            stack.append(tuple(reversed(items)))
        elif code in SKIPPED:
            self.take(SKIPPED[code])
        elif code in FURTHER:
            FURTHER[code](self)
        else:
            raise self.unsafe(f"has the instruction {bytes([code])!r}, which data needs nowhere")

    def finished(self, values: list[Any]) -> list[Any]:
        """Refuse what is not data: a name, a dtype, an array without contents."""
        if not NOT_DATA.isdisjoint(map(type, values)):
            raise ValueError("a value is not finished")
        return values

    def since_mark(self) -> list[Any]:
        place = self.marks.pop()
        if place > len(self.stack):
            raise ValueError("a list that ends before it begins")
        items = self.stack[place:]
        del self.stack[place:]
        return items

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise self.unsafe("appends to what is not a list")
        self.stack[-1].extend(self.finished(items))

    def update(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not dict:
            raise self.unsafe("sets items of what is not a dict")
        for key, value in zip(items[::2], self.finished(items[1::2]), strict=True):
            if not isinstance(key, (str, bytes, int)):
                raise self.unsafe(f"has a key of type {type(key).__name__}")
            self.stack[-1][key] = value

    def look_up(self, module: str, name: str) -> None:
        full = f"{module}.{name}".replace("numpy._core", "numpy.core")
        try:
            self.stack.append(_Name(full))
        except ValueError:
            raise self.unsafe(f"asks for {full[:200]}") from None

    def named_in_text(self) -> None:
        found = NAMES.match(self.data, self.at)
        if found is None:
            raise ValueError("a name is not a name")
        self.at = found.end()
        self.look_up(found[1].decode(), found[2].decode())

    def named_on_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.look_up(_text(module), _text(name))

    def call(self) -> None:
        """Carry out what the four names mean; other calls do not exist here."""
        arguments, name = self.stack.pop(), self.stack.pop()
        if name is _Name.RECONSTRUCT and arguments[0] is _Name.ARRAY:
            self.stack.append(_Unfinished())
        elif name is _Name.DTYPE:
            self.stack.append(_Unfinished(_text(arguments[0])))
        elif name is _Name.ENCODE and arguments[1:] == ("latin1",):
            self.stack.append(arguments[0].encode("latin1"))
        else:
            raise self.unsafe(f"calls {name.value if isinstance(name, _Name) else type(name)}")

    def fill(self) -> None:
        """Give an array its contents, or a dtype its byte order."""
        state, target = self.stack.pop(), self.stack.pop()
        if not isinstance(target, _Unfinished) or type(state) is not tuple:
            raise self.unsafe(f"sets the state of an object of type {type(target).__name__}")
        result: Any = target
        if target.dtype is None:
            _, shape, dtype, columns_first, contents = state
            result = self.array(shape, dtype, columns_first, contents)
        else:
            target.order = _text(state[1])
            if any(part is not None for part in state[2:5]):
                raise self.unsafe("has an array of records")
        self.stack.append(result)
        if target.place is not None:
            self.memo[target.place] = result

    def array(self, shape: Any, dtype: Any, columns_first: bool, contents: Any) -> np.ndarray:
        order: Any = "F" if columns_first else "C"
        if type(shape) is not tuple or len(shape) > 32 or not all(type(n) is int for n in shape):
            raise ValueError("an array's shape is no tuple of sizes")
        if not isinstance(dtype, _Unfinished) or dtype.dtype is None:
            raise ValueError("an array has no dtype")
        if dtype.dtype in ("O", "O4", "O8") and type(contents) is list:
            if prod(shape) != len(contents):
                raise ValueError(f"an array of shape {shape} has {len(contents)} items")
            items = np.empty(len(contents), dtype=object)
            for i, item in enumerate(contents):
                items[i] = item
            return items.reshape(shape, order=order)
        if not DTYPE.fullmatch(dtype.dtype) or dtype.order not in ("|", "<", ">", "="):
            raise self.unsafe(f"has an array of {dtype.order}{dtype.dtype}")
        if not isinstance(contents, bytes):
            raise ValueError(f"an array's contents are {type(contents).__name__}, not bytes")
        kind = np.dtype(dtype.order + dtype.dtype)
        return np.frombuffer(contents, kind).reshape(shape, order=order).copy(order="A")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return value.decode("ascii")


# Instructions that work on the stack. A tuple may hold names: the arguments of a call.
FURTHER: dict[int, Callable[[_Reader], None]] = {
    ord("("): lambda reader: reader.marks.append(len(reader.stack)),
    ord("t"): lambda reader: reader.stack.append(tuple(reader.since_mark())),
    ord("a"): lambda reader: reader.extend([reader.stack.pop()]),
    ord("e"): lambda reader: reader.extend(reader.since_mark()),
    ord("s"): lambda reader: reader.update([reader.stack.pop(-2), reader.stack.pop()]),
    ord("u"): lambda reader: reader.update(reader.since_mark()),
    ord("c"): _Reader.named_in_text,
    0x93: _Reader.named_on_stack,
    ord("R"): _Reader.call,
    ord("b"): _Reader.fill,
}
