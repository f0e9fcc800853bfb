"""Every op equals Keras's: structure, shape, type, value and gradient; compiled equals eager."""

import inspect

import jax
import numpy as np
import pytest

import staghorn
from staghorn import ops
from staghorn.engine.symbolic import KerasTensor
from tests.ops.tables import TABLE, Row, words
from tests.oracle import assert_same, compare, keras


def table(rows):
    """The first row of each op runs always; the others are slow only because they are many."""
    seen = set()
    for row in rows:
        marks = [pytest.mark.slow] if row.name in seen else []
        seen.add(row.name)
        yield pytest.param(row, marks=marks, id=str(row))


def arrays_of(row):
    """Split arguments into float or int arrays, which are compared and traced, and the rest."""
    return [i for i, x in enumerate(row.args) if isinstance(x, np.ndarray)]


def with_arrays(fn, row):
    places = arrays_of(row)

    def call(*arrays):
        args = list(row.args)
        for i, x in zip(places, arrays, strict=True):
            args[i] = x
        return fn(*args, **row.kwargs)

    return call, [row.args[i] for i in places]


@pytest.mark.parametrize("row", list(table(TABLE)))
def test_equals_keras(row: Row):
    ours, arrays = with_arrays(getattr(ops, row.name), row)
    theirs, _ = with_arrays(getattr(keras.ops, row.name), row)
    compare(ours, theirs, *arrays, grad=row.grad, rtol=row.rtol, atol=row.atol)


# Their shape depends on values, or they take a Python number.
NOT_TRACED = {"bincount", "unique", "nonzero", "arange", "slice", "eig"}
TRACED = [
    row
    for row in TABLE
    if arrays_of(row)
    and row.name not in NOT_TRACED
    and not (row.name == "where" and len(row.args) == 1)
    and row.args[0] is not None
    and row.args[arrays_of(row)[0]].dtype != np.complex64
]


@pytest.mark.parametrize("row", list(table(TRACED)))
def test_symbolic_and_compiled_equal_eager(row: Row):
    call, arrays = with_arrays(getattr(ops, row.name), row)
    eager = jax.tree.leaves(call(*arrays))
    assert_same(jax.jit(call)(*arrays), eager, 1e-4, 1e-5, "compiled")
    symbolic = jax.tree.leaves(call(*(KerasTensor(x.shape, x.dtype) for x in arrays)))
    specs = [(tuple(t.shape), t.dtype) for t in symbolic]
    assert specs == [(np.shape(x), str(jax.numpy.asarray(x).dtype)) for x in eager]


def test_every_op_of_keras_is_there_or_listed():
    for ours, theirs in (
        (ops, keras.ops),
        *((getattr(ops, n), getattr(keras.ops, n)) for n in ("nn", "numpy", "linalg", "image")),
        (staghorn.random, keras.random),
    ):
        names = [name for name in dir(theirs) if not name.startswith("_")]
        assert [name for name in names if not hasattr(ours, name)] == []


def test_signatures_are_keras_own():
    """Names, order and defaults of the arguments; more may follow."""
    more = {"layer_normalization"}  # rms_scaling has a name here
    for name in dir(keras.ops):
        theirs = getattr(keras.ops, name)
        if name.startswith("_") or not callable(theirs) or name in more:
            continue
        parameters = [
            [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]
            for f in (getattr(ops, name), theirs)
        ]
        assert parameters[0] == parameters[1], name


def test_every_op_is_in_the_table():
    elsewhere = set(
        words(
            """argpartition bitwise_right_shift associative_scan cond convert_to_numpy
            custom_gradient dtype fori_loop is_tensor map ndim scan shape switch vectorize
            vectorized_map while_loop einsum jvp empty"""
        )
    )
    tested = {row.name for row in TABLE}
    public = {
        name
        for name, value in vars(ops).items()
        if getattr(value, "__module__", "").startswith("staghorn.ops")
    }
    assert public - tested - elsewhere == set()
