"""Convolutions, and how XLA's CPU backend is brought to compute them fast.

That backend recognises a convolution only as (batch, ..., channels) with a kernel (..., in, out).
The gradients that JAX forms have other layouts, and then it writes plain nested loops: 2.6 s
instead of 13 ms for the kernel's gradient of (128, 26, 26, 32) -> 64, 3 x 3. On a CPU our own
primitive is used, which is bilinear as JAX's is, but whose two transposes are convolutions of the
recognised kind again: all derivatives, forward, reverse and repeated, stay fast.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from staghorn import config
from staghorn.engine.compiler_options import convolution_options
from staghorn.engine.registry import suggestion
from staghorn.engine.symbolic import op
from staghorn.ops.convolution_forms import (
    Geometry,
    compute,
    cropped,
    general,
    gradient_by_places,
    merged_groups,
    sums_places,
    unrolls,
)
from staghorn.ops.core import as_array, computed_once

__all__ = ["conv", "conv_transpose", "depthwise_conv", "separable_conv"]


# --- the primitive --------------------------------------------------------------------------------


def _compute(x: jax.Array, kernel: jax.Array, **parameters: Any) -> jax.Array:
    return compute(x, kernel, Geometry(**parameters))


@functools.cache
def _compiled() -> Any:
    names = Geometry._fields
    return jax.jit(_compute, static_argnames=names, compiler_options=convolution_options())


def _abstract(x: Any, kernel: Any, **parameters: Any) -> Any:
    spec = jax.eval_shape(
        functools.partial(general, geometry=Geometry(**parameters)),
        *(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (x, kernel)),
    )
    return x.update(shape=spec.shape, dtype=spec.dtype, weak_type=False)


def _split_kernel(kernel: jax.Array, groups: int) -> jax.Array:
    """Flip the kernel and swap its channels: (..., i, groups * o) → (..., o, groups * i)."""
    *places, inside, outside = kernel.shape
    flipped = jnp.flip(kernel, range(len(places)))
    parts = jnp.reshape(flipped, (*places, inside, groups, outside // groups))
    return jnp.reshape(jnp.swapaxes(parts, -3, -1), (*places, outside // groups, groups * inside))


def _input_transpose(dy: Any, x: Any, kernel: jax.Array, **parameters: Any) -> Any:
    """The input's gradient: the flipped kernel slides over the output's gradient."""
    strides, pads, input_dilation, dilation, groups, merged = Geometry(**parameters)
    if type(dy) is ad.Zero:
        return ad.Zero(x.aval)
    reach = [(k - 1) * d for k, d in zip(kernel.shape, dilation, strict=False)]
    new_pads = []
    for axis, (before, _) in enumerate(pads):
        wanted = (x.aval.shape[axis + 1] - 1) * input_dilation[axis] + 1 + reach[axis]
        there = (dy.shape[axis + 1] - 1) * strides[axis] + 1
        first = reach[axis] - before
        new_pads.append((first, wanted - there - first))
    return _bind(
        dy,
        _split_kernel(kernel, groups),
        Geometry(input_dilation, tuple(new_pads), strides, dilation, groups, merged),
    )


def _kernel_transpose(dy: Any, x: jax.Array, kernel: Any, **parameters: Any) -> Any:
    """The kernel's gradient: the output's gradient slides over the input, batch as channels.

    Each input channel becomes one image with as many channels as there were images.
    """
    geometry = Geometry(**parameters)
    strides, pads, input_dilation, dilation, groups, merged = geometry
    if type(dy) is ad.Zero:
        return ad.Zero(kernel.aval)
    if sums_places(kernel.aval.shape, groups):
        return gradient_by_places(dy, x, kernel.aval.shape, geometry)
    # Without this XLA computes both once more, in the order of the transposed arrays.
    x, dy = computed_once(x, dy)
    if max(input_dilation) > 1 and max(strides) == 1:
        return _kernel_of_spread(dy, x, kernel.aval.shape, geometry)
    new_pads = []
    for axis, (before, _) in enumerate(pads):
        wanted = (kernel.aval.shape[axis] - 1) * dilation[axis] + 1
        wanted += (dy.shape[axis + 1] - 1) * strides[axis]
        there = (x.shape[axis + 1] - 1) * input_dilation[axis] + 1
        new_pads.append((before, wanted - there - before))
    slid = Geometry(dilation, tuple(new_pads), input_dilation, strides, groups, merged)
    gradient = _bind(_channels_as_images(x, groups), jnp.moveaxis(dy, 0, -2), slid)
    return jnp.moveaxis(gradient, 0, -2)


def _kernel_of_spread(
    dy: jax.Array, x: jax.Array, shape: tuple[int, ...], geometry: Geometry
) -> jax.Array:
    """The kernel's gradient where the input is spread: the input slides over the output's gradient.

    Spread, it would be an image under a kernel as large, for which XLA has only nested loops:
    (16, 32, 32, 32) -> 64, 3 x 3, spread by 2: 1300 ms, so 32.
    """
    _, pads, input_dilation, dilation, groups, merged = geometry
    *places, inside, outside = shape
    new_pads = []
    for axis, (before, _) in enumerate(pads):
        reach = (places[axis] - 1) * dilation[axis]
        wanted = reach + 1 + (x.shape[axis + 1] - 1) * input_dilation[axis]
        new_pads.append((reach - before, wanted - dy.shape[axis + 1] - (reach - before)))
    once = (1,) * len(places)
    slid = Geometry(dilation, tuple(new_pads), once, input_dilation, groups, merged)
    gradient = _bind(_channels_as_images(dy, groups), jnp.moveaxis(x, 0, -2), slid)
    # (out, ..., groups * in), its places in reverse
    gradient = jnp.flip(gradient, range(1, len(places) + 1))
    gradient = jnp.reshape(gradient, (outside // groups, *places, groups, inside))
    return jnp.reshape(jnp.swapaxes(jnp.moveaxis(gradient, 0, -1), -3, -2), shape)


def _channels_as_images(x: jax.Array, groups: int) -> jax.Array:
    """(batch, ..., channels) → (channels / groups, ..., groups * batch)."""
    batch, *sizes, channels = x.shape
    parts = jnp.reshape(x, (batch, *sizes, groups, channels // groups))
    return jnp.reshape(jnp.swapaxes(parts, 0, -1), (channels // groups, *sizes, groups * batch))


def _batched(arrays: tuple, axes: tuple, **parameters: Any) -> tuple:
    """Under `vmap`: more images; only where each has its own kernel, what JAX makes of it."""
    x, kernel = arrays
    if axes[1] is None:
        x = jnp.moveaxis(x, axes[0], 0)  # (mapped, batch, ..., channels)
        joined = jnp.reshape(x, (-1, *x.shape[2:]))
        y = _bind(joined, kernel, Geometry(**parameters))
        return jnp.reshape(y, (*x.shape[:2], *y.shape[1:])), 0
    plain = functools.partial(general, geometry=Geometry(**parameters))
    return jax.vmap(plain, in_axes=axes)(x, kernel), 0


convolution_p = Primitive("staghorn_convolution")
convolution_p.def_impl(lambda x, kernel, **parameters: _compiled()(x, kernel, **parameters))
convolution_p.def_abstract_eval(_abstract)
ad.defbilinear(convolution_p, _input_transpose, _kernel_transpose)
batching.primitive_batchers[convolution_p] = _batched
mlir.register_lowering(convolution_p, mlir.lower_fun(_compute, multiple_results=False))


def _bind(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    x, geometry = cropped(x, geometry)
    y = convolution_p.bind(x, kernel, **geometry._asdict())
    # XLA would compute an unrolled sum anew inside each operation that reads it: with it, an epoch
    # of a CNN with depthwise convolutions takes twice as long.
    return computed_once(y)[0] if unrolls(kernel, geometry.groups) else y


# --- choosing a form ------------------------------------------------------------------------------


def _is_product(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> bool:
    return (
        geometry.groups == 1
        and set(kernel.shape[:-2]) == {1}
        and not any(p for pad in geometry.pads for p in pad)
        and set(geometry.input_dilation) == {1}
    )


def _product(x: jax.Array, kernel: jax.Array, strides: Sequence[int]) -> jax.Array:
    """A 1 x 1 kernel: one matrix product over the channels."""
    x = x[:, *(slice(None, None, stride) for stride in strides)]
    rows = jnp.reshape(x, (-1, x.shape[-1]))  # (places, in)
    y = jnp.matmul(rows, jnp.reshape(kernel, kernel.shape[-2:]))  # (places, out)
    return jnp.reshape(y, (*x.shape[:-1], kernel.shape[-1]))


def _convolve(
    x: jax.Array, kernel: jax.Array, geometry: Geometry, channels_first: bool
) -> jax.Array:
    if jax.default_backend() != "cpu":
        return general(x, kernel, geometry, channels_first)
    if channels_first:
        x = jnp.moveaxis(x, 1, -1)
    if _is_product(x, kernel, geometry):
        y = _product(x, kernel, geometry.strides)
    else:
        kernel, left = merged_groups(kernel, geometry.groups)
        y = _bind(x, kernel, geometry._replace(groups=left, merged=geometry.groups // left))
    return jnp.moveaxis(y, -1, 1) if channels_first else y


# --- arguments ------------------------------------------------------------------------------------


def _numbers(name: str, what: str, value: Any, rank: int) -> tuple[int, ...]:
    numbers = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(numbers) != rank or any(n < 1 for n in numbers):
        raise ValueError(
            f"{name}: {what} must be a positive int or {rank} of them, one for each axis between "
            f"batch and channels, got {value!r}."
        )
    return numbers


def _option(name: str, what: str, value: Any, known: tuple[str, ...]) -> str:
    chosen = value.lower() if isinstance(value, str) else value
    if chosen not in known:
        raise ValueError(
            f"{name}: {what} must be {' or '.join(map(repr, known))}, got {value!r}."
            f"{suggestion(value, known)}"
        )
    return chosen


def _prepared(
    name: str, inputs: Any, kernel: Any, data_format: str | None
) -> tuple[jax.Array, jax.Array, bool]:
    """Return arrays of the kernel's type, and whether channels come first."""
    kernel = as_array(kernel)
    x = as_array(inputs, kernel.dtype)
    if x.ndim < 3 or x.ndim != kernel.ndim:
        raise ValueError(
            f"{name}: inputs must have a batch axis, 1 to 3 axes to slide along and channels, and "
            f"the kernel as many axes, got the shapes {x.shape} and {kernel.shape}."
        )
    known = ("channels_last", "channels_first")
    chosen = _option(name, "data_format", data_format or config.image_data_format(), known)
    return x, kernel, chosen == "channels_first"


