"""The hardest ordinary cases, for every public layer, loss, metric, optimizer and callback.

One parametrised test. What is not in this table does not exist.
"""

import warnings

import jax
import numpy as np
import pytest

import staghorn
from staghorn import callbacks, layers, losses, metrics, optimizers
from staghorn.engine import naming
from tests.common.subjects import FEATURES, ROWS, WITHOUT_A_ROW, Row, head, targets

ROW_COUNT, BATCH = 10, 4  # a partial last batch everywhere
X = np.random.default_rng(1).normal(size=(ROW_COUNT, FEATURES)).astype("float32")


def loss_of(row: Row):
    if row.kind == "loss":
        return row.make()
    wanted = {"binary": "binary_crossentropy", "onehot": "categorical_crossentropy"}
    return {**wanted, "sparse": "sparse_categorical_crossentropy"}.get(row.target, "mse")


def compile_model(model, row: Row, outputs: int = 1, **kwargs):
    """Compile with the subject in its place, on every output."""
    naming.reset()  # or the metrics of two models would have different names in the history
    loss = [loss_of(row) for _ in range(outputs)]
    metric = [[row.make()] if row.kind == "metric" else [] for _ in range(outputs)]
    optimizer = row.make() if row.kind == "optimizer" else optimizers.SGD(0.05)
    arguments = {"optimizer": optimizer, "loss": loss[0] if outputs == 1 else loss}
    if row.kind == "metric":
        arguments["metrics"] = metric[0] if outputs == 1 else metric
    model.compile(**arguments, **kwargs)
    return model


def extra_callbacks(row: Row) -> list:
    return [row.make()] if row.kind == "callback" else []


def body(row: Row, x, layer=None):
    return row.apply(x, layer) if row.kind == "layer" else x


def one_output(row: Row):
    x = staghorn.Input((FEATURES,))
    hidden = layers.Dense(FEATURES, activation="tanh")(x)
    return staghorn.Model(x, head(row.target, body(row, hidden)))


def fit(model, row: Row, x=X, y=None, epochs=2, **kwargs):
    y = targets(row.target, ROW_COUNT) if y is None else y
    kwargs.setdefault("callbacks", extra_callbacks(row))
    return model.fit(
        x, y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, **kwargs
    ).history


def assert_finite(model, history):
    assert all(np.isfinite(v) for values in history.values() for v in np.ravel(values))
    assert all(np.isfinite(w).all() for w in model.get_weights())


def assert_equal_weights(a, b, rtol=2e-5, atol=2e-6):
    for left, right in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=rtol, atol=atol)


def twin(model):
    """Return a copy with the same weights."""
    copy = staghorn.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def two_inputs_two_outputs(row: Row, tmp_path):
    a, b = staghorn.Input((FEATURES,), name="a"), staghorn.Input((FEATURES,), name="b")
    left, right = body(row, a), body(row, b)
    outputs = [head(row.target, left, "left"), head(row.target, right, "right")]
    model = compile_model(staghorn.Model([a, b], outputs), row, outputs=2)
    y = {"left": targets(row.target, ROW_COUNT), "right": targets(row.target, ROW_COUNT, 1)}
    history = fit(model, row, {"b": X, "a": X + 1}, y)
    assert_finite(model, history)
    assert {"loss", "left_loss", "right_loss"} <= set(history)
    result = model.evaluate([X + 1, X], [y["left"], y["right"]], batch_size=BATCH, verbose=0)
    assert len(result) == len(model.metrics_names)
    added = _added(model, [X + 1, X])
    np.testing.assert_allclose(result[0], result[1] + result[2] + added, rtol=1e-4)
    assert [p.shape[0] for p in model.predict([X, X], verbose=0)] == [ROW_COUNT, ROW_COUNT]


def _added(model, inputs) -> float:
    """What regularizers add to the loss of `evaluate`: each batch counts by its rows."""
    total = 0.0
    for start in range(0, ROW_COUNT, BATCH):
        rows = [x[start : start + BATCH] for x in inputs]
        model(rows, training=False)
        total += sum(float(loss) for loss in model.losses) * len(rows[0])
    return total / ROW_COUNT


