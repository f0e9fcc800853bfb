"""A graph of layers to JSON and back, in the form of Keras's files.

`inbound_nodes` lists each call of a layer that belongs to the model; a tensor is named by
`[layer, which call, which output]`. Calls of a nested Functional model are counted from 1 in
`input_layers` and `output_layers`, and from 0 everywhere else, as Keras does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from staghorn import activations
from staghorn.engine import naming, tree
from staghorn.engine.registry import unknown_name
from staghorn.engine.serialization import config_value, deserialize_as, serialize_keras_object
from staghorn.engine.symbolic import KerasTensor, OpCall, has_symbolic, node_of
from staghorn.layers.call import signature_of

_OP_MODULES = ("numpy", "nn", "math", "linalg", "core", "image")
# Where Keras has the ops of our other files; elementwise ones that are activations are in nn too.
_OP_FILES = {
    **dict.fromkeys(("activation", "attention", "convolution", "ctc", "pooling"), "nn"),
    **dict.fromkeys(("image_filters", "image_quality", "image_sampling"), "image"),
    "rearranging": "nn",
}
# Ops whose class in Keras takes every argument in the call, and where it is.
_CALLED_WITH_ALL = {"rearrange": "einops"}
_IN_MATH = frozenset(("erf", "erfc", "erfinv", "rsqrt"))
# Ops whose class in Keras is not called as they are.
_OP_CLASSES = {
    **{n: n.upper() for n in ("fft", "fft2", "ifft2", "irfft", "istft", "jvp", "psnr", "rfft")},
    **{n: n.upper() for n in ("stft", "svd")},
    "allclose": "AllClose",
    "batch_normalization": "BatchNorm",
    "cdist": "CDist",
    "ctc_decode": "CTCDecode",
    "ctc_loss": "CTCLoss",
    "extract_patches_3d": "ExtractPatches3D",
    "hard_swish": "HardSilu",
    "hsv_to_rgb": "HSVToRGB",
    "isin": "IsIn",
    "layer_normalization": "LayerNorm",
    "rgb_to_grayscale": "RGBToGrayscale",
    "rgb_to_hsv": "RGBToHSV",
    "rms_normalization": "RMSNorm",
    "searchsorted": "SearchSorted",
    "ssim": "SSIM",
    "swish": "Silu",
}
_OPS_OF_CLASSES = {cls: name for name, cls in _OP_CLASSES.items()}


def graph_config(model: Any) -> dict[str, Any]:
    """Return the config of a Functional model."""
    members = {id(node) for node in model._graph.nodes}
    positions: dict[int, int] = {}
    for operation in model.operations:
        mine = [node for node in operation._inbound_nodes if id(node) in members]
        positions.update({id(node): place for place, node in enumerate(mine)})

    def address(tensor: KerasTensor) -> list:
        history = tensor._keras_history
        node = node_of(tensor)
        assert history is not None
        assert node is not None
        return [history.operation.name, positions[id(node)], history.tensor_index]

    def end(tensor: KerasTensor) -> list:
        name, index, output = address(tensor)
        return [name, index + _first_call(tensor._keras_history.operation), output]  # type: ignore[union-attr]

    layers = []
    for operation in model.operations:
        nodes = [node for node in operation._inbound_nodes if id(node) in members]
        config = _operation_config(operation, nodes)
        config["name"] = operation.name
        config["inbound_nodes"] = [
            _node_config(node, address) for node in nodes if node.input_tensors
        ]
        layers.append(config)
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": tree.map_structure(end, model._inputs_struct),
        "output_layers": tree.map_structure(end, model._outputs_struct),
    }


def _first_call(operation: Any) -> int:
    """Keras gives a nested Functional model a call 0 of its own."""
    return int(hasattr(operation, "_inputs_struct"))


def _node_config(node: Any, address: Callable) -> dict[str, Any]:
    def argument(value: Any) -> Any:
        if isinstance(value, KerasTensor):
            config = {
                "shape": list(value.shape),
                "dtype": value.dtype,
                "keras_history": address(value),
            }
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(value, (list, tuple)):
            return [argument(v) for v in value]
        if isinstance(value, dict):
            return {key: argument(v) for key, v in value.items()}
        return config_value(value)

    if isinstance(node.operation, OpCall) and not _takes_all(node.operation):
        positional, _ = _split_op_call(node)
        return {"args": [argument(v) for v in positional], "kwargs": {}}
    given = {key: argument(v) for key, v in node.kwargs.items()}
    unsaid = {} if isinstance(node.operation, OpCall) else _unsaid(node)
    return {"args": [argument(v) for v in node.args], "kwargs": given | unsaid}


def _takes_all(operation: OpCall) -> bool:
    return operation.function.__name__ in _CALLED_WITH_ALL


def _unsaid(node: Any) -> dict[str, Any]:
    """Return the arguments of a layer's call that Keras writes though nobody gave them."""
    signature = signature_of(type(node.operation).call)
    given = {*node.kwargs, *signature.names[: len(node.args)]}
    unsaid: dict[str, Any] = {}
    if "training" not in given and signature.training_default is not None:
        unsaid["training"] = signature.training_default
    tensors = sum(has_symbolic(value) for value in (*node.args, *node.kwargs.values()))
    if "mask" not in given and signature.has_mask and tensors == 1:
        unsaid["mask"] = None
    return unsaid


