"""Names of data types: one spelling (a string) everywhere."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from staghorn import config

_PYTHON_TYPES = {bool: "bool", int: "int32", float: "float32", str: "string"}

_KNOWN = frozenset([
    "bool", "uint4", "uint8", "uint16", "uint32", "uint64", "int4", "int8", "int16", "int32",
    "int64", "bfloat16", "float16", "float32", "float64", "float8_e4m3fn", "float8_e5m2",
    "complex64", "complex128", "string",
])  # fmt: skip


def standardize_dtype(dtype: Any) -> str:
    """Return the canonical name of a data type; `None` means the default float type.

    Args:
        dtype: a data type of NumPy, JAX, PyTorch or Python, its name, or None.

    Example:
        >>> from staghorn.engine.dtypes import standardize_dtype
        >>> standardize_dtype(np.float32), standardize_dtype(None), standardize_dtype(int)
        ('float32', 'float32', 'int32')
    """
    if dtype is None:
        return config.floatx()
    if isinstance(dtype, str):
        name = dtype
    elif isinstance(dtype, type) and dtype in _PYTHON_TYPES:
        name = config.floatx() if dtype is float else _PYTHON_TYPES[dtype]
    else:
        # numpy dtypes have .name, torch's print as "torch.float32".
        name = getattr(dtype, "name", None) or str(dtype).rsplit(".", maxsplit=1)[-1]
        if name not in _KNOWN:
            name = np.dtype(dtype).name
    if name.startswith("str") and name != "string":
        name = "string"
    if name not in _KNOWN:
        raise ValueError(f"Unknown dtype {dtype!r}. Known dtypes: {', '.join(sorted(_KNOWN))}.")
    return name


def is_float(dtype: Any) -> bool:
    """Say whether a data type is a floating-point one.

    Args:
        dtype: a data type or its name.

    Example:
        >>> from staghorn.engine.dtypes import is_float
        >>> is_float("bfloat16"), is_float("int32")
        (True, False)
    """
    return standardize_dtype(dtype).startswith(("float", "bfloat"))


def is_array(x: Any) -> bool:
    """Say whether `x` is a JAX or NumPy array (also a traced one)."""
    return isinstance(x, (jnp.ndarray, np.ndarray, np.generic))
