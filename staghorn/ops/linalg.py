"""Linear algebra on stacks of matrices: `keras.ops.linalg`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array, as_float

__all__ = [
    "cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "jvp", "lstsq", "lu_factor",
    "matrix_rank", "norm", "pinv", "qr", "solve", "solve_triangular", "svd",
]  # fmt: skip


def _matrix(name: str, x: Any, square: bool = False) -> jax.Array:
    x = as_array(x)
    if x.ndim < 2:
        raise ValueError(f"{name}: expected 2 axes or more, got shape {x.shape}.")
    if square and x.shape[-1] != x.shape[-2]:
        raise ValueError(f"{name}: expected square matrices, got shape {x.shape}.")
    return x


def _equations(name: str, a: Any, b: Any) -> tuple[jax.Array, jax.Array]:
    a, b = _matrix(name, a, square=True), as_array(b)
    if b.ndim < 1:
        raise ValueError(f"{name}: b must have 1 axis or more, got shape ().")
    rows = {a.ndim: -2, a.ndim - 1: -1}.get(b.ndim)
    if rows is not None and b.shape[rows] != a.shape[-2]:
        raise ValueError(
            f"{name}: b must have as many rows as a, got shapes {a.shape} and {b.shape}."
        )
    return a, b


@op
def cholesky(x: Any, upper: bool = False) -> jax.Array:
    """Triangular factor L of positive definite matrices: x = L @ L.T.

    (..., n, n) → (..., n, n)

    Args:
        x: symmetric positive definite matrices.
        upper: return L.T. Default: False.

    Raises:
        ValueError: if x is not square or, outside compiled code, not positive definite
            (compiled code gives NaN).

    Example:
        >>> print(staghorn.ops.cholesky([[4.0, 0.0], [0.0, 9.0]]))
        [[2. 0.]
         [0. 3.]]
    """
    out = jnp.linalg.cholesky(_matrix("cholesky", x, square=True), upper=upper)
    if not isinstance(out, jax.core.Tracer) and bool(jnp.isnan(out).any()):
        raise ValueError("cholesky: x is not positive definite.")
    return out


@op
def cholesky_inverse(x: Any, upper: bool = False) -> jax.Array:
    """Inverse of a matrix from its Cholesky factor.

    (n, n) → (n, n)

    Args:
        x: the factor.
        upper: whether it is the upper one. Default: False.

    Example:
        >>> print(staghorn.ops.cholesky_inverse([[2.0, 0.0], [0.0, 1.0]]))
        [[0.25 0.  ]
         [0.   1.  ]]
    """
    x = _matrix("cholesky_inverse", x, square=True)
    identity = jnp.eye(x.shape[-1], dtype=x.dtype)
    inverse = jax.scipy.linalg.solve_triangular(x, identity, lower=not upper)
    return inverse @ inverse.T if upper else inverse.T @ inverse


@op
def det(x: Any) -> jax.Array:
    """Determinant.

    (..., n, n) → (...)

    Args:
        x: an array.

    Example:
        >>> print(staghorn.ops.det([[2.0, 0.0], [0.0, 3.0]]))
        6.0
    """
    return jnp.linalg.det(_matrix("det", x, square=True))


@op
def eig(x: Any) -> tuple:
    """Eigenvalues and eigenvectors (columns), complex; on the CPU only.

    (..., n, n) → (..., n), (..., n, n)

    Args:
        x: an array.

    Example:
        >>> staghorn.ops.eig(np.eye(2, dtype="float32"))[0].shape
        (2,)
    """
    return tuple(jnp.linalg.eig(_matrix("eig", x, square=True)))


@op
def eigh(x: Any) -> tuple:
    """Eigenvalues (rising) and eigenvectors (columns) of symmetric matrices.

    (..., n, n) → (..., n), (..., n, n)

    Args:
        x: an array.

    Example:
        >>> print(staghorn.ops.eigh([[2.0, 0.0], [0.0, 1.0]])[0])
        [1. 2.]
    """
    return tuple(jnp.linalg.eigh(_matrix("eigh", x, square=True)))


@op
def inv(x: Any) -> jax.Array:
    """Inverse matrix.

    (..., n, n) → (..., n, n)

    Args:
        x: square matrices.

    Example:
        >>> print(staghorn.ops.inv([[2.0, 0.0], [0.0, 4.0]]))
        [[0.5  0.  ]
         [0.   0.25]]
    """
    return jnp.linalg.inv(_matrix("inv", x, square=True))


@op
def lu_factor(x: Any) -> tuple:
    """LU factors in one matrix, and the pivots.

    (..., m, n) → (..., m, n), (..., min(m, n))

    Args:
        x: matrices.

    Example:
        >>> [part.shape for part in staghorn.ops.lu_factor(np.eye(3, dtype="float32"))]
        [(3, 3), (3,)]
    """
    return tuple(jax.scipy.linalg.lu_factor(_matrix("lu_factor", x)))


@op
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> jax.Array:
    """Length of vectors or matrices.

    (...) → the shape without the reduced axes

    Args:
        x: an array.
        ord: which norm, as in numpy.linalg.norm. Default: None, root of the sum of squares.
        axis: an int for vectors, two ints for matrices. Default: None, everything.
        keepdims: keep reduced axes with size 1. Default: False.

    Example:
        >>> print(staghorn.ops.norm([3.0, 4.0]))
        5.0
    """
    axis = tuple(axis) if isinstance(axis, list) else axis
    return jnp.linalg.norm(as_float(x), ord=ord, axis=axis, keepdims=keepdims)


@op
def qr(x: Any, mode: str = "reduced") -> tuple:
    """Orthonormal Q and upper triangular R: x = Q @ R.

    (..., m, n) → (..., m, k), (..., k, n), with k = min(m, n) or, for "complete", m

    Args:
        x: matrices.
        mode: "reduced" or "complete". Default: "reduced".

    Raises:
        ValueError: for another mode.

    Example:
        >>> [part.shape for part in staghorn.ops.qr(np.ones((3, 2), "float32"))]
        [(3, 2), (2, 2)]
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode must be 'reduced' or 'complete', got {mode!r}.")
    return tuple(jnp.linalg.qr(_matrix("qr", x), mode=mode))


