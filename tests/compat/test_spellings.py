"""Old spellings mean what they meant: the same configs, weights and numbers as Keras's new ones."""

import warnings
from contextlib import contextmanager

import numpy as np
import pytest

import staghorn
from staghorn import layers, optimizers
from staghorn.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, TensorBoard
from staghorn.engine import spellings
from staghorn.engine.spellings import OldSpelling
from tests.oracle import keras

DRAW = np.random.default_rng(7)
IMAGES = DRAW.normal(size=(2, 8, 8, 3)).astype("float32")
SERIES = DRAW.normal(size=(2, 6, 3)).astype("float32")
ROWS = DRAW.normal(size=(2, 3)).astype("float32")
WORDS = np.array([[1, 2, 3], [3, 0, 4]])


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(spellings, "_said", set())


@contextmanager
def old(*spelled):
    """Expect a warning for each of these spellings, on a line of this file, and no other."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    texts = [str(warning.message) for warning in caught]
    assert all(w.category is OldSpelling and w.filename == __file__ for w in caught), texts
    missing = [s for s in spelled if sum(f" {s}" in f" {text}" for text in texts) != 1]
    assert not missing, texts
    assert len(texts) == len(spelled), texts


# class, arguments as they were, as they are, data
CONSTRUCTORS = [
    (
        "Dense",
        {"output_dim": 4, "init": "uniform", "bias": False},
        {"units": 4, "kernel_initializer": "uniform", "use_bias": False},
        ROWS,
    ),
    (
        "Dense",
        {
            "units": 4,
            "W_regularizer": "l2",
            "b_regularizer": "l1",
            "W_constraint": "non_neg",
            "b_constraint": "non_neg",
        },
        {
            "units": 4,
            "kernel_regularizer": "l2",
            "bias_regularizer": "l1",
            "kernel_constraint": "non_neg",
            "bias_constraint": "non_neg",
        },
        ROWS,
    ),
    (
        "Embedding",
        {
            "input_dim": 5,
            "output_dim": 4,
            "init": "normal",
            "W_regularizer": "l2",
            "W_constraint": "non_neg",
        },
        {
            "input_dim": 5,
            "output_dim": 4,
            "embeddings_initializer": "normal",
            "embeddings_regularizer": "l2",
            "embeddings_constraint": "non_neg",
        },
        WORDS,
    ),
    (
        "LSTM",
        {
            "output_dim": 4,
            "init": "he_normal",
            "inner_init": "orthogonal",
            "forget_bias_init": "one",
            "inner_activation": "hard_sigmoid",
            "consume_less": "mem",
        },
        {
            "units": 4,
            "kernel_initializer": "he_normal",
            "recurrent_initializer": "orthogonal",
            "unit_forget_bias": True,
            "recurrent_activation": "hard_sigmoid",
        },
        SERIES,
    ),
    (
        "GRU",
        {
            "output_dim": 4,
            "U_regularizer": "l2",
            "U_constraint": "non_neg",
            "dropout_W": 0.25,
            "dropout_U": 0.5,
        },
        {
            "units": 4,
            "recurrent_regularizer": "l2",
            "recurrent_constraint": "non_neg",
            "dropout": 0.25,
            "recurrent_dropout": 0.5,
        },
        SERIES,
    ),
    ("SimpleRNN", {"output_dim": 4}, {"units": 4}, SERIES),
    (
        "Conv2D",
        {"nb_filter": 4, "nb_row": 3, "nb_col": 2, "border_mode": "same", "subsample": (2, 1)},
        {"filters": 4, "kernel_size": (3, 2), "padding": "same", "strides": (2, 1)},
        IMAGES,
    ),
    (
        "Conv2D",
        {"filters": 4, "kernel_size": 2, "dim_ordering": "tf", "atrous_rate": 2},
        {"filters": 4, "kernel_size": 2, "data_format": "channels_last", "dilation_rate": 2},
        IMAGES,
    ),
    (
        "Conv1D",
        {"nb_filter": 4, "filter_length": 3, "subsample_length": 2, "bias": False},
        {"filters": 4, "kernel_size": 3, "strides": 2, "use_bias": False},
        SERIES,
    ),
    (
        "Conv3D",
        {"nb_filter": 2, "kernel_dim1": 1, "kernel_dim2": 2, "kernel_dim3": 3},
        {"filters": 2, "kernel_size": (1, 2, 3)},
        IMAGES[:, :, :, None, :].repeat(3, 3),
    ),
    (
        "MaxPooling1D",
        {"pool_length": 3, "stride": 1, "border_mode": "same"},
        {"pool_size": 3, "strides": 1, "padding": "same"},
        SERIES,
    ),
    (
        "AveragePooling2D",
        {"pool_size": 2, "dim_ordering": "th"},
        {"pool_size": 2, "data_format": "channels_first"},
        IMAGES,
    ),
    ("UpSampling1D", {"length": 3}, {"size": 3}, SERIES),
    ("Dropout", {"p": 0.25}, {"rate": 0.25}, ROWS),
    ("SpatialDropout2D", {"p": 0.25}, {"rate": 0.25}, IMAGES),
    ("GaussianNoise", {"sigma": 0.5}, {"stddev": 0.5}, ROWS),
    (
        "BatchNormalization",
        {"mode": 0, "beta_init": "one", "gamma_init": "zero"},
        {"beta_initializer": "one", "gamma_initializer": "zero"},
        ROWS,
    ),
    ("PReLU", {"init": "one"}, {"alpha_initializer": "one"}, ROWS),
]


@pytest.mark.parametrize(("name", "was", "today", "data"), CONSTRUCTORS)
def test_constructor(name, was, today, data):
    changed = [key for key in was if key not in today]
    joined = "nb_row=, nb_col=" if "nb_row" in was else "kernel_dim1=, kernel_dim2=, kernel_dim3="
    parts = {"nb_row", "nb_col", "kernel_dim1", "kernel_dim2", "kernel_dim3"}
    said = [f"{key}=" for key in changed if key not in parts]
    with old(*said, *([joined] if parts & set(was) else [])):
        ours = getattr(layers, name)(**was, name="x")
    theirs = getattr(keras.layers, name)(**today, name="x")
    mine, config = ours.get_config(), theirs.get_config()
    assert {k: mine[k] for k in config if k in today} == {
        k: config[k] for k in config if k in today
    }
    expected = np.asarray(theirs(data))
    ours.build(data.shape)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(np.asarray(ours(data)), expected, rtol=1e-5, atol=1e-5)


def test_rows_and_columns_by_position():
    with old("Convolution2D(filters, rows, ...)"):
        layer = layers.Convolution2D(4, 3, 2, activation="relu")
    assert (layer.kernel_size, layer.strides) == ((3, 2), (1, 1))
    assert isinstance(layer, layers.Convolution2D)
    assert not isinstance(layers.Dense(1), layers.Convolution2D)
    with old("border_mode=", "bias="):
        layer = layers.Conv2D(4, 3, 2, border_mode="same")
        again = layers.Conv2D(4, 3, 2, bias=False)
    assert (layer.kernel_size, layer.strides) == ((3, 2), (1, 1))
    assert (again.kernel_size, again.strides) == ((3, 2), (1, 1))
    assert layers.Conv2D(4, 3, 2).strides == (2, 2)  # as Keras reads it today
    assert layers.Convolution1D(4, 3).kernel_size == (3,)

    class Doubled(layers.Convolution2D):
        def call(self, inputs):
            return 2 * super().call(inputs)

    doubled = Doubled(4, (3, 3))
    assert isinstance(doubled, Doubled)
    assert not isinstance(layer, Doubled)


def test_a_spelling_is_said_once():
    with old("output_dim="):
        layers.Dense(output_dim=3)
        layers.LSTM(output_dim=3)


WRONG = [
    (lambda: layers.Dense(units=3, output_dim=4), TypeError, "old name of units, and both"),
    (lambda: layers.Dense(3, output_dim=4), TypeError, "old name of units, and both"),
    (lambda: layers.Conv2D(3, 2, nb_row=2, nb_col=2), TypeError, "old name of kernel_size"),
    (lambda: layers.BatchNormalization(mode=2), ValueError, "mode=2 has no counterpart today"),
    (lambda: optimizers.Nadam(schedule_decay=0.1), ValueError, "only schedule_decay=0.004"),
    (lambda: layers.Embedding(5, 3, dropout=0.5), ValueError, "unknown argument 'dropout'"),
    (lambda: layers.Dense(3, p=0.5), ValueError, "unknown argument 'p'"),
    (lambda: layers.Conv2D(3, nb_row=2), TypeError, "'kernel_size' is missing"),
]


@pytest.mark.parametrize(("make", "error", "words"), WRONG)
def test_no_counterpart(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_input_length_and_first_weights():
    table = DRAW.normal(size=(5, 4)).astype("float32")
    model = staghorn.Sequential(
        [
            layers.Embedding(5, 4, input_length=3, weights=[table]),
            layers.Flatten(),
            layers.Dense(2, weights=[np.ones((12, 2)), np.zeros(2)]),
        ]
    )
    assert (model.input_shape, model.output_shape) == ((None, 3), (None, 2))
    assert [layer.output_shape for layer in model.layers] == [(None, 3, 4), (None, 12), (None, 2)]
    expected = np.repeat(table[WORDS].sum((1, 2))[:, None], 2, 1)
    np.testing.assert_allclose(model.predict(WORDS, verbose=0), expected, rtol=1e-5)
    recurrent = staghorn.Sequential([layers.LSTM(2, input_dim=3, input_length=6)])
    assert recurrent.input_shape == (None, 6, 3)


def test_model_of_input_and_output():
    x = staghorn.Input((3,))
    with old("input=", "output="):
        model = staghorn.Model(input=[x], output=[layers.Dense(2)(x)])
    assert model.output_shape == [(None, 2)]
    with pytest.raises(TypeError, match="input is the old name of inputs, and both"):
        staghorn.Model(input=x, inputs=x, outputs=x)


# Optimizers ------------------------------------------------------------------------------------


def both(name, was, today):
    """Return both libraries' optimizers, ours in the old spelling."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OldSpelling)
        ours = getattr(optimizers, name)(**was, name="o")
    return ours, getattr(keras.optimizers, name)(**today, name="o")


