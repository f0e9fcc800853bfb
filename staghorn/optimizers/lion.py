"""Lion: the sign of a mean of gradients."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.arguments import Interval
from staghorn.optimizers.optimizer import Optimizer, Slots, base_arguments, zeros_like


class Lion(Optimizer):
    """Step by the same length everywhere, in the direction of the mean gradient's sign.

    gradients, variables: the same shapes
    p ← p - lr * sign(beta_1 * m + (1 - beta_1) * g);  m ← beta_2 * m + (1 - beta_2) * g

    Args:
        learning_rate: float or schedule, 3 to 10 times smaller than Adam's. Default: 0.001.
        beta_1: float in (0, 1], weight of the past in the step. Default: 0.9.
        beta_2: float in [0, 1], how much of the past the mean keeps. Default: 0.99.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name:
            as in `Optimizer`.

    Raises:
        ValueError: if `beta_1` is outside (0, 1].

    Example:
        >>> w = staghorn.Variable(np.array([1.0, 1.0], "float32"), name="w")
        >>> staghorn.optimizers.Lion(0.5).apply([np.array([0.1, -9.0], "float32")], [w])
        >>> w.numpy().tolist()
        [0.5, 1.5]

    Reference:
        Chen et al. 2023, http://arxiv.org/abs/2302.06675
    """

    arguments = {
        **Optimizer.arguments,
        "beta_1": Interval(0, 1, closed="right"),
        "beta_2": Interval(0, 1),
    }

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
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
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def init_slots(self, p: jax.Array) -> Slots:
        return {"momentum": zeros_like(p)}

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        m = slots["momentum"]
        direction = jnp.sign(self.beta_1 * m + (1 - self.beta_1) * g)
        return p - lr * direction, {"momentum": self.beta_2 * m + (1 - self.beta_2) * g}
