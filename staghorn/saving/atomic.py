"""Files that are either the old one or the complete new one."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar
from uuid import uuid4

from staghorn.saving.errors import CorruptFileError

if sys.platform != "win32":  # there, what a killed process leaves behind is not swept
    import fcntl

T = TypeVar("T")

# Each further one means that another save ended during the read.
_MAX_READS = 1000
_UNSAVED = "{path!r} was not saved; {rest}."


@contextmanager
def replacing_file(path: str | os.PathLike[str], make_folders: bool = False) -> Iterator[BinaryIO]:
    """Open a file beside `path`; it becomes `path` when the block ends, and vanishes if it raises.

    The bytes are on the disk before the name changes, and the name before this returns. What saves
    that were killed left behind under this name is swept.

    Args:
        path: the file to write; a link is followed. An existing file keeps its permissions.
        make_folders: make the folders that are missing. Default: False.

    Raises:
        IsADirectoryError: if `path` is a folder.
        FileNotFoundError: if its folder does not exist.

    Example:
        >>> import pathlib, tempfile
        >>> from staghorn.saving.atomic import replacing_file
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "note.bin"
        >>> with replacing_file(target) as file:
        ...     _ = file.write(b"whole")
        >>> target.read_bytes()
        b'whole'
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; give the name of a file.")
    if make_folders:
        target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"Cannot write {str(path)!r}: the folder {str(target.parent)!r} does not exist."
        )
    _sweep(target)
    temporary, done = temporary_beside(target), False
    try:
        with _new_file(temporary) as file:
            yield file
            file.flush()
            if target.exists():
                os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
            os.fsync(file.fileno())
            if sys.platform == "win32":
                file.close()  # Windows renames no open file
            os.replace(temporary, target)
            done = True
    except BaseException as error:
        _explain(error, target, done)
        with suppress(OSError):  # the first error is the one to tell; the next save sweeps
            temporary.unlink()
        raise
    sync_folder(target.parent)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty folder beside `path`; it becomes `path` when the block ends.

    Linux and macOS swap it with an old folder in one step. Where the file system cannot, the old
    one is moved aside first: if the process dies just then, it is beside `path`, under a hidden
    name.

    Args:
        path: the folder to make or to replace.

    Raises:
        NotADirectoryError: if `path` is a file.

    Example:
        >>> import pathlib, tempfile
        >>> from staghorn.saving.atomic import replacing_folder
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "model"
        >>> with replacing_folder(target) as folder:
        ...     _ = (folder / "note.txt").write_text("whole")
        >>> [file.name for file in target.iterdir()]
        ['note.txt']
    """
    target = Path(os.path.realpath(path))
    was_there = target.exists()
    if was_there and not target.is_dir():
        raise NotADirectoryError(f"{str(path)!r} is a file; give the name of a folder.")
    if was_there:
        _sweep(target)
    temporary, lock, done = temporary_beside(target), None, False
    try:
        lock = _new_folder(temporary)
        yield temporary
        for file in temporary.rglob("*"):
            _sync(file)
        _sync(temporary)
        _put_in_place(temporary, target)
        done = True
        sync_folder(target.parent)
    except BaseException as error:
        _explain(error, target, done)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # by now the old one, if all went well
        if lock is not None:
            os.close(lock)
    if not was_there:
        # Only now: one of them might have been the last copy.
        _sweep(target)


@contextmanager
def replacing_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path of the same name for writers that open files themselves, see `replacing_file`.

    Example:
        >>> import pathlib, tempfile
        >>> from staghorn.saving.atomic import replacing_path
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "note.txt"
        >>> with replacing_path(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; give the name of a file.")
    _sweep(target)
    folder, lock = temporary_beside(target), None
    try:
        lock = _new_folder(folder)
        yield folder / target.name
        _sync(folder / target.name)
        os.replace(folder / target.name, target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def read_again_if_replaced(read: Callable[[], T], version: Callable[[], object]) -> T:
    """Read what consists of several files; what looks like damage may be a save just now.

    Args:
        read: reads all of it, and checks that it fits together.
        version: what changes when all of it is replaced.

    Raises:
        CorruptFileError, OSError: from `read`, if nothing was replaced while it ran.

    Example:
        >>> from staghorn.saving.atomic import read_again_if_replaced
        >>> read_again_if_replaced(lambda: "whole", lambda: 1)
        'whole'
    """
    for _ in range(_MAX_READS):
        before = version()
        try:
            return read()
        except (CorruptFileError, OSError):
            if version() == before:
                raise
    return read()


def temporary_beside(target: Path) -> Path:
    """Return an unused hidden name in the same folder, hence on the same file system."""
    return target.with_name(f"{_prefix(target)}{uuid4().hex[:12]}.tmp")


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where the system lets folders be opened."""
    if os.name == "posix":
        _sync(folder)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other blocks of this kind, in any process, out of a folder, where it can be locked."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def remove_leftover(path: Path) -> None:
    """Remove what a save that is no more left behind, if no living process has it locked."""
    if sys.platform == "win32":
        return
    with suppress(OSError):
        folder = path.is_dir()
        # On NFS only what is open for writing can be locked.
        flags = os.O_RDONLY if folder else os.O_RDWR
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder:
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        finally:
            os.close(descriptor)


