"""A look over a config before anything is made from it: what stands where, and what it may be.

A name in a config is found only in our own tables and among what the program registered or passed,
and only if the thing of that name fits the place: a layer where layers stand, a loss for a loss.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from staghorn.engine.file_errors import CorruptFileError, UnsafeFileError

# Objects that are code, or that read other files.
_REFUSED = {
    "__lambda__": "is a Python function as bytecode",
    "__typespec__": "names a class of TensorFlow to import",
    "TorchModuleWrapper": "is a pickled PyTorch module",
    "TFSMLayer": "is a layer that loads another file",
}
# Arguments that hold a list, or else the name of a file to read it from.
_LISTS = frozenset(("vocabulary", "idf_weights"))
_MAX_DEPTH = 300
_MAX_OBJECTS = 50_000
_CODE = """\
{where}: {path} {problem}. Code in a file never runs, and other files are never opened.
Make the model in Python, and load its weights:    model.load_weights(path)"""

# Kind of an object: (package, names of its base classes, whether any function will do).
_KINDS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "layer": ("layers", ("Layer", "Operation"), False),
    "activation": ("layers", ("Layer",), True),
    "initializer": ("initializers", ("Initializer",), True),
    "regularizer": ("regularizers", ("Regularizer",), True),
    "constraint": ("constraints", ("Constraint",), True),
    "loss": ("losses", ("Loss",), True),
    "metric": ("metrics", ("Metric", "Loss"), True),
    "optimizer": ("optimizers", ("Optimizer",), False),
    "learning rate schedule": ("optimizers.schedules", ("LearningRateSchedule",), True),
    "dtype policy": ("dtype_policies", ("DTypePolicy",), False),
    "quantizer": ("quantizers", ("Quantizer",), False),
    "quantization config": ("quantizers", ("QuantizationConfig",), False),
    "function": ("", (), True),
}
# The key of a config of ours → the kind of what stands there; else the key's last word tells.
_SLOTS = {
    **dict.fromkeys(("layer", "layers", "forward_layer", "backward_layer"), "layer"),
    **dict.fromkeys(("cell", "cells"), "layer"),
    **dict.fromkeys(("metrics", "weighted_metrics"), "metric"),
    **dict.fromkeys(("optimizer", "inner_optimizer"), "optimizer"),
    **dict.fromkeys(("function", "mask", "output_shape"), "function"),
    **dict.fromkeys(("weight_quantizer", "activation_quantizer"), "quantizer"),
    "quantization_config": "quantization config",
    "loss": "loss",
    "dtype": "dtype policy",
    "learning_rate": "learning rate schedule",
}
_LAST_WORDS = frozenset(("activation", "initializer", "regularizer", "constraint"))

_checked: ContextVar[bool] = ContextVar("config_checked", default=False)


@contextmanager
def building(
    config: Any, where: str = "the config", kind: str | None = None, ours: bool = True
) -> Iterator[None]:
    """Check a config before the block makes objects from it, unless a block around did.

    Raises:
        UnsafeFileError, CorruptFileError: see `check_config`; and for what cannot be made of it.
    """
    if _checked.get():
        yield
        return
    check_config(config, where, kind=kind, ours=ours)
    token = _checked.set(True)
    try:
        yield
    except (CorruptFileError, UnsafeFileError) as error:
        if where in str(error):
            raise
        raise type(error)(f"{where}: {error}") from error
    except RecursionError as error:
        raise UnsafeFileError(f"{where}: it is nested too deeply.") from error
    except MemoryError as error:
        raise UnsafeFileError(f"{where}: it needs more memory than there is. ({error})") from error
    except (LookupError, AttributeError, ArithmeticError, AssertionError) as error:
        raise CorruptFileError(f"{where}: nothing can be made from it. ({error!r})") from error
    finally:
        _checked.reset(token)


def check_config(
    config: Any,
    where: str,
    start: tuple[str, ...] = (),
    kind: str | None = None,
    ours: bool = True,
) -> None:
    """Refuse what loading never makes, naming the place in the JSON.

    Args:
        config: parsed JSON.
        where: how errors name the file and member.
        start: the path of `config` itself in the file. Default: ().
        kind: what it must be, such as "layer". Default: None, anything.
        ours: whether the keys of `config` mean what they do in our own classes. Default: True.

    Raises:
        UnsafeFileError: code, other files, objects in places that are not for them, or a depth or
            number that no model has.
        CorruptFileError: an object whose class is not a name.

    Example:
        >>> from staghorn.engine.config_check import check_config
        >>> check_config({"class_name": "Dense", "config": {"units": 3}}, "'model.keras'")
    """
    pending: list[tuple[tuple[str, ...], Any, str | None, bool]] = [(start, config, kind, ours)]
    count = 0
    while pending:
        path, value, kind, ours = pending.pop()
        if len(path) > _MAX_DEPTH:
            raise UnsafeFileError(f"{where}: it is nested more than {_MAX_DEPTH} levels deep.")
        if isinstance(value, str) and kind is not None:
            _check_name(value, kind, where, path)
        elif isinstance(value, (list, tuple)):
            inner = ((f"[{i}]", item, kind, ours) for i, item in enumerate(value))
            pending.extend(((*path, key), *rest) for key, *rest in inner)
        elif isinstance(value, dict):
            if "class_name" in value and "config" in value:
                count += 1
                if count > _MAX_OBJECTS:
                    raise UnsafeFileError(f"{where}: it has more than {_MAX_OBJECTS:,} objects.")
                _check_object(value, where, path)
                cls = _check_slot(value, kind, where, path)
                known = cls is None or cls.__module__.startswith("staghorn.")
                kind = None
                rest = {k: v for k, v in value.items() if k != "config"}
                pending.append(((*path, "config"), value["config"], None, known))
                pending.extend(((*path, k), v, None, True) for k, v in rest.items())
                continue
            for key, item in value.items():
                if ours and key in _LISTS and isinstance(item, str):
                    raise UnsafeFileError(
                        _CODE.format(where=where, path=place((*path, key)), problem="is a file")
                    )
                slot = kind or (_slot_of(str(key)) if ours else None)
                pending.append(((*path, str(key)), item, slot, ours))


def place(path: tuple[str, ...]) -> str:
    """Return how errors name a path."""
    return f"'{'.'.join(path)[:500].replace('.[', '[')}'" if path else "the whole"


def fits(kind: str | None, thing: Any) -> bool:
    """Say whether a class or function that the program supplied can be an object of a kind.

    Example:
        >>> from staghorn.engine.config_check import fits
        >>> fits("layer", staghorn.layers.Dense), fits("layer", staghorn.losses.Huber)
        (True, False)
    """
    if kind is None or kind not in _KINDS:
        return True
    package, names, any_function = _KINDS[kind]
    bases = tuple(_base(package, name) for name in names)
    cls = thing if inspect.isclass(thing) else type(thing)
    if issubclass(cls, bases):
        return True
    if not any_function or (kind == "function" and cls is thing):
        return False
    if any(issubclass(cls, _base(p, name)) for p, other, _ in _KINDS.values() for name in other):
        return False
    return callable(thing) if cls is not thing else any("__call__" in vars(c) for c in cls.__mro__)


def _base(package: str, name: str) -> type:
    where = {"Loss": "losses", "Operation": "engine.operation"}.get(name, package)
    return getattr(importlib.import_module(f"staghorn.{where}"), name)


def _slot_of(key: str) -> str | None:
    last = key.rsplit("_", maxsplit=1)[-1]
    return _SLOTS.get(key) or (last if last in _LAST_WORDS else None)


def _check_object(value: dict[str, Any], where: str, path: tuple[str, ...]) -> None:
    from staghorn.engine.serialization import get_registered_object

    for key in ("class_name", "module", "registered_name"):
        name = value.get(key)
        if not isinstance(name, str) and not (name is None and key != "class_name"):
            raise CorruptFileError(
                f"{where}: {place(path)} has the {key} {str(name)[:100]!r} "
                f"({type(name).__name__}); expected a string."
            )
    problem = _REFUSED.get(value["class_name"])
    if problem is not None:
        raise UnsafeFileError(_CODE.format(where=where, path=place(path), problem=problem))
    module, other = str(value.get("module")), value.get("registered_name") or value["class_name"]
    second_name = module.split(".", 1)[0] == "keras" and other != value["class_name"]
    if second_name and get_registered_object(other) is not None:
        raise UnsafeFileError(
            f"{where}: {place(path)} is {value['class_name'][:100]!r} of {module[:100]!r} and "
            f"{other[:100]!r} at once."
        )
    if value["class_name"] == "function" and not isinstance(value["config"], str):
        raise CorruptFileError(f"{where}: {place(path)} is a function without a name.")


def _check_name(name: str, kind: str, where: str, path: tuple[str, ...]) -> None:
    from staghorn.engine.serialization import get_registered_object

    found = get_registered_object(name)
    if found is not None and not fits(kind, found):
        raise _misplaced(name, found, kind, where, path)


def _check_slot(value: dict[str, Any], kind: str | None, where: str, path: tuple[str, ...]) -> Any:
    """Return the class of an object if it is known; refuse it in a place that is not for it."""
    from staghorn.engine.serialization import find_class, find_function

    name = value["class_name"]
    if name.startswith("__") or str(value.get("module")).startswith("keras.src.ops."):
        return None
    is_function = name == "function"
    try:
        found = find_function(value["config"]) if is_function else find_class(value)
    except TypeError:
        return None  # the error that names all of them comes when they are made
    if not fits(kind, found):
        raise _misplaced(value["config"] if is_function else name, found, kind, where, path)
    return None if is_function else found


def _misplaced(
    name: str, found: Any, kind: str | None, where: str, path: tuple[str, ...]
) -> UnsafeFileError:
    return UnsafeFileError(
        f"{where}: {place(path)} names {name[:100]!r}, which is {found!r:.200} and cannot be "
        f"a{'n' * (kind in ('activation', 'initializer', 'optimizer'))} {kind}."
    )
