"""What single layers promise beyond the family table: state, masks, old spellings, edge cases."""

import inspect

import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.engine.masks import get_mask
from staghorn.engine.scope import jit
from staghorn.engine.serialization import (
    custom_object_scope,
    deserialize_keras_object,
    register_keras_serializable,
    serialize_keras_object,
)
from tests.layers.cases import ALL
from tests.oracle import assert_same, keras


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# Batch normalization --------------------------------------------------------------------------


def test_batch_normalization_follows_keras_over_many_steps():
    ours, theirs = layers.BatchNormalization(), keras.layers.BatchNormalization()
    step = jit(lambda x: ours(x, training=True))
    for seed in range(5):
        x = random(8, 3, seed=seed) * 3 + 2
        assert_same(step(x), theirs(x, training=True), rtol=1e-4, atol=1e-5)
    assert_same(
        [v.value for v in ours.weights], [v.value for v in theirs.weights], rtol=1e-5, atol=1e-6
    )
    assert_same(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_frozen_batch_normalization_is_inference():
    layer = layers.BatchNormalization()
    x = random(8, 3) + 5
    layer(x, training=True)
    before = layer.get_weights()
    layer.trainable = False
    assert_same(layer(x, training=True), layer(x, training=False))
    assert_same(layer.get_weights(), before)


def test_statistics_are_float32_under_a_mixed_policy():
    layer = layers.BatchNormalization(dtype="mixed_float16")
    # The squares overflow a half; the variance of these numbers is 300**2.
    y = layer(np.array([[-300.0], [300.0]], "float32"), training=True)
    assert y.dtype == "float16"
    np.testing.assert_allclose(np.asarray(y, "float32"), [[-1.0], [1.0]], atol=1e-3)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.99 + 0.01 * 300**2, rtol=1e-5)


def test_masked_moments_equal_those_of_the_kept_steps():
    x = random(2, 4, 3)
    mask = np.array([[True, True, False, True], [False, True, True, False]])
    whole, part = layers.BatchNormalization(momentum=0.0), layers.BatchNormalization(momentum=0.0)
    whole(x, training=True, mask=jnp.asarray(mask))
    part(x[mask], training=True)
    assert_same(whole.get_weights(), part.get_weights(), rtol=1e-5, atol=1e-6)


def test_batch_normalization_of_one_channel_takes_a_mask():
    layer = layers.BatchNormalization()
    y = layer(random(2, 4, 1), training=True, mask=jnp.ones((2, 4), bool))
    assert y.shape == (2, 4, 1)


# Embedding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float32", "bool"])
def test_embedding_takes_any_index_type(dtype):
    x = np.array([[0, 1], [1, 0]]).astype(dtype)
    ours, theirs = layers.Embedding(3, 2), keras.layers.Embedding(3, 2)
    theirs.build((None, 2))
    ours.build((None, 2))
    ours.set_weights([np.asarray(theirs.weights[0].value)])
    assert_same(ours(x), theirs(x))


def test_embedding_outside_the_table():
    ours, theirs = layers.Embedding(3, 2), keras.layers.Embedding(3, 2)
    ours(np.array([0]))
    theirs(np.array([0]))
    ours.set_weights([np.asarray(theirs.weights[0].value)])
    x = np.array([-1, 2, 3, 99])
    assert_same(ours(x), theirs(x))
    assert bool(jnp.isnan(ours(x)[2:]).all())


@pytest.mark.parametrize("wrapped", [False, True])
def test_embedding_starts_from_given_weights(wrapped):
    matrix = random(5, 2)
    layer = layers.Embedding(5, 2, weights=[matrix] if wrapped else matrix, input_length=7)
    assert layer.built
    assert_same(layer.get_weights(), [matrix])
    assert "weights" not in layer.get_config()


def test_embedding_indices_survive_a_half_policy():
    layer = layers.Embedding(5000, 1, dtype="float16")
    layer.build((None,))
    layer.set_weights([(np.arange(5000) % 7)[:, None]])
    assert float(layer(np.array([4097.0], "float32"))[0, 0]) == 4097 % 7


def test_mask_of_embedding_reaches_through_dense():
    x = np.array([[3, 1, 0], [2, 0, 0]])
    hidden = layers.Dense(4, activation="tanh")(layers.Embedding(5, 2, mask_zero=True)(x))
    assert np.asarray(get_mask(hidden)).tolist() == (x != 0).tolist()


# Dropout --------------------------------------------------------------------------------------


