"""get_file: whole files only, resumed downloads, and archives from which nothing leads out."""

import hashlib
import io
import os
import socket
import tarfile
import tempfile
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from staghorn.saving import CorruptFileError, UnsafeFileError
from staghorn.utils import download, extraction, get_file
from staghorn.utils.download import DownloadError
from tests.oracle import keras
from tests.utils.serving import serving

CONTENT = bytes(range(256)) * 4000  # about 1 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        server.files["data.bin"] = CONTENT
        yield server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "datasets"


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# --- where and when -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hashes",
    [{}, {"file_hash": SHA256}, {"file_hash": MD5.upper()}, {"md5_hash": MD5},
     {"file_hash": MD5, "hash_algorithm": "md5"}],
)  # fmt: skip
def test_downloads_once(hashes, server, cache, capsys):
    path = get_file("here.bin", server.url("data.bin"), **hashes)
    assert path == str(cache / "here.bin")
    assert Path(path).read_bytes() == CONTENT
    assert "1.0/1.0 MB" in capsys.readouterr().out
    assert get_file("here.bin", server.url("data.bin"), **hashes) == path
    assert server.asked == [("data.bin", None)]
    assert names(cache) == ["here.bin"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        {"fname": "a.bin"},
        {"fname": Path("a.bin")},
        {"cache_subdir": "models/b"},
        {"cache_subdir": ""},
        {"fname": "a.zip", "extract": True},
        {"fname": "a.b.zip", "extract": True},
        {"fname": "a", "extract": True},
        {"fname": "a", "untar": True},
        {"extract": True},
        {"extract": True, "archive_format": "zip"},
        {"extract": True, "archive_format": ["tar", "zip"]},
    ],
    ids=str,
)
def test_places_as_keras(arguments, server, tmp_path):
    archive = io.BytesIO()
    if arguments.get("untar"):
        with tarfile.open(fileobj=archive, mode="w:gz") as file:
            info = tarfile.TarInfo("in/x.txt")
            info.size = 1
            file.addfile(info, io.BytesIO(b"x"))
    else:
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("in/x.txt", "x")
    server.files["data.tar.gz"] = archive.getvalue()
    results = []
    for get, folder in ((get_file, tmp_path / "ours"), (keras.utils.get_file, tmp_path / "theirs")):
        folder.mkdir()
        path = get(origin=server.url("data.tar.gz?x=1#y"), cache_dir=folder, **arguments)
        results.append((os.path.relpath(path, folder), names(folder)))
    assert results[0] == results[1]
    extracted = bool({"extract", "untar"} & arguments.keys())
    assert any(name.endswith("/in/x.txt") for name in names(tmp_path / "ours")) == extracted


