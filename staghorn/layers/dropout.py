"""Random layers that fight overfitting; at inference each of them is the identity."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from staghorn import config, random
from staghorn.engine.arguments import Interval, Is, Options
from staghorn.layers.elementwise import ElementwiseLayer
from staghorn.layers.input_spec import InputSpec


class Dropout(ElementwiseLayer):
    """Set a random share of the inputs to 0 and scale up the rest, in training only.

    (batch, …) → (batch, …)        y = x * mask / (1 - rate),  mask ~ Bernoulli(1 - rate)

    Args:
        rate: number in [0, 1], the share to drop.
        noise_shape: shape of the mask, broadcast to the inputs; None in it stands for the inputs'
            size. `(None, 1, 8)` drops whole features of a sequence. Default: None, the inputs'.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a rate outside [0, 1] or a noise shape that is not made of positive ints.

    Example:
        >>> layer = staghorn.layers.Dropout(0.5, seed=1)
        >>> y = layer(np.ones((4, 50), "float32"), training=True)
        >>> sorted(set(np.asarray(y).ravel().tolist()))
        [0.0, 2.0]

    Reference: Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html
    """

    arguments = {"rate": Interval(0, 1), "seed": Is(int, optional=True)}

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        self.noise_shape = None if noise_shape is None else self._checked(noise_shape)
        if _is_positive(rate):
            self.seed_generator = random.SeedGenerator(seed)

    def _checked(self, noise_shape: Any) -> tuple:
        sizes = tuple(noise_shape) if isinstance(noise_shape, (list, tuple)) else None
        if sizes is None or not all(
            s is None or (isinstance(s, int) and not isinstance(s, bool) and s > 0) for s in sizes
        ):
            raise ValueError(
                f"{type(self).__name__}: noise_shape must be a tuple of positive ints and None, "
                f"got {noise_shape!r} ({type(noise_shape).__name__})."
            )
        return sizes

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        return random.dropout(
            inputs, self.rate, noise_shape=self._mask_shape(inputs), seed=self.seed_generator
        )

    def _mask_shape(self, inputs: Any) -> tuple | None:
        del inputs
        return self.noise_shape


class _SpatialDropout(Dropout):
    """Drops whole feature maps: the mask has size 1 on every axis but batch and channels."""

    rank: ClassVar[int] = 3
    data_format = "channels_last"

    def __init__(
        self,
        rate: float,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype, **kwargs)
        self.input_spec = InputSpec(ndim=self.rank)

    def _mask_shape(self, inputs: Any) -> tuple:
        channels = 1 if self.data_format == "channels_first" else inputs.ndim - 1
        return tuple(size if axis in (0, channels) else 1 for axis, size in enumerate(inputs.shape))

    def get_config(self) -> dict[str, Any]:
        # Keras writes the plain type here, and neither `trainable` nor `noise_shape`.
        return {"rate": self.rate, "seed": self.seed, "name": self.name, "dtype": self.dtype}


class _ChannelDropout(_SpatialDropout):
    """Drops whole channels of images or volumes, wherever the channels are."""

    arguments = {
        **Dropout.arguments,
        "data_format": Options("channels_last", "channels_first"),
    }

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype, **kwargs)
        self.data_format = data_format or config.image_data_format()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class SpatialDropout1D(_SpatialDropout):
    """Drop whole features of sequences, in training only.

    (batch, time, features) → (batch, time, features)

    Args:
        rate: number in [0, 1], the share of features to drop.
        seed: int. Default: None, drawn from Python's `random`.
        name: a label. Default: from the class name.
        dtype: type or policy. Default: the global policy.
        **kwargs: as for every layer.

    Raises:
        ValueError: for a rate outside [0, 1].

    Example:
        >>> layer = staghorn.layers.SpatialDropout1D(0.5, seed=1)
        >>> y = np.asarray(layer(np.ones((1, 4, 8), "float32"), training=True))
        >>> bool((y == y[:, :1]).all())
        True

    Reference: Tompson et al., 2015, https://arxiv.org/abs/1411.4280
    """


class SpatialDropout2D(_ChannelDropout):
    """Drop whole channels of images, in training only.

    (batch, height, width, channels) → (batch, height, width, channels)

    Args:
        rate: number in [0, 1], the share of channels to drop.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        seed: int. Default: None, drawn from Python's `random`.
        name: a label. Default: from the class name.
        dtype: type or policy. Default: the global policy.
        **kwargs: as for every layer.

    Raises:
        ValueError: for a rate outside [0, 1] or an unknown data format.

    Example:
        >>> layer = staghorn.layers.SpatialDropout2D(0.5, seed=1)
        >>> y = np.asarray(layer(np.ones((1, 4, 4, 8), "float32"), training=True))
        >>> bool((y == y[:, :1, :1]).all())
        True

    Reference: Tompson et al., 2015, https://arxiv.org/abs/1411.4280
    """

    rank = 4


class SpatialDropout3D(_ChannelDropout):
    """Drop whole channels of volumes, in training only.

    (batch, depth, height, width, channels) → (batch, depth, height, width, channels)

    Args:
        rate: number in [0, 1], the share of channels to drop.
        data_format: "channels_last" or "channels_first". Default: that of the configuration.
        seed: int. Default: None, drawn from Python's `random`.
        name: a label. Default: from the class name.
        dtype: type or policy. Default: the global policy.
        **kwargs: as for every layer.

    Raises:
        ValueError: for a rate outside [0, 1] or an unknown data format.

    Example:
        >>> layer = staghorn.layers.SpatialDropout3D(0.5, seed=1)
        >>> y = np.asarray(layer(np.ones((1, 2, 2, 2, 8), "float32"), training=True))
        >>> bool((y == y[:, :1, :1, :1]).all())
        True

    Reference: Tompson et al., 2015, https://arxiv.org/abs/1411.4280
    """

    rank = 5


class AlphaDropout(Dropout):
    """Set a random share of the inputs to SELU's lowest value, and keep their mean and variance.

    (batch, …) → (batch, …)        y = a * (x * mask + low * (1 - mask)) + b,
    low = -1.758…, a and b such that inputs of mean 0 and variance 1 keep both; in training only

    Args:
        rate: number in [0, 1), the share to drop.
        noise_shape: shape of the mask, broadcast to the inputs; None in it stands for the inputs'
            size. Default: None, the inputs'.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a rate outside [0, 1) or a noise shape that is not made of positive ints.

    Example:
        >>> layer = staghorn.layers.AlphaDropout(0.5, seed=1)
        >>> y = np.asarray(layer(np.ones((4, 50), "float32"), training=True))
        >>> len(set(y.ravel().tolist()))
        2

    Notes: for networks of `selu` layers with "lecun_normal" weights. Keras accepts a rate of 1, and
    divides by zero at the first call.
    Reference: Klambauer et al., 2017, https://arxiv.org/abs/1706.02515
    """

    arguments = {**Dropout.arguments, "rate": Interval(0, 1, closed="left")}

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        sizes = self.noise_shape or (None,) * inputs.ndim
        shape = [b if a is None else a for a, b in zip(sizes, inputs.shape, strict=True)]
        kept = random.uniform(shape, seed=self.seed_generator) >= self.rate
        low = -1.6732632423543772 * 1.0507009873554805  # -alpha * scale of SELU
        a = ((1 - self.rate) * (1 + self.rate * low**2)) ** -0.5
        return a * jnp.where(kept, inputs, low) - a * low * self.rate


class GaussianNoise(ElementwiseLayer):
    """Add noise with mean 0, in training only.

    (batch, …) → (batch, …)        y = x + noise,  noise ~ Normal(0, stddev)

    Args:
        stddev: number in [0, 1], the standard deviation.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a standard deviation outside [0, 1].

    Example:
        >>> layer = staghorn.layers.GaussianNoise(0.1, seed=1)
        >>> x = np.zeros((2, 3), "float32")
        >>> bool(abs(layer(x, training=True)).sum() > 0), bool(abs(layer(x)).sum() > 0)
        (True, False)
    """

    arguments = {"stddev": Interval(0, 1), "seed": Is(int, optional=True)}

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = stddev
        self.seed = seed
        if _is_positive(stddev):
            self.seed_generator = random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.stddev == 0:
            return inputs
        return inputs + _normal_like(self, inputs, 0.0, self.stddev).astype(inputs.dtype)


class GaussianDropout(ElementwiseLayer):
    """Multiply by noise with mean 1, in training only.

    (batch, …) → (batch, …)        y = x * noise,  noise ~ Normal(1, sqrt(rate / (1 - rate)))

    Args:
        rate: number in [0, 1), the share that a Dropout of the same strength would drop.
        seed: int. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for a rate outside [0, 1).

    Example:
        >>> layer = staghorn.layers.GaussianDropout(0.2, seed=1)
        >>> layer(np.ones((2, 3), "float32"), training=True).shape
        (2, 3)

    Notes: Keras accepts a rate of 1, and divides by zero at the first call.
    Reference: Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html
    """

    arguments = {"rate": Interval(0, 1, closed="left"), "seed": Is(int, optional=True)}

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        if _is_positive(rate):
            self.seed_generator = random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        stddev = math.sqrt(self.rate / (1.0 - self.rate))
        return inputs * _normal_like(self, inputs, 1.0, stddev).astype(inputs.dtype)


def _is_positive(rate: Any) -> bool:
    # Wrong types pass here; the table of arguments names them after the constructor.
    return isinstance(rate, (int, float)) and rate > 0


def _normal_like(layer: Any, inputs: Any, mean: float, stddev: float) -> jax.Array:
    return random.normal(
        inputs.shape, mean=mean, stddev=stddev, dtype=layer.compute_dtype, seed=layer.seed_generator
    )
