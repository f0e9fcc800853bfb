"""The oldest dialect of the format that says the same thing.

Keras refuses configs with keys it does not know, and each version added some. A key that holds
its default says nothing: without it, older versions open the file too.
"""

from __future__ import annotations

from typing import Any

_VARIANCE_SCALING = {"input_axes": None, "output_axes": None}  # keras 3.15
_QUANTIZATION = {"quantization_config": None}  # keras 3.13
_HASHING = {"oov_method": "floormod", "salt": None}

# class → the later keys and their defaults
_LATER_KEYS: dict[str, dict[str, Any]] = {
    "InputLayer": {"ragged": False, "optional": False},  # keras 3.9, 3.13
    "Dense": _QUANTIZATION,
    "EinsumDense": _QUANTIZATION,
    "Embedding": _QUANTIZATION,
    "BatchNormalization": {  # keras 3.14
        "renorm": False,
        "renorm_clipping": None,
        "renorm_momentum": 0.99,
    },
    "MultiHeadAttention": {"use_gate": False, "sliding_window": None},  # keras 3.14
    "GroupQueryAttention": {"use_gate": False, "sliding_window": None},
    "VarianceScaling": _VARIANCE_SCALING,
    "GlorotUniform": _VARIANCE_SCALING,
    "GlorotNormal": _VARIANCE_SCALING,
    "HeUniform": _VARIANCE_SCALING,
    "HeNormal": _VARIANCE_SCALING,
    "LecunUniform": _VARIANCE_SCALING,
    "LecunNormal": _VARIANCE_SCALING,
    # keras 3.11 to 3.15
    "IntegerLookup": _HASHING,
    "StringLookup": _HASHING,
}
# The family of a class of which another has the same name.
_LATER_IN: dict[str, dict[str, dict[str, Any]]] = {
    "keras.losses": {"SparseCategoricalCrossentropy": {"axis": -1}},
    "keras.metrics": {"SparseCategoricalCrossentropy": {"ignore_class": None}},
}
_OPS = "keras.src.ops."


def oldest_dialect(config: Any) -> Any:
    """Return a config without the keys that only say what is said anyway.

    Args:
        config: the JSON form of an object, of any depth.

    Example:
        >>> from staghorn.saving.dialect import oldest_dialect
        >>> oldest_dialect({"module": "keras.layers", "class_name": "Dense",
        ...                 "config": {"units": 3, "quantization_config": None}})["config"]
        {'units': 3}
    """
    if isinstance(config, (list, tuple)):
        return [oldest_dialect(item) for item in config]
    if not isinstance(config, dict):
        return config
    result = {key: oldest_dialect(value) for key, value in config.items()}
    module, inner = result.get("module"), result.get("config")
    if not isinstance(module, str) or not isinstance(inner, dict):
        return result
    if module.startswith(_OPS) and "name" in result:  # which is the same one, beside the config
        later = {"name": result["name"]}
    elif module.split(".")[0] == "keras":
        cls = str(result.get("class_name"))
        later = {**_LATER_KEYS.get(cls, {}), **_LATER_IN.get(module, {}).get(cls, {})}
    else:
        return result
    result["config"] = {
        key: value for key, value in inner.items() if key not in later or value != later[key]
    }
    return result
