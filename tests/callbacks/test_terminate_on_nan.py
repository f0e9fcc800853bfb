"""TerminateOnNaN: groups of steps and epochs, without asking for batches."""

import math

import pytest

from staghorn.callbacks import CallbackList, TerminateOnNaN
from tests.callbacks.fakes import FakeModel


def started(**arguments):
    guard = TerminateOnNaN(**arguments)
    calls = CallbackList([guard], model=FakeModel())
    calls.on_train_begin()
    calls.on_epoch_begin(0)
    return calls, calls.model


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_group_stops_training(loss, capsys):
    calls, model = started()
    assert not calls.needs_batches("train")
    calls.on_train_chunk_end(9, {})
    calls.on_train_chunk_end(19, {"loss": 0.5})
    assert not model.stop_training
    calls.on_train_chunk_end(29, {"loss": loss})  # the values up to batch 19
    calls.on_epoch_end(0, {"loss": loss})
    assert model.stop_training
    assert capsys.readouterr().out == "Batch 19: Invalid loss, terminating training\n"


def test_the_end_of_the_epoch_stops_training(capsys):
    calls, model = started()
    calls.on_train_chunk_end(29, {"loss": 0.5})
    calls.on_epoch_end(0, {"loss": math.nan})
    assert model.stop_training
    assert capsys.readouterr().out == "Batch 29: Invalid loss, terminating training\n"


def test_raise_error():
    calls, model = started(raise_error=True)
    with pytest.raises(RuntimeError, match="Batch 3: the loss is nan"):
        calls.on_train_chunk_end(3, {"loss": math.nan})
    assert not model.stop_training


def test_finite_and_missing_losses_go_on():
    calls, model = started()
    calls.on_train_chunk_end(3, {"accuracy": math.nan})
    calls.on_epoch_end(0, {"loss": 1e30})
    assert not model.stop_training


def test_the_next_fit_reports_again(capsys):
    calls, _ = started()
    for _ in range(2):
        calls.on_train_begin()
        calls.on_epoch_begin(0)
        calls.on_epoch_end(0, {"loss": math.nan})
    assert capsys.readouterr().out.count("Epoch 1: Invalid loss") == 2
