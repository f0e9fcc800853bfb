"""What a picture of a model shows: its layers, what feeds what, and which are inside which."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from staghorn.layers.input import InputLayer
from staghorn.layers.layer import Layer
from staghorn.layers.preprocessing.pipeline import Pipeline
from staghorn.models.model import Model
from staghorn.models.sequential import Sequential
from staghorn.visualization.calls import (
    HOLDERS,
    UNKNOWN,
    LayerCall,
    Source,
    Step,
    Wiring,
    chosen,
    recorded,
    type_name,
    wiring,
)

Key = Hashable
SHAPES_SHOWN = 2  # of a layer that is called with several


@dataclass(frozen=True)
class Part:
    """One box: a layer or op, or an argument or joint of a subclassed model's `call`."""

    key: Key
    name: str
    type: str
    group: Key | None = None
    input_shape: str = UNKNOWN
    output_shape: str = UNKNOWN
    dtype: str = UNKNOWN
    activation: str | None = None
    trainable: bool | None = None
    is_model: bool = False

    @property
    def is_input(self) -> bool:
        return self.type == "InputLayer"


@dataclass(frozen=True)
class Inside:
    """A model inside that is drawn with what it holds."""

    key: Key
    name: str
    type: str
    parent: Key | None = None


@dataclass(frozen=True)
class ModelGraph:
    """Parts in order, the models around them (outer ones first), and edges between parts."""

    name: str
    parts: list[Part]
    insides: list[Inside]
    edges: list[tuple[Key, Key]]


def model_graph(
    model: Any, expand_nested: bool = False, layer_range: Sequence[str] | None = None
) -> ModelGraph:
    """Return the boxes and edges of a built model.

    A layer that is called several times is one part. A model whose `call` is Python code is
    traced once without computing anything.

    Args:
        model: a built model or layer.
        expand_nested: also return what is inside models inside. Default: False.
        layer_range: names (or regular expressions) of the first and last layer. Default: all.

    Example:
        >>> from staghorn.visualization.model_graph import model_graph
        >>> x = staghorn.Input((4,), name="x")
        >>> y = staghorn.layers.Dense(4, name="y")(x)
        >>> graph = model_graph(staghorn.Model(x, staghorn.layers.Add(name="z")([x, y])))
        >>> [part.name for part in graph.parts]
        ['x', 'y', 'z']
        >>> len(graph.edges)
        3
    """
    work = _Walk(expand_nested)
    work.add(model, layer_range)
    present = {part.key for part in work.parts}
    edges = [e for e in dict.fromkeys(work.edges) if e[0] in present and e[1] in present]
    return ModelGraph(getattr(model, "name", "model"), work.parts, work.insides, edges)


