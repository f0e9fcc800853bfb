"""`model.summary()` against keras's own text, and what it adds for subclassed models."""

import inspect
import io
import subprocess
import sys

import numpy as np
import pytest

import staghorn
from staghorn.visualization.calls import wiring
from staghorn.visualization.summary import summarize
from tests.oracle import keras


@pytest.fixture(autouse=True)
def wide_and_equal_names(monkeypatch):
    """keras cuts lines at the terminal's width, and counts its automatic names globally."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    keras.backend.clear_session(free_memory=False)  # collecting garbage costs half a second


def printed(model, **options):
    texts = []
    model.summary(print_fn=texts.append, **options)
    (text,) = texts
    return text


def cells(text):
    """The table's rows as lists of cells; what was wrapped inside a cell is joined."""
    rows = [[]]
    for line in text.splitlines():
        if line.startswith(("├", "└", "┡")):
            rows.append([])
        elif line.startswith("│"):
            parts = [part.strip() for part in line.strip("│").split("│")]
            rows[-1] = [" ".join(x).strip() for x in zip(rows[-1] or [""] * 9, parts, strict=False)]
    return [row for row in rows if row]


def residual(k):
    class Residual(k.Model):
        def __init__(self, name=None):
            super().__init__(name=name)
            self.first = k.layers.Dense(4)
            self.second = k.layers.Dense(2)

        def call(self, x):
            return self.second(x + self.first(x))

    return Residual


def chain(k):
    class Chain(k.Model):
        def __init__(self):
            super().__init__()
            self.first = k.layers.Dense(5, activation="relu")
            self.second = k.layers.Dense(2)

        def call(self, inputs):
            return self.second(self.first(inputs))

    return Chain()


def sequential(k):
    layers = [k.layers.Dense(8, activation="relu"), k.layers.BatchNormalization()]
    return k.Sequential([k.Input((4,)), *layers, k.layers.Dense(1)])


def compiled(k):
    model = sequential(k)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def deferred(k):
    model = k.Sequential([k.layers.Dense(8), k.layers.Dense(1)])
    model.build((None, 4))
    return model


def plain_functional(k):
    x = k.Input((4,))
    return k.Model(x, k.layers.Dense(2)(k.layers.Dropout(0.5)(x)))


def one_after_the_other(k):
    """Two outputs of which one leads to the other: still a chain."""
    x = k.Input((4,))
    hidden = k.layers.Dense(3)(x)
    return k.Model(x, [hidden, k.layers.Dense(2)(hidden)])


def two_outputs(k):
    x = k.Input((4,))
    hidden = k.layers.Dense(3)(x)
    return k.Model(x, [k.layers.Dense(2, name="a")(hidden), k.layers.Dense(1, name="b")(hidden)])


def shared_layer(k):
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    shared = k.layers.Dense(3)
    return k.Model([a, b], shared(a) - shared(b))


def twice_in_a_row(k):
    x = k.Input((4,))
    again = k.layers.Dense(4)
    return k.Model(x, again(again(x)))


def unused_input(k):
    a, b = k.Input((4,), name="a"), k.Input((3,), name="b")
    return k.Model([a, b], k.layers.Dense(2)(a))


def nested(k):
    stack = k.Sequential([k.Input((4,)), k.layers.Dense(5), k.layers.Dense(4)], name="stack")
    y = k.Input((4,))
    inner = k.Model(y, [k.layers.Dense(4)(y), k.layers.Dense(2)(y)], name="inner")
    x = k.Input((4,))
    p, q = inner(stack(x))
    joined = k.layers.Concatenate()([p, q])
    return k.Model(x, k.layers.Dense(1)(joined) * 2.0 + k.layers.Dense(1)(stack(x)))


def states(k):
    x, later = k.Input((5, 2)), k.Input((None, 2), name="later")
    _, h, c = k.layers.LSTM(3, return_state=True)(x)
    return k.Model([x, later], k.layers.LSTM(3, return_sequences=True)(later, [h, c]))


