"""What happens between `layer(x)` and `layer.call(x)`: "why did my call do that?" is answered here.

Signatures are read once per class. Each function below is one step of `Layer.__call__`.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from staghorn.engine import shapes, tree
from staghorn.engine.dtypes import is_float
from staghorn.engine.frame import Frame, current_frame
from staghorn.engine.masks import get_mask, set_mask
from staghorn.engine.registry import suggestion
from staghorn.engine.serialization import parameter_names
from staghorn.engine.symbolic import KerasTensor, symbolic_leaves
from staghorn.engine.variable import Variable

if TYPE_CHECKING:
    from staghorn.layers.layer import Layer


_TEXT = """\
{what} takes numbers, got strings{example}. Put before it what turns strings into numbers:
TextVectorization for texts, StringLookup for categories, Hashing."""
_PASS_TEXT = ("Identity", "Lambda", "JaxLayer")  # of our own layers that convert what they get
SYMBOLIC_LOSS = """\
add_loss in '{name}': {value} is symbolic. Call add_loss from `call`, or on the functional model \
that the tensor belongs to."""
NO_INT8 = """\
{} '{}', quantize: there is no int8 version of this class, only of Dense, EinsumDense, Embedding; \
of a subclass of these with type_check=False, which then runs without its own call."""


class Signature(NamedTuple):
    """What a class's `call` accepts."""

    names: tuple[str, ...]
    first: str | None
    one_is_enough: bool  # no parameter but the first must be given
    has_training: bool
    has_mask: bool
    mask_names: tuple[str, ...]
    training_default: Any
    signature: inspect.Signature


@functools.lru_cache(maxsize=1024)
def signature_of(call: Any) -> Signature:
    """Read the signature of an unbound `call`, once per class."""
    full = inspect.signature(call)
    parameters = list(full.parameters.values())[1:]
    signature = full.replace(parameters=parameters)
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names = tuple(p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
    optional = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    must = [p for p in parameters if p.default is p.empty and p.kind not in optional]
    has_training = "training" in names
    default = full.parameters["training"].default if has_training else None
    return Signature(
        names=names,
        first=plain[0].name if plain else None,
        one_is_enough=must in ([], plain[:1]),
        has_training=has_training,
        has_mask="mask" in names,
        mask_names=tuple(n for n in names if n.endswith("_mask")),
        training_default=None if default is inspect.Parameter.empty else default,
        signature=signature,
    )


class Call:
    """One call of a layer: its arguments by name, converted, and what is known about them."""

    __slots__ = (
        "args",
        "arguments",
        "first",
        "kwargs",
        "mask",
        "signature",
        "symbolic",
        "training",
    )

    def __init__(self, layer: Layer, args: tuple, kwargs: dict) -> None:
        self.signature = signature_of(type(layer).call)
        leaves = symbolic_leaves(args, kwargs)
        self.symbolic = bool(leaves)
        if any(leaf.dtype == "string" for leaf in leaves) and refuses_text(layer):
            raise TypeError(_text_message(layer))
        if layer._convert_input_args and not self.symbolic:
            args = tuple(convert(layer, x) for x in args)
            kwargs = {k: convert(layer, x) for k, x in kwargs.items()}
        self.args = args
        self.kwargs = kwargs
        self.training = kwargs.get("training")  # for the layers inside, if not for this one
        self.arguments = self._by_name(layer)
        self.first = next(iter(self.arguments.values()), None)
        self.mask: Any = None

    def _by_name(self, layer: Layer) -> dict[str, Any]:
        signature = self.signature
        if len(self.args) == 1 and not self.kwargs and signature.one_is_enough and signature.first:
            return {signature.first: self.args[0]}
        # A layer may be asked for training= or mask= that its own call does not take.
        kwargs = self.kwargs
        if not signature.has_training and "training" in kwargs and not _takes_any(signature):
            kwargs = {k: v for k, v in kwargs.items() if k != "training"}
        try:
            bound = signature.signature.bind(*self.args, **kwargs)
        except TypeError as error:
            raise TypeError(
                f"{type(layer).__name__} '{layer.name}': {error}. "
                f"Its call takes {signature.signature}."
            ) from None
        self.kwargs = kwargs
        return dict(bound.arguments)

    def tensors(self) -> dict[str, Any]:
        """Return the arguments that hold tensors; masks and flags are left out."""
        return {
            name: value
            for name, value in self.arguments.items()
            if name not in ("training", "mask", *self.signature.mask_names) and has_tensor(value)
        }


def _takes_any(signature: Signature) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in signature.signature.parameters.values())


