"""BackupAndRestore: a run in two parts equals a run in one, and a bad backup stops everything."""

import os

import numpy as np
import pytest

import staghorn
from staghorn.callbacks import BackupAndRestore, Callback
from staghorn.callbacks.backup_and_restore import read_backup
from staghorn.saving.errors import CorruptFileError
from tests.oracle import keras

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 3)).astype("float32")
Y = RNG.normal(size=(22, 1)).astype("float32")
EPOCHS = 5


class Interrupt(Callback):
    """Fails at one moment of training, as a machine that is switched off."""

    def __init__(self, epoch, batch=None):
        super().__init__()
        self.at = epoch, batch
        self.epoch = 0
        if batch is None:
            self.needs_batches = False
            self.hooks = self.hooks - {"on_train_batch_end"}

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        if self.at == (epoch, None):
            raise KeyboardInterrupt

    def on_train_batch_end(self, batch, logs=None):
        if self.at == (self.epoch, batch):
            raise KeyboardInterrupt


class EpochsBegun(Callback):
    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)


def make_model(optimizer="adam", policy="float32", **compile_with):
    """A model with every kind of state: weights, statistics, seeds, slots."""
    model = staghorn.Sequential(
        [
            staghorn.Input((3,)),
            staghorn.layers.Dense(4, dtype=policy),
            staghorn.layers.BatchNormalization(),
            staghorn.layers.Dropout(0.5),
            staghorn.layers.Dense(1, dtype=policy),
        ]
    )
    model.compile(optimizer, "mse", metrics=["mae"], **compile_with)
    return model


def small(dropout=0.0):
    layers = [staghorn.layers.Dense(4), staghorn.layers.Dropout(dropout)][: 2 if dropout else 1]
    model = staghorn.Sequential([staghorn.Input((3,)), *layers])
    model.compile("sgd", "mse")
    return model


def targets(model):
    """The targets, as often as the model has outputs."""
    return np.repeat(Y, model.output_shape[-1], axis=1)


def train(model, folder, *others, epochs=EPOCHS, **kwargs):
    options = {"batch_size": 4, "verbose": 0, **kwargs}
    backup = BackupAndRestore(folder) if isinstance(folder, (str, os.PathLike)) else folder
    return model.fit(X, targets(model), epochs=epochs, callbacks=[*others, backup], **options)


def arrays(model):
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


