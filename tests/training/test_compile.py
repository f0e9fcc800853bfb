"""compile(): every form of its arguments, against keras."""

import numpy as np
import pytest

import staghorn
from tests.training.twins import dense, fit_both, heads_data, regression, twins, two_heads


def by_hand(library):
    def squared(y_true, y_pred):
        return library.ops.mean((y_true - y_pred) ** 2, axis=-1)

    return squared


ONE_OUTPUT = {
    "name": lambda k: {"loss": "mse", "metrics": ["mae"]},
    "alias": lambda k: {"loss": "mean_squared_error", "metrics": ["mean_absolute_error"]},
    "object": lambda k: {
        "loss": k.losses.MeanSquaredError(),
        "metrics": [k.metrics.MeanAbsoluteError()],
    },
    "class": lambda k: {
        "loss": k.losses.MeanSquaredError,
        "metrics": [k.metrics.RootMeanSquaredError],
    },
    "function": lambda k: {"loss": by_hand(k), "metrics": [by_hand(k)]},
    "library function": lambda k: {
        "loss": k.losses.mean_squared_error,
        "metrics": [k.losses.mean_absolute_error],
    },
    "list of one": lambda k: {"loss": ["mse"], "metrics": ["mae", "mse"]},
    "nested metrics": lambda k: {"loss": "mse", "metrics": [["mae", "mse"]]},
    "tuple": lambda k: {"loss": "mse", "metrics": ("mae", "mse")},
    "weighted": lambda k: {"loss": "mse", "metrics": ["mae"], "weighted_metrics": ["mae", "mse"]},
    "same metric twice": lambda k: {"loss": "mse", "metrics": ["mae", "mae"]},
    "named metric": lambda k: {
        "loss": "mse",
        "metrics": [k.metrics.MeanSquaredError(name="error")],
    },
    "loss weight": lambda k: {"loss": "mse", "loss_weights": 0.5, "metrics": ["mae"]},
    "loss weight in a list": lambda k: {"loss": ["mse"], "loss_weights": [0.5]},
    "loss only": lambda k: {"loss": "mse"},
    "optimizer object": lambda k: {"optimizer": k.optimizers.Adam(0.01), "loss": "huber"},
    "steps per execution": lambda k: {"loss": "mse", "steps_per_execution": 2},
}


@pytest.mark.parametrize("form", ONE_OUTPUT)
def test_one_output(form):
    x, y = regression()
    fit_both(dense(), ONE_OUTPUT[form], x, y)


CLASSES = np.random.default_rng(0).integers(0, 3, size=20)
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
BINARY = (CLASSES > 0).astype("float32")


@pytest.mark.parametrize(
    ("loss", "metric"),
    [("crossentropy", "accuracy"), ("ce", "acc"), ("categorical_crossentropy", "Accuracy")],
)
def test_automatic_forms_of_one_hot_targets(loss, metric):
    x, _ = regression()
    arguments = {"loss": loss, "metrics": [metric]}
    fit_both(dense(outputs=3, activation="softmax"), lambda k: arguments, x, ONE_HOT)


@pytest.mark.parametrize("y", [CLASSES[:, None], CLASSES.astype("float32")])
def test_automatic_forms_of_class_numbers(y):
    x, _ = regression()
    arguments = {"loss": "crossentropy", "metrics": ["accuracy"]}
    fit_both(dense(outputs=3, activation="softmax"), lambda k: arguments, x, y)


@pytest.mark.parametrize("y", [BINARY, CLASSES[:, None] > 0])
def test_automatic_forms_of_one_unit(y):
    x, _ = regression()
    arguments = {"loss": "crossentropy", "metrics": ["accuracy", "acc"]}
    fit_both(dense(activation="sigmoid"), lambda k: arguments, x, y)


SPARSE = "sparse_categorical_crossentropy"
TWO_OUTPUTS = {
    "lists": lambda k: {"loss": ["mse", SPARSE], "metrics": [["mae"], ["accuracy"]]},
    "dicts": lambda k: {"loss": {"a": "mse", "b": SPARSE}, "metrics": {"a": ["mae"], "b": "acc"}},
    "dicts in another order": lambda k: {
        "loss": {"b": SPARSE, "a": "mse"},
        "metrics": {"b": ["accuracy"], "a": ["mae", "mse"]},
        "loss_weights": {"b": 0.1, "a": 2.0},
    },
    "weights in a list": lambda k: {"loss": ["mse", SPARSE], "loss_weights": [0.3, 0.7]},
    "metrics for one output": lambda k: {"loss": ["mse", SPARSE], "metrics": {"b": ["accuracy"]}},
    "metrics with None": lambda k: {"loss": ["mse", SPARSE], "metrics": [None, ["accuracy"]]},
    "same metric on both": lambda k: {"loss": ["mse", SPARSE], "metrics": [["mse"], ["accuracy"]]},
    "single metrics": lambda k: {"loss": ["mse", SPARSE], "metrics": ["mae", "accuracy"]},
    "weighted metrics": lambda k: {
        "loss": ["mse", SPARSE],
        "metrics": [["mae"], ["accuracy"]],
        "weighted_metrics": [["mae", "mse"], ["accuracy"]],
    },
    "objects": lambda k: {
        "loss": [k.losses.MeanSquaredError(), k.losses.SparseCategoricalCrossentropy()],
        "metrics": [[k.metrics.MeanSquaredError()], [k.metrics.SparseCategoricalAccuracy()]],
    },
}


