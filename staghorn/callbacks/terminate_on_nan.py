"""TerminateOnNaN: stop when the loss is no longer a number."""

from __future__ import annotations

import math

from staghorn.callbacks.callback import Callback, Logs
from staghorn.engine.progbar import say


class TerminateOnNaN(Callback):
    """Stop training when the loss is NaN or infinite.

    Args:
        raise_error: raise a RuntimeError, which skips the `on_train_end` of all callbacks, instead
            of setting `model.stop_training`; default False.

    Raises:
        RuntimeError: `raise_error=True` and the loss is not finite.

    Example:
        >>> from types import SimpleNamespace
        >>> guard = staghorn.callbacks.TerminateOnNaN()
        >>> guard.set_model(SimpleNamespace(stop_training=False))
        >>> guard.on_epoch_end(0, {"loss": float("nan")})
        Epoch 1: Invalid loss, terminating training
        >>> guard.model.stop_training
        True

    Notes:
        Keras waits for the loss of every batch. Here the device looks at it: training ends with
        the very step whose loss is not finite, also in the middle of a compiled group, and is not
        slowed down. After the line that Keras prints comes what was found: the rows of the data
        that are not finite, or the layer whose output went bad. Unlike in Keras the weights are
        those from before that step; what the optimizer keeps (moments) has seen it, so compile
        again before training goes on. Without this callback `fit` warns, once, with the step and
        the rows, and goes on; it then trains bit for bit as if nobody looked.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error
        self._batch: int | None = None  # last batch that the values in the logs include
        self._found = False
        self._reason = ""

    def found_bad(self, batch: int, reason: str) -> None:
        """Take notice, from `fit`, of the first batch whose loss is not finite, and of why."""
        self._batch, self._reason = batch, f"\n{reason}"

    def on_train_begin(self, logs: Logs = None) -> None:
        self._found, self._reason = False, ""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._batch = None

    def on_train_chunk_end(self, batch: int, logs: Logs = None) -> None:
        self._check(logs, f"Batch {batch if self._batch is None else self._batch}")
        self._batch = batch

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._check(logs, f"Epoch {epoch + 1}" if self._batch is None else f"Batch {self._batch}")

    def _check(self, logs: Logs, where: str) -> None:
        loss = (logs or {}).get("loss")
        if self._found or loss is None or math.isfinite(loss):
            return
        self._found = True
        if self.raise_error:
            raise RuntimeError(f"{where}: the loss is {loss}. Training was stopped.{self._reason}")
        say(f"{where}: Invalid loss, terminating training{self._reason}", during_epoch=True)
        self.model.stop_training = True
