"""Sequential: a stack of layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from staghorn import dtype_policies
from staghorn.engine import naming
from staghorn.engine.config_check import building
from staghorn.engine.graph import Graph
from staghorn.engine.serialization import (
    custom_object_scope,
    deserialize_as,
    serialize_keras_object,
)
from staghorn.engine.symbolic import KerasTensor, connect, is_symbolic
from staghorn.layers.input import Input, InputLayer
from staghorn.layers.layer import Layer
from staghorn.layers.merging import Merge
from staghorn.models.functional import fit_input
from staghorn.models.model import Model
from staghorn.training.data import to_arrays
from staghorn.training.validation import sole_input

_FUNCTIONAL_INSTEAD = """\
Sequential '{name}': {problem} A stack has one input and one output per layer.
Write it with the Functional API:
{spelling}"""


_SEVERAL_INPUTS = """\
    a, b = Input(...), Input(...)
    x = Concatenate()([a, b])
    model = Model(inputs=[a, b], outputs=x)"""

_SEVERAL_OUTPUTS = """\
    x = Input(...)
    a, b = layer(x)
    model = Model(inputs=x, outputs=[a, b])"""


class Sequential(Model):
    """A stack of layers, each with one input and one output.

    Without an input shape, layers are built at the first call.

    Args:
        layers: list of layers; the first may be an Input. Default: None.
        trainable: Default: True.
        name: a label. Default: `sequential`, ...

    Raises:
        ValueError: for what a stack cannot express, naming the Functional spelling.

    Example:
        >>> model = staghorn.Sequential([
        ...     staghorn.layers.Dense(8, activation="relu", input_shape=(4,)),
        ...     staghorn.layers.Dense(1),
        ... ])
        >>> model.count_params()
        49
    """

    _keras_path = ("keras", "Sequential", None)
    _untracked = Model._untracked | {"_stack", "_tensors", "_made_graph"}
    _not_copied = Model._not_copied | {"_tensors", "_made_graph"}
    _made_graph: Graph | None = None
    _is_graph = True
    supports_masking = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        loose = [x for x in (*args, kwargs.get("layers")) if isinstance(x, Layer) or is_symbolic(x)]
        # A subclass with a constructor of its own may well take a layer.
        if loose and cls.__init__ is Sequential.__init__:
            raise ValueError(
                f"Sequential: layers must be a list, got {loose[0]!r}. Write Sequential([...]) "
                "with all the layers inside the list."
            )
        return super().__new__(cls)

    def __init__(
        self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._stack: list[Layer] = []
        self._tensors: list[KerasTensor] = []  # the input, then what each layer makes of it
        if layers is not None:
            if not isinstance(layers, Iterable):
                raise ValueError(
                    f"Sequential: layers must be a list, got {layers!r}. Write [layer, ...]."
                )
            for layer in layers:
                self.add(layer, rebuild=False)
            self._rebuild()

    # The stack -----------------------------------------------------------------------------

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer on the end of the stack.

        Example:
            >>> model = staghorn.Sequential()
            >>> model.add(staghorn.Input((3,)))
            >>> model.add(staghorn.layers.Dense(2))
            >>> model.output_shape
            (None, 2)
        """
        branches = getattr(layer, "_branches", None)
        if branches is not None and not self._stack:  # Keras 1's Merge
            branches.begin(self, layer)
            return
        layer = self._check_layer(layer)
        shape = getattr(layer, "_wanted_batch_shape", None)
        if not self._stack and not isinstance(layer, InputLayer):
            graph = getattr(layer, "_graph", None)
            if graph is not None and len(graph.inputs) == 1:
                first = graph.inputs[0]
                self.add(Input(batch_shape=first.shape, dtype=first.dtype), rebuild=False)
            elif shape is not None:
                self.add(Input(batch_shape=shape, dtype=layer.compute_dtype), rebuild=False)
        self._stack.append(layer)
        self._tracker.track(layer)
        self.built = False
        if rebuild:
            try:
                self._rebuild()
            except Exception:  # a layer that does not fit is not left in the stack
                self._drop_last()
                raise

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the last layer off the stack and return it."""
        if not self._stack:
            raise ValueError(f"Sequential '{self.name}': pop() on an empty stack.")
        layer = self._drop_last()
        self.built = False
        if rebuild:
            self._rebuild()
        return layer

    def _drop_last(self) -> Layer:
        layer = self._stack.pop()
        if not any(known is layer for known in self._stack):
            self._tracker.untrack(layer)
        del self._tensors[len(self._stack) :]
        self._made_graph = None
        return layer

    def _check_layer(self, layer: Any) -> Layer:
        if is_symbolic(layer):
            history = layer._keras_history
            if history is not None and isinstance(history.operation, InputLayer):
                layer = history.operation
        if not isinstance(layer, Layer):
            hint = ""
            if isinstance(layer, type) and issubclass(layer, Layer):
                hint = f" Write {layer.__name__}(...) with parentheses."
            elif callable(layer):
                hint = " Wrap a function in staghorn.layers.Lambda(function)."
            raise ValueError(
                f"Sequential '{self.name}': only layers can be added, "
                f"got {layer!r} ({type(layer).__name__}).{hint}"
            )
        if isinstance(layer, InputLayer) and self._stack:
            raise ValueError(
                f"Sequential '{self.name}': an Input must come first; the stack already has "
                f"{len(self._stack)} layer(s)."
            )
        for known in self._stack:
            if known.name == layer.name and known is not layer:
                raise ValueError(
                    f"Sequential '{self.name}': two layers are called {layer.name!r}. "
                    "Give one of them another name=."
                )
        if isinstance(layer, Merge):
            problem = f"layer '{layer.name}' ({type(layer).__name__}) takes several inputs."
            spelling = _SEVERAL_INPUTS.replace("Concatenate", type(layer).__name__)
            raise ValueError(
                _FUNCTIONAL_INSTEAD.format(name=self.name, problem=problem, spelling=spelling)
            )
        return layer

    def _rebuild(self) -> None:
        if self._stack and isinstance(self._stack[0], InputLayer) and len(self._stack) > 1:
            self.build()

    def build(self, input_shape: Any = None) -> None:
        """Run the stack on a symbolic input: every layer gets its weights."""
        if not self._stack:
            raise ValueError(f"Sequential '{self.name}' has no layers. Add one with add().")
        if input_shape is None and not isinstance(self._stack[0], InputLayer):
            raise ValueError(
                f"Sequential '{self.name}' does not know its input shape. Start it with "
                "Input(shape=...), call build((None, ...)), or call it on data."
            )
        if isinstance(self._stack[0], InputLayer):
            self._check_shape(self._stack[0].batch_shape, input_shape)
        else:
            if not isinstance(input_shape, (list, tuple)) or any(
                isinstance(d, (list, tuple)) for d in input_shape
            ):
                self._refuse_several("inputs", input_shape)
            # A length seen in data is not a promise: the layers say what they cannot take.
            self._input_guessed = True
            start = InputLayer(batch_shape=input_shape, dtype=self._stack[0].compute_dtype)
            self._stack.insert(0, start)
        if not self._tensors:
            self._tensors.append(self._stack[0].output)
        self._made_graph = None
        # Keras makes a Functional model here, so its counter of names goes on.
        naming.auto_name("Functional")
        # Only the layers that were not called yet: adding n layers, one by one, takes n calls.
        for layer in self._stack[len(self._tensors) :]:
            x = layer(self._tensors[-1])
            if not isinstance(x, KerasTensor):
                self._refuse_several(f"outputs (of layer '{layer.name}')", x)
            self._tensors.append(x)

    def _check_shape(self, known: tuple, given: Any) -> None:
        if given is None:
            return
        same = len(known) == len(given) and all(
            None in (a, b) or a == b for a, b in zip(known, given, strict=True)
        )
        if not same:
            raise ValueError(
                f"Sequential '{self.name}' starts with an Input of shape {known}; it cannot be "
                f"built with {tuple(given)}. Change the Input, or leave it out."
            )

    def _refuse_several(self, what: str, got: Any) -> None:
        spelling = _SEVERAL_INPUTS if what == "inputs" else _SEVERAL_OUTPUTS
        raise ValueError(
            _FUNCTIONAL_INSTEAD.format(
                name=self.name, problem=f"several {what}: {got!r}.", spelling=spelling
            )
        )

    # Calling -------------------------------------------------------------------------------

    def _build_once(self, call: Any) -> None:
        if not self.built:
            self._build_on(call.first)

    def _build_on(self, value: Any) -> None:
        if not hasattr(value, "shape"):
            self._refuse_several("inputs", [getattr(v, "shape", v) for v in value])
        # The batch size of the first data is not a property of the model.
        shape = tuple(d if isinstance(d, int) else None for d in value.shape)
        self.build((None, *shape[1:]))

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        del training  # travels in the frame
        encoded = self._encoded_input(inputs)
        if encoded is not None:
            return self._host_part.run(encoded)[0]  # type: ignore[union-attr]
        x = fit_input(inputs, self._tensors[0], mask)
        for layer in self.layers:
            x = layer(x)
        return x

    def compute_output_spec(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        del training, mask
        start, end = self._tensors[0], self._tensors[-1]
        if inputs.shape == start.shape and inputs.dtype == start.dtype:
            return KerasTensor(end.shape, end.dtype)
        x = fit_input(inputs, start)
        for layer in self.layers:
            x = layer.compute_output_spec(x)
        return KerasTensor(x.shape, x.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The layers inside have attached their masks already."""
        del inputs, previous_mask

    @property
    def _takes_strings(self) -> bool:
        first = self._stack[0].compute_dtype if self._stack else None
        return self._host_part is not None or (not self.built and first == "string")

    def _host_encoded(self, x: Any) -> Any:
        if not self.built and self._takes_strings and x is not None:
            self.build((None, *sole_input(self, to_arrays(x, "x", strings=True)).shape[1:]))
        return super()._host_encoded(x)

    def _arrange(self, inputs: Any) -> list[Any]:
        return [fit_input(inputs, self._tensors[0])]

    # Shape of the model --------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        return [layer for layer in self._stack if not isinstance(layer, InputLayer)]

    @property
    def _graph(self) -> Graph | None:
        """The calls of the stack, or None before it is built."""
        if self._made_graph is None and self.built:
            self._made_graph = Graph(self._tensors[:1], self._tensors[-1:])
        return self._made_graph

    def _end(self, what: str, position: int) -> KerasTensor:
        if not self.built:
            raise AttributeError(
                f"Sequential '{self.name}' has no {what} yet: its input shape is unknown. Start it "
                "with Input(shape=...), or call it on data first."
            )
        return self._tensors[position]

    @property
    def inputs(self) -> list[KerasTensor]:
        return [self._end("inputs", 0)]

    @property
    def outputs(self) -> list[KerasTensor]:
        return [self._end("outputs", -1)]

    @property
    def input(self) -> Any:
        return self._end("input", 0)

    @property
    def output(self) -> Any:
        return self._end("output", -1)

    @property
    def input_shape(self) -> Any:
        return self.input.shape

    @property
    def output_shape(self) -> Any:
        return self.output.shape

    @property
    def input_dtype(self) -> str:
        return self.input.dtype if self.built else self.compute_dtype

    @property
    def input_names(self) -> list[str]:
        return [t._keras_history.operation.name for t in self.inputs]  # type: ignore[union-attr]

    @property
    def output_names(self) -> list[str]:
        return [self.layers[-1].name] if self.layers else []

    # Copies and config ---------------------------------------------------------------------

    def __deepcopy__(self, memo: dict) -> Sequential:
        twin = super().__deepcopy__(memo)
        twin._tensors = []
        if self._tensors:
            twin._tensors = [twin._stack[0].output]
        for layer, tensor in zip(twin._stack[1:], self._tensors[1:], strict=False):
            result = KerasTensor(tensor.shape, tensor.dtype)
            twin._tensors.append(connect(layer, (twin._tensors[-1],), {}, result))
        return twin

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": serialize_keras_object(self.dtype_policy),
            "layers": [serialize_keras_object(layer) for layer in self._stack],
        }
        if self.built:
            config["build_input_shape"] = self.input.shape
        return config

    def get_build_config(self) -> dict[str, Any] | None:
        return {"input_shape": self.input.shape} if self.built else None

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Sequential:
        with custom_object_scope(custom_objects or {}), building(config):
            model = cls(name=config.get("name"))
            if config.get("dtype") is not None:  # Keras forgets it, and mixed precision with it
                model._dtype_policy = dtype_policies.get(config["dtype"])
            made: dict[Any, Layer] = {}  # one layer may stand in the stack twice
            for entry in config["layers"]:
                name = entry["config"].get("name")
                if name not in made:
                    made[name] = deserialize_as("layer", entry)
                model.add(made[name], rebuild=False)
            model._rebuild()
            shape = config.get("build_input_shape")
            if not model.built and shape and model._stack:
                model.build(tuple(shape))
            if config.get("trainable") is False:
                model.trainable = False
            return model
