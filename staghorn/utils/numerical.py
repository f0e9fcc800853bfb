"""Small array helpers around models: one-hot targets and unit vectors."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config as defaults
from staghorn.engine.dtypes import is_float

__all__ = ["normalize", "to_categorical"]


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Turn class indices into one-hot rows.

    (...) or (..., 1) → (..., num_classes)

    Args:
        x: integers from 0 to num_classes - 1, in any array or list.
        num_classes: number of classes. Default: None (the largest index plus one).

    Returns:
        A NumPy array of float64; for a JAX array, a JAX array of `floatx()`.

    Raises:
        ValueError: if an index is outside the classes (NumPy only: checking a JAX array would
            stop it from being traced; its row is all zeros).

    Example:
        >>> staghorn.utils.to_categorical([0, 2], num_classes=3).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]

    Notes: Keras lets a negative index count from the end, and fails with NumPy's message above.
    """
    if isinstance(x, jax.Array):
        x = x.reshape(_without_last_one(x.shape))  # (...)
        if num_classes is None:
            num_classes = int(x.max()) + 1
        return jax.nn.one_hot(x, num_classes, dtype=defaults.floatx())
    indices = np.asarray(x, "int64")
    indices = indices.reshape(_without_last_one(indices.shape))  # (...)
    if not num_classes:
        num_classes = int(indices.max()) + 1
    outside = (indices < 0) | (indices >= num_classes)
    if outside.any():
        raise ValueError(
            f"to_categorical: class indices must be in [0, {num_classes}), got "
            f"{int(indices[outside][0])}. Give num_classes the number of classes, or subtract the "
            "smallest index where classes do not count from 0."
        )
    one_hot = np.zeros((*indices.shape, num_classes))
    np.put_along_axis(one_hot, np.expand_dims(indices, -1), 1.0, axis=-1)
    return one_hot


def _without_last_one(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape


def normalize(x: Any, axis: int = -1, order: int = 2) -> Any:
    """Divide vectors by their norm; zero vectors stay zero.

    shape → shape        x / ||x||_order along `axis`

    Args:
        x: an array or list.
        axis: the axis that vectors lie along. Default: -1.
        order: which norm, such as 1, 2 or `np.inf`. Default: 2.

    Example:
        >>> staghorn.utils.normalize(np.array([[3.0, 4.0]])).tolist()
        [[0.6, 0.8]]

    Notes: for NumPy arrays and axis=0 Keras divides along the wrong axis; this does not.
    """
    if isinstance(x, np.ndarray):
        lengths = np.linalg.norm(x, order, axis, keepdims=True)
        return x / np.where(lengths == 0, np.ones_like(lengths), lengths)
    x = jnp.asarray(x)
    x = x if is_float(x.dtype) else x.astype(defaults.floatx())
    if order == 2:
        # max inside the root, so that the gradient of a zero vector is 0 and not nan
        squares = jnp.sum(jnp.square(x), axis=axis, keepdims=True)
        return x * jax.lax.rsqrt(jnp.maximum(squares, defaults.epsilon() ** 2))
    lengths = jnp.linalg.norm(x, ord=order, axis=axis, keepdims=True)
    return x / jnp.maximum(lengths, defaults.epsilon())
