"""The bridge: the only place where state becomes arguments and back.

A `Scope` holds the values that some Variables have while a function runs. Inside it, the same
stateful code (`layer(x)`, `metric.update_state(...)`, `variable.assign(...)`) reads and writes the
Scope instead of the Variables, so that `functionalize` can turn it into a pure function. Scopes
nest: a read goes to the innermost Scope that knows the variable, then outward.

Soundness, each point with a test in `tests/traps`:

* no Variable is read behind the Scope's back while JAX stages a program (its value would be baked
  into the program, with a zero gradient);
* a write to a Variable that no open Scope owns, or from a trace deeper than the Scope's, raises
  with the Variable's path;
* a Scope keeps masks and losses alive only while it is open.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from staghorn.engine.checked_jit import CheckedJit
from staghorn.engine.jax_internals import current_trace, is_staging, is_tracer

if TYPE_CHECKING:
    from staghorn.engine.variable import Variable

_current: ContextVar[Scope | None] = ContextVar("staghorn_scope", default=None)

_READ_WHILE_STAGING = """\
Variable '{path}' was read while JAX was staging a program that does not know it.
Its present value would be frozen into the program, and its gradient would be zero.
{why}"""

_WHY_NO_SCOPE = """\
You wrote something like      step = jax.jit(lambda x: model(x))
Write instead                 step = staghorn.jit(lambda x: model(x))
or pass the state yourself with model.stateless_call(...)."""

_WHY_UNTRACKED = """\
The model that runs does not own it. Assign it to an attribute of the layer or model that uses it
(self.{name} = variable), so that it travels with the model's state."""

_WRITE_UNOWNED = """\
Variable '{path}' was assigned inside a compiled function that does not own it; the value would be
lost. Assign the variable to an attribute of the model that is being trained, or pass it in the
`variables` of staghorn.functionalize."""

_WRITE_DEEPER = """\
Variable '{path}' was assigned inside a JAX transformation (scan, cond, while_loop, vmap, grad,
checkpoint), one trace deeper than the step that owns it. The value would leak.
Return it from the inner function instead and assign it outside:
    new_value = jax.lax.cond(pred, true_fn, false_fn, variable.value)
    variable.assign(new_value)"""

_CREATED_IN_STEP = """\
Variable '{name}' was created inside a running compiled step. Create it in the constructor or in
`build()`, or call the model once on data before training."""


class Scope:
    """The values of some Variables while a function runs.

    Args:
        variables: the Variables this Scope owns.
        values: their values, in the same order.
        transparent: writes to Variables it does not own are recorded for the enclosing Scope
            (used by `value_and_grad`, which hands them on). Default: False.
        abstract: shapes only. Reads of unowned Variables give placeholders, writes are forgotten
            at exit, and Variables may be created. Default: False.
    """

    __slots__ = (
        "_token",
        "abstract",
        "changed",
        "losses",
        "masks",
        "parent",
        "seen",
        "staged",
        "trace",
        "transparent",
        "values",
    )

    def __init__(
        self,
        variables: Iterable[Variable] = (),
        values: Iterable[Any] = (),
        *,
        transparent: bool = False,
        abstract: bool = False,
    ) -> None:
        self.values: dict[int, Any] = {
            id(v): value for v, value in zip(variables, values, strict=True)
        }
        self.changed: dict[int, Variable] = {}
        self.seen: dict[int, Variable] = {}
        self.masks: dict[int, tuple[Any, Any]] = {}
        self.losses: dict[int, list] = {}
        self.transparent = transparent
        self.abstract = abstract
        self.parent: Scope | None = None
        self.trace: Any = None
        self.staged = False
        self._token: Token | None = None

    def __enter__(self) -> Scope:
        self.parent = _current.get()
        self.trace = current_trace()
        self.staged = is_staging()
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)
        self.masks.clear()
        self.losses.clear()
        self.trace = None

    def get(self, variable: Variable) -> Any:
        """Return the value this Scope holds for a Variable."""
        return self.values[id(variable)]

    def owns(self, variable: Variable) -> bool:
        """Say whether a write to the Variable may be recorded here."""
        scope: Scope | None = self
        while scope is not None:
            if scope.abstract or id(variable) in scope.values:
                return True
            if not scope.transparent:
                return False
            scope = scope.parent
        return True  # only transparent Scopes up to eager code: the Variable itself is the ground


