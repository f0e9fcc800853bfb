"""Large content: written in pieces that are never joined, read into one block of memory.

Half a gigabyte is copied in the time in which it is written; each copy that is not made counts.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np

from staghorn.engine.host_memory import aligned_empty, freeze
from staghorn.saving.errors import CorruptFileError

Buffer = Any  # bytes, or memory that holds bytes: what the buffer protocol gives
Pieces = Sequence[Buffer]  # one behind the other, they are the content

_BLOCK = 4 << 20
# A sealed content ends with: CRC-32 of each of its blocks, its size, CRC-32 of these, the mark.
_END = struct.Struct("<QI8s")
_MARK = b"SGHNCRCS"

_DAMAGED = (
    "{where} is damaged: its content does not match the checksum at its end. Use another copy."
)
_CUT = (
    "{where} is damaged: the checksums at its end are missing. Use another copy. (If you changed "
    "it with h5py yourself, delete its mark too:    del file.attrs['sealed'])"
)


def as_pieces(content: Buffer | Pieces) -> Pieces:
    """Return content as pieces."""
    return [content] if isinstance(content, (bytes, memoryview, np.ndarray)) else content


def read_memory(file: BinaryIO, size: int, look: Callable[[Any], Any] | None = None) -> np.ndarray:
    """Read so many bytes into aligned, read-only memory.

    Args:
        file: an open file.
        size: how many bytes; there must be so many.
        look: given each block in its order, by a thread, while the next one is read. Default: None.

    Raises:
        EOFError: if the file ends before.

    Example:
        >>> import io
        >>> from staghorn.saving.memory import read_memory
        >>> bytes(read_memory(io.BytesIO(b"abcdef"), 3))
        b'abc'
    """
    memory = aligned_empty(size)
    with ThreadPoolExecutor(1) as thread:
        looks = []
        for start in range(0, size, _BLOCK):
            block = memory[start : start + _BLOCK]
            _fill(file, block.data)
            if look is not None:
                looks.append(thread.submit(look, block))
        for done in looks:
            done.result()
    return freeze(memory)


def _fill(file: BinaryIO, block: memoryview) -> None:
    while block:
        count = file.readinto(block)  # type: ignore[attr-defined]
        if not count:
            raise EOFError(f"it ends {len(block):,} bytes too early")
        block = block[count:]


# Sealed content ------------------------------------------------------------------------------


def sealed(pieces: Pieces) -> Iterator[Buffer]:
    """Go over pieces and a last one with their checksums, made by a thread meanwhile.

    Example:
        >>> import io
        >>> from staghorn.saving.memory import read_sealed, sealed
        >>> file = io.BytesIO(b"".join(sealed([b"abc", b"def"])))
        >>> bytes(read_sealed(file, len(file.getvalue()), "the file")[0])
        b'abcdef'
    """
    with ThreadPoolExecutor(1) as thread:
        end = thread.submit(_checksums, pieces)
        yield from pieces
        yield end.result()


def _checksums(pieces: Pieces) -> bytes:
    sums, running, size = [], 0, 0
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            part = rest[: _BLOCK - size % _BLOCK]
            running, size, rest = zlib.crc32(part, running), size + len(part), rest[len(part) :]
            if not size % _BLOCK:
                sums.append(running)
                running = 0
    if size % _BLOCK:
        sums.append(running)
    table = struct.pack(f"<{len(sums)}I", *sums)
    return table + _END.pack(size, zlib.crc32(table, size & 0xFFFFFFFF), _MARK)


def read_sealed(file: BinaryIO, size: int, where: str) -> tuple[np.ndarray, bool]:
    """Read a file of `size` bytes: its content, and whether it was sealed; other files pass whole.

    Raises:
        CorruptFileError: what was read does not match the checksums.
    """
    content = _size_of_content(file, size, where)
    file.seek(0)
    if content is None:
        return read_memory(file, size), False
    found: list[int] = []
    memory = read_memory(file, content, lambda block: found.append(zlib.crc32(block)))
    if struct.pack(f"<{len(found)}I", *found) != file.read(4 * len(found)):
        raise CorruptFileError(_DAMAGED.format(where=where))
    return memory, True


def _size_of_content(file: BinaryIO, size: int, where: str) -> int | None:
    file.seek(max(0, size - _END.size))
    end = file.read(_END.size)
    if len(end) < _END.size or not end.endswith(_MARK):
        return None
    content, total, _ = _END.unpack(end)
    blocks = -(-content // _BLOCK)
    if content + 4 * blocks + _END.size == size:
        file.seek(content)
        table = file.read(4 * blocks)
        if zlib.crc32(table, content & 0xFFFFFFFF) == total:
            return int(content)
    raise CorruptFileError(_DAMAGED.format(where=where))


def require_seal(is_sealed: bool, promised: bool, where: str) -> None:
    """Refuse a file that was written with checksums at its end and has lost them."""
    if promised and not is_sealed:
        raise CorruptFileError(_CUT.format(where=where))
