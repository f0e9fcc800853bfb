"""Progbar: a live line on a terminal, plain lines everywhere else.

Nothing here reads the device or imports more than the standard library: a line costs some tens of
microseconds, so the training loop may call `update` after every group of steps.
"""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
from collections.abc import Iterable
from time import perf_counter as clock
from typing import Any

from staghorn import config

BOLD, GREEN, WHITE, RESET = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


def is_live(stream: Any) -> bool:
    """Whether a line on this stream can be redrawn: a terminal, a notebook, PyCharm's console.

    Example:
        >>> import io
        >>> from staghorn.engine.progbar import is_live
        >>> is_live(io.StringIO())
        False
    """
    if stream is None or isinstance(stream, io.StringIO):
        return False
    if not config.is_interactive_logging_enabled():
        return False
    if getattr(stream, "isatty", bool)():
        return True
    # An ordinary file object while ipykernel is loaded is a redirection to a log.
    notebook = "ipykernel" in sys.modules and not isinstance(stream, io.TextIOWrapper)
    return notebook or ("PYCHARM_HOSTED" in os.environ and stream is sys.__stdout__)


def write(text: str) -> None:
    """Write to standard output; characters it cannot encode become "?".

    Example:
        >>> from staghorn.engine.progbar import write
        >>> write("done" + chr(10))
        done
    """
    stream = sys.stdout
    if not config.is_interactive_logging_enabled():
        logging.getLogger("staghorn").info(text.strip())
        return
    if stream is None:  # pythonw has no standard output
        return
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, errors="replace").decode(encoding))
    stream.flush()


def say(message: str, during_epoch: bool = False) -> None:
    """Print a callback's message; during an epoch, below the live bar that stands unfinished.

    Example:
        >>> from staghorn.engine.progbar import say
        >>> say("Epoch 3: early stopping")
        Epoch 3: early stopping
    """
    write(("\n" if during_epoch and is_live(sys.stdout) else "") + message + "\n")


def format_value(value: Any) -> str:
    """A metric's value with four decimals, small ones in scientific notation.

    Example:
        >>> from staghorn.engine.progbar import format_value
        >>> format_value(0.12345), format_value(-2.5), format_value(0.00012)
        ('0.1235', '-2.5000', '1.2000e-04')
    """
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"


def format_step_time(seconds: float, unit: str) -> str:
    """Time of one step in the largest fitting unit.

    Example:
        >>> from staghorn.engine.progbar import format_step_time
        >>> format_step_time(0.0021, "step"), format_step_time(3e-5, "step")
        ('2ms/step', '30us/step')
    """
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/{unit}"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f}ms/{unit}"
    return f"{seconds * 1e6:.0f}us/{unit}"


def format_time_left(seconds: float) -> str:
    """Seconds as h:mm:ss, m:ss or s.

    Example:
        >>> from staghorn.engine.progbar import format_time_left
        >>> format_time_left(3725), format_time_left(61), format_time_left(9.9)
        ('1:02:05', '1:01', '9s')
    """
    whole = int(seconds)
    if whole > 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    if whole > 60:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole}s"


def _number(value: Any) -> float:
    """One float for display: the mean of an array, which is copied from the device once."""
    if isinstance(value, (int, float)):
        return float(value)
    import numpy as np  # only a user's own arrays come here

    return float(np.mean(np.asarray(value)))


