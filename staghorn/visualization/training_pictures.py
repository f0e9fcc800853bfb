"""Pictures of how a model trains: the loss over learning rates, statistics of each layer."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from staghorn.callbacks.statistics import NAMES, Statistics
from staghorn.engine.registry import unknown_name
from staghorn.training.learning_rate_search import LearningRates
from staghorn.visualization.curves import BLUE, ORANGE, _checked_path, _finished, _panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_learning_rates(found: LearningRates, to_file: str | PathLike[str] | None = None) -> Figure:
    """Draw the loss over the learning rate, as measured and smoothed, with the suggestion marked.

    Args:
        found: what `model.find_learning_rate` returned.
        to_file: a `.png`, `.svg` or `.pdf` file to write; default None, nothing is written.

    Raises:
        ValueError: another file ending.

    Example:
        >>> from staghorn.training.learning_rate_search import LearningRates
        >>> found = LearningRates(np.geomspace(1e-4, 1, 5), np.array([1, 0.9, 0.5, 0.4, 3.0]))
        >>> found.plot().axes[0].get_title(loc="left")
        'loss by learning rate'
    """
    path = _checked_path("plot_learning_rates", to_file)
    figure, (axes,) = _panels(1, (6.4, 4.0))
    rates, best = found.learning_rates, found.suggestion
    axes.plot(rates, found.losses, ".", color=BLUE, alpha=0.35, label="each batch")
    axes.plot(rates, found.smoothed, color=BLUE, linewidth=1.6, label="smoothed")
    if best is not None:
        height = found.smoothed[np.argmin(np.abs(rates - best))]
        axes.axvline(best, color=ORANGE, linestyle="--", linewidth=1.2)
        axes.plot(best, height, "o", color=ORANGE, markersize=8, label=f"suggestion {best:.2g}")
    axes.set_xscale("log")
    if len(rates):  # what diverges at the end must not flatten the rest
        low, start = float(found.losses.min()), float(found.smoothed[0])
        top = max(start, float(np.median(found.losses))) + 0.5 * abs(start - low)
        axes.set_ylim(low - 0.08 * (top - low or 1), top or 1)
    axes.set_title("loss by learning rate", loc="left", fontweight="bold", pad=24)
    axes.set_xlabel("learning rate (log scale)")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=3, frameon=False, fontsize=9)
    return _finished(figure, path)


def plot_statistics(
    recorded: Statistics, to_file: str | PathLike[str] | None = None, statistic: str = "norm"
) -> Figure:
    """Draw a statistic of every layer over the epochs: a panel each for gradients and activations.

    Args:
        recorded: the callback after a `fit`.
        to_file: a `.png`, `.svg` or `.pdf` file to write; default None, nothing is written.
        statistic: "mean", "std", "norm", "zeros" or "nonfinite". Default: "norm".

    Raises:
        ValueError: nothing was recorded, an unknown statistic, or another file ending.

    Example:
        >>> look = staghorn.callbacks.Statistics(activations=False)
        >>> look.epoch = [0, 1]
        >>> look.history = {"gradients": {"out": {"norm": [2.0, 1.0]}}}
        >>> [axes.get_title(loc="left") for axes in look.plot().axes]
        ['gradients: norm']
    """
    path = _checked_path("plot_statistics", to_file)
    if statistic not in NAMES:
        raise unknown_name("statistic", statistic, NAMES)
    if not recorded.history:
        raise ValueError("plot_statistics: nothing was recorded. Run model.fit with it first.")
    epochs = np.array(recorded.epoch) + 1
    if not (np.diff(epochs) > 0).all():  # of several fits
        epochs = np.arange(len(epochs)) + 1
    figure, panels = _panels(len(recorded.history), (5.4, 4.0))
    for axes, (kind, layers) in zip(panels, sorted(recorded.history.items(), reverse=True),
                                    strict=True):  # fmt: skip
        lines = {name: np.array(own[statistic]) for name, own in layers.items()}
        _draw_layers(axes, epochs, lines)
        axes.set_title(f"{kind}: {statistic}", loc="left", fontweight="bold")
    return _finished(figure, path)


def _draw_layers(axes: Any, epochs: np.ndarray, layers: dict[str, np.ndarray]) -> None:
    """One line per layer, from the first (dark) to the last (light)."""
    import matplotlib as mpl
    from matplotlib.ticker import MaxNLocator

    shades = mpl.colormaps["viridis"](np.linspace(0, 0.88, len(layers)))
    for shade, (name, values) in zip(shades, layers.items(), strict=True):
        dots = "." if len(values) <= 20 else ""
        axes.plot(epochs[-len(values) :], values, marker=dots, color=shade, label=name)
    values = np.concatenate(list(layers.values()))
    positive = values[np.isfinite(values) & (values > 0)]
    if len(positive) == len(values) and positive.max() > 50 * positive.min():
        axes.set_yscale("log")
        axes.set_ylabel("log scale")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    shown, labels = axes.get_legend_handles_labels()
    step = -(-len(shown) // 12)  # of a deep network every second or third name
    axes.legend(shown[::step], labels[::step], frameon=False, fontsize=8,
                loc="upper left", bbox_to_anchor=(1.0, 1.0))  # fmt: skip
