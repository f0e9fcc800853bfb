"""The weights of a model as a tree in HDF5: one group per layer, found by path (see `walk`)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from staghorn.engine import donation
from staghorn.engine.spellings import user_level
from staghorn.engine.variable import Variable
from staghorn.layers.layer import Layer
from staghorn.optimizers.optimizer import Optimizer
from staghorn.saving.atomic import replacing_file
from staghorn.saving.errors import CorruptFileError
from staghorn.saving.hdf5 import Entry, Groups, WeightsFile, read_hdf5_file, write_hdf5
from staghorn.saving.memory import sealed
from staghorn.saving.walk import own_variables, walk

# What to do about an optimizer's state: it must be in the file, it may be, or it is not wanted.
OptimizerState = Literal["required", "optional"]

# Parts of a path whose groups no layer needs: Keras 2 saved metrics, and optimizers belong to
# models that are compiled.
_NOT_WEIGHTS = frozenset(("optimizer", "metrics"))

_NOT_BUILT = """\
'{name}' ({cls}) has no weights yet, since it was not built. Call it on data first, or
build it from a shape:    model.build(input_shape)"""

_OTHERS = (
    "The optimizer's state in {where} was made for other weights than the model trains: layers "
    "were frozen, thawed, quantized or given LoRA after compile(). It is left out, and training "
    "goes on with fresh state. Call compile() before save() to say so."
)
_SAME_OPTIMIZER = (
    "It must be the same optimizer with the same options, for the same trainable weights."
)
_BUILD_OPTIMIZER = (
    "It was not built: call its build(variables) where the model makes its weights, in build()."
)

_MISMATCH = """\
The weights in {where} do not fit '{name}' ({cls}):
{problems}
The file must come from the same architecture. skip_mismatch=True loads what fits."""


def save_weights(
    model: Any,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    max_shard_size: float | None = None,
) -> None:
    """Save the weights of a model, and its optimizer's state, to a `.weights.h5` file.

    Args:
        model: a built model or layer.
        filepath: file name that ends in `.weights.h5`; `.weights.json` for several files. `.h5`
            alone gives Keras 2's format, without the optimizer.
        overwrite: replace a file that is there. Default: True.
        max_shard_size: divide the weights among files of at most so many GB. Default: None, no.

    Raises:
        ValueError: if the model is not built, the name ends otherwise, or an array is larger than
            a shard.
        FileExistsError: if the file is there and `overwrite` is False.

    Example:
        >>> import tempfile
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> path = tempfile.mkdtemp() + "/model.weights.h5"
        >>> staghorn.saving.save_weights(model, path)
        >>> staghorn.saving.load_weights(model, path)

    Notes: the file is the old one or the complete new one at every moment. It opens in Keras; a
    checksum behind the HDF5 data lets `load_weights` see any damage.
    """
    from staghorn.saving.legacy import SUFFIXES, save_legacy
    from staghorn.saving.shards import save_shards

    path = os.fspath(filepath)
    wanted = ".weights.h5" if max_shard_size is None else ".weights.json"
    old = max_shard_size is None and path.endswith(SUFFIXES) and not path.endswith(wanted)
    if not path.endswith(wanted) and not old:
        raise ValueError(
            f"save_weights: the file name must end in '{wanted}', got {path!r}. "
            f"Write    save_weights({path.split('.weights.')[0] + wanted!r})"
        )
    check_overwrite(path, overwrite)
    check_built(model)
    if old:
        save_legacy(model, path, whole=False)
        return
    if max_shard_size is not None:
        save_shards(weights_groups(model), path, max_shard_size)
        return
    pieces = write_hdf5(weights_groups(model))
    with replacing_file(path) as file:
        file.writelines(sealed(pieces))


def load_weights(
    model: Any,
    filepath: str | os.PathLike[str],
    skip_mismatch: bool = False,
    by_name: bool = False,
) -> None:
    """Load the weights of a model from a `.weights.h5`, `.keras`, `.weights.json` or `.h5` file.

    A compiled model's optimizer gets its state back too, if the file has it.

    Args:
        model: a built model or layer of the same architecture.
        filepath: the file, or a folder of `OrbaxCheckpoint` or of one of its steps.
        skip_mismatch: load what fits and warn about the rest. Default: False.
        by_name: for `.h5` files of Keras 2: give weights to the layers of the same name, and leave
            the others as they are. Default: False, in the order of the layers.

    Raises:
        ValueError: if something does not fit; nothing is loaded then.
        CorruptFileError: if the file is damaged.
        UnsafeFileError: if the file asks for more than reading its arrays.

    Example:
        >>> import tempfile
        >>> first = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> second = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> path = tempfile.mkdtemp() + "/model.weights.h5"
        >>> first.save_weights(path)
        >>> second.load_weights(path)
        >>> bool((first.get_weights()[0] == second.get_weights()[0]).all())
        True
    """
    check_built(model)
    from staghorn.saving.legacy import is_legacy, restore_legacy
    from staghorn.saving.orbax import assign, is_orbax, open_step

    if is_orbax(filepath):
        step = open_step(filepath)
        assign(model, step.arrays(), step, skip_mismatch)
        return
    file = open_weights(filepath)
    if is_legacy(file):
        restore_legacy(model, file, skip_mismatch, by_name)
        return
    if by_name:
        raise ValueError(
            f"load_weights: by_name=True is for '.h5' files of Keras 2; in {file.where} weights "
            "are found by their place in the model. Leave it out."
        )
    optimizer = getattr(model, "optimizer", None)
    before = [(v, v.stored) for v in (*model.variables, *getattr(optimizer, "variables", ()))]
    try:
        restore(model, file, skip_mismatch=skip_mismatch, optimizer_state="optional")
    except CorruptFileError:  # an array whose damage was seen when it was read
        for variable, value in before:
            variable._adopt(value)
        raise


def save_weights_to(model: Any, file: BinaryIO) -> None:
    """Write the weights of a model to an open file, in the `.weights.h5` layout.

    Example:
        >>> import io
        >>> from staghorn.saving.weights import load_weights_from, save_weights_to
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> buffer = io.BytesIO()
        >>> save_weights_to(model, buffer)
        >>> _ = buffer.seek(0)
        >>> load_weights_from(model, buffer)
    """
    file.writelines(sealed(write_hdf5(weights_groups(model))))


def load_weights_from(model: Any, file: BinaryIO, skip_mismatch: bool = False) -> None:
    """Read the weights of a model from an open file that `save_weights_to` wrote.

    Example:
        See `save_weights_to`.
    """
    where = f"'{getattr(file, 'name', 'the open file')}'"
    restore(
        model,
        read_hdf5_file(file, where),
        skip_mismatch=skip_mismatch,
        optimizer_state="optional",
    )


def open_weights(filepath: str | os.PathLike[str]) -> WeightsFile:
    """Open the weights in a file of any kind."""
    path = Path(filepath)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    if path.suffix == ".keras":
        from staghorn.saving.archive import read_archive

        return read_archive(path).weights()
    if path.suffix == ".json":
        from staghorn.saving.shards import read_shards

        return read_shards(path)
    with open(path, "rb") as file:
        return read_hdf5_file(file, f"'{path}'")


def check_built(model: Any) -> None:
    """Refuse a model without weights."""
    if not model.built:
        raise ValueError(_NOT_BUILT.format(name=model.name, cls=type(model).__name__))


def check_overwrite(path: str, overwrite: bool) -> None:
    """Refuse to replace a file against the caller's wish."""
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"{path!r} exists. Pass overwrite=True to replace it.")


