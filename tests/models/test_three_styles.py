"""One architecture in three styles, ours and Keras's: weights, predictions, configs, copies."""

import copy
import json
import pickle

import numpy as np
import pytest

import staghorn
from tests.oracle import keras

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(6, 2)).astype("float32")
# Keys that Keras's files got after 3.9, at their defaults.
NEWER = {
    "quantization_config": None,
    "optional": False,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
}


def stack(lib):
    return [
        lib.layers.Dense(5, activation="relu", kernel_regularizer="l2"),
        lib.layers.BatchNormalization(),
        lib.layers.Dropout(0.3),
        lib.layers.Dense(2, name="head"),
    ]


def sequential(lib):
    return lib.Sequential([lib.Input((4,), name="x"), *stack(lib)], name="model")


def functional(lib):
    x = start = lib.Input((4,), name="x")
    for layer in stack(lib):
        x = layer(x)
    return lib.Model(start, x, name="model")


@staghorn.saving.register_keras_serializable("tests")
class OursNet(staghorn.Model):
    """The architecture as a subclass."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.norm, self.drop, self.head = stack(staghorn)

    def call(self, x):
        return self.head(self.drop(self.norm(self.first(x))))


class KerasNet(keras.Model):
    """The architecture as a subclass."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.norm, self.drop, self.head = stack(keras)

    def call(self, x):
        return self.head(self.drop(self.norm(self.first(x))))


def subclassed(lib):
    model = OursNet(name="model") if lib is staghorn else KerasNet(name="model")
    model(X)
    return model


def weights(model):
    """Weights as NumPy arrays; Keras's own `get_weights` warns under NumPy 2."""
    return [np.asarray(v.value) for v in model.weights]


STYLES = [sequential, functional, subclassed]


def seeded(lib, make, seed=7):
    lib.utils.set_random_seed(seed)
    keras.utils.clear_session()
    staghorn.engine.naming.reset()
    return make(lib)


def trained(make, seed=7, epochs=2):
    model = seeded(staghorn, make, seed)
    model.compile(staghorn.optimizers.Adam(0.01), "mse", metrics=["mae"])
    history = model.fit(X, Y, epochs=epochs, batch_size=4, verbose=0).history
    return model, history


def plain(config):
    """A config as JSON would hold it, without the keys that only newer versions write."""
    if isinstance(config, dict):
        return {
            k: plain(v) for k, v in config.items() if not (k in NEWER and v == NEWER[k])
        }
    if isinstance(config, (list, tuple)):
        return [plain(v) for v in config]
    return config


