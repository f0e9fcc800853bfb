"""The `.keras` file: a zip of `metadata.json`, `config.json`, `model.weights.h5` and assets.

Members are stored without compression, with fixed dates, so that the same model gives the same
bytes. `metadata.json`, which Keras does not read, holds the SHA-256 of the others.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from staghorn.saving.atomic import read_again_if_replaced
from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from staghorn.saving.hdf5 import WeightsFile, read_hdf5
from staghorn.saving.memory import Buffer, Pieces, as_pieces, read_memory

METADATA, CONFIG, WEIGHTS, ASSETS = "metadata.json", "config.json", "model.weights.h5", "assets/"
# The version of Keras whose format this is.
KERAS_VERSION = "3.15.1"

Members = Mapping[str, Buffer | Pieces]

_DATE = (1980, 1, 1, 0, 0, 0)
_MAX_MEMBERS = 10_000
_MAX_JSON = 64 << 20
# Deflated members: all of them together may have so many times the size of the file.
_MAX_EXPANSION = 4
_EXPANSION_FLOOR = 16 << 20
_LOCAL_HEADER, _END, _NO_COMMENT = 30, b"PK\x05\x06", b"\0\0"
_ENCRYPTED = 0x1
BAD_NAME = re.compile(r"(^/)|(^[A-Za-z]:)|\\|\0|(^|/)\.\.?(/|$)|//")


@dataclass(frozen=True)
class Archive:
    """What a `.keras` file or folder holds, checked and in memory.

    Args:
        where: how errors name it.
        members: name → content, the weights' as an array of bytes.
    """

    where: str
    members: Mapping[str, Any]

    def config(self) -> dict[str, Any]:
        """Return the parsed `config.json`."""
        config = parse_json(self._member(CONFIG), f"{self.where}, member '{CONFIG}'")
        if not isinstance(config, dict) or not {"class_name", "config"} <= set(config):
            raise CorruptFileError(
                f"{self.where}, member '{CONFIG}': it does not describe a model; expected an "
                "object with 'class_name' and 'config'."
            )
        return config

    def metadata(self) -> dict[str, Any]:
        """Return the parsed `metadata.json`; empty if there is none."""
        if METADATA not in self.members:
            return {}
        found = parse_json(self.members[METADATA], f"{self.where}, member '{METADATA}'")
        return found if isinstance(found, dict) else {}

    def sums(self) -> dict[str, Any] | None:
        """Return member → SHA-256, if the file has them."""
        sums = self.metadata().get("sha256")
        return sums if isinstance(sums, dict) else None

    def weights(self) -> WeightsFile:
        """Return the examined `model.weights.h5`."""
        return read_hdf5(self._member(WEIGHTS), f"{self.where}, member '{WEIGHTS}'")

    def assets(self) -> dict[str, bytes]:
        """Return path inside `assets/` → content."""
        return {
            name.removeprefix(ASSETS): data
            for name, data in self.members.items()
            if name.startswith(ASSETS) and not name.endswith("/")
        }

    def _member(self, name: str) -> Any:
        if name not in self.members:
            raise CorruptFileError(
                f"{self.where} has no member '{name}'; it is not a saved model or not complete. "
                f"It holds: {', '.join(sorted(self.members)) or 'nothing'}."
            )
        return self.members[name]


# Writing -------------------------------------------------------------------------------------


def members_of(
    config: dict[str, Any],
    weights: Pieces,
    assets: Mapping[str, bytes],
    extra: Mapping[str, bytes],
) -> dict[str, Buffer | Pieces]:
    """Return all members of an archive but the metadata by name, in the order of the file."""
    content = {CONFIG: json.dumps(config).encode(), WEIGHTS: weights}
    return content | {ASSETS + path: data for path, data in sorted(assets.items())} | {**extra}


def origin() -> dict[str, str]:
    """Return what the metadata say of where and when a model was saved."""
    from staghorn import __version__

    return {
        "keras_version": KERAS_VERSION,
        "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
        "staghorn_version": __version__,
    }


def checked_members(content: Members, **metadata: Any) -> Members:
    """Put metadata with the checksums of all members in front of them."""
    metadata["sha256"] = {name: _sha256(data) for name, data in content.items()}
    return {METADATA: json.dumps(metadata).encode(), **content}


def write_archive(file: BinaryIO, members: Members) -> None:
    """Write members to an open file as a zip without compression.

    Example:
        >>> import io
        >>> from staghorn.saving.archive import parse_archive, write_archive
        >>> buffer = io.BytesIO()
        >>> write_archive(buffer, {"config.json": b"{}"})
        >>> parse_archive(buffer, "the buffer").members
        {'config.json': b'{}'}
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            _add(archive, name, data)


