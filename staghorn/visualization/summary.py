"""The table that `model.summary()` prints: a row for each layer, then the totals.

`summarize` collects what `calls.py` finds, `render` prints.
"""

from __future__ import annotations

import io
import itertools
import random
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax

from staghorn.engine.symbolic import OpCall
from staghorn.layers.layer import Layer
from staghorn.models.functional import Functional
from staghorn.models.sequential import Sequential
from staghorn.visualization.calls import (
    HOLDERS,
    UNKNOWN,
    LayerCall,
    Source,
    Step,
    at_build,
    chosen,
    costs_of,
    shape_text,
    type_name,
    wiring,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# rich's names for the colours Keras prints in.
NUMBER, NOTHING, TYPE, FROZEN = "color(34)", "color(45)", "color(33)", "color(9)"
NEAREST = 3  # sources shown of a traced call that has many
NOT_BUILT = """\
 Not built: shapes and weights are unknown until the model sees its input.
 Call model.build(input_shape), or model(x[:1]) on your data, first."""
NO_LAYERS = " No layers yet. Write model.add(staghorn.layers.Dense(8)), for example."
NOT_TRACED = """\
 {name}: what feeds what is unknown, and so are shapes marked "?".
 {why}"""
NOT_CALLED = ' "?": {type}.call does not use {names}.'
EXTRA = {"Trainable": 12, "Multiply-adds": 18, "Activations": 18}  # added to the width
SHORT = {"Multiply-adds": "Mult-\nadds", "Activations": "Memory"}  # for a narrow column

Calls = dict[int, list[LayerCall]]  # id(operation) → its calls


@dataclass(frozen=True)
class Row:
    """One line of the table; `params` is None before the layer is built."""

    name: str
    type: str
    output_shape: str
    params: int | None
    trainable: bool | None
    connected_to: tuple[str, ...]
    depth: int = 0
    costs: tuple[int, int] | None = None  # multiply-adds, bytes of activations


@dataclass(frozen=True)
class Summary:
    """All that is printed; `totals` holds (how many numbers, how many bytes) by label."""

    name: str
    rows: list[Row]
    connected: bool
    totals: dict[str, tuple[int, int]]
    notes: tuple[str, ...] = ()
    costs: tuple[int, int] | None = None


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
    show_costs: bool = False,
) -> None:
    """Print a model's layers with output shapes and sizes, then the totals.

    Args:
        model: any model; before it is built, sizes are unknown.
        line_length: width of the table. Default: 88, or 108 with connections (12 more with
            `show_trainable`, 36 more with `show_costs`), at most the terminal's.
        positions: where the columns end, without the three that are asked for: shares of the
            width, or characters. Default: (0.45, 0.8, 1) or, with connections,
            (0.3, 0.56, 0.74, 1).
        print_fn: gets the whole text, without colours, as one string. Default: print it.
        expand_nested: also show the layers inside models inside. Default: False.
        show_trainable: add a column that says Y or N. Default: False.
        layer_range: names (or regular expressions) of the first and last layer to show.
            Default: all.
        show_costs: add two columns, for one sample. Multiply-adds: of matrix products and
            convolutions; elementwise work is not counted. Activations: memory of what the layer
            returns, for a model inside of what its layers return. Sizes that are None count as 1,
            loops of unknown length as one step. Default: False.

    Raises:
        ValueError: for columns that do not fit, a range that names no layer, or `show_costs` of a
            model that is not built or does not run on placeholders.

    Example:
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(8)])
        >>> lines = []
        >>> model.summary(print_fn=lines.append)
        >>> " Total params: 40 (160.00 B)" in lines[0]
        True
        >>> model.summary(print_fn=lines.append, show_costs=True)
        >>> " Multiply-adds: 32 per sample" in lines[1]
        True

    Notes:
        Differs from Keras: `show_costs`; names that do not fit and lines wider than the terminal
        are wrapped, not cut off. A subclassed model shows the shapes that its `call` really gives
        and, where it is not a plain chain, its connections; what is not known is explained below
        the totals. An unbuilt model says how to build it. A Sequential built by data does not keep
        the batch size of that data. Bytes are those of the arrays as JAX holds them (float64 only
        where that is enabled).
    """
    # Importing rich draws from Python's `random`; a summary must not change what comes after it.
    drawn = random.getstate()
    from rich.console import Console

    random.setstate(drawn)
    summary = summarize(model, expand_nested, layer_range, show_costs)
    if positions is not None and len(positions) == 3 and not isinstance(model, Functional):
        summary = replace(summary, connected=False)
    options: dict[str, Any] = {}
    if print_fn is not None:
        options = {"file": io.StringIO(), "force_terminal": False, "color_system": None}
        options["force_jupyter"] = False
    console = Console(highlight=False, **options)
    render(summary, console, line_length, positions, show_trainable)
    if print_fn is not None:
        print_fn(options["file"].getvalue())


