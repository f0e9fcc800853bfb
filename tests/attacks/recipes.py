"""Base files, and the ways in which a hostile config, weights file or archive can be opened."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import io
import json
import marshal
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.attacks.harness import (
    EITHER,
    LOADS,
    REFUSED,
    WRONG,
    Attempt,
    Canary,
    limit_for,
    problems,
    run,
)

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"


def graph(k: Any = None) -> Any:
    """The base model: Input(4, "a"), Dense(3, "d")."""
    if k is None:
        import staghorn as k
    a = k.Input((4,), name="a")
    return k.Model(a, k.layers.Dense(3, name="d")(a), name="graph")


def stack(k: Any = None) -> Any:
    if k is None:
        import staghorn as k
    return k.Sequential([k.Input((4,), name="a"), k.layers.Dense(3, name="d")], name="stack")


MODELS = {"graph": graph, "stack": stack}


def register() -> None:
    """Register classes of the host, as a program that loads a file may have done."""
    import staghorn

    class Danger:
        def __init__(self, **kwargs: Any) -> None:
            os.mkdir("danger")

        def get_config(self) -> dict:
            return {}

        @classmethod
        def from_config(cls, config: dict) -> Any:
            return cls(**config)

    class DangerLayer(staghorn.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            os.mkdir("danger")

    for cls in (Danger, DangerLayer):
        staghorn.saving.register_keras_serializable("corp")(cls)


# Base files ----------------------------------------------------------------------------------


@functools.cache
def base(kind: str = "graph", writer: str = "staghorn", suffix: str = ".keras") -> bytes:
    """Return a compiled model of one step's training, as the bytes of a file."""
    import tempfile
    import warnings

    if writer == "keras":
        from tests.oracle import keras as k
    else:
        import staghorn as k
    model = MODELS[kind](k)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((2, 4), "f4"), np.ones((2, 3), "f4"), verbose=0)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "m" + suffix)
        (model.save_weights if suffix == ".weights.h5" else model.save)(path)
        return path.read_bytes()


def train(model: Any, **options: Any) -> None:
    """Train for two epochs; where training goes on from a file, all that is left of them."""
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 4), "f4"), np.ones((4, 3), "f4"), epochs=2, verbose=0, **options)


