"""Files that are either the old one or the complete new one."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


@contextmanager
def replacing_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file beside `path`; it becomes `path` when the block ends, and vanishes if it raises.

    The bytes are on the disk before the name changes, and the name before this returns.

    Args:
        path: the file to write; a link is followed. An existing file keeps its permissions.

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
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"Cannot write {str(path)!r}: the folder {str(target.parent)!r} does not exist."
        )
    temporary = temporary_beside(target)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty folder beside `path`; it becomes `path` when the block ends.

    An old folder is moved aside first: no file system swaps two folders in one portable step. If
    the process dies between the two renames, the old folder is beside `path` under a hidden name.

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
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{str(path)!r} is a file; give the name of a folder.")
    temporary, old = temporary_beside(target), temporary_beside(target)
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.rglob("*"):
            _sync(file)
        _sync(temporary)
        if target.exists():
            os.replace(target, old)
        try:
            os.replace(temporary, target)
        except OSError:
            if old.exists():
                os.replace(old, target)
            raise
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def temporary_beside(target: Path) -> Path:
    """Return an unused hidden name in the same folder, hence on the same file system."""
    return target.with_name(f".{target.name[:100]}.{uuid4().hex[:12]}.tmp")


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where the system lets folders be opened."""
    if os.name == "posix":
        _sync(folder)


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