@op
def solve(a: Any, b: Any) -> jax.Array:
    """The x of a @ x = b.

    (..., n, n), (..., n) or (..., n, k) → the shape of b

    Args:
        a: square matrices.
        b: right sides: one vector, or the columns of a matrix.

    Example:
        >>> print(staghorn.ops.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0]))
        [1. 1.]
    """
    return jnp.linalg.solve(*_equations("solve", a, b))


@op
def solve_triangular(a: Any, b: Any, lower: bool = False) -> jax.Array:
    """The x of a @ x = b for a triangular a.

    Args:
        a: triangular matrices, (..., n, n).
        b: right-hand sides, (..., n) or (..., n, k).
        lower: whether `a` is lower triangular. Default: False.

    Example:
        >>> print(staghorn.ops.solve_triangular([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0]))
        [1. 1.]
    """
    a, b = _equations("solve_triangular", a, b)
    return jax.scipy.linalg.solve_triangular(a, b, lower=lower)


@op
def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Singular values, with the vectors around them: x = U @ diag(S) @ Vh.

    Args:
        x: matrices, (..., m, n).
        full_matrices: square U and Vh. Default: True.
        compute_uv: also return U and Vh. Default: True.

    Example:
        >>> print(staghorn.ops.svd([[3.0, 0.0], [0.0, 4.0]], compute_uv=False))
        [4. 3.]
    """
    out = jnp.linalg.svd(_matrix("svd", x), full_matrices=full_matrices, compute_uv=compute_uv)
    return tuple(out) if compute_uv else out


@op
def lstsq(a: Any, b: Any, rcond: float | None = None) -> jax.Array:
    """The x with the least |a @ x - b|.

    (m, n), (m,) or (m, k) → (n,) or (n, k)

    Args:
        a: coefficients.
        b: right-hand sides.
        rcond: singular values below this share of the largest count as zero. Default: None,
            chosen by the type.

    Example:
        >>> staghorn.ops.lstsq(np.ones((3, 1), "float32"), np.ones(3, "float32")).shape
        (1,)
    """
    return jnp.linalg.lstsq(as_array(a), as_array(b), rcond=rcond)[0]


@op
def matrix_rank(x: Any, tol: float | None = None) -> jax.Array:
    """Number of singular values above a tolerance, int32.

    (..., m, n) → (...)

    Args:
        x: matrices.
        tol: smallest singular value that counts. Default: None, what rounding leaves uncertain.

    Example:
        >>> print(staghorn.ops.matrix_rank(np.ones((3, 3), "float32")))
        1
    """
    return jnp.linalg.matrix_rank(_matrix("matrix_rank", x), rtol=None, tol=tol).astype("int32")


@op
def pinv(x: Any, rcond: float | None = None) -> jax.Array:
    """Pseudo-inverse.

    (..., m, n) → (..., n, m)

    Args:
        x: matrices.
        rcond: share of the largest singular value below which others count as 0. Default: None,
            what rounding leaves uncertain.

    Example:
        >>> staghorn.ops.pinv(np.ones((3, 2), "float32")).shape
        (2, 3)
    """
    return jnp.linalg.pinv(_matrix("pinv", x), rtol=rcond)


@op
def jvp(fun: Callable, primals: Any, tangents: Any, has_aux: bool = False) -> tuple:
    """Value of a function and its change along a direction.

    args, tangents → value, change        change = J(args) @ tangents

    Args:
        fun: a function of arrays.
        primals: its arguments, a list or tuple.
        tangents: a direction for each.
        has_aux: whether `fun` returns (value, something else). Default: False.

    Example:
        >>> value, change = staghorn.ops.jvp(lambda x: x * x, (3.0,), (1.0,))
        >>> float(value), float(change)
        (9.0, 6.0)
    """
    return jax.jvp(fun, tuple(primals), tuple(tangents), has_aux=has_aux)
