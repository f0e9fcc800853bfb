"""Ftrl: follow the regularized leader, for sparse linear models."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine.arguments import Interval, NonNegative
from staghorn.optimizers.optimizer import Optimizer, Slots, base_arguments, zeros_like


class Ftrl(Optimizer):
    """Solve a regularized problem over all past gradients; L1 sets small weights to zero.

    gradients, variables: the same shapes, k = -learning_rate_power
    n' = n + g²;  z ← z + g + 2 * shrinkage * p - (n'^k - n^k) / lr * p;  n ← n'
    p ← (clip(z, -l1, l1) - z) / (n^k / lr + 2 * l2 + beta / lr)

    Args:
        learning_rate: float or schedule. Default: 0.001.
        learning_rate_power: float of 0 or less; 0 for a constant rate. Default: -0.5.
        initial_accumulator_value: float of 0 or more, the start of n. Default: 0.1.
        l1_regularization_strength: float of 0 or more. Default: 0.0.
        l2_regularization_strength: float of 0 or more. Default: 0.0.
        l2_shrinkage_regularization_strength: float of 0 or more, an L2 penalty on the weights
            themselves. Default: 0.0.
        beta: float, stabilises small accumulators. Default: 0.0.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name:
            as in `Optimizer`.

    Raises:
        ValueError: if a strength is negative or the power positive.

    Example:
        >>> w = staghorn.Variable(np.array([0.1], "float32"), name="w")
        >>> optimizer = staghorn.optimizers.Ftrl(0.1, l1_regularization_strength=100.0)
        >>> optimizer.apply([np.array([4.0], "float32")], [w])
        >>> w.numpy().tolist()
        [0.0]

    Reference:
        McMahan et al. 2013, https://research.google.com/pubs/archive/41159.pdf
    """

    arguments = {
        **Optimizer.arguments,
        "learning_rate_power": Interval(float("-inf"), 0),
        "initial_accumulator_value": NonNegative(float),
        "l1_regularization_strength": NonNegative(float),
        "l2_regularization_strength": NonNegative(float),
        "l2_shrinkage_regularization_strength": NonNegative(float),
    }

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
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
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def init_slots(self, p: jax.Array) -> Slots:
        accumulator = np.full(p.shape, self.initial_accumulator_value, p.dtype)
        return {"accumulator": accumulator, "linear": zeros_like(p)}

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        n, z = slots["accumulator"], slots["linear"]
        total = n + jnp.square(g)
        power, past = (jnp.power(x, -self.learning_rate_power) for x in (total, n))
        shrunk = g + 2 * self.l2_shrinkage_regularization_strength * p
        z = z + shrunk - (power - past) / lr * p
        l1, l2 = self.l1_regularization_strength, self.l2_regularization_strength
        curvature = (power + self.beta) / lr + 2 * l2
        return (jnp.clip(z, -l1, l1) - z) / curvature, {"accumulator": total, "linear": z}
