"""`model(x)` as one program: equal to its layers one by one, and only where nobody can tell."""

import threading

import jax
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.engine.masks import get_mask
from staghorn.models.compiled_call import MOST_CHANGES, MOST_FORMS

X = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
WORDS = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [4, 5, 6, 1]], "int32")


def stack():
    return staghorn.Sequential(
        [staghorn.Input((6,)), layers.Dense(4, activation="relu"), layers.Dense(2)]
    )


def two_by_two():
    """Two inputs, two outputs, a shared layer, ops between layers."""
    a, b = staghorn.Input((6,), name="a"), staghorn.Input((6,), name="b")
    shared = layers.Dense(3, activation="tanh")
    near, far = shared(a), shared(b)
    return staghorn.Model(
        {"a": a, "b": b}, {"z": layers.Dense(1)(near - far), "near": layers.Add()([near, far])}
    )


def masked():
    words = staghorn.Input((4,), dtype="int32")
    return staghorn.Model(words, layers.Embedding(8, 3, mask_zero=True)(words))


def nested():
    x = staghorn.Input((6,))
    inner = stack()
    return staghorn.Model(x, [inner(x), layers.BatchNormalization()(inner(2.0 * x))])


def recurrent():
    words = staghorn.Input((4,), dtype="int32")
    x = layers.Embedding(8, 3, mask_zero=True)(words)
    return staghorn.Model(words, layers.Dense(1)(layers.Bidirectional(layers.LSTM(3))(x)))


def half():
    x = staghorn.Input((6,))
    hidden = layers.Dense(3, dtype="mixed_bfloat16")(x)
    return staghorn.Model(x, layers.Dense(1, dtype="float32")(hidden))


MODELS = {
    "stack": (stack, X),
    "two by two": (two_by_two, {"b": X, "a": 2 * X}),
    "masked": (masked, WORDS),
    "nested": (nested, X),
    "recurrent": (recurrent, WORDS),
    "half": (half, X),
    "whole numbers": (stack, np.arange(12, dtype="int64").reshape(2, 6)),
    "doubles": (stack, X.astype("float64")),
    "on the device": (stack, jax.numpy.asarray(X)),
}


def taken(model):
    """Say whether the last call was one program."""
    call = model._compiled_call
    return call is not None and call._ours and any(call._programs.values())


def one_by_one(model, x):
    """What the layers give when they run one by one."""
    model.run_eagerly = True
    try:
        return model(x)
    finally:
        model.run_eagerly = False


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("training", [None, False])
def test_equals_the_layers_one_by_one(name, training):
    make, x = MODELS[name]
    model = make()
    given = {} if training is None else {"training": training}
    got = model(x, **given)
    assert taken(model)
    expected = one_by_one(model, x)
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    if isinstance(expected, dict):
        assert list(got) == list(expected)
    pairs = zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True)
    for ours, theirs in pairs:
        assert ours.dtype == theirs.dtype
        close = 1e-2 if name == "half" else 1e-5
        np.testing.assert_allclose(ours, theirs, rtol=close, atol=close / 10)
        if get_mask(theirs) is None:
            assert get_mask(ours) is None
        else:
            np.testing.assert_array_equal(get_mask(ours), get_mask(theirs))