def weights_groups(model: Any) -> Groups:
    """Return path → (name, key → array) of everything in a model."""
    groups: dict[str, tuple[str | None, Mapping[str, Any]]] = {}
    with donation.lock:  # `fit` may run in another thread
        for path, item in walk(model):
            store: dict[str, Any] = {}
            item.save_own_variables(store)
            # Looked at, not copied: JAX does not reuse memory that NumPy looks at.
            arrays = {
                key: np.asarray(value.stored if isinstance(value, Variable) else value)
                for key, value in store.items()
            }
            groups[path] = (item.name if "\0" not in item.name else None, arrays)
    return groups


# Loading -------------------------------------------------------------------------------------


def restore(
    model: Any,
    file: WeightsFile,
    skip_mismatch: bool = False,
    optimizer_state: OptimizerState = "required",
) -> None:
    """Give a model the state in a file. Everything is compared before anything is assigned."""
    from staghorn.saving.legacy import modern_entry

    problems: list[str] = []
    plan: list[tuple[str, Any, Entry]] = []
    claimed: set[str] = set()
    for path, item in walk(model):
        entry = file.entry(path)
        if entry.path is not None:
            claimed.add(entry.path)
        if isinstance(item, Optimizer):
            _build_optimizer(model, item, entry)
            entry = modern_entry(item, entry)
            wanted = bool(entry)
            if optimizer_state == "required" and _trained_others(model, item, entry):
                warnings.warn(_OTHERS.format(where=file.where), stacklevel=user_level())
                continue
            found = list(_optimizer_problems(item, entry, optimizer_state))
        else:
            found = list(_layer_problems(item, entry))
            wanted = True
        problems += [_line(path, item, text) for text in found]
        if wanted and not found:
            plan.append((path, item, entry))
    problems += _unclaimed(file, claimed)
    tell(model, file, problems, skip_mismatch, last=False)
    problems += _assign(plan)
    tell(model, file, problems, skip_mismatch)


def tell(
    model: Any, file: Any, problems: list[str], skip_mismatch: bool, last: bool = True
) -> None:
    """Raise for what does not fit; with `skip_mismatch` warn about it, once all is loaded."""
    text = "\n".join(f"  {line}" for line in problems)
    if problems and not skip_mismatch:
        name, cls = model.name, type(model).__name__
        raise ValueError(_MISMATCH.format(where=file.where, name=name, cls=cls, problems=text))
    if problems and last:
        warnings.warn(f"Skipped from {file.where}:\n{text}", stacklevel=user_level())


