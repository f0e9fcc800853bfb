"""What killed saves leave behind is swept by the next save of the name, and nothing else is."""

import os
import sys

import pytest

from staghorn.saving import atomic
from staghorn.saving.atomic import (
    alone_in,
    read_again_if_replaced,
    replacing_file,
    replacing_folder,
    replacing_path,
    temporary_beside,
)
from staghorn.saving.errors import CorruptFileError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is swept there")


def put(target, content=b"new"):
    with replacing_file(target) as file:
        file.write(content)


@pytest.mark.parametrize("target", ["m.keras", "ä" * 120 + ".keras", "a*[b].h5"])
def test_leftovers_of_the_name_are_swept(tmp_path, target):
    temporary_beside(tmp_path / target).write_bytes(b"half")
    put(tmp_path / target)
    assert os.listdir(tmp_path) == [target]


def test_leftover_folders_are_swept_by_first_and_second_saves(tmp_path):
    for _ in range(2):
        left = temporary_beside(tmp_path / "model")
        left.mkdir()
        (left / "half").write_bytes(b"")
        with replacing_folder(tmp_path / "model") as folder:
            (folder / "config.json").write_text("{}")
        assert os.listdir(tmp_path) == ["model"]


def test_what_looks_different_stays(tmp_path):
    others = {".m.keras.tmp", ".m.keras.0123.tmp", ".n.keras.0123456789ab.tmp", "m.keras.tmp"}
    for name in others:
        (tmp_path / name).write_bytes(b"")
    put(tmp_path / "m.keras")
    assert set(os.listdir(tmp_path)) == others | {"m.keras"}


def test_a_save_that_still_runs_is_left_alone(tmp_path):
    target = tmp_path / "m.keras"
    with replacing_file(target) as slow:
        put(target, b"fast")
        assert target.read_bytes() == b"fast"
        slow.write(b"slow")
    assert target.read_bytes() == b"slow"
    assert os.listdir(tmp_path) == ["m.keras"]


def test_a_folder_that_is_still_written_is_left_alone(tmp_path):
    target = tmp_path / "model"
    with replacing_folder(target) as slow:
        for name in ("first", "second"):
            with replacing_folder(target) as fast:
                (fast / name).write_text("")
        assert os.listdir(target) == ["second"]
        (slow / "slow").write_text("")
    assert os.listdir(target) == ["slow"]
    assert os.listdir(tmp_path) == ["model"]


def test_swept_between_making_and_locking(tmp_path, monkeypatch):
    lock, times = atomic._lock, iter(range(9))

    def late(descriptor):
        if next(times) == 0:
            next(tmp_path.glob(".m.keras.*.tmp")).unlink()
        lock(descriptor)

    monkeypatch.setattr(atomic, "_lock", late)
    put(tmp_path / "m.keras")
    assert os.listdir(tmp_path) == ["m.keras"]


@pytest.mark.parametrize("fails", [False, True])
def test_folders_where_names_cannot_be_swapped(tmp_path, monkeypatch, fails):
    target = tmp_path / "model"
    monkeypatch.setattr(atomic, "_exchange", lambda *names: False)
    with replacing_folder(target) as folder:
        (folder / "old").write_text("")
    replace = os.replace

    def failing(old, new):
        if fails and new == target and (old / "new").exists():
            raise OSError(5, "Input/output error")
        replace(old, new)

    monkeypatch.setattr(os, "replace", failing)

    def save():
        with replacing_folder(target) as folder:
            (folder / "new").write_text("")

    if fails:
        with pytest.raises(OSError, match="Input/output") as caught:
            save()
        assert "what was there is unchanged" in caught.value.__notes__[0]
    else:
        save()
    assert os.listdir(target) == ["old" if fails else "new"]
    assert os.listdir(tmp_path) == ["model"]


def test_path_for_other_writers(tmp_path):
    target = tmp_path / "m.keras"
    target.write_bytes(b"old")

    def save(error=None):
        with replacing_path(target) as path:
            path.write_bytes(b"new")
            assert path.name == target.name
            if error:
                raise error

    with pytest.raises(KeyboardInterrupt):
        save(KeyboardInterrupt)
    assert target.read_bytes() == b"old"
    save()
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["m.keras"]
    with pytest.raises(IsADirectoryError, match="is a folder"), replacing_path(tmp_path):
        pass


def test_one_at_a_time(tmp_path):
    import fcntl

    with alone_in(tmp_path):
        other = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_damage_is_told_unless_something_was_replaced():
    versions, reads = iter([1, 2, 2, 2]), iter([CorruptFileError("half old"), "whole"])

    def read():
        found = next(reads)
        if isinstance(found, Exception):
            raise found
        return found

    assert read_again_if_replaced(read, lambda: next(versions)) == "whole"
    reads = iter([CorruptFileError("damaged")])
    with pytest.raises(CorruptFileError, match="damaged"):
        read_again_if_replaced(read, lambda: 1)
