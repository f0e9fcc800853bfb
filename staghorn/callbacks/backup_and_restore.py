"""BackupAndRestore: an interrupted `fit` goes on where its last whole epoch ended."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from staghorn.callbacks.callback import Callback, Logs, default
from staghorn.callbacks.monitor import user_level
from staghorn.engine.variable import Variable

_METADATA, _TRAINING, _STATE = "metadata.json", "training.json", "state.bin"
_KIND = "staghorn backup 1"
# The files by which Keras's callback of the same name can be told.
_FILES_OF_KERAS = ("latest.weights.h5", "training_metadata.json")

_START_AFRESH = "To train from the start, delete that file; to keep it, give another backup_dir."

_FOREIGN = """\
BackupAndRestore: the folder {folder!r} holds a backup written by Keras ({names}), which has no
seeds and no order of the rows, so training cannot go on from it exactly.
Load its weights yourself, model.load_weights(...), pass fit(initial_epoch=...), and give another
backup_dir."""

_NOT_OURS = """\
BackupAndRestore: {where} is not a backup of this callback.
{advice}"""

_DAMAGED = """\
BackupAndRestore: the backup cannot be read, and nothing was trained.
{error}
{advice}"""

_MISFIT = """\
BackupAndRestore: the backup {where} is of another model or optimizer than this one:
{problems}
The model, compile(...) and fit(...) must be those of the interrupted run.
{advice}"""


@dataclass(frozen=True)
class Backup:
    """What a backup file holds.

    Args:
        epoch: the epoch to go on with.
        batch: the batch of it after which this was written, 0 at the end of an epoch.
        order_seed: the seed of the order of the rows, None where there is none.
        arrays: the state, name and value, in the order of `state_of`.
    """

    epoch: int
    batch: int
    order_seed: int | None
    arrays: list[tuple[str, np.ndarray]]


def state_of(model: Any) -> list[Variable]:
    """Return the Variables that training goes on from: weights, seeds, state of optimizers.

    Metrics are left out, since every epoch begins by resetting them.

    Example:
        >>> from staghorn.callbacks.backup_and_restore import state_of
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> model.compile("sgd", "mse")
        >>> [v.name for v in state_of(model)]
        ['kernel', 'bias', 'iteration', 'learning_rate']
    """
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    metrics = {id(v) for metric in model.metrics for v in metric.variables}
    return [v for v in model._state_variables() if id(v) not in metrics]


def write_backup(path: Path, backup: Backup) -> None:
    """Write a backup so that the file is the old one or the complete new one at every moment."""
    # Late: saving is a floor above callbacks.
    from staghorn.saving.archive import write_archive
    from staghorn.saving.atomic import replacing_file

    arrays = [
        {"name": name, "shape": list(value.shape), "dtype": value.dtype.name}
        for name, value in backup.arrays
    ]
    training = {
        "epoch": backup.epoch,
        "batch": backup.batch,
        "order_seed": backup.order_seed,
        "arrays": arrays,
    }
    content = {
        _TRAINING: json.dumps(training).encode(),
        _STATE: b"".join(np.ascontiguousarray(value).tobytes() for _, value in backup.arrays),
    }
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    metadata = json.dumps({"kind": _KIND, "sha256": sums}).encode()
    with replacing_file(path) as file:
        write_archive(file, {_METADATA: metadata, **content})


def read_backup(path: Path) -> Backup:
    """Read a backup and check it against its checksums.

    Raises:
        CorruptFileError: it is damaged, or not a backup at all.
    """
    from staghorn.saving.archive import parse_archive, parse_json
    from staghorn.saving.errors import CorruptFileError

    where = f"'{path}'"
    with open(path, "rb") as file:
        members = parse_archive(file, where).members
    metadata = parse_json(members.get(_METADATA, b"null"), f"{where}, member '{_METADATA}'")
    if not isinstance(metadata, dict) or metadata.get("kind") != _KIND:
        raise CorruptFileError(_NOT_OURS.format(where=where, advice=_START_AFRESH))
    training = parse_json(members[_TRAINING], f"{where}, member '{_TRAINING}'")
    data, position, arrays = members[_STATE], 0, []
    for entry in training["arrays"]:
        dtype, shape = jnp.dtype(entry["dtype"]), tuple(entry["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        value = np.frombuffer(data, dtype, count, position).reshape(shape)
        arrays.append((entry["name"], value))
        position += value.nbytes
    return Backup(training["epoch"], training["batch"], training["order_seed"], arrays)


class BackupAndRestore(Callback):
    """Back training up after each epoch; the same `fit`, started again, goes on from there.

    A run that was interrupted and started again ends with the same weights, bit for bit, as one
    that was not: the backup holds the weights, the optimizer's state, the seeds of random layers
    and the order of the rows. Put it last in the list, so that it sees what others changed.

    Args:
        backup_dir: folder of the backup, for this run of `fit` alone. It is made when needed.
        save_freq: "epoch", a number of training steps, or False to write nothing; default "epoch".
        double_checkpoint: keep the backup before the last one too, and go back to it when the
            last cannot be read; default False.
        delete_checkpoint: delete the backup when `fit` ends normally; default True.

    Raises:
        ValueError: empty `backup_dir`, wrong `save_freq`, or a backup of another model.
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
        >>> history.epoch
        [3, 4]

    Notes:
        Differences from Keras: seeds and the order of rows are kept; one file, written atomically
        and checked by checksums, takes the place of two; only this callback's own files are
        deleted at the end, where Keras deletes the whole folder. With a number in `save_freq`
        training goes on, as in Keras, at the begin of the interrupted epoch with the weights of
        the backup, so that some rows are seen twice, and every step is a program call of its own.
        What other callbacks count (patience, best value) starts again, as does a generator.
    """

    def __init__(
        self,
        backup_dir: str | PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
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
        self._unsaved = self._done = 0
        self._epoch = self.model._initial_epoch
        if not self.model.built:
            raise ValueError(
                f"BackupAndRestore: model '{self.model.name}' has no weights yet. Call it on a "
                "batch, or build it, before fit(...)."
            )
        backup = self._read()
        if backup is not None:
            self._restore(backup)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch, self._done = epoch, 0

    @default  # heard only where save_freq counts steps, see __init__
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._unsaved += batch + 1 - self._done
        self._done = batch + 1
        if self._unsaved >= int(self.save_freq):
            self._unsaved = 0
            self._save(self._epoch, self._done)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._epoch, self._done = epoch + 1, 0
        if self.save_freq == "epoch":
            self._save(self._epoch, 0)

    def on_train_end(self, logs: Logs = None) -> None:
        if not self.delete_checkpoint:
            return
        self._latest.unlink(missing_ok=True)
        self._previous.unlink(missing_ok=True)
        folder = self._latest.parent
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    # Files ---------------------------------------------------------------------------------

    def _save(self, epoch: int, batch: int) -> None:
        arrays = [(v.path, v.numpy()) for v in state_of(self.model)]
        self._latest.parent.mkdir(parents=True, exist_ok=True)
        if self.double_checkpoint and self._latest.exists():
            os.replace(self._latest, self._previous)
        write_backup(self._latest, Backup(epoch, batch, self.model._order_seed, arrays))

    def _read(self) -> Backup | None:
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
            return read_backup(found[1])

    def _refuse_foreign(self) -> None:
        names = [name for name in _FILES_OF_KERAS if (Path(self.backup_dir) / name).exists()]
        if names:
            raise ValueError(_FOREIGN.format(folder=self.backup_dir, names=", ".join(names)))
        if Path(self.backup_dir).is_file():
            raise NotADirectoryError(
                f"BackupAndRestore: backup_dir {self.backup_dir!r} is a file; name a folder."
            )

    def _restore(self, backup: Backup) -> None:
        variables = state_of(self.model)
        where = f"'{self._latest}'"
        if problems := misfits(variables, backup):
            text = "\n".join(f"  {line}" for line in problems)
            raise ValueError(_MISFIT.format(where=where, problems=text, advice=_START_AFRESH))
        if backup.epoch < self.model._initial_epoch:
            raise ValueError(
                f"BackupAndRestore: the backup {where} is of epoch {backup.epoch}, before "
                f"fit(initial_epoch={self.model._initial_epoch}). Leave initial_epoch as it was "
                f"in the interrupted run. {_START_AFRESH}"
            )
        for variable, (_, value) in zip(variables, backup.arrays, strict=True):
            variable.assign(value)
        self.model._initial_epoch = backup.epoch
        if None not in (self.model._order_seed, backup.order_seed):
            self.model._order_seed = backup.order_seed
        epochs = (self.params or {}).get("epochs", backup.epoch + 1)
        if backup.epoch >= epochs:
            warnings.warn(
                f"BackupAndRestore: nothing is left to train: the backup {where} has done "
                f"{backup.epoch} epochs, and fit(epochs={epochs}) ends there. {_START_AFRESH}",
                stacklevel=user_level(),
            )


def misfits(variables: list[Variable], backup: Backup) -> list[str]:
    """Say where a backup does not fit the Variables; at most five lines.

    Example:
        >>> from staghorn.callbacks.backup_and_restore import Backup, misfits
        >>> w = staghorn.Variable(np.zeros((2, 3), "float32"), name="w")
        >>> misfits([w], Backup(1, 0, None, [("w", np.zeros((2, 4), "float32"))]))
        ['w is float32 (2, 3), the backup has w, float32 (2, 4)']
    """
    if len(variables) != len(backup.arrays):
        return [f"this one has {len(variables)} variables, the backup {len(backup.arrays)}"]
    lines = []
    for variable, (name, value) in zip(variables, backup.arrays, strict=True):
        own, other = (variable.dtype, variable.shape), (value.dtype.name, value.shape)
        if own != other:
            lines.append(f"{variable.path} is {own[0]} {own[1]}, the backup has {name}, "
                         f"{other[0]} {other[1]}")  # fmt: skip
    return lines[:5]
