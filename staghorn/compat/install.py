"""`staghorn.install()`: from now on `import keras` and `tensorflow.keras` mean Staghorn."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from staghorn.compat import modules
from staghorn.compat.keras_names import CALLED, MOVED
from staghorn.engine.spellings import old_scripts, say_once


class _Aliases(MetaPathFinder, Loader):
    """Answers for modules of Keras, and for TensorFlow where it is not installed."""

    def __init__(self) -> None:
        self.tensorflow_installed = PathFinder.find_spec("tensorflow") is not None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if self.tensorflow_installed:
            if fullname == "tensorflow":
                return self._with_our_keras(fullname)
            # Its own `tensorflow.python.keras`, which it needs itself, stays real too.
            if fullname.startswith("tensorflow") and not (fullname + ".").startswith(
                "tensorflow.keras."
            ):
                return None
        if modules.is_module(fullname):
            return ModuleSpec(fullname, self, is_package=True)
        if fullname.startswith("tensorflow.") or modules.keras_path(fullname) is not None:
            # Not ModuleNotFoundError: Python would replace its words after `from x import y`.
            raise ImportError(self._why_not(fullname), name=fullname)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        path, found = modules.places(spec.name) or (None, ())
        return modules.AliasModule(spec, path, found)

    def exec_module(self, module: ModuleType) -> None:
        path = modules.keras_path(module.__name__)
        if path in MOVED and path not in CALLED:  # the function has words of its own
            root = module.__name__.removesuffix("." + path)
            say_once(module.__name__, f"{root}.{MOVED[path]}")
        if module.__name__ == "tensorflow":
            module.keras = importlib.import_module("tensorflow.keras")  # type: ignore[attr-defined]

    @staticmethod
    def _why_not(fullname: str) -> str:
        parent, _, name = fullname.rpartition(".")
        try:
            getattr(importlib.import_module(parent), name)
        except AttributeError as error:
            return str(error)
        return (
            f"{fullname} is a name of {parent}, not a module: write `from {parent} import {name}`."
        )

    def _with_our_keras(self, fullname: str) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenOurKeras(spec.loader)
        return spec


class _ThenOurKeras(Loader):
    """Runs the real TensorFlow's own loader, then sets `tf.keras`."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _set_keras(module)


def _set_keras(tensorflow: ModuleType) -> None:
    """Make `tf.keras` ours in the real TensorFlow, which sets its own when it is imported."""
    sys.modules.pop("tensorflow.keras", None)
    tensorflow.keras = importlib.import_module("tensorflow.keras")  # type: ignore[attr-defined]


def _installed() -> _Aliases | None:
    return next((finder for finder in sys.meta_path if isinstance(finder, _Aliases)), None)


def install() -> None:
    """Make `keras`, `tf_keras` and `tensorflow.keras` mean Staghorn in this process.

    Every form of import works, historic paths such as `keras.layers.core` too. Where TensorFlow is
    installed the rest of `tf` stays real; where it is not, a small stand-in answers. Nothing on
    disk changes. A second call does nothing.

    Raises:
        RuntimeError: the real keras was imported before.

    Example:
        >>> staghorn.install()
        >>> from keras.layers.core import Dense  # doctest: +SKIP
        >>> staghorn.uninstall()

    Notes:
        Call it first in a notebook. For a script, `staghorn run script.py` does it. Arrays get a
        method `numpy()`, which such scripts call. Beyond Keras.
    """
    if _installed() is not None:
        return
    early = [name for name in ("keras", "tf_keras") if name in sys.modules]
    if early:
        raise RuntimeError(
            f"staghorn.install() came after `import {early[0]}`, whose layers would not mix with "
            "Staghorn's. Start Python anew (in a notebook: restart the kernel) and begin with\n"
            "  import staghorn\n  staghorn.install()"
        )
    from staghorn.compat.tensorflow.arrays import add_numpy_method

    sys.meta_path.insert(0, _Aliases())
    add_numpy_method()
    old_scripts(True)
    if "tensorflow" in sys.modules:
        _set_keras(sys.modules["tensorflow"])


def uninstall() -> None:
    """Undo `install`: later imports find what is installed; modules already imported stay.

    Example:
        >>> staghorn.install()
        >>> staghorn.uninstall()

    Notes: beyond Keras.
    """
    finder = _installed()
    if finder is None:
        return
    from staghorn.compat.tensorflow.arrays import remove_numpy_method

    sys.meta_path.remove(finder)
    for name, module in list(sys.modules.items()):
        if isinstance(module, modules.AliasModule):
            del sys.modules[name]
    remove_numpy_method()
    old_scripts(False)
