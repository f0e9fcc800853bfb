"""Weights divided among several files: `m.weights.json` says which holds what.

Keras opens `m_00000.weights.h5` first, whatever it looks for, so that file is always there, and
empty. The others have a part of their checksum in their names: new ones never overwrite those that
the old list still names. The list is replaced last, and so decides between old and new.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from staghorn.saving.archive import parse_json
from staghorn.saving.atomic import (
    alone_in,
    read_again_if_replaced,
    remove_leftover,
    replacing_file,
)
from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from staghorn.saving.hdf5 import Groups, WeightsFile, read_hdf5_file, write_hdf5
from staghorn.saving.memory import sealed

_SUFFIX = ".weights.json"
_NAME = re.compile(r"[^/\\\0:]+\.weights\.h5")


def save_shards(groups: Groups, path: str, max_shard_size: float) -> None:
    """Write groups of arrays to files of at most `max_shard_size` GB, and the list of them.

    Raises:
        ValueError: if one array is larger than that.

    Example:
        >>> import os, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> model.save_weights(folder + "/m.weights.json", max_shard_size=1)
        >>> model.load_weights(folder + "/m.weights.json")
        >>> len(os.listdir(folder))
        3
    """
    target = Path(path)
    base = target.name.removesuffix(_SUFFIX)
    shards = _divided(groups, int(max_shard_size * (1 << 30)))
    total = sum(np.asarray(v).nbytes for _, arrays in groups.values() for v in arrays.values())
    files = {f"{base}_00000.weights.h5": b"".join(sealed(write_hdf5({})))}
    weight_map: dict[str, list[str]] = {}
    for i, shard in enumerate(shards, start=1):
        data = b"".join(sealed(write_hdf5(shard)))
        name = f"{base}_{i:05}-{_sum(data)[:12]}.weights.h5"
        files[name] = data
        for group in shard:
            weight_map.setdefault(f"/{group}/vars".replace("//", "/"), []).append(name)
    sums = {name: _sum(data) for name, data in files.items()}
    listed = {"metadata": {"total_size": float(total), "sha256": sums}, "weight_map": weight_map}
    files[target.name] = json.dumps(listed, indent=4).encode()
    with alone_in(target.parent):
        try:
            for name, data in files.items():
                with replacing_file(target.with_name(name)) as file:
                    file.write(data)
        finally:
            _sweep(target, base)


def _sweep(target: Path, base: str) -> None:
    """Remove the shards that the list does not name, and what killed saves left of shards."""
    try:
        listed = target.read_bytes()
    except FileNotFoundError:
        listed = b""
    except OSError:
        return
    shard = re.escape(base) + r"_\d{5}-[0-9a-f]{12}\.weights\.h5"
    half = re.compile(rf"\.({shard}|{re.escape(base)}_00000\.weights\.h5)\.[0-9a-f]{{12}}\.tmp")
    with suppress(OSError):
        for name in os.listdir(target.parent):
            if half.fullmatch(name):
                remove_leftover(target.with_name(name))
            elif re.fullmatch(shard, name) and name[len(base) :].encode() not in listed:
                target.with_name(name).unlink(missing_ok=True)


def _divided(groups: Groups, limit: int) -> list[dict[str, tuple[str | None, dict[str, Any]]]]:
    shards: list[dict[str, tuple[str | None, dict[str, Any]]]] = [{}]
    used = 0
    for path, (name, arrays) in groups.items():
        for key, value in arrays.items():
            size = np.asarray(value).nbytes
            if size > limit:
                raise ValueError(
                    f"save_weights: the array {key!r} of '{path}' has {size:,} bytes, more than "
                    f"one file may have. Write    max_shard_size={size / (1 << 30):.3g} or more."
                )
            if used + size > limit:
                shards.append({})
                used = 0
            used += size
            shards[-1].setdefault(path, (name, {}))[1][key] = value
    return shards


class ShardedFile(WeightsFile):
    """Several files that are read as one.

    Args:
        where: how errors name the list.
        files: the shards.
    """

    def __init__(self, where: str, files: list[WeightsFile]) -> None:
        self.where = where
        self.arrays = {}
        self._groups, self._members = set(), {}
        self._homes: dict[str, WeightsFile] = {}
        for file in files:
            twice = sorted(set(file.arrays) & set(self.arrays))
            if twice:
                raise CorruptFileError(f"{file.where} and another shard both have '{twice[0]}'.")
            self.arrays |= file.arrays
            self._homes |= dict.fromkeys(file.arrays, file)
            self._groups |= file._groups
            for group, members in file._members.items():
                self._members.setdefault(group, []).extend(members)

    def names(self, group: str, name: str) -> list[str] | None:
        """Return None: shards have no lists of names."""
        del group, name
        return None

    def read(self, path: str) -> np.ndarray:
        """Return one array."""
        if path not in self._homes:
            raise CorruptFileError(f"{self.where}: no shard has the array '{path}'.")
        return self._homes[path].read(path)


def read_shards(path: Path) -> ShardedFile:
    """Open the shards that a list names, all of them files beside it; check their checksums.

    Raises:
        CorruptFileError: a shard is missing or was changed.
        UnsafeFileError: a name leads elsewhere.
    """
    return read_again_if_replaced(lambda: _read_once(path), lambda: _version(path))


def _version(path: Path) -> tuple[int, int]:
    """Return what each writing of the list changes; its text may be one that it had before."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _read_once(path: Path) -> ShardedFile:
    where = f"'{path}'"
    listed = parse_json(path.read_bytes(), where)
    weight_map = listed.get("weight_map") if isinstance(listed, dict) else None
    if not isinstance(weight_map, dict):
        raise CorruptFileError(f"{where} has no 'weight_map'; it is no list of weights files.")
    metadata = listed.get("metadata")
    sums = metadata.get("sha256") if isinstance(metadata, dict) else None
    sums = sums if isinstance(sums, dict) else {}
    wanted: dict[str, list[str]] = {}
    for group, names in weight_map.items():
        for name in names if isinstance(names, list) else [names]:
            if not isinstance(name, str) or not _NAME.fullmatch(name) or name.startswith("."):
                raise UnsafeFileError(f"{where}: {name!r} is not the name of a file beside it.")
            wanted.setdefault(name, []).append(group.strip("/"))
    files = []
    for name, groups in wanted.items():
        shard = path.with_name(name)
        if shard.is_symlink() or (shard.exists() and not shard.is_file()):
            raise UnsafeFileError(f"{where}: '{name}' is not a plain file.")
        if not shard.exists():
            raise CorruptFileError(f"{where} names '{name}', which is not there.")
        data = shard.read_bytes()
        if name in sums and sums[name] != _sum(data):
            raise CorruptFileError(f"'{shard}' is not the file that {where} was written with.")
        file = read_hdf5_file(io.BytesIO(data), f"'{shard}'")
        missing = [group for group in groups if not file.has(group)]
        if missing:
            raise CorruptFileError(f"{where} says that '{name}' has '{missing[0]}'; it has not.")
        files.append(file)
    return ShardedFile(where, files)


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
