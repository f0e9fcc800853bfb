"""JaxLayer and FlaxLayer: functions and modules of JAX as layers; keras is the oracle."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from keras.src.utils import jax_layer

import staghorn
from tests.oracle import assert_same, keras

LIBRARIES = (staghorn, keras)
X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(6, 3)).astype("float32")
T = {"training": True}


@pytest.fixture(autouse=True)
def _without_tensorflow(monkeypatch):
    """Keras asks TensorFlow whether one of its functions runs; here there is neither."""
    monkeypatch.setattr(jax_layer, "tf", SimpleNamespace(inside_function=lambda: False))


def register(thing):
    for library in LIBRARIES:
        thing = library.saving.register_keras_serializable("jax_layers")(thing)
    return thing


@register
def start(rng, inputs):
    first, second = jax.random.split(rng)
    size = inputs.shape[-1]
    return {"w": jax.random.normal(first, (size, 3)), "b": [jax.random.normal(second, (3,))]}


@register
def affine(params, inputs):
    return inputs @ params["w"] + params["b"][0].reshape(1, -1)


@register
def noisy_start(rng, inputs, training):
    assert training is True
    return start(rng, inputs), {"calls": 0, "mean": jnp.zeros(3)}


@register
def noisy(params, state, rng, inputs, training):
    y = affine(params, inputs)
    if training:
        y = y * jax.random.bernoulli(rng, 0.5, y.shape)
        state = {"calls": state["calls"] + 1, "mean": y.mean(0)}
    else:
        assert rng is None
    return y, state


@register
class Block(nn.Module):
    features: int = 3

    @nn.compact
    def __call__(self, inputs, training):
        x = nn.Dense(self.features)(inputs)
        x = nn.BatchNorm(use_running_average=not training, momentum=0.5)(x)
        return nn.Dropout(0.5)(x, deterministic=not training)

    @nn.compact
    def double(self, inputs):
        return 2 * nn.Dense(self.features)(inputs)

    def get_config(self):
        return {"features": self.features}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Net(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(4, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(3, momentum=0.5, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, inputs):
        return self.drop(self.norm(self.dense(inputs)))

    def plain(self, inputs, training):
        return self.dense(inputs) * (2.0 if training else 1.0)


def made(build, seed=3):
    """The same layer of both libraries, from one random start."""
    layers = []
    for library in LIBRARIES:
        library.utils.set_random_seed(seed)
        layers.append(build(library.layers))
        layers[-1].build(X.shape)
    return layers


def values(layer):
    return [np.asarray(v.value) for v in layer.variables]


@pytest.mark.parametrize(
    "build",
    [
        lambda layers: layers.JaxLayer(affine, start, seed=5, name="given"),
        lambda layers: layers.JaxLayer(noisy, noisy_start, seed=5, name="given"),
        lambda layers: layers.JaxLayer(lambda inputs: inputs * 2, name="given"),
        lambda layers: layers.FlaxLayer(Block(), seed=5, name="given"),
        lambda layers: layers.FlaxLayer(Block(), Block().double, seed=5, name="given"),
        lambda layers: layers.FlaxLayer(
            Block(), lambda module, inputs: module.double(inputs), name="given"
        ),
    ],
    ids=["params", "state", "none", "linen", "method", "function"],
)
def test_equals_keras(build):
    ours, theirs = made(build)
    for training in (True, True, False):
        out = [layer(X, training=training) for layer in (ours, theirs)]
        assert_same(*out, rtol=1e-5, atol=1e-6)
        assert_same(values(ours), values(theirs), rtol=1e-5, atol=1e-6)
    assert [v.trainable for v in ours.weights] == [v.trainable for v in theirs.weights]
    assert ours(staghorn.Input((4,))).shape == (None, out[0].shape[-1])


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16"])
def test_dtypes(dtype):
    ours, theirs = made(lambda layers: layers.JaxLayer(noisy, noisy_start, dtype=dtype))
    assert_same(ours(X, **T), theirs(X, **T), rtol=2e-2, atol=2e-2)
    assert [v.dtype for v in ours.weights] == [v.dtype for v in theirs.weights]


def test_given_params_and_state():
    params = {"w": np.ones((4, 3)), "b": [np.zeros(3, "float32")], "what": "kept as it is"}
    layer = staghorn.layers.JaxLayer(noisy, params=params, state={"calls": 3, "mean": np.ones(3)})
    assert layer.built is False or layer.weights
    assert layer.params["what"] == "kept as it is"
    assert_same(layer(X), X @ np.ones((4, 3), "float32"), rtol=1e-5)
    assert int(layer.state["calls"].value) == 3


@pytest.mark.parametrize(
    "build",
    [
        lambda: staghorn.layers.JaxLayer(noisy, noisy_start),
        lambda: staghorn.layers.FlaxLayer(Block()),
        lambda: staghorn.layers.FlaxLayer(Net(nnx.Rngs(0))),
    ],
    ids=["jax", "linen", "nnx"],
)
def test_fit_and_files(build, tmp_path):
    layer = build()
    model = staghorn.Sequential([staghorn.Input((4,)), layer, staghorn.layers.Dense(3)])
    model.compile("adam", "mse")
    model.fit(X, Y, epochs=2, verbose=0)
    before, rest = values(layer), layer.non_trainable_weights
    moving = [v.numpy() for v in rest]
    model.fit(X, Y, epochs=2, batch_size=4, verbose=0)
    assert any(np.any(a != b) for a, b in zip(before, values(layer), strict=True))
    assert any(np.any(a != v.numpy()) for a, v in zip(moving, rest, strict=True))
    predicted = model.predict(X, verbose=0)
    assert_same(model(X), predicted, rtol=1e-5, atol=1e-6)
    model.save_weights(tmp_path / "m.weights.h5")
    twin = staghorn.Sequential([staghorn.Input((4,)), build(), staghorn.layers.Dense(3)])
    twin.load_weights(tmp_path / "m.weights.h5")
    assert_same(twin.predict(X, verbose=0), predicted, rtol=1e-6)


@pytest.mark.parametrize(
    "build",
    [
        lambda layers: layers.JaxLayer(affine, start, name="given"),
        lambda layers: layers.FlaxLayer(Block(5), name="given"),
        lambda layers: layers.FlaxLayer(Block(5), "double", name="given"),
    ],
    ids=["jax", "linen", "method"],
)
def test_config_and_whole_models(build, tmp_path):
    layer = build(staghorn.layers)
    model = staghorn.Sequential([staghorn.Input((4,)), layer])
    model.save(tmp_path / "m.keras")
    again = staghorn.saving.load_model(tmp_path / "m.keras")
    assert_same(again(X), model(X))
    assert again.layers[-1].get_config() == layer.get_config()
    if layer.get_config().get("method") is None:
        theirs = build(keras.layers)
        assert layer.get_config() == theirs.get_config()


def test_built_inside_a_traced_model():
    class Model(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.inner = staghorn.layers.JaxLayer(affine, start)
            self.flax = staghorn.layers.FlaxLayer(Block())

        def call(self, x, training=False):
            return self.flax(self.inner(x), training=training)

    model = Model()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert len(model.trainable_weights) == 6
    assert np.isfinite(model.predict(X, verbose=0)).all()


def test_nests_of_inputs():
    def call(params, inputs):
        return {"sum": inputs["a"] + inputs["b"] * params}

    layer = staghorn.layers.JaxLayer(call, params=2.0)
    out = layer({"a": X, "b": X})
    assert_same(out["sum"], 3 * X, rtol=1e-6)
    assert layer({"a": staghorn.Input((4,)), "b": staghorn.Input((4,))})["sum"].shape == (None, 4)


def test_nnx_modes_and_methods():
    net = Net(nnx.Rngs(0))
    layer = staghorn.layers.FlaxLayer(net, seed=1)
    net.eval()
    assert_same(layer(X), net(X), rtol=1e-5, atol=1e-6)
    first, second = layer(X, **T), layer(X, **T)
    assert ((np.asarray(first) == 0) != (np.asarray(second) == 0)).any()
    again = staghorn.layers.FlaxLayer(Net(nnx.Rngs(0)), seed=1)
    assert_same(again(X, **T), first)
    plain = staghorn.layers.FlaxLayer(net, "plain")
    assert_same(plain(X, **T), 2 * net.dense(X), rtol=1e-5, atol=1e-6)


def unknown(params, x):
    return x


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda layers: layers.JaxLayer(unknown, params=1.0), "must take 'inputs'"),
        (lambda layers: layers.JaxLayer(affine), "Write JaxLayer"),
        (lambda layers: layers.JaxLayer(3), "call_fn must be a callable, got 3"),
        (lambda layers: layers.JaxLayer(affine, init_fn=affine), "init_fn must take 'inputs'"),
        (
            lambda layers: layers.JaxLayer(lambda state, inputs: inputs, state={"a": 1.0})(X),
            r"must return \(outputs, new state\)",
        ),
        (
            lambda layers: layers.JaxLayer(
                lambda state, inputs: (inputs, {"b": 1.0}), state={"a": 1.0}
            )(X),
            r"must return \(outputs, new state\)",
        ),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build(staghorn.layers)


def test_a_lambda_is_not_written():
    layer = staghorn.layers.JaxLayer(lambda inputs: inputs)
    with pytest.raises(ValueError, match="lambda"):
        layer.get_config()