def _split_op_call(node: Any) -> tuple[list, dict[str, Any]]:
    """Divide an op's arguments into those of the call and those Keras keeps in the config."""
    signature = inspect.signature(node.operation.function)
    bound = signature.bind(*node.args, **node.kwargs)
    positional, config = [], {}
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        operand = name in ("x1", "x2", "x", "key", "condition") or has_symbolic(value)
        if kind is inspect.Parameter.VAR_POSITIONAL:
            positional.extend(value)
        elif operand and kind is not inspect.Parameter.VAR_KEYWORD:
            positional.append(value)
        else:
            config[name] = value
    return positional, config


def _operation_config(operation: Any, nodes: list) -> dict[str, Any]:
    if not isinstance(operation, OpCall):
        return serialize_keras_object(operation)
    name = operation.function.__name__
    class_name = _OP_CLASSES.get(name) or "".join(part.capitalize() for part in name.split("_"))
    static = {} if _takes_all(operation) else _split_op_call(nodes[0])[1]
    return {
        "module": f"keras.src.ops.{_op_module(operation.function)}",
        "class_name": class_name,
        "config": {"name": operation.name, **{k: config_value(v) for k, v in static.items()}},
        "registered_name": class_name,
    }


def _op_module(function: Callable) -> str:
    module, name = function.__module__.rsplit(".", maxsplit=1)[-1], function.__name__
    if module in _OP_MODULES:
        return module
    if name in _CALLED_WITH_ALL:
        return _CALLED_WITH_ALL[name]
    if name in _IN_MATH:
        return "math"
    if module == "elementwise" and name != "tanh":
        activation = hasattr(activations, name) or name in ("hard_swish", "swish")
        return "nn" if activation else "numpy"
    return _OP_FILES.get(module, "numpy")


def rebuild_graph(config: dict[str, Any], deserialize: Callable) -> tuple[Any, Any]:
    """Make layers and calls from a config; return the nests of inputs and outputs."""
    operations: dict[str, Any] = {}
    waiting: list[tuple[str, dict]] = []
    for entry in config["layers"]:
        name = entry.get("name") or entry["config"]["name"]
        operations[name] = _make_operation(entry, deserialize)
        waiting.extend((name, node) for node in entry.get("inbound_nodes", []))
    made: dict[tuple[str, int], list] = {}
    counts = dict.fromkeys(operations, 0)
    for name, operation in operations.items():
        if not isinstance(operation, _SavedOp) and operation._inbound_nodes:  # an InputLayer
            made[name, 0] = operation._inbound_nodes[0].outputs
    while waiting:
        left = _replay(waiting, operations, made, counts)
        if len(left) == len(waiting):
            raise ValueError(
                f"The graph of model {config.get('name')!r} cannot be rebuilt: the calls of "
                f"{sorted({name for name, _ in left})} depend on tensors that nothing makes."
            )
        waiting = left

    def find(item: Any) -> Any:
        if _is_address(item):
            name, index, position = item[:3]
            return made[name, index - _first_call(operations[name])][position]
        if isinstance(item, dict):
            return {key: find(value) for key, value in item.items()}
        return [find(value) for value in item]

    inputs, outputs = find(config["input_layers"]), find(config["output_layers"])
    return _single(config["input_layers"], inputs), _single(config["output_layers"], outputs)


