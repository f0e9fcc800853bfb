"""Identity, Lambda and Masking."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp

from staghorn.engine import shapes, tree
from staghorn.engine.dtypes import is_float
from staghorn.engine.serialization import (
    WithCustomObjects,
    deserialize_keras_object,
    get_registered_name,
    serialize_keras_object,
)
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.elementwise import ElementwiseLayer, base_config, carried_dtype
from staghorn.layers.layer import Layer

_UNNAMED = """\
{layer}: {what} is a lambda expression, which has no name to write into a config, and code
is never written into one. Give it a name, then use that function in the layer:
    @staghorn.saving.register_keras_serializable()
    def my_function(x):
        ..."""


class Identity(ElementwiseLayer):
    """Return the input.

    (batch, …) → (batch, …)        y = x

    Args:
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that no layer has.

    Example:
        >>> np.asarray(staghorn.layers.Identity()(np.array([1, 2]))).tolist()
        [1, 2]
    """

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_output_spec(self, inputs: Any, **kwargs: Any) -> Any:
        del kwargs
        return tree.map_structure(lambda x: KerasTensor(x.shape, carried_dtype(self, x)), inputs)


class Masking(ElementwiseLayer):
    """Mark the steps of a sequence whose features all have one value as padding, and clear them.

    (batch, time, …, features) → (batch, time, …, features)

    mask = any(x != mask_value) over the last axis;  y = x where mask, 0 elsewhere

    Args:
        mask_value: number. Default: 0.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an argument that no layer has.

    Example:
        >>> layer = staghorn.layers.Masking(mask_value=-1.0)
        >>> y = layer(np.array([[[3.0, -1.0], [-1.0, -1.0]]], "float32"))
        >>> np.asarray(y).tolist()
        [[[3.0, -1.0], [0.0, 0.0]]]

    Notes: layers after it that know masks (LSTM, attention, losses) skip the marked steps.
    """

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = deserialize_keras_object(mask_value)

    def compute_mask(self, inputs: Any, mask: Any = None) -> jax.Array:
        del mask
        x = inputs if is_float(inputs.dtype) else inputs.astype(jnp.float32)
        value = jnp.asarray(self.mask_value, x.dtype)
        value = jnp.reshape(value, (1,) * (x.ndim - value.ndim) + value.shape)
        return jnp.any(x != value, axis=-1)

    def call(self, inputs: Any) -> jax.Array:
        kept = jnp.expand_dims(self.compute_mask(inputs), -1)  # (batch, time, …, 1)
        return jnp.where(kept, inputs, jnp.zeros((), inputs.dtype))


class Lambda(WithCustomObjects, Layer):
    """Use any function as a layer.

    (…) → whatever the function makes of it        y = function(x, **arguments)

    Args:
        function: takes the inputs; also `mask` and `training` if it has parameters of these names.
        output_shape: shape of one sample, or a function from input shape to output shape.
            Default: None, found by tracing.
        mask: the output's mask, or a function `(inputs, mask) → mask`. Default: None.
        arguments: dict of more keyword arguments for the function. Default: None.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: if `function` cannot be called; in `get_config`, if it has no name.

    Example:
        >>> layer = staghorn.layers.Lambda(lambda x: x ** 2)
        >>> np.asarray(layer(np.array([3.0]))).tolist()
        [9.0]

    Notes: a config holds the name of the function, never its code: to save a model with this layer,
    decorate the function with `staghorn.saving.register_keras_serializable()`. Weights that the
    function uses are not trained; write a Layer for that.
    """

    def __init__(
        self,
        function: Callable,
        output_shape: Sequence[int | None] | Callable | None = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise ValueError(
                f"Lambda: function must be a callable, got {function!r} "
                f"({type(function).__name__})."
            )
        self.function = function
        self.arguments = arguments or {}  # type: ignore[misc]
        self.mask = mask
        self.supports_masking = mask is not None
        self._output_shape = output_shape
        self._wanted = _parameters(function) & {"mask", "training"}

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        given = {"mask": mask, "training": training}
        return self.function(inputs, **self.arguments, **{k: given[k] for k in self._wanted})

    def compute_output_shape(self, input_shape: Any) -> Any:
        wanted = self._output_shape
        if wanted is None:
            inputs = _map_shapes(lambda s: KerasTensor(s, self.compute_dtype), input_shape)
            return tree.map_structure(lambda x: x.shape, self._traced(inputs))
        if callable(wanted):
            return wanted(input_shape)
        batch = tree.flatten(input_shape)[0]
        return _map_shapes(lambda shape: (batch, *shape), wanted)

    def compute_output_spec(self, inputs: Any, mask: Any = None, training: Any = None) -> Any:
        if self._output_shape is None:
            return self._traced(inputs, mask=mask, training=training)
        given = tree.map_structure(lambda x: x.shape, inputs) if _is_nest(inputs) else inputs.shape
        shape = self.compute_output_shape(given)
        return _map_shapes(lambda s: KerasTensor(s, self.compute_dtype), shape)

    def _traced(self, inputs: Any, **kwargs: Any) -> Any:
        return shapes.infer(self.call, (inputs,), kwargs, f"Lambda '{self.name}'")

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        config = {
            **base_config(self),
            "function": named_function(self, self.function, "the function"),
        }
        if self._output_shape is not None:
            config["output_shape"] = named_function(self, self._output_shape, "output_shape")
        if self.mask is not None:
            config["mask"] = named_function(self, self.mask, "mask")
        config["arguments"] = serialize_keras_object(dict(self.arguments))
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None, safe_mode: bool | None = None
    ) -> Self:
        """Build the layer from what `get_config` returned.

        Args:
            config: dict of constructor arguments; functions are named, never code.
            custom_objects: name → function, known meanwhile. Default: None.
            safe_mode: without effect, since no code is ever run from a config. Default: None.
        """
        del safe_mode
        return super().from_config(config, custom_objects)


def named_function(layer: Layer, value: Any, what: str) -> Any:
    """Return what a config says of a function: its name, which a lambda expression has not."""
    if inspect.isfunction(value) and get_registered_name(value) == "<lambda>":
        label = f"{type(layer).__name__} '{layer.name}'"
        raise ValueError(_UNNAMED.format(layer=label, what=what))
    return serialize_keras_object(value)


def _parameters(function: Callable) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except ValueError:  # some built-in functions have no signature to read
        return set()


def _is_nest(x: Any) -> bool:
    return isinstance(x, (list, tuple, dict))


def _map_shapes(fn: Callable, nest: Any) -> Any:
    """Map a function over the shapes in a nest; a shape is a tuple or list of ints and None."""
    if isinstance(nest, dict):
        return {key: _map_shapes(fn, value) for key, value in nest.items()}
    if all(size is None or isinstance(size, int) for size in nest):
        return fn(tuple(nest))
    return type(nest)(_map_shapes(fn, item) for item in nest)
