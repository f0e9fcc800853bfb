"""Subclassed layers and models: building, tracking, losses, metrics, switches, configs."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers, ops
from tests.oracle import keras

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
Y = np.ones((6, 2), "float32")


def define(lib):
    """The same classes in both libraries."""

    class Linear(lib.layers.Layer):
        def __init__(self, units=3, **kwargs):
            super().__init__(**kwargs)
            self.units = units

        def build(self, input_shape):
            self.w = self.add_weight(
                shape=(input_shape[-1], self.units), initializer="glorot_uniform", name="w"
            )
            self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")
            self.seen = self.add_weight(
                shape=(), initializer="zeros", trainable=False, name="seen"
            )

        def call(self, x):
            self.seen.assign(self.seen + 1.0)
            return lib.ops.matmul(x, self.w) + self.b

    class Net(lib.Model):
        def __init__(self):
            super().__init__()
            self.first = Linear(5)
            self.blocks = [Linear(5), lib.layers.BatchNormalization()]
            self.heads = {"b": lib.layers.Dense(2), "a": lib.layers.Dense(2)}
            self.pair = (lib.layers.Dropout(0.5), Linear(5))

        def call(self, x, training=None):
            x = self.first(x)
            for layer in (*self.blocks, *self.pair):
                x = layer(x, training=training) if layer is self.pair[0] else layer(x)
            return self.heads["a"](x) + self.heads["b"](x)

    return Linear, Net


def values(variables):
    return [np.asarray(v.value) for v in variables]


def test_tracking_equals_keras():
    """Attributes, lists, dicts, tuples: the same weights in the same order."""
    (_, ours), (_, theirs) = define(staghorn), define(keras)
    ours, theirs = ours(), theirs()
    assert not ours.built
    assert ours.weights == [] == theirs.weights
    ours(X), theirs(X)
    assert ours.built
    for name in ("weights", "trainable_weights", "non_trainable_weights", "variables"):
        mine = [(v.name, v.shape) for v in getattr(ours, name)]
        assert mine == [(v.name, tuple(v.shape)) for v in getattr(theirs, name)], name
    assert ours.count_params() == theirs.count_params()
    assert [type(la).__name__ for la in ours.layers] == [type(la).__name__ for la in theirs.layers]
    ours.set_weights(values(theirs.weights))
    np.testing.assert_allclose(ours(X), theirs(X), rtol=1e-5, atol=1e-6)
    assert float(ours.first.seen.value) == float(theirs.first.seen.value) == 2.0


@pytest.mark.parametrize("how", ["fit", "predict", "evaluate", "call", "build", "train_on_batch"])
def test_lazily_built(how):
    model = define(staghorn)[1]()
    model.compile("sgd", "mse")
    {
        "fit": lambda: model.fit(X, Y, verbose=0),
        "predict": lambda: model.predict(X, verbose=0),
        "evaluate": lambda: model.evaluate(X, Y, verbose=0),
        "call": lambda: model(X),
        "build": lambda: model.build((None, 4)),
        "train_on_batch": lambda: model.train_on_batch(X, Y),
    }[how]()
    assert model.built
    # seen: the number of real calls. Building is none of them.
    assert float(model.first.seen.value) == (0.0 if how == "build" else 1.0)
    assert len(model.trainable_weights) == 12


class Following(staghorn.Model):
    """Dropout and BatchNormalization inside; `call` says nothing of training."""

    def __init__(self):
        super().__init__()
        self.norm = layers.BatchNormalization(momentum=0.5)
        self.drop = layers.Dropout(0.5)
        self.dense = layers.Dense(2)

    def call(self, inputs):
        self.dropped = self.drop(self.norm(inputs))
        return self.dense(self.dropped)


def test_inner_layers_follow_fit_and_predict():
    model = Following()
    first = model.predict(X, verbose=0)
    np.testing.assert_array_equal(model.norm.moving_mean.numpy(), 0)
    np.testing.assert_array_equal(first, model.predict(X, verbose=0))
    model.compile("sgd", "mse")
    model.evaluate(X, Y, verbose=0)
    np.testing.assert_array_equal(model.norm.moving_mean.numpy(), 0)
    seed = model.drop.seed_generator.state.numpy()
    model.fit(X, Y, verbose=0)
    np.testing.assert_allclose(model.norm.moving_mean.numpy(), X.mean(0) / 2, rtol=1e-4)
    assert not np.array_equal(model.drop.seed_generator.state.numpy(), seed)
    model(X, training=True)
    assert (np.asarray(model.dropped) == 0).any()
    model(X)
    assert not (np.asarray(model.dropped) == 0).any()


SIGNATURES = {
    "inputs": lambda self, inputs: self.dense(inputs),
    "training": lambda self, inputs, training=None: self.dense(inputs),
    "mask": lambda self, inputs, mask=None: self.dense(inputs),
    "both": lambda self, inputs, training=None, mask=None: self.dense(inputs),
    "training true": lambda self, inputs, training=True: self.dense(inputs),
    "keywords": lambda self, inputs, **kwargs: self.dense(inputs),
    "extra": lambda self, inputs, scale=1.0: self.dense(inputs) * scale,
}


@pytest.mark.parametrize("signature", SIGNATURES)
def test_signatures_of_call(signature):
    class Model(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        call = SIGNATURES[signature]

    model = Model()
    expected = np.asarray(model(X))
    for training in (None, True, False):
        np.testing.assert_allclose(model(X, training=training), expected)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert model(staghorn.Input((4,))).shape == (None, 2)
    if signature == "extra":
        np.testing.assert_allclose(model(X, scale=2.0), 2 * np.asarray(model(X)))
        with pytest.raises(TypeError, match="scalee"):
            model(X, scalee=2.0)


def test_mask_reaches_call():
    seen = []

    class Model(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.table = layers.Embedding(5, 2, mask_zero=True)
            self.inner = Inner()

        def call(self, inputs):
            return self.inner(self.table(inputs))

    class Inner(layers.Layer):
        supports_masking = True

        def call(self, inputs, mask=None):
            seen.append(mask)
            return inputs

    tokens = np.array([[1, 2, 0], [3, 0, 0]])
    Model()(tokens)
    np.testing.assert_array_equal(seen[-1], tokens != 0)
    seen.clear()
    Inner()(jnp.ones((2, 3, 2)), mask=jnp.array(tokens != 0))
    np.testing.assert_array_equal(seen[-1], tokens != 0)


def test_several_inputs_to_call_and_build():
    class Bilinear(layers.Layer):
        def build(self, left_shape, right_shape):
            self.w = self.add_weight((left_shape[-1], right_shape[-1]), "ones")

        def call(self, left, right):
            return ops.sum((left @ self.w) * right, axis=-1)

    layer = Bilinear()
    out = layer(X, X[:, :3])
    np.testing.assert_allclose(out, X.sum(1) * X[:, :3].sum(1), rtol=1e-4)
    assert layer.w.shape == (4, 3)
    a, b = staghorn.Input((4,)), staghorn.Input((3,))
    model = staghorn.Model([a, b], layer(a, right=b))
    np.testing.assert_allclose(model([X, X[:, :3]]), out, rtol=1e-5)
    twin = Bilinear.from_config(layer.get_config())
    twin.build_from_config(layer.get_build_config())
    assert twin.w.shape == (4, 3)


def test_lists_and_dicts_stay_tracked():
    layer = layers.Layer()
    layer.items = []
    layer.table = {}
    layer.deep = {"a": [layers.Dense(1, name="deep")]}
    layer.items.append(layers.Dense(1, name="one"))
    layer.items.extend([layers.Dense(1, name="two")])
    layer.items += [layers.Dense(1, name="three")]
    layer.table["k"] = layers.Dense(1, name="four")
    layer.table.update(j=layers.Dense(1, name="five"))
    layer.pair = collections.namedtuple("Pair", "a b")(layers.Dense(1, name="six"), 3)

    def names():
        return [inner.name for inner in layer._layers]

    assert names() == ["deep", "one", "two", "three", "four", "five", "six"]
    del layer.items[0]
    layer.items.pop()
    layer.table.pop("j")
    layer.pair = None
    del layer.deep
    assert names() == ["two", "four"]
    layer.items[0] = layers.Dense(1, name="new")
    layer.items.clear()
    layer.table["k"] = None
    assert names() == []


def test_copies_of_containers_stay_tracked():
    import copy

    class Stack(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.blocks = [layers.Dense(2)]

        def call(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    model = Stack()
    model(X)
    twin = copy.deepcopy(model)
    twin.blocks.append(layers.Dense(3))
    assert twin(X).shape == (6, 3)
    assert len(twin.weights) == 4
    assert len(model.weights) == 2
    assert twin.blocks[0] is twin.layers[0]


def test_children_before_super_init():
    class Early(layers.Layer):
        def __init__(self):
            self.dense = layers.Dense(2)
            super().__init__()

        def call(self, x):
            return self.dense(x)

    assert len(Early()(X)[0]) == 2
    assert Early()._layers


def test_forgotten_super_init():
    class Forgets(layers.Layer):
        def __init__(self):
            self.units = 3

        def call(self, x):
            return x

    with pytest.raises(RuntimeError, match=r"(?s)Forgets.*super\(\).__init__\(\)"):
        Forgets()(X)


def test_forgotten_call():
    with pytest.raises(NotImplementedError, match="has no call"):
        staghorn.Model()(X)
    with pytest.raises(NotImplementedError, match="has no call"):
        layers.Layer()(X)


class Quiet(layers.Layer):
    """Adds a loss for the size of what passes."""

    def __init__(self, lib=staghorn):
        super().__init__()

    def call(self, x):
        self.add_loss(0.1 * ops.mean(ops.square(x)))
        return x


def test_add_loss():
    """Of the last call only; in `fit` it is part of the loss; regularizers come on top."""
    penalty = 0.1 * np.mean(np.square(X))

    class Net(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.quiet = Quiet()
            self.dense = layers.Dense(2, kernel_initializer="ones", kernel_regularizer="l2")

        def call(self, x):
            return self.dense(self.quiet(x))

    model = Net()
    for _ in range(2):
        model(X)
        assert len(model.losses) == 2
        np.testing.assert_allclose(sorted(map(float, model.losses)), sorted([penalty, 0.08]), 1e-5)
    model.compile(staghorn.optimizers.SGD(0.0), "mse")
    expected = np.mean((np.asarray(model(X)) - Y) ** 2) + penalty + 0.08
    history = model.fit(X, Y, verbose=0)
    assert history.history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="a loss is a scalar"):
        model.add_loss(np.ones(3))


def test_add_loss_alone_trains():
    class Pull(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.w = self.add_weight((4,), "ones", name="w")

        def call(self, x):
            self.add_loss(ops.sum(self.w**2))
            return x * self.w

    model = Pull()
    model.compile(staghorn.optimizers.SGD(0.25))
    model.fit(X, verbose=0)
    np.testing.assert_allclose(model.w.numpy(), 0.5)


def test_metrics_as_attributes():
    class Watched(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)
            self.size = staghorn.metrics.Mean(name="size")
            self.more = [staghorn.metrics.Sum(name="total")]

        def call(self, x):
            self.size.update_state(ops.mean(ops.abs(x)))
            self.more[0].update_state(ops.ones(()))
            return self.dense(x)

    model = Watched()
    model(X)
    assert [m.name for m in model.metrics] == ["size", "total"]
    assert all(v.path not in {w.path for w in model.weights} for v in model.metrics_variables)
    model.compile("sgd", "mse")
    logs = model.fit(X, Y, batch_size=2, epochs=2, verbose=0).history
    assert logs["total"] == [3.0, 3.0]
    assert logs["size"][0] == pytest.approx(np.abs(X).mean(), rel=1e-4)
    assert model.metrics_names == ["loss", "size", "total"]


def test_trainable_switches_equal_keras():
    """On a model, on a layer, before and after building, on one variable."""
    (_, ours), (_, theirs) = define(staghorn), define(keras)
    ours, theirs = ours(), theirs()
    ours.blocks[0].trainable = theirs.blocks[0].trainable = False

    def counts(model):
        return [
            len(getattr(model, f"{kind}_{what}"))
            for kind in ("trainable", "non_trainable")
            for what in ("weights", "variables")
        ]

    for model in (ours, theirs):
        model(X)
    assert counts(ours) == counts(theirs)
    for step in range(6):
        for model in (ours, theirs):
            if step == 0:
                model.trainable = False
            elif step == 1:
                model.trainable = True
            elif step == 2:
                model.first.trainable = False
            elif step == 3:
                model.heads["a"].kernel.trainable = False
            elif step == 4:
                model.blocks[1].trainable = False
            else:
                model.first.trainable = True
        assert counts(ours) == counts(theirs), step
        assert [v.trainable for v in ours.weights] == [v.trainable for v in theirs.weights], step


def test_frozen_layers_do_not_train():
    class Two(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = layers.Dense(3), layers.Dense(2)

        def call(self, x):
            return self.b(self.a(x))

    model = Two()
    model.a.trainable = False
    model.compile("sgd", "mse")
    model(X)
    before = values(model.weights)
    model.fit(X, Y, verbose=0)
    after = values(model.weights)
    assert [np.array_equal(a, b) for a, b in zip(before, after, strict=True)] == [
        True,
        True,
        False,
        False,
    ]


def test_weights_are_copies():
    model = staghorn.Sequential([staghorn.Input((4,)), layers.Dense(2)])
    got = model.get_weights()
    got[0][:] = 7
    assert not (model.get_weights()[0] == 7).any()
    mine = [np.ones((4, 2), "float32"), np.zeros(2, "float32")]
    model.set_weights(mine)
    mine[0][:] = 9
    assert (model.get_weights()[0] == 1).all()
    held = model.get_weights()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert (held[0] == 1).all()
    with pytest.raises(ValueError, match=r"2 weights.*1 arrays"):
        model.set_weights(mine[:1])
    with pytest.raises(ValueError, match=r"kernel has shape \(4, 2\), got \(2,\)"):
        model.set_weights(mine[::-1])


def test_count_params_needs_weights():
    with pytest.raises(ValueError, match="has no weights yet"):
        define(staghorn)[1]().count_params()


def test_stateless_call():
    """Pure: the same results, new state returned, nothing changed."""
    model = Following()
    model(X)
    trainable = [v.value for v in model.trainable_variables]
    other = [v.value for v in model.non_trainable_variables]
    before = values(model.variables)
    out, new = model.stateless_call(trainable, other, X, training=True)
    assert len(new) == len(other)
    assert not np.allclose(new[0], other[0])
    for old, now in zip(before, values(model.variables), strict=True):
        np.testing.assert_array_equal(old, now)
    compiled = jax.jit(lambda t, n, x: model.stateless_call(t, n, x, training=True))
    out2, new2 = compiled(trainable, other, X)
    np.testing.assert_allclose(out, out2, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(new[0], new2[0], rtol=1e-5)
    _, _, losses = model.stateless_call(trainable, other, X, return_losses=True)
    assert losses == []

    def loss(trainable):
        return jnp.mean(model.stateless_call(trainable, other, X)[0] ** 2)

    gradients = jax.grad(loss)(trainable)
    assert all(float(jnp.abs(g).sum()) > 0 for g in gradients)
    with pytest.raises(ValueError, match="expected 4 trainable"):
        model.stateless_call(trainable[:1], other, X)


class Described(layers.Layer):
    """No get_config: it is derived from the constructor's arguments."""

    def __init__(self, units, activation="relu", options=None, inner=None, **kwargs):
        super().__init__(**kwargs)
        self.hidden = units * 2
        self.activation = staghorn.activations.get(activation)
        self.inner = inner

    def call(self, x):
        return self.activation(x)


