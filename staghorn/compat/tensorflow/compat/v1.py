"""`tf.compat.v1`: the stand-in itself, and switches of TensorFlow 1 that mean nothing here."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

from staghorn.compat.tensorflow.advice import explain
from staghorn.compat.tensorflow.random import set_seed as set_random_seed


def _accept(*args: Any, **kwargs: Any) -> None:
    """Take a switch of TensorFlow 1 that has no meaning here."""


disable_eager_execution = disable_v2_behavior = disable_v2_tensorshape = _accept
enable_eager_execution = enable_v2_behavior = _accept

logging = SimpleNamespace(
    DEBUG=10, INFO=20, WARN=30, ERROR=40, FATAL=50, set_verbosity=_accept, warning=_accept
)

__all__ = [
    "disable_eager_execution", "disable_v2_behavior", "disable_v2_tensorshape",
    "enable_eager_execution", "enable_v2_behavior", "logging", "set_random_seed",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    stand_in = importlib.import_module("staghorn.compat.tensorflow")
    if name in stand_in.__all__ or name in stand_in._OLD:
        return getattr(stand_in, name)
    return explain("tf.compat.v1", [*__all__, *stand_in.__all__])(name)
