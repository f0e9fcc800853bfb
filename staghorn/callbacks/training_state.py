"""All that an interrupted `fit` needs to go on exactly: as one value, as bytes, and back.

The model's Variables, where in which epoch, in which order the rows come, what callbacks count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np

from staghorn.callbacks.callback import Callback
from staghorn.engine.variable import Variable
from staghorn.random import global_seed_generator, global_seed_state

# Members of an archive that holds a state: a backup, or a checkpoint beside its model.
TRAINING, STATE = "training.json", "training.bin"
_ARRAY = "__array__"
_NESTS = ("position", "logs", "draws")


@dataclass(frozen=True)
class TrainingState:
    """Where a `fit` stands.

    Args:
        epoch: the epoch to go on with.
        batch: how many of its batches are done.
        position: what the data needs to go on with the same batches.
        run: what must be equal for an exact continuation: versions, rows, batch size, ...
        logs: the values after the last batch.
        callbacks: name of the class, and the values that `kept` names, of each that keeps any.
        names: paths of the Variables.
        arrays: their values.
        draws: the state of the global generator of random numbers, None if nobody drew from it.
        whole: whether all Variables are here, or a model file beside it has its weights and the
            optimizer's state.
    """

    epoch: int
    batch: int
    position: Any
    run: Mapping[str, Any]
    logs: Mapping[str, Any]
    callbacks: list[tuple[str, dict[str, Any]]]
    names: list[str]
    arrays: list[np.ndarray] = field(repr=False)
    draws: Any = None
    whole: bool = True


@dataclass
class Run:
    """A `fit` that is going on; `model._run` while it does.

    Args:
        epoch: the first epoch, which `give` moves.
        feed: the batches: `position()` is what another run needs to see the same ones, and
            `facts()` what must be equal in it.
        callbacks: all of them.
        batch: how many batches of the first epoch are done.
        resumed: the state from which this run goes on, None for a new one.
    """

    epoch: int
    feed: Any
    callbacks: list[Any]
    batch: int = 0
    resumed: TrainingState | None = None


def state_variables(model: Any, batch: int = 0, whole: bool = True) -> list[Variable]:
    """Return the Variables that training goes on from: weights, seeds, optimizers, metrics.

    Args:
        model: a compiled model.
        batch: how many batches of the epoch are done. Without any, metrics are left out: every
            epoch begins by resetting them. An eager model makes them in its first step, too late
            to be given values, so its logs begin with the batch that comes. Default: 0.
        whole: also those that a model file holds. Default: True.

    Example:
        >>> from staghorn.callbacks.training_state import state_variables
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> model.compile("sgd", "mse")
        >>> [v.name for v in state_variables(model)]
        ['kernel', 'bias', 'iteration', 'learning_rate']
    """
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    left_out: set[int] = set()
    if not batch or model._by_hand("train"):
        left_out |= {id(v) for metric in model.metrics for v in metric.variables}
    if not whole:
        left_out |= {id(v) for v in model.weights}
        left_out |= {id(v) for v in getattr(model.optimizer, "variables", ())}
    return [v for v in model._state_variables() if id(v) not in left_out]


def versions() -> dict[str, Any]:
    """Return the versions that decide about the last bit of a result."""
    from staghorn import __version__

    device = jax.devices()[0]
    return {
        "staghorn": __version__,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "device": f"{device.platform} {device.device_kind}",
    }


def of_callbacks(callbacks: Iterable[Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return what callbacks count: the attributes that each class names in `kept`."""
    return [
        (type(callback).__name__, {name: getattr(callback, name) for name in callback.kept})
        for callback in _that_keep(callbacks)
    ]


def _that_keep(callbacks: Iterable[Any]) -> list[Callback]:
    return [callback for callback in callbacks if getattr(callback, "kept", ())]


def to_callbacks(callbacks: Iterable[Any], kept: list[tuple[str, dict[str, Any]]]) -> None:
    """Give callbacks what they counted before. `differences` has compared the classes."""
    for callback, (_, values) in zip(_that_keep(callbacks), kept, strict=True):
        for name in callback.kept:  # the class decides, not the file
            value, present = values[name], getattr(callback, name)
            if isinstance(present, dict) and isinstance(value, dict):
                present.clear()  # others hold it: `history = model.fit(...)`
                present.update(value)
            else:
                setattr(callback, name, value)


