"""When layers were changed: what a compiled program took from their attributes may be out of date.

`layer.activation = relu` on a layer whose model was called before must be seen by the next call.
Each such assignment gets the next number; a program is asked again whether it still holds only
when the latest number is another than it was.
"""

from staghorn import config


class _Edits:
    """The number of the latest edit."""

    latest = 0


def note() -> int:
    """Count one more edit and return its number.

    Example:
        >>> from staghorn.engine import edits
        >>> edits.note() < edits.note()
        True
    """
    _Edits.latest += 1
    return _Edits.latest


def state() -> tuple[int, float]:
    """Return what changes when a layer or a setting that layers read as they run is changed.

    Example:
        >>> from staghorn.engine import edits
        >>> before = edits.state()
        >>> staghorn.layers.Dense(1).units = 2
        >>> edits.state() == before
        False
    """
    return _Edits.latest, config.epsilon()
