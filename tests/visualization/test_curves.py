"""The pictures of training: what they show, how they are written, and what they leave alone."""

import math
import subprocess
import sys

import numpy as np
import pandas
import pytest

import staghorn
from staghorn.visualization import plot_actual_vs_predicted, plot_history
from staghorn.visualization.curves import best_position, better, r2_score

HISTORY = {
    "accuracy": [0.5, 0.7, 0.9],
    "loss": [1.0, 0.5, 0.2],
    "val_accuracy": [0.4, 0.8, 0.7],
    "val_loss": [1.1, 0.6, 0.7],
    "learning_rate": [0.1, 0.1, 0.01],
}


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def labels(axes):
    legend = axes.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def overlapping(boxes):
    return [(i, j) for i, a in enumerate(boxes) for j, b in enumerate(boxes[:i]) if a.overlaps(b)]


def test_a_panel_per_metric_with_the_loss_first():
    figure = plot_history(HISTORY)
    assert titles(figure) == ["loss", "accuracy", "learning_rate"]
    loss, accuracy, rate = figure.axes
    assert labels(loss) == ["training", "validation", "best 0.6 (epoch 2)"]
    assert labels(accuracy) == ["training", "validation", "best 0.8 (epoch 2)"]
    assert labels(rate) == []
    training, validation, best = loss.lines
    assert training.get_ydata().tolist() == HISTORY["loss"]
    assert validation.get_ydata().tolist() == HISTORY["val_loss"]
    assert training.get_xdata().tolist() == [1, 2, 3]
    assert training.get_color() != validation.get_color()
    assert training.get_linestyle() != validation.get_linestyle()
    assert (best.get_xdata().tolist(), best.get_ydata().tolist()) == ([2], [0.6])


@pytest.mark.parametrize("metrics", [["accuracy", "loss"], ["val_accuracy", "loss", "accuracy"]])
def test_chosen_metrics_keep_their_order(metrics):
    assert titles(plot_history(HISTORY, metrics=metrics)) == ["accuracy", "loss"]


def test_one_name_is_one_panel():
    assert titles(plot_history(HISTORY, metrics="loss")) == ["loss"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"history": {}}, "nothing was recorded"),
        ({"metrics": ["los"]}, "unknown metric 'los'. Did you mean 'loss'"),
        ({"metrics": []}, "at least one metric"),
        ({"to_file": "curves.gif"}, "must end in .png, .svg, .pdf, got 'curves.gif'"),
    ],
)
def test_wrong_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        plot_history(**{"history": HISTORY, **arguments})


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("loss", "min"),
        ("val_head_loss", "min"),
        ("accuracy", "max"),
        ("val_auc", "max"),
        ("mean_absolute_error", "min"),
        ("r2_score", "max"),
        ("learning_rate", None),
        ("perplexing", None),
    ],
)
def test_direction_by_name(name, mode):
    assert better(name) == mode


def test_best_position():
    values = np.array([math.nan, 3.0, 1.0, math.inf, -math.inf, 2.0])
    assert best_position(values, "min") == 2
    assert best_position(values, "max") == 1
    assert best_position(values, None) is None
    assert best_position(np.array([math.nan]), "min") is None


@pytest.mark.parametrize(
    ("history", "scale"),
    [
        ({"loss": [1000.0, 1.0]}, "log"),
        ({"loss": [10.0, 1.0]}, "linear"),
        ({"loss": [1000.0, -1.0]}, "linear"),
        ({"loss": [1000.0, 0.0]}, "linear"),
        ({"accuracy": [0.01, 0.9]}, "linear"),
        ({"learning_rate": [0.1, 1e-5]}, "log"),
    ],
)
def test_logarithmic_axis(history, scale):
    (axes,) = plot_history(history).axes
    assert axes.get_yscale() == scale
    assert axes.get_ylabel() == ("log scale" if scale == "log" else "")


