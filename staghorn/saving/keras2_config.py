"""Configs of Keras 2 (and of Keras 3's old HDF5 format) in today's spelling, and the way back.

Old configs name classes without saying where they are, write graphs as nests of lists, and hold
arguments that are gone. No layer is made here: JSON goes in, JSON comes out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from staghorn import constraints, initializers, layers, losses, metrics, optimizers, regularizers
from staghorn.engine.serialization import (
    get_registered_object,
    parameter_names,
    serialize_keras_object,
)
from staghorn.optimizers.schedules import InverseTimeDecay

_FAMILIES = {
    "keras.layers": layers,
    "keras.initializers": initializers,
    "keras.regularizers": regularizers,
    "keras.constraints": constraints,
    "keras.losses": losses,
    "keras.metrics": metrics,
    "keras.optimizers": optimizers,
    "keras.optimizers.schedules": optimizers.schedules,
}
# The key under which an object stands -> where its class is. Other keys are as around them.
_SLOTS = {
    "initializer": "keras.initializers",
    "regularizer": "keras.regularizers",
    "constraint": "keras.constraints",
    "layer": "keras.layers",
    "layers": "keras.layers",
    "cell": "keras.layers",
    "cells": "keras.layers",
    "loss": "keras.losses",
    "metrics": "keras.metrics",
    "optimizer": "keras.optimizers",
    "rate": "keras.optimizers.schedules",
}
_CLASSES = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "Model": "Functional",
}
_MODELS = ("Functional", "Sequential")
_OLD_MODULE = re.compile(
    r"(tf_keras|tensorflow|keras\.engine|keras\.src\.engine)\b|keras\.(mixed|.*\blegacy$)"
)
# Arguments that are gone: those that never mattered, and those that did unless they were so.
_GONE = frozenset(
    (
        "dtype", "filters", "fn", "function_type", "fused", "implementation", "input_length",
        "is_legacy_optimizer", "jit_compile", "kernel_constraint", "kernel_initializer",
        "kernel_regularizer", "key_shape", "mask_module", "mask_type", "module",
        "output_shape_module", "output_shape_type", "query_shape", "robust_masking",
        "softmax_robust_masking", "value_shape",
    )
)  # fmt: skip
_GONE_IF = {"dynamic": False, "groups": 1, "schedule_decay": 0.004, "time_major": False}
_RENAMED = {"alpha": "negative_slope", "batch_input_shape": "batch_shape", "lr": "learning_rate"}
_COMPILE_KEYS = ("optimizer", "loss", "metrics", "loss_weights", "weighted_metrics")
# Functions of TensorFlow in graphs, by the last part of the name; and what is called otherwise.
_OPS = frozenset(
    (
        "add", "subtract", "multiply", "divide", "maximum", "minimum", "negative", "exp", "log",
        "sqrt", "square", "sin", "cos", "tanh", "sigmoid", "relu", "softmax", "stack", "squeeze",
        "expand_dims", "reshape", "transpose", "matmul", "absolute", "clip", "concatenate",
        "get_item", "power", "max", "mean", "min", "sum",
    )
)  # fmt: skip
_OP_NAMES = {
    "abs": "absolute", "clip_by_value": "clip", "concat": "concatenate", "getitem": "get_item",
    "pow": "power", "reduce_max": "max", "reduce_mean": "mean", "reduce_min": "min",
    "reduce_sum": "sum", "truediv": "divide", "b": "x2", "clip_value_max": "x_max",
    "clip_value_min": "x_min", "perm": "axes", "shape": "newshape", "slice_spec": "key",
    "y": "x2",
}  # fmt: skip
_CONSTANT = "_CONSTANT_VALUE"
_RNN = ("RNN", "SimpleRNN", "GRU", "LSTM", "Bidirectional")


def modern_config(config: Any, slot: str = "layer") -> Any:
    """Return a config in today's spelling; one that has it already stays as it is.

    Args:
        config: parsed JSON.
        slot: what it is for: a key of a config, such as "layer" or "optimizer". Default: "layer".

    Example:
        >>> from staghorn.saving.keras2_config import modern_config
        >>> old = {"class_name": "LSTM", "config": {"units": 3, "time_major": False}}
        >>> modern_config(old)["module"], modern_config(old)["config"]
        ('keras.layers', {'units': 3})
    """
    return _modern(config, _SLOTS[slot])


def _modern(value: Any, family: str) -> Any:
    if isinstance(value, list):
        return [_modern(item, family) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") in ("__tuple__", "TensorShape") and "items" in value:
        return _modern(value["items"], family)
    if isinstance(value.get("class_name"), str) and "config" in value:
        return _object(value, family)
    return {key: _modern(inner, _family(key, family)) for key, inner in value.items()}


def _family(key: str, outer: str) -> str:
    return _SLOTS.get(key) or _SLOTS.get(key.rsplit("_", maxsplit=1)[-1], outer)


def _object(value: dict[str, Any], family: str) -> dict[str, Any]:
    name, config = value["class_name"], value["config"]
    if name in ("Policy", "PolicyV1"):
        policy = {"name": config["name"]}
        return {"module": "keras", "class_name": "DTypePolicy", "config": policy}
    if name.startswith("__") or name == "function":
        return value
    if name == "Sequential" and isinstance(config, list):
        config = {"layers": config}
    if not isinstance(config, dict):
        return value
    custom = value.get("registered_name") or name
    if get_registered_object(custom) is None and get_registered_object(name) is None:
        name = _CLASSES.get(name, name).removeprefix("Custom>")
        module = value.get("module")
        if not isinstance(module, str) or _OLD_MODULE.match(module):
            module = _module(name, value, family)
        value = {**value, "class_name": name, "module": module, "registered_name": None}
        if module == "keras.src.models.functional":
            value["registered_name"] = name
    else:
        value = {"module": None, "registered_name": custom, **value}
    config = {key: _modern(inner, _family(key, family)) for key, inner in config.items()}
    known = getattr(_FAMILIES.get(value["module"]), name, None)
    if isinstance(known, type):
        config = _arguments(known, config)
        value.pop("build_config", None)  # calls build it; today's shapes have other names
    if name == "Functional" and "input_layers" in config:
        config = _graph(config)
    elif name == "Sequential":
        config["layers"] = _with_input(config["layers"], value["config"])
    return {**value, "config": config}


def _module(name: str, value: dict[str, Any], family: str) -> str | None:
    if name in _MODELS:
        return "keras" if name == "Sequential" else "keras.src.models.functional"
    is_op = "inbound_nodes" in value and not {"dtype", "trainable"} & set(value["config"])
    if is_op:
        return "keras.src.ops.numpy"
    return None if ">" in name else family


def _arguments(cls: type, config: dict[str, Any]) -> dict[str, Any]:
    """Drop what said nothing, rename what has another name. The class tells of the rest."""
    known, result = parameter_names(cls), {}
    for key, value in config.items():
        if key in known:
            result[key] = value
        elif _RENAMED.get(key) in known:
            result[_RENAMED[key]] = value
        elif not (key in _GONE or key == "batch_input_shape" or _says_nothing(key, value)):
            result[key] = value
    fix = _FIXES.get(cls.__name__)
    if fix is not None:
        fix(result)
    decay = result.pop("decay", 0) if issubclass(cls, optimizers.Optimizer) else 0
    if decay:  # a schedule, which the optimizer knows by its name
        schedule = InverseTimeDecay(result["learning_rate"], 1, decay, name="decay")
        result["learning_rate"] = serialize_keras_object(schedule)
    if result.get("reduction") == "auto":
        result["reduction"] = "sum_over_batch_size"
    return result


def _says_nothing(key: str, value: Any) -> bool:
    return value == _GONE_IF.get(key, ...) or (
        key in ("num_constants", "virtual_batch_size") and not value
    )


def _fix_axis(config: dict[str, Any]) -> None:
    axis = config.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]


def _fix_gru(config: dict[str, Any]) -> None:
    config.setdefault("reset_after", False)  # before it was an argument


def _fix_lambda(config: dict[str, Any]) -> None:
    for key in ("function", "output_shape", "mask"):
        value = config.get(key)
        if isinstance(value, list) and value and isinstance(value[0], str):
            config[key] = {"class_name": "__lambda__", "config": {"code": value[0]}}
        elif isinstance(value, str):
            config[key] = {"module": "builtins", "class_name": "function", "config": value}


_FIXES: dict[str, Callable[[dict[str, Any]], None]] = {
    "BatchNormalization": _fix_axis,
    "GRU": _fix_gru,
    "GRUCell": _fix_gru,
    "Lambda": _fix_lambda,
}


def _with_input(entries: list[Any], old: Any) -> list[Any]:
    """Put an InputLayer in front of layers, the first of which had the shape as an argument."""
    first = (old["layers"] if isinstance(old, dict) else old)[0] if entries else {}
    shape = first["config"].get("batch_input_shape") if first else None
    if shape is None or first["class_name"] == "InputLayer":
        return entries
    config = {"batch_shape": shape, "name": f"{first['config'].get('name')}_input"}
    module = {"module": "keras.layers", "registered_name": None}
    return [{"class_name": "InputLayer", "config": config, **module}, *entries]


# Graphs --------------------------------------------------------------------------------------


def _graph(config: dict[str, Any]) -> dict[str, Any]:
    """Write the calls of a Functional model as today; models inside count theirs from 0."""
    entries = config["layers"]
    calls = {entry["name"]: entry.get("inbound_nodes", []) for entry in entries} | {_CONSTANT: []}
    if not any(isinstance(node, list) for nodes in calls.values() for node in nodes):
        return config
    ends = [config["input_layers"], config["output_layers"]]
    used = list(_addresses([list(calls.values()), ends], calls))
    classes = {entry["name"]: entry["class_name"] for entry in entries}
    first = {
        name: 1
        for name, cls in classes.items()
        if cls in _MODELS
        and (name, 0) not in used
        and (cls == "Functional" or (name, len(calls[name])) in used)
    }

    def address(item: list) -> list:
        return [item[0], item[1] - first.get(item[0], 0), item[2]]

    def tensor(item: Any) -> Any:
        if _is_address(item, calls):
            if item[0] == _CONSTANT:
                return item[2]
            inner = {"shape": [], "dtype": "float32", "keras_history": address(item)}
            return {"class_name": "__keras_tensor__", "config": inner}
        return _map(tensor, item)

    def end(item: Any) -> Any:
        if _is_address(item, calls):
            name, index, output = address(item)
            return [name, index + (classes[name] == "Functional"), output]
        return _map(end, item)

    def call(node: Any, cls: str) -> Any:
        if not isinstance(node, list):
            return node  # today's form
        one = _is_address(node, calls)
        inputs = tensor(node)
        more = (node if one else node[0])[3:]
        kwargs = {key: tensor(value) for key, value in (more[0] if more else {}).items()}
        args = [inputs] if one or len(inputs) > 1 else inputs
        if cls in _RNN and not one and len(inputs) > 1:  # the state came after the sequence
            args, kwargs = inputs[:1], {**kwargs, "initial_state": inputs[1:]}
        return {"args": args, "kwargs": kwargs}

    for entry in entries:
        nodes = entry.get("inbound_nodes", [])
        entry["inbound_nodes"] = [call(node, entry["class_name"]) for node in nodes]
        if entry["class_name"] in ("TFOpLambda", "SlicingOpLambda"):
            _become_op(entry)
    return {**config, "input_layers": end(ends[0]), "output_layers": end(ends[1])}


def _become_op(entry: dict[str, Any]) -> None:
    """Make a call of one of TensorFlow's functions a call of ours."""
    function = entry["config"]["function"]
    name = function.rsplit(".", maxsplit=1)[-1]
    name = _OP_NAMES.get(name, name)
    if name not in _OPS:
        entry["class_name"] += f" of tf.{function}"
        return
    entry["class_name"] = "".join(part.capitalize() for part in name.split("_"))
    entry["module"], entry["config"] = "keras.src.ops.numpy", {"name": entry["name"]}
    for node in entry["inbound_nodes"]:
        # What is not said, or False, is the default.
        given = {k: v for k, v in node["kwargs"].items() if v is not None and v is not False}
        node["kwargs"] = {_OP_NAMES.get(key, key): value for key, value in given.items()}
        if name == "get_item":
            node["args"].append(_map(_slice, node["kwargs"].pop("key")))


