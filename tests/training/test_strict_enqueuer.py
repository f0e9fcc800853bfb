"""Batches made ahead by threads and processes: order, bounds, errors, and nothing left behind."""

import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import CancelledError

import numpy as np
import pytest

from staghorn.training import enqueuer as enqueuer_module
from staghorn.training.enqueuer import Enqueuer, WorkerDied
from staghorn.training.sources import make_source
from tests.training.batch_makers import (
    Drawing,
    Dying,
    Endless,
    Failing,
    FailingOddly,
    Large,
    Leaving,
    Numbered,
    Shifting,
    Where,
)

KINDS = [
    pytest.param({"workers": 3}, id="threads"),
    pytest.param({"workers": 2, "use_multiprocessing": True}, id="processes"),
]


def workers_alive():
    threads = [t.name for t in threading.enumerate() if t.name.startswith("batch worker")]
    return threads + multiprocessing.active_children()


@pytest.fixture(autouse=True)
def nothing_left_behind():
    assert not workers_alive()
    yield
    assert not workers_alive()


@pytest.fixture
def opened():
    """Make sources that are closed after the test."""
    sources = []

    def make(dataset, **kwargs):
        sources.append(make_source(dataset, **kwargs))
        return sources[-1]

    yield make
    for source in sources:
        source.close()
        source.close()


def firsts(batches):
    return [int(x[0, 0]) for x, *_ in batches]


@pytest.mark.parametrize("kind", KINDS)
def test_batches_keep_their_order(opened, kind):
    source = opened(Numbered(6, pause=0.004, **kind))
    assert firsts(source.batches()) == list(range(6))


@pytest.mark.parametrize("kind", KINDS)
def test_hooks_change_the_next_pass(opened, kind):
    dataset = Numbered(3, **kind)
    source, found = opened(dataset), []
    for _ in range(2):
        source.on_epoch_begin()
        found += firsts(source.batches())
        source.on_epoch_end()
    assert found == [0, 1, 2, 100, 101, 102]
    assert dataset.calls == ["begin", "end"] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_shuffle_follows_the_seed_and_is_a_permutation(opened, kind):
    source = opened(Numbered(9, **kind), shuffle=True)
    random.seed(5)
    first, second = firsts(source.batches()), firsts(source.batches())
    random.seed(5)
    assert firsts(source.batches()) == first
    assert first != second
    assert sorted(first) == sorted(second) == list(range(9))


