"""Words for common slips in what `compile`, `fit` and their kin are given."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from staghorn.engine import tree
from staghorn.engine.keywords import reject_unknown
from staghorn.engine.spellings import modern, say_once
from staghorn.optimizers.optimizer import Optimizer

_TRACED = """\
{kind} '{name}' uses NumPy or a Python `if` on a value that is only known while training.
Use staghorn.ops: staghorn.ops.log(x) for np.log(x), staghorn.ops.where(cond, a, b) for `if`."""

_LEAK = """\
A metric, layer or model kept an array of a compiled step in an attribute (self.total = ...), \
which does not survive the step.
Make a variable in __init__ or build and assign to it:
    self.total = self.add_weight(name="total", initializer="zeros")   # a metric: add_variable
    self.total.assign_add(value)"""


def checked_multipliers(multipliers: Any, optimizer: Any) -> dict[str, float]:
    """Return the learning rate multipliers of `compile`, or raise for what cannot be meant."""
    given = {} if multipliers is None else multipliers
    good = isinstance(given, Mapping) and all(
        isinstance(pattern, str)
        and isinstance(factor, (int, float, np.number))
        and not isinstance(factor, bool)
        and 0 <= factor < math.inf
        for pattern, factor in given.items()
    )
    if not good:
        raise ValueError(
            "compile: learning_rate_multipliers must be a dict of pattern → factor of 0 or more, "
            f"such as {{'encoder*': 0.1}}, got {multipliers!r} ({type(multipliers).__name__})."
        )
    if given and not isinstance(optimizer, Optimizer):
        raise ValueError(
            "compile: learning_rate_multipliers needs an optimizer of staghorn.optimizers, got "
            f"{type(optimizer).__name__}."
        )
    return {pattern: float(factor) for pattern, factor in given.items()}


def modern_call(
    function: Callable, given: Mapping[str, Any], error: type[Exception] = TypeError
) -> dict[str, Any]:
    """Return a method's arguments with old spellings translated.

    Args:
        function: the method, which takes keywords it does not know as `kwargs`.
        given: its local names at its start.
        error: the exception for a keyword that is no old spelling either. Default: TypeError.
    """
    parameters = inspect.signature(function).parameters.values()
    known = {p.name: p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
    del known["self"]
    model = given["self"]
    own = {name: given[name] for name, p in known.items() if given[name] is not p.default}
    _, called = modern(function.__name__, known, (), {**own, **given["kwargs"]})
    if "show_accuracy" in called:
        say_once("show_accuracy=", 'compile(..., metrics=["accuracy"])', function.__name__)
        model._show_accuracy(called.pop("show_accuracy"))
    reject_unknown(function.__name__, called, tuple(known), error)
    return {"self": model, **called}


def whole_steps(name: str, steps: Any) -> Any:
    """Return a number of batches that was divided out, `len(x) / 32`, as old Keras took it."""
    if not isinstance(steps, (float, np.floating)):
        return steps
    say_once(f"{name}= as a float", "math.ceil(rows / batch_size)")
    return math.ceil(steps)


def check_loss_weights(loss_weights: Any) -> None:
    """Raise where loss weights hold names or objects: metrics, in the wrong place."""
    for weight in tree.flatten(loss_weights):
        if weight is None or isinstance(weight, (int, float, np.number)):
            continue
        if not hasattr(weight, "shape"):
            listed = loss_weights if isinstance(loss_weights, (list, dict)) else [weight]
            raise ValueError(
                f"compile: loss_weights must be numbers, got {weight!r}. The third argument is "
                f"loss_weights; write metrics={listed!r}."
            )


def check_verbose(method: str, verbose: Any) -> None:
    """Raise where `verbose` is no level."""
    if verbose != "auto" and not isinstance(verbose, (int, np.integer)):
        raise ValueError(
            f"{method}: verbose must be 'auto', 0, 1 or 2, got {verbose!r} "
            f"({type(verbose).__name__})."
        )


def check_names(given: Any, get: Callable[[str], Any]) -> None:
    """Raise where a nest of losses or metrics holds a name that does not exist.

    Args:
        given: the nest, or a config.
        get: looks a name up, and raises.
    """
    for one in _inside(given):
        if isinstance(one, str) and one.lower() not in ("accuracy", "acc", "crossentropy", "ce"):
            get(one)


def _inside(nest: Any) -> Iterator[Any]:
    """Yield what is in a nest, configs left whole."""
    if isinstance(nest, (list, tuple)) or (isinstance(nest, dict) and "class_name" not in nest):
        for value in nest.values() if isinstance(nest, dict) else nest:
            yield from _inside(value)
    else:
        yield nest


def check_class_weight(class_weight: Any) -> None:
    """Raise where class weights are no dict."""
    if isinstance(class_weight, Mapping):
        return
    fix = "Write class_weight={0: 1.0, 1: 2.0}."
    if isinstance(class_weight, (list, tuple, np.ndarray)):
        fix = "Write class_weight=dict(enumerate(weights)), as in {0: 1.0, 1: 2.0}."
    elif class_weight == "balanced":
        fix = (
            "Write it, for integer labels y, as counts = np.bincount(y) and "
            "class_weight=dict(enumerate(len(y) / (len(counts) * counts))), as in {0: 1.0, 1: 2.0}."
        )
    raise ValueError(
        f"class_weight must be a dict from class to weight, got {class_weight!r} "
        f"({type(class_weight).__name__}). {fix}"
    )


@contextmanager
def explained(kind: str, name: str, function: Callable) -> Iterator[None]:
    """Explain what goes wrong in a user's loss or metric.

    Args:
        kind: "Loss" or "Metric".
        name: its name.
        function: what is called with (y_true, y_pred).
    """
    try:
        yield
    except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError) as error:
        raise ValueError(_TRACED.format(kind=kind, name=name)) from error
    except TypeError as error:
        if _takes_two(function):
            raise
        raise TypeError(
            f"{kind} '{name}' must take (y_true, y_pred), but takes {inspect.signature(function)}."
        ) from error


def _takes_two(function: Callable) -> bool:
    try:
        inspect.signature(function).bind(0, 0)
    except TypeError:
        return False
    except ValueError:  # written in C: it has no signature
        return True
    return True


def limited(name: str, most: int | None, wanted: int | None, there: int | None = None) -> Any:
    """Return how many steps or epochs to take: what is wanted, up to the limit of `config`.

    Args:
        name: what is counted, for the warning.
        most: the limit, None or 0 for none.
        wanted: what the caller asked for, None for all there are.
        there: how many there are, if that is known.
    """
    count = wanted or there
    if not most or (count is not None and count <= most):
        return wanted
    warnings.warn(
        f"Limiting {name} to {most}, as staghorn.config.set_max_{name} asks.", stacklevel=3
    )
    return most


@contextmanager
def leaks_explained() -> Iterator[None]:
    """Explain an array that outlives the compiled step which made it."""
    try:
        yield
    except jax.errors.UnexpectedTracerError as error:
        raise ValueError(_LEAK) from error