# Collecting -----------------------------------------------------------------------------------


def summarize(
    model: Any,
    expand_nested: bool = False,
    layer_range: Sequence[str] | None = None,
    show_costs: bool = False,
) -> Summary:
    """Return what `print_summary` prints.

    Example:
        >>> from staghorn.visualization.summary import summarize
        >>> x = staghorn.Input((4,))
        >>> (_, row) = summarize(staghorn.Model(x, staghorn.layers.Dense(2)(x))).rows
        >>> row.name, row.output_shape, row.params, row.connected_to
        ('dense', '(None, 2)', 10, ('input_layer[0][0]',))
    """
    layers = model.operations if isinstance(model, Functional) else model.layers
    work = _Rows(model, expand_nested, show_costs)
    inside = work.look(model, None, {})
    rows: list[Row] = []
    for layer in layers[chosen("summary", layers, layer_range)]:
        rows += work.rows(layer, inside)
    several = isinstance(model, Functional) and len(model.inputs) > 1
    connected = not isinstance(model, Sequential) and (several or not _is_chain(layers, inside))
    notes = work.notes if model.built else [NOT_BUILT if model.layers else NO_LAYERS]
    return Summary(model.name, rows, connected, _totals(model), tuple(notes), work.total)


class _Rows:
    """Makes the rows of a model; notes say what stays unknown, and why."""

    def __init__(self, model: Any, expand: bool, show_costs: bool) -> None:
        self.expand = expand
        self.notes: list[str] = []
        self.steps: dict[Step, LayerCall] = {}
        self.total: tuple[int, int] | None = None
        self.costs: Calls = {}
        if show_costs:
            whole, self.costs = costs_of(model)
            self.total = whole.multiply_adds, whole.activations

    def look(self, model: Any, call: LayerCall | None, known: Calls) -> Calls:
        """Return the calls inside a model, `known` ones of a trace around it among them."""
        found = wiring(model, call.given if call else None)
        joints = (c for c in found.calls if isinstance(c.operation, Step) and c.operation.joins)
        self.steps.update((call.operation, call) for call in joints)
        calls = {**known, **found.by_operation()}
        if found.why:
            self.notes.append(NOT_TRACED.format(name=model.name, why=found.why))
        elif model.built and not isinstance(model, (Functional, Sequential)):
            unused = [f"{layer.name!r}" for layer in model.layers if id(layer) not in calls]
            if unused:
                text = NOT_CALLED.format(type=type(model).__name__, names=", ".join(unused))
                self.notes.append(text)
        return calls

    def rows(self, layer: Any, calls: Calls, depth: int = 0) -> list[Row]:
        """Return a layer's row and, where asked for, those of the layers inside a model."""
        mine = calls.get(id(layer), [])
        weights = layer.weights if isinstance(layer, Layer) else []
        costs = None
        if self.total is not None:
            spent = self.costs.get(id(layer), [])
            costs = sum(c.multiply_adds for c in spent), sum(c.activations for c in spent)
        rows = [
            Row(
                name=layer.name,
                type=type_name(layer),
                output_shape=_output_shape(layer, mine),
                params=sum(v.size for v in weights) if getattr(layer, "built", True) else None,
                trainable=layer.trainable if weights else None,
                # Connections inside a nested model are shown by its own summary, as in Keras.
                connected_to=() if depth else self.sources(mine),
                depth=depth,
                costs=costs,
            )
        ]
        if self.expand and isinstance(layer, HOLDERS):
            inside = self.look(layer, mine[-1] if mine else None, calls)
            for child in layer.layers:
                rows += self.rows(child, inside, depth + 1)
        return rows

    def sources(self, calls: list[LayerCall]) -> tuple[str, ...]:
        """Return what feeds a layer: the layers and arguments behind all joints between."""
        shown: list[str] = []
        for call in calls:
            taken = [source for source in call.inputs if source is not None]
            names: list[str] = []
            for source in taken:
                behind = [str(s) for s in self.behind(source)]
                # A running sum, x = x + block(x), reaches back to every block.
                far = len(behind) - NEAREST
                names += behind if far <= 1 else [*behind[:NEAREST], f"{far} earlier"]
            joined = any(source.operation in self.steps for source in taken)
            shown += dict.fromkeys(names) if joined else names
        return tuple(shown)

    def behind(self, source: Source) -> list[Source]:
        """Return the tensors that a joint joins, nearest first; else the tensor itself."""
        found: dict[Source, None] = {}
        pending, seen = [source], set()
        while pending:
            one = pending.pop(0)
            if one in seen:
                continue
            seen.add(one)
            joint = self.steps.get(one.operation)
            if joint is None:
                found[one] = None
            else:
                pending += [s for s in joint.inputs if s is not None]
        return list(found)


