"""Pictures of training: curves over the epochs, and predictions against the truth.

Drawn with matplotlib's objects only: no pyplot, so no window, no global figure list.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from staghorn.callbacks.history import History
from staghorn.callbacks.monitor import direction
from staghorn.engine.registry import suggestion
from staghorn.saving.atomic import replacing_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008), https://jfly.uni-koeln.de/color/: distinct for colour-blind readers.
BLUE, ORANGE = "#0072B2", "#D55E00"
FORMATS = (".png", ".svg", ".pdf")
# Logged values that are better when large, where no metric object is there to say so.
RISING = ("acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2", "dice", "pearson")
FALLING = ("loss", "error", "mse", "mae", "rmse", "mape", "msle", "entropy", "divergence", "hinge")


def better(name: str, metrics: Sequence[Any] = ()) -> str | None:
    """Whether a logged value is better when small ("min") or large ("max"); None if unknown.

    Example:
        >>> from staghorn.visualization.curves import better
        >>> better("val_accuracy"), better("mse"), better("learning_rate")
        ('max', 'min', None)
    """
    told = direction(name, metrics)
    if told is None and any(word in name.lower() for word in FALLING):
        return "min"
    if told is None and any(word in name.lower() for word in RISING):
        return "max"
    return told


def best_position(values: np.ndarray, mode: str | None) -> int | None:
    """(n,) -> index of the best finite value; None if there is none or `mode` is None.

    Example:
        >>> from staghorn.visualization.curves import best_position
        >>> best_position(np.array([0.5, 0.25, np.nan]), "min")
        1
    """
    if mode is None or not np.isfinite(values).any():
        return None
    finite = np.where(np.isfinite(values), values, np.nan)
    return int(np.nanargmin(finite) if mode == "min" else np.nanargmax(finite))


def r2_score(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """(n,), (n,) -> share of the variance that is explained; NaN for constant `y_true`.

    R2 = 1 - sum (y_true - y_pred)^2 / sum (y_true - mean(y_true))^2

    Example:
        >>> from staghorn.visualization.curves import r2_score
        >>> r2_score(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0]))
        1.0
    """
    spread = float(np.sum((y_true - y_true.mean()) ** 2))
    rest = float(np.sum((y_true - y_pred) ** 2))
    return 1 - rest / spread if spread > 0 else math.nan


def plot_history(
    history: History | Mapping[str, Sequence[float]],
    to_file: str | PathLike[str] | None = None,
    metrics: Sequence[str] | None = None,
) -> Figure:
    """Draw the curves of a training: a panel per metric, training against validation.

    The best epoch (of the validation curve, where there is one) is marked and named in the legend.
    A value that spans more than a factor of 50 is drawn on a logarithmic axis, unless it rises to
    its best (accuracy).

    Args:
        history: what `fit` returned, or its dict of lists.
        to_file: a `.png`, `.svg` or `.pdf` file to write; default None, nothing is written.
        metrics: names to draw, in this order; default None: all, the loss first.

    Raises:
        ValueError: nothing was recorded, an unknown metric, or another file ending.

    Example:
        >>> records = {"loss": [0.5, 0.3], "val_loss": [0.6, 0.4]}
        >>> figure = staghorn.visualization.plot_history(records)
        >>> [axes.get_title(loc="left") for axes in figure.axes]
        ['loss']

    Notes:
        The figure belongs to no window; a notebook shows it as the value of a cell.
    """
    path = _checked_path("plot_history", to_file)
    record = history if isinstance(history, History) else None
    values = dict(record.history if record is not None else history)  # type: ignore[arg-type]
    names = _panel_names(list(values), metrics)
    model_metrics = getattr(record.model, "metrics", None) or () if record is not None else ()
    figure, panels = _panels(len(names), (5.2, 3.7))
    for axes, name in zip(panels, names, strict=True):
        curves = {}
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if key in values:
                at = record.positions(key) if record is not None else range(len(values[key]))
                curves[label] = (np.asarray(at) + 1, np.asarray(values[key], float))
        _draw_curves(axes, name, curves, better(name, model_metrics))
    return _finished(figure, path)


def plot_actual_vs_predicted(
    y_true: Any,
    y_pred: Any,
    names: Sequence[str] | str | None = None,
    to_file: str | PathLike[str] | None = None,
) -> Figure:
    """Draw predictions against the truth: a panel per output, with the line y = x and R2.

    Args:
        y_true: (n,) or (n, outputs), the measured values.
        y_pred: the predicted values, same shape ((n,) and (n, 1) may be mixed).
        names: a name per output; default None: "output 1", "output 2"...
        to_file: a `.png`, `.svg` or `.pdf` file to write; default None, nothing is written.

    Raises:
        ValueError: shapes that do not fit, no rows, or another file ending.

    Example:
        >>> y = np.arange(5.0)
        >>> figure = staghorn.visualization.plot_actual_vs_predicted(y, y + 0.1, "power")
        >>> figure.axes[0].get_title(loc="left")
        'power'
    """
    path = _checked_path("plot_actual_vs_predicted", to_file)
    true, predicted = _columns(y_true), _columns(y_pred)
    if true.ndim != 2 or true.shape != predicted.shape or not true.size:
        raise ValueError(
            "plot_actual_vs_predicted: y_true and y_pred must have the same shape, (rows,) or "
            f"(rows, outputs), with at least one row; got {np.shape(y_true)} and "
            f"{np.shape(y_pred)}."
        )
    outputs = true.shape[1]
    labels = [names] if isinstance(names, str) else list(names or ())
    labels = labels or [f"output {i + 1}" if outputs > 1 else "output" for i in range(outputs)]
    if len(labels) != outputs:
        raise ValueError(
            f"plot_actual_vs_predicted: names must hold one name per output ({outputs}), "
            f"got {len(labels)}: {labels}."
        )
    figure, panels = _panels(outputs, (4.4, 4.4))
    for axes, label, actual, guess in zip(panels, labels, true.T, predicted.T, strict=True):
        _draw_scatter(axes, label, actual, guess)
    return _finished(figure, path)


def _checked_path(function: str, to_file: str | PathLike[str] | None) -> Path | None:
    """The file to write; a wrong ending is told before anything is drawn."""
    if to_file is None:
        return None
    path = Path(to_file)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"{function}: to_file must end in {', '.join(FORMATS)}, got {str(to_file)!r}. "
            f"Write {str(path.with_suffix('.png'))!r}."
        )
    return path


def _panel_names(keys: list[str], metrics: Sequence[str] | None) -> list[str]:
    """Names of the panels: training and validation share one, the loss comes first."""
    found = dict.fromkeys(
        key.removeprefix("val_") if key.startswith("val_") else key for key in keys
    )
    if not found:
        raise ValueError(
            "plot_history: the history is empty, nothing was recorded. Run model.fit with at "
            "least one epoch first."
        )
    if metrics is None:
        # The learning rate is no result: it comes last.
        return sorted(found, key=lambda name: (name != "loss", name.startswith("learning_rate")))
    wanted = [metrics] if isinstance(metrics, str) else list(metrics)
    if not wanted:
        raise ValueError("plot_history: metrics must name at least one metric, got none.")
    for name in wanted:
        if name not in found and name not in keys:
            raise ValueError(
                f"plot_history: unknown metric {name!r}.{suggestion(name, found)} "
                f"Recorded: {', '.join(found)}."
            )
    return list(dict.fromkeys(n if n in found else n.removeprefix("val_") for n in wanted))


def _panels(count: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, at most three in a row."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = count if count <= 3 else (2 if count == 4 else 3)
    rows = math.ceil(count / columns)
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, wspace=0.04, hspace=0.06)
    inches = (size[0] * columns, size[1] * rows)
    pyplot = sys.modules.get("matplotlib.pyplot")
    # Where a script uses pyplot, `plt.show()` and `plt.savefig()` mean this figure; a notebook
    # would show it twice.
    if pyplot is not None and "ipykernel" not in sys.modules:
        figure = pyplot.figure(figsize=inches, layout=layout, facecolor="white")
    else:
        figure = Figure(inches, layout=layout, facecolor="white")
    panels = [figure.add_subplot(rows, columns, i + 1) for i in range(count)]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#DDDDDD", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, panels


def _draw_curves(
    axes: Axes, name: str, curves: dict[str, tuple[np.ndarray, np.ndarray]], mode: str | None
) -> None:
    from matplotlib.ticker import MaxNLocator

    styles = {"training": (BLUE, "-"), "validation": (ORANGE, "--")}
    for label, (epochs, values) in curves.items():
        colour, line = styles[label]
        shown = np.where(np.isfinite(values), values, np.nan)
        dots = "." if len(values) <= 20 else ""  # few points: a line alone hides them
        (drawn,) = axes.plot(epochs, shown, line, marker=dots, color=colour, linewidth=1.6)
        drawn.set_label(label)
        if name.startswith("learning_rate"):  # constant within an epoch
            drawn.set_drawstyle("steps-mid")
    label = "validation" if "validation" in curves else "training"
    epochs, values = curves[label]
    best = best_position(values, mode)
    if best is not None:
        axes.plot(
            epochs[best],
            values[best],
            "o",
            markersize=8,
            markerfacecolor="none",
            markeredgecolor="black",
            markeredgewidth=1.5,
            zorder=5,
            label=f"best {values[best]:.4g} (epoch {epochs[best]})",
        )
    # A share, such as accuracy, stays linear: its end near 1 is what matters.
    if mode != "max" and _spans_decades(np.concatenate([v for _, v in curves.values()])):
        axes.set_yscale("log")
        axes.set_ylabel("log scale")
    axes.set_title(name, loc="left", fontweight="bold", pad=24)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    if all(len(epochs) < 2 for epochs, _ in curves.values()):
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    if "validation" not in curves and best is None:
        return  # one line, named by the title
    # Between title and curves, where it covers no line.
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 0.99),
        ncols=3,
        frameon=False,
        fontsize=9,
        handlelength=1.8,
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def _spans_decades(values: np.ndarray) -> bool:
    """Whether positive values reach over more than a factor of 50."""
    finite = values[np.isfinite(values)]
    return bool(finite.size and finite.min() > 0 and finite.max() / finite.min() > 50)


def _columns(values: Any) -> np.ndarray:
    """(n,) or (n, outputs) -> (n, outputs) float array."""
    array = np.asarray(values, dtype=float)
    return array[:, None] if array.ndim == 1 else array


def _draw_scatter(axes: Axes, label: str, actual: np.ndarray, guess: np.ndarray) -> None:
    finite = np.concatenate([actual, guess])
    finite = finite[np.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    margin = 0.04 * (high - low) or 0.5
    limits = (low - margin, high + margin)
    many = len(actual) > 2000
    axes.plot(
        actual,
        guess,
        "o",
        color=BLUE,
        markersize=2.5 if many else 4,
        markeredgewidth=0,
        alpha=0.25 if many else 0.6,
        rasterized=many,  # keeps an .svg or .pdf of many points small
    )
    axes.plot(limits, limits, "--", color=ORANGE, linewidth=1.5, label="y = x")
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_aspect("equal")
    score = r2_score(actual, guess)
    text = "R² undefined (constant truth)" if math.isnan(score) else f"R² = {score:.4f}"
    # A long name gets a line of its own above R².
    one_line = len(label) + len(text) < 34
    axes.set_title(label if one_line else f"{label}\n", loc="left", fontweight="bold")
    axes.set_title(text, loc="right", fontsize=10)
    axes.set_xlabel("actual")
    axes.set_ylabel("predicted")
    axes.legend(loc="upper left", frameon=False, fontsize=9)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _finished(figure: Figure, path: Path | None) -> Figure:
    """The figure, written if a path was given, and able to show itself in a notebook."""
    if path is not None:
        with replacing_file(path, make_folders=True) as file:
            figure.savefig(file, format=path.suffix[1:].lower(), dpi=150)
    # Notebooks look for this method; pyplot would otherwise have to be loaded for it.
    vars(figure)["_repr_png_"] = partial(_png, figure)
    return figure
