"""The table that `model.summary()` prints: a row for each layer, then the totals.

`summarize` collects, `render` prints. Shapes and connections come from the recorded calls of a
graph; a model whose `call` is Python code is traced once without computing anything.
"""

from __future__ import annotations

import io
import itertools
import random
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from staghorn.engine import tree
from staghorn.engine.frame import Frame
from staghorn.engine.masks import get_mask, set_mask
from staghorn.engine.registry import suggestion
from staghorn.engine.scope import abstractly
from staghorn.engine.shapes import abstract_shape
from staghorn.engine.symbolic import KerasTensor, OpCall
from staghorn.layers.call import signature_of
from staghorn.layers.layer import Layer
from staghorn.models.functional import Functional
from staghorn.models.model import Model
from staghorn.models.sequential import Sequential

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# rich's names for the colours Keras prints in.
NUMBER, NOTHING, TYPE, FROZEN = "color(34)", "color(45)", "color(33)", "color(9)"
UNKNOWN = "?"
NEAREST = 3  # sources shown of a traced call that has many
NOT_BUILT = """\
 Not built: shapes and weights are unknown until the model sees its input.
 Call model.build(input_shape), or model(x[:1]) on your data, first."""


class Source(NamedTuple):
    """A tensor: which layer made it, in which of its calls, at which place of its output."""

    name: str
    call: int | None = None  # None: an argument of the model's own `call`
    tensor: int | None = None

    def __str__(self) -> str:
        return self.name if self.call is None else f"{self.name}[{self.call}][{self.tensor}]"


@dataclass
class LayerCall:
    """One call of a layer or op inside a model."""

    operation: Any
    index: int
    output: str = UNKNOWN
    sources: tuple[Source, ...] = ()


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


@dataclass(frozen=True)
class Summary:
    """All that is printed; `totals` holds (how many numbers, how many bytes) by label."""

    name: str
    rows: list[Row]
    connected: bool
    totals: dict[str, tuple[int, int]]
    note: str = ""


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print a model's layers with output shapes and sizes, then the totals.

    Args:
        model: any model; before it is built, sizes are unknown.
        line_length: width of the table. Default: 88, or 108 with connections (12 more with
            `show_trainable`), at most the terminal's.
        positions: where the columns end, without `Trainable`: shares of the width, or characters.
            Default: (0.45, 0.8, 1) or, with connections, (0.3, 0.56, 0.74, 1).
        print_fn: gets the whole text, without colours, as one string. Default: print it.
        expand_nested: also show the layers inside models inside. Default: False.
        show_trainable: add a column that says Y or N. Default: False.
        layer_range: names (or regular expressions) of the first and last layer to show.
            Default: all.

    Raises:
        ValueError: for columns that do not fit, or a range that names no layer.

    Example:
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(8)])
        >>> lines = []
        >>> model.summary(print_fn=lines.append)
        >>> " Total params: 40 (160.00 B)" in lines[0]
        True

    Notes:
        Differs from Keras: names that do not fit and lines wider than the terminal are wrapped,
        not cut off. A subclassed model shows the shapes that its `call` really gives and, where
        it is not a plain chain, its connections. An unbuilt model says how to build it.
    """
    # Importing rich draws from Python's `random`; a summary must not change what comes after it.
    drawn = random.getstate()
    from rich.console import Console

    random.setstate(drawn)
    summary = summarize(model, expand_nested, layer_range)
    if positions is not None and len(positions) == 3 and not isinstance(model, Functional):
        summary = Summary(summary.name, summary.rows, False, summary.totals, summary.note)
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
    model: Any, expand_nested: bool = False, layer_range: Sequence[str] | None = None
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
    calls = _calls_inside(model, {})
    rows: list[Row] = []
    for layer in layers[_range(layers, layer_range)]:
        rows += _rows(layer, calls, expand_nested)
    several = isinstance(model, Functional) and len(model.inputs) > 1
    connected = not isinstance(model, Sequential) and (several or not _is_chain(layers, calls))
    return Summary(model.name, rows, connected, _totals(model), "" if model.built else NOT_BUILT)


def _rows(layer: Any, calls: Calls, expand: bool, depth: int = 0) -> list[Row]:
    """Return a layer's row and, with `expand`, those of the layers inside a model."""
    mine = calls.get(id(layer), [])
    weights = layer.weights if isinstance(layer, Layer) else []
    row = Row(
        name=layer.name,
        type=_type_name(layer),
        output_shape=_output_shape(layer, mine),
        params=sum(v.size for v in weights) if getattr(layer, "built", True) else None,
        trainable=layer.trainable if weights else None,
        # Connections inside a nested model are shown by its own summary, as in Keras.
        connected_to=() if depth else tuple(str(s) for call in mine for s in call.sources),
        depth=depth,
    )
    rows = [row]
    if expand and isinstance(layer, Model):
        inside = _calls_inside(layer, calls)
        for child in layer.layers:
            rows += _rows(child, inside, expand, depth + 1)
    return rows