def differences(
    state: TrainingState,
    variables: list[Variable],
    run: Mapping[str, Any],
    callbacks: Iterable[Any],
) -> list[str]:
    """Say in what a run differs from the one that wrote a state; at most eight lines.

    Example:
        >>> from staghorn.callbacks.training_state import TrainingState, differences
        >>> w = staghorn.Variable(np.zeros((2, 3), "float32"), name="w")
        >>> old = np.zeros((2, 4), "float32")
        >>> state = TrainingState(1, 0, None, {"rows": 9}, {}, [], ["w"], [old])
        >>> for line in differences(state, [w], {"rows": 8}, []):
        ...     print(line)
        rows: 8 now, 9 then
        w is float32 (2, 3) now, w was float32 (2, 4)
    """
    lines = [
        f"{name}: {run.get(name)} now, {state.run.get(name)} then"
        for name in sorted({*run, *state.run})
        if run.get(name) != state.run.get(name)
    ]
    now = [(type(c).__name__, sorted(c.kept)) for c in _that_keep(callbacks)]
    then = [(name, sorted(values)) for name, values in state.callbacks]
    if now != then:
        names = [", ".join(name for name, _ in found) or "none" for found in (now, then)]
        lines.append(f"callbacks that count: {names[0]} now, {names[1]} then")
    if len(variables) != len(state.arrays):
        lines.append(f"{len(variables)} variables now, {len(state.arrays)} then")
    else:
        for variable, name, value in zip(variables, state.names, state.arrays, strict=True):
            own, other = (variable.dtype, variable.shape), (value.dtype.name, value.shape)
            if own != other:
                lines.append(
                    f"{variable.path} is {own[0]} {own[1]} now, {name} was {other[0]} {other[1]}"
                )
    return lines[:8]


def facts(model: Any) -> dict[str, Any]:
    """Return what must be equal for the `fit` that runs to be continued exactly."""
    # A user's class may have no config, as a lambda has none; Variables are compared anyway.
    layers = [
        layer
        for layer in model._flatten_layers()
        if type(layer).__module__.startswith("staghorn.layers.")
        and type(layer).__name__ != "Lambda"
    ]
    multipliers = model._rate_multipliers
    return versions() | {
        "steps per epoch": model._run.feed.steps_per_epoch,
        "layers": fingerprint(*layers),
        "optimizer": fingerprint(*filter(None, [model.optimizer])),
        **({"learning rate multipliers": multipliers} if multipliers else {}),
        **model._run.feed.facts(),
    }


def take(
    model: Any, epoch: int, batch: int, logs: Mapping[str, Any] | None, whole: bool = True
) -> TrainingState:
    """Return the state of the `fit` that runs.

    Args:
        model: the model in training.
        epoch: the epoch to go on with.
        batch: how many of its batches are done.
        logs: the values after the last batch.
        whole: also what a model file holds. Default: True.
    """
    variables, run = state_variables(model, batch, whole), model._run
    return TrainingState(
        epoch=epoch,
        batch=batch,
        position=run.feed.position(),
        run=facts(model),
        logs=dict(logs or {}),
        callbacks=of_callbacks(run.callbacks),
        names=[v.path for v in variables],
        arrays=[v.numpy() for v in variables],
        draws=global_seed_state(),
        whole=whole,
    )


def give(model: Any, state: TrainingState) -> None:
    """Let the `fit` that begins go on from a state."""
    run = model._run
    variables = state_variables(model, state.batch, state.whole)
    for variable, value in zip(variables, state.arrays, strict=True):
        variable.assign(value)
    if state.draws is not None:
        global_seed_generator().state.assign(state.draws)
    to_callbacks(run.callbacks, state.callbacks)
    run.epoch, run.batch, run.resumed = state.epoch, state.batch, state


# As bytes ------------------------------------------------------------------------------------


