"""Layer: what every layer and model is."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import constraints, dtype_policies, initializers, regularizers
from staghorn.engine import edits, naming, placeholders, shapes, tree
from staghorn.engine.dtypes import standardize_dtype
from staghorn.engine.frame import Frame, current_frame
from staghorn.engine.operation import RematScope, remat_scope
from staghorn.engine.scope import Scope, current_scope, read
from staghorn.engine.serialization import (
    Configurable,
    derived_config,
    is_builtin,
    parameter_names,
    recorded_arguments,
)
from staghorn.engine.spellings import name_first
from staghorn.engine.symbolic import KerasTensor, Node, connect
from staghorn.engine.tracking import Tracker, is_a, unique
from staghorn.engine.variable import Variable
from staghorn.layers import call as calling
from staghorn.layers.input_spec import check_inputs
from staghorn.metrics.metric import Metric
from staghorn.optimizers.optimizer import Optimizer
from staghorn.random import SeedGenerator

_BASE_ARGUMENTS = ("name", "trainable", "dtype", "activity_regularizer", "autocast")

_NO_EDITS = ("trainable", "_trainable")  # no other forward pass, and GANs toggle them at each step

_FORGOT_SUPER = """\
{cls}: the constructor never called super().__init__(). Write
    def __init__(self, ...):
        super().__init__()"""

_UNTRACEABLE_BUILD = """\
{cls} '{name}' cannot be built from a shape alone: running its call on placeholders failed.
Call it once on real data (model(x[:1])), or give it a build(self, input_shape) method."""


def _is_layer(value: Any) -> bool:
    return isinstance(value, Layer)


_is_variable = functools.partial(is_a, Variable)


def _is_trainable_variable(value: Any) -> bool:
    return isinstance(value, Variable) and value.trainable


class Layer(Configurable):
    """A function with state: weights are made at the first call, from the shape of the input.

    Write `__init__` (options), `build(self, input_shape)` (weights, with `add_weight`) and
    `call(self, inputs)`; `call` may take `training` and `mask`.

    Args:
        activity_regularizer: adds a loss from the output. Default: None.
        trainable: whether optimizers change the weights. Default: True.
        dtype: a type or policy name. Default: the global policy.
        autocast: whether float inputs are cast to the compute type. Default: True.
        name: a label. Default: from the class name.
        input_shape, input_dim, batch_input_shape, batch_size, weights: as old scripts write them.

    Example:
        >>> class Linear(staghorn.layers.Layer):
        ...     def __init__(self, units):
        ...         super().__init__()
        ...         self.units = units
        ...     def build(self, input_shape):
        ...         self.w = self.add_weight((input_shape[-1], self.units))
        ...     def call(self, inputs):
        ...         return inputs @ self.w
        >>> Linear(3)(np.ones((2, 5), "float32")).shape
        (2, 3)

    Notes: children assigned before `super().__init__()` are tracked too; the configuration is
    derived from the constructor, so `get_config` need not be written.
    """

    _keras_path: ClassVar[tuple | None] = None
    # Attributes that are neither children nor wrapped: what training keeps for itself.
    _untracked: ClassVar[frozenset[str]] = frozenset()
    _not_copied: ClassVar[frozenset[str]] = frozenset({"_inbound_nodes"})
    _overrides_build: ClassVar[bool] = False
    _overrides_compute_mask: ClassVar[bool] = False
    _overrides_output_shape: ClassVar[bool] = False
    _tracker: Tracker
    _layers: list[Layer]
    _metrics: list[Metric]
    _seed_generators: list[SeedGenerator]
    _trainable_variables: list[Variable]
    _non_trainable_variables: list[Variable]
    _transient_variables: list[Variable]  # state that no file holds, as between batches
    _inbound_nodes: list[Node]
    _losses: list
    _convert_input_args: bool = True
    _host_part: Any = None  # of a model that takes strings: what runs before the program
    _warned_of_mask: bool = False
    _edited: int = 0  # when an attribute was last set: see `edits`
    _is_ours: ClassVar[bool] = True
    _initialized: bool = False
    _building: bool = False
    _in_no_file: bool = False  # while it makes weights that files do not hold
    _is_quantized: bool = False
    _quantized_call: Any = None
    _remat: RematScope | None = None
    supports_masking: bool = False
    input_spec: Any = None
    built: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._is_ours = is_builtin(cls)
        build = cls.__dict__.get("build")
        if build is not None:
            cls.build = _tracked_build(build)  # type: ignore[method-assign]
            cls._overrides_build = not getattr(build, "_is_default", False)
        if "compute_mask" in cls.__dict__:
            cls._overrides_compute_mask = True
            cls.supports_masking = cls.__dict__.get("supports_masking", True)
        if "compute_output_shape" in cls.__dict__:
            cls._overrides_output_shape = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        del args, kwargs
        layer = super().__new__(cls)
        stores: dict[str, list] = {
            "_trainable_variables": [],
            "_non_trainable_variables": [],
            "_layers": [],
            "_metrics": [],
            "_seed_generators": [],
            "_optimizers": [],
            "_transient_variables": [],
            "_inbound_nodes": [],
            "_losses": [],
        }
        layer.__dict__.update(stores)
        layer.__dict__["_tracker"] = _new_tracker(stores)
        if remat_scope.get() is not None:
            layer.__dict__["_remat"] = remat_scope.get()
        return layer

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(
                f"{type(self).__name__}: name must be a string without '/', got {name!r}."
            )
        self.name = name or naming.auto_name(type(self).__name__)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.autocast = autocast
        self._trainable = bool(trainable)
        self._dtype_policy = dtype_policies.get(dtype)
        self._path: str | None = None
        self._build_shapes: Any = None
        self._first_weights = kwargs.pop("weights", None)
        self._wanted_batch_shape = calling.wanted_batch_shape(type(self), kwargs)
        self._initialized = True

    # Children ------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._untracked:
            object.__setattr__(self, name, value)
            return
        old = self.__dict__.get(name)
        if old is not None and old is not value and _may_hold_state(old):
            self._tracker.untrack(old)
        if _may_hold_state(value):
            value = self._tracker.track(value)
        if old is not value and name not in _NO_EDITS:
            self.__dict__["_edited"] = edits.note()
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__:
            self._tracker.untrack(self.__dict__[name])
            self.__dict__["_edited"] = edits.note()
        super().__delattr__(name)

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Layer]:
        """Return this layer and those inside, each once, without recursion."""
        found: dict[int, Layer] = {id(self): self} if include_self else {}
        pending = list(reversed(self._layers))
        while pending:
            layer = pending.pop()
            if id(layer) not in found:
                found[id(layer)] = layer
                if recursive:
                    pending.extend(reversed(layer._layers))
        return list(found.values())

    def __deepcopy__(self, memo: dict) -> Self:
        """Copy weights and children. Calls on symbolic tensors stay behind: they are a model's."""
        twin = Layer.__new__(type(self))
        memo[id(self)] = twin
        for name, value in self.__dict__.items():
            if name not in self._not_copied:
                twin.__dict__[name] = copy.deepcopy(value, memo)
        return twin

    # Weights -------------------------------------------------------------------------------

    @name_first
    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a weight of this layer.

        Args:
            shape: its shape. Default: (), a scalar.
            initializer: Default: glorot_uniform for floats, zeros otherwise.
            dtype: Default: the layer's variable type.
            trainable: Default: True.
            autocast: read in the compute type under a mixed policy. Default: True.
            regularizer, constraint: applied to it. Default: None.
            aggregation: accepted for Keras's sake.
            overwrite_with_gradient: the optimizer stores the gradient as the value. Default: False.
            name: a label. Default: `variable`, ...

        Example:
            >>> layer = staghorn.layers.Layer()
            >>> layer.add_weight((2, 3), "zeros", name="w").shape
            (2, 3)
        """
        self._check_initialized()
        dtype = self.variable_dtype if dtype is None else standardize_dtype(dtype)
        if initializer is None:
            initializer = "glorot_uniform" if "float" in dtype else "zeros"
        initializer = initializers.get(initializer)
        own_format = type(self).load_own_variables is not Layer.load_own_variables
        owner = f"{type(self).__name__} '{self.name}'"
        variable = Variable(
            placeholders.reserving(owner, initializer, not (own_format or self._in_no_file)),
            shape=() if shape is None else shape,
            dtype=dtype,
            trainable=trainable,
            autocast=autocast,
            aggregation=aggregation,
            name=name,
        )
        placeholders.reserved(variable, initializer)
        variable.path = f"{self._scope_path()}/{variable.name}"
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        variable.overwrite_with_gradient = overwrite_with_gradient
        self._tracker.track(variable)
        if trainable and not self._trainable:
            variable.trainable = False
        return variable

    add_variable = add_weight

    def _scope_path(self) -> str:
        """Return names of the calls in progress, this layer last."""
        if self._path is not None:
            return self._path
        names = []
        frame = current_frame()
        while frame is not None:
            if frame.layer is not None and frame.layer is not self:
                names.append(frame.layer.name)
            frame = frame.parent
        unique = list(dict.fromkeys(reversed(names)))
        return "/".join([*naming.scopes.get(), *unique, self.name])

    @property
    def path(self) -> str:
        """Names of the layers around it when it was built, its own last."""
        return self._path or self.name

    @property
    def trainable(self) -> bool:
        """Whether optimizers change the weights; setting it reaches every layer inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for variable in self._trainable_variables:
            variable.trainable = bool(value)
        for layer in self._layers:
            layer.trainable = value

    @property
    def variables(self) -> list[Variable]:
        """All state except metrics: weights and the seeds of random layers."""
        return unique(
            v
            for layer in self._flatten_layers()
            for v in (
                *layer._trainable_variables,
                *layer._non_trainable_variables,
                *layer._transient_variables,
                *(generator.state for generator in layer._seed_generators),
            )
        )

    @property
    def weights(self) -> list[Variable]:
        """The weights, this layer's first, then those of the layers inside."""
        return unique(
            v
            for layer in self._flatten_layers()
            for v in (*layer._trainable_variables, *layer._non_trainable_variables)
        )

    @property
    def trainable_variables(self) -> list[Variable]:
        return [v for v in self.variables if v.trainable] if self.trainable else []

    @property
    def non_trainable_variables(self) -> list[Variable]:
        variables = self.variables
        return [v for v in variables if not v.trainable] if self.trainable else variables

    @property
    def trainable_weights(self) -> list[Variable]:
        return [v for v in self.weights if v.trainable] if self.trainable else []

    @trainable_weights.setter
    def trainable_weights(self, weights: list[Variable]) -> None:
        for variable in weights:  # as layers of Keras 1 told of their weights
            if not any(variable is known for known in self.weights):
                self._tracker.track(variable)

    @property
    def non_trainable_weights(self) -> list[Variable]:
        weights = self.weights
        return [v for v in weights if not v.trainable] if self.trainable else weights

    @property
    def metrics(self) -> list[Metric]:
        """The metrics assigned to this layer and those inside."""
        return [m for layer in self._flatten_layers() for m in layer._metrics]

    @property
    def metrics_variables(self) -> list[Variable]:
        return unique(v for metric in self.metrics for v in metric.variables)

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of the weights as NumPy arrays."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: list) -> None:
        """Copy arrays into the weights, in the order of `weights`."""
        variables = self.weights
        if len(variables) != len(weights):
            raise ValueError(
                f"set_weights on '{self.name}': the layer has {len(variables)} weights "
                f"({', '.join(f'{v.path} {v.shape}' for v in variables)}), "
                f"but {len(weights)} arrays were given."
            )
        wrong = [
            f"{v.path} has shape {v.shape}, got {np.shape(value)}"
            for v, value in zip(variables, weights, strict=True)
            if v.shape != tuple(np.shape(value))
        ]
        if wrong:
            raise ValueError(f"set_weights on '{self.name}': " + "; ".join(wrong) + ".")
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(jnp.array(value, dtype=variable.dtype, copy=True))

    def count_params(self) -> int:
        """Return how many numbers the weights hold."""
        if not self.built and not self.weights:
            raise ValueError(
                f"{type(self).__name__} '{self.name}' has no weights yet, since it was not built. "
                "Call it on data first, or call build(input_shape)."
            )
        return sum(v.size for v in self.weights)

    # Types ---------------------------------------------------------------------------------

    @property
    def dtype_policy(self) -> Any:
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        policy = dtype_policies.get(value)
        if policy.quantization_mode and self.built and not self._is_quantized:
            self.quantize(policy.quantization_mode)
        self._dtype_policy = policy

    @property
    def compute_dtype(self) -> str:
        """The type the layer computes in."""
        return self._dtype_policy.at(self.path).compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The type its weights have."""
        return self._dtype_policy.at(self.path).variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        """How its weights are quantized: None, or "int8"."""
        return self._dtype_policy.at(self.path).quantization_mode

    @property
    def dtype(self) -> str:
        return self.variable_dtype

    @property
    def input_dtype(self) -> str:
        return self.compute_dtype

    # Building ------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the weights. The base version runs `call` on placeholders, which builds the rest."""
        self._path = self._scope_path()
        self._build_shapes = calling.as_shape(input_shape)
        if any(not layer.built for layer in self._flatten_layers(include_self=False)):
            self._build_by_tracing(input_shape)
        self.built = True

    build._is_default = True  # type: ignore[attr-defined]

    def _build_by_tracing(self, input_shape: Any) -> None:
        inputs = calling.placeholders(input_shape, self.input_dtype)
        try:
            with Frame(self, False, None):
                shapes.infer(self.call, (inputs,), {}, f"{type(self).__name__} '{self.name}'")
        except Exception as error:  # passes on as it is: it may be the user's own
            error.add_note(_UNTRACEABLE_BUILD.format(cls=type(self).__name__, name=self.name))
            raise

    def _build_once(self, call: calling.Call) -> None:
        if self.built:
            return
        self._check_initialized()
        if self._overrides_build:
            given = calling.shapes_for(type(self).build, call, self, "build")
            if isinstance(given, dict):
                self.build(**given)
            else:
                self.build(*given)
        else:
            self._path = self._scope_path()
            self._build_shapes = calling.shape_of(call.first)
        self._after_build()

    def _after_build(self) -> None:
        if self._first_weights is not None and self.weights:
            given, self._first_weights = self._first_weights, None
            self.set_weights(given)

    def _check_initialized(self) -> None:
        if not self._initialized:
            raise RuntimeError(_FORGOT_SUPER.format(cls=type(self).__name__))

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the shapes the layer was built with."""
        if self._build_shapes is None:
            return None
        if isinstance(self._build_shapes, dict) and all(
            key.endswith("_shape") for key in self._build_shapes
        ):
            return {"shapes_dict": self._build_shapes}
        return {"input_shape": self._build_shapes}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layer from what `get_build_config` returned."""
        if "shapes_dict" in config:
            self.build(**{k: calling.as_shape(v) for k, v in config["shapes_dict"].items()})
        elif config.get("input_shape") is not None:
            self.build(calling.as_shape(config["input_shape"]))

    # Calling -------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._check_initialized()
        call = calling.Call(self, args, kwargs)
        self._check_inputs(call.first)
        training = calling.resolve_training(call)
        self._build_once(call)
        if current_frame() is None:
            self._clear_losses()
        if call.symbolic:
            with calling.frame_for(self, training):
                spec = calling.symbolic_spec(self, call)
                self.built = True
                outputs = connect(self, args, kwargs, spec)
                calling.carry_symbolic_masks(self, call, outputs)
            return outputs
        calling.fill_training(call, training)
        calling.fill_masks(call)
        if training is None and call.signature.has_training:
            training = call.kwargs.get("training")
        with calling.frame_for(self, training), jax.named_scope(self.name):
            run = self._quantized_call if self._is_quantized else self.call
            if self._remat is not None:
                run = self._remat.around(self, run, call)
            outputs = run(*call.args, **call.kwargs)
            self.built = True
            if self.activity_regularizer is not None:
                self._add_activity_loss(outputs)
        calling.carry_masks(self, call, outputs)
        return outputs

    def _check_inputs(self, inputs: Any) -> None:
        check_inputs(self, inputs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output. Written by subclasses."""
        raise NotImplementedError(
            f"{type(self).__name__} has no call(). Write `def call(self, inputs): ...` in it."
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the output's shape for an input's shape."""
        spec = self.compute_output_spec(calling.placeholders(input_shape, self.input_dtype))
        return tree.map_structure(lambda tensor: tensor.shape, spec)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return the output as symbolic tensors, for symbolic inputs."""
        if self._overrides_output_shape:
            call = calling.Call(self, args, kwargs)
            method = type(self).compute_output_shape
            given = calling.shapes_for(method, call, self, "compute_output_shape")
            shape = (
                self.compute_output_shape(**given)
                if isinstance(given, dict)
                else self.compute_output_shape(*given)
            )
            return calling.specs(shape, self.compute_dtype)

        def run(*arrays: Any, **named: Any) -> Any:
            inner = calling.Call(self, arrays, named)
            return self.call(*inner.args, **inner.kwargs)

        return shapes.infer(run, args, kwargs, f"{type(self).__name__} '{self.name}'")

    compute_output_spec._is_default = True  # type: ignore[attr-defined]

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Return the mask of the output: by default the input's own."""
        del inputs
        return previous_mask

    def stateless_call(
        self,
        trainable_variables: list,
        non_trainable_variables: list,
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> tuple:
        """Call the layer as a pure function: state in, state out, nothing changes.

        Args:
            trainable_variables, non_trainable_variables: values, in the order of the properties
                of the same names.
            *args, **kwargs: for the call.
            return_losses: also return the list of `losses`. Default: False.

        Returns:
            `(outputs, non_trainable_variables)`, and the losses if asked for.

        Example:
            >>> layer = staghorn.layers.Dense(2)
            >>> layer.build((None, 3))
            >>> state = [v.value for v in layer.trainable_variables]
            >>> out, rest = layer.stateless_call(state, [], np.ones((4, 3), "float32"))
            >>> out.shape, rest
            ((4, 2), [])
        """
        variables = [*self.trainable_variables, *self.non_trainable_variables]
        values = [*trainable_variables, *non_trainable_variables]
        if len(trainable_variables) != len(self.trainable_variables) or len(values) != len(
            variables
        ):
            raise ValueError(
                f"stateless_call on '{self.name}': expected {len(self.trainable_variables)} "
                f"trainable and {len(self.non_trainable_variables)} other values, got "
                f"{len(trainable_variables)} and {len(non_trainable_variables)}."
            )
        with Scope(variables, values) as scope:
            outputs = self(*args, **kwargs)
            losses = self.losses if return_losses else None
            rest = [scope.get(v) for v in self.non_trainable_variables]
        return (outputs, rest, losses) if return_losses else (outputs, rest)

    # Losses --------------------------------------------------------------------------------

    def add_loss(self, loss: Any, inputs: Any = None) -> None:
        """Add scalars to what training minimizes; called from `call`.

        On a functional model, also tensors that come from its inputs. `inputs` is ignored, as
        Keras 2 wrote it.

        Example:
            >>> class Quiet(staghorn.layers.Layer):
            ...     def call(self, x):
            ...         self.add_loss(0.01 * (x**2).mean())
            ...         return x
            >>> layer = Quiet()
            >>> _ = layer(np.ones((2, 2), "float32"))
            >>> len(layer.losses)
            1
        """
        del inputs
        scope = current_scope()
        store = self._losses if scope is None else scope.losses.setdefault(id(self), [])
        for value in loss if isinstance(loss, (list, tuple)) else [loss]:
            if getattr(value, "ndim", 0) > 0:
                raise ValueError(
                    f"add_loss in '{self.name}': a loss is a scalar, got shape {value.shape}. "
                    "Write staghorn.ops.mean(value) or staghorn.ops.sum(value)."
                )
            if isinstance(value, KerasTensor):
                self._add_symbolic_loss(value)
            else:
                store.append(value)

    def _add_symbolic_loss(self, value: KerasTensor) -> None:
        raise ValueError(calling.SYMBOLIC_LOSS.format(name=self.name, value=value))

    @property
    def losses(self) -> list:
        """What `add_loss` and the regularizers added during the last call."""
        scope = current_scope()
        found = []
        for layer in self._flatten_layers():
            found += layer._losses if scope is None else scope.losses.get(id(layer), [])
        for variable in self.trainable_weights:
            if variable.regularizer is not None:
                found.append(variable.regularizer(read(variable)))
        return found

    def _clear_losses(self) -> None:
        scope = current_scope()
        for layer in self._flatten_layers():
            if scope is None:
                layer._losses.clear()
            else:
                scope.losses.pop(id(layer), None)

    def _add_activity_loss(self, outputs: Any) -> None:
        for output in tree.flatten(outputs):
            if calling.is_tensor(output):
                loss = self.activity_regularizer(output)
                # Per sample, so that the strength does not depend on the batch size.
                self.add_loss(loss / output.shape[0] if output.ndim > 0 else loss)

    # The graph -----------------------------------------------------------------------------

    def _node(self, index: int, what: str) -> Node:
        if not self._inbound_nodes:
            raise AttributeError(
                f"{type(self).__name__} '{self.name}' has no {what}: it was never called on a "
                "symbolic tensor. Build the model with staghorn.Input, or call it on one."
            )
        return self._inbound_nodes[index]

    @property
    def input(self) -> Any:
        """The symbolic tensor(s) of its first call."""
        node = self._node(0, "input")
        tensors = node.input_tensors or node.outputs
        return tensors[0] if len(tensors) == 1 else tensors

    @property
    def output(self) -> Any:
        """The symbolic result of its first call."""
        return self._node(0, "output").output_structure

    @property
    def input_shape(self) -> Any:
        if self._inbound_nodes:
            return calling.shape_of(self.input)
        return self._build_shapes

    @property
    def output_shape(self) -> Any:
        return calling.shape_of(self.output)

    def get_input_at(self, node_index: int) -> Any:
        tensors = self._node(node_index, "input").input_tensors
        return tensors[0] if len(tensors) == 1 else tensors

    def get_output_at(self, node_index: int) -> Any:
        return self._node(node_index, "output").output_structure

    # Config --------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this layer again, in JSON form."""
        self._check_initialized()
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": dtype_policies.serialize(self.dtype_policy),
        }
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        own = tuple(n for n in parameter_names(type(self)) if n not in _BASE_ARGUMENTS)
        derived = derived_config(self, own)
        return config | {k: v for k, v in derived.items() if k not in _BASE_ARGUMENTS}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a layer from what `get_config` returned."""
        config = dict(config)
        kept: dict[str, Any] = {}
        if not is_builtin(cls) and not calling.takes_kwargs(cls):
            # The class's own constructor may not know the arguments every layer has.
            accepted = parameter_names(cls)
            kept = {k: config.pop(k) for k in _BASE_ARGUMENTS if k in config and k not in accepted}
        layer = super().from_config(config)
        if "name" in kept:
            layer.name = kept["name"]
        if kept.get("trainable") is False:
            layer.trainable = False
        if kept.get("dtype") is not None:
            layer.dtype_policy = kept["dtype"]
        return layer

    def recorded_arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments as they were given."""
        return recorded_arguments(self)

    def quantize(self, mode: str | None = None, type_check: Any = True, config: Any = None) -> None:
        """Quantize the weights; see `Dense.quantize`. Written by classes that can."""
        raise self._unquantizable()

    def _unquantizable(self, type_check: bool = True) -> Any:
        return NotImplementedError(calling.NO_INT8.format(type(self).__name__, self.name))

    # Files ---------------------------------------------------------------------------------

    def _stored(self) -> list[Variable]:
        """Return its own variables in the order of files: as they were created."""
        return [*self._trainable_variables, *self._non_trainable_variables]

    def _after_load(self) -> None:
        """Do what follows when its weights came from a file."""

    def save_own_variables(self, store: Any) -> None:
        """Write this layer's own weights as "0", "1", ... into a mapping."""
        for position, variable in enumerate(self._stored()):
            store[str(position)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Read this layer's own weights from a mapping that `save_own_variables` filled."""
        own = self._stored()
        if len(store.keys()) != len(own):
            raise ValueError(
                f"{type(self).__name__} '{self.name}' has {len(own)} weights, the file has "
                f"{len(store.keys())} for it."
            )
        for position, variable in enumerate(own):
            variable.assign(np.asarray(store[str(position)]))
        self._after_load()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _may_hold_state(value: Any) -> bool:
    return isinstance(value, (Variable, Layer, Metric, SeedGenerator, Optimizer, list, dict, tuple))


def _new_tracker(stores: dict[str, list]) -> Tracker:
    return Tracker(
        {
            "trainable": (_is_trainable_variable, stores["_trainable_variables"]),
            "non_trainable": (_is_variable, stores["_non_trainable_variables"]),
            "metrics": (functools.partial(is_a, Metric), stores["_metrics"]),
            "layers": (_is_layer, stores["_layers"]),
            "seeds": (functools.partial(is_a, SeedGenerator), stores["_seed_generators"]),
            "optimizers": (functools.partial(is_a, Optimizer), stores["_optimizers"]),
        }
    )


@functools.lru_cache(maxsize=1024)
def _tracked_build(build: Callable) -> Callable:
    """Wrap a class's `build`: it runs in the layer's own frame and marks it built."""

    @functools.wraps(build)
    def wrapped(self: Layer, *args: Any, **kwargs: Any) -> None:
        if self._building:  # super().build(...) from inside
            build(self, *args, **kwargs)
            return
        self._path = self._scope_path()
        self._building = True
        try:
            with Frame(self, None, None):
                build(self, *args, **kwargs)
        finally:
            self._building = False
        self._build_shapes = calling.recorded_shapes(build, args, kwargs)
        self.built = True
        self._after_build()

    if getattr(build, "_is_default", False):
        wrapped._is_default = True  # type: ignore[attr-defined]
    return wrapped
