"""Boston housing: what houses cost, by district."""

from staghorn.datasets.files import Split, fetch, read_npz, shuffled_split


def load_data(
    path: str = "boston_housing.npz", test_split: float = 0.2, seed: int | None = 113
) -> Split:
    """Return 506 districts of Boston in the 1970s, a part of them to test on.

    x: (n, 13), float64; y: (n,), float64, the median price of houses in thousands of dollars.

    Args:
        path: name in the cache, or the path of a file that is somewhere else. Default:
            "boston_housing.npz".
        test_split: part of the rows to test on. Default: 0.2.
        seed: for the order of the rows. Default: 113.

    Returns:
        `(x_train, y_train), (x_test, y_test)`.

    Raises:
        DownloadError: it is not in the cache and cannot be downloaded.
        ValueError: `test_split` is not in [0, 1).

    Example:
        >>> (x, y), _ = staghorn.datasets.boston_housing.load_data()  # doctest: +SKIP
        >>> x.shape                                                   # doctest: +SKIP
        (404, 13)

    Notes: one column ("B") was made on the belief that people's skin colour sets prices. For
    anything but the study of such mistakes take `california_housing`.

    Reference: Harrison and Rubinfeld, 1978
    """
    x, y = read_npz(fetch("boston_housing.npz", path), "x", "y")
    return shuffled_split(x, y, test_split, seed)