@pytest.mark.parametrize("form", TWO_OUTPUTS)
def test_two_outputs(form):
    x, a, b = heads_data()
    fit_both(two_heads(), TWO_OUTPUTS[form], x, [a, b])


@pytest.mark.parametrize("targets", [{"b", "a"}, {"a", "b"}])
def test_dict_outputs(targets):
    x, a, b = heads_data()
    data = {"a": a, "b": b}
    fit_both(
        two_heads("dict"),
        TWO_OUTPUTS["dicts in another order"],
        {"right": x[1], "left": x[0]},
        {name: data[name] for name in targets},
    )


def test_targets_by_name_for_list_outputs():
    x, a, b = heads_data()
    fit_both(two_heads(), TWO_OUTPUTS["lists"], x, {"b": b, "a": a})


def test_metrics_stay_on_their_heads_whatever_the_order():
    """Outputs declared as [b, a]: names sort the other way (the mistake of keras#22625)."""
    x, a, b = heads_data()
    arguments = TWO_OUTPUTS["dicts in another order"]
    ours, _, _ = fit_both(two_heads("reversed"), arguments, x, {"a": a, "b": b})
    values = ours.evaluate(x, {"a": a, "b": b}, return_dict=True, verbose=0)
    out_b, out_a = ours.predict(x, verbose=0)
    np.testing.assert_allclose(values["a_mae"], np.abs(out_a - a).mean(), rtol=1e-5)
    np.testing.assert_allclose(values["b_accuracy"], (out_b.argmax(-1) == b).mean(), rtol=1e-5)


def test_an_output_without_loss():
    x, a, b = heads_data()
    fit_both(two_heads(), lambda k: {"loss": ["mse", None]}, x, [a, b])
    fit_both(two_heads(), lambda k: {"loss": [None, SPARSE], "metrics": [["mae"], None]}, x, [a, b])


