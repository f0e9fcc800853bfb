"""EinsumDense: a fully connected layer whose product is written as an equation."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from staghorn import activations, constraints, initializers, regularizers
from staghorn.dtype_policies import check_mode
from staghorn.engine.arguments import Is, NonNegative, OneOrMore, check_values
from staghorn.engine.dtypes import is_float
from staghorn.engine.serialization import derived_config
from staghorn.layers.adaptation import AdaptableProduct, Merged
from staghorn.layers.elementwise import base_config
from staghorn.layers.input_spec import InputSpec
from staghorn.ops import nn

_LETTERS = r"([a-zA-Z]+)"
_FORMS = (
    re.compile(rf"{_LETTERS},{_LETTERS}->{_LETTERS}"),
    re.compile(rf"\.\.\.{_LETTERS},{_LETTERS}->\.\.\.{_LETTERS}"),
    re.compile(rf"([a-zA-Z]{{2,}})\.\.\.,{_LETTERS}->{_LETTERS}\.\.\."),
)
_OWN = (
    "equation",
    "activation",
    "bias_axes",
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "bias_constraint",
    "lora_rank",
    "lora_alpha",
    "quantization_config",
)


class Equation(NamedTuple):
    """The three groups of letters of an equation, and where axes may be left unnamed."""

    inputs: str
    kernel: str
    output: str
    ellipsis: str  # "", "left" or "right"


def parse(equation: str) -> Equation:
    """Read "abc,cd->abd", "...c,cd->...d" or "bc...,cd->bd...".

    Example:
        >>> from staghorn.layers.einsum_dense import parse
        >>> parse("...x,xy->...y").ellipsis
        'left'
    """
    text = equation.replace(" ", "") if isinstance(equation, str) else ""
    for form, ellipsis in zip(_FORMS, ("", "left", "right"), strict=True):
        match = form.fullmatch(text)
        if match is not None:
            inputs, kernel, output = match.groups()
            return Equation(inputs, kernel, output, ellipsis)
    raise ValueError(
        f"EinsumDense: equation must look like 'abc,cd->abd', '...c,cd->...d' or "
        f"'bc...,cd->bd...' (inputs, kernel, output), got {equation!r}."
    )


def summed_axes(parts: Equation) -> int | None:
    """Return how many axes the equation sums over if it is a matrix product, else None.

    That is, if the inputs end with the letters the kernel starts with, and the output has the
    others in order: "abc,cde->abde" sums 1 axis, "abcd,cde->abe" 2.

    Example:
        >>> from staghorn.layers.einsum_dense import parse, summed_axes
        >>> summed_axes(parse("abcd,cde->abe")), summed_axes(parse("abc,ad->bcd"))
        (2, None)
    """
    if parts.ellipsis == "right":
        return None
    shared = [letter for letter in parts.inputs if letter in parts.kernel]
    count = len(shared)
    bound = "".join(shared)
    free, made = parts.inputs[: len(parts.inputs) - count], parts.kernel[count:]
    letters = free + bound + made
    plain = (
        count > 0
        and parts.inputs == free + bound
        and parts.kernel == bound + made
        and parts.output == free + made
        and len(set(letters)) == len(letters)
    )
    return count if plain else None


def einsum_dense(equation: str, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Product of inputs and kernel as an equation says, as one matrix product where it can be.

    Example:
        >>> from staghorn.layers.einsum_dense import einsum_dense
        >>> x, kernel = np.ones((2, 3, 4), "float32"), np.ones((4, 5, 6), "float32")
        >>> einsum_dense("abc,cde->abde", x, kernel).shape
        (2, 3, 5, 6)
    """
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    count = summed_axes(parse(equation))
    if count is None:
        return jnp.einsum(equation, x, kernel)
    summed, made = kernel.shape[:count], kernel.shape[count:]
    if x.shape[-count:] != summed:
        return jnp.einsum(equation, x, kernel)  # whose error names the axes
    rows = jnp.reshape(x, (*x.shape[: x.ndim - count], _size(summed)))
    y = nn.dense(rows, jnp.reshape(kernel, (_size(summed), _size(made))))
    return jnp.reshape(y, (*rows.shape[:-1], *made))