def dicts(k):
    x = {"a": k.Input((4,), name="a"), "b": k.Input((2,), name="b")}
    both = k.layers.Concatenate()([x["a"], x["b"]])
    return k.Model(x, {"s": k.layers.Dense(1, name="s")(both), "t": k.layers.Dense(1)(x["a"])})


def ops(k):
    x = k.Input((4,))
    y = k.ops.concatenate([x + 1, x * x])
    return k.Model(x, k.layers.Add()([y, y])[:, :1] @ k.ops.ones((1, 3)))


def frozen(k):
    model = sequential(k)
    model.layers[0].trainable = False
    return model


def big(k):
    return k.Sequential(
        [k.Input((1000,)), k.layers.Dense(2000), k.layers.Dense(3, dtype="float16")]
    )


def subclassed(k):
    model = chain(k)
    model(np.ones((3, 4), "float32"))
    return model


def subclassed_on_a_symbolic_input(k):
    model = chain(k)
    model(k.Input((4,)))
    return model


CASES = {
    case.__name__: case
    for case in (
        sequential, compiled, deferred, plain_functional, one_after_the_other, two_outputs,
        shared_layer, twice_in_a_row, unused_input, nested, states, dicts, ops, frozen, big,
        subclassed, subclassed_on_a_symbolic_input,
    )
}  # fmt: skip
OPTIONS = {
    "plain": {},
    "trainable": {"show_trainable": True},
    "expanded": {"expand_nested": True, "line_length": 120},
    "range": {"layer_range": ["dense", "dense_1"]},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_text_equals_keras(case, options):
    theirs_model = case(keras)
    if "layer_range" in options and not any(x.name == "dense_1" for x in theirs_model.layers):
        options = {"layer_range": [theirs_model.layers[0].name, ".*"]}
    assert printed(case(staghorn), **options) == printed(theirs_model, **options)


def test_arguments_are_those_of_keras_and_one_more():
    ours = inspect.signature(staghorn.Model.summary).parameters
    theirs = inspect.signature(keras.Model.summary).parameters
    assert list(ours) == [*theirs, "show_costs"]
    assert all(ours[name].default == theirs[name].default for name in theirs)


def test_a_sequential_does_not_keep_the_batch_size_of_its_first_data():
    texts = []
    for k in (staghorn, keras):
        model = k.Sequential([k.layers.Dense(8), k.layers.Dense(1)])
        model(np.ones((3, 4), "float32"))
        texts.append([row[1] for row in cells(printed(model))])
    assert texts == [["(None, 8)", "(None, 1)"], ["(3, 8)", "(3, 1)"]]


@pytest.mark.parametrize("swapped", [False, True])
def test_layer_range_works_in_either_order(swapped):
    bounds = ["dense_1", "batch"] if swapped else ["batch", "dense_1"]
    text = printed(sequential(staghorn), layer_range=bounds)
    assert [row[0] for row in cells(text)] == [
        "batch_normalization (BatchNormalization)",
        "dense_1 (Dense)",
    ]
    assert text == printed(sequential(keras), layer_range=bounds)


# Subclassed models ------------------------------------------------------------------------------


def test_branching_subclassed_model_shows_its_connections():
    ours, theirs = residual(staghorn)(), residual(keras)()
    ours(staghorn.Input((4,)))
    theirs(keras.Input((4,)))
    ours, theirs = printed(ours, line_length=100), printed(theirs, line_length=100)
    assert [row[:3] for row in cells(ours)] == cells(theirs)
    assert [row[3] for row in cells(ours)] == ["x", "x, dense[0][0]"]
    assert ours.splitlines()[-3:] == theirs.splitlines()[-3:]
    # A script written for keras gives the ends of three columns, and gets three.
    model = residual(staghorn)()
    model.build((None, 4))
    assert {len(row) for row in cells(printed(model, positions=[0.4, 0.8, 1.0]))} == {3}


def test_shapes_are_those_that_call_gives():
    """keras writes "?" for a layer of which it knows no input shape."""

    class Net(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.embed = staghorn.layers.Embedding(10, 6)
            self.blocks = [staghorn.layers.Dense(3), staghorn.layers.Dropout(0.5)]
            self.flat = staghorn.layers.Flatten()
            self.unused = staghorn.layers.Dense(7)

        def call(self, tokens, training=None):
            x = self.embed(staghorn.ops.take(staghorn.ops.arange(10), tokens))
            for block in self.blocks:
                x = block(x)
            return {"flat": self.flat(x), "x": x}

    model = Net()
    model(np.ones((2, 5), "int32"))
    rows = {row.name: row for row in summarize(model).rows}
    shapes = {name: row.output_shape for name, row in rows.items()}
    assert shapes == {
        "embedding": "(2, 5, 6)",
        "dense": "(2, 5, 3)",
        "dropout": "(2, 5, 3)",
        "flatten": "(2, 15)",
        "dense_1": "?",
    }
    (note,) = summarize(model).notes
    assert note == " \"?\": Net.call does not use 'dense_1'."
    assert rows["embedding"].connected_to == ("tokens",)
    assert rows["dropout"].connected_to == ("dense[0][0]",)
    assert rows["dense"].params == 21
    assert rows["dense_1"].params is None


def test_layer_called_twice_and_mixed_precision():
    class Pair(staghorn.Model):
        def __init__(self):
            super().__init__(dtype="mixed_bfloat16")
            self.encoder = staghorn.layers.Dense(3, dtype="mixed_bfloat16")
            self.head = staghorn.layers.Dense(1)

        def call(self, inputs):
            left, right = inputs
            return self.head(self.encoder(left) - self.encoder(right))

    model = Pair()
    model([np.ones((2, 4), "float32")] * 2)
    summary = summarize(model)
    assert summary.connected
    encoder, head = summary.rows
    assert encoder.connected_to == ("inputs[0]", "inputs[1]")
    assert head.connected_to == ("dense[0][0]", "dense[1][0]")


def test_running_sum_shows_the_nearest_sources():
    class Stream(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.blocks = [staghorn.layers.Dense(4) for _ in range(6)]

        def call(self, x):
            for block in self.blocks:
                x = block(x) + x
            return x

    model = Stream()
    model(np.ones((2, 4), "float32"))
    rows = summarize(model).rows
    assert rows[3].connected_to == ("dense_2[0][0]", "dense_1[0][0]", "dense[0][0]", "x")
    nearest = ("dense_4[0][0]", "dense_3[0][0]", "dense_2[0][0]")
    assert rows[5].connected_to == (*nearest, "3 earlier")


def test_nested_subclassed_models_expand():
    class Outer(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.inner = residual(staghorn)(name="inner")
            self.stack = staghorn.Sequential([staghorn.layers.Dense(6)], name="stack")

        def call(self, x):
            return self.stack(self.inner(x))

    model = Outer()
    model(np.ones((3, 4), "float32"))
    rows = summarize(model, expand_nested=True).rows
    assert [(row.name, row.output_shape, row.depth) for row in rows] == [
        ("inner", "(3, 2)", 0),
        ("dense", "(3, 4)", 1),
        ("dense_1", "(3, 2)", 1),
        ("stack", "(3, 6)", 0),
        ("dense_2", "(None, 6)", 1),  # a stack does not keep the batch size of its first data
    ]
    x = staghorn.Input((4,))
    functional = staghorn.Model(x, residual(staghorn)(name="deep")(x))
    rows = summarize(functional, expand_nested=True).rows
    assert [row.output_shape for row in rows] == ["(None, 4)", "(None, 2)"] * 2


class Two(staghorn.Model):
    """`call` with two arguments and one that is no array."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = staghorn.layers.Dense(3, name="inner")
        self.outer = staghorn.layers.Dense(2, name="outer")

    def call(self, a, b, scale=2.0):
        return self.outer(self.inner(a) * scale + b)


def test_several_arguments():
    x, y = staghorn.Input((4,), name="x"), staghorn.Input((3,), name="y")
    two = Two(name="two")
    model = staghorn.Model([x, y], two(x, b=y))
    inside = [row for row in summarize(model, expand_nested=True).rows if row.depth]
    assert [row.output_shape for row in inside] == ["(None, 3)", "(None, 2)"]
    rows = {row.name: row.connected_to for row in summarize(two).rows}
    assert rows == {"inner": ("a",), "outer": ("inner[0][0]", "b")}


def test_a_dict_of_inputs():
    class Net(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.embed = staghorn.layers.Embedding(10, 3)
            self.dense = staghorn.layers.Dense(3)

        def call(self, inputs):
            words = staghorn.ops.mean(self.embed(inputs["words"]), axis=1)
            return {"sum": words + self.dense(inputs["numbers"])}

    model = Net()
    model({"words": np.ones((2, 5), "int32"), "numbers": np.ones((2, 4), "float32")})
    rows = [(row.output_shape, row.connected_to) for row in summarize(model).rows]
    assert rows == [("(2, 5, 3)", ("inputs[words]",)), ("(2, 3)", ("inputs[numbers]",))]


def test_summary_changes_nothing():
    class Net(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.noise = staghorn.layers.Dropout(0.5, seed=1)
            self.norm = staghorn.layers.BatchNormalization()
            self.late = staghorn.layers.Dense(2)
            self.last = None

        def build(self, input_shape):
            self.norm.build(input_shape)

        def call(self, x, training=None):
            self.last = self.norm(self.noise(x), training=True)
            return self.late(self.last)

    model = Net()
    model.build((None, 4))
    layers = model._flatten_layers()
    before = [dict(vars(layer)) for layer in layers]
    values = [np.asarray(v.value) for v in model.variables]
    rows = summarize(model).rows
    assert [row.output_shape for row in rows] == ["(None, 4)", "(None, 4)", "?"]
    assert rows[-1].params is None
    assert not model.late.built
    for layer, attributes in zip(layers, before, strict=True):
        assert vars(layer).keys() == attributes.keys()
        assert all(vars(layer)[key] is value for key, value in attributes.items())
    for variable, value in zip(model.variables, values, strict=True):
        np.testing.assert_array_equal(variable.value, value)


def test_masks_pass_through_the_trace():
    class Wants(staghorn.layers.Layer):
        supports_masking = True

        def compute_mask(self, inputs, previous_mask):
            return None

        def call(self, x, mask=None):
            return x if mask is None else x[:, :1]

    class Net(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.embed = staghorn.layers.Embedding(10, 6, mask_zero=True)
            self.wants = Wants()

        def call(self, x):
            return self.wants(self.embed(x))

    model = Net()
    assert model(np.ones((2, 5), "int32")).shape == (2, 1, 6)
    assert [call.output_shape for call in wiring(model).calls] == [
        "(2, 5)",
        "(2, 5, 6)",
        "(2, 1, 6)",
    ]


# Unbuilt models ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [chain, lambda k: k.Sequential([k.layers.Dense(3)])], ids=["subclass", "sequential"]
)
def test_unbuilt_model_says_how_to_build_it(make):
    ours, theirs = printed(make(staghorn)), printed(make(keras))
    assert ours.startswith(theirs)
    assert "Call model.build(input_shape), or model(x[:1])" in ours[len(theirs) :]
    assert cells(ours)[0] == ["dense (Dense)", "?", "0 (unbuilt)"]


# Widths -----------------------------------------------------------------------------------------


def test_names_are_never_cut_off():
    long = "encoder_block_with_a_name_that_does_not_fit_into_its_column"
    x = staghorn.Input((4,), name="measurements_of_the_power_plant")
    h = staghorn.layers.Dense(3, name=long)(x)
    model = staghorn.Model(x, [staghorn.layers.Dense(1)(h), staghorn.layers.Dense(2)(h)])
    text = printed(model, line_length=70, show_trainable=True)
    joined = ["".join(row[0].split()) for row in cells(text)]
    assert f"{long}(Dense)" in joined
    assert "".join(cells(text)[1][3].split()) == "measurements_of_the_power_plant[0][0]"
    assert "…" not in text.split("┡")[1]  # below the header


def test_a_sequential_without_layers_says_so():
    assert "No layers yet. Write model.add(" in printed(staghorn.Sequential([staghorn.Input((3,))]))


@pytest.mark.parametrize("width", [60, 100, 150])
@pytest.mark.parametrize("columns", ["40", "300"])
def test_line_length_is_obeyed_on_any_terminal(monkeypatch, width, columns):
    monkeypatch.setenv("COLUMNS", columns)
    lines = printed(two_outputs(staghorn), line_length=width).splitlines()
    assert {len(line) for line in lines if line[0] in "┏┃┡│├└"} == {width}


def test_positions_are_shares_or_characters():
    model = sequential(staghorn)
    shares = printed(model, line_length=100, positions=[0.3, 0.7, 1.0])
    assert shares == printed(sequential(keras), line_length=100, positions=[0.3, 0.7, 1.0])
    assert shares == printed(model, line_length=100, positions=[30, 70, 100])
    assert shares != printed(model, line_length=100)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": [0.5, 1.0]}, "where 3 columns end, got"),
        ({"positions": [0.5, 0.51, 1.0]}, "too narrow"),
        ({"line_length": 10}, "too narrow"),
        ({"layer_range": ["dense"]}, "layer_range must be two strings"),
        ({"layer_range": ["dense", 2]}, "layer_range must be two strings"),
        ({"layer_range": ["dense", "desne_1"]}, "'desne_1', which matches no layer. Did you mean"),
    ],
)
def test_errors_say_what_is_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        printed(sequential(staghorn), **options)


# Where it goes ----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_text_when_standard_output_is_no_terminal(capsys):
    model = two_outputs(staghorn)
    model.summary(line_length=90)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert text == printed(model, line_length=90)


def test_no_colours_where_they_are_not_wanted(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", Terminal())
    two_outputs(staghorn).summary()
    assert "38;5;" not in sys.stdout.getvalue()


def test_colours_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    outputs = {}
    for k in (staghorn, keras):
        model = two_outputs(k)
        with monkeypatch.context() as during:
            during.setattr(sys, "stdout", Terminal())
            model.summary(line_length=90, show_trainable=True)
            outputs[k.__name__] = sys.stdout.getvalue()
    assert outputs["staghorn"] == outputs["keras"]
    for colour in (33, 34, 45):  # types, numbers, None
        assert f"\x1b[38;5;{colour}m" in outputs["staghorn"]


def test_a_pipeline_opens(capsys):
    def printed(k):
        steps = [k.layers.Rescaling(0.5, name="scaled"), k.layers.RandomFlip(name="flipped")]
        x = k.Input((8, 8, 3), name="x")
        prepared = k.layers.Pipeline(steps, name="prepared")(x)
        model = k.Model(x, k.layers.Flatten(name="flat")(prepared), name="model")
        model.summary(expand_nested=True, line_length=90)
        return capsys.readouterr().out

    assert printed(staghorn) == printed(keras)


def test_standard_output_without_line_drawing(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    nested(staghorn).summary(expand_nested=True)
    stream.flush()
    assert b"`- dense" in stream.buffer.getvalue()


def test_names_are_not_markup():
    x = staghorn.Input((2,))
    text = printed(staghorn.Model(x, staghorn.layers.Dense(1)(x), name="[bold]"))
    assert 'Model: "[bold]"' in text


def test_rich_loads_on_use():
    program = (
        "import sys, staghorn.visualization as v\n"
        "assert v.print_summary\n"
        "assert 'rich' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
