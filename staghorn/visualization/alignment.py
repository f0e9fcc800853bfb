"""Where along its row each box stands.

Brandes, Köpf (2001), "Fast and simple horizontal coordinate assignment": align each box with the
median of its neighbours, from four corners, and take the mean of the two middle results. Lines
that pass several rows come out straight.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise

Key = Hashable
Separation = Callable[[Key, Key], float]


def aligned(
    rows: Sequence[Sequence[Key]],
    edges: Sequence[tuple[Key, Key]],
    passing: set[Key],
    separation: Separation,
) -> dict[Key, float]:
    """Return the place of each node along its row.

    Args:
        rows: nodes in order.
        edges: (upper, lower) between neighbouring rows.
        passing: nodes that are only a line passing a row.
        separation: least distance of two neighbours, left and right.

    Example:
        >>> from staghorn.visualization.alignment import aligned
        >>> aligned([["a"], ["b", "c"]], [("a", "b"), ("a", "c")], set(), lambda u, v: 10.0)
        {'a': 5.0, 'b': 0.0, 'c': 10.0}
    """
    above: dict[Key, list[Key]] = {n: [] for row in rows for n in row}
    below: dict[Key, list[Key]] = {n: [] for row in rows for n in row}
    for a, b in _strong(edges, passing) - _conflicts(rows, edges, passing):
        below[a].append(b)
        above[b].append(a)
    results = []
    for upward in (False, True):
        for mirrored in (False, True):
            stack = [list(row)[:: -1 if mirrored else 1] for row in rows]
            order = stack[::-1] if upward else stack
            root = _blocks(order, below if upward else above)

            def apart(u: Key, v: Key, mirrored: bool = mirrored) -> float:
                return separation(v, u) if mirrored else separation(u, v)

            places = _compacted(order, root, apart)
            results.append({n: -x if mirrored else x for n, x in places.items()})
    return _balanced(results)


def _strong(edges: Sequence[tuple[Key, Key]], passing: set[Key]) -> set[tuple[Key, Key]]:
    """Return the edges that pull: a box follows its main path rather than lines that skip it.

    A line skips if the box that it comes from goes on in the next row too. So the main path of a
    network with skip connections is one straight line, and where branches of different lengths
    meet, the meeting point is in their middle.
    """
    followed = {a for a, b in edges if b not in passing} - passing
    skipping: dict[Key, bool] = {}
    for a, b in edges:  # each line's parts come in order, from above
        if b in passing:
            skipping[b] = skipping.get(a, a in followed)
    following = {b for a, b in edges if not skipping.get(a, False)} - passing
    return {
        (a, b)
        for a, b in edges
        if not (a in followed and b in passing) and not (b in following and skipping.get(a, False))
    }


def _conflicts(
    rows: Sequence[Sequence[Key]], edges: Sequence[tuple[Key, Key]], passing: set[Key]
) -> set[tuple[Key, Key]]:
    """Return edges that cross a line on its way past rows: the line has precedence."""
    place = {n: i for row in rows for i, n in enumerate(row)}
    row_of = {n: i for i, row in enumerate(rows) for n in row}
    lines: dict[int, list[tuple[int, int]]] = {}
    for a, b in edges:
        if a in passing and b in passing:
            lines.setdefault(row_of[a], []).append((place[a], place[b]))
    return {
        (a, b)
        for a, b in edges
        if not (a in passing and b in passing)
        and any((place[a] - p) * (place[b] - q) < 0 for p, q in lines.get(row_of[a], ()))
    }


def _blocks(order: list[list[Key]], before: dict[Key, list[Key]]) -> dict[Key, Key]:
    """Chain each node to the median of its neighbours in the row before; return its chain."""
    root = {n: n for row in order for n in row}
    taken: set[Key] = set()
    place: dict[Key, int] = {}
    for row in order:
        last = -1
        for node in row:
            found = sorted(before[node], key=lambda n: place[n])
            for other in found[(len(found) - 1) // 2 : len(found) // 2 + 1]:
                if place[other] > last and other not in taken:
                    taken.add(other)
                    root[node] = root[other]
                    last = place[other]
                    break
        place = {n: i for i, n in enumerate(row)}
    return root


def _compacted(order: list[list[Key]], root: dict[Key, Key], apart: Separation) -> dict[Key, float]:
    """Put the chains as near to each other as their nodes allow."""
    after: dict[Key, dict[Key, float]] = {r: {} for r in root.values()}
    missing = dict.fromkeys(after, 0)
    for row in order:
        for u, v in pairwise(row):
            a, b = root[u], root[v]
            if b not in after[a]:
                missing[b] += 1
            after[a][b] = max(after[a].get(b, 0.0), apart(u, v))
    places = dict.fromkeys(after, 0.0)
    ready = [r for r in after if not missing[r]]
    for chain in ready:  # grows while it is read
        for other, gap in after[chain].items():
            places[other] = max(places[other], places[chain] + gap)
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    for chain in reversed(ready):
        limits = [places[other] - gap for other, gap in after[chain].items()]
        if limits:
            places[chain] = max(places[chain], min(limits))
    return {n: places[r] for n, r in root.items()}


def _balanced(results: list[dict[Key, float]]) -> dict[Key, float]:
    """Shift four results onto the narrowest one and take the mean of the two middle places."""
    spans = [(min(r.values()), max(r.values())) for r in results]
    low, high = min(spans, key=lambda s: s[1] - s[0])
    for i, (result, (left, right)) in enumerate(zip(results, spans, strict=True)):
        shift = high - right if i % 2 else low - left
        results[i] = {n: x + shift for n, x in result.items()}
    balanced = {}
    for node in results[0]:
        middle = sorted(result[node] for result in results)[1:3]
        balanced[node] = sum(middle) / 2
    start = min(balanced.values())
    return {n: x - start for n, x in balanced.items()}
