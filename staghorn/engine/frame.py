"""The call in progress: its training flag and the float type variables are read in.

Each `layer(...)` opens one Frame; what a layer does not say, the layer around it has said.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any


class Frame:
    """One call of a layer.

    Args:
        layer: the layer that is called, or None for the outside.
        training: True, False, or None where nobody said.
        autocast: the float type variables are read in, or None for their own.
    """

    __slots__ = ("_token", "autocast", "layer", "parent", "training")

    def __init__(self, layer: Any, training: bool | None, autocast: str | None) -> None:
        self.layer = layer
        self.training = training
        self.autocast = autocast
        self.parent = _current.get()
        self._token: Token | None = None

    def __enter__(self) -> Frame:
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)


_current: ContextVar[Frame | None] = ContextVar("staghorn_frame", default=None)


def current_frame() -> Frame | None:
    """Return the frame of the innermost running call."""
    return _current.get()


def autocast_dtype() -> str | None:
    """Return the float type variables are read in now, or None."""
    frame = _current.get()
    return None if frame is None else frame.autocast


def no_autocast() -> Frame:
    """Open a frame in which variables are read in their own type."""
    frame = _current.get()
    return Frame(frame and frame.layer, frame and frame.training, None)