def write_checked_archive(file: BinaryIO, content: Members, **metadata: Any) -> None:
    """Write `checked_members`, the metadata last: a thread makes the sums during the writing."""
    with ThreadPoolExecutor(1) as thread, zipfile.ZipFile(file, "w") as archive:
        members = thread.submit(checked_members, content, **metadata)
        for name, data in content.items():
            _add(archive, name, data)
        _add(archive, METADATA, members.result()[METADATA])


def _add(archive: zipfile.ZipFile, name: str, data: Buffer | Pieces) -> None:
    info = zipfile.ZipInfo(name, _DATE)
    info.external_attr = 0o600 << 16
    info.file_size = sum(len(piece) for piece in as_pieces(data))  # more than 4 GB need zip64
    with archive.open(info, "w") as member:
        for piece in as_pieces(data):
            member.write(piece)


def write_folder(folder: Path, members: Members) -> None:
    """Write members as files below a folder."""
    (folder / ASSETS).mkdir()  # Keras expects it
    for name, data in members.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as file:
            file.writelines(as_pieces(data))


# Reading -------------------------------------------------------------------------------------


def read_archive(path: str | os.PathLike[str]) -> Archive:
    """Read a `.keras` file, or a folder that was written unzipped; check its checksums.

    Raises:
        FileNotFoundError: if it is not there.
        CorruptFileError: damaged, incomplete, or not a `.keras` file at all.
        UnsafeFileError: members with impossible names or sizes.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/model.keras"
        >>> staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)]).save(path)
        >>> sorted(staghorn.saving.archive.read_archive(path).members)
        ['config.json', 'metadata.json', 'model.weights.h5']
    """
    path = Path(path)
    if path.is_dir():
        return read_again_if_replaced(lambda: _read_folder(path), lambda: _version(path))
    if not path.exists():
        raise FileNotFoundError(f"There is no file {str(path)!r}.{_similar(path)}")
    with open(path, "rb") as file:
        return parse_archive(file, f"'{path}'")


def _similar(path: Path) -> str:
    if not path.parent.is_dir():
        return f" The folder {str(path.parent)!r} does not exist."
    others = sorted(p.name for p in path.parent.glob("*.keras"))[:5]
    return f" Its folder holds: {', '.join(others)}." if others else ""


