"""History: the values of each epoch, and ways to look at them."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from staghorn.callbacks.callback import Callback, Logs
from staghorn.engine.registry import suggestion
from staghorn.engine.spellings import recorded_name

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


class Records(dict[str, Any]):
    """Values by name: "acc" finds "accuracy" and the other way round.

    A misspelt name is answered with the names there are.
    """

    def __missing__(self, name: str) -> Any:
        found = recorded_name(name, self)
        if found is not None:
            return self[found]
        hint = suggestion(name, self)
        raise KeyError(f"No {name!r} was recorded.{hint} Recorded: {', '.join(self) or 'nothing'}.")

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value by either of its names, or the default."""
        found = name if name in self else recorded_name(name, self)
        return default if found is None else self[found]

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        # Pickles as a plain dict: readable where this library is not installed.
        return dict, (dict(self),)


class History(Callback):
    """Record of the logs of every epoch; `fit` makes one and returns it.

    Attributes:
        history: dict of lists, one value per epoch in which the name was logged.
        epoch: list of the epoch numbers of the last `fit`, from 0.
        params: `{"verbose": ..., "epochs": ..., "steps": ...}`.

    Example:
        >>> history = staghorn.callbacks.History()
        >>> history.on_train_begin()
        >>> history.on_epoch_end(0, {"loss": 0.5})
        >>> history.on_epoch_end(1, {"loss": 0.25})
        >>> history.history, history.epoch
        ({'loss': [0.5, 0.25]}, [0, 1])

    Notes:
        Beyond Keras: `plot()` and `to_frame()`.
    """

    kept = ("history", "epoch", "_epochs", "_rows")

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = Records()
        self.epoch: list[int] = []
        self._epochs: list[int] = []  # of all fits; `epoch` starts again with each
        self._rows: dict[str, list[int]] = {}  # name -> positions in _epochs (validation_freq)

    def on_train_begin(self, logs: Logs = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        row = len(self._epochs)
        self.epoch.append(epoch)
        self._epochs.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self._rows.setdefault(name, []).append(row)

    def positions(self, name: str) -> list[int]:
        """Epochs, counted from 0, at which the values of `name` were recorded.

        Example:
            >>> history = staghorn.callbacks.History()
            >>> history.on_epoch_end(0, {"loss": 0.5})
            >>> history.on_epoch_end(1, {"loss": 0.4, "val_loss": 0.6})
            >>> history.positions("val_loss")
            [1]
        """
        rows = self._rows.get(name, [])
        if len(rows) != len(self.history[name]):  # edited by hand
            return list(range(len(self.history[name])))
        increasing = all(a < b for a, b in zip(self._epochs, self._epochs[1:], strict=False))
        return [self._epochs[row] for row in rows] if increasing else rows

    def to_frame(self) -> pandas.DataFrame:
        """The records as a pandas DataFrame: a row per epoch, a column per name.

        An epoch without a value (validation every second epoch) holds NaN.

        Raises:
            ImportError: pandas is not installed.

        Example:
            >>> history = staghorn.callbacks.History()
            >>> history.on_epoch_end(0, {"loss": 0.5})
            >>> history.to_frame()["loss"].tolist()          # doctest: +SKIP
            [0.5]
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "History.to_frame needs pandas, which is not installed. Install it with "
                "`pip install pandas`, or read the dict of lists: history.history."
            ) from error
        columns = {
            name: pandas.Series(values, index=self.positions(name))
            for name, values in self.history.items()
        }
        return pandas.DataFrame(columns).rename_axis("epoch")

    def plot(
        self,
        to_file: str | PathLike[str] | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Figure:
        """Draw loss and metrics, training against validation, with the best epoch marked.

        Args:
            to_file: a `.png`, `.svg` or `.pdf` file to write; default None, nothing is written.
            metrics: names to draw, such as `["loss", "accuracy"]`; default None, all.

        Example:
            >>> history = staghorn.callbacks.History()
            >>> history.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.6})
            >>> figure = history.plot()
            >>> [axes.get_title(loc="left") for axes in figure.axes]
            ['loss']
        """
        # Upward import on use: a picture is rarely asked for and matplotlib is heavy.
        from staghorn.visualization.curves import plot_history

        return plot_history(self, to_file=to_file, metrics=metrics)
