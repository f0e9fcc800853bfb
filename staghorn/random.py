"""Random numbers with Keras's names over `jax.random`: equal numbers for equal seeds.

A seed is an int (the same numbers at every call), a `SeedGenerator` (new numbers at every call,
reproducible and safe in compiled code), a raw key array, or None (one global generator, which
`staghorn.utils.set_random_seed` resets).
"""

import functools
import math
import random as python_random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine import naming, threefry
from staghorn.engine.dtypes import is_float, standardize_dtype
from staghorn.engine.jax_internals import is_staging, is_tracer
from staghorn.engine.scope import current_scope
from staghorn.engine.serialization import Configurable
from staghorn.engine.variable import Variable

__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "draw_seed", "dropout", "gamma",
    "global_seed", "global_seed_generator", "global_seed_state", "make_default_seed",
    "make_shuffle_seed", "normal", "randint", "reset_global_seed", "shuffle", "truncated_normal",
    "uniform",
]  # fmt: skip

Seed = Any  # int | SeedGenerator | uint32 array of shape (2,) | None
Shape = Sequence[int]

_UNSEEDED = """\
A random function was called without a seed while JAX was staging a program. The program would \
hold one fixed draw and repeat it at every call.
You wrote something like      staghorn.random.normal(shape)
Make a generator in the layer's constructor and pass it:
    self.seed_generator = staghorn.random.SeedGenerator()
    ...
    staghorn.random.normal(shape, seed=self.seed_generator)"""


def make_default_seed() -> int:
    """Draw a seed from Python's `random`, as Keras does: `random.seed(n)` fixes it.

    Example:
        >>> 1 <= staghorn.random.make_default_seed() <= 10**9
        True
    """
    return python_random.randint(1, int(1e9))


def make_shuffle_seed() -> int:
    """Draw a seed for the order of rows from NumPy's global generator, as Keras shuffles with it.

    Python's `random` stays untouched: weights made after a `fit` still equal Keras's.

    Example:
        >>> 0 <= staghorn.random.make_shuffle_seed() < 10**9
        True
    """
    return int(np.random.randint(0, int(1e9)))


