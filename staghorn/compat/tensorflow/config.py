"""`tf.config`: the devices JAX knows; settings that mean nothing here are taken and ignored."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import jax

from staghorn.compat.tensorflow.advice import explain


class PhysicalDevice(NamedTuple):
    """A device that JAX computes on."""

    name: str
    device_type: str


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The devices JAX computes on, as TensorFlow names them; a CPU is always there."""
    found = [*jax.devices("cpu"), *(d for d in jax.devices() if d.platform != "cpu")]
    kinds = [(d.platform.upper().replace("CUDA", "GPU").replace("ROCM", "GPU"), d) for d in found]
    return [
        PhysicalDevice(f"/physical_device:{kind}:{device.id}", kind)
        for kind, device in kinds
        if device_type in (None, kind)
    ]


def _accept(*args: Any, **kwargs: Any) -> None:
    """Take a setting that has no meaning here: JAX places data and threads itself."""


list_logical_devices = list_physical_devices
run_functions_eagerly = set_soft_device_placement = _accept
threading = SimpleNamespace(
    set_inter_op_parallelism_threads=_accept, set_intra_op_parallelism_threads=_accept
)
optimizer = SimpleNamespace(set_jit=_accept)


class _Experimental(SimpleNamespace):
    def __getattr__(self, name: str) -> Any:
        return explain("tf.config.experimental", vars(self))(name)


experimental = _Experimental(
    enable_tensor_float_32_execution=_accept,
    list_logical_devices=list_physical_devices,
    list_physical_devices=list_physical_devices,
    set_memory_growth=_accept,
)

__all__ = [
    "PhysicalDevice", "experimental", "list_logical_devices", "list_physical_devices", "optimizer",
    "run_functions_eagerly", "set_soft_device_placement", "threading",
]  # fmt: skip
__getattr__ = explain("tf.config", __all__)
