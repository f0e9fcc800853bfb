"""Limits on the size of gradients: pure functions over lists of arrays."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def global_norm(gradients: Sequence[jax.Array]) -> jax.Array:
    """Return the Euclidean norm of all gradients taken as one long vector.

    (any shapes, ...) → ()        norm = sqrt(sum_i sum(g_i ** 2))

    Half-precision gradients are summed in float32: squares leave float16's range above 255.

    Args:
        gradients: list of arrays.

    Example:
        >>> float(staghorn.optimizers.clipping.global_norm([np.array([3.0]), np.array([4.0])]))
        5.0
    """
    arrays = [jnp.asarray(gradient) for gradient in gradients]
    wide = "float64" if any(array.dtype == "float64" for array in arrays) else "float32"
    squares = [jnp.sum(jnp.square(array.astype(wide))) for array in arrays]
    return jnp.sqrt(sum(squares[1:], squares[0]))


def clip_by_norm(gradient: jax.Array, limit: float) -> jax.Array:
    """Shrink one gradient so that its Euclidean norm is at most `limit`.

    shape → shape        g * limit / max(norm(g), limit)

    Args:
        gradient: an array.
        limit: float, the largest norm allowed.

    Example:
        >>> staghorn.optimizers.clipping.clip_by_norm(np.array([3.0, 4.0], "float32"), 1.0).tolist()
        [0.6000000238418579, 0.800000011920929]
    """
    norm = global_norm([gradient])
    scale = jnp.where(norm > limit, limit / norm, jnp.ones_like(norm))
    return gradient * scale.astype(gradient.dtype)


def clip_by_global_norm(gradients: Sequence[jax.Array], limit: float) -> list[jax.Array]:
    """Shrink all gradients by one factor so that their common norm is at most `limit`.

    shapes → the same shapes        g_i * min(1, limit / global_norm(g))

    A norm that is not finite turns every gradient into NaN, so that the accident shows.

    Args:
        gradients: list of arrays.
        limit: float, the largest norm allowed.

    Example:
        >>> g = [np.array([3.0], "float32"), np.array([4.0], "float32")]
        >>> clipped = staghorn.optimizers.clipping.clip_by_global_norm(g, 1.0)
        >>> [round(float(x[0]), 3) for x in clipped]
        [0.6, 0.8]
    """
    norm = global_norm(gradients)
    scale = jnp.where(jnp.isfinite(norm), jnp.minimum(limit / norm, 1.0), jnp.nan)
    return [g * scale.astype(g.dtype) for g in gradients]
