"""`plot_model` and `model_to_dot`: pictures of a model's layers, with no program to install."""

from __future__ import annotations

import textwrap
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from staghorn.engine.registry import suggestion
from staghorn.saving.atomic import replacing_file
from staghorn.visualization.drawing import (
    Area,
    Drawing,
    Label,
    Line,
    Point,
    text_width,
    to_pdf,
    to_png,
    to_svg,
    usable_dpi,
)
from staghorn.visualization.layout import Box, Group, Layout, Rectangle, layout
from staghorn.visualization.model_graph import ModelGraph, Part, model_graph

Key = Hashable
FORMATS = ("png", "svg", "pdf", "dot")
DIRECTIONS = ("TB", "LR", "BT", "RL")
SPLINES = ("ortho", "curved", "polyline", "spline", "line")
HEADER_SIZE, ROW_SIZE, TITLE_SIZE = 10.0, 9.0, 9.0
HEADER_HEIGHT, ROW_HEIGHT, TITLE_HEIGHT = 20.0, 15.0, 18.0
FOOT = 3.0
ARROWS = 9.0  # between arrows that arrive at a box
SIDE = 11.0  # between a text and its box
MARGIN = 14.0  # around the whole picture
WRAP = 56  # characters of a line in a box
LINE_COLOR, FRAME_COLOR, TEXT_COLOR = "#444444", "#8a8a8a", "#222222"
# Headers: inputs, layers with weights, models inside, all the rest. White text on each.
INPUT, WEIGHTS, MODEL, PLAIN = "#00695c", "#1f5a8c", "#6a3d8a", "#4d5660"
TRAINABLE = {True: ("Trainable", "#1b7a3d"), False: ("Non-trainable", "#a32222")}

_NOT_BUILT = """\
{function}: model '{name}' is not built, so its layers are not connected yet.
Write first           model.build(input_shape)
or                    model(x[:1])              # x: your data"""


@dataclass(frozen=True)
class Options:
    """What is written in each box, and the direction in which a model runs."""

    show_shapes: bool = False
    show_dtype: bool = False
    show_layer_names: bool = True
    rankdir: str = "TB"
    show_layer_activations: bool = False
    show_trainable: bool = False


class Picture:
    """What a notebook shows for `plot_model`: the picture as SVG; `path` is the file written."""

    def __init__(self, drawing: Drawing, path: Path | None) -> None:
        self.drawing = drawing
        self.path = path

    def _repr_svg_(self) -> str:
        return to_svg(self.drawing)

    def __repr__(self) -> str:
        size = f"{self.drawing.width:.0f} x {self.drawing.height:.0f} points"
        return (
            f"<Picture of a model, {size}, path={None if self.path is None else str(self.path)!r}>"
        )


class Dot(str):
    """A graph in the DOT language; `create` and `write` draw it here, without Graphviz."""

    _drawn: Callable[[], Drawing]
    _dpi: float

    def to_string(self) -> str:
        return str(self)

    def create(self, prog: str | None = None, format: str = "png") -> bytes:
        """Return a picture file's content; `prog` is accepted for pydot's sake."""
        del prog
        if format == "dot":
            return self.encode()
        return _content(self._drawn(), _checked("format", format, FORMATS), self._dpi)

    def write(
        self, path: str | PathLike[str], prog: str | None = None, format: str = "dot"
    ) -> bool:
        """Write a file; True, as pydot returns."""
        content = self.create(prog, format)
        with replacing_file(path, make_folders=True) as file:
            file.write(content)
        return True


