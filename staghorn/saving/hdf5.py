"""Arrays in HDF5, and nothing else: what is written is plain, what is read is checked first.

HDF5 files can point at other files, run filters from plugins and declare arrays that are not
there. Every object of a file is examined before the first byte of data is read.
"""

from __future__ import annotations

import functools
import io
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import h5py
import ml_dtypes
import numpy as np

from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from staghorn.saving.memory import Buffer, read_sealed, require_seal
from staghorn.saving.sparse import MemoryFile, SparseFile

# Arrays of more bytes are not written by HDF5, which would copy them.
_SMALL = 1 << 16
_ALIGNMENT = 64  # so that loaded arrays begin where XLA can use them as they are
# An attribute of the file: its content ends with checksums (`memory.sealed`).
SEALED = "sealed"
_FILTERS = {
    h5py.h5z.FILTER_DEFLATE: "gzip",
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_FLETCHER32: "fletcher32",
}
# Compressed arrays: all of them together may have so many times the size of the file.
_MAX_EXPANSION = 4
_EXPANSION_FLOOR = 16 << 20
_MAX_OBJECTS = 2_000_000
# Texts of any length stand in heaps; every name in a list may point at the same one.
_HEAP = re.compile(rb"GCOL\x01\0\0\0")
_MAX_TEXT = 1 << 30
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


# path → (name attribute, key → array)
Groups = Mapping[str, tuple[str | None, Mapping[str, Any]]]


def write_hdf5(groups: Groups, will_be_sealed: bool = True) -> list[Buffer]:
    """Return an HDF5 file with the given groups, in pieces; the same groups give the same bytes.

    Args:
        groups: path → (name attribute, key → array). Every path gets a `vars` group.
        will_be_sealed: say in the file that `memory.sealed` puts checksums at its end; needless
            inside of a file that has others. Default: True.

    Example:
        >>> from staghorn.saving.hdf5 import read_hdf5, write_hdf5
        >>> groups = {"layers/dense": ("dense", {"0": np.ones((2, 3), "float32")})}
        >>> pieces = write_hdf5(groups, will_be_sealed=False)
        >>> read_hdf5(b"".join(pieces)).entry("layers/dense")["0"].shape
        (2, 3)
    """
    skeleton = SparseFile()
    large: dict[int, np.ndarray] = {}
    # v110: the file's own structure is behind checksums. Older readers of HDF5 (1.10, from 2016)
    # know it.
    with h5py.File(
        skeleton,
        "w",
        libver=("v110", "v110"),
        alignment_threshold=_SMALL,
        alignment_interval=_ALIGNMENT,
    ) as file:
        if will_be_sealed:
            file.attrs[SEALED] = True
        for path, (name, arrays) in groups.items():
            group = file.create_group(f"{path}/vars" if path else "vars")
            if name is not None:
                group.attrs["name"] = name
            for key, value in arrays.items():
                large |= _write_array(group, key, _plain_array(path, key, value))
    return skeleton.pieces(large)


