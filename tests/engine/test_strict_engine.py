"""The engine's parts one by one: Variables, ops, graphs, names, configs, nests."""

import copy
import json
import pickle

import jax.numpy as jnp
import numpy as np
import pytest

import staghorn
from staghorn import layers, ops
from staghorn.engine import naming, tree
from staghorn.engine.arguments import Interval, Is, NonNegative, Options, Positive
from staghorn.engine.graph import Graph
from staghorn.engine.registry import Family
from staghorn.engine.serialization import (
    Configurable,
    deserialize_keras_object,
    parameter_names,
    serialize_keras_object,
)
from staghorn.engine.symbolic import KerasTensor, any_symbolic, op

X = np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (1.5, None, "float32"),
        (3, None, "int32"),
        (True, None, "bool"),
        (np.ones(2, "float64"), None, "float32"),
        ([1.0, 2.0], "float16", "float16"),
        (np.ones(2, "uint8"), None, "uint8"),
    ],
)
def test_variable_types(value, dtype, expected):
    variable = staghorn.Variable(value, dtype=dtype)
    assert variable.dtype == expected
    assert variable.shape == np.shape(value)
    assert variable.value.dtype == expected


def test_variable_assigns():
    v = staghorn.Variable(np.zeros(2, "float32"), name="v")
    assert v.assign([1, 2]) is v
    v.assign_add([1.0, 1.0]).assign_sub(staghorn.Variable(np.float32(0.5)))
    np.testing.assert_array_equal(v.numpy(), [1.5, 2.5])
    v.assign(np.array([1, 2], "int64"))
    assert v.value.dtype == "float32"
    with pytest.raises(ValueError, match=r"'v' has shape \(2,\)"):
        v.assign(np.zeros(3))


def test_variable_is_not_a_view():
    mine = np.zeros(2, "float32")
    v = staghorn.Variable(mine)
    v.assign(mine)
    mine[:] = 5
    np.testing.assert_array_equal(v.numpy(), [0, 0])
    v.numpy()[:] = 5
    np.testing.assert_array_equal(np.asarray(v), [0, 0])
    other = staghorn.Variable(v.value)
    other.assign(v)
    assert other._value is not v._value


def test_variable_refuses():
    with pytest.raises(ValueError, match="needs shape="):
        staghorn.Variable(lambda shape, dtype: jnp.zeros(shape, dtype))
    with pytest.raises(ValueError, match="unknown dimensions"):
        staghorn.Variable(lambda shape, dtype: jnp.zeros(shape, dtype), shape=(None, 2))
    with pytest.raises(ValueError, match="cannot contain '/'"):
        staghorn.Variable(1.0, name="a/b")
    with pytest.raises(TypeError, match="truth value"):
        bool(staghorn.Variable(np.zeros(2)))


def test_variable_operators():
    v = staghorn.Variable(np.array([1.0, 2.0], "float32"))
    np.testing.assert_array_equal(v + v, [2, 4])
    np.testing.assert_array_equal(2.0 - v, [1, 0])
    np.testing.assert_array_equal(v == 1.0, [True, False])
    np.testing.assert_array_equal(ops.sum(v), 3)
    np.testing.assert_array_equal(v[1:], [2])
    assert len({v, v}) == 1
    assert float(staghorn.Variable(2.5)) == 2.5
    assert "path=" in repr(v)


