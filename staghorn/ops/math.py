"""Segments, ranks, special functions and Fourier transforms (`keras.ops`'s math part)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array, as_float
from staghorn.ops.elementwise import unary
from staghorn.ops.products import slogdet

__all__ = [
    "cdist", "erf", "erfc", "erfinv", "extract_sequences", "fft", "fft2", "ifft2", "in_top_k",
    "irfft", "istft", "logdet", "logsumexp", "rfft", "rsqrt", "segment_max", "segment_min",
    "segment_prod", "segment_sum", "stft", "top_k", "view_as_complex", "view_as_real",
]  # fmt: skip

_SEGMENT = """{summary}

(n, ...), (n,) → (num_segments, ...)

Args:
    data: values.
    segment_ids: the segment of each row, ints.
    num_segments: how many segments there are; needed, as it fixes the shape.
    sorted: promise that the ids rise, which is faster. Default: False.

Raises:
    ValueError: without `num_segments`, or if the shapes do not fit.

Example:
    >>> print(staghorn.ops.{name}([1, 2, 3], [0, 1, 1], num_segments=2))
    {result}
"""


def _segments(function: Callable, name: str, summary: str, result: str) -> Callable:
    def row(data, segment_ids, num_segments=None, sorted=False):
        data, segment_ids = as_array(data), as_array(segment_ids)
        if num_segments is None:
            raise ValueError(f"{name}: num_segments is needed: {name}(x, ids, num_segments=10).")
        if segment_ids.ndim != 1 or segment_ids.shape[0] != data.shape[0]:
            raise ValueError(
                f"{name}: segment_ids must have one id per row of data, "
                f"got shapes {segment_ids.shape} and {data.shape}."
            )
        return function(data, segment_ids, num_segments, indices_are_sorted=sorted)

    row.__name__ = row.__qualname__ = name
    row.__doc__ = _SEGMENT.format(summary=summary, name=name, result=result)
    return op(row)


segment_sum = _segments(jax.ops.segment_sum, "segment_sum", "Sum of each segment.", "[1 5]")
segment_max = _segments(jax.ops.segment_max, "segment_max", "Largest per segment.", "[1 3]")
segment_min = _segments(jax.ops.segment_min, "segment_min", "Smallest per segment.", "[1 2]")
segment_prod = _segments(jax.ops.segment_prod, "segment_prod", "Product per segment.", "[1 6]")

erf = unary(jax.lax.erf, "Error function.", "0.0 -> 0.0", name="erf")
erfc = unary(
    jax.scipy.special.erfc, "1 - erf(x), exact where it is tiny.", "0.0 -> 1.0", name="erfc"
)
erfinv = unary(jax.scipy.special.erfinv, "Inverse of erf.", "0.0 -> 0.0", name="erfinv")
rsqrt = unary(jax.lax.rsqrt, "1 / sqrt(x).", "4.0 -> 0.5", name="rsqrt")


@op
def top_k(x: Any, k: int, sorted: bool = True) -> tuple:
    """The k largest values of the last axis, falling, and their indices.

    (..., n) → (..., k), (..., k)

    Args:
        x: an array.
        k: how many.
        sorted: accepted for Keras's sake; they always come sorted. Default: True.

    Example:
        >>> values, indices = staghorn.ops.top_k([1, 5, 3], k=2)
        >>> print(values, indices)
        [5 3] [1 2]
    """
    return tuple(jax.lax.top_k(as_array(x), k))


@op
def in_top_k(targets: Any, predictions: Any, k: int) -> jax.Array:
    """Say whether the right class is among the k largest predictions of its row.

    (batch,), (batch, classes) → (batch,) bool

    Classes tied with the right one do not count against it; a NaN prediction is never in.

    Args:
        targets: the right classes, ints.
        predictions: a number for each class.
        k: how many predictions count.

    Example:
        >>> print(staghorn.ops.in_top_k([0, 1], [[0.1, 0.9], [0.1, 0.9]], k=1))
        [False  True]
    """
    predictions = as_array(predictions)
    places = jnp.expand_dims(as_array(targets), -1)  # (batch, 1)
    wanted = jnp.take_along_axis(predictions, places, axis=-1)  # (batch, 1)
    wanted = jnp.where(jnp.isnan(wanted), -jnp.inf, wanted)
    return jnp.sum(predictions > wanted, axis=-1) < k


@op
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> jax.Array:
    """log(sum(exp(x))) without overflow.

    (...) → the shape without the reduced axes

    Args:
        x: an array.
        axis: an int or ints. Default: None, everything.
        keepdims: keep reduced axes with size 1. Default: False.

    Example:
        >>> print(staghorn.ops.logsumexp([1000.0, -1000.0]))
        1000.0
    """
    return jax.scipy.special.logsumexp(as_array(x), axis=axis, keepdims=keepdims)


@op
def logdet(x: Any) -> jax.Array:
    """Logarithm of the size of a determinant.

    (..., n, n) → (...)

    Args:
        x: square matrices.

    Example:
        >>> print(staghorn.ops.logdet(np.eye(2, dtype="float32")))
        0.0
    """
    return slogdet(x)[1]


@op
def cdist(x: Any, y: Any) -> jax.Array:
    """Euclidean distance of each row of x to each row of y.

    (..., n, d), (..., m, d) → (..., n, m)

    Args:
        x: an array.
        y: rows of the same length.

    Raises:
        ValueError: for fewer than two axes, or if the last axes differ.

    Example:
        >>> print(staghorn.ops.cdist([[0.0, 0.0]], [[3.0, 4.0], [0.0, 1.0]]))
        [[5. 1.]]
    """
    x, y = as_array(x), as_array(y)
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        raise ValueError(
            f"cdist: x and y must be (..., n, d) and (..., m, d), got {x.shape} and {y.shape}."
        )
    difference = jnp.expand_dims(x, -2) - jnp.expand_dims(y, -3)  # (..., n, m, d)
    return jnp.sqrt(jnp.sum(jnp.square(difference), axis=-1))


@op
def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> jax.Array:
    """Windows of the last axis, as a new axis before it.

    (..., n) → (..., 1 + (n - sequence_length) // sequence_stride, sequence_length)

    Args:
        x: an array.
        sequence_length: size of a window.
        sequence_stride: steps between the starts of two windows.

    Example:
        >>> print(staghorn.ops.extract_sequences([1, 2, 3, 4, 5], 3, 2))
        [[1 2 3]
         [3 4 5]]
    """
    return _windows(as_array(x), sequence_length, sequence_stride)


def _windows(x: jax.Array, length: int, stride: int) -> jax.Array:
    return x[..., _places(1 + (x.shape[-1] - length) // stride, length, stride)]


def _places(count: int, length: int, stride: int) -> np.ndarray:
    return stride * np.arange(count)[:, None] + np.arange(length)[None, :]  # (count, length)


# --- Fourier transforms: complex arrays travel as (real part, imaginary part) ---------------------


def _to_complex(name: str, x: Any) -> jax.Array:
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError(
            f"{name}: x must be a pair (real part, imaginary part), got {type(x).__name__}."
        )
    real, imag = as_array(x[0]), as_array(x[1])
    if real.shape != imag.shape:
        raise ValueError(f"{name}: the parts differ in shape: {real.shape} and {imag.shape}.")
    if not all(jnp.issubdtype(part.dtype, jnp.floating) for part in (real, imag)):
        raise ValueError(f"{name}: the parts must be floats, got {real.dtype} and {imag.dtype}.")
    return jax.lax.complex(real, imag)


def _parts(x: jax.Array) -> tuple:
    return jnp.real(x), jnp.imag(x)


@op
def fft(x: Any) -> tuple:
    """Fourier transform of the last axis of (real, imaginary).

    (..., n), (..., n) → (..., n), (..., n)

    Args:
        x: a pair of arrays, the real and the imaginary part.

    Example:
        >>> real, imag = staghorn.ops.fft((np.ones(2, "float32"), np.zeros(2, "float32")))
        >>> print(real)
        [2. 0.]
    """
    return _parts(jnp.fft.fft(_to_complex("fft", x)))


@op
def fft2(x: Any) -> tuple:
    """Fourier transform of the last two axes of (real, imaginary).

    (..., m, n), (..., m, n) → (..., m, n), (..., m, n)

    Args:
        x: a pair of arrays, the real and the imaginary part.

    Example:
        >>> real, imag = staghorn.ops.fft2((np.ones((1, 2), "float32"),) * 2)
        >>> print(real)
        [[2. 0.]]
    """
    return _parts(jnp.fft.fft2(_to_complex("fft2", x)))


@op
def ifft2(x: Any) -> tuple:
    """Inverse of `fft2`.

    (..., m, n), (..., m, n) → (..., m, n), (..., m, n)

    Args:
        x: a pair of arrays, the real and the imaginary part.

    Example:
        >>> real, imag = staghorn.ops.ifft2((np.ones((1, 2), "float32"),) * 2)
        >>> print(real)
        [[1. 0.]]
    """
    return _parts(jnp.fft.ifft2(_to_complex("ifft2", x)))


@op
def rfft(x: Any, fft_length: int | None = None) -> tuple:
    """Fourier transform of a real last axis: the half that is not redundant.

    (..., n) → (..., n // 2 + 1), (..., n // 2 + 1)

    Args:
        x: a real array.
        fft_length: cut or pad the axis with zeros to this size first. Default: None.

    Example:
        >>> print(staghorn.ops.rfft(np.ones(4, "float32"))[0])
        [4. 0. 0.]
    """
    return _parts(jnp.fft.rfft(as_array(x), n=fft_length, axis=-1))


@op
def irfft(x: Any, fft_length: int | None = None) -> jax.Array:
    """Inverse of `rfft`.

    Args:
        x: (real, imaginary).
        fft_length: size of the result's last axis. Default: None, 2 * (n - 1).

    Example:
        >>> print(staghorn.ops.irfft((np.ones(2, "float32"), np.zeros(2, "float32"))))
        [1. 0.]
    """
    return jnp.fft.irfft(_to_complex("irfft", x), n=fft_length, axis=-1)


def _window(name: str, window: Any, sequence_length: int, fft_length: int, dtype: Any) -> jax.Array:
    # The window, centred in fft_length points.
    left = (fft_length - sequence_length) // 2
    right = fft_length - sequence_length - left
    if window is None:
        return jnp.ones(fft_length, dtype)
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ValueError(
                f"{name}: window must be 'hann', 'hamming', an array or None, got {window!r}."
            )
        mean = 0.5 if window == "hann" else 0.54
        turns = 2 * np.pi * np.arange(sequence_length) / sequence_length  # periodic window
        window = mean - (1 - mean) * np.cos(turns)
    window = as_array(window, dtype)
    if window.shape != (sequence_length,):
        raise ValueError(
            f"{name}: window must have shape ({sequence_length},), got {window.shape}."
        )
    return jnp.pad(window, (left, right))


def _check_stride(name: str, stride: Any) -> None:
    if not isinstance(stride, int) or stride <= 0:
        raise ValueError(f"{name}: sequence_stride must be a positive int, got {stride!r}.")


@op
def stft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Any = "hann",
    center: bool = True,
) -> tuple:
    """Fourier transforms of windows of the last axis (short-time Fourier transform).

    (..., n) → (real, imaginary), each (..., windows, fft_length // 2 + 1)

    Args:
        x: a real float array.
        sequence_length: size of the window.
        sequence_stride: distance between windows.
        fft_length: size of the transform, at least `sequence_length`.
        window: "hann", "hamming", an array or None. Default: "hann".
        center: mirror fft_length // 2 values at both ends first. Default: True.

    Raises:
        TypeError: if x is not float32 or float64.
        ValueError: for a bad stride, length or window.

    Example:
        >>> staghorn.ops.stft(np.ones(16, "float32"), 4, 2, 8)[0].shape
        (9, 5)
    """
    _check_stride("stft", sequence_stride)
    x = as_array(x)
    if x.dtype not in (jnp.float32, jnp.float64):
        raise TypeError(f"stft: x must be float32 or float64, got {x.dtype}.")
    if fft_length < sequence_length:
        raise ValueError(
            "stft: fft_length must not be below sequence_length, "
            f"got {fft_length} and {sequence_length}."
        )
    weights = _window("stft", window, sequence_length, fft_length, x.dtype)
    if center:
        half = fft_length // 2
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(half, half)], mode="reflect")
    frames = _windows(x, fft_length, sequence_stride)  # (..., windows, fft_length)
    return _parts(jnp.fft.rfft(frames * weights.reshape((1,) * x.ndim + (-1,)), axis=-1))


@op
def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> jax.Array:
    """Inverse of `stft`, by overlap and add.

    (real, imaginary), each (..., windows, fft_length // 2 + 1) → (..., n)

    Args:
        x: (real, imaginary).
        sequence_length, sequence_stride, fft_length, window, center: as given to `stft`.
        length: size of the result's last axis. Default: None, what the windows cover.

    Raises:
        ValueError: for a bad stride or window, or an x with fewer than two axes.

    Example:
        >>> spectrum = staghorn.ops.stft(np.ones(16, "float32"), 8, 4, 8)
        >>> staghorn.ops.istft(spectrum, 8, 4, 8).shape
        (16,)
    """
    _check_stride("istft", sequence_stride)
    spectrum = _to_complex("istft", x)
    if spectrum.ndim < 2:
        raise ValueError(f"istft: x must have 2 axes or more, got shape {spectrum.shape}.")
    frames = jnp.fft.irfft(spectrum, n=fft_length, axis=-1)  # (..., windows, fft_length)
    weights = _window("istft", window, sequence_length, fft_length, frames.dtype)
    count = frames.shape[-2]
    places = _places(count, fft_length, sequence_stride)
    total = fft_length + sequence_stride * (count - 1)
    weighted = frames * weights.reshape((1,) * (frames.ndim - 1) + (-1,))
    signal = jnp.zeros((*frames.shape[:-2], total), frames.dtype).at[..., places].add(weighted)
    squares = jnp.broadcast_to(jnp.square(weights).reshape(1, -1), places.shape)
    overlap = jnp.zeros(total, frames.dtype).at[places].add(squares)
    overlap = jnp.where(overlap > 1e-10, overlap, 1.0)
    signal = signal / overlap.reshape((1,) * (signal.ndim - 1) + (-1,))
    if window is None:
        signal = signal * (fft_length / sequence_stride)  # Keras leaves the overlap in
    start = fft_length // 2 if center else 0
    stop = start + length if length is not None else total - start
    return signal[..., start:stop]


@op
def view_as_complex(x: Any) -> jax.Array:
    """Complex numbers from pairs on the last axis.

    (..., 2) → (...)

    Args:
        x: floats, (real, imaginary) on the last axis.

    Raises:
        ValueError: if the last axis has not size 2.

    Example:
        >>> print(staghorn.ops.view_as_complex([[1.0, 2.0]]))
        [1.+2.j]
    """
    x = as_float(x)
    if x.ndim < 1 or x.shape[-1] != 2:
        raise ValueError(f"view_as_complex: the last axis must have size 2, got shape {x.shape}.")
    return jax.lax.complex(x[..., 0].astype("float32"), x[..., 1].astype("float32"))


@op
def view_as_real(x: Any) -> jax.Array:
    """Real and imaginary parts as a new last axis.

    (...) → (..., 2)

    Args:
        x: complex numbers.

    Example:
        >>> print(staghorn.ops.view_as_real([1 + 2j]))
        [[1. 2.]]
    """
    x = as_array(x)
    return jnp.stack((jnp.real(x), jnp.imag(x)), axis=-1)
