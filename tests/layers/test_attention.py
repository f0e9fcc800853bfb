"""MultiHeadAttention and dot_product_attention against keras."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from keras.src.backend import get_keras_mask

import staghorn
from staghorn.engine.masks import get_mask
from staghorn.ops.attention import causal_mask, window_mask
from tests.oracle import assert_same, compare, keras

RNG = np.random.default_rng(0)
QUERY = RNG.normal(size=(2, 3, 4)).astype("float32")
VALUE = RNG.normal(size=(2, 5, 6)).astype("float32")
KEY = RNG.normal(size=(2, 5, 4)).astype("float32")
IMAGE = RNG.normal(size=(2, 3, 2, 4)).astype("float32")
LOOK = RNG.random((2, 3, 5)) > 0.3
LOOK[0, 0] = False  # a step that may look nowhere

T = {"training": True}
CAUSAL = {"use_causal_mask": True}
SCORES = {"return_attention_scores": True}
EVERYTHING = {
    "value_dim": 5,  # keras needs dropout or scores for a value_dim that is not key_dim
    "dropout": 0.3,
    "seed": 3,
    "output_shape": (2, 3),
    "use_gate": True,
    "kernel_initializer": "he_normal",
    "bias_initializer": "ones",
    "kernel_regularizer": "l2",
    "bias_regularizer": "l1",
    "activity_regularizer": "l2",
    "kernel_constraint": "non_neg",
    "bias_constraint": "max_norm",
}

CASES = {
    "self": ({}, (QUERY, QUERY), {}),
    "cross, causal": ({"value_dim": 3, "use_bias": False}, (QUERY, VALUE, KEY), CAUSAL),
    "mask": ({}, (QUERY, VALUE), {"attention_mask": LOOK}),
    "mask for all": ({}, (QUERY, VALUE), {"attention_mask": LOOK[1]}),
    "scores": ({}, (QUERY, VALUE), {"attention_mask": LOOK, **SCORES, **CAUSAL}),
    "dropout": ({"dropout": 0.4, "seed": 3}, (QUERY, VALUE), {"attention_mask": LOOK, **T}),
    "dropout, scores": ({"dropout": 0.4, "seed": 3}, (QUERY, QUERY), {**T, **SCORES, **CAUSAL}),
    "window": ({"sliding_window": 2}, (QUERY, QUERY), CAUSAL),
    "everything": (EVERYTHING, (QUERY, VALUE, KEY), {}),
    "two axes": ({}, (IMAGE, IMAGE), SCORES),
    "second axis": ({"attention_axes": 2}, (IMAGE, IMAGE), {"attention_mask": LOOK[:, :2, :2]}),
    "axis from behind": ({"attention_axes": (-2,), "output_shape": 3}, (IMAGE, IMAGE), {}),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def both(kwargs, inputs, **more):
    """Our layer and keras's with the same random weights."""
    pair = [
        m.layers.MultiHeadAttention(2, 3, name="given", **kwargs, **more) for m in (staghorn, keras)
    ]
    for layer in pair:
        layer(*inputs)
    rng = np.random.default_rng(1)
    values = [rng.uniform(-1.0, 1.0, size=v.shape).astype("float32") for v in pair[1].weights]
    for layer in pair:
        layer.set_weights(values)
    return pair


@every_case
def test_forward_gradient_and_seeds(case):
    kwargs, inputs, call = case
    pair = both(kwargs, inputs)

    def loss(layer, weights, inputs, rest):
        out, rest = layer.stateless_call(weights, rest, *inputs, **call)
        flat = jnp.concatenate([jnp.ravel(part) for part in jax.tree.leaves(out)])
        return jnp.sum(flat * jnp.cos(jnp.arange(flat.size, dtype="float32"))), (out, rest)

    @jax.jit
    def results(states, inputs):
        return [
            jax.value_and_grad(
                lambda w, x, layer=layer, rest=rest: loss(layer, w, x, rest), (0, 1), has_aux=True
            )(w, inputs)
            for layer, (w, rest) in zip(pair, states, strict=True)
        ]

    states = [
        [
            [jnp.array(getattr(v, "value", v)) for v in group]
            for group in (layer.trainable_variables, layer.non_trainable_variables)
        ]
        for layer in pair
    ]
    ours, theirs = results(states, inputs)
    assert_same(ours, theirs, rtol=2e-4, atol=2e-5)


