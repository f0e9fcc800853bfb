"""What people use around models. One name, one file."""

from typing import TYPE_CHECKING

from staghorn.engine.lazy import lazy_names

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

# module → what is public in it
_HOMES = {
    "config":
        "disable_interactive_logging enable_interactive_logging "
        "is_interactive_logging_enabled",
    "engine.dtypes": "standardize_dtype",
    "engine.progbar": "Progbar",
    "engine.serialization":
        "CustomObjectScope custom_object_scope deserialize_keras_object get_custom_objects "
        "get_registered_name get_registered_object register_keras_serializable "
        "serialize_keras_object",
    "training.data": "pack_x_y_sample_weight unpack_x_y_sample_weight",
    "training.py_dataset": "PyDataset Sequence",
    "utils.audio": "audio_dataset_from_directory",
    "utils.config": "Config",
    "utils.directories": "image_dataset_from_directory text_dataset_from_directory",
    "utils.download": "get_file",
    "utils.feature_space": "FeatureSpace",
    "utils.image": "array_to_img img_to_array load_img save_img",
    "utils.numerical": "normalize to_categorical",
    "utils.random_seed": "get_random_seed set_random_seed",
    "utils.sequence": "pad_sequences",
    "utils.session": "clear_session",
    "utils.splitting": "split_dataset",
    "utils.symbolic": "get_source_inputs is_keras_tensor",
    "utils.timeseries": "timeseries_dataset_from_array",
    "visualization.model_to_code": "model_to_code",
    "visualization.plot": "model_to_dot plot_model",
}  # fmt: skip

if not TYPE_CHECKING:
    __all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES, "bounding_boxes legacy")
