"""Files that are two things at once, parts that do not belong together, and random damage."""

from __future__ import annotations

import io
import json
import os
import random
import zipfile
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from tests.attacks.harness import EITHER, LOADS, REFUSED, WRONG
from tests.attacks.recipes import (
    CONFIG,
    METADATA,
    WEIGHTS,
    Ways,
    base,
    config_of,
    edited,
    examine,
    members,
    zipped,
)

KERNEL, BIAS = "layers/dense/vars/0", "layers/dense/vars/1"


def s50_duplicates(ways: Ways) -> None:
    good, content = zipped(members()), members()[CONFIG]
    evil = content.replace(b'"units": 3', b'"units": 4')
    for name, first, second in (("last", content, evil), ("first", evil, content)):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for member, data in {**members(), CONFIG: first}.items():
                archive.writestr(member, data)
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr(CONFIG, second)
        ways.archive(f"S50 {name}", buffer.getvalue())
    ways.archive("S50 case", zipped({**members(), "Config.json": evil}), LOADS)
    assert good != evil


def s51_two_things(ways: Ways) -> None:
    data = zipped(members())
    ways.archive("S51 script", b"#!/bin/sh\nexit\n" + data)
    ways.archive("S51 zip first", zipped({"x": b"y"}) + data)
    ways.archive("S51 header first", b"PK\x03\x04" + b"\0" * 60 + data)
    ways.archive("S51 more", data + b"more")
    ways.archive("S51 zip last", data + zipped({"x": b"y"}))
    ways.archive("S51 two ends", data + data[data.rindex(b"PK\x05\x06") :])
    for size in (1, 65_535):
        buffer = io.BytesIO(data)
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.comment = b"c" * size
        ways.archive(f"S51 comment {size}", buffer.getvalue())


def s52_types(ways: Ways) -> None:
    exact = ("<f4", ">f4")
    close = ("<f2", "<f8")  # other floats are converted
    other = ("i1", "<i4", "<i8", "u1", "?")
    unsafe = ("<c8", "S4", "V3")
    for kind in (*exact, *close, *other, *unsafe):

        def change(file: h5py.File, kind: str = kind) -> None:
            del file[KERNEL]
            file[KERNEL] = np.ones((4, 3), kind) if kind[0] != "V" else np.zeros((4, 3), kind)

        verdict = LOADS if kind in exact + close else WRONG if kind in other else REFUSED
        ways.weights(f"S52 {kind}", edited(members()[WEIGHTS], change), verdict)

    def halves(marked: bool, values: Any) -> Any:
        def change(file: h5py.File) -> None:
            del file[KERNEL]
            file[KERNEL] = values
            if marked:
                file[KERNEL].attrs["dtype"] = "bfloat16"

        return change

    plain = np.ones((4, 3), ml_dtypes.bfloat16).view("V2")
    ways.weights("S52 bfloat16", edited(members()[WEIGHTS], halves(True, plain)), LOADS)
    ways.weights("S52 unmarked", edited(members()[WEIGHTS], halves(False, plain)), LOADS)
    marked = halves(True, np.ones((4, 3), "f4"))
    ways.weights("S52 marked floats", edited(members()[WEIGHTS], marked), LOADS)


def s53_not_finite(ways: Ways) -> None:
    for value in (np.nan, np.inf):

        def change(file: h5py.File, value: float = value) -> None:
            file[KERNEL][...] = np.full((4, 3), value, "f4")

        ways.weights(f"S53 {value}", edited(members()[WEIGHTS], change), LOADS)


