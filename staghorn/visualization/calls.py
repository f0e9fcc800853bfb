"""Which layers a model calls, and what feeds what: from its graph, or from one trace of `call`.

Shapes and connections of a graph are recorded in it. A model whose `call` is Python code is run
once on placeholders, without computing anything.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from staghorn.engine import tree
from staghorn.engine.frame import Frame
from staghorn.engine.jax_internals import inner_programs
from staghorn.engine.masks import get_mask, set_mask
from staghorn.engine.registry import suggestion
from staghorn.engine.scope import abstractly
from staghorn.engine.shapes import abstract_shape
from staghorn.engine.symbolic import KerasTensor, Node, OpCall
from staghorn.layers.call import signature_of
from staghorn.layers.layer import Layer
from staghorn.layers.preprocessing.pipeline import Pipeline
from staghorn.models.functional import Functional
from staghorn.models.model import Model
from staghorn.models.sequential import Sequential
from staghorn.visualization.costs import operations, products

HOLDERS = (Model, Pipeline)  # what is drawn with the layers inside, if that is asked for
UNKNOWN = "?"
# What JAX calls the operations that often join the outputs of layers.
PLAIN = {
    "add_any": "add", "mul": "multiply", "sub": "subtract", "div": "divide",
    "dot_general": "matmul", "select_n": "where",
}  # fmt: skip

LOOKS = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


@dataclass(eq=False)
class Step:
    """What is no layer: an argument of `call`, or an operation that joins several arrays."""

    name: str
    type: str = "InputLayer"

    @property
    def joins(self) -> bool:
        return self.type != "InputLayer"


class Source(NamedTuple):
    """A tensor: which operation made it, in which of its calls, at which place of its output."""

    operation: Any
    call: int = 0
    tensor: int = 0

    def __str__(self) -> str:
        name = self.operation.name
        return name if isinstance(self.operation, Step) else f"{name}[{self.call}][{self.tensor}]"


@dataclass
class LayerCall:
    """One call of a layer, op or Step inside a model; `inputs` has a Source for each tensor."""

    operation: Any
    index: int = 0
    given: tuple[tuple, dict] | None = None  # its arguments, with a shape and type for each array
    inputs: list[Source | None] = field(default_factory=list)  # None: a constant, or not known
    input_shape: str = UNKNOWN
    output_shape: str = UNKNOWN
    dtype: str = UNKNOWN
    multiply_adds: int = 0  # this and the next are only filled in by `costs_of`
    activations: int = 0  # bytes

    def take(self, tensors: Sequence[Any]) -> None:
        self.input_shape = shape_text(tensors[0] if len(tensors) == 1 else list(tensors))

    def make(self, outputs: Any, tensors: Iterable[Any]) -> None:
        self.output_shape = shape_text(outputs)
        types = dict.fromkeys(str(x.dtype) for x in tensors if hasattr(x, "dtype"))
        self.dtype = ", ".join(types) or UNKNOWN


@dataclass
class Wiring:
    """The calls directly inside a model, where its arguments enter, and what makes its outputs."""

    calls: list[LayerCall] = field(default_factory=list)
    arguments: list[Source] = field(default_factory=list)
    outputs: list[Source | None] = field(default_factory=list)
    why: str = ""  # not empty: connections are unknown

    def by_operation(self) -> dict[int, list[LayerCall]]:
        """Return id(operation) → its calls."""
        groups: dict[int, list[LayerCall]] = {}
        for call in self.calls:
            groups.setdefault(id(call.operation), []).append(call)
        return groups


def wiring(model: Any, given: tuple[tuple, dict] | None = None) -> Wiring:
    """Return the calls inside a model; nothing is computed and no state changes.

    Args:
        model: any model or layer; before it is built, and of a plain layer, nothing is known.
        given: `(args, kwargs)` of a call, with objects that have a shape and a dtype. Default:
            those of the last symbolic call, or what follows from the shapes at build.

    Example:
        >>> from staghorn.visualization.calls import wiring
        >>> class Residual(staghorn.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.dense = staghorn.layers.Dense(4)
        ...         self.out = staghorn.layers.Dense(2)
        ...     def call(self, x):
        ...         return self.out(x + self.dense(x))
        >>> model = Residual()
        >>> model.build((None, 4))
        >>> for call in wiring(model).calls:
        ...     print(call.operation.name, call.output_shape, *call.inputs)
        x (None, 4)
        dense (None, 4) x
        dense_1 (None, 2) add
        add (None, 4) x dense[0][0]
    """
    graph = model._graph if isinstance(model, (Functional, Sequential)) else None
    if graph is None:
        if isinstance(model, Sequential) or not isinstance(model, HOLDERS) or not model.built:
            return Wiring()
        return _traced(model, given)
    members = {id(node) for node in graph.nodes}
    calls = [
        recorded(operation, index, node)
        for operation in graph.operations
        for index, node in enumerate(operation._inbound_nodes)
        if id(node) in members
    ]
    return Wiring(calls, [_source(t) for t in graph.inputs], [_source(t) for t in graph.outputs])


def recorded(operation: Any, index: int, node: Node) -> LayerCall:
    """Return what a graph's node says about a call."""
    inputs: list[Source | None] = [_source(tensor) for tensor in node.input_tensors]
    call = LayerCall(operation, index, (node.args, node.kwargs), inputs)
    call.take(node.input_tensors)
    call.make(node.outputs, node.outputs)  # a flat list, as Keras writes it
    return call


def _source(tensor: KerasTensor) -> Source:
    history = tensor._keras_history
    assert history is not None  # a graph's tensors all have a maker
    return Source(*history)


def shape_text(nest: Any) -> str:
    """Return the shapes of a nest of tensors, as `(None, 3)` or `[(None, 3), (None, 2)]`."""

    def text(x: Any) -> str:
        if not hasattr(x, "shape"):
            return UNKNOWN if x is not None else "None"
        return f"({', '.join(map(str, _shape(x)))})"

    texts = tree.map_structure(text, nest)
    flat = tree.flatten(texts)
    return flat[0] if len(flat) == 1 else str(texts).replace("'", "")


def _shape(x: Any) -> tuple[int | None, ...]:
    return tuple(int(d) if isinstance(d, (int, np.integer)) else None for d in x.shape)


def type_name(operation: Any) -> str:
    """Return what is written for the class of a layer, op or Step."""
    if isinstance(operation, OpCall):
        return "".join(part.capitalize() for part in operation.function.__name__.split("_"))
    return operation.type if isinstance(operation, Step) else type(operation).__name__


def chosen(function: str, layers: Sequence[Any], bounds: Sequence[str] | None) -> slice:
    """Return which layers two names or patterns enclose, in either order."""
    if bounds is None:
        return slice(None)
    if len(bounds) != 2 or not all(isinstance(bound, str) for bound in bounds):
        raise ValueError(
            f"{function}: layer_range must be two strings, the names of the first and the last "
            f"layer, got {bounds!r} ({type(bounds).__name__})."
        )
    places = []
    for bound in bounds:
        found = [i for i, layer in enumerate(layers) if re.match(bound, layer.name)]
        if not found:
            names = [layer.name for layer in layers]
            raise ValueError(
                f"{function}: layer_range names {bound!r}, which matches no layer."
                f"{suggestion(bound, names)} Layers: {', '.join(names)}."
            )
        places.append(found)
    first, last = places
    if first[0] > last[-1]:
        first, last = last, first
    return slice(first[0], last[-1] + 1)


# Tracing --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spec:
    """An array's shape, unknown sizes as None, and its type."""

    shape: tuple[int | None, ...]
    dtype: Any


class _NotBuilt(Exception):
    """Ends a trace: looking at a model must not create weights."""


def specs(shapes: Any, dtype: Any) -> Any:
    """Return a Spec for a shape, or a nest of them."""
    if shapes is None:
        return None
    if isinstance(shapes, dict):
        return {key: specs(shape, dtype) for key, shape in shapes.items()}
    if all(d is None or isinstance(d, (int, np.integer)) for d in shapes):
        return Spec(tuple(shapes), dtype)
    return type(shapes)(specs(shape, dtype) for shape in shapes)


def _by_name(shapes: Any) -> bool:
    """Say whether recorded shapes are those of several arguments: `{"query_shape": ...}`."""
    return isinstance(shapes, dict) and all(key.endswith("_shape") for key in shapes)


def at_build(layer: Layer) -> LayerCall:
    """Return what follows for a call from the shapes with which a layer was built."""
    shapes, call = layer._build_shapes, LayerCall(layer)
    if shapes is None or not layer.built:
        return call
    call.input_shape = shape_text(specs(shapes, "float32"))
    try:
        args, kwargs = ((), shapes) if _by_name(shapes) else ((shapes,), {})
        made = layer.compute_output_shape(*args, **kwargs)
    except Exception:  # a user's layer may raise anything; a picture is no place to fail for it
        return call
    call.output_shape = shape_text(specs(made, "float32"))
    return call


def _arguments(model: Layer) -> list[tuple[tuple, dict]]:
    """Return what a model may be called with; the likeliest first."""
    if isinstance(model, (Functional, Sequential)):
        return [((model.input,), {})]
    if model._inbound_nodes:
        return [(model._inbound_nodes[-1].args, model._inbound_nodes[-1].kwargs)]
    shapes = model._build_shapes
    found: list[tuple[tuple, dict]] = []
    # The type of the input is not recorded: token numbers are tried where floats fail.
    for dtype in (model.input_dtype, "int32"):
        nest = specs(shapes, dtype)
        if _by_name(shapes):
            found.append(((), {key.removesuffix("_shape"): nest[key] for key in nest}))
        elif shapes is not None:
            found.append(((nest,), {}))
    return found


def _traced(model: Any, given: tuple[tuple, dict] | None) -> Wiring:
    """Return what one run of `call` on placeholders shows; the calls until it failed."""
    why, calls = _no_shapes(model), list[LayerCall]()
    attempts = [given] if given is not None else _arguments(model)
    for arguments, one_for_all in itertools.product(attempts, (False, True)):
        trace, sized = _Trace(), partial(abstract_shape, one_for_all=one_for_all)
        try:
            program = trace.run(model, arguments, sized)
        except Exception as error:  # the user's code, on placeholders: anything may be raised
            if len(trace.top) > len(calls) or not calls:
                why, calls = _reason(model, error), trace.top
            continue
        if trace.used() < len(model.layers):  # `if training: x = self.dropout(x)`
            training = _Trace(training=True)
            with suppress(Exception):  # as above
                other = training.run(model, arguments, sized)
                if training.used() > trace.used():
                    trace, program = training, other
        return trace.connected(program)
    seen = {id(call.operation) for call in calls}
    return Wiring([*calls, *(at_build(x) for x in model.layers if id(x) not in seen)], why=why)


def _no_shapes(model: Layer) -> str:
    if type(model).call is Model.call:
        return f"{type(model).__name__} has no call."
    return "The shape of its input was not recorded."


def _reason(model: Layer, error: Exception) -> str:
    what = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    if isinstance(error, LOOKS):
        what = "Python code looks at the values of an array."
    return f"{type(model).__name__}.call does not run without data. {what}"


def costs_of(model: Layer) -> tuple[LayerCall, dict[int, list[LayerCall]]]:
    """Return multiply-adds and activations of a built model and of the calls inside.

    Sizes that are None count as 1. A model's activations are those of the layers inside.

    Example:
        >>> from staghorn.visualization.calls import costs_of
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(8)])
        >>> total, layers = costs_of(model)
        >>> total.multiply_adds, total.activations, len(layers)
        (32, 32, 1)
    """
    if not model.built:
        raise ValueError(
            f"summary: show_costs needs sizes, and model {model.name!r} is not built. "
            "Call model.build(input_shape), or model(x[:1]) on your data, first."
        )
    why, cause = _no_shapes(model), None
    for arguments in _arguments(model):
        trace = _Trace()
        try:
            program = trace.run(model, arguments, lambda shape: tuple(d or 1 for d in shape))
        except Exception as error:  # as above
            why, cause = _reason(model, error), error
            continue
        return trace.charged(model, program)
    raise ValueError(
        f"summary: show_costs runs model {model.name!r} on placeholders, with 1 for each size that "
        f"is None, and that failed. {why}\n"
        "Where a None is to blame, give Input a fixed shape; else leave show_costs out."
    ) from cause


class _Trace:
    """The calls seen while a model runs on placeholders.

    Arrays are marked as they enter and leave a layer (`checkpoint_name`, which computes nothing);
    in the finished program each mark's origin shows which layer fed which.
    """

    def __init__(self, training: bool | None = None) -> None:
        self.training = training
        self.calls: list[LayerCall] = []
        self.top: list[LayerCall] = []  # by the model itself
        self.open: list[LayerCall] = []
        self.marks: dict[str, tuple[LayerCall, int, bool]] = {}  # call, place, on entering
        self.steps: dict[Step, LayerCall] = {}
        self.arguments: list[LayerCall] = []

    def run(self, model: Layer, given: tuple[tuple, dict], sized: Callable) -> Any:
        """Return the program of one call, and fill `calls`."""
        paths, treedef = jax.tree_util.tree_flatten_with_path(given)
        leaves = [leaf for _, leaf in paths]
        places = [i for i, leaf in enumerate(leaves) if hasattr(leaf, "shape")]
        names = signature_of(type(model).call).names
        for place in places:
            (which, first, *rest), leaf = paths[place]
            name = first.key if which.idx else (*names, *["inputs"] * (first.idx + 1))[first.idx]
            inside = "".join(f"[{getattr(k, 'key', getattr(k, 'idx', k))}]" for k in rest)
            entry = LayerCall(Step(f"{name}{inside}"))
            entry.make(leaf, [leaf])
            self.arguments.append(entry)

        def call(values: list[Any]) -> Any:
            for place, value in zip(places, values, strict=True):
                leaves[place] = value
            args, kwargs = jax.tree.unflatten(treedef, leaves)
            with Frame(None, bool(self.training), None):
                return model(*args, **kwargs)

        arrays = [leaves[place] for place in places]
        structs = [jax.ShapeDtypeStruct(sized(_shape(x)), x.dtype) for x in arrays]
        with self.watching(model), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a layer has to say, it says when it runs
            return jax.make_jaxpr(abstractly(call))(structs).jaxpr

    @contextmanager
    def watching(self, model: Layer) -> Iterator[None]:
        """See every call of the layers inside; afterwards their attributes are as before."""
        layers = model._flatten_layers()
        ops = model.operations if isinstance(model, Functional) else []
        watched = [*layers, *(op for op in ops if isinstance(op, OpCall))]
        before = [(operation, dict(vars(operation))) for operation in watched]
        try:
            for operation in watched[1:]:
                # Past __setattr__, which would track them.
                name = "function" if isinstance(operation, OpCall) else "call"
                vars(operation)[name] = partial(self._call, operation, getattr(operation, name))
                if not getattr(operation, "built", True):
                    vars(operation)["_build_once"] = partial(_refuse, operation)
            yield
        finally:
            for operation, attributes in before:
                vars(operation).clear()
                vars(operation).update(attributes)

    def _call(self, operation: Any, inner: Callable, *args: Any, **kwargs: Any) -> Any:
        index = sum(call.operation is operation for call in self.calls)
        kept = jax.tree.map(
            lambda x: Spec(_shape(x), x.dtype) if isinstance(x, jax.Array) else x, (args, kwargs)
        )
        entry = LayerCall(operation, index, kept)
        self.calls.append(entry)
        if not self.open:
            self.top.append(entry)
        self.open.append(entry)
        taken = jax.tree.leaves((args, {k: v for k, v in kwargs.items() if "mask" not in k}))
        arrays = [value for value in taken if isinstance(value, jax.Array)]
        entry.take(arrays)
        entry.inputs = [None] * len(arrays)
        for place, value in enumerate(arrays):
            self._mark(value, entry, place, True)
        outputs = inner(*args, **kwargs)
        self.open.pop()
        leaves, treedef = jax.tree.flatten(outputs)
        entry.make(outputs, leaves)
        self._remember(entry, leaves)
        marked = [self._mark(value, entry, place, False) for place, value in enumerate(leaves)]
        return jax.tree.unflatten(treedef, marked)

    def _mark(self, value: Any, entry: LayerCall, place: int, entering: bool) -> Any:
        if not isinstance(value, jax.Array):
            return value
        mark = f"summary {len(self.marks)}"
        self.marks[mark] = entry, place, entering
        marked = checkpoint_name(value, mark)
        mask = get_mask(value)
        if mask is not None:
            set_mask(marked, mask)
        return marked

    def _remember(self, entry: LayerCall, arrays: Iterable[Any]) -> None:
        """Add the bytes of what a layer returns, to it and to the models around it."""
        if isinstance(entry.operation, Model) and entry.activations:
            return  # the layers inside have told
        known = [a for a in arrays if isinstance(a, jax.Array) and None not in _shape(a)]
        entry.activations = sum(a.size * a.dtype.itemsize for a in known)
        if all(isinstance(around.operation, Model) for around in self.open):
            for around in self.open:
                around.activations += entry.activations

    def used(self) -> int:
        """Return how many layers were called by the model itself."""
        return len({id(call.operation) for call in self.top})

    def mark_of(self, equation: Any) -> tuple[LayerCall, int, bool] | None:
        named = equation.primitive.name == "name"
        return self.marks.get(equation.params["name"]) if named else None

    # Where arrays come from.

    def connected(self, program: Any) -> Wiring:
        """Follow the arrays through the program, from mark to mark."""
        entries = [Source(entry.operation) for entry in self.arguments]
        origins = {id(v): source for v, source in zip(program.invars, entries, strict=True)}
        self._follow(program, origins)
        outputs = [origins.get(id(v)) for v in program.outvars]
        calls = [*self.arguments, *self.top]
        pending = [*outputs, *(source for call in calls for source in call.inputs)]
        while pending:  # the joints between layers, as far as they lead somewhere
            source = pending.pop()
            entry = self.steps.pop(source.operation, None) if source is not None else None
            if entry is not None:
                calls.append(entry)
                pending += entry.inputs
        return Wiring(calls, entries, outputs)

    def _follow(self, program: Any, origins: dict[int, Source]) -> None:
        for equation in program.eqns:
            found = [origins[id(v)] for v in equation.invars if id(v) in origins]
            source = found[0] if found else None  # constants have no origin
            mark = self.mark_of(equation)
            bodies = inner_programs(equation)
            if mark is not None:
                call, place, entering = mark
                if entering:
                    call.inputs[place] = source
                else:
                    source = Source(call.operation, call.index, place)
            elif len(bodies) == 1 and found:
                body = getattr(bodies[0], "jaxpr", bodies[0])
                if len(body.invars) == len(equation.invars):
                    pairs = zip(body.invars, equation.invars, strict=True)
                    inside = {id(v): origins[id(w)] for v, w in pairs if id(w) in origins}
                    self._follow(body, inside)
                    made = zip(equation.outvars, body.outvars, strict=True)
                    origins.update((id(v), inside[id(w)]) for v, w in made if id(w) in inside)
                    continue
            elif len(set(found)) > 1:
                source = self._joint(equation, list(dict.fromkeys(found)))
            if source is not None:
                origins.update((id(v), source) for v in equation.outvars)

    def _joint(self, equation: Any, found: list[Source]) -> Source:
        name = PLAIN.get(equation.primitive.name, equation.primitive.name)
        step = Step(name, "".join(part.capitalize() for part in name.split("_")))
        entry = LayerCall(step, inputs=list(found))
        entry.take([v.aval for v in equation.invars])
        made = [v.aval for v in equation.outvars]
        entry.make(made[0] if len(made) == 1 else made, made)
        self.steps[step] = entry
        return Source(step)

    # What it costs.

    def charged(self, model: Layer, program: Any) -> tuple[LayerCall, dict[int, list[LayerCall]]]:
        """Add up each operation's products in the layers that are being called."""
        total = LayerCall(model, activations=sum(call.activations for call in self.top))
        batch = next((x.aval.shape[0] for x in program.invars if x.aval.shape), 1)
        around: list[LayerCall] = []
        for equation, times in operations(program):
            mark = self.mark_of(equation)
            if mark is not None:
                call, _, entering = mark
                if entering and call not in around:
                    around.append(call)
                elif not entering and call in around:
                    del around[around.index(call) :]
            elif count := products(equation) * times:
                for call in (total, *around):
                    call.multiply_adds += count
        for call in (total, *self.calls):
            call.multiply_adds //= batch
            call.activations //= batch
        return total, Wiring(self.calls).by_operation()


def _refuse(layer: Any, *args: Any) -> None:
    raise _NotBuilt(f"layer {layer.name!r} has no weights yet")
