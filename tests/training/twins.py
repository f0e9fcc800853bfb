"""The same model in both libraries, with the same weights, trained side by side."""

import numpy as np

import staghorn
from tests.oracle import keras


def twins(build, seed=0):
    """Build a model with each library; both start from the same random weights.

    `build(library)` returns a built model. Returns (ours, keras's).
    """
    keras.utils.set_random_seed(seed)
    ours, theirs = build(staghorn), build(keras)
    rng = np.random.default_rng(seed)
    weights = [
        w + (0.4 * rng.normal(size=w.shape)).astype("float32") for w in values(theirs)
    ]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def values(model):
    """Weights as arrays; keras's own get_weights warns under NumPy 2."""
    return [np.array(w.value) for w in model.weights]


def assert_close(ours, theirs, what="value", rtol=2e-5, atol=2e-6):
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=what)


def assert_weights(ours, theirs, rtol=2e-5, atol=2e-6):
    pairs = zip(values(ours), values(theirs), strict=True)
    for i, (a, b) in enumerate(pairs):
        assert_close(a, b, f"weight {i}", rtol, atol)


def assert_history(ours, theirs, rtol=2e-5, atol=2e-6):
    """Two History objects: the same names in the same order, the same values and epochs."""
    assert list(ours.history) == list(theirs.history), f"keras: {list(theirs.history)}"
    assert ours.epoch == theirs.epoch
    assert ours.params == theirs.params
    for name, values in theirs.history.items():
        assert_close(ours.history[name], values, name, rtol, atol)


def dense(inputs=3, outputs=1, activation=None):
    """A builder of a small two-layer network."""

    def build(library):
        return library.Sequential(
            [
                library.Input((inputs,)),
                library.layers.Dense(4, activation="tanh"),
                library.layers.Dense(outputs, activation=activation, name="out"),
            ]
        )

    return build


def two_heads(struct="list"):
    """A builder of a model with two inputs, a shared layer and two outputs, "a" and "b"."""

    def build(library):
        left, right = library.Input((3,), name="left"), library.Input((3,), name="right")
        shared = library.layers.Dense(4, activation="tanh", name="shared")
        hidden = library.layers.Concatenate()([shared(left), shared(right)])
        a = library.layers.Dense(1, name="a")(hidden)
        b = library.layers.Dense(3, activation="softmax", name="b")(hidden)
        outputs = {"list": [a, b], "dict": {"b": b, "a": a}, "reversed": [b, a]}[struct]
        return library.Model([left, right], outputs)

    return build


def regression(rows=20, inputs=3, outputs=1, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, inputs)).astype("float32")
    y = rng.normal(size=(rows, outputs)).astype("float32")
    return x, y


def heads_data(rows=20, seed=2):
    """([left, right], y for "a", classes for "b")."""
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=(rows, 3)).astype("float32") for _ in range(2)]
    return x, rng.normal(size=(rows, 1)).astype("float32"), rng.integers(0, 3, size=rows)


def fit_both(build, compile_with, x, y, fit_with=None, evaluate_with=None):
    """Compile, fit and evaluate with both libraries and compare everything.

    `compile_with(library)` returns the arguments of `compile`, made anew for each library.
    """
    ours, theirs = twins(build)
    fit_with = {"epochs": 2, "batch_size": 10, "shuffle": False, "verbose": 0, **(fit_with or {})}
    evaluate_with = {"batch_size": 10, "verbose": 0, **(evaluate_with or {})}
    histories, results = [], []
    for model, library in ((ours, staghorn), (theirs, keras)):
        model.compile(**{"optimizer": "sgd", **compile_with(library)})
        histories.append(model.fit(x, y, **fit_with))
        results.append(
            [
                model.evaluate(x, y, **evaluate_with),
                model.evaluate(x, y, return_dict=True, **evaluate_with),
            ]
        )
    assert_history(*histories)
    assert_weights(ours, theirs)
    (flat, named), (their_flat, their_named) = results
    # With two metrics of one name keras lists a value twice; its dict is right.
    if np.size(their_flat) == len(their_named):
        assert_close(flat, their_flat, "evaluate")
    assert list(named) == list(their_named)
    assert_close(list(named.values()), list(their_named.values()), "evaluate, by name")
    # What keras does not promise: names in the order of the list.
    listed = [flat] if not isinstance(flat, list) else flat
    assert dict(zip(ours.metrics_names, listed, strict=True)) == named
    return ours, theirs, histories


def leaves(nest):
    if isinstance(nest, dict):
        return [leaf for key in sorted(nest) for leaf in leaves(nest[key])]
    return [x for item in nest for x in leaves(item)] if isinstance(nest, (list, tuple)) else [nest]
