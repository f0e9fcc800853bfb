"""Write `strings.json` and the `.keras` files beside it: what Keras with TensorFlow does.

Run in an environment with keras and tensorflow, from the root of the repository:

    KERAS_BACKEND=tensorflow python -m tests.golden.make_strings
"""

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tests.golden.string_cases import ROWS, SPACE, TEXTS, WORDS, Batches, spaces

HERE = Path(__file__).parent


def strings(tensor):
    flat = np.asarray(tensor).ravel().tolist()
    texts = [t.decode("utf-8") if isinstance(t, bytes) else t for t in flat]
    return np.array(texts, dtype=object).reshape(tensor.shape)


def on_arrays(function):
    """Make a function of NumPy strings one of TensorFlow's."""

    def wrapped(tensor):
        result = function(strings(tensor).astype(str))
        return tf.ragged.constant(result) if isinstance(result, list) else tf.constant(result)

    return wrapped


def plain(value):
    """Return a result as JSON: shape, type and values."""
    if isinstance(value, tf.RaggedTensor):
        return {"ragged": value.to_list()}
    if value.dtype == tf.string:
        return {"shape": list(value.shape), "dtype": "string", "values": strings(value).tolist()}
    array = np.asarray(value)
    kept = array.round(6).tolist() if array.dtype.kind == "f" else array.tolist()
    return {"shape": list(array.shape), "dtype": array.dtype.name, "values": kept}


def tensor(item):
    if isinstance(item, tuple):
        return tuple(map(tensor, item))
    return tf.constant(item)


def symbolic(layer, item, more):
    """Return shape and type of the output for an Input of the data's shape."""
    if more:
        return None
    items = item if isinstance(item, tuple) else (item,)
    inputs = [
        keras.Input(batch_shape=(None, *x.shape[1:]), dtype=x.dtype.name)
        for x in map(tf.constant, items)
    ]
    out = layer(inputs if isinstance(item, tuple) else inputs[0])
    return [list(out.shape), out.dtype]


def run(row):
    kwargs = {k: on_arrays(v) if callable(v) else v for k, v in row.kwargs.items()}
    layer = getattr(keras.layers, row.layer)(**kwargs, name="given")
    if row.vocabulary is not None:
        layer.set_vocabulary(*row.vocabulary)
    if row.adapt is not None:
        data = row.adapt
        layer.adapt((tf.constant(b) for b in data) if isinstance(data, Batches) else data)
    result = {"outputs": [], "symbolic": []}
    for item in row.call:
        try:
            result["outputs"].append(plain(layer(tensor(item), **row.more)))
        except Exception as error:  # which errors there are is part of what is recorded
            result["outputs"].append({"error": type(error).__name__})
        shape = np.shape(item[0] if isinstance(item, tuple) else item)
        try:
            result["symbolic"].append(symbolic(layer, item, row.more) if shape else None)
        except Exception:
            result["symbolic"].append(None)
    if hasattr(layer, "get_vocabulary"):
        result["vocabulary"] = [
            v.item() if isinstance(v, np.generic) else v for v in layer.get_vocabulary()
        ]
        result["words"] = [
            v.item() if isinstance(v, np.generic) else v
            for v in layer.get_vocabulary(include_special_tokens=False)
        ]
        result["size"] = layer.vocabulary_size()
    if not any(map(callable, row.kwargs.values())):
        result["config"] = json.loads(json.dumps(layer.get_config(), default=np.ndarray.tolist))
    return result


def text_model():
    layer = keras.layers.TextVectorization(max_tokens=12, output_sequence_length=4)
    layer.adapt(TEXTS)
    return keras.Sequential([
        keras.Input((1,), dtype="string"),
        layer,
        keras.layers.Embedding(12, 3),
        keras.layers.GlobalAveragePooling1D(),
    ])  # fmt: skip


def table_model():
    words = keras.Input((1,), dtype="string", name="words")
    ids = keras.Input((1,), dtype="int64", name="ids")
    weights = keras.layers.StringLookup(output_mode="tf_idf", name="weighted")
    weights.adapt([["fire", "rain"], ["fire", "snow"]])
    numbers = keras.layers.IntegerLookup(output_mode="one_hot", name="numbers")
    numbers.adapt(np.array([3, 3, 5]))
    fixed = keras.layers.StringLookup(vocabulary=WORDS, output_mode="multi_hot", name="fixed")
    bins = keras.layers.Discretization(num_bins=2, name="bins", output_mode="one_hot")
    bins.adapt(np.array([1.0, 2.0, 3.0, 4.0]))
    hashed = keras.layers.Hashing(5, output_mode="one_hot", name="hashed")
    crossed = keras.layers.HashedCrossing(4, output_mode="one_hot", name="crossed")
    parts = [
        weights(words), numbers(ids), fixed(words), bins(keras.ops.cast(ids, "float32")),
        hashed(words), crossed([words, ids]),
    ]  # fmt: skip
    out = keras.layers.Concatenate()([keras.ops.cast(part, "float32") for part in parts])
    return keras.Model([words, ids], keras.layers.Dense(2)(out))


def main():
    keras.utils.set_random_seed(0)
    rows = [{"row": str(row), **run(row)} for row in ROWS]
    golden = {"version": keras.__version__, "rows": rows, "spaces": {}}
    models = {}
    for name, make in (("text", text_model), ("table", table_model)):
        keras.backend.clear_session()
        model = make()
        model.save(HERE / f"{name}.keras")
        models[name] = model
    golden["text"] = np.asarray(models["text"](tf.constant(TEXTS)[:, None])).tolist()
    asked = [tf.constant([["fire"], ["snow"], ["wind"]]), tf.constant([[3], [5], [7]])]
    golden["table"] = np.asarray(models["table"](asked)).tolist()
    for name, space in spaces(keras.utils.FeatureSpace).items():
        data = {key: SPACE[key] for key in space.features}
        space.adapt(tf.data.Dataset.from_tensor_slices(data))
        out = space(data)
        one = space({key: values[1] for key, values in data.items()})
        whole = {k: plain(v) for k, v in out.items()} if name == "dict" else plain(out)
        single = {k: plain(v) for k, v in one.items()} if name == "dict" else plain(one)
        space.save(HERE / f"space_{name}.keras")
        golden["spaces"][name] = {"out": whole, "one": single, "config": space.get_config()}
    text = json.dumps(golden, ensure_ascii=False, separators=(",", ":"))
    (HERE / "strings.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
