"""Models as scikit-learn estimators, and the two wrappers of Keras 1 and 2."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from staghorn.engine.serialization import custom_object_scope
from staghorn.models import Model, clone_model
from staghorn.optimizers.optax_optimizer import transformations

try:
    from sklearn.base import (
        BaseEstimator,
        ClassifierMixin,
        RegressorMixin,
        TransformerMixin,
    )
    from sklearn.utils.multiclass import type_of_target
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "staghorn.wrappers makes scikit-learn estimators and needs scikit-learn 1.6 or newer:\n"
        "  pip install scikit-learn"
    ) from error

FIT_ARGUMENTS = frozenset(inspect.signature(Model.fit).parameters) - {"self", "x", "y"}
FIT_ARGUMENTS |= {"nb_epoch"}
PREDICT_ARGUMENTS = frozenset(inspect.signature(Model.predict).parameters) - {"self", "x"}
EVALUATE_ARGUMENTS = frozenset(inspect.signature(Model.evaluate).parameters) - {"self", "x", "y"}


class SKLearnWrapper(BaseEstimator):
    """A model that fits as a scikit-learn estimator does: each `fit` trains a new one.

    Args:
        model: a compiled model, which is cloned before it is fitted, or a function
            `(X, y, **model_kwargs)` that returns one.
        warm_start: go on with the weights of the `fit` before. Default: False.
        model_kwargs: arguments for the function. Default: None.
        fit_kwargs: arguments for `model.fit`; those given to `fit` win. Default: None.
    """

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        return tags

    def __sklearn_clone__(self) -> SKLearnWrapper:
        arguments = self.get_params(deep=False)
        # scikit-learn copies deeply; a model is copied by its config and weights.
        return type(self)(**{name: copy.deepcopy(value) for name, value in arguments.items()})

    def _new_model(self, X: Any, y: Any) -> Model:
        if self.warm_start and hasattr(self, "model_"):
            return self.model_
        if isinstance(self.model, Model):
            model = self.model if self.warm_start else _clone(self.model)
        else:
            model = self.model(X=X, y=y, **(self.model_kwargs or {}))
        if getattr(model, "optimizer", None) is None:
            raise RuntimeError(
                f"{type(self).__name__}: the model is not compiled. Call `model.compile(loss=..., "
                "optimizer=...)` before it is wrapped, or inside the function that makes it."
            )
        return model

    def fit(self, X: Any, y: Any, **kwargs: Any) -> SKLearnWrapper:
        """Train the model on `X` (n, features) and `y`; further arguments go to `model.fit`."""
        X, y = validate_data(self, X, y, multi_output=True)
        target = self._encode(y)
        model = self._new_model(X, target)
        self.history_ = model.fit(X, target, **{**(self.fit_kwargs or {}), **kwargs})
        self.model_ = model
        return self

    def _raw(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "model_")
        return self.model_.predict(validate_data(self, X, reset=False), verbose=0)

    def _encode(self, y: np.ndarray) -> np.ndarray:
        self._one_dimensional = y.ndim == 1
        return y[:, None] if y.ndim == 1 else y


def _clone(model: Model) -> Model:
    """Return a new model with the same layers, new weights and the same compile arguments."""
    new = clone_model(model)
    if model.compiled:
        with custom_object_scope(transformations(model.optimizer)):
            new.compile_from_config(model.get_compile_config())
    return new


class SKLearnClassifier(ClassifierMixin, SKLearnWrapper):
    """A classifier for scikit-learn: pipelines, grid searches, cross validation.

    Shapes: `X` (n, features), `y` (n,) with any labels; the model is trained on one-hot rows.

    Args:
        model: a compiled model, cloned before it is fitted, or a function `(X, y,
            **model_kwargs)` that returns one; it gets `y` as one-hot rows.
        warm_start: go on with the weights of the `fit` before. Default: False.
        model_kwargs: arguments for the function. Default: None.
        fit_kwargs: arguments for `model.fit`. Default: None.

    Attributes:
        model_, history_: the trained model and its History.
        classes_: the labels, sorted.

    Raises:
        RuntimeError: the model is not compiled.
        ValueError: one class only, or a target that is neither binary nor multiclass.

    Example:
        >>> def network(X, y):
        ...     model = staghorn.Sequential([staghorn.layers.Dense(y.shape[1], "softmax")])
        ...     model.compile("adam", "categorical_crossentropy")
        ...     return model
        >>> X, y = np.random.rand(40, 3), np.array(["a", "b"] * 20)
        >>> classifier = staghorn.wrappers.SKLearnClassifier(network)
        >>> classifier.fit(X, y, epochs=2, verbose=0).predict(X).shape
        (40,)

    Notes:
        `warm_start` works, and a clone keeps `fit_kwargs`. `predict_proba` is beyond Keras.

    Reference: https://scikit-learn.org/stable/developers/develop.html
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def _encode(self, y: np.ndarray) -> np.ndarray:
        kind = type_of_target(y)
        if kind not in ("binary", "multiclass"):
            raise ValueError(
                "SKLearnClassifier: y must hold one label per row (binary or multiclass), "
                f"got {kind!r} of shape {y.shape}."
            )
        self.classes_, index = np.unique(y, return_inverse=True)
        if len(self.classes_) == 1:
            raise ValueError(
                f"Classifier can't train when only one class is present: {self.classes_[0]!r}."
            )
        self._one_dimensional = y.ndim == 1
        return np.eye(len(self.classes_))[index.reshape(-1)]

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each row."""
        best = np.argmax(self._raw(X), axis=-1)
        labels = self.classes_[best]
        return labels if self._one_dimensional else labels[:, None]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the model's output (n, classes): probabilities if it ends in a softmax."""
        return self._raw(X)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the model's output as it is."""
        return self._raw(X)


