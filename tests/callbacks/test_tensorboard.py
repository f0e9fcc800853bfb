"""TensorBoard: what is in its files, read back by an independent reader."""

import json
import struct
import warnings
import zlib

import numpy as np
import pytest

import staghorn
from staghorn.callbacks import Callback, TensorBoard
from staghorn.callbacks import event_file as written
from tests.callbacks.event_reader import crc32c, events, run_events, scalar_table

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3)).astype("float32")
Y = RNG.normal(size=(20, 1)).astype("float32")


def make_model(optimizer="sgd", units=4, metrics=("mae",)):
    model = staghorn.Sequential(
        [
            staghorn.Input((3,)),
            staghorn.layers.Dense(units, name="inner"),
            staghorn.layers.Dense(1, name="outer"),
        ]
    )
    model.compile(optimizer, "mse", metrics=list(metrics))
    return model


def fit(board, model=None, *others, **kwargs):
    model = model or make_model()
    options = {"batch_size": 4, "epochs": 2, "verbose": 0, **kwargs}
    return model.fit(X, Y, callbacks=[*others, board], **options)


def test_epochs(tmp_path):
    history = fit(TensorBoard(tmp_path), validation_data=(X[:8], Y[:8]))
    train, validation = scalar_table(tmp_path / "train"), scalar_table(tmp_path / "validation")
    assert sorted(train) == ["epoch_learning_rate", "epoch_loss", "epoch_mae"]
    assert sorted(validation) == [
        "epoch_loss",
        "epoch_mae",
        "evaluation_loss_vs_iterations",
        "evaluation_mae_vs_iterations",
    ]
    for name in ("loss", "mae"):
        losses, val_losses = history.history[name], history.history[f"val_{name}"]
        np.testing.assert_allclose(train[f"epoch_{name}"], list(enumerate(losses)), rtol=1e-6)
        np.testing.assert_allclose(
            validation[f"epoch_{name}"], list(enumerate(val_losses)), rtol=1e-6
        )
        at = list(zip([5, 10], val_losses, strict=True))  # steps of the optimizer
        np.testing.assert_allclose(validation[f"evaluation_{name}_vs_iterations"], at, rtol=1e-6)
    np.testing.assert_allclose(train["epoch_learning_rate"], [(0, 0.01), (1, 0.01)], rtol=1e-6)


def test_learning_rate_of_a_schedule_and_of_a_wrapped_optimizer(tmp_path):
    schedule = staghorn.optimizers.schedules.ExponentialDecay(0.01, 5, 0.5)
    inner = staghorn.optimizers.SGD(schedule)
    fit(TensorBoard(tmp_path), make_model(staghorn.optimizers.LossScaleOptimizer(inner)))
    rates = scalar_table(tmp_path / "train")["epoch_learning_rate"]
    np.testing.assert_allclose(rates, [(0, 0.005), (1, 0.0025)], rtol=1e-6)


@pytest.mark.parametrize(("freq", "steps"), [("batch", range(1, 11)), (3, (3, 6, 9)), (5, (5, 10))])
def test_batches(tmp_path, freq, steps):
    seen = []

    class Record(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])

    fit(TensorBoard(tmp_path, update_freq=freq), None, Record())
    table = scalar_table(tmp_path / "train")
    assert sorted(tag for tag in table if tag.startswith("batch")) == ["batch_loss", "batch_mae"]
    np.testing.assert_allclose(
        table["batch_loss"], [(step, seen[step - 1]) for step in steps], rtol=1e-6
    )


def test_batches_of_several_steps(tmp_path):
    model = make_model()
    model.compile("sgd", "mse", steps_per_execution=2)
    fit(TensorBoard(tmp_path, update_freq=2), model)
    steps = [step for step, _ in scalar_table(tmp_path / "train")["batch_loss"]]
    assert steps == [2, 4, 7, 9, 10][: len(steps)]
    assert len(steps) == 5


def test_steps_per_second(tmp_path):
    fit(TensorBoard(tmp_path, write_steps_per_second=True, update_freq="batch"))
    table = scalar_table(tmp_path / "train")
    assert [step for step, _ in table["epoch_steps_per_second"]] == [0, 1]
    assert len(table["batch_steps_per_second"]) == 10
    rates = [rate for tag in table if tag.endswith("second") for _, rate in table[tag]]
    assert all(rate > 0 for rate in rates)


