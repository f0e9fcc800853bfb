"""Nested structures, under Keras's public names."""

from staghorn.engine.tree import assert_same_structure as assert_same_structure
from staghorn.engine.tree import flatten as flatten
from staghorn.engine.tree import is_nested as is_nested
from staghorn.engine.tree import map_structure as map_structure
from staghorn.engine.tree import pack_sequence_as as pack_sequence_as

__all__ = [
    "assert_same_structure",
    "flatten",
    "is_nested",
    "map_structure",
    "pack_sequence_as",
]
