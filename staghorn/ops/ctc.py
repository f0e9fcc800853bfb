"""Connectionist temporal classification: the loss, and decoding by steps or by beams."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array, common_type

__all__ = ["ctc_decode", "ctc_loss"]

_IMPOSSIBLE = -1e5  # a log-probability, Keras's; -inf would turn gradients into NaN
_NO_LABEL = -1


def _logits(function: str, x: Any) -> jax.Array:
    x = as_array(x)
    if x.ndim != 3:
        raise ValueError(
            f"{function}: the class scores must be (batch, steps, classes), got {x.shape}."
        )
    return x.astype(common_type(x.dtype, jnp.dtype("float32")))


def _within(lengths: jax.Array, size: Any) -> jax.Array:
    """(batch,) → (batch, size): whether a place comes before the end of its row."""
    return jnp.arange(size).reshape(1, -1) < lengths.reshape(-1, 1)


def _plus(paths: jax.Array, more: jax.Array) -> jax.Array:
    """Add probabilities from place 1 on: (batch, n + 1), (batch, n) → (batch, n + 1)."""
    return jnp.concatenate([paths[:, :1], jnp.logaddexp(paths[:, 1:], more)], axis=1)


@op
def ctc_loss(
    target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0
) -> jax.Array:
    """Connectionist temporal classification: labels without an alignment to the steps.

    (batch, labels), (batch, steps, classes), (batch,), (batch,) → (batch,)
    loss = -log P(labels), the sum over all ways to spread the labels and blanks over the steps.

    Args:
        target: the labels, ints, padded with anything.
        output: logits of the classes for every step.
        target_length: how many labels each row has.
        output_length: how many steps each row has.
        mask_index: the blank's class. Default: 0.

    Raises:
        ValueError: if the ranks or the numbers of rows do not fit.

    Example:
        >>> logits = np.zeros((1, 2, 3))  # 9 paths, of which (1, 1), (1, 0), (0, 1) spell label 1
        >>> staghorn.ops.ctc_loss([[1]], logits, [1], [2]).round(3)
        Array([1.099], dtype=float32)

    Notes:
        Labels that cannot be spelled in so few steps cost about 100,000, not infinity, so that
        gradients stay finite.

    Reference: Graves et al. (2006), https://doi.org/10.1145/1143844.1143891
    """
    labels, logits = as_array(target, "int32"), _logits("ctc_loss", output)
    lengths, steps = as_array(target_length, "int32"), as_array(output_length, "int32")
    if labels.ndim != 2 or not labels.shape[0] == logits.shape[0] == lengths.size == steps.size:
        raise ValueError(
            "ctc_loss: target must be (batch, labels), output (batch, steps, classes), and both "
            f"lengths (batch,); got {labels.shape}, {logits.shape}, {lengths.shape} and "
            f"{steps.shape}."
        )
    batch, count = labels.shape
    log_p = jax.nn.log_softmax(logits)
    blank = jnp.swapaxes(log_p[:, :, mask_index, None], 0, 1)  # (steps, batch, 1)
    emitted = jnp.take_along_axis(log_p, labels[:, None, :], axis=2, mode="clip")
    emitted = jnp.swapaxes(emitted, 0, 1)  # (steps, batch, labels)
    # Equal neighbours need a blank between them; others may follow each other directly.
    twins = jnp.pad(labels[:, :-1] == labels[:, 1:], ((0, 0), (0, 1)))
    directly = jnp.where(twins, _IMPOSSIBLE, 0.0).astype(logits.dtype)
    by_blank = jnp.where(twins, 0.0, _IMPOSSIBLE).astype(logits.dtype)

    def step(paths: tuple, found: tuple) -> tuple[tuple, None]:
        free, held = paths  # after n labels, free to take the next; upon label n
        label, nothing, going = found
        ready = _plus(free, held + directly)
        new_free = _plus(ready + nothing, held + nothing + by_blank)
        new_held = jnp.logaddexp(ready[:, :-1], held) + label
        return (jnp.where(going, new_free, free), jnp.where(going, new_held, held)), None

    held = jnp.full((batch, count), _IMPOSSIBLE, logits.dtype)
    free = jnp.pad(held, ((0, 0), (1, 0)))
    going = _within(steps, logits.shape[1]).T[:, :, None]  # (steps, batch, 1)
    (free, held), _ = jax.lax.scan(step, (free, held), (emitted, blank, going))
    ends = jnp.take_along_axis(_plus(free, held), lengths.reshape(-1, 1), axis=1, mode="clip")
    return -ends[:, 0]


def _best_per_step(
    logits: jax.Array, lengths: jax.Array, merge_repeated: bool, blank: int
) -> tuple[jax.Array, jax.Array]:
    steps = logits.shape[1]
    inside = _within(lengths, steps)
    scores = jnp.where(inside, jnp.max(logits, axis=2), 0)
    found = jnp.where(inside, jnp.argmax(logits, axis=2).astype("int32"), blank)  # (batch, steps)
    said = found != blank
    if merge_repeated:
        said &= jnp.pad(found[:, 1:] != found[:, :-1], ((0, 0), (1, 0)), constant_values=True)
    order = jnp.argsort(~said, axis=1, stable=True)  # labels first, in their order
    labels = jnp.take_along_axis(jnp.where(said, found, _NO_LABEL), order, axis=1)
    return labels[None], -jnp.sum(scores, axis=1, keepdims=True)


def _beams(
    log_p: jax.Array, length: jax.Array, width: int, top: int, blank: int
) -> tuple[jax.Array, jax.Array]:
    """Return the most probable label sequences of one row: (steps, classes) → (top, steps), (top,).

    Each of `width` sequences carries its probability with a blank at the end, and without.
    """
    steps, classes = log_p.shape
    never, places = jnp.asarray(-jnp.inf, log_p.dtype), jnp.arange(steps).reshape(1, -1)

    def advanced(carry: tuple, p: jax.Array) -> tuple:
        labels, sizes, blank_end, label_end = carry
        total = jnp.logaddexp(blank_end, label_end)
        last = jnp.take_along_axis(labels, jnp.maximum(sizes - 1, 0)[:, None], axis=1)[:, 0]
        again = jnp.where(sizes > 0, p[last] + label_end, never)
        repeats = jnp.arange(classes).reshape(1, -1) == last[:, None]
        longer = jnp.where(repeats, blank_end[:, None], total[:, None]) + p.reshape(1, -1)
        longer = longer.at[:, blank].set(never)  # (width, classes)
        # Some sequence may be another one and its last label: both ways to it are one.
        cut = jnp.where(places == sizes[:, None] - 1, _NO_LABEL, labels)
        prefix = jnp.all(cut[:, None] == labels[None], axis=2) & (total > never).reshape(1, -1)
        prefix &= sizes[:, None] == sizes[None] + 1  # (width, width)
        is_longer, shorter = jnp.any(prefix, axis=1), jnp.argmax(prefix, axis=1)
        joined = jnp.where(is_longer, longer[shorter, last], never)
        longer = longer.at[jnp.where(is_longer, shorter, width), last].set(never, mode="drop")
        stays = (total + p[blank], jnp.logaddexp(again, joined))
        _, kept = jax.lax.top_k(jnp.concatenate([jnp.logaddexp(*stays), longer.reshape(-1)]), width)
        grows, place = kept >= width, kept - width
        origin = jnp.where(grows, place // classes, kept)
        added = jnp.where(grows, place % classes, _NO_LABEL)[:, None].astype("int32")
        sizes = sizes[origin]
        labels = jnp.where(places == sizes[:, None], added, labels[origin])
        by_blank = jnp.where(grows, never, stays[0][origin])
        by_label = jnp.where(grows, longer.reshape(-1)[place], stays[1][origin])
        return labels, sizes + grows.astype("int32"), by_blank, by_label

    def step(carry: tuple, found: tuple) -> tuple[tuple, None]:
        p, place = found
        going = (place < length) | (place == 0)  # the first step is always taken, as in Keras
        return jax.lax.cond(going, advanced, lambda carry, _: carry, carry, p), None

    start = (
        jnp.full((width, steps), _NO_LABEL, "int32"),
        jnp.zeros((width,), "int32"),
        jnp.full((width,), never).at[0].set(0),
        jnp.full((width,), never),
    )
    (labels, _, by_blank, by_label), _ = jax.lax.scan(step, start, (log_p, jnp.arange(steps)))
    return labels[:top], jnp.logaddexp(by_blank, by_label)[:top]


@op
def ctc_decode(
    inputs: Any, sequence_lengths: Any, strategy: str = "greedy", beam_width: int = 100,
    top_paths: int = 1, merge_repeated: bool = True, mask_index: int = 0,
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    """Return the label sequences that the outputs of a CTC model most probably spell.

    (batch, steps, classes), (batch,) → (paths, batch, steps), (batch, paths); -1 fills the rows.

    Args:
        inputs: logits of the classes for every step.
        sequence_lengths: how many steps each row has.
        strategy: "greedy" takes the best class of each step, "beam_search" sums over all ways to
            spell each of the `beam_width` best sequences. Default: "greedy".
        beam_width: how many sequences a beam search keeps. Default: 100.
        top_paths: how many sequences a beam search returns. Default: 1.
        merge_repeated: greedy: equal neighbours are one label. Default: True.
        mask_index: the blank's class; None for the last one. Default: 0.

    Returns:
        The labels, and their scores: minus the sum of the best logits ("greedy"), or
        log-probabilities ("beam_search").

    Raises:
        ValueError: for an unknown strategy, or more paths than beams.

    Example:
        >>> logits = np.log([[[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]]])
        >>> staghorn.ops.ctc_decode(logits, [3])[0]
        Array([[[ 1,  2, -1]]], dtype=int32)

    Notes:
        Sequences of exactly equal score may come in another order than Keras's.

    Reference: Graves et al. (2006), https://doi.org/10.1145/1143844.1143891
    """
    logits, lengths = _logits("ctc_decode", inputs), as_array(sequence_lengths, "int32")
    blank = logits.shape[2] - 1 if mask_index is None else mask_index
    if strategy == "greedy":
        return _best_per_step(logits, lengths, merge_repeated, blank)
    if strategy != "beam_search":
        raise ValueError(
            f"ctc_decode: strategy must be 'greedy' or 'beam_search', got {strategy!r}."
        )
    if top_paths > beam_width:
        raise ValueError(
            f"ctc_decode: top_paths must not exceed beam_width, got {top_paths} and {beam_width}."
        )
    log_p = jax.nn.log_softmax(logits)
    search = jax.vmap(lambda p, n: _beams(p, n, beam_width, top_paths, blank))
    labels, scores = search(log_p, lengths)
    return jnp.swapaxes(labels, 0, 1), scores
