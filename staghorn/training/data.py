"""What the user passed, as batches: arrays of any kind, checked before anything trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config
from staghorn.engine import tree
from staghorn.engine.dtypes import is_float
from staghorn.engine.host_memory import own_copy
from staghorn.layers.call import is_text
from staghorn.training.large import LargeArray, take

# Arrays up to this size (all of x, y and weights together) live on the device for the whole
# training; larger ones stay on the host and are gathered for each group of steps.
RESIDENT_BYTES = 1 << 30
# What is gathered on the host for one compiled call: at most so many steps, so many bytes.
GROUP_STEPS = 64
GROUP_BYTES = 64 << 20

_LENGTHS = """\
The arrays have different numbers of rows: {lengths}.
Each row of x needs its row in y (and in sample_weight). Check how they were cut or shuffled."""


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Split what `train_step` gets into x, y and sample weights.

    Args:
        data: x alone, or a tuple or list (x, y) or (x, y, sample_weight).

    Example:
        >>> staghorn.training.data.unpack_x_y_sample_weight((1, 2))
        (1, 2, None)
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if 1 <= len(data) <= 3:
        return (*data, None, None)[:3]
    raise ValueError(
        f"A batch must be x, (x,), (x, y) or (x, y, sample_weight); got a tuple of {len(data)}."
    )


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Put x, y and sample weights into the form that `train_step` gets.

    Args:
        x: inputs.
        y: targets. Default: None.
        sample_weight: weights. Default: None.

    Example:
        >>> staghorn.training.data.pack_x_y_sample_weight(1, 2)
        (1, 2)
    """
    if y is None and sample_weight is None:
        return (x,) if isinstance(x, (list, tuple)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def to_array(
    value: Any, what: str, strings: bool = False
) -> np.ndarray | jax.Array | LargeArray:
    """Turn one thing that holds numbers into an array; floats become `floatx()`.

    With `strings`, those are left as they are: the model takes them. Arrays in files, and arrays
    that are too large to hold twice, are cast row by row later.
    """
    if isinstance(value, jax.Array):
        return value.astype(config.floatx()) if is_float(value.dtype) else value
    if isinstance(value, LargeArray):
        return value
    _check_kind(value, what)
    if strings and is_text(value) and np.ndim(value):
        return value if isinstance(value, np.ndarray) else np.asarray(value, dtype=object)
    kind = type(value).__module__.split(".", 1)[0]
    if kind == "h5py" or (isinstance(value, np.ndarray) and value.nbytes > RESIDENT_BYTES):
        return _large(value, what)
    if isinstance(value, np.memmap) and _target_dtype(value.dtype) != value.dtype:
        return _large(value, what)
    if kind == "pandas":
        value = _from_pandas(value, what)
    elif kind == "torch":
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    array = np.asarray(value)
    if array.dtype == object or array.dtype.kind in "US":
        raise ValueError(_not_numeric(array, what))
    if array.dtype.kind == "f" and array.dtype.name != config.floatx():
        array = array.astype(config.floatx())
    elif array.dtype.kind in "iu" and array.dtype.itemsize == 8 and config.floatx() != "float64":
        array = _narrowed(array, what)
    if array.ndim == 0:
        raise ValueError(f"{what} must be an array with a row per sample, got {value!r}.")
    return array


def _target_dtype(dtype: Any) -> np.dtype:
    """Return the type in which the device holds values of a type."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return np.dtype(config.floatx())
    if dtype.kind in "iu" and dtype.itemsize == 8 and config.floatx() != "float64":
        return np.dtype("int32")
    return dtype


def _large(value: Any, what: str) -> Any:
    """Return an array whose rows are read and cast when they are wanted."""
    if not getattr(value, "shape", ()):
        raise ValueError(f"{what} must be an array with a row per sample, got {value!r}.")
    if value.dtype.kind not in "biuf":
        raise ValueError(f"{what} holds values of type {value.dtype}, not numbers.")
    wanted = _target_dtype(value.dtype)
    if isinstance(value, np.ndarray) and wanted == value.dtype:
        return value
    return LargeArray(value, wanted)


def _narrowed(array: np.ndarray, what: str) -> np.ndarray:
    """Store 64-bit integers in 32 bits, which is what the device computes in."""
    low, high = np.iinfo(np.int32).min, np.iinfo(np.int32).max
    if array.size and (array.min() < low or array.max() > high):
        raise ValueError(
            f"{what} holds integers outside 32 bits ({array.min()} ... {array.max()}). "
            "Convert them to float, or rescale them."
        )
    return array.astype(np.int32)


def _from_pandas(frame: Any, what: str) -> np.ndarray:
    """Return a frame's or a column's numbers; name the column that has none."""
    columns = frame.items() if hasattr(frame, "columns") else [(frame.name, frame)]
    for name, column in columns:
        if column.dtype.kind not in "biuf" and column.dtype.name not in ("boolean",):
            example = column.iloc[0] if len(column) else None
            raise ValueError(
                f"{what}: column {name!r} holds {column.dtype}, not numbers (first value "
                f"{example!r}). Drop it, or encode it, for instance with pandas.get_dummies."
            )
    array = frame.to_numpy()
    return array[:, None] if array.ndim == 1 else array


def _not_numeric(array: np.ndarray, what: str) -> str:
    flat = array.ravel().tolist()
    example = flat[0] if flat else None
    if isinstance(example, (list, tuple, np.ndarray)):
        lengths = sorted({len(row) for row in flat[:1000]})
        return (
            f"{what} is a list of rows with different lengths ({lengths[:5]}...). "
            "Pad them to one length first:\n"
            "    padded = np.zeros((len(rows), max(map(len, rows))), 'float32')\n"
            "    for i, row in enumerate(rows): padded[i, :len(row)] = row"
        )
    missing = any(value is None for value in flat)
    example = None if missing else example
    return (
        f"{what} holds {type(example).__name__} values such as {example!r}, not numbers. "
        f"{'Fill in or drop the missing ones.' if missing else _conversion(array, what)}"
    )


def _conversion(array: np.ndarray, what: str) -> str:
    """Say how values that are not numbers become numbers."""
    try:
        array.astype("float32")
    except (TypeError, ValueError):
        if not what.startswith("y"):
            return (
                "Pass an array of numbers; encode text and categories as numbers first, for "
                "instance with layers.TextVectorization or layers.StringLookup, inside the model "
                "or before fit."
            )
        return (
            "Number the classes: classes, y = np.unique(y, return_inverse=True); "
            "classes[i] is then the name of class i."
        )
    return "Convert it: np.asarray(values, dtype='float32')."


def _check_kind(value: Any, what: str) -> None:
    """Raise on sparse matrices, and on what gives batches instead of being an array."""
    if hasattr(value, "toarray"):
        raise ValueError(f"{what} is a sparse {type(value).__name__}. Pass {what}.toarray().")
    if hasattr(value, "__array__") or isinstance(value, Sequence):
        return
    if hasattr(value, "__iter__") or hasattr(value, "__getitem__"):
        raise ValueError(
            f"{what} is a {type(value).__name__}, which gives batches. Pass it alone, as x: "
            "model.fit(batches), each batch with everything: (x, y)."
        )


def to_arrays(nest: Any, what: str, strings: bool = False) -> Any:
    """Turn a nest of things that hold numbers into a nest of arrays.

    A list of numbers, or of lists of numbers, is one array; a list of arrays is several.
    """
    if nest is None:
        return None
    if isinstance(nest, dict):
        return {key: to_arrays(v, f"{what}[{key!r}]", strings) for key, v in nest.items()}
    if isinstance(nest, (list, tuple)):
        if not nest:
            raise ValueError(f"{what} is empty.")
        if strings and is_text(nest) and _holds_numbers(nest):
            return np.asarray(nest, dtype=object)
        if _holds_numbers(nest):
            try:
                return to_array(np.asarray(nest), what)
            except ValueError:
                return to_array(np.asarray(nest, dtype=object), what)
        parts = (to_arrays(value, f"{what}[{i}]", strings) for i, value in enumerate(nest))
        return type(nest)(parts)
    return to_array(nest, what, strings)


def _holds_numbers(items: Any) -> bool:
    while isinstance(items, (list, tuple)) and items:
        items = items[0]
    return isinstance(items, (int, float, str, np.generic))


def count_rows(data: Any) -> int:
    """Return the number of rows that all arrays of a nest share."""
    leaves = [a for a in tree.flatten(data) if a is not None]
    lengths = {len(a) for a in leaves}
    if len(lengths) > 1:
        named = ", ".join(f"{len(a)} (shape {tuple(a.shape)})" for a in leaves)
        raise ValueError(_LENGTHS.format(lengths=named))
    rows = lengths.pop() if lengths else 0
    if rows == 0:
        raise ValueError("The data is empty: there are 0 rows. Check how it was loaded or cut.")
    return rows


def class_weights_to_sample_weights(
    y: Any, class_weight: Mapping[int, float], numbers: bool = False
) -> np.ndarray:
    """Return one weight per row, or per step of a sequence, from the class in its target.

    Args:
        y: class numbers, (rows, ...), or one-hot rows (rows, ..., classes).
        class_weight: class → weight; 1 for those that are not in it.
        numbers: whether y holds class numbers, whatever its shape. Default: a last axis of more
            than one is one-hot.
    """
    targets = np.asarray(y)
    if targets.ndim > 1 and (targets.shape[-1] == 1 or not numbers):
        one_column = targets.shape[-1] == 1
        targets = targets[..., 0] if one_column else targets.argmax(axis=-1)
    classes = np.round(targets).astype("int64")
    weights = np.ones(classes.shape, dtype=config.floatx())
    for label, weight in class_weight.items():
        weights[classes == int(label)] = weight
    return weights


def split_rows(nest: Any, fraction: float) -> tuple[Any, Any]:
    """Cut the last `fraction` of the rows off a nest of arrays, as Keras does: no shuffling."""
    rows = count_rows(nest)
    if not 0 < fraction < 1:
        raise ValueError(f"fit: validation_split must be between 0 and 1, got {fraction!r}.")
    cut = int(np.floor(rows * (1.0 - fraction)))
    if cut in (0, rows):
        raise ValueError(
            f"fit: validation_split={fraction} leaves {cut} rows for training and {rows - cut} "
            f"for validation, out of {rows}. Use another fraction or validation_data=."
        )

    def part(chosen: slice) -> Any:
        return tree.map_structure(lambda a: None if a is None else a[chosen], nest)

    return part(slice(0, cut)), part(slice(cut, rows))


@dataclass
class Block:
    """Steps that one compiled call may run: rows of some device arrays.

    Args:
        data: nest of device arrays.
        order: (steps or more, batch) rows of each step; its shape is part of the program's. None
            for a batch of a shape of its own, which is a `tail` that runs by itself.
        steps: how many rows of `order` are meant.
        tail: (rest,) rows of a last, smaller batch, or None. Its shape too is the program's.
        ends: whether the tail is meant.
    """

    data: Any
    order: np.ndarray | None
    steps: int
    tail: np.ndarray | None = None
    ends: bool = False


@dataclass
class ArrayFeed:
    """Batches from arrays in memory.

    Args:
        data: nest of arrays with equal numbers of rows, in the form of `train_step`'s argument.
        batch_size: rows in a step.
        shuffle: False, True, or "batch" to shuffle whole batches.
        seed: epochs are permuted by (seed, epoch), so any epoch's order can be had again.
        steps: steps in an epoch; the rest of the rows comes in the next epoch. Default: all.
            An epoch is one pass at most.
    """

    data: Any
    batch_size: int
    shuffle: bool | str = False
    seed: int = 0
    steps: int | None = None
    rows: int = field(init=False)
    _device: Any = field(init=False, default=None)
    _done: dict[int, int] = field(init=False, default_factory=dict)  # epoch → rows done before

    def __post_init__(self) -> None:
        self.rows = count_rows(self.data)
        size = sum(a.nbytes for a in tree.flatten(self.data) if a is not None)
        self.resident = size <= RESIDENT_BYTES

    @property
    def steps_per_epoch(self) -> int:
        every = -(-self.rows // self.batch_size)
        return every if self.steps is None else min(self.steps, every)

    @property
    def capacity(self) -> int:
        """Steps whose rows are gathered on the host for one call."""
        row = sum(a.nbytes for a in tree.flatten(self.data) if a is not None) / self.rows
        fits = max(1, int(GROUP_BYTES / max(row * self.batch_size, 1)))
        return max(1, min(self.rows // self.batch_size, GROUP_STEPS, fits))

    def facts(self) -> dict[str, Any]:
        """Return what must be equal in a run that continues another."""
        return {"rows": self.rows, "batch size": self.batch_size}

    def position(self) -> int:
        """Return what another run needs to see the same batches: the seed of their order."""
        return self.seed

    def resume(self, position: int, epochs: int, batch: int) -> None:
        """Go on where another run was: after some epochs and some batches of the next."""
        self.seed, self._done = position, {epochs: batch * self.batch_size}

    def ready(self, epochs_left: int) -> bool:
        """Say whether an epoch can start: arrays always can be read again."""
        return True

    def rewind(self) -> None:
        """Begin at the first row again: epoch 0 always does."""

    def close(self) -> None:
        """Let go of nothing: arrays need no closing."""

    def batches(self, epoch: int) -> Iterator[Any]:
        """Yield the batches of an epoch, on the host."""
        order = self.epoch_rows(epoch)[self._done.get(epoch, 0) :]
        for start in range(0, len(order), self.batch_size):
            yield self.rows_of(order[start : start + self.batch_size])

    def rows_of(self, rows: np.ndarray) -> Any:
        """Return some rows of all arrays, on the host."""
        return tree.map_structure(lambda a: None if a is None else take(a, rows), self.data)

    def first_batch(self) -> Any:
        """Return shapes and types of a batch, as placeholders."""
        rows = min(self.batch_size, self.rows)
        return tree.map_structure(
            lambda a: (
                None
                if a is None
                else jax.ShapeDtypeStruct(
                    (rows, *a.shape[1:]), jax.dtypes.canonicalize_dtype(a.dtype)
                )
            ),
            self.data,
        )

    def order(self, epoch: int) -> np.ndarray:
        """Return the rows of an epoch in their order."""
        rows = np.arange(self.rows, dtype=np.int32)
        if not self.shuffle:
            return rows
        rng = np.random.default_rng([self.seed, epoch])
        if self.shuffle == "batch":
            whole = self.rows // self.batch_size * self.batch_size
            batches = rows[:whole].reshape(-1, self.batch_size)
            return np.concatenate([rng.permutation(batches).ravel(), rows[whole:]])
        return rng.permutation(rows)

    def epoch_rows(self, epoch: int) -> np.ndarray:
        """Return the rows of an epoch: all, or the next `steps` batches of a longer pass.

        As in Keras, the epoch in which a pass ends has only the batches that are left.
        """
        every = -(-self.rows // self.batch_size)
        if self.steps is None or self.steps >= every:
            return self.order(epoch)
        passes, part = divmod(epoch, -(-every // self.steps))
        size = self.steps * self.batch_size
        return self.order(passes)[part * size : (part + 1) * size]

    def blocks(self, epoch: int, wanted: int | None = None) -> Iterator[Block]:
        """Yield an epoch's steps in groups that fit one compiled call.

        Args:
            epoch: which epoch; it decides the order.
            wanted: steps in a call; the executor cuts groups, so that it does not matter here.
        """
        size = self.batch_size
        rows = self.epoch_rows(epoch)[self._done.get(epoch, 0) :]
        if not len(rows):
            return
        steps, rest = divmod(len(rows), size)
        tail = rows[steps * size :] if rest else None
        order = rows[: steps * size].reshape(steps, size)
        if self.resident:
            # A program needs a row to look at, also where the tail is all there is.
            shown = order if steps else np.zeros((1, size), np.int32)
            yield Block(self._on_device(), shown, steps, tail, ends=rest > 0)
            return
        capacity = self.capacity
        places = np.arange(capacity * size, dtype=np.int32)
        fixed, end = places.reshape(capacity, size), places[:rest] if rest else None
        for start in range(0, steps, capacity):
            part = order[start : start + capacity]
            yield Block(self._gather(part.ravel(), capacity * size), fixed, len(part), end)
        if tail is not None:
            yield Block(self._gather(tail, capacity * size), fixed, 0, end, ends=True)

    def _on_device(self) -> Any:
        if self._device is None:
            self._device = tree.map_structure(
                lambda a: None if a is None else _copied(_in_memory(a)), self.data
            )
        return self._device

    def _gather(self, rows: np.ndarray, size: int) -> Any:
        """Copy some rows to the device, padded to a fixed size; padding is never used."""
        padded = np.zeros(size, dtype=np.int32)
        padded[: len(rows)] = rows
        # The gathered rows are a new array, so the device may use it where it lies.
        return jax.device_put(self.rows_of(padded))


def _copied(array: Any) -> jax.Array:
    """Put a copy on the device: it must not change when the caller edits theirs."""
    if isinstance(array, jax.Array):
        return jnp.array(array, copy=True)
    return jax.device_put(own_copy(array, jax.dtypes.canonicalize_dtype(array.dtype)))


def _in_memory(array: Any) -> Any:
    return np.asarray(array) if isinstance(array, LargeArray) else array
