"""The larger models of `examples/`, mostly in small: one step on Keras and here, side by side."""

import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import staghorn
from tests.oracle import keras

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ROWS = 6


def image(size, seed=0):
    return np.random.default_rng(seed).random((ROWS, size, size, 1)).astype("float32")


def numbers(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=(ROWS, *shape)).astype("float32")


def words(length, count, seed=2):
    return np.random.default_rng(seed).integers(0, count, (ROWS, length)).astype("int32")


LABELS = np.array([0, 1, 2, 0, 1, 2])
YES = (LABELS == 1).astype("float32")


@dataclass
class Example:
    """A builder of one script, its sizes here, and one batch to train on.

    `loss` may name a function of the script.
    """

    script: str
    builder: str
    sizes: dict[str, Any]
    x: Any
    y: Any
    loss: Any
    settings: dict[str, Any] = field(default_factory=dict)  # more for `compile`


CLASSES = "sparse_categorical_crossentropy"
TWO_SIDES = {"left": image(6), "right": image(6, seed=3)}
SIAMESE_SIZES = {"size": 6, "filters": 4, "places": 3}

CASES = [
    Example(
        "headlines_two_outputs",
        "headline_model",
        {},  # in full: five million weights, 100 words, three hidden layers
        {"text": words(100, 10_000), "numbers": numbers(5)},
        {"main": YES, "auxiliary": 1 - YES},
        {"main": "binary_crossentropy", "auxiliary": "binary_crossentropy"},
        {"loss_weights": {"main": 1.0, "auxiliary": 0.2}},
    ),
    Example(
        "image_classifiers",
        "inception_model",
        {"filters": 6, "classes": 3},
        image(8),
        LABELS,
        CLASSES,
    ),
    Example(
        "image_classifiers",
        "densenet_model",
        {"depth": 2, "growth": 3, "classes": 3},
        image(8),
        LABELS,
        CLASSES,
    ),
    Example(
        "image_classifiers",
        "resnet_model",
        {"filters": (4, 6), "classes": 3},
        image(8),
        LABELS,
        CLASSES,
    ),
    Example(
        "image_to_image",
        "unet_model",
        {"size": 8, "filters": 3, "depth": 2},
        image(8),
        (image(8, seed=4) > 0.5).astype("float32"),
        "binary_crossentropy",
    ),
    Example(
        "image_to_image",
        "convolutional_autoencoder_model",
        {"size": 8, "filters": 4},
        image(8),
        image(8, seed=4),
        "mse",
    ),
    Example(
        "siamese_contrastive",
        "siamese_model",
        SIAMESE_SIZES,
        TWO_SIDES,
        YES[:, None],
        "contrastive_loss",
    ),
    Example(
        "variational_autoencoder",
        "variational_autoencoder_model",
        {"pixels": 12, "hidden": 7, "places": 3},
        image(12)[:, 0, :, 0],
        image(12)[:, 0, :, 0],
        "binary_crossentropy",
    ),
    Example(
        "seq2seq_attention",
        "sorting_model",
        {"length": 5, "width": 4, "units": 6},
        {"question": words(5, 10), "told": words(4, 11)},
        words(4, 10, seed=5),
        CLASSES,
    ),
    Example(
        "price_series",
        "stacked_lstm_model",
        {"window": 7, "units": (5, 4)},
        numbers(7, 1),
        numbers(1, seed=6),
        "mse",
    ),
    Example(
        "text_classifiers",
        "cnn_text_model",
        {"words": 30, "length": 9, "width": 5, "filters": 4, "dropout": 0.0},
        words(9, 30),
        LABELS,
        CLASSES,
    ),
    Example(
        "text_classifiers",
        "transformer_model",
        {"words": 30, "length": 7, "width": 8, "heads": 2, "hidden": 9, "blocks": 1},
        words(7, 30),
        YES,
        "binary_crossentropy",
    ),
    Example(
        "image_and_text",
        "image_and_text_model",
        {"size": 6, "filters": 3, "width": 4},
        {
            "image": image(6),
            "question": np.where(LABELS[:, None] > 1, words(4, 17), [[1, 2, 5, 0]]),
        },
        YES,
        "binary_crossentropy",
    ),
    Example(
        "shapes_multi_task",
        "shapes_model",
        {"size": 12, "filters": 3},
        image(12),
        {"square": YES, "centre": numbers(2), "radius": numbers(seed=7)},
        {"square": "binary_crossentropy", "centre": "mse", "radius": "mse"},
        {"loss_weights": {"square": 1.0, "centre": 10.0, "radius": 10.0}},
    ),
]


