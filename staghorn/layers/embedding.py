"""Embedding: a table with a row of weights for each index."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import constraints, initializers, regularizers
from staghorn.engine.arguments import Is, Positive
from staghorn.engine.serialization import derived_config
from staghorn.layers.adaptation import AdaptableTable, Merged
from staghorn.layers.elementwise import base_config

_OWN = (
    "input_dim",
    "output_dim",
    "embeddings_initializer",
    "embeddings_regularizer",
    "activity_regularizer",
    "embeddings_constraint",
    "mask_zero",
    "lora_rank",
    "lora_alpha",
    "quantization_config",
)


class Embedding(AdaptableTable):
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
        lora_rank, lora_alpha: freeze the table and train an update of this rank and strength, see
            `enable_lora`. Default: None, no update; and the rank itself.
        quantization_config: how an int8 layer quantizes it, a
            `staghorn.quantizers.Int8QuantizationConfig`. Default: None, by largest values.
        **kwargs: `name`, `dtype`, ... as for every layer; `input_length` has no effect.

    Raises:
        ValueError: for sizes that are not positive ints, or `weights` of another shape.

    Example:
        >>> layer = staghorn.layers.Embedding(10, 4, mask_zero=True)
        >>> layer(np.array([[3, 7, 0]])).shape
        (1, 3, 4)

    Notes: an index outside the table gives NaN, as in Keras; a negative one counts from the end.
    Float inputs are cast to int32. Keras forgets `lora_alpha` here; it counts in Staghorn.
    """

    arguments = {
        "input_dim": Positive(int),
        "output_dim": Positive(int),
        "mask_zero": Is(bool),
    }
    embeddings = Merged()

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set_adaptation(lora_rank, lora_alpha, quantization_config)
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
            self.set_weights([self._first_values(weights)])

    def _first_values(self, weights: Any) -> Any:
        matrix = weights[0] if isinstance(weights, (list, tuple)) and len(weights) == 1 else weights
        if np.shape(matrix) != (self.input_dim, self.output_dim):
            given = f"shape {np.shape(matrix)}" if np.ndim(matrix) else repr(weights)
            raise ValueError(
                f"Embedding: weights must be a matrix of shape ({self.input_dim}, "
                f"{self.output_dim}), or a list that holds one, got {given} "
                f"({type(weights).__name__})."
            )
        return matrix

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
        rows = jnp.take(jnp.asarray(self.embeddings), inputs, axis=0)  # (batch, …, output_dim)
        return rows.astype(self.compute_dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        del mask
        return inputs != 0 if self.mask_zero else None

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        # By hand: `weights` is an argument and a property, and its values belong in no config.
        return self._with_update({**base_config(self), **derived_config(self, _OWN)})
