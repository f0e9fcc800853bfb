"""Ops in a graph are written as the classes that Keras has for them, and read back from those."""

import importlib

import numpy as np
import pytest

import staghorn
from staghorn.models.graph_config import _operation_config
from staghorn.saving.dialect import oldest_dialect
from staghorn.saving.hdf5 import write_hdf5
from staghorn.saving.memory import sealed
from staghorn.saving.weights import weights_groups
from tests.oracle import keras

# keras 3.15.1 itself, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

UNARY = [
    "abs", "celu", "cbrt", "elu", "erf", "erfinv", "exp", "gelu", "hard_shrink",
    "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "isin", "leaky_relu", "log_sigmoid",
    "log_softmax", "relu", "relu6", "rsqrt", "selu", "sigmoid", "silu",
    "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax",
    "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip
MORE = {"isin": ([0.5],), "threshold": (0.5, 0.1)}


def graph(k):
    x = k.Input((4,))
    outputs = {}
    for name in UNARY:
        outputs[name] = getattr(k.ops, name)(x, *MORE.get(name, ()))
    outputs["outer"] = k.ops.einsum("bi,bj->bij", x, outputs["relu"])
    return k.Model(x, outputs)


@pytest.mark.parametrize("way", ["to_keras", "from_keras"])
def test_ops_mean_the_same_on_the_other_side(way, tmp_path):
    writer, reader = (staghorn, keras) if way == "to_keras" else (keras, staghorn)
    model = graph(writer)
    model.save(tmp_path / "m.keras")
    again = reader.models.load_model(tmp_path / "m.keras")
    x = np.random.default_rng(0).uniform(0.05, 0.95, (3, 4)).astype("float32")
    wanted, got = model.predict(x, verbose=0), again.predict(x, verbose=0)
    assert set(got) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-6, atol=1e-6, err_msg=name)


def test_every_activation_has_a_class_in_keras():
    x = staghorn.Input((4,))
    missing = []
    for name in sorted(set(staghorn.activations.__all__) & set(staghorn.ops.__all__)):
        operation = getattr(staghorn.ops, name)(x, *MORE.get(name, ()))._keras_history.operation
        config = _operation_config(operation, operation._inbound_nodes)
        if not hasattr(importlib.import_module(config["module"]), config["class_name"]):
            missing.append(config["module"] + "." + config["class_name"])
    assert missing == []


@pytest.mark.parametrize(
    ("module", "cls", "inner", "left"),
    [
        ("keras.layers", "Dense", {"units": 3, "quantization_config": None}, {"units": 3}),
        ("keras.layers", "Dense", {"quantization_config": {"a": 1}}, None),
        ("keras.losses", "SparseCategoricalCrossentropy", {"axis": -1}, {}),
        ("keras.metrics", "SparseCategoricalCrossentropy", {"axis": -1}, None),
        ("keras.metrics", "SparseCategoricalCrossentropy", {"ignore_class": None}, {}),
        ("mine", "Dense", {"quantization_config": None}, None),
        ("keras.src.ops.numpy", "Add", {"name": "add_1"}, {}),
    ],
)
def test_keys_that_say_nothing_are_left_out(module, cls, inner, left):
    config = {"module": module, "class_name": cls, "config": inner, "name": "add_1"}
    assert oldest_dialect(config)["config"] == (inner if left is None else left)


def test_nadam_of_keras_3_9_had_its_product_before_its_slots(tmp_path):
    model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
    model.compile(staghorn.optimizers.Nadam(0.01), "mse")
    for _ in range(2):
        model.train_on_batch(np.ones((3, 4)), np.ones((3, 2)))
    wanted = [v.numpy() for v in model.optimizer.variables]
    groups = weights_groups(model)
    name, arrays = groups["optimizer"]
    values = list(arrays.values())
    values.insert(2, values.pop())
    groups["optimizer"] = name, {str(i): value for i, value in enumerate(values)}
    (tmp_path / "m.weights.h5").write_bytes(b"".join(sealed(write_hdf5(groups))))
    model.train_on_batch(np.ones((3, 4)), np.ones((3, 2)))
    model.load_weights(tmp_path / "m.weights.h5")
    for variable, value in zip(model.optimizer.variables, wanted, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_loss_scale_optimizer_of_keras_3_9_had_more_arguments():
    config = staghorn.optimizers.LossScaleOptimizer(staghorn.optimizers.SGD(0.1)).get_config()
    old = {"use_ema": False, "ema_momentum": 0.99, "weight_decay": None, "clipnorm": None}
    again = staghorn.optimizers.LossScaleOptimizer.from_config({**config, **old})
    assert again.get_config() == config
