"""`model_to_code`: a model's architecture as the Python text that a person would write.

Constructors are tried out while the text is written, in the order of the text and with names that
count from zero: an argument is left out only where the object equals the original without it.
"""

from __future__ import annotations

import inspect
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, zip_longest
from typing import Any

from staghorn import config as settings
from staghorn import dtype_policies, ops
from staghorn.engine import naming, tree
from staghorn.engine import serialization as configs
from staghorn.engine.graph import Graph
from staghorn.engine.registry import suggestion
from staghorn.engine.symbolic import KerasTensor, Node, OpCall
from staghorn.engine.variable import Variable
from staghorn.layers.call import placeholders, signature_of
from staghorn.layers.input import Input, InputLayer
from staghorn.layers.layer import Layer
from staghorn.models.functional import Functional
from staghorn.models.model import Model
from staghorn.models.sequential import Sequential
from staghorn.visualization.constructor_calls import (
    Constructors,
    count_names_from,
    names_kept,
    refusal,
)
from staghorn.visualization.source_text import (
    NAME_WIDTH,
    RESERVED,
    Bracket,
    Expression,
    Scope,
    call,
    flat,
    identifier,
    literal,
    option,
    scalar,
)

STYLES = ("sequential", "functional", "subclass")
PACKAGES = ("staghorn", "keras")
REASONS = 4  # named of those that keep a model from being a Sequential
OPERATORS = {
    "add": " + ", "subtract": " - ", "multiply": " * ", "divide": " / ", "floor_divide": " // ",
    "mod": " % ", "matmul": " @ ", "power": "**", "less": " < ", "less_equal": " <= ",
    "greater": " > ", "greater_equal": " >= ", "not_equal": " != ",
}  # fmt: skip


def model_to_code(model: Any, style: str = "functional", package: str = "staghorn") -> str:
    """Write Python text that builds a model's architecture again, in the style of your choice.

    The weights have the order of the original, so `model.set_weights(original.get_weights())`
    works in what the text makes. In a new Python session the layers get their old names too.

    Args:
        model: a built model; the `call` of a subclassed one is followed once, computing nothing.
        style: "sequential", "functional" or "subclass". Default: "functional".
        package: what the text imports: "staghorn" or "keras". Default: "staghorn".

    Raises:
        ValueError: if the style cannot express the model, saying which layer is in the way; if a
            subclassed model is not built or cannot be followed.

    Example:
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2, name="y")])
        >>> print(staghorn.utils.model_to_code(model, style="functional"))
        import staghorn
        from staghorn import layers
        <BLANKLINE>
        inputs = staghorn.Input(shape=(4,))
        outputs = layers.Dense(2, name="y")(inputs)
        model = staghorn.Model(inputs, outputs)
        <BLANKLINE>

    Notes: Keras has no such function. Not written: compile arguments, weights, a subclassed
    model's `if training:` (followed as in inference) and its own losses and metrics; where its
    `call` uses layers in another order than its constructor, weights go by the names of layers.
    Names that counted on from earlier models are written out; `clear_session()` before building
    avoids that.
    """
    for what, given, known in (("style", style, STYLES), ("package", package, PACKAGES)):
        if given not in known:
            hint = suggestion(str(given), known)
            raise ValueError(
                f"model_to_code: unknown {what} {given!r}.{hint} Known: {', '.join(known)}."
            )
    if not isinstance(model, Model):
        raise ValueError(
            f"model_to_code: model must be a model, got {model!r} ({type(model).__name__})."
        )
    with _rehearsal(model), _as_graph(model, style) as graph:
        return _Writer(style, package, model).script(graph)


@contextmanager
def _rehearsal(model: Model) -> Iterator[None]:
    """Names count from zero, the model's types are the default; afterwards all is as before."""
    policy, seeds = dtype_policies._global.policy, random.getstate()
    with names_kept(), configs.custom_object_scope(_users_own(model)):
        naming.reset()
        dtype_policies.set_dtype_policy(model.dtype_policy)
        try:
            yield
        finally:
            dtype_policies._global.policy = policy
            random.setstate(seeds)


