"""Saving and loading under JAX's strict modes."""

import numpy as np
import pytest

import staghorn
from tests.saving.kinds import KINDS, data_for, flat, scramble


@pytest.mark.parametrize("kind", ["sequential", "shared", "nested", "dictionaries", "mixed"])
def test_round_trip(kind, tmp_path):
    model = KINDS[kind][0](staghorn)
    scramble(model)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    again = staghorn.models.load_model(tmp_path / "m.keras")
    data = data_for(kind)
    wanted = flat(model(data))
    for a, b in zip(flat(again(data)), wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    scramble(again, seed=9)
    again.load_weights(tmp_path / "m.weights.h5")
    for a, b in zip(flat(again(data)), wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_compiled_model(tmp_path):
    model = KINDS["functional"][0](staghorn)
    model.compile("adam", "mse")
    model.fit(data_for("functional"), np.ones((6, 2), "float32"), verbose=0)
    model.save(tmp_path / "m.keras")
    again = staghorn.models.load_model(tmp_path / "m.keras")
    for a, b in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert int(again.optimizer.iterations) == 1
