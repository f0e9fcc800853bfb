"""Prediction: compiled, in groups of batches, copied to the host as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config
from staghorn.engine import donation, edits, tree
from staghorn.engine.checked_jit import CheckedJit
from staghorn.engine.compiler_options import options_for
from staghorn.engine.scope import Scope
from staghorn.training.data import count_rows, unpack_x_y_sample_weight
from staghorn.training.rowwise import rows_stay_apart
from staghorn.training.stateless import by_hand, step_of, takes_state
from staghorn.training.step import named, take_rows

# Bytes of outputs that one compiled call may hold: larger predictions run in groups.
GROUP_BYTES = 64 << 20
GROUP_STEPS = 64


class Predictor:
    """The predict step as compiled programs: for one batch, and for a group of batches."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.step = step_of(model, "predict")
        self.changing: dict[str, Any] = {}
        self.fixed: dict[str, Any] = {}
        self.struct: Any = None
        self._fills: bool | None = None
        self.one: Any = None
        self.many: Any = None

    def prepare(self, batch: Any) -> None:
        """Trace the step once on shapes: build what is lazy, find what it changes."""
        changed: dict[int, Any] = {}

        def traced(data: Any) -> Any:
            with Scope(abstract=True) as scope:
                out = self.step(data)
                changed.update(scope.changed)
                return out

        program, self.struct = jax.make_jaxpr(traced, return_shape=True)(batch)
        given = options_for(program)
        self.one = CheckedJit(self._one, 2, given)
        self.many = CheckedJit(self._many, 2, given, static_argnums=(4, 5))
        _check_rows(self.struct, jax.tree.leaves(batch)[0].shape[0])
        keyed = named(self.model.variables)
        known = {id(v) for v in keyed.values()}
        for variable in changed.values():
            if id(variable) not in known:  # a Variable nobody tracks is still state
                keyed[str(len(keyed))] = variable
        self.changing = {k: v for k, v in keyed.items() if id(v) in changed}
        self.fixed = {k: v for k, v in keyed.items() if id(v) not in changed}

    def fills(self, batch: Any, size: int) -> bool:
        """Say whether a smaller batch may be filled up to `size` rows: proved once."""
        if self._fills is None:
            state, fixed = self.values()

            def trace(rows: int) -> Any:
                data = jax.tree.map(
                    lambda a: jax.ShapeDtypeStruct((rows, *a.shape[1:]), a.dtype), batch
                )
                return jax.make_jaxpr(self._one)(state, fixed, data)

            given = [False] * len(jax.tree.leaves((state, fixed)))
            given += [True] * len(jax.tree.leaves(batch))
            made = [False] * len(state) + [True] * len(jax.tree.leaves(self.struct))
            self._fills = rows_stay_apart(trace, given + made, max(size, 2))
        return self._fills

    def _one(self, state: Any, fixed: Any, batch: Any) -> tuple[Any, Any]:
        variables = [*self.changing.values(), *self.fixed.values()]
        values = [state[k] for k in self.changing] + [fixed[k] for k in self.fixed]
        with Scope(variables, values) as scope:
            out = self.step(batch)
            return {k: scope.get(v) for k, v in self.changing.items()}, out

    def _many(
        self, state: Any, fixed: Any, data: Any, steps: Any, size: int, capacity: int
    ) -> tuple[Any, Any]:
        """Run `steps` batches of `size` rows; results fill the first rows of the outputs."""

        def body(i: Any, carry: Any) -> Any:
            state, outs = carry
            rows = i * size + jnp.arange(size, dtype=jnp.int32)
            state, out = self._one(state, fixed, take_rows(data, rows))
            outs = jax.tree.map(
                lambda whole, part: jax.lax.dynamic_update_slice_in_dim(whole, part, i * size, 0),
                outs,
                out,
            )
            return state, outs

        empty = jax.tree.map(
            lambda s: jnp.zeros((capacity * size, *s.shape[1:]), s.dtype), self.struct
        )
        return jax.lax.fori_loop(0, steps, body, (state, empty))

    def values(self) -> tuple[Any, Any]:
        changing = {k: v._value for k, v in self.changing.items()}
        return changing, {k: v._value for k, v in self.fixed.items()}

    def run(self, program: Callable, *args: Any) -> Any:
        """Run one of the programs on the values of now; `fit` may run in another thread."""
        with donation.lock:
            state, fixed = self.values()
            state, out = program(state, fixed, *args)
            self.write_back(state)
        return out

    def write_back(self, state: Any) -> None:
        for key, variable in self.changing.items():
            variable._adopt(state[key])


