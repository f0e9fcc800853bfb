"""Objects to JSON and back: derived configs, registered names, no code and no imports by name.

A class's config is derived from its constructor's signature: every parameter is read from the
attribute of the same name. Classes written by users are described by the arguments they were made
with, which the metaclass keeps.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import types
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, ClassVar, Self

import numpy as np

from staghorn.engine.arguments import Check, check_arguments, problems
from staghorn.engine.config_check import building, fits
from staghorn.engine.dtypes import standardize_dtype
from staghorn.engine.file_errors import CorruptFileError, UnsafeFileError
from staghorn.engine.registry import suggestion
from staghorn.engine.spellings import OLD_NAMES, modern
from staghorn.engine.symbolic import KerasTensor

# Where the public names of Keras's modules live here. Only these packages are ever looked into.
_FAMILIES = {
    f"keras.{name}": f"staghorn.{name}"
    for name in (
        "layers", "losses", "metrics", "optimizers", "optimizers.schedules", "initializers",
        "regularizers", "constraints", "activations", "models", "dtype_policies", "callbacks",
        "quantizers", "random",
    )
}  # fmt: skip
# Where Keras's files say these are: a module, since its package has classes that no file may name.
_FEATURE_SPACE = "staghorn.utils.feature_space"
_FAMILIES |= {
    "keras.utils": _FEATURE_SPACE,
    "keras.src.layers.preprocessing.feature_space": _FEATURE_SPACE,
}
_ROOT_CLASSES = {
    "Sequential": "staghorn.models",
    "Model": "staghorn.models",
    "Functional": "staghorn.models",
    "Layer": "staghorn.layers",
    "Loss": "staghorn.losses",
    "Metric": "staghorn.metrics",
    "Optimizer": "staghorn.optimizers",
    "Initializer": "staghorn.initializers",
    "Regularizer": "staghorn.regularizers",
    "DTypePolicy": "staghorn.dtype_policies",
    "FloatDTypePolicy": "staghorn.dtype_policies",
    "KerasTensor": "staghorn.engine.symbolic",
}
_FUNCTION_MODULES = ("activations", "losses", "metrics", "initializers", "regularizers")


class ConfigurableMeta(type):
    """Keeps the constructor's arguments and runs the class's table of argument checks."""

    # What a constructor takes that its signature does not name.
    unnamed: ClassVar[tuple[str, ...]] = ()

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if not OLD_NAMES.isdisjoint(kwargs) and is_builtin(cls.__init__):  # type: ignore[misc]
            known = (*parameter_names(cls), *cls.unnamed)
            args, kwargs = modern(cls.__name__, known, args, kwargs)
        try:
            instance = super().__call__(*args, **kwargs)
        except (TypeError, ValueError, AttributeError) as error:
            text = wrong_call(cls, args, kwargs, error)
            if text is not None:
                raise TypeError(text) from None
            text = wrong_value(cls, args, kwargs, error)
            if text is None:
                raise
            raise ValueError(text) from error
        object.__setattr__(instance, "_init_arguments", (args, kwargs))
        table = type(instance).arguments
        if table:
            check_arguments(instance, table)
        return instance

    @property
    def __signature__(cls) -> inspect.Signature:
        """The constructor's: without this, `help()` and editors would show `(*args, **kwargs)`."""
        full = inspect.signature(cls.__init__)  # type: ignore[misc]
        return full.replace(parameters=list(full.parameters.values())[1:])


class Configurable(metaclass=ConfigurableMeta):
    """Base of everything with a config."""

    arguments: ClassVar[dict[str, Check]] = {}
    _init_arguments: tuple[tuple, dict]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments in JSON form."""
        return derived_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build an object from what `get_config` returned."""
        with building(config, ours=is_builtin(cls)):
            return cls(**{key: deserialize_nested(value) for key, value in config.items()})


def is_builtin(cls: type) -> bool:
    """Say whether a class or function is Staghorn's own."""
    return str(getattr(cls, "__module__", "")).split(".", 1)[0] == "staghorn"


