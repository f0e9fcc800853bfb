"""The base of all losses: casting, pairing of shapes, masks, sample weights, reduction."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from staghorn import config, dtype_policies
from staghorn.engine import tree
from staghorn.engine.jax_internals import is_tracer
from staghorn.engine.masks import get_mask
from staghorn.engine.naming import auto_name
from staghorn.engine.registry import suggestion
from staghorn.engine.scope import Scope, current_scope
from staghorn.engine.serialization import Configurable, parameter_names, serialize_keras_object
from staghorn.engine.symbolic import any_symbolic, op

__all__ = ["Loss", "LossFunctionWrapper"]

REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


def standardize_reduction(reduction: str | None, owner: str = "Loss") -> str | None:
    """Return `reduction` if it is one of `REDUCTIONS`, else raise.

    Example:
        >>> staghorn.losses.loss.standardize_reduction("sum")
        'sum'
    """
    if reduction not in REDUCTIONS:
        names = [name for name in REDUCTIONS if name]
        raise ValueError(
            f"{owner}: reduction must be one of {', '.join(map(repr, REDUCTIONS))}, "
            f"got {reduction!r}.{suggestion(str(reduction), names)}"
        )
    return reduction


def divide_no_nan(numerator: Any, denominator: jax.Array) -> jax.Array:
    """Divide, with 0 where the denominator is 0 (also in the gradient)."""
    safe = jnp.where(denominator == 0, jnp.ones_like(denominator), denominator)
    quotient = numerator / safe
    return jnp.where(denominator == 0, jnp.zeros_like(quotient), quotient)


def squeeze_or_expand_to_same_rank(
    x1: jax.Array, x2: jax.Array, expand_rank_1: bool = True
) -> tuple[jax.Array, jax.Array]:
    """Make (n,) and (n, 1), or (..., d) and (..., d, 1), agree in rank.

    Only a last axis of length 1 is added or dropped; other pairs come back as they are.

    Args:
        x1: an array.
        x2: an array.
        expand_rank_1: a vector grows to (n, 1) instead of its partner losing the axis.
            Default: True.

    Example:
        >>> a, b = staghorn.losses.loss.squeeze_or_expand_to_same_rank(np.ones(3), np.ones((3, 1)))
        >>> a.shape, b.shape
        ((3, 1), (3, 1))
    """
    if x1.ndim == x2.ndim + 1 and x1.shape[-1] == 1:
        if x2.ndim == 1 and expand_rank_1:
            return x1, jnp.expand_dims(x2, -1)
        return jnp.squeeze(x1, -1), x2
    if x2.ndim == x1.ndim + 1 and x2.shape[-1] == 1:
        if x1.ndim == 1 and expand_rank_1:
            return jnp.expand_dims(x1, -1), x2
        return x1, jnp.squeeze(x2, -1)
    return x1, x2


def align_ranks(x1: jax.Array, x2: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Put leading axes of length 1 before the array of lower rank (NumPy's rule, spelled out)."""
    rank = max(x1.ndim, x2.ndim)
    return tuple(  # type: ignore[return-value]
        x if x.ndim == rank else jnp.reshape(x, (1,) * (rank - x.ndim) + x.shape) for x in (x1, x2)
    )


def matched(y_true: Any, y_pred: Any) -> tuple[jax.Array, jax.Array]:
    """Return targets and predictions as arrays of one dtype (that of `y_pred`) and one rank."""
    y_pred = jnp.asarray(y_pred)
    y_true = jnp.asarray(y_true).astype(y_pred.dtype)
    y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    if y_true.shape == y_pred.shape:
        return y_true, y_pred
    aligned = align_ranks(y_true, y_pred)
    _check_broadcast(*aligned, f"y_true {y_true.shape} and y_pred {y_pred.shape}")
    return aligned


def _check_broadcast(x1: jax.Array, x2: jax.Array, pair: str, hint: str = "") -> None:
    fits = all(a == b or a == 1 or b == 1 for a, b in zip(x1.shape, x2.shape, strict=True))
    if not fits:
        raise ValueError(f"The shapes of {pair} do not fit together.{hint}")


