"""Monitor: what callbacks share that watch one logged value."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from staghorn import config
from staghorn.callbacks.callback import Callback, Logs
from staghorn.engine.arguments import Is, check_values
from staghorn.engine.registry import suggestion
from staghorn.engine.spellings import recorded_name, user_level

UNKNOWN_DIRECTION = (
    "{owner}: it is not known whether {monitor!r} should go down or up. "
    "Say so: {owner}(monitor={monitor!r}, mode='min') or mode='max'."
)


def _flat_metrics(metrics: Iterable[Any]) -> Iterable[Any]:
    for metric in metrics:
        inner = getattr(metric, "metrics", None)
        if isinstance(inner, (list, tuple)):
            yield from _flat_metrics(inner)
        else:
            yield metric


def direction(name: str, metrics: Iterable[Any] = ()) -> str | None:
    """Whether a logged value is better when small ("min") or large ("max"); None if unknown.

    A metric says it itself (`_direction` "up" or "down"); in a model with several outputs its name
    stands behind the output's (`"head_accuracy"`). A loss goes down.

    Args:
        name: name in the logs, with or without "val_".
        metrics: the metrics of the model.

    Example:
        >>> from staghorn.callbacks.monitor import direction
        >>> direction("val_loss"), direction("house_loss"), direction("my_score")
        ('min', 'min', None)
    """
    quantity = name.removeprefix("val_")
    matching = [
        metric
        for metric in _flat_metrics(metrics)
        if getattr(metric, "_direction", None) in ("up", "down")
        and (quantity == metric.name or quantity.endswith(f"_{metric.name}"))
    ]
    if matching:
        nearest = max(matching, key=lambda metric: len(metric.name))
        return "max" if nearest._direction == "up" else "min"
    return "min" if quantity == "loss" or quantity.endswith("_loss") else None


def _rounded(value: float) -> float:
    """The value at the precision of the logs: 0.7 + 0.1 and 0.8 are then the same, as in Keras."""
    if config.floatx() == "float64":
        return float(value)
    with np.errstate(over="ignore"):
        return float(np.float32(value))


class Monitor(Callback):
    """Base of the callbacks that compare one logged value with its best so far.

    Args:
        monitor: name in the logs; default "val_loss".
        mode: "min", "max" or "auto" (by the metric's own direction); default "auto".
        baseline: first value of `best`; default None, the first value seen becomes the best.
        min_delta: a smaller change than this is no improvement; default 0.

    Raises:
        ValueError: `mode="auto"` and the direction of the value is unknown.

    Example:
        >>> from staghorn.callbacks.monitor import Monitor
        >>> watch = Monitor("loss", min_delta=0.1)
        >>> watch.improved(0.75, 1.0), watch.improved(0.95, 1.0)
        (True, False)

    Notes:
        Differs from Keras: a NaN never becomes the best value (there, nothing is smaller than NaN,
        so training would stop although the loss recovers), and a name that is missing in the logs
        is reported once per `fit`, with the names there are.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ) -> None:
        super().__init__()
        check_values(type(self).__name__, {"min_delta": Is(float)}, {"min_delta": min_delta})
        if mode not in ("auto", "min", "max"):
            hint = suggestion(str(mode), ("auto", "min", "max"))
            warnings.warn(
                f"{type(self).__name__}: mode must be 'auto', 'min' or 'max', got {mode!r}; "
                f"'auto' is used.{hint}",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op: Callable[[float, float], bool] | None = None
        self._reported = False

    def on_train_begin(self, logs: Logs = None) -> None:
        self._reported = False

    def improved(self, current: float, reference: float | None) -> bool:
        """Whether `current` is better than `reference` by more than `min_delta`."""
        if self.monitor_op is None:
            self.monitor_op = self._operator()
        if current != current:  # NaN
            return False
        if reference is None:
            return True
        shift = self.min_delta if self.monitor_op is operator.lt else -self.min_delta
        return self.monitor_op(_rounded(current + shift), _rounded(reference))

    def _operator(self) -> Callable[[float, float], bool]:
        """The comparison, decided late: metrics exist only after the first epoch."""
        metrics = getattr(self.model, "metrics", None) or ()
        mode = direction(self.monitor, metrics) if self.mode == "auto" else self.mode
        if mode is None:
            owner = type(self).__name__
            raise ValueError(UNKNOWN_DIRECTION.format(owner=owner, monitor=self.monitor))
        return operator.lt if mode == "min" else operator.gt

    def current(self, logs: Logs) -> Any:
        """The monitored value, or None with a warning if the logs never held it."""
        logs = logs or {}
        if self.monitor not in logs:
            self.monitor = recorded_name(self.monitor, logs) or self.monitor
        value = logs.get(self.monitor)
        if value is None and not self._reported:
            warnings.warn(self._missing(logs), stacklevel=user_level())
        self._reported = True  # later gaps are validation_freq at work
        return value

    def _missing(self, logs: dict[str, Any] | Any) -> str:
        names = sorted(logs)
        text = f"{type(self).__name__}: monitor {self.monitor!r} is not available in the logs."
        if self.monitor.startswith("val_") and not any(n.startswith("val_") for n in names):
            text += (
                " No validation ran in this epoch: give fit validation_data=(x, y) or "
                f"validation_split=0.2, or use monitor={self.monitor.removeprefix('val_')!r}."
            )
        else:
            text += suggestion(self.monitor, names)
        return f"{text} Available: {', '.join(names) or 'nothing'}."
