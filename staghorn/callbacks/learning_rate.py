"""Callbacks that change the learning rate between epochs."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from staghorn.callbacks.callback import Callback, Logs
from staghorn.callbacks.monitor import Monitor
from staghorn.engine.arguments import Is, check_values
from staghorn.engine.keywords import reject_unknown
from staghorn.engine.progbar import say
from staghorn.engine.spellings import say_once


def named_optimizers(model: Any) -> list[tuple[str, Any]]:
    """Pairs (name, optimizer) of a model; the name is "" unless it has several optimizers.

    Example:
        >>> from types import SimpleNamespace
        >>> from staghorn.callbacks.learning_rate import named_optimizers
        >>> named_optimizers(SimpleNamespace(optimizer="adam"))
        [('', 'adam')]
    """
    several = getattr(model.optimizer, "optimizers", None)
    if several is None:
        return [("", model.optimizer)]
    return [(optimizer.name, optimizer) for optimizer in several]


def read_rate(optimizer: Any) -> float:
    """The learning rate as a float; reads the device.

    Example:
        >>> from types import SimpleNamespace
        >>> from staghorn.callbacks.learning_rate import read_rate
        >>> read_rate(SimpleNamespace(learning_rate=np.float32(0.5)))
        0.5
    """
    try:
        rate = optimizer.learning_rate
    except AttributeError as error:
        raise ValueError(
            f"{type(optimizer).__name__} has no attribute learning_rate, so a callback cannot "
            f"change it. Use an optimizer of staghorn.optimizers.\n{error}"
        ) from error
    return float(np.asarray(rate))


def log_rates(model: Any, logs: Any) -> None:
    """Put the learning rates into the logs, where the callbacks behind find them."""
    if logs is None:
        return
    for name, optimizer in named_optimizers(model):
        logs[f"learning_rate_{name}" if name else "learning_rate"] = read_rate(optimizer)


def _positional(function: Callable[..., Any]) -> int:
    """How many positional arguments a function takes, at most 2; 2 if it does not tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some functions written in C
        return 2
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 2
    return min(2, sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters))


class LearningRateScheduler(Callback):
    """Set the learning rate at the start of every epoch; `learning_rate` joins the logs.

    learning_rate = schedule(epoch, learning_rate)

    Args:
        schedule: function(epoch, learning_rate) -> float, or function(epoch) -> float; the first
            epoch is 0.
        verbose: 1 prints the new rate; default 0.

    Raises:
        ValueError: the schedule returned something that is not a number.

    Example:
        >>> from types import SimpleNamespace
        >>> model = SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.1))
        >>> halve = staghorn.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
        >>> halve.set_model(model)
        >>> halve.on_epoch_begin(0)
        >>> model.optimizer.learning_rate
        0.05

    Notes:
        Keras refuses an int and an array without axes; both are accepted here. The number of
        arguments is read from the function, so a TypeError inside it is not hidden.
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _positional(schedule) == 2

    def _new_rate(self, epoch: int, rate: float) -> float:
        value = self.schedule(epoch, rate) if self._takes_rate else self.schedule(epoch)
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if number or getattr(value, "shape", None) == ():
            return float(value)
        raise ValueError(
            f"LearningRateScheduler: schedule must return a float, got {value!r} "
            f"({type(value).__name__}) for epoch {epoch}. Return the rate from every branch of it."
        )

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        for name, optimizer in named_optimizers(self.model):
            rate = self._new_rate(epoch, read_rate(optimizer))
            optimizer.learning_rate = rate
            if self.verbose > 0:
                whose = f"{name} learning " if name else "learning "
                say(f"Epoch {epoch + 1}: LearningRateScheduler sets {whose}rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        log_rates(self.model, logs)


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by `factor` when a logged value stopped improving.

    learning_rate = max(learning_rate * factor, min_lr); `learning_rate` joins the logs.

    Args:
        monitor: name in the logs; default "val_loss".
        factor: below 1; default 0.1.
        patience: epochs without improvement before a reduction; default 10.
        verbose: 1 prints the new rate; default 0.
        mode: "min", "max" or "auto"; default "auto".
        min_delta: a change up to this size is no improvement; default 1e-4.
        cooldown: epochs to wait after a reduction; default 0.
        min_lr: lowest rate; default 0.

    Raises:
        ValueError: `factor` is 1 or more; or `mode="auto"` and the direction is unknown.

    Example:
        >>> staghorn.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=3).patience
        3
    """

    kept = ("best", "cooldown_counter", "wait")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if "epsilon" in kwargs:
            say_once("epsilon=", "min_delta=", "ReduceLROnPlateau")
            self.min_delta = kwargs.pop("epsilon")
        known = inspect.signature(ReduceLROnPlateau).parameters
        reject_unknown("ReduceLROnPlateau", kwargs, tuple(known))  # Keras swallows them
        check_values("ReduceLROnPlateau", {"factor": Is(float)}, {"factor": factor})
        if factor >= 1.0:
            raise ValueError(
                f"ReduceLROnPlateau: factor must be below 1, got {factor} "
                f"({type(factor).__name__}): the rate would not become smaller."
            )
        self.factor = factor
        self.min_lr = min_lr
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        super().on_train_begin(logs)
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether the epochs after a reduction are still being waited for."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        log_rates(self.model, logs)
        current = self.current(logs)
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improved(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def _reduce(self, epoch: int) -> bool:
        """Lower every rate that is above `min_lr`; whether there was one."""
        reduced = False
        for name, optimizer in named_optimizers(self.model):
            old = read_rate(optimizer)
            if old <= np.float32(self.min_lr):  # the rate is stored as float32
                continue
            rate = max(old * self.factor, self.min_lr)
            optimizer.learning_rate = rate
            reduced = True
            if self.verbose > 0:
                whose = f"{name} learning " if name else "learning "
                message = f"ReduceLROnPlateau lowers {whose}rate to {rate}."
                say(f"Epoch {epoch + 1}: {message}", during_epoch=True)
        return reduced