class SeedGenerator(Configurable):
    """A source of seeds: each draw gets a new one, in a fixed order.

    () → (2,)        key = [seed, draws so far], a raw threefry key

    The state is a Variable, so a generator that is an attribute of a layer or model works in
    compiled code, where a draw without a seed cannot.

    Args:
        seed: a non-negative int, or None for one drawn from Python's `random`. Default: None.
        name: a label. Default: `seed_generator`, `seed_generator_1`, ...
        **kwargs: none; unknown arguments are errors.

    Raises:
        ValueError: if `seed` is neither an int nor None.

    Example:
        >>> seeds = staghorn.random.SeedGenerator(42)
        >>> first = staghorn.random.normal((2, 3), seed=seeds)
        >>> second = staghorn.random.normal((2, 3), seed=seeds)
        >>> bool((first == second).any())
        False

    Notes: equal to Keras on JAX bit for bit. An eager draw computes its key in NumPy and compiles
    nothing; it costs a device sync.
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        for unknown in kwargs:  # Keras's signature collects them, and refuses them too
            raise TypeError(
                f"SeedGenerator.__init__() got an unexpected keyword argument {unknown!r}"
            )
        if seed is not None and not _is_int(seed):
            raise ValueError(
                f"SeedGenerator: seed must be an int or None, got {seed!r} ({type(seed).__name__})."
            )
        self.name = naming.auto_name(type(self).__name__) if name is None else name
        self.seed = seed
        start = make_default_seed() if seed is None else seed
        self.state = Variable(
            threefry.seed_key(start),
            dtype="uint32",
            trainable=False,
            autocast=False,
            name="seed_generator_state",
        )
        self.state.path = "/".join([*naming.scopes.get(), self.name, self.state.name])

    def next(self, ordered: bool = True) -> jax.Array:
        """Return the present key and move on: () → (2,), uint32.

        Args:
            ordered: True adds 1 to the counter. False scrambles the whole key, as Keras does for
                its global generator. Default: True.

        Example:
            >>> seeds = staghorn.random.SeedGenerator(7)
            >>> np.asarray(seeds.next()).tolist(), np.asarray(seeds.next()).tolist()
            ([7, 0], [7, 1])
        """
        if _creates_weights():
            # The weight outlives the trace of shapes it is made in, so its draw must be a real
            # one, and must not be forgotten with the Scope.
            stored = np.array(self.state._value)
            self.state._store(jnp.array(_following(stored, ordered)))
            return jnp.array(stored)
        key = self.state.value
        if is_tracer(key):
            self.state.assign(_following(key, ordered))
            return key
        concrete = np.array(key)
        self.state.assign(_following(concrete, ordered))
        return jnp.array(concrete)


def _creates_weights() -> bool:
    """Say whether a Variable is being made while shapes are traced.

    `Variable` opens compile-time evaluation for its initializer; there new arrays are concrete.
    """
    scope = current_scope()
    return scope is not None and scope.abstract and not is_tracer(jnp.zeros((2,), jnp.uint32))


def _following(key: Any, ordered: bool) -> Any:
    """The state after `key`, modulo 2**32; NumPy in, NumPy out."""
    if ordered:
        return key + np.array([0, 1], np.uint32)
    one, factor, modulus = np.uint32(1), np.uint32(5387), np.uint32(933199)
    return (key + one) * factor % modulus


@dataclass
class _Global:
    seed: int | None = None
    generator: SeedGenerator | None = None


_global = _Global()


def global_seed_generator() -> SeedGenerator:
    """Return the generator that serves draws without a seed; it is made at the first one.

    Example:
        >>> staghorn.random.global_seed_generator() is staghorn.random.global_seed_generator()
        True
    """
    if _global.generator is None:
        _global.generator = SeedGenerator()
    return _global.generator


def global_seed_state() -> Any:
    """Return the state of the global generator, None while nobody has drawn from it.

    Example:
        >>> staghorn.random.reset_global_seed()
        >>> staghorn.random.global_seed_state() is None
        True
    """
    return None if _global.generator is None else _global.generator.state.value


def reset_global_seed(seed: int | None = None) -> None:
    """Forget the global generator and remember the user's seed (`set_random_seed` calls this).

    Args:
        seed: an int, or None for a random one. Default: None.

    Example:
        >>> staghorn.random.reset_global_seed(3)
        >>> staghorn.random.global_seed()
        3
        >>> staghorn.random.reset_global_seed()
    """
    _global.seed = seed
    _global.generator = None


def global_seed() -> int | None:
    """Return the seed last given to `set_random_seed`, or None; data shuffling derives from it.

    Example:
        >>> staghorn.random.reset_global_seed()
        >>> staghorn.random.global_seed() is None
        True
    """
    return _global.seed


def draw_seed(seed: Seed) -> jax.Array:
    """Turn any seed into a raw key: () → (2,), uint32.

    Args:
        seed: an int, a `SeedGenerator`, or None (the global generator).

    Raises:
        ValueError: if `seed` is of another kind, or None while JAX stages a program whose state
            does not hold the global generator.

    Example:
        >>> np.asarray(staghorn.random.draw_seed(5)).tolist()
        [5, 0]
    """
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if _is_int(seed):
        return jnp.array(threefry.seed_key(seed))
    if seed is None:
        return _draw_unseeded()
    if isinstance(seed, (jax.Array, np.ndarray)):
        return jnp.asarray(seed)
    raise ValueError(
        "staghorn.random: seed must be an int, a SeedGenerator or None, "
        f"got {seed!r} ({type(seed).__name__})."
    )


def _draw_unseeded() -> jax.Array:
    if is_staging():
        scope = around = current_scope()
        while around is not None and not around.abstract:
            around = around.parent
        # The first trace of a step, on shapes, may make the generator; a program may not.
        known = _global.generator is not None or around is not None
        if scope is None or not known or not scope.owns(global_seed_generator().state):
            raise ValueError(_UNSEEDED)
    return global_seed_generator().next(ordered=False)


def _is_int(seed: Any) -> bool:
    return isinstance(seed, (int, np.integer))


def _float_dtype(dtype: Any, function: str) -> np.dtype:
    name = standardize_dtype(dtype)
    if not is_float(name):
        raise ValueError(f"staghorn.random.{function}: dtype must be a float dtype, got {name!r}.")
    return jnp.dtype(name)


def _shift(sample: jax.Array, mean: Any, stddev: Any) -> jax.Array:
    """Sample * stddev + mean; arrays are broadcast explicitly: shape → shape."""
    scale, offset = (
        v if isinstance(v, (int, float)) else jnp.broadcast_to(_like(v, sample), sample.shape)
        for v in (stddev, mean)
    )
    return sample * scale + offset


def _like(value: Any, sample: jax.Array) -> jax.Array:
    return jnp.asarray(value, sample.dtype)


def normal(
    shape: Shape, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Seed = None
) -> jax.Array:
    """Normal (Gaussian) numbers: () → shape.

    Args:
        shape: shape of the result.
        mean: centre. Default: 0.
        stddev: standard deviation. Default: 1.
        dtype: a float dtype. Default: `floatx()`.
        seed: int, SeedGenerator or None. Default: None (the global generator).

    Example:
        >>> staghorn.random.normal((2, 3), seed=1).shape
        (2, 3)
    """
    dtype = _float_dtype(dtype, "normal")
    return _shift(jax.random.normal(draw_seed(seed), tuple(shape), dtype), mean, stddev)


def truncated_normal(
    shape: Shape, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Seed = None
) -> jax.Array:
    """Normal numbers, redrawn beyond two standard deviations: () → shape.

    Args:
        shape: shape of the result.
        mean: centre of the normal distribution. Default: 0.
        stddev: standard deviation before the cut. Default: 1.
        dtype: a float dtype. Default: `floatx()`.
        seed: int, SeedGenerator or None. Default: None (the global generator).

    Example:
        >>> x = staghorn.random.truncated_normal((1000,), seed=1)
        >>> bool(abs(x).max() < 2)
        True
    """
    dtype = _float_dtype(dtype, "truncated_normal")
    sample = jax.random.truncated_normal(draw_seed(seed), -2.0, 2.0, tuple(shape), dtype)
    return _shift(sample, mean, stddev)


def uniform(
    shape: Shape, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Seed = None
) -> jax.Array:
    """Evenly spread floats in [minval, maxval): () → shape.

    Args:
        shape: shape of the result.
        minval: lower bound, included. Default: 0.
        maxval: upper bound, excluded. Default: 1.
        dtype: a float dtype; use `randint` for integers. Default: `floatx()`.
        seed: int, SeedGenerator or None. Default: None (the global generator).

    Example:
        >>> x = staghorn.random.uniform((1000,), -1.0, 1.0, seed=1)
        >>> bool(x.min() >= -1 and x.max() < 1)
        True
    """
    dtype = _float_dtype(dtype, "uniform")
    return jax.random.uniform(draw_seed(seed), tuple(shape), dtype, minval, maxval)


def randint(
    shape: Shape, minval: int, maxval: int, dtype: Any = "int32", seed: Seed = None
) -> jax.Array:
    """Integers in [minval, maxval): () → shape.

    Args:
        shape: shape of the result.
        minval: lower bound, included.
        maxval: upper bound, excluded.
        dtype: an integer dtype. Default: int32.
        seed: int, SeedGenerator or None. Default: None (the global generator).

    Example:
        >>> x = staghorn.random.randint((1000,), 0, 10, seed=1)
        >>> int(x.min()), int(x.max())
        (0, 9)
    """
    name = "int32" if dtype is None else standardize_dtype(dtype)
    if not name.startswith(("int", "uint")):
        raise ValueError(f"staghorn.random.randint: dtype must be an integer dtype, got {name!r}.")
    return jax.random.randint(draw_seed(seed), tuple(shape), minval, maxval, jnp.dtype(name))


def categorical(
    logits: Any, num_samples: int, dtype: Any = "int32", seed: Seed = None
) -> jax.Array:
    """Class indices drawn from unnormalised log-probabilities.

    (batch, classes) → (batch, num_samples)

    Args:
        logits: log-probabilities, a row for each distribution.
        num_samples: draws per row.
        dtype: dtype of the indices. Default: int32.
        seed: int, SeedGenerator or None. Default: None (the global generator).

    Raises:
        ValueError: if `logits` does not have two axes.

    Example:
        >>> staghorn.random.categorical(np.log([[0.001, 0.999]]), 4, seed=1).shape
        (1, 4)
    """
    logits = jnp.asarray(logits)
    if logits.ndim != 2:
        raise ValueError(
            "staghorn.random.categorical: logits must have shape (batch, classes), "
            f"got {logits.shape}."
        )
    shape = (logits.shape[0], num_samples)
    drawn = jax.random.categorical(
        draw_seed(seed), logits[:, :, None], axis=1, shape=shape
    )  # (batch, num_samples)
    return drawn.astype(standardize_dtype(dtype))


@functools.partial(jax.jit, static_argnames="shape")
def _bernoulli(key: jax.Array, chance: float, shape: tuple[int, ...]) -> jax.Array:
    """`jax.random.bernoulli` bit for bit, for compiled programs on any device.

    On CPUs JAX writes Threefry's rounds as a loop, which XLA cannot fuse with what is around it:
    (64, 256) numbers inside a loop over steps took 51 us there and take 22 us here, and half the
    time to compile.
    """
    count = math.prod(shape)
    k0, k1 = key[0], key[1]
    schedule = (k0, k1, k0 ^ k1 ^ threefry.PARITY)
    x0 = jnp.full((count,), k0)
    x1 = jax.lax.iota(jnp.uint32, count) + k1
    for injection in range(1, 6):
        for distance in threefry.ROTATIONS[(injection - 1) % 2]:
            x0 = x0 + x1
            x1 = x0 ^ ((x1 << np.uint32(distance)) | (x1 >> np.uint32(32 - distance)))
        x0 = x0 + schedule[injection % 3]
        x1 = x1 + (schedule[(injection + 1) % 3] + np.uint32(injection))
    mantissa = ((x0 ^ x1) >> np.uint32(9)) | np.float32(1).view(np.uint32)
    unit = jax.lax.bitcast_convert_type(mantissa, jnp.float32) - np.float32(1)
    return (unit < chance).reshape(shape)


def dropout(
    inputs: Any, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Seed = None
) -> jax.Array:
    """Zero a random part of the inputs and scale up the rest: shape → shape.

    y = x * mask / (1 - rate), mask ~ Bernoulli(1 - rate)

    Args:
        inputs: floats of any shape.
        rate: probability of zeroing, in [0, 1].
        noise_shape: shape of the mask, broadcast to the inputs; None inside it means the inputs'
            size there. Default: the inputs' shape.
        seed: int, SeedGenerator or None. Default: None (the global generator).

    Example:
        >>> y = staghorn.random.dropout(np.ones((4, 100), "float32"), 0.5, seed=1)
        >>> sorted(set(np.asarray(y).ravel().tolist()))
        [0.0, 2.0]

    Notes: a rate of 0 or 1 draws nothing, so a generator does not move on (as in Keras).
    Reference: Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html
    """
    inputs = jnp.asarray(inputs)
    if rate == 0.0:
        return inputs
    if rate == 1.0:
        return jnp.zeros_like(inputs)
    shape = inputs.shape
    if noise_shape is not None:
        shape = tuple(
            inputs.shape[axis] if size is None else size for axis, size in enumerate(noise_shape)
        )
    keep = 1.0 - rate
    key = draw_seed(seed)
    draw = _bernoulli if is_staging() else jax.random.bernoulli
    mask = jnp.broadcast_to(draw(key, np.float32(keep), tuple(shape)), inputs.shape)
    return jax.lax.select(mask, inputs / keep, jnp.zeros_like(inputs))


def shuffle(x: Any, axis: int = 0, seed: Seed = None) -> jax.Array:
    """The elements in random order along one axis: shape → shape.

    Args:
        x: any array.
        axis: the axis to shuffle along; each line along it gets an order of its own. Default: 0.
        seed: int, SeedGenerator or None. Default: None (the global generator).

    Example:
        >>> sorted(staghorn.random.shuffle(np.arange(5), seed=1).tolist())
        [0, 1, 2, 3, 4]
    """
    return jax.random.permutation(draw_seed(seed), jnp.asarray(x), axis, independent=True)


def gamma(shape: Shape, alpha: Any, dtype: Any = None, seed: Seed = None) -> jax.Array:
    """Numbers of the gamma distribution with scale 1: () → shape.

    Args:
        shape: shape of the result.
        alpha: shape parameter, a float or an array that broadcasts to `shape`.
        dtype: a float dtype. Default: `floatx()`.
        seed: int, SeedGenerator or None. Default: None (the global generator).

    Example:
        >>> bool(staghorn.random.gamma((100,), 2.0, seed=1).min() > 0)
        True
    """
    dtype = _float_dtype(dtype, "gamma")
    shape = tuple(shape)
    alpha = jnp.broadcast_to(jnp.asarray(alpha, dtype), shape)
    return jax.random.gamma(draw_seed(seed), alpha, shape, dtype)


def binomial(
    shape: Shape, counts: Any, probabilities: Any, dtype: Any = None, seed: Seed = None
) -> jax.Array:
    """Numbers of successes in `counts` trials: () → shape.

    Args:
        shape: shape of the result.
        counts: number of trials, a number or an array that broadcasts to `shape`.
        probabilities: probability of success, likewise.
        dtype: a float dtype. Default: `floatx()`.
        seed: int, SeedGenerator or None. Default: None (the global generator).

    Example:
        >>> x = staghorn.random.binomial((100,), 10, 0.5, seed=1)
        >>> bool(x.min() >= 0 and x.max() <= 10)
        True
    """
    dtype = _float_dtype(dtype, "binomial")
    shape = tuple(shape)
    counts, probabilities = (
        jnp.broadcast_to(jnp.asarray(v, dtype), shape) for v in (counts, probabilities)
    )
    return jax.random.binomial(draw_seed(seed), counts, probabilities, shape, dtype)


def beta(shape: Shape, alpha: Any, beta: Any, dtype: Any = None, seed: Seed = None) -> jax.Array:
    """Numbers of the beta distribution, in (0, 1): () → shape.

    Args:
        shape: shape of the result.
        alpha: first parameter, a float or an array that broadcasts to `shape`.
        beta: second parameter, likewise.
        dtype: a float dtype. Default: `floatx()`.
        seed: int, SeedGenerator or None. Default: None (the global generator).

    Example:
        >>> x = staghorn.random.beta((100,), 2.0, 3.0, seed=1)
        >>> bool(x.min() > 0 and x.max() < 1)
        True
    """
    dtype = _float_dtype(dtype, "beta")
    shape = tuple(shape)
    alpha, beta = (jnp.broadcast_to(jnp.asarray(v, dtype), shape) for v in (alpha, beta))
    return jax.random.beta(draw_seed(seed), alpha, beta, shape, dtype)
