"""Masks on their way from Embedding and Masking to the loss and the metrics.

Each model is built in both libraries from the same description and must give the same loss,
metrics and weights after a step; dropping the masked steps by hand must give the same loss too.
"""

import warnings

import numpy as np
import pytest
from keras.src.backend import get_keras_mask

import staghorn
from staghorn.engine.masks import get_mask
from tests.oracle import assert_same, keras

RNG = np.random.default_rng(0)
IDS = np.array([[3, 1, 2, 0], [4, 0, 0, 0], [1, 2, 0, 0], [2, 3, 4, 1]])
REAL = IDS != 0
TARGETS = RNG.normal(size=(4, 4, 2)).astype("float32")
OTHER = np.array([[1, 0, 0, 0], [1, 2, 3, 0], [0, 0, 0, 0], [2, 2, 2, 2]])
LIBRARIES = (staghorn, keras)


def steps(library):
    """Layers that treat every step alike."""
    L = library.layers
    return [
        L.Dense(3, activation="tanh"),
        L.LayerNormalization(),
        L.Dropout(0.0),
        L.Activation("relu"),
        L.Dense(2),
    ]


def chain(library, x, layers):
    for layer in layers:
        x = layer(x)
    return x


def embedded(library, size=3):
    return library.layers.Embedding(5, size, mask_zero=True)


def sequence(library):
    x = library.Input((4,), dtype="int32")
    return library.Model(x, chain(library, embedded(library)(x), steps(library)))


def sequential(library):
    return library.Sequential(
        [library.Input((4,), dtype="int32"), embedded(library), *steps(library)]
    )


def nested(library):
    x = library.Input((4,), dtype="int32")
    inner = library.Sequential([library.Input((4, 3)), *steps(library)])
    return library.Model(x, inner(embedded(library)(x)))


def subclassed(library):
    class Tagger(library.Model):
        def __init__(self):
            super().__init__()
            self.embed = embedded(library)
            self.first = library.layers.Dense(3)
            self.last = library.layers.Dense(2)

        def call(self, x):
            return self.last(self.first(self.embed(x)))

    return Tagger()


def attention(library):
    x = library.Input((4,), dtype="int32")
    y = embedded(library)(x)
    y = library.layers.Add()([y, library.layers.MultiHeadAttention(2, 3)(y, y)])
    return library.Model(x, library.layers.Dense(2)(y))


def custom(library):
    class Double(library.layers.Layer):
        def __init__(self):
            super().__init__()
            self.supports_masking = True

        def call(self, x):
            return x * 2.0

    x = library.Input((4,), dtype="int32")
    return library.Model(x, library.layers.Dense(2)(Double()(embedded(library)(x))))


def masking(library):
    x = library.Input((4,), dtype="int32")
    y = library.layers.Masking()(library.layers.Embedding(5, 3)(x))
    return library.Model(x, library.layers.Dense(2)(y))


AS_IN_KERAS = (sequence, subclassed, custom, masking)
# keras drops the mask at a Sequential inside a model, and at the sum around an attention layer.
MODELS = (*AS_IN_KERAS, sequential, nested, attention)


def over(models):
    return pytest.mark.parametrize("make", models, ids=lambda make: make.__name__)


def pair(make, inputs=IDS):
    """The model in both libraries, with the same weights."""
    ours, theirs = (make(library) for library in LIBRARIES)
    for model in (ours, theirs):
        model(inputs)
    rng = np.random.default_rng(1)
    values = [rng.uniform(-0.5, 0.5, v.shape).astype("float32") for v in theirs.weights]
    if make is masking:
        values[0][0] = 0.0  # what index 0 stands for is what Masking looks for
    for model in (ours, theirs):
        model.set_weights(values)
    return ours, theirs


def weights(model):
    return [np.asarray(v.value) for v in model.weights]


def compare_training(ours, theirs, x, y, **kwargs):
    for model in (ours, theirs):
        model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mse"])
    logs = [model.evaluate(x, y, verbose=0, return_dict=True, **kwargs) for model in (ours, theirs)]
    assert logs[0].keys() == logs[1].keys()
    for name, value in logs[1].items():
        assert logs[0][name] == pytest.approx(value, rel=1e-5), name
    for model in (ours, theirs):
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0, **kwargs)
    assert_same(weights(ours), weights(theirs), rtol=1e-5, atol=1e-6)
    return logs[0]


@over(AS_IN_KERAS)
def test_loss_metrics_and_a_step(make):
    ours, theirs = pair(make)
    compare_training(ours, theirs, IDS, TARGETS)


def test_sample_weight_and_mask_together():
    ours, theirs = pair(sequence)
    compare_training(
        ours, theirs, IDS, TARGETS, sample_weight=np.array([[1.0], [2.0], [0.0], [0.5]])
    )


@over(MODELS)
def test_masked_steps_do_not_count(make):
    """The loss is the mean over the real steps: what stands in the others is of no matter."""
    model = make(staghorn)
    model(IDS)
    if make is masking:
        table = model.get_weights()[0]
        model.set_weights([table * (np.arange(5) > 0)[:, None], *model.get_weights()[1:]])
    model.compile("sgd", "mse", metrics=["mse"])
    loss, metric = model.evaluate(IDS, TARGETS, verbose=0)
    spoiled = np.where(REAL[..., None], TARGETS, 1e6).astype("float32")
    assert model.evaluate(IDS, spoiled, verbose=0) == pytest.approx([loss, metric], rel=1e-6)
    errors = (np.asarray(model.predict(IDS, verbose=0)) - TARGETS)[REAL] ** 2
    assert loss == pytest.approx(errors.mean(), rel=1e-5)
    assert metric == pytest.approx(errors.mean(), rel=1e-5)


