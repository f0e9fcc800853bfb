"""Running a layer once per time step inside one compiled loop, whatever state it keeps.

Inside a loop, code is one JAX trace deeper than the step that owns the Variables: a write there
would leak. So the Variables that a step changes (seeds, moving statistics, counters) are found by
tracing one step for its shapes, travel through the loop as values, and are assigned after it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from staghorn.engine import tree
from staghorn.engine.scope import Scope, read, write
from staghorn.engine.variable import Variable
from staghorn.layers.layer import Layer
from staghorn.ops import recurrence

_WRONG_STATES = """\
{name}: a cell must return its new states in the form of those it was given.
It was given {given}, and returned {got}.
Write in its call    return output, [new_state, ...]    with one state per entry of state_size."""


def probe(fn: Callable, variables: list[Variable], *args: Any) -> tuple[list[Variable], bool]:
    """Trace a function for its shapes: which Variables does it change, does it add losses?"""
    changed: list[Variable] = []
    losses: list = []

    def traced(values: list, args: tuple) -> None:
        with Scope(variables, values) as scope:
            fn(*args)
            changed[:] = scope.changed.values()
            losses[:] = [id(loss) for found in scope.losses.values() for loss in found]

    jax.eval_shape(traced, [read(v) for v in variables], args)
    return changed, bool(losses)


def total_loss(scope: Scope) -> jax.Array:
    """Return the sum of the losses that were added inside a Scope."""
    losses = [loss for found in scope.losses.values() for loss in found]
    return sum((jnp.asarray(x, "float32") for x in losses), jnp.zeros((), "float32"))


def run_steps(
    owner: Layer,
    variables: list[Variable],
    step: Callable[[Any, Any], tuple[Any, Any]],
    inputs: jax.Array,
    states: Any,
    mask: jax.Array | None,
    unroll: bool,
    last: bool = False,
) -> tuple[jax.Array, Any]:
    """Run `step(input, states) → (output, new states)` over (time, batch, …).

    Args:
        owner: the layer that takes the losses added inside.
        variables: those the step may read and change.
        step: ordinary stateful code.
        inputs, states, mask, unroll, last: as for `recurrence.scan_steps`.
    """
    first = jax.tree.map(lambda x: x[0], inputs)
    changed, adds_losses = probe(step, variables, first, states)
    moving = {id(v) for v in changed}
    fixed = [v for v in variables if id(v) not in moving]
    constants = [read(v) for v in fixed]

    def body(x: Any, states: Any, carried: tuple) -> tuple[Any, Any, tuple]:
        values, loss = carried
        with Scope([*fixed, *changed], [*constants, *values]) as scope:
            output, new = step(x, states)
            values = [scope.get(v) for v in changed]
            loss = loss + total_loss(scope) if adds_losses else loss
        return output, as_given(owner, new, states), (values, loss)

    start = ([read(v) for v in changed], jnp.zeros((), "float32"))
    outputs, states, (values, loss) = recurrence.scan_steps(
        body, inputs, states, start, mask, unroll, last
    )
    for variable, value in zip(changed, values, strict=True):
        write(variable, value)
    if adds_losses:
        owner.add_loss(loss)
    return outputs, states


def as_given(owner: Layer, new: Any, states: Any) -> Any:
    """Bring new states into the form and types of the old ones, as a loop needs them."""
    flat, old = tree.flatten(new), tree.flatten(states)
    if [jnp.shape(x) for x in flat] != [x.shape for x in old]:
        raise ValueError(
            _WRONG_STATES.format(
                name=f"{type(owner).__name__} '{owner.name}'",
                given=[tuple(x.shape) for x in old],
                got=[tuple(jnp.shape(x)) for x in flat],
            )
        )
    cast = [jnp.asarray(x, y.dtype) for x, y in zip(flat, old, strict=True)]
    return tree.pack_sequence_as(states, cast)
