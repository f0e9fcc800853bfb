"""Cross-entropies for hard data: focal for rare classes, generalized for wrong labels."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.arguments import Interval
from staghorn.engine.symbolic import op
from staghorn.losses.loss import LossFunctionWrapper, align_ranks, matched
from staghorn.losses.probabilistic import check_classes, smooth_binary, smooth_one_hot
from staghorn.ops import nn

__all__ = [
    "BinaryFocalCrossentropy", "CategoricalFocalCrossentropy", "CategoricalGeneralizedCrossEntropy",
    "binary_focal_crossentropy", "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
]  # fmt: skip


@op
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> jax.Array:
    """Binary cross-entropy in which well-classified samples count less.

    (..., d), (..., d) -> (...)
    mean((1 - p_t)^gamma * crossentropy), p_t = t p + (1 - t)(1 - p)
    times t alpha + (1 - t)(1 - alpha) with class balancing

    Args:
        y_true: labels in [0, 1].
        y_pred: probabilities, or logits.
        apply_class_balancing: whether `alpha` weighs the two classes. Default: False.
        alpha: weight of class 1. Default: 0.25.
        gamma: how strongly easy samples are played down. Default: 2.0.
        from_logits: whether `y_pred` are logits. Default: False.
        label_smoothing: how far labels are drawn towards 1/2. Default: 0.0.
        axis: the axis the mean is taken over. Default: -1.

    Example:
        >>> loss = staghorn.losses.binary_focal_crossentropy
        >>> print(np.asarray(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))).round(3))
        [0.173]

    Reference: Lin et al. (2017), https://arxiv.org/abs/1708.02002
    """
    y_true, y_pred = matched(y_true, y_pred)
    y_true = smooth_binary(y_true, label_smoothing)
    p = jax.nn.sigmoid(y_pred) if from_logits else y_pred
    p_t = y_true * p + (1.0 - y_true) * (1.0 - p)
    losses = jnp.power(1.0 - p_t, gamma) * nn.binary_crossentropy(y_true, p, from_logits=False)
    if apply_class_balancing:
        losses = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * losses
    return jnp.mean(losses, axis=axis)


@op
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float | Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> jax.Array:
    """Categorical cross-entropy in which well-classified samples count less.

    (..., classes), (..., classes) -> (...)        sum(-alpha * (1 - p)^gamma * t log(p))

    Args:
        y_true: one-hot labels.
        y_pred: probabilities, or logits.
        alpha: weight of each class, or one for all. Default: 0.25.
        gamma: how strongly easy samples are played down. Default: 2.0.
        from_logits: whether `y_pred` are logits. Default: False.
        label_smoothing: how far labels are drawn towards 1/classes. Default: 0.0.
        axis: the axis of the classes. Default: -1.

    Raises:
        ValueError: if `axis` is a bool.

    Example:
        >>> loss = staghorn.losses.categorical_focal_crossentropy
        >>> print(np.asarray(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))).round(3))
        [0.043]

    Reference: Lin et al. (2017), https://arxiv.org/abs/1708.02002
    """
    y_pred = jnp.asarray(y_pred)
    check_classes(y_pred, axis, "categorical_focal_crossentropy")
    y_true = smooth_one_hot(jnp.asarray(y_true).astype(y_pred.dtype), label_smoothing)
    p = jax.nn.softmax(y_pred, axis=axis) if from_logits else y_pred
    p = p / jnp.sum(p, axis=axis, keepdims=True)
    p = jnp.clip(p, config.epsilon(), 1.0 - config.epsilon())
    factor, p = align_ranks(jnp.asarray(alpha).astype(p.dtype), p)
    return jnp.sum(factor * jnp.power(1.0 - p, gamma) * (-y_true * jnp.log(p)), axis=axis)


@op
def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> jax.Array:
    """Cross-entropy that forgives wrong integer labels: between it and the absolute error.

    (...), (..., classes) -> (...)        (1 - p[label]^q) / q

    Args:
        y_true: labels 0..classes-1.
        y_pred: probabilities.
        q: 0 < q < 1; near 0 it is the cross-entropy, near 1 the absolute error.

    Example:
        >>> loss = staghorn.losses.categorical_generalized_cross_entropy
        >>> print(loss(np.array([1]), np.array([[0.75, 0.25]]), q=0.5))
        [1.]

    Reference: Zhang & Sabuncu (2018), https://arxiv.org/abs/1805.07836
    """
    y_pred = jnp.asarray(y_pred)
    labels = jnp.asarray(y_true).astype("int32")
    one_hot = jax.nn.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype)
    p = jnp.sum(one_hot * y_pred, axis=-1)
    return (1.0 - jnp.power(p, q)) / q


class BinaryFocalCrossentropy(LossFunctionWrapper):
    """Binary cross-entropy in which well-classified samples count less.

    (..., d), (..., d) -> ()        mean((1 - p_t)^gamma * crossentropy)

    Args:
        apply_class_balancing: whether `alpha` weighs the two classes. Default: False.
        alpha: weight of the positive class. Default: 0.25.
        gamma: how strongly easy samples are played down. Default: 2.0.
        from_logits: whether `y_pred` are logits instead of probabilities. Default: False.
        label_smoothing: how far labels are drawn towards the uniform ones, in [0, 1]. Default: 0.0.
        axis: the axis the mean is taken over. Default: -1.
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "binary_focal_crossentropy".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> loss = staghorn.losses.BinaryFocalCrossentropy()
        >>> round(float(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))), 3)
        0.173

    Reference: Lin et al. (2017), https://arxiv.org/abs/1708.02002
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_focal_crossentropy,
            reduction=reduction,
            name=name,
            dtype=dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """Categorical cross-entropy in which well-classified samples count less.

    (..., classes), (..., classes) -> ()        sum(-alpha * (1 - p)^gamma * t log(p))

    Args:
        alpha: weight of each class, or one for all. Default: 0.25.
        gamma: how strongly easy samples are played down. Default: 2.0.
        from_logits: whether `y_pred` are logits instead of probabilities. Default: False.
        label_smoothing: how far labels are drawn towards the uniform ones, in [0, 1]. Default: 0.0.
        axis: the axis of the classes. Default: -1.
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "categorical_focal_crossentropy".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> loss = staghorn.losses.CategoricalFocalCrossentropy()
        >>> round(float(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))), 3)
        0.043

    Reference: Lin et al. (2017), https://arxiv.org/abs/1708.02002
    """

    def __init__(
        self,
        alpha: float | Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_focal_crossentropy,
            reduction=reduction,
            name=name,
            dtype=dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    """Cross-entropy that forgives wrong integer labels: between it and the absolute error.

    (...), (..., classes) -> ()        (1 - p[label]^q) / q

    Args:
        q: 0 < q < 1; near 0 it is the cross-entropy, near 1 the absolute error. Default: 0.5.
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "categorical_generalized_cross_entropy".
        dtype: type of the computation. Default: `floatx()`.

    Raises:
        ValueError: if `q` is not strictly between 0 and 1.

    Example:
        >>> loss = staghorn.losses.CategoricalGeneralizedCrossEntropy()
        >>> print(loss(np.array([1]), np.array([[0.75, 0.25]])))
        1.0

    Reference: Zhang & Sabuncu (2018), https://arxiv.org/abs/1805.07836
    """

    arguments: ClassVar = {"q": Interval(0, 1, closed="neither")}

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_generalized_cross_entropy,
            reduction=reduction,
            name=name,
            dtype=dtype,
            q=q,
        )
        self.q = q
