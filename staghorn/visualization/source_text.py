"""Python source as a tree of texts and brackets, and how it is laid out on lines."""

from __future__ import annotations

import builtins
import json
import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

WIDTH = 100
NAME_WIDTH = 28  # of a variable
RESERVED = {
    "layers", "ops", "np", "x", "inputs", "outputs", "model", "self", "staghorn", "keras",
}  # fmt: skip


@dataclass(frozen=True)
class Bracket:
    """A bracket and what stands in it, which goes on lines of its own where it does not fit."""

    start: str
    items: tuple[Expression, ...]
    end: str
    broken: bool = False  # in any case


Expression = tuple[str | Bracket, ...]


def flat(expression: Expression) -> str:
    """Return an expression on one line."""
    return "".join(
        p if isinstance(p, str) else f"{p.start}{', '.join(map(flat, p.items))}{p.end}"
        for p in expression
    )


def lines_of(expression: Expression, width: int = WIDTH) -> list[str]:
    """Return an expression on lines, broken where ruff and black break it."""
    lines = [""]
    for place, part in enumerate(expression):
        if isinstance(part, str):
            lines[-1] += part
            continue
        rest = flat(expression[place + 1 :])
        until_next = rest[: rest.find("(") + 1] or rest
        if not part.items or (
            not part.broken and len(lines[-1] + flat((part,)) + until_next) <= width
        ):
            lines[-1] += flat((part,))
            continue
        lines[-1] += part.start
        is_call, inner = part.start == "(", ", ".join(map(flat, part.items))
        if is_call and not part.broken and len(inner) + 4 <= width:
            lines.append(f"    {inner}")
        else:
            comma = ("," if len(part.items) > 1 or not is_call else "",)
            for item in part.items:
                lines += [f"    {line}" for line in lines_of((*item, *comma), width - 4)]
        lines.append(part.end)
    return lines


def call(function: str, *items: Expression) -> Expression:
    """Return a call of a function or class."""
    broken = any(isinstance(part, Bracket) and part.broken for item in items for part in item)
    return (function, Bracket("(", items, ")", broken))


def option(name: str, value: Expression | str) -> Expression:
    """Return a keyword argument."""
    return (f"{name}=", *((value,) if isinstance(value, str) else value))


def scalar(value: Any) -> str:
    """Return a number or a string as text, with double quotes where they fit."""
    if isinstance(value, str) and '"' not in value:
        return json.dumps(value, ensure_ascii=False)
    return f'float("{value}")' if repr(value) in ("inf", "-inf", "nan") else repr(value)


def literal(value: Any, leaf: Callable[[Any], Any] = scalar) -> Expression:
    """Return a nest of lists, tuples and dicts as text; `leaf` writes what they hold."""
    if isinstance(value, dict):
        items = ((f"{scalar(key)}: ", *literal(item, leaf)) for key, item in value.items())
        return (Bracket("{", tuple(items), "}"),)
    if isinstance(value, tuple) and len(value) == 1:
        return ("(", *literal(value[0], leaf), ",)")
    if isinstance(value, (list, tuple)):
        start, end = "[]" if isinstance(value, list) else "()"
        return (Bracket(start, tuple(literal(item, leaf) for item in value), end),)
    text = leaf(value)
    return (text,) if isinstance(text, str) else text


def identifier(name: str) -> str:
    """Make a variable's name of a layer's."""
    found = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:NAME_WIDTH].rstrip("_")
    if not found or found[0].isdigit():
        found = f"layer_{found}".rstrip("_")
    return f"{found}_" if keyword.iskeyword(found) or hasattr(builtins, found) else found


@dataclass
class Scope:
    """The statements of a function, the names in use, and which name stands for which tensor."""

    taken: set[str] = field(default_factory=set)
    statements: list[Expression] = field(default_factory=list)
    tensors: dict[int, str] = field(default_factory=dict)  # by id

    def unique(self, base: str) -> str:
        """Return a name that is free, and take it."""
        name, count = base, 2
        while name in self.taken | RESERVED:
            name, count = f"{base}_{count}", count + 1
        self.taken.add(name)
        return name

    def add(self, target: str, value: Expression) -> None:
        """Assign a value to a name."""
        self.statements.append((f"{target} = ", *value))

    def text(self, indent: int = 0) -> str:
        """Return the statements as lines."""
        lines = (line for s in self.statements for line in lines_of(s, WIDTH - indent))
        return "\n".join(" " * indent + line for line in lines)
