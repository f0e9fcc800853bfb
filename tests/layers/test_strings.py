"""The string and categorical layers against golden files: what Keras with TensorFlow does."""

import json
from pathlib import Path

import numpy as np
import pytest

import staghorn
from staghorn import layers
from tests.golden.string_cases import ROWS, Batches
from tests.oracle import assert_same, keras

GOLDEN = json.loads(Path("tests/golden/strings.json").read_text(encoding="utf-8"))
PAIRS = [
    pytest.param(row, expected, id=str(row))
    for row, expected in zip(ROWS, GOLDEN["rows"], strict=True)
]
# Keras gives encodings of lookups as integers outside models, as floats inside: floats here.
FLOATS = ("StringLookup", "IntegerLookup", "TextVectorization")


def made(row):
    layer = getattr(staghorn.layers, row.layer)(**row.kwargs, name="given")
    if row.vocabulary is not None:
        layer.set_vocabulary(*row.vocabulary)
    if row.adapt is not None:
        data = row.adapt
        layer.adapt((batch for batch in data) if isinstance(data, Batches) else data)
    return layer


@pytest.mark.parametrize(("row", "expected"), PAIRS)
def test_the_rows_are_those_of_the_file(row, expected):
    assert str(row) == expected["row"]


@pytest.mark.parametrize(("row", "expected"), PAIRS)
def test_output(row, expected):
    layer = made(row)
    for item, wanted in zip(row.call, expected["outputs"], strict=True):
        if "error" in wanted and np.size(item):
            with pytest.raises(RuntimeError, match="has no vocabulary yet"):
                layer(item)
            continue
        if "error" in wanted:  # no rows at all: TensorFlow takes an empty list for floats
            continue
        out = np.asarray(layer(item, **row.more))
        assert list(out.shape) == wanted["shape"], item
        if wanted["dtype"] == "string":
            assert out.tolist() == wanted["values"]
            continue
        np.testing.assert_allclose(out, np.array(wanted["values"]), rtol=1e-6, atol=1e-6)
        assert (out.dtype.kind == "f") == (
            wanted["dtype"].startswith("float")
            or (row.layer in FLOATS and layer.output_mode != "int")
        )


@pytest.mark.parametrize(("row", "expected"), PAIRS)
def test_vocabulary_and_config(row, expected):
    layer = made(row)
    if "vocabulary" in expected:
        assert layer.get_vocabulary() == expected["vocabulary"]
        assert layer.get_vocabulary(include_special_tokens=False) == expected["words"]
        assert layer.vocabulary_size() == expected["size"]
    if "config" in expected:
        config = json.loads(json.dumps(layer.get_config()))
        assert config == expected["config"]
        again = type(layer).from_config(config)
        assert json.loads(json.dumps(again.get_config())) == config


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("shape", [(), (4,), (3, 1), (2, 5), (2, 3, 4)])
def test_category_encoding_as_keras_on_jax(mode, policy, shape):
    inputs = np.random.default_rng(0).integers(0, 9, shape)
    pair = [module.layers.CategoryEncoding(7, mode, dtype=policy) for module in (staghorn, keras)]
    ours, theirs = (layer(inputs) for layer in pair)
    assert_same(ours, theirs)
    spec = pair[0](staghorn.Input(batch_shape=shape, dtype="int32"))
    assert (spec.shape, spec.dtype) == (ours.shape, ours.dtype)


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("num_bins", [1, 2, 7])
def test_boundaries_as_keras_on_jax(epsilon, num_bins):
    rng = np.random.default_rng(1)
    batches = [rng.normal(size=n).astype("float32") for n in (5, 300, 1, 47)]
    pair = [module.layers.Discretization(None, num_bins, epsilon) for module in (staghorn, keras)]
    for layer in pair:
        for batch in batches:  # keras's adapt looks for TensorFlow
            layer.update_state(batch)
        layer.finalize_state()
    assert pair[0].bin_boundaries == pair[1].bin_boundaries
    np.testing.assert_array_equal(pair[0].summary, pair[1].summary)
    assert pair[0].get_config() == {**pair[1].get_config(), "name": pair[0].name}


def test_layers_that_compute_say_what_goes_before_them():
    texts = np.array(["a b", "c"])
    for make in (
        lambda: layers.Embedding(3, 2),
        lambda: layers.Dense(2),
        lambda: layers.Rescaling(0.5),
        lambda: layers.ReLU(),
    ):
        message = "takes numbers, got strings.*TextVectorization"
        for strings in (texts, texts.astype(object), ["a", "b"]):
            with pytest.raises(TypeError, match=f"(?s){message}"):
                make()(strings)
        with pytest.raises(TypeError, match=f"(?s){message}"):
            make()(staghorn.Input((1,), dtype="string"))
    assert layers.Identity()(texts) is texts
    assert layers.Lambda(len)(texts) == 2


def test_a_width_that_depends_on_the_texts_behind_which_weights_come():
    words = layers.TextVectorization(vocabulary=["a", "b"])
    x = words(staghorn.Input((1,), dtype="string"))
    with pytest.raises(ValueError, match="as its output_sequence_length="):
        layers.Dense(2)(x)
