"""Pooling: the largest or mean value of each window of a grid (`keras.ops.nn`'s pooling part).

A window over several axes is taken axis by axis: the maximum of a 3x3 window is the maximum of
three maxima. That costs 3 + 3 steps instead of 9, forward and backward.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from staghorn import config
from staghorn.engine.arguments import Options
from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array, as_float, computed_once

__all__ = ["adaptive_average_pool", "adaptive_max_pool", "average_pool", "max_pool"]

# Our form of the maximum's gradient grows with the sum of the window's sizes, in program text too;
# above this JAX's own (select-and-scatter) is taken.
MOST_STEPS = 64

PADDINGS = Options("valid", "same")
DATA_FORMATS = Options("channels_last", "channels_first")


@dataclass(frozen=True)
class Window:
    """Windows of one size along one axis; `low` and `high` values of padding lie around it."""

    axis: int
    size: int
    stride: int
    low: int = 0
    high: int = 0

    def reduce(self, x: jax.Array, combine: Callable, start: Any) -> jax.Array:
        """Combine the values of each window."""
        sizes, strides, padding = [1] * x.ndim, [1] * x.ndim, [(0, 0)] * x.ndim
        sizes[self.axis], strides[self.axis] = self.size, self.stride
        padding[self.axis] = (self.low, self.high)
        return lax.reduce_window(x, start, combine, sizes, strides, padding)

    def mean(self, x: jax.Array) -> jax.Array:
        """Average each window, without regard to padding."""
        return self.reduce(x, lax.add, np.zeros((), x.dtype)) / self.size

    def taps(self, x: jax.Array, fill: Any) -> list[jax.Array]:
        """Return the first value of every window, the second of every window, ..."""
        around = [(self.low, self.high, 0) if a == self.axis else (0, 0, 0) for a in range(x.ndim)]
        x = lax.pad(x, jnp.asarray(fill, x.dtype), around)
        count = (x.shape[self.axis] - self.size) // self.stride + 1
        span = (count - 1) * self.stride + 1
        return [
            lax.slice_in_dim(x, first, first + span, self.stride, self.axis)
            for first in range(self.size)
        ]


@dataclass(frozen=True)
class Spans:
    """Windows along one axis that divide it as evenly as can be; neighbours may overlap by one."""

    axis: int
    starts: tuple[int, ...]
    sizes: tuple[int, ...]

    def taps(self, x: jax.Array, fill: Any) -> list[jax.Array]:
        """As of a Window; a smaller window gives its last value again at the end."""
        del fill
        starts, sizes = np.array(self.starts), np.array(self.sizes)
        return [
            jnp.take(x, starts + np.minimum(n, sizes - 1), axis=self.axis, mode="clip")
            for n in range(max(self.sizes))
        ]

    def reduce(self, x: jax.Array, combine: Callable, start: Any) -> jax.Array:
        """Combine the values of each window, which may meet `combine` twice."""
        return functools.reduce(combine, self.taps(x, start))

    def mean(self, x: jax.Array) -> jax.Array:
        """Average each window."""
        row = [1] * x.ndim
        row[self.axis] = len(self.sizes)
        sizes = np.array(self.sizes).reshape(row)
        total = jnp.zeros((), x.dtype)
        for n, tap in enumerate(self.taps(x, 0)):
            total = total + jnp.where(n < sizes, tap, jnp.zeros((), x.dtype))
        return total / jnp.asarray(sizes, x.dtype)


Plans = tuple[Window | Spans, ...]


@op
def max_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> jax.Array:
    """The largest value of each window.

    (batch, *sizes, channels) → (batch, *pooled, channels)
    pooled = floor((size - pool_size) / stride) + 1 for "valid", ceil(size / stride) for "same"

    Args:
        inputs: an array of three axes or more.
        pool_size: int, or one int per axis between batch and channels: the window.
        strides: int or ints, from one window to the next. Default: None, `pool_size`.
        padding: "valid", only whole windows; or "same", windows may reach over the edges, by as
            much on both sides. Default: "valid".
        data_format: "channels_last", or "channels_first" for (batch, channels, *sizes).
            Default: that of the configuration.

    Raises:
        ValueError: for a window that does not fit, or an argument that is none of the above.

    Example:
        >>> x = np.array([1.0, 3, 2, 0, 5, 4]).reshape(1, 6, 1)
        >>> staghorn.ops.max_pool(x, 2).ravel().tolist()
        [3.0, 2.0, 5.0]

    Notes: where values are equal, the gradient goes to the first of them in the window, as in
    Keras on JAX. Derivatives of any order work, forward and reverse; in second ones Keras on JAX
    may take others of equal values. Written without XLA's select-and-scatter: value and gradient
    of 2x2 windows on (128, 26, 26, 32) take a tenth of the time on a CPU. Windows that do not
    fit raise; Keras returns an empty array.
    """
    x = as_array(inputs)
    plans = _plans("max_pool", x.shape, pool_size, strides, padding, data_format)
    if sum(plan.size for plan in plans) > MOST_STEPS:
        return _max_in_one(x, plans)
    return _largest(x, plans)


@op
def average_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> jax.Array:
    """The mean value of each window; padding does not count.

    (batch, *sizes, channels) → (batch, *pooled, channels)
    pooled = floor((size - pool_size) / stride) + 1 for "valid", ceil(size / stride) for "same"

    Args:
        inputs: an array of three axes or more; whole numbers become floats.
        pool_size: int, or one int per axis between batch and channels: the window.
        strides: int or ints, from one window to the next. Default: None, `pool_size`.
        padding: "valid", only whole windows; or "same", windows may reach over the edges, by as
            much on both sides. Default: "valid".
        data_format: "channels_last", or "channels_first" for (batch, channels, *sizes).
            Default: that of the configuration.

    Raises:
        ValueError: for a window that does not fit, or an argument that is none of the above.

    Example:
        >>> x = np.array([1.0, 3, 2, 0, 5]).reshape(1, 5, 1)
        >>> staghorn.ops.average_pool(x, 2, padding="same").ravel().tolist()
        [2.0, 1.0, 5.0]

    Notes: small whole numbers (uint8 images) are summed as floats; Keras on JAX sums them in their
    own type, which overflows. Windows that do not fit raise; Keras returns an empty array.
    """
    x = as_float(inputs)
    plans = _plans("average_pool", x.shape, pool_size, strides, padding, data_format)
    if all(plan.low == plan.high == 0 for plan in plans):
        return _sums(x, plans) / math.prod(plan.size for plan in plans)
    pooled = {plan.axis for plan in plans}
    real = jnp.ones([size if a in pooled else 1 for a, size in enumerate(x.shape)], x.dtype)
    return _sums(x, plans) / _sums(real, plans)  # of the second, XLA makes a constant


@op
def adaptive_max_pool(
    inputs: Any, output_size: int | Sequence[int], data_format: str | None = None
) -> jax.Array:
    """The largest value of each of `output_size` windows that divide the grid evenly.

    (batch, *sizes, channels) → (batch, *output_size, channels)
    window i of n covers floor(i * size / n) to ceil((i + 1) * size / n)

    Args:
        inputs: an array of three axes or more.
        output_size: int, or one int per axis between batch and channels.
        data_format: "channels_last", or "channels_first" for (batch, channels, *sizes).
            Default: that of the configuration.

    Raises:
        ValueError: for an argument that is none of the above, or a size that is not known.

    Example:
        >>> x = np.array([1.0, 3, 2, 0, 5]).reshape(1, 5, 1)
        >>> staghorn.ops.adaptive_max_pool(x, 2).ravel().tolist()
        [3.0, 5.0]

    Notes: the bounds are whole-number arithmetic; Keras on JAX rounds them as floats and, for 7
    windows over 7 values, takes some that are too wide.
    """
    x = as_array(inputs)
    return _largest(x, _even_plans("adaptive_max_pool", x.shape, output_size, data_format))


@op
def adaptive_average_pool(
    inputs: Any, output_size: int | Sequence[int], data_format: str | None = None
) -> jax.Array:
    """The mean value of each of `output_size` windows that divide the grid evenly.

    (batch, *sizes, channels) → (batch, *output_size, channels)
    window i of n covers floor(i * size / n) to ceil((i + 1) * size / n)

    Args:
        inputs: an array of three axes or more; whole numbers become floats.
        output_size: int, or one int per axis between batch and channels.
        data_format: "channels_last", or "channels_first" for (batch, channels, *sizes).
            Default: that of the configuration.

    Raises:
        ValueError: for an argument that is none of the above, or a size that is not known.

    Example:
        >>> x = np.array([1.0, 3, 2, 0, 5]).reshape(1, 5, 1)
        >>> staghorn.ops.adaptive_average_pool(x, 5).ravel().tolist()
        [1.0, 3.0, 2.0, 0.0, 5.0]

    Notes: the bounds are whole-number arithmetic, as in `adaptive_max_pool`.
    """
    x = as_float(inputs)
    for plan in _even_plans("adaptive_average_pool", x.shape, output_size, data_format):
        x = plan.mean(x)
    return x


# --- the maximum and its derivative ---------------------------------------------------------------


def _largest(x: jax.Array, plans: Plans) -> jax.Array:
    # Whole numbers have no derivative, and custom rules would still be asked for one.
    return (_max_over if jnp.issubdtype(x.dtype, jnp.floating) else _maxima)(x, plans)


def _maxima(x: jax.Array, plans: Plans) -> jax.Array:
    for plan in plans:
        x = plan.reduce(x, lax.max, _lowest(x.dtype))
    return x


def _max_in_one(x: jax.Array, plans: tuple[Window, ...]) -> jax.Array:
    """The maximum in one step, with JAX's derivative, which costs the product of the sizes."""
    by_axis = {plan.axis: plan for plan in plans}
    whole = [by_axis.get(axis, Window(axis, 1, 1)) for axis in range(x.ndim)]
    return lax.reduce_window(
        x,
        _lowest(x.dtype),
        lax.max,
        [plan.size for plan in whole],
        [plan.stride for plan in whole],
        [(plan.low, plan.high) for plan in whole],
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _max_over(x: jax.Array, plans: Plans) -> jax.Array:
    return _maxima(x, plans)


@_max_over.defjvp
def _max_over_jvp(plans: Plans, primals: tuple, tangents: tuple) -> tuple:
    (x,), (dx,) = primals, tangents
    y, dy = _first_largest(x, dx, plans)
    return _known(x, lax.stop_gradient(y), plans), dy


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _known(x: jax.Array, y: jax.Array, plans: Plans) -> jax.Array:
    """Return y, the maxima of x computed before; its derivative is the derivative of the maxima."""
    del x, plans
    return y


@_known.defjvp
def _known_jvp(plans: Plans, primals: tuple, tangents: tuple) -> tuple:
    x, y = primals
    return _known(x, y, plans), _first_largest(x, tangents[0], plans)[1]


def _first_largest(x: jax.Array, dx: jax.Array, plans: Plans) -> tuple[jax.Array, jax.Array]:
    """Return the maxima and the values of dx at the places where they were found.

    Found by going through a window and moving on from a value that is not >= the next one: equal
    values leave the first, and a NaN is left for whatever follows it. That is what XLA's
    select-and-scatter does. Two arrays go along, which differ after a NaN: `found`, the value at
    the place, and `y`, the maximum, which stays NaN; a row with a NaN in it is moved on to.

    dx is picked by linear operations, so that JAX transposes them to the gradient: k masked
    copies of dy, dilated and added.
    """
    found = y = x
    lowest = _lowest(x.dtype)
    for plan in plans:
        (found, *values), (y, *maxima) = plan.taps(found, lowest), plan.taps(y, lowest)
        place = jnp.zeros(y.shape, np.uint8)
        for n, (value, maximum) in enumerate(zip(values, maxima, strict=True), start=1):
            stay = (found >= value) & ~jnp.isnan(maximum)
            found = jnp.where(stay, found, value)
            place = jnp.where(stay, place, np.uint8(n))
            y = jnp.maximum(y, maximum)
        (place,) = computed_once(place)  # or each of the masks below would find it again
        zero = jnp.zeros((), dx.dtype)
        picked = [jnp.where(place == n, tap, zero) for n, tap in enumerate(plan.taps(dx, 0))]
        dx = functools.reduce(jnp.add, picked)
    return y, dx


def _lowest(dtype: Any) -> np.ndarray:
    """Return what every value of a type is at least: -inf, the smallest int, or False."""
    if dtype == np.bool_:
        return np.zeros((), dtype)
    lowest = -np.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min
    return np.array(lowest, dtype)


def _sums(x: jax.Array, plans: tuple[Window, ...]) -> jax.Array:
    for plan in plans:
        x = plan.reduce(x, lax.add, np.zeros((), x.dtype))
    return x


# --- arguments and shapes -------------------------------------------------------------------------


def sizes_of(owner: str, name: str, value: Any, count: int, least: int = 1) -> tuple[int, ...]:
    """Return an argument that is an int or `count` ints as a tuple.

    Raises:
        ValueError: naming the owner, for anything else and for values below `least`.

    Example:
        >>> staghorn.ops.pooling.sizes_of("MaxPooling2D", "pool_size", 2, 2)
        (2, 2)
    """
    sizes = (value,) * count if _is_int(value) else value
    valid = isinstance(sizes, (list, tuple)) and len(sizes) == count
    if not valid or not all(_is_int(size) and size >= least for size in sizes):
        kind = "a positive int" if least else "an int of 0 or more"
        raise ValueError(
            f"{owner}: {name} must be {kind} or a tuple of {count}, "
            f"got {value!r} ({type(value).__name__})."
        )
    return tuple(int(size) for size in sizes)


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def spatial_axes(ndim: int, data_format: str) -> tuple[int, ...]:
    """Return the axes that are neither the batch nor the channels.

    Example:
        >>> staghorn.ops.pooling.spatial_axes(4, "channels_first")
        (2, 3)
    """
    return tuple(range(2, ndim) if data_format == "channels_first" else range(1, ndim - 1))


def pooled_shape(
    owner: str,
    shape: Sequence[int | None],
    window: Sequence[int],
    strides: Sequence[int],
    padding: str,
    data_format: str,
) -> tuple[int | None, ...]:
    """Return the shape after pooling; None is an unknown size.

    Raises:
        ValueError: naming the owner, if a window is larger than the input and may not be padded.

    Example:
        >>> staghorn.ops.pooling.pooled_shape(
        ...     "x", (None, 7, None, 3), (2, 2), (2, 2), "valid", "channels_last")
        (None, 3, None, 3)
    """
    pooled = list(shape)
    axes = spatial_axes(len(shape), data_format)
    for axis, size, stride in zip(axes, window, strides, strict=True):
        length = shape[axis]
        if length is None:
            continue
        if padding == "valid" and length < size:
            raise ValueError(
                f"{owner}: a window of {size} does not fit axis {axis} of size {length}.\n"
                f"Full shape received: {tuple(shape)}. Use padding='same', or a pool_size of at "
                f"most {length} for that axis."
            )
        pooled[axis] = -(-length // stride) if padding == "same" else (length - size) // stride + 1
    return tuple(pooled)


def _layout(owner: str, shape: tuple, data_format: str | None) -> tuple[str, tuple[int, ...]]:
    data_format = data_format or config.image_data_format()
    if not DATA_FORMATS.accepts(data_format):
        raise ValueError(f"{owner}: data_format must be {DATA_FORMATS}, got {data_format!r}.")
    if len(shape) < 3:
        raise ValueError(
            f"{owner}: inputs must have a batch, one or more axes to pool over and channels, "
            f"got shape {tuple(shape)}."
        )
    return data_format, spatial_axes(len(shape), data_format)


def _plans(
    owner: str, shape: tuple, pool_size: Any, strides: Any, padding: Any, data_format: str | None
) -> tuple[Window, ...]:
    """Return the windows of each axis, the last one first: the order in which equals count."""
    data_format, axes = _layout(owner, shape, data_format)
    window = sizes_of(owner, "pool_size", pool_size, len(axes))
    steps = window if strides is None else sizes_of(owner, "strides", strides, len(axes))
    padding = padding.lower() if isinstance(padding, str) else padding
    if not PADDINGS.accepts(padding):
        raise ValueError(f"{owner}: padding must be {PADDINGS}, got {padding!r}.")
    known = [size if isinstance(size, int) else None for size in shape]
    pooled_shape(owner, known, window, steps, padding, data_format)
    sizes = [shape[axis] for axis in axes]
    around = lax.padtype_to_pads(sizes, window, steps, padding.upper())
    plans = zip(axes, window, steps, around, strict=True)
    return tuple(Window(axis, size, step, *edges) for axis, size, step, edges in plans)[::-1]


def _even_plans(owner: str, shape: tuple, output_size: Any, data_format: str | None) -> Plans:
    """Return the windows of each axis, the first one first: Keras's order here."""
    _, axes = _layout(owner, shape, data_format)
    counts = sizes_of(owner, "output_size", output_size, len(axes))
    for axis in axes:
        if not isinstance(shape[axis], int):
            raise ValueError(
                f"{owner}: the size of axis {axis} must be known; give it in Input(shape=...)."
            )
    return tuple(_even(axis, shape[axis], n) for axis, n in zip(axes, counts, strict=True))


def _even(axis: int, length: int, count: int) -> Window | Spans:
    if length % count == 0 and length:
        return Window(axis, length // count, length // count)
    starts = [i * length // count for i in range(count)]
    stops = [-(-(i + 1) * length // count) for i in range(count)]
    sizes = (stop - start for start, stop in zip(starts, stops, strict=True))
    return Spans(axis, tuple(starts), tuple(sizes))
