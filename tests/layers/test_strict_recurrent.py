"""Recurrent layers without an oracle: properties, states between batches, cells, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers

X = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
NAMES = ["LSTM", "GRU", "SimpleRNN"]


@pytest.fixture(autouse=True)
def strict_modes():
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


def close(a, b):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("activation", ["tanh", "elu"], ids=["fast", "general"])
def test_mask_is_slicing(name, activation):
    layer = getattr(layers, name)(4, activation=activation)
    lengths = [6, 3]
    mask = np.arange(6)[None] < np.array(lengths)[:, None]
    out = layer(X, mask=mask)
    for row, length in enumerate(lengths):
        close(out[row], layer(X[row : row + 1, :length])[0])


@pytest.mark.parametrize("name", NAMES)
def test_unrolling_and_direction(name):
    make = getattr(layers, name)
    layer = make(4, return_sequences=True)
    expected = layer(X)
    for twin, x in ((make(4, return_sequences=True, unroll=True), X),
                    (make(4, return_sequences=True, go_backwards=True), X[:, ::-1])):  # fmt: skip
        twin.build(X.shape)
        twin.set_weights(layer.get_weights())
        close(twin(x), expected)


@pytest.mark.parametrize("name", NAMES)
def test_stateful_batches_are_one_long_sequence(name):
    layer = getattr(layers, name)(4, stateful=True)
    layer(X[:, :2])
    out = layer(X[:, 2:])
    plain = getattr(layers, name)(4)
    plain.build(X.shape)
    plain.set_weights(layer.get_weights())
    close(out, plain(X))
    layer.reset_state()
    close(layer(X), plain(X))
    assert not any("state" in v.path for v in layer.weights)
    with pytest.raises(ValueError, match=r"stateful=True every batch must have the size"):
        layer(X[:1])


def test_stateful_in_fit_and_predict():
    inputs = staghorn.Input(batch_shape=(2, 3, 3))
    layer = layers.GRU(4, stateful=True)
    model = staghorn.Model(inputs, layer(inputs))
    halves = np.concatenate([X[:, :3], X[:, 3:]])  # rows 2, 3 go on where 0, 1 ended
    whole = layers.GRU(4)
    whole.build(X.shape)
    whole.set_weights(layer.get_weights())
    close(model.predict(halves, batch_size=2, verbose=0)[2:], whole(X))
    layer.reset_state()
    model.compile(staghorn.optimizers.SGD(0.0), "mse")
    model.fit(halves, np.zeros((4, 4), "float32"), batch_size=2, shuffle=False, verbose=0)
    close(layer.states[0].value, whole(X))


def test_stateful_needs_a_batch_size():
    with pytest.raises(ValueError, match=r"batch_shape=\(batch, time, features\)"):
        layers.LSTM(4, stateful=True)(staghorn.Input((5, 3)))


class Counting(layers.Layer):
    """A cell that changes a Variable, draws random numbers and adds a loss at every step."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.state_size = 3
        self.inner = layers.Dense(3, kernel_initializer="identity")
        self.seeds = staghorn.random.SeedGenerator(1)
        self.steps = staghorn.Variable(np.float32(0.0), trainable=False)

    def call(self, inputs, states):
        self.steps.assign_add(1.0)
        noise = staghorn.random.normal(inputs.shape, seed=self.seeds)
        self.add_loss(self.steps.value)
        total = self.inner(inputs) + states[0] + 0.0 * noise
        return total, [total]


@pytest.mark.parametrize("unroll", [False, True])
def test_a_cell_may_keep_state_and_draw(unroll):
    layer = layers.RNN(Counting(), unroll=unroll)
    close(layer(X), X.sum(axis=1))
    cell = layer.cell
    assert float(cell.steps.value) == 6
    assert np.asarray(cell.seeds.state.value).tolist() == [1, 6]
    assert float(layer.losses[0]) == 1 + 2 + 3 + 4 + 5 + 6
    compiled = staghorn.jit(lambda x: layer(x))
    close(compiled(X), X.sum(axis=1))
    assert float(cell.steps.value) == 12


def test_a_cell_without_weights_or_layer():
    class Sum:
        state_size = 3

        def call(self, inputs, states):
            return inputs + states[0], [inputs + states[0]]

    close(layers.RNN(Sum())(X), X.sum(axis=1))


