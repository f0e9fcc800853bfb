"""Looking at a model's state without changing it: compiled functions whose writes are forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax

from staghorn.engine.checked_jit import CheckedJit
from staghorn.engine.compiler_options import options_for
from staghorn.engine.jax_internals import current_trace
from staghorn.engine.scope import Scope, functionalize
from staghorn.engine.variable import Variable
from staghorn.training.data import ArrayFeed


def observer(fn: Callable[[Any], Any], batch: Any) -> Callable[[Any], Any]:
    """Compile a function of a batch over Variables; what it assigns to them is forgotten.

    Args:
        fn: `batch → result`, ordinary stateful code.
        batch: shapes of a batch, or one; another shape is compiled when it comes.

    Example:
        >>> from staghorn.training.observation import observer
        >>> count = staghorn.Variable(np.float32(1.0))
        >>> def add(x):
        ...     count.assign_add(x)
        ...     return count.value
        >>> look = observer(add, np.float32(5.0))
        >>> float(look(np.float32(5.0))), float(count.value)
        (6.0, 1.0)
    """
    seen: dict[int, Variable] = {}

    def discover(data: Any) -> Any:
        with Scope(abstract=True) as scope:
            out = fn(data)
            seen.update(scope.seen)
            return out

    given = options_for(jax.make_jaxpr(discover)(batch))
    variables = list(seen.values())
    pure = functionalize(fn, variables)
    program = CheckedJit(lambda values, data: pure(values, data)[0], 1, given)
    return lambda data: program([v.value for v in variables], data)


@contextmanager
def outputs_recorded(layers: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Record what layers return while a function is traced: path → the last output.

    Calls inside a loop or branch of JAX (an RNN's cell) are left out: their values end with it.
    """
    found: dict[str, Any] = {}
    outside = current_trace()

    def recording(path: str, call: Callable) -> Callable:
        def recorded(*args: Any, **kwargs: Any) -> Any:
            outputs = call(*args, **kwargs)
            if current_trace() == outside:
                found[path] = outputs
            return outputs

        return recorded

    for path, layer in layers.items():
        vars(layer)["call"] = recording(path, layer.call)
    try:
        yield found
    finally:
        for layer in layers.values():
            del vars(layer)["call"]


def rows_to_look_at(model: Any, what: str, data: Any) -> ArrayFeed | None:
    """Return the arrays that a callback looks at: its own, or those of the `fit` that runs.

    Args:
        model: the model in training.
        what: name of the callback, for errors.
        data: (x, y) or (x, y, sample_weight), or None for those of `fit`; None again is the answer
            if that was given a generator.
    """
    feed = model._run.feed
    if data is None:
        return ArrayFeed(feed.data, feed.batch_size) if isinstance(feed, ArrayFeed) else None
    if not isinstance(data, (tuple, list)) or not 2 <= len(data) <= 3:
        raise ValueError(
            f"{what}: data must be (x, y) or (x, y, sample_weight), got {type(data).__name__}."
        )
    x, y, weights = (*data, None)[:3]
    own = model._one_batch_feed(x, y, weights, f"{what}(data=(x, y))")
    own.batch_size = min(own.rows, feed.batch_size or 32)
    return own