@pytest.mark.parametrize(
    "history",
    [
        {"loss": [0.5]},
        {"loss": [math.nan, math.nan]},
        {"loss": [math.inf, 1.0, 0.5], "val_loss": [0.5, math.nan, math.nan]},
        {"val_loss": [0.5, 0.4]},
        {"loss": [0.5] * 3},
        {"loss": [1e-30, 1e30]},
    ],
)
def test_odd_values_are_drawn(history, tmp_path):
    plot_history(history, tmp_path / "odd.png")
    assert (tmp_path / "odd.png").stat().st_size > 1000


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7])
def test_nothing_overlaps(count):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    values = np.geomspace(123456.0, 0.000123, 400)
    names = ["loss", *(f"house_{i}_mean_absolute_error" for i in range(count - 1))]
    history = {f"{prefix}{name}": values for name in names for prefix in ("", "val_")}
    figure = plot_history(history)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    panels = [axes.get_tightbbox(renderer) for axes in figure.axes]
    assert overlapping(panels) == []
    width, height = canvas.get_width_height()
    for box, axes in zip(panels, figure.axes, strict=True):
        assert -1 <= box.x0 < box.x1 <= width + 1
        assert -1 <= box.y0 < box.y1 <= height + 1
        legend = axes.get_legend().get_window_extent(renderer)
        title = axes._left_title.get_window_extent(renderer)
        inside = axes.get_window_extent(renderer)
        assert not legend.overlaps(title)
        assert legend.y0 >= inside.y1 - 2  # above the curves
        ticks = [t.label1.get_window_extent(renderer) for t in axes.xaxis.get_major_ticks()]
        shown = [t for t in ticks if inside.x0 - 1 <= (t.x0 + t.x1) / 2 <= inside.x1 + 1]
        assert overlapping(shown) == []


