"""Activations as layers: Activation, ReLU, LeakyReLU, PReLU, ELU, Softmax."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import activations, constraints, initializers, regularizers
from staghorn.engine.arguments import Is, NonNegative, OneOrMore, check_values
from staghorn.engine.dtypes import standardize_dtype
from staghorn.layers.elementwise import ElementwiseLayer
from staghorn.layers.input_spec import InputSpec
from staghorn.layers.layer import Layer


class Activation(ElementwiseLayer):
    """Apply an activation function.

    (batch, …) → (batch, …)        y = activation(x)

    Args:
        activation: function or name; None is the identity.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a name that is not known.

    Example:
        >>> layer = staghorn.layers.Activation("relu")
        >>> np.asarray(layer(np.array([-1.0, 2.0], "float32"))).tolist()
        [0.0, 2.0]
    """

    def __init__(self, activation: str | Callable | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)


class ReLU(ElementwiseLayer):
    """Rectified linear unit, with an optional ceiling, slope and threshold.

    (batch, …) → (batch, …)

    y = max_value                            where x >= max_value
    y = x                                    where threshold <= x < max_value
    y = negative_slope * (x - threshold)     elsewhere

    Args:
        max_value: float of 0 or more, the ceiling. Default: None, no ceiling.
        negative_slope: float of 0 or more. Default: 0.
        threshold: float of 0 or more. Default: 0.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a negative argument.

    Example:
        >>> layer = staghorn.layers.ReLU(max_value=1.0)
        >>> np.asarray(layer(np.array([-1.0, 0.5, 3.0], "float32"))).tolist()
        [0.0, 0.5, 1.0]
    """

    arguments = {
        "max_value": NonNegative(float, optional=True),
        "negative_slope": NonNegative(float),
        "threshold": NonNegative(float),
    }

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, inputs: Any) -> Any:
        return activations.relu(
            inputs,
            negative_slope=self.negative_slope,
            max_value=self.max_value,
            threshold=self.threshold,
        )


class LeakyReLU(ElementwiseLayer):
    """Rectified linear unit that lets a share of negative values through.

    (batch, …) → (batch, …)        y = x where x >= 0, negative_slope * x elsewhere

    Args:
        negative_slope: float of 0 or more. Default: 0.3.
        **kwargs: `name`, `dtype`, ... as for every layer; `alpha` is the old name of
            `negative_slope`.

    Raises:
        ValueError: for a negative slope below 0.

    Example:
        >>> layer = staghorn.layers.LeakyReLU(negative_slope=0.5)
        >>> np.asarray(layer(np.array([-1.0, 2.0], "float32"))).tolist()
        [-0.5, 2.0]

    Reference: Maas et al., 2013, "Rectifier nonlinearities improve neural network acoustic models".
    """

    arguments = {"negative_slope": NonNegative(float)}

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        self.negative_slope = negative_slope

    def call(self, inputs: Any) -> Any:
        return activations.leaky_relu(inputs, negative_slope=self.negative_slope)


class PReLU(Layer):
    """Leaky rectifier whose slope is learned, one for each place of the input.

    (batch, …) → (batch, …)        y = x where x >= 0, alpha * x elsewhere

    Weights: alpha, the shape of one sample, with size 1 on the shared axes.

    Args:
        alpha_initializer: Default: "Zeros".
        alpha_regularizer: added to the loss. Default: None.
        alpha_constraint: applied after each update. Default: None.
        shared_axes: axis or list of axes (1 is the first after the batch) along which one slope
            is shared; (1, 2) for images. Default: None.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an input whose unshared axes differ from those it was built for.

    Notes: axes below 1 go on counting down from 1, as in Keras and its files: 0 is the last axis,
    -1 the last but one. Name axes from the front.

    Example:
        >>> layer = staghorn.layers.PReLU(alpha_initializer=staghorn.initializers.Constant(0.5))
        >>> np.asarray(layer(np.array([[-1.0, 2.0]], "float32"))).tolist()
        [[-0.5, 2.0]]

    Reference: He et al., 2015, https://arxiv.org/abs/1502.01852
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        check_values("PReLU", {"shared_axes": OneOrMore(Is(int), True)}, {"shared_axes": axes})
        self.shared_axes = None if axes is None else list(axes)

    def build(self, input_shape: tuple) -> None:
        rank = len(input_shape)
        if not all(1 - rank < axis < rank for axis in self.shared_axes or ()):
            raise ValueError(
                f"PReLU '{self.name}': shared_axes must be axes from 1 to {rank - 1} of an "
                f"input of shape {tuple(input_shape)}, got {self.shared_axes!r}."
            )
        shared = {(axis - 1) % (rank - 1) + 1 for axis in self.shared_axes or ()}
        shape = tuple(1 if i in shared else input_shape[i] for i in range(1, rank))
        self.alpha = self.add_weight(
            name="alpha",
            shape=shape,
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )
        axes = {axis: size for axis, size in enumerate(input_shape) if axis and axis not in shared}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=axes if shared else None)

    def call(self, inputs: Any) -> jax.Array:
        alpha = jnp.expand_dims(self.alpha.value, 0)  # (1, …)
        return jax.nn.relu(inputs) - alpha * jax.nn.relu(-inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class ELU(ElementwiseLayer):
    """Exponential linear unit.

    (batch, …) → (batch, …)        y = x where x > 0, alpha * (exp(x) - 1) elsewhere

    Args:
        alpha: float, minus the limit for very negative x. Default: 1.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an `alpha` that is not a number.

    Example:
        >>> np.asarray(staghorn.layers.ELU()(np.array([0.0, 2.0], "float32"))).tolist()
        [0.0, 2.0]

    Reference: Clevert et al., 2016, https://arxiv.org/abs/1511.07289
    """

    arguments = {"alpha": Is(float)}

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Any) -> Any:
        return activations.elu(inputs, alpha=self.alpha)


