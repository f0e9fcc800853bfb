"""Low-rank updates against keras: numbers, gradients, what trains, files, with int8 too."""

import copy
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn.engine.scope import jit
from tests.oracle import keras

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Layer InputLayer does not have:UserWarning"),
]

# class, arguments, shape of the input, whether there is an int8 version
LAYERS = [
    ("Dense", {"units": 3}, (4, 5), True),
    ("Dense", {"units": 3, "activation": "tanh", "dtype": "mixed_bfloat16"}, (2, 4, 5), True),
    ("EinsumDense", {"equation": "abc,cde->abde", "output_shape": (None, 2, 3)}, (2, 4, 5), True),
    ("EinsumDense", {"equation": "abcd,cde->abe", "output_shape": (None, 3)}, (2, 4, 5, 3), True),
    ("Embedding", {"input_dim": 6, "output_dim": 3}, (4, 5), True),
    ("Conv1D", {"filters": 3, "kernel_size": 2, "padding": "causal"}, (2, 6, 4), False),
    ("Conv2D", {"filters": 3, "kernel_size": 2, "use_bias": False}, (2, 5, 5, 4), False),
    ("Conv3D", {"filters": 2, "kernel_size": 2, "groups": 2}, (1, 3, 3, 3, 4), False),
]
every_layer = pytest.mark.parametrize(
    ("name", "kwargs", "shape", "int8"), LAYERS, ids=[f"{n}-{len(s)}" for n, _, s, _ in LAYERS]
)


def inputs_of(name, shape):
    rng = np.random.default_rng(0)
    if name == "Embedding":
        return rng.integers(0, 6, shape)
    return rng.normal(size=shape).astype("float32")


def pair(name, kwargs, shape, int8=False, alpha=3):
    """Our layer and keras's with the same weights and the same update, which is not zero."""
    layers = []
    for k in (staghorn, keras):
        layer = getattr(k.layers, name)(name="layer", **kwargs)
        layer.build(shape)
        rng = np.random.default_rng(1)
        layer.set_weights([rng.normal(size=v.shape).astype("float32") for v in layer.weights])
        if int8:
            layer.quantize("int8")
        layer.enable_lora(2, lora_alpha=alpha)
        for v in layer.weights:
            if "lora" in v.name:
                v.assign(rng.normal(size=v.shape).astype("float32"))
        layers.append(layer)
    return layers


def close(ours, theirs, kwargs=(), atol=1e-6):
    tolerance = 3e-2 if "dtype" in kwargs else atol
    ours, theirs = (np.asarray(jnp.asarray(x), "float32") for x in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=max(tolerance, 1e-5), atol=tolerance)


def names(variables):
    return [v.name for v in variables]


@pytest.mark.parametrize("quantized", [False, True])
@every_layer
def test_numbers_and_gradients(name, kwargs, shape, int8, quantized):
    if quantized and not int8:
        pytest.skip("no int8 version of this class")
    layers = ours, theirs = pair(name, kwargs, shape, quantized)
    x = inputs_of(name, shape)
    assert names(ours.weights) == names(theirs.weights)
    assert names(ours.trainable_weights) == names(theirs.trainable_weights)
    assert ours.lora_enabled
    assert (ours.lora_rank, ours.lora_alpha) == (2, 3)
    close(ours(x), theirs(x), kwargs, 1e-5)
    close(jit(ours)(x), theirs(x), kwargs, 1e-5)
    assert ours(x).dtype == ours.compute_dtype
    found = []
    for layer in layers:
        rest = [jnp.asarray(v.value) for v in layer.non_trainable_variables]

        def loss(trainable, layer=layer, rest=rest):
            y, _ = layer.stateless_call(trainable, rest, x)
            return jnp.mean(y.astype(jnp.float32) ** 2)

        found.append(jax.grad(loss)([jnp.asarray(v.value) for v in layer.trainable_variables]))
    for a, b in zip(*found, strict=True):
        close(a, b, kwargs, 1e-5)


