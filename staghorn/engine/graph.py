"""Graphs of calls: find them from their ends, order them, run them, copy them. No recursion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from staghorn.engine import tree
from staghorn.engine.symbolic import (
    KerasTensor,
    Node,
    connect,
    node_of,
    replace_symbolic,
)

_DISCONNECTED = """\
Graph disconnected: {what} needs the input '{name}' (shape {shape}), which is not among the \
model's inputs.
You wrote something like      Model(inputs={given}, outputs=...)
Write instead                 Model(inputs={wanted}, outputs=...)"""

_NO_HISTORY = """\
Graph disconnected: the tensor {tensor} comes from nowhere: no layer or op of Staghorn made it.
Start from staghorn.Input(shape=...) and use layers, operators or staghorn.ops on it."""


class Graph:
    """The calls between some inputs and outputs, in an order in which they can run.

    Args:
        inputs, outputs: flat lists of symbolic tensors.

    Raises:
        ValueError: if an output depends on an Input that is not among the inputs.
    """

    def __init__(self, inputs: list[KerasTensor], outputs: list[KerasTensor]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        found, seen_operations = self._walk()
        self.nodes, self.operations = _by_depth(found, seen_operations, inputs)
        ends = {id(t) for t in inputs}
        self.steps = [n for n in self.nodes if not any(id(t) in ends for t in n.outputs)]

    def _walk(self) -> tuple[list[Node], dict[int, int]]:
        """Depth-first from the outputs: calls in an order with parents first."""
        ends = {id(t) for t in self.inputs}
        order: list[Node] = []
        done: set[int] = set()
        indices: dict[int, int] = {}
        for output in self.outputs:
            stack: list[tuple[KerasTensor, bool]] = [(output, False)]
            while stack:
                tensor, expanded = stack.pop()
                node = node_of(tensor)
                if node is None:
                    if id(tensor) in ends:
                        continue
                    raise ValueError(_NO_HISTORY.format(tensor=tensor))
                if expanded:
                    if id(node) not in done:
                        done.add(id(node))
                        order.append(node)
                    continue
                if id(node) in done:
                    continue
                indices.setdefault(id(node.operation), len(indices))
                stack.append((tensor, True))
                if id(tensor) not in ends:
                    parents = node.input_tensors
                    if not parents:
                        self._raise_disconnected(node, order)
                    stack.extend((parent, False) for parent in reversed(parents))
        return order, indices

    def _raise_disconnected(self, node: Node, order: list[Node]) -> None:
        del order
        users = [n for n in _users(self.outputs, node) if n is not node]
        what = f"'{users[0].operation.name}'" if users else "an output"
        names = [t.name for t in self.inputs]
        tensor = node.outputs[0]
        wanted = [*names, node.operation.name]
        raise ValueError(
            _DISCONNECTED.format(
                what=what,
                name=node.operation.name,
                shape=tensor.shape,
                given=f"[{', '.join(names)}]",
                wanted=f"[{', '.join(wanted)}]",
            )
        )

    def run(self, values: Iterable[Any], apply: Callable | None = None) -> list[Any]:
        """Call every operation in order and return the outputs as a flat list.

        Args:
            values: one for each input.
            apply: `(operation, args, kwargs) → outputs`. Default: call the operation.
        """
        table = {id(t): value for t, value in zip(self.inputs, values, strict=True)}
        for node in self.steps:
            args, kwargs = node.fill(table)
            operation = node.operation
            out = operation(*args, **kwargs) if apply is None else apply(operation, args, kwargs)
            results = tree.flatten(out)
            kept = tree.flatten(node.output_structure)
            for tensor, result in zip(kept, results, strict=True):
                if isinstance(tensor, KerasTensor):
                    table[id(tensor)] = result
        return [table[id(t)] for t in self.outputs]


def _users(outputs: list[KerasTensor], node: Node) -> list[Node]:
    """Return calls above `outputs` that take what `node` makes, for an error."""
    wanted = {id(t) for t in node.outputs}
    pending = [n for n in map(node_of, outputs) if n is not None]
    seen: set[int] = set()
    users = []
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if any(id(t) in wanted for t in current.input_tensors):
            users.append(current)
        pending.extend(current.parent_nodes)
    return users


def _by_depth(
    found: list[Node], indices: dict[int, int], inputs: list[KerasTensor]
) -> tuple[list[Node], list[Any]]:
    """Order calls and operations as Keras does: farthest from the outputs first.

    Files list layers in this order, so it must not change.
    """
    node_depth: dict[int, int] = {}
    operation_depth: dict[int, int] = {}
    operations: dict[int, Any] = {}
    members = {id(node) for node in found}
    for node in reversed(found):
        key = id(node.operation)
        operations[key] = node.operation
        depth = max(node_depth.get(id(node), 0), operation_depth.get(key, 0))
        node_depth[id(node)] = operation_depth[key] = depth
        for parent in node.parent_nodes:
            if id(parent) in members:
                node_depth[id(parent)] = max(depth + 1, node_depth.get(id(parent), 0))
    for tensor in inputs:  # an input that no output uses
        unused = node_of(tensor)
        if unused is not None and id(unused.operation) not in operations:
            key = id(unused.operation)
            operations[key] = unused.operation
            operation_depth[key] = 0
            indices[key] = -1
            node_depth[id(unused)] = 0
            found = [*found, unused]
    ordered = sorted(operations, key=lambda key: (-operation_depth[key], indices[key]))
    position = {id(node): place for place, node in enumerate(found)}
    nodes = sorted(found, key=lambda n: (-node_depth[id(n)], position[id(n)]))
    return nodes, [operations[key] for key in ordered]


def copy_between(
    inputs: list[KerasTensor],
    outputs: list[KerasTensor],
    new_inputs: list[KerasTensor],
    operation_for: Callable[[Any], Any] = lambda operation: operation,
) -> list[KerasTensor]:
    """Repeat the calls between two sets of tensors on other inputs; layers are shared.

    This makes a model from intermediate tensors: its calls are its own, its weights are not.

    Args:
        inputs, outputs: the ends of the calls to repeat.
        new_inputs: stand for `inputs` in the repetition.
        operation_for: the operation to call instead of one. Default: the same.
    """
    graph = Graph(inputs, outputs)
    table: dict[int, Any] = {
        id(t): new for t, new in zip(inputs, new_inputs, strict=True)
    }
    for node in graph.steps:
        args = replace_symbolic(node.args, table)
        kwargs = replace_symbolic(node.kwargs, table)
        fresh = tree.map_structure(
            lambda t: KerasTensor(t.shape, t.dtype) if isinstance(t, KerasTensor) else t,
            node.output_structure,
        )
        fresh = connect(operation_for(node.operation), args, kwargs, fresh)
        for tensor, new in zip(
            tree.flatten(node.output_structure), tree.flatten(fresh), strict=True
        ):
            table[id(tensor)] = new
    return [table[id(t)] for t in outputs]
