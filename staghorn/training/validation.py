"""Checks of data against the model, on the host, before anything trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from staghorn.engine import tree
from staghorn.layers.input_spec import check_inputs as check_input_spec
from staghorn.losses.loss import Loss
from staghorn.training.compile import OutputMap

# Labels are checked on at most this many values of an array.
SAMPLE = 100_000

_LABELS = """\
{which}: labels go from {low} to {high}, but the model has {width} classes, so they must be \
between 0 and {last}.
{fix}"""


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
        from staghorn.layers.input_spec import InputSpec

        self.name = name
        self.input_spec = [
            InputSpec(
                shape=t.shape,
                allow_last_axis_squeeze=True,
                name=t._keras_history.operation.name,
                optional=getattr(t._keras_history.operation, "optional", False),
            )
            for t in model.inputs
        ]


def check_targets(model: Any, y: Any, what: str) -> None:
    """Check that every output with a loss has a target, and that labels are in range."""
    compiled = model._compiled_loss
    if compiled is None or getattr(model, "_graph", None) is None:
        return
    if y is None:
        if all(entry is None for entry in tree.flatten(compiled.loss)):
            return
        raise ValueError(
            f"Model '{model.name}' was compiled with a loss, but no targets were given. "
            "Pass them as y: model.fit(x, y)."
        )
    outputs = OutputMap(model._outputs_struct if hasattr(model, "_outputs_struct") else
                        model.outputs[0], model.output_names)
    chosen = outputs.spread(compiled.loss, "loss")
    targets = outputs.targets(y, [entry is not None for entry in chosen])
    for name, loss, target, tensor in zip(
        outputs.names, chosen, targets, model.outputs, strict=True
    ):
        if loss is not None and target is not None and not isinstance(loss, (list, tuple)):
            which = f"{what}: output '{name}'" if what else f"output '{name}'"
            if _is_sparse(loss):
                _check_labels(which, np.asarray(target).ravel()[:SAMPLE], tensor.shape[-1])


def _is_sparse(loss: Any) -> bool:
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    if isinstance(loss, Loss) and getattr(loss, "ignore_class", None) is not None:
        return False
    return name in ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")


def _check_labels(which: str, labels: np.ndarray, width: int | None) -> None:
    if width is None or not labels.size:
        return
    low, high = labels.min(), labels.max()
    if 0 <= low and high < width:
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