@functools.lru_cache(maxsize=1024)
def parameter_names(cls: type) -> tuple[str, ...]:
    """Return the names of a class's constructor parameters, following `**kwargs` to its bases."""
    names: dict[str, None] = {}
    for base in cls.__mro__:
        constructor = base.__dict__.get("__init__")
        if constructor is None or base is object:
            continue
        parameters = list(inspect.signature(constructor).parameters.values())[1:]
        for p in parameters:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                names.setdefault(p.name)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return tuple(names)


# What Python says when a call does not fit a constructor's signature.
_MISFIT = re.compile(
    r"(?P<owner>.+)\.__init__\(\) "
    r"(?P<kind>got an unexpected keyword|missing \d+ required \S+) arguments?:? (?P<names>.*)"
)


def wrong_call(cls: type, args: tuple, kwargs: dict[str, Any], error: Exception) -> str | None:
    """Say which argument of `cls(*args, **kwargs)` is wrong; None for errors of other origin.

    Example:
        >>> staghorn.layers.Dense(unit=3)
        Traceback (most recent call last):
        ...
        TypeError: Dense: unknown argument 'unit'. Did you mean 'units'?
    """
    found = _MISFIT.match(str(error))
    if found is None or found["owner"] not in {base.__qualname__ for base in cls.__mro__}:
        return None
    name, known = cls.__name__, parameter_names(cls)
    named = re.findall(r"'(\w+)'", found["names"])
    if found["kind"].startswith("got"):
        wrong = named[0]
        if wrong not in kwargs:  # the constructor's own code passed it
            return None
        free = [parameter for parameter in known if parameter not in kwargs]
        hint = suggestion(wrong, free)
        return f"{name}: unknown argument {wrong!r}.{hint} Known: {', '.join(known)}."
    if not set(named) <= set(known):
        return None
    for wrong in (key for key in kwargs if key not in known):
        hint = suggestion(wrong, named)
        if hint:
            return f"{name}: unknown argument {wrong!r}.{hint}"
    spelled = ", ".join(f"{parameter}=..." for parameter in named)
    are = "argument {} is" if len(named) == 1 else "arguments {} are"
    given = "..., " if args or kwargs else ""
    return (
        f"{name}: {are.format(', '.join(map(repr, named)))} missing. "
        f"Write {name}({given}{spelled})."
    )


def wrong_value(cls: type, args: tuple, kwargs: dict[str, Any], error: Exception) -> str | None:
    """Say which value a constructor of ours failed at with an error that does not say so.

    Example:
        >>> staghorn.layers.Dense(2, bias_initializer=7)
        Traceback (most recent call last):
        ...
        ValueError: Dense: bias_initializer: An initializer is given by name, ..., got 7 (int).
    """
    said = str(error)
    plain = type(error) in (TypeError, ValueError, AttributeError)  # not an error with fields
    if not (plain and is_builtin(cls)) or re.match(r"\w+( '[^']*')?: ", said):
        return None
    given = dict(zip(parameter_names(cls), args, strict=False)) | kwargs
    text = problems(cls.arguments, given)  # type: ignore[attr-defined]
    if text:
        return f"{cls.__name__}: {text}"
    for name, value in given.items():
        if f"got {value!r} (" in said or (
            isinstance(value, str)
            and said.startswith("Unknown")
            and repr(value) in said.partition(".")[0]
        ):
            return f"{cls.__name__}: {name}: {said}"
    return None


