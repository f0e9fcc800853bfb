"""Learning rates that change with the step: `SGD(learning_rate=CosineDecay(0.1, 1000))`."""

import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.arguments import Each, Is, Positive
from staghorn.engine.registry import Family, missing_names
from staghorn.engine.serialization import Configurable


def _as_float(value: Any) -> jax.Array:
    return jnp.asarray(value).astype(config.floatx())


def _periods(step: Any, length: float) -> tuple[jax.Array, jax.Array]:
    """Return (step / length, the whole periods in it).

    Whole numbers are counted in integers: compiled, `21 / 7` is `21 * (1 / 7)`, a little over 3.
    """
    passed = _as_float(step) / length
    whole = jnp.issubdtype(jnp.asarray(step).dtype, jnp.integer) and float(length).is_integer()
    return passed, _as_float(jnp.asarray(step) // int(length)) if whole else jnp.floor(passed)


class LearningRateSchedule(Configurable):
    """Base of learning rates computed from the step number.

    () → ()        learning_rate = schedule(step)

    Subclass it and define `__call__(self, step)`; `step` counts the updates from 0 and may be
    a traced array, so use array operations rather than Python's `if`.

    Example:
        >>> class Hyperbola(staghorn.optimizers.schedules.LearningRateSchedule):
        ...     def __init__(self, start):
        ...         self.start = start
        ...     def __call__(self, step):
        ...         return self.start / (step + 1)
        >>> optimizer = staghorn.optimizers.SGD(learning_rate=Hyperbola(0.1))
        >>> round(float(optimizer.learning_rate), 3)
        0.1

    Notes:
        `get_config` is derived from the constructor; Keras asks for it to be written by hand.
    """

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of one step."""
        raise NotImplementedError(
            f"{type(self).__name__} must define `def __call__(self, step):`, "
            "which returns the learning rate of that step."
        )


class ExponentialDecay(LearningRateSchedule):
    """Multiply the learning rate by a constant factor every `decay_steps` steps.

    () → ()        initial_learning_rate * decay_rate ** (step / decay_steps)

    Args:
        initial_learning_rate: float, the learning rate of step 0.
        decay_steps: positive int, how many steps one factor takes.
        decay_rate: float, the factor.
        staircase: bool, round `step / decay_steps` down, so that the rate falls in jumps.
            Default: False.
        name: string. Default: "ExponentialDecay".

    Raises:
        ValueError: if `decay_steps` is not positive.

    Example:
        >>> schedule = staghorn.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
        >>> [round(float(schedule(step)), 4) for step in (0, 10, 20)]
        [0.1, 0.05, 0.025]
    """

    arguments = {"decay_steps": Positive(float), "staircase": Is(bool)}

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> jax.Array:
        fraction, whole = _periods(step, self.decay_steps)
        if self.staircase:
            fraction = whole
        return self.initial_learning_rate * jnp.power(_as_float(self.decay_rate), fraction)


class PiecewiseConstantDecay(LearningRateSchedule):
    """Hold one learning rate up to each boundary, then the next one.

    () → ()        values[i] for boundaries[i - 1] < step <= boundaries[i]

    Args:
        boundaries: list of increasing numbers, the last step of each rate but the last.
        values: list of floats, one more than `boundaries`.
        name: string. Default: "PiecewiseConstant".

    Raises:
        ValueError: if `values` does not have one element more than `boundaries`.

    Example:
        >>> schedule = staghorn.optimizers.schedules.PiecewiseConstantDecay(
        ...     boundaries=[10, 20], values=[1.0, 0.5, 0.1])
        >>> [round(float(schedule(step)), 2) for step in (10, 11, 21)]
        [1.0, 0.5, 0.1]
    """

    arguments = {"boundaries": Each(Is(float), empty=True), "values": Each(Is(float))}

    def __init__(
        self, boundaries: list[float], values: list[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "PiecewiseConstantDecay: values must have one element more than boundaries "
                f"(a rate before, between and after), got {len(boundaries)} boundaries "
                f"{boundaries!r} and {len(values)} values {values!r}."
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: Any) -> jax.Array:
        values = _as_float(self.values)  # (intervals,)
        if not self.boundaries:
            return values[0]
        step = jnp.asarray(step)
        boundaries = jnp.asarray(self.boundaries).astype(step.dtype)  # (intervals - 1,)
        return values[jnp.sum((boundaries < step).astype("int32"))]


class PolynomialDecay(LearningRateSchedule):
    """Fall from one learning rate to another along a power of the remaining time.

    () → ()        (initial - end) * (1 - min(step, decay_steps) / decay_steps) ** power + end

    Args:
        initial_learning_rate: float, the learning rate of step 0.
        decay_steps: positive int, the step at which `end_learning_rate` is reached.
        end_learning_rate: float, the last learning rate. Default: 0.0001.
        power: float, 1 for a straight line. Default: 1.0.
        cycle: bool, start again with twice, three times, ... the `decay_steps` instead of
            staying at the end. Default: False.
        name: string. Default: "PolynomialDecay".

    Raises:
        ValueError: if `decay_steps` is not positive.

    Example:
        >>> schedule = staghorn.optimizers.schedules.PolynomialDecay(0.1, 10, end_learning_rate=0.0)
        >>> [round(float(schedule(step)), 3) for step in (0, 5, 10, 99)]
        [0.1, 0.05, 0.0, 0.0]
    """

    arguments = {"decay_steps": Positive(float), "cycle": Is(bool)}

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Any) -> jax.Array:
        fraction, _ = _periods(step, self.decay_steps)
        if self.cycle:
            # ceil(fraction): the last step of a cycle still belongs to it.
            _, before = _periods(jnp.maximum(jnp.asarray(step) - 1, 0), self.decay_steps)
            fraction = fraction / (before + 1.0)
        else:
            fraction = jnp.minimum(fraction, 1.0)
        span = self.initial_learning_rate - self.end_learning_rate
        return span * jnp.power(1.0 - fraction, _as_float(self.power)) + self.end_learning_rate


class InverseTimeDecay(LearningRateSchedule):
    """Divide the learning rate by a number that grows linearly with the step.

    () → ()        initial_learning_rate / (1 + decay_rate * step / decay_steps)

    Args:
        initial_learning_rate: float, the learning rate of step 0.
        decay_steps: positive int, how often the decay is applied.
        decay_rate: float.
        staircase: bool, round `step / decay_steps` down. Default: False.
        name: string. Default: "InverseTimeDecay".

    Raises:
        ValueError: if `decay_steps` is not positive.

    Example:
        >>> schedule = staghorn.optimizers.schedules.InverseTimeDecay(0.1, 1, 1.0)
        >>> [round(float(schedule(step)), 3) for step in (0, 1, 3)]
        [0.1, 0.05, 0.025]
    """

    arguments = {"decay_steps": Positive(float), "staircase": Is(bool)}

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> jax.Array:
        fraction, whole = _periods(step, self.decay_steps)
        if self.staircase:
            fraction = whole
        return self.initial_learning_rate / (1.0 + self.decay_rate * fraction)


class CosineDecay(LearningRateSchedule):
    """Fall along half a cosine, optionally after a straight rise (warm-up).

    () → ()        top * ((1 - alpha) * (1 + cos(pi * u)) / 2 + alpha), u = min(s / decay_steps, 1)

    without warm-up: s = step, top = initial_learning_rate;
    with it: s = step - warmup_steps, top = warmup_target, and before that the straight line from
    `initial_learning_rate` to `warmup_target`.

    Args:
        initial_learning_rate: float, the learning rate of step 0.
        decay_steps: positive int, how long the cosine takes.
        alpha: float, the last rate as a fraction of the top one. Default: 0.0.
        name: string. Default: "CosineDecay".
        warmup_target: float, the rate at the end of the rise, or None for no rise. Default: None.
        warmup_steps: int, how long the rise takes. Default: 0.

    Raises:
        ValueError: if `decay_steps` is not positive.

    Example:
        >>> schedule = staghorn.optimizers.schedules.CosineDecay(
        ...     0.0, 100, warmup_target=0.1, warmup_steps=10)
        >>> [round(float(schedule(step)), 3) for step in (0, 5, 10, 60, 110)]
        [0.0, 0.05, 0.1, 0.05, 0.0]

    Notes:
        An integer `initial_learning_rate=0` computes in floats (Keras computes in integers then,
        and the rate stays 0).

    Reference:
        Loshchilov & Hutter 2016, https://arxiv.org/abs/1608.03983;
        warm-up: Goyal et al. 2017, https://arxiv.org/abs/1706.02677
    """

    arguments = {"decay_steps": Positive(float)}

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def _decay(self, step: jax.Array, top: float) -> jax.Array:
        angle = math.pi * jnp.minimum(step / self.decay_steps, 1.0)
        return top * ((1 - self.alpha) * 0.5 * (1.0 + jnp.cos(angle)) + self.alpha)

    def __call__(self, step: Any) -> jax.Array:
        step = _as_float(step)
        if self.warmup_target is None:
            return self._decay(step, self.initial_learning_rate)
        decayed = self._decay(step - self.warmup_steps, self.warmup_target)
        if self.warmup_steps <= 0:
            return decayed
        slope = (self.warmup_target - self.initial_learning_rate) / self.warmup_steps
        rising = self.initial_learning_rate + slope * step
        return jnp.where(step < self.warmup_steps, rising, decayed)


class CosineDecayRestarts(LearningRateSchedule):
    """Fall along half a cosine again and again, each period longer and lower than the last.

    () → ()        initial * ((1 - alpha) * m_mul ** i * (1 + cos(pi * u)) / 2 + alpha)

    i: number of restarts so far; u: fraction of period i that has passed; period i takes
    `first_decay_steps * t_mul ** i` steps.

    Args:
        initial_learning_rate: float, the learning rate of step 0.
        first_decay_steps: positive int, the length of the first period.
        t_mul: float, how much longer each period is than the last. Default: 2.0.
        m_mul: float, how much lower each period starts than the last. Default: 1.0.
        alpha: float, the lowest rate as a fraction of the initial one. Default: 0.0.
        name: string. Default: "SGDRDecay".

    Raises:
        ValueError: if `first_decay_steps` is not positive.

    Example:
        >>> schedule = staghorn.optimizers.schedules.CosineDecayRestarts(0.1, 10)
        >>> [round(float(schedule(step)), 3) for step in (0, 5, 10, 20)]
        [0.1, 0.05, 0.1, 0.05]

    Reference:
        Loshchilov & Hutter 2016, https://arxiv.org/abs/1608.03983
    """

    arguments = {"first_decay_steps": Positive(float), "t_mul": Positive(float)}

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def _split(self, step: Any) -> tuple[jax.Array, jax.Array]:
        """Return (restarts so far, fraction of the present period that has passed)."""
        periods, restarts = _periods(step, self.first_decay_steps)
        if self.t_mul == 1.0:
            return restarts, periods - restarts
        # Periods 0 .. i - 1 together take (1 - t_mul ** i) / (1 - t_mul); solved for i.
        ratio = _as_float(self.t_mul)
        restarts = jnp.floor(jnp.log(1.0 - periods * (1.0 - ratio)) / jnp.log(ratio))
        length = jnp.power(ratio, restarts)
        return restarts, (periods - (1.0 - length) / (1.0 - ratio)) / length

    def __call__(self, step: Any) -> jax.Array:
        restarts, passed = self._split(step)
        height = jnp.power(_as_float(self.m_mul), restarts)
        wave = 0.5 * height * (1.0 + jnp.cos(math.pi * passed))
        return self.initial_learning_rate * ((1 - self.alpha) * wave + self.alpha)


_CLASSES = (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)

FAMILY = Family(
    "learning rate schedule",
    "keras.optimizers.schedules",
    {schedule.__name__: schedule for schedule in _CLASSES},
)

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay",
    "LearningRateSchedule", "PiecewiseConstantDecay", "PolynomialDecay", "deserialize", "serialize",
]  # fmt: skip


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """Return the JSON form of a schedule.

    Args:
        learning_rate_schedule: a `LearningRateSchedule`.

    Example:
        >>> schedule = staghorn.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
        >>> staghorn.optimizers.schedules.serialize(schedule)["class_name"]
        'ExponentialDecay'
    """
    return FAMILY.serialize(learning_rate_schedule)


def deserialize(
    config: dict[str, Any], custom_objects: dict[str, Any] | None = None
) -> LearningRateSchedule:
    """Build a schedule from its JSON form.

    Args:
        config: what `serialize` returned.
        custom_objects: class name -> class, for your own schedules. Default: None.

    Example:
        >>> schedule = staghorn.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
        >>> json_form = staghorn.optimizers.schedules.serialize(schedule)
        >>> round(float(staghorn.optimizers.schedules.deserialize(json_form)(10)), 3)
        0.05
    """
    return FAMILY.deserialize(config, custom_objects)


if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
