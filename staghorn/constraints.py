"""Projections of weights, applied after each optimizer step: an array in, one like it out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from staghorn import config as defaults
from staghorn.engine.dtypes import is_float
from staghorn.engine.registry import Family, missing_names
from staghorn.engine.serialization import Configurable

__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm",
    "min_max_norm", "non_neg", "serialize", "unit_norm",
]  # fmt: skip

Axis = int | Sequence[int] | None


def norm(w: jax.Array, axis: Axis) -> jax.Array:
    """Euclidean norm along axes, which stay with size 1.

    Its gradient is 0 at the zero vector, where that of sqrt(sum(w²)) is nan.
    """
    axis = tuple(axis) if isinstance(axis, Sequence) else axis
    squares = jnp.sum(jnp.square(w), axis=axis, keepdims=True)
    is_zero = squares == 0
    root = jnp.sqrt(jnp.where(is_zero, jnp.ones_like(squares), squares))
    return jnp.where(is_zero, jnp.zeros_like(root), root)


def with_norm(w: jax.Array, norms: jax.Array, desired: jax.Array) -> jax.Array:
    """Rescale vectors of the given norms to the desired ones: w * desired / (epsilon + norms)."""
    return w * (desired / (defaults.epsilon() + norms))


class Constraint(Configurable):
    """Base of constraints: a callable from a weight to the weight that is kept.

    shape → shape

    Example:
        >>> class Halved(staghorn.constraints.Constraint):
        ...     def __call__(self, w):
        ...         return w / 2
        >>> Halved()(np.array([2.0])).tolist()
        [1.0]
    """

    def __call__(self, w: Any) -> Any:
        return w


class MaxNorm(Constraint):
    """Shrink vectors whose norm is above a bound to that bound.

    shape → shape        w * min(norm, max_value) / norm

    Args:
        max_value: the bound. Default: 2.
        axis: the axis, or axes, that a vector lies along: 0 for a Dense kernel (d_in, units),
            [0, 1, 2] for a Conv2D kernel (rows, columns, d_in, filters). Default: 0.

    Example:
        >>> w = staghorn.constraints.MaxNorm(1.0)(np.array([[3.0], [4.0]]))
        >>> np.allclose(w, [[0.6], [0.8]])
        True
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: Any) -> jax.Array:
        w = _floats(w)
        norms = norm(w, self.axis)
        return with_norm(w, norms, jnp.clip(norms, 0, self.max_value))


class NonNeg(Constraint):
    """Replace negative weights by 0.

    shape → shape        max(w, 0)

    Example:
        >>> staghorn.constraints.NonNeg()(np.array([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    def __call__(self, w: Any) -> jax.Array:
        return jnp.maximum(jnp.asarray(w), 0)


class UnitNorm(Constraint):
    """Give every vector norm 1.

    shape → shape        w / (epsilon + norm)

    Args:
        axis: the axis, or axes, that a vector lies along; see `MaxNorm`. Default: 0.

    Example:
        >>> w = staghorn.constraints.UnitNorm()(np.array([[3.0], [4.0]]))
        >>> round(float((w**2).sum()), 4)
        1.0
    """

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> jax.Array:
        w = _floats(w)
        return w / (defaults.epsilon() + norm(w, self.axis))


class MinMaxNorm(Constraint):
    """Move the norms of vectors into an interval, at once or little by little.

    shape → shape        new norm = rate * clip(norm, min_value, max_value) + (1 - rate) * norm

    Args:
        min_value: lower bound. Default: 0.
        max_value: upper bound. Default: 1.
        rate: 1 enforces the bounds at every step, less moves towards them. Default: 1.
        axis: the axis, or axes, that a vector lies along; see `MaxNorm`. Default: 0.

    Example:
        >>> w = staghorn.constraints.MinMaxNorm(1.0, 2.0)(np.array([[0.3], [0.4]]))
        >>> round(float((w**2).sum()), 4)
        1.0
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Axis = 0,
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Any) -> jax.Array:
        w = _floats(w)
        norms = norm(w, self.axis)
        inside = jnp.clip(norms, self.min_value, self.max_value)
        return with_norm(w, norms, self.rate * inside + (1 - self.rate) * norms)


def _floats(w: Any) -> jax.Array:
    w = jnp.asarray(w)
    return w if is_float(w.dtype) else w.astype(defaults.floatx())


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

FAMILY = Family(
    "constraint",
    "keras.constraints",
    {
        "Constraint": Constraint,
        "constraint": Constraint,
        "MaxNorm": MaxNorm,
        "max_norm": MaxNorm,
        "MinMaxNorm": MinMaxNorm,
        "min_max_norm": MinMaxNorm,
        "NonNeg": NonNeg,
        "non_neg": NonNeg,
        "UnitNorm": UnitNorm,
        "unit_norm": UnitNorm,
    },
)


def get(identifier: Any) -> Any:
    """Turn a name, config, class, object or function into a constraint.

    Args:
        identifier: any of these; None stays None.

    Example:
        >>> staghorn.constraints.get("max_norm").max_value
        2
    """
    return FAMILY.get(identifier)


def serialize(constraint: Any) -> Any:
    """Return the JSON form of a constraint.

    Args:
        constraint: the constraint.

    Example:
        >>> staghorn.constraints.serialize(staghorn.constraints.UnitNorm())["config"]
        {'axis': 0}
    """
    return FAMILY.serialize(constraint)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Build a constraint from its JSON form.

    Args:
        config: what `serialize` returned, or a name.
        custom_objects: dict, name → your own class or function. Default: None.

    Example:
        >>> staghorn.constraints.deserialize({"class_name": "UnitNorm", "config": {}}).axis
        0
    """
    return FAMILY.deserialize(config, custom_objects)


if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
