"""California housing: what houses cost, by block of the census of 1990."""

from staghorn.datasets.files import Split, fetch, read_npz, shuffled_split


def load_data(
    version: str = "large",
    path: str = "california_housing.npz",
    test_split: float = 0.2,
    seed: int | None = 113,
) -> Split:
    """Return 20,640 blocks of the census of 1990, a part of them to test on.

    x: (n, 8), float32: median income, age of houses, rooms and bedrooms per household,
    inhabitants, inhabitants per household, latitude, longitude;
    y: (n,), float32, the median price of houses in dollars.

    Args:
        version: "large", or "small" for the first 600 blocks. Default: "large".
        path: name in the cache, or the path of a file that is somewhere else. Default:
            "california_housing.npz".
        test_split: part of the rows to test on. Default: 0.2.
        seed: for the order of the rows. Default: 113.

    Returns:
        `(x_train, y_train), (x_test, y_test)`.

    Raises:
        DownloadError: it is not in the cache and cannot be downloaded.
        ValueError: another `version`, or `test_split` is not in [0, 1).

    Example:
        >>> (x, y), _ = staghorn.datasets.california_housing.load_data("small")  # doctest: +SKIP
        >>> x.shape                                                              # doctest: +SKIP
        (480, 8)

    Reference: Pace and Barry, 1997, https://doi.org/10.1016/S0167-7152(96)00140-X
    """
    if version not in ("small", "large"):
        raise ValueError(
            f"california_housing.load_data: version must be 'small' or 'large', got {version!r}."
        )
    x, y = read_npz(fetch("california_housing.npz", path), "x", "y")
    rows = slice(600 if version == "small" else None)
    return shuffled_split(x[rows], y[rows], test_split, seed)
