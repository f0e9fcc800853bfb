"""Properties of the remaining layers, in JAX's strict modes, without an oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers

RNG = np.random.default_rng(0)
VIDEO = RNG.normal(size=(2, 4, 5, 4, 2)).astype("float32")
X = RNG.normal(size=(2, 6, 4)).astype("float32")


@pytest.fixture(autouse=True)
def strict_modes():
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


def close(a, b):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)


def both(layer, *inputs, **call):
    """The result in eager code, after checking that a compiled call gives the same."""
    eager = layer(*inputs, **call)
    close(staghorn.jit(lambda *x: layer(*x, **call))(*inputs), eager)
    return eager


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_conv_lstm_formats_and_loops(data_format):
    """Both layouts, both loops and both directions compute the same."""
    last = data_format == "channels_last"
    x = VIDEO if last else np.moveaxis(VIDEO, -1, 2)
    kwargs = {"data_format": data_format, "return_sequences": True}
    plain = layers.ConvLSTM2D(3, 2)
    plain(VIDEO)
    for more in ({}, {"unroll": True}, {"recurrent_dropout": 0.5}):  # the last has no fast form
        layer = layers.ConvLSTM2D(3, 2, **kwargs, **more)
        layer.build(x.shape)
        layer.set_weights(plain.get_weights())
        out = np.asarray(both(layer, x))[:, -1]
        close(out if last else np.moveaxis(out, 1, -1), plain(VIDEO))
    backwards = layers.ConvLSTM2D(3, 2, go_backwards=True)
    backwards.build(VIDEO.shape)
    backwards.set_weights(plain.get_weights())
    close(backwards(VIDEO[:, ::-1]), plain(VIDEO))


def test_conv_lstm_masks_and_dropout():
    mask = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool)
    layer = layers.ConvLSTM2D(3, 2, return_sequences=True, zero_output_for_mask=True)
    out = np.asarray(both(layer, VIDEO, mask=mask))
    assert not out[0, 2:].any()
    close(out[0, :2], layer(VIDEO[:1, :2])[0])
    close(out[1, :1], layer(VIDEO[1:, :1])[0])
    dropped = layers.ConvLSTM2D(3, 2, dropout=0.5, recurrent_dropout=0.5, seed=1)
    first, second = (np.asarray(dropped(VIDEO, training=True)) for _ in range(2))
    assert abs(first - second).max() > 1e-3
    close(dropped(VIDEO), dropped(VIDEO))


def test_conv_lstm_on_one_place_is_lstm():
    conv = layers.ConvLSTM1D(3, 1, return_sequences=True)
    plain = layers.LSTM(3, return_sequences=True)
    out = conv(X[:, :, None])
    plain(X)
    plain.set_weights([w[0] if w.ndim > 1 else w for w in conv.get_weights()])
    close(out[:, :, 0], plain(X))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_grouped_attention_sees_what_it_may(groups):
    layer = layers.GroupQueryAttention(3, 4, groups, use_gate=True)
    out = both(layer, X, X, use_causal_mask=True)
    changed = X.copy()
    changed[:, 3:] += 1.0
    close(layer(changed, changed, use_causal_mask=True)[:, :3], out[:, :3])
    real = np.arange(6)[None] < np.array([[4], [4]])
    close(layer(X, X, value_mask=real), layer(X, X[:, :4]))
    again, scores = layer(X, X, use_causal_mask=True, return_attention_scores=True)
    close(again, out)
    close(np.triu(scores, 1), 0.0)
    close(jnp.sum(scores, axis=-1), 1.0)


def test_adaptive_pooling_takes_any_size():
    inputs = staghorn.Input((None, None, 4))
    model = staghorn.Model(inputs, layers.AdaptiveMaxPooling2D((2, 3))(inputs))
    for size in ((3, 5), (7, 4)):
        x = RNG.normal(size=(2, *size, 4)).astype("float32")
        out = both(model, x)
        assert out.shape == (2, 2, 3, 4)
        assert np.asarray(out).max() == x.max()
    one = layers.AdaptiveAveragePooling2D(1)(x)
    close(one[:, 0, 0], layers.GlobalAveragePooling2D()(x))


def test_alpha_dropout_keeps_mean_and_variance():
    x = RNG.normal(size=(200, 200)).astype("float32")
    layer = layers.AlphaDropout(0.3, seed=1)
    out = np.asarray(staghorn.jit(lambda x: layer(x, training=True))(x))
    assert abs(out.mean()) < 0.02
    assert abs(out.std() - 1) < 0.02
    rows = np.asarray(layers.AlphaDropout(0.3, noise_shape=(None, 1))(x, training=True))
    assert len(np.unique(rows[:, 0] == rows[:, 1])) <= 2


def test_activity_regularization_is_a_loss_of_the_model():
    model = staghorn.Sequential([layers.ActivityRegularization(l1=2.0, l2=0.5)])
    model.compile("sgd", "mse")
    loss = model.evaluate(X[:, 0], X[:, 0], verbose=0)
    close(loss, (2 * abs(X[:, 0]).sum() + 0.5 * (X[:, 0] ** 2).sum()) / 2)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_spectral_normalization_bounds_the_norm(policy):
    layer = layers.SpectralNormalization(layers.Conv1D(3, 2), 20, dtype=policy)
    both(layer, X, training=False)
    before = layer.layer.kernel.numpy()
    layer(X, training=True)
    after = layer.layer.kernel.numpy()
    norm = np.linalg.norm(before.reshape(-1, 3), 2)
    np.testing.assert_allclose(after, before / norm, rtol=1e-2, atol=1e-4)


def test_tied_tables_share_their_gradient():
    layer = layers.ReversibleEmbedding(5, 3)
    ids = np.array([[1, 4]])
    layer.build()

    def loss():
        return jnp.sum(layer(layer(ids), reverse=True))

    _, (gradient,) = staghorn.value_and_grad(loss, layer.trainable_variables)()
    table = layer.embeddings.numpy()
    expected = np.tile(table[[1, 4]].sum(0), (5, 1))
    expected[[1, 4]] += table.sum(0)
    close(gradient, expected)


def test_jax_layer_without_weights_and_with_keys():
    def call(rng, inputs, training):
        return inputs + jax.random.normal(rng, inputs.shape) if training else inputs

    layer = layers.JaxLayer(call, seed=2)
    close(both(layer, X), X)
    first, second = layer(X, training=True), layer(X, training=True)
    assert abs(np.asarray(first - second)).max() > 1e-3
    close(layers.JaxLayer(call, seed=2)(X, training=True), first)
