"""Small files that ask for much memory or time."""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
from typing import Any

import h5py
import numpy as np
import pytest

from tests.attacks import recipes
from tests.attacks.harness import EITHER, LOADS, REFUSED, WRONG
from tests.attacks.recipes import (
    CONFIG,
    WEIGHTS,
    Ways,
    base,
    config_of,
    dense,
    edited,
    examine,
    members,
    thing,
    with_dense,
    with_layer,
    with_node,
    zipped,
)

KERNEL = "layers/dense/vars/0"
MIB = 1 << 20


def s23_shapes(ways: Ways) -> None:
    def declared(shape: tuple, **options: Any) -> Any:
        def change(file: h5py.File) -> None:
            del file[KERNEL]
            file.create_dataset(KERNEL, shape, "f4", **options)

        return change

    for size in (2**50, *(n * MIB // 4 for n in (16, 256, 1024, 3993))):
        for options in ({"chunks": (1024,)}, {"chunks": (MIB,), "compression": 9, "fillvalue": 1}):
            change = declared((size,), **options)
            for writer in ("staghorn", "keras"):
                data = edited(members(writer=writer)[WEIGHTS], change)
                ways.weights(f"S23 {size} {len(options)} {writer}", data)
            old = edited(base(suffix=".h5"), declared_in_old(size, options))
            ways.old(f"S23 {size} {len(options)}", old)
    ways.weights("S23 shape", edited(members()[WEIGHTS], declared((3, 4), data=np.ones((3, 4)))),
                 WRONG)  # fmt: skip
    ways.weights("S23 overflow", edited(members()[WEIGHTS], declared(
        (2**31, 2**31, 2), chunks=(1, 1, 2))))  # fmt: skip
    for count, verdict in ((1, REFUSED), (9, REFUSED)):
        # Nine together, of which each would be small enough.
        zeros = np.zeros((3 if count > 1 else 24) * MIB // 4, "f4")

        def change(file: h5py.File, count: int = count, zeros: Any = zeros) -> None:
            for i in range(count):
                file.create_dataset(f"more{i}/vars/0", data=zeros, compression=9)

        ways.weights(f"S23 zeros {count}", edited(members()[WEIGHTS], change), verdict)


def declared_in_old(size: int, options: dict[str, Any]) -> Any:
    def change(file: h5py.File) -> None:
        place = next(path for path in _paths(file["model_weights/d"]) if "kernel" in path)
        group = file["model_weights/d"]
        del group[place]
        group.create_dataset(place, (size,), "f4", **options)

    return change


def _paths(group: h5py.Group) -> list[str]:
    found: list[str] = []
    group.visititems(lambda name, x: found.append(name) if isinstance(x, h5py.Dataset) else None)
    return found


def s24_models(ways: Ways) -> None:
    for units in (10**8, 10**9, 10**12, 2**63, -1, 0, 1.5, "3", True, math.nan, 10**30):
        huge = isinstance(units, int) and units >= 10**8
        # Without weights nothing bounds a model but the machine: see `from_config` in the report.
        config = with_dense(units=units)
        ways.config(f"S24 units {units}", config, REFUSED if huge else WRONG,
                    None if huge else WRONG)  # fmt: skip
    layers = {
        "Embedding": {"input_dim": 10**11, "output_dim": 9},
        "Conv1D": {"filters": 10**10, "kernel_size": 3},
        "LSTM": {"units": 10**6},
        "RepeatVector": {"n": 10**9},
        "Reshape": {"target_shape": [3, 10**9]},
        "UpSampling1D": {"size": 10**6},
        "ZeroPadding1D": {"padding": 10**9},
        "GaussianNoise": {"stddev": 1.0, "seed": 10**40},
        "Masking": {"mask_value": {"class_name": "__numpy__", "config": {"value": 1,
                    "dtype": "V999999999"}}},
    }  # fmt: skip
    content = {WEIGHTS: members("stack")[WEIGHTS]}
    for name, config in layers.items():
        entry = thing("keras.layers", name, {**config, "name": "big"})
        vector = name in ("RepeatVector", "GaussianNoise", "Masking", "Embedding", "Reshape")
        whole = with_layer(entry)
        if not vector:
            whole["config"]["layers"].insert(-1, thing("keras.layers", "RepeatVector", {"n": 3}))
        ways.config(f"S24 {name}", whole, EITHER, None, content=content)
    # Each layer is small, all together are not.
    whole = with_layer(thing("keras.layers", "RepeatVector", {"n": 10**6, "name": "r"}))
    whole["config"]["layers"] += [
        thing("keras.layers", "Flatten", {"name": "f"}),
        thing("keras.layers", "Dense", {"units": 10**4, "name": "big"}),
    ]
    ways.config("S24 product", whole, REFUSED, None, content=content)
    config, _ = config_of("stack")
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, 10**12]
    ways.config("S24 input", config, WRONG, None, content=content)
    config["config"]["layers"][1:] = [dense(name=f"d{i}") for i in range(60_000)]
    ways.config("S24 layers", json.dumps(config).replace('"batch_shape": [null, 1000000000000]',
                '"batch_shape": [null, 4]'), REFUSED, None, content=content)  # fmt: skip
    config, _ = config_of()
    node = config["config"]["layers"][1]["inbound_nodes"][0]
    config["config"]["layers"][1]["inbound_nodes"] = [node] * 60_000
    ways.config("S24 shared", config, REFUSED, None)


def s25_zips(ways: Ways) -> None:
    def deflated(content: dict[str, bytes], verdict: str = REFUSED, name: str = "") -> None:
        ways.archive(f"S25 {name}", zipped(content, zipfile.ZIP_DEFLATED), verdict)

    deflated({**members(), CONFIG: b" " * (24 * MIB)}, name="config")
    deflated({**members(), WEIGHTS: b"\0" * (24 * MIB)}, name="weights")
    deflated({**members(), **{f"assets/{i}": b"\0" * MIB for i in range(40)}}, name="many")
    deflated(members(), LOADS, name="honest")
    deflated({**members(), **{f"assets/{i}": b"" for i in range(20_000)}}, name="names")
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        ways.archive(f"S25 {method}", zipped(members(), method))
    data = zipped(members())
    ways.archive("S25 overlap", overlapping())
    ways.archive("S25 nested", zipped({**members(), WEIGHTS: data}))
    entry = data.index(b"PK\x01\x02")
    for name, offset, form, value in (
        ("encrypted", 8, "<H", 1), ("method", 10, "<H", 93), ("size", 24, "<I", 2**31 - 1),
        ("stored", 20, "<I", 2**31 - 1), ("zip64", 24, "<I", 2**32 - 1), ("no size", 24, "<I", 0),
        ("place", 42, "<I", 2**31 - 1), ("name", 28, "<H", 2**16 - 1),
    ):  # fmt: skip
        broken = bytearray(data)
        struct.pack_into(form, broken, entry + offset, value)
        ways.archive(f"S25 lie {name}", bytes(broken))


def overlapping() -> bytes:
    """Several names for one place in the file."""
    data = bytearray(zipped({**members(), "assets/a": b"x" * 99, "assets/b": b"y" * 99}))
    first = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02"))
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return bytes(data)


def s27_json(ways: Ways) -> None:
    good = json.dumps(config_of()[0])
    texts: dict[str, tuple[str | bytes, str]] = {
        "deep": ("[" * 100_000 + "]" * 100_000, REFUSED),
        "deep objects": ('{"class_name": "Dense", "config": ' * 5000 + "1" + "}" * 5000, REFUSED),
        "keys": ("{" + ",".join(f'"{i}":1' for i in range(200_000)) + "}", REFUSED),
        "long": ('"' + "x" * (70 * MIB) + '"', REFUSED),
        "digits": (good.replace('"units": 3', f'"units": {"9" * 10**6}'), REFUSED),
        "infinite": (good.replace('"units": 3', '"units": 1e999'), WRONG),
        "nan": (good.replace('"units": 3', '"units": NaN'), WRONG),
        "minus zero": (good.replace('"units": 3', '"units": -0'), WRONG),
        "twice": (good.replace('"units": 3', '"units": 3, "units": 4'), REFUSED),
        "class twice": (good.replace('"class_name"', '"class_name": "x", "class_name"'), REFUSED),
        "surrogate": (good.replace('"graph"', '"gr\\ud800ph"'), EITHER),
        "raw surrogate": (good.replace('"graph"', '"gr\ud800ph"'), REFUSED),
        "mark": (b"\xef\xbb\xbf" + good.encode(), REFUSED),
        "utf-16": (good.encode("utf-16"), REFUSED),
        "more": (good + "{}", REFUSED),
        "nothing": ("", REFUSED),
        "null": ("null", REFUSED),
    }
    for name, (text, verdict) in texts.items():
        direct = None if isinstance(text, bytes) or "surrogate" in name else verdict
        if name in ("null", "keys"):
            direct = WRONG  # a text in a program's hands that is no model
        ways.config(f"S27 {name}", text, verdict, direct)


def s27_graphs(ways: Ways) -> None:
    def history(*place: Any) -> dict[str, Any]:
        inner = {"shape": [None, 4], "dtype": "float32", "keras_history": list(place)}
        return {"class_name": "__keras_tensor__", "config": inner}

    for place in (("d", 0, 0), ("a", 1, 0), ("a", 0, 1), ("a", -1, 0), ("a", 0, -2), ("x", 0, 0),
                  ("a", 10**30, 0), ("a", 0, 10**30), ("a", "0", 0), ("a", 0.5, 0), (None, 0, 0),
                  ("a",), (), ([], 0, 0)):  # fmt: skip
        ways.config(f"S27 node {place}", with_node([history(*place)], {}), WRONG)
    for key in ("input_layers", "output_layers"):
        for place in (["x", 0, 0], ["a", 9, 0], ["d", 0, 9], ["d", 0, -2], [], None, "d", [[]], {},
                      ["d", -1, 0], [["d", 0, 0]] * 3):  # fmt: skip
            config, _ = config_of()
            config["config"][key] = place
            ways.config(f"S27 {key} {place}", config, EITHER)
    config, _ = config_of()
    entries = config["config"]["layers"]
    ways.config("S27 names", {**config, "config": {**config["config"], "layers": entries * 2}},
                EITHER)  # fmt: skip
    for value in (1.5, "x", -1, 10**30, None, [], {"a": 1}):
        changed = json.loads(json.dumps(config))
        for entry in changed["config"]["layers"]:
            entry["shared_object_id"] = value
        ways.config(f"S27 shared {value}", changed, EITHER)


def s28_npz(ways: Ways) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.array([object()], object))
    content = members()
    content["model.weights.npz"] = buffer.getvalue()
    del content[WEIGHTS]
    ways.archive("S28", zipped(content))
    ways.weights("S28 npz", buffer.getvalue())


def s29_shards(ways: Ways) -> None:
    data = recipes.base(suffix=".weights.h5")
    group, name = "/layers/dense/vars", "m_00001.weights.h5"

    def shards(title: str, listed: Any, verdict: str = REFUSED, sums: Any = None) -> None:
        folder = ways.place("-shards")
        folder.mkdir()
        (folder / name).write_bytes(data)
        (folder / "m_00002.weights.h5").write_bytes(data)
        whole = {"metadata": {"sha256": sums} if sums else {}, "weight_map": listed}
        text = json.dumps(whole if listed is not Ellipsis else {"weight_map": 5})
        (folder / "m.weights.json").write_text(text)
        ways.add(f"S29 {title}", "load_weights", verdict, folder,
                 file=str(folder / "m.weights.json"))  # fmt: skip

    shards("good", {group: name}, LOADS)
    for other in ("../x.weights.h5", "/etc/x.weights.h5", str(ways.canary.hdf5), "..", "", "a\0b",
                  ".weights.h5", "C:x.weights.h5", "a\\b.weights.h5", 5, None, {"a": 1}, "m.json",
                  ["../x"], "https://127.0.0.1/x.weights.h5"):  # fmt: skip
        shards(f"name {other}", {group: other})
    shards("missing", {group: "m_00009.weights.h5"})
    shards("no such group", {"/layers/x/vars": name})
    shards("twice", {group: [name, "m_00002.weights.h5"]})
    shards("of another save", {group: name}, sums={name: "0" * 64})
    shards("no map", ...)
    shards("list", [name])
    shards("many", {f"/g{i}": f"m_{i}.weights.h5" for i in range(50_000)})
    shards("cycle", {group: "m.weights.json"})


RECIPES = {
    "S23": s23_shapes, "S24": s24_models, "S25": s25_zips, "S27": s27_json,
    "S27 graphs": s27_graphs, "S28": s28_npz, "S29": s29_shards,
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return examine(RECIPES, tmp_path_factory.mktemp("attacks"))


@pytest.mark.parametrize("name", RECIPES)
def test_small_files_stay_small(name, found):
    assert not found[name], "\n".join(found[name])
