"""Real files of several Keras versions open with equal predictions, or are refused with a reason.

The files are not in the repository: `STAGHORN_REFERENCE` names their folder.
"""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

import staghorn
from staghorn.saving.errors import UnsafeFileError
from tests.oracle import keras
from tests.saving.kinds import flat

FOLDER = Path(
    os.environ.get("STAGHORN_REFERENCE")
    or Path(__file__).parents[3] / "shared" / "reference" / "keras-files"
)
pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{FOLDER} is not there"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*dtype.*:UserWarning"),
]


def objects(k):
    """Return what the files' own classes and functions are, for one library."""

    class MyLayer(k.layers.Layer):
        def __init__(self, units=3, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.inner = k.layers.Dense(units)

        def build(self, input_shape):
            self.w = self.add_weight((self.units,), name="w")
            self.nt = self.add_weight((), name="nt", trainable=False)
            self.inner.build(input_shape)

        def call(self, x):
            return self.inner(x) * self.w + self.nt

    class MyModel(k.Model):
        def __init__(self, units=3, **kwargs):
            super().__init__(**kwargs)
            dense = k.layers.Dense
            self.d1 = dense(units)
            self.blocks = [dense(units), [dense(units)]]
            self.dd = {"a": dense(units), "b": dense(units)}

        def call(self, x):
            x = self.blocks[1][0](self.blocks[0](self.d1(x)))
            return self.dd["b"](self.dd["a"](x))

    class Sub(k.Model):
        def __init__(self, **kwargs):
            x = k.Input((3,))
            super().__init__(x, k.layers.Dense(2)(x), **kwargs)
            self.extra = k.layers.Dense(5)
            self.extra.build((None, 2))

    class GAN(k.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.g = k.Sequential([k.Input((2,)), k.layers.Dense(3)])
            self.d = k.Sequential([k.Input((3,)), k.layers.Dense(1)])
            self.shift = self.add_weight((2,), name="shift")
            self.g_opt = k.optimizers.Adam()
            self.g_opt.build(self.g.trainable_variables)

        def call(self, x):
            return self.d(self.g(x + self.shift))

    class Two(k.layers.Layer):
        def call(self, x, y=None, scale=1.0):
            return x + y * scale, x - y

    class PlainLayer(k.layers.Layer):
        def call(self, x):
            return x * 3

    classes = {cls.__name__: cls for cls in (MyLayer, MyModel, Sub, GAN, Two, PlainLayer)}
    functions = {
        "pkg>myact": lambda x: k.ops.tanh(x) * 2,
        "plainact": lambda x: k.ops.relu(x) + 1,
        "pkg>myloss": lambda y, p: k.ops.mean((y - p) ** 2),
    }
    return {**classes, **{f"pkg>{name}": cls for name, cls in classes.items()}, **functions}


def k2_func():
    layers = keras.layers
    a, b = keras.Input((4,)), keras.Input((2,))
    h = layers.Concatenate()([layers.Dense(3, activation="relu")(a), b])
    h = layers.BatchNormalization()(h)
    return keras.Model([a, b], [layers.Dense(1)(h), layers.Dense(2, activation="softmax")(h)])


def k2_seq():
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((5,)), layers.Embedding(10, 4), layers.LSTM(3), layers.Dense(1)]
    )


# What keras cannot open itself, though it finds the weights: the models today.
OLD = {"k2_func": k2_func, "k2_seq": k2_seq}
MODELS = sorted(p.name for p in FOLDER.glob("*.keras")) + sorted(
    p.name for p in FOLDER.glob("*.h5") if not p.name.endswith(".weights.h5")
)
WEIGHTS = sorted(p.name for p in FOLDER.glob("*.weights.h5") if not p.name.startswith("shd_"))
# file -> the layer or other class that it needs
NOT_YET = {
    "intlookup_tfidf.keras": "IntegerLookup",
    "misc.keras": "SpectralNormalization",
    "stringlookup.keras": "StringLookup",
    "stringlookup_file.keras": "StringLookup",
    "textvec.keras": "TextVectorization",
}
# Keras's old format does not say how a subclassed model is built.
NOT_BUILT = "subclassed.h5"
LAMBDAS = ("lambda_model.h5", "lambda_model.keras")


def inputs_of(model):
    """Return inputs that suit every file: small whole numbers."""
    rng = np.random.default_rng(0)
    known = getattr(model, "inputs", None)
    one = isinstance(model, keras.Sequential) or not known
    tensors = (known or [keras.Input((4,))])[0] if one else model.input
    return keras.tree.map_structure(
        lambda t: rng.integers(0, 5, (3, *t.shape[1:])).astype("float32"), tensors
    )


