"""Model and weights files in Keras 2's layout of HDF5 (`.h5`, `.hdf5`), which Keras 3 writes too.

A file is the config in an attribute and one group per layer; layers are told by their order, and
their weights by lists of names. `keras2_config` says how the configs are read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from staghorn.engine.serialization import serialize_keras_object
from staghorn.engine.spellings import say_once
from staghorn.engine.variable import Variable
from staghorn.optimizers import Nadam
from staghorn.saving.archive import KERAS_VERSION, parse_json
from staghorn.saving.atomic import replacing_file
from staghorn.saving.dialect import oldest_dialect
from staghorn.saving.errors import CorruptFileError
from staghorn.saving.hdf5 import SEALED, Entry, WeightsFile
from staghorn.saving.keras2_config import old_form
from staghorn.saving.memory import sealed
from staghorn.saving.supplied import named_lambdas
from staghorn.saving.walk import own_variables
from staghorn.saving.weights import misfit, tell

SUFFIXES = (".h5", ".hdf5")
_MODEL, _TOP, _OPTIMIZER = "model_weights", "top_level_model_weights", "optimizer_weights"
# An attribute of a group has to fit into its header, which HDF5 limits to 64 KiB.
_MAX_NAMES = 64512

# (variable, path of its array in the file)
Step = tuple[Variable, str]
# (id of the model's variable, slot of the optimizer)
SlotKey = tuple[int, str]
_COUNTER: SlotKey = (0, "iteration")

# Slots of Keras 2's optimizers, and what they are called today.
_SLOTS = {
    "m": "momentum", "v": "velocity", "u": "norm", "vhat": "velocity_hat",
    "v_hat": "velocity_hat", "rms": "velocity", "mg": "average_gradient",
    "accum_grad": "accumulated_grad", "accum_var": "accumulated_delta_var",
}  # fmt: skip
_COUNTERS = ("iteration", "iterations", "iter")

_NO_MODEL = """\
{where} holds weights and no architecture. Make the model in Python, and load them:
    model.load_weights({path!r})"""
_THEANO = """\
{where} was written with Theano, whose convolutions turn their kernels round, so its weights would
give other results here."""
_UNNAMED_STATE = """\
the state of the optimizer is stored under names of an older Keras ({names}, ...), which do not say
what each array is. Load with compile=False, and compile again."""


def is_legacy(file: WeightsFile) -> bool:
    """Say whether an HDF5 file has the old layout."""
    return file.has(_MODEL) or file.names("", "layer_names") is not None


# Reading -------------------------------------------------------------------------------------


def configs_of(file: WeightsFile, path: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the model's config and its training's, as they are in the file."""
    found = []
    for name in ("model_config", "training_config"):
        text = file.text(name)
        value = None if text is None else parse_json(text.encode(), f"{file.where}, '{name}'")
        if value is not None and not isinstance(value, dict):
            raise CorruptFileError(f"{file.where}, '{name}': it is no JSON object.")
        found.append(value)
    if found[0] is None:
        raise ValueError(_NO_MODEL.format(where=file.where, path=path))
    return found[0], found[1]


def plan_weights(
    model: Any, file: WeightsFile, by_name: bool = False
) -> tuple[list[Step], list[str]]:
    """Compare a model with a file; return what can be assigned, and what does not fit.

    Args:
        model: a built model.
        file: the file.
        by_name: find layers by their names, and leave those alone that the file does not name;
            else by their order. Default: False.
    """
    root = _MODEL if file.has(_MODEL) else ""
    saved = {name: _arrays(file, root, name) for name in file.names(root, "layer_names") or ()}
    if file.names(root, "backend") == ["theano"]:
        raise ValueError(_THEANO.format(where=file.where))
    top = [] if by_name else _arrays(file, root, _TOP)
    if by_name:
        pairs = [(layer, name) for name in saved for layer in model.layers if layer.name == name]
    else:
        saved = {name: paths for name, paths in saved.items() if paths}
        layers = [layer for layer in model.layers if _weights(layer)]
        if len(layers) != len(saved):
            text = (
                f"it has {len(layers)} layers with weights ({_listed(x.name for x in layers)}), "
                f"the file {len(saved)} ({_listed(saved)})."
            )
            return [], [text]
        pairs = list(zip(layers, saved, strict=True))
    steps: list[Step] = []
    problems: list[str] = []
    for layer, name in pairs:
        place = f"'{layer.name}' ({type(layer).__name__}), '{name}' in the file"
        _compare(file, place, _weights(layer), saved[name], steps, problems)
    if top:
        _compare(file, "the model itself", own_variables(model), top, steps, problems)
    return steps, problems


