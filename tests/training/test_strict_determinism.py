"""Same seed, same machine, same bits: however the steps are grouped, watched, shown and fed."""

import hashlib

import numpy as np
import pytest

import staghorn
from staghorn.callbacks import Callback, TerminateOnNaN

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3)).astype("float32")  # batch 4: seven steps and a tail of two rows
Y = (X[:, :1] > 0).astype("float32")
BATCHES = [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 30, 4)]


class Listening(Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.last = logs["loss"]


class Again(staghorn.utils.PyDataset):
    def __len__(self):
        return len(BATCHES)

    def __getitem__(self, index):
        return BATCHES[index]


def bits(*args, **kwargs):
    """Hash all that `trained` returns."""
    return hashlib.sha256(b"".join(a.tobytes() for a in trained(*args, **kwargs))).hexdigest()


def trained(feed="arrays", seed=3, shuffle=True, twice=False, compile_with=None, **arguments):
    """Return weights, slots, seeds and history of a model with every kind of state."""
    staghorn.utils.set_random_seed(seed)
    model = staghorn.Sequential(
        [
            staghorn.Input((3,)),
            staghorn.layers.Dense(8, activation="relu"),
            staghorn.layers.BatchNormalization(),
            staghorn.layers.Dropout(0.3),
            staghorn.layers.GaussianNoise(0.1),
            staghorn.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], **(compile_with or {}))
    data = {"arrays": (X, Y), "dataset": (Again(),), "list": (X.tolist(), Y.tolist())}[
        feed if feed != "generator" else "arrays"
    ]
    if feed == "generator":
        data = (iter(BATCHES * 3),)
        arguments["steps_per_epoch"] = len(BATCHES)
    if feed in ("arrays", "list"):
        arguments["batch_size"] = 4
    common = {"shuffle": shuffle, "epochs": 3, "verbose": 0}
    history = model.fit(*data, **(common | arguments)).history
    if twice:
        history = model.fit(*data, **(common | arguments)).history
    told = sorted(name for name in history if not name.startswith("val_"))
    state = [v.numpy() for v in [*model.variables, *model.optimizer.variables]]
    return [*state, *(np.array(history[name]) for name in told)]


@pytest.fixture(scope="module")
def reference():
    return bits()


WAYS = {
    "again": {},
    "one step": {"compile_with": {"steps_per_execution": 1}},
    "three steps": {"compile_with": {"steps_per_execution": 3}},
    "eight steps": {"compile_with": {"steps_per_execution": 8}},
    "batches": {"callbacks": [Listening()]},
    "batches by three": {
        "callbacks": [Listening()], "compile_with": {"steps_per_execution": 3}},
    "bar": {"verbose": 1},
    "lines": {"verbose": 2},
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_way_does_not_matter(way, reference):
    assert bits(**WAYS[way]) == reference


@pytest.mark.parametrize("feed", ["dataset", "generator", "list"])
def test_where_the_batches_come_from_does_not_matter(feed):
    """But for rounding: the smaller last batch of a stream is a program of its own."""
    same(trained(feed, shuffle=False), trained(shuffle=False))
    assert bits(feed, shuffle=False) == bits(
        feed, shuffle=False, compile_with={"steps_per_execution": 3}
    )


def test_a_guard_does_not_matter():
    """But for rounding: a loop that can end at a bad step is a program of its own."""
    same(trained(callbacks=[TerminateOnNaN()]), trained())
    ways = [{}, {"steps_per_execution": 1}, {"steps_per_execution": 3}]
    assert len({bits(callbacks=[TerminateOnNaN()], compile_with=way) for way in ways}) == 1


def same(got, wanted):
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_the_seed_matters(reference):
    assert len({bits(seed=4), reference, bits(shuffle=False)}) == 3


def test_a_second_fit_has_an_order_of_its_own_that_follows_the_seed(reference):
    twice = bits(twice=True)
    assert twice == bits(twice=True, compile_with={"steps_per_execution": 3})
    assert twice not in (reference, bits(epochs=6))


@pytest.mark.parametrize("shuffle", [True, "batch"])
def test_validation_moves_nothing(shuffle):
    """Neither the order of the rows nor a seed: the training is the same without it."""
    assert bits(shuffle=shuffle, validation_data=(X[:9], Y[:9])) == bits(shuffle=shuffle)


def test_numpys_draws_before_fit_do_not_move_the_weights():
    """The order of rows comes from NumPy's global generator, the initial weights do not."""
    staghorn.utils.set_random_seed(3)
    first = staghorn.layers.Dense(4)
    first.build((None, 3))
    staghorn.utils.set_random_seed(3)
    np.random.rand(5)
    second = staghorn.layers.Dense(4)
    second.build((None, 3))
    np.testing.assert_array_equal(first.kernel.numpy(), second.kernel.numpy())
