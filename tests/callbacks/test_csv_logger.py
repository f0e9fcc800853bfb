"""CSVLogger writes Keras's bytes, and survives what processes die of."""

import copy

import numpy as np
import pytest

import staghorn
from staghorn.callbacks import CSVLogger
from tests.callbacks.fakes import drive
from tests.oracle import keras

RUNS = {
    "plain": [{"loss": 0.5, "val_loss": 0.25}, {"val_loss": 1e-9, "loss": 3.0}],
    "validation later": [{"loss": 0.5, "acc": 1.0}, {"loss": 0.4, "acc": 0.5, "val_loss": 0.3}],
    "new names": [{"loss": 0.5}, {"loss": 0.4, "learning_rate": 0.1}],
    "values": [{"loss": np.float32(0.5), "list": [1, 2], "text": "a,b", "array": np.array(3.0)}],
    "nothing": [{}, {}],
}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("arguments", [{}, {"separator": ";"}, {"append": True}], ids=str)
def test_same_bytes_as_keras(run, arguments, tmp_path):
    for library in (staghorn, keras):
        logger = library.callbacks.CSVLogger(tmp_path / library.__name__, **arguments)
        for _ in range(2):
            drive([logger], RUNS[run])
    ours, theirs = ((tmp_path / name).read_bytes() for name in ("staghorn", "keras"))
    assert ours == theirs


def test_rows_are_on_disk_during_training(tmp_path):
    path = tmp_path / "log.csv"
    logger = CSVLogger(path)
    logger.on_train_begin()
    logger.on_epoch_end(0, {"loss": 0.5})
    assert path.read_text().splitlines() == ["epoch,loss,val_loss", "0,0.5,NA"]
    assert copy.deepcopy(logger).filename == str(path)  # no open file inside


@pytest.mark.parametrize(
    ("tail", "kept"),
    [("1,0.4,0.3\r\n", True), ("1,0.4,0.3", True), ("1,0.", False), ("1", False)],
)
def test_append_after_a_kill(tail, kept, tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(f"epoch,loss,val_loss\r\n0,0.5,0.6\r\n{tail}".encode())
    drive([CSVLogger(path, append=True)], [{"val_loss": 0.1, "loss": 0.2}], start=2)
    rows = ["epoch,loss,val_loss", "0,0.5,0.6", *(["1,0.4,0.3"] if kept else []), "2,0.2,0.1"]
    assert path.read_bytes().decode().split("\r\n") == [*rows, ""]
    assert list(tmp_path.iterdir()) == [path]


def test_append_keeps_the_columns_of_the_file(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n0,0.5\n")
    drive([CSVLogger(path, append=True)], [{"accuracy": 1.0, "loss": 0.2}], start=1)
    assert path.read_text().split() == ["epoch,loss", "0,0.5", "1,0.2"]
    with pytest.raises(ValueError, match="has the columns loss, the logs have error"):
        drive([CSVLogger(path, append=True)], [{"error": 1.0}])


def test_a_folder_that_is_missing_is_told_before_training(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        CSVLogger(tmp_path / "missing" / "log.csv").on_train_begin()
