"""`model(x)` on arrays as one compiled program, where no one can tell but by the clock.

Layer by layer each operation is dispatched alone: 0.5 ms for three Dense layers on one row, which
is 0.03 ms of work. Agents, servers and loops of one's own call models like that. The program is
taken only where running the layers one by one would have no other effect: a Functional or
Sequential model of Staghorn's own layers and ops, inference, nothing that changes state, adds
losses or runs the user's Python. It is made at the first call, so equal inputs give equal bits.
"""

from __future__ import annotations

import operator
from typing import Any

import jax
import numpy as np

from staghorn import config
from staghorn.engine import donation, edits, tree
from staghorn.engine.checked_jit import CheckedJit
from staghorn.engine.compiler_options import options_for
from staghorn.engine.frame import current_frame
from staghorn.engine.jax_internals import is_staging, is_tracer
from staghorn.engine.masks import get_mask, set_mask
from staghorn.engine.scope import Scope, current_scope
from staghorn.engine.serialization import is_builtin
from staghorn.engine.symbolic import OpCall
from staghorn.layers.layer import Layer
from staghorn.layers.preprocessing.host_layer import HostLayer
from staghorn.training.trainer import Trainer

# Layers and ops of a model. Larger ones take seconds to compile, and less of their time is calling.
MOST_CALLS = 64
# Forms of input. More than this (texts of every length) is work for the layers one by one.
MOST_FORMS = 64
# Whoever changes layers more often than this between calls would wait for the compiler each time.
MOST_CHANGES = 16

_OF_USERS = ("Lambda", "JaxLayer", "FlaxLayer")  # our own, but they run what a user wrote


class CompiledCall:
    """The programs of one model, for each form of input; makes them as they are needed.

    Args:
        model: a Functional or Sequential model.

    Example:
        >>> from staghorn.models.compiled_call import CompiledCall
        >>> model = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(1)])
        >>> call = CompiledCall(model)
        >>> call.outputs(np.ones((1, 2), "float32"))[0].shape, call.outputs("words")
        ((1, 1), None)
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._seen: Any = None
        self._layers: list[Any] = []
        self._key: list[Any] = []
        self._changes = 0
        self._ours = False
        self._programs: dict[Any, Any] = {}

    def outputs(self, x: Any, training: bool | None = None) -> list | None:
        """Return the flat outputs for x, or None where the layers must run one by one."""
        asked = training is not None and training is not False
        if asked or current_scope() is not None or current_frame() is not None:
            return None
        form = _form(x)
        if form is None or is_staging() or self.model.run_eagerly:
            return None
        if self._seen != edits.state():
            self._renew(x)
        if not self._ours:
            return None
        program = self._programs.get((form, training))
        if program is None:
            program = self._programs[form, training] = self._make(x, training)
        return program(x) if program else None

    def _renew(self, x: Any) -> None:
        """Forget the programs if the layers are others than they were, or were changed."""
        if not self.model.built:
            self.model._build_on(x)
        layers = self.model._flatten_layers()
        key = [config.epsilon(), *map(_version, layers)]
        same = len(layers) == len(self._layers) and all(map(operator.is_, layers, self._layers))
        if not same or key != self._key:
            self._changes += 1
            self._layers, self._key, self._programs = layers, key, {}
            self._ours = self._changes <= MOST_CHANGES and _is_ours(self.model, layers)
        self._seen = edits.state()

    def _make(self, x: Any, training: bool | None) -> Any:
        """Return a function of arrays like x; False where there can be none."""
        if len(self._programs) >= MOST_FORMS:
            return False
        program = _Program(self.model, training)
        try:
            program.trace(x)
        except Exception:  # the layers one by one will say what is wrong, without JAX's notes
            return False
        return False if program.effects else program


class _Program:
    """A compiled forward pass: a function of an input's arrays that reads Variables as they are."""

    def __init__(self, model: Any, training: bool | None) -> None:
        self.model, self.variables = model, model.variables
        self.given = {} if training is None else {"training": training}
        self.effects = True
        self.masked: list[int] = []  # of the outputs, those that have a mask
        self.compiled: Any = None

    def pure(self, values: list, x: Any) -> list:
        with Scope(self.variables, values) as scope:
            flat = tree.flatten(self.model(x, **self.given))
            masks = [get_mask(out) for out in flat]
            whole = all(isinstance(out, jax.Array) for out in flat)
            self.effects = bool(scope.changed) or any(scope.losses.values()) or not whole
            self.masked = [n for n, mask in enumerate(masks) if mask is not None]
            return [*flat, *(mask for mask in masks if mask is not None)]

    def trace(self, x: Any) -> None:
        forward = jax.jit(self.pure)
        traced = forward.trace([v._value for v in self.variables], x)
        given = options_for(traced.jaxpr)
        # Inside another `jit` it is found traced.
        self.compiled = CheckedJit(forward, 2, given)

    def __call__(self, x: Any) -> list:
        with donation.lock:  # `fit` may run in another thread
            results = self.compiled([v._value for v in self.variables], x)
        if not self.masked:
            return results
        outputs = results[: len(results) - len(self.masked)]
        for n, mask in zip(self.masked, results[len(outputs) :], strict=True):
            set_mask(outputs[n], mask)
        return outputs


