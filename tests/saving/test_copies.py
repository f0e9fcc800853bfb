"""Architectures as JSON, configs and copies, as keras makes them."""

import json

import numpy as np
import pytest

import staghorn
from staghorn.saving.errors import UnsafeFileError
from tests.oracle import keras
from tests.saving.kinds import KINDS, data_for, flat, scramble
from tests.saving.test_across import assert_same_outputs, direction

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("way", ["to_keras", "from_keras"])
@pytest.mark.parametrize("kind", ["sequential", "shared", "nested", "arithmetic"])
def test_json(kind, way):
    writer, reader = direction(way)
    model = KINDS[kind][0](writer)
    scramble(model)
    twin = reader.models.model_from_json(model.to_json())
    twin.set_weights(model.get_weights())
    assert_same_outputs(model, twin, data_for(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_config(kind):
    model = KINDS[kind][0](staghorn)
    scramble(model)
    twin = type(model).from_config(model.get_config())
    twin.set_weights(model.get_weights())
    assert_same_outputs(model, twin, data_for(kind), 1e-6)


def test_json_is_checked():
    code = {"class_name": "__lambda__", "config": {"code": "4wAAAA=="}}
    config = json.loads(KINDS["functional"][0](staghorn).to_json())
    config["config"]["layers"][1]["config"]["activation"] = code
    with pytest.raises(UnsafeFileError, match=r"config\.layers\[1\]\.config\.activation"):
        staghorn.models.model_from_json(json.dumps(config))
    with pytest.raises(ValueError, match="describes no model"):
        staghorn.models.model_from_json("[1]")


def doubled_relu(k):
    def call(layer, *args, **kwargs):
        out = layer(*args, **kwargs)
        return k.ops.relu(out) * 2 if isinstance(layer, k.layers.Dense) else out

    return call


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("kind", ["functional", "nested", "arithmetic"])
def test_clone_with_another_call(kind, recursive):
    outputs = []
    for library in (staghorn, keras):
        model = KINDS[kind][0](library)
        twin = library.models.clone_model(
            model, call_function=doubled_relu(library), recursive=recursive
        )
        scramble(twin)
        outputs.append(flat(twin.predict(data_for(kind), verbose=0)))
    np.testing.assert_allclose(outputs[0][0], outputs[1][0], rtol=1e-5)


def test_recursive_clone_changes_layers_inside():
    def frozen(layer):
        twin = type(layer).from_config(layer.get_config())
        twin.trainable = False
        return twin

    for library in (staghorn, keras):
        model = KINDS["nested"][0](library)
        twin = library.models.clone_model(model, clone_function=frozen, recursive=True)
        inner = twin.get_layer("stack")
        assert not any(layer.trainable for layer in inner.layers)
        assert inner is not model.get_layer("stack")


@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_clones_are_compiled_as_the_model_is(kind):
    model = KINDS[kind][0](staghorn)
    model.compile(staghorn.optimizers.SGD(0.5, momentum=0.9), "mse", metrics=["mae"])
    data = data_for(kind)
    targets = np.ones((6, 2), "float32")
    model.train_on_batch(data, targets)
    twin = staghorn.models.clone_model(model)
    assert twin.optimizer is not model.optimizer
    assert int(twin.optimizer.iterations) == 0
    assert twin.optimizer.momentum == 0.9
    assert set(twin.evaluate(data, targets, verbose=0, return_dict=True)) == {"loss", "mae"}
    assert not staghorn.models.clone_model(KINDS[kind][0](staghorn)).compiled


def test_clone_of_a_lambda_layer_keeps_its_function():
    x = staghorn.Input((4,))
    model = staghorn.Model(x, staghorn.layers.Lambda(lambda t: t * 3, name="three")(x))
    twin = staghorn.models.clone_model(model)
    assert twin.get_layer("three") is not model.get_layer("three")
    np.testing.assert_array_equal(twin(np.ones((1, 4), "float32")), np.full((1, 4), 3.0))


def test_what_has_no_use_is_refused():
    with pytest.raises(ValueError, match="call_function is for Functional"):
        staghorn.models.clone_model(KINDS["sequential"][0](staghorn), call_function=abs)