def is_tensor(x: Any) -> bool:
    """Say whether `x` is an array, a Variable or a symbolic tensor."""
    return isinstance(x, (jax.Array, np.ndarray, KerasTensor, Variable))


def has_tensor(nest: Any) -> bool:
    """Say whether a nest holds a tensor."""
    if is_tensor(nest):
        return True
    if isinstance(nest, (list, tuple)):
        return any(has_tensor(x) for x in nest)
    if isinstance(nest, dict):
        return any(has_tensor(x) for x in nest.values())
    return False


def convert(layer: Layer, x: Any) -> Any:
    """Turn one argument into JAX arrays, floats in the layer's compute type."""
    if isinstance(x, jax.Array):
        return _cast(layer, x)
    if isinstance(x, (np.ndarray, np.generic)):
        if is_text(x) and refuses_text(layer):
            raise TypeError(_text_message(layer, x))
        return x if is_text(x) else _cast(layer, jnp.asarray(x))
    if isinstance(x, Variable):
        return _cast(layer, x.value)
    if layer._host_part is not None:  # a model that takes strings, which may be in lists
        if isinstance(_innermost(x), (str, bytes)):
            return np.asarray(x, dtype=object)
        if isinstance(x, dict):
            return {key: convert(layer, value) for key, value in x.items()}
    if isinstance(x, list) and isinstance(_innermost(x), (str, bytes)) and refuses_text(layer):
        raise TypeError(_text_message(layer, np.asarray(x, dtype=object)))
    if isinstance(x, list) and _holds_numbers(x):
        plain = np.asarray(x)  # rows written as lists of numbers; a ragged one stays a list
        return _cast(layer, jnp.asarray(plain)) if plain.dtype != object else x
    if isinstance(x, (list, tuple, dict)):
        return tree.map_structure(lambda leaf: convert(layer, leaf), x) if x else x
    if hasattr(x, "__array__") and not isinstance(x, KerasTensor):  # pandas, torch, tf
        return convert(layer, np.asarray(x))
    return x


def refuses_text(layer: Layer) -> bool:
    """Say whether a layer computes with numbers alone."""
    cls = type(layer)
    own = layer._convert_input_args and cls.__module__.startswith("staghorn.layers.")
    computes = layer.input_spec is not None or (own and cls.__name__ not in _PASS_TEXT)
    return computes and layer._host_part is None


def _text_message(layer: Layer, x: Any = None) -> str:
    example = "" if x is None else f" ({str(x.ravel()[:1])[1:-1]}, ...)"
    return _TEXT.format(what=f"{type(layer).__name__} '{layer.name}'", example=example)


def is_text(value: Any) -> bool:
    """Say whether something is a string, or an array, column or nested list of them."""
    value = _innermost(value)
    if isinstance(value, (str, bytes)):
        return True
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, np.dtype):
        return dtype.kind in "OUST"
    return "str" in str(dtype)  # pandas's and TensorFlow's types


_MASK_KEPT = "If it treats every step alike, say self.supports_masking = True in its constructor."
_MASK_ENDS = (
    "Masked steps count like the others from here on. If they should not, take a layer that heeds "
    "masks (recurrent, attention, GlobalAveragePooling1D); if that is meant, leave mask_zero out."
)


def _holds_numbers(x: Any) -> bool:
    """Say whether a list holds Python numbers, at any depth, and not arrays."""
    return isinstance(_innermost(x), (int, float))


def _innermost(x: Any) -> Any:
    while isinstance(x, list) and x:
        x = x[0]
    return x


def _cast(layer: Layer, x: Any) -> Any:
    if not layer.autocast or not is_float(x.dtype) or x.dtype == layer.compute_dtype:
        return x
    if not is_float(layer.compute_dtype):
        return x
    converted = x.astype(layer.compute_dtype)
    mask = get_mask(x)
    if mask is not None:
        set_mask(converted, mask)
    return converted


def shape_of(x: Any) -> Any:
    """Return the shape of a tensor, unknown sizes as None; nests give nests of shapes."""
    if isinstance(x, (list, tuple)):
        shapes = [shape_of(i) for i in x]
        return shapes if isinstance(x, list) else tuple(shapes)
    if isinstance(x, dict):
        return {key: shape_of(i) for key, i in x.items()}
    if not is_tensor(x):
        return None
    return tuple(d if isinstance(d, (int, np.integer)) else None for d in x.shape)


