"""CIFAR-10: small colour images of ten kinds of things."""

import numpy as np

from staghorn.datasets.cifar import images, read_batches
from staghorn.datasets.files import Split


def load_data() -> Split:
    """Return 50,000 colour images of ten kinds of things to train on and 10,000 to test on.

    x: (n, 32, 32, 3), or (n, 3, 32, 32) where images are "channels_first", uint8;
    y: (n, 1), uint8: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse,
    8 ship, 9 truck.

    Returns:
        `(x_train, y_train), (x_test, y_test)`.

    Raises:
        DownloadError: it is not in the cache and cannot be downloaded.

    Example:
        >>> (x, y), (x_test, y_test) = staghorn.datasets.cifar10.load_data()  # doctest: +SKIP
        >>> x.shape, y.shape                                                  # doctest: +SKIP
        ((50000, 32, 32, 3), (50000, 1))

    Reference: Krizhevsky, 2009, https://www.cs.toronto.edu/~kriz/cifar.html
    """
    names = [f"data_batch_{i}" for i in range(1, 6)]
    *train, test = read_batches("cifar-10-batches-py", *names, "test_batch")
    y_train, y_test = (
        np.concatenate([batch["labels"] for batch in part]).astype("uint8").reshape(-1, 1)
        for part in (train, [test])
    )
    return (images(*train), y_train), (images(test), y_test)
