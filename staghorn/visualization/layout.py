"""A layered drawing of a graph of boxes, some of them inside frames: sizes in, places out.

Each frame is laid out alone and is then a box of the frame around it; a line that enters or
leaves it does so at a pin on its edge. Lengths are points (1/72 inch); y grows downwards.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from staghorn.visualization.layering import back_edges
from staghorn.visualization.routing import Item, Level, Link, Point, place

Key = Hashable
ROOT: Key = ("root",)
PADDING = 12.0  # between a frame and what is in it
LOOP = 14.0  # how far an arrow from a box to itself reaches out


@dataclass(frozen=True)
class Box:
    """A rectangle to place, inside the frame `group`, or outside of all."""

    key: Key
    width: float
    height: float
    group: Key | None = None


@dataclass(frozen=True)
class Group:
    """A frame around boxes, with the size of its title; frames may be in frames."""

    key: Key
    title_width: float
    title_height: float
    parent: Key | None = None


@dataclass(frozen=True)
class Rectangle:
    """Left, top, width, height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """Rectangles of boxes, frames and titles by key; the points of each edge, in their order."""

    boxes: dict[Key, Rectangle]
    frames: dict[Key, Rectangle]
    titles: dict[Key, Rectangle]
    routes: list[list[Point]]
    width: float
    height: float


def layout(
    boxes: Sequence[Box],
    edges: Sequence[tuple[Key, Key]],
    groups: Sequence[Group] = (),
    horizontal: bool = False,
) -> Layout:
    """Place boxes in layers, so that edges go down (or right) wherever they can.

    Args:
        boxes: keys and sizes. The order decides where nothing else does.
        edges: (from, to), at most one for a pair; a ring of edges is allowed.
        groups: frames, each after the one it is in.
        horizontal: lay out from left to right. Default: from top to bottom.

    Example:
        >>> from staghorn.visualization.layout import Box, layout
        >>> drawn = layout([Box("a", 20, 10), Box("b", 20, 10)], [("a", "b")])
        >>> drawn.routes
        [[(10.0, 10.0), (10.0, 40.0)]]
    """
    if horizontal:
        boxes = [Box(b.key, b.height, b.width, b.group) for b in boxes]
        groups = [Group(g.key, g.title_height, g.title_width, g.parent) for g in groups]
    work = _Compound(boxes, edges, groups, beside=horizontal)
    work.orient()
    work.place()
    drawn = work.collect()
    return _transposed(drawn) if horizontal else drawn


