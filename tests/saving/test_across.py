"""What is saved here opens in keras, and what keras saves opens here, with equal results."""

import io
import zipfile

import h5py
import numpy as np
import pytest

import staghorn
from tests.oracle import keras
from tests.saving.kinds import KINDS, data_for, flat, scramble, targets_for

# keras 3.15.1 itself, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

OPTIMIZERS = {
    "adam": lambda k: k.optimizers.Adam(0.01),
    "sgd": lambda k: k.optimizers.SGD(0.1),
    "momentum": lambda k: k.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda k: k.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "adamw": lambda k: k.optimizers.AdamW(0.01, clipnorm=1.0),
    "nadam": lambda k: k.optimizers.Nadam(0.01),
    "averaged": lambda k: k.optimizers.Adam(0.01, use_ema=True, amsgrad=True),
    "schedule": lambda k: k.optimizers.Adam(k.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
}


def direction(name):
    """Return (library that saves, library that loads)."""
    return (staghorn, keras) if name == "to_keras" else (keras, staghorn)


def assert_same_outputs(one, other, data, tolerance=1e-6):
    got, wanted = flat(one.predict(data, verbose=0)), flat(other.predict(data, verbose=0))
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("way", ["to_keras", "from_keras"])
@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_equal(kind, way, tmp_path):
    writer, reader = direction(way)
    model = KINDS[kind][0](writer)
    scramble(model)
    model.save(tmp_path / "m.keras")
    again = reader.models.load_model(tmp_path / "m.keras")
    # bfloat16 keeps 8 bits; the two may round differently on the way.
    assert_same_outputs(
        model, again, data_for(kind), 2e-2 if "16" in kind or kind == "mixed" else 1e-6
    )


@pytest.mark.parametrize("way", ["to_keras", "from_keras"])
@pytest.mark.parametrize("kind", ["sequential", "shared", "nested"])
def test_weights_files(kind, way, tmp_path):
    writer, reader = direction(way)
    model, twin = KINDS[kind][0](writer), KINDS[kind][0](reader)
    scramble(model)
    model.save_weights(tmp_path / "m.weights.h5")
    twin.load_weights(tmp_path / "m.weights.h5")
    assert_same_outputs(model, twin, data_for(kind))


@pytest.mark.parametrize("way", ["to_keras", "from_keras"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on(name, way, tmp_path):
    writer, reader = direction(way)
    model = KINDS["functional"][0](writer)
    scramble(model)
    model.compile(OPTIMIZERS[name](writer), "mse", metrics=["mae"])
    data = data_for("functional")
    targets = targets_for(model.predict(data, verbose=0))
    for _ in range(3):
        model.train_on_batch(data, targets)
    model.save(tmp_path / "m.keras")
    again = reader.models.load_model(tmp_path / "m.keras")
    assert_same_outputs(model, again, data)
    model.train_on_batch(data, targets)
    again.train_on_batch(data, targets)
    assert_same_outputs(model, again, data, 1e-5)
    assert int(again.optimizer.iterations) == 4


@pytest.mark.parametrize("way", ["to_keras", "from_keras"])
def test_losses_and_weights_per_output(way, tmp_path):
    writer, reader = direction(way)
    model = KINDS["two_by_two"][0](writer)
    model.compile(
        "adam",
        # Not Huber(0.5): keras leaves the delta out of the file.
        loss={"left": "mse", "right": writer.losses.MeanAbsoluteError(reduction="sum")},
        loss_weights={"left": 0.3, "right": 2.0},
        metrics={"right": ["mae"]},
    )
    data = data_for("two_by_two")
    targets = targets_for(model.predict(data, verbose=0))
    model.train_on_batch(data, targets)
    model.save(tmp_path / "m.keras")
    again = reader.models.load_model(tmp_path / "m.keras")
    wanted = model.evaluate(data, targets, verbose=0, return_dict=True)
    got = again.evaluate(data, targets, verbose=0, return_dict=True)
    assert set(got) == set(wanted)
    for key in wanted:
        np.testing.assert_allclose(got[key], wanted[key], rtol=1e-5)


@pytest.mark.parametrize("way", ["to_keras", "from_keras"])
def test_folders(way, tmp_path):
    writer, reader = direction(way)
    model = KINDS["functional"][0](writer)
    scramble(model)
    model.save(tmp_path / "m", zipped=False)
    again = reader.models.load_model(tmp_path / "m")
    assert_same_outputs(model, again, data_for("functional"))


def subclassed(k):
    class Net(k.Model):
        def __init__(self, width=3, **kwargs):
            super().__init__(**kwargs)
            self.width = width
            self.zz = k.layers.Dense(width)
            self.blocks = [
                k.layers.Dense(width),
                [k.layers.Dense(width), k.layers.ReLU()],
                {"in": k.layers.Dense(width), "out": (k.layers.Dense(width),)},
            ]
            self._private = k.layers.Dense(2)
            self.tied = self.zz
            self.scale = None

        def build(self, input_shape):
            self.scale = self.add_weight(shape=(self.width,), name="scale")
            self.zz.build(input_shape)
            inner = (None, self.width)
            for layer in (self.blocks[0], *self.blocks[1], self.blocks[2]["in"]):
                layer.build(inner)
            self.blocks[2]["out"][0].build(inner)
            self._private.build(inner)

        def call(self, x):
            x = self.zz(x) * self.scale
            for layer in (self.blocks[0], *self.blocks[1], self.blocks[2]["in"]):
                x = layer(x)
            return self._private(self.blocks[2]["out"][0](x))

        @property
        def head(self):
            return self._private

        def get_config(self):
            return {**super().get_config(), "width": self.width}

    return Net


@pytest.mark.parametrize("way", ["to_keras", "from_keras"])
def test_subclassed_models(way, tmp_path):
    writer, reader = direction(way)
    model = subclassed(writer)(width=5)
    data = data_for("functional")
    model.compile("adam", "mse")
    model.fit(data, np.ones((6, 2), "float32"), verbose=0)
    scramble(model)
    model.save(tmp_path / "m.keras")
    again = reader.models.load_model(
        tmp_path / "m.keras", custom_objects={"Net": subclassed(reader)}
    )
    assert again.width == 5
    assert_same_outputs(model, again, data)


def paths_in(file):
    found = {}
    with h5py.File(file) as tree:
        tree.visititems(
            lambda name, item: (
                found.update({name: item.shape}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


@pytest.mark.parametrize("kind", [*KINDS, "subclassed"])
def test_paths_are_those_of_keras(kind, tmp_path):
    trees = []
    for library in (staghorn, keras):
        if kind == "subclassed":
            model = subclassed(library)()
            model(np.zeros((2, 4), "float32"))
        else:
            model = KINDS[kind][0](library)
        model.save(tmp_path / "m.keras")
        with zipfile.ZipFile(tmp_path / "m.keras") as archive:
            trees.append(paths_in(io.BytesIO(archive.read("model.weights.h5"))))
    assert trees[0] == trees[1]
    assert trees[0]


def test_a_layer_that_needs_custom_objects(tmp_path):
    def scaled(k):
        class Scaled(k.layers.Layer):
            def __init__(self, factor=2.0, **kwargs):
                super().__init__(**kwargs)
                self.factor = factor

            def build(self, input_shape):
                self.w = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="w")

            def call(self, x):
                return x * self.w * self.factor

            def get_config(self):
                return {**super().get_config(), "factor": self.factor}

        return Scaled

    for way in ("to_keras", "from_keras"):
        writer, reader = direction(way)
        model = writer.Sequential([writer.Input((4,)), scaled(writer)(3.0)])
        scramble(model)
        model.save(tmp_path / "m.keras")
        again = reader.models.load_model(
            tmp_path / "m.keras", custom_objects={"Scaled": scaled(reader)}
        )
        assert_same_outputs(model, again, data_for("functional"))