def _type_name(operation: Any) -> str:
    if isinstance(operation, OpCall):
        return "".join(part.capitalize() for part in operation.function.__name__.split("_"))
    return type(operation).__name__


def _calls_inside(model: Model, known: Calls) -> Calls:
    """Return the calls of a model's layers; `known` are those that a trace around it has seen."""
    graph = model._graph if isinstance(model, (Functional, Sequential)) else None
    if graph is None:
        seen = any(id(layer) in known for layer in model.layers)
        return known if seen or not model.built else _grouped(trace_calls(model))
    members = {id(node) for node in graph.nodes}
    found = []
    for operation in graph.operations:
        for index, node in enumerate(operation._inbound_nodes):
            if id(node) in members:
                sources = tuple(_source(tensor) for tensor in node.input_tensors)
                output = _text_of(node.output_structure)
                found.append(LayerCall(operation, index, output, sources))
    return known | _grouped(found)


def _source(tensor: KerasTensor) -> Source:
    history = tensor._keras_history
    assert history is not None  # a graph's tensors all have a maker
    return Source(history.operation.name, history.node_index, history.tensor_index)


def _grouped(calls: Iterable[LayerCall]) -> Calls:
    groups: Calls = {}
    for call in calls:
        groups.setdefault(id(call.operation), []).append(call)
    return groups


def _is_chain(layers: Iterable[Any], calls: Calls) -> bool:
    """Say whether each call takes what one other made, and nobody else takes it."""
    groups = [calls.get(id(layer), []) for layer in layers]
    sources = [{s.name for s in call.sources} for group in groups for call in group]
    once = all(len(group) <= 1 for group in groups)
    single = all(len(call.sources) <= 1 for group in groups for call in group)
    names = [name for makers in sources for name in makers]
    return once and single and len(set(names)) == len(names)


def _output_shape(layer: Any, calls: list[LayerCall]) -> str:
    """Return the shape of the last known call, else what follows from the shapes at build."""
    if calls and calls[-1].output != UNKNOWN:
        return calls[-1].output
    if isinstance(layer, OpCall):
        return UNKNOWN
    if layer._inbound_nodes:
        return _text_of(layer._inbound_nodes[-1].output_structure)
    shapes = layer._build_shapes
    if shapes is None or not layer.built:
        return UNKNOWN
    try:
        if _by_name(shapes):
            result = layer.compute_output_shape(**shapes)
        else:
            result = layer.compute_output_shape(shapes)
    except Exception:  # a user's layer may raise anything; a summary is no place to fail for it
        return UNKNOWN
    return _text_of(_placeholders(result, "float32"))


def _by_name(shapes: Any) -> bool:
    """Say whether recorded shapes are those of several arguments: `{"query_shape": ...}`."""
    return isinstance(shapes, dict) and all(key.endswith("_shape") for key in shapes)


def _text_of(nest: Any) -> str:
    """Return the shapes of a nest of tensors, as `(None, 3)` or `[(None, 3), (None, 2)]`."""

    def size(d: Any) -> int | None:
        return int(d) if isinstance(d, (int, np.integer)) else None

    def text(x: Any) -> str:
        if not hasattr(x, "shape"):
            return UNKNOWN if x is not None else "None"
        return f"({', '.join(str(size(d)) for d in x.shape)})"

    texts = tree.map_structure(text, nest)
    flat = tree.flatten(texts)
    return flat[0] if len(flat) == 1 else str(texts).replace("'", "")


def _range(layers: Sequence[Any], bounds: Sequence[str] | None) -> slice:
    """Return which layers two names or patterns enclose, in either order."""
    if bounds is None:
        return slice(None)
    if len(bounds) != 2 or not all(isinstance(bound, str) for bound in bounds):
        raise ValueError(
            "summary: layer_range must be two strings, the names of the first and the last "
            f"layer, got {bounds!r} ({type(bounds).__name__})."
        )
    places = []
    for bound in bounds:
        found = [i for i, layer in enumerate(layers) if re.match(bound, layer.name)]
        if not found:
            names = [layer.name for layer in layers]
            raise ValueError(
                f"summary: layer_range names {bound!r}, which matches no layer."
                f"{suggestion(bound, names)} Layers: {', '.join(names)}."
            )
        places.append(found)
    first, last = places
    if first[0] > last[-1]:
        first, last = last, first
    return slice(first[0], last[-1] + 1)


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


