"""When layers were changed: what a compiled program took from their attributes may be out of date.

`layer.activation = relu` on a layer whose model was called before must be seen by the next call.
Each such assignment gets the next number; a program is asked again whether it still holds only
when the latest number is another than it was.
"""


class _Edits:
    """The number of the latest edit."""

    latest = 0


def note() -> int:
    """Count one more edit and return its number.

    Example:
        >>> from staghorn.engine import edits
        >>> edits.note() == edits.latest()
        True
    """
    _Edits.latest += 1
    return _Edits.latest


def latest() -> int:
    """Return the number of the latest edit."""
    return _Edits.latest
