"""GroupQueryAttention: attention in which several heads of the query share a key and a value.

The class has the name it has in Keras, from which automatic names and names in files come.
"""

from typing import Any

from staghorn import regularizers
from staghorn.engine.arguments import Interval, Is, Positive, check_arguments
from staghorn.layers.options import own_arguments
from staghorn.layers.projected_attention import ProjectedAttention


class GroupedQueryAttention(ProjectedAttention):
    """Attention in several heads, of which groups share one key and one value.

    query (batch, T, dim), value (batch, S, dim_v), key (batch, S, dim_k) → (batch, T, dim)
    y = concat over heads(softmax(q @ k^T / sqrt(head_dim)) @ v) @ W_out + b_out, where head n of q
    meets head n // (num_query_heads / num_key_value_heads) of k and v

    Children: query, key, value and attention_output, EinsumDense layers, in this order; a gate
    before value, if `use_gate`.

    Args:
        head_dim: int, size of a head.
        num_query_heads: int, how many heads the query has.
        num_key_value_heads: int, how many key and value have; it divides `num_query_heads`. 1 is
            multi-query attention, `num_query_heads` is MultiHeadAttention.
        dropout: number in [0, 1], the share of weights to drop in training. Default: 0.
        use_bias: whether the projections have biases. Default: True.
        sliding_window: int, steps see only those fewer than so many places away. Default: None.
        flash_attention: True asks for the fused kernel of an NVIDIA GPU. Default: None, where
            `ops.dot_product_attention` finds that it fits; `config.disable_flash_attention()` says
            no for all layers made after it.
        kernel_initializer: of the projections. Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        kernel_regularizer, bias_regularizer: added to the loss. Default: None.
        activity_regularizer: applied to the output and to that of each projection. Default: None.
        kernel_constraint, bias_constraint: applied after each update. Default: None.
        use_gate: whether a sigmoid of the projected query multiplies the heads. Default: False.
        seed: int, for the dropout. Default: None, drawn from Python's `random`.
        **kwargs: `name`, `dtype`, ... as for every layer.

    Call arguments:
        query, value, key: sequences; without a key, the value is the key.
        query_mask, value_mask, key_mask: (batch, steps), True for real steps. Default: the masks
            that travel with the three.
        attention_mask: (batch, T, S), True where a step may look. Default: None.
        return_attention_scores: also return the weights (batch, heads, T, S). Default: False.
        training: whether to drop. Default: that of the layer around, or False.
        use_causal_mask: whether a step sees only those up to its own place. Default: False.

    Raises:
        ValueError: for sizes that are not positive ints, heads that do not divide, value and key
            of different lengths, or `flash_attention` together with dropout or returned scores.

    Example:
        >>> layer = staghorn.layers.GroupQueryAttention(4, num_query_heads=6, num_key_value_heads=2)
        >>> x = np.ones((3, 5, 8), "float32")
        >>> layer(x, x, use_causal_mask=True).shape
        (3, 5, 8)

    Notes: keys and values are not copied for each head of the query, unless scores or dropout are
    asked for. An explicit `query_mask` counts. Values may have other features than the query, also
    in a Functional model, where Keras refuses them.

    Reference: Ainslie et al., 2023, https://arxiv.org/abs/2305.13245
    """

    arguments = {
        "head_dim": Positive(int),
        "num_query_heads": Positive(int),
        "num_key_value_heads": Positive(int),
        "dropout": Interval(0, 1),
        "use_bias": Is(bool),
        "sliding_window": Positive(int, optional=True),
        "use_gate": Is(bool),
        "seed": Is(int, optional=True),
    }
    _keras_path = ("keras.layers", "GroupQueryAttention", None)
    head_dim: int
    num_query_heads: int
    num_key_value_heads: int

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
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
        heads, depths = (num_query_heads, num_key_value_heads), (head_dim, head_dim)
        super().__init__(options, heads, depths, flash_attention, **kwargs)
        check_arguments(self, self.arguments)  # before they are divided
        self._projections_regularizer = self.activity_regularizer
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                "GroupedQueryAttention: num_key_value_heads must divide num_query_heads, got "
                f"num_query_heads={num_query_heads} and num_key_value_heads={num_key_value_heads}."
            )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["flash_attention"]  # Keras writes none: it is up to the machine
        config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        return config


GroupQueryAttention = GroupedQueryAttention
