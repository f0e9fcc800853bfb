"""What people use around models. One name, one file."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from staghorn.config import disable_interactive_logging as disable_interactive_logging
    from staghorn.config import enable_interactive_logging as enable_interactive_logging
    from staghorn.config import is_interactive_logging_enabled as is_interactive_logging_enabled
    from staghorn.engine.dtypes import standardize_dtype as standardize_dtype
    from staghorn.engine.progbar import Progbar as Progbar
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
    from staghorn.training.data import pack_x_y_sample_weight as pack_x_y_sample_weight
    from staghorn.training.data import unpack_x_y_sample_weight as unpack_x_y_sample_weight
    from staghorn.training.py_dataset import PyDataset as PyDataset
    from staghorn.training.py_dataset import Sequence as Sequence
    from staghorn.utils import bounding_boxes as bounding_boxes
    from staghorn.utils import legacy as legacy
    from staghorn.utils.audio import audio_dataset_from_directory as audio_dataset_from_directory
    from staghorn.utils.config import Config as Config
    from staghorn.utils.directories import (
        image_dataset_from_directory as image_dataset_from_directory,
    )
    from staghorn.utils.directories import (
        text_dataset_from_directory as text_dataset_from_directory,
    )
    from staghorn.utils.download import get_file as get_file
    from staghorn.utils.feature_space import FeatureSpace as FeatureSpace
    from staghorn.utils.image import array_to_img as array_to_img
    from staghorn.utils.image import img_to_array as img_to_array
    from staghorn.utils.image import load_img as load_img
    from staghorn.utils.image import save_img as save_img
    from staghorn.utils.numerical import normalize as normalize
    from staghorn.utils.numerical import to_categorical as to_categorical
    from staghorn.utils.random_seed import get_random_seed as get_random_seed
    from staghorn.utils.random_seed import set_random_seed as set_random_seed
    from staghorn.utils.sequence import pad_sequences as pad_sequences
    from staghorn.utils.session import clear_session as clear_session
    from staghorn.utils.splitting import split_dataset as split_dataset
    from staghorn.utils.symbolic import get_source_inputs as get_source_inputs
    from staghorn.utils.symbolic import is_keras_tensor as is_keras_tensor
    from staghorn.utils.timeseries import (
        timeseries_dataset_from_array as timeseries_dataset_from_array,
    )
    from staghorn.visualization.model_to_code import model_to_code as model_to_code
    from staghorn.visualization.plot import model_to_dot as model_to_dot
    from staghorn.visualization.plot import plot_model as plot_model

# name → module that defines it
_NAMES = {
    "Config": "utils.config",
    "CustomObjectScope": "engine.serialization",
    "FeatureSpace": "utils.feature_space",
    "Progbar": "engine.progbar",
    "PyDataset": "training.py_dataset",
    "Sequence": "training.py_dataset",
    "array_to_img": "utils.image",
    "audio_dataset_from_directory": "utils.audio",
    "clear_session": "utils.session",
    "custom_object_scope": "engine.serialization",
    "deserialize_keras_object": "engine.serialization",
    "disable_interactive_logging": "config",
    "enable_interactive_logging": "config",
    "get_custom_objects": "engine.serialization",
    "get_file": "utils.download",
    "get_random_seed": "utils.random_seed",
    "get_registered_name": "engine.serialization",
    "get_registered_object": "engine.serialization",
    "get_source_inputs": "utils.symbolic",
    "image_dataset_from_directory": "utils.directories",
    "img_to_array": "utils.image",
    "is_interactive_logging_enabled": "config",
    "is_keras_tensor": "utils.symbolic",
    "load_img": "utils.image",
    "model_to_code": "visualization.model_to_code",
    "model_to_dot": "visualization.plot",
    "normalize": "utils.numerical",
    "pack_x_y_sample_weight": "training.data",
    "pad_sequences": "utils.sequence",
    "plot_model": "visualization.plot",
    "register_keras_serializable": "engine.serialization",
    "save_img": "utils.image",
    "serialize_keras_object": "engine.serialization",
    "set_random_seed": "utils.random_seed",
    "split_dataset": "utils.splitting",
    "standardize_dtype": "engine.dtypes",
    "text_dataset_from_directory": "utils.directories",
    "timeseries_dataset_from_array": "utils.timeseries",
    "to_categorical": "utils.numerical",
    "unpack_x_y_sample_weight": "training.data",
}

_MODULES = ("bounding_boxes", "legacy")

__all__ = sorted((*_NAMES, *_MODULES))


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"staghorn.utils.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"staghorn.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    from staghorn.engine.registry import missing_names

    return missing_names(__name__, __all__)(name)


def __dir__() -> list[str]:
    return list(__all__)
