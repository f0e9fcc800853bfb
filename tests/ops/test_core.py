"""Control flow, conversions and errors of `ops` that a table of arrays does not reach."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from staghorn import Variable, ops
from staghorn.engine.symbolic import KerasTensor
from tests.oracle import assert_same, compare, keras

X = np.float32([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])


def running_sum(module):
    return lambda x: module.scan(lambda total, row: (total + row, total * row), x[0], x)


def loop(module, **kwargs):
    def run(x):
        return module.while_loop(
            lambda i, y: i < 5, lambda i, y: (i + 1, y * 0.5 + i), (0, x), **kwargs
        )

    return run


FUNCTIONS = {
    "scan": running_sum,
    "scan_reverse": lambda m: lambda x: m.scan(lambda c, r: (c + r, c), x[0], x, reverse=True),
    "scan_length": lambda m: lambda x: m.scan(lambda c, _: (c * 2, c), x, length=3),
    "associative_scan": lambda m: lambda x: m.associative_scan(lambda a, b: a + b, x, axis=1),
    "cond": lambda m: lambda x: m.cond(True, lambda: x * 2, lambda: x),
    "switch": lambda m: lambda x: m.switch(1, [lambda y: y, lambda y: y * y], x),
    "map": lambda m: lambda x: m.map(lambda row: row * row[0], x),
    "vectorized_map": lambda m: lambda x: m.vectorized_map(lambda row: row * row[0], x),
    "vectorize": lambda m: lambda x: m.vectorize(lambda a: a * a + 1)(x),
    "einsum": lambda m: lambda x: m.einsum("ij,kj->ik", x, x),
    "argpartition": lambda m: lambda x: m.take_along_axis(x, m.argpartition(x, 1), axis=-1)[:, 1],
    "bitwise_right_shift": lambda m: lambda x: m.bitwise_right_shift(m.cast(x * 8, "int32"), 1),
    "jvp": lambda m: lambda x: m.jvp(lambda a: a * a, (x,), (x + 1,)),
    "custom_gradient": lambda m: m.custom_gradient(lambda x: (x * 2, lambda up: up * 10)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_control_flow_equals_keras(name):
    compare(FUNCTIONS[name](ops), FUNCTIONS[name](keras.ops), X)


@pytest.mark.parametrize("limit", [None, 2, 9])
def test_loops_equal_keras(limit):
    compare(
        loop(ops, maximum_iterations=limit),
        loop(keras.ops, maximum_iterations=limit),
        X,
        grad=False,
    )
    body = lambda i, y: y * 0.5 + i  # noqa: E731
    assert_same(ops.fori_loop(0, 4, body, X), keras.ops.fori_loop(0, 4, body, X))


def test_while_loop_keeps_the_form_of_its_variable():
    assert int(ops.while_loop(lambda i: i < 10, lambda i: i + 3, 0)) == 12
    result = ops.while_loop(lambda i: i < 10, lambda i: [i + 3], [0])
    assert isinstance(result, tuple)
    assert [int(i) for i in result] == [12]


def test_variables_are_unwrapped():
    v = Variable(X)
    assert_same(ops.exp(v), np.exp(X))
    assert_same(ops.concatenate([v, v]), np.concatenate([X, X]))
    assert_same(ops.stop_gradient(v), X)
    np.testing.assert_array_equal(ops.convert_to_numpy(v), X)
    assert ops.shape(v) == (2, 3)
    assert ops.dtype(v) == "float32"


def test_convert_to_numpy_is_a_copy():
    x = ops.ones((2,))
    y = ops.convert_to_numpy(x)
    y[0] = 5
    assert float(x[0]) == 1.0


def test_a_type_jax_cannot_hold_becomes_the_short_one():
    assert ops.cast(X, "int64").dtype == jnp.int32
    assert ops.zeros((2,), "float64").dtype == jnp.float32


def test_floatx_rules():
    from staghorn import config

    config.set_floatx("float16")
    for made in (
        ops.zeros((2,)),
        ops.eye(2),
        ops.full((2,), 1),
        ops.sin([1]),
        ops.mean([1, 2]),
        ops.one_hot([1], 2),
        ops.arange(3.0),
    ):
        assert made.dtype == jnp.float16


def test_half_mean_does_not_overflow():
    x = jnp.full((70000,), 2.0, jnp.float16)
    assert float(ops.mean(x)) == 2.0
    assert ops.mean(x).dtype == jnp.float16


def test_unknown_sizes_stay_unknown():
    x = KerasTensor((None, 4))
    assert ops.reshape(x, (-1, 2, 2)).shape == (None, 2, 2)
    assert ops.mean(x, axis=1).shape == (None,)
    assert ops.matmul(x, np.ones((4, 3), "float32")).shape == (None, 3)
    assert ops.concatenate([x, x], axis=1).shape == (None, 8)
    assert ops.softmax(x).shape == (None, 4)
    assert ops.nn.dense(KerasTensor((None, None, 4)), jnp.ones((4, 3)), jnp.ones(3)).shape == (
        None,
        None,
        3,
    )
    assert [t.shape for t in ops.top_k(x, 2)] == [(None, 2), (None, 2)]


SYMBOLIC = {
    "add": lambda x: (x + 1, 1 + x),
    "sub": lambda x: (x - 1, 1 - x),
    "mul": lambda x: (x * 2, 2 * x),
    "truediv": lambda x: (x / 2, 2 / x),
    "floordiv": lambda x: (x // 2, 2 // x),
    "mod": lambda x: (x % 2, 2 % x),
    "pow": lambda x: (x**2, 2**x),
    "unary": lambda x: (-x, abs(x)),
    "compare": lambda x: (x < 1, x <= 1, x > 1, x >= 1, x != 1),
    "logic": lambda x: ((x > 1) & (x < 2), (x > 1) | (x < 2), (x > 1) ^ (x < 2), ~(x > 1)),
    "getitem": lambda x: (x[0], x[:, 1:], x[..., None]),
    "numpy_first": lambda x: (X + x, X * x),
}


@pytest.mark.parametrize("name", SYMBOLIC)
def test_operators_of_symbolic_tensors(name):
    symbolic = SYMBOLIC[name](KerasTensor((2, 3)))
    eager = SYMBOLIC[name](jnp.asarray(X) + 3)
    assert [(t.shape, t.dtype) for t in symbolic] == [(e.shape, str(e.dtype)) for e in eager]


def test_matmul_operator():
    x = KerasTensor((2, 3))
    assert (x @ np.ones((3, 4), "float32")).shape == (2, 4)
    assert (np.ones((5, 2), "float32") @ x).shape == (5, 3)


def test_symbolic_tensors_are_compared_by_identity():
    x, y = KerasTensor((2, 3)), KerasTensor((2, 3))
    assert x in [y, x]
    assert x not in [y]
    assert len({x, y, x}) == 2


ERRORS = [
    (lambda: ops.where([True], 1), ValueError, "where: give both"),
    (lambda: ops.fabs(np.complex64([1j])), TypeError, "fabs: x must be real"),
    (lambda: ops.ldexp(1.0, 2.0), TypeError, "ldexp: x2 must be of an int type, got float32"),
    (lambda: ops.eye(2.0), TypeError, "eye: N must be an int, got 2.0"),
    (lambda: ops.array_split(X, 0), ValueError, "must be positive, got 0"),
    (lambda: ops.array_split(X, [1]), TypeError, "indices_or_sections must be an int"),
    (lambda: ops.rot90(X[0]), ValueError, "2 axes or more"),
    (lambda: ops.rot90(X, axes=(1, 1)), ValueError, "two different axes"),
    (lambda: ops.diagonal(X, axis1=1, axis2=-1), ValueError, "axis1 and axis2 must differ"),
    (lambda: ops.pad(X, 1, mode="edge", constant_values=1), ValueError, "mode='constant'"),
    (lambda: ops.searchsorted(X, 1), ValueError, "must have 1 axis"),
    (lambda: ops.histogram(X[0], bins=2.5), TypeError, "bins must be an int, got 2.5"),
    (lambda: ops.histogram(X[0], bins=-1), ValueError, "must not be negative"),
    (lambda: ops.histogram(X[0], range=(2, 1)), ValueError, "must be a tuple"),
    (lambda: ops.histogram(X), ValueError, "must have 1 axis"),
    (lambda: ops.select([], []), ValueError, "condlist must be a list that is not empty"),
    (lambda: ops.vectorize(3), ValueError, "pyfunc must be a function, got 3"),
    (lambda: ops.vander(X), ValueError, "vander: x must have 1 axis"),
    (lambda: ops.vander(X[0], -1), ValueError, "must not be negative"),
    (lambda: ops.vander(X[0], 1.5), TypeError, "N must be an int"),
    (lambda: ops.vander(X[0], 1, 1), TypeError, "increasing must be a bool"),
    (lambda: ops.scan(lambda c, x: (c, x), 0, X, unroll=0), ValueError, "unroll must be"),
    (lambda: ops.scatter_update(X, [[0, 0]], [1.0], "sub"), ValueError, "got 'sub'"),
    (lambda: ops.convert_to_tensor(X, ragged=True), ValueError, "ragged=True"),
    (lambda: ops.one_hot([1], 2, sparse=True), ValueError, "sparse=True is not supported"),
    (lambda: ops.multi_hot([1]), ValueError, "number of classes"),
    (lambda: ops.binary_crossentropy(X, X[0]), ValueError, "same shape"),
    (lambda: ops.categorical_crossentropy(1.0, 1.0), ValueError, "1 axis or more"),
    (lambda: ops.sparse_categorical_crossentropy([1, 1, 1], X), ValueError, "For one-hot targets"),
    (lambda: ops.moments(X, 0, synchronized=True), NotImplementedError, "synchronized=True"),
    (lambda: ops.normalize(X, order=0), ValueError, "order must be a positive int, got 0"),
    (lambda: ops.psnr(X, X[0], 1.0), ValueError, "same shape"),
    (lambda: ops.segment_sum(X, [0, 1]), ValueError, "num_segments is needed"),
    (lambda: ops.segment_sum(X, [0], 2), ValueError, "one id per row"),
    (lambda: ops.cdist(X, X[:, :2]), ValueError, "cdist: x and y"),
    (lambda: ops.fft(X), ValueError, "must be a pair"),
    (lambda: ops.fft((X, X[0])), ValueError, "differ in shape"),
    (lambda: ops.fft((X.astype(int), X.astype(int))), ValueError, "must be floats"),
    (lambda: ops.stft(X, 2, 0, 2), ValueError, "sequence_stride must be a positive int"),
    (lambda: ops.stft(X, 4, 1, 2), ValueError, "fft_length must not be below"),
    (lambda: ops.stft(X, 2, 1, 2, window="kaiser"), ValueError, "got 'kaiser'"),
    (lambda: ops.stft(X.astype(int), 2, 1, 2), TypeError, "must be float32"),
    (lambda: ops.istft((X[0], X[0]), 4, 1, 4), ValueError, "2 axes or more"),
    (lambda: ops.view_as_complex(X), ValueError, "must have size 2"),
    (lambda: ops.det(X), ValueError, "det: expected square matrices, got shape"),
    (lambda: ops.det(X[0]), ValueError, "det: expected 2 axes or more"),
    (lambda: ops.cholesky(-np.eye(2, dtype="float32")), ValueError, "not positive definite"),
    (lambda: ops.qr(X, mode="full"), ValueError, "got 'full'"),
    (lambda: ops.solve(np.eye(2), X.T), ValueError, "as many rows as a"),
]


@pytest.mark.parametrize(("call", "kind", "words"), ERRORS, ids=[row[2] for row in ERRORS])
def test_errors_say_what_to_do(call, kind, words):
    with pytest.raises(kind) as caught:
        call()
    assert words in str(caught.value)


def test_softmax_over_one_value_warns():
    with pytest.warns(UserWarning, match="use sigmoid instead"):
        ops.softmax(np.ones((3, 1), "float32"))


@pytest.mark.parametrize("rms_scaling", [False, True])
def test_layer_normalization_with_old_scaling(rms_scaling):
    if rms_scaling:
        with pytest.warns(UserWarning, match="rms_scaling"):
            theirs = keras.ops.layer_normalization(X, np.float32([1, 2, 3]), rms_scaling=True)
    else:
        theirs = keras.ops.layer_normalization(X, np.float32([1, 2, 3]))
    ours = ops.layer_normalization(X, np.float32([1, 2, 3]), rms_scaling=rms_scaling)
    assert_same(ours, theirs)


def test_sparse_crossentropy_survives_an_excluded_class():
    logits = np.float32([[1.0, -np.inf, 2.0]])
    loss = lambda x: ops.sparse_categorical_crossentropy([2], x, from_logits=True).sum()  # noqa: E731
    assert np.isfinite(loss(logits))
    assert np.isfinite(jax.grad(loss)(logits)).all()


@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4), (2, 2, 2, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_dense_equals_matmul(shape, bias):
    rng = np.random.default_rng(0)
    x, kernel, b = (rng.normal(size=s).astype("float32") for s in (shape, (4, 3), (3,)))
    if bias:
        compare(ops.nn.dense, lambda x, k, b: keras.ops.matmul(x, k) + b, x, kernel, b)
    else:
        compare(ops.nn.dense, keras.ops.matmul, x, kernel)
