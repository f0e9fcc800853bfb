"""Opens hostile files in processes of their own and says what came of it.

A case is a hostile file, or several; an attempt is one way of opening it. The process that makes
attempts has little memory and time, its own empty folders, and an audit hook (`child.py`).
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
TYPED = ("UnsafeFileError", "CorruptFileError")
# What may come of an attempt.
REFUSED = "refused"  # one of our two errors
WRONG = "wrong"  # an error that names the place: the content is not hostile, it fits nothing
EITHER = "either"  # an error as above, or a load that did nothing but that
LOADS = "loads"
MIB = 1 << 20


@dataclass
class Attempt:
    """One way of opening one hostile file."""

    id: str
    entry: str
    verdict: str = REFUSED
    path: str | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def job(self) -> dict[str, Any]:
        path = {} if self.path is None else {"path": self.path}
        return {"id": self.id, "entry": self.entry, **path, **self.more}


class Canary:
    """A secret that nobody may read: as a file, as an HDF5 file, on a local HTTP server."""

    def __init__(self, folder: Path) -> None:
        import h5py
        import numpy as np

        self.token = secrets.token_hex(16)
        self.folder = folder / "canary"
        self.folder.mkdir()
        self.text = self.folder / "CANARY"
        self.text.write_text(self.token * 4)
        self.hdf5 = self.folder / "CANARY.h5"
        with h5py.File(self.hdf5, "w") as file:
            values = np.frombuffer((self.token * 2)[:48].encode(), "f4").reshape(4, 3)
            file["x"] = values
            file["g/vars/0"] = values
        self.made = self.folder / "CODE-RAN"
        self.requests: list[str] = []
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append(self.path)
                self.send_error(404)

            def log_message(self, *args: Any) -> None:
                del args

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.content = self.state()

    def state(self) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in sorted(self.folder.iterdir())}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def run(
    attempts: Iterable[Attempt],
    folder: Path,
    canary: Canary,
    warm: Iterable[Attempt] = (),
    memory: int = 3 << 30,
    wall: float = 15.0,
) -> dict[str, dict[str, Any]]:
    """Make attempts in child processes; return id -> report. A process that dies is replaced."""
    left = [attempt.job() for attempt in attempts]
    reports: dict[str, dict[str, Any]] = {}
    while left:
        here = folder / f"child-{secrets.token_hex(4)}"
        watched = [here / name for name in ("home", "tmp", "cwd", "plugins")]
        for path in watched:
            path.mkdir(parents=True)
        job = {
            "attempts": left, "warm": [a.job() for a in warm], "memory": memory, "wall": wall,
            "cpu": 600, "token": canary.token, "watched": [*map(str, watched), str(canary.folder)],
        }  # fmt: skip
        (here / "job.json").write_text(json.dumps(job))
        environment = {
            **os.environ, "HOME": str(watched[0]), "TMPDIR": str(watched[1]),
            "HDF5_PLUGIN_PATH": str(watched[3]), "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1", "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_backend_optimization_level=0", "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "tests.attacks.child", str(here / "job.json")],
            cwd=watched[2], env=environment, capture_output=True, text=True, timeout=900,
        )  # fmt: skip
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        finished = {line["id"]: line for line in lines if "begun" not in line}
        begun = [line["id"] for line in lines if "begun" in line]
        reports |= finished
        if done.returncode == 0:
            assert len(finished) == len(left), done.stderr[-3000:]
            break
        assert begun, f"the process did not start: {done.stderr[-3000:]}"
        if begun[-1] not in finished:
            reports[begun[-1]] = {"died": done.returncode, "stderr": done.stderr[-1500:]}
        left = [job for job in left if job["id"] not in reports]
    return reports


def problems(
    attempt: Attempt, report: dict[str, Any], allowed_memory: int, allowed_seconds: float = 10
) -> list[str]:
    """Say what is not as it must be in a report."""
    if "died" in report:
        return [f"{attempt.id}: the process died ({report['died']}): {report['stderr'][-700:]}"]
    found = []
    if report["events"]:
        found.append(f"did {' and '.join(report['events'][:2])}")
    found += [f"{key}: {report[key]}" for key in ("changed", "files", "leaked") if report[key]]
    if report["memory"] > allowed_memory:
        found.append(f"took {report['memory'] >> 20} MiB, allowed {allowed_memory >> 20}")
    if report["seconds"] > allowed_seconds:
        found.append(f"took {report['seconds']:.1f} s")
    error = report["error"]
    if error is None:
        if attempt.verdict in (REFUSED, WRONG):
            found.append(f"was loaded ({report['made']})")
    elif attempt.verdict == LOADS:
        found.append(f"was not loaded: {error[0]}: {report['message'][:200]}")
    elif error[0] not in TYPED and (
        attempt.verdict == REFUSED or not {"ValueError", "TypeError"} & set(error)
    ):
        found.append(f"raised {error[0]}: {report['message'][:160]!r} {report['trace'][-2:]}")
    elif attempt.path and Path(attempt.path).name[:20] not in report["message"]:
        found.append(f"the error does not name the file: {report['message'][:160]!r}")
    return [f"{attempt.id}: {text}" for text in found]


def limit_for(attempt: Attempt) -> int:
    """Return the memory that an attempt may take: 3 times the file and 64 MiB."""
    places = [attempt.path, attempt.more.get("text_at"), attempt.more.get("config_at")]
    return 64 * MIB + 3 * sum(_size(Path(p)) for p in places if p)


@functools.cache
def _size(path: Path) -> int:
    if path.is_dir():
        return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    return path.stat().st_size if path.exists() else 0
