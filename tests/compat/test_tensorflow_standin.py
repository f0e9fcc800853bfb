"""The stand-in for TensorFlow: numbers as NumPy's, also in layers and losses, and its errors.

Its results were compared with TensorFlow 2.21's own when it was written; here NumPy is the measure.
"""

import textwrap

import jax
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.compat import tensorflow as tf
from staghorn.compat.tensorflow.arrays import add_numpy_method, remove_numpy_method
from staghorn.compat.tensorflow.compat import v1

RANDOM = np.random.RandomState(0)
A, B = RANDOM.randn(2, 3, 4).astype("float32")
P = np.abs(A) + 0.1
C = RANDOM.randn(4, 5).astype("float32")
T = RANDOM.randn(2, 3, 4).astype("float32")
X = RANDOM.randn(2, 4, 6, 3).astype("float32")
HOT = np.eye(4, dtype="float32")[[2, 0, 3]]
S = np.exp(A) / np.exp(A).sum(-1, keepdims=True)
BIG = np.float32([[-80.0, 80.0]])

ROWS = [
    ("tf.reduce_mean(A)", A.mean()),
    ("tf.reduce_sum(input_tensor=T, axis=[1, 2], keepdims=True)", T.sum((1, 2), keepdims=True)),
    ("tf.reduce_max(A, -1)", A.max(-1)),
    ("tf.reduce_all(A > 0, axis=0)", (A > 0).all(0)),
    ("tf.math.reduce_std(A, 0)", A.std(0)),
    ("tf.reduce_sum([1, 2])", np.int32(3)),
    ("tf.argmax(A)", A.argmax(0)),
    ("tf.argmin(A, axis=1, output_type=tf.int32)", A.argmin(1)),
    ("tf.add(x=A, y=B, name='sum')", A + B),
    ("tf.pow(P, 2.0)", P**2),
    ("tf.math.log(P)", np.log(P)),
    ("tf.math.floormod(A, P)", np.mod(A, P)),
    ("tf.math.squared_difference(A, B)", (A - B) ** 2),
    ("tf.logical_not(A > 0)", A <= 0),
    ("tf.cumsum(A, axis=1, exclusive=True)", A.cumsum(1) - A),
    ("tf.cumsum(A, axis=0, reverse=True)", A[::-1].cumsum(0)[::-1]),
    ("tf.math.cumprod([2, 3, 4], exclusive=True)", np.int32([1, 2, 6])),
    ("tf.add_n([A, B, A])", A + B + A),
    ("tf.math.count_nonzero(A > 0, axis=0)", (A > 0).sum(0)),
    ("tf.math.l2_normalize(A, axis=1)", A / np.linalg.norm(A, axis=1, keepdims=True)),
    ("tf.math.confusion_matrix([0, 1, 1], [0, 1, 0])", np.int32([[1, 0], [1, 1]])),
    ("tf.math.top_k(A, k=2).indices", (-A).argsort(1)[:, :2]),
    ("tf.matmul(A, B, transpose_b=True)", A @ B.T),
    ("tf.tensordot(A, C, axes=1)", A @ C),
    ("tf.einsum('ij,jk->ik', A, C)", A @ C),
    ("tf.norm(A)", np.linalg.norm(A)),
    ("tf.norm(A, ord=1, axis=0)", np.abs(A).sum(0)),
    ("tf.eye(2, 3)", np.eye(2, 3, dtype="float32")),
    ("tf.linalg.diag([1.0, 2.0])", np.diag([1.0, 2.0]).astype("float32")),
    ("tf.linalg.band_part(A, -1, 0)", np.tril(A)),
    ("tf.linalg.svd(A, compute_uv=False)", np.linalg.svd(A, compute_uv=False)),
    ("tf.linalg.svd(A)[2].shape", (4, 3)),
    ("tf.linalg.trace(np.stack([C, C])).shape", (2,)),
    ("tf.cast(A, tf.int32)", A.astype("int32")),
    ("tf.constant(1.5)", np.float32(1.5)),
    ("tf.constant([1, 2])", np.int32([1, 2])),
    ("tf.constant(7, shape=(2, 3))", np.full((2, 3), 7, "int32")),
    ("tf.constant(1) + tf.constant(2)", np.int32(3)),
    ("tf.shape(T)", np.int32([2, 3, 4])),
    ("tf.size(T)", np.int32(24)),
    ("tf.rank(T)", 3),
    ("tf.reshape(T, [tf.shape(T)[0], -1])", T.reshape(2, 12)),
    ("tf.reshape(A, tf.concat([[2], tf.shape(T)[1:2], [2]], 0))", A.reshape(2, 3, 2)),
    ("tf.ones(tf.stack([tf.shape(A)[0], 2]))", np.ones((3, 2), "float32")),
    ("tf.transpose(T, perm=[0, 2, 1])", T.swapaxes(1, 2)),
    ("tf.concat([A, B], axis=-1)", np.concatenate([A, B], -1)),
    ("tf.stack([A, B], axis=1)", np.stack([A, B], 1)),
    ("tf.unstack(A)[2]", A[2]),
    ("tf.split(A, 2, axis=1)[1]", A[:, 2:]),
    ("tf.split(A, [1, -1, 1], axis=1)[1]", A[:, 1:3]),
    ("tf.squeeze(A[:, :1], axis=[1])", A[:, 0]),
    ("tf.expand_dims(A, axis=1)", A[:, None]),
    ("tf.tile(A, multiples=[2, 1])", np.tile(A, (2, 1))),
    ("tf.zeros_like(A)", np.zeros_like(A)),
    ("tf.fill([2, 2], 3)", np.full((2, 2), 3, "int32")),
    ("tf.range(1, 7, 2)", np.int32([1, 3, 5])),
    ("tf.linspace(0.0, 1.0, 5)", np.linspace(0, 1, 5, dtype="float32")),
    ("tf.one_hot([2, 0, 3], depth=4)", HOT),
    ("tf.one_hot([2, 0, 3], 4, on_value=5, off_value=1)", (HOT * 4 + 1).astype("int32")),
    ("tf.gather(A, [2, 0])", A[[2, 0]]),
    ("tf.gather(T, [[0, 1], [2, 1]], batch_dims=1)", np.stack([T[0, [0, 1]], T[1, [2, 1]]])),
    ("tf.gather_nd(A, [[0, 1], [2, 3]])", A[[0, 2], [1, 3]]),
    ("tf.where(A > 0, A, 0.0)", np.maximum(A, 0)),
    ("tf.where(A > 0)", np.argwhere(A > 0)),
    ("tf.boolean_mask(A, [True, False, True])", A[[0, 2]]),
    ("tf.clip_by_value(A, -0.5, clip_value_max=0.5)", A.clip(-0.5, 0.5)),
    ("tf.clip_by_global_norm([A, None], 1.0)[0][0]", A / np.linalg.norm(A)),
    ("tf.clip_by_norm(A, 1.0)", A / np.linalg.norm(A)),
    ("tf.sort(A, direction='DESCENDING')", -np.sort(-A)),
    ("tf.argsort(A, axis=0)", A.argsort(0)),
    ("tf.reverse(A, axis=[0])", A[::-1]),
    ("tf.roll(A, shift=1, axis=0)", np.roll(A, 1, 0)),
    ("tf.pad(A, [[1, 0], [0, 2]], constant_values=9)",
     np.pad(A, [(1, 0), (0, 2)], constant_values=9)),
    ("tf.pad(A, tf.constant([[1, 1], [2, 0]]), 'REFLECT')",
     np.pad(A, [(1, 1), (2, 0)], mode="reflect")),
    ("tf.map_fn(lambda row: row * 2, A)", A * 2),
    ("tf.while_loop(lambda i, s: i < 5, lambda i, s: (i + 1, s + i), (0, 0))[1]", np.int32(10)),
    ("tf.cond(tf.constant(True), lambda: 1.0, lambda: 2.0)", np.float32(1)),
    ("tf.nn.relu(A)", np.maximum(A, 0)),
    ("tf.nn.leaky_relu(A, alpha=0.1)", np.where(A > 0, A, 0.1 * A)),
    ("tf.nn.leaky_relu(A)", np.where(A > 0, A, 0.2 * A)),
    ("tf.nn.softmax(A)", S),
    ("tf.nn.log_softmax(A, axis=-1)", np.log(S)),
    ("tf.nn.softmax_cross_entropy_with_logits(labels=B, logits=A)", -(B * np.log(S)).sum(-1)),
    ("tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[2, 0, 3], logits=A)",
     -np.log(S[range(3), [2, 0, 3]])),
    ("tf.nn.sigmoid_cross_entropy_with_logits(labels=HOT, logits=A)",
     np.maximum(A, 0) - A * HOT + np.log1p(np.exp(-np.abs(A)))),
    ("tf.nn.sigmoid_cross_entropy_with_logits(np.float32([[1, 0]]), BIG)", np.abs(BIG)),
    ("tf.nn.moments(A, axes=[0])[1]", A.var(0)),
    ("tf.nn.batch_normalization(A, B, P, None, 2.0, 0.1)", (A - B) / np.sqrt(P + 0.1) * 2),
    ("tf.nn.l2_loss(A)", (A**2).sum() / 2),
    ("tf.nn.embedding_lookup(C, [[0, 1], [3, 2]])", C[[[0, 1], [3, 2]]]),
    ("tf.nn.bias_add(X, [1.0, 2.0, 3.0])", X + np.float32([1, 2, 3])),
    ("tf.nn.conv2d(X, C[:3].reshape(1, 1, 3, 5), strides=[1, 2, 2, 1], padding='SAME')",
     X[:, ::2, ::2] @ C[:3]),
    ("tf.nn.max_pool2d(X, 2, 2, 'VALID')", X.reshape(2, 2, 2, 3, 2, 3).max((2, 4))),
    ("tf.nn.avg_pool2d(X, ksize=[1, 2, 2, 1], strides=2, padding='SAME')",
     X.reshape(2, 2, 2, 3, 2, 3).mean((2, 4))),
    ("tf.image.resize(X, [8, 12], method='nearest')", X.repeat(2, 1).repeat(2, 2)),
    ("tf.image.resize(X[0], (8, 12), preserve_aspect_ratio=True).shape", (8, 12, 3)),
    ("tf.image.flip_left_right(X)", X[:, :, ::-1]),
    ("tf.random.uniform([3], 5, 6, dtype=tf.int32)", np.full(3, 5, "int32")),
    ("tf.random.normal(shape=(3,), mean=2.0, stddev=0.0)", np.full(3, 2, "float32")),
    ("tf.sort(tf.random.shuffle(tf.range(5)))", np.arange(5, dtype="int32")),
    ("tf.TensorShape([None, 3]).as_list()", [None, 3]),
    ("tf.is_tensor(tf.ones(2)), tf.is_tensor(A), isinstance(tf.ones(2), tf.Tensor)",
     (True, False, True)),
    ("tf.nest.flatten([1, (2, 3)])", [1, 2, 3]),
    ("tf.zeros_initializer()((2,))", np.zeros(2, "float32")),
    ("v1.reduce_sum([1.0, 2.0])", np.float32(3)),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_numbers(expression, expected):
    found = eval(expression)  # our own text, above
    if isinstance(expected, (tuple, list, int)):
        assert found == expected
        return
    assert np.shape(found) == np.shape(expected)
    wanted = {"float64": "float32", "int64": "int32"}.get(expected.dtype.name, expected.dtype.name)
    assert found.dtype == wanted
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-4, atol=1e-5)


