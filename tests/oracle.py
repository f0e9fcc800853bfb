"""The installed `keras` (on JAX) as the oracle: what ours must equal.

`compare(ours, theirs, *arrays)` calls both on the same arrays and compares structure, shapes,
types, values and the gradient with respect to every float argument.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras as keras
import numpy as np

from staghorn.engine.variable import Variable


def is_float(x):
    return jnp.issubdtype(jnp.asarray(x).dtype, jnp.floating)


def half_tolerance(dtype, largest):
    """Return how far numbers drawn by XLA may be from the same in NumPy: one unit of the largest.

    On CPUs that calculate with float16 XLA multiplies and adds at once, without rounding in between
    (300 * 300 - 60000 is finite); on others it rounds after each operation, as NumPy does.
    """
    if dtype != "float16":
        return 0.0
    found = jax.jit(lambda a: a * a - 60000)(jnp.float16(300))
    return float(np.spacing(np.float16(largest))) if np.isfinite(found) else 0.0


def plain(x):
    """An array, Variable or number as a NumPy array (halves as float32, so that they compare)."""
    x = x.value if isinstance(x, (Variable, keras.Variable)) else x
    x = np.asarray(x)
    return x.astype("float32") if x.dtype.name in ("bfloat16", "float16") else x


def assert_same(ours, theirs, rtol=1e-5, atol=1e-6, what="value"):
    """Compare two nests of arrays: number of leaves, shapes, types and values."""
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert len(ours) == len(theirs), f"{what}: {len(ours)} results, keras has {len(theirs)}"
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        label = f"{what} {i}"
        assert np.shape(a) == np.shape(b), f"{label}: shape {np.shape(a)}, keras {np.shape(b)}"
        ours_type, theirs_type = jnp.asarray(a).dtype, jnp.asarray(b).dtype
        assert ours_type == theirs_type, f"{label}: {ours_type}, keras {theirs_type}"
        np.testing.assert_allclose(plain(a), plain(b), rtol=rtol, atol=atol, err_msg=label)


def gradients(fn, arrays):
    """Gradients of a weighted sum of fn's float results, for each float argument."""
    places = [i for i, x in enumerate(arrays) if is_float(x)]

    def total(*chosen):
        full = list(arrays)
        for i, x in zip(places, chosen, strict=True):
            full[i] = x
        result = 0.0
        for leaf in jax.tree.leaves(fn(*full)):
            if is_float(leaf):
                # Unequal weights: a plain sum hides a gradient that went to the wrong place.
                weights = np.cos(np.arange(leaf.size, dtype="float32")).reshape(leaf.shape)
                result = result + jnp.sum(leaf.astype("float32") * weights)
        return result

    chosen = [jnp.asarray(arrays[i]) for i in places]
    return jax.grad(total, argnums=tuple(range(len(places))))(*chosen) if places else ()


def compare(fn_ours, fn_keras, *arrays, grad=True, rtol=1e-5, atol=1e-6):
    """Compare shape, type, value and the gradient for every float argument; return our result.

    Ours runs eagerly. Both libraries' gradients are one compiled program, because compiling is
    what these tests spend their time on.
    """
    ours, theirs = fn_ours(*arrays), fn_keras(*arrays)
    assert_same(ours, theirs, rtol, atol)
    if grad and any(is_float(leaf) for leaf in jax.tree.leaves(theirs)):

        @jax.jit
        def both(floats):  # whole numbers may be sizes or places: they stay known
            full = [floats.get(i, x) for i, x in enumerate(arrays)]
            return gradients(fn_ours, full), gradients(fn_keras, full)

        floats = {i: x for i, x in enumerate(arrays) if is_float(x)}
        assert_same(*both(floats), rtol, atol, "gradient")
    return ours
