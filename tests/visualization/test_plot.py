"""`plot_model` and `model_to_dot`: what is drawn, what is written, what is refused."""

import inspect
import random
import re
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

import staghorn
from staghorn import layers
from staghorn.utils import model_to_dot, plot_model
from staghorn.visualization.drawing import (
    FAMILY,
    Area,
    Label,
    Line,
    _font,
    fitted_size,
    text_width,
    to_svg,
    usable_dpi,
)
from staghorn.visualization.model_graph import model_graph
from staghorn.visualization.plot import Options, draw
from tests.oracle import keras

EVERYTHING = {
    "show_shapes": True,
    "show_dtype": True,
    "show_layer_names": True,
    "show_layer_activations": True,
    "show_trainable": True,
}


def chain():
    stack = [staghorn.Input((4,)), layers.Dense(8, "relu", name="hidden"), layers.Dropout(0.5)]
    return staghorn.Sequential([*stack, layers.Dense(2, name="last")], name="chain")


def branched():
    x = staghorn.Input((4,), name="x")
    left, right = layers.Dense(4, name="left")(x), layers.Dense(4, name="right")(x)
    return staghorn.Model(x, layers.Add(name="sum")([left, right, x]), name="branched")


def nested():
    encoder = staghorn.Sequential(
        [staghorn.Input((4,)), layers.Dense(3, name="e1"), layers.Dense(2, name="e2")],
        name="encoder",
    )
    z = staghorn.Input((2,), name="z")
    hidden = layers.Dense(3, name="d1")(z)
    decoder = staghorn.Model(z, [layers.Dense(4, name="d2")(hidden), hidden], name="decoder")
    x = staghorn.Input((4,), name="x")
    whole, part = decoder(encoder(x))
    out = [layers.Dense(1, name="o1")(whole), layers.Dense(1, name="o2")(part)]
    return staghorn.Model(x, out, name="nested")


def shared():
    a, b = staghorn.Input((4,), name="a"), staghorn.Input((4,), name="b")
    dense = layers.Dense(4, name="twice")
    return staghorn.Model([a, b], layers.Add(name="sum")([dense(a), dense(b)]), name="shared")


def long_names():
    x = staghorn.Input((4,), name="a_very_long_name_" * 8 + "$x_1$")
    many = [layers.Dense(4)(x) for _ in range(12)]
    return staghorn.Model(x, layers.Concatenate(name="a name with words " * 6)(many))


class Residual(staghorn.Model):
    """A model whose graph is only in its code."""

    def __init__(self):
        super().__init__(name="residual")
        self.first = layers.Dense(4, name="first")
        self.second = layers.Dense(4, name="second")
        self.last = layers.Dense(2, name="last")

    def call(self, x):
        hidden = self.first(x)
        return self.last(hidden + self.second(hidden))


# The sum of two layers' outputs is a box of its own, as in a Functional model.
RESIDUAL = {
    ("x", "first"), ("first", "second"), ("first", "add"), ("second", "add"), ("add", "last"),
}  # fmt: skip


def subclassed():
    model = Residual()
    model.build((None, 4))
    return model


MODELS = {f.__name__: f for f in (chain, branched, nested, shared, subclassed, long_names)}


def named(model, **options):
    """Return the names of parts and the edges between them."""
    graph = model_graph(model, **options)
    names = {part.key: part.name for part in graph.parts}
    return list(names.values()), {(names[a], names[b]) for a, b in graph.edges}


def texts(picture):
    return [s.text for s in picture.drawing.shapes if isinstance(s, Label)]


# What is drawn --------------------------------------------------------------------------------


def test_arguments_are_those_of_keras():
    for ours, theirs in (
        (plot_model, keras.utils.plot_model),
        (model_to_dot, keras.utils.model_to_dot),
    ):
        known = inspect.signature(ours).parameters
        for name, parameter in inspect.signature(theirs).parameters.items():
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                assert known[name].default == parameter.default
        assert list(known) == [*list(inspect.signature(theirs).parameters)[:-1], "layer_range"]


def test_a_sequential_is_a_chain_without_its_input():
    assert named(chain()) == (
        ["hidden", "dropout", "last"],
        {("hidden", "dropout"), ("dropout", "last")},
    )


def test_branches_and_skips():
    edges = {(a, "sum") for a in ("x", "left", "right")} | {("x", "left"), ("x", "right")}
    assert named(branched()) == (["x", "left", "right", "sum"], edges)


def test_a_shared_layer_is_one_box_with_several_arrows():
    names, edges = named(shared())
    assert sorted(names) == ["a", "b", "sum", "twice"]
    assert edges == {("a", "twice"), ("b", "twice"), ("twice", "sum")}


