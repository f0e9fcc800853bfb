"""What a power cut may leave: the calls of a save, replayed up to any point and in part.

What was synced is there. Of data that was not, all, half, nothing, or zeros may be there; of names
that were made, changed or removed in a folder that was not synced since, any may be as before.
(The model is that of Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014.)
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.reliability.formats import Format, Pair, Row, generator, pair
from tests.reliability.watch import Call, Watch

NAMING = ("create", "mkdir", "replace", "exchange", "unlink", "rmdir")
LOSSES = {
    "all": lambda data: data,
    "half": lambda data: data[: len(data) // 2],
    "nothing": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
}


class Disk:
    """Names below a folder and contents: name → number of a file, or None for a folder."""

    def __init__(self, names: dict[str, int | None], contents: dict[int, bytes]) -> None:
        self.names, self.contents = names, contents

    @classmethod
    def of(cls, folder: Path) -> Disk:
        names: dict[str, int | None] = {str(folder): None}
        contents = {}
        for number, path in enumerate(sorted(folder.rglob("*")), start=1):
            names[str(path)] = None if path.is_dir() else number
            if path.is_file():
                contents[number] = path.read_bytes()
        return cls(names, contents)

    def copy(self) -> Disk:
        return Disk(dict(self.names), dict(self.contents))

    def rename(self, call: Call, number: int) -> None:
        """Carry out a change of names, if what it needs is there."""
        path, other = call.path, call.other
        if call.name in ("create", "mkdir"):
            if os.path.dirname(path) in self.names:
                self.names.setdefault(path, number if call.name == "create" else None)
        elif path in self.names and (not other or os.path.dirname(other) in self.names):
            moved = self._taken(path)
            replaced = self._taken(other) if other else {}
            if call.name in ("replace", "exchange"):
                self._put(other, moved)
            if call.name == "exchange":
                self._put(path, replaced)

    def _taken(self, path: str) -> dict[str, int | None]:
        below = [name for name in self.names if name == path or name.startswith(path + "/")]
        return {name[len(path) :]: self.names.pop(name) for name in below}

    def _put(self, path: str, names: dict[str, int | None]) -> None:
        self.names |= {path + rest: number for rest, number in names.items()}

    def write_to(self, target: Path, root: str) -> None:
        shutil.rmtree(target, ignore_errors=True)
        for name, number in sorted(self.names.items()):
            path = target / os.path.relpath(name, root)
            if number is None:
                path.mkdir()
            else:
                path.write_bytes(self.contents.get(number, b""))

    def key(self) -> bytes:
        digest = hashlib.sha256()
        for name, number in sorted(self.names.items()):
            digest.update(os.fsencode(name) + b"\0")
            if number is not None:
                digest.update(hashlib.sha256(self.contents.get(number, b"")).digest())
        return digest.digest()


def _after(
    before: Disk, calls: list[Call], draw: random.Random, subsets: int
) -> Iterator[tuple[str, Disk]]:
    """All states, or `subsets` of them, that a power cut after these calls may leave."""
    now, synced = before.copy(), dict(before.contents)
    naming: list[tuple[Call, int]] = []
    pending: list[int] = []
    for number, call in enumerate(calls, start=1000):
        if call.name in NAMING:
            now.rename(call, number)
            naming.append((call, number))
            pending.append(len(naming) - 1)
        elif call.name == "write":
            file = now.names[call.path]
            assert file is not None
            data = now.contents.get(file, b"").ljust(call.offset, b"\0")
            end = call.offset + len(call.data)
            now.contents[file] = data[: call.offset] + call.data + data[end:]
        elif call.name == "fsync" and now.names[call.path] is None:
            pending = [i for i in pending if _folder(naming[i][0]) != call.path]
        elif call.name == "fsync":
            file = now.names[call.path]
            synced[file] = now.contents.get(file, b"")
    for lost in _some_subsets(pending, draw, subsets):
        names = before.copy()
        for i, (call, number) in enumerate(naming):
            if i not in lost:
                names.rename(call, number)
        for name, loss in LOSSES.items():
            contents = {
                file: data if synced.get(file) == data else loss(data)
                for file, data in now.contents.items()
            }
            yield (
                f"without the names {sorted(lost)}, {name} of the data",
                Disk(dict(names.names), contents),
            )


def _folder(call: Call) -> str:
    return os.path.dirname(call.other or call.path)


def _some_subsets(items: list[int], draw: random.Random, limit: int) -> Iterator[set[int]]:
    if 1 << len(items) <= limit:
        for size in range(len(items) + 1):
            yield from map(set, itertools.combinations(items, size))
        return
    for start in range(len(items) + 1):
        yield set(items[start:])
    for _ in range(limit):
        yield {item for item in items if draw.random() < 0.5}


def power_cuts(row: Row, format: Format, width: int, subsets: int, seed: int) -> None:
    """R5: cut the power after each call; the file is the old or the new one, at the end the new.

    The order of the calls is checked too: the last write, a sync of the file, the change of its
    name, a sync of the folder.
    """
    with pair(width) as pairs:
        path = pairs.start(format)
        before = Disk.of(pairs.folder)
        with Watch() as watch:
            format.save(pairs.models[1], str(path))
        calls = [call for call in watch.calls if call.name not in ("open", "close", "chmod")]
        _check_order(row, format, calls, str(path))
        states: dict[bytes, tuple[str, Disk, bool]] = {}
        for end in range(len(calls) + 1):
            for text, disk in _after(before, calls[:end], generator(seed + end), subsets):
                case = f"{format.name}, after call {end} of {len(calls)}, {text}"
                last = end == len(calls)
                known = states.get(disk.key())
                states[disk.key()] = (case, disk, last or (known is not None and known[2]))
        _load_all(row, format, pairs, path, list(states.values()))
        row.note = f"{len(calls)} calls, {len(states)} states"


def _load_all(
    row: Row, format: Format, pairs: Pair, path: Path, states: list[tuple[str, Disk, bool]]
) -> None:
    replay = pairs.folder.with_name(pairs.folder.name + "-replay")
    for case, disk, last in states:
        disk.write_to(replay, str(pairs.folder))
        found = pairs.found(format, replay / path.name)
        row.check(found == 1 if last else isinstance(found, int), f"{case}: {found}")
    shutil.rmtree(replay, ignore_errors=True)


def _check_order(row: Row, format: Format, calls: list[Call], path: str) -> None:
    renames = [
        i
        for i, call in enumerate(calls)
        if call.name in ("replace", "exchange") and call.other == path
    ]
    row.check(len(renames) == 1, f"{format.name}: {len(renames)} changes of the name")
    at = renames[0]
    temporary = calls[at].path
    written = {c.path for c in calls[:at] if c.name == "write" and c.path.startswith(temporary)}
    row.check(bool(written), f"{format.name}: nothing was written beside the file")
    for file in written:
        last = max(i for i, c in enumerate(calls) if c.name == "write" and c.path == file)
        synced = any(c.name == "fsync" and c.path == file for c in calls[last:at])
        row.check(synced, f"{format.name}: {file} gets its name before it is synced")
    folder = os.path.dirname(path)
    synced = any(c.name == "fsync" and c.path == folder for c in calls[at:])
    row.check(synced, f"{format.name}: the folder is not synced")
