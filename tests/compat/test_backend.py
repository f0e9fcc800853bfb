"""`keras.backend`, today's and the old `K`: names and arguments as Keras's, numbers as NumPy's."""

import importlib
import inspect

import numpy as np
import pytest

import staghorn
from staghorn import backend, layers
from staghorn.compat import backend as K
from staghorn.engine.spellings import OldSpelling
from tests.oracle import keras

RANDOM = np.random.RandomState(0)
A, B = RANDOM.randn(2, 3, 4).astype("float32")
P = np.abs(A) + 0.1
Q = P / P.sum(-1, keepdims=True)
C = RANDOM.randn(4, 5).astype("float32")
T = RANDOM.randn(2, 3, 4).astype("float32")
X = RANDOM.randn(2, 4, 6, 3).astype("float32")
Z = (A > 0).astype("float32")
HOT = np.eye(4, dtype="float32")[[2, 0, 3]]

NOT_OFFERED = {
    "binary_focal_crossentropy", "categorical_focal_crossentropy", "conv2d_transpose",
    "ctc_label_dense_to_sparse",
}  # fmt: skip


def test_todays_names_are_keras_s():
    assert set(backend.__all__) == {name for name in dir(keras.backend) if name[0] != "_"}


TYPES = ["bool", "uint8", "int8", "int32", "int64", "float16", "bfloat16", "float32", int, float]


@pytest.mark.parametrize("first", TYPES)
def test_result_types_are_keras_s(first):
    for second in TYPES:
        expected = keras.backend.result_type(first, second)
        assert backend.result_type(first, second) == expected, second


def test_counters_and_questions_about_types():
    backend.clear_session()
    assert [backend.get_uid("a"), backend.get_uid("b"), backend.get_uid("a")] == [1, 1, 2]
    assert layers.Dense(1).name == "dense"
    assert backend.is_int_dtype("uint8")
    assert backend.is_float_dtype("bfloat16")
    assert not backend.is_int_dtype("float32")
    assert backend.is_keras_tensor(staghorn.Input((2,)))
    assert not backend.is_keras_tensor(np.ones(2))
    assert backend.result_type() == backend.result_type(None) == "float32"
    assert K.backend() == "jax"


def test_the_old_names_take_keras_s_arguments():
    old = importlib.import_module("keras._tf_keras.keras.backend")
    functions = {n: f for n, f in vars(old).items() if n[0] != "_" and inspect.isfunction(f)}
    assert set(functions) - set(K.__all__) == NOT_OFFERED
    for name, theirs in functions.items():
        if name in NOT_OFFERED or name in ("ctc_batch_cost", "ctc_decode", "gradients", "rnn"):
            continue
        ours = getattr(K, name)
        taken = getattr(ours, "parameters", None) or tuple(inspect.signature(ours).parameters)
        wanted = [p for p in inspect.signature(theirs).parameters if p != "name"]
        assert set(wanted) - {"ignore_class"} <= set(taken), name


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


