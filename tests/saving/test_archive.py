"""The zip: only an honest table of contents is unpacked, and checksums are compared."""

import io
import json
import struct
import zipfile

import pytest

from staghorn.saving.archive import (
    checked_members,
    members_of,
    origin,
    parse_archive,
    parse_json,
    write_archive,
)
from staghorn.saving.errors import CorruptFileError, UnsafeFileError
from staghorn.saving.hdf5 import write_hdf5

CONFIG = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": []}}


def members():
    vocabulary = {"layers/x/vocabulary.txt": b"a\nb"}
    weights = b"".join(write_hdf5({"": ("s", {})}, will_be_sealed=False))
    return checked_members(members_of(CONFIG, weights, vocabulary, {}), **origin())


def zipped(content=None):
    buffer = io.BytesIO()
    write_archive(buffer, members() if content is None else content)
    return buffer.getvalue()


def parse(data):
    return parse_archive(io.BytesIO(data), "'m.keras'")


def content_of(data):
    return {name: bytes(member) for name, member in parse(data).members.items()}


def test_round_trip():
    archive = parse(zipped())
    assert archive.config() == CONFIG
    assert archive.assets() == {"layers/x/vocabulary.txt": b"a\nb"}
    assert archive.weights().arrays == {}
    names = ["metadata.json", "config.json", "model.weights.h5", "assets/layers/x/vocabulary.txt"]
    assert sorted(archive.members) == sorted(names)


def test_metadata_says_who_and_what():
    metadata = json.loads(members()["metadata.json"])
    assert set(metadata) == {"keras_version", "date_saved", "staghorn_version", "sha256"}
    assert set(metadata["sha256"]) == set(members()) - {"metadata.json"}


def test_deflated_members_are_read():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members().items():
            archive.writestr(name, data)
    assert parse(buffer.getvalue()).config() == CONFIG


def test_files_without_checksums_are_read():
    content = members()
    content["metadata.json"] = b'{"keras_version": "3.15.1"}'
    assert parse(zipped(content)).config() == CONFIG
    del content["metadata.json"]
    assert parse(zipped(content)).config() == CONFIG


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_edited_member_is_refused(name):
    content = members()
    content[name] += b" "
    with pytest.raises(CorruptFileError, match=rf"member '{name}'.*does not match the checksum"):
        parse(zipped(content))


def test_lost_member_is_named():
    content = members()
    del content["assets/layers/x/vocabulary.txt"]
    with pytest.raises(CorruptFileError, match=r"lacks .*vocabulary"):
        parse(zipped(content))
    with pytest.raises(CorruptFileError, match=r"no member 'config\.json'.*It holds: other"):
        parse(zipped({"other": b""})).config()


def test_every_flip_is_seen_or_harmless():
    data = zipped()
    good = content_of(data)
    seen = 0
    for position in range(len(data)):
        broken = bytearray(data)
        broken[position] ^= 1 << (position % 8)
        try:
            assert content_of(bytes(broken)) == good
        except (CorruptFileError, UnsafeFileError):
            seen += 1
    assert seen > len(data) / 2


def test_every_truncation_is_seen():
    data = zipped()
    for length in range(0, len(data), 11):
        with pytest.raises((CorruptFileError, UnsafeFileError), match=r"m\.keras"):
            parse(data[:length])


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "a\\..\\x", "C:/x", "a//b", "./x", "assets/.."]
)
def test_names_that_lead_out_are_refused(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, b"x")
    with pytest.raises(UnsafeFileError, match="leads out of the archive"):
        parse(buffer.getvalue())


def test_duplicate_members_are_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", b"{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("config.json", b"[]")
    with pytest.raises(UnsafeFileError, match=r"same name: \['config.json'\]"):
        parse(buffer.getvalue())


def test_prefix_is_refused():
    with pytest.raises(CorruptFileError, match="does not begin as a zip"):
        parse(b"#!/bin/sh\n" + zipped())


def test_bomb_is_refused_before_it_is_unpacked():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("config.json", b"[" * (32 << 20))
    with pytest.raises(UnsafeFileError, match="would grow"):
        parse(buffer.getvalue())


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(method):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("config.json", b"{}" * 100)
    with pytest.raises(UnsafeFileError, match="only deflate is read"):
        parse(buffer.getvalue())


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (24, 2**31 - 1, "declares 2,147,483,647 bytes and stores"),
        (20, 2**31 - 1, "more than the file has left"),
        (8, 1, "encrypted"),
    ],
)
def test_lies_in_the_table_of_contents(offset, value, message):
    data = bytearray(zipped())
    entry = data.index(b"PK\x01\x02") + offset
    if offset == 8:
        struct.pack_into("<H", data, entry, value)
    else:
        struct.pack_into("<I", data, entry, value)
    with pytest.raises((UnsafeFileError, CorruptFileError), match=message):
        parse(bytes(data))


def test_overlapping_members_are_refused():
    data = bytearray(zipped({"a": b"x" * 100, "b": b"x" * 100}))
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 1)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    with pytest.raises(UnsafeFileError, match="overlaps"):
        parse(bytes(data))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"{", CorruptFileError),
        (b'{"a": 1, "a": 2}', CorruptFileError),
        (b"{} {}", CorruptFileError),
        (b"\xff\xfe{\x00}\x00", CorruptFileError),
        (b"1" * 10_000, CorruptFileError),
        (b"[" * 100_000, UnsafeFileError),
        (b"", CorruptFileError),
    ],
)
def test_odd_json(text, error):
    with pytest.raises(error, match="the config"):
        parse_json(text, "the config")


def test_config_that_is_no_model():
    for config in ("[]", "{}", '{"class_name": "Dense"}'):
        content = {"config.json": config.encode()}
        with pytest.raises(CorruptFileError, match="does not describe a model"):
            parse(zipped(content)).config()
