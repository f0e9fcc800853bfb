"""Losses where JAX refuses implicit broadcasting between ranks and implicit type promotion."""

import jax
import numpy as np
import pytest

import staghorn
from staghorn import losses

N, K = 6, 3
LABELS = np.arange(N, dtype="int32") % K
ONE_HOT = np.eye(K, dtype="float32")[LABELS]
SCORES = np.random.default_rng(0).uniform(0.1, 0.9, (N, K)).astype("float32")
TARGETS = {"Sparse": LABELS, "CategoricalGeneralized": LABELS, "Circle": LABELS}
NAMES = [name for name in losses.__all__ if name[0].isupper() and name not in ("Loss", "CTC")]
NAMES.remove("LossFunctionWrapper")


def target_of(name):
    if name == "MeanAbsolutePercentageError":
        return ONE_HOT + 1  # the gradient of a relative error at 0 is beyond float16
    return next((y for start, y in TARGETS.items() if name.startswith(start)), ONE_HOT)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_loss_and_gradient(name, dtype):
    y_true, y_pred = target_of(name), jax.numpy.asarray(SCORES, dtype)
    loss = getattr(losses, name)()
    value, gradient = jax.value_and_grad(lambda p: loss(y_true, p))(y_pred)
    assert value.dtype == "float32"
    assert gradient.dtype == dtype
    assert np.isfinite(np.asarray(gradient, "float32")).all()


@pytest.mark.parametrize("reduction", ["sum", "mean", "mean_with_sample_weight", "none"])
@pytest.mark.parametrize("weight_shape", [(N,), (N, 1)])
@pytest.mark.parametrize("y_true_dtype", ["float64", "int64", "bool"])
def test_weights_and_target_types(reduction, weight_shape, y_true_dtype):
    loss = losses.MeanSquaredError(reduction=reduction)
    weights = np.arange(N, dtype="int32").reshape(weight_shape)
    expected = np.mean((ONE_HOT - SCORES) ** 2, axis=1) * np.arange(N)
    divisor = {"mean": N, "mean_with_sample_weight": 15}.get(reduction, 1)
    expected = expected if reduction == "none" else expected.sum() / divisor
    got = loss(ONE_HOT.astype(y_true_dtype), SCORES, weights)
    np.testing.assert_allclose(np.ravel(got), np.ravel(expected), rtol=1e-5)


def test_mask_with_weights():
    from staghorn.losses.loss import reduce_weighted_values

    mask = np.arange(N) < 3
    value = reduce_weighted_values(np.ones(N), np.ones((N, 1)), mask, "mean")
    np.testing.assert_allclose(value, 1.0, rtol=1e-6)


def test_vector_and_column_under_functionalize():
    loss = losses.BinaryCrossentropy(from_logits=True)
    pure = staghorn.functionalize(lambda y, p: loss(y, p), [])
    value, _ = jax.jit(pure)([], np.array([0, 1, 1]), np.zeros((3, 1), "float32"))
    np.testing.assert_allclose(value, np.log(2), rtol=1e-5)


def test_ctc():
    labels = np.array([[1, 2], [1, 0]])
    logits = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    gradient = jax.grad(lambda p: losses.CTC()(labels, p))(logits)
    # The gradient of -log P by logits sums to zero over the classes of each step.
    np.testing.assert_allclose(gradient.sum(-1), np.zeros((2, 4)), atol=1e-5)


def test_class_weights_of_the_focal_loss():
    alpha = np.array([0.2, 0.3, 0.5])
    loss = losses.CategoricalFocalCrossentropy(alpha=alpha, gamma=0.0, reduction="none")
    shares = SCORES / SCORES.sum(-1, keepdims=True)
    expected = -alpha[LABELS] * np.log(shares[np.arange(N), LABELS])
    np.testing.assert_allclose(loss(ONE_HOT, SCORES), expected, rtol=1e-5)


def test_weights_per_row_with_a_mask_per_step():
    message = r"sample_weight \(4,\) and the mask.*\(4, 3\).*\[:, None\]"
    with pytest.raises(ValueError, match=message):
        losses.loss.reduce_weighted_values(
            np.ones((4, 3), "float32"), np.ones(4, "float32"), np.ones((4, 3), bool)
        )


def test_an_unknown_argument_names_the_class():
    with pytest.raises(TypeError, match=r"Huber: unknown argument 'delt'. Did you mean 'delta'"):
        losses.Huber(delt=2.0)
