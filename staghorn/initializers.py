"""First values of weights.

Numbers come from `engine/threefry.py` in plain NumPy: nothing is compiled, and a layer may be
built inside any JAX trace. For equal seeds they are Keras's numbers.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine import threefry
from staghorn.engine.arguments import Options, Positive
from staghorn.engine.dtypes import is_array, is_float, standardize_dtype
from staghorn.engine.jax_internals import is_tracer
from staghorn.engine.naming import to_snake_case
from staghorn.engine.registry import Family, missing_names
from staghorn.engine.serialization import (
    Configurable,
    deserialize_keras_object,
    serialize_keras_object,
)
from staghorn.engine.variable import Variable
from staghorn.random import SeedGenerator, make_default_seed

# fmt: off
__all__ = [
    "STFT", "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity",
    "IdentityInitializer", "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal",
    "OrthogonalInitializer", "RandomInitializer", "RandomNormal", "RandomUniform",
    "STFTInitializer", "TruncatedNormal", "VarianceScaling", "Zeros", "compute_fans", "constant",
    "deserialize", "get", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity",
    "lecun_normal", "lecun_uniform", "ones", "orthogonal", "random_normal", "random_uniform",
    "serialize", "stft", "truncated_normal", "variance_scaling", "zeros",
]
# fmt: on

Shape = Sequence[int]

# Standard deviation of a standard normal number cut at ±2.
TRUNCATED_STDDEV = 0.8796256610342398


def compute_fans(
    shape: Shape,
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[int, int]:
    """Numbers of input and output units of a weight of this shape.

    Kernels of three axes or more are read as (..., d_in, d_out), the leading axes being the
    window of a convolution, unless both `input_axes` and `output_axes` are given.

    Args:
        shape: shape of the weight.
        input_axes: axes that count inputs. Default: None, by position.
        output_axes: axes that count outputs. Default: None, by position.

    Example:
        >>> staghorn.initializers.compute_fans((3, 3, 8, 16))
        (72, 144)
    """
    shape = tuple(int(size) for size in shape)
    if input_axes is not None and output_axes is not None:
        fan_in = math.prod(shape[axis] for axis in input_axes)
        return fan_in, math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        fan = shape[0] if shape else 1
        return fan, fan
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


class Initializer(Configurable):
    """Base of initializers: a callable that makes an array of a given shape and dtype.

    () → shape

    Example:
        >>> class Sevens(staghorn.initializers.Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return np.full(shape, 7, dtype)
        >>> Sevens()((2,), "int32").tolist()
        [7, 7]
    """

    def __call__(self, shape: Shape, dtype: Any = None) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__}: an initializer must define __call__(self, shape, dtype=None)."
        )

    def clone(self) -> "Initializer":
        """Return a twin made from the config; without a fixed seed it draws other numbers.

        Example:
            >>> staghorn.initializers.Constant(3.0).clone().value
            3.0
        """
        return type(self).from_config(self.get_config())


class Constant(Initializer):
    """One value everywhere.

    Args:
        value: a number, or an array that broadcasts to the shape. Default: 0.

    Example:
        >>> staghorn.initializers.Constant(3.0)((2,)).tolist()
        [3.0, 3.0]
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: Any = None) -> np.ndarray:
        return np.full(tuple(shape), self.value, _dtype(dtype))


class Zeros(Initializer):
    """Zeros.

    Example:
        >>> staghorn.initializers.Zeros()((2,)).tolist()
        [0.0, 0.0]
    """

    def __call__(self, shape: Shape, dtype: Any = None) -> np.ndarray:
        return np.zeros(tuple(shape), _dtype(dtype))


class Ones(Initializer):
    """Ones.

    Example:
        >>> staghorn.initializers.Ones()((2,)).tolist()
        [1.0, 1.0]
    """

    def __call__(self, shape: Shape, dtype: Any = None) -> np.ndarray:
        return np.ones(tuple(shape), _dtype(dtype))


