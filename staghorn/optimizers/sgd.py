"""Gradient descent, plain and with momentum."""

from typing import Any

import jax

from staghorn.engine.arguments import Interval, Is
from staghorn.optimizers.optimizer import Optimizer, Slots, base_arguments, zeros_like


class SGD(Optimizer):
    """Step against the gradient, with a memory of past steps if asked for.

    gradients, variables: the same shapes
    momentum=0: p ← p - lr * g; else m ← momentum * m - lr * g, then
    p ← p + m, or with nesterov p ← p + momentum * m - lr * g

    Args:
        learning_rate: float or schedule. Default: 0.01.
        momentum: float in [0, 1], how much of the last step is kept. Default: 0.0.
        nesterov: bool, look one step ahead. Default: False.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name:
            as in `Optimizer`.

    Raises:
        ValueError: if `momentum` is outside [0, 1].

    Example:
        >>> w = staghorn.Variable(np.array([1.0, 2.0], "float32"), name="w")
        >>> staghorn.optimizers.SGD(0.5).apply([np.array([1.0, 2.0], "float32")], [w])
        >>> w.numpy().tolist()
        [0.5, 1.0]

    Reference:
        Sutskever et al. 2013, http://proceedings.mlr.press/v28/sutskever13.html
    """

    arguments = {**Optimizer.arguments, "momentum": Interval(0, 1), "nesterov": Is(bool)}

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        self.momentum = momentum
        self.nesterov = nesterov

    def init_slots(self, p: jax.Array) -> Slots:
        return {"momentum": zeros_like(p)} if self.momentum else {}

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        if not self.momentum:
            return p - lr * g, {}
        m = self.momentum * slots["momentum"] - lr * g
        move = self.momentum * m - lr * g if self.nesterov else m
        return p + move, {"momentum": m}
