"""Keras 2's HDF5 layout, which keras writes too: read and written here, and what is refused."""

import io
import json
import warnings

import h5py
import numpy as np
import pytest

import staghorn
from staghorn.engine import spellings
from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from staghorn.saving.keras2_config import modern_config
from tests.oracle import keras
from tests.saving.kinds import KINDS, data_for, flat, scramble, targets_for
from tests.saving.test_across import OPTIMIZERS, assert_same_outputs, direction

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::staghorn.engine.spellings.OldSpelling"),
]


def recurrent(k):
    return k.Sequential(
        [
            k.Input((5,)),
            k.layers.Embedding(9, 4, mask_zero=True),
            k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True)),
            k.layers.GRU(3, return_sequences=True),
            k.layers.TimeDistributed(k.layers.Dense(2)),
            k.layers.SimpleRNN(2),
        ]
    )


def convolutional(k):
    layers = k.layers
    return k.Sequential(
        [
            k.Input((6, 6, 2)),
            layers.Conv2D(3, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.SeparableConv2D(3, 2),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(2, kernel_regularizer="l2"),
        ]
    )


def attentive(k):
    x = k.Input((4, 3))
    h = k.layers.MultiHeadAttention(2, 3)(x, x)
    return k.Model(x, k.layers.GlobalAveragePooling1D()(k.layers.LayerNormalization()(h)))


def rows(*shape):
    return np.random.default_rng(0).integers(1, 9, (6, *shape)).astype("float32")


MODELS = {name: (build, data_for(name)) for name, (build, _) in KINDS.items()} | {
    "recurrent": (recurrent, rows(5)),
    "convolutional": (convolutional, rows(6, 6, 2)),
    "attentive": (attentive, rows(4, 3)),
}


def made(library, name):
    model = MODELS[name][0](library)
    scramble(model)
    return model


@pytest.mark.parametrize("way", ["to_keras", "from_keras"])
@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_equal(name, way, tmp_path):
    writer, reader = direction(way)
    model = made(writer, name)
    model.save(tmp_path / "m.h5")
    again = reader.models.load_model(tmp_path / "m.h5")
    halves = name in ("bfloat16", "mixed")
    assert_same_outputs(model, again, MODELS[name][1], 2e-2 if halves else 1e-6)


@pytest.mark.parametrize("way", ["to_keras", "from_keras"])
@pytest.mark.parametrize("name", ["recurrent", "convolutional", "nested", "two_by_two"])
def test_weights_in_the_order_of_layers(name, way, tmp_path):
    writer, reader = direction(way)
    model, twin = made(writer, name), MODELS[name][0](reader)
    if writer is staghorn:
        model.save_weights(tmp_path / "w.h5")
    else:  # keras writes them only as a part of models
        model.save(tmp_path / "w.h5")
    twin.load_weights(tmp_path / "w.h5")
    assert_same_outputs(model, twin, MODELS[name][1])


@pytest.mark.parametrize("writer", [staghorn, keras])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_goes_on(optimizer, writer, tmp_path):
    model = made(writer, "functional")
    # Not "mse": keras cannot open its own files with losses by such names.
    loss = writer.losses.MeanSquaredError()
    model.compile(OPTIMIZERS[optimizer](writer), loss, metrics=["accuracy"])
    data = data_for("functional")
    targets = targets_for(model.predict(data, verbose=0))
    for _ in range(3):
        model.train_on_batch(data, targets)
    model.save(tmp_path / "m.h5")
    again = staghorn.models.load_model(tmp_path / "m.h5")
    # keras opens it compiled; its optimizer has no state then, from its own files neither.
    theirs = keras.models.load_model(tmp_path / "m.h5")
    assert_same_outputs(model, theirs, data)
    assert theirs.optimizer.get_config()["learning_rate"] is not None
    for one in (model, again):
        one.train_on_batch(data, targets)
    assert_same_outputs(model, again, data, 1e-5)
    assert int(again.optimizer.iterations) == 4


@pytest.mark.parametrize("name", ["recurrent", "convolutional", "two_by_two"])
def test_files_of_compiled_models_that_keras_cannot_open(name, tmp_path):
    model = made(keras, name)
    model.compile("adam", "mse", metrics=None if name == "two_by_two" else ["mae"])
    data = MODELS[name][1]
    targets = targets_for(model.predict(data, verbose=0))
    model.train_on_batch(data, targets)
    model.save(tmp_path / "m.h5")
    again = staghorn.models.load_model(tmp_path / "m.h5")
    for one in (model, again):
        one.train_on_batch(data, targets)
    for a, b in zip(flat(model.predict(data)), flat(again.predict(data)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert not staghorn.models.load_model(tmp_path / "m.h5", compile=False).compiled


def test_saving_is_said_once_and_the_file_replaces_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setattr(spellings, "_said", set())
    model = made(staghorn, "functional")
    with pytest.warns(UserWarning, match=r"\.keras"):
        model.save(tmp_path / "m.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(tmp_path / "m.h5")
    before = (tmp_path / "m.h5").read_bytes()
    with pytest.raises(FileExistsError):
        model.save(tmp_path / "m.h5", overwrite=False)
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        made(staghorn, "nested").save(tmp_path / "m.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["m.h5"]
    assert (tmp_path / "m.h5").read_bytes() == before


def stack(*units):
    layers = [staghorn.layers.Dense(n, name=f"d{i}") for i, n in enumerate(units)]
    return staghorn.Sequential([staghorn.Input((4,)), *layers])


def test_by_name(tmp_path):
    source = stack(3, 5)
    source.save_weights(tmp_path / "w.h5")
    head = staghorn.layers.Dense(2, name="head")
    model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(3, name="d0"), head])
    before = head.get_weights()
    with pytest.raises(ValueError, match=r"'head' .*, 'd1' in the file.*kernel has shape"):
        model.load_weights(tmp_path / "w.h5")
    model.load_weights(tmp_path / "w.h5", by_name=True)
    np.testing.assert_array_equal(model.get_weights()[0], source.get_weights()[0])
    np.testing.assert_array_equal(head.get_weights()[0], before[0])
    source.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match=r"by_name=True is for '\.h5' files"):
        source.load_weights(tmp_path / "m.weights.h5", by_name=True)


def test_what_does_not_fit(tmp_path):
    source = stack(3, 5)
    source.save_weights(tmp_path / "w.h5")
    model = stack(3, 7)
    old = model.get_weights()
    with pytest.raises(ValueError, match=r"kernel has shape \(3, 7\), the file has \(3, 5\)"):
        model.load_weights(tmp_path / "w.h5")
    np.testing.assert_array_equal(model.get_weights()[0], old[0])
    with pytest.warns(UserWarning, match="'d1' in the file"):
        model.load_weights(tmp_path / "w.h5", skip_mismatch=True)
    np.testing.assert_array_equal(model.get_weights()[0], source.get_weights()[0])
    with pytest.raises(ValueError, match="has 1 layers with weights"):
        stack(3).load_weights(tmp_path / "w.h5")
    with pytest.raises(ValueError, match="holds weights and no architecture"):
        staghorn.models.load_model(tmp_path / "w.h5")


def test_long_lists_of_names(tmp_path):
    units = [staghorn.layers.Dense(1, name=f"{i:03}" + "x" * 400) for i in range(200)]
    model = staghorn.Sequential([staghorn.Input((1,)), *units])
    scramble(model)
    model.save(tmp_path / "m.h5")
    x = np.ones((2, 1), "float32")
    for library in (staghorn, keras):
        again = library.models.load_model(tmp_path / "m.h5")
        np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x), rtol=1e-5)


