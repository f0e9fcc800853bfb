"""Operation: a function of tensors as a step of graphs; scopes around code."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Self

import jax
import jax.numpy as jnp

from staghorn.engine import naming, tree
from staghorn.engine.dtypes import is_array
from staghorn.engine.graph import Graph
from staghorn.engine.scope import Scope, current_scope, read, touched, write
from staghorn.engine.serialization import Configurable
from staghorn.engine.shapes import infer
from staghorn.engine.symbolic import KerasTensor, any_symbolic, connect, is_symbolic
from staghorn.engine.variable import Variable


class Operation(Configurable):
    """Base of one's own ops: write `call`, and `compute_output_spec` where tracing cannot do it.

    Called on arrays it computes; called on symbolic tensors it becomes a step of the graph.

    Args:
        name: a label. Default: the class's name in snake case, with a number.

    Example:
        >>> class Scale(staghorn.Operation):
        ...     def __init__(self, factor, name=None):
        ...         super().__init__(name=name)
        ...         self.factor = factor
        ...     def call(self, x):
        ...         return x * self.factor
        >>> x = staghorn.Input((3,))
        >>> model = staghorn.Model(x, Scale(2.0)(x))
        >>> print(model(np.ones((1, 3), "float32")))
        [[2. 2. 2.]]

    Notes: has no variables; what has some is a `Layer`. Layers are no subclass of it here.
    """

    def __init__(self, name: str | None = None) -> None:
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(
                f"{type(self).__name__}: name must be a string without '/', got {name!r}."
            )
        self.name = name or naming.auto_name(type(self).__name__)
        self._inbound_nodes: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return self.symbolic_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Record a call on symbolic tensors and return its outputs."""
        return connect(self, args, kwargs, self.compute_output_spec(*args, **kwargs))

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output. Written by subclasses."""
        raise NotImplementedError(
            f"{type(self).__name__} has no call(). Write `def call(self, x): ...` in it."
        )

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return the output as symbolic tensors, for symbolic inputs: by tracing `call`."""
        return infer(self.call, args, kwargs, f"{type(self).__name__} '{self.name}'")

    def _first_node(self, what: str) -> Any:
        if not self._inbound_nodes:
            raise AttributeError(
                f"{type(self).__name__} '{self.name}' has no {what} before it is called on a "
                "symbolic tensor."
            )
        return self._inbound_nodes[0]

    @property
    def input(self) -> Any:
        tensors = self._first_node("input").input_tensors
        return tensors[0] if len(tensors) == 1 else tensors

    @property
    def output(self) -> Any:
        return self._first_node("output").output_structure

    def __deepcopy__(self, memo: dict) -> Self:
        twin = memo[id(self)] = object.__new__(type(self))
        vars(twin).update(vars(self) | {"_inbound_nodes": []})
        return twin

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class Function(Operation):
    """The graph between symbolic tensors as a function; what `Model` is without training.

    Args:
        inputs: nest of symbolic tensors, of Inputs or from the middle of a graph.
        outputs: nest of symbolic tensors that depend on them.
        name: a label. Default: `function`, `function_1`, ...

    Raises:
        ValueError: if an output depends on an Input that is not given, or without tensors.

    Example:
        >>> a, b = staghorn.Input((2,)), staghorn.Input((2,))
        >>> function = staghorn.Function([a, b], {"sum": a + b})
        >>> function([np.ones((1, 2)), np.ones((1, 2))])["sum"].shape
        (1, 2)
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        for what, nest in (("inputs", inputs), ("outputs", outputs)):
            tensors = tree.flatten(nest)
            if not tensors or not all(map(is_symbolic, tensors)):
                raise ValueError(f"Function: {what} must be symbolic tensors, got {nest!r}.")
        self._inputs_struct = tree.map_structure(lambda t: t, inputs)
        self._outputs_struct = tree.map_structure(lambda t: t, outputs)
        self._graph = Graph(tree.flatten(inputs), tree.flatten(outputs))

    @property
    def inputs(self) -> list[KerasTensor]:
        return self._graph.inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        return self._graph.outputs

    @property
    def operations(self) -> list[Any]:
        within = [*self._graph.steps, *(n for n in self._graph.nodes if not n.input_tensors)]
        found = {id(node.operation) for node in within}
        return [op for op in self._graph.operations if id(op) in found]

    def call(self, inputs: Any) -> Any:
        if not tree.same_structure(inputs, self._inputs_struct):
            raise ValueError(
                f"Function '{self.name}': the inputs must have the form {self._inputs_struct}, "
                f"got {inputs}."
            )
        values = tree.flatten(inputs)
        for value, wanted in zip(values, self.inputs, strict=True):
            shape = jnp.shape(value)
            fits = (d is None or d == n for d, n in zip(wanted.shape, shape, strict=False))
            if len(shape) != wanted.ndim or not all(fits):
                raise ValueError(
                    f"Function '{self.name}': input '{wanted.name}' must have the shape "
                    f"{wanted.shape}, got {shape}."
                )
        return tree.pack_sequence_as(self._outputs_struct, self._graph.run(values))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shapes of the outputs for a shape, or a nest of shapes, of the inputs."""
        flat = [input_shape] if len(self.inputs) == 1 else list(input_shape)
        specs = [KerasTensor(s, t.dtype) for s, t in zip(flat, self.inputs, strict=True)]
        spec = self.compute_output_spec(tree.pack_sequence_as(self._inputs_struct, specs))
        return tree.map_structure(lambda t: t.shape, spec)


