"""Staghorn against `keras` on JAX: the same programs, alternating in one run, as ratios.

    python benchmarks/compare.py                         # power_plant and mnist_mlp
    python benchmarks/compare.py mnist_wide --repeats 1
    python benchmarks/compare.py power_plant --epochs 50 --repeats 1    # a quick look
    python benchmarks/compare.py mnist_cnn --against keras keras-tensorflow

Every repeat runs each contender once, in a process of its own, in an order that turns round
from repeat to repeat, with the repeat's number as the seed. A ratio is taken within a repeat
(keras / staghorn: above 1, Staghorn is faster), then the median and the spread over repeats.
`keras` is keras on JAX, `keras-tuned` the same with `steps_per_execution` set to a whole epoch;
`keras-tensorflow` and `keras-torch` need those packages.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from programs import DATA, PROGRAMS

HERE = Path(__file__).resolve().parent
PEERS = ("keras", "keras-tuned", "keras-tensorflow", "keras-torch")
MEASURES = {"fit": "fit (s)", "epoch": "epoch, compiled (ms)", "script": "whole script (s)"}
TARGETS = {("power_plant", "fit"): 5.0, ("mnist_mlp", "epoch"): 3.0}


def run_once(program, contender, seed, epochs):
    library, _, variant = contender.partition("-")
    command = [sys.executable, str(HERE / "programs.py"), program, library]
    command += ["--seed", str(seed)]
    if variant in ("tensorflow", "torch"):
        command += ["--backend", variant]
    if epochs:
        command += ["--epochs", str(epochs)]
    if variant == "tuned":
        command += ["--steps-per-execution", str(PROGRAMS[program][3])]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "script": seconds}


def compare(program, repeats, epochs, peers):
    contenders = ["staghorn", *peers]
    results = {name: [] for name in contenders}
    for repeat in range(repeats):
        order = contenders if repeat % 2 == 0 else contenders[::-1]
        for contender in order:
            result = run_once(program, contender, repeat, epochs)
            results[contender].append(result)
            print(
                f"  seed {repeat}  {contender:<16} fit {result['fit']:7.2f} s"
                f"  epoch {result['epoch']:8.2f} ms  script {result['script']:7.2f} s",
                flush=True,
            )
    return results


def report(program, results):
    print(f"\n{program}: ratio = other / staghorn, median (lowest to highest)")
    for measure, title in MEASURES.items():
        ours = [result[measure] for result in results["staghorn"]]
        target = TARGETS.get((program, measure))
        line = f"  {title:<22} staghorn {statistics.median(ours):8.2f}"
        for contender in list(results)[1:]:
            theirs = [result[measure] for result in results[contender]]
            ratios = sorted(a / b for a, b in zip(theirs, ours, strict=True))
            line += (
                f" | {contender} {statistics.median(theirs):8.2f}, ratio"
                f" {statistics.median(ratios):5.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            )
        print(line + (f" | wanted against keras: {target:g}" if target else ""))
    for name in results["staghorn"][0]["quality"]:
        means = {
            contender: statistics.fmean(result["quality"][name] for result in runs)
            for contender, runs in results.items()
        }
        gap = means["staghorn"] - means[list(results)[1]]
        shown = ", ".join(f"{contender} {mean:.4f}" for contender, mean in means.items())
        print(f"  {name:<22} {shown} | staghorn - {list(results)[1]}: {gap:+.4f}")
    print()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("programs", nargs="*", default=["power_plant", "mnist_mlp"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="instead of each program's own number")
    parser.add_argument("--against", nargs="+", choices=PEERS, default=["keras", "keras-tuned"])
    options = parser.parse_args()
    unknown = sorted(set(options.programs) - set(PROGRAMS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(PROGRAMS)}")
    if not DATA.is_dir():
        sys.exit(f"no data in {DATA}; set STAGHORN_DATA to the folder that holds it.")
    machine = f"{platform.machine()}, {os.cpu_count()} cores visible"
    print(f"{machine}, Python {platform.python_version()}")
    for program in options.programs:
        report(program, compare(program, options.repeats, options.epochs, options.against))


if __name__ == "__main__":
    main()
