"""The process in which hostile files are opened: it sees and reports all that opening them does.

`python -m tests.attacks.child JOB`, where JOB is JSON: the attempts, and what to look for. Prints
one line of JSON per attempt. `harness.py` starts it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import pkgutil
import random
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

JOB = json.loads(Path(sys.argv[1]).read_text()) if __name__ == "__main__" else {}
REPOSITORY = Path(__file__).resolve().parents[2]
# Code of libraries may be read at any time: a module that is imported late, a line of a traceback.
LIBRARIES = tuple({sys.prefix, sys.base_prefix, str(REPOSITORY / "staghorn")})
WATCHED = frozenset(
    (
        "open", "os", "socket", "subprocess", "exec", "compile", "import", "marshal", "pickle",
        "ctypes", "urllib", "http", "ftplib", "shutil", "tempfile", "glob", "code", "fcntl",
        "mmap", "pty", "webbrowser", "sqlite3", "cpython", "signal",
    )
)  # fmt: skip


class Watch:
    """Records audit events while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.target = ""
        self.events: list[str] = []
        sys.addaudithook(self.hook)
        sys.meta_path.insert(0, self)  # `importlib.import_module` causes no audit event

    def find_spec(self, name: str, *args: Any) -> None:
        if self.on:
            self.events.append(f"import of {name!r:.100}")

    def hook(self, event: str, args: tuple) -> None:
        if not self.on or event.split(".", 1)[0] not in WATCHED or self.harmless(event, args):
            return
        self.on = False  # repr may cause events itself
        self.events.append(f"{event} {args!r:.300}")
        self.on = True

    def harmless(self, event: str, args: tuple) -> bool:
        if event in ("open", "os.listdir", "os.scandir"):
            path = args[0]
            if not isinstance(path, (str, bytes, os.PathLike)):
                return isinstance(path, int)
            path = os.fsdecode(path)
            if event == "open" and (args[1] not in ("r", "rb", None) or args[2] & 0o3):
                return False
            inside = path == self.target or path.startswith(self.target + os.sep)
            return (bool(self.target) and inside) or path.startswith(LIBRARIES)
        if event == "exec":
            return args[0].co_filename.startswith(LIBRARIES)
        return False


def peak_memory() -> int:
    """Return the largest resident memory since `forget_peak`, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) << 10
    raise RuntimeError("no VmHWM")


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def snapshot() -> dict[str, Any]:
    """Return what loading must leave as it is."""
    import jax
    import numpy as np

    import staghorn
    from staghorn.engine import serialization

    return {
        "floatx": staghorn.config.floatx(),
        "epsilon": staghorn.config.epsilon(),
        "image_data_format": staghorn.config.image_data_format(),
        "policy": staghorn.dtype_policies.dtype_policy().name,
        "registered": {k: id(v) for k, v in serialization._registered.items()},
        "registered names": {id(k): v for k, v in serialization._registered_names.items()},
        "scope": serialization._in_scope.get(),
        "draws": str(staghorn.random.global_seed_state()),
        "numpy": hash(np.random.get_state()[1].tobytes()),
        "environment": dict(os.environ),
        "path": list(sys.path),
        "folder": os.getcwd(),
        "jax": {k: str(v) for k, v in jax.config.values.items()},
        "recursion": sys.getrecursionlimit(),
        "digits": sys.get_int_max_str_digits(),
        "umask": _umask(),
        "filters": len(warnings.filters),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


def _umask() -> int:
    old = os.umask(0)
    os.umask(old)
    return old


def files() -> list[str]:
    """Return every path in the watched folders."""
    return sorted(str(p) for folder in JOB["watched"] for p in Path(folder).rglob("*"))


# Entry points: attempt -> what was made ------------------------------------------------------


def model(attempt: dict[str, Any]) -> Any:
    """A fresh model of the kind that an attempt's weights are for."""
    from tests.attacks import recipes

    return recipes.MODELS[attempt.get("model", "graph")]()


def load_model(attempt: dict[str, Any]) -> Any:
    from staghorn import saving

    return saving.load_model(attempt["path"], **attempt.get("options", {}))


def load_weights(attempt: dict[str, Any]) -> Any:
    target = attempt["made"]
    target.load_weights(attempt.get("file", attempt["path"]), **attempt.get("options", {}))
    return target


def load_weights_from(attempt: dict[str, Any]) -> Any:
    from staghorn.saving.weights import load_weights_from

    with open(attempt["path"], "rb") as file:
        load_weights_from(attempt["made"], file)
    return attempt["made"]


def model_from_json(attempt: dict[str, Any]) -> Any:
    from staghorn import models

    return models.model_from_json(attempt["text"])


