"""The base of all optimizers: everything but the update rule.

A built-in optimizer writes its rule as two pure functions of arrays, `init_slots(p)` and
`step(g, p, slots, lr, t)`; a user's class may write Keras's `build` and `update_step` instead.
Around the rule, once for all: learning rate, clipping, weight decay, gradient accumulation,
moving averages, constraints, saving. The code is ordinary stateful code over Variables; inside a
Scope it traces to one pure program.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config
from staghorn.engine.arguments import Interval, Is, NonNegative, Positive, check_name
from staghorn.engine.jax_internals import is_staging, is_tracer
from staghorn.engine.naming import auto_name
from staghorn.engine.scope import functionalize
from staghorn.engine.serialization import parameter_names
from staghorn.engine.variable import Variable
from staghorn.optimizers import messages
from staghorn.optimizers.clipping import clip_by_global_norm, clip_by_norm
from staghorn.optimizers.state import OptimizerState

Slots = dict[str, Any]


def base_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """Return what goes to `Optimizer`, given the `locals()` of a subclass's constructor."""
    return {name: values[name] for name in parameter_names(Optimizer)} | values["kwargs"]


def zeros_like(p: Any) -> np.ndarray:
    """Return zeros of an array's shape and type, from NumPy: `jnp.zeros` compiles per shape."""
    return np.zeros(p.shape, p.dtype)


def run_if(predicate: Any, update: Any, variables: Sequence[Variable]) -> None:
    """Run a function that assigns `variables` only where `predicate` holds.

    Traced, both outcomes are one `lax.cond` over the values: an assignment made inside a branch
    would belong to the branch's own trace.
    """
    if not is_tracer(predicate):
        if predicate:
            update()
        return
    pure = functionalize(update, variables)
    values = jax.lax.cond(
        predicate, lambda old: pure(old)[1], list, [variable.value for variable in variables]
    )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@dataclass(frozen=True)
class RateFactors:
    """By how much the learning rates of some variables differ from the optimizer's."""

    pairs: tuple[tuple[Variable, float], ...] = ()

    def of(self, variable: Variable) -> float:
        return next((factor for other, factor in self.pairs if other is variable), 1.0)


def _raw(value: Any) -> Any:
    return value.value if isinstance(value, Variable) else value


