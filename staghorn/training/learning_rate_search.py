"""Which learning rate: a short trial run in which it grows from batch to batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from staghorn.engine import tree
from staghorn.engine.checked_jit import CheckedJit
from staghorn.engine.variable import Variable
from staghorn.optimizers.optimizer import Optimizer
from staghorn.training.checks import leaks_explained
from staghorn.training.loop import Feed
from staghorn.training.step import Program, State

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class LearningRates:
    """What `model.find_learning_rate` saw.

    Attributes:
        learning_rates: (steps,) the rate of each step, rising.
        losses: (steps,) the loss of each step's batch, before its update.

    Example:
        >>> from staghorn.training.learning_rate_search import LearningRates
        >>> rates = np.geomspace(1e-4, 1.0, 9)
        >>> seen = LearningRates(rates, np.array([1, 1, 1, 0.9, 0.5, 0.3, 0.3, 0.4, 2.0]))
        >>> seen.suggestion
        0.01
    """

    learning_rates: np.ndarray
    losses: np.ndarray

    @property
    def smoothed(self) -> np.ndarray:
        """(steps,) the losses, each with its neighbours: a mean that lags behind neither side."""
        return smooth(self.losses)

    @property
    def suggestion(self) -> float | None:
        """The rate at which the loss falls fastest; None if it never fell."""
        return steepest(self.learning_rates, self.smoothed)

    def plot(self, to_file: str | PathLike[str] | None = None) -> Figure:
        """Draw the loss over the learning rate, with the suggestion marked.

        Args:
            to_file: a `.png`, `.svg` or `.pdf` file to write. Default: None.
        """
        from staghorn.visualization.training_pictures import plot_learning_rates

        return plot_learning_rates(self, to_file)


def smooth(values: np.ndarray) -> np.ndarray:
    """(n,) → (n,): means with weights that fall linearly over n/25 neighbours on each side.

    Example:
        >>> from staghorn.training.learning_rate_search import smooth
        >>> smooth(np.array([0.0, 3.0, 0.0, 3.0])).tolist()
        [1.0, 1.5, 1.5, 2.0]
    """
    if not len(values):
        return values
    reach = 1 + len(values) // 25
    weights = reach + 1.0 - np.abs(np.arange(-reach, reach + 1))
    total = np.convolve(values, weights)[reach:-reach]
    return total / np.convolve(np.ones(len(values)), weights)[reach:-reach]


def steepest(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """(n,), (n,) → the rate of the most negative dloss/dlog(rate) before the lowest loss."""
    end = int(np.argmin(losses)) + 1 if len(losses) else 0
    if end < 2:
        return None
    slopes = np.gradient(losses[:end], np.log(rates[:end]))
    return float(rates[np.argmin(slopes)]) if slopes.min() < 0 else None


def diverged(losses: list[float]) -> bool:
    """Whether the mean of the last losses left the first by three times its size, or is no number.

    Example:
        >>> from staghorn.training.learning_rate_search import diverged
        >>> diverged([1.0, 0.5, 0.6]), diverged([1.0, 9.0, 9.0]), diverged([1.0, np.nan])
        (False, True, True)
    """
    return not np.mean(losses[-3:]) - losses[0] <= 3 * abs(losses[0])


def search(model: Any, feed: Feed, rates: np.ndarray) -> LearningRates:
    """Train a copy of the state, one step per rate, until the loss diverges."""
    losses: list[float] = []
    batches = _batches(feed, len(rates))
    with _rate_replaced(model) as rate, leaks_explained():
        step = _step(model, feed.first_batch(), rate)
        state = None
        for now, batch in zip(rates, batches, strict=False):
            state, loss = step(state, batch, np.float32(now))
            losses.append(float(loss))  # waits for the device
            if diverged(losses):
                break
    seen = np.array(losses)
    whole = len(seen) - int(len(seen) > 0 and not np.isfinite(seen[-1]))
    return LearningRates(rates[:whole], seen[:whole])


def _batches(feed: Feed, steps: int) -> Iterator[Any]:
    """Yield batches of one shape, passes one after the other."""
    struct = tree.map_structure(lambda s: None if s is None else s.shape, feed.first_batch())

    def fitting() -> Iterator[Any]:
        for epoch in itertools.count():
            given = 0
            if not feed.ready(1):
                return
            for batch in feed.batches(epoch):
                shapes = tree.map_structure(lambda a: None if a is None else a.shape, batch)
                if shapes == struct:
                    given += 1
                    yield batch
            if not given:
                return

    return itertools.islice(fitting(), steps)


def _step(model: Any, batch: Any, rate: Variable) -> Callable:
    """Return `(state, batch, rate) → (state, loss)`, compiled; None begins at the model's state."""
    model._build_for(batch)

    def train(data: Any) -> Any:
        model.reset_metrics()  # so that the loss is that of this batch
        return model.train_step(data)

    program = Program(train, None, model.reset_metrics, lambda: [*model._state_variables(), rate])
    program.prepare(batch)
    start, fixed = program.state()
    place = next(key for key, variable in program.fixed.items() if variable is rate)

    def run(state: State, fixed: State, data: Any) -> tuple[State, Any]:
        state, logs, _ = program.take_step(state, fixed, data)
        return state, logs["loss"]

    compiled = CheckedJit(run, 2, program.options)
    return lambda state, data, now: compiled(
        start if state is None else state, {**fixed, place: now}, data
    )


@contextmanager
def _rate_replaced(model: Any) -> Iterator[Variable]:
    """Let the optimizers read the Variable that this gives; afterwards their own rates."""
    held = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    found = getattr(held, "optimizers", [held])
    if not found or not all(isinstance(optimizer, Optimizer) for optimizer in found):
        raise ValueError(
            "find_learning_rate needs an optimizer of staghorn.optimizers, got "
            f"{type(model.optimizer).__name__}."
        )
    own = [optimizer._learning_rate for optimizer in found]
    rate = Variable(np.float32(0), trainable=False, name="learning_rate")
    try:
        for optimizer in found:
            vars(optimizer)["_learning_rate"] = rate
        yield rate
    finally:
        for optimizer, before in zip(found, own, strict=True):
            vars(optimizer)["_learning_rate"] = before
