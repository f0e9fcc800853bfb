"""Operations and functions of one's own in graphs; scopes around code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers, ops
from tests.oracle import assert_same, keras

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


@staghorn.saving.register_keras_serializable("tests")
class Scale(staghorn.Operation):
    def __init__(self, factor, name=None):
        super().__init__(name=name)
        self.factor = factor

    def call(self, x):
        return x * self.factor


class Halves(staghorn.Operation):
    """Tracing could not find its shape: it leaves JAX."""

    def call(self, x):
        return np.split(np.asarray(x), 2)

    def compute_output_spec(self, x):
        return [staghorn.KerasTensor((2, *x.shape[1:]), x.dtype) for _ in range(2)]


def model_with_operation():
    x = staghorn.Input((3,))
    y = Scale(2.0, name="twice")(layers.Dense(2, name="dense")(x))
    return staghorn.Model(x, layers.Dense(1, name="last")(y))


def test_an_operation_is_a_step_of_a_model(tmp_path):
    model = model_with_operation()
    names = [operation.name for operation in model.operations]
    assert names[1:] == ["dense", "twice", "last"]
    expected = (X @ model.layers[1].get_weights()[0]) * 2 @ model.layers[2].get_weights()[0]
    np.testing.assert_allclose(model(X), expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-5)
    model.compile("sgd", loss="mse")
    model.fit(X, X[:, :1], verbose=0)
    model.summary(print_fn=lambda *_, **__: None)
    model.save(tmp_path / "model.keras")
    again = staghorn.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(X), model(X))
    assert again.operations[2].factor == 2.0
    clone = staghorn.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(clone(X), model(X))


def test_operation_on_arrays_and_tensors():
    assert_same(Scale(3.0)(X), X * 3)
    y = Scale(3.0)(staghorn.KerasTensor((None, 3), "float16"))
    assert (y.shape, y.dtype) == ((None, 3), "float16")
    operation = Scale(1.0)
    with pytest.raises(AttributeError, match="has no output before it is called"):
        _ = operation.output
    x = staghorn.Input((3,))
    y = operation(x)
    assert operation.output is y
    assert operation.input is x
    first, second = Halves()(staghorn.KerasTensor((4, 3)))
    assert first.shape == second.shape == (2, 3)
    with pytest.raises(NotImplementedError, match="Operation has no call"):
        staghorn.Operation()(X)
    with pytest.raises(ValueError, match="name must be a string without '/'"):
        Scale(1.0, name="a/b")


def functions(module):
    a, b = module.Input((2,), name="a"), module.Input((2,), name="b")
    middle = a + b
    end = middle * 2
    return {
        "list": module.Function([a, b], [end, middle]),
        "dict": module.Function({"a": a, "b": b}, {"end": end}),
        "from the middle": module.Function(middle, end),
    }


@pytest.mark.parametrize("name", functions(staghorn))
def test_functions_equal_keras(name):
    ours, theirs = functions(staghorn)[name], functions(keras)[name]
    one, two = np.float32([[1, 2]]), np.float32([[3, 4]])
    given = {"list": [one, two], "dict": {"a": one, "b": two}, "from the middle": one}[name]
    assert_same(ours(given), theirs(given))
    assert len(ours.operations) == len(theirs.operations)
    symbolic = ours(jax.tree.map(lambda x: staghorn.KerasTensor((None, 2)), given))
    assert [t.shape for t in jax.tree.leaves(symbolic)] == [(None, 2)] * len(ours.outputs)
    shape = [(5, 2), (5, 2)] if name != "from the middle" else (5, 2)
    shapes = staghorn.tree.flatten(ours.compute_output_shape(shape))
    assert shapes == [5, 2] * len(ours.outputs)


def test_functions_say_what_does_not_fit():
    function = functions(staghorn)["list"]
    with pytest.raises(ValueError, match="the inputs must have the form"):
        function({"a": X, "b": X})
    with pytest.raises(ValueError, match=r"shape \(None, 2\), got \(4, 3\)"):
        function([X[:, :2], X])
    with pytest.raises(ValueError, match="inputs must be symbolic tensors"):
        staghorn.Function([], [])


def test_stateless_scope_equals_keras():
    def run(module):
        count, other = module.Variable(1.0, name="count"), module.Variable(2.0)
        with module.StatelessScope([(count, 5.0)]) as scope:
            count.assign(count + other)
            other.assign(count * 2)
            seen = float(ops.convert_to_numpy(count.value + 0))
        values = [scope.get_current_value(v) for v in (count, other)]
        return [seen, *map(float, values), float(count.value), float(other.value)]

    assert run(staghorn) == run(keras) == [7.0, 7.0, 14.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="is no Variable"):
        staghorn.StatelessScope([("count", 1.0)])
    with pytest.raises(ValueError, match=r"has the shape \(\), its value \(2,\)"):
        staghorn.StatelessScope([(staghorn.Variable(1.0), [1.0, 2.0])])


def test_stateless_scope_collects_losses():
    layer = layers.ActivityRegularization(l2=1.0)
    with staghorn.StatelessScope(collect_losses=True) as scope:
        layer(X)
    assert len(scope.losses) == 1


def test_name_scope_equals_keras():
    def paths(module):
        with module.name_scope("outer"):
            alone = module.Variable(0.0, name="alone")
            with module.name_scope("inner"):
                layer = module.layers.Dense(2, name="dense")
                layer.build((None, 3))
        return [alone.path, layer.kernel.path]

    assert paths(staghorn) == paths(keras) == ["outer/alone", "outer/inner/dense/kernel"]
    with pytest.raises(ValueError, match="a name without '/'"):
        staghorn.name_scope("a/b")


def test_device():
    cpu = jax.devices("cpu")[0]
    for name in ("cpu", "cpu:0", "CPU:0", cpu):
        with staghorn.device(name):
            assert ops.ones(2).devices() == {cpu}
    with pytest.raises(ValueError, match=r"there is no 'gpu:99'.*'cpu:0'"):
        staghorn.device("gpu:99")


def count_remats(fn, *args):
    return str(jax.make_jaxpr(fn)(*args)).count("remat")


def test_remat_changes_memory_not_numbers():
    layer = layers.Dense(3, activation="gelu")
    layer.build((None, 3))
    plain = lambda x: jnp.sum(layer(x) ** 2)  # noqa: E731
    again = lambda x: jnp.sum(staghorn.remat(layer)(x) ** 2)  # noqa: E731
    assert_same(jax.grad(again)(X), jax.grad(plain)(X))
    value, gradients = staghorn.value_and_grad(again, layer.weights)(X)
    expected, wanted = staghorn.value_and_grad(plain, layer.weights)(X)
    assert_same([value, *gradients], [expected, *wanted])
    assert count_remats(staghorn.remat(lambda x: x * 2), X) == 1
    layer_of_none = staghorn.remat(lambda x, scale, mask=None: x * scale if mask is None else mask)
    assert_same(layer_of_none(X, 2), X * 2)


def test_remat_keeps_state():
    layer = layers.BatchNormalization()
    layer.build((None, 3))
    staghorn.remat(layer)(X, training=True)
    assert float(jnp.abs(layer.moving_mean.value).sum()) > 0


@pytest.mark.parametrize(
    ("scope", "count"),
    [
        ({}, 2),
        ({"mode": None}, 0),
        ({"mode": "larger_than", "output_size_threshold": 12}, 1),
        ({"mode": "list_of_layers", "layer_names": ["wide"]}, 1),
    ],
)
def test_layers_made_in_a_remat_scope(scope, count):
    with staghorn.RematScope(**scope):
        model = staghorn.Sequential(
            [layers.Dense(8, name="wide", activity_regularizer="l2"), layers.Dense(1)]
        )
    model.build((None, 3))
    values = [v.value for v in model.weights]

    def run(values, x):
        return staghorn.functionalize(model, model.weights)(values, x)[0]

    inside = str(jax.make_jaxpr(run)(values, X))
    assert inside.count("remat") == (count + 1 if not scope else count)  # the model is one too
    plain = staghorn.Sequential([layers.Dense(8, activity_regularizer="l2"), layers.Dense(1)])
    plain.build((None, 3))
    plain.set_weights(model.get_weights())
    histories = []
    for one in (model, plain):
        one.compile("sgd", loss="mse")
        fitted = one.fit(X, X[:, :1], epochs=2, shuffle=False, verbose=0)
        histories.append(fitted.history["loss"])
    assert histories[0] == pytest.approx(histories[1])


def test_unknown_remat_mode():
    with pytest.raises(ValueError, match="mode must be one of"):
        staghorn.RematScope("all")


def test_version():
    assert staghorn.version() == staghorn.__version__
    with staghorn.SymbolicScope():
        assert staghorn.Input((3,)).shape == (None, 3)
