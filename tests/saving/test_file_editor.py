"""KerasFileEditor: what Keras's editor does with the same files, and what it must not do."""

import h5py
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.saving import CorruptFileError, KerasFileEditor, UnsafeFileError
from tests.oracle import keras


def small_model(module=staghorn, units=3):
    model = module.Sequential(
        [
            module.Input((4,)),
            module.layers.Dense(units, name="first"),
            module.layers.Dense(2, name="second"),
        ]
    )
    model.compile("adam", loss="mse")
    return model


@pytest.fixture(params=["model.keras", "model.weights.h5"])
def saved(request, tmp_path):
    path, model = tmp_path / request.param, small_model()
    model.save(path) if path.suffix == ".keras" else model.save_weights(path)
    return str(path), model


def paths(nest, start=""):
    for key, value in nest.items():
        if isinstance(value, dict):
            yield from paths(value, f"{start}/{key}")
        else:
            yield f"{start}/{key}", np.shape(value)


def edit(module, path, target):
    editor = module.saving.KerasFileEditor(path)
    editor.rename_object("layers/dense_1", "renamed")
    editor.delete_object("optimizer")
    editor.add_object("layers/new", {"0": np.ones((2, 2), "float32")})
    editor.add_weights("layers/new", {"1": np.zeros(2, "float32")})
    editor.delete_weight("layers/dense", "1")
    editor.resave_weights(target)
    return sorted(paths(editor.weights_dict))


def test_edits_equal_keras(saved, tmp_path):
    path, _ = saved
    ours, theirs = str(tmp_path / "ours.weights.h5"), str(tmp_path / "theirs.weights.h5")
    assert edit(staghorn, path, ours) == edit(keras, path, theirs)
    for reader in (staghorn, keras):  # each reads what the other wrote
        contents = [
            sorted(paths(reader.saving.KerasFileEditor(p).weights_dict)) for p in (ours, theirs)
        ]
        assert contents[0] == contents[1]
        assert ("/layers/new/1", (2,)) in contents[0]


def test_an_unchanged_file_loads_again(saved, tmp_path):
    path, model = saved
    target = tmp_path / "again.weights.h5"
    KerasFileEditor(path).save(target)
    for module in (staghorn, keras):
        twin = small_model(module)
        twin.load_weights(str(target))
        for a, b in zip(twin.weights, model.weights, strict=True):
            np.testing.assert_array_equal(np.asarray(a.value), np.asarray(b.value))
    assert KerasFileEditor(target).object_metadata == KerasFileEditor(path).object_metadata


def test_comparison(saved, capsys):
    path, model = saved
    editor = KerasFileEditor(path)
    count = 4 + len(model.optimizer.variables)
    assert editor.compare(model) == {"status": "success", "error_count": 0, "match_count": count}
    other = small_model(units=5)
    assert editor.compare(other)["status"] == "error"
    said = capsys.readouterr().out
    assert "Weight /layers/dense/0 has the shape (4, 3) in the file, (4, 5) in the model" in said
    editor.delete_object("layers/dense_1")
    result = editor.compare(model)
    assert (result["error_count"], result["match_count"]) == (1, count - 2)
    assert "Object /layers/dense_1 is in the model and not in the file" in capsys.readouterr().out
    theirs = keras.saving.KerasFileEditor(path).compare(small_model(keras))
    assert theirs["status"] == "success"


def test_summary(saved, capsys):
    KerasFileEditor(saved[0]).summary()
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("    dense ('first')")
    assert lines[place + 1] == "      0: shape=(4, 3), dtype=float32"


def test_what_a_keras_file_says_of_itself(tmp_path):
    path = tmp_path / "model.keras"
    small_model().save(path)
    editor = KerasFileEditor(path)
    assert editor.config["class_name"] == "Sequential"
    assert "keras_version" in editor.metadata


def test_a_nested_object_keeps_its_own_weights_and_parts(tmp_path):
    class Both(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = layers.Dense(2)

        def build(self, shape):
            self.scale = self.add_weight((1,), name="scale")
            self.inner.build(shape)

    layer = Both()
    layer.build((None, 3))
    path = tmp_path / "both.weights.h5"
    staghorn.saving.save_weights(layer, path)
    editor = KerasFileEditor(path)
    editor.rename_object("inner", "kernel")
    assert sorted(paths(editor.weights_dict)) == [
        ("/0", (1,)), ("/kernel/0", (3, 2)), ("/kernel/1", (2,)),
    ]  # fmt: skip
    editor.rename_object("kernel", "inner")
    editor.save(path)
    staghorn.saving.load_weights(layer, path)


def test_errors(saved, tmp_path):
    editor = KerasFileEditor(saved[0])
    for wrong, said in (
        (lambda: editor.delete_object("dens_1"), "'dens_1' is not there.*Did you mean 'dense_1'"),
        (lambda: editor.delete_object("layers/no"), "'layers/no' is not there"),
        (lambda: editor.rename_object("dense", "a/b"), "new_name is a key without '/'"),
        (lambda: editor.rename_object("dense", "dense_1"), "there is a 'dense_1' beside"),
        (lambda: editor.add_object("layers/x", [1]), "weights must be a dict .* got list"),
        (lambda: editor.add_object("no/x", {}), "'/no' is not there"),
        (lambda: editor.delete_weight("dense", "7"), "has no weight '7'; it has"),
        (lambda: editor.save(tmp_path / "x.keras"), r"must end in '\.weights\.h5'"),
        (lambda: KerasFileEditor("model.pb"), r"must end in '\.keras' or '\.weights\.h5'"),
    ):
        with pytest.raises(ValueError, match=said):
            wrong()
    editor.add_object("layers/sub", {"0": np.ones(1)})
    editor.add_object("layers/sub/dense", {"0": np.ones(1)})
    with pytest.raises(ValueError, match="'dense' occurs more than once"):
        editor.delete_object("dense")


def test_unsafe_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "link.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink("other.h5", "/")
    with pytest.raises(UnsafeFileError, match="ExternalLink"):
        KerasFileEditor(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    with pytest.raises(CorruptFileError):
        KerasFileEditor(path)
