"""Every loss against keras: values, gradients, configs, over reductions, weights and options."""

import itertools

import jax
import numpy as np
import pytest

import staghorn
from staghorn import losses
from tests.oracle import assert_same, compare, keras

REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]
WEIGHTS = ["none", "(n,)", "(n, 1)"]


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def data(kind, n=6, k=4):
    """Targets and predictions for a loss: what each needs to be well defined."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, k)).astype("float32")
    labels = rng.integers(0, k, n)
    return {
        "real": (rng.normal(size=(n, k)).astype("float32"), logits),
        "positive": (rng.uniform(1, 3, (n, k)).astype("float32"), np.exp(logits)),
        "signs": (np.sign(rng.normal(size=(n, k))).astype("float32"), logits),
        "binary": (
            rng.integers(0, 2, (n, k)).astype("float32"),
            rng.uniform(0.1, 0.9, (n, k)).astype("float32"),
        ),
        "binary logits": (rng.integers(0, 2, (n, k)).astype("float32"), logits),
        "one-hot": (np.eye(k, dtype="float32")[labels], softmax(logits)),
        "one-hot logits": (np.eye(k, dtype="float32")[labels], logits),
        "sparse": (labels.astype("int32"), softmax(logits)),
        "sparse logits": (labels.astype("int32"), logits),
        "distributions": (softmax(rng.normal(size=(n, k)).astype("float32")), softmax(logits)),
        "embeddings": (
            np.array([0, 0, 1, 1, 2, 2]),
            (logits / np.linalg.norm(logits, axis=1, keepdims=True)).astype("float32"),
        ),
        "sequences": (
            np.array([[1, 2, 0], [3, 3, 1], [2, 0, 0], [0, 0, 0], [1, 1, 0], [3, 2, 1]]),
            rng.normal(size=(n, 6, k)).astype("float32"),
        ),
    }[kind]


# (class, arguments, data); the first case of a class also serves where one is enough.
CASES = [
    ("MeanSquaredError", {}, "real"),
    ("MeanAbsoluteError", {}, "real"),
    ("MeanAbsolutePercentageError", {}, "real"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("CosineSimilarity", {}, "real"),
    ("Huber", {}, "real"),
    ("LogCosh", {}, "real"),
    ("Hinge", {}, "signs"),
    ("Hinge", {}, "binary logits"),
    ("SquaredHinge", {}, "signs"),
    ("CategoricalHinge", {}, "one-hot logits"),
    ("KLDivergence", {}, "distributions"),
    ("Poisson", {}, "positive"),
    ("BinaryCrossentropy", {}, "binary"),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, "binary"),
    ("BinaryCrossentropy", {"from_logits": True}, "binary logits"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "binary logits"),
    ("CategoricalCrossentropy", {}, "one-hot"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, "one-hot"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one-hot logits"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "one-hot logits"),
    ("SparseCategoricalCrossentropy", {}, "sparse"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "sparse logits"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}, "sparse"),
    ("BinaryFocalCrossentropy", {}, "binary"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.3}, "binary"),
    ("BinaryFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "binary logits"),
    ("CategoricalFocalCrossentropy", {}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "gamma": 1.5}, "one-hot logits"),
    ("CategoricalFocalCrossentropy", {"label_smoothing": 0.1}, "one-hot"),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.3}, "sparse"),
    ("CTC", {}, "sequences"),
    ("Dice", {}, "binary"),
    ("Dice", {"axis": 1}, "binary"),
    ("Tversky", {"alpha": 0.3, "beta": 0.7}, "binary"),
    ("Tversky", {"axis": (1,)}, "binary"),
    ("Circle", {"gamma": 4.0}, "embeddings"),
]
IDS = [
    f"{name}-{'-'.join(f'{k}={v}' for k, v in args.items())}-{kind}" for name, args, kind in CASES
]
FIRST_CASES = list({name: (name, args, kind) for name, args, kind in reversed(CASES)}.values())
# Options that Keras's configs drop, so that its round trip changes the loss; ours keep them.
DROPPED_BY_KERAS = {
    "Huber": {"delta": 2.0},
    "CosineSimilarity": {"axis": 0},
    "SparseCategoricalCrossentropy": {"axis": 1},
}


@pytest.mark.parametrize(("name", "args", "kind"), CASES, ids=IDS)
def test_loss_equals_keras(name, args, kind):
    y_true, y_pred = data(kind)
    weights = np.linspace(0.0, 2.0, len(y_true)).astype("float32")
    forms = {"none": None, "(n,)": weights, "(n, 1)": weights[:, None]}
    per_sample = getattr(losses, name)(reduction="none", **args)(y_true, y_pred).ndim > 0
    if not per_sample:  # one loss for the whole batch
        forms = {"none": None, "()": np.float32(0.5)}

    def values(library, y_pred):
        return {
            f"{reduction}, {form}": getattr(library, name)(reduction=reduction, **args)(
                y_true, y_pred, sample_weight
            )
            for reduction, (form, sample_weight) in itertools.product(REDUCTIONS, forms.items())
        }

    # One program for all of them: compiling is what this test spends its time on.
    ours, theirs = jax.jit(lambda p: (values(losses, p), values(keras.losses, p)))(y_pred)
    for case in theirs:
        assert_same(ours[case], theirs[case], rtol=2e-5, atol=2e-6, what=case)

    ours, theirs = getattr(losses, name)(**args), getattr(keras.losses, name)(**args)
    weights = weights if per_sample else np.float32(0.5)
    compare(
        lambda p: ours(y_true, p, weights),
        lambda p: theirs(y_true, p, weights),
        y_pred,
        rtol=2e-5,
        atol=2e-6,
    )


@pytest.mark.parametrize(("name", "args", "kind"), CASES, ids=IDS)
def test_config_equals_keras_and_comes_back(name, args, kind):
    del kind
    ours = getattr(losses, name)(**args)
    assert ours.get_config() == getattr(keras.losses, name)(**args).get_config()
    config = losses.serialize(ours)
    twin = losses.deserialize(config)
    assert type(twin) is type(ours)
    assert losses.serialize(twin) == config
    theirs = keras.saving.deserialize_keras_object(config)
    assert type(theirs).__name__ == name


@pytest.mark.parametrize("name", DROPPED_BY_KERAS)
def test_config_keeps_what_keras_drops(name):
    (option,) = DROPPED_BY_KERAS[name].items()
    ours = getattr(losses, name)(**DROPPED_BY_KERAS[name])
    assert option not in getattr(keras.losses, name)(**DROPPED_BY_KERAS[name]).get_config().items()
    assert option in ours.get_config().items()
    keras.losses.deserialize(losses.serialize(ours))  # Keras reads it all the same


def test_dtype_comes_back():
    loss = losses.deserialize(losses.serialize(losses.MeanSquaredError(dtype="float16")))
    assert loss.dtype == "float16"


@pytest.mark.parametrize(("name", "args", "kind"), FIRST_CASES, ids=[c[0] for c in FIRST_CASES])
def test_jit_equals_eager(name, args, kind):
    y_true, y_pred = data(kind)
    loss = getattr(losses, name)(**args)
    assert_same(jax.jit(loss)(y_true, y_pred), loss(y_true, y_pred), rtol=1e-5)


FUNCTIONS = [
    (losses.mean_squared_error, "real"),
    (losses.huber, "real"),
    (losses.log_cosh, "real"),
    (losses.cosine_similarity, "real"),
    (losses.squared_hinge, "signs"),
    (losses.categorical_hinge, "one-hot logits"),
    (losses.kl_divergence, "distributions"),
    (losses.poisson, "positive"),
    (losses.binary_crossentropy, "binary"),
    (losses.categorical_crossentropy, "one-hot"),
    (losses.binary_focal_crossentropy, "binary"),
    (losses.dice, "binary"),
    (losses.tversky, "binary"),
]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(("function", "kind"), FUNCTIONS, ids=[f.__name__ for f, _ in FUNCTIONS])
def test_functions_follow_the_type_of_the_predictions(function, kind, dtype):
    y_true, y_pred = data(kind)
    theirs = getattr(keras.losses, function.__name__)
    y_pred = jax.numpy.asarray(y_pred, dtype)
    rtol = 1e-5 if dtype == "float32" else 4e-2
    compare(
        lambda p: function(y_true, p), lambda p: theirs(y_true, p), y_pred, grad=False, rtol=rtol
    )


def test_loss_of_a_half_precision_model_is_float32():
    y_pred = jax.numpy.full((4, 3), 300.0, "float16")  # its square is beyond float16
    loss = losses.MeanSquaredError()(np.zeros((4, 3)), y_pred)
    assert loss.dtype == "float32"
    assert float(loss) == 90000.0


@pytest.mark.parametrize("kind", ["binary", "binary logits"])
def test_focal_and_crossentropy_agree_without_focus(kind):
    y_true, y_pred = data(kind)
    from_logits = kind.endswith("logits")
    focal = losses.BinaryFocalCrossentropy(gamma=0.0, from_logits=from_logits)
    plain = losses.BinaryCrossentropy(from_logits=from_logits)
    assert_same(focal(y_true, y_pred), plain(y_true, y_pred), rtol=1e-5)


SHAPES = [
    ((5,), (5, 1)),
    ((5, 1), (5,)),
    ((5,), (5,)),
    ((5, 3), (5, 3, 1)),
    ((5, 1), (5, 4)),
    ((4,), (4, 4)),
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["MeanSquaredError", "Huber", "Poisson", "Hinge"])
def test_unequal_shapes_follow_keras(name, shapes):
    rng = np.random.default_rng(1)
    y_true, y_pred = (rng.uniform(0.5, 1.5, shape).astype("float32") for shape in shapes)
    ours, theirs = getattr(losses, name)(), getattr(keras.losses, name)()
    compare(lambda p: ours(y_true, p), lambda p: theirs(y_true, p), y_pred)


@pytest.mark.parametrize("name", ["mean_squared_error", "binary_crossentropy", "poisson", "hinge"])
def test_functions_pair_a_vector_with_a_column(name):
    y_true = np.array([0.0, 1.0, 1.0], "float32")
    y_pred = np.array([0.2, 0.6, 0.7], "float32")
    function = getattr(losses, name)
    assert_same(function(y_true, y_pred[:, None]), function(y_true[:, None], y_pred[:, None]))


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"y_true \(5,\) and y_pred \(5, 3\) do not fit"):
        losses.MeanSquaredError()(np.zeros(5), np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"write sample_weight\[:, None\]"):
        losses.MeanSquaredError()(np.zeros((5, 3, 2)), np.zeros((5, 3, 2)), np.ones(5))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kept", [0, 3, 6])
def test_reduction_of_masked_values_equals_keras(reduction, weighted, kept):
    from staghorn.losses.loss import reduce_weighted_values

    values = np.linspace(1.0, 2.0, 6).astype("float32")
    mask = np.arange(6) < kept
    weights = np.linspace(0.0, 1.0, 6).astype("float32") if weighted else None
    theirs = keras.src.losses.loss.reduce_weighted_values
    compare(
        lambda v: reduce_weighted_values(v, weights, mask, reduction),
        lambda v: theirs(v, weights, mask, reduction),
        values,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_mask_of_predictions_reaches_the_loss(reduction):
    from staghorn.engine.masks import set_mask

    rng = np.random.default_rng(2)
    y_true = rng.normal(size=(3, 4, 2)).astype("float32")
    y_pred = jax.numpy.asarray(rng.normal(size=(3, 4, 2)).astype("float32"))
    mask = np.arange(4)[None, :] < np.array([[1], [4], [0]])
    set_mask(y_pred, mask)
    twin = jax.numpy.array(y_pred, copy=True)
    keras.src.backend.set_keras_mask(twin, mask)
    ours = losses.MeanSquaredError(reduction=reduction)(y_true, y_pred)
    theirs = keras.losses.MeanSquaredError(reduction=reduction)(y_true, twin)
    assert_same(ours, theirs)
    per_step = np.mean((y_true - np.asarray(y_pred)) ** 2, -1)
    if reduction == "mean":
        np.testing.assert_allclose(ours, per_step[mask].mean(), rtol=1e-5)


def test_ignored_class_leaves_the_mean():
    y_true = np.array([[0, 255], [1, 255]])
    y_pred = np.full((2, 2, 3), 1 / 3, "float32")
    loss = losses.SparseCategoricalCrossentropy(ignore_class=255)
    np.testing.assert_allclose(loss(y_true, y_pred), np.log(3), rtol=1e-5)
    assert_same(
        loss(y_true, y_pred),
        keras.losses.SparseCategoricalCrossentropy(ignore_class=255)(y_true, y_pred),
    )


@pytest.mark.parametrize("axis", [1, -1])
def test_class_axis_may_be_anywhere(axis):
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, (2, 5))
    logits = rng.normal(size=(2, 5, 3)).astype("float32")
    one_hot = np.eye(3, dtype="float32")[labels]
    loss = losses.categorical_crossentropy(
        np.moveaxis(one_hot, -1, axis), np.moveaxis(logits, -1, axis), from_logits=True, axis=axis
    )
    assert_same(loss, losses.categorical_crossentropy(one_hot, logits, from_logits=True))


def test_one_unit_categorical_crossentropy_warns():
    y = np.ones((3, 1), "float32")
    for function in (losses.categorical_crossentropy, losses.categorical_focal_crossentropy):
        with pytest.warns(SyntaxWarning, match="binary_crossentropy"):
            function(y, y)
        with pytest.raises(ValueError, match="axis must be an int"):
            function(np.ones((3, 2)), np.ones((3, 2)), axis=True)


def test_cosine_of_a_zero_vector_has_a_finite_gradient():
    zeros = np.zeros((2, 3), "float32")
    gradient = jax.grad(lambda p: losses.CosineSimilarity()(np.ones((2, 3)), p))(zeros)
    assert np.isfinite(gradient).all()


def test_ctc_counts_the_paths():
    # Uniform logits: P = (number of alignments) / classes^steps.
    logits = np.zeros((4, 3, 3), "float32")
    labels = np.array([[1, 0], [1, 2], [1, 1], [0, 0]])
    alignments = np.array([6, 5, 1, 1])
    expected = -np.log(alignments / 27)
    np.testing.assert_allclose(losses.ctc(labels, logits), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("y_true", "y_pred"), [(np.ones(3), np.ones((3, 2, 2))), (np.ones((3, 2)),) * 2]
)
def test_ctc_names_the_wrong_rank(y_true, y_pred):
    with pytest.raises(ValueError, match="ctc: y_"):
        losses.ctc(y_true, y_pred)


def test_circle_compares_with_references():
    rng = np.random.default_rng(4)
    query, references = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    args = (np.array([0, 1, 1, 0]), query.astype("float32"), np.array([0, 1, 2, 1, 0]))
    options = {"ref_embeddings": references.astype("float32"), "remove_diagonal": False, "gamma": 2}
    assert_same(losses.circle(*args, **options), keras.losses.circle(*args, **options), rtol=1e-4)


# Names ---------------------------------------------------------------------------------------


def test_public_names_are_those_of_keras():
    theirs = {name for name in dir(keras.losses) if not name.startswith("_")}
    ours = set(losses.__all__) - {"LossFunctionWrapper"}
    assert ours == theirs


@pytest.mark.parametrize("name", sorted(keras.src.losses.ALL_OBJECTS_DICT))
def test_every_name_keras_knows_is_known(name):
    theirs = keras.src.losses.ALL_OBJECTS_DICT[name]
    assert losses.FAMILY.objects[name].__name__ == theirs.__name__


def test_get():
    assert losses.get(None) is None
    assert losses.get("mse") is losses.mean_squared_error
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    loss = losses.Huber(delta=3.0)
    assert losses.get(loss) is loss
    assert losses.get(losses.serialize(loss)).delta == 3.0
    with pytest.raises(ValueError, match="Did you mean 'categorical_crossentropy'"):
        losses.get("categorical_crossentrpy")


def test_function_serializes_as_keras_writes_it():
    config = losses.serialize(losses.mean_squared_error)
    assert losses.deserialize(config) is losses.mean_squared_error
    assert keras.losses.deserialize(config) is keras.losses.mean_squared_error


def test_wrapper_round_trip():
    loss = losses.LossFunctionWrapper(losses.huber, delta=2.0, name="wide")
    twin = losses.LossFunctionWrapper.from_config(loss.get_config())
    y_true, y_pred = data("real")
    assert twin.name == "wide"
    assert_same(twin(y_true, 3 * y_pred), loss(y_true, 3 * y_pred))


def test_nested_targets_are_paired():
    def summed(y_true, y_pred):
        return sum(losses.mean_squared_error(y_true[k], y_pred[k]) for k in y_true)

    y_true = {"a": np.zeros(3), "b": np.zeros((3, 2))}
    y_pred = {"a": np.ones((3, 1)), "b": np.ones((3, 2))}
    assert float(losses.LossFunctionWrapper(summed)(y_true, y_pred)) == 2.0


def test_user_loss():
    class Scaled(losses.Loss):
        def __init__(self, factor, name="scaled", **kwargs):
            super().__init__(name=name, **kwargs)
            self.factor = factor

        def call(self, y_true, y_pred):
            return self.factor * losses.mean_absolute_error(y_true, y_pred)

    loss = Scaled(2.0, reduction="sum")
    assert float(loss(np.zeros((3, 1)), np.ones((3, 1)))) == 6.0
    twin = Scaled.from_config(loss.get_config())
    assert (twin.factor, twin.name, twin.reduction) == (2.0, "scaled", "sum")
    with pytest.raises(NotImplementedError, match="Define call"):
        losses.Loss()(np.zeros(2), np.zeros(2))


@pytest.mark.parametrize("make", [losses.Loss, losses.MeanSquaredError])
def test_wrong_reduction_is_refused(make):
    with pytest.raises(ValueError, match=r"reduction must be one of .* Did you mean 'sum'"):
        make(reduction="summ")


@pytest.mark.parametrize("q", [0, 1, -0.5])
def test_generalized_crossentropy_checks_q(q):
    with pytest.raises(ValueError, match="q must be"):
        losses.CategoricalGeneralizedCrossEntropy(q=q)


def test_symbolic_loss_has_the_shape_of_an_eager_one():
    y_true, y_pred = staghorn.KerasTensor((None, 4)), staghorn.KerasTensor((None, 4))
    assert losses.mean_squared_error(y_true, y_pred).shape == (None,)
    assert losses.MeanSquaredError()(y_true, y_pred).shape == ()
    assert losses.MeanSquaredError(reduction="none")(y_true, y_pred).shape == (None,)
