"""Iris: three kinds of irises by the sizes of their leaves."""

from staghorn.datasets.bundled import bundled
from staghorn.datasets.files import Split, shuffled_split


def load_data(test_split: float = 0.2, seed: int | None = 113) -> Split:
    """Return the measures of 150 irises of three kinds, a part of them to test on.

    x: (n, 4), float32, in centimetres; y: (n,), int64, the kind.

    Args:
        test_split: part of the rows to test on. Default: 0.2.
        seed: for the order of the rows. Default: 113.

    Returns:
        `(x_train, y_train), (x_test, y_test)`.

    Raises:
        ImportError: scikit-learn, which brings the table, is not installed.
        ValueError: `test_split` is not in [0, 1).

    Example:
        >>> (x, y), (x_test, y_test) = staghorn.datasets.iris.load_data()
        >>> x.shape, x_test.shape
        ((120, 4), (30, 4))

    Reference: Fisher, 1936, https://doi.org/10.1111/j.1469-1809.1936.tb02137.x
    """
    table = bundled("iris")
    x, y = table.data.astype("float32"), table.target.astype("int64")
    return shuffled_split(x, y, test_split, seed)


def feature_names() -> list[str]:
    """Return the names of the columns of x.

    Example:
        >>> staghorn.datasets.iris.feature_names()[0]
        'sepal length (cm)'
    """
    return [str(name) for name in bundled("iris").feature_names]


def target_names() -> list[str]:
    """Return the names of the classes, in the order of their numbers.

    Example:
        >>> staghorn.datasets.iris.target_names()[0]
        'setosa'
    """
    return [str(name) for name in bundled("iris").target_names]
