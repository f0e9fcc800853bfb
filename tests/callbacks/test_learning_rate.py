"""LearningRateScheduler sets, logs and checks the rate."""

from types import SimpleNamespace

import numpy as np
import pytest

import staghorn
from staghorn.callbacks import LambdaCallback, LearningRateScheduler
from tests.callbacks.fakes import FakeModel, drive
from tests.oracle import keras


def with_rate(epoch, rate):
    return rate * 0.5 if epoch else rate


def without_rate(epoch):
    return 0.1 / (epoch + 1)


@pytest.mark.parametrize(
    "schedule", [with_rate, without_rate, lambda epoch, rate: np.float32(0.25)]
)
def test_rates_as_keras(schedule):
    results = []
    for library in (staghorn, keras):
        logged = []
        keep = library.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, logged=logged: logged.append(logs["learning_rate"])
        )
        drive([library.callbacks.LearningRateScheduler(schedule), keep], [{"loss": 1.0}] * 4)
        results.append(logged)
    assert results[0] == results[1]
    assert len(results[0]) == 4


@pytest.mark.parametrize("value", [1, np.array(0.5), np.float64(2.0)])
def test_numbers_of_any_kind(value):
    model = drive([LearningRateScheduler(lambda epoch: value)], [{}])
    assert model.optimizer.learning_rate == float(value)


@pytest.mark.parametrize(("value", "word"), [(None, "NoneType"), ("0.1", "str"), (True, "bool")])
def test_wrong_value(value, word):
    with pytest.raises(ValueError, match=rf"must return a float, got .*\({word}\) for epoch 0"):
        drive([LearningRateScheduler(lambda epoch, rate: value)], [{}])


def test_a_type_error_inside_the_schedule_is_shown():
    def broken(epoch, rate):
        return rate + "1"

    with pytest.raises(TypeError, match="unsupported operand"):
        drive([LearningRateScheduler(broken)], [{}])


def test_several_optimizers():
    def optimizer(name):
        return SimpleNamespace(name=name, learning_rate=1.0)

    model = FakeModel()
    model.optimizer = SimpleNamespace(optimizers=[optimizer("a"), optimizer("b")])
    logs = {}
    keep = LambdaCallback(on_epoch_end=lambda epoch, new: logs.update(new))
    drive([LearningRateScheduler(lambda epoch, rate: rate / 2), keep], [{}], model)
    assert logs == {"learning_rate_a": 0.5, "learning_rate_b": 0.5}


def test_no_rate_to_set():
    model = FakeModel()
    model.optimizer = object()
    with pytest.raises(ValueError, match="has no attribute learning_rate"):
        drive([LearningRateScheduler(without_rate)], [{}], model)


def test_verbose(capsys):
    drive([LearningRateScheduler(lambda epoch: 0.5, verbose=1)], [{}])
    out = capsys.readouterr().out
    assert out == "Epoch 1: LearningRateScheduler sets learning rate to 0.5.\n"
