"""The one patch of `staghorn.install()`: `array.numpy()`, which scripts for TensorFlow call.

JAX's arrays have no such method, and a subclass of them is not possible. Their class takes new
attributes, so the method is set there: for every array of the process, which is why only `install`
does it, at the user's word, and `uninstall` takes it away. Traced values keep their own class.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def _numpy(self: jax.Array) -> np.ndarray:
    """Return a copy as a NumPy array; of a scalar a NumPy scalar, as in TensorFlow."""
    return np.array(self)[()]


def _array_class() -> Any:
    return type(jnp.zeros(()))


def add_numpy_method() -> None:
    """Give JAX's arrays a method `numpy()`.

    Example:
        >>> from staghorn.compat.tensorflow import arrays
        >>> arrays.add_numpy_method()
        >>> staghorn.ops.mean([1.0, 3.0]).numpy()
        np.float32(2.0)
        >>> arrays.remove_numpy_method()
    """
    if not hasattr(_array_class(), "numpy"):
        _array_class().numpy = _numpy


def remove_numpy_method() -> None:
    """Undo `add_numpy_method`.

    Example:
        >>> from staghorn.compat.tensorflow import arrays
        >>> arrays.remove_numpy_method()
        >>> hasattr(staghorn.ops.zeros(()), "numpy")
        False
    """
    if vars(_array_class()).get("numpy") is _numpy:
        del _array_class().numpy
