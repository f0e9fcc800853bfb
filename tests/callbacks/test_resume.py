"""Training that was interrupted ends as if it had not been: weights and history, bit for bit."""

import contextlib
import functools
import gc
import os

import jax
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.callbacks import BackupAndRestore, Callback, ModelCheckpoint
from tests.callbacks.test_backup_and_restore import Interrupt

RNG = np.random.default_rng(0)
ROWS, BATCH, EPOCHS = 22, 4, 4  # six batches, the last of two rows
TABLE = RNG.normal(size=(ROWS, 3)).astype("float32")
IMAGES = RNG.uniform(size=(ROWS, 6, 6, 2)).astype("float32")
SERIES = RNG.normal(size=(ROWS, 5, 3)).astype("float32")
Y = RNG.normal(size=(ROWS, 1)).astype("float32")


def sequential(*stack, optimizer="adam", **options):
    model = staghorn.Sequential([*stack, layers.Dense(1)])
    model.compile(optimizer, "mse", metrics=["mae"], **options)
    return model


def two_in_two_out():
    first, second = staghorn.Input((3,)), staghorn.Input((3,))
    shared = layers.Dense(4, activation="tanh")
    x = layers.Concatenate()([shared(first), layers.Dropout(0.3)(shared(second))])
    model = staghorn.Model(
        [first, second], [layers.Dense(1, name="a")(x), layers.Dense(1, name="b")(x)]
    )
    model.compile("adam", ["mse", "mae"], metrics=[["mae"], ["mse"]])
    return model


