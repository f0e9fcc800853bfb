"""Quantizers: floats as whole numbers of few bits, and how a model is to be quantized."""

from typing import TYPE_CHECKING, Any

from staghorn.engine.naming import to_snake_case
from staghorn.engine.registry import Family, missing_names
from staghorn.quantizers.abs_max import (
    AbsMaxQuantizer,
    Quantizer,
    abs_max_quantize,
    abs_max_quantize_grouped_with_zero_point,
)
from staghorn.quantizers.configs import (
    AWQConfig,
    Float8QuantizationConfig,
    GPTQConfig,
    Int4QuantizationConfig,
    Int8QuantizationConfig,
    QuantizationConfig,
)
from staghorn.quantizers.fake_quant import fake_quant_with_min_max_vars
from staghorn.quantizers.float8 import (
    compute_float8_amax_history,
    compute_float8_scale,
    quantize_and_dequantize,
)
from staghorn.quantizers.int4 import pack_int4, unpack_int4

__all__ = [
    "AWQConfig", "AbsMaxQuantizer", "Float8QuantizationConfig", "GPTQConfig",
    "Int4QuantizationConfig", "Int8QuantizationConfig", "QuantizationConfig", "Quantizer",
    "abs_max_quantize", "abs_max_quantize_grouped_with_zero_point", "compute_float8_amax_history",
    "compute_float8_scale", "deserialize", "fake_quant_with_min_max_vars", "get", "pack_int4",
    "quantize_and_dequantize", "serialize", "unpack_int4",
]  # fmt: skip

_CLASSES = (Quantizer, AbsMaxQuantizer)
_NAMES = {name: cls for cls in _CLASSES for name in (cls.__name__, to_snake_case(cls.__name__))}
FAMILY = Family("quantizer", "keras.quantizers", _NAMES, instantiate=False)


def get(identifier: Any, **kwargs: Any) -> Any:
    """Turn None, a name, a config, a class or a quantizer into a quantizer.

    Args:
        identifier: which one.
        **kwargs: for the constructor, where `identifier` is a name or class.

    Example:
        >>> staghorn.quantizers.get("abs_max_quantizer", axis=0).axis
        (0,)

    Notes: Keras hands the keywords on as one dict, with which no class can be made.
    """
    found = FAMILY.get(identifier)
    return found(**kwargs) if isinstance(found, type) else found


def serialize(initializer: Any) -> Any:
    """Return the JSON form of a quantizer.

    Example:
        >>> quantizer = staghorn.quantizers.AbsMaxQuantizer(axis=0)
        >>> staghorn.quantizers.serialize(quantizer)["config"]["axis"]
        (0,)
    """
    return FAMILY.serialize(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Build a quantizer from its JSON form.

    Example:
        >>> config = {"class_name": "AbsMaxQuantizer", "config": {"axis": [0]}}
        >>> staghorn.quantizers.deserialize(config).axis
        (0,)
    """
    return FAMILY.deserialize(config, custom_objects)


if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