def _users_own(model: Model) -> dict[str, Any]:
    """Return the classes and functions of the user's that a model holds, by name."""
    found: dict[str, Any] = {}
    for layer in model._flatten_layers():
        for value in (layer, *vars(layer).values()):
            thing: Any = type(value) if isinstance(value, configs.Configurable) else value
            named = inspect.isfunction(thing) or inspect.isclass(thing)
            if named and not configs.is_builtin(thing):
                found[configs.get_registered_name(thing)] = found[thing.__name__] = thing
    return found


@contextmanager
def _as_graph(model: Model, style: str) -> Iterator[Any]:
    """Give the model if its calls are known, or one made by following its `call`."""
    known = isinstance(model, Sequential) and (style == "sequential" or model.built)
    if known or isinstance(model, Functional):
        yield model
        return
    if not model.built or model._build_shapes is None:
        raise refusal(
            f"model '{model.name}' is not built, so its shapes are unknown. Call "
            "model.build(input_shape), or model(x[:1]) on your data, first."
        )
    own = [v.name for v in (*model._trainable_variables, *model._non_trainable_variables)]
    if own:
        raise refusal(
            f"model '{model.name}' has weights of its own ({', '.join(own)}), which only its class "
            "can make. Move them into a Layer."
        )
    calls = [(layer, len(layer._inbound_nodes)) for layer in model._flatten_layers()]
    try:
        with names_kept():
            graph = _followed(model)
        yield graph
    finally:
        for layer, count in calls:
            del layer._inbound_nodes[count:]


def _followed(model: Model) -> Functional:
    """Run a subclassed model's `call` on symbolic tensors."""
    shapes, error = model._build_shapes, None
    several = isinstance(shapes, dict) and all(key.endswith("_shape") for key in shapes)
    if several:
        shapes = {key.removesuffix("_shape"): shape for key, shape in shapes.items()}
    # The type of the input is not recorded: token numbers are tried where floats fail.
    for dtype in (model.input_dtype, "int32"):
        specs = placeholders(shapes, dtype)
        inputs = tree.map_structure(lambda t: Input(batch_shape=t.shape, dtype=t.dtype), specs)
        try:
            outputs = model.call(**inputs) if several else model.call(inputs)
            return Functional(inputs, outputs, name=model.name)
        except Exception as caught:  # the user's code, on placeholders: anything may be raised
            error = error or caught
    raise refusal(
        f"'{model.name}' ({type(model).__name__}) is a subclassed model, and its call cannot be "
        f"followed on symbolic tensors, which stand for data without values:\n{error}\n"
        "Use layers and staghorn.ops in call, with no `if` on values."
    ) from error


def _auto_number(operation: Any) -> tuple[str, int] | None:
    """Return (stem, number) of a name that counts: ("dense", 1) for "dense_1"."""
    is_op = isinstance(operation, OpCall)
    stem = operation.function.__name__ if is_op else naming.to_snake_case(type(operation).__name__)
    found = re.fullmatch(rf"{re.escape(stem)}(?:_(\d+))?", operation.name)
    return None if found is None else (stem, int(found[1] or 0))


def _ordered(graph: Graph) -> list[Node]:
    """Return the calls branch by branch, and as far as possible in the order that names tell."""
    steps = {id(node) for node in graph.steps}
    waiting = [node for node in graph._walk()[0] if id(node) in steps]
    numbers = {id(node.operation): _auto_number(node.operation) for node in waiting}
    later = {number for number in numbers.values() if number is not None}
    calls: dict[int, list[Node]] = {}  # of one operation, in the order in which they were made
    for node in sorted(waiting, key=lambda n: n.operation._inbound_nodes.index(n)):
        calls.setdefault(id(node.operation), []).append(node)
    known = {id(tensor) for tensor in graph.inputs}
    result: list[Node] = []

    def is_early(node: Node) -> bool:
        stem, number = numbers[id(node.operation)] or ("", 0)
        return any(other == stem and n < number for other, n in later)

    def is_ready(node: Node) -> bool:
        taken = node.input_tensors
        return calls[id(node.operation)][0] is node and all(id(t) in known for t in taken)

    while waiting:
        ready = filter(is_ready, waiting)
        first = next(ready)
        chosen = next((node for node in chain((first,), ready) if not is_early(node)), first)
        waiting.remove(chosen)
        calls[id(chosen.operation)].pop(0)
        later.discard(numbers[id(chosen.operation)])
        known.update(id(tensor) for tensor in chosen.outputs)
        result.append(chosen)
    return result


