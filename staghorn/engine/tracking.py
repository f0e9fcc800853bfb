"""Attributes to children: what a layer, metric or optimizer owns is what is assigned to it.

`self.kernel = variable`, `self.blocks = [Dense(1), Dense(2)]`: each assignment is sorted into the
owner's lists by kind. Containers are wrapped so that later appends are seen too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import jax

from staghorn.engine import edits


def remove_identical(items: list, item: Any) -> None:
    """Remove by identity."""
    for position, known in enumerate(items):
        if known is item:
            del items[position]
            return


def is_a(kind: type, value: Any) -> bool:
    """Say whether a value is of a kind: a test that can be copied, as a lambda cannot."""
    return isinstance(value, kind)


def unique(items: Iterable) -> list:
    """Return each item once, by identity, in order."""
    return list({id(item): item for item in items}.values())


class Tracker:
    """Sorts children into stores by kind.

    Args:
        kinds: name → (test, store); the first test that holds wins.
    """

    def __init__(self, kinds: dict[str, tuple[Callable[[Any], bool], list]]) -> None:
        self.kinds = kinds
        self.locked = False
        self._ids: set[int] | None = None

    @property
    def ids(self) -> set[int]:
        """What is in the stores, by identity: a search through them would be quadratic."""
        if self._ids is None:
            self._ids = {id(item) for _, store in self.kinds.values() for item in store}
        return self._ids

    def __deepcopy__(self, memo: dict) -> Tracker:
        twin = memo[id(self)] = Tracker({})
        twin.kinds = copy.deepcopy(self.kinds, memo)
        return twin

    def __reduce__(self) -> Any:
        return (Tracker, (self.kinds,))

    def store_of(self, value: Any) -> list | None:
        for test, store in self.kinds.values():
            if test(value):
                return store
        return None

    def track(self, value: Any) -> Any:
        """Register a value, or the children inside a container; return what to keep."""
        if isinstance(value, (TrackedList, TrackedDict)):
            for item in value.values() if isinstance(value, dict) else value:
                self.track(item)
            return value
        store = self.store_of(value)
        if store is not None:
            # Once sorted, a Variable stays where it is: freezing it does not move it.
            if id(value) not in self.ids:
                self.ids.add(id(value))
                store.append(value)
                edits.note()
            return value
        if type(value) is list:
            return TrackedList(value, self)
        if type(value) is dict:
            return TrackedDict(value, self)
        if type(value) is tuple:
            return tuple(self.track(item) for item in value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*(self.track(item) for item in value))
        return value

    def untrack(self, value: Any) -> None:
        """Forget a value and, for a container, what is inside."""
        if id(value) in self.ids:
            self.ids.discard(id(value))
            edits.note()
            for _, store in self.kinds.values():
                remove_identical(store, value)
        elif isinstance(value, (list, tuple)):
            for item in value:
                self.untrack(item)
        elif isinstance(value, dict):
            for item in value.values():
                self.untrack(item)


class TrackedList(list):
    """A list whose items belong to its owner."""

    def __init__(self, items: Iterable = (), tracker: Tracker | None = None) -> None:
        self.tracker = tracker
        super().__init__(map(self._track, items))

    def _track(self, item: Any) -> Any:
        return item if self.tracker is None else self.tracker.track(item)

    def append(self, item: Any) -> None:
        super().append(self._track(item))

    def insert(self, index: Any, item: Any) -> None:
        super().insert(index, self._track(item))

    def extend(self, items: Iterable) -> None:
        super().extend(map(self._track, items))

    def __iadd__(self, items: Iterable) -> TrackedList:  # type: ignore[misc]
        self.extend(items)
        return self

    def __setitem__(self, index: Any, item: Any) -> None:
        if isinstance(index, slice):
            item = [self._track(x) for x in item]
            for old in self[index]:
                self._forget(old)
        else:
            self._forget(self[index])
            item = self._track(item)
        super().__setitem__(index, item)

    def __delitem__(self, index: Any) -> None:
        for old in self[index] if isinstance(index, slice) else [self[index]]:
            self._forget(old)
        super().__delitem__(index)

    def pop(self, index: Any = -1) -> Any:
        item = super().pop(index)
        self._forget(item)
        return item

    def remove(self, item: Any) -> None:
        remove_identical(self, item)

    def clear(self) -> None:
        for item in self:
            self._forget(item)
        super().clear()

    def _forget(self, item: Any) -> None:
        if self.tracker is not None:
            self.tracker.untrack(item)

    def __reduce__(self) -> Any:
        return (list, (list(self),))

    def __deepcopy__(self, memo: dict) -> TrackedList:
        twin = memo[id(self)] = TrackedList()
        list.extend(twin, [copy.deepcopy(item, memo) for item in self])
        twin.tracker = copy.deepcopy(self.tracker, memo)
        return twin


class TrackedDict(dict):
    """A dict whose values belong to its owner."""

    def __init__(self, items: Any = (), tracker: Tracker | None = None) -> None:
        self.tracker = tracker
        super().__init__()
        self.update(items)

    def __setitem__(self, key: Any, item: Any) -> None:
        if self.tracker is not None:
            if key in self:
                self.tracker.untrack(self[key])
            item = self.tracker.track(item)
        super().__setitem__(key, item)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, item in dict(*args, **kwargs).items():
            self[key] = item

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def __delitem__(self, key: Any) -> None:
        if self.tracker is not None:
            self.tracker.untrack(self[key])
        super().__delitem__(key)

    def pop(self, key: Any, *default: Any) -> Any:
        if key in self and self.tracker is not None:
            self.tracker.untrack(self[key])
        return super().pop(key, *default)

    def __reduce__(self) -> Any:
        return (dict, (dict(self),))

    def __deepcopy__(self, memo: dict) -> TrackedDict:
        twin = memo[id(self)] = TrackedDict()
        dict.update(twin, {key: copy.deepcopy(item, memo) for key, item in self.items()})
        twin.tracker = copy.deepcopy(self.tracker, memo)
        return twin


# JAX walks exact lists and dicts only; a tracked one comes out of a transformation as a plain one.
jax.tree_util.register_pytree_node(
    TrackedList,
    lambda items: (list(items), None),
    lambda _, items: list(items),  # type: ignore[arg-type,return-value]
)
jax.tree_util.register_pytree_node(
    TrackedDict,
    lambda items: ([items[key] for key in sorted(items)], tuple(sorted(items))),
    lambda keys, items: dict(zip(keys, items, strict=True)),  # type: ignore[arg-type,return-value]
)
