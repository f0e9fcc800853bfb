"""Models as scikit-learn estimators: `keras.wrappers`. Needs scikit-learn."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from staghorn.wrappers.scikit_learn import SKLearnClassifier as SKLearnClassifier
    from staghorn.wrappers.scikit_learn import SKLearnRegressor as SKLearnRegressor
    from staghorn.wrappers.scikit_learn import SKLearnTransformer as SKLearnTransformer

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in __all__:
            from staghorn.wrappers import scikit_learn

            return getattr(scikit_learn, name)
        from staghorn.engine.registry import missing_names

        return missing_names(__name__, __all__)(name)


def __dir__() -> list[str]:
    return list(__all__)