def plot_model(
    model: Any,
    to_file: str | PathLike[str] | None = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    layer_range: Sequence[str] | None = None,
) -> Picture:
    """Draw a model's layers and what feeds what, to a file and for a notebook.

    Args:
        model: a built model of any kind, or a layer.
        to_file: where to write: `.png`, `.svg`, `.pdf` or `.dot`; PNG without an ending. None
            writes no file. Default: "model.png".
        show_shapes: write each layer's input and output shape. Default: False.
        show_dtype: write the type of each output. Default: False.
        show_layer_names: write names beside the types of layers. Default: False.
        rankdir: direction: "TB" (top to bottom), "LR", "BT" or "RL". Default: "TB".
        expand_nested: draw models inside as frames with their layers. Default: False.
        dpi: pixels per inch of a PNG; lowered for pictures too large for a file. Default: 200.
        show_layer_activations: write activations of layers that have one. Default: False.
        show_trainable: write whether layers with weights are trained. Default: False.
        splines: how Graphviz is to draw the lines of a `.dot` file. Default: "ortho".
        layer_range: names (or regular expressions) of the first and the last layer to draw.
            Default: all.

    Raises:
        ValueError: for a model that is not built, an ending or a direction that is unknown, a
            range that names no layer.

    Example:
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(8)])
        >>> picture = staghorn.utils.plot_model(model, to_file=None, show_shapes=True)
        >>> "(None, 8)" in picture._repr_svg_()
        True

    Notes:
        Differs from Keras: needs neither pydot nor Graphviz; always returns a picture (SVG in a
        notebook); a subclassed model is drawn as its `call` connects its layers, not as one box
        (a warning says so where `call` does not run without data, and arrows are missing);
        pictures are drawn at right angles whatever `splines` says; `layer_range` works.
    """
    _check_built("plot_model", model)
    suffix = "png" if to_file is None else Path(to_file).suffix.lstrip(".").lower() or "png"
    if suffix not in FORMATS:
        raise ValueError(
            f"plot_model: to_file must end with .png, .svg, .pdf or .dot, got {str(to_file)!r}."
            f"{suggestion(suffix, FORMATS)}"
        )
    options = Options(
        show_shapes,
        show_dtype,
        show_layer_names,
        _checked("rankdir", rankdir, DIRECTIONS),
        show_layer_activations,
        show_trainable,
    )
    _checked("splines", splines, SPLINES)
    graph = model_graph(model, expand_nested, layer_range)
    drawing = draw(graph, options)
    if to_file is None:
        return Picture(drawing, None)
    if suffix == "dot":
        content = dot_text(graph, options, dpi, splines).encode()
    else:
        content = _content(drawing, suffix, dpi)
    with replacing_file(to_file, make_folders=True) as file:
        file.write(content)
    return Picture(drawing, Path(to_file))


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    layer_range: Sequence[str] | None = None,
) -> Dot:
    """Return a model's graph as text in the DOT language.

    Args:
        model: a built model of any kind, or a layer.
        show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi,
            show_layer_activations, show_trainable, splines, layer_range: as in `plot_model`;
            names are shown by default.
        subgraph: return a `subgraph cluster` block for use inside another graph. Default: False.

    Raises:
        ValueError: as `plot_model`.

    Example:
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(8)])
        >>> dot = staghorn.utils.model_to_dot(model)
        >>> dot.splitlines()[0]
        'digraph "sequential" {'
        >>> dot.create(format="svg")[:4]
        b'<svg'

    Notes:
        Differs from Keras: a string, not a pydot object; `to_string`, `create` and `write` are
        there, and draw without Graphviz.

    Reference:
        https://graphviz.org/doc/info/lang.html
    """
    _check_built("model_to_dot", model)
    options = Options(
        show_shapes,
        show_dtype,
        show_layer_names,
        _checked("rankdir", rankdir, DIRECTIONS),
        show_layer_activations,
        show_trainable,
    )
    _checked("splines", splines, SPLINES)
    graph = model_graph(model, expand_nested, layer_range)
    dot = Dot(dot_text(graph, options, dpi, splines, subgraph))
    dot._drawn = lambda: draw(graph, options)
    dot._dpi = dpi
    return dot


def _check_built(function: str, model: Any) -> None:
    if not hasattr(model, "built"):
        raise ValueError(
            f"{function}: model must be a model or a layer, got {model!r} ({type(model).__name__})."
        )
    if not model.built:
        raise ValueError(_NOT_BUILT.format(function=function, name=model.name))


def _checked(argument: str, value: Any, known: Sequence[str]) -> str:
    if value not in known:
        raise ValueError(
            f"plot_model: {argument} must be one of {', '.join(map(repr, known))}, got {value!r}."
            f"{suggestion(str(value), known)}"
        )
    return str(value)


