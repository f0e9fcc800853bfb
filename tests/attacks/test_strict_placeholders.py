"""Loading makes no random weights first, and gives a value to what no file holds."""

import json
import zipfile

import numpy as np
import pytest

import staghorn
from staghorn import initializers, layers
from staghorn.saving import UnsafeFileError, load_model

CALLS: list[tuple] = []


@staghorn.saving.register_keras_serializable("attacks")
class Counted(initializers.Initializer):
    def __call__(self, shape, dtype=None, **kwargs):
        CALLS.append(tuple(shape))
        return np.full(shape, 7, dtype)


@staghorn.saving.register_keras_serializable("attacks")
class Unstored(layers.Layer):
    """Its weight is the same for all models, so it is not saved."""

    def build(self, input_shape):
        self.table = self.add_weight((input_shape[-1],), Counted(), name="table")

    def call(self, x):
        return x + self.table[None]

    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass


def saved(tmp_path, *stack):
    model = staghorn.Sequential([staghorn.Input((4,)), *stack])
    model.save(tmp_path / "m.keras")
    CALLS.clear()
    return model


def test_initializers_are_not_called(tmp_path):
    model = saved(tmp_path, layers.Dense(3, kernel_initializer=Counted()))
    again = load_model(tmp_path / "m.keras")
    assert CALLS == []
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
    again.layers[-1].kernel_initializer((2,), "float32")
    assert CALLS == [(2,)]


def test_what_is_not_stored_begins_as_it_does(tmp_path):
    saved(tmp_path, Unstored())
    again = load_model(tmp_path / "m.keras")
    assert CALLS == [(4,)]
    np.testing.assert_array_equal(again.get_weights()[0], np.full(4, 7, "float32"))


def test_outside_of_loading_nothing_changes(tmp_path):
    saved(tmp_path, layers.Dense(3))
    load_model(tmp_path / "m.keras")
    assert layers.Layer().add_weight((2,), "ones").numpy().tolist() == [1, 1]


def test_more_than_the_file_holds(tmp_path):
    saved(tmp_path, layers.Dense(3))
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(content["config.json"])
    config["config"]["layers"][-1]["config"]["units"] = 5_000_000
    del content["metadata.json"]
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name, data in {**content, "config.json": json.dumps(config)}.items():
            archive.writestr(name, data)
    with pytest.raises(UnsafeFileError, match=r"Dense 'dense'.*\(4, 5000000\).* 15 numbers"):
        load_model(tmp_path / "m.keras")