def test_a_dict_that_leaves_a_loss_out():
    """Keras refuses it; here the output simply has no loss, and needs no target."""
    x, a, b = heads_data()
    ours, theirs = twins(two_heads())
    ours.compile("sgd", loss={"b": SPARSE}, metrics={"b": ["accuracy"]})
    theirs.compile("sgd", loss=[None, SPARSE], metrics=[None, ["accuracy"]])
    common = {"batch_size": 4, "shuffle": False, "verbose": 0}
    got = ours.fit(x, {"b": b}, **common).history
    expected = theirs.fit(x, [a, b], **common).history
    np.testing.assert_allclose(got["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(got["b_accuracy"], expected["b_accuracy"], rtol=1e-5)


def nested(library):
    x = library.Input((3,), name="x")
    heads = [library.layers.Dense(1, name=name)(x) for name in "pqr"]
    return library.Model(x, {"first": heads[0], "rest": [heads[1], heads[2]]})


def test_nested_outputs():
    x, y = regression(outputs=3)
    targets = {"first": y[:, :1], "rest": [y[:, 1:2], y[:, 2:]]}
    fit_both(
        nested,
        lambda k: {
            "loss": {"first": "mse", "rest": ["mae", "huber"]},
            "loss_weights": {"first": 0.5, "rest": [1.0, 2.0]},
        },
        x,
        targets,
    )
    fit_both(nested, lambda k: {"loss": "mse"}, x, targets)


def test_metrics_names_are_flat_and_known_after_compile_and_fit():
    x, a, b = heads_data()
    ours, _ = twins(two_heads())
    ours.compile("sgd", **TWO_OUTPUTS["lists"](staghorn))
    ours.fit(x, [a, b], verbose=0)
    expected = ["loss", "a_loss", "b_loss", "a_mae", "b_accuracy"]
    assert ours.metrics_names == expected
    values = ours.evaluate(x, [a, b], verbose=0)
    assert len(values) == len(ours.metrics_names)
    named = ours.evaluate(x, [a, b], verbose=0, return_dict=True)
    assert [named[name] for name in ours.metrics_names] == values


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "mean_squared_eror"}, "Did you mean 'mean_squared_error'"),
        ({"loss": {"c": "mse", "b": "mse"}}, "no output 'c'"),
        ({"loss": {"a": "mse", "bb": "mse"}}, "Did you mean 'b'"),
        ({"loss": "mse", "metrics": {"A": ["mae"]}}, "Did you mean 'a'"),
        ({"loss": "mse", "metrics": ["mae_"]}, "Did you mean 'mae'"),
        ({"loss": "mse", "loss_weights": {"d": 1.0}}, "no output 'd'"),
        ({"loss": ["mse", "mse", "mse"]}, "list of 3"),
        ({"loss": "mse", "loss_weights": [1.0]}, "list of 1"),
        ({"optimizer": "addam", "loss": "mse"}, "Unknown optimizer 'addam'"),
        ({"loss": "mse", "metrics": "mae"}, "expected a list"),
        ({"loss": "mse", "steps_per_execution": 0}, "steps_per_execution must be a positive int"),
    ],
)
def test_wrong_names_are_reported_before_anything_trains(arguments, message):
    x, a, b = heads_data()
    model, _ = twins(two_heads())
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):  # noqa: PT012
        model.compile(**{"optimizer": "sgd", **arguments})
        model.fit(x, [a, np.eye(3)[b]], verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_several_losses_on_one_output_add_up():
    """Keras tracks them all but trains by the first alone; here every one counts."""
    x, y = regression()
    model, _ = twins(dense())
    model.compile("sgd", loss=["mse", "mae"], loss_weights=[0.5, 2.0])
    out = model.predict(x, verbose=0)
    values = model.evaluate(x, y, return_dict=True, verbose=0)
    mse, mae = ((out - y) ** 2).mean(), np.abs(out - y).mean()
    np.testing.assert_allclose(
        [values[name] for name in ("loss", "mse_loss", "mae_loss")],
        [0.5 * mse + 2 * mae, mse, mae],
        rtol=1e-5,
    )


def test_several_losses_on_one_of_two_outputs():
    x, a, b = heads_data()
    model, _ = twins(two_heads())
    model.compile("sgd", loss={"a": ["mse", "mae"], "b": SPARSE})
    values = model.evaluate(x, [a, b], return_dict=True, verbose=0)
    parts = [values[name] for name in ("a_mse_loss", "a_mae_loss", "b_loss")]
    np.testing.assert_allclose(values["loss"], sum(parts), rtol=1e-5)


def test_one_output_by_name():
    def build(library):
        x = library.Input((3,))
        return library.Model(x, library.layers.Dense(1, name="out")(x))

    arguments = {"loss": {"out": "mse"}, "metrics": {"out": ["mae", "mse"]}}
    fit_both(build, lambda k: arguments, *regression())
    model = dense()(staghorn)  # Sequential too, where keras knows no output names
    model.compile("sgd", **arguments)
    assert list(model.fit(*regression(), verbose=0).history) == ["loss", "mae", "mse"]


def test_compile_again_forgets_the_metrics():
    """Keras keeps the old metrics where the second call gives none."""
    x, y = regression()
    model = dense()(staghorn)
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(x, y, verbose=0)
    model.compile("adam", "mae")
    assert list(model.fit(x, y, verbose=0).history) == ["loss"]
    assert int(model.optimizer.iterations) == 1


def traced_if(y_true, y_pred):
    return y_true if (y_true > y_pred).any() else y_pred


def numpy_log(y_true, y_pred):
    return np.log(y_pred) - y_true


def nothing(y_true, y_pred):
    del y_true, y_pred


def one_argument(y_pred):
    return y_pred


FAULTS = {
    traced_if: (ValueError, "{} 'traced_if' uses NumPy or a Python `if`.*staghorn.ops"),
    numpy_log: (ValueError, "{} 'numpy_log' uses NumPy or a Python `if`"),
    nothing: (ValueError, "{} 'nothing' returned None: add a return"),
    one_argument: (TypeError, r"{} 'one_argument' must take \(y_true, y_pred\), .*\(y_pred\)"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["Loss", "Metric"])
def test_a_faulty_function_is_named(kind, fault):
    model = dense()(staghorn)
    metrics = [fault] if kind == "Metric" else None
    model.compile("sgd", fault if kind == "Loss" else "mse", metrics=metrics)
    error, message = FAULTS[fault]
    with pytest.raises(error, match=f"(?s){message.format(kind)}"):
        model.fit(*regression(), verbose=0)


def test_a_metric_that_keeps_an_array():
    class Keeps(staghorn.metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            self.kept = staghorn.ops.mean(y_true)

        def result(self):
            return self.kept

    model = dense()(staghorn)
    model.compile("sgd", "mse", metrics=[Keeps()])
    with pytest.raises(ValueError, match=r"self\.add_weight"):
        model.fit(*regression(), verbose=0)


@pytest.mark.parametrize("weights", [["mae"], "mae", {"out": "mae"}])
def test_metrics_in_the_place_of_loss_weights(weights):
    with pytest.raises(ValueError, match=r"loss_weights must be numbers, got 'mae'.*metrics="):
        dense()(staghorn).compile("adam", "mse", weights)
