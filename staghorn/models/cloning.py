"""Copies of architectures: `clone_model`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from staghorn.engine import tree
from staghorn.engine.serialization import Configurable, custom_object_scope
from staghorn.engine.symbolic import OpCall
from staghorn.layers.core import Lambda
from staghorn.layers.input import Input, InputLayer
from staghorn.layers.layer import Layer
from staghorn.models.functional import Functional, takes_graph
from staghorn.models.sequential import Sequential
from staghorn.optimizers.optax_optimizer import transformations


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    *,
    cache: dict[int, Any] | None = None,
) -> Any:
    """Copy an architecture: new layers with fresh weights, compiled as the model is.

    Args:
        model: a Sequential or Functional model; another needs a `get_config`.
        input_tensors: symbolic tensors for the copy's inputs. Default: new Inputs.
        clone_function: `layer → layer`, applied to every layer but Inputs. Default: a copy.
        call_function: `(layer, *args, **kwargs) → outputs`, which calls the new layers of a
            Functional model. Default: their own call.
        recursive: go into models inside with the same functions. Default: False, as layers.
        cache: id of a layer → its copy, for those that are copied already. Default: none.

    Raises:
        ValueError: for functions or tensors that this kind of model has no use for.

    Example:
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> twin = staghorn.models.clone_model(model)
        >>> twin.count_params() == model.count_params()
        True
    """
    copies: dict[int, Any] = {} if cache is None else cache

    def copy(layer: Any) -> Any:
        if id(layer) not in copies:
            copies[id(layer)] = made(layer)
        return copies[id(layer)]

    def made(layer: Any) -> Any:
        if isinstance(layer, OpCall):
            return OpCall(layer.function, name=layer.name)
        if recursive and isinstance(layer, (Sequential, Functional)):
            call = None if isinstance(layer, Sequential) else call_function
            return clone_model(layer, None, clone_function, call, recursive, cache=copies)
        if clone_function is not None and not isinstance(layer, InputLayer):
            return clone_function(layer)
        if type(layer) is Lambda:  # its function may have no name
            args, kwargs = layer._init_arguments
            return Lambda(*args, **{**kwargs, "name": layer.name})
        return type(layer).from_config(layer.get_config())

    if isinstance(model, Sequential):
        if call_function is not None:
            raise ValueError("clone_model: call_function is for Functional models.")
        layers = model._stack if input_tensors is None else model.layers
        first = [] if input_tensors is None else [_one_input(input_tensors)]
        twin: Any = Sequential(first + [copy(layer) for layer in layers], name=model.name)
    elif isinstance(model, Functional):
        starts = input_tensors
        if starts is None:
            starts = tree.map_structure(
                lambda t: Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), model.input
            )

        def call(operation: Any, args: Any, kwargs: Any) -> Any:
            layer = copy(operation)
            if call_function is None or isinstance(layer, OpCall):
                return layer(*args, **kwargs)
            return call_function(layer, *args, **kwargs)

        outputs = model._graph.run(tree.flatten(starts), apply=call)
        cls = type(model) if takes_graph(type(model)) else Functional
        twin = cls(starts, tree.pack_sequence_as(model._outputs_struct, outputs), name=model.name)
    elif clone_function or call_function or input_tensors is not None:
        raise ValueError(
            f"clone_model: {type(model).__name__} '{model.name}' is neither Sequential nor "
            "Functional; it is copied whole. Leave the functions and tensors out."
        )
    else:
        twin = type(model).from_config(model.get_config())
    if model.compiled and model._compile_arguments is not None:
        twin.compile(**tree.map_structure(_fresh, model._compile_arguments))
    return twin


def _fresh(value: Any) -> Any:
    """Return an optimizer, loss or metric without its state."""
    if not isinstance(value, Configurable):
        return value
    with custom_object_scope(transformations(value)):
        return type(value).from_config(value.get_config())


def _one_input(tensors: Any) -> Any:
    flat = tree.flatten(tensors)
    if len(flat) != 1:
        raise ValueError(f"clone_model: a Sequential model has one input, got {len(flat)}.")
    return flat[0]