def derived_config(instance: Any, names: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Read each constructor parameter from its attribute, or from the recorded arguments."""
    cls = type(instance)
    names = parameter_names(cls) if names is None else names  # type: ignore[arg-type]
    if is_builtin(cls):
        values = {name: getattr(instance, name) for name in names if hasattr(instance, name)}
    else:
        values = recorded_arguments(instance)
    return {name: config_value(value) for name, value in values.items()}


def recorded_arguments(instance: Any) -> dict[str, Any]:
    """Return the constructor's arguments of an instance by name."""
    args, kwargs = instance._init_arguments
    bound = inspect.signature(type(instance).__init__).bind(instance, *args, **kwargs)
    values: dict[str, Any] = {}
    parameters = list(bound.signature.parameters.values())
    for parameter in parameters[1:]:
        if parameter.name not in bound.arguments:
            continue
        value = bound.arguments[parameter.name]
        if parameter.kind is parameter.VAR_KEYWORD:
            values.update(value)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            raise ValueError(
                f"{type(instance).__name__}: a constructor with *{parameter.name} has no derived "
                "config. Write get_config() and from_config() for it."
            )
        else:
            values[parameter.name] = value
    return values


def config_value(value: Any) -> Any:
    """Return the JSON form of one argument; built-in activations are written by name."""
    if isinstance(value, types.FunctionType) and value.__module__ == "staghorn.activations":
        return value.__name__
    return serialize_keras_object(value)


# Names given by the user ---------------------------------------------------------------------

_registered: dict[str, Any] = {}
_registered_names: dict[Any, str] = {}
_in_scope: ContextVar[Mapping[str, Any] | None] = ContextVar("custom_objects", default=None)


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable:
    """Register a class or function so that files may name it as `package>name`.

    Args:
        package: prefix of the registered name. Default: "Custom".
        name: the name. Default: that of the class or function.

    Example:
        >>> @staghorn.saving.register_keras_serializable("demo")
        ... def doubled(x):
        ...     return 2 * x
        >>> staghorn.saving.get_registered_name(doubled)
        'demo>doubled'
    """

    def register(thing: Any) -> Any:
        if inspect.isclass(thing) and not hasattr(thing, "get_config"):
            raise ValueError(
                f"register_keras_serializable: class {thing.__name__} needs get_config()."
            )
        registered_name = f"{package}>{name or thing.__name__}"
        _registered[registered_name] = thing
        _registered_names[thing] = registered_name
        return thing

    return register


def get_custom_objects() -> dict[str, Any]:
    """Return the live dictionary of registered names.

    Example:
        >>> isinstance(staghorn.saving.get_custom_objects(), dict)
        True
    """
    return _registered


def get_registered_name(obj: Any) -> str:
    """Return the registered name of a class or function, or its own name.

    Args:
        obj: a class or function.

    Example:
        >>> staghorn.saving.get_registered_name(staghorn.layers.Dense)
        'Dense'
    """
    return _registered_names.get(obj) or obj.__name__


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Any = None
) -> Any:
    """Return what the user registered under a name, or None.

    Args:
        name: the name, "package>Name" for what a decorator registered.
        custom_objects: dict to look in after those in scope and registered. Default: None.
        module_objects: dict to look in last. Default: None.

    Example:
        >>> staghorn.saving.get_registered_object("mine", {"mine": len})
        <built-in function len>
    """
    for source in (_in_scope.get(), _registered, custom_objects, module_objects):
        if source and name in source:
            return source[name]
    return None


class CustomObjectScope:
    """Make names known while the block runs.

    Args:
        custom_objects: dict, name → your own class or function.

    Example:
        >>> with staghorn.saving.custom_object_scope({"twice": lambda x: 2 * x}):
        ...     layer = staghorn.layers.Activation("twice")
    """

    def __init__(self, custom_objects: Mapping[str, Any]) -> None:
        self.custom_objects = custom_objects or {}

    def __enter__(self) -> Self:
        self._token = _in_scope.set({**(_in_scope.get() or {}), **self.custom_objects})
        return self

    def __exit__(self, *error: Any) -> None:
        _in_scope.reset(self._token)


custom_object_scope = CustomObjectScope