# Expression of K -> what it gives. The real functions need TensorFlow.
ROWS = [
    ("K.sum(A)", A.sum()),
    ("K.sum(T, axis=[1, 2])", T.sum((1, 2))),
    ("K.mean(A, axis=-1, keepdims=True)", A.mean(-1, keepdims=True)),
    ("K.mean(A > 0)", (A > 0).mean()),
    ("K.std(A, axis=0)", A.std(0)),
    ("K.var(A)", A.var()),
    ("K.prod(A, 1)", A.prod(1)),
    ("K.all(A > -9, axis=1)", np.ones(3, bool)),
    ("K.argmax(A)", A.argmax(-1)),
    ("K.argmin(A, axis=0)", A.argmin(0)),
    ("K.cumsum(A)", A.cumsum(0)),
    ("K.logsumexp(A, axis=1)", np.log(np.exp(A).sum(1))),
    ("K.pow(x=A, a=2)", A**2),
    ("K.sqrt(A)", np.sqrt(np.maximum(A, 0))),
    ("K.clip(A, 0.5, 0.1)", np.full_like(A, 0.5)),
    ("K.clip(A, None, 0.5)", np.minimum(A, 0.5)),
    ("K.hard_sigmoid(A)", np.clip(A * 0.2 + 0.5, 0, 1)),
    ("K.relu(A, alpha=0.1)", np.where(A > 0, A, 0.1 * A)),
    ("K.elu(A, 0.5)", np.where(A > 0, A, 0.5 * np.expm1(A))),
    ("K.softmax(A)", softmax(A)),
    ("K.l2_normalize(A, axis=1)", A / np.linalg.norm(A, axis=1, keepdims=True)),
    ("K.not_equal(A, B)", A != B),
    ("K.maximum(x=A, y=B)", np.maximum(A, B)),
    ("K.binary_crossentropy(Z, Q)", -np.log(np.where(A > 0, Q, 1 - Q))),
    ("K.categorical_crossentropy(HOT, Q)", -np.log(Q[range(3), [2, 0, 3]])),
    ("K.categorical_crossentropy(HOT, A, from_logits=True)", -(HOT * np.log(softmax(A))).sum(-1)),
    ("K.sparse_categorical_crossentropy(np.array([2, 0, 3]), Q)", -np.log(Q[range(3), [2, 0, 3]])),
    ("K.dot(A, C)", A @ C),
    ("K.dot(T, C)", T @ C),
    ("K.dot(T, np.stack([C, C])).shape", (2, 3, 2, 5)),
    ("K.batch_dot(A, B, axes=1)", (A * B).sum(1, keepdims=True)),
    ("K.batch_dot(T, T, axes=(2, 2))", T @ T.swapaxes(1, 2)),
    ("K.batch_dot(T, T.swapaxes(1, 2))", T @ T.swapaxes(1, 2)),
    ("K.batch_dot(T, T[:, 0], axes=(2, 1))", np.einsum("bij,bj->bi", T, T[:, 0])),
    ("K.batch_dot(T, T[:, 0])", np.einsum("bij,bj->bi", T, T[:, 0])),
    ("K.concatenate([A, B])", np.concatenate([A, B], -1)),
    ("K.stack([A, B], axis=1)", np.stack([A, B], 1)),
    ("K.expand_dims(A)", A[..., None]),
    ("K.squeeze(A[:, :1], 1)", A[:, 0]),
    ("K.permute_dimensions(T, (0, 2, 1))", T.swapaxes(1, 2)),
    ("K.batch_flatten(T)", T.reshape(2, 12)),
    ("K.flatten(A)", A.ravel()),
    ("K.reshape(A, (2, None))", A.reshape(2, 6)),
    ("K.repeat(A, 2)", np.stack([A, A], 1)),
    ("K.repeat_elements(A, 2, axis=1)", A.repeat(2, 1)),
    ("K.reverse(A, axes=[0, 1])", A[::-1, ::-1]),
    ("K.tile(A, n=(2, 1))", np.tile(A, (2, 1))),
    ("K.gather(A, [2, 0])", A[[2, 0]]),
    ("K.one_hot(np.array([2, 0, 3]), 4)", HOT),
    ("K.temporal_padding(T, (2, 0))", np.pad(T, [(0, 0), (2, 0), (0, 0)])),
    ("K.spatial_2d_padding(X)", np.pad(X, [(0, 0), (1, 1), (1, 1), (0, 0)])),
    ("K.spatial_2d_padding(X, ((1, 0), (2, 1)), 'channels_first')",
     np.pad(X, [(0, 0), (0, 0), (1, 0), (2, 1)])),
    ("K.resize_images(X, 2, 3, 'channels_last')", X.repeat(2, 1).repeat(3, 2)),
    ("K.resize_volumes(X[..., None], 1, 2, 1, 'channels_first')", X.repeat(2, 3)[..., None]),
    ("K.pool2d(X, (2, 2), (2, 2))", X.reshape(2, 2, 2, 3, 2, 3).max((2, 4))),
    ("K.pool2d(X, (2, 2), (2, 2), pool_mode='avg')", X.reshape(2, 2, 2, 3, 2, 3).mean((2, 4))),
    ("K.conv2d(X, C[:3, None].reshape(1, 1, 3, 5))", X @ C[:3]),
    ("K.bias_add(X, A[0, :3])", X + A[0, :3]),
    ("K.bias_add(X, X[0])", X + X[0]),
    ("K.bias_add(X, B[0], data_format='channels_first')", X + B[0][:, None, None]),
    ("K.in_top_k(Q, np.array([0, 1, 2]), 4)", np.ones(3, bool)),
    ("K.switch(A > 0, A, B)", np.where(A > 0, A, B)),
    ("K.switch(A[:, 0] > 0, A, lambda: B)", np.where(A[:, :1] > 0, A, B)),
    ("K.switch(np.array(1.0), A, B)", A),
    ("K.foldl(lambda total, row: total * 2 + row, A)", A[0] * 4 + A[1] * 2 + A[2]),
    ("K.foldr(lambda total, row: total * 2 + row, A)", A[2] * 4 + A[1] * 2 + A[0]),
    ("K.map_fn(lambda row: row * 2, A, dtype='float32')", A * 2),
    ("K.constant([1, 2])", np.array([1.0, 2.0], "float32")),
    ("K.constant(2, shape=(2, 2), dtype='int32')", np.full((2, 2), 2, "int32")),
    ("K.arange(1, 7, 2, dtype='float32')", np.array([1, 3, 5], "float32")),
    ("K.zeros((2,)).assign_add([1, 2]).numpy()", np.array([1.0, 2.0], "float32")),
    ("K.eye(2)", np.eye(2, dtype="float32")),
    ("K.eval(K.update_add(K.variable([1.0]), [2.0]))", np.array([3.0], "float32")),
    ("K.moving_average_update(K.variable([1.0]), 3.0, 0.75)", np.array([1.5], "float32")),
    ("K.random_bernoulli((3,), p=1.0)", np.ones(3, "float32")),
    ("K.random_normal((3,), 5.0, 0.0)", np.full(3, 5, "float32")),
    ("K.random_uniform((3,), 4, 5, dtype='int32')", np.full(3, 4, "int32")),
    ("K.truncated_normal(shape=(3,), mean=1.0, stddev=0.0)", np.ones(3, "float32")),
    ("K.dropout(A, level=0.0)", A),
    ("K.cast_to_floatx([1, 2])", np.array([1, 2], "float32")),
    ("K.int_shape(A), K.ndim(A), K.count_params(A), K.dtype(A)", ((3, 4), 2, 12, "float32")),
    ("K.shape(x=A)", np.array([3, 4], "int32")),
    ("K.learning_phase(), K.is_sparse(A), K.get_value(3)", (0, False, 3)),
    ("K.image_dim_ordering()", "tf"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_numbers(expression, expected):
    found = eval(expression)  # our own text, above
    if isinstance(expected, (tuple, str)):
        assert found == expected
        return
    assert np.shape(found) == np.shape(expected)
    if isinstance(expected, np.ndarray):
        assert backend.standardize_dtype(found.dtype) == backend.result_type(expected.dtype)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=2e-5, atol=1e-5)


def test_channels_first_in_keras_1_s_words():
    K.set_image_dim_ordering("th")
    assert K.image_data_format() == "channels_first"
    assert K.image_dim_ordering() == "th"


def test_the_same_functions_on_symbolic_tensors():
    x = staghorn.Input((4,))
    joined = K.concatenate([K.square(x), K.l2_normalize(x, axis=-1), K.expand_dims(x)[:, :, 0]])
    model = staghorn.Model(x, K.batch_dot(joined, joined, axes=1))
    wide = np.concatenate([A**2, A / np.linalg.norm(A, axis=1, keepdims=True), A], -1)
    np.testing.assert_allclose(
        model.predict(A, verbose=0), (wide**2).sum(1, keepdims=True), rtol=1e-5
    )


class OldLayer(staghorn.Layer):
    """As layers were written for Keras 2."""

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 2))
        super().build(input_shape)

    def call(self, x):
        noisy = K.in_train_phase(lambda: x * 0.0, x)
        return K.dot(noisy, self.kernel) + K.zeros((2,)) + K.random_normal((2,), stddev=0.0)