def _spatial(x: jax.Array, channels_first: bool) -> tuple:
    return x.shape[2:] if channels_first else x.shape[1:-1]


def _channels(x: jax.Array, channels_first: bool) -> Any:
    return x.shape[1] if channels_first else x.shape[-1]


def _slide(
    name: str,
    x: jax.Array,
    kernel: jax.Array,
    sliding: tuple[Any, Any, Any],
    channels_first: bool,
    groups: int,
) -> jax.Array:
    """Convolve, once the arguments are arrays."""
    steps, padding, spread = sliding
    rank = x.ndim - 2
    strides = _numbers(name, "strides", steps, rank)
    dilation = _numbers(name, "dilation_rate", spread, rank)
    sizes = _spatial(x, channels_first)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel.shape, dilation, strict=False)]
    if isinstance(padding, str):
        padding = _option(name, "padding", padding, ("valid", "same"))
        padding = jax.lax.padtype_to_pads(sizes, reach, strides, padding.upper())
    pads = tuple((before, after) for before, after in padding)
    for size, pad, needed in zip(sizes, pads, reach, strict=True):
        if isinstance(size, int) and size and size + sum(pad) < needed:
            raise ValueError(too_large(name, tuple(sizes), kernel.shape[:-2], dilation))
    geometry = Geometry(strides, pads, (1,) * rank, dilation, groups)
    return _convolve(x, kernel, geometry, channels_first)


