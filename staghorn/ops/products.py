"""Products of arrays, differences and statistics of pairs (`keras.ops.numpy`)."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array
from staghorn.ops.elementwise import binary

__all__ = [
    "corrcoef", "correlate", "cross", "diff", "dot", "einsum", "inner", "kron", "matmul", "outer",
    "slogdet", "tensordot", "trace", "trapezoid", "vander", "vdot",
]  # fmt: skip


def _accumulator(*arrays: jax.Array) -> Any:
    # Products of int8 overflow at once; int32 sums also let the hardware use its int8 units.
    return jnp.int32 if {x.dtype for x in arrays} == {jnp.dtype("int8")} else None


@op
def matmul(x1: Any, x2: Any) -> jax.Array:
    """Matrix product of the last two axes; int8 by int8 gives int32.

    (..., n, k), (..., k, m) → (..., n, m)

    Args:
        x1: matrices, or a vector.
        x2: matrices, or a vector.

    Example:
        >>> print(staghorn.ops.matmul([[1, 2], [3, 4]], [1, 1]))
        [3 7]
    """
    x1, x2 = as_array(x1), as_array(x2)
    return jnp.matmul(x1, x2, preferred_element_type=_accumulator(x1, x2))


@op
def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> jax.Array:
    """Sum of products named by subscripts, as in "ij,jk->ik"; int8 by int8 gives int32.

    arrays → the axes right of "->"

    Args:
        subscripts: letters of the axes of each array, and of the result.
        *operands: the arrays.
        **kwargs: how to compute it, as in jax.numpy.einsum.

    Example:
        >>> print(staghorn.ops.einsum("ij->i", [[1, 2], [3, 4]]))
        [3 7]
    """
    arrays = [as_array(x) for x in operands]
    kwargs.setdefault("preferred_element_type", _accumulator(*arrays))
    return jnp.einsum(subscripts, *arrays, **kwargs)


@op
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> jax.Array:
    """Sum of products over the last axes of x1 and the first of x2, or over given axes.

    (..., k), (k, ...) → (..., ...)

    Args:
        x1: an array.
        x2: an array.
        axes: how many axes, or a list of axes for each of the two. Default: 2.

    Example:
        >>> staghorn.ops.tensordot(np.ones((2, 3)), np.ones((3, 4)), axes=1).shape
        (2, 4)
    """
    return jnp.tensordot(as_array(x1), as_array(x2), axes=axes)


dot = binary(
    jnp.dot,
    "Product over the last axis of x1 and the last but one of x2.",
    "[1, 2], [3, 4] -> 11",
    name="dot",
)
inner = binary(jnp.inner, "Product over the last axes.", "[1, 2], [3, 4] -> 11", name="inner")
vdot = binary(
    jnp.vdot, "Product of the flattened arrays, x1 conjugated.", "[1, 2], [3, 4] -> 11", name="vdot"
)
outer = binary(
    jnp.outer, "Every product of two rows.", "[1, 2], [3, 4] -> [[3 4] [6 8]]", name="outer"
)
kron = binary(jnp.kron, "Kronecker product.", "[1, 2], [3, 4] -> [3 4 6 8]", name="kron")


@op
def cross(
    x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> jax.Array:
    """Vector product of the axes given (size 2 or 3); `axis` sets all three.

    (..., 3), (..., 3) → (..., 3)

    Args:
        x1: vectors.
        x2: vectors that broadcast with them.
        axisa: the vectors' axis in x1. Default: -1.
        axisb: the vectors' axis in x2. Default: -1.
        axisc: the vectors' axis in the result. Default: -1.
        axis: all three at once. Default: None.

    Example:
        >>> print(staghorn.ops.cross([1, 0, 0], [0, 1, 0]))
        [0 0 1]
    """
    return jnp.cross(as_array(x1), as_array(x2), axisa, axisb, axisc, axis)


@op
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> jax.Array:
    """Sum of a diagonal.

    (..., m, n) → (...)        y = sum of x[i, i + offset]

    Args:
        x: an array.
        offset: which diagonal. Default: 0.
        axis1: the rows' axis. Default: 0.
        axis2: the columns' axis. Default: 1.

    Example:
        >>> print(staghorn.ops.trace([[1, 2], [3, 4]]))
        5
    """
    return jnp.trace(as_array(x), offset=offset, axis1=axis1, axis2=axis2)


@op
def diff(a: Any, n: int = 1, axis: int = -1) -> jax.Array:
    """Each value minus the one before, n times over.

    (..., m) → (..., m - n)

    Args:
        a: an array.
        n: how often. Default: 1.
        axis: the axis to run along. Default: -1.

    Example:
        >>> print(staghorn.ops.diff([1, 4, 9]))
        [3 5]
    """
    return jnp.diff(as_array(a), n=n, axis=axis)


@op
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> jax.Array:
    """Integral by the trapezoidal rule.

    (..., n) → (...)        sum of (y[i] + y[i + 1]) / 2 * (x[i + 1] - x[i])

    Args:
        y: values.
        x: where they stand. Default: None, `dx` apart.
        dx: distance between them. Default: 1.0.
        axis: the axis to integrate. Default: -1.

    Example:
        >>> print(staghorn.ops.trapezoid([1.0, 2.0, 3.0]))
        4.0
    """
    places = None if x is None else as_array(x)
    return jnp.trapezoid(as_array(y), places, dx=as_array(dx), axis=axis)


@op
def corrcoef(x: Any) -> jax.Array:
    """Correlation of the rows of a table with each other.

    (n, observations) → (n, n)

    Args:
        x: an array.

    Example:
        >>> staghorn.ops.corrcoef([[1.0, 2.0], [2.0, 4.0]]).shape
        (2, 2)
    """
    return jnp.corrcoef(as_array(x))


@op
def correlate(x1: Any, x2: Any, mode: str = "valid") -> jax.Array:
    """Sliding product of two rows.

    (n,), (m,) → (n - m + 1,) with "valid", (n,) with "same", (n + m - 1,) with "full"

    Args:
        x1, x2: rows.
        mode: "valid", "same" or "full". Default: "valid".

    Example:
        >>> print(staghorn.ops.correlate([1.0, 2.0, 3.0], [1.0, 1.0]))
        [3. 5.]
    """
    return jnp.correlate(as_array(x1), as_array(x2), mode)


@op
def vander(x: Any, N: int | None = None, increasing: bool = False) -> jax.Array:
    """Powers of a row as the columns of a table.

    (n,) → (n, N)

    Args:
        x: a row.
        N: number of columns. Default: as many as x has values.
        increasing: start with the power 0. Default: False.

    Raises:
        ValueError: if x is not a row, or N is negative.
        TypeError: if N is not an int, or `increasing` not a bool.

    Example:
        >>> print(staghorn.ops.vander([2, 3], 3))
        [[4 2 1]
         [9 3 1]]
    """
    x = as_array(x)
    if x.ndim != 1:
        raise ValueError(f"vander: x must have 1 axis, got shape {x.shape}.")
    if N is not None and not isinstance(N, int):
        raise TypeError(f"vander: N must be an int, got {N!r} ({type(N).__name__}).")
    if N is not None and N < 0:
        raise ValueError(f"vander: N must not be negative, got {N}.")
    if not isinstance(increasing, bool):
        raise TypeError(f"vander: increasing must be a bool, got {increasing!r}.")
    return jnp.vander(x, N=N, increasing=increasing)


@op
def slogdet(x: Any) -> tuple:
    """Sign and logarithm of the size of a determinant.

    (..., n, n) → (...), (...)

    Args:
        x: square matrices.

    Example:
        >>> [float(part) for part in staghorn.ops.slogdet([[0.0, 1.0], [1.0, 0.0]])]
        [-1.0, 0.0]
    """
    return tuple(jnp.linalg.slogdet(as_array(x)))