def current_scope() -> Scope | None:
    """Return the innermost open Scope, or None in plain eager code."""
    return _current.get()


def read(variable: Variable) -> Any:
    """Return a Variable's value as the running code should see it."""
    scope = innermost = _current.get()
    while scope is not None:
        if scope.abstract:
            scope.seen[id(variable)] = variable
        if id(variable) in scope.values:
            value = scope.values[id(variable)]
            if not (scope.staged or is_tracer(value)) and is_staging():
                path = variable.path  # a concrete value: an inner jit would keep it for good
                raise RuntimeError(_READ_WHILE_STAGING.format(path=path, why=_WHY_NO_SCOPE))
            return value
        if scope.abstract:
            # A placeholder of this very trace: nothing concrete can be cached by an inner jit.
            return jnp.zeros(variable.shape, variable.dtype)
        scope = scope.parent
    if is_staging():
        why = _WHY_NO_SCOPE if innermost is None else _WHY_UNTRACKED.format(name=variable.name)
        raise RuntimeError(_READ_WHILE_STAGING.format(path=variable.path, why=why))
    return variable._value


def write(variable: Variable, value: Any) -> None:
    """Record a new value in the open Scope, or store it in eager code."""
    scope = _current.get()
    if scope is None:
        variable._store(value)
        return
    if not scope.owns(variable):
        raise RuntimeError(_WRITE_UNOWNED.format(path=variable.path))
    if scope.trace != current_trace():
        raise RuntimeError(_WRITE_DEEPER.format(path=variable.path))
    if scope.abstract:
        scope.seen[id(variable)] = variable
    scope.values[id(variable)] = value
    scope.changed[id(variable)] = variable


def check_creation(name: str) -> None:
    """Raise when a Variable is being created inside a running compiled step."""
    innermost = scope = _current.get()
    while scope is not None:
        if scope.abstract:
            return
        scope = scope.parent
    if innermost is not None and is_staging():
        raise RuntimeError(_CREATED_IN_STEP.format(name=name))


def functionalize(fn: Callable, variables: Sequence[Variable]) -> Callable:
    """Turn a function that reads and writes Variables into a pure one.

    pure(values, *args, **kwargs) → (result, new_values)

    Args:
        fn: any function over layers, models, metrics, optimizers.
        variables: the Variables it may read and write; `values` follow their order.

    Example:
        >>> counter = staghorn.Variable(np.float32(1.0))
        >>> def add(x):
        ...     counter.assign_add(x)
        ...     return counter.value * 10
        >>> pure = staghorn.functionalize(add, [counter])
        >>> out, new = pure([np.float32(5.0)], 2.0)
        >>> float(out), float(new[0]), float(counter.value)
        (70.0, 7.0, 1.0)
    """
    variables = list(variables)

    def pure(values: Sequence[Any], *args: Any, **kwargs: Any) -> tuple[Any, list]:
        with Scope(variables, values) as scope:
            out = fn(*args, **kwargs)
            return out, [scope.get(v) for v in variables]

    return pure


def abstractly(fn: Callable) -> Callable:
    """Wrap `fn` so that `jax.eval_shape` may trace it: placeholders for Variables, no effects."""

    def traced(*args: Any, **kwargs: Any) -> Any:
        with Scope(abstract=True):
            return fn(*args, **kwargs)

    return traced


