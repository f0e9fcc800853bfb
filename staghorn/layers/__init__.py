"""Layers: `keras.layers`. One file per family; the base class is in `layer.py`."""

from typing import TYPE_CHECKING, Any

from staghorn.engine.registry import missing_names
from staghorn.engine.serialization import deserialize_keras_object, serialize_keras_object
from staghorn.layers.activation import ELU as ELU
from staghorn.layers.activation import Activation as Activation
from staghorn.layers.activation import LeakyReLU as LeakyReLU
from staghorn.layers.activation import PReLU as PReLU
from staghorn.layers.activation import ReLU as ReLU
from staghorn.layers.activation import Softmax as Softmax
from staghorn.layers.core import Identity as Identity
from staghorn.layers.core import Lambda as Lambda
from staghorn.layers.core import Masking as Masking
from staghorn.layers.dense import Dense as Dense
from staghorn.layers.dropout import Dropout as Dropout
from staghorn.layers.dropout import GaussianDropout as GaussianDropout
from staghorn.layers.dropout import GaussianNoise as GaussianNoise
from staghorn.layers.dropout import SpatialDropout1D as SpatialDropout1D
from staghorn.layers.dropout import SpatialDropout2D as SpatialDropout2D
from staghorn.layers.dropout import SpatialDropout3D as SpatialDropout3D
from staghorn.layers.embedding import Embedding as Embedding
from staghorn.layers.input import Input as Input
from staghorn.layers.input import InputLayer as InputLayer
from staghorn.layers.input_spec import InputSpec as InputSpec
from staghorn.layers.layer import Layer as Layer
from staghorn.layers.merging import Add as Add
from staghorn.layers.merging import Average as Average
from staghorn.layers.merging import Concatenate as Concatenate
from staghorn.layers.merging import Dot as Dot
from staghorn.layers.merging import Maximum as Maximum
from staghorn.layers.merging import Minimum as Minimum
from staghorn.layers.merging import Multiply as Multiply
from staghorn.layers.merging import Subtract as Subtract
from staghorn.layers.merging import add as add
from staghorn.layers.merging import average as average
from staghorn.layers.merging import concatenate as concatenate
from staghorn.layers.merging import dot as dot
from staghorn.layers.merging import maximum as maximum
from staghorn.layers.merging import minimum as minimum
from staghorn.layers.merging import multiply as multiply
from staghorn.layers.merging import subtract as subtract
from staghorn.layers.normalization import BatchNormalization as BatchNormalization
from staghorn.layers.normalization import GroupNormalization as GroupNormalization
from staghorn.layers.normalization import LayerNormalization as LayerNormalization
from staghorn.layers.normalization import RMSNormalization as RMSNormalization
from staghorn.layers.normalization import UnitNormalization as UnitNormalization
from staghorn.layers.rescaling import Rescaling as Rescaling
from staghorn.layers.reshaping import Flatten as Flatten
from staghorn.layers.reshaping import Permute as Permute
from staghorn.layers.reshaping import RepeatVector as RepeatVector
from staghorn.layers.reshaping import Reshape as Reshape

# fmt: off
__all__ = [
    "ELU", "Activation", "Add", "Average", "BatchNormalization", "Concatenate", "Dense", "Dot",
    "Dropout", "Embedding", "Flatten", "GaussianDropout", "GaussianNoise", "GroupNormalization",
    "Identity", "Input", "InputLayer", "InputSpec", "Lambda", "Layer", "LayerNormalization",
    "LeakyReLU", "Masking", "Maximum", "Minimum", "Multiply", "PReLU", "Permute",
    "RMSNormalization", "ReLU", "RepeatVector", "Rescaling", "Reshape", "Softmax",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Subtract", "UnitNormalization",
    "add", "average", "concatenate", "deserialize", "dot", "maximum", "minimum", "multiply",
    "serialize", "subtract",
]
# fmt: on


def serialize(layer: Layer) -> dict[str, Any]:
    """Return the JSON form of a layer; its weights are not part of it.

    Args:
        layer: a layer or a model.

    Example:
        >>> staghorn.layers.serialize(staghorn.layers.Dense(3))["config"]["units"]
        3
    """
    return serialize_keras_object(layer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Layer:
    """Build a layer from its JSON form.

    Args:
        config: what `serialize` returned.
        custom_objects: class name -> class, for your own layers. Default: None.

    Raises:
        ValueError: if the form is not that of a layer.

    Example:
        >>> json_form = staghorn.layers.serialize(staghorn.layers.Dense(3))
        >>> staghorn.layers.deserialize(json_form).units
        3
    """
    layer = deserialize_keras_object(config, custom_objects=custom_objects)
    if not isinstance(layer, Layer):
        raise ValueError(
            "layers.deserialize: config must be what layers.serialize returned, got the form of "
            f"{layer!r} ({type(layer).__name__})."
        )
    return layer


if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
