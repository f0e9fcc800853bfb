"""Sequential: building now or later, `add`, `pop`, nesting, and what it refuses."""

import numpy as np
import pytest

import staghorn
from staghorn import layers
from tests.oracle import keras

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")

# Every way a script tells the first layer its input.
SHAPES = [
    (lambda lib: [lib.Input((4,)), lib.layers.Dense(3)], (None, 4)),
    (lambda lib: [lib.layers.InputLayer(shape=(4,)), lib.layers.Dense(3)], (None, 4)),
    (lambda lib: [lib.layers.InputLayer(batch_shape=(5, 4)), lib.layers.Dense(3)], (5, 4)),
    (lambda lib: [lib.layers.Dense(3, input_shape=(4,))], (None, 4)),
    (lambda lib: [lib.layers.Dense(3, input_shape=[4])], (None, 4)),
    (lambda lib: [lib.layers.Dense(3, input_dim=4)], (None, 4)),
    (lambda lib: [lib.layers.Dense(3, input_shape=(None, 4))], (None, None, 4)),
    (lambda lib: [lib.layers.Flatten(input_shape=(4,)), lib.layers.Dense(3)], (None, 4)),
]


@pytest.mark.parametrize("case", range(len(SHAPES)))
@pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`")
def test_input_shapes_equal_keras(case):
    make, shape = SHAPES[case]
    if case == 5:  # Keras 3 dropped input_dim; scripts have it
        expected = (None, 3)
    else:
        theirs = keras.Sequential(make(keras))
        assert tuple(theirs.input_shape) == shape
        expected = tuple(theirs.output_shape)
    ours = staghorn.Sequential(make(staghorn))
    assert ours.built
    assert ours.input_shape == shape
    assert ours.output_shape == expected


def test_batch_input_shape():
    model = staghorn.Sequential([layers.Dense(3, batch_input_shape=(5, 4))])
    assert model.input_shape == (5, 4)
    assert model.output_shape == (5, 3)


def test_input_shape_in_the_middle_is_silent():
    model = staghorn.Sequential([layers.Dense(3, input_shape=(4,)), layers.Dense(2, input_dim=9)])
    assert model(X).shape == (5, 2)
    assert model.layers[1].kernel.shape == (3, 2)


@pytest.mark.parametrize("how", ["list", "add", "mixed"])
def test_ways_to_stack(how):
    parts = [staghorn.Input((4,)), layers.Dense(3, name="a"), layers.Dense(2, name="b")]
    if how == "list":
        model = staghorn.Sequential(parts)
    else:
        model = staghorn.Sequential(parts[:1] if how == "mixed" else None)
        for part in parts[1:] if how == "mixed" else parts:
            model.add(part)
    assert [layer.name for layer in model.layers] == ["a", "b"]
    assert model.built
    assert model.count_params() == 23
    assert model.output_shape == (None, 2)
    expected = ["a/kernel", "a/bias", "b/kernel", "b/bias"]
    assert [v.path for v in model.weights] == [f"{model.name}/{path}" for path in expected]


def test_pop():
    model = staghorn.Sequential([staghorn.Input((4,)), layers.Dense(3), layers.Dense(2)])
    last = model.layers[-1]
    before = model.layers[0](X)
    assert model.pop() is last
    assert model.output_shape == (None, 3)
    assert len(model.weights) == 2
    np.testing.assert_array_equal(model(X), before)
    model.add(layers.Dense(7))
    assert model(X).shape == (5, 7)
    model.pop(), model.pop()
    assert model.layers == []
    with pytest.raises(ValueError, match=r"pop\(\) on an empty"):
        staghorn.Sequential().pop()


def test_deferred_build_equals_keras():
    ours = staghorn.Sequential([layers.Dense(3), layers.Dense(2)])
    theirs = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2)])
    for model in (ours, theirs):
        assert not model.built
        assert model.weights == []
        with pytest.raises(AttributeError):
            _ = model.input_shape
        with pytest.raises(ValueError, match="built"):
            model.count_params()
    for model in (ours, theirs):
        model(X)
    assert ours.built
    assert ours.count_params() == theirs.count_params() == 23
    assert ours.output_shape[1:] == tuple(theirs.output_shape)[1:]
    ours.add(layers.Dense(6))
    assert ours(X).shape == (5, 6)


@pytest.mark.parametrize("how", ["build", "fit", "predict", "symbolic"])
def test_deferred_build_by(how):
    model = staghorn.Sequential([layers.Dense(3), layers.BatchNormalization(), layers.Dense(2)])
    model.compile("sgd", "mse")
    if how == "build":
        model.build((None, 4))
    elif how == "fit":
        model.fit(X, np.ones((5, 2)), verbose=0)
    elif how == "predict":
        model.predict(X, verbose=0)
    else:
        assert model(staghorn.Input((4,))).shape == (None, 2)
    assert model.built
    assert model.input_shape == (None, 4)
    assert len(model.weights) == 8


def test_build_needs_a_shape_and_layers():
    with pytest.raises(ValueError, match="no layers"):
        staghorn.Sequential().build((None, 4))
    with pytest.raises(ValueError, match="does not know its input shape"):
        staghorn.Sequential([layers.Dense(2)]).build()
    with pytest.raises(ValueError, match="starts with an Input of shape"):
        staghorn.Sequential([staghorn.Input((4,)), layers.Dense(2)]).build((None, 5))


def test_nesting():
    inner = staghorn.Sequential([layers.Dense(3), layers.ReLU()], name="inner")
    known = staghorn.Sequential([staghorn.Input((3,)), layers.Dense(3)], name="known")
    model = staghorn.Sequential([staghorn.Input((4,)), inner, known, layers.Dense(2)])
    assert [layer.name for layer in model.layers] == ["inner", "known", "dense_2"]
    assert len(model.weights) == 6
    expected = model.layers[2](known(inner(X)))
    np.testing.assert_allclose(model(X), expected, rtol=1e-6)
    twin = staghorn.models.model_from_json(model.to_json())
    twin.set_weights(model.get_weights())
    np.testing.assert_allclose(twin(X), expected, rtol=1e-6)


def test_a_model_first_gives_the_input():
    x = staghorn.Input((4,))
    base = staghorn.Model(x, layers.Dense(3)(x))
    model = staghorn.Sequential([base, layers.Dense(2)])
    assert model.built
    assert model.input_shape == (None, 4)
    np.testing.assert_allclose(model(X), model.layers[1](base(X)), rtol=1e-6)


def test_layer_twice_shares_its_weights():
    twice = layers.Dense(4)
    model = staghorn.Sequential([staghorn.Input((4,)), twice, layers.ReLU(), twice])
    assert model.count_params() == 20
    theirs = keras.layers.Dense(4)
    reference = keras.Sequential([keras.Input((4,)), theirs, keras.layers.ReLU(), theirs])
    reference.set_weights(model.get_weights())
    np.testing.assert_allclose(model(X), reference(X), rtol=1e-5, atol=1e-6)
    model.pop()
    assert model.count_params() == 20
    model.add(twice)
    rebuilt = staghorn.Sequential.from_config(model.get_config())
    assert rebuilt.count_params() == 20


class Splits(layers.Layer):
    """Two outputs."""

    def call(self, x):
        return x, x


REFUSED = [
    (lambda: [staghorn.Input((4,)), layers.Concatenate()], r"Concatenate\(\)\(\[a, b\]\)"),
    (lambda: [staghorn.Input((4,)), layers.Add()], r"Add\(\)\(\[a, b\]\)"),
    (lambda: [staghorn.Input((4,)), Splits()], r"outputs=\[a, b\]"),
    (lambda: [staghorn.Input((4,)), staghorn.Input((4,))], "must come first"),
    (lambda: [layers.Dense], r"Dense\(\.\.\.\)"),
    (lambda: [lambda x: x], "Lambda"),
    (lambda: ["dense"], "only layers"),
    (lambda: [layers.Dense(1, name="a"), layers.Dense(1, name="a")], "two layers are called 'a'"),
    (lambda: layers.Dense(1), "must be a list"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refuses(case):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        staghorn.Sequential(make())


def test_refuses_several_inputs_and_outputs_when_called():
    model = staghorn.Sequential([layers.Dense(2)])
    with pytest.raises(ValueError, match=r"(?s)several inputs.*Model\(inputs=\[a, b\]"):
        model([X, X])
    with pytest.raises(ValueError, match=r"(?s)several outputs.*outputs=\[a, b\]"):
        staghorn.Sequential([Splits(), layers.Dense(2)])(X)


def test_a_layer_that_does_not_fit_is_not_kept():
    model = staghorn.Sequential([staghorn.Input((4,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="10"):
        model.add(layers.Reshape((10,)))
    assert model.built is False or len(model.layers) == 1
    model.add(layers.Dense(2))
    assert model(X).shape == (5, 2)


def test_get_layer_and_names():
    model = staghorn.Sequential(
        [staghorn.Input((4,)), layers.Dense(3, name="hidden"), layers.Dense(2, name="out")]
    )
    assert model.get_layer("hidden") is model.layers[0]
    assert model.get_layer(index=1).name == "out"
    with pytest.raises(ValueError, match="Did you mean 'hidden'"):
        model.get_layer("hiden")
    with pytest.raises(ValueError, match="index 7"):
        model.get_layer(index=7)
    assert model.layers[0].output.shape == (None, 3)
    features = staghorn.Model(model.inputs, model.get_layer("hidden").output)
    np.testing.assert_allclose(features(X), model.layers[0](X), rtol=1e-6)


def test_inputs_take_the_type_and_rank_of_the_input():
    model = staghorn.Sequential(
        [staghorn.Input((1,), dtype="int32"), layers.Embedding(5, 3), layers.Flatten()]
    )
    assert model(np.array([1.0, 2.0])).shape == (2, 3)
    theirs = keras.Sequential(
        [keras.Input((1,), dtype="int32"), keras.layers.Embedding(5, 3), keras.layers.Flatten()]
    )
    assert theirs(np.array([1.0, 2.0])).shape == (2, 3)
    with pytest.raises(ValueError, match="shape"):
        staghorn.Sequential([staghorn.Input((4,)), layers.Dense(2)])(np.ones((2, 3)))


def test_old_files_of_weights_in_the_constructor():
    kernel, bias = np.ones((4, 2), "float32"), np.ones(2, "float32")
    model = staghorn.Sequential([layers.Dense(2, input_dim=4, weights=[kernel, bias])])
    np.testing.assert_allclose(model(X), X @ kernel + bias, rtol=1e-5)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, d: staghorn.Sequential(x, d),
        lambda x, d: staghorn.Sequential(x, d, d, d),
        lambda x, d: staghorn.Sequential(x),
        lambda x, d: staghorn.Sequential(layers=d),
        lambda x, d: staghorn.Sequential([x], d),
    ],
)
def test_layers_come_in_one_list(call):
    with pytest.raises(ValueError, match=r"layers must be a list, got <.*Write Sequential\("):
        call(staghorn.Input((6,)), staghorn.layers.Dense(1))


def test_a_subclass_constructor_may_take_a_layer():
    class Headed(staghorn.Sequential):
        def __init__(self, head):
            super().__init__([staghorn.Input((6,)), head])

    assert Headed(staghorn.layers.Dense(2)).output_shape == (None, 2)
