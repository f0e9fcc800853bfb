"""Nests: every function of `tree` on a table of nests, against Keras's."""

from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
import pytest

import staghorn
from tests.oracle import keras

Point = namedtuple("Point", "x y")
ours, theirs = staghorn.tree, keras.tree


class Shelf(list):
    """A class of one's own on a list is a leaf."""


NESTS = {
    "leaf": 3,
    "none": None,
    "empty": [],
    "empties": [[], {}, ()],
    "list": [1, [2, None], (3,)],
    "dict": {"b": [1, None], "a": {"z": 2, "y": (3, 4)}},
    "ordered": OrderedDict(b=1, a=[2]),
    "default": defaultdict(int, b=1, a=2),
    "named": Point(1, {3: [4]}),
    "own": [Shelf([1, 2]), 3],
    "array": {"x": np.float32(1.0), "y": "text"},
}
PAIRS = [
    ([1], (1,)),
    ([1, [2]], [1, 2]),
    ([1, 2], [1, [2]]),
    ({"a": 1}, {"b": 1}),
    ({"a": 1, "b": 2}, OrderedDict(b=3, a=4)),
    (OrderedDict(b=1, a=2), {"a": 3, "b": 4}),
    (Point(1, 2), (1, 2)),
    (Point(1, 2), Point(3, 4)),
    ([1], [1, 2]),
    (1, [1]),
    ([1], 1),
    (None, 1),
    ([None], [1]),
    ([], ()),
]


def outcome(fn, *args, **kwargs):
    """The result, with its type, or that a ValueError was raised."""
    try:
        result = fn(*args, **kwargs)
    except ValueError:
        return ValueError
    return type(result), result


@pytest.mark.parametrize("nest", NESTS.values(), ids=NESTS)
def test_one_nest(nest):
    calls = {
        "is_nested": lambda t: t.is_nested(nest),
        "flatten": lambda t: t.flatten(nest),
        "flatten_with_path": lambda t: t.flatten_with_path(nest),
        "map": lambda t: t.map_structure(lambda x: (x,), nest),
        "map_but_none": lambda t: t.map_structure(lambda x: (x,), nest, none_is_leaf=False),
        "tuples": lambda t: t.lists_to_tuples(nest),
        "pack": lambda t: t.pack_sequence_as(nest, range(len(t.flatten(nest)))),
        "too_many": lambda t: t.pack_sequence_as(nest, range(20)),
    }
    for name, call in calls.items():
        assert outcome(call, ours) == outcome(call, theirs), name


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_two_nests(pair):
    calls = {
        "same_structure": lambda t: t.assert_same_structure(*pair),
        "same_paths": lambda t: t.assert_same_paths(*pair),
        "map": lambda t: t.map_structure(lambda a, b: (a, b), *pair),
    }
    for name, call in calls.items():
        assert outcome(call, ours) == outcome(call, theirs), name


@pytest.mark.parametrize("top_down", [True, False])
@pytest.mark.parametrize("nest", NESTS.values(), ids=NESTS)
def test_traverse_sees_the_same_parts(nest, top_down):
    def log(tree, seen):
        def visit(part):
            seen.append(part)
            return tree.MAP_TO_NONE if part == 2 else tuple(part) if part == [4] else None

        return tree.traverse(visit, nest, top_down=top_down)

    mine, others = [], []
    assert log(ours, mine) == log(theirs, others)
    assert mine == others


@pytest.mark.parametrize(
    "args",
    [
        ([0, 0], len, [[1, 1], [2]]),
        ([0, [0, 0]], str, [[1, 1], [2, 2]]),
        ({"a": 0}, lambda x, y: (x, y), {"a": [1]}, {"a": 2}),
        ([0], len, [1, 2]),
        ([0], len, ([1],)),
        ([[0]], len, [1]),
        ([0], len),
    ],
)
def test_map_structure_up_to(args):
    expected = outcome(theirs.map_structure_up_to, *args)
    assert outcome(ours.map_structure_up_to, *args) == expected


def test_none_in_a_shallow_structure():
    # Keras's documentation has this example, which its code refuses.
    assert ours.map_structure_up_to([None, None], len, [[1, 1], [2]]) == [2, 1]


@pytest.mark.parametrize(
    "nest", [(1, None), [(2, 3), [4, 5]], {"a": (None, 3), "b": [(2,), ()]}, (), [[None]]], ids=str
)
def test_shapes_are_leaves(nest):
    mine, other = (t.map_shape_structure(lambda s: ("shape", s), nest) for t in (ours, theirs))
    assert mine == other


def test_errors_say_what_differs():
    with pytest.raises(ValueError, match=r"one has \['a'\], the other \['b'\]"):
        ours.map_structure(max, {"a": 1}, {"b": 2})
    with pytest.raises(ValueError, match=r"only the first has \[\(1, 0\)\]"):
        ours.assert_same_paths([1, [2]], [1, 2])
    with pytest.warns(DeprecationWarning, match="check_types has no effect"):
        ours.assert_same_structure([1], [2], check_types=True)


def test_lists_that_layers_hold_are_nests():
    layer = staghorn.layers.Layer()
    layer.parts = {"b": [1], "a": 2}
    assert ours.flatten_with_path(layer.parts) == [(("a",), 2), (("b", 0), 1)]
    assert ours.map_structure(lambda x, y: x + y, layer.parts, {"a": 1, "b": [2]}) == {
        "a": 3,
        "b": [3],
    }