def shapes_for(method: Any, call: Call, layer: Layer, what: str) -> dict[str, Any] | tuple:
    """Return the shape arguments of `build` or `compute_output_shape`: by name, or just one."""
    tensors = call.tensors()
    wanted = shape_parameters(method)
    shapes = {f"{name}_shape": shape_of(value) for name, value in tensors.items()}
    if len(wanted) <= 1 or len(shapes) <= 1:
        first = call.signature.first
        only = tensors.get(first, call.first) if first else call.first
        return (shape_of(only),) if wanted else ()
    named = {name: shapes.get(name) for name in wanted if name in shapes}
    if not named:
        raise ValueError(
            f"{type(layer).__name__} '{layer.name}': {what}({', '.join(wanted)}) must name its "
            f"arguments after those of call: {', '.join(shapes)}."
        )
    return named


@functools.lru_cache(maxsize=1024)
def shape_parameters(method: Any) -> tuple[str, ...]:
    """Return the parameter names of an unbound `build` or `compute_output_shape`."""
    inner = inspect.unwrap(method)
    parameters = list(inspect.signature(inner).parameters.values())[1:]
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)


def resolve_training(call: Call) -> bool | None:
    """Explicit argument, then the layer around, then the default in the signature."""
    explicit = call.arguments.get("training") if call.training is None else call.training
    if explicit is not None:
        return bool(explicit)
    frame = current_frame()
    return frame.training if frame is not None else None


def fill_training(call: Call, training: bool | None) -> None:
    """Pass the training flag on to a `call` that takes one and was not given one."""
    if not call.signature.has_training or call.arguments.get("training") is not None:
        return
    if training is None:
        training = call.signature.training_default
    if training is not None:
        if "training" in call.arguments and "training" not in call.kwargs:  # a positional None
            call.args = tuple(call.arguments[n] for n in call.arguments if n != "training")
        call.kwargs = {**call.kwargs, "training": training}


def fill_masks(call: Call) -> None:
    """Pass the masks that travel with the inputs to a `call` that takes them."""
    signature = call.signature
    explicit = call.kwargs.get("mask")
    if explicit is None and signature.has_mask:
        explicit = call.arguments.get("mask")
    call.mask = explicit if explicit is not None else masks_of(call.first)
    if signature.has_mask and explicit is None and any_mask(call.mask):
        tensors = call.tensors()
        if len(tensors) == 1:
            call.kwargs = {**call.kwargs, "mask": masks_of(next(iter(tensors.values())))}
    if signature.mask_names:
        for name, value in call.tensors().items():
            key = f"{name}_mask"
            if key in signature.mask_names and call.arguments.get(key) is None:
                mask = masks_of(value)
                if any_mask(mask):
                    call.kwargs = {**call.kwargs, key: mask}


def mask_of(x: Any) -> Any:
    """Return the mask of an array or a symbolic tensor, or None."""
    if isinstance(x, KerasTensor):
        return x._keras_mask
    return get_mask(x) if is_tensor(x) else None


def masks_of(nest: Any) -> Any:
    """Return the masks of the tensors in a nest, in the same form."""
    if isinstance(nest, (list, tuple, dict)):
        return tree.map_structure(mask_of, nest)
    return mask_of(nest)


def symbolic_spec(layer: Layer, call: Call) -> Any:
    """Return what the layer makes of symbolic inputs; a `call` that takes a mask is given one."""
    own = type(layer).compute_output_spec
    if getattr(own, "_is_default", False):
        fill_masks(call)
    return layer.compute_output_spec(*call.args, **call.kwargs)


def carry_symbolic_masks(layer: Layer, call: Call, outputs: Any) -> None:
    """Say which outputs will have a mask, and of what shape; its values come with the data."""
    if not layer.supports_masking:
        return
    graph = getattr(layer, "_graph", None)
    if graph is not None:
        masks: Any = [tensor._keras_mask for tensor in graph.outputs]
    else:
        previous = masks_of(call.first)
        if not layer._overrides_compute_mask and not any_mask(previous):
            return
        what = f"{type(layer).__name__} '{layer.name}', compute_mask"
        masks = shapes.infer(layer.compute_mask, (call.first, previous), {}, what)
    for output, mask in zip(tree.flatten(outputs), tree.flatten(masks), strict=False):
        if isinstance(mask, KerasTensor) and isinstance(output, KerasTensor):
            output._keras_mask = mask


def any_mask(nest: Any) -> bool:
    """Say whether a nest of masks holds one."""
    if isinstance(nest, (list, tuple, dict)):
        return any(mask is not None for mask in tree.flatten(nest))
    return nest is not None


