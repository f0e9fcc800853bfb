"""get_file: a file from the network, once; afterwards from the cache that Keras uses too."""

from __future__ import annotations

import hashlib
import http.client
import os
import shlex
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from staghorn.saving.atomic import sync_folder
from staghorn.saving.errors import CorruptFileError
from staghorn.utils.extraction import extract_archive

if sys.platform != "win32":  # there, two processes that download one file are not kept apart
    import fcntl

__all__ = ["DownloadError", "get_file"]

SCHEMES = ("http", "https", "ftp", "file")
TIMEOUT = 20.0  # seconds without a byte
RETRIES = 3  # in a row without a new byte
PAUSE = 0.5  # seconds before the first retry, twice as long before each further one
CHUNK = 1 << 18
PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP states that a retry may mend


class DownloadError(OSError):
    """A file could not be downloaded; the message says how to put it in place by hand.

    Attributes:
        target: the path at which the file is looked for.

    Example:
        >>> from staghorn.utils.download import DownloadError
        >>> issubclass(DownloadError, OSError)
        True
    """

    target: str = ""


class _Cut(ConnectionError):
    """The connection ended before the file did."""


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | list[str] | tuple[str, ...] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """Return the path of a file in the cache, after downloading it if it is not there.

    An interrupted download goes on where it stopped, also in a later call. The file appears
    under its name only when it is complete and its checksum is right.

    Args:
        fname: name in the cache. Default: None (the name at the end of `origin`).
        origin: address of the file: http, https, ftp or file.
        untar: the file is a tar archive to extract; `extract=True` does the same. Default: False.
        md5_hash: old spelling of `file_hash`, for MD5. Default: None.
        file_hash: the file's checksum in hexadecimal. Default: None (not checked).
        cache_subdir: folder in the cache, or an absolute path. Default: "datasets".
        hash_algorithm: "md5", "sha256", or "auto" (by the length). Default: "auto".
        extract: extract a tar or zip archive, and return the folder. Default: False.
        archive_format: "tar", "zip", "auto" (either), a list, or None. Default: "auto".
        cache_dir: the cache. Default: None (`$KERAS_HOME`, else `~/.keras`, else the folder for
            temporary files if that cannot be written).
        force_download: download even if the file is there. Default: False.

    Raises:
        DownloadError: the file is not cached and cannot be downloaded.
        CorruptFileError: what was downloaded has another checksum, or an archive is damaged.
        UnsafeFileError: an archive would write outside its folder.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.txt").write_text("here")
        >>> path = staghorn.utils.get_file(
        ...     "b.txt", (folder / "a.txt").as_uri(), cache_dir=folder
        ... )  # doctest: +ELLIPSIS
        Downloading ...
        >>> pathlib.Path(path).relative_to(folder).as_posix()
        'datasets/b.txt'

    Notes:
        Differs from Keras: an interrupted download is kept and resumed; a cached file is only
        replaced by a whole one; a cache that cannot be written still serves what it holds; an
        archive with a member that leads outside is refused as a whole, not in part.
    """
    if origin is None:
        raise ValueError(
            "get_file: origin is missing, the address of the file. Write "
            'get_file("data.zip", origin="https://example.com/data.zip").'
        )
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    if hash_algorithm == "auto":
        hash_algorithm = "sha256" if len(file_hash or "") == 64 else "md5"
    elif hash_algorithm not in ("md5", "sha256"):
        raise ValueError(
            f"get_file: hash_algorithm must be 'auto', 'md5' or 'sha256', got {hash_algorithm!r}."
        )
    name = _file_name(fname, origin)
    stored, extracted = name, None  # Keras's names, so that caches can be shared
    if extract or untar:
        if fname and "." in name:
            extracted = name[: name.find(".")] + "_extracted"
        else:
            stored, extracted = f"{name}_archive", name
    folder = cache_folder(cache_dir, cache_subdir, stored)
    target = os.path.join(folder, stored)
    if force_download or not _is_whole(target, file_hash, hash_algorithm):
        if os.path.exists(target) and not force_download:
            print(f"{target} has another checksum than {file_hash}: it is downloaded again.")
        _download(origin, target, file_hash, hash_algorithm, force_download)
    if extracted is None:
        return target
    destination = os.path.join(folder, extracted)
    if not extract_archive(target, destination, "tar" if untar else archive_format):
        warnings.warn(
            f"get_file: {target} is not an archive of the format {archive_format!r}; nothing was "
            "extracted. Leave extract=True out to get the file itself.",
            stacklevel=2,
        )
    return destination


