"""`tf.random`: draws from Staghorn's generators, under TensorFlow's argument names.

`seed=` of one function starts a sequence of its own, as in TensorFlow: the draws differ from call
to call. The numbers themselves are not TensorFlow's.
"""

from __future__ import annotations

import random as python_random

import jax

from staghorn import random
from staghorn.compat.spelled import as_shape, forget_seeds, publish, seeded
from staghorn.compat.tensorflow.advice import explain
from staghorn.engine.dtypes import is_float
from staghorn.ops.core import as_type


def set_seed(seed):
    """Seed Staghorn's draws: initial weights, dropout, noise.

    Initial weights are drawn from Python's `random`, which is seeded too; NumPy's generator, which
    shuffles rows in `fit`, is not. `staghorn.utils.set_random_seed` seeds all three.
    """
    forget_seeds()
    random.reset_global_seed(int(seed))
    python_random.seed(int(seed))


def normal(shape, mean=0.0, stddev=1.0, dtype="float32", seed=None):
    """Normal (Gaussian) numbers."""
    return random.normal(as_shape(shape), mean, stddev, as_type(dtype), seeded(seed))


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype="float32", seed=None):
    """Normal numbers, redrawn beyond two standard deviations."""
    return random.truncated_normal(as_shape(shape), mean, stddev, as_type(dtype), seeded(seed))


def uniform(shape, minval=0, maxval=None, dtype="float32", seed=None):
    """Evenly spread numbers in [minval, maxval); ints with an int dtype."""
    if is_float(dtype):
        high = 1.0 if maxval is None else maxval
        return random.uniform(as_shape(shape), minval, high, as_type(dtype), seeded(seed))
    if maxval is None:
        raise ValueError(f"tf.random.uniform: dtype={dtype!r} needs maxval=, the upper bound.")
    return random.randint(as_shape(shape), minval, maxval, as_type(dtype), seeded(seed))


def categorical(logits, num_samples, dtype=None, seed=None):
    """Class indices drawn from unnormalised log-probabilities."""
    return random.categorical(logits, num_samples, as_type(dtype, "int32"), seeded(seed))


def shuffle(value, seed=None):
    """The rows in random order."""
    return jax.random.permutation(random.draw_seed(seeded(seed)), jax.numpy.asarray(value))


__all__ = publish(globals(), {})
__getattr__ = explain("tf.random", __all__)
