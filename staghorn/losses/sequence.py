"""Losses on sequences: connectionist temporal classification."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.losses.loss import LossFunctionWrapper
from staghorn.ops.ctc import ctc_loss

__all__ = ["CTC", "ctc"]

_BLANK = 0  # also the padding of the labels


@op
def ctc(y_true: Any, y_pred: Any) -> jax.Array:
    """Connectionist temporal classification: labels without an alignment to the steps.

    (batch, max_labels), (batch, steps, classes) -> (batch,)        -log P(labels | logits)

    Args:
        y_true: integer labels, padded with 0, which is also the blank class.
        y_pred: logits for every step.

    Raises:
        ValueError: if the ranks are not 2 and 3.

    Example:
        >>> logits = np.zeros((1, 2, 3))  # 9 paths, of which (1, 1), (1, 0), (0, 1) spell label 1
        >>> print(np.asarray(staghorn.losses.ctc(np.array([[1]]), logits)).round(3))
        [1.099]

    Reference: Graves et al. (2006), https://doi.org/10.1145/1143844.1143891
    """
    y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
    if y_true.ndim != 2:
        raise ValueError(f"ctc: y_true must be (batch, max_labels), got {y_true.shape}.")
    if y_pred.ndim != 3:
        raise ValueError(f"ctc: y_pred must be (batch, steps, classes), got {y_pred.shape}.")
    labels = y_true.astype("int32")
    lengths = jnp.sum((labels != _BLANK).astype("int32"), axis=-1)
    steps = jnp.broadcast_to(jnp.asarray(y_pred.shape[1], "int32"), lengths.shape)
    return ctc_loss(labels, y_pred, lengths, steps, _BLANK)


class CTC(LossFunctionWrapper):
    """Connectionist temporal classification: labels without an alignment to the steps.

    (batch, max_labels), (batch, steps, classes) -> ()        -log P(labels | logits)

    Args:
        reduction: how the losses of a batch become one number, see `Loss`.
            Default: "sum_over_batch_size".
        name: label. Default: "ctc".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> logits = np.zeros((1, 2, 3))  # 9 paths, of which (1, 1), (1, 0), (0, 1) spell label 1
        >>> round(float(staghorn.losses.CTC()(np.array([[1]]), logits)), 3)
        1.099

    Reference: Graves et al. (2006), https://doi.org/10.1145/1143844.1143891
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "ctc",
        dtype: Any = None,
    ) -> None:
        super().__init__(ctc, reduction=reduction, name=name, dtype=dtype)
