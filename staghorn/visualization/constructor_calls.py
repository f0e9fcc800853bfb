"""Objects as the shortest constructor calls that make them again, found by trying them out."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from staghorn import constraints, dtype_policies, initializers, layers
from staghorn.engine import naming
from staghorn.engine import serialization as configs
from staghorn.engine.scope import abstractly
from staghorn.layers.bidirectional import Bidirectional
from staghorn.visualization.source_text import Expression, call, flat, literal, option, scalar

ARRAY_LIMIT = 1000  # numbers of an array that may stand in a text
Made = tuple[Expression, Any]


def refusal(text: str) -> ValueError:
    """Return the error of a text that cannot be written."""
    return ValueError(f"model_to_code: {text}")


@contextmanager
def names_kept() -> Iterator[None]:
    """Afterwards automatic names count on as if nothing had been made."""
    before = dict(naming._counts)
    try:
        yield
    finally:
        count_names_from(before)


def count_names_from(counts: dict[str, int]) -> None:
    """Set the numbers of automatic names."""
    naming._counts.clear()
    naming._counts.update(counts)


class Constructors:
    """Calls of constructors for one text, which count names and note what is to be imported."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.imports: dict[str, set[str]] = {}
        self.absent: dict[str, str] = {}  # the user's own → the module that hides it

    def construct(
        self, cls: Any, config: dict[str, Any], own_name: bool = True, shapes: Any = None
    ) -> Made:
        """Return the shortest call that makes an object with a config, and such an object."""
        wanted = _unbuilt(config)
        config = _as_given(cls, wanted)
        parameters = inspect.signature(cls).parameters.values()
        required = {p.name for p in parameters if p.default is p.empty}
        given = [name for name in configs.parameter_names(cls) if name in config and name != "name"]
        before = dict(naming._counts)
        try:
            known = {name: config[name] for name in given if name in required}
            plain = cls(**configs.deserialize_nested(known))
            defaults = _unbuilt(plain.get_config())
            if any(defaults.get(name) != config[name] for name in given):
                defaults = _config_when_built(plain, shapes)
        except (TypeError, ValueError):
            defaults = {}  # the arguments depend on each other: all are written
        usual = {name: value for name, value in defaults.items() if config.get(name) == value}
        short = [name for name in given if name in required or name not in usual]
        as_given = configs.is_builtin(cls) or configs.is_builtin(cls.from_config.__func__)
        attempts = ((short, False), (short, True), (given, True)) if as_given else ()
        said = wanted.get("name") if own_name else None
        ignored = {} if own_name or "name" not in wanted else {"name": wanted["name"]}
        for names, inner_names in attempts:
            count_names_from(before)
            values = {name: self.value(config[name], inner_names) for name in names}
            try:
                made = _made(cls, {name: made for name, (_, made) in values.items()}, said)
                same = _unbuilt(made.get_config()) | ignored == wanted
                same = same or _config_when_built(made, shapes) | ignored == wanted
            except (TypeError, ValueError):
                continue
            if same:
                items = [e if n in required else option(n, e) for n, (e, _) in values.items()]
                if said is not None and "name" in made._init_arguments[1]:
                    items.append(option("name", scalar(said)))
                return call(self.reference(cls), *items), made
        count_names_from(before)
        function = f"{self.reference(cls)}.from_config"
        return call(function, literal(wanted)), cls.from_config(wanted)

    def value(self, config: Any, inner_names: bool = True) -> Made:
        """Return a config's value as text, and the value."""
        if isinstance(config, (list, tuple)):
            items = [self.value(item, inner_names) for item in config]
            places = literal(type(config)(range(len(items))), lambda place: items[place][0])
            return places, type(config)(made for _, made in items)
        if not isinstance(config, dict):
            return (scalar(config),), config
        if "class_name" in config and "config" in config:
            return self.object(config, inner_names)
        parts = {key: self.value(item, inner_names) for key, item in config.items()}
        text = literal(dict(zip(parts, parts, strict=True)), lambda key: parts[key][0])
        return text, {key: made for key, (_, made) in parts.items()}

    def object(self, config: dict[str, Any], inner_names: bool) -> Made:
        """Return a serialized object as text, and the object."""
        if config["class_name"] != "function" and not config["class_name"].startswith("__"):
            text, made = self.construct(configs.find_class(config), config["config"], inner_names)
            return _shortened(text, made), made
        made = configs.deserialize_nested(config)
        if config["class_name"] == "function":
            return (self.reference(made),), made
        if not isinstance(made, np.ndarray):
            return (repr(made),), made
        if made.size > ARRAY_LIMIT:
            raise refusal(
                f"an array of {made.size} numbers is part of the architecture (an initializer or "
                "an operand), too long for a text. Make it a weight."
            )
        dtype = option("dtype", scalar(made.dtype.name))
        return call("np.array", literal(made.tolist()), dtype), made

    def reference(self, thing: Any) -> str:
        """Return how a class or function is named in the text; import the user's own."""
        name, module = thing.__name__, thing.__module__
        if configs.is_builtin(thing):
            if not inspect.isfunction(thing):
                module = str(configs.keras_path(thing)[0]).replace("keras", "staghorn", 1)
            if module == "staghorn.layers":
                public = dir(layers)  # one class has another name there: GroupQueryAttention
                if name not in public:
                    name = next((n for n in public if getattr(layers, n) is thing), name)
                return f"layers.{name}"
            return f"{module.replace('staghorn', self.package, 1)}.{name}"
        if module != "__main__" and getattr(sys.modules.get(module), name, None) is thing:
            self.imports.setdefault(module, set()).add(name)
        else:
            self.absent[name] = module
        return name