def from_config(attempt: dict[str, Any]) -> Any:
    from staghorn import models

    config = attempt["config"]
    return getattr(models, config["class_name"]).from_config(config["config"])


def layer_from_config(attempt: dict[str, Any]) -> Any:
    from staghorn import layers

    config = attempt["config"]
    return getattr(layers, config["class_name"]).from_config(config["config"])


def clone(attempt: dict[str, Any]) -> Any:
    """Clone a model whose layer gives out a hostile config."""
    import staghorn

    cls = getattr(staghorn.layers, attempt["config"]["class_name"])

    class Mute(cls):
        def get_config(self) -> dict[str, Any]:
            return {**attempt["config"]["config"], "name": "mute"}

    layer = Mute(lambda x: x) if cls is staghorn.layers.Lambda else Mute(3)
    return staghorn.models.clone_model(staghorn.Sequential([staghorn.Input((4,)), layer]))


def deserialize(attempt: dict[str, Any]) -> Any:
    """`deserialize` of a family, such as `staghorn.losses`; "saving" is the general one."""
    import staghorn

    name = attempt["family"]
    if name == "saving":
        return staghorn.saving.deserialize_keras_object(attempt["config"])
    family = staghorn.optimizers.schedules if name == "schedules" else getattr(staghorn, name)
    return family.deserialize(attempt["config"])


def in_a_thread(attempt: dict[str, Any]) -> Any:
    """`load_model` in another thread, after a load that was told not to be safe."""
    import threading

    from staghorn import saving

    with contextlib.suppress(Exception):
        saving.load_model(attempt["path"], safe_mode=False)
    result: list[Any] = []

    def work() -> None:
        try:
            result.append(saving.load_model(attempt["path"]))
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def unpickle(attempt: dict[str, Any]) -> Any:
    from staghorn.saving.pickling import model_from_bytes

    return model_from_bytes(*attempt["pickle"])


def resume(attempt: dict[str, Any]) -> Any:
    from staghorn.callbacks import ModelCheckpoint
    from tests.attacks import recipes

    checkpoint = ModelCheckpoint("unused.keras", save_freq=10**6)
    recipes.train(attempt["made"], resume=attempt["path"], callbacks=[checkpoint])
    return attempt["made"]


def backup(attempt: dict[str, Any]) -> Any:
    """Go on from a folder of BackupAndRestore."""
    from staghorn.callbacks import BackupAndRestore
    from tests.attacks import recipes

    callback = BackupAndRestore(attempt["path"], save_freq=False, delete_checkpoint=False)
    recipes.train(attempt["made"], callbacks=[callback])
    return attempt["made"]


def resolve(attempt: dict[str, Any]) -> Any:
    """Ask every family for every name; return those that are found and are not in its table."""
    import staghorn
    from staghorn import saving

    found = []
    families = {
        name: (module.FAMILY.objects, module.deserialize)
        for name in ("activations", "losses", "metrics", "initializers", "regularizers",
                     "constraints", "optimizers")
        for module in [getattr(staghorn, name)]
    }  # fmt: skip
    for family, (table, ask) in families.items():
        for name, module in attempt["names"]:
            if name in table:
                continue
            function = {"class_name": "function", "config": name, "module": "builtins"}
            named = {"module": module, "class_name": name, "config": {}, "registered_name": None}
            for form in (name, function, {**function, "module": module}, named):
                try:
                    ask(form)
                except (ValueError, TypeError):
                    continue
                found.append(f"{family}: {form}")
    for name, module in attempt["names"]:
        config = {"module": module, "class_name": "function", "config": name}
        allowed = any(name in table for table, _ in families.values())
        try:
            saving.deserialize_keras_object(config)
        except (ValueError, TypeError):
            continue
        if not allowed:
            found.append(f"any: {config}")
    return found


