"""One library's part, in a process of its own: `python -m tests.interop.peer LIBRARY JOB FOLDER`.

`write` saves every model of the table, trained two steps, with what it predicts before and after a
third; `read` opens what another library wrote and compares. Only NumPy is common to all.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tests.interop.models import CASES, Case, inputs_of, targets_of
from tests.saving.kinds import flat, scramble


def compiled(k: Any, case: Case) -> Any:
    """Return a new model, compiled."""
    model = case.build(k)
    model.compile(case.optimizer(k), **case.options(k))
    return model


def behaviour(model: Any, case: Case) -> dict[str, Any]:
    """Return what a model predicts, then how it is after one more step of training."""
    inputs = inputs_of(case)
    outputs = model.predict(inputs, verbose=0)
    targets = targets_of(case, outputs)
    found = {f"before {i}": array for i, array in enumerate(flat(outputs))}
    if case.step:
        model.reset_metrics()
        logs = model.test_on_batch(inputs, targets, return_dict=True)
        found |= {f"log {name}": np.asarray(value) for name, value in logs.items()}
        model.train_on_batch(inputs, targets)
        after = flat(model.predict(inputs, verbose=0))
        found |= {f"after {i}": array for i, array in enumerate(after)}
        found["after iterations"] = np.asarray(model.optimizer.iterations)
    return found


def write(k: Any, folder: Path) -> dict[str, Any]:
    """Save every model, and how it behaves."""
    report = {}
    for name, case in CASES.items():
        try:
            model = compiled(k, case)
            scramble(model)
            inputs = inputs_of(case)
            targets = targets_of(case, model.predict(inputs, verbose=0))
            for _ in range(2):
                model.train_on_batch(inputs, targets)
            model.save(folder / f"{name}.keras")
            model.save_weights(folder / f"{name}.weights.h5")
            np.savez(folder / f"{name}.npz", **behaviour(model, case))
        except Exception as error:  # the table shows it
            report[name] = f"not written: {shortly(error)}"
    return report


def read(k: Any, folder: Path) -> dict[str, Any]:
    """Open every model, whole and by its weights alone; return the differences or what failed."""
    report = {}
    for name, case in CASES.items():
        if not (folder / f"{name}.npz").exists():
            continue
        with np.load(folder / f"{name}.npz") as stored:
            wanted = dict(stored)
        found = {}
        for way in ("whole", "weights"):
            try:
                model = compiled(k, case)
                if way == "whole":
                    custom = getattr(model, "custom_objects", None)
                    path = folder / f"{name}.keras"
                    model = k.models.load_model(path, custom_objects=custom)
                else:
                    model.optimizer.build(model.trainable_variables)
                    model.load_weights(folder / f"{name}.weights.h5")
                found[way] = differences(behaviour(model, case), wanted)
            except Exception as error:  # the table shows it
                found[way] = shortly(error)
        report[name] = found
    return report


def shortly(error: Exception) -> str:
    """Return the last line of an error, where keras says what was wrong."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:300]}"


def differences(got: dict[str, Any], wanted: dict[str, Any]) -> dict[str, float]:
    """Return the largest difference of each kind, relative where values are above 1."""
    if got.keys() != wanted.keys():
        raise ValueError(f"differs in {sorted(got.keys() ^ wanted.keys())}")
    worst: dict[str, float] = {}
    for name, value in got.items():
        kind = name.split()[0]
        distance = np.abs(value - wanted[name]) / np.maximum(1, np.abs(wanted[name]))
        worst[kind] = max(worst.get(kind, 0.0), float(np.max(distance)))
    return worst


def main(library: str, job: str, folder: str) -> None:
    """Do one job and leave its report beside the models."""
    k = importlib.import_module(library)
    # What a library says only as a warning, such as an optimizer's state that does not fit.
    warnings.simplefilter("error", UserWarning)
    warnings.filterwarnings("ignore", message=".*jit_compile")
    report = {"write": write, "read": read}[job](k, Path(folder))
    out = {"version": f"{library} {k.__version__}", "cases": report}
    print(json.dumps(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
