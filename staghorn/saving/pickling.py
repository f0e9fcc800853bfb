"""Models in pickles: our own archive as bytes, with nothing in it that runs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from staghorn.engine.serialization import get_registered_name, is_builtin
from staghorn.optimizers.optax_optimizer import transformations
from staghorn.saving.archive import origin, parse_archive, write_checked_archive
from staghorn.saving.models import model_from_archive, model_members
from staghorn.saving.supplied import Supplied
from staghorn.saving.walk import walk


def model_to_bytes(model: Any) -> bytes:
    """Return a model as the bytes of a `.keras` file.

    Example:
        >>> from staghorn.saving.pickling import model_from_bytes, model_to_bytes
        >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
        >>> model_from_bytes(type(model), model_to_bytes(model)).count_params()
        10
    """
    buffer = io.BytesIO()
    write_checked_archive(buffer, model_members(model), **origin())
    return buffer.getvalue()


def model_from_bytes(
    cls: type, data: bytes, custom_objects: Mapping[str, Any] | None = None
) -> Any:
    """Make a model from what `model_to_bytes` returned.

    Args:
        cls: the class of the model; its name in the data stands for it.
        data: the bytes.
        custom_objects: name → class, for the layers inside (see `custom_classes`). Default: None.
    """
    known = {**(custom_objects or {})}
    if not is_builtin(cls):
        known |= {cls.__name__: cls, get_registered_name(cls): cls}
    archive = parse_archive(io.BytesIO(data), "the pickled model")
    return model_from_archive(archive, Supplied(known))


def custom_classes(model: Any) -> dict[str, Any]:
    """Return the classes of a model's layers and optimizers that are not Staghorn's, by name.

    A pickle holds references to them, as it does for any object; and optax's transformations,
    which `copy.deepcopy` and cloudpickle take, but pickle does not.
    """
    items = [item for _, item in walk(model)]
    classes = {type(item) for item in items if not is_builtin(type(item))}
    supplied = {name: given for o in items for name, given in transformations(o).items()}
    ordered = sorted(classes, key=lambda c: c.__qualname__)
    return supplied | {get_registered_name(cls): cls for cls in ordered}