def test_a_mask_goes_on_to_the_next_layer():
    model = masked()
    averaged = layers.GlobalAveragePooling1D()(model(WORDS))
    table = model.layers[-1].get_weights()[0]
    np.testing.assert_allclose(averaged[1], table[3], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:.*mask")
def test_a_mask_that_comes_along_is_heard():
    x = staghorn.Input((4, 3))
    model = staghorn.Model(x, layers.GlobalAveragePooling1D()(layers.ReLU()(x)))
    got = model(masked()(WORDS))
    assert not taken(model)
    assert got.shape == (3, 3)


def test_new_weights_are_seen():
    model = stack()
    first = model(X)
    model.set_weights([2 * w for w in model.get_weights()])
    assert not np.allclose(model(X), first)
    model.compile("sgd", "mse")
    before = np.array(model(X))
    model.fit(X, np.ones((5, 2)), verbose=0)
    after = model(X)
    assert not np.allclose(after, before)
    np.testing.assert_allclose(after, model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


def change_activation(model):
    model.layers[-1].activation = staghorn.activations.sigmoid


def add(model):
    model.add(layers.Dense(3))


def pop(model):
    model.pop()


def replace_call(model):
    model.layers[0].call = lambda inputs: inputs[:, :4] * 0.0


def change_inside(model):
    model.layers[0].kernel = staghorn.Variable(np.zeros((6, 4), "float32"), name="kernel")


def half_precision(model):
    model.layers[0].dtype_policy = "mixed_bfloat16"


@pytest.mark.parametrize(
    "change", [change_activation, add, pop, replace_call, change_inside, half_precision]
)
def test_changed_layers_are_seen(change):
    """Also by `predict`, whose last program is kept for the next row."""
    model = stack()
    before, answer = np.array(model(X)), model.predict(X, verbose=0)
    change(model)
    after = model(X)
    assert after.shape != before.shape or not np.array_equal(after, before)
    expected = one_by_one(model, X)
    np.testing.assert_allclose(after, expected, rtol=1e-2, atol=1e-3)
    if change is not replace_call:
        np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-2, atol=1e-3)
    assert answer.shape == before.shape


def test_epsilon_is_seen():
    x = staghorn.Input((6,))
    model = staghorn.Model(x, staghorn.ops.normalize(x * 1e-9))
    before = model(X)
    kept = staghorn.config.epsilon()
    staghorn.config.set_epsilon(1.0)
    try:
        assert not np.allclose(model(X), before)
    finally:
        staghorn.config.set_epsilon(kept)


def test_epsilon_is_seen_by_a_repeated_prediction():
    x = staghorn.Input((6,))
    model = staghorn.Model(x, staghorn.ops.normalize(x * 1e-9))
    before = model.predict(X, verbose=0)
    kept = staghorn.config.epsilon()
    staghorn.config.set_epsilon(1.0)
    try:
        assert not np.allclose(model.predict(X, verbose=0), before)
    finally:
        staghorn.config.set_epsilon(kept)


def test_the_key_of_a_program_knows_nested_models():
    """Whether they train matters for weights that hang on the model itself."""

    class Scaled(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
            self.dense = layers.Dense(2)

        def call(self, inputs):
            return self.scale * self.dense(inputs)

    inner = Scaled()
    x = staghorn.Input((6,))
    model = staghorn.Model(x, layers.Dense(2)(inner(x)))
    model.compile("sgd", "mse")
    before = model._program_key("train")
    inner._trainable = False  # its own weight alone
    assert model._program_key("train") != before


def test_a_flag_that_is_an_array():
    model = stack()
    np.testing.assert_allclose(model(X, training=jax.numpy.asarray(False)), model(X), rtol=1e-5)


def test_losses_added_later_are_seen():
    x = staghorn.Input((6,))
    hidden = layers.Dense(3)(x)
    model = staghorn.Model(x, layers.Dense(1)(hidden))
    model(X)
    assert model.losses == []
    model.add_loss(staghorn.ops.mean(hidden**2))
    model(X)
    assert len(model.losses) == 1


def test_toggling_trainable_compiles_nothing():
    model = stack()
    model(X)
    (program,) = model._compiled_call._programs.values()
    model.trainable = False
    model(X)
    model.trainable = True
    model.compile("sgd", "mse")
    model.train_on_batch(X, np.ones((5, 2)))
    model(X)
    assert list(model._compiled_call._programs.values()) == [program]


class Loud(layers.Layer):
    calls = 0

    def call(self, inputs):
        Loud.calls += 1
        return inputs


def _users(inside):
    return staghorn.Sequential([staghorn.Input((6,)), inside, layers.Dense(2)])


def _stateful():
    return staghorn.Sequential(
        [staghorn.Input(batch_shape=(5, 2, 3)), layers.LSTM(2, stateful=True)]
    )


UNTAKEN = {
    "a layer of one's own": lambda: _users(Loud()),
    "Lambda": lambda: _users(layers.Lambda(lambda x: 2 * x)),
    "a function of one's own": lambda: _users(layers.Dense(3, activation=lambda x: 2 * x)),
    "a loss on activities": lambda: _users(layers.Dense(3, activity_regularizer="l2")),
    "add_loss": lambda: _users(layers.ActivityRegularization(l2=0.1)),
    "a pipeline of ones own": lambda: _users(layers.Pipeline([Loud()])),
}


@pytest.mark.parametrize("name", UNTAKEN)
def test_what_users_wrote_runs_each_time(name):
    model = UNTAKEN[name]()
    Loud.calls = 0
    model(X)
    model(X)
    assert not taken(model)
    if name == "a layer of one's own":
        assert Loud.calls == 2
    if "loss" in name:
        assert len(model.losses) == 1


def test_state_that_changes_is_kept():
    model = _stateful()
    x = np.ones((5, 2, 3), "float32")
    first, second = np.array(model(x)), np.array(model(x))
    assert not taken(model)
    assert not np.allclose(first, second)


def test_training_runs_layer_by_layer():
    model = _users(layers.Dropout(0.5))
    first, second = np.array(model(X, training=True)), np.array(model(X, training=True))
    assert not np.array_equal(first, second)
    assert model._compiled_call is None or not model._compiled_call._programs
    np.testing.assert_array_equal(model(X), model(X))


def test_inside_other_programs():
    model = stack()
    compiled = staghorn.jit(lambda x: model(x))
    np.testing.assert_allclose(compiled(X), model(X), rtol=1e-5, atol=1e-6)
    variables = model.trainable_variables
    value, gradients = staghorn.value_and_grad(lambda x: staghorn.ops.sum(model(x)), variables)(X)
    assert [g.shape for g in gradients] == [v.shape for v in variables]
    np.testing.assert_allclose(value, np.sum(model(X)), rtol=1e-5)
    slope = jax.grad(lambda x: model(x).sum())(jax.numpy.asarray(X))
    assert slope.shape == X.shape
    assert float(np.abs(slope).sum()) > 0


def test_wrong_inputs_raise_the_same():
    model = stack()
    model(X)
    with pytest.raises(ValueError, match="expected axis -1 to have size 6, got 3") as told:
        model(X[:, :3])
    model.run_eagerly = True
    with pytest.raises(ValueError, match="expected axis -1 to have size 6, got 3") as expected:
        model(X[:, :3])
    assert str(told.value) == str(expected.value)
    assert told.value.__notes__ == expected.value.__notes__


def test_a_stack_without_input_is_built_by_its_first_call():
    model = staghorn.Sequential([layers.Dense(3), layers.Dense(1)])
    first = model(X)
    assert taken(model)
    np.testing.assert_array_equal(first, model(X))
    assert model.input_shape == (None, 6)


def test_a_copy_has_programs_of_its_own():
    model = stack()
    first = model(X)
    twin = staghorn.models.clone_model(model)
    twin.set_weights([0 * w for w in model.get_weights()])
    np.testing.assert_array_equal(twin(X), np.zeros((5, 2)))
    np.testing.assert_array_equal(model(X), first)


def test_those_who_change_layers_at_each_call_do_not_wait_for_compilers():
    model = stack()
    for n in range(MOST_CHANGES + 3):
        model.layers[0].activation = [staghorn.activations.relu, staghorn.activations.linear][n % 2]
        model(X)
    assert not taken(model)
    np.testing.assert_allclose(model(X), one_by_one(model, X), rtol=1e-6)


def test_many_lengths_do_not_fill_the_memory():
    x = staghorn.Input((None, 1))
    model = staghorn.Model(x, layers.ReLU()(x))
    for n in range(1, MOST_FORMS + 4):
        assert model(np.ones((1, n, 1), "float32")).shape == (1, n, 1)
    assert sum(map(bool, model._compiled_call._programs.values())) == MOST_FORMS


def test_calls_while_another_thread_trains():
    """`fit` takes the arrays of the weights away while its program runs."""
    model = stack()
    model.compile("sgd", "mse")
    rows = np.tile(X, (40, 1))
    failed = []

    def call():
        try:
            for _ in range(200):
                assert model(X).shape == (5, 2)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=call)
    model(X)
    thread.start()
    model.fit(rows, np.ones((200, 2)), epochs=20, batch_size=10, verbose=0)
    thread.join()
    assert failed == []


# The next prediction of one batch -----------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 3, 32])
def test_predictions_repeat(rows):
    """The second takes the short way; weights, forms and sizes are looked at anew."""
    model = stack()
    x = np.random.default_rng(rows).normal(size=(rows, 6)).astype("float32")
    first = model.predict(x, verbose=0)
    assert "again" in model._executor
    np.testing.assert_array_equal(model.predict(x, verbose=0), first)
    np.testing.assert_array_equal(
        model.predict(2 * x, verbose=0), model.predict(2 * x, verbose=0, callbacks=[])
    )
    model.set_weights([0 * w for w in model.get_weights()])
    assert not model.predict(x, verbose=0).any()
    assert model.predict(x[:, :6].repeat(3, axis=0), verbose=0).shape == (3 * rows, 2)


def test_callbacks_of_a_repeated_prediction():
    seen = []

    class Watch(staghorn.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            seen.append(batch)

    model = stack()
    for _ in range(3):
        model.predict(X, verbose=0)
        model.predict(X, verbose=0, callbacks=[Watch()])
    assert seen == [0, 0, 0]


def test_a_predict_step_of_ones_own_is_still_asked():
    class Doubled(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, inputs):
            return self.dense(inputs)

        def predict_step(self, data):
            return 2 * self(data)

    model = Doubled()
    twice = [model.predict(X, verbose=0) for _ in range(3)]
    np.testing.assert_array_equal(twice[0], twice[2])
    np.testing.assert_allclose(twice[2], 2 * np.array(model(X)), rtol=1e-5, atol=1e-6)
    model.run_eagerly = True
    np.testing.assert_allclose(model.predict(X, verbose=0), twice[0], rtol=1e-5, atol=1e-6)


def test_whole_numbers_out_of_range_are_looked_at_each_time():
    words = staghorn.Input((2,), dtype="int32")
    model = staghorn.Model(words, layers.Embedding(8, 3)(words))
    small = np.array([[1, 2]], "int64")
    first = model.predict(small, verbose=0)
    np.testing.assert_array_equal(model.predict(small, verbose=0), first)
    with pytest.raises(ValueError, match="outside 32 bits"):
        model.predict(small + 2**40, verbose=0)
