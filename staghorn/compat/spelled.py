"""Array functions under another library's argument names: one row of a table per function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from staghorn.random import SeedGenerator

_seed_generators: dict[int, SeedGenerator] = {}


def spelled(function: Callable, parameters: str, **defaults: Any) -> Callable:
    """Return `function` with other names for its arguments; `name=` is accepted and means nothing.

    Args:
        function: the function that does the work.
        parameters: the other names in their order, each "theirs" or "theirs=ours"; "theirs=_" is
            accepted and has no effect.
        **defaults: what holds for arguments that are not given, by our names.

    Example:
        >>> from staghorn.compat.spelled import spelled
        >>> mean = spelled(staghorn.ops.mean, "input_tensor=x axis keepdims")
        >>> print(mean(input_tensor=[1.0, 3.0], name="loss"))
        2.0
    """
    pairs = [pair.partition("=") for pair in parameters.split()]
    ours = {theirs: mine or theirs for theirs, _, mine in pairs}

    def call(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("name", None)
        unknown = [name for name in kwargs if name not in ours]
        if len(args) > len(ours) or unknown:
            wrong = f"no argument {unknown[0]!r}" if unknown else f"{len(args)} arguments are given"
            raise TypeError(f"{call.__name__}({', '.join(ours)}): {wrong}.")
        given = dict(zip(ours, args, strict=False)) | kwargs
        return function(**defaults | {ours[k]: v for k, v in given.items() if ours[k] != "_"})

    call.__name__ = call.__qualname__ = getattr(function, "__name__", "call")
    call.parameters = tuple(ours)  # type: ignore[attr-defined]
    call.__doc__ = f"`staghorn.ops.{call.__name__}` with the arguments ({', '.join(ours)})."
    return call


def table(rows: Mapping[str, Callable]) -> dict[str, Callable]:
    """Give each function the name it has in a table, and return the table.

    Example:
        >>> from staghorn.compat.spelled import spelled, table
        >>> table({"pow": spelled(staghorn.ops.power, "x=x1 a=x2")})["pow"].__name__
        'pow'
    """
    for name, function in rows.items():
        function.__name__ = function.__qualname__ = name
    return dict(rows)


def publish(namespace: dict[str, Any], rows: Mapping[str, Callable]) -> list[str]:
    """Complete a module: add a table's functions, let its own take `name=`, return all the names.

    Example:
        >>> from staghorn.compat.spelled import publish
        >>> namespace = {"__name__": "module"}
        >>> publish(namespace, {"absolute": staghorn.ops.absolute}), "absolute" in namespace
        (['absolute'], True)
    """
    for name, thing in list(namespace.items()):
        if getattr(thing, "__module__", None) == namespace["__name__"] and name[0] != "_":
            rows = {**rows, name: thing if isinstance(thing, type) else _nameless(thing)}
    namespace.update(rows)
    return sorted(rows)


def _nameless(function: Callable) -> Callable:
    if "name" in inspect.signature(function).parameters:
        return function

    @functools.wraps(function)
    def call(*args: Any, name: Any = None, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


def as_shape(shape: Any) -> tuple:
    """Return a shape given as an int, list, TensorShape or array as a tuple of sizes.

    Example:
        >>> from staghorn.compat.spelled import as_shape
        >>> as_shape(3), as_shape(np.array([2, -1])), as_shape([None, 2])
        ((3,), (2, -1), (None, 2))
    """
    sizes = shape if isinstance(shape, (list, tuple)) else np.ravel(np.asarray(shape))
    # A size that is unknown, or a symbol while shapes are inferred, stays what it is.
    return tuple(int(d) if hasattr(d, "dtype") or isinstance(d, int) else d for d in sizes)


def seeded(seed: Any) -> SeedGenerator | None:
    """Return what an old `seed=` means: where a sequence starts, not the same draw at each call.

    Example:
        >>> from staghorn.compat.spelled import seeded
        >>> first, second = (staghorn.random.normal((3,), seed=seeded(1)) for _ in range(2))
        >>> bool((first == second).any())
        False
    """
    if seed is None:
        return None
    if int(seed) not in _seed_generators:
        _seed_generators[int(seed)] = SeedGenerator(int(seed))
    return _seed_generators[int(seed)]


def forget_seeds() -> None:
    """Let the sequences of `seeded` start anew.

    Example:
        >>> staghorn.compat.spelled.forget_seeds()
    """
    _seed_generators.clear()
