"""Wrong data and wrong pairs of loss and activation, found before anything trains."""

import re
import warnings

import numpy as np
import pytest

import staghorn
from tests.oracle import keras
from tests.training.test_fit_arguments import SPARSE, dense, fit_both

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 3)).astype("float32")
CLASSES = RNG.integers(0, 3, 10)
HOT = np.eye(3, dtype="float32")[CLASSES]
SIGNS = np.where(CLASSES > 0, 1, -1)
NAN = X.copy()
NAN[4, 1] = np.nan
CATEGORICAL, BINARY = "categorical_crossentropy", "binary_crossentropy"
LOGITS = staghorn.losses.SparseCategoricalCrossentropy(from_logits=True)
BINARY_LOGITS = staghorn.losses.BinaryCrossentropy(from_logits=True)
L = staghorn.layers


def made(loss, units=3, activation=None, last=None):
    layers = [L.Dense(units, activation=activation, name="out")] + ([last] if last else [])
    model = staghorn.Sequential([staghorn.Input((3,)), *layers])
    model.compile("sgd", loss)
    return model


WARNINGS = {
    "softmax and logits": (
        (LOGITS, 3, "softmax"), X, CLASSES, "from_logits=True takes the values before the softmax"),
    "softmax layer and logits": (
        (LOGITS, 3, None, L.Softmax()), X, CLASSES, "before the softmax"),
    "sigmoid and logits": (
        (BINARY_LOGITS, 1, "sigmoid"), X, CLASSES > 0, "before the sigmoid"),
    "sigmoid activation layer and logits": (
        (BINARY_LOGITS, 1, None, L.Activation("sigmoid")), X, CLASSES > 0, "before the sigmoid"),
    "sigmoid and classes": (
        (SPARSE, 3, "sigmoid"), X, CLASSES, 'activation="softmax"; for several at once'),
    "sigmoid and one-hot rows": ((CATEGORICAL, 3, "sigmoid"), X, HOT, "add up to 1"),
    "signs": ((BINARY, 1, "sigmoid"), X, SIGNS, r"go from -1 to 1\. Write y = \(y \+ 1\) / 2"),
    "bytes": ((BINARY, 1, "sigmoid"), X, SIGNS % 256, r"from 1 to 255\. Divide them by 255"),
    "class numbers": ((BINARY, 1, "sigmoid"), X, CLASSES, "from 0 to 2. Use labels 0 and 1"),
    "fractions": ((SPARSE, 3, "softmax"), X, CLASSES * 0.5, 'fractions.*loss="mse"'),
    "inputs": (("mse", 1), NAN, X[:, 0], r"^fit: x holds NaN, in row 4 first.*isfinite\(x\)"),
    "targets": (("mse", 3), X, NAN, "output 'out': the targets hold values that are not finite"),
    "one column, three predictions": (("mae", 3), X, X[:, :1], "compared with all 3 predictions"),
}  # fmt: skip


@pytest.mark.parametrize("case", WARNINGS)
def test_what_keras_computes_warns(case):
    model, x, y, message = WARNINGS[case]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made(*model).fit(x, y, verbose=0)
    assert re.search(f"(?s){message}", str(caught[0].message))
    # A loss that becomes NaN for it is a second one.
    assert len(caught) == 1 + ("NaN" in message or "not finite" in message)
    assert caught[0].filename == __file__