def test_layer_loss_and_metric_of_old_functions_train():
    def loss(target, output):
        scale = K.cast(K.shape(output)[0], "float32") / K.cast(K.shape(output)[0], K.floatx())
        return scale * K.mean(K.square(target - output), axis=-1)

    def recall(target, output):
        hits = K.sum(K.round(K.clip(target * output, 0, 1)))
        return hits / (K.sum(K.round(K.clip(target, 0, 1))) + K.epsilon())

    model = staghorn.Sequential([staghorn.Input((4,)), OldLayer(), layers.Lambda(K.abs)])
    model.compile("sgd", loss=loss, metrics=[recall])
    target = np.ones((3, 2), "float32")
    assert model.evaluate(A, target, verbose=0)[0] != pytest.approx(1.0)
    history = model.fit(A, target, epochs=2, verbose=0).history
    np.testing.assert_allclose(history["loss"], [1.0, 1.0])  # training hides the data
    np.testing.assert_array_equal(history["recall"], [0.0, 0.0])


def test_function_from_inputs_to_outputs():
    inputs = staghorn.Input((4,))
    hidden = layers.Dense(8, activation="relu")(inputs)
    outputs = layers.Dropout(0.5, seed=1)(hidden)
    model = staghorn.Model(inputs, outputs)
    run = K.function([model.layers[0].input, K.learning_phase()], [hidden, outputs])
    first, second = run([A, 0])
    assert isinstance(first, np.ndarray)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, model.layers[1](A))
    first, second = run([A, 1])
    assert not np.array_equal(first, second)
    (only,) = K.function([model.input], [model.output])([A])
    assert only.shape == K.function(model.input, model.output)(A).shape == (3, 8)
    place = K.placeholder(shape=(None, 4))
    (sums,) = K.function([place], [K.sum(place, axis=1)])([A])
    np.testing.assert_allclose(sums, A.sum(1), rtol=1e-5)