def s54_other_parts(ways: Ways) -> None:
    def moved(old: str, new: str | None) -> Any:
        def change(file: h5py.File) -> None:
            if new is None:
                del file[old]
            else:
                file.move(old, new)

        return change

    for name, change in {
        "no kernel": moved(KERNEL, None), "no group": moved("layers/dense", None),
        "no layers": moved("layers", None), "renamed": moved("layers/dense", "layers/dense_1"),
        "renamed array": moved(KERNEL, "layers/dense/vars/2"),
        "more arrays": lambda f: f.create_dataset("layers/dense/vars/2", data=np.ones(3)),
        "more layers": lambda f: f.create_dataset("layers/other/vars/0", data=np.ones((3, 4))),
    }.items():  # fmt: skip
        ways.weights(f"S54 {name}", edited(members()[WEIGHTS], change), WRONG)
    for name, change in {
        "no optimizer": moved("optimizer", None),
        "short optimizer": moved("optimizer/vars/3", None),
        "odd optimizer": lambda f: f.create_dataset("optimizer/vars/9", data=np.ones(7)),
    }.items():
        data = zipped({**members(), WEIGHTS: edited(members()[WEIGHTS], change)})
        path = ways.place(".keras")
        path.write_bytes(data)
        ways.add(f"S54 {name}", "load_model", WRONG, path)
        ways.add(f"S54 {name} uncompiled", "load_model", EITHER, path, options={"compile": False})


def s55_parts_of_another(ways: Ways) -> None:
    """Content under the checksums of another save."""
    content = members()
    other = edited(content[WEIGHTS], lambda f: f[BIAS].__setitem__(Ellipsis, np.ones(3)))
    sums = json.loads(content[METADATA])["sha256"]
    assert {CONFIG, WEIGHTS} <= set(sums)
    for name, change in (
        ("weights", {WEIGHTS: other}),
        ("config", {CONFIG: content[CONFIG].replace(b'"relu"', b'"tanh"') + b" "}),
        ("swapped", {WEIGHTS: edited(content[WEIGHTS], _swap)}),
    ):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for member, data in {**content, **change}.items():
                archive.writestr(member, data)
        ways.archive(f"S55 {name}", buffer.getvalue())


def _swap(file: h5py.File) -> None:
    file.move("optimizer/vars/2", "x")
    file.move("optimizer/vars/4", "optimizer/vars/2")
    file.move("x", "optimizer/vars/4")


def states_of_training(ways: Ways) -> None:
    """What `fit` goes on from: a file beside the weights, under its own checksums."""

    def put(key: str, value: Any) -> Any:
        def change(state: dict) -> None:
            state[key] = value

        return change

    ways.state("state", lambda state: None, LOADS)
    for value in (
        [],
        [[[2**60], "float32"]],
        [[[-1], "float32"]],
        [[[1], "O"]],
        [[[4, 3], "V9"]],
        [[[2**62, 4], "float32"]],
        5,
        None,
        [[[1, "x"], "float32"]],
        [["x"]],
        [[[4, 3], "no type"]],
        [[[4, 3], None]],
        [[[4.5, 3], "float32"]],
    ):
        # A checkpoint has its arrays in the model file.
        verdict = EITHER if value == [] else WRONG
        ways.state(f"state described {value}", put("described", value), verdict)
    for key in ("position", "draws", "logs", "callbacks", "run", "names", "epoch", "batch"):
        for value in (
            {"__array__": 10**9},
            {"__array__": "x"},
            [["History", {"x": 1}]],
            -1,
            "x",
            10**30,
            None,
            bytes(9).decode(),
        ):
            ways.state(f"state {key} {value}", put(key, value), EITHER)
    ways.state("state more", put("open", "x"), WRONG)
    ways.state("state list", lambda state: [1])
    ways.state("state less", lambda state: {"epoch": 1})
    ways.state("state class", put("callbacks", [["os.system", {"cmd": "id"}]]), WRONG)


