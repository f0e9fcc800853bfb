"""Layers: `keras.layers`. One file per family; the base class is in `layer.py`."""

from typing import TYPE_CHECKING, Any

from staghorn.engine.registry import missing_names
from staghorn.engine.serialization import deserialize_as, serialize_keras_object
from staghorn.layers.activation import ELU as ELU
from staghorn.layers.activation import Activation as Activation
from staghorn.layers.activation import LeakyReLU as LeakyReLU
from staghorn.layers.activation import PReLU as PReLU
from staghorn.layers.activation import ReLU as ReLU
from staghorn.layers.activation import Softmax as Softmax
from staghorn.layers.activity_regularization import ActivityRegularization as ActivityRegularization
from staghorn.layers.adaptive_pooling import AdaptiveAveragePooling1D as AdaptiveAveragePooling1D
from staghorn.layers.adaptive_pooling import AdaptiveAveragePooling2D as AdaptiveAveragePooling2D
from staghorn.layers.adaptive_pooling import AdaptiveAveragePooling3D as AdaptiveAveragePooling3D
from staghorn.layers.adaptive_pooling import AdaptiveMaxPooling1D as AdaptiveMaxPooling1D
from staghorn.layers.adaptive_pooling import AdaptiveMaxPooling2D as AdaptiveMaxPooling2D
from staghorn.layers.adaptive_pooling import AdaptiveMaxPooling3D as AdaptiveMaxPooling3D
from staghorn.layers.attention import AdditiveAttention as AdditiveAttention
from staghorn.layers.attention import Attention as Attention
from staghorn.layers.bidirectional import Bidirectional as Bidirectional
from staghorn.layers.conv_lstm import ConvLSTM1D as ConvLSTM1D
from staghorn.layers.conv_lstm import ConvLSTM2D as ConvLSTM2D
from staghorn.layers.conv_lstm import ConvLSTM3D as ConvLSTM3D
from staghorn.layers.convolution import Conv1D as Conv1D
from staghorn.layers.convolution import Conv2D as Conv2D
from staghorn.layers.convolution import Conv3D as Conv3D
from staghorn.layers.convolution import Convolution1D as Convolution1D
from staghorn.layers.convolution_transpose import Conv1DTranspose as Conv1DTranspose
from staghorn.layers.convolution_transpose import Conv2DTranspose as Conv2DTranspose
from staghorn.layers.convolution_transpose import Conv3DTranspose as Conv3DTranspose
from staghorn.layers.convolution_transpose import Convolution1DTranspose as Convolution1DTranspose
from staghorn.layers.convolution_transpose import Convolution2DTranspose as Convolution2DTranspose
from staghorn.layers.convolution_transpose import Convolution3DTranspose as Convolution3DTranspose
from staghorn.layers.core import Identity as Identity
from staghorn.layers.core import Lambda as Lambda
from staghorn.layers.core import Masking as Masking
from staghorn.layers.cropping import Cropping1D as Cropping1D
from staghorn.layers.cropping import Cropping2D as Cropping2D
from staghorn.layers.cropping import Cropping3D as Cropping3D
from staghorn.layers.dense import Dense as Dense
from staghorn.layers.depthwise_convolution import DepthwiseConv1D as DepthwiseConv1D
from staghorn.layers.depthwise_convolution import DepthwiseConv2D as DepthwiseConv2D
from staghorn.layers.dropout import AlphaDropout as AlphaDropout
from staghorn.layers.dropout import Dropout as Dropout
from staghorn.layers.dropout import GaussianDropout as GaussianDropout
from staghorn.layers.dropout import GaussianNoise as GaussianNoise
from staghorn.layers.dropout import SpatialDropout1D as SpatialDropout1D
from staghorn.layers.dropout import SpatialDropout2D as SpatialDropout2D
from staghorn.layers.dropout import SpatialDropout3D as SpatialDropout3D
from staghorn.layers.einsum_dense import EinsumDense as EinsumDense
from staghorn.layers.embedding import Embedding as Embedding
from staghorn.layers.global_pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from staghorn.layers.global_pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from staghorn.layers.global_pooling import GlobalAveragePooling3D as GlobalAveragePooling3D
from staghorn.layers.global_pooling import GlobalAvgPool1D as GlobalAvgPool1D
from staghorn.layers.global_pooling import GlobalAvgPool2D as GlobalAvgPool2D
from staghorn.layers.global_pooling import GlobalAvgPool3D as GlobalAvgPool3D
from staghorn.layers.global_pooling import GlobalMaxPool1D as GlobalMaxPool1D
from staghorn.layers.global_pooling import GlobalMaxPool2D as GlobalMaxPool2D
from staghorn.layers.global_pooling import GlobalMaxPool3D as GlobalMaxPool3D
from staghorn.layers.global_pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
from staghorn.layers.global_pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from staghorn.layers.global_pooling import GlobalMaxPooling3D as GlobalMaxPooling3D
from staghorn.layers.group_query_attention import GroupQueryAttention as GroupQueryAttention
from staghorn.layers.gru import GRU as GRU
from staghorn.layers.gru import GRUCell as GRUCell
from staghorn.layers.input import Input as Input
from staghorn.layers.input import InputLayer as InputLayer
from staghorn.layers.input_spec import InputSpec as InputSpec
from staghorn.layers.jax_layer import FlaxLayer as FlaxLayer
from staghorn.layers.jax_layer import JaxLayer as JaxLayer
from staghorn.layers.layer import Layer as Layer
from staghorn.layers.left_out import TFSMLayer as TFSMLayer
from staghorn.layers.left_out import TorchModuleWrapper as TorchModuleWrapper
from staghorn.layers.lstm import LSTM as LSTM
from staghorn.layers.lstm import LSTMCell as LSTMCell
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
from staghorn.layers.multi_head_attention import MultiHeadAttention as MultiHeadAttention
from staghorn.layers.normalization import BatchNormalization as BatchNormalization
from staghorn.layers.normalization import GroupNormalization as GroupNormalization
from staghorn.layers.normalization import LayerNormalization as LayerNormalization
from staghorn.layers.normalization import RMSNormalization as RMSNormalization
from staghorn.layers.normalization import UnitNormalization as UnitNormalization
from staghorn.layers.old_convolution import Convolution2D as Convolution2D
from staghorn.layers.old_convolution import Convolution3D as Convolution3D
from staghorn.layers.old_convolution import SeparableConvolution2D as SeparableConvolution2D
from staghorn.layers.padding import ZeroPadding1D as ZeroPadding1D
from staghorn.layers.padding import ZeroPadding2D as ZeroPadding2D
from staghorn.layers.padding import ZeroPadding3D as ZeroPadding3D
from staghorn.layers.pooling import AveragePooling1D as AveragePooling1D
from staghorn.layers.pooling import AveragePooling2D as AveragePooling2D
from staghorn.layers.pooling import AveragePooling3D as AveragePooling3D
from staghorn.layers.pooling import AvgPool1D as AvgPool1D
from staghorn.layers.pooling import AvgPool2D as AvgPool2D
from staghorn.layers.pooling import AvgPool3D as AvgPool3D
from staghorn.layers.pooling import MaxPool1D as MaxPool1D
from staghorn.layers.pooling import MaxPool2D as MaxPool2D
from staghorn.layers.pooling import MaxPool3D as MaxPool3D
from staghorn.layers.pooling import MaxPooling1D as MaxPooling1D
from staghorn.layers.pooling import MaxPooling2D as MaxPooling2D
from staghorn.layers.pooling import MaxPooling3D as MaxPooling3D
from staghorn.layers.preprocessing.aug_mix import AugMix as AugMix
from staghorn.layers.preprocessing.auto_contrast import AutoContrast as AutoContrast
from staghorn.layers.preprocessing.category_encoding import CategoryEncoding as CategoryEncoding
from staghorn.layers.preprocessing.center_crop import CenterCrop as CenterCrop
from staghorn.layers.preprocessing.clahe import (
    ContrastLimitedAdaptiveHistogramEqualization as ContrastLimitedAdaptiveHistogramEqualization,
)
from staghorn.layers.preprocessing.cut_mix import CutMix as CutMix
from staghorn.layers.preprocessing.discretization import Discretization as Discretization
from staghorn.layers.preprocessing.equalization import Equalization as Equalization
from staghorn.layers.preprocessing.hashed_crossing import HashedCrossing as HashedCrossing
from staghorn.layers.preprocessing.hashing import Hashing as Hashing
from staghorn.layers.preprocessing.integer_lookup import IntegerLookup as IntegerLookup
from staghorn.layers.preprocessing.max_num_bounding_boxes import (
    MaxNumBoundingBoxes as MaxNumBoundingBoxes,
)
from staghorn.layers.preprocessing.mel_spectrogram import MelSpectrogram as MelSpectrogram
from staghorn.layers.preprocessing.mix_up import MixUp as MixUp
from staghorn.layers.preprocessing.normalization import Normalization as Normalization
from staghorn.layers.preprocessing.pipeline import Pipeline as Pipeline
from staghorn.layers.preprocessing.rand_augment import RandAugment as RandAugment
from staghorn.layers.preprocessing.random_brightness import RandomBrightness as RandomBrightness
from staghorn.layers.preprocessing.random_color_degeneration import (
    RandomColorDegeneration as RandomColorDegeneration,
)
from staghorn.layers.preprocessing.random_color_jitter import RandomColorJitter as RandomColorJitter
from staghorn.layers.preprocessing.random_contrast import RandomContrast as RandomContrast
from staghorn.layers.preprocessing.random_crop import RandomCrop as RandomCrop
from staghorn.layers.preprocessing.random_elastic_transform import (
    RandomElasticTransform as RandomElasticTransform,
)
from staghorn.layers.preprocessing.random_erasing import RandomErasing as RandomErasing
from staghorn.layers.preprocessing.random_flip import RandomFlip as RandomFlip
from staghorn.layers.preprocessing.random_gaussian_blur import (
    RandomGaussianBlur as RandomGaussianBlur,
)
from staghorn.layers.preprocessing.random_grayscale import RandomGrayscale as RandomGrayscale
from staghorn.layers.preprocessing.random_hue import RandomHue as RandomHue
from staghorn.layers.preprocessing.random_invert import RandomInvert as RandomInvert
from staghorn.layers.preprocessing.random_perspective import RandomPerspective as RandomPerspective
from staghorn.layers.preprocessing.random_posterization import (
    RandomPosterization as RandomPosterization,
)
from staghorn.layers.preprocessing.random_rotation import RandomRotation as RandomRotation
from staghorn.layers.preprocessing.random_saturation import RandomSaturation as RandomSaturation
from staghorn.layers.preprocessing.random_sharpness import RandomSharpness as RandomSharpness
from staghorn.layers.preprocessing.random_shear import RandomShear as RandomShear
from staghorn.layers.preprocessing.random_translation import RandomTranslation as RandomTranslation
from staghorn.layers.preprocessing.random_zoom import RandomZoom as RandomZoom
from staghorn.layers.preprocessing.resizing import Resizing as Resizing
from staghorn.layers.preprocessing.solarization import Solarization as Solarization
from staghorn.layers.preprocessing.stft_spectrogram import STFTSpectrogram as STFTSpectrogram
from staghorn.layers.preprocessing.string_lookup import StringLookup as StringLookup
from staghorn.layers.preprocessing.text_vectorization import TextVectorization as TextVectorization
from staghorn.layers.rescaling import Rescaling as Rescaling
from staghorn.layers.reshaping import Flatten as Flatten
from staghorn.layers.reshaping import Permute as Permute
from staghorn.layers.reshaping import RepeatVector as RepeatVector
from staghorn.layers.reshaping import Reshape as Reshape
from staghorn.layers.reversible_embedding import ReversibleEmbedding as ReversibleEmbedding
from staghorn.layers.rnn import RNN as RNN
from staghorn.layers.separable_convolution import SeparableConv1D as SeparableConv1D
from staghorn.layers.separable_convolution import SeparableConv2D as SeparableConv2D
from staghorn.layers.separable_convolution import SeparableConvolution1D as SeparableConvolution1D
from staghorn.layers.simple_rnn import SimpleRNN as SimpleRNN
from staghorn.layers.simple_rnn import SimpleRNNCell as SimpleRNNCell
from staghorn.layers.spectral_normalization import SpectralNormalization as SpectralNormalization
from staghorn.layers.stacked_rnn_cells import StackedRNNCells as StackedRNNCells
from staghorn.layers.time_distributed import TimeDistributed as TimeDistributed
from staghorn.layers.upsampling import UpSampling1D as UpSampling1D
from staghorn.layers.upsampling import UpSampling2D as UpSampling2D
from staghorn.layers.upsampling import UpSampling3D as UpSampling3D
from staghorn.layers.wrapper import Wrapper as Wrapper

# fmt: off
__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "ActivityRegularization",
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "AugMix",
    "AutoContrast",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNormalization",
    "Bidirectional",
    "CategoryEncoding",
    "CenterCrop",
    "Concatenate",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "Convolution1D",
    "Convolution1DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Convolution3D",
    "Convolution3DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "CutMix",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Discretization",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Equalization",
    "Flatten",
    "FlaxLayer",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "GroupQueryAttention",
    "HashedCrossing",
    "Hashing",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "IntegerLookup",
    "JaxLayer",
    "LSTMCell",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxNumBoundingBoxes",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "MelSpectrogram",
    "Minimum",
    "MixUp",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "Pipeline",
    "RMSNormalization",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomCrop",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "ReversibleEmbedding",
    "STFTSpectrogram",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "Solarization",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "SpectralNormalization",
    "StackedRNNCells",
    "StringLookup",
    "Subtract",
    "TFSMLayer",
    "TextVectorization",
    "TimeDistributed",
    "TorchModuleWrapper",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "Wrapper",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
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
    return deserialize_as("layer", config, custom_objects)


if not TYPE_CHECKING:  # type checkers go on reporting unknown names
    __getattr__ = missing_names(__name__, __all__)