def test_missing_classes_are_listed(tmp_path):
    class Mine(staghorn.layers.Dense):
        pass

    class Other(Mine):
        pass

    model = staghorn.Sequential([staghorn.Input((4,)), Mine(3), Other(2)])
    for name in ("m.h5", "m.keras"):
        model.save(tmp_path / name)
        with pytest.raises(TypeError, match=r"'Mine'.*\n.*'Other'") as info:
            staghorn.models.load_model(tmp_path / name)
        assert "custom_objects={'Mine': Mine, 'Other': Other}" in str(info.value)
        again = staghorn.models.load_model(tmp_path / name, {"Mine": Mine, "Other": Other})
        assert_same_outputs(model, again, np.ones((2, 4), "float32"))


# Keras 2 --------------------------------------------------------------------------------------


def old_layer(name, **config):
    return {"class_name": name, "config": {"name": name.lower(), "trainable": True, **config}}


def test_graphs_of_keras_2():
    inner = {
        "name": "inner",
        "layers": [
            old_layer("InputLayer", batch_input_shape=[None, 4]) | {"name": "i"},
            old_layer("Dense", units=4) | {"name": "d", "inbound_nodes": [[["i", 0, 0, {}]]]},
        ],
        "input_layers": [["i", 0, 0]],
        "output_layers": [["d", 0, 0]],
    }
    twice = [[["x", 0, 0, {}]], [["inner", 1, 0, {}]]]
    minus = ["_CONSTANT_VALUE", -1, 1.0, {"y": ["inner", 2, 0], "name": None}]
    cut = {"slice_spec": [{"start": None, "stop": None, "step": None}, {"start": 1, "stop": 3}]}
    cut["slice_spec"][1]["step"] = None
    function = {"function": "math.subtract", "dtype": "float32"}
    config = {
        "name": "outer",
        "layers": [
            old_layer("InputLayer", batch_input_shape=[None, 4]) | {"name": "x"},
            {"class_name": "Model", "config": inner, "name": "inner", "inbound_nodes": twice},
            old_layer("TFOpLambda", **function) | {"name": "minus", "inbound_nodes": [minus]},
            old_layer("SlicingOpLambda", function="__operators__.getitem")
            | {"name": "cut", "inbound_nodes": [["minus", 0, 0, cut]]},
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["cut", 0, 0]],
    }
    for layer in [*config["layers"], *inner["layers"]]:
        layer["config"]["name"] = layer["name"]
    text = json.dumps({"class_name": "Model", "config": config, "keras_version": "2.3.1"})
    model = staghorn.models.model_from_json(text)
    scramble(model)
    kernel, bias = model.get_weights()
    x = np.ones((2, 4), "float32")
    wanted = 1 - ((x @ kernel + bias) @ kernel + bias)
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted[:, 1:3], rtol=1e-5)


