"""`tf.float32` and its like: names of data types that also answer as TensorFlow's objects do."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from staghorn import ops
from staghorn.compat.spelled import spelled
from staghorn.engine.dtypes import standardize_dtype


class DType(str):
    """A data type: a string (so it serves wherever Staghorn takes a dtype) with a `.name`.

    Example:
        >>> from staghorn.compat.tensorflow import dtypes
        >>> dtypes.float32, dtypes.float32 == np.float32, dtypes.float32.is_floating
        (tf.float32, True, True)
    """

    __slots__ = ()

    name = property(str)
    base_dtype = property(lambda self: self)
    is_floating = property(lambda self: self.startswith(("float", "bfloat")))
    is_integer = property(lambda self: self.startswith(("int", "uint")))
    is_bool = property(lambda self: str(self) == "bool")
    is_complex = property(lambda self: self.startswith("complex"))
    as_numpy_dtype = property(lambda self: jnp.dtype(str(self)).type)
    size = property(lambda self: jnp.dtype(str(self)).itemsize)
    min = property(lambda self: self._limits().min)
    max = property(lambda self: self._limits().max)

    def _limits(self) -> Any:
        return (jnp.finfo if self.is_floating else jnp.iinfo)(str(self))

    def __eq__(self, other: object) -> bool:
        try:
            return str(self) == (str(other) if isinstance(other, str) else standardize_dtype(other))
        except (TypeError, ValueError):  # not a data type at all
            return False

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __repr__(self) -> str:
        return f"tf.{self}"


def as_dtype(type_value: Any) -> DType:
    """Return the data type of a name, a NumPy type or a Python type.

    Example:
        >>> from staghorn.compat.tensorflow import dtypes
        >>> dtypes.as_dtype(np.int64)
        tf.int64
    """
    return DType(standardize_dtype(type_value))


cast = spelled(ops.cast, "x dtype")
saturate_cast = spelled(ops.saturate_cast, "value=x dtype")

_NAMES = (
    "bfloat16 bool complex64 complex128 float16 float32 float64 int8 int16 int32 int64 string "
    "uint8 uint16 uint32 uint64"
)
TYPES = {name: DType(name) for name in _NAMES.split()}
TYPES |= {"half": TYPES["float16"], "double": TYPES["float64"]}
globals().update(TYPES)

__all__ = ["DType", "as_dtype", "cast", "saturate_cast", *TYPES]
