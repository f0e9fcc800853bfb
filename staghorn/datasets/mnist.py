"""MNIST: handwritten digits."""

from staghorn.datasets.files import Split, fetch, read_npz


def load_data(path: str = "mnist.npz") -> Split:
    """Return 60,000 images of handwritten digits to train on and 10,000 to test on.

    x: (n, 28, 28), uint8; y: (n,), uint8, the digit.

    Args:
        path: name in the cache, or the path of a file that is somewhere else. Default:
            "mnist.npz".

    Returns:
        `(x_train, y_train), (x_test, y_test)`.

    Raises:
        DownloadError: it is not in the cache and cannot be downloaded.

    Example:
        >>> (x, y), (x_test, y_test) = staghorn.datasets.mnist.load_data()  # doctest: +SKIP
        >>> x.shape                                                         # doctest: +SKIP
        (60000, 28, 28)

    Reference: LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/
    """
    names = ("x_train", "y_train", "x_test", "y_test")
    x_train, y_train, x_test, y_test = read_npz(fetch("mnist.npz", path), *names)
    return (x_train, y_train), (x_test, y_test)