def _size(shape: Sequence[int]) -> int:
    size = 1
    for dim in shape:
        size *= dim
    return size


class Shapes(NamedTuple):
    """What an equation says about the weights and the output for an input's shape."""

    kernel: tuple
    bias: tuple | None
    output: tuple
    input_axes: list[int]
    output_axes: list[int]


def infer_shapes(
    equation: str, bias_axes: str | None, input_shape: tuple, output_shape: tuple
) -> Shapes:
    """Return the shapes of the kernel, the bias and the output.

    Args:
        equation: as EinsumDense takes it.
        bias_axes: letters of the output that have a bias of their own, or None.
        input_shape: with the batch.
        output_shape: without the batch and without what an ellipsis stands for.

    Example:
        >>> from staghorn.layers.einsum_dense import infer_shapes
        >>> infer_shapes("abc,cd->abd", "d", (None, 8, 4), (None, 5)).kernel
        (4, 5)
    """
    parts = parse(equation)
    unnamed = len(input_shape) - len(parts.inputs)
    if unnamed < 0 or (unnamed and not parts.ellipsis):
        raise ValueError(
            f"EinsumDense: equation {equation!r} names {len(parts.inputs)} input axes, "
            f"got an input of shape {tuple(input_shape)}."
        )
    left = unnamed if parts.ellipsis == "left" else 0
    right = unnamed if parts.ellipsis == "right" else 0
    full = [input_shape[0], *input_shape[1:left], *output_shape]
    full += input_shape[len(input_shape) - right :] if right else []
    if len(full) != unnamed + len(parts.output):
        raise ValueError(
            f"EinsumDense: output_shape must give a size, or None, for each axis of "
            f"'{parts.output}' but the batch, got {tuple(output_shape)}."
        )
    sizes = {letter: input_shape[left + i] for i, letter in enumerate(parts.inputs)}
    made = {letter: full[left + i] for i, letter in enumerate(parts.output)}
    made = {c: sizes.get(c) if size is None else size for c, size in made.items()}
    full[left : left + len(made)] = made.values()
    _check_letters(parts, sizes, made, equation)
    kernel = tuple(made.get(letter, sizes.get(letter)) for letter in parts.kernel)
    output_axes = [i for i, letter in enumerate(parts.kernel) if letter in made]
    input_axes = [i for i, letter in enumerate(parts.kernel) if letter not in made]
    bias = None
    if bias_axes is not None:
        first = min(parts.output.find(letter) for letter in bias_axes)
        bias = tuple(made[c] if c in bias_axes else 1 for c in parts.output[first:])
        bias += (1,) * right
    return Shapes(kernel, bias, tuple(full), input_axes, output_axes)


def _check_letters(parts: Equation, sizes: dict, made: dict, equation: str) -> None:
    for letter in parts.output:
        if letter not in parts.inputs and letter not in parts.kernel:
            raise ValueError(
                f"EinsumDense: '{letter}' of the output in {equation!r} is neither in the inputs "
                f"'{parts.inputs}' nor in the kernel '{parts.kernel}'."
            )
    for letter in parts.kernel:
        if letter not in parts.inputs and letter not in parts.output:
            raise ValueError(
                f"EinsumDense: '{letter}' of the kernel in {equation!r} is neither in the inputs "
                f"'{parts.inputs}' nor in the output '{parts.output}': its size is unknown."
            )
    for letter, size in made.items():
        if letter in sizes and size is not None and size != sizes[letter]:
            raise ValueError(
                f"EinsumDense: axis '{letter}' of {equation!r} has size {sizes[letter]} in the "
                f"input and {size} in output_shape. Write None for it in output_shape."
            )


_SIZES = OneOrMore(NonNegative(int, optional=True))


