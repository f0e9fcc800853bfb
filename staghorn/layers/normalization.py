"""Normalization layers: Batch, Layer, RMS, Group and Unit."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from staghorn import config as settings
from staghorn.engine.arguments import Interval, Is, NonNegative
from staghorn.engine.variable import Variable
from staghorn.layers.elementwise import ElementwiseLayer
from staghorn.layers.input_spec import InputSpec
from staghorn.layers.layer import Layer
from staghorn.layers.options import own_arguments, store_options
from staghorn.ops import nn

_CLIPS = ("rmax", "rmin", "dmax")


def _known_sizes(layer: Any, axes: Sequence[int], input_shape: Sequence) -> tuple[int, ...]:
    """Return the sizes of the axes that have weights."""
    sizes = tuple(input_shape[axis] for axis in axes)
    if None in sizes:
        raise ValueError(
            f"{type(layer).__name__} '{layer.name}': axis must be one of known size, since it has "
            f"weights, got axis={layer.axis!r} for an input of shape {tuple(input_shape)}."
        )
    return sizes


class _Normalization(Layer):
    """Base: the scale `gamma` and the offset `beta` that most normalizations end with."""

    gamma: Variable | None = None
    beta: Variable | None = None
    axis: Any
    epsilon: float
    center: bool
    scale: bool
    gamma_initializer: Any
    gamma_regularizer: Any
    gamma_constraint: Any
    beta_initializer: Any
    beta_regularizer: Any
    beta_constraint: Any

    def _add_parameters(self, shape: tuple, scale: bool, center: bool) -> None:
        # autocast=False: they are applied in float32, also under a mixed policy.
        if scale:
            self.gamma = self.add_weight(
                name="gamma",
                shape=shape,
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if center:
            self.beta = self.add_weight(
                name="beta",
                shape=shape,
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )

    def compute_output_shape(self, input_shape: Any) -> Any:
        check_axes(self, input_shape)
        return input_shape


class BatchNormalization(_Normalization):
    """Normalize each channel by the mean and variance of the batch.

    (batch, …, channels) → (batch, …, channels)

    y = (x - mean) / sqrt(variance + epsilon) * gamma + beta

    In training, mean and variance are those of the batch, and
    moving = moving * momentum + batch * (1 - momentum); at inference they are the moving ones.

    Weights: gamma, beta, moving_mean, moving_variance, each (channels,).

    Args:
        axis: int, the axis of the channels; a list of one, from old files, is read. Default: -1.
        momentum: of the moving statistics. Default: 0.99.
        epsilon: keeps the division finite. Default: 1e-3.
        center: whether `beta` is added. Default: True.
        scale: whether to multiply by `gamma`. Default: True.
        beta_initializer, moving_mean_initializer: Default: "zeros".
        gamma_initializer, moving_variance_initializer: Default: "ones".
        beta_regularizer, gamma_regularizer: added to the loss. Default: None.
        beta_constraint, gamma_constraint: applied after each update. Default: None.
        renorm: whether to correct the batch's statistics towards the moving ones. Default: False.
        renorm_clipping: dict of the bounds "rmax", "rmin", "dmax". Default: None.
        renorm_momentum: of the statistics that renorm corrects towards. Default: 0.99.
        synchronized: whether devices that each run this code on a part of the batch
            (`jax.shard_map`, `jax.pmap`) share their statistics. Default: False.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for wrong clipping bounds, or an input of another size.

    Example:
        >>> layer = staghorn.layers.BatchNormalization()
        >>> y = layer(np.array([[1.0], [3.0]], "float32"), training=True)
        >>> np.round(y, 1).tolist()
        [[-1.0], [1.0]]

    Notes: `layer.trainable = False` also means inference: a frozen layer uses the moving statistics
    and does not change them. Statistics are float32 under a mixed policy. With a mask, masked
    steps do not count.
    On one device, and where one program works on arrays that are sharded over devices, statistics
    are those of the whole batch with or without `synchronized`, which Keras on JAX refuses.
    Reference: Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167; renorm: Ioffe, 2017,
    https://arxiv.org/abs/1702.03275
    """

    arguments = {
        "axis": Is(int),
        "momentum": Interval(0, 1),
        "epsilon": NonNegative(float),
        "center": Is(bool),
        "scale": Is(bool),
        "synchronized": Is(bool),
    }
    momentum: float
    moving_mean_initializer: Any
    moving_variance_initializer: Any
    renorm: bool
    renorm_clipping: dict[str, float] | None
    renorm_momentum: float
    synchronized: bool

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        options = own_arguments(locals())
        if isinstance(axis, (list, tuple)) and len(axis) == 1:
            (options["axis"],) = axis  # Keras 2 wrote a list of one
        clipping = _checked_clipping(renorm_clipping) or ({} if renorm else None)
        super().__init__(**kwargs)
        store_options(self, {**options, "renorm_clipping": clipping})
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        check_axes(self, input_shape)
        (channels,) = _known_sizes(self, [self.axis], input_shape)
        self._add_parameters((channels,), self.scale, self.center)
        self.moving_mean = self._add_statistic("moving_mean", channels)
        self.moving_variance = self._add_statistic("moving_variance", channels)
        if self.renorm:
            self.moving_stddev = self._add_statistic("moving_stddev", channels)
            self.renorm_mean = self._add_statistic("renorm_mean", channels)
            self.renorm_stddev = self._add_statistic("renorm_stddev", channels)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def _add_statistic(self, name: str, channels: int) -> Variable:
        start = self.moving_variance_initializer
        if name.endswith("mean"):
            start = self.moving_mean_initializer
        elif name.endswith("stddev"):

            def start(shape: tuple, dtype: Any = None) -> jax.Array:
                return jnp.sqrt(self.moving_variance_initializer(shape, dtype=dtype))

        return self.add_weight(
            name=name, shape=(channels,), initializer=start, trainable=False, autocast=False
        )

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> jax.Array:
        x = inputs.astype(wide(inputs.dtype))
        gamma, beta = _value(self.gamma, x), _value(self.beta, x)
        if training and self.trainable:
            mean, variance = self._batch_moments(x, mask)
            if self.renorm:
                gamma, beta = self._corrected(mean, variance, gamma, beta)
                self._update_renorm(mean, variance)
            else:
                self._move(self.moving_mean, mean, self.momentum)
                self._move(self.moving_variance, variance, self.momentum)
        else:
            mean, variance = _value(self.moving_mean, x), _value(self.moving_variance, x)
        y = nn.batch_normalization(
            x, mean, variance, self.axis, offset=beta, scale=gamma, epsilon=self.epsilon
        )
        return y.astype(self.compute_dtype)

    def _batch_moments(self, x: jax.Array, mask: Any) -> tuple[jax.Array, jax.Array]:
        axes = tuple(axis for axis in range(x.ndim) if axis != self.axis % x.ndim)
        devices = jax.sharding.get_abstract_mesh().manual_axes if self.synchronized else ()
        if mask is None:
            mean, variance = nn.moments(x, axes)
            if not devices:
                return mean, variance
            whole = jax.lax.pmean(mean, devices)
            return whole, jax.lax.pmean(variance + jnp.square(mean - whole), devices)
        if mask.ndim != x.ndim - 1:
            raise ValueError(
                f"BatchNormalization '{self.name}': the mask must have one axis less than the "
                f"input, got mask shape {tuple(mask.shape)} for input shape {tuple(x.shape)}."
            )
        return masked_moments(x, jnp.expand_dims(mask, -1).astype(bool), axes, devices)

    def _move(self, statistic: Variable, value: jax.Array, momentum: float) -> jax.Array:
        moved = _value(statistic, value) * momentum + value * (1.0 - momentum)
        statistic.assign(moved)
        return moved

    def _corrected(
        self, mean: jax.Array, variance: jax.Array, gamma: Any, beta: Any
    ) -> tuple[jax.Array, jax.Array]:
        """Return gamma and beta that take batch statistics to the renorm ones."""
        clip = self.renorm_clipping or {}
        steady = jnp.maximum(_value(self.renorm_stddev, mean), self.epsilon**0.5)
        r = jnp.sqrt(variance + self.epsilon) / steady
        d = (mean - _value(self.renorm_mean, mean)) / steady
        r = jnp.clip(r, clip.get("rmin"), clip.get("rmax"))
        bound = clip.get("dmax")
        d = d if bound is None else jnp.clip(d, -bound, bound)
        # The correction is a constant for the gradient (section 3 of the paper).
        r, d = jax.lax.stop_gradient(r), jax.lax.stop_gradient(d)
        if gamma is not None:
            r, d = r * gamma, d * gamma
        return r, d if beta is None else d + beta

    def _update_renorm(self, mean: jax.Array, variance: jax.Array) -> None:
        stddev = jnp.sqrt(variance + self.epsilon)
        self._move(self.renorm_mean, mean, self.renorm_momentum)
        self._move(self.renorm_stddev, stddev, self.renorm_momentum)
        self._move(self.moving_mean, mean, self.momentum)
        moved = self._move(self.moving_stddev, stddev, self.momentum)
        self.moving_variance.assign(jax.nn.relu(moved * moved - self.epsilon))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        # Written only when used, so that older versions of Keras open the file.
        defaults = {"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99}
        if all(config.get(key, value) == value for key, value in defaults.items()):
            return {key: value for key, value in config.items() if key not in defaults}
        return config


class LayerNormalization(_Normalization):
    """Normalize each sample over its own features.

    (batch, …, features) → (batch, …, features)

    y = (x - mean) / sqrt(variance + epsilon) * gamma + beta

    Weights: gamma and beta, each of the shape of the normalized axes.

    Args:
        axis: int or list of ints, the axes to normalize over. Default: -1.
        epsilon: keeps the division finite. Default: 1e-3.
        center: whether `beta` is added. Default: True.
        scale: whether to multiply by `gamma`. Default: True.
        beta_initializer: Default: "zeros".
        gamma_initializer: Default: "ones".
        beta_regularizer, gamma_regularizer: added to the loss. Default: None.
        beta_constraint, gamma_constraint: applied after each update. Default: None.
        **kwargs: `name`, `dtype`, ... as for every layer; `rms_scaling=True`, for old models,
            leaves out the mean and `beta`.

    Raises:
        ValueError: for an axis that the input does not have.

    Example:
        >>> layer = staghorn.layers.LayerNormalization()
        >>> np.round(layer(np.array([[1.0, 3.0]], "float32")), 1).tolist()
        [[-1.0, 1.0]]

    Reference: Ba et al., 2016, https://arxiv.org/abs/1607.06450
    """

    arguments = {
        "axis": Is(int, list),
        "epsilon": NonNegative(float),
        "center": Is(bool),
        "scale": Is(bool),
    }

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        options = own_arguments(locals())
        self.rms_scaling = kwargs.pop("rms_scaling", False)
        super().__init__(**kwargs)
        axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        store_options(self, {**options, "axis": axis})
        self.supports_masking = True
        # Statistics and parameters are float32 under a mixed policy; the result is cast.
        self.autocast = False

    def build(self, input_shape: tuple) -> None:
        check_axes(self, input_shape)
        self.axis = sorted(axes_of(self.axis))
        shape = _known_sizes(self, self.axis, input_shape)
        self._add_parameters(
            shape,
            scale=self.scale or self.rms_scaling,
            center=self.center and not self.rms_scaling,
        )

    def call(self, inputs: Any) -> jax.Array:
        y = nn.layer_normalization(
            inputs,
            gamma=self.gamma,
            beta=self.beta,
            axis=self.axis,
            epsilon=self.epsilon,
            rms_scaling=self.rms_scaling,
        )
        return y.astype(self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rms_scaling": self.rms_scaling}


class RMSNormalization(Layer):
    """Divide each sample by the root of the mean of its squares.

    (batch, …, features) → (batch, …, features)        y = x / sqrt(mean(x²) + epsilon) * scale

    Weights: scale, of the shape of the normalized axes.

    Args:
        axis: int or list of ints, the axes to normalize over. Default: -1.
        epsilon: keeps the division finite. Default: 1e-6.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an axis that the input does not have.

    Example:
        >>> layer = staghorn.layers.RMSNormalization()
        >>> np.round(layer(np.array([[2.0, -2.0]], "float32")), 3).tolist()
        [[1.0, -1.0]]

    Reference: Zhang and Sennrich, 2019, https://arxiv.org/abs/1910.07467
    """

    arguments = {"axis": Is(int, list), "epsilon": NonNegative(float)}

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.epsilon = epsilon

    def build(self, input_shape: tuple) -> None:
        check_axes(self, input_shape)
        self.axis = sorted(axes_of(self.axis))
        shape = _known_sizes(self, self.axis, input_shape)
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones")

    def call(self, x: Any) -> jax.Array:
        return nn.rms_normalization(x, scale=self.scale, axis=self.axis, epsilon=self.epsilon)

    def compute_output_shape(self, input_shape: Any) -> Any:
        check_axes(self, input_shape)
        return input_shape


class GroupNormalization(_Normalization):
    """Normalize groups of channels of each sample.

    (batch, …, channels) → (batch, …, channels)

    y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, mean and variance of one group

    Weights: gamma and beta, each (channels,).

    Args:
        groups: int, how many groups; -1 gives each channel its own. Default: 32.
        axis: int, the axis of the channels. Default: -1.
        epsilon: keeps the division finite. Default: 1e-3.
        center: whether `beta` is added. Default: True.
        scale: whether to multiply by `gamma`. Default: True.
        beta_initializer: Default: "zeros".
        gamma_initializer: Default: "ones".
        beta_regularizer, gamma_regularizer: added to the loss. Default: None.
        beta_constraint, gamma_constraint: applied after each update. Default: None.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for `groups` that does not divide the number of channels.

    Example:
        >>> layer = staghorn.layers.GroupNormalization(groups=2)
        >>> np.round(layer(np.array([[1.0, 3.0, 10.0, 30.0]], "float32")), 1).tolist()
        [[-1.0, 1.0, -1.0, 1.0]]

    Reference: Wu and He, 2018, https://arxiv.org/abs/1803.08494
    """

    arguments = {
        "axis": Is(int),
        "epsilon": NonNegative(float),
        "center": Is(bool),
        "scale": Is(bool),
    }
    groups: int

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        options = own_arguments(locals())
        super().__init__(**kwargs)
        if not isinstance(groups, int) or (groups <= 0 and groups != -1):
            raise ValueError(
                f"GroupNormalization: groups must be a positive int, or -1 for one group per "
                f"channel, got {groups!r} ({type(groups).__name__})."
            )
        store_options(self, options)
        self.supports_masking = True
        self.autocast = False

    def build(self, input_shape: tuple) -> None:
        check_axes(self, input_shape)
        channels = input_shape[self.axis]
        if channels is not None and self.groups == -1:
            self.groups = channels
        if channels is None or channels % self.groups != 0:
            raise ValueError(
                f"GroupNormalization '{self.name}': groups={self.groups} must divide the size of "
                f"axis {self.axis}, got {channels} in input shape {tuple(input_shape)}."
            )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})
        self._add_parameters((channels,), self.scale, self.center)

    def call(self, inputs: Any) -> jax.Array:
        x = inputs.astype(wide(inputs.dtype))
        gamma, beta = _value(self.gamma, x), _value(self.beta, x)
        y = group_normalization(x, gamma, beta, self.groups, self.axis, self.epsilon)
        return y.astype(self.compute_dtype)


class UnitNormalization(ElementwiseLayer):
    """Divide each sample by its length, so that it becomes 1.

    (batch, …) → (batch, …)        y = x / sqrt(sum(x²))

    Args:
        axis: int or list of ints, the axes that the length is taken over. Default: -1.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Raises:
        ValueError: for an axis that the input does not have.

    Example:
        >>> layer = staghorn.layers.UnitNormalization()
        >>> np.round(layer(np.array([[3.0, 4.0]], "float32")), 3).tolist()
        [[0.6000000238418579, 0.800000011920929]]
    """

    arguments = {"axis": Is(int, list)}

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis

    def call(self, inputs: Any) -> jax.Array:
        check_axes(self, inputs.shape)
        axis = self.axis if isinstance(self.axis, int) else tuple(self.axis)
        return nn.normalize(inputs, axis=axis, order=2, epsilon=1e-12)

    def compute_output_shape(self, input_shape: Any) -> Any:
        check_axes(self, input_shape)
        return input_shape


def masked_moments(
    x: jax.Array, mask: jax.Array, axes: tuple[int, ...], devices: tuple[str, ...] = ()
) -> tuple[jax.Array, jax.Array]:
    """Mean and variance of the values that a mask keeps, over some axes, and over devices.

    mask: booleans with as many axes as x. The small number in the divisors, Keras's, makes an
    all-masked batch give 0.
    """

    def total(values: jax.Array) -> jax.Array:
        here = jnp.sum(values, axis=axes, keepdims=True)
        return jax.lax.psum(here, devices) if devices else here

    kept = jnp.broadcast_to(mask, x.shape)
    count = total(kept.astype(x.dtype)) + settings.epsilon()
    mean = total(jnp.where(kept, x, 0.0)) / count
    variance = total(jnp.where(kept, jnp.square(x - mean), 0.0)) / count
    return jnp.squeeze(mean, axes), jnp.squeeze(variance, axes)


def group_normalization(
    x: jax.Array, gamma: Any, beta: Any, groups: int, axis: int, epsilon: float
) -> jax.Array:
    """Normalize groups of channels: (batch, …, channels, …) → the same."""
    axis = axis % x.ndim
    members = x.shape[axis] // groups
    grouped = jnp.reshape(
        x, (*x.shape[:axis], groups, members, *x.shape[axis + 1 :])
    )  # (batch, …, groups, members, …)
    axes = tuple(a for a in range(1, grouped.ndim) if a != axis)
    mean, variance = nn.moments(grouped, axes, keepdims=True)
    row = [groups if a == axis else members if a == axis + 1 else 1 for a in range(grouped.ndim)]
    inverse = jax.lax.rsqrt(variance + epsilon)
    if gamma is not None:
        inverse = inverse * jnp.reshape(gamma, row)
    offset = -mean * inverse
    if beta is not None:
        offset = offset + jnp.reshape(beta, row)
    return jnp.reshape(grouped * inverse + offset, x.shape)


def wide(dtype: Any) -> str:
    """Return the type statistics are computed in: float32, or float64 for float64."""
    return "float64" if str(dtype) == "float64" else "float32"


def axes_of(axis: int | Sequence[int]) -> list[int]:
    """Return one or more axes as a list."""
    return list(axis) if isinstance(axis, Sequence) else [axis]


def check_axes(layer: Any, input_shape: Any) -> None:
    """Raise unless the input has the axes a layer normalizes."""
    ndim = len(input_shape)
    wrong = [axis for axis in axes_of(layer.axis) if not -ndim <= axis < ndim]
    if wrong:
        raise ValueError(
            f"{type(layer).__name__} '{layer.name}': axis={layer.axis!r} is outside of the input's "
            f"{ndim} axes. Full shape received: {tuple(input_shape)}."
        )


def _value(variable: Variable | None, like: jax.Array) -> Any:
    return None if variable is None else variable.value.astype(like.dtype)


def _checked_clipping(clipping: dict[str, float] | None) -> dict[str, float] | None:
    if clipping is None:
        return None
    rmax, rmin, dmax = (clipping.get(key) for key in _CLIPS)
    unknown = set(clipping) - set(_CLIPS)
    crossed = rmax is not None and rmin is not None and rmax < rmin
    if unknown or crossed or (dmax is not None and dmax < 0):
        raise ValueError(
            "BatchNormalization: renorm_clipping takes rmax >= rmin and dmax >= 0, "
            f"got {clipping!r}."
        )
    return clipping