@functools.cache
def states() -> tuple[bytes, bytes]:
    """Return what BackupAndRestore and ModelCheckpoint wrote after the first epoch."""
    import tempfile

    from staghorn import callbacks

    class Stop(callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch:
                raise KeyboardInterrupt

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.keras")
        for callback in (
            callbacks.BackupAndRestore(folder), callbacks.ModelCheckpoint(path, verbose=0)
        ):  # fmt: skip
            with contextlib.suppress(KeyboardInterrupt):
                train(graph(), callbacks=[callback, Stop()])
        return Path(folder, "latest.backup").read_bytes(), path.read_bytes()


def content_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def members(kind: str = "graph", writer: str = "staghorn") -> dict[str, bytes]:
    return content_of(base(kind, writer))


def config_of(kind: str = "graph", writer: str = "staghorn") -> tuple[dict, dict]:
    """Return a fresh copy of the base model's config and its compile config."""
    config = json.loads(members(kind, writer)[CONFIG])
    return config, config.pop("compile_config")


def summed(content: dict[str, bytes]) -> dict[str, bytes]:
    """Return members with the checksums that an attacker writes: those of the hostile content."""
    content = dict(content)
    if METADATA in content:
        metadata = json.loads(content[METADATA])
        if "sha256" in metadata:
            metadata["sha256"] = {
                name: hashlib.sha256(data).hexdigest()
                for name, data in content.items()
                if name != METADATA
            }
        content[METADATA] = json.dumps(metadata).encode()
    return content


def zipped(content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in summed(content).items():
            archive.writestr(name, data)
    return buffer.getvalue()


def edited(data: bytes, change: Callable[[h5py.File], Any]) -> bytes:
    """Return an HDF5 file after a change."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue()


def with_attribute(text: bytes) -> bytes:
    """The base weights with a large attribute that nobody asks for."""
    buffer = io.BytesIO()
    with (
        h5py.File(buffer, "w", libver="latest") as file,
        h5py.File(io.BytesIO(members()[WEIGHTS])) as old,
    ):
        for name in old:
            old.copy(name, file)
        file.attrs["text"] = np.frombuffer(text, "u1")
    return buffer.getvalue()


def appended(data: bytes, info: zipfile.ZipInfo, content: bytes) -> bytes:
    """Return an archive with one more member, described as given."""
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(info, content)
    return buffer.getvalue()


# Parts of configs ----------------------------------------------------------------------------


def bytecode(canary: Canary) -> dict[str, Any]:
    """A Python function as Keras writes it: it creates a file, if it is ever run."""
    code = compile(f"open({str(canary.made)!r}, 'w').write('x')", "<attack>", "exec")
    text = base64.b64encode(marshal.dumps(code)).decode()
    return {
        "class_name": "__lambda__",
        "config": {"code": text, "defaults": None, "closure": None},
    }


def thing(module: Any, class_name: Any, config: Any, registered: Any = None) -> dict[str, Any]:
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": registered,
    }


def function(name: Any, module: Any = "builtins") -> dict[str, Any]:
    return thing(module, "function", name, "function")


def dense(**changes: Any) -> dict[str, Any]:
    return thing("keras.layers", "Dense", {"units": 3, "name": "d", **changes})


def with_layer(entry: Any) -> dict[str, Any]:
    """The stack, with one more layer at its end."""
    config, _ = config_of("stack")
    config["config"]["layers"].append(entry)
    return config


def with_dense(**changes: Any) -> dict[str, Any]:
    """The graph, with other arguments for its layer."""
    config, _ = config_of()
    config["config"]["layers"][1]["config"].update(changes)
    return config


def with_training(**changes: Any) -> dict[str, Any]:
    config, training = config_of()
    return {**config, "compile_config": {**training, **changes}}


def with_node(args: Any, kwargs: Any) -> dict[str, Any]:
    config, _ = config_of()
    config["config"]["layers"][1]["inbound_nodes"] = [{"args": args, "kwargs": kwargs}]
    return config


def in_optimizer(**changes: Any) -> dict[str, Any]:
    config, training = config_of()
    training["optimizer"]["config"].update(changes)
    return {**config, "compile_config": training}


# Where an object can stand in a config: name -> (its family, the config that has it there).
SLOTS: dict[str, tuple[str, Callable[[Any], dict]]] = {
    "layer": ("layers", with_layer),
    "activation": ("activations", lambda x: with_dense(activation=x)),
    "initializer": ("initializers", lambda x: with_dense(kernel_initializer=x)),
    "regularizer": ("regularizers", lambda x: with_dense(bias_regularizer=x)),
    "constraint": ("constraints", lambda x: with_dense(kernel_constraint=x)),
    "dtype": ("dtype_policies", lambda x: with_dense(dtype=x)),
    "loss": ("losses", lambda x: with_training(loss=x)),
    "losses": ("losses", lambda x: with_training(loss=[x])),
    "metric": ("metrics", lambda x: with_training(metrics=[x])),
    "optimizer": ("optimizers", lambda x: with_training(optimizer=x)),
    "schedule": ("schedules", lambda x: in_optimizer(learning_rate=x)),
}
COMPILED = ("loss", "losses", "metric", "optimizer", "schedule")


# Ways in -------------------------------------------------------------------------------------

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "uncompiled": {"compile": False},
    "no objects": {"custom_objects": {}},
}


class Ways:
    """Writes hostile content to files, and lists the attempts to open it."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.folder = folder
        self.canary = canary
        self.attempts: list[Attempt] = []
        self._count = 0

    def place(self, suffix: str) -> Path:
        self._count += 1
        return self.folder / f"hostile-{self._count}{suffix}"

    def add(
        self, name: str, entry: str, verdict: str, path: Path | None = None, **more: Any
    ) -> None:
        taken = {attempt.id for attempt in self.attempts}
        name = f"{name}/{entry}"
        while name in taken:
            name += "+"
        self.attempts.append(Attempt(name, entry, verdict, path and str(path), more))

    def model(self, name: str, path: Path, verdict: str, all_options: bool = True) -> None:
        for option in OPTIONS if all_options else ("plain",):
            self.add(f"{name}/{option}", "load_model", verdict, path, options=OPTIONS[option])

    def archive(self, name: str, data: bytes, verdict: str = REFUSED) -> None:
        """A `.keras` file, as a whole model and for its weights."""
        path = self.place(".keras")
        path.write_bytes(data)
        self.model(name, path, verdict)
        self.add(name, "load_weights", verdict, path)
        self.add(name, "resume", REFUSED if verdict in (LOADS, EITHER) else verdict, path)

    def config(
        self,
        name: str,
        config: Any,
        verdict: str = REFUSED,
        direct: str | None = "",
        uncompiled: str | None = None,
        inner: str | None = None,
        content: dict[str, bytes] | None = None,
    ) -> None:
        """A config, or text that is none, as each file and text that holds a model.

        Args:
            direct: the verdict without a file; None for no such attempts. Default: as with one.
            uncompiled: the verdict where nothing is compiled. Default: as compiled.
            inner: the verdict for the config without the compile config. Default: `direct`.
        """
        text = config if isinstance(config, (str, bytes)) else json.dumps(config)
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        kind = "stack" if b'"stack"' in data[:20000] else "graph"
        whole = {**members(kind), **(content or {}), CONFIG: data}
        path, folder = self.place(".keras"), self.place("-folder")
        path.write_bytes(zipped(whole))
        for option, chosen in OPTIONS.items():
            expected = uncompiled if uncompiled and option == "uncompiled" else verdict
            self.add(f"{name}/{option}", "load_model", expected, path, options=chosen)
        folder.mkdir()
        for member, inner in summed(whole).items():
            (folder / member).write_bytes(inner)
        self.model(f"{name}/folder", folder, verdict, all_options=False)
        direct = verdict if direct == "" else direct
        if direct is None:
            return
        place = self.place(".json")
        place.write_bytes(data)
        self.add(name, "model_from_json", direct, text_at=str(place))
        if isinstance(config, dict):
            self.add(name, "from_config", inner or direct, config_at=str(place))
            for family in ("layers", "saving"):
                self.add(f"{name}/{family}", "deserialize", direct, config_at=str(place),
                         family=family)  # fmt: skip
            self.old_model(f"{name}/h5", config, verdict)

    def old_model(self, name: str, config: dict[str, Any], verdict: str = REFUSED) -> None:
        """A config as that of a Keras 2 file."""
        inner = dict(config)
        training = inner.pop("compile_config", None)

        def change(file: h5py.File) -> None:
            for key, value in (("model_config", inner), ("training_config", training)):
                file.attrs.pop(key, None)
                if value is not None:
                    text = json.dumps(value).encode()
                    file.attrs.create(key, text, dtype=h5py.string_dtype())

        self.old(name, edited(base("graph", "staghorn", ".h5"), change), verdict, weights=False)

    def old(self, name: str, data: bytes, verdict: str = REFUSED, weights: bool = True) -> None:
        """A file in Keras 2's format."""
        path = self.place(".h5")
        path.write_bytes(data)
        self.model(name, path, verdict, all_options=False)
        if weights:
            for option in ({}, {"by_name": True}):
                self.add(name, "load_weights", verdict, path, options=option)

    def state(self, name: str, change: Callable[[dict], Any], verdict: str = REFUSED) -> None:
        """The state of a training, for `fit(resume=...)` and for BackupAndRestore."""
        for kind, data in zip(("backup", "resume"), states(), strict=True):
            content = content_of(data)
            plain = json.loads(content["training.json"])
            changed = change(plain)
            content["training.json"] = json.dumps(plain if changed is None else changed).encode()
            path = self.place("-folder") if kind == "backup" else self.place(".keras")
            if kind == "backup":
                path.mkdir()
                (path / "latest.backup").write_bytes(zipped(content))
            else:
                path.write_bytes(zipped(content))
            self.add(f"{name}/{kind}", kind, verdict, path)

    def slot(self, name: str, slot: str, value: Any, verdict: str = REFUSED) -> None:
        """An object in one slot of a config, and alone."""
        family, put = SLOTS[slot]
        compiled = slot in COMPILED
        uncompiled = EITHER if compiled and verdict != REFUSED else None
        inner = EITHER if compiled else None
        self.config(f"{name}/{slot}", put(value), verdict, uncompiled=uncompiled, inner=inner)
        if isinstance(value, str) and verdict == REFUSED:
            verdict = WRONG  # a name in a program's own hands
        self.add(f"{name}/{slot}/{family}", "deserialize", verdict, config=value, family=family)

    def weights(self, name: str, data: bytes, verdict: str = REFUSED, kind: str = "graph") -> None:
        """A weights file: inside a model, alone, as an open file, and as one of several."""
        whole = self.place(".keras")
        whole.write_bytes(zipped({**members(kind), WEIGHTS: data}))
        self.model(name, whole, verdict, all_options=False)
        self.add(f"{name}/in", "load_weights", verdict, whole, model=kind)
        alone = self.place(".weights.h5")
        alone.write_bytes(data)
        self.add(name, "load_weights", verdict, alone, model=kind)
        self.add(name, "load_weights_from", verdict, alone, model=kind)
        folder = self.place("-shards")
        folder.mkdir()
        listed = {"metadata": {}, "weight_map": {"/layers/dense/vars": ["m_00001.weights.h5"]}}
        (folder / "m.weights.json").write_text(json.dumps(listed))
        (folder / "m_00001.weights.h5").write_bytes(data)
        listing = str(folder / "m.weights.json")
        self.add(f"{name}/shards", "load_weights", verdict, folder, model=kind, file=listing)


def warm_up(ways: Ways) -> None:
    """Harmless files and plain errors: what is imported late is there before the attacks."""
    config = with_training()
    ways.config("warm", config, LOADS)
    ways.config("warm error", with_dense(units=-1))
    ways.slot("warm unknown", "activation", "nothing")
    ways.archive("warm", base())
    ways.archive("warm damaged", base()[:-100])
    ways.old("warm", base("graph", "staghorn", ".h5"))
    ways.weights("warm", members()[WEIGHTS])
    ways.weights("warm damaged", members()[WEIGHTS][:-100])


def examine(
    recipes: dict[str, Callable[[Ways], Any]], folder: Path, **limits: Any
) -> dict[str, list[str]]:
    """Make all attempts of all recipes; return name of the recipe -> what is not as it must be."""
    canary = Canary(folder)
    try:
        warm = Ways(folder, canary)
        warm_up(warm)
        found: dict[str, list[str]] = {}
        owners: dict[str, str] = {}
        ways = Ways(folder, canary)
        ways._count = warm._count
        for name, recipe in recipes.items():
            before = len(ways.attempts)
            recipe(ways)
            found[name] = [] if len(ways.attempts) > before else ["no attempts"]
            owners |= {attempt.id: name for attempt in ways.attempts[before:]}
        assert len(owners) == len(ways.attempts)
        reports = run(ways.attempts, folder, canary, warm.attempts, **limits)
        for attempt in ways.attempts:
            allowed = limit_for(attempt)
            found[owners[attempt.id]] += problems(attempt, reports[attempt.id], allowed)
        if canary.requests or canary.state() != canary.content:
            found["canary"] = [f"requests {canary.requests}, files {sorted(canary.state())}"]
            raise AssertionError(f"{found['canary']}")
    finally:
        canary.close()
    return found