class _Compound:
    """The levels of one drawing while it is made."""

    def __init__(
        self,
        boxes: Sequence[Box],
        edges: Sequence[tuple[Key, Key]],
        groups: Sequence[Group],
        beside: bool,
    ) -> None:
        # Titles stand in the first row, where no line crosses them; or, if the drawing is turned
        # afterwards, in a strip beside all rows.
        self.beside = beside
        self.edges = edges
        self.groups = {g.key: g for g in groups}
        self.parent: dict[Key, Key] = {}
        self.children: dict[Key, list[Key]] = {ROOT: [], **{g.key: [] for g in groups}}
        for member, group in [(g.key, g.parent) for g in groups] + [
            (b.key, b.group) for b in boxes
        ]:
            home = ROOT if group is None else group
            self.parent[member] = home
            self.children[home].append(member)
        self.items = {b.key: Item(b.width, b.height, b.width / 2) for b in boxes}
        self.loops = {a for a, b in edges if a == b}
        for key in self.loops:
            item = self.items[key]
            self.items[key] = Item(item.width, item.height, item.anchor, margin=LOOP)
        # By level: links, with their numbers, and pins at the top and at the bottom.
        self.links: dict[Key, dict[Link, int]] = {key: {} for key in self.children}
        self.pins: dict[Key, dict[Key, str]] = {key: {} for key in self.children}
        self.parts: list[list[tuple[Key, int, bool]]] = [[] for _ in edges]
        self.levels: dict[Key, Level] = {}

    def _chain(self, key: Key) -> list[Key]:
        """Return the levels around a member, the nearest first, up to the whole drawing."""
        chain = []
        while key != ROOT:
            key = self.parent[key]
            chain.append(key)
        return chain

    def orient(self) -> None:
        """Cut edges into links, one for each level they run in, all pointing down."""
        crossing: dict[Key, list[tuple[int, list[Key], list[Key]]]] = {}
        for number, (a, b) in enumerate(self.edges):
            if a == b:
                continue
            left, right = [a, *self._chain(a)], [b, *self._chain(b)]
            while left[-2:-1] == right[-2:-1]:
                left.pop()
                right.pop()
            # Now they end in the level that holds both; before it, its two members.
            crossing.setdefault(left[-1], []).append((number, left[:-1], right[:-1]))
        for level, found in crossing.items():
            pairs = list(dict.fromkeys((left[-1], right[-1]) for _, left, right in found))
            back = back_edges(self.children[level], pairs)
            for number, left, right in found:
                self._cut(number, level, left, right, (left[-1], right[-1]) in back)

    def _cut(self, number: int, level: Key, left: list[Key], right: list[Key], back: bool) -> None:
        source = left[0]
        side = ("top", "bottom") if back else ("bottom", "top")
        leaving, entering = ("out", source, side[0]), ("in", source, side[1])
        for inside, group in pairwise(left):
            self.pins[group][leaving] = side[0]
            port = leaving if inside in self.groups else None
            self._link(number, group, inside, leaving, port, None, back)
        self._link(
            number,
            level,
            left[-1],
            right[-1],
            leaving if left[-1] in self.groups else None,
            entering if right[-1] in self.groups else None,
            back,
        )
        for group, inside in list(zip(right[1:], right, strict=False))[::-1]:
            self.pins[group][entering] = side[1]
            port = entering if inside in self.groups else None
            self._link(number, group, entering, inside, None, port, back)

    def _link(
        self,
        number: int,
        level: Key,
        a: Key,
        b: Key,
        port_a: Key | None,
        port_b: Key | None,
        back: bool,
    ) -> None:
        link = Link(b, a, port_b, port_a, True) if back else Link(a, b, port_a, port_b)
        index = self.links[level].setdefault(link, len(self.links[level]))
        self.parts[number].append((level, index, back))

    def place(self) -> None:
        """Lay out the levels, inner ones first."""
        for level in reversed(list(self.children)):
            pins = self.pins[level]
            members = {key: self.items[key] for key in self.children[level]}
            members |= {pin: Item(0.0, 0.0, 0.0) for pin in pins}
            top = [pin for pin, side in pins.items() if side == "top"]
            bottom = [pin for pin, side in pins.items() if side == "bottom"]
            title = None
            if level != ROOT and not self.beside:
                title = ("title", level)
                group = self.groups[level]
                members[title] = Item(group.title_width, group.title_height, 0.0)
            first = top if title is None else [title, *top]
            placed = place(members, list(self.links[level]), first, bottom, title)
            self.levels[level] = placed
            if level != ROOT:
                self.items[level] = self._frame(level, placed, top, bottom)

    def _frame(self, level: Key, placed: Level, top: list[Key], bottom: list[Key]) -> Item:
        """Return what a laid out level is in the one around it."""
        group = self.groups[level]
        across, along = self._offset(level)
        ports = {pin: placed.corners[pin][0] + across for pin in (*top, *bottom)}
        width = placed.width + across + PADDING
        height = placed.height + along + (0.0 if bottom else PADDING)
        if self.beside:
            height = max(height, group.title_height + 2 * PADDING)
        return Item(width, height, ports[top[0]] if top else width / 2, ports)

    def _offset(self, level: Key) -> Point:
        """Return how far inside its frame a level starts."""
        if not self.beside:
            return PADDING, 0.0
        entered = "top" in self.pins[level].values()
        return PADDING + self.groups[level].title_width, 0.0 if entered else PADDING

    def collect(self) -> Layout:
        """Return everything in the coordinates of the whole."""
        origin: dict[Key, Point] = {ROOT: (0.0, 0.0)}
        boxes, frames, titles = {}, {}, {}
        for level in self.children:
            x, y = origin[level]
            corners = self.levels[level].corners
            for key in self.children[level]:
                left, upper = corners[key]
                item = self.items[key]
                rectangle = Rectangle(x + left, y + upper, item.width, item.height)
                if key in self.groups:
                    frames[key] = rectangle
                    across, along = self._offset(key)
                    origin[key] = (x + left + across, y + upper + along)
                else:
                    boxes[key] = rectangle
            if level != ROOT:
                group = self.groups[level]
                if self.beside:
                    left, upper = PADDING / 2, PADDING
                    x, y = frames[level].x, frames[level].y
                else:
                    left, upper = corners[("title", level)]
                size = group.title_width, group.title_height
                titles[level] = Rectangle(x + left, y + upper, *size)
        routes = [self._route(number, origin, boxes) for number in range(len(self.edges))]
        whole = self.levels[ROOT]
        return Layout(boxes, frames, titles, routes, whole.width, whole.height)

    def _route(
        self, number: int, origin: dict[Key, Point], boxes: dict[Key, Rectangle]
    ) -> list[Point]:
        if not self.parts[number]:
            box = boxes[self.edges[number][0]]
            right, low = box.x + box.width, box.y + 0.7 * box.height
            high = box.y + 0.3 * box.height
            return [(right, low), (right + LOOP, low), (right + LOOP, high), (right, high)]
        points: list[Point] = []
        for level, index, back in self.parts[number]:
            x, y = origin[level]
            route = [(x + px, y + py) for px, py in self.levels[level].routes[index]]
            points += route[::-1] if back else route
        return _corners(points)


def _corners(points: list[Point]) -> list[Point]:
    """Drop points at which a line does not bend."""
    kept: list[Point] = []
    for point in points:
        if kept and abs(kept[-1][0] - point[0]) + abs(kept[-1][1] - point[1]) < 1e-6:
            continue
        if len(kept) > 1 and any(
            abs(kept[-2][k] - kept[-1][k]) + abs(kept[-1][k] - point[k]) < 1e-6 for k in (0, 1)
        ):
            kept.pop()
        kept.append(point)
    return kept


def _transposed(drawn: Layout) -> Layout:
    def turned(table: dict[Key, Rectangle]) -> dict[Key, Rectangle]:
        return {k: Rectangle(r.y, r.x, r.height, r.width) for k, r in table.items()}

    routes = [[(y, x) for x, y in route] for route in drawn.routes]
    return Layout(
        turned(drawn.boxes),
        turned(drawn.frames),
        turned(drawn.titles),
        routes,
        drawn.height,
        drawn.width,
    )
