"""Symbolic tensors and the record of who made them; `op`, which makes a function symbolic.

A `KerasTensor` stands for an array that is not there yet: a shape, a type and its history. Calling
a layer or an op on one records a `Node` (the call) and returns new KerasTensors. Nodes belong to
calls, not to layers: a layer that is called twice has two.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from staghorn.engine import naming, tree
from staghorn.engine.dtypes import standardize_dtype
from staghorn.engine.variable import Variable


class History(NamedTuple):
    """Where a symbolic tensor comes from."""

    operation: Any
    node_index: int
    tensor_index: int


_NO_VALUE = """\
{tensor} is symbolic: it stands for data that a model will get later and has no value yet.
You wrote something like      {wrote}
Write instead                 {instead}"""


class KerasTensor:
    """A placeholder for an array: shape, type, and the call that makes it.

    Args:
        shape: a tuple; None marks an unknown size.
        dtype: data type. Default: "float32".
        name: a label. Default: `keras_tensor`, `keras_tensor_1`, ...

    Example:
        >>> x = staghorn.Input((3,))
        >>> (x * 2).shape
        (None, 3)
    """

    __array_priority__ = 1000  # numpy_array * tensor comes to us

    def __init__(
        self,
        shape: Any,
        dtype: Any = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        del record_history, kwargs
        self._shape = tuple(None if d is None else int(d) for d in shape)
        self._dtype = standardize_dtype(dtype)
        self.sparse = bool(sparse)
        self.ragged = bool(ragged)
        self.name = name or naming.unique_name("keras_tensor")
        self._keras_history: History | None = None
        self._keras_mask: KerasTensor | None = None

    @property
    def shape(self) -> tuple:
        return self._shape

    @property
    def dtype(self) -> str:
        return self._dtype

    @property
    def ndim(self) -> int:
        return len(self._shape)

    def __repr__(self) -> str:
        made = ""
        if self._keras_history is not None:
            operation = self._keras_history.operation
            kind = "op" if isinstance(operation, OpCall) else type(operation).__name__
            made = f", made by {kind} '{operation.name}'"
        return f"<KerasTensor shape={self._shape}, dtype={self._dtype}, name={self.name}{made}>"

    def __deepcopy__(self, memo: dict) -> KerasTensor:
        # Without its history, which would drag in a whole graph; models copy their graphs.
        twin = memo[id(self)] = KerasTensor(self._shape, self._dtype, name=self.name)
        return twin

    def _no_value(self, wrote: str, instead: str) -> TypeError:
        return TypeError(_NO_VALUE.format(tensor=self, wrote=wrote, instead=instead))

    def __bool__(self) -> bool:
        raise self._no_value("if x > 0: ...", "x = staghorn.ops.where(x > 0, a, b)")

    def __eq__(self, other: object) -> bool:
        # Identity between tensors, as in Keras: lists and dicts of them must work.
        if other is None or isinstance(other, KerasTensor):
            return self is other
        raise self._no_value("x == 0", "staghorn.ops.equal(x, 0)")

    __hash__ = object.__hash__

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise self._no_value("np.exp(x) or np.array(x)", "staghorn.ops.exp(x)")

    def __jax_array__(self) -> Any:
        raise self._no_value("jnp.exp(x)", "staghorn.ops.exp(x), or write a Layer with a call")

    def __iter__(self) -> Any:
        raise self._no_value("for row in x or a, b = x", "a, b = staghorn.ops.unstack(x, axis=1)")

    def __float__(self) -> float:
        raise self._no_value("float(x)", "model.predict(data)")

    def __int__(self) -> int:
        raise self._no_value("int(x)", "model.predict(data)")

    def __len__(self) -> int:
        raise self._no_value("len(x)", "staghorn.ops.shape(x)[0], or x.shape for the known sizes")

    def reshape(self, *newshape: Any) -> Any:
        from staghorn import ops

        return ops.reshape(self, newshape[0] if len(newshape) == 1 else newshape)

    def squeeze(self, axis: Any = None) -> Any:
        from staghorn import ops

        return ops.squeeze(self, axis)


def is_symbolic(x: Any) -> bool:
    """Say whether `x` is a KerasTensor.

    Args:
        x: anything.

    Example:
        >>> staghorn.backend.is_keras_tensor(staghorn.Input((3,)))
        True
    """
    return isinstance(x, KerasTensor)


def symbolic_leaves(*nests: Any) -> list[KerasTensor]:
    """Return the KerasTensors in some nests, in order, with repetitions."""
    found: list[KerasTensor] = []
    pending = list(reversed(nests))
    while pending:
        item = pending.pop()
        if isinstance(item, KerasTensor):
            found.append(item)
        elif isinstance(item, (list, tuple)):
            pending.extend(reversed(item))
        elif isinstance(item, dict):
            pending.extend(item[key] for key in sorted(item, key=str, reverse=True))
        elif isinstance(item, slice):
            pending.extend((item.step, item.stop, item.start))
    return found


def any_symbolic(args: Any = None, kwargs: Any = None) -> bool:
    """Say whether a KerasTensor is among the arguments."""
    return bool(symbolic_leaves(args, kwargs))


def has_symbolic(nest: Any) -> bool:
    """Say whether a KerasTensor is somewhere in a nest."""
    return bool(symbolic_leaves(nest))


def _copied(nest: Any) -> Any:
    if type(nest) in (list, tuple):
        return type(nest)(_copied(item) for item in nest)
    if type(nest) is dict:
        return {key: _copied(item) for key, item in nest.items()}
    return nest


class Node:
    """One call of an operation on symbolic tensors.

    Args:
        operation: the layer or op that is called.
        args, kwargs: its arguments, KerasTensors among them.
        outputs: a nest of KerasTensors.
    """

    __slots__ = ("args", "kwargs", "operation", "output_structure", "outputs")

    def __init__(self, operation: Any, args: tuple, kwargs: dict, outputs: Any) -> None:
        self.operation = operation
        # Copies of the nests: the caller may go on appending to a list it passed.
        self.args = _copied(args)
        self.kwargs = _copied(kwargs)
        self.output_structure = outputs
        self.outputs = [t for t in tree.flatten(outputs) if isinstance(t, KerasTensor)]
        index = len(operation._inbound_nodes)
        for position, tensor in enumerate(self.outputs):
            tensor._keras_history = History(operation, index, position)
        operation._inbound_nodes.append(self)

    @property
    def input_tensors(self) -> list[KerasTensor]:
        return symbolic_leaves(self.args, self.kwargs)

    @property
    def output_tensors(self) -> list[KerasTensor]:
        return self.outputs

    @property
    def parent_nodes(self) -> list[Node]:
        return [node for node in map(node_of, self.input_tensors) if node is not None]

    def fill(self, values: dict[int, Any]) -> tuple[tuple, dict]:
        """Return the arguments with each KerasTensor replaced by `values[id(tensor)]`."""
        return replace_symbolic(self.args, values), replace_symbolic(self.kwargs, values)


def node_of(tensor: KerasTensor) -> Node | None:
    """Return the call that made a symbolic tensor, or None."""
    history = tensor._keras_history
    return None if history is None else history.operation._inbound_nodes[history.node_index]


def replace_symbolic(item: Any, values: dict[int, Any]) -> Any:
    """Rebuild a nest with each KerasTensor replaced by `values[id(tensor)]`."""
    if isinstance(item, KerasTensor):
        return values[id(item)]
    if isinstance(item, tuple) and hasattr(item, "_fields"):
        return type(item)(*(replace_symbolic(x, values) for x in item))
    if isinstance(item, (list, tuple)):
        return type(item)(replace_symbolic(x, values) for x in item)
    if isinstance(item, dict):
        return {key: replace_symbolic(x, values) for key, x in item.items()}
    if isinstance(item, slice):
        parts = (replace_symbolic(x, values) for x in (item.start, item.stop, item.step))
        return slice(*parts)
    return item


class OpCall:
    """One op in a graph (`add`, `get_item`, ...): what a Layer is for layers, without state."""

    def __init__(self, function: Callable, name: str | None = None) -> None:
        self.function = function
        self.name = name or naming.unique_name(function.__name__)
        self._inbound_nodes: list[Node] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not any_symbolic(args, kwargs):
            return self.function(*args, **kwargs)
        return connect(self, args, kwargs, infer_op(self.function, args, kwargs))

    @property
    def output(self) -> Any:
        return self._inbound_nodes[0].output_structure

    def __deepcopy__(self, memo: dict) -> OpCall:
        twin = memo[id(self)] = OpCall(self.function, name=self.name)
        return twin

    def __repr__(self) -> str:
        return f"<Op {self.name}>"


def connect(operation: Any, args: tuple, kwargs: dict, outputs: Any) -> Any:
    """Record a call on symbolic tensors and return its outputs."""
    taken = {id(t) for t in symbolic_leaves(args, kwargs)}
    # An operation that hands an input through still needs an output tensor of its own.
    outputs = tree.map_structure(
        lambda t: KerasTensor(t.shape, t.dtype) if id(t) in taken else t, outputs
    )
    Node(operation, args, kwargs, outputs)
    return outputs


def infer_op(function: Callable, args: tuple, kwargs: dict) -> Any:
    """Return the symbolic result of an op."""
    from staghorn.engine.shapes import infer

    return infer(function, args, kwargs, what=f"ops.{function.__name__}", probing=True)


def _unwrap(item: Any) -> Any:
    if isinstance(item, Variable):
        return item.value
    if isinstance(item, (list, tuple)) and any(isinstance(x, Variable) for x in item):
        return type(item)(_unwrap(x) for x in item)
    return item


def op(fn: Callable | None = None, *, name: str | None = None) -> Callable:
    """Make an array function work on symbolic tensors and Variables too.

    With a KerasTensor among the arguments the call is recorded as a Node; the shape and type of
    the result come from tracing `fn` abstractly. Otherwise Variables are unwrapped and `fn` runs.

    Args:
        fn: a function of arrays.
        name: its public name. Default: `fn.__name__`.

    Example:
        >>> from staghorn.engine.symbolic import op
        >>> double = op(lambda x: x * 2, name="double")
        >>> double(staghorn.Input((3,))).shape
        (None, 3)
    """
    if fn is None:
        return functools.partial(op, name=name)
    function = fn

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return OpCall(call)(*args, **kwargs)
        return function(
            *(_unwrap(x) for x in args), **{key: _unwrap(x) for key, x in kwargs.items()}
        )

    if name is not None:
        call.__name__ = call.__qualname__ = name
    return call