def test_evaluate_writes_one_run(tmp_path):
    model = make_model()
    fit(TensorBoard(tmp_path / "fit"), model)
    loss, mae = model.evaluate(X, Y, verbose=0, callbacks=[TensorBoard(tmp_path / "evaluate")])
    assert [path.name for path in (tmp_path / "evaluate").iterdir()] == ["validation"]
    table = scalar_table(tmp_path / "evaluate" / "validation")
    np.testing.assert_allclose(table["evaluation_loss_vs_iterations"], [(10, loss)], rtol=1e-6)
    np.testing.assert_allclose(table["evaluation_mae_vs_iterations"], [(10, mae)], rtol=1e-6)
    # Keras: the counter of batches starts again with each fit, and each makes a new file.
    board = TensorBoard(tmp_path / "again", update_freq=5)
    fit(board, model)
    fit(board, model)
    again = scalar_table(tmp_path / "again" / "train")
    assert [step for step, _ in again["batch_loss"]] == [5, 10, 5, 10]
    assert len(list((tmp_path / "again" / "train").iterdir())) == 2


def test_graph(tmp_path):
    model = make_model()
    fit(TensorBoard(tmp_path), model)
    found = [e for e in run_events(tmp_path / "train") if e[2] == "graph_keras_model"]
    assert [(step, tag) for step, tag, *_ in found] == [(0, "keras")]
    assert json.loads(found[0][3][0]) == json.loads(model.to_json())
    fit(TensorBoard(tmp_path / "off", write_graph=False), model)
    assert not any(e[2] == "graph_keras_model" for e in run_events(tmp_path / "off" / "train"))