@pytest.mark.parametrize(
    ("old", "attribute", "wanted"),
    [
        (old_layer("GRU", units=2), "reset_after", False),
        (old_layer("LeakyReLU", alpha=0.5), "negative_slope", 0.5),
        (old_layer("BatchNormalizationV1", axis=[2], fused=True), "axis", 2),
        (old_layer("LSTM", units=3, implementation=1, time_major=False), "units", 3),
        (old_layer("Embedding", input_dim=5, output_dim=2, input_length=3), "input_dim", 5),
        (old_layer("SeparableConv2D", filters=2, kernel_size=3, groups=1), "filters", 2),
    ],
)
def test_arguments_that_are_gone(old, attribute, wanted):
    layer = staghorn.saving.deserialize_keras_object(modern_config(old))
    assert getattr(layer, attribute) == wanted


def test_arguments_that_said_something_are_errors():
    config = modern_config(old_layer("LSTM", units=3, time_major=True))
    with pytest.raises(ValueError, match="time_major"):
        staghorn.saving.deserialize_keras_object(config)


def test_optimizers_of_keras_2():
    old = {"class_name": "Adam", "config": {"lr": 0.5, "decay": 0.1, "amsgrad": False}}
    optimizer = staghorn.saving.deserialize_keras_object(modern_config(old, "optimizer"))
    assert (float(optimizer.learning_rate), optimizer._decay) == (0.5, 0.1)


