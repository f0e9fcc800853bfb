"""Batches from generators and loaders: equal to arrays, grouped, live; early ends explained."""

import warnings

import h5py
import numpy as np
import pytest

import staghorn
from staghorn import layers
from staghorn.callbacks import Callback
from staghorn.training import data as training_data
from staghorn.training import stream
from staghorn.training.executor import Executor
from staghorn.training.large import LargeArray
from staghorn.training.sources import make_source

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3)).astype("float32")  # batch 4: seven steps and a batch of two rows
Y = RNG.normal(size=(30, 1)).astype("float32")
IN_ORDER = {"batch_size": 4, "shuffle": False, "verbose": 0}


def noisy(**compile_with):
    """A model with every kind of state: weights, moving statistics, a seed, slots, metrics."""
    staghorn.utils.set_random_seed(0)
    model = staghorn.Sequential(
        [
            staghorn.Input((3,)),
            layers.Dense(4),
            layers.BatchNormalization(),
            layers.Dropout(0.5, seed=7),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"], **compile_with)
    return model


def state(model):
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


def assert_identical(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def one_pass(x=X, y=Y, size=4):
    for start in range(0, len(x), size):
        yield x[start : start + size], y[start : start + size]


def forever(**kwargs):
    while True:
        yield from one_pass(**kwargs)


class Again:
    """Batches that can be had again: an object with `__iter__`, and `__len__` if asked."""

    def __init__(self, size=4):
        self.size = size
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        return one_pass(size=self.size)


class Hooked(staghorn.utils.PyDataset):
    def __init__(self):
        super().__init__()
        self.calls = []

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return X[index * 4 : index * 4 + 4], Y[index * 4 : index * 4 + 4]

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


def trained_on_arrays(epochs=2, **compile_with):
    model = noisy(**compile_with)
    return model, model.fit(X, Y, epochs=epochs, **IN_ORDER).history


@pytest.mark.parametrize("capacity", [1, 2, 3, 64])
@pytest.mark.parametrize("make", [Again, Hooked])
def test_a_stream_trains_as_arrays_do(make, capacity, monkeypatch):
    monkeypatch.setattr(stream, "GROUP_STEPS", capacity)
    wanted, history = trained_on_arrays()
    model = noisy()
    got = model.fit(make(), epochs=2, shuffle=False, verbose=0).history
    assert got == history
    assert_identical(state(model), state(wanted))


@pytest.mark.parametrize("options", [{}, {"steps_per_execution": 3}, {"run_eagerly": True}])
def test_an_endless_generator_goes_on_where_the_epoch_ended(options):
    wanted = noisy(**options)
    wanted.fit(X, Y, epochs=3, **IN_ORDER)
    model = noisy(**options)
    # 8 batches a pass: six epochs of 4 are three passes.
    model.fit(forever(), steps_per_epoch=4, epochs=6, verbose=0)
    assert_identical(state(model), state(wanted))


def test_a_group_that_fills_slowly_is_run_with_what_it_has(monkeypatch):
    wanted, history = trained_on_arrays()
    monkeypatch.setattr(stream, "GROUP_WAIT", -1.0)
    model = noisy()
    assert model.fit(Again(), epochs=2, verbose=0).history == history
    assert_identical(state(model), state(wanted))


def test_steps_are_grouped_and_batch_hooks_are_not(monkeypatch):
    calls = []
    dispatch = Executor.dispatch

    def counted(self, block, start, stop, tail, fresh):
        calls.append(stop - start + tail)
        return dispatch(self, block, start, stop, tail, fresh)

    monkeypatch.setattr(Executor, "dispatch", counted)
    model = noisy()
    model.fit(Again(size=1), epochs=1, verbose=0)
    assert sum(calls) == 30
    assert len(calls) < 10
    calls.clear()
    seen = []

    class Batches(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, logs["loss"]))

    model.fit(Again(), epochs=1, verbose=0, callbacks=[Batches()])
    assert calls == [1] * 8
    assert [batch for batch, _ in seen] == list(range(8))
    assert len({loss for _, loss in seen}) == 8


def test_the_next_group_is_made_while_the_device_computes(monkeypatch):
    """The next batches are drawn after a group was started and before its results are asked for."""
    events = []
    monkeypatch.setattr(stream, "GROUP_STEPS", 2)
    for name in ("dispatch", "fetch"):
        original = getattr(Executor, name)

        def noted(self, *args, name=name, original=original):
            events.append(name)
            return original(self, *args)

        monkeypatch.setattr(Executor, name, noted)

    def batches():
        for batch in one_pass(X[:24], Y[:24]):
            events.append("draw")
            yield batch

    model = noisy(steps_per_execution=2)
    model.fit(batches(), verbose=0)
    assert events == [
        *("draw", "draw", "dispatch"),
        *("draw", "draw", "dispatch", "fetch"),
        *("draw", "draw", "dispatch", "fetch"),
        "fetch",
    ]


def test_few_programs_and_none_in_a_second_fit():
    model = noisy()
    model.fit(Again(), epochs=3, validation_data=Again(), verbose=0)

    def traces():
        return {k: v[-1].program.traces for k, v in model._executor.items() if k != "outputs"}

    # One for groups, one for the last, smaller batch.
    assert traces() == {"train": 2, "test": 2}
    model.fit(Again(), epochs=2, validation_data=Again(), verbose=0)
    assert traces() == {"train": 2, "test": 2}


def test_a_buffer_holds_no_more_than_an_epoch():
    feed = stream.StreamFeed(make_source(forever()), steps=3)
    assert feed.capacity(1000) == feed.capacity(None) == 3


def test_a_generator_may_fill_the_same_array_again():
    def reusing():
        x, y = np.empty((4, 3), "float32"), np.empty((4, 1), "float32")
        for a, b in one_pass():
            x[: len(a)], y[: len(b)] = a, b
            yield x[: len(a)], y[: len(b)]
            x[:], y[:] = np.nan, np.nan

    wanted, _ = trained_on_arrays(epochs=1)
    model = noisy()
    model.fit(reusing(), verbose=0)
    assert_identical(state(model), state(wanted))


def test_batches_of_many_sizes():
    """Each shape has its program; the metrics are those of all rows."""
    sizes, seen = [5, 3, 5, 7, 2, 5, 3], []

    def ragged():
        start = 0
        for size in sizes:
            yield X[start : start + size], Y[start : start + size]
            start += size

    class Count(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)

    model = noisy()
    x, y = X[: sum(sizes)], Y[: sum(sizes)]
    np.testing.assert_allclose(
        model.evaluate(ragged(), verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-5
    )
    model.fit(ragged(), verbose=0, callbacks=[Count()])
    assert seen == list(range(7))
    np.testing.assert_allclose(
        model.predict(ragged(), verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )


def test_sequences_padded_batch_by_batch():
    staghorn.utils.set_random_seed(0)
    inputs = staghorn.Input((None,), dtype="int32")
    outputs = layers.Dense(1)(staghorn.ops.mean(layers.Embedding(9, 4)(inputs), axis=1))
    model = staghorn.Model(inputs, outputs)
    model.compile("adam", "mse")
    lengths = [5, 3, 5, 5, 7, 3, 5]

    def batches():
        for length in lengths:
            yield np.ones((4, length), "int32"), np.ones((4, 1), "float32")

    history = model.fit(batches(), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert model._executor["train"][2].program.traces == 3  # one for each length
    assert model.predict(batches(), verbose=0).shape == (28, 1)


def test_a_length_seen_in_data_is_no_promise():
    """A Sequential without an Input takes other lengths, as its layers do."""
    model = staghorn.Sequential(
        [layers.Embedding(9, 3), layers.GlobalMaxPooling1D(), layers.Dense(1)]
    )
    model.compile("adam", "mse")
    model.fit(np.ones((8, 6), "int32"), np.ones(8), verbose=0)
    assert model.predict(np.ones((2, 11), "int32"), verbose=0).shape == (2, 1)
    model.fit(np.ones((8, 4), "int32"), np.ones(8), verbose=0)


def test_a_length_the_model_does_not_take_is_named():
    def batches():
        yield X[:4], Y[:4]
        yield X[:4, :2], Y[:4]

    with pytest.raises(ValueError, match=r"generator .*expected shape \(None, 3\), got \(4, 2\)"):
        noisy().fit(batches(), verbose=0)


def test_two_inputs_two_outputs_weights_and_validation():
    def build():
        staghorn.utils.set_random_seed(3)
        a, b = staghorn.Input((3,), name="a"), staghorn.Input((3,), name="b")
        shared = layers.Dense(4, activation="tanh")
        both = layers.Concatenate()([shared(a), shared(b)])
        outputs = [layers.Dense(1, name="p")(both), layers.Dense(2, name="q")(both)]
        model = staghorn.Model([a, b], outputs)
        model.compile("adam", {"p": "mse", "q": "mae"}, metrics={"p": ["mae"]})
        return model

    x = {"a": X, "b": X[::-1]}
    y = {"p": Y, "q": np.concatenate([Y, -Y], axis=1)}
    w = {"p": np.linspace(0, 1, 30), "q": np.linspace(1, 0, 30)}

    def part(nest, rows):
        return {k: v[rows] for k, v in nest.items()}

    def batches():
        while True:
            for start in range(0, 30, 4):
                rows = slice(start, start + 4)
                yield part(x, rows), part(y, rows), part(w, rows)

    first, second = build(), build()
    wanted = first.fit(
        x, y, sample_weight=w, epochs=2, validation_data=(x, y, w), **IN_ORDER
    ).history
    got = second.fit(
        batches(),
        epochs=2,
        steps_per_epoch=8,
        validation_data=batches(),
        validation_steps=8,
        verbose=0,
    ).history
    assert got.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(got[name], values)
    assert_identical(state(first), state(second))


def test_class_weights_apply_to_batches():
    labels = RNG.integers(0, 3, 30)

    def build():
        staghorn.utils.set_random_seed(0)
        model = staghorn.Sequential([staghorn.Input((3,)), layers.Dense(3, "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    weights = {0: 1.0, 1: 5.0, 2: 0.0}
    first, second = build(), build()
    first.fit(X, labels, class_weight=weights, **IN_ORDER)
    second.fit(one_pass(y=labels), class_weight=weights, verbose=0)
    assert_identical(state(first), state(second))


def test_epoch_hooks_of_a_dataset():
    dataset = Hooked()
    noisy().fit(dataset, epochs=2, verbose=0)
    assert dataset.calls == ["begin", "end"] * 2


# Ends -----------------------------------------------------------------------------------------


def test_a_generator_that_is_used_up_ends_training_with_words():
    model = noisy()
    with pytest.warns(UserWarning, match="8 batches, 2 more epochs") as caught:
        history = model.fit(one_pass(), epochs=3, verbose=0).history
    assert len(history["loss"]) == 1
    assert caught[0].filename == __file__
    assert "while True" in str(caught[0].message)


def test_an_epoch_cut_short_says_seen_wanted_and_what_to_change():
    model = noisy()
    with pytest.warns(UserWarning, match="used up") as caught:
        history = model.fit(one_pass(), epochs=3, steps_per_epoch=5, verbose=0).history
    texts = [str(warning.message) for warning in caught]
    assert len(history["loss"]) == 2
    assert "gave 8 batches, 10 were wanted" in texts[0]
    assert "steps_per_epoch" in texts[0]
    assert "gave 8 batches, 15 were wanted" in texts[1]
    assert all(warning.filename == __file__ for warning in caught)


def test_more_steps_than_a_pass_has():
    model, source = noisy(), Again()
    with pytest.warns(UserWarning, match=r"gave 8 batches in a pass, but steps_per_epoch=10"):
        history = model.fit(source, epochs=2, steps_per_epoch=10, verbose=0).history
    assert len(history["loss"]) == 2
    assert source.passes == 2


def test_fewer_steps_than_a_pass_has():
    model, source = noisy(), Again()
    model.fit(source, epochs=4, steps_per_epoch=2, verbose=0)
    assert source.passes == 1
    wanted, _ = trained_on_arrays(epochs=1)
    assert_identical(state(model), state(wanted))


@pytest.mark.parametrize("batches", [lambda: iter(()), lambda: Again(size=4)])
def test_nothing_at_all(batches):
    source = batches()
    if isinstance(source, Again):
        source.__class__ = type("Empty", (), {"__iter__": lambda self: iter(())})
    with pytest.raises(ValueError, match="gave no batch"):
        noisy().fit(source, verbose=0)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"y": Y}, "leave y out"),
        ({"sample_weight": Y}, "leave sample_weight out"),
        ({"validation_split": 0.2}, "validation_data=another"),
    ],
)
def test_arguments_that_only_arrays_take(kwargs, words):
    with pytest.raises(ValueError, match=words):
        noisy().fit(one_pass(), verbose=0, **kwargs)


def test_batches_that_do_not_fit_the_model_are_refused_before_training():
    model = noisy()
    before = state(model)
    with pytest.raises(ValueError, match=r"expected shape \(None, 3\), got"):
        model.fit(one_pass(x=np.ones((30, 5), "float32")), verbose=0)
    assert_identical(before, state(model))


def test_an_exception_of_the_generator_leaves_a_live_model():
    def broken():
        yield from one_pass(X[:12], Y[:12])
        raise KeyError("row 12 is missing")

    model = noisy()
    with pytest.raises(KeyError, match="row 12 is missing"):
        model.fit(broken(), verbose=0)
    assert all(np.isfinite(a).all() for a in state(model))
    model.fit(X, Y, **IN_ORDER)


def test_evaluate_and_predict_on_streams():
    model, _ = trained_on_arrays()
    assert model.evaluate(Again(), verbose=0) == model.evaluate(X, Y, batch_size=4, verbose=0)
    np.testing.assert_array_equal(
        model.predict(Again(), verbose=0), model.predict(X, batch_size=4, verbose=0)
    )
    some = model.predict(forever(), steps=3, verbose=0)
    np.testing.assert_array_equal(some, model.predict(X[:12], batch_size=4, verbose=0))
    assert model.evaluate(forever(), steps=3, verbose=0, return_dict=True) == model.evaluate(
        X[:12], Y[:12], batch_size=4, verbose=0, return_dict=True
    )


def test_each_validation_sees_the_same_batches():
    model = noisy()
    frozen = staghorn.optimizers.SGD(0.0)
    model.layers[1].trainable = False  # moving statistics stay, so that the model does not change
    model.compile(frozen, "mae")
    history = model.fit(
        Again(), epochs=3, verbose=0, validation_data=Again(), validation_steps=3
    ).history
    assert len(set(history["val_loss"])) == 1


# Arrays that stay where they are ----------------------------------------------------------------


@pytest.fixture(params=["h5py", "memmap", "float64 in memory"])
def large(request, tmp_path, monkeypatch):
    """X in float64, held in a file or too large for the device; and whether all was ever read."""
    monkeypatch.setattr(training_data, "RESIDENT_BYTES", 10)
    monkeypatch.setattr("staghorn.training.data.GROUP_STEPS", 2)
    whole = []
    monkeypatch.setattr(
        LargeArray, "__array__", lambda self, *args, **kwargs: whole.append(self.shape)
    )
    rows = X.astype("float64")
    if request.param == "h5py":
        with h5py.File(tmp_path / "x.h5", "w") as file:
            yield file.create_dataset("x", data=rows)
    elif request.param == "memmap":
        made = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", shape=rows.shape)
        made[:] = rows
        yield np.load(tmp_path / "x.npy", mmap_mode="r")
    else:
        yield rows
    assert whole == []


def test_rows_are_read_group_by_group(large):
    settings = {"batch_size": 4, "verbose": 0, "epochs": 2, "validation_split": 0.2}
    wanted = noisy()
    expected = wanted.fit(X, Y, **settings).history
    model = noisy()  # sets the seed that rows are shuffled by, too
    assert model.fit(large, Y, **settings).history == expected
    assert_identical(state(model), state(wanted))
    assert model.evaluate(large, Y, verbose=0) == wanted.evaluate(X, Y, verbose=0)


def test_prediction_reads_group_by_group(large, monkeypatch):
    model = noisy()
    wanted = model.predict(X, batch_size=4, verbose=0)
    monkeypatch.undo()
    np.testing.assert_array_equal(model.predict(large, batch_size=4, verbose=0), wanted)


def test_rows_of_a_file_in_any_order(tmp_path):
    values = np.arange(40.0).reshape(20, 2)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        part = LargeArray(file.create_dataset("x", data=values), "float32")[5:15]
        rows = np.array([9, 0, 3, 4, 4, 5, 0])
        taken = part.take(rows)
    np.testing.assert_array_equal(taken, values[5:15][rows])
    assert taken.dtype == "float32"
    with pytest.raises(IndexError, match="step of 1"):
        part[::2]


def test_no_warnings_in_the_ordinary_cases():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        noisy().fit(Again(), epochs=2, steps_per_epoch=8, verbose=0)
        noisy().fit(one_pass(), verbose=0)