def _plain_array(path: str, key: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" and array.dtype != ml_dtypes.bfloat16:
        raise ValueError(
            f"'{path}': save_own_variables stored {key!r} as {array.dtype} "
            f"({type(value).__name__}). A weights file holds numbers and booleans only."
        )
    return array


def _write_array(group: h5py.Group, key: str, array: np.ndarray) -> dict[int, np.ndarray]:
    """Write an array, or find a place for a large one: its place → its bytes."""
    # HDF5 has no bfloat16: two opaque bytes and a mark, as Keras does.
    is_bfloat16 = array.dtype == ml_dtypes.bfloat16
    plain = array.view("V2") if is_bfloat16 else array
    if array.nbytes > _SMALL:
        dataset = _reserve(group, key, plain)
        large = {dataset.id.get_offset(): np.ascontiguousarray(plain).reshape(-1).view(np.uint8)}
    else:
        dataset, large = group.create_dataset(key, data=plain), {}
    if is_bfloat16:
        dataset.attrs["dtype"] = "bfloat16"
    return large


def _reserve(group: h5py.Group, key: str, array: np.ndarray) -> h5py.Dataset:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_obj_track_times(False)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    kind = h5py.h5t.py_create(array.dtype, logical=True)
    space = h5py.h5s.create_simple(array.shape)
    return h5py.Dataset(h5py.h5d.create(group.id, key.encode(), kind, space, plist))


class Entry(Mapping[str, np.ndarray]):
    """The arrays of one object in a file, read when asked for.

    Args:
        file: where they are.
        path: path of the group that holds them, or None if there is none.
    """

    def __init__(self, file: WeightsFile, path: str | None) -> None:
        self.file = file
        self.path = path
        self.shapes = {} if path is None else file.arrays_in(path)

    def __getitem__(self, key: str) -> np.ndarray:
        if key not in self.shapes:
            raise KeyError(
                f"{self.file.where} has no array {key!r} in '{self.path}'; there are "
                f"{', '.join(self.shapes) or 'none'}."
            )
        return self.file.read(f"{self.path}/{key}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


class WeightsFile:
    """An HDF5 file whose every object has been examined.

    Args:
        data: the content of the file; see `read_memory`.
        where: how errors name it.
        sealed: whether checksums at its end were checked. Default: False.
    """

    def __init__(self, data: Buffer, where: str, sealed: bool = False) -> None:
        self.where = where
        self.sealed = sealed
        self.arrays: dict[str, tuple[tuple[int, ...], str]] = {}  # path → shape, type
        self._data = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else np.asarray(data)
        self._expanded = 0
        if self._data[: len(_SIGNATURE)].tobytes() != _SIGNATURE:
            raise CorruptFileError(f"{where} is not an HDF5 file, or something stands before it.")
        try:
            self._file = h5py.File(MemoryFile(self._data), "r")
            require_seal(sealed, SEALED in self._file.attrs, where)
            self._examine()
        except (CorruptFileError, UnsafeFileError):
            raise
        except (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise CorruptFileError(
                f"{where} cannot be read as HDF5; it is damaged or incomplete. ({error})"
            ) from error

    def entry(self, path: str) -> Entry:
        """Return the arrays of the object at a path; empty if the file has none."""
        for candidate in _spellings(path):
            group = f"{candidate}/vars" if candidate else "vars"
            if self.has(group):
                return Entry(self, group)
        return Entry(self, None)

    def count(self) -> int:
        """Return how many numbers the file holds."""
        return sum(math.prod(shape) for shape, _ in self.arrays.values())

    def has(self, path: str) -> bool:
        """Say whether there is a group or array of that path."""
        return path in self._groups or path in self.arrays

    def arrays_in(self, group: str) -> dict[str, tuple[tuple[int, ...], str]]:
        """Return name → (shape, type) of the arrays directly in a group."""
        start = len(group) + 1
        names = sorted(
            (path[start:] for path in self._members.get(group, ())),
            key=lambda key: (not key.isdigit(), int(key) if key.isdigit() else 0, key),
        )
        return {name: self.arrays[f"{group}/{name}"] for name in names}

    def groups_with_arrays(self) -> list[str]:
        """Return the paths of the groups that hold arrays."""
        return sorted(self._members)

    def text(self, name: str) -> str | None:
        """Return a text that the file itself has as an attribute, or None."""
        found = self._texts("", name)
        return found[0] if found else None

    def names(self, group: str, name: str) -> list[str] | None:
        """Return a list of names, the attribute of a group; long lists come in numbered parts."""
        if group and group not in self._groups:
            return None
        found = self._texts(group, name)
        part = 0
        while found is None or part:
            more = self._texts(group, f"{name}{part}")
            if more is None:
                break
            found, part = [*(found or []), *more], part + 1
        return found

    def _texts(self, group: str, name: str) -> list[str] | None:
        where = f"{group}@{name}"
        try:
            owner = self._file[group] if group else self._file
            if name not in owner.attrs:
                return None
            attribute = h5py.h5a.open(owner.id, name.encode())
            kind, count = attribute.get_type(), attribute.get_space().get_simple_extent_npoints()
            if not count:
                return []  # whose type is any
            if not isinstance(kind, h5py.h5t.TypeStringID):
                raise self._unsafe(where, "is not a text")
            if kind.is_variable_str() and count * self._largest_heap > _MAX_TEXT:
                raise self._unsafe(where, f"is a list of {count} texts that may be too large")
            values = np.ravel(owner.attrs[name]).tolist()
            return [v.decode("utf-8") if isinstance(v, bytes) else v for v in values]
        except UnsafeFileError:
            raise
        except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(f"{self.where}: '{where}' is damaged. ({error})") from error

    @functools.cached_property
    def _largest_heap(self) -> int:
        found = _HEAP.finditer(self._data.data)
        sizes = (self._data[m.end() : m.end() + 8].tobytes() for m in found)
        return max((int.from_bytes(size, "little") for size in sizes), default=0)

    def read(self, path: str) -> np.ndarray:
        """Return one array."""
        try:
            dataset = self._file[path]
            array = self._view(dataset)
            if array is None:
                array = np.asarray(dataset[()])
                array.flags.writeable = False  # a Variable may take it without a copy of its own
        except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(
                f"{self.where}: the array '{path}' is damaged. ({error})"
            ) from error
        return array.view(ml_dtypes.bfloat16) if self.arrays[path][1] == "bfloat16" else array

    def _view(self, dataset: h5py.Dataset) -> np.ndarray | None:
        """Return an array without a copy, if it lies in the file as it is in memory."""
        if dataset.shape is None:
            return None
        start, count = dataset.id.get_offset(), math.prod(dataset.shape)
        plain = dataset.dtype.kind in "fiu" and dataset.dtype.isnative
        if not (start and plain and start + count * dataset.dtype.itemsize <= len(self._data)):
            return None
        stop = start + count * dataset.dtype.itemsize
        return self._data[start:stop].view(dataset.dtype).reshape(dataset.shape)

    def _examine(self) -> None:
        """Visit everything once, without following a link out of the tree."""
        self._groups: set[str] = set()
        self._members: dict[str, list[str]] = {}
        seen: set[Any] = set()
        pending: list[tuple[str, h5py.Group]] = [("", self._file)]
        while pending:
            path, group = pending.pop()
            for name in group:
                inner = f"{path}/{name}" if path else name
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise self._unsafe(inner, f"is a {type(link).__name__}, which leads elsewhere")
                item = group[name]
                identity = h5py.h5o.get_info(item.id).addr
                if identity in seen:
                    raise self._unsafe(inner, "is a second name of another object")
                seen.add(identity)
                if len(seen) > _MAX_OBJECTS:
                    raise self._unsafe(inner, f"is one of more than {_MAX_OBJECTS} objects")
                if isinstance(item, h5py.Group):
                    self._groups.add(inner)
                    pending.append((inner, item))
                elif isinstance(item, h5py.Dataset):
                    self.arrays[inner] = self._examine_array(inner, item)
                    self._members.setdefault(path, []).append(inner)
                else:
                    raise self._unsafe(inner, f"is a {type(item).__name__}, not an array")

    def _examine_array(self, path: str, dataset: h5py.Dataset) -> tuple[tuple[int, ...], str]:
        creation = dataset.id.get_create_plist()
        if creation.get_layout() == h5py.h5d.VIRTUAL or creation.get_external_count():
            raise self._unsafe(path, "keeps its data in another file")
        filters = [creation.get_filter(i)[0] for i in range(creation.get_nfilters())]
        if any(number not in _FILTERS for number in filters):
            raise self._unsafe(path, f"needs the HDF5 filters {filters}, which are not used here")
        dtype = dataset.id.get_type()
        if isinstance(dtype, h5py.h5t.TypeOpaqueID) and dtype.get_size() == 2:
            name = "bfloat16"  # marked so by an attribute, but not in Keras's old format
        elif isinstance(dtype, (h5py.h5t.TypeIntegerID, h5py.h5t.TypeFloatID, h5py.h5t.TypeEnumID)):
            name = dataset.dtype.name
        else:
            name = type(dtype).__name__
        if name != "bfloat16" and (name.startswith("Type") or dataset.dtype.kind not in "fiub"):
            raise self._unsafe(path, f"has the type {name}; weights are numbers or booleans")
        shape = () if dataset.shape is None else tuple(dataset.shape)
        self._check_size(path, dataset, shape, h5py.h5z.FILTER_DEFLATE in filters)
        return shape, name

    def _check_size(
        self, path: str, dataset: h5py.Dataset, shape: tuple[int, ...], compressed: bool
    ) -> None:
        declared = math.prod(shape) * dataset.dtype.itemsize
        stored = dataset.id.get_storage_size()
        self._expanded += declared if compressed else 0
        limit = max(_EXPANSION_FLOOR, _MAX_EXPANSION * len(self._data))
        allowed = limit + declared - self._expanded if compressed else stored
        if declared > allowed or (declared and not stored):
            raise self._unsafe(
                path,
                f"declares the shape {shape} of {dataset.dtype.name} ({declared:,} bytes), but "
                f"the file stores {stored:,} bytes for it",
            )

    def _unsafe(self, path: str, problem: str) -> UnsafeFileError:
        return UnsafeFileError(
            f"{self.where}: '{path}' {problem}. Loading reads plain arrays of the file itself only."
        )


def _spellings(path: str) -> tuple[str, ...]:
    # TensorFlow's Keras 2.12 and 2.13 had another name for the layers of a model, and Keras 2
    # private ones for those of MultiHeadAttention.
    return (
        path,
        path.replace("layers", "_layer_checkpoint_dependencies"),
        re.sub(r"/(?=(query|key|value|output)_dense$)", "/_", path),
    )


def read_hdf5(data: Buffer, where: str = "the weights") -> WeightsFile:
    """Open the content of an HDF5 file after examining everything in it.

    Args:
        data: the file's content.
        where: how errors name it. Default: "the weights".

    Raises:
        CorruptFileError: damaged or incomplete.
        UnsafeFileError: links, data in other files, unknown filters or types, impossible sizes.

    Example:
        >>> from staghorn.saving.hdf5 import read_hdf5, write_hdf5
        >>> pieces = write_hdf5({"a": ("a", {"0": np.zeros(3)})}, will_be_sealed=False)
        >>> read_hdf5(b"".join(pieces)).arrays
        {'a/vars/0': ((3,), 'float64')}
    """
    return WeightsFile(data, where)


def read_hdf5_file(file: BinaryIO, where: str) -> WeightsFile:
    """Open an HDF5 file, of Staghorn's with its checksums checked. Raises as `read_hdf5`."""
    size = file.seek(0, io.SEEK_END)
    data, is_sealed = read_sealed(file, size, where)
    return WeightsFile(data, where, is_sealed)
