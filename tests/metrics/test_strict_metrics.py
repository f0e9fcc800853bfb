"""Metrics where JAX refuses implicit broadcasting between ranks and implicit type promotion."""

import jax
import numpy as np
import pytest

import staghorn
from staghorn import metrics

N, K = 6, 3
LABELS = np.arange(N) % K
ONE_HOT = np.eye(K)[LABELS]
SCORES = np.random.default_rng(0).uniform(0.1, 0.9, (N, K)).astype("float32")
PREDICTED = np.array([0, 1, 1, 0, 2, 2])
ARGUMENTS = {
    "IoU": {"num_classes": K, "target_class_ids": [0, 1]},
    "MeanIoU": {"num_classes": K},
    "OneHotIoU": {"num_classes": K, "target_class_ids": [0, 1]},
    "OneHotMeanIoU": {"num_classes": K},
    "MeanMetricWrapper": {"fn": metrics.mean_squared_error},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
}
NAMES = [name for name in metrics.__all__ if name[0].isupper() and name != "Metric"]


def batch_of(name):
    if name in ("IoU", "MeanIoU", "Accuracy"):
        return LABELS, PREDICTED
    return (LABELS if name.startswith("Sparse") else ONE_HOT), SCORES


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_metric_compiles_and_equals_eager(name, weighted, dtype):
    y_true, y_pred = batch_of(name)
    if y_pred.dtype == "float32":
        y_pred = jax.numpy.asarray(y_pred, dtype)
    weights = np.arange(N) if weighted else None
    if weighted and name == "BinaryIoU":
        weights = np.arange(N * K).reshape(N, K)
    metric = getattr(metrics, name)(**ARGUMENTS.get(name, {}))
    batch = (y_pred,) if name in ("Mean", "Sum") else (y_true, y_pred)
    eager = metric(*batch, sample_weight=weights)
    metric.reset_state()
    pure = staghorn.functionalize(metric, metric.variables)
    values = [v.value for v in metric.variables]
    compiled, new_values = jax.jit(pure)(values, *batch, sample_weight=weights)
    np.testing.assert_allclose(compiled, eager, rtol=1e-4, atol=1e-6)
    assert [v.dtype for v in values] == [v.dtype for v in new_values]


OPTIONS = [
    ("AUC", {"multi_label": True, "label_weights": [0.2, 0.3, 0.5]}),
    ("AUC", {"label_weights": [0.2, 0.3, 0.5], "thresholds": [0.1, 0.5, 0.6]}),
    ("AUC", {"curve": "PR", "from_logits": True}),
    ("AUC", {"curve": "PRGAIN", "summation_method": "majoring"}),
    ("Precision", {"top_k": 2}),
    ("Recall", {"class_id": 1, "thresholds": [0.1, 0.5, 0.6]}),
    ("R2Score", {"num_regressors": 2, "class_aggregation": None}),
    ("F1Score", {"average": "micro", "threshold": 0.4}),
    ("FBetaScore", {"average": "weighted"}),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_options(name, options):
    metric = getattr(metrics, name)(**options)
    first = np.asarray(metric(ONE_HOT, SCORES, sample_weight=np.arange(N)))
    metric.update_state(ONE_HOT, SCORES, sample_weight=np.arange(N))
    if not options.get("num_regressors"):  # the adjusted score looks at the number of samples
        np.testing.assert_allclose(metric.result(), first, rtol=1e-5)  # a share, not a sum
    assert np.isfinite(first).all()


def test_auc_is_the_chance_of_the_right_order():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(0, 2, 40), rng.integers(0, 33, 40) / 32
    differences = y_pred[y_true == 1][:, None] - y_pred[y_true == 0][None, :]
    expected = np.mean((differences > 0) + 0.5 * (differences == 0))
    metric = metrics.AUC(num_thresholds=33)
    for rows in np.split(np.arange(40), [7, 20]):
        metric.update_state(y_true[rows], y_pred[rows])
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-5)


def test_one_program_for_a_stream_of_equal_batches():
    metric = metrics.AUC()
    update = jax.jit(metric.stateless_update_state)
    state = metric.stateless_reset_state()
    for _ in range(3):
        state = update(state, ONE_HOT, SCORES)
    assert update._cache_size() == 1
    np.testing.assert_allclose(
        state[0], 3 * np.asarray(update(metric.stateless_reset_state(), ONE_HOT, SCORES)[0])
    )


def test_an_unknown_argument_names_the_class():
    with pytest.raises(TypeError, match=r"^Precision: unknown argument 'from_logits'"):
        staghorn.metrics.Precision(from_logits=True)
    with pytest.raises(TypeError, match=r"Recall: .*'threshold'. Did you mean 'thresholds'"):
        staghorn.metrics.Recall(threshold=0.5)
