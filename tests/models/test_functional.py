"""Functional: nests, operators, sharing, sub-models, binding by name, and its errors."""

import re

import numpy as np
import pytest

import staghorn
from staghorn import layers, ops
from tests.oracle import keras

rng = np.random.default_rng(0)
X = rng.normal(size=(5, 4)).astype("float32")
Z = rng.normal(size=(5, 3)).astype("float32")


def both(build, *data, training=None):
    """Build with both libraries, give ours Keras's weights, compare; return our model."""
    ours, theirs = build(staghorn), build(keras)
    ours.set_weights([np.asarray(v.value) for v in theirs.weights])
    data = data[0] if len(data) == 1 else list(data)
    mine, other = ours(data), theirs(data)
    flat, expected = staghorn.tree.flatten(mine), staghorn.tree.flatten(other)
    assert len(flat) == len(expected)
    for a, b in zip(flat, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    return ours


def test_flatten_with_input_shape_in_the_middle():
    """The spelling of many tutorials."""
    start = staghorn.Input(shape=[28, 28])
    hidden = layers.Dense(3)(layers.Flatten(input_shape=[28, 28])(start))
    assert staghorn.Model(inputs=[start], outputs=[hidden])(np.ones((2, 28, 28))).shape == (2, 3)


def test_residual_and_dense_connections():
    def build(lib):
        x = lib.Input((4,))
        y = lib.layers.Dense(4, activation="relu")(x)
        y = lib.layers.Add()([x, lib.layers.Dense(4)(y)])
        z = lib.layers.Concatenate()([x, y, lib.layers.Dense(2)(y)])
        return lib.Model(x, lib.layers.Dense(3)(z))

    both(build, X)


def test_siamese_pair():
    def build(lib):
        a, b = lib.Input((4,)), lib.Input((4,))
        tower = lib.Sequential([lib.layers.Dense(3, activation="tanh"), lib.layers.Dense(2)])
        return lib.Model([a, b], lib.ops.abs(tower(a) - tower(b)))

    model = both(build, X, X[::-1])
    assert model.count_params() == 23


def test_models_as_layers():
    def build(lib):
        x = lib.Input((4,))
        encoder = lib.Model(x, lib.layers.Dense(2)(x), name="encoder")
        c = lib.Input((2,))
        decoder = lib.Model(c, lib.layers.Dense(4)(c), name="decoder")
        y = lib.Input((4,))
        return lib.Model(y, [decoder(encoder(y)), encoder(y)])

    model = both(build, X)
    assert [layer.name for layer in model.layers[1:]] == ["encoder", "decoder"]


NESTS = {
    "one": (lambda a, b: a, X),
    "list": (lambda a, b: [a, b], [X, Z]),
    "tuple": (lambda a, b: (a, b), (X, Z)),
    "dict": (lambda a, b: {"k": a, "j": b}, {"k": X, "j": Z}),
    "deep": (lambda a, b: {"k": [a], "j": (b,)}, {"k": [X], "j": (Z,)}),
}


@pytest.mark.parametrize("inputs", NESTS)
@pytest.mark.parametrize("outputs", NESTS)
def test_nests(inputs, outputs):
    a, b = staghorn.Input((4,), name="a"), staghorn.Input((3,), name="b")
    left = layers.Dense(2)(a)
    right = layers.Dense(1)(left if inputs == "one" else b)
    model = staghorn.Model(NESTS[inputs][0](a, b), NESTS[outputs][0](left, right))
    out = model(NESTS[inputs][1])
    shapes = staghorn.tree.map_structure(np.shape, out)
    assert shapes == NESTS[outputs][0]((5, 2), (5, 1)) or outputs == "tuple"
    flat = staghorn.tree.flatten(out)
    for predicted, value in zip(
        staghorn.tree.flatten(model.predict(NESTS[inputs][1], verbose=0)), flat, strict=True
    ):
        np.testing.assert_allclose(predicted, value, rtol=1e-5, atol=1e-6)
    twin = staghorn.models.model_from_json(model.to_json())
    twin.set_weights(model.get_weights())
    for value, again in zip(flat, staghorn.tree.flatten(twin(NESTS[inputs][1])), strict=True):
        np.testing.assert_allclose(value, again, rtol=1e-6)


def test_dict_inputs_are_bound_by_name():
    """By key or by Input name, in any order, with keys to spare; lists follow the given order."""
    a, b = staghorn.Input((4,), name="a"), staghorn.Input((3,), name="b")
    out = layers.Dense(2)(a) * ops.sum(b, axis=1, keepdims=True)
    model = staghorn.Model([b, a], out)
    expected = model([Z, X])
    np.testing.assert_array_equal(model({"a": X, "b": Z, "spare": 3}), expected)
    predicted = model.predict({"b": Z, "a": X}, verbose=0)
    np.testing.assert_allclose(predicted, expected, rtol=1e-5, atol=1e-6)
    keyed = staghorn.Model({"second": b, "first": a}, out)
    np.testing.assert_array_equal(keyed({"first": X, "second": Z, "more": 0}), expected)
    np.testing.assert_array_equal(keyed({"a": X, "b": Z}), expected)
    np.testing.assert_array_equal(keyed([Z, X]), expected)
    with pytest.raises(ValueError, match="'b'"):
        model({"a": X})
    with pytest.raises(ValueError, match="Did you mean 'secnd'"):
        keyed({"first": X, "secnd": Z})
    with pytest.raises(ValueError, match="2 input"):
        model([X])
    with pytest.raises(ValueError, match=r"(?s)input 1 \('a'\).*expected shape"):
        model({"a": Z, "b": Z})


def test_a_list_with_one_output():
    """`outputs=[out]` takes one target array and gives one array, as in Keras."""
    x = staghorn.Input((4,))
    model = staghorn.Model(inputs=[x], outputs=[layers.Dense(2)(x)])
    model.compile("sgd", "mse", metrics=["mae"])
    y = np.ones((5, 2), "float32")
    history = model.fit(X, y, validation_data=(X, y), verbose=0).history
    assert sorted(history) == ["loss", "mae", "val_loss", "val_mae"]
    assert model(X).shape == (5, 2)
    assert model.predict(X, verbose=0).shape == (5, 2)
    assert model(staghorn.Input((4,))).shape == (None, 2)
    model.fit([X], [y], verbose=0)
    assert len(model.evaluate(X, y, verbose=0)) == 2


OPERATORS = {
    "add": lambda x, c: x + 1.5,
    "radd": lambda x, c: 1.5 + x,
    "sub": lambda x, c: x - c,
    "rsub": lambda x, c: 1 - x,
    "mul": lambda x, c: x * 2,
    "rmul": lambda x, c: 2.5 * x,
    "div": lambda x, c: x / 3,
    "rdiv": lambda x, c: 1 / (x * x + 1),
    "floordiv": lambda x, c: x // 2,
    "mod": lambda x, c: x % 2,
    "pow": lambda x, c: x**2,
    "rpow": lambda x, c: 2.0**x,
    "matmul": lambda x, c: x @ np.ones((4, 2), "float32"),
    "neg": lambda x, c: -x,
    "abs": lambda x, c: abs(x),
    "lt": lambda x, c: x < 0,
    "le": lambda x, c: x <= c,
    "gt": lambda x, c: x > 0,
    "ge": lambda x, c: x >= 0.5,
    "ne": lambda x, c: x != 0,
    "and": lambda x, c: (x > 0) & (x < 1),
    "or": lambda x, c: (x > 1) | (x < 0),
    "xor": lambda x, c: (x > 0) ^ (x < 1),
    "invert": lambda x, c: ~(x > 0),
    "tensor": lambda x, c: x + x * x,
    "row": lambda x, c: x[0],
    "column": lambda x, c: x[:, 1],
    "last": lambda x, c: x[:, -1],
    "slice": lambda x, c: x[:, 1:3],
    "step": lambda x, c: x[:, ::2],
    "newaxis": lambda x, c: x[:, None, :],
    "ellipsis": lambda x, c: x[..., 0],
}


@pytest.mark.parametrize("name", OPERATORS)
def test_python_operators(name):
    """Symbolic shape and type, value, JSON: all as Keras."""
    operator, c = OPERATORS[name], np.linspace(0.5, 1, 4, dtype="float32")

    def build(lib):
        x = lib.Input((4,))
        return lib.Model(x, operator(x, c))

    ours, theirs = build(staghorn), build(keras)
    mine, other = ours.outputs[0], theirs.outputs[0]
    assert mine.shape == tuple(other.shape)
    assert mine.dtype == str(other.dtype)
    value = np.asarray(ours(X))
    np.testing.assert_allclose(value, theirs(X), rtol=1e-5, atol=1e-6)
    if name in ("sub", "le", "matmul"):
        return  # arrays inside a graph: Keras writes them its own way
    twin = staghorn.models.model_from_json(ours.to_json())
    np.testing.assert_allclose(twin(X), value, rtol=1e-6)
    np.testing.assert_allclose(
        staghorn.models.model_from_json(theirs.to_json())(X), value, rtol=1e-5, atol=1e-6
    )


def test_array_times_tensor():
    """The array's own `*` gives way; Keras cannot do this."""
    x = staghorn.Input((4,))
    c = np.linspace(0.5, 1, 4, dtype="float32")
    np.testing.assert_allclose(staghorn.Model(x, c * x)(X), c * X)


FUNCTIONS = {
    "mean": lambda ops, x: ops.mean(x, axis=1),
    "keepdims": lambda ops, x: ops.sum(x, axis=-1, keepdims=True),
    "reshape": lambda ops, x: ops.reshape(x, (-1, 2, 2)),
    "concatenate": lambda ops, x: ops.concatenate([x, x * 2], axis=-1),
    "stack": lambda ops, x: ops.stack([x, x], axis=1),
    "where": lambda ops, x: ops.where(x > 0, x, 0.1 * x),
    "softmax": lambda ops, x: ops.softmax(x),
    "relu": lambda ops, x: ops.relu(x),
    "transpose": lambda ops, x: ops.transpose(x, (1, 0)),
    "matmul": lambda ops, x: ops.matmul(x, ops.transpose(x)),
    "expand": lambda ops, x: ops.expand_dims(x, -1),
    "squeeze": lambda ops, x: ops.squeeze(ops.expand_dims(x, -1), -1),
    "cast": lambda ops, x: ops.cast(x, "int32"),
    "max": lambda ops, x: ops.max(x, axis=1),
    "square": lambda ops, x: ops.sqrt(ops.square(x) + 1e-3),
    "clip": lambda ops, x: ops.clip(x, -1, 1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ops_on_symbolic_tensors(name):
    def build(lib):
        x = lib.Input((4,))
        return lib.Model(x, FUNCTIONS[name](lib.ops, x))

    ours = both(build, X)
    theirs = build(keras)
    assert ours.outputs[0].shape == tuple(theirs.outputs[0].shape)
    assert ours.outputs[0].dtype == str(theirs.outputs[0].dtype)
    value = np.asarray(ours(X))
    for source in (ours, theirs):
        twin = staghorn.models.model_from_json(source.to_json())
        np.testing.assert_allclose(twin(X), value, rtol=1e-5, atol=1e-6)


def test_several_results_of_one_op():
    x = staghorn.Input((4,))
    left, right = ops.split(x, 2, axis=1)
    model = staghorn.Model(x, [right, left])
    right, left = model(X)
    np.testing.assert_array_equal(left, X[:, :2])
    np.testing.assert_array_equal(right, X[:, 2:])
    assert len(set(model.output_names)) == 2


def test_repr_of_a_symbolic_tensor():
    x = staghorn.Input((None, 4), name="rows", dtype="int32")
    assert repr(x) == (
        "<KerasTensor shape=(None, None, 4), dtype=int32, name=rows, made by InputLayer 'rows'>"
    )
    y = layers.Embedding(3, 2, name="table")(x)
    assert "shape=(None, None, 4, 2), dtype=float32" in repr(y)
    assert repr(y).endswith("made by Embedding 'table'>")
    assert repr(y + 1).endswith("made by op 'add'>")


@pytest.mark.parametrize(
    ("kwargs", "shape", "dtype"),
    [
        ({"shape": (4,)}, (None, 4), "float32"),
        ({"shape": [4, None]}, (None, 4, None), "float32"),
        ({"shape": (4,), "batch_size": 2}, (2, 4), "float32"),
        ({"batch_shape": (3, 4)}, (3, 4), "float32"),
        ({"batch_shape": (None, None)}, (None, None), "float32"),
        ({"shape": (), "dtype": "int64"}, (None,), "int64"),
        ({"shape": (2,), "dtype": "bool"}, (None, 2), "bool"),
    ],
)
def test_input(kwargs, shape, dtype):
    ours, theirs = staghorn.Input(**kwargs), keras.Input(**kwargs)
    assert (ours.shape, ours.dtype) == (shape, dtype) == (theirs.shape, theirs.dtype)


@pytest.mark.parametrize(
    "kwargs", [{}, {"shape": (4,), "batch_shape": (2, 4)}, {"shape": 4}, {"shape": (4.5,)}]
)
def test_input_refuses(kwargs):
    with pytest.raises(ValueError, match="Input: "):
        staghorn.Input(**kwargs)


def test_disconnected_graph_names_the_missing_input():
    a, b = staghorn.Input((4,), name="given"), staghorn.Input((3,), name="forgotten")
    out = layers.Concatenate(name="join")([layers.Dense(2)(a), b])
    with pytest.raises(ValueError, match=r"(?s)'join' needs the input 'forgotten'.*Write instead"):
        staghorn.Model(a, out)
    with pytest.raises(ValueError, match="'given'"):
        staghorn.Model(b, out)
    with pytest.raises(ValueError, match="comes from nowhere"):
        staghorn.Model(a, staghorn.KerasTensor((None, 2)))


@pytest.mark.parametrize("wrong", ["layer", "array", "model", "nothing"])
def test_inputs_and_outputs_are_symbolic(wrong):
    x = staghorn.Input((4,))
    dense = layers.Dense(2)
    bad = {"layer": dense, "array": X, "model": staghorn.Sequential([dense]), "nothing": []}
    with pytest.raises(ValueError, match="must be symbolic tensors"):
        staghorn.Model(x, bad[wrong])
    with pytest.raises(ValueError, match="must be symbolic tensors"):
        staghorn.Model(bad[wrong], dense(x))


def test_two_layers_of_one_name():
    x = staghorn.Input((4,))
    y = layers.Dense(2, name="same")(layers.Dense(2, name="same")(x))
    with pytest.raises(ValueError, match="same"):
        staghorn.Model(x, y)


def test_layer_input_and_output():
    x = staghorn.Input((4,), name="x")
    dense = layers.Dense(2)
    with pytest.raises(AttributeError, match="never called on a symbolic tensor"):
        _ = dense.output
    y = dense(x)
    assert dense.input is x
    assert dense.output is y
    assert (dense.input_shape, dense.output_shape) == ((None, 4), (None, 2))
    again = staghorn.Input((4,))
    second = dense(again)
    assert dense.output is y
    assert dense.get_output_at(1) is second
    assert dense.get_input_at(1) is again
    add = layers.Add()
    add([y, second])
    assert [t is u for t, u in zip(add.input, (y, second), strict=True)] == [True, True]


def test_submodels_from_intermediate_tensors():
    x = staghorn.Input((4,))
    a = layers.Dense(3, name="a")(x)
    b = layers.Dense(3, name="b")(a)
    model = staghorn.Model(x, layers.Add()([a, b]))
    inner = staghorn.Model(model.get_layer("a").output, model.get_layer("b").output)
    assert [layer.name for layer in inner.layers][1:] == ["b"]
    np.testing.assert_allclose(inner(model.get_layer("a")(X)) + model.get_layer("a")(X), model(X))
    features = staghorn.Model(model.input, [layer.output for layer in model.layers])
    assert [v.shape for v in features(X)] == [(5, 4), (5, 3), (5, 3), (5, 3)]
    assert features(X)[1].shape == (5, 3)


def test_inputs_adapt_like_keras():
    """A missing or extra last axis of size 1, another float or int type."""

    def build(lib):
        x = lib.Input((1,))
        return lib.Model(x, lib.layers.Dense(2)(x))

    model = both(build, np.ones((5, 1), "float64"))
    assert model(np.ones(5)).shape == (5, 2)
    assert model(np.ones((5, 1, 1))).shape == (5, 2)
    assert model([[1], [2]]).shape == (2, 2)
    with pytest.raises(ValueError, match=r"(?s)expected shape.*\(5, 3\)"):
        model(np.ones((5, 3)))


def test_training_recorded_in_the_graph():
    """As in Keras: it holds when nobody says otherwise, and gives way to `fit` and `predict`."""
    x = staghorn.Input((4,))
    model = staghorn.Model(x, layers.Dropout(0.5, seed=1)(x, training=True))
    assert not np.allclose(model(X), X)
    np.testing.assert_allclose(model(X, training=False), X)
    np.testing.assert_allclose(model.predict(X, verbose=0), X)
    off = staghorn.Model(x, layers.Dropout(0.5, seed=1)(x, training=False))
    assert not np.allclose(off(X, training=True), X)
    loaded = staghorn.models.model_from_json(
        keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5)]).to_json()
    )
    assert not np.allclose(loaded(X, training=True), X)


