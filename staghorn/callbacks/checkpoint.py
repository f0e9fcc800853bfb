"""ModelCheckpoint, and what it shares with others that save the model while it trains."""

from __future__ import annotations

import os
import warnings
from os import PathLike
from pathlib import Path
from typing import Any

from staghorn.callbacks import training_state
from staghorn.callbacks.callback import Logs, default
from staghorn.callbacks.history import Records
from staghorn.callbacks.monitor import Monitor
from staghorn.engine.arguments import Is, check_values
from staghorn.engine.keywords import reject_unknown
from staghorn.engine.progbar import say
from staghorn.engine.spellings import say_once, user_level


class Saver(Monitor):
    """Base of the callbacks that save the model after every epoch or every so many steps.

    Args:
        save_freq: "epoch", or a number of training steps.
        **monitor: arguments of Monitor.

    Raises:
        ValueError: wrong `save_freq`.

    Example:
        >>> from staghorn.callbacks.checkpoint import Saver
        >>> Saver(100).needs_batches
        True
    """

    last = True
    period = 1

    def __init__(self, save_freq: str | int, **monitor: Any) -> None:
        super().__init__(**monitor)
        whole = isinstance(save_freq, int) and not isinstance(save_freq, bool)
        if save_freq != "epoch" and not (whole and int(save_freq) > 0):
            raise ValueError(
                f"{type(self).__name__}: save_freq must be 'epoch' or a positive int (training "
                f"steps), got {save_freq!r} ({type(save_freq).__name__})."
            )
        self.save_freq = save_freq
        if save_freq != "epoch":
            self.needs_batches = True
            self.hooks = self.hooks | {"on_train_batch_end"}
        self._epoch = 0
        self._epochs_unsaved = 0
        self._steps = 0  # since this object was made
        self._unsaved = 0  # steps since the last save
        self._last_batch: int | None = None
        self._at = 0, 0  # epoch and batch with which training would go on

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch = epoch

    @default  # heard only where save_freq counts steps, see __init__
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            return
        new_epoch = self._last_batch is None or batch <= self._last_batch
        steps = batch + 1 if new_epoch else batch - (self._last_batch or 0)
        self._steps += steps
        self._unsaved += steps
        self._last_batch = batch
        if self._unsaved >= int(self.save_freq):
            self._unsaved = 0
            self._at = self._epoch, batch + 1
            self._save_if_wanted(self._epoch, batch, dict(logs or {}))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._epochs_unsaved += 1
        if self.save_freq == "epoch" and self._epochs_unsaved >= self.period:
            self._epochs_unsaved = 0
            self._at = epoch + 1, 0
            self._save_if_wanted(epoch, None, dict(logs or {}))

    def _save_if_wanted(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> None:
        raise NotImplementedError


class ModelCheckpoint(Saver):
    """Save the model, or its weights, after every epoch or every so many steps.

    A `.keras` file written during `fit` holds all that training needs to go on from it, bit for
    bit: `model.fit(..., resume=path)`.

    Args:
        filepath: file to write; `{epoch}`, `{batch}` and the names of the logs are filled in, as in
            "{epoch:02d}-{val_loss:.2f}.keras" (the first epoch is 1). Ends in ".weights.h5" with
            `save_weights_only`, else in ".keras"; or in ".h5" or ".hdf5".
        monitor: name in the logs; default "val_loss".
        verbose: 1 prints what was done; default 0.
        save_best_only: save only when the value improved; default False.
        save_weights_only: `model.save_weights` instead of `model.save`; default False.
        mode: "min", "max" or "auto"; default "auto".
        save_freq: "epoch", or a number of training steps; default "epoch".
        initial_value_threshold: value that must be beaten by the first save; default None.
        period: epochs between two saves, as old scripts write it; default 1.

    Raises:
        ValueError: wrong ending of `filepath` or wrong `save_freq`.
        KeyError: `filepath` names a value that is not in the logs.

    Example:
        >>> staghorn.callbacks.ModelCheckpoint("best.keras", save_best_only=True).monitor
        'val_loss'
        >>> staghorn.callbacks.ModelCheckpoint("last.keras", save_freq=100).needs_batches
        True

    Notes:
        A file is written beside its final name and then renamed, so an interrupted save leaves the
        previous one whole. A number in `save_freq` makes every training step its own program
        call; "epoch" costs no speed. The direction of `monitor` is asked for only with
        `save_best_only`.
    """

    kept = ("best", "_unsaved", "_last_batch", "_epochs_unsaved")

    def __init__(
        self,
        filepath: str | PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        **kwargs: Any,
    ) -> None:
        reject_unknown("ModelCheckpoint", kwargs, ("period",))
        super().__init__(save_freq, monitor=monitor, mode=mode, baseline=initial_value_threshold)
        check_values("ModelCheckpoint", {"filepath": Is(str, PathLike)}, {"filepath": filepath})
        self.period = kwargs.get("period", 1)
        if self.period != 1:
            say_once("period=", "save_freq= (counted in training steps)", "ModelCheckpoint")
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        endings = (".weights.h5" if self.save_weights_only else ".keras", ".h5", ".hdf5")
        if not self.filepath.endswith(endings):
            raise ValueError(
                f"ModelCheckpoint: filepath must end in {' or '.join(map(repr, endings))} with "
                f"save_weights_only={self.save_weights_only!r}, got {self.filepath!r}."
            )

    def _save_if_wanted(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> None:
        path = self._path(epoch, batch, logs)
        if not self.save_best_only or self._is_best(epoch, logs):
            self._save(path, logs)
            if self.verbose > 0:
                say(f"Epoch {epoch + 1}: saved the model to {path}", during_epoch=True)

    def _is_best(self, epoch: int, logs: dict[str, Any]) -> bool:
        """Whether the value improved; a value that cannot be compared saves, as in Keras."""
        current = self.current(logs)
        if current is None:
            return True
        if getattr(current, "shape", ()) != ():
            warnings.warn(
                f"ModelCheckpoint: monitor {self.monitor!r} must be one number to tell the best "
                f"model, got an array of shape {current.shape}; the model is saved every time.",
                stacklevel=user_level(),
            )
            return True
        better = self.improved(current, self.best)
        if self.verbose > 0:
            best = "nothing" if self.best is None else f"{self.best:.5f}"
            change = f"improved from {best} to" if better else f"did not improve from {best}:"
            message = f"Epoch {epoch + 1}: {self.monitor} {change} {current:.5f}"
            say(message, during_epoch=True)
        if better:
            self.best = current
        return better

    def _path(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> str:
        names = Records({"epoch": epoch + 1, **logs})
        if batch is not None:
            names.setdefault("batch", batch + 1)
        try:
            return self.filepath.format_map(names)
        except KeyError as error:
            raise KeyError(
                f"ModelCheckpoint: filepath {self.filepath!r} names a value that is not there. "
                f"Available: {', '.join(names)}."
            ) from error

    def _save(self, path: str, logs: dict[str, Any]) -> None:
        # Late: saving is a floor above callbacks.
        from staghorn.saving.atomic import replacing_path

        Path(path).parent.mkdir(parents=True, exist_ok=True)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        if not save.__module__.startswith("staghorn."):
            # A class of the user may have its own, which takes a path alone and is not atomic.
            with replacing_path(path) as temporary:
                save(str(temporary), overwrite=True)
            return
        options: dict[str, Any] = {}
        if path.endswith(".keras") and self.model._run is not None:
            state = training_state.take(self.model, *self._at, logs, whole=False)
            options["extra"] = training_state.to_members(state)
        save(path, overwrite=True, **options)
