"""What is in a file, told without building anything: its parts, and what loading would say."""

from __future__ import annotations

import dataclasses
import inspect as signatures
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from staghorn.callbacks.training_state import STATE, TRAINING
from staghorn.engine.config_check import check_config
from staghorn.engine.naming import to_snake_case
from staghorn.engine.serialization import find_class
from staghorn.saving.archive import WEIGHTS, Archive, parse_json, read_archive
from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from staghorn.saving.hdf5 import WeightsFile, read_hdf5_file
from staghorn.saving.keras2_config import modern_config, modern_training
from staghorn.saving.legacy import configs_of, is_legacy
from staghorn.saving.shards import read_shards
from staghorn.saving.supplied import Supplied, unknown_names

_ZIP, _HDF5 = b"PK", b"\x89HDF\r\n\x1a\n"
_VERIFIED, _ABSENT = "checksums verified", "no checksums in it"
# What a table of layers need not repeat.
_NOT_SHOWN = frozenset(("name", "layers", "input_layers", "output_layers", "build_input_shape"))
_USUAL = {
    "trainable": True,
    "dtype": "float32",
    "activation": "linear",
    "data_format": "channels_last",
    **dict.fromkeys(("sparse", "ragged", "optional"), False),  # of inputs
}
_LONGEST_LIST = 6
# Where the old format has the optimizer's counter.
_STEP = re.compile(r"^optimizer_weights/(.*/)?iter(ation)?s?(:0)?$")
_UNREADABLE = (CorruptFileError, UnsafeFileError)


@dataclass(frozen=True)
class SavedArray:
    """One array of a file; `not_finite` counts its NaNs and infinities."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    not_finite: int = 0

    @property
    def of_optimizer(self) -> bool:
        """Whether it is state of an optimizer, and no weight."""
        return self.path.split("/")[0] in ("optimizer", "optimizer_weights")


@dataclass(frozen=True)
class SavedLayer:
    """One layer as a file describes it; `weights` counts the numbers in the file, None if unknown.

    `arguments` are those of its constructor that are not their defaults.
    """

    name: str
    class_name: str
    arguments: dict[str, Any]
    weights: int | None
    depth: int = 0


@dataclass
class FileContents:
    """What is in a file.

    Args:
        path: the file or folder.
        kind: what it is, in words.
        bytes: its size.
        versions: what it says of its origin: `keras_version`, `staghorn_version`, `date_saved`.
        integrity: whether it has checksums, and matches them.
        model: class and name of the model, None for weights alone.
        layers: what the model is made of.
        training: part of how it was compiled -> in words; empty if it was not.
        optimizer_step: the step of the optimizer whose state is in the file, None if there is none.
        arrays: everything in HDF5.
        assets: name -> bytes of other files in it.
        state: for a backup or checkpoint: where its training stands.
        refused: why loading would refuse the file; empty if it would not.
        needed: what loading would have to be given, such as classes of your own.
    """

    path: str
    kind: str = "unknown"
    bytes: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    integrity: str = _ABSENT
    model: str | None = None
    layers: list[SavedLayer] = field(default_factory=list)
    training: dict[str, str] = field(default_factory=dict)
    optimizer_step: int | None = None
    arrays: list[SavedArray] = field(default_factory=list)
    assets: dict[str, int] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)

    def numbers(self) -> int:
        """Return how many numbers the model's weights have."""
        return sum(int(np.prod(a.shape)) for a in self.arrays if not a.of_optimizer)

    def as_dict(self) -> dict[str, Any]:
        """Return it all as plain values, ready for JSON."""
        return dataclasses.asdict(self)


