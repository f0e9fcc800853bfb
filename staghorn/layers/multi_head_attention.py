"""MultiHeadAttention: projections, attention in several heads, and a projection back."""

from collections.abc import Sequence
from typing import Any

from staghorn import regularizers
from staghorn.engine.arguments import Interval, Is, Positive
from staghorn.engine.serialization import derived_config
from staghorn.layers.einsum_dense import EinsumDense
from staghorn.layers.elementwise import base_config
from staghorn.layers.options import own_arguments
from staghorn.layers.projected_attention import ProjectedAttention

# fmt: off
_OWN = (
    "num_heads", "key_dim", "value_dim", "dropout", "use_bias", "use_gate", "attention_axes",
    "sliding_window", "kernel_initializer", "bias_initializer", "kernel_regularizer",
    "bias_regularizer", "kernel_constraint", "bias_constraint", "seed",
)
# fmt: on


class MultiHeadAttention(ProjectedAttention):
    """Let each step of one sequence look at the steps of another, in several ways at once.

    query (batch, T, dim), value (batch, S, dim_v), key (batch, S, dim_k) → (batch, T, dim)
    y = concat over heads(softmax(q @ k^T / sqrt(key_dim)) @ v) @ W_out + b_out, where q, k and v
    are the query, key and value projected to (batch, heads, steps, key_dim or value_dim)

    Children: query, key, value and attention_output, EinsumDense layers, in this order; a gate
    before value, if `use_gate`.

    Args:
        num_heads: int, how many heads.
        key_dim: int, size of a head of query and key.
        value_dim: int, size of a head of the value. Default: None, `key_dim`.
        dropout: number in [0, 1], the share of weights to drop in training. Default: 0.
        use_bias: whether the projections have biases. Default: True.
        output_shape: int or tuple, the output's axes after the steps. Default: None, the query's.
        attention_axes: int or tuple, the axes of steps. Default: None, all but batch and features.
        sliding_window: int, steps see only those fewer than so many places away. Default: None.
        flash_attention: True asks for the fused kernel of an NVIDIA GPU. Default: None, where
            `ops.dot_product_attention` finds that it fits; `config.disable_flash_attention()` says
            no for all layers made after it.
        kernel_initializer: of the projections. Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        kernel_regularizer, bias_regularizer: added to the loss. Default: None.
        activity_regularizer: applied to the output of each projection. Default: None.
        kernel_constraint, bias_constraint: applied after each update. Default: None.
        use_gate: whether a sigmoid of the projected query multiplies the heads. Default: False.
        seed: int, for the dropout. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Call arguments:
        query, value, key: sequences; without a key, the value is the key. Give the same tensor
            twice for self-attention.
        query_mask, value_mask, key_mask: (batch, steps), True for real steps. Default: the masks
            that travel with the three.
        attention_mask: (batch, T, S), True where a step may look. Default: None.
        return_attention_scores: also return the weights (batch, heads, T, S). Default: False.
        training: whether to drop. Default: that of the layer around, or False.
        use_causal_mask: whether a step sees only those up to its own place. Default: False.

    Raises:
        ValueError: for sizes that are not positive ints, value and key of different lengths, or
            `flash_attention` together with dropout or returned scores.

    Example:
        >>> layer = staghorn.layers.MultiHeadAttention(num_heads=2, key_dim=4)
        >>> x = np.ones((3, 5, 8), "float32")
        >>> layer(x, x, use_causal_mask=True).shape
        (3, 5, 8)

    Notes: an explicit `query_mask` counts, where Keras forgets it; the query keeps its own mask;
    symbolic scores have the value's length where Keras writes the query's.

    Reference: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762
    """

    arguments = {
        "num_heads": Positive(int),
        "key_dim": Positive(int),
        "value_dim": Positive(int, optional=True),
        "dropout": Interval(0, 1),
        "use_bias": Is(bool),
        "sliding_window": Positive(int, optional=True),
        "use_gate": Is(bool),
        "seed": Is(int, optional=True),
    }

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        options = own_arguments(locals())
        for name in ("output_shape", "activity_regularizer"):
            del options[name]
        options["value_dim"] = key_dim if value_dim is None else value_dim
        options["attention_axes"] = self._axes("attention_axes", attention_axes)
        depths = (key_dim, options["value_dim"])
        super().__init__(options, (num_heads, num_heads), depths, flash_attention, **kwargs)
        # The children's, not this layer's own; `output_shape` is a property of every layer.
        self._projections_regularizer = regularizers.get(activity_regularizer)
        self._output_shape = self._axes("output_shape", output_shape or None)

    def _axes(self, name: str, value: Any) -> tuple | None:
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return None if value is None else (value,)
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, int) for v in value):
            raise ValueError(
                f"MultiHeadAttention: {name} must be an int or a tuple of ints, "
                f"got {value!r} ({type(value).__name__})."
            )
        return tuple(value)

    @property
    def query_dense(self) -> EinsumDense:
        """The layer that projects the query."""
        return self._query_dense

    @property
    def key_dense(self) -> EinsumDense:
        """The layer that projects the key."""
        return self._key_dense

    @property
    def value_dense(self) -> EinsumDense:
        """The layer that projects the value."""
        return self._value_dense

    @property
    def output_dense(self) -> EinsumDense:
        """The layer that projects the heads back."""
        return self._output_dense

    def get_config(self) -> dict[str, Any]:
        # By hand: what `output_shape` and `activity_regularizer` mean here, no layer else does.
        return {
            **base_config(self),
            **derived_config(self, _OWN),
            "output_shape": self._output_shape,
            "activity_regularizer": regularizers.serialize(self._projections_regularizer),
        }