class WithOptions(staghorn.Model):
    """A subclass that takes the graph and an option."""

    def __init__(self, inputs, outputs, factor=1.0, **kwargs):
        super().__init__(inputs, outputs, **kwargs)
        self.factor = factor

    def train_step(self, data):
        logs = super().train_step(data)
        return {**logs, "factor": self.factor}


class MakesItself(staghorn.Model):
    """A subclass that builds its own graph."""

    def __init__(self, width=3):
        x = staghorn.Input((4,), name="x")
        super().__init__(inputs=x, outputs=layers.Dense(width)(x))
        self.width = width


class Adds(staghorn.Model):
    """A subclass without a constructor of its own."""

    def predict_doubled(self, x):
        return 2 * self.predict(x, verbose=0)


@pytest.mark.parametrize("kind", ["options", "itself", "plain"])
def test_subclass_with_a_graph(kind):
    x = staghorn.Input((4,))
    out = layers.Dense(3)(x)
    model = {
        "options": lambda: WithOptions(x, out, factor=2.0, name="mine"),
        "itself": lambda: MakesItself(3),
        "plain": lambda: Adds(x, out),
    }[kind]()
    assert isinstance(model, staghorn.Functional)
    assert model.output_shape == (None, 3)
    model.compile("sgd", "mse")
    logs = model.fit(X, np.ones((5, 3)), verbose=0).history
    twin = type(model).from_config(model.get_config())
    assert type(twin) is type(model)
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin(X), model(X))
    if kind == "options":
        assert logs["factor"] == [2.0]
        assert (twin.factor, twin.name) == (2.0, "mine")
    elif kind == "itself":
        assert model.get_config()["width"] == 3
    else:
        np.testing.assert_allclose(
            model.predict_doubled(X), 2 * np.array(model(X)), rtol=1e-5, atol=1e-6
        )
    assert not issubclass(staghorn.Sequential, staghorn.Functional)
    assert type(staghorn.Model(x, out)) is staghorn.Functional


