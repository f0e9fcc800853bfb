"""The tables that scikit-learn brings along: no download."""

from typing import Any


def bundled(name: str) -> Any:
    """Return one of scikit-learn's tables, with its arrays and names.

    Args:
        name: of the table, such as "iris".

    Raises:
        ImportError: scikit-learn is not installed.

    Example:
        >>> from staghorn.datasets.bundled import bundled
        >>> bundled("iris").data.shape
        (150, 4)
    """
    try:
        from sklearn import datasets
    except ModuleNotFoundError as error:
        raise ImportError(
            f"datasets.{name} is read from scikit-learn, which brings it along and is not "
            "installed. Install it with\n  pip install 'staghorn[demo]'"
        ) from error
    return getattr(datasets, f"load_{name}")()
