"""What layers without weights share: shapes and types that pass through, and their config."""

from typing import Any

from staghorn import dtype_policies
from staghorn.engine.dtypes import is_float
from staghorn.engine.shapes import infer
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.layer import Layer


class ElementwiseLayer(Layer):
    """Base of layers that have no weights and keep the shape and the mask of their input."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        # Nothing to build, unless a subclass brings its own build().
        self.built = not self._overrides_build

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def compute_output_spec(self, inputs: Any, **kwargs: Any) -> Any:
        if isinstance(inputs, KerasTensor) and is_float(inputs.dtype):
            return super().compute_output_spec(inputs, **kwargs)
        # Whole numbers may stay what they are, or not: only the layer's own code can tell.
        return infer(self.call, (inputs,), kwargs, f"{type(self).__name__} '{self.name}'")


def carried_dtype(layer: Layer, tensor: Any) -> str:
    """Return the type in which an input leaves a layer that only moves its values."""
    if layer.autocast and is_float(tensor.dtype) and is_float(layer.compute_dtype):
        return layer.compute_dtype
    return str(tensor.dtype)


def base_config(layer: Layer) -> dict[str, Any]:
    """Return the part of a config that every layer has."""
    return {
        "name": layer.name,
        "trainable": layer.trainable,
        "dtype": dtype_policies.serialize(layer.dtype_policy),
    }