def decayed(rate, decay):
    return keras.optimizers.schedules.InverseTimeDecay(rate, 1, decay)


OPTIMIZERS = [
    ("SGD", {"lr": 0.5, "momentum": 0.5}, {"learning_rate": 0.5, "momentum": 0.5}),
    ("SGD", {"lr": 0.5, "decay": 0.25}, {"learning_rate": decayed(0.5, 0.25)}),
    ("SGD", {"decay": 0.25}, {"learning_rate": decayed(0.01, 0.25)}),
    ("Adam", {"lr": 0.1, "epsilon": None, "decay": 0.0}, {"learning_rate": 0.1}),
    (
        "Adam",
        {"lr": 0.1, "decay": 0.5, "weight_decay": 0.1},
        {"learning_rate": decayed(0.1, 0.5), "weight_decay": 0.1},
    ),
    (
        "Adam",
        {"lr": 0.1, "decay": 0.5, "gradient_accumulation_steps": 2},
        {"learning_rate": decayed(0.1, 0.5), "gradient_accumulation_steps": 2},
    ),
    ("Nadam", {"lr": 0.1, "schedule_decay": 0.004}, {"learning_rate": 0.1}),
]


@pytest.mark.parametrize(("name", "was", "today"), OPTIMIZERS)
def test_twenty_updates(name, was, today):
    ours, theirs = both(name, was, today)
    w = staghorn.Variable(np.array([1.0, -2.0, 3.0], "float32"), name="w")
    v = keras.Variable(np.array([1.0, -2.0, 3.0], "float32"), name="w")
    for step in range(20):
        gradient = np.array([1.0, np.cos(step), -0.5], "float32")
        ours.apply([gradient], [w])
        theirs.apply([gradient], [v])
        np.testing.assert_allclose(w.numpy(), np.asarray(v.value), rtol=1e-5, atol=1e-5)


