"""Which array has which mask.

JAX arrays take no attributes, so masks live in the open Scope (strong references, dropped when it
closes) or, in plain eager code, in a table that forgets an array when it dies.
"""

import weakref
from typing import Any

from staghorn.engine.jax_internals import is_tracer
from staghorn.engine.scope import current_scope

_eager: dict[int, tuple[weakref.ref, Any]] = {}


def set_mask(array: Any, mask: Any) -> None:
    """Attach a mask to an array."""
    scope = current_scope()
    if scope is not None:
        scope.masks[id(array)] = (array, mask)
    elif not is_tracer(array):
        key = id(array)
        _eager[key] = (weakref.ref(array, lambda _: _eager.pop(key, None)), mask)


def get_mask(array: Any) -> Any:
    """Return the mask of an array, or None."""
    scope = current_scope()
    while scope is not None:
        entry = scope.masks.get(id(array))
        if entry is not None and entry[0] is array:
            return entry[1]
        scope = scope.parent
    known = _eager.get(id(array)) if _eager else None
    return known[1] if known is not None and known[0]() is array else None
