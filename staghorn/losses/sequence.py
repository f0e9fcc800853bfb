"""Losses on sequences: connectionist temporal classification."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.losses.loss import LossFunctionWrapper

_BLANK = 0  # also the padding of the labels
_IMPOSSIBLE = -1e5  # a log-probability; -inf would turn gradients into NaN


def _spelled(log_probs: jax.Array, labels: jax.Array, lengths: jax.Array) -> jax.Array:
    """Return log P(labels) by the forward algorithm over "blank l1 blank l2 ... blank".

    (batch, steps, classes), (batch, n), (batch,) -> (batch,)

    A path stays at its place, moves on by one, or skips the blank between two different labels.
    """
    batch, count = labels.shape
    places = jnp.full((batch, 2 * count + 1), _BLANK, "int32").at[:, 1::2].set(labels)
    before = jnp.pad(places, ((0, 0), (2, 0)), constant_values=_BLANK)[:, :-2]
    skips = jnp.logical_and(places != _BLANK, places != before)
    emitted = jnp.take_along_axis(log_probs, places[:, None, :], axis=2)  # (batch, steps, 2n+1)
    emitted = jnp.swapaxes(emitted, 0, 1)
    nowhere = jnp.full(places.shape, _IMPOSSIBLE, log_probs.dtype)
    first = jnp.arange(places.shape[1]).reshape(1, -1) < 2

    def moved(paths: jax.Array, by: int) -> jax.Array:
        return jnp.pad(paths, ((0, 0), (by, 0)), constant_values=_IMPOSSIBLE)[:, :-by]

    def step(paths: jax.Array, emission: jax.Array) -> tuple[jax.Array, None]:
        skipped = jnp.where(skips, moved(paths, 2), nowhere)
        return jnp.logaddexp(jnp.logaddexp(paths, moved(paths, 1)), skipped) + emission, None

    start = jnp.where(first, emitted[0], nowhere)
    paths, _ = jax.lax.scan(step, start, emitted[1:])
    last = 2 * lengths.reshape((-1, 1))  # the final blank; the label before it will do as well
    ends = jnp.concatenate([last, jnp.maximum(last - 1, 0)], axis=1)
    ends = jnp.take_along_axis(paths, ends, axis=1)
    without_labels = jnp.arange(2).reshape(1, -1) * (last == 0).astype("int32") > 0
    return jax.nn.logsumexp(jnp.where(without_labels, _IMPOSSIBLE, ends), axis=1)


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
    log_probs = jax.nn.log_softmax(y_pred.astype(jnp.promote_types(y_pred.dtype, "float32")))
    return -_spelled(log_probs, labels, lengths)


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
