"""The second run of a script compiles nothing, and a damaged cache costs time, never results."""

import json
import os
import subprocess
import sys

import jax
import pytest

import staghorn
from staghorn.engine import compile_cache, jax_internals
from staghorn.engine.compile_cache import CompileCache

SCRIPT = """
import hashlib, json, os, sys, warnings
warnings.simplefilter("error")
import jax, numpy as np
from jax import monitoring
counts = {"hits": 0, "misses": 0}
def count(event, **_):
    for kind in counts:
        counts[kind] += event == f"/jax/compilation_cache/cache_{kind}"
monitoring.register_event_listener(count)
import staghorn as sh
sh.utils.set_random_seed(1)
x = np.random.default_rng(0).normal(size=(70, 4)).astype("float32")
model = sh.Sequential([sh.Input((4,)), sh.layers.Dense(8, "relu"), sh.layers.Dropout(0.2),
                       sh.layers.BatchNormalization(), sh.layers.Dense(1)])
model.compile("adam", "mse", metrics=["mae"])
history = model.fit(x, x[:, :1], epochs=2, validation_data=(x, x[:, :1]), verbose=0).history
model.predict(x, verbose=0)
held = b"".join(np.asarray(w).tobytes() for w in model.get_weights()) + repr(history).encode()
print(json.dumps({**counts, "result": hashlib.sha256(held).hexdigest()}))
"""


def run(folder, **environment):
    environment = {**os.environ, "STAGHORN_COMPILE_CACHE": str(folder), **environment}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_the_second_run_compiles_nothing_and_damage_costs_only_time(tmp_path):
    none = run("off")
    assert none["hits"] == none["misses"] == 0
    first = run(tmp_path)
    assert first["hits"] == 0 < first["misses"] == len(files(tmp_path))
    second = run(tmp_path)
    assert second["misses"] == 0 < second["hits"]
    for number, path in enumerate(files(tmp_path)):
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[(7919 * number) % len(whole)] ^= 1
        path.write_bytes([whole[: len(whole) // 2], bytes(flipped), b""][number % 3])
    damaged = run(tmp_path)
    assert damaged["hits"] == 0
    assert damaged["misses"] == first["misses"]
    assert run(tmp_path)["misses"] == 0
    assert len({r["result"] for r in (none, first, second, damaged)}) == 1


def test_a_folder_chosen_in_jax_comes_first(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    run(ours, JAX_COMPILATION_CACHE_DIR=str(theirs), JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0")
    assert files(theirs)
    assert not files(ours)


def test_the_environment_and_the_configuration_say_where(tmp_path, monkeypatch):
    folder = staghorn.config.compile_cache
    before = folder()
    staghorn.config.set_compile_cache(tmp_path / "here")
    assert folder() == str(tmp_path / "here")
    with pytest.raises(ValueError, match=r"set_compile_cache: folder must be a path or None"):
        staghorn.config.set_compile_cache(True)
    staghorn.config.set_compile_cache(before)
    for given, expected in [("off", None), ("0", None), ("", None), ("/some/where", "/some/where")]:
        monkeypatch.setenv("STAGHORN_COMPILE_CACHE", given)
        assert staghorn.config._cache_folder() == expected
    monkeypatch.delenv("STAGHORN_COMPILE_CACHE")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert staghorn.config._cache_folder() == str(tmp_path / "staghorn" / "compiled")
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", "not-absolute")
        assert staghorn.config._cache_folder() is None


@pytest.fixture
def given(monkeypatch):
    """What JAX is given for a cache, which it gets back afterwards."""
    if jax.config.jax_compilation_cache_dir:
        pytest.skip("JAX was told to keep compiled programs elsewhere")
    chosen = []
    monkeypatch.setattr(jax_internals, "use_compile_cache", chosen.append)
    folder = staghorn.config.compile_cache()
    compile_cache._opened.cache_clear()
    yield chosen
    compile_cache._opened.cache_clear()
    staghorn.config.set_compile_cache(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of another kind")
def test_a_folder_that_others_can_write_is_not_used(tmp_path, given):
    staghorn.config.set_compile_cache(tmp_path)
    compile_cache.enable()
    (machine,) = tmp_path.iterdir()
    assert machine.stat().st_mode & 0o777 == 0o700
    assert isinstance(given.pop(), CompileCache)
    for folder in (machine, tmp_path):
        mode = folder.stat().st_mode
        folder.chmod(0o777)
        compile_cache._opened.cache_clear()
        with pytest.warns(UserWarning, match="other users can write in"):
            compile_cache.enable()
        assert given.pop() is None
        folder.chmod(mode)
    tmp_path.chmod(0o1777)  # as /tmp: others can add, not rename
    compile_cache._opened.cache_clear()
    compile_cache.enable()
    assert isinstance(given.pop(), CompileCache)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners of another kind")
def test_a_folder_of_another_user_is_not_used(tmp_path, given, monkeypatch):
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    staghorn.config.set_compile_cache(tmp_path)
    with pytest.warns(UserWarning, match="belongs to another user"):
        compile_cache.enable()
    assert given == [None]


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path, given):
    (tmp_path / "file").write_text("")
    staghorn.config.set_compile_cache(tmp_path / "file" / "folder")
    compile_cache.enable()
    assert given == [None]


def test_it_is_bounded_and_what_was_used_last_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(compile_cache, "MOST_FILES", 20)
    cache = CompileCache(tmp_path)
    for number in range(20):
        cache.put(str(number), b"x")
        os.utime(cache._file(str(number)), (number, number))
    assert cache.get("0") == b"x"  # and so it is no longer the oldest
    cache.put("20", b"x")
    kept = [n for n in range(21) if cache.get(str(n))]
    assert kept == [0, *range(4, 21)]
    monkeypatch.setattr(compile_cache, "MOST_BYTES", 5_000)
    CompileCache(tmp_path).put("large", b"x" * 4_000)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 5_000
    assert CompileCache(tmp_path).get("large")


def test_a_disk_that_is_full_costs_nothing_but_time(tmp_path, monkeypatch):
    cache = CompileCache(tmp_path / "removed")
    cache.put("key", b"program")
    assert cache.get("key") is None
