"""Keras 1's names of convolutions: `Convolution2D(32, 3, 3)` has kernels of 3 x 3.

Today's `Conv2D(32, 3, 3)` has a stride of 3, so the names cannot be one class.
"""

import inspect
from typing import Any

from staghorn.engine.serialization import ConfigurableMeta
from staghorn.engine.spellings import rows_and_columns, say_once
from staghorn.layers.convolution import Conv2D, Conv3D
from staghorn.layers.separable_convolution import SeparableConv2D


class _OldName(ConfigurableMeta):
    """A class that makes today's layers, which count as its own."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls.__module__ != __name__:  # a user's subclass
            return super().__call__(*args, **kwargs)
        today = cls.__bases__[0]
        sized = rows_and_columns(args)
        if sized != args:
            name = today.__name__
            say_once(f"{cls.__name__}(filters, rows, ...)", f"{name}(filters, (rows, ...))")
        return today(*sized, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        today = cls.__bases__[0] if cls.__module__ == __name__ else cls
        return type.__instancecheck__(today, instance)


class Convolution2D(Conv2D, metaclass=_OldName):
    """Conv2D, with Keras 1's order of arguments: (filters, rows, columns).

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     layer = staghorn.layers.Convolution2D(32, 3, 5)
        >>> type(layer).__name__, layer.kernel_size
        ('Conv2D', (3, 5))
    """


class Convolution3D(Conv3D, metaclass=_OldName):
    """Conv3D, with Keras 1's order of arguments: three sizes, one by one.

    Example:
        >>> staghorn.layers.Convolution3D(8, (3, 3, 3)).kernel_size
        (3, 3, 3)
    """


class SeparableConvolution2D(SeparableConv2D, metaclass=_OldName):
    """SeparableConv2D, with Keras 1's order of arguments: (filters, rows, columns).

    Example:
        >>> staghorn.layers.SeparableConvolution2D(8, (3, 3)).kernel_size
        (3, 3)
    """


for _old in (Convolution2D, Convolution3D, SeparableConvolution2D):
    # Today's shapes and arguments, between the first sentence and the example.
    _head, _, _example = inspect.cleandoc(_old.__doc__ or "").partition("\n\n")
    _today = inspect.cleandoc(_old.__bases__[0].__doc__ or "").partition("\n\n")[2]
    _old.__doc__ = f"{_head}\n\n{_today.partition('Raises:')[0]}{_example}"
