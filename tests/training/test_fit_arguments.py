"""What fit, evaluate and the *_on_batch methods take, against keras."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import staghorn
from tests.oracle import keras
from tests.training.twins import (
    assert_close,
    assert_history,
    assert_weights,
    dense,
    heads_data,
    regression,
    twins,
    two_heads,
)

SPARSE = "sparse_categorical_crossentropy"
X, Y = regression(rows=10)
CLASSES = np.random.default_rng(0).integers(0, 3, size=10)
COMMON = {"batch_size": 4, "verbose": 0, "shuffle": False}


def fit_both(build, compile_with, x, y, **fit_with):
    ours, theirs = twins(build)
    histories = []
    for model in (ours, theirs):
        model.compile("sgd", **compile_with)
        histories.append(model.fit(x, y, **{**COMMON, "epochs": 2, **fit_with}))
    assert_history(*histories)
    assert_weights(ours, theirs)
    return histories[0]


ROW_WEIGHTS = np.linspace(0, 2, 10).astype("float32")
ARGUMENTS = {
    "sample_weight": {"sample_weight": ROW_WEIGHTS},
    "column of weights": {"sample_weight": ROW_WEIGHTS[:, None]},
    "weights and validation": {"sample_weight": ROW_WEIGHTS, "validation_split": 0.3},
    "validation_split": {"validation_split": 0.25},
    "validation_data": {"validation_data": (X[:5], Y[:5])},
    "validation weights": {"validation_data": (X[:5], Y[:5], ROW_WEIGHTS[:5])},
    "validation batch": {"validation_data": (X[:7], Y[:7]), "validation_batch_size": 3},
    "validation_steps": {"validation_data": (X, Y), "validation_steps": 2},
    "validation_freq": {"validation_data": (X, Y), "validation_freq": 2, "epochs": 5},
    "validation at": {"validation_data": (X, Y), "validation_freq": [1, 4], "epochs": 5},
    "initial_epoch": {"initial_epoch": 3, "epochs": 5},
    "nothing to do": {"initial_epoch": 2, "epochs": 2},
    "steps_per_epoch": {"batch_size": 2, "steps_per_epoch": 1, "epochs": 7},
    "steps without batch size": {"batch_size": None, "steps_per_epoch": 5},
    "default batch": {"batch_size": None},
    "steps that end early": {"batch_size": 2, "steps_per_epoch": 3, "epochs": 1},
    "large batch": {"batch_size": 64},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments(name):
    compile_with = {"loss": "mse", "metrics": ["mae"], "weighted_metrics": ["mse"]}
    fit_both(dense(), compile_with, X, Y, **ARGUMENTS[name])


@pytest.mark.parametrize("steps", [3, 6])
def test_steps_that_do_not_fit_the_data_warn(steps):
    """5 batches. As in keras, the epoch in which they end is short, and the next starts over."""
    with pytest.warns(UserWarning, match=r"steps_per_epoch=\d, but|ran out of data"):
        fit_both(dense(), {"loss": "mse"}, X, Y, batch_size=2, steps_per_epoch=steps, epochs=4)


@pytest.mark.parametrize(
    "y", [CLASSES, CLASSES[:, None], np.eye(3, dtype="float32")[CLASSES]], ids=["1d", "2d", "hot"]
)
def test_class_weight(y):
    """Class weights are for training alone: the validation rows count alike."""
    loss = "categorical_crossentropy" if y.shape[-1] == 3 else SPARSE
    fit_both(
        dense(outputs=3, activation="softmax"),
        {"loss": loss, "weighted_metrics": ["accuracy"]},
        X,
        y,
        class_weight={0: 0.5, 2: 3.0},
        validation_split=0.3,
    )


def test_class_weight_of_one_unit():
    y = (CLASSES > 0).astype("float32")
    arguments = {"class_weight": {0: 0.1, 1: 2.0}}
    fit_both(dense(activation="sigmoid"), {"loss": "binary_crossentropy"}, X, y, **arguments)


HEADS, A, B = heads_data(rows=10)
TWO = {"loss": ["mse", SPARSE], "metrics": [["mae"], ["accuracy"]],
       "weighted_metrics": [["mse"], None]}  # fmt: skip


@pytest.mark.parametrize(
    "weight", [ROW_WEIGHTS, [ROW_WEIGHTS, ROW_WEIGHTS[::-1].copy()]], ids=["one", "list"]
)
def test_sample_weights_of_two_outputs(weight):
    fit_both(two_heads(), TWO, HEADS, [A, B], sample_weight=weight)


def test_sample_weights_by_name():
    weights = {"b": ROW_WEIGHTS, "a": ROW_WEIGHTS[::-1].copy()}
    compile_with = {"loss": {"a": "mse", "b": SPARSE}}
    fit_both(
        two_heads("dict"), compile_with, HEADS, {"a": A, "b": B}, sample_weight=weights
    )


def test_two_inputs_two_outputs_and_a_shared_layer():
    history = fit_both(
        two_heads(), TWO, HEADS, [A, B], validation_data=(HEADS, [A, B]), epochs=3
    )
    assert len(history.history) == 12


def reference(x=X, y=Y, **fit_with):
    model = dense(inputs=x.shape[-1])(staghorn)
    keep = model.get_weights()
    model.compile("sgd", "mse", metrics=["mae"])
    history = model.fit(x, y, **{**COMMON, **fit_with})
    return keep, history.history, model


FRAME = pd.DataFrame(X, columns=["AT", "AP", "RH"])
FORMS = {
    "float64": (X.astype("float64"), Y.astype("float64")),
    "lists of numbers": (X.tolist(), Y.tolist()),
    "jax arrays": (jnp.asarray(X), jnp.asarray(Y)),
    "frame and series": (FRAME, pd.Series(Y[:, 0], name="PE")),
    "frame and frame": (FRAME, pd.DataFrame(Y, columns=["PE"])),
    "frame with another index": (FRAME.set_index(np.arange(10) * 7), pd.DataFrame(Y)),
    "1-D targets": (X, Y[:, 0]),
    "a list of one array": ([X], [Y]),
    "a tuple of one array": ((X,), (Y,)),
    "not contiguous": (np.asfortranarray(X), np.repeat(Y, 2, axis=1)[:, :1]),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_data(form):
    x, y = FORMS[form]
    weights, expected, trained = reference()
    model = dense()(staghorn)
    model.set_weights(weights)
    model.compile("sgd", "mse", metrics=["mae"])
    assert model.fit(x, y, **COMMON).history == expected
    assert_weights(model, trained)
    assert model.evaluate(x, y, verbose=0) == trained.evaluate(X, Y, verbose=0)
    assert_close(model.predict(x, verbose=0), trained.predict(X, verbose=0))
    assert model.test_on_batch(x, y) == trained.test_on_batch(X, Y)


@pytest.mark.parametrize("kind", ["bool", "int8", "int64", "uint8", "float16"])
def test_other_types_of_numbers_equal_keras(kind):
    x = (X * 3).astype(kind)
    y = (Y * 3).astype(kind)
    fit_both(dense(), {"loss": "mse", "metrics": ["mae"]}, x, y)


def test_a_tuple_of_columns_as_targets():
    """As the power-plant tutorials write it: y = (table["PE"].values, table["V"].values)."""
    x = X
    columns = (Y[:, 0], (Y[:, 0] * 2 + 1))

    def build(library):
        inputs = library.Input((3,))
        outputs = [library.layers.Dense(1, name=name)(inputs) for name in ("PE", "V")]
        return library.Model(inputs, outputs)

    histories = [
        fit_both(build, {"loss": "mse", "metrics": [["mae"], ["mse"]]}, x, targets).history
        for targets in (columns, list(columns), [c[:, None] for c in columns])
    ]
    assert histories[0] == histories[1] == histories[2]
    series = tuple(pd.Series(column) for column in columns)
    model = build(staghorn)
    model.compile("sgd", {"PE": "mse", "V": "mse"})
    model.fit(FRAME, series, validation_data=(FRAME, series), **COMMON)


@pytest.mark.parametrize("x", [HEADS, tuple(HEADS), {"right": HEADS[1], "left": HEADS[0]}])
def test_nests_of_inputs(x):
    fit_both(two_heads(), TWO, x, [A, B])


def test_more_keys_than_inputs_are_ignored():
    model = two_heads()(staghorn)
    model.compile("sgd", **TWO)
    x = {"left": HEADS[0], "right": HEADS[1]}
    expected = model.evaluate(x, [A, B], verbose=0)
    assert model.evaluate({**x, "zzz": HEADS[0]}, [A, B], verbose=0) == expected


def test_one_batch_at_a_time():
    ours, theirs = twins(dense())
    results = []
    for model in (ours, theirs):
        model.compile("adam", "mse", metrics=["mae"])
        results.append(
            [
                *model.train_on_batch(X, Y),
                *model.train_on_batch(X[:4], Y[:4], sample_weight=ROW_WEIGHTS[:4]),
                *model.test_on_batch(X[:3], Y[:3]),
                *model.test_on_batch(X, Y, sample_weight=ROW_WEIGHTS, return_dict=True).values(),
                *model.predict_on_batch(X[:2])[:, 0],
            ]
        )
    assert_close(*results)
    assert_weights(ours, theirs)


def test_one_batch_with_class_weight():
    ours, theirs = twins(dense(outputs=3, activation="softmax"))
    results = []
    for model in (ours, theirs):
        model.compile("sgd", SPARSE)
        results.append(model.train_on_batch(X, CLASSES, class_weight={1: 5.0}))
    assert_close(*results)
    assert isinstance(results[0], float)


def test_evaluate_in_steps():
    ours, theirs = twins(dense())
    results = []
    for model in (ours, theirs):
        model.compile("sgd", "mse", metrics=["mae"])
        results.append([
            *model.evaluate(X, Y, batch_size=3, steps=2, verbose=0),
            *model.evaluate(X, Y, batch_size=2, steps=3, verbose=0),
            *model.evaluate(X, Y, steps=3, sample_weight=ROW_WEIGHTS, verbose=0),
        ])  # fmt: skip
    assert_close(*results)


def test_editing_the_callers_array_does_not_reach_the_model():
    x, y = X.copy(), Y.copy()
    model = dense()(staghorn)
    model.compile("sgd", "mse")

    class Vandal(staghorn.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            x[:] = np.nan

    history = model.fit(x, y, epochs=3, callbacks=[Vandal()], **COMMON).history
    assert np.isfinite(history["loss"]).all()


def test_a_subclassed_model_never_built():
    def build(library):
        class Net(library.Model):
            def __init__(self):
                super().__init__()
                self.hidden = library.layers.Dense(4, activation="tanh")
                self.drop = library.layers.Dropout(0.5)
                self.out = library.layers.Dense(1)

            def call(self, inputs):
                return self.out(self.drop(self.hidden(inputs)))

        return Net()

    ours, theirs = build(staghorn), build(keras)
    for model in (ours, theirs):
        model.compile("sgd", "mse", metrics=["mae"])
    first, second = (model.fit(X, Y, **COMMON) for model in (ours, theirs))
    assert list(first.history) == list(second.history)
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    ours.set_weights([np.array(w.value) for w in theirs.weights])
    assert_close(ours.evaluate(X, Y, verbose=0), theirs.evaluate(X, Y, verbose=0))
