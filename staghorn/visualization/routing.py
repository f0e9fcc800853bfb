"""One level of a drawing: boxes in rows, and lines at right angles in the gaps between the rows.

Lines run along a row only in the gap below it, each on a track of its own, and pass a row only
where a place was kept for them: so no line can cross a box.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any

from staghorn.visualization.alignment import aligned
from staghorn.visualization.layering import ordered, ranks

Key = Hashable
Point = tuple[float, float]

BETWEEN_BOXES = 26.0
BESIDE_LINE = 16.0
TRACK = 10.0  # between two parallel lines in a gap
LINES = 12.0  # between two parallel lines that pass a row, or arrows at a box
ABOVE_TRACKS, BELOW_TRACKS = 10.0, 18.0  # the arrowhead is below
PLAIN_GAP = 30.0  # between rows, where all lines go straight down
PORT_MARGIN = 10.0  # of an arrow from a box's corner


@dataclass(frozen=True)
class Item:
    """A box, or a frame with what is in it; `anchor` and `ports` count from its left edge."""

    width: float
    height: float
    anchor: float
    ports: dict[Key, float] = field(default_factory=dict)
    margin: float = 0.0  # kept free on the right


@dataclass(frozen=True)
class Link:
    """A line that goes down from one item to another; `back` if its arrow points up."""

    upper: Key
    lower: Key
    upper_port: Key | None = None
    lower_port: Key | None = None
    back: bool = False

    @property
    def net(self) -> Key:
        """What shares a line: everything that starts at one place."""
        return (self.upper, self.upper_port, self.lower if self.back else None)


@dataclass(frozen=True)
class Level:
    """Left upper corners of items, and the points of each link."""

    corners: dict[Key, Point]
    routes: list[list[Point]]
    width: float
    height: float


@dataclass
class _Piece:
    """A part of a line, in the gap below one row."""

    net: Key
    start: Key
    end: Key
    port: Key | None
    left: float = 0.0  # x at its start
    right: float = 0.0  # x at its end
    track: int | None = None  # None: straight down


def place(
    items: dict[Key, Item],
    links: list[Link],
    top: Collection[Key] = (),
    bottom: Collection[Key] = (),
    title: Key | None = None,
) -> Level:
    """Return where the items stand and how the links run.

    Args:
        items: sizes by key.
        links: an acyclic graph.
        top, bottom: items that form the first and the last row.
        title: an item of `top` that stands at the far left.

    Example:
        >>> from staghorn.visualization.routing import Item, Link, place
        >>> box = Item(20.0, 10.0, 10.0)
        >>> place({"a": box, "b": box}, [Link("a", "b")]).routes
        [[(10.0, 10.0), (10.0, 40.0)]]
    """
    if not items:
        return Level({}, [], 0.0, 0.0)
    row_of = ranks(list(items), [(link.upper, link.lower) for link in links], top, bottom)
    chains, pieces, passing = _pieces(links, row_of)
    edges = list(dict.fromkeys((p.start, p.end) for p in pieces.values()))
    rows = _first_order(row_of | passing, edges, title)
    rows = ordered(rows, edges)
    if title is not None:
        rows[0].insert(0, title)

    def separation(u: Key, v: Key) -> float:
        a, b = items.get(u), items.get(v)
        right = a.width - a.anchor + a.margin if a else 0.0
        left = b.anchor if b else 0.0
        thin = (a is None or not a.width) + (b is None or not b.width)
        return right + (BETWEEN_BOXES, BESIDE_LINE, LINES)[thin] + left

    x = aligned(rows, edges, set(passing), separation)
    lefts = {n: x[n] - (items[n].anchor if n in items else 0.0) for row in rows for n in row}
    start = min(lefts.values())
    if title is not None:
        lefts[title] = start
    x = {n: place - start for n, place in x.items()}
    lefts = {n: place - start for n, place in lefts.items()}
    width = max(
        left + (items[n].width + items[n].margin if n in items else 0.0)
        for n, left in lefts.items()
    )
    _set_ports(pieces.values(), items, lefts, x)
    tops, heights, lanes, total = _heights(rows, pieces.values(), items, row_of | passing)
    corners = {}
    for key, item in items.items():
        row = row_of[key]
        free = 0.0 if key in top else (heights[row] - item.height) / 2
        corners[key] = (lefts[key], tops[row] + free)

    def route(link: Link, chain: list[_Piece]) -> list[Point]:
        y = corners[link.upper][1] + items[link.upper].height
        points = [(chain[0].left, y)]
        for offset, piece in enumerate(chain):
            if piece.track is not None:
                lane = lanes[row_of[link.upper] + offset] + piece.track * TRACK
                points += [(piece.left, lane), (piece.right, lane)]
        points.append((chain[-1].right, corners[link.lower][1]))
        return points

    routes = [route(link, chain) for link, chain in zip(links, chains, strict=True)]
    return Level(corners, routes, width, total)


def _pieces(
    links: list[Link], row_of: dict[Key, int]
) -> tuple[list[list[_Piece]], dict[Any, _Piece], dict[Key, int]]:
    """Cut links at the rows that they pass; what starts together shares its pieces."""
    chains: list[list[_Piece]] = []
    pieces: dict[Any, _Piece] = {}
    passing: dict[Key, int] = {}
    for link in links:
        first, last = row_of[link.upper], row_of[link.lower]
        via: list[Key] = [("passing", link.net, row) for row in range(first + 1, last)]
        passing.update((key, first + 1 + i) for i, key in enumerate(via))
        stops = [link.upper, *via, link.lower]
        chain = []
        for a, b in pairwise(stops):
            port = link.lower_port if b == link.lower else None
            piece = _Piece(link.net, a, b, port)
            chain.append(pieces.setdefault((link.net, a, b, port), piece))
        chains.append(chain)
    return chains, pieces, passing


def _first_order(
    row_of: dict[Key, int], edges: list[tuple[Key, Key]], title: Key | None
) -> list[list[Key]]:
    """Fill the rows depth-first, so that a path stays together and lines that pass come after."""
    below: dict[Key, list[Key]] = {n: [] for n in row_of}
    for a, b in edges:
        below[a].append(b)
    rows: list[list[Key]] = [[] for _ in range(max(row_of.values()) + 1)]
    seen = {title}
    stack = sorted(row_of, key=lambda n: row_of[n])[::-1]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            rows[row_of[node]].append(node)
            stack.extend(reversed(below[node]))
    return rows


def _set_ports(
    pieces: Iterable[_Piece], items: dict[Key, Item], lefts: dict[Key, float], x: dict[Key, float]
) -> None:
    """Decide where on an item's edge each line starts and ends."""
    outgoing: dict[Key, dict[Key, list[_Piece]]] = {}
    incoming: dict[Key, list[_Piece]] = {}
    for piece in pieces:
        outgoing.setdefault(piece.start, {}).setdefault(piece.net, []).append(piece)
    for node, nets in outgoing.items():
        item = items.get(node)
        # A forward line leaves from the middle; upward arrows arrive beside it.
        wanted = [x[node] if not p[0].net[2] else x[p[0].end] for p in nets.values()]  # type: ignore[index]
        found = _spread(wanted, item, lefts[node], x[node])
        for place, group in zip(found, nets.values(), strict=True):
            port = group[0].net[1]  # type: ignore[index]
            for piece in group:
                fixed = item is not None and port in item.ports
                piece.left = lefts[node] + item.ports[port] if fixed and item else place
    for piece in pieces:
        item = items.get(piece.end)
        if item is not None and piece.port in item.ports:
            place = lefts[piece.end] + item.ports[piece.port]
            piece.right = piece.left if abs(place - piece.left) < 1e-6 else place
        else:
            incoming.setdefault(piece.end, []).append(piece)
    for node, group in incoming.items():
        found = _spread([p.left for p in group], items.get(node), lefts[node], x[node])
        for place, piece in zip(found, group, strict=True):
            piece.right = piece.left if abs(place - piece.left) < 1e-6 else place


