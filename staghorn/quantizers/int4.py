"""Two numbers of 4 bits in each byte."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine.dtypes import standardize_dtype

_BYTES = ("int8", "uint8")


def _check(name: str, dtype: str, array: Any, accepted: tuple[str, ...]) -> None:
    if dtype not in _BYTES:
        raise ValueError(f"{name}: dtype must be 'int8' or 'uint8', got {dtype!r}.")
    found = standardize_dtype(array.dtype)
    if found not in accepted:
        raise TypeError(f"{name}: the array must be {' or '.join(accepted)}, got {found}.")


def pack_int4(arr: Any, axis: int = 0, dtype: str = "int8") -> tuple[jax.Array, tuple, int]:
    """Put numbers of 4 bits two by two into bytes, the first of a pair in the low half.

    n numbers along `axis` → ceil(n / 2) bytes

    Args:
        arr: whole numbers in [-8, 7], or in [0, 15] for "uint8".
        axis: along which pairs are made. Default: 0.
        dtype: type of `arr` and of the bytes, "int8" or "uint8". Default: "int8".

    Returns:
        the bytes, their shape, and n.

    Raises:
        ValueError, TypeError: for other types.

    Example:
        >>> packed, shape, n = staghorn.quantizers.pack_int4(np.array([-3, 7, 2], "int8"))
        >>> print(packed, shape, n)
        [125   2] (2,) 3
    """
    _check("pack_int4", dtype, arr, (dtype,))
    numbers = np.moveaxis(np.asarray(arr), axis, 0)
    count = len(numbers)
    numbers = np.pad(numbers, [(0, count % 2)] + [(0, 0)] * (numbers.ndim - 1)) & 15
    packed = np.moveaxis(numbers[::2] | numbers[1::2] << 4, 0, axis).astype(dtype)
    return jnp.asarray(packed), packed.shape, count


def unpack_int4(packed: Any, orig_len: int, axis: int = 0, dtype: str = "int8") -> jax.Array:
    """Undo `pack_int4`.

    Args:
        packed: bytes.
        orig_len: how many numbers there were along `axis`.
        axis: along which pairs were made. Default: 0.
        dtype: "int8" for numbers in [-8, 7], "uint8" for [0, 15]. Default: "int8".

    Raises:
        ValueError, TypeError: for other types.

    Example:
        >>> print(staghorn.quantizers.unpack_int4(np.array([125, 2], "int8"), 3))
        [-3  7  2]
    """
    _check("unpack_int4", dtype, packed, _BYTES)
    numbers = jnp.moveaxis(jnp.asarray(packed), axis, 0)
    halves = jnp.stack([numbers & 15, numbers >> 4 & 15], axis=1)  # (bytes, 2, …)
    if dtype == "int8":
        halves = (halves ^ 8) - 8
    flat = jnp.reshape(halves, (-1, *numbers.shape[1:]))[:orig_len]
    return jnp.moveaxis(flat.astype(dtype), 0, axis)
