"""Files that were damaged on the disk: refused, or damaged where it does not matter."""

from __future__ import annotations

import random
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from tests.reliability.formats import FORMATS, Format, Pair, Row, generator, pair

# Wide enough for several blocks of 4 KB in every array.
WIDTH = 64
BLOCK = 4096


def one_bit(data: bytes, draw: random.Random, other: bytes) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]


def one_byte(data: bytes, draw: random.Random, other: bytes) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :]


def zeroed_sector(data: bytes, draw: random.Random, other: bytes) -> bytes:
    at = 512 * draw.randrange(-(-len(data) // 512))
    return data[:at] + bytes(min(512, len(data) - at)) + data[at + 512 :]


def swapped_blocks(data: bytes, draw: random.Random, other: bytes) -> bytes:
    a, b = sorted(draw.sample(range(len(data) // BLOCK), 2))
    a, b = a * BLOCK, b * BLOCK
    first, second = data[a : a + BLOCK], data[b : b + BLOCK]
    return data[:a] + second + data[a + BLOCK : b] + first + data[b + BLOCK :]


def block_of_other(data: bytes, draw: random.Random, other: bytes) -> bytes:
    at = BLOCK * draw.randrange(min(len(data), len(other)) // BLOCK)
    return data[:at] + other[at : at + BLOCK] + data[at + BLOCK :]


def cut_off(data: bytes, draw: random.Random, other: bytes) -> bytes:
    return data[: draw.randrange(len(data))]


def appended(data: bytes, draw: random.Random, other: bytes) -> bytes:
    return data + draw.randbytes(draw.randrange(1, 2000))


KINDS: dict[str, Callable[[bytes, random.Random, bytes], bytes]] = {
    "1 bit": one_bit,
    "1 byte": one_byte,
    "512 zeros": zeroed_sector,
    "4 KB swapped": swapped_blocks,
    "4 KB of another": block_of_other,
    "cut off": cut_off,
    "appended": appended,
}


def damaged(row: Row, format: Format, kind: str, times: int, seed: int) -> None:
    """R7, R9: damage of one kind; the file is refused with our errors, or loads as it was."""
    with pair(WIDTH) as pairs:
        path, other = _two_files(pairs, format)
        _damage_and_load(row, format, pairs, path, _some(kind, path, other, times, seed))


def cut_everywhere(row: Row, format: Format, parts: int) -> None:
    """R9: the file ends at every part of its length, and around every boundary inside."""
    with pair(WIDTH) as pairs:
        path, _ = _two_files(pairs, format)
        data = path.read_bytes()
        ends = {len(data) * i // parts for i in range(parts)}
        ends |= {end + by for end in _boundaries(data) for by in (-1, 0, 1)}
        cases = (
            (f"cut at {end}", data[:end])
            for end in sorted(ends - {len(data)})
            if 0 <= end < len(data)
        )
        _damage_and_load(row, format, pairs, path, cases)


def _boundaries(data: bytes) -> Iterator[int]:
    if data.startswith(b"PK"):
        with zipfile.ZipFile(BytesIO(data)) as archive:
            for info in archive.infolist():
                start = info.header_offset + 30 + len(info.filename)
                yield from (info.header_offset, start, start + info.file_size)
            yield archive.start_dir
        yield len(data) - 22
    for mark in (b"SGHNCRCS", b"OHDR", b"FADB", b"FRHP", b"BTHD"):
        at = data.find(mark)
        while at >= 0:
            yield at
            at = data.find(mark, at + 1)


def by_keras(row: Row, kind: str, times: int, seed: int) -> None:
    """R7: the same with `.keras` files that Keras wrote, whose members have a checksum each."""
    from tests.oracle import keras

    format = FORMATS[".keras"]
    with pair(WIDTH) as pairs:
        files = []
        for which in (1, 0):
            path = pairs.start(format, which)
            keras.saving.load_model(path).save(path)
            assert pairs.found(format, path) == which
            files.append(path.read_bytes())
        _damage_and_load(row, format, pairs, path, _some(kind, path, files[0], times, seed))


def opened_by_keras(row: Row, kind: str, times: int, seed: int) -> None:
    """R8: our `.keras` file, damaged, is refused by Keras too, or gives what was saved.

    Of a `.weights.h5` file Keras checks the structure alone, whoever wrote it: checksums of HDF5's
    own around each part of an array cost 2.8 times the time that Keras takes to save.
    """
    from tests.oracle import keras

    with pair(WIDTH) as pairs:
        path, other = _two_files(pairs, FORMATS[".keras"])
        right = _state(keras.saving.load_model(path))
        outcomes: Counter[str] = Counter()
        for case, data in _some(kind, path, other, times, seed):
            path.write_bytes(data)
            try:
                found = _state(keras.saving.load_model(path))
            except Exception:
                outcomes["refused"] += 1
                row.check(True, case)
                continue
            same = all(np.array_equal(v, r) for v, r in zip(found, right, strict=True))
            outcomes["harmless" if same else "silent"] += 1
            row.check(same, f"Keras, {case}: loads, and is not what was saved")
    row.note = _listed(outcomes)


def _state(model: Any) -> list[np.ndarray]:
    return [np.array(v) for v in (*model.variables, *model.optimizer.variables)]


def _two_files(pairs: Pair, format: Format) -> tuple[Path, bytes]:
    other = pairs.start(format, 1).read_bytes()
    path = pairs.start(format)
    assert pairs.found(format, path) == 0
    return path, other


def _some(
    kind: str, path: Path, other: bytes, times: int, seed: int
) -> Iterator[tuple[str, bytes]]:
    data, draw, i = path.read_bytes(), generator(seed), 0
    while i < times:
        changed = KINDS[kind](data, draw, other)
        if changed != data:
            yield f"{kind}, time {i} (seed {seed})", changed
            i += 1


def _damage_and_load(
    row: Row, format: Format, pairs: Pair, path: Path, cases: Iterator[tuple[str, bytes]]
) -> None:
    outcomes: Counter[str] = Counter()
    cases = list(cases)
    for case, data in cases:
        path.write_bytes(data)
        text = ""
        try:
            found: Any = format.load(path, pairs.width)
        except (CorruptFileError, UnsafeFileError):
            outcome = "refused"
        except Exception as error:
            outcome, text = "other error", f"{type(error).__name__}: {error}"
        else:
            outcome = "harmless" if found == pairs.sums[0] else "silent"
        outcomes[outcome] += 1
        row.check(outcome in ("refused", "harmless"), f"{format.name}, {case}: {outcome} {text}")
    row.note = _listed(outcomes)


def _listed(outcomes: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items()))
