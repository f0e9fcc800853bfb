"""Bad input: a clear error before anything trains."""

import numpy as np
import pytest

import staghorn

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = X[:, :1].copy()
SPARSE = "sparse_categorical_crossentropy"


def sequential(outputs=1, **compile_with):
    model = staghorn.Sequential(
        [staghorn.Input((3,)), staghorn.layers.Dense(outputs, activation="softmax")]
    )
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compile_with})
    return model


def two_heads():
    left, right = staghorn.Input((3,), name="left"), staghorn.Input((2,), name="right")
    hidden = staghorn.layers.Concatenate()([left, right])
    heads = [staghorn.layers.Dense(1, name=name)(hidden) for name in "ab"]
    model = staghorn.Model([left, right], heads)
    model.compile("sgd", {"a": "mse", "b": "mae"})
    return model


def subclassed(outputs=3, **compile_with):
    class Net(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.out = staghorn.layers.Dense(outputs, activation="softmax")

        def call(self, inputs):
            return self.out(inputs)

    model = Net()
    model.compile(**{"optimizer": "sgd", "loss": SPARSE, **compile_with})
    return model


class Batches:
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return X, Y


class SparseMatrix:
    def toarray(self):
        return X


LABELS = np.arange(10) % 3
CASES = {
    "features": (sequential, (X[:, :2], Y), {}, r"expected shape \(None, 3\), got \(10, 2\)"),
    "model name": (sequential, (X[:, :2], Y), {}, r"^Sequential 'sequential\w*', input 0 \('"),
    "axis": (sequential, (X[:, 0], Y), {}, "axis is missing"),
    "lengths": (sequential, (X, Y[:9]), {}, r"different numbers of rows: 10 .* 9 "),
    "weights": (sequential, (X, Y), {"sample_weight": np.ones(9)}, "different numbers of rows"),
    "empty": (sequential, (X[:0], Y[:0]), {}, "0 rows"),
    "empty list": (sequential, ([], []), {}, "x is empty"),
    "no data": (sequential, (None, Y), {}, "data is None"),
    "no targets": (sequential, (X,), {}, r"model\.fit\(x, y\)"),
    "generator of rows": (
        sequential, ((row for row in X),), {}, r"expected shape \(None, 3\), got \(3,\)"),
    "generator without targets": (sequential, ((X for _ in X),), {}, r"model\.fit\(batches\)"),
    "generator and targets": (sequential, ((X for _ in X), Y), {}, "leave y out"),
    "generator in a list": (sequential, ([X, (row for row in X)], Y), {}, "which gives batches"),
    "zip": (sequential, (zip(X, Y, strict=True),), {}, "different|expected shape|single number"),
    "function": (sequential, (lambda: iter([(X, Y)]),), {}, "[Cc]all"),
    "dataset": (sequential, (Batches(), Y), {}, "leave y out"),
    "sparse": (sequential, (SparseMatrix(), Y), {}, r"sparse SparseMatrix.*x\.toarray\(\)"),
    "text labels": (
        sequential, (X, ["cat"] * 10), {}, r"'cat', not numbers.*np\.unique\(y, return_inverse"),
    "number objects": (
        sequential, (X.astype(object), Y), {}, r"np\.asarray\(values, dtype='float32'\)"),
    "text": (sequential, (np.array([["a", "b", "c"]] * 10), Y), {}, "'a', not numbers"),
    "objects": (sequential, (
        np.array([[None] * 3] * 10), Y), {}, "NoneType values"),
    "ragged": (sequential, ([[1.0, 2.0], [1.0]], [1.0, 2.0]), {}, r"different lengths.*np\.zeros"),
    "a number": (sequential, (3.0, Y), {}, "a row per sample"),
    "too many arrays": (sequential, ([X, X], Y), {}, "takes one input, got 2"),
    "large integers": (sequential, (np.full((10, 3), 2**40), Y), {}, "outside 32 bits"),
    "missing input": (two_heads, ([X], [Y, Y]), {}, r"2 input\(s\) \['left', 'right'\], but 1"),
    "input name": (
        two_heads, ({"left": X, "rigth": X[:, :2]}, [Y, Y]), {}, "Did you mean 'rigth'"),
    "which input": (two_heads, ([X, X], [Y, Y]), {}, r"input 1 \('right'\): expected shape"),
    "target count": (two_heads, ([X, X[:, :2]], [Y]), {}, r"2 outputs \(a, b\), but 1 target"),
    "target name": (
        two_heads, ([X, X[:, :2]], {"a": Y, "c": Y}), {}, "key 'c'.* no output|no output"),
    "target missing": (two_heads, ([X, X[:, :2]], {"a": Y}), {}, r"No target for output \['b'\]"),
    "weight count": (
        two_heads, ([X, X[:, :2]], [Y, Y]), {"sample_weight": [np.ones(10)] * 3}, "3 arrays for"),
    "class weights": (
        two_heads, ([X, X[:, :2]], [Y, Y]), {"class_weight": {0: 1.0}},
        r"the model has 2 outputs.*class_weight=\{'a': \{0"),
    "both weights": (
        sequential, (X, Y), {"class_weight": {0: 1.0}, "sample_weight": np.ones(10)},
        "cannot be used together"),
    "labels": (
        lambda: sequential(2, loss=SPARSE), (X, LABELS), {}, "labels go from 0 to 2.* 2 classes"),
    "labels from one": (
        lambda: sequential(3, loss=SPARSE), (X, LABELS + 1), {}, "use y - 1"),
    "negative labels": (
        lambda: sequential(3, loss=SPARSE), (X, LABELS - 1), {}, "labels go from -1"),
    "labels of a subclass": (subclassed, (X, LABELS + 5), {}, "labels go from 5 to 7"),
    "no targets of a subclass": (subclassed, (X,), {}, "no targets were given"),
    "validation shape": (
        sequential, (X, Y), {"validation_data": (X[:, :2], Y)}, "validation_data.*expected shape"),
    "validation labels": (
        lambda: sequential(3, loss=SPARSE), (X, LABELS), {"validation_data": (X, LABELS + 4)},
        "validation_data"),
    "validation targets": (
        sequential, (X, Y), {"validation_data": (X,)},
        r"model\.fit\(\.\.\., validation_data=\(x_val, y_val\)\)"),
    "class weight list": (
        sequential, (X, Y), {"class_weight": [1.0, 2.0]},
        r"must be a dict.*\[1\.0, 2\.0\].*\{0: 1\.0, 1: 2\.0\}"),
    "class weight name": (
        sequential, (X, Y), {"class_weight": "balanced"}, r"must be a dict.*bincount"),
    "verbose": (
        sequential, (X, Y), {"verbose": "no"}, "verbose must be 'auto', 0, 1 or 2, got 'no'"),
    "integer labels": (
        lambda: sequential(3, loss="categorical_crossentropy"), (X, LABELS), {},
        "use sparse_categorical_crossentropy"),
    "binary widths": (
        lambda: sequential(1, loss=staghorn.losses.BinaryCrossentropy()), (X, X), {},
        r"output 'dense\w*': binary_crossentropy.*Dense\(3\)"),
    "regression widths": (lambda: sequential(2), (X, X), {}, r"output 'dense\w*'.*Dense\(3\)"),
    "validation form": (sequential, (X, Y), {"validation_data": X}, "validation_data must be"),
    "validation split": (sequential, (X, Y), {"validation_split": 1.5}, "between 0 and 1"),
    "tiny split": (sequential, (X[:1], Y[:1]), {"validation_split": 0.5}, "leaves 0 rows"),
    "batch size": (sequential, (X, Y), {"batch_size": 0}, "batch_size must be a positive int"),
    "batch size type": (sequential, (X, Y), {"batch_size": 2.5}, "batch_size must be"),
    "epochs": (sequential, (X, Y), {"epochs": -1}, "epochs must be a positive int"),
    "frequency": (sequential, (X, Y), {"validation_freq": 0}, "validation_freq must be"),
    "shuffle": (sequential, (X, Y), {"shuffle": "yes"}, "shuffle must be True"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_errors_come_before_training(case):
    make, data, arguments, message = CASES[case]
    model = make()
    started = []
    watch = staghorn.callbacks.LambdaCallback(on_train_begin=lambda logs: started.append(1))
    with pytest.raises(ValueError, match=f"(?s){message}"):
        model.fit(*data, **{"verbose": 0, "callbacks": [watch], **arguments})
    assert started == []


def test_columns_that_hold_no_numbers_are_named():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"AT": [1.0, 2.0], "city": ["Rome", "Oslo"], "RH": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"column 'city' holds .*'Rome'.*get_dummies"):
        sequential().fit(frame, Y[:2])
    with pytest.raises(ValueError, match="y: column 'city'"):
        sequential().fit(X[:2], frame["city"])


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_a_model_that_was_not_compiled(method):
    model = staghorn.Sequential([staghorn.Input((3,)), staghorn.layers.Dense(1)], name="net")
    with pytest.raises(ValueError, match=rf"'net' was not compiled. Before {method}\(\), write"):
        getattr(model, method)(X, Y)
    assert model.predict(X, verbose=0).shape == (10, 1)


@pytest.mark.parametrize("method", ["evaluate", "train_on_batch", "test_on_batch"])
def test_other_methods_check_too(method):
    with pytest.raises(ValueError, match="expected shape"):
        getattr(sequential(), method)(X[:, :2], Y)
    with pytest.raises(ValueError, match="labels go from"):
        getattr(subclassed(), method)(X, LABELS + 5)


def test_predict_checks_its_input():
    model = sequential()
    with pytest.raises(ValueError, match=r"expected shape \(None, 3\), got \(10, 2\)"):
        model.predict(X[:, :2], verbose=0)
    with pytest.raises(ValueError, match="0 rows"):
        model.predict(X[:0], verbose=0)
    with pytest.raises(ValueError, match="batch_size must be"):
        model.predict(X, batch_size=-1)
    with pytest.raises(ValueError, match="unknown argument"):
        model.evaluate(X, Y, foo=1)
    with pytest.raises(ValueError, match="'abc', not numbers"):
        model.predict("abc", verbose=0)


def test_evaluate_without_targets():
    with pytest.raises(ValueError, match=r"model\.evaluate\(x, y\)"):
        sequential().evaluate(X, verbose=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.compile(metric=["mae"]), "compile: .*'metric'. Did you mean 'metrics'"),
        (lambda m: m.fit(X, Y, epoch=3), "fit: .*'epoch'. Did you mean 'epochs'"),
        (lambda m: m.fit(X, Y, callback=[]), "fit: .*'callback'. Did you mean 'callbacks'"),
        (lambda m: m.predict(X, batchsize=2), "predict: .*'batchsize'. Did you mean 'batch_size'"),
    ],
)
def test_unknown_arguments(call, message):
    with pytest.raises(TypeError, match=message):
        call(sequential())


def test_one_prediction_for_several_targets_warns():
    model = staghorn.Sequential([staghorn.Input((3,)), staghorn.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match=r"output 'dense\w*'.*width 1.*Dense\(3\)") as caught:
        model.fit(X, X, verbose=0)
    assert caught[0].filename == __file__


def test_a_model_whose_call_returns_nothing():
    class Forgetful(staghorn.Model):
        def call(self, inputs):
            staghorn.ops.exp(inputs)

    model = Forgetful()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"Forgetful 'forgetful\w*': call returned None.*return"):
        model.fit(X, Y, verbose=0)
