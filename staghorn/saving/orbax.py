"""Checkpoints of Orbax, the format of `OrbaxCheckpoint`: a folder of steps, each a folder.

A step holds `pytree`, the arrays by kind and path, and for whole models `model_config`, the JSON
text of a `.keras` file, and `assets`. Orbax is an optional package, imported when it is needed.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from staghorn.engine import donation
from staghorn.engine.serialization import serialize_keras_object
from staghorn.saving.archive import ASSETS, BAD_NAME, CONFIG, Archive
from staghorn.saving.assets import collect_assets
from staghorn.saving.dialect import oldest_dialect
from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from staghorn.saving.supplied import named_lambdas
from staghorn.saving.weights import OptimizerState, misfit, tell

PYTREE, MODEL, FILES = "pytree", "model_config", "assets"
_WEIGHTS = ("trainable_variables", "non_trainable_variables")
# Orbax writes it last: a step without it is not complete.
_MARK = "_CHECKPOINT_METADATA"
# Arrays are compressed; they may declare so many times the bytes on disk, or so many bytes.
_MAX_EXPANSION, _EXPANSION_FLOOR = 1000, 64 << 20
_COUNTER = re.compile(r"_\d+(?=[_/]|$)")


def orbax() -> Any:
    """Return the module `orbax.checkpoint.v1`, or say how it is installed."""
    try:
        return importlib.import_module("orbax.checkpoint").v1
    except (ImportError, AttributeError) as error:
        text = "OrbaxCheckpoint and its folders need more:    pip install orbax-checkpoint"
        raise ImportError(text) from error


def checkpointables(model: Any, weights_only: bool = False) -> dict[str, Any]:
    """Return what a checkpoint of a model holds, to be written while training goes on.

    The arrays are copies on their devices: the next step of training gives its own away.
    """
    with donation.lock:  # `fit` may run in another thread
        state = jax.device_put(model.get_state_tree(), may_alias=False)
    if weights_only:
        return {PYTREE: {kind: state[kind] for kind in _WEIGHTS}}
    with named_lambdas(model):
        config = oldest_dialect(serialize_keras_object(model))
    content: dict[str, Any] = {PYTREE: state, MODEL: {"config": json.dumps(config)}}
    for path, data in collect_assets(model).items():
        folder = content.setdefault(FILES, {})
        *outer, name = path.split("/")
        for part in outer:
            folder = folder.setdefault(part, {})
        folder[name] = np.frombuffer(data, np.uint8)
    return content


def is_orbax(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a folder of Orbax's checkpoints, or one of them."""
    folder = Path(path)
    return folder.is_dir() and not (folder / CONFIG).exists() and bool(_steps(folder))


def _steps(folder: Path) -> list[Path]:
    """Return the complete steps in a folder, in order; the folder of a step is its own."""
    if (folder / _MARK).is_file():
        return [folder]
    found = [p for p in folder.iterdir() if p.name.isdecimal() and (p / _MARK).is_file()]
    return sorted(found, key=lambda step: int(step.name))


def open_step(path: str | os.PathLike[str]) -> Step:
    """Return the checkpoint in a folder, of several the last; for what `is_orbax` accepts."""
    step = _steps(Path(path))[-1].absolute()
    describe, where = orbax().checkpointables_metadata, f"checkpoint '{step}'"
    content = _reading(where, lambda: dict(describe(step).metadata))
    if not content.get(PYTREE):  # Orbax leaves out what it cannot read
        raise CorruptFileError(f"{where} is damaged or incomplete: no '{PYTREE}' can be read.")
    return Step(where, step, content)


@dataclass(frozen=True)
class Step:
    """One checkpoint: how errors name it, its folder, and what it says that it holds."""

    where: str
    path: Path
    content: Mapping[str, Any]

    def archive(self) -> Archive:
        """Return config and assets as members of a `.keras` file, to be read with the same care."""
        if MODEL not in self.content:
            advice = "make the model in Python and load them, model.load_weights(...)."
            raise ValueError(f"{self.where} holds weights only: {advice}")
        text = str(self._load(MODEL, {"config": str})["config"])
        assets = {ASSETS + name: data.tobytes() for name, data in self.arrays(FILES).items()}
        for name in filter(BAD_NAME.search, assets):
            raise UnsafeFileError(f"{self.where}: the asset {name!r} leads out of its folder.")
        return Archive(self.where, {CONFIG: text.encode(), **assets})

    def arrays(self, name: str = PYTREE) -> dict[str, np.ndarray]:
        """Return path → array on the host, whatever devices it was on."""
        wanted = jax.tree.map(_placeholder, self.content.get(name, {}))
        size = sum(p.stat().st_size for p in (self.path / name).rglob("*") if p.is_file())
        declared = sum(array.nbytes for array in jax.tree.leaves(wanted))
        if declared > max(_EXPANSION_FLOOR, _MAX_EXPANSION * size):
            raise UnsafeFileError(f"{self.where} would grow from {size:,} to {declared:,} bytes.")
        found = self._load(name, wanted) if wanted else {}
        leaves = jax.tree_util.tree_leaves_with_path(found)
        return {"/".join(str(key.key) for key in path): np.asarray(leaf) for path, leaf in leaves}

    def _load(self, name: str, wanted: Any) -> dict[str, Any]:
        load, request = orbax().load_checkpointables, {name: wanted}
        return _reading(self.where, lambda: load(self.path, request)[name])