class Own(staghorn.Model):
    """Two optimizers, a seed of its own, and a step that draws from it."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(4)
        self.noise = layers.GaussianNoise(0.1)
        self.out = layers.Dense(1)
        self.second = staghorn.optimizers.RMSprop(0.01)

    def call(self, x, training=False):
        return self.out(self.noise(self.hidden(x), training=training))

    def train_step(self, data):
        x, y = data

        def loss():
            return staghorn.ops.mean((self(x, training=True) - y) ** 2)

        weights = self.hidden.trainable_variables + self.out.trainable_variables
        value, gradients = staghorn.value_and_grad(loss, weights)()
        self.optimizer.apply(gradients[:2], weights[:2])
        self.second.apply(gradients[2:], weights[2:])
        return {"loss": value}


def own():
    model = Own()
    model.build((None, 3))
    model.compile("adam")
    model.optimizer.build(model.hidden.trainable_variables)
    model.second.build(model.out.trainable_variables)
    return model


def images(*extra):
    return sequential(
        staghorn.Input((6, 6, 2)),
        layers.RandomFlip(),
        layers.RandomRotation(0.2),
        layers.Conv2D(3, 3),
        layers.BatchNormalization(),
        layers.Flatten(),
        layers.Dropout(0.5),
        optimizer=staghorn.optimizers.AdamW(staghorn.optimizers.schedules.CosineDecay(0.1, 20)),
    )


def series():
    return sequential(
        staghorn.Input((5, 3)),
        layers.LSTM(4, dropout=0.2, recurrent_dropout=0.2),
        optimizer=staghorn.optimizers.SGD(0.05, momentum=0.9, use_ema=True, ema_momentum=0.8),
    )


def accumulating():
    optimizer = staghorn.optimizers.RMSprop(0.01, centered=True, gradient_accumulation_steps=3)
    return sequential(staghorn.Input((3,)), layers.Dropout(0.2), optimizer=optimizer)


def scaled():
    optimizer = staghorn.optimizers.LossScaleOptimizer(staghorn.optimizers.SGD(0.01))
    return sequential(staghorn.Input((3,)), layers.Dropout(0.2), optimizer=optimizer)


class Shuffled(staghorn.utils.PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        rows = slice(index * BATCH, (index + 1) * BATCH)
        return TABLE[rows], Y[rows]


def endless():
    rng = np.random.default_rng(5)
    while True:
        rows = rng.integers(0, ROWS, BATCH)
        yield TABLE[rows], Y[rows]


def plain():
    return sequential(staghorn.Input((3,)), layers.Dense(4, "relu"), layers.Dropout(0.2))


def stopping():
    return [
        staghorn.callbacks.EarlyStopping(
            "loss", patience=2, restore_best_weights=True, min_delta=9
        ),
        staghorn.callbacks.ReduceLROnPlateau("loss", patience=1, factor=0.5, min_delta=9),
    ]


ARRAYS = {"x": TABLE, "y": Y, "batch_size": BATCH}
# name -> (model, arguments of fit)
RUNS = {
    "dense": (plain, lambda: {**ARRAYS, "validation_data": (TABLE[:7], Y[:7])}),
    "two inputs and outputs": (
        two_in_two_out,
        lambda: {"x": [TABLE, TABLE], "y": [Y, Y], "batch_size": BATCH},
    ),
    "own step": (own, lambda: ARRAYS),
    "images": (images, lambda: {"x": IMAGES, "y": Y, "batch_size": BATCH}),
    "series": (series, lambda: {"x": SERIES, "y": Y, "batch_size": BATCH}),
    "accumulation": (accumulating, lambda: {**ARRAYS, "shuffle": "batch"}),
    "loss scale": (scaled, lambda: {**ARRAYS, "shuffle": False}),
    "dataset": (plain, lambda: {"x": Shuffled(), "shuffle": True}),
    "dataset with workers": (plain, lambda: {"x": Shuffled(workers=2), "shuffle": True}),
    "dataset, short epochs": (
        plain,
        lambda: {"x": Shuffled(), "shuffle": True, "steps_per_epoch": 4},
    ),
    "generator": (
        plain,
        lambda: {"x": endless(), "steps_per_epoch": 5, "validation_data": endless(),
                 "validation_steps": 2},
    ),
    "callbacks that count": (plain, lambda: {**ARRAYS, "callbacks": stopping()}),
}  # fmt: skip


def run(name, *extra, seed=3, **options):
    """Build a model, train it; return its state and its history."""
    staghorn.utils.set_random_seed(seed)
    make, arguments = RUNS[name]
    model, arguments = make(), arguments()
    calls = [*arguments.pop("callbacks", []), *extra]
    options = {"epochs": EPOCHS, "verbose": 0, **options}
    history = model.fit(**arguments, callbacks=calls, **options)
    return model, history


def state(model):
    optimizers = [model.optimizer, getattr(model, "second", None)]
    variables = [v for o in optimizers if o is not None for v in o.variables]
    return [v.numpy() for v in [*model.variables, *variables]]


def check_equal(one, two):
    for a, b in zip(state(one[0]), state(two[0]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one[1].history == two[1].history
    assert one[1].epoch == two[1].epoch


@functools.cache
def uninterrupted(name):
    return run(name)


@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize("name", RUNS)
@pytest.mark.filterwarnings("ignore:The PyDataset Shuffled gave 6 batches")
def test_a_backup_continues_exactly(tmp_path, name, batch):
    """Interrupted twice: between epochs, or after the second batch of one."""
    freq = "epoch" if batch is None else 1
    folder = tmp_path / "run"
    for epoch in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            run(name, BackupAndRestore(folder, freq), Interrupt(epoch, batch), seed=3 * epoch)
    check_equal(uninterrupted(name), run(name, BackupAndRestore(folder, freq), seed=50))
    assert not folder.exists()


@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize(
    "name", ["dense", "two inputs and outputs", "images", "callbacks that count"]
)
def test_a_checkpoint_continues_exactly(tmp_path, name, batch):
    """`fit(resume=...)` into a model that was built anew; the file opens as any other."""
    path = tmp_path / "last.keras"
    freq = "epoch" if batch is None else 1
    with pytest.raises(KeyboardInterrupt):
        run(name, ModelCheckpoint(path, save_freq=freq), Interrupt(2, batch))
    whole = uninterrupted(name)
    check_equal(run(name, ModelCheckpoint(path, save_freq=freq), resume=path, seed=60), whole)
    assert staghorn.models.load_model(path).count_params() == whole[0].count_params()


def test_a_loaded_checkpoint_goes_on(tmp_path):
    path = tmp_path / "last.keras"
    whole = uninterrupted("dense")
    with pytest.raises(KeyboardInterrupt):
        run("dense", ModelCheckpoint(path), Interrupt(2))
    staghorn.utils.set_random_seed(50)
    model = staghorn.models.load_model(path)
    options = {"validation_data": (TABLE[:7], Y[:7]), "epochs": EPOCHS, "verbose": 0}
    calls = [ModelCheckpoint(path)]
    history = model.fit(**ARRAYS, **options, callbacks=calls, resume=path)
    check_equal(whole, (model, history))


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    model = plain()
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="holds no state of a training"):
        model.fit(**ARRAYS, verbose=0, resume=tmp_path / "model.keras")
    with pytest.raises(FileNotFoundError):
        model.fit(**ARRAYS, verbose=0, resume=tmp_path / "nothing.keras")


class Counter(Callback):
    kept = ("seen", "values")

    def __init__(self):
        super().__init__()
        self.seen, self.values = 0, {"weights": np.zeros(2)}

    def on_epoch_end(self, epoch, logs=None):
        self.seen += 1
        self.values["weights"] = self.values["weights"] + logs["loss"]


def test_what_a_users_callback_names_is_kept(tmp_path):
    first, second, whole = Counter(), Counter(), Counter()
    run("dense", whole)
    with pytest.raises(KeyboardInterrupt):
        run("dense", first, BackupAndRestore(tmp_path / "run"), Interrupt(3))
    run("dense", BackupAndRestore(tmp_path / "run"), second, seed=9)  # the place does not matter
    assert second.seen == whole.seen == EPOCHS
    np.testing.assert_array_equal(second.values["weights"], whole.values["weights"])


def test_a_csv_file_has_each_epoch_once(tmp_path):
    log = tmp_path / "log.csv"
    run("dense", staghorn.callbacks.CSVLogger(log))
    whole = log.read_text()

    class Late(BackupAndRestore):
        """Killed after a row was written and before the backup was."""

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2 and not os.path.exists(tmp_path / "again"):
                raise KeyboardInterrupt
            super().on_epoch_end(epoch, logs)

    with pytest.raises(KeyboardInterrupt):
        run("dense", staghorn.callbacks.CSVLogger(log), Late(tmp_path / "run"))
    (tmp_path / "again").touch()
    run("dense", staghorn.callbacks.CSVLogger(log), Late(tmp_path / "run"), seed=8)
    assert log.read_text() == whole


def test_averages_that_are_swapped_in_between_epochs(tmp_path):
    def calls(folder):
        return [staghorn.callbacks.SwapEMAWeights(swap_on_epoch=True), BackupAndRestore(folder)]

    whole = run("series", *calls(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        run("series", Interrupt(2, batch=1), *calls(tmp_path / "run"))
    check_equal(whole, run("series", *calls(tmp_path / "run"), seed=11))


def test_two_callbacks_of_one_class_are_told_from_one(tmp_path):
    one, two = (ModelCheckpoint(tmp_path / f"{n}.keras") for n in "ab")
    backup = BackupAndRestore(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run("dense", one, two, backup, Interrupt(2))
    words = "History, ModelCheckpoint now, History, ModelCheckpoint, ModelCheckpoint then"
    with pytest.raises(ValueError, match=words):
        run("dense", one, backup, seed=7)
    check_equal(uninterrupted("dense"), run("dense", one, two, backup, seed=7))


@pytest.mark.parametrize("calls", [(), (Interrupt(1),)])
def test_a_fit_that_ended_keeps_no_data(calls):
    data = np.ones((ROWS, 3, 7), "float32")
    model = sequential(staghorn.Input((3, 7)), layers.Flatten())
    with contextlib.suppress(KeyboardInterrupt):
        model.fit(data, Y, epochs=2, verbose=0, callbacks=list(calls))
    gc.collect()
    assert [a.shape for a in jax.live_arrays() if a.shape == data.shape] == []