class WithCustomObjects(Configurable):
    """Base of what may hold objects of one's own, which `from_config` is then told of."""

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Build an object from what `get_config` returned.

        Args:
            config: dict of constructor arguments.
            custom_objects: name → class or function, known meanwhile. Default: None.
        """
        with custom_object_scope(custom_objects or {}):
            return super().from_config(config)


# To JSON -------------------------------------------------------------------------------------


def keras_path(cls: Any) -> tuple[str | None, str, str | None]:
    """Return (module, class name, registered name) as Keras writes them."""
    fixed = cls.__dict__.get("_keras_path") if inspect.isclass(cls) else None
    if fixed is not None:
        return fixed
    if is_builtin(cls):
        parts = cls.__module__.split(".")[1:]
        if cls.__name__ in _ROOT_CLASSES and cls.__module__.startswith(_ROOT_CLASSES[cls.__name__]):
            return "keras", cls.__name__, None
        nested = ".".join(parts[:2])
        family = nested if f"keras.{nested}" in _FAMILIES else parts[0]
        return f"keras.{family}", cls.__name__, None
    module = None if cls.__module__ == "__main__" else cls.__module__
    return module, cls.__name__, get_registered_name(cls)


def serialize_keras_object(obj: Any) -> Any:
    """Return the JSON form of an object, in Keras's dialect.

    Args:
        obj: any object with a config, a function, or a nest of plain values.

    Example:
        >>> staghorn.saving.serialize_keras_object(staghorn.regularizers.L2(0.5))["class_name"]
        'L2'
    """
    if obj is None or isinstance(obj, (bool, str, int, float)):
        return obj
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, (list, tuple)):
        items = [config_value(x) for x in obj]
        return items if isinstance(obj, list) else tuple(items)
    if isinstance(obj, dict):
        return {key: config_value(value) for key, value in obj.items()}
    if isinstance(obj, slice):
        parts = {"start": obj.start, "stop": obj.stop, "step": obj.step}
        return {"class_name": "__slice__", "config": {k: config_value(v) for k, v in parts.items()}}
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, KerasTensor):
        history = obj._keras_history
        place = [history.operation.name, *history[1:]] if history else None
        config = {"shape": list(obj.shape), "dtype": obj.dtype, "keras_history": place}
        return {"class_name": "__keras_tensor__", "config": config}
    if isinstance(obj, np.dtype) or (isinstance(obj, type) and issubclass(obj, np.generic)):
        return standardize_dtype(obj)
    if hasattr(obj, "shape") and hasattr(obj, "dtype"):
        array = np.asarray(obj)
        if array.ndim == 0:
            return array.item()
        config = {"value": array.tolist(), "dtype": array.dtype.name}
        return {"class_name": "__numpy__", "config": config}
    if isinstance(obj, types.FunctionType) or not hasattr(obj, "get_config"):
        return _serialize_function(obj)
    return _serialize_instance(obj)


def _serialize_function(obj: Any) -> dict[str, Any]:
    name = getattr(obj, "__name__", None)
    if name is None or not callable(obj):
        raise TypeError(
            f"{obj!r} ({type(obj).__name__}) has no JSON form. Give its class a get_config() and "
            "register it with @staghorn.saving.register_keras_serializable()."
        )
    registered = name if is_builtin(obj) else get_registered_name(obj)
    return {
        "module": "builtins",
        "class_name": "function",
        "config": registered,
        "registered_name": "function",
    }


def _serialize_instance(obj: Any) -> dict[str, Any]:
    module, class_name, registered_name = keras_path(type(obj))
    config = {
        "module": module,
        "class_name": class_name,
        "config": obj.get_config(),
        "registered_name": registered_name,
    }
    if hasattr(obj, "get_build_config"):
        build_config = obj.get_build_config()
        if build_config is not None:
            config["build_config"] = build_config
    if hasattr(obj, "get_compile_config"):
        config["compile_config"] = obj.get_compile_config() or {}
    return config


# From JSON -----------------------------------------------------------------------------------


def deserialize_nested(value: Any) -> Any:
    """Build the objects inside one config value; plain values pass unchanged."""
    if isinstance(value, dict) and "class_name" in value and "config" in value:
        return deserialize_keras_object(value)
    if isinstance(value, dict):
        return {key: deserialize_nested(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(deserialize_nested(x) for x in value)
    return value


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """Build an object from its JSON form; only registered and built-in names are found.

    Args:
        config: what `serialize_keras_object` returned.
        custom_objects: more names for this call. Default: None.
        safe_mode: accepted for Keras's sake; code inside a file never runs here.

    Example:
        >>> config = staghorn.saving.serialize_keras_object(staghorn.regularizers.L2(0.5))
        >>> staghorn.saving.deserialize_keras_object(config).l2
        0.5
    """
    del safe_mode
    return deserialize_as(None, config, custom_objects)


def deserialize_as(
    kind: str | None, config: Any, custom_objects: Mapping[str, Any] | None = None
) -> Any:
    """Build an object that must be of a kind, such as "layer" (see `config_check`).

    Example:
        >>> from staghorn.engine.serialization import deserialize_as
        >>> config = staghorn.saving.serialize_keras_object(staghorn.regularizers.L2(0.5))
        >>> deserialize_as("regularizer", config).l2
        0.5
    """
    with custom_object_scope(custom_objects or {}), building(config, kind=kind):
        if not isinstance(config, dict) or "class_name" not in config or "config" not in config:
            if kind is None:
                return deserialize_nested(config)
            raise CorruptFileError(
                f"A {kind} needs 'class_name' and 'config', got {config!r:.100}."
            )
        return _deserialize(config, kind)


def _deserialize(config: dict[str, Any], kind: str | None) -> Any:
    class_name, inner = config["class_name"], config["config"]
    if class_name in _LITERALS:
        return _LITERALS[class_name](inner)
    if class_name == "function":
        return find_function(inner)
    cls = find_class(config)
    if not fits(kind, cls):
        raise UnsafeFileError(f"The config names {cls!r:.200}, which cannot be the {kind}.")
    instance = cls.from_config(inner)  # type: ignore[attr-defined]
    return _finish(instance, config)


def _finish(instance: Any, config: dict[str, Any]) -> Any:
    """Build and compile a deserialized object as its config says."""
    build_config = config.get("build_config")
    if build_config and hasattr(instance, "build_from_config") and not instance.built:
        instance.build_from_config(build_config)
    compile_config = config.get("compile_config")
    if compile_config and hasattr(instance, "compile_from_config"):
        instance.compile_from_config(compile_config)
    return instance


def _array(config: dict[str, Any]) -> np.ndarray:
    return np.array(config["value"], dtype=config["dtype"])


def _history_tensor(config: dict[str, Any]) -> Any:
    return KerasTensor(config["shape"], config["dtype"])


_LITERALS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "__numpy__": _array,
    "__tensor__": _array,
    "__bytes__": lambda c: c["value"].encode("utf-8"),
    "__ellipsis__": lambda c: Ellipsis,
    "__slice__": lambda c: slice(*(deserialize_nested(c[k]) for k in ("start", "stop", "step"))),
    "__keras_tensor__": _history_tensor,
}


def _public(module: str, name: str) -> Any:
    """Return a public name of one of our own packages, or None."""
    package = importlib.import_module(module)
    return getattr(package, name, None) if name in getattr(package, "__all__", ()) else None


def find_function(name: str) -> Any:
    """Return the function a config names: the user's, or one of a family's table."""
    found = get_registered_object(name)
    if found is not None:
        return found
    for family in _FUNCTION_MODULES:
        found = importlib.import_module(f"staghorn.{family}").FAMILY.objects.get(name)
        if found is not None:
            return found
    raise TypeError(_unknown_object("function", name, None))


def find_class(config: dict[str, Any]) -> type:
    """Return the class a config names: the user's first, then our public ones."""
    name = config["class_name"]
    registered_name = config.get("registered_name") or name
    found = get_registered_object(registered_name) or get_registered_object(name)
    if found is not None:
        return found
    module = config.get("module") or ""
    candidates = []
    if module == "keras" or module.startswith("keras.src.models"):
        candidates.append(_ROOT_CLASSES.get(name))
    candidates.append(_FAMILIES.get(module))
    if module == "keras.models":
        candidates.append("staghorn.models")
    for candidate in candidates:
        if candidate is None:
            continue
        found = _public(candidate, name)
        if inspect.isclass(found):
            return found
    raise TypeError(_unknown_object("class", name, _FAMILIES.get(module)))


def _unknown_object(kind: str, name: str, module: str | None) -> str:
    known = list(_registered)
    if module is not None:
        known += importlib.import_module(module).__all__
    short = name.rsplit(">", maxsplit=1)[-1]
    return (
        f"The config names the {kind} {name!r}, which is not known here.{suggestion(name, known)}\n"
        f"Supply it:    custom_objects={{{name!r}: {short}}}\n"
        f"or register it: @staghorn.saving.register_keras_serializable(...) above its definition."
    )
