"""What does not fit is named, all of it at once, and nothing is half loaded."""

import json
import os
import warnings

import numpy as np
import pytest

import staghorn
from staghorn.saving.archive import read_archive, write_archive
from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from staghorn.saving.walk import walk
from tests.saving.kinds import KINDS, data_for, scramble, targets_for


def stack(*units, names=None):
    layers = [staghorn.layers.Dense(n, name=f"d{i}") for i, n in enumerate(units)]
    return staghorn.Sequential([staghorn.Input((4,)), *layers], name="stack")


def rewrite(path, **changes):
    """Change members of a model file; drop the checksums, as an honest editor would."""
    members = dict(read_archive(path).members)
    members.pop("metadata.json", None)
    for name, change in changes.items():
        member = "config.json" if name == "config" else "model.weights.h5"
        members[member] = change(members[member])
    with open(path, "wb") as file:
        write_archive(file, members)


def with_config(path, change):
    def edit(data):
        config = json.loads(data)
        return json.dumps(change(config) or config).encode()

    rewrite(path, config=edit)


def test_all_problems_are_named_and_nothing_is_loaded(tmp_path):
    stack(3, 5, 2).save_weights(tmp_path / "m.weights.h5")
    model = stack(3, 7)
    before = model.get_weights()
    with pytest.raises(ValueError, match="do not fit 'stack'") as info:
        model.load_weights(tmp_path / "m.weights.h5")
    text = str(info.value)
    assert "layers/dense_1 ('d1', Dense): kernel has shape (3, 7), the file has (3, 5)." in text
    assert "bias has shape (7,), the file has (5,)." in text
    assert "layers/dense_2: the model has no layer here" in text
    assert "'d0'" not in text
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_missing_weights_are_named(tmp_path):
    stack(3).save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(
        ValueError, match=r"'d1', Dense\): it has kernel \(3, 2\), bias \(2,\); the"
    ):
        stack(3, 2).load_weights(tmp_path / "m.weights.h5")


def test_skip_mismatch_loads_what_fits(tmp_path):
    source, model = stack(3, 5), stack(3, 7)
    source.save_weights(tmp_path / "m.weights.h5")
    with pytest.warns(UserWarning, match="layers/dense_1"):
        model.load_weights(tmp_path / "m.weights.h5", skip_mismatch=True)
    np.testing.assert_array_equal(model.get_weights()[0], source.get_weights()[0])


def test_other_kind_of_numbers(tmp_path):
    class Whole(staghorn.layers.Layer):
        def __init__(self, kind, **kwargs):
            super().__init__(**kwargs)
            self.kind = kind

        def build(self, input_shape):
            self.w = self.add_weight((2,), "zeros", dtype=self.kind, trainable=False, name="w")

        def call(self, x):
            return x

    def model(kind):
        return staghorn.Sequential([staghorn.Input((4,)), Whole(kind)])

    model("int32").save_weights(tmp_path / "m.weights.h5")
    model("uint32").load_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="w is float32, the file has int32"):
        model("float32").load_weights(tmp_path / "m.weights.h5")


def compiled(optimizer, *units):
    model = stack(*units)
    model.compile(optimizer, "mse")
    model.fit(data_for("sequential"), np.ones((6, units[-1]), "float32"), verbose=0)
    return model


def test_optimizer_that_does_not_fit_raises(tmp_path):
    compiled("adam", 3).save_weights(tmp_path / "m.weights.h5")
    other = compiled(staghorn.optimizers.SGD(0.1, momentum=0.9), 3)
    with pytest.raises(ValueError, match=r"optimizer \('sgd', SGD\): it has 4 variables"):
        other.load_weights(tmp_path / "m.weights.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other.load_weights(tmp_path / "m.weights.h5", skip_mismatch=True)
    assert int(other.optimizer.iterations) == 1


def test_optimizer_state_that_is_missing_raises(tmp_path):
    compiled("adam", 3).save(tmp_path / "m.keras")
    stack(3).save(tmp_path / "plain.keras")
    weights = read_archive(tmp_path / "plain.keras").members["model.weights.h5"]
    rewrite(tmp_path / "m.keras", weights=lambda _: weights)
    with pytest.raises(ValueError, match="no state for it, so training would start afresh"):
        staghorn.models.load_model(tmp_path / "m.keras")
    assert not staghorn.models.load_model(tmp_path / "m.keras", compile=False).compiled


def test_weights_alone_leave_the_optimizer(tmp_path):
    stack(3).save_weights(tmp_path / "m.weights.h5")
    model = compiled("adam", 3)
    model.load_weights(tmp_path / "m.weights.h5")
    assert int(model.optimizer.iterations) == 1


def my_loss(y_true, y_pred):
    return staghorn.ops.mean((y_true - y_pred) ** 2)


def test_unknown_loss_teaches(tmp_path):
    model = stack(2)
    model.compile("adam", my_loss)
    model.train_on_batch(data_for("sequential"), np.ones((6, 2), "float32"))
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="my_loss") as info:
        staghorn.models.load_model(tmp_path / "m.keras")
    assert "custom_objects={" in str(info.value)
    assert "compile=False" in str(info.value)
    again = staghorn.models.load_model(tmp_path / "m.keras", custom_objects={"my_loss": my_loss})
    assert int(again.optimizer.iterations) == 1
    assert not staghorn.models.load_model(tmp_path / "m.keras", compile=False).compiled


