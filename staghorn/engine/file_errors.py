"""What can be wrong with a file: it was damaged, or it asks for something a file may not do."""

from __future__ import annotations


class CorruptFileError(ValueError):
    """A file is damaged or incomplete; the message names the file and the place inside.

    Example:
        >>> issubclass(staghorn.saving.CorruptFileError, ValueError)
        True
    """


class UnsafeFileError(ValueError):
    """A file asks for what loading never does; the message names the file and the place inside.

    Example:
        >>> issubclass(staghorn.saving.UnsafeFileError, ValueError)
        True
    """
