"""Steps in the style of Keras on JAX: `train_step(self, state, data)` → `(logs, state)`.

Such a step gets the values of the model's variables and returns new ones. Here the values are read
from the Variables before the step and assigned after it, in the Scope that is open; so the rest of
training (programs, groups of steps, callbacks, resume) sees a step like any other.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from staghorn.engine.scope import current_scope, functionalize
from staghorn.engine.variable import Variable

Groups = list[list[Variable]]

_PARTS = (
    "trainable_variables",
    "non_trainable_variables",
    "optimizer_variables",
    "metrics_variables",
)
PARTS = {
    "train": _PARTS,
    "test": (_PARTS[0], _PARTS[1], _PARTS[3]),
    "predict": (_PARTS[0], _PARTS[1]),
}

_SIGNATURE = """\
{name}.{mode}_step takes (self{arguments}). Write one of
    def {mode}_step(self, data):           # variables are assigned to as usual
    def {mode}_step(self, state, data):    # as Keras on JAX: values in, values out"""

_RETURN = """\
{name}.{mode}_step(self, state, data) {problem}.
End it with
    return {ending}"""

_TWICE = """\
{name}.{mode}_step(self, state, data): variable '{path}' was assigned in the step, and the
returned state holds another value for it. One of the two would be lost. Use stateless_call,
stateless_apply and stateless_update_state alone, or write def {mode}_step(self, data)."""

_NO_FUNCTION = """\
{name}.make_{mode}_function neither returned a function nor set self.{mode}_function. Write
    def make_{mode}_function(self, force=False):
        compiled = super().make_{mode}_function(force)
        def {mode}_function(state, iterator):
            return compiled(state, iterator)
        self.{mode}_function = {mode}_function"""


def _required(function: Callable) -> tuple[str, ...]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.default is p.empty and p.kind in kinds)


def required(function: Callable) -> tuple[str, ...]:
    """Return the names of the arguments that a function or bound method must be given."""
    plain = getattr(function, "__func__", None)
    return _required(function) if plain is None else _required_of_methods(plain)[1:]


_required_of_methods = functools.lru_cache(maxsize=1024)(_required)


def takes_state(model: Any, mode: str) -> bool:
    """Say whether a step is written as `(self, state, data)`.

    Raises:
        TypeError: if it takes more than that.
    """
    names = required(getattr(model, f"{mode}_step"))
    if len(names) > 2:
        arguments = "".join(f", {name}" for name in names)
        name = type(model).__name__
        raise TypeError(_SIGNATURE.format(name=name, mode=mode, arguments=arguments))
    return len(names) == 2


def step_of(model: Any, mode: str) -> Callable[[Any], Any]:
    """Return a step as `data → logs` (or outputs), in whichever style it is written."""
    step = getattr(model, f"{mode}_step")
    return functools.partial(run, model, mode, step) if takes_state(model, mode) else step


def variables_of(model: Any, mode: str) -> Groups:
    """Return the Variables whose values are the parts of a step's state."""
    return [list(model._variables_of(part)) for part in PARTS[mode]]


def state_of(model: Any, mode: str) -> tuple[list[Any], ...]:
    """Return the present state of a step."""
    return tuple([v.value for v in group] for group in variables_of(model, mode))


def run(model: Any, mode: str, step: Callable, data: Any) -> Any:
    """Run `step(state, data)` on the values of now, and assign those that it returns."""
    groups = variables_of(model, mode)
    given = [[v.value for v in group] for group in groups]
    out, state = _checked(model, mode, groups, step(tuple(map(list, given)), data))
    for variables, before, after in zip(groups, given, state, strict=True):
        for variable, old, new in zip(variables, before, after, strict=True):
            if new is old:  # not its business: what the step assigned itself stays
                continue
            if _assigned(variable, old):
                name, path = type(model).__name__, variable.path
                raise ValueError(_TWICE.format(name=name, mode=mode, path=path))
            variable.assign(new)
    return out if mode == "predict" else flat_logs(out)


def _assigned(variable: Variable, old: Any) -> bool:
    scope = current_scope()  # that of this step: `changed` has what the step assigned
    return variable.value is not old if scope is None else id(variable) in scope.changed