ERRORS = {
    "one-hot rows for class numbers": (
        (SPARSE, 3, "softmax"), X, HOT, r"got one-hot targets.*categorical_crossentropy, or y"),
    "one target, three predictions": (
        ("mse", 3), X, X[:, 0], r"shape \(10,\) for predictions of width 3.*write Dense\(1\)"),
    "strings in a column": (
        (SPARSE, 3, "softmax"), X, np.array([["a"]] * 10), r"y holds str values.*return_inverse"),
    "empty validation": (("mse", 1), X, X[:, 0], "0 rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_what_has_no_meaning_raises(case):
    model, x, y, message = ERRORS[case]
    validation = (x[:0], y[:0]) if "validation" in case else None
    with pytest.raises(ValueError, match=f"(?s){message}"):
        made(*model).fit(x, y, verbose=0, validation_data=validation)


RIGHT = {
    "softmax": ((SPARSE, 3, "softmax"), CLASSES),
    "logits": ((LOGITS, 3), CLASSES),
    "a column": ((SPARSE, 3, "softmax"), CLASSES[:, None]),
    "floats that are whole": ((SPARSE, 3, "softmax"), CLASSES.astype("float32")),
    "one-hot": ((CATEGORICAL, 3, "softmax"), HOT),
    "several at once": ((BINARY, 3, "sigmoid"), HOT),
    "soft labels": ((BINARY, 1, "sigmoid"), (CLASSES > 0) * 0.9),
    "hinge": (("hinge", 1, "tanh"), SIGNS),
    "attention scores": (("mse", 3, "softmax"), HOT),
}


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right_says_nothing(case):
    model, y = RIGHT[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(*model).fit(X, y, verbose=0, validation_data=(X, y))


@pytest.mark.parametrize(
    "loss", ["binary_crossentrpy", ["binary_crossentrpy"], {"out": "binary_crossentrpy"}]
)
def test_unknown_losses_are_named_by_compile(loss):
    model = staghorn.Sequential([staghorn.Input((3,)), L.Dense(1, name="out")])
    with pytest.raises(ValueError, match="Did you mean 'binary_crossentropy'"):
        model.compile("sgd", loss)


@pytest.mark.parametrize("loss", ["crossentropy", {"class_name": "MeanSquaredError", "config": {}}])
def test_what_is_no_name_of_a_loss_compiles(loss):
    model = staghorn.Sequential([staghorn.Input((3,)), L.Dense(1, name="out")])
    model.compile("sgd", loss)
    assert model.loss == loss


# Class weights ------------------------------------------------------------------------------

SHARES = {0: 0.5, 2: 3.0}
FACTORS = np.array([0.5, 1.0, 3.0], "float32")


def heads(names=("a", "b")):
    staghorn.utils.set_random_seed(0)
    x = staghorn.Input((3,))
    outputs = {name: L.Dense(3, activation="softmax", name=name)(x) for name in names}
    model = staghorn.Model(x, list(outputs.values()))
    model.compile("sgd", dict.fromkeys(names, SPARSE))
    return model


def weights_of(model, y, **arguments):
    model.fit(X, y, batch_size=4, shuffle=False, epochs=2, verbose=0, **arguments)
    return model.get_weights()


@pytest.mark.parametrize("form", ["names", "list", "one"])
@pytest.mark.parametrize("targets", ["list", "dict", "generator"])
def test_class_weights_of_two_outputs(form, targets):
    """They are sample weights per output, which have their own tests against Keras."""
    a, b = CLASSES, CLASSES[::-1].copy()
    y = {"a": a, "b": b} if targets == "dict" else [a, b]
    given = {"names": {"a": SHARES, "b": {1: 2.0}}, "list": [SHARES, {1: 2.0}],
             "one": {"a": SHARES}}[form]  # fmt: skip
    ones = np.ones(10, "float32")
    other = ones if form == "one" else np.where(b == 1, 2.0, 1.0)
    wanted = weights_of(heads(), [a, b], sample_weight=[FACTORS[a], other])
    model = heads()
    if targets == "generator":
        parts = [(X[i : i + 4], [a[i : i + 4], b[i : i + 4]]) for i in (0, 4, 8)]
        model.fit(iter(parts * 2), steps_per_epoch=3, epochs=2, verbose=0, class_weight=given)
        got = model.get_weights()
    else:
        got = weights_of(model, y, class_weight=given)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (SHARES, r"2 outputs.*class_weight=\{'a': \{0: 1\.0, 1: 2\.0\}\}"),
        ({"a": SHARES, "bb": SHARES}, "no output 'bb'. Did you mean 'b'|no output 'bb'"),
        ([SHARES], "2 outputs"),
        ({"a": SHARES, "b": None, "c": None}, "no output 'c'.*Outputs: a, b"),
    ],
)
def test_class_weights_of_outputs_that_are_not_there(given, message):
    with pytest.raises(ValueError, match=message):
        heads().fit(X, [CLASSES, CLASSES], class_weight=given, verbose=0)


STEPS = RNG.normal(size=(10, 4, 3)).astype("float32")
TAGS = RNG.integers(0, 3, (10, 4))


def tagger(loss=SPARSE, library=staghorn):
    layers = [library.Input((4, 3)), library.layers.Dense(3, activation="softmax")]
    model = library.Sequential(layers)
    model.set_weights([np.eye(3, dtype="float32") * 0.1, np.zeros(3, "float32")])
    model.compile(library.optimizers.SGD(0.1), loss, weighted_metrics=["accuracy"])
    return model


@pytest.mark.parametrize("form", ["numbers", "column", "hot"])
def test_class_weights_of_sequences(form):
    """Each step has the weight of its class; Keras's sample weights per step say the same."""
    y = {"numbers": TAGS, "column": TAGS[..., None], "hot": np.eye(3, dtype="float32")[TAGS]}[form]
    loss = CATEGORICAL if form == "hot" else SPARSE
    common = {"batch_size": 4, "shuffle": False, "epochs": 2, "verbose": 0}
    ours, theirs = tagger(loss), tagger(loss, keras)
    got = ours.fit(STEPS, y, class_weight=SHARES, **common).history
    wanted = theirs.fit(STEPS, y, sample_weight=FACTORS[TAGS], **common).history
    for name, values in wanted.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_one_output_whose_target_is_in_a_dict():
    x = staghorn.Input((3,))
    model = staghorn.Model(x, {"a": L.Dense(3, activation="softmax", name="a")(x)})
    model.compile("sgd", SPARSE)
    model.fit(X, {"a": CLASSES}, class_weight=SHARES, verbose=0)
    assert np.isfinite(model.get_weights()[0]).all()


def test_one_weight_per_step_of_one_of_two_outputs_equals_keras():
    def make(library):
        x = library.Input((4, 3))
        outputs = [library.layers.Dense(3, activation="softmax", name=n)(x) for n in ("a", "b")]
        return library.Model(x, outputs)

    own, other = make(staghorn), make(keras)
    other.set_weights(own.get_weights())
    common = {"batch_size": 4, "shuffle": False, "epochs": 2, "verbose": 0}
    weight = [FACTORS[TAGS], np.linspace(0, 2, 10).astype("float32")[:, None]]
    for model in (own, other):
        model.compile("sgd", [SPARSE, SPARSE])
    got, wanted = (
        m.fit(STEPS, [TAGS, TAGS], sample_weight=weight, **common).history for m in (own, other)
    )
    for name, values in wanted.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5)


def test_class_weights_of_one_output_stay_keras():
    fit_both(
        dense(outputs=3, activation="softmax"), {"loss": SPARSE}, X, CLASSES, class_weight=SHARES
    )
