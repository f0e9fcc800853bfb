"""From a name to an object: the families (losses, layers, ...) and the words for a wrong name."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from staghorn.engine.spellings import ARGUMENTS

# Names from old Keras, TensorFlow and PyTorch that spelling alone does not lead to ours.
RENAMED = {
    **{old: today[0] for old, today in ARGUMENTS.items()},
    "BatchNorm": "BatchNormalization",
    "cat": "concatenate",
    "clip_by_value": "clip",
    "concat": "concatenate",
    "constant": "convert_to_tensor",
    "div": "divide",
    "eps": "epsilon",
    "gather": "take",
    "LayerNorm": "LayerNormalization",
    "Linear": "Dense",
    "mul": "multiply",
    "neg": "negative",
    "out_features": "units",
    "pow": "power",
    "reduce_all": "all",
    "reduce_any": "any",
    "reduce_logsumexp": "logsumexp",
    "reduce_max": "max",
    "reduce_mean": "mean",
    "reduce_min": "min",
    "reduce_prod": "prod",
    "reduce_std": "std",
    "reduce_sum": "sum",
    "reduce_variance": "var",
    "std": "stddev",
    "sub": "subtract",
}


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the closest known name, or an empty string.

    Case counts only between names that are equal without it.

    Example:
        >>> staghorn.engine.registry.suggestion("adma", ["adam", "sgd"])
        " Did you mean 'adam'?"
    """
    names, text = list(known), str(name)
    if RENAMED.get(text) in names:
        return f" Did you mean '{RENAMED[text]}'?"
    folded: dict[str, list[str]] = {}
    for candidate in names:
        folded.setdefault(candidate.lower(), []).append(candidate)
    close = difflib.get_close_matches(text.lower(), folded, n=1, cutoff=0.6)
    if not close:
        return ""
    (best,) = difflib.get_close_matches(text, folded[close[0]], n=1, cutoff=0.0)
    return f" Did you mean '{best}'?"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """Build the error for a name that nothing answers to."""
    names = sorted(known)
    shown = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return ValueError(
        f"Unknown {kind} {name!r}.{suggestion(name, names)} Known: {shown} ({len(names)})."
    )


def missing_name(
    package: str, name: str, known: Iterable[str], not_yet: Iterable[str] = ()
) -> AttributeError:
    """Build the error for a name that a package does not have.

    Args:
        package: the package's dotted name.
        name: what was asked for.
        known: the package's public names.
        not_yet: names that Keras has there and Staghorn does not. Default: ().

    Example:
        >>> from staghorn.engine.registry import missing_name
        >>> str(missing_name("staghorn.layers", "LSTM", ["Dense"], ["LSTM"]))
        'staghorn.layers has no LSTM yet. Keras has it; Staghorn does not offer it so far.'
        >>> str(missing_name("staghorn.layers", "Densee", ["Dense"]))
        "staghorn.layers has no 'Densee'. Did you mean 'Dense'?"
    """
    known = list(known)
    spelled = {candidate.lower(): candidate for candidate in not_yet}.get(name.lower())
    if spelled is not None and name.lower() not in map(str.lower, known):
        return AttributeError(
            f"{package} has no {spelled} yet. Keras has it; Staghorn does not offer it so far."
        )
    return AttributeError(f"{package} has no {name!r}.{suggestion(name, known)}")


def missing_names(package: str, known: Iterable[str]) -> Callable[[str], Any]:
    """Return a module's `__getattr__`: it raises `missing_name`'s error.

    Example:
        >>> staghorn.layers.Densee
        Traceback (most recent call last):
        ...
        AttributeError: staghorn.layers has no 'Densee'. Did you mean 'Dense'?

    Notes: put it under `if not TYPE_CHECKING:`, so that type checkers go on reporting such names.
    `from package import name` keeps Python's own words.
    """

    def __getattr__(name: str) -> Any:
        if name.startswith("_"):  # Python itself asks for `__path__` and its like
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from staghorn.engine.not_yet import NOT_YET

        raise missing_name(package, name, known, NOT_YET.get(package, ()))

    return __getattr__


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
        from staghorn.engine.config_check import fits
        from staghorn.engine.serialization import get_registered_object

        found = get_registered_object(name, custom_objects)
        if found is not None:
            if not fits(self.kind, found):
                raise ValueError(f"{name!r} is {found!r:.200}, which cannot be the {self.kind}.")
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
        found = self.find(identifier, custom_objects) if isinstance(identifier, str) else identifier
        if inspect.isclass(found) and self.instantiate:
            return found()
        if not callable(found) and isinstance(identifier, str):
            return found
        if not callable(found) and not hasattr(found, "get_config"):
            raise ValueError(
                f"{'An' if self.kind[0] in 'aeiou' else 'A'} {self.kind} is given by name, config, "
                f"class, object or function, got {identifier!r} ({type(identifier).__name__})."
            )
        return found

    def serialize(self, value: Any) -> Any:
        """Return the JSON form of an object of this family."""
        from staghorn.engine.serialization import serialize_keras_object

        return serialize_keras_object(value)

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """Build an object of this family from its JSON form or name."""
        from staghorn.engine.serialization import deserialize_as

        if isinstance(config, str):
            return self.get(config, custom_objects)
        if isinstance(config, dict) and "module" not in config and "class_name" in config:
            # Keras 2 wrote {"class_name": ..., "config": ...} without a module.
            config = {"module": self.module, "registered_name": None, **config}
        return deserialize_as(self.kind, config, custom_objects)
