"""The words of the optimizers' errors, and the checks of constructor arguments that need them."""

from numbers import Real
from typing import Any

import numpy as np

from staghorn.engine.registry import suggestion
from staghorn.engine.serialization import parameter_names
from staghorn.engine.spellings import say_once
from staghorn.optimizers.schedules import InverseTimeDecay

NO_SUPER = """\
{cls}: an attribute was set before the optimizer's own state exists.
Write super().__init__(learning_rate=..., name=name) as the first line of {cls}.__init__."""

NO_RULE = """\
{cls} has no update rule. Define one of:
    def step(self, g, p, slots, lr, t): return p - lr * g, slots
    def update_step(self, gradient, variable, learning_rate): variable.assign_sub(...)"""

NOT_BUILT = """\
{cls}: {call} was called before the optimizer knows its variables.
Write optimizer.build(model.trainable_variables) first."""

UNKNOWN_VARIABLE = """\
{cls}: no state was made for {paths}: the optimizer was built with other variables.
Build it with all of them, optimizer.build(model.trainable_variables), before the first step,
or make a new {cls}, one per model. After changing `trainable`, call model.compile again."""

NO_GRADIENTS = """\
{cls}: no gradient was given for any variable: {paths}.
The loss does not depend on them, or they were read outside of the function that is differentiated.
"""

SOME_GRADIENTS = """\
{cls}: the loss does not depend on {paths}; they are not updated.
Set `trainable = False` on their layer if that is intended."""

SCHEDULED = """\
{cls}: learning_rate={value!r} cannot be assigned, because a {schedule} sets the learning rate.
Make the optimizer with a number, {cls}(learning_rate=0.001), to change it later."""

SCHEDULE_TOO_LATE = """\
{cls}: a schedule cannot replace the learning rate once the optimizer is built, since training
steps are compiled with it. Compile the model with a new optimizer:
    model.compile(optimizer={cls}(learning_rate=schedule), ...)"""

DECAY = """\
learning_rate=staghorn.optimizers.schedules.InverseTimeDecay(learning_rate, 1, {decay!r})"""

# The name of the schedule that `decay=` is in configs.
DECAY_NAME = "decay"

BAD_STATE = """\
{cls} '{name}': the saved optimizer state does not fit; nothing was loaded.
{problems}
{advice}"""


def as_learning_rate(cls: str, value: Any) -> float:
    """Return a learning rate as a float, or raise."""
    scalar = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not scalar and not (getattr(value, "shape", None) == () and hasattr(value, "dtype")):
        raise ValueError(
            f"{cls}: learning_rate must be a float, a LearningRateSchedule or a function without "
            f"arguments, got {value!r} ({type(value).__name__})."
        )
    return value


def decaying(cls: type, learning_rate: Any, kwargs: dict[str, Any]) -> Any:
    """Return the learning rate for what no constructor names: `decay` is understood.

    It is the schedule that means the same; its name tells it from one that the user made.
    """
    # Scripts and files of Keras 2 hold decay=0.0, which asks for nothing.
    decay = kwargs.pop("decay", None)
    if kwargs:
        names = parameter_names(cls)
        raise ValueError(
            f"{cls.__name__}: unknown argument {', '.join(map(repr, kwargs))}."
            f"{suggestion(next(iter(kwargs)), names)} Known: {', '.join(names)}."
        )
    if not decay:
        return learning_rate
    if callable(learning_rate):
        raise ValueError(
            f"{cls.__name__}: learning_rate is a schedule and decay={decay!r} was given too. "
            "Keep the schedule."
        )
    say_once("decay=", DECAY.format(decay=decay), cls.__name__)
    return InverseTimeDecay(learning_rate, 1, decay, name=DECAY_NAME)


def check_clipping(cls: str, *limits: float | None) -> None:
    """Raise when two kinds of clipping are asked for."""
    if sum(limit is not None for limit in limits) > 1:
        given = zip(("clipnorm", "clipvalue", "global_clipnorm"), limits, strict=True)
        shown = ", ".join(f"{name}={limit!r}" for name, limit in given if limit is not None)
        raise ValueError(f"{cls}: choose one kind of gradient clipping, got {shown}.")


def check_accumulation(cls: str, steps: Any) -> None:
    """Raise when gradients are to be accumulated over fewer than two steps."""
    if steps and not (isinstance(steps, (int, np.integer)) and steps >= 2):
        raise ValueError(
            f"{cls}: gradient_accumulation_steps must be an int of 2 or more, or None, "
            f"got {steps!r} ({type(steps).__name__})."
        )
