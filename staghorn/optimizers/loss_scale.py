"""Loss scaling for float16: keep small gradients above zero."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.arguments import Is, Positive
from staghorn.engine.serialization import serialize_keras_object
from staghorn.engine.variable import Variable
from staghorn.optimizers.optimizer import Optimizer, RateFactors, run_if


def _next_scale(
    finite: jax.Array, scale: jax.Array, counter: jax.Array, growth: int
) -> tuple[jax.Array, jax.Array]:
    """Double the scale after `growth` good steps in a row, halve it after a bad one."""
    grows = counter == growth - 1
    new_scale = jnp.where(finite, jnp.where(grows, scale * 2, scale), scale / 2)
    return new_scale, jnp.where(finite & ~grows, counter + 1, jnp.zeros_like(counter))


class LossScaleOptimizer(Optimizer):
    """Multiply the loss by a large number, divide the gradients by it, and adapt the number.

    gradients, variables: the same shapes        g / scale → the inner optimizer
    A step whose gradients are not all finite is skipped and halves the scale; so many finite
    steps in a row double it.

    Args:
        inner_optimizer: the `Optimizer` that does the work; clipping, weight decay and the
            learning rate are its own.
        initial_scale: float. Default: 32768.0.
        dynamic_growth_steps: int, finite steps before the scale doubles. Default: 2000.
        name: string. Default: "loss_scale_optimizer".

    Raises:
        ValueError: if an argument of the inner optimizer is given here.

    Example:
        >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
        >>> optimizer = staghorn.optimizers.LossScaleOptimizer(
        ...     staghorn.optimizers.SGD(0.5), initial_scale=8.0)
        >>> optimizer.apply([np.array([8.0], "float32")], [w])
        >>> w.numpy().tolist()
        [0.5]

    Reference:
        Micikevicius et al. 2017, https://arxiv.org/abs/1710.03740
    """

    arguments = {
        **Optimizer.arguments,
        "inner_optimizer": Is(Optimizer),
        "initial_scale": Positive(float),
        "dynamic_growth_steps": Positive(int),
    }

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        silent = ("dynamic", "ema_momentum")  # which says nothing without use_ema
        given = [key for key, value in kwargs.items() if key not in silent and value]
        if given or not kwargs.get("dynamic", True):
            wrong = given[0] if given else "loss_scale_factor"
            raise ValueError(
                f"LossScaleOptimizer: give {wrong} to the inner optimizer, as in "
                f"LossScaleOptimizer({type(inner_optimizer).__name__}({wrong}=...))."
            )
        super().__init__(0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        inner_optimizer.loss_scale_factor = None

    def _build_slots(self, variables: list[Variable]) -> None:
        self.step_counter = self.add_variable((), 0, "int32", name="step_counter")
        self.dynamic_scale = self.add_variable(
            (), self.initial_scale, "float32", name="dynamic_scale"
        )
        self.inner_optimizer.build(variables)

    @property
    def variables(self) -> list[Variable]:
        """The scale's variables, then the inner optimizer's."""
        return [*super().variables, *self.inner_optimizer.variables]

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """Update variables from the gradients of a loss that `scale_loss` multiplied."""
        grads = list(grads)
        if not grads:
            return
        variables = self._check_variables(grads, trainable_variables)
        scale = self.dynamic_scale.value
        unscaled: list[Any] = []
        finite = jnp.asarray(True)
        for gradient, variable in zip(grads, variables, strict=True):
            if gradient is not None:
                gradient = jnp.asarray(gradient).astype(variable.dtype)
                finite &= jnp.all(jnp.isfinite(gradient))
                if not self._overwrite_variable_with_gradient(variable):
                    gradient = gradient / scale.astype(gradient.dtype)
            unscaled.append(gradient)
        run_if(
            finite,
            lambda: self.inner_optimizer.apply(unscaled, variables),
            [*self._trainable_variables, *self.inner_optimizer.variables],
        )
        scale, counter = _next_scale(
            finite, scale, self.step_counter.value, self.dynamic_growth_steps
        )
        self.dynamic_scale.assign(scale)
        self.step_counter.assign(counter)

    def scale_loss(self, loss: Any) -> Any:
        """Multiply the loss by the present scale, in float32: float16 ends at 65504."""
        scale = self.dynamic_scale.value if self.built else jnp.float32(self.initial_scale)
        loss = jnp.asarray(loss)
        wide = loss if loss.dtype == "float64" else loss.astype("float32")
        return wide * scale.astype(wide.dtype)

    @property
    def learning_rate(self) -> Any:
        """The inner optimizer's learning rate."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def iterations(self) -> Any:
        """How many updates the inner optimizer made; skipped steps do not count."""
        return self.inner_optimizer.iterations

    def exclude_from_weight_decay(
        self,
        var_list: Sequence[Variable] | None = None,
        var_names: Sequence[str] | None = None,
    ) -> None:
        """Choose variables that the inner optimizer's weight decay leaves alone."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def _multiply_rates(self, factors: RateFactors) -> None:
        self.inner_optimizer._multiply_rates(factors)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Give variables their final values, as the inner optimizer does."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments in JSON form."""
        return {
            "name": self.name,
            "inner_optimizer": serialize_keras_object(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }
