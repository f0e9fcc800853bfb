"""What can be counted of a `fit`, and its limits: python -m benchmarks.counts prints the table.

No clock: compilations, programs run in an epoch, copies to the device, waits for the device, the
size of a step. A recompile per epoch, a lost loop, a copy per batch or a wait per step shows here
on any machine. `tests/budget` asserts the same figures.

Per epoch means: a fit of four epochs less a fit of two, halved, everything compiled before.
"""

import argparse
import contextlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
from jax._src import array, pjit
from jax._src.interpreters import pxla

import staghorn
from staghorn import layers
from staghorn.training import executor
from staghorn.training import step as steps
from staghorn.training import stream as streams

STEPS = 40
BATCH = 8
RNG = np.random.default_rng(0)
COMPILED = "/jax/core/compile/backend_compile_duration"


# What is counted ---------------------------------------------------------------------------------


class Counting:
    """Counts what JAX does while it is open.

    Compiled functions are kept off JAX's fast path in C++, which nobody can watch; so only what
    was first called inside is seen. `numpy.asarray` of a device's array waits for the device.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.executables: dict[int, tuple[str, Any]] = {}  # all that ran, alive: ids are theirs
        self.operations = 0
        self._stack = contextlib.ExitStack()

    def _replace(self, holder: Any, name: str, make: Callable[[Any], Any]) -> None:
        original = getattr(holder, name)
        setattr(holder, name, make(original))
        self._stack.callback(setattr, holder, name, original)

    def __enter__(self) -> "Counting":
        self._replace(pjit, "_get_fastpath_data", lambda original: lambda *args, **kwargs: None)
        self._replace(pxla.ExecuteReplicated, "__call__", self._executing)
        self._replace(pxla, "batched_device_put", self._putting)
        self._replace(steps, "options_for_loop", self._tracing)
        # Groups of steps depend on the clock; here they are as large as they may be.
        self._replace(executor, "GROUP_SECONDS", lambda seconds: 1e6)
        self._replace(streams, "GROUP_WAIT", lambda seconds: 1e6)
        self._replace(array.ArrayImpl, "_value", lambda p: property(self._waiting(p.fget)))
        self._replace(array.ArrayImpl, "block_until_ready", self._waiting)
        for name in ("asarray", "array", "copyto"):
            self._replace(np, name, self._reading)
        jax.monitoring.register_event_duration_secs_listener(self._compiling)
        self._stack.callback(jax.monitoring.unregister_event_duration_listener, self._compiling)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def _executing(self, original: Any) -> Any:
        def call(executable: Any, *args: Any) -> Any:
            self.counts["programs"] += 1
            self.executables[id(executable)] = (executable.name, executable)
            return original(executable, *args)

        return call

    def _putting(self, original: Any) -> Any:
        def put(aval: Any, sharding: Any, arrays: Any, *args: Any, **kwargs: Any) -> Any:
            new = [a for a in arrays if not isinstance(a, jax.Array)]
            self.counts["copies"] += len(new)
            self.counts["bytes"] += sum(np.result_type(a).itemsize * np.size(a) for a in new)
            return original(aval, sharding, arrays, *args, **kwargs)

        return put

    def _tracing(self, original: Any) -> Any:
        """Look at the traced step, which is asked what options its loop is compiled with."""

        def options_for_loop(step: Any) -> Any:
            self.operations = max(self.operations, size_of(step.jaxpr))
            return original(step)

        return options_for_loop

    def _waiting(self, original: Any) -> Any:
        def wait(*args: Any) -> Any:
            self.counts["waits"] += 1
            return original(*args)

        return wait

    def _reading(self, original: Any) -> Any:
        def read(*args: Any, **kwargs: Any) -> Any:
            self.counts["waits"] += any(isinstance(a, array.ArrayImpl) for a in args)
            return original(*args, **kwargs)

        return read

    def _compiling(self, event: str, seconds: float, **kwargs: Any) -> None:
        self.counts["compiles"] += event == COMPILED


def size_of(jaxpr: Any) -> int:
    """The number of operations of a traced program, those in its loops and calls included."""
    inner = (
        getattr(part, "jaxpr", part)
        for equation in jaxpr.eqns
        for value in equation.params.values()
        for part in (value if isinstance(value, (list, tuple)) else [value])
        if hasattr(part, "eqns") or hasattr(part, "jaxpr")
    )
    return len(jaxpr.eqns) + sum(map(size_of, inner))


FREE = {"parameter", "tuple", "get-tuple-element", "constant", "bitcast", "after-all"}


def loop_size(text: str) -> tuple[int, int]:
    """The optimized program's largest loop: (operations of a turn, copies among them).

    Loops, branches and calls inside count with what they hold; a fusion is one operation.
    """
    bodies: dict[str, list[tuple[str, list[str]]]] = {}
    current: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if head := re.match(r"(?:ENTRY )?%([\w.-]+) .*\{$", line):
            current = bodies.setdefault(head[1], [])
        elif found := re.match(r"\s+(?:ROOT )?%[\w.-]+ = .*?[\])}] ([a-z][\w-]*)\(", line):
            inside = re.findall(r"(?:body|to_apply|_computation)=%([\w.-]+)", line)
            inside += re.findall(
                r"%([\w.-]+)", " ".join(re.findall(r"branch_comp.*?\{(.*?)\}", line))
            )
            current.append(
                (found[1], inside if found[1] in ("while", "call", "conditional") else [])
            )

    def total(name: str) -> tuple[int, int]:
        operations = copies = 0
        for kind, inside in bodies.get(name, []):
            operations += kind not in FREE
            copies += kind == "copy"
            for more in map(total, inside):
                operations, copies = operations + more[0], copies + more[1]
        return operations, copies

    loops = [
        n for body in bodies.values() for kind, names in body if kind == "while" for n in names
    ]
    return max(map(total, loops), default=(0, 0))


# The programs ------------------------------------------------------------------------------------

X = RNG.normal(size=(STEPS * BATCH, 6)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
FIT = {"batch_size": BATCH, "verbose": 0}


def perceptron(outputs: int = 1, dtype: Any = None) -> Any:
    inputs = staghorn.Input((6,))
    x = layers.Dense(16, activation="relu", dtype=dtype)(inputs)
    heads = [layers.Dense(1, dtype=dtype, name=f"head_{i}")(x) for i in range(outputs)]
    return staghorn.Model(inputs, heads if outputs > 1 else heads[0])


def compiled(model: Any, loss: Any = "mse", **options: Any) -> Any:
    model.compile("adam", loss, **options)
    return model


def on_arrays(model: Any, x: Any = X, y: Any = Y, **options: Any) -> Callable[[int], Any]:
    return lambda epochs: model.fit(x, y, epochs=epochs, **FIT, **options)


def mlp() -> Any:
    return on_arrays(compiled(perceptron(), metrics=["mae"]))


def two_outputs() -> Any:
    model, test = compiled(perceptron(2), ["mse", "mae"]), (X[:20], [Y[:20], Y[:20]])
    return on_arrays(model, y=[Y, Y], validation_data=test)


def smaller_last_batch() -> Any:
    return on_arrays(compiled(perceptron()), X[:-3], Y[:-3])


def cnn() -> Any:
    pictures = RNG.normal(size=(len(X), 8, 8, 1)).astype("float32")
    parts = [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten()]
    model = staghorn.Sequential([staghorn.Input((8, 8, 1)), *parts, layers.Dense(1)])
    return on_arrays(compiled(model), pictures)


def lstm() -> Any:
    words = RNG.integers(0, 20, (len(X), 5)).astype("int32")
    parts = [layers.Embedding(20, 8), layers.LSTM(8), layers.Dense(1)]
    return on_arrays(compiled(staghorn.Sequential(parts)), words)


class Subclassed(staghorn.Model):
    def __init__(self) -> None:
        super().__init__()
        self.wide = layers.Dense(16, activation="relu")
        self.norm, self.drop = layers.BatchNormalization(), layers.Dropout(0.5)
        self.last = layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.last(self.drop(self.norm(self.wide(inputs))))


class OwnStep(Subclassed):
    def train_step(self, data: Any) -> Any:
        x, y = data

        def loss() -> Any:
            return self.compute_loss(x=x, y=y, y_pred=self(x, training=True))

        value, grads = staghorn.value_and_grad(loss, self.trainable_variables)()
        self.optimizer.apply(grads, self.trainable_variables)
        return {"loss": value}


def subclassed() -> Any:
    return on_arrays(compiled(Subclassed()))


def custom_step() -> Any:
    return on_arrays(compiled(OwnStep()))


def stream() -> Any:
    class Batches(staghorn.utils.PyDataset):
        def __len__(self) -> int:
            return STEPS

        def __getitem__(self, index: int) -> Any:
            rows = slice(index * BATCH, (index + 1) * BATCH)
            return X[rows], Y[rows]

    model = compiled(perceptron())
    return lambda epochs: model.fit(Batches(), epochs=epochs, verbose=0)


def epoch_callbacks() -> Any:
    calls = [
        staghorn.callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True),
        staghorn.callbacks.ReduceLROnPlateau("loss"),
        staghorn.callbacks.TerminateOnNaN(),
    ]
    return on_arrays(compiled(perceptron()), callbacks=calls)


def batch_hooks() -> Any:
    call = staghorn.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    return on_arrays(compiled(perceptron()), callbacks=[call])


def mixed_precision() -> Any:
    return on_arrays(compiled(perceptron(dtype="mixed_bfloat16")))


@dataclass(frozen=True)
class Limits:
    """The most that a program may have: as of today, the sizes with some room.

    Args:
        compiles: programs compiled for the first fit, by XLA, small ones included.
        programs: compiled programs run in an epoch.
        copies: arrays copied to the device in an epoch.
        kilobytes: what they hold.
        waits: reads from the device in an epoch.
        operations: of the step as it was traced.
        loop: of one turn of the compiled loop, a fusion being one.
        loop_copies: copies among them.
    """

    compiles: int
    programs: float
    copies: float
    kilobytes: float
    waits: float
    operations: int
    loop: int
    loop_copies: int


CASES: dict[str, tuple[Callable[[], Any], Limits]] = {
    "mlp": (mlp, Limits(3, 1, 2, 2, 1, 167, 45, 6)),
    "two_outputs": (two_outputs, Limits(6, 2, 5, 2, 2, 251, 69, 8)),
    "smaller_last_batch": (smaller_last_batch, Limits(3, 1, 3, 2, 1, 143, 43, 6)),
    "cnn": (cnn, Limits(4, 1, 2, 2, 1, 228, 51, 7)),
    "lstm": (lstm, Limits(8, 1, 2, 2, 1, 258, 104, 17)),
    "subclassed": (subclassed, Limits(3, 1, 2, 2, 1, 475, 100, 24)),
    "custom_step": (custom_step, Limits(3, 1, 2, 2, 1, 460, 99, 24)),
    "stream": (stream, Limits(1, 1, 4, 12, 1, 143, 43, 6)),
    "epoch_callbacks": (epoch_callbacks, Limits(11, 1, 2, 2, 6, 143, 43, 6)),
    "batch_hooks": (batch_hooks, Limits(3, 40, 80, 61, 41, 143, 43, 6)),
    "mixed_precision": (mixed_precision, Limits(3, 1, 2, 2, 1, 156, 53, 4)),
}


# Counting and showing --------------------------------------------------------------------------


def count(make: Callable[[], Any]) -> dict[str, float]:
    """Return the figures of a program; `compiles again` are those of later fits: always 0."""
    staghorn.utils.set_random_seed(0)
    jax.clear_caches()  # small programs that ran before would not be seen
    with Counting() as seen:
        fit = make()
        seen.counts.clear()
        fit(2)
        first = seen.counts["compiles"]
        seen.counts.clear()
        fit(2)  # the pace of the steps is known now
        two, _ = Counter(seen.counts), seen.counts.clear()
        fit(4)
        four = Counter(seen.counts)
    program = max(
        (
            executable.xla_executable.hlo_modules()[0].to_string()
            for name, executable in seen.executables.values()
            if name.startswith("jit(_run")
        ),
        key=len,
    )
    loop, loop_copies = loop_size(program)
    epoch = {key: (four[key] - two[key]) / 2 for key in ("programs", "copies", "bytes", "waits")}
    return {
        "compiles": first,
        "compiles again": two["compiles"] + four["compiles"],
        "programs": epoch["programs"],
        "copies": epoch["copies"],
        "kilobytes": round(epoch["bytes"] / 1024, 1),
        "waits": epoch["waits"],
        "operations": seen.operations,
        "loop": loop,
        "loop_copies": loop_copies,
    }


def broken(name: str, figures: dict[str, float]) -> list[str]:
    """Return what is above its limit, or was not seen at all, as sentences."""
    limits = {**CASES[name][1].__dict__, "compiles again": 0}
    return [
        f"{name}: {key} is {figures[key]:g}, the limit is {limit:g}"
        for key, limit in limits.items()
        if figures[key] > limit
    ] + [
        f"{name}: no {key} were counted: `Counting` looks at the wrong place"
        for key in ("compiles", "programs", "operations", "loop")
        if figures[key] == 0
    ]


def table(found: dict[str, dict[str, float]]) -> str:
    """The figures as text, each with its limit; `!` marks what is above it."""
    heads = list(next(iter(found.values())))
    lines = [["", *heads]]
    for name, figures in found.items():
        limits = {**CASES[name][1].__dict__, "compiles again": 0}
        cells = [
            f"{figures[h]:g}/{limits[h]:g}{'!' if figures[h] > limits[h] else ''}" for h in heads
        ]
        lines.append([name, *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="*", default=list(CASES))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {name: count(CASES[name][0]) for name in options.programs}
    if options.json:
        print(json.dumps(found))
        return
    print("Each cell: figure/limit; everything but compiles and the loop is per epoch of 40 steps.")
    print(table(found))
    above = [line for name, figures in found.items() for line in broken(name, figures)]
    print("\n".join(above) or "All within their limits.")
    sys.exit(bool(above))


if __name__ == "__main__":
    main()
