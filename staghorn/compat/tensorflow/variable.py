"""`tf.Variable`, `tf.TensorShape` and `tf.TensorSpec`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from staghorn.compat.tensorflow.dtypes import DType
from staghorn.engine import variable as _variable


class TensorShape(tuple):
    """A shape: a tuple with TensorFlow's questions.

    Example:
        >>> from staghorn.compat import tensorflow as tf
        >>> tf.TensorShape([None, 3]).as_list(), tf.TensorShape([2, 3]).num_elements()
        ([None, 3], 6)
    """

    __slots__ = ()

    rank = property(len)
    ndims = property(len)

    def as_list(self) -> list:
        return list(self)

    def num_elements(self) -> int | None:
        return None if None in self else math.prod(self)

    def is_fully_defined(self) -> bool:
        return None not in self


class TensorSpec(NamedTuple):
    """A shape and a data type, as `tf.function(input_signature=...)` takes them."""

    shape: Any
    dtype: Any = DType("float32")
    name: str | None = None


class Variable(_variable.Variable):
    """Staghorn's Variable under TensorFlow's arguments: layers, optimizers and ops know it.

    Example:
        >>> from staghorn.compat import tensorflow as tf
        >>> w = tf.Variable([1.0, 2.0], name="w")
        >>> w.assign_add([1.0, 1.0]).numpy()
        array([2., 3.], dtype=float32)

    Notes: `w.value` is an attribute, as in Keras 3; `w.read_value()` is TensorFlow's.
    """

    __slots__ = ()

    def __init__(
        self, initial_value: Any = None, trainable: bool | None = None, validate_shape: bool = True,
        caching_device: Any = None, name: str | None = None, variable_def: Any = None,
        dtype: Any = None, import_scope: Any = None, constraint: Callable | None = None,
        synchronization: Any = None, aggregation: Any = None, shape: Any = None,
    ) -> None:  # fmt: skip
        if initial_value is None:
            raise ValueError("tf.Variable: initial_value is missing, such as tf.zeros((2, 3)).")
        value = initial_value() if callable(initial_value) else initial_value
        super().__init__(
            value,
            dtype=dtype,
            trainable=trainable is not False,
            name=name and name.replace("/", "_").replace(":", "_"),
        )
        self.constraint = constraint

    @property
    def dtype(self) -> DType:
        return DType(super().dtype)

    def get_shape(self) -> TensorShape:
        return TensorShape(self.shape)

    def read_value(self) -> Any:
        return self.value
