"""The attention layers under strict modes: no implicit broadcasting of ranks or types."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn.ops.attention import grouped_attention

RNG = np.random.default_rng(0)
QUERY = RNG.normal(size=(2, 3, 4)).astype("float32")
VALUE = RNG.normal(size=(2, 5, 6)).astype("float32")
IMAGE = RNG.normal(size=(2, 3, 2, 4)).astype("float32")
LOOK = RNG.random((2, 3, 5)) > 0.3

ROWS = [
    ({}, (QUERY, VALUE), {"attention_mask": LOOK, "use_causal_mask": True}),
    ({"dropout": 0.3, "seed": 1}, (QUERY, VALUE), {"attention_mask": LOOK, "training": True}),
    ({"value_dim": 5, "use_gate": True, "sliding_window": 2}, (QUERY, QUERY), {}),
    ({"attention_axes": (1, 2), "output_shape": (2, 3)}, (IMAGE, IMAGE), {}),
]


@pytest.fixture(autouse=True)
def strict_modes():
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("row", ROWS)
def test_forward_and_gradient(row, policy):
    kwargs, inputs, call = row
    layer = staghorn.layers.MultiHeadAttention(2, 3, dtype=policy, **kwargs)
    layer(*inputs)
    rest = [v.value for v in layer.non_trainable_variables]

    def loss(weights):
        out, _ = layer.stateless_call(weights, rest, *inputs, **call)
        return jnp.sum(out.astype("float32"))

    grads = jax.grad(loss)([v.value for v in layer.trainable_variables])
    assert [g.shape for g in grads] == [v.shape for v in layer.trainable_variables]
    assert all(bool(jnp.isfinite(g).all()) for g in grads)


def test_masked_keys_do_not_count():
    """A mask over keys is the same as leaving them out."""
    layer = staghorn.layers.MultiHeadAttention(2, 3)
    real = np.zeros((2, 5), bool)
    real[:, :3] = True
    masked = layer(QUERY, VALUE, value_mask=real)
    np.testing.assert_allclose(masked, layer(QUERY, VALUE[:, :3]), rtol=1e-5, atol=1e-6)


def test_causal_attention_does_not_see_the_future():
    layer = staghorn.layers.MultiHeadAttention(2, 3)
    whole = layer(QUERY, QUERY, use_causal_mask=True)
    for length in (1, 2):
        start = QUERY[:, :length]
        part = layer(start, start, use_causal_mask=True)
        np.testing.assert_allclose(whole[:, :length], part, rtol=1e-5, atol=1e-6)


def test_large_scores_and_a_row_that_looks_nowhere():
    x = 1e3 * RNG.normal(size=(1, 4, 1, 2)).astype("float32")
    mask = np.ones((1, 1, 4, 4), bool)
    mask[0, 0, 0] = False
    out, grads = jax.value_and_grad(lambda x: jnp.sum(grouped_attention(x, x, x, mask=mask)))(x)
    assert np.isfinite(out)
    assert np.isfinite(grads).all()
    first = grouped_attention(x, x, x, mask=mask)[0, 0]
    np.testing.assert_allclose(first, x[0].mean(axis=0), rtol=1e-5)


def test_fit_and_file(tmp_path):
    """A model with attention learns to copy a marked step, and comes back from a file."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 6, 3)).astype("float32")
    place = rng.integers(0, 6, 256)
    x[..., 2] = 0.0
    x[np.arange(256), place, 2] = 3.0
    y = x[np.arange(256), place, :2]
    i = staghorn.Input((6, 3))
    h = staghorn.layers.MultiHeadAttention(2, 8)(i, i)
    model = staghorn.Model(i, staghorn.layers.Dense(2)(staghorn.layers.Flatten()(h)))
    model.compile(staghorn.optimizers.Adam(0.01), "mse")
    history = model.fit(x, y, batch_size=32, epochs=15, verbose=0)
    assert history.history["loss"][-1] < 0.2 * history.history["loss"][0]
    model.save(tmp_path / "model.keras")
    again = staghorn.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
