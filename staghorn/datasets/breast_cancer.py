"""Breast cancer: benign or malignant, by the cells' shapes."""

from staghorn.datasets.bundled import bundled
from staghorn.datasets.files import Split, shuffled_split


def load_data(test_split: float = 0.2, seed: int | None = 113) -> Split:
    """Return the measures of 569 tumours, a part of them to test on.

    x: (n, 30), float32; y: (n,), int64: 0 malignant, 1 benign.

    Args:
        test_split: part of the rows to test on. Default: 0.2.
        seed: for the order of the rows. Default: 113.

    Returns:
        `(x_train, y_train), (x_test, y_test)`.

    Raises:
        ImportError: scikit-learn, which brings the table, is not installed.
        ValueError: `test_split` is not in [0, 1).

    Example:
        >>> (x, y), (x_test, y_test) = staghorn.datasets.breast_cancer.load_data()
        >>> x.shape, x_test.shape
        ((455, 30), (114, 30))

    Reference: Wolberg et al., 1995, https://doi.org/10.24432/C5DW2B
    """
    table = bundled("breast_cancer")
    x, y = table.data.astype("float32"), table.target.astype("int64")
    return shuffled_split(x, y, test_split, seed)


def feature_names() -> list[str]:
    """Return the names of the columns of x.

    Example:
        >>> staghorn.datasets.breast_cancer.feature_names()[0]
        'mean radius'
    """
    return [str(name) for name in bundled("breast_cancer").feature_names]


def target_names() -> list[str]:
    """Return the names of the classes, in the order of their numbers.

    Example:
        >>> staghorn.datasets.breast_cancer.target_names()[0]
        'malignant'
    """
    return [str(name) for name in bundled("breast_cancer").target_names]
