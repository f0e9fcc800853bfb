"""Axes cut into blocks and put together again: space and depth, patches, patterns."""

import math
import re
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.symbolic import op
from staghorn.ops.core import as_array
from staghorn.ops.image_sampling import is_first

__all__ = ["depth_to_space", "fold", "rearrange", "space_to_depth", "unfold"]

_AXES = re.compile(r"\(([^()]*)\)|(\w+)")


@op
def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> jax.Array:
    """Split, reorder and merge axes, as a pattern of axis names says.

    left of "->" → right of "->"

    Args:
        tensor: the array.
        pattern: "axes before -> axes after"; (a b) is one axis made of two, of which a is the
            outer one.
        **axes_lengths: sizes of axes in parentheses; one of each group may be left out.

    Raises:
        ValueError: if the pattern and the shape do not fit.

    Example:
        >>> images = np.zeros((32, 30, 40, 3))
        >>> staghorn.ops.rearrange(images, "b h w c -> b c h w").shape
        (32, 3, 30, 40)
        >>> staghorn.ops.rearrange(images, "b (h p) (w q) c -> b (h w) (p q c)", p=5, q=8).shape
        (32, 30, 120)

    Reference: https://einops.rocks
    """
    x, sizes = as_array(tensor), dict(axes_lengths)
    source, _, target = pattern.partition("->")
    groups, merged = (
        [part.split() for part in map("".join, _AXES.findall(side))] for side in (source, target)
    )
    before, after = ([name for group in side for name in group] for side in (groups, merged))
    if sorted(before) != sorted(after) or len(set(before)) != len(before):
        raise ValueError(
            f"rearrange: both sides of the pattern must name the same axes, each once: {pattern!r}."
        )
    if len(groups) != x.ndim:
        raise ValueError(
            f"rearrange: {pattern!r} has {len(groups)} axes, the array {x.ndim}: {x.shape}."
        )
    for group, size in zip(groups, x.shape, strict=True):
        unknown = [name for name in group if name not in axes_lengths]
        known = math.prod(sizes[name] for name in group if name in axes_lengths)
        if len(unknown) > 1:
            raise ValueError(
                f"rearrange: give the sizes of all but one of {group}: {unknown[0]}=... ."
            )
        sizes.update((name, size // known) for name in unknown)
        if math.prod(sizes[name] for name in group) != size:
            raise ValueError(
                f"rearrange: an axis of size {size} is not ({' '.join(group)}): {sizes}."
            )
    x = jnp.reshape(x, [sizes[name] for name in before])
    x = jnp.transpose(x, [before.index(name) for name in after])
    return jnp.reshape(x, [math.prod(sizes[name] for name in group) for group in merged])


def _blocks(name: str, x: Any, block_size: int, data_format: str, divided: Any) -> tuple:
    """Check the arguments of the two functions below; return the array and (channels first?)."""
    x = as_array(x)
    first = is_first(name, data_format)
    if x.ndim != 4:
        raise ValueError(f"{name}: x must have 4 axes, got the shape {x.shape}.")
    if block_size < 2:
        raise ValueError(f"{name}: block_size must be at least 2, got {block_size}.")
    spatial, channel = ((2, 3), 1) if first else ((1, 2), 3)
    for axis, divisor in (
        ((a, block_size) for a in spatial) if divided else ((channel, block_size**2),)
    ):
        size = x.shape[axis]
        if isinstance(size, int) and size % divisor:
            raise ValueError(f"{name}: axis {axis} of {x.shape} must be a multiple of {divisor}.")
    return x, first


@op
def depth_to_space(x: Any, block_size: int, data_format: str = "channels_last") -> jax.Array:
    """Turn groups of channels into blocks of pixels.

    (batch, h, w, b * b * c) → (batch, h * b, w * b, c)

    Args:
        x: images.
        block_size: b, at least 2.
        data_format: "channels_last", or "channels_first" for (batch, channels, h, w).
            Default: "channels_last".

    Raises:
        ValueError: if the channels are no multiple of `block_size` squared.

    Example:
        >>> staghorn.ops.depth_to_space(np.zeros((1, 2, 3, 8)), 2).shape
        (1, 4, 6, 2)

    Reference: Shi et al. (2016), https://arxiv.org/abs/1609.05158
    """
    x, first = _blocks("depth_to_space", x, block_size, data_format, divided=False)
    b = block_size
    if first:
        n, c, h, w = x.shape
        x = jnp.reshape(x, (n, c // b**2, b, b, h, w)).transpose(0, 1, 4, 2, 5, 3)
        return jnp.reshape(x, (n, c // b**2, h * b, w * b))
    n, h, w, c = x.shape
    x = jnp.reshape(x, (n, h, w, b, b, c // b**2)).transpose(0, 1, 3, 2, 4, 5)
    return jnp.reshape(x, (n, h * b, w * b, c // b**2))


@op
def space_to_depth(x: Any, block_size: int, data_format: str = "channels_last") -> jax.Array:
    """Turn blocks of pixels into channels: the inverse of `depth_to_space`.

    (batch, h * b, w * b, c) → (batch, h, w, b * b * c)

    Args:
        x: images.
        block_size: b, at least 2.
        data_format: "channels_last", or "channels_first" for (batch, channels, h, w).
            Default: "channels_last".

    Raises:
        ValueError: if height or width is no multiple of `block_size`.

    Example:
        >>> staghorn.ops.space_to_depth(np.zeros((1, 4, 6, 2)), 2).shape
        (1, 2, 3, 8)
    """
    x, first = _blocks("space_to_depth", x, block_size, data_format, divided=True)
    b = block_size
    if first:
        n, c, h, w = x.shape
        x = jnp.reshape(x, (n, c, h // b, b, w // b, b)).transpose(0, 1, 3, 5, 2, 4)
        return jnp.reshape(x, (n, c * b**2, h // b, w // b))
    n, h, w, c = x.shape
    x = jnp.reshape(x, (n, h // b, b, w // b, b, c)).transpose(0, 1, 3, 2, 4, 5)
    return jnp.reshape(x, (n, h // b, w // b, c * b**2))


def _pair(x: Any) -> tuple:
    return (x, x) if isinstance(x, int) else tuple(x)


def _windows(sizes: Any, *geometry: Any) -> list[jax.Array]:
    """For both axes: the place of each element of each window, (kernel, windows)."""
    found = []
    numbers = map(_pair, geometry)
    for size, kernel, dilation, padding, stride in zip(sizes, *numbers, strict=True):
        count = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        steps = jnp.arange(count).reshape(1, -1) * stride
        found.append(jnp.arange(kernel).reshape(-1, 1) * dilation + steps)
    return found


@op
def unfold(
    x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> jax.Array:
    """Cut images into the windows that a convolution sees.

    (batch, channels, h, w) → (batch, channels * kh * kw, windows)

    Args:
        x: images, channels first.
        kernel_size: int or (kh, kw), the size of a window.
        dilation: int or pair, distance of a window's elements. Default: 1.
        padding: int or pair, zeros on both sides. Default: 0.
        stride: int or pair, distance of windows. Default: 1.

    Example:
        >>> staghorn.ops.unfold(np.zeros((1, 3, 8, 8)), 2, stride=2).shape
        (1, 12, 16)
    """
    x = as_array(x)
    n, c, h, w = x.shape
    rows, columns = _windows((h, w), kernel_size, dilation, padding, stride)
    x = jnp.pad(x, ((0, 0), (0, 0), *((p, p) for p in _pair(padding))))
    x = jnp.take(x, rows, axis=2, mode="clip")  # (n, c, kh, windows, w)
    x = jnp.take(x, columns, axis=4, mode="clip").swapaxes(3, 4)  # (n, c, kh, kw, rows, columns)
    (kh, down), (kw, across) = rows.shape, columns.shape
    return jnp.reshape(x, (n, c * kh * kw, down * across))


@op
def fold(
    x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
    stride: Any = 1,
) -> jax.Array:  # fmt: skip
    """Put windows back into images, adding where they overlap: the transpose of `unfold`.

    (batch, channels * kh * kw, windows) → (batch, channels, h, w)

    Args:
        x: the windows.
        output_size: int or (h, w), the size of the images.
        kernel_size: int or (kh, kw), the size of a window.
        dilation: int or pair, distance of a window's elements. Default: 1.
        padding: int or pair, zeros that `unfold` added on both sides. Default: 0.
        stride: int or pair, distance of windows. Default: 1.

    Raises:
        ValueError: if the channels are no multiple of the window's size.

    Example:
        >>> windows = staghorn.ops.unfold(np.ones((1, 3, 8, 8)), 2, stride=2)
        >>> float(staghorn.ops.fold(windows, 8, 2, stride=2).min())
        1.0

    Notes:
        The images have `output_size` also where the windows leave a rest uncovered, which is
        zero; Keras returns smaller images there.
    """
    x = as_array(x)
    sizes, (kh, kw) = _pair(output_size), _pair(kernel_size)
    if isinstance(x.shape[1], int) and x.shape[1] % (kh * kw):
        raise ValueError(
            f"fold: axis 1 of {x.shape} must be a multiple of the window's size {kh * kw}."
        )
    n, c = x.shape[0], x.shape[1] // (kh * kw)
    rows, columns = _windows(sizes, kernel_size, dilation, padding, stride)
    (down, across), (ph, pw) = (rows.shape[1], columns.shape[1]), _pair(padding)
    height, width = sizes[0] + 2 * ph, sizes[1] + 2 * pw
    x = jnp.reshape(x, (n, c, kh, kw, down, across)).swapaxes(3, 4)
    x = jnp.zeros((n, c, kh, down, width), x.dtype).at[..., columns].add(x)
    x = jnp.moveaxis(x, 4, 2)  # (n, c, width, kh, down)
    x = jnp.zeros((n, c, width, height), x.dtype).at[..., rows].add(x).swapaxes(2, 3)
    return x[:, :, ph : ph + sizes[0], pw : pw + sizes[1]]
