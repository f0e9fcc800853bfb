"""Models in scikit-learn's hands: pipelines, grid searches, clones, and Keras 2's two wrappers."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import staghorn
from staghorn import layers
from staghorn.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer
from staghorn.wrappers.scikit_learn import KerasClassifier, KerasRegressor


@pytest.fixture(autouse=True)
def seeded():
    staghorn.utils.set_random_seed(0)


@pytest.fixture
def flowers():
    """Three clouds of points, with words for labels."""
    rng = np.random.default_rng(0)
    index = np.arange(150) % 3
    X = rng.normal(size=(150, 4)) + 3 * np.eye(3, 4)[index]
    return X, np.array(["setosa", "versicolor", "virginica"])[index]


def network(X, y, units=8, loss="categorical_crossentropy", last="softmax"):
    outputs = y.shape[1] if y.ndim > 1 else 1
    model = staghorn.Sequential([layers.Dense(units, "relu"), layers.Dense(outputs, last)])
    model.compile(staghorn.optimizers.Adam(0.05), loss)
    return model


def compiled(outputs=1, last=None, loss="mse"):
    model = staghorn.Sequential([layers.Input((4,)), layers.Dense(outputs, last)])
    model.compile("adam", loss)
    return model


def test_a_classifier_learns_in_a_pipeline_under_cross_validation(flowers):
    X, y = flowers
    classifier = SKLearnClassifier(network, fit_kwargs={"epochs": 15, "verbose": 0})
    scores = cross_val_score(make_pipeline(StandardScaler(), classifier), X, y, cv=3)
    assert scores.min() > 0.85
    classifier.fit(X, y)
    assert classifier.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    np.testing.assert_allclose(classifier.predict_proba(X).sum(axis=1), 1, rtol=1e-5)
    assert len(classifier.history_.history["loss"]) == 15


def test_a_search_sets_arguments_of_the_function(flowers):
    X, y = flowers
    search = GridSearchCV(
        SKLearnClassifier(network, fit_kwargs={"epochs": 3, "verbose": 0}),
        {"model_kwargs": [{"units": 2}, {"units": 16}]},
        cv=2,
    ).fit(X, y)
    assert (
        search.best_estimator_.model_.layers[0].units
        == search.best_params_["model_kwargs"]["units"]
    )


def test_a_regressor_answers_in_the_shape_of_its_target(flowers):
    X, _ = flowers
    regressor = SKLearnRegressor(network, model_kwargs={"loss": "mse", "last": None})
    one = regressor.fit(X, X.sum(axis=1), epochs=30, verbose=0)
    assert one.predict(X).shape == (150,)
    assert one.score(X, X.sum(axis=1)) > 0.8
    assert clone(regressor).fit(X, X[:, :2], verbose=0).predict(X).shape == (150, 2)


def test_a_transformer_hands_on_the_models_output(flowers):
    X, y = flowers
    step = SKLearnTransformer(compiled(2), fit_kwargs={"verbose": 0})
    target = X[:, :2]
    assert make_pipeline(step).fit(X, target).transform(X).shape == (150, 2)
    model = LogisticRegression().fit(step.fit(X, target).transform(X), y)
    assert model.score(step.transform(X), y) > 0.4


def test_a_given_model_is_cloned_and_stays_as_it_was(flowers):
    X, y = flowers
    model = compiled(3, "softmax", "categorical_crossentropy")
    before = model.get_weights()
    classifier = SKLearnClassifier(model).fit(X, y, epochs=2, verbose=0)
    assert classifier.model_ is not model
    assert classifier.model_.optimizer is not model.optimizer
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_warm_start_goes_on_and_a_cold_fit_begins_again(flowers):
    X, y = flowers
    for warm in (True, False):
        classifier = SKLearnClassifier(network, warm_start=warm).fit(X, y, verbose=0)
        first = classifier.model_
        assert (classifier.fit(X, y, verbose=0).model_ is first) == warm


def test_clones_keep_every_argument():
    first = SKLearnRegressor(network, True, {"loss": "mse"}, {"epochs": 4})
    second = clone(first)
    assert second is not first
    assert second.get_params() == first.get_params()
    wrapped = KerasClassifier(build_fn=small, units=3, epochs=2)
    assert clone(wrapped).get_params() == wrapped.get_params()


def not_compiled(X, y):
    SKLearnRegressor(lambda X, y: staghorn.Sequential([layers.Dense(1)])).fit(X, y)


def one_class(X, y):
    SKLearnClassifier(network).fit(X, np.zeros(150, int))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (not_compiled, RuntimeError, "model.compile"),
        (one_class, ValueError, "one class"),
        (lambda X, y: SKLearnClassifier(network).fit(X, y), ValueError, "continuous"),
        (lambda X, y: SKLearnClassifier(network).predict(X), ValueError, "not fitted"),
        (lambda X, y: KerasClassifier(small, unit=3), ValueError, "unit is not a legal"),
    ],
)
def test_mistakes_are_answered(make, error, words):
    with pytest.raises(error, match=words):
        make(np.random.rand(150, 4), np.random.rand(150))


def small(units=8, loss="categorical_crossentropy", outputs=3):
    model = staghorn.Sequential([layers.Dense(units, "relu")])
    model.add(layers.Dense(outputs, "softmax" if outputs > 1 else "sigmoid"))
    model.compile(staghorn.optimizers.Adam(0.05), loss, metrics=["accuracy"])
    return model


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_the_old_classifier_takes_words_for_labels(flowers, loss):
    X, y = flowers
    classifier = KerasClassifier(build_fn=small, loss=loss, epochs=15, batch_size=16, verbose=0)
    history = classifier.fit(X, y)
    assert len(history.history["loss"]) == 15
    assert classifier.score(X, y) > 0.85
    assert np.mean(classifier.predict(X) == y) == pytest.approx(classifier.score(X, y))
    scores = cross_val_score(classifier, X, y, cv=2)
    assert scores.min() > 0.6


def test_the_old_classifier_with_one_output_and_a_grid(flowers):
    X, y = flowers
    y = (y == "setosa").astype(int)
    classifier = KerasClassifier(small, outputs=1, loss="binary_crossentropy", verbose=0)
    grid = GridSearchCV(classifier, {"epochs": [1, 12], "units": [8]}, cv=2).fit(X, y)
    assert grid.best_params_["epochs"] == 12
    best = grid.best_estimator_
    assert best.predict(X).shape == (150, 1)
    np.testing.assert_allclose(best.predict_proba(X).sum(axis=1), 1, rtol=1e-6)


def test_the_old_regressor_scores_by_its_loss(flowers):
    X, _ = flowers
    regressor = KerasRegressor(build_fn=compiled, epochs=3, verbose=0)
    regressor.fit(X, X.sum(axis=1))
    prediction = regressor.predict(X)
    assert prediction.shape == (150,)
    expected = -np.mean((prediction - X.sum(axis=1)) ** 2)
    assert regressor.score(X, X.sum(axis=1)) == pytest.approx(expected, rel=1e-4)
