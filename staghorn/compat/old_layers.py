"""Layers and functions that left Keras: each says once how it is written today."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staghorn import activations, constraints, initializers, models, ops, regularizers
from staghorn import layers as today
from staghorn.engine.serialization import register_keras_serializable
from staghorn.engine.spellings import rows_and_columns, say_once
from staghorn.layers.convolution import Conv
from staghorn.utils import numerical

__all__ = [
    "AtrousConvolution1D", "AtrousConvolution2D", "CuDNNGRU", "CuDNNLSTM", "Deconvolution2D",
    "Highway", "LocallyConnected1D", "LocallyConnected2D", "MaxoutDense", "Merge",
    "ThresholdedReLU", "TimeDistributedDense", "categorical_probas_to_classes", "merge",
    "probas_to_classes", "to_categorical",
]  # fmt: skip

containers = types.SimpleNamespace(Sequential=models.Sequential)


def _renamed(name: str, successor: type, spelled: str, **fixed: Any) -> Callable[..., Any]:
    """Return a function that makes today's layer; None in `fixed` leaves an argument out."""

    def make(*args: Any, **kwargs: Any) -> Any:
        say_once(f"{name}(...)", spelled)
        left = {key: value for key, value in kwargs.items() if fixed.get(key, "") is not None}
        given = {key: value for key, value in fixed.items() if value is not None}
        return successor(*rows_and_columns(args), **{**given, **left})

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"Make what is written `{spelled}` today."
    return make


AtrousConvolution1D = _renamed("AtrousConvolution1D", today.Conv1D, "Conv1D(..., dilation_rate=2)")
AtrousConvolution2D = _renamed("AtrousConvolution2D", today.Conv2D, "Conv2D(..., dilation_rate=2)")
CuDNNGRU = _renamed("CuDNNGRU", today.GRU, "GRU(units)", reset_after=True)
CuDNNLSTM = _renamed("CuDNNLSTM", today.LSTM, "LSTM(units)")
Deconvolution2D = _renamed(
    "Deconvolution2D", today.Conv2DTranspose, "Conv2DTranspose(...)", output_shape=None
)
TimeDistributedDense = _renamed("TimeDistributedDense", today.Dense, "Dense(units)")


def ThresholdedReLU(theta: float = 1.0, **kwargs: Any) -> today.ReLU:
    """Make what is written `ReLU(threshold=theta)` today.

    Example:
        >>> import warnings
        >>> from staghorn.compat.old_layers import ThresholdedReLU
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     np.asarray(ThresholdedReLU(1.0)(np.array([0.5, 2.0], "float32"))).tolist()
        [0.0, 2.0]
    """
    say_once("ThresholdedReLU(theta)", "ReLU(threshold=theta)")
    return today.ReLU(threshold=theta, **kwargs)


# Merging -----------------------------------------------------------------------------------------

# mode -> (today's layer, its argument, the argument of Merge that says it)
_MODES: dict[str, tuple[type, dict[str, str]]] = {
    "sum": (today.Add, {}),
    "mul": (today.Multiply, {}),
    "ave": (today.Average, {}),
    "max": (today.Maximum, {}),
    "concat": (today.Concatenate, {"axis": "concat_axis"}),
    "dot": (today.Dot, {"axes": "dot_axes"}),
    "cos": (today.Dot, {"axes": "dot_axes"}),
}


