"""Layers and functions that left Keras: what they compute, in what they are made of today."""

import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.compat import old_layers
from staghorn.compat.old_layers import Highway, MaxoutDense, Merge, merge
from staghorn.engine import spellings
from staghorn.engine.spellings import OldSpelling

pytestmark = pytest.mark.filterwarnings("ignore::staghorn.engine.spellings.OldSpelling")

DRAW = np.random.default_rng(3)
A, B = DRAW.normal(size=(2, 5, 4)).astype("float32")
LENGTHS = np.linalg.norm(A, axis=1) * np.linalg.norm(B, axis=1)

MODES = [
    ("sum", {}, A + B, "Add"),
    ("mul", {}, A * B, "Multiply"),
    ("ave", {}, (A + B) / 2, "Average"),
    ("max", {}, np.maximum(A, B), "Maximum"),
    ("concat", {"concat_axis": 1}, np.concatenate([A, B], 1), "Concatenate"),
    ("dot", {}, (A * B).sum(1, keepdims=True), "Dot"),
    ("dot", {"dot_axes": [[1], [1]]}, (A * B).sum(1, keepdims=True), "Dot"),
    ("cos", {"dot_axes": 1}, ((A * B).sum(1) / LENGTHS)[:, None], "Dot"),
    (lambda pair: pair[0] - pair[1], {"output_shape": (4,)}, A - B, "Lambda"),
]


@pytest.mark.parametrize(("mode", "options", "expected", "kind"), MODES)
def test_merge(mode, options, expected, kind):
    a, b = staghorn.Input((4,)), staghorn.Input((4,))
    output = merge([a, b], mode=mode, name="both", **options)
    model = staghorn.Model([a, b], output)
    assert (type(model.layers[-1]).__name__, model.layers[-1].name) == (kind, "both")
    assert output.shape[1:] == expected.shape[1:]
    np.testing.assert_allclose(model.predict([A, B], verbose=0), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(Merge(mode=mode, **options)([A, B]), expected, rtol=1e-5, atol=1e-6)


def test_merge_with_an_unknown_mode():
    with pytest.raises(ValueError, match=r"mode must be one of sum, mul, .* got 'join'"):
        merge([A, B], mode="join")


def branch(size):
    made = staghorn.Sequential()
    made.add(layers.Dense(3, input_dim=size))
    return made


@pytest.fixture
def grown():
    """A Sequential of three branches, two of them merged first."""
    pair = staghorn.Sequential()
    pair.add(Merge([branch(4), layers.Dense(2, input_shape=(4,))], mode="concat"))
    model = staghorn.Sequential()
    model.add(Merge([pair, branch(2)], mode="concat"))
    model.add(layers.Dense(1))
    return model


def test_a_sequential_that_begins_with_branches(grown, tmp_path):
    data, targets = [A, B, A[:, :2]], DRAW.normal(size=(5, 1)).astype("float32")
    assert [x.shape for x in grown.inputs] == [(None, 4), (None, 4), (None, 2)]
    k1, b1, k2, b2, k3, b3, k4, b4 = grown.get_weights()
    parts = [A @ k1 + b1, B @ k2 + b2, A[:, :2] @ k3 + b3]
    expected = np.concatenate(parts, 1) @ k4 + b4
    np.testing.assert_allclose(grown.predict(data, verbose=0), expected, rtol=1e-5, atol=1e-6)
    grown.compile("adam", "mse")
    losses = grown.fit(data, targets, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    grown.save(tmp_path / "m.keras")
    again = staghorn.models.load_model(tmp_path / "m.keras")
    assert type(again) is staghorn.models.Functional
    np.testing.assert_allclose(again.predict(data, verbose=0), grown.predict(data, verbose=0))


def test_branches_without_a_shape():
    model = staghorn.Sequential()
    with pytest.raises(ValueError, match=r"input shape of 'vague' is not known.*input_shape="):
        model.add(Merge([branch(2), layers.Dense(3, name="vague")]))


def test_a_merge_is_said_once(monkeypatch):
    monkeypatch.setattr(spellings, "_said", set())
    with pytest.warns(
        OldSpelling, match=r"merge\(mode='sum'\).*Today: Add\(\)\(\[a, b\]\)"
    ) as said:
        [merge([A, B]) for _ in range(2)]
    assert [warning.filename for warning in said] == [__file__]


MADE = [
    ("AtrousConvolution1D", (3, 2), {"atrous_rate": 2}, "Conv1D", {"dilation_rate": (2,)}),
    (
        "AtrousConvolution2D",
        (3, 2, 1),
        {"atrous_rate": (2, 2)},
        "Conv2D",
        {"kernel_size": (2, 1), "dilation_rate": (2, 2)},
    ),
    (
        "Deconvolution2D",
        (3, 2, 1),
        {"output_shape": (None, 4, 4, 3), "subsample": (2, 2), "border_mode": "same"},
        "Conv2DTranspose",
        {"kernel_size": (2, 1), "strides": (2, 2), "padding": "same"},
    ),
    ("CuDNNGRU", (3,), {"return_sequences": True}, "GRU", {"reset_after": True}),
    ("CuDNNLSTM", (3,), {}, "LSTM", {"recurrent_activation": "sigmoid"}),
    ("TimeDistributedDense", (), {"output_dim": 3}, "Dense", {"units": 3}),
    ("ThresholdedReLU", (), {"theta": 0.5}, "ReLU", {"threshold": 0.5}),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "today", "config"), MADE)
def test_a_successor(name, args, kwargs, today, config):
    layer = getattr(old_layers, name)(*args, **kwargs)
    assert type(layer) is getattr(layers, today)
    assert config.items() <= layer.get_config().items()


def fresh(layer):
    """Return a layer made again from its config, with the same weights."""
    twin = staghorn.layers.deserialize(staghorn.layers.serialize(layer))
    twin.build((None, 4))
    twin.set_weights(layer.get_weights())
    return twin


@pytest.mark.parametrize("bias", [True, False])
def test_maxout(bias):
    layer = MaxoutDense(3, nb_feature=2, init="normal", bias=bias, input_dim=4)
    layer.build((None, 4))
    assert [w.shape for w in layer.weights] == [(2, 4, 3), (2, 3)][: 1 + bias]
    layer.set_weights([DRAW.normal(size=w.shape) for w in layer.weights])
    kernel, *offset = layer.get_weights()
    expected = np.max([A @ k + (offset[0][i] if bias else 0) for i, k in enumerate(kernel)], axis=0)
    np.testing.assert_allclose(layer(A), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(fresh(layer)(A), layer(A))


@pytest.mark.parametrize("bias", [True, False])
def test_highway(bias):
    layer = Highway(activation="tanh", bias=bias, W_regularizer="l2")
    layer.build((None, 4))
    if bias:
        np.testing.assert_array_equal(layer.get_weights()[3], np.ones(4))
    layer.set_weights([DRAW.normal(size=w.shape) for w in layer.weights])
    w, carry, b, b_carry = [*layer.get_weights(), 0, 0][:4]
    gate = 1 / (1 + np.exp(-(A @ carry + b_carry)))
    expected = gate * np.tanh(A @ w + b) + (1 - gate) * A
    np.testing.assert_allclose(layer(A), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(fresh(layer)(A), layer(A))
    assert len(layer.losses) == 2


def convolved(x, kernel, size, stride):
    """A convolution in plain loops whose kernel differs from place to place."""
    rank = len(size)
    places = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], size, stride, strict=True)]
    out = np.zeros((len(x), *places, kernel.shape[-1]), "float32")
    for number, place in enumerate(np.ndindex(*places)):
        window = tuple(slice(p * s, p * s + k) for p, s, k in zip(place, stride, size, strict=True))
        out[:, *place] = x[:, *window].reshape(len(x), -1) @ kernel[number]
    assert out.ndim == rank + 2
    return out


