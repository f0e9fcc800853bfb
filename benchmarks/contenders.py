"""Who runs the programs, and the process in which one of them runs one program.

    python -m benchmarks.contenders mnist_mlp staghorn --seed 0

makes the program, says so on stdout, and then does what it is told on stdin, a line each: `first
EPOCHS` (seconds, compilation included), `quality` (what was reached), `some EPOCHS SECONDS` (again
and again for about so long: milliseconds of one, by the clock and of all cores together), `end`
(the peak of memory). The answers are JSON. So all contenders of a program are alive at once and
take turns.
"""

import argparse
import importlib
import json
import os
import resource
import sys
import time
from dataclasses import dataclass, field

from benchmarks.programs import PROGRAMS


@dataclass(frozen=True)
class Contender:
    """A way to run a program.

    Args:
        title: for the page.
        library: "staghorn", "keras", or a module of `benchmarks` with the same program names.
        backend: of keras.
        tuned: whether it has settings that its users must know about.
        options: of `compile`; "epoch" stands for as many steps as an epoch has.
        quick: whether `--quick` runs it.
    """

    title: str
    library: str
    backend: str = ""
    tuned: bool = False
    options: dict = field(default_factory=dict)
    quick: bool = True


STEPS = {"steps_per_execution": "epoch"}
CONTENDERS = {
    "staghorn": Contender("Staghorn", "staghorn"),
    "jax": Contender("hand-written JAX", "jax_loops"),
    "torch": Contender("plain PyTorch", "torch_loops"),
    "keras-jax": Contender("keras on JAX", "keras", "jax"),
    "keras-jax+steps": Contender("keras on JAX, tuned", "keras", "jax", True, STEPS),
    "keras-tensorflow": Contender("keras on TensorFlow", "keras", "tensorflow"),
    "keras-tensorflow+steps": Contender(
        "keras on TensorFlow, tuned", "keras", "tensorflow", True, STEPS
    ),
    "keras-tensorflow+steps-jit": Contender(
        "keras on TensorFlow, tuned, no XLA",
        "keras",
        "tensorflow",
        True,
        {**STEPS, "jit_compile": False},
    ),
    "keras-torch": Contender("keras on PyTorch", "keras", "torch"),
    "keras-torch+jit": Contender(
        "keras on PyTorch, compiled", "keras", "torch", True, {"jit_compile": True}, quick=False
    ),
}
PEERS = [name for name in CONTENDERS if name not in ("staghorn", "jax")]


def peers_meant(word):
    """The contenders that a target means: "best" of all peers, best "keras", "default", "tuned"."""
    keras = [name for name in PEERS if name.startswith("keras")]
    groups = {
        "best": PEERS,
        "keras": keras,
        "default": [name for name in keras if not CONTENDERS[name].tuned],
        "tuned": [name for name in keras if CONTENDERS[name].tuned],
    }
    return groups.get(word, [word])


def load(name):
    """Import what a contender needs."""
    contender = CONTENDERS[name]
    if contender.library.endswith("_loops"):
        return importlib.import_module(f"benchmarks.{contender.library}")
    os.environ["KERAS_BACKEND"] = contender.backend or "jax"
    lib = importlib.import_module(contender.library)
    for package, name in (("layers", "Dense"), ("ops", "add"), ("models", "Model")):
        getattr(getattr(lib, package), name)  # Staghorn imports on first use
    return lib


def make(program, name, lib, seed):
    """Return (work, quality) of a program on a contender."""
    contender = CONTENDERS[name]
    if contender.library.endswith("_loops"):
        return getattr(lib, program)(seed)
    lib.utils.set_random_seed(seed)
    steps = PROGRAMS[program].steps
    options = {k: steps if v == "epoch" else v for k, v in contender.options.items()}
    return PROGRAMS[program].make(lib, options if steps else {})


def peak_megabytes():
    """The most memory that this process had at once."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure(work, count, seconds):
    """Milliseconds of one epoch (or call), of the clock and of all cores together.

    The means of `work(count)`, again and again for about `seconds`.
    """
    start, used, done = time.perf_counter(), time.process_time(), 0
    while not done or time.perf_counter() - start < seconds:
        work(count)
        done += count
    clock, used = time.perf_counter() - start, time.process_time() - used
    return 1000 * clock / done, 1000 * used / done


def serve(program, name, seed, commands, answer):
    """Do what the lines of `commands` say."""
    lib = load(name)
    answer({"ready": True})
    work = quality = None
    for line in commands:
        verb, *numbers = line.split()
        if verb == "first":
            start = time.perf_counter()
            work, quality = make(program, name, lib, seed)
            built = time.perf_counter() - start
            start = time.perf_counter()
            work(int(numbers[0]))
            first = time.perf_counter() - start
            answer({"built": built, "first": first})
        elif verb == "quality":
            answer({"quality": quality()})
        elif verb == "some":
            clock, used = measure(work, int(numbers[0]), float(numbers[1]))
            answer({"some": clock, "cpu": used})
        else:
            answer({"peak": peak_megabytes()})
            return


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    serve(
        options.program,
        options.contender,
        options.seed,
        sys.stdin,
        lambda result: print(json.dumps(result), file=answers, flush=True),
    )


if __name__ == "__main__":
    main()