def _spread(wanted: list[float], item: Item | None, left: float, middle: float) -> list[float]:
    """Return places on an item's edge near the wanted ones, in their order, not too close."""
    if item is None or not item.width:
        return [middle] * len(wanted)
    margin = min(PORT_MARGIN, item.width / 6)
    low, high = left + margin, left + item.width - margin
    if len(wanted) == 1:
        return [wanted[0] if low <= wanted[0] <= high else middle]
    space = min(LINES, (high - low) / len(wanted))
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    groups: list[list[float]] = []  # means of places that had to move together, how many
    for rank, i in enumerate(order):
        mean, count = min(max(wanted[i], low), high) - rank * space, 1.0
        while groups and groups[-1][0] > mean:
            other, size = groups.pop()
            mean, count = (mean * count + other * size) / (count + size), count + size
        groups.append([mean, count])
    flat = [mean for mean, count in groups for _ in range(int(count))]
    result = [0.0] * len(wanted)
    for rank, i in enumerate(order):
        limit = high - (len(wanted) - 1) * space
        result[i] = min(max(flat[rank], low), limit) + rank * space
    return result


def _heights(
    rows: list[list[Key]],
    pieces: Iterable[_Piece],
    items: dict[Key, Item],
    row_of: dict[Key, int],
) -> tuple[list[float], list[float], list[float], float]:
    """Return the rows' tops and heights, the height of each gap's first track, and the total."""
    gaps: list[list[_Piece]] = [[] for _ in rows]
    for piece in pieces:
        gaps[row_of[piece.start]].append(piece)
    tops, heights, lanes = [], [], []
    y = 0.0
    for row, gap in zip(rows, gaps, strict=True):
        height = max((items[n].height for n in row if n in items), default=0.0)
        count = _set_tracks(gap)
        tops.append(y)
        heights.append(height)
        lanes.append(y + height + ABOVE_TRACKS)
        needed = ABOVE_TRACKS + BELOW_TRACKS + max(count - 1, 0) * TRACK
        y += height + max(PLAIN_GAP, needed)
    return tops, heights, lanes, tops[-1] + heights[-1]