def predictor_for(model: Any, batch: Any) -> Predictor:
    """Return the model's predictor, made again when its layers or the form of x changed."""
    cache = model._executor if model._executor is not None else {}
    model._executor = cache
    # Shapes and types are part of the struct that `many` allocates.
    structure = jax.tree.structure(batch)
    shapes = tuple((a.shape[1:], str(a.dtype)) for a in jax.tree.leaves(batch))
    key = (model._program_key("predict"), structure, shapes)
    entry = cache.get("predict")
    if entry is None or entry[0] != key:
        if takes_state(model, "predict"):
            model._build_for(batch)
        predictor = Predictor(model)
        predictor.prepare(batch)
        entry = ((model._program_key("predict"), structure, shapes), predictor)
        cache["predict"] = entry
    return entry[1]


class Again(NamedTuple):
    """A prediction of one batch that went well, to be repeated without asking all anew."""

    edits: Any
    form: Any
    predictor: Predictor
    missing: int  # rows by which the batch was filled up

    def outputs(self, x: np.ndarray) -> Any:
        out = self.predictor.run(self.predictor.one.program, _padded(x, self.missing))
        return _on_host(out, len(x))


def predict_again(model: Any, x: Any, batch_size: int | None) -> Any:
    """Return the outputs for an array like the last one, or None where it is another.

    Checks, callbacks and finding the program take 0.1 ms, four fifths of predicting one row.
    """
    entry = model._executor.get("again") if model._executor else None
    if entry is None or type(x) is not np.ndarray:
        return None
    same = entry.form == (x.shape, x.dtype, batch_size) and entry.edits == edits.state()
    plain = same and config.max_steps_per_epoch() is None
    return entry.outputs(x) if plain and not model._by_hand("predict") else None


def remember(model: Any, x: Any, batch_size: int | None) -> None:
    """Keep what the next prediction of such an array needs, if one program call does it."""
    size = batch_size or 32
    entry = model._executor.get("predict") if model._executor else None
    if entry is None or type(x) is not np.ndarray or len(x) > size:
        return
    predictor = entry[1]
    filled = 1 < len(x) < size and predictor.fills(_structs(x, size), size)
    missing = size - len(x) if filled else 0
    form = x.shape, x.dtype, batch_size
    model._executor["again"] = Again(edits.state(), form, predictor, missing)


def predict_arrays(model: Any, x: Any, rows: int, size: int, calls: Any) -> Any:
    """Return the outputs for all rows of x.

    Args:
        model: the model.
        x: nest of arrays.
        rows: how many rows.
        size: rows in a batch.
        calls: callbacks.
    """
    data = (x,) if isinstance(x, (list, tuple)) else x
    if model._by_hand("predict"):
        return _eagerly(model, data, rows, size, calls)
    first = _structs(data, size)
    predictor = predictor_for(model, first)
    listening = calls.needs_batches("predict")
    if rows <= size and not listening:
        data = _cut(data, 0, rows)
        out = _one_batch(predictor, data, rows, size, first)
        calls.on_predict_chunk_end(0, {})
        return out
    group = 1 if listening else _group_steps((first, predictor.struct))
    whole = rows if rows % size and predictor.fills(first, size) else rows // size * size
    return _in_groups(model, predictor, data, whole, rows, size, group, calls)


def predict_batches(model: Any, batches: Iterable[Any], calls: Any) -> Any:
    """Return the outputs for batches that come one after the other, as one array per output.

    A batch smaller than the first is filled up where that is sound, so that it needs no program
    of its own. The next batch is made while the device computes.
    """
    model.stop_predicting = False
    calls.on_predict_begin()
    parts: list[Any] = []
    waiting: tuple[int, Any] | None = None
    size = 0

    def finish(index: int, out: Any) -> None:
        parts.append(out())
        calls.on_predict_batch_end(index, {"outputs": parts[-1]})
        calls.on_predict_chunk_end(index, {})

    listening = calls.needs_batches("predict")
    for index, batch in enumerate(batches):
        x, _, _ = unpack_x_y_sample_weight(batch)
        data = (x,) if isinstance(x, (list, tuple)) else x
        size = size or count_rows(data)
        calls.on_predict_batch_begin(index)
        out = _started(model, data, size)
        if waiting is not None:
            finish(*waiting)
        waiting = index, out
        if listening:
            finish(*waiting)
            waiting = None
        if model.stop_predicting:
            break
    if waiting is not None:
        finish(*waiting)
    calls.on_predict_end()
    return jax.tree.map(lambda *pieces: np.concatenate(pieces), *parts)


