"""predict: forms of outputs, few programs, and which models may have a batch filled up."""

import jax
import numpy as np
import pytest

import staghorn
from staghorn.training.predictor import predictor_for
from tests.training.test_strict_executor import Compilations
from tests.training.twins import assert_close, dense, heads_data, regression, twins, two_heads

X, _ = regression(rows=130)


@pytest.mark.parametrize("struct", ["list", "dict"])
def test_nests_of_outputs_equal_keras(struct):
    x, _, _ = heads_data(rows=10)
    ours, theirs = twins(two_heads(struct))
    for batch_size in (4, 10, None):
        got = ours.predict(x, batch_size=batch_size, verbose=0)
        expected = theirs.predict(x, batch_size=batch_size, verbose=0)
        assert type(got) is type(expected)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            assert type(a) is np.ndarray
            assert a.dtype == b.dtype
            assert_close(a, b)
    named = ours.predict({"right": x[1], "left": x[0]}, verbose=0)
    for a, b in zip(jax.tree.leaves(named), jax.tree.leaves(got), strict=True):
        assert_close(a, b)


def test_rows_and_steps():
    ours, theirs = twins(dense())
    everything = ours.predict(X, verbose=0)
    for rows in (1, 2, 31, 32, 33, 65, 130):
        out = ours.predict(X[:rows], verbose=0)
        assert out.shape == (rows, 1)
        assert_close(out, everything[:rows])
    assert_close(everything, theirs.predict(X, verbose=0))
    for arguments in ({"batch_size": 7, "steps": 3}, {"steps": 130}, {"batch_size": 1000}):
        assert_close(
            ours.predict(X, verbose=0, **arguments), theirs.predict(X, verbose=0, **arguments)
        )
    assert_close(ours.predict_on_batch(X[:5]), everything[:5])


def test_many_numbers_of_rows_need_few_programs():
    model = dense()(staghorn)
    with jax.log_compiles(), Compilations() as compiled:

        def programs():
            return sum("_one" in name or "_many" in name for name in compiled.names)

        for rows in range(2, 33):
            model.predict(X[:rows], verbose=0)
        assert programs() == 1  # any part of a batch
        for rows in range(33, 130, 7):
            model.predict(X[:rows], verbose=0)
        assert programs() == 2  # any number of batches
        known = len(compiled.names)
        for rows in (3, 17, 32, 34, 36, 65, 129):
            model.predict(X[:rows], verbose=0)
        assert len(compiled.names) == known
        for row in range(3):
            model.predict(X[row : row + 1], verbose=0)
        assert programs() == 3  # a single row is not filled up: people predict in loops


def test_results_are_the_callers_own():
    model = dense()(staghorn)
    first = model.predict(X[:3], verbose=0)
    first[:] = 7
    assert (model.predict(X[:3], verbose=0) != 7).all()


def test_dropout_is_off_and_the_seed_stays():
    model = staghorn.Sequential([staghorn.Input((3,)), staghorn.layers.Dropout(0.9)])
    before = [v.numpy() for v in model.variables]
    np.testing.assert_array_equal(model.predict(X, verbose=0), X)
    for a, b in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(a, b.numpy())


