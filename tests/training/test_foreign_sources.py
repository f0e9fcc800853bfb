"""Batches of other libraries: torch's DataLoader, tf.data, grain, where they are installed."""

import numpy as np
import pytest

from staghorn.training.sources import make_source

X = np.arange(30.0, dtype="float32").reshape(10, 3)
Y = np.arange(10)


def torch_and_data():
    torch = pytest.importorskip("torch", reason="the DataLoader tests need torch")
    return torch, torch.utils.data


def tensorflow():
    return pytest.importorskip("tensorflow", reason="the tf.data tests need tensorflow")


def values(source):
    return [np.concatenate(parts) for parts in zip(*source.batches(), strict=True)]


def test_torch_loader_gives_arrays_again_and_again():
    torch, data = torch_and_data()
    rows = data.TensorDataset(torch.tensor(X, dtype=torch.float64), torch.tensor(Y))
    source = make_source(data.DataLoader(rows, batch_size=4))
    assert (source.what, source.num_batches, source.restarts) == ("torch DataLoader", 3, True)
    for _ in range(2):
        x, y = values(source)
        assert (x.dtype, y.dtype) == ("float32", "int32")
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y, Y)


def test_torch_loader_of_dicts_and_of_single_tensors():
    torch, data = torch_and_data()
    rows = [{"a": torch.ones(2), "b": torch.tensor(i)} for i in range(4)]
    ((x,),) = make_source(data.DataLoader(rows, batch_size=4)).batches()
    assert x["a"].shape == (4, 2)
    assert x["b"].tolist() == [0, 1, 2, 3]
    ((x,),) = make_source(data.DataLoader(torch.ones(4, 2), batch_size=4)).batches()
    assert x.shape == (4, 2)


def test_torch_loader_without_a_length():
    torch, data = torch_and_data()

    class Stream(data.IterableDataset):
        def __iter__(self):
            return iter(torch.arange(12.0).reshape(6, 2))

    source = make_source(data.DataLoader(Stream(), batch_size=2))
    assert source.num_batches is None
    assert len(list(source.batches())) == 3


def test_torch_mistakes_are_taught():
    torch, data = torch_and_data()
    rows = data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    with pytest.raises(ValueError, match=r"x is a torch Dataset .*DataLoader\(x, batch_size=32"):
        make_source(rows)
    source = make_source(data.DataLoader(rows, batch_size=None))
    with pytest.raises(
        ValueError, match=r"y of batch 0 of torch DataLoader is a single .*batch_si"
    ):
        next(source.batches())
    assert make_source(torch.ones(3)) is None


def test_tf_dataset_gives_arrays_again_and_again():
    tf = tensorflow()
    dataset = tf.data.Dataset.from_tensor_slices(({"a": X.astype("float64")}, Y)).batch(4)
    source = make_source(dataset)
    assert (source.what, source.num_batches, source.restarts) == ("tf.data.Dataset", 3, True)
    for _ in range(2):
        batches = list(source.batches())
        np.testing.assert_array_equal(np.concatenate([x["a"] for x, _ in batches]), X)
        np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), Y)
        assert {x["a"].dtype.name for x, _ in batches} == {"float32"}
        assert {y.dtype.name for _, y in batches} == {"int32"}


def test_tf_lengths():
    tf = tensorflow()
    dataset = tf.data.Dataset.from_tensor_slices(X).batch(4)
    endless = make_source(dataset.repeat())
    assert endless.infinite
    assert endless.num_batches is None
    unknown = make_source(dataset.filter(lambda x: True))
    assert not unknown.infinite
    assert unknown.num_batches is None
    assert len(list(unknown.batches())) == 3


def test_tf_mistakes_are_taught():
    tf = tensorflow()
    dataset = tf.data.Dataset.from_tensor_slices((X, Y))
    with pytest.raises(ValueError, match=r"y of batch 0 .* single number.*dataset.batch\(32\)"):
        next(make_source(dataset).batches())
    ragged = tf.data.Dataset.from_tensor_slices(tf.ragged.constant([[1], [2, 3]]))
    with pytest.raises(ValueError, match=r"RaggedTensors, which have no array form.*to_tensor"):
        make_source(ragged)
    assert make_source(tf.ones(3)) is None


def test_tensorflow_tensors_in_a_generator():
    tf = tensorflow()
    ((x, y),) = make_source((tf.constant(X), tf.constant(Y)) for _ in range(1)).batches()
    np.testing.assert_array_equal(x, X)
    assert y.dtype == "int32"


def test_grain():
    grain = pytest.importorskip("grain", reason="the grain tests need grain")
    dataset = grain.MapDataset.source(X).batch(4)
    source = make_source(dataset)
    assert (source.what.split()[0], source.num_batches) == ("grain", 3)
    np.testing.assert_array_equal(values(source)[0], X)
    assert make_source(dataset.repeat()).infinite
