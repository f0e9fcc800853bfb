"""What gives batches instead of being an array: one `Source` for each kind.

`make_source` finds the kind; a `Source` yields checked batches. Nothing is imported for a kind
that is not there: other libraries' objects are known by the names of their classes.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import random
import sys
import types
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence, Set
from contextlib import closing, contextmanager
from typing import Any

import numpy as np

from staghorn.engine import tree
from staghorn.training.batches import BatchChecker
from staghorn.training.enqueuer import Enqueuer
from staghorn.training.py_dataset import PyDataset

__all__ = ["Source", "make_source"]


class Source:
    """One thing that yields batches.

    Args:
        what: what messages call it.
        advice: what to check when a batch has no rows, a sentence or nothing.

    Attributes:
        restarts: whether a second pass can be had.
        infinite: whether a pass is known to have no end.

    Example:
        >>> from staghorn.training.sources import make_source
        >>> source = make_source((np.ones((2, 3)) for _ in range(2)))
        >>> source.what, source.num_batches, source.restarts
        ('generator', None, False)
        >>> [x.shape for (x,) in source.batches()]
        [(2, 3), (2, 3)]
    """

    restarts = True
    infinite = False
    counting = False
    # Whether a pass that ends within an epoch is followed by the next, as endless generators do.
    repeats = False

    def __init__(self, what: str, advice: str = "") -> None:
        self.what = what
        self._check = BatchChecker(what, advice)

    def take_strings(self, wanted: bool) -> None:
        """Let inputs be strings, for a model that takes them."""
        self._check.strings = wanted

    @property
    def num_batches(self) -> int | None:
        """Number of batches in a pass, or None where nobody knows."""
        return None

    def batches(self) -> Iterator[Any]:
        """Yield one pass: (x,), (x, y) or (x, y, sample_weight), nests of arrays."""
        labelled = self._labelled()
        try:
            for count in itertools.count():
                try:
                    label, batch = next(labelled, (count, _END))
                except Exception as error:
                    error.add_note(f"This happened while {self.what} made batch {self._at(count)}.")
                    raise
                if batch is _END:
                    return
                yield batch if self.counting else self._check(batch, label)
        finally:
            labelled.close()  # now, not when the last traceback that refers to it is gone

    @contextmanager
    def skipping(self) -> Iterator[None]:
        """While it is open, batches are only counted, where the source can do that."""
        yield

    def position(self) -> Any:
        """Return what a source that is read again from its start needs to go on from here."""
        return None

    def move(self, position: Any) -> None:
        """Go on from a position."""

    def on_epoch_begin(self) -> None:
        """Run the source's own hook, if it has one."""

    def on_epoch_end(self) -> None:
        """Run the source's own hook, if it has one."""

    def close(self) -> None:
        """Stop workers, if there are any; may be called twice."""

    def _labelled(self) -> Generator[tuple[Any, Any]]:
        """Yield batches as they come, each with the number by which messages name it."""
        raise NotImplementedError

    def _at(self, count: int) -> Any:
        """Return the number by which messages name the batch at this place of the pass."""
        return count


_END = object()
_FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    functools.partial,
)


class IteratorSource(Source):
    """Batches of a generator or another iterator: one pass only."""

    restarts = False

    def __init__(self, iterator: Iterator, what: str) -> None:
        super().__init__(what)
        self._iterator = iterator
        self._given = 0  # a pass goes on where an earlier, partial one ended

    def _labelled(self) -> Generator[tuple[Any, Any]]:
        # Not `yield from`: that would end the user's generator when this one is closed early.
        for batch in self._iterator:
            self._given += 1
            yield self._given - 1, batch

    def _at(self, count: int) -> int:
        return self._given


