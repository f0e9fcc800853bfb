"""The error for an argument name that a function does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from staghorn.engine.registry import suggestion


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