def restore_legacy(
    model: Any,
    file: WeightsFile,
    skip_mismatch: bool = False,
    by_name: bool = False,
    optimizer: bool = False,
) -> None:
    """Give a model the weights in a file; all is compared before anything is assigned.

    Args:
        model: a built model.
        file: the file.
        skip_mismatch: load what fits and warn about the rest. Default: False.
        by_name: as for `plan_weights`. Default: False.
        optimizer: give the optimizer its state too. Default: False.
    """
    steps, problems = plan_weights(model, file, by_name)
    tell(model, file, problems, skip_mismatch, last=False)
    state = optimizer_state(model, file, steps) if optimizer else None
    values = [file.read(path) for _, path in steps]
    if state is not None:
        try:
            model.optimizer.load_own_variables(state)
        except ValueError as error:
            raise ValueError(f"{file.where}: {error}") from error
    for (variable, _), value in zip(steps, values, strict=True):
        variable.assign(value)
    tell(model, file, problems, skip_mismatch)


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"


def _weights(layer: Any) -> list[Variable]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _arrays(file: WeightsFile, root: str, layer: str) -> list[str]:
    group = f"{root}/{layer}".strip("/")
    paths = [f"{group}/{name}" for name in file.names(group, "weight_names") or ()]
    for path in paths:
        if path not in file.arrays:
            raise CorruptFileError(f"{file.where} lists the array '{path}', but has none there.")
    return paths


def _compare(
    file: WeightsFile,
    place: str,
    variables: list[Variable],
    paths: list[str],
    steps: list[Step],
    problems: list[str],
) -> None:
    if len(variables) != len(paths):
        problems.append(f"{place}: it has {len(variables)} weights, the file {len(paths)}.")
        return
    for variable, path in zip(variables, paths, strict=True):
        found = [f"{place}: {text}" for text in misfit(variable, *file.arrays[path])]
        problems += found
        if not found:
            steps.append((variable, path))


def optimizer_state(
    model: Any, file: WeightsFile, steps: list[Step]
) -> dict[str, np.ndarray] | None:
    """Return the state of a model's optimizer as `load_own_variables` takes it; None if none."""
    names = file.names(_OPTIMIZER, "weight_names")
    if names is None:
        return None
    paths = _arrays(file, "", _OPTIMIZER)
    if not any(name.endswith(":0") for name in names):
        return {str(i): file.read(path) for i, path in enumerate(paths)}
    by_slot = _old_slots(file, dict(zip(names, paths, strict=True)), steps)
    return old_state(model.optimizer, {key: file.read(path) for key, path in by_slot.items()})


def _old_slots(
    file: WeightsFile, paths: Mapping[str, str], steps: list[Step]
) -> dict[SlotKey, str]:
    """Read the names of Keras 2: `Adam/m/dense/kernel:0`, or `Adam/dense/kernel/m:0` before."""
    groups = {path.split("/", 2)[-1]: v for v, path in steps}
    known = {name.removesuffix(":0"): id(variable) for name, variable in groups.items()}
    found: dict[SlotKey, str] = {}
    for name, path in paths.items():
        parts = name.removesuffix(":0").removeprefix("training/").split("/")
        if parts[-1] in _COUNTERS:
            found[_COUNTER] = path
            continue
        ways = ((parts[1:2], parts[2:]), (parts[-1:], parts[1:-1]))
        read = [(known["/".join(at)], slot[0]) for slot, at in ways if "/".join(at) in known]
        if read:
            owner, slot = read[0]
            found[owner, _SLOTS.get(slot, slot)] = path
        elif file.arrays[path][0] not in ((), (1,)):
            raise ValueError(_UNNAMED_STATE.format(names=_listed(list(paths)[:3])))
    return found


def old_state(optimizer: Any, saved: Mapping[SlotKey, Any]) -> dict[str, np.ndarray]:
    """Return an optimizer's state made of Keras 2's; what that did not save stays as it is.

    Raises:
        ValueError: if a slot of the optimizer is not in the file.
    """
    keys = _slot_keys(optimizer)
    variables = optimizer._stored_variables
    missing = [v.name for v in variables if id(v) in keys and keys[id(v)] not in saved]
    if missing:
        raise ValueError(f"the file has no state of the optimizer for {_listed(missing)}.")
    values = {id(v): saved[keys[id(v)]] if id(v) in keys else v.numpy() for v in variables}
    if isinstance(optimizer, Nadam):  # its product of the factors of all steps, which fades fast
        steps = np.arange(1, min(int(saved[_COUNTER]), 10_000) + 1)
        values[id(optimizer._u_product)] = np.prod(optimizer.beta_1 * (1 - 0.5 * 0.96**steps))
    return {str(i): np.asarray(values[id(v)]) for i, v in enumerate(variables)}


def _slot_keys(optimizer: Any) -> dict[int, SlotKey]:
    """Return id of the optimizer's variable → what it is for; the optimizer is built."""
    keys: dict[int, SlotKey] = {id(optimizer._iterations): _COUNTER}
    averages = optimizer._model_variables_moving_average or [None] * len(optimizer._slots)
    for owner, slots, average in zip(
        optimizer._trainable_variables, optimizer._slots, averages, strict=True
    ):
        keys |= {id(slot): (id(owner), name) for name, slot in slots.items()}
        if average is not None:
            keys[id(average)] = (id(owner), "average")
    return keys