class Optimizer(OptimizerState):
    """Base of all optimizers: changes variables so that a loss gets smaller.

    gradients, variables: lists of the same shapes        p ← update(p, dloss/dp)

    Subclass it in one of two ways:

    - pure: define `init_slots(p)`, which returns a dict of zeros, and
      `step(g, p, slots, lr, t)`, which returns `(new_p, new_slots)`; all are arrays, `t` counts
      updates from 1;
    - stateful, as in Keras: define `build(variables)`, which makes slot variables with
      `add_variable_from_reference`, and `update_step(gradient, variable, learning_rate)`, which
      assigns them.

    Args:
        learning_rate: float, a `LearningRateSchedule`, or a function without arguments.
        weight_decay: float, each update first multiplies a variable by `1 - weight_decay * lr`.
            Default: None.
        clipnorm: float, largest norm of one variable's gradient. Default: None.
        clipvalue: float, largest absolute value of a gradient's element. Default: None.
        global_clipnorm: float, largest norm of all gradients together. Default: None.
        use_ema: bool, keep an exponential moving average of each variable. Default: False.
        ema_momentum: float in [0, 1], weight of the average's past. Default: 0.99.
        ema_overwrite_frequency: int, copy the averages over the variables every so many updates;
            None does it only at the end of `fit`. Default: None.
        loss_scale_factor: float, `scale_loss` multiplies the loss by it and `apply` divides the
            gradients by it (float16). Default: None.
        gradient_accumulation_steps: int of 2 or more, update once every so many steps with the
            mean of their gradients. Default: None.
        name: string. Default: the class name in snake case.

    Raises:
        ValueError: if an argument is unknown or out of range, or two kinds of clipping are asked.

    Example:
        >>> class Descent(staghorn.optimizers.Optimizer):
        ...     def step(self, g, p, slots, lr, t):
        ...         return p - lr * g, {}
        >>> w = staghorn.Variable(np.array([1.0, 2.0], "float32"), name="w")
        >>> Descent(learning_rate=0.5).apply([np.array([1.0, 1.0], "float32")], [w])
        >>> w.numpy().tolist()
        [0.5, 1.5]

    Notes:
        Gradients are cast to their variable's type and must have its shape (Keras broadcasts).
        `get_config` is derived from the constructor. A saved state that does not fit raises.
    """

    arguments = {
        "clipnorm": NonNegative(float, optional=True),
        "clipvalue": NonNegative(float, optional=True),
        "global_clipnorm": NonNegative(float, optional=True),
        "use_ema": Is(bool),
        "ema_momentum": Interval(0, 1),
        "ema_overwrite_frequency": Positive(int, optional=True),
        "loss_scale_factor": Positive(float, optional=True),
    }

    # Slots are created group by group; within a group, variable by variable. The order is part
    # of the file format. None: one group, in the order of `init_slots`.
    slot_groups: tuple[tuple[str, ...], ...] | None = None

    def __init__(
        self,
        learning_rate: Any,
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
        if kwargs:
            learning_rate = messages.decaying(type(self), learning_rate, kwargs)
        check_name(type(self).__name__, name, without="/")
        messages.check_clipping(type(self).__name__, clipnorm, clipvalue, global_clipnorm)
        messages.check_accumulation(type(self).__name__, gradient_accumulation_steps)
        super().__init__(name or auto_name(type(self).__name__))
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._excluded: tuple[list[Variable], str] = ([], "")
        self._rate_factors: RateFactors = RateFactors()
        self._slots: list[dict[str, Variable]] = []
        self._model_variables_moving_average: list[Variable | None] = []
        self._accumulated_gradients: list[Variable] = []
        self._iterations = self.add_variable((), 0, "int32", name="iteration")
        self._learning_rate = self._make_learning_rate(learning_rate)

    # ---- state ---------------------------------------------------------------------------------

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the state for a model's variables; only they can be updated afterwards.

        Args:
            variables: list of the model's trainable variables.

        Example:
            >>> w = staghorn.Variable(np.zeros(2, "float32"), name="w")
            >>> optimizer = staghorn.optimizers.Adam(name="adam")
            >>> optimizer.build([w])
            >>> [v.name for v in optimizer.variables]
            ['iteration', 'learning_rate', 'w_momentum', 'w_velocity']
        """
        if self.built:
            return
        variables = list(variables)
        self._set_trainable(variables)
        if self.use_ema:
            self._model_variables_moving_average = self.add_optimizer_variables(
                variables, "average"
            )
        if self.gradient_accumulation_steps:
            self._accumulated_gradients = [
                self.add_variable_from_reference(v, "gradient_accumulator") for v in variables
            ]
        self._build_slots(variables)
        self.built = True

    def _build_slots(self, variables: list[Variable]) -> None:
        starts = [
            {} if self._overwrite_variable_with_gradient(v) else self.init_slots(v.stored)
            for v in variables
        ]
        self._slots = [{} for _ in variables]
        names = tuple(dict.fromkeys(name for start in starts for name in start))
        for group in self.slot_groups or (names,):
            for variable, start, slots in zip(variables, starts, self._slots, strict=True):
                for name in group:
                    if name in start:
                        slots[name] = self.add_variable(
                            start[name].shape,
                            start[name],
                            start[name].dtype,
                            name=self._slot_name(variable, name),
                        )

    def _slot_name(self, variable: Variable, slot: str) -> str:
        return f"{variable.path.replace('/', '_')}_{slot}"

    # ---- the rule, once per step -------------------------------------------------------------

    def _scalars(self) -> tuple[jax.Array, jax.Array]:
        """Return learning rate and update number (from 1), in float32 or wider.

        In bfloat16 0.999 is 1, which would make Adam's bias correction zero.
        """
        dtype = "float64" if config.floatx() == "float64" else "float32"
        rate = jnp.asarray(_raw(self.learning_rate)).astype(dtype)
        if self._decay:
            rate = rate / (1 + self._decay * self._iterations.value.astype(dtype))
        return rate, (_raw(self.iterations) + 1).astype(dtype)

    def init_slots(self, p: jax.Array) -> Slots:
        """Return the first values of the state kept beside one variable, name → array."""
        del p
        return {}

    def coefficients(self, lr: jax.Array, t: jax.Array) -> Any:
        """Return what `step` gets as `lr`: numbers common to all variables, computed once."""
        del t
        return lr

    def step(
        self, g: jax.Array, p: jax.Array, slots: Slots, lr: Any, t: jax.Array
    ) -> tuple[jax.Array, Slots]:
        """Return one variable's next value and state; a pure function of arrays.

        Args:
            g: the gradient, of `p`'s shape and type.
            p: the variable's value.
            slots: what `init_slots` returned, or the last `step`.
            lr: the result of `coefficients` (the learning rate), cast to `p`'s type.
            t: the number of this update, from 1, in float32.
        """
        raise NotImplementedError(messages.NO_RULE.format(cls=type(self).__name__))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Assign one variable and its state; may be overridden instead of `step`.

        Args:
            gradient: array.
            variable: the variable to assign.
            learning_rate: the learning rate of this step.
        """
        _, t = self._scalars()
        lr = jnp.asarray(_raw(learning_rate)).astype(t.dtype)
        gradient = jnp.asarray(_raw(gradient), variable.dtype)
        self._write_step(gradient, variable, self.coefficients(lr, t), t)

    def _write_step(
        self,
        g: jax.Array,
        variable: Variable,
        numbers: Any,
        t: jax.Array,
        step: Callable | None = None,
    ) -> None:
        slots = self._slots[self._get_variable_index(variable)]
        p = variable.value
        p, new = (step or self.step)(
            g,
            p,
            {name: slot.value for name, slot in slots.items()},
            jax.tree.map(lambda number: number.astype(p.dtype), numbers),
            t,
        )
        variable.assign(p)
        for name, value in new.items():
            slots[name].assign(value)

    def _update_variables(
        self, gradients: list[jax.Array], variables: list[Variable], lr: jax.Array, t: jax.Array
    ) -> None:
        factors = [self._rate_factors.of(variable) for variable in variables]
        rates = {factor: lr if factor == 1 else lr * factor for factor in factors}
        if type(self).update_step is not Optimizer.update_step:
            for gradient, variable, factor in zip(gradients, variables, factors, strict=True):
                self.update_step(gradient, variable, rates[factor])
            return
        numbers = {factor: self.coefficients(rate, t) for factor, rate in rates.items()}
        # In a program that is being traced the rule is traced once per shape, not per variable.
        step = jax.jit(lambda *args: self.step(*args)) if is_staging() else self.step
        for gradient, variable, factor in zip(gradients, variables, factors, strict=True):
            self._write_step(gradient, variable, numbers[factor], t, step)

    # ---- one step ----------------------------------------------------------------------------

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """Update variables from (gradient, variable) pairs; return the step counter.

        Args:
            grads_and_vars: pairs, as `zip(gradients, variables)`.

        Example:
            >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
            >>> _ = staghorn.optimizers.SGD(0.5).apply_gradients([(np.ones(1, "float32"), w)])
            >>> w.numpy().tolist()
            [0.5]
        """
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        return self._iterations

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """Update variables from their gradients.

        Args:
            grads: list of arrays, None where the loss does not depend on the variable.
            trainable_variables: their variables. Default: those of `build`, in order.

        Raises:
            ValueError: if a variable is unknown, a gradient's shape differs, or all are None.

        Example:
            >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
            >>> optimizer = staghorn.optimizers.SGD(0.5)
            >>> optimizer.apply([np.ones(1, "float32")], [w])
            >>> w.numpy().tolist(), int(optimizer.iterations)
            ([0.5], 1)
        """
        grads = list(grads)
        if not grads:
            return
        variables = self._check_variables(grads, trainable_variables)
        gradients, variables = self._present(grads, variables)
        gradients, variables = self._overwrite(gradients, variables)
        if gradients:
            if self.loss_scale_factor is not None:
                gradients = [g / self.loss_scale_factor for g in gradients]
            self._accumulate_or_update(gradients, variables)
            self._update_averages()
            for variable in variables:
                if variable.constraint is not None:
                    variable.assign(variable.constraint(variable.value))
        self._iterations.assign_add(1)

    def _check_variables(
        self, grads: list, trainable_variables: Sequence[Variable] | None
    ) -> list[Variable]:
        cls = type(self).__name__
        if trainable_variables is None:
            if not self.built:
                raise ValueError(messages.NOT_BUILT.format(cls=cls, call="apply(grads)"))
            variables = self._trainable_variables
        else:
            variables = list(trainable_variables)
            self.build(variables)
        if len(grads) != len(variables):
            raise ValueError(
                f"{cls}: apply got {len(grads)} gradients for {len(variables)} variables; "
                "give one gradient per variable, None where there is none."
            )
        unknown = [v.path for v in variables if id(v) not in self._index]
        if unknown:
            raise ValueError(messages.UNKNOWN_VARIABLE.format(cls=cls, paths=unknown))
        return variables

    def _present(
        self, grads: list, variables: list[Variable]
    ) -> tuple[list[jax.Array], list[Variable]]:
        """Drop variables without a gradient; cast each gradient to its variable's type."""
        cls = type(self).__name__
        missing = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
        if len(missing) == len(grads):
            raise ValueError(messages.NO_GRADIENTS.format(cls=cls, paths=missing))
        if missing:
            warnings.warn(messages.SOME_GRADIENTS.format(cls=cls, paths=missing), stacklevel=3)
        kept = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
        gradients = [jnp.asarray(_raw(g)).astype(v.dtype) for g, v in kept]
        for gradient, (_, variable) in zip(gradients, kept, strict=True):
            if gradient.shape != variable.shape:
                raise ValueError(
                    f"{cls}: variable '{variable.path}' has shape {variable.shape}, its gradient "
                    f"{gradient.shape}. Give the gradients in the order of the variables."
                )
        return gradients, [variable for _, variable in kept]

    def _overwrite(
        self, gradients: list[jax.Array], variables: list[Variable]
    ) -> tuple[list[jax.Array], list[Variable]]:
        """Store gradients that are new values themselves; return the ordinary ones."""
        rest = []
        for gradient, variable in zip(gradients, variables, strict=True):
            if not self._overwrite_variable_with_gradient(variable):
                rest.append((gradient, variable))
            elif self.gradient_accumulation_steps:
                memory = self._accumulated_gradients[self._get_variable_index(variable)]
                largest = jnp.maximum(gradient, memory.value)
                due = self._is_update_step(self.gradient_accumulation_steps)
                variable.assign(jnp.where(due, largest, variable.value))
                memory.assign(jnp.where(due, jnp.zeros_like(largest), largest))
            else:
                variable.assign(gradient)
        return [gradient for gradient, _ in rest], [variable for _, variable in rest]

    def _is_update_step(self, steps: int) -> Any:
        return (self._iterations.value + 1) % steps == 0

    def _accumulate_or_update(self, gradients: list[jax.Array], variables: list[Variable]) -> None:
        steps = self.gradient_accumulation_steps
        if not steps:
            self._decay_and_update(gradients, variables)
            return
        memories = [self._accumulated_gradients[self._get_variable_index(v)] for v in variables]
        sums = [g + memory.value for g, memory in zip(gradients, memories, strict=True)]
        due = self._is_update_step(steps)
        for memory, total in zip(memories, sums, strict=True):
            memory.assign(jnp.where(due, jnp.zeros_like(total), total))
        run_if(
            due,
            lambda: self._decay_and_update([total / steps for total in sums], variables),
            [*variables, *self.variables],
        )

    def _decay_and_update(self, gradients: list[jax.Array], variables: list[Variable]) -> None:
        lr, t = self._scalars()
        gradients = self._clip_gradients(gradients)
        self._apply_weight_decay(variables, lr)
        self._update_variables(gradients, variables, lr, t)

    def _clip_gradients(self, gradients: list[jax.Array]) -> list[jax.Array]:
        if self.clipnorm:
            return [clip_by_norm(g, self.clipnorm) for g in gradients]
        if self.global_clipnorm:
            return clip_by_global_norm(gradients, self.global_clipnorm)
        if self.clipvalue:
            return [jnp.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        return gradients

    def exclude_from_weight_decay(
        self,
        var_list: Sequence[Variable] | None = None,
        var_names: Sequence[str] | None = None,
    ) -> None:
        """Choose variables that weight decay leaves alone; call it before the first step.

        Args:
            var_list: list of variables. Default: None.
            var_names: list of regular expressions searched in the variables' names. Default: None.

        Raises:
            ValueError: if the optimizer is built already.

        Example:
            >>> optimizer = staghorn.optimizers.AdamW()
            >>> optimizer.exclude_from_weight_decay(var_names=["bias", "gamma"])
        """
        if self.built:
            raise ValueError(
                f"{type(self).__name__}: exclude_from_weight_decay was called after the optimizer "
                "was built, when the training step may be compiled. Call it before `fit`, "
                "`apply` and `build`."
            )
        self._excluded = (list(var_list or []), "|".join(var_names or []))

    def _use_weight_decay(self, variable: Variable) -> bool:
        excluded, pattern = self._excluded
        named = bool(pattern) and re.search(pattern, variable.name) is not None
        return not named and not any(variable is other for other in excluded)

    def _multiply_rates(self, factors: RateFactors) -> None:
        """Use these factors from now on; optimizers that hand variables on hand them on too."""
        self._rate_factors = factors

    def _decay_of(self, variable: Variable) -> float | None:
        del variable
        return self.weight_decay

    def _apply_weight_decay(self, variables: list[Variable], lr: jax.Array) -> None:
        for variable in variables:
            decay = self._decay_of(variable)
            if decay is not None and self._use_weight_decay(variable):
                p, rate = variable.value, lr * decay * self._rate_factors.of(variable)
                variable.assign(p - p * rate.astype(p.dtype))

    # ---- moving averages ---------------------------------------------------------------------

    def _averaged(self) -> list[tuple[Variable, Variable]]:
        pairs = zip(self._trainable_variables, self._model_variables_moving_average, strict=True)
        return [(variable, average) for variable, average in pairs if average is not None]

    def _update_averages(self) -> None:
        if not self.use_ema:
            return
        done = _raw(self.iterations)
        # The first average is the variable itself: zeros would take long to forget.
        past = jnp.where(done == 0, jnp.float32(0), jnp.float32(self.ema_momentum))
        every = self.ema_overwrite_frequency
        for variable, average in self._averaged():
            p, m = variable.value, past.astype(variable.dtype)
            mean = m * average.value + (1 - m) * p
            average.assign(mean)
            if every:
                variable.assign(jnp.where((done + 1) % every == 0, mean, p))

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Give variables their final values: the moving averages, when `use_ema` is on.

        Args:
            var_list: the model's trainable variables.

        Example:
            >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
            >>> optimizer = staghorn.optimizers.SGD(0.5, use_ema=True)
            >>> optimizer.apply([np.ones(1, "float32")], [w])
            >>> optimizer.finalize_variable_values([w])
            >>> w.numpy().tolist()
            [0.5]
        """
        if not self.use_ema:
            return
        if len(var_list) != len(self._model_variables_moving_average):
            raise ValueError(
                f"{type(self).__name__}: finalize_variable_values got {len(var_list)} variables, "
                f"but averages were kept of {len(self._model_variables_moving_average)}. "
                "Give it the variables that the optimizer was built with."
            )
        for variable, average in self._averaged():
            variable.assign(average.value)

    def scale_loss(self, loss: Any) -> Any:
        """Multiply the loss by `loss_scale_factor`, if there is one.

        Example:
            >>> staghorn.optimizers.SGD(0.5, loss_scale_factor=8.0).scale_loss(2.0)
            16.0
        """
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def _of_the_loss(self, loss: Any) -> dict[str, Any]:
        """Return what `train_step` passes to `apply` beside gradients and variables."""
        del loss
        return {}

    def stateless_apply(
        self,
        optimizer_variables: Sequence[Any],
        grads: Sequence[Any],
        trainable_variables: Sequence[Any],
    ) -> tuple[list, list]:
        """Return the values that `apply` would assign, changing nothing.

        Args:
            optimizer_variables: values of `self.variables`.
            grads: list of gradients.
            trainable_variables: values of the variables that the optimizer was built with.

        Returns:
            (new trainable values, new optimizer values).

        Raises:
            ValueError: if the optimizer is not built, or a list has the wrong length.

        Example:
            >>> w = staghorn.Variable(np.array([1.0], "float32"), name="w")
            >>> optimizer = staghorn.optimizers.SGD(0.5)
            >>> optimizer.build([w])
            >>> state = [v.value for v in optimizer.variables]
            >>> new, state = optimizer.stateless_apply(state, [np.ones(1, "float32")], [w.value])
            >>> new[0].tolist(), w.numpy().tolist()
            ([0.5], [1.0])
        """
        cls = type(self).__name__
        if not self.built:
            raise ValueError(messages.NOT_BUILT.format(cls=cls, call="stateless_apply(...)"))
        own, model = self.variables, self._trainable_variables
        for label, given, expected in (
            ("optimizer_variables", optimizer_variables, own),
            ("trainable_variables", trainable_variables, model),
        ):
            if len(given) != len(expected):
                raise ValueError(
                    f"{cls}: stateless_apply needs {len(expected)} {label}, got {len(given)}."
                )
        pure = functionalize(self.apply, [*model, *own])
        values = [*trainable_variables, *optimizer_variables]
        _, new = pure([jnp.asarray(_raw(value)) for value in values], grads)
        return new[: len(model)], new[len(model) :]
