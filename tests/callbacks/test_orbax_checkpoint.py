"""OrbaxCheckpoint: its folders are Keras's, both ways; training goes on from them exactly."""

import sys
import warnings

import numpy as np
import pytest

import staghorn
from staghorn.saving import CorruptFileError, UnsafeFileError
from staghorn.saving.orbax import Step, paired
from tests.oracle import keras

pytest.importorskip("orbax.checkpoint", reason="OrbaxCheckpoint needs orbax-checkpoint")

X = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
Y = X[:, :2] * 0.5


def make(k, name="net", seed=1):
    k.utils.set_random_seed(seed)
    model = k.Sequential(
        [
            k.Input((3,)),
            k.layers.Dense(4, activation="relu", name="first"),
            k.layers.Dropout(0.5),
            k.layers.BatchNormalization(name="norm"),
            k.layers.Dropout(0.2),
            k.layers.Dense(2, name="second"),
        ],
        name=name,
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model


def fit(model, epochs=2, callbacks=(), **kwargs):
    kwargs = {"batch_size": 4, "shuffle": False, "verbose": 0, **kwargs}
    return model.fit(X, Y, epochs=epochs, callbacks=list(callbacks), **kwargs)


def state(model):
    """Weights, the optimizer's slots and the seeds, in the order of the model."""
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    return [np.asarray(v.value) for v in (*variables, *model.optimizer.variables)]


def assert_equal(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(autouse=True)
def quiet():
    """What Keras's way of reading makes Orbax and NumPy warn of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sharding info not provided")
        yield


def steps(folder):
    return sorted(int(p.name) for p in folder.iterdir())


def functional(k, seed=1):
    k.utils.set_random_seed(seed)
    inputs = k.Input((3,))
    hidden = k.layers.BatchNormalization(name="norm")(k.layers.Dense(4, name="first")(inputs))
    model = k.Model(inputs, k.layers.Dense(2, name="second")(hidden), name="net")
    model.compile("adam", "mse", metrics=["mae"])
    return model


@pytest.mark.parametrize("background", [True, False])
def test_keras_reads_ours(tmp_path, background):
    # Of a Sequential, Keras 3.15.1's load_model leaves the weights at random: the paths differ.
    model = functional(staghorn)
    fit(model, 3, [staghorn.callbacks.OrbaxCheckpoint(tmp_path, save_on_background=background)])
    assert steps(tmp_path) == [2]
    assert_equal(state(keras.saving.load_model(tmp_path)), state(model))


def test_keras_reads_weights_of_ours(tmp_path):
    model = make(staghorn)
    fit(model, 1, [staghorn.callbacks.OrbaxCheckpoint(tmp_path)])
    fresh = make(keras, seed=2)
    fresh.load_weights(tmp_path)
    assert_equal(fresh.get_weights(), model.get_weights())


def test_ours_reads_keras(tmp_path):
    theirs = make(keras)
    fit(theirs, 3, [keras.callbacks.OrbaxCheckpoint(tmp_path, max_to_keep=2)])
    assert steps(tmp_path) == [1, 2]
    for path in (tmp_path, tmp_path / "2"):
        assert_equal(state(staghorn.saving.load_model(path)), state(theirs))
    fresh = make(staghorn, seed=2)
    fresh.load_weights(tmp_path)
    assert_equal(state(fresh), state(theirs))


class Interrupt(staghorn.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def test_training_goes_on_exactly(tmp_path):
    whole = make(staghorn)
    fit(whole, 4)
    first = make(staghorn)
    checkpoint = staghorn.callbacks.OrbaxCheckpoint(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(first, 4, [checkpoint, Interrupt()])
    checkpoint.wait_until_finished()
    second = make(staghorn, seed=5)
    second.load_weights(tmp_path / "1")
    fit(second, 4, initial_epoch=2)
    assert_equal(state(second), state(whole))
    third = staghorn.saving.load_model(tmp_path)
    fit(third, 4, [checkpoint], initial_epoch=2)
    assert_equal(state(third), state(whole))
    assert steps(tmp_path) == [3]
    with pytest.raises(ValueError, match=r"has a checkpoint of step 3, and .* step 0 next"):
        fit(third, 1, [checkpoint])


def test_a_background_save_holds_the_values_of_its_moment(tmp_path):
    """Programs that run meanwhile take the arrays over."""
    model, seen = make(staghorn), []
    note = staghorn.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(state(model)))
    saves = staghorn.callbacks.OrbaxCheckpoint(tmp_path, max_to_keep=None)
    fit(model, 4, [saves, note])
    assert steps(tmp_path) == [0, 1, 2, 3]
    for epoch in (0, 2):
        assert_equal(state(staghorn.saving.load_model(tmp_path / str(epoch))), seen[epoch])


def test_every_so_many_steps_the_best_only(tmp_path, capsys):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    kwargs = {"monitor": "loss", "save_best_only": True, "save_freq": 2, "max_to_keep": None}
    for k, folder in ((staghorn, ours), (keras, theirs)):
        saves = k.callbacks.OrbaxCheckpoint(folder, mode="min", verbose=1, **kwargs)
        fit(functional(k), 3, [saves])
    assert steps(ours) == steps(theirs)
    assert f"Saving step 2 to {ours}" in capsys.readouterr().out


def test_weights_only(tmp_path):
    model = make(staghorn)
    fit(model, 1, [staghorn.callbacks.OrbaxCheckpoint(tmp_path, save_weights_only=True)])
    fresh = make(staghorn, seed=2)
    fresh.load_weights(tmp_path)
    assert_equal(fresh.get_weights(), model.get_weights())
    with pytest.raises(ValueError, match="holds weights only"):
        staghorn.saving.load_model(tmp_path)
    other = staghorn.Sequential([staghorn.Input((3,)), staghorn.layers.Dense(5, name="first")])
    with pytest.raises(ValueError, match=r"(?s)first/kernel: only in the file|has shape \(3, 5\)"):
        other.load_weights(tmp_path)


def test_files_of_layers_come_back(tmp_path):
    words = np.array([["a"], ["b"], ["b"]])
    layers = [staghorn.layers.StringLookup(), staghorn.layers.Embedding(4, 2)]
    model = staghorn.Sequential([staghorn.Input((1,), dtype="string"), *layers])
    model.layers[0].adapt(words)
    model.compile("sgd", "mse")
    y = np.zeros((3, 1, 2))
    model.fit(words, y, verbose=0, callbacks=[staghorn.callbacks.OrbaxCheckpoint(tmp_path)])
    again = staghorn.saving.load_model(tmp_path)
    assert again.layers[0].get_vocabulary() == model.layers[0].get_vocabulary()
    np.testing.assert_array_equal(again.predict(words, verbose=0), model.predict(words, verbose=0))


def saved(tmp_path):
    model = functional(staghorn)
    fit(model, 1, [staghorn.callbacks.OrbaxCheckpoint(tmp_path)])
    return tmp_path / "0"


def test_what_is_damaged_or_unsafe_is_refused(tmp_path):
    step = saved(tmp_path)
    text = step / "model_config" / "_strings.json"
    before = text.read_text()
    text.write_text(before.replace("BatchNormalization", "TFSMLayer"))
    with pytest.raises(UnsafeFileError, match="is a layer that loads another file"):
        staghorn.saving.load_model(tmp_path)
    text.write_text(before[:-30])
    with pytest.raises(CorruptFileError, match="damaged or incomplete"):
        staghorn.saving.load_model(tmp_path)
    text.write_text(before)
    for file in (step / "pytree").rglob("d/*"):
        file.write_bytes(b"")
    with pytest.raises(CorruptFileError, match="damaged or incomplete"):
        staghorn.saving.load_model(tmp_path)


def test_an_asset_stays_in_its_folder(tmp_path):
    content = {"pytree": {}, "model_config": {}, "assets": {}}
    step = Step("here", tmp_path, content)
    given = {"model_config": {"config": "{}"}, "assets": {"..": {"x": np.zeros(1, np.uint8)}}}
    step.__dict__["_load"] = lambda name, wanted: given[name]
    content["assets"] = given["assets"]
    with pytest.raises(UnsafeFileError, match=r"'assets/\.\./x' leads out of its folder"):
        step.archive()


def test_arrays_cannot_be_larger_than_their_files(tmp_path):
    leaf = np.broadcast_to(np.float32(0), (1 << 20, 1 << 10))
    step = Step("here", tmp_path, {"pytree": {"trainable_variables": {"w": leaf}}})
    with pytest.raises(UnsafeFileError, match="would grow from 0 to 4,294,967,296 bytes"):
        step.arrays()


def test_it_says_what_to_install(tmp_path, monkeypatch):
    step = saved(tmp_path)
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    calls = [
        lambda: staghorn.callbacks.OrbaxCheckpoint(tmp_path),
        lambda: staghorn.saving.load_model(step),
        lambda: functional(staghorn).load_weights(tmp_path),
    ]
    for call in calls:
        with pytest.raises(ImportError, match="pip install orbax-checkpoint"):
            call()


def test_hosts(tmp_path):
    checkpoint = staghorn.callbacks.OrbaxCheckpoint(tmp_path)
    assert checkpoint.is_primary_host()
    assert not checkpoint.is_multihost_enabled()


@pytest.mark.parametrize(
    ("own", "found", "places"),
    [
        (["a/w"], ["a/w", "b/w"], ["a/w"]),
        (["b_2/w", "b_10/w"], ["b_1/w", "b/w"], ["b/w", "b_1/w"]),
        (["d/k", "block/d_3/k"], ["net/block/d/k", "net/d/k"], ["net/d/k", "net/block/d/k"]),
        (["net/d/k"], ["d/k"], ["d/k"]),
        (["ad/k"], ["d/k"], [""]),
        (["d/k", "d/k"], ["a/d/k", "b/d/k"], ["", ""]),
    ],
)
def test_paths_are_paired(own, found, places):
    assert paired(own, found) == places