def test_a_model_of_its_own_class_has_no_graph(tmp_path):
    class Own(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.dense = staghorn.layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    model = Own()
    model.compile("sgd", "mse")
    fit(TensorBoard(tmp_path), model)
    assert {plugin for _, _, plugin, _ in run_events(tmp_path / "train")} == {"scalars"}


def test_histograms(tmp_path):
    model = make_model()
    fit(TensorBoard(tmp_path, histogram_freq=2), model, epochs=3)
    found = [e for e in run_events(tmp_path / "train") if e[2] == "histograms"]
    names = [f"{layer}/{weight}/histogram" for layer in ("inner", "outer")
             for weight in ("kernel", "bias")]  # fmt: skip
    assert [(step, tag.split("sequential/")[-1]) for step, tag, *_ in found] == [
        (epoch, name) for epoch in (0, 2) for name in names
    ]
    table, weight = found[4][3], model.layers[0].kernel.numpy()
    assert table.shape == (30, 3)
    assert table[:, 2].sum() == weight.size
    assert (table[0, 0], table[-1, 1]) == (weight.min(), weight.max())
    np.testing.assert_allclose(table[1:, 0], table[:-1, 1])


def test_buckets_count_values():
    values = RNG.normal(size=1000)
    table = written.buckets(values)
    inside = [np.sum((values >= left) & (values < right)) for left, right, _ in table]
    inside[-1] += 1  # the largest lies on the last edge
    np.testing.assert_allclose(table[:, 2], inside, atol=1)
    assert written.buckets(np.array([np.nan, np.inf])).shape == (0, 3)
    equal = written.buckets(np.full(7, 2.0))
    assert (equal[:, 2].sum(), equal[0, 0], equal[0, 1]) == (7, 1.5, 2.5)


def unpack_png(data):
    """Return the numbers of a PNG file without filters, from 0 to 255."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, position = {}, 8
    while position < len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        body = data[position + 8 : position + 8 + length]
        (crc,) = struct.unpack(">I", data[position + 8 + length : position + 12 + length])
        assert crc == zlib.crc32(kind + body)
        chunks[kind] = body
        position += 12 + length
    width, height, depth, color = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    channels = {0: 1, 2: 3, 6: 4}[color]
    assert depth == 8
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, channels)


def test_images(tmp_path):
    model = make_model(units=2)
    fit(TensorBoard(tmp_path, histogram_freq=1, write_images=True), model, epochs=1)
    found = {
        tag.split("sequential/")[-1]: value
        for _, tag, plugin, value in run_events(tmp_path / "train")
        if plugin == "images"
    }
    # outer/bias is one number, which has no axis left to show
    assert sorted(found) == ["inner/bias/image", "inner/kernel/image", "outer/kernel/image"]
    width, height, *pictures = found["inner/kernel/image"]
    assert (width, height, len(pictures)) == (b"3", b"2", 1)
    kernel = model.layers[0].kernel.numpy().T  # lies on its longer side
    shown = np.clip(kernel, 0, 1) * 255
    np.testing.assert_allclose(unpack_png(pictures[0])[..., 0], shown, atol=0.51)
    color = RNG.uniform(size=(4, 5, 3))
    np.testing.assert_allclose(unpack_png(written.png(color)), color * 255, atol=0.51)


def test_embeddings(tmp_path):
    model = staghorn.Sequential(
        [
            staghorn.Input((2,), dtype="int32"),
            staghorn.layers.Embedding(5, 3, name="words"),
            staghorn.layers.Flatten(),
            staghorn.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    board = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"words": "names.tsv"})
    model.fit(RNG.integers(0, 5, (8, 2)), Y[:8], verbose=0, callbacks=[board])
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "embedding-words.tsv"' in config
    assert 'metadata_path: "names.tsv"' in config
    table = np.loadtxt(tmp_path / "embedding-words.tsv", delimiter="\t")
    np.testing.assert_allclose(table, model.layers[0].embeddings.numpy(), rtol=1e-6)
    wrong = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"word": "names.tsv"})
    with pytest.raises(ValueError, match=r"names 'word', but the model's Embedding .* 'words'"):
        model.fit(RNG.integers(0, 5, (8, 2)), Y[:8], verbose=0, callbacks=[wrong])


def test_profile(tmp_path):
    fit(TensorBoard(tmp_path, profile_batch=(2, 3)), epochs=1)
    assert list(tmp_path.glob("train/plugins/profile/*/*.xplane.pb"))


def test_profile_ends_with_training(tmp_path):
    fit(TensorBoard(tmp_path, profile_batch=(2, 99)), epochs=1)
    assert list(tmp_path.glob("train/plugins/profile/*/*.xplane.pb"))


def test_two_profiles_at_once(tmp_path):
    first, second = (TensorBoard(tmp_path / name, profile_batch=2) for name in "ab")
    with pytest.warns(UserWarning, match="nothing is profiled"):
        fit(second, None, first, epochs=1)
    assert list(tmp_path.glob("a/train/plugins/profile/*/*.xplane.pb"))


def test_a_metric_with_several_values(tmp_path):
    class Pair(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["pair"] = np.array([1.0, 2.0])
            logs["word"] = "left out"

    fit(TensorBoard(tmp_path), None, Pair(), epochs=1)
    table = scalar_table(tmp_path / "train")
    assert (table["epoch_pair_0"], table["epoch_pair_1"]) == ([(0, 1.0)], [(0, 2.0)])
    assert "epoch_word" not in table


def test_a_killed_process_leaves_a_readable_file(tmp_path):
    class Stop(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(TensorBoard(tmp_path), None, Stop())
    assert [step for step, _ in scalar_table(tmp_path / "train")["epoch_loss"]] == [0]


def test_numbers_and_checksums(tmp_path):
    # RFC 3720, B.4: 32 zeros, 32 ones, 0 ... 31
    known = {bytes(32): 0x8A9136AA, b"\xff" * 32: 0x62A8AB43, bytes(range(32)): 0x46DD794E}
    for data, crc in known.items():
        assert written.crc32c(data) == crc32c(data) == crc
    numbers = [0.0, -1.5, 1e30, 1e300, float("inf"), float("nan")]
    steps = [0, 1, 127, 128, 2**31, 2**40]
    file = written.EventFile(tmp_path)
    file.write([])
    assert not list(tmp_path.iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = zip(numbers, steps, strict=True)
        file.write([written.scalar("näme", number, step) for number, step in pairs])
    found = events(file.path)
    assert [(step, tag) for step, tag, *_ in found] == [(step, "näme") for step in steps]
    with np.errstate(over="ignore"):
        expected = np.float32(numbers)
    np.testing.assert_array_equal([value for *_, value in found], expected)


def test_tensorboard_reads_the_same(tmp_path):
    """Against TensorBoard's own reader, where it is installed."""
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed; tests/callbacks/event_reader.py reads the files",
    )
    history = fit(TensorBoard(tmp_path, histogram_freq=1, write_images=True))
    run = reader.EventAccumulator(str(tmp_path / "train"), size_guidance={"tensors": 0})
    run.Reload()
    tags = {tag for _, tag, *_ in run_events(tmp_path / "train")}
    assert set(run.Tags()["tensors"]) == tags
    losses = [event.tensor_proto.tensor_content for event in run.Tensors("epoch_loss")]
    assert [struct.unpack("<f", loss)[0] for loss in losses] == pytest.approx(
        history.history["loss"]
    )


@pytest.mark.parametrize("wrong", [-1, (5, 2), (1, 2, 3), (0, 4), "a,b", None, 1.5j])
def test_wrong_profile(wrong):
    with pytest.raises(ValueError, match="profile_batch must be 0, a step"):
        TensorBoard(profile_batch=wrong)


@pytest.mark.parametrize("wrong", [0, -2, "batches", 1.5, True, None])
def test_wrong_update_freq(wrong):
    with pytest.raises(ValueError, match="update_freq must be 'epoch', 'batch' or a positive int"):
        TensorBoard(update_freq=wrong)


def test_only_what_is_asked_for_slows_down():
    assert not TensorBoard(histogram_freq=1, write_steps_per_second=True).needs_batches
    assert TensorBoard(update_freq=100).needs_batches
    assert TensorBoard(profile_batch=2).needs_batches