# Tracing --------------------------------------------------------------------------------------


class _NotBuilt(Exception):
    """Ends a trace: a summary must not create weights."""


def trace_calls(model: Layer) -> list[LayerCall]:
    """Run a built model's `call` on placeholders; return every call of a layer inside.

    Nothing is computed and no state changes. Where `call` cannot be run so, the calls before the
    place where it failed are returned, without their sources.

    Args:
        model: a built layer or model; its recorded input shapes are used.

    Example:
        >>> from staghorn.visualization.summary import trace_calls
        >>> class Residual(staghorn.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.dense = staghorn.layers.Dense(4)
        ...         self.out = staghorn.layers.Dense(2)
        ...     def call(self, x):
        ...         return self.out(x + self.dense(x))
        >>> model = Residual()
        >>> model.build((None, 4))
        >>> for call in trace_calls(model):
        ...     print(call.operation.name, call.output, *call.sources)
        dense (None, 4) x
        dense_1 (None, 2) x dense[0][0]
    """
    shapes = model._build_shapes
    if shapes is None:
        return []
    best: list[LayerCall] = []
    # The type of the input is not recorded: token numbers are tried where floats fail.
    for dtype, one_for_all in itertools.product((model.input_dtype, "int32"), (False, True)):
        trace = _Trace()
        with trace.watching(model), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a layer has to say, it says when it runs
            try:
                program = trace.run(model, shapes, dtype, one_for_all)
            except Exception:  # the user's code, on placeholders: anything may be raised
                best = max(best, trace.calls, key=len)
                continue
        trace.connect(program)
        return trace.calls
    return best


