"""The basic layers under strict modes: no implicit broadcasting of ranks, no type promotion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from tests.layers.cases import ALL, over


@pytest.fixture(autouse=True)
def strict_modes():
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


@over(ALL)
def test_forward_and_gradient(case):
    layer = getattr(staghorn.layers, case.layer)(**case.kwargs)
    out = layer(case.inputs(), **case.call)
    weights = [v.value for v in layer.trainable_variables]
    rest = [v.value for v in layer.non_trainable_variables]

    def loss(weights):
        y, _ = layer.stateless_call(weights, rest, case.inputs(), **case.call)
        return jnp.sum(y.astype("float32"))

    value, grads = jax.value_and_grad(loss)(weights)
    assert [g.shape for g in grads] == [w.shape for w in weights]
    assert np.isfinite(float(value))
    assert out.shape == layer.compute_output_shape(
        [x.shape for x in case.arrays()] if case.many else case.arrays()[0].shape
    )


@over([c for c in ALL if c.mixed])
def test_mixed_policy(case):
    layer = getattr(staghorn.layers, case.layer)(**case.kwargs, dtype="mixed_bfloat16")
    out = layer(case.inputs(), **case.call)
    if case.dtype == "float32":
        assert out.dtype == "bfloat16"
    assert all(v.dtype == "float32" for v in layer.weights)


@over([c for c in ALL if c.masked])
def test_masked(case):
    layer = getattr(staghorn.layers, case.layer)(**case.kwargs)
    inputs = [staghorn.layers.Masking()(x) for x in case.arrays()]
    out = layer(inputs if case.many else inputs[0], **case.call)
    assert bool(jnp.isfinite(out).all())


def test_merging_of_ranks_and_types():
    x, y = np.ones((2, 3), "int32"), np.ones((2, 4, 3), "float32")
    assert staghorn.layers.Add()([x, y]).dtype == "float32"
    assert staghorn.layers.Dot(axes=(1, 2))([x, y]).shape == (2, 4)