def test_variable_copies():
    v = staghorn.Variable(np.ones(2, "float32"), trainable=False, name="v")
    for twin in (copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
        assert (twin.name, twin.trainable, twin.dtype) == ("v", False, "float32")
        twin.assign([5, 5])
    np.testing.assert_array_equal(v.numpy(), [1, 1])


def test_jit_keeps_state_and_constants():
    count = staghorn.Variable(np.float32(0.0))

    @staghorn.jit
    def step(x, double=False, name="a"):
        count.assign_add(1.0)
        return x * (2.0 if double else 1.0) + (0.0 if name == "a" else 100.0)

    assert float(step(3.0)) == 3.0
    assert float(step(3.0, double=True)) == 6.0
    assert float(step(3.0, name="b")) == 103.0
    assert float(count.value) == 3.0


def test_jit_inside_jit_and_value_and_grad():
    w = staghorn.Variable(np.float32(3.0))
    inner = staghorn.jit(lambda x: w * w * x)
    outer = staghorn.jit(lambda x: inner(x) + w)
    assert float(outer(2.0)) == 21.0
    w.assign(1.0)
    assert float(outer(2.0)) == 3.0
    _, (gradient,) = staghorn.value_and_grad(inner, [w])(2.0)
    assert float(gradient) == 4.0


def test_op_is_eager_or_symbolic():
    calls = []

    @op
    def shifted(x, by=1.0):
        calls.append(type(x).__name__)
        return x + by

    np.testing.assert_array_equal(shifted(X), X + 1)
    np.testing.assert_array_equal(shifted(staghorn.Variable(X)), X + 1)
    x = staghorn.Input((4,))
    y = shifted(x, by=2.0)
    assert isinstance(y, KerasTensor)
    assert y.shape == (None, 4)
    assert any_symbolic([1, {"a": y}])
    np.testing.assert_array_equal(staghorn.Model(x, y)(X), X + 2)


def test_unknown_sizes():
    x = staghorn.Input((None, 3))
    assert (x + staghorn.Input((None, 3))).shape == (None, None, 3)
    assert (x + staghorn.Input((1, 3))).shape == (None, None, 3)
    assert ops.reshape(x, (-1, 3)).shape == (None, 3)
    assert ops.matmul(x, ops.transpose(x, (0, 2, 1))).shape == (None, None, None)
    assert x[:, 1:].shape == (None, None, 3)
    assert x[:, -1].shape == (None, 3)
    assert ops.concatenate([x, x], axis=1).shape == (None, None, 3)
    with pytest.raises((ValueError, TypeError)):
        x + staghorn.Input((None, 4))


def test_graph_order():
    """Parents first, each call once; layers in the order of Keras's files."""
    a, b = staghorn.Input((4,), name="a"), staghorn.Input((4,), name="b")
    shared = layers.Dense(4, name="shared")
    left, right = shared(a), shared(b)
    end = layers.Add(name="end")([left, layers.Dense(4, name="deep")(right)])
    graph = Graph([a, b], [end])
    assert [o.name for o in graph.operations] == ["b", "a", "shared", "deep", "end"] or [
        o.name for o in graph.operations
    ] == ["a", "b", "shared", "deep", "end"]
    assert len(graph.steps) == 4
    made = {id(a), id(b)}
    for node in graph.steps:
        assert {id(t) for t in node.input_tensors} <= made
        made |= {id(t) for t in node.outputs}
    assert len(Graph([a], [left]).steps) == 1


def test_names():
    naming.reset()
    assert [naming.auto_name(n) for n in ("Dense", "Dense", "PReLU")] == [
        "dense",
        "dense_1",
        "p_re_lu",
    ]
    assert naming.to_snake_case("Conv2DTranspose") == "conv2d_transpose"
    assert naming.to_snake_case("LSTM") == "lstm"


class Box(Configurable):
    """A user's class: described by the arguments it was made with."""

    def __init__(self, size, inner=None, *, tag="t", **kwargs):
        self.other = (size, inner, tag, kwargs)


def test_recorded_arguments():
    box = Box(3, staghorn.regularizers.L2(0.5), extra=[1, 2])
    config = box.get_config()
    assert set(config) == {"size", "inner", "extra"}
    twin = Box.from_config(json.loads(json.dumps(config)))
    assert twin.other[0] == 3
    assert isinstance(twin.other[1], staghorn.regularizers.L2)
    assert twin.other[3] == {"extra": [1, 2]}
    assert parameter_names(Box) == ("size", "inner", "tag")


def test_a_constructor_with_positional_rest():
    class Rest(Configurable):
        def __init__(self, *items):
            self.items = items

    with pytest.raises(ValueError, match=r"\*items.*get_config"):
        Rest(1, 2).get_config()


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, "a", [1, [2]], {"a": {"b": 1}}, slice(1, None, 2), Ellipsis, b"ab"],
)
def test_plain_values_round_trip(value):
    config = serialize_keras_object(value)
    json.dumps(config)
    assert deserialize_keras_object(config) == value


