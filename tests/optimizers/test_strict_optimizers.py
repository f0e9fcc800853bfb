"""Optimizers under strict rank and dtype promotion: nothing is broadcast or widened in silence."""

import jax
import numpy as np
import pytest

import staghorn
from staghorn import functionalize, optimizers
from staghorn.optimizers import schedules

MADE_OF_OTHERS = ("LossScaleOptimizer", "MultiOptimizer", "OptimizerMap")
CLASSES = [name for name in optimizers.FAMILY.objects if name not in MADE_OF_OTHERS]
SHAPES = [(4, 3), (3,), (), (2, 3, 4)]

EVERYTHING = {
    "weight_decay": 0.1,
    "global_clipnorm": 0.5,
    "loss_scale_factor": 8.0,
    "use_ema": True,
    "ema_overwrite_frequency": 2,
    "gradient_accumulation_steps": 2,
}
CASES = [
    *((name, dtype, {}) for name in CLASSES for dtype in ("float32", "bfloat16")),
    *(("Adam", dtype, EVERYTHING) for dtype in ("float32", "bfloat16")),
    ("SGD", "bfloat16", {"weight_decay": 0.1, "clipnorm": 0.5, "momentum": 0.5}),
    ("SGD", "bfloat16", {"clipvalue": 0.5, "nesterov": True, "momentum": 0.5}),
    ("RMSprop", "bfloat16", {"centered": True, "momentum": 0.5}),
    ("Adam", "bfloat16", {"amsgrad": True}),
]


def problem(dtype):
    rng = np.random.default_rng(0)
    variables = [staghorn.Variable(np.float32(rng.normal(size=s)), dtype=dtype) for s in SHAPES]
    return variables, [np.float32(rng.normal(size=shape)) for shape in SHAPES]


@pytest.mark.parametrize(("name", "dtype", "options"), CASES)
def test_steps_in_a_compiled_loop(name, dtype, options):
    variables, gradients = problem(dtype)
    optimizer = getattr(optimizers, name)(0.5, **options)
    optimizer.build(variables)
    state = [*variables, *optimizer.variables]
    step = functionalize(lambda g: optimizer.apply(g), state)
    before = [v.value for v in state]

    @jax.jit
    def run(values, gradients):
        return jax.lax.fori_loop(0, 4, lambda i, values: step(values, gradients)[1], values)

    after = run(before, gradients)
    assert [a.dtype for a in after] == [b.dtype for b in before]
    assert int(after[len(variables)]) == 4
    assert all(np.isfinite(np.float32(x)).all() for x in after)
    assert (np.float32(after[0]) != np.float32(before[0])).any()


def test_optimizers_by_variable_in_a_compiled_step():
    variables, gradients = problem("bfloat16")
    pairs = optimizers.OptimizerMap(optimizers.SGD(0.5), {variables[1].path: optimizers.Adam(0.5)})
    optimizer = optimizers.MultiOptimizer(pairs)
    optimizer.build(variables)
    state = [*variables, *optimizer.variables]
    step = jax.jit(functionalize(optimizer.apply, state))
    _, after = step([v.value for v in state], gradients)
    assert [a.dtype for a in after] == [v.dtype for v in state]
    moved = [np.float32(a) - np.float32(v.numpy()) for a, v in zip(after, variables, strict=False)]
    np.testing.assert_allclose(moved[0], -0.5 * gradients[0], rtol=0.02, atol=0.01)
    np.testing.assert_allclose(np.abs(moved[1]), 0.5, rtol=0.02)  # Adam's first step


def test_loss_scale_of_a_half_precision_model():
    variables, gradients = problem("float16")
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.5), initial_scale=4.0)
    assert optimizer.scale_loss(np.float16(60000.0)) == 240000.0
    optimizer.build(variables)
    state = [*variables, *optimizer.variables]
    step = jax.jit(functionalize(optimizer.apply, state))
    _, after = step([v.value for v in state], gradients)
    expected = variables[0].numpy() - np.float16(0.125) * np.float16(gradients[0])
    np.testing.assert_allclose(after[0], expected, 2e-2)
    assert optimizer.scale_loss(np.float32(2.0)) == 8.0


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.ExponentialDecay(0.1, 3, 0.5, staircase=True),
        schedules.PiecewiseConstantDecay([2, 4], [0.1, 0.2, 0.3]),
        schedules.PolynomialDecay(0.1, 3, cycle=True),
        schedules.InverseTimeDecay(0.1, 3, 0.5),
        schedules.CosineDecay(0.1, 3, warmup_target=0.2, warmup_steps=2),
        schedules.CosineDecayRestarts(0.1, 3),
    ],
    ids=lambda schedule: schedule.name,
)
def test_schedules(schedule):
    variables, gradients = problem("float32")
    optimizer = optimizers.SGD(schedule)
    optimizer.build(variables)
    state = [*variables, *optimizer.variables]
    _, after = jax.jit(functionalize(optimizer.apply, state))([v.value for v in state], gradients)
    rate = np.float32(schedule(0))
    expected = variables[0].numpy() - rate * gradients[0]
    np.testing.assert_allclose(after[0], expected, 1e-5)
