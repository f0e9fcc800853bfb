"""Layers with files of their own, and the oldest dialect of configs."""

import json
from pathlib import Path

import numpy as np
import pytest

import staghorn
from staghorn.saving.archive import read_archive
from staghorn.saving.dialect import oldest_dialect
from tests.oracle import keras


@staghorn.saving.register_keras_serializable("tests_saving")
class Vocabulary(staghorn.layers.Layer):
    """A layer that keeps words in a file."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.words = []

    def call(self, x):
        return x

    def save_assets(self, folder):
        Path(folder, "words.txt").write_text("\n".join(self.words))

    def load_assets(self, folder):
        self.words = Path(folder, "words.txt").read_text().split("\n")


@pytest.mark.parametrize("zipped", [True, False])
def test_assets_come_back(tmp_path, zipped):
    layer = Vocabulary()
    layer.words = ["a", "ü", ""]
    model = staghorn.Sequential([staghorn.Input((4,)), layer, staghorn.layers.Dense(2)])
    path = tmp_path / ("m.keras" if zipped else "m")
    model.save(path, zipped=zipped)
    assert list(read_archive(path).assets()) == ["layers/vocabulary/words.txt"]
    assert staghorn.models.load_model(path).layers[0].words == ["a", "ü", ""]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_own_format_of_a_layer(tmp_path):
    @staghorn.saving.register_keras_serializable("tests_saving")
    class Table(staghorn.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.table = np.zeros(3)

        def call(self, x):
            return x

        def save_own_variables(self, store):
            store["table"] = self.table

        def load_own_variables(self, store):
            self.table = store["table"]

    layer = Table()
    layer.table = np.arange(3.0)
    model = staghorn.Sequential([staghorn.Input((4,)), layer, staghorn.layers.Dense(2)])
    model.save(tmp_path / "m.keras")
    again = staghorn.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.layers[0].table, [0, 1, 2])


def keys(config, class_name, found=()):
    """Return all keys of the inner configs of one class."""
    found = set(found)
    if isinstance(config, dict):
        if config.get("class_name") == class_name:
            found |= set(config["config"])
        for value in config.values():
            found |= keys(value, class_name)
    elif isinstance(config, list):
        for value in config:
            found |= keys(value, class_name)
    return found


@pytest.mark.parametrize("library", [staghorn, keras])
def test_later_keys_are_left_out_at_their_defaults(library):
    k = library
    model = k.Sequential([k.Input((4,)), k.layers.Dense(2), k.layers.BatchNormalization()])
    config = json.loads(json.dumps(oldest_dialect(json.loads(model.to_json()))))
    assert "quantization_config" not in keys(config, "Dense")
    assert "units" in keys(config, "Dense")
    assert "renorm" not in keys(config, "BatchNormalization")
    assert "ragged" not in keys(config, "InputLayer")
    assert "input_axes" not in keys(config, "GlorotUniform")


def test_later_keys_stay_when_they_say_something():
    config = {
        "module": "keras.layers",
        "class_name": "BatchNormalization",
        "config": {"renorm": True, "renorm_momentum": 0.9},
    }
    assert oldest_dialect(config) == config
    mine = {"module": "my.layers", "class_name": "Dense", "config": {"quantization_config": None}}
    assert oldest_dialect(mine) == mine
