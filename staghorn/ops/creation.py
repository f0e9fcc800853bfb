"""Creation of arrays: zeros, ranges, windows, diagonals of ones (`keras.ops.numpy`)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array, as_type

__all__ = [
    "arange", "array", "bartlett", "blackman", "copy", "empty", "empty_like", "eye", "full",
    "full_like", "geomspace", "hamming", "hanning", "identity", "kaiser", "linspace", "logspace",
    "ones", "ones_like", "tri", "view", "zeros", "zeros_like",
]  # fmt: skip


def zeros(shape: Any, dtype: Any = None) -> jax.Array:
    """An array of zeros; the type is floatx by default.

    sizes → an array of shape `shape`

    Args:
        shape: sizes.
        dtype: data type. Default: None, floatx.

    Example:
        >>> print(staghorn.ops.zeros((2,)))
        [0. 0.]
    """
    return jnp.zeros(shape, as_type(dtype, config.floatx()))


def ones(shape: Any, dtype: Any = None) -> jax.Array:
    """An array of ones; the type is floatx by default.

    sizes → an array of shape `shape`

    Args:
        shape: sizes.
        dtype: data type. Default: None, floatx.

    Example:
        >>> print(staghorn.ops.ones((2,), "int32"))
        [1 1]
    """
    return jnp.ones(shape, as_type(dtype, config.floatx()))


def empty(shape: Any, dtype: Any = None) -> jax.Array:
    """An array whose values do not matter (JAX fills it with zeros).

    sizes → an array of shape `shape`

    Args:
        shape: sizes.
        dtype: data type. Default: None, floatx.

    Example:
        >>> staghorn.ops.empty((2, 3)).shape
        (2, 3)
    """
    return jnp.empty(shape, as_type(dtype, config.floatx()))


@op
def full(shape: Any, fill_value: Any, dtype: Any = None) -> jax.Array:
    """An array of one value; the type is floatx by default, whatever the value's.

    sizes → an array of shape `shape`

    Args:
        shape: sizes.
        fill_value: the value, or an array that broadcasts.
        dtype: data type. Default: None, floatx.

    Example:
        >>> print(staghorn.ops.full((2,), 3))
        [3. 3.]
    """
    return jnp.full(shape, as_array(fill_value), as_type(dtype, config.floatx()))


@op
def zeros_like(x: Any, dtype: Any = None) -> jax.Array:
    """Zeros of the shape, and by default the type, of x.

    (...) → (...)

    Args:
        x: an array.
        dtype: data type. Default: None, that of x.

    Example:
        >>> print(staghorn.ops.zeros_like([1, 2]))
        [0 0]
    """
    return jnp.zeros_like(as_array(x), dtype=as_type(dtype))


@op
def ones_like(x: Any, dtype: Any = None) -> jax.Array:
    """Ones of the shape, and by default the type, of x.

    (...) → (...)

    Args:
        x: an array.
        dtype: data type. Default: None, that of x.

    Example:
        >>> print(staghorn.ops.ones_like([5, 6]))
        [1 1]
    """
    return jnp.ones_like(as_array(x), dtype=as_type(dtype))


@op
def empty_like(x: Any, dtype: Any = None) -> jax.Array:
    """An array of the shape of x whose values do not matter.

    (...) → (...)

    Args:
        x: an array.
        dtype: data type. Default: None, that of x.

    Example:
        >>> staghorn.ops.empty_like(np.ones((2, 3))).shape
        (2, 3)
    """
    return jnp.empty_like(as_array(x), dtype=as_type(dtype))


@op
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> jax.Array:
    """One value in the shape, and by default the type, of x.

    (...) → (...)

    Args:
        x: an array.
        fill_value: the value, or an array that broadcasts.
        dtype: data type. Default: None, that of x.

    Example:
        >>> print(staghorn.ops.full_like([1, 2], 7))
        [7 7]
    """
    return jnp.full_like(as_array(x), fill_value, dtype=as_type(dtype))


@op
def array(x: Any, dtype: Any = None) -> jax.Array:
    """Copy x into a new array.

    (...) → (...)

    Args:
        x: an array, number or nested list.
        dtype: data type. Default: None, that of x.

    Example:
        >>> print(staghorn.ops.array([1, 2], "float32"))
        [1. 2.]
    """
    return jnp.array(x, dtype=as_type(dtype))


@op
def copy(x: Any) -> jax.Array:
    """Copy x into a new array.

    (...) → (...)

    Args:
        x: an array.

    Example:
        >>> print(staghorn.ops.copy([1, 2]))
        [1 2]
    """
    return jnp.copy(as_array(x))


@op
def view(x: Any, dtype: Any = None) -> jax.Array:
    """The same bytes read as another type.

    (..., n) → (..., n * bytes of x's type / bytes of dtype)

    Args:
        x: an array.
        dtype: data type to read. Default: None, that of x.

    Example:
        >>> print(staghorn.ops.view(np.array([1.0], "float32"), "int32"))
        [1065353216]
    """
    return as_array(x).view(dtype=as_type(dtype))


@op
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> jax.Array:
    """Numbers from `start` up to, not including, `stop`; one argument counts from 0.

    () → (ceil((stop - start) / step),)

    The type is floatx if one of the arguments is a Python float.

    Args:
        start: first number, or where to stop if it is the only one.
        stop: the number to stop before. Default: None.
        step: distance. Default: None, 1.
        dtype: data type. Default: None, that of the arguments.

    Example:
        >>> print(staghorn.ops.arange(2, 8, 3))
        [2 5]
    """
    if dtype is None:
        given = [x for x in (start, stop, step) if x is not None]
        found = jnp.result_type(*given)
        python = all(isinstance(x, (int, float)) for x in given)
        dtype = config.floatx() if python and jnp.issubdtype(found, jnp.floating) else found
    return jnp.arange(start, stop, step, dtype=as_type(dtype))


@op
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` evenly spaced numbers from `start` to `stop`.

    (...), (...) → (num, ...)

    Args:
        start: first number.
        stop: last number.
        num: how many. Default: 50.
        endpoint: whether `stop` belongs to them. Default: True.
        retstep: whether to return the distance too. Default: False.
        dtype: data type. Default: None, that of the arguments.
        axis: where they lie. Default: 0.

    Example:
        >>> print(staghorn.ops.linspace(0.0, 1.0, 3))
        [0.  0.5 1. ]
    """
    return jnp.linspace(start, stop, num, endpoint, retstep, as_type(dtype), axis)


@op
def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10,
    dtype: Any = None,
    axis: int = 0,
) -> jax.Array:
    """`num` numbers from base**start to base**stop whose logarithms are evenly spaced.

    (...), (...) → (num, ...)

    Args:
        start: first exponent.
        stop: last exponent.
        num: how many. Default: 50.
        endpoint: whether `stop` belongs to them. Default: True.
        base: of the powers. Default: 10.
        dtype: data type. Default: None, that of the arguments.
        axis: where they lie. Default: 0.

    Example:
        >>> print(staghorn.ops.logspace(0.0, 2.0, 3, base=2))
        [1. 2. 4.]
    """
    return jnp.logspace(start, stop, num, endpoint, base, as_type(dtype), axis)


