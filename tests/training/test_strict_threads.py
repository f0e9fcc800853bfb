"""Another thread saves a model and predicts with it while `fit` runs."""

import threading

import numpy as np

import staghorn
from staghorn import layers


def test_saving_and_predicting_while_fit_runs(tmp_path):
    x = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
    model = staghorn.Sequential([staghorn.Input((8,)), layers.Dense(64), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, x[:, :1], verbose=0)
    model.predict(x, verbose=0)
    problems, rounds, done = [], [], threading.Event()

    def use():
        while not done.is_set() or len(rounds) < 3:
            try:
                model.save_weights(tmp_path / "m.weights.h5")
                rounds.append(model.predict(x[:4], verbose=0))
            except Exception as error:  # any of them is what this test looks for
                problems.append(error)
                return

    thread = threading.Thread(target=use)
    thread.start()
    try:
        model.fit(x, x[:, :1], epochs=300, steps_per_epoch=8, verbose=0)
    finally:
        done.set()
        thread.join()
    assert problems == []
    assert all(np.isfinite(out).all() for out in rounds)
    model.load_weights(tmp_path / "m.weights.h5")
