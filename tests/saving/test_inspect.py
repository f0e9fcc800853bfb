"""`inspect` tells what is in a file of any kind, builds nothing, and says what loading would."""

import functools
import json
import warnings
import zipfile

import numpy as np
import pytest

import staghorn
from staghorn.engine.spellings import OldSpelling
from staghorn.saving import CorruptFileError, inspect
from staghorn.visualization.file_contents import print_contents
from tests.saving.kinds import KINDS

ROWS = np.ones((6, 4), "float32"), np.ones((6, 1), "float32")


@functools.cache
def trained():
    """One model, trained three steps; no test changes it."""
    model = staghorn.Sequential(
        [staghorn.Input((4,)), staghorn.layers.Dense(3), staghorn.layers.Dense(1)], name="net"
    )
    model.compile(staghorn.optimizers.Adam(0.01), "mse", metrics=["mae"])
    for _ in range(3):
        model.train_on_batch(*ROWS)
    return model


def fitted(callback):
    model = staghorn.models.clone_model(trained())
    model.compile(staghorn.optimizers.Adam(0.01), "mse", metrics=["mae"])
    model.fit(*ROWS, epochs=2, verbose=0, callbacks=[callback])


def old_format(save, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OldSpelling)
        save(path)


def saved(kind, folder):
    """Write a file of a kind; return its path."""
    model, path = trained(), folder / f"m{kind}"
    if kind == ".keras":
        model.save(path)
    elif kind == "folder":
        model.save(path, zipped=False)
    elif kind == ".weights.json":
        model.save_weights(path, max_shard_size=1e-7)
    elif kind == ".weights.h5":
        model.save_weights(path)
    elif kind == "model.h5":
        old_format(model.save, path)
    elif kind == "weights.h5":
        path = folder / "old_weights.h5"
        old_format(model.save_weights, path)
    elif kind == "backup":
        fitted(staghorn.callbacks.BackupAndRestore(folder, delete_checkpoint=False))
        path = folder / "latest.backup"
    else:
        path = folder / "best.keras"
        fitted(staghorn.callbacks.ModelCheckpoint(path))
    return path