def test_a_layer_on_its_own_output_has_an_arrow_to_itself():
    x = staghorn.Input((4,), name="x")
    dense = layers.Dense(4, name="dense")
    model = staghorn.Model(x, dense(dense(x)))
    assert named(model)[1] == {("x", "dense"), ("dense", "dense")}
    assert len([s for s in plot_model(model, None).drawing.shapes if isinstance(s, Line)]) == 2


def test_models_inside_are_boxes_or_frames():
    outer = {("x", "encoder"), ("encoder", "decoder"), ("decoder", "o1"), ("decoder", "o2")}
    assert named(nested())[1] == outer
    names, edges = named(nested(), expand_nested=True)
    assert sorted(names) == ["d1", "d2", "e1", "e2", "o1", "o2", "x", "z"]
    inner = {("x", "e1"), ("e1", "e2"), ("e2", "z"), ("z", "d1"), ("d1", "d2")}
    assert edges == inner | {("d2", "o1"), ("d1", "o2")}
    picture = plot_model(nested(), None, expand_nested=True)
    assert {"encoder (Sequential)", "decoder (Functional)"} <= set(texts(picture))
    dashed = [s for s in picture.drawing.shapes if isinstance(s, Area) and s.dashed]
    assert len(dashed) == 2


def test_a_pipeline_opens_like_a_sequential():
    steps = [layers.Rescaling(0.5, name="scaled"), layers.RandomFlip(name="flipped")]
    x = staghorn.Input((8, 8, 3), name="x")
    prepared = layers.Pipeline(steps, name="prepared")(x)
    model = staghorn.Model(x, layers.Flatten(name="flat")(prepared))
    assert named(model)[1] == {("x", "prepared"), ("prepared", "flat")}
    names, edges = named(model, expand_nested=True)
    assert sorted(names) == ["flat", "flipped", "scaled", "x"]
    assert edges == {("x", "scaled"), ("scaled", "flipped"), ("flipped", "flat")}
    assert "prepared (Pipeline)" in texts(plot_model(model, None, expand_nested=True))


def test_models_in_models_in_models():
    model = chain()
    for depth in range(30):
        model = staghorn.Sequential([staghorn.Input((model.input_shape[-1],)), model])
        model.add(layers.Dense(4, name=f"after{depth}"))
    names, edges = named(model, expand_nested=True)
    assert len(names) == 33
    assert edges >= {("last", "after0"), ("after0", "after1"), ("hidden", "dropout")}
    plot_model(model, None, expand_nested=True)


def test_a_subclassed_model_is_drawn_as_its_call_connects_it():
    names, edges = named(subclassed())
    assert sorted(names) == ["add", "first", "last", "second", "x"]
    assert edges == RESIDUAL


def test_a_subclassed_model_inside_is_a_box_or_a_frame():
    inner = Residual()
    x = staghorn.Input((4,), name="input")
    functional = staghorn.Model(x, layers.Dense(1, name="end")(inner(x)))

    class Outer(staghorn.Model):
        def __init__(self):
            super().__init__()
            self.inner = inner
            self.end = layers.Dense(1, name="end")

        def call(self, input):
            return self.end(self.inner(input))

    outer = Outer()
    outer.build((None, 4))
    for model in (functional, outer):
        assert named(model)[1] == {("input", "residual"), ("residual", "end")}
        assert named(model, expand_nested=True)[1] == RESIDUAL | {("input", "x"), ("last", "end")}
    picture = plot_model(outer, None, expand_nested=True)
    assert "residual (Residual)" in texts(picture)


def test_arguments_enter_a_frame_where_they_belong():
    class Two(staghorn.Model):
        def __init__(self):
            super().__init__(name="two")
            self.f = layers.Dense(3, name="f")
            self.g = layers.Dense(3, name="g")

        def call(self, second, first):
            return self.f(first), self.g(second)

    a, b = staghorn.Input((4,), name="a"), staghorn.Input((5,), name="b")
    p, q = Two()(first=a, second=b)
    model = staghorn.Model([a, b], [layers.ReLU(name="p")(p), layers.ReLU(name="q")(q)])
    assert named(model, expand_nested=True)[1] == {
        *(("a", "first"), ("first", "f"), ("f", "p")),
        *(("b", "second"), ("second", "g"), ("g", "q")),
    }


def test_a_call_that_needs_data_is_drawn_without_arrows():
    class Looks(Residual):
        def call(self, x):
            hidden = self.first(x)
            return self.last(hidden if float(hidden[0, 0]) > 0 else -hidden)

    model = Looks()
    model(np.ones((2, 4), "float32"))
    with pytest.warns(UserWarning, match="what feeds what in 'residual' is unknown. Looks.call"):
        assert named(model) == (["first", "second", "last"], set())
    x = staghorn.Input((4,), name="input")
    with pytest.raises(ValueError, match="looks at the values"):
        model(x)


