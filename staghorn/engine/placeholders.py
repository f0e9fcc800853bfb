"""Weights of a model that is read from a file: no random values, no more than the file has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from staghorn.engine.file_errors import UnsafeFileError

# What any model may have: files of small ones are told in detail what does not fit.
_FREE = 1 << 22


class _Plan:
    """What a model that is being built may have, and what it has so far."""

    def __init__(self, stored: int) -> None:
        self.stored, self.used = stored, 0
        self.waiting: list[tuple[Any, Any, Callable]] = []  # Variable, its zeros, initializer


_plan: ContextVar[_Plan | None] = ContextVar("weights_plan", default=None)


@contextmanager
def weights_from_file(stored: int) -> Iterator[None]:
    """Let weights of layers begin as zeros; those that got no value get their first one at the end.

    Args:
        stored: how many numbers the file holds.

    Raises:
        UnsafeFileError: if the model wants many more than that.
    """
    plan = _Plan(stored)
    token = _plan.set(plan)
    try:
        yield
    finally:
        _plan.reset(token)
    for variable, zeros, initializer in plan.waiting:
        if variable._value is zeros:
            variable.assign(initializer(variable.shape, dtype=variable._dtype))


def reserving(owner: str, initializer: Callable, counted: bool = True) -> Callable:
    """Return what makes the first value of a weight: while a file is read, zeros.

    Args:
        owner: how errors name the layer.
        initializer: what makes it else.
        counted: whether the file must hold the weight. Default: True.
    """
    plan = _plan.get()
    if plan is None:
        return initializer

    def zeros(shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        plan.used += math.prod(shape) if counted else 0
        if plan.used > plan.stored + _FREE:
            raise UnsafeFileError(
                f"{owner} with a weight of shape {tuple(shape)} needs more than the "
                f"{plan.stored:,} numbers that the file holds."
            )
        return np.zeros(shape, dtype)

    return zeros


def reserved(variable: Any, initializer: Callable) -> None:
    """Note a weight that was made with `reserving(...)`."""
    plan = _plan.get()
    if plan is not None:
        plan.waiting.append((variable, variable._value, initializer))
