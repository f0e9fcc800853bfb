"""What whole files cost beside Keras's, measured in turns in one run; and files opened by Keras."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import staghorn
from tests.oracle import keras
from tests.reliability.formats import FORMATS, Row, build

SAVE_LIMIT, LOAD_LIMIT = 1.3, 1.0


def cost(row: Row, megabytes: int, times: int, weights_only: bool = False) -> None:
    """R16: saving takes at most 1.3 times as long as Keras's, loading at most as long."""
    width = int((megabytes * 1e6 / 8) ** 0.5)
    with tempfile.TemporaryDirectory() as folder:
        names = [f"{folder}/{k}{'.weights.h5' if weights_only else '.keras'}" for k in "sk"]
        ours = _stack(staghorn, width)
        theirs = _stack(keras, width)
        theirs.set_weights(ours.get_weights())
        saves = [
            _saver(m, name, weights_only) for m, name in zip((ours, theirs), names, strict=True)
        ]
        loads = [
            _loader(library, m, name, weights_only)
            for library, m, name in zip((staghorn, keras), (ours, theirs), names, strict=True)
        ]
        save_ratios, save_time = _in_turns(saves, times)
        load_ratios, load_time = _in_turns(loads, times)
    row.check(median(save_ratios) <= SAVE_LIMIT, f"saving takes {median(save_ratios):.2f} times")
    row.check(median(load_ratios) <= LOAD_LIMIT, f"loading takes {median(load_ratios):.2f} times")
    row.tried = times
    row.note = (
        f"saving {_ratio(save_ratios)}, {save_time:.2f} s; loading {_ratio(load_ratios)}, "
        f"{load_time:.2f} s"
    )


def _stack(library: Any, width: int) -> Any:
    layers = [library.layers.Dense(width, kernel_initializer="zeros") for _ in range(2)]
    model = library.Sequential([library.Input((width,)), *layers])
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.random(variable.shape, "float32"))
    return model


def _saver(model: Any, path: str, weights_only: bool) -> Callable[[], Any]:
    if weights_only:
        return lambda: model.save_weights(path)
    return lambda: model.save(path)


def _loader(library: Any, model: Any, path: str, weights_only: bool) -> Callable[[], Any]:
    def load() -> None:
        loaded = model
        if weights_only:
            model.load_weights(path)
        else:
            loaded = library.saving.load_model(path)
        for variable in loaded.weights:
            variable.value.block_until_ready()

    return load


def _in_turns(pair: list[Callable[[], Any]], times: int) -> tuple[list[float], float]:
    """Ratios of the first to the second, and the median seconds of the first."""
    ratios, seconds = [], []
    for i in range(times + 1):
        taken = []
        for run in pair if i % 2 else reversed(pair):
            os.sync()  # what one has left to write is not the other's
            begin = time.perf_counter()
            run()
            taken.append(time.perf_counter() - begin)
        first, second = taken if i % 2 else reversed(taken)
        if i:  # the first turn warms up
            ratios.append(first / second)
            seconds.append(first)
    return ratios, median(seconds)


def _ratio(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def opened_by_keras(row: Row, folder: Path, most: int) -> None:
    """R17: files that survived kills open in Keras, with equal predictions."""
    survivors = sorted(folder.iterdir())
    chosen = survivors[:: max(1, -(-len(survivors) // most))]
    largest = 0.0
    for survivor in chosen:
        name, width, _, which = survivor.name.rsplit("-", 3)
        format = next(f for f in FORMATS.values() if f.name.replace(" ", "") == name)
        model = build(int(width), 1 + int(which))
        x = np.linspace(-1, 1, 3 * int(width), dtype="float32").reshape(3, -1)
        path = survivor / format.file
        if format.whole:
            theirs = keras.saving.load_model(path, compile=False)
        else:
            theirs = keras.Sequential.from_config(_config(model))
            theirs.load_weights(path)
        right = model.predict(x, verbose=0)
        error = np.abs(theirs.predict(x, verbose=0) - right).max() / np.abs(right).max()
        largest = max(largest, float(error))
        row.check(bool(error <= 1e-6), f"{survivor.name}: predictions differ by {error:.1e}")
    row.note = f"largest difference {largest:.1e} of the largest prediction"


def _config(model: Any) -> Any:
    return model.get_config()
