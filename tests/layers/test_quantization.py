"""int8 layers and models against keras: numbers, gradients, weights, configs, files."""

import json
import warnings
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn.engine.scope import jit
from staghorn.engine.serialization import deserialize_keras_object, serialize_keras_object
from tests.oracle import keras

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# class, arguments, shape of the input
LAYERS = [
    ("Dense", {"units": 3}, (4, 5)),
    ("Dense", {"units": 3, "use_bias": False, "activation": "tanh"}, (2, 4, 5)),
    ("Dense", {"units": 1, "dtype": "mixed_bfloat16"}, (4, 5)),
    ("Dense", {"units": 2, "dtype": "bfloat16"}, (4, 5)),
    ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 3, "bias_axes": "c"}, (4, 5)),
    ("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (None, 3)}, (2, 4, 5)),
    ("EinsumDense", {"equation": "abc,cde->abde", "output_shape": (None, 2, 3)}, (2, 4, 5)),
    ("EinsumDense", {"equation": "abcd,cde->abe", "output_shape": (None, 3)}, (2, 4, 5, 3)),
    ("EinsumDense", {"equation": "abc,bcd->abd", "output_shape": (4, 3)}, (2, 4, 5)),
    ("EinsumDense", {"equation": "abc,cd->adb", "output_shape": (3, None)}, (2, 4, 5)),
    ("Embedding", {"input_dim": 6, "output_dim": 3, "mask_zero": True}, (4, 5)),
]
IDS = [f"{name}-{'-'.join(map(str, kwargs.values()))}" for name, kwargs, _ in LAYERS]
every_layer = pytest.mark.parametrize(("name", "kwargs", "shape"), LAYERS, ids=IDS)


def inputs_of(name, shape, seed=0):
    rng = np.random.default_rng(seed)
    if name == "Embedding":
        return rng.integers(0, 6, shape)
    return rng.normal(size=shape).astype("float32")


def pair(name, kwargs, shape):
    """Our layer and keras's with the same weights."""
    layers = [getattr(k.layers, name)(name="layer", **kwargs) for k in (staghorn, keras)]
    rng = np.random.default_rng(1)
    for layer in layers:
        layer.build(shape)
    values = [rng.normal(size=v.shape) for v in layers[1].weights]
    for layer in layers:
        layer.set_weights([v.astype("float32") for v in values])
    return layers


