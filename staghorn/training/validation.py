"""Checks of data against the model, on the host, before anything trains; class weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from staghorn import activations, losses
from staghorn.engine import tree
from staghorn.engine.naming import to_snake_case
from staghorn.engine.registry import suggestion
from staghorn.engine.spellings import user_level
from staghorn.layers.input_spec import InputSpec
from staghorn.layers.input_spec import check_inputs as check_input_spec
from staghorn.losses.loss import Loss, LossFunctionWrapper
from staghorn.training.checks import check_class_weight
from staghorn.training.compile import OutputMap
from staghorn.training.data import class_weights_to_sample_weights
from staghorn.training.large import LargeArray

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


_CROSSENTROPIES = (
    "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"
)  # fmt: skip


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
    model: Any, y: Any, outputs: Any, what: str, call: str = "fit(x, y)", advise: bool = True
) -> None:
    """Check that every output with a loss has a target, and that labels are in range.

    Args:
        model: the model.
        y: nest of arrays, or None.
        outputs: nest of what the model returns, with shapes; None if that is not known.
        what: the argument's name, for errors.
        call: how the targets are passed, for errors.
        advise: whether to warn also of what can be computed, but is hardly meant.
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
            known = _own_name(one)
            if advise and not what:
                _check_activation(which, known, one, output)
            _check_widths(which, known, tuple(target.shape), tuple(output.shape))
            if advise and known:
                _check_values(which, known, _sample(target))
        if any(map(_is_sparse, several)):
            _check_labels(which, _sample(target), output.shape[-1])


def check_finite(x: Any, what: str) -> None:
    """Warn where the first values of the inputs are not all finite."""
    for i, array in enumerate(tree.flatten(x)):
        if array is None or not hasattr(array, "dtype") or np.dtype(array.dtype).kind != "f":
            continue
        sample = _sample(array)
        bad = np.flatnonzero(~np.isfinite(sample))
        if bad.size:
            row = int(bad[0]) // max(1, int(np.prod(array.shape[1:])))
            kind = "NaN" if np.isnan(sample[bad[0]]) else "infinity"
            name = f"{what}: x" + (f"[{i}]" if tree.is_nested(x) else "")
            _warn(
                f"{name} holds {kind}, in row {row} first, and the loss will be NaN unless a layer "
                f"of yours removes it. Drop such rows, keep = np.isfinite(x).all(axis=1), or fill "
                "them in: np.nan_to_num(x)."
            )


def _sample(array: Any) -> np.ndarray:
    """Return the first values of an array, flat; of one in a file, no more rows are read."""
    rows = max(1, SAMPLE // max(1, int(np.prod(array.shape[1:]))))
    if isinstance(array, LargeArray):
        return array.take(np.arange(min(rows, len(array)))).ravel()[:SAMPLE]
    return np.asarray(array[:rows]).ravel()[:SAMPLE]


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=user_level())


def _check_activation(which: str, loss: str, given: Any, output: Any) -> None:
    """Warn where the last activation and the loss do not fit each other."""
    made_by = getattr(output, "_keras_history", None)
    if made_by is None or loss not in _CROSSENTROPIES:
        return
    activation = getattr(made_by.operation, "activation", None)
    names = {activations.softmax: "softmax", activations.sigmoid: "sigmoid"}
    name = names.get(activation) if callable(activation) else None
    if type(made_by.operation).__name__ == "Softmax":
        name = "softmax"
    if name is None:
        return
    if getattr(given, "from_logits", False):
        _warn(
            f"{which}: {loss} with from_logits=True takes the values before the {name}, but the "
            f"last layer applies it, so that it counts twice. Leave out one of them: "
            'activation="linear", or from_logits=False.'
        )
    elif name == "sigmoid" and "categorical" in loss and output.shape[-1] != 1:
        _warn(
            f"{which}: {loss} takes probabilities that add up to 1, but the last layer has a "
            'sigmoid. For one class per row, write activation="softmax"; for several at once, '
            'loss="binary_crossentropy".'
        )


def _check_values(which: str, loss: str, values: np.ndarray) -> None:
    """Warn of targets that the loss can compute with, but hardly is meant for."""
    if not values.size or values.dtype.kind not in "iuf":
        return
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        _warn(f"{which}: the targets hold values that are not finite: the loss will be NaN.")
        return
    low, high = values.min(), values.max()
    if loss == "binary_crossentropy" and (low < 0 or high > 1):
        fix = "Divide them by 255." if low >= 0 and high > 2 else "Use labels 0 and 1."
        if {-1, 1} >= set(np.unique(values).tolist()):
            fix = "Write y = (y + 1) / 2."
        _warn(
            f"{which}: binary_crossentropy takes targets between 0 and 1, but they go from {low:g} "
            f"to {high:g}. {fix}"
        )
    fractions = values.dtype.kind == "f" and (values % 1 != 0).any()
    if loss == "sparse_categorical_crossentropy" and fractions:
        _warn(
            f"{which}: {loss} takes class numbers, but the targets have fractions, which are cut "
            'off. For numbers to predict, write loss="mse" and a last layer Dense(1).'
        )


