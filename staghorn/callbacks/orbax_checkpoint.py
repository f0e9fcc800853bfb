"""OrbaxCheckpoint: save the model in Orbax's format, in the background."""

from __future__ import annotations

import os
from os import PathLike
from typing import Any

import jax

from staghorn.callbacks.callback import Logs
from staghorn.callbacks.checkpoint import Saver
from staghorn.engine.arguments import Is, Positive, check_values
from staghorn.engine.progbar import say

_TAKEN = """\
OrbaxCheckpoint: directory {!r} has a checkpoint of step {}, and this run would write step {} next.
Give another directory, or go on from it: load_model(directory), fit(..., initial_epoch=...)."""
_FOLDER, _COUNT = {"directory": Is(str, PathLike)}, {"max_to_keep": Positive(int, optional=True)}


class OrbaxCheckpoint(Saver):
    """Save the model, or its weights, as checkpoints of Orbax, while training goes on.

    Each checkpoint is a folder below `directory`, named by its step: the epoch, from 0, or with a
    number in `save_freq` the count of training steps. `staghorn.saving.load_model(directory)` and
    `model.load_weights(directory)` read the last one, and Keras reads it too.

    Args:
        directory: folder of the checkpoints. It is made when needed.
        monitor: name in the logs; default "val_loss".
        verbose: 1 prints what is saved; default 0.
        save_best_only: save only when the value improved; default False.
        mode: "min", "max" or "auto"; default "auto".
        save_freq: "epoch", or a number of training steps; default "epoch".
        initial_value_threshold: value that must be beaten by the first save; default None.
        max_to_keep: how many checkpoints stay, the newest ones; None keeps all. Default 1.
        save_on_background: write while training goes on; default True.
        save_weights_only: leave out architecture, optimizer and assets; default False.

    Raises:
        ImportError: the package `orbax-checkpoint` is not installed.
        ValueError: a wrong argument, or a directory with later checkpoints than this run writes.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp() + "/run"
        >>> model = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> saves = [staghorn.callbacks.OrbaxCheckpoint(folder)]
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, verbose=0, callbacks=saves)
        >>> again = staghorn.saving.load_model(folder)
        >>> int(again.optimizer.iterations)
        2

    Notes:
        A background save works on a copy of the arrays, so it costs their memory once more.
        Differences from Keras: an error of a background save is raised, not dropped; a run that
        would write steps which are there already is refused before it trains; `directory` may be
        relative; the folder is made when training begins. Seeds of random layers come back too,
        in the order in which the layers were made. The position in the data does not: where
        interrupted training must go on exactly with shuffled rows, use `BackupAndRestore`.

    Reference: https://orbax.readthedocs.io
    """

    kept = ("best", "_steps", "_unsaved", "_last_batch")

    def __init__(
        self,
        directory: str | PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        max_to_keep: int | None = 1,
        save_on_background: bool = True,
        save_weights_only: bool = False,
    ) -> None:
        super().__init__(save_freq, monitor=monitor, mode=mode, baseline=initial_value_threshold)
        check_values("OrbaxCheckpoint", _FOLDER, {"directory": directory})
        check_values("OrbaxCheckpoint", _COUNT, {"max_to_keep": max_to_keep})
        _package()
        self.directory = os.fspath(directory)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.max_to_keep = max_to_keep
        self.save_on_background = save_on_background
        self.save_weights_only = save_weights_only
        self.checkpointer: Any = None
        self._pending: Any = None  # the save that may still be running
        self._before: int | None = None  # training steps of the model before this `fit`

    def is_multihost_enabled(self) -> bool:
        """Return whether several processes train together."""
        return jax.distributed.is_initialized()

    def is_primary_host(self) -> bool:
        """Return whether this process is the first of those that train together."""
        return jax.process_index() == 0

    def wait_until_finished(self) -> None:
        """Wait until what was saved in the background is on disk; raise what went wrong."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def on_train_begin(self, logs: Logs = None) -> None:
        super().on_train_begin(logs)
        self.on_train_end()  # of a `fit` that was interrupted
        training, keep = _package().training, self.max_to_keep
        self.checkpointer = training.Checkpointer(
            self.directory if "://" in self.directory else os.path.abspath(self.directory),
            preservation_policy=keep and training.preservation_policies.LatestN(keep),
            save_decision_policy=training.save_decision_policies.FixedIntervalPolicy(1),
        )
        self._before = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        super().on_epoch_begin(epoch, logs)
        if self._before is not None:
            return
        # Only now all callbacks have begun, and a backup was given back.
        iterations = int(getattr(self.model.optimizer, "iterations", 0))
        self._before = iterations - self._steps
        step = epoch if self.save_freq == "epoch" else iterations + 1
        latest = self.checkpointer.latest
        if latest is not None and latest.step >= step:
            raise ValueError(_TAKEN.format(self.directory, latest.step, step))

    def on_train_end(self, logs: Logs = None) -> None:
        checkpointer, self.checkpointer = self.checkpointer, None
        if checkpointer is not None:
            self.wait_until_finished()
            checkpointer.close()

    def _save_if_wanted(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> None:
        if self.save_best_only:
            current = self.current(logs)
            if current is None or not self.improved(current, self.best):
                return
            self.best = current
        # Late: saving is a floor above callbacks.
        from staghorn.saving.orbax import checkpointables

        self.wait_until_finished()  # one save at a time, and one copy
        step = epoch if batch is None else (self._before or 0) + self._steps
        content = checkpointables(self.model, self.save_weights_only)
        self._pending = self.checkpointer.save_checkpointables_async(step, content)
        if not self.save_on_background:
            self.wait_until_finished()
        if self.verbose > 0:
            say(f"Saving step {step} to {self.directory}", during_epoch=True)


def _package() -> Any:
    from staghorn.saving.orbax import orbax

    return orbax()