def by_keras(name):
    """Return the model of a file as keras has it, from the file itself or its twin."""
    path = FOLDER / name
    stem = path.name.split(".")[0]
    if stem in OLD:
        model = OLD[stem]()
        model.load_weights(FOLDER / f"{stem}.h5")
        return model
    try:
        return keras.models.load_model(path, custom_objects=objects(keras), compile=False)
    except (TypeError, ValueError):
        return keras.models.load_model(FOLDER / f"{stem}.keras", objects(keras), compile=False)


def assert_same_as_keras(model, name):
    theirs = by_keras(name)
    inputs = np.ones((3, 2), "float32") if name.startswith("gan") else inputs_of(theirs)
    halves = name.startswith("mixed")
    tolerance = 2e-2 if halves else 1e-6
    wanted = flat(theirs(inputs, training=False))
    for a, b in zip(flat(model(inputs, training=False)), wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "name", [*sorted({*MODELS} - {*NOT_YET} - {*LAMBDAS} - {NOT_BUILT}), "dir_model"]
)
def test_models(name):
    model = staghorn.models.load_model(FOLDER / name, custom_objects=objects(staghorn))
    assert_same_as_keras(model, name)
    counter = counter_in(FOLDER / name)
    assert counter is None or int(model.optimizer.iterations) == counter


def counter_in(path):
    """Return how often the optimizer of an `.h5` file had stepped."""
    if path.suffix != ".h5":
        return None
    with h5py.File(path) as file:
        if "optimizer_weights" not in file:
            return None
        state = file["optimizer_weights"]
        return int(state[state.attrs["weight_names"][0]][()])


@pytest.mark.parametrize("name", sorted({*WEIGHTS} - {"lambda_model.weights.h5"}))
def test_weights(name):
    stem = name.split(".")[0]
    model = staghorn.models.load_model(
        FOLDER / f"{stem}.keras", custom_objects=objects(staghorn), compile=False
    )
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    model.load_weights(FOLDER / name)
    assert_same_as_keras(model, f"{stem}.keras")


def test_shards():
    with h5py.File(FOLDER / "shd_00000.weights.h5") as file:
        rows = file["layers/dense/vars/0"].shape[0]

    def build(k):
        sizes = [model_sizes[i] for i in range(3)]
        return k.Sequential([k.Input((rows,)), *(k.layers.Dense(n) for n in sizes)])

    model_sizes = []
    for i, place in enumerate(("dense", "dense_1", "dense_2")):
        with h5py.File(FOLDER / f"shd_{i:05}.weights.h5") as file:
            model_sizes.append(file[f"layers/{place}/vars/1"].shape[0])
    ours, theirs = build(staghorn), build(keras)
    for model in (ours, theirs):
        model.load_weights(FOLDER / "shd.weights.json")
    x = np.random.default_rng(0).normal(size=(3, rows)).astype("float32")
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-6)


def test_a_subclassed_model_takes_the_weights_once_it_is_built():
    known = objects(staghorn)
    with pytest.raises(ValueError, match="does not say for which shapes"):
        staghorn.models.load_model(FOLDER / NOT_BUILT, custom_objects=known)
    model = known["MyModel"](3)
    model(np.ones((1, 4), "float32"))
    model.load_weights(FOLDER / NOT_BUILT)
    assert_same_as_keras(model, "subclassed.keras")


@pytest.mark.parametrize("name", LAMBDAS)
def test_bytecode_is_refused_and_the_function_supplied(name):
    with pytest.raises(UnsafeFileError, match=r"replace=\{'lambda': function\}"):
        staghorn.models.load_model(FOLDER / name)
    model = staghorn.models.load_model(FOLDER / name, replace={"lambda": lambda x: x * 2})
    np.testing.assert_array_equal(model(np.ones((2, 4), "float32")), np.full((2, 4), 2.0))


@pytest.mark.parametrize("name", NOT_YET)
def test_what_is_not_here_yet_is_named(name):
    cls = NOT_YET[name]
    if hasattr(staghorn.layers, cls) or hasattr(staghorn.dtype_policies, cls):
        assert staghorn.models.load_model(FOLDER / name).built
        return
    with pytest.raises(TypeError, match=f"'{cls}' .* is not in Staghorn yet"):
        staghorn.models.load_model(FOLDER / name)


@pytest.mark.parametrize("name", ["act.keras", "custom_layer.h5", "gan.keras", "subclassed.h5"])
def test_missing_classes_come_with_the_line_that_supplies_them(name):
    with pytest.raises(TypeError, match=r"load_model\(path, custom_objects=\{'"):
        staghorn.models.load_model(FOLDER / name)
