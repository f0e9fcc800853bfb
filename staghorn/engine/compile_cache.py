"""Compiled programs on disk: the second run of a script starts training at once.

JAX can keep compiled programs in a folder, but does so only when told to, never throws one away,
and trusts what it finds there. Here that happens by default, in a folder that only the user can
write, bounded, each file checked before a byte of it is used: a compiled program is machine code.
"""

import hashlib
import os
import platform
import stat
import sys
import warnings
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from staghorn import config
from staghorn.engine import jax_internals

# Measured sizes: a small model's training step 60 kB, ResNet50's 4 MB, an operation 2 kB.
MOST_BYTES = 1 << 30
MOST_FILES = 10_000
_DIGEST = 32
_SUFFIX = ".compiled"
_UNSAFE = """\
Compiled programs are not kept in {folder}: {why}, so somebody else could put programs there. \
Training is not affected, only started later. Name a folder of your own with the environment \
variable STAGHORN_COMPILE_CACHE, or set that to "off"."""


class CompileCache:
    """What JAX asks for compiled programs: `get(key)` and `put(key, bytes)`.

    Example:
        >>> import pathlib, tempfile
        >>> from staghorn.engine.compile_cache import CompileCache
        >>> cache = CompileCache(pathlib.Path(tempfile.mkdtemp()))
        >>> cache.put("program", b"machine code")
        >>> cache.get("program")
        b'machine code'
        >>> cache.get("another") is None
        True
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder
        self._size: int | None = None  # known after the first `put`
        self._count = 0

    def _file(self, key: str) -> Path:
        return self._path / (hashlib.sha256(key.encode()).hexdigest() + _SUFFIX)

    def get(self, key: str) -> bytes | None:
        """Return what was put under a key; None if nothing was, or if it is damaged."""
        path = self._file(key)
        try:
            held = path.read_bytes()
        except OSError:
            return None
        digest, value = held[:_DIGEST], held[_DIGEST:]
        with suppress(OSError):  # of a file that another process removes
            if hashlib.sha256(value).digest() != digest:
                path.unlink()
                return None
            os.utime(path)  # what was used last goes last
        return value

    def put(self, key: str, value: bytes) -> None:
        """Keep a program; the file appears whole or not at all."""
        path = self._file(key)
        part = path.with_name(f"{path.name}.{uuid4().hex}")
        # A disk that is full or cannot be written costs the next run its time, nothing else.
        with suppress(OSError):
            try:
                part.write_bytes(hashlib.sha256(value).digest() + value)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
            self._bound(len(value))

    def _bound(self, added: int) -> None:
        """Remove what was not used for longest, down to nine tenths, when there is too much."""
        if self._size is None:
            sizes = [entry.stat().st_size for entry in os.scandir(self._path)]
            self._size, self._count = sum(sizes), len(sizes)
        else:
            self._size, self._count = self._size + added, self._count + 1
        if self._size <= MOST_BYTES and self._count <= MOST_FILES:
            return
        files = sorted(
            (e.stat().st_mtime, e.path, e.stat().st_size) for e in os.scandir(self._path)
        )
        size, count = sum(file[2] for file in files), len(files)
        for _, name, bytes_ in files:
            if size <= 0.9 * MOST_BYTES and count <= 0.9 * MOST_FILES:
                break
            Path(name).unlink(missing_ok=True)
            size, count = size - bytes_, count - 1
        self._size, self._count = size, count


def enable() -> None:
    """Have JAX keep compiled programs where the configuration says. Cheap when nothing changed."""
    folder = config.compile_cache()
    jax_internals.use_compile_cache(None if folder is None else _opened(folder))


@lru_cache(maxsize=8)
def _opened(folder: str) -> CompileCache | None:
    path = Path(folder) / _machine()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:  # a home that does not exist, or cannot be written
        return None
    why = _why_unsafe(path)
    if why:
        warnings.warn(_UNSAFE.format(folder=path, why=why), stacklevel=2)
        return None
    return CompileCache(path)


def _why_unsafe(path: Path) -> str:
    """Return why others could write in a folder or rename it, "" if only its owner can."""
    if sys.platform == "win32":  # folders under a user's profile belong to that user
        return ""
    path = path.resolve()
    for folder in (path, *path.parents):
        found = folder.stat()
        if found.st_uid not in (os.getuid(), 0) or (folder == path and found.st_uid != os.getuid()):
            return f"{folder} belongs to another user"
        others = stat.S_IWOTH | (stat.S_IWGRP if folder == path else 0)
        # In a folder like /tmp everybody may write, but rename only what is their own.
        if found.st_mode & others and not (folder != path and found.st_mode & stat.S_ISVTX):
            return f"other users can write in {folder}"
    return ""


@lru_cache(maxsize=1)
def _machine() -> str:
    """Return a name for this kind of processor: homes are shared by machines that differ.

    XLA compiles for the very processor it runs on; JAX's own keys leave that out on CPUs.
    """
    about = platform.machine() + platform.processor()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        about += "".join(sorted({line for line in lines if line.startswith(("flags", "Features"))}))
    return hashlib.sha256(about.encode()).hexdigest()[:16]
