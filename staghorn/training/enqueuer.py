"""Batches made ahead of their use, in order, by threads or processes.

One mechanism: threads take numbers from a queue and put results into `Future`s, and the caller
waits for the oldest `Future`. For processes each thread owns one process and asks it through a
pipe. So order, bounds and errors are written once, and a process that dies is an end of file in
the thread that waits for it.

Processes are spawned. A fork of a process in which JAX runs copies locked locks of its threads
and may hang (JAX warns of it), and a fork server cannot be had on Windows, outlives the training,
and saves little: measured on 2 cores, a worker that imports NumPy and a data set's file gives its
first batch after 0.15 s spawned and after 0.11 s from a fork server. Processes live as long as the
Enqueuer, so that this is paid once per `fit`; they get the data set again only where it changed
(an epoch's hooks may change it).

This file imports the standard library only: the worker processes import it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import multiprocessing
import os
import pickle
import queue
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from typing import Any

__all__ = ["Enqueuer", "WorkerDied"]

# How long closing waits for threads that are inside the user's code, and for processes.
PATIENCE_SECONDS = 5.0

# Large messages pass a pipe in pieces, because Python allocates all that is left of a message for
# each read: measured for a batch of 12.6 MB, 6 ms in pieces and 44 ms in one.
PIECE = 1 << 18

_IN_NOTEBOOK = """\
{name} is defined in a notebook or an interactive session, which new processes cannot import.
Use threads instead: use_multiprocessing=False with workers={workers}.
Or put the class into a file, say my_data.py, and write: from my_data import {name}"""

_NOT_PICKLED = """\
{name} cannot be sent to worker processes: {culprit} cannot be pickled ({error}).
Make it something with a name in a file (a function written with def, not a lambda), open files
and connections inside __getitem__, or use threads: use_multiprocessing=False."""

_DIED = """\
{name}: a worker process died while it made batch {index} ({how}). {advice}"""

_STUCK = """\
{}: a thread is still inside __getitem__ after {:g} seconds. It is left to end by itself."""

_KILLED = "Often this is the system running out of memory: use fewer workers or smaller batches."
_EXITED = (
    'If its error above speaks of "bootstrapping", start the training under '
    'if __name__ == "__main__": in your script, because every worker imports it.'
)


class WorkerDied(RuntimeError):
    """A worker process ended without an answer."""


class WorkerTraceback(Exception):
    """The text of a traceback in another process; the cause of the error raised here."""

    def __str__(self) -> str:
        return f"\n\nIn the worker process:\n{self.args[0]}"


class Enqueuer:
    """Makes the batches of a data set ahead of their use, in order.

    Args:
        dataset: anything with `dataset[index]`.
        name: what messages call it.
        workers: int, how many threads or processes.
        use_multiprocessing: bool, processes instead of threads. Default: False.
        max_queue_size: int, how many batches may be ahead. Default: 10.

    Example:
        >>> from staghorn.training.enqueuer import Enqueuer
        >>> enqueuer = Enqueuer("abc", "letters", workers=2)
        >>> list(enqueuer.run([2, 0, 1]))
        ['c', 'a', 'b']
        >>> enqueuer.close()
    """

    def __init__(
        self,
        dataset: Any,
        name: str,
        workers: int,
        use_multiprocessing: bool = False,
        max_queue_size: int = 10,
    ) -> None:
        self.dataset = dataset
        self.name = name
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size
        self._processes: list[_Process] = []
        self._message: tuple[str, bytes] = ("", b"")  # digest and pickle of the data set
        self._passes: list[_Pass] = []

    def run(self, indices: Iterable[int], seed: int = 0) -> Generator[Any]:
        """Yield `dataset[index]` for each index, made ahead.

        The workers of this pass end with the generator: at its end, at an error, or when it is
        closed early.

        Args:
            indices: numbers of batches; may be endless.
            seed: processes draw random numbers from (seed, index), so that they do not depend
                on which process makes which batch.
        """
        current = _Pass(self._fetchers(seed), self.max_queue_size)
        self._passes.append(current)
        try:
            yield from current.results(iter(indices))
        finally:
            if self._processes and not current.stop():
                self._end_processes()  # their pipes are in the middle of an answer
            self._finish(current)
            self._passes.remove(current)

    @property
    def running(self) -> bool:
        """Whether a pass has begun and not ended."""
        return bool(self._passes)

    def refresh(self) -> None:
        """Let worker processes see the data set as it is now."""
        if self.use_multiprocessing:
            content = _pickled(self.dataset, self.name, self.workers)
            digest = hashlib.blake2b(content).hexdigest()
            if digest != self._message[0]:
                self._message = (digest, content)

    def close(self) -> None:
        """End all workers; may be called twice. A suspended pass ends too."""
        self._end_processes()
        for current in list(self._passes):
            self._finish(current)
        self._message = ("", b"")

    def _end_processes(self) -> None:
        processes, self._processes = self._processes, []
        for process in processes:  # first: threads that wait for an answer then get an end of file
            process.terminate()
        for current in self._passes:
            current.stop()
        for process in processes:
            process.join()

    def _finish(self, current: _Pass) -> None:
        if not current.stop():
            warnings.warn(_STUCK.format(self.name, PATIENCE_SECONDS), RuntimeWarning, stacklevel=2)

    def _fetchers(self, seed: int) -> list[Callable[[int], Any]]:
        """Return one function per worker that makes a batch from its number."""
        if not self.use_multiprocessing:
            return [self.dataset.__getitem__] * self.workers
        self.refresh()
        self._processes = [p for p in self._processes if p.process.is_alive()]
        while len(self._processes) < self.workers:
            self._processes.append(_Process(self.name))

        def asking(process: _Process) -> Callable[[int], Any]:
            return lambda index: process.fetch(self._message, index, seed)

        return [asking(process) for process in self._processes]


class _Pass:
    """The threads that make one run's batches."""

    def __init__(self, fetchers: list[Callable[[int], Any]], ahead: int) -> None:
        self.ahead = ahead
        self.tasks: queue.SimpleQueue = queue.SimpleQueue()
        self.waiting: deque[Future] = deque()
        self.threads = [
            # Daemons: a call of the user's that never returns must not keep Python from ending.
            threading.Thread(
                target=_work, args=(self.tasks, fetch), daemon=True, name=f"batch worker {i}"
            )
            for i, fetch in enumerate(fetchers)
        ]
        for thread in self.threads:
            thread.start()

    def results(self, indices: Iterator[int]) -> Iterator[Any]:
        """Yield results in the order of the indices, with at most `ahead` more in the making."""
        self._fill(indices)
        while self.waiting:
            result = self.waiting.popleft().result()
            self._fill(indices)  # before the caller is busy with this result
            yield result

    def _fill(self, indices: Iterator[int]) -> None:
        for index in itertools.islice(indices, self.ahead - len(self.waiting)):
            self.waiting.append(Future())
            self.tasks.put((self.waiting[-1], index))

    def stop(self) -> bool:
        """Drop what was not begun; return whether all threads have ended in time."""
        for future in self.waiting:
            future.cancel()
        for _ in self.threads:
            self.tasks.put(None)
        deadline = time.monotonic() + PATIENCE_SECONDS
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self.threads)


