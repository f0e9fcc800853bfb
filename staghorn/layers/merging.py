"""Layers of several inputs: Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, Dot.

Each has a functional spelling: `add([x, y])` is `Add()([x, y])`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config
from staghorn.engine.arguments import Is
from staghorn.engine.dtypes import is_float
from staghorn.engine.masks import get_mask
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.layer import Layer
from staghorn.ops import nn

__all__ = [
    "Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract",
    "add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract",
]  # fmt: skip

Shape = tuple[int | None, ...]


class Merge(Layer):
    """Base of layers that make one output from a list of inputs, element by element.

    Inputs of fewer axes get axes of size 1 after the batch; sizes of 1 are repeated.
    """

    exactly: int | None = None  # how many inputs, where the number is fixed

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Any) -> jax.Array:
        self._check_list([x.shape for x in inputs] if _is_list(inputs) else inputs.shape)
        masks = [get_mask(x) for x in inputs]
        return self.merge(same_rank(same_type(inputs)), masks)

    def merge(self, inputs: list[jax.Array], masks: list) -> jax.Array:
        """Combine arrays of one rank and type; `masks` belong to them, None where there is none."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> Shape:
        self._check_list(input_shape)
        batches = {shape[0] for shape in input_shape if shape} - {None}
        if len(batches) > 1:
            raise ValueError(self._misfit("their batch sizes differ", input_shape))
        sizes = functools.reduce(
            lambda a, b: self._broadcast(a, b, input_shape), (s[1:] for s in input_shape)
        )
        return (batches.pop() if batches else None, *sizes)

    def _broadcast(self, first: Shape, second: Shape, shapes: Any) -> Shape:
        rank = max(len(first), len(second))
        pairs = zip(_padded(first, rank), _padded(second, rank), strict=True)
        merged: list[int | None] = []
        for a, b in pairs:
            if None not in (a, b) and a != b and 1 not in (a, b):
                raise ValueError(self._misfit(f"sizes {a} and {b} cannot be combined", shapes))
            merged.append(None if None in (a, b) else b if a == 1 else a)
        return tuple(merged)

    def _misfit(self, why: str, shapes: Any) -> str:
        listed = ", ".join(str(tuple(shape)) for shape in shapes)
        return f"{type(self).__name__} '{self.name}': {why}. Shapes received: {listed}."

    def _check_list(self, shapes: Any) -> None:
        if not _is_list(shapes) or not all(_is_list(shape) for shape in shapes) or not shapes:
            raise ValueError(
                f"{type(self).__name__} '{self.name}' takes a list of inputs, as in "
                f"{type(self).__name__}()([x, y]); got one input of shape {shapes}."
            )
        if self.exactly is not None and len(shapes) != self.exactly:
            raise ValueError(self._misfit(f"it takes exactly {self.exactly} inputs", shapes))

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        shapes = [x.shape for x in inputs] if _is_list(inputs) else inputs.shape
        return KerasTensor(self.compute_output_shape(shapes), self._output_dtype(inputs))

    def _output_dtype(self, inputs: Any) -> str:
        if any(is_float(x.dtype) for x in inputs):
            return self.compute_dtype
        return common_type([jnp.dtype(x.dtype) for x in inputs]).name

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Keep a step that any input keeps; without a mask of every input there is none."""
        del inputs
        if not _is_list(mask) or any(m is None for m in mask):
            return None
        return functools.reduce(jnp.logical_or, mask)


class Add(Merge):
    """Add the inputs.

    [(batch, …), (batch, …), …] → (batch, …)        y = x_1 + x_2 + …

    Args:
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a single input or shapes that do not fit.

    Example:
        >>> x = np.array([[1.0, 2.0]])
        >>> np.asarray(staghorn.layers.Add()([x, x, x])).tolist()
        [[3.0, 6.0]]
    """

    def merge(self, inputs: list[jax.Array], masks: list) -> jax.Array:
        return functools.reduce(jnp.add, inputs)


class Subtract(Merge):
    """Subtract the second of two inputs from the first.

    [(batch, …), (batch, …)] → (batch, …)        y = x_1 - x_2

    Args:
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other than two inputs or shapes that do not fit.

    Example:
        >>> x, y = np.array([[5.0, 2.0]]), np.array([[1.0, 2.0]])
        >>> np.asarray(staghorn.layers.Subtract()([x, y])).tolist()
        [[4.0, 0.0]]
    """

    exactly = 2

    def merge(self, inputs: list[jax.Array], masks: list) -> jax.Array:
        return inputs[0] - inputs[1]


class Multiply(Merge):
    """Multiply the inputs; a masked step counts as 1.

    [(batch, …), (batch, …), …] → (batch, …)        y = x_1 * x_2 * …

    Args:
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a single input or shapes that do not fit.

    Example:
        >>> x = np.array([[1.0, 2.0]])
        >>> np.asarray(staghorn.layers.Multiply()([x, x, x])).tolist()
        [[1.0, 8.0]]

    Notes: where every input has a mask, steps that all of them mask become 0.
    """

    def merge(self, inputs: list[jax.Array], masks: list) -> jax.Array:
        kept = [_wide_mask(mask, x) for mask, x in zip(masks, inputs, strict=True)]
        ones = [
            x if k is None else jnp.where(k, x, jnp.ones((), x.dtype))
            for k, x in zip(kept, inputs, strict=True)
        ]
        product = functools.reduce(jnp.multiply, ones)
        if any(k is None for k in kept):
            return product
        return jnp.where(functools.reduce(jnp.logical_or, kept), product, product.dtype.type(0))


class Average(Merge):
    """Average the inputs.

    [(batch, …), (batch, …), …] → (batch, …)        y = (x_1 + x_2 + … + x_n) / n

    Args:
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a single input or shapes that do not fit.

    Example:
        >>> x, y = np.array([[1.0, 2.0]]), np.array([[3.0, 2.0]])
        >>> np.asarray(staghorn.layers.Average()([x, y])).tolist()
        [[2.0, 2.0]]
    """

    def merge(self, inputs: list[jax.Array], masks: list) -> jax.Array:
        total = functools.reduce(jnp.add, inputs)
        total = total if is_float(total.dtype) else total.astype(config.floatx())
        return total / len(inputs)

    def _output_dtype(self, inputs: Any) -> str:
        dtype = super()._output_dtype(inputs)
        return dtype if is_float(dtype) else config.floatx()


class _Extreme(Merge):
    """Base of Maximum and Minimum: a masked step gives way to the others."""

    chosen: Callable

    def merge(self, inputs: list[jax.Array], masks: list) -> jax.Array:
        output, kept = inputs[0], _wide_mask(masks[0], inputs[0])
        for x, mask in zip(inputs[1:], masks[1:], strict=True):
            also = _wide_mask(mask, x)
            x = x if also is None else jnp.where(also, x, output)
            output = output if kept is None else jnp.where(kept, output, x)
            kept = None if kept is None or also is None else jnp.logical_or(kept, also)
            output = type(self).chosen(output, x)
        return output


class Maximum(_Extreme):
    """Take the largest of the inputs, place by place; masked steps do not count.

    [(batch, …), (batch, …), …] → (batch, …)        y = max(x_1, x_2, …)

    Args:
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a single input or shapes that do not fit.

    Example:
        >>> x, y = np.array([[1.0, 2.0]]), np.array([[3.0, 0.0]])
        >>> np.asarray(staghorn.layers.Maximum()([x, y])).tolist()
        [[3.0, 2.0]]
    """

    chosen = staticmethod(jnp.maximum)


class Minimum(_Extreme):
    """Take the smallest of the inputs, place by place; masked steps do not count.

    [(batch, …), (batch, …), …] → (batch, …)        y = min(x_1, x_2, …)

    Args:
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a single input or shapes that do not fit.

    Example:
        >>> x, y = np.array([[1.0, 2.0]]), np.array([[3.0, 0.0]])
        >>> np.asarray(staghorn.layers.Minimum()([x, y])).tolist()
        [[1.0, 0.0]]
    """

    chosen = staticmethod(jnp.minimum)


class Concatenate(Merge):
    """Join the inputs along an axis.

    [(batch, …, n_1), (batch, …, n_2), …] → (batch, …, n_1 + n_2 + …)

    Args:
        axis: int, the axis to join along. Default: -1.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a single input or shapes that differ elsewhere.

    Example:
        >>> staghorn.layers.Concatenate()([np.zeros((2, 3)), np.zeros((2, 4))]).shape
        (2, 7)
    """

    arguments = {"axis": Is(int)}

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> jax.Array:
        self._check_list([x.shape for x in inputs] if _is_list(inputs) else inputs.shape)
        return jnp.concatenate(same_type(inputs), axis=self.axis)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        self._check_list(input_shape)
        rank = len(input_shape[0])
        if any(len(s) != rank for s in input_shape) or not -rank <= self.axis < rank:
            raise ValueError(
                self._misfit(f"axis={self.axis} needs inputs of the same rank", input_shape)
            )
        joined = self.axis % rank
        output: list[int | None] = []
        for axis, sizes in enumerate(zip(*input_shape, strict=True)):
            known = {size for size in sizes if size is not None}
            if axis == joined:
                output.append(None if None in sizes else sum(sizes))
            elif len(known) > 1:
                why = f"sizes of axis {axis} differ, and axis={self.axis} is the one to join along"
                raise ValueError(self._misfit(why, input_shape))
            else:
                output.append(sizes[0] if len(set(sizes)) == 1 else known.pop())
        return tuple(output)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Join the masks likewise; inputs without a mask are kept whole."""
        if not _is_list(mask) or all(m is None for m in mask):
            return None
        wide = [
            jnp.ones(x.shape, bool) if m is None else jnp.broadcast_to(_trailing(m, x), x.shape)
            for m, x in zip(mask, inputs, strict=True)
        ]
        return jnp.any(jnp.concatenate(wide, axis=self.axis), axis=-1)


