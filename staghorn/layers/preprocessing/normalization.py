"""Normalization: features with mean 0 and variance 1, from statistics of the data."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import config
from staghorn.engine.arguments import Is, OneOrMore, check_values
from staghorn.layers.layer import Layer

_NO_SHAPE = """\
Normalization.adapt: expected arrays, got {what} ({kind}).
Pass one array, layer.adapt(np.array(data)), or batches, layer.adapt([batch, batch, ...])."""


@dataclass(frozen=True)
class Moments:
    """Count, mean and variance of some numbers, in double precision."""

    count: int
    mean: np.ndarray
    variance: np.ndarray


def moments_of(batch: Any, axes: tuple[int, ...]) -> Moments:
    """Return the moments of an array over some axes.

    Example:
        >>> from staghorn.layers.preprocessing.normalization import moments_of
        >>> moments = moments_of(np.array([1.0, 3.0]), (0,))
        >>> moments.count, float(moments.mean), float(moments.variance)
        (2, 2.0, 1.0)
    """
    batch = np.asarray(batch).astype("float64")
    count = math.prod(batch.shape[axis] for axis in axes)
    return Moments(count, np.mean(batch, axis=axes), np.var(batch, axis=axes))


def merged(a: Moments, b: Moments) -> Moments:
    """Return the moments of two sets of numbers together.

    count = n + m; mean = (n a + m b) / count;
    variance = (n var_a + m var_b) / count + n m (a - b)² / count²

    Example:
        >>> from staghorn.layers.preprocessing.normalization import merged, moments_of
        >>> both = merged(moments_of(np.array([1.0]), (0,)), moments_of(np.array([2.0, 6.0]), (0,)))
        >>> both.count, float(both.mean), round(float(both.variance), 4)
        (3, 3.0, 4.6667)

    Reference: Chan et al., 1979, http://i.stanford.edu/pub/cstr/reports/cs/tr/79/773/CS-TR-79-773.pdf
    """
    count = a.count + b.count
    first, second = a.count / count, b.count / count
    mean = first * a.mean + second * b.mean
    within = first * a.variance + second * b.variance
    return Moments(count, mean, within + first * second * (a.mean - b.mean) ** 2)


class Normalization(Layer):
    """Subtract a mean and divide by a standard deviation, known or learnt from data.

    (batch, …, features) → (batch, …, features)        y = (x - mean) / max(sqrt(variance), ε)

    Args:
        axis: the axis or axes whose entries have a mean and variance each; None for one of all.
            Default: -1, the features.
        mean: the mean, instead of `adapt`. Default: None.
        variance: the variance, given with `mean`. Default: None.
        invert: turn normalized numbers back: x = y * max(sqrt(variance), ε) + mean.
            Default: False.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: if one of `mean` and `variance` is given without the other, or if their shape
            does not fit the axes.

    Example:
        >>> layer = staghorn.layers.Normalization()
        >>> layer.adapt(np.array([[0.0, 7.0], [2.0, 9.0]]))
        >>> np.asarray(layer(np.array([[0.0, 9.0]]))).tolist()
        [[-1.0, 1.0]]

    Notes: new weights count at once; Keras keeps the old ones until `finalize_state()`. The weight
    `count` stays 0, as in Keras; files have it.
    """

    arguments = {"invert": Is(bool)}

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        check_values("Normalization", {"axis": OneOrMore(Is(int), optional=True)}, {"axis": axis})
        super().__init__(**kwargs)
        if axis is None:
            axis = ()
        self.axis = (int(axis),) if isinstance(axis, (int, np.integer)) else tuple(axis)
        self.input_mean = mean
        self.input_variance = variance
        self.invert = invert
        self.supports_masking = True
        self._keep_axis: tuple[int, ...] = ()
        self._broadcast_shape: tuple[int, ...] = ()
        self._given: dict[str, np.ndarray] = {}
        self._check_statistics(mean, variance)

    def _check_statistics(self, mean: Any, variance: Any) -> None:
        if (mean is None) != (variance is None):
            raise ValueError(
                "Normalization: mean and variance must be given together, "
                f"got mean={mean!r} and variance={variance!r}."
            )
        for name, value in (("mean", mean), ("variance", variance)):
            if value is not None and np.asarray(value).dtype.kind in "OUS":
                raise ValueError(
                    f"Normalization: {name} must be a number or an array of numbers, got "
                    f"{value!r} ({type(value).__name__})."
                )
        if np.shape(mean) != np.shape(variance):
            raise ValueError(
                "Normalization: mean and variance must have the same shape, "
                f"got {np.shape(mean)} and {np.shape(variance)}."
            )
        if np.ndim(mean) > len(self.axis):
            raise ValueError(
                f"Normalization: mean has shape {np.shape(mean)}, but axis={self.axis} leaves room "
                f"for {len(self.axis)} axes. Name one axis for each of the mean's."
            )

    def build(self, input_shape: Any) -> None:
        rank = len(input_shape)
        if any(axis < -rank or axis >= rank for axis in self.axis):
            raise ValueError(
                f"Normalization '{self.name}': axis={self.axis} does not exist in an input of "
                f"shape {tuple(input_shape)}; axes go from {-rank} to {rank - 1}."
            )
        self._keep_axis = tuple(sorted(axis % rank for axis in self.axis))
        unknown = [axis for axis in self._keep_axis if input_shape[axis] is None]
        if unknown:
            raise ValueError(
                f"Normalization '{self.name}': axis {unknown[0]} has statistics of its own, so its "
                f"size must be known, got axis={self.axis} for an input of shape "
                f"{tuple(input_shape)}."
            )
        self._broadcast_shape = tuple(
            input_shape[axis] if axis in self._keep_axis else 1 for axis in range(rank)
        )
        if self.input_mean is None:
            shape = tuple(input_shape[axis] for axis in self._keep_axis)
            self.adapt_mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(shape, "ones", trainable=False, name="variance")
            self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")
        else:
            self._given = {
                "mean": self._aligned(self.input_mean),
                "variance": self._aligned(self.input_variance),
            }

    def _aligned(self, given: Any) -> np.ndarray:
        """Bring given statistics to the shape that broadcasts over the input."""
        given = np.asarray(given)
        shape = [1] * len(self._broadcast_shape)
        for size, axis in zip(given.shape[::-1], self._keep_axis[::-1], strict=False):
            shape[axis] = size
        try:
            wide = np.broadcast_to(given.reshape(shape), self._broadcast_shape)
        except ValueError:
            raise ValueError(
                f"Normalization '{self.name}': mean and variance have shape {given.shape}, which "
                f"does not fit axis={self.axis} of the input: it has sizes "
                f"{tuple(self._broadcast_shape[axis] for axis in self._keep_axis)} there."
            ) from None
        return wide.astype(jnp.dtype(self.compute_dtype))

    def _statistic(self, name: str) -> Any:
        if not self.built:
            return None
        if self._given:
            return self._given[name]
        value = (self.adapt_mean if name == "mean" else self.adapt_variance).value
        return jnp.reshape(value, self._broadcast_shape).astype(self.compute_dtype)

    @property
    def mean(self) -> Any:
        """The mean, shaped to broadcast over the input; None before the layer is built."""
        return self._statistic("mean")

    @property
    def variance(self) -> Any:
        """The variance, shaped to broadcast over the input; None before the layer is built."""
        return self._statistic("variance")

    def finalize_state(self) -> None:
        """Do nothing: there is nothing to finish here. Keras's users call it after `adapt`."""

    def call(self, inputs: Any) -> jax.Array:
        x = inputs.astype(self.compute_dtype)
        self._check_shape(x.shape)
        mean, variance = self.mean, self.variance
        if not self._keep_axis:  # adapted to (rows,), it may be called on (rows, 1)
            mean, variance = (jnp.reshape(value, (1,) * x.ndim) for value in (mean, variance))
        deviation = jnp.maximum(jnp.sqrt(variance), config.epsilon())
        return mean + x * deviation if self.invert else (x - mean) / deviation

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._check_shape(input_shape)
        return input_shape

    def _check_shape(self, shape: Any) -> None:
        """Raise if the statistics do not fit; one number for all fits every shape."""
        if not self.built or not self._keep_axis:
            return
        if len(shape) != len(self._broadcast_shape):
            raise ValueError(
                f"Normalization '{self.name}' was built for an input with "
                f"{len(self._broadcast_shape)} axes, got shape {tuple(shape)}. A column of numbers "
                "is learned with adapt(column[:, None]), or with Normalization(axis=None)."
            )
        for axis in self._keep_axis:
            size = self._broadcast_shape[axis]
            if size != 1 and shape[axis] not in (None, size):
                raise ValueError(
                    f"Normalization '{self.name}' has statistics for {size} entries of axis "
                    f"{axis}, got shape {tuple(shape)}. One mean and variance for all values is "
                    "Normalization(axis=None)."
                )

    # Learning from data --------------------------------------------------------------------

    def adapt(self, data: Any) -> None:
        """Set mean and variance to those of the data, forgetting earlier ones.

        Args:
            data: one array, an iterable of batches, or an object with `__len__` and `__getitem__`
                that gives batches. Of a batch that is a tuple the first entry counts.

        Raises:
            ValueError: for no data, for sizes that do not fit the layer, or if the layer was made
                with a mean and variance.
            TypeError: for something without batches or shapes.

        Example:
            >>> layer = staghorn.layers.Normalization(axis=None)
            >>> layer.adapt(iter([np.array([[1.0], [2.0]]), np.array([[3.0]])]))
            >>> float(np.asarray(layer.mean).ravel()[0])
            2.0

        Notes: batches may differ in size. They are merged in double precision, so the result is
        that of the whole data at once.
        """
        if self.input_mean is not None:
            raise ValueError(
                f"Normalization '{self.name}' has the mean and variance it was made with. "
                "Leave them out, Normalization(axis=...), to learn them with adapt()."
            )
        total: Moments | None = None
        for batch in _batches(data):
            self._fit_shape(np.shape(batch))
            axes = tuple(axis for axis in range(np.ndim(batch)) if axis not in self._keep_axis)
            moments = moments_of(batch, axes)
            if moments.count:
                total = moments if total is None else merged(total, moments)
        if total is None:
            raise ValueError(
                f"Normalization '{self.name}': adapt() got no data. Pass an array, or an iterable "
                "with at least one batch; a generator that was used up before is empty."
            )
        self.adapt_mean.assign(total.mean.astype(self.adapt_mean.dtype))
        self.adapt_variance.assign(total.variance.astype(self.adapt_variance.dtype))

    def _fit_shape(self, shape: tuple) -> None:
        """Build for a batch's shape, or check it against the one built for."""
        if not self.built:
            self.build(shape)
        expected = self._broadcast_shape
        if len(shape) != len(expected) or any(
            shape[axis] != expected[axis] for axis in self._keep_axis
        ):
            wanted = tuple(
                size if axis in self._keep_axis else None for axis, size in enumerate(expected)
            )
            raise ValueError(
                f"Normalization '{self.name}' was built for shape {wanted}, but adapt() got data "
                f"of shape {shape}."
            )

    def get_config(self) -> dict[str, Any]:
        base = super().get_config()
        return {
            **{key: base[key] for key in ("name", "trainable", "dtype")},
            "axis": self.axis,
            "invert": self.invert,
            "mean": np.array(self.input_mean).tolist(),
            "variance": np.array(self.input_variance).tolist(),
        }


def _batches(data: Any) -> Iterator[Any]:
    """Yield the arrays in what `adapt` accepts."""
    if hasattr(data, "shape") and hasattr(data, "dtype"):
        yield data
        return
    if hasattr(data, "__iter__") and not isinstance(data, (str, bytes, dict)):
        items: Iterable[Any] = data
    elif hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, dict):
        items = (data[index] for index in range(len(data)))
    else:
        raise TypeError(_NO_SHAPE.format(what=f"{data!r:.60}", kind=type(data).__name__))
    for item in items:
        batch = item[0] if isinstance(item, tuple) else item
        if not hasattr(batch, "shape"):
            raise TypeError(
                _NO_SHAPE.format(what=f"the batch {batch!r:.60}", kind=type(batch).__name__)
            )
        yield batch
