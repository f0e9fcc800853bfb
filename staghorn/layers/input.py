"""Input and InputLayer: where a graph begins."""

from __future__ import annotations

import copy
from typing import Any

from staghorn.engine.dtypes import standardize_dtype
from staghorn.engine.symbolic import KerasTensor, Node
from staghorn.layers.layer import Layer


class InputLayer(Layer):
    """The entry of a Functional or Sequential model: a shape, a type, a name.

    (batch, …) → (batch, …)

    Args:
        shape: size of one sample, without the batch; None for an unknown axis.
        batch_size: fixed batch size. Default: None.
        dtype: Default: `floatx()`.
        sparse, ragged: only False works. Default: None.
        batch_shape: shape with the batch, instead of `shape`.
        input_tensor: an existing symbolic tensor to stand for this input. Default: None.
        optional: whether None may be passed. Default: False.
        name: a label, the key in dictionaries of inputs. Default: `input_layer`, ...

    Example:
        >>> staghorn.layers.InputLayer(shape=(3,)).batch_shape
        (None, 3)
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Any = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "input_shape" in kwargs:
            shape = kwargs.pop("input_shape")
        if "batch_input_shape" in kwargs:
            batch_shape = kwargs.pop("batch_input_shape")
        super().__init__(name=name, **kwargs)
        if input_tensor is not None:
            batch_shape, dtype = input_tensor.shape, input_tensor.dtype
        if (shape is None) == (batch_shape is None):
            raise ValueError(
                f"Input: give shape= (without the batch axis) or batch_shape=, one of them; got "
                f"shape={shape!r}, batch_shape={batch_shape!r}."
            )
        if sparse or ragged:
            raise ValueError("Input: sparse and ragged inputs are not supported. Use dense arrays.")
        self._batch_shape = tuple(batch_shape) if shape is None else (batch_size, *_sizes(shape))
        self._input_dtype = standardize_dtype(dtype)
        self.sparse = False
        self.ragged = False
        self.optional = bool(optional)
        tensor = input_tensor
        if tensor is None:
            tensor = KerasTensor(self._batch_shape, self._input_dtype, name=self.name)
        Node(self, (), {}, tensor)
        self.built = True

    @property
    def batch_shape(self) -> tuple:
        return self._batch_shape

    @property
    def dtype(self) -> str:
        return self._input_dtype

    def call(self) -> None:
        return None

    def __deepcopy__(self, memo: dict) -> InputLayer:
        twin = super().__deepcopy__(memo)
        Node(twin, (), {}, copy.deepcopy(self.output, memo))
        return twin

    def get_config(self) -> dict[str, Any]:
        config = {
            "batch_shape": self._batch_shape,
            "dtype": self._input_dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
        }
        # Written only when used, so that older versions of Keras open the file.
        return {**config, "optional": True} if self.optional else config


def _sizes(shape: Any) -> tuple:
    if isinstance(shape, int):
        raise ValueError(f"Input: shape must be a tuple; write shape=({shape},).")
    sizes = tuple(shape)
    for size in sizes:
        if size is not None and (not hasattr(size, "__index__") or int(size) < 0):
            raise ValueError(f"Input: shape={sizes} has {size!r}; each entry is an int or None.")
    return tuple(None if size is None else int(size) for size in sizes)


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> KerasTensor:
    """Start a Functional model: return a symbolic tensor for data that comes later.

    shape → (batch, *shape), symbolic

    Args:
        shape: size of one sample, without the batch; None for an unknown axis.
        batch_size: fixed batch size. Default: None.
        dtype: Default: `floatx()`.
        sparse, ragged: only False works.
        batch_shape: shape with the batch, instead of `shape`.
        name: the key in dictionaries of inputs. Default: `input_layer`, ...
        tensor: an existing symbolic tensor to stand for this input. Default: None.
        optional: whether None may be passed. Default: False.

    Example:
        >>> x = staghorn.Input(shape=(8,), name="features")
        >>> staghorn.Model(x, staghorn.layers.Dense(2)(x)).output_shape
        (None, 2)
    """
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return layer.output
