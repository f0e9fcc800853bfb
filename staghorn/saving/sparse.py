"""Files for HDF5 in memory: a block that is read, and pages around large arrays left in place."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from staghorn.saving.memory import Buffer

_PAGE = 1 << 14


class MemoryFile(io.RawIOBase):
    """A read-only file over a block of memory.

    Args:
        memory: its content, as bytes.

    Example:
        >>> from staghorn.saving.sparse import MemoryFile
        >>> MemoryFile(np.frombuffer(b"abc", np.uint8)).read(2)
        b'ab'
    """

    def __init__(self, memory: np.ndarray) -> None:
        super().__init__()
        self._memory = memory.data
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self._position, len(self._memory))[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        part = self._memory[self._position : self._position + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)


class SparseFile(io.RawIOBase):
    """A file of which only the pages exist that were written; the rest is zeros.

    Example:
        >>> from staghorn.saving.sparse import SparseFile
        >>> file = SparseFile()
        >>> _ = file.seek(2)
        >>> _ = file.write(b"cd")
        >>> b"".join(file.pieces({0: np.frombuffer(b"ab", np.uint8)}))
        b'abcd'
    """

    def __init__(self) -> None:
        super().__init__()
        self._pages: defaultdict[int, bytearray] = defaultdict(lambda: bytearray(_PAGE))
        self._position = self._size = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self._position, self._size)[whence]
        self._position = start + offset
        return self._position

    def truncate(self, size: int | None = None) -> int:
        self._size = self._position if size is None else size
        return self._size

    def write(self, data: Any) -> int:
        data = memoryview(data).cast("B")
        for place, page, inside in self._parts(self._position, len(data)):
            self._pages[page][inside] = data[place : place + inside.stop - inside.start]
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._size - self._position))
        buffer[:count] = self._bytes(self._position, count)
        self._position += count
        return count

    def pieces(self, large: Mapping[int, np.ndarray]) -> list[Buffer]:
        """Return the content in pieces: place → bytes of the arrays, and what is around them."""
        pieces: list[Buffer] = []
        end = 0
        for start in sorted(large):
            pieces += [self._bytes(end, start - end), large[start].data]
            end = start + large[start].nbytes
        return [*pieces, self._bytes(end, self._size - end)]

    def _bytes(self, start: int, count: int) -> bytes:
        zeros = bytes(_PAGE)
        return b"".join(
            bytes(memoryview(self._pages.get(page, zeros))[inside])
            for _, page, inside in self._parts(start, count)
        )

    @staticmethod
    def _parts(start: int, count: int) -> Iterator[tuple[int, int, slice]]:
        """Divide a range among pages: place in the range, number of the page, slice of it."""
        place = 0
        while place < count:
            page, inside = divmod(start + place, _PAGE)
            length = min(_PAGE - inside, count - place)
            yield place, page, slice(inside, inside + length)
            place += length