def _content(drawing: Drawing, file_format: str, dpi: float) -> bytes:
    if file_format == "svg":
        return to_svg(drawing).encode()
    if file_format == "pdf":
        return to_pdf(drawing)
    used = usable_dpi(drawing, dpi)
    if used < dpi / 4:
        warnings.warn(
            f"plot_model: this model is drawn with {used:.0f} dpi instead of {dpi}, since the PNG "
            "would be too large. Write to a .svg or .pdf file for a picture to zoom into.",
            stacklevel=3,
        )
    return to_png(drawing, dpi)


# Boxes ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Content:
    """The texts of one box: header lines, then (text, background) for each row."""

    header: list[str]
    rows: list[tuple[str, str | None]]
    color: str

    def size(self) -> tuple[float, float]:
        """Return width and height of the box."""
        widths = [text_width(line, HEADER_SIZE, True) for line in self.header]
        widths += [text_width(text, ROW_SIZE) for text, _ in self.rows]
        height = HEADER_HEIGHT + (len(self.header) - 1) * ROW_HEIGHT
        return max(widths) + 2 * SIDE, height + ROW_HEIGHT * len(self.rows) + self.foot

    @property
    def foot(self) -> float:
        """White space below the last row, unless that has a colour."""
        return FOOT if self.rows and self.rows[-1][1] is None else 0.0


def content_of(part: Part, options: Options) -> Content:
    """Return what a box says.

    Example:
        >>> from staghorn.visualization.model_graph import Part
        >>> from staghorn.visualization.plot import Options, content_of
        >>> content_of(Part(0, "hidden", "Dense"), Options()).header
        ['hidden (Dense)']
    """
    title = f"{part.name} ({part.type})" if options.show_layer_names else part.type
    texts: list[tuple[str, str | None]] = []
    if options.show_layer_activations and part.activation is not None:
        texts.append((f"Activation: {part.activation}", None))
    if options.show_shapes:
        if not part.is_input:
            texts.append((f"Input shape: {part.input_shape}", None))
        texts.append((f"Output shape: {part.output_shape}", None))
    if options.show_dtype:
        texts.append((f"Output dtype: {part.dtype}", None))
    if options.show_trainable and part.trainable is not None:
        texts.append(TRAINABLE[part.trainable])
    color = PLAIN if part.trainable is None else WEIGHTS
    color = INPUT if part.is_input else MODEL if part.is_model else color
    rows = [(line, fill) for text, fill in texts for line in textwrap.wrap(text, WRAP)]
    return Content(textwrap.wrap(title, WRAP) or [""], rows, color)


def draw(graph: ModelGraph, options: Options) -> Drawing:
    """Return the picture of a graph as shapes."""
    contents = {part.key: content_of(part, options) for part in graph.parts}
    horizontal = options.rankdir in ("LR", "RL")
    arriving = Counter(b for _, b in graph.edges)
    boxes = []
    for part in graph.parts:
        width, height = contents[part.key].size()
        needed = ARROWS * (arriving[part.key] + 1)  # room for arrowheads side by side
        width, height = (width, max(height, needed)) if horizontal else (max(width, needed), height)
        boxes.append(Box(part.key, width, height, part.group))
    titles = {inside.key: f"{inside.name} ({inside.type})" for inside in graph.insides}
    groups = [
        Group(i.key, text_width(titles[i.key], TITLE_SIZE, True), TITLE_HEIGHT, i.parent)
        for i in graph.insides
    ]
    placed = _turned(layout(boxes, graph.edges, groups, horizontal), options.rankdir)
    shapes: list[Area | Line | Label] = []
    for frame in placed.frames.values():
        shapes.append(_area(frame, "none", FRAME_COLOR, dashed=True))
    for route in placed.routes:
        shapes.append(Line(tuple(_moved(point) for point in route), LINE_COLOR))
    for key, place in placed.titles.items():
        x, y = _moved((place.x, place.y))
        shapes.append(Label(x, y + 12.5, titles[key], TITLE_SIZE, TEXT_COLOR, True))
    for key, place in placed.boxes.items():
        shapes += _box(contents[key], place)
    return Drawing(placed.width + 2 * MARGIN, placed.height + 2 * MARGIN, tuple(shapes))