class OldEntry(Entry):
    """An optimizer's arrays in Keras 2's order, as if they were in today's."""

    def __init__(self, entry: Entry, values: dict[str, np.ndarray]) -> None:
        super().__init__(entry.file, entry.path)
        self.values_ = values
        self.shapes = {key: (array.shape, array.dtype.name) for key, array in values.items()}

    def __getitem__(self, key: str) -> np.ndarray:
        return self.values_[key]


def modern_entry(optimizer: Any, entry: Entry) -> Entry:
    """Return an optimizer's arrays; Keras 2 left the learning rate out, which tells its files."""
    shapes = [shape for shape, _ in entry.shapes.values()]
    if isinstance(optimizer, Nadam):  # whose product of factors stood before the slots until 3.9
        first = 1 + isinstance(optimizer._learning_rate, Variable)
        if () in shapes[first : first + 1] and shapes[-1] != ():
            values = list(entry.values())
            values.append(values.pop(first))
            return OldEntry(entry, {str(i): value for i, value in enumerate(values)})
    if not shapes or () in shapes[1:2] or not isinstance(optimizer._learning_rate, Variable):
        return entry
    keys = _slot_keys(optimizer)
    order = [keys[id(v)] for v in optimizer._stored_variables if id(v) in keys]
    if len(order) == 1:  # its SGD had slots for a momentum of zero too
        shapes = shapes[:1]
    if len(order) != len(shapes):
        return entry
    return OldEntry(entry, old_state(optimizer, dict(zip(order, entry.values(), strict=False))))


# Writing -------------------------------------------------------------------------------------


def save_legacy(model: Any, path: str, whole: bool = True, include_optimizer: bool = True) -> None:
    """Write a model, or its weights alone, in the old layout.

    Example:
        >>> import tempfile, warnings
        >>> path = tempfile.mkdtemp() + "/model.h5"
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     model.save(path)
        >>> staghorn.saving.load_model(path).count_params()
        10
    """
    call, today = ("save", ".keras") if whole else ("save_weights", ".weights.h5")
    say_once(f"model.{call}('*.h5')", f"model.{call}('*{today}')")
    data = legacy_bytes(model, whole, include_optimizer)
    with replacing_file(path) as file:
        file.writelines(sealed([data]))


def legacy_bytes(model: Any, whole: bool, include_optimizer: bool) -> bytes:
    """Return the bytes of a file in the old layout."""
    names = [layer.name for layer in model.layers]
    twice = sorted({name for name in names if names.count(name) > 1 or name == _TOP})
    if twice:
        raise ValueError(
            f"Layers of '{model.name}' have the same name ({_listed(twice)}), by which the old "
            "HDF5 format keeps them apart. Save to a '.keras' or '.weights.h5' file."
        )
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs[SEALED] = True
        root = file.create_group(_MODEL) if whole else file
        for group in {root, file}:
            group.attrs["keras_version"] = KERAS_VERSION
            group.attrs["backend"] = "jax"
        _put_names(root, "layer_names", names)
        for layer in sorted(model.layers, key=lambda layer: layer.name):
            _put_weights(root.create_group(layer.name), _weights(layer))
        _put_weights(root.create_group(_TOP), own_variables(model))
        if whole:
            with named_lambdas(model):
                config = oldest_dialect(serialize_keras_object(model))
            training = config.pop("compile_config", None)
            file.attrs["model_config"] = json.dumps(old_form(config))
            if training and include_optimizer:
                optimizer = old_form(training.pop("optimizer"))
                training = {**old_form(training), "optimizer_config": optimizer}
                file.attrs["training_config"] = json.dumps(training)
                _put_weights(file.create_group(_OPTIMIZER), model.optimizer._stored_variables)
    return buffer.getvalue()


def _put_weights(group: h5py.Group, variables: list[Variable]) -> None:
    names: list[str] = []
    for name in (variable.path for variable in variables):
        while any(f"{name}/".startswith(f"{n}/") or n.startswith(f"{name}/") for n in names):
            name += "_"
        names.append(name)
    _put_names(group, "weight_names", names)
    for name, variable in zip(names, variables, strict=True):
        value = variable.numpy()
        # Keras reads its own bfloat16 as bytes without a type; float32 holds every value of it.
        group.create_dataset(
            name, data=value.astype("float32") if value.dtype.kind == "V" else value
        )


def _put_names(group: h5py.Group, key: str, names: list[str]) -> None:
    encoded = np.array([name.encode() for name in names])
    parts = -(-encoded.nbytes // _MAX_NAMES)
    if parts <= 1:
        group.attrs[key] = encoded
        return
    rows = max(1, _MAX_NAMES // encoded.itemsize)
    for i, start in enumerate(range(0, len(names), rows)):
        group.attrs[f"{key}{i}"] = encoded[start : start + rows]
