"""Whole programs on Staghorn and on what a user could pick instead, taking turns in one run.

    python -m benchmarks.compare                       # --quick: all programs, about 20 minutes
    python -m benchmarks.compare --full                # more of everything: hours
    python -m benchmarks.compare lstm gru --only staghorn keras-jax torch   # a look, no page

For each program every contender gets a process of its own (`contenders.py`); all of them are alive
at once and take turns, round by round, in an order that turns round. A ratio is taken within a
round (other / Staghorn: above 1, Staghorn is faster), then the median and the spread over rounds.
A contender that takes three times as long as the best peer leaves after the round.

Results go to a JSON file after each program, and what is in it is not measured again: an
interrupted run goes on. Programs named on the command line are measured anew. At the end
`page.py` writes docs/benchmarks.md and its chart from that file.
"""

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import page
from benchmarks.contenders import CONTENDERS
from benchmarks.data import DATA
from benchmarks.programs import PROGRAMS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench-output" / "results.json"
HOPELESS = 3.0
PACKAGES = ("jax", "jaxlib", "keras", "tensorflow-cpu", "tensorflow", "torch", "numpy")
STARTUP = ("staghorn", "keras-jax", "keras-tensorflow", "keras-torch", "torch", "jax")
OTHER_PARTS = ("startup", "growth")


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    name: str
    place: int  # in `Program.whole`
    processes: int
    rounds: int
    seconds: float
    patience: float  # seconds for one answer
    starts: int
    budget: float  # seconds after which a process goes through no more rounds than two


QUICK = Effort("quick", 0, 1, 5, 0.4, 120, 3, 70)
FULL = Effort("full", 1, 3, 9, 1.5, 1200, 7, 900)


class Failed(Exception):
    """A contender did not answer."""


