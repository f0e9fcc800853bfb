"""Public names of Keras 3.15.1 that Staghorn does not have: asking for one says so."""

# fmt: off
NOT_YET: dict[str, tuple[str, ...]] = {
    "staghorn": (
        "Function", "Operation", "Quantizer", "RematScope", "StatelessScope", "SymbolicScope",
        "applications", "device", "distillation", "distribution", "export",
        "name_scope", "quantizers", "remat", "version"
    ),
    "staghorn.callbacks": (
        "OrbaxCheckpoint",
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
        "AdaptiveMaxPooling3D", "AlphaDropout", "AugMix",
        "AutoContrast", "CategoryEncoding", "ContrastLimitedAdaptiveHistogramEqualization",
        "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D",
        "CutMix", "Discretization",
        "Equalization", "FlaxLayer", "GroupQueryAttention", "HashedCrossing", "Hashing",
        "IntegerLookup", "JaxLayer", "MaxNumBoundingBoxes", "MelSpectrogram", "MixUp",
        "Pipeline", "RandAugment", "RandomBrightness",
        "RandomColorDegeneration", "RandomColorJitter", "RandomCrop", "RandomElasticTransform",
        "RandomErasing", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert",
        "RandomPerspective", "RandomPosterization", "RandomSaturation", "RandomSharpness",
        "RandomShear", "ReversibleEmbedding", "STFTSpectrogram",
        "Solarization",
        "SpectralNormalization", "StringLookup", "TFSMLayer", "TextVectorization",
        "TorchModuleWrapper",
    ),
    "staghorn.ops": (
        "ctc_decode", "ctc_loss", "depth_to_space",
        "fold", "rearrange", "space_to_depth", "unfold",
    ),
    "staghorn.ops.image": (
        "ssim",
    ),
    "staghorn.optimizers": (
        "MultiOptimizer", "OptimizerMap",
    ),
    "staghorn.utils": (
        "Config", "FeatureSpace",
        "audio_dataset_from_directory", "bounding_boxes", "disable_interactive_logging",
        "enable_interactive_logging", "get_source_inputs",
        "is_interactive_logging_enabled",
        "is_keras_tensor",
    ),
}
# fmt: on
