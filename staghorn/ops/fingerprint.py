"""Hashes of byte strings in vectorised NumPy: the ones that Keras's layers take from TensorFlow.

Strings of one length are hashed together, as the rows of a matrix of bytes. All arithmetic is that
of unsigned 64-bit integers, which wrap around.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_K0 = np.uint64(0xC3A5C85C97CB3127)
_K1 = np.uint64(0xB492B66FBE98F273)
_K2 = np.uint64(0x9AE16A3B2F90404F)
_CAT = np.uint64(0xC6A4A7935BD1E995)
_SIP = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)

Array = Any  # of uint64, or one such number


def _u(value: int) -> np.uint64:
    return np.uint64(value & 0xFFFFFFFFFFFFFFFF)


def _rotl(x: Array, by: int) -> Array:
    return (x << _u(by)) | (x >> _u(64 - by))


def _rotr(x: Array, by: int) -> Array:
    return _rotl(x, 64 - by)


def _mix(x: Array) -> Array:
    return x ^ (x >> _u(47))


def _pair(u: Array, v: Array, mul: Array) -> Array:
    a = _mix((u ^ v) * mul)
    return _mix((v ^ a) * mul) * mul


def _word(rows: Array, at: int, size: int = 8) -> Array:
    """Return `size` little-endian bytes of every row from a place on."""
    part = np.ascontiguousarray(rows[:, at : at + size])
    return part.view(f"<u{size}")[:, 0].astype(np.uint64)


def _by_length(values: Sequence[bytes], digest: Callable[[Array], Array]) -> Array:
    """Apply a function of a (count, length) matrix of bytes to the strings of each length."""
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    result = np.empty(len(values), np.uint64)
    order = np.argsort(lengths, kind="stable")
    sizes, starts = np.unique(lengths[order], return_index=True)
    with np.errstate(over="ignore"):
        for size, places in zip(sizes.tolist(), np.split(order, starts[1:]), strict=True):
            joined = b"".join([values[i] for i in places.tolist()])
            rows = np.frombuffer(joined, np.uint8).reshape(len(places), size)
            result[places] = digest(rows)
    return result


def _short(rows: Array) -> Array:
    """FarmHash of at most 16 bytes."""
    n = rows.shape[1]
    mul = _K2 + _u(2 * n)
    if n >= 8:
        a, b = _word(rows, 0) + _K2, _word(rows, n - 8)
        return _pair(_rotr(b, 37) * mul + a, (_rotr(a, 25) + b) * mul, mul)
    if n >= 4:
        first, last = _word(rows, 0, 4), _word(rows, n - 4, 4)
        return _pair(_u(n) + (first << _u(3)), last, mul)
    if n > 0:
        a, b, c = (rows[:, i].astype(np.uint64) for i in (0, n >> 1, n - 1))
        y, z = a + (b << _u(8)), _u(n) + (c << _u(2))
        return _mix(y * _K2 ^ z * _K0) * _K2
    return np.full(len(rows), _K2)


def _middle(rows: Array) -> Array:
    """FarmHash of 17 to 64 bytes."""
    n = rows.shape[1]
    mul = _K2 + _u(2 * n)
    a, b = _word(rows, 0) * (_K1 if n <= 32 else _K2), _word(rows, 8)
    c, d = _word(rows, n - 8) * mul, _word(rows, n - 16) * _K2
    y = _rotr(a + b, 43) + _rotr(c, 30) + d
    z = _pair(y, a + _rotr(b + _K2, 18) + c, mul)
    if n <= 32:
        return z
    e, f = _word(rows, 16) * mul, _word(rows, 24)
    g, h = (y + _word(rows, n - 32)) * mul, (z + _word(rows, n - 24)) * mul
    return _pair(_rotr(e + f, 43) + _rotr(g, 30) + h, e + _rotr(f + a, 18) + g, mul)


def _weak(rows: Array, at: int, a: Array, b: Array) -> tuple[Array, Array]:
    w, x, y, z = (_word(rows, at + 8 * i) for i in range(4))
    a = a + w
    b = _rotr(b + a + z, 21)
    total = a + x + y
    return total + z, b + _rotr(total, 44) + a


def _long(rows: Array) -> Array:
    """FarmHash of more than 64 bytes: a state of seven words, stirred by blocks of 64 bytes."""
    n = rows.shape[1]
    zero = np.zeros(len(rows), np.uint64)
    x = _u(81) * _K2 + _word(rows, 0)
    y = zero + _u(81) * _K1 + _u(113)
    z = _mix(y * _K2 + _u(113)) * _K2
    v, w = (zero, zero), (zero, zero)

    def stir(at: int, mul: Array, nine: np.uint64) -> None:
        nonlocal x, y, z, v, w
        x = _rotr(x + y + v[0] + _word(rows, at + 8), 37) * mul
        y = _rotr(y + v[1] + _word(rows, at + 48), 42) * mul
        x = x ^ w[1] * nine
        y = y + v[0] * nine + _word(rows, at + 40)
        z = _rotr(z + w[0], 33) * mul
        v = _weak(rows, at, v[1] * mul, x + w[0])
        w = _weak(rows, at + 32, z + w[1], y + _word(rows, at + 16))
        x, z = z, x

    for at in range(0, (n - 1) // 64 * 64, 64):
        stir(at, _K1, _u(1))
    mul = _K1 + ((z & _u(255)) << _u(1))
    first = w[0] + _u((n - 1) & 63)
    v = v[0] + first, v[1]
    w = first + v[0], w[1]
    stir(n - 64, mul, _u(9))
    u = _pair(v[0], w[0], mul) + _mix(y) * _K0 + z
    return _pair(u, _pair(v[1], w[1], mul) + x, mul)


def _farm(rows: Array) -> Array:
    n = rows.shape[1]
    return _short(rows) if n <= 16 else _middle(rows) if n <= 64 else _long(rows)


def fingerprint64(values: Sequence[bytes]) -> Array:
    """Return FarmHash's 64-bit fingerprint of each string.

    list of n byte strings → (n,) uint64

    Args:
        values: the strings.

    Example:
        >>> from staghorn.ops.fingerprint import fingerprint64
        >>> fingerprint64([b"", b"a"]).tolist()
        [11160318154034397263, 12917804110809363939]

    Reference: https://github.com/google/farmhash (`farmhashna::Hash64`)
    """
    return _by_length(values, _farm)


def fingerprint_cat64(first: Array, second: Array) -> Array:
    """Return one fingerprint for two, as TensorFlow's crossing of features does.

    Example:
        >>> from staghorn.ops.fingerprint import fingerprint_cat64
        >>> int(fingerprint_cat64(np.uint64([1]), np.uint64([2]))[0]) < 2**64
        True
    """
    with np.errstate(over="ignore"):
        mixed = (first ^ _CAT ^ (_mix(second * _CAT) * _CAT)) * _CAT
        return _mix(_mix(mixed) * _CAT)


def siphash64(values: Sequence[bytes], key: tuple[int, int]) -> Array:
    """Return SipHash-2-4 of each string, a hash with a secret.

    list of n byte strings → (n,) uint64

    Args:
        values: the strings.
        key: two integers, the secret.

    Example:
        >>> from staghorn.ops.fingerprint import siphash64
        >>> key = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
        >>> hex(siphash64([bytes(range(15))], key)[0])
        '0xa129ca6149be45e5'

    Reference: https://www.aumasson.jp/siphash/siphash.pdf
    """

    def digest(rows: Array) -> Array:
        n = rows.shape[1]
        padded = np.zeros((len(rows), n // 8 * 8 + 8), np.uint8)
        padded[:, :n] = rows
        padded[:, -1] = n & 255
        keys = [_u(int(k)) for k in (*key, *key)]
        v = [np.full(len(rows), _u(c) ^ k) for c, k in zip(_SIP, keys, strict=True)]
        for at in range(0, padded.shape[1], 8):
            word = _word(padded, at)
            v[3] = v[3] ^ word
            _sip_rounds(v, 2)
            v[0] = v[0] ^ word
        v[2] = v[2] ^ _u(255)
        _sip_rounds(v, 4)
        return v[0] ^ v[1] ^ v[2] ^ v[3]

    return _by_length(values, digest)


def _sip_rounds(v: list[Array], count: int) -> None:
    for _ in range(count):
        for a, b, by, half in ((0, 1, 13, True), (2, 3, 16, False), (0, 3, 21, False),
                               (2, 1, 17, True)):  # fmt: skip
            v[a] = v[a] + v[b]
            v[b] = _rotl(v[b], by) ^ v[a]
            if half:
                v[a] = _rotl(v[a], 32)
