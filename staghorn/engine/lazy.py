"""Packages whose names are imported when they are first used."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str], modules: str = ""
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's `__all__`, `__getattr__` and `__dir__`.

    Args:
        package: the package's `__name__`.
        homes: module inside `staghorn` → the public names that it defines, in one text.
        modules: the package's public modules, in one text. Default: none.

    Example:
        >>> from staghorn.engine.lazy import lazy_names
        >>> names, find, _ = lazy_names("staghorn", {"engine.naming": "auto_name to_snake_case"})
        >>> names, find("to_snake_case")("ConvLSTM1D")
        (['auto_name', 'to_snake_case'], 'conv_lstm1d')

    Notes: put it under `if not TYPE_CHECKING:`; type checkers read the imports above it.
    """
    home = {name: module for module, names in homes.items() for name in names.split()}
    submodules = modules.split()
    public = sorted([*home, *submodules])

    def __getattr__(name: str) -> Any:
        if name in submodules:
            return importlib.import_module(f"{package}.{name}")
        if name not in home:
            from staghorn.engine.registry import missing_names

            return missing_names(package, public)(name)
        value = getattr(importlib.import_module(f"staghorn.{home[name]}"), name)
        setattr(sys.modules[package], name, value)  # the next use finds it without this
        return value

    return public, __getattr__, lambda: list(public)
