"""Shapes of ops where symbols for unknown sizes do not do: sizes are tried, and varied.

A product of (3, None) and (None, 5) is fine, though its unknown sizes stand on different axes;
`stft` needs to know that a signal is long enough. So sizes are put in place of the unknown ones,
until the op takes them. Then each is changed: what changes in the result is unknown there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from staghorn.engine.symbolic import KerasTensor

Sizes = tuple[int, ...]

_PLENTY = 24  # divides well
_LONG = 40320  # longer than windows are
_MOST_TRIES = 200


def _guesses(axes: Sequence[int], known: Sequence[int]) -> Iterator[Sizes]:
    """Yield sizes for the unknown axes, the likely ones first."""
    yield tuple(_PLENTY * (axis + 1) for axis in axes)
    yield (_PLENTY,) * len(axes)
    values = [_PLENTY, *known, 2, 3, 1, _LONG]
    kinds = sorted(set(axes))
    for chosen in itertools.product(values, repeat=len(kinds)):  # one size for each axis
        yield tuple(chosen[kinds.index(axis)] for axis in axes)
    yield from itertools.product(values, repeat=len(axes))


def _groups(axes: Sequence[int], sizes: Sizes) -> list[set[int]]:
    """Return which of the sizes to change together."""
    count = range(len(axes))
    by_axis = [{i for i in count if axes[i] == axis} for axis in set(axes)]
    by_size = [{i for i in count if sizes[i] == size} for size in set(sizes)]
    return [*({i} for i in count), *by_axis, *by_size]


def probe(evaluate: Callable[[list[tuple]], Any], inputs: list[KerasTensor], arguments: Any) -> Any:
    """Return an op's result for symbolic inputs as a nest of KerasTensors, None if nothing fits.

    Args:
        evaluate: from shapes of the inputs to a nest of results with `shape` and `dtype`; raises
            for shapes that do not fit.
        inputs: the symbolic tensors.
        arguments: all that the op is given: the sizes of arrays in it are tried first.
    """
    places = [(i, a) for i, t in enumerate(inputs) for a, d in enumerate(t.shape) if d is None]
    axes = [axis for _, axis in places]
    shapes_given = [getattr(x, "shape", ()) for x in jax.tree.leaves(arguments)]
    known = sorted({d for shape in shapes_given for d in shape if d and d > 3}, reverse=True)

    def attempt(sizes: Sizes) -> tuple[list, Any] | None:
        shapes = [list(t.shape) for t in inputs]
        for (i, axis), size in zip(places, sizes, strict=True):
            shapes[i][axis] = size
        try:
            return jax.tree.flatten(evaluate([tuple(shape) for shape in shapes]))
        except Exception:  # of any kind: sizes that do not fit
            return None

    tries = itertools.islice(_guesses(axes, known), _MOST_TRIES)
    found = next(((s, result) for s in tries if (result := attempt(s)) is not None), None)
    if found is None:
        return None
    sizes, (leaves, treedef) = found
    unknown: list[set[int]] = [set() for _ in leaves]
    changes = [(g, by) for g in _groups(axes, sizes) for by in (lambda s: s * 2, lambda s: 2)]
    for group, change in changes:  # to 2, since less may count where more does not: min(size, 4)
        other = attempt(tuple(change(s) if i in group else s for i, s in enumerate(sizes)))
        if other is None:
            continue
        if other[1] != treedef:  # the number of results depends on it
            return None
        for place, (old, new) in enumerate(zip(leaves, other[0], strict=True)):
            if len(old.shape) != len(new.shape):
                return None
            changed = zip(old.shape, new.shape, strict=True)
            unknown[place].update(axis for axis, (m, n) in enumerate(changed) if m != n)
    tensors = [
        KerasTensor([None if a in free else d for a, d in enumerate(x.shape)], str(x.dtype))
        for x, free in zip(leaves, unknown, strict=True)
    ]
    return treedef.unflatten(tensors)