def _prefix(target: Path) -> str:
    # A name has at most 255 bytes.
    return f".{os.fsencode(target.name)[:200].decode(errors='ignore')}."


def _new_file(path: Path) -> BinaryIO:
    while True:
        file = open(path, "xb")  # noqa: SIM115 (the caller closes it)
        _lock(file.fileno())
        if path.exists():
            return file
        file.close()  # swept by another save before it was locked


def _new_folder(path: Path) -> int | None:
    while True:
        path.mkdir()
        if sys.platform == "win32":
            return None
        with suppress(FileNotFoundError):  # swept by another save before it was locked
            descriptor = os.open(path, os.O_RDONLY)
            _lock(descriptor)
            if path.exists():
                return descriptor
            os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Hold a lock until the descriptor is closed, or the process has ended."""
    if sys.platform != "win32":
        with suppress(OSError):  # some file systems have no locks; nothing is swept there
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def _sweep(target: Path) -> None:
    """Remove what saves under this name left behind."""
    leftover = re.compile(re.escape(_prefix(target)) + r"[0-9a-f]{12}\.tmp")
    with suppress(OSError):
        for name in os.listdir(target.parent):
            if leftover.fullmatch(name):
                remove_leftover(target.with_name(name))


def _put_in_place(new: Path, target: Path) -> None:
    """Give a folder its name; an old one under that name ends as `new`, or aside it."""
    if not target.exists():
        os.replace(new, target)
        return
    if _exchange(new, target):
        return
    aside = temporary_beside(target)
    os.replace(target, aside)
    try:
        os.replace(new, target)
    except BaseException:
        if not target.exists():
            os.replace(aside, target)
        raise
    os.replace(aside, new)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two names in one step; False where the system or the file system cannot."""
    here, swap = -100, 2  # AT_FDCWD; RENAME_EXCHANGE on Linux, RENAME_SWAP on macOS
    names = os.fsencode(first), os.fsencode(second)
    if sys.platform == "win32":
        return False
    libc = ctypes.CDLL(None)
    if hasattr(libc, "renameat2"):
        return libc.renameat2(here, names[0], here, names[1], swap) == 0
    return hasattr(libc, "renamex_np") and libc.renamex_np(*names, swap) == 0


def _explain(error: BaseException, target: Path, done: bool) -> None:
    """Say in a note what became of the file. Notes are printed below the error."""
    if isinstance(error, OSError) and not done:
        rest = "what was there is unchanged" if target.exists() else "nothing was made"
        error.add_note(_UNSAVED.format(path=str(target), rest=rest))
    elif isinstance(error, OSError):
        error.add_note(f"'{target}' is complete, but a power cut now might undo this save.")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot sync a folder; a failed sync of data is never ignored.
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(descriptor)