@every_case
def test_config_weights_and_shapes(case):
    kwargs, inputs, call = case
    ours, theirs = both(kwargs, inputs)
    assert ours.get_config() == theirs.get_config()
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    again = staghorn.layers.MultiHeadAttention.from_config(ours.get_config())
    assert again.get_config() == ours.get_config()
    shapes = [x.shape for x in inputs]
    tensors = [staghorn.Input(batch_shape=s) for s in shapes]
    given = {k: v for k, v in call.items() if k != "attention_mask"}
    symbolic = jax.tree.leaves(ours(*tensors, **given))
    eager = jax.tree.leaves(ours(*inputs, **given))
    assert [x.shape for x in symbolic] == [x.shape for x in eager]
    assert ours.compute_output_shape(*shapes) == eager[0].shape


def test_with_and_without_scores():
    layer = staghorn.layers.MultiHeadAttention(2, 3, value_dim=5, use_gate=True)
    out, scores = layer(QUERY, VALUE, return_attention_scores=True)
    assert_same(layer(QUERY, VALUE), out, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.sum(scores, axis=-1), 1.0, rtol=1e-5)


def test_unknown_lengths():
    layer = staghorn.layers.MultiHeadAttention(2, 3)
    query, value = staghorn.Input((None, 4)), staghorn.Input((None, 6))
    out, scores = layer(query, value, return_attention_scores=True, use_causal_mask=True)
    assert (out.shape, scores.shape) == ((None, None, 4), (None, 2, None, None))
    model = staghorn.Model([query, value], [out, scores])
    assert [x.shape for x in model([QUERY, VALUE])] == [(2, 3, 4), (2, 2, 3, 5)]


@pytest.mark.parametrize("kwargs", [{}, {"dropout": 0.2, "seed": 1}])
def test_masks_that_travel(kwargs):
    ours, theirs = both(kwargs, (QUERY, VALUE, KEY))
    zeroed = []
    for i, array in enumerate((QUERY, VALUE, KEY)):
        zeroed.append(array.copy())
        zeroed[-1][0, -1 - i % 2 :] = 0.0

    def result(library, layer, mask_of):
        out = layer(*[library.layers.Masking()(x) for x in zeroed])
        return out, mask_of(out)

    got, wanted = result(staghorn, ours, get_mask), result(keras, theirs, get_keras_mask)
    assert_same(got, wanted, rtol=1e-5, atol=1e-5)


def test_explicit_masks():
    ours, theirs = both({}, (QUERY, VALUE))
    real = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 0]], bool)
    masks = {"value_mask": real, "key_mask": real}
    assert_same(ours(QUERY, VALUE, **masks), theirs(QUERY, VALUE, **masks), rtol=1e-5, atol=1e-5)
    sliced = ours(QUERY[:1], VALUE[:1, :2])
    assert_same(ours(QUERY, VALUE, **masks)[:1], sliced, rtol=1e-5, atol=1e-5)
    asked = np.array([[1, 1, 0], [1, 0, 0]], bool)
    out = np.asarray(ours(QUERY, VALUE, query_mask=asked))
    np.testing.assert_allclose(out[asked], ours(QUERY, VALUE)[asked], rtol=1e-5, atol=1e-6)
    assert abs(out - ours(QUERY, VALUE))[~asked].max() > 1e-3


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
@pytest.mark.parametrize("kwargs", [{}, {"dropout": 0.2}])
def test_mixed_precision(policy, kwargs):
    ours, theirs = both(kwargs, (QUERY, VALUE), dtype=policy)
    got, wanted = (m(QUERY, VALUE, attention_mask=LOOK) for m in (ours, theirs))
    tolerance = 5e-2 if "bfloat16" in policy else 1e-2
    assert_same(got, wanted, rtol=tolerance, atol=tolerance)
    assert [v.dtype for v in ours.weights] == [v.dtype for v in theirs.weights]