def test_data_types_answer_as_tensorflow_s_and_serve_as_ours():
    assert tf.float32.name == "float32"
    assert tf.ones(2).dtype == tf.float32 == np.float32 == tf.as_dtype(float)
    assert tf.int32 != tf.float32
    assert tf.float32 != 3
    assert (tf.int32.max, tf.float16.size, tf.half) == (2**31 - 1, 2, tf.float16)
    assert [t.is_floating for t in (tf.bfloat16, tf.bool, tf.int8)] == [True, False, False]
    assert np.zeros(1, tf.uint8).dtype == tf.uint8.as_numpy_dtype
    assert layers.Dense(1, dtype=tf.float16).compute_dtype == "float16"
    assert {tf.float32: 1}["float32"] == 1


def test_variables():
    variable = tf.Variable(tf.zeros([2]), trainable=False, name="scope/w:0", dtype=tf.float32)
    variable.assign_sub([1.0, 2.0])
    np.testing.assert_array_equal(tf.square(variable), [1.0, 4.0])
    assert variable.dtype.name == "float32"
    assert variable.get_shape().as_list() == [2]
    assert not variable.trainable
    assert isinstance(variable, staghorn.Variable)
    assert tf.Variable(lambda: 3).dtype == tf.int32
    with pytest.raises(ValueError, match="initial_value is missing"):
        tf.Variable()


