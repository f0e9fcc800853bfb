"""Saving and loading: models in Keras 3's `.keras` format, weights, and objects as JSON."""

from staghorn.engine.serialization import CustomObjectScope as CustomObjectScope
from staghorn.engine.serialization import custom_object_scope as custom_object_scope
from staghorn.engine.serialization import deserialize_keras_object as deserialize_keras_object
from staghorn.engine.serialization import get_custom_objects as get_custom_objects
from staghorn.engine.serialization import get_registered_name as get_registered_name
from staghorn.engine.serialization import get_registered_object as get_registered_object
from staghorn.engine.serialization import (
    register_keras_serializable as register_keras_serializable,
)
from staghorn.engine.serialization import serialize_keras_object as serialize_keras_object
from staghorn.saving.errors import CorruptFileError as CorruptFileError
from staghorn.saving.errors import UnsafeFileError as UnsafeFileError
from staghorn.saving.file_editor import KerasFileEditor as KerasFileEditor
from staghorn.saving.inspection import inspect as inspect
from staghorn.saving.models import load_model as load_model
from staghorn.saving.models import model_from_json as model_from_json
from staghorn.saving.models import save_model as save_model
from staghorn.saving.weights import load_weights as load_weights
from staghorn.saving.weights import save_weights as save_weights

__all__ = [
    "CorruptFileError", "CustomObjectScope", "KerasFileEditor", "UnsafeFileError",
    "custom_object_scope", "deserialize_keras_object", "get_custom_objects", "get_registered_name",
    "get_registered_object", "inspect", "load_model", "load_weights", "register_keras_serializable",
    "save_model", "save_weights", "serialize_keras_object",
]  # fmt: skip
