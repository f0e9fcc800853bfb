"""A drawing as a list of shapes, and its writers: SVG text, PNG by Pillow, PDF by matplotlib.

Pillow, which matplotlib needs itself, writes a PNG of 400 layers six times as fast as matplotlib.

Lengths are points (1/72 inch); y grows downwards. Texts are measured with the font that
matplotlib brings along, so that what fits here fits in every format.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Point = tuple[float, float]
FAMILY = "DejaVu Sans"
SPARE = 16.0  # at most, a label may be longer than measured: boxes leave 22 points
MAX_SIDE = 30_000  # pixels; many viewers refuse more than 32,767
MAX_PIXELS = 40_000_000
MAX_PAGE = 14_400.0  # points; the PDF standard's limit


@dataclass(frozen=True)
class Area:
    """A rectangle; `dashed` ones have no filling."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str
    dashed: bool = False


@dataclass(frozen=True)
class Line:
    """A path of straight parts with an arrowhead at its end."""

    points: tuple[Point, ...]
    color: str


@dataclass(frozen=True)
class Label:
    """One line of text; (x, y) is the left end of its baseline."""

    x: float
    y: float
    text: str
    size: float
    color: str
    bold: bool = False


@dataclass(frozen=True)
class Drawing:
    """Shapes from back to front."""

    width: float
    height: float
    shapes: tuple[Area | Line | Label, ...]


ARROW = 7.0
ARROW_HALF = 3.2
STROKE = 1.2


@lru_cache(maxsize=2)
def _face(bold: bool) -> Any:
    from matplotlib import ft2font

    face = ft2font.FT2Font(_font_path(bold))
    face.set_size(100.0, 72)
    return face


def _font_path(bold: bool) -> str:
    from matplotlib.font_manager import FontProperties, findfont

    return findfont(FontProperties(family=FAMILY, weight="bold" if bold else "normal"))


@lru_cache(maxsize=20_000)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return how wide a text is, in points.

    Example:
        >>> from staghorn.visualization.drawing import text_width
        >>> text_width("dense", 10.0) < text_width("dense", 10.0, bold=True) < 50
        True
    """
    from matplotlib.ft2font import LoadFlags

    face = _face(bold)
    face.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    width, _ = face.get_width_height()  # in 1/64 of a point at size 100
    return float(width) / 64 * size / 100


def arrowhead(points: tuple[Point, ...]) -> tuple[Point, Point, Point]:
    """Return the triangle at a line's end."""
    (x0, y0), (x1, y1) = points[-2:]
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    x, y = x1 - ARROW * dx, y1 - ARROW * dy
    half = ARROW_HALF
    return (x1, y1), (x - half * dy, y + half * dx), (x + half * dy, y - half * dx)


# SVG ------------------------------------------------------------------------------------------


def to_svg(drawing: Drawing) -> str:
    """Return SVG text; words stay words, which a reader can search.

    Example:
        >>> from staghorn.visualization.drawing import Drawing, Label, to_svg
        >>> "a &lt; b" in to_svg(Drawing(50, 20, (Label(2, 15, "a < b", 10, "black"),)))
        True
    """
    width, height = _number(drawing.width), _number(drawing.height)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="{height}pt" '
        f'viewBox="0 0 {width} {height}" font-family="{FAMILY}, Verdana, sans-serif">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    lines += [_svg_of(shape) for shape in drawing.shapes]
    return "\n".join([*lines, "</svg>", ""])


def _svg_of(shape: Area | Line | Label) -> str:
    if isinstance(shape, Area):
        x, y, width, height = map(_number, (shape.x, shape.y, shape.width, shape.height))
        dash = ' stroke-dasharray="4 3"' if shape.dashed else ""
        return (
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{shape.fill}" '
            f'stroke="{shape.stroke}"{dash}/>'
        )
    if isinstance(shape, Line):
        path, head = _svg_points(shape.points), _svg_points(arrowhead(shape.points))
        return (
            f'<polyline points="{path}" fill="none" stroke="{shape.color}" '
            f'stroke-width="{STROKE}"/>\n<polygon points="{head}" fill="{shape.color}"/>'
        )
    weight = ' font-weight="bold"' if shape.bold else ""
    # textLength: another font than ours must not make a label longer than its box.
    length = _number(text_width(shape.text, shape.size, shape.bold))
    return (
        f'<text x="{_number(shape.x)}" y="{_number(shape.y)}" font-size="{_number(shape.size)}" '
        f'fill="{shape.color}" textLength="{length}" lengthAdjust="spacingAndGlyphs"{weight}>'
        f"{escape(shape.text)}</text>"
    )