def _slice(item: Any) -> Any:
    return {"class_name": "__slice__", "config": item} if isinstance(item, dict) else item


def _map(function: Callable[[Any], Any], nest: Any) -> Any:
    if isinstance(nest, list):
        return [function(item) for item in nest]
    if isinstance(nest, dict):
        return {key: function(value) for key, value in nest.items()}
    return nest


def _is_address(item: Any, names: Mapping[str, Any]) -> bool:
    return (
        isinstance(item, list)
        and len(item) in (3, 4)
        and isinstance(item[0], str)
        and item[0] in names
        and (item[0] == _CONSTANT or all(type(number) is int for number in item[1:3]))
    )


def _addresses(nest: Any, names: Mapping[str, Any]) -> Any:
    if _is_address(nest, names):
        yield (nest[0], nest[1])
        nest = nest[3:]
    for item in nest.values() if isinstance(nest, dict) else nest if isinstance(nest, list) else ():
        yield from _addresses(item, names)


# Training ------------------------------------------------------------------------------------


def modern_training(training: dict[str, Any], model_config: dict[str, Any]) -> dict[str, Any]:
    """Return what `compile` gets for the training config of an old file.

    Args:
        training: parsed JSON.
        model_config: the model's config in today's spelling: it says what the outputs are called.
    """
    old = {"optimizer": training.get("optimizer_config"), **training}
    new = {
        key: _modern(old[key], _family(key, "keras.losses"))
        for key in _COMPILE_KEYS
        if old.get(key) is not None
    }
    ends = model_config["config"].get("output_layers") or []
    names = [item[0] for item in ends if isinstance(item, list)]
    for key in ("metrics", "weighted_metrics"):
        if key in new:
            new[key] = _metrics(new[key], names)
    return new


