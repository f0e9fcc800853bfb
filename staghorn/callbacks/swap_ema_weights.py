"""SwapEMAWeights: evaluate with the moving averages of the weights."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.callbacks.callback import Callback, Logs
from staghorn.engine.variable import Variable

_NO_AVERAGES = """\
SwapEMAWeights: the model's optimizer ({optimizer}) keeps no moving averages of the weights.
Compile with them:    model.compile(staghorn.optimizers.{name}(..., use_ema=True), ...)"""


def averages_of(optimizer: Any) -> list[tuple[Variable, Variable]]:
    """Return (weight, moving average) pairs; none before the first training step.

    Args:
        optimizer: an optimizer, one that wraps others, or None.

    Raises:
        ValueError: it keeps no averages.
    """
    held = getattr(optimizer, "inner_optimizer", optimizer)  # LossScaleOptimizer
    several = getattr(held, "optimizers", [held])
    keeping = [one for one in several if getattr(one, "use_ema", False)]
    if not keeping:
        cls = type(held).__name__ if held is not None else "none"
        name = cls if held is not None else "SGD"
        raise ValueError(_NO_AVERAGES.format(optimizer=cls, name=name))
    # Averages are zeros until the first step makes them the weights themselves.
    begun = [one for one in keeping if one.built and int(one.iterations) > 0]
    return [pair for one in begun for pair in one._averaged()]


class SwapEMAWeights(Callback):
    """Put the moving averages of the weights into the model while it evaluates or predicts.

    The optimizer keeps the averages with `use_ema=True`; this callback gives them to the model
    before `evaluate`, `predict` and the validation of `fit`, and then the training weights back.

    Args:
        swap_on_epoch: also keep the averages in the model from the end of an epoch to the begin
            of the next, for callbacks after this one, such as ModelCheckpoint; default False.

    Raises:
        ValueError: the optimizer keeps no averages.

    Example:
        >>> model = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(1)])
        >>> model.compile(staghorn.optimizers.SGD(0.1, use_ema=True), "mse")
        >>> swap = staghorn.callbacks.SwapEMAWeights(swap_on_epoch=True)
        >>> x, y = np.ones((4, 2)), np.ones((4, 1))
        >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[swap])

    Notes:
        Differences from Keras: the averages stay where they are and the training weights wait in
        the callback, so that a `fit` that is stopped early or fails ends with the averages too, as
        every `fit` with `use_ema=True` does. Before the first step, when Keras would evaluate
        zeros, nothing is swapped. Cost: one copy of the weights on the device while swapped.
    """

    kept = ("waiting",)

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        # The training weights, while the model holds the averages; else None.
        self._live: list[tuple[Variable, jax.Array]] | None = None

    @property
    def waiting(self) -> list[jax.Array] | None:
        """The training weights while the model holds the averages, else None."""
        return None if self._live is None else [value for _, value in self._live]

    @waiting.setter
    def waiting(self, values: list[Any] | None) -> None:
        weights = [weight for weight, _ in averages_of(self.model.optimizer)]
        arrays = None if values is None else map(jnp.asarray, values)
        self._live = None if arrays is None else list(zip(weights, arrays, strict=True))

    def _swap_in(self) -> None:
        if self._live is not None:
            return
        pairs = averages_of(self.model.optimizer)
        self._live = [(weight, weight.stored) for weight, _ in pairs]
        for weight, average in pairs:
            weight.assign(average.stored)

    def _swap_out(self) -> None:
        live, self._live = self._live, None
        for weight, value in live or ():
            weight.assign(value)

    def on_train_begin(self, logs: Logs = None) -> None:
        averages_of(self.model.optimizer)  # an error shows before anything is trained
        self._live = None  # of a fit that failed while swapped

    def on_train_end(self, logs: Logs = None) -> None:
        # `fit` has given the model its averages for good; weights assigned by hand stay too.
        self._live = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._swap_out()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.swap_on_epoch:
            self._swap_in()

    def on_test_begin(self, logs: Logs = None) -> None:
        self._swap_in()

    def on_test_end(self, logs: Logs = None) -> None:
        self._swap_out()

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._swap_in()

    def on_predict_end(self, logs: Logs = None) -> None:
        self._swap_out()
