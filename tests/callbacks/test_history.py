"""History: what is recorded, how it is read."""

import json
import pickle
import sys

import pytest

import staghorn
from staghorn.callbacks import History
from tests.callbacks.fakes import drive
from tests.oracle import keras

EPOCHS = [
    {"loss": 0.5},
    {"loss": 0.4, "val_loss": 0.6},
    {"loss": 0.3},
    {"loss": 0.2, "val_loss": 0.5},
]


def test_same_records_as_keras():
    ours, theirs = History(), keras.callbacks.History()
    for epochs, start in ((EPOCHS, 0), (EPOCHS[:2], 4)):
        for history in (ours, theirs):
            drive([history], epochs, start=start)
        assert ours.history == theirs.history
        assert ours.epoch == theirs.epoch


def test_a_misspelt_name_gets_the_names_there_are():
    history = History()
    drive([history], [{"accuracy": 0.5, "loss": 1.0}])
    with pytest.raises(KeyError, match=r"Did you mean 'accuracy'\? Recorded: accuracy, loss"):
        history.history["accurcy"]
    assert history.history.get("precision") is None
    assert "acc" not in history.history


def test_history_leaves_the_library_as_plain_data():
    history = History()
    drive([history], EPOCHS)
    loaded = pickle.loads(pickle.dumps(history.history))
    assert type(loaded) is dict
    assert loaded == history.history == json.loads(json.dumps(history.history))


def test_frame_has_a_row_per_epoch_and_gaps():
    history = History()
    drive([history], EPOCHS, start=10)
    frame = history.to_frame()
    assert frame.index.tolist() == [10, 11, 12, 13]
    assert frame.index.name == "epoch"
    assert frame["loss"].tolist() == [0.5, 0.4, 0.3, 0.2]
    assert frame["val_loss"].isna().tolist() == [True, False, True, False]


def test_positions_of_a_history_used_twice_do_not_collide():
    history = History()
    drive([history], EPOCHS)
    drive([history], EPOCHS)
    assert history.positions("loss") == list(range(8))
    assert len(history.to_frame()) == 8
    history.history["loss"].append(0.1)  # edited by hand
    assert history.positions("loss") == list(range(9))


def test_frame_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        History().to_frame()


def test_plot_is_the_picture_of_visualization(tmp_path):
    history = History()
    drive([history], EPOCHS)
    figure = history.plot(tmp_path / "curves.png", metrics=["loss"])
    assert (tmp_path / "curves.png").stat().st_size > 1000
    training, validation = figure.axes[0].lines[:2]
    assert training.get_xdata().tolist() == [1, 2, 3, 4]
    assert validation.get_xdata().tolist() == [2, 4]
    assert staghorn.callbacks.History is History