def Merge(
    layers: Sequence[Any] | None = None,
    mode: str | Callable = "sum",
    concat_axis: int = -1,
    dot_axes: Any = -1,
    output_shape: Any = None,
    output_mask: Any = None,
    arguments: dict[str, Any] | None = None,
    name: str | None = None,
    **kwargs: Any,
) -> Any:
    """Make the layer that merges several tensors; with models, a Sequential may start with it.

    Args:
        layers: models (or first layers) of which each has an input of its own. Default: None, the
            layer is called on a list of tensors.
        mode: "sum", "mul", "concat", "ave", "max", "cos", "dot", or a function of the list.
        concat_axis: for "concat". Default: -1.
        dot_axes: for "dot" and "cos". Default: -1.
        output_shape, output_mask: of a function. Default: None, found out.
        arguments: more keyword arguments of the function. Default: None.
        name: a label. Default: the one of today's layer.

    Raises:
        ValueError: for an unknown mode, or branches whose input shape is not known.

    Example:
        >>> import warnings
        >>> from staghorn.compat.old_layers import Merge
        >>> left, right = (
        ...     staghorn.Sequential([staghorn.layers.Dense(2, input_dim=size)]) for size in (3, 4)
        ... )
        >>> model = staghorn.Sequential()
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     model.add(Merge([left, right], mode="concat"))
        >>> model.add(staghorn.layers.Dense(1))
        >>> [tuple(x.shape) for x in model.inputs], model.output_shape
        ([(None, 3), (None, 4)], (None, 1))
    """
    del output_shape  # found by tracing the function
    given = {"concat_axis": concat_axis, "dot_axes": _axes(dot_axes)}
    if callable(mode):
        layer = today.Lambda(mode, mask=output_mask, arguments=arguments, name=name, **kwargs)
        spelled = "Lambda(function)"
    elif mode in _MODES:
        successor, passed = _MODES[mode]
        options = {new: given[old] for new, old in passed.items()}
        if mode == "cos":
            options["normalize"] = True
        layer = successor(**options, name=name, **kwargs)
        spelled = f"{successor.__name__}({', '.join(f'{k}={v!r}' for k, v in options.items())})"
    else:
        raise ValueError(
            f"Merge: mode must be one of {', '.join(_MODES)} or a function, got {mode!r}."
        )
    say_once(f"merge(mode={'function' if callable(mode) else repr(mode)})", f"{spelled}([a, b])")
    if layers is not None:
        object.__setattr__(layer, "_branches", _Branches(layers))
    return layer


def merge(inputs: Sequence[Any], mode: str | Callable = "sum", **kwargs: Any) -> Any:
    """Merge tensors: `Merge(mode=mode)(inputs)`.

    Args:
        inputs: list of tensors.
        mode, **kwargs: as in `Merge`.

    Example:
        >>> import warnings
        >>> from staghorn.compat.old_layers import merge
        >>> x = staghorn.Input((3,))
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     merge([x, x], mode="concat").shape
        (None, 6)
    """
    return Merge(mode=mode, **kwargs)(list(inputs))


def _axes(axes: Any) -> Any:
    """Return Dot's axes: an int, or one for each input (Keras 1 also took [[1], [1]])."""
    if isinstance(axes, int):
        return axes
    return tuple(axis if isinstance(axis, int) else axis[0] for axis in axes)


class _Branches:
    """The models in front of a `Merge`, until it stands first in a Sequential."""

    def __init__(self, branches: Sequence[Any]) -> None:
        self.branches = list(branches)

    def begin(self, model: Any, layer: Any) -> None:
        """Make an empty Sequential the graph of the branches and the layer that merges them."""
        inputs: list[Any] = []
        outputs = []
        for branch in self.branches:
            own = [today.Input(batch_shape=shape) for shape in _input_shapes(branch)]
            inputs += own
            outputs.append(branch(own if len(own) > 1 else own[0]))
        model.__class__ = Functional
        Functional.__init__(model, inputs, layer(outputs))


def _input_shapes(branch: Any) -> list[tuple]:
    if isinstance(branch, (models.Sequential, models.Functional)) and branch.built:
        return [tensor.shape for tensor in branch.inputs]
    shape = getattr(branch, "_wanted_batch_shape", None)
    if shape is None:
        raise ValueError(
            f"Merge: the input shape of {branch.name!r} is not known. Give its first layer "
            "input_shape=(...)."
        )
    return [shape]


class Functional(models.Functional):
    """A Sequential that began with a `Merge`: a graph that still grows at its end.

    Files call it by its base's name.
    """

    _keras_path = models.Functional._keras_path

    def add(self, layer: Any) -> None:
        """Put a layer on the end."""
        Functional.__init__(self, self._inputs_struct, layer(self.output))


# Layers that have no successor -------------------------------------------------------------------