def flat_logs(logs: dict[str, Any]) -> dict[str, Any]:
    """Put the logs of a metric that returns a dict beside the others, as Keras does."""
    flat: dict[str, Any] = {}
    for name, value in logs.items():
        flat.update(flat_logs(value) if isinstance(value, dict) else {name: value})
    return flat


def assign_state(model: Any, mode: str, state: Any) -> None:
    """Give the Variables the values of a state."""
    groups = variables_of(model, mode)
    for variables, values in zip(groups, _fitting(model, mode, groups, state), strict=True):
        for variable, value in zip(variables, values, strict=True):
            if value is not variable.value:
                variable.assign(value)


def _checked(model: Any, mode: str, groups: Groups, result: Any) -> tuple[Any, Any]:
    """Return what a step returned as its logs (or outputs) and a whole state."""
    wrong = functools.partial(_wrong, model, mode)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise wrong(f"returned {_described(result)}, not two things")
    out, state = result
    if mode == "predict":
        return out, _fitting(model, mode, groups, (None, state))
    if isinstance(state, dict) and isinstance(out, (tuple, list)):
        raise wrong("returned the state before the logs")
    if not isinstance(out, dict):
        raise wrong(f"returned {_described(out)} as logs, which are a dict of numbers by name")
    return out, _fitting(model, mode, groups, state)


def _fitting(model: Any, mode: str, groups: Groups, state: Any) -> list[Any]:
    """Return a state that fits the Variables, or raise and say what does not."""
    wrong = functools.partial(_wrong, model, mode)
    parts = PARTS[mode]
    if not isinstance(state, (tuple, list)) or len(state) != len(parts):
        raise wrong(f"has a state of {_described(state)}, which must be {len(parts)} lists")
    if mode == "predict" and state[0] is None:
        state = ([v.value for v in groups[0]], state[1])
    for part, variables, values in zip(parts, groups, state, strict=True):
        if not isinstance(values, (tuple, list)) or len(values) != len(variables):
            raise wrong(f"has {_described(values)} as {part}, which must be {len(variables)}")
        for variable, value in zip(variables, values, strict=True):
            if value is None or jnp.shape(value) != variable.shape:
                found = "None" if value is None else f"shape {jnp.shape(value)}"
                raise wrong(
                    f"has a value of {found} for '{variable.path}' in {part}, whose shape is "
                    f"{variable.shape}; are two parts in each other's place?"
                )
    return list(state)


def _wrong(model: Any, mode: str, problem: str) -> ValueError:
    ending = f"logs, ({', '.join(PARTS[mode])})"
    if mode == "predict":
        ending = "outputs, non_trainable_variables"
    name = type(model).__name__
    return ValueError(_RETURN.format(name=name, mode=mode, problem=problem, ending=ending))


def _described(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def either_style(step: Callable) -> Callable:
    """Let a built-in step, `(self, data)`, also be called as `(self, state, data)`.

    So `super().train_step(state, data)` is a pure function of its arguments.
    """
    mode = step.__name__.removesuffix("_step")

    @functools.wraps(step)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) + len(kwargs) != 2:
            return step(self, *args, **kwargs)
        state, data = inspect.signature(lambda state, data: None).bind(*args, **kwargs).args
        groups = variables_of(self, mode)
        flat = [v for group in groups for v in group]
        values = [x for part in _fitting(self, mode, groups, state) for x in part]
        out, new = functionalize(lambda: step(self, data), flat)(values)
        rest = iter(new)
        parts = tuple([next(rest) for _ in group] for group in groups)
        return out, (parts[1] if mode == "predict" else parts)

    return method


def by_hand(model: Any, mode: str) -> Callable[[Any], Any]:
    """Return the step that runs batch by batch: with `run_eagerly`, or a function of the user.

    `make_train_function` and its kin, overridden, give a function of `(state, iterator)`, as on
    JAX, or of `(iterator)`, as on TensorFlow.
    """
    if not model._overrides(f"make_{mode}_function"):
        return step_of(model, mode)
    made = getattr(model, f"make_{mode}_function")()
    function = made if callable(made) else getattr(model, f"{mode}_function")
    if not callable(function):
        raise ValueError(_NO_FUNCTION.format(name=type(model).__name__, mode=mode))
    if len(required(function)) == 1:
        return lambda data: function(iter([data]))

    def step(data: Any) -> Any:
        out, state = function(state_of(model, mode), iter([data]))
        assign_state(model, mode, state)
        return out

    return step
