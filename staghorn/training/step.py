"""One compiled program for any number of steps: state in, state out.

The state is a mapping that holds the array of every Variable the step changes: weights,
any number of optimizers, metrics, seeds. What the step only reads is a second mapping, so that a
loop carries no more than it must.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine.compiler_options import options
from staghorn.engine.jax_internals import has_convolutions
from staghorn.engine.scope import Scope
from staghorn.engine.variable import Variable

State = dict[str, jax.Array]

_UNSEEN_CHANGE = """\
Variable '{path}' changes in this step only sometimes: it did not when the step was first traced.
A compiled step must do the same each time. Look for an `if` over Python state around its assign."""


def take_rows(data: Any, rows: Any) -> Any:
    """Return some rows of every array of a nest."""
    # Rows come from our own permutation: no bounds checks, which would cost a select per gather.
    return jax.tree.map(lambda a: a.at[rows].get(mode="promise_in_bounds"), data)


def named(variables: Sequence[Variable]) -> dict[str, Variable]:
    """Give each Variable a key: its place among them.

    Paths would do as well, but hold automatic names such as `adam_5`, and JAX keeps each new set
    of keys in its caches.
    """
    return {str(i): variable for i, variable in enumerate(variables)}


class Program:
    """A step as a compiled loop over rows of arrays.

    Args:
        step: `batch → logs`, ordinary stateful code.
        results: `() → logs` after the loop; None takes the last step's logs instead.
        reset: called before the first step of an epoch.
        variables: `() → Variables`, asked for after everything is built.
    """

    def __init__(
        self,
        step: Callable[[Any], Any],
        results: Callable[[], Any] | None,
        reset: Callable[[], None],
        variables: Callable[[], Sequence[Variable]],
    ) -> None:
        self.step = step
        self.results = results
        self.reset = reset
        self.variables = variables
        self.changing: dict[str, Variable] = {}
        self.fixed: dict[str, Variable] = {}
        self.log_struct: Any = None
        self.traces = 0
        self.run: Any = None
        self.run_rows: Any = None

    # Discovery -----------------------------------------------------------------------------

    def prepare(self, batch: Any) -> None:
        """Trace the step on shapes: build what is lazy, find what it changes and returns.

        A step that made Variables saw an incomplete model (no weights to differentiate by), so it
        is traced again until it makes none.
        """
        known = -1
        while known != len(self.variables()):
            known = len(self.variables())
            try:
                changed = self._trace(batch)
            except Exception:
                if known == len(self.variables()):
                    raise
        self._divide(changed)
        given = options(convolution=self._convolves)
        self.run = jax.jit(self._run, donate_argnums=0, compiler_options=given)
        self.run_rows = jax.jit(self._run_rows, donate_argnums=0, compiler_options=given)

    def _trace(self, batch: Any) -> dict[int, Variable]:
        changed: dict[int, Variable] = {}

        def traced(data: Any) -> Any:
            with Scope(abstract=True) as scope:
                logs = self.step(data)
                self.reset()
                if self.results is not None:
                    logs = self.results()
                changed.update(scope.changed)
                return _as_arrays(logs)

        program, self.log_struct = jax.make_jaxpr(traced, return_shape=True)(batch)
        self._convolves = has_convolutions(program)
        return changed

    def _divide(self, changed: dict[int, Variable]) -> None:
        keyed = named(self.variables())
        known = {id(v) for v in keyed.values()}
        for variable in changed.values():
            if id(variable) not in known:  # a Variable nobody tracks is still state
                keyed[str(len(keyed))] = variable
        self.changing = {k: v for k, v in keyed.items() if id(v) in changed}
        self.fixed = {k: v for k, v in keyed.items() if id(v) not in changed}

    def state(self) -> tuple[State, State]:
        """Read the Variables: a callback may have assigned them since the last call."""
        changing = {key: v._value for key, v in self.changing.items()}
        return changing, {key: v._value for key, v in self.fixed.items()}

    def write_back(self, state: State) -> None:
        """Point the Variables at the new arrays."""
        for key, variable in self.changing.items():
            variable._adopt(state[key])

    # The program ---------------------------------------------------------------------------

    def _scoped(self, state: State, fixed: State, fn: Callable, *args: Any) -> tuple[State, Any]:
        variables = [*self.changing.values(), *self.fixed.values()]
        values = [state[k] for k in self.changing] + [fixed[k] for k in self.fixed]
        with Scope(variables, values) as scope:
            out = fn(*args)
            for variable in scope.changed.values():
                if not any(variable is known for known in self.changing.values()):
                    raise RuntimeError(_UNSEEN_CHANGE.format(path=variable.path))
            return {key: scope.get(v) for key, v in self.changing.items()}, out

    def _one_step(self, state: State, fixed: State, batch: Any) -> tuple[State, Any]:
        if self.results is not None:
            return self._scoped(state, fixed, self.step, batch)[0], None
        state, logs = self._scoped(state, fixed, lambda b: _as_arrays(self.step(b)), batch)
        _check_logs(logs, self.log_struct)
        return state, logs

    def _begin(self, state: State, fixed: State, fresh: jax.Array) -> State:
        """Reset metrics inside the program: doing it outside costs an array per metric."""
        clean, _ = self._scoped(state, fixed, self.reset)
        return {k: v if clean[k] is v else jnp.where(fresh, clean[k], v) for k, v in state.items()}

    def _finish(self, state: State, fixed: State, logs: Any) -> Any:
        if self.results is not None:
            # A result may be a Variable, so it becomes an array while the Scope is open.
            results = self.results
            _, logs = self._scoped(state, fixed, lambda: _as_arrays(results()))
        return pack_logs(logs)

    def _run(
        self,
        state: State,
        fixed: State,
        data: Any,
        order: Any,
        tail: Any,
        plan: Any,
    ) -> tuple[State, Any]:
        """Run steps `start` to `stop`, then the smaller last batch if it is due.

        The bounds are dynamic, so one program serves every length. The tail is in the same program
        because a call costs more than a small step.

        Args:
            order: (steps, batch) rows of each step.
            tail: (rest,) rows of the last batch, or None.
            plan: (start, stop, reset the metrics first, run the tail), int32: in one array,
                because each argument that comes from the host costs about as much as a small op.
        """
        self.traces += 1
        state = self._begin(state, fixed, plan[2] > 0)

        def body(i: Any, carry: tuple[State, Any]) -> tuple[State, Any]:
            return self._one_step(carry[0], fixed, take_rows(data, order[i]))

        logs = None
        if self.results is None:
            logs = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), self.log_struct)
        carry = jax.lax.fori_loop(plan[0], plan[1], body, (state, logs))
        if tail is not None:
            carry = jax.lax.cond(
                plan[3] > 0,
                lambda c: self._one_step(c[0], fixed, take_rows(data, tail)),
                lambda c: c,
                carry,
            )
        state, logs = carry
        return state, self._finish(state, fixed, logs)

    def _run_rows(
        self, state: State, fixed: State, data: Any, rows: Any, fresh: Any
    ) -> tuple[State, Any]:
        """Run one step on given rows: a single batch."""
        self.traces += 1
        state = self._begin(state, fixed, fresh)
        state, logs = self._one_step(state, fixed, take_rows(data, rows))
        return state, self._finish(state, fixed, logs)


def _as_arrays(logs: Any) -> Any:
    """Turn logs into arrays of definite types, which a loop can carry."""

    def definite(x: Any) -> Any:
        array = jnp.asarray(getattr(x, "value", x))
        return jax.lax.convert_element_type(array, array.dtype)

    return jax.tree.map(definite, {} if logs is None else logs, is_leaf=_is_variable)


def _check_logs(logs: Any, struct: Any) -> None:
    """Raise where logs have a size that depends on the batch: a smaller last one cannot have it."""
    if jax.tree.map(jnp.shape, logs) != jax.tree.map(lambda s: s.shape, struct):
        shapes = {name: jnp.shape(value) for name, value in logs.items()}
        raise ValueError(
            f"train_step returned logs of the shapes {shapes}, which differ between batches. Logs "
            "are numbers for a whole batch: return for instance staghorn.ops.mean(value)."
        )


def _is_variable(x: Any) -> bool:
    return isinstance(x, Variable)


def pack_logs(logs: Any) -> tuple[Any, Any]:
    """Put all scalar results into one vector: one transfer from the device instead of many."""
    leaves = jax.tree.leaves(logs)
    scalars = [x for x in leaves if x.ndim == 0]
    vector = jnp.stack([x.astype("float32") for x in scalars]) if scalars else jnp.zeros((0,))
    return vector, [x for x in leaves if x.ndim > 0]


def unpack_logs(packed: tuple[Any, Any], struct: Any) -> Any:
    """Fetch packed results: floats for scalars, NumPy arrays for the rest. Waits for the device."""
    vector, others = packed
    scalars, arrays = iter(np.asarray(vector).tolist()), iter(others)
    return jax.tree.map(
        lambda s: next(scalars) if len(s.shape) == 0 else np.asarray(next(arrays)), struct
    )
