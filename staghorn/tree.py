"""Nested structures of lists, tuples and dicts: `keras.tree`.

None is a leaf. A dict is walked in the order of its sorted keys, an `OrderedDict` in its own.
"""

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import jax

from staghorn.engine.registry import missing_names as _missing_names
from staghorn.engine.tree import flatten as flatten
from staghorn.engine.tree import is_nested as is_nested
from staghorn.engine.tree import pack_sequence_as as pack_sequence_as

# fmt: off
__all__ = [
    "MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path",
    "is_nested", "lists_to_tuples", "map_shape_structure", "map_structure", "map_structure_up_to",
    "pack_sequence_as", "traverse",
]
# fmt: on


class MAP_TO_NONE:
    """What a function given to `traverse` returns to put None in place of what it got.

    Example:
        >>> staghorn.tree.traverse(lambda x: staghorn.tree.MAP_TO_NONE if x == 2 else None, [1, 2])
        [1, None]
    """


def _branches(nest: Any) -> tuple[list, list, Callable] | None:
    """Return the keys and values one level below, and how to put values back; None for a leaf."""
    if not is_nested(nest):
        return None
    treedef: Any
    values, treedef = jax.tree.flatten(nest, is_leaf=lambda x: x is not nest)
    keys: Any = range(len(values))
    if isinstance(nest, dict):
        keys = nest if isinstance(nest, OrderedDict) else sorted(nest)
    return list(keys), values, treedef.unflatten


def flatten_with_path(structure: Any) -> list[tuple[tuple, Any]]:
    """Return (path, leaf) pairs: a path is a tuple of keys and places.

    Args:
        structure: the nest.

    Example:
        >>> staghorn.tree.flatten_with_path({"b": [1, None], "a": 2})
        [(('a',), 2), (('b', 0), 1), (('b', 1), None)]
    """
    found = _branches(structure)
    if found is None:
        return [((), structure)]
    return [
        ((key, *path), leaf)
        for key, value in zip(*found[:2], strict=True)
        for path, leaf in flatten_with_path(value)
    ]


def traverse(func: Callable, structure: Any, top_down: bool = True) -> Any:
    """Call a function on every part of a nest, the whole and the leaves among them.

    Args:
        func: returns what takes the part's place, `MAP_TO_NONE` for None, or None to keep it.
        structure: the nest.
        top_down: the whole first, and nothing below what was replaced; otherwise leaves first.
            Default: True.

    Example:
        >>> total = lambda x: sum(x) if isinstance(x, list) else None
        >>> staghorn.tree.traverse(total, [1, [2, 3]], top_down=False)
        6
    """

    def below() -> Any:
        found = _branches(structure)
        if found is None:
            return structure
        return found[2]([traverse(func, value, top_down) for value in found[1]])

    kept = structure if top_down else below()
    result = func(kept)
    if result is None:
        return below() if top_down else kept
    return None if result is MAP_TO_NONE else result


def map_structure(func: Callable, *structures: Any, none_is_leaf: bool = True) -> Any:
    """Apply a function to matching leaves; return a nest of the first one's form.

    Args:
        func: takes one leaf of each nest.
        *structures: nests of the same form.
        none_is_leaf: False leaves None in its place, without a call. Default: True.

    Raises:
        ValueError: if the forms differ, or without a nest.

    Example:
        >>> staghorn.tree.map_structure(lambda a, b: a + b, [1, (2,)], [10, (20,)])
        [11, (22,)]
    """

    def mapped(*leaves: Any) -> Any:
        if any(map(is_nested, leaves)):
            raise ValueError(f"The structures differ: a leaf of one is a nest in another: {leaves}")
        if not none_is_leaf and leaves[0] is None:
            return None
        return func(*leaves)

    if not structures:
        raise ValueError("map_structure: give at least one structure.")
    return _mapped(mapped, structures)


