"""Where the names of Keras, of every age, live in Staghorn: tables only."""

# The Keras whose public names these are; what `keras.__version__` answers to a script.
KERAS_VERSION = "3.15.1"

# Packages that are Keras; longer names first, since each also covers what is below it.
ROOTS = (
    "tensorflow.compat.v1.keras",
    "tensorflow.compat.v2.keras",
    "tensorflow.contrib.keras.python.keras",
    "tensorflow.contrib.keras",
    "tensorflow.contrib.keras.api.keras",
    "tensorflow.keras",
    "tensorflow.python.keras",
    "tf_keras",
    "keras",
)

# First parts of a path that mean nothing: `keras.src.layers`, `keras.api.layers`, ...
PREFIXES = (("_tf_keras", "keras"), ("api", "_v2", "keras"), ("api",), ("src",), ("_legacy",))

_ENGINE = ("layers", "models", "utils", "compat.old_layers")

# Keras's module -> the modules of Staghorn that hold its names, the first that has one wins.
# A path that is not here leads to Staghorn's module of the same path (`keras.ops`).
SOURCES: dict[str, tuple[str, ...]] = {
    "": ("",),
    "backend": ("backend", "compat.backend"),
    "engine": _ENGINE,
    "estimator": (),
    "experimental": ("",),
    "layers": ("layers", "compat.old_layers"),
    "layers.experimental": ("layers",),
    "legacy": (),
    "optimizers.legacy": ("optimizers",),
    "utils": ("utils", "engine.serialization", "compat.old_layers"),
}

# Keras's module -> old name -> where it is: "module:name" in Staghorn.
OLD_NAMES: dict[str, dict[str, str]] = {
    "constraints": {
        "maxnorm": "constraints:MaxNorm",
        "nonneg": "constraints:NonNeg",
        "unitnorm": "constraints:UnitNorm",
        "min_max_norm": "constraints:MinMaxNorm",
        "max_norm": "constraints:MaxNorm",
        "non_neg": "constraints:NonNeg",
        "unit_norm": "constraints:UnitNorm",
    },
    "initializers": {
        "normal": "initializers:RandomNormal",
        "one": "initializers:Ones",
        "uniform": "initializers:RandomUniform",
        "zero": "initializers:Zeros",
    },
    "losses": {
        "cosine": "losses:cosine_similarity",
        "cosine_proximity": "losses:cosine_similarity",
        "kullback_leibler_divergence": "losses:kl_divergence",
        "kld": "losses:kl_divergence",
        "mae": "losses:mean_absolute_error",
        "mape": "losses:mean_absolute_percentage_error",
        "mse": "losses:mean_squared_error",
        "msle": "losses:mean_squared_logarithmic_error",
        "MAE": "losses:mean_absolute_error",
        "MAPE": "losses:mean_absolute_percentage_error",
        "MSE": "losses:mean_squared_error",
        "MSLE": "losses:mean_squared_logarithmic_error",
        "KLD": "losses:kl_divergence",
    },
    "models": {"Input": ":Input", "Layer": "layers:Layer"},
    "regularizers": {"l1l2": "regularizers:L1L2", "l1_l2": "regularizers:L1L2"},
    "utils": {
        "data_utils": "utils",
        "multi_gpu_utils": "utils",
        "plot": "utils:plot_model",
        "to_categorical": "compat.old_layers:to_categorical",
    },
}
OLD_NAMES["metrics"] = OLD_NAMES["losses"]
OLD_NAMES["optimizers"] = {
    name.lower(): f"optimizers:{name}"
    for name in ("Adadelta", "Adagrad", "Adam", "Adamax", "Nadam", "RMSprop", "SGD")
}

# A module that was -> the module that has its names now.
MOVED: dict[str, str] = {
    "backend.tensorflow_backend": "backend",
    "callbacks.callbacks": "callbacks",
    "callbacks.experimental": "callbacks",
    "initializations": "initializers",
    "initializers.initializers_v1": "initializers",
    "initializers.initializers_v2": "initializers",
    "layers.experimental.preprocessing": "layers",
    "legacy.layers": "layers",
    "legacy.models": "models",
    "mixed_precision.experimental": "mixed_precision",
    "objectives": "losses",
    "optimizer_v1": "optimizers",
    "optimizer_v2": "optimizers",
    "optimizers.experimental": "optimizers",
    "optimizers.optimizer_experimental": "optimizers",
    "optimizers.optimizer_v1": "optimizers",
    "optimizers.optimizer_v2": "optimizers",
    "preprocessing.image_dataset": "utils",
    "preprocessing.text_dataset": "utils",
    "saving.hdf5_format": "saving",
    "saving.save": "saving",
    "saving.saved_model": "saving",
}
MOVED |= dict.fromkeys(
    (
        "engine." + name
        for name in (
            "base_layer", "functional", "input_layer", "input_spec", "network", "sequential",
            "topology", "training",
        )
    ),
    "engine",
)  # fmt: skip
MOVED |= dict.fromkeys(
    (
        "layers." + name
        for name in (
            "activation", "advanced_activations", "attention", "containers", "convolutional",
            "convolutional_recurrent", "core", "cudnn_recurrent", "dense_attention", "embeddings",
            "einsum_dense", "extra", "kernelized", "legacy", "local", "merge", "merging",
            "multi_head_attention", "noise", "normalization", "normalization.batch_normalization",
            "normalization.layer_normalization", "pooling", "preprocessing",
            "preprocessing.image_preprocessing", "preprocessing.text_vectorization", "recurrent",
            "recurrent_v2", "regularization", "reshaping", "rnn", "wrappers",
        )
    ),
    "layers",
)  # fmt: skip
MOVED |= dict.fromkeys(
    (
        "utils." + name
        for name in (
            "conv_utils", "data_utils", "dataset_utils", "generic_utils", "image_utils",
            "io_utils", "layer_utils", "losses_utils", "metrics_utils", "multi_gpu_utils",
            "np_utils", "tf_utils", "training_utils", "vis_utils", "visualize_util",
            "visualize_utils",
        )
    ),
    "utils",
)  # fmt: skip

# A module whose name was also a function's: `from keras.layers import merge`.
CALLED = {"layers.merge": "compat.old_layers:merge"}

# What is gone for a reason -> what to write instead.
GONE: dict[str, str] = {
    "estimator": "models train with `model.fit` themselves.",
    "layers.TFSMLayer": "it runs TensorFlow's SavedModel, which needs TensorFlow.",
    "models.Graph": "it became `keras.Model(inputs, outputs)`.",
    "models.model_from_yaml": "YAML can hold code; use `model.to_json()` and `model_from_json`.",
    "utils.HDF5Matrix": "pass the dataset of `h5py.File(path)` to `fit` itself.",
    "utils.io_utils.HDF5Matrix": "pass the dataset of `h5py.File(path)` to `fit` itself.",
    "utils.multi_gpu_model": "delete the call: one program serves the model as it is.",
}