@every_layer
def test_the_kernel_is_the_sum(name, kwargs, shape, int8):
    ours, theirs = pair(name, kwargs, shape)
    attribute = ours.weight_name
    close(getattr(ours, attribute), getattr(theirs, attribute), kwargs)
    close(getattr(copy.deepcopy(ours), attribute), getattr(ours, attribute))
    assert not ours._weight.trainable


@pytest.mark.parametrize("quantized", [False, True])
@every_layer
def test_files_hold_the_sum(name, kwargs, shape, int8, quantized):
    if quantized and not int8:
        pytest.skip("no int8 version of this class")
    ours, theirs = pair(name, kwargs, shape, quantized)
    stores = {}, {}
    for layer, store in zip((ours, theirs), stores, strict=True):
        layer.save_own_variables(store)
    mine, other = stores
    assert mine.keys() == other.keys()
    for key in mine:
        close(mine[key], other[key], kwargs, 1.0 if mine[key].dtype == "int8" else 1e-5)
    x = inputs_of(name, shape)
    before = ours(x)
    ours.load_own_variables(mine)
    close(ours(x), before, {"dtype"} if quantized else kwargs, 1e-5)
    a, b = ours._update
    assert np.asarray(a).any()
    assert not np.asarray(b).any()


@every_layer
def test_the_constructor_asks_for_it(name, kwargs, shape, int8):
    layers = []
    for k in (staghorn, keras):
        k.utils.set_random_seed(5)
        layer = getattr(k.layers, name)(name="layer", lora_rank=2, **kwargs)
        layer(inputs_of(name, shape))
        layers.append(layer)
    ours, theirs = layers
    assert names(ours.weights) == names(theirs.weights)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        # Ours are computed in NumPy; without its optimizers XLA rounds the last bit otherwise.
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=2e-7)
    assert names(ours.trainable_weights) == names(theirs.trainable_weights)
    mine, other = (json.loads(json.dumps(layer.get_config())) for layer in layers)
    assert mine == {**other, **{k: mine[k] for k in other if k.endswith("initializer")}}
    again = type(ours).from_config(ours.get_config())
    again.build(shape)
    assert names(again.trainable_weights) == names(ours.trainable_weights)
    assert again.get_config() == ours.get_config()


def test_the_strength_given_to_the_constructor_counts():
    layer = staghorn.layers.Dense(2, lora_rank=4, lora_alpha=0.5)
    layer.build((None, 5))
    assert layer.get_config()["lora_alpha"] == layer.lora_alpha == 0.5
    assert "lora_rank" not in staghorn.layers.Dense(2).get_config()


# Models ---------------------------------------------------------------------------------------


def network(k):
    layers = [k.layers.Dense(6, activation="relu"), k.layers.Dense(2)]
    model = k.Sequential([k.Input((5,)), *layers])
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=v.shape).astype("float32") for v in model.weights])
    return model


X = np.random.default_rng(6).normal(size=(8, 5)).astype("float32")
Y = np.random.default_rng(7).normal(size=(8, 2)).astype("float32")


@pytest.mark.parametrize("quantized", [False, True])
def test_fit_trains_the_update_alone(quantized):
    models = [network(k) for k in (staghorn, keras)]
    for model, k in zip(models, (staghorn, keras), strict=True):
        model.compile("adam", "mse")
        model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
        if quantized:
            model.quantize("int8")
        k.utils.set_random_seed(9)
        for layer in model.layers:
            layer.bias.trainable = False
            layer.enable_lora(3)
        frozen = [v.numpy() for v in model.weights if "lora" not in v.name]
        model.compile("adam", "mse")
        model.fit(X, Y, batch_size=8, shuffle=False, epochs=4, verbose=0)
        after = [v.numpy() for v in model.weights if "lora" not in v.name]
        assert all((a == b).all() for a, b in zip(frozen, after, strict=True))
        assert len(model.optimizer.variables) == 2 + 2 * 4
    ours, theirs = models
    assert all(v.numpy().any() for v in ours.trainable_weights)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        close(a.value, b.value, atol=1e-5)
    close(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), atol=1e-5)