def test_a_masked_step_of_a_stack_shows_the_output_before_it():
    layer = layers.RNN([layers.GRUCell(3), layers.GRUCell(3)], return_sequences=True)
    mask = np.array([[1, 1, 0, 1, 0, 0]] * 2, bool)
    out = layer(X, mask=mask)
    close(out[:, 2], out[:, 1])
    close(out[:, 4:], jnp.stack([out[:, 3]] * 2, axis=1))
    close(out[:, 3], layer(X[:, [0, 1, 3]])[:, 2])


def test_wrong_cells():
    with pytest.raises(ValueError, match="RNN: a cell must have a call"):
        layers.RNN(3)
    with pytest.raises(ValueError, match="a state_size attribute"):
        layers.RNN(layers.Dense(3))

    class Forgetful(layers.Layer):
        state_size = 3

        def call(self, inputs, states):
            return inputs, [inputs[:, :2]]

    with pytest.raises(ValueError, match="a cell must return its new states in the form"):
        layers.RNN(Forgetful())(X)
    with pytest.raises(ValueError, match="units must be a positive int, got -3"):
        layers.LSTM(-3)
    with pytest.raises(ValueError, match=r"initial_state must hold 2 tensor\(s\)"):
        layers.LSTM(3)(X, initial_state=[jnp.zeros((2, 3))])


@pytest.mark.parametrize("name", NAMES)
def test_all_modes_of_differentiation(name):
    """Second derivatives and forward mode, which a hand-written gradient easily loses."""
    layer = getattr(layers, name)(2)
    x = jnp.asarray(X[:1, :3, :2])
    layer(x)
    weights = [v.value for v in layer.trainable_variables]
    rest = [v.value for v in layer.non_trainable_variables]

    def fast(x):
        return jnp.sum(layer.stateless_call(weights, rest, x)[0] ** 2)

    def general(x):
        h = [jnp.zeros((1, 2))] * (2 if name == "LSTM" else 1)
        for t in range(3):
            (_, h), _ = layer.cell.stateless_call(weights, rest, x[:, t], h)
        return jnp.sum(h[0] ** 2)

    for derivative in (jax.grad, jax.jacfwd, jax.hessian):
        close(jax.jit(derivative(fast))(x), jax.jit(derivative(general))(x))


def test_bidirectional_errors():
    with pytest.raises(ValueError, match="layer must be a layer"):
        layers.Bidirectional(layers.LSTM)
    with pytest.raises(ValueError, match="must run in different directions"):
        layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3))
    with pytest.raises(ValueError, match="merge_mode must be one of"):
        layers.Bidirectional(layers.LSTM(3), merge_mode="add")
    with pytest.raises(ValueError, match="the layer must be recurrent"):
        layers.Bidirectional(layers.Dense(3))


def test_time_distributed_is_the_layer_at_each_step():
    images = np.random.default_rng(1).normal(size=(2, 3, 4, 4, 1)).astype("float32")
    model = staghorn.Sequential([layers.Flatten(), layers.Dense(2, activity_regularizer="l2")])
    layer = layers.TimeDistributed(model)
    out = layer(images)
    total = 0.0
    for t in range(3):
        close(out[:, t], model(images[:, t]))
        total += float(model.losses[0])
    layer(images)
    close(layer.losses[0], total)
    with pytest.raises(ValueError, match="at least 3 axes"):
        layers.TimeDistributed(layers.Dense(2))(np.ones((2, 3), "float32"))


def test_time_distributed_passes_the_mask():
    class Masked(layers.Layer):
        supports_masking = True

        def call(self, inputs, mask=None):
            return inputs * mask[:, None].astype(inputs.dtype)

    mask = np.array([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 0, 0]], bool)
    close(layers.TimeDistributed(Masked())(X, mask=mask), X * mask[..., None])


def test_unknown_length_and_mask_reach_the_end():
    inputs = staghorn.Input((None,), dtype="int32")
    x = layers.Embedding(7, 3, mask_zero=True)(inputs)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    model = staghorn.Model(inputs, layers.GRU(2)(x))
    padded = model(np.array([[3, 5, 2, 0, 0]]))
    close(padded, model(np.array([[3, 5, 2]])))
    assert model.output_shape == (None, 2)


def test_mistakes_are_explained():
    inputs = staghorn.Input((5, 3))
    with pytest.raises(ValueError, match="give that one return_sequences=True"):
        layers.LSTM(4)(layers.LSTM(4)(inputs))
    x = np.ones((2, 5, 3), "float32")
    wrong = [np.ones((2, 5), "float32")] * 2
    with pytest.raises(ValueError, match=r"initial_state must have the shapes \(2, 4\), \(2, 4\)"):
        layers.LSTM(4)(x, initial_state=wrong)
