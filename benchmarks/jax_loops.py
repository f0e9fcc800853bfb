"""The programs as hand-written JAX: what the engine can do when nothing is general.

An epoch is one compiled call, its validation included; rows are gathered inside the loop by an
order drawn on the host. Each model is a function (params, moving statistics, x, key) → (logits,
moving statistics); Adam and the initial values are Keras's. Convolutions and their gradients are
what `jax.lax` makes of them, a call for each step: in a loop they are slower still on a CPU.
"""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks import data

CONVOLUTION = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"}


# Parts of models -------------------------------------------------------------------------------


class Maker:
    """Draws initial values."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def kernel(self, *shape):
        receptive = int(np.prod(shape[:-2]))
        limit = (6 / (receptive * (shape[-2] + shape[-1]))) ** 0.5
        return jnp.asarray(self.rng.uniform(-limit, limit, shape), "float32")

    def dense(self, *widths):
        return [(self.kernel(a, b), jnp.zeros(b)) for a, b in pairwise(widths)]

    def embedding(self, words, width):
        return jnp.asarray(self.rng.uniform(-0.05, 0.05, (words, width)), "float32")

    def orthogonal(self, size, parts):
        columns = [np.linalg.qr(self.rng.normal(size=(size, size)))[0] for _ in range(parts)]
        return jnp.asarray(np.concatenate(columns, 1), "float32")


def dense(layers, x):
    """(..., d) → (..., units), ReLU between the layers."""
    for kernel, bias in layers[:-1]:
        x = jax.nn.relu(x @ kernel + bias)
    return x @ layers[-1][0] + layers[-1][1]


def conv(x, kernel, strides=1, padding="SAME", groups=1):
    return lax.conv_general_dilated(
        x,
        kernel,
        (strides, strides),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def pool(x):
    """Windows of 2 x 2 by slices: the gradient of `reduce_window` is far slower."""
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    x = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(x[:, :, ::2], x[:, :, 1::2])


def normalized(x, scale, shift, axes):
    mean = x.mean(axes, keepdims=True)
    variance = jnp.square(x).mean(axes, keepdims=True) - jnp.square(mean)
    y = (x - mean) * lax.rsqrt(variance + 1e-3) * scale + shift
    return y, (mean.reshape(-1), variance.reshape(-1))


def batch_norm(x, layer, moving, key):
    """Return the normalised batch and the new moving statistics; `key` None: inference."""
    if key is None:
        mean, variance = moving
        return (x - mean) * lax.rsqrt(variance + 1e-3) * layer[0] + layer[1], moving
    y, now = normalized(x, *layer, tuple(range(x.ndim - 1)))
    return y, tuple(0.99 * a + 0.01 * b for a, b in zip(moving, now, strict=True))


def drop(x, rate, key):
    if key is None:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0.0)


# Losses: (batch, ...) → the mean over the batch, and how many were right -------------------------


def mse(out, y):
    return jnp.square(out - y).mean(0).sum(), jnp.zeros(())


def crossentropy(logits, y):
    loss = -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()
    return loss, (logits.argmax(1) == y).sum().astype("float32")


def binary_crossentropy(logits, y):
    loss = jnp.maximum(logits, 0) - logits * y + jnp.log1p(jnp.exp(-jnp.abs(logits)))
    return loss.mean(), jnp.zeros(())


# The loop --------------------------------------------------------------------------------------


def adam(params, grads, slots, step):
    rate = 0.001 * jnp.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    tree = jax.tree.map
    first = tree(lambda m, g: m + (g - m) * 0.1, slots[0], grads)
    second = tree(lambda v, g: v + (jnp.square(g) - v) * 0.001, slots[1], grads)
    params = tree(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), params, first, second)
    return params, (first, second)


def trainer(seed, model, params, arrays, batch, loss, *, moving=(), test=None, by_step=None):
    """Return (fit, predict). `model(params, moving, x, key)` gives (outputs, new `moving`).

    Args:
        test: (x, y) that each epoch ends with.
        by_step: compiler options, where each step is a call of its own; None: one call an epoch.
    """
    count = len(arrays[0])
    steps, rest = divmod(count, batch)
    rng, history = np.random.default_rng(seed), []
    arrays = jax.tree.map(jnp.asarray, arrays)
    key = jax.random.key(seed)

    def one_step(state, rows, arrays):
        params, moving, slots, step, sums = state
        x, y = (a.at[rows].get(mode="promise_in_bounds") for a in arrays)

        def objective(params):
            out, after = model(params, moving, x, jax.random.fold_in(key, step))
            error, right = loss(out, y)
            return error, (after, jnp.stack([error * len(rows), right]))

        (_, (moving, sizes)), grads = jax.value_and_grad(objective, has_aux=True)(params)
        step = step + 1
        params, slots = adam(params, grads, slots, step.astype("float32"))
        return params, moving, slots, step, sums + sizes

    @partial(jax.jit, donate_argnums=0)
    def epoch(state, order, tail, arrays, test):
        state = (*state[:-1], jnp.zeros(2))
        state = lax.fori_loop(0, steps, lambda i, s: one_step(s, order[i], arrays), state)
        if rest:
            state = one_step(state, tail, arrays)
        if test is None:
            return state, state[-1]
        x, y = test
        parts = len(x) // batch
        head = lax.scan(
            lambda total, part: (total + loss(predict(state, part[0]), part[1])[0] * batch, None),
            jnp.zeros(()),
            tuple(a[: parts * batch].reshape(parts, batch, *a.shape[1:]) for a in (x, y)),
        )[0]
        tail = loss(predict(state, x[parts * batch :]), y[parts * batch :])[0]
        return state, jnp.append(state[-1], head + tail * (len(x) - parts * batch))

    single = jax.jit(one_step, donate_argnums=0, compiler_options=by_step)

    def predict(state, x):
        return model(state[0], state[1], x, None)[0]

    zeros = jax.tree.map(jnp.zeros_like, params)
    copies = jax.tree.map(jnp.copy, zeros)
    state = [(params, moving, (zeros, copies), jnp.int32(0), jnp.zeros(2))]
    predict_batch = jax.jit(predict)

    def fit(epochs):
        for _ in range(epochs):
            rows = rng.permutation(count).astype("int32")
            if by_step is None:
                order = rows[: steps * batch].reshape(steps, batch)
                state[0], logs = epoch(state[0], order, rows[steps * batch :], arrays, test)
            else:
                state[0] = (*state[0][:-1], jnp.zeros(2))
                for start in range(0, count, batch):
                    state[0] = single(state[0], rows[start : start + batch], arrays)
                logs = state[0][-1]
            history.append(np.asarray(logs) / count)

    def outputs(x, size=batch):
        parts = [predict_batch(state[0], x[i : i + size]) for i in range(0, len(x), size)]
        return np.concatenate(parts)

    return fit, outputs


def power_plant(seed):
    make = Maker(seed)
    params = (make.dense(3, 64, 64), make.dense(64, 1), make.dense(64, 32, 1))

    def model(params, moving, x, key):
        trunk = jax.nn.relu(dense(params[0], x))
        return jnp.concatenate([dense(params[1], trunk), dense(params[2], trunk)], 1), moving

    x, y, x_test, y_test = data.power_plant()
    fit, outputs = trainer(
        seed, model, params, (x, y), 128, mse, test=(jnp.asarray(x_test), jnp.asarray(y_test))
    )

    def quality():
        out = outputs(x_test)
        return {f"R2 {k}": data.r2(y_test[:, i], out[:, i]) for i, k in enumerate(("PE", "V"))}

    return fit, quality


def _classifier(seed, model, params, batch, rows=20000, **options):
    x, y, x_test, y_test = data.mnist(rows)
    fit, outputs = trainer(seed, model, params, (x, y), batch, crossentropy, **options)
    return fit, lambda: {"accuracy": float((outputs(x_test).argmax(1) == y_test).mean())}


def mnist_mlp(seed):
    def model(params, moving, x, key):
        return dense(params, x.reshape(len(x), -1)), moving

    return _classifier(seed, model, Maker(seed).dense(784, 256, 128, 10), 32)


def mnist_wide(seed):
    make = Maker(seed)

    def model(params, moving, image, key):
        x = jax.nn.relu(dense(params[0], image.reshape(len(image), -1)))
        both = jnp.concatenate([image, x.reshape(-1, 28, 28)], 2)
        return dense(params[1], both.reshape(len(image), -1)), moving

    params = (make.dense(784, 2**14, 784), make.dense(2 * 784, 10))
    return _classifier(seed, model, params, 128, 2560)


def mnist_subclassed(seed):
    make = Maker(seed)

    def model(params, moving, x, key):
        first, norm, rest = params
        x = jax.nn.relu(dense(first, x.reshape(len(x), -1)))
        x, moving = batch_norm(x, norm, moving, key)
        return dense(rest, drop(x, 0.3, key)), moving

    norm = (jnp.ones(256), jnp.zeros(256))
    params = (make.dense(784, 256), norm, make.dense(256, 128, 10))
    moving = (jnp.zeros(256), jnp.ones(256))
    return _classifier(seed, model, params, 64, moving=moving)


def mnist_cnn(seed):
    make = Maker(seed)

    def model(params, moving, x, key):
        x = x[..., None]  # (batch, 28, 28, 1)
        for kernel, bias in params[:2]:
            x = pool(jax.nn.relu(conv(x, kernel, padding="VALID") + bias))
        return dense(params[2], drop(x.reshape(len(x), -1), 0.5, key)), moving

    kernels = [(make.kernel(3, 3, a, b), jnp.zeros(b)) for a, b in ((1, 32), (32, 64))]
    params = (*kernels, make.dense(1600, 10))
    return _classifier(seed, model, params, 128, by_step=CONVOLUTION)


def _trained_on(seed, model, params, x, y, batch, loss, **options):
    fit, outputs = trainer(seed, model, params, (x, y), batch, loss, **options)
    return fit, lambda: {"loss": float(loss(jnp.asarray(outputs(x)), jnp.asarray(y))[0])}


def residual_cnn(seed):
    make, widths = Maker(seed), ((16, 16, 1), (16, 32, 2), (32, 64, 2))
    params, moving = [], []
    for a, b, strides in widths:
        skip = None if (a, strides) == (b, 1) else make.kernel(1, 1, a, b)
        kernels = (make.kernel(3, 3, a, b), make.kernel(3, 3, b, b), skip)
        params.append((*kernels, [(jnp.ones(b), jnp.zeros(b)) for _ in range(2)]))
        moving.append([(jnp.zeros(b), jnp.ones(b)) for _ in range(2)])

    def model(params, moving, x, key):
        (kernel, bias), blocks, last = params
        x, after = jax.nn.relu(conv(x, kernel) + bias), []
        for (_, _, strides), (one, two, skip, norms), old in zip(
            widths, blocks, moving, strict=True
        ):
            y, first = batch_norm(conv(x, one, strides), norms[0], old[0], key)
            y, second = batch_norm(conv(jax.nn.relu(y), two), norms[1], old[1], key)
            x = jax.nn.relu(y + (x if skip is None else conv(x, skip, strides)))
            after.append([first, second])
        return dense(last, x.mean((1, 2))), after

    params = ((make.kernel(3, 3, 3, 16), jnp.zeros(16)), params, make.dense(64, 10))
    options = {"moving": moving, "by_step": CONVOLUTION}
    return _trained_on(seed, model, params, *data.pictures(), 64, crossentropy, **options)


def autoencoder(seed):
    make = Maker(seed)

    def model(params, moving, x, key):
        x = x[..., None]  # (batch, 28, 28, 1)
        for kernel, bias in params[:2]:
            x = jax.nn.relu(conv(x, kernel, 2) + bias)
        for kernel, bias in params[2:4]:
            x = jax.nn.relu(lax.conv_transpose(x, kernel, (2, 2), "SAME") + bias)
        kernel, bias = params[4]
        return jax.nn.sigmoid(conv(x, kernel) + bias)[..., 0], moving

    def loss(out, y):
        return jnp.square(out - y).mean(), jnp.zeros(())

    widths = ((1, 16), (16, 32), (32, 32), (32, 16), (16, 1))
    params = tuple((make.kernel(3, 3, a, b), jnp.zeros(b)) for a, b in widths)
    x = data.mnist(2560)[0]
    return _trained_on(seed, model, params, x, x, 128, loss, by_step=CONVOLUTION)


def separable_cnn(seed):
    make, widths = Maker(seed), ((32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2))

    def norms(*sizes):
        return [(jnp.ones(n), jnp.zeros(n)) for n in sizes]

    def model(params, moving, x, key):
        (kernel, bias), blocks, last = params
        x, after = jax.nn.relu(conv(x, kernel) + bias), []
        for (a, _, strides), (deep, wide, scales), old in zip(widths, blocks, moving, strict=True):
            x, first = batch_norm(conv(x, deep, strides, groups=a), scales[0], old[0], key)
            x, second = batch_norm(conv(jax.nn.relu(x), wide), scales[1], old[1], key)
            x = jax.nn.relu(x)
            after.append([first, second])
        return dense(last, x.mean((1, 2))), after

    blocks = [(make.kernel(3, 3, 1, a), make.kernel(1, 1, a, b), norms(a, b)) for a, b, _ in widths]
    moving = [[(jnp.zeros(n), jnp.ones(n)) for n in (a, b)] for a, b, _ in widths]
    params = ((make.kernel(3, 3, 3, 32), jnp.zeros(32)), blocks, make.dense(256, 10))
    options = {"moving": moving, "by_step": CONVOLUTION}
    return _trained_on(seed, model, params, *data.pictures(1600), 64, crossentropy, **options)


def _lstm(params, x, reverse=False):
    """(time, batch, d) → (batch, 64): the inputs' product is one, before the loop."""
    kernel, recurrent, bias = params

    def step(carry, projected):
        h, c = carry
        i, f, g, o = jnp.split(projected + h @ recurrent, 4, 1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zero = jnp.zeros((x.shape[1], 64))
    return lax.scan(step, (zero, zero), x @ kernel + bias, reverse=reverse)[0][0]


def _gru(params, x):
    kernel, recurrent, (bias, recurrent_bias) = params

    def step(h, projected):
        z, r, new = jnp.split(projected, 3, 1)
        hz, hr, hn = jnp.split(h @ recurrent + recurrent_bias, 3, 1)
        z, r = jax.nn.sigmoid(z + hz), jax.nn.sigmoid(r + hr)
        return z * h + (1 - z) * jnp.tanh(new + r * hn), None

    return lax.scan(step, jnp.zeros((x.shape[1], 64)), x @ kernel + bias)[0]


def _recurrent(seed, layers, read, width):
    make = Maker(seed)

    def model(params, moving, words, key):
        embedding, reader, last = params
        x = embedding.at[words.T].get(mode="promise_in_bounds")  # (time, batch, 64)
        return dense(last, read(reader, x)), moving

    params = (make.embedding(5000, 64), layers(make), make.dense(width, 1))
    return _trained_on(seed, model, params, *data.sequences(), 32, binary_crossentropy)


def _lstm_weights(make):
    bias = jnp.zeros(256).at[64:128].set(1.0)  # the forget gate starts open
    return make.kernel(64, 256), make.orthogonal(64, 4), bias


def lstm(seed):
    return _recurrent(seed, _lstm_weights, _lstm, 64)


def gru(seed):
    def layers(make):
        return make.kernel(64, 192), make.orthogonal(64, 3), (jnp.zeros(192), jnp.zeros(192))

    return _recurrent(seed, layers, _gru, 64)


def bidirectional(seed):
    def read(params, x):
        return jnp.concatenate([_lstm(params[0], x), _lstm(params[1], x, reverse=True)], 1)

    return _recurrent(seed, lambda make: (_lstm_weights(make), _lstm_weights(make)), read, 128)


def transformer(seed):
    make = Maker(seed)

    def heads(layers, x):
        q, k, v = ((x @ w + b).reshape(-1, 128, 4, 32).swapaxes(1, 2) for w, b in layers[:3])
        weights = jax.nn.softmax(q @ k.swapaxes(2, 3) * 32**-0.5)  # (batch, 4, 128, 128)
        return dense(layers[3:], (weights @ v).swapaxes(1, 2).reshape(-1, 128))

    def model(params, moving, words, key):
        embedding, attention, norms, feed, last = params
        x = embedding.at[words].get(mode="promise_in_bounds").reshape(-1, 128)  # (batch * 128, 128)
        x = normalized(x + heads(attention, x), *norms[0], (1,))[0]
        x = normalized(x + dense(feed, x), *norms[1], (1,))[0]
        return dense(last, x.reshape(-1, 128, 128).mean(1)), moving

    norms = [(jnp.ones(128), jnp.zeros(128)) for _ in range(2)]
    attention = [make.dense(128, 128)[0] for _ in range(4)]
    rest = (make.dense(128, 256, 128), make.dense(128, 1))
    params = (make.embedding(5000, 128), attention, norms, *rest)
    words = data.sequences(1600, 128, 128)
    return _trained_on(seed, model, params, *words, 32, binary_crossentropy)


def call_row(seed):
    params, row = Maker(seed).dense(8, 64, 64, 1), data.rows()[0][:1]
    run = jax.jit(dense)

    def calls(count):
        for _ in range(count):
            result = np.asarray(run(params, row))
        return result

    return calls, lambda: {"answer": calls(1).shape == (1, 1)}


predict_row = call_row


def _perceptron(seed, widths, rows, batch):
    def model(params, moving, x, key):
        return dense(params, x), moving

    return _trained_on(seed, model, Maker(seed).dense(*widths), *data.rows(rows), batch, mse)


def deep(seed):
    return _perceptron(seed, (8, *[32] * 199, 1), 64, 64)


def first_fit(seed):
    return _perceptron(seed, (8, 64, 64, 1), 1000, 32)