def test_first_weights_are_those_of_keras():
    values = []
    for library in (staghorn, keras):
        library.utils.set_random_seed(4)
        layer = library.layers.MultiHeadAttention(2, 3, dropout=0.1, use_gate=True)
        layer(QUERY, VALUE)
        values.append([np.asarray(v.value) for v in layer.variables])
    assert_same(*values, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("heads", "kwargs"),
    [
        (4, {}),
        (4, {"is_causal": True, "scale": 0.3, "mask": LOOK[:, None], "bias": 1.0 * LOOK[:1, None]}),
        (2, {"is_causal": True}),
        (1, {"mask": LOOK[:, None]}),
    ],
)
def test_dot_product_attention(heads, kwargs):
    rng = np.random.default_rng(2)
    query = rng.normal(size=(2, 3, 4, 6)).astype("float32")
    key, value = rng.normal(size=(2, 2, 5, heads, 6)).astype("float32")
    compare(
        lambda *x: staghorn.ops.dot_product_attention(*x, **kwargs),
        lambda *x: keras.ops.dot_product_attention(*x, **kwargs),
        query,
        key,
        value,
        rtol=1e-4,
        atol=1e-5,
    )


def test_gradient_of_the_gradient():
    """Hessians need forward over reverse mode."""
    x = jnp.asarray(QUERY[:1, :2, None, :2])

    def total(fn):
        return lambda x: jnp.sum(jnp.sin(fn(x, x, x)))

    ours = jax.hessian(total(staghorn.ops.dot_product_attention))(x)
    assert_same(ours, jax.hessian(total(jax.nn.dot_product_attention))(x), rtol=1e-4, atol=1e-5)


def test_mask_shapes():
    assert causal_mask(2, 3).tolist() == [[True, False, False], [True, True, False]]
    assert window_mask(3, 3, 2).tolist() == [
        [True, True, False],
        [True, True, True],
        [False, True, True],
    ]


MHA = staghorn.layers.MultiHeadAttention
ERRORS = {
    "heads": (lambda: MHA(0, 3), r"num_heads must be a positive int, got 0 \(int\)"),
    "axes": (lambda: MHA(2, 3, attention_axes="time"), "attention_axes must be an int or a tuple"),
    "flash and dropout": (lambda: MHA(2, 3, flash_attention=True, dropout=0.5), "dropout=0.5"),
    "flash on a CPU": (lambda: MHA(2, 3, flash_attention=True)(QUERY, VALUE), "NVIDIA GPU"),
    "lengths": (lambda: MHA(2, 3)(QUERY, VALUE, QUERY), "must have the same steps"),
    "no list": (lambda: staghorn.layers.Attention()(QUERY), r"\[query, value\]"),
    "mask": (
        lambda: staghorn.layers.Attention()([QUERY, QUERY], mask=QUERY[..., 0] > 0),
        "mask must be a list",
    ),
    "score mode": (
        lambda: staghorn.layers.Attention(score_mode="dott"),
        "score_mode must be one of 'dot', 'concat'.*Did you mean 'dot'",
    ),
    "equation": (
        lambda: staghorn.layers.EinsumDense("ab->bc", 3),
        "equation must look like 'abc,cd->abd'",
    ),
    "bias axes": (
        lambda: staghorn.layers.EinsumDense("ab,bc->ac", 3, bias_axes="x"),
        "bias_axes must be letters of the output 'ac'",
    ),
    "axes of the input": (
        lambda: staghorn.layers.EinsumDense("ab,bc->ac", 3)(QUERY),
        r"names 2 input axes, got an input of shape \(2, 3, 4\)",
    ),
    "output shape": (
        lambda: staghorn.layers.EinsumDense("abc,cd->abd", 3)(QUERY),
        "output_shape must give a size",
    ),
    "rank": (lambda: staghorn.ops.dot_product_attention(QUERY, QUERY, QUERY), "4 axes"),
    "soft cap": (
        lambda: staghorn.ops.dot_product_attention(
            IMAGE, IMAGE, IMAGE, attn_logits_soft_cap=1.0
        ),
        "not supported",
    ),
    "mask size": (
        lambda: staghorn.ops.dot_product_attention(IMAGE, IMAGE, IMAGE, mask=LOOK[0]),
        "mask must broadcast",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "text"), ERRORS.values(), ids=list(ERRORS))
def test_errors(wrong, text):
    with pytest.raises(ValueError, match=text):
        wrong()