def test_compute_output_shape():
    a, b = staghorn.Input((4,)), staghorn.Input((3,))
    model = staghorn.Model([a, b], [layers.Concatenate()([a, b]), layers.Dense(2)(a)])
    assert model.compute_output_shape([(7, 4), (7, 3)]) == [(7, 7), (7, 2)]
    assert model.input_shape == [(None, 4), (None, 3)]
    nodes = len(a._keras_history.operation._inbound_nodes)
    model([X, Z])
    assert len(a._keras_history.operation._inbound_nodes) == nodes


def test_an_unused_input_is_allowed():
    a, b = staghorn.Input((4,), name="a"), staghorn.Input((3,), name="b")
    model = staghorn.Model([a, b], layers.Dense(2)(a))
    assert model([X, Z]).shape == (5, 2)
    assert staghorn.models.model_from_json(model.to_json())([X, Z]).shape == (5, 2)


def test_optional_input():
    a = staghorn.Input((4,), name="a")
    b = staghorn.Input((4,), name="b", optional=True)

    class Maybe(layers.Layer):
        def call(self, x, y=None):
            return x if y is None else x + y

    model = staghorn.Model({"a": a, "b": b}, Maybe()(a, b))
    np.testing.assert_array_equal(model({"a": X, "b": None}), X)
    np.testing.assert_allclose(model({"a": X, "b": X}), 2 * X)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("input", "output"), "Own: unknown argument 'input'. Did you mean 'inputs'? Write"),
        (("inputs", "output"), "Own: unknown argument 'output'. Did you mean 'outputs'? Write"),
        (("inputs",), "Own: 'inputs' was given without 'outputs'. Write Model(inputs=..."),
        (("outputs",), "Own: 'outputs' was given without 'inputs'. Write Model(inputs=..."),
    ],
)
def test_words_that_are_nearly_inputs_and_outputs(arguments, words):
    class Own(staghorn.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)

    tensor = staghorn.Input((6,))
    with pytest.raises(TypeError, match=re.escape(words)):
        Own(**dict.fromkeys(arguments, tensor))