def test_unknown_layer_teaches(tmp_path):
    stack(2).save(tmp_path / "m.keras")
    with_config(
        tmp_path / "m.keras", lambda c: c["config"]["layers"][1].update(class_name="Densse")
    )
    with pytest.raises(TypeError, match=r"m\.keras.*'Densse'.*Did you mean 'Dense'"):
        staghorn.models.load_model(tmp_path / "m.keras")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("subprocess", "Popen"),
        ("staghorn.saving", "load_model"),
        ("keras.utils", "get_file"),
    ],
)
def test_names_from_the_file_are_not_imported(module, name, tmp_path):
    stack(2).save(tmp_path / "m.keras")

    def change(config):
        config["config"]["layers"][1] |= {"module": module, "class_name": name}

    with_config(tmp_path / "m.keras", change)
    with pytest.raises((TypeError, ValueError), match=name):
        staghorn.models.load_model(tmp_path / "m.keras")


@pytest.mark.parametrize("name", ["__lambda__", "__typespec__"])
def test_code_is_refused(name, tmp_path):
    stack(2).save(tmp_path / "m.keras")
    code = {"class_name": name, "config": {"code": "4wAAAA==", "defaults": None}}

    def change(config):
        config["config"]["layers"][1]["config"]["activation"] = code

    with_config(tmp_path / "m.keras", change)
    place = r"'config\.layers\[1\]\.config\.activation' "
    with pytest.raises(UnsafeFileError, match=place):
        staghorn.models.load_model(tmp_path / "m.keras")
    with_config(tmp_path / "m.keras", lambda c: stack_config() | {"compile_config": {"loss": code}})
    with pytest.raises(UnsafeFileError, match=r"'compile_config\.loss' "):
        staghorn.models.load_model(tmp_path / "m.keras")


def stack_config():
    return staghorn.saving.serialize_keras_object(stack(2))


@pytest.mark.parametrize("name", ["TorchModuleWrapper", "TFSMLayer"])
def test_layers_that_read_other_files_are_refused(name, tmp_path):
    stack(2).save(tmp_path / "m.keras")
    with_config(tmp_path / "m.keras", lambda c: c["config"]["layers"][1].update(class_name=name))
    with pytest.raises(UnsafeFileError, match=r"'config\.layers\[1\]' is a "):
        staghorn.models.load_model(tmp_path / "m.keras")


@pytest.mark.parametrize("value", [5, None, ["Dense"], True])
def test_class_names_are_strings(value, tmp_path):
    stack(2).save(tmp_path / "m.keras")
    with_config(tmp_path / "m.keras", lambda c: c["config"]["layers"][1].update(class_name=value))
    with pytest.raises(CorruptFileError, match=r"'config\.layers\[1\]' has the class_name"):
        staghorn.models.load_model(tmp_path / "m.keras")


def test_deep_nesting_is_refused(tmp_path):
    stack(2).save(tmp_path / "m.keras")
    deep = []
    for _ in range(400):
        deep = [deep]
    with_config(tmp_path / "m.keras", lambda c: c["config"].update(deep=deep))
    with pytest.raises(UnsafeFileError, match="nested"):
        staghorn.models.load_model(tmp_path / "m.keras")


def test_an_object_that_is_no_model(tmp_path):
    stack(2).save(tmp_path / "m.keras")
    adam = staghorn.saving.serialize_keras_object(staghorn.optimizers.Adam())
    with_config(tmp_path / "m.keras", lambda c: adam)
    with pytest.raises(UnsafeFileError, match=r"Adam.*cannot be a layer"):
        staghorn.models.load_model(tmp_path / "m.keras")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_truncated_model(share, tmp_path):
    path = tmp_path / "m.keras"
    stack(2).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CorruptFileError, match=r"m\.keras"):
        staghorn.models.load_model(path)