def carry_masks(layer: Layer, call: Call, outputs: Any) -> None:
    """Attach the masks that leave the layer to its outputs; warn once where one is lost."""
    if not layer.supports_masking:
        # A call that takes the mask has used it; one that does not has lost it.
        lost = any_mask(call.mask) and not call.signature.has_mask
        if lost and not layer._warned_of_mask:
            layer._warned_of_mask = True
            own = type(layer).__module__.startswith("staghorn.")
            warnings.warn(
                f"{type(layer).__name__} '{layer.name}' was given an input with a mask and does "
                "not support masks: layers after it will not see it. "
                + (_MASK_ENDS if own else _MASK_KEPT),
                stacklevel=3,
            )
        return
    if not layer._overrides_compute_mask and not any_mask(call.mask):
        return
    flat = tree.flatten(outputs)
    if all(get_mask(x) is not None for x in flat if is_tensor(x)):
        return
    masks = layer.compute_mask(call.first, call.mask)
    if masks is None:
        return
    for output, mask in zip(flat, tree.flatten(masks), strict=False):
        if mask is not None and is_tensor(output) and get_mask(output) is None:
            set_mask(output, mask)


def frame_for(layer: Layer, training: bool | None) -> Frame:
    """Open the frame of a call: what the layers inside inherit."""
    mixed = layer.autocast and is_float(layer.compute_dtype)
    mixed = mixed and layer.compute_dtype != layer.variable_dtype
    return Frame(layer, training, layer.compute_dtype if mixed else None)


def as_shape(value: Any) -> Any:
    """Turn the lists of a JSON file into the tuples that `build` expects."""
    if isinstance(value, (list, tuple)) and all(d is None or isinstance(d, int) for d in value):
        return tuple(value)
    if isinstance(value, (list, tuple)):
        return [as_shape(v) for v in value]
    if isinstance(value, dict):
        return {key: as_shape(v) for key, v in value.items()}
    return value


def placeholders(shape: Any, dtype: str) -> Any:
    """Return symbolic tensors for a shape or a nest of shapes."""
    return specs(as_shape(shape), dtype)


def specs(shape: Any, dtype: str) -> Any:
    """Return symbolic tensors for a shape or a nest of shapes, taken as they are."""
    if isinstance(shape, (list, tuple)) and all(
        d is None or isinstance(d, (int, np.integer)) for d in shape
    ):
        return KerasTensor(shape, dtype)
    if isinstance(shape, (list, tuple)):
        return type(shape)(specs(s, dtype) for s in shape)
    if isinstance(shape, dict):
        return {key: specs(s, dtype) for key, s in shape.items()}
    if shape is None:
        return None
    raise ValueError(f"Expected a shape, a tuple of ints and None, got {shape!r}.")


def recorded_shapes(build: Callable, args: tuple, kwargs: dict) -> Any:
    """Return the shapes that a call of `build` got: one, or a dict of several by name."""
    names = shape_parameters(build)
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return next(iter(given.values()), None) if len(given) <= 1 else given


def takes_kwargs(cls: type) -> bool:
    """Say whether a class's constructor takes further keywords."""
    parameters = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
    return any(p.kind is p.VAR_KEYWORD for p in parameters)


def wanted_batch_shape(cls: type, kwargs: dict[str, Any]) -> tuple | None:
    """Accept `input_shape=` and its relatives on any layer, silently: tutorials need it."""
    shape = kwargs.pop("input_shape", None)
    dim = kwargs.pop("input_dim", None)
    length = kwargs.pop("input_length", None)
    batch_size = kwargs.pop("batch_size", None)
    batch_shape = kwargs.pop("batch_input_shape", None) or kwargs.pop("batch_shape", None)
    if kwargs:
        known = [*parameter_names(cls), "input_shape", "input_dim", "weights"]
        wrong = next(iter(kwargs))
        raise ValueError(
            f"{cls.__name__}: unknown argument {wrong!r} (= {kwargs[wrong]!r})."
            f"{suggestion(wrong, known)} Known: {', '.join(sorted(known))}."
        )
    if shape is None and (dim is not None or length is not None):
        lengths = length if isinstance(length, (list, tuple)) else (length,)
        shape = (*(lengths if length is not None else ()), *(() if dim is None else (dim,)))
    if isinstance(shape, int):
        shape = (shape,)
    if shape is not None and batch_shape is None:
        batch_shape = (batch_size, *shape)
    return None if batch_shape is None else tuple(batch_shape)