@pytest.fixture
def load(monkeypatch):
    """Return `load(library, script)`: the script as it is when `staghorn` is that library."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def load(library, script):
        spec = importlib.util.spec_from_file_location(script, EXAMPLES / f"{script}.py")
        module = importlib.util.module_from_spec(spec)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "staghorn", library)
            spec.loader.exec_module(module)
        return module

    yield load
    for name in ("support", "support.pictures"):
        sys.modules.pop(name, None)


def compiled(module, example):
    model = getattr(module, example.builder)(**example.sizes)
    loss = example.loss
    if isinstance(loss, str):
        loss = getattr(module, loss, loss)
    # A rate of 1.0: the weights move by the whole gradient, so that any difference shows.
    model.compile(module.staghorn.optimizers.SGD(1.0), loss, **example.settings)
    return model


def assert_equal_leaves(ours, theirs):
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    for mine, wanted in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("example", CASES, ids=lambda example: example.builder)
def test_agrees_with_keras_before_and_after_a_step(load, example):
    keras.utils.set_random_seed(0)  # some first weights leave a ReLU dead
    theirs = compiled(load(keras, example.script), example)
    ours = compiled(load(staghorn, example.script), example)
    assert ours.count_params() == theirs.count_params()
    ours.set_weights(theirs.get_weights())
    before = ours.get_weights()

    # The VAE draws: both seeds stand at the same place, and go on from it.
    predictions = [model.predict(example.x, verbose=0) for model in (ours, theirs)]
    assert_equal_leaves(*predictions)

    # One SGD step: the whole data is one batch.
    losses = [
        dict(model.fit(example.x, example.y, batch_size=ROWS, shuffle=False, verbose=0).history)
        for model in (ours, theirs)
    ]
    assert losses[0].keys() == losses[1].keys()
    assert_equal_leaves(*losses)
    assert_equal_leaves(ours.get_weights(), theirs.get_weights())
    # A weight that has no part in the answer would agree without being trained.
    moved = [(a != b).any() for a, b in zip(before, ours.get_weights(), strict=True)]
    assert all(moved)


def test_the_writing_loop_agrees_with_keras_and_with_teacher_forcing(load):
    mine, wanted = load(staghorn, "seq2seq_attention"), load(keras, "seq2seq_attention")
    sizes = {"length": 5, "width": 4, "units": 6}
    keras.utils.set_random_seed(0)
    theirs, ours = wanted.sorting_model(**sizes), mine.sorting_model(**sizes)
    sharper = [10 * weight for weight in theirs.get_weights()]  # no near ties between digits
    theirs.set_weights(sharper)
    ours.set_weights(sharper)

    question = words(5, 10)
    written = mine.write(*mine.one_step_models(ours), question)
    np.testing.assert_array_equal(written, wanted.write(*wanted.one_step_models(theirs), question))

    # Told what it wrote itself, the whole model gives the same digits in one go.
    start = np.full((ROWS, 1), mine.START, "int32")
    told = np.concatenate([start, written[:, :-1]], axis=1)
    chances = ours.predict({"question": question, "told": told}, verbose=0)
    np.testing.assert_array_equal(chances.argmax(axis=-1), written)
