"""Model: a Layer that can be trained and saved."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import jax

from staghorn.engine import tree
from staghorn.engine.config_check import building
from staghorn.engine.registry import suggestion
from staghorn.engine.serialization import (
    custom_object_scope,
    deserialize_keras_object,
    is_builtin,
    serialize_keras_object,
)
from staghorn.layers.adaptation import quantize_model
from staghorn.layers.layer import Layer
from staghorn.layers.preprocessing.host_layer import heard, listening
from staghorn.models.compiled_call import CompiledCall
from staghorn.models.host_part import HostPart, encoded_strings, holds_text, text_calls
from staghorn.models.old_methods import OldMethods
from staghorn.models.state_tree import StateTree
from staghorn.models.training_tools import TrainingTools
from staghorn.training.data import to_arrays
from staghorn.training.trainer import Trainer
from staghorn.training.validation import check_inputs, sole_input

_MULTIPLIERS = "learning_rate_multipliers"


def is_functional_call(args: tuple, kwargs: dict) -> bool:
    """Say whether Model(...) was given inputs and outputs."""
    return (
        len(args) == 2
        or (len(args) == 1 and "outputs" in kwargs)
        or ("inputs" in kwargs and "outputs" in kwargs)
    )


def _check_functional_words(name: str, kwargs: dict) -> None:
    """Raise for `input=`, `output=`, or one of `inputs=` and `outputs=` without the other."""
    wanted = "Write Model(inputs=..., outputs=...)."
    for wrong, right in (("input", "inputs"), ("output", "outputs")):
        if wrong in kwargs:
            raise TypeError(f"{name}: unknown argument {wrong!r}. Did you mean {right!r}? {wanted}")
    for given, absent in (("inputs", "outputs"), ("outputs", "inputs")):
        if given in kwargs and absent not in kwargs:
            raise TypeError(f"{name}: {given!r} was given without {absent!r}. {wanted}")


class Model(OldMethods, StateTree, TrainingTools, Trainer, Layer):
    """A Layer with `compile`, `fit`, `evaluate`, `predict`, `save`.

    `Model(inputs, outputs)` makes a Functional model from symbolic tensors; a subclass writes
    `call` itself.

    Args:
        inputs, outputs: nests of symbolic tensors (Functional form).
        name: a label. Default: from the class name.
        trainable, dtype: as in Layer.

    Example:
        >>> x = staghorn.Input((4,))
        >>> model = staghorn.Model(x, staghorn.layers.Dense(2)(x))
        >>> model.count_params()
        10
        >>> class Net(staghorn.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.dense = staghorn.layers.Dense(2)
        ...     def call(self, inputs):
        ...         return self.dense(inputs)
        >>> Net()(np.ones((3, 4), "float32")).shape
        (3, 2)
    """

    _not_copied = Layer._not_copied | {
        "_compiled_call",
        "_executor",
        "_made_host_part",
        "_text_calls",
        "predict_function",
        "test_function",
        "train_function",
    }
    _made_host_part: HostPart | None = None
    _text_calls: tuple[Any, list[tuple[Any, Any]]] = (None, [])  # of a subclass, for such data
    unnamed = ("inputs", "outputs")
    _executor = None  # compiled programs: a copy makes its own
    _compiled_call: CompiledCall | None = None
    _is_graph = False  # a graph or stack of layers, no code of its own
    train_function = test_function = predict_function = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and is_functional_call(args, kwargs):
            from staghorn.models.functional import Functional

            return Functional.__new__(Functional)
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from staghorn.models.functional import Functional

        if is_functional_call(args, kwargs) and not isinstance(self, Functional):
            # A subclass that builds itself with super().__init__(inputs=..., outputs=...).
            _become_functional(type(self))
            Functional.__init__(self, *args, **kwargs)  # type: ignore[arg-type]
            return
        _check_functional_words(type(self).__name__, kwargs)
        if args:
            raise TypeError(
                f"{type(self).__name__}: unexpected positional arguments {args!r}. A Functional "
                "model is made with Model(inputs=..., outputs=...)."
            )
        Trainer.__init__(self)
        Layer.__init__(self, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._is_graph and len(args) == 1 and kwargs.keys() <= {"training"}:
            if self._compiled_call is None:
                object.__setattr__(self, "_compiled_call", CompiledCall(self))
            flat = self._compiled_call.outputs(args[0], **kwargs)  # type: ignore[union-attr]
            if flat is not None:
                return self._packed(flat)
        return super().__call__(*args, **kwargs)

    def _packed(self, flat: list[Any]) -> Any:
        """Put the results of a graph into the form of its outputs."""
        return flat[0]

    # Strings -------------------------------------------------------------------------------

    @property
    def _host_part(self) -> HostPart | None:
        """What runs before the compiled program, since it takes strings; None if nothing does."""
        graph = getattr(self, "_loss_graph", None) or getattr(self, "_graph", None)
        if graph is None or all(t.dtype != "string" for t in graph.inputs):
            return None
        if self._made_host_part is None or self._made_host_part.graph is not graph:
            object.__setattr__(self, "_made_host_part", HostPart(self.name, graph))
        return self._made_host_part

    @property
    def _takes_strings(self) -> bool:
        return self._host_part is not None or (
            getattr(self, "_graph", None) is None and self._has_own_call()
        )

    def _encoded_input(self, inputs: Any) -> dict[str, Any] | None:
        """Return what the model was called on if that is what it makes of strings, else None."""
        if self._host_part is None:
            return None
        encoded = self._host_part.find(inputs)
        if encoded is None and heard(self, inputs):  # from a subclassed model around it
            with listening(None), jax.ensure_compile_time_eval():
                encoded = self._host_encoded(inputs)
        return encoded

    def _host_encoded(self, x: Any) -> Any:
        if x is None or not self._takes_strings:
            return x
        if self._host_part is None:
            return self._strings_encoded(x) if holds_text(x) else x
        if self._host_part is not None and self._host_part.find(x) is not None:
            return x  # already, as what validation_split cuts off
        x = sole_input(self, to_arrays(x, "x", strings=True))
        check_inputs(self, x, "")
        values = self._arrange(x)  # type: ignore[attr-defined]
        return self._host_part.encode(values)

    def _strings_encoded(self, x: Any) -> Any:
        """Do what `call` of a subclass does to strings first: a dict takes the place of each."""
        x = to_arrays(x, "x", strings=True)
        struct = tree.map_structure(lambda leaf: (leaf.ndim, str(leaf.dtype)), x)
        layers = self._flatten_layers()
        seen, calls = self._text_calls
        if seen != struct or not all(any(o is layer for layer in layers) for o, _ in calls):
            calls = text_calls(self, x)
            object.__setattr__(self, "_text_calls", (struct, calls))
        return encoded_strings(x, calls)

    # Layers --------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside."""
        return list(self._flatten_layers(include_self=False, recursive=False))

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by name or position.

        Example:
            >>> model = staghorn.Sequential([staghorn.layers.Dense(2, name="out")])
            >>> model.get_layer("out").units
            2
        """
        layers = self.layers
        if index is not None:
            if name is not None:
                raise ValueError("get_layer: give a name or an index, not both.")
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"get_layer: index {index}, but there are {len(layers)} layers.")
            return layers[index]
        if name is None:
            raise ValueError("get_layer: give the name or the index of a layer.")
        for layer in layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in layers]
        raise ValueError(
            f"get_layer: no layer is called {name!r}.{suggestion(name, names)} "
            f"Layers: {', '.join(names)}."
        )

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output. Written by subclasses."""
        raise NotImplementedError(
            f"Model {type(self).__name__} has no call(). Write `def call(self, inputs): ...` in "
            "it, or make the model with Model(inputs, outputs)."
        )

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
        show_costs: bool = False,
    ) -> None:
        """Print a table of the layers with their output shapes and sizes, then the totals.

        Args:
            line_length: width in characters. Default: what the columns need, at most the terminal.
            positions: where the columns end: shares of the width, or characters.
            print_fn: gets the whole text, without colours, as one string. Default: print it.
            expand_nested: also show the layers inside models inside. Default: False.
            show_trainable: add a column that says Y or N. Default: False.
            layer_range: names (or regular expressions) of the first and last layer to show.
            show_costs: add multiply-adds and activation memory, for one sample. Default: False.

        Raises:
            ValueError: for columns that do not fit or a range that names no layer.

        Example:
            >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(8)])
            >>> lines = []
            >>> model.summary(print_fn=lines.append, show_costs=True)
            >>> " Multiply-adds: 32 per sample" in lines[0]
            True

        Notes:
            `staghorn.visualization.print_summary` says how the table differs from Keras's.
        """
        from staghorn.visualization.summary import print_summary

        print_summary(
            self,
            line_length,
            positions,
            print_fn,
            expand_nested,
            show_trainable,
            layer_range,
            show_costs,
        )

    def quantize(  # type: ignore[override]
        self, mode: str | None = None, config: Any = None, filters: Any = None, **kwargs: Any
    ) -> None:
        """Turn the large weights of the layers inside into whole numbers of 8 bits.

        Args:
            mode: "int8". Default: None, that of `config`.
            config: a `staghorn.quantizers.QuantizationConfig`. Default: None, the usual one.
            filters: which layers: a regular expression for names, a list of them, or a function
                of a layer. Default: None, all that can be.
            **kwargs: `type_check=False` quantizes subclasses too, which run without their `call`.

        Raises:
            ValueError: if a layer has no weights yet, or is quantized already; nothing is changed.
            NotImplementedError: for the modes that Keras has and Staghorn does not.

        Example:
            >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
            >>> model.quantize("int8")
            >>> [v.dtype for v in model.weights]
            ['float32', 'int8', 'float32']

        Notes: the weights cannot be trained any more; compile again before `fit`. Layers that
        stay as they are are named in one warning; Keras gives one for each, `InputLayer` too.
        """
        type_check = kwargs.pop("type_check", True)
        if kwargs:
            raise TypeError(f"quantize: unknown argument {next(iter(kwargs))!r}.")
        quantize_model(self, mode, config, filters, type_check)

    # Files ---------------------------------------------------------------------------------

    def save(
        self,
        filepath: str | Path,
        overwrite: bool = True,
        zipped: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Save architecture, weights and training state to one `.keras` file.

        Args:
            filepath: file name that ends in `.keras`, or a folder with `zipped=False`.
            overwrite: replace what is there. Default: True.
            zipped: one zip file, or a folder with the same content. Default: None, a file.
            **kwargs: see `staghorn.saving.save_model`.

        Example:
            >>> import tempfile
            >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.save(f"{folder}/model.keras")
            ...     again = staghorn.models.load_model(f"{folder}/model.keras")
            >>> again.count_params()
            10
        """
        from staghorn.saving import save_model

        save_model(self, filepath, overwrite, zipped is not False, **kwargs)

    def save_weights(
        self,
        filepath: str | Path,
        overwrite: bool = True,
        max_shard_size: float | None = None,
        **kwargs: Any,
    ) -> None:
        """Save the weights alone to a `.weights.h5` file, or several: see `saving.save_weights`."""
        from staghorn.saving import save_weights

        save_weights(self, filepath, overwrite, max_shard_size, **kwargs)

    def load_weights(
        self, filepath: str | Path, skip_mismatch: bool = False, **kwargs: Any
    ) -> None:
        """Load the weights that `save_weights` or `save` wrote."""
        from staghorn.saving import load_weights

        load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def to_json(self, **kwargs: Any) -> str:
        """Return the architecture as a JSON string."""
        return json.dumps(serialize_keras_object(self), **kwargs)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Make a model from what `get_config` returned."""
        from staghorn.models.functional import Functional, functional_from_config, is_graph_config

        with custom_object_scope(custom_objects or {}), building(config, ours=is_builtin(cls)):
            if is_graph_config(config) and (cls is Model or issubclass(cls, Functional)):
                return functional_from_config(cls, config)
            return super().from_config(config)

    def get_compile_config(self) -> dict[str, Any]:
        """Return what was passed to `compile`, in JSON form."""
        if not self.compiled or self._compile_arguments is None:
            return {}
        config = {key: serialize_keras_object(v) for key, v in self._compile_arguments.items()}
        if self._rate_multipliers:  # in a place that Keras does not look at
            config["optimizer"][_MULTIPLIERS] = dict(self._rate_multipliers)
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile the model from what `get_compile_config` returned."""
        arguments = deserialize_keras_object(config)
        optimizer = config.get("optimizer")
        if isinstance(optimizer, dict) and _MULTIPLIERS in optimizer:
            arguments[_MULTIPLIERS] = optimizer[_MULTIPLIERS]
        self.compile(**arguments)
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build a subclassed model from the shapes in a file."""
        if config.get("input_shape") is not None or "shapes_dict" in config:
            super().build_from_config(config)

    def __reduce__(self) -> Any:
        from staghorn.saving.pickling import custom_classes, model_from_bytes, model_to_bytes

        return (model_from_bytes, (type(self), model_to_bytes(self), custom_classes(self)))


def _become_functional(cls: type) -> None:
    """Put Functional between a Model subclass and Model, once for the class."""
    from staghorn.models.functional import Functional

    for base in inspect.getmro(cls):
        if base is not Model and Model in base.__bases__:
            base.__bases__ = tuple(Functional if b is Model else b for b in base.__bases__)
            return
