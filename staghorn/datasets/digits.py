"""Digits: small handwritten digits."""

from staghorn.datasets.bundled import bundled
from staghorn.datasets.files import Split, shuffled_split


def load_data(test_split: float = 0.2, seed: int | None = 113) -> Split:
    """Return 1,797 small images of handwritten digits, a part of them to test on.

    x: (n, 8, 8), uint8, from 0 to 16; y: (n,), uint8, the digit.

    Args:
        test_split: part of the rows to test on. Default: 0.2.
        seed: for the order of the rows. Default: 113.

    Returns:
        `(x_train, y_train), (x_test, y_test)`.

    Raises:
        ImportError: scikit-learn, which brings the images, is not installed.
        ValueError: `test_split` is not in [0, 1).

    Example:
        >>> (x, y), (x_test, y_test) = staghorn.datasets.digits.load_data()
        >>> x.shape, x_test.shape
        ((1437, 8, 8), (360, 8, 8))

    Reference: Alpaydin and Kaynak, 1998, https://doi.org/10.24432/C50P49
    """
    table = bundled("digits")
    x, y = table.images.astype("uint8"), table.target.astype("uint8")
    return shuffled_split(x, y, test_split, seed)
