"""Answers to `import keras...` and `import tensorflow...`: modules whose names live in Staghorn."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from staghorn.compat import keras_names as names
from staghorn.engine.not_yet import NOT_YET
from staghorn.engine.registry import suggestion

STAND_IN = "staghorn.compat.tensorflow"
STEP = (None, ())  # `tensorflow.python` has nothing itself: only a step on the way to its `keras`


def keras_path(fullname: str) -> str | None:
    """Return the path inside Keras that a module's name means, or None if it is not Keras's.

    Example:
        >>> from staghorn.compat.modules import keras_path
        >>> keras_path("tensorflow.keras.layers"), keras_path("keras.src.layers.core")
        ('layers', 'layers.core')
        >>> keras_path("numpy") is None
        True
    """
    for root in names.ROOTS:
        if fullname == root or fullname.startswith(root + "."):
            parts = tuple(fullname[len(root) + 1 :].split("."))
            for prefix in names.PREFIXES:
                if parts[: len(prefix)] == prefix:
                    parts = parts[len(prefix) :]
            return ".".join(parts)
    return None


def sources(path: str) -> tuple[str, ...] | None:
    """Return the modules of Staghorn that hold the names of a module of Keras, or None.

    Example:
        >>> from staghorn.compat.modules import sources
        >>> sources("layers.core")
        ('staghorn.layers', 'staghorn.compat.old_layers')
    """
    path = names.MOVED.get(path, path)
    found = names.SOURCES.get(path)
    if found is None:
        found = (path,) if _exists("staghorn." + path) else None
    return found and tuple(f"staghorn.{name}".rstrip(".") for name in found)


def _exists(module: str) -> bool:
    if "staghorn." + module.split(".")[1] in ("staghorn.compat", "staghorn.engine"):
        return False
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is not there
        return False


class AliasModule(ModuleType):
    """A module that has no names of its own: it looks each up where it lives, once."""

    def __init__(self, spec: ModuleSpec, path: str | None, places: Sequence[str]) -> None:
        super().__init__(spec.name, f"{spec.name}, as Staghorn offers it.")
        self._path, self._places = path, tuple(places)
        self.__path__: list[str] = []  # a package, so that modules below it can be asked for
        if path == "":
            self.__version__ = names.KERAS_VERSION

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return sorted(set(self._names()))
        if name.startswith("__") and name != "__version__":  # Python asks for `__file__`, ...
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = self._find(name)
        setattr(self, name, value)
        return value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._path not in names.CALLED:
            raise TypeError(f"{self.__name__} is a module: it cannot be called.")
        return _at(names.CALLED[self._path])(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<module {self.__name__!r}, answered by Staghorn>"

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._names()})

    def _names(self) -> Iterator[str]:
        for place in self._places:
            module = importlib.import_module(place)
            if hasattr(module, "__all__"):
                yield from module.__all__
            for name, value in vars(module).items():
                if name[0] != "_" and getattr(value, "__module__", "").startswith("staghorn."):
                    yield name

    def _find(self, name: str) -> Any:
        old = names.OLD_NAMES.get(names.MOVED.get(self._path or "", self._path or ""), {})
        if self._path is not None and name in old:
            return _at(old[name])
        child = f"{self.__name__}.{name}"
        if places(child) not in (None, STEP):
            return importlib.import_module(child)
        reason: AttributeError | None = None
        for place in self._places:
            try:
                value = getattr(importlib.import_module(place), name)
            except AttributeError as error:
                reason = reason or error
                continue
            if not isinstance(value, ModuleType) or value.__name__.startswith("staghorn."):
                return value  # and not a module that the place itself imports
        raise AttributeError(self._missing(name, reason)) from None

    def _missing(self, name: str, reason: AttributeError | None) -> str:
        """Say why `name` is not here; the stand-in for TensorFlow has its own words."""
        if self._path is None and reason is not None:
            return str(reason)
        path = names.MOVED.get(self._path or "", self._path or "")
        for known in (f"{self._path}.{name}", f"{path}.{name}".lstrip("."), path):
            if known in names.GONE:
                return f"{self.__name__}.{name} is gone: {names.GONE[known]}"
        if any(name in NOT_YET.get(place, ()) for place in self._places):
            return f"{self.__name__}.{name}: Keras has it; Staghorn does not offer it so far."
        return f"{self.__name__} has no {name!r}.{suggestion(name, list(self._names()))}"


def _at(place: str) -> Any:
    """Return what "module:name" in Staghorn means, or the module where no name follows."""
    path, _, name = place.partition(":")
    module = importlib.import_module(f"staghorn.{path}".rstrip("."))
    return getattr(module, name) if name else module


def is_module(fullname: str) -> bool:
    """Whether a module of Keras or of the stand-in for TensorFlow has this name.

    Example:
        >>> from staghorn.compat.modules import is_module
        >>> is_module("keras.layers.core"), is_module("keras.layers.Dense")
        (True, False)
    """
    return places(fullname) is not None


def places(fullname: str) -> tuple[str | None, tuple[str, ...]] | None:
    """Return (path inside Keras or None, modules of Staghorn) for a module's name; None: not ours.

    Example:
        >>> from staghorn.compat.modules import places
        >>> places("keras.utils.np_utils")[0]
        'utils.np_utils'
        >>> places("tensorflow.math")
        (None, ('staghorn.compat.tensorflow.math',))
    """
    path = keras_path(fullname)
    if path is not None:
        found = sources(path)
        return None if found is None else (path, found)
    below = fullname.removeprefix("tensorflow")
    if below == fullname or (below and not below.startswith(".")):
        return None
    if _stand_in_has(below):
        return None, (STAND_IN + below,)
    return STEP if any(root.startswith(fullname + ".") for root in names.ROOTS) else None


def _stand_in_has(below: str) -> bool:
    try:
        return importlib.util.find_spec(STAND_IN + below) is not None
    except ModuleNotFoundError:
        return False
