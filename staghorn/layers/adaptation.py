"""Layers whose weights can be quantized to int8, or changed by two small matrices (LoRA).

The layer files know nothing of either but their base class here. A low-rank update is seen where
`self.kernel` is read: the frozen weight moves to `_kernel`, and `Merged` answers with the sum.
Quantizing turns the weight's Variable into one of int8, in place, adds its scale, and has
`Layer.__call__` run `_quantized_call` instead of `call`.
"""

from __future__ import annotations

import re
import string
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from staghorn import initializers
from staghorn.dtype_policies import HALVES, QuantizedDTypePolicy
from staghorn.engine.arguments import Is, Positive, check_arguments
from staghorn.engine.dtypes import is_float
from staghorn.engine.serialization import is_builtin
from staghorn.engine.spellings import user_level
from staghorn.engine.variable import Variable
from staghorn.layers.call import NO_INT8
from staghorn.layers.layer import Layer
from staghorn.ops.core import common_type
from staghorn.quantizers.abs_max import AbsMaxQuantizer
from staghorn.quantizers.configs import resolve

_RANK = Positive(int, optional=True)


class Merged:
    """A weight as the layer uses it, once its Variable is frozen under a low-rank update."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        # Without __set__, this is asked only where the layer has no attribute of this name.
        if layer is None:
            return self
        if f"_{self.name}" not in vars(layer):
            owner = type(layer)
            raise AttributeError(
                f"{owner.__name__} '{layer.name}' is not built: no {self.name} yet."
            )
        return layer._merged().astype(layer.compute_dtype)


class Adaptable(Layer):
    """Base of layers with one large weight to which a low-rank update can be added."""

    kernel_scale: Variable
    embeddings_scale: Variable
    reverse_embeddings_scale: Variable
    weight_name: ClassVar[str] = "kernel"
    lora_enabled = False
    lora_rank: int | None = None
    lora_alpha: float | None = None
    inputs_quantizer: Callable | None = None

    def _set_adaptation(
        self, lora_rank: int | None, lora_alpha: float | None, quantization_config: Any = None
    ) -> None:
        """Keep the constructor's arguments until there are weights."""
        where = f"{type(self).__name__}, quantization_config"
        self.quantization_config = quantization_config and resolve(None, quantization_config, where)
        self.lora_rank = lora_rank
        self.lora_alpha = lora_rank if lora_alpha is None else lora_alpha
        check_arguments(self, {"lora_rank": _RANK, "lora_alpha": Is(float, optional=True)})

    @property
    def _weight(self) -> Variable:
        """The Variable that is quantized or frozen."""
        name = self.weight_name
        return vars(self)[f"_{name}" if self.lora_enabled else name]

    def _after_build(self) -> None:
        if self.quantization_mode is not None and not self._is_quantized:
            self._become_quantized(fresh=True)
        if self.lora_rank and not self.lora_enabled:
            self.enable_lora(self.lora_rank, self.lora_alpha)
        super()._after_build()

    # Low-rank updates -------------------------------------------------------------------------

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
    ) -> None:
        """Freeze the kernel and train a small update beside it.

        kernel (…, n) + lora_alpha / rank * (a @ b), with a (…, rank) and b (rank, n)

        Args:
            rank: the inner size of the update.
            lora_alpha: its strength. Default: None, `rank`.
            a_initializer, b_initializer: Default: "he_uniform" and "zeros": no change at first.

        Raises:
            ValueError: if the layer is not built, has an update already, or a constraint.

        Example:
            >>> layer = staghorn.layers.Dense(3)
            >>> layer.build((None, 5))
            >>> layer.enable_lora(2)
            >>> [v.name for v in layer.trainable_weights]
            ['bias', 'lora_kernel_a', 'lora_kernel_b']

        Notes: compile the model again before training: optimizers hold the weights they were built
        for. Files hold the kernel with the update added, as Keras's do; a loaded layer starts a
        new update, while Keras's has zeros for `a` too, which can never train.

        Reference: Hu et al., 2021, https://arxiv.org/abs/2106.09685
        """
        where = f"{type(self).__name__} '{self.name}', enable_lora"
        if not self.built:
            raise ValueError(f"{where}: the layer has no weights yet. Call it on data first.")
        if self.lora_enabled:
            raise ValueError(f"{where}: there is an update of rank {self.lora_rank} already.")
        name, weight = self.weight_name, self._weight
        if weight.constraint is not None:
            raise ValueError(f"{where}: {name} has a constraint, which nothing would keep.")
        if not _RANK.accepts(rank):
            kind = type(rank).__name__
            raise ValueError(f"{where}: rank must be a positive int, got {rank!r} ({kind}).")
        # No file holds them: more than the kernel has is no update any more.
        self._in_no_file = rank <= min(weight.shape)
        for letter, shape, initializer in (
            ("a", (*weight.shape[:-1], rank), a_initializer),
            ("b", (rank, weight.shape[-1]), b_initializer),
        ):
            update = self.add_weight(
                name=f"lora_{name}_{letter}",
                shape=shape,
                initializer=initializers.get(initializer),
                dtype="float32",
                regularizer=getattr(self, f"{name}_regularizer"),
            )
            setattr(self, f"lora_{name}_{letter}", update)
        self._in_no_file = False
        weight.trainable = False
        vars(self)[f"_{name}"] = vars(self).pop(name, weight)
        self.lora_enabled = True
        self.lora_rank, self.lora_alpha = rank, rank if lora_alpha is None else lora_alpha

    @property
    def _update(self) -> tuple[Variable, Variable]:
        own = vars(self)
        return own[f"lora_{self.weight_name}_a"], own[f"lora_{self.weight_name}_b"]

    @property
    def _strength(self) -> float:
        return self.lora_alpha / self.lora_rank  # type: ignore[operator]

    def _merged(self) -> jax.Array:
        """Return the weight with its update added."""
        a, b = (v.value for v in self._update)
        weight, delta = self._float_weight(), jnp.tensordot(a, b, 1) * self._strength
        wide = common_type(weight.dtype, delta.dtype)
        return weight.astype(wide) + delta.astype(wide)

    # Whole numbers ----------------------------------------------------------------------------

    def quantize(self, mode: str | None = None, type_check: Any = True, config: Any = None) -> None:
        """Turn the layer's large weight into whole numbers of 8 bits.

        Args:
            mode: "int8". Default: None, that of `config`.
            type_check: whether subclasses are refused, whose `call` would not be run any more.
                Default: True.
            config: a `staghorn.quantizers.QuantizationConfig`. Default: None, the usual one.

        Raises:
            ValueError: if the layer is not built, or quantized already, or for an unknown mode.
            NotImplementedError: for a mode or a layer that cannot be quantized.

        Example:
            >>> layer = staghorn.layers.Dense(3)
            >>> layer.build((None, 5))
            >>> layer.quantize("int8")
            >>> layer.dtype_policy, [v.dtype for v in layer.weights]
            (<QuantizedDTypePolicy "int8_from_float32">, ['float32', 'int8', 'float32'])
        """
        if not isinstance(type_check, bool):  # quantize("int8", config)
            type_check, config = True, type_check
        config = resolve(mode, config, f"{type(self).__name__} '{self.name}', quantize")
        problem = self._unquantizable(type_check)
        if problem is not None:
            raise problem
        self.quantization_config = config
        self._become_quantized(fresh=False)
        if self.quantization_mode is None:
            self.dtype_policy = QuantizedDTypePolicy(config.mode, self.dtype_policy.name)

    def _unquantizable(self, type_check: bool = True) -> Any:
        """Return the error that says why the layer cannot be quantized, or None."""
        own = is_builtin(type(self)) or not type_check
        if not own or type(self)._quantized_call is None:
            return super()._unquantizable()
        problem = (
            (not self.built and "the layer has no weights yet. Call it on data first.")
            or (self._is_quantized and f"it is quantized already ({self.dtype_policy.name}).")
            or (self.compute_dtype == "float16" and HALVES)
        )
        where = f"{type(self).__name__} '{self.name}', quantize"
        return ValueError(f"{where}: {problem}") if problem else None

    def _become_quantized(self, fresh: bool) -> None:
        """Turn weights into whole numbers; in a layer made `fresh` their values are yet to come."""
        config = self.quantization_config
        self.inputs_quantizer = AbsMaxQuantizer() if config is None else config.activation_quantizer
        self._convert(self.weight_name, self._weight, fresh)
        if "reverse_embeddings" in vars(self):
            self._convert("reverse_embeddings", vars(self)["reverse_embeddings"], fresh)
        self._is_quantized = True

    def _convert(self, name: str, weight: Variable, fresh: bool) -> None:
        # In place: whoever holds the Variable, as an old compiled program, sees that it changed.
        with jax.ensure_compile_time_eval():
            if fresh:
                weight._adopt(jnp.zeros(weight.shape))
            value, scale = self._integers(name, weight.stored)
            weight._adopt(value)
        weight._dtype = "int8"
        self._tracker.untrack(weight)
        weight.trainable, weight.regularizer, weight.constraint = False, None, None
        self._tracker.track(weight)
        kept = self.add_weight(
            name=f"{name}_scale", shape=scale.shape, initializer="ones", trainable=False
        )
        setattr(self, f"{name}_scale", kept)
        if not fresh:
            kept.assign(scale)

    def _integers(self, name: str, value: Any) -> tuple[jax.Array, jax.Array]:
        """Return a weight as whole numbers, and their scale as it is kept."""
        config, axes = self.quantization_config, self._scaled_axes(name)
        quantizer = (config and config.weight_quantizer) or AbsMaxQuantizer(axis=axes)
        numbers, scale = quantizer(value, to_numpy=True)
        wanted = tuple(1 if i in axes else size for i, size in enumerate(value.shape))
        if scale.shape != wanted:
            raise ValueError(
                f"{type(self).__name__} '{self.name}', quantize: the weight_quantizer gave a scale "
                f"of shape {scale.shape} for {name} {value.shape}; it must be {wanted}. "
                f"Write AbsMaxQuantizer(axis={axes})."
            )
        return numbers, self._kept_scale(scale)

    def _scaled_axes(self, name: str) -> tuple[int, ...]:
        """Return the axes of a weight that share a scale."""
        raise NotImplementedError(NO_INT8.format(type(self).__name__, self.name))

    def _kept_scale(self, scale: jax.Array) -> jax.Array:
        """Bring a scale from the weight's layout into that of the Variable."""
        return jnp.reshape(scale, -1)

    def _full_scale(self, scale: jax.Array) -> jax.Array:
        """Undo `_kept_scale`."""
        raise NotImplementedError

    def _float_weight(self) -> jax.Array:
        weight = self._weight.value
        if not self._is_quantized:
            return weight
        scale = self._full_scale(vars(self)[f"{self.weight_name}_scale"].value)
        return weight.astype(scale.dtype) / scale

    def _low_rank(
        self, x: jax.Array, y: jax.Array, product: Callable, split: bool = True
    ) -> jax.Array:
        """Add to a result what the update makes of its input; `split` says it can do so in turn."""
        if not self.lora_enabled:
            return y
        a, b = (v.value for v in self._update)
        more = jnp.tensordot(product(x, a), b, 1) if split else product(x, jnp.tensordot(a, b, 1))
        return (y.astype(more.dtype) + more * self._strength).astype(self.compute_dtype)

    # Files ------------------------------------------------------------------------------------

    def _stored(self) -> list[Variable]:
        own = super()._stored()
        if not (self.lora_enabled or self._is_quantized):
            return own
        weight, updates = self._weight, self._update if self.lora_enabled else ()
        left_out = {id(v) for v in (weight, *updates)}
        return [weight, *(v for v in own if id(v) not in left_out)]

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        if not self.lora_enabled:
            return
        merged = self._merged().astype(self.variable_dtype)
        if not self._is_quantized:
            store["0"] = np.asarray(merged)
            return
        scale = vars(self)[f"{self.weight_name}_scale"]
        place = next(i for i, v in enumerate(self._stored()) if v is scale)
        store["0"], store[str(place)] = map(np.asarray, self._integers(self.weight_name, merged))

    def _after_load(self) -> None:
        if self.lora_enabled:  # the file's weight has the update in it
            _, b = self._update
            b.assign(jnp.zeros(b.shape))

    def get_config(self) -> dict[str, Any]:
        return self._with_update(super().get_config())

    def _with_update(self, config: dict[str, Any]) -> dict[str, Any]:
        """Write the arguments of an update into a config where there is one, as Keras does."""
        update = {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha}
        rest = {key: value for key, value in config.items() if key not in update}
        return {**rest, **update} if self.lora_rank else rest