def test_an_old_program_is_not_run():
    ours = network(staghorn)
    ours.compile("sgd", "mse")
    ours.predict(X, verbose=0)
    ours.layers[0].enable_lora(2, b_initializer="ones")
    close(ours.predict(X, verbose=0), ours(X), atol=1e-5)
    ours.compile("sgd", "mse")
    ours.fit(X, Y, verbose=0)
    assert (ours.layers[0]._weight.numpy() == network(staghorn).layers[0].kernel.numpy()).all()


def test_an_optimizer_that_does_not_know_the_update_says_so():
    ours = network(staghorn)
    ours.compile("sgd", "mse")
    ours.fit(X, Y, verbose=0)
    ours.layers[0].enable_lora(2)
    with pytest.raises(ValueError, match="compile"):
        ours.fit(X, Y, verbose=0)


@pytest.mark.parametrize("quantized", [False, True])
def test_model_files_go_both_ways(quantized, tmp_path):
    models = [network(k) for k in (staghorn, keras)]
    for model in models:
        if quantized:
            model.quantize("int8")
        model.layers[0].enable_lora(2, b_initializer="ones")
    ours, theirs = models
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    wanted = ours.predict(X, verbose=0)
    opened = staghorn.models.load_model(tmp_path / "ours.keras")
    tolerance = 0.3 if quantized else 1e-5  # the sum is rounded once more
    close(opened.predict(X, verbose=0), wanted, atol=tolerance)
    in_keras = keras.models.load_model(tmp_path / "ours.keras").predict(X, verbose=0)
    close(in_keras, opened.predict(X, verbose=0), atol=1e-5)
    from_keras = staghorn.models.load_model(tmp_path / "theirs.keras").predict(X, verbose=0)
    there = keras.models.load_model(tmp_path / "theirs.keras").predict(X, verbose=0)
    close(from_keras, there, atol=1e-5)
    assert opened.layers[0].lora_enabled
    assert not opened.layers[1].lora_enabled
    opened.compile("adam", "mse")
    opened.fit(X, Y, epochs=2, verbose=0)
    a, b = opened.layers[0]._update
    assert a.numpy().any()
    assert b.numpy().any()


def test_a_clone_and_a_summary():
    ours = network(staghorn)
    ours.layers[0].enable_lora(2)
    clone = staghorn.models.clone_model(ours)
    clone.set_weights(ours.get_weights())
    close(clone(X), ours(X))
    lines = []
    clone.summary(print_fn=lines.append)
    assert "Non-trainable params: 30" in lines[0]


# Errors ---------------------------------------------------------------------------------------


def test_errors():
    layer = staghorn.layers.Dense(2)
    assert not hasattr(layer, "kernel")
    with pytest.raises(AttributeError, match="is not built: no kernel yet"):
        layer.kernel  # noqa: B018
    with pytest.raises(ValueError, match=r"enable_lora: the layer has no weights yet"):
        layer.enable_lora(2)
    layer.build((None, 3))
    for rank in (0, -1, 1.5, "2"):
        with pytest.raises(ValueError, match="enable_lora: rank must be a positive int, got"):
            layer.enable_lora(rank)
    assert not layer.lora_enabled
    layer.enable_lora(2)
    with pytest.raises(ValueError, match="there is an update of rank 2 already"):
        layer.enable_lora(4)
    bound = staghorn.layers.Dense(2, kernel_constraint="non_neg")
    bound.build((None, 3))
    with pytest.raises(ValueError, match="kernel has a constraint, which nothing would keep"):
        bound.enable_lora(2)
    with pytest.raises(ValueError, match="lora_rank must be a positive int, got 0"):
        staghorn.layers.Conv2D(2, 3, lora_rank=0)
    with pytest.raises(NotImplementedError, match="no int8 version of this class"):
        staghorn.layers.Conv2D(2, 3, dtype="int8_from_float32").build((None, 8, 8, 1))
