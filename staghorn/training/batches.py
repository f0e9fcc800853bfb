"""One batch as a user's code made it, checked and turned into arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from staghorn.engine import tree
from staghorn.training.data import to_arrays
from staghorn.training.large import LargeArray

__all__ = ["BatchChecker"]

_PARTS = ("x", "y", "sample_weight")
_FORM = "A batch is x, (x,), (x, y) or (x, y, sample_weight), each an array or a nest of arrays"

_OTHER_RANK = """\
Batch {label} of {what}: {path} has shape {ours}, in the first batch it had {first}.
All batches must have the same number of axes: check how this one was made."""


class BatchChecker:
    """Turns batches into tuples of arrays and compares each with the first one.

    x | (x,) | (x, y) | (x, y, sample_weight) → a tuple of nests of arrays, (rows, ...) each

    Args:
        what: where the batches come from, for messages.
        advice: what to check when a batch has no rows; a sentence, or nothing.

    Raises:
        ValueError: if a batch is not of one of these forms, holds what is no number, or differs
            from the first one in anything but its sizes.

    Example:
        >>> from staghorn.training.batches import BatchChecker
        >>> check = BatchChecker("generator")
        >>> x, y = check([np.ones((2, 3)), [0, 1]], 0)
        >>> x.shape, x.dtype.name, y.tolist()
        ((2, 3), 'float32', [0, 1])

    Notes: Keras takes a list as a tuple from a PyDataset only, and x alone from a PyDataset only;
        here every source may give any of the forms.
    """

    def __init__(self, what: str, advice: str = "") -> None:
        self.what = what
        self.advice = f" {advice}" if advice else ""
        self.strings = False  # whether inputs may be strings
        self.first: list[tuple[str, Any, tuple]] | None = None

    def __call__(self, batch: Any, label: Any) -> tuple:
        """Return the batch as a tuple of arrays; `label` is its number in messages."""
        parts = self._parts(batch, label)
        result = tuple(
            None if part is None else self._arrays(part, f"{name} of batch {label} of {self.what}")
            for name, part in zip(_PARTS, parts, strict=False)
        )
        leaves = [
            leaf for name, part in zip(_PARTS, result, strict=False) for leaf in _leaves(part, name)
        ]
        self._check_rows(leaves, label)
        found = [(path, array.dtype, array.shape) for path, array in leaves]
        if self.first is None:
            self.first = found
        elif _kinds(found) != _kinds(self.first):
            raise ValueError(self._difference(found, label))
        return result

    def _parts(self, batch: Any, label: Any) -> tuple:
        """Return (x,), (x, y) or (x, y, sample_weight) as the user made them."""
        if not isinstance(batch, (tuple, list)):
            batch = (batch,)
        parts = tuple(batch)
        if not 1 <= len(parts) <= 3:
            raise ValueError(
                f"Batch {label} of {self.what} is a {type(batch).__name__} of {len(parts)}. "
                f"{_FORM}; several inputs go into one tuple or dict: ((a, b), y)."
            )
        while len(parts) > 1 and parts[-1] is None:
            parts = parts[:-1]
        if parts[0] is None:
            raise ValueError(
                f"Batch {label} of {self.what} is None. {_FORM}. Is a `return` missing?"
            )
        return parts

    def _arrays(self, part: Any, what: str) -> Any:
        if hasattr(part, "toarray"):
            raise ValueError(
                f"{what} is a sparse {type(part).__name__}. Make it dense where the batch is "
                "made: batch.toarray()."
            )
        if isinstance(part, (int, float, complex)) or getattr(part, "shape", None) == ():
            raise ValueError(
                f"{what} is a single number, {part!r}; a batch has a row for each sample."
                f"{self.advice}"
            )
        arrays = to_arrays(part, what, self.strings and what.startswith("x"))
        if any(isinstance(leaf, LargeArray) for leaf in tree.flatten(arrays)):
            # Rows of a file, still unread: a batch is wanted whole.
            arrays = tree.map_structure(np.asarray, arrays)
        return arrays

    def _check_rows(self, leaves: list[tuple[str, Any]], label: Any) -> None:
        rows = {len(array) for _, array in leaves}
        if len(rows) > 1:
            named = ", ".join(f"{path} has {len(array)}" for path, array in leaves)
            raise ValueError(
                f"Batch {label} of {self.what} has different numbers of rows: {named}. Each row "
                f"of x needs its row in y (and in sample_weight).{self.advice}"
            )
        if 0 in rows:
            raise ValueError(
                f"Batch {label} of {self.what} has 0 rows. Skip empty batches where they are made, "
                f"and check how many batches there are.{self.advice}"
            )

    def _difference(self, found: list[tuple[str, Any, tuple]], label: Any) -> str:
        """Say how a batch differs from the first one."""
        assert self.first is not None
        paths, wanted = [path for path, *_ in found], [path for path, *_ in self.first]
        if paths != wanted:
            return (
                f"Batch {label} of {self.what} holds {', '.join(paths)}; the first batch held "
                f"{', '.join(wanted)}. All batches must have the same parts."
            )
        pairs = zip(found, self.first, strict=True)
        (path, dtype, shape), (_, first_dtype, first_shape) = next(
            (a, b) for a, b in pairs if _kinds([a]) != _kinds([b])
        )
        if len(shape) != len(first_shape):
            return _OTHER_RANK.format(
                label=label, what=self.what, path=path, ours=shape, first=first_shape
            )
        return (
            f"Batch {label} of {self.what}: {path} is {dtype}, in the first batch it was "
            f"{first_dtype}. Convert where the batch is made: np.asarray(values, '{first_dtype}')."
        )


def _kinds(found: list[tuple[str, Any, tuple]]) -> list[tuple[str, Any, int]]:
    """What all batches share; sizes may differ, as those of sequences padded batch by batch do."""
    return [(path, dtype, len(shape)) for path, dtype, shape in found]


def _leaves(part: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a nest with their paths, such as x['image']."""
    if isinstance(part, dict):
        for key in sorted(part, key=str):
            yield from _leaves(part[key], f"{path}[{key!r}]")
    elif isinstance(part, (list, tuple)):
        for i, value in enumerate(part):
            yield from _leaves(value, f"{path}[{i}]")
    elif part is not None:
        yield path, part