def _placeholder(leaf: Any) -> np.ndarray:
    return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)


def _reading(where: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:  # Orbax and what it stands on raise errors of all kinds
        raise CorruptFileError(f"{where} is damaged or incomplete. ({error!r:.300})") from error


def assign(
    model: Any,
    arrays: Mapping[str, np.ndarray],
    step: Step,
    skip_mismatch: bool = False,
    optimizer_state: OptimizerState = "optional",
) -> None:
    """Give a model the arrays of a checkpoint. All is compared before anything is assigned."""
    kinds: dict[str, Any] = defaultdict(dict)
    for path, array in arrays.items():
        kind, _, path = path.partition("/")
        kinds["weights" if kind in _WEIGHTS else kind][path] = array
    weights = [*model.trainable_variables, *model.non_trainable_variables]
    own = [variable.path for variable in weights]
    places = paired(own, kinds["weights"])
    renamed = {a.replace("/", "_"): b.replace("/", "_") for a, b in zip(own, places, strict=True)}
    groups = [(weights, places, kinds["weights"])]
    optimizer, slots = getattr(model, "optimizer", None), kinds["optimizer_variables"]
    if optimizer is not None and (slots or optimizer_state == "required"):
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        names = [_renamed(variable.path, renamed) for variable in optimizer.variables]
        groups.append((optimizer.variables, paired(names, slots), slots))
    problems: list[str] = []
    plan: list[tuple[Any, np.ndarray]] = []
    for variables, places, found in groups:
        problems += [f"{path}: only in the file." for path in sorted({*found} - {*places})]
        for variable, place in zip(variables, places, strict=True):
            array = found.get(place)
            missing = array is None
            wrong = [] if missing else [*misfit(variable, array.shape, array.dtype.name)]
            problems += [f"{variable.path}: {t}" for t in wrong or ["not in the file."] * missing]
            plan += [] if missing or wrong else [(variable, array)]
    tell(model, step, problems, skip_mismatch, last=False)
    for variable, array in plan:
        variable.assign(array)
    tell(model, step, problems, skip_mismatch)


def paired(own: list[str], found: Iterable[str]) -> list[str]:
    """Find the paths of a model's variables among those in a checkpoint; "" for none.

    They may differ: names that nobody gave count on from model to model ("dense_7"), and layers
    made from a config are built before their model knows them, so its name is not in their paths.
    Paths that are alike but for that are taken in the order of the numbers.

    Example:
        >>> from staghorn.saving.orbax import paired
        >>> paired(["dense_10/bias", "dense_7/bias"], ["net/dense/bias", "net/dense_1/bias"])
        ['net/dense_1/bias', 'net/dense/bias']
    """
    if len({*own}) < len(own):  # layers of one name in several models: which is which?
        return ["" for _ in own]
    if {*own} <= {*found}:
        return own
    free = {path: _COUNTER.sub("", f"/{path}") for path in sorted(found, key=_counters)}
    places = dict.fromkeys(own, "")
    for path in sorted(own, key=lambda path: (-path.count("/"), _counters(path))):
        name = _COUNTER.sub("", f"/{path}")
        alike = [p for p, other in free.items() if other.endswith(name) or name.endswith(other)]
        if alike:
            places[path] = min(alike, key=lambda p: abs(len(free[p]) - len(name)))
            del free[places[path]]
    return list(places.values())


def _counters(path: str) -> list[list[int]]:
    return [[int(n) for n in re.findall(r"\d+", part)] for part in path.split("/")]


def _renamed(slot: str, names: Mapping[str, str]) -> str:
    """Name an optimizer's slot, "adam/dense_7_kernel_momentum", by the weight in the file."""
    owner, _, rest = slot.partition("/")
    ends = [found.start() for found in re.finditer("_", rest) if rest[: found.start()] in names]
    return f"{owner}/{names[rest[: ends[-1]]]}{rest[ends[-1] :]}" if ends else slot