def misbehave(attempt: dict[str, Any]) -> Any:
    """What attacks do: `test_harness.py` looks whether it is seen."""
    import ctypes
    import marshal
    import subprocess
    import urllib.request

    import staghorn

    def burn() -> None:
        end = time.process_time() + 1.5
        while time.process_time() < end:
            pass

    def fail(error: Exception) -> None:
        raise error

    deeds = {
        "nothing": lambda: None,
        "read": lambda: Path(attempt["secret"]).read_text(),
        "write": lambda: Path("here").write_text("x"),
        "folder": lambda: os.mkdir("folder"),
        "process": lambda: subprocess.run(["true"], check=True),
        "network": lambda: _fetch(urllib, attempt["url"]),
        "import": lambda: importlib.import_module("antigravity_of_an_attacker"),
        "code": lambda: eval("1 + 1"),
        "bytecode": lambda: marshal.loads(marshal.dumps(1)),
        "setting": lambda: staghorn.config.set_floatx("float64"),
        "name": lambda: staghorn.saving.get_custom_objects().update(x=1),
        "memory": lambda: bytearray(100 << 20),
        "time": burn,
        "leak": lambda: fail(ValueError(JOB["token"])),
        "error": lambda: fail(KeyError("x")),
        "untold": lambda: fail(ValueError("something is wrong")),
        "crash": lambda: ctypes.string_at(0),
        "exit": lambda: os._exit(3),
        "endless": lambda: time.sleep(60),
    }
    return deeds[attempt["id"]]()


def _fetch(urllib: Any, url: str) -> None:
    with contextlib.suppress(OSError):
        urllib.request.urlopen(url, timeout=2)


ENTRIES = {
    f.__name__: f
    for f in (
        load_model, load_weights, load_weights_from, model_from_json, from_config,
        layer_from_config, clone, deserialize, in_a_thread, unpickle, resume, backup, resolve,
        misbehave,
    )
}  # fmt: skip
NEED_MODEL = ("load_weights", "load_weights_from", "resume", "backup")


def outcome(attempt: dict[str, Any], watch: Watch) -> dict[str, Any]:
    """Make one attempt and say what it did."""
    import numpy as np

    attempt = dict(attempt)
    if "text_at" in attempt:
        attempt["text"] = Path(attempt["text_at"]).read_text(
            encoding="utf-8", errors="surrogatepass"
        )
    if "config_at" in attempt:
        attempt["config"] = json.loads(Path(attempt["config_at"]).read_text())
    if attempt["entry"] in NEED_MODEL:
        attempt["made"] = model(attempt)
        before = [np.array(w) for w in attempt["made"].get_weights()]
    if "pickle_at" in attempt:
        attempt["pickle"] = (_model_class(), Path(attempt["pickle_at"]).read_bytes())
    state, listed = snapshot(), files()
    report: dict[str, Any] = {"id": attempt["id"], "made": None, "error": None}
    result = error = None
    forget_peak()
    base, started = peak_memory(), time.process_time()
    watch.target, watch.events = os.path.realpath(attempt.get("path", "")) or "", []
    if "path" in attempt:
        watch.target = attempt["path"]
    faulthandler.dump_traceback_later(JOB["wall"], exit=True)
    watch.on = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = ENTRIES[attempt["entry"]](attempt)
    except BaseException as caught:
        error = caught
    watch.on = False
    faulthandler.cancel_dump_traceback_later()
    report["seconds"] = time.process_time() - started
    report["memory"] = peak_memory() - base
    report["events"] = watch.events[:5]
    now = snapshot()
    report["changed"] = sorted(k for k in state if state[k] != now[k])
    report["files"] = sorted(set(files()) ^ set(listed))
    if error is None:
        report["made"] = type(result).__name__ if not isinstance(result, list) else result
        report["leaked"] = _holds_token(result)
    else:
        report["error"] = [c.__name__ for c in type(error).__mro__]
        report["message"] = str(error)[:600].encode("utf-8", "replace").decode()
        report["leaked"] = JOB["token"] in str(error)
        report["trace"] = traceback.format_exception(error)[-6:]
        if attempt["entry"] in NEED_MODEL:
            after = attempt["made"].get_weights()
            same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
            if not same:
                report["changed"].append("weights")
    return report


def _model_class() -> type:
    import staghorn

    return staghorn.Model


def _holds_token(result: Any) -> bool:
    import numpy as np

    token = JOB["token"].encode()
    weights = result.get_weights() if hasattr(result, "get_weights") else ()
    return any(token[:16] in np.asarray(w).tobytes() for w in weights)


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (JOB["memory"], JOB["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (JOB["cpu"], JOB["cpu"]))
    import staghorn

    for info in pkgutil.walk_packages(staghorn.__path__, "staghorn."):
        if not info.name.startswith(("staghorn.compat", "staghorn.__main__", "staghorn.demo")):
            with contextlib.suppress(ImportError):
                importlib.import_module(info.name)
    from tests.attacks import recipes

    recipes.register()
    watch = Watch()
    random.seed(1)
    for attempt in JOB["warm"]:
        outcome(attempt, watch)
    for attempt in JOB["attempts"]:
        print(json.dumps({"id": attempt["id"], "begun": True}), flush=True)
        print(json.dumps(outcome(attempt, watch)), flush=True)


if __name__ == "__main__":
    main()
