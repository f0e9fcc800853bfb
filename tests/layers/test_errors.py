"""Errors of the basic layers: they name the layer, the argument, and what was received."""

import re

import numpy as np
import pytest

import staghorn
from staghorn import layers

BAD_ARGUMENTS = [
    ("Dense", {"units": -3}, "Dense: units must be a positive int, got -3 (int)."),
    ("Dense", {"units": 2.5}, "got 2.5 (float)"),
    ("Dense", {"units": 3, "use_bias": "yes"}, "use_bias must be a bool, got 'yes' (str)"),
    ("Dense", {"units": 3, "activation": "rleu"}, "Did you mean 'relu'?"),
    ("Dense", {"units": 3, "unit": 4}, "Did you mean 'units'?"),
    ("Dense", {"units": 3, "quantization_config": {"mode": "int8"}}, "got {'mode': 'int8'} (dict)"),
    ("Embedding", {"input_dim": 0, "output_dim": 2}, "input_dim must be a positive int, got 0"),
    ("Embedding", {"input_dim": 3, "output_dim": "2"}, "output_dim must be a positive int"),
    ("Embedding", {"input_dim": 3, "output_dim": 2, "weights": np.ones((4, 2))}, "(3, 2)"),
    ("ReLU", {"max_value": -1.0}, "max_value must be a float of 0 or more, got -1.0"),
    ("ReLU", {"negative_slope": None}, "negative_slope must be a float of 0 or more, got None"),
    ("LeakyReLU", {"alpha": -0.1}, "negative_slope must be a float of 0 or more"),
    ("ELU", {"alpha": "big"}, "alpha must be a float, got 'big'"),
    ("Dropout", {"rate": 1.5}, "Dropout: rate must be a number in [0, 1], got 1.5 (float)."),
    ("Dropout", {"rate": "half"}, "got 'half' (str)"),
    ("Dropout", {"rate": 0.5, "noise_shape": (2, -1)}, "noise_shape must be a tuple"),
    ("Dropout", {"rate": 0.5, "noise_shape": "all"}, "got 'all' (str)"),
    ("GaussianNoise", {"stddev": 2}, "stddev must be a number in [0, 1], got 2"),
    ("GaussianDropout", {"rate": 1.0}, "rate must be a number in [0, 1), got 1.0"),
    ("SpatialDropout2D", {"rate": 0.5, "data_format": "last"}, "data_format must be one of"),
    ("Flatten", {"data_format": "channels_lst"}, "Did you mean"),
    ("Reshape", {"target_shape": (-1, -1)}, "at most one of them -1, got (-1, -1)"),
    ("Reshape", {"target_shape": 6}, "must be a tuple of sizes without the batch"),
    ("Reshape", {"target_shape": (2, -3)}, "got (2, -3)"),
    ("Permute", {"dims": (0, 1)}, "dims must hold each of 1, 2, ..., n once"),
    ("RepeatVector", {"n": 0}, "n must be a positive int, got 0"),
    ("BatchNormalization", {"momentum": 2.0}, "momentum must be a number in [0, 1], got 2.0"),
    ("BatchNormalization", {"synchronized": 1}, "synchronized must be a bool, got 1 (int)."),
    ("BatchNormalization", {"renorm": True, "renorm_clipping": {"max": 1}}, "rmax >= rmin"),
    ("BatchNormalization", {"axis": "last"}, "axis must be an int, got 'last' (str)."),
    ("BatchNormalization", {"axis": [1, 2]}, "axis must be an int, got [1, 2] (list)."),
    ("Dense", {"units": 3, "kernel_init": "zeros"}, "Did you mean 'kernel_initializer'?"),
    ("LayerNormalization", {"axis": "last"}, "axis must be an int or a list, got 'last'"),
    ("GroupNormalization", {"groups": 0}, "groups must be a positive int, or -1"),
    ("Dot", {"axes": (1, 2, 3)}, "axes must be an int or two ints"),
    ("Concatenate", {"axis": "last"}, "axis must be an int"),
    ("Lambda", {"function": 3}, "function must be a callable, got 3 (int)"),
]

