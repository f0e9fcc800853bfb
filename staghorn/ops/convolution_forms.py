"""The forms in which XLA's CPU backend computes a convolution fast.

It has kernels for windows that slide over lines and pictures. For spread inputs, volumes and
channels in groups it has slow ones or plain nested loops, and with few channels its kernels are
badly filled. Each form here writes one such case as one that is fast; the sums are the same, in
another order.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

# An unrolled sum over more kernel places than this costs more to compile than it wins.
_UNROLLED = 64
# As for a kernel's gradient, where each place is a loop of its own, over several pictures at once.
_SUMMED = 25
_ADDED = 8
# Kernels of more places are computed one output at a time: a kernel's gradient slides one as large
# as the image, to which there is nothing to add.
_LARGEST_JOINED = 64


class Geometry(NamedTuple):
    """How a kernel slides: for each output place o, kernel place k and input place i

    i * input_dilation + before = o * stride + k * dilation,

    where `before` is the first of the two paddings. `merged` changes no result: it says how many
    groups were made one (`merged_groups`), for whoever counts the products that are wanted.
    """

    strides: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    input_dilation: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    merged: int = 1


def _layout(rank: int, channels_first: bool = False) -> jax.lax.ConvDimensionNumbers:
    last = (0, rank + 1, *range(1, rank + 1))
    image = tuple(range(rank + 2)) if channels_first else last
    return jax.lax.ConvDimensionNumbers(image, (rank + 1, rank, *range(rank)), image)


def general(
    x: jax.Array, kernel: jax.Array, geometry: Geometry, channels_first: bool = False
) -> jax.Array:
    """Convolve as XLA does."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        geometry.strides,
        geometry.pads,
        lhs_dilation=geometry.input_dilation,
        rhs_dilation=geometry.dilation,
        dimension_numbers=_layout(x.ndim - 2, channels_first),
        feature_group_count=geometry.groups,
    )


def unrolls(kernel: jax.Array, groups: int) -> bool:
    """Say whether the sum over kernel places is done place by place, as one fused loop.

    XLA has no fast form for groups with one channel on one side: depthwise (32, 32, 32, 32),
    3 x 3: 20 ms, unrolled 1.0 ms. For an image with 1 channel it would be a little faster alone
    (0.9 ms instead of 1.2), but XLA then computes the sum anew inside each operation that reads
    it: a step of a small CNN took 32 ms instead of 24.
    """
    *places, inside, outside = kernel.shape
    terms = math.prod(places) * inside
    single = inside == 1 or outside == groups
    return groups > 1 and single and terms <= _UNROLLED


