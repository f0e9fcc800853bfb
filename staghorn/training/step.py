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

from staghorn.engine.checked_jit import CheckedJit
from staghorn.engine.compiler_options import options_for_loop
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
        watch: `logs → the loss of a step, or None`: the first step whose loss is not finite is
            noted. Default: nothing is watched.
        kept: `() → Variables` that such a step leaves as they were; it is the last one then. None:
            steps go on.
    """

    def __init__(
        self,
        step: Callable[[Any], Any],
        results: Callable[[], Any] | None,
        reset: Callable[[], None],
        variables: Callable[[], Sequence[Variable]],
        watch: Callable[[Any], Any] = lambda logs: None,
        kept: Callable[[], Sequence[Variable]] | None = None,
    ) -> None:
        self.step = step
        self.results = results
        self._reset = reset
        self.variables = variables
        self.watch = watch
        self.kept = kept
        # The first bad step, -1 for none. It is state, so that a call that was started before the
        # results of the last one were known sees it too.
        self.bad = Variable(np.int32(-1), dtype="int32", trainable=False, name="bad_step")
        self.changing: dict[str, Variable] = {}
        self.fixed: dict[str, Variable] = {}
        self.log_struct: Any = None
        self.packed_struct: Any = None
        self.traces = 0
        self.run: Any = None
        self.run_rows: Any = None
        self._stepped: Any = None
        self.options: dict[str, str] = {}  # for the compiler

    def reset(self) -> None:
        """Begin an epoch: metrics at their start, no step was bad."""
        self._reset()
        self.bad.assign(np.int32(-1))

    # Discovery -----------------------------------------------------------------------------

    def prepare(self, batch: Any) -> None:
        """Trace the step on shapes: build what is lazy, find what it changes and returns.

        A step that made Variables saw an incomplete model (no weights to differentiate by), so it
        is traced again until it makes none. The last trace is the one that the loop runs.
        """
        untracked: dict[int, Variable] = {}  # that the step changes: they are state all the same
        discovering = True
        while True:
            known = len(self.variables())
            tracked = {id(v): v for v in self.variables()}
            keyed = {"bad": self.bad, **named([*tracked.values(), *untracked.values()])}
            try:
                changed, seen = self._trace(keyed, batch, discovering)
            except Exception:
                if known == len(self.variables()):
                    raise
                continue
            if known != len(self.variables()):
                continue
            if not seen.keys() - tracked.keys() - untracked.keys():
                break
            # What is read though nobody tracks it is an error, which the next trace explains.
            found = {i: v for i, v in changed.items() if i not in tracked and i not in untracked}
            untracked |= found
            discovering = bool(found)
        changed |= self._trace_around()
        self.packed_struct = self.log_struct, jax.ShapeDtypeStruct((), np.int32)
        self.changing = {k: v for k, v in keyed.items() if id(v) in changed}
        self.fixed = {k: v for k, v in keyed.items() if id(v) not in changed}
        self.run = CheckedJit(self._run, 2, self.options, donate_argnums=0)
        self.run_rows = CheckedJit(self._run_rows, 2, self.options, donate_argnums=0)

    def _trace(self, keyed: dict[str, Variable], batch: Any, discovering: bool) -> tuple[Any, Any]:
        """Trace one step; return the Variables that it changed, and all that it touched."""
        touched: list[Any] = []  # not the Scopes: they hold tracers

        def stepped(values: State, data: Any) -> tuple[State, Any, Any]:
            abstract = discovering and not touched
            with Scope(keyed.values(), [values[k] for k in keyed], abstract=abstract) as scope:
                logs = self.step(data)
                touched.append((dict(scope.changed), dict(scope.seen)))
                self._check_changes(scope, known=len(touched) == 1)
                new = {k: scope.get(v) for k, v in keyed.items() if id(v) in scope.changed}
                loss = self.watch(logs)
                return new, None if self.results is not None else _as_arrays(logs), loss

        # A function of its own, traced once for each shape of a batch: the loop, single batches
        # and whatever else runs the step find it in JAX's cache, which costs no Python.
        self._stepped = jax.jit(stepped)
        values = {k: jax.ShapeDtypeStruct(v._value.shape, v._value.dtype) for k, v in keyed.items()}
        traced = self._stepped.trace(values, batch)
        self.options = options_for_loop(traced.jaxpr)
        self.log_struct = traced.out_info[1]
        return touched[0]

    def _trace_around(self) -> dict[int, Variable]:
        """Trace what comes before and after the loop; return the Variables that it changed."""

        def around() -> Any:
            with Scope(abstract=True) as scope:
                self.reset()
                logs = None if self.results is None else _as_arrays(self.results())
                changed.update(scope.changed)
                return logs

        changed: dict[int, Variable] = {}
        logs = jax.eval_shape(around)
        if self.results is not None:
            self.log_struct = logs
        return changed

    def _check_changes(self, scope: Scope, known: bool) -> None:
        """Raise where a later trace, of a smaller batch, changes what the first one did not."""
        changing = {id(v) for v in self.changing.values()}
        for variable in scope.changed.values():
            if not known and id(variable) not in changing:
                raise RuntimeError(_UNSEEN_CHANGE.format(path=variable.path))

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
            return {key: scope.get(v) for key, v in self.changing.items()}, out

    def take_step(self, state: State, fixed: State, batch: Any) -> tuple[State, Any, Any]:
        """Return the state after a step, its logs unless `results` has them, what `watch` saw."""
        new, logs, loss = self._stepped({**state, **fixed}, batch)
        if self.results is None:
            _check_logs(logs, self.log_struct)
        return {**state, **new}, logs, loss

    def _watched_step(self, i: Any, now: Any, fixed: State, batch: Any) -> tuple[State, Any]:
        """Take step `i` from (state, logs) and note it if it is the first bad one."""
        before, _ = now
        state, logs, loss = self.take_step(before, fixed, batch)
        if loss is None:
            return state, logs
        good = jnp.isfinite(loss)
        state["bad"] = jnp.where(good | (before["bad"] >= 0), before["bad"], i)
        if self.kept is None:
            return state, logs
        ids = {id(v) for v in self.kept()}
        kept = {k: v.trainable for k, v in self.changing.items() if id(v) in ids}
        # The select of a weight is free: it is fused into the update, which reads the old value.
        weights = {k: jax.lax.select(good, state[k], before[k]) for k in kept if kept[k]}
        # Moving averages and seeds are small. In theirs a select would change how XLA rounds.
        old, new = ({k: values[k] for k in kept if not kept[k]} for values in (before, state))
        return {**state, **weights, **jax.lax.cond(good, lambda: new, lambda: old)}, logs

    def _goes_on(self, state: State) -> Any:
        return True if self.kept is None else state["bad"] < 0

    def _begin(self, state: State, fixed: State, fresh: jax.Array) -> State:
        """Reset metrics inside the program: doing it outside costs an array per metric."""
        clean, _ = self._scoped(state, fixed, self.reset)
        return {k: v if clean[k] is v else jnp.where(fresh, clean[k], v) for k, v in state.items()}

    def _finish(self, state: State, fixed: State, logs: Any) -> Any:
        if self.results is not None:
            # A result may be a Variable, so it becomes an array while the Scope is open.
            results = self.results
            _, logs = self._scoped(state, fixed, lambda: _as_arrays(results()))
        return pack_logs((logs, state["bad"]))

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

        def body(carry: Any) -> Any:
            i, now = carry
            return i + 1, self._watched_step(i, now, fixed, take_rows(data, order[i]))

        _, now = jax.lax.while_loop(
            lambda carry: (carry[0] < plan[1]) & self._goes_on(carry[1][0]),
            body,
            (plan[0], (state, self._no_logs())),
        )
        if tail is not None:
            now = jax.lax.cond(
                (plan[3] > 0) & self._goes_on(now[0]),
                lambda now: self._watched_step(plan[1], now, fixed, take_rows(data, tail)),
                lambda now: now,
                now,
            )
        return now[0], self._finish(now[0], fixed, now[1])

    def _run_rows(
        self, state: State, fixed: State, data: Any, rows: Any, fresh: Any
    ) -> tuple[State, Any]:
        """Run one step on given rows: a single batch."""
        self.traces += 1
        state = self._begin(state, fixed, fresh)

        def step(now: Any) -> tuple[State, Any]:
            return self._watched_step(np.int32(0), now, fixed, take_rows(data, rows))

        now = state, self._no_logs()
        if self.kept is None:
            now = step(now)
        else:
            now = jax.lax.cond(self._goes_on(state), step, lambda now: now, now)
        return now[0], self._finish(now[0], fixed, now[1])

    def _no_logs(self) -> Any:
        """Logs before the first step; None where `results` has them."""
        if self.results is not None:
            return None
        return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), self.log_struct)


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
