"""Files between Staghorn and two versions of keras, both ways: `make interop`.

Every model of the table is trained, saved whole (`.keras`, with the state of compile and optimizer)
and as weights (`.weights.h5`), and opened by the other library. It must predict the same, report
the same loss and metrics, and do the same next step of training.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.interop.models import CASES

STEP_TOLERANCE = 1e-5
# (library, the Python that has it)
Peer = tuple[str, str]


def peer(who: Peer, job: str, folder: Path) -> dict[str, Any]:
    """Run one library's part."""
    library, python = who
    # The same programs are compiled again and again, by each library and for each of two ways.
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    environment = {**os.environ, **cache, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [python, "-m", "tests.interop.peer", library, job, str(folder)],
        env=environment,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def verdict(name: str, found: Any, reader: str) -> tuple[str, str]:
    """Return a cell, and what is to be said about it."""
    case = CASES[name]
    if isinstance(found, str):
        known = case.fails.get(reader)
        return ("known", known) if known else ("FAILS", found)
    limits = {"before": case.tolerance, "log": max(case.tolerance, STEP_TOLERANCE)}
    limits["after"] = limits["log"]
    wrong = {kind: value for kind, value in found.items() if not value <= limits[kind]}
    if wrong:
        return "DIFFERS", ", ".join(f"{kind} by {value:.2g}" for kind, value in wrong.items())
    return ("same" if case.step else "same (-)"), ""


def main(pythons: list[str]) -> int:
    """Print the table; return 1 if a cell is not as it must be."""
    us: Peer = ("staghorn", sys.executable)
    others: list[Peer] = [("keras", python) for python in pythons]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(2) as pool:
        folders = {one: Path(tempfile.mkdtemp(dir=scratch)) for one in (us, *others)}
        written = pool.map(lambda one: peer(one, "write", folders[one]), folders)
        reports = dict(zip(folders, written, strict=True))
        pairs = [pair for other in others for pair in ((us, other), (other, us))]
        opened = pool.map(lambda pair: peer(pair[1], "read", folders[pair[0]]), pairs)
        columns = [
            (reports[writer]["version"], reports[reader]["version"], report["cases"])
            for (writer, reader), report in zip(pairs, opened, strict=True)
        ]
    notes = [
        f"{r['version']}: {n}: {text}" for r in reports.values() for n, text in r["cases"].items()
    ]
    return show(columns, notes)


def show(columns: list[tuple[str, str, dict[str, Any]]], problems: list[str]) -> int:
    """Print the table and what went wrong."""
    titles = [f"{writer} > {reader}" for writer, reader, _ in columns]
    print(f"{'':15}" + "".join(f"{title:^34}" for title in titles))
    print(f"{'':15}" + f"{'.keras':^17}{'.weights.h5':^17}" * len(columns))
    known: list[str] = []
    good = 0
    for name in CASES:
        line = f"{name:15}"
        for title, (_, reader, cases) in zip(titles, columns, strict=True):
            for way in ("whole", "weights"):
                found = cases.get(name, {}).get(way, "not written")
                cell, text = verdict(name, found, reader)
                line += f"{cell:^17}"
                good += not text
                if text:
                    notes = known if cell == "known" else problems
                    notes.append(f"{title}: {name} ({way}): {text}")
        print(line.rstrip())
    print(f"{good} of {len(CASES) * len(columns) * 2} are alike: predictions to 1e-6, the loss and")
    print("metrics, the next step of training. (-): predictions only, since training draws random")
    print("numbers, whose state is not in these files.")
    for note in (*known, *problems):
        print(note)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