def test_arrays_and_objects_round_trip():
    array = np.arange(6, dtype="int16").reshape(2, 3)
    again = deserialize_keras_object(json.loads(json.dumps(serialize_keras_object(array))))
    np.testing.assert_array_equal(again, array)
    assert again.dtype == array.dtype
    dense = layers.Dense(3, activation="relu", kernel_regularizer=staghorn.regularizers.L1(0.1))
    twin = deserialize_keras_object(json.loads(json.dumps(serialize_keras_object(dense))))
    assert twin.get_config() == dense.get_config()


def test_code_in_a_config_is_refused():
    config = {"class_name": "__lambda__", "config": {"value": "4wAAAA=="}}
    with pytest.raises(ValueError, match=r"bytecode\. Code in a file never runs"):
        deserialize_keras_object(config)
    outside = {"module": "os", "class_name": "system", "config": {}, "registered_name": "system"}
    with pytest.raises(TypeError, match="not known here"):
        deserialize_keras_object(outside)


def test_registered_names():
    @staghorn.saving.register_keras_serializable("engine_tests", "renamed")
    class Mine(Configurable):
        def __init__(self, a=1):
            self.a = a

    config = serialize_keras_object(Mine(a=5))
    assert config["registered_name"] == "engine_tests>renamed"
    assert deserialize_keras_object(config).a == 5


def test_family_words():
    family = Family("thing", "keras.things", {"alpha": abs, "beta": len})
    assert family.get("alpha") is abs
    assert family.get(None) is None
    assert family.get(max) is max
    with pytest.raises(ValueError, match=r"Unknown thing 'alpa'. Did you mean 'alpha'\?"):
        family.get("alpa")
    with pytest.raises(ValueError, match=r"got 3 \(int\)"):
        family.get(3)


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (Positive(int), [1, np.int64(3)], [0, -1, 1.5, True, "1", None]),
        (NonNegative(float), [0, 0.5], [-0.1, False]),
        (Interval(0, 1, closed="left"), [0, 0.9], [1, -0.1, "x"]),
        (Options("valid", "same"), ["valid"], ["vald", 3, ["valid"]]),
        (Is(bool), [True, np.bool_(False)], [1, "yes"]),
    ],
)
def test_argument_checks(check, good, bad):
    assert all(check.accepts(value) for value in good)
    assert not any(check.accepts(value) for value in bad)


def test_nests():
    nest = {"b": [1, None], "a": (2, {"c": 3})}
    flat = tree.flatten(nest)
    assert flat == [2, 3, 1, None]
    assert tree.pack_sequence_as(nest, flat) == nest
    assert tree.map_structure(lambda x: x, nest) == nest
    with pytest.raises(ValueError, match="4 leaves"):
        tree.pack_sequence_as(nest, [1])
    with pytest.raises(ValueError, match="differ"):
        tree.assert_same_structure([1], (1,))


@pytest.mark.parametrize("size", [3, 300_000])
@pytest.mark.parametrize("kind", ["writeable", "read-only view of a writeable one", "read-only"])
def test_a_variable_does_not_follow_the_array_it_was_given(size, kind):
    variable = staghorn.Variable(np.zeros(size, "float32"))
    for value in range(1, 20):
        given = np.full(size, value, "float32")
        shown = given if kind == "writeable" else given.view()
        shown.flags.writeable = kind == "writeable"
        if kind == "read-only":
            shown = np.frombuffer(given.tobytes(), "float32")
        variable.assign(shown)
        new = staghorn.Variable(shown)
        given[:] = -1
        assert (variable.numpy() == value).all()
        assert (new.numpy() == value).all()
