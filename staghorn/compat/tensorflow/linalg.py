"""`tf.linalg`: `staghorn.ops` under TensorFlow's names and argument names."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from staghorn import ops
from staghorn.compat.spelled import as_shape, publish, spelled, table
from staghorn.compat.tensorflow.advice import explain
from staghorn.compat.tensorflow.math import l2_normalize
from staghorn.compat.tensorflow.shaping import global_norm
from staghorn.engine.symbolic import op


def _diag(diagonal):
    return jnp.vectorize(jnp.diag, signature="(n)->(n,n)")(jnp.asarray(diagonal))


TABLE: dict[str, Any] = {
    "einsum": ops.einsum,
    "global_norm": global_norm,
    "l2_normalize": l2_normalize,
}
TABLE |= table(
    {
        "cholesky": spelled(ops.cholesky, "input=x"),
        "cross": spelled(ops.cross, "a=x1 b=x2"),
        "det": spelled(ops.det, "input=x"),
        "diag": spelled(op(_diag, name="diag"), "diagonal"),
        "diag_part": spelled(ops.diagonal, "input=x", axis1=-2, axis2=-1),
        "eigh": spelled(ops.eigh, "tensor=x"),
        "inv": spelled(ops.inv, "input=x"),
        "matrix_transpose": spelled(ops.swapaxes, "a=x", axis1=-2, axis2=-1),
        "pinv": spelled(ops.pinv, "a=x"),
        "qr": spelled(ops.qr, "input=x"),
        "solve": spelled(ops.solve, "matrix=a rhs=b"),
        "tensordot": spelled(ops.tensordot, "a=x1 b=x2 axes"),
        "trace": spelled(ops.trace, "x", axis1=-2, axis2=-1),
    }
)


def matmul(a, b, transpose_a=False, transpose_b=False):
    """Matrix product over the last two axes."""
    a = ops.swapaxes(a, -1, -2) if transpose_a else a
    return ops.matmul(a, ops.swapaxes(b, -1, -2) if transpose_b else b)


def norm(tensor, ord="euclidean", axis=None, keepdims=None):
    """Length of vectors or matrices; without an axis, of all values as one vector."""
    if axis is None and not isinstance(ord, str):
        tensor = ops.reshape(tensor, (-1,))
    if ord == "euclidean":
        return ops.sqrt(ops.sum(ops.square(ops.absolute(tensor)), axis, bool(keepdims)))
    return ops.norm(tensor, ord, axis, bool(keepdims))


def eye(num_rows, num_columns=None, batch_shape=None, dtype="float32"):
    """Ones on the diagonal, zeros elsewhere."""
    matrix = ops.eye(num_rows, num_columns, dtype=dtype)
    return ops.broadcast_to(matrix, as_shape(batch_shape or ()) + tuple(matrix.shape))


def svd(tensor, full_matrices=False, compute_uv=True):
    """Singular values first, then u and v, of which v is not transposed."""
    found = ops.svd(tensor, full_matrices, compute_uv)
    if not compute_uv:
        return found
    u, s, vh = found
    return s, u, ops.swapaxes(vh, -1, -2)


def band_part(input, num_lower, num_upper):
    """The values near the diagonal, zeros elsewhere; -1 keeps a whole triangle."""
    input = input if num_lower < 0 else ops.triu(input, -num_lower)
    return input if num_upper < 0 else ops.tril(input, num_upper)


__all__ = publish(globals(), TABLE)
__getattr__ = explain("tf.linalg", __all__)
