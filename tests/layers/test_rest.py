"""Convolutional recurrence, grouped attention, and single layers, beyond what the table says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn.engine.masks import get_mask
from staghorn.ops import attention
from tests.oracle import assert_same, keras

LIBRARIES = (staghorn, keras)
RNG = np.random.default_rng(0)
VIDEO = RNG.normal(size=(2, 4, 5, 4, 2)).astype("float32")
QUERY = RNG.normal(size=(2, 3, 6)).astype("float32")
VALUE = RNG.normal(size=(2, 5, 6)).astype("float32")
LOOK = RNG.random((2, 3, 5)) > 0.3
IDS = np.array([[3, 0, 5], [1, 2, 0]], "int32")
T = {"training": True}


def pair(make, *inputs):
    """The same layer of both libraries, with the same weights."""
    ours, theirs = (make(library.layers) for library in LIBRARIES)
    for layer in (ours, theirs):
        layer(*inputs)
    values = [RNG.uniform(-0.7, 0.7, size=v.shape).astype("float32") for v in theirs.weights]
    for layer in (ours, theirs):
        layer.set_weights(values)
    return ours, theirs


# --- ConvLSTM -------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [False, True], ids=["channels_last", "channels_first"])
def test_conv_lstm_states(first):
    kwargs = {"return_state": True, "return_sequences": True}
    kwargs["data_format"] = "channels_first" if first else "channels_last"
    ours, theirs = pair(lambda layers: layers.ConvLSTM2D(3, 2, **kwargs), VIDEO)
    assert ours.get_config() == {**theirs.get_config(), "name": ours.name}
    out1, *states1 = ours(VIDEO)
    out2, *states2 = theirs(VIDEO)
    assert_same([out1, *states1], [out2, *states2], rtol=1e-4, atol=1e-5)
    again = [m(VIDEO, initial_state=s) for m, s in ((ours, states1), (theirs, states2))]
    assert_same(*again, rtol=1e-4, atol=1e-5)
    shapes = [out1.shape, *(s.shape for s in states1)]
    assert list(ours.compute_output_shape(VIDEO.shape)) == shapes
    symbolic = ours(staghorn.Input((None, *VIDEO.shape[2:])))
    assert [x.shape[2:] for x in symbolic] == [s[2:] for s in shapes]


def test_conv_lstm_stateful_is_one_long_sequence():
    kwargs = {"padding": "same", "return_sequences": True}
    whole = staghorn.layers.ConvLSTM2D(3, 2, **kwargs)
    wanted = whole(VIDEO)
    parts = staghorn.layers.ConvLSTM2D(3, 2, stateful=True, **kwargs)
    parts(VIDEO[:, :1])
    parts.set_weights(whole.get_weights())
    parts.reset_state()
    halves = [parts(VIDEO[:, :2]), parts(VIDEO[:, 2:])]
    assert_same(jnp.concatenate(halves, axis=1), wanted, rtol=1e-5, atol=1e-6)


def test_conv_lstm_mask_is_slicing():
    """Keras on JAX cannot broadcast a mask to these states."""
    layer = staghorn.layers.ConvLSTM2D(3, 2)
    mask = np.array([[1, 1, 0, 0]] * 2, bool)
    assert_same(layer(VIDEO, mask=mask), layer(VIDEO[:, :2]), rtol=1e-5, atol=1e-6)


def test_conv_lstm_first_weights():
    outputs = []
    for library in LIBRARIES:
        library.utils.set_random_seed(3)
        layer = library.layers.ConvLSTM1D(2, 2, padding="same", dropout=0.2)
        outputs.append([layer(VIDEO[..., 0]), *(np.asarray(v.value) for v in layer.variables)])
    assert_same(*outputs, rtol=1e-5, atol=1e-6)


def test_conv_lstm_in_both_directions():
    inner = staghorn.layers.ConvLSTM1D(2, 2, padding="same", return_sequences=True)
    layer = staghorn.layers.Bidirectional(inner)
    x = VIDEO[..., 0]
    assert layer(x).shape == layer.compute_output_shape(x.shape) == (2, 4, 5, 4)
    assert_same(layer(x)[..., :2], layer.forward_layer(x))
    assert_same(layer(x)[..., 2:], layer.backward_layer(x)[:, ::-1])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"filters": 0}, "filters must be a positive int, got 0"),
        ({"kernel_size": (3, 0)}, "kernel_size must be a positive int or 2 of them"),
        ({"padding": "causal"}, "padding must be"),
        ({"strides": 2, "dilation_rate": 2}, "exclude each other"),
        ({"dropout": 1.5}, "dropout must be a number in"),
    ],
)
def test_conv_lstm_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        staghorn.layers.ConvLSTM2D(**{"filters": 2, "kernel_size": 3, **kwargs})


def test_conv_lstm_inputs():
    layer = staghorn.layers.ConvLSTM2D(2, 3)
    with pytest.raises(ValueError, match="only the time may be None"):
        layer(staghorn.Input((None, None, 4, 2)))
    with pytest.raises(ValueError, match="5"):
        staghorn.layers.ConvLSTM2D(2, 3)(VIDEO[0])


# --- GroupQueryAttention --------------------------------------------------------------------------

GROUPED = {
    "cross": ({}, {}),
    "causal": ({"use_bias": False}, {"use_causal_mask": True}),
    "mask": ({"use_gate": True}, {"attention_mask": LOOK}),
    "scores": ({}, {"attention_mask": LOOK, "return_attention_scores": True}),
    "causal scores": ({}, {"use_causal_mask": True, "return_attention_scores": True}),
    "dropout": ({"dropout": 0.4, "seed": 3}, {**T, "use_causal_mask": True}),
    "window": ({"sliding_window": 2}, {"use_causal_mask": True}),
    "everything": (
        {
            "kernel_initializer": "he_normal",
            "bias_initializer": "ones",
            "kernel_regularizer": "l2",
            "bias_regularizer": "l1",
            "activity_regularizer": "l2",
            "kernel_constraint": "non_neg",
            "bias_constraint": "max_norm",
        },
        {},
    ),
}


@pytest.mark.parametrize("case", GROUPED.values(), ids=list(GROUPED))
@pytest.mark.parametrize("groups", [2, 4, 1])
def test_grouped_attention(case, groups):
    kwargs, call = case
    ours, theirs = pair(
        lambda layers: layers.GroupQueryAttention(3, 4, groups, name="given", **kwargs),
        QUERY,
        VALUE,
    )
    out1, out2 = ours(QUERY, VALUE, **call), theirs(QUERY, VALUE, **call)
    assert_same(out1, out2, rtol=1e-4, atol=1e-5)
    assert_same(ours.losses, theirs.losses, rtol=1e-4, atol=1e-5)
    assert ours.get_config() == theirs.get_config()
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    again = staghorn.layers.deserialize(keras.layers.serialize(theirs))
    assert again.get_config() == ours.get_config()
    given = {k: v for k, v in call.items() if k != "attention_mask"}
    symbolic = ours(staghorn.Input((None, 6)), staghorn.Input((None, 6)), **given)
    eager, symbolic = jax.tree.leaves(out1), jax.tree.leaves(symbolic)
    assert [x.ndim for x in symbolic] == [x.ndim for x in eager]
    assert symbolic[0].shape == (None, None, 6)


def test_one_group_per_head_is_multi_head_attention():
    grouped = staghorn.layers.GroupQueryAttention(3, 2, 2)
    plain = staghorn.layers.MultiHeadAttention(2, 3)
    grouped(QUERY, VALUE), plain(QUERY, VALUE)
    plain.set_weights(grouped.get_weights())
    assert_same(grouped(QUERY, VALUE), plain(QUERY, VALUE), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*does not support masking")  # Keras's projections say so
def test_grouped_attention_masks_that_travel():
    ours, theirs = pair(lambda layers: layers.GroupQueryAttention(3, 4, 2), QUERY, VALUE)
    zeroed = [x.copy() for x in (QUERY, VALUE)]
    zeroed[0][0, -1] = zeroed[1][1, 2:] = 0.0
    outs = []
    for library, layer in zip(LIBRARIES, (ours, theirs), strict=True):
        outs.append(layer(*[library.layers.Masking()(x) for x in zeroed]))
    assert_same(*outs, rtol=1e-5, atol=1e-5)
    assert_same(get_mask(outs[0]), outs[1]._keras_mask)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_grouped_attention_mixed_precision(policy):
    ours, theirs = pair(
        lambda layers: layers.GroupQueryAttention(3, 4, 2, dtype=policy), QUERY, VALUE
    )
    assert_same(ours(QUERY, VALUE), theirs(QUERY, VALUE), rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_key_value_heads": 3}, "must divide num_query_heads"),
        ({"num_key_value_heads": 0}, "num_key_value_heads must be a positive int"),
        ({"head_dim": -1}, "head_dim must be a positive int, got -1"),
        ({"flash_attention": True, "dropout": 0.1}, "dropout=0.1"),
    ],
)
def test_grouped_attention_arguments(kwargs, message):
    given = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2, **kwargs}
    with pytest.raises(ValueError, match=message):
        staghorn.layers.GroupQueryAttention(**given)


# --- flash attention ------------------------------------------------------------------------------


def noting(calls):
    """A function in place of the fused kernel that notes its calls, as tests have no GPU."""

    def kernel(query, key, value, *, implementation, **options):
        calls.append((implementation, options["is_causal"]))
        return query

    return kernel


@pytest.mark.parametrize("layer", ["MultiHeadAttention", "GroupQueryAttention"])
def test_the_setting_reaches_the_layers(monkeypatch, layer):
    sizes = (2, 8) if layer == "MultiHeadAttention" else (8, 2, 2)
    calls, x = [], QUERY.astype("float16")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax.nn, "dot_product_attention", noting(calls))
    try:
        staghorn.config.disable_flash_attention()
        getattr(staghorn.layers, layer)(*sizes, dtype="float16")(x, x, use_causal_mask=True)
        assert not calls
        staghorn.config.enable_flash_attention()
        getattr(staghorn.layers, layer)(*sizes, dtype="float16")(x, x, use_causal_mask=True)
        assert set(calls) == {("cudnn", True)}
    finally:
        staghorn.config.enable_flash_attention()


@pytest.mark.parametrize(
    ("dtype", "kwargs", "fused"),
    [
        ("bfloat16", {}, True),
        ("float16", {"is_causal": True}, True),
        ("float32", {}, False),
        ("bfloat16", {"mask": np.ones((1, 1, 3, 3), bool)}, False),
        ("bfloat16", {"bias": np.zeros((1, 1, 3, 3), "float32")}, False),
        ("bfloat16", {"flash_attention": False}, False),
        ("float32", {"flash_attention": True}, True),
    ],
)
def test_when_the_fused_kernel_is_taken(monkeypatch, dtype, kwargs, fused):
    calls, x = [], jnp.ones((2, 3, 4, 8), dtype)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax.nn, "dot_product_attention", noting(calls))
    out = attention.dot_product_attention(x, x, x, **kwargs)
    assert out.dtype == dtype
    assert bool(calls) is fused
    assert set(calls) <= {("cudnn", kwargs.get("is_causal", False))}


def test_a_kernel_that_refuses_is_not_taken(monkeypatch):
    def kernel(*args, **kwargs):
        raise RuntimeError("cuDNN is not detected.")

    x = jnp.ones((2, 3, 4, 8), "bfloat16")
    wanted = attention.dot_product_attention(x, x, x)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax.nn, "dot_product_attention", kernel)
    assert_same(attention.dot_product_attention(x, x, x), wanted)
    with pytest.raises(RuntimeError, match="cuDNN"):
        attention.dot_product_attention(x, x, x, flash_attention=True)


# --- SpectralNormalization ------------------------------------------------------------------------

WRAPPED = {
    "Dense": (lambda layers: layers.Dense(4), VALUE),
    "Conv2D": (lambda layers: layers.Conv2D(3, 2), VIDEO[0]),
    "Conv2DTranspose": (lambda layers: layers.Conv2DTranspose(3, 2, use_bias=False), VIDEO[0]),
}


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("iterations", [1, 3])
def test_spectral_normalization(name, iterations):
    inner, x = WRAPPED[name]
    ours, theirs = pair(
        lambda layers: layers.SpectralNormalization(inner(layers), iterations, name="given"), x
    )
    assert [v.name for v in ours.weights] == [v.name for v in theirs.weights]
    assert [v.trainable for v in ours.weights] == [v.trainable for v in theirs.weights]
    for _ in range(2):
        assert_same(ours(x, **T), theirs(x, **T), rtol=1e-4, atol=1e-5)
    weights = [[np.asarray(v.value) for v in layer.weights] for layer in (ours, theirs)]
    assert_same(*weights, rtol=1e-4, atol=1e-5)
    assert_same(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    configs = [layer.get_config() for layer in (ours, theirs)]
    assert configs[0].keys() == configs[1].keys()
    assert configs[0]["power_iterations"] == iterations
    assert ours.compute_output_shape(x.shape) == ours(x).shape


def test_spectral_normalization_gradient():
    ours, theirs = pair(lambda layers: layers.SpectralNormalization(layers.Dense(4)), VALUE)
    gradients = []
    for layer in (ours, theirs):
        rest = [jnp.array(getattr(v, "value", v)) for v in layer.non_trainable_variables]

        def loss(weights, layer=layer, rest=rest):
            out, _ = layer.stateless_call(weights, rest, VALUE, training=True)
            return jnp.sum(jnp.sin(out))

        start = [jnp.array(getattr(v, "value", v)) for v in layer.trainable_variables]
        gradients.append(jax.grad(loss)(start))
    assert_same(*gradients, rtol=1e-4, atol=1e-5)


def test_spectral_normalization_of_zeros_and_embeddings():
    zeros = staghorn.layers.Dense(3, kernel_initializer="zeros")
    layer = staghorn.layers.SpectralNormalization(zeros)
    assert not np.any(layer(VALUE, training=True))
    assert np.isfinite(layer.vector_u.numpy()).all()
    table = staghorn.layers.Embedding(7, 4)
    embedding = staghorn.layers.SpectralNormalization(table, power_iterations=30)
    assert embedding(IDS, training=True).dtype == "float32"
    np.testing.assert_allclose(np.linalg.norm(table.embeddings.numpy(), 2), 1.0, rtol=1e-3)


def test_spectral_normalization_keeps_what_it_divided_in_fit():
    layer = staghorn.layers.SpectralNormalization(staghorn.layers.Dense(3), 5)
    model = staghorn.Sequential([layer])
    model.compile("sgd", "mse")
    model.optimizer.learning_rate = 0.0
    x = np.ones((4, 6), "float32")
    model.fit(x, np.zeros((4, 3), "float32"), epochs=8, verbose=0)
    assert abs(np.linalg.norm(layer.layer.kernel.numpy(), 2) - 1.0) < 1e-3


def test_spectral_normalization_needs_a_kernel():
    with pytest.raises(ValueError, match="neither a kernel nor embeddings"):
        staghorn.layers.SpectralNormalization(staghorn.layers.ReLU())(VALUE)
    with pytest.raises(ValueError, match="power_iterations must be a positive int, got 0"):
        staghorn.layers.SpectralNormalization(staghorn.layers.Dense(1), 0)


# --- ReversibleEmbedding --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kwargs",
    [{}, {"tie_weights": False}, {"logit_soft_cap": 0.5}, {"reverse_dtype": "float32"}],
)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_reverse(kwargs, policy):
    ours, theirs = pair(
        lambda layers: layers.ReversibleEmbedding(7, 6, dtype=policy, **kwargs), IDS
    )
    tolerance = 1e-5 if policy == "float32" else 2e-2
    for x in (QUERY, QUERY.astype("float16")):
        got, wanted = ours(x, reverse=True), theirs(x, reverse=True)
        assert_same(got, wanted, rtol=tolerance, atol=tolerance)
    assert ours.compute_output_shape((2, 3, 6), reverse=True) == (2, 3, 7)
    assert ours(staghorn.Input((None, 6)), reverse=True).shape == (None, None, 7)


def test_a_language_model_with_one_table():
    ids = staghorn.Input((None,), dtype="int32")
    table = staghorn.layers.ReversibleEmbedding(9, 4, mask_zero=True)
    hidden = staghorn.layers.LSTM(4, return_sequences=True)(table(ids))
    model = staghorn.Model(ids, table(hidden, reverse=True))
    model.compile("adam", staghorn.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert len(model.trainable_weights) == 4
    model.fit(IDS, IDS, epochs=2, verbose=0)
    rows = table(IDS)
    assert np.asarray(get_mask(rows)).tolist() == (IDS != 0).tolist()
    assert get_mask(table(rows, reverse=True)) is None


# --- BatchNormalization over devices --------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
def test_synchronized_batch_normalization(masked):
    """Two devices, each with half of the batch, have the statistics of the whole."""
    x = RNG.normal(size=(4, 3, 2)).astype("float32")
    mask = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 1, 1]], bool) if masked else None
    alone = staghorn.layers.BatchNormalization(momentum=0.5)
    wanted = alone(x, training=True, mask=mask)
    moved = [v.numpy() for v in alone.non_trainable_variables]
    layer = staghorn.layers.BatchNormalization(momentum=0.5, synchronized=True)
    layer.build(x.shape)
    state = [v.value for v in layer.trainable_variables]
    rest = [v.value for v in layer.non_trainable_variables]

    def step(x, mask):
        return layer.stateless_call(state, rest, x, training=True, mask=mask)

    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.PartitionSpec("data")
    whole = jax.sharding.PartitionSpec()
    sharded = jax.shard_map(step, mesh=mesh, in_specs=split, out_specs=(split, whole))
    out, new = jax.jit(sharded)(x, mask)
    assert_same(out, wanted, rtol=1e-5, atol=1e-5)
    assert_same(new, moved, rtol=1e-5, atol=1e-5)
    assert layer.get_config()["synchronized"] is True
    assert_same(layer(x, training=True, mask=mask), wanted, rtol=1e-6, atol=1e-6)


# --- what is left out -----------------------------------------------------------------------------


def test_left_out_layers_say_why():
    with pytest.raises(NotImplementedError, match=r"load_model\(.model\.keras"):
        staghorn.layers.TFSMLayer("saved")
    with pytest.raises(NotImplementedError, match="FlaxLayer"):
        staghorn.layers.TorchModuleWrapper(object())