class Dot(Merge):
    """Dot product of two inputs along an axis of each, sample by sample.

    [(batch, n), (batch, n)] → (batch, 1)        y_b = sum_i x_1[b, i] * x_2[b, i]
    [(batch, i, n), (batch, n, k)] → (batch, i, k)        for axes=(2, 1)

    Args:
        axes: int, or one int for each input: the axes of the products.
        normalize: whether both are scaled to length 1 first, which gives the cosine. Default:
            False.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for other than two inputs, or axes of different sizes.

    Example:
        >>> x = np.array([[1.0, 2.0]])
        >>> np.asarray(staghorn.layers.Dot(axes=1)([x, x])).tolist()
        [[5.0]]
    """

    arguments = {"axes": Is(int, list, tuple), "normalize": Is(bool)}
    exactly = 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(axes, (list, tuple)) and not (
            len(axes) == 2 and all(isinstance(axis, int) for axis in axes)
        ):
            raise ValueError(f"Dot: axes must be an int or two ints, got {axes!r}.")
        self.axes = axes
        self.normalize = normalize

    def _axes_for(self, shapes: Any) -> tuple[int, int]:
        """Return the two axes counted from the front."""
        given = [self.axes] * 2 if isinstance(self.axes, int) else self.axes
        ranks = [len(shape) for shape in shapes]
        inside = all(-n <= axis < n for axis, n in zip(given, ranks, strict=True))
        axes = [axis % n for axis, n in zip(given, ranks, strict=True)]
        if not inside or 0 in axes:
            why = f"axes={self.axes!r} must be axes of the inputs after the batch"
            raise ValueError(self._misfit(why, shapes))
        return axes[0], axes[1]

    def call(self, inputs: Any) -> jax.Array:
        self._check_list([x.shape for x in inputs] if _is_list(inputs) else inputs.shape)
        x, y = same_type(inputs)
        a, b = self._axes_for((x.shape, y.shape))
        if self.normalize:
            x, y = nn.normalize(x, axis=a), nn.normalize(y, axis=b)
        product = jax.lax.dot_general(x, y, (((a,), (b,)), ((0,), (0,))))  # (batch, …x, …y)
        return product if product.ndim > 1 else jnp.expand_dims(product, 1)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        self._check_list(input_shape)
        first, second = map(tuple, input_shape)
        a, b = self._axes_for((first, second))
        for sizes, what in (((first[a], second[b]), "the axes'"), ((first[0], second[0]), "batch")):
            if None not in sizes and sizes[0] != sizes[1]:
                why = f"{what} sizes {sizes[0]} and {sizes[1]} differ (axes={self.axes!r})"
                raise ValueError(self._misfit(why, input_shape))
        rest = (*first[1:a], *first[a + 1 :], *second[1:b], *second[b + 1 :])
        batch = second[0] if first[0] is None else first[0]
        return (batch, *(rest or (1,)))

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        del inputs, mask