def too_large(name: str, sizes: tuple, kernel: tuple, dilation: tuple) -> str:
    """The text for a kernel that does not fit into the input."""
    spread = f" spread by dilation_rate={dilation}" if max(dilation) > 1 else ""
    return (
        f"{name}: the kernel {tuple(kernel)}{spread} is larger than the input {tuple(sizes)}, so "
        "nothing would come out. Use a smaller kernel_size, padding='same', or fewer strides and "
        "pooling layers before it."
    )


def _check_channels(name: str, channels: Any, expected: int, kernel: jax.Array) -> None:
    if isinstance(channels, int) and channels != expected:
        raise ValueError(
            f"{name}: the input has {channels} channels, the kernel of shape {kernel.shape} is "
            f"made for {expected}. Check data_format."
        )


# --- the operations -------------------------------------------------------------------------------


@op
def conv(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str | Sequence[tuple[int, int]] = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> jax.Array:
    """Convolution along 1, 2 or 3 axes.

    (batch, ..., channels), kernel (..., channels / groups, filters) → (batch, ..., filters)
    y[o] = sum over k of x[o * strides + k * dilation_rate] @ kernel[k]

    Args:
        inputs: images, sequences or volumes.
        kernel: weights. Fewer channels than the input's divide the channels into groups.
        strides: int or ints, steps between outputs. Default: 1.
        padding: "valid" for none, "same" for ceil(size / strides) outputs, or one pair
            (before, after) for each axis. Default: "valid".
        data_format: "channels_last", or "channels_first" for (batch, channels, ...).
            Default: `config.image_data_format()`.
        dilation_rate: int or ints, steps between kernel places. Default: 1.

    Raises:
        ValueError: for shapes that do not fit together, or a kernel larger than the input.

    Example:
        >>> staghorn.ops.conv(np.ones((2, 8, 8, 3)), np.ones((3, 3, 3, 16))).shape
        (2, 6, 6, 16)

    Notes:
        Pairs of paddings are an addition to Keras.
    """
    x, kernel, channels_first = _prepared("conv", inputs, kernel, data_format)
    channels = _channels(x, channels_first)
    inside, filters = kernel.shape[-2:]
    if channels % inside != 0 or filters % (channels // inside) != 0:
        raise ValueError(
            f"conv: the input has {channels} channels, the kernel of shape {kernel.shape} takes "
            f"{inside} to {filters}. The input's must be a multiple of the kernel's, and the "
            "filters a multiple of the number of groups. Check data_format."
        )
    sliding = (strides, padding, dilation_rate)
    return _slide("conv", x, kernel, sliding, channels_first, channels // inside)


@op
def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str | Sequence[tuple[int, int]] = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> jax.Array:
    """Convolve each channel by itself.

    (batch, ..., channels), kernel (..., channels, multiplier)
    → (batch, ..., channels * multiplier)

    Args:
        inputs: images or sequences.
        kernel: weights; `multiplier` outputs for each channel.
        strides: int or ints, steps between outputs. Default: 1.
        padding: "valid", "same" or pairs (before, after). Default: "valid".
        data_format: "channels_last" or "channels_first". Default: `config.image_data_format()`.
        dilation_rate: int or ints, steps between kernel places. Default: 1.

    Raises:
        ValueError: for shapes that do not fit together, or a kernel larger than the input.

    Example:
        >>> staghorn.ops.depthwise_conv(np.ones((2, 8, 8, 3)), np.ones((3, 3, 3, 2))).shape
        (2, 6, 6, 6)
    """
    x, kernel, channels_first = _prepared("depthwise_conv", inputs, kernel, data_format)
    channels, multiplier = kernel.shape[-2:]
    _check_channels("depthwise_conv", _channels(x, channels_first), channels, kernel)
    grouped = jnp.reshape(kernel, (*kernel.shape[:-2], 1, channels * multiplier))
    sliding = (strides, padding, dilation_rate)
    return _slide("depthwise_conv", x, grouped, sliding, channels_first, channels)


@op
def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str | Sequence[tuple[int, int]] = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> jax.Array:
    """Convolve each channel by itself, then mix the channels place by place.

    (batch, ..., channels), kernels (..., channels, multiplier) and
    (1, ..., channels * multiplier, filters) → (batch, ..., filters)

    Args:
        inputs: images or sequences.
        depthwise_kernel: weights of the first step.
        pointwise_kernel: weights of the second step.
        strides: int or ints, steps between outputs. Default: 1.
        padding: "valid", "same" or pairs (before, after). Default: "valid".
        data_format: "channels_last" or "channels_first". Default: `config.image_data_format()`.
        dilation_rate: int or ints, steps between places of the first kernel. Default: 1.

    Raises:
        ValueError: for shapes that do not fit together, or a kernel larger than the input.

    Example:
        >>> deep, point = np.ones((3, 3, 3, 2)), np.ones((1, 1, 6, 16))
        >>> staghorn.ops.separable_conv(np.ones((2, 8, 8, 3)), deep, point).shape
        (2, 6, 6, 16)
    """
    x = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(x, pointwise_kernel, data_format=data_format)


def transposed_pads(
    kernel: int, stride: int, dilation: int, padding: str, output_padding: int | None
) -> tuple[int, int]:
    """Padding of the spread input, for one axis of a transposed convolution.

    Without padding n inputs give (n - 1) * stride - reach + 2 outputs, where the kernel reaches
    over reach = (kernel - 1) * dilation + 1 places; each place of padding adds one.
    """
    reach = (kernel - 1) * dilation + 1
    if padding == "valid":
        more = max(stride - reach, 0) if output_padding is None else output_padding
        return reach - 1, reach - 1 + more
    # By default n * stride outputs.
    more = stride if output_padding is None else reach % 2 + output_padding
    total = reach - 2 + more
    before = min(total - total // 2, reach - 1)
    return before, total - before


@op
def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    output_padding: int | Sequence[int] | None = None,
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> jax.Array:
    """Transposed convolution: each input place adds a kernel to the output.

    (batch, ..., channels), kernel (..., filters, channels) → (batch, ..., filters)
    size · strides outputs along an axis with "same" padding, (size - 1) · strides + kernel or more
    with "valid".

    Args:
        inputs: images, sequences or volumes.
        kernel: weights.
        strides: int or ints, steps between the places of two inputs. Default: 1.
        padding: "valid" or "same". Default: "valid".
        output_padding: int or ints, outputs added at the end. Default: None, chosen so that the
            sizes above come out.
        data_format: "channels_last" or "channels_first". Default: `config.image_data_format()`.
        dilation_rate: int or ints, steps between kernel places. Default: 1.

    Raises:
        ValueError: for shapes that do not fit together.

    Example:
        >>> x, kernel = np.ones((2, 8, 8, 3)), np.ones((3, 3, 16, 3))
        >>> staghorn.ops.conv_transpose(x, kernel, strides=2, padding="same").shape
        (2, 16, 16, 16)
    """
    name = "conv_transpose"
    x, kernel, channels_first = _prepared(name, inputs, kernel, data_format)
    _check_channels(name, _channels(x, channels_first), kernel.shape[-1], kernel)
    rank = x.ndim - 2
    strides = _numbers(name, "strides", strides, rank)
    dilation = _numbers(name, "dilation_rate", dilation_rate, rank)
    padding = _option(name, "padding", padding, ("valid", "same"))
    single = output_padding is None or isinstance(output_padding, int)
    more: Any = (output_padding,) * rank if single else output_padding
    axes = zip(kernel.shape[:-2], strides, dilation, more, strict=True)
    pads = tuple(transposed_pads(k, s, d, padding, extra) for k, s, d, extra in axes)
    geometry = Geometry((1,) * rank, pads, strides, dilation)
    return _convolve(x, _split_kernel(kernel, 1), geometry, channels_first)