LOCAL = [
    ("LocallyConnected1D", {"nb_filter": 3, "filter_length": 2}, (2, 5, 4), (2,), (1,)),
    ("LocallyConnected1D", {"filters": 3, "kernel_size": 2, "strides": 2}, (2, 5, 4), (2,), (2,)),
    (
        "LocallyConnected2D",
        {"nb_filter": 3, "nb_row": 2, "nb_col": 3, "subsample": (1, 2)},
        (2, 4, 7, 2),
        (2, 3),
        (1, 2),
    ),
]


@pytest.mark.parametrize(("name", "arguments", "shape", "size", "stride"), LOCAL)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_locally_connected(name, arguments, shape, size, stride, data_format):
    data = DRAW.normal(size=shape).astype("float32")
    given = data if data_format == "channels_last" else np.moveaxis(data, -1, 1)
    layer = getattr(old_layers, name)(**arguments, data_format=data_format, activation="relu")
    layer.build(given.shape)
    layer.set_weights([DRAW.normal(size=w.shape) for w in layer.weights])
    kernel, bias = layer.get_weights()
    expected = np.maximum(convolved(data, kernel, size, stride) + bias, 0)
    found = np.asarray(layer(given))
    found = found if data_format == "channels_last" else np.moveaxis(found, 1, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    twin = staghorn.layers.deserialize(staghorn.layers.serialize(layer))
    assert twin.get_config() == layer.get_config()
    symbolic = layer(staghorn.Input(given.shape[1:]))
    assert symbolic.shape[1:] == np.asarray(layer(given)).shape[1:]


def test_locally_connected_takes_no_padding():
    with pytest.raises(ValueError, match="padding must be 'valid', got 'same'"):
        old_layers.LocallyConnected2D(3, 2, border_mode="same")


def test_classes_of_probabilities():
    assert old_layers.probas_to_classes([[0.2], [0.7]]).tolist() == [0, 1]
    assert old_layers.probas_to_classes(np.array([0.6, 0.1])).tolist() == [1, 0]
    for function in (old_layers.probas_to_classes, old_layers.categorical_probas_to_classes):
        assert function(np.array([[0.2, 0.8], [0.9, 0.1]])).tolist() == [1, 0]


def test_containers():
    assert old_layers.containers.Sequential is staghorn.Sequential