def map_structure_up_to(shallow_structure: Any, func: Callable, *structures: Any) -> Any:
    """Apply a function to what other nests have at the leaves of a shallow one.

    Args:
        shallow_structure: the form of the result.
        func: takes one part of each nest.
        *structures: nests of that form, or deeper.

    Raises:
        ValueError: if a nest has another form, or without a nest.

    Example:
        >>> staghorn.tree.map_structure_up_to([0, 0], len, [[1, 1], [2]])
        [2, 1]
    """
    if not structures:
        raise ValueError("map_structure_up_to: give at least one structure.")
    return _mapped(lambda _, *parts: func(*parts), (shallow_structure, *structures))


def _mapped(func: Callable, nests: tuple) -> Any:
    found = _branches(nests[0])
    if found is None:
        return func(*nests)
    keys, values, rebuild = found
    columns = [values, *(_matched(nests[0], keys, other) for other in nests[1:])]
    return rebuild([_mapped(func, row) for row in zip(*columns, strict=True)])


def _matched(nest: Any, keys: list, other: Any) -> list:
    """Return the values one level below `other` in the order of `keys`."""
    found = _branches(other)
    alike = next((kind for kind in (dict, list) if isinstance(nest, kind)), type(nest))
    if found is None or not isinstance(other, alike):
        raise ValueError(f"The structures differ: expected a {type(nest).__name__}, got {other!r}.")
    if set(found[0]) != set(keys):
        raise ValueError(f"The structures differ: one has {keys}, the other {found[0]}.")
    place = dict(zip(*found[:2], strict=True))
    return [place[key] for key in keys]


def assert_same_structure(a: Any, b: Any, check_types: Any = None) -> None:
    """Raise ValueError unless two nests have the same form: kinds of nests, lengths and keys.

    Args:
        a, b: the nests. All kinds of dicts are one kind.
        check_types: has no effect any more. Default: None.

    Example:
        >>> staghorn.tree.assert_same_structure([1, {"a": 2}], [3, {"a": 4}])
    """
    if check_types is not None:
        warnings.warn(
            "assert_same_structure: check_types has no effect; leave it out. "
            "assert_same_paths takes lists and tuples for the same.",
            DeprecationWarning,
            stacklevel=2,
        )
    map_structure(lambda *_: None, a, b)


def assert_same_paths(a: Any, b: Any) -> None:
    """Raise ValueError unless two nests have leaves at the same paths, whatever the kinds of nests.

    Args:
        a: a nest.
        b: another nest.

    Example:
        >>> staghorn.tree.assert_same_paths([0, 1], (2, 3))
    """
    first, second = ({path for path, _ in flatten_with_path(nest)} for nest in (a, b))
    if first != second:
        raise ValueError(
            f"The paths differ: only the first has {sorted(first - second, key=str)}, "
            f"only the second {sorted(second - first, key=str)}."
        )


def lists_to_tuples(structure: Any) -> Any:
    """Return a nest with a tuple in the place of each list.

    Args:
        structure: the nest.

    Example:
        >>> staghorn.tree.lists_to_tuples({"a": [1, [2]]})
        {'a': (1, (2,))}
    """
    return traverse(lambda x: tuple(x) if isinstance(x, list) else None, structure, False)


def map_shape_structure(func: Callable, structure: Any) -> Any:
    """Apply a function to the shapes in a nest: lists and tuples of ints and None.

    Args:
        func: takes a shape.
        structure: a nest of shapes.

    Example:
        >>> staghorn.tree.map_shape_structure(len, {"a": (None, 3), "b": [(2,), (4, 5)]})
        {'a': 2, 'b': [1, 2]}
    """

    def is_shape(x: Any) -> bool:
        return x is None or (
            isinstance(x, (list, tuple)) and all(d is None or isinstance(d, int) for d in x)
        )

    return jax.tree.map(func, structure, is_leaf=is_shape)


__getattr__ = _missing_names(__name__, __all__)
