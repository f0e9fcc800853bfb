"""Global defaults: float type, fuzz factor, image layout, backend name."""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from staghorn.dtype_policies import dtype_policy as dtype_policy
    from staghorn.dtype_policies import set_dtype_policy as set_dtype_policy

__all__ = [
    "backend",
    "dtype_policy",
    "epsilon",
    "floatx",
    "image_data_format",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
]

_FLOAT_TYPES = ("bfloat16", "float16", "float32", "float64")
_DATA_FORMATS = ("channels_first", "channels_last")


@dataclass
class _Defaults:
    floatx: str = "float32"
    epsilon: float = 1e-7
    image_data_format: str = "channels_last"


_defaults = _Defaults()


def floatx() -> str:
    """Return the default float type, a string.

    Example:
        >>> staghorn.config.floatx()
        'float32'
    """
    return _defaults.floatx


def set_floatx(value: str) -> None:
    """Set the default float type: bfloat16, float16, float32 or float64.

    `float64` also switches JAX to 64-bit mode, without which it would silently compute in float32.

    Example:
        >>> staghorn.config.set_floatx("float32")
    """
    if value not in _FLOAT_TYPES:
        raise ValueError(f"set_floatx: expected one of {_FLOAT_TYPES}, got {value!r}.")
    if value == "float64":
        import jax

        jax.config.update("jax_enable_x64", True)
    _defaults.floatx = value


def epsilon() -> float:
    """Return the small number that keeps divisions and logarithms finite.

    Example:
        >>> staghorn.config.epsilon()
        1e-07
    """
    return _defaults.epsilon


def set_epsilon(value: float) -> None:
    """Set the small number that keeps divisions and logarithms finite.

    Example:
        >>> staghorn.config.set_epsilon(1e-7)
    """
    _defaults.epsilon = float(value)


def image_data_format() -> str:
    """Return where images keep their channels: "channels_last" or "channels_first".

    Example:
        >>> staghorn.config.image_data_format()
        'channels_last'
    """
    return _defaults.image_data_format


def set_image_data_format(data_format: str) -> None:
    """Set where images keep their channels.

    Example:
        >>> staghorn.config.set_image_data_format("channels_last")
    """
    value = str(data_format).lower()
    if value not in _DATA_FORMATS:
        raise ValueError(
            f"set_image_data_format: expected one of {_DATA_FORMATS}, got {data_format!r}."
        )
    _defaults.image_data_format = value


def backend() -> str:
    """Return the name of the compute engine, always "jax".

    Example:
        >>> staghorn.config.backend()
        'jax'
    """
    return "jax"


def __getattr__(name: str) -> Any:
    # By name, because every other file may import this one.
    if name in ("dtype_policy", "set_dtype_policy"):
        return getattr(importlib.import_module("staghorn.dtype_policies"), name)
    registry = importlib.import_module("staghorn.engine.registry")
    return registry.missing_names(__name__, __all__)(name)


def __dir__() -> list[str]:
    return list(__all__)
