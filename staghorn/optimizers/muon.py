"""Muon: steps with all singular values made equal, for matrices; Adam for the rest."""

import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.variable import Variable
from staghorn.optimizers.optimizer import Optimizer, Slots, base_arguments


def orthogonalize(x: jax.Array, steps: int, a: float, b: float, c: float) -> jax.Array:
    """Bring the singular values of a matrix near 1 by an odd polynomial, repeated.

    (rows, columns) → the same        x ← a x + (b S + c S²) x, S = x xᵀ, from x / norm(x)

    Args:
        x: a matrix.
        steps: int, how often the polynomial is applied.
        a, b, c: floats, its coefficients.

    Example:
        >>> x = np.array([[3.0, 0.0], [0.0, 0.5]], "float32")
        >>> y = staghorn.optimizers.muon.orthogonalize(x, 5, 3.4445, -4.775, 2.0315)
        >>> bool(0.6 < y[1, 1] < 1.3 and 0.6 < y[0, 0] < 1.3)
        True

    Reference:
        Jordan 2024, https://kellerjordan.github.io/posts/muon/
    """
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x  # S is then the smaller of the two products
    x = x / (jnp.sqrt(jnp.sum(jnp.square(x))) + 1e-7)
    for _ in range(steps):
        s = x @ x.T  # (rows, rows)
        x = a * x + (b * s + c * (s @ s)) @ x
    return x.T if tall else x


class Muon(Optimizer):
    """Step along the momentum with equal singular values; other variables get Adam.

    gradients, variables: the same shapes
    matrices: m ← momentum * m + g;  p ← p - lr * rms_rate * sqrt(max(rows, columns)) *
    orthogonalize(g + momentum * m); everything else, embeddings too: Adam

    Args:
        learning_rate: float or schedule. Default: 0.001.
        adam_beta_1: float in [0, 1). Default: 0.9.
        adam_beta_2: float in [0, 1). Default: 0.999.
        adam_weight_decay: float, weight decay of the variables that get Adam. Default: 0.004.
        epsilon: float of Adam's division. Default: 1e-7.
        weight_decay: float, weight decay of the matrices. Default: 0.004.
        clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency,
            loss_scale_factor, gradient_accumulation_steps, name: as in `Optimizer`.
        exclude_layers: list of regular expressions; variables whose path has one get Adam.
            Default: None.
        exclude_embeddings: bool, paths with "embedding" get Adam. Default: True.
        muon_a, muon_b, muon_c: floats, the polynomial of `orthogonalize`.
            Default: 3.4445, -4.775, 2.0315.
        adam_lr_ratio: float, Adam's learning rate over Muon's. Default: 1.
        momentum: float. Default: 0.95.
        ns_steps: int, how often the polynomial is applied. Default: 5.
        nesterov: bool, look one step ahead. Default: True.
        rms_rate: float, root mean square of a step as a multiple of the rate; None leaves the
            singular values at 1. Default: 0.2.

    Example:
        >>> w = staghorn.Variable(np.eye(2, dtype="float32"), name="w")
        >>> staghorn.optimizers.Muon(0.1).apply([np.eye(2, dtype="float32")], [w])
        >>> bool(0.9 < w.numpy()[0, 0] < 1.0)
        True

    Reference:
        Jordan 2024, https://kellerjordan.github.io/posts/muon/;
        scale: Liu et al. 2025, https://arxiv.org/abs/2502.16982
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**base_arguments(locals()))
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_layers = list(exclude_layers or [])
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def _gets_adam(self, variable: Variable) -> bool:
        return (
            len(variable.shape) != 2
            or (self.exclude_embeddings and "embedding" in variable.path.lower())
            or any(re.search(pattern, variable.path) for pattern in self.exclude_layers)
        )

    def _build_slots(self, variables: list[Variable]) -> None:
        self._slots = [{} for _ in variables]
        for variable, slots in zip(variables, self._slots, strict=True):
            if not self._overwrite_variable_with_gradient(variable):
                names = ("momentum", "velocity") if self._gets_adam(variable) else ("momentum",)
                for name in names:
                    slots[name] = self.add_variable_from_reference(variable, name)

    def _decay_of(self, variable: Variable) -> float | None:
        return self.adam_weight_decay if self._gets_adam(variable) else self.weight_decay

    def coefficients(self, lr: jax.Array, t: jax.Array) -> Any:
        size = jnp.sqrt(1 - jnp.power(self.adam_beta_2, t))
        return lr, lr * self.adam_lr_ratio * size / (1 - jnp.power(self.adam_beta_1, t))

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        rate, alpha = lr
        m = slots["momentum"]
        if "velocity" in slots:
            m = m + (1 - self.adam_beta_1) * (g - m)
            v = slots["velocity"]
            v = v + (1 - self.adam_beta_2) * (jnp.square(g) - v)
            return p - alpha * m / (jnp.sqrt(v) + self.epsilon), {"momentum": m, "velocity": v}
        m = self.momentum * m + g
        direction = g + self.momentum * m if self.nesterov else m
        move = orthogonalize(direction, self.ns_steps, self.muon_a, self.muon_b, self.muon_c)
        if self.rms_rate is not None:
            move = move * (max(p.shape) ** 0.5 * self.rms_rate)
        return p - rate * move, {"momentum": m}