@pytest.mark.parametrize("eagerly", [False, True])
def test_batches_reach_the_callback(eagerly):
    seen = []

    class Watch(staghorn.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            seen.append((batch, logs["outputs"].shape))
            self.model.stop_predicting = batch == 1

    model = dense()(staghorn)
    model.compile(run_eagerly=eagerly)
    out = model.predict(X[:10], batch_size=4, callbacks=[Watch()], verbose=0)
    assert seen == [(0, (4, 1)), (1, (4, 1))]
    assert len(out) == 8


def layers_model(*layers, shape=(6,), dtype="float32"):
    return staghorn.Sequential([staghorn.Input(shape, dtype=dtype), *layers])


class Scanned(staghorn.layers.Layer):
    """A recurrence over time, time first inside."""

    def call(self, x):
        def step(carry, now):
            carry = 0.5 * carry + now
            return carry, carry.max(axis=-1)

        last, largest = jax.lax.scan(step, 0 * x[:, 0], staghorn.ops.transpose(x, (1, 0, 2)))
        return last + staghorn.ops.transpose(largest)[:, :1]


def lambda_model(function, shape=(6,)):
    class Applied(staghorn.layers.Layer):
        def call(self, x):
            return function(x)

    return layers_model(Applied(), shape=shape)


KL, OPS = staghorn.layers, staghorn.ops
APART = {
    "mlp": lambda: layers_model(KL.Dense(4, "gelu"), KL.BatchNormalization(), KL.Softmax()),
    "sequence": lambda: layers_model(
        KL.Embedding(9, 4), KL.LayerNormalization(), KL.Dense(5, "elu"), KL.Flatten(), KL.Dense(2),
        dtype="int32"),
    "shapes": lambda: layers_model(
        KL.Reshape((2, 3)), KL.Permute((2, 1)), KL.Dense(4), KL.Flatten(), KL.RepeatVector(3)),
    "scan": lambda: lambda_model(Scanned(), (4, 3)),
    "attention": lambda: lambda_model(
        lambda x: OPS.softmax(OPS.matmul(x, OPS.transpose(x, (0, 2, 1)))) @ x, (4, 3)),
    "columns": lambda: lambda_model(
        lambda x: OPS.concatenate([x[:, 1:3], x[:, :1], OPS.cumsum(x, axis=1)], axis=-1)),
    "sorted": lambda: lambda_model(lambda x: OPS.sort(x, axis=-1)[:, ::-1]),
    "position": lambda: lambda_model(lambda x: x + OPS.arange(6, dtype="float32")),
}  # fmt: skip

MIXED = {
    "mean": lambda x: x - OPS.mean(x, axis=0, keepdims=True),
    "all": lambda x: x / OPS.max(x),
    "softmax": lambda x: OPS.softmax(x, axis=0),
    "product": lambda x: OPS.matmul(OPS.transpose(x), x)[:1] + x,
    "neighbour": lambda x: x + OPS.roll(x, 1, axis=0),
    "reversed": lambda x: x[::-1],
    "cumulated": lambda x: OPS.cumsum(x, axis=0),
    "sorted": lambda x: OPS.sort(x, axis=0),
    "first row": lambda x: x + x[:1],
    "last row": lambda x: x + x[-1:],
    "size": lambda x: x / x.shape[0],
    "reshaped": lambda x: x + OPS.mean(OPS.reshape(x, (-1, x.shape[0])), axis=0)[:, None],
    "scan over rows": lambda x: jax.lax.scan(lambda c, row: (c + row, c + row), x[0], x)[1],
    "shared": lambda x: OPS.reshape(OPS.transpose(x), x.shape),
    "ending": lambda x: jax.lax.while_loop(lambda v: (v < 9).all(), lambda v: v * 2, abs(x) + 1),
}


def prepared(model, rows=4):
    shape = (rows, *model.inputs[0].shape[1:])
    first = jax.ShapeDtypeStruct(shape, model.inputs[0].dtype)
    return predictor_for(model, first).fills(first, rows)


@pytest.mark.parametrize("name", APART)
def test_models_whose_rows_stay_apart(name):
    model = APART[name]()
    assert prepared(model)
    shape = model.inputs[0].shape[1:]
    x = np.random.default_rng(0).uniform(0, 9, size=(7, *shape)).astype(model.inputs[0].dtype)
    whole = np.asarray(model(x))
    for rows in (2, 3, 7):
        assert_close(model.predict(x[:rows], batch_size=4, verbose=0), whole[:rows])


@pytest.mark.parametrize("name", MIXED)
def test_models_that_mix_rows_are_never_filled_up(name):
    model = lambda_model(MIXED[name])
    assert not prepared(model)
    x = np.random.default_rng(0).normal(size=(7, 6)).astype("float32")
    for rows in (3, 7):
        parts = [np.asarray(model(x[s : min(s + 4, rows)])) for s in range(0, rows, 4)]
        assert_close(model.predict(x[:rows], batch_size=4, verbose=0), np.concatenate(parts))


def test_an_output_without_rows_is_an_error():
    model = lambda_model(lambda x: OPS.sum(x))
    with pytest.raises(ValueError, match="one row per input row"):
        model.predict(X[:, :1].repeat(6, 1), verbose=0)
