"""The part of a model that takes strings: it runs on the host, before the compiled program.

Strings never reach the device. So `fit`, `evaluate` and `predict` run the calls that take strings
on all of the data first (or on each batch that a generator gives), and the compiled program begins
with what these return: an *encoded* input, a dict whose keys tell where its arrays go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from staghorn.engine import tree
from staghorn.engine.graph import Graph
from staghorn.engine.scope import abstractly
from staghorn.engine.symbolic import KerasTensor, Node, node_of
from staghorn.layers.call import is_text
from staghorn.layers.preprocessing.host_layer import TextCalls, host_key, listening

_WEIGHTS = """\
Layer '{name}' has weights, but it stands before a layer that takes strings, which runs before the \
training: it could not learn. Put it behind that layer."""
_RETURNS = """\
Model '{name}' returns strings, which cannot be computed in a compiled program.
Call it, model(x), or turn what it predicts into strings afterwards."""


class HostPart:
    """Where a graph is cut: calls that take strings, and what these need, come first.

    Args:
        name: the model's name, for keys and errors.
        graph: the model's calls.

    Raises:
        ValueError: if weights that can be trained would lie before the cut.
    """

    def __init__(self, name: str, graph: Graph) -> None:
        self.name = name
        self.graph = graph
        first = _first_calls(graph)
        made = {id(t) for t in graph.inputs} | {id(t) for n in first.values() for t in n.outputs}
        rest = [node for node in graph.steps if id(node) not in first]
        wanted = [t for node in rest for t in node.input_tensors] + graph.outputs
        ends = list({id(t): t for t in wanted if id(t) in made}.values())
        # Models inside that take strings go on where they are cut themselves.
        self.inner = [node for node in rest if _inner_part(node) is not None]
        self.first = Graph(graph.inputs, ends)
        self.rest = Graph(ends, graph.outputs)
        self.keys = [f"{name}, host part {place}" for place in range(len(ends))]

    def encode(self, values: list[Any]) -> dict[str, Any]:
        """Run the first calls on arrays in memory, one for each of the model's inputs."""
        table = {
            id(t): value
            for t, value in zip(self.first.outputs, self.first.run(values), strict=True)
        }
        encoded: dict[int, dict] = {}
        for node in self.inner:
            args, _ = node.fill(table)
            part = node.operation._host_encoded(args[0])
            for tensor in filter(_is_text, node.input_tensors):
                encoded.setdefault(id(tensor), {}).update(part)
        result = {}
        for key, tensor in zip(self.keys, self.first.outputs, strict=True):
            if _is_text(tensor) and id(tensor) not in encoded:
                raise ValueError(_RETURNS.format(name=self.name))
            result[key] = encoded.get(id(tensor)) or np.asarray(table[id(tensor)])
        return result

    def find(self, inputs: Any) -> dict[str, Any] | None:
        """Return the encoded input among what the model was called on, or None."""
        for item in inputs if isinstance(inputs, (list, tuple)) else [inputs]:
            if isinstance(item, dict) and self.keys[0] in item:
                return item
        return None

    def run(self, encoded: dict[str, Any], apply: Callable | None = None) -> list[Any]:
        """Run the rest of the model on an encoded input."""
        return self.rest.run([encoded[key] for key in self.keys], apply)


def holds_text(nest: Any) -> bool:
    """Say whether data has strings in it."""
    if isinstance(nest, dict):
        return any(map(holds_text, nest.values()))
    if isinstance(nest, (list, tuple)) and nest and not isinstance(nest[0], (str, bytes)):
        return not isinstance(nest[0], (int, float)) and any(map(holds_text, nest))
    return is_text(nest) and isinstance(np.asarray(nest).flat[0], (str, bytes))


def text_calls(model: Any, x: Any) -> list[tuple[Any, Any]]:
    """Run a subclassed model's `call` on placeholders; return what it calls on strings, and which.

    Args:
        model: the model.
        x: a nest of arrays of numbers and of strings, all rows.
    """
    # The longest row may decide on the shape of weights, so they are made from all rows.
    built = all(layer.built for layer in model._flatten_layers())
    leaves = [leaf[: 2 if built else None] for leaf in tree.flatten(x)]
    calls = TextCalls(model.name, leaves)
    numbers = {i: leaf for i, leaf in enumerate(leaves) if i not in calls.places.values()}

    def forward(numbers: dict[int, Any]) -> Any:
        whole = [numbers.get(i, leaf) for i, leaf in enumerate(leaves)]
        return model(tree.pack_sequence_as(x, whole), training=False)

    with listening(calls):
        jax.eval_shape(abstractly(forward), numbers)
    return list(calls.found.values())


def encoded_strings(x: Any, calls: list[tuple[Any, Any]]) -> Any:
    """Return x with each array of strings replaced by a dict of what is made of it.

    Args:
        x: a nest of arrays.
        calls: from `text_calls`.
    """
    leaves = tree.flatten(x)
    ready: list[Any] = [{} if is_text(leaf) else leaf for leaf in leaves]
    for owner, places in calls:
        inputs = tree.map_structure(leaves.__getitem__, places)
        first = tree.flatten(places)[0]
        if owner._host_part is not None:
            ready[first].update(owner._host_encoded(inputs))
            continue
        made = np.asarray(owner(inputs))
        if made.dtype == object:
            raise ValueError(_RETURNS.format(name=owner.name))
        ready[first][host_key(owner)] = made
    return tree.pack_sequence_as(x, ready)


def _is_text(tensor: KerasTensor) -> bool:
    return tensor.dtype == "string"


def _inner_part(node: Node) -> HostPart | None:
    return getattr(node.operation, "_host_part", None)  # ops have none


def _first_calls(graph: Graph) -> dict[int, Node]:
    """Return the calls that take strings, and all that they depend on."""
    ends = {id(t) for t in graph.inputs}
    pending = [
        node
        for node in graph.steps
        if any(map(_is_text, node.input_tensors)) and _inner_part(node) is None
    ]
    taking = {id(node) for node in pending}
    found: dict[int, Node] = {}
    while pending:
        node = pending.pop()
        if id(node) in found:
            continue
        found[id(node)] = node
        if id(node) not in taking and getattr(node.operation, "trainable_variables", None):
            raise ValueError(_WEIGHTS.format(name=node.operation.name))
        parents = [node_of(t) for t in node.input_tensors if id(t) not in ends]
        pending.extend(parent for parent in parents if parent is not None)
    return found
