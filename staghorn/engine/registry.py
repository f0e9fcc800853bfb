"""From a name to an object: the families (losses, layers, ...) and the words for a wrong name."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the closest known name, or an empty string.

    Example:
        >>> staghorn.engine.registry.suggestion("adma", ["adam", "sgd"])
        " Did you mean 'adam'?"
    """
    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if not close:
        folded = {candidate.lower(): candidate for candidate in names}
        close = [
            folded[m] for m in difflib.get_close_matches(str(name).lower(), folded, n=1, cutoff=0.6)
        ]
    return f" Did you mean '{close[0]}'?" if close else ""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """Build the error for a name that nothing answers to."""
    names = sorted(known)
    shown = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return ValueError(
        f"Unknown {kind} {name!r}.{suggestion(name, names)} Known: {shown} ({len(names)})."
    )


class Family:
    """A named family of objects: `FAMILY.get("mse")`.

    Args:
        kind: the word used in errors, such as "loss".
        module: Keras's module for configs, such as "keras.losses".
        objects: name -> function or class.
        instantiate: whether a class found by name is called without arguments. Default: True.
    """

    def __init__(
        self, kind: str, module: str, objects: Mapping[str, Any], instantiate: bool = True
    ) -> None:
        self.kind = kind
        self.module = module
        self.objects = dict(objects)
        self.instantiate = instantiate

    def find(self, name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """Return the object of that name; custom objects come first."""
        from staghorn.engine.serialization import get_registered_object

        found = get_registered_object(name, custom_objects)
        if found is not None:
            return found
        if name in self.objects:
            return self.objects[name]
        raise unknown_name(self.kind, name, self.objects)

    def get(self, identifier: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """Turn None, a name, a config, a class, an instance or a function into an object."""
        if identifier is None:
            return None
        if isinstance(identifier, dict):
            return self.deserialize(identifier, custom_objects)
        found = (
            self.find(identifier, custom_objects) if isinstance(identifier, str) else identifier
        )
        if inspect.isclass(found) and self.instantiate:
            return found()
        if not callable(found) and isinstance(identifier, str):
            return found
        if not callable(found) and not hasattr(found, "get_config"):
            raise ValueError(
                f"A {self.kind} is given by name, config, class, object or function; "
                f"got {identifier!r} ({type(identifier).__name__})."
            )
        return found

    def serialize(self, value: Any) -> Any:
        """Return the JSON form of an object of this family."""
        from staghorn.engine.serialization import serialize_keras_object

        return serialize_keras_object(value)

    def deserialize(
        self, config: Any, custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """Build an object of this family from its JSON form or name."""
        from staghorn.engine.serialization import deserialize_keras_object

        if isinstance(config, str):
            return self.get(config, custom_objects)
        if isinstance(config, dict) and "module" not in config and "class_name" in config:
            # Keras 2 wrote {"class_name": ..., "config": ...} without a module.
            config = {"module": self.module, "registered_name": None, **config}
        return deserialize_keras_object(config, custom_objects=custom_objects)


def function_names(functions: Iterable[Callable]) -> dict[str, Callable]:
    """Map each function's own name to it."""
    return {function.__name__: function for function in functions}
