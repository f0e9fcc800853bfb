"""Fashion-MNIST: pictures of clothes in the layout of MNIST."""

import gzip

import numpy as np

from staghorn.datasets.files import Split, fetch, reading


def load_data() -> Split:
    """Return 60,000 pictures of clothes of ten kinds to train on and 10,000 to test on.

    x: (n, 28, 28), uint8; y: (n,), uint8: 0 T-shirt or top, 1 trouser, 2 pullover, 3 dress,
    4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle boot.

    Returns:
        `(x_train, y_train), (x_test, y_test)`.

    Raises:
        DownloadError: it is not in the cache and cannot be downloaded.

    Example:
        >>> (x, y), (x_test, y_test) = staghorn.datasets.fashion_mnist.load_data()  # doctest: +SKIP
        >>> x.shape, set(y) == set(range(10))                                       # doctest: +SKIP
        ((60000, 28, 28), True)

    Reference: Xiao, Rasul and Vollgraf, 2017, https://arxiv.org/abs/1708.07747
    """
    train, test = (
        (_read(f"{part}-images-idx3-ubyte.gz"), _read(f"{part}-labels-idx1-ubyte.gz"))
        for part in ("train", "t10k")
    )
    return train, test


def _read(name: str) -> np.ndarray:
    """Read an IDX file: two zeros, a code for the type, the number of axes, sizes, values."""
    path = fetch(name, cache_subdir="datasets/fashion-mnist")
    with reading(path), gzip.open(path) as file:
        content = file.read()
        axes = content[3]
        shape = np.frombuffer(content, ">u4", axes, offset=4)
        if content[:3] != b"\0\0\x08":  # 8 is uint8
            raise ValueError("not an IDX file of bytes")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()