def forget(attributes):
    attributes["weight_names"] = ["Adam/iter:0"]


@pytest.mark.parametrize("style", ["Adam/{slot}/{name}:0", "training/Adam/{name}/{slot}:0"])
def test_state_of_the_optimizer_is_found_by_name(style, tmp_path):
    model = stack(3, 3)  # two of its weights have the same shape
    scramble(model)
    model.compile("adam", "mse")
    data, targets = data_for("sequential"), np.ones((6, 3), "float32")
    model.train_on_batch(data, targets)
    model.save(tmp_path / "m.h5")

    def rename(file):
        for name in ("d0", "d1"):
            group = file[f"model_weights/{name}"]
            names = [old.decode() for old in group.attrs["weight_names"]]
            new = [f"{name}/{old.rsplit('/', 1)[-1]}:0" for old in names]
            for a, b in zip(names, new, strict=True):
                group.move(a, b)
            group.attrs["weight_names"] = new
        state = file["optimizer_weights"]
        state.move("adam/iteration", "Adam/iter:0")
        names = ["Adam/iter:0"]
        for short, slot in (("v", "velocity"), ("m", "momentum")):
            for name in ("d1/bias", "d1/kernel", "d0/kernel", "d0/bias"):
                old = next(
                    n for n in state["adam"] if n.endswith(f"{name}_{slot}".replace("/", "_"))
                )
                names.append(style.format(slot=short, name=name))
                state.move(f"adam/{old}", names[-1])
        state.attrs["weight_names"] = names

    edited(tmp_path / "m.h5", rename)
    again = staghorn.models.load_model(tmp_path / "m.h5")
    for one in (model, again):
        one.train_on_batch(data, targets)
    assert_same_outputs(model, again, data)
    edited(tmp_path / "m.h5", lambda file: forget(file["optimizer_weights"].attrs))
    with pytest.raises(ValueError, match=r"no state of the optimizer for .*momentum"):
        staghorn.models.load_model(tmp_path / "m.h5")


# Code, links, damage --------------------------------------------------------------------------


def lambdas(k):
    x = k.Input((4,), name="x")
    h = k.layers.Lambda(lambda t: t * 2, output_shape=(4,), name="twice")(x)
    return k.Model(x, k.layers.Lambda(lambda t: t + 1, output_shape=lambda s: s, name="more")(h))


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
@pytest.mark.parametrize("library", [staghorn, keras])
def test_functions_of_lambda_layers_are_supplied(library, name, tmp_path):
    names = ["twice", "more", "moer"]
    lambdas(library).save(tmp_path / name)
    with pytest.raises((TypeError, UnsafeFileError)) as info:
        staghorn.models.load_model(tmp_path / name)
    assert "load_model(path, replace={'twice': function, 'more': function})" in str(info.value)
    if library is staghorn:
        with pytest.raises(Exception, match=r"twice\.function"):
            keras.models.load_model(tmp_path / name)
    with pytest.raises(ValueError, match=r"no Lambda layer .*\n?.*Did you mean 'more'"):
        staghorn.models.load_model(tmp_path / name, replace=dict.fromkeys(names, abs))
    given = {"twice": lambda t: t * 2, "more": lambda t: t + 1}
    model = staghorn.models.load_model(tmp_path / name, replace=given)
    np.testing.assert_array_equal(model.predict(np.ones((2, 4)), verbose=0), np.full((2, 4), 3.0))


def edited(path, change):
    """Change a file in place, as if it had been written so."""
    data = io.BytesIO(path.read_bytes())
    with h5py.File(data, "r+") as file:
        file.attrs.pop("sealed", None)
        change(file)
        file.flush()
    path.write_bytes(data.getvalue())


def put_config(**changes):
    def change(file):
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1] |= changes
        file.attrs["model_config"] = json.dumps(config)

    return change


