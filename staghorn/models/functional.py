"""Functional: a graph of layers between symbolic inputs and outputs."""

from __future__ import annotations

import copy
import functools
import inspect
from collections import Counter
from typing import Any

import jax.numpy as jnp
import numpy as np

from staghorn import ops
from staghorn.engine import edits, shapes, tree
from staghorn.engine.frame import current_frame
from staghorn.engine.graph import Graph, copy_between
from staghorn.engine.masks import get_mask, set_mask
from staghorn.engine.serialization import (
    config_value,
    deserialize_keras_object,
    deserialize_nested,
    is_builtin,
)
from staghorn.engine.symbolic import KerasTensor, OpCall, is_symbolic, node_of
from staghorn.layers.call import is_tensor, is_text
from staghorn.layers.input import Input, InputLayer
from staghorn.layers.input_spec import InputSpec, check_inputs
from staghorn.layers.layer import Layer
from staghorn.models.graph_config import graph_config, rebuild_graph
from staghorn.models.model import Model
from staghorn.training.data import to_array


class Functional(Model):
    """A model given by symbolic inputs and outputs; made with `Model(inputs, outputs)`.

    Args:
        inputs: nest of symbolic tensors: one, a list, a tuple or a dict.
        outputs: nest of symbolic tensors that depend on them.
        name: a label. Default: `functional`, `functional_1`, ...

    Raises:
        ValueError: if an output depends on an Input that is not given.

    Example:
        >>> a, b = staghorn.Input((4,), name="a"), staghorn.Input((4,), name="b")
        >>> shared = staghorn.layers.Dense(3)
        >>> model = staghorn.Model([a, b], shared(a) - shared(b))
        >>> model({"a": np.ones((2, 4)), "b": np.ones((2, 4))}).shape
        (2, 3)
    """

    _keras_path = ("keras.src.models.functional", "Functional", "Functional")
    _not_copied = Model._not_copied | {"_graph", "_loss_graph"}
    _untracked = Model._untracked | {"_inputs_struct", "_outputs_struct", "_graph", "_loss_graph"}
    _loss_graph: Graph | None = None  # with the tensors that `add_loss` got, as further outputs
    supports_masking = True
    _is_graph = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return Layer.__new__(cls)

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        trainable = kwargs.pop("trainable", None)
        if not self._initialized:
            Model.__init__(self, name=name, **kwargs)
        _check_symbolic("inputs", inputs)
        _check_symbolic("outputs", outputs)
        inputs, outputs = _with_own_inputs(inputs, outputs)
        self._inputs_struct = inputs
        self._outputs_struct = outputs
        self._graph = Graph(tree.flatten(inputs), tree.flatten(outputs))
        _check_names(self._graph)
        for operation in self._graph.operations:
            if isinstance(operation, Layer):
                self._tracker.track(operation)
        self.input_names = [_maker(t).name for t in self.inputs]
        self.output_names = output_names(outputs, [_maker(t).name for t in self.outputs])
        self._path = self.name
        self._build_shapes = tree.map_structure(lambda t: t.shape, inputs)
        self.built = True
        if trainable is not None and not trainable:
            self.trainable = False

    # Shape of the model --------------------------------------------------------------------

    @property
    def inputs(self) -> list[KerasTensor]:
        return self._graph.inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        return self._graph.outputs

    @property
    def input(self) -> Any:
        return self._inputs_struct

    @property
    def output(self) -> Any:
        return self._outputs_struct

    @property
    def input_shape(self) -> Any:
        return tree.map_structure(lambda t: t.shape, self._inputs_struct)

    @property
    def output_shape(self) -> Any:
        return tree.map_structure(lambda t: t.shape, self._outputs_struct)

    @property
    def operations(self) -> list[Any]:
        """Layers and ops, in the order of files."""
        return list(self._graph.operations)

    @property
    def layers(self) -> list[Layer]:
        return [op for op in self._graph.operations if isinstance(op, Layer)]

    @property
    def input_spec(self) -> Any:
        specs = [
            InputSpec(
                shape=(None, *t.shape[1:]), allow_last_axis_squeeze=True, name=t.name,
                optional=getattr(_maker(t), "optional", False),
            )
            for t in self.inputs
        ]
        for spec, key in zip(specs, _flat_keys(self._inputs_struct) or (), strict=False):
            spec.name = key
        return specs

    def _check_inputs(self, inputs: Any) -> None:
        if self._host_part is None or self._host_part.find(inputs) is None:
            check_inputs(self, self.bind_inputs(inputs))

    # Calling -------------------------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        del training  # travels in the frame
        frame = current_frame()
        told = None if frame is None or frame.training is None else _telling(frame.training)
        count = len(self.outputs)
        encoded = self._encoded_input(inputs)
        if encoded is not None:
            flat = self._host_part.run(encoded, told)  # type: ignore[union-attr]
            self.add_loss(flat[count:])
            return self._packed(flat[:count])
        masks = tree.flatten(mask) if mask is not None else [None] * len(self.inputs)
        values = [
            fit_input(value, ref, its_mask)
            for value, ref, its_mask in zip(
                self.bind_inputs(inputs), self.inputs, masks, strict=True
            )
        ]
        flat = (self._loss_graph or self._graph).run(values, apply=told)
        self.add_loss(flat[count:])
        return self._packed(flat[:count])

    def _add_symbolic_loss(self, value: KerasTensor) -> None:
        self._loss_graph = Graph(self.inputs, [*(self._loss_graph or self._graph).outputs, value])
        edits.note()
        for operation in self._loss_graph.operations:
            if isinstance(operation, Layer):
                self._tracker.track(operation)

    def _packed(self, flat: list[Any]) -> Any:
        """Put results into the form of the outputs; `outputs=[out]` gives one array (as Keras)."""
        struct = self._outputs_struct
        if isinstance(struct, (list, tuple)) and len(struct) == 1 and is_symbolic(struct[0]):
            return flat[0]
        return tree.pack_sequence_as(struct, flat)

    def compute_output_spec(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        del training, mask
        values = self._arrange(inputs)
        same = all(
            v.shape == t.shape and v.dtype == t.dtype
            for v, t in zip(values, self.inputs, strict=True)
        )
        results = self.outputs if same else self._graph.run(values, apply=_spec_of)
        return self._packed([KerasTensor(t.shape, t.dtype) for t in results])

    def compute_output_shape(self, input_shape: Any) -> Any:
        def is_shape(s: Any) -> bool:
            return isinstance(s, (list, tuple)) and all(d is None or isinstance(d, int) for d in s)

        flat = [input_shape] if is_shape(input_shape) else list(
            input_shape.values() if isinstance(input_shape, dict) else input_shape
        )
        tensors = [
            KerasTensor(shape, t.dtype) for shape, t in zip(flat, self.inputs, strict=True)
        ]
        results = self._graph.run(tensors, apply=_spec_of)
        return tree.pack_sequence_as(self._outputs_struct, [t.shape for t in results])

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The layers inside have attached their masks already."""
        del inputs, previous_mask

    def _arrange(self, inputs: Any) -> list[Any]:
        """Bind what was passed to the model's inputs, by name where there are names."""
        flat = self.bind_inputs(inputs)
        return [fit_input(value, ref) for value, ref in zip(flat, self.inputs, strict=True)]

    def bind_inputs(self, inputs: Any) -> list[Any]:
        """Return the values for the inputs, flat; dictionaries are bound by name.

        Args:
            inputs: an array, or a nest of arrays; a dict may hold more keys than needed.
        """
        names = self.input_names
        struct = self._inputs_struct
        keys = _flat_keys(struct)
        if isinstance(inputs, dict):
            if isinstance(struct, dict) and all(key in inputs for key in struct):
                return tree.flatten({key: inputs[key] for key in struct})
            if all(name in inputs for name in names):
                return [inputs[name] for name in names]
            from staghorn.engine.registry import suggestion

            expected = keys or names
            missing = [name for name in expected if name not in inputs]
            raise ValueError(
                f"Model '{self.name}': no data for input {missing}."
                f"{suggestion(missing[0], map(str, inputs))} Inputs: {expected}; "
                f"the dictionary has the keys {list(inputs)}."
            )
        flat = tree.flatten(inputs)
        if keys is not None and isinstance(inputs, (list, tuple)) and len(flat) == len(keys):
            by_key = dict(zip(struct, flat, strict=True))  # a list follows the dict's own order
            return [by_key[key] for key in keys]
        if len(flat) != len(names):
            raise ValueError(
                f"Model '{self.name}' has {len(names)} input(s) {names}, but {len(flat)} were "
                f"given. Pass them as a list in this order, or as a dict by name."
            )
        return flat

    # Copies and config ---------------------------------------------------------------------

    def __deepcopy__(self, memo: dict) -> Functional:
        graph = self._graph
        operations = {id(op): copy.deepcopy(op, memo) for op in graph.operations}
        inputs = [operations[id(_maker(t))].output for t in graph.inputs]
        outputs = copy_between(
            graph.inputs, graph.outputs, inputs, lambda operation: operations[id(operation)]
        )
        ends = zip([*graph.inputs, *graph.outputs], [*inputs, *outputs], strict=True)
        memo.update((id(old), new) for old, new in ends)
        twin = super().__deepcopy__(memo)
        twin._graph = Graph(inputs, outputs)
        return twin

    def get_config(self) -> dict[str, Any]:
        if not takes_graph(type(self)):
            return super().get_config()
        own = constructor_arguments(self)
        return graph_config(self) | {key: config_value(value) for key, value in own.items()}

    def get_build_config(self) -> dict[str, Any] | None:
        return {"input_shape": None}


@functools.lru_cache(maxsize=1024)
def takes_graph(cls: type) -> bool:
    """Say whether a class's constructor takes `inputs` and `outputs`."""
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    kinds = {p.kind for p in parameters.values()}
    named = "inputs" in parameters and "outputs" in parameters
    return named or inspect.Parameter.VAR_POSITIONAL in kinds


def constructor_arguments(model: Functional) -> dict[str, Any]:
    """Return what a user's constructor takes beside the graph."""
    if is_builtin(type(model)) or type(model).__init__ is Model.__init__:
        return {}
    args, kwargs = model._init_arguments
    bound = inspect.signature(type(model).__init__).bind(model, *args, **kwargs)
    own: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            own.update(value)
        elif kind is not inspect.Parameter.VAR_POSITIONAL:
            own[name] = value
    return {k: v for k, v in own.items() if k not in ("inputs", "outputs", "name", "trainable")}


def _check_symbolic(what: str, nest: Any) -> None:
    wrong = [t for t in tree.flatten(nest) if not is_symbolic(t)]
    if wrong or not tree.flatten(nest):
        got = f"{wrong[0]!r} ({type(wrong[0]).__name__})" if wrong else "nothing"
        hint = ""
        if wrong and isinstance(wrong[0], Layer):
            hint = " That is a layer: pass what it returns when it is called, or its .output."
        raise ValueError(
            f"Model: {what} must be symbolic tensors, made with staghorn.Input and layers; "
            f"got {got}.{hint}"
        )


def _with_own_inputs(inputs: Any, outputs: Any) -> tuple[Any, Any]:
    """Give a model from intermediate tensors Inputs and calls of its own; layers are shared."""
    flat_in, flat_out = tree.flatten(inputs), tree.flatten(outputs)

    def is_input(t: KerasTensor) -> bool:
        node = node_of(t)
        return node is not None and isinstance(node.operation, InputLayer)

    if all(is_input(t) for t in flat_in):
        return inputs, outputs
    new_in = [
        t if is_input(t) else Input(batch_shape=t.shape, dtype=t.dtype, name=None) for t in flat_in
    ]
    new_out = copy_between(flat_in, flat_out, new_in)
    return tree.pack_sequence_as(inputs, new_in), tree.pack_sequence_as(outputs, new_out)


def _check_names(graph: Graph) -> None:
    counts = Counter(operation.name for operation in graph.operations)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(
            f"Model: the name(s) {twice} are used by several layers. Names must differ inside a "
            "model; give name= to each of them, or leave it out."
        )


def _flat_keys(struct: Any) -> list[str] | None:
    """Return the keys of a dictionary of tensors, in the order of its leaves."""
    if isinstance(struct, dict) and all(is_symbolic(value) for value in struct.values()):
        return sorted(struct)
    return None


def _maker(tensor: KerasTensor) -> Any:
    node = node_of(tensor)
    assert node is not None  # the ends of a Graph always have a maker
    return node.operation


def output_names(struct: Any, makers: list[str]) -> list[str]:
    """Return one name per output: the dict's keys, else the names of the layers that make them.

    A layer that makes two outputs gives `name` and `name_1`: no two outputs share a name.
    """
    keys = _flat_keys(struct)
    if keys is not None:
        return keys
    seen: Counter[str] = Counter()
    names = []
    for name in makers:
        names.append(f"{name}_{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


def _spec_of(operation: Any, args: tuple, kwargs: dict) -> Any:
    """What a call would return, without recording it."""
    if isinstance(operation, OpCall):
        return shapes.infer(operation.function, args, kwargs, f"ops.{operation.name}")
    return operation.compute_output_spec(*args, **kwargs)


def _telling(training: bool) -> Any:
    """Call layers so that the running flag replaces one recorded in the graph, as in Keras.

    Keras's files hold `training: false` for every Dropout, which must not stop it in training.
    """

    def apply(operation: Any, args: tuple, kwargs: dict) -> Any:
        if "training" in kwargs and isinstance(operation, Layer):
            kwargs = {**kwargs, "training": training}
        return operation(*args, **kwargs)

    return apply


def fit_input(value: Any, ref: KerasTensor, mask: Any = None) -> Any:
    """Cast an input to the type of its Input; add or drop a last axis of size 1.

    Args:
        value: array or symbolic tensor.
        ref: the model's own symbolic input.
        mask: to attach. Default: the one that `value` has.
    """
    if not is_tensor(value):
        return value
    fitted = value
    rank = len(ref.shape)
    if isinstance(value, np.ndarray) and ref.dtype == "string":
        if value.ndim == rank - 1 and ref.shape[-1] == 1:
            return value[..., None]
        return value[..., 0] if value.ndim == rank + 1 and value.shape[-1] == 1 else value
    if isinstance(value, np.ndarray) and is_text(value):
        to_array(value, f"The data of input '{_maker(ref).name}'")  # raises: these are no numbers
    if len(value.shape) == rank - 1 and ref.shape[-1] == 1:
        fitted = ops.expand_dims(value, -1)
    elif len(value.shape) == rank + 1 and value.shape[-1] == 1:
        fitted = ops.squeeze(value, -1)
    if ref.dtype not in ("string", fitted.dtype):
        fitted = ops.cast(fitted, ref.dtype)
    known = get_mask(value)
    mask = known if mask is None else mask
    if mask is not None and not (fitted is value and mask is known):
        if fitted is value:  # the caller's array must not keep the mask
            fitted = jnp.array(value, copy=True)
        set_mask(fitted, mask)
    return fitted


_GRAPH_KEYS = ("name", "trainable", "layers", "input_layers", "output_layers", "dtype")


def is_graph_config(config: dict[str, Any]) -> bool:
    """Say whether a config describes a graph of layers."""
    return all(key in config for key in ("name", "layers", "input_layers", "output_layers"))


def functional_from_config(cls: type, config: dict[str, Any]) -> Any:
    """Rebuild a Functional model from its graph config."""
    inputs, outputs = rebuild_graph(config, deserialize_keras_object)
    maker = Functional if cls is Model else cls
    own = {k: deserialize_nested(v) for k, v in config.items() if k not in _GRAPH_KEYS}
    parameters = inspect.signature(maker.__init__).parameters  # type: ignore[misc]
    if "name" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        own["name"] = config.get("name")
    model = maker(inputs=inputs, outputs=outputs, **own)
    if config.get("trainable") is False:
        model.trainable = False
    return model