class _Walk:
    """Collects parts and edges, model by model; keys are paths of ids from the outside."""

    def __init__(self, expand: bool) -> None:
        self.expand = expand
        self.parts: list[Part] = []
        self.insides: list[Inside] = []
        self.edges: list[tuple[Key, Key]] = []
        self.found: dict[int, tuple[Wiring, dict[int, Any]]] = {}
        self.given: dict[int, tuple[tuple, dict] | None] = {}  # id(model inside) → its arguments

    def look(self, model: Any) -> tuple[Wiring, dict[int, Any]]:
        """Return the calls inside a model, and the operations drawn; each is looked at once."""
        if id(model) not in self.found:
            calls = wiring(model, self.given.get(id(model)))
            # The input of a chain is not drawn, as in Keras.
            chains = ((Sequential, InputLayer), (Pipeline, Step))
            hidden = tuple(kind for chain, kind in chains if isinstance(model, chain))
            operations = [c.operation for c in calls.calls if not isinstance(c.operation, hidden)]
            self.found[id(model)] = calls, {id(op): op for op in operations}
            self.given.update((id(call.operation), call.given) for call in calls.calls)
        return self.found[id(model)]

    def wiring(self, model: Any) -> Wiring:
        return self.look(model)[0]

    def shown(self, model: Any) -> dict[int, Any]:
        return self.look(model)[1]

    def opens(self, operation: Any) -> bool:
        if not self.expand or not isinstance(operation, HOLDERS):
            return False
        return not self.wiring(operation).why and bool(self.shown(operation))

    def add(self, model: Any, layer_range: Sequence[str] | None) -> None:
        """Add a model, and the models inside, without recursion."""
        why = self.wiring(model).why
        if why and model.layers:
            message = f"plot_model: what feeds what in {model.name!r} is unknown. {why}"
            warnings.warn(message, stacklevel=4)
        pending: list[tuple[Any, Key | None, tuple[int, ...]]] = [(model, None, (id(model),))]
        if not self.shown(model):  # a layer, or a model with nothing inside: one box
            nodes = enumerate(getattr(model, "_inbound_nodes", ()))
            calls = [recorded(model, index, node) for index, node in nodes]
            self.parts.append(_part(model, pending.pop()[2], None, calls))
        while pending:
            model, group, path = pending.pop(0)
            by_operation = self.wiring(model).by_operation()
            for operation in self.kept(model, layer_range if group is None else None):
                key = (*path, id(operation))
                if self.opens(operation):
                    self.insides.append(Inside(key, operation.name, type_name(operation), group))
                    pending.append((operation, key, key))
                else:
                    self.parts.append(_part(operation, key, group, by_operation[id(operation)]))
            for call in self.wiring(model).calls:
                for position, source in enumerate(call.inputs):
                    starts = [] if source is None else self.starts(model, source, path)
                    ends = self.ends(model, call.operation, position, path)
                    self.edges += [(a, b) for a in starts for b in ends]

    def kept(self, model: Any, layer_range: Sequence[str] | None) -> list[Any]:
        """Return the operations in a range of layers, with the joints behind them."""
        shown = self.shown(model)
        if layer_range is None:
            return list(shown.values())
        layers = [op for op in shown.values() if not isinstance(op, Step)]
        inside = layers[chosen("plot_model", layers, layer_range)]
        joints = [c for c in self.wiring(model).calls if getattr(c.operation, "joins", False)]
        sources = {id(op) for op in inside}
        behind = [c for c in joints if any(s and id(s.operation) in sources for s in c.inputs)]
        return [*inside, *(call.operation for call in behind)]

    def starts(self, model: Any, source: Source, path: tuple[int, ...]) -> list[Key]:
        """Return the part, perhaps deep inside a model, that makes a tensor."""
        while id(source.operation) in self.shown(model):
            model, path = source.operation, (*path, id(source.operation))
            if not self.opens(model):
                return [path]
            outputs = self.wiring(model).outputs
            inner = outputs[min(source.tensor, len(outputs) - 1)]
            if inner is None:
                break
            source = inner
        return []  # of an empty Sequential, the input is the output

    def ends(self, model: Any, operation: Any, position: int, path: tuple[int, ...]) -> list[Key]:
        """Return the parts, perhaps deep inside models, that take an input."""
        pending = [(model, operation, position, path)]
        found: list[Key] = []
        while pending:
            model, operation, position, path = pending.pop()
            if id(operation) not in self.shown(model):
                continue
            path = (*path, id(operation))
            if not self.opens(operation):
                found.append(path)
                continue
            arguments = self.wiring(operation).arguments
            entry = arguments[min(position, len(arguments) - 1)]
            if id(entry.operation) in self.shown(operation):
                found.append((*path, id(entry.operation)))
                continue
            for call in self.wiring(operation).calls:  # a Sequential shows no input of its own
                for i, source in enumerate(call.inputs):
                    if source == entry:
                        pending.append((operation, call.operation, i, path))
        return found


def _part(operation: Any, key: Key, group: Key | None, calls: list[LayerCall]) -> Part:
    """Return a box with what the calls of a layer say."""
    is_layer = isinstance(operation, Layer)
    return Part(
        key,
        operation.name,
        type_name(operation),
        group,
        input_shape=_several([call.input_shape for call in calls]),
        output_shape=_several([call.output_shape for call in calls]),
        dtype=_several([call.dtype for call in calls]),
        activation=_activation(operation),
        trainable=bool(operation.trainable) if is_layer and operation.weights else None,
        is_model=isinstance(operation, Model),
    )


def _several(texts: list[str]) -> str:
    """Return the different ones, at most two."""
    different = list(dict.fromkeys(texts))
    more = ", …" if len(different) > SHAPES_SHOWN else ""
    return " / ".join(different[:SHAPES_SHOWN]) + more if different else UNKNOWN


def _activation(operation: Any) -> str | None:
    activation = getattr(operation, "activation", None)
    if activation is None:
        return None
    name = getattr(activation, "name", None) or getattr(activation, "__name__", None)
    return str(name or type(activation).__name__)