RECIPES = {
    "states": states_of_training,
    "S50": s50_duplicates, "S51": s51_two_things, "S52": s52_types, "S53": s53_not_finite,
    "S54": s54_other_parts, "S55": s55_parts_of_another,
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return examine(RECIPES, tmp_path_factory.mktemp("attacks"))


@pytest.mark.parametrize("name", RECIPES)
def test_only_whole_files_are_loaded(name, found):
    assert not found[name], "\n".join(found[name])


# Random damage -------------------------------------------------------------------------------

NUMBERS = (0, -1, 1, 2**31, 2**63, 10**12, 1e308, -1.5, True, None, "", "x", [], {}, [[]], "relu")


def nodes(value: Any, found: list | None = None) -> list[tuple[Any, Any]]:
    """Return (container, key) of everything in a nest."""
    found = [] if found is None else found
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        found.append((value, key))
        if isinstance(inner, (dict, list)):
            nodes(inner, found)
    return found


def mutated(config: Any, rng: random.Random) -> Any:
    """Return a config with one to three parts deleted, doubled, replaced, or moved elsewhere."""
    config = json.loads(json.dumps(config))
    for _ in range(rng.randint(1, 3)):
        places = nodes(config)
        if not places:
            break
        owner, key = rng.choice(places)
        act = rng.randrange(5)
        if act == 0:
            del owner[key]
        elif act == 1 and isinstance(owner, list):
            owner.insert(key, json.loads(json.dumps(owner[key])))
        elif act == 2:
            other, name = rng.choice(places)
            if name in other if isinstance(other, dict) else name < len(other):
                owner[key] = json.loads(json.dumps(other[name]))
        elif act == 3 and isinstance(owner, dict):
            owner[rng.choice(("units", "class_name", "config", "dtype", "layers"))] = owner.pop(key)
        else:
            owner[key] = rng.choice(NUMBERS)
    return config


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with a few changed, mostly where the structure is."""
    broken = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(broken))
        act = rng.randrange(4)
        if act == 0:
            broken[place] ^= 1 << rng.randrange(8)
        elif act == 1:
            broken[place] = rng.choice((0, 255, 127, 128))
        elif act == 2:
            broken[place : place + 8] = rng.choice((b"\xff" * 8, b"\0" * 8, b"\0\0\0\x7f\0\0\0\0"))
        else:
            start = rng.randrange(len(broken))
            broken[place : place + 16] = broken[start : start + 16]
    return bytes(broken[: len(data)])


def fuzz(count: int, seed: int) -> dict[str, Any]:
    """Return recipes with `count` mutations of each kind of file."""

    def configs(ways: Ways) -> None:
        rng = random.Random(seed)
        for i in range(count):
            kind = rng.choice(("graph", "stack"))
            config, training = config_of(kind)
            config = mutated({**config, "compile_config": training}, rng)
            path = ways.place(".keras")
            path.write_bytes(zipped({**members(kind), CONFIG: json.dumps(config).encode()}))
            ways.add(f"config {i}", "load_model", EITHER, path)
            if i % 3 == 0 and isinstance(config, dict):
                ways.add(f"config {i}", "deserialize", EITHER, config=config, family="layers")

    def archives(ways: Ways) -> None:
        rng = random.Random(seed + 1)
        for i in range(count):
            path = ways.place(".keras")
            path.write_bytes(damaged(base(writer=rng.choice(("staghorn", "keras"))), rng))
            ways.add(f"zip {i}", "load_model", EITHER, path)

    def weights(ways: Ways) -> None:
        rng = random.Random(seed + 2)
        for i in range(count):
            writer = rng.choice(("staghorn", "keras"))
            path = ways.place(".weights.h5")
            path.write_bytes(damaged(members(writer=writer)[WEIGHTS], rng))
            ways.add(f"weights {i}", "load_weights", EITHER, path)

    def old(ways: Ways) -> None:
        rng = random.Random(seed + 3)
        for i in range(count):
            path = ways.place(".h5")
            path.write_bytes(damaged(base(suffix=".h5"), rng))
            ways.add(f"old {i}", "load_model", EITHER, path)

    return {"configs": configs, "archives": archives, "weights": weights, "old": old}


def test_s56_random_damage(tmp_path):
    found = examine(fuzz(60, 1), tmp_path)
    assert not any(found.values()), "\n".join(line for lines in found.values() for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(int(os.environ.get("STAGHORN_FUZZ", "4"))))
def test_s56_much_random_damage(seed, tmp_path):
    """500 mutations of each of four kinds of file; STAGHORN_FUZZ=20 makes it 10,000 of each."""
    found = examine(fuzz(500, 100 + 10 * seed), tmp_path)
    assert not any(found.values()), "\n".join(line for lines in found.values() for line in lines)
