"""`utils`: sound files, Config, questions about symbolic tensors, Keras 2's serialization."""

import sys
import wave

import numpy as np
import pytest

import staghorn
from staghorn import layers, utils
from tests.oracle import keras


def write_wav(path, samples, rate=8000, width=2):
    path.parent.mkdir(exist_ok=True)
    data = samples.astype("<i4" if width == 3 else {1: "u1", 2: "<i2", 4: "<i4"}[width])
    raw = data.tobytes() if width != 3 else data.reshape(-1, 1).view("u1")[:, :3].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((samples.shape[1], width, rate, 0, "NONE", "not compressed"))
        file.writeframes(raw)


@pytest.mark.parametrize(("width", "middle"), [(1, 128), (2, 0), (3, 0), (4, 0)])
def test_wav_of_each_width(tmp_path, width, middle):
    scale = 2 ** (8 * width - 1)
    wanted = np.array([[0.5, -0.25], [0.0, -1.0], [0.125, 0.75]])
    write_wav(tmp_path / "a" / "1.wav", wanted * scale + middle, width=width)
    x = utils.audio_dataset_from_directory(tmp_path, label_mode=None, verbose=False)[0]
    assert x.dtype == "float32"
    np.testing.assert_array_equal(x[0], wanted)


def test_sounds_of_different_lengths_are_one_batch(tmp_path):
    for name, count in (("one", 5), ("two", 3)):
        write_wav(tmp_path / name / "1.wav", np.full((count, 1), 16384))
    load = utils.audio_dataset_from_directory
    data = load(tmp_path, shuffle=False, verbose=False)
    x, y = data[0]
    assert (x.shape, y.tolist(), data.class_names) == ((2, 5, 1), [0, 1], ["one", "two"])
    np.testing.assert_array_equal(x[1, :, 0], [0.5, 0.5, 0.5, 0, 0])
    x, _ = load(tmp_path, output_sequence_length=4, shuffle=False, verbose=False)[0]
    assert x.shape == (2, 4, 1)
    model = staghorn.Sequential([layers.GlobalAveragePooling1D(), layers.Dense(1)])
    model.compile("sgd", loss="mse")
    assert len(model.fit(data, verbose=0).epoch) == 1


def test_sounds_are_brought_to_a_rate(tmp_path):
    time = np.arange(800) / 8000
    tone = np.sin(2 * np.pi * 200 * time).reshape(-1, 1)
    write_wav(tmp_path / "a" / "1.wav", tone * 16000)
    load = utils.audio_dataset_from_directory
    x = load(tmp_path, sampling_rate=16000, label_mode=None, verbose=False)[0]
    expected = np.sin(2 * np.pi * 200 * np.arange(1600) / 16000) * 16000 / 32768
    np.testing.assert_allclose(x[0, 100:1500, 0], expected[100:1500], atol=0.01)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"shuffle": False},
        {"seed": 3},
        {"label_mode": "binary", "class_names": ["two", "one"], "seed": 1},
        {"labels": [1, 0, 1, 0, 0], "shuffle": False},
        {"labels": None, "shuffle": False},
        {"validation_split": 0.4, "subset": "validation", "seed": 5},
        {"validation_split": 0.4, "subset": "training", "shuffle": False},
    ],
    ids=str,
)
def test_which_sounds_and_labels(tmp_path, monkeypatch, capsys, kwargs):
    """All of keras's function up to where it reads files, for which it needs TensorFlow."""
    for number, (name, count) in enumerate([("one", 3), ("one", 4), ("two", 2), ("two", 5)]):
        write_wav(tmp_path / name / f"{number}.wav", np.full((count, 1), 1000 * number))
    write_wav(tmp_path / "two" / "deeper" / "9.wav", np.zeros((2, 1)))
    (tmp_path / "one" / "notes.txt").write_text("no sound")
    data = utils.audio_dataset_from_directory(tmp_path, batch_size=9, **kwargs)
    printed = capsys.readouterr().out
    module = sys.modules["keras.src.utils.audio_dataset_utils"]
    monkeypatch.setattr(module, "paths_and_labels_to_dataset", lambda **given: given)
    monkeypatch.setattr(module, "prepare_dataset", lambda dataset, **_: dataset)
    theirs = keras.utils.audio_dataset_from_directory(tmp_path, batch_size=9, **kwargs)
    assert printed == capsys.readouterr().out
    assert data.file_paths == theirs["file_paths"]
    assert len(data.class_names or ()) == theirs["num_classes"]
    if theirs["labels"] is None:
        assert data.labels is None
    else:
        assert np.ravel(data.labels).tolist() == list(theirs["labels"])