def _svg_points(points: tuple[Point, ...]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(x: float) -> str:
    return f"{x:.2f}".rstrip("0").rstrip(".")


# PNG ------------------------------------------------------------------------------------------


def usable_dpi(drawing: Drawing, dpi: float) -> float:
    """Return `dpi`, or less where the picture would have too many pixels for an image file."""
    width, height = drawing.width / 72, drawing.height / 72
    side = MAX_SIDE / max(width, height)
    return min(dpi, side, math.sqrt(MAX_PIXELS / (width * height)))


def to_png(drawing: Drawing, dpi: float) -> bytes:
    """Return a PNG file's content, in `usable_dpi`."""
    from PIL import Image, ImageDraw

    scale = usable_dpi(drawing, dpi) / 72
    size = max(1, round(drawing.width * scale)), max(1, round(drawing.height * scale))
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    stroke = max(1, round(STROKE * scale))
    for shape in drawing.shapes:
        if isinstance(shape, Area):
            _draw_area(pen, shape, scale)
        elif isinstance(shape, Line):
            points = [(round(x * scale), round(y * scale)) for x, y in shape.points]
            pen.line(points, shape.color, stroke, joint="curve")
            _draw_head(image, shape, scale)
        else:
            size_used = fitted_size(shape, scale)
            font = _font(size_used, shape.bold)
            free = text_width(shape.text, shape.size, shape.bold) * scale
            x = shape.x * scale + (free - font.getlength(shape.text)) / 2
            pen.text((x, shape.y * scale), shape.text, shape.color, font, anchor="ls")
    buffer = io.BytesIO()
    dots = scale * 72
    image.save(buffer, "png", compress_level=3, dpi=(dots, dots))
    return buffer.getvalue()


def _draw_area(pen: Any, area: Area, scale: float) -> None:
    left, top = round(area.x * scale), round(area.y * scale)
    right = round((area.x + area.width) * scale)
    bottom = round((area.y + area.height) * scale)
    width = max(1, round(scale))
    if not area.dashed:
        pen.rectangle((left, top, right, bottom), area.fill, area.stroke, width)
        return
    dash, step = max(1, round(4 * scale)), max(2, round(7 * scale))
    for x in range(left, right, step):
        for y in (top, bottom):
            pen.line((x, y, min(x + dash, right), y), area.stroke, width)
    for y in range(top, bottom, step):
        for x in (left, right):
            pen.line((x, y, x, min(y + dash, bottom)), area.stroke, width)


SMOOTH = 4  # an arrowhead is drawn this much larger, then made small: smooth edges


def _draw_head(image: Any, line: Line, scale: float) -> None:
    from PIL import Image, ImageDraw

    corners = [(x * scale, y * scale) for x, y in arrowhead(line.points)]
    left, top = (math.floor(min(c[k] for c in corners)) - 1 for k in (0, 1))
    right, bottom = (math.ceil(max(c[k] for c in corners)) + 1 for k in (0, 1))
    mask = Image.new("L", ((right - left) * SMOOTH, (bottom - top) * SMOOTH))
    shifted = [((x - left) * SMOOTH, (y - top) * SMOOTH) for x, y in corners]
    ImageDraw.Draw(mask).polygon(shifted, 255)
    mask = mask.resize((right - left, bottom - top), Image.Resampling.BOX)
    image.paste(line.color, (left, top, right, bottom), mask)


@lru_cache(maxsize=64)
def _font(size: float, bold: bool) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(_font_path(bold), size, layout_engine=ImageFont.Layout.BASIC)


def fitted_size(label: Label, scale: float) -> float:
    """Return the size in pixels in which a label has its room; whole pixels make texts longer."""
    size = label.size * scale
    room = text_width(label.text, label.size, label.bold) * scale
    length = _font(size, label.bold).getlength(label.text)
    limit = room + SPARE * scale
    return size if length <= limit else math.floor(8 * size * limit / length) / 8


# PDF ------------------------------------------------------------------------------------------


def to_pdf(drawing: Drawing) -> bytes:
    """Return a PDF file's content; its texts can be searched."""
    buffer = io.BytesIO()
    metadata = {"CreationDate": None}  # same picture, same bytes
    _figure(drawing).savefig(buffer, format="pdf", metadata=metadata)
    return buffer.getvalue()


def _figure(drawing: Drawing) -> Figure:
    """Return a figure of its own: no pyplot, so no window and no change of the user's state."""
    from matplotlib.collections import LineCollection, PatchCollection, PolyCollection
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    shrink = min(1.0, MAX_PAGE / max(drawing.width, drawing.height))
    size = drawing.width / 72 * shrink, drawing.height / 72 * shrink
    figure = Figure(figsize=size, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, drawing.width)
    axes.set_ylim(drawing.height, 0)
    axes.axis("off")
    areas = [s for s in drawing.shapes if isinstance(s, Area)]
    lines = [s for s in drawing.shapes if isinstance(s, Line)]
    labels = [s for s in drawing.shapes if isinstance(s, Label)]
    # Collections draw thousands of shapes much faster than one artist for each.
    axes.add_collection(
        PatchCollection(
            [Rectangle((a.x, a.y), a.width, a.height) for a in areas],
            facecolors=[a.fill for a in areas],
            edgecolors=[a.stroke for a in areas],
            linestyles=["--" if a.dashed else "-" for a in areas],
            linewidths=shrink,
            zorder=1,
        )
    )
    colors = [line.color for line in lines]
    axes.add_collection(
        LineCollection(
            [s.points for s in lines], colors=colors, linewidths=STROKE * shrink, zorder=2
        )
    )
    heads = [arrowhead(s.points) for s in lines]
    axes.add_collection(PolyCollection(heads, facecolors=colors, linewidths=0, zorder=2))
    for label in labels:
        axes.text(
            label.x,
            label.y,
            label.text,
            fontsize=label.size * shrink,
            color=label.color,
            family=FAMILY,
            weight="bold" if label.bold else "normal",
            verticalalignment="baseline",
            parse_math=False,  # a name may hold a dollar sign
            zorder=3,
        )
    return figure
