"""EarlyStopping, ReduceLROnPlateau and ModelCheckpoint decide as Keras does."""

import warnings

import numpy as np
import pytest

import staghorn
from staghorn.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from staghorn.callbacks.monitor import Monitor, direction
from tests.callbacks.fakes import FakeModel, drive
from tests.oracle import keras

FALLING = [0.9, 0.7, 0.8, 0.75, 0.71, 0.65, 0.66, 0.67, 0.68, 0.69]
RISING = [0.1, 0.3, 0.2, 0.5, 0.5, 0.45, 0.6, 0.61, 0.61, 0.4]
FLAT = [0.5] * 10
EXACT = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]  # every step equals min_delta=0.1
ENDING_NAN = [0.5, 0.4, np.nan, np.nan, np.nan, 0.1, 0.2, 0.3, 0.4, 0.5]
CURVES = {"falling": FALLING, "rising": RISING, "flat": FLAT, "exact": EXACT, "nan": ENDING_NAN}

STOPPING = [
    {},
    {"patience": 1},
    {"patience": 3},
    {"patience": 2, "min_delta": 0.1},
    {"patience": 2, "min_delta": -0.1},
    {"patience": 2, "mode": "max"},
    {"patience": 1, "mode": "max", "min_delta": 0.05},
    {"patience": 2, "baseline": 0.5},
    {"patience": 3, "baseline": 0.68},
    {"patience": 2, "baseline": 0.4, "mode": "max"},
    {"patience": 1, "start_from_epoch": 3},
    {"start_from_epoch": 3},
    {"patience": 2, "restore_best_weights": True},
    {"patience": 2, "restore_best_weights": True, "mode": "max"},
    {"patience": 2, "restore_best_weights": True, "baseline": 0.01},
    {"patience": 20, "restore_best_weights": True},
    {"patience": 2, "restore_best_weights": True, "start_from_epoch": 4},
    {"patience": 2, "restore_best_weights": True, "start_from_epoch": 40},
]


# A NaN in the first watched epoch is where we differ (see Monitor): not in this table.
STOPPING_CASES = [
    (curve, arguments)
    for curve in CURVES
    for arguments in STOPPING
    if not np.isnan(CURVES[curve][min(arguments.get("start_from_epoch", 0), 9)])
]


@pytest.mark.parametrize(("curve", "arguments"), STOPPING_CASES, ids=str)
def test_early_stopping_table(curve, arguments):
    epochs = [{"val_loss": float(np.float32(v)), "loss": 0.0} for v in CURVES[curve]]
    results = []
    for library in (staghorn, keras):
        stop = library.callbacks.EarlyStopping(**arguments)
        for _ in range(2):  # the second fit starts afresh
            model = drive([stop], epochs)
        results.append(
            (stop.stopped_epoch, stop.wait, stop.best, stop.best_epoch, model.weights.tolist())
        )
    assert results[0] == results[1]


PLATEAU = [
    {"patience": 1},
    {"patience": 2, "factor": 0.5},
    {"patience": 1, "cooldown": 2},
    {"patience": 0, "cooldown": 1},
    {"patience": 1, "min_lr": 0.03},
    {"patience": 1, "min_lr": 0.1},
    {"patience": 2, "mode": "max"},
    {"patience": 1, "min_delta": 0.1},
    {"patience": 1, "min_delta": 0},
]


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("arguments", PLATEAU, ids=str)
def test_reduce_on_plateau_table(curve, arguments):
    epochs = [{"val_loss": float(np.float32(v))} for v in CURVES[curve]]
    results = []
    for library in (staghorn, keras):
        rates = []
        plateau = library.callbacks.ReduceLROnPlateau(**arguments)
        keep = library.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, rates=rates: rates.append(logs["learning_rate"])
        )
        model = drive([plateau, keep], epochs)
        rates.append(float(model.optimizer.learning_rate))
        results.append((rates, plateau.wait, plateau.cooldown_counter, plateau.best))
    assert results[0] == results[1]


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"save_best_only": True},
        {"save_best_only": True, "mode": "max"},
        {"save_best_only": True, "initial_value_threshold": 0.68},
        {"save_weights_only": True, "save_best_only": True},
    ],
    ids=str,
)
def test_checkpoint_table(curve, arguments, tmp_path):
    epochs = [{"val_loss": float(np.float32(v))} for v in CURVES[curve]]
    ending = ".weights.h5" if arguments.get("save_weights_only") else ".keras"
    found = []
    for library in (staghorn, keras):
        folder = tmp_path / library.__name__
        path = folder / ("{epoch:02d}-{val_loss:.2f}" + ending)
        drive([library.callbacks.ModelCheckpoint(path, **arguments)], epochs)
        found.append({file.name: file.read_text() for file in folder.iterdir()})
    assert found[0] == found[1]


