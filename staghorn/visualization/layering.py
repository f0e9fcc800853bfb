"""Layers of a drawing: which box stands in which row, and in which order along it.

The first half of the layered method: Sugiyama, Tagawa, Toda (1981), "Methods for visual
understanding of hierarchical system structures". No recursion: graphs may be deep chains.

Written here because no library served when this was chosen: see `docs/dependencies.md`.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Hashable, Iterable, Sequence

Key = Hashable
Edge = tuple[Key, Key]
SWEEPS = 16  # of crossing reduction, at most
PATIENCE = 4  # sweeps without a better order


def back_edges(nodes: Sequence[Key], edges: Sequence[Edge]) -> set[Edge]:
    """Return edges whose reversal makes the graph acyclic: those that a depth-first walk closes.

    Example:
        >>> from staghorn.visualization.layering import back_edges
        >>> back_edges("abc", [("a", "b"), ("b", "c"), ("c", "a")])
        {('c', 'a')}
    """
    following: dict[Key, list[Key]] = {node: [] for node in nodes}
    entered = set()
    for a, b in edges:
        following[a].append(b)
        entered.add(b)
    found: set[Edge] = set()
    state: dict[Key, int] = {}  # 1: on the path, 2: done
    for start in [n for n in nodes if n not in entered] + list(nodes):
        if start in state:
            continue
        state[start] = 1
        stack = [(start, iter(following[start]))]
        while stack:
            node, rest = stack[-1]
            for child in rest:
                if child not in state:
                    state[child] = 1
                    stack.append((child, iter(following[child])))
                    break
                if state[child] == 1:
                    found.add((node, child))
            else:
                state[node] = 2
                stack.pop()
    return found


def ranks(
    nodes: Sequence[Key], edges: Sequence[Edge], top: Iterable[Key], bottom: Iterable[Key]
) -> dict[Key, int]:
    """Return each node's row in an acyclic graph: 1 + that of the lowest node above it.

    Nodes of `top` have row 0 alone, those of `bottom` the last row. A node with nothing above
    moves down to just above its first user.

    Example:
        >>> from staghorn.visualization.layering import ranks
        >>> ranks("abc", [("a", "b"), ("b", "c"), ("a", "c")], (), ())
        {'a': 0, 'b': 1, 'c': 2}
    """
    first, last = set(top), set(bottom)
    above: dict[Key, list[Key]] = {n: [] for n in nodes}
    below: dict[Key, list[Key]] = {n: [] for n in nodes}
    for a, b in edges:
        above[b].append(a)
        below[a].append(b)
    missing = {n: len(above[n]) for n in nodes}
    ready = [n for n in nodes if not missing[n]]
    row = {n: 0 if n in first or not first else 1 for n in nodes}
    for node in ready:  # grows while it is read
        for child in below[node]:
            row[child] = max(row[child], row[node] + 1)
            missing[child] -= 1
            if not missing[child]:
                ready.append(child)
    inner = [row[n] for n in nodes if n not in last]
    end = max(inner, default=-1) + 1
    for node in last:
        row[node] = end
    for node in nodes:
        if not above[node] and below[node] and node not in first:
            row[node] = max(row[node], min(row[child] for child in below[node]) - 1)
    return row


def crossings(upper: Sequence[Key], lower: Sequence[Key], below: dict[Key, list[Key]]) -> int:
    """Count the pairs of straight lines between two rows that cross.

    Example:
        >>> from staghorn.visualization.layering import crossings
        >>> crossings("ab", "cd", {"a": ["d"], "b": ["c"]})
        1
    """
    place = {n: i for i, n in enumerate(lower)}
    seen: list[int] = []
    total = 0
    for node in upper:
        ends = sorted(place[child] for child in below.get(node, ()))
        for end in ends:
            total += len(seen) - bisect_right(seen, end)
        for end in ends:
            insort(seen, end)
    return total


def ordered(rows: list[list[Key]], edges: Sequence[Edge]) -> list[list[Key]]:
    """Return the rows in an order with few crossings; edges join neighbouring rows.

    Sweeps down and up put each node at the mean place of its neighbours (barycentre), swaps of
    neighbours finish each sweep, and the best order seen is kept.

    Example:
        >>> from staghorn.visualization.layering import ordered
        >>> ordered([["a", "b"], ["c", "d"]], [("a", "d"), ("b", "c")])
        [['a', 'b'], ['d', 'c']]
    """
    above: dict[Key, list[Key]] = {}
    below: dict[Key, list[Key]] = {}
    for a, b in edges:
        below.setdefault(a, []).append(b)
        above.setdefault(b, []).append(a)

    def total(order: list[list[Key]]) -> int:
        return sum(crossings(order[i], order[i + 1], below) for i in range(len(order) - 1))

    current = [list(row) for row in rows]
    best, fewest, patience = current, total(current), PATIENCE
    for sweep in range(SWEEPS):
        if not fewest or not patience:
            break
        down = sweep % 2 == 0
        current = _sweep(current, above if down else below, down)
        current = _swapped(current, above, below)
        count = total(current)
        patience = PATIENCE if count < fewest else patience - 1
        if count < fewest:
            best, fewest = current, count
    return best


def _sweep(rows: list[list[Key]], beside: dict[Key, list[Key]], down: bool) -> list[list[Key]]:
    result = [list(row) for row in rows]
    indices = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
    for i in indices:
        place = {n: j for j, n in enumerate(result[i - 1 if down else i + 1])}
        mean = {}
        for j, node in enumerate(result[i]):
            found = [place[other] for other in beside.get(node, ())]
            mean[node] = sum(found) / len(found) if found else float(j)
        result[i].sort(key=mean.__getitem__)
    return result


def _swapped(
    rows: list[list[Key]], above: dict[Key, list[Key]], below: dict[Key, list[Key]]
) -> list[list[Key]]:
    """Swap neighbours wherever that removes crossings."""
    for _ in range(2):
        changed = False
        for i, row in enumerate(rows):
            up = {n: j for j, n in enumerate(rows[i - 1])} if i else {}
            low = {n: j for j, n in enumerate(rows[i + 1])} if i + 1 < len(rows) else {}
            for j in range(len(row) - 1):
                a, b = row[j], row[j + 1]
                gain = _gain(above.get(a, ()), above.get(b, ()), up)
                gain += _gain(below.get(a, ()), below.get(b, ()), low)
                if gain > 0:
                    row[j], row[j + 1] = b, a
                    changed = True
        if not changed:
            break
    return rows


def _gain(left: Iterable[Key], right: Iterable[Key], place: dict[Key, int]) -> int:
    """Crossings between the lines of two neighbours, less those after a swap."""
    others = [place[n] for n in right]
    ends = [place[n] for n in left]
    return sum((x > y) - (x < y) for x in ends for y in others)