def _set_tracks(gap: list[_Piece]) -> int:
    """Give each line of a gap that bends a track of its own; return how many there are."""
    nets: dict[Key, list[_Piece]] = {}
    for piece in gap:
        nets.setdefault(piece.net, []).append(piece)
    bent = [n for n in nets.values() if any(p.left != p.right for p in n)]
    spans = [_span(net) for net in bent]
    must, should = _precedence(bent, spans)
    left = set(range(len(bent)))
    tracks: list[list[int]] = []
    given: dict[int, int] = {}
    while left:
        # A ring of wishes is cut at the line that waits for the fewest.
        i = min(left, key=lambda k: (len(must[k] & left), len(should[k] & left), k))
        left.remove(i)
        track = max((given[j] + 1 for j in must[i] | should[i] if j in given), default=0)
        while track < len(tracks) and any(_overlap(spans[i], spans[j]) for j in tracks[track]):
            track += 1
        tracks += [[] for _ in range(track + 1 - len(tracks))]
        tracks[track].append(i)
        given[i] = track
        for piece in bent[i]:
            if piece.left != piece.right:
                piece.track = track
    return len(tracks)


def _precedence(
    bent: list[list[_Piece]], spans: list[tuple[float, float]]
) -> tuple[list[set[int]], list[set[int]]]:
    """Return for each line those that must, and those that should, have a track above its own.

    Where one line ends right below the place in which another starts, the latter comes first:
    their vertical parts would lie on each other. Else the order with fewer crossings is better.
    """
    must: list[set[int]] = [set() for _ in bent]
    should: list[set[int]] = [set() for _ in bent]
    for i, j in combinations(range(len(bent)), 2):
        if not _overlap(spans[i], spans[j]):
            continue
        for k, other in ((i, j), (j, i)):
            start = bent[k][0].left
            if any(abs(start - p.right) < TRACK / 2 for p in bent[other]):
                must[other].add(k)
        first = _crossed(bent[i], spans[i], bent[j], spans[j])
        second = _crossed(bent[j], spans[j], bent[i], spans[i])
        if first < second:
            should[j].add(i)
        elif second < first:
            should[i].add(j)
    return must, should


def _crossed(
    upper: list[_Piece],
    upper_span: tuple[float, float],
    lower: list[_Piece],
    lower_span: tuple[float, float],
) -> int:
    """Count crossings if the first line has the upper track."""
    ends = {p.right for p in upper}
    count = sum(lower_span[0] < x < lower_span[1] for x in ends)
    return count + (upper_span[0] < lower[0].left < upper_span[1])


def _span(net: list[_Piece]) -> tuple[float, float]:
    places = [net[0].left, *(piece.right for piece in net)]
    return min(places), max(places)


def _overlap(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] < b[1] + TRACK and b[0] < a[1] + TRACK
