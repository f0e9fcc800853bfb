"""BackupAndRestore: an interrupted `fit`, started again, ends as if it had not been interrupted."""

from __future__ import annotations

import os
import warnings
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from staghorn.callbacks import training_state
from staghorn.callbacks.callback import Callback, Logs, default
from staghorn.callbacks.training_state import TrainingState
from staghorn.engine.arguments import Is, check_values
from staghorn.engine.spellings import user_level

if TYPE_CHECKING:
    from staghorn.saving.archive import Archive

# The files by which Keras's callback of the same name can be told.
_FILES_OF_KERAS = ("latest.weights.h5", "training_metadata.json")

_START_AFRESH = "To train from the start, delete that file; to keep it, give another backup_dir."

_FOREIGN = """\
BackupAndRestore: the folder {folder!r} holds a backup written by Keras ({names}), which has no
seeds and no order of the rows, so training cannot go on from it exactly.
Load its weights yourself, model.load_weights(...), pass fit(initial_epoch=...), and give another
backup_dir."""

_DAMAGED = """\
BackupAndRestore: the backup cannot be read, and nothing was trained.
{error}
{advice}"""

_DIFFERS = """\
Training cannot go on exactly from {where}: this run differs from the one that wrote it.
{problems}
The model, compile(...), fit(...), its data and the versions must be those of that run.
{advice}"""


def write_backup(path: Path, state: TrainingState) -> None:
    """Write a backup so that the file is the old one or the complete new one at every moment."""
    # Late: saving is a floor above callbacks.
    from staghorn.saving.archive import checked_members, write_archive
    from staghorn.saving.atomic import replacing_file

    with replacing_file(path) as file:
        write_archive(file, checked_members(training_state.to_members(state)))


def read_backup(path: str | PathLike[str]) -> tuple[TrainingState, Archive]:
    """Read the state of a training from a backup, or from a checkpoint's `.keras` file.

    Returns:
        The state, and the archive, which has a checkpoint's weights.

    Raises:
        CorruptFileError: it is damaged, or holds no such state.
    """
    from staghorn.saving.archive import read_archive
    from staghorn.saving.errors import CorruptFileError

    archive = read_archive(path)
    if not {training_state.TRAINING, training_state.STATE} <= set(archive.members):
        raise CorruptFileError(
            f"{archive.where} holds no state of a training: it is not a backup, and no checkpoint "
            "that ModelCheckpoint wrote during fit(...)."
        )
    return training_state.from_members(archive.members, archive.where), archive


def resume(model: Any, state: TrainingState, archive: Archive, advice: str) -> None:
    """Let the `fit` that begins go on from a state, or say in what it differs.

    Raises:
        ValueError: the run is another one.
    """
    from staghorn.saving.weights import restore

    run = model._run
    variables = training_state.state_variables(model, state.batch, state.whole)
    now = training_state.facts(model)
    problems = training_state.differences(state, variables, now, run.callbacks)
    seed = run.feed.position()
    if isinstance(seed, int) and not (
        type(state.position) is int and 0 <= state.position < 1 << 64
    ):
        problems.append(f"order of the rows: {seed} now, {state.position!r:.40} then")
    if state.epoch < run.epoch:
        problems.append(f"initial_epoch: {run.epoch} now, the state is of epoch {state.epoch}")
    if problems:
        text = "\n".join(f"  {line}" for line in problems)
        raise ValueError(_DIFFERS.format(where=archive.where, problems=text, advice=advice))
    if not state.whole:
        restore(model, archive.weights())
    training_state.give(model, state)


