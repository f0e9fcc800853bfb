"""EarlyStopping: stop when a value no longer improves."""

from __future__ import annotations

from typing import Any

from staghorn.callbacks.callback import Logs
from staghorn.callbacks.monitor import Monitor
from staghorn.engine.progbar import say


class EarlyStopping(Monitor):
    """Stop training when a logged value has stopped improving.

    Args:
        monitor: name in the logs; default "val_loss".
        min_delta: a change up to this size is no improvement; default 0.
        patience: epochs without improvement before stopping; default 0.
        verbose: 1 prints what was done; default 0.
        mode: "min", "max" or "auto"; default "auto".
        baseline: value that must be beaten for an epoch to count; default None.
        restore_best_weights: at the end give the model the weights of its best epoch, also when
            no epoch beat the baseline; default False.
        start_from_epoch: epochs before watching begins; default 0.

    Raises:
        ValueError: `mode="auto"` and the direction of the value is unknown.

    Example:
        >>> stop = staghorn.callbacks.EarlyStopping(monitor="loss", patience=2)
        >>> stop.on_train_begin()
        >>> stop.on_epoch_end(0, {"loss": 0.5})
        >>> stop.best, stop.wait
        (0.5, 0)

    Notes:
        The best weights are copies in host memory: a training step gives the memory of the old
        weights to the new ones. NaN and missing names: see Monitor.
    """

    kept = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        super().on_train_begin(logs)
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        current = self.current(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        improved = self.improved(current, self.best)
        if improved:
            self.best = current
        # Weights to fall back on are kept from the first watched epoch, even where it is NaN.
        if improved or (self.restore_best_weights and self.best_weights is None):
            self._remember(epoch)
        if improved:
            if self.baseline is None or self.improved(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _remember(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose > 0:
                say(f"Restoring the weights of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)