def test_masking_is_slicing():
    """A row with its padding cut off has the outputs and the loss of the padded row."""
    x = staghorn.Input((None,), dtype="int32")
    y = embedded(staghorn)(x)
    y = staghorn.layers.Add()([y, staghorn.layers.MultiHeadAttention(2, 3)(y, y)])
    model = staghorn.Model(x, staghorn.layers.Dense(2)(staghorn.layers.LayerNormalization()(y)))
    for row, real in zip(IDS[:2], REAL[:2], strict=True):
        padded = np.asarray(model(row[None]))[0, real]
        np.testing.assert_allclose(padded, model(row[None, real])[0], rtol=1e-5, atol=1e-6)


def merged(kind):
    def make(library):
        a, b = library.Input((4,), dtype="int32"), library.Input((4,), dtype="int32")
        y = getattr(library.layers, kind)()([embedded(library)(a), embedded(library)(b)])
        return library.Model([a, b], library.layers.Dense(2)(y))

    return make


@pytest.mark.parametrize("kind", ["Add", "Concatenate"])
def test_masks_merge(kind):
    ours, theirs = pair(merged(kind), [IDS, OTHER])
    compare_training(ours, theirs, [IDS, OTHER], TARGETS)


def test_several_outputs():
    def make(library):
        a, b = library.Input((4,), dtype="int32"), library.Input((4, 3))
        first = library.layers.Dense(2, name="first")(embedded(library)(a))
        second = library.layers.Dense(2, name="second")(b)
        return library.Model([a, b], {"first": first, "second": second})

    x = [IDS, RNG.normal(size=(4, 4, 3)).astype("float32")]
    ours, theirs = pair(make, x)
    y = {"first": TARGETS, "second": TARGETS}
    for model in (ours, theirs):
        model.compile("sgd", "mse", metrics={"first": ["mae"], "second": ["mae"]})
    logs = [m.evaluate(x, y, verbose=0, return_dict=True) for m in (ours, theirs)]
    assert logs[0] == pytest.approx(logs[1], rel=1e-5)
    predicted = ours.predict(x, verbose=0)
    wanted = np.abs(predicted["first"] - TARGETS)[REAL].mean()
    assert logs[0]["first_mae"] == pytest.approx(wanted, rel=1e-5)
    wanted = np.abs(predicted["second"] - TARGETS).mean()
    assert logs[0]["second_mae"] == pytest.approx(wanted, rel=1e-5)


# --- which layers hand a mask on ------------------------------------------------------------------

ONE_INPUT = {
    "Lambda with a mask": lambda library: library.layers.Lambda(
        lambda x: x * 2.0, mask=lambda inputs, mask: mask
    ),
    "Flatten": lambda library: library.layers.Flatten(),
    "Reshape": lambda library: library.layers.Reshape((4, 3)),
    "Permute": lambda library: library.layers.Permute((1, 2)),
    "BatchNormalization": lambda library: library.layers.BatchNormalization(),
    "Dropout": lambda library: library.layers.Dropout(0.5),
    "Identity": lambda library: library.layers.Identity(),
    "EinsumDense": lambda library: library.layers.EinsumDense("abc,cd->abd", (None, 2)),
}


@pytest.mark.parametrize("make", ONE_INPUT.values(), ids=list(ONE_INPUT))
def test_who_hands_a_mask_on(make):
    found, warned = [], []
    for library, mask_of in zip(LIBRARIES, (get_mask, get_keras_mask), strict=True):
        x = embedded(library)(IDS)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found.append(mask_of(make(library)(x)))
        warned.append(any("mask" in str(w.message) for w in caught))
    assert (found[0] is None) == (found[1] is None)
    if found[0] is not None:
        np.testing.assert_array_equal(np.asarray(found[0]), np.asarray(found[1]))
    assert warned[0] == warned[1]


class Plain(staghorn.layers.Layer):
    """Says nothing about masks."""

    def call(self, x):
        return x + 1.0


def test_a_lost_mask_is_told_once_for_each_layer():
    layer, x = Plain(name="mine"), embedded(staghorn)(IDS)
    with pytest.warns(UserWarning, match="Plain 'mine' was given an input with a mask") as caught:
        layer(x)
    layer(x)  # a second warning would be an error here
    assert len(caught) == 1
    assert "self.supports_masking = True" in str(caught[0].message)
    with pytest.warns(UserWarning, match="Plain 'other'"):
        Plain(name="other")(x)


def test_a_lost_mask_counts_every_step():
    model = staghorn.Sequential([staghorn.Input((4,)), embedded(staghorn, 2), Plain()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.compile("sgd", "mse")
        loss = model.evaluate(IDS, TARGETS, verbose=0)
        wanted = np.mean((np.asarray(model.predict(IDS, verbose=0)) - TARGETS) ** 2)
    assert loss == pytest.approx(wanted, rel=1e-5)


def test_a_lambda_drops_the_mask():
    assert get_mask(staghorn.layers.Lambda(lambda x: x * 2.0)(embedded(staghorn)(IDS))) is None


def test_rows_without_real_steps():
    """They cost nothing, and nothing becomes NaN."""
    model = attention(staghorn)
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(np.zeros_like(IDS), TARGETS, verbose=0)
    assert_same(model.get_weights(), before)