def _options(node: Node) -> dict[str, Any]:
    """Return the keyword arguments of a call without those that say the default."""
    is_op = isinstance(node.operation, OpCall)
    function = node.operation.function if is_op else type(node.operation).call
    signature = inspect.signature(function) if is_op else signature_of(function).signature
    parameters = signature.parameters

    def is_said(name: str, value: Any) -> bool:
        default = parameters[name].default if name in parameters else inspect.Parameter.empty
        same = isinstance(value, (bool, int, float, str)) and value == default
        return not same and value is not default and (is_op or value is not None)

    return {name: value for name, value in node.kwargs.items() if is_said(name, value)}


def _why_no_stack(model: Any) -> Iterator[str]:
    """Say what keeps a model from being a stack of layers."""
    ends = (("input", model.inputs, model.input), ("output", model.outputs, model.output))
    for what, tensors, nest in ends:
        if len(tensors) != 1:
            makers = ", ".join(f"'{t._keras_history.operation.name}'" for t in tensors)
            yield f"the model has {len(tensors)} {what}s ({makers})"
        elif isinstance(nest, dict):
            yield f"the model's {what} is a dictionary"
    for node in _ordered(model._graph):
        what = f"layer '{node.operation.name}'"
        if isinstance(node.operation, OpCall):
            yield f"'{node.operation.name}' is an operation on tensors, not a layer"
        elif len(node.input_tensors) != 1:
            yield f"{what} takes {len(node.input_tensors)} inputs"
        elif len(node.outputs) != 1:
            yield f"{what} makes {len(node.outputs)} outputs"
        elif len(node.args) + len(_options(node)) != 1 or node.args != tuple(node.input_tensors):
            yield f"{what} is called with more than a tensor"
    uses = Counter(id(t) for node in model._graph.steps for t in node.input_tensors)
    uses.update(map(id, model.outputs))
    for node in model._graph.nodes:
        places = max(uses[id(t)] for t in node.outputs)
        if places > 1:
            yield f"the output of '{node.operation.name}' goes to {places} places"


# Code -----------------------------------------------------------------------------------------


def _alone(nest: Any) -> Any:
    """Return the tensor in a list of one, as Functional takes and returns it."""
    return nest[0] if isinstance(nest, (list, tuple)) and len(nest) == 1 else nest