def _assign(plan: list[tuple[str, Any, Entry]]) -> list[str]:
    problems = []
    # Optimizers first: they look at values too, and refuse before a layer is changed.
    for path, item, entry in sorted(plan, key=lambda step: isinstance(step[1], Layer)):
        try:
            item.load_own_variables(entry)
        except CorruptFileError:
            raise
        except (ValueError, TypeError, KeyError, IndexError) as error:
            problems.append(_line(path, item, str(error)))
    return problems


def _line(path: str, item: Any, text: str) -> str:
    return f"{path or 'the model itself'} ('{item.name}', {type(item).__name__}): {text}"


def _layer_problems(layer: Layer, entry: Entry) -> Iterator[str]:
    if type(layer).load_own_variables is not Layer.load_own_variables:
        return  # the class reads its own format
    own = own_variables(layer)
    found = list(entry.shapes.values())
    if not own and found and not layer.built:
        yield (
            f"it was not built, but the file has {_shapes(found)} for it. Its parent's build() "
            "must build it, or the model must be called on data first."
        )
    elif len(own) != len(found):
        needed = ", ".join(f"{v.name} {v.shape}" for v in own) or "no weights"
        yield f"it has {needed}; the file has {_shapes(found)} for it."
    else:
        for position, variable in enumerate(own):
            yield from _variable_problems(variable, str(position), entry)


def _variable_problems(variable: Any, key: str, entry: Entry) -> Iterator[str]:
    if key not in entry.shapes:
        yield f"the file has no array {key!r} for {variable.name} {variable.shape}."
        return
    yield from misfit(variable, *entry.shapes[key])


def misfit(variable: Any, shape: tuple[int, ...], dtype: str) -> Iterator[str]:
    """Say why an array in a file is not the value of a variable, if it is not."""
    if shape != variable.shape:
        yield f"{variable.name} has shape {variable.shape}, the file has {shape}."
    elif _kind(dtype) != _kind(variable.dtype):
        yield f"{variable.name} is {variable.dtype}, the file has {dtype}."


def _kind(dtype: str) -> str:
    return next((kind for kind in ("float", "int", "bool") if kind in dtype), dtype)


def _shapes(found: list[tuple[tuple[int, ...], str]]) -> str:
    if not found:
        return "nothing"
    return "arrays of shape " + ", ".join(str(shape) for shape, _ in found)


def _build_optimizer(model: Any, optimizer: Optimizer, entry: Entry) -> None:
    if entry and not optimizer.built and optimizer is getattr(model, "optimizer", None):
        optimizer.build(model.trainable_variables)


def _trained_others(model: Any, optimizer: Optimizer, entry: Entry) -> bool:
    """Say whether the state in a file is whole, but for other weights than are trained now."""
    own, found = len(optimizer._stored_variables), entry.shapes
    if len(found) in (0, 1, 2, own) or list(found) != [str(i) for i in range(len(found))]:
        return False
    shapes = {weight.shape for weight in model.weights} | {()}
    return all(shape in shapes for shape, _ in found.values())


def _optimizer_problems(optimizer: Optimizer, entry: Entry, state: OptimizerState) -> Iterator[str]:
    if not entry:
        if state == "required":
            yield (
                "the file has no state for it, so training would start afresh. Load with "
                "compile=False and compile again if that is meant."
            )
        return
    own, found = optimizer._stored_variables, list(entry.shapes.values())
    unslotted = sum(v.name in ("iteration", "learning_rate") for v in own)
    if len(found) == unslotted < len(own):
        return  # saved before the first step: load_own_variables looks whether that is so
    if len(own) != len(found):
        yield (
            f"it has {len(own)} variables ({', '.join(f'{v.name} {v.shape}' for v in own[:6])}"
            f"{', ...' if len(own) > 6 else ''}); the file has {len(found)} for it. "
            f"{_SAME_OPTIMIZER if optimizer.built else _BUILD_OPTIMIZER}"
        )
        return
    for position, variable in enumerate(own):
        yield from _variable_problems(variable, str(position), entry)


def _unclaimed(file: WeightsFile, claimed: set[str]) -> Iterator[str]:
    """Tell of arrays in the file that nothing in the model asks for."""
    for group in file.groups_with_arrays():
        arrays = list(file.arrays_in(group).values())
        if group in claimed or _NOT_WEIGHTS & set(group.split("/")) or _looks_optimizer(arrays):
            continue
        path = group.removesuffix("vars").rstrip("/")
        yield f"{path or group}: the model has no layer here; the file has {_shapes(arrays)}."


def _looks_optimizer(arrays: list[tuple[tuple[int, ...], str]]) -> bool:
    """An optimizer's first variable is its counter. Models without compile() have none."""
    return bool(arrays) and arrays[0][0] == () and _kind(arrays[0][1]) == "int"