def test_dropout_draws_keras_masks_one_after_another():
    ours, theirs = layers.Dropout(0.5, seed=11), keras.layers.Dropout(0.5, seed=11)
    x = np.ones((4, 6), "float32")
    draws = [ours(x, training=True) for _ in range(3)]
    assert_same(draws, [theirs(x, training=True) for _ in range(3)])
    assert bool((draws[0] != draws[1]).any())
    assert [v.name for v in ours.variables] == ["seed_generator_state"]
    assert ours.weights == []


def test_dropout_seed_moves_on_in_compiled_code():
    layer = layers.Dropout(0.5, seed=11)
    twin = layers.Dropout(0.5, seed=11)
    step = jit(lambda x: layer(x, training=True))
    x = np.ones((4, 6), "float32")
    assert_same([step(x), step(x)], [twin(x, training=True), twin(x, training=True)])


def test_dropout_without_a_seed_is_keras_after_set_random_seed():
    import random as python_random

    python_random.seed(3)
    ours = layers.Dropout(0.5)
    python_random.seed(3)
    theirs = keras.layers.Dropout(0.5)
    x = np.ones((4, 6), "float32")
    assert_same(ours(x, training=True), theirs(x, training=True))


def test_rate_zero_has_no_generator():
    assert layers.Dropout(0.0).variables == []


# Activations ----------------------------------------------------------------------------------


def test_leaky_relu_takes_the_old_name():
    assert layers.LeakyReLU(alpha=0.1).negative_slope == 0.1
    assert layers.LeakyReLU(alpha=0.1).get_config()["negative_slope"] == 0.1


@pytest.mark.parametrize("kind", [bool, "float32"])
@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 1), (4,)])
@pytest.mark.parametrize("axis", [-1, (1, 2)])
def test_softmax_with_a_mask(kind, shape, axis):
    x = random(2, 3, 4)
    mask = jnp.asarray(np.random.default_rng(1).uniform(size=shape) > 0.4).astype(kind)
    ours, theirs = layers.Softmax(axis=axis), keras.layers.Softmax(axis=axis)
    assert_same(ours(x, mask=mask), theirs(x, mask=mask))


def test_activation_of_whole_numbers_has_the_right_symbolic_type():
    for name in ("relu", "tanh"):
        layer = layers.Activation(name)
        symbolic = layer(staghorn.Input((3,), dtype="int32"))
        assert symbolic.dtype == layer(np.array([[1, -2, 3]], "int32")).dtype


