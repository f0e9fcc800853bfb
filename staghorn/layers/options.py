"""Constructors with many arguments: store each under its own name, read by what it is."""

from collections.abc import Callable
from typing import Any

from staghorn import activations, constraints, initializers, regularizers

_READERS: dict[str, Callable] = {
    "activation": activations.get,
    "initializer": initializers.get,
    "regularizer": regularizers.get,
    "constraint": constraints.get,
}


def own_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """Return a constructor's named arguments, given its `locals()` in the first line."""
    return {k: v for k, v in values.items() if k not in ("self", "kwargs", "__class__")}


def store_options(layer: Any, options: dict[str, Any]) -> None:
    """Set attributes; names like `kernel_initializer` say how a value is read."""
    for name, value in options.items():
        reader = _READERS.get(name.rsplit("_", 1)[-1])
        setattr(layer, name, value if reader is None else reader(value))
