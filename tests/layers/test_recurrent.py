"""Recurrent layers beyond the table: states, directions, cells, wrappers; keras is the oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from tests.oracle import assert_same, keras

LIBRARIES = (staghorn, keras)
X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
MASK = np.array([[1, 1, 1, 0, 0], [0, 1, 0, 1, 1]], bool)


def pair(make):
    """The same layer of both libraries, with the same weights."""
    ours, theirs = (make(library.layers) for library in LIBRARIES)
    for layer in (ours, theirs):
        layer(X)
    ours.set_weights([np.asarray(v.value) for v in theirs.weights])
    return ours, theirs


@pytest.mark.parametrize(
    "make",
    [
        lambda layers: layers.LSTM(3, return_state=True, return_sequences=True),
        lambda layers: layers.GRU(3, return_state=True, go_backwards=True),
        lambda layers: layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], return_state=True),
        lambda layers: layers.Bidirectional(layers.LSTM(3, return_state=True)),
        lambda layers: layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode="sum"),
        lambda layers: layers.Bidirectional(
            layers.SimpleRNN(3, return_sequences=True),
            backward_layer=layers.SimpleRNN(3, return_sequences=True, go_backwards=True),
            merge_mode=None,
        ),
        lambda layers: layers.Bidirectional(layers.LSTM(3), merge_mode="mul"),
        lambda layers: layers.Bidirectional(layers.GRU(3), merge_mode="ave"),
        lambda layers: layers.TimeDistributed(layers.Dense(4, activation="tanh")),
    ],
)
@pytest.mark.parametrize("mask", [None, MASK], ids=["", "mask"])
def test_outputs_states_and_shapes(make, mask):
    ours, theirs = pair(make)
    out1, out2 = ours(X, mask=mask), theirs(X, mask=mask)
    assert_same(out1, out2, rtol=1e-5, atol=1e-6)
    shapes = jax.tree.map(jnp.shape, out1)
    assert shapes == ours.compute_output_shape(X.shape)
    names = [[v.path.split("/")[-1] for v in layer.weights] for layer in (ours, theirs)]
    assert names[0] == names[1]
    again = staghorn.layers.deserialize(staghorn.layers.serialize(ours))
    assert again.get_config() == ours.get_config()
    assert set(ours.get_config()) == set(theirs.get_config())


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
def test_same_seed_same_start(name):
    outputs = []
    for library in LIBRARIES:
        library.utils.set_random_seed(3)
        layer = getattr(library.layers, name)(4, dropout=0.4, recurrent_dropout=0.2)
        # Copies of a SimpleRNN draw seeds in another order than keras's.
        both = library.layers.Bidirectional(library.layers.LSTM(3))
        outputs.append([layer(X, training=True), layer(X, training=True), both(X)])
    assert_same(*outputs, rtol=1e-5, atol=1e-6)


def test_stacked_cells_draw_the_masks_of_keras():
    outputs = []
    for library in LIBRARIES:
        cells = [
            library.layers.LSTMCell(3, dropout=0.4, seed=1, bias_initializer="ones"),
            library.layers.GRUCell(2, recurrent_dropout=0.4, seed=2),
        ]
        for i, cell in enumerate(cells):
            cell.kernel_initializer = library.initializers.GlorotUniform(seed=i)
            cell.recurrent_initializer = library.initializers.Orthogonal(seed=i)
        outputs.append(library.layers.RNN(cells, return_sequences=True)(X, training=True))
    assert_same(*outputs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("start", [True, False], ids=["initial_state", "zeros"])
def test_gradient_of_everything(name, start):
    """Also with respect to the first state, through a mask, into every output."""
    ours, theirs = pair(
        lambda layers: getattr(layers, name)(3, return_sequences=True, return_state=True)
    )
    states = 2 if name == "LSTM" else 1
    first = [np.full((2, 3), 0.1 * (i + 1), "float32") for i in range(states)]

    def gradient(layer):
        rest = [jnp.array(v.value) for v in layer.non_trainable_variables]

        def loss(weights, x, first):
            given = {"initial_state": list(first)} if start else {}
            out, _ = layer.stateless_call(weights, rest, x, mask=MASK, **given)
            return sum(jnp.sum(jnp.sin((i + 1) * leaf)) for i, leaf in enumerate(out))

        weights = [jnp.array(v.value) for v in layer.trainable_variables]
        return jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(weights, jnp.asarray(X), first)

    assert_same(gradient(ours), gradient(theirs), rtol=1e-5, atol=1e-6)


def encoder_decoder(library):
    layers = library.layers
    source, target = library.Input((None, 3)), library.Input((None, 3))
    _, h, c = layers.LSTM(4, return_state=True, name="encoder")(source)
    decoded = layers.LSTM(4, return_sequences=True, name="decoder")(target, initial_state=[h, c])
    return library.Model([source, target], layers.Dense(2, name="head")(decoded))


def test_encoder_decoder_trains_and_is_saved_as_in_keras(tmp_path):
    ours, theirs = (encoder_decoder(library) for library in LIBRARIES)
    ours.set_weights([np.asarray(v.value) for v in theirs.weights])
    y = np.zeros((2, 5, 2), "float32")
    for model in (ours, theirs):
        model.compile("sgd", "mse")
        model.fit([X, X[:, ::-1]], y, epochs=2, batch_size=2, verbose=0)
    assert_same(*([v.value for v in m.weights] for m in (ours, theirs)), rtol=1e-5, atol=1e-6)

    expected = ours.predict([X, X], verbose=0)
    path = str(tmp_path / "model.keras")
    ours.save(path)
    for library in LIBRARIES:
        loaded = library.saving.load_model(path)
        assert_same(loaded.predict([X, X], verbose=0), expected)
    clone = staghorn.models.clone_model(ours)
    clone.set_weights(ours.get_weights())
    assert_same(clone.predict([X, X[:, :2]], verbose=0), ours.predict([X, X[:, :2]], verbose=0))


@pytest.mark.parametrize(
    "make",
    [
        lambda layers: layers.Bidirectional(layers.LSTM(3), name="b"),
        lambda layers: layers.RNN([layers.GRUCell(3), layers.SimpleRNNCell(2)], name="r"),
        lambda layers: layers.TimeDistributed(layers.Dense(3), name="t"),
    ],
)
def test_files_of_keras(make, tmp_path):
    model = keras.Sequential([keras.Input((5, 3)), make(keras.layers)])
    path = str(tmp_path / "model.keras")
    model.save(path)
    assert_same(staghorn.saving.load_model(path)(X), model(X), rtol=1e-5, atol=1e-6)


def test_cell_of_ones_own_matches_keras():
    def make(library):
        class Minimal(library.layers.Layer):
            def __init__(self, units, **kwargs):
                super().__init__(**kwargs)
                self.units = self.state_size = units

            def build(self, input_shape):
                self.kernel = self.add_weight((input_shape[-1], self.units), "ones")
                self.recurrent = self.add_weight((self.units, self.units), "ones")

            def call(self, inputs, states):
                ops = library.ops
                h = ops.tanh(
                    ops.matmul(inputs, self.kernel) + ops.matmul(states[0], self.recurrent)
                )
                return h, [h]

        return library.layers.RNN([Minimal(2), Minimal(3)], return_sequences=True)

    ours, theirs = make(staghorn), make(keras)
    assert_same(ours(X), theirs(X), rtol=1e-5, atol=1e-6)
    assert [v.path for v in ours.weights][1].endswith("minimal/variable_1")


@pytest.mark.parametrize("training", [True, False])
def test_time_distributed_with_state_inside(training):
    def make(layers):
        inner = (staghorn if layers is staghorn.layers else keras).Sequential(
            [layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.3, seed=1)]
        )
        return layers.TimeDistributed(inner)

    ours, theirs = pair(make)
    assert_same(ours(X, training=training), theirs(X, training=training), rtol=1e-5, atol=1e-6)
    ours, theirs = ([v.value for v in layer.variables] for layer in (ours, theirs))
    assert_same(ours, theirs, rtol=1e-5, atol=1e-6, what="state")