def _is_list(x: Any) -> bool:
    return isinstance(x, (list, tuple))


def _padded(sizes: Shape, rank: int) -> Shape:
    return (1,) * (rank - len(sizes)) + tuple(sizes)


def _trailing(mask: jax.Array, x: jax.Array) -> jax.Array:
    """Give a mask axes of size 1 at its end until it has as many axes as its input."""
    return jnp.reshape(mask, tuple(mask.shape) + (1,) * (x.ndim - mask.ndim))


def _wide_mask(mask: Any, x: jax.Array) -> Any:
    return None if mask is None else jnp.broadcast_to(_trailing(mask, x), x.shape)


def common_type(dtypes: Sequence[Any]) -> Any:
    """Return the type that several are computed in together; explicit, so strict modes agree."""
    unique = list(dict.fromkeys(dtypes))
    if len(unique) == 1:
        return unique[0]
    with jax.numpy_dtype_promotion("standard"):
        return functools.reduce(jnp.promote_types, unique)


def same_type(inputs: Sequence[jax.Array]) -> list[jax.Array]:
    """Cast arrays to their common type."""
    dtype = common_type([x.dtype for x in inputs])
    return [x if x.dtype == dtype else x.astype(dtype) for x in inputs]


def same_rank(inputs: Sequence[jax.Array]) -> list[jax.Array]:
    """Give arrays of fewer axes new ones of size 1 after the batch."""
    rank = max(x.ndim for x in inputs)
    return [
        x
        if x.ndim == rank
        else jnp.reshape(x, (*x.shape[:1], *(1,) * (rank - x.ndim), *x.shape[1:]))
        for x in inputs
    ]


