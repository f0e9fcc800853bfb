"""Losses between distributions: cross-entropies, divergence, Poisson."""

import warnings
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.masks import set_mask
from staghorn.engine.symbolic import op
from staghorn.losses.loss import LossFunctionWrapper, matched
from staghorn.ops import nn

__all__ = [
    "BinaryCrossentropy", "CategoricalCrossentropy", "KLDivergence", "Poisson",
    "SparseCategoricalCrossentropy", "binary_crossentropy", "categorical_crossentropy",
    "kl_divergence", "poisson", "sparse_categorical_crossentropy",
]  # fmt: skip

_ONE_CLASS = (
    "{name}: y_pred has one class, shape {shape}, so its softmax is always 1 and nothing can be "
    "learnt. For two classes with one output unit use binary_crossentropy."
)


def check_classes(y_pred: jax.Array, axis: int, name: str) -> None:
    """Refuse a bool as axis (a misplaced argument) and warn about a single class."""
    if isinstance(axis, bool):
        raise ValueError(f"{name}: axis must be an int, got {axis!r} (bool).")
    if y_pred.shape[-1] == 1:
        warning = _ONE_CLASS.format(name=name, shape=y_pred.shape)
        warnings.warn(warning, SyntaxWarning, stacklevel=3)


def smooth_binary(y_true: jax.Array, label_smoothing: float) -> jax.Array:
    """Move yes/no labels towards 1/2."""
    return y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing if label_smoothing else y_true


def smooth_one_hot(y_true: jax.Array, label_smoothing: float) -> jax.Array:
    """Move one-hot labels towards 1/classes."""
    if not label_smoothing:
        return y_true
    return y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[-1]


@op
def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> jax.Array:
    """Cross-entropy of independent yes/no labels.

    (..., d), (..., d) -> (...)        -mean(t log(p) + (1 - t) log(1 - p))

    Args:
        y_true: labels in [0, 1].
        y_pred: probabilities, or logits.
        from_logits: whether `y_pred` are logits. Default: False.
        label_smoothing: how far labels are drawn towards 1/2. Default: 0.0.
        axis: the axis the mean is taken over. Default: -1.

    Example:
        >>> loss = staghorn.losses.binary_crossentropy
        >>> print(np.asarray(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))).round(3))
        [0.693]

    Notes: probabilities are clipped to [epsilon, 1 - epsilon]; logits are not and train better.
    """
    y_true, y_pred = matched(y_true, y_pred)
    y_true = smooth_binary(y_true, label_smoothing)
    losses = nn.binary_crossentropy(y_true, y_pred, from_logits=from_logits)
    return jnp.mean(losses, axis=axis)


@op
def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> jax.Array:
    """Cross-entropy of one-hot labels.

    (..., classes), (..., classes) -> (...)        -sum(t log(p))

    Args:
        y_true: one-hot labels, or probabilities.
        y_pred: probabilities, or logits.
        from_logits: whether `y_pred` are logits. Default: False.
        label_smoothing: how far labels are drawn towards 1/classes. Default: 0.0.
        axis: the axis of the classes. Default: -1.

    Raises:
        ValueError: if `axis` is a bool.

    Example:
        >>> loss = staghorn.losses.categorical_crossentropy
        >>> print(np.asarray(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))).round(3))
        [0.693]

    Notes: warns when `y_pred` has a single class.
    """
    y_pred = jnp.asarray(y_pred)
    check_classes(y_pred, axis, "categorical_crossentropy")
    y_true = smooth_one_hot(jnp.asarray(y_true).astype(y_pred.dtype), label_smoothing)
    return nn.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


@op
def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> jax.Array:
    """Cross-entropy of integer labels.

    (...), (..., classes) -> (...)        -log(p[label])

    Args:
        y_true: labels 0..classes-1, with or without a last axis of 1.
        y_pred: probabilities, or logits.
        from_logits: whether `y_pred` are logits. Default: False.
        ignore_class: a label (such as 255 in segmentation) whose places give 0 and do not count
            in an average. Default: None.
        axis: the axis of the classes. Default: -1.

    Example:
        >>> loss = staghorn.losses.sparse_categorical_crossentropy
        >>> print(np.asarray(loss(np.array([1]), np.array([[0.5, 0.5]]))).round(3))
        [0.693]
    """
    y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = jnp.squeeze(y_true, axis=axis)
    crossentropy = partial(nn.sparse_categorical_crossentropy, from_logits=from_logits, axis=axis)
    if ignore_class is None:
        return crossentropy(y_true, y_pred)
    counts = y_true != ignore_class
    y_true = jnp.where(counts, y_true, jnp.zeros_like(y_true))
    y_pred = jnp.where(jnp.expand_dims(counts, axis), y_pred, jnp.zeros_like(y_pred))
    losses = crossentropy(y_true, y_pred)
    counts = jnp.reshape(counts, losses.shape)
    losses = jnp.where(counts, losses, jnp.zeros_like(losses))
    set_mask(losses, counts)
    return losses