def expect(layer: Any, dtype: str) -> None:
    """Quantize a layer whose file has int8 weights, where a layer around it did not say so.

    The configs of MultiHeadAttention and its like name no policies for the layers inside.

    Args:
        layer: a layer that was just made from its config.
        dtype: the type of its first array in the file.

    Example:
        >>> from staghorn.layers.adaptation import expect
        >>> layer = staghorn.layers.Dense(2)
        >>> layer.build((None, 3))
        >>> expect(layer, "float32")
        >>> layer.quantization_mode is None
        True
    """
    if isinstance(layer, Adaptable) and dtype == "int8" and layer._unquantizable(False) is None:
        layer.quantize(dtype, type_check=False)


class Letters(NamedTuple):
    """An einsum equation, a letter for each axis."""

    inputs: str
    kernel: str
    output: str

    @property
    def equation(self) -> str:
        return f"{self.inputs},{self.kernel}->{self.output}"

    def summed(self, letters: str) -> tuple[int, ...]:
        """Return the axes that the output does not have."""
        return tuple(i for i, letter in enumerate(letters) if letter not in self.output)

    def aligned(self, scale: jax.Array, letters: str) -> jax.Array:
        """Bring a scale of the inputs or the kernel, 1 where summed, into the output's layout."""
        rest = [letter for letter in letters if letter in self.output]
        kept = [letter for letter in self.output if letter in letters]
        scale = jnp.transpose(jnp.squeeze(scale, self.summed(letters)), [*map(rest.index, kept)])
        sizes = dict(zip(kept, scale.shape, strict=True))
        return jnp.reshape(scale, [sizes.get(letter, 1) for letter in self.output])

    def kernel_layout(self, scale: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Undo `aligned` for the kernel."""
        sizes = dict(zip(self.kernel, shape, strict=True))
        kept = [letter for letter in self.output if letter in self.kernel]
        scale = jnp.reshape(scale, [sizes[letter] for letter in kept])
        order = [kept.index(letter) for letter in self.kernel if letter in self.output]
        return jnp.expand_dims(jnp.transpose(scale, order), self.summed(self.kernel))


def letters_of(equation: str, ndim: int) -> Letters:
    """Read an equation for inputs of `ndim` axes.

    Example:
        >>> from staghorn.layers.adaptation import letters_of
        >>> letters_of("...c,cd->...d", 3)
        Letters(inputs='abc', kernel='cd', output='abd')
    """
    inputs, kernel, output = re.split(",|->", equation.replace(" ", ""))
    free = [letter for letter in string.ascii_letters if letter not in equation]
    dots = "".join(free[: ndim - len(inputs.replace("...", ""))])
    return Letters(inputs.replace("...", dots), kernel, output.replace("...", dots))


def int8_product(
    letters: Letters,
    x: jax.Array,
    kernel: jax.Array,
    scale: jax.Array,
    quantizer: Callable | None,
) -> jax.Array:
    """Product of floats and an int8 kernel, in whole numbers where the inputs are quantized too.

    y = einsum(quantized x, kernel) / (scale of x * scale of the kernel)

    Args:
        letters: which product.
        x: floats.
        kernel: int8.
        scale: the kernel's, in its own layout.
        quantizer: for `x`, by the axes that are summed; None leaves it as it is.

    Example:
        >>> from staghorn.layers.adaptation import int8_product, letters_of
        >>> kernel, scale = np.array([[127], [64]], "int8"), np.array([[127.0]], "float32")
        >>> x = np.array([[1.0, -2.0]], "float32")
        >>> print(int8_product(letters_of("ab,bc->ac", 2), x, kernel, scale, None).round(3))
        [[-0.008]]

    Notes: the gradient for x is that of the product with the kernel as floats, as in Keras: the
    rounding of x counts as none.
    """
    inputs, weights, output = letters

    @jax.custom_vjp
    def product(x: jax.Array, kernel: jax.Array, scale: jax.Array) -> jax.Array:
        divisor = letters.aligned(scale, weights)
        if quantizer is None:
            y = jnp.einsum(letters.equation, x, kernel.astype(x.dtype))
        else:
            numbers, found = quantizer(x, axis=letters.summed(inputs))
            divisor = divisor * letters.aligned(found, inputs)
            y = jnp.einsum(letters.equation, numbers, kernel, preferred_element_type=jnp.int32)
        return y.astype(x.dtype) / divisor

    def forward(x: jax.Array, kernel: jax.Array, scale: jax.Array) -> tuple:
        return product(x, kernel, scale), (kernel, scale)

    def backward(kept: tuple, upstream: jax.Array) -> tuple:
        kernel, scale = kept
        floats = kernel.astype(scale.dtype) / scale
        return jnp.einsum(f"{output},{weights}->{inputs}", upstream, floats), None, None

    product.defvjp(forward, backward)
    return product(x, kernel, scale)


class AdaptableProduct(Adaptable):
    """Base of Dense and EinsumDense: a kernel, and perhaps a bias and an activation."""

    equation: str = "...c,cd->...d"
    activation: Callable
    bias: Variable | None

    def _finish(self, y: jax.Array) -> jax.Array:
        """Add the bias and apply the activation."""
        if self.bias is not None:
            bias = self.bias.value
            y = y + jnp.reshape(bias, (1,) * (y.ndim - bias.ndim) + bias.shape)
        return self.activation(y)

    def _letters(self) -> Letters:
        return letters_of(self.equation, self.input_spec.ndim or 2)

    def _scaled_axes(self, name: str) -> tuple[int, ...]:
        letters = self._letters()
        return letters.summed(letters.kernel)

    def _kept_scale(self, scale: jax.Array) -> jax.Array:
        letters = self._letters()
        aligned = letters.aligned(scale, letters.kernel)
        return aligned if self.input_spec.ndim else jnp.reshape(aligned, -1)

    def _full_scale(self, scale: jax.Array) -> jax.Array:
        return self._letters().kernel_layout(scale, self._weight.shape)

    def _quantized_call(self, inputs: Any) -> jax.Array:
        x = inputs if is_float(inputs.dtype) else inputs.astype(self.compute_dtype)
        letters = letters_of(self.equation, x.ndim)
        scale = self._full_scale(self.kernel_scale.value)
        y = int8_product(letters, x, self._weight.value, scale, self.inputs_quantizer)

        def product(x: jax.Array, weight: jax.Array) -> jax.Array:
            wide = common_type(x.dtype, weight.dtype)
            return jnp.einsum(letters.equation, x.astype(wide), weight.astype(wide))

        last = letters.kernel[-1]
        split = letters.output[-1] == last and last not in letters.inputs
        return self._finish(self._low_rank(x, y, product, split))


class AdaptableTable(Adaptable):
    """Base of Embedding: a table of rows."""

    weight_name = "embeddings"

    def _scaled_axes(self, name: str) -> tuple[int, ...]:
        return (1,) if name == self.weight_name else (0,)

    def _full_scale(self, scale: jax.Array) -> jax.Array:
        return jnp.expand_dims(scale, 1)

    def _quantized_call(self, inputs: Any) -> jax.Array:
        indices = inputs if inputs.dtype in (jnp.int32, jnp.int64) else inputs.astype(jnp.int32)
        scale = jnp.take(self.embeddings_scale.value, indices, axis=0)
        rows = jnp.take(self._weight.value, indices, axis=0).astype(scale.dtype)
        y = (rows / jnp.expand_dims(scale, -1)).astype(self.compute_dtype)  # (batch, …, output_dim)
        return self._low_rank(indices, y, lambda i, a: jnp.take(a, i, axis=0))

    def _quantized_scores(self, x: jax.Array) -> jax.Array:
        """Return the product of vectors and the table, or the table of its own for that."""
        own = vars(self).get("reverse_embeddings")
        table, scale = (self._weight, self.embeddings_scale.value[:, None])
        if own is not None:
            table, scale = own, self.reverse_embeddings_scale.value[None]
        letters = letters_of("...c,dc->...d" if own is None else "...c,cd->...d", x.ndim)
        return int8_product(letters, x, table.value, scale, self.inputs_quantizer)


def quantize_model(model: Layer, mode: Any, config: Any, filters: Any, type_check: bool) -> None:
    """Quantize the layers of a model that can be; `Model.quantize` has the arguments.

    Example:
        >>> from staghorn.layers.adaptation import quantize_model
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> quantize_model(model, "int8", None, None, True)
        >>> model.layers[0].quantization_mode
        'int8'
    """
    where = f"{type(model).__name__} '{model.name}', quantize"
    config = resolve(mode, config, where)
    leaves = [x for x in model._flatten_layers() if not x._layers and _chosen(x, filters, where)]
    theirs = {id(x) for x in leaves if not is_builtin(type(x).quantize)}  # type: ignore[arg-type]
    problems = {id(x): None if id(x) in theirs else x._unquantizable(type_check) for x in leaves}
    for problem in problems.values():
        if problem is not None and not isinstance(problem, NotImplementedError):
            raise problem  # before anything is changed
    for layer in leaves:
        if problems[id(layer)] is None:
            layer.quantize(config=config, type_check=type_check)
    kept = [x for x in leaves if problems[id(x)] is not None and (x.weights or not x.built)]
    if kept:
        names = ", ".join(f"'{layer.name}' ({type(layer).__name__})" for layer in kept)
        warnings.warn(
            f"{where}: left as they are, since there is no int8 version of them: {names}.",
            stacklevel=user_level(),
        )


def _chosen(layer: Layer, filters: Any, where: str) -> bool:
    if filters is None or callable(filters):
        return filters is None or bool(filters(layer))
    patterns = [filters] if isinstance(filters, str) else filters
    if not isinstance(patterns, (list, tuple)):
        raise ValueError(
            f"{where}: filters must be a regular expression for names, a list of them, or a "
            f"function of a layer, got {filters!r} ({type(filters).__name__})."
        )
    return any(re.search(pattern, layer.name) for pattern in patterns)
