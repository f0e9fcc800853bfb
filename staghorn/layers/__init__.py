"""Layers: `keras.layers`. One file per family; the base class is in `layer.py`."""

# ruff: noqa: F403, F405

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from staghorn.engine.lazy import lazy_names
from staghorn.engine.serialization import deserialize_as, serialize_keras_object

if TYPE_CHECKING:
    from staghorn.layers.activation import *
    from staghorn.layers.activity_regularization import *
    from staghorn.layers.adaptive_pooling import *
    from staghorn.layers.attention import *
    from staghorn.layers.bidirectional import *
    from staghorn.layers.conv_lstm import *
    from staghorn.layers.convolution import *
    from staghorn.layers.convolution_transpose import *
    from staghorn.layers.core import *
    from staghorn.layers.cropping import *
    from staghorn.layers.dense import *
    from staghorn.layers.depthwise_convolution import *
    from staghorn.layers.dropout import *
    from staghorn.layers.einsum_dense import *
    from staghorn.layers.embedding import *
    from staghorn.layers.global_pooling import *
    from staghorn.layers.group_query_attention import *
    from staghorn.layers.gru import *
    from staghorn.layers.input import *
    from staghorn.layers.input_spec import *
    from staghorn.layers.jax_layer import *
    from staghorn.layers.layer import *
    from staghorn.layers.left_out import *
    from staghorn.layers.lstm import *
    from staghorn.layers.merging import *
    from staghorn.layers.multi_head_attention import *
    from staghorn.layers.normalization import *
    from staghorn.layers.old_convolution import *
    from staghorn.layers.padding import *
    from staghorn.layers.pooling import *
    from staghorn.layers.preprocessing.aug_mix import *
    from staghorn.layers.preprocessing.auto_contrast import *
    from staghorn.layers.preprocessing.category_encoding import *
    from staghorn.layers.preprocessing.center_crop import *
    from staghorn.layers.preprocessing.clahe import *
    from staghorn.layers.preprocessing.cut_mix import *
    from staghorn.layers.preprocessing.discretization import *
    from staghorn.layers.preprocessing.equalization import *
    from staghorn.layers.preprocessing.hashed_crossing import *
    from staghorn.layers.preprocessing.hashing import *
    from staghorn.layers.preprocessing.integer_lookup import *
    from staghorn.layers.preprocessing.max_num_bounding_boxes import *
    from staghorn.layers.preprocessing.mel_spectrogram import *
    from staghorn.layers.preprocessing.mix_up import *
    from staghorn.layers.preprocessing.normalization import *
    from staghorn.layers.preprocessing.pipeline import *
    from staghorn.layers.preprocessing.rand_augment import *
    from staghorn.layers.preprocessing.random_brightness import *
    from staghorn.layers.preprocessing.random_color_degeneration import *
    from staghorn.layers.preprocessing.random_color_jitter import *
    from staghorn.layers.preprocessing.random_contrast import *
    from staghorn.layers.preprocessing.random_crop import *
    from staghorn.layers.preprocessing.random_elastic_transform import *
    from staghorn.layers.preprocessing.random_erasing import *
    from staghorn.layers.preprocessing.random_flip import *
    from staghorn.layers.preprocessing.random_gaussian_blur import *
    from staghorn.layers.preprocessing.random_grayscale import *
    from staghorn.layers.preprocessing.random_hue import *
    from staghorn.layers.preprocessing.random_invert import *
    from staghorn.layers.preprocessing.random_perspective import *
    from staghorn.layers.preprocessing.random_posterization import *
    from staghorn.layers.preprocessing.random_rotation import *
    from staghorn.layers.preprocessing.random_saturation import *
    from staghorn.layers.preprocessing.random_sharpness import *
    from staghorn.layers.preprocessing.random_shear import *
    from staghorn.layers.preprocessing.random_translation import *
    from staghorn.layers.preprocessing.random_zoom import *
    from staghorn.layers.preprocessing.resizing import *
    from staghorn.layers.preprocessing.solarization import *
    from staghorn.layers.preprocessing.stft_spectrogram import *
    from staghorn.layers.preprocessing.string_lookup import *
    from staghorn.layers.preprocessing.text_vectorization import *
    from staghorn.layers.rescaling import *
    from staghorn.layers.reshaping import *
    from staghorn.layers.reversible_embedding import *
    from staghorn.layers.rnn import *
    from staghorn.layers.separable_convolution import *
    from staghorn.layers.simple_rnn import *
    from staghorn.layers.spectral_normalization import *
    from staghorn.layers.stacked_rnn_cells import *
    from staghorn.layers.time_distributed import *
    from staghorn.layers.upsampling import *
    from staghorn.layers.wrapper import *

