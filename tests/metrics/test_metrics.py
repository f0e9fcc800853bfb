"""Every metric against keras: streamed results, weights, configs; stateless and compiled forms."""

import jax
import numpy as np
import pytest

from staghorn import losses, metrics
from staghorn.engine.masks import set_mask
from staghorn.metrics.confusion_counts import counts_by_comparison, counts_in_buckets
from tests.oracle import assert_same, keras

SPLITS = [(0, 4), (4, 8), (8, 9)]  # uneven batches; each length is compiled for


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def data(kind, n=9, k=4):
    """Targets and predictions of n samples for a metric."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, k)).astype("float32")
    labels = rng.integers(0, k, n)
    probabilities = rng.uniform(0, 1, (n, k)).astype("float32").round(2)
    return {
        "real": (rng.normal(size=(n, k)).astype("float32"), logits),
        "positive": (rng.uniform(1, 3, (n, k)).astype("float32"), np.exp(logits)),
        "signs": (np.sign(rng.normal(size=(n, k))).astype("float32"), logits),
        "classes": (labels, rng.integers(0, k, n)),
        "binary": (rng.integers(0, 2, (n, k)), probabilities),
        "binary vector": (rng.integers(0, 2, n), probabilities[:, 0]),
        "binary vector and column": (rng.integers(0, 2, n), probabilities[:, :1]),
        "binary logits": (rng.integers(0, 2, (n, k)), logits),
        "one-hot": (np.eye(k, dtype="float32")[labels], softmax(logits)),
        "one-hot logits": (np.eye(k, dtype="float32")[labels], logits),
        "sparse": (labels, softmax(logits)),
        "sparse column": (labels[:, None], softmax(logits)),
        "sorted ids": (labels, np.argsort(-logits, axis=1)),
        "sequences": (rng.integers(0, k, (n, 3)), softmax(rng.normal(size=(n, 3, k)))),
        "one-hot sequences": (
            np.eye(k)[rng.integers(0, k, (n, 3))],
            softmax(rng.normal(size=(n, 3, k))),
        ),
    }[kind]


THRESHOLDS = [0.0, 0.25, 0.5, 0.75, 1.0]
UNEVEN = [0.1, 0.5, 0.7]
COUNTS = ["TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives"]
CASES = [
    ("Accuracy", {}, "classes"),
    ("BinaryAccuracy", {}, "binary"),
    ("BinaryAccuracy", {"threshold": 0.3}, "binary vector and column"),
    ("CategoricalAccuracy", {}, "one-hot"),
    ("CategoricalAccuracy", {}, "one-hot sequences"),
    ("SparseCategoricalAccuracy", {}, "sparse"),
    ("SparseCategoricalAccuracy", {}, "sparse column"),
    ("SparseCategoricalAccuracy", {}, "sequences"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one-hot"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one-hot sequences"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "sparse"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "sparse column"),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, "sorted ids"),
    ("MeanSquaredError", {}, "real"),
    ("MeanAbsoluteError", {}, "real"),
    ("MeanAbsolutePercentageError", {}, "real"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("RootMeanSquaredError", {}, "real"),
    ("LogCoshError", {}, "real"),
    ("CosineSimilarity", {}, "real"),
    ("R2Score", {}, "real"),
    ("R2Score", {"class_aggregation": None}, "real"),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, "real"),
    ("R2Score", {"num_regressors": 2}, "real"),
    ("KLDivergence", {}, "one-hot"),
    ("Poisson", {}, "positive"),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, "binary"),
    ("BinaryCrossentropy", {"from_logits": True}, "binary logits"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "one-hot"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one-hot logits"),
    ("SparseCategoricalCrossentropy", {}, "sparse"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "sparse"),
    ("Hinge", {}, "signs"),
    ("SquaredHinge", {}, "signs"),
    ("CategoricalHinge", {}, "one-hot logits"),
    *((name, {}, "binary vector") for name in COUNTS),
    *((name, {"thresholds": UNEVEN}, "binary") for name in COUNTS),
    *((name, {"thresholds": THRESHOLDS}, "binary") for name in COUNTS),
    ("Precision", {}, "binary vector and column"),
    ("Precision", {"thresholds": UNEVEN, "class_id": 1}, "binary"),
    ("Precision", {"top_k": 2}, "binary"),
    ("Precision", {"thresholds": 0.7, "top_k": 1}, "binary"),
    ("Recall", {}, "binary vector"),
    ("Recall", {"thresholds": THRESHOLDS}, "binary"),
    ("Recall", {"top_k": 2, "class_id": 3}, "binary"),
    ("SensitivityAtSpecificity", {"specificity": 0.5}, "binary"),
    ("SensitivityAtSpecificity", {"specificity": 0.5, "num_thresholds": 1}, "binary"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.5}, "binary"),
    ("PrecisionAtRecall", {"recall": 0.6, "num_thresholds": 11}, "binary"),
    ("RecallAtPrecision", {"precision": 0.6, "class_id": 0}, "binary"),
    *(
        ("AUC", {"curve": curve, "summation_method": method}, "binary")
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "majoring", "minoring")
    ),
    ("AUC", {"num_thresholds": 3}, "binary vector and column"),
    ("AUC", {"thresholds": UNEVEN}, "binary"),
    ("AUC", {"thresholds": THRESHOLDS[1:-1], "curve": "PR"}, "binary"),
    ("AUC", {"from_logits": True}, "binary logits"),
    ("AUC", {"multi_label": True}, "binary"),
    ("AUC", {"multi_label": True, "thresholds": UNEVEN, "curve": "PR"}, "binary"),
    ("AUC", {"multi_label": True, "num_labels": 4, "label_weights": [1, 0, 2, 1]}, "binary"),
    ("AUC", {"label_weights": [1, 0, 2, 1]}, "binary"),
    ("F1Score", {}, "one-hot"),
    ("F1Score", {"average": "macro", "threshold": 0.4}, "binary"),
    ("FBetaScore", {"beta": 2.0, "average": "micro"}, "one-hot"),
    ("FBetaScore", {"beta": 0.5, "average": "weighted", "threshold": 0.4}, "binary"),
    ("IoU", {"num_classes": 4, "target_class_ids": [0, 2]}, "classes"),
    ("IoU", {"num_classes": 4, "target_class_ids": [1], "sparse_y_pred": False}, "sequences"),
    ("BinaryIoU", {"threshold": 0.4}, "binary"),
    ("MeanIoU", {"num_classes": 4}, "classes"),
    ("MeanIoU", {"num_classes": 4, "ignore_class": 1}, "classes"),
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [0, 2]}, "one-hot"),
    ("OneHotMeanIoU", {"num_classes": 4}, "one-hot sequences"),
    ("PearsonCorrelation", {}, "real"),
    ("ConcordanceCorrelation", {}, "real"),
]


def case_id(case):
    name, args, kind = case
    return f"{name}-{'-'.join(f'{k}={v}' for k, v in args.items())}-{kind}".replace(" ", "_")


IDS = [case_id(case) for case in CASES]
FIRST = list({case[0]: case for case in reversed(CASES)}.values())


def rows(*more, quick=()):
    """The first row of each metric runs always, also with `more` values; the others are slow,
    only because they are many, unless their value of `more` is in `quick`."""
    return [
        pytest.param(
            *case,
            *value,
            id="-".join([case_id(case), *(str(v) for v in value)]),
            marks=[] if case in FIRST or value in quick else [pytest.mark.slow],
        )
        for case in CASES
        for value in (more or [()])
    ]


def weights_for(name, y_true):
    weights = np.arange(len(y_true)) % 4
    if "IoU" in name:
        return np.broadcast_to(weights.reshape((-1,) + (1,) * (y_true.ndim - 1)), y_true.shape)
    return weights.astype("float32")


def stream(metric, y_true, y_pred, sample_weight=None):
    for start, stop in SPLITS:
        weights = None if sample_weight is None else sample_weight[start:stop]
        metric.update_state(y_true[start:stop], y_pred[start:stop], sample_weight=weights)
    return metric.result()


# Keras's own IoU asks JAX for int64.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
@pytest.mark.parametrize(
    ("name", "args", "kind", "weighted"), rows((False,), (True,), quick=[(True,)])
)
def test_streamed_result_equals_keras(name, args, kind, weighted):
    y_true, y_pred = data(kind)
    sample_weight = weights_for(name, y_true) if weighted else None
    if weighted and "IoU" in name and not args.get("sparse_y_true", True):
        sample_weight = sample_weight[..., 0]
    if weighted and name.startswith("OneHot"):
        sample_weight = sample_weight[..., 0]
    ours = getattr(metrics, name)(**args)
    theirs = getattr(keras.metrics, name)(**args)
    result = stream(ours, y_true, y_pred, sample_weight)
    assert_same(result, stream(theirs, y_true, y_pred, sample_weight), rtol=1e-5, atol=1e-6)
    assert [v.shape for v in ours.variables] == [tuple(v.shape) for v in theirs.variables]
    assert [v.dtype for v in ours.variables] == [v.dtype for v in theirs.variables]
    assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]
    ours.reset_state()
    assert not any(np.asarray(v).any() for v in ours.variables)


@pytest.mark.parametrize(("name", "args", "kind"), CASES, ids=IDS)
def test_config_equals_keras_and_comes_back(name, args, kind):
    del kind
    args = {**args, "name": "figure"}  # automatic names count per process
    ours = getattr(metrics, name)(**args)
    config = metrics.serialize(ours)
    theirs = keras.metrics.serialize(getattr(keras.metrics, name)(**args))
    if "label_weights" in args:  # Keras leaves an array there, which is no JSON
        theirs["config"]["label_weights"] = config["config"]["label_weights"]
    assert config == theirs
    twin = metrics.deserialize(config)
    assert type(twin) is type(ours)
    assert metrics.serialize(twin) == config


@pytest.mark.parametrize(("name", "args", "kind"), rows())
def test_stateless_and_compiled_equal_stateful(name, args, kind):
    y_true, y_pred = (x[: SPLITS[0][1]] for x in data(kind))
    weights = None if "IoU" in name else weights_for(name, y_true)
    metric = getattr(metrics, name)(**args)
    metric.build(y_true.shape, y_pred.shape)
    state = metric.stateless_reset_state()
    for _ in range(2):
        state = jax.jit(metric.stateless_update_state)(state, y_true, y_pred, weights)
    assert not any(np.asarray(v).any() for v in metric.variables)
    result = jax.jit(metric.stateless_result)(state)
    for _ in range(2):
        metric.update_state(y_true, y_pred, weights)
    assert_same(state, [v.value for v in metric.variables], rtol=1e-5)
    assert_same(result, metric.result(), rtol=1e-5)


@pytest.mark.parametrize("name", ["Mean", "Sum"])
@pytest.mark.parametrize(
    ("value_shape", "weight_shape"),
    [((), None), ((), ()), ((4,), None), ((4,), (4,)), ((4,), (4, 1)), ((4,), ()), ((4, 3), None),
     ((4, 3), (4,)), ((4, 3), (4, 3)), ((4, 3), (4, 1)), ((4, 3, 2), (4, 3)), ((4, 1), (4,))],
)  # fmt: skip
def test_mean_and_sum_weigh_as_keras(name, value_shape, weight_shape):
    rng = np.random.default_rng(0)
    values = rng.normal(size=value_shape).astype("float32")
    weights = None if weight_shape is None else rng.uniform(size=weight_shape).astype("float32")
    ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    assert_same(ours(values, sample_weight=weights), theirs(values, sample_weight=weights))
    assert_same(ours(2 * values), theirs(2 * values))


@pytest.mark.parametrize("weighted", [False, True])
def test_mask_of_predictions_weighs(weighted):
    rng = np.random.default_rng(0)
    y_true = rng.normal(size=(3, 4, 2)).astype("float32")
    y_pred = jax.numpy.asarray(rng.normal(size=(3, 4, 2)).astype("float32"))
    mask = np.arange(4)[None, :] < np.array([[1], [4], [0]])
    weights = rng.uniform(size=(3, 4)).astype("float32") if weighted else None
    twin = jax.numpy.array(y_pred, copy=True)
    set_mask(y_pred, mask)
    keras.src.backend.set_keras_mask(twin, mask)
    ours = metrics.MeanSquaredError()(y_true, y_pred, sample_weight=weights)
    assert_same(ours, keras.metrics.MeanSquaredError()(y_true, twin, sample_weight=weights))


@pytest.mark.parametrize("shape", [(50,), (50, 3)], ids=str)
@pytest.mark.parametrize("outer", [0.0, 1e-7], ids=["closed", "open"])
def test_buckets_count_as_comparisons_do(shape, outer):
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 2, shape).astype("float32")
    # Sixteenths, thresholds included, 0 and 1 included: exact in float32.
    y_pred = (rng.integers(0, 17, shape) / 16).astype("float32")
    weights = rng.integers(0, 4, shape).astype("float32")
    thresholds = np.linspace(0, 1, 17)
    thresholds[[0, -1]] += [-outer, outer]
    args = (y_true, y_pred, weights, thresholds)
    assert_same(counts_in_buckets(*args), counts_by_comparison(*args))


# The base class ------------------------------------------------------------------------------


class Largest(metrics.Metric):
    def __init__(self, name="largest", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.largest = self.add_weight(initializer="ones", name="largest")
        self.parts = [metrics.Mean(name="a"), metrics.Sum(name="b")]

    def update_state(self, values, sample_weight=None):
        self.largest.assign(jax.numpy.maximum(self.largest.value, jax.numpy.max(values)))
        for part in self.parts:
            part.update_state(values)

    def result(self):
        return self.largest.value + self.parts[0].result()


def test_nested_state_is_tracked_and_reset():
    metric = Largest()
    assert [v.name for v in metric.variables] == ["largest", "total", "count", "total"]
    assert float(metric(np.array([1.0, 5.0]))) == 8.0
    metric.reset_state()
    assert [float(v) for v in metric.variables] == [1.0, 0.0, 0.0, 0.0]
    assert [float(v) for v in metric.stateless_reset_state()] == [1.0, 0.0, 0.0, 0.0]
    assert metric.get_config() == {"name": "largest", "dtype": "float32"}


def test_initial_values_survive_sizing_under_a_trace():
    from staghorn.engine.scope import abstractly

    class Late(metrics.Metric):
        def update_state(self, values):
            if not self.variables:
                self.total = self.add_weight(initializer="ones", name="total")
            self.total.assign_add(jax.numpy.sum(values))

        def result(self):
            return self.total.value

    metric = Late()
    jax.eval_shape(abstractly(metric.update_state), np.ones(3))
    assert float(metric.result()) == 1.0
    assert float(metric(np.ones(3))) == 4.0
    metric.reset_state()
    assert float(metric.result()) == 1.0


@pytest.mark.parametrize("name", ["R2Score", "F1Score"])
def test_sizing_checks_the_rank(name):
    with pytest.raises(ValueError, match=f"{name}: .*shape"):
        getattr(metrics, name)()(np.ones(3), np.ones(3))


def test_wrong_number_of_values_is_refused():
    with pytest.raises(ValueError, match="must hold 2 values"):
        metrics.Mean().stateless_update_state([0.0], np.ones(3))


def test_forgotten_super_is_named():
    class Forgetful(metrics.Metric):
        def __init__(self):
            self.total = self.add_weight()

    with pytest.raises(RuntimeError, match=r"super\(\).__init__"):
        Forgetful()


@pytest.mark.parametrize("method", ["update_state", "result"])
def test_missing_method_is_named(method):
    with pytest.raises(NotImplementedError, match=f"Define {method}"):
        getattr(metrics.Metric(), method)()


# Arguments -----------------------------------------------------------------------------------

WRONG = [
    ("AUC", {"curve": "ROX"}, "curve must be"),
    ("AUC", {"num_thresholds": 1}, "num_thresholds must be"),
    ("AUC", {"num_labels": 3}, "needs multi_label=True"),
    ("Precision", {"thresholds": [0.5, 1.5]}, r"thresholds must lie in \[0, 1\]"),
    ("Recall", {"top_k": 0}, "top_k must be"),
    ("PrecisionAtRecall", {"recall": 1.5}, "recall must be"),
    ("SensitivityAtSpecificity", {"specificity": 0.5, "num_thresholds": 0}, "num_thresholds must"),
    ("R2Score", {"class_aggregation": "mean"}, "class_aggregation must be"),
    ("R2Score", {"num_regressors": -1}, "num_regressors must be"),
    ("FBetaScore", {"beta": 0.0}, "beta must be"),
    ("F1Score", {"average": "mean"}, "average must be"),
    ("F1Score", {"threshold": 0.0}, "threshold must be"),
    ("IoU", {"num_classes": 2, "target_class_ids": [2]}, "target_class_ids must be"),
]


@pytest.mark.parametrize(("name", "args", "message"), WRONG, ids=lambda x: str(x).replace(" ", ""))
def test_wrong_arguments_are_refused(name, args, message):
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        getattr(metrics, name)(**args)


def test_curve_names_in_other_cases():
    metric = metrics.AUC(curve="pr", summation_method="Majoring")
    assert (metric.curve, metric.summation_method) == ("PR", "majoring")


def test_integer_labels_of_several_classes_are_refused():
    with pytest.raises(ValueError, match="must be one-hot"):
        metrics.Precision()(np.array([0, 2, 1]), np.ones((3, 3)) / 3)
    with pytest.raises(ValueError, match="class_id=1 needs"):
        metrics.Precision(class_id=1)(np.ones(3), np.ones(3))


def test_too_few_samples_for_the_adjusted_score_warn():
    metric = metrics.R2Score(num_regressors=5)
    metric.update_state(np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]]))
    with pytest.warns(UserWarning, match="too few to adjust"):
        adjusted = metric.result()
    plain = metrics.R2Score()(np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]]))
    assert_same(adjusted, plain)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
def test_float_weights_of_an_integer_matrix_warn():
    with pytest.warns(UserWarning, match='dtype="float32"'):
        metrics.MeanIoU(num_classes=2)([0, 1], [0, 1], np.array([0.3, 0.6]))
    fractions = metrics.MeanIoU(num_classes=2, dtype="float32")
    theirs = keras.metrics.MeanIoU(num_classes=2, dtype="float32")
    batch = (np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([0.3, 0.6, 0.2]))
    assert_same(fractions(*batch), theirs(*batch))


# Names ---------------------------------------------------------------------------------------


def test_public_names_are_those_of_keras():
    theirs = {name for name in dir(keras.metrics) if not name.startswith("_")}
    assert set(metrics.__all__) == theirs


@pytest.mark.parametrize("name", sorted(keras.src.metrics.ALL_OBJECTS_DICT))
def test_every_name_keras_knows_is_known(name):
    theirs = keras.src.metrics.ALL_OBJECTS_DICT[name]
    assert metrics.FAMILY.objects[name].__name__ == theirs.__name__


@pytest.mark.parametrize("name", ["mae", "MSE", "hinge", "poisson", "binary_accuracy", "auc"])
def test_get_by_name(name):
    ours, theirs = metrics.get(name), keras.metrics.get(name)
    assert type(ours).__name__ == type(theirs).__name__
    assert_same(ours(*data("binary")), theirs(*data("binary")))


def test_get():
    assert metrics.get(None) is None
    assert isinstance(metrics.get(metrics.AUC), metrics.AUC)
    metric = metrics.AUC()
    assert metrics.get(metric) is metric
    assert metrics.get(losses.huber) is losses.huber
    assert metrics.get(metrics.serialize(metrics.Precision(top_k=3))).top_k == 3
    with pytest.raises(ValueError, match="Did you mean 'precision'"):
        metrics.get("precison")


def test_wrapper_round_trip_and_direction():
    metric = metrics.MeanMetricWrapper(losses.huber, delta=2.0, name="wide")
    twin = metrics.MeanMetricWrapper.from_config(metric.get_config())
    batch = (np.zeros((2, 2)), np.full((2, 2), 5.0))
    assert_same(twin(*batch), metric(*batch))
    assert (twin.name, metric._direction) == ("wide", "down")
    assert metrics.MeanMetricWrapper(np.maximum)._direction is None


@pytest.mark.parametrize(("name", "args", "kind"), CASES, ids=IDS)
def test_direction_equals_keras(name, args, kind):
    del kind
    theirs = getattr(getattr(keras.metrics, name)(**args), "_direction", None)
    assert getattr(metrics, name)(**args)._direction == theirs
