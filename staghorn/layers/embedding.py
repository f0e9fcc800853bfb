"""Embedding: a table with a row of weights for each index."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn import constraints, initializers, regularizers
from staghorn.engine.arguments import Is, Positive
from staghorn.engine.serialization import derived_config
from staghorn.layers.dense import refuse_quantization
from staghorn.layers.elementwise import base_config
from staghorn.layers.layer import Layer

_OWN = (
    "input_dim",
    "output_dim",
    "embeddings_initializer",
    "embeddings_regularizer",
    "activity_regularizer",
    "embeddings_constraint",
    "mask_zero",
)


class Embedding(Layer):
    """Look up a vector for each index: words, categories, users.

    (batch, …) ints → (batch, …, output_dim)        y[b, t] = embeddings[x[b, t]]

    Weights: embeddings (input_dim, output_dim).

    Args:
        input_dim: int, how many different indices there are: the largest one plus 1.
        output_dim: int, the length of the vectors.
        embeddings_initializer: Default: "uniform", numbers in [-0.05, 0.05).
        embeddings_regularizer: added to the loss. Default: None.
        embeddings_constraint: applied after each update. Default: None.
        mask_zero: whether index 0 is padding, which layers after it shall skip. Default: False.
        weights: the first values, a matrix or a list that holds one. Default: None.
        quantization_config: must be None. Default: None.
        **kwargs: `name`, `dtype`, ... as for every layer; `input_length` has no effect.

    Raises:
        ValueError: for sizes that are not positive ints, or `weights` of another shape.

    Example:
        >>> layer = staghorn.layers.Embedding(10, 4, mask_zero=True)
        >>> layer(np.array([[3, 7, 0]])).shape
        (1, 3, 4)

    Notes: an index outside the table gives NaN, as in Keras; a negative one counts from the end.
    Float inputs are cast to int32.
    """

    arguments = {
        "input_dim": Positive(int),
        "output_dim": Positive(int),
        "mask_zero": Is(bool),
    }

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        quantization_config: None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        refuse_quantization(self, quantization_config)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        # Indices must not become halves, which are exact up to 2048 only.
        self.autocast = False
        if weights is not None:
            self.build()
            self.set_weights(list(weights) if isinstance(weights, (list, tuple)) else [weights])

    def build(self, input_shape: tuple | None = None) -> None:
        del input_shape
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )

    def call(self, inputs: Any) -> jax.Array:
        if inputs.dtype not in (jnp.int32, jnp.int64):
            inputs = inputs.astype(jnp.int32)
        rows = jnp.take(self.embeddings.value, inputs, axis=0)  # (batch, …, output_dim)
        return rows.astype(self.compute_dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        del mask
        return inputs != 0 if self.mask_zero else None

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        # By hand: `weights` is an argument and a property, and its values belong in no config.
        return {**base_config(self), **derived_config(self, _OWN)}