def _unrolled(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Sum over kernel places of a slice of the input times a row of the kernel."""
    *places, inside, outside = kernel.shape
    groups, kind = geometry.groups, x.dtype
    wide = _sum_type(kind)
    rows = jnp.reshape(kernel, (-1, inside, groups, outside // groups)).astype(wide)
    total: Any = None
    for row, window in zip(rows, _windows(x.astype(wide), places, geometry), strict=True):
        for channel in range(inside):
            weights = jnp.reshape(row[channel], (1,) * (len(places) + 1) + row.shape[1:])
            term = window[..., channel : channel + 1] * weights
            total = term if total is None else total + term
    return jnp.reshape(total, (*total.shape[:-2], outside)).astype(kind)


def _sum_type(kind: Any) -> Any:
    return jnp.float32 if kind in (jnp.float16, jnp.bfloat16) else kind


def _windows(x: jax.Array, places: Sequence[int], geometry: Geometry) -> Iterator[jax.Array]:
    """Yield what each kernel place sees, (batch, ..., groups, inside), the last axis fastest."""
    strides, pads, input_dilation, dilation, groups, _ = geometry
    padding = [(a, b, d - 1) for (a, b), d in zip(pads, input_dilation, strict=True)]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *padding, (0, 0, 0)])
    batch, *sizes, channels = x.shape
    x = jnp.reshape(x, (batch, *sizes, groups, channels // groups))
    steps = zip(sizes, places, strides, dilation, strict=True)
    out = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in steps]
    for place in itertools.product(*map(range, places)):
        first = [k * d for k, d in zip(place, dilation, strict=True)]
        last = [f + s * (o - 1) + 1 for f, s, o in zip(first, strides, out, strict=True)]
        ends = (batch, *last, groups, channels // groups)
        yield jax.lax.slice(x, (0, *first, 0, 0), ends, (1, *strides, 1, 1))


def sums_places(shape: Sequence[int], groups: int) -> bool:
    """Say whether a kernel's gradient is summed place by place (`gradient_by_places`)."""
    return groups > 1 == shape[-2] and math.prod(shape[:-2]) <= _SUMMED


def gradient_by_places(
    dy: jax.Array, x: jax.Array, shape: tuple[int, ...], geometry: Geometry
) -> jax.Array:
    """The gradient of a kernel with one channel a group: for each place a sum of products.

    XLA's convolution by groups, and this, in ms: 3 x 3, (16, 32, 32, 32) 9.4, 1.9; (32, 14, 14,
    144) 15, 3; (16, 56, 56, 64) 40, 13. Pictures are added first, so that less is left for the
    product with ones; as a sum over rows it took 17 ms where this takes 3.
    """
    *places, _, outside = shape
    kind, groups = x.dtype, geometry.groups
    wide = _sum_type(kind)
    parts = max(n for n in range(1, _ADDED + 1) if x.shape[0] % n == 0)
    dy = jnp.reshape(dy, (*dy.shape[:-1], groups, outside // groups)).astype(wide)
    sums = []
    for window in _windows(x.astype(wide), places, geometry):
        pairs = zip(jnp.split(window, parts), jnp.split(dy, parts), strict=True)
        rows = jnp.reshape(functools.reduce(jnp.add, [a * b for a, b in pairs]), (-1, outside))
        sums.append(jnp.matmul(jnp.ones((1, rows.shape[0]), wide), rows))
    return jnp.reshape(jnp.concatenate(sums), shape).astype(kind)


def _neighbours(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> int:
    """Say how many neighbouring outputs of the last axis are computed as one wider output.

    Few channels fill the CPU's kernels badly. (64, 32, 32, channels), 3 x 3, in ms, with 1, 2 and
    4 outputs at once: 1 -> 32: 0.95, 0.63, 0.57; 3 -> 16: 1.12, 0.74, 0.69; 16 -> 16: 1.37, 1.16,
    1.52; 16 -> 32: 1.85, 1.98, 2.66. The sums are the same, with zeros added: a value that is not
    finite reaches up to 3 outputs to its side.
    """
    *places, inside, outside = kernel.shape
    plain = geometry.groups == geometry.dilation[-1] == geometry.input_dilation[-1] == 1
    if not plain or x.dtype != jnp.float32 or places[-1] == 1:
        return 1
    if math.prod(places) > _LARGEST_JOINED:
        return 1
    if outside <= 8 or (inside <= 4 and outside <= 32):
        most = 4
    elif max(inside, outside) <= 16 or (inside == 1 and outside <= 64):
        most = 2
    else:
        return 1
    width = (x.shape[-2] + sum(geometry.pads[-1]) - places[-1]) // geometry.strides[-1] + 1
    return math.gcd(width, most)


def _joined(x: jax.Array, kernel: jax.Array, geometry: Geometry, count: int) -> jax.Array:
    """Convolve with `count` copies of the kernel, each one stride further, as filters of one."""
    stride = geometry.strides[-1]
    sides: list = [(0, 0, 0)] * kernel.ndim
    copies = []
    for number in range(count):
        sides[-3] = (number * stride, (count - 1 - number) * stride, 0)
        copies.append(jax.lax.pad(kernel, jnp.zeros((), kernel.dtype), sides))
    wide = jnp.concatenate(copies, axis=-1)  # (..., width + (count - 1) * stride, in, count * out)
    strides = (*geometry.strides[:-1], count * stride)
    y = general(x, wide, geometry._replace(strides=strides))
    return jnp.reshape(y, (*y.shape[:-2], y.shape[-2] * count, kernel.shape[-1]))


# --- groups ---------------------------------------------------------------------------------------

# Merged groups multiply zeros, so only as many are merged as fill XLA's kernels.
_WIDE_GROUP = 16
_FEW_CHANNELS = 64


def merged_groups(kernel: jax.Array, groups: int) -> tuple[jax.Array, int]:
    """Return a kernel of fewer, wider groups, with zeros where a channel is not seen, and how many.

    XLA is slow with many narrow groups. 3 x 3, in ms, forward and input's gradient, as they are and
    merged: (16, 32, 32, 64) -> 64 in 32 groups 68, 64 and 11, 10; (16, 28, 28, 128) -> 128 in 32
    groups, strides of 2: 22, 12 and 2.5, 7; (16, 14, 14, 256) -> 256 in 32 groups 14, 12 and
    10, 10. What is not finite in one channel reaches all outputs of a merged group.
    """
    *places, inside, outside = kernel.shape
    if groups == 1 or unrolls(kernel, groups):
        return kernel, groups
    most = groups if inside * groups <= _FEW_CHANNELS else max(_WIDE_GROUP // inside, 1)
    count = max(n for n in range(1, min(most, groups) + 1) if groups % n == 0)
    parts = jnp.reshape(kernel, (*places, 1, inside, groups // count, count, outside // groups))
    own = jnp.reshape(jnp.eye(count, dtype=kernel.dtype), (count, 1, 1, count, 1))
    wide = parts * jnp.expand_dims(own, range(len(places)))
    return jnp.reshape(wide, (*places, count * inside, outside)), groups // count


# --- spread inputs --------------------------------------------------------------------------------

# With fewer filters in all phases XLA's own form is as fast or faster: (64, 14, 14, 64) -> 1,
# 5 x 5, spread by 2: 1.5 ms, by phases 2 to 3.5.
_FEWEST_PHASED = 8


def _has_phases(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> bool:
    """Say whether a spread input is computed by phases.

    Milliseconds, XLA's form and by phases: (32, 28, 28, 64) -> 64, 3 x 3: 102, 36; (64, 16, 16,
    128) -> 64, 4 x 4: 142, 80; (64, 16, 16, 32) -> 16, 3 x 3: 5.6, 3.8; volumes (8, 8, 8, 8, 16)
    -> 16, 3 x 3 x 3: 259, 5.
    """
    spread = math.prod(geometry.input_dilation)
    if spread == 1 or set(geometry.strides) != {1} or 0 in x.shape:
        return False
    return x.ndim == 5 or spread * kernel.shape[-1] >= _FEWEST_PHASED


def _by_phases(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Convolve the input as it is, each phase of the outputs being filters of their own.

    Output d * q + phase sees input place q + u through kernel place d * u + before - phase, so a
    padded kernel, cut into pieces of d places, has a row for each u and a column for each phase.
    XLA spreads the input with zeros and multiplies them. Here a kernel has a zero where one phase
    sees a place fewer than another: what is not finite reaches one output further.
    """
    rank, groups = x.ndim - 2, geometry.groups
    spread = geometry.input_dilation
    widened = [(0, 0, d - 1) for d in geometry.dilation]
    kernel = jax.lax.pad(kernel, jnp.zeros((), kernel.dtype), [*widened, (0, 0, 0), (0, 0, 0)])
    *places, inside, outside = kernel.shape
    sides, rows, counts, pads, sizes = [], [], [], [], []
    for size, n, d, (before, after) in zip(
        x.shape[1:-1], places, spread, geometry.pads, strict=True
    ):
        low, high = -(before // d), (n + d - 2 - before) // d  # of u
        sides.append((d - 1 - before - d * low, before + d * high - (n - 1), 0))
        rows += [high - low + 1, d]
        sizes.append((size - 1) * d + 1 + before + after - (n - 1))
        counts.append(-(-sizes[-1] // d))
        pads.append((-low, counts[-1] - size + high))
    kernel = jax.lax.pad(kernel, jnp.zeros((), kernel.dtype), [*sides, (0, 0, 0), (0, 0, 0)])
    kernel = jnp.reshape(kernel, (*rows, inside, groups, outside // groups))
    phases = range(1, 2 * rank, 2)
    kernel = jnp.flip(kernel, phases)
    order = (*range(0, 2 * rank, 2), 2 * rank, 2 * rank + 1, *phases, 2 * rank + 2)
    kernel = jnp.reshape(jnp.transpose(kernel, order), (*rows[::2], inside, -1))
    y = compute(x, kernel, Geometry((1,) * rank, tuple(pads), (1,) * rank, (1,) * rank, groups))
    y = jnp.reshape(y, (x.shape[0], *counts, groups, *spread, outside // groups))
    pairs = [n for axis in range(1, rank + 1) for n in (axis, rank + 1 + axis)]
    y = jnp.transpose(y, (0, *pairs, rank + 1, 2 * rank + 2))
    whole = [count * d for count, d in zip(counts, spread, strict=True)]
    y = jnp.reshape(y, (x.shape[0], *whole, outside))
    return y[:, *(slice(size) for size in sizes)]


# --- volumes --------------------------------------------------------------------------------------

# A volume takes one convolution of pictures for each place of its kernel, or each output, along the
# first axis, whichever are fewer; with more than this, compiling takes too long.
_MOST_PLANES = 16


def _planes(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> int:
    """Say how many outputs a volume has along its first axis; 0: it is computed as it is."""
    if x.ndim != 5 or geometry.input_dilation[0] > 1 or 0 in x.shape:
        return 0
    size = x.shape[1] + sum(geometry.pads[0])
    count = (size - (kernel.shape[0] - 1) * geometry.dilation[0] - 1) // geometry.strides[0] + 1
    return count if min(count, kernel.shape[0]) <= _MOST_PLANES else 0


def _by_planes(x: jax.Array, kernel: jax.Array, geometry: Geometry, count: int) -> jax.Array:
    """Convolve a volume as pictures, summing over the first axis of the kernel.

    XLA's kernels for volumes: (8, 12, 12, 12, 32) -> 64, 3 x 3 x 3, in ms, forward, input's and
    kernel's gradient 57, 113, 62; kernels spread by 2: 283, 609, 60.
    """
    kind = x.dtype
    wide = _sum_type(kind)
    (before, after), *pads = geometry.pads
    x = jax.lax.pad(x, jnp.zeros((), kind), [(0, 0, 0), (before, after, 0), *[(0, 0, 0)] * 3])
    x, kernel = x.astype(wide), kernel.astype(wide)
    stride, dilation = geometry.strides[0], geometry.dilation[0]
    flat = Geometry(
        geometry.strides[1:],
        tuple(pads),
        geometry.input_dilation[1:],
        geometry.dilation[1:],
        geometry.groups,
    )
    places = kernel.shape[0]
    if places <= count:
        total: Any = None
        for first, part in zip(range(0, places * dilation, dilation), kernel, strict=True):
            rows = x[:, first : first + stride * (count - 1) + 1 : stride]
            pictures = jnp.reshape(rows, (-1, *rows.shape[2:]))
            term = compute(pictures, part, flat)
            total = term if total is None else total + term
        y = jnp.reshape(total, (x.shape[0], count, *total.shape[1:]))
    else:
        starts = range(0, stride * count, stride)
        seen = [x[:, first : first + dilation * (places - 1) + 1 : dilation] for first in starts]
        y = jnp.stack([_one_plane(part, kernel, flat) for part in seen], 1)
    return y.astype(kind)


def _one_plane(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Sum a volume as deep as its kernel: the depth becomes channels."""
    groups = geometry.groups
    batch, depth, *sizes, channels = x.shape
    x = jnp.reshape(x, (batch, depth, *sizes, groups, channels // groups))
    x = jnp.reshape(jnp.moveaxis(x, 1, -2), (batch, *sizes, depth * channels))
    kernel = jnp.moveaxis(kernel, 0, -3)  # (..., depth, in, out)
    kernel = jnp.reshape(kernel, (*kernel.shape[:-3], -1, kernel.shape[-1]))
    return compute(x, kernel, geometry)


# --- choosing a form ------------------------------------------------------------------------------


def compute(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Convolve in the form that is fastest on a CPU."""
    x, geometry = cropped(x, geometry)
    if unrolls(kernel, geometry.groups):
        return _unrolled(x, kernel, geometry)
    if _has_phases(x, kernel, geometry):
        return _by_phases(x, kernel, geometry)
    if planes := _planes(x, kernel, geometry):
        return _by_planes(x, kernel, geometry, planes)
    count = _neighbours(x, kernel, geometry)
    if count > 1:
        return _joined(x, kernel, geometry, count)
    return general(x, kernel, geometry)


def cropped(x: jax.Array, geometry: Geometry) -> tuple[jax.Array, Geometry]:
    """Turn negative padding into a slice, where the input is not spread."""
    pads = geometry.pads
    least = [
        min(p, 0) if d == 1 else 0
        for pad, d in zip(pads, geometry.input_dilation, strict=True)
        for p in pad
    ]
    if not any(least):
        return x, geometry
    cuts = list(zip(least[::2], least[1::2], strict=True))
    places = zip(cuts, x.shape[1:-1], strict=True)
    x = x[:, *(slice(-a, n + b) for (a, b), n in places)]
    rest = tuple((p - a, q - b) for (p, q), (a, b) in zip(pads, cuts, strict=True))
    return x, geometry._replace(pads=rest)
