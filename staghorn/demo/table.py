"""The regression of the power-plant tutorials on a user's own table: one branch per output."""

import difflib
import re
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import staghorn
from staghorn.demo.digits import progress_bar
from staghorn.demo.errors import DemoError, output_folder, require
from staghorn.visualization.curves import plot_actual_vs_predicted, r2_score

EPOCHS = 300
SEED = 7
FEWEST_ROWS = 20
READERS = {".csv": "read_csv", ".xlsx": "read_excel", ".parquet": "read_parquet"}
ENGINES = {".xlsx": "openpyxl", ".parquet": "pyarrow"}


class Split(NamedTuple):
    """(rows, inputs) and (rows, outputs), as the table has them: four fifths to learn from."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def read_table(path: Path) -> Any:
    """Return a .csv, .xlsx (first sheet) or .parquet file as a pandas frame.

    Raises:
        DemoError: the file is absent, damaged or of another kind, or a reader is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> from staghorn.demo.table import read_table
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "plant.csv"
        >>> _ = path.write_text("AT;PE\\n14.9;463\\n25.1;444\\n")
        >>> list(read_table(path).columns)
        ['AT', 'PE']
    """
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise DemoError(
            f"Cannot read {path}: expected a name ending in {', '.join(READERS)},"
            f" got {path.suffix or 'no ending'}."
        )
    if not path.is_file():
        raise DemoError(f"No such file: {path}. Check the path given to --data.")
    pandas = require("pandas", "pandas", f"Reading {path.name}")
    if suffix in ENGINES:
        require(ENGINES[suffix], ENGINES[suffix], f"Reading {path.name}")
    try:
        options = {"sep": _separator(path)} if suffix == ".csv" else {}
        return getattr(pandas, READERS[suffix])(path, **options)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise DemoError(f"Cannot read {path}: {error}") from error


def _separator(path: Path) -> str:
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline()
    return max(",;\t", key=header.count)


def check_columns(names: Sequence[str], option: str, known: Sequence[str]) -> None:
    """Refuse an empty list of columns, a repeated column, and columns the table does not have.

    Raises:
        DemoError: naming each unknown column, the nearest known one, and all known ones.

    Example:
        >>> from staghorn.demo import table
        >>> table.check_columns(["AT", "Pe"], "--inputs", ["AT", "PE"])
        Traceback (most recent call last):
        ...
        staghorn.demo.errors.DemoError: --inputs: no column 'Pe'. Did you mean 'PE'?
        The table's columns: AT, PE
    """
    listing = f"\nThe table's columns: {', '.join(known)}"
    if not names:
        raise DemoError(f"{option} is missing: name at least one column.{listing}")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DemoError(f"{option}: {', '.join(map(repr, repeated))} is named twice.")
    by_lower = {name.lower(): name for name in known}
    problems = []
    for name in names:
        if name in known:
            continue
        near = difflib.get_close_matches(name.lower(), by_lower, n=1)
        hint = f" Did you mean {by_lower[near[0]]!r}?" if near else ""
        problems.append(f"no column {name!r}.{hint}")
    if problems:
        raise DemoError(f"{option}: {' '.join(problems)}{listing}")


def numbers(frame: Any, columns: Sequence[str]) -> np.ndarray:
    """Return the columns as (rows, columns) float32, every value present and finite.

    Raises:
        DemoError: values are missing or are no numbers; says in which columns and rows.

    Example:
        >>> import pandas
        >>> from staghorn.demo.table import numbers
        >>> numbers(pandas.DataFrame({"AT": [14, 25], "V": [41.5, 62.5]}), ["AT", "V"])
        array([[14. , 41.5],
               [25. , 62.5]], dtype=float32)
    """
    pandas = require("pandas", "pandas", "Reading a table")
    values, problems = [], []
    for name in columns:
        column = frame[name]
        parsed = pandas.to_numeric(column, errors="coerce").to_numpy("float64", na_value=np.nan)
        missing = column.isna().to_numpy(dtype=bool)
        strange = ~np.isfinite(parsed) & ~missing
        if missing.any():
            problems.append(f"column {name!r} has {_rows(missing)} without a value")
        if strange.any():
            example = column.iloc[int(strange.argmax())]
            problems.append(
                f"column {name!r} has {_rows(strange)} that hold no finite number,"
                f" such as {str(example)!r}"
            )
        values.append(parsed)
    if problems:
        raise DemoError(
            "This table needs cleaning first (the heading is row 1):\n  "
            + "\n  ".join(problems)
            + "\nFill those cells in, or delete those rows, and run the command again."
        )
    return np.stack(values, axis=1).astype("float32")


def _rows(wrong: np.ndarray) -> str:
    """`3 rows (2, 5, 9)`: numbered as a spreadsheet shows them, the heading being row 1."""
    where = np.flatnonzero(wrong) + 2
    shown = ", ".join(map(str, where[:8])) + (", ..." if len(where) > 8 else "")
    return f"{len(where)} row{'s' if len(where) > 1 else ''} ({shown})"


def split_rows(x: np.ndarray, y: np.ndarray) -> Split:
    """Shuffle the rows (the same way each time) and keep one fifth for testing.

    Example:
        >>> from staghorn.demo.table import split_rows
        >>> split_rows(np.zeros((10, 3)), np.zeros((10, 1))).x_test.shape
        (2, 3)
    """
    order = np.random.default_rng(SEED).permutation(len(x))
    train, test = np.split(order, [len(x) * 4 // 5])
    return Split(x[train], y[train], x[test], y[test])


def load(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Split:
    """Read a table, check everything that could spoil a training run, and split its rows.

    Raises:
        DemoError: something in the table or the options needs mending; says what.

    Example:
        >>> import pathlib, tempfile
        >>> from staghorn.demo.table import load
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "squares.csv"
        >>> _ = path.write_text("side,area\\n" + "".join(f"{i},{i * i}\\n" for i in range(30)))
        >>> load(path, ["side"], ["area"]).y_train.shape
        (24, 1)
    """
    frame = read_table(path)
    known = [str(name) for name in frame.columns]
    frame.columns = known
    check_columns(inputs, "--inputs", known)
    check_columns(outputs, "--outputs", known)
    both = sorted(set(inputs) & set(outputs))
    if both:
        raise DemoError(f"{', '.join(both)}: a column cannot be an input and an output at once.")
    if len(frame) < FEWEST_ROWS:
        raise DemoError(f"{path.name} has {len(frame)} rows; at least {FEWEST_ROWS} are needed.")
    values = numbers(frame, [*inputs, *outputs])
    rows = split_rows(values[:, : len(inputs)], values[:, len(inputs) :])
    for name, train, test in zip(outputs, rows.y_train.T, rows.y_test.T, strict=True):
        if np.ptp(train) == 0 or np.ptp(test) == 0:
            raise DemoError(f"Column {name!r} holds one value only: there is nothing to predict.")
    return rows


def branch_names(columns: Sequence[str]) -> list[str]:
    """Return a layer name for each output column, all different.

    Example:
        >>> from staghorn.demo.table import branch_names
        >>> branch_names(["PE", "V (cm Hg)", "V [cm Hg]"])
        ['PE', 'V_cm_Hg', 'V_cm_Hg_2']
    """
    names: list[str] = []
    for column in columns:
        stem = re.sub(r"\W+", "_", column).strip("_") or "output"
        name, count = stem, 1
        while name in names:
            count += 1
            name = f"{stem}_{count}"
        names.append(name)
    return names


def build(inputs: int, outputs: Sequence[str]) -> Any:
    """Return a model with a shared trunk and one branch, ending in one unit, per output.

    Example:
        >>> from staghorn.demo.table import build
        >>> build(3, ["PE", "V"]).output_names
        ['PE', 'V']
    """
    features = staghorn.Input((inputs,), name="features")
    trunk = staghorn.layers.Dense(64, activation="relu")(features)
    trunk = staghorn.layers.Dense(64, activation="relu")(trunk)
    heads = []
    for name in outputs:
        branch = staghorn.layers.Dense(32, activation="relu")(trunk)
        heads.append(staghorn.layers.Dense(1, name=name)(branch))
    return staghorn.Model(features, heads)


def fit_and_predict(rows: Split, names: Sequence[str], epochs: int, console: Console) -> np.ndarray:
    """Train on four fifths of the rows; return predictions (test rows, outputs), in their units."""
    low, high = rows.x_train.min(axis=0), rows.x_train.max(axis=0)
    span = np.where(high > low, high - low, 1)
    # The targets too: a branch that starts near 0 would spend its epochs reaching, say, 450.
    mean, deviation = rows.y_train.mean(axis=0), rows.y_train.std(axis=0)
    targets = ((rows.y_train - mean) / deviation).astype("float32")
    staghorn.utils.set_random_seed(SEED)
    model = build(rows.x_train.shape[1], names)
    model.compile("adam", loss="mse")
    with progress_bar(console) as progress:
        task = progress.add_task("Training", total=epochs, loss=float("nan"))
        bar = staghorn.callbacks.LambdaCallback(
            on_epoch_end=lambda _, logs: progress.update(task, advance=1, loss=logs["loss"])
        )
        model.fit(
            ((rows.x_train - low) / span).astype("float32"),
            tuple(targets.T),
            batch_size=min(128, max(8, len(targets) // 60)),
            epochs=epochs,
            callbacks=[bar],
            verbose=0,
        )
    predicted = model.predict(((rows.x_test - low) / span).astype("float32"), verbose=0)
    columns = predicted if isinstance(predicted, list) else [predicted]
    return np.concatenate(columns, axis=1) * deviation + mean  # (test rows, outputs)


def run(
    data: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    epochs: int = EPOCHS,
    out: Path = Path("demo-output"),
) -> None:
    """Predict the output columns of a table from its input columns and show how well it went.

    Args:
        data: a .csv, .xlsx or .parquet file with a heading row.
        inputs: names of the columns to predict from.
        outputs: names of the columns to predict.
        epochs: passes over the rows. Default 300.
        out: the folder for the picture. Default `demo-output`.

    Raises:
        DemoError: something in the table or the options needs mending; says what.

    Example:
        >>> import pathlib, tempfile
        >>> from staghorn.demo import table
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> rows = "".join(f"{i},{i * i}\\n" for i in range(30))
        >>> _ = (folder / "squares.csv").write_text("side,area\\n" + rows)
        >>> table.run(folder / "squares.csv", ["side"], ["area"], epochs=1, out=folder)
        <BLANKLINE>
        ...
        >>> [path.name for path in folder.glob("*.png")]
        ['actual_vs_predicted.png']
    """
    rows = load(data, inputs, outputs)
    console = Console(highlight=False)
    folder = output_folder(out)
    console.print(
        f"\n[bold]{escape(', '.join(outputs))} from {escape(', '.join(inputs))}[/]"
        f" ({len(rows.x_train):,} rows to learn from, {len(rows.x_test):,} to test)",
        soft_wrap=True,
    )
    start = time.perf_counter()
    predicted = fit_and_predict(rows, branch_names(outputs), epochs, console)
    report(outputs, rows.y_test, predicted, console)
    picture = folder / "actual_vs_predicted.png"
    plot_actual_vs_predicted(rows.y_test, predicted, names=list(outputs), to_file=picture)
    console.print(f"  picture: {picture}", soft_wrap=True)
    console.print(f"\nDone in {time.perf_counter() - start:.1f} seconds.")


def report(
    outputs: Sequence[str], actual: np.ndarray, predicted: np.ndarray, console: Console
) -> None:
    """Print R2 and the mean absolute error of each output on the test rows."""
    table = Table("output", title="On rows the model never saw", title_justify="left")
    table.add_column("R2", justify="right")
    table.add_column("mean absolute error", justify="right")
    for name, truth, guess in zip(outputs, actual.T, predicted.T, strict=True):
        table.add_row(
            escape(name), f"{r2_score(truth, guess):.3f}", f"{np.abs(truth - guess).mean():.3g}"
        )
    console.print(table)
