"""Several optimizers in one: numbers, names, config and files are Keras's."""

import numpy as np
import pytest

import staghorn
from staghorn.optimizers import SGD, Adam, LossScaleOptimizer, MultiOptimizer, OptimizerMap
from tests.oracle import assert_same, keras

X = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")


def trained(k):
    k.utils.clear_session()
    k.utils.set_random_seed(0)
    hidden = k.layers.Dense(4, name="encoder")
    model = k.Sequential([k.Input((3,), name="x"), hidden, k.layers.Dense(2, name="d")], name="m")
    table = k.optimizers.OptimizerMap(k.optimizers.SGD(0.1, momentum=0.9))
    table[".*encoder/.*"] = k.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.5)
    model.compile(k.optimizers.MultiOptimizer(table, name="multi"), "mse")
    model.fit(X, X[:, :2], batch_size=12, epochs=3, verbose=0)
    return model


@pytest.fixture(scope="module")
def pair():
    return trained(staghorn), trained(keras)


def test_training_equals_keras(pair):
    ours, theirs = pair
    assert_same(ours.get_weights(), theirs.get_weights())
    own, other = ours.optimizer.variables, theirs.optimizer.variables
    assert [v.path for v in own] == [v.path for v in other]
    assert_same([v.numpy() for v in own], [v.numpy() for v in other])


def test_config_equals_keras(pair):
    ours, theirs = pair
    written = staghorn.optimizers.serialize(ours.optimizer)
    assert written == keras.optimizers.serialize(theirs.optimizer)
    again = staghorn.optimizers.deserialize(written)
    assert again.get_config() == written["config"]


def test_files_go_both_ways(pair, tmp_path):
    for source, name in zip(pair, ("ours.keras", "theirs.keras"), strict=True):
        source.save(tmp_path / name)
        for library in (staghorn, keras):
            again = library.saving.load_model(tmp_path / name).optimizer
            assert [int(inner.iterations.numpy()) for inner in again.optimizers] == [3, 3]
            state = [v.numpy() for v in again.variables]
            assert_same(state, [v.numpy() for v in source.optimizer.variables])


def test_a_function_may_choose():
    w, b = (staghorn.Variable(np.ones(1, "float32"), name=n) for n in "wb")
    fast, slow = SGD(0.5), SGD(0.25)
    optimizer = MultiOptimizer(lambda v: fast if v.name == "w" else slow, loss_scale_factor=2.0)
    ones = np.ones(1, "float32")
    optimizer.apply([ones * 2, ones * 2], [w, b])
    assert [w.numpy()[0], b.numpy()[0]] == [0.5, 0.75]
    assert optimizer.scale_loss(3.0) == 6.0
    optimizer.loss_scale_factor = 1.0
    assert [inner.loss_scale_factor for inner in optimizer.optimizers] == [1.0, 1.0]


BAD = [
    (lambda: OptimizerMap("sgd"), r"default_optimizer must be an Optimizer.*got 'sgd' \(str\)"),
    (lambda: OptimizerMap(SGD(), [1]), "optimizer_map must be a dict"),
    (lambda: OptimizerMap(SGD(), {"a": LossScaleOptimizer(SGD())}), "not one that wraps"),
    (lambda: OptimizerMap(SGD(), {"a.*": SGD(), ".*b": SGD()})["ab"], "'ab' fits several keys"),
    (lambda: OptimizerMap(SGD(), {3: SGD()}), "a key must be a new str, got 3"),
    (
        lambda: MultiOptimizer(lambda v: "adam").build([staghorn.Variable(0.0)]),
        "must be an Optimizer",
    ),
]


@pytest.mark.parametrize(("wrong", "words"), BAD, ids=[words for _, words in BAD])
def test_errors(wrong, words):
    with pytest.raises(ValueError, match=words):
        wrong()


def test_there_is_no_single_learning_rate():
    optimizer = MultiOptimizer(OptimizerMap(Adam()))
    with pytest.raises(AttributeError, match="each of its `optimizers`"):
        _ = optimizer.learning_rate
    with pytest.raises(AttributeError, match="each of its `optimizers`"):
        optimizer.learning_rate = 0.1
