"""Saving and loading is the identity, and saving again gives the same bytes."""

import copy
import io
import json
import pickle
import zipfile

import numpy as np
import pytest

import staghorn
from staghorn.saving.pickling import custom_classes, model_from_bytes, model_to_bytes
from staghorn.saving.weights import load_weights_from, save_weights_to
from tests.saving.kinds import KINDS, data_for, flat, scramble, targets_for


def trained(kind="sequential"):
    model = KINDS[kind][0](staghorn)
    model.compile(staghorn.optimizers.Adam(0.01, use_ema=True), "mse", metrics=["mae"])
    data = data_for(kind)
    model.fit(data, targets_for(model.predict(data, verbose=0)), epochs=2, verbose=0)
    return model


def assert_equal_state(one, other):
    assert [v.name for v in one.weights] == [v.name for v in other.weights]
    pairs = list(zip(one.weights, other.weights, strict=True))
    if one.optimizer is not None:
        pairs += zip(one.optimizer.variables, other.optimizer.variables, strict=True)
    for a, b in pairs:
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_identity(kind, tmp_path):
    model = KINDS[kind][0](staghorn)
    scramble(model)
    model.save(tmp_path / "m.keras")
    again = staghorn.models.load_model(tmp_path / "m.keras")
    assert_equal_state(model, again)
    data = data_for(kind)
    for a, b in zip(flat(model(data)), flat(again(data)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_state_comes_back(tmp_path):
    model = trained()
    model.save(tmp_path / "m.keras")
    again = staghorn.models.load_model(tmp_path / "m.keras")
    assert again.optimizer.use_ema
    assert int(again.optimizer.iterations) == 2
    assert_equal_state(model, again)


def content(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("kind", ["sequential", "nested", "shared"])
def test_saving_again_gives_the_same_bytes(kind, tmp_path):
    model = trained(kind)
    for name in ("one", "two"):
        model.save(tmp_path / f"{name}.keras")
    staghorn.models.load_model(tmp_path / "one.keras").save(tmp_path / "three.keras")
    one, two, three = (content(tmp_path / f"{n}.keras") for n in ("one", "two", "three"))
    for other in (two, three):
        assert list(other) == ["config.json", "model.weights.h5", "metadata.json"]
        assert other["config.json"] == one["config.json"]
        assert other["model.weights.h5"] == one["model.weights.h5"]
        first, second = json.loads(one["metadata.json"]), json.loads(other["metadata.json"])
        del first["date_saved"], second["date_saved"]
        assert first == second


def test_weights_files_are_the_same_bytes(tmp_path):
    model = trained()
    model.save_weights(tmp_path / "a.weights.h5")
    model.save_weights(tmp_path / "b.weights.h5")
    assert (tmp_path / "a.weights.h5").read_bytes() == (tmp_path / "b.weights.h5").read_bytes()


def test_open_files():
    model, twin = trained(), trained()
    buffer = io.BytesIO()
    save_weights_to(model, buffer)
    buffer.seek(0)
    load_weights_from(twin, buffer)
    assert_equal_state(model, twin)


def test_loading_weights_from_a_model_file(tmp_path):
    model, twin = trained(), KINDS["sequential"][0](staghorn)
    model.save(tmp_path / "m.keras")
    twin.load_weights(tmp_path / "m.keras")
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_optimizer_is_built_for_its_saved_state(tmp_path):
    model = trained()
    model.save_weights(tmp_path / "m.weights.h5")
    fresh = KINDS["sequential"][0](staghorn)
    fresh.compile(staghorn.optimizers.Adam(0.01, use_ema=True), "mse")
    fresh.load_weights(tmp_path / "m.weights.h5")
    assert int(fresh.optimizer.iterations) == 2
    for a, b in zip(model.optimizer.variables, fresh.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_compiled_but_never_trained(tmp_path):
    model = KINDS["sequential"][0](staghorn)
    model.compile("adam", "mse")
    model.save(tmp_path / "m.keras")
    again = staghorn.models.load_model(tmp_path / "m.keras")
    assert again.compiled
    assert int(again.optimizer.iterations) == 0


def test_uncompiled_on_demand(tmp_path):
    trained().save(tmp_path / "m.keras")
    again = staghorn.models.load_model(tmp_path / "m.keras", compile=False)
    assert not again.compiled


def test_adversarial_pair_of_optimizers(tmp_path):
    @staghorn.saving.register_keras_serializable("tests_saving")
    class Pair(staghorn.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.d = staghorn.Sequential([staghorn.Input((3,)), staghorn.layers.Dense(1)])
            self.g = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(3)])
            self.g_opt = staghorn.optimizers.Adam()
            self.g_opt.build(self.g.trainable_variables)

        def call(self, x):
            return self.d(self.g(x))

    model = Pair()
    model(np.ones((2, 2), "float32"))
    grads = [np.ones(v.shape, "float32") for v in model.g.trainable_variables]
    model.g_opt.apply(grads, model.g.trainable_variables)
    model.save(tmp_path / "m.keras")
    again = staghorn.models.load_model(tmp_path / "m.keras")
    assert int(again.g_opt.iterations) == 1
    for a, b in zip(model.g_opt.variables, again.g_opt.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


class Doubling(staghorn.layers.Layer):
    """A layer of the user's, known by its place in this module only."""

    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1],), "ones", name="w")

    def call(self, inputs):
        return 2 * inputs * self.w


def test_bytes_hold_the_whole_model():
    model = trained()
    assert_equal_state(model, model_from_bytes(type(model), model_to_bytes(model)))


def test_bytes_with_classes_of_the_user():
    model = staghorn.Sequential([staghorn.Input((4,)), Doubling()])
    scramble(model)
    classes = custom_classes(model)
    assert classes == {"Doubling": Doubling}
    assert_equal_state(model, model_from_bytes(type(model), model_to_bytes(model), classes))


def test_pickle_and_copy():
    model = trained()
    assert_equal_state(model, pickle.loads(pickle.dumps(model)))
    assert_equal_state(model, copy.deepcopy(model))
