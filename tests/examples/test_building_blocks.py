"""The five model shapes of `examples/building_blocks.py`, built on Keras and here, side by side."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import staghorn
from tests.oracle import keras

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ROWS = 24
DIGITS = np.random.default_rng(0).random((ROWS, 64)).astype("float32")
LABELS = np.random.default_rng(1).integers(0, 10, ROWS)
EVEN = (LABELS % 2 == 0).astype("float32")


@pytest.fixture
def blocks(monkeypatch):
    """Return `build(library, name)`, which runs the example's own function on a library."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    path = EXAMPLES / "building_blocks.py"
    spec = importlib.util.spec_from_file_location("building_blocks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def build(library, name):
        monkeypatch.setattr(module, "staghorn", library)
        monkeypatch.setattr(module, "layers", library.layers)
        return getattr(module, name)()

    yield build
    sys.modules.pop("support", None)


CASES = {
    "residual_model": (DIGITS, LABELS, "sparse_categorical_crossentropy"),
    "siamese_model": (
        {"left": DIGITS, "right": DIGITS[::-1].copy()},
        EVEN,
        "binary_crossentropy",
    ),
    "autoencoder_model": (DIGITS, DIGITS, "mse"),
    "densely_connected_model": (DIGITS, LABELS, "sparse_categorical_crossentropy"),
    "multi_task_model": (
        DIGITS,
        {"digit": LABELS, "even": EVEN, "ink": DIGITS.mean(axis=1)},
        {"digit": "sparse_categorical_crossentropy", "even": "binary_crossentropy", "ink": "mse"},
    ),
}


def leaves(predictions):
    if isinstance(predictions, dict):
        return [predictions[key] for key in sorted(predictions)]
    return predictions if isinstance(predictions, list) else [predictions]


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_keras_before_and_after_a_step(blocks, name):
    x, y, loss = CASES[name]
    theirs, ours = blocks(keras, name), blocks(staghorn, name)
    ours.set_weights(theirs.get_weights())
    assert ours.count_params() == theirs.count_params()

    for model in (ours, theirs):
        model.compile("sgd", loss)
    for mine, wanted in zip(
        leaves(ours.predict(x, verbose=0)), leaves(theirs.predict(x, verbose=0)), strict=True
    ):
        np.testing.assert_allclose(mine, wanted, rtol=1e-5, atol=1e-6)

    # One SGD step: the whole data is one batch.
    for model in (ours, theirs):
        model.fit(x, y, batch_size=ROWS, epochs=1, shuffle=False, verbose=0)
    for mine, wanted in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-5, atol=1e-6)