class Worker:
    """The process of one contender; `ask(line)` returns its answer."""

    def __init__(self, program, name, seed, patience, cache):
        self.patience, self.errors = patience, tempfile.TemporaryFile("w+")  # noqa: SIM115
        command = [sys.executable, "-m", "benchmarks.contenders", program, name]
        self.process = subprocess.Popen(
            [*command, "--seed", str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment(cache),
            cwd=ROOT,
            text=True,
        )

    def answer(self):
        ready, _, _ = select.select([self.process.stdout], [], [], self.patience)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            why = f"no answer in {self.patience:g} s" if not ready else self.last_error()
            self.close()
            raise Failed(why)
        return json.loads(line)

    def ask(self, line):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        return self.answer()

    def last_error(self):
        self.errors.seek(0)
        lines = [line for line in self.errors.read().splitlines() if line.strip()]
        return lines[-1][:200] if lines else "it ended without a word"

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()


def environment(cache):
    """The environment of a contender: caches of compiled programs are in a folder of this run."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(cache),
        "STAGHORN_DATA": str(DATA),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


# Programs --------------------------------------------------------------------------------------


def run_program(program, names, effort, say=print):
    """Measure a program: {contender: {"built": [...], "first": [...], "some": [[...]], ...}}."""
    wanted = PROGRAMS[program].contenders or names
    names = [name for name in names if name in wanted]
    results = {
        name: {"built": [], "first": [], "some": [], "cpu": [], "peak": [], "quality": []}
        for name in names
    }
    for seed in range(effort.processes):
        with tempfile.TemporaryDirectory() as cache, contextlib.ExitStack() as stack:
            alive = {}
            for name in names:  # they import side by side, which is not measured
                if "failed" not in results[name] and not results[name].get("hopeless"):
                    folder = Path(cache) / name
                    alive[name] = Worker(program, name, seed, effort.patience, folder)
                    stack.callback(alive[name].close)
            one_process(program, alive, results, effort, say)
    return results


def one_process(program, alive, results, effort, say):
    entry, began = PROGRAMS[program], time.perf_counter()

    def ask(name, line=None):
        try:
            return alive[name].ask(line) if line else alive[name].answer()
        except Failed as error:
            results[name]["failed"] = str(error)
            del alive[name]
            say(f"  {name:<27} failed: {error}")
            return None

    def leave(name):
        last = ask(name, "end")
        if last is not None:
            results[name]["peak"].append(last["peak"])
            alive.pop(name).close()

    for name in list(alive):
        ask(name)
    for name in list(alive):
        first = ask(name, f"first {entry.whole[effort.place]}")
        quality = first and ask(name, "quality")
        if quality:
            say(f"  {name:<27} built {first['built']:6.2f} s, first {first['first']:7.2f} s")
            for key, value in {**first, **quality}.items():
                results[name][key].append(value)
            results[name]["some"].append([])
            results[name]["cpu"].append([])
    for turn in range(effort.rounds if entry.some else 0):
        if turn > 1 and time.perf_counter() - began > effort.budget:
            break
        for name in list(alive)[:: 1 if turn % 2 == 0 else -1]:
            some = ask(name, f"some {entry.some} {effort.seconds}")
            if some is not None:
                results[name]["some"][-1].append(some["some"])
                results[name]["cpu"][-1].append(some["cpu"])
        for name in hopeless(alive, results):
            results[name]["hopeless"] = True
            leave(name)
    for name in list(alive):
        leave(name)
        rounds = results[name]["some"][-1]
        if rounds:
            used = statistics.median(results[name]["cpu"][-1])
            clock = f"{statistics.median(rounds):10.3f} ms per {entry.unit}"
            say(f"  {name:<27} {clock}, {used:10.3f} of the processor")


def hopeless(alive, results):
    """Those of `alive` that took three times as long as the best peer; never Staghorn."""
    so_far = {name: statistics.median(results[name]["some"][-1]) for name in alive}
    peers = [value for name, value in so_far.items() if name not in ("staghorn", "jax")]
    bar = HOPELESS * min(peers, default=float("inf"))
    return [name for name, value in so_far.items() if value > bar and name != "staghorn"]


# From the start of a process -------------------------------------------------------------------

IMPORTS = {
    "jax": "import jax",
    "staghorn": "import staghorn",
    "keras-jax": "import keras",
    "keras-tensorflow": "import keras",
    "keras-torch": "import keras",
}
# `import staghorn` puts off what its first model needs, so that is shown too.
ABOVE_JAX = {
    "staghorn above jax": "import staghorn",
    "staghorn and its first layer, above jax": (
        "import staghorn; staghorn.Sequential([staghorn.layers.Dense(1)])"
    ),
}
TIMED = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"


def run_startup(names, effort, say=print):
    """Imports, `staghorn --help`, and from nothing to the end of a first fit; in seconds."""
    results = {"import": {}, "help": {}, "cold": {}, "warm": {}}
    names = [name for name in names if name in STARTUP]
    with tempfile.TemporaryDirectory() as cache:
        for turn in range(effort.starts):
            if "staghorn" in names:
                for name, statement in ABOVE_JAX.items():
                    code = f"import jax\n{TIMED.format(statement)}"
                    seconds = float(run([sys.executable, "-c", code], cache))
                    note(results["import"], name, seconds)
                start = time.perf_counter()
                text = run([sys.executable, "-m", "staghorn", "--help"], cache)
                seconds = time.perf_counter() - start if text != "nan" else float("nan")
                note(results["help"], "staghorn --help", seconds)
            for name in (n for n in IMPORTS if n in names):
                backend = {"KERAS_BACKEND": CONTENDERS[name].backend or "jax"}
                code = [sys.executable, "-c", TIMED.format(IMPORTS[name])]
                note(results["import"], name, float(run(code, cache, backend)))
            for name in names[:: 1 if turn % 2 == 0 else -1]:
                folder = Path(cache) / f"{name}-{turn}"
                for kind in ("cold", "warm"):
                    start = time.perf_counter()
                    worker = Worker("first_fit", name, turn, effort.patience, folder)
                    with contextlib.closing(worker):
                        try:
                            worker.answer()
                            worker.ask("first 1")
                        except Failed as error:
                            say(f"  {name:<27} failed: {error}")
                            break
                        note(results[kind], name, time.perf_counter() - start)
    for kind, times in results.items():
        for name, values in times.items():
            say(f"  {kind:<7} {name:<27} {statistics.median(values):7.3f} s")
    return results


def run(command, cache, more=None):
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**environment(cache), **(more or {})},
    )
    return done.stdout.strip().splitlines()[-1] if done.returncode == 0 else "nan"


def note(results, name, value):
    results.setdefault(name, []).append(value)


def run_growth(names, effort, say=print):
    """The growth curves of `growth.py`, each contender in its own process."""
    results = {}
    for name in (n for n in ("staghorn", "keras-jax") if n in names):
        if name == "keras-jax" and effort is QUICK:
            continue
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, "-m", "benchmarks.growth", name, "--repeats"]
            line = run([*command, str(effort.starts)], cache)
        if line == "nan":
            say(f"  {name:<27} failed")
            continue
        results[name] = json.loads(line)
        for curve, points in results[name].items():
            say(f"  {name:<12} {curve:<24} {page.in_words(points)}")
    return results


# All of it -------------------------------------------------------------------------------------


def machine():
    """This machine in general words."""
    system = f"{os.cpu_count()}-core {platform.machine().replace('_', '-')} CPU"
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text()
        vector = next((n for f, n in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if f in flags), "")
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        system += f"{', ' + vector if vector else ''}, {memory:.0f} GiB of memory"
    return f"{system}, {platform.system()}"


def versions():
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def about(effort):
    return {"effort": effort.name, "machine": machine(), "versions": versions()}


def load_results(path, wanted, fresh):
    """What is there and was measured like this; else nothing."""
    if path.is_file() and not fresh:
        held = json.loads(path.read_text())
        if held["about"] == wanted:
            return held
        print(f"{path} is of another machine, other versions or another effort: starting anew.")
    return {"about": wanted, "parts": {}}


def save_results(path, results):
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1))
    part.replace(path)


def parse(arguments=None):
    known = [*PROGRAMS, *OTHER_PARTS]
    known.remove("first_fit")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help="measured anew; default: what is missing of all")
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--quick", dest="effort", action="store_const", const=QUICK)
    effort.add_argument("--full", dest="effort", action="store_const", const=FULL)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, help="these; writes no page")
    parser.add_argument("--rounds", type=int, help="a look with fewer rounds; writes no page")
    parser.add_argument("--fresh", action="store_true", help="forget all results")
    parser.add_argument("--page", action="store_true", help="only write the page, from the results")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.set_defaults(effort=QUICK)
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.parts) - set(known)):
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    options.known = known
    return options


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that contenders end too
    options = parse()
    effort, look = options.effort, bool(options.only or options.rounds)
    if options.rounds:
        effort = Effort(**{**effort.__dict__, "rounds": options.rounds, "starts": 1})
    if not DATA.is_dir():
        sys.exit(f"no data in {DATA}; set STAGHORN_DATA to the folder that holds it.")
    names = options.only or [n for n, c in CONTENDERS.items() if c.quick or effort.name == "full"]
    results = load_results(options.results, about(effort), options.fresh or look)
    print(results["about"]["machine"], results["about"]["versions"], sep="\n")
    if (busy := os.getloadavg()[0]) > 0.5 * (os.cpu_count() or 1):
        print(f"This machine is busy (load {busy:.1f}): ratios will scatter.")
    missing = [] if options.page else [p for p in options.known if p not in results["parts"]]
    for part in options.parts or missing:
        start = time.perf_counter()
        print(f"{part}", flush=True)
        special = {"startup": run_startup, "growth": run_growth}
        say = lambda text: print(text, flush=True)  # noqa: E731
        measured = (
            special[part](names, effort, say)
            if part in special
            else run_program(part, names, effort, say)
        )
        results["parts"][part] = {
            "date": datetime.date.today().isoformat(),
            "load": busy,
            "results": measured,
        }
        print(f"  {time.perf_counter() - start:.0f} s", flush=True)
        if not look:
            save_results(options.results, results)
    print(page.as_text(results))
    if not look:
        page.write(results, ROOT / "docs")


if __name__ == "__main__":
    main()