class StatelessScope(Scope):
    """Code in it sees given values of Variables; what it assigns stays in the scope.

    Args:
        state_mapping: (Variable, value) pairs. Default: None.
        collect_losses: whether `losses` lists what `add_loss` got, at the end. Default: False.
        initialize_variables: has no effect; Variables have values at once. Default: True.

    Raises:
        ValueError: if something else than Variables is given, or a value of another shape.

    Example:
        >>> count = staghorn.Variable(np.float32(1.0))
        >>> with staghorn.StatelessScope([(count, 5.0)]) as scope:
        ...     _ = count.assign_add(1.0)
        >>> float(scope.get_current_value(count)), float(count.value)
        (6.0, 1.0)
    """

    __slots__ = ("collect_losses",)

    def __init__(
        self,
        state_mapping: Iterable[tuple[Variable, Any]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        del initialize_variables
        variables, values = [], []
        for variable, value in state_mapping or ():
            if not isinstance(variable, Variable):
                raise ValueError(f"StatelessScope: {variable!r} is no Variable.")
            value = jnp.asarray(getattr(value, "value", value), variable.dtype)
            if value.shape != variable.shape:
                raise ValueError(
                    f"StatelessScope: Variable '{variable.path}' has the shape {variable.shape}, "
                    f"its value {value.shape}."
                )
            variables.append(variable)
            values.append(value)
        super().__init__(variables, values, transparent=True)
        self.collect_losses = collect_losses

    def __exit__(self, *details: object) -> None:
        found = [loss for losses in self.losses.values() for loss in losses]
        super().__exit__(*details)
        self.losses: Any = found if self.collect_losses else []

    def get_current_value(self, variable: Variable) -> Any:
        """Return the value given for or assigned to a Variable here, or None."""
        return self.values.get(id(variable))

    def add_update(self, update: tuple[Variable, Any]) -> None:
        """Set the value of a Variable here."""
        variable, value = update
        self.values[id(variable)] = value


class SymbolicScope:
    """Marks code that works on symbolic tensors; has no effect here.

    Example:
        >>> with staghorn.SymbolicScope():
        ...     x = staghorn.Input((3,))
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to undo."""


@contextmanager
def _named(name: str) -> Any:
    token = naming.scopes.set((*naming.scopes.get(), name))
    try:
        yield name
    finally:
        naming.scopes.reset(token)


def name_scope(name: str, **kwargs: Any) -> AbstractContextManager:
    """Put a name before the paths of Variables that are made within.

    Args:
        name: a string without "/".
        **kwargs: `caller`, `deduplicate`, `override_parent`; without effect here.

    Example:
        >>> with staghorn.name_scope("encoder"):
        ...     staghorn.Variable(0.0, name="scale").path
        'encoder/scale'
    """
    if not isinstance(name, str) or "/" in name or kwargs.keys() - _SCOPE_OPTIONS:
        raise ValueError(
            f"name_scope: expected a name without '/' and at most {sorted(_SCOPE_OPTIONS)}, "
            f"got {name!r}, {kwargs}."
        )
    return _named(name)


_SCOPE_OPTIONS = {"caller", "deduplicate", "override_parent"}


def device(device_name: Any) -> AbstractContextManager:
    """Compute within on a device, where nothing else says where.

    Args:
        device_name: "cpu:0", "gpu:1", "gpu", or a `jax.Device`.

    Raises:
        ValueError: if there is no such device.

    Example:
        >>> with staghorn.device("cpu:0"):
        ...     staghorn.ops.ones((2,)).shape
        (2,)
    """
    if isinstance(device_name, jax.Device):
        return jax.default_device(device_name)
    kind, _, index = str(device_name).lower().partition(":")
    there = [*jax.devices(), *jax.devices("cpu")]
    for one in there:
        if kind in (one.platform, one.device_kind.lower()) and one.id == int(index or 0):
            return jax.default_device(one)
    names = ", ".join(dict.fromkeys(f"'{one.platform}:{one.id}'" for one in there))
    raise ValueError(f"device: there is no {device_name!r}. Devices here: {names}.")


def remat(f: Callable) -> Callable:
    """Compute a function again during the backward pass instead of keeping what it made.

    Args:
        f: a function of arrays; layers and Variables within are followed.

    Example:
        >>> layer = staghorn.layers.Dense(4, activation="gelu")
        >>> staghorn.remat(layer)(np.ones((2, 3), "float32")).shape
        (2, 4)

    Reference: https://docs.jax.dev/en/latest/gradient-checkpointing.html
    """

    @functools.wraps(f)
    def called(*args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return f(*args, **kwargs)
        leaves, treedef = jax.tree.flatten((args, kwargs), is_leaf=lambda x: x is None)
        static = {i: leaf for i, leaf in enumerate(leaves) if not is_array(leaf)}
        arrays = [leaf for leaf in leaves if is_array(leaf)]
        call, variables = touched(f, treedef, static, arrays)

        def pure(values: list, arrays: list) -> tuple:
            with Scope(variables, values) as scope:
                out = call(arrays)
                return out, [scope.get(v) for v in variables], dict(scope.losses)

        out, new, losses = jax.checkpoint(pure)([read(v) for v in variables], arrays)
        for variable, value in zip(variables, new, strict=True):
            write(variable, value)
        around = current_scope()
        if around is not None:
            for layer, found in losses.items():
                around.losses.setdefault(layer, []).extend(found)
        return out

    return called


class RematScope:
    """Layers made within compute their calls again during the backward pass: less memory.

    Args:
        mode: "full" and "activations" for all layers, "larger_than" for outputs of more than
            `output_size_threshold` numbers, "list_of_layers" for those named, None for none.
            Default: "full".
        output_size_threshold: see there. Default: 1024.
        layer_names: see there. Default: None.

    Raises:
        ValueError: for an unknown mode.

    Example:
        >>> with staghorn.RematScope(mode="full"):
        ...     layer = staghorn.layers.Dense(4)
        >>> layer(np.ones((2, 3), "float32")).shape
        (2, 4)

    Notes: "activations" covers the whole call of a layer; in Keras its activation alone.
    """

    modes = ("full", "activations", "larger_than", "list_of_layers", None)

    def __init__(
        self,
        mode: str | None = "full",
        output_size_threshold: int = 1024,
        layer_names: list[str] | None = None,
    ) -> None:
        if mode not in self.modes:
            raise ValueError(f"RematScope: mode must be one of {self.modes}, got {mode!r}.")
        self.mode = mode
        self.output_size_threshold = output_size_threshold
        self.layer_names = layer_names or []

    def __enter__(self) -> Self:
        self._token = remat_scope.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        remat_scope.reset(self._token)

    def around(self, layer: Any, run: Callable, call: Any) -> Callable:
        """Return how a layer made here computes."""
        if current_scope() is None:  # no gradient of a training step is taken
            return run
        if self.mode == "larger_than":
            spec = infer(run, call.args, call.kwargs, layer.name)
            if all(math.prod(t.shape) <= self.output_size_threshold for t in tree.flatten(spec)):
                return run
        listed = self.mode != "list_of_layers" or layer.name in self.layer_names
        return remat(run) if self.mode and listed else run


remat_scope: ContextVar[RematScope | None] = ContextVar("staghorn_remat", default=None)
