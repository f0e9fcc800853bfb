"""Adam and its relatives: a running mean of the gradient over a running estimate of its size."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.arguments import Interval, Is, NonNegative
from staghorn.engine.variable import Variable
from staghorn.optimizers.optimizer import Optimizer, Slots, base_arguments, zeros_like

_ARGUMENTS = {
    **Optimizer.arguments,
    "beta_1": Interval(0, 1, closed="left"),
    "beta_2": Interval(0, 1, closed="left"),
    "epsilon": NonNegative(float),
}


def _moments(
    g: jax.Array, slots: Slots, beta_1: float, beta_2: float
) -> tuple[jax.Array, jax.Array]:
    """Return the next running means of the gradient and of its square."""
    m, v = slots["momentum"], slots["velocity"]
    return m + (1 - beta_1) * (g - m), v + (1 - beta_2) * (jnp.square(g) - v)


class Adam(Optimizer):
    """Step along the mean gradient, scaled by the root of the mean squared gradient.

    gradients, variables: the same shapes
    m ← m + (1 - beta_1)(g - m);  v ← v + (1 - beta_2)(g² - v)
    p ← p - alpha * m / (sqrt(v) + epsilon),
    alpha = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t);  amsgrad: the largest v so far

    Args:
        learning_rate: float or schedule. Default: 0.001.
        beta_1: float in [0, 1), how much of the past the mean keeps. Default: 0.9.
        beta_2: float in [0, 1), the same for the mean square. Default: 0.999.
        epsilon: float that keeps the division finite; larger values (0.1, 1.0) damp. Default: 1e-7.
        amsgrad: bool, divide by the largest mean square seen. Default: False.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name:
            as in `Optimizer`.

    Raises:
        ValueError: if a decay rate is outside [0, 1).

    Example:
        >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
        >>> staghorn.optimizers.Adam(0.1).apply([np.array([4.0], "float32")], [w])
        >>> w.numpy().round(3).tolist()
        [0.8999999761581421]

    Notes:
        Powers of the decay rates are computed in float32 for bfloat16 variables too (in Keras
        0.999 rounds to 1 there, and nothing moves). `weight_decay` is decoupled, as in AdamW.

    Reference:
        Kingma & Ba 2014, https://arxiv.org/abs/1412.6980;
        amsgrad: Reddi et al. 2018, https://openreview.net/pdf?id=ryQu7f-RZ
    """

    arguments = {**_ARGUMENTS, "amsgrad": Is(bool)}
    slot_groups = (("momentum", "velocity"), ("velocity_hat",))

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        self.amsgrad = amsgrad

    def init_slots(self, p: jax.Array) -> Slots:
        names = ("momentum", "velocity", "velocity_hat") if self.amsgrad else (
            "momentum", "velocity",
        )  # fmt: skip
        return {name: zeros_like(p) for name in names}

    def coefficients(self, lr: jax.Array, t: jax.Array) -> Any:
        return lr * jnp.sqrt(1 - jnp.power(self.beta_2, t)) / (1 - jnp.power(self.beta_1, t))

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        m, v = _moments(g, slots, self.beta_1, self.beta_2)
        new: Slots = {"momentum": m, "velocity": v}
        if self.amsgrad:
            v = new["velocity_hat"] = jnp.maximum(slots["velocity_hat"], v)
        return p - lr * m / (jnp.sqrt(v) + self.epsilon), new


class AdamW(Adam):
    """Adam with weight decay kept apart from the gradient.

    gradients, variables: the same shapes        p ← p - lr * weight_decay * p, then Adam's step

    Args:
        learning_rate: float or schedule. Default: 0.001.
        weight_decay: float. Default: 0.004.
        beta_1, beta_2, epsilon, amsgrad: as in `Adam`.
        clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency,
            loss_scale_factor, gradient_accumulation_steps, name: as in `Optimizer`.

    Raises:
        ValueError: if `weight_decay` is None.

    Example:
        >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
        >>> optimizer = staghorn.optimizers.AdamW(0.1, weight_decay=0.5)
        >>> optimizer.apply([np.array([4.0], "float32")], [w])
        >>> w.numpy().round(3).tolist()
        [0.8500000238418579]

    Reference:
        Loshchilov & Hutter 2017, https://arxiv.org/abs/1711.05101
    """

    arguments = {**Adam.arguments, "weight_decay": NonNegative(float)}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, clipnorm, clipvalue,
            global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, loss_scale_factor,
            gradient_accumulation_steps, name, **kwargs,
        )  # fmt: skip


class _TwoMeans(Optimizer):
    """Base of those that keep a running mean (`beta_1`) and a running size (`beta_2`)."""

    arguments = _ARGUMENTS

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
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
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon


class Adamax(_TwoMeans):
    """Adam with the largest recent gradient in place of the mean square.

    gradients, variables: the same shapes
    m ← m + (1 - beta_1)(g - m);  u ← max(beta_2 * u, |g|)
    p ← p - lr / (1 - beta_1^t) * m / (u + epsilon)

    Args:
        learning_rate: float or schedule. Default: 0.001.
        beta_1: float in [0, 1), how much of the past the mean keeps. Default: 0.9.
        beta_2: float in [0, 1), how much of the largest gradient is kept. Default: 0.999.
        epsilon: float that keeps the division finite. Default: 1e-7.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name:
            as in `Optimizer`.

    Example:
        >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
        >>> staghorn.optimizers.Adamax(0.1).apply([np.array([4.0], "float32")], [w])
        >>> w.numpy().round(3).tolist()
        [0.8999999761581421]

    Reference:
        Kingma & Ba 2014, section 7, https://arxiv.org/abs/1412.6980
    """

    def init_slots(self, p: jax.Array) -> Slots:
        return {"momentum": zeros_like(p), "norm": zeros_like(p)}

    def coefficients(self, lr: jax.Array, t: jax.Array) -> Any:
        return lr / (1 - jnp.power(self.beta_1, t))

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        m = slots["momentum"] + (1 - self.beta_1) * (g - slots["momentum"])
        u = jnp.maximum(self.beta_2 * slots["norm"], jnp.abs(g))
        return p - lr * m / (u + self.epsilon), {"momentum": m, "norm": u}


class Nadam(_TwoMeans):
    """Adam with Nesterov's look ahead.

    gradients, variables: the same shapes        u_t = beta_1 * (1 - 0.96^t / 2), U_t = u_1 ... u_t
    m, v as in Adam
    p ← p - lr * (u_{t+1} m / (1 - U_{t+1}) + (1 - u_t) g / (1 - U_t))
            / (sqrt(v / (1 - beta_2^t)) + epsilon)

    Args:
        learning_rate: float or schedule. Default: 0.001.
        beta_1: float in [0, 1), how much of the past the mean keeps. Default: 0.9.
        beta_2: float in [0, 1), the same for the mean square. Default: 0.999.
        epsilon: float that keeps the division finite. Default: 1e-7.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name:
            as in `Optimizer`.

    Example:
        >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
        >>> staghorn.optimizers.Nadam(0.1).apply([np.array([4.0], "float32")], [w])
        >>> bool(w.numpy()[0] < 0.92)
        True

    Reference:
        Dozat 2015, http://cs229.stanford.edu/proj2015/054_report.pdf
    """

    def _build_slots(self, variables: list[Variable]) -> None:
        super()._build_slots(variables)
        # U_t, saved last in Keras's files under this name.
        dtype = variables[0].dtype if variables else None
        self._u_product = self.add_variable((), 1.0, dtype, name="variable")

    def init_slots(self, p: jax.Array) -> Slots:
        return {"momentum": zeros_like(p), "velocity": zeros_like(p)}

    def coefficients(self, lr: jax.Array, t: jax.Array) -> Any:
        u, u_next = (self.beta_1 * (1 - 0.5 * jnp.power(0.96, n)) for n in (t, t + 1))
        product = self._u_product.value.astype(t.dtype)  # U_t
        mean = lr * u_next / (1 - product * u_next)
        now = lr * (1 - u) / (1 - product)
        return mean, now, 1 - jnp.power(self.beta_2, t)

    def _update_variables(
        self, gradients: list[jax.Array], variables: list[Variable], lr: jax.Array, t: jax.Array
    ) -> None:
        u = self.beta_1 * (1 - 0.5 * jnp.power(0.96, t))
        self._u_product.assign(self._u_product.value * u.astype(self._u_product.dtype))
        super()._update_variables(gradients, variables, lr, t)

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        of_mean, of_gradient, size = lr
        m, v = _moments(g, slots, self.beta_1, self.beta_2)
        move = (of_mean * m + of_gradient * g) / (jnp.sqrt(v / size) + self.epsilon)
        return p - move, {"momentum": m, "velocity": v}


class Lamb(_TwoMeans):
    """Adam with each variable's step made proportional to the variable's own norm.

    gradients, variables: the same shapes
    m, v as in Adam;  d = (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)
    p ← p - lr * norm(p) / norm(d) * d        (the ratio is 1 where a norm is 0)

    Args:
        learning_rate: float or schedule. Default: 0.001.
        beta_1: float in [0, 1), how much of the past the mean keeps. Default: 0.9.
        beta_2: float in [0, 1), the same for the mean square. Default: 0.999.
        epsilon: float that keeps the division finite. Default: 1e-7.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name:
            as in `Optimizer`.

    Example:
        >>> w = staghorn.Variable(np.array([3.0], "float32"), name="w")
        >>> staghorn.optimizers.Lamb(0.5).apply([np.array([4.0], "float32")], [w])
        >>> w.numpy().round(3).tolist()
        [1.5]

    Reference:
        You et al. 2019, https://arxiv.org/abs/1904.00962
    """

    def init_slots(self, p: jax.Array) -> Slots:
        return {"momentum": zeros_like(p), "velocity": zeros_like(p)}

    def coefficients(self, lr: jax.Array, t: jax.Array) -> Any:
        return lr, 1 - jnp.power(self.beta_1, t), 1 - jnp.power(self.beta_2, t)

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        rate, mean_bias, size_bias = lr
        m, v = _moments(g, slots, self.beta_1, self.beta_2)
        move = (m / mean_bias) / (jnp.sqrt(v / size_bias) + self.epsilon)
        length, step = jnp.sqrt(jnp.sum(jnp.square(p))), jnp.sqrt(jnp.sum(jnp.square(move)))
        ratio = jnp.where((length > 0) & (step > 0), length / step, jnp.ones_like(step))
        return p - ratio * rate * move, {"momentum": m, "velocity": v}
