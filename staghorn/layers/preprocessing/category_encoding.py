"""CategoryEncoding: integers as rows of zeros and ones, or as counts."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from staghorn import ops
from staghorn.engine.arguments import Options, Positive
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.layer import Layer
from staghorn.layers.preprocessing.host_layer import current_mode, encoded_shape


def encoded_on_device(
    indices: jax.Array, mode: str, depth: int, dtype: Any, weights: Any = None
) -> jax.Array:
    """Encode indices in JAX; those outside `0 ... depth - 1` count nothing.

    (batch, n) → (batch, depth) for "multi_hot" and "count"; (..., depth) for "one_hot"

    Example:
        >>> from staghorn.layers.preprocessing.category_encoding import encoded_on_device
        >>> print(encoded_on_device(np.array([[2, 0, 2]]), "count", 3, "float32"))
        [[1. 0. 2.]]
    """
    if mode == "int":
        return indices.astype(dtype)
    if indices.ndim == 0:
        indices = indices[None]
    if mode == "one_hot" and indices.ndim > 1 and indices.shape[-1] == 1:
        indices = indices[..., 0]
    hot = ops.one_hot(indices, depth, dtype=dtype)  # (..., depth)
    axis = min(1, indices.ndim - 1)
    if mode == "one_hot":
        return hot
    if mode == "multi_hot":
        return jnp.max(hot, axis=axis, initial=0)
    if weights is not None:
        hot = hot * weights[..., None].astype(hot.dtype)
    return jnp.sum(hot, axis=axis)


class CategoryEncoding(Layer):
    """Integers from 0 on as zeros and ones, or as counts.

    (batch, n) → (batch, num_tokens); (..., num_tokens) for "one_hot"

    Args:
        num_tokens: number of categories; larger integers count nothing.
        output_mode: "multi_hot" (which are in a row), "count" (how often), "one_hot" (each
            integer; a last axis of size 1 is replaced). Default: "multi_hot".
        sparse: must be False.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Call: `layer(inputs, count_weights=None)`; for "count", each integer counts its weight.

    Example:
        >>> layer = staghorn.layers.CategoryEncoding(4, output_mode="count")
        >>> np.asarray(layer([[0, 1], [0, 0]], count_weights=[[0.5, 2.0], [0.5, 2.0]])).tolist()
        [[0.5, 2.0, 0.0, 0.0], [2.5, 0.0, 0.0, 0.0]]
    """

    arguments = {
        "num_tokens": Positive(int),
        "output_mode": Options("multi_hot", "one_hot", "count"),
    }
    _convert_input_args = False

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot",
        sparse: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if num_tokens is None:
            raise ValueError(
                "CategoryEncoding: num_tokens= is needed, the number of categories. If it is not "
                "known, IntegerLookup learns it."
            )
        if sparse:
            raise ValueError(
                "CategoryEncoding: sparse=True is not supported: JAX has dense arrays."
            )
        self.num_tokens = num_tokens
        self.output_mode = current_mode(output_mode)
        self.sparse = sparse

    def call(self, inputs: Any, count_weights: Any = None) -> jax.Array:
        if count_weights is not None:
            if self.output_mode != "count":
                raise ValueError(
                    f"CategoryEncoding '{self.name}': count_weights go with output_mode='count', "
                    f"which is {self.output_mode!r}."
                )
            count_weights = ops.convert_to_tensor(count_weights, dtype=self.dtype)
        inputs = ops.convert_to_tensor(inputs)
        dtype, depth = self.dtype, self.num_tokens  # not halves: as in Keras, also when mixed
        return encoded_on_device(inputs, self.output_mode, depth, dtype, count_weights)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return encoded_shape(input_shape, self.output_mode, self.num_tokens)

    def compute_output_spec(self, inputs: Any, count_weights: Any = None) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape), self.dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["sparse"]  # as in Keras
        return config
