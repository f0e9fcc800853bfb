"""What a picture of a model shows: its layers, what feeds what, and which are inside which."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from staghorn.engine import tree
from staghorn.engine.symbolic import KerasTensor, Node
from staghorn.layers.input import InputLayer
from staghorn.layers.layer import Layer
from staghorn.models.functional import Functional
from staghorn.models.model import Model
from staghorn.models.sequential import Sequential
from staghorn.visualization.summary import (
    UNKNOWN,
    LayerCall,
    _calls_inside,
    _placeholders,
    _range,
    _text_of,
    _type_name,
)

Key = Hashable
SHAPES_SHOWN = 2  # of a layer that is called with several


@dataclass(frozen=True)
class Part:
    """One box: a layer or op, or an argument of a subclassed model's `call`."""

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
        expand_nested: also return what is inside Functional and Sequential models. Default: False.
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
    if isinstance(model, (Functional, Sequential)):
        work.add_graph(model, None, (id(model),), layer_range)
    else:
        work.add_traced(model, (id(model),), layer_range)
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

    def opens(self, operation: Any) -> bool:
        if not self.expand or not isinstance(operation, (Functional, Sequential)):
            return False
        return operation._graph is not None and bool(_shown(operation))

    def add_graph(
        self,
        model: Any,
        group: Key | None,
        path: tuple[int, ...],
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Add a Functional or Sequential model, and the models inside, without recursion."""
        pending = [(model, group, path, layer_range)]
        while pending:
            model, group, path, layer_range = pending.pop(0)
            shown = _shown(model)
            for operation in shown[_chosen(shown, layer_range)]:
                key = (*path, id(operation))
                if self.opens(operation):
                    self.insides.append(Inside(key, operation.name, _type_name(operation), group))
                    pending.append((operation, key, key, None))
                else:
                    nodes = list(_nodes(model, operation))
                    self.parts.append(_part(operation, key, group, nodes))
            self.edges += self._edges(model, path)

    def _edges(self, model: Any, path: tuple[int, ...]) -> Iterator[tuple[Key, Key]]:
        shown = {id(operation) for operation in _shown(model)}
        for operation in model._graph.operations:
            if id(operation) not in shown:
                continue
            for node in _nodes(model, operation):
                for position, tensor in enumerate(node.input_tensors):
                    history = tensor._keras_history
                    if history is None or id(history.operation) not in shown:
                        continue
                    for a in self._sources(history.operation, history.tensor_index, path):
                        for b in self._targets(operation, position, path):
                            yield a, b

    def _sources(self, operation: Any, position: int, path: tuple[int, ...]) -> list[Key]:
        """Return the part, perhaps deep inside a model, that makes an output."""
        path = (*path, id(operation))
        while self.opens(operation):
            outputs = operation.outputs
            history = outputs[min(position, len(outputs) - 1)]._keras_history
            inner, position = history.operation, history.tensor_index
            if all(inner is not shown for shown in _shown(operation)):
                return []  # an empty Sequential: its input is its output
            operation, path = inner, (*path, id(inner))
        return [path]

    def _targets(self, operation: Any, position: int, path: tuple[int, ...]) -> list[Key]:
        """Return the parts, perhaps deep inside models, that take an input."""
        pending = [(operation, position, (*path, id(operation)))]
        found: list[Key] = []
        while pending:
            operation, position, path = pending.pop()
            if not self.opens(operation):
                found.append(path)
                continue
            shown = _shown(operation)
            inputs = operation.inputs
            tensor = inputs[min(position, len(inputs) - 1)]
            maker = tensor._keras_history.operation
            if any(maker is other for other in shown):
                found.append((*path, id(maker)))
                continue
            for inner in shown:  # a Sequential shows no input of its own
                for node in _nodes(operation, inner):
                    for i, taken in enumerate(node.input_tensors):
                        if taken is tensor:
                            pending.append((inner, i, (*path, id(inner))))
        return found

    def add_traced(
        self, model: Any, path: tuple[int, ...], layer_range: Sequence[str] | None
    ) -> None:
        """Add a model whose `call` is Python code: its layers, from one trace of it."""
        layers = list(model.layers) if hasattr(model, "layers") else []
        calls = _calls_inside(model, {}) if layers else {}
        seen = [layer for layer in layers if calls.get(id(layer))]
        if not seen:  # a layer, or a model that cannot be traced: one box
            self.parts.append(_part(model, path, None, list(getattr(model, "_inbound_nodes", []))))
            return
        by_name = {layer.name: layer for layer in seen}
        arguments: dict[str, Key] = {}
        boxes: list[Layer] = []
        for layer in seen[_chosen(seen, layer_range)]:
            boxes.append(layer)
            for call in calls[id(layer)]:
                for source in call.sources:
                    if source.call is None and " " not in source.name:  # "5 earlier" is no name
                        arguments.setdefault(source.name, (*path, source.name))
        for name, key in arguments.items():
            shape = _argument_shape(model, name)
            self.parts.append(Part(key, name, "InputLayer", output_shape=shape))
        for layer in boxes:
            key = (*path, id(layer))
            if self.opens(layer):
                self.insides.append(Inside(key, layer.name, _type_name(layer)))
                self.add_graph(layer, key, key)
            else:
                self.parts.append(_traced_part(layer, key, calls[id(layer)]))
            for call in calls[id(layer)]:
                for position, source in enumerate(call.sources):
                    starts: list[Key] = []
                    if source.call is None:
                        starts = [arguments[source.name]] if source.name in arguments else []
                    elif source.name in by_name:
                        maker = by_name[source.name]
                        starts = self._sources(maker, source.tensor or 0, path)
                    ends = self._targets(layer, position, path)
                    self.edges += [(a, b) for a in starts for b in ends]


def _shown(model: Any) -> list[Any]:
    """Return the operations that are drawn; a Sequential's input is not, as in Keras."""
    operations = list(model._graph.operations) if model._graph is not None else list(model.layers)
    if isinstance(model, Sequential):
        return [op for op in operations if not isinstance(op, InputLayer)]
    return operations


def _nodes(model: Any, operation: Any) -> Iterator[Node]:
    """Return an operation's calls in a model, in the order in which they were made."""
    members = {id(node) for node in model._graph.nodes} if model._graph is not None else set()
    return (node for node in operation._inbound_nodes if id(node) in members)


def _chosen(layers: Sequence[Any], bounds: Sequence[str] | None) -> slice:
    try:
        return _range(layers, bounds)
    except ValueError as error:
        raise ValueError(str(error).replace("summary:", "plot_model:", 1)) from None


def _part(operation: Any, key: Key, group: Key | None, nodes: list[Node]) -> Part:
    """Return a box with what its calls in a graph say."""
    taken = [_packed(node.input_tensors) for node in nodes]
    made = [node.output_structure for node in nodes]
    return Part(
        key,
        operation.name,
        _type_name(operation),
        group,
        input_shape=_several([_text_of(nest) for nest in taken]),
        output_shape=_several([_text_of(nest) for nest in made]),
        dtype=_several([_dtypes(nest) for nest in made]),
        activation=_activation(operation),
        trainable=_trainable(operation),
        is_model=isinstance(operation, Model),
    )


def _traced_part(layer: Layer, key: Key, calls: list[LayerCall]) -> Part:
    shapes = layer._build_shapes
    taken = _text_of(_placeholders(shapes, "float32")) if shapes is not None else UNKNOWN
    return Part(
        key,
        layer.name,
        _type_name(layer),
        input_shape=taken,
        output_shape=_several([call.output for call in calls]),
        dtype=layer.compute_dtype or UNKNOWN,
        activation=_activation(layer),
        trainable=_trainable(layer),
        is_model=isinstance(layer, Model),
    )


def _argument_shape(model: Any, name: str) -> str:
    shapes = model._build_shapes
    if isinstance(shapes, dict) and f"{name}_shape" in shapes:
        shapes = shapes[f"{name}_shape"]
    return UNKNOWN if shapes is None else _text_of(_placeholders(shapes, "float32"))


def _packed(tensors: list[KerasTensor]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors


def _several(texts: list[str]) -> str:
    """Return the different ones, at most two."""
    different = list(dict.fromkeys(texts))
    more = ", …" if len(different) > SHAPES_SHOWN else ""
    return " / ".join(different[:SHAPES_SHOWN]) + more if different else UNKNOWN


def _dtypes(nest: Any) -> str:
    found = dict.fromkeys(x.dtype for x in tree.flatten(nest) if isinstance(x, KerasTensor))
    return ", ".join(map(str, found)) or UNKNOWN


def _activation(operation: Any) -> str | None:
    activation = getattr(operation, "activation", None)
    if activation is None:
        return None
    name = getattr(activation, "name", None) or getattr(activation, "__name__", None)
    return str(name or type(activation).__name__)


def _trainable(operation: Any) -> bool | None:
    if not isinstance(operation, Layer) or not operation.weights:
        return None
    return bool(operation.trainable)
