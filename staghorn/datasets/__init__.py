"""Small data sets as NumPy arrays, with Keras's loaders. One data set, one file."""

from typing import TYPE_CHECKING

from staghorn.datasets import boston_housing as boston_housing
from staghorn.datasets import breast_cancer as breast_cancer
from staghorn.datasets import california_housing as california_housing
from staghorn.datasets import cifar10 as cifar10
from staghorn.datasets import cifar100 as cifar100
from staghorn.datasets import diabetes as diabetes
from staghorn.datasets import digits as digits
from staghorn.datasets import fashion_mnist as fashion_mnist
from staghorn.datasets import imdb as imdb
from staghorn.datasets import iris as iris
from staghorn.datasets import mnist as mnist
from staghorn.datasets import reuters as reuters
from staghorn.datasets import wine as wine
from staghorn.engine.registry import missing_names

__all__ = [
    "boston_housing", "breast_cancer", "california_housing", "cifar10", "cifar100", "diabetes",
    "digits", "fashion_mnist", "imdb", "iris", "mnist", "reuters", "wine",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__ = missing_names(__name__, __all__)