class Softmax(ElementwiseLayer):
    """Turn scores into positive numbers that add up to 1; masked places get 0.

    (batch, …) → (batch, …)        y = exp(x) / sum(exp(x)) along `axis`

    Args:
        axis: int or tuple of ints, the axes that add up to 1 together. Default: -1.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a mask that does not broadcast to the input.

    Example:
        >>> layer = staghorn.layers.Softmax()
        >>> scores, mask = np.zeros((1, 3), "float32"), np.array([[True, True, False]])
        >>> np.asarray(layer(scores, mask=mask)).tolist()
        [[0.5, 0.5, 0.0]]
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any, mask: Any = None) -> Any:
        axis = self.axis if isinstance(self.axis, int) else tuple(self.axis)
        if mask is None:
            return _softmax(inputs, axis)
        mask = self._fitting(mask, inputs)
        # Keras's large negative numbers: -inf would make rows without any step NaN.
        low = -3e4 if standardize_dtype(inputs.dtype) == "float16" else -1e9
        shares = _softmax(jnp.where(mask, inputs, low), axis)
        return jnp.where(mask, shares, 0.0)

    def _fitting(self, mask: Any, inputs: Any) -> jax.Array:
        """Return the mask as booleans with as many axes as the inputs."""
        sizes = zip(reversed(mask.shape), reversed(inputs.shape), strict=False)
        if mask.ndim > inputs.ndim or any(m not in (1, size) for m, size in sizes):
            raise ValueError(
                f"Softmax '{self.name}': the mask must broadcast to the inputs, got mask shape "
                f"{tuple(mask.shape)} for inputs of shape {tuple(inputs.shape)}."
            )
        mask = mask if mask.dtype == bool else mask > 0.5
        return jnp.reshape(mask, (1,) * (inputs.ndim - mask.ndim) + tuple(mask.shape))


def _softmax(x: jax.Array, axis: int | tuple[int, ...]) -> jax.Array:
    if isinstance(axis, tuple) and len(axis) > 1:
        return jnp.exp(x - jax.nn.logsumexp(x, axis=axis, keepdims=True))
    return activations.softmax(x, axis=axis[0] if isinstance(axis, tuple) else axis)