@pytest.mark.parametrize("make", STYLES)
def test_initial_weights_are_keras_s(make):
    ours, theirs = seeded(staghorn, make), seeded(keras, make)
    assert [v.shape for v in ours.weights] == [tuple(v.shape) for v in theirs.weights]
    assert [v.path.split("/")[-2:] for v in ours.weights] == [
        v.path.split("/")[-2:] for v in theirs.weights
    ]
    for a, b in zip(weights(ours), weights(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    names = "trainable_weights", "non_trainable_weights", "variables", "trainable_variables"
    for name in names:
        assert len(getattr(ours, name)) == len(getattr(theirs, name)), name
    assert ours.count_params() == theirs.count_params()
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]


@pytest.mark.parametrize("make", STYLES)
def test_forward_and_one_step_equal_keras(make):
    ours, theirs = make(staghorn), make(keras)
    ours.set_weights(weights(theirs))
    np.testing.assert_allclose(ours(X), theirs(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.predict(X, verbose=0), np.asarray(theirs(X)), atol=1e-6)
    if make is subclassed:  # Keras's `fit` passes `training` only to a `call` that takes it
        theirs = functional(keras)
        theirs.set_weights(weights(ours))
    for model, lib in ((ours, staghorn), (theirs, keras)):
        next(la for la in model.layers if "dropout" in la.name).rate = 0.0
        model.compile(lib.optimizers.SGD(0.1), "mse")
    np.testing.assert_allclose(ours.train_on_batch(X, Y), theirs.train_on_batch(X, Y), rtol=1e-5)
    for a, b in zip(weights(ours), weights(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_same_weights_same_predictions_in_three_styles():
    first, *others = (make(staghorn) for make in STYLES)
    expected = first.predict(X, verbose=0)
    for other in others:
        other.set_weights(first.get_weights())
        np.testing.assert_array_equal(other.predict(X, verbose=0), expected)
        np.testing.assert_allclose(other(X), expected, rtol=1e-6, atol=1e-6)


def test_same_seed_same_training_in_three_styles():
    """Also the dropout masks: the same seeds are drawn in the same order."""
    results = [trained(make)[1]["loss"] for make in STYLES]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)
    np.testing.assert_allclose(results[0], results[2], rtol=1e-5)


@pytest.mark.parametrize("make", STYLES)
def test_set_random_seed_makes_runs_identical(make):
    (one, first), (two, second), (_, other) = trained(make), trained(make), trained(make, seed=8)
    assert first == second
    assert first != other
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", [sequential, functional])
def test_config_equals_keras_s(make):
    ours, theirs = seeded(staghorn, make), seeded(keras, make)
    assert plain(json.loads(json.dumps(ours.get_config()))) == plain(
        json.loads(json.dumps(theirs.get_config()))
    )
    assert plain(json.loads(ours.to_json())) == plain(json.loads(theirs.to_json()))


def graph(lib):
    """Several inputs and outputs, a shared layer, operators, a nested model."""
    a = lib.Input((4,), name="a")
    b = lib.Input((4,), name="b")
    shared = lib.layers.Dense(3, name="shared")
    inner_in = lib.Input((3,), name="inner_in")
    inner = lib.Model(inner_in, lib.layers.Dense(3, name="d")(inner_in), name="inner")
    left, right = shared(a), shared(b)
    total = inner(left) + right * 2.0
    joined = lib.layers.Concatenate(name="joined")([left, total[:, :2]])
    stacked = lib.Sequential(
        [lib.Input((5,)), lib.layers.Dense(2, name="s")], name="stacked"
    )(joined)
    return lib.Model(
        {"a": a, "b": b}, {"out": stacked, "sum": lib.layers.Add(name="summed")([left, right])}
    )


def lists(lib):
    a, b = lib.Input((4,), name="a"), lib.Input((2,), name="b")
    out = lib.layers.Dense(3, name="d")(a)
    return lib.Model([a, b], [lib.layers.Concatenate(name="c")([out, b]), out], name="lists")


def single(lib):
    a = lib.Input((4,), name="a")
    return lib.Model(inputs=a, outputs=[lib.layers.Dense(3, name="d")(a)], name="single")


@pytest.mark.parametrize("make", [graph, lists, single])
def test_graph_config_equals_keras_s(make):
    ours, theirs = seeded(staghorn, make), seeded(keras, make)
    assert plain(json.loads(ours.to_json())) == plain(json.loads(theirs.to_json()))
    ours.set_weights(weights(theirs))
    rng = np.random.default_rng(3)
    data = [rng.normal(size=(3, *t.shape[1:])).astype("float32") for t in theirs.inputs]
    if isinstance(theirs.input, dict):
        data = dict(zip(sorted(theirs.input), data, strict=True))
    data = data[0] if len(theirs.inputs) == 1 else data
    rebuilt = staghorn.models.model_from_json(theirs.to_json())
    rebuilt.set_weights(weights(theirs))
    for model in (ours, rebuilt):
        mine, other = model(data), theirs(data)
        assert type(mine) is type(other)
        mine, other = staghorn.tree.flatten(mine), staghorn.tree.flatten(other)
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    if not isinstance(theirs.output, dict):  # ours are the keys, which `compile` uses
        assert ours.output_names == list(theirs.output_names)
    assert ours.input_names == [t.name for t in theirs.inputs]


@pytest.mark.parametrize("make", STYLES)
@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_copies(make, how):
    """A copy has its own weights and optimizer, and goes on where the original stopped."""
    model, _ = trained(make, epochs=1)
    twin = copy.deepcopy(model) if how == "deepcopy" else pickle.loads(pickle.dumps(model))
    for each in (model, twin):  # Keras's archives do not hold the state of seeds
        next(la for la in each.layers if "dropout" in la.name).rate = 0.0
        each.compile(each.optimizer, "mse")
    before = model.predict(X, verbose=0)
    np.testing.assert_array_equal(twin.predict(X, verbose=0), before)
    if make is not subclassed:  # a subclass makes its layers anew
        assert [la.name for la in twin.layers] == [la.name for la in model.layers]
    assert not {id(v) for v in twin.variables} & {id(v) for v in model.variables}
    twin.fit(X, Y, verbose=0, shuffle=False)
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)
    model.fit(X, Y, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_pickle_holds_no_code():
    """Only our own archive as bytes, the class, and the function that reads it."""
    import pickletools

    model = sequential(staghorn)
    names = [
        str(arg)
        for op, arg, _ in pickletools.genops(pickle.dumps(model, protocol=2))
        if op.name == "GLOBAL"
    ]
    assert names
    assert all(n.startswith(("staghorn.", "_codecs encode", "__builtin__ bytes")) for n in names)


def test_copies_of_graphs_keep_sharing():
    model = graph(staghorn)
    data = {"a": X, "b": X[::-1]}
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.count_params() == model.count_params()
        assert twin.get_layer("shared") is not model.get_layer("shared")
        twin.get_layer("shared").kernel.assign_add(np.ones((4, 3), "float32"))
        expected = model(data)
        assert not np.allclose(twin(data)["sum"], expected["sum"])
        twin.set_weights(model.get_weights())
        np.testing.assert_allclose(twin(data)["out"], expected["out"], rtol=1e-6)
        inner = twin.get_layer("inner")
        assert inner.get_layer("d").output.shape == (None, 3)
        sub = staghorn.Model(twin.input, twin.get_layer("joined").output)
        assert sub(data).shape == (6, 5)


@pytest.mark.parametrize("make", [sequential, functional, graph])
def test_clone_model(make):
    model = make(staghorn)
    twin = staghorn.models.clone_model(model)
    assert plain(twin.get_config()) == plain(model.get_config())
    assert not {id(v) for v in twin.variables} & {id(v) for v in model.variables}
    twin.set_weights(model.get_weights())

    def relabel(layer):
        if isinstance(layer, staghorn.layers.Dense):
            config = layer.get_config() | {"activation": "tanh"}
            return staghorn.layers.Dense.from_config(config)
        return type(layer).from_config(layer.get_config())

    other = staghorn.models.clone_model(model, clone_function=relabel)
    dense = [la for la in other.layers if isinstance(la, staghorn.layers.Dense)]
    assert {la.activation.__name__ for la in dense} == {"tanh"}


@pytest.mark.parametrize("make", [sequential, functional])
def test_clone_model_on_other_tensors(make):
    model = make(staghorn)
    start = staghorn.Input((4,), name="other", batch_size=6)
    twin = staghorn.models.clone_model(model, input_tensors=start)
    assert type(twin) is type(model)
    assert twin.input is start
    assert twin.output_shape == (6, 2)
    twin.set_weights(model.get_weights())
    np.testing.assert_allclose(twin(X), model(X), rtol=1e-6)


def test_clone_of_a_subclass_uses_its_config():
    model = subclassed(staghorn)
    twin = staghorn.models.clone_model(model)
    assert type(twin) is OursNet
    assert twin(X).shape == (6, 2)
