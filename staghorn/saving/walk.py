"""From a model to its places in a file: which objects hold state, and under which path.

A path is made of attribute names and, inside lists and dicts, of class names with a counter; it
must be the one Keras finds, since files are read by path. The rule: the `layers` of a Sequential
or Functional model first, then attributes by name, public before private; an object is stored at
the first place where it is met.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from staghorn.engine.naming import to_snake_case
from staghorn.engine.variable import Variable
from staghorn.layers.layer import Layer
from staghorn.losses.loss import Loss
from staghorn.metrics.metric import Metric
from staghorn.optimizers.optimizer import Optimizer

# Objects that are walked into; of these, layers and optimizers have variables in the file.
_WALKED = (Layer, Optimizer, Metric, Loss)
_STORED = (Layer, Optimizer)
_COMPUTED = (property, functools.cached_property)
# The order of the walk, as Keras's: "~" sorts after every letter.
_FIRST = "layers"
# What models keep of their own; everything in it is reached through `layers`.
_MODEL_INTERNALS = frozenset(("_stack", "_graph", "_functional", "_executor"))


def walk(root: Any) -> list[tuple[str, Any]]:
    """Return (path, object) for every layer and optimizer reachable from a model or layer.

    Raises:
        ValueError: if two objects want the same path, or a layer with weights has none.

    Example:
        >>> from staghorn.saving.walk import walk
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> [path for path, _ in walk(model)]
        ['', 'layers/dense']
    """
    found: dict[int, tuple[str, Any]] = {}
    _visit(root, "", found)
    places = [place for place in found.values() if isinstance(place[1], _STORED)]
    _check_distinct(places)
    _check_complete(root, found)
    return places


def own_variables(layer: Any) -> list[Variable]:
    """Return the variables of a layer itself, in the order of files."""
    return layer._stored()


def _visit(item: Any, path: str, found: dict[int, tuple[str, Any]]) -> None:
    if id(item) in found:
        return
    found[id(item)] = (path, item)
    for name, child in _children(item):
        inner = f"{path}/{name}" if path else name
        if isinstance(child, _WALKED):
            _visit(child, inner, found)
        elif isinstance(child, (list, tuple, dict)):
            _visit_container(child, inner, found, set())


def _visit_container(
    container: Any, path: str, found: dict[int, tuple[str, Any]], around: set[int]
) -> None:
    if id(container) in around:
        return
    around.add(id(container))
    counts: dict[str, int] = {}
    for item in list(container.values()) if isinstance(container, dict) else container:
        if isinstance(item, _WALKED):
            name = _numbered(to_snake_case(type(item).__name__), counts)
            _visit(item, f"{path}/{name}", found)
        elif isinstance(item, (list, tuple, dict)):
            name = _numbered("container", counts)
            _visit_container(item, f"{path}/{name}", found, around)


def _numbered(name: str, counts: dict[str, int]) -> str:
    count = counts.get(name, 0)
    counts[name] = count + 1
    return f"{name}_{count}" if count else name


def _children(item: Any) -> Iterator[tuple[str, Any]]:
    cls: type = type(item)
    hidden = _own_names(_base_of(item))
    names = {name for name in vars(item) if name not in hidden and not name.startswith("__")}
    names.update(_computed_names(cls))
    names.update(_model_names(item))
    ordered = sorted(names, key=lambda name: f"~{name}" if name.startswith("_") else name)
    if _is_graph_model(item):
        ordered.remove(_FIRST)
        ordered.insert(0, _FIRST)
    for name in ordered:
        if name in vars(item):
            yield name, vars(item)[name]
            continue
        try:
            child = getattr(item, name)
        except Exception:  # a user's property may raise anything, for instance before building
            continue
        yield name, child


def _base_of(item: Any) -> type:
    from staghorn.models import Model

    bases = (Model, Layer, Optimizer, Metric, Loss)
    return next(base for base in bases if isinstance(item, base))


def _is_graph_model(item: Any) -> bool:
    from staghorn.models import Functional, Sequential

    return isinstance(item, (Sequential, Functional))


def _model_names(item: Any) -> tuple[str, ...]:
    from staghorn.models import Model

    return (_FIRST, "optimizer") if isinstance(item, Model) else ()


@functools.lru_cache(maxsize=1024)
def _own_names(base: type) -> frozenset[str]:
    """Return the attributes that every object of a base class has; they are not walked."""
    bare = base(1.0, name="bare") if base is Optimizer else base(name="bare")
    names = {name for cls in base.__mro__ for name in vars(cls)}
    return frozenset(names | set(vars(bare)) | _MODEL_INTERNALS)


@functools.lru_cache(maxsize=1024)
def _computed_names(cls: type) -> frozenset[str]:
    """Return the properties of a class that its base (Layer, Model, ...) does not have."""
    from staghorn.models import Functional, Model, Sequential

    bases = (Functional, Sequential, Model, *_WALKED)
    known = {name for base in bases if issubclass(cls, base) for name in dir(base)}
    return frozenset(
        name
        for base in cls.__mro__
        for name, value in vars(base).items()
        if isinstance(value, _COMPUTED) and name not in known
    )


def _check_distinct(places: list[tuple[str, Any]]) -> None:
    by_path: dict[str, Any] = {}
    for path, item in places:
        other = by_path.setdefault(path, item)
        if other is not item:
            raise ValueError(
                f"Two layers would have the same place '{path}' in the file: '{other.name}' "
                f"({type(other).__name__}) and '{item.name}' ({type(item).__name__}). Places are "
                f"named after classes with a counter; rename the class {type(item).__name__}."
            )


def _check_complete(root: Any, found: dict[int, tuple[str, Any]]) -> None:
    """Refuse to leave a layer's weights out: they would come back random."""
    if not isinstance(root, Layer):
        return
    lost = [
        layer for layer in root._flatten_layers() if id(layer) not in found and own_variables(layer)
    ]
    if lost:
        names = ", ".join(f"'{layer.name}' ({type(layer).__name__})" for layer in lost)
        raise ValueError(
            f"{type(root).__name__} '{root.name}': the weights of {names} have no place in a "
            "file, since no attribute leads there. Keep these layers in an attribute of your "
            "model or layer, or in a list or dict that is one:    self.blocks = [...]"
        )
