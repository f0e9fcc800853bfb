"""Compiler options worth giving to the outermost `jax.jit`, where this jaxlib knows them.

XLA takes options only there: those of an inner `jit` are an error. An option that a jaxlib does
not know is an error too, so each is tried once on an empty program.
"""

from collections import Counter
from functools import lru_cache
from typing import Any

import jax

from staghorn.engine.jax_internals import operations

# By default XLA's CPU backend hands convolutions to YNN, a library of microkernels; with this
# option only products go there, and it convolves with Eigen's kernels, which reach twice as much.
# jaxlib 0.10.2 on 2 cores, float32, 3 x 3 kernels, inside a loop, without it and with it, in ms:
#   (128, 26, 26, 32) -> 64   forward 52, 16   kernel's gradient 78, 13   input's gradient 22, 17
#   (64, 32, 32, 32) -> 32    forward 6.5, 4.9 kernel's gradient 12, 8.6  input's gradient 6.7, 4.7
# Multilayer perceptrons (epochs of 784-128-10 and 784-512-512-10): 26 and 27, 93 and 95 ms, so
# they are compiled as ever. Compile time does not differ.
_CPU_CONVOLUTION = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"}

# An `optimization_barrier` keeps what comes out of an operation from being computed again, element
# by element, inside each that reads it. XLA's CPU backend takes barriers out before it joins
# operations, unless this pass is left out. With one before the transpositions in a kernel's
# gradient and one around the places of a pool's maxima, in ms: an epoch of a small CNN 2090, 1740,
# of a residual one 1690, 1375. Where XLA makes one function of a whole loop, which it does with
# small ones, it knows no barriers: the loop over steps is not to be one of them, and programs with
# barriers inside loops of their own (an LSTM's moments) are compiled as ever.
_CPU_BARRIER = {"xla_disable_hlo_passes": "cse_barrier_expander,small-while-loop-hoisting"}
_BARRIER = "optimization_barrier"

# Looking for what could be moved out of the loop over steps takes a quarter of the time to compile
# 200 layers (4.6 s of CPU, 3.4 without), and finds nothing that counts. Loops inside a step do need
# it: an LSTM casts its weights once, not at each moment.
_CPU_LARGE_LOOP = {"xla_disable_hlo_passes": "while-loop-invariant-code-motion"}
_LARGE = 3000  # operations: small programs compile in no time, and asking XLA costs 10 ms


def convolution_options() -> dict[str, str]:
    """Return the options for `jax.jit(f, compiler_options=...)` if f does nothing but convolve.

    Example:
        >>> from staghorn.engine.compiler_options import convolution_options
        >>> slide = jax.jit(lambda x: 2 * x, compiler_options=convolution_options())
        >>> float(slide(3.0))
        6.0
    """
    return _known(_CPU_CONVOLUTION)


def options_for(program: Any) -> dict[str, str]:
    """Return the options for a traced program, on the current platform.

    Args:
        program: what `jax.make_jaxpr` returns.

    Example:
        >>> from staghorn.engine.compiler_options import options_for
        >>> options_for(jax.make_jaxpr(lambda x: 2 * x)(3.0))
        {}
    """
    return _options(program, operations(program), [])


def options_for_loop(step: Any) -> dict[str, str]:
    """Return the options for a program that loops over a traced step.

    Args:
        step: what `jax.make_jaxpr` returns.

    Example:
        >>> from staghorn.engine.compiler_options import options_for_loop
        >>> options_for_loop(jax.make_jaxpr(lambda x: 2 * x)(3.0))
        {}
    """
    counts = operations(step)
    plain = counts.total() > _LARGE and not counts.keys() & {"while", "scan"}
    return _options(step, counts, [_CPU_LARGE_LOOP] if plain else [])


def _options(program: Any, counts: Counter, more: list[dict[str, str]]) -> dict[str, str]:
    wanted = [*more]
    if counts.keys() & {"conv_general_dilated", "staghorn_convolution"}:
        wanted.append(_CPU_CONVOLUTION)
    if 0 < counts[_BARRIER] == operations(program, in_loops=False)[_BARRIER]:
        wanted.append(_CPU_BARRIER)
    found: dict[str, str] = {}
    for given in map(_known, wanted):
        for name, value in given.items():  # passes to leave out are a list
            found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _known(given: dict[str, str]) -> dict[str, str]:
    """Return the options if this is a CPU whose compiler takes them."""
    if jax.default_backend() != "cpu" or not is_known("cpu", tuple(given.items())):
        return {}
    return dict(given)


@lru_cache(maxsize=8)
def is_known(platform: str, given: tuple[tuple[str, str], ...]) -> bool:
    """Say whether the compiler of a platform takes some options. Costs about 10 ms, once."""
    device = jax.devices(platform)[0]
    try:
        with jax.default_device(device):
            jax.jit(lambda: 0, compiler_options=dict(given)).lower().compile()
    except (jax.errors.JaxRuntimeError, ValueError, TypeError):
        return False
    return True
