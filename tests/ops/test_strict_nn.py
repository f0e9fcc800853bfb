"""The mathematics of layers under JAX's strict modes: no implicit broadcasting between ranks, no
implicit change of type, no tracer left behind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from staghorn import activations, ops

RNG = np.random.default_rng(3)


def floats(*shape, dtype="float32"):
    return jnp.asarray(RNG.uniform(0.1, 0.9, shape), dtype)


TYPES = ["float32", "bfloat16"]
ACTIVATIONS = sorted(set(activations.__all__) - {"get", "serialize", "deserialize", "threshold"})


@pytest.fixture(autouse=True)
def strict_modes():
    with (
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("strict"),
    ):
        yield


def value_and_gradient(fn, *arrays):
    def total(*chosen):
        return sum(jnp.sum(leaf.astype("float32")) for leaf in jax.tree.leaves(fn(*chosen)))

    value, gradients = jax.jit(jax.value_and_grad(total, tuple(range(len(arrays)))))(*arrays)
    assert np.isfinite(value)
    for x, gradient in zip(arrays, gradients, strict=True):
        assert gradient.dtype == x.dtype
        assert np.isfinite(gradient.astype("float32")).all()
    return jax.tree.leaves(fn(*arrays))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_keeps_the_type(name, dtype):
    fn = getattr(activations, name)
    (out,) = value_and_gradient(fn, floats(2, 3, 4, dtype=dtype))
    assert out.dtype == dtype


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "kwargs", [{}, {"negative_slope": 0.1, "threshold": 0.5}, {"max_value": 6}, {"max_value": 0.5}]
)
def test_relu_variants_keep_the_type(kwargs, dtype):
    (out,) = value_and_gradient(lambda x: activations.relu(x, **kwargs), floats(2, 3, dtype=dtype))
    assert out.dtype == dtype
    assert activations.threshold(floats(2, 3, dtype=dtype), 0.5, 0.0).dtype == dtype


NORMALIZING = {
    "dense": lambda d: (
        ops.nn.dense,
        floats(2, 3, 4, dtype=d),
        floats(4, 5, dtype=d),
        floats(5, dtype=d),
    ),
    "batch_normalization": lambda d: (
        lambda x, m, v, b, g: ops.batch_normalization(x, m, v, 1, b, g),
        floats(2, 3, 4, dtype=d),
        *(floats(3, dtype=d) for _ in range(4)),
    ),
    "layer_normalization": lambda d: (
        ops.layer_normalization,
        floats(2, 3, 4, dtype=d),
        floats(4),
        floats(4),
    ),
    "layer_normalization_axes": lambda d: (
        lambda x, g, b: ops.layer_normalization(x, g, b, axis=(1, 2)),
        floats(2, 3, 4, dtype=d),
        floats(3, 4),
        floats(3, 4),
    ),
    "rms_normalization": lambda d: (ops.rms_normalization, floats(2, 3, 4, dtype=d), floats(4)),
    "rms_normalization_axis": lambda d: (
        lambda x, g: ops.rms_normalization(x, g, axis=1),
        floats(2, 3, 4, dtype=d),
        floats(3),
    ),
    "normalize": lambda d: (ops.normalize, floats(2, 3, dtype=d)),
    "normalize_3": lambda d: (lambda x: ops.normalize(x, order=3), floats(2, 3, dtype=d)),
    "moments": lambda d: (lambda x: ops.moments(x, [0, 1]), floats(2, 3, 4, dtype=d)),
    "mean": lambda d: (lambda x: ops.mean(x, axis=1), floats(2, 3, dtype=d)),
    "var": lambda d: (lambda x: ops.var(x, axis=1), floats(2, 3, dtype=d)),
    "softmax": lambda d: (lambda x: ops.softmax(x, axis=(0, 2)), floats(2, 3, 4, dtype=d)),
    "sparsemax": lambda d: (ops.sparsemax, floats(2, 3, dtype=d)),
}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", NORMALIZING)
def test_layer_mathematics_keep_the_type(name, dtype):
    fn, *arrays = NORMALIZING[name](dtype)
    for out in value_and_gradient(fn, *arrays):
        assert out.dtype == dtype


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_crossentropies(dtype, from_logits):
    output = floats(2, 3, 4, dtype=dtype)
    labels = jnp.asarray(RNG.integers(0, 4, (2, 3)))
    codes = ops.one_hot(labels, 4)  # float32 beside halves: the types are mixed on purpose
    out = value_and_gradient(
        lambda x: ops.sparse_categorical_crossentropy(labels, x, from_logits), output
    )
    assert out[0].dtype == "float32"  # of halves too, as in Keras
    dense = value_and_gradient(
        lambda x: ops.categorical_crossentropy(codes, x, from_logits), output
    )
    assert dense[0].shape == (2, 3)
    np.testing.assert_allclose(
        dense[0].astype("float32"), out[0].astype("float32"), rtol=2e-2, atol=2e-2
    )
    value_and_gradient(lambda x: ops.binary_crossentropy(codes, x, from_logits), output)
    integer = labels[..., None] * jnp.ones(4, "int32").reshape(1, 1, 4) % 2
    value_and_gradient(lambda x: ops.binary_crossentropy(integer, x, from_logits), output)


def test_codes():
    assert ops.one_hot(jnp.asarray([1, 9]), 3).tolist() == [[0, 1, 0], [0, 0, 0]]
    assert ops.multi_hot(jnp.asarray([[1, 1], [2, 0]]), 3).tolist() == [[0, 1, 0], [1, 0, 1]]


@pytest.mark.parametrize("name", NORMALIZING)
def test_no_tracer_is_left_behind(name):
    fn, *arrays = NORMALIZING[name]("float32")
    with jax.checking_leaks():
        assert jax.tree.leaves(jax.eval_shape(fn, *arrays))


def test_ranks_really_are_checked():
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((2, 3)) + jnp.ones(3)
