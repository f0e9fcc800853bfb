"""Files that lead to other files: links, paths, external data, names that climb out of a folder."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.attacks import recipes
from tests.attacks.harness import EITHER, LOADS, REFUSED, WRONG
from tests.attacks.recipes import (
    WEIGHTS,
    Ways,
    base,
    edited,
    examine,
    members,
    thing,
    with_layer,
    zipped,
)

KERNEL, BIAS = "layers/dense/vars/0", "layers/dense/vars/1"
WRITERS = ("staghorn", "keras")


def s10_names_of_files(ways: Ways) -> None:
    secret = str(ways.canary.text)
    for value in (secret, f"file://{secret}", ways.canary.url, "gs://b/o", "\\\\host\\share"):
        for name, key in (
            ("StringLookup", "vocabulary"),
            ("IntegerLookup", "vocabulary"),
            ("TextVectorization", "idf_weights"),
        ):
            ways.slot(f"S10 {name}", "layer", thing("keras.layers", name, {key: value}))
    for key in ("units", "kernel_initializer", "activation", "name", "dtype"):
        config = recipes.with_dense(**{key: secret})
        ways.config(f"S10 {key}", config, EITHER if key == "name" else WRONG)


def s11_assets(ways: Ways) -> None:
    for name, data in (
        ("zeros", b"a\n" * (12 << 20)),
        ("not text", b"\xff\xfe\0\0" * 99),
        ("for nobody", b"a\nb\n"),
    ):
        content = {**members(), "assets/layers/string_lookup/vocabulary.txt": data}
        verdict = REFUSED if name == "zeros" else LOADS
        ways.archive(f"S11 {name}", zipped(content, zipfile.ZIP_DEFLATED), verdict)


def _weights(ways: Ways, name: str, change: Any, verdict: str = REFUSED) -> None:
    for writer in WRITERS:
        data = edited(members(writer=writer)[WEIGHTS], change)
        ways.weights(f"{name} {writer}", data, verdict)


def s20_external_storage(ways: Ways) -> None:
    def change(file: h5py.File) -> None:
        del file[KERNEL]
        file.create_dataset(KERNEL, (4, 3), "f4", external=[(str(ways.canary.text), 0, 48)])

    _weights(ways, "S20", change)


def s21_links(ways: Ways) -> None:
    def link(place: str, target: Any) -> Any:
        def change(file: h5py.File) -> None:
            if place in file:
                del file[place]
            file[place] = target

        return change

    other = str(ways.canary.hdf5)
    for place in (KERNEL, "layers/dense/vars", "layers/dense", "layers", "vars", "optimizer",
                  "unasked"):  # fmt: skip
        _weights(ways, f"S21 {place}", link(place, h5py.ExternalLink(other, "/x")))
    for place in (KERNEL, "layers/dense/vars", "unasked"):
        _weights(ways, f"S21 soft {place}", link(place, h5py.SoftLink("/" + BIAS)))
    old = base(suffix=".h5")
    for place in ("model_weights", "model_weights/d", "optimizer_weights", "unasked"):
        ways.old(f"S21 old {place}", edited(old, link(place, h5py.ExternalLink(other, "/g"))))
    for target in ("../x", "/model_weights/d/kernel", "..", "/", "\0", "x" * 70_000):

        def names(file: h5py.File, target: str = target) -> None:
            attrs = file["model_weights/d"].attrs
            text = np.array([target.encode() or b"", b"d/bias"], h5py.string_dtype())
            attrs.create("weight_names", text)

        if "\0" not in target:
            ways.old(f"S21 name {target[:9]!r}", edited(old, names))


def s22_virtual(ways: Ways) -> None:
    for target, inner in ((str(ways.canary.hdf5), "x"), (".", BIAS)):

        def change(file: h5py.File, target: str = target, inner: str = inner) -> None:
            layout = h5py.VirtualLayout((4, 3), "f4")
            layout[:] = h5py.VirtualSource(target, inner, shape=(4, 3))
            del file[KERNEL]
            file.create_virtual_dataset(KERNEL, layout)

        _weights(ways, f"S22 {inner}", change)


def _filtered(file: h5py.File) -> None:
    del file[KERNEL]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((4, 3))
    plist.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (1,))
    space = h5py.h5s.create_simple((4, 3))
    h5py.h5d.create(file.id, KERNEL.encode(), h5py.h5t.IEEE_F32LE, space, plist)


def s26_odd_hdf5(ways: Ways) -> None:
    def stored(value: Any, **options: Any) -> Any:
        def change(file: h5py.File) -> None:
            del file[KERNEL]
            file.create_dataset(KERNEL, data=value(file) if callable(value) else value, **options)

        return change

    fields = np.zeros((2,), [(f"f{i}", "u1") for i in range(1000)])
    _weights(ways, "S26 reference", stored(lambda f: f["layers"].ref, dtype=h5py.ref_dtype))
    _weights(
        ways, "S26 region", stored(lambda f: f[BIAS].regionref[:2], dtype=h5py.regionref_dtype)
    )
    _weights(ways, "S26 texts", stored(["a" * 1000] * 12, dtype=h5py.string_dtype()))
    _weights(ways, "S26 compound", stored(fields))
    lists = np.empty(4, object)
    lists[:] = [np.ones(n, "f4") for n in (1, 2, 3, 4)]
    _weights(ways, "S26 lists", stored(lists, dtype=h5py.vlen_dtype(np.dtype("f4"))))
    _weights(ways, "S26 named type", lambda f: f.__setitem__("type", np.dtype("f4")))
    _weights(ways, "S26 filter", _filtered)
    kinds = h5py.enum_dtype({"A": 0, "B": 1}, "i1")
    _weights(ways, "S26 enum", stored(np.zeros((4, 3), "i1"), dtype=kinds), WRONG)
    _weights(ways, "S26 null", stored(h5py.Empty("f4")), WRONG)
    _weights(ways, "S26 name", lambda f: f["layers/dense/vars"].attrs.__setitem__(
        "name", f["layers"].ref), LOADS)  # fmt: skip
    big = b"x" * (8 << 20)
    ways.weights("S26 attribute", recipes.with_attribute(big), LOADS)
    data = members()[WEIGHTS]
    ways.weights("S26 user block", b"#!/bin/sh\n".ljust(512, b"\0") + data)
    ways.weights("S26 two files", data + data, LOADS)
    ways.weights("S26 user block of another", data[:512].ljust(512, b"\0") + data)


def s30_names(ways: Ways) -> None:
    for name in ("..", "../../x", "/abs", "C:\\x", "a\0b", "n" * 65_536, "", "a/b", "."):
        layer = thing("keras.layers", "Dropout", {"rate": 0.5, "name": name})
        ways.config(f"S30 layer {name[:9]!r}", with_layer(layer), EITHER,
                    content={WEIGHTS: members("stack")[WEIGHTS]})  # fmt: skip
    for name in ("assets/../../evil.txt", "/abs.txt", "assets\\..\\..\\x", "../x", "a//b", "C:/x",
                 "assets/./x", "..", "a\x00b"):  # fmt: skip
        ways.archive(f"S30 member {name!r}", _with_raw_name(name))
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = 0xA1FF0000
    buffer = recipes.appended(zipped(members()), link, str(ways.canary.text).encode())
    ways.archive("S30 link", buffer, EITHER)


def _with_raw_name(name: str) -> bytes:
    """A member's name as no library would write it."""
    stand_in = "Z" * len(name)
    data = zipped({**members(), stand_in: b"x"})
    sums = json.loads(recipes.summed({**members(), stand_in: b"x"})["metadata.json"])["sha256"]
    assert stand_in in sums
    return data.replace(stand_in.encode(), name.encode())