@pytest.mark.parametrize(
    ("ending", "start"),
    [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".PNG", b"\x89PNG")],
)
def test_files(ending, start, tmp_path):
    path = tmp_path / "new folder" / f"curves{ending}"
    plot_history(HISTORY, path)
    assert path.read_bytes().startswith(start)
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_picture_leaves_the_old_file(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def fail(self, file, **options):
        file.write(b"half")
        raise OSError("disk full")

    path = tmp_path / "curves.png"
    path.write_text("old")
    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plot_history(HISTORY, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_notebook_can_show_the_figure():
    assert plot_history(HISTORY)._repr_png_().startswith(b"\x89PNG")


def test_actual_against_predicted():
    rng = np.random.default_rng(0)
    actual = rng.normal(size=(50, 2)) * [1, 20] + [0, 450]
    guess = actual + rng.normal(size=(50, 2)) * [0.5, 4]
    figure = plot_actual_vs_predicted(actual, guess, ["vacuum", "power"])
    assert titles(figure) == ["vacuum", "power"]
    for i, axes in enumerate(figure.axes):
        points, line = axes.lines
        np.testing.assert_array_equal(points.get_xdata(), actual[:, i])
        np.testing.assert_array_equal(points.get_ydata(), guess[:, i])
        np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())
        assert axes.get_xlim() == axes.get_ylim()
        residual = ((actual[:, i] - guess[:, i]) ** 2).sum()
        r2 = 1 - residual / ((actual[:, i] - actual[:, i].mean()) ** 2).sum()
        assert axes.get_title(loc="right") == f"R² = {r2:.4f}"


@pytest.mark.parametrize("shape", [((5,), (5, 1)), ((5, 1), (5,)), ((5,), (5,))])
def test_one_output_in_either_shape(shape):
    y = np.arange(5.0)
    figure = plot_actual_vs_predicted(y.reshape(shape[0]), y.reshape(shape[1]))
    assert titles(figure) == ["output"]
    assert figure.axes[0].get_title(loc="right") == "R² = 1.0000"


@pytest.mark.parametrize(
    ("y_true", "y_pred", "names", "match"),
    [
        (np.ones((4, 2)), np.ones((4, 1)), None, r"same shape.*\(4, 2\) and \(4, 1\)"),
        (np.ones((4, 1, 2)), np.ones((4, 1, 2)), None, r"same shape.*\(4, 1, 2\)"),
        (np.float64(1), np.float64(1), None, r"same shape.*got \(\) and \(\)"),
        (np.ones((0, 2)), np.ones((0, 2)), None, "at least one row"),
        (np.ones((4, 2)), np.ones((4, 2)), ["a"], r"one name per output \(2\), got 1"),
    ],
)
def test_wrong_predictions(y_true, y_pred, names, match):
    with pytest.raises(ValueError, match=match):
        plot_actual_vs_predicted(y_true, y_pred, names)


def test_constant_truth_has_no_r2(tmp_path):
    figure = plot_actual_vs_predicted(np.ones(4), np.ones(4), "x", tmp_path / "x.png")
    assert figure.axes[0].get_title(loc="right") == "R² undefined (constant truth)"
    assert math.isnan(r2_score(np.ones(3), np.zeros(3)))


@pytest.mark.parametrize("name", ["power", "net hourly electrical output (MW)"])
@pytest.mark.parametrize("constant", [False, True])
def test_a_long_name_does_not_cover_r2(name, constant):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    actual = np.ones((9, 2)) if constant else np.arange(18.0).reshape(9, 2)
    figure = plot_actual_vs_predicted(actual, actual + 0.1, [name, name])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axes in figure.axes:
        left, right = (
            text.get_window_extent(canvas.get_renderer())
            for text in (axes._left_title, axes._right_title)
        )
        top = left.y0 + left.height / 2 if axes.get_title(loc="left").endswith("\n") else left.y0
        assert left.x1 < right.x0 or top >= right.y1 - 3
        assert left.x1 <= canvas.get_width_height()[0]


def test_matplotlib_loads_on_use_and_pyplot_never():
    program = (
        "import sys, staghorn.visualization as v, staghorn.callbacks\n"
        "assert 'matplotlib' not in sys.modules and 'pandas' not in sys.modules\n"
        "v.plot_history({'loss': [1.0, 0.5]})\n"
        "assert 'matplotlib.figure' in sys.modules\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.fixture
def trained():
    """What `fit` returns with a validation after every second epoch."""
    model = staghorn.Sequential([staghorn.Input((2,)), staghorn.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    x, y = np.ones((8, 2)), np.ones((8, 1))
    return model.fit(x, y, epochs=4, verbose=0, validation_data=(x, y), validation_freq=2)


def test_a_frame_has_a_row_for_each_epoch(trained):
    frame = trained.to_frame()
    assert frame.index.tolist() == [0, 1, 2, 3]
    assert frame.index.name == "epoch"
    assert frame["loss"].tolist() == trained.history["loss"]
    assert frame["val_mae"].isna().tolist() == [True, False, True, False]
    assert frame["val_loss"].dropna().tolist() == trained.history["val_loss"]


def test_pandas_takes_the_records_as_tutorials_write_it(trained):
    from matplotlib import pyplot

    records = {key: values for key, values in trained.history.items() if "val" not in key}
    type_of_records = type(trained.history)
    for history in (records, type_of_records(records)):
        axes = pandas.DataFrame(history).plot(figsize=(8, 5))
        assert [line.get_label() for line in axes.lines] == ["loss", "mae"]
    pyplot.close("all")


def test_a_script_with_pyplot_shows_and_saves_the_curves_by_it(trained, tmp_path, monkeypatch):
    from matplotlib import pyplot

    figure = trained.plot()
    assert pyplot.gcf() is figure  # plt.show(), plt.savefig(...)
    pyplot.close("all")
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    trained.plot()
    assert pyplot.get_fignums() == []  # the cell shows what it returns, once


def test_history_plots_itself(trained, tmp_path):
    figure = trained.plot(tmp_path / "curves.png", metrics=["loss"])
    training, validation, best = figure.axes[0].lines
    assert training.get_xdata().tolist() == [1, 2, 3, 4]
    assert validation.get_xdata().tolist() == [2, 4]
    assert best.get_xdata().tolist() == [4]
    assert (tmp_path / "curves.png").exists()


def test_without_pandas_the_error_has_the_command(trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"`pip install pandas`.*history\.history"):
        trained.to_frame()


def test_backend_and_style_stay():
    import matplotlib

    before = matplotlib.get_backend(), dict(matplotlib.rcParams)
    plot_history(HISTORY)._repr_png_()
    assert (matplotlib.get_backend(), dict(matplotlib.rcParams)) == before
