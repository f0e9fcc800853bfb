"""ProgbarLogger: the progress display of fit, evaluate and predict."""

from __future__ import annotations

from typing import Any

from staghorn.callbacks.callback import Callback, Logs
from staghorn.engine.progbar import Progbar, write


class ProgbarLogger(Callback):
    """Progress on standard output; `fit`, `evaluate` and `predict` add it unless `verbose=0`.

    On a terminal: a live bar with the time left. Elsewhere: one line per epoch, such as
    `Epoch 3/10 - 60/60 - 0s - 2ms/step - loss: 0.1234`. With `verbose=2`: Keras's two lines.

    Example:
        >>> logger = staghorn.callbacks.ProgbarLogger()
        >>> logger.set_params({"verbose": 2, "epochs": 2, "steps": 3})
        >>> logger.on_train_begin()
        >>> logger.on_epoch_begin(0)
        Epoch 1/2
        >>> logger.on_epoch_end(0, {"loss": 0.5})          # doctest: +ELLIPSIS
        3/3 - 0s - .../step - loss: 0.5000

    Notes:
        Keras updates its bar in the batch hooks. This one hears of groups of steps and shows the
        values of the group before, so that it never waits for the device. An epoch that was
        stopped early shows the steps that were done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0
        self.progbar: Progbar | None = None
        self.target: int | None = None
        self.verbose: int = 1
        self.epochs: int = 1
        self._in_fit = False

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        verbose = params.get("verbose", 1)
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self.epochs = params.get("epochs", 1)
        self.target = params.get("steps")

    def on_train_begin(self, logs: Logs = None) -> None:
        self._in_fit = True  # the validation inside fit is silent

    def on_train_end(self, logs: Logs = None) -> None:
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        progbar = self._open()
        if self.epochs <= 1:
            return
        title = f"Epoch {epoch + 1}/{self.epochs}"
        if progbar.live or self.verbose == 2:
            write(f"{title}\n")
        else:
            progbar.prefix = f"{title} - "

    def on_train_chunk_end(self, batch: int, logs: Logs = None) -> None:
        self._update(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._close(logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        if not self._in_fit:
            self._open()

    def on_test_chunk_end(self, batch: int, logs: Logs = None) -> None:
        if not self._in_fit:
            self._update(batch, logs)

    def on_test_end(self, logs: Logs = None) -> None:
        if not self._in_fit:
            self._close(logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._open()

    def on_predict_chunk_end(self, batch: int, logs: Logs = None) -> None:
        self._update(batch, None)  # predictions are no metrics

    def on_predict_end(self, logs: Logs = None) -> None:
        self._close(None)

    def _open(self) -> Progbar:
        self.seen = 0
        # No stateless metrics: the values of an epoch are averages already.
        self.progbar = Progbar(self.target, verbose=self.verbose, stateless_metrics=())
        return self.progbar

    def _update(self, batch: int, logs: Logs) -> None:
        self.seen = batch + 1
        if self.progbar is not None and self.progbar.live:
            self.progbar.update(self.seen, (logs or {}).items(), finalize=False)

    def _close(self, logs: Logs) -> None:
        if self.progbar is None:
            return
        if self.target is None:  # the first epoch of a stream tells how long the next ones are
            self.target = self.progbar.target = self.seen
        # A last group that is not full may count beyond the target; without news all is done.
        done = min(self.seen or self.target, self.target)
        self.progbar.update(done, (logs or {}).items(), finalize=True)