@pytest.mark.parametrize("freq", [1, 2, 5])
@pytest.mark.parametrize("stride", [1, 2])  # 2: steps_per_execution=2
def test_checkpoint_by_steps(freq, stride, tmp_path):
    found = []
    for library in (staghorn, keras):
        folder = tmp_path / library.__name__
        save = library.callbacks.ModelCheckpoint(
            folder / "{epoch}-{batch}-{loss:.2f}.keras", save_freq=freq
        )
        calls = library.callbacks.CallbackList([save], model=FakeModel(), epochs=2)
        calls.on_train_begin()
        for epoch in range(2):
            calls.on_epoch_begin(epoch)
            for batch in range(stride - 1, 7, stride):
                calls.on_train_batch_end(batch, {"loss": batch / 10})
            calls.on_epoch_end(epoch, {"loss": 0.5})
        calls.on_train_end()
        found.append(sorted(file.name for file in folder.iterdir()))
    assert found[0] == found[1]
    assert found[0]


def test_checkpoint_by_steps_asks_for_batches_and_by_epochs_does_not():
    by_steps = staghorn.callbacks.CallbackList([ModelCheckpoint("a.keras", save_freq=3)])
    by_epoch = staghorn.callbacks.CallbackList([ModelCheckpoint("a.keras")])
    assert by_steps.needs_batches("train")
    assert not by_epoch.needs_batches("train")
    assert not by_epoch.listens("on_train_batch_end")


def test_interrupted_checkpoint_keeps_the_old_file(tmp_path):
    class Interrupted(FakeModel):
        def save(self, path, overwrite=True):
            super().save(path, overwrite)
            if self.weights[0] == 2:
                raise KeyboardInterrupt

    path = tmp_path / "best.keras"
    with pytest.raises(KeyboardInterrupt):
        drive([ModelCheckpoint(path)], [{"loss": 1.0}] * 3, Interrupted())
    assert path.read_text() == "model 1"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"filepath": "a.h6"}, "must end in '.keras' or '.h5'"),
        ({"filepath": "a.keras", "save_weights_only": True}, "must end in '.weights.h5'"),
        ({"filepath": "a.keras", "save_freq": "batch"}, "save_freq must be 'epoch' or a positive"),
    ],
)
def test_checkpoint_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        ModelCheckpoint(**arguments)


def test_checkpoint_names_what_the_path_may_hold(tmp_path):
    with pytest.raises(KeyError, match="Available: epoch, loss"):
        drive([ModelCheckpoint(tmp_path / "{val_loss}.keras")], [{"loss": 1.0}])
    (tmp_path / "x.keras").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        drive([ModelCheckpoint(tmp_path / "x.keras")], [{"loss": 1.0}])


def test_early_stopping_forgives_a_first_nan():
    stop = EarlyStopping("loss", patience=2, restore_best_weights=True)
    model = drive([stop], [{"loss": v} for v in (np.nan, 0.5, 0.4, 0.3, 0.6)])
    assert stop.best == 0.3
    assert model.weights[0] == 4
    assert not model.stop_training


