"""Whether each output row of a program depends on its own input row alone.

If so, a smaller batch may be filled up to the usual size, and `predict` compiles nothing for each
new number of rows. This is proved on the traced program, operation by operation; whatever is not
known here counts as mixing rows (means over the batch, batch statistics, ...).

Where the rows are is kept as a stride: the element at flat position p belongs to row
(p // stride) % batch. A reshape leaves that alone, so merged axes need no special case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staghorn.engine.jax_internals import inner_programs

Stride = int | None

_ELEMENTWISE_NAMES = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh cbrt ceil clamp
    convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor
    ge gt integer_pow is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter not
    optimization_barrier or pow real reduce_precision rem round rsqrt select_n shift_left
    shift_right_arithmetic shift_right_logical sign sin sinh sqrt square stop_gradient sub tan
    tanh xor
"""
_ELEMENTWISE = frozenset(_ELEMENTWISE_NAMES.split())
_SAME_FLAT = frozenset(("reshape", "squeeze", "expand_dims"))
_REDUCTIONS = frozenset(
    "reduce_" + kind for kind in ("sum", "max", "min", "prod", "and", "or", "xor")
) | {"argmax", "argmin"}
_ALONG_AXIS = frozenset(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"))
_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")


class Mixed(Exception):
    """Raised where an operation may carry numbers from one row to another."""


def rows_stay_apart(trace: Callable[[int], Any], has_rows: Sequence[bool], batch: int) -> bool:
    """Say whether a program gives each row what it would give it in a batch of any size.

    Args:
        trace: number of rows → ClosedJaxpr.
        has_rows: for each input, then for each output, whether its first axis is the batch.
        batch: the number of rows; 2 or more.
    """
    closed = trace(batch)
    jaxpr = closed.jaxpr
    ends = [*jaxpr.invars, *jaxpr.outvars]
    wanted = [
        math.prod(v.aval.shape[1:]) if rows else None
        for v, rows in zip(ends, has_rows, strict=True)
    ]
    count = len(jaxpr.invars)
    try:
        found = _Walk(batch).run(jaxpr, wanted[:count])
        apart = all(s in (None, w) for s, w in zip(found, wanted[count:], strict=True))
        # A program may use the number of rows itself, as in x / len(x).
        return apart and _numbers(closed) == _numbers(trace(batch + 1))
    except Mixed:
        return False


def _numbers(closed: Any) -> list[str]:
    """Return the constants in a program, in order, with those of the programs inside."""
    found = [repr(np.asarray(value).tolist()) for value in getattr(closed, "consts", ())]
    for eqn in getattr(closed, "jaxpr", closed).eqns:
        found += [repr(np.asarray(a.val).tolist()) for a in eqn.invars if hasattr(a, "val")]
        for program in inner_programs(eqn):
            found += _numbers(program)
    return found


class _Walk:
    """Carries the strides through a program."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def run(self, jaxpr: Any, strides: Sequence[Stride]) -> list[Stride]:
        if len(jaxpr.invars) != len(strides):
            raise Mixed("a call whose arguments are not known")
        known: dict[Any, Stride] = dict(zip(jaxpr.invars, strides, strict=True))

        def of(atom: Any) -> Stride:
            return None if hasattr(atom, "val") else known.get(atom)

        for eqn in jaxpr.eqns:
            given = [of(atom) for atom in eqn.invars]
            if all(stride is None for stride in given):
                continue
            known.update(zip(eqn.outvars, self._results(eqn, given), strict=True))
        return [of(atom) for atom in jaxpr.outvars]

    def _results(self, eqn: Any, given: list[Stride]) -> list[Stride]:
        name = eqn.primitive.name
        if name in _ELEMENTWISE:
            return self._elementwise(eqn, given)
        if name in _SAME_FLAT:
            return [given[0]]
        if name in ("scan", "while", "cond"):
            return getattr(self, f"_{name}")(eqn, given)
        rule = _RULES.get(name)
        if rule is not None:
            place = rule(self, eqn, given)
            return [self._moved(name, atom, place) for atom in eqn.outvars]
        for key in _INNER:
            inner = eqn.params.get(key)
            if inner is not None:
                return self.run(getattr(inner, "jaxpr", inner), given)
        raise Mixed(name)

    def place(self, atom: Any, stride: int) -> tuple[int, int]:
        """Return the axis that holds the rows, and how many of its steps a row takes."""
        shape, after = atom.aval.shape, 1
        for axis in reversed(range(len(shape))):
            inside = after * shape[axis]
            if stride % after == 0 and inside % (stride * self.batch) == 0:
                return axis, stride // after
            after = inside
        raise Mixed("rows over several axes")

    def _moved(self, name: str, atom: Any, place: tuple[int, int]) -> int:
        """Return the stride of rows that lie in a given axis of the result."""
        axis, step = place
        shape = atom.aval.shape
        if shape[axis] % (step * self.batch):
            raise Mixed(name)
        return step * math.prod(shape[axis + 1 :])

    def _elementwise(self, eqn: Any, given: list[Stride]) -> list[Stride]:
        shape, found = eqn.outvars[0].aval.shape, set()
        for stride, atom in zip(given, eqn.invars, strict=True):
            if stride is None:
                continue
            if atom.aval.shape != shape:  # other axes of size 1 may stretch, not that of the rows
                axis, step = self.place(atom, stride)
                if atom.aval.shape[axis] != shape[axis]:
                    raise Mixed(eqn.primitive.name)
                stride = step * math.prod(shape[axis + 1 :])
            found.add(stride)
        if len(found) != 1:
            raise Mixed(eqn.primitive.name)
        return [found.pop()] * len(eqn.outvars)

    # Loops and branches --------------------------------------------------------------------

    def _loop(self, body: Any, fixed: list[Stride], carry: list[Stride], rest: list[Stride]) -> Any:
        """Run a body until it is settled which carries have rows."""
        while True:
            found = self.run(body, [*fixed, *carry, *rest])
            after = found[: len(carry)]
            if any(None not in (a, b) and a != b for a, b in zip(after, carry, strict=True)):
                raise Mixed("rows that move in a loop")
            merged = [b if a is None else a for a, b in zip(after, carry, strict=True)]
            if merged == carry:
                return [*carry, *found[len(carry) :]]
            carry = merged

    def _scan(self, eqn: Any, given: list[Stride]) -> list[Stride]:
        consts = eqn.params["num_consts"]
        end = consts + eqn.params["num_carry"]
        for stride, atom in zip(given[end:], eqn.invars[end:], strict=True):
            if stride is not None and math.prod(atom.aval.shape[1:]) % (stride * self.batch):
                raise Mixed("a scan over the rows")
        return self._loop(
            eqn.params["jaxpr"].jaxpr, given[:consts], given[consts:end], given[end:]
        )

    def _while(self, eqn: Any, given: list[Stride]) -> list[Stride]:
        first, second = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
        carry = given[first + second :]
        fixed = given[first : first + second]
        found = self._loop(eqn.params["body_jaxpr"].jaxpr, fixed, carry, [])
        if self.run(eqn.params["cond_jaxpr"].jaxpr, [*given[:first], *found]) != [None]:
            raise Mixed("a loop that ends when some row says so")
        return found

    def _cond(self, eqn: Any, given: list[Stride]) -> list[Stride]:
        results = [self.run(branch.jaxpr, given[1:]) for branch in eqn.params["branches"]]
        if given[0] is not None or any(result != results[0] for result in results):
            raise Mixed("cond")
        return results[0]


# Rules for one operation: where the rows are in the result, as (axis, step). ----------------


def _sole(walk: _Walk, eqn: Any, given: list[Stride], position: int = 0) -> tuple[int, int]:
    """Return the place of the rows in one operand; no other may have any."""
    stride = given[position]
    if stride is None or sum(s is not None for s in given) != 1:
        raise Mixed(eqn.primitive.name)
    return walk.place(eqn.invars[position], stride)


def _untouched(eqn: Any, axis: int, touched: Sequence[int]) -> None:
    if axis in touched:
        raise Mixed(eqn.primitive.name)


def _broadcast(walk: _Walk, eqn: Any, given: list[Stride]) -> tuple[int, int]:
    axis, step = _sole(walk, eqn, given)
    return eqn.params["broadcast_dimensions"][axis], step


def _transpose(walk: _Walk, eqn: Any, given: list[Stride]) -> tuple[int, int]:
    axis, step = _sole(walk, eqn, given)
    return eqn.params["permutation"].index(axis), step


def _reduce(walk: _Walk, eqn: Any, given: list[Stride]) -> tuple[int, int]:
    axis, step = _sole(walk, eqn, given)
    axes = eqn.params["axes"]
    _untouched(eqn, axis, axes)
    return axis - sum(a < axis for a in axes), step


def _along(walk: _Walk, eqn: Any, given: list[Stride]) -> tuple[int, int]:
    axis, step = _sole(walk, eqn, given)
    _untouched(eqn, axis, [eqn.params["axis"]])
    return axis, step


def _common(walk: _Walk, eqn: Any, given: list[Stride]) -> tuple[int, int]:
    """Concatenate and sort: every operand with rows has them in the same place."""
    places = {
        walk.place(atom, stride)
        for atom, stride in zip(eqn.invars, given, strict=True)
        if stride is not None
    }
    axis, step = places.pop()
    if places:
        raise Mixed(eqn.primitive.name)
    _untouched(eqn, axis, [eqn.params["dimension"]])
    return axis, step


def _whole_axis(walk: _Walk, eqn: Any, given: list[Stride]) -> tuple[int, int]:
    """Slices and padding: the axis of the rows keeps its size and its order."""
    axis, step = _sole(walk, eqn, given)
    params = eqn.params
    _untouched(eqn, axis, params.get("dimensions", ()))
    _untouched(eqn, axis, [params["axis"]] if "axis" in params else ())
    if any(tuple(params.get("padding_config", ((0, 0, 0),) * (axis + 1))[axis])):
        raise Mixed(eqn.primitive.name)
    if eqn.outvars[0].aval.shape[axis] != eqn.invars[0].aval.shape[axis]:
        raise Mixed(eqn.primitive.name)
    return axis, step


def _dot(walk: _Walk, eqn: Any, given: list[Stride]) -> tuple[int, int]:
    contracted, batched = eqn.params["dimension_numbers"]
    places = []
    for side, stride in enumerate(given):
        if stride is None:
            continue
        axis, step = walk.place(eqn.invars[side], stride)
        _untouched(eqn, axis, contracted[side])
        if axis in batched[side]:
            places.append((tuple(batched[side]).index(axis), step))
            continue
        used = (*contracted[side], *batched[side])
        free = [a for a in range(eqn.invars[side].aval.ndim) if a not in used]
        start = len(batched[side])
        if side == 1:
            left = eqn.invars[0].aval.ndim - len(contracted[0]) - len(batched[0])
            start += left
        places.append((start + free.index(axis), step))
    if len(set(places)) != 1 or (len(places) == 2 and places[0][0] >= len(batched[0])):
        raise Mixed("dot_general")
    return places[0]


def _gather(walk: _Walk, eqn: Any, given: list[Stride]) -> tuple[int, int]:
    """Look-ups by rows of indices in a table without rows, as Embedding does."""
    axis, step = _sole(walk, eqn, given, position=1)
    numbers = eqn.params["dimension_numbers"]
    _untouched(eqn, axis, [eqn.invars[1].aval.ndim - 1])
    if numbers.operand_batching_dims:
        raise Mixed("gather")
    out = range(eqn.outvars[0].aval.ndim)
    return [a for a in out if a not in numbers.offset_dims][axis], step


def _convolve(walk: _Walk, eqn: Any, given: list[Stride]) -> tuple[int, int]:
    axis, step = _sole(walk, eqn, given)
    if eqn.primitive.name == "staghorn_convolution":  # always (batch, ..., channels)
        _untouched(eqn, axis, range(1, eqn.invars[0].aval.ndim))
        return axis, step
    numbers = eqn.params["dimension_numbers"]
    if axis != numbers.lhs_spec[0] or eqn.params["batch_group_count"] != 1:
        raise Mixed("conv_general_dilated")
    return numbers.out_spec[0], step


def _window(walk: _Walk, eqn: Any, given: list[Stride]) -> tuple[int, int]:
    axis, step = _sole(walk, eqn, given)
    same = eqn.outvars[0].aval.shape[axis] == eqn.invars[0].aval.shape[axis]
    if eqn.params["window_dimensions"][axis] != 1 or not same:
        raise Mixed("reduce_window")
    return axis, step


_RULES = {
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "concatenate": _common,
    "sort": _common,
    "slice": _whole_axis,
    "dynamic_slice": _whole_axis,
    "pad": _whole_axis,
    "rev": _whole_axis,
    "split": _whole_axis,
    "dot_general": _dot,
    "gather": _gather,
    "conv_general_dilated": _convolve,
    "staghorn_convolution": _convolve,
    **dict.fromkeys(_REDUCTIONS, _reduce),
    **dict.fromkeys(_ALONG_AXIS, _along),
    **dict.fromkeys(("reduce_window_sum", "reduce_window_max", "reduce_window_min"), _window),
}