def _box(content: Content, place: Rectangle) -> list[Area | Line | Label]:
    """Return a header with white text, rows below it, and the border around them."""
    x, y = _moved((place.x, place.y))
    header = HEADER_HEIGHT + (len(content.header) - 1) * ROW_HEIGHT
    shift = 0.0
    if not content.rows:
        shift, header = (place.height - header) / 2, place.height
    shapes: list[Area | Line | Label] = [_area(place, "white", content.color)]
    top = Rectangle(place.x, place.y, place.width, header)
    shapes.append(_area(top, content.color, content.color))

    def label(text: str, baseline: float, size: float, color: str, bold: bool) -> None:
        left = x + (place.width - text_width(text, size, bold)) / 2
        shapes.append(Label(left, baseline, text, size, color, bold))

    for i, line in enumerate(content.header):
        label(line, y + 13.5 + shift + i * ROW_HEIGHT, HEADER_SIZE, "white", True)
    for i, (text, fill) in enumerate(content.rows):
        upper = header + i * ROW_HEIGHT
        if fill is not None:
            band = Rectangle(place.x, place.y + upper, place.width, ROW_HEIGHT)
            shapes.append(_area(band, fill, content.color))
        label(text, y + upper + 11, ROW_SIZE, TEXT_COLOR if fill is None else "white", False)
    return shapes


def _moved(point: Point) -> Point:
    return point[0] + MARGIN, point[1] + MARGIN


def _area(place: Rectangle, fill: str, stroke: str, dashed: bool = False) -> Area:
    x, y = _moved((place.x, place.y))
    return Area(x, y, place.width, place.height, fill, stroke, dashed)


def _turned(placed: Layout, rankdir: str) -> Layout:
    """Mirror a layout for the two directions that run backwards."""
    if rankdir not in ("BT", "RL"):
        return placed
    across = rankdir == "RL"

    def mirrored(table: dict[Key, Rectangle]) -> dict[Key, Rectangle]:
        return {
            k: Rectangle(placed.width - r.x - r.width, r.y, r.width, r.height)
            if across
            else Rectangle(r.x, placed.height - r.y - r.height, r.width, r.height)
            for k, r in table.items()
        }

    routes = [
        [(placed.width - x, y) if across else (x, placed.height - y) for x, y in route]
        for route in placed.routes
    ]
    tables = mirrored(placed.boxes), mirrored(placed.frames), mirrored(placed.titles)
    return Layout(*tables, routes, placed.width, placed.height)


# DOT ------------------------------------------------------------------------------------------


def dot_text(
    graph: ModelGraph, options: Options, dpi: float, splines: str, subgraph: bool = False
) -> str:
    """Return a graph in the DOT language, with the same boxes as a picture's."""
    names = {part.key: f"n{i}" for i, part in enumerate(graph.parts)}
    members: dict[Key | None, list[str]] = {None: [], **{i.key: [] for i in graph.insides}}
    for part in graph.parts:
        table = _dot_table(content_of(part, options))
        members[part.group].append(f"{names[part.key]} [label=<{table}>];")
    for number, inside in reversed(list(enumerate(graph.insides))):
        title = _quoted(f"{inside.name} ({inside.type})")
        members[inside.parent] += [
            f"subgraph cluster_{number} {{",
            f'  label={title}; labeljust="l"; style="dashed";',
            *(f"  {line}" for line in members[inside.key]),
            "}",
        ]
    lines = members[None] + [f"{names[a]} -> {names[b]};" for a, b in graph.edges]
    if subgraph:
        start = [
            f"subgraph {_quoted(f'cluster_{graph.name}')} {{",
            f'  label={_quoted(graph.name)}; style="dashed";',
        ]
    else:
        start = [
            f"digraph {_quoted(graph.name)} {{",
            f'  graph [rankdir="{options.rankdir}", dpi="{dpi}", splines="{splines}"];',
        ]
    start.append('  node [shape="plain", fontname="Helvetica"];')
    return "\n".join([*start, *(f"  {line}" for line in lines), "}", ""])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _dot_table(content: Content) -> str:
    header = "<br/>".join(escape(line) for line in content.header)
    rows = "".join(
        f'<tr><td bgcolor="{fill or "white"}">'
        f'<font color="{"black" if fill is None else "white"}">{escape(text)}</font></td></tr>'
        for text, fill in content.rows
    )
    return (
        '<table border="0" cellborder="1" cellspacing="0" cellpadding="6">'
        f'<tr><td bgcolor="{content.color}"><font color="white"><b>{header}</b></font></td></tr>'
        f"{rows}</table>"
    )