def s31_folders(ways: Ways) -> None:
    def folder(name: str, change: Any, verdict: str = REFUSED) -> None:
        place = ways.place("-folder")
        place.mkdir()
        for member, data in members().items():
            (place / member).write_bytes(data)
        (place / "assets").mkdir()
        change(place)
        ways.model(f"S31 {name}", place, verdict)

    def instead(member: str, make: Any) -> Any:
        def change(place: Path) -> None:
            (place / member).unlink()
            make(place / member)

        return change

    for member in ("config.json", WEIGHTS, "metadata.json"):
        out = ways.canary.hdf5 if member == WEIGHTS else ways.canary.text
        folder(f"link {member}", instead(member, lambda p, out=out: p.symlink_to(out)))
        folder(f"fifo {member}", instead(member, os.mkfifo))
        folder(f"folder {member}", instead(member, os.mkdir))
        folder(f"device {member}", instead(member, lambda p: p.symlink_to("/dev/zero")))
        missing = LOADS if member == "metadata.json" else REFUSED
        folder(f"no {member}", instead(member, lambda p: None), missing)
        folder(f"hard link {member}", instead(member, lambda p, out=out: p.hardlink_to(out)))
    folder("linked asset", lambda p: (p / "assets/x").symlink_to(ways.canary.text))
    folder("linked assets", lambda p: (p / "assets").rmdir() or (p / "assets").symlink_to(
        ways.canary.folder))  # fmt: skip
    folder("asset fifo", lambda p: os.mkfifo(p / "assets/x"))

    def inside(place: Path) -> None:
        (place / WEIGHTS).rename(place / "blob")
        (place / WEIGHTS).symlink_to("blob")

    folder("link inside", inside, LOADS)


RECIPES = {
    "S10": s10_names_of_files, "S11": s11_assets, "S20": s20_external_storage, "S21": s21_links,
    "S22": s22_virtual, "S26": s26_odd_hdf5, "S30": s30_names, "S31": s31_folders,
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return examine(RECIPES, tmp_path_factory.mktemp("attacks"))


@pytest.mark.parametrize("name", RECIPES)
def test_files_lead_nowhere(name, found):
    assert not found[name], "\n".join(found[name])