class EinsumDense(AdaptableProduct):
    """Affine map over any axes, written as an equation, then an activation.

    inputs → output, axes as the equation says        y = activation(einsum(x, kernel) + bias)

    Weights: kernel, its axes in the order of the equation; bias, if `bias_axes` names any.

    Args:
        equation: "inputs,kernel->output": "abc,cd->abd", "...c,cd->...d" or "bc...,cd->bd...".
        output_shape: size of the output's axes without the batch (and without those of an
            ellipsis); None where the input gives it. An int for one axis.
        activation: function or name. Default: None, the identity.
        bias_axes: letters of the output that have a bias of their own. Default: None, no bias.
        kernel_initializer: Default: "glorot_uniform".
        bias_initializer: Default: "zeros".
        kernel_regularizer, bias_regularizer: added to the loss. Default: None.
        kernel_constraint, bias_constraint: applied after each update. Default: None.
        lora_rank, lora_alpha: freeze the kernel and train an update of this rank and strength, see
            `enable_lora`. Default: None, no update; and the rank itself.
        gptq_unpacked_column_size: must be None. Default: None.
        quantization_config: how an int8 layer quantizes its inputs, a
            `staghorn.quantizers.Int8QuantizationConfig`. Default: None, by largest values.
        **kwargs: `name`, `dtype`, `activity_regularizer`, ... as for every layer.

    Raises:
        ValueError: for an equation that is none of the three forms, or does not fit the shapes.

    Example:
        >>> layer = staghorn.layers.EinsumDense("abc,cd->abd", (None, 8), bias_axes="d")
        >>> layer(np.ones((2, 5, 4), "float32")).shape
        (2, 5, 8)

    Notes: an equation that is a matrix product in disguise, as those of MultiHeadAttention are,
    is computed as one.
    """

    arguments = {"bias_axes": Is(str, optional=True)}
    kernel = Merged()

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: str | Callable | None = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: Any = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if gptq_unpacked_column_size is not None:
            check_mode("gptq", "EinsumDense, gptq_unpacked_column_size")
        self._set_adaptation(lora_rank, lora_alpha, quantization_config)
        self.equation = equation
        check_values("EinsumDense", {"output_shape": _SIZES}, {"output_shape": output_shape})
        one_axis = isinstance(output_shape, int)
        self.partial_output_shape = (output_shape,) if one_axis else tuple(output_shape)  # type: ignore[arg-type]
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        output = parse(equation).output
        if any(letter not in output for letter in bias_axes or ""):
            raise ValueError(
                f"EinsumDense: bias_axes must be letters of the output '{output}', "
                f"got {bias_axes!r}."
            )

    def _shapes(self, input_shape: tuple) -> Shapes:
        return infer_shapes(
            self.equation, self.bias_axes, tuple(input_shape), self.partial_output_shape
        )

    def build(self, input_shape: tuple) -> None:
        shapes = self._shapes(input_shape)
        if None in shapes.kernel or None in (shapes.bias or ()):
            raise ValueError(
                f"EinsumDense '{self.name}': every axis of the kernel and the bias must have a "
                f"known size, got kernel {shapes.kernel} and bias {shapes.bias} for an input of "
                f"shape {tuple(input_shape)}. Give it in output_shape or in Input(shape=...)."
            )
        self.input_spec = InputSpec(ndim=len(input_shape))
        self.kernel = self.add_weight(
            name="kernel",
            shape=shapes.kernel,
            initializer=self._axis_aware_initializer(shapes),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if shapes.bias is not None:
            self.bias = self.add_weight(
                name="bias",
                shape=shapes.bias,
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _axis_aware_initializer(self, shapes: Shapes) -> Any:
        """Tell an initializer that counts units which axes of the kernel are which."""
        initializer = self.kernel_initializer
        if not isinstance(initializer, initializers.VarianceScaling):
            return initializer
        if initializer.input_axes is not None and initializer.output_axes is not None:
            return initializer
        axes = {"input_axes": shapes.input_axes, "output_axes": shapes.output_axes}
        config = {**initializer.get_config(), "seed": initializer.seed, **axes}
        return type(initializer).from_config(config)

    def call(self, inputs: Any) -> jax.Array:
        # Ints are cast by hand: the product of two types is not left to implicit promotion.
        x = inputs if is_float(inputs.dtype) else inputs.astype(self.compute_dtype)
        return self._finish(einsum_dense(self.equation, x, self.kernel))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return self._shapes(input_shape).output

    def get_config(self) -> dict[str, Any]:
        # By hand: `output_shape` is the argument, and a property of every layer.
        config = {**base_config(self), **derived_config(self, _OWN)}
        return self._with_update({**config, "output_shape": self.partial_output_shape})
