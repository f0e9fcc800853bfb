"""Saves that fail: at every system call, on full disks, from exceptions and signals."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.reliability.formats import Format, Pair, Row, fork, generator, pair, status_of
from tests.reliability.watch import Watch

NO_ERROR = 9  # status of a child whose save should have failed


def every_call(row: Row, format: Format, how: str, width: int, step: int = 1) -> None:
    """R2: the k-th system call of a save fails, for every (`step`-th) k; then a clean save.

    With `how="exit"` the process ends there. The file is the old or the new one, an error reaches
    the caller unless the new file is in place, and the clean save leaves nothing over.
    """
    with pair(width) as pairs:
        calls = 0
        while _one_call(row, format, pairs, how, calls + 1):
            calls += step
    row.note = f"{calls} calls"


def _one_call(row: Row, format: Format, pairs: Pair, how: str, at: int) -> bool:
    """Let one call fail; False if there are not so many."""
    path, watch = pairs.start(format), Watch(at, how)

    def save() -> None:
        with watch:
            format.save(pairs.models[1], str(path))

    error = None
    if how == "exit":
        if status_of(fork(save)) == 0:
            return False
    else:
        error = error_of(save)
        if not watch.reached:
            return False
    case = f"{format.name}, {how} at call {at} {watch.reached}"
    found = pairs.found(format, path)
    row.check(isinstance(found, int), f"{case}: {found}")
    if how != "exit":
        row.check(error is not None or found == 1, f"{case}: nobody was told")
    format.save(pairs.models[0], str(path))
    row.check(pairs.found(format, path) == 0, f"{case}: the next save is not what was saved")
    row.check(not pairs.strays(format), f"{case}: left over {pairs.strays(format)}")
    return True


def error_of(run: Callable[[], Any]) -> BaseException | None:
    try:
        run()
    except (OSError, KeyboardInterrupt, SystemExit, MemoryError, RuntimeError) as error:
        return error
    return None


# Full disks ----------------------------------------------------------------------------------


def _fails_whole(pairs: Pair, format: Format, path: Path) -> None:
    """Save; it must fail with an OSError that says so, and leave all as it was."""
    before = _bytes_below(pairs.folder)
    error = error_of(lambda: format.save(pairs.models[1], str(path)))
    assert isinstance(error, OSError), f"got {error!r}"
    notes = " ".join(getattr(error, "__notes__", []))
    assert "was not saved" in notes, f"{error!r} has the notes {notes!r}"
    assert _bytes_below(pairs.folder) == before, "the folder is not as it was"


def _bytes_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def limited_size(row: Row, format: Format, width: int, share: float) -> None:
    """R3: no file may grow beyond a share of what is needed (RLIMIT_FSIZE)."""
    with pair(width) as pairs:
        path = pairs.start(format)
        largest = max(len(data) for data in _bytes_below(pairs.folder).values())
        limit = int(share * largest)

        def child() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            _fails_whole(pairs, format, path)

        status = status_of(fork(child))
        row.check(status == 0, f"{format.name}, {share:.0%} of the size: status {status}")
        found = pairs.found(format, path)
        row.check(found == 0, f"{format.name}, {share:.0%} of the size: {found}")


def full_disk(row: Row, format: Format, width: int, share: float | None) -> None:
    """R3: a file system with room for a share of the new file; None makes it read-only."""
    with pair(width) as pairs:
        pairs.start(format)
        need = sum(len(data) for data in _bytes_below(pairs.folder).values())

        def child() -> None:
            mount(pairs.folder, 4 * need + (1 << 20))
            path = pairs.start(format)
            if share is None:
                remount_read_only(pairs.folder)
            else:
                room = os.statvfs(pairs.folder)
                left = room.f_bavail * room.f_frsize - int(share * need)
                (pairs.folder / "filler").write_bytes(bytes(max(0, left)))
            _fails_whole(pairs, format, path)

        status = status_of(fork(child))
        case = "read-only" if share is None else f"room for {share:.0%}"
        row.check(status == 0, f"{format.name}, {case}: status {status}")


def mount(folder: Path, size: int) -> None:
    """Mount an empty file system of so many bytes, seen by this process alone."""
    user, group = os.getuid(), os.getgid()
    _system("unshare", 0x10000000 | 0x00020000)  # CLONE_NEWUSER, CLONE_NEWNS
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _system("mount", b"none", b"/", None, 0x4000 | 0x40000, None)  # MS_REC, MS_PRIVATE
    _system("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={size}".encode())


def remount_read_only(folder: Path) -> None:
    _system("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", 0x20 | 0x1, None)


def can_mount() -> bool:
    """Whether an ordinary user may mount a file system of their own here."""
    if sys.platform != "linux":
        return False
    with pair(1) as pairs:
        quiet = os.open(os.devnull, os.O_WRONLY)

        def child() -> None:
            os.dup2(quiet, 2)
            mount(pairs.folder, 1 << 20)

        status = status_of(fork(child))
        os.close(quiet)
    return status == 0


def _system(name: str, *args: Any) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


# Exceptions and signals ----------------------------------------------------------------------

RAISED = (RuntimeError, KeyboardInterrupt, SystemExit, MemoryError)


def failing_layers(row: Row, format: Format, width: int) -> None:
    """R4: a layer raises while it is saved, each layer and the optimizer in turn."""
    hook = "get_config" if format.name == "legacy .h5" else "save_own_variables"
    with pair(width) as pairs:
        path, model = pairs.start(format), pairs.models[1]
        before = _bytes_below(pairs.folder)
        for item in [*model.layers, model, model.optimizer]:
            for kind in RAISED:
                error = error_of(lambda item=item, kind=kind: _raising(
                    item, hook, kind, lambda: format.save(model, str(path))))  # fmt: skip
                case = f"{format.name}, {kind.__name__} from {item.name}"
                row.check(type(error) is kind, f"{case}: got {error!r}")
                row.check(_bytes_below(pairs.folder) == before, f"{case}: not as it was")
        row.check(pairs.found(format, path) == 0, "the file is not the old one")


def _raising(item: Any, hook: str, kind: type[BaseException], run: Callable[[], None]) -> None:
    def fail(*args: Any) -> None:
        raise kind("from the layer")

    object.__setattr__(item, hook, fail)
    try:
        run()
    finally:
        object.__delattr__(item, hook)


def signals(row: Row, format: Format, width: int, number: int, times: int, seed: int) -> None:
    """R4: a signal that Python turns into an exception, at a random moment of a save."""
    random = generator(seed)
    with pair(width) as pairs:
        path = pairs.start(format)
        begin = time.perf_counter()
        format.save(pairs.models[0], str(path))
        length = 3 * (time.perf_counter() - begin)  # forked processes are slower
        seen = [0, 0]
        for i in range(times):
            path = pairs.start(format)
            read, write = os.pipe()

            def child(write: int = write, path: Path = path) -> int:
                signal.signal(number, signal.default_int_handler)
                sys.unraisablehook = lambda found: None  # it came while a finalizer ran
                os.write(write, b"!")
                try:
                    format.save(pairs.models[1], str(path))
                    time.sleep(length)
                except KeyboardInterrupt:
                    return 0
                return NO_ERROR

            pid = fork(child)
            os.read(read, 1)
            os.close(read), os.close(write)
            time.sleep(random.uniform(0, length))
            os.kill(pid, number)
            status = status_of(pid)
            case = f"{format.name}, signal {number}, time {i} (seed {seed})"
            row.check(status in (0, NO_ERROR), f"{case}: status {status}")
            found = pairs.found(format, path)
            row.check(isinstance(found, int), f"{case}: {found}")
            seen[found == 1] += 1
            format.save(pairs.models[0], str(path))
            row.check(not pairs.strays(format), f"{case}: left over {pairs.strays(format)}")
        row.note = f"old {seen[0]}, new {seen[1]}"
