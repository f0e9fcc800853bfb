"""Runs programs over the batches of a feed: groups of steps, live weights, floats once a group.

How many steps go into one call: what `steps_per_execution` says; one, when a callback of the user
listens to batches; else as many as take about a second, so that Ctrl-C and the progress display
stay responsive. Results do not depend on the grouping: one program serves every length.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from staghorn.engine import donation
from staghorn.training.data import Block
from staghorn.training.step import Program, take_rows, unpack_logs

GROUP_SECONDS = 1.0


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Hold Ctrl-C back while Variables point at arrays that were given away to a program."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[tuple[int, Any]] = []
    previous = signal.signal(signal.SIGINT, lambda number, where: caught.append((number, where)))
    if previous is None:  # installed by C code: it cannot be put back, so leave it alone
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if caught and callable(previous):
            previous(*caught[0])


class Pace:
    """Chooses the number of steps in the next call from how long steps took so far."""

    def __init__(self, explicit: int | None = None) -> None:
        self.explicit = explicit
        self.seconds_per_step: float | None = None
        self.last = 0
        self._since = 0.0
        self._warm = False

    def next(self, left: int) -> int:
        if self.explicit is not None:
            return min(self.explicit, left)
        if self.seconds_per_step is None:
            count = max(1, 2 * self.last)
        else:
            count = max(1, int(GROUP_SECONDS / max(self.seconds_per_step, 1e-9)))
            count = min(count, max(1, 8 * self.last))
        self.last = min(count, left)
        return self.last

    def started(self) -> None:
        """Note that the device was idle until now."""
        self._since = time.perf_counter()

    def finished(self, steps: int) -> None:
        """Note that a group of steps is done; the first one compiled and tells nothing."""
        now = time.perf_counter()
        if self._warm and steps:
            self.seconds_per_step = (now - self._since) / steps
        self._warm = True
        self._since = now


@dataclass
class Group:
    """A call that was started.

    Args:
        packed: its results to come.
        block: the data.
        start: its first step in the block.
        first: that step's index in the epoch.
        done: steps of the epoch that are done after it.
    """

    packed: Any
    block: Block
    start: int
    first: int
    done: int


class Executor:
    """Runs one program over feeds.

    Args:
        program: what to run.
        struct: form of its logs.
        pace: how many steps go into a call.
    """

    def __init__(self, program: Program, pace: Pace) -> None:
        self.program = program
        self.pace = pace
        # Called with (index, batch) of the first step whose loss is not finite.
        self.on_bad: Callable[[int, Any], None] | None = None

    def dispatch(self, block: Block, start: int, stop: int, tail: bool, fresh: bool) -> Any:
        """Start steps `start` to `stop` and point the Variables at their results to come."""
        if block.order is None:
            assert block.tail is not None
            return self.dispatch_rows(block.data, block.tail, fresh)
        with interrupts_deferred(), donation.lock:
            state, fixed = self.program.state()
            state, packed = self.program.run(
                state,
                fixed,
                block.data,
                block.order,
                block.tail,
                np.array([start, stop, fresh, tail], np.int32),
            )
            self.program.write_back(state)
        return packed

    def dispatch_rows(self, data: Any, rows: np.ndarray, fresh: bool) -> Any:
        """Start one step on some rows."""
        with interrupts_deferred(), donation.lock:
            state, fixed = self.program.state()
            state, packed = self.program.run_rows(state, fixed, data, rows, np.bool_(fresh))
            self.program.write_back(state)
        return packed

    def fetch(self, packed: Any) -> tuple[dict[str, Any], int]:
        """Wait for results: the logs, and which step was bad, -1 for none."""
        logs, bad = unpack_logs(packed, self.program.packed_struct)
        return logs, int(bad)

    def _settle(self, group: Group, following: Group | None = None) -> dict[str, Any]:
        """Return the logs of a group, and report the first bad step, if it was in it."""
        logs, bad = self.fetch(group.packed)
        if bad >= 0 and self.on_bad is not None:
            report, self.on_bad = self.on_bad, None
            block = group.block
            rows = block.tail
            if block.order is not None and bad < block.steps:
                rows = block.order[bad]
            index = group.first + bad - group.start
            report(index, take_rows(block.data, rows))
            if self.program.kept is not None:  # the last step: the next group took none
                group.done = index + 1
                if following is not None:
                    following.packed = group.packed
        return logs

    def epoch(
        self,
        blocks: Iterator[Block],
        before: Callable[[int], None] | None,
        after: Callable[[int, dict], bool] | None,
        on_group: Callable[[int, dict], bool] | None,
        done: int = 0,
    ) -> dict[str, Any]:
        """Run all steps of an epoch and return the logs of its end.

        Args:
            blocks: the epoch's data.
            before: called with the index of each coming step, or None.
            after: called with (index, logs) after each call; True stops the epoch.
            on_group: called with (index, logs) one group late, so that it never waits.
            done: steps of this epoch that were done before; their metrics go on.
        """
        waiting: Group | None = None
        logs: dict[str, Any] = {}
        fresh = done == 0
        if not fresh:
            self.program.bad.assign(np.int32(-1))
        self.pace.started()
        for block, start, stop, tail in self._groups(blocks):
            first, done = done, done + stop - start + tail
            if before is not None:
                before(first)
            packed = self.dispatch(block, start, stop, tail, fresh)
            group = Group(packed, block, start, first, done)
            fresh = False
            if after is not None:
                logs = self._settle(group)
                self.pace.finished(done - first)
                if after(group.done - 1, logs):
                    return logs
            elif waiting is not None and self._report(waiting, on_group, group)[1]:
                return self._settle(group)
            waiting = group
        if waiting is None and done:
            return {}
        if waiting is None:
            raise ValueError(
                "The data gave no batch: it is empty, or an iterator was used up by an earlier fit."
            )
        return logs if after is not None else self._report(waiting, on_group)[0]

    def _report(
        self, group: Group, on_group: Callable | None, following: Group | None = None
    ) -> tuple[dict[str, Any], bool]:
        """Return the logs of a group, and whether the epoch ends with it."""
        logs = self._settle(group, following)
        self.pace.finished(group.done - group.first)
        return logs, bool(on_group is not None and on_group(group.done - 1, logs))

    def _groups(self, blocks: Iterator[Block]) -> Iterator[tuple[Block, int, int, bool]]:
        """Yield (block, start, stop, with its tail) for each call."""
        for block in blocks:
            start = 0
            left = block.steps + block.ends
            while left:
                count = self.pace.next(left)
                stop = min(start + count, block.steps)
                tail = start + count > block.steps
                yield block, start, stop, tail
                start, left = stop, left - count
