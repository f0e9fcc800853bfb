"""Graphs and layers: sharing, names, unknown sizes, deep chains, the training flag."""

import jax
import numpy as np
import pytest

import staghorn
from staghorn import layers, ops
from staghorn.engine import naming, tracking

X = np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)
DEPTH = 3000


def chain(depth):
    x = start = staghorn.Input((4,))
    for _ in range(depth):
        x = layers.Activation("linear")(x)
    return staghorn.Model(start, x)


@pytest.mark.parametrize("kind", ["functional", "sequential", "added", "operators"])
def test_deep_chain(kind):
    """Built, called, written as JSON, rebuilt and copied without recursion."""
    if kind == "functional":
        model = chain(DEPTH)
    elif kind == "operators":
        x = start = staghorn.Input((4,))
        for _ in range(DEPTH // 10):
            x = x + 1.0
        model = staghorn.Model(start, x)
    else:
        stack = [layers.Activation("linear") for _ in range(DEPTH)]
        model = staghorn.Sequential([staghorn.Input((4,)), *(stack if kind != "added" else ())])
        for layer in stack if kind == "added" else ():
            model.add(layer)
    shift = DEPTH // 10 if kind == "operators" else 0
    np.testing.assert_allclose(model(X), X + shift, rtol=1e-6)
    assert jax.eval_shape(lambda x: model.stateless_call([], [], x)[0], X).shape == (3, 4)
    if kind == "added":
        return
    twin = staghorn.models.model_from_json(model.to_json())
    assert len(twin.layers) == len(model.layers)
    if kind == "functional":
        import copy

        assert len(copy.deepcopy(model).layers) == DEPTH + 1
        assert staghorn.Model(model.input, model.layers[10].output).output_shape == (None, 4)


def test_adding_layers_calls_each_once():
    """Not quadratic: `add` does not call the layers below again."""
    model = staghorn.Sequential([staghorn.Input((4,))])
    for _ in range(20):
        model.add(layers.Activation("linear"))
    model.pop()
    model.add(layers.Activation("linear"))
    assert [len(layer._inbound_nodes) for layer in model.layers] == [1] * 20


def test_graph_work_is_linear():
    """Tracing the builder counts steps: twice the depth, about twice the work."""
    import sys

    def work(depth):
        calls = 0

        def count(frame, event, arg):
            nonlocal calls
            calls += event == "call"

        sys.setprofile(count)
        try:
            model = chain(depth)
            model.to_json()
        finally:
            sys.setprofile(None)
        return calls

    chain(5).to_json()
    first, second = work(300), work(600)
    assert second < 2.2 * first


def test_shared_layer_once():
    """Counted and listed once; its gradients add."""
    a, b = staghorn.Input((4,)), staghorn.Input((4,))
    shared = layers.Dense(2)
    model = staghorn.Model([a, b], ops.add(shared(a), shared(b)))
    assert model.count_params() == 10
    assert len(model.weights) == 2
    assert [layer is shared for layer in model.layers].count(True) == 1
    left, right = X, X[::-1] * 2

    def total():
        return ops.sum(model([left, right]))

    _, (kernel, bias) = staghorn.value_and_grad(total, model.trainable_variables)()
    np.testing.assert_allclose(
        kernel, np.tile((left + right).sum(0)[:, None], (1, 2)), rtol=1e-5
    )
    np.testing.assert_allclose(bias, [6.0, 6.0])


def test_submodel_shares_weights():
    """A model from intermediate tensors: training one moves the other."""
    x = staghorn.Input((4,))
    middle = layers.Dense(3, name="middle")(x)
    model = staghorn.Model(x, layers.Dense(2, name="end")(middle))
    head = staghorn.Model(x, model.get_layer("middle").output)
    tail = staghorn.Model(model.get_layer("middle").output, model.output)
    np.testing.assert_allclose(tail(head(X)), model(X), rtol=1e-6)
    head.compile(staghorn.optimizers.SGD(0.1), "mse")
    before = np.array(model(X))
    head.fit(X, np.ones((3, 3), "float32"), verbose=0)
    assert not np.allclose(model(X), before)
    np.testing.assert_allclose(tail(head(X)), model(X), rtol=1e-6)
    assert head.weights[0] is model.weights[0]


def test_names_do_not_reach_the_file(tmp_path):
    """Two models whose automatic names differ exchange their weights."""

    def make():
        x = staghorn.Input((4,))
        out = layers.Dense(2)(layers.BatchNormalization()(layers.Dense(3)(x)))
        return staghorn.Model(x, out)

    first = make()
    layers.Dense(1), layers.Dense(1), layers.BatchNormalization()
    second = make()
    assert first.layers[1].name != second.layers[1].name
    first.save_weights(tmp_path / "a.weights.h5")
    second.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(first(X), second(X))


def test_variable_in_list_by_identity():
    """No elementwise `==` in our own lookups."""
    a, b = (staghorn.Variable(np.zeros(3, "float32"), name=n) for n in "ab")
    items = []
    tracker = tracking.Tracker({"all": (lambda x: isinstance(x, staghorn.Variable), items)})
    for variable in (a, b, a):
        tracker.track(variable)
    assert [v is w for v, w in zip(items, (a, b), strict=True)] == [True, True]
    tracker.untrack(b)
    assert len(items) == 1
    assert items[0] is a

    layer = layers.Layer()
    layer.pair = [a, b]
    layer.again = {"a": a}
    assert [id(v) for v in layer.weights] == [id(a), id(b)]
    layer.pair.remove(b)
    assert [id(v) for v in layer.weights] == [id(a)]
    assert len({a, b}) == 2


class LooksAtSize(layers.Layer):
    """Branches on the batch size, which is unknown while the model is built."""

    def call(self, x):
        return x if x.shape[0] > 1 else x * 2.0


class LooksAtValue(layers.Layer):
    """Branches on a value, which is unknown while the model is built."""

    def call(self, x):
        return x if ops.mean(x) > 0 else x * 2.0


@pytest.mark.parametrize("cls", [LooksAtSize, LooksAtValue])
def test_unknown_dim_comparison(cls):
    with pytest.raises(ValueError, match=cls.__name__):
        cls(name="mine")(staghorn.Input((4,)))
    assert cls()(X).shape == (3, 4)
    assert cls()(X[:1]).shape == (1, 4)


def test_unknown_batch_never_equals_another_axis():
    """Two unknown sizes are not equal: this sum would work for some data only."""
    x = staghorn.Input((None,))  # (batch, length)


    class Mixes(layers.Layer):
        def call(self, x):
            return ops.sum(x, axis=1) + ops.sum(x, axis=0)

    with pytest.raises((ValueError, TypeError)) as caught:
        Mixes()(x)
    assert caught.value.__notes__[-1] == "Raised in the layer Mixes 'mixes'."
    z = staghorn.Input((None, None))  # other unknown sizes may meet, as in Keras
    assert ops.add(ops.sum(z, axis=1), ops.sum(z, axis=2)).shape == (None, None)
    y = ops.expand_dims(x, -1) * ops.expand_dims(x, -2)  # (batch, length, length)
    assert y.shape == (None, None, None)


def test_symbolic_tensors_have_no_value():
    x = staghorn.Input((4,))
    for use in (bool, float, int, len, list, np.array, lambda t: t == 0, lambda t: t == X):
        with pytest.raises(TypeError, match=r"(?s)is symbolic.*Write instead"):
            use(x)
    assert [x].index(x) == 0
    assert x in {x: 1}
    assert (x == staghorn.Input((4,))) is False


class Sub(layers.Layer):
    """Has Dropout and BatchNormalization inside; its call takes no `training`."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def call(self, x):
        return self.part(x)


class SubWithFlag(Sub):
    """The same, with `training` in its call, which it hands on by saying nothing."""

    def call(self, x, training=None):
        self.seen = training
        return self.part(x)


class SubWithDefault(Sub):
    """Its call trains unless told otherwise."""

    def call(self, x, training=True):
        self.seen = training
        return self.part(x)


class Two(layers.Layer):
    """Two siblings: the default of the first must not reach the second."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def call(self, x):
        return self.first(x), self.second(x)


def wrap(kind, part):
    if kind == "sequential":
        return staghorn.Sequential([part])
    if kind == "functional":
        x = staghorn.Input((4,))
        return staghorn.Model(x, part(x))
    if kind == "nested":
        return staghorn.Sequential([staghorn.Sequential([part])])
    return {"layer": Sub, "flagged": SubWithFlag}[kind](part)


WRAPS = ["sequential", "functional", "nested", "layer", "flagged"]
FLAGS = [(None, False), (False, False), (True, True), (0, False), (1, True)]


@pytest.mark.parametrize("wrapper", WRAPS)
@pytest.mark.parametrize(("given", "trains"), FLAGS)
@pytest.mark.parametrize("part", ["Dropout", "BatchNormalization"])
def test_training_flag_table(wrapper, given, trains, part):
    """Explicit, then the call around, then False; never lost on the way."""
    inner = layers.Dropout(0.5, seed=1) if part == "Dropout" else layers.BatchNormalization()
    model = wrap(wrapper, inner)
    model(X)
    before = [v.numpy() for v in model.non_trainable_variables]
    out = model(X) if given is None else model(X, training=given)
    after = [v.numpy() for v in model.non_trainable_variables]
    changed = any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert changed == trains
    assert np.allclose(out, X, rtol=1e-2) != trains


def test_inner_explicit_flag_wins():
    class Frozen(layers.Layer):
        def __init__(self):
            super().__init__()
            self.drop = layers.Dropout(0.5)

        def call(self, x):
            return self.drop(x, training=False)

    np.testing.assert_array_equal(Frozen()(X, training=True), X)


def test_default_in_a_signature_does_not_reach_siblings():
    two = Two(SubWithDefault(layers.Dropout(0.5, seed=1)), SubWithFlag(layers.Dropout(0.5)))
    first, second = two(X)
    assert two.first.seen is True
    assert not np.allclose(first, X)
    assert two.second.seen is None
    np.testing.assert_array_equal(second, X)
    two(X, training=False)
    assert two.first.seen is False


def test_fit_and_predict_set_the_flag():
    """Nobody passes `training`; it is a plain bool, not a tracer."""
    seen = []

    class Model(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x, training=None):
            seen.append(training)
            return self.dense(x)

    model = Model()
    model(X)
    seen.clear()
    model.compile("sgd", "mse")
    y = np.ones((3, 2), "float32")
    model.fit(X, y, verbose=0)
    assert seen[-1] is True
    seen.clear()
    model.predict(X, verbose=0)
    model.evaluate(X, y, verbose=0)
    assert set(seen) == {False}


@pytest.mark.parametrize("freeze", ["layer", "model", "before building"])
def test_frozen_batchnorm_is_inference(freeze):
    norm = layers.BatchNormalization(momentum=0.5)
    model = staghorn.Sequential([norm, layers.Dense(2)])
    if freeze == "before building":
        norm.trainable = False
    model(X)
    (model if freeze == "model" else norm).trainable = False
    assert norm.trainable is False
    out = norm(X + 5, training=True)
    np.testing.assert_allclose(out, (X + 5) / np.sqrt(1 + 1e-3), rtol=1e-5)
    np.testing.assert_array_equal(norm.moving_mean.numpy(), np.zeros(4))
    norm.trainable = True
    norm(X + 5, training=True)
    assert norm.moving_mean.numpy().mean() == pytest.approx(2.5, rel=1e-3)


def test_frozen_batchnorm_stays_put_in_fit():
    norm = layers.BatchNormalization()
    model = staghorn.Sequential([staghorn.Input((4,)), norm, layers.Dense(2)])
    norm.trainable = False
    model.compile("sgd", "mse")
    before = [v.numpy() for v in norm.weights]
    kernel = model.layers[1].kernel.numpy()
    model.fit(X + 3, np.ones((3, 2), "float32"), verbose=0)
    for old, variable in zip(before, norm.weights, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    assert not np.allclose(kernel, model.layers[1].kernel.numpy())


def test_counters_are_only_labels():
    naming.reset()
    assert layers.Dense(1).name == "dense"
    assert layers.Dense(1).name == "dense_1"


@pytest.mark.parametrize("kind", ["eager", "symbolic", "compiled", "build", "model"])
def test_a_users_exception_passes_unchanged(kind):
    """Type and message are the user's; one note names the layers."""

    class Custom(Exception):
        pass

    class Boom(layers.Layer):
        def call(self, x):
            raise Custom("mine")

    class Net(staghorn.Model):
        def __init__(self):
            super().__init__(name="net")
            self.boom = Boom(name="boom")

        def call(self, x):
            return self.boom(x)

    net = Net()
    run = {
        "eager": lambda: net(X),
        "symbolic": lambda: net(staghorn.Input((4,))),
        "compiled": lambda: staghorn.jit(net)(X),
        "build": lambda: net.build((None, 4)),
        "model": lambda: net.predict(X, verbose=0),
    }[kind]
    with pytest.raises(Custom) as caught:
        run()
    assert str(caught.value) == "mine"
    notes = [n for n in caught.value.__notes__ if "Raised in" in n]
    assert notes == ["Raised in the layer Boom 'boom', inside Net 'net'."]