def _is_chain(layers: Iterable[Any], calls: Calls) -> bool:
    """Say whether each call takes what one other made, and nobody else takes it."""
    groups = [calls.get(id(layer), []) for layer in layers]
    if any(len(group) > 1 or any(len(call.inputs) > 1 for call in group) for group in groups):
        return False
    makers = [s.operation for group in groups for call in group for s in call.inputs if s]
    joined = any(isinstance(maker, Step) and maker.joins for maker in makers)
    return len({id(maker) for maker in makers}) == len(makers) and not joined


def _output_shape(layer: Any, calls: list[LayerCall]) -> str:
    """Return the shape of the last known call, else what follows from the shapes at build."""
    if (calls and calls[-1].output_shape != UNKNOWN) or isinstance(layer, OpCall):
        return calls[-1].output_shape
    if layer._inbound_nodes:
        return shape_text(layer._inbound_nodes[-1].outputs)
    return at_build(layer).output_shape


def _totals(model: Any) -> dict[str, tuple[int, int]]:
    def measure(variables: Iterable[Any]) -> tuple[int, int]:
        unique = {id(v): v for v in variables}.values()
        size = sum(v.size for v in unique)
        return size, sum(v.size * jax.numpy.dtype(v.dtype).itemsize for v in unique)

    parts = {
        "Trainable params": measure(model.trainable_weights),
        "Non-trainable params": measure(model.non_trainable_weights),
    }
    optimizer = model.optimizer if model.compiled else None
    if optimizer is not None and optimizer.built:
        parts["Optimizer params"] = measure(optimizer.variables)
    total = sum(size for size, _ in parts.values()), sum(size for _, size in parts.values())
    return {"Total params": total, **parts}


# Printing -------------------------------------------------------------------------------------


