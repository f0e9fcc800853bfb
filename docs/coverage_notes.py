"""Why Staghorn differs from Keras: read by `make_coverage.py`, which finds out where it does.

Keys are patterns (`fnmatch`) over paths without `keras.`; a member's path is `layers.Layer.build`.
A pattern that nothing fits any more fails `tests/test_coverage.py`.
"""

_HELPER = "a helper of Keras's own code; the update is in `step`, as a pure function"
_MASKS = "masks of dropout are drawn where they are used, in one function"
_NO_RAGGED = "there are no ragged tensors"
_FLAGS = "one call serves all modes: see `staghorn.quantizers`"
_LATER_MODES = "belongs to int4, float8, GPTQ or AWQ, which raise a stated error"
_BACKENDS = "a helper of Keras's own code for its other engines"
_BOXES = "boxes go through `staghorn.utils.bounding_boxes`"
_SIGNATURE = "as in the other layers for images, of which Keras's own differ here"
_WIDER = "less has to be given than in Keras"
_DRAWN = "what was drawn is always handed on, as in the other layers: None where nothing was"
_STEP = "ours are `(self, data)`, and take `(state, data)` too; subclasses may write either"

# Path of a symbol or member → why it differs.
DIFFERS: dict[str, str] = {
    "KerasTensor.ragged_rank": _NO_RAGGED,
    "KerasTensor.row_splits_dtype": _NO_RAGGED,
    "KerasTensor.reshape": "sizes may also be given one by one",
    "callbacks.EarlyStopping.get_monitor_value": "`Monitor.current` is shared by all that monitor",
    "callbacks.TensorBoard.summary": "event files are written here, without TensorFlow",
    "Function.compute_output_spec": "shapes come from the graph itself",
    "Operation.*": _FLAGS,
    "StatelessScope.add_loss": "losses are kept by the layers",
    "name_scope": "a context manager all the same",
    "config.enable_unsafe_deserialization": "code in files never runs: `replace=` of `load_model`",
    "config.set_backend": "there is one engine; another name is an error",
    "dtype_policies.DTypePolicy.convert_input": "layers cast their inputs in `layers/call.py`",
    "layers.*.convert_weight": _BACKENDS,
    "layers.*.get_*bbox": _BOXES,
    "layers.*.get_transformed_x_y": _BOXES,
    "layers.MaxNumBoundingBoxes.transform_*": _DRAWN,
    "layers.Resizing.transform_labels": _DRAWN,
    "layers.*.transform_images": _WIDER,
    "layers.*.transform_labels": _WIDER,
    "layers.*.transform_segmentation_masks": _WIDER,
    "layers.*.variable_serialization_spec": _FLAGS,
    "layers.*.*dropout_mask": _MASKS,
    "layers.Dense.call": "`training` changes nothing",
    "layers.EinsumDense.call": "`training` changes nothing",
    "layers.Embedding.compute_output_spec": "inferred, as for layers without one",
    "layers.Equalization.compute_output_spec": _SIGNATURE,
    "layers.RandomElasticTransform.get_elastic_transform_params": _BACKENDS,
    "layers.RandomGrayscale.*": _SIGNATURE,
    "layers.RNN.get_initial_state": _WIDER,
    "layers.SpectralNormalization.build": _WIDER,
    "layers.TimeDistributed.build": _WIDER,
    "layers.Layer.add_metric": "Keras has it only to raise an error",
    "layers.Layer.quantized_build": _FLAGS,
    "layers.Layer.symbolic_call": "one of the three exits of `__call__`",
    "models.Model.get_quantization_layer_structure": _LATER_MODES,
    "ops.hard_silu": "each name is an op of its own",
    "ops.silu": "each name is an op of its own",
    "ops.layer_normalization": "`rms_scaling` by name; unknown arguments are errors",
    "quantizers.*": _LATER_MODES,
    "layers.Layer.add_loss": "scripts of Keras 2 pass `inputs`",
    "layers.Layer.add_variable": "another name of `add_weight`, with its arguments",
    "legacy.*": "`utils.legacy` has them",
    "metrics.AUC.interpolate_pr_auc": "`staghorn.metrics.auc.interpolated_pr_area` is a function",
    "metrics.Metric.add_variable": _WIDER,
    "metrics.Metric.add_weight": "another name of `add_variable`, with its arguments",
    "models.Model.compile": (
        "`steps_per_execution=None` lets the executor choose; arguments of Keras 2 are understood"
    ),
    "models.Model.*_step": _STEP,
    "models.Model.fit": "`resume` goes on with an interrupted run; arguments of Keras 2",
    "models.Model.predict": "arguments of Keras 2 are understood",
    "models.Model.export": "comes with `keras.export`",
    "models.Model.save_weights": "`save_format` of Keras 2 is understood",
    "models.Model.summary": "`show_costs` adds multiply-adds and bytes",
    "models.Sequential.call": "layers of a stack take `training` and `mask` alone",
    "models.Sequential.compute_output_spec": "layers of a stack take `training` and `mask` alone",
    "models.clone_model": "`cache` by name; unknown arguments are errors",
    "models.load_model": "`replace` exchanges classes while loading",
    "models.save_model": "Keras 2's arguments by name; `extra` members in the file",
    "optimizers.*.build": "Keras has both names; passed by position",
    "optimizers.LossScaleOptimizer.check_finite": _HELPER,
    "optimizers.*.update_step": "Keras has both names; passed by position",
    "optimizers.Muon.*": _HELPER,
    "saving.load_weights": "`by_name` reads files of Keras 2 by the names of layers",
    "utils.load_img": "`grayscale` is Keras 2's argument",
    "utils.model_to_dot": "`layer_range` by name; unknown arguments are errors",
    "utils.plot_model": "`layer_range` by name; unknown arguments are errors",
    "wrappers.*.epoch_": "`history_` has the epochs",
    "wrappers.*.set_fit_request": "scikit-learn makes it where metadata is routed",
    "wrappers.SKLearnTransformer.predict": "a transformer transforms",
}

# What the comparison says → why it is so, wherever it says that.
FACTS: dict[str, str] = {
    "also `[*][*]`": "arguments of older versions are understood, unknown ones are errors",
    "no `[*][*]`": "unknown arguments are errors",
    "no `custom_objects`*": "`custom_object_scope` makes names known",
    "its names are different objects": "the old name takes the old arguments too",
    "`strides`: `1`, Keras `(1, 1)`": "the same, and written alike in configs",
    "`strides`: `1`, Keras `(1, 1, 1)`": "the same, and written alike in configs",
    "`dilation_rate`: `1`, Keras `(1, 1*": "the same, and written alike in configs",
}

# Path of a symbol → why it is not here.
LEFT_OUT: dict[str, str] = {
    "dtype_policies.*DTypePolicy": "Belongs to int4, float8, GPTQ or AWQ, which raise an error.",
    "quantizers.*Config": "Belongs to int4, float8, GPTQ or AWQ, which raise an error.",
    "layers.TFSMLayer": "Runs TensorFlow's SavedModel; its constructor says so.",
    "layers.TorchModuleWrapper": "Runs PyTorch; its constructor says so.",
    "optimizers.legacy.*": "Placeholders in Keras too: they only raise an error.",
}
