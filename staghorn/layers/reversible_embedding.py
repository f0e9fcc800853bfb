"""ReversibleEmbedding: a table of vectors that also turns vectors into scores of its rows."""

from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine.arguments import Is, Positive
from staghorn.engine.dtypes import is_float
from staghorn.engine.masks import set_mask
from staghorn.engine.symbolic import KerasTensor
from staghorn.layers.embedding import Embedding
from staghorn.ops.core import common_type


class ReversibleEmbedding(Embedding):
    """Look up a vector for each index; called with `reverse=True`, score each row for a vector.

    (batch, …) ints → (batch, …, output_dim)        y = embeddings[x]
    reverse: (batch, …, output_dim) → (batch, …, input_dim)        y = x @ embeddings^T

    Weights: embeddings (input_dim, output_dim); without `tie_weights` also
    reverse_embeddings (output_dim, input_dim).

    Args:
        input_dim: int, how many different indices there are.
        output_dim: int, the length of the vectors.
        tie_weights: whether both directions use one table. Default: True.
        embeddings_initializer: Default: "uniform", numbers in [-0.05, 0.05).
        embeddings_regularizer: added to the loss. Default: None.
        embeddings_constraint: applied after each update. Default: None.
        mask_zero: whether index 0 is padding, which layers after it shall skip. Default: False.
        reverse_dtype: the type the scores are computed in, often "float32". Default: None, that
            of the inputs and the table together.
        logit_soft_cap: number c; scores become tanh(score / c) * c. Default: None.
        **kwargs: `weights`, `name`, `dtype`, ... as for Embedding and every layer.

    Raises:
        ValueError: for sizes that are not positive ints.

    Example:
        >>> layer = staghorn.layers.ReversibleEmbedding(10, 4)
        >>> hidden = layer(np.array([[3, 7, 0]]))
        >>> layer(hidden, reverse=True).shape
        (1, 3, 10)

    Notes: `reverse` is an argument of the call, so that one layer stands at both ends of a model.
    Scores carry no mask, as in Keras.

    Reference: Press and Wolf, 2016, https://arxiv.org/abs/1608.05859
    """

    arguments = {
        **Embedding.arguments,
        "tie_weights": Is(bool),
        "logit_soft_cap": Positive(float, optional=True),
    }

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.tie_weights = tie_weights  # first: with `weights=`, the next line builds the layer
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape: tuple | None = None) -> None:
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                name="reverse_embeddings",
                shape=(self.output_dim, self.input_dim),
                initializer=self.embeddings_initializer,
            )

    def call(self, inputs: Any, reverse: bool = False) -> jax.Array:
        if not reverse:
            return self._with_mask(super().call(inputs), inputs)
        table = (
            jnp.asarray(self.embeddings).T if self.tie_weights else self.reverse_embeddings.value
        )
        dtype = self.reverse_dtype or common_type(inputs.dtype, table.dtype)
        scores = jnp.matmul(inputs.astype(dtype), table.astype(dtype))  # (batch, …, input_dim)
        return self._capped(scores)

    def _with_mask(self, rows: jax.Array, inputs: Any) -> jax.Array:
        if self.mask_zero:
            set_mask(rows, super().compute_mask(inputs))
        return rows

    def _capped(self, scores: jax.Array) -> jax.Array:
        cap = self.logit_soft_cap
        return scores if cap is None else jnp.tanh(scores / cap) * cap

    def _quantized_call(self, inputs: Any, reverse: bool = False) -> jax.Array:
        if reverse:
            return self._capped(self._quantized_scores(inputs))
        return self._with_mask(super()._quantized_call(inputs), inputs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None if is_float(inputs.dtype) else super().compute_mask(inputs, mask)

    def compute_output_shape(self, input_shape: tuple, reverse: bool = False) -> tuple:
        if reverse:
            return (*input_shape[:-1], self.input_dim)
        return (*input_shape, self.output_dim)

    def compute_output_spec(self, inputs: Any, reverse: bool = False) -> Any:
        shape = self.compute_output_shape(inputs.shape, reverse)
        return KerasTensor(shape, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"tie_weights": self.tie_weights, "logit_soft_cap": self.logit_soft_cap}
        return {**super().get_config(), **own, "reverse_dtype": self.reverse_dtype}
