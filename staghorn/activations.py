"""Activation functions and their names: `keras.activations`."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from staghorn.engine.registry import Family, missing_names
from staghorn.engine.serialization import serialize_keras_object
from staghorn.engine.symbolic import op
from staghorn.ops import nn, numpy
from staghorn.ops.core import as_array

__all__ = [
    "celu", "deserialize", "elu", "exponential", "gelu", "get", "glu", "hard_shrink",
    "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid",
    "log_softmax", "mish", "relu", "relu6", "selu", "serialize", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus",
    "swish", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip


def _activation(function: Callable, name: str = "") -> Callable:
    # The same function under this module's address: configs name activations by it.
    @wraps(function)
    def activation(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    old = f"staghorn.ops.{function.__name__}("
    activation.__name__ = activation.__qualname__ = name or function.__name__
    activation.__module__ = __name__
    new = f"staghorn.activations.{activation.__name__}("
    activation.__doc__ = (function.__doc__ or "").replace(old, new)
    return activation


celu = _activation(nn.celu)
elu = _activation(nn.elu)
exponential = _activation(numpy.exp, "exponential")
glu = _activation(nn.glu)
hard_shrink = _activation(nn.hard_shrink)
hard_sigmoid = _activation(nn.hard_sigmoid)
hard_silu = hard_swish = _activation(nn.hard_silu)
hard_tanh = _activation(nn.hard_tanh)
leaky_relu = _activation(nn.leaky_relu)
log_sigmoid = _activation(nn.log_sigmoid)
log_softmax = _activation(nn.log_softmax)
relu6 = _activation(nn.relu6)
selu = _activation(nn.selu)
sigmoid = _activation(nn.sigmoid)
silu = swish = _activation(nn.silu)
soft_shrink = _activation(nn.soft_shrink)
softmax = _activation(nn.softmax)
softplus = _activation(nn.softplus)
softsign = _activation(nn.softsign)
sparse_plus = _activation(nn.sparse_plus)
sparse_sigmoid = _activation(nn.sparse_sigmoid)
sparsemax = _activation(nn.sparsemax)
squareplus = _activation(nn.squareplus)
tanh = _activation(numpy.tanh)
tanh_shrink = _activation(nn.tanh_shrink)
threshold = _activation(nn.threshold)


@op
def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> jax.Array:
    """Rectified linear unit: max(x, 0), and its variants.

    (...) → (...)
    y = x where x > threshold, else negative_slope * (x - threshold), cut at max_value

    Args:
        x: an array.
        negative_slope: slope below the threshold. Default: 0.0.
        max_value: largest result. Default: None, no bound.
        threshold: where the unit opens. Default: 0.0.

    Example:
        >>> print(staghorn.activations.relu([-1.0, 2.0]))
        [0. 2.]
    """
    x = as_array(x)
    if threshold == 0 and max_value is None:
        return nn.leaky_relu(x, negative_slope) if negative_slope else nn.relu(x)
    if threshold == 0 and max_value == 6:
        upper = nn.relu6(x)
    else:
        upper = nn.relu(x) if threshold == 0 else jnp.where(x > threshold, x, 0.0)
        upper = upper if max_value is None else jnp.clip(upper, 0.0, max_value)
    if not negative_slope:
        return upper
    return upper - negative_slope * nn.relu(-x + threshold if threshold else -x)


@op
def gelu(x: Any, approximate: bool = False) -> jax.Array:
    """Gaussian error linear unit: x * P(X <= x) for a standard normal X.

    (...) → (...)        y = x * (1 + erf(x / sqrt(2))) / 2

    Args:
        x: an array.
        approximate: use the tanh formula. Default: False (in `ops.gelu`: True, as in Keras).

    Example:
        >>> print(staghorn.activations.gelu([-100.0, 0.0, 100.0]))
        [ -0.   0. 100.]

    Reference:
        Hendrycks and Gimpel, 2016, https://arxiv.org/abs/1606.08415
    """
    return jax.nn.gelu(as_array(x), approximate)


@op
def mish(x: Any) -> jax.Array:
    """Smooth unit with a small dip below zero: x * tanh(softplus(x)).

    (...) → (...)

    Args:
        x: an array.

    Example:
        >>> print(staghorn.activations.mish(0.0))
        0.0

    Reference:
        Misra, 2019, https://arxiv.org/abs/1908.08681
    """
    x = as_array(x)
    return x * jnp.tanh(jax.nn.softplus(x))


def linear(x: Any) -> Any:
    """Return the input as it is.

    Args:
        x: anything.

    Example:
        >>> staghorn.activations.linear(3.0)
        3.0
    """
    return x


FAMILY = Family(
    "activation",
    "keras.activations",
    {name: globals()[name] for name in __all__ if name not in ("get", "serialize", "deserialize")},
)


def get(identifier: Any) -> Callable:
    """Turn a name, a config, a function or None into an activation function.

    Args:
        identifier: "relu", a dict that `serialize` returned, a function or layer (returned as it
            is), or None (linear).

    Raises:
        ValueError: for an unknown name, or something that cannot be called.

    Example:
        >>> staghorn.activations.get("swish").__name__, staghorn.activations.get(None).__name__
        ('silu', 'linear')
    """
    return linear if identifier is None else FAMILY.get(identifier)


def serialize(activation: Any) -> Any:
    """Return the JSON form: the name of a built-in function, else a dict.

    Args:
        activation: a function, or a layer that stands for one.

    Example:
        >>> staghorn.activations.serialize(staghorn.activations.relu)
        'relu'
    """
    name = getattr(activation, "__name__", None)
    ours = str(getattr(activation, "__module__", "")).startswith("staghorn.")
    if ours and name in FAMILY.objects:
        # `ops.swish` and other ops stand for the activation of that name.
        return FAMILY.objects[name].__name__
    return serialize_keras_object(activation)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Build an activation from its JSON form or name.

    Args:
        config: what `serialize` returned, or a name.
        custom_objects: dict, name → your own class or function. Default: None.

    Example:
        >>> staghorn.activations.deserialize("tanh").__name__
        'tanh'
    """
    return FAMILY.deserialize(config, custom_objects)


if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
