"""Wine: three growers by what is in their wine."""

from staghorn.datasets.bundled import bundled
from staghorn.datasets.files import Split, shuffled_split


def load_data(test_split: float = 0.2, seed: int | None = 113) -> Split:
    """Return the analyses of 178 wines of three growers, a part of them to test on.

    x: (n, 13), float32; y: (n,), int64, the grower.

    Args:
        test_split: part of the rows to test on. Default: 0.2.
        seed: for the order of the rows. Default: 113.

    Returns:
        `(x_train, y_train), (x_test, y_test)`.

    Raises:
        ImportError: scikit-learn, which brings the table, is not installed.
        ValueError: `test_split` is not in [0, 1).

    Example:
        >>> (x, y), (x_test, y_test) = staghorn.datasets.wine.load_data()
        >>> x.shape, x_test.shape
        ((142, 13), (36, 13))

    Reference: Aeberhard and Forina, 1992, https://doi.org/10.24432/C5PC7J
    """
    table = bundled("wine")
    x, y = table.data.astype("float32"), table.target.astype("int64")
    return shuffled_split(x, y, test_split, seed)


def feature_names() -> list[str]:
    """Return the names of the columns of x.

    Example:
        >>> staghorn.datasets.wine.feature_names()[0]
        'alcohol'
    """
    return [str(name) for name in bundled("wine").feature_names]


def target_names() -> list[str]:
    """Return the names of the classes, in the order of their numbers.

    Example:
        >>> staghorn.datasets.wine.target_names()[0]
        'class_0'
    """
    return [str(name) for name in bundled("wine").target_names]