def test_decay_is_said_and_written_as_a_schedule():
    with old("lr=", "decay="):
        ours = optimizers.SGD(lr=0.5, decay=0.25, momentum=0.9, name="o")
    config = ours.get_config()
    theirs = keras.optimizers.SGD.from_config(dict(config))  # which it changes
    assert float(theirs._learning_rate(4)) == 0.25
    twin = optimizers.SGD.from_config(config)
    twin.learning_rate = 0.1  # a schedule would refuse it
    assert twin.get_config()["learning_rate"]["config"]["decay_rate"] == 0.25
    for optimizer in (ours, twin):
        optimizer.build([staghorn.Variable(np.ones(2, "float32"), name="w")])
    theirs.build([keras.Variable(np.ones(2, "float32"), name="w")])
    store, expected = {}, {}
    ours.save_own_variables(store)
    theirs.save_own_variables(expected)
    assert {k: v.shape for k, v in store.items()} == {k: v.shape for k, v in expected.items()}
    twin.load_own_variables(store)


def test_lr_is_readable_and_settable():
    optimizer = optimizers.SGD(0.5)
    with old("optimizer.lr"):
        assert float(optimizer.lr) == 0.5
        optimizer.lr = 0.25
    assert float(optimizer.learning_rate) == 0.25
    assert int(optimizer.iterations) == 0


X = DRAW.normal(size=(12, 3)).astype("float32")
Y = (X.sum(1, keepdims=True) > 0).astype("float32")


