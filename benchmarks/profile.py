"""Where the time of a program goes: python -m benchmarks.profile transformer staghorn

One epoch, everything compiled, under JAX's profiler: milliseconds and calls of each operation of
the compiled program, and where it comes from (layers are scopes in the names). A loop counts with
what it holds, and what runs side by side counts each: the sum exceeds the clock.
"""

import argparse
import gzip
import json
import os
import re
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.contenders import CONTENDERS, load, make

WITH_JAX = [n for n, c in CONTENDERS.items() if c.backend in ("", "jax") and n != "torch"]


def origins(folder):
    """{operation: where it comes from}, of every program that was compiled."""
    found = {}
    for path in Path(folder).glob("*after_optimizations.txt"):
        pattern = r'%([\w.-]+) = .*metadata=\{[^}]*op_name="([^"]*)"'
        found.update(re.findall(pattern, path.read_text()))
    return found


def times(folder):
    """(microseconds, calls) of each operation in the traces of a folder."""
    spent, calls = Counter(), Counter()
    for path in Path(folder).rglob("*.trace.json.gz"):
        with gzip.open(path) as file:
            events = json.load(file)["traceEvents"]
        for event in events:
            if event.get("ph") == "X" and "hlo_op" in event.get("args", {}):
                spent[event["name"]] += event["dur"]
                calls[event["name"]] += 1
    return spent, calls


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("contender", choices=WITH_JAX)
    parser.add_argument("--top", type=int, default=25)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dump = f"--xla_dump_to={folder}/hlo --xla_dump_hlo_as_text"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {dump}".strip()
        work, _ = make(options.program, options.contender, load(options.contender), seed=0)
        import jax

        work(2)
        with jax.profiler.trace(f"{folder}/trace"):
            work(1)
        (spent, calls), names = times(f"{folder}/trace"), origins(f"{folder}/hlo")
    for name, duration in spent.most_common(options.top):
        where = re.sub(r"^jit\(\w+\)/|while/body/(closed_call/)?", "", names.get(name, ""))
        print(f"{duration / 1000:9.2f} ms {calls[name]:7d}  {name:<32} {where[:90]}")
    print(f"{sum(spent.values()) / 1000:9.2f} ms in all")


if __name__ == "__main__":
    main()