@pytest.mark.parametrize("kind", KINDS)
def test_endless_batches_and_an_early_end(opened, kind):
    source = opened(Endless(0, **kind))
    assert source.infinite
    assert source.num_batches is None
    batches = source.batches()
    assert firsts(itertools.islice(batches, 25)) == list(range(25))
    batches.close()
    assert firsts(itertools.islice(source.batches(), 2)) == [0, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_hooks_change_endless_batches_after_those_made_ahead(opened, kind):
    source = opened(Endless(0, max_queue_size=2, **kind))
    batches = source.batches()
    assert firsts(itertools.islice(batches, 3)) == [0, 1, 2]
    source.on_epoch_end()
    source.on_epoch_begin()
    assert firsts(itertools.islice(batches, 8))[-1] == 110


def test_the_first_hook_changes_a_pass_of_which_a_batch_was_looked_at(opened):
    source = opened(Shifting(6, max_queue_size=1, workers=1, use_multiprocessing=True))
    batches = source.batches()
    assert firsts([next(batches)]) == [0]
    source.on_epoch_begin()
    assert firsts(batches)[1:] == [1002, 1003, 1004, 1005], "after the one made ahead"


@pytest.mark.parametrize("kind", KINDS)
def test_errors_arrive_in_their_place_with_the_workers_traceback(opened, kind):
    batches = opened(Failing(6, **kind)).batches()
    assert firsts(itertools.islice(batches, 3)) == [0, 1, 2]
    with pytest.raises(KeyError, match="no picture 3") as caught:
        next(batches)
    text = "".join(traceback.format_exception(caught.value))
    assert 'raise KeyError("no picture 3")' in text
    assert "This happened while PyDataset Failing made batch 3." in text


def test_an_error_without_a_pickle_arrives_as_text(opened):
    batches = opened(FailingOddly(workers=1, use_multiprocessing=True)).batches()
    with pytest.raises(RuntimeError, match="TwoArguments: this and that") as caught:
        next(batches)
    assert 'raise TwoArguments("this", "that")' in str(caught.value.__cause__)


def test_a_killed_worker_is_reported(opened):
    batches = opened(Dying(6, workers=2, use_multiprocessing=True)).batches()
    assert firsts(itertools.islice(batches, 2)) == [0, 1]
    with pytest.raises(WorkerDied, match=r"Dying: a worker .* batch 2 \(killed by SIGKILL\)"):
        next(batches)


def test_a_worker_that_exits_is_reported_and_replaced_in_the_next_pass(opened):
    source = opened(Leaving(2, workers=1, use_multiprocessing=True))
    for _ in range(2):
        with pytest.raises(WorkerDied, match=r"exit status 3\).*__main__"):
            next(source.batches())


def test_large_batches_pass_whole():
    enqueuer = Enqueuer(Large(), "large", workers=2, use_multiprocessing=True)
    for index, batch in enumerate(enqueuer.run(range(3))):
        for key, array in Large()[index].items():
            np.testing.assert_array_equal(batch[key], array)
            assert batch[key].flags.writeable
    enqueuer.close()


def test_random_numbers_in_processes_depend_on_seed_pass_and_batch_only(opened):
    def draws(workers):
        random.seed(1)
        source = opened(Drawing(6, workers=workers, use_multiprocessing=True))
        return np.concatenate([x for _ in range(2) for (x,) in source.batches()])

    one, two = draws(1), draws(2)
    np.testing.assert_array_equal(one, two)
    assert len(np.unique(one)) == one.size == 24


def test_the_order_does_not_depend_on_the_workers(opened):
    def orders(**kind):
        random.seed(2)
        source = opened(Numbered(9, **kind), shuffle=True)
        return [firsts(source.batches()) for _ in range(2)]

    wanted = orders()
    for kind in KINDS:
        assert orders(**kind.values[0]) == wanted


def test_processes_share_the_work_and_leave_the_accelerator_alone(opened):
    source = opened(Where(12, workers=2, use_multiprocessing=True))
    rows = [[x[0].tolist() for (x,) in source.batches()] for _ in range(2)]
    processes = [{process for process, _ in made} for made in rows]
    assert len(processes[0]) == 2
    assert processes[0] == processes[1], "processes live on from pass to pass"
    assert os.getpid() not in processes[0]
    assert all(cpu for made in rows for _, cpu in made)


class Counting:
    def __init__(self):
        self.begun = 0

    def __getitem__(self, index):
        self.begun += 1
        return index


def test_no_more_is_made_ahead_than_asked_for():
    dataset = Counting()
    enqueuer = Enqueuer(dataset, "counting", workers=3, max_queue_size=4)
    batches = enqueuer.run(range(100))
    assert [next(batches) for _ in range(5)] == list(range(5))
    time.sleep(0.05)  # time to overshoot
    # After the fifth batch was taken, four more may be there or in the making.
    assert dataset.begun <= 9
    enqueuer.close()
    enqueuer.close()
    assert not workers_alive(), "closing ends a suspended pass"


class Held:
    def __init__(self):
        self.gate = threading.Event()

    def __getitem__(self, index):
        self.gate.wait()
        return index


def test_a_thread_that_hangs_is_reported_and_does_not_hang_the_caller(monkeypatch):
    monkeypatch.setattr(enqueuer_module, "PATIENCE_SECONDS", 0.05)
    dataset = Held()
    enqueuer = Enqueuer(dataset, "held", workers=2, max_queue_size=2)
    batches = enqueuer.run(range(3))
    waiting = threading.Thread(target=lambda: next(batches, None))
    waiting.start()
    while not enqueuer._passes:
        time.sleep(0.001)
    with pytest.warns(RuntimeWarning, match="held: a thread is still inside __getitem__"):
        enqueuer.close()
    dataset.gate.set()
    waiting.join()
    batches.close()
    while workers_alive():
        time.sleep(0.001)


def test_a_busy_process_is_ended():
    dataset = Numbered(2, pause=60)
    enqueuer = Enqueuer(dataset, "busy", workers=1, use_multiprocessing=True)
    batches = enqueuer.run(range(2))
    errors = []

    def wait():
        try:
            next(batches)
        except (WorkerDied, CancelledError) as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not enqueuer.running:
        time.sleep(0.001)
    enqueuer.close()
    waiting.join()
    assert errors


def test_what_cannot_be_pickled_is_named(opened):
    dataset = Numbered(2, workers=1, use_multiprocessing=True)
    dataset.augment = lambda x: x
    with pytest.raises(ValueError, match=r"its attribute 'augment' \(function\) cannot be pickled"):
        next(opened(dataset).batches())

    class Local(Numbered):
        pass

    with pytest.raises(ValueError, match=r"its class, .*Local, cannot be pickled"):
        next(opened(Local(2, workers=1, use_multiprocessing=True)).batches())


INTERACTIVE = """
from tests.training.batch_makers import Numbered
from staghorn.training.enqueuer import Enqueuer
class Mine(Numbered):
    pass
try:
    next(Enqueuer(Mine(2), "mine", 3, use_multiprocessing=True).run([0]))
except ValueError as error:
    print(error)
"""


def test_a_class_of_a_notebook_is_taught():
    run = subprocess.run(
        [sys.executable, "-c", INTERACTIVE], capture_output=True, text=True, check=True
    )
    assert "Mine is defined in a notebook" in run.stdout
    assert "workers=3" in run.stdout


SCRIPT = """
import os, signal
from tests.training.batch_makers import Numbered
from staghorn.training.enqueuer import Enqueuer
{guard}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    source = Enqueuer(Numbered(40, pause=0.01), "numbers", 2, use_multiprocessing=True)
    try:
        for number, batch in enumerate(source.run(range(40))):
            if number == 3 and {interrupt}:
                os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupted")
    finally:
        source.close()
    print("end", number)
"""


def run_script(folder, guard, interrupt):
    path = folder / "script.py"
    path.write_text(SCRIPT.format(guard=guard, interrupt=interrupt))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, env=environment, timeout=60
    )


def test_ctrl_c_ends_the_workers_quietly(tmp_path):
    run = run_script(tmp_path, 'if __name__ == "__main__":', True)
    assert run.stdout.split() == ["interrupted", "end", "3"]
    assert run.stderr == ""


def test_a_script_without_guard_is_taught(tmp_path):
    run = run_script(tmp_path, "if True:", False)
    assert run.returncode != 0
    assert "WorkerDied: numbers: a worker process died" in run.stderr
    assert 'if __name__ == "__main__":' in run.stderr


def test_workers_end_when_their_parent_is_killed(opened):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    parent = context.Process(target=parent_of_one, args=(theirs,))
    parent.start()
    theirs.close()
    worker = ours.recv()
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    deadline = time.monotonic() + 30
    while is_running(worker):
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.01)


def parent_of_one(pipe):
    source = make_source(Where(1, workers=1, use_multiprocessing=True))
    pipe.send(int(next(source.batches())[0][0, 0]))
    time.sleep(60)


def is_running(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