class BackupAndRestore(Callback):
    """Back training up after each epoch; the same `fit`, started again, goes on from there.

    A run that was interrupted and started again ends with the same weights and the same history,
    bit for bit, as one that was not. The backup holds the weights, the optimizer's state, metrics,
    the seeds of random layers, the order of the rows, the epoch and the batch, the history and
    what other callbacks count (patience, best values). The backup before the last one is kept
    too, and is used, with a warning, where the last cannot be read.

    Args:
        backup_dir: folder of the backup, for this run of `fit` alone. It is made when needed.
        save_freq: "epoch", a number of training steps, or False to write nothing; default "epoch".
        double_checkpoint: accepted for Keras's sake: two backups are always kept.
        delete_checkpoint: delete the backups when `fit` ends normally; default True.

    Raises:
        ValueError: empty `backup_dir`, wrong `save_freq`, or a backup of a run that differs: in
            the model, the optimizer, the number of rows, the batch size, the versions.
        CorruptFileError: the backup is damaged. Nothing is trained.

    Example:
        >>> import tempfile
        >>> model = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x, y = np.ones((4, 2)), np.ones((4, 1))
        >>> class Interrupt(staghorn.callbacks.Callback):
        ...     def on_epoch_begin(self, epoch, logs=None):
        ...         if epoch == 3:
        ...             raise RuntimeError("power cut")
        >>> backup = staghorn.callbacks.BackupAndRestore(tempfile.mkdtemp() + "/run")
        >>> try:
        ...     model.fit(x, y, epochs=5, verbose=0, callbacks=[Interrupt(), backup])
        ... except RuntimeError:
        ...     history = model.fit(x, y, epochs=5, verbose=0, callbacks=[backup])
        >>> history.epoch, len(history.history["loss"])
        ([0, 1, 2, 3, 4], 5)

    Notes:
        Differences from Keras: nothing is left out, so the continuation is exact, and `history` has
        the epochs before the interruption too; the backup is one file, written atomically and
        checked by checksums; training goes on in the middle of an epoch where `save_freq` counts
        steps (every step is then a program call of its own); only this callback's own files are
        deleted at the end, where Keras deletes the whole folder. A generator is read again from its
        start, and the batches that were trained on are passed over: it must give the same ones. A
        callback of your own names the attributes that must be kept: `kept = ("count",)`.
    """

    last = True

    def __init__(
        self,
        backup_dir: str | PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        table = {"backup_dir": Is(str, PathLike)}
        check_values("BackupAndRestore", table, {"backup_dir": backup_dir})
        if not os.fspath(backup_dir):
            raise ValueError("BackupAndRestore: backup_dir must be the name of a folder, got ''.")
        if save_freq != "epoch" and (not isinstance(save_freq, int) or int(save_freq) < 0):
            raise ValueError(
                "BackupAndRestore: save_freq must be 'epoch', a positive int (training steps) or "
                f"False, got {save_freq!r} ({type(save_freq).__name__})."
            )
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        if save_freq != "epoch" and save_freq:
            self.needs_batches = True
            self.hooks = self.hooks | {"on_train_batch_end"}
        self._latest = Path(self.backup_dir) / "latest.backup"
        self._previous = Path(self.backup_dir) / "previous.backup"
        self._epoch = 0
        self._unsaved = 0  # steps since the last backup
        self._done = 0  # steps of this epoch

    # Hooks ---------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs = None) -> None:
        self._unsaved = 0
        if not self.model.built and not self.model.weights:  # a GAN may lack `call`
            raise ValueError(
                f"BackupAndRestore: model '{self.model.name}' has no weights yet. Call it on a "
                "batch, or build it, before fit(...)."
            )
        found = self._read()
        if found is not None:
            resume(self.model, *found, _START_AFRESH)
            self._warn_if_done(found[0].epoch)

    def _warn_if_done(self, epoch: int) -> None:
        epochs = (self.params or {}).get("epochs", epoch + 1)
        if epoch >= epochs:
            warnings.warn(
                f"BackupAndRestore: nothing is left to train: the backup '{self._latest}' has done "
                f"{epoch} epochs, and fit(epochs={epochs}) ends there. {_START_AFRESH}",
                stacklevel=user_level(),
            )

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        run = self.model._run
        self._epoch, self._done = epoch, run.batch if epoch == run.epoch else 0

    @default  # heard only where save_freq counts steps, see __init__
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._unsaved += batch + 1 - self._done
        self._done = batch + 1
        if self._unsaved >= int(self.save_freq):
            self._save(self._epoch, self._done, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch + 1, 0, logs)

    def on_train_end(self, logs: Logs = None) -> None:
        if not self.delete_checkpoint:
            return
        self._latest.unlink(missing_ok=True)
        self._previous.unlink(missing_ok=True)
        folder = self._latest.parent
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    # Files ---------------------------------------------------------------------------------

    def _save(self, epoch: int, batch: int, logs: Logs) -> None:
        self._unsaved = 0
        state = training_state.take(self.model, epoch, batch, logs)
        self._latest.parent.mkdir(parents=True, exist_ok=True)
        if self._latest.exists():
            spare = self._previous.with_suffix(".spare")
            spare.unlink(missing_ok=True)
            try:  # a second name, so that at every moment the last backup has one
                os.link(self._latest, spare)
                os.replace(spare, self._previous)
            except OSError:  # a disk without links
                os.replace(self._latest, self._previous)
        write_backup(self._latest, state)

    def _read(self) -> tuple[TrainingState, Archive] | None:
        """Return the backup in the folder, None if there is none."""
        from staghorn.saving.errors import CorruptFileError

        found = [path for path in (self._latest, self._previous) if path.exists()]
        if not found:
            self._refuse_foreign()
            return None
        try:
            return read_backup(found[0])
        except (CorruptFileError, OSError) as error:
            if len(found) == 1:
                text = _DAMAGED.format(error=error, advice=_START_AFRESH)
                raise CorruptFileError(text) from error
            warnings.warn(
                f"BackupAndRestore: {error} Training goes on from the backup before it.",
                stacklevel=user_level(),
            )
            found[0].unlink()  # or the next save would put it in the place of the good one
            return read_backup(found[1])

    def _refuse_foreign(self) -> None:
        names = [name for name in _FILES_OF_KERAS if (Path(self.backup_dir) / name).exists()]
        if names:
            raise ValueError(_FOREIGN.format(folder=self.backup_dir, names=", ".join(names)))
        if Path(self.backup_dir).is_file():
            raise NotADirectoryError(
                f"BackupAndRestore: backup_dir {self.backup_dir!r} is a file; name a folder."
            )


class Resume(Callback):
    """What `fit(resume=path)` adds: go on from a checkpoint that was written during a `fit`.

    Args:
        path: a `.keras` file of ModelCheckpoint, or a backup of BackupAndRestore.
    """

    last = True

    def __init__(self, path: str | PathLike[str]) -> None:
        super().__init__()
        self.path = os.fspath(path)

    def on_train_begin(self, logs: Logs = None) -> None:
        resume(self.model, *read_backup(self.path), "To train from the start, leave `resume` out.")