def inspect(path: str | os.PathLike[str]) -> FileContents:
    """Say what is in a file, without building anything from it.

    Args:
        path: a `.keras` file or folder, `.weights.h5`, `.weights.json`, a `.h5` of Keras 2, or a
            backup of a training.

    Raises:
        FileNotFoundError: if it is not there.
        CorruptFileError: if it is none of these at all.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/model.keras"
        >>> staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)]).save(path)
        >>> contents = staghorn.saving.inspect(path)
        >>> contents.layers[1].class_name, contents.layers[1].arguments, contents.layers[1].weights
        ('Dense', {'units': 2}, 10)
        >>> contents.integrity
        'checksums verified'

    Notes: a damaged or unsafe file is no error here: `refused` says what loading would. The same
    as a command: `staghorn inspect model.keras`.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    found = FileContents(str(path), bytes=_size(path))
    try:
        _look(path, found)
    except _UNREADABLE as error:
        if found.kind == "unknown":
            raise
        _refuse(found, error)
    return found


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())


def _refuse(found: FileContents, error: Exception) -> None:
    found.refused.append(str(error))
    if isinstance(error, CorruptFileError):
        found.integrity = "damaged"


def _look(path: Path, found: FileContents) -> None:
    begin = b""
    if path.is_file():
        with open(path, "rb") as file:
            begin = file.read(len(_HDF5))
    if path.is_dir() or begin.startswith(_ZIP):
        found.kind = "folder of a model" if path.is_dir() else "model (.keras)"
        _look_at_archive(path, found)
    elif begin == _HDF5:
        found.kind = "weights (.weights.h5)"
        with open(path, "rb") as file:
            weights = read_hdf5_file(file, f"'{path}'")
        _look_at_hdf5(weights, found)
        if weights.sealed:
            found.integrity = _VERIFIED
    elif path.suffix == ".json":
        found.kind = "weights in several files (.weights.json)"
        _take_arrays(read_shards(path), found)
        if "sha256" in (parse_json(path.read_bytes(), f"'{path}'").get("metadata") or {}):
            found.integrity = _VERIFIED
    else:
        raise CorruptFileError(
            f"'{path}' is no file of a model: it begins neither as a zip archive ('.keras') nor as "
            "HDF5 ('.h5', '.weights.h5')."
        )


def _look_at_archive(path: Path, found: FileContents) -> None:
    try:
        archive = read_archive(path)
    except _UNREADABLE:
        # At least what it says it holds.
        with suppress(zipfile.BadZipFile, OSError, ValueError), zipfile.ZipFile(path) as members:
            found.assets = {info.filename: info.file_size for info in members.infolist()}
        raise
    metadata = archive.metadata()
    if isinstance(metadata.get("sha256"), dict):
        found.integrity = _VERIFIED
    found.versions = {
        key: str(metadata[key])
        for key in ("keras_version", "staghorn_version", "date_saved")
        if key in metadata
    }
    found.assets = {name: len(data) for name, data in archive.assets().items()}
    if TRAINING in archive.members:
        found.kind = "backup of a training"
        _look_at_state(archive, found)
        if WEIGHTS not in archive.members:
            return
        found.kind = "checkpoint (.keras, with the state of its training)"
    config, file = archive.config(), None
    try:
        file = archive.weights()
        _take_arrays(file, found)
    except _UNREADABLE as error:
        _refuse(found, error)
    training = config.pop("compile_config", None)
    _describe(config, training, archive.where, file, found, legacy=False)


def _look_at_state(archive: Archive, found: FileContents) -> None:
    state = parse_json(archive.members[TRAINING], f"{archive.where}, member '{TRAINING}'")
    kept = ("epoch", "batch", "run", "logs")
    found.state = {key: state[key] for key in kept if key in state}
    found.assets = {STATE: len(archive.members.get(STATE, b""))}


def _look_at_hdf5(file: WeightsFile, found: FileContents) -> None:
    _take_arrays(file, found)
    if not is_legacy(file):
        return
    found.kind = "weights in the old format (.h5)"
    said = file.text("keras_version") or file.names("model_weights", "keras_version") or ""
    version = said if isinstance(said, str) else "".join(said)
    found.versions = {"keras_version": version} if version else {}
    if file.text("model_config") is not None:
        found.kind = "model in the old format (.h5)"
        config, training = configs_of(file, found.path)
        _describe(config, training, file.where, file, found, legacy=True)


# Arrays --------------------------------------------------------------------------------------


def _take_arrays(file: WeightsFile, found: FileContents) -> None:
    for path, (shape, dtype) in file.arrays.items():
        array = file.read(path)
        # bfloat16 is a type of its own to NumPy, of the kind "V".
        real = array.dtype.kind == "f" or dtype == "bfloat16"
        wrong = int(array.size - np.isfinite(array).sum()) if real else 0
        found.arrays.append(SavedArray(path, shape, dtype, array.nbytes, wrong))
        if array.ndim == 0 and (path == "optimizer/vars/0" or _STEP.search(path)):
            found.optimizer_step = int(array)
    found.arrays.sort(key=lambda array: (array.of_optimizer, _natural(array.path)))


def _natural(path: str) -> list[tuple[int, str]]:
    """Sort "dense_2" before "dense_10"."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]


def _numbers(arrays: list[SavedArray], start: str) -> int:
    return sum(int(np.prod(a.shape)) for a in arrays if a.path.startswith(f"{start}/"))


# Architecture --------------------------------------------------------------------------------