def test_a_range_of_a_subclassed_model_keeps_the_sums_between():
    assert named(subclassed(), layer_range=["first", "second"]) == (
        ["first", "second", "add"],
        {("first", "second"), ("first", "add"), ("second", "add")},
    )


def test_a_single_layer_is_one_box():
    layer = layers.Dense(3, name="alone")
    layer.build((None, 4))
    assert named(layer) == (["alone"], set())


def test_a_model_without_layers_is_one_box(tmp_path):
    model = staghorn.Model()
    model.built = True
    for suffix in ("png", "svg", "pdf", "dot"):
        plot_model(model, tmp_path / f"a.{suffix}", layer_range=None)
    x = staghorn.Input((4,), name="x")
    assert named(staghorn.Model(x, x)) == (["x"], set())


def test_what_boxes_say():
    model = chain()
    model.get_layer("last").trainable = False
    plain = texts(plot_model(model, None))
    assert plain == ["Dense", "Dropout", "Dense"]
    assert texts(plot_model(model, None, **EVERYTHING)) == [
        *("hidden (Dense)", "Activation: relu", "Input shape: (None, 4)"),
        *("Output shape: (None, 8)", "Output dtype: float32", "Trainable"),
        *("dropout (Dropout)", "Input shape: (None, 8)"),
        *("Output shape: (None, 8)", "Output dtype: float32"),
        *("last (Dense)", "Activation: linear", "Input shape: (None, 8)"),
        *("Output shape: (None, 2)", "Output dtype: float32", "Non-trainable"),
    ]


def test_layer_range_draws_a_part():
    shown = texts(plot_model(branched(), None, show_layer_names=True, layer_range=["left", "sum"]))
    assert shown == ["left (Dense)", "right (Dense)", "sum (Add)"]


@pytest.mark.parametrize("rankdir", ["TB", "LR", "BT", "RL"])
def test_arrows_run_in_the_direction_asked_for(rankdir):
    drawing = plot_model(chain(), None, rankdir=rankdir).drawing
    axis, sign = {"TB": (1, 1), "BT": (1, -1), "LR": (0, 1), "RL": (0, -1)}[rankdir]
    for line in (s for s in drawing.shapes if isinstance(s, Line)):
        assert sign * (line.points[-1][axis] - line.points[0][axis]) > 0


@pytest.mark.parametrize("dpi", [40, 72, 96, 200])
@pytest.mark.parametrize("model", MODELS)
def test_every_label_fits_its_box(model, dpi):
    """In SVG and PDF a text is as long as measured; in pixels Pillow's font says how long."""
    drawing = draw(model_graph(MODELS[model](), True), Options(**EVERYTHING))
    areas = [s for s in drawing.shapes if isinstance(s, Area)]
    scale = dpi / 72
    for label in (s for s in drawing.shapes if isinstance(s, Label)):
        measured = text_width(label.text, label.size, label.bold)
        font = _font(fitted_size(label, scale), label.bold)
        extra = max(0.0, font.getlength(label.text) / scale - measured) / 2
        upper, lower = label.y - label.size * 0.93, label.y + label.size * 0.24
        assert any(
            a.x < label.x - extra
            and label.x + measured + extra < a.x + a.width
            and a.y < upper
            and lower < a.y + a.height
            for a in areas
        ), label.text


@pytest.mark.parametrize("bold", [False, True])
def test_texts_are_as_long_as_matplotlib_draws_them(bold):
    text = "Input shape: (None, 32, 32, 8) conv2d_1 AVWA"
    path = TextPath((0, 0), text, 10, prop=FontProperties(family=FAMILY, weight=400 + 300 * bold))
    assert text_width(text, 10, bold) == pytest.approx(path.get_extents().width, rel=0.02)