def to_members(state: TrainingState) -> dict[str, bytes]:
    """Return a state as members of an archive: JSON, and its arrays one behind the other."""
    arrays = list(state.arrays)
    plain = {
        **{name: value for name, value in vars(state).items() if name != "arrays"},
        "callbacks": _without_arrays(state.callbacks, arrays),
        **{name: _without_arrays(getattr(state, name), arrays) for name in _NESTS},
    }
    plain["described"] = [[list(a.shape), a.dtype.name] for a in arrays]
    blob = b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)
    return {TRAINING: json.dumps(plain).encode(), STATE: blob}


def _without_arrays(value: Any, arrays: list[np.ndarray]) -> Any:
    """Return a nest as JSON has it; arrays are put into the list."""
    if isinstance(value, Mapping):
        return {str(key): _without_arrays(part, arrays) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_arrays(part, arrays) for part in value]
    if hasattr(value, "__array__") and getattr(value, "shape", ()) != ():
        arrays.append(np.asarray(value))
        return {_ARRAY: len(arrays) - 1}
    return value.item() if hasattr(value, "item") else value


def from_members(members: Mapping[str, bytes], where: str) -> TrainingState:
    """Read what `to_members` wrote; the archive's checksums were compared before.

    Raises:
        CorruptFileError: it is not such a state.
    """
    # Late: saving is a floor above callbacks.
    from staghorn.saving.archive import parse_json
    from staghorn.saving.errors import CorruptFileError

    plain = parse_json(members[TRAINING], f"{where}, member '{TRAINING}'")
    data, position, arrays = members[STATE], 0, []
    try:
        for shape, dtype in plain.pop("described"):
            count = int(np.prod(shape, dtype=np.int64))
            value = np.frombuffer(data, jnp.dtype(dtype), count, position).reshape(shape)
            if list(value.shape) != shape:
                raise ValueError(f"an array has the shape {shape}")
            arrays.append(value)
            position += value.nbytes
        callbacks = [(name, _with_arrays(kept, arrays)) for name, kept in plain.pop("callbacks")]
        plain |= {name: _with_arrays(plain[name], arrays) for name in _NESTS}
        own = arrays[: len(plain["names"])]
        state = TrainingState(**plain, callbacks=callbacks, arrays=own)
        _check_form(state)
        return state
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise CorruptFileError(
            f"{where}, member '{TRAINING}': not the state of a training. ({error})"
        ) from error


def _check_form(state: TrainingState) -> None:
    """Refuse what `take` never makes; whether it fits a run is seen later, by `differences`."""
    good = (
        all(type(n) is int and 0 <= n < 1 << 53 for n in (state.epoch, state.batch))
        and all(isinstance(part, dict) for part in (state.run, state.logs))
        and all(isinstance(name, str) for name in state.names)
        and len(state.names) == len(state.arrays)
        and all(isinstance(n, str) and isinstance(kept, dict) for n, kept in state.callbacks)
        and (state.draws is None or getattr(state.draws, "dtype", None) == np.uint32)
    )
    if not good:
        raise ValueError("a part has another form than states have")


def _with_arrays(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return arrays[value[_ARRAY]].copy()  # the buffer it looks into cannot be written
        return {key: _with_arrays(part, arrays) for key, part in value.items()}
    return [_with_arrays(part, arrays) for part in value] if isinstance(value, list) else value


def fingerprint(*objects: Any) -> str:
    """Return a short sum of the configs of objects without names, to tell whether they are equal.

    Learning rates are left out too: callbacks change them while a model trains.

    Example:
        >>> from staghorn.callbacks.training_state import fingerprint
        >>> three, again, four = map(staghorn.layers.Dense, (3, 3, 4))
        >>> fingerprint(three) == fingerprint(again), fingerprint(three) == fingerprint(four)
        (True, False)
    """
    found = [(type(item).__name__, _without_names(item.get_config())) for item in objects]
    text = json.dumps(found, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_names(value: Any) -> Any:
    if isinstance(value, dict):
        left_out = ("name", "learning_rate", "shared_object_id")
        return {k: _without_names(part) for k, part in value.items() if k not in left_out}
    return [_without_names(part) for part in value] if isinstance(value, (list, tuple)) else value