def apply_class_weight(model: Any, y: Any, class_weight: Any) -> Any:
    """Return sample weights in the form of y: per row, or per step of a sequence.

    Args:
        model: the compiled model.
        y: targets, or a list or dict of them.
        class_weight: dict class → weight; for several outputs a list of those, in their order, or a
            dict by output name. None leaves an output as it is.
    """
    compiled = model._compiled_loss
    loss = None if compiled is None else compiled.loss
    if not tree.is_nested(y):
        check_class_weight(class_weight)
        loss = loss[0] if isinstance(loss, (list, tuple)) and len(loss) == 1 else loss
        return class_weights_to_sample_weights(y, class_weight, _is_sparse(loss))
    names = list(y) if isinstance(y, dict) else list(getattr(model, "output_names", None) or ())
    leaves = list(y.values()) if isinstance(y, dict) else list(y)
    names = names if len(names) == len(leaves) else list(range(len(leaves)))
    given = class_weight
    if isinstance(given, Mapping) and not all(
        isinstance(one, Mapping) or one is None for one in given.values()
    ):
        given = {names[0]: given} if len(leaves) == 1 else None
    if isinstance(given, (list, tuple)) and len(given) == len(names):
        given = dict(zip(names, given, strict=True))
    if not isinstance(given, Mapping):
        raise ValueError(
            f"class_weight: the model has {len(names)} outputs, so it must be a dict by output "
            f"name, or a list with an entry for each, got {class_weight!r}. "
            f"Write class_weight={{{names[0]!r}: {{0: 1.0, 1: 2.0}}}}."
        )
    unknown = [key for key in given if key not in names]
    if unknown:
        raise ValueError(
            f"class_weight: there is no output {unknown[0]!r}."
            f"{suggestion(str(unknown[0]), list(map(str, names)))} "
            f"Outputs: {', '.join(map(str, names))}."
        )
    weights = {}
    for place, (name, target) in enumerate(zip(names, leaves, strict=True)):
        own = loss
        if isinstance(loss, dict):
            own = loss.get(name)
        elif isinstance(loss, (list, tuple)) and len(loss) == len(names):
            own = loss[place]
        if given.get(name) is not None:
            check_class_weight(given[name])
            sparse = _is_sparse(own)
            weights[name] = class_weights_to_sample_weights(target, given[name], sparse)
    return weights if isinstance(y, dict) else [weights.get(name) for name in names]


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
    if not output or output[-1] is None:
        return
    if loss == "sparse_categorical_crossentropy" and len(target) == len(output):
        if target[-1] not in (1, None) and target[-1] == output[-1]:
            raise ValueError(
                f"{which}: {loss} takes class numbers, but got one-hot targets of shape {target}. "
                "Use categorical_crossentropy, or y.argmax(axis=-1)."
            )
        return
    if loss not in _PAIRED:
        return
    width, given = output[-1], target[-1] if len(target) == len(output) else 1
    got = f"{which}: {loss} got targets of shape {target} for predictions of width {width}."
    sparse = given == 1 and width > 1 and len(target) >= len(output) - 1
    if loss == "categorical_crossentropy" and sparse:
        raise ValueError(
            f"{got} It takes one-hot rows. For integer labels, use sparse_categorical_crossentropy."
        )
    if len(target) == len(output) - 1 and width > 1 and loss not in _STRICT:
        raise ValueError(f"{got} For one prediction each, write Dense(1) as the last layer.")
    if len(target) != len(output) or given == width:
        return
    if given == 1 and width > 1 and loss not in _STRICT:
        _warn(
            f"{got} Each target is compared with all {width} predictions. For one prediction "
            "each, write Dense(1) as the last layer."
        )
        return
    if loss in _STRICT or (given != 1 and width != 1):
        raise ValueError(f"{got} Give the last layer that of the targets: Dense({given}).")
    if width == 1:  # Keras compares the one prediction with each column, which is rarely meant
        _warn(
            f"{got} The one prediction is compared with all {given} values. For one prediction "
            f"each, write Dense({given}) as the last layer."
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
