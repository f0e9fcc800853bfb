"""FeatureSpace against golden files: what Keras with TensorFlow does."""

import json
from pathlib import Path

import numpy as np
import pytest

import staghorn
from tests.golden.string_cases import SPACE, spaces

GOLDEN = json.loads(Path("tests/golden/strings.json").read_text(encoding="utf-8"))["spaces"]
NAMES = ("concat", "dict")


def data(space):
    return {name: SPACE[name] for name in space.features}


def adapted(name):
    space = spaces(staghorn.utils.FeatureSpace)[name]
    space.adapt(data(space))
    return space


def assert_equal(out, wanted):
    if "shape" not in wanted:
        assert set(out) == set(wanted)
        for key in wanted:
            assert_equal(out[key], wanted[key])
        return
    assert list(out.shape) == wanted["shape"]
    np.testing.assert_allclose(np.asarray(out), np.array(wanted["values"]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_table_and_a_row(name):
    space = adapted(name)
    assert_equal(space(data(space)), GOLDEN[name]["out"])
    row = {key: values[1] for key, values in data(space).items()}
    assert_equal(space(row), GOLDEN[name]["one"])


def plain(config):
    """A config as JSON without what numbers objects, and without the shapes of single layers."""
    if isinstance(config, dict):
        return {k: plain(v) for k, v in config.items() if k != "shared_object_id"}
    return [plain(x) for x in config] if isinstance(config, (list, tuple)) else config


@pytest.mark.parametrize("name", NAMES)
def test_config(name):
    assert plain(adapted(name).get_config()) == plain(GOLDEN[name]["config"])


@pytest.mark.parametrize("name", NAMES)
def test_files_of_keras(name):
    space = staghorn.models.load_model(f"tests/golden/space_{name}.keras")
    assert_equal(space(data(space)), GOLDEN[name]["out"])


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded(name, tmp_path):
    space = adapted(name)
    space.save(tmp_path / "space.keras")
    again = staghorn.models.load_model(tmp_path / "space.keras")
    assert_equal(again(data(space)), GOLDEN[name]["out"])
    assert plain(again.get_config()) == plain(space.get_config())


def test_models_begin_with_it():
    space = adapted("concat")
    encoded = space.get_encoded_features()
    assert encoded.shape == (None, 34)
    model = staghorn.Model(space.get_inputs(), staghorn.layers.Dense(1)(encoded))
    model.compile("sgd", "mse")
    table = {key: np.array(values) for key, values in SPACE.items()}
    before = model.predict(table, verbose=0)
    direct = staghorn.Sequential([model.layers[-1]])
    np.testing.assert_allclose(before, direct(space(SPACE)), rtol=1e-5)
    history = model.fit(table, np.arange(5.0), epochs=2, verbose=0)
    assert history.history["loss"][1] < history.history["loss"][0]


def test_adapt_takes_batches_and_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(SPACE)
    wanted = adapted("concat")(SPACE)
    rows = [{key: values[i] for key, values in SPACE.items()} for i in range(5)]
    batches = [({key: values[i : i + 2] for key, values in SPACE.items()}, 0) for i in (0, 2, 4)]
    for dataset in (frame, rows, iter(batches)):
        space = spaces(staghorn.utils.FeatureSpace)["concat"]
        space.adapt(dataset)
        out = space(frame)
        assert out.shape == wanted.shape
        np.testing.assert_allclose(out[:, 0], wanted[:, 0], rtol=1e-5)


def test_what_is_wrong_is_said():
    space = staghorn.utils.FeatureSpace
    with pytest.raises(ValueError, match="features is empty"):
        space({})
    with pytest.raises(ValueError, match="feature 'a' must be one of"):
        space({"a": "floats"})
    with pytest.raises(ValueError, match="names \\['b'\\]"):
        space({"a": "float"}, crosses=[("a", "b")])
    with pytest.raises(ValueError, match="must learn from the data first"):
        space({"a": "float_normalized"})({"a": [1.0]})
    with pytest.raises(ValueError, match="no data for \\['a'\\]"):
        space({"a": "float"})({"b": [1.0]})
    with pytest.raises(ValueError, match="'a' is not encoded"):
        space({"a": space.integer_hashed(3, output_mode="int")})({"a": [1]})
    own = space.feature("float32", staghorn.layers.Rescaling(2.0), "one_hot")
    with pytest.raises(ValueError, match="returns float32, not integers"):
        space({"a": own})({"a": [1.0]})
