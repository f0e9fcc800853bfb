"""RMSprop: gradients divided by a running estimate of their size."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.arguments import Interval, Is, NonNegative
from staghorn.optimizers.optimizer import Optimizer, Slots, base_arguments, zeros_like


class RMSprop(Optimizer):
    """Divide each gradient by the root of its running mean square.

    gradients, variables: the same shapes
    v ← rho * v + (1 - rho) * g²;  d = lr * g / sqrt(v - a² + epsilon);  p ← p - d
    centered: a ← rho * a + (1 - rho) * g, else a = 0;
    momentum > 0: m ← momentum * m + d replaces d

    Args:
        learning_rate: float or schedule. Default: 0.001.
        rho: float in [0, 1], how much of the past the mean square keeps. Default: 0.9.
        momentum: float of 0 or more. Default: 0.0.
        epsilon: float that keeps the division finite. Default: 1e-7.
        centered: bool, divide by the deviation instead of the mean square. Default: False.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name:
            as in `Optimizer`.

    Example:
        >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
        >>> staghorn.optimizers.RMSprop(0.1, rho=0.75).apply([np.array([4.0], "float32")], [w])
        >>> w.numpy().round(3).tolist()
        [0.800000011920929]

    Reference:
        Tieleman & Hinton 2012, lecture 6e,
        http://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
    """

    arguments = {
        **Optimizer.arguments,
        "rho": Interval(0, 1),
        "momentum": NonNegative(float),
        "epsilon": NonNegative(float),
        "centered": Is(bool),
    }
    slot_groups = (("velocity",), ("momentum",), ("average_gradient",))

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**base_arguments(locals()))
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def init_slots(self, p: jax.Array) -> Slots:
        slots = {"velocity": zeros_like(p)}
        if self.momentum > 0:
            slots["momentum"] = zeros_like(p)
        if self.centered:
            slots["average_gradient"] = zeros_like(p)
        return slots

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        v = self.rho * slots["velocity"] + (1 - self.rho) * jnp.square(g)
        new: Slots = {"velocity": v}
        if self.centered:
            mean = self.rho * slots["average_gradient"] + (1 - self.rho) * g
            new["average_gradient"] = mean
            v = v - jnp.square(mean)
        move = lr * g / jnp.sqrt(v + self.epsilon)
        if self.momentum > 0:
            move = new["momentum"] = self.momentum * slots["momentum"] + move
        return p - move, new