def test_numpy_method_comes_and_goes():
    assert not hasattr(tf.ones(2), "numpy")
    add_numpy_method()
    try:
        add_numpy_method()
        assert isinstance(tf.ones(2).numpy(), np.ndarray)
        assert isinstance(tf.reduce_mean([1.0, 2.0]).numpy(), np.float32)
        tf.ones(2).numpy()[0] = 5  # a copy of one's own
    finally:
        remove_numpy_method()
    assert not hasattr(tf.ones(2), "numpy")
    np.testing.assert_array_equal(tf.shape(A).numpy(), [3, 4])


class Sampling(staghorn.Layer):
    """As variational autoencoders are written with `tf.*`."""

    def call(self, inputs):
        mean, log_variance = inputs
        batch, size = tf.shape(mean)[0], tf.shape(mean)[1]
        noise = tf.random.normal(shape=(batch, size), seed=1)
        kl = 1 + log_variance - tf.square(mean) - tf.exp(log_variance)
        self.add_loss(-0.5 * tf.reduce_mean(tf.reduce_sum(kl, axis=1)))
        return mean + tf.exp(0.5 * log_variance) * noise


class Scale(staghorn.Layer):
    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(tf.constant(2.0), name="factor")

    @tf.function(jit_compile=True)
    def call(self, x):
        return tf.multiply(x, self.factor)