def _config_when_built(layer: Any, shapes: Any) -> dict[str, Any]:
    """Return a layer's config after `build`, which rewrites some arguments; nothing is computed."""
    if shapes is not None and not layer.built:
        with names_kept():
            jax.eval_shape(abstractly(lambda: layer.build_from_config(shapes)))
    return _unbuilt(layer.get_config())


def _made(cls: Any, arguments: dict[str, Any], name: str | None) -> Any:
    """Make an object; pass the name only if it would get another one."""
    before = dict(naming._counts)
    made = cls(**arguments)
    if name is None or made.name == name:
        return made
    count_names_from(before)
    return cls(**arguments, name=name)


def _shortened(text: Expression, made: Any) -> Expression:
    """Return "he_normal" for HeNormal(), and the like."""
    if type(made) is dtype_policies.DTypePolicy:
        return (scalar(made.name),)
    for family in (initializers, constraints):
        if type(made).__module__ == family.__name__ and flat(text).endswith("()"):
            name = naming.to_snake_case(type(made).__name__)
            if family.FAMILY.objects.get(name) is type(made):
                return (scalar(name),)
    return text


def _as_given(cls: type, config: dict[str, Any]) -> dict[str, Any]:
    """Undo what Bidirectional does to the layer that it is given."""
    if cls is not Bidirectional:
        return config
    inner = config["layer"]["config"]
    changes = {"name": inner["name"].removeprefix("forward_"), "zero_output_for_mask": False}
    inner = {key: changes.get(key, value) for key, value in inner.items()}
    return {**config, "layer": {**config["layer"], "config": inner}}


def _unbuilt(config: Any) -> Any:
    """Return a config in JSON form, without the shapes that its objects were built with."""

    def without(item: Any) -> Any:
        if isinstance(item, dict):
            left_out = ("build_config", "compile_config") if "class_name" in item else ()
            return {key: without(value) for key, value in item.items() if key not in left_out}
        return type(item)(map(without, item)) if isinstance(item, (list, tuple)) else item

    return without(configs.serialize_keras_object(config))
