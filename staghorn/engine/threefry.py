"""Threefry-2x32 random numbers in plain NumPy, equal to `jax.random` of jax 0.10.2.

Initial weights come from here, for two reasons. `jax.random.uniform` compiles one program per
shape, so a model of thirty layers would pay thirty compilations before its first step. And a
layer that is built inside someone's `jax.jit` must get arrays, not tracers.

Every function takes a raw key (two uint32 numbers) and a shape, and returns a NumPy array.
`bits` is equal to `jax.random.bits` bit for bit; the float functions agree to the last digit
or two, because XLA fuses a multiply and an add where NumPy rounds twice.

Reference: Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from collections.abc import Callable, Sequence
from math import erf
from typing import Any

import ml_dtypes
import numpy as np

# Elements per block. Three uint32 buffers of 128 KiB stay in a core's second-level cache, where
# NumPy's in-place loops run about four times as fast as from main memory.
BLOCK = 1 << 15

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = np.uint32(0x1BD11BDA)
UNSIGNED = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}

# Giles, 2010, "Approximating the erfinv function", table for single precision: a polynomial in
# w - 2.5 for the centre (w < 5), one in sqrt(w) - 3 for the tails. Highest power first.
ERFINV_CENTRE = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
ERFINV_TAIL = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)

Shape = Sequence[int]


def raw_key(key: Any) -> tuple[np.uint32, np.uint32]:
    """Two uint32 words from any array-like of two integers (taken modulo 2**32)."""
    words = np.asarray(key)
    if words.shape != (2,):
        raise ValueError(
            f"threefry: key must hold two uint32 words, got an array of shape {words.shape}."
        )
    return np.uint32(int(words[0]) & 0xFFFFFFFF), np.uint32(int(words[1]) & 0xFFFFFFFF)


def seed_key(seed: int) -> np.ndarray:
    """The raw key Keras makes of an integer seed: `[seed, 0]`."""
    return np.array([int(seed) & 0xFFFFFFFF, 0], np.uint32)


def hash_block(
    k0: np.uint32, k1: np.uint32, x0: np.ndarray, x1: np.ndarray, scratch: np.ndarray
) -> None:
    """Encrypt the counters (x0: high words, x1: low words) in place.

    (n,), (n,) → (n,), (n,). Twenty rounds: add, rotate, xor; a key word is injected every four.
    """
    schedule = (k0, k1, k0 ^ k1 ^ PARITY)
    with np.errstate(over="ignore"):  # the algorithm counts modulo 2**32
        np.add(x0, schedule[0], out=x0)
        np.add(x1, schedule[1], out=x1)
        for injection in range(1, 6):
            for distance in ROTATIONS[(injection - 1) % 2]:
                np.add(x0, x1, out=x0)
                np.left_shift(x1, np.uint32(distance), out=scratch)
                np.right_shift(x1, np.uint32(32 - distance), out=x1)
                np.bitwise_or(x1, scratch, out=x1)
                np.bitwise_xor(x1, x0, out=x1)
            np.add(x0, schedule[injection % 3], out=x0)
            np.add(x1, schedule[(injection + 1) % 3] + np.uint32(injection), out=x1)


def words(key: Any, start: int, x0: np.ndarray, x1: np.ndarray, scratch: np.ndarray) -> None:
    """Fill x0, x1 with the two output words of the counters start, start + 1, …"""
    k0, k1 = raw_key(key)
    count = x0.size
    high = start >> 32
    low = start & 0xFFFFFFFF
    x0.fill(high)
    until_carry = (1 << 32) - low
    x1[:] = np.arange(low, low + count, dtype=np.uint64).astype(np.uint32)
    if until_carry < count:
        x0[until_carry:] = high + 1
    hash_block(k0, k1, x0, x1, scratch)


def _blocks(
    key: Any, shape: Shape, dtype: Any, transform: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Run `transform(high words, low words)` block by block into one new array of `shape`.

    Costs the result plus a fixed few hundred KiB, whatever the shape.
    """
    out = np.empty(tuple(shape), dtype)
    flat = out.reshape(-1)  # (size,), a view
    size = flat.size
    x0, x1, scratch = (np.empty(min(BLOCK, size), np.uint32) for _ in range(3))
    for start in range(0, size, BLOCK):
        count = min(BLOCK, size - start)
        a, b = x0[:count], x1[:count]
        words(key, start, a, b, scratch[:count])
        flat[start : start + count] = transform(a, b)
    return out


