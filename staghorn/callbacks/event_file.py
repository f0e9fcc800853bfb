"""TensorBoard's event files, written without TensorFlow.

A file is a chain of TFRecords, each an Event in protocol buffer form:

    length (8 bytes) · masked crc32c of these 8 · the Event · masked crc32c of the Event

Only the few fields that TensorBoard reads are written; the numbers beside the names below are
those of TensorFlow's `event.proto`, `summary.proto` and `tensor.proto`.
"""

from __future__ import annotations

import os
import socket
import struct
import time
import zlib
from collections.abc import Iterable
from itertools import count
from pathlib import Path

import numpy as np

# Buckets of a histogram, as in TensorFlow's summaries.
BUCKETS = 30

_FILES = count()
_FLOAT, _DOUBLE, _STRING = 1, 2, 7  # DataType
_SCALAR, _TENSOR, _BLOBS = 1, 2, 3  # DataClass


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)  # Castagnoli, reflected
        table.append(value)
    return tuple(table)


_CRC = _crc_table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of some bytes; about 10 MB a second.

    Example:
        >>> from staghorn.callbacks.event_file import crc32c
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'

    Reference: RFC 3720, appendix B.4.
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """Return one TFRecord: the data with its length and both checksums."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _masked(length), data, _masked(data)))


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


# Protocol buffers ----------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """Return an int in base 128; a negative one takes ten bytes, as in two's complement."""
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def whole(field: int, value: int) -> bytes:
    """Return an int field."""
    return varint(field << 3) + varint(value)


def block(field: int, data: bytes | str) -> bytes:
    """Return a field of bytes, text, or an inner message."""
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def event(body: bytes, step: int | None = None, when: float | None = None) -> bytes:
    """Return an Event: wall_time = 1, step = 2, and the fields in `body`."""
    stamp = varint(1 << 3 | 1) + struct.pack("<d", time.time() if when is None else when)
    return stamp + (b"" if step is None else whole(2, step)) + body


def _summary(tag: str, plugin: str, content: bytes, kind: int, tensor: bytes) -> bytes:
    """Return Event.summary (5) with one value: tag = 1, metadata = 9, tensor = 8."""
    named = block(1, plugin) + (block(2, content) if content else b"")
    metadata = block(1, named) + (whole(4, kind) if kind else b"")
    return block(5, block(1, block(1, tag) + block(9, metadata) + block(8, tensor)))


def _tensor(dtype: int, shape: Iterable[int], content: bytes) -> bytes:
    """Return a TensorProto: dtype = 1, tensor_shape = 2, and its content fields."""
    dims = b"".join(block(2, whole(1, size)) for size in shape)
    return whole(1, dtype) + block(2, dims) + content


def scalar(tag: str, value: float, step: int) -> bytes:
    """Return the Event of one number, stored in 32 bits."""
    with np.errstate(over="ignore"):
        content = block(4, np.float32(value).astype("<f4").tobytes())  # tensor_content
    return event(_summary(tag, "scalars", b"", _SCALAR, _tensor(_FLOAT, (), content)), step)


def text(tag: str, plugin: str, content: bytes, value: str, step: int) -> bytes:
    """Return the Event of a string for one of TensorBoard's plugins."""
    return event(_summary(tag, plugin, content, 0, _tensor(_STRING, (), block(8, value))), step)


def histogram(tag: str, values: np.ndarray, step: int) -> bytes:
    """Return the Event of a histogram: (buckets, 3) of left edge, right edge, count."""
    table = buckets(values)
    content = block(4, table.astype("<f8").tobytes())
    tensor = _tensor(_DOUBLE, table.shape, content)
    return event(_summary(tag, "histograms", b"", _TENSOR, tensor), step)


def buckets(values: np.ndarray) -> np.ndarray:
    """Return the histogram of the finite values: any shape → (buckets, 3).

    Example:
        >>> from staghorn.callbacks.event_file import buckets
        >>> buckets(np.array([1.0, 1.0, np.nan]))[:, 2].sum()
        np.float64(2.0)
    """
    flat = np.asarray(values, np.float64).ravel()
    flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        return np.zeros((0, 3))
    low, high = float(flat.min()), float(flat.max())
    if low == high:
        # TensorFlow's form for equal values: all in one bucket around them.
        table = np.zeros((BUCKETS, 3))
        table[:, 0], table[:, 1] = low - 0.5, high + 0.5
        table[-1, 2] = flat.size
        return table
    counts, edges = np.histogram(flat, BUCKETS, (low, high))
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


def images(tag: str, pictures: np.ndarray, step: int) -> bytes:
    """Return the Event of pictures (n, height, width, 1, 3 or 4) of numbers from 0 to 1."""
    size = [str(extent).encode() for extent in (pictures.shape[2], pictures.shape[1])]
    parts = b"".join(block(8, part) for part in [*size, *map(png, pictures)])
    tensor = _tensor(_STRING, (2 + len(pictures),), parts)
    return event(_summary(tag, "images", b"", _BLOBS, tensor), step)


def png(picture: np.ndarray) -> bytes:
    """Return a picture (height, width, 1, 3 or 4) of numbers from 0 to 1 as a PNG file.

    Example:
        >>> from staghorn.callbacks.event_file import png
        >>> png(np.ones((2, 3, 1)))[1:4]
        b'PNG'
    """
    height, width, channels = picture.shape
    shown = np.nan_to_num(np.clip(np.asarray(picture, np.float64), 0.0, 1.0))
    rows = np.round(shown * 255).astype(np.uint8).reshape(height, width * channels)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)  # filter 0 per row
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw.tobytes())), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class EventFile:
    """One new event file in a folder; it is made by the first write.

    The file is opened and closed by each write, so nothing is lost when the process is killed.

    Args:
        folder: where TensorBoard finds it.

    Example:
        >>> import pathlib, tempfile
        >>> from staghorn.callbacks.event_file import EventFile, scalar
        >>> folder = pathlib.Path(tempfile.mkdtemp()) / "train"
        >>> EventFile(folder).write([scalar("epoch_loss", 0.5, step=0)])
        >>> [path.name[:20] for path in folder.iterdir()]
        ['events.out.tfevents.']
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.path: Path | None = None

    def write(self, events: Iterable[bytes]) -> None:
        """Append Events."""
        data = b"".join(record(one) for one in events)
        if not data:
            return
        if self.path is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            machine = socket.gethostname() or "localhost"
            name = f"{int(time.time()):010d}.{machine}.{os.getpid()}.{next(_FILES)}.v2"
            self.path = self.folder / f"events.out.tfevents.{name}"
            data = record(event(block(3, "brain.Event:2"))) + data  # file_version
        with open(self.path, "ab") as file:
            file.write(data)
