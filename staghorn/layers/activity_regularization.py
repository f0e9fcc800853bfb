"""ActivityRegularization: a loss from the size of what passes through."""

from typing import Any

from staghorn import regularizers
from staghorn.engine.arguments import NonNegative
from staghorn.layers.elementwise import ElementwiseLayer


class ActivityRegularization(ElementwiseLayer):
    """Return the input, and add a loss that grows with its values.

    (batch, …) → (batch, …)        y = x,  loss += (l1 * sum(|x|) + l2 * sum(x²)) / batch

    Args:
        l1: number >= 0, the weight of the absolute values. Default: 0.0.
        l2: number >= 0, the weight of the squares. Default: 0.0.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a weight that is not a number of 0 or more.

    Example:
        >>> layer = staghorn.layers.ActivityRegularization(l2=0.5)
        >>> _ = layer(np.array([[1.0, 3.0]], "float32"))
        >>> float(layer.losses[0])
        5.0
    """

    arguments = {"l1": NonNegative(float), "l2": NonNegative(float)}

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["activity_regularizer"]  # made of l1 and l2
        return config