def test_function_says_what_is_wrong():
    x = staghorn.Input((4,))
    with pytest.raises(ValueError, match=r"made for 1 inputs, got 2.*f\(\[x\]\)"):
        K.function([x], [K.abs(x)])([A, B])
    with pytest.raises(ValueError, match="train_step"):
        K.function([x], [K.abs(x)], updates=[1])


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda: K.gradients(1, 2), "K.gradients: .*jax.grad.*value_and_grad"),
        (lambda: K.get_session().run(1), "there are no sessions"),
        (lambda: K.rnn(1, 2, 3), r"K.rnn: .*staghorn.layers.RNN"),
        (lambda: K.set_learning_phase(1), r"model\(x, training=True\)"),
    ],
)
@pytest.mark.filterwarnings("ignore::staghorn.engine.spellings.OldSpelling")
def test_what_needs_a_static_graph_says_what_to_write(call, advice):
    with pytest.raises(NotImplementedError, match=f"(?s){advice}"):
        call()


def test_learning_phase_0_is_understood():
    with pytest.warns(OldSpelling, match="set_learning_phase"):
        K.set_learning_phase(0)


def test_unknown_names_and_arguments():
    with pytest.raises(AttributeError, match=r"no 'sqaure'\. Did you mean 'square'"):
        _ = K.sqaure
    with pytest.raises(TypeError, match=r"sum\(x, axis, keepdims\): no argument 'axes'"):
        K.sum(A, axes=1)
    with pytest.raises(TypeError, match="4 arguments are given"):
        K.sum(A, 1, True, 2)
    with pytest.raises(ValueError, match="batch axis"):
        K.batch_dot(A, B, axes=0)
