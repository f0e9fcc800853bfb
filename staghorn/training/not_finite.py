"""Why a loss is not finite: the rows, the weights or the layer, found by taking the step again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine import tree
from staghorn.engine.dtypes import is_float
from staghorn.engine.scope import functionalize
from staghorn.training.data import unpack_x_y_sample_weight

_PARTS = ("x", "y", "sample_weight")
_HELP = """\
What usually helps: a smaller learning rate, clipnorm=1.0 in the optimizer, inputs scaled to about \
-1 ... 1, from_logits=True instead of a last softmax or sigmoid, staghorn.config.epsilon() inside \
log, sqrt and divisions."""


def explain(model: Any, batch: Any, rows: np.ndarray | None, known: bool) -> str:
    """Say what was not finite in a step.

    Args:
        model: the model.
        batch: the step's batch.
        rows: which rows of the caller's data those of the batch are, if that is known.
        known: whether the weights are those that led to the step, not what it made of them.
    """
    bad = [
        text
        for name, part in zip(_PARTS, unpack_x_y_sample_weight(batch), strict=True)
        for text in _bad_rows(name, part, rows)
    ]
    if bad:
        return f"{' '.join(bad)} Clean or drop those rows, np.isfinite(array) finds them."
    if not known:
        return f"The data of that batch is finite. {_HELP}"
    weights = [v.path for v in model.weights if not _finite(v._value)]
    if weights:
        return (
            f"After the step before, the weights {_listed(weights)} were not finite: its loss was, "
            f"its gradient was not.\n{_HELP}"
        )
    try:
        layer, raises = _first_bad_layer(model, batch), ""
    except Exception as error:  # code that only runs compiled: a diagnosis must not end a training
        layer, raises = None, f" (Running it outside the compiled step failed: {error})"
    if layer is not None:
        return (
            f"The first output that is not finite is that of layer '{layer.name}' "
            f"({type(layer).__name__}); the data and all weights are finite.\n{_HELP}"
        )
    return (
        "The data, the weights and what the layers return are finite; so look at the loss: the "
        f"logarithm of zero, a division by zero, sums that are too large.{raises}\n{_HELP}"
    )


def _finite(array: Any) -> bool:
    return not is_float(array.dtype) or bool(jnp.all(jnp.isfinite(array)))


def _bad_rows(name: str, part: Any, rows: np.ndarray | None) -> Iterator[str]:
    """Yield, for each array of a nest that is not finite, its name and the first such rows."""
    leaves = tree.flatten(part)
    for i, array in enumerate(leaves):
        if array is None or _finite(jnp.asarray(array)):
            continue
        flat = np.asarray(array, "float32").reshape(len(array), -1)
        places = np.flatnonzero(~np.isfinite(flat).all(axis=1))
        where = _listed((places if rows is None else np.sort(rows[places])).tolist())
        kind = "NaN" if np.isnan(flat).any() else "infinity"
        which = name if len(leaves) == 1 else f"{name}, array {i},"
        yield f"{which} holds {kind} in rows {where}{' of the batch' if rows is None else ''}."


def _listed(items: list) -> str:
    return ", ".join(map(str, items[:5])) + (f", ... ({len(items)})" if len(items) > 5 else "")


def _first_bad_layer(model: Any, batch: Any) -> Any:
    """Take the step once more as plain Python, forget what it changed, and watch the layers."""
    variables = model._state_variables()
    batch = tree.map_structure(lambda a: None if a is None else jnp.asarray(a), batch)
    seen: list[Any] = []
    nan: set[int] = set()
    infinite: set[int] = set()

    def note(index: int, worst: Any) -> None:
        if worst:
            (nan if worst > 1 else infinite).add(index)

    with _observed(model, seen, note):
        functionalize(model.train_step, variables)([v._value for v in variables], batch)
        jax.effects_barrier()
    # Minus infinity alone may be meant: softmax makes zeros of it.
    found = nan or infinite
    return seen[min(found)] if found else None


@contextmanager
def _observed(model: Any, seen: list[Any], note: Callable) -> Iterator[None]:
    """Have every layer, the innermost first, report how bad its output is."""

    def watched(layer: Any, call: Callable, *args: Any, **kwargs: Any) -> Any:
        outputs = call(*args, **kwargs)
        for leaf in jax.tree.leaves(outputs):
            if hasattr(leaf, "dtype") and is_float(leaf.dtype):
                bad = jnp.isnan(leaf).any() | jnp.isposinf(leaf).any()
                worst = jnp.where(bad, 2, jnp.isneginf(leaf).any().astype("int32"))
                # A callback: the arrays may be those of a gradient or of a loop.
                jax.debug.callback(functools.partial(note, len(seen)), worst)
        seen.append(layer)
        return outputs

    layers = [layer for layer in model._flatten_layers() if layer is not model]
    own = [vars(layer).get("call") for layer in layers]
    for layer in layers:
        vars(layer)["call"] = functools.partial(watched, layer, layer.call)
    try:
        yield
    finally:
        for layer, call in zip(layers, own, strict=True):
            del vars(layer)["call"]
            if call is not None:
                vars(layer)["call"] = call
