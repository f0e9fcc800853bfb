"""Penalties on weights or activations: an array in, a scalar out, added to the loss."""

import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config as defaults
from staghorn.engine.arguments import Interval, Options
from staghorn.engine.dtypes import is_float
from staghorn.engine.registry import Family, missing_names
from staghorn.engine.serialization import Configurable

__all__ = [
    "L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2",
    "l2", "orthogonal_regularizer", "serialize",
]  # fmt: skip

NON_NEGATIVE = Interval(0, math.inf, closed="left")


def absolute_sum(x: jax.Array) -> jax.Array:
    """Sum of absolute values: shape → ()."""
    return jnp.sum(jnp.abs(x))


def square_sum(x: jax.Array) -> jax.Array:
    """Sum of squares: shape → ()."""
    return jnp.sum(jnp.square(x))


def mean_overlap(x: jax.Array, axis: int) -> jax.Array:
    """Mean absolute cosine between the unit vectors that lie along `axis`: (rows, columns) → ().

    sum_{i≠j} |u_i · u_j| / 2 / number of pairs
    """
    smallest = defaults.epsilon() ** 2
    # max inside the root, so that the gradient of a zero vector is 0 and not nan
    unit = x * jax.lax.rsqrt(
        jnp.maximum(jnp.sum(jnp.square(x), axis=axis, keepdims=True), smallest)
    )
    product = unit @ unit.T if axis == 1 else unit.T @ unit  # (vectors, vectors)
    count = product.shape[0]
    others = 1.0 - jnp.eye(count, dtype=x.dtype)
    return 0.5 * absolute_sum(product * others) / (count * (count - 1.0) / 2.0)


class Regularizer(Configurable):
    """Base of regularizers: a callable from an array to a scalar.

    shape → ()

    Example:
        >>> class Mean(staghorn.regularizers.Regularizer):
        ...     def __call__(self, x):
        ...         return abs(x).mean()
        >>> float(Mean()(np.array([-1.0, 3.0])))
        2.0
    """

    def __call__(self, x: Any) -> Any:
        return 0.0


class L1L2(Regularizer):
    """Both penalties: l1 * sum(|x|) + l2 * sum(x²).

    shape → ()

    Args:
        l1: factor of the absolute values. Default: 0.
        l2: factor of the squares. Default: 0.

    Raises:
        ValueError: if a factor is negative, infinite or not a number.

    Example:
        >>> float(staghorn.regularizers.L1L2(1.0, 2.0)(np.array([-1.0, 2.0])))
        13.0
    """

    arguments = {"l1": NON_NEGATIVE, "l2": NON_NEGATIVE}

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _number(l1, default=0.0)
        self.l2 = _number(l2, default=0.0)

    def __call__(self, x: Any) -> jax.Array:
        x = _floats(x)
        total = jnp.zeros((), x.dtype)
        if self.l1 != 0:
            total += self.l1 * absolute_sum(x)
        if self.l2 != 0:
            total += self.l2 * square_sum(x)
        return total


class L1(Regularizer):
    """Penalty on absolute values: l1 * sum(|x|).

    shape → ()

    Args:
        l1: the factor. Default: 0.01.

    Raises:
        ValueError: if the factor is negative, infinite or not a number.

    Example:
        >>> float(staghorn.regularizers.L1(1.0)(np.array([-1.0, 2.0])))
        3.0

    Notes: the factor is rounded to float32, as in Keras, whose configs show it.
    """

    arguments = {"l1": NON_NEGATIVE}

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _single(_number(l1, default=0.01))

    def __call__(self, x: Any) -> jax.Array:
        return self.l1 * absolute_sum(_floats(x))


class L2(Regularizer):
    """Penalty on squares: l2 * sum(x²).

    shape → ()

    Args:
        l2: the factor. Default: 0.01.

    Raises:
        ValueError: if the factor is negative, infinite or not a number.

    Example:
        >>> float(staghorn.regularizers.L2(1.0)(np.array([-1.0, 2.0])))
        5.0
    """

    arguments = {"l2": NON_NEGATIVE}

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _number(l2, default=0.01)

    def __call__(self, x: Any) -> jax.Array:
        return self.l2 * square_sum(_floats(x))


class OrthogonalRegularizer(Regularizer):
    """Penalty on the angles between rows (or columns), smallest when they are orthogonal.

    (rows, columns) → ()        factor * mean over pairs of |cosine|

    Args:
        factor: strength. Default: 0.01.
        mode: "rows" or "columns". Default: "rows".

    Raises:
        ValueError: if an argument is wrong, or the input does not have two axes.

    Example:
        >>> penalty = staghorn.regularizers.OrthogonalRegularizer(1.0)
        >>> float(penalty(np.eye(3))), round(float(penalty(np.ones((2, 3)))), 5)
        (0.0, 1.0)
    """

    arguments = {"factor": NON_NEGATIVE, "mode": Options("rows", "columns")}

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _single(factor)
        self.mode = mode

    def __call__(self, inputs: Any) -> jax.Array:
        x = _floats(inputs)
        if x.ndim != 2:
            raise ValueError(
                f"OrthogonalRegularizer: the input must have two axes, got shape {x.shape}. "
                "It fits the kernel of a Dense layer, not that of a convolution."
            )
        return self.factor * mean_overlap(x, axis=1 if self.mode == "rows" else 0)


def _floats(x: Any) -> jax.Array:
    x = jnp.asarray(x)
    return x if is_float(x.dtype) else x.astype(defaults.floatx())


def _number(value: Any, default: float) -> Any:
    if value is None:
        return default
    return float(value) if _is_number(value) else value


def _single(value: Any) -> Any:
    return float(np.float32(value)) if _is_number(value) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

FAMILY = Family(
    "regularizer",
    "keras.regularizers",
    {
        "Regularizer": Regularizer,
        "regularizer": Regularizer,
        "L1": L1,
        "l1": L1,
        "L2": L2,
        "l2": L2,
        "L1L2": L1L2,
        "l1l2": L1L2,
        "l1_l2": L1L2,
        "OrthogonalRegularizer": OrthogonalRegularizer,
        "orthogonal_regularizer": OrthogonalRegularizer,
    },
)


def get(identifier: Any) -> Any:
    """Turn a name, config, class, object or function into a regularizer.

    Args:
        identifier: any of these; None stays None.

    Example:
        >>> staghorn.regularizers.get("l2").l2
        0.01
    """
    return FAMILY.get(identifier)


def serialize(regularizer: Any) -> Any:
    """Return the JSON form of a regularizer.

    Args:
        regularizer: the regularizer.

    Example:
        >>> staghorn.regularizers.serialize(staghorn.regularizers.L2(0.5))["config"]
        {'l2': 0.5}
    """
    return FAMILY.serialize(regularizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Build a regularizer from its JSON form.

    Args:
        config: what `serialize` returned, or a name.
        custom_objects: dict, name → your own class or function. Default: None.

    Example:
        >>> staghorn.regularizers.deserialize({"class_name": "L2", "config": {"l2": 0.5}}).l2
        0.5
    """
    return FAMILY.deserialize(config, custom_objects)


if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