# module → what is public in it
_HOMES = {
    "layers.activation": "ELU Activation LeakyReLU PReLU ReLU Softmax",
    "layers.activity_regularization": "ActivityRegularization",
    "layers.adaptive_pooling":
        "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D "
        "AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D",
    "layers.attention": "AdditiveAttention Attention",
    "layers.bidirectional": "Bidirectional",
    "layers.conv_lstm": "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    "layers.convolution": "Conv1D Conv2D Conv3D Convolution1D",
    "layers.convolution_transpose":
        "Conv1DTranspose Conv2DTranspose Conv3DTranspose Convolution1DTranspose "
        "Convolution2DTranspose Convolution3DTranspose",
    "layers.core": "Identity Lambda Masking",
    "layers.cropping": "Cropping1D Cropping2D Cropping3D",
    "layers.dense": "Dense",
    "layers.depthwise_convolution": "DepthwiseConv1D DepthwiseConv2D",
    "layers.dropout":
        "AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout1D "
        "SpatialDropout2D SpatialDropout3D",
    "layers.einsum_dense": "EinsumDense",
    "layers.embedding": "Embedding",
    "layers.global_pooling":
        "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D "
        "GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D "
        "GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D",
    "layers.group_query_attention": "GroupQueryAttention",
    "layers.gru": "GRU GRUCell",
    "layers.input": "Input InputLayer",
    "layers.input_spec": "InputSpec",
    "layers.jax_layer": "FlaxLayer JaxLayer",
    "layers.layer": "Layer",
    "layers.left_out": "TFSMLayer TorchModuleWrapper",
    "layers.lstm": "LSTM LSTMCell",
    "layers.merging":
        "Add Average Concatenate Dot Maximum Minimum Multiply Subtract add average "
        "concatenate dot maximum minimum multiply subtract",
    "layers.multi_head_attention": "MultiHeadAttention",
    "layers.normalization":
        "BatchNormalization GroupNormalization LayerNormalization RMSNormalization "
        "UnitNormalization",
    "layers.old_convolution": "Convolution2D Convolution3D SeparableConvolution2D",
    "layers.padding": "ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    "layers.pooling":
        "AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D "
        "MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D",
    "layers.preprocessing.aug_mix": "AugMix",
    "layers.preprocessing.auto_contrast": "AutoContrast",
    "layers.preprocessing.category_encoding": "CategoryEncoding",
    "layers.preprocessing.center_crop": "CenterCrop",
    "layers.preprocessing.clahe": "ContrastLimitedAdaptiveHistogramEqualization",
    "layers.preprocessing.cut_mix": "CutMix",
    "layers.preprocessing.discretization": "Discretization",
    "layers.preprocessing.equalization": "Equalization",
    "layers.preprocessing.hashed_crossing": "HashedCrossing",
    "layers.preprocessing.hashing": "Hashing",
    "layers.preprocessing.integer_lookup": "IntegerLookup",
    "layers.preprocessing.max_num_bounding_boxes": "MaxNumBoundingBoxes",
    "layers.preprocessing.mel_spectrogram": "MelSpectrogram",
    "layers.preprocessing.mix_up": "MixUp",
    "layers.preprocessing.normalization": "Normalization",
    "layers.preprocessing.pipeline": "Pipeline",
    "layers.preprocessing.rand_augment": "RandAugment",
    "layers.preprocessing.random_brightness": "RandomBrightness",
    "layers.preprocessing.random_color_degeneration": "RandomColorDegeneration",
    "layers.preprocessing.random_color_jitter": "RandomColorJitter",
    "layers.preprocessing.random_contrast": "RandomContrast",
    "layers.preprocessing.random_crop": "RandomCrop",
    "layers.preprocessing.random_elastic_transform": "RandomElasticTransform",
    "layers.preprocessing.random_erasing": "RandomErasing",
    "layers.preprocessing.random_flip": "RandomFlip",
    "layers.preprocessing.random_gaussian_blur": "RandomGaussianBlur",
    "layers.preprocessing.random_grayscale": "RandomGrayscale",
    "layers.preprocessing.random_hue": "RandomHue",
    "layers.preprocessing.random_invert": "RandomInvert",
    "layers.preprocessing.random_perspective": "RandomPerspective",
    "layers.preprocessing.random_posterization": "RandomPosterization",
    "layers.preprocessing.random_rotation": "RandomRotation",
    "layers.preprocessing.random_saturation": "RandomSaturation",
    "layers.preprocessing.random_sharpness": "RandomSharpness",
    "layers.preprocessing.random_shear": "RandomShear",
    "layers.preprocessing.random_translation": "RandomTranslation",
    "layers.preprocessing.random_zoom": "RandomZoom",
    "layers.preprocessing.resizing": "Resizing",
    "layers.preprocessing.solarization": "Solarization",
    "layers.preprocessing.stft_spectrogram": "STFTSpectrogram",
    "layers.preprocessing.string_lookup": "StringLookup",
    "layers.preprocessing.text_vectorization": "TextVectorization",
    "layers.rescaling": "Rescaling",
    "layers.reshaping": "Flatten Permute RepeatVector Reshape",
    "layers.reversible_embedding": "ReversibleEmbedding",
    "layers.rnn": "RNN",
    "layers.separable_convolution": "SeparableConv1D SeparableConv2D SeparableConvolution1D",
    "layers.simple_rnn": "SimpleRNN SimpleRNNCell",
    "layers.spectral_normalization": "SpectralNormalization",
    "layers.stacked_rnn_cells": "StackedRNNCells",
    "layers.time_distributed": "TimeDistributed",
    "layers.upsampling": "UpSampling1D UpSampling2D UpSampling3D",
    "layers.wrapper": "Wrapper",
}  # fmt: skip


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


if not TYPE_CHECKING:
    __all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)
    __all__ += ["deserialize", "serialize"]
