"""Copies of architectures: `clone_model`, `model_from_json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from staghorn.engine import tree
from staghorn.engine.serialization import deserialize_keras_object
from staghorn.layers.input import InputLayer
from staghorn.layers.layer import Layer
from staghorn.models.functional import Functional
from staghorn.models.graph_config import graph_config, rebuild_graph
from staghorn.models.sequential import Sequential


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """Make a model, with fresh weights, from what `to_json` returned.

    Example:
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> staghorn.models.model_from_json(model.to_json()).output_shape
        (None, 2)
    """
    return deserialize_keras_object(json.loads(json_string), custom_objects=custom_objects)


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
) -> Any:
    """Copy an architecture: new layers with fresh weights.

    Args:
        model: a Sequential or Functional model; another needs a `get_config`.
        input_tensors: symbolic tensors for the copy's inputs. Default: new Inputs.
        clone_function: `layer → layer`, applied to every layer but Inputs. Default: a copy.

    Example:
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> twin = staghorn.models.clone_model(model)
        >>> twin.count_params() == model.count_params()
        True
    """

    def copy(layer: Layer) -> Layer:
        if clone_function is not None and not isinstance(layer, InputLayer):
            return clone_function(layer)
        return type(layer).from_config(layer.get_config())

    if isinstance(model, Sequential):
        stack = model._stack
        if input_tensors is not None:
            stack = model.layers
        copies = {id(layer): copy(layer) for layer in stack}
        layers = [copies[id(layer)] for layer in stack]
        if input_tensors is not None:
            layers.insert(0, _one_input(input_tensors))
        return Sequential(layers, name=model.name)
    if isinstance(model, Functional):
        by_name = {layer.name: layer for layer in model.layers}

        def make(entry: dict[str, Any]) -> Any:
            name = entry.get("name") if isinstance(entry, dict) else None
            return copy(by_name[name]) if name in by_name else deserialize_keras_object(entry)

        inputs, outputs = rebuild_graph(graph_config(model), make)
        twin = Functional(inputs, outputs, name=model.name)
        if input_tensors is None:
            return twin
        ends = tree.flatten(input_tensors)
        made = twin._graph.run(ends)
        return Functional(
            input_tensors, tree.pack_sequence_as(twin.output, made), name=model.name
        )
    return type(model).from_config(model.get_config())


def _one_input(tensors: Any) -> Any:
    flat = tree.flatten(tensors)
    if len(flat) != 1:
        raise ValueError(f"clone_model: a Sequential model has one input, got {len(flat)}.")
    return flat[0]