class _OldDense(today.Layer):
    """What MaxoutDense and Highway share."""

    def __init__(
        self,
        init: Any = "glorot_uniform",
        activation: Any = None,
        W_regularizer: Any = None,
        b_regularizer: Any = None,
        W_constraint: Any = None,
        b_constraint: Any = None,
        bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.init = initializers.get(init)
        self.activation = activations.get(activation)
        self.W_regularizer = regularizers.get(W_regularizer)
        self.b_regularizer = regularizers.get(b_regularizer)
        self.W_constraint = constraints.get(W_constraint)
        self.b_constraint = constraints.get(b_constraint)
        self.bias = bias
        say_once(f"{type(self).__name__}(...)", "a Layer of your own")

    def _kernel(self, name: str, shape: tuple) -> Any:
        return self.add_weight(
            shape,
            self.init,
            regularizer=self.W_regularizer,
            constraint=self.W_constraint,
            name=name,
        )

    def _offset(self, name: str, shape: tuple, start: str = "zeros") -> Any:
        return self.add_weight(
            shape, start, regularizer=self.b_regularizer, constraint=self.b_constraint, name=name
        )


@register_keras_serializable("staghorn")
class MaxoutDense(_OldDense):
    """The largest of several affine maps.

    (batch, d_in) → (batch, output_dim)        y = max over i of (x @ W[i] + b[i])

    Args:
        output_dim: int, size of the output's last axis.
        nb_feature: int, how many maps. Default: 4.
        init, W_regularizer, b_regularizer, W_constraint, b_constraint, bias: as in Keras 1's Dense.

    Example:
        >>> import warnings
        >>> from staghorn.compat.old_layers import MaxoutDense
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     MaxoutDense(3)(np.ones((2, 5), "float32")).shape
        (2, 3)

    Reference: Goodfellow et al., 2013, "Maxout networks".
    """

    _keras_path = (None, "MaxoutDense", "staghorn>MaxoutDense")

    def __init__(self, output_dim: int, nb_feature: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_dim = output_dim
        self.nb_feature = nb_feature

    def build(self, input_shape: tuple) -> None:
        self.W = self._kernel("W", (self.nb_feature, input_shape[-1], self.output_dim))
        self.b = self._offset("b", (self.nb_feature, self.output_dim)) if self.bias else None

    def call(self, inputs: Any) -> Any:
        maps = ops.einsum("bi,kio->bko", inputs, self.W)
        if self.b is not None:
            maps = maps + ops.expand_dims(self.b, 0)
        return ops.max(maps, axis=1)


@register_keras_serializable("staghorn")
class Highway(_OldDense):
    """Dense with a gate that lets the input pass.

    (batch, d) → (batch, d)        y = t * activation(x @ W + b) + (1 - t) * x,
    t = sigmoid(x @ W_carry + b_carry)

    Args:
        init, activation, W_regularizer, b_regularizer, W_constraint, b_constraint, bias: as in
            Keras 1's Dense.

    Example:
        >>> import warnings
        >>> from staghorn.compat.old_layers import Highway
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     Highway(activation="relu")(np.ones((2, 5), "float32")).shape
        (2, 5)

    Reference: Srivastava et al., 2015, "Highway networks".
    """

    _keras_path = (None, "Highway", "staghorn>Highway")

    def build(self, input_shape: tuple) -> None:
        size = input_shape[-1]
        self.W, self.W_carry = (
            self._kernel("W", (size, size)),
            self._kernel("W_carry", (size, size)),
        )
        self.b = self.b_carry = None
        if self.bias:
            self.b = self._offset("b", (size,))
            self.b_carry = self._offset("b_carry", (size,), "ones")

    def call(self, inputs: Any) -> Any:
        def affine(kernel: Any, offset: Any) -> Any:
            y = ops.matmul(inputs, kernel)
            return y if offset is None else y + ops.expand_dims(offset, 0)

        gate = activations.sigmoid(affine(self.W_carry, self.b_carry))
        return gate * self.activation(affine(self.W, self.b)) + (1 - gate) * inputs


class _LocallyConnected(Conv):
    """A convolution whose kernel is another one at each place."""

    def __init__(
        self, filters: int, kernel_size: Any, *args: Any, implementation: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(filters, kernel_size, *args, **kwargs)
        self.implementation = implementation
        if self.padding != "valid":
            raise ValueError(
                f"{type(self).__name__}: padding must be 'valid', got {self.padding!r}."
            )
        say_once(f"{type(self).__name__}(...)", "a Layer of your own")

    def _places(self, sizes: Sequence[int]) -> tuple[int, ...]:
        steps = zip(sizes, self.kernel_size, self.strides, strict=True)
        return tuple((size - kernel) // stride + 1 for size, kernel, stride in steps)

    def build(self, input_shape: tuple) -> None:
        channels = self._expect(input_shape)
        last = self.data_format == "channels_last"
        places = self._places(input_shape[1:-1] if last else input_shape[2:])
        window = math.prod(self.kernel_size) * channels
        self.kernel = self._add("kernel", (math.prod(places), window, self.filters), "kernel")
        self.bias = None
        if self.use_bias:
            self.bias = self._add("bias", (*places, self.filters), "bias")

    def call(self, inputs: Any) -> Any:
        x = inputs if self.data_format == "channels_last" else ops.moveaxis(inputs, 1, -1)
        places = self._places(x.shape[1:-1])
        for axis, count in enumerate(places):
            start = np.arange(count)[:, None] * self.strides[axis]
            x = ops.take(x, start + np.arange(self.kernel_size[axis])[None], axis=1 + 2 * axis)
        # (batch, places and kernel in turns, channels) -> (batch, places, kernel, channels)
        ends = 2 * self.rank + 1
        x = ops.transpose(x, (0, *range(1, ends, 2), *range(2, ends, 2), ends))
        x = ops.reshape(x, (-1, *self.kernel.shape[:2]))
        y = ops.reshape(ops.einsum("bpi,pio->bpo", x, self.kernel), (-1, *places, self.filters))
        if self.bias is not None:
            y = y + ops.expand_dims(self.bias, 0)
        y = self.activation(y)
        return y if self.data_format == "channels_last" else ops.moveaxis(y, -1, 1)


@register_keras_serializable("staghorn")
class LocallyConnected1D(_LocallyConnected):
    """Conv1D with a kernel of its own at each place.

    (batch, steps, d_in) → (batch, new steps, filters)

    Args:
        filters, kernel_size, strides, ...: as in Conv1D; padding is "valid".
        implementation: accepted for Keras's sake.

    Example:
        >>> import warnings
        >>> from staghorn.compat.old_layers import LocallyConnected1D
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     LocallyConnected1D(4, 3)(np.ones((2, 6, 5), "float32")).shape
        (2, 4, 4)
    """

    _keras_path = (None, "LocallyConnected1D", "staghorn>LocallyConnected1D")
    rank = 1


@register_keras_serializable("staghorn")
class LocallyConnected2D(_LocallyConnected):
    """Conv2D with a kernel of its own at each place.

    (batch, rows, columns, d_in) → (batch, new rows, new columns, filters)

    Args:
        filters, kernel_size, strides, ...: as in Conv2D; padding is "valid".
        implementation: accepted for Keras's sake.

    Example:
        >>> import warnings
        >>> from staghorn.compat.old_layers import LocallyConnected2D
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     LocallyConnected2D(4, (3, 2))(np.ones((2, 6, 6, 5), "float32")).shape
        (2, 4, 5, 4)
    """

    _keras_path = (None, "LocallyConnected2D", "staghorn>LocallyConnected2D")
    rank = 2


# np_utils ----------------------------------------------------------------------------------------


def to_categorical(x: Any, num_classes: int | None = None, **old: Any) -> np.ndarray:
    """Return one-hot rows, as `staghorn.utils.to_categorical`; Keras 1 wrote `nb_classes`.

    Example:
        >>> from staghorn.compat.old_layers import to_categorical
        >>> to_categorical([0, 2]).shape
        (2, 3)
    """
    if "nb_classes" in old:
        say_once("nb_classes=", "num_classes=", "to_categorical")
        num_classes = old.pop("nb_classes")
    return numerical.to_categorical(x, num_classes, **old)


def probas_to_classes(y_pred: Any) -> np.ndarray:
    """Return the class of each row: the largest column, or 0 and 1 for a single one.

    Example:
        >>> import warnings
        >>> from staghorn.compat.old_layers import probas_to_classes
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     probas_to_classes(np.array([[0.2], [0.7]])).tolist()
        [0, 1]
    """
    y_pred = np.asarray(y_pred)
    if y_pred.ndim > 1 and y_pred.shape[1] > 1:
        return categorical_probas_to_classes(y_pred)
    say_once("probas_to_classes(y)", "(y > 0.5).astype(int)")
    return (y_pred.ravel() > 0.5).astype(int)


def categorical_probas_to_classes(p: Any) -> np.ndarray:
    """Return the largest column of each row.

    Example:
        >>> import warnings
        >>> from staghorn.compat.old_layers import categorical_probas_to_classes
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     categorical_probas_to_classes(np.array([[0.2, 0.8]])).tolist()
        [1]
    """
    say_once("categorical_probas_to_classes(y)", "y.argmax(axis=1)")
    return np.argmax(p, axis=1)