BAD_INPUTS = [
    ("Dense", {"units": 3}, (5,), ["Dense 'it'", "2 axes", "(5,)"]),
    ("Permute", {"dims": (2, 1)}, (2, 3), ["Permute 'it'", "expected 3 axes, got 2"]),
    ("RepeatVector", {"n": 2}, (2, 3, 4), ["RepeatVector 'it'", "(2, 3, 4)"]),
    ("Reshape", {"target_shape": (5, 2)}, (2, 3, 4), ["Reshape 'it'", "(3, 4)", "(5, 2)"]),
    ("Reshape", {"target_shape": (5, -1)}, (2, 3, 4), ["12 values", "(5, -1)"]),
    ("SpatialDropout1D", {"rate": 0.5}, (2, 3), ["SpatialDropout1D 'it'", "3 axes"]),
    ("BatchNormalization", {"axis": 4}, (2, 3), ["BatchNormalization 'it'", "axis=4", "(2, 3)"]),
    ("LayerNormalization", {"axis": [1, 3]}, (2, 3), ["axis=[1, 3]", "(2, 3)"]),
    ("RMSNormalization", {"axis": 3}, (2, 3), ["RMSNormalization 'it'", "axis=3"]),
    ("GroupNormalization", {"groups": 4}, (2, 3), ["groups=4", "divide", "3"]),
    ("UnitNormalization", {"axis": 3}, (2, 3), ["axis=3"]),
    ("Add", {}, (2, 3), ["Add 'it' takes a list", "Add()([x, y])", "(2, 3)"]),
    ("Add", {}, [(2, 3), (2, 4)], ["Add 'it'", "3 and 4", "(2, 3), (2, 4)"]),
    ("Add", {}, [(2, 3), (5, 3)], ["batch sizes differ", "(2, 3), (5, 3)"]),
    ("Subtract", {}, [(2, 3)] * 3, ["exactly 2", "(2, 3), (2, 3), (2, 3)"]),
    ("Concatenate", {}, [(2, 3), (4, 3)], ["axis 0", "axis=-1", "(2, 3), (4, 3)"]),
    ("Concatenate", {}, [(2, 3), (2, 3, 4)], ["same rank", "(2, 3, 4)"]),
    ("Concatenate", {}, (2, 3), ["takes a list"]),
    ("Dot", {"axes": 1}, [(2, 3), (2, 4)], ["Dot 'it'", "3 and 4", "axes=1"]),
    ("Dot", {"axes": 0}, [(2, 3), (2, 3)], ["axes=0", "after the batch"]),
    ("Dot", {"axes": 1}, [(2, 3)], ["exactly 2"]),
    ("Rescaling", {"scale": [[1.0, 2.0]]}, (2,), ["Rescaling 'it'", "(1, 2)", "(2,)"]),
]


@pytest.mark.parametrize(("layer", "kwargs", "words"), BAD_ARGUMENTS)
def test_bad_argument(layer, kwargs, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        getattr(layers, layer)(**kwargs)


@pytest.mark.parametrize(("layer", "kwargs", "shape", "words"), BAD_INPUTS)
@pytest.mark.parametrize("symbolic", [False, True])
def test_bad_input(layer, kwargs, shape, words, symbolic):
    if layer == "Rescaling" and symbolic:
        kwargs = {"scale": 1.0, "offset": 0.0}
    made = getattr(layers, layer)(**kwargs, name="it")

    def given(size):
        return staghorn.Input(batch_shape=size) if symbolic else np.ones(size, "float32")

    inputs = [given(s) for s in shape] if isinstance(shape, list) else given(shape)
    if layer == "Rescaling" and symbolic:
        assert made(inputs).shape == shape
        return
    with pytest.raises(ValueError, match=layer) as caught:
        made(inputs)
    for part in words:
        assert part in str(caught.value)


def test_a_built_dense_names_the_axis_that_changed():
    layer = layers.Dense(3, name="head")
    layer(np.ones((2, 5), "float32"))
    with pytest.raises(ValueError, match="expected axis -1 to have size 5, got 4") as caught:
        layer(np.ones((2, 4), "float32"))
    assert "Dense 'head'" in str(caught.value)


def test_dense_needs_a_known_last_axis():
    with pytest.raises(ValueError, match="Dense 'head': the last axis of the input must be known"):
        layers.Dense(3, name="head")(staghorn.Input((None,)))


def test_a_lambda_expression_has_no_config():
    layer = layers.Lambda(lambda x: x, name="mine")
    assert layer(np.ones(2)).shape == (2,)
    with pytest.raises(ValueError, match="register_keras_serializable") as caught:
        layer.get_config()
    assert "Lambda 'mine'" in str(caught.value)


def test_code_in_a_lambda_config_never_runs():
    function = {"class_name": "__lambda__", "config": {"code": "4wEAAAA", "defaults": None}}
    with pytest.raises(ValueError, match="never runs"):
        layers.Lambda.from_config({"name": "x", "function": function})


def test_a_softmax_mask_must_fit():
    with pytest.raises(ValueError, match=r"mask shape \(5,\) for inputs of shape \(2, 3\)"):
        layers.Softmax()(np.ones((2, 3), "float32"), mask=np.ones(5, bool))


def test_a_batch_normalization_mask_must_fit():
    with pytest.raises(ValueError, match="one axis less than the input"):
        layers.BatchNormalization()(
            np.ones((2, 3), "float32"), training=True, mask=np.ones((2, 3), bool)
        )


def test_add_weight_takes_the_shape_or_the_name_first():
    layer = layers.Layer()
    assert layer.add_weight((2, 3), name="w").shape == (2, 3)
    weight = layer.add_weight("kernel", (3, 4))  # as tf.keras wrote it
    assert (weight.name, weight.shape) == ("kernel", (3, 4))


def test_layers_to_json_and_back():
    layer = layers.Dense(3, activation="relu", name="head")
    assert layers.serialize(layer) == staghorn.saving.serialize_keras_object(layer)
    again = layers.deserialize(layers.serialize(layer))
    assert again.get_config() == layer.get_config()
    config = staghorn.losses.serialize(staghorn.losses.Huber())
    with pytest.raises(ValueError, match=r"Huber.* cannot be a layer"):
        layers.deserialize(config)


def test_user_layers_from_json_by_name():
    class Mine(layers.Dense):
        pass

    config = layers.serialize(Mine(3))
    assert type(layers.deserialize(config, custom_objects={"Mine": Mine})) is Mine