def test_bad_sounds(tmp_path):
    load = utils.audio_dataset_from_directory
    with pytest.raises(ValueError, match="ragged=True is not supported"):
        load(tmp_path, ragged=True)
    with pytest.raises(ValueError, match=r"sampling_rate must be a positive int, got 0\.5"):
        load(tmp_path, sampling_rate=0.5)
    with pytest.raises(ValueError, match=r"looks for names that end with \.wav"):
        load(tmp_path, verbose=False)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.wav").write_bytes(b"RIFF....")
    with pytest.raises(ValueError, match=r"1\.wav' is no WAV file of whole numbers"):
        load(tmp_path, verbose=False)[0]


def use_config(Config):
    config = Config(rate=0.1)
    config.seed = 3
    config["b"] = None
    config.update(a=1)
    log = [config.rate, config["seed"], config.get("x", 5), config.pop("b"), "a" in config]
    log += [list(config), list(config.keys()), list(config.values()), list(config.items())]
    log += [config.as_dict(), config.to_json(), len(config), repr(config), config.frozen]
    config.freeze()
    for change in (
        lambda: setattr(config, "rate", 2),
        lambda: config.__setitem__("rate", 2),
        lambda: config.pop("rate"),
        lambda: config.update(rate=2),
        lambda: config.__delitem__("rate"),
    ):
        with pytest.raises(ValueError, match="frozen"):
            change()
    with pytest.raises(AttributeError, match="Did you mean 'rate'"):
        _ = config.rat
    config.unfreeze()
    del config["a"]
    return [*log, config.as_dict(), config.frozen]


def test_config_equals_keras():
    assert use_config(utils.Config) == use_config(keras.utils.Config)


def test_a_config_keeps_its_methods():
    with pytest.raises(AttributeError, match=r"write config\['update'\] = \.\.\."):
        utils.Config().update = 1


def source_names(module):
    a, b = module.Input((3,), name="a"), module.Input((3,), name="b")
    x = module.layers.Dense(3)(a) + b
    end = module.layers.Concatenate()([x, a])
    questions = [module.utils.is_keras_tensor(value) for value in (end, np.ones(3), None)]
    return questions, [t.name for t in module.utils.get_source_inputs(end)]


def test_symbolic_tensors_equal_keras():
    assert source_names(staghorn) == source_names(keras)
    assert utils.get_source_inputs(3) == 3


def legacy_things(module):
    old = module.utils.legacy
    l2 = module.regularizers.L2(0.5)
    written = [old.serialize_keras_object(x) for x in (None, l2, module.activations.relu)]
    known = {"L2": module.regularizers.L2, "relu": module.activations.relu}
    read = [old.deserialize_keras_object(x, known) for x in written[:2]]
    return written, read[0], read[1].get_config()


def test_legacy_serialization_equals_keras():
    assert legacy_things(staghorn) == legacy_things(keras)
    restore = utils.legacy.deserialize_keras_object  # Keras's fails on names
    assert restore("relu", {"relu": staghorn.activations.relu}) is staghorn.activations.relu
    assert restore("Mine", custom_objects={"Mine": dict}) == {}
    with pytest.raises(ValueError, match=r"Unknown regularizer 'Ridg'.*Did you mean 'Ridge'"):
        utils.legacy.deserialize_keras_object(
            {"class_name": "Ridg", "config": {}},
            {"Ridge": dict},
            printable_module_name="regularizer",
        )
    with pytest.raises(ValueError, match="neither a get_config"):
        utils.legacy.serialize_keras_object(3)
