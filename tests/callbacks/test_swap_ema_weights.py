"""SwapEMAWeights: which weights the model has when, against the oracle."""

import numpy as np
import pytest

import staghorn
from staghorn.callbacks import SwapEMAWeights
from tests.oracle import keras

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3)).astype("float32")
Y = RNG.normal(size=(20, 1)).astype("float32")
KERNEL = RNG.normal(size=(3, 1)).astype("float32")


def make_model(library, wrapped=False, **options):
    model = library.Sequential([library.Input((3,)), library.layers.Dense(1, name="only")])
    model.set_weights([KERNEL, np.zeros(1, "float32")])
    options = {"use_ema": True, "ema_momentum": 0.8, **options}
    optimizer = library.optimizers.SGD(0.1, **options)
    model.compile(library.optimizers.LossScaleOptimizer(optimizer) if wrapped else optimizer, "mse")
    return model


def watcher(library):
    """Records the kernel at hooks."""

    class Watch(library.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def note(self, hook):
            self.seen.append((hook, self.model.get_weights()[0].copy()))

        def on_epoch_begin(self, epoch, logs=None):
            self.note("epoch begin")

        def on_epoch_end(self, epoch, logs=None):
            self.note("epoch end")

        def on_test_begin(self, logs=None):
            self.note("test begin")

        def on_test_end(self, logs=None):
            self.note("test end")

        def on_predict_begin(self, logs=None):
            self.note("predict begin")

    return Watch()


def run(library, swap_on_epoch=False, wrapped=False, epochs=3, **options):
    """Return what was seen in fit, evaluate and predict, and what came out."""
    model = make_model(library, wrapped, **options)
    watch = watcher(library)
    calls = [library.callbacks.SwapEMAWeights(swap_on_epoch=swap_on_epoch), watch]
    common = {"verbose": 0, "callbacks": calls}
    history = model.fit(
        X, Y, batch_size=5, epochs=epochs, shuffle=False, validation_data=(X, Y), **common
    )
    out = [np.asarray(history.history["val_loss"]), model.get_weights()[0]]
    # A new one: after a fit with swap_on_epoch, Keras's own raises in evaluate (deleted array).
    common["callbacks"] = [library.callbacks.SwapEMAWeights(), watch]
    out += [model.evaluate(X, Y, **common), model.predict(X, **common)]
    return watch.seen, [*out, *model.get_weights()]


@pytest.mark.parametrize("swap_on_epoch", [False, True])
@pytest.mark.parametrize("options", [{}, {"ema_overwrite_frequency": 3}, {"wrapped": True}])
def test_equal_to_the_oracle(swap_on_epoch, options):
    ours, theirs = (run(library, swap_on_epoch, **options) for library in (staghorn, keras))
    assert [hook for hook, _ in ours[0]] == [hook for hook, _ in theirs[0]]
    for (hook, one), (_, two) in zip(ours[0], theirs[0], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6, err_msg=hook)
    for one, two in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_averages_are_seen_and_training_is_not_changed(swap_on_epoch):
    plain, swapped = make_model(staghorn), make_model(staghorn)
    watch, swap = watcher(staghorn), SwapEMAWeights(swap_on_epoch)
    options = {"batch_size": 5, "epochs": 3, "verbose": 0, "shuffle": False}
    plain.fit(X, Y, **options)
    losses = swapped.fit(X, Y, validation_data=(X, Y), callbacks=[swap, watch], **options)
    for one, two in zip(plain.get_weights(), swapped.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    # Weights and averages of the same run, computed here.
    weight, bias, average = KERNEL.astype("float64"), 0.0, None
    expected = []
    for _ in range(3):
        for start in range(0, 20, 5):
            x, y = X[start : start + 5], Y[start : start + 5]
            error = x @ weight + bias - y
            weight = weight - 0.1 * 2 * x.T @ error / 5
            bias = bias - 0.1 * 2 * error.mean()
            average = weight if average is None else 0.8 * average + 0.2 * weight
        expected.append((weight, average))
    seen = [value for hook, value in watch.seen if hook == "test begin"]
    for value, (_, average) in zip(seen, expected, strict=True):
        np.testing.assert_allclose(value, average, rtol=1e-4)
    ends = [value for hook, value in watch.seen if hook == "epoch end"]
    for value, pair in zip(ends, expected, strict=True):
        np.testing.assert_allclose(value, pair[int(swap_on_epoch)], rtol=1e-4)
    begins = [value for hook, value in watch.seen if hook == "epoch begin"]
    for value, (weight, _) in zip(begins[1:], expected, strict=False):
        np.testing.assert_allclose(value, weight, rtol=1e-4)
    assert len(losses.history["val_loss"]) == 3


class Stop(staghorn.callbacks.Callback):
    """Ends training early, kindly or not."""

    def __init__(self, error=None):
        super().__init__()
        self.error = error

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1 and self.error is not None:
            raise self.error
        self.model.stop_training = epoch == 1


@pytest.mark.parametrize("error", [None, RuntimeError("power cut")])
def test_training_that_ends_early_ends_with_the_averages(error):
    plain, swapped = make_model(staghorn), make_model(staghorn)
    swap = SwapEMAWeights(swap_on_epoch=True)
    options = {"batch_size": 5, "verbose": 0, "shuffle": False}
    plain.fit(X, Y, epochs=2, **options)
    for model, calls in ((swapped, [swap, Stop(error)]),):
        if error is None:
            model.fit(X, Y, epochs=5, callbacks=calls, **options)
        else:
            with pytest.raises(RuntimeError, match="power cut"):
                model.fit(X, Y, epochs=5, callbacks=calls, **options)
    for more in (False, True):
        if more:  # the callback does not bring back weights of the run that failed
            plain.fit(X, Y, epochs=1, **options)
            swapped.fit(X, Y, epochs=1, callbacks=[swap], **options)
        for one, two in zip(plain.get_weights(), swapped.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_checkpoint_holds_the_averages(tmp_path):
    model = make_model(staghorn)
    save = staghorn.callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5",
                                              save_weights_only=True)  # fmt: skip
    watch = watcher(staghorn)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[SwapEMAWeights(True), watch, save])
    other = make_model(staghorn)
    ends = [value for hook, value in watch.seen if hook == "epoch end"]
    for epoch, value in enumerate(ends, 1):
        other.load_weights(tmp_path / f"{epoch}.weights.h5")
        np.testing.assert_array_equal(other.get_weights()[0], value)


def test_nothing_is_swapped_before_the_first_step():
    model = make_model(staghorn)
    for build in (False, True):
        if build:
            model.optimizer.build(model.trainable_variables)  # averages are zeros
        loss = model.evaluate(X, Y, verbose=0, callbacks=[SwapEMAWeights()])
        assert loss == pytest.approx(float(np.mean((X @ KERNEL - Y) ** 2)), rel=1e-5)
        np.testing.assert_array_equal(model.get_weights()[0], KERNEL)


@pytest.mark.parametrize("use", ["fit", "evaluate", "predict"])
def test_without_averages(use):
    model = make_model(staghorn, use_ema=False)
    args = (X,) if use == "predict" else (X, Y)
    with pytest.raises(ValueError, match=r"SGD\) keeps no moving averages(.|\n)*use_ema=True"):
        getattr(model, use)(*args, verbose=0, callbacks=[SwapEMAWeights()])
    bare = staghorn.Sequential([staghorn.Input((3,)), staghorn.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"\(none\) keeps no moving averages"):
        bare.predict(X, verbose=0, callbacks=[SwapEMAWeights()])