def put_link(link):
    def change(file):
        del file["model_weights/d0"]
        file["model_weights/d0"] = link

    return change


def put_names(names):
    def change(file):
        file["model_weights/d0"].attrs["weight_names"] = names

    return change


def put_array(make):
    def change(file):
        path = "model_weights/d0/" + file["model_weights/d0"].attrs["weight_names"][0].decode()
        del file[path]
        make(file, path)

    return change


CODE = ["4wAAAA==", None, None]
BAD = {
    "bytecode": (
        put_config(class_name="Lambda", config={"name": "l", "function": CODE}),
        (UnsafeFileError, "bytecode"),
    ),
    "external link": (put_link(h5py.ExternalLink("x.h5", "/")), (UnsafeFileError, "elsewhere")),
    "soft link": (put_link(h5py.SoftLink("/model_weights/d1")), (UnsafeFileError, "elsewhere")),
    "names out": (put_names([b"../d1/d1/kernel"]), (CorruptFileError, "has none there")),
    "names of numbers": (put_names(np.arange(3)), (UnsafeFileError, "is not a text")),
    "external data": (
        put_array(lambda f, p: f.create_dataset(p, (4, 3), "f4", external=[("x", 0, 48)])),
        (UnsafeFileError, "another file"),
    ),
    "shape bomb": (
        put_array(lambda f, p: f.create_dataset(p, (2**50,), "f4", chunks=(2**20,))),
        (UnsafeFileError, "declares"),
    ),
    "no JSON": (
        lambda f: f.attrs.__setitem__("model_config", "{"),
        (CorruptFileError, "not valid JSON"),
    ),
    "a list": (
        lambda f: f.attrs.__setitem__("model_config", "[]"),
        (CorruptFileError, "no JSON object"),
    ),
    "no layers": (
        lambda f: f.attrs.__setitem__("model_config", '{"class_name": "Sequential", "config": {}}'),
        (CorruptFileError, "no model can be made"),
    ),
    "deep": (
        lambda f: f.attrs.__setitem__(
            "model_config", '{"class_name": "A", "config": {"a":' + "[" * 900 + "]" * 900 + "}}"
        ),
        (UnsafeFileError, "nested"),
    ),
    "another module": (
        put_config(class_name="system", module="os"),
        (TypeError, "'system'"),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name, tmp_path):
    change, (error, words) = BAD[name]
    stack(3, 2).save(tmp_path / "m.h5")
    edited(tmp_path / "m.h5", lambda file: None)
    staghorn.models.load_model(tmp_path / "m.h5")
    edited(tmp_path / "m.h5", change)
    with pytest.raises(error, match=words):
        staghorn.models.load_model(tmp_path / "m.h5")


def test_many_names_of_one_long_text_are_refused(tmp_path):
    stack(3).save(tmp_path / "m.h5")

    def change(file):
        file["model_weights"].attrs["layer_names"] = ["a"] * 4000
        file.attrs["long"] = "x" * (1 << 20)

    edited(tmp_path / "m.h5", change)
    with pytest.raises(UnsafeFileError, match="may be too large"):
        staghorn.models.load_model(tmp_path / "m.h5")


def test_flips_are_seen_or_harmless(tmp_path):
    path = tmp_path / "m.h5"
    model = stack(2)
    model.save(path)
    data, wanted = path.read_bytes(), model.get_weights()
    seen = 0
    for position in range(0, len(data), 211):
        broken = bytearray(data)
        broken[position] ^= 1 << (position % 8)
        path.write_bytes(broken)
        try:
            got = staghorn.models.load_model(path).get_weights()
        except (CorruptFileError, UnsafeFileError):
            seen += 1
            continue
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
    assert seen > 0


def test_the_library_warns_of_nothing_while_reading(tmp_path):
    model = made(keras, "recurrent")
    model.save(tmp_path / "m.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        staghorn.models.load_model(tmp_path / "m.h5")