def _started(model: Any, data: Any, size: int) -> Callable[[], Any]:
    """Start the prediction of a batch; the function returned waits for it."""
    rows = count_rows(data)
    if model._by_hand("predict"):
        out = by_hand(model, "predict")(tree.map_structure(jnp.array, data))
        return lambda: jax.tree.map(np.array, out)
    predictor = predictor_for(model, _structs(data, max(size, rows)))
    if 1 < rows < size and predictor.fills(_structs(data, size), size):
        data = _padded(data, size - rows)
    out = predictor.run(predictor.one, data)
    return lambda: _on_host(out, rows)


def _structs(data: Any, rows: int) -> Any:
    return tree.map_structure(
        lambda a: jax.ShapeDtypeStruct(
            (rows, *a.shape[1:]), jax.dtypes.canonicalize_dtype(a.dtype)
        ),
        data,
    )


def _one_batch(predictor: Predictor, data: Any, rows: int, size: int, first: Any) -> Any:
    """Predict at most one batch: a single row as it is, others filled up where that is sound."""
    if 1 < rows < size and predictor.fills(first, size):
        data = _padded(data, size - rows)
    out = predictor.run(predictor.one, data)
    return _on_host(out, rows)


def _group_steps(structs: Any) -> int:
    """Return how many batches of inputs and outputs fit the bytes of one call."""
    per_step = sum(int(np.prod(s.shape)) * s.dtype.itemsize for s in jax.tree.leaves(structs))
    return max(1, min(GROUP_STEPS, GROUP_BYTES // max(per_step, 1)))


def _in_groups(
    model: Any,
    predictor: Predictor,
    data: Any,
    whole: int,
    rows: int,
    size: int,
    group: int,
    calls: Any,
) -> Any:
    """Predict group by group.

    Args:
        model: its `stop_predicting` ends the loop.
        predictor: the programs.
        data: nest of arrays.
        whole: rows that go through the program for groups.
        rows: all rows; those after `whole` are a last, smaller batch.
        size: rows in a batch.
        group: batches in a group.
        calls: callbacks.
    """
    parts = []
    model.stop_predicting = False
    spans = [(s, min(group * size, whole - s)) for s in range(0, whole, group * size)]
    for start, count in [*spans, *([(whole, rows - whole)] if whole < rows else [])]:
        piece = _cut(data, start, count)
        calls.on_predict_batch_begin(start // size)
        steps = -(-count // size)
        if start == whole:
            out = predictor.run(predictor.one, piece)
        else:
            piece = _padded(piece, group * size - count)
            out = predictor.run(predictor.many, piece, np.int32(steps), size, group)
        last = start // size + steps - 1
        # Copied at once: outputs that stay on the device would fill its memory.
        parts.append(_on_host(out, count))
        calls.on_predict_batch_end(last, {"outputs": parts[-1]})
        calls.on_predict_chunk_end(last, {})
        if model.stop_predicting:
            break
    return jax.tree.map(lambda *pieces: np.concatenate(pieces), *parts)


def _on_host(out: Any, rows: int) -> Any:
    """Copy the first rows; slicing on the device would compile a program for each number."""
    return jax.tree.map(lambda a: np.array(np.asarray(a)[:rows]), out)


def _cut(data: Any, start: int, rows: int) -> Any:
    """Return some rows of each array; what lies in a file is read."""

    def cut(a: Any) -> Any:
        part = a[start : start + rows] if rows < len(a) else a
        return part if isinstance(part, jax.Array) else np.asarray(part)

    return tree.map_structure(cut, data)


def _padded(piece: Any, missing: int) -> Any:
    if not missing:
        return piece
    return tree.map_structure(
        lambda a: np.concatenate([np.asarray(a), np.zeros((missing, *a.shape[1:]), a.dtype)]),
        piece,
    )


def _eagerly(model: Any, data: Any, rows: int, size: int, calls: Any) -> Any:
    parts = []
    model.stop_predicting = False
    step = by_hand(model, "predict")
    for index, start in enumerate(range(0, rows, size)):
        calls.on_predict_batch_begin(index)
        piece = tree.map_structure(jnp.asarray, _cut(data, start, size))
        parts.append(jax.tree.map(np.array, step(piece)))
        calls.on_predict_batch_end(index, {"outputs": parts[-1]})
        if model.stop_predicting:
            break
    return jax.tree.map(lambda *pieces: np.concatenate(pieces), *parts)


def _check_rows(struct: Any, size: int) -> None:
    for leaf in jax.tree.leaves(struct):
        if not leaf.shape or leaf.shape[0] != size:
            raise ValueError(
                f"predict: for a batch of {size} rows an output has shape {leaf.shape}. Each "
                "output needs one row per input row; give predict_step or call a batch axis."
            )
