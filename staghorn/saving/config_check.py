"""The objects in a config (what they may be is checked in `engine.config_check`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from staghorn.engine.config_check import check_config as check_config
from staghorn.engine.config_check import place as place
from staghorn.saving.errors import UnsafeFileError

_MAX_DEPTH = 300


def objects_in(
    config: Any, where: str, start: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Go over the objects in a config, outer ones first: (path, what has a class and a config).

    Raises:
        UnsafeFileError: for a depth that no model has.
    """
    pending: list[tuple[tuple[str, ...], Any]] = [(start, config)]
    while pending:
        path, value = pending.pop()
        if len(path) > _MAX_DEPTH:
            raise UnsafeFileError(f"{where}: it is nested more than {_MAX_DEPTH} levels deep.")
        if isinstance(value, dict):
            if "class_name" in value and "config" in value:
                yield path, value
            inner = [((*path, str(key)), item) for key, item in value.items()]
            pending.extend(reversed(inner))
        elif isinstance(value, list):
            pending.extend(((*path, f"[{i}]"), value[i]) for i in reversed(range(len(value))))
