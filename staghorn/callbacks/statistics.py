"""Statistics: how gradients and activations of each layer look, epoch by epoch."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp

from staghorn.callbacks.callback import Callback, Logs
from staghorn.engine.arguments import Check, Is, Positive, check_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = ("mean", "std", "norm", "zeros", "nonfinite")


def of_arrays(arrays: Any) -> dict[str, jax.Array]:
    """Return statistics of all numbers in a nest of arrays, in float32.

    mean = Σx / n        std = √(Σ(x - mean)² / n)        norm = √Σx²
    zeros = share of x = 0        nonfinite = share of NaN and ±∞, which the first three leave out

    Args:
        arrays: nest of arrays; whole numbers are taken as floats.

    Example:
        >>> from staghorn.callbacks.statistics import of_arrays
        >>> found = of_arrays([np.array([3.0, 0.0]), np.array([[4.0], [np.nan]])])
        >>> float(found["norm"]), float(found["zeros"]), float(found["nonfinite"])
        (5.0, 0.25, 0.25)
    """
    parts = [jnp.ravel(jnp.asarray(a)).astype("float32") for a in jax.tree.leaves(arrays)]
    x = jnp.concatenate(parts)  # (n,)
    finite = jnp.isfinite(x)
    count = jnp.maximum(finite.sum(), 1).astype("float32")
    kept = jnp.where(finite, x, 0.0)
    mean = kept.sum() / count
    spread = jnp.where(finite, x - mean, 0.0)
    return {
        "mean": mean,
        "std": jnp.sqrt(jnp.sum(spread * spread) / count),
        "norm": jnp.sqrt(jnp.sum(kept * kept)),
        "zeros": jnp.mean((x == 0).astype("float32")),
        "nonfinite": jnp.mean((~finite).astype("float32")),
    }


class Statistics(Callback):
    """Record mean, spread, norm and dead or broken values of each layer, on one batch per epoch.

    history["gradients"]["encoder/dense"]["norm"] is a list with one value per recorded epoch;
    the names are mean, std, norm, zeros (share of exact zeros: dead units) and nonfinite.

    Args:
        gradients: bool, of the loss by each layer's weights. Default: True.
        activations: bool, each layer's outputs. Default: True.
        every: int, record at every so many epochs. Default: 1.
        data: (x, y) or (x, y, sample_weight), the rows to look at. Default: None, the first batch
            that `fit` was given.

    Raises:
        ValueError: if neither is wanted, or an argument is out of range.

    Example:
        >>> model = staghorn.Sequential([staghorn.layers.Dense(1, name="out")])
        >>> model.compile("sgd", "mse")
        >>> look = staghorn.callbacks.Statistics()
        >>> history = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[look])
        >>> len(look.history["gradients"]["out"]["norm"]), list(look.history["activations"])
        (1, ['out'])

    Notes:
        Beyond Keras. Costs one forward and backward pass per recorded epoch, in a program of its
        own; training steps are not touched. Layers run as in training, and their state (moving
        statistics, seeds) stays as it is. The loss is that of `compute_loss`. Of a layer that is
        called several times the last output counts; calls inside loops (cells of an RNN) are left
        out. A continued training (BackupAndRestore, resume=) goes on with the record.
    """

    kept = ("history", "epoch")
    arguments: ClassVar[dict[str, Check]] = {
        "gradients": Is(bool),
        "activations": Is(bool),
        "every": Positive(int),
    }

    def __init__(
        self,
        gradients: bool = True,
        activations: bool = True,
        every: int = 1,
        data: Any = None,
    ) -> None:
        super().__init__()
        given = {"gradients": gradients, "activations": activations, "every": every}
        check_values("Statistics", self.arguments, given)
        if not gradients and not activations:
            raise ValueError("Statistics: gradients=False and activations=False leave nothing.")
        self.gradients = gradients
        self.activations = activations
        self.every = every
        self.data = data
        self.history: dict[str, dict[str, dict[str, list[float]]]] = {}
        self.epoch: list[int] = []
        self._look: Any = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self._look = self.model._statistics(self.data, self.gradients, self.activations)

    def on_train_end(self, logs: Logs = None) -> None:
        self._look = None  # it holds the batch

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if (epoch + 1) % self.every:
            return
        self.epoch.append(epoch)
        for kind, layers in self._look().items():
            for path, values in layers.items():
                own = self.history.setdefault(kind, {}).setdefault(path, {})
                for name in NAMES:
                    own.setdefault(name, []).append(float(values[name]))

    def plot(self, to_file: str | PathLike[str] | None = None, statistic: str = "norm") -> Figure:
        """Draw one statistic of every layer over the epochs; gradients left, activations right.

        Args:
            to_file: a `.png`, `.svg` or `.pdf` file to write. Default: None.
            statistic: "mean", "std", "norm", "zeros" or "nonfinite". Default: "norm".

        Raises:
            ValueError: nothing was recorded, or an unknown statistic.
        """
        # Upward import on use, as `History.plot`.
        from staghorn.visualization.training_pictures import plot_statistics

        return plot_statistics(self, to_file, statistic)