class SKLearnRegressor(RegressorMixin, SKLearnWrapper):
    """A regressor for scikit-learn: pipelines, grid searches, cross validation.

    Shapes: `X` (n, features), `y` (n,) or (n, outputs); `predict` answers in `y`'s shape.

    Args:
        model: a compiled model, cloned before it is fitted, or a function `(X, y,
            **model_kwargs)` that returns one.
        warm_start: go on with the weights of the `fit` before. Default: False.
        model_kwargs: arguments for the function. Default: None.
        fit_kwargs: arguments for `model.fit`. Default: None.

    Attributes:
        model_, history_: the trained model and its History.

    Raises:
        RuntimeError: the model is not compiled.

    Example:
        >>> model = staghorn.Sequential([staghorn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> X = np.random.rand(40, 3)
        >>> regressor = staghorn.wrappers.SKLearnRegressor(model)
        >>> regressor.fit(X, X.sum(axis=1), epochs=2, verbose=0).predict(X).shape
        (40,)

    Notes: `warm_start` works, and a clone keeps `fit_kwargs`.
    Reference: https://scikit-learn.org/stable/developers/develop.html
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags

    def predict(self, X: Any) -> np.ndarray:
        """Return the model's output, as (n,) where `y` was (n,)."""
        output = self._raw(X)
        return output[:, 0] if self._one_dimensional and output.ndim == 2 else output


class SKLearnTransformer(TransformerMixin, SKLearnWrapper):
    """A step of a scikit-learn pipeline: the model's output is the next step's input.

    Shapes: `X` (n, features) → the model's output.

    Args:
        model: a compiled model, cloned before it is fitted, or a function `(X, y,
            **model_kwargs)` that returns one.
        warm_start: go on with the weights of the `fit` before. Default: False.
        model_kwargs: arguments for the function. Default: None.
        fit_kwargs: arguments for `model.fit`. Default: None.

    Attributes:
        model_, history_: the trained model and its History.

    Raises:
        RuntimeError: the model is not compiled.

    Example:
        >>> model = staghorn.Sequential([staghorn.layers.Dense(2)])
        >>> model.compile("sgd", "mse")
        >>> X = np.random.rand(40, 3)
        >>> step = staghorn.wrappers.SKLearnTransformer(model)
        >>> step.fit(X, X[:, :2], verbose=0).transform(X).shape
        (40, 2)

    Reference: https://scikit-learn.org/stable/developers/develop.html
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def transform(self, X: Any) -> np.ndarray:
        """Return the model's output for `X`."""
        return self._raw(X)