def _form(x: Any) -> Any:
    """Return what a program depends on of its input; None for what is no plain nest of arrays."""
    if isinstance(x, jax.Array):
        return None if is_tracer(x) or get_mask(x) is not None else (x.shape, x.dtype)
    if type(x) is np.ndarray:
        return None if x.dtype.kind not in "fiub" else (x.shape, x.dtype)
    if type(x) is dict:
        kind: Any = tuple(x)
        parts = [_form(part) for part in x.values()]
    elif type(x) in (list, tuple):
        kind, parts = type(x), [_form(part) for part in x]
    else:
        return None
    return None if None in parts or not parts else (kind, *parts)


def _version(layer: Any) -> Any:
    """Return what changes when a layer is given other attributes; models keep books in theirs."""
    if not isinstance(layer, Trainer):
        return layer._edited
    graphs = [getattr(layer, name, None) for name in ("_graph", "_loss_graph")]
    return layer.dtype_policy, *graphs  # type: ignore[attr-defined]


def _is_ours(model: Any, layers: list[Any]) -> bool:
    """Say whether all that runs inside is Staghorn's own code, which has no effects unseen."""
    graphs = [layer._graph for layer in layers if getattr(layer, "_graph", None)]
    steps = [step for graph in graphs for step in graph.steps]
    calls = [step.operation for step in steps]
    given = tree.flatten([(step.args, step.kwargs) for step in steps])  # as of `ops.map(f, x)`
    known = {id(layer) for layer in layers}
    return (
        model.built
        and len(calls) <= MOST_CALLS
        and all(map(_is_our_layer, layers))
        and all(_is_our_op(call) or id(call) in known for call in calls)
        and all(map(_runs_no_user_code, filter(callable, given)))
    )


def _is_our_op(call: Any) -> bool:
    return isinstance(call, OpCall) and is_builtin(call.function)  # type: ignore[arg-type]


def _is_our_layer(layer: Any) -> bool:
    plain = layer._is_ours and type(layer).__name__ not in _OF_USERS
    if not plain or layer.activity_regularizer is not None or layer._host_part is not None:
        return False
    if isinstance(layer, HostLayer) or not layer.built:
        return False
    values = [value for value in vars(layer).values() if callable(value)]
    return all(isinstance(value, Layer) or _runs_no_user_code(value) for value in values)


def _runs_no_user_code(value: Any) -> bool:
    """Say whether a function, or the class of an object, was written by us or by JAX."""
    return str(getattr(value, "__module__", "")).split(".", 1)[0] in ("staghorn", "jax")
