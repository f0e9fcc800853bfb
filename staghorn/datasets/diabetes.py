"""Diabetes: how the illness goes on, by blood values."""

from staghorn.datasets.bundled import bundled
from staghorn.datasets.files import Split, shuffled_split


def load_data(test_split: float = 0.2, seed: int | None = 113) -> Split:
    """Return the values of 442 patients, a part of them to test on.

    x: (n, 10), float32, each column with mean 0 and length 1;
    y: (n,), float32, how far the illness went on within a year.

    Args:
        test_split: part of the rows to test on. Default: 0.2.
        seed: for the order of the rows. Default: 113.

    Returns:
        `(x_train, y_train), (x_test, y_test)`.

    Raises:
        ImportError: scikit-learn, which brings the table, is not installed.
        ValueError: `test_split` is not in [0, 1).

    Example:
        >>> (x, y), (x_test, y_test) = staghorn.datasets.diabetes.load_data()
        >>> x.shape, x_test.shape
        ((353, 10), (89, 10))

    Reference: Efron et al., 2004, https://doi.org/10.1214/009053604000000067
    """
    table = bundled("diabetes")
    x, y = table.data.astype("float32"), table.target.astype("float32")
    return shuffled_split(x, y, test_split, seed)


def feature_names() -> list[str]:
    """Return the names of the columns of x.

    Example:
        >>> staghorn.datasets.diabetes.feature_names()[0]
        'age'
    """
    return [str(name) for name in bundled("diabetes").feature_names]