@op
def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> jax.Array:
    """`num` numbers from `start` to `stop`, each the same multiple of the one before.

    (...), (...) → (num, ...)

    Args:
        start: first number.
        stop: last number.
        num: how many. Default: 50.
        endpoint: whether `stop` belongs to them. Default: True.
        dtype: data type. Default: None, that of the arguments.
        axis: where they lie. Default: 0.

    Example:
        >>> staghorn.ops.geomspace(1.0, 4.0, 3).shape
        (3,)
    """
    return jnp.geomspace(start, stop, num, endpoint, as_type(dtype), axis)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> jax.Array:
    """Ones on the k-th diagonal of an (N, M) array of zeros.

    int, int → (N, M)

    Args:
        N: rows.
        M: columns. Default: None, N.
        k: which diagonal; above the main one if positive. Default: 0.
        dtype: data type. Default: None, floatx.

    Raises:
        TypeError: if N or M is a float.

    Example:
        >>> print(staghorn.ops.eye(2))
        [[1. 0.]
         [0. 1.]]
    """
    for label, size in (("N", N), ("M", M)):
        if isinstance(size, float) or "float" in str(getattr(size, "dtype", "")):
            raise TypeError(f"eye: {label} must be an int, got {size!r} ({type(size).__name__}).")
    return jnp.eye(N, M, k, dtype=as_type(dtype, config.floatx()))


def identity(n: int, dtype: Any = None) -> jax.Array:
    """The (n, n) identity matrix.

    int → (n, n)

    Args:
        n: rows and columns.
        dtype: data type. Default: None, floatx.

    Example:
        >>> print(staghorn.ops.identity(2, "int32"))
        [[1 0]
         [0 1]]
    """
    return jnp.identity(n, dtype=as_type(dtype, config.floatx()))


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> jax.Array:
    """Ones on and below the k-th diagonal of an (N, M) array of zeros.

    int, int → (N, M)

    Args:
        N: rows.
        M: columns. Default: None, N.
        k: which diagonal; above the main one if positive. Default: 0.
        dtype: data type. Default: None, floatx.

    Example:
        >>> print(staghorn.ops.tri(2))
        [[1. 0.]
         [1. 1.]]
    """
    return jnp.tri(N, M, k, dtype=as_type(dtype, config.floatx()))


def _window(function: Callable, name: str, summary: str) -> Callable:
    def row(x):
        return function(int(x)).astype(config.floatx())

    row.__name__ = row.__qualname__ = name
    row.__doc__ = (
        f"{summary}\n\nint → (x,)\n\nArgs:\n    x: how many points.\n\n"
        f"Example:\n    >>> staghorn.ops.{name}(4).shape\n    (4,)\n"
    )
    return row


bartlett = _window(jnp.bartlett, "bartlett", "Triangular window of x points.")
blackman = _window(jnp.blackman, "blackman", "Blackman window of x points.")
hamming = _window(jnp.hamming, "hamming", "Hamming window of x points.")
hanning = _window(jnp.hanning, "hanning", "Hann window of x points.")


def kaiser(x: Any, beta: float) -> jax.Array:
    """Kaiser window of x points and shape beta.

    int → (x,)

    Args:
        x: how many points.
        beta: 0 for a rectangle; the larger, the narrower.

    Example:
        >>> staghorn.ops.kaiser(4, 2.0).shape
        (4,)
    """
    return jnp.kaiser(int(x), beta).astype(config.floatx())