def bits(key: Any, shape: Shape, width: int = 32) -> np.ndarray:
    """Random bits as unsigned integers of `width` bits (8, 16, 32 or 64): shape → shape.

    The counter of an element is its row-major index; the two output words are joined by xor
    (or, for 64 bits, put side by side): JAX's "partitionable" layout.

    Example:
        >>> from staghorn.engine import threefry
        >>> threefry.bits([1, 0], (2, 3)).dtype.name
        'uint32'
    """
    dtype = UNSIGNED[width]
    if width == 64:
        return _blocks(key, shape, dtype, lambda a, b: (a.astype(np.uint64) << np.uint64(32)) | b)
    return _blocks(key, shape, dtype, lambda a, b: np.bitwise_xor(a, b, out=a).astype(dtype))


def split(key: Any, num: int = 2) -> np.ndarray:
    """`num` new keys from one, as `jax.random.split`: (2,) → (num, 2)."""
    x0, x1, scratch = (np.empty(num, np.uint32) for _ in range(3))
    words(key, 0, x0, x1, scratch)
    return np.stack([x0, x1], axis=-1)  # (num, 2)


def float_format(dtype: Any) -> tuple[np.dtype, int, int]:
    """(dtype, bits of a number, bits of its mantissa) of a float dtype, bfloat16 included."""
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype) if isinstance(dtype, str) else dtype)
    try:
        info = ml_dtypes.finfo(dtype)
    except ValueError:
        info = None
    if info is None or dtype.kind == "c":
        raise ValueError(f"threefry: dtype must be a float dtype, got {dtype.name!r}.")
    return dtype, int(info.bits), int(info.nmant)