class Identity(Initializer):
    """The identity matrix, times a factor.

    Args:
        gain: the factor. Default: 1.

    Raises:
        ValueError: if the shape does not have two axes.

    Example:
        >>> staghorn.initializers.Identity(2.0)((2, 2)).tolist()
        [[2.0, 0.0], [0.0, 2.0]]

    Notes: Keras's config forgets `gain`; ours keeps it unless it is 1, which Keras can read.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: Any = None) -> np.ndarray:
        if len(shape) != 2:
            raise ValueError(f"Identity: shape must have two axes, got {tuple(shape)}.")
        rows, columns = shape
        return (self.gain * np.eye(rows, columns)).astype(_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        return {} if self.gain == 1.0 else {"gain": self.gain}


class STFT(Initializer):
    """Kernels of a convolution that computes a short-time Fourier transform.

    (window length T, 1, F // 2 + 1)        kernel[t, 0, k] = window[t] * cos(-2πtk / F) / scale

    Args:
        side: "real" (cosine) or "imag" (sine). Default: "real".
        window: name of a window in `scipy.signal.windows`, its T values, or None. Default: "hann".
        scaling: "density" divides by the window's L2 norm, "spectrum" by its L1 norm, None by 1.
            Default: "density".
        periodic: whether the window is periodic. Default: False.

    Example:
        >>> staghorn.initializers.STFT("imag")((8, 1, 5)).shape
        (8, 1, 5)

    Notes: `periodic=True` reaches SciPy as `fftbins=True`.
    """

    arguments = {
        "side": Options("real", "imag"),
        "scaling": Options("density", "spectrum", optional=True),
    }

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if isinstance(window, str) and window not in _USUAL_WINDOWS:
            _scipy_window(window, 1, periodic)  # a wrong name is an error here and now
        self.side = side
        self.window = window
        self.scaling = scaling
        self.periodic = periodic

    def __call__(self, shape: Shape, dtype: Any = None) -> np.ndarray:
        dtype = _dtype(dtype)
        length, _, bands = shape
        working: Any = np.float64 if dtype == np.float64 else np.float32
        frequency = np.arange(bands, dtype=working).reshape(1, 1, bands) / working(2 * (bands - 1))
        time = np.arange(length, dtype=working).reshape(length, 1, 1)
        angle = -2 * time * frequency * working(np.pi)  # (length, 1, bands)
        kernel = np.cos(angle) if self.side == "real" else np.sin(angle)
        if self.window is not None:
            kernel = kernel * self._scaled_window(length).astype(working)
        return kernel.astype(dtype)

    def _scaled_window(self, length: int) -> np.ndarray:
        values = self.window
        if isinstance(values, str):
            values = _scipy_window(values, length, self.periodic)
        values = np.asarray(values, np.float64)
        if values.shape != (length,):
            raise ValueError(
                f"STFT: window must have {length} values, as the shape's first axis; "
                f"got an array of shape {values.shape}."
            )
        order = {"density": 2, "spectrum": 1}
        scale = np.linalg.norm(values, order[self.scaling]) if self.scaling else 1.0
        return (values / scale).reshape(length, 1, 1)


_USUAL_WINDOWS = frozenset(("hann", "hamming", "blackman", "boxcar"))  # looked up when needed


def _scipy_window(name: str, length: int, periodic: bool) -> np.ndarray:
    # A dependency of JAX; 0.3 s to import, and needed nowhere else.
    from scipy.signal import get_window

    return get_window(name, length, periodic)


class RandomInitializer(Initializer):
    """Base of the random initializers: holds the seed.

    An int seed, and the seed drawn for None, give the same numbers at every call; a
    `SeedGenerator` gives new ones.

    Args:
        seed: an int, a `SeedGenerator` or None. Default: None, drawn at random.

    Example:
        >>> first = staghorn.initializers.RandomNormal(seed=7)
        >>> bool((first((2,)) == first((2,))).all())
        True
    """

    def __init__(self, seed: Any = None) -> None:
        if isinstance(seed, dict):
            seed = deserialize_keras_object(seed)
        if seed is not None and not isinstance(seed, (int, np.integer, SeedGenerator)):
            raise ValueError(
                f"{type(self).__name__}: seed must be an int, a SeedGenerator or None, "
                f"got {seed!r} ({type(seed).__name__})."
            )
        self._given_seed = seed
        self.seed = make_default_seed() if seed is None else seed

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if "seed" in config:  # absent where a subclass fixes its own
            config["seed"] = serialize_keras_object(self._given_seed)
        return config

    def _draw(self, name: str, shape: Shape, dtype: Any, *bounds: float) -> Any:
        """Numbers of one distribution: () → shape.

        NumPy, unless the seed is a generator whose state is being traced.
        """
        dtype = _dtype(dtype)
        if not is_float(dtype):
            raise ValueError(
                f"{type(self).__name__}: dtype must be a float dtype, got {dtype.name!r}."
            )
        seed = self.seed
        key = seed.next() if isinstance(seed, SeedGenerator) else threefry.seed_key(int(seed))
        source = jax.random if is_tracer(key) else threefry
        key = key if is_tracer(key) else np.asarray(key)
        shape = tuple(int(size) for size in shape)
        # Without JAX's 64-bit mode, float64 means numbers drawn in float32, as in Keras.
        drawn = jax.dtypes.canonicalize_dtype(dtype)
        if name == "uniform":
            sample = source.uniform(key, shape, drawn, *bounds)
        elif name == "normal":
            sample = source.normal(key, shape, drawn)
        else:
            sample = source.truncated_normal(key, -2.0, 2.0, shape, drawn)
        return sample if sample.dtype == dtype or is_tracer(sample) else sample.astype(dtype)

    def _draw_normal(self, name: str, shape: Shape, dtype: Any, mean: float, stddev: float) -> Any:
        sample = self._draw(name, shape, dtype)
        number = sample.dtype.type  # JAX rounds the factor too; ml_dtypes alone would not
        sample *= number(stddev)  # in place where it is NumPy's
        if mean != 0:
            sample += number(mean)
        return sample


class RandomNormal(RandomInitializer):
    """Normal (Gaussian) numbers.

    Args:
        mean: centre. Default: 0.
        stddev: standard deviation. Default: 0.05.
        seed: int, SeedGenerator or None. Default: None (drawn from Python's `random`).

    Example:
        >>> staghorn.initializers.RandomNormal(seed=1)((2, 3)).shape
        (2, 3)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape: Shape, dtype: Any = None) -> Any:
        return self._draw_normal("normal", shape, dtype, self.mean, self.stddev)


class TruncatedNormal(RandomInitializer):
    """Normal numbers, none beyond two standard deviations.

    Args:
        mean: centre. Default: 0.
        stddev: standard deviation before the cut. Default: 0.05.
        seed: int, SeedGenerator or None. Default: None (drawn from Python's `random`).

    Example:
        >>> x = staghorn.initializers.TruncatedNormal(stddev=1.0, seed=1)((1000,))
        >>> bool(abs(x).max() < 2)
        True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape: Shape, dtype: Any = None) -> Any:
        return self._draw_normal("truncated_normal", shape, dtype, self.mean, self.stddev)


class RandomUniform(RandomInitializer):
    """Evenly spread numbers in [minval, maxval).

    Args:
        minval: lower bound. Default: -0.05.
        maxval: upper bound. Default: 0.05.
        seed: int, SeedGenerator or None. Default: None (drawn from Python's `random`).

    Example:
        >>> x = staghorn.initializers.RandomUniform(0.0, 1.0, seed=1)((1000,))
        >>> bool(x.min() >= 0 and x.max() < 1)
        True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def __call__(self, shape: Shape, dtype: Any = None) -> Any:
        return self._draw("uniform", shape, dtype, self.minval, self.maxval)


class VarianceScaling(RandomInitializer):
    """Numbers whose variance follows the shape: variance = scale / n.

    n is the number of input units, of output units, or their mean.

    Args:
        scale: a positive number. Default: 1.
        mode: "fan_in", "fan_out" or "fan_avg". Default: "fan_in".
        distribution: "truncated_normal" (also spelled "normal"), "untruncated_normal" or
            "uniform". Default: "truncated_normal".
        seed: int, SeedGenerator or None. Default: None (drawn from Python's `random`).
        input_axes, output_axes: the axes that count as input and output units, where the shape
            is not the usual (..., d_in, d_out). Default: None.

    Example:
        >>> x = staghorn.initializers.VarianceScaling(2.0, seed=1)((100, 200))
        >>> abs(float(x.var()) * 100 - 2) < 0.1
        True
    """

    arguments = {
        "scale": Positive(float),
        "mode": Options("fan_in", "fan_out", "fan_avg"),
        "distribution": Options("truncated_normal", "untruncated_normal", "uniform"),
    }

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(seed)
        name = distribution.lower() if isinstance(distribution, str) else distribution
        self.scale = scale
        self.mode = mode
        self.distribution = "truncated_normal" if name == "normal" else name
        self.input_axes = input_axes
        self.output_axes = output_axes

    def __call__(self, shape: Shape, dtype: Any = None) -> Any:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        units = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        variance = self.scale / max(1.0, units[self.mode])
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return self._draw("uniform", shape, dtype, -limit, limit)
        stddev = math.sqrt(variance)
        if self.distribution == "untruncated_normal":
            return self._draw_normal("normal", shape, dtype, 0.0, stddev)
        stddev /= TRUNCATED_STDDEV
        return self._draw_normal("truncated_normal", shape, dtype, 0.0, stddev)


class Preset(VarianceScaling):
    """A `VarianceScaling` whose scale, mode and distribution are fixed by its class."""

    preset: ClassVar[tuple[float, str, str]]

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None:
        super().__init__(*self.preset, seed, input_axes, output_axes)


class GlorotUniform(Preset):
    """Uniform in ±sqrt(6 / (fan_in + fan_out)), also called Xavier.

    Args:
        seed, input_axes, output_axes: see `VarianceScaling`. Default: None.

    Example:
        >>> staghorn.initializers.GlorotUniform(seed=1)((3, 4)).shape
        (3, 4)

    Reference: Glorot and Bengio, 2010, https://proceedings.mlr.press/v9/glorot10a.html
    """

    preset = (1.0, "fan_avg", "uniform")


class GlorotNormal(Preset):
    """Truncated normal with variance 2 / (fan_in + fan_out).

    Args:
        seed, input_axes, output_axes: see `VarianceScaling`. Default: None.

    Example:
        >>> staghorn.initializers.GlorotNormal(seed=1)((3, 4)).shape
        (3, 4)

    Reference: Glorot and Bengio, 2010, https://proceedings.mlr.press/v9/glorot10a.html
    """

    preset = (1.0, "fan_avg", "truncated_normal")


class LecunNormal(Preset):
    """Truncated normal with variance 1 / fan_in.

    Args:
        seed, input_axes, output_axes: see `VarianceScaling`. Default: None.

    Example:
        >>> staghorn.initializers.LecunNormal(seed=1)((3, 4)).shape
        (3, 4)

    Reference: Klambauer et al., 2017, https://arxiv.org/abs/1706.02515
    """

    preset = (1.0, "fan_in", "truncated_normal")


class LecunUniform(Preset):
    """Uniform in ±sqrt(3 / fan_in).

    Args:
        seed, input_axes, output_axes: see `VarianceScaling`. Default: None.

    Example:
        >>> staghorn.initializers.LecunUniform(seed=1)((3, 4)).shape
        (3, 4)

    Reference: Klambauer et al., 2017, https://arxiv.org/abs/1706.02515
    """

    preset = (1.0, "fan_in", "uniform")


class HeNormal(Preset):
    """Truncated normal with variance 2 / fan_in, made for ReLU.

    Args:
        seed, input_axes, output_axes: see `VarianceScaling`. Default: None.

    Example:
        >>> staghorn.initializers.HeNormal(seed=1)((3, 4)).shape
        (3, 4)

    Reference: He et al., 2015, https://arxiv.org/abs/1502.01852
    """

    preset = (2.0, "fan_in", "truncated_normal")


class HeUniform(Preset):
    """Uniform in ±sqrt(6 / fan_in), made for ReLU.

    Args:
        seed, input_axes, output_axes: see `VarianceScaling`. Default: None.

    Example:
        >>> staghorn.initializers.HeUniform(seed=1)((3, 4)).shape
        (3, 4)

    Reference: He et al., 2015, https://arxiv.org/abs/1502.01852
    """

    preset = (2.0, "fan_in", "uniform")


class Orthogonal(RandomInitializer):
    """A matrix with orthonormal columns, or rows where there are fewer rows than columns.

    A shape of more axes is read as (product of the leading axes, last axis).

    Args:
        gain: a factor. Default: 1.
        seed: int, SeedGenerator or None. Default: None (drawn from Python's `random`).

    Raises:
        ValueError: if the shape has fewer than two axes.

    Example:
        >>> q = staghorn.initializers.Orthogonal(seed=1)((4, 4))
        >>> bool(abs(q @ q.T - np.eye(4)).max() < 1e-5)
        True

    Notes: the columns' signs are those that give R a positive diagonal, as in Keras.
    Reference: Saxe et al., 2014, https://arxiv.org/abs/1312.6120
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Shape, dtype: Any = None) -> Any:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: shape must have at least two axes, got {tuple(shape)}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        sample = self._draw("normal", (max(rows, columns), min(rows, columns)), dtype)
        xp = jnp if is_tracer(sample) else np
        wide = sample.astype("float32") if sample.dtype.itemsize < 4 else sample
        q, r = xp.linalg.qr(wide)
        q = q * xp.expand_dims(xp.sign(xp.diag(r)), 0)
        q = xp.swapaxes(q, 0, 1) if rows < columns else q
        return (self.gain * xp.reshape(q, tuple(shape))).astype(sample.dtype)


def _dtype(dtype: Any) -> np.dtype:
    return jnp.dtype(standardize_dtype(dtype))


STFTInitializer = stft = STFT
IdentityInitializer = identity = Identity
OrthogonalInitializer = orthogonal = Orthogonal
constant, zeros, ones = Constant, Zeros, Ones
random_normal, random_uniform = RandomNormal, RandomUniform
truncated_normal, variance_scaling = TruncatedNormal, VarianceScaling
glorot_normal, glorot_uniform = GlorotNormal, GlorotUniform
he_normal, he_uniform = HeNormal, HeUniform
lecun_normal, lecun_uniform = LecunNormal, LecunUniform

CLASSES = (
    *(Initializer, Constant, Identity, Ones, STFT, Zeros, Orthogonal),
    *(RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling),
    *(GlorotNormal, GlorotUniform, HeNormal, HeUniform, LecunNormal, LecunUniform),
)
FAMILY = Family(
    "initializer",
    "keras.initializers",
    {cls.__name__: cls for cls in CLASSES}
    | {to_snake_case(cls.__name__): cls for cls in CLASSES}
    | {"IdentityInitializer": Identity, "STFTInitializer": STFT, "zero": Zeros, "one": Ones}
    | {"OrthogonalInitializer": Orthogonal, "normal": RandomNormal, "uniform": RandomUniform},
)


def get(identifier: Any) -> Any:
    """Turn a name, config, class, object, function or array into an initializer.

    Args:
        identifier: any of these; None stays None.

    Example:
        >>> staghorn.initializers.get("zeros")((2,)).tolist()
        [0.0, 0.0]
        >>> staghorn.initializers.get(np.arange(3.0))((3,)).tolist()
        [0.0, 1.0, 2.0]
    """
    if isinstance(identifier, Variable) or is_array(identifier):
        return _from_array(identifier)
    return FAMILY.get(identifier)


def _from_array(values: Any) -> Callable:
    def initializer(shape: Shape, dtype: Any = None) -> np.ndarray:
        array = np.asarray(values)
        if array.shape != tuple(shape):
            raise ValueError(
                f"An array of shape {array.shape} was given as initializer of a weight of shape "
                f"{tuple(shape)}. Give an array of shape {tuple(shape)}."
            )
        return array.astype(_dtype(dtype))

    return initializer


def serialize(initializer: Any) -> Any:
    """Return the JSON form of an initializer.

    Args:
        initializer: the initializer.

    Example:
        >>> staghorn.initializers.serialize(staghorn.initializers.Zeros())["class_name"]
        'Zeros'
    """
    return FAMILY.serialize(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Build an initializer from its JSON form.

    Args:
        config: what `serialize` returned, or a name.
        custom_objects: dict, name → your own class or function. Default: None.

    Example:
        >>> config = {"class_name": "Constant", "config": {"value": 2.0}}
        >>> staghorn.initializers.deserialize(config).value
        2.0
    """
    return FAMILY.deserialize(config, custom_objects)


if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
