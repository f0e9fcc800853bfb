"""Pooling against keras beyond the table: ties, NaN, derivatives of two kinds, types, errors."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers, ops
from tests.oracle import assert_same, keras

# shape, pool_size, strides, padding, data_format
WINDOWS = [
    ((2, 9, 3), 2, 2, "valid", "channels_last"),
    ((2, 9, 3), 3, 1, "same", "channels_last"),
    ((2, 3, 9), 1, 2, "valid", "channels_first"),
    ((2, 7, 8, 2), 2, 2, "valid", "channels_last"),
    ((2, 8, 7, 2), 3, 2, "same", "channels_last"),
    ((2, 2, 8, 7), (2, 3), (2, 1), "same", "channels_first"),
    ((2, 7, 8, 2), (1, 4), (3, 2), "valid", "channels_last"),
    ((2, 4, 5, 3, 2), 2, 2, "same", "channels_last"),
    ((2, 5, 4, 6, 2), 3, (1, 2, 3), "valid", "channels_last"),
    ((1, 70, 2), 66, 2, "same", "channels_last"),  # too large for the form with slices
]


def whole_numbers(shape, seed=0):
    """After a ReLU, with three values: nearly every window has equal ones."""
    drawn = np.random.default_rng(seed).integers(-1, 3, shape)
    return np.maximum(drawn, 0).astype("float32")


def weighted(y):
    return jnp.sum(y * jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))


def of_gradient(pool, x):
    """A function of the gradient of a function."""
    return jnp.sum(jnp.sin(jax.grad(lambda x: weighted(jnp.square(pool(x))))(x)))


def value_and_gradient(name, options, x):
    """Of ours and of keras, as one compiled program."""

    @jax.jit
    def compiled(x):
        results = []
        for library in (staghorn, keras):
            pool = functools.partial(_call, getattr(library.ops, name), options)
            results.append((pool(x), jax.grad(lambda x, pool=pool: weighted(pool(x)))(x)))
        return results

    return compiled(x)


def _call(fn, options, x):
    return fn(x, *options)


def places(x, pool_size, strides, padding, data_format):
    """The flat index of the first of the largest values of each window, found by looking."""
    axes = range(2, x.ndim) if data_format == "channels_first" else range(1, x.ndim - 1)
    sizes, steps = np.ones(x.ndim, int), np.ones(x.ndim, int)
    sizes[list(axes)], steps[list(axes)] = pool_size, strides
    counts = -(-np.array(x.shape) // steps)
    over = np.maximum((counts - 1) * steps + sizes - x.shape, 0)
    if padding == "valid":
        counts, over = (np.array(x.shape) - sizes) // steps + 1, over * 0
    found = np.zeros(counts, int)
    for window in np.ndindex(*counts):
        first = np.array(window) * steps - over // 2
        inside = [first + tap for tap in np.ndindex(*sizes)]
        inside = [tuple(i) for i in inside if (i >= 0).all() and (i < x.shape).all()]
        best = max(inside, key=lambda i: x[i])  # max() keeps the first
        found[window] = np.ravel_multi_index(best, x.shape)
    return found


def over(cases, quick):
    """Parametrise over windows, all but some of them slow because they are many."""
    marks = [[] if n in quick else [pytest.mark.slow] for n, _ in enumerate(cases)]
    rows = [pytest.param(c, marks=m, id=str(c)) for c, m in zip(cases, marks, strict=True)]
    return pytest.mark.parametrize("case", rows)


@over(WINDOWS, quick=(0, 3, 4, 5, 7, 9))
def test_ties_go_where_keras_sends_them(case):
    shape, *options = case
    results = value_and_gradient("max_pool", options, whole_numbers(shape))
    assert_same(*results, what="value and gradient")


@over(WINDOWS[:-1], quick=(0, 4, 7))
def test_gradient_of_gradient(case):
    """Keras's is no oracle: JAX's second derivative takes others of equal values than its first."""
    shape, *options = case
    x = whole_numbers(shape)
    found = places(x, *options)

    @jax.jit
    def both(x):
        pools = [lambda x: ops.max_pool(x, *options), lambda x: jnp.ravel(x)[found]]
        return [jax.grad(lambda x, pool=pool: of_gradient(pool, x))(x) for pool in pools]

    np.testing.assert_allclose(*both(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", WINDOWS[4:5], ids=str)
def test_nan_and_infinity(case):
    shape, *options = case
    rng = np.random.default_rng(1)
    chosen = rng.choice([0.0, 1.0, np.nan, -np.inf, np.inf], shape, p=[0.3, 0.2, 0.2, 0.2, 0.1])
    results = []
    for library in (staghorn, keras):
        y, back = jax.vjp(lambda x, m=library: m.ops.max_pool(x, *options), chosen)
        results.append((y, back(jnp.arange(1.0, y.size + 1).reshape(y.shape))))
    assert_same(*results)


@over(WINDOWS, quick=(1, 4, 7))
def test_average(case):
    shape, *options = case
    results = value_and_gradient("average_pool", options, whole_numbers(shape))
    assert_same(*results, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["max_pool", "average_pool"])
def test_forward_mode(name):
    x = whole_numbers((2, 8, 7, 2))
    direction = np.random.default_rng(1).normal(size=x.shape).astype("float32")
    ours, theirs = (
        jax.jvp(lambda x, m=m: getattr(m.ops, name)(x, 3, 2, "same"), (x,), (direction,))
        for m in (staghorn, keras)
    )
    assert_same(ours, theirs)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "float16", "bfloat16"])
def test_types(dtype):
    x = jnp.asarray(whole_numbers((2, 7, 3))).astype(dtype)
    for padding in ("valid", "same"):
        options = (3, 2, padding)
        assert_same(ops.max_pool(x, *options), keras.ops.max_pool(x, *options))
        if dtype != "bool":  # keras cannot
            ours = ops.average_pool(x, *options)
            assert_same(ours, keras.ops.average_pool(x, *options), rtol=1e-2)


ADAPTIVE = [
    ((2, 9, 3), (4,), "channels_last"),
    ((2, 3, 10), (5,), "channels_first"),
    ((2, 3, 2), (5,), "channels_last"),
    ((2, 10, 7, 3), (4, 3), "channels_last"),
    ((2, 5, 6, 4, 2), (2, 3, 3), "channels_last"),
]


@over(ADAPTIVE, quick=(1, 3))
@pytest.mark.parametrize("name", ["adaptive_max_pool", "adaptive_average_pool"])
def test_adaptive(name, case):
    shape, *options = case
    results = value_and_gradient(name, options, whole_numbers(shape))
    assert_same(*results, rtol=1e-4, atol=1e-5)


def test_global_max_shares_the_gradient():
    x = whole_numbers((2, 5, 4, 3))
    gradients = [
        jax.grad(lambda x, m=m: weighted(m.layers.GlobalMaxPooling2D()(x)))(x)
        for m in (staghorn, keras)
    ]
    assert_same(*gradients)


def test_padding_keeps_its_spelling():
    ours, theirs = (m.layers.MaxPooling2D(2, padding="SAME", name="x") for m in (staghorn, keras))
    x = whole_numbers((1, 5, 5, 2))
    assert_same(ours(x), theirs(x))
    assert ours.get_config() == theirs.get_config()
    assert ours.compute_output_shape((None, 5, None, 2)) == (None, 3, None, 2)


@pytest.mark.parametrize(("mine", "full"), [("Max", "Max"), ("Avg", "Average")])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("prefix", ["", "Global"])
def test_short_names(prefix, mine, full, rank):
    long = getattr(layers, f"{prefix}{full}Pooling{rank}D")
    assert getattr(layers, f"{prefix}{mine}Pool{rank}D") is long


def test_a_mask_of_floats():
    x = np.arange(12, dtype="float32").reshape(2, 3, 2)
    mask = np.array([[1, 0, 1], [0, 0, 1]], "float32")
    ours, theirs = (m.layers.GlobalAveragePooling1D()(x, mask=mask) for m in (staghorn, keras))
    assert_same(ours, theirs)


BAD_ARGUMENTS = [
    ("MaxPooling2D", {"pool_size": (2, 2, 2)}, "MaxPooling2D: pool_size must be a positive int or"),
    ("MaxPooling1D", {"pool_size": 0}, "pool_size must be a positive int or a tuple of 1, got 0"),
    ("AveragePooling3D", {"pool_size": "2"}, "got '2' (str)"),
    ("MaxPooling1D", {"strides": 0}, "strides must be a positive int or a tuple of 1, got 0 (int)"),
    ("MaxPooling1D", {"padding": "causal"}, "padding must be one of 'valid', 'same', got 'causal'"),
    ("MaxPooling1D", {"padding": 1}, "got 1 (int)"),
    ("MaxPooling2D", {"data_format": "channels_lst"}, "Did you mean"),
    ("GlobalMaxPooling2D", {"keepdims": 1}, "keepdims must be a bool, got 1 (int)"),
    ("UpSampling1D", {"size": 2.0}, "UpSampling1D: size must be a positive int, got 2.0 (float)."),
    ("UpSampling2D", {"size": (2, 0)}, "size must be a positive int or a tuple of 2, got (2, 0)"),
    ("UpSampling2D", {"interpolation": "area"}, "interpolation must be one of 'nearest'"),
    ("UpSampling3D", {"size": (2, 2)}, "tuple of 3, got (2, 2) (tuple)"),
    ("ZeroPadding1D", {"padding": (1, 2, 3)}, "an int of 0 or more or a tuple of 2, got (1, 2, 3)"),
    ("ZeroPadding2D", {"padding": -1}, "or a pair (before, after), got -1 (int)"),
    ("ZeroPadding3D", {"padding": (1, 1)}, "for each of the 3 axes"),
    ("Cropping1D", {"cropping": -1}, "must be an int of 0 or more or a tuple of 2, got -1"),
    ("Cropping2D", {"cropping": ((1, 2), (3,))}, "got ((1, 2), (3,)) (tuple)"),
    ("Cropping3D", {"cropping": "all"}, "got 'all' (str)"),
]  # fmt: skip

BAD_INPUTS = [
    ("MaxPooling1D", {"pool_size": 5}, (2, 4, 3), ["'it'", "window of 5", "axis 1 of size 4"]),
    ("AveragePooling2D", {"pool_size": (2, 5)}, (2, 4, 4, 3), ["axis 2", "padding='same'"]),
    ("MaxPooling2D", {}, (4, 4, 3), ["MaxPooling2D 'it'", "expected 4 axes, got 3"]),
    ("GlobalAveragePooling1D", {}, (2, 3), ["expected 3 axes, got 2"]),
    ("UpSampling3D", {}, (2, 3, 4, 5), ["expected 5 axes, got 4"]),
    ("Cropping1D", {"cropping": (2, 2)}, (2, 4, 3), ["'it'", "4 values from axis 1", "has 4"]),
    ("Cropping2D", {"cropping": 2}, (2, 6, 3, 1), ["axis 2, which has 3", "(2, 6, 3, 1)"]),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "kwargs", "words"), BAD_ARGUMENTS)
def test_bad_argument(layer, kwargs, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        getattr(layers, layer)(**kwargs)


@pytest.mark.parametrize(("layer", "kwargs", "shape", "words"), BAD_INPUTS)
@pytest.mark.parametrize("symbolic", [False, True])
def test_bad_input(layer, kwargs, shape, words, symbolic):
    x = staghorn.Input(batch_shape=shape) if symbolic else np.ones(shape, "float32")
    with pytest.raises(ValueError, match=layer) as caught:
        getattr(layers, layer)(**kwargs, name="it")(x)
    for part in words:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: ops.max_pool(x, 9), "max_pool: a window of 9 does not fit axis 1 of size 4"),
        (lambda x: ops.max_pool(x[0, 0], 2), "max_pool: inputs must have a batch"),
        (lambda x: ops.average_pool(x, 2, padding="full"), "padding must be one of"),
        (lambda x: ops.average_pool(x, (2, 2, 2)), "average_pool: pool_size must be"),
        (lambda x: ops.max_pool(x, 2, data_format="NHWC"), "data_format must be one of"),
        (lambda x: ops.adaptive_max_pool(x, 0), "adaptive_max_pool: output_size must be"),
    ],
)
def test_bad_call_of_an_op(call, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        call(np.ones((2, 4, 4, 3), "float32"))


def test_adaptive_pooling_of_unknown_sizes():
    assert ops.adaptive_max_pool(staghorn.Input((None, 4)), 2).shape == (None, 2, 4)
