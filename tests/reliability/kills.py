"""Processes killed while they save, and processes that save at once."""

from __future__ import annotations

import mmap
import os
import shutil
import signal
import struct
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.reliability.formats import (
    FORMATS,
    Format,
    Pair,
    Row,
    fork,
    generator,
    pair,
    status_of,
)
from tests.reliability.watch import Watch

PHASES = ("not begun", "makes the bytes", "writes", "syncs the file", "renames", "renamed", "done")
_BEGUN, _WRITES, _SYNCS, _RENAMES, _RENAMED, _DONE = range(1, 7)
_ON_CALL = {
    "open": _WRITES,
    "mkdir": _WRITES,
    "write": _WRITES,
    "fsync": _SYNCS,
    "replace": _RENAMES,
    "exchange": _RENAMES,
    "done replace": _RENAMED,
    "done exchange": _RENAMED,
}


class Marker:
    """Memory shared with a child: how far its save is, and how long that took."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 4096)

    def reset(self) -> None:
        self.memory[:4096] = bytes(4096)

    @property
    def phase(self) -> int:
        return self.memory[0]

    def save(self, format: Format, model: Any, path: Path) -> None:
        def tell(name: str) -> None:
            phase = _ON_CALL.get(name, 0)
            renamed = self.memory[0] == _RENAMED and format.name != "sharded"
            if phase and not renamed:
                self.memory[0] = phase

        begin = time.perf_counter()
        self.memory[0] = _BEGUN
        with Watch(tell=tell):
            format.save(model, str(path))
        self.memory[0] = _DONE
        self.memory[8:16] = struct.pack("d", time.perf_counter() - begin)
        self.memory[1] = 1
        time.sleep(60)  # until it is killed

    def seconds(self) -> float:
        return struct.unpack("d", self.memory[8:16])[0]


def _time_of_save(marker: Marker, format: Format, pairs: Pair, path: Path) -> float:
    """The median of a few saves in forked processes, which are slower than others."""
    times = []
    for i in range(5):
        marker.reset()
        pid = fork(lambda i=i: marker.save(format, pairs.models[(i + 1) % 2], path))
        while not marker.memory[1]:
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        status_of(pid)
        times.append(marker.seconds())
    return sorted(times)[2]


def random_kills(
    row: Row, format: Format, width: int, kills: int, seed: int, keep: Path | None = None
) -> None:
    """R1: SIGKILL at random moments of a save that replaces a good file.

    The file must hold the old model or the new one. One clean save later, nothing else is there
    (R15). Some of what was left after kills is copied to `keep`.
    """
    random, marker, phases = generator(seed), Marker(), Counter()
    old_or_new = [0, 0]
    with pair(width) as pairs:
        path = pairs.start(format)
        length = _time_of_save(marker, format, pairs, path)
        now = pairs.found(format, path)
        assert isinstance(now, int), now
        for i in range(kills):
            marker.reset()
            model = pairs.models[1 - now]
            pid = fork(lambda model=model, path=path: marker.save(format, model, path))
            while not marker.phase:
                time.sleep(0.0002)
            time.sleep(random.uniform(0, 1.3 * length))
            os.kill(pid, signal.SIGKILL)
            status_of(pid)
            phases[PHASES[marker.phase]] += 1
            after = pairs.found(format, path)
            row.check(isinstance(after, int), f"kill {i} (seed {seed}), {row.note}: {after}")
            if not isinstance(after, int):
                path, after = pairs.start(format), 0
            old_or_new[after != now] += 1
            # Both sides of the change of name are to be met, however busy the machine is.
            length *= 1.05 if 3 * old_or_new[1] < i else 0.95 if 3 * old_or_new[0] < i else 1
            now = after
            if keep is not None and i % max(1, kills // 20) == 0:
                _keep(keep, pairs, format, i, now)
        format.save(pairs.models[0], str(path))
        row.check(not pairs.strays(format), f"left over: {pairs.strays(format)}")
        row.check(pairs.found(format, path) == 0, "the clean save afterwards is not what was saved")
    shares = [f"{name} {phases[name]}" for name in PHASES if phases[name]]
    row.note = f"old {old_or_new[0]}, new {old_or_new[1]}; killed when it {', '.join(shares)}"


def _keep(keep: Path, pairs: Pair, format: Format, i: int, now: int) -> None:
    target = keep / f"{format.name.replace(' ', '')}-{pairs.width}-{i}-{now}"
    shutil.copytree(pairs.folder, target, ignore=shutil.ignore_patterns(".*"))


def writers_and_readers(row: Row, format: Format, writers: int, rounds: int, width: int) -> None:
    """R6: processes save the same name at once while this one loads it again and again."""
    with pair(width) as pairs:
        path = pairs.start(format)

        def write(first: int) -> int:
            for i in range(rounds):
                format.save(pairs.models[(first + i) % 2], str(path))
            return 0

        children = [fork(lambda first=i: write(first)) for i in range(writers)]
        while children:
            found = pairs.found(format, path)
            row.check(isinstance(found, int), f"read while it was written: {found}")
            for pid in list(children):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    children.remove(pid)
                    row.check(status == 0, f"a writer failed with status {status}")
        row.check(not pairs.strays(format), f"left over: {pairs.strays(format)}")


def steady(row: Row, format: Format, saves: int) -> None:
    """R15: open files and memory stay the same over many saves, and nothing is left anywhere."""
    with pair() as pairs, tempfile.TemporaryDirectory() as elsewhere:
        before, tempfile.tempdir = tempfile.tempdir, elsewhere
        try:
            path = pairs.start(format)
            for i in range(saves // 4):
                format.save(pairs.models[i % 2], str(path))
            files, memory = _open_files(), _resident()
            for i in range(saves):
                format.save(pairs.models[i % 2], str(path))
        finally:
            tempfile.tempdir = before
        row.check(_open_files() == files, f"open files: {files}, then {_open_files()}")
        growth = _resident() / memory - 1
        row.check(growth < 0.02, f"memory grew by {growth:.1%}")
        row.check(not pairs.strays(format), f"left over: {pairs.strays(format)}")
        row.check(not os.listdir(elsewhere), f"left in TMPDIR: {os.listdir(elsewhere)}")
    row.note = f"{saves} saves"


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def formats() -> list[Format]:
    return list(FORMATS.values())
