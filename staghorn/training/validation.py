"""Checks of data against the model, on the host, before anything trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from staghorn.engine import tree
from staghorn.layers.input_spec import InputSpec
from staghorn.layers.input_spec import check_inputs as check_input_spec
from staghorn.losses.loss import Loss
from staghorn.training.compile import OutputMap

# Labels are checked on at most this many values of an array.
SAMPLE = 100_000

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
    values = model.bind_inputs(x) if hasattr(model, "bind_inputs") else tree.flatten(x)
    spec_holder = _Named(f"{what}: model '{model.name}'" if what else model.name, model)
    if not hasattr(model, "bind_inputs") and len(values) != 1:
        raise ValueError(
            f"Sequential '{model.name}' takes one input, got {len(values)} arrays. A model with "
            "several inputs is written with the Functional API: Model(inputs=[a, b], outputs=...)."
        )
    check_input_spec(spec_holder, values)


class _Named:
    """A model seen by its inputs' names and shapes, for the wording of errors."""

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self.input_spec = [
            InputSpec(
                # Any batch size: Keras's files may hold that of the first data.
                shape=(None, *t.shape[1:]),
                allow_last_axis_squeeze=True,
                name=t._keras_history.operation.name,
                optional=getattr(t._keras_history.operation, "optional", False),
            )
            for t in model.inputs
        ]


def check_targets(model: Any, y: Any, outputs: Any, what: str) -> None:
    """Check that every output with a loss has a target, and that labels are in range.

    Args:
        model: the model.
        y: nest of arrays, or None.
        outputs: nest of what the model returns, with shapes; None if that is not known.
        what: the argument's name, for errors.
    """
    compiled = model._compiled_loss
    if compiled is None:
        return
    if y is None:
        if all(entry is None for entry in tree.flatten(compiled.loss)):
            return
        raise ValueError(
            f"Model '{model.name}' was compiled with a loss, but no targets were given. "
            "Pass them as y: model.fit(x, y)."
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
        if any(map(_is_sparse, loss if isinstance(loss, (list, tuple)) else [loss])):
            _check_labels(which, np.asarray(target).ravel()[:SAMPLE], output.shape[-1])


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