def model(units=1, optimizer="sgd", metrics=("accuracy",), library=staghorn):
    made = library.Sequential(
        [library.Input((3,)), library.layers.Dense(units, "sigmoid", kernel_initializer="ones")]
    )
    made.compile(optimizer, "binary_crossentropy", metrics=list(metrics))
    return made


def test_decay_beside_a_plateau():
    """The callback lowers the rate that is then divided; computed step by step with NumPy."""
    with old("lr=", "decay="):
        ours = model(optimizer=optimizers.SGD(lr=0.5, decay=0.125), metrics=[])
    plateau = ReduceLROnPlateau("loss", factor=0.5, patience=0, min_delta=10)
    ours.fit(X, Y, epochs=4, batch_size=6, shuffle=False, callbacks=[plateau], verbose=0)

    w, b, rate, best = np.ones((3, 1)), np.zeros(1), 0.5, None
    for step in range(8):
        x, y = X[6 * (step % 2) :][:6], Y[6 * (step % 2) :][:6]
        error = 1 / (1 + np.exp(-(x @ w + b))) - y
        w = w - rate / (1 + 0.125 * step) * x.T @ error / 6
        b = b - rate / (1 + 0.125 * step) * error.mean()
        if step % 2:
            rate, best = (rate, 0) if best is None else (rate / 2, 0)
    np.testing.assert_allclose(ours.get_weights()[0], w, rtol=1e-4)
    np.testing.assert_allclose(ours.get_weights()[1], b, rtol=1e-4, atol=1e-6)
    assert float(ours.optimizer.learning_rate) == rate == 0.0625


def test_decay_in_a_file(tmp_path):
    with old("lr=", "decay="):
        ours = model(optimizer=optimizers.SGD(lr=0.5, decay=0.125, momentum=0.5))
    ours.fit(X, Y, verbose=0, batch_size=6)
    ours.save(tmp_path / "m.keras")
    twin = staghorn.models.load_model(tmp_path / "m.keras")
    theirs = keras.models.load_model(tmp_path / "m.keras")
    for each in (ours, twin, theirs):
        each.fit(X, Y, verbose=0, batch_size=6, shuffle=False)
    np.testing.assert_allclose(twin.get_weights()[0], ours.get_weights()[0], rtol=1e-6)
    np.testing.assert_allclose(theirs.get_weights()[0], ours.get_weights()[0], rtol=1e-5)


# Methods ---------------------------------------------------------------------------------------


def batches(size=4, targets=True):
    while True:
        for start in range(0, 12, size):
            rows = slice(start, start + size)
            yield (X[rows], Y[rows]) if targets else X[rows]


def losses_of(history):
    return history.history["loss"]


def test_fit_generator_counts_rows_or_batches():
    expected = losses_of(model().fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0))
    with old("model.fit_generator", "samples_per_epoch=", "nb_epoch=", "nb_val_samples=",
             "max_q_size=", "nb_worker=", "pickle_safe="):  # fmt: skip
        first = model().fit_generator(
            batches(), samples_per_epoch=11, nb_epoch=2, verbose=0, validation_data=batches(),
            nb_val_samples=8, max_q_size=3, nb_worker=1, pickle_safe=False,
        )  # fmt: skip
    assert first.params["steps"] == 3
    assert len(first.history["val_loss"]) == 2
    np.testing.assert_allclose(losses_of(first), expected, rtol=1e-6)
    with old("workers=", "use_multiprocessing="):
        second = model().fit_generator(batches(), 3, 2, 0, workers=4, use_multiprocessing=True)
    np.testing.assert_allclose(losses_of(second), expected, rtol=1e-6)
    weighted = model().fit_generator(batches(), 3, 2, 0, None, None, None, {0: 2.0, 1: 2.0})
    assert losses_of(weighted)[0] > 1.5 * expected[0]


class Rows(staghorn.utils.PyDataset):
    batch_size = 4

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[4 * index :][:4], Y[4 * index :][:4]


def test_rows_of_a_dataset():
    with old("model.fit_generator", "samples_per_epoch="):
        history = model().fit_generator(Rows(), samples_per_epoch=8, epochs=1, verbose=0)
    assert history.params["steps"] == 2


def test_evaluate_and_predict_generators():
    ours = model()
    with old("model.evaluate_generator", "model.predict_generator", "val_samples="):
        found = ours.evaluate_generator(batches(), 3)
        outputs = ours.predict_generator(batches(targets=False), val_samples=12)
    np.testing.assert_allclose(found, ours.evaluate(X, Y, verbose=0), rtol=1e-6)
    np.testing.assert_allclose(outputs, ours.predict(X, verbose=0), rtol=1e-6)


