"""Whole numbers by the largest absolute value: x * scale, rounded, with scale = 127 / max |x|."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from staghorn.engine.serialization import Configurable
from staghorn.engine.symbolic import op


class Quantizer(Configurable):
    """Base of quantizers: `quantizer(x, axis=...)` returns whole numbers and their scale.

    Args:
        output_dtype: the type of the numbers. Default: "int8".

    Example:
        >>> class Halves(staghorn.quantizers.Quantizer):
        ...     def __call__(self, x, axis=None, to_numpy=False):
        ...         return np.round(x * 2).astype(self.output_dtype), 2.0
        >>> Halves()(np.array([1.5, -2.0]))[0]
        array([ 3, -4], dtype=int8)
    """

    def __init__(self, output_dtype: str = "int8") -> None:
        self.output_dtype = output_dtype

    def __call__(self, x: Any) -> Any:
        return x


@op
def abs_max_quantize(
    inputs: Any,
    axis: int | Sequence[int],
    value_range: Sequence[int] = (-127, 127),
    dtype: str = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[Any, Any]:
    """Whole numbers and the scale that made them.

    any shape → the same shape, and a scale that has size 1 along `axis`
    scale = high / (max |x| + epsilon)        y = clip(round(x * scale), low, high)

    Args:
        inputs: floats.
        axis: the axes that share a scale.
        value_range: low and high, the least and largest whole number. Default: (-127, 127).
        dtype: type of the whole numbers. Default: "int8".
        epsilon: keeps zeros from dividing by zero. Default: 1e-7.
        to_numpy: compute on the host, which spares the device's memory. Default: False.

    Example:
        >>> y, scale = staghorn.quantizers.abs_max_quantize(np.array([[0.6, -1.0]], "float32"), 1)
        >>> print(y, scale.round(2))
        [[  76 -127]] [[127.]]

    Reference: Dettmers et al., 2022, "LLM.int8()", https://arxiv.org/abs/2208.07339
    """
    xp: Any = np if to_numpy else jnp
    x = xp.asarray(inputs)
    axes = axis if isinstance(axis, int) else tuple(axis)
    low, high = value_range
    scale = high / (xp.max(xp.abs(x), axis=axes, keepdims=True) + epsilon)
    # The host's numbers are scaled before the scale is rounded to their type, as in Keras.
    scale = scale if to_numpy else scale.astype(x.dtype)
    y = xp.clip(xp.round(x * scale), low, high).astype(dtype)
    return jnp.asarray(y), jnp.asarray(scale.astype(x.dtype))


class AbsMaxQuantizer(Quantizer):
    """Whole numbers by the largest absolute value along some axes; see `abs_max_quantize`.

    Args:
        axis: the axes that share a scale, if the call does not say. Default: None, the last one.
        value_range: least and largest whole number. Default: (-127, 127).
        epsilon: keeps zeros from dividing by zero. Default: 1e-7.
        output_dtype: type of the whole numbers. Default: "int8".

    Raises:
        ValueError: for a `value_range` that int8 cannot hold.

    Example:
        >>> quantizer = staghorn.quantizers.AbsMaxQuantizer(axis=0)
        >>> y, scale = quantizer(np.array([[0.6, 4.0], [1.0, 1.0]], "float32"))
        >>> print(y)
        [[ 76 127]
         [127  32]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = None,
        value_range: Sequence[int] = (-127, 127),
        epsilon: float = 1e-7,
        output_dtype: str = "int8",
    ) -> None:
        super().__init__(output_dtype)
        self.axis = (axis,) if isinstance(axis, int) else None if axis is None else tuple(axis)
        self.value_range = tuple(value_range)
        self.epsilon = epsilon
        if output_dtype == "int8" and (self.value_range[0] < -128 or self.value_range[1] > 127):
            raise ValueError(
                f"{type(self).__name__}: value_range must lie in [-128, 127] for int8, "
                f"got {self.value_range}."
            )

    def __call__(self, x: Any, axis: Any = None, to_numpy: bool = False) -> tuple[Any, Any]:
        axis = next((a for a in (axis, self.axis) if a is not None), -1)
        return abs_max_quantize(
            x, axis, self.value_range, self.output_dtype, self.epsilon, to_numpy
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {key: value for key, value in config.items() if (key, value) != ("axis", None)}


@op
def abs_max_quantize_grouped_with_zero_point(
    inputs: Any,
    block_size: int,
    value_range: Sequence[int] = (-8, 7),
    dtype: str = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[Any, Any, Any]:
    """Whole numbers with a scale and a zero point for each block of rows of each column.

    (rows, columns) → the same shape, scale and zero (ceil(rows / block_size), columns)
    scale = (max x - min x + epsilon) / (high - low)        zero = low - round(min x / scale)
    y = clip(round(x / scale) + zero, low, high)

    Args:
        inputs: a matrix of floats.
        block_size: rows in a block.
        value_range: low and high. Default: (-8, 7), which fit into 4 bits.
        dtype: type of the whole numbers. Default: "int8".
        epsilon: keeps equal numbers from dividing by zero. Default: 1e-7.
        to_numpy: compute on the host. Default: False.

    Example:
        >>> x = np.linspace(-1, 3, 12, dtype="float32").reshape(6, 2)
        >>> y, scale, zero = staghorn.quantizers.abs_max_quantize_grouped_with_zero_point(x, 4)
        >>> y.shape, scale.shape, zero.dtype.name
        ((6, 2), (2, 2), 'int8')
    """
    xp: Any = np if to_numpy else jnp
    x = xp.asarray(inputs)
    (rows, columns), (low, high) = x.shape, value_range
    groups = -(-rows // block_size)
    padded = xp.pad(x, ((0, groups * block_size - rows), (0, 0)))
    blocks = xp.reshape(padded, (groups, block_size, columns))
    # Keras has these two differences between host and device.
    seen = blocks if to_numpy or groups > 1 else x[None]
    least, most = xp.min(seen, axis=1, keepdims=True), xp.max(seen, axis=1, keepdims=True)
    if not to_numpy:
        flat = least == most
        least, most = xp.where(flat, least - 1, least), xp.where(flat, most + 1, most)
    scale = (most - least + epsilon) / (high - low)
    zero = xp.clip(xp.round(-least / scale) + low, low, high)  # (groups, 1, columns)
    y = xp.clip(xp.round(blocks / scale) + zero, low, high).astype(dtype)
    y = xp.reshape(y, (-1, columns))[:rows]
    scale, zero = scale[:, 0].astype(x.dtype), zero[:, 0].astype("int8")
    return jnp.asarray(y), jnp.asarray(scale), jnp.asarray(zero)
