"""The error for an argument name that a function does not have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from staghorn.engine.registry import suggestion


@functools.cache
def accepted_keywords(function: Callable) -> frozenset[str] | None:
    """Return the keywords that a function takes by name; None where `**kwargs` takes them all.

    Example:
        >>> from staghorn.engine.keywords import accepted_keywords
        >>> sorted(accepted_keywords(lambda units, name=None: units))
        ['name', 'units']
    """
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return frozenset(p.name for p in parameters if p.kind in by_name)


def reject_unknown(
    owner: str,
    given: Mapping[str, Any],
    known: frozenset[str] | set[str] | tuple[str, ...],
    error: type[Exception] = TypeError,
) -> None:
    """Raise for the first given keyword that is not known.

    Args:
        owner: the method or class, for the message.
        given: keyword arguments.
        known: names it takes.
        error: the exception's class. Default: TypeError.

    Raises:
        TypeError: with the closest known name.

    Example:
        >>> from staghorn.engine.keywords import reject_unknown
        >>> reject_unknown("fit", {"epochs": 3}, {"epochs", "verbose"})
    """
    for name in given:
        if name not in known:
            raise error(f"{owner}: unknown argument {name!r}.{suggestion(name, sorted(known))}")


def check_constructor(cls: type, given: Mapping[str, Any]) -> None:
    """Raise for keywords that a class's constructor does not have.

    Args:
        cls: the class.
        given: keyword arguments.

    Raises:
        TypeError: `Precision: unknown argument 'threshold'. Did you mean 'thresholds'?`

    Example:
        >>> from staghorn.engine.keywords import check_constructor
        >>> check_constructor(staghorn.metrics.Precision, {"thresholds": 0.5})
    """
    known = accepted_keywords(cls.__init__) if given else None  # type: ignore[misc]
    if known is not None:
        reject_unknown(cls.__name__, given, known - {"self"})
