"""`keras.backend` as Keras 3 has it: names of data types, global defaults, counters.

The functions of the older `K` (`K.sum`, `K.function`, ...) are in `staghorn.compat.backend`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from staghorn.config import backend as backend
from staghorn.config import epsilon as epsilon
from staghorn.config import floatx as floatx
from staghorn.config import image_data_format as image_data_format
from staghorn.config import set_epsilon as set_epsilon
from staghorn.config import set_floatx as set_floatx
from staghorn.config import set_image_data_format as set_image_data_format
from staghorn.engine import naming
from staghorn.engine.dtypes import is_float as is_float_dtype
from staghorn.engine.dtypes import standardize_dtype as standardize_dtype
from staghorn.engine.registry import missing_names as _missing_names
from staghorn.engine.symbolic import is_symbolic as is_keras_tensor
from staghorn.ops.core import as_type
from staghorn.utils.session import clear_session as clear_session


def is_int_dtype(dtype: Any) -> bool:
    """Say whether a data type is one of whole numbers, signed or not.

    Args:
        dtype: a data type or its name.

    Example:
        >>> staghorn.backend.is_int_dtype("uint8"), staghorn.backend.is_int_dtype("float32")
        (True, False)
    """
    return standardize_dtype(dtype).startswith(("int", "uint"))


def get_uid(prefix: str = "") -> int:
    """Return 1, 2, 3, ... at successive calls with one prefix.

    Args:
        prefix: what is counted. Default: "".

    Example:
        >>> staghorn.backend.get_uid("block"), staghorn.backend.get_uid("block")
        (1, 2)

    Notes: `clear_session` starts the counts again.
    """
    key = f"uid of {prefix}"  # not a name: layers called "block" count on their own
    naming._counts[key] += 1
    return naming._counts[key]


def result_type(*dtypes: Any) -> str:
    """Return the data type that an operation on several types gives.

    Args:
        *dtypes: names, NumPy types or arrays' types; `int` and `float` yield to any other type of
            their kind, None means `floatx()`.

    Example:
        >>> staghorn.backend.result_type("int32", "float16")
        'float16'
        >>> staghorn.backend.result_type("int8", int)
        'int8'
    """
    if not dtypes:
        return floatx()
    types = [d if d is int or d is float else as_type(d, floatx()) for d in dtypes]
    with jax.numpy_dtype_promotion("standard"):
        return standardize_dtype(jnp.result_type(*types))


__all__ = [
    "backend", "clear_session", "epsilon", "floatx", "get_uid", "image_data_format",
    "is_float_dtype", "is_int_dtype", "is_keras_tensor", "result_type", "set_epsilon", "set_floatx",
    "set_image_data_format", "standardize_dtype",
]  # fmt: skip

if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = _missing_names(__name__, __all__)
