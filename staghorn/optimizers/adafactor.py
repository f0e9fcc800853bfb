"""Adafactor: Adam's step sizes from row and column means, in little memory."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine.arguments import Is, NonNegative, Positive
from staghorn.engine.variable import Variable
from staghorn.optimizers.optimizer import Optimizer, Slots, base_arguments, zeros_like


def _rms(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(jnp.square(x)))


class Adafactor(Optimizer):
    """Scale gradients by an estimate of their mean squares built from rows and columns.

    gradients, variables: the same shapes; r: (..., rows), c: (..., columns)
    b = 1 - t^beta_2_decay;  s = g² + epsilon_1
    r ← b r + (1 - b) mean_columns(s);  c ← b c + (1 - b) mean_rows(s);  v = r c / mean(r)
    (fewer than two axes: v ← b v + (1 - b) s)
    u = g / sqrt(v);  p ← p - max(epsilon_2, rms(p)) * min(lr, 1 / sqrt(t))
                              * u / max(1, rms(u) / clip_threshold)

    Args:
        learning_rate: float or schedule. Default: 0.001.
        beta_2_decay: float, how fast the past's weight approaches 1. Default: -0.8.
        epsilon_1: float, keeps the division finite. Default: 1e-30.
        epsilon_2: float, the least scale of a variable. Default: 0.001.
        clip_threshold: float, the largest root mean square of u. Default: 1.0.
        relative_step: bool, accepted for Keras's sake: the rate is never above `1 / sqrt(t)`.
            Default: True.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name:
            as in `Optimizer`.

    Example:
        >>> w = staghorn.Variable(np.ones((2, 3), "float32"), name="w")
        >>> staghorn.optimizers.Adafactor(0.5).apply([np.ones((2, 3), "float32")], [w])
        >>> w.numpy().round(3).tolist()
        [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]

    Notes:
        As in Keras, variables of two and more axes also keep `v` (and others two unused numbers),
        so that files fit: this Adafactor saves no memory.

    Reference:
        Shazeer & Stern 2018, https://arxiv.org/abs/1804.04235
    """

    arguments = {
        **Optimizer.arguments,
        "epsilon_1": NonNegative(float),
        "epsilon_2": NonNegative(float),
        "clip_threshold": Positive(float),
        "relative_step": Is(bool),
    }

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
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
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def init_slots(self, p: jax.Array) -> Slots:
        if p.ndim < 2:
            unused = {"r": np.zeros((), "int32"), "c": np.zeros((), "int32")}
            return {**unused, "velocity": zeros_like(p)}
        rows = np.zeros(p.shape[:-1], p.dtype)
        columns = np.zeros((*p.shape[:-2], p.shape[-1]), p.dtype)
        return {"r": rows, "c": columns, "velocity": zeros_like(p)}

    def _slot_name(self, variable: Variable, slot: str) -> str:
        return super()._slot_name(variable, slot) if slot == "velocity" else variable.name

    def coefficients(self, lr: jax.Array, t: jax.Array) -> Any:
        return jnp.minimum(lr, 1 / jnp.sqrt(t)), 1 - jnp.power(t, self.beta_2_decay)

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        rate, past = lr
        square = jnp.square(g) + self.epsilon_1
        if p.ndim < 2:
            v = past * slots["velocity"] + (1 - past) * square
            new: Slots = {"velocity": v}
        else:
            r = past * slots["r"] + (1 - past) * jnp.mean(square, axis=-1)  # (..., rows)
            c = past * slots["c"] + (1 - past) * jnp.mean(square, axis=-2)  # (..., columns)
            share = r / jnp.mean(r, axis=-1, keepdims=True)
            v = jnp.expand_dims(share, -1) * jnp.expand_dims(c, -2)  # (..., rows, columns)
            new = {"r": r, "c": c, "velocity": v}
        move = g / jnp.sqrt(v)
        move = move / jnp.maximum(1.0, _rms(move) / self.clip_threshold)
        return p - jnp.maximum(self.epsilon_2, _rms(p)) * rate * move, new