class _Writer(Constructors):
    """One text: what it imports, the functions and classes it defines, and its last lines."""

    def __init__(self, style: str, package: str, model: Model) -> None:
        super().__init__(package)
        self.style, self.model = style, model
        self.definitions: list[str] = []
        self.defined = Scope()
        self.homes: dict[int, str] = {}

    def script(self, graph: Any) -> str:
        """Return the text; `graph` is the model, or what its `call` does."""
        top = Scope()
        if self.style == "subclass":
            top.add("model", call(self.define_class(graph, self.model)))
            made = literal(
                _alone(graph.input), lambda t: self.input(t._keras_history.operation, False)
            )
            top.statements += [("# The first call makes the weights.",), call("model", made)]
        elif self.style == "sequential":
            top.add("model", self.stack(graph, top))
        else:
            top.add("model", self.graph(graph, top))
        self.freeze("model", self.model, top)
        code = "\n\n\n".join([*self.definitions, top.text()])
        self.imports[self.package] = set(re.findall(r"(?<![\w.])(layers|ops)\.[A-Za-z]", code))
        head = [f"import {self.package}"]
        if "np.array(" in code:
            head = sorted([*head, "import numpy as np"])
        for module, own in sorted(self.imports.items()):
            head += [f"from {module} import {', '.join(sorted(own))}"] if own else []
        for name, module in sorted(self.absent.items()):
            head.append(f"# {name} is your own, from {module}: define or import it here.")
        chosen = (
            ("config.set_floatx", settings.floatx(), "float32"),
            ("config.set_image_data_format", settings.image_data_format(), "channels_last"),
            ("mixed_precision.set_dtype_policy", self.model.dtype_policy.name, settings.floatx()),
        )
        set_up = [f"{self.package}.{f}({scalar(v)})" for f, v, usual in chosen if v != usual]
        gap = "\n\n\n" if self.definitions else "\n\n"
        return "\n".join([*head, *([""] if set_up else []), *set_up]) + gap + code + "\n"

    # Models

    def graph(self, model: Any, scope: Scope) -> Expression:
        """Write the calls of a graph; return the call of Model."""
        variables = self.models_inside(model.layers, model, scope)
        for place, tensor in enumerate(model.inputs, 1):
            layer = tensor._keras_history.operation
            usual = "inputs" if len(model.inputs) == 1 else f"input_{place}"
            name = identifier(layer.name)
            name = usual if _auto_number(layer) or name in RESERVED else name
            scope.tensors[id(tensor)] = name if name == "inputs" else scope.unique(name)
            scope.add(scope.tensors[id(tensor)], self.input(layer))
        counts = Counter(id(node.operation) for node in model._graph.steps)
        unmade = {n.name: n for n in model.layers if id(n) in counts and id(n) not in variables}

        def callee(operation: Any) -> Expression:
            if isinstance(operation, OpCall):
                with names_kept():
                    next_name = naming.unique_name(operation.function.__name__)
                if next_name in unmade:  # a layer was made before, and is called after
                    layer = unmade.pop(next_name)
                    variables[id(layer)] = (self.hold(layer, self.layer(layer, model), scope),)
                naming.unique_name(operation.function.__name__)
                return ()
            if id(operation) not in variables:
                del unmade[operation.name]
                made = self.layer(operation, model)
                if counts[id(operation)] == 1:
                    return made
                variables[id(operation)] = (self.hold(operation, made, scope),)
            return variables[id(operation)]

        outputs = self.calls(model, scope, callee)
        inputs = literal(model.input, lambda t: scope.tensors[id(t)])
        function = f"{self.package}.Model"
        return call(function, inputs, outputs, *self.name_of(model, "Functional"))

    def stack(self, model: Any, scope: Scope) -> Expression:
        """Write the layers that need a variable; return the call of Sequential."""
        if isinstance(model, Sequential):
            layers = list(model._stack)
        else:
            reasons = list(_why_no_stack(model))
            if reasons:
                more = f"; and {len(reasons) - REASONS} more" if len(reasons) > REASONS else ""
                raise refusal(
                    f"sequential cannot express model '{self.model.name}': "
                    f"{'; '.join(reasons[:REASONS])}{more}. "
                    'Write style="functional" or style="subclass".'
                )
            layers = [model.inputs[0]._keras_history.operation]
            layers += [node.operation for node in _ordered(model._graph)]
        counts = Counter(map(id, layers))
        items = self.models_inside(layers, model, scope)
        for layer in layers:
            if id(layer) not in items:
                made = self.layer(layer, model)
                held = counts[id(layer)] > 1
                items[id(layer)] = (self.hold(layer, made, scope),) if held else made
        stack = tuple(items[id(layer)] for layer in layers)
        name = self.name_of(model, "Sequential")
        if any(isinstance(layer, InputLayer) for layer in layers):
            naming.auto_name("Functional")  # Sequential makes one inside
        several = Bracket("[", stack, "]", len(stack) > 1)
        return call(f"{self.package}.Sequential", (several,), *name)

    def define_class(self, graph: Any, model: Model) -> str:
        """Write a class for a model and return its name."""
        is_nested, is_plain = id(model) in self.homes, configs.is_builtin(type(model))
        words = identifier(model.name).split("_")
        given = "".join(w[:1].upper() + w[1:] for w in words) if is_plain else type(model).__name__
        is_auto = is_plain and _auto_number(model) is not None
        name = self.defined.unique("MyModel" if is_auto else given)
        start, run = Scope(), Scope()
        name_item = self.name_of(model, name) if is_nested or not is_auto else ()
        start.statements.append(call("super().__init__", *name_item))
        attributes = Scope(set(dir(graph)))
        held: dict[int, Expression] = {}
        used = {id(node.operation) for node in graph._graph.steps}
        for layer in (layer for layer in model.layers if id(layer) in used):
            made = self.layer(layer, model)
            attribute = f"self.{attributes.unique(identifier(layer.name))}"
            held[id(layer)] = (attribute,)
            start.add(attribute, made)
            self.freeze(attribute, layer, start, model.trainable)
        nest = _alone(graph.input)
        if isinstance(nest, (list, tuple)) and all(isinstance(t, KerasTensor) for t in nest):
            names = [run.unique(identifier(t._keras_history.operation.name)) for t in nest]
            self.unpack(nest, names, ("inputs",), run)
        else:
            self.take_apart(nest, "inputs", run)
        outputs = self.calls(graph, run, lambda operation: held.get(id(operation), ()))
        if _alone(graph.output) is not graph.output:
            outputs = literal(_alone(graph.output), lambda t: run.tensors[id(t)])
        if outputs == ("outputs",) and run.statements:
            outputs = run.statements.pop()[1:]
        run.statements.append(("return ", *outputs))
        self.definitions.append(
            f"class {name}({self.package}.Model):\n    def __init__(self):\n{start.text(8)}\n\n"
            f"    def call(self, inputs):\n{run.text(8)}"
        )
        return name

    def layer(self, layer: Layer, model: Any) -> Expression:
        """Return what makes a layer of a model."""
        home = self.homes.setdefault(id(layer), model.name)
        if home != model.name:
            raise refusal(
                f"layer '{layer.name}' belongs to two models, '{home}' and '{model.name}', which "
                "a text of one function per model cannot say."
            )
        if isinstance(layer, InputLayer):
            return self.input(layer)
        if isinstance(layer, (Functional, Sequential)):
            if self.style == "subclass":
                return call(self.define_class(layer, layer))
            name = self.defined.unique(f"make_{identifier(layer.name)}")
            scope = Scope()
            made = (self.stack if isinstance(layer, Sequential) else self.graph)(layer, scope)
            scope.statements.append(("return ", *made))
            self.definitions.append(f"def {name}():\n{scope.text(4)}")
            return call(name)
        config = layer.get_config()
        if not model.trainable and "trainable" in config:
            config = {**config, "trainable": True}  # the model is frozen as a whole
        return self.construct(type(layer), config, shapes=layer.get_build_config())[0]

    def models_inside(self, layers: Any, model: Any, scope: Scope) -> dict[int, Expression]:
        """Make the models among some layers first, as one does; return their variables."""
        inside = {id(layer): layer for layer in layers if isinstance(layer, Model)}
        return {
            key: (self.hold(layer, self.layer(layer, model), scope),)
            for key, layer in inside.items()
        }

    def hold(self, layer: Layer, made: Expression, scope: Scope) -> str:
        """Give a layer a variable of its own."""
        name = scope.unique(identifier(layer.name))
        scope.add(name, made)
        self.freeze(name, layer, scope)
        return name

    def freeze(self, name: str, model: Any, scope: Scope, said: bool = True) -> None:
        """Say that a model as a whole is not trained, and which of its layers are."""
        if isinstance(model, Model) and not model.trainable:
            if said:
                scope.add(f"{name}.trainable", ("False",))
            for layer in model.layers:
                if layer.trainable and layer.weights:
                    scope.add(f"{name}.get_layer({scalar(layer.name)}).trainable", ("True",))

    def name_of(self, model: Any, class_name: str) -> tuple[Expression, ...]:
        """Return `name="..."` unless the name would come by itself."""
        before = dict(naming._counts)
        is_other = type(model).__name__ != class_name and id(model) not in self.homes
        same = naming.auto_name(class_name) == model.name
        if same or (is_other and _auto_number(model) is not None):
            return ()
        count_names_from(before)
        return (option("name", scalar(model.name)),)

    def input(self, layer: Any, with_name: bool = True) -> Expression:
        batch, *shape = layer.batch_shape
        chosen = (
            ("shape", tuple(shape), None),
            ("batch_size", batch, None),
            ("dtype", layer.dtype, settings.floatx()),
            ("optional", layer.optional, False),
        )
        items = [option(name, literal(value)) for name, value, usual in chosen if value != usual]
        name = self.name_of(layer, "InputLayer") if with_name else ()
        return call(f"{self.package}.Input", *items, *name)

    # Calls

    def calls(self, model: Any, scope: Scope, callee: Callable[[Any], Expression]) -> Expression:
        """Write one statement per call; return the outputs."""
        nodes = _ordered(model._graph)
        uses = Counter(id(t) for node in nodes for t in node.input_tensors)
        ends = {id(t) for t in model.outputs}
        for node, following in zip_longest(nodes, nodes[1:]):
            function = callee(node.operation)
            if isinstance(node.operation, OpCall):
                value = self.op(node, scope)
            else:
                value = (*function, *call("", *self.arguments(node, scope)))
            taken = Counter(map(id, following.input_tensors if following else ()))
            names: list[str] = []
            for t in map(id, node.outputs):
                if t in ends and len(ends) == 1:
                    names.append("outputs")
                elif t not in ends and not uses[t]:
                    names.append("_")
                elif t not in ends and uses[t] == taken[t] and "x" not in names:
                    names.append("x")
                else:
                    names.append(scope.unique(self.result(node, scope)))
            self.unpack(node.output_structure, names, value, scope)
        return literal(model.output, lambda t: scope.tensors[id(t)])

    def unpack(self, nest: Any, names: list[str], value: Expression, scope: Scope) -> None:
        """Assign what a call returns to variables, and remember them."""
        parts = nest if isinstance(nest, (list, tuple)) else [nest]
        if all(isinstance(t, KerasTensor) for t in parts):
            scope.tensors.update(zip(map(id, parts), names, strict=True))
            targets = ", ".join(names)
            scope.add(f"({targets},)" if parts is nest and len(names) == 1 else targets, value)
        else:
            name = next((name for name in names if name != "_"), "_")
            scope.add(name, value)
            self.take_apart(nest, name, scope)

    def take_apart(self, nest: Any, path: str, scope: Scope) -> None:
        if isinstance(nest, KerasTensor):
            scope.tensors[id(nest)] = path
        elif isinstance(nest, (dict, list, tuple)):
            for key, item in nest.items() if isinstance(nest, dict) else enumerate(nest):
                self.take_apart(item, f"{path}[{scalar(key)}]", scope)

    def result(self, node: Node, scope: Scope) -> str:
        """Name what a call returns: after the layer, and after what a shared layer is given."""
        name = identifier(node.operation.name)
        given = scope.tensors[id(node.input_tensors[0])]
        is_shared = len(node.operation._inbound_nodes) > 1
        telling = given.isidentifier() and given not in RESERVED
        return f"{name}_{given}"[:NAME_WIDTH].rstrip("_") if is_shared and telling else name

    def arguments(self, node: Node, scope: Scope) -> list[Expression]:
        items = [self.argument(value, scope) for value in node.args]
        options = _options(node).items()
        return [*items, *(option(name, self.argument(value, scope)) for name, value in options)]

    def argument(self, value: Any, scope: Scope) -> Expression:
        def leaf(item: Any) -> Any:
            if isinstance(item, Variable):
                raise refusal(
                    f"the graph holds the Variable '{item.path}', which belongs to no layer. Put "
                    "it into a Layer with add_weight."
                )
            is_tensor = isinstance(item, KerasTensor)
            return (
                scope.tensors[id(item)] if is_tensor else self.value(configs.config_value(item))[0]
            )

        return literal(value, leaf)

    def op(self, node: Node, scope: Scope) -> Expression:
        """Return an operation as an operator where Python has one, else from `ops`."""
        name, args = node.operation.function.__name__, node.args
        if name not in ops.__all__:
            raise refusal(f"'{name}' is not an operation of staghorn.ops. Put it into a Layer.")
        plain = [isinstance(v, KerasTensor) or (type(v) in (int, float) and v >= 0) for v in args]
        if not node.kwargs and plain[:1] == [True]:
            first = flat(self.argument(args[0], scope))
            if name in OPERATORS and plain == [True, True]:
                return (f"{first}{OPERATORS[name]}{flat(self.argument(args[1], scope))}",)
            if name == "negative":
                return (f"-{first}",)
            if name == "get_item":
                return (f"{first}[{self.index(args[1], scope)}]",)
        return call(f"ops.{name}", *self.arguments(node, scope))

    def index(self, key: Any, scope: Scope) -> str:
        if isinstance(key, tuple):
            return ", ".join(self.index(k, scope) for k in key) + "," * (len(key) == 1)
        if isinstance(key, slice):
            ends = [key.start, key.stop, *([] if key.step is None else [key.step])]
            return ":".join("" if e is None else self.index(e, scope) for e in ends)
        return "..." if key is Ellipsis else flat(self.argument(key, scope))
