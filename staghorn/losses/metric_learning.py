"""Losses on embeddings: circle loss."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.masks import set_mask
from staghorn.engine.symbolic import op
from staghorn.losses.loss import LossFunctionWrapper

__all__ = ["Circle", "circle"]


def _pairs(labels: jax.Array, others: jax.Array, remove_diagonal: bool) -> tuple:
    same = jnp.reshape(labels, (-1, 1)) == jnp.reshape(others, (1, -1))
    different = jnp.logical_not(same)
    if remove_diagonal:
        same = jnp.logical_and(
            same, jnp.logical_not(jnp.eye(same.shape[0], same.shape[1], dtype=bool))
        )
    return same, different


def _log_sum(logits: jax.Array, where: jax.Array) -> jax.Array:
    return jax.nn.logsumexp(jnp.where(where, logits, -jnp.inf), axis=1)


@op
def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> jax.Array:
    """Draw embeddings of one class together and push other classes away.

    (batch,), (batch, d) -> (batch,)
    softplus(logsumexp over same of gamma a_p (d - margin) + logsumexp over others of
    gamma a_n (1 - margin - d)), d = 1 - cosine, a_p = max(margin + d, 0),
    a_n = max(1 + margin - d, 0): each pair pulls by what it still lacks.

    Args:
        y_true: labels.
        y_pred: embeddings of length 1.
        ref_labels: labels to compare with. Default: `y_true`.
        ref_embeddings: embeddings to compare with. Default: `y_pred`.
        remove_diagonal: whether a sample is no pair with itself. Default: True.
        gamma: scale of the similarities. Default: 80.
        margin: how much slack a pair has. Default: 0.4.

    Example:
        >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> print(staghorn.losses.circle(np.array([0, 1]), embeddings))
        [0. 0.]

    Notes: samples without a partner give 0 and are masked out of averages.

    Reference: Sun et al. (2020), https://arxiv.org/abs/2002.10857
    """
    y_pred = jnp.asarray(y_pred)
    labels = jnp.asarray(y_true).astype("int32")
    others = labels if ref_labels is None else jnp.asarray(ref_labels).astype("int32")
    references = y_pred if ref_embeddings is None else jnp.asarray(ref_embeddings)
    distance = jnp.maximum(1.0 - y_pred @ references.T, 0.0)  # (batch, references)
    same, different = _pairs(labels, others, remove_diagonal)
    pull = gamma * jnp.maximum(margin + distance, 0.0) * (distance - margin)
    push = gamma * jnp.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance)
    losses = jax.nn.softplus(_log_sum(pull, same) + _log_sum(push, different))
    set_mask(losses, losses > 0)
    return losses


class Circle(LossFunctionWrapper):
    """Draws embeddings of one class together and pushes other classes away.

    (batch,), (batch, d) -> ()        see `circle`

    Args:
        gamma: scale of the similarities. Default: 80.0.
        margin: how much slack a pair has. Default: 0.4.
        remove_diagonal: whether a sample is no pair with itself. Default: True.
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "circle".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> round(float(staghorn.losses.Circle()(np.array([0, 1]), embeddings)), 3)
        0.0

    Reference: Sun et al. (2020), https://arxiv.org/abs/2002.10857
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            circle,
            reduction=reduction,
            name=name,
            dtype=dtype,
            gamma=gamma,
            margin=margin,
            remove_diagonal=remove_diagonal,
        )
        self.gamma = gamma
        self.margin = margin
        self.remove_diagonal = remove_diagonal