OPTIMIZERS = {
    "adam": lambda: "adam",
    "average": lambda: staghorn.optimizers.SGD(0.01, momentum=0.9, use_ema=True),
    "accumulation": lambda: staghorn.optimizers.Adam(0.1, gradient_accumulation_steps=4),
    "scaled": lambda: staghorn.optimizers.LossScaleOptimizer(staghorn.optimizers.RMSprop(0.1)),
    "schedule": lambda: staghorn.optimizers.SGD(
        staghorn.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
    ),
}


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("adam", {"validation_data": (X, Y)}),
        ("average", {"shuffle": "batch"}),
        ("accumulation", {"steps_per_epoch": 2}),
        pytest.param("scaled", {"initial_epoch": 1}, marks=pytest.mark.slow),
        pytest.param(
            "schedule", {"policy": "bfloat16", "run_eagerly": True}, marks=pytest.mark.slow
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:steps_per_epoch")
def test_two_parts_equal_one(tmp_path, optimizer, options):
    made = {key: options.pop(key) for key in ("policy", "run_eagerly") if key in options}
    results = []
    for interrupted in (False, True):
        staghorn.utils.set_random_seed(3)
        model = make_model(OPTIMIZERS[optimizer](), **made)
        folder = tmp_path / str(interrupted)
        if not interrupted:
            history = train(model, folder, **options)
        else:
            with pytest.raises(KeyboardInterrupt):
                train(model, folder, Interrupt(3), **options)
            # Another process: other weights, other names, other draws.
            staghorn.utils.set_random_seed(99)
            model = make_model(OPTIMIZERS[optimizer](), **made)
            history = train(model, folder, **options)
            assert history.epoch == list(range(options.get("initial_epoch", 0), EPOCHS))
        results.append((arrays(model), history.history))
    for one, two in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_array_equal(one, two)
    assert results[0][1] == results[1][1]


def test_a_second_interruption(tmp_path):
    staghorn.utils.set_random_seed(3)
    whole = small(dropout=0.5)
    train(whole, tmp_path / "whole")
    for epoch in (1, 4, None):
        staghorn.utils.set_random_seed(3 if epoch == 1 else 50)
        model = small(dropout=0.5)
        if epoch is None:
            train(model, tmp_path / "parts")
        else:
            with pytest.raises(KeyboardInterrupt):
                train(model, tmp_path / "parts", Interrupt(epoch, batch=1))
    for one, two in zip(arrays(whole), arrays(model), strict=True):
        np.testing.assert_array_equal(one, two)


def test_epochs_equal_the_oracle(tmp_path):
    """Which epochs run again: those that Keras runs, though not from their first batch."""

    def epochs(library, folder, save_freq):
        def fit(*callbacks):
            model = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
            model.compile("sgd", "mse")
            backup = library.callbacks.BackupAndRestore(folder, save_freq=save_freq)
            options = {"batch_size": 4, "epochs": 4, "verbose": 0}
            model.fit(X[:20], Y[:20], callbacks=[*callbacks, backup], **options)

        class Stop(library.callbacks.Callback):
            epoch = 0

            def on_epoch_begin(self, epoch, logs=None):
                self.epoch = epoch

            def on_train_batch_end(self, batch, logs=None):
                if self.epoch == 2 and batch == 4:
                    raise RuntimeError

        class Watch(library.callbacks.Callback):
            def __init__(self):
                super().__init__()
                self.epochs = []

            def on_epoch_begin(self, epoch, logs=None):
                self.epochs.append(epoch)

        with pytest.raises(RuntimeError):
            fit(Stop())
        watch = Watch()
        fit(watch)
        return watch.epochs

    for save_freq in ("epoch", 3, 7):
        ours = epochs(staghorn, tmp_path / f"ours{save_freq}", save_freq)
        assert ours == epochs(keras, tmp_path / f"theirs{save_freq}", save_freq) == [2, 3]


def test_steps_are_counted(tmp_path):
    saved = []

    class Watch(BackupAndRestore):
        def _save(self, epoch, batch, logs):
            saved.append((epoch, batch))
            super()._save(epoch, batch, logs)

    backup = Watch(tmp_path / "run", save_freq=4)
    assert backup.needs_batches
    assert not BackupAndRestore(tmp_path).needs_batches
    train(small(), backup, epochs=2)  # 6 steps in an epoch
    assert saved == [(0, 4), (1, 2), (1, 6)]


def test_files_at_the_end(tmp_path):
    folder = tmp_path / "run"
    train(small(), BackupAndRestore(folder, double_checkpoint=True), epochs=2)
    assert not folder.exists()
    folder.mkdir()
    (folder / "mine.txt").write_text("stays")
    train(small(), folder, epochs=2)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    train(small(), BackupAndRestore(folder, delete_checkpoint=False), epochs=2)
    assert read_backup(folder / "latest.backup")[0].epoch == 2
    model = small()
    with pytest.warns(UserWarning, match="nothing is left to train"):
        history = train(model, BackupAndRestore(folder, delete_checkpoint=False), epochs=2)
    assert history.epoch == [0, 1]


def test_nothing_is_written(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(small(), BackupAndRestore(folder, save_freq=False), Interrupt(2))
    assert not folder.exists()


def interrupted(folder, **kwargs):
    with pytest.raises(KeyboardInterrupt):
        train(small(), BackupAndRestore(folder, **kwargs), Interrupt(3))
    return folder / "latest.backup"


def damage(data, how):
    middle = len(data) // 2
    return {
        "cut": data[:middle],
        "empty": b"",
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "another kind": b"PNG" + data,
    }[how]


@pytest.mark.parametrize("how", ["cut", "empty", "flipped", "another kind"])
def test_damage_stops_training(tmp_path, how):
    path = interrupted(tmp_path / "run")
    path.write_bytes(damage(path.read_bytes(), how))
    (tmp_path / "run" / "previous.backup").unlink()
    model = small()
    before = arrays(model)
    with pytest.raises(CorruptFileError, match=r"nothing was trained(.|\n)*delete that file"):
        train(model, tmp_path / "run")
    for one, two in zip(before, arrays(model), strict=False):
        np.testing.assert_array_equal(one, two)


def test_a_saved_model_is_no_backup(tmp_path):
    path = interrupted(tmp_path / "run")
    small().save(tmp_path / "model.keras")
    path.write_bytes((tmp_path / "model.keras").read_bytes())
    (tmp_path / "run" / "previous.backup").unlink()
    with pytest.raises(CorruptFileError, match="holds no state of a training"):
        train(small(), tmp_path / "run")


@pytest.mark.parametrize("how", ["cut", "empty", "flipped", "another kind", "deleted"])
def test_the_backup_before_the_last(tmp_path, how):
    staghorn.utils.set_random_seed(1)
    whole = small(dropout=0.5)
    train(whole, tmp_path / "whole")
    staghorn.utils.set_random_seed(1)
    with pytest.raises(KeyboardInterrupt):
        train(small(dropout=0.5), tmp_path / "run", Interrupt(3))
    path = tmp_path / "run" / "latest.backup"
    model, trained = small(dropout=0.5), EpochsBegun()
    if how == "deleted":  # between the two renames of a save
        path.unlink()
        train(model, tmp_path / "run", trained)
    else:
        path.write_bytes(damage(path.read_bytes(), how))
        with pytest.warns(UserWarning, match="goes on from the backup before it"):
            train(model, tmp_path / "run", trained)
    assert trained.epochs == [2, 3, 4]
    for one, two in zip(arrays(whole), arrays(model), strict=True):
        np.testing.assert_array_equal(one, two)


def test_an_interrupted_write_leaves_the_old_backup(tmp_path, monkeypatch):
    path = interrupted(tmp_path / "run")
    whole = path.read_bytes()

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        train(small(), tmp_path / "run")
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["latest.backup", "previous.backup"]
    assert {file.read_bytes() for file in files} == {whole}


DIFFERENT = {
    "optimizer": ({"optimizer": "adam"}, r"optimizer: \w+ now, \w+ then"),
    "an argument of it": ({"optimizer": staghorn.optimizers.SGD(momentum=0.5)}, "optimizer"),
    "units": ({"units": 5}, r"kernel is float32 \(3, 5\) now, .* was float32 \(3, 4\)"),
    "activation": ({"activation": "relu"}, r"layers: \w+ now, \w+ then"),
    "rows": ({"rows": 20}, "rows: 20 now, 22 then"),
    "batch size": ({"batch_size": 5}, "batch size: 5 now, 4 then"),
    "steps": ({"steps_per_epoch": 3}, "steps per epoch: 3 now, 6 then"),
    "versions": ({}, "jax: 0.0.1 now"),
    "initial_epoch": ({"initial_epoch": 4}, "initial_epoch: 4 now, the state is of epoch 3"),
    "callbacks": ({"patience": 2}, "callbacks that count"),
}


@pytest.mark.parametrize("case", DIFFERENT)
@pytest.mark.filterwarnings("ignore:steps_per_epoch")
def test_another_run_is_refused(tmp_path, monkeypatch, case):
    """What differs is named, and neither model nor backup is touched."""
    path = interrupted(tmp_path / "run")
    before = path.read_bytes()
    options, words = DIFFERENT[case]
    options = {"rows": 22, "units": 4, "activation": None, "optimizer": "sgd", **options}
    if case == "versions":
        monkeypatch.setattr("jax.__version__", "0.0.1")
    layer = staghorn.layers.Dense(options.pop("units"), options.pop("activation"))
    model = staghorn.Sequential([staghorn.Input((3,)), layer])
    model.compile(options.pop("optimizer"), "mse")
    weights, rows = arrays(model), options.pop("rows")
    calls = [BackupAndRestore(tmp_path / "run")]
    if patience := options.pop("patience", None):
        calls.append(staghorn.callbacks.EarlyStopping("loss", patience=patience))
    options = {"batch_size": 4, "epochs": EPOCHS, "verbose": 0, **options}
    with pytest.raises(ValueError, match=rf"{words}(.|\n)*delete that file"):
        model.fit(X[:rows], targets(model)[:rows], callbacks=calls, **options)
    assert path.read_bytes() == before
    for one, two in zip(weights, arrays(model), strict=False):
        np.testing.assert_array_equal(one, two)


def test_a_backup_of_keras(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    backup = keras.callbacks.BackupAndRestore(tmp_path / "run", delete_checkpoint=False)
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[backup])
    with pytest.raises(ValueError, match=r"written by Keras(.|\n)*another\s+backup_dir"):
        train(small(), tmp_path / "run")


def test_arguments(tmp_path):
    with pytest.raises(ValueError, match="backup_dir must be the name of a folder, got ''"):
        BackupAndRestore("")
    for wrong in (1.5, "batch", -1):
        with pytest.raises(ValueError, match="save_freq must be 'epoch', a positive int"):
            BackupAndRestore(tmp_path, save_freq=wrong)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file; name a folder"):
        train(small(), tmp_path / "file")
