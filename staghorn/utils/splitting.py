"""Data in two parts, such as for training and validation."""

import random
import sys
from typing import Any

import numpy as np

from staghorn.engine import tree
from staghorn.training.data import count_rows

__all__ = ["split_dataset"]

_OTHER = """\
split_dataset: dataset is a {name}. It splits arrays, and lists, tuples and dicts of arrays.
{advice}"""
_TENSORFLOW = "A tf.data.Dataset is split with dataset.take(n) and dataset.skip(n)."
_ARRAYS = "Split the arrays that it is made from, then make one of each part."


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """Split data into a left and a right part, such as for training and validation.

    a nest of (rows, ...) → a nest of (left rows, ...), a nest of (right rows, ...)

    Args:
        dataset: an array, or a list, tuple or dict of arrays with equal numbers of rows; or a
            torch Dataset.
        left_size: rows of the left part, an int, or their share, a float between 0 and 1.
            Default: None (what the right part leaves).
        right_size: the same of the right part. Default: None (what the left part leaves).
        shuffle: bool, whether rows are drawn at random instead of from the two ends.
            Default: False.
        seed: int that decides the draw. Default: None (from Python's `random`).
        preferred_backend: taken for compatibility; has no effect.

    Returns:
        Two nests like `dataset`; of a torch Dataset, two `torch.utils.data.Subset`s.

    Raises:
        ValueError: if no size is given, or the sizes do not fit the number of rows.
        TypeError: for other kinds of data sets.

    Example:
        >>> x, y = np.arange(10.0).reshape(5, 2), np.arange(5)
        >>> (x_train, y_train), (x_val, y_val) = staghorn.utils.split_dataset((x, y), left_size=0.8)
        >>> x_train.shape, y_val.tolist()
        ((4, 2), [4])

    Notes: Keras on JAX returns two tf.data.Datasets of single rows, which need TensorFlow, and
        `.batch(n)` before they fit. The parts here are arrays: `model.fit(x_train, y_train)`.
        Rows and their order are those of Keras, also shuffled with the same seed.

    Reference: https://keras.io/api/utils/python_utils/#split_dataset-function
    """
    del preferred_backend
    torch_set = any(c.__module__.startswith("torch.utils.data") for c in type(dataset).__mro__)
    rows = len(dataset) if torch_set else _rows(dataset)
    left, right = _sizes(left_size, right_size, rows)
    order = list(range(rows))
    if shuffle:
        # Not `random.seed`: the draws of others must not depend on this split.
        random.Random(random.randint(0, 10**6) if seed is None else seed).shuffle(order)
    first, second = order[:left], order[rows - right :]
    if torch_set:
        subset = sys.modules["torch"].utils.data.Subset
        return subset(dataset, first), subset(dataset, second)

    def part(chosen: list[int]) -> Any:
        return tree.map_structure(lambda array: _take(array, chosen, shuffle), dataset)

    return part(first), part(second)


def _take(array: Any, rows: list[int], shuffled: bool) -> Any:
    """Return some rows; without shuffling they are neighbours, and no copy is made."""
    chosen = np.asarray(rows) if shuffled else slice(rows[0], rows[-1] + 1)
    return array.iloc[chosen] if hasattr(array, "iloc") else array[chosen]


def _rows(dataset: Any) -> int:
    """Return the number of rows of a nest of arrays."""
    for leaf in tree.flatten(dataset):
        if not (hasattr(leaf, "shape") and hasattr(leaf, "__getitem__")):
            name = type(leaf).__name__
            foreign = type(leaf).__module__.startswith("tensorflow")
            if isinstance(leaf, (int, float, str)):
                name, advice = f"list of {name}s", "Make it an array: np.asarray(values)."
            else:
                advice = _TENSORFLOW if foreign else _ARRAYS
            raise TypeError(_OTHER.format(name=name, advice=advice))
    return count_rows(dataset)


def _sizes(left: float | None, right: float | None, rows: int) -> tuple[int, int]:
    """Return the two sizes in rows."""
    if left is None and right is None:
        raise ValueError("split_dataset: give left_size or right_size, such as left_size=0.8.")
    for name, size in (("left_size", left), ("right_size", right)):
        if size is not None:
            _check_size(name, size, rows)
    first, second = (round(s * rows) if isinstance(s, float) else s for s in (left, right))
    first = rows - int(second or 0) if first is None else int(first)
    second = rows - first if second is None else int(second)
    if first + second > rows:
        raise ValueError(
            f"split_dataset: left_size={left} and right_size={right} are {first} + {second} rows, "
            f"more than the {rows} there are. Leave one of them out."
        )
    if not (first and second):
        raise ValueError(
            f"split_dataset: left_size={left}, right_size={right} leave {first} and {second} of "
            f"{rows} rows; each part needs one at least."
        )
    return first, second


def _check_size(name: str, size: Any, rows: int) -> None:
    whole = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
    if not (whole or isinstance(size, float)) or not 0 < size < (rows if whole else 1):
        raise ValueError(
            f"split_dataset: {name} must be an int between 1 and {rows - 1} (rows), or a float "
            f"between 0 and 1 (their share); got {size!r} ({type(size).__name__})."
        )
