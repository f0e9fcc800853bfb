"""Multiply-adds of a traced program, counted from the sizes of its products and convolutions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from staghorn.engine.jax_internals import inner_programs


def operations(program: Any, times: int = 1) -> Iterator[tuple[Any, int]]:
    """Return the operations of a traced program in order, each with how often it runs.

    A loop's body runs as often as the loop says, once where that is unknown; of branches, the one
    with most multiply-adds runs.
    """
    for equation in getattr(program, "jaxpr", program).eqns:
        inner = inner_programs(equation)
        if not inner:
            yield equation, times
        elif equation.primitive.name == "cond":
            yield from operations(max(inner, key=multiply_adds), times)
        else:
            for body in inner:
                yield from operations(body, times * equation.params.get("length", 1))


def multiply_adds(program: Any) -> int:
    """Return how many products a traced program adds up in matrix products and convolutions.

    Example:
        >>> import jax
        >>> from staghorn.visualization.costs import multiply_adds
        >>> multiply_adds(jax.make_jaxpr(lambda a, b: a @ b)(np.ones((2, 3)), np.ones((3, 5))))
        30
    """
    return sum(products(equation) * times for equation, times in operations(program))


def products(equation: Any) -> int:
    """Return the multiply-adds of one operation; 0 for all but products and convolutions."""
    name, settings = equation.primitive.name, equation.params
    if name == "dot_general":
        ((summed, _), _) = settings["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return math.prod(equation.outvars[0].aval.shape) * math.prod(shape[i] for i in summed)
    if name == "conv_general_dilated":
        numbers = settings["dimension_numbers"]
        orders = numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec
        spread, zeros = settings["lhs_dilation"], 1
    elif name == "staghorn_convolution":  # channels last
        axes = range(1, equation.invars[0].aval.ndim - 1)
        last = axes.stop
        orders = (0, last, *axes), (last, last - 1, *(i - 1 for i in axes)), (0, last, *axes)
        spread, zeros = settings["input_dilation"], settings["merged"]
    else:
        return 0
    atoms = *equation.invars, equation.outvars[0]
    sizes = [[atom.aval.shape[i] for i in axes] for atom, axes in zip(atoms, orders, strict=True)]
    (batch, _, *given), (outside, inside, *kernel), (_, _, *made) = sizes
    # `inside` is the number of channels that one group sees; of merged groups, one in `zeros`.
    # A spread input (transposed convolution) holds zeros: its own places are what counts.
    places = [
        (m if s == 1 else g) * k for g, k, m, s in zip(given, kernel, made, spread, strict=True)
    ]
    return batch * outside * inside // zeros * math.prod(places)
