"""One epoch of a feed: which hooks are called, compiled or as plain Python."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from staghorn.callbacks.callback_list import CallbackList
from staghorn.callbacks.terminate_on_nan import TerminateOnNaN
from staghorn.engine import tree
from staghorn.engine.spellings import user_level
from staghorn.training.data import ArrayFeed
from staghorn.training.not_finite import explain
from staghorn.training.stateless import by_hand
from staghorn.training.stream import StreamFeed

Feed = ArrayFeed | StreamFeed

# The attribute by which a callback ends the loop that is running.
_STOP = {"train": "stop_training", "test": "stop_evaluating"}

_STOP_AT_NAN = """\
fit(..., callbacks=[staghorn.callbacks.TerminateOnNaN()]) ends training there, with the weights as \
they were before, and names the layer whose output went bad."""


class Hooks:
    """What the executor calls back: batch hooks of users, and the progress of groups.

    Args:
        model: the model; its `stop_training` or `stop_evaluating` ends the epoch.
        calls: callbacks.
        mode: "train" or "test".
        feed: the data.
        first: number of the epoch that is the feed's first.
    """

    def __init__(
        self, model: Any, calls: CallbackList, mode: str, feed: Feed, first: int = 0
    ) -> None:
        self.model = model
        self.feed, self.first = feed, first
        self.guards = [c for c in calls.callbacks if isinstance(c, TerminateOnNaN)]
        self.watching = mode == "train"  # until the first loss that is not finite
        self.stop = _STOP[mode]
        self.begin = getattr(calls, f"on_{mode}_batch_begin")
        self.end = getattr(calls, f"on_{mode}_batch_end")
        self.chunk = getattr(calls, f"on_{mode}_chunk_end")
        self.per_batch = calls.needs_batches(mode)

    def after(self, index: int, logs: dict[str, Any]) -> bool:
        self.end(index, logs)
        return self.on_group(index, logs)

    def on_group(self, index: int, logs: dict[str, Any]) -> bool:
        self.chunk(index, logs)
        return bool(getattr(self.model, self.stop))

    def on_bad(self, known: bool, epoch: int, index: int, batch: Any) -> None:
        """Say once why a loss is not finite; `known`: the weights are those that led to it."""
        self.watching = False
        rows = None
        if isinstance(self.feed, ArrayFeed):
            size = self.feed.batch_size
            rows = self.feed.epoch_rows(epoch)[index * size : (index + 1) * size]
        reason = explain(self.model, batch, rows, known)
        for guard in self.guards:
            guard.found_bad(index, reason)
            self.model.stop_training = True
        if not self.guards:
            warnings.warn(
                f"Epoch {self.first + epoch + 1}, batch {index} (counted from 0): the loss is not "
                f"finite, and training goes on. {reason}\n{_STOP_AT_NAN}",
                stacklevel=user_level(),
            )


def epoch_runner(
    model: Any, mode: str, feed: Feed, calls: CallbackList, first: int = 0
) -> Callable[..., dict[str, Any]]:
    """Return a function `(epoch, done=0)` that runs one epoch, counted from `first`, for its logs.

    `done` of its batches were done before; where none are left, the logs are empty.
    """
    if model._by_hand(mode):
        model._build_for(feed.first_batch())
        return functools.partial(_eager_epoch, Hooks(model, calls, mode, feed, first), mode)
    hooks = Hooks(model, calls, mode, feed, first)
    guarded = mode == "train" and bool(hooks.guards)
    executor = model._executor_for(mode, feed.first_batch(), guarded)
    pace = executor.pace
    pace.explicit = model.steps_per_execution
    if hooks.per_batch and pace.explicit is None:
        pace.explicit = 1

    def run(epoch: int, done: int = 0) -> dict[str, Any]:
        blocks = feed.blocks(epoch, pace.explicit)
        before, after = (hooks.begin, hooks.after) if hooks.per_batch else (None, None)
        report = functools.partial(hooks.on_bad, guarded, epoch)
        executor.on_bad = report if hooks.watching else None
        try:
            return executor.epoch(blocks, before, after, hooks.on_group, done)
        finally:
            executor.on_bad = None

    return run


def _eager_epoch(hooks: Hooks, mode: str, epoch: int, done: int = 0) -> dict[str, Any]:
    """Run an epoch as plain Python, step by step."""
    model = hooks.model
    if not done:
        model.reset_metrics()
    logs: dict[str, Any] = {}
    for index, batch in enumerate(hooks.feed.batches(epoch), done):
        hooks.begin(index)
        # Functions that users compiled may have given the arrays of before away.
        known = model.run_eagerly and hooks.watching
        before = [(v, v._value) for v in model._forward_variables()] if known else []
        logs = eager_step(model, mode, batch)
        if hooks.watching and not np.isfinite(logs.get("loss", 0.0)).all():
            after = [(v, v._value) for v, _ in before]
            _adopt(before)
            hooks.on_bad(known, epoch, index, batch)
            if not hooks.guards:
                _adopt(after)
        if hooks.after(index, logs):
            break
    return logs


def _adopt(values: list[tuple[Any, Any]]) -> None:
    for variable, value in values:
        variable._adopt(value)


def eager_step(model: Any, mode: str, batch: Any) -> dict[str, Any]:
    """Run one step as plain Python on a batch."""
    step = by_hand(model, mode)
    batch = tree.map_structure(lambda a: None if a is None else jnp.array(a), batch)
    return {name: _number(value) for name, value in step(batch).items()}


def _number(value: Any) -> Any:
    array = np.asarray(getattr(value, "value", value))
    return float(array) if array.ndim == 0 else array
