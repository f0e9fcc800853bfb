"""The data of the programs, the same arrays for every contender."""

import os
from pathlib import Path

import numpy as np

DATA = Path(
    os.environ.get("STAGHORN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)


def power_plant():
    """x (7654, 3), y (7654, 2), x_test (1914, 3), y_test (1914, 2): AT, AP, RH to PE and V."""
    import pandas as pd

    frame = pd.read_excel(DATA / "Folds5x2_pp.xlsx")
    order = np.random.default_rng(0).permutation(len(frame))
    x, y = frame[["AT", "AP", "RH"]].to_numpy()[order], frame[["PE", "V"]].to_numpy()[order]
    split = len(x) * 4 // 5
    low, high = x[:split].min(axis=0), x[:split].max(axis=0)
    x, y = ((x - low) / (high - low)).astype("float32"), y.astype("float32")
    return x[:split], y[:split], x[split:], y[split:]


def mnist(count=20000):
    """x (count, 28, 28) in 0..1, y (count,), x_test (10000, 28, 28), y_test (10000,)."""
    with np.load(DATA / "mnist.npz", allow_pickle=False) as arrays:
        x_train, x_test = ((arrays[k] / 255.0).astype("float32") for k in ("x_train", "x_test"))
        y_train, y_test = (arrays[k].astype("int32") for k in ("y_train", "y_test"))
        return x_train[:count], y_train[:count], x_test, y_test


def pictures(count=3200):
    """Made-up pictures (count, 32, 32, 3) and classes (count,)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 32, 32, 3)).astype("float32")
    return x, rng.integers(0, 10, count).astype("int32")


def sequences(count=3200, length=100, heed=10):
    """Made-up words (count, length) of 5000 and labels (count, 1): are the last ones large?"""
    x = np.random.default_rng(0).integers(0, 5000, (count, length)).astype("int32")
    return x, (x[:, -heed:].mean(axis=1) > 2500).astype("float32")[:, None]


def rows(count=1000, features=8):
    """Made-up rows (count, features) and targets (count, 1)."""
    x = np.random.default_rng(0).normal(size=(count, features)).astype("float32")
    return x, np.sin(x.sum(axis=1, keepdims=True))


def r2(actual, predicted):
    actual, predicted = actual.astype("float64"), np.ravel(predicted).astype("float64")
    return float(1 - ((actual - predicted) ** 2).sum() / ((actual - actual.mean()) ** 2).sum())
