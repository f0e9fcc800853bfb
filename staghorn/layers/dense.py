"""Dense: the fully connected layer."""

from collections.abc import Callable
from typing import Any

import jax

from staghorn import activations, constraints, initializers, regularizers
from staghorn.engine.arguments import Is, Positive
from staghorn.engine.dtypes import is_float
from staghorn.layers.adaptation import AdaptableProduct, Merged
from staghorn.layers.input_spec import InputSpec
from staghorn.ops import nn


class Dense(AdaptableProduct):
    """Affine map of the last axis, then an activation.

    (batch, …, d_in) → (batch, …, units)        y = activation(x @ kernel + bias)

    Weights: kernel (d_in, units); bias (units,).

    Args:
        units: int, size of the output's last axis.
        activation: function or name. Default: None, the identity.
        use_bias: whether a bias is added. Default: True.
        kernel_initializer: Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        kernel_regularizer, bias_regularizer: added to the loss. Default: None.
        activity_regularizer: applied to the output. Default: None.
        kernel_constraint, bias_constraint: applied after each update. Default: None.
        lora_rank, lora_alpha: freeze the kernel and train an update of this rank and strength, see
            `enable_lora`. Default: None, no update; and the rank itself.
        quantization_config: how an int8 layer quantizes its inputs, a
            `staghorn.quantizers.Int8QuantizationConfig`. Default: None, by largest values.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape`, ... as for every layer.

    Raises:
        ValueError: for `units` that is not a positive int; for an input with fewer than 2 axes, or
            whose last axis is not the one the layer was built for.

    Example:
        >>> staghorn.layers.Dense(3, activation="relu")(np.ones((2, 5), "float32")).shape
        (2, 3)

    Notes: inputs with more than two axes are flattened to rows first, which makes the gradient of
    the kernel one plain matrix product. Keras forgets `lora_alpha` here; it counts in Staghorn.
    """

    arguments = {"units": Positive(int), "use_bias": Is(bool)}
    kernel = Merged()

    def __init__(
        self,
        units: int,
        activation: str | Callable | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._set_adaptation(lora_rank, lora_alpha, quantization_config)
        self.units = units
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        features = input_shape[-1]
        if features is None:
            raise ValueError(
                f"Dense '{self.name}': the last axis of the input must be known, "
                f"got shape {tuple(input_shape)}. Give its size in Input(shape=...); behind "
                "TextVectorization, as its output_sequence_length=."
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: features})

    def call(self, inputs: Any) -> jax.Array:
        # Ints are cast by hand: the product of two types is not left to implicit promotion.
        x = inputs if is_float(inputs.dtype) else inputs.astype(self.compute_dtype)
        return self.activation(nn.dense(x, self.kernel, self.bias))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], self.units)