def test_every_flip_in_a_model_is_seen_or_harmless(tmp_path):
    path = tmp_path / "m.keras"
    model = stack(2)
    scramble(model)
    model.save(path)
    data, wanted = path.read_bytes(), model.get_weights()
    seen = 0
    for position in range(0, len(data), 151):
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


def test_failed_save_leaves_the_old_model(tmp_path, monkeypatch):
    path = tmp_path / "m.keras"
    old = stack(2)
    old.save(path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        stack(9).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]


def test_a_layer_that_fails_to_save_leaves_the_old_model(tmp_path):
    class Failing(staghorn.layers.Dense):
        def save_own_variables(self, store):
            raise RuntimeError("not today")

    path = tmp_path / "m.keras"
    stack(2).save(path)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="not today"):
        staghorn.Sequential([staghorn.Input((4,)), Failing(2)]).save(path)
    assert path.read_bytes() == before


def test_file_names(tmp_path):
    model = stack(2)
    with pytest.raises(ValueError, match=r"must end in '\.keras'"):
        model.save(tmp_path / "m.zip")
    with pytest.raises(ValueError, match=r"must end in '\.weights\.h5'"):
        model.save_weights(tmp_path / "m.bin")
    with pytest.raises(ValueError, match=r"must end in '\.weights\.json'"):
        model.save_weights(tmp_path / "m.weights.h5", max_shard_size=1)
    model.save(tmp_path / "m.keras")
    with pytest.raises(FileExistsError):
        model.save(tmp_path / "m.keras", overwrite=False)
    with pytest.raises(FileNotFoundError, match=r"Its folder holds: m\.keras"):
        staghorn.models.load_model(tmp_path / "n.keras")
    (tmp_path / "text.keras").write_text("hello")
    with pytest.raises(CorruptFileError, match=r"not a '\.keras' file"):
        staghorn.models.load_model(tmp_path / "text.keras")


def test_unbuilt_models(tmp_path):
    model = staghorn.Sequential([staghorn.layers.Dense(2)])
    with pytest.raises(ValueError, match="was not built"):
        model.save_weights(tmp_path / "m.weights.h5")


def test_weights_out_of_reach_are_an_error(tmp_path):
    class Box:
        def __init__(self, layer):
            self.layer = layer

    class Net(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.keep = staghorn.layers.Dense(2, name="kept")
            self._tracker.track(staghorn.layers.Dense(3, name="hidden"))
            self.box = Box(self._layers[-1])

        def call(self, x):
            return self.keep(self.box.layer(x))

    model = Net()
    model(np.ones((1, 4), "float32"))
    names = {item.name for _, item in walk(model)}
    assert {"kept", "hidden"} <= names  # `layers` leads there
    layer = staghorn.layers.Layer()
    inner = staghorn.layers.Dense(2, name="lost")
    inner.build((None, 3))
    layer._tracker.track(inner)
    with pytest.raises(ValueError, match=r"the weights of 'lost'.*have no place"):
        walk(layer)


def test_two_layers_at_one_place_are_refused():
    clash = type("Dense_1", (staghorn.layers.Dense,), {})
    model = staghorn.Sequential(
        [staghorn.Input((4,)), *(staghorn.layers.Dense(2) for _ in "ab"), clash(2, name="other")]
    )
    with pytest.raises(ValueError, match="same place 'layers/dense_1'"):
        walk(model)


def test_cycles_end():
    model = stack(2)
    model.myself = {"again": [model, {"deep": model.layers}]}
    model.layers[0].parent = model
    assert [path for path, _ in walk(model)] == ["", "layers/dense"]


def test_names_that_are_no_paths(tmp_path):
    names = ["..", "a\\b", "a\0b", ""]
    layers = [staghorn.layers.Dense(2, name=name or None) for name in names]
    model = staghorn.Sequential([staghorn.Input((4,)), *layers])
    model.save(tmp_path / "m.keras")
    again = staghorn.models.load_model(tmp_path / "m.keras")
    assert [layer.name for layer in again.layers[:3]] == names[:3]


def test_targets_of_kinds_are_repeatable():
    outputs = KINDS["functional"][0](staghorn)(data_for("functional"))
    np.testing.assert_array_equal(targets_for(outputs), targets_for(outputs))