def _weighted(
    values: jax.Array, weights: jax.Array, masks: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Multiply losses by their weights, or (`masks`) sample weights by a mask."""
    values, weights = squeeze_or_expand_to_same_rank(values, weights)
    aligned_values, aligned_weights = align_ranks(values, weights)
    hint = ""
    given, full = (values, weights) if masks else (weights, values)
    if given.ndim < full.ndim:
        axes = ", ".join([":"] * given.ndim + ["None"] * (full.ndim - given.ndim))
        hint = f" For one weight per sample write sample_weight[{axes}]."
    other = "the mask of the predictions" if masks else "the losses"
    pair = f"sample_weight {given.shape} and {other} {full.shape}"
    _check_broadcast(aligned_values, aligned_weights, pair, hint)
    return aligned_values * aligned_weights, weights


def apply_mask(
    sample_weight: jax.Array | None, mask: jax.Array | None, dtype: Any, reduction: str | None
) -> jax.Array | None:
    """Fold a mask into the sample weights.

    For the reductions that divide by the number of entries (n), a kept entry weighs
    n / n_kept, so that  sum(loss * weight) / n = sum(loss * mask) / n_kept.

    Args:
        sample_weight: weights, or None.
        mask: True where an entry counts, or None.
        dtype: type of the result.
        reduction: the reduction that follows.
    """
    if mask is None:
        return sample_weight
    mask = jnp.asarray(mask).astype(dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        kept_weight = divide_no_nan(float(mask.size), jnp.sum(mask))
        mask = jnp.where(mask != 0, kept_weight, jnp.zeros_like(mask))
    if sample_weight is None:
        return mask
    return _weighted(jnp.asarray(sample_weight).astype(dtype), mask, masks=True)[0]


def reduce_values(
    values: jax.Array, sample_weight: jax.Array | None = None, reduction: str | None = "mean"
) -> jax.Array:
    """Reduce losses that already carry their weights.

    (batch, ...) -> () for every reduction except "none" and None

    Args:
        values: losses.
        sample_weight: the divisor's terms for "mean_with_sample_weight". Default: None.
        reduction: one of `REDUCTIONS`. Default: "mean".
    """
    if reduction in (None, "none") or values.shape in ((), (0,)):
        return values
    if reduction == "sum":
        return jnp.sum(values)
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        return divide_no_nan(jnp.sum(values), jnp.sum(sample_weight))
    return jnp.mean(values) if values.size else jnp.sum(values)


def reduce_weighted_values(
    values: Any,
    sample_weight: Any = None,
    mask: Any = None,
    reduction: str | None = "sum_over_batch_size",
    dtype: Any = None,
) -> jax.Array:
    """Weigh, mask and reduce losses.

    (batch, ...) -> ()

    Args:
        values: losses, one per sample (or per sample and step).
        sample_weight: weights of `values`, of the same rank up to a last axis of 1. Default: None.
        mask: True where an entry of `values` counts. Default: None.
        reduction: one of `REDUCTIONS`. Default: "sum_over_batch_size".
        dtype: type of the computation. Default: `floatx()`.

    Example:
        >>> values = np.array([1.0, 3.0])
        >>> print(staghorn.losses.loss.reduce_weighted_values(values, mask=[True, False]))
        1.0
    """
    standardize_reduction(reduction)
    values = jnp.asarray(values).astype(dtype or config.floatx())
    if sample_weight is not None:
        sample_weight = jnp.asarray(sample_weight).astype(values.dtype)
    sample_weight = apply_mask(sample_weight, mask, values.dtype, reduction)
    if sample_weight is not None:
        values, sample_weight = _weighted(values, sample_weight)
    return reduce_values(values, sample_weight, reduction)


def _keeping_masks(*arrays: Any) -> AbstractContextManager:
    # Under a plain jax.grad or jax.jit no Scope is open, and only a Scope keeps a traced mask.
    traced = any(is_tracer(leaf) for leaf in tree.flatten(arrays))
    return Scope() if traced and current_scope() is None else nullcontext()


class Loss(Configurable):
    """Base class: override `call(y_true, y_pred)`, which returns one loss per sample.

    (batch, ..., d), (batch, ..., d) -> () after the reduction

    The reductions of the weighted losses l_i w_i (i = 1..n):
    "sum_over_batch_size" and "mean": sum(l w) / n; "mean_with_sample_weight": sum(l w) / sum(w);
    "sum": sum(l w); "none" and None: the losses themselves.

    Args:
        name: label. Default: from the class name.
        reduction: see above. Default: "sum_over_batch_size".
        dtype: type (or dtype policy) of the computation; targets and predictions are cast to it,
            so a float16 model still has a float32 loss. Default: `floatx()`.

    Raises:
        ValueError: if `reduction` is not one of the six.

    Example:
        >>> class Worst(staghorn.losses.Loss):
        ...     def call(self, y_true, y_pred):
        ...         return abs(y_true - y_pred).max(axis=-1)
        >>> print(Worst()(np.zeros((2, 3)), np.array([[0.0, 1.0, 2.0], [0.0, 4.0, 0.0]])))
        3.0

    Notes: a mask that travels with `y_pred` (from Embedding or Masking) removes the masked losses
    and, in the two averages over n, their places in n.
    """

    # Constructor arguments that Keras's config leaves out. They are written when they differ from
    # the default, so that our round trip loses nothing and ordinary configs equal Keras's.
    config_omits: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        self.name = name or auto_name(type(self).__name__)
        self.reduction = standardize_reduction(reduction, owner=type(self).__name__)
        self.dtype = dtype_policies.get(dtype or config.floatx()).compute_dtype

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss of one batch."""
        if any_symbolic((y_true, y_pred, sample_weight), {}):
            return op(self._reduced, name=self.name)(y_true, y_pred, sample_weight)
        return self._reduced(y_true, y_pred, sample_weight)

    def _reduced(self, y_true: Any, y_pred: Any, sample_weight: Any) -> jax.Array:
        in_mask = get_mask(y_pred)
        with jax.named_scope(self.name.replace("/", "_")):
            y_pred = tree.map_structure(self._cast, y_pred)
            y_true = tree.map_structure(self._cast, y_true)
            with _keeping_masks(y_true, y_pred):
                losses = self.call(y_true, y_pred)
                if losses is None:
                    raise ValueError(f"Loss '{self.name}' returned None: add a return.")
                out_mask = get_mask(losses)
            mask = in_mask if out_mask is None else out_mask
            if in_mask is not None and out_mask is not None:
                mask = jnp.logical_and(in_mask, out_mask)
            return reduce_weighted_values(losses, sample_weight, mask, self.reduction, self.dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one loss per sample; subclasses override this."""
        raise NotImplementedError(
            f"{type(self).__name__} has no `call`. Define call(self, y_true, y_pred) and return "
            "one loss per sample, shape (batch,)."
        )

    def _cast(self, x: Any) -> jax.Array:
        return jnp.asarray(x).astype(self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as Keras writes them."""
        derived = super().get_config()
        # A user's class keeps the arguments it was given; its label and reduction belong to them.
        for key in {"name", "reduction"} & set(parameter_names(type(self))):
            derived[key] = getattr(self, key)
        omits = {"dtype": config.floatx(), **self.config_omits}
        return {
            key: value for key, value in derived.items() if key not in omits or value != omits[key]
        }


class LossFunctionWrapper(Loss):
    """A loss made of a function `fn(y_true, y_pred, **kwargs)`.

    (batch, ..., d), (batch, ..., d) -> () after the reduction

    Args:
        fn: returns one loss per sample.
        reduction: see `Loss`. Default: "sum_over_batch_size".
        name: label. Default: from the class name.
        dtype: type of the computation. Default: `floatx()`.
        **kwargs: further arguments of `fn`.

    Example:
        >>> loss = staghorn.losses.loss.LossFunctionWrapper(staghorn.losses.huber, delta=2.0)
        >>> print(loss(np.zeros((1, 2)), np.array([[1.0, 3.0]])))
        2.25
    """

    def __init__(
        self,
        fn: Callable,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Apply the function to targets and predictions of one rank."""
        pairs = [
            squeeze_or_expand_to_same_rank(target, prediction)
            for target, prediction in zip(tree.flatten(y_true), tree.flatten(y_pred), strict=True)
        ]
        y_true = tree.pack_sequence_as(y_true, [pair[0] for pair in pairs])
        y_pred = tree.pack_sequence_as(y_pred, [pair[1] for pair in pairs])
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; the wrapper's own also lists those of `fn`."""
        derived = super().get_config()
        if "fn" in derived:
            derived.update(serialize_keras_object(self._fn_kwargs))
        return derived
