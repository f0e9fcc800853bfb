"""Checks of data against the model, on the host, before anything trains."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from staghorn import losses
from staghorn.engine import tree
from staghorn.engine.naming import to_snake_case
from staghorn.layers.input_spec import InputSpec
from staghorn.layers.input_spec import check_inputs as check_input_spec
from staghorn.losses.loss import Loss, LossFunctionWrapper
from staghorn.training.compile import OutputMap

# Labels are checked on at most this many values of an array.
SAMPLE = 100_000

# Losses that take targets of the same last axis as the predictions; the strict ones never stretch.
_STRICT = ("categorical_crossentropy", "binary_crossentropy", "binary_focal_crossentropy")
_PAIRED = (
    *_STRICT,
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
)

_LABELS = """\
{which}: labels go from {low} to {high}, but the model has {width} classes, so they must be \
between 0 and {last}.
{fix}"""


def sole_input(model: Any, x: Any) -> Any:
    """Return the array in a list of one, for a Sequential model, whose layers take no lists."""
    stack = getattr(model, "_stack", None) is not None
    return x[0] if stack and isinstance(x, (list, tuple)) and len(x) == 1 else x


def check_inputs(model: Any, x: Any, what: str) -> None:
    """Check the shapes of x against the model's inputs, naming the input that does not fit."""
    if not getattr(model, "built", False) or getattr(model, "_graph", None) is None:
        return
    if model._host_part is not None and model._host_part.find(x) is not None:
        return  # checked before it was encoded
    values = model.bind_inputs(x) if hasattr(model, "bind_inputs") else tree.flatten(x)
    if not hasattr(model, "bind_inputs") and len(values) != 1:
        raise ValueError(
            f"Sequential '{model.name}' takes one input, got {len(values)} arrays. A model with "
            "several inputs is written with the Functional API: Model(inputs=[a, b], outputs=...)."
        )
    # Stands in for the model, with the specs of its inputs; errors show the model's class.
    seen = type(type(model).__name__, (), {"name": model.name, "input_spec": _specs(model)})()
    try:
        check_input_spec(seen, values)
    except ValueError as error:
        if not what:
            raise
        raise ValueError(f"{what}: {error}") from None


def _specs(model: Any) -> list[InputSpec]:
    if getattr(model, "_input_guessed", False):  # a Sequential without an Input
        return [InputSpec(ndim=model.inputs[0].ndim, allow_last_axis_squeeze=True)]
    return [
        InputSpec(
            # Any batch size: Keras's files may hold that of the first data.
            shape=(None, *t.shape[1:]),
            allow_last_axis_squeeze=True,
            name=t._keras_history.operation.name,
            optional=getattr(t._keras_history.operation, "optional", False),
        )
        for t in model.inputs
    ]


def check_targets(
    model: Any, y: Any, outputs: Any, what: str, call: str = "fit(x, y)"
) -> None:
    """Check that every output with a loss has a target, and that labels are in range.

    Args:
        model: the model.
        y: nest of arrays, or None.
        outputs: nest of what the model returns, with shapes; None if that is not known.
        what: the argument's name, for errors.
        call: how the targets are passed, for errors.
    """
    compiled = model._compiled_loss
    if compiled is None:
        return
    if y is None:
        if all(entry is None for entry in tree.flatten(compiled.loss)):
            return
        raise ValueError(
            f"Model '{model.name}' was compiled with a loss, but no targets were given. "
            f"Pass them as y: model.{call}."
        )
    if outputs is None:
        return
    places = OutputMap(outputs, getattr(model, "output_names", None))
    chosen = places.spread(compiled.loss, "loss")
    targets = places.targets(y, [entry is not None for entry in chosen])
    for name, loss, target, output in zip(
        places.names, chosen, targets, tree.flatten(outputs), strict=True
    ):
        if target is None or loss is None:
            continue
        which = f"{what}: output '{name}'" if what else f"output '{name}'"
        several = loss if isinstance(loss, (list, tuple)) else [loss]
        for one in several:
            _check_widths(which, _own_name(one), tuple(target.shape), tuple(output.shape))
        if any(map(_is_sparse, several)):
            _check_labels(which, np.asarray(target[:SAMPLE]).ravel()[:SAMPLE], output.shape[-1])


def _own_name(loss: Any) -> str:
    """Return the function name of one of the library's losses, or an empty string."""
    if isinstance(loss, str):
        loss = losses.FAMILY.objects.get(loss)
    if isinstance(loss, LossFunctionWrapper) and type(loss) is LossFunctionWrapper:
        loss = loss.fn
    known = any(loss is own or type(loss) is own for own in losses.FAMILY.objects.values())
    if not known or getattr(loss, "axis", -1) != -1:
        return ""
    name = getattr(loss, "__name__", None)
    return to_snake_case(name or type(loss).__name__)


def _check_widths(which: str, loss: str, target: tuple, output: tuple) -> None:
    """Raise, or warn, where targets and predictions have different last axes."""
    if not output or output[-1] is None or loss not in _PAIRED:
        return
    width, given = output[-1], target[-1] if len(target) == len(output) else 1
    got = f"{which}: {loss} got targets of shape {target} for predictions of width {width}."
    sparse = given == 1 and width > 1 and len(target) >= len(output) - 1
    if loss == "categorical_crossentropy" and sparse:
        raise ValueError(
            f"{got} It takes one-hot rows. For integer labels, use sparse_categorical_crossentropy."
        )
    if len(target) != len(output) or given == width:
        return
    if loss in _STRICT or (given != 1 and width != 1):
        raise ValueError(f"{got} Give the last layer that of the targets: Dense({given}).")
    if width == 1:  # Keras compares the one prediction with each column, which is rarely meant
        warnings.warn(
            f"{got} The one prediction is compared with all {given} values. For one prediction "
            f"each, write Dense({given}) as the last layer.",
            stacklevel=6,  # check_targets, _check_data, _feed, fit, the user
        )


def _is_sparse(loss: Any) -> bool:
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    if isinstance(loss, Loss) and getattr(loss, "ignore_class", None) is not None:
        return False
    return name in ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")


def _check_labels(which: str, labels: np.ndarray, width: int | None) -> None:
    if width is None or not labels.size:
        return
    low, high = labels.min(), labels.max()
    if low >= 0 and high < width:
        return
    one_based = low >= 1 and high == width
    fix = (
        "They start at 1: use y - 1."
        if one_based
        else f"Give the last layer {int(high) + 1} units, or clean the labels."
        if low >= 0
        else "Negative labels have no class; remove those rows, or give them sample_weight 0."
    )
    raise ValueError(
        _LABELS.format(which=which, low=low, high=high, width=width, last=width - 1, fix=fix)
    )
