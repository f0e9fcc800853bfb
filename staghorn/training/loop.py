"""One epoch of a feed: which hooks are called, compiled or as plain Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from staghorn.callbacks.callback_list import CallbackList
from staghorn.engine import tree
from staghorn.training.data import ArrayFeed
from staghorn.training.stateless import by_hand
from staghorn.training.stream import StreamFeed

Feed = ArrayFeed | StreamFeed

# The attribute by which a callback ends the loop that is running.
_STOP = {"train": "stop_training", "test": "stop_evaluating"}


class Hooks:
    """What the executor calls back: batch hooks of users, and the progress of groups.

    Args:
        model: the model; its `stop_training` or `stop_evaluating` ends the epoch.
        calls: callbacks.
        mode: "train" or "test".
    """

    def __init__(self, model: Any, calls: CallbackList, mode: str) -> None:
        self.model = model
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


def epoch_runner(
    model: Any, mode: str, feed: Feed, calls: CallbackList
) -> Callable[..., dict[str, Any]]:
    """Return a function `(epoch, done=0)` that runs one epoch and returns its logs.

    `done` of its batches were done before; where none are left, the logs are empty.
    """
    if model._by_hand(mode):
        model._build_for(feed.first_batch())
        return functools.partial(_eager_epoch, model, mode, feed, calls)
    executor = model._executor_for(mode, feed.first_batch())
    hooks = Hooks(model, calls, mode)
    pace = executor.pace
    pace.explicit = model.steps_per_execution
    if hooks.per_batch and pace.explicit is None:
        pace.explicit = 1

    def run(epoch: int, done: int = 0) -> dict[str, Any]:
        blocks = feed.blocks(epoch, pace.explicit)
        before, after = (hooks.begin, hooks.after) if hooks.per_batch else (None, None)
        return executor.epoch(blocks, before, after, hooks.on_group, done)

    return run


def _eager_epoch(
    model: Any, mode: str, feed: Feed, calls: CallbackList, epoch: int, done: int = 0
) -> dict[str, Any]:
    """Run an epoch as plain Python, step by step."""
    hooks = Hooks(model, calls, mode)
    if not done:
        model.reset_metrics()
    logs: dict[str, Any] = {}
    for index, batch in enumerate(feed.batches(epoch), done):
        hooks.begin(index)
        logs = eager_step(model, mode, batch)
        if hooks.after(index, logs):
            break
    return logs


def eager_step(model: Any, mode: str, batch: Any) -> dict[str, Any]:
    """Run one step as plain Python on a batch."""
    step = by_hand(model, mode)
    batch = tree.map_structure(lambda a: None if a is None else jnp.array(a), batch)
    return {name: _number(value) for name, value in step(batch).items()}


def _number(value: Any) -> Any:
    array = np.asarray(getattr(value, "value", value))
    return float(array) if array.ndim == 0 else array
