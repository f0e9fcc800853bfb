"""Adagrad and Adadelta: step sizes from the sum, or the running mean, of squared gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine.arguments import Interval, NonNegative
from staghorn.optimizers.optimizer import Optimizer, Slots, base_arguments, zeros_like


class Adagrad(Optimizer):
    """Divide each gradient by the root of the sum of all its squares so far.

    gradients, variables: the same shapes        a ← a + g²;  p ← p - lr * g / sqrt(a + epsilon)

    Args:
        learning_rate: float or schedule. Default: 0.001.
        initial_accumulator_value: float of 0 or more, the sum's start. Default: 0.1.
        epsilon: float that keeps the division finite. Default: 1e-7.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name:
            as in `Optimizer`.

    Example:
        >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
        >>> optimizer = staghorn.optimizers.Adagrad(0.5, initial_accumulator_value=9.0)
        >>> optimizer.apply([np.array([4.0], "float32")], [w])
        >>> w.numpy().round(3).tolist()
        [0.6000000238418579]

    Reference:
        Duchi et al. 2011, http://www.jmlr.org/papers/volume12/duchi11a/duchi11a.pdf
    """

    arguments = {
        **Optimizer.arguments,
        "initial_accumulator_value": NonNegative(float),
        "epsilon": NonNegative(float),
    }

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
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
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def init_slots(self, p: jax.Array) -> Slots:
        return {"accumulator": np.full(p.shape, self.initial_accumulator_value, p.dtype)}

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        total = slots["accumulator"] + jnp.square(g)
        return p - lr * g / jnp.sqrt(total + self.epsilon), {"accumulator": total}


class Adadelta(Optimizer):
    """Adagrad over a window, in the units of the variable itself.

    gradients, variables: the same shapes
    a ← rho * a + (1 - rho) * g²;  d = g * sqrt(b + epsilon) / sqrt(a + epsilon)
    b ← rho * b + (1 - rho) * d²;  p ← p - lr * d

    Args:
        learning_rate: float or schedule; the paper uses 1.0. Default: 0.001.
        rho: float in [0, 1], how much of the past is kept. Default: 0.95.
        epsilon: float that keeps the division finite. Default: 1e-7.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name:
            as in `Optimizer`.

    Example:
        >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
        >>> staghorn.optimizers.Adadelta(1.0).apply([np.array([4.0], "float32")], [w])
        >>> bool(0.99 < w.numpy()[0] < 1.0)
        True

    Reference:
        Zeiler 2012, http://arxiv.org/abs/1212.5701
    """

    arguments = {**Optimizer.arguments, "rho": Interval(0, 1), "epsilon": NonNegative(float)}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
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
        self.epsilon = epsilon

    def init_slots(self, p: jax.Array) -> Slots:
        return {"accumulated_grad": zeros_like(p), "accumulated_delta_var": zeros_like(p)}

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        grads, moves = slots["accumulated_grad"], slots["accumulated_delta_var"]
        grads = self.rho * grads + (1 - self.rho) * jnp.square(g)
        move = g * jnp.sqrt(moves + self.epsilon) / jnp.sqrt(grads + self.epsilon)
        moves = self.rho * moves + (1 - self.rho) * jnp.square(move)
        return p - lr * move, {"accumulated_grad": grads, "accumulated_delta_var": moves}
