"""CIFAR-100: small colour images of a hundred kinds of things."""

import numpy as np

from staghorn.datasets.cifar import images, read_batches
from staghorn.datasets.files import Split


def load_data(label_mode: str = "fine") -> Split:
    """Return 50,000 colour images of a hundred kinds to train on and 10,000 to test on.

    x: (n, 32, 32, 3), or (n, 3, 32, 32) where images are "channels_first", uint8;
    y: (n, 1), int64: from 0 to 99, or from 0 to 19 for the coarse labels.

    Args:
        label_mode: "fine" (a hundred kinds) or "coarse" (twenty groups of five). Default: "fine".

    Returns:
        `(x_train, y_train), (x_test, y_test)`.

    Raises:
        DownloadError: it is not in the cache and cannot be downloaded.
        ValueError: another `label_mode`.

    Example:
        >>> (x, y), (x_test, y_test) = staghorn.datasets.cifar100.load_data()  # doctest: +SKIP
        >>> x.shape, y.shape                                                   # doctest: +SKIP
        ((50000, 32, 32, 3), (50000, 1))

    Reference: Krizhevsky, 2009, https://www.cs.toronto.edu/~kriz/cifar.html
    """
    if label_mode not in ("fine", "coarse"):
        raise ValueError(
            f"cifar100.load_data: label_mode must be 'fine' or 'coarse', got {label_mode!r}."
        )
    train, test = (
        (images(batch), np.array(batch[f"{label_mode}_labels"]).reshape(-1, 1))
        for batch in read_batches("cifar-100-python", "train", "test")
    )
    return train, test
