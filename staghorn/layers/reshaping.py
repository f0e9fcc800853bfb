"""Layers that move values about: Flatten, Reshape, Permute, RepeatVector."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.arguments import Options, Positive
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.elementwise import carried_dtype
from staghorn.layers.input_spec import InputSpec
from staghorn.layers.layer import Layer


class _Reshaping(Layer):
    """Base: the values keep their type, whatever it is, and only the shape is new."""

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape), carried_dtype(self, inputs))


class Flatten(_Reshaping):
    """Put the values of each sample in one row.

    (batch, …) → (batch, product of the other sizes)        (batch,) → (batch, 1)

    Args:
        data_format: "channels_last", or "channels_first" for inputs (batch, channels, …) whose
            channels shall vary fastest in the row. Default: that of the configuration.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an unknown data format.

    Example:
        >>> staghorn.layers.Flatten()(np.zeros((2, 3, 4))).shape
        (2, 12)
    """

    arguments = {"data_format": Options("channels_last", "channels_first")}

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format or config.image_data_format()
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Any) -> jax.Array:
        if self.data_format == "channels_first" and inputs.ndim > 1:
            inputs = jnp.moveaxis(inputs, 1, -1)
        # The product rather than -1, which is undecided for an empty batch.
        return jnp.reshape(inputs, (inputs.shape[0], math.prod(inputs.shape[1:])))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        sizes = input_shape[1:]
        return (input_shape[0], None if None in sizes else math.prod(sizes))


class Reshape(_Reshaping):
    """Read the values of each sample in another shape.

    (batch, …) → (batch, *target_shape)

    Args:
        target_shape: tuple of ints without the batch; one of them may be -1, which stands for
            what is left.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for sizes below -1, for more than one -1, for a shape of another size than that
            of a sample.

    Example:
        >>> staghorn.layers.Reshape((2, -1))(np.zeros((5, 6))).shape
        (5, 2, 3)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = tuple(target_shape) if isinstance(target_shape, (list, tuple)) else (None,)
        valid = all(s is not None and hasattr(s, "__index__") and int(s) >= -1 for s in sizes)
        if not valid or sizes.count(-1) > 1:
            raise ValueError(
                "Reshape: target_shape must be a tuple of sizes without the batch, at most one of "
                f"them -1, got {target_shape!r} ({type(target_shape).__name__})."
            )
        self.target_shape = tuple(int(size) for size in sizes)
        self.built = not self._overrides_build

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        sizes, target = tuple(input_shape[1:]), self.target_shape
        if None in sizes:
            return (input_shape[0], *(None if size == -1 else size for size in target))
        total, known = math.prod(sizes), math.prod(size for size in target if size != -1)
        fits = total == known if -1 not in target else known > 0 and total % known == 0
        if not fits:
            raise ValueError(
                f"Reshape '{self.name}': a sample of shape {sizes} has {total} values, which do "
                f"not fit target_shape={target}."
            )
        return (input_shape[0], *(total // known if size == -1 else size for size in target))

    def call(self, inputs: Any) -> jax.Array:
        sizes = tuple(size if isinstance(size, int) else None for size in inputs.shape)
        wanted = self.compute_output_shape(sizes)[1:]
        return jnp.reshape(
            inputs, (inputs.shape[0], *(-1 if size is None else size for size in wanted))
        )


class Permute(_Reshaping):
    """Put the axes of each sample in another order.

    (batch, …) → (batch, …)        y[b, i, j] = x[b, j, i] for dims (2, 1)

    Args:
        dims: tuple of ints, the new order; 1 is the first axis after the batch.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: if `dims` is not an order of 1, 2, ..., n, or the input has not n + 1 axes.

    Example:
        >>> staghorn.layers.Permute((2, 1))(np.zeros((2, 3, 4))).shape
        (2, 4, 3)
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(dims, (list, tuple)) or sorted(dims) != list(range(1, len(dims) + 1)):
            raise ValueError(
                "Permute: dims must hold each of 1, 2, ..., n once (0, the batch, stays in place), "
                f"got {dims!r} ({type(dims).__name__})."
            )
        self.dims = tuple(dims)
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Any) -> jax.Array:
        return jnp.transpose(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape[axis] for axis in (0, *self.dims))


class RepeatVector(_Reshaping):
    """Repeat each sample, as the same input for every step of a sequence.

    (batch, features) → (batch, n, features)

    Args:
        n: int, how many times.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for `n` that is not a positive int, or an input that has not two axes.

    Example:
        >>> staghorn.layers.RepeatVector(3)(np.zeros((2, 4))).shape
        (2, 3, 4)
    """

    arguments = {"n": Positive(int)}

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = n
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Any) -> jax.Array:
        batch, features = inputs.shape
        return jnp.broadcast_to(jnp.expand_dims(inputs, 1), (batch, self.n, features))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], self.n, input_shape[1])