def _describe(
    config: dict[str, Any],
    training: dict[str, Any] | None,
    where: str,
    file: WeightsFile | None,
    found: FileContents,
    legacy: bool,
) -> None:
    """Add what the configs say, then what loading would say about them."""
    if not {"class_name", "config"} <= set(config):
        raise CorruptFileError(f"{where}: its config does not describe a model.")
    if legacy or found.versions.get("keras_version", "").startswith("2."):
        try:
            modern = modern_config(config)
            training = modern_training(training, modern) if training else None
            config = modern
        except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
            text = f"{where}: no model can be made from it. ({error!r})"
            _refuse(found, CorruptFileError(text))
    inner = config["config"] if isinstance(config["config"], dict) else {}
    name = f" '{inner['name']}'" if "name" in inner else ""
    found.model = f"{config['class_name']}{name}"
    arrays = None if file is None else found.arrays
    found.layers = list(_rows(config, "model_weights" if legacy else "", arrays, legacy, 0))
    if isinstance(training, dict):
        keys = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics")
        found.training = {key: _text(training[key]) for key in keys if training.get(key)}
    try:
        for part, start in ((config, ()), (training or {}, ("compile_config",))):
            Supplied({}).fill_in(part, where)
            check_config(part, where, start)
            missing = unknown_names(part)
            found.needed += [missing] if missing else []
    except _UNREADABLE as error:
        _refuse(found, error)


def _rows(
    config: dict[str, Any],
    place: str,
    arrays: list[SavedArray] | None,
    legacy: bool,
    depth: int,
) -> Iterator[SavedLayer]:
    inner = config["config"] if isinstance(config.get("config"), dict) else config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else inner
    counts: dict[str, int] = {}
    for entry in layers if isinstance(layers, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
            continue
        cls, own = str(entry.get("class_name")), entry["config"]
        name = str(own.get("name") or entry.get("name"))
        is_op = str(entry.get("module")).startswith("keras.src.ops.")
        snake = name if legacy else to_snake_case(cls)
        position = counts.get(snake, 0)
        counts[snake] = position + (not is_op)
        folder = f"{snake}_{position}" if position else snake
        # In the old format a model inside has one group for all its weights.
        group = f"{place}/{folder}" if legacy else f"{place}/layers/{folder}".lstrip("/")
        known = arrays is not None and not is_op and not (legacy and depth)
        weights = _numbers(arrays or [], group) if known else None
        yield SavedLayer(name, cls, _arguments(entry), weights, depth)
        yield from _rows(entry, group, arrays, legacy, depth + 1)


def _arguments(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments in a config that say something."""
    keys = ("class_name", "module", "registered_name")
    named = {key: str(entry[key]) for key in keys if entry.get(key) is not None}
    try:
        parameters = signatures.signature(find_class({"class_name": "", **named})).parameters
        defaults = {name: parameter.default for name, parameter in parameters.items()}
    except (TypeError, ValueError):  # nobody's class, or one without a signature
        defaults = {}
    shown = {}
    for key, given in entry["config"].items():
        value, default = _plain(given), defaults.get(key)
        default = list(default) if isinstance(default, tuple) else default
        usual = value in (None, default, _USUAL.get(key), {}, []) or given == default
        usual = usual or (value is False and bool(defaults) and key not in defaults)
        if not usual and key not in _NOT_SHOWN and not _same_name(value, default):
            shown[key] = value
    return shown


def _same_name(value: Any, default: Any) -> bool:
    """`GlorotUniform` is what "glorot_uniform" means."""
    return isinstance(value, str) and isinstance(default, str) and to_snake_case(value) == default


def _plain(value: Any) -> Any:
    """Return an argument in the shortest form that still says it."""
    if isinstance(value, dict) and "class_name" in value:
        inner = value.get("config")
        if value["class_name"] == "__lambda__":
            return "bytecode"
        if value["class_name"] in ("function", "DTypePolicy", "Policy"):
            return inner.get("name") if isinstance(inner, dict) else inner
        return _text(value)
    if isinstance(value, (list, tuple)):
        if len(value) > _LONGEST_LIST:
            return f"{len(value)} values"
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return f"{value:.6g}" if isinstance(value, float) and value != round(value, 6) else value


def _text(value: Any) -> str:
    """Return part of a training's config in words: `Adam(learning_rate=0.001)`."""
    if isinstance(value, dict) and "class_name" in value:
        if not isinstance(value.get("config"), dict):
            return str(value.get("config"))
        given = _arguments(value)
        inside = ", ".join(f"{key}={item}" for key, item in given.items())
        return f"{value['class_name']}({inside})" if inside else str(value["class_name"])
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items() if item)
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value if item is not None)
    return re.sub(r"\s+", " ", str(value))