def close(ours, theirs, dtype="float32"):
    tolerance = 2e-2 if "16" in dtype else 1e-6
    ours, theirs = (np.asarray(jnp.asarray(x), "float32") for x in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def same_weights(ours, theirs):
    assert [v.name for v in ours.weights] == [v.name for v in theirs.weights]
    assert [v.dtype for v in ours.weights] == [v.dtype for v in theirs.weights]
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        close(a.value, b.value)


def configs(activation):
    for k in (staghorn, keras):
        q = k.quantizers
        if activation == "config":
            yield q.Int8QuantizationConfig(q.AbsMaxQuantizer(axis=0, value_range=(-90, 90)))
        elif activation == "float":
            yield q.Int8QuantizationConfig(activation_quantizer=None)
        else:
            yield None


@pytest.mark.parametrize("activation", ["default", "float"])
@every_layer
def test_outputs_weights_and_configs(name, kwargs, shape, activation):
    layers = pair(name, kwargs, shape)
    x = inputs_of(name, shape)
    for layer, config in zip(layers, configs(activation), strict=True):
        layer.quantize("int8", config=config)
    ours, theirs = layers
    same_weights(ours, theirs)
    dtype = kwargs.get("dtype", "float32")
    close(ours(x), theirs(x), dtype)
    close(jit(ours)(x), theirs(x), dtype)
    assert ours(x).dtype == ours.compute_dtype
    assert ours.dtype_policy.name == theirs.dtype_policy.name
    assert ours.quantization_mode == theirs.quantization_mode == "int8"
    mine, other = (json.loads(json.dumps(layer.get_config())) for layer in layers)
    assert mine == {**other, **{k: mine[k] for k in other if k.endswith("initializer")}}


@every_layer
def test_gradients(name, kwargs, shape):
    if name == "Embedding":
        pytest.skip("its inputs are whole numbers")
    layers = pair(name, kwargs, shape)
    x = jnp.asarray(inputs_of(name, shape))
    found = []
    for layer in layers:
        layer.quantize("int8")
        trainable = [jnp.asarray(v.value) for v in layer.trainable_variables]
        rest = [jnp.asarray(v.value) for v in layer.non_trainable_variables]

        def loss(trainable, x, layer=layer, rest=rest):
            y, _ = layer.stateless_call(trainable, rest, x)
            return jnp.sum(y.astype(jnp.float32) ** 2)

        found.append(jax.grad(loss, argnums=(0, 1))(trainable, x))
    for a, b in zip(*map(jax.tree.leaves, found), strict=True):
        tolerance = 0.06 if "dtype" in kwargs else 1e-5
        np.testing.assert_allclose(a, b, rtol=2 * tolerance, atol=tolerance)


# Keras has no int8 version of equations with an ellipsis: its own code fails on them.
ELLIPSES = [
    ("...x,xy->...y", "abx,xy->aby", 3, (4, 3)),
    ("bx...,xy->by...", "bxa,xy->bya", 3, (3, 5)),
]


@pytest.mark.parametrize(("short", "long", "output", "full"), ELLIPSES)
def test_an_ellipsis_is_the_axes_it_stands_for(short, long, output, full):
    kernel = np.random.default_rng(0).normal(size=(5 if short[0] == "." else 4, 3))
    found = []
    for equation, shape in ((short, output), (long, full)):
        layer = staghorn.layers.EinsumDense(equation, shape)
        layer.build((2, 4, 5))
        layer.set_weights([kernel.astype("float32")])
        layer.quantize("int8")
        found.append((layer(inputs_of("EinsumDense", (2, 4, 5))), *layer.get_weights()))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@every_layer
def test_a_config_makes_the_layer_again(name, kwargs, shape):
    """The weights begin as keras's: zeros, with scales of one."""
    ours, theirs = pair(name, kwargs, shape)
    ours.quantize("int8")
    theirs.quantize("int8")
    for config in (serialize_keras_object(ours), keras.saving.serialize_keras_object(theirs)):
        again = deserialize_keras_object(config)
        assert again.built
        assert again.dtype_policy == ours.dtype_policy
        assert again.get_config() == ours.get_config()
        assert [v.name for v in again.weights] == [v.name for v in ours.weights]
        again.set_weights(ours.get_weights())
        x = inputs_of(name, shape)
        np.testing.assert_array_equal(again(x), ours(x))


@pytest.mark.parametrize("kwargs", [{}, {"tie_weights": False, "logit_soft_cap": 2.0}])
def test_both_directions_of_a_reversible_table(kwargs):
    ours, theirs = pair("ReversibleEmbedding", {"input_dim": 6, "output_dim": 3, **kwargs}, (4, 5))
    for layer in (ours, theirs):
        layer.quantize("int8")
    same_weights(ours, theirs)
    indices, x = inputs_of("Embedding", (4, 5)), inputs_of("", (2, 3))
    close(ours(indices), theirs(indices))
    close(ours(x, reverse=True), theirs(x, reverse=True))
    stores = {}, {}
    for layer, store in zip((ours, theirs), stores, strict=True):
        layer.save_own_variables(store)
    assert stores[0].keys() == stores[1].keys()
    for key, value in stores[0].items():
        np.testing.assert_array_equal(value, stores[1][key])


def test_a_policy_that_is_set_later_quantizes():
    ours, theirs = pair("Dense", {"units": 3}, (4, 5))
    for layer in (ours, theirs):
        layer.dtype_policy = "int8_from_float32"
    same_weights(ours, theirs)
    other = staghorn.layers.LayerNormalization()
    other.build((None, 3))
    with pytest.raises(NotImplementedError, match="no int8 version"):
        other.dtype_policy = "int8_from_float32"
    assert other.quantization_mode is None


def test_a_weight_quantizer_of_ones_own():
    layers = pair("Dense", {"units": 3}, (4, 5))
    for layer, config in zip(layers, configs("config"), strict=True):
        layer.quantize(config=config)
    same_weights(*layers)
    close(*(layer(inputs_of("Dense", (4, 5))) for layer in layers))
    layer, _ = pair("Dense", {"units": 3}, (4, 5))
    q = staghorn.quantizers
    with pytest.raises(ValueError, match=r"Write AbsMaxQuantizer\(axis=\(0,\)\)"):
        layer.quantize("int8", q.Int8QuantizationConfig(q.AbsMaxQuantizer(axis=1)))
    assert layer.kernel.dtype == "float32"
    assert layer.quantization_mode is None


# Models ---------------------------------------------------------------------------------------


def sequential(k):
    return k.Sequential([k.Input((6,)), k.layers.Dense(5, activation="relu"), k.layers.Dense(2)])


def functional(k):
    a = k.Input((6,))
    h = k.layers.Dense(5, activation="relu")(a)
    return k.Model(a, [k.layers.Dense(2)(h), k.layers.Concatenate()([h, a])])


def nested(k):
    a = k.Input((6,))
    return k.Model(a, k.layers.Dense(1)(sequential(k)(a)))


def words(k):
    layers = [k.layers.Embedding(7, 4), k.layers.Dense(3), k.layers.GlobalAveragePooling1D()]
    return k.Sequential([k.Input((6,)), *layers])


def attention(k):
    a = k.Input((6,))
    h = k.layers.Reshape((3, 2))(a)
    return k.Model(a, k.layers.MultiHeadAttention(2, 3)(h, h))


def subclassed(k):
    class Net(k.Model):
        def __init__(self):
            super().__init__()
            self.first = k.layers.Dense(4, activation="gelu")
            self.rest = [k.layers.Dense(3), k.layers.Dense(2)]

        def call(self, x):
            x = self.first(x)
            for layer in self.rest:
                x = layer(x)
            return x

    net = Net()
    net(np.ones((1, 6), "float32"))
    return net


MODELS = [sequential, functional, nested, words, attention, subclassed]
every_model = pytest.mark.parametrize("build", MODELS)
DATA = np.random.default_rng(2).integers(0, 7, (9, 6)).astype("float32")


def models(build, quantized=True):
    ours, theirs = build(staghorn), build(keras)
    rng = np.random.default_rng(3)
    values = [rng.normal(size=v.shape).astype("float32") for v in theirs.weights]
    for model in (ours, theirs):
        model.set_weights(values)
    if quantized:
        ours.quantize("int8")
        quietly(theirs)
    return ours, theirs


def quietly(model, **kwargs):
    """Quantize one of keras's models, which warns for each layer that it leaves alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.quantize("int8", **kwargs)


def same_predictions(ours, theirs, x=DATA):
    a, b = (jax.tree.leaves(m.predict(x, verbose=0, batch_size=4)) for m in (ours, theirs))
    for mine, other in zip(a, b, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5)


@every_model
def test_models(build):
    ours, theirs = models(build)
    same_weights(ours, theirs)
    same_predictions(ours, theirs)


@pytest.mark.parametrize("build", [functional, attention])
def test_old_programs_are_not_run(build):
    ours, theirs = models(build, quantized=False)
    before = ours.predict(DATA, verbose=0)
    same_predictions(ours, theirs)
    ours.quantize("int8")
    quietly(theirs)
    after = ours.predict(DATA, verbose=0)
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, (before, after)), strict=True))
    same_predictions(ours, theirs)


@pytest.mark.parametrize("filters", ["dense", ["nothing", "_1$"], lambda layer: layer.units == 2])
def test_filters(filters):
    def build(k):
        dense = k.layers.Dense
        return k.Sequential([k.Input((6,)), dense(3, name="dense_1"), dense(2, name="dense_2")])

    def only_dense(layer):
        return hasattr(layer, "units") and filters(layer)

    chosen = only_dense if callable(filters) else filters
    ours, theirs = models(build, quantized=False)
    ours.quantize("int8", filters=chosen)
    quietly(theirs, filters=chosen)
    assert [v.dtype for v in ours.weights] == [v.dtype for v in theirs.weights]
    same_predictions(ours, theirs)


def test_training_goes_on_with_the_floats_that_are_left():
    ours, theirs = models(words)
    y = np.random.default_rng(4).normal(size=(9, 3)).astype("float32")
    for model in (ours, theirs):
        model.compile("sgd", "mse")
        model.fit(DATA, y, batch_size=9, shuffle=False, epochs=3, verbose=0)
    same_weights(ours, theirs)
    same_predictions(ours, theirs)


def test_quantize_after_fit():
    ours, theirs = models(sequential, quantized=False)
    y = np.random.default_rng(4).normal(size=(9, 2)).astype("float32")
    for model in (ours, theirs):
        model.compile("sgd", "mse")
        model.fit(DATA, y, batch_size=9, shuffle=False, verbose=0)
    ours.quantize("int8")
    quietly(theirs)
    same_predictions(ours, theirs)
    losses = [model.evaluate(DATA, y, verbose=0) for model in (ours, theirs)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    ours.compile("sgd", "mse")
    ours.fit(DATA, y, verbose=0)


def test_layers_that_stay_are_named_once():
    build = [staghorn.Input((8, 8, 1)), staghorn.layers.Conv2D(2, 3), staghorn.layers.Flatten()]
    model = staghorn.Sequential([*build, staghorn.layers.Dropout(0.5), staghorn.layers.Dense(2)])
    with pytest.warns(UserWarning, match=r"left as they are.*: 'conv2d[_0-9]*' \(Conv2D\)\.$"):
        model.quantize("int8")
    assert model.layers[-1].kernel.dtype == "int8"


def test_the_policy_may_come_first():
    for k in (staghorn, keras):
        layer = k.layers.Dense(2, dtype="int8_from_mixed_bfloat16")
        layer.build((None, 3))
        assert [(v.name, v.dtype) for v in layer.weights] == [
            ("bias", "float32"), ("kernel", "int8"), ("kernel_scale", "float32")
        ]  # fmt: skip
        assert not np.asarray(layer(np.ones((1, 3)))).any()


def test_a_subclass_is_quantized_on_request():
    class Mine(staghorn.layers.Dense):
        pass

    layer = Mine(2)
    layer.build((None, 3))
    with pytest.raises(NotImplementedError, match="type_check=False"):
        layer.quantize("int8")
    layer.quantize("int8", type_check=False)
    assert layer.kernel.dtype == "int8"


def test_copies_keep_their_numbers():
    ours, _ = models(functional)
    clone = staghorn.models.clone_model(ours)
    clone.set_weights(ours.get_weights())
    same_predictions(clone, ours)
    ours.summary(print_fn=lambda text: None)
    assert "int8_from_float32" in ours.to_json() or "QuantizedDTypePolicy" in ours.to_json()


# Errors ---------------------------------------------------------------------------------------

BAD = [
    ({"mode": "int9"}, ValueError, "unknown mode 'int9'. Did you mean 'int8'"),
    ({"mode": "int4"}, NotImplementedError, "quantization to 'int4' is not supported"),
    ({"mode": "gptq"}, NotImplementedError, "quantization to 'gptq' is not supported"),
    ({"mode": "awq"}, NotImplementedError, "quantization to 'awq' is not supported"),
    ({"mode": "float8"}, NotImplementedError, "quantization to 'float8' is not supported"),
    ({}, ValueError, "give a mode"),
    ({"mode": "int8", "config": 3}, ValueError, r"an Int8QuantizationConfig, got 3 \(int\)"),
]


@pytest.mark.parametrize(("kwargs", "error", "message"), BAD)
def test_errors(kwargs, error, message):
    layer, _ = pair("Dense", {"units": 2}, (4, 5))
    model = staghorn.Sequential([staghorn.Input((5,)), staghorn.layers.Dense(2)])
    for thing in (layer, model):
        with pytest.raises(error, match=message):
            thing.quantize(**kwargs)
        assert {v.dtype for v in thing.weights} == {"float32"}


def test_misuse():
    layer = staghorn.layers.Dense(2, dtype="mixed_float16")
    with pytest.raises(ValueError, match=r"Dense 'dense[_0-9]*', quantize: the layer has no weigh"):
        layer.quantize("int8")
    layer.build((None, 3))
    with pytest.raises(ValueError, match="Take 'mixed_bfloat16' or 'float32'"):
        layer.quantize("int8")
    with pytest.raises(NotImplementedError, match="there is no int8 version of this class"):
        staghorn.layers.Dropout(0.5).quantize("int8")
    model = sequential(staghorn)
    model.layers[1].quantize("int8")
    with pytest.raises(ValueError, match=r"it is quantized already \(int8_from_float32\)"):
        model.quantize("int8")
    assert model.layers[0].quantization_mode is None
    with pytest.raises(ValueError, match=r"filters must be .*, got 3 \(int\)"):
        model.quantize("int8", filters=3)
    with pytest.raises(TypeError, match="unknown argument 'filter'"):
        model.quantize("int8", filter="dense")
    with pytest.raises(ValueError, match="the layer has no weights yet"):
        staghorn.Sequential([staghorn.layers.Dense(2)]).quantize("int8")
    with pytest.raises(ValueError, match=r"got \{'mode': 'int8'\} \(dict\)"):
        staghorn.layers.Dense(2, quantization_config={"mode": "int8"})


# Files ----------------------------------------------------------------------------------------

FILED = [sequential, functional, nested, words]


@pytest.mark.parametrize("build", FILED)
def test_files_go_both_ways(build, tmp_path):
    ours, theirs = models(build)
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    same_predictions(staghorn.models.load_model(tmp_path / "theirs.keras"), theirs)
    same_predictions(keras.models.load_model(tmp_path / "ours.keras"), ours)
    again = staghorn.models.load_model(tmp_path / "ours.keras")
    same_predictions(again, ours)
    assert again.get_config() == ours.get_config()
    with zipfile.ZipFile(tmp_path / "ours.keras") as archive:
        assert b"Int8QuantizationConfig" in archive.read("config.json")


@pytest.mark.parametrize("build", [words, attention, subclassed])
def test_weights_files_go_both_ways(build, tmp_path):
    ours, theirs = models(build)
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    for reader, path, right in (
        (build(staghorn), "theirs.weights.h5", theirs),
        (build(keras), "ours.weights.h5", ours),
    ):
        quietly(reader)
        reader.load_weights(tmp_path / path)
        same_predictions(reader, right)


def test_layers_inside_layers_come_back_though_no_config_names_them(tmp_path):
    ours, _ = models(attention)
    ours.save(tmp_path / "ours.keras")
    again = staghorn.models.load_model(tmp_path / "ours.keras")
    assert [v.dtype for v in again.weights] == [v.dtype for v in ours.weights]
    same_predictions(again, ours)


def test_a_policy_map_quantizes_by_path():
    paths = {"mha/query": "int8_from_float32", "mha/value": "mixed_bfloat16"}
    for k in (staghorn, keras):
        known = {path: k.dtype_policies.get(name) for path, name in paths.items()}
        policies = k.dtype_policies.DTypePolicyMap("float32", known)
        layer = k.layers.MultiHeadAttention(2, 3, dtype=policies, name="mha")
        layer.build((None, 4, 6), (None, 4, 6))
        dtypes = {v.path: v.dtype for v in layer.weights}
        assert dtypes["mha/query/kernel"] == "int8"
        assert dtypes["mha/key/kernel"] == "float32"
        assert layer._value_dense.compute_dtype == "bfloat16"


def test_floats_do_not_become_whole_numbers(tmp_path):
    model, _ = models(sequential, quantized=False)
    model.save_weights(tmp_path / "floats.weights.h5")
    model.quantize("int8")
    with pytest.raises(ValueError, match=r"it has kernel \(6, 5\), bias \(5,\), kernel_scale"):
        model.load_weights(tmp_path / "floats.weights.h5")