def render(
    summary: Summary,
    console: Console,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    show_trainable: bool = False,
) -> None:
    """Print a summary to a rich console, as a table and lines below it."""
    from rich.table import Column, Table
    from rich.text import Text

    header = ["Layer (type)", "Output Shape", "Param #"]
    justify: list[Any] = ["left", "left", "right"]
    width, ends = 88, [0.45, 0.80, 1.0]
    if summary.connected:
        header, justify = [*header, "Connected to"], [*justify, "left"]
        width, ends = 108, [0.3, 0.56, 0.74, 1.0]
    extra = ["Trainable"] * show_trainable
    extra += ["Multiply-adds", "Activations"] if summary.costs is not None else []
    width = line_length or min(
        width + sum(EXTRA[name] for name in extra), shutil.get_terminal_size().columns - 4
    )
    sizes = _widths(ends if positions is None else positions, width, len(header), extra)
    justify += ["center" if name == "Trainable" else "right" for name in extra]
    columns = [
        Column(
            SHORT.get(name, name) if size < 16 else name, justify=side, width=size, overflow="fold"
        )
        for name, side, size in zip([*header, *extra], justify, sizes, strict=True)
    ]
    for column in columns[len(header) :]:
        column.overflow = "ellipsis"  # only a header can be too long: "Trai…"
    table = Table(*columns, width=width, show_lines=True)
    corner = "`- " if console.options.ascii_only else "└ "
    for row in summary.rows:
        cells = _cells(row, corner)
        table.add_row(*(cells[name] for name in (*header, *extra)))
    console.width = max(console.width, width)  # a table that was asked for is not cut off
    console.print(Text(f'Model: "{summary.name}"', style="bold"))
    console.print(table)
    for label, (count, size) in summary.totals.items():
        line = Text().append(f" {label}: ", "bold").append(f"{count:,}", NUMBER)
        console.print(line.append(f" ({readable_size(size)})"))
    if summary.costs is not None:
        for label, text in zip(
            ("Multiply-adds", "Activations"), _costs(summary.costs), strict=True
        ):
            console.print(Text().append(f" {label}: ", "bold").append(text, NUMBER) + " per sample")
    for note in summary.notes:
        console.print(Text(note))


def _widths(
    positions: Sequence[float], line_length: int, columns: int, extra: Sequence[str]
) -> list[int]:
    """Return the columns' widths in characters; a tenth and more of the line for each extra one."""
    ends = list(positions)
    if len(ends) != columns:
        raise ValueError(f"summary: positions must say where {columns} columns end, got {ends}.")
    if ends[-1] > 1:  # characters, as old scripts write them
        ends = [end / line_length for end in ends]
    shares = [0.1 if name == "Trainable" else 0.14 for name in extra]
    ends = [end * (1 - sum(shares)) for end in ends]
    ends += [1 - sum(shares[i + 1 :]) for i in range(len(shares))]
    edges = [0, *(int(end * line_length) for end in ends)]
    widths = [after - before for before, after in itertools.pairwise(edges)]
    if min(widths) < 4:
        raise ValueError(
            f"summary: columns of {widths} characters are too narrow, each needs 4. "
            "Give a larger line_length, or other positions."
        )
    return widths


def _cells(row: Row, corner: str) -> dict[str, Text]:
    """Return what a row has in each column."""
    from rich.text import Text

    prefix = "   " * row.depth + corner if row.depth else ""
    name = Text(f"{prefix}{row.name} (").append(row.type, TYPE).append(")")
    shape = Text(row.output_shape)
    shape.highlight_regex(r"(?<=[(\s])\d+(?=[,)])", NUMBER)
    shape.highlight_regex(r"(?<=[(\s])None(?=[,)])", NOTHING)
    params = Text().append(f"{row.params or 0:,}", NUMBER)
    if row.params is None:
        params.append(" (unbuilt)")
    connected = Text(", ".join(row.connected_to) or "-")
    connected.highlight_regex(r"(?<=\[)\d+(?=\])", NUMBER)
    styles = {True: ("Y", f"bold {NUMBER}"), False: ("N", f"bold {FROZEN}"), None: ("-", "bold")}
    multiply_adds, activations = _costs(row.costs or (0, 0))
    return {
        "Layer (type)": name,
        "Output Shape": shape,
        "Param #": params,
        "Connected to": connected,
        "Trainable": Text().append(*styles[row.trainable]),
        "Multiply-adds": Text(multiply_adds, NUMBER),
        "Activations": Text(activations, NUMBER),
    }


def _costs(costs: tuple[int, int]) -> tuple[str, str]:
    return f"{costs[0]:,}", readable_size(costs[1])


def readable_size(size: float) -> str:
    """Return a number of bytes in a unit that fits.

    Example:
        >>> from staghorn.visualization.summary import readable_size
        >>> readable_size(196), readable_size(3 * 1024**2)
        ('196.00 B', '3.00 MB')
    """
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} PB"
