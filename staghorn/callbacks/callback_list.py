"""CallbackList: the one place where hooks are dispatched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from staghorn.callbacks.callback import (
    BATCH_HOOKS,
    HOOKS,
    Callback,
    Logs,
    call_batch_hook,
    overridden_hooks,
)
from staghorn.callbacks.history import History, Records
from staghorn.callbacks.progress import ProgbarLogger


def python_logs(logs: Logs) -> dict[str, Any]:
    """Logs with sorted names and Python floats: a new dict, nested dicts flattened.

    A device array is read here, which waits for the device.

    Example:
        >>> from staghorn.callbacks.callback_list import python_logs
        >>> python_logs({"loss": np.float32(0.5), "aux": {"accuracy": 1}})
        {'accuracy': 1.0, 'loss': 0.5}
    """
    result: dict[str, Any] = Records()
    for name, value in sorted((logs or {}).items()):
        if isinstance(value, dict):
            result.update(python_logs(value))
        elif isinstance(value, (int, float)) or getattr(value, "shape", None) == ():
            result[name] = float(value)
        else:
            result[name] = np.asarray(value) if hasattr(value, "__array__") else value
    return result


def listened_hooks(callback: Any) -> frozenset[str]:
    """Hooks a callback listens to: its class's, and functions put on the instance.

    Example:
        >>> from staghorn.callbacks.callback_list import listened_hooks
        >>> sorted(listened_hooks(staghorn.callbacks.History()))
        ['on_epoch_end', 'on_train_begin']
    """
    known = callback.hooks if isinstance(callback, Callback) else overridden_hooks(type(callback))
    listened = known | HOOKS.intersection(getattr(callback, "__dict__", ()))
    # The default on_train_batch_* calls on_batch_*: listening to one is listening to the other.
    aliases = {hook.replace("on_batch", "on_train_batch") for hook in listened}
    return listened | (aliases & HOOKS)


def wants_batches(callback: Any, mode: str, listened: frozenset[str]) -> bool:
    """Whether a callback that listens to these hooks asks for single steps in this mode.

    Example:
        >>> from staghorn.callbacks.callback_list import wants_batches
        >>> wants_batches(staghorn.callbacks.History(), "train", frozenset({"on_epoch_end"}))
        False
    """
    declared = getattr(callback, "__dict__", {}).get(
        "needs_batches", getattr(callback, "batches_declared", None)
    )
    if declared is False:
        return False
    wanted = set(BATCH_HOOKS[mode])
    if declared is True:
        wanted.add(f"on_{mode}_chunk_end")
    return not wanted.isdisjoint(listened)


def flat_callbacks(callbacks: Any) -> Iterator[Any]:
    """The callbacks of a callback, a CallbackList, or nested lists of them, in order.

    Raises:
        TypeError: something else is among them, such as a class instead of an instance.

    Example:
        >>> from staghorn.callbacks.callback_list import flat_callbacks
        >>> history = staghorn.callbacks.History()
        >>> list(flat_callbacks([[history], ()])) == [history]
        True
    """
    if callbacks is None:
        return
    if isinstance(callbacks, CallbackList):
        yield from callbacks.callbacks
    elif isinstance(callbacks, (list, tuple)):
        for item in callbacks:
            if item is None:
                raise TypeError("CallbackList: callbacks must be Callback instances, got None.")
            yield from flat_callbacks(item)
    elif isinstance(callbacks, dict):
        yield from flat_callbacks([callbacks[key] for key in sorted(callbacks)])
    elif isinstance(callbacks, type):
        raise TypeError(
            f"CallbackList: callbacks must be instances, got the class {callbacks.__name__}. "
            f"Call it: callbacks=[{callbacks.__name__}(...)]."
        )
    elif isinstance(callbacks, Callback) or hasattr(callbacks, "set_model"):
        yield callbacks
    else:
        raise TypeError(
            "CallbackList: callbacks must be Callback instances, got "
            f"{callbacks!r} ({type(callbacks).__name__}). To call a function, wrap it: "
            "LambdaCallback(on_epoch_end=function)."
        )


class CallbackList(Callback):
    """Several callbacks called as one, in their order.

    The order is the user's callbacks, then History, then the progress bar, then those that come
    last (BackupAndRestore); a callback that puts a value into the logs of `on_epoch_end` is seen by
    those after it.

    Args:
        callbacks: a callback, or a (nested) list of them; default None.
        add_history: add a History where the list has none; default False.
        add_progbar: add a ProgbarLogger where the list has none; default False.
        model: the model given to each of them; default None.
        **params: the training parameters given to each of them.

    Example:
        >>> calls = staghorn.callbacks.CallbackList(add_history=True, epochs=2)
        >>> [type(callback).__name__ for callback in calls.callbacks]
        ['History']
        >>> calls.needs_batches("train"), calls.listens("on_epoch_end")
        (False, True)

    Notes:
        Logs are turned into floats only for a hook somebody listens to: an unheard hook costs
        nothing and never waits for the device. Exceptions pass through unchanged.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks: list[Any] = list(flat_callbacks(callbacks))
        if add_history and not any(isinstance(item, History) for item in self.callbacks):
            self.callbacks.append(History())
        if add_progbar and not any(isinstance(item, ProgbarLogger) for item in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        self.callbacks.sort(key=lambda callback: getattr(callback, "last", False))
        self._listen()
        self.set_model(model)
        self.set_params(params)

    def _listen(self) -> None:
        """Rebuild the table hook -> callbacks."""
        listened = [listened_hooks(callback) for callback in self.callbacks]
        pairs = list(zip(self.callbacks, listened, strict=True))
        self._listeners = {hook: [c for c, heard in pairs if hook in heard] for hook in HOOKS}
        self._modes = {
            mode for mode in BATCH_HOOKS if any(wants_batches(c, mode, heard) for c, heard in pairs)
        }

    def append(self, callback: Any) -> None:
        """Add a callback at the end; it receives the model and the parameters."""
        for item in flat_callbacks(callback):
            self.callbacks.append(item)
            if self._model is not None:
                item.set_model(self._model)
            if self.params:
                item.set_params(self.params)
        self._listen()

    def listens(self, hook: str) -> bool:
        """Whether any callback listens to this hook."""
        return bool(self._listeners[hook])

    def needs_batches(self, mode: str) -> bool:  # type: ignore[override]
        """Whether steps of "train", "test" or "predict" must be run one at a time."""
        return mode in self._modes

    def set_params(self, params: dict[str, Any]) -> None:
        """Give the training parameters to each callback."""
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Give the model to each callback; its `history` becomes the History of this list."""
        if model is None:
            return
        super().set_model(model)
        for callback in self.callbacks:
            if isinstance(callback, History):
                model.history = callback
            callback.set_model(model)

    def _call(self, hook: str, logs: Logs, *index: int) -> None:
        if listeners := self._listeners[hook]:
            floats = python_logs(logs)
            for callback in listeners:
                getattr(callback, hook)(*index, floats)

    def _call_batch(self, hook: str, batch: int, logs: Logs) -> None:
        if listeners := self._listeners[hook]:
            floats = python_logs(logs)
            for callback in listeners:
                call_batch_hook(getattr(callback, hook), batch, floats)

    def on_train_begin(self, logs: Logs = None) -> None:
        self._call("on_train_begin", logs)

    def on_train_end(self, logs: Logs = None) -> None:
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._call("on_epoch_begin", logs, epoch)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._call("on_epoch_end", logs, epoch)

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        self._call_batch("on_batch_begin", batch, logs)

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._call_batch("on_batch_end", batch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        self._call_batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._call_batch("on_train_batch_end", batch, logs)

    def on_train_chunk_end(self, batch: int, logs: Logs = None) -> None:
        self._call("on_train_chunk_end", logs, batch)

    def on_test_begin(self, logs: Logs = None) -> None:
        self._call("on_test_begin", logs)

    def on_test_end(self, logs: Logs = None) -> None:
        self._call("on_test_end", logs)

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        self._call_batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._call_batch("on_test_batch_end", batch, logs)

    def on_test_chunk_end(self, batch: int, logs: Logs = None) -> None:
        self._call("on_test_chunk_end", logs, batch)

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._call("on_predict_begin", logs)

    def on_predict_end(self, logs: Logs = None) -> None:
        self._call("on_predict_end", logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        self._call_batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._call_batch("on_predict_batch_end", batch, logs)

    def on_predict_chunk_end(self, batch: int, logs: Logs = None) -> None:
        self._call("on_predict_chunk_end", logs, batch)
