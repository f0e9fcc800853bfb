"""Wrapper: the base of layers around another layer."""

from typing import Any

from staghorn.engine.serialization import WithCustomObjects
from staghorn.layers.layer import Layer


def check_layer(owner: str, layer: Any, argument: str = "layer") -> None:
    """Raise ValueError unless an argument is a layer."""
    if not isinstance(layer, Layer):
        hint = f" Write {layer.__name__}(...) for an instance." if isinstance(layer, type) else ""
        raise ValueError(
            f"{owner}: {argument} must be a layer, got {layer!r} ({type(layer).__name__}).{hint}"
        )


class Wrapper(WithCustomObjects, Layer):
    """Base of layers that hold another layer in `layer`, build it and save it.

    Args:
        layer: the layer inside.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: if `layer` is not a layer.

    Example:
        >>> class Twice(staghorn.layers.Wrapper):
        ...     def call(self, inputs):
        ...         return self.layer(self.layer(inputs))
        >>> Twice(staghorn.layers.Dense(4))(np.ones((2, 4), "float32")).shape
        (2, 4)
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        check_layer(type(self).__name__, layer)
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