def test_layers_losses_and_metrics_train():
    def loss(target, output):
        count = tf.cast(tf.shape(output)[0], tf.float32)
        return tf.reduce_sum(tf.math.squared_difference(target, output), axis=-1) * count / count

    def hits(target, output):
        return tf.reduce_mean(tf.cast(tf.equal(tf.round(output), target), tf.float32))

    staghorn.utils.set_random_seed(3)
    inputs = staghorn.Input((4,))
    hidden = Sampling()([layers.Dense(3)(inputs), layers.Dense(3)(inputs)])
    hidden = layers.Lambda(lambda x: tf.concat([tf.nn.tanh(x), tf.reshape(x, tf.shape(x))], 1))(
        hidden
    )
    hidden = tf.matmul(hidden, tf.eye(6)) + tf.expand_dims(tf.reduce_max(hidden, axis=1), -1)
    hidden = tf.reshape(hidden, [tf.shape(hidden)[0], 6])
    model = staghorn.Model(inputs, Scale()(layers.Dense(1)(hidden)))
    model.compile(staghorn.optimizers.Adam(0.05), loss=loss, metrics=[hits])
    x = np.random.RandomState(1).randn(32, 4).astype("float32")
    y = np.ones((32, 1), "float32")
    history = model.fit(x, y, batch_size=8, epochs=8, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert set(history) == {"loss", "hits"}
    assert float(model.layers[-1].factor) != 2.0


def test_noise_is_new_at_each_step_and_repeats_with_the_seed():
    class Noise(staghorn.Layer):
        def __init__(self):
            super().__init__()
            self.seen = self.add_weight(shape=(3,), initializer="zeros", trainable=False)
            self.step = self.add_weight(shape=(), initializer="zeros", trainable=False)
            self.scale = self.add_weight(shape=(), initializer="ones")

        def call(self, x):
            noise = tf.random.uniform((), seed=5)
            self.seen.assign(tf.where(tf.range(3.0) == self.step, noise, self.seen))
            self.step.assign_add(1.0)
            return x * self.scale

    runs = []
    for seed in (1, 1):
        tf.random.set_seed(seed)
        layer = Noise()
        model = staghorn.Sequential([staghorn.Input((1,)), layer])
        model.compile("sgd", "mse")
        model.fit(np.ones((3, 1)), np.ones((3, 1)), batch_size=1, verbose=0)
        runs.append(layer.seen.numpy())
    assert len(set(runs[0].tolist())) == 3
    np.testing.assert_array_equal(runs[0], runs[1])


def test_set_seed_fixes_initial_weights_and_draws():
    def draw():
        tf.random.set_seed(7)
        weights = staghorn.initializers.GlorotUniform()((2, 3))
        draws = weights, tf.random.normal([2]), tf.random.normal([2], seed=1)
        return [np.asarray(draw) for draw in draws]

    for first, second in zip(draw(), draw(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_loop_that_the_error_shows_runs():
    with pytest.raises(AttributeError, match=r"tf\.GradientTape is not in") as caught:
        _ = tf.GradientTape
    code = str(caught.value).split("loop body as\n")[1].split("\nor use")[0]
    model = staghorn.Sequential([staghorn.Input((4,)), layers.Dense(1)])
    names = {
        "staghorn": staghorn, "model": model, "x": A, "y": np.ones((3, 1), "float32"),
        "loss_fn": staghorn.losses.MeanSquaredError(), "optimizer": staghorn.optimizers.SGD(0.1),
    }  # fmt: skip
    before = model.get_weights()[0]
    exec(textwrap.dedent(code), names)  # our own text
    assert float(names["loss"]) > 0
    assert not np.array_equal(before, model.get_weights()[0])


@pytest.mark.parametrize(
    ("module", "name", "advice"),
    [
        (tf, "data", r"tf\.data is not .*PyDataset"),
        (tf, "placeholder", r"tf\.placeholder .*model\.predict"),
        (tf, "placeholder", "no sessions or placeholders"),
        (tf, "summary", "TensorBoard"),
        (tf, "saved_model", r"model\.save\(path\)"),
        (tf, "distribute", "delete it"),
        (tf, "to_float", r"tf\.cast\(x,tf\.float32\)"),
        (tf, "reduce_meen", "Did you mean 'reduce_mean'"),
        (tf.math, "exponential", r"tf\.math\.exponential is not"),
        (tf.nn, "rnn_cell", "their cells"),
        (tf.random, "norml", "Did you mean 'normal'"),
        (tf.image, "decode_jpeg", r"staghorn\.utils\.load_img"),
        (tf.config.experimental, "set_visible_devices", "JAX_PLATFORMS"),
        (v1, "placeholder", r"tf\.compat\.v1\.placeholder is not .*no sessions"),
        (v1, "get_variable", "add_weight"),
    ],
)
def test_what_is_missing_says_what_to_use(module, name, advice):
    assert not hasattr(module, name)
    with pytest.raises(AttributeError, match=f"(?s){advice}"):
        getattr(module, name)


def test_every_listed_name_is_there():
    modules = (tf, tf.math, tf.nn, tf.random, tf.linalg, tf.image, tf.config, tf.dtypes, tf.compat)
    for module in (*modules, tf.test, v1):
        assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert set(tf.__all__) <= set(dir(tf))


TEXTS = ["Hello  World", "ÄÖ ab-C", "", " x,y "]
# What TensorFlow 2.21 gives.
STRINGS = {
    "lower": (lambda: tf.strings.lower(TEXTS), ["hello  world", "ÄÖ ab-c", "", " x,y "]),
    "lower of all letters": (lambda: tf.strings.lower("ÄB", encoding="utf-8"), "äb"),
    "upper": (lambda: tf.strings.upper(TEXTS), ["HELLO  WORLD", "ÄÖ AB-C", "", " X,Y "]),
    "strip": (lambda: tf.strings.strip(TEXTS), ["Hello  World", "ÄÖ ab-C", "", "x,y"]),
    "groups": (lambda: tf.strings.regex_replace(TEXTS[:1], r"(\w)o", r"<\1>"), ["Hel<l>  <W>rld"]),
    "whole": (lambda: tf.strings.regex_replace("hello", "l+", r"[\0]"), "he[ll]o"),
    "once": (lambda: tf.strings.regex_replace("hello", "l", "L", replace_global=False), "heLlo"),
    "match": (lambda: tf.strings.regex_full_match(TEXTS, ".*o.*"), [True, False, False, False]),
    "bytes": (lambda: tf.strings.length(TEXTS), [12, 9, 0, 5]),
    "characters": (lambda: tf.strings.length(TEXTS, unit="UTF8_CHAR"), [12, 7, 0, 5]),
    "words": (lambda: tf.strings.split(TEXTS[:2]), [["Hello", "World"], ["ÄÖ", "ab-C"]]),
    "words of one": (lambda: tf.strings.split("a b c"), ["a", "b", "c"]),
    "parts": (lambda: tf.strings.split(TEXTS[3:], sep=","), [[" x", "y "]]),
    "letters": (lambda: tf.strings.unicode_split(["Ä b"], "UTF-8"), [["Ä", " ", "b"]]),
    "join": (lambda: tf.strings.join([["a", "b"], ["c", "d"]], separator="-"), ["a-c", "b-d"]),
    "join rows": (lambda: tf.strings.reduce_join([["a", "b"], ["c", "d"]], axis=1), ["ab", "cd"]),
    "numbers": (lambda: tf.strings.to_number(["1.5", "2"]), [1.5, 2.0]),
    "constant": (lambda: tf.constant(["a", "b"]), ["a", "b"]),
}


@pytest.mark.parametrize("name", STRINGS)
def test_strings(name):
    call, wanted = STRINGS[name]
    assert np.asarray(call()).tolist() == wanted


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match=r"reduce_sum\(input_tensor, axis, keepdims\): no argument"):
        tf.reduce_sum(A, axes=1)
    with pytest.raises(ValueError, match="needs maxval="):
        tf.random.uniform([2], dtype=tf.int32)


def test_devices_are_jax_s():
    (device,) = tf.config.list_physical_devices("CPU")[:1]
    assert (device.device_type, device.name) == ("CPU", "/physical_device:CPU:0")
    assert tf.config.experimental.list_physical_devices("TPU") == []
    assert tf.test.gpu_device_name() == ""
    tf.config.experimental.set_memory_growth(device, True)
    with tf.device("/CPU:1"):
        assert "1" in str(tf.ones(1).device)
    with tf.device("/GPU:7"), tf.name_scope("block") as name:
        assert name == "block"


def test_printing_and_asking_about_compiled_code(capsys):
    @staghorn.jit
    def step(x):
        tf.print("x is", x, output_stream="ignored")
        assert not tf.executing_eagerly()
        return x

    step(np.float32(2.0)).block_until_ready()
    jax.effects_barrier()
    assert capsys.readouterr().out == "x is 2.0\n"
    assert tf.executing_eagerly()


def test_harmless_switches():
    v1.logging.set_verbosity(v1.logging.ERROR)
    tf.autograph.set_verbosity(0)
    v1.disable_eager_execution()
    tf.get_logger().setLevel("ERROR")
    assert tf.get_logger().name == "tensorflow"
    assert tf.__version__ == "2.21.0"
