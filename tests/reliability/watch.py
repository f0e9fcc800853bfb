"""Every system call of a save that changes or syncs files: seen, counted, and made to fail."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

from staghorn.saving import atomic

NAMES = ("open", "write", "fsync", "replace", "close", "unlink", "mkdir", "rmdir", "chmod")
ERRORS = {name: getattr(errno, name) for name in ("EIO", "ENOSPC", "EINTR")}


class Call(NamedTuple):
    """One call: its name, the path it is about, and what else it was given."""

    name: str
    path: str
    other: str = ""
    offset: int = 0
    data: bytes = b""


class Raw(io.RawIOBase):
    """A file whose every write is a call of `os.write`, so that it can be seen."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor: int | None = descriptor

    def fileno(self) -> int:
        assert self.descriptor is not None
        return self.descriptor

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return os.lseek(self.fileno(), offset, whence)

    def truncate(self, size: int | None = None) -> int:
        size = self.tell() if size is None else size
        os.ftruncate(self.fileno(), size)
        return size

    def write(self, data: Any) -> int:
        return os.write(self.fileno(), data)

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, None
        try:
            super().close()
        finally:
            if descriptor is not None:
                os.close(descriptor)


class Watch:
    """While it is open, the k-th call fails in the manner of `how`.

    "exit": the process ends there, a write half done. "EIO", "ENOSPC", "EINTR": the error of that
    name; "EIO for good": all further calls have it too. "interrupt": KeyboardInterrupt right after
    the call. `tell` is told the name of each call, and again with "done" before it.
    """

    def __init__(
        self, at: int = 0, how: str = "", tell: Callable[[str], None] = lambda name: None
    ) -> None:
        self.at, self.how, self.tell = at, how, tell
        self.count = 0
        self.calls: list[Call] = []
        self.paths: dict[int, str] = {}  # open descriptors
        self.reached = ""  # the call that failed
        self._patches = ExitStack()
        self._open = builtins.open

    def __enter__(self) -> Watch:
        for name in NAMES:
            call = partial(self._call, name, getattr(os, name))
            self._patches.enter_context(mock.patch.object(os, name, call))
        exchange = partial(self._call, "exchange", atomic._exchange)
        self._patches.enter_context(mock.patch.object(atomic, "_exchange", exchange))
        for module in (builtins, io):
            self._patches.enter_context(mock.patch.object(module, "open", self._open_file))
        return self

    def __exit__(self, *error: object) -> None:
        self._patches.close()

    def _open_file(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if isinstance(file, int) or not set(mode) & set("wx"):
            return self._open(file, mode, *args, **kwargs)
        assert "b" in mode
        kind = os.O_EXCL if "x" in mode else os.O_TRUNC
        return io.BufferedWriter(Raw(os.open(file, os.O_WRONLY | os.O_CREAT | kind, 0o666)))

    def _call(self, name: str, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.count += 1
        number = self.count
        self.tell(name)
        hit = number == self.at or (self.how.endswith("for good") and number > self.at > 0)
        if hit:
            self.reached = self.reached or name
            if self.how != "interrupt":
                self._fail(name, real, args)
        call = self._noted(name, args, kwargs)
        result = real(*args, **kwargs)
        if name != "exchange" or result:
            self.calls.append(call)
        if name == "open":
            self.paths[result] = call.path
        self.tell("done " + name)
        if hit:
            raise KeyboardInterrupt
        return result

    def _fail(self, name: str, real: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if name == "write":
            real(args[0], bytes(args[1])[: len(args[1]) // 2])
        if self.how == "exit":
            os._exit(137)
        if name == "close":
            real(*args)  # the descriptor is gone, whatever close says
        if name == "write" and self.how == "EINTR":
            # A signal that comes after some bytes gives a short count; without any, this error.
            os.lseek(args[0], -(len(args[1]) // 2), os.SEEK_CUR)
        number = ERRORS[self.how.split()[0]]
        raise OSError(number, os.strerror(number))

    def _noted(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        if name in ("write", "fsync", "close"):
            path = self.paths.get(args[0], "")
            if name == "write":
                return Call(name, path, "", os.lseek(args[0], 0, os.SEEK_CUR), bytes(args[1]))
            return Call(name, path)
        path = os.fsdecode(args[0])
        if kwargs.get("dir_fd") is not None:
            path = os.path.join(self.paths[kwargs["dir_fd"]], path)
        if name == "open":
            flags = args[1] if len(args) > 1 else kwargs["flags"]
            return Call("create" if flags & os.O_CREAT else name, path)
        return Call(name, path, os.fsdecode(args[1]) if name in ("replace", "exchange") else "")