def _unit(dtype: np.dtype, nbits: int, nmant: int) -> Callable[..., np.ndarray]:
    """A function from output words to floats in [0, 1): random mantissa, exponent of 1."""
    source = 8 if nmant < 8 else nbits  # bits drawn per number; bfloat16 draws 8
    unsigned = UNSIGNED[nbits]
    one = np.array(1, dtype)
    exponent = one.view(unsigned)
    drop = np.array(source - nmant, unsigned)

    def unit(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if nbits == 64:
            drawn = (a.astype(np.uint64) << np.uint64(32)) | b
        else:
            drawn = np.bitwise_xor(a, b, out=a)
            if nbits < 32:
                drawn = drawn.astype(UNSIGNED[source]).astype(unsigned)
        np.right_shift(drawn, drop, out=drawn)
        np.bitwise_or(drawn, exponent, out=drawn)
        floats = drawn.view(dtype)
        np.subtract(floats, one, out=floats)
        return floats

    return unit


def _scaled(unit: np.ndarray, low: Any, high: Any, dtype: np.dtype) -> np.ndarray:
    """max(low, unit * (high - low) + low): (n,) → (n,).

    XLA fuses float32's multiply and add into one rounding, which float64 imitates here; 16-bit
    floats it rounds twice.
    """
    span = high - low
    if dtype == np.float32:
        wide = unit.astype(np.float64)
        wide *= np.float64(span)
        wide += np.float64(low)
        unit = wide.astype(dtype)
    else:
        unit *= span
        unit += low
    return np.maximum(unit, low, out=unit)


def uniform(
    key: Any, shape: Shape, dtype: Any = "float32", minval: float = 0.0, maxval: float = 1.0
) -> np.ndarray:
    """Floats in [minval, maxval): shape → shape.

    Example:
        >>> from staghorn.engine import threefry
        >>> x = threefry.uniform([1, 0], (1000,), minval=-2.0, maxval=2.0)
        >>> bool(-2 <= x.min() and x.max() < 2)
        True
    """
    dtype, nbits, nmant = float_format(dtype)
    unit = _unit(dtype, nbits, nmant)
    low, high = np.asarray(minval, dtype)[()], np.asarray(maxval, dtype)[()]
    return _blocks(key, shape, dtype, lambda a, b: _scaled(unit(a, b), low, high, dtype))


def _polynomial(w: np.ndarray, coefficients: Sequence[float]) -> np.ndarray:
    """Horner's rule in float32, in two buffers."""
    result = np.full_like(w, coefficients[0])
    for coefficient in coefficients[1:]:
        result *= w
        result += np.float32(coefficient)
    return result


def erfinv(x: np.ndarray) -> np.ndarray:
    """Inverse error function of float32 or float64 numbers: (n,) → (n,); ±1 give ±inf.

    float32 takes Giles's polynomials, as XLA does; float64 takes SciPy's function.
    """
    if x.dtype == np.float64:
        # A dependency of JAX; 0.1 s to import, so only where it is needed.
        from scipy.special import erfinv as wide_erfinv

        return wide_erfinv(x)
    with np.errstate(divide="ignore"):
        w = np.negative(np.log1p(-(x * x)))  # (n,)
    result = _polynomial(w - np.float32(2.5), ERFINV_CENTRE)
    tail = np.flatnonzero(w >= 5)  # about 1 number in 300
    if tail.size:
        with np.errstate(invalid="ignore"):
            result[tail] = _polynomial(np.sqrt(w[tail]) - np.float32(3), ERFINV_TAIL)
        result[np.isinf(w)] = np.inf
    result *= x
    return result


def _normal_blocks(
    key: Any, shape: Shape, dtype: Any, low: float, high: float, clip: tuple[float, float] | None
) -> np.ndarray:
    """sqrt(2) * erfinv(u), u uniform in [low, high), optionally clipped."""
    dtype, nbits, nmant = float_format(dtype)
    unit = _unit(dtype, nbits, nmant)
    wide = np.float64 if nbits == 64 else np.float32  # small floats are widened for erfinv
    root = np.sqrt(2.0).astype(dtype)
    start, stop = np.asarray(low, dtype)[()], np.asarray(high, dtype)[()]

    def transform(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        u = _scaled(unit(a, b), start, stop, dtype)
        values = erfinv(u.astype(wide, copy=False)).astype(dtype, copy=False)
        values *= root
        return values if clip is None else np.clip(values, clip[0], clip[1], out=values)

    return _blocks(key, shape, dtype, transform)


def normal(key: Any, shape: Shape, dtype: Any = "float32") -> np.ndarray:
    """Standard normal numbers: shape → shape; sqrt(2) * erfinv(u), u uniform in (-1, 1).

    Example:
        >>> from staghorn.engine import threefry
        >>> abs(float(threefry.normal([1, 0], (10000,)).std()) - 1) < 0.05
        True
    """
    dtype = float_format(dtype)[0]
    low = np.nextafter(np.array(-1, dtype), np.array(0, dtype))
    return _normal_blocks(key, shape, dtype, low, 1.0, None)


def truncated_normal(
    key: Any, lower: float, upper: float, shape: Shape, dtype: Any = "float32"
) -> np.ndarray:
    """Standard normal numbers inside the open interval (lower, upper): shape → shape.

    sqrt(2) * erfinv(u), u uniform in [erf(lower / sqrt(2)), erf(upper / sqrt(2))).

    Example:
        >>> from staghorn.engine import threefry
        >>> bool(abs(threefry.truncated_normal([1, 0], -2, 2, (10000,))).max() < 2)
        True
    """
    dtype = float_format(dtype)[0]
    root = np.sqrt(2.0).astype(dtype)
    low, high = np.array(lower, dtype), np.array(upper, dtype)
    infinity = np.array(np.inf, dtype)
    inside = (np.nextafter(low, infinity)[()], np.nextafter(high, -infinity)[()])
    return _normal_blocks(
        key, shape, dtype, erf(float(low / root)), erf(float(high / root)), inside
    )


def randint(key: Any, shape: Shape, minval: int, maxval: int, dtype: Any = "int32") -> np.ndarray:
    """Integers in [minval, maxval), as `jax.random.randint`: shape → shape.

    Two draws are joined, so that the remainder's bias is far below one part in 2**32.

    Example:
        >>> from staghorn.engine import threefry
        >>> sorted(set(threefry.randint([1, 0], (100,), 0, 3).tolist()))
        [0, 1, 2]
    """
    dtype = np.dtype(dtype)
    if dtype.kind not in "iu":
        raise ValueError(f"threefry: dtype must be an integer dtype, got {dtype.name!r}.")
    width = max(32, dtype.itemsize * 8)  # narrow integers are drawn wide
    unsigned = UNSIGNED[width]
    low, high = int(minval), int(maxval)
    span = (high - low) if high > low else 1
    if span >= 1 << width:
        raise ValueError(f"threefry: the range [{low}, {high}) does not fit in {dtype.name!r}.")
    first, second = split(key)
    higher, lower = bits(first, shape, width), bits(second, shape, width)
    # (higher * 2**width + lower) mod span, without leaving the unsigned dtype.
    half = pow(2, width // 2, span)
    multiplier = unsigned((half * half % (1 << width)) % span)
    with np.errstate(over="ignore"):
        higher %= unsigned(span)
        higher *= multiplier
        lower %= unsigned(span)
        higher += lower
        higher %= unsigned(span)
        higher += unsigned(low % (1 << width))
    return higher.view(np.dtype(f"i{width // 8}")).astype(dtype)