# kind of file → what it is called, model, checksums, optimizer's step, layers, numbers
FILES = {
    ".keras": ("model (.keras)", "Sequential 'net'", True, 3, 3, 19),
    "folder": ("folder of a model", "Sequential 'net'", True, 3, 3, 19),
    ".weights.h5": ("weights (.weights.h5)", None, True, 3, 0, 19),
    ".weights.json": ("weights in several files (.weights.json)", None, True, 3, 0, 19),
    "model.h5": ("model in the old format (.h5)", "Sequential 'net'", True, 3, 3, 19),
    "weights.h5": ("weights in the old format (.h5)", None, True, None, 0, 19),
    "backup": ("backup of a training", None, True, None, 0, 0),
    "checkpoint": (
        "checkpoint (.keras, with the state of its training)", "Sequential 'net'", True, 2, 3, 19,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_tells_every_kind_of_file(kind, tmp_path):
    path = saved(kind, tmp_path)
    found = inspect(path)
    checked = found.integrity == "checksums verified"
    got = (found.kind, found.model, checked, found.optimizer_step, len(found.layers))
    assert (*got, found.numbers()) == FILES[kind]
    assert found.refused == found.needed == []
    assert found.bytes > 0
    if found.model:
        assert found.training["optimizer"] == "Adam(learning_rate=0.01)"
        assert (found.training["loss"], found.training["metrics"]) == ("mse", "mae")
    if kind in ("backup", "checkpoint"):
        assert found.state["epoch"] == 2
    again = json.loads(json.dumps(found.as_dict()))
    assert again["kind"] == found.kind
    assert len(again["arrays"]) == len(found.arrays)


@pytest.mark.parametrize("kind", KINDS)
def test_counts_the_weights_of_every_layer(kind, tmp_path):
    model = KINDS[kind][0](staghorn)
    model.save(tmp_path / "m.keras")
    rows = [row for row in inspect(tmp_path / "m.keras").layers if row.depth == 0]
    counted = {row.name: row.weights for row in rows if row.weights is not None}
    for layer in model.layers:
        assert counted[layer.name] == layer.count_params(), layer.name
    assert sum(counted.values()) == model.count_params()


def test_shows_layers_inside_layers(tmp_path):
    KINDS["nested"][0](staghorn).save(tmp_path / "m.keras")
    rows = inspect(tmp_path / "m.keras").layers
    inner = next(i for i, row in enumerate(rows) if row.name == "inner")
    assert [(row.class_name, row.depth) for row in rows[inner : inner + 3]] == [
        ("Functional", 0),
        ("InputLayer", 1),
        ("Dense", 1),
    ]
    assert rows[inner + 2].arguments == {"units": 3, "activation": "relu"}
    assert rows[inner + 2].weights == 12


def test_builds_nothing(tmp_path, monkeypatch):
    path = saved(".keras", tmp_path)

    def built(*_, **__):
        raise AssertionError("a layer was built")

    monkeypatch.setattr(staghorn.layers.Layer, "__init__", built)
    assert len(inspect(path).layers) == 3


def test_shows_classes_that_nobody_knows(tmp_path):
    class Mine(staghorn.layers.Layer):
        def __init__(self, size=1, **kwargs):
            super().__init__(**kwargs)
            self.size = size

        def build(self, shape):
            self.w = self.add_weight((self.size,))

        def call(self, x):
            return x

    staghorn.Sequential([staghorn.Input((4,)), Mine(7)]).save(tmp_path / "m.keras")
    found = inspect(tmp_path / "m.keras")
    row = found.layers[1]
    assert (row.class_name, row.arguments, row.weights) == ("Mine", {"size": 7}, 7)
    assert "custom_objects={'Mine': Mine}" in found.needed[0]
    assert not found.refused


def rewritten(path, name, change):
    """Change a member of an archive, and leave the checksums out."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    members["metadata.json"] = b"{}"
    members[name] = change(members[name])
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)


def test_shows_code_and_says_that_it_is_refused(tmp_path):
    path = saved(".keras", tmp_path)
    code = b'"activation": {"class_name": "__lambda__", "config": {"code": "4wEA"}}'
    rewritten(path, "config.json", lambda data: data.replace(b'"activation": "linear"', code, 1))
    found = inspect(path)
    assert found.layers[1].arguments["activation"] == "bytecode"
    assert "is a Python function as bytecode" in found.refused[0]
    assert found.integrity == "no checksums in it"


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_damage_is_told(name, tmp_path):
    path = saved(".keras", tmp_path)
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo(name).header_offset + 30 + len(name) + 40
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    found = inspect(path)
    assert found.integrity == "damaged"
    assert name in found.refused[0]
    assert name in found.assets  # at least what it says it holds


def test_what_is_not_finite_is_counted(tmp_path):
    model = staghorn.models.clone_model(trained())
    kernel, *rest = model.get_weights()
    kernel[0, :2] = np.nan, np.inf
    model.set_weights([kernel, *rest])
    model.save(tmp_path / "m.keras")
    counts = {array.path: array.not_finite for array in inspect(tmp_path / "m.keras").arrays}
    assert counts["layers/dense/vars/0"] == 2
    assert sum(counts.values()) == 2


def test_what_is_no_model_at_all(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"hello, world")
    with pytest.raises(CorruptFileError, match="is no file of a model"):
        inspect(tmp_path / "m.keras")
    with pytest.raises(FileNotFoundError):
        inspect(tmp_path / "nothing.keras")


PRINTED = """\
integrity   checksums verified
model       Sequential 'net'
weights     19 numbers, 76.00 B
compiled    yes
optimizer   Adam(learning_rate=0.01)
loss        mse
metrics     mae
state       10 arrays, 160.00 B, step 3
Layer        Class       Arguments                                Weights
input_layer  InputLayer  batch_shape=[None, 4]        0
dense        Dense       units=3                                       15
dense_1      Dense       units=1                                        4
Array                  Shape   Type     Bytes
layers/dense/vars/0    (4, 3)  float32     48
layers/dense/vars/1    (3,)    float32     12
"""


def test_prints_plain_columns_in_a_pipe(tmp_path, capsys):
    print_contents(inspect(saved(".keras", tmp_path)))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "m.keras: model (.keras), " in lines[0]
    for line in PRINTED.splitlines():
        assert " ".join(line.split()) in lines


def test_prints_tables_on_a_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    print_contents(inspect(saved(".keras", tmp_path)))
    assert "─" in capsys.readouterr().out


def test_lists_twenty_arrays_unless_asked(tmp_path, capsys):
    layers = [staghorn.layers.Dense(4) for _ in range(12)]
    staghorn.Sequential([staghorn.Input((4,)), *layers]).save(tmp_path / "m.keras")
    found = inspect(tmp_path / "m.keras")
    for every, count in ((False, 20), (True, 24)):
        print_contents(found, every_array=every)
        printed = capsys.readouterr().out
        assert printed.count("/vars/") == count
        assert ("and 4 more; --weights" in printed) is not every
    assert [a.path for a in found.arrays][-1] == "layers/dense_11/vars/1"


def test_names_in_a_file_cannot_steer_the_terminal(tmp_path, capsys):
    path = saved(".keras", tmp_path)
    rewritten(
        path, "config.json", lambda data: data.replace(b'"net"', rb'"\u001b[2J[red]\u0007"', 1)
    )
    print_contents(inspect(path))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert r"\x1b[2J[red]\x07" in printed


WRONG = [None, 3, "x", [], {}, [[1]], {"class_name": ["a"], "config": 3}, True, float("nan")]


def places_in(value, path=()):
    yield path
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places_in(item, (*path, key))


def test_any_config_is_told_or_called_corrupt(tmp_path, capsys):
    """A wrong value anywhere in the config: what stands there is printed, and nothing raises."""
    path = saved(".keras", tmp_path)
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    places = [place for place in places_in(json.loads(config)) if place]
    told = 0
    for number, place in enumerate(places):
        changed = part = json.loads(config)
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = WRONG[number % len(WRONG)]
        rewritten(path, "config.json", lambda _, new=changed: json.dumps(new).encode())
        found = inspect(path)
        print_contents(found)
        told += bool(found.refused or found.needed)
    assert "Loading refuses it" in capsys.readouterr().out
    assert told > 10
