"""Copies of architectures: `clone_model`, `model_from_json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

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
        twin = Sequential([copy(layer) for layer in model._stack], name=model.name)
        return twin(input_tensors) and twin if input_tensors is not None else twin
    if isinstance(model, Functional):
        by_name = {layer.name: layer for layer in model.layers}

        def make(entry: dict[str, Any]) -> Any:
            name = entry.get("name") if isinstance(entry, dict) else None
            return copy(by_name[name]) if name in by_name else deserialize_keras_object(entry)

        inputs, outputs = rebuild_graph(graph_config(model), make)
        twin = Functional(inputs, outputs, name=model.name)
        return Functional(input_tensors, twin(input_tensors)) if input_tensors is not None else twin
    return type(model).from_config(model.get_config())