class _Trace:
    """The calls seen while a model runs on placeholders.

    Arrays are marked as they enter and leave a layer (`checkpoint_name`, which computes nothing);
    in the finished program each mark's origins show which layers fed which.
    """

    def __init__(self) -> None:
        self.calls: list[LayerCall] = []
        self.marks: dict[str, tuple[LayerCall, int | None]] = {}
        self.arguments: list[str] = []

    @contextmanager
    def watching(self, model: Layer) -> Iterator[None]:
        """See every call of the layers inside; afterwards their attributes are as before."""
        layers = model._flatten_layers()
        before = [(layer, dict(vars(layer))) for layer in layers]
        try:
            for layer in layers[1:]:
                # Past __setattr__, which would track them.
                vars(layer)["call"] = partial(self._call, layer, layer.call)
                if not layer.built:
                    vars(layer)["_build_once"] = _refuse
            yield
        finally:
            for layer, attributes in before:
                vars(layer).clear()
                vars(layer).update(attributes)

    def run(self, model: Layer, shapes: Any, dtype: str, one_for_all: bool) -> Any:
        """Return the program of one call, and fill `calls`."""
        name = signature_of(type(model).call).first or "inputs"
        given = {name: shapes}
        if _by_name(shapes):
            given = {key.removesuffix("_shape"): shape for key, shape in shapes.items()}
        specs = _placeholders(given, dtype, one_for_all)
        self.arguments = [key for key in sorted(specs) for _ in jax.tree.leaves(specs[key])]

        def call(values: dict[str, Any]) -> Any:
            with Frame(None, False, None):
                return model(**values) if _by_name(shapes) else model(values[name])

        return jax.make_jaxpr(abstractly(call))(specs).jaxpr

    def _call(self, layer: Layer, inner: Callable, *args: Any, **kwargs: Any) -> Any:
        index = sum(call.operation is layer for call in self.calls)
        entry = LayerCall(layer, index)
        self.calls.append(entry)
        for value in jax.tree.leaves((args, {k: v for k, v in kwargs.items() if "mask" not in k})):
            self._mark(value, entry, None)
        outputs = inner(*args, **kwargs)
        entry.output = _text_of(outputs)
        leaves, treedef = jax.tree.flatten(outputs)
        marked = [self._mark(value, entry, position) for position, value in enumerate(leaves)]
        return jax.tree.unflatten(treedef, marked)

    def _mark(self, value: Any, entry: LayerCall, position: int | None) -> Any:
        if not isinstance(value, jax.Array):
            return value
        mark = f"summary {len(self.marks)}"
        self.marks[mark] = entry, position
        marked = checkpoint_name(value, mark)
        mask = get_mask(value)
        if mask is not None:
            set_mask(marked, mask)
        return marked

    def connect(self, program: Any) -> None:
        """Follow the arrays through the program, from mark to mark."""
        origins: dict[int, tuple[Source, ...]] = {
            id(v): (Source(name),) for v, name in zip(program.invars, self.arguments, strict=True)
        }
        for equation in program.eqns:
            # Constants have no origin.
            found = [s for v in equation.invars for s in origins.get(id(v), ())]
            sources = tuple(dict.fromkeys(found))
            if equation.primitive.name == "name" and equation.params["name"] in self.marks:
                call, position = self.marks[equation.params["name"]]
                if position is None:
                    call.sources = tuple(dict.fromkeys((*call.sources, *sources)))
                else:
                    sources = (Source(call.operation.name, call.index, position),)
            origins.update((id(v), sources) for v in equation.outvars)
        for call in self.calls:
            call.sources = self._nearest(call.sources)

    def _nearest(self, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        """Shorten a long list: a running sum, x = x + block(x), reaches back to every block."""
        if len(sources) <= NEAREST + 1:
            return sources
        order: dict[tuple[str, int | None], int] = {
            (call.operation.name, call.index): i for i, call in enumerate(self.calls)
        }
        latest = sorted(sources, key=lambda s: order.get((s.name, s.call), -1))[-NEAREST:]
        return (*latest, Source(f"{len(sources) - NEAREST} earlier"))


def _refuse(*args: Any) -> None:
    raise _NotBuilt


def _placeholders(shapes: Any, dtype: str, one_for_all: bool = False) -> Any:
    """Return abstract arrays for a shape or a nest of shapes."""
    if shapes is None:
        return None
    if isinstance(shapes, dict):
        return {key: _placeholders(shape, dtype, one_for_all) for key, shape in shapes.items()}
    if all(d is None or isinstance(d, (int, np.integer)) for d in shapes):
        return jax.ShapeDtypeStruct(abstract_shape(tuple(shapes), one_for_all), dtype)
    return type(shapes)(_placeholders(shape, dtype, one_for_all) for shape in shapes)


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
    if show_trainable:
        header, justify = [*header, "Trainable"], [*justify, "center"]
        width += 12
    width = line_length or min(width, shutil.get_terminal_size().columns - 4)
    sizes = _widths(ends if positions is None else positions, width, len(header), show_trainable)
    columns = [
        Column(name, justify=side, width=size, overflow="fold")
        for name, side, size in zip(header, justify, sizes, strict=True)
    ]
    if show_trainable:
        columns[-1].overflow = "ellipsis"  # only its header can be too long: "Trai…"
    table = Table(*columns, width=width, show_lines=True)
    corner = "`- " if console.options.ascii_only else "└ "
    for row in summary.rows:
        cells = _cells(row, corner)
        shown = [*cells[:3], *cells[3:4] * summary.connected, *cells[4:] * show_trainable]
        table.add_row(*shown)
    console.width = max(console.width, width)  # a table that was asked for is not cut off
    console.print(Text(f'Model: "{summary.name}"', style="bold"))
    console.print(table)
    for label, (count, size) in summary.totals.items():
        line = Text().append(f" {label}: ", "bold").append(f"{count:,}", NUMBER)
        console.print(line.append(f" ({readable_size(size)})"))
    if summary.note:
        console.print(Text(summary.note))


def _widths(
    positions: Sequence[float], line_length: int, columns: int, show_trainable: bool
) -> list[int]:
    """Return the columns' widths in characters."""
    ends = list(positions)
    if len(ends) + show_trainable != columns:
        raise ValueError(
            f"summary: positions must say where {columns - show_trainable} columns end, got {ends}."
        )
    if ends[-1] > 1:  # characters, as old scripts write them
        ends = [end / line_length for end in ends]
    if show_trainable:
        ends = [end * 0.9 for end in ends] + [1.0]
    edges = [0, *(int(end * line_length) for end in ends)]
    widths = [after - before for before, after in itertools.pairwise(edges)]
    if min(widths) < 4:
        raise ValueError(
            f"summary: columns of {widths} characters are too narrow, each needs 4. "
            "Give a larger line_length, or other positions."
        )
    return widths


def _cells(row: Row, corner: str) -> list[Text]:
    """Return all five cells of a row."""
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
    return [name, shape, params, connected, Text().append(*styles[row.trainable])]


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
