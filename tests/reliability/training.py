"""Trainings that are killed until they are done, and backups that were damaged.

Run as a program it is such a training: `python -m tests.reliability.training FOLDER`.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import staghorn
from staghorn.saving.errors import CorruptFileError
from tests.reliability.formats import Row, generator

ROWS, BATCH, EPOCHS = 90, 8, 5  # twelve batches, the last of two rows
STEPS = EPOCHS * -(-ROWS // BATCH)
SAVE_EVERY = 3
PAUSE = 0.01  # after each batch, so that kills meet all of it
WAIT = 120.0


def model() -> Any:
    staghorn.utils.set_random_seed(7)
    layers = staghorn.layers
    net = staghorn.Sequential(
        [
            staghorn.Input((6,)),
            layers.Dense(16, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1),
        ]
    )
    schedule = staghorn.optimizers.schedules.CosineDecay(0.01, STEPS)
    net.compile(staghorn.optimizers.AdamW(schedule), "mse", metrics=["mae"])
    return net


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(ROWS, 6)).astype("float32"), rng.normal(size=(ROWS, 1)).astype(
        "float32"
    )


class Steps(staghorn.callbacks.Callback):
    """Writes a line for every step and at the end, and takes its time."""

    needs_batches = True

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        with (self.folder / "steps").open("a") as file:
            file.write(f"{batch}\n")
        time.sleep(PAUSE)

    def on_train_end(self, logs: Any = None) -> None:
        with (self.folder / "ends").open("a") as file:
            file.write("end\n")


def result(net: Any, history: Any) -> dict[str, Any]:
    """What must be equal, bit for bit."""
    variables = [*net.weights, *net.optimizer.variables, *_seeds(net)]
    sums = [hashlib.sha256(np.ascontiguousarray(v.numpy()).tobytes()) for v in variables]
    logs = {name: [float(v).hex() for v in values] for name, values in history.history.items()}
    return {"variables": [s.hexdigest() for s in sums], "history": logs}


def _seeds(net: Any) -> list[Any]:
    return [v for v in net._state_variables() if v.dtype == "uint32"]


def train(folder: Path) -> None:
    net = model()
    backup = staghorn.callbacks.BackupAndRestore(folder / "backup", save_freq=SAVE_EVERY)
    callbacks = [Steps(folder), backup]
    history = net.fit(*data(), BATCH, EPOCHS, verbose=0, callbacks=callbacks)
    (folder / "result.json").write_text(json.dumps(result(net, history)))


# Killed until they are done ------------------------------------------------------------------


def kill_loop(row: Row, runs: int, kills: int, seed: int) -> None:
    """R12: killed up to `kills` times, then left alone; the end is that of an undisturbed one."""
    draw = generator(seed)
    with tempfile.TemporaryDirectory() as place:
        expected = _run_to_the_end(Path(place) / "undisturbed", draw, 0)[0]
        done = 0
        for run in range(runs):
            folder = Path(place) / f"run-{run}"
            found, killed, steps = _run_to_the_end(folder, draw, kills)
            done += killed
            case = f"run {run} (seed {seed}), {killed} kills"
            row.check(found == expected, f"{case}: {_difference(found, expected)}")
            # One that was killed after its end begins anew; one that was killed while it saved
            # goes back to the backup before.
            ends = _lines(folder / "ends")
            again = steps - STEPS * ends
            row.check(again <= 2 * SAVE_EVERY * killed, f"{case}: {again} steps were done again")
            left = sorted(path.name for path in folder.iterdir())
            row.check(left == ["ends", "result.json", "steps"], f"{case}: left over {left}")
    row.note = f"{done} kills in {runs} runs"


def _run_to_the_end(folder: Path, draw: random.Random, kills: int) -> tuple[Any, int, int]:
    folder.mkdir()
    killed = 0
    while True:
        before = _lines(folder / "steps")
        child = subprocess.Popen([sys.executable, "-m", __spec__.name, str(folder)])
        if killed < kills:
            begun = time.monotonic()
            while _lines(folder / "steps") == before and child.poll() is None:
                assert time.monotonic() - begun < WAIT, "the training did not begin"
                time.sleep(0.01)
            time.sleep(draw.uniform(0, 0.6 * STEPS * PAUSE))
            child.send_signal(signal.SIGKILL)
        status = child.wait(WAIT)
        if status != -signal.SIGKILL:
            assert status == 0, f"the training failed with status {status}"
            break
        killed += 1
    found = json.loads((folder / "result.json").read_text())
    return found, killed, _lines(folder / "steps")


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _difference(found: dict[str, Any], expected: dict[str, Any]) -> str:
    return ", ".join(key for key in expected if found[key] != expected[key]) + " differ"


# Damaged backups -----------------------------------------------------------------------------


class Interrupt(staghorn.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == EPOCHS - 1:
            raise KeyboardInterrupt


def _flip(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def _cut(path: Path, draw: random.Random) -> None:
    os.truncate(path, draw.randrange(1, path.stat().st_size))


DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "flipped": _flip,
    "truncated": _cut,
    "empty": lambda path, draw: os.truncate(path, 0),
    "deleted": lambda path, draw: path.unlink(),
    "zeros": lambda path, draw: path.write_bytes(bytes(path.stat().st_size)) and None,
}


def damaged_backups(row: Row, times: int, seed: int) -> None:
    """R13: the newest backup is damaged; training goes on from the one before, to the same end."""
    draw = generator(seed)
    net = model()
    expected = result(net, net.fit(*data(), BATCH, EPOCHS, verbose=0))
    with tempfile.TemporaryDirectory() as place:
        folder, kept = Path(place) / "backup", Path(place) / "kept"
        try:
            _go_on(folder, Interrupt())
        except KeyboardInterrupt:
            shutil.copytree(folder, kept)
        for i in range(times):
            name, damage = list(DAMAGES.items())[i % len(DAMAGES)]
            _restore(kept, folder)
            damage(folder / "latest.backup", draw)
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                found = _go_on(folder)
            case = f"{name}, time {i} (seed {seed})"
            row.check(found == expected, f"{case}: {_difference(found, expected)}")
            told = any("goes on from the backup before it" in str(w.message) for w in said)
            row.check(told or name == "deleted", f"{case}: no warning")
            _restore(kept, folder)
            for file in folder.iterdir():
                _cut(file, draw)
            row.check(_refused(folder), f"both truncated, time {i}: trained all the same")


def _restore(kept: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kept, folder)


def _go_on(folder: Path, *first: Any) -> dict[str, Any]:
    net = model()
    backup = staghorn.callbacks.BackupAndRestore(folder)
    return result(net, net.fit(*data(), BATCH, EPOCHS, verbose=0, callbacks=[*first, backup]))


def _refused(folder: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _go_on(folder)
        except CorruptFileError:
            return True
    return False


if __name__ == "__main__":
    train(Path(sys.argv[1]))