def test_config_is_derived():
    inner = layers.Dense(3, name="inner")
    layer = Described(4, options={"a": [1, 2]}, inner=inner, name="mine", trainable=False)
    config = layer.get_config()
    assert config["units"] == 4
    assert config["options"] == {"a": [1, 2]}
    assert "activation" not in config  # not given: the default stays the default
    assert config["inner"]["class_name"] == "Dense"
    twin = Described.from_config(config)
    assert (twin.hidden, twin.name, twin.trainable) == (8, "mine", False)
    assert twin.inner.units == 3
    assert twin.inner is not inner
    assert twin.get_config() == config


def test_own_get_config_and_from_config():
    @staghorn.saving.register_keras_serializable("tests_subclassing")
    class Own(staghorn.Model):
        def __init__(self, width, **kwargs):
            super().__init__(**kwargs)
            self.dense = layers.Dense(width)

        def call(self, x):
            return self.dense(x)

        def get_config(self):
            return {"name": self.name, "columns": self.dense.units}

        @classmethod
        def from_config(cls, config):
            return cls(config.pop("columns"), **config)

    model = Own(3, name="own")
    model(X)
    twin = staghorn.models.model_from_json(model.to_json())
    assert type(twin) is Own
    assert (twin.name, twin.dense.units) == ("own", 3)
    outer = staghorn.Sequential([staghorn.Input((4,)), model])
    again = staghorn.models.model_from_json(outer.to_json())
    again.set_weights(outer.get_weights())
    np.testing.assert_array_equal(again(X), outer(X))