def _work(tasks: queue.SimpleQueue, fetch: Callable[[int], Any]) -> None:
    """Do tasks until there is a None among them."""
    while (task := tasks.get()) is not None:
        future, index = task
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(fetch(index))
        except BaseException as error:  # whatever it is, it belongs to the caller
            future.set_exception(error)


class _Process:
    """One spawned process that makes batches, seen from its thread."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = name
        self.digest = ""
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True, name=name)
        self.process.start()
        theirs.close()  # or the end of the process would not be the end of the pipe

    def fetch(self, message: tuple[str, bytes], index: int, seed: int) -> Any:
        """Return a batch; the process gets the data set first where it has another one."""
        digest, content = message
        fresh = digest != self.digest
        try:
            self.pipe.send((index, seed, fresh))
            if fresh:
                _send(self.pipe, [memoryview(content)])
                self.digest = digest
            answer = _receive(self.pipe)
        except (EOFError, OSError):
            self.process.join(PATIENCE_SECONDS)
            raise WorkerDied(_obituary(self.name, index, self.process.exitcode)) from None
        made, value, text = pickle.loads(answer[0], buffers=answer[1:])
        if made:
            return value
        raise value from WorkerTraceback(text)

    def terminate(self) -> None:
        self.process.terminate()

    def join(self) -> None:
        self.process.join(PATIENCE_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()
        self.pipe.close()


def _obituary(name: str, index: int, exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        how, advice = f"killed by {signal.Signals(-exitcode).name}", _KILLED
    else:
        how, advice = f"exit status {exitcode}", _EXITED
    return _DIED.format(name=name, index=index, how=how, advice=advice)


def _serve(pipe: Any) -> None:
    """Make batches for the other end of the pipe until it closes. Runs in the worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    # A worker that uses JAX computes on the CPU: the accelerator's memory is the training's.
    os.environ["JAX_PLATFORMS"] = "cpu"
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_platforms", "cpu")
    dataset: Any = None
    with contextlib.suppress(EOFError, OSError):  # the parent has gone
        while True:
            index, seed, fresh = pipe.recv()
            content = _receive(pipe)[0] if fresh else None
            try:
                if content is not None:
                    dataset = pickle.loads(content)
                _seed(seed, index)
                answer = _packed((True, dataset[index], ""))
            except BaseException as error:
                answer = _failure(error)
            _send(pipe, answer)


