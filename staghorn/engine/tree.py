"""Nested structures: `None` is a leaf, dicts are walked in sorted key order (as Keras does)."""

from collections.abc import Callable
from typing import Any

import jax


def _is_none(x: Any) -> bool:
    return x is None


def is_nested(structure: Any) -> bool:
    """Say whether `structure` is a list, tuple or dict; a class of one's own on them is a leaf.

    Args:
        structure: anything.

    Example:
        >>> staghorn.engine.tree.is_nested([1]), staghorn.engine.tree.is_nested(1)
        (True, False)
    """
    return isinstance(structure, (list, tuple, dict)) and not jax.tree_util.all_leaves([structure])


def flatten(structure: Any) -> list:
    """Return the leaves of a nest as a flat list.

    Args:
        structure: the nest.

    Example:
        >>> staghorn.engine.tree.flatten({"b": [1, None], "a": 2})
        [2, 1, None]
    """
    if not is_nested(structure):
        return [structure]
    return jax.tree.leaves(structure, is_leaf=_is_none)


def map_structure(fn: Callable, *structures: Any) -> Any:
    """Apply `fn` to matching leaves; return a nest of the first structure's form.

    Example:
        >>> staghorn.engine.tree.map_structure(lambda a, b: a + b, [1, 2], [10, 20])
        [11, 22]
    """
    if not is_nested(structures[0]):
        return fn(*structures)
    return jax.tree.map(fn, *structures, is_leaf=_is_none)


def pack_sequence_as(structure: Any, flat_sequence: list) -> Any:
    """Put flat leaves back into the form of `structure`.

    Args:
        structure: a nest of the form wanted.
        flat_sequence: the leaves, in the order of `flatten`.

    Example:
        >>> staghorn.engine.tree.pack_sequence_as({"b": 0, "a": 0}, [1, 2])
        {'a': 1, 'b': 2}
    """
    treedef: Any = jax.tree.structure(structure, is_leaf=_is_none)
    flat = list(flat_sequence)
    if treedef.num_leaves != len(flat):
        raise ValueError(
            f"The structure holds {treedef.num_leaves} leaves, but {len(flat)} values were given."
        )
    return jax.tree.unflatten(treedef, flat)


def assert_same_structure(a: Any, b: Any) -> None:
    """Raise ValueError unless two nests have the same form.

    Example:
        >>> staghorn.engine.tree.assert_same_structure([1, {"a": 2}], [3, {"a": 4}])
    """
    first: Any = jax.tree.structure(a, is_leaf=_is_none)
    second: Any = jax.tree.structure(b, is_leaf=_is_none)
    if first != second:
        raise ValueError(f"The structures differ: {first} and {second}.")


def same_structure(a: Any, b: Any) -> bool:
    """Say whether two nests have the same form."""
    first: Any = jax.tree.structure(a, is_leaf=_is_none)
    return bool(first == jax.tree.structure(b, is_leaf=_is_none))
