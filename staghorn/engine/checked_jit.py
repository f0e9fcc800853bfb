"""`jax.jit`, and a look at what the compiler made of it before it runs.

XLA's CPU backend (jaxlib 0.10.2) lets an operation write its result over an operand that it reads
place by place, and asks that of one name of the operand only. Where it also reads the same array
reshaped, under a second name, out of order, it reads what it has overwritten: no error, other
numbers. Dense(24, "tanh"), Reshape, MaxPooling2D((2, 4)) trained that way, a step at a time right
and in a loop wrong. Nothing tells XLA to look twice, so the compiled text is read: an operation
that is given an array under two names, and has a result of that array's size: only then does XLA
write over it. Such a program is compiled again without joining operations, up to seven times
slower. None of 5,000 programs of the common tests is one, nor any of the benchmarks'.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from staghorn.engine.jax_internals import is_tracer

_LINE = re.compile(r"%([\w.-]+) = .*? (bitcast|fusion)\(([^)]*)\)(, kind=kLoop)?")
_SHAPE = re.compile(r"%([\w.-]+) = (\([^)]*\)|\S+) ")
_SIZE = re.compile(r"[a-z]+(\d+)?\w*\[([\d,]*)\]")
_SKIP = "xla_disable_hlo_passes"


class CheckedJit:
    """A function that `jax.jit` compiles, once for each form of its arguments, and checked.

    Args:
        fn: the function.
        fixed: how many of the first arguments have the same form in every call: they are not
            looked at again. Default: 0.
        compiler_options: as of `jax.jit`. Default: None.
        donate_argnums: as of `jax.jit`. Default: None.
        static_argnums: as of `jax.jit`. Default: ().

    Example:
        >>> from staghorn.engine.checked_jit import CheckedJit
        >>> double = CheckedJit(lambda x: 2 * x)
        >>> float(double(3.0))
        6.0
    """

    def __init__(
        self,
        fn: Callable,
        fixed: int = 0,
        compiler_options: dict[str, str] | None = None,
        donate_argnums: int | None = None,
        static_argnums: Sequence[int] = (),
    ) -> None:
        self._fn, self._fixed = fn, fixed
        self._options = compiler_options or {}
        self._static = tuple(static_argnums)
        self._donated = donate_argnums
        self._forms: set[Any] = set()
        self.program = self._unchecked = self._made(self._options)

    def _made(self, options: dict[str, str]) -> Any:
        return jax.jit(
            self._fn,
            compiler_options=options,
            donate_argnums=self._donated,
            static_argnums=self._static,
        )

    def __call__(self, *args: Any) -> Any:
        form = self._form(args)
        if form not in self._forms:
            if any(map(is_tracer, jax.tree.leaves(args))):  # a part of another program
                return self._unchecked(*args)
            self._check(args)
            self._forms.add(form)
        return self.program(*args)

    def _form(self, args: tuple) -> Any:
        static = tuple(args[n] for n in self._static)
        varied = [a for n, a in enumerate(args) if n >= self._fixed and n not in self._static]
        leaves, structure = jax.tree.flatten(varied)
        return structure, static, *((np.shape(a), getattr(a, "dtype", type(a))) for a in leaves)

    def _check(self, args: tuple) -> None:
        """Compile for some arguments: what JAX then finds in its cache, or without fusion."""
        if jax.default_backend() != "cpu":
            return
        try:
            compiled = self.program.lower(*args).compile()
        except jax.errors.JaxRuntimeError:  # options win time; they must not cost a program
            if not self._options:
                raise
            self._options = {}
            self._replace({})
            compiled = self.program.lower(*args).compile()
        if overwrites(compiled.as_text() or ""):
            skipped = ",".join(filter(None, (self._options.get(_SKIP), "fusion")))
            self._replace({**self._options, _SKIP: skipped})

    def _replace(self, options: dict[str, str]) -> None:
        """Compile with other options from now on; what was looked at before is looked at again."""
        self.program = self._made(options)
        self._forms.clear()


def overwrites(text: str) -> bool:
    """Say whether an operation of a compiled program may write over what it has yet to read.

    Args:
        text: of the program, as `compiled.as_text()` returns it.

    Example:
        >>> from staghorn.engine.checked_jit import overwrites
        >>> program = jax.jit(lambda x: x + 1).lower(1.0).compile()
        >>> overwrites(program.as_text())
        False
    """
    same: dict[str, str] = {}
    suspected: list[tuple[str, list[str]]] = []
    for name, kind, operands, loop in _LINE.findall(text):
        arrays = [same.get(one, one) for one in re.findall(r"%([\w.-]+)", operands)]
        if kind == "bitcast":
            same[name] = arrays[0]
        elif loop and len(set(arrays)) < len(arrays):
            suspected.append((name, [one for one in set(arrays) if arrays.count(one) > 1]))
    if not suspected:
        return False
    shapes = dict(_SHAPE.findall(text))
    return any(
        _sizes(shapes[name]) & _sizes(shapes[one]) for name, twice in suspected for one in twice
    )


def _sizes(shape: str) -> set[int]:
    """Return the bits of each array of an HLO shape; predicates are stored as bytes."""
    found = _SIZE.findall(shape)
    return {int(bits or 8) * math.prod(map(int, filter(None, n.split(",")))) for bits, n in found}