def test_a_second_extraction_keeps_other_files(server, tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("in/x.txt", "x")
    server.files["a.zip"] = archive.getvalue()
    folder = Path(get_file("a.zip", server.url("a.zip"), extract=True, cache_dir=tmp_path))
    (folder / "in" / "mine.txt").write_text("mine")
    (folder / "in" / "x.txt").write_text("changed")
    get_file("a.zip", server.url("a.zip"), extract=True, cache_dir=tmp_path)
    assert names(folder) == ["in", "in/mine.txt", "in/x.txt"]
    assert (folder / "in" / "x.txt").read_text() == "x"
    assert len(server.asked) == 1


def test_no_archive_is_a_warning_as_in_keras(server, tmp_path):
    with pytest.warns(UserWarning, match="not an archive"):
        path = get_file("a.bin", server.url("data.bin"), extract=True, cache_dir=tmp_path)
    assert not os.path.exists(path)


def test_an_unwritable_cache_serves_what_it_holds(server, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cache.mkdir(parents=True)
    (cache / "here.bin").write_bytes(b"old")
    monkeypatch.setattr(download.os, "access", lambda *_: False)
    assert get_file("here.bin", server.url("data.bin")) == str(cache / "here.bin")
    path = get_file("new.bin", server.url("data.bin"))
    assert path == str(tmp_path / ".keras" / "datasets" / "new.bin")


def test_force_download(server, cache):
    get_file("a.bin", server.url("data.bin"))
    server.files["data.bin"] = b"new"
    assert Path(get_file("a.bin", server.url("data.bin"))).read_bytes() == CONTENT
    path = get_file("a.bin", server.url("data.bin"), force_download=True)
    assert Path(path).read_bytes() == b"new"


def test_files_and_empty_files(tmp_path):
    (tmp_path / "empty").touch()
    path = get_file(origin=(tmp_path / "empty").as_uri(), cache_dir=tmp_path)
    assert Path(path).read_bytes() == b""
    assert names(tmp_path / "datasets") == ["empty"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "origin is missing"),
        ({"origin": "data:,x", "fname": "a"}, "must begin with http://"),
        ({"origin": "/etc/hostname"}, "must begin with http://"),
        ({"origin": "http://127.0.0.1/"}, "without folders, got ''"),
        ({"origin": "http://127.0.0.1/.."}, "without folders"),
        ({"origin": "http://127.0.0.1/a", "fname": "b/c"}, "without folders"),
        ({"origin": "http://127.0.0.1/a", "hash_algorithm": "crc"}, "hash_algorithm must be"),
    ],
    ids=str,
)
def test_wrong_arguments(arguments, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        get_file(cache_dir=tmp_path, **arguments)


# --- networks -----------------------------------------------------------------------------------


def test_a_cut_connection_is_resumed(server, cache):
    server.cuts = [300_000, 200_000]
    path = get_file("a.bin", server.url("data.bin"), file_hash=SHA256)
    assert Path(path).read_bytes() == CONTENT
    assert [span for _, span in server.asked] == [None, "bytes=300000-", "bytes=500000-"]


def interrupted(server, cache, monkeypatch, **arguments):
    """Begin a download that ends after 300,000 bytes."""
    server.cuts = [300_000]
    with monkeypatch.context() as context:
        context.setattr(download, "RETRIES", 0)
        with pytest.raises(DownloadError):
            get_file("a.bin", server.url("data.bin"), **arguments)
    assert names(cache) == ["a.bin.part", "a.bin.part.version"]
    server.asked.clear()


@pytest.mark.parametrize("tags", [True, False])
def test_a_later_call_resumes(tags, server, cache, monkeypatch):
    server.tags, server.date = tags, None if tags else "Fri, 01 Mar 2024 00:00:00 GMT"
    interrupted(server, cache, monkeypatch)
    path = get_file("a.bin", server.url("data.bin"))
    assert Path(path).read_bytes() == CONTENT
    assert server.asked == [("data.bin", "bytes=300000-")]
    assert names(cache) == ["a.bin"]


@pytest.mark.parametrize("change", ["content", "ranges", "tags", "lies", "whole", "origin"])
def test_what_cannot_be_resumed_begins_anew(change, server, cache, monkeypatch):
    if change == "tags":
        server.tags = False
    interrupted(server, cache, monkeypatch)
    wanted, name = CONTENT, "data.bin"
    if change == "content":
        wanted = server.files["data.bin"] = CONTENT[::-1]
    elif change == "ranges":
        server.ranges = False
    elif change == "lies":
        server.lies = "bytes 7-8/9"
    elif change == "whole":  # the process died between the last byte and the new name
        (cache / "a.bin.part").write_bytes(CONTENT)
    elif change == "origin":
        wanted, name = b"another", "other.bin"
        server.files[name] = wanted
    path = get_file("a.bin", server.url(name))
    assert Path(path).read_bytes() == wanted
    assert names(cache) == ["a.bin"]


def test_a_server_that_says_no_length(server, cache):
    server.lengths = False
    assert Path(get_file("a.bin", server.url("data.bin"))).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(server, cache):
    server.states = [503, 500]
    get_file("a.bin", server.url("data.bin"))
    assert len(server.asked) == 3


def test_a_server_that_always_cuts_is_given_up(server, cache):
    server.ranges, server.cuts = False, [300_000] * 20
    with pytest.raises(DownloadError, match="ended after 300000 of 1024000 bytes"):
        get_file("a.bin", server.url("data.bin"))
    assert len(server.asked) == 1 + download.RETRIES


def check_instruction(error, url, target):
    message = str(error.value)
    assert f"curl -L -o {target} {url}" in message
    assert "\n" not in message


def test_missing_and_offline_and_silent(server, cache, monkeypatch):
    with pytest.raises(DownloadError, match="HTTP 404") as error:
        get_file("a.bin", server.url("none.bin"))
    check_instruction(error, server.url("none.bin"), cache / "a.bin")
    assert names(cache) == []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.bin"
        with pytest.raises(DownloadError, match="refused") as error:
            get_file("a.bin", url)
        check_instruction(error, url, cache / "a.bin")
        free.listen()  # accepts and says nothing
        monkeypatch.setattr(download, "TIMEOUT", 0.05)
        with pytest.raises(DownloadError, match="timed out"):
            get_file("a.bin", url)


def test_a_wrong_checksum_is_not_kept(server, cache):
    with pytest.raises(CorruptFileError, match=f"{SHA256}, expected 000") as error:
        get_file("a.bin", server.url("data.bin"), file_hash="0" * 64)
    check_instruction(error, server.url("data.bin"), cache / "a.bin")
    assert names(cache) == []


def test_a_cached_file_is_only_replaced_by_a_whole_one(server, cache):
    cache.mkdir(parents=True)
    (cache / "a.bin").write_bytes(b"old")
    server.states = [404]
    with pytest.raises(DownloadError):
        get_file("a.bin", server.url("data.bin"), file_hash=SHA256)
    assert (cache / "a.bin").read_bytes() == b"old"
    get_file("a.bin", server.url("data.bin"), file_hash=SHA256)
    assert (cache / "a.bin").read_bytes() == CONTENT


def test_an_interrupt_keeps_the_part(server, cache, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    server.cuts = [300_000]
    with monkeypatch.context() as context:
        context.setattr(download.time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            get_file("a.bin", server.url("data.bin"))
    get_file("a.bin", server.url("data.bin"))
    assert server.asked[1:] == [("data.bin", "bytes=300000-")]


def test_a_redirection_to_a_file_of_this_machine_is_refused(cache, monkeypatch):
    handler = urllib.request.HTTPRedirectHandler()
    request = urllib.request.Request("http://127.0.0.1/a")
    headers = {"location": "file:///etc/hostname"}
    with pytest.raises(urllib.request.HTTPError, match="not allowed"):
        handler.http_error_302(request, io.BytesIO(), 302, "found", headers)


def test_the_second_waits_for_the_first(server, cache, monkeypatch):
    server.gate.clear()
    monkeypatch.setattr(download, "print", lambda *_, **__: server.gate.set(), raising=False)
    with ThreadPoolExecutor() as pool:
        work = [pool.submit(get_file, "a.bin", server.url("data.bin")) for _ in range(2)]
        assert {Path(path.result()).read_bytes() for path in work} == {CONTENT}
    assert len(server.asked) == 1
    assert names(cache) == ["a.bin"]


# --- archives -----------------------------------------------------------------------------------


def member(name, kind=tarfile.REGTYPE, link="", content=b"x"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content) if kind == b"0" else 0
    return info, content


def tar_of(path, *members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return path


SYM, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE

HOSTILE = {
    "up": [member("../evil")],
    "up inside": [member("a/../../evil")],
    "backslashes": [member("..\\evil")],
    "absolute": [member("/evil")],
    "drive": [member("C:\\evil")],
    "absolute link": [member("a", SYM, "/etc")],
    "link up": [member("a", SYM, "../evil")],
    "link to the folder around": [member("a", SYM, "..")],
    "deep link up": [member("d/a", SYM, "../../evil")],
    "write through a link": [member("a", SYM, "."), member("a/evil")],
    "link behind a link": [member("d/s", SYM, ".."), member("d/s/b", SYM, "../evil")],
    "down and up": [member("d/s", SYM, ".."), member("c", SYM, "d/s/../evil")],
    "hard link up": [member("a", HARD, "../evil")],
    "hard link absolute": [member("a", HARD, "/etc/hostname")],
    "hard link to a link": [member("d/e/s", SYM, "../../x"), member("h", HARD, "d/e/s")],
    "hard link to nothing": [member("h", HARD, "none")],
    "pipe": [member("a", tarfile.FIFOTYPE)],
    "character device": [member("a", tarfile.CHRTYPE)],
    "block device": [member("a", tarfile.BLKTYPE)],
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_tars_leave_nothing(attack, tmp_path):
    archive = tar_of(tmp_path / "a.tar", member("good.txt"), *HOSTILE[attack])
    before = names(tmp_path)
    with pytest.raises(UnsafeFileError, match=r"a\.tar"):
        extraction.extract_archive(archive, tmp_path / "out")
    assert names(tmp_path) == before


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "..\\evil", "C:/evil"])
def test_hostile_zips_leave_nothing(name, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good.txt", "x")
        archive.writestr(zipfile.ZipInfo("a"), "x")
        archive.infolist()[1].filename = archive.filelist[1].orig_filename = name
    before = names(tmp_path)
    with pytest.raises(UnsafeFileError, match=r"a\.zip"):
        extraction.extract_archive(tmp_path / "a.zip", tmp_path / "out")
    assert names(tmp_path) == before


def test_links_in_a_zip_are_files(tmp_path):
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc")
    extraction.extract_archive(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out" / "link").is_symlink()
    assert (tmp_path / "out" / "link").read_text() == "/etc"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_good_tars_with_links_inside(mode, tmp_path):
    archive = tar_of(
        tmp_path / "a.tar",
        member("d", tarfile.DIRTYPE),
        member("d/e/x.txt", content=b"text"),
        member("d/s", SYM, "e/x.txt"),
        member("d/e/up", SYM, "../s"),
        member("h", HARD, "d/e/x.txt"),
        mode=mode,
    )
    assert extraction.extract_archive(archive, tmp_path / "out")
    for name in ("d/e/x.txt", "d/s", "d/e/up", "h"):
        assert (tmp_path / "out" / name).read_text() == "text"


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_archives_larger_than_the_disk(kind, tmp_path, monkeypatch):
    if kind == "tar":
        archive = tar_of(tmp_path / "a", member("x", content=bytes(6000)), member("y"))
    else:
        archive = tmp_path / "a"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("x", bytes(6000))
    usage = extraction.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(extraction.shutil, "disk_usage", lambda _: usage._replace(free=5000))
    with pytest.raises(UnsafeFileError, match=r"6,000 bytes or more; .* has 5,000 left"):
        extraction.extract_archive(archive, tmp_path / "out")
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", ["tar", "gz", "zip", "size"])
def test_damaged_archives_leave_nothing(kind, tmp_path):
    archive = tmp_path / "a"
    if kind in ("tar", "gz"):
        content = os.urandom(100_000)
        tar_of(archive, member("x", content=content), mode="w:gz" if kind == "gz" else "w")
        archive.write_bytes(archive.read_bytes()[:50_000])
    else:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("x", bytes(100_000))
            if kind == "size":  # says less than it holds
                file.infolist()[0].file_size = 10
        if kind == "zip":
            data = bytearray(archive.read_bytes())
            data[40] ^= 0xFF
            archive.write_bytes(data)
    before = names(tmp_path)
    with pytest.raises(CorruptFileError, match="is damaged"):
        extraction.extract_archive(archive, tmp_path / "out")
    assert names(tmp_path) == before


def test_formats(tmp_path):
    archive = tar_of(tmp_path / "a.tar", member("x"))
    for kinds, done in (("tar", True), ("zip", False), (None, False), ([], False), ("auto", True)):
        assert extraction.extract_archive(archive, tmp_path / "out", kinds) is done
    with pytest.raises(ValueError, match=r"archive_format must be .*, got 'rar'"):
        extraction.extract_archive(archive, tmp_path / "out", "rar")
