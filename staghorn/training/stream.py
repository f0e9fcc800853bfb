"""Batches that come one after the other, from a generator or a loader, in groups."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from staghorn.engine import tree
from staghorn.engine.spellings import user_level
from staghorn.training.data import GROUP_BYTES, GROUP_STEPS, Block
from staghorn.training.sources import Source

# A group that fills slowly is run with what it has after this time, so that training goes on
# while a slow generator works, and the progress display moves.
GROUP_WAIT = 0.25

_USED_UP = """\
The {what} is used up: it gave {seen} batches, {wanted}. {kept}
{fix}"""
_SHORT_PASS = """\
The {what} gave {seen} batches in a pass, but {argument}={steps} wants {steps} in an epoch: the \
epoch ends there.
Leave {argument} out to use each pass as an epoch, or pass {argument}={seen} or less."""
_NOTHING = """\
The {what} gave no batch{again}. {fix}"""
_ENDLESS = "Write the generator as an endless loop (while True: ...), or use a PyDataset."


class StreamFeed:
    """Batches from a source.

    Args:
        source: where they come from.
        steps: batches in an epoch; the next epoch goes on where this one ended. Default: a pass.
        prepare: applied to each batch: `batch → batch` in the form of `train_step`'s argument.
        argument: name of the argument that holds `steps`, for messages.
    """

    def __init__(
        self,
        source: Source,
        steps: int | None = None,
        prepare: Callable[[Any], Any] = lambda batch: batch,
        argument: str = "steps_per_epoch",
    ) -> None:
        self.source = source
        self.steps = steps
        self.prepare = prepare
        self.argument = argument
        self.batch_size = 0
        self._iterator: Iterator[Any] | None = None
        self._next: Any = None  # a batch that was looked at before it was wanted
        self._seen = 0  # batches of this pass
        self._total = 0  # batches of all passes
        self._epochs = 0  # epochs begun
        self._warned = False
        self._resumed: Iterator[Any] | None = None  # the rest of an epoch that was begun before
        if source.infinite and steps is None:
            raise ValueError(
                f"The {source.what} never ends: say how many batches make an epoch, "
                f"{argument}=100 for instance."
            )
        self._look_ahead()

    # What the model is built and checked with ------------------------------------------------

    @property
    def data(self) -> Any:
        """The first batch, until it is used."""
        return self._next

    @property
    def steps_per_epoch(self) -> int | None:
        return self.steps or self.source.num_batches

    def first_batch(self) -> Any:
        """Return shapes and types of the first batch, as placeholders."""
        return self._struct

    def _look_ahead(self) -> None:
        self._next = self._draw()
        if self._next is None:
            raise ValueError(
                _NOTHING.format(what=self.source.what, again="", fix="Check how it was made.")
            )
        self._struct = _struct(self._next)
        leaves = jax.tree.leaves(self._struct)
        self.batch_size = leaves[0].shape[0]
        self._batch_bytes = sum(int(np.prod(s.shape)) * s.dtype.itemsize for s in leaves)

    # Passes ----------------------------------------------------------------------------------

    def _draw(self) -> Any:
        """Return the next batch of this pass, or None at its end."""
        if self._next is not None:
            batch, self._next = self._next, None
            return batch
        if self._iterator is None:
            self._iterator = iter(self.source.batches())
            self._seen = 0
        batch = next(self._iterator, None)
        if batch is None:
            return None
        self._seen += 1
        self._total += 1
        return batch if self.source.counting else self.prepare(batch)

    def ready(self, epochs_left: int) -> bool:
        """Say whether an epoch can start; warn if the source is used up."""
        if self.source.restarts or self._next is not None:
            return True
        self._next = self._draw()
        if self._next is None:
            self._warn_used_up(epochs_left)
        return self._next is not None

    def _warn_used_up(self, epochs_left: int) -> None:
        wanted = f"{epochs_left} more epoch{'s' * (epochs_left != 1)} were asked for"
        if self.steps:
            wanted = f"{self.steps * (self._epochs + epochs_left)} were wanted"
        kept = "Training ends here; what was learned so far is kept."
        fix = f"{_ENDLESS} Or ask for fewer: epochs=..." + (
            f" or {self.argument}=..." if self.steps else ""
        )
        warnings.warn(
            _USED_UP.format(
                what=self.source.what, seen=self._total, wanted=wanted, kept=kept, fix=fix
            ),
            stacklevel=user_level(),
        )

    def facts(self) -> dict[str, Any]:
        """Return what must be equal in a run that continues another."""
        return {"batches in a pass": self.source.num_batches}

    def position(self) -> Any:
        """Return what another run needs to see the same batches from here on."""
        return self.source.position()

    def resume(self, position: Any, epochs: int, batch: int) -> None:
        """Go on where another run was: pass over the batches that it took."""
        if self.source.restarts:
            self._iterator, self._next = None, None
        with self.source.skipping():
            for epoch in range(epochs):
                for _ in self._epoch(epoch):
                    pass
            if batch:
                self._resumed = self._epoch(epochs)
                for _ in itertools.islice(self._resumed, batch):
                    pass
        if position is not None:
            self.source.move(position)

    def rewind(self) -> None:
        """Begin a new pass, where the source can: each validation sees the same batches."""
        if self.source.restarts and self._next is None:
            self._iterator = None

    def batches(self, epoch: int) -> Iterator[Any]:
        """Return the batches of an epoch, without those that an interrupted run took."""
        begun, self._resumed = self._resumed, None
        return begun or self._epoch(epoch)

    def _epoch(self, epoch: int) -> Iterator[Any]:
        self.source.on_epoch_begin()
        self._epochs += 1
        if self.steps is None and epoch and self._next is None:
            self._iterator = None
        given = 0
        while self.steps is None or given < self.steps:
            batch = self._draw()
            goes_on = not given or (self.source.repeats and self.steps is not None)
            if batch is None and goes_on and self._seen and self.source.restarts:
                self._iterator = None  # the last epoch ended just where the pass did
                batch = self._draw()
            if batch is None:
                self._pass_ended(given)
                break
            given += 1
            yield batch
        self.source.on_epoch_end()

    def _pass_ended(self, given: int) -> None:
        """Note the end of a pass; warn where the epoch is cut short by it."""
        seen = self._seen
        if self.source.restarts:
            self._iterator = None
        if given == 0:
            again = " when it was read again" if self._total else ""
            raise ValueError(
                _NOTHING.format(what=self.source.what, again=again, fix=_ENDLESS if again else "")
            )
        if self.steps is not None and not self._warned and self.source.restarts:
            self._warned = True
            warnings.warn(
                _SHORT_PASS.format(
                    what=self.source.what, seen=seen, steps=self.steps, argument=self.argument
                ),
                stacklevel=user_level(),
            )
        elif self.steps is not None and not self.source.restarts:
            self._warned = True
            warnings.warn(
                _USED_UP.format(
                    what=self.source.what,
                    seen=self._total,
                    wanted=f"{self.steps * self._epochs} were wanted",
                    kept="This epoch ends there.",
                    fix=f"{_ENDLESS} Or pass a smaller {self.argument}.",
                ),
                stacklevel=user_level(),
            )

    # Groups ----------------------------------------------------------------------------------

    def capacity(self, wanted: int | None) -> int:
        """Return how many batches one buffer holds."""
        if wanted is None:
            wanted = min(GROUP_STEPS, max(1, GROUP_BYTES // max(self._batch_bytes, 1)))
        return min(wanted, self.steps_per_epoch or wanted)

    def blocks(self, epoch: int, wanted: int | None) -> Iterator[Block]:
        """Yield an epoch's batches in groups; those of another shape than the first, alone.

        Args:
            epoch: which epoch.
            wanted: batches in a group, or None to choose.
        """
        group = _Group(self._struct, self.capacity(wanted))
        for batch in self.batches(epoch):
            if _struct(batch) != self._struct:
                if group.count:
                    yield group.taken()
                yield _single(batch)
                continue
            group.add(batch)
            late = wanted is None and time.perf_counter() - group.since > GROUP_WAIT
            if group.full or late:
                yield group.taken()
        if group.count:
            yield group.taken()

    def close(self) -> None:
        self.source.close()


def _struct(batch: Any) -> Any:
    return tree.map_structure(
        lambda a: (
            None
            if a is None
            else jax.ShapeDtypeStruct(a.shape, jax.dtypes.canonicalize_dtype(a.dtype))
        ),
        batch,
    )


class _Group:
    """Batches one behind the other in buffers of fixed size, whose rest is never read.

    A batch is copied as it comes: generators may fill the same array again for the next one.
    """

    def __init__(self, struct: Any, capacity: int) -> None:
        self.struct = struct
        self.capacity = capacity
        self.size = jax.tree.leaves(struct)[0].shape[0]
        self.order = np.arange(capacity * self.size, dtype=np.int32).reshape(capacity, self.size)
        self.count = 0
        self.since = 0.0
        self._buffers: Any = None

    @property
    def full(self) -> bool:
        return self.count == self.capacity

    def add(self, batch: Any) -> None:
        if not self.count:
            self.since = time.perf_counter()
            self._buffers = tree.map_structure(self._buffer, self.struct)
        rows = slice(self.count * self.size, (self.count + 1) * self.size)
        for buffer, part in zip(tree.flatten(self._buffers), tree.flatten(batch), strict=True):
            if buffer is not None:
                buffer[rows] = part
        self.count += 1

    def _buffer(self, struct: Any) -> Any:
        if struct is None:
            return None
        return np.empty((self.capacity * self.size, *struct.shape[1:]), struct.dtype)

    def taken(self) -> Block:
        """Return the group and begin another one."""
        # Nobody else knows these buffers, so the device may use them where they lie.
        data = tree.map_structure(lambda b: None if b is None else jax.device_put(b), self._buffers)
        block = Block(data, self.order, self.count)
        self.count, self._buffers = 0, None
        return block


def _single(batch: Any) -> Block:
    rows = len(next(a for a in tree.flatten(batch) if a is not None))
    # A copy: the caller may reuse its arrays for the next batch.
    data = tree.map_structure(lambda a: None if a is None else jax.numpy.array(a), batch)
    return Block(data, None, 0, np.arange(rows, dtype=np.int32), ends=True)
