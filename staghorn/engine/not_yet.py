"""Public names of Keras 3.15.1 that Staghorn does not have: asking for one says so."""

# fmt: off
NOT_YET: dict[str, tuple[str, ...]] = {
    "staghorn": (
        "Function", "Operation", "Quantizer", "RematScope", "StatelessScope", "SymbolicScope",
        "applications", "backend", "datasets", "device", "distillation", "distribution", "export",
        "name_scope", "preprocessing", "quantizers", "remat", "version", "wrappers",
    ),
    "staghorn.callbacks": (
        "BackupAndRestore", "OrbaxCheckpoint", "RemoteMonitor", "SwapEMAWeights", "TensorBoard",
    ),
    "staghorn.config": (
        "disable_flash_attention", "disable_interactive_logging", "disable_traceback_filtering",
        "enable_flash_attention", "enable_interactive_logging", "enable_traceback_filtering",
        "enable_unsafe_deserialization", "is_flash_attention_enabled",
        "is_interactive_logging_enabled", "is_nnx_enabled", "is_traceback_filtering_enabled",
        "max_epochs", "max_steps_per_epoch", "set_backend", "set_max_epochs",
        "set_max_steps_per_epoch",
    ),
    "staghorn.dtype_policies": (
        "AWQDTypePolicy", "GPTQDTypePolicy", "Int4DTypePolicy", "QuantizedDTypePolicy",
        "QuantizedFloat8DTypePolicy",
    ),
    "staghorn.layers": (
        "ActivityRegularization", "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D",
        "AdaptiveAveragePooling3D", "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D",
        "AdaptiveMaxPooling3D", "AdditiveAttention", "AlphaDropout", "Attention", "AugMix",
        "AutoContrast", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "AvgPool1D",
        "AvgPool2D", "AvgPool3D", "Bidirectional", "CategoryEncoding", "CenterCrop",
        "ContrastLimitedAdaptiveHistogramEqualization", "Conv1D", "Conv1DTranspose", "Conv2D",
        "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D",
        "Convolution1D", "Convolution1DTranspose", "Convolution2D", "Convolution2DTranspose",
        "Convolution3D", "Convolution3DTranspose", "Cropping1D", "Cropping2D", "Cropping3D",
        "CutMix", "DepthwiseConv1D", "DepthwiseConv2D", "Discretization", "EinsumDense",
        "Equalization", "FlaxLayer", "GRU", "GRUCell", "GlobalAveragePooling1D",
        "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalAvgPool1D", "GlobalAvgPool2D",
        "GlobalAvgPool3D", "GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D",
        "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GroupQueryAttention",
        "HashedCrossing", "Hashing", "IntegerLookup", "JaxLayer", "LSTM", "LSTMCell",
        "MaxNumBoundingBoxes", "MaxPool1D", "MaxPool2D", "MaxPool3D", "MaxPooling1D",
        "MaxPooling2D", "MaxPooling3D", "MelSpectrogram", "MixUp", "MultiHeadAttention",
        "Normalization", "Pipeline", "RNN", "RandAugment", "RandomBrightness",
        "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomCrop",
        "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur",
        "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization",
        "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation",
        "RandomZoom", "Resizing", "ReversibleEmbedding", "STFTSpectrogram", "SeparableConv1D",
        "SeparableConv2D", "SeparableConvolution1D", "SeparableConvolution2D", "SimpleRNN",
        "SimpleRNNCell", "Solarization", "SpectralNormalization", "StackedRNNCells", "StringLookup",
        "TFSMLayer", "TextVectorization", "TimeDistributed", "TorchModuleWrapper", "UpSampling1D",
        "UpSampling2D", "UpSampling3D", "Wrapper", "ZeroPadding1D", "ZeroPadding2D",
        "ZeroPadding3D",
    ),
    "staghorn.ops": (
        "adaptive_average_pool", "adaptive_max_pool", "average_pool", "conv", "conv_transpose",
        "ctc_decode", "ctc_loss", "depth_to_space", "depthwise_conv", "dot_product_attention",
        "fold", "image", "max_pool", "rearrange", "separable_conv", "space_to_depth", "unfold",
    ),
    "staghorn.optimizers": (
        "MultiOptimizer", "OptimizerMap",
    ),
    "staghorn.utils": (
        "Config", "FeatureSpace", "Progbar", "PyDataset", "Sequence", "array_to_img",
        "audio_dataset_from_directory", "bounding_boxes", "disable_interactive_logging",
        "enable_interactive_logging", "get_file", "get_source_inputs",
        "image_dataset_from_directory", "img_to_array", "is_interactive_logging_enabled",
        "is_keras_tensor", "load_img", "model_to_dot", "pad_sequences", "plot_model", "save_img",
        "split_dataset", "text_dataset_from_directory", "timeseries_dataset_from_array",
    ),
}
# fmt: on
