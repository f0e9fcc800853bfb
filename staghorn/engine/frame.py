"""The call in progress: its training flag and the float type variables are read in.

Each `layer(...)` opens one Frame; what a layer does not say, the layer around it has said.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any

_RAISED_IN = "Raised in the layer "


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

    def __exit__(self, _: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception) and self.layer is not None:
            self._name_layer(error)
        if self._token is not None:
            _current.reset(self._token)

    def _name_layer(self, error: Exception) -> None:
        """Say once in which layer an error arose; its type and message stay the user's own."""
        if any(note.startswith(_RAISED_IN) for note in getattr(error, "__notes__", ())):
            return
        names: list[str] = []
        frame: Frame | None = self
        while frame is not None:
            if frame.layer is not None:
                name = f"{type(frame.layer).__name__} '{frame.layer.name}'"
                if not names or names[-1] != name:
                    names.append(name)
            frame = frame.parent
        error.add_note(f"{_RAISED_IN}{', inside '.join(names)}.")


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
    return Frame(None, None, None) if frame is None else Frame(frame.layer, frame.training, None)