def cache_folder(
    cache_dir: str | os.PathLike[str] | None, cache_subdir: str, name: str = ""
) -> str:
    """Return the folder for cached files: the wanted one if it holds `name` or can be written.

    Example:
        >>> import tempfile
        >>> from staghorn.utils.download import cache_folder
        >>> cache_folder(tempfile.mkdtemp(), "datasets")[-8:]
        'datasets'
    """
    base = cache_dir if cache_dir is not None else os.environ.get("KERAS_HOME", "~/.keras")
    folder = os.path.join(os.path.expanduser(base), cache_subdir)
    if name and os.path.exists(os.path.join(folder, name)):
        return folder
    try:
        os.makedirs(folder, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        folder = os.path.join(tempfile.gettempdir(), ".keras", cache_subdir)
        os.makedirs(folder, exist_ok=True)
    return folder


def _file_name(fname: str | os.PathLike[str] | None, origin: str) -> str:
    name = os.fspath(fname) if fname else os.path.basename(urlsplit(origin).path)
    if name in ("", ".", "..") or os.path.basename(name) != name:
        raise ValueError(
            f"get_file: fname must be a name without folders, got {name!r} from fname={fname!r}, "
            f'origin={origin!r}. Name the folder in cache_dir; cache_subdir="" puts the file '
            "right in it."
        )
    return name


def _checksum(path: str, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _is_whole(path: str, file_hash: str | None, algorithm: str) -> bool:
    return os.path.exists(path) and (
        file_hash is None or _checksum(path, algorithm) == file_hash.lower()
    )


def _download(origin: str, target: str, file_hash: str | None, algorithm: str, force: bool) -> None:
    """Bring `origin` to `target`, through `target.part`."""
    scheme = urlsplit(origin).scheme
    if scheme not in SCHEMES:
        raise ValueError(
            f"get_file: origin must begin with {', '.join(f'{s}://' for s in SCHEMES)}, "
            f"got {origin!r}."
        )
    by_hand = (
        f"To do it by hand: curl -L -o {shlex.quote(target)} {shlex.quote(origin)} "
        "(or copy the file to that path from a machine that has it)."
    )
    part = f"{target}.part"
    try:
        with _locked(part) as file:
            if not force and _is_whole(target, file_hash, algorithm):
                _forget(part)  # another process brought it while this one waited
                return
            _receive(origin, target, file)
            os.fsync(file.fileno())
            if not _is_whole(part, file_hash, algorithm):
                found = _checksum(part, algorithm)
                _forget(part)
                raise CorruptFileError(
                    f"The file at {origin} has the checksum {found}, expected {file_hash}: it was "
                    f"changed or damaged, and was not kept. {by_hand}"
                )
            if sys.platform == "win32":
                file.close()  # Windows renames no open file
            os.unlink(_note(part))
            os.replace(part, target)
        sync_folder(Path(target).parent)
    except (OSError, http.client.HTTPException) as error:
        failure = DownloadError(f"Could not download {origin} ({_reason(error)}). {by_hand}")
        failure.target = target
        raise failure from None  # its words hold what the error says


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    return str(getattr(error, "reason", error) or type(error).__name__)


@contextmanager
def _locked(part: str) -> Iterator[BinaryIO]:
    """Open the partial file for appending, alone; other processes wait."""
    while True:
        file = open(part, "ab")  # noqa: SIM115  closed below
        if sys.platform == "win32":
            break
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for the process that is downloading {part}", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # some file systems of clusters know no locks
            break
        # Whoever held it before may have renamed it: what is open would be the finished file.
        if os.path.exists(part) and os.path.samestat(os.fstat(file.fileno()), os.stat(part)):
            break
        file.close()
    try:
        yield file
    finally:
        if not file.closed and os.fstat(file.fileno()).st_size == 0:
            _forget(part)
        file.close()


def _forget(part: str) -> None:
    for path in (part, _note(part)):
        if os.path.exists(path):
            os.unlink(path)


def _note(part: str) -> str:
    """The file that says of which version of which address the partial file is a part."""
    return f"{part}.version"


def _receive(origin: str, target: str, file: BinaryIO) -> None:
    """Append what is missing to the partial file, with a bar; retry while the network falters."""
    from rich.console import Console  # 30 ms, for downloads only
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as SpeedColumn

    console = Console(highlight=False, markup=False)
    console.print(f"Downloading {origin} to {target}", soft_wrap=True)
    columns = (BarColumn(), DownloadColumn(), SpeedColumn(), TimeRemainingColumn())
    before, failures = os.fstat(file.fileno()).st_size, 0
    furthest = before
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=None, visible=False)
        show = partial(progress.update, task, visible=True)
        while True:
            try:
                return _transfer(origin, file, show)
            except (OSError, http.client.HTTPException) as error:
                file.flush()
                size = os.fstat(file.fileno()).st_size
                failures = 1 if size > furthest else failures + 1
                furthest = max(size, furthest)
                if failures > RETRIES or not _may_pass(error, furthest > before):
                    raise
            time.sleep(PAUSE * 2 ** (failures - 1))


def _may_pass(error: BaseException, begun: bool) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in PASSING
    if isinstance(error, urllib.error.URLError):
        return begun  # no connection at all: most likely offline, so say it at once
    return isinstance(error, (TimeoutError, ConnectionError, http.client.HTTPException))


def _transfer(origin: str, file: BinaryIO, show: Any) -> None:
    """One request: the rest of the file if the server still has the same one, else all of it."""
    done, version = os.fstat(file.fileno()).st_size, _version(origin, file.name)
    headers = {"User-Agent": "staghorn"}
    if done and version:
        headers |= {"Range": f"bytes={done}-", "If-Range": version}
    else:
        file.truncate(0)
    request = urllib.request.Request(origin, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        if error.code == 416 and "Range" in headers:  # nothing follows: begin anew
            file.truncate(0)
            return _transfer(origin, file, show)
        raise
    with response:
        resumed = getattr(response, "status", None) == 206
        span = response.headers.get("Content-Range", "")
        if resumed and not span.startswith(f"bytes {done}-"):
            file.truncate(0)
            raise _Cut(f"the server answered with {span!r}, not with what follows byte {done}")
        if not resumed:  # a server that knows no Range, or a new version
            file.truncate(0)
            done = 0
            _remember(origin, file.name, response.headers)
        length = response.headers.get("Content-Length")
        total = done + int(length) if length is not None and length.isdigit() else None
        while chunk := response.read(CHUNK):
            file.write(chunk)
            done += len(chunk)
            show(completed=done, total=total)
    file.flush()
    if total is not None and done != total:
        raise _Cut(f"the connection ended after {done} of {total} bytes")
    return None


def _remember(origin: str, part: str, headers: Any) -> None:
    """Keep what tells this version of the file from others: a strong ETag, or the date."""
    version = headers.get("ETag", "W/")
    if version.startswith("W/"):  # weak: equal tags do not promise equal bytes
        version = headers.get("Last-Modified", "")
    with open(_note(part), "w", encoding="utf-8") as note:
        note.write(f"{origin}\n{version}")


def _version(origin: str, part: str) -> str:
    try:
        with open(_note(part), encoding="utf-8") as note:
            source, version = note.read().split("\n")
    except (FileNotFoundError, ValueError):
        return ""
    return version if source == origin else ""
