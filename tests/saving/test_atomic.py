"""An interrupted save leaves the old file, and nothing beside it."""

import os
import stat

import pytest

from staghorn.saving.atomic import replacing_file, replacing_folder


def test_new_file_appears_whole(tmp_path):
    with replacing_file(tmp_path / "a.bin") as file:
        file.write(b"one")
        assert not (tmp_path / "a.bin").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"one"


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, MemoryError])
def test_error_in_the_block_leaves_the_old_file(tmp_path, error):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def write():
        with replacing_file(target) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write()
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_error_of_the_system_leaves_the_old_file(tmp_path, monkeypatch, call):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    def write():
        with replacing_file(target) as file:
            file.write(b"new")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        write()
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_data_is_on_disk_before_the_name_changes(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, _n=name, _r=real: (done.append(_n), _r(*a))[1])
    with replacing_file(tmp_path / "a.bin") as file:
        file.write(b"x")
    assert done == ["fsync", "replace", "fsync"]


def test_permissions_and_links_stay(tmp_path):
    real, link = tmp_path / "real.bin", tmp_path / "link.bin"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    with replacing_file(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_wrong_targets(tmp_path):
    with pytest.raises(IsADirectoryError), replacing_file(tmp_path):
        pass
    with pytest.raises(FileNotFoundError, match="does not exist"), replacing_file(tmp_path / "a/b"):
        pass
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError), replacing_folder(tmp_path / "file"):
        pass


def test_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "model"
    for content in ("one", "two"):
        with replacing_folder(target) as folder:
            (folder / content).write_text(content)
    assert [p.name for p in target.iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_folder_survives_an_error(tmp_path):
    target = tmp_path / "model"
    with replacing_folder(target) as folder:
        (folder / "one").write_text("one")

    def write():
        with replacing_folder(target) as folder:
            (folder / "two").write_text("two")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert [p.name for p in target.iterdir()] == ["one"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