def _single(addresses: Any, found: Any) -> Any:
    return found if _is_address(addresses) or not isinstance(found, list) else list(found)


def _is_address(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and len(item) >= 3 and isinstance(item[0], str)


class _SavedOp:
    """An op from a file: a function of ours and the arguments that its config holds."""

    def __init__(self, function: Callable, name: str, static: dict[str, Any]) -> None:
        self.function = function
        self.name = name
        self.static = static

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.function.__name__ == "get_item" and len(args) == 2 and isinstance(args[1], list):
            args = (args[0], tuple(args[1]))  # JSON has no tuples
        static = dict(self.static)
        parameters = inspect.signature(self.function).parameters
        if any(p.kind is p.VAR_POSITIONAL for p in parameters.values()):  # einsum(subscripts, *x)
            args = (*(static.pop(name) for name in parameters if name in static), *args)
        call = OpCall(self.function, name=self.name)
        return call(*args, **static, **kwargs)


def _make_operation(entry: dict[str, Any], deserialize: Callable) -> Any:
    module = entry.get("module") or ""
    if not module.startswith("keras.src.ops."):
        return deserialize_as("layer", entry)
    from staghorn import ops

    cls = entry["class_name"]
    wanted = _OPS_OF_CLASSES.get(cls) or naming.to_snake_case(cls)
    home: Any = ops.image if wanted in ops.image.__all__ else ops
    if wanted not in home.__all__:
        raise unknown_name("op", wanted, [*ops.__all__, *ops.image.__all__])
    function = getattr(home, wanted)
    # Beside the op's own arguments a config may hold its name and its type policy.
    accepted = inspect.signature(function).parameters
    static = {
        key: deserialize(value)
        for key, value in entry["config"].items()
        if key in accepted and not (key == "dtype" and isinstance(value, dict))
    }
    name = entry.get("name") or entry["config"]["name"]
    return _SavedOp(function, name, static)


def _replay(waiting: list, operations: dict, made: dict, counts: dict) -> list:
    """Repeat the calls whose inputs exist; return those that must wait."""
    left = []
    blocked: set[str] = set()
    for name, node in waiting:
        # The calls of one layer keep their order, or their numbers would be wrong.
        if name in blocked:
            left.append((name, node))
            continue
        try:
            args, kwargs = _node_arguments(node, made)
        except KeyError:
            left.append((name, node))
            blocked.add(name)
            continue
        outputs = operations[name](*args, **kwargs)
        made[name, counts[name]] = [t for t in tree.flatten(outputs) if isinstance(t, KerasTensor)]
        counts[name] += 1
    return left


def _node_arguments(node: Any, made: dict) -> tuple[list, dict]:
    """Return a saved call's arguments with tensors in place; KeyError while one is missing."""

    def argument(value: Any) -> Any:
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            name, index, position = value["config"]["keras_history"]
            return made[name, index][position]
        if isinstance(value, dict) and "class_name" in value:
            from staghorn.engine.serialization import deserialize_keras_object

            return deserialize_keras_object(value)
        if isinstance(value, list):
            return [argument(v) for v in value]
        if isinstance(value, dict):
            return {key: argument(v) for key, v in value.items()}
        return value

    return argument(node["args"]), argument(node["kwargs"])