def add(inputs: Sequence, **kwargs: Any) -> Any:
    """Add the inputs: `Add(**kwargs)(inputs)`.

    (batch, …), (batch, …), … → (batch, …)        y = x1 + x2 + …

    Args:
        inputs: a list of arrays or symbolic tensors.
        **kwargs: those of `Add`.

    Example:
        >>> staghorn.layers.add([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 3)
    """
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence, **kwargs: Any) -> Any:
    """Subtract the second input from the first: `Subtract(**kwargs)(inputs)`.

    (batch, …), (batch, …) → (batch, …)        y = x1 - x2

    Args:
        inputs: a list of two arrays or symbolic tensors.
        **kwargs: those of `Subtract`.

    Example:
        >>> staghorn.layers.subtract([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 3)
    """
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence, **kwargs: Any) -> Any:
    """Multiply the inputs: `Multiply(**kwargs)(inputs)`.

    (batch, …), (batch, …), … → (batch, …)        y = x1 * x2 * …

    Args:
        inputs: a list of arrays or symbolic tensors.
        **kwargs: those of `Multiply`.

    Example:
        >>> staghorn.layers.multiply([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 3)
    """
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence, **kwargs: Any) -> Any:
    """Average the inputs: `Average(**kwargs)(inputs)`.

    (batch, …), (batch, …), … → (batch, …)        y = (x1 + x2 + …) / n

    Args:
        inputs: a list of arrays or symbolic tensors.
        **kwargs: those of `Average`.

    Example:
        >>> staghorn.layers.average([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 3)
    """
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence, **kwargs: Any) -> Any:
    """Take the largest, place by place: `Maximum(**kwargs)(inputs)`.

    (batch, …), (batch, …), … → (batch, …)        y = max(x1, x2, …)

    Args:
        inputs: a list of arrays or symbolic tensors.
        **kwargs: those of `Maximum`.

    Example:
        >>> staghorn.layers.maximum([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 3)
    """
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence, **kwargs: Any) -> Any:
    """Take the smallest, place by place: `Minimum(**kwargs)(inputs)`.

    (batch, …), (batch, …), … → (batch, …)        y = min(x1, x2, …)

    Args:
        inputs: a list of arrays or symbolic tensors.
        **kwargs: those of `Minimum`.

    Example:
        >>> staghorn.layers.minimum([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 3)
    """
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence, axis: int = -1, **kwargs: Any) -> Any:
    """Join the inputs along an axis: `Concatenate(axis, **kwargs)(inputs)`.

    (batch, …, m), (batch, …, n), … → (batch, …, m + n + …)

    Args:
        inputs: a list of arrays or symbolic tensors.
        axis: the axis that grows. Default: -1.
        **kwargs: those of `Concatenate`.

    Example:
        >>> staghorn.layers.concatenate([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 6)
    """
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence, axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """Dot product along axes: `Dot(axes, **kwargs)(inputs)`.

    (batch, n), (batch, n) → (batch, 1)        y = sum(x1 * x2)

    Args:
        inputs: a list of two arrays or symbolic tensors.
        axes: the axis to sum over, or one for each input. Default: -1.
        **kwargs: those of `Dot`.

    Example:
        >>> staghorn.layers.dot([np.ones((2, 3)), np.ones((2, 3))]).shape
        (2, 1)
    """
    return Dot(axes=axes, **kwargs)(inputs)