def parse_archive(file: BinaryIO, where: str) -> Archive:
    """Read an open zip file; every member is checked before it is unpacked."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if file.read(4) != b"PK\x03\x04":
        raise CorruptFileError(
            f"{where} is not a '.keras' file: it does not begin as a zip archive does."
        )
    file.seek(max(0, size - 22))
    end = file.read()
    if end[:4] != _END or end[-2:] != _NO_COMMENT:
        raise CorruptFileError(
            f"{where} does not end as a zip archive without a comment does: it is damaged, "
            "incomplete, or more than a '.keras' file."
        )
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            check_members(infos, size, where)
            return _read_members(archive, file, infos, where)
    except (CorruptFileError, UnsafeFileError):
        raise
    except (
        zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError,
        UnicodeDecodeError, OverflowError,
    ) as error:  # fmt: skip
        raise CorruptFileError(f"{where} is damaged or incomplete. ({error})") from error


def _read_members(
    archive: zipfile.ZipFile, file: BinaryIO, infos: list[zipfile.ZipInfo], where: str
) -> Archive:
    """Read all members; the weights into memory of their own, checked while they are read."""
    large = [i for i in infos if i.filename == WEIGHTS and i.compress_type == zipfile.ZIP_STORED]
    found = Archive(
        where, {i.filename: archive.read(i) for i in infos if i not in large and not i.is_dir()}
    )
    sums = found.sums()
    known = {name: _sha256(data) for name, data in found.members.items() if sums is not None}
    for info in large:
        archive.open(info).close()  # compares the member's own header with the table
        file.seek(info.header_offset + _LOCAL_HEADER - 4)
        file.seek(sum(struct.unpack("<HH", file.read(4))), io.SEEK_CUR)
        total: Any = hashlib.sha256() if sums is not None else _Crc()
        memory = read_memory(file, info.file_size, total.update)
        if sums is None and total.value != info.CRC:
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {WEIGHTS!r}")
        if sums is not None:
            known[WEIGHTS] = total.hexdigest()
        found = Archive(where, {**found.members, WEIGHTS: memory})
    return _verified(found, known)


class _Crc:
    """CRC-32 of blocks, as zip files have it."""

    value = 0

    def update(self, block: Any) -> None:
        self.value = zlib.crc32(block, self.value)


def check_members(infos: list[zipfile.ZipInfo], size: int, where: str) -> None:
    """Refuse a table of contents that cannot be honest, before anything is unpacked."""
    if len(infos) > _MAX_MEMBERS:
        raise UnsafeFileError(f"{where} has {len(infos)} members; a model has a few.")
    names = [info.filename for info in infos]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise UnsafeFileError(f"{where} has several members of the same name: {twice}.")
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        problem = _member_problem(info)
        if not end and info.header_offset:
            problem = f"begins at byte {info.header_offset:,}, behind something else"
        if info.header_offset < end:
            problem = "overlaps another member"
        end = info.header_offset + _LOCAL_HEADER + len(info.filename) + info.compress_size
        if end > size:
            problem = f"declares {info.compress_size:,} bytes, more than the file has left"
        if problem:
            raise UnsafeFileError(f"{where}, member {info.filename!r}: it {problem}.")
    total = sum(info.file_size for info in infos)
    if total > max(_EXPANSION_FLOOR, _MAX_EXPANSION * size):
        raise UnsafeFileError(f"{where} would grow from {size:,} to {total:,} bytes.")


def _member_problem(info: zipfile.ZipInfo) -> str | None:
    if BAD_NAME.search(info.filename) or not info.filename:
        return "has a name that leads out of the archive"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type == zipfile.ZIP_STORED:
        if info.file_size != info.compress_size:
            return f"declares {info.file_size:,} bytes and stores {info.compress_size:,}"
    elif info.compress_type != zipfile.ZIP_DEFLATED:
        return f"is compressed by method {info.compress_type}; only deflate is read"
    return None


def _version(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_ino, found.st_mtime_ns


def _read_folder(folder: Path) -> Archive:
    where = f"folder '{folder}'"
    _check_plain(folder / ASSETS, folder, where)
    members = {}
    wanted = [folder / name for name in (METADATA, CONFIG, WEIGHTS)]
    for path in [*wanted, *sorted((folder / ASSETS).rglob("*"))]:
        _check_plain(path, folder, where)
        if path.is_file():
            with open(path, "rb") as file:
                content = read_memory(file, os.fstat(file.fileno()).st_size)
            name = path.relative_to(folder).as_posix()
            members[name] = content if name == WEIGHTS else content.tobytes()
        elif path in wanted and path.exists():
            raise UnsafeFileError(f"{where}: '{path.name}' is not a file.")
    archive = Archive(where, members)
    return _verified(archive, {name: _sha256(archive.members[name]) for name in archive.members})


def _check_plain(path: Path, folder: Path, where: str) -> None:
    """Refuse what is no file or folder, and links to elsewhere."""
    target, home, name = path.resolve(), folder.resolve(), path.relative_to(folder)
    # Hugging Face's cache keeps the files of all versions in one folder, and links to them.
    shared = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    if not (target.is_relative_to(home) or target.is_relative_to(shared)):
        raise UnsafeFileError(f"{where}: '{name}' leads out of the folder, to '{target}'.")
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise UnsafeFileError(f"{where}: '{name}' is not a plain file.")


def _verified(archive: Archive, known: Mapping[str, str]) -> Archive:
    """Compare what the members have with the checksums, where the file has them (ours does)."""
    sums = archive.sums()
    if sums is None:
        return archive
    missing = sorted(set(sums) - set(archive.members))
    if missing:
        raise CorruptFileError(f"{archive.where} is not complete: it lacks {missing}.")
    for name in {CONFIG, WEIGHTS, *sums}:
        if name in archive.members and sums.get(name) != known[name]:
            raise CorruptFileError(
                f"{archive.where}, member '{name}': its content does not match the checksum in "
                f"'{METADATA}'. The file was damaged or edited; use another copy."
            )
    return archive


def _sha256(data: Buffer | Pieces) -> str:
    total = hashlib.sha256()
    for piece in as_pieces(data):
        total.update(piece)
    return total.hexdigest()


def parse_json(data: bytes, where: str) -> Any:
    """Parse JSON from a file; nothing in it is executed or looked up.

    Raises:
        CorruptFileError: it is not JSON, or a key comes twice.
        UnsafeFileError: it is too large or nested too deeply.
    """
    if len(data) > _MAX_JSON:
        raise UnsafeFileError(f"{where} has {len(data):,} bytes; the limit is {_MAX_JSON:,}.")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique_keys)
    except RecursionError as error:
        raise UnsafeFileError(f"{where} is nested too deeply.") from error
    except ValueError as error:
        raise CorruptFileError(f"{where} is not valid JSON. ({error})") from error


def _unique_keys(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {key!r} comes twice")
        result[key] = value
    return result
