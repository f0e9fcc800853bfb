"""The serialization of Keras 2: names are looked up where the caller says."""

from collections.abc import Mapping
from typing import Any

from staghorn.engine.registry import suggestion
from staghorn.engine.serialization import get_custom_objects, get_registered_name

__all__ = ["deserialize_keras_object", "serialize_keras_object"]


def serialize_keras_object(instance: Any) -> Any:
    """Return an object as its class's name and its config, a function as its name.

    Example:
        >>> staghorn.utils.legacy.serialize_keras_object(staghorn.regularizers.L2(0.5))
        {'class_name': 'L2', 'config': {'l2': 0.5}}
    """
    if instance is None:
        return None
    if hasattr(instance, "get_config"):
        name = get_registered_name(type(instance))
        return {"class_name": name, "config": instance.get_config()}
    if hasattr(instance, "__name__"):
        return get_registered_name(instance)
    raise ValueError(f"serialize_keras_object: {instance!r} has neither a get_config() nor a name.")


def deserialize_keras_object(
    identifier: Any,
    module_objects: Mapping[str, Any] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """Return what `serialize_keras_object` described.

    Args:
        identifier: a dict with `class_name` and `config`; a name; or the object itself.
        module_objects: what names may stand for, such as `vars(staghorn.regularizers)`.
            Default: None.
        custom_objects: more of it, looked at first. Default: None.
        printable_module_name: what to call it in errors. Default: "object".

    Raises:
        ValueError: for an unknown name.

    Example:
        >>> config = {"class_name": "L2", "config": {"l2": 0.5}}
        >>> restore = staghorn.utils.legacy.deserialize_keras_object
        >>> restore(config, vars(staghorn.regularizers)).get_config()
        {'l2': 0.5}
    """
    if identifier is None or not isinstance(identifier, (str, dict)):
        return identifier
    name = identifier if isinstance(identifier, str) else identifier["class_name"]
    known = {**(module_objects or {}), **get_custom_objects(), **(custom_objects or {})}
    if name not in known:
        raise ValueError(
            f"Unknown {printable_module_name} {name!r}.{suggestion(name, known)} "
            "Pass it with custom_objects."
        )
    found = known[name]
    if isinstance(identifier, str):
        return found() if isinstance(found, type) else found
    config = identifier.get("config", {})
    return found.from_config(config) if hasattr(found, "from_config") else found(**config)