def _encodes(stream: Any, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


class Progbar:
    """Progress of a loop: steps done, time left, time per step and metric values.

    On a terminal (or in a notebook) one line is redrawn, at most every `interval` seconds. Where
    standard output is a file or a pipe, the finished bar is one line without control characters.

    Args:
        target: number of steps expected, None if unknown.
        width: length of the bar in characters; default 20.
        verbose: 0 silent, 1 a live bar where possible, 2 one line when finished; default 1.
        interval: shortest time between two redraws in seconds; default 0.05.
        stateful_metrics: names shown as they are; the others are averaged over the steps.
        stateless_metrics: names averaged over the steps; the others are shown as they are.
        unit_name: what is counted; default "step".

    Raises:
        ValueError: both `stateful_metrics` and `stateless_metrics` are given.

    Example:
        >>> bar = staghorn.engine.progbar.Progbar(2, stateful_metrics=["loss"])
        >>> bar.update(1, [("loss", 0.5)])
        >>> bar.update(2, [("loss", 0.25)])             # doctest: +ELLIPSIS
        2/2 - 0s - .../step - loss: 0.2500

    Notes:
        Differs from Keras: no control characters in a file, the live line is cut to the width of
        the terminal (a wrapped line cannot be redrawn), ASCII where the stream is not Unicode,
        colours off with NO_COLOR. The first group of steps, which compiles, is left out of the
        time per step whatever its length.
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError(
                "Progbar: give stateful_metrics (shown as they are) or stateless_metrics "
                "(averaged), not both: the names left out of the one are the other."
            )
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self.prefix = ""  # written before the finished line where no live bar is drawn
        self.live = verbose == 1 and is_live(sys.stdout)
        self.full, self.empty = "━━" if _encodes(sys.stdout, "━") else "=."
        self.colour = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._seen = 0
        self._sums: dict[str, tuple[float, float]] = {}  # name -> (sum, count)
        self._start = clock()
        self._last_draw = float("-inf")
        self._first: tuple[int, float] | None = None  # (steps, time) of the first update
        self._drawn = 0  # visible length of the line on the screen

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, Any]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Tell that `current` steps are done.

        Args:
            current: steps done so far.
            values: pairs (name, value of the last step); default None.
            finalize: whether this is the last update; default None: when the target is reached.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        now = clock()
        for name, value in values or ():
            self._add_value(name, value, current, finalize)
        self._seen = current
        step_time = self._step_time(current, now)
        if self.live:
            if finalize or now - self._last_draw >= self.interval:
                self._last_draw = now
                write(self._live_line(current, now, step_time, finalize))
        elif self.verbose and finalize:
            write(self._plain_line(current, now, step_time))

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Tell that `n` more steps are done."""
        self.update(self._seen + n, values)

    def _add_value(self, name: str, value: Any, current: int, finalize: bool) -> None:
        if self.stateless_metrics is None:
            averaged = name not in self.stateful_metrics
        else:
            averaged = name in self.stateless_metrics
        number = _number(value)
        if finalize or not averaged:
            self._sums[name] = (number, 1)
        else:
            steps = max(current - self._seen, 1)
            total, count = self._sums.get(name, (0.0, 0.0))
            self._sums[name] = (total + number * steps, count + steps)

    def _step_time(self, current: int, now: float) -> float:
        """Seconds per step, without the first update: it holds the compilation."""
        if current <= 0:
            return 0.0
        if self._first is None:
            self._first = (current, now)
        steps, time = self._first
        if current > steps:
            return (now - time) / (current - steps)
        return (now - self._start) / current

    def _metrics(self) -> str:
        return "".join(
            f" - {name}: {format_value(total / count)}"
            for name, (total, count) in self._sums.items()
        )

    def _count(self, current: int) -> str:
        if not self.target or self.target < 0:
            return f"{current}/Unknown"
        return f"{current:{len(str(self.target))}d}/{self.target}"

    def _plain_line(self, current: int, now: float, step_time: float) -> str:
        time = f"{now - self._start:.0f}s - {format_step_time(step_time, self.unit_name)}"
        count = self._count(current) if self.target else str(current)
        return f"{self.prefix}{count} - {time}{self._metrics()}\n"

    def _live_line(self, current: int, now: float, step_time: float, finalize: bool) -> str:
        known = self.target is not None and self.target > 0
        pieces = [(self._count(current) if known else f"{current:7d}/Unknown", BOLD)]
        if known:
            assert self.target is not None
            done = min(int(self.width * current / self.target), self.width)
            pieces += [(" ", ""), (self.full * done, GREEN)]
            pieces += [(self.empty * (self.width - done), WHITE)]
        if known and not finalize:
            time = format_time_left(step_time * (self.target or 0) - step_time * current)
        else:
            time = f"{now - self._start:.0f}s"
        pieces += [(" ", ""), (time, BOLD)]
        pieces += [(f" {format_step_time(step_time, self.unit_name)}{self._metrics()}", "")]
        if not finalize:
            pieces = self._cut(pieces)
        length = sum(len(text) for text, _ in pieces)
        line = "".join(self._paint(text, style) for text, style in pieces if text)
        blanks = " " * (self._drawn - length)
        self._drawn = length
        return f"\r{line}{blanks}" + ("\n" if finalize else "")

    def _paint(self, text: str, style: str) -> str:
        return f"{style}{text}{RESET}" if style and self.colour else text

    @staticmethod
    def _cut(pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Pieces cut to one row of the terminal: \\r returns to the start of the last row only."""
        room = shutil.get_terminal_size((0, 0)).columns - 1
        if room <= 0 or not sys.stdout.isatty():  # a notebook scrolls
            return pieces
        result = []
        for text, style in pieces:
            result.append((text[:room], style))
            room = max(room - len(text), 0)
        return result