def _metrics(value: Any, outputs: list[str]) -> Any:
    if isinstance(value, dict) and "class_name" not in value:
        return {key: _metrics(inner, [key]) for key, inner in value.items()}
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, list) for item in items):
        if len(items) == 1:
            return _metrics(items[0], outputs)
        if len(items) == len(outputs):
            return {name: _metrics(item, [name]) for name, item in zip(outputs, items, strict=True)}
        return [_metrics(item, outputs) for item in items]
    return [_metric(item, outputs) for item in items if item is not None]


def _metric(value: Any, outputs: list[str]) -> Any:
    """Return a metric; Keras 2 wrapped functions, and put the output's name before theirs."""
    if not isinstance(value, dict) or value.get("class_name") != "MeanMetricWrapper":
        return value
    config = dict(value["config"])
    for output in outputs:
        config["name"] = config["name"].removeprefix(f"{output}_")
    if isinstance(config["fn"], str):
        if config["name"] in ("acc", "accuracy", config["fn"]):
            return config["name"]
        config["fn"] = {"module": "builtins", "class_name": "function", "config": config["fn"]}
    return {**value, "config": config}


# Writing -------------------------------------------------------------------------------------


def old_form(value: Any) -> Any:
    """Return a config as the old HDF5 format has it: classes without their modules.

    Example:
        >>> from staghorn.saving.keras2_config import old_form
        >>> old_form({"module": "keras.layers", "class_name": "ReLU", "config": {"name": "r"}})
        {'class_name': 'ReLU', 'config': {'name': 'r'}}
    """
    if isinstance(value, list):
        return [old_form(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "class_name" not in value:
        return {key: old_form(inner) for key, inner in value.items()}
    if value["class_name"] == "function":
        return value["config"]
    if str(value.get("module")).startswith("keras.src.ops."):
        return value  # which is not found without it
    config = value["config"]
    if "layers" in config:
        config = {**config, "layers": [old_form(layer) for layer in config["layers"]]}
    rest = {key: value[key] for key in ("name", "inbound_nodes") if key in value}
    name = value.get("registered_name") or value["class_name"]
    return {"class_name": name, "config": config, **rest}