@op
def kl_divergence(y_true: Any, y_pred: Any) -> jax.Array:
    """Kullback-Leibler divergence of `y_pred` from `y_true`.

    (..., classes), (..., classes) -> (...)        sum(y_true * log(y_true / y_pred))

    Args:
        y_true: probabilities.
        y_pred: probabilities.

    Example:
        >>> loss = staghorn.losses.kl_divergence
        >>> print(np.asarray(loss(np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]]))).round(3))
        [0.144]
    """
    y_true, y_pred = matched(y_true, y_pred)
    y_true = jnp.clip(y_true, config.epsilon(), 1)
    y_pred = jnp.clip(y_pred, config.epsilon(), 1)
    return jnp.sum(y_true * jnp.log(y_true / y_pred), axis=-1)


@op
def poisson(y_true: Any, y_pred: Any) -> jax.Array:
    """Negative log-likelihood of counts under a Poisson distribution, up to a constant.

    (..., d), (..., d) -> (...)        mean(y_pred - y_true * log(y_pred + epsilon))

    Args:
        y_true: counts.
        y_pred: rates, 0 or more.

    Example:
        >>> round(float(staghorn.losses.poisson(np.array([2.0]), np.array([1.0]))), 3)
        1.0
    """
    y_true, y_pred = matched(y_true, y_pred)
    return jnp.mean(y_pred - y_true * jnp.log(y_pred + config.epsilon()), axis=-1)


class BinaryCrossentropy(LossFunctionWrapper):
    """Cross-entropy of independent yes/no labels.

    (..., d), (..., d) -> ()        -mean(t log(p) + (1 - t) log(1 - p))

    Args:
        from_logits: whether `y_pred` are logits instead of probabilities. Default: False.
        label_smoothing: how far labels are drawn towards the uniform ones, in [0, 1]. Default: 0.0.
        axis: the axis the mean is taken over. Default: -1.
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "binary_crossentropy".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> loss = staghorn.losses.BinaryCrossentropy()
        >>> round(float(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))), 3)
        0.693
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_crossentropy,
            reduction=reduction,
            name=name,
            dtype=dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class CategoricalCrossentropy(LossFunctionWrapper):
    """Cross-entropy of one-hot labels.

    (..., classes), (..., classes) -> ()        -sum(t log(p))

    Args:
        from_logits: whether `y_pred` are logits instead of probabilities. Default: False.
        label_smoothing: how far labels are drawn towards the uniform ones, in [0, 1]. Default: 0.0.
        axis: the axis of the classes. Default: -1.
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "categorical_crossentropy".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> loss = staghorn.losses.CategoricalCrossentropy()
        >>> round(float(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))), 3)
        0.693
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_crossentropy,
            reduction=reduction,
            name=name,
            dtype=dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Cross-entropy of integer labels.

    (...), (..., classes) -> ()        -log(p[label])

    Args:
        from_logits: whether `y_pred` are logits instead of probabilities. Default: False.
        ignore_class: a label whose places do not count. Default: None.
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        axis: the axis of the classes. Default: -1.
        name: label. Default: "sparse_categorical_crossentropy".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> loss = staghorn.losses.SparseCategoricalCrossentropy()
        >>> round(float(loss(np.array([1]), np.array([[0.5, 0.5]]))), 3)
        0.693

    Notes: Keras's config forgets `axis`; ours keeps one that differs from -1.
    """

    config_omits: ClassVar = {"axis": -1}

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy,
            reduction=reduction,
            name=name,
            dtype=dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis


class KLDivergence(LossFunctionWrapper):
    """Kullback-Leibler divergence of `y_pred` from `y_true`.

    (..., classes), (..., classes) -> ()        sum(y_true * log(y_true / y_pred))

    Args:
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "kl_divergence".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> loss = staghorn.losses.KLDivergence()
        >>> round(float(loss(np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]]))), 3)
        0.144
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: Any = None,
    ) -> None:
        super().__init__(kl_divergence, reduction=reduction, name=name, dtype=dtype)


class Poisson(LossFunctionWrapper):
    """Negative log-likelihood of counts under a Poisson distribution, up to a constant.

    (..., d), (..., d) -> ()        mean(y_pred - y_true * log(y_pred + epsilon))

    Args:
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "poisson".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> round(float(staghorn.losses.Poisson()(np.array([[2.0]]), np.array([[1.0]]))), 3)
        1.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "poisson",
        dtype: Any = None,
    ) -> None:
        super().__init__(poisson, reduction=reduction, name=name, dtype=dtype)
