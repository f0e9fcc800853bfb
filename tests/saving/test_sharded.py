"""Weights in several files: one list decides, and names only files beside it."""

import json
import os

import numpy as np
import pytest

import staghorn
from staghorn.saving import shards
from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from tests.oracle import keras
from tests.saving.kinds import KINDS, data_for, scramble, targets_for
from tests.saving.test_across import assert_same_outputs, direction

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

GB = 1 << 30
LIST = "m.weights.json"


def trained(library, kind="nested"):
    model = KINDS[kind][0](library)
    scramble(model)
    model.compile("adam", "mse")
    data = data_for(kind)
    model.train_on_batch(data, targets_for(model.predict(data, verbose=0)))
    return model


@pytest.mark.parametrize("way", ["to_keras", "from_keras"])
@pytest.mark.parametrize("kind", ["nested", "shared", "sequential"])
@pytest.mark.parametrize("size", [100, 10**6])
def test_across(size, kind, way, tmp_path):
    writer, reader = direction(way)
    model, twin = trained(writer, kind), trained(reader, kind)
    model.train_on_batch(data_for(kind), targets_for(model.predict(data_for(kind), verbose=0)))
    model.save_weights(tmp_path / LIST, max_shard_size=size / GB)
    twin.load_weights(tmp_path / LIST)
    assert_same_outputs(model, twin, data_for(kind))
    assert int(twin.optimizer.iterations) == 2
    assert (len(list(tmp_path.glob("*.h5"))) > 2) == (size < 10**6)


def test_an_array_larger_than_a_shard(tmp_path):
    with pytest.raises(ValueError, match="more than one file may have"):
        trained(staghorn).save_weights(tmp_path / LIST, max_shard_size=8 / GB)
    assert not os.listdir(tmp_path)


def test_saving_again_leaves_only_what_is_listed(tmp_path, monkeypatch):
    model = trained(staghorn)
    model.save_weights(tmp_path / LIST, max_shard_size=100 / GB)
    before = model.get_weights()
    old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    scramble(model, seed=9)
    replace, calls = os.replace, []

    def fail(source, target):
        calls.append(target)
        if len(calls) == 4:
            raise OSError("no more")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no more"):
            model.save_weights(tmp_path / LIST, max_shard_size=100 / GB)
    model.load_weights(tmp_path / LIST)  # the old ones, whole
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    for name, data in old.items():
        assert (tmp_path / name).read_bytes() == data
    scramble(model, seed=9)
    model.save_weights(tmp_path / LIST, max_shard_size=100 / GB)
    listed = json.loads((tmp_path / LIST).read_text())["metadata"]["sha256"]
    assert {path.name for path in tmp_path.iterdir()} == {LIST, *listed}


def change_list(change):
    def apply(folder):
        listed = json.loads((folder / LIST).read_text())
        change(listed)
        (folder / LIST).write_text(json.dumps(listed))

    return apply


def name(value):
    return change_list(lambda listed: listed["weight_map"].update({"/layers/dense/vars": value}))


def flip(folder):
    shard = sorted(folder.glob("*.h5"))[1]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)


def drop(folder):
    sorted(folder.glob("*.h5"))[1].unlink()


def link(folder):
    shard = sorted(folder.glob("*.h5"))[1]
    shard.rename(folder / "elsewhere")
    shard.symlink_to(folder / "elsewhere")


BAD = {
    "upwards": (name("../m_00001.weights.h5"), (UnsafeFileError, "not the name of a file beside")),
    "absolute": (name("/etc/m.weights.h5"), (UnsafeFileError, "not the name of a file beside")),
    "backslash": (name("..\\m.weights.h5"), (UnsafeFileError, "not the name of a file beside")),
    "other kind": (name("passwd"), (UnsafeFileError, "not the name of a file beside")),
    "number": (name(3), (UnsafeFileError, "not the name of a file beside")),
    "absent": (name("n.weights.h5"), (CorruptFileError, "is not there")),
    "swapped": (name("m_00000.weights.h5"), (CorruptFileError, "says that")),
    "flipped": (flip, (CorruptFileError, "weights.h5'")),
    "missing": (drop, (CorruptFileError, "is not there")),
    "link": (link, (UnsafeFileError, "not a plain file")),
    "no map": (change_list(lambda c: c.pop("weight_map")), (CorruptFileError, "no 'weight_map'")),
    "map of what": (change_list(lambda c: c.update(weight_map=[])), (CorruptFileError, "no 'weig")),
    "no JSON": (lambda folder: (folder / LIST).write_text("{"), (CorruptFileError, "JSON")),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_lists(case, tmp_path):
    change, (error, words) = BAD[case]
    model = trained(staghorn)
    model.save_weights(tmp_path / LIST, max_shard_size=200 / GB)
    change(tmp_path)
    before = model.get_weights()
    with pytest.raises(error, match=words):
        model.load_weights(tmp_path / LIST)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_list_that_was_replaced_by_its_own_text_is_read_again(tmp_path, monkeypatch):
    # Two writers: shards of the first are removed for those of the second, then written again.
    path = tmp_path / "m.weights.json"
    model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
    model.save_weights(path, max_shard_size=1)
    read, tries = shards._read_once, []

    def disturbed(path):
        tries.append(path)
        if len(tries) == 1:
            copy = path.with_name("copy")
            copy.write_bytes(path.read_bytes())
            os.replace(copy, path)
            raise CorruptFileError("a shard was not there")
        return read(path)

    monkeypatch.setattr(shards, "_read_once", disturbed)
    wanted = [w.copy() for w in model.get_weights()]
    scramble(model)
    model.load_weights(path)
    assert len(tries) == 2
    for found, value in zip(model.get_weights(), wanted, strict=True):
        np.testing.assert_array_equal(found, value)


def test_keras_opens_a_list_without_shards_of_the_usual_names(tmp_path):
    model = trained(staghorn)
    model.save_weights(tmp_path / LIST, max_shard_size=1)
    twin = KINDS["nested"][0](keras)
    twin.load_weights(tmp_path / LIST)
    assert_same_outputs(model, twin, data_for("nested"))
