"""`tf.test`: the questions notebooks ask about the device."""

from __future__ import annotations

from typing import Any

from staghorn.compat.tensorflow.advice import explain
from staghorn.compat.tensorflow.config import list_physical_devices


def is_gpu_available(*args: Any, **kwargs: Any) -> bool:
    """Whether JAX computes on a GPU."""
    return bool(list_physical_devices("GPU"))


def gpu_device_name() -> str:
    """Name of the first GPU, or an empty string."""
    return "/device:GPU:0" if is_gpu_available() else ""


is_built_with_cuda = is_built_with_gpu_support = is_gpu_available

__all__ = ["gpu_device_name", "is_built_with_cuda", "is_built_with_gpu_support", "is_gpu_available"]
__getattr__ = explain("tf.test", __all__)