class IterableSource(Source):
    """Batches of an object that gives a new iterator for each pass.

    Args:
        iterable: the object.
        what: what messages call it.
        start: makes the iterator of one pass. Default: `iter(iterable)`.
        advice: see `Source`.
    """

    def __init__(
        self,
        iterable: Any,
        what: str,
        start: Callable[[], Iterator] | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(what, advice)
        self._iterable = iterable
        self._start = start or iterable.__iter__
        self.infinite = _length(iterable, what) == sys.maxsize  # how grain says "without end"

    @property
    def num_batches(self) -> int | None:
        """The object's length, if it has one."""
        return None if self.infinite else _length(self._iterable, self.what)

    def _labelled(self) -> Generator[tuple[Any, Any]]:
        yield from enumerate(self._start())

    def on_epoch_begin(self) -> None:
        """Run the object's method of this name, if it has one."""
        getattr(self._iterable, "on_epoch_begin", _nothing)()

    def on_epoch_end(self) -> None:
        """Run the object's method of this name, if it has one."""
        getattr(self._iterable, "on_epoch_end", _nothing)()


class TensorFlowSource(IterableSource):
    """Batches of a tf.data.Dataset."""

    def __init__(self, dataset: Any, what: str) -> None:
        for spec in tree.flatten(dataset.element_spec):
            kind = type(spec).__name__
            if kind in ("RaggedTensorSpec", "SparseTensorSpec"):
                convert = "x.to_tensor()" if kind.startswith("Ragged") else "tf.sparse.to_dense(x)"
                raise ValueError(
                    f"{what} holds {kind.removesuffix('Spec')}s, which have no array form. "
                    f"Make them dense: dataset.map(lambda x, y: ({convert}, y))."
                )
        advice = "Is dataset.batch(32) missing?"
        super().__init__(dataset, what, dataset.as_numpy_iterator, advice)
        self._cardinality = int(dataset.cardinality())
        self.infinite = self._cardinality == -1  # tf.data.INFINITE_CARDINALITY

    @property
    def num_batches(self) -> int | None:
        """The cardinality, if it is known (-2: unknown) and finite."""
        return self._cardinality if self._cardinality >= 0 else None


class SequenceSource(Source):
    """Batches that an object gives by number: a PyDataset, or what looks like one.

    Args:
        dataset: has `dataset[index]`, and `num_batches` or a length.
        what: what messages call it.
        workers: threads or processes, unless the dataset says otherwise.
        use_multiprocessing: processes, unless the dataset says otherwise.
        max_queue_size: batches ahead, unless the dataset says otherwise.
        shuffle: whether every pass takes the batches in another order.
    """

    def __init__(
        self,
        dataset: Any,
        what: str,
        workers: int = 1,
        use_multiprocessing: bool = False,
        max_queue_size: int = 10,
        shuffle: bool = False,
    ) -> None:
        super().__init__(what)
        self._dataset = dataset
        self._shuffle = shuffle
        self._order: list[int] | None = None
        self._passes = self._seed = 0
        self.repeats = isinstance(dataset, Iterator)  # as flows of ImageDataGenerator are
        number = self.num_batches
        self.infinite = number is None
        if number == 0:
            raise ValueError(f"{what} has 0 batches. Check its data and __len__.")
        workers = getattr(dataset, "workers", workers)
        processes = getattr(dataset, "use_multiprocessing", use_multiprocessing)
        self._enqueuer: Enqueuer | None = None
        if workers > 1 or (workers == 1 and processes):
            ahead = getattr(dataset, "max_queue_size", max_queue_size)
            self._enqueuer = Enqueuer(dataset, what, workers, processes, ahead)

    @contextmanager
    def skipping(self) -> Iterator[None]:
        """While it is open, batches are counted and not fetched."""
        self.counting = True
        try:
            yield
        finally:
            self.counting = False

    @property
    def num_batches(self) -> int | None:
        """Number of batches, which the dataset's hooks may change; None: they never end."""
        # Looked up without calling it: a property may raise to say that it is missing.
        if inspect.getattr_static(self._dataset, "num_batches", None) is None:
            return _whole_length(lambda: len(self._dataset), self.what)
        number = _whole_length(lambda: self._dataset.num_batches, self.what)
        if number is None or number == float("inf"):
            return None
        if isinstance(number, bool) or not hasattr(number, "__index__") or number < 0:
            raise ValueError(
                f"{self.what}: num_batches must be an int, or None for batches without end; "
                f"got {number!r} ({type(number).__name__})."
            )
        return int(number)

    def _labelled(self) -> Generator[tuple[Any, Any]]:
        number = self.num_batches
        self._order = None if number is None else list(range(number))
        if self._order is not None and self._shuffle:
            # As Keras: from Python's generator, so the same seed gives the same order.
            random.shuffle(self._order)
        self._passes += 1
        self._seed = self._new_seed()
        indices = self._indices()
        while self.counting:
            index = next(indices, None)
            if index is None:
                return
            yield index, ()
        if self._enqueuer is None:
            for index in indices:
                yield index, self._dataset[index]
            return
        wanted, indices = itertools.tee(indices)
        with closing(self._enqueuer.run(wanted, self._seed)) as ahead:
            # The indices last: where they come first, `zip` would ask for one batch too many.
            for batch, index in zip(ahead, indices, strict=False):
                yield index, batch

    def _new_seed(self) -> int:
        """Return a seed of this pass that `random.seed` decides.

        Read from a copy of the generator: the order of batches must not depend on the workers.
        """
        copied = random.Random()
        copied.setstate(random.getstate())
        return copied.getrandbits(64) + self._passes

    def position(self) -> dict[str, Any]:
        """Return the order of this pass, and what the next ones are drawn from."""
        numbers = np.random.get_state(legacy=False)
        return {
            "order": self._order,
            "seed": self._seed,
            "passes": self._passes,
            "random": random.getstate(),
            "numpy": [numbers["bit_generator"], numbers["state"], numbers["has_gauss"],
                      numbers["gauss"]],
        }  # fmt: skip

    def move(self, position: Any) -> None:
        """Go on from a position; the batches of this pass that were taken have been counted."""
        if self._order is not None and position["order"] is not None:
            self._order[:] = position["order"]  # in place: an iterator looks into it
        self._seed, self._passes = position["seed"], position["passes"]
        version, internal, gauss = position["random"]
        random.setstate((version, tuple(internal), gauss))
        name, state, has_gauss, cached = position["numpy"]
        np.random.set_state(
            {"bit_generator": name, "state": state, "has_gauss": has_gauss, "gauss": cached}
        )

    def _indices(self) -> Iterator[int]:
        return itertools.count() if self._order is None else iter(self._order)

    def _at(self, count: int) -> Any:
        return self._order[count] if self._order and count < len(self._order) else count

    def on_epoch_begin(self) -> None:
        """Run the dataset's hook, and let worker processes see what it changed."""
        getattr(self._dataset, "on_epoch_begin", _nothing)()
        if self._enqueuer is not None and self._enqueuer.running:
            # A pass that goes on for epochs, or of which the first batch was looked at already.
            self._enqueuer.refresh()

    def on_epoch_end(self) -> None:
        """Run the dataset's hook."""
        getattr(self._dataset, "on_epoch_end", _nothing)()

    def close(self) -> None:
        """Stop the workers."""
        if self._enqueuer is not None:
            self._enqueuer.close()


def make_source(
    x: Any,
    what: str = "x",
    workers: int = 1,
    use_multiprocessing: bool = False,
    max_queue_size: int = 10,
    shuffle: bool | str = False,
) -> Source | None:
    """Return the Source for what gives batches; None for arrays and nests of arrays.

    Args:
        x: what the user passed.
        what: name of the argument, for messages. Default: "x".
        workers: for objects with `[index]` that do not say it themselves. Default: 1.
        use_multiprocessing: the same. Default: False.
        max_queue_size: the same. Default: 10.
        shuffle: whether batches that are had by number come in another order each pass; other
            sources shuffle themselves. Default: False.

    Raises:
        ValueError: for classes and functions that were to be called, and for data sets of single
            samples.

    Example:
        >>> from staghorn.training.sources import make_source
        >>> make_source(np.ones((4, 2))) is None
        True
        >>> make_source(zip([np.ones((4, 2))], [np.ones(4)])).what
        'iterator of type zip'
    """
    if isinstance(x, Source):
        return x
    name = type(x).__name__
    if _comes_from(x, "tensorflow.python", "DatasetV2"):
        return TensorFlowSource(x, "tf.data.Dataset")
    if _comes_from(x, "torch.utils.data", "DataLoader"):
        advice = "With batch_size=None the DataLoader's dataset must give whole batches."
        return IterableSource(x, "torch DataLoader", advice=advice)
    if _comes_from(x, "grain", "MapDataset", "IterDataset", "DataLoader"):
        return IterableSource(x, f"grain {name}", advice="Is dataset.batch(32) missing?")
    if isinstance(x, PyDataset) or _comes_from(x, "keras", "PyDataset"):
        label = f"PyDataset {name}"
        return SequenceSource(x, label, shuffle=bool(shuffle))
    if _is_arrays(x):
        return None
    _refuse_samples(x, what)
    if isinstance(x, types.GeneratorType):
        own = "" if x.__name__.startswith("<") else f" {x.__name__}"
        return IteratorSource(x, f"generator{own}")
    _refuse_uncalled(x, what)
    # An iterator with a length is a loader that starts again: it cannot know what is left.
    if isinstance(x, Iterator) and not hasattr(x, "__len__"):
        return IteratorSource(x, f"iterator of type {name}")
    by_number = hasattr(x, "__getitem__") and (hasattr(x, "__len__") or hasattr(x, "num_batches"))
    # Keras's Sequence has both ways; its hooks tell that the numbered one is meant.
    if by_number and (hasattr(x, "on_epoch_end") or not hasattr(x, "__iter__")):
        return SequenceSource(
            x, f"sequence {name}", workers, use_multiprocessing, max_queue_size, bool(shuffle)
        )
    if hasattr(x, "__iter__"):
        return IterableSource(x, f"iterable {name}")
    return None


def _is_arrays(x: Any) -> bool:
    """Say whether something is arrays, or at least nothing that yields batches."""
    plain = (Sequence, Mapping, Set, str, bytes, bytearray, int, float, complex, np.generic)
    if x is None or isinstance(x, plain) or hasattr(x, "__array__") or hasattr(x, "toarray"):
        return True
    return hasattr(x, "shape") and hasattr(x, "dtype")


def _comes_from(x: Any, module: str, *names: str) -> bool:
    """Say whether a class of x has one of these names in a module, without importing it."""
    return any(
        parent.__name__ in names
        and (parent.__module__ == module or parent.__module__.startswith(f"{module}."))
        for parent in type(x).__mro__
    )


def _refuse_samples(x: Any, what: str) -> None:
    """Raise on data sets whose items are single samples, not batches."""
    name = type(x).__name__
    if _comes_from(x, "torch.utils.data", "Dataset", "IterableDataset"):
        raise ValueError(
            f"{what} is a torch Dataset ({name}), which gives single samples. Make batches of "
            f"them: torch.utils.data.DataLoader({what}, batch_size=32, shuffle=True)."
        )
    if _comes_from(x, "datasets", "Dataset", "IterableDataset"):
        raise ValueError(
            f"{what} is a Hugging Face Dataset, which gives single rows. Pass its columns as "
            f"arrays: np.asarray({what}['column'])."
        )


def _refuse_uncalled(x: Any, what: str) -> None:
    """Raise on a class or a function where what it makes was meant."""
    if isinstance(x, type):
        makes = "one of its objects"
    elif inspect.isgeneratorfunction(x):
        makes = "the generator it makes"
    elif isinstance(x, _FUNCTIONS):
        makes = "what it returns"
    else:
        return
    kind = "class" if isinstance(x, type) else "function"
    arguments = "..." if isinstance(x, type) else ""
    name = getattr(x.func if isinstance(x, functools.partial) else x, "__name__", "it")
    raise ValueError(
        f"{what} is the {kind} {name} itself. Call it, to pass {makes}: {name}({arguments})."
    )


def _length(x: Any, what: str) -> int | None:
    """Return len(x), or None where x has none, or has one that says that it is not known."""
    if not hasattr(x, "__len__"):
        return None
    try:
        return _whole_length(lambda: len(x), what)
    except TypeError:  # torch's and TensorFlow's way of saying so
        return None


def _whole_length(number: Callable[[], Any], what: str) -> Any:
    try:
        return number()
    except TypeError as error:
        if "cannot be interpreted as an integer" not in str(error):
            raise
        raise ValueError(
            f"{what}: __len__ must return an int, the number of batches ({error}). "
            "Round up: return math.ceil(rows / batch_size)."
        ) from error


def _nothing() -> None:
    """Stand in for a hook that an object does not have."""
