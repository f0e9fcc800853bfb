"""Data sets for worker processes: in a file of their own, which processes import quickly."""

import os
import random
import signal
import time

import numpy as np

from staghorn.utils import PyDataset


class Numbered(PyDataset):
    """Batch i is filled with i; later ones are made faster than earlier ones."""

    def __init__(self, batches=6, pause=0.0, **kwargs):
        super().__init__(**kwargs)
        self.batches = batches
        self.pause = pause
        self.offset = 0
        self.calls = []

    def __len__(self):
        return self.batches

    def __getitem__(self, index):
        time.sleep(self.pause * (self.batches - index))
        x = np.full((2, 3), index + self.offset, "float32")
        return x, x[:, :1] * 10

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")
        self.offset += 100


class Endless(Numbered):
    """Numbered, without end."""

    @property
    def num_batches(self):
        return None


class Shifting(Numbered):
    """Adds 1000 from the first epoch on."""

    def on_epoch_begin(self):
        self.offset = 1000


class Failing(Numbered):
    """Batch 3 raises."""

    def __getitem__(self, index):
        if index == 3:
            raise KeyError("no picture 3")
        return super().__getitem__(index)


class TwoArguments(Exception):
    """An error that pickle can write and not read."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class FailingOddly(Numbered):
    """Every batch raises an error that does not survive pickling."""

    def __getitem__(self, index):
        raise TwoArguments("this", "that")


class Dying(Numbered):
    """Batch 2 kills the process that makes it."""

    def __getitem__(self, index):
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


class Leaving(Numbered):
    """Every batch ends its process."""

    def __getitem__(self, index):
        os._exit(3)


class Large(Numbered):
    """Batches that pass a pipe in several pieces, and what is not contiguous or is empty."""

    def __getitem__(self, index):
        x = np.arange(300_000.0).reshape(2, -1) + index
        return {"x": x, "flipped": x[:, ::-1], "turned": x[:, :2].T, "none": x[:, :0]}


class Drawing(Numbered):
    """Batches of random numbers."""

    def __getitem__(self, index):
        return np.array([[random.random(), np.random.random()]])


class Where(Numbered):
    """Which process made the batch, and what JAX may use in it."""

    def __getitem__(self, index):
        time.sleep(0.02)
        return np.array([[os.getpid(), os.environ.get("JAX_PLATFORMS") == "cpu"]])