def test_classes_and_probabilities():
    one, three = model(), model(3)
    with old("model.predict_classes", "model.predict_proba"):
        assert (one.predict_classes(X) == (one.predict(X, verbose=0) > 0.5)).all()
        assert one.predict_classes(X).dtype == "int32"
        assert three.predict_classes(X).shape == (12,)
        np.testing.assert_array_equal(one.predict_proba(X), one.predict(X, verbose=0))


def test_states_of_a_model():
    made = staghorn.Sequential(
        [staghorn.Input(batch_shape=(2, 6, 3)), layers.LSTM(2, stateful=True)]
    )
    first, again = (made.predict(SERIES, batch_size=2, verbose=0) for _ in range(2))
    with old("model.reset_states()"):
        made.reset_states()
    np.testing.assert_array_equal(made.predict(SERIES, batch_size=2, verbose=0), first)
    assert np.abs(again - first).max() > 1e-3


def test_old_arguments_of_fit_and_compile():
    ours = model(metrics=())
    with old("class_mode=", "sample_weight_mode="):
        ours.compile("sgd", "binary_crossentropy", class_mode="binary", sample_weight_mode=None)
    with old("nb_epoch=", "show_accuracy=", "max_queue_size=", "workers=", "Y="):
        history = ours.fit(
            X, Y=Y, nb_epoch=2, show_accuracy=True, verbose=0, max_queue_size=3, workers=2
        )
    assert len(history.history["accuracy"]) == 2
    assert len(ours.evaluate(X, Y, verbose=0, show_accuracy=True)) == 2
    with old("steps_per_epoch= as a float"):
        history = model().fit(X, Y, batch_size=5, steps_per_epoch=12 / 5, verbose=0)
    assert history.params["steps"] == 3
    with pytest.raises(TypeError, match="nb_epoch is the old name of epochs, and both"):
        ours.fit(X, Y, epochs=3, nb_epoch=2)
    with pytest.raises(TypeError, match=r"fit: unknown argument 'epoch'\. Did you mean 'epochs'"):
        ours.fit(X, Y, epoch=2)


# Names in logs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("compiled", "asked"), [("accuracy", "acc"), ("acc", "accuracy")])
def test_names_in_logs(compiled, asked, tmp_path):
    heard = []

    class Listener(staghorn.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            heard.append((logs.get(asked), logs[f"val_{asked}"], logs.get("nothing", 3)))

    ours = model(metrics=[compiled])
    stop = EarlyStopping(f"val_{asked}", patience=0, min_delta=1)
    path = str(tmp_path / f"{{epoch}}-{{val_{asked}:.1f}}.keras")
    save = ModelCheckpoint(path, monitor=f"val_{asked}", save_best_only=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = ours.fit(X, Y, epochs=5, validation_data=(X, Y), verbose=0,
                           callbacks=[Listener(), stop, save])  # fmt: skip
        found = history.history[asked], history.history[f"val_{asked}"]
    assert {w.category for w in caught} == {OldSpelling}
    assert found == (history.history[compiled], history.history[f"val_{compiled}"])
    assert list(zip(*found, [3, 3], strict=True)) == heard
    assert len(heard) == 2  # EarlyStopping knew the direction, and stopped
    assert next(p.name for p in tmp_path.iterdir()).startswith("1-")
    assert set(history.history) == {"loss", "val_loss", compiled, f"val_{compiled}"}


def test_checkpoints_every_few_epochs(tmp_path):
    with old("period="):
        save = ModelCheckpoint(str(tmp_path / "{epoch}.hdf5"), period=2)
    save.set_model(
        type("Model", (), {"save": lambda self, path, overwrite: open(path, "w").close()})()
    )
    for epoch in range(5):
        save.on_epoch_end(epoch, {"loss": 1.0})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.hdf5", "4.hdf5"]


def test_the_board_of_old(tmp_path):
    with old("batch_size=", "write_grads=", "embeddings_layer_names=", "embeddings_data="):
        board = TensorBoard(
            str(tmp_path),
            0,
            batch_size=32,
            write_grads=False,
            embeddings_layer_names=None,
            embeddings_data=None,
        )
    assert board.histogram_freq == 0
    with pytest.raises(
        TypeError, match=r"unknown argument 'update_frq'\. Did you mean 'update_freq"
    ):
        TensorBoard(update_frq=3)


def test_the_plateau_of_old():
    with old("epsilon="):
        assert ReduceLROnPlateau("loss", epsilon=0.5).min_delta == 0.5
