"""LambdaCallback: functions as a callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from staghorn.callbacks.callback import BATCH_HOOKS, HOOKS, Callback
from staghorn.engine.registry import suggestion


class LambdaCallback(Callback):
    """A callback made of functions, given under the names of the hooks.

    Args:
        on_epoch_begin: function(epoch, logs); default None.
        on_epoch_end: function(epoch, logs); default None.
        on_train_begin: function(logs); default None.
        on_train_end: function(logs); default None.
        on_train_batch_begin: function(batch, logs); default None.
        on_train_batch_end: function(batch, logs); default None.
        **kwargs: functions for any other hook of Callback.

    Raises:
        TypeError: an argument is not the name of a hook, or its value cannot be called.

    Example:
        >>> losses = []
        >>> keep = lambda epoch, logs: losses.append(logs["loss"])
        >>> callback = staghorn.callbacks.LambdaCallback(on_epoch_end=keep)
        >>> callback.on_epoch_end(0, {"loss": 0.5})
        >>> losses
        [0.5]

    Notes:
        Keras keeps an argument that is no hook without a word; here a misspelt hook is an error.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any],
    ) -> None:
        super().__init__()
        for name in kwargs:
            if name not in HOOKS:
                raise TypeError(f"LambdaCallback: {name!r} is not a hook.{suggestion(name, HOOKS)}")
        functions: dict[str, Any] = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        given = {name: function for name, function in functions.items() if function is not None}
        for name, function in given.items():
            if not callable(function):
                kind = type(function).__name__
                raise TypeError(
                    f"LambdaCallback: {name} must be a function, got {function!r} ({kind})."
                )
        vars(self).update(given)
        if not set(given).isdisjoint(BATCH_HOOKS["train"]):
            self.needs_batches = True
