"""Schedules: the oracle's numbers and configs at every kind of step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from staghorn.engine.serialization import custom_object_scope
from staghorn.optimizers import schedules
from tests.oracle import keras

CASES = {
    "exponential": ("ExponentialDecay", (0.1, 7, 0.5)),
    "exponential-stairs": ("ExponentialDecay", (0.1, 7, 0.5, True)),
    "piecewise": ("PiecewiseConstantDecay", ([5, 10, 30], [1.0, 0.5, 0.2, 0.1])),
    "piecewise-one": ("PiecewiseConstantDecay", ([5], [1.0, 0.5])),
    "polynomial": ("PolynomialDecay", (0.1, 20, 0.01)),
    "polynomial-power": ("PolynomialDecay", (0.1, 20, 0.01, 0.5)),
    "polynomial-cycle": ("PolynomialDecay", (0.1, 7, 0.01, 2.0, True)),
    "inverse-time": ("InverseTimeDecay", (0.1, 7, 0.5)),
    "inverse-time-stairs": ("InverseTimeDecay", (0.1, 7, 0.5, True)),
    "cosine": ("CosineDecay", (0.1, 20)),
    "cosine-alpha": ("CosineDecay", (0.1, 20, 0.2)),
    "cosine-warmup": ("CosineDecay", (0.01, 20, 0.1, "name", 0.5, 6)),
    "cosine-warmup-zero-steps": ("CosineDecay", (0.01, 20, 0.1, "name", 0.5, 0)),
    "restarts": ("CosineDecayRestarts", (0.1, 7)),
    "restarts-equal": ("CosineDecayRestarts", (0.1, 7, 1.0, 0.9, 0.1)),
    "restarts-lower": ("CosineDecayRestarts", (0.1, 7, 1.5, 0.8, 0.2)),
}
TABLE = pytest.mark.parametrize(("name", "args"), CASES.values(), ids=CASES)
STEPS = [0, 1, 4, 5, 6, 7, 10, 11, 19, 20, 21, 30, 31, 60, 1000]


@TABLE
def test_values(name, args):
    ours, theirs = getattr(schedules, name)(*args), getattr(keras.optimizers.schedules, name)(*args)
    expected = [float(theirs(step)) for step in STEPS]
    np.testing.assert_allclose([float(ours(step)) for step in STEPS], expected, 1e-5, 1e-7)
    steps = jnp.asarray(STEPS, "int32")
    compiled = jax.jit(lambda steps: jax.lax.map(ours, steps))(steps)
    assert compiled.dtype == "float32"
    np.testing.assert_allclose(compiled, expected, 1e-5, 1e-7)


@TABLE
def test_config(name, args):
    ours, theirs = getattr(schedules, name)(*args), getattr(keras.optimizers.schedules, name)(*args)
    assert ours.get_config() == theirs.get_config()
    assert schedules.serialize(ours) == keras.optimizers.schedules.serialize(theirs)
    again = schedules.deserialize(schedules.serialize(ours))
    assert float(again(9)) == float(ours(9))


def test_config_without_a_module_is_read():
    config = {"class_name": "InverseTimeDecay", "config": {**_inverse_time(), "name": None}}
    assert float(schedules.deserialize(config)(1)) == pytest.approx(0.05)


def _inverse_time():
    return {"initial_learning_rate": 0.1, "decay_steps": 1, "decay_rate": 1.0}


def test_an_integer_start_counts_in_floats():
    schedule = schedules.CosineDecay(0, 100, warmup_target=1.0, warmup_steps=10)
    assert float(schedule(5)) == pytest.approx(0.5)


class Halving(schedules.LearningRateSchedule):
    def __init__(self, start):
        self.start = start

    def __call__(self, step):
        return self.start / 2.0**step


def test_a_schedule_of_your_own_has_a_config():
    config = schedules.serialize(Halving(0.5))
    assert config["config"] == {"start": 0.5}
    with custom_object_scope({"Halving": Halving}):
        assert schedules.deserialize(config)(1) == 0.25
    assert schedules.deserialize(config, {"Halving": Halving})(1) == 0.25


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "decay_steps must be a positive"),
        (lambda: schedules.PolynomialDecay(0.1, -1), "decay_steps must be a positive"),
        (lambda: schedules.CosineDecay(0.1, 0), "decay_steps must be a positive"),
        (lambda: schedules.CosineDecayRestarts(0.1, 0), "first_decay_steps must be a positive"),
        (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1]), "one element more"),
    ],
)
def test_wrong_arguments(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_the_base_asks_for_a_call():
    with pytest.raises(NotImplementedError, match="def __call__"):
        schedules.LearningRateSchedule()(0)
