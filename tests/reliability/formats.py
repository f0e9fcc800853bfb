"""The ways to save, the models that are saved, and what of them a file must give back."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import staghorn
from staghorn.engine.spellings import OldSpelling

# Width of the two layers; with Adam's state a file has 24 bytes for each weight.
SMALL, MEGABYTE, LARGE = 16, 204, 1443
SHARD = 0.4  # of the whole
WAIT, HUNG = 120.0, 71  # seconds for a child; status of one that did not end


@dataclass
class Row:
    """One line of the table: what was tried how often, and what went wrong."""

    id: str
    what: str
    tried: int = 0
    failures: list[str] = field(default_factory=list)
    note: str = ""
    seconds: float = 0.0

    def check(self, good: bool, text: str) -> None:
        self.tried += 1
        if not good:
            self.failures.append(text)


def timed(fill: Callable[..., None], row: Row, *args: Any) -> Row:
    start = time.perf_counter()
    fill(row, *args)
    row.seconds += time.perf_counter() - start
    return row


def build(width: int, seed: int) -> Any:
    """A compiled model with every weight and every optimizer slot drawn from `seed`."""
    layers = staghorn.layers
    model = staghorn.Sequential(
        [
            staghorn.Input((width,), name="x"),
            layers.Dense(width, activation="relu", kernel_initializer="zeros", name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(width, kernel_initializer="zeros", name="second"),
        ],
        name="net",
    )
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(seed)
    # None is zero: an optimizer without steps is saved as if it had no slots.
    for variable in [*model.weights, *model.optimizer.variables]:
        whole = "int" in variable.dtype
        value = rng.integers(1, 99, variable.shape) if whole else rng.random(variable.shape)
        variable.assign(np.asarray(value, variable.dtype))
    return model


def content(model: Any) -> str:
    """The sum of a model's architecture, weights and optimizer's state."""
    digest = hashlib.sha256(json.dumps(model.get_config(), sort_keys=True).encode())
    for variable in [*model.weights, *model.optimizer.variables]:
        digest.update(f"{variable.dtype} {variable.shape}".encode())
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


def weights_only(model: Any) -> str:
    """The sum of the weights alone."""
    digest = hashlib.sha256()
    for value in model.get_weights():
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Format:
    """A way to save: the name of the file, how it is written, and what it gives back."""

    name: str
    file: str
    save: Callable[[Any, str], None]
    whole: bool = True  # architecture too

    def load(self, path: Path, width: int) -> str:
        if self.whole:
            return content(staghorn.saving.load_model(path))
        model = build(width, 0)
        model.load_weights(path)
        return content(model)


def _save(model: Any, path: str) -> None:
    model.save(path)


def _save_old(model: Any, path: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OldSpelling)
        model.save(path)


def _save_sharded(model: Any, path: str) -> None:
    size = sum(v.numpy().nbytes for v in [*model.weights, *model.optimizer.variables])
    model.save_weights(path, max_shard_size=SHARD * size / (1 << 30))


FORMATS = {
    format.name: format
    for format in (
        Format(".keras", "m.keras", _save),
        Format(".weights.h5", "m.weights.h5", lambda m, path: m.save_weights(path), whole=False),
        Format("folder", "model", lambda m, path: m.save(path, zipped=False)),
        Format("sharded", "m.weights.json", _save_sharded, whole=False),
        Format("legacy .h5", "m.h5", _save_old),
    )
}


class Pair:
    """Two models of one architecture, and a folder where one replaces the other."""

    def __init__(self, width: int, folder: Path) -> None:
        self.width, self.folder = width, folder
        self.models = [build(width, seed) for seed in (1, 2)]
        self.sums = [content(model) for model in self.models]
        assert self.sums[0] != self.sums[1]

    def start(self, format: Format, which: int = 0) -> Path:
        """Empty the folder and save one of the two there."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        path = self.folder / format.file
        format.save(self.models[which], str(path))
        return path

    def found(self, format: Format, path: Path) -> int | str:
        """Which of the two the file holds, or what is wrong with it."""
        try:
            found = format.load(path, self.width)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return self.sums.index(found) if found in self.sums else "it loads, and is neither"

    def strays(self, format: Format) -> list[str]:
        """What is in the folder after a save that would not be there without what came before."""
        have = set(os.listdir(self.folder))
        if format.name != "sharded":
            return sorted(have - {format.file})
        listed = json.loads((self.folder / format.file).read_bytes())["metadata"]["sha256"]
        return sorted(have - set(listed) - {format.file})


@contextmanager
def pair(width: int = SMALL) -> Iterator[Pair]:
    """A pair in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        yield Pair(width, Path(folder))


def fork(child: Callable[[], int | None]) -> int:
    """Run `child` in a copy of this process, and return its id. What it returns is its status.

    It may save, but not load: computations wait for JAX's threads, which are not copied.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of forks
        pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        status = child() or 0
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def status_of(pid: int) -> int:
    """Wait for a child; its exit status, negative for a signal."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return HUNG


def generator(seed: int) -> random.Random:
    return random.Random(seed)