def test_unknown_class_in_a_config_is_named():
    model = staghorn.Sequential([staghorn.Input((4,)), Described(4)])
    with pytest.raises(TypeError, match=r"(?s)Described.*custom_objects"):
        staghorn.models.model_from_json(model.to_json())
    twin = staghorn.models.model_from_json(model.to_json(), {"Described": Described})
    assert twin.layers[0].hidden == 8


def test_wrong_argument_is_named():
    with pytest.raises(ValueError, match=r"Dense: unknown argument 'activatoin'.*Did you mean"):
        layers.Dense(3, activatoin="relu")
    with pytest.raises(ValueError, match="name must be a string without '/'"):
        layers.Dense(3, name="a/b")


def test_a_model_inside_a_model():
    inner = Following()

    class Outer(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.inner = inner
            self.twice = inner

        def call(self, x):
            return self.inner(x) + self.twice(x)

    model = Outer()
    model(X)
    assert len(model.weights) == 6
    assert model.layers == [inner]
    assert model.get_layer(inner.name) is inner
    x = staghorn.Input((4,))
    functional = staghorn.Model(x, Following()(x))
    assert functional(X).shape == (6, 2)


def test_assign_and_eager_state():
    layer = define(staghorn)[0](2)
    for expected in (1.0, 2.0):
        layer(X)
        assert float(layer.seen.value) == expected
    layer.w.assign(np.zeros((4, 2)))
    np.testing.assert_array_equal(layer(X), np.zeros((6, 2)))
    with pytest.raises(ValueError, match="has shape"):
        layer.w.assign(np.zeros(3))