class _BuildFunction(BaseEstimator):
    """What Keras 1 and 2 wrapped: a function that builds, and arguments for it and for `fit`."""

    def __init__(self, build_fn: Callable[..., Model] | None = None, **sk_params: Any) -> None:
        self.build_fn = build_fn
        self.sk_params = sk_params
        known = frozenset(inspect.signature(self._builder()).parameters)
        for name in sk_params:
            if name not in known | FIT_ARGUMENTS | PREDICT_ARGUMENTS:
                raise ValueError(f"{name} is not a legal parameter: neither of fit nor of build_fn")

    def _builder(self) -> Callable[..., Model]:
        return self.build_fn if self.build_fn is not None else self.__call__

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {**self.sk_params, "build_fn": self.build_fn}

    def set_params(self, **params: Any) -> _BuildFunction:
        self.build_fn = params.pop("build_fn", self.build_fn)
        self.sk_params |= params
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model")

    def _chosen(self, names: frozenset[str], given: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in self.sk_params.items() if k in names} | given

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Build a model, train it, and return its History, as Keras 2 did."""
        build = self._builder()
        self.model = build(**self._chosen(frozenset(inspect.signature(build).parameters), {}))
        self.history = self.model.fit(x, self._target(y), **self._chosen(FIT_ARGUMENTS, kwargs))
        return self.history

    def _target(self, y: Any) -> Any:
        return y

    def _predicted(self, x: Any, given: dict[str, Any]) -> np.ndarray:
        return self.model.predict(x, **self._chosen(PREDICT_ARGUMENTS, given))

    def _evaluated(self, x: Any, y: Any, given: dict[str, Any]) -> dict[str, float]:
        arguments = self._chosen(EVALUATE_ARGUMENTS, given)
        return self.model.evaluate(x, y, **{**arguments, "return_dict": True})


class KerasClassifier(ClassifierMixin, _BuildFunction):
    """`keras.wrappers.scikit_learn.KerasClassifier` of Keras 1 and 2; today: `SKLearnClassifier`.

    Args:
        build_fn: a function that returns a compiled model.
        **sk_params: arguments for it, and for `fit` (`epochs`, `batch_size`, `verbose`, ...).

    Example:
        >>> from staghorn.wrappers.scikit_learn import KerasClassifier
        >>> def build(units=4):
        ...     layers = staghorn.layers
        ...     model = staghorn.Sequential([layers.Dense(units), layers.Dense(1, "sigmoid")])
        ...     model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        ...     return model
        >>> classifier = KerasClassifier(build_fn=build, units=3, epochs=2, verbose=0)
        >>> X, y = np.random.rand(20, 2), np.array([0, 1] * 10)
        >>> _ = classifier.fit(X, y)
        >>> classifier.predict_proba(X).shape, 0 <= classifier.score(X, y) <= 1
        ((20, 2), True)

    Reference: Keras 2.2, `keras/wrappers/scikit_learn.py`.
    """

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Train on labels (n,) of any kind, or on one-hot rows (n, classes)."""
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] > 1:
            self.classes_ = np.arange(y.shape[1])
        else:
            self.classes_ = np.unique(y)
        return super().fit(x, y, **kwargs)

    def _target(self, y: np.ndarray) -> np.ndarray:
        """Turn labels into places among `classes_`, as one-hot rows if the loss wants them."""
        if y.ndim == 2 and y.shape[1] > 1:
            return y
        y = np.searchsorted(self.classes_, y)
        name = getattr(self.model.loss, "__name__", getattr(self.model.loss, "name", None))
        one_hot = "categorical_crossentropy" in (self.model.loss, name)
        return np.eye(len(self.classes_))[y.reshape(-1)] if one_hot else y

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Return the most probable label of each row."""
        output = self._predicted(x, kwargs)
        if output.shape[-1] > 1:
            return self.classes_[output.argmax(axis=-1)]
        return self.classes_[(output > 0.5).astype("int32")]

    def predict_proba(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Return probabilities (n, classes); one sigmoid output counts as two classes."""
        output = self._predicted(x, kwargs)
        return np.hstack([1 - output, output]) if output.shape[1] == 1 else output

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """Return the accuracy; the model must be compiled with it."""
        results = self._evaluated(x, self._target(np.asarray(y)), kwargs)
        for name in ("accuracy", "acc"):
            if name in results:
                return results[name]
        raise ValueError(
            "KerasClassifier.score needs the accuracy: write `model.compile(..., "
            "metrics=['accuracy'])` in build_fn."
        )


class KerasRegressor(RegressorMixin, _BuildFunction):
    """`keras.wrappers.scikit_learn.KerasRegressor` of Keras 1 and 2; today: `SKLearnRegressor`.

    Args:
        build_fn: a function that returns a compiled model.
        **sk_params: arguments for it, and for `fit` (`epochs`, `batch_size`, `verbose`, ...).

    Example:
        >>> from staghorn.wrappers.scikit_learn import KerasRegressor
        >>> def build():
        ...     model = staghorn.Sequential([staghorn.layers.Dense(1)])
        ...     model.compile("adam", "mse")
        ...     return model
        >>> regressor = KerasRegressor(build_fn=build, epochs=2, verbose=0)
        >>> X = np.random.rand(20, 2)
        >>> _ = regressor.fit(X, X.sum(axis=1))
        >>> regressor.predict(X).shape, regressor.score(X, X.sum(axis=1)) < 0
        ((20,), True)

    Reference: Keras 2.2, `keras/wrappers/scikit_learn.py`.
    """

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Return the model's output; (n,) where it has one number a row."""
        return np.squeeze(self._predicted(x, kwargs), axis=-1)

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """Return the loss with its sign turned: more is better, as scikit-learn wants it."""
        return -self._evaluated(x, y, kwargs)["loss"]