def test_early_stopping_restores_copies():
    stop = EarlyStopping("loss", patience=1, restore_best_weights=True)
    model = drive([stop], [{"loss": v} for v in (0.5, 0.4, 0.6)])  # trains in place
    assert model.stop_training
    assert model.weights.tolist() == [2, 2]


def test_messages(capsys):
    stop = EarlyStopping("loss", patience=1, verbose=1, restore_best_weights=True)
    plateau = ReduceLROnPlateau("loss", patience=1, factor=0.5, verbose=1)
    drive([stop, plateau], [{"loss": v} for v in (0.5, 0.6)], FakeModel(0.5))
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 2: ReduceLROnPlateau lowers learning rate to 0.25.",
        "Epoch 2: early stopping",
        "Restoring the weights of the best epoch: 1.",
    ]


@pytest.mark.parametrize(
    ("monitor", "names", "match"),
    [
        ("val_los", ["loss", "val_loss"], "Did you mean 'val_loss'. Available: loss, val_loss"),
        ("val_loss", ["loss", "acc"], "No validation ran .* use monitor='loss'. Available: acc"),
        ("score", [], "Available: nothing"),
    ],
)
def test_unknown_monitor_is_reported_once_per_fit(monitor, names, match):
    epochs = [dict.fromkeys(names, 0.5)] * 3
    for cls in (EarlyStopping, ReduceLROnPlateau):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            callback = cls(monitor)
            callback_list = [callback]
            drive(callback_list, epochs)
            drive(callback_list, epochs)
        assert len(caught) == 2
        if cls is EarlyStopping:
            with pytest.warns(UserWarning, match=match):
                drive(callback_list, epochs)


def test_a_warning_points_at_the_line_of_fit():
    model = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((4, 2), "float32")
    with pytest.warns(UserWarning, match="is not available") as caught:
        model.fit(x, x[:, :1], callbacks=[EarlyStopping("val_loss")], verbose=0)
    assert caught[0].filename == __file__


def test_gaps_of_validation_freq_are_silent():
    stop = EarlyStopping(patience=1)
    drive([stop], [{"val_loss": 0.5}, {"loss": 0.5}, {"val_loss": 0.4}])
    assert stop.best == 0.4


def test_unknown_direction_says_what_to_write():
    with pytest.raises(ValueError, match=r"EarlyStopping\(monitor='my_score', mode='min'\)"):
        drive([EarlyStopping("my_score")], [{"my_score": 1.0}])


def test_unknown_mode_falls_back():
    with pytest.warns(UserWarning, match="Did you mean 'max'"):
        assert Monitor("loss", mode="maxx").mode == "auto"


def test_direction_agrees_with_keras():
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1, "sigmoid")])
    metrics = ["accuracy", "mse", keras.metrics.AUC(name="auc"), keras.metrics.Precision(name="p")]
    model.compile("sgd", "binary_crossentropy", metrics=metrics)
    model.evaluate(np.zeros((2, 2)), np.array([0, 1]), verbose=0)
    for name in ("loss", "accuracy", "mse", "auc", "p"):
        for key in (name, f"val_{name}"):
            stop = keras.callbacks.EarlyStopping(key)
            stop.set_model(model)
            stop._set_monitor_op()
            theirs = "min" if stop.monitor_op == keras.ops.less else "max"
            assert direction(key, model.metrics) == theirs
    assert direction("val_head_accuracy", model.metrics) == "max"
    assert direction("head_mse", model.metrics) == "min"
    assert direction("made_up", model.metrics) is None


def test_wrong_plateau_arguments():
    with pytest.raises(ValueError, match=r"factor must be below 1, got 1.5 \(float\)"):
        ReduceLROnPlateau(factor=1.5)
    with pytest.raises(TypeError, match=r"unknown argument 'patince'\. Did you mean 'patience'"):
        ReduceLROnPlateau(patince=3)
