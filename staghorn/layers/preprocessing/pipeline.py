"""Pipeline: layers after one another, as one layer."""

from collections.abc import Sequence
from typing import Any

from staghorn.engine.arguments import Each, Is
from staghorn.layers.layer import Layer


class Pipeline(Layer):
    """Apply layers after one another, mostly such that prepare data.

    Unlike a `Sequential`, it is no model: it takes whatever its layers take, dicts too.

    Args:
        layers: the layers.
        name: a label. Default: made from the class.

    Raises:
        ValueError: if one of them is not a layer.

    Example:
        >>> prepare = staghorn.layers.Pipeline([
        ...     staghorn.layers.AutoContrast((0, 1)), staghorn.layers.RandomFlip(seed=1)])
        >>> prepare({"images": np.ones((2, 4, 4, 3)), "labels": np.arange(2)})["images"].shape
        (2, 4, 4, 3)
    """

    arguments = {"layers": Each(Is(Layer), empty=True)}
    supports_masking = True

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        super().__init__(name=name)
        self.layers = list(layers)
        self._convert_input_args = False  # text goes through

    def build(self, input_shape: Any) -> None:
        for layer in self.layers:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def call(self, inputs: Any, training: bool = True, mask: Any = None) -> Any:
        del training, mask  # they travel in the frame, and with the data
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs

    def compute_output_spec(self, inputs: Any, training: bool = True, mask: Any = None) -> Any:
        del training, mask
        for layer in self.layers:
            inputs = layer.compute_output_spec(inputs)
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {key: config[key] for key in ("layers", "name")}
