"""What the caller supplies for a file: classes and functions by name, functions of Lambda layers.

A file says which function a Lambda layer had, by its name, or as bytecode, which never runs here.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from staghorn.engine.config_check import place
from staghorn.engine.not_yet import NOT_YET
from staghorn.engine.registry import suggestion
from staghorn.engine.serialization import (
    _registered_names as registered_names,
)
from staghorn.engine.serialization import (
    deserialize_keras_object,
    find_class,
    get_registered_name,
)
from staghorn.layers.core import Lambda
from staghorn.saving.errors import UnsafeFileError

_MAX_DEPTH = 300
# The functions that a Lambda layer can have: the part of its config → the key in `replace`.
_PARTS = {"function": "{}", "mask": "{}.mask", "output_shape": "{}.output_shape"}
_BYTECODE = """\
{where}: {places} is a Python function as bytecode. Code in a file never runs. Supply it:
    load_model(path, replace={{{items}}})"""
_SUPPLY = "Supply it:    load_model(path, {argument}={{{items}}})"
_REGISTER = (
    "or register it: @staghorn.saving.register_keras_serializable(...) above its definition."
)


class Supplied:
    """The names that a file may use in one loading.

    Args:
        custom_objects: name → class or function.
        replace: name of a Lambda layer, or of a function → function. Default: None.
    """

    def __init__(
        self, custom_objects: Mapping[str, Any], replace: Mapping[str, Any] | None = None
    ) -> None:
        self.replace = dict(replace or {})
        self.objects = {**custom_objects, **self.replace}

    def fill_in(self, config: Any, where: str) -> None:
        """Give the Lambda layers in a config their functions; `objects` gets what is supplied.

        Raises:
            UnsafeFileError: where a function is bytecode and nothing was supplied for it.
            ValueError: if a key of `replace` is nothing in the file.
        """
        lambdas: list[str] = []
        known: set[str] = set()
        missing: dict[str, str] = {}
        for path, value in objects_in(config, where):
            inner = value["config"]
            if isinstance(inner, str):
                known.add(inner)
            if value["class_name"] != "Lambda" or not isinstance(inner, dict):
                continue
            name = str(inner.get("name"))
            if name in lambdas and name in self.replace:
                raise ValueError(f"{where}: several Lambda layers are called {name!r}.")
            lambdas.append(name)
            for part, key in _PARTS.items():
                self._fill_part(inner, part, key.format(name), f"{name}.{part}")
                if _is_code(inner.get(part)):
                    missing[key.format(name)] = place((*path, "config", part))
        if missing:
            items = ", ".join(f"{key!r}: function" for key in missing)
            raise UnsafeFileError(
                _BYTECODE.format(where=where, places=" and ".join(missing.values()), items=items)
            )
        keys = {key.format(name) for name in lambdas for key in _PARTS.values()}
        for key in self.replace.keys() - keys - known:
            raise ValueError(
                f"load_model: replace has {key!r}, but {where} has no Lambda layer and no function "
                f"of that name.{suggestion(key, [*lambdas, *known])}"
            )

    def _fill_part(self, inner: dict[str, Any], part: str, key: str, name: str) -> None:
        if key in self.replace:
            self.objects[name] = self.replace[key]
            inner[part] = {"module": "builtins", "class_name": "function", "config": name}
        elif part == "output_shape" and (_is_code(inner.get(part)) or _is_named(inner, part, name)):
            del inner[part]  # it is found by tracing


@contextmanager
def named_lambdas(model: Any) -> Iterator[None]:
    """Write functions of Lambda layers that have no name as "layer.function", which asks for them.

    Nothing answers to such a name, in Keras neither: loading has to be given the function.
    """
    names: dict[Any, str] = {}
    for layer in model._flatten_layers():
        if isinstance(layer, Lambda):
            functions = (layer.function, layer.mask, layer._output_shape)
            for part, value in zip(_PARTS, functions, strict=True):
                if inspect.isfunction(value) and get_registered_name(value) == "<lambda>":
                    names.setdefault(value, f"{layer.name}.{part}")
    registered_names.update(names)
    try:
        yield
    finally:
        for function in names:
            registered_names.pop(function, None)


def _is_named(inner: dict[str, Any], part: str, name: str) -> bool:
    return isinstance(inner.get(part), dict) and inner[part].get("config") == name


def _is_code(value: Any) -> bool:
    return isinstance(value, dict) and value.get("class_name") == "__lambda__"


def unknown_names(config: Any) -> str | None:
    """Return an error's text for all names in a config that nothing answers to, or None.

    Example:
        >>> from staghorn.saving.supplied import unknown_names
        >>> print(unknown_names({"module": "mine", "class_name": "Mine", "config": {}}))
        the class 'Mine' (the whole) is not known here.
        Supply it:    load_model(path, custom_objects={'Mine': Mine})
        or register it: @staghorn.saving.register_keras_serializable(...) above its definition.
    """
    lines: list[str] = []
    given: dict[str, dict[str, str]] = {"custom_objects": {}, "replace": {}}
    for path, value in objects_in(config, "the config"):
        kind, name = _unknown(value)
        if not kind:
            continue
        module = str(value.get("module")).replace("keras", "staghorn", 1)
        public = _public_names(module)
        if name in NOT_YET.get(module, ()) or (module.startswith("staghorn.") and not public):
            lines.append(f"the {kind} {name!r} ({place(path)}) is not in Staghorn yet.")
            continue
        hint = suggestion(name, public)
        lines.append(f"the {kind} {name!r} ({place(path)}) is not known here.{hint}")
        layer, dot, part = name.rpartition(".")
        if dot and part in _PARTS:
            given["replace"][_PARTS[part].format(layer)] = "function"
        else:
            given["custom_objects"][name] = name.rsplit(">", maxsplit=1)[-1]
    for argument, names in given.items():
        items = ", ".join(f"{name!r}: {spelled}" for name, spelled in names.items())
        if names:
            lines.append(_SUPPLY.format(argument=argument, items=items))
    return "\n".join([*lines, *([_REGISTER] if given["custom_objects"] else [])]) or None


def _unknown(value: dict[str, Any]) -> tuple[str, str]:
    """Return kind and name of an object if it cannot be found."""
    name = str(value["class_name"])
    is_function = name == "function"
    if name.startswith("__") or str(value.get("module")).startswith("keras.src.ops."):
        return "", name
    try:
        deserialize_keras_object(value) if is_function else find_class(value)
    except TypeError:
        registered = value.get("registered_name")
        return ("function", value["config"]) if is_function else ("class", registered or name)
    return "", name


def _public_names(module: str) -> list[str]:
    """Return the names of one of our own packages."""
    import staghorn

    package = getattr(staghorn, module.removeprefix("staghorn."), None)
    return list(getattr(package, "__all__", ()))


def objects_in(
    config: Any, where: str, start: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Go over the objects in a config, outer ones first: (path, what has a class and a config).

    Raises:
        UnsafeFileError: for a depth that no model has.
    """
    pending: list[tuple[tuple[str, ...], Any]] = [(start, config)]
    while pending:
        path, value = pending.pop()
        if len(path) > _MAX_DEPTH:
            raise UnsafeFileError(f"{where}: it is nested more than {_MAX_DEPTH} levels deep.")
        if isinstance(value, dict):
            if "class_name" in value and "config" in value:
                yield path, value
            inner = [((*path, str(key)), item) for key, item in value.items()]
            pending.extend(reversed(inner))
        elif isinstance(value, list):
            pending.extend(((*path, f"[{i}]"), value[i]) for i in reversed(range(len(value))))