# Reshaping ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer",
    [
        layers.Flatten(),
        layers.Reshape((-1,)),
        layers.Reshape((4, -1)),
        layers.Permute((2, 1)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_an_empty_batch_keeps_its_shape(layer):
    assert layer(np.zeros((0, 3, 4), "float32")).shape == layer.compute_output_shape((0, 3, 4))


def test_flatten_follows_the_configured_data_format():
    staghorn.config.set_image_data_format("channels_first")
    layer = layers.Flatten()
    assert layer.get_config()["data_format"] == "channels_first"
    x = random(2, 3, 4)
    assert_same(layer(x), x.transpose(0, 2, 1).reshape(2, 12))


# Merging --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate", "dot"]
)
def test_functional_spellings(name):
    inputs = [random(2, 3), random(2, 3, seed=1)]
    ours, theirs = getattr(layers, name), getattr(keras.layers, name)
    assert_same(ours(inputs), theirs(inputs))
    tensor = ours([staghorn.Input((3,)), staghorn.Input((3,))], name="merged")
    assert tensor.shape == (None, *ours(inputs).shape[1:])


def test_merging_of_types_is_the_wider_type():
    x, y = np.ones((2, 3), "int32"), np.ones((2, 3), "float32")
    assert_same(layers.Add()([x, y]), keras.layers.Add()([x, y]))
    assert_same(layers.Concatenate()([x, y]), keras.layers.Concatenate()([x, y]))


def test_masked_steps_do_not_count():
    x = np.array([[[1.0], [9.0]]], "float32")
    y = np.array([[[2.0], [3.0]]], "float32")
    x[0, 1] = 0.0  # masked
    masked = layers.Masking()
    assert np.asarray(layers.Minimum()([masked(x), masked(y)])).ravel().tolist() == [1.0, 3.0]
    assert np.asarray(layers.Multiply()([masked(x), masked(y)])).ravel().tolist() == [2.0, 3.0]


def test_a_merge_layer_may_be_called_with_other_ranks_later():
    layer = layers.Add()
    layer([random(2, 3), random(2, 3)])
    assert layer([random(2, 3), random(2, 4, 3)]).shape == (2, 4, 3)


# Lambda ---------------------------------------------------------------------------------------


@register_keras_serializable("tests")
def scaled(x, factor=2.0):
    return x * factor


@register_keras_serializable("tests")
def halved_shape(shape):
    return (*shape[:-1], shape[-1] // 2)


def first_half(x):
    return x[..., : x.shape[-1] // 2]


def test_lambda_config_holds_a_name_and_no_code():
    layer = layers.Lambda(scaled, arguments={"factor": 3.0}, name="given")
    config = layer.get_config()
    assert config["function"]["config"] == "tests>scaled"
    again = deserialize_keras_object(serialize_keras_object(layer))
    x = random(2, 4)
    assert_same(again(x), 3 * x)
    assert again.get_config() == config


def test_lambda_config_is_keras_config():
    keras.saving.register_keras_serializable("tests")(scaled)
    kwargs = {"arguments": {"factor": 3.0}, "output_shape": (4,), "name": "given"}
    assert layers.Lambda(scaled, **kwargs).get_config() == (
        keras.layers.Lambda(scaled, **kwargs).get_config()
    )


def test_lambda_with_shape_and_mask_functions():
    with custom_object_scope({"first_half": first_half}):
        layer = layers.Lambda(first_half, output_shape=halved_shape, mask=lambda x, mask: mask)
        assert layer(staghorn.Input((3, 6))).shape == (None, 3, 3)
        layer = layers.Lambda(first_half, output_shape=halved_shape)
        again = deserialize_keras_object(serialize_keras_object(layer))
        assert again.compute_output_shape((None, 6)) == (None, 3)


@pytest.mark.parametrize("shape", [(2, 6), (None, 6)])
def test_lambda_shape_is_traced(shape):
    layer = layers.Lambda(first_half)
    assert layer.compute_output_shape(shape) == (shape[0], 3)
    assert layer(staghorn.Input(batch_shape=shape)).shape == (shape[0], 3)


def test_lambda_passes_training_and_mask_on():
    layer = layers.Lambda(
        lambda x, mask, training: (x * mask[..., None]) if training else x,
        mask=lambda inputs, mask: mask,
    )
    x = layers.Masking()(np.array([[[1.0], [0.0]]], "float32"))
    assert np.asarray(layer(x, training=True)).ravel().tolist() == [1.0, 0.0]
    assert get_mask(layer(x)) is not None


def test_lambda_of_several_inputs():
    layer = layers.Lambda(lambda xs: xs[0] + xs[1], output_shape=(3,))
    assert layer([random(2, 3), random(2, 3)]).shape == (2, 3)
    assert layer([staghorn.Input((3,)), staghorn.Input((3,))]).shape == (None, 3)


# Rescaling ------------------------------------------------------------------------------------


def test_rescaling_per_channel_in_both_formats():
    x = random(2, 3, 4, 4)
    scale = [1.0, 2.0, 3.0]
    for library in (staghorn, keras):
        library.config.set_image_data_format("channels_first")
    try:
        assert_same(layers.Rescaling(scale)(x), keras.layers.Rescaling(scale)(x))
    finally:
        keras.config.set_image_data_format("channels_last")


def test_rescaling_keeps_an_array_in_its_config():
    layer = layers.Rescaling(np.array([1.0, 2.0], "float32"))
    again = deserialize_keras_object(serialize_keras_object(layer))
    assert_same(again(np.ones((1, 2), "float32")), np.array([[1.0, 2.0]], "float32"))


# Old files and user classes -------------------------------------------------------------------


def test_batch_normalization_reads_the_axis_of_keras_2():
    assert layers.BatchNormalization.from_config({"name": "b", "axis": [3]}).axis == 3


def test_a_subclass_with_its_own_build_is_built():
    class Gated(layers.Activation):
        def build(self, input_shape):
            self.gate = self.add_weight((input_shape[-1],), "ones", name="gate")

        def call(self, inputs):
            return super().call(inputs) * self.gate

    layer = Gated("relu")
    assert not layer.built
    assert_same(layer(np.ones((2, 3), "float32")), np.ones((2, 3), "float32"))
    assert len(layer.trainable_weights) == 1


# Signatures -----------------------------------------------------------------------------------


def parameters_of(cls):
    return [
        (p.name, 1 if p.default in ((1, 1), (1, 1, 1)) else p.default)  # strides: one for all axes
        for p in inspect.signature(cls.__init__).parameters.values()
        if p.kind is not p.VAR_KEYWORD
    ]


@pytest.mark.parametrize("name", sorted({case.layer for case in ALL} | {"Lambda"}))
def test_constructor_is_that_of_keras(name):
    assert parameters_of(getattr(layers, name)) == parameters_of(getattr(keras.layers, name))
