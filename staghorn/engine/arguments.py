"""Argument checks as a table: `arguments = {"units": Positive(int), "rate": Interval(0, 1)}`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from staghorn.engine.registry import suggestion

_BOOLS = (bool, np.bool_)
_ACCEPTED = {
    int: (int, np.integer),
    float: (float, int, np.floating, np.integer),
    bool: _BOOLS,
}


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, _ACCEPTED.get(kind, (kind,))) and not isinstance(value, _BOOLS)


def _article(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'aeiou' else 'a'} {kind.__name__}"


def _kind(value: Any) -> str:
    """Return the name of a value's type; a list that a layer tracks is a list to its user."""
    plain = (kind for kind in (list, dict) if isinstance(value, kind))
    return next(plain, type(value)).__name__


@dataclass(frozen=True)
class Positive:
    """A number above zero."""

    kind: type
    optional: bool = False

    def accepts(self, value: Any) -> bool:
        return _is_number(value, self.kind) and value > 0

    def __str__(self) -> str:
        return f"a positive {self.kind.__name__}"


@dataclass(frozen=True)
class NonNegative:
    """A number that is zero or more."""

    kind: type
    optional: bool = False

    def accepts(self, value: Any) -> bool:
        return _is_number(value, self.kind) and value >= 0

    def __str__(self) -> str:
        return f"{_article(self.kind)} of 0 or more"


class Is:
    """A value of one of the given types."""

    def __init__(self, *kinds: type, optional: bool = False) -> None:
        self.kinds = kinds
        self.optional = optional

    def accepts(self, value: Any) -> bool:
        return any(isinstance(value, _ACCEPTED.get(kind, (kind,))) for kind in self.kinds)

    def __str__(self) -> str:
        return " or ".join(_article(kind) for kind in self.kinds)


@dataclass(frozen=True)
class Interval:
    """A number between two bounds."""

    low: float
    high: float
    closed: str = "both"
    optional: bool = False

    def accepts(self, value: Any) -> bool:
        if not _is_number(value, float):
            return False
        above = value >= self.low if self.closed in ("both", "left") else value > self.low
        below = value <= self.high if self.closed in ("both", "right") else value < self.high
        return above and below

    def __str__(self) -> str:
        left = "[" if self.closed in ("both", "left") else "("
        right = "]" if self.closed in ("both", "right") else ")"
        return f"a number in {left}{self.low}, {self.high}{right}"


class Options:
    """One of a few values."""

    def __init__(self, *values: Any, optional: bool = False) -> None:
        self.values = values
        self.optional = optional

    def accepts(self, value: Any) -> bool:
        return isinstance(value, (str, int, float, bool, type(None))) and value in self.values

    def __str__(self) -> str:
        return "one of " + ", ".join(repr(value) for value in self.values)


class Callable_:
    """Anything that can be called."""

    def __init__(self, optional: bool = False) -> None:
        self.optional = optional

    def accepts(self, value: Any) -> bool:
        return callable(value)

    def __str__(self) -> str:
        return "a callable"


@dataclass(frozen=True)
class Each:
    """A list or tuple of which each element passes a check."""

    check: Positive | NonNegative | Is | Interval
    optional: bool = False
    empty: bool = False

    def accepts(self, value: Any) -> bool:
        listed = isinstance(value, (list, tuple, range, np.ndarray))
        return listed and len(value) >= (not self.empty) and all(map(self.check.accepts, value))

    def __str__(self) -> str:
        return f"a list, each element {self.check}"


@dataclass(frozen=True)
class OneOrMore:
    """A value that passes a check, or a list or tuple of such."""

    check: Positive | NonNegative | Is | Interval
    optional: bool = False

    def accepts(self, value: Any) -> bool:
        if not isinstance(value, (list, tuple, range, np.ndarray)):
            return self.check.accepts(value)
        return all(self.check.accepts(v) or (v is None and self.check.optional) for v in value)

    def __str__(self) -> str:
        return f"{self.check}, or a list of such{' and None' * self.check.optional}"


Check = Positive | NonNegative | Is | Interval | Options | Callable_ | Each | OneOrMore


def problems(table: Mapping[str, Check], values: dict[str, Any]) -> str:
    """Return what is wrong with values, all of it; an empty text if nothing is."""
    found = []
    for name, check in table.items():
        if name not in values:
            continue
        value = values[name]
        if (value is None and check.optional) or check.accepts(value):
            continue
        hint = suggestion(value, map(str, check.values)) if isinstance(check, Options) else ""
        found.append(f"{name} must be {check}, got {value!r} ({_kind(value)}).{hint}")
    return " ".join(found)


def check_name(cls: str, name: Any, without: str = "") -> None:
    """Check that a name is text or None, and that some character is not in it."""
    wrong = isinstance(name, str) and without and without in name
    if wrong or not isinstance(name, str | None):
        text = f"{cls}: name must be a str{f' without {without!r}' * bool(without)}"
        raise ValueError(f"{text}, got {name!r} ({_kind(name)}).")


def check_arguments(instance: Any, table: dict[str, Check]) -> None:
    """Check attributes against a table; report every wrong one at once.

    Example:
        >>> staghorn.layers.Dense(-3)
        Traceback (most recent call last):
        ...
        ValueError: Dense: units must be a positive int, got -3 (int).
    """
    check_values(type(instance).__name__, table, {name: getattr(instance, name) for name in table})


def check_values(owner: str, table: Mapping[str, Check], values: dict[str, Any]) -> None:
    """Check values against a table, where no attributes hold them yet."""
    if text := problems(table, values):
        raise ValueError(f"{owner}: {text}")