# What is written ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_files_of_each_format(model, tmp_path):
    starts = {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF", "dot": b"digraph"}
    for suffix, start in starts.items():
        path = tmp_path / "folder" / f"model.{suffix}"
        picture = plot_model(MODELS[model](), path, expand_nested=True, **EVERYTHING)
        assert picture.path == path
        assert path.read_bytes().startswith(start)
    ElementTree.parse(tmp_path / "folder" / "model.svg")
    assert picture._repr_svg_().startswith("<svg")


def test_without_an_ending_it_is_a_png(tmp_path):
    plot_model(chain(), str(tmp_path / "model"))
    assert (tmp_path / "model").read_bytes().startswith(b"\x89PNG")


def test_dpi_gives_pixels(tmp_path):
    sizes = []
    for dpi in (72, 144):
        drawing = plot_model(chain(), tmp_path / "m.png", dpi=dpi).drawing
        sizes.append(matplotlib.image.imread(tmp_path / "m.png").shape[:2])
        assert np.allclose(sizes[-1], [drawing.height * dpi / 72, drawing.width * dpi / 72], atol=1)


def test_a_picture_too_large_for_a_file_has_fewer_pixels():
    drawing = plot_model(chain(), None).drawing
    assert usable_dpi(drawing, 100) == 100
    assert usable_dpi(drawing, 1e6) < 1e5


def test_a_picture_that_cannot_be_read_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("staghorn.visualization.drawing.MAX_SIDE", 100)
    with pytest.warns(UserWarning, match=r"with \d+ dpi instead of 200.*\.svg"):
        plot_model(chain(), tmp_path / "m.png")


def test_a_long_pdf_is_made_smaller(tmp_path, monkeypatch):
    sizes = []
    for _ in range(2):
        plot_model(chain(), tmp_path / "m.pdf")
        box = re.search(rb"/MediaBox \[ *0 0 ([\d.]+) ([\d.]+)", (tmp_path / "m.pdf").read_bytes())
        sizes.append([float(x) for x in box.groups()])
        monkeypatch.setattr("staghorn.visualization.drawing.MAX_PAGE", 100.0)
    (width, height), small = sizes
    assert small == pytest.approx([100 * width / height, 100], rel=1e-3)


def test_the_random_state_stays(tmp_path):
    model = chain()
    state = random.getstate()
    plot_model(model, tmp_path / "m.png")
    plot_model(model, tmp_path / "m.pdf")
    assert random.getstate() == state


def test_same_model_same_file(tmp_path):
    for suffix in ("png", "svg", "pdf"):
        paths = [tmp_path / f"{i}.{suffix}" for i in range(2)]
        for path in paths:
            plot_model(branched(), path)
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_settings_of_matplotlib_stay(tmp_path):
    before = dict(matplotlib.rcParams)
    plot_model(chain(), tmp_path / "m.png")
    assert dict(matplotlib.rcParams) == before


def test_names_with_signs_are_escaped():
    x = staghorn.Input((4,), name="a<b&c")
    model = staghorn.Model(x, layers.Dense(2, name='q"$x$')(x), name='m"<>')
    ElementTree.fromstring(to_svg(plot_model(model, None, show_layer_names=True).drawing))
    dot = model_to_dot(model)
    assert "a&lt;b&amp;c" in dot
    assert dot.startswith('digraph "m\\"<>" {')


def test_dot_text_has_each_box_arrow_and_frame():
    dot = model_to_dot(nested(), expand_nested=True, rankdir="LR", dpi=96)
    assert len(re.findall(r"n\d+ \[label=<", dot)) == 8
    assert len(re.findall(r"n\d+ -> n\d+;", dot)) == 7
    assert len(re.findall(r"subgraph cluster_\d+ {", dot)) == 2
    assert 'rankdir="LR", dpi="96"' in dot
    assert dot.count("{") == dot.count("}")
    assert dot.to_string() == str(dot)
    assert model_to_dot(chain(), subgraph=True).startswith('subgraph "cluster_chain" {')


def test_dot_draws_itself_as_pydot_does(tmp_path):
    dot = model_to_dot(chain())
    assert dot.create(prog="dot", format="svg").startswith(b"<svg")
    assert dot.write(tmp_path / "m.png", format="png")
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    assert dot.write(tmp_path / "m.dot")
    assert (tmp_path / "m.dot").read_text() == dot


# What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [plot_model, model_to_dot])
def test_an_unbuilt_model_says_how_to_build_it(function):
    with pytest.raises(ValueError, match=r"(?s)'mine' is not built.*model\.build\(input_shape\)"):
        function(staghorn.Sequential([layers.Dense(2)], name="mine"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to_file": "m.jpgg"}, r"to_file must end with .png, .svg, .pdf or .dot, got 'm.jpgg'"),
        ({"rankdir": "tb"}, r"rankdir must be one of 'TB', 'LR', 'BT', 'RL', got 'tb'"),
        ({"splines": "orto"}, r"splines must be one of .* Did you mean 'ortho'\?"),
        ({"layer_range": ["hiden", "last"]}, r"plot_model: layer_range names 'hiden'.*'hidden'"),
        ({"layer_range": "hidden"}, r"plot_model: layer_range must be two strings"),
    ],
)
def test_wrong_arguments(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        plot_model(chain(), **{"to_file": tmp_path / "m.png", **options})


def test_what_is_no_model():
    with pytest.raises(ValueError, match="model must be a model or a layer, got 3"):
        plot_model(3)
