"""The whole plan of faults, as a table: what was tried, how often, and what failed.

python -m tests.reliability.run                  all of it, about an hour
python -m tests.reliability.run --only R1 R7     some of it
python -m tests.reliability.run --scale 0.1      a tenth of the random trials
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from tests.reliability import cost, errors, kills, power_loss, rot, training
from tests.reliability.formats import FORMATS, LARGE, MEGABYTE, SMALL, Row, timed

# Width of the model and kills of each format: 1000 together.
KILLS = {SMALL: 700, MEGABYTE: 220, LARGE: 80}
SIZES = {SMALL: "10 KB", MEGABYTE: "1 MB", LARGE: "50 MB"}
# No failure in 1000 trials: with 95 % confidence less than 0.3 % fail.
MANY = 1000
FAILURES = ("exit", "EIO", "ENOSPC", "EINTR", "EIO for good", "interrupt")
DAMAGED = (".keras", ".weights.h5", "legacy .h5")

Step = tuple[str, str, Callable[..., None], tuple[Any, ...]]


def plan(scale: float, seed: int, survivors: Path) -> Iterator[Step]:
    """Every line of the table: id, what, the function that fills it, and its arguments."""

    def some(times: int) -> int:
        return max(1, round(times * scale))

    formats = FORMATS.values()
    for f in formats:
        for width, times in KILLS.items():
            fill = partial(kills.random_kills, keep=survivors)
            yield "R1", f"killed: {f.name}, {SIZES[width]}", fill, (f, width, some(times), seed)
    for f in formats:
        for how in FAILURES:
            yield "R2", f"each call: {f.name}, {how}", errors.every_call, (f, how, SMALL)
    for f in formats:
        for share in (0.01, 0.3, 0.9):
            what = f"file limit {share:.0%}: {f.name}"
            yield "R3", what, errors.limited_size, (f, MEGABYTE, share)
        for share in (0.1, 0.5, 0.9, 0.99, None) if errors.can_mount() else ():
            what = f"{'read-only' if share is None else f'disk {share:.0%}'}: {f.name}"
            yield "R3", what, errors.full_disk, (f, MEGABYTE, share)
    for f in formats:
        yield "R4", f"layers raise: {f.name}", errors.failing_layers, (f, SMALL)
        for number in (signal.SIGINT, signal.SIGTERM):
            arguments = (f, SMALL, number, some(100), seed)
            yield "R4", f"{number.name}: {f.name}", errors.signals, arguments
    for f in formats:
        yield "R5", f"power cut: {f.name}", power_loss.power_cuts, (f, SMALL, 64, seed)
    for f in formats:
        what = f"4 writers, 1 reader: {f.name}"
        yield "R6", what, kills.writers_and_readers, (f, 4, some(100), SMALL)
    for kind in rot.KINDS:
        for name in DAMAGED:
            arguments = (FORMATS[name], kind, some(MANY), seed)
            yield "R7", f"{kind}: {name}", rot.damaged, arguments
        yield "R7", f"{kind}: .keras by Keras", rot.by_keras, (kind, some(MANY), seed)
        what = f"{kind}: .keras in Keras"
        yield "R8", what, rot.opened_by_keras, (kind, some(MANY), seed)
    for name in DAMAGED:
        yield "R9", f"cut everywhere: {name}", rot.cut_everywhere, (FORMATS[name], some(MANY))
    yield "R12", "training killed until done", training.kill_loop, (some(10), 10, seed)
    yield "R13", "newest backup damaged", training.damaged_backups, (some(50), seed)
    for f in formats:
        yield "R15", f"nothing grows: {f.name}", kills.steady, (f, some(MANY))
    for megabytes in (50, 500):
        for weights_only in (False, True):
            what = f"cost, {megabytes} MB {'.weights.h5' if weights_only else '.keras'}"
            yield "R16", what, cost.cost, (megabytes, some(10), weights_only)
    yield "R17", "survivors of R1 in Keras", cost.opened_by_keras, (survivors, 100)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", default=(), help="ids such as R1 R7")
    parser.add_argument("--scale", type=float, default=1.0, help="of the random trials; default 1")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"seed {asked.seed}\n\n{'id':4}{'what':38}{'N':>7}{'failed':>8}{'seconds':>9}  notes")
    failed = tried = 0
    with tempfile.TemporaryDirectory() as survivors:
        for id, what, fill, arguments in plan(asked.scale, asked.seed, Path(survivors)):
            if asked.only and id not in asked.only:
                continue
            row = timed(fill, Row(id, what), *arguments)
            failures = len(row.failures)
            print(f"{id:4}{what:38}{row.tried:7}{failures:8}{row.seconds:9.1f}  {row.note}")
            for text in row.failures[:5]:
                print(f"      {text}")
            sys.stdout.flush()
            tried, failed = tried + row.tried, failed + failures
    if not errors.can_mount():
        print("R3  left out: full disks, since no file system can be mounted here")
    print(f"\n{tried} checks, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
