"""What `staghorn inspect` prints: tables on a terminal, plain columns in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from staghorn.saving.inspection import FileContents
from staghorn.visualization.summary import readable_size

SHOWN_ARRAYS = 20
_PLAIN_WIDTH = 1000  # in a pipe nothing is folded


def print_contents(contents: FileContents, every_array: bool = False) -> None:
    """Print what is in a file.

    Args:
        contents: what `staghorn.saving.inspect` returned.
        every_array: list all arrays, not the first 20. Default: False.

    Example:
        >>> from staghorn.visualization.file_contents import print_contents
        >>> print_contents(staghorn.saving.inspection.FileContents("m.keras", "model (.keras)", 64))
        m.keras: model (.keras), 64.00 B
        integrity  no checksums in it
    """
    from rich.console import Console

    terminal = sys.stdout.isatty()
    console = Console(highlight=False, soft_wrap=True, width=None if terminal else _PLAIN_WIDTH)
    lines = [f"{contents.path}: {contents.kind}, {readable_size(contents.bytes)}"]
    facts = dict(_facts(contents))
    width = max(map(len, facts))
    lines += [f"{label:{width}}  {text}" for label, text in facts.items()]
    console.print(_printable("\n".join(lines)), markup=False)
    if contents.layers:
        rows = [
            (
                "  " * layer.depth + layer.name,
                layer.class_name,
                ", ".join(f"{key}={value}" for key, value in layer.arguments.items()),
                "-" if layer.weights is None else f"{layer.weights:,}",
            )
            for layer in contents.layers
        ]
        _table(console, ("Layer", "Class", "Arguments", "Weights"), rows, terminal)
    arrays = contents.arrays if every_array else contents.arrays[:SHOWN_ARRAYS]
    if arrays:
        cells = [(a.path, str(a.shape), a.dtype, f"{a.bytes:,}", _finite(a)) for a in arrays]
        _table(console, ("Array", "Shape", "Type", "Bytes", ""), cells, terminal)
    rest = len(contents.arrays) - len(arrays)
    if rest:
        console.print(f"and {rest:,} more; --weights lists all of them.", markup=False)
    for title, texts in (
        ("Loading refuses it:", contents.refused),
        ("Loading needs what the file only names:", contents.needed),
    ):
        for text in texts:
            console.print(_printable(f"\n{title}\n{text}"), markup=False)


def _facts(contents: FileContents) -> Iterable[tuple[str, str]]:
    for key, value in contents.versions.items():
        yield key.replace("_", " "), value
    yield "integrity", contents.integrity
    if contents.model:
        yield "model", contents.model
    if contents.arrays:
        size = sum(array.bytes for array in contents.arrays if not array.of_optimizer)
        yield "weights", f"{contents.numbers():,} numbers, {readable_size(size)}"
        wrong = sum(array.not_finite for array in contents.arrays)
        if wrong:
            yield "NOT FINITE", f"{wrong:,} numbers are NaN or infinite"
    if contents.model:
        yield "compiled", "yes" if contents.training else "no"
    yield from contents.training.items()
    state = [array for array in contents.arrays if array.of_optimizer]
    if state:
        step = "" if contents.optimizer_step is None else f", step {contents.optimizer_step:,}"
        size = sum(array.bytes for array in state)
        yield "state", f"{len(state)} arrays, {readable_size(size)}{step}"
    for key, value in contents.state.items():
        yield key, str(value)
    if contents.assets:
        yield "files in it", ", ".join(f"{n} ({s:,})" for n, s in contents.assets.items())


def _finite(array: Any) -> str:
    return f"{array.not_finite:,} NOT FINITE" if array.not_finite else ""


def _table(
    console: Any, header: Sequence[str], rows: Iterable[Sequence[str]], terminal: bool
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.ROUNDED if terminal else None, pad_edge=terminal)
    for name in header:
        right = name in ("Weights", "Bytes")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_printable(cell)) for cell in row))
    console.print()
    console.print(table, soft_wrap=False)


def _printable(text: str) -> str:
    """A file's names must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
