"""CSVLogger: one row of a table per epoch."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

from staghorn.callbacks.callback import Callback, Logs
from staghorn.engine.arguments import Is, check_values


def csv_value(value: Any) -> Any:
    """A log value as it is written: a list as one quoted cell.

    Example:
        >>> from staghorn.callbacks.csv_logger import csv_value
        >>> csv_value([1, 2]), csv_value(0.5)
        ('"[1, 2]"', 0.5)
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    if getattr(value, "shape", None) == ():
        return value
    return f'"[{", ".join(map(str, value))}]"'


class CSVLogger(Callback):
    """Write the logs of every epoch as a row of a CSV file.

    The columns are `epoch` and the sorted names of the first epoch; when no validation ran in it, a
    `val_` column for each of them too. A missing value is `NA`.

    Args:
        filename: file to write.
        separator: character between the cells; default ",".
        append: continue an existing file instead of replacing it; default False.

    Raises:
        ValueError: `append=True` and none of the new names is a column of the file.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "log.csv"
        >>> logger = staghorn.callbacks.CSVLogger(path)
        >>> logger.on_train_begin()
        >>> logger.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.75})
        >>> path.read_text().split()
        ['epoch,loss,val_loss', '0,0.5,0.75']

    Notes:
        The file is opened, written and closed once per epoch, so nothing is lost when the process
        is killed and no handle stays open after an error. Appending uses the columns of the file,
        and a last row that was cut off by a crash is removed.
    """

    kept = ("keys", "size")

    def __init__(
        self, filename: str | PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        check_values("CSVLogger", {"filename": Is(str, PathLike)}, {"filename": filename})
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.keys: list[str] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self.keys = None
        path = Path(self.filename)
        if self.append and path.exists() and path.stat().st_size:
            self.keys = self._continue(path)
        else:
            path.open("a").close()  # an error of the path shows before training, not after an epoch

    @property
    def size(self) -> int:
        """Bytes written so far; a training that goes on cuts off what an interrupted one added."""
        return Path(self.filename).stat().st_size

    @size.setter
    def size(self, size: int) -> None:
        path = Path(self.filename)
        if path.stat().st_size > size:
            os.truncate(path, size)

    def _continue(self, path: Path) -> list[str]:
        """Columns of the file; its last row is completed with a newline, or removed if cut."""
        with path.open(newline="") as file:
            text = file.read()
        columns = next(csv.reader([text.splitlines()[0]], delimiter=self.sep))
        if not text.endswith("\n"):
            last = text.rpartition("\n")[2]
            whole = len(next(csv.reader([last], delimiter=self.sep))) == len(columns)
            if whole:
                with path.open("a", newline="") as file:
                    file.write("\r\n")
            else:
                os.truncate(path, path.stat().st_size - len(last.encode(file.encoding)))
        return columns[1:]

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logs = logs or {}
        rows: list[list[Any]] = []
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]  # validation_freq above 1
            rows.append(["epoch", *self.keys])
            Path(self.filename).write_text("")
        elif logs and self.keys and not set(self.keys).intersection(logs):
            raise ValueError(
                f"CSVLogger: {self.filename!r} has the columns {', '.join(self.keys)}, the logs "
                f"have {', '.join(sorted(logs))}. Choose another file, or append=False."
            )
        rows.append([epoch, *(csv_value(logs.get(key, "NA")) for key in self.keys)])
        with open(self.filename, "a", newline="") as file:
            csv.writer(file, delimiter=self.sep).writerows(rows)