def value_and_grad(
    fn: Callable, variables: Sequence[Variable], has_aux: bool = False
) -> Callable[..., tuple[Any, list]]:
    """Return a function that gives `fn`'s value and its gradients with respect to Variables.

    Every other state that `fn` changes (moving statistics, seeds, metrics) is kept.

    Args:
        fn: returns a scalar, or `(scalar, aux)` with `has_aux`.
        variables: the Variables to differentiate by.
        has_aux: whether `fn` returns something beside the scalar. Default: False.

    Returns:
        A function of `fn`'s arguments → `(value, gradients)`, or `((value, aux), gradients)`.

    Example:
        >>> w = staghorn.Variable(np.float32(3.0))
        >>> value, (gradient,) = staghorn.value_and_grad(lambda x: w * w * x, [w])(2.0)
        >>> float(value), float(gradient)
        (18.0, 12.0)
    """
    from staghorn.engine.masks import get_mask, set_mask

    variables = list(variables)

    @functools.wraps(fn)
    def differentiated(*args: Any, **kwargs: Any) -> tuple[Any, list]:
        changed: list[Variable] = []

        def pure(values: list) -> tuple[Any, Any]:
            with Scope(variables, values, transparent=True) as scope:
                out = fn(*args, **kwargs)
                value, aux = out if has_aux else (out, None)
                changed[:] = scope.changed.values()
                masks = [get_mask(leaf) for leaf in jax.tree.leaves(aux)]
                return value, (aux, [scope.get(v) for v in changed], masks)

        gradient = jax.value_and_grad(pure, has_aux=True)
        (value, (aux, updates, masks)), grads = gradient([read(v) for v in variables])
        for variable, update in zip(changed, updates, strict=True):
            write(variable, update)
        for leaf, mask in zip(jax.tree.leaves(aux), masks, strict=True):
            if mask is not None:
                set_mask(leaf, mask)
        return ((value, aux) if has_aux else value), grads

    return differentiated


def _is_static(leaf: Any) -> bool:
    return leaf is None or isinstance(leaf, (bool, str, bytes)) or callable(leaf)


def jit(fn: Callable) -> Callable:
    """Compile a function over models, layers and Variables; their state follows.

    Use it instead of `jax.jit`, which knows nothing of Variables. Arrays and numbers among the
    arguments are traced; strings, bools, None and functions are constants.

    Example:
        >>> w = staghorn.Variable(np.float32(2.0))
        >>> double = staghorn.jit(lambda x: w * x)
        >>> float(double(3.0))
        6.0
        >>> _ = w.assign(5.0)
        >>> float(double(3.0))
        15.0
    """
    programs: dict[Any, tuple[Callable, list]] = {}

    @functools.wraps(fn)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        leaves, treedef = jax.tree.flatten((args, kwargs), is_leaf=lambda x: x is None)
        static = {i: leaf for i, leaf in enumerate(leaves) if _is_static(leaf)}
        arrays = [jnp.asarray(x) for i, x in enumerate(leaves) if i not in static]
        key = (treedef, tuple(static.items()), tuple((a.shape, str(a.dtype)) for a in arrays))
        if key not in programs:
            call, variables = touched(fn, treedef, static, arrays)
            programs[key] = CheckedJit(functionalize(call, variables), 2), variables
        program, variables = programs[key]
        out, new_values = program([read(v) for v in variables], arrays)
        for variable, value in zip(variables, new_values, strict=True):
            write(variable, value)
        return out

    return compiled


def touched(fn: Callable, treedef: Any, static: dict, arrays: list) -> tuple[Callable, list]:
    """Return a call as a function of its arrays alone, and the Variables that it touches."""

    def call(traced: Sequence[Any]) -> Any:
        rest = iter(traced)
        count = len(static) + len(traced)
        leaves = [static[i] if i in static else next(rest) for i in range(count)]
        args, kwargs = jax.tree.unflatten(treedef, leaves)
        return fn(*args, **kwargs)

    variables: list[Variable] = []

    def discover(traced: Sequence[Any]) -> Any:
        with Scope(abstract=True) as scope:
            out = call(traced)
            variables[:] = scope.seen.values()
            return out

    jax.eval_shape(discover, arrays)
    return call, variables
