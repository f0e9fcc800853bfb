"""What the stand-in for TensorFlow says about names it does not have: what to use instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from staghorn.engine.registry import suggestion

_LOOP = """\
JAX differentiates functions, not a tape of what ran. Rewrite the loop body as
    def loss_of(x, y):
        return loss_fn(y, model(x, training=True))

    step = staghorn.jit(staghorn.value_and_grad(loss_of, model.trainable_variables))
    loss, gradients = step(x, y)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
or use model.compile(...) and model.fit(...). The gradient by an input is jax.grad(f)(x)."""

_DATA = """\
pass arrays to model.fit(x, y, batch_size=32): rows are shuffled, batched and prefetched there.
Data that does not fit into memory: a staghorn.utils.PyDataset, a generator of (x, y) batches, a
torch DataLoader, numpy.memmap or an h5py.Dataset, all of which `fit` takes."""

SESSION = """\
there are no sessions or placeholders: code runs when it is written, and `fit` compiles it. Delete
the line; instead of session.run(tensor) use the array itself, or model.predict(data)."""

_IMAGES = "read pictures with staghorn.utils.img_to_array(staghorn.utils.load_img(path))."
_FILES = f"use Python's open(path), pathlib and numpy.load; {_IMAGES}"
_CHECKPOINT = (
    "use model.save(path) and staghorn.models.load_model(path), model.save_weights(path), or the "
    "callbacks ModelCheckpoint and BackupAndRestore."
)

# What to use -> the names it is for; `data` is also for what is below it, such as `data.Dataset`.
_FOR = {
    _LOOP: "GradientTape gradients",
    _DATA: "data",
    SESSION: "Graph get_default_graph "
    "placeholder global_variables_initializer initialize_all_variables local_variables_initializer",
    _CHECKPOINT: "saved_model",
    _FILES: "gfile io",
    _IMAGES: "image.decode_image image.decode_jpeg image.decode_png",
    "delete it (and its `with ...scope():`): one program serves the model as it is.": "distribute",
    "delete it; layers name their weights themselves.": "variable_scope",
    "derive from staghorn.Layer or staghorn.Model.": "Module",
    "use staghorn.callbacks.TensorBoard(log_dir), CSVLogger(path) or history.plot().": "summary",
    "pad the rows to one length with staghorn.utils.pad_sequences.": "RaggedTensor ragged",
    "arrays are dense; of a SciPy matrix pass matrix.toarray().": "SparseTensor sparse",
    "append to a Python list and tf.stack it, or use staghorn.ops.scan.": "TensorArray",
    "use the layers Normalization, Rescaling and Embedding, or pandas.": "feature_column",
    "use Python's argparse.": "app flags",
    "use a Keras model with model.fit.": "estimator",
    "use layer.add_weight(...) or tf.Variable(value).": "get_variable",
    "build the model from tf.keras.layers (staghorn.layers).": "layers",
    "it needs TensorFlow itself; save the model with model.save(path).": "lite",
    "use jax.pure_callback(function, result_shape, *arrays).": "numpy_function py_function",
    "use numpy.unique(values, return_inverse=True).": "unique",
    "set the environment variable JAX_PLATFORMS=cpu (or CUDA_VISIBLE_DEVICES) before the start.":
    "config.set_visible_devices config.experimental.set_visible_devices",
    "it ended with TensorFlow 1; look for the name in tf.keras.": "contrib",
    "use tf.keras.layers: RNN, LSTM, GRU and their cells.": "nn.dynamic_rnn nn.rnn_cell",
}  # fmt: skip
ADVICE = {f"tf.{name}": advice for advice, names in _FOR.items() for name in names.split()}
# Names of TensorFlow 1 that only moved.
_MOVED = """
    ceil=tf.math.ceil count_nonzero=tf.math.count_nonzero diag=tf.linalg.diag div=tf.divide
    is_nan=tf.math.is_nan log=tf.math.log log1p=tf.math.log1p log_sigmoid=tf.math.log_sigmoid
    mod=tf.math.mod mul=tf.multiply neg=tf.negative pack=tf.stack
    random_shuffle=tf.random.shuffle
    reciprocal=tf.math.reciprocal rsqrt=tf.math.rsqrt
    squared_difference=tf.math.squared_difference sub=tf.subtract to_double=tf.cast(x,tf.float64)
    to_float=tf.cast(x,tf.float32) to_int32=tf.cast(x,tf.int32) to_int64=tf.cast(x,tf.int64)
    truncated_normal=tf.random.truncated_normal unpack=tf.unstack
"""
for _pair in _MOVED.split():
    _old, _, _new = _pair.partition("=")
    ADVICE[f"tf.{_old}"] = f"since TensorFlow 2 it is {_new}."


def explain(module: str, known: Iterable[str]) -> Callable[[str], Any]:
    """Return a module's `__getattr__`, which says what to use instead of a missing name.

    Args:
        module: the module as users write it, such as "tf.math".
        known: its public names, for a guess at what was meant.

    Example:
        >>> from staghorn.compat import tensorflow as tf
        >>> tf.log
        Traceback (most recent call last):
        ...
        AttributeError: tf.log is not in Staghorn's stand-in for TensorFlow: since TensorFlow 2 it
        is tf.math.log.
    """
    names = list(known)

    def __getattr__(name: str) -> Any:
        symbol = f"{module}.{name}"
        if name.startswith("__"):  # Python itself asks for `__path__` and its like
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        below = symbol.replace("tf.compat.v1.", "tf.")
        while below not in ADVICE and below.count(".") > 1:
            below = below.rpartition(".")[0]
        advice = ADVICE.get(below)
        if advice is None:
            guess = suggestion(name, names).strip()
            advice = f"{guess} {_GENERAL.format(symbol=symbol)}".strip()
        raise AttributeError(f"{symbol} is not in Staghorn's stand-in for TensorFlow: {advice}")

    return __getattr__


_GENERAL = (
    "Look for it in staghorn.ops, staghorn.random or jax.numpy. The stand-in answers where "
    "TensorFlow is not installed; with TensorFlow installed, {symbol} is TensorFlow's own."
)