def shared_layer(row: Row, tmp_path):
    a, b = staghorn.Input((FEATURES,)), staghorn.Input((FEATURES,))
    layer = row.make() if row.kind == "layer" else layers.Dense(5)
    first, second = (row.apply(t, layer) if row.kind == "layer" else layer(t) for t in (a, b))
    joined = layers.Concatenate()([first, second])
    model = compile_model(staghorn.Model([a, b], head(row.target, joined)), row)
    assert sum(known is layer for known in model.layers) == 1
    each = [v.size for known in model.layers for v in known.weights]
    assert model.count_params() == sum(each)
    history = fit(model, row, [X, X[::-1].copy()])
    assert_finite(model, history)


def partial_last_batch(row: Row, tmp_path):
    """Compiled groups of steps equal single eager steps, with 10 rows in batches of 4."""
    compiled = one_output(row)
    eager = twin(compiled)
    compile_model(compiled, row)
    compile_model(eager, row, run_eagerly=True)
    if row.random:
        assert len(fit(compiled, row)["loss"]) == len(fit(eager, row)["loss"]) == 2
        return
    fast, slow = fit(compiled, row), fit(eager, row)
    for name, values in slow.items():
        np.testing.assert_allclose(fast[name], values, rtol=2e-4, atol=1e-5, err_msg=name)
    assert_equal_weights(compiled, eager, rtol=2e-4, atol=2e-5)


def mask(row: Row, tmp_path):
    """What stands at masked steps changes neither loss nor training."""
    steps = staghorn.Input((3, 4))
    masked = layers.Masking(mask_value=0.0)(steps)
    hidden = row.make()(masked) if row.kind == "layer" else layers.Dense(4)(masked)
    model = staghorn.Model(steps, layers.Dense(2)(hidden))
    model.compile(row.make() if row.kind == "optimizer" else "sgd", "mse")
    x = np.random.default_rng(0).normal(size=(ROW_COUNT, 3, 4)).astype("float32")
    x[:, 2] = 0.0
    y = np.random.default_rng(1).normal(size=(ROW_COUNT, 3, 2)).astype("float32")
    other = y.copy()
    other[:, 2] = 100.0
    first = model.evaluate(x, y, batch_size=BATCH, verbose=0)
    second = model.evaluate(x, other, batch_size=BATCH, verbose=0)
    np.testing.assert_allclose(first, second, rtol=1e-6)
    assert first < 50
    history = model.fit(x, other, batch_size=BATCH, verbose=0).history
    assert_finite(model, history)
    assert history["loss"][0] < 200


class Silent(staghorn.Model):
    """A model whose `call` knows nothing of training, made of the subject."""

    def __init__(self, row: Row):
        super().__init__()
        self.row = row
        self.first = layers.Dense(FEATURES, activation="tanh")
        self.subject = row.make() if row.kind == "layer" else layers.Dropout(0.0)
        self.last = [layers.Dense(2)]

    def call(self, inputs):
        hidden = self.first(inputs)
        applied = self.row.apply(hidden, self.subject) if self.row.kind == "layer" else hidden
        return self.last[0](applied)


def subclassed_never_built(row: Row, tmp_path):
    model = Silent(row)
    assert not model.weights
    history = compile_and_fit_silent(model, row)
    assert_finite(model, history)
    assert len(model.weights) >= 4
    assert model.count_params() == sum(w.size for w in model.get_weights())


def compile_and_fit_silent(model, row: Row):
    optimizer = row.make() if row.kind == "optimizer" else "sgd"
    model.compile(optimizer, row.make() if row.kind == "loss" else "mse")
    return fit(model, row, y=targets("real", ROW_COUNT))


def training_not_passed(row: Row, tmp_path):
    """`fit` trains and `predict` does not, though nobody passes `training`."""
    model = Silent(row)
    compile_and_fit_silent(model, row)
    before = model.get_weights()
    first, second = model.predict(X, verbose=0), model.predict(X, verbose=0)
    np.testing.assert_array_equal(first, second)
    # Keras's image layers change images unless they are told that nobody is training.
    plain = {"training": False} if row.augments else {}
    np.testing.assert_allclose(first, np.asarray(model(X, **plain)), rtol=1e-5, atol=1e-6)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    if row.random:
        assert not np.allclose(model(X, training=True), first)


