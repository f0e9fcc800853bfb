"""Automatic names: `dense`, `dense_1`, ... They label; files and graphs never depend on them."""

import re
from collections import Counter
from contextvars import ContextVar

_counts: Counter[str] = Counter()

# Names that `name_scope` puts before the paths of Variables.
scopes: ContextVar[tuple[str, ...]] = ContextVar("staghorn_name_scopes", default=())


def to_snake_case(name: str) -> str:
    """Turn a class name into the form layer names and weight files use.

    Example:
        >>> staghorn.engine.naming.to_snake_case("PReLU")
        'p_re_lu'
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def unique_name(stem: str) -> str:
    """Return `stem`, then `stem_1`, `stem_2`, ... at later calls."""
    count = _counts[stem]
    _counts[stem] += 1
    return stem if count == 0 else f"{stem}_{count}"


def auto_name(class_name: str) -> str:
    """Return the next automatic name for an object of that class.

    Example:
        >>> staghorn.engine.naming.reset()
        >>> staghorn.engine.naming.auto_name("Dense"), staghorn.engine.naming.auto_name("Dense")
        ('dense', 'dense_1')
    """
    return unique_name(to_snake_case(class_name))


def reset() -> None:
    """Start all counters again (`clear_session` calls this)."""
    _counts.clear()
