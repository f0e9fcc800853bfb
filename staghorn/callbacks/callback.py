"""The base class of all callbacks, and how it is known which hooks a callback listens to."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

Hook = TypeVar("Hook", bound=Callable[..., Any])
Logs = Mapping[str, Any] | None

BATCH_HOOKS = {
    "train": ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}
HOOKS = frozenset(
    [hook for hooks in BATCH_HOOKS.values() for hook in hooks]
    + [f"on_{mode}_{moment}" for mode in BATCH_HOOKS for moment in ("begin", "end", "chunk_end")]
    + ["on_epoch_begin", "on_epoch_end"]
)


def default(hook: Hook) -> Hook:
    """Mark a method as one that does not make its class a listener of that hook."""
    # The same mark that Keras puts on its base hooks, so its callbacks are understood too.
    hook.__dict__["_is_default"] = True
    return hook


def overridden_hooks(cls: type) -> frozenset[str]:
    """Names of the hooks that `cls` really implements; looked up once per class."""
    found = ((name, getattr(cls, name, None)) for name in HOOKS)
    return frozenset(
        name
        for name, method in found
        if method is not None and not getattr(method, "_is_default", False)
    )


def call_batch_hook(hook: Callable[..., Any], batch: int, logs: Logs) -> None:
    """Call a batch hook by keyword, as Keras does, or by place: `lambda batch, l: ...` of Keras 2.

    Example:
        >>> from staghorn.callbacks.callback import call_batch_hook
        >>> call_batch_hook(lambda b, l: print(b, l), 3, {"loss": 1.0})
        3 {'loss': 1.0}
    """
    if _takes_logs(getattr(hook, "__func__", hook)):
        hook(batch, logs=logs)
    else:
        hook(batch, logs)


@functools.lru_cache(maxsize=256)
def _takes_logs(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return True
    return any(p.name == "logs" or p.kind is p.VAR_KEYWORD for p in parameters)


class Callback:
    """Something that `fit`, `evaluate` and `predict` call at fixed moments.

    Subclass it and override the hooks you need; `self.model` is the model, `self.params` is
    `{"verbose": ..., "epochs": ..., "steps": ...}`, and `logs` holds Python floats by name.

    Attributes:
        model: the model in training.
        params: dict of the training parameters.
        kept: names of the attributes that a continued training needs, such as `("wait",)`: numbers,
            strings, lists, dicts, arrays. Checkpoints hold them; default ().
        needs_batches: whether each training step must be run by itself so that the batch hooks
            are called after every step. True as soon as a class overrides one of
            `on_train_batch_begin`, `on_train_batch_end`, `on_batch_begin`, `on_batch_end`. A class
            that overrides them and declares `needs_batches = False` keeps the compiled groups of
            steps, and its batch hooks are called once per group.

    Example:
        >>> class StopAtHalf(staghorn.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         if logs["loss"] < 0.5:
        ...             self.model.stop_training = True
        >>> StopAtHalf.needs_batches
        False

    Notes:
        Keras calls the batch hooks of every callback. Here `fit` runs many steps as one compiled
        program, and `on_*_chunk_end(batch, logs)` tells of each finished group of steps.
    """

    hooks: frozenset[str] = frozenset()
    needs_batches: bool = False
    # Attributes that an interrupted training needs again: numbers, strings, lists, dicts, arrays.
    kept: tuple[str, ...] = ()
    # Whether it is called after all others: it looks at what they did.
    last: bool = False
    # What the author wrote in a class body, None where the answer follows from the hooks.
    batches_declared: ClassVar[bool | None] = None
    # Class attributes, so a subclass that forgets super().__init__() still works.
    params: dict[str, Any] | None = None
    _model: Any = None

    def __init__(self) -> None:
        self.params = None
        self._model = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        inherited = cls.hooks
        cls.hooks = overridden_hooks(cls)
        declared = vars(cls).get("needs_batches")
        if isinstance(declared, bool):
            cls.batches_declared = declared
        elif declared is None and (cls.hooks - inherited).intersection(BATCH_HOOKS["train"]):
            cls.needs_batches = True
            cls.batches_declared = None

    @property
    def model(self) -> Any:
        """The model that is being trained, evaluated or asked for predictions."""
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        """Receive the training parameters, before the first hook."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Receive the model, before the first hook."""
        self._model = model

    @default
    def on_train_begin(self, logs: Logs = None) -> None:
        """Called once when `fit` starts."""

    @default
    def on_train_end(self, logs: Logs = None) -> None:
        """Called once when `fit` ends; `logs` are those of the last epoch."""

    @default
    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Called before an epoch of `fit`; the first `epoch` is 0."""

    @default
    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Called after an epoch and its validation; a new key in `logs` reaches the next ones."""

    @default
    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a training step, or before a group of them."""
        call_batch_hook(self.on_batch_begin, batch, logs)

    @default
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a training step, or after a group of them; waits for its values."""
        call_batch_hook(self.on_batch_end, batch, logs)

    @default
    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Older name of `on_train_batch_begin`."""

    @default
    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Older name of `on_train_batch_end`."""

    @default
    def on_train_chunk_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a compiled group of training steps.

        `batch` is the index of the last step of the group; `logs` are the values of the group
        before it, because reading newer ones would wait for the device.
        """

    @default
    def on_test_begin(self, logs: Logs = None) -> None:
        """Called when `evaluate`, or the validation inside `fit`, starts."""

    @default
    def on_test_end(self, logs: Logs = None) -> None:
        """Called when `evaluate`, or the validation inside `fit`, ends."""

    @default
    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before an evaluation step, or before a group of them."""

    @default
    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after an evaluation step, or after a group of them."""

    @default
    def on_test_chunk_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a compiled group of evaluation steps, as `on_train_chunk_end`."""

    @default
    def on_predict_begin(self, logs: Logs = None) -> None:
        """Called when `predict` starts."""

    @default
    def on_predict_end(self, logs: Logs = None) -> None:
        """Called when `predict` ends."""

    @default
    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a prediction step, or before a group of them."""

    @default
    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a prediction step; `logs["outputs"]` are its predictions."""

    @default
    def on_predict_chunk_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a compiled group of prediction steps."""