class Level(callbacks.Callback):
    """Sets every weight to a small number at the end of an epoch; of zeros some losses are NaN."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.set_weights([np.full_like(w, 0.01) for w in self.model.get_weights()])


class AssignEachBatch(callbacks.Callback):
    """Assigns a weight before every step, and counts."""

    seen = 0

    def on_train_batch_begin(self, batch, logs=None):
        self.model.weights[0].assign(np.full_like(self.model.get_weights()[0], 0.01))
        self.seen += 1


def callback_changes_weights(row: Row, tmp_path):
    model = compile_model(one_output(row), row)
    fit(model, row, callbacks=[*extra_callbacks(row), Level()])
    assign_too = (callbacks.EarlyStopping, callbacks.StochasticWeightAveraging)
    if not any(isinstance(c, assign_too) for c in extra_callbacks(row)):
        assert all((w == np.full_like(w, 0.01)).all() for w in model.get_weights())
    counter = AssignEachBatch()
    fit(model, row, callbacks=[*extra_callbacks(row), counter])
    assert counter.seen == 2 * 3


def second_fit(row: Row, tmp_path):
    """Two fits compile once and end where one longer fit ends."""
    model = compile_model(one_output(row), row)
    whole = compile_model(twin(model), row)
    first = fit(model, row, epochs=1)
    # A loop that TerminateOnNaN guards is a program of its own.
    (key,) = (k for k in model._executor if k in ("train", ("train", "guarded")))
    program = model._executor[key][2].program
    traces = program.traces
    second = fit(model, row, epochs=1)
    assert model._executor[key][2].program is program
    assert program.traces == traces
    if row.random or row.kind == "callback":
        return
    history = fit(whole, row, epochs=2)
    np.testing.assert_allclose(history["loss"], first["loss"] + second["loss"], rtol=1e-5)
    assert_equal_weights(model, whole)


def save_load_continue(row: Row, tmp_path):
    """A model from a file predicts the same and trains on in the same way."""
    model = compile_model(one_output(row), row)
    fit(model, row, epochs=1)
    path = tmp_path / "model.keras"
    model.save(path)
    again = staghorn.models.load_model(path, custom_objects=row.supplied)
    np.testing.assert_allclose(
        again.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-6, atol=1e-6
    )
    if row.random:
        return
    one, two = fit(model, row, epochs=1), fit(again, row, epochs=1)
    np.testing.assert_allclose(one["loss"], two["loss"], rtol=1e-5)
    assert_equal_weights(model, again)


class _PowerCut(staghorn.callbacks.Callback):
    """Stops a training as a machine that is switched off."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def interrupted_and_resumed(row: Row, tmp_path):
    """A training in two parts, the second in a model of its own, equals one in one part."""

    def run(seed, *calls):
        staghorn.utils.set_random_seed(seed)
        model = compile_model(one_output(row), row)
        return model, fit(model, row, epochs=3, callbacks=[*extra_callbacks(row), *calls])

    whole, history = run(5)
    backup = staghorn.callbacks.BackupAndRestore(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run(5, _PowerCut(), backup)
    again, continued = run(99, backup)
    assert_equal_weights(whole, again, rtol=0, atol=0)
    assert set(history) == set(continued)
    for name, values in history.items():
        np.testing.assert_array_equal(values, continued[name])


def mixed_precision(row: Row, tmp_path):
    """Weights stay float32, computation is bfloat16, the loss float32 and finite."""
    staghorn.dtype_policies.set_dtype_policy("mixed_bfloat16")
    try:
        model = one_output(row)
    finally:
        staghorn.dtype_policies.reset_dtype_policy()
    compile_model(model, row)
    assert {v.dtype for v in model.trainable_weights} == {"float32"}
    assert str(model(X).dtype) == "bfloat16"
    history = fit(model, row)
    assert_finite(model, history)
    assert {v.dtype for v in model.trainable_weights} == {"float32"}


def double_precision(row: Row, tmp_path):
    """With floatx float64 every weight, the prediction and what is saved have 64 bits."""
    staghorn.config.set_floatx("float64")
    try:
        model = compile_model(one_output(row), row)
        history = fit(model, row)
        assert_finite(model, history)
        assert {v.dtype for v in model.trainable_weights} == {"float64"}
        predicted = model.predict(X, verbose=0)
        assert predicted.dtype == "float64"
        model.save_weights(tmp_path / "model.weights.h5")
        again = twin(model)
        again.load_weights(tmp_path / "model.weights.h5")
        np.testing.assert_allclose(again.predict(X, verbose=0), predicted, rtol=1e-12, atol=1e-12)
    finally:
        staghorn.config.set_floatx("float32")
        jax.config.update("jax_enable_x64", False)


def batches_from_a_generator(row: Row, tmp_path):
    """Batches that come one by one train as the arrays they were cut from."""
    y = targets(row.target, ROW_COUNT)

    def batches():
        while True:
            for start in range(0, ROW_COUNT, BATCH):
                yield X[start : start + BATCH], y[start : start + BATCH]

    arrays = compile_model(one_output(row), row)
    stream = compile_model(twin(arrays), row)
    history = stream.fit(
        batches(), epochs=2, steps_per_epoch=3, verbose=0, callbacks=extra_callbacks(row)
    ).history
    assert_finite(stream, history)
    if row.random:
        return
    wanted = fit(arrays, row)
    for name, values in wanted.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
    assert_equal_weights(arrays, stream)


CASES = {
    case.__name__: case
    for case in (
        two_inputs_two_outputs,
        shared_layer,
        partial_last_batch,
        mask,
        training_not_passed,
        subclassed_never_built,
        callback_changes_weights,
        second_fit,
        save_load_continue,
        interrupted_and_resumed,
        mixed_precision,
        double_precision,
        batches_from_a_generator,
    )
}

# Rows that run every case in each run of the tests; the others run one there and the rest in
# `make test-full`, since every cell compiles a model.
EVERYDAY = {
    "layer:Dense", "layer:BatchNormalization", "layer:Dropout", "layer:Embedding",
    "layer:Concatenate", "loss:MeanSquaredError", "loss:SparseCategoricalCrossentropy",
    "metric:AUC", "metric:SparseCategoricalAccuracy", "optimizer:Adam", "optimizer:SGD",
    "callback:EarlyStopping",
}  # fmt: skip

ALWAYS = ("save_load_continue", "two_inputs_two_outputs")  # the second for callbacks


def meets(row: Row, case: str) -> bool:
    """Say whether a case means something for a kind of subject."""
    if case == "mask":
        return row.steps if row.kind == "layer" else row.kind == "optimizer"
    if case in ("training_not_passed", "subclassed_never_built", "shared_layer"):
        return row.kind in ("layer", "optimizer")
    if case == "save_load_continue":
        return row.kind != "callback"
    return True


def cells():
    for subject, row in ROWS.items():
        for case in CASES:
            if meets(row, case):
                quick = subject in EVERYDAY or case == ALWAYS[row.kind == "callback"]
                marks = () if quick else (pytest.mark.slow,)
                yield pytest.param(subject, case, id=f"{subject}-{case}", marks=marks)


@pytest.mark.parametrize(("subject", "case"), list(cells()))
def test_hard_cases(subject, case, tmp_path):
    staghorn.utils.set_random_seed(3)
    CASES[case](ROWS[subject], tmp_path)


@pytest.mark.parametrize("package", [layers, losses, metrics, optimizers, callbacks])
def test_every_public_class_has_a_row(package):
    family = package.__name__.rsplit(".", maxsplit=1)[-1]
    prefix = family[:-1].rstrip("e")
    rows = {subject.split(":")[1] for subject in ROWS if subject.startswith(prefix)}
    classes = {
        name
        for name in package.__all__
        if isinstance(getattr(package, name), type) and name == getattr(package, name).__name__
    }
    assert classes - WITHOUT_A_ROW[family] - rows == set()


def test_unused_warning_filter_is_strict():
    """Warnings are errors in this run, or the table would hide lost masks."""
    with pytest.raises(UserWarning, match="probe"):
        warnings.warn("probe", UserWarning, stacklevel=1)
