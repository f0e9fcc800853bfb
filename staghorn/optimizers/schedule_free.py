"""Schedule-free AdamW: averaging in place of a falling learning rate."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.arguments import Interval, NonNegative
from staghorn.optimizers.optimizer import Optimizer, Slots, base_arguments, zeros_like


class ScheduleFreeAdamW(Optimizer):
    """Adam on a fast sequence z; the variable lies between z and z's mean.

    gradients, variables: the same shapes
    v ← v + (1 - beta_2)(g² - v);  z ← z - lr g / (sqrt(v / (1 - beta_2^t)) + epsilon)
    x ← (1 - 1/t) x + z / t;  p = (1 - beta_1) z + beta_1 x

    Args:
        learning_rate: float or schedule. Default: 0.0025.
        beta_1: float in (0, 1], weight of the mean in the variable. Default: 0.9.
        beta_2: float in [0, 1), how much of the past the mean square keeps. Default: 0.999.
        epsilon: float that keeps the division finite. Default: 1e-8.
        warmup_steps: int, the learning rate rises in a straight line so long. Default: 0.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name:
            as in `Optimizer`.

    Example:
        >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
        >>> optimizer = staghorn.optimizers.ScheduleFreeAdamW(0.1)
        >>> optimizer.apply([np.array([4.0], "float32")], [w])
        >>> w.numpy().round(3).tolist()
        [0.8999999761581421]

    Reference:
        Defazio et al. 2024, https://arxiv.org/abs/2405.15682
    """

    arguments = {
        **Optimizer.arguments,
        "beta_1": Interval(0, 1, closed="right"),
        "beta_2": Interval(0, 1, closed="left"),
        "epsilon": NonNegative(float),
        "warmup_steps": NonNegative(int),
    }

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
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
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps

    def init_slots(self, p: jax.Array) -> Slots:
        # z starts at the variable; Keras's files call it "momentum".
        return {"momentum": p, "velocity": zeros_like(p)}

    def coefficients(self, lr: jax.Array, t: jax.Array) -> Any:
        if self.warmup_steps > 0:
            lr = lr * jnp.minimum(t / self.warmup_steps, 1.0)
        # Both from the same rounded beta_2: 1 - 0.999 in float32 is off by 5e-5, and the two
        # errors cancel in v / bias.
        beta_2 = jnp.asarray(self.beta_2, t.dtype)
        return lr, 1 / t, 1 - beta_2, 1 - jnp.power(beta_2, t)

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        rate, share, fresh, bias = lr
        z, v = slots["momentum"], slots["velocity"]
        x = (p - (1 - self.beta_1) * z) / self.beta_1
        v = v + fresh * (jnp.square(g) - v)
        z = z - rate * g / (jnp.sqrt(v / bias) + self.epsilon)
        x = (1 - share) * x + share * z
        return (1 - self.beta_1) * z + self.beta_1 * x, {"momentum": z, "velocity": v}