def _seed(seed: int, index: int) -> None:
    """Make random numbers depend on the batch, not on what this process made before."""
    number = int.from_bytes(hashlib.blake2b(f"{seed} {index}".encode()).digest()[:4], "little")
    random.seed(number)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(number)


def _failure(error: BaseException) -> list[memoryview]:
    """Pack an error with its traceback, or what can be said of an error that has no pickle."""
    text = "".join(traceback.format_exception(error))
    try:
        # Classes whose constructor wants more arguments are written, but cannot be read.
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return _packed((False, error, text))


def _packed(value: Any) -> list[memoryview]:
    """Pickle something: first the pickle, then the contents of its arrays, not copied."""
    arrays: list[pickle.PickleBuffer] = []
    content = pickle.dumps(value, protocol=5, buffer_callback=arrays.append)
    return [memoryview(content), *(array.raw() for array in arrays)]


def _send(pipe: Any, parts: list[memoryview]) -> None:
    pipe.send([len(part) for part in parts])
    for part in parts:
        for start in range(0, len(part), PIECE):
            pipe.send_bytes(part[start : start + PIECE])


def _receive(pipe: Any) -> list[memoryview]:
    parts = [memoryview(bytearray(size)) for size in pipe.recv()]
    for part in parts:
        for start in range(0, len(part), PIECE):
            pipe.recv_bytes_into(part[start : start + PIECE])
    return parts


def _pickled(dataset: Any, name: str, workers: int) -> bytes:
    """Pickle a data set, or say what in it cannot be."""
    kind = type(dataset)
    if kind.__module__ == "__main__" and not hasattr(sys.modules["__main__"], "__file__"):
        raise ValueError(_IN_NOTEBOOK.format(name=kind.__name__, workers=max(workers, 2)))
    try:
        return pickle.dumps(dataset, protocol=5)
    except Exception as error:
        culprit = next(
            (
                f"its attribute {key!r} ({type(value).__name__})"
                for key, value in getattr(dataset, "__dict__", {}).items()
                if not _has_pickle(value)
            ),
            f"its class, {kind.__qualname__}," if "<locals>" in kind.__qualname__ else "it",
        )
        message = _NOT_PICKLED.format(name=name, culprit=culprit, error=error)
        raise ValueError(message) from error


def _has_pickle(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:
        return False
    return True
