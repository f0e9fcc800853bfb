"""The main job: one classifier of handwritten digits, built and trained in three styles.

Each model is written as a user would write it, through the public API only.
"""

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import staghorn
from staghorn.demo.errors import output_folder, require
from staghorn.visualization.curves import plot_history

EPOCHS = 40
BATCH_SIZE = 32
SEED = 7


class Digits(NamedTuple):
    """Images in rows of 64 pixels between 0 and 1, and the digit each one shows."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def load_digits() -> Digits:
    """Return scikit-learn's 1,797 bundled images, four fifths for training.

    Raises:
        DemoError: scikit-learn is not installed.

    Example:
        >>> from staghorn.demo.digits import load_digits
        >>> load_digits().x_train.shape
        (1437, 64)
    """
    datasets = require("sklearn.datasets", "scikit-learn", "The digits demo")
    selection = require("sklearn.model_selection", "scikit-learn", "The digits demo")
    x, y = datasets.load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = selection.train_test_split(
        (x / 16).astype("float32"), y, test_size=0.2, random_state=SEED, stratify=y
    )
    return Digits(x_train, y_train, x_test, y_test)


def sequential() -> Any:
    """Return the classifier as a list of layers.

    Example:
        >>> from staghorn.demo.digits import sequential
        >>> sequential().count_params()
        50826
    """
    return staghorn.Sequential(
        [
            staghorn.Input((64,)),
            staghorn.layers.Dense(256, activation="relu"),
            staghorn.layers.Dropout(0.3),
            staghorn.layers.Dense(128, activation="relu"),
            staghorn.layers.Dense(10, activation="softmax"),
        ]
    )


def functional() -> Any:
    """Return the classifier as a graph of calls.

    Example:
        >>> from staghorn.demo.digits import functional
        >>> functional().output_shape
        (None, 10)
    """
    pixels = staghorn.Input((64,))
    x = staghorn.layers.Dense(256, activation="relu")(pixels)
    x = staghorn.layers.Dropout(0.3)(x)
    x = staghorn.layers.Dense(128, activation="relu")(x)
    return staghorn.Model(pixels, staghorn.layers.Dense(10, activation="softmax")(x))


def subclassed() -> Any:
    """Return the classifier as a class of its own.

    Example:
        >>> from staghorn.demo.digits import subclassed
        >>> subclassed()(np.ones((2, 64))).shape
        (2, 10)
    """

    class Classifier(staghorn.Model):
        def __init__(self) -> None:
            super().__init__()
            self.wide = staghorn.layers.Dense(256, activation="relu")
            self.dropout = staghorn.layers.Dropout(0.3)
            self.narrow = staghorn.layers.Dense(128, activation="relu")
            self.classify = staghorn.layers.Dense(10, activation="softmax")

        def call(self, inputs: Any) -> Any:
            return self.classify(self.narrow(self.dropout(self.wide(inputs))))

    return Classifier()


def two_outputs() -> Any:
    """Return a model with a shared trunk and two heads: the digit, and whether it is even.

    Example:
        >>> from staghorn.demo.digits import two_outputs
        >>> two_outputs().output_names
        ['digit', 'even']
    """
    pixels = staghorn.Input((64,), name="pixels")
    x = staghorn.layers.Dense(256, activation="relu")(pixels)
    x = staghorn.layers.Dropout(0.3)(x)
    digit = staghorn.layers.Dense(128, activation="relu")(x)
    digit = staghorn.layers.Dense(10, activation="softmax", name="digit")(digit)
    even = staghorn.layers.Dense(64, activation="relu")(x)
    even = staghorn.layers.Dense(1, activation="sigmoid", name="even")(even)
    return staghorn.Model(pixels, [digit, even])


def progress_bar(console: Console) -> Progress:
    """Return a bar with time left on a terminal, one finished line per model in a log.

    Example:
        >>> from rich.console import Console
        >>> from staghorn.demo.digits import progress_bar
        >>> progress_bar(Console()).finished
        True
    """
    return Progress(
        TextColumn("  {task.description:<12}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("epochs · loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
    )


def train(model: Any, name: str, progress: Progress, x: Any, y: Any, epochs: int) -> Any:
    """Fit a compiled model, one bar in `progress`, and return its history."""
    task = progress.add_task(name, total=epochs, loss=float("nan"))
    bar = staghorn.callbacks.LambdaCallback(
        on_epoch_end=lambda _, logs: progress.update(task, advance=1, loss=logs["loss"])
    )
    return model.fit(
        x,
        y,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_split=0.1,
        callbacks=[bar],
        verbose=0,
    )


def train_three_styles(data: Digits, epochs: int, console: Console) -> None:
    """Build the same classifier three times, train each, and print them side by side."""
    rows = []
    with progress_bar(console) as progress:
        for style, build in (
            ("Sequential", sequential),
            ("Functional", functional),
            ("Subclassed", subclassed),
        ):
            staghorn.utils.set_random_seed(SEED)
            model = build()
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
            start = time.perf_counter()
            train(model, style, progress, data.x_train, data.y_train, epochs)
            seconds = time.perf_counter() - start
            _, accuracy = model.evaluate(data.x_test, data.y_test, verbose=0)
            rows.append((style, f"{model.count_params():,}", f"{seconds:.1f}", f"{accuracy:.3f}"))
    table = Table("style")
    for title in ("parameters", "seconds", "test accuracy"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def train_two_outputs(data: Digits, epochs: int, console: Console) -> tuple[Any, Any]:
    """Train the two-headed model, print both accuracies, and return (model, history)."""
    staghorn.utils.set_random_seed(SEED)
    model = two_outputs()
    model.compile(
        "adam",
        loss={"digit": "sparse_categorical_crossentropy", "even": "binary_crossentropy"},
        metrics={"digit": ["accuracy"], "even": ["accuracy"]},
    )
    y_train = {"digit": data.y_train, "even": (data.y_train % 2 == 0).astype("float32")}
    y_test = {"digit": data.y_test, "even": (data.y_test % 2 == 0).astype("float32")}
    with progress_bar(console) as progress:
        history = train(model, "Two outputs", progress, data.x_train, y_train, epochs)
    scores = model.evaluate(data.x_test, y_test, verbose=0, return_dict=True)
    console.print(
        f"  test accuracy: digit {scores['digit_accuracy']:.3f}, even {scores['even_accuracy']:.3f}"
    )
    return model, history


def save_and_rebuild(model: Any, data: Digits, path: Path, console: Console) -> None:
    """Write the model to one file, rebuild it from that file alone, and compare predictions."""
    model.save(path)
    rebuilt = staghorn.models.load_model(path)
    before = model.predict(data.x_test, verbose=0)
    after = rebuilt.predict(data.x_test, verbose=0)
    gap = max(float(np.abs(a - b).max()) for a, b in zip(before, after, strict=True))
    console.print(
        f"  wrote {path} ({path.stat().st_size / 1024:.0f} KiB), rebuilt it from the file alone:"
        f" largest difference over {len(data.x_test)} predictions {gap:.1e}",
        soft_wrap=True,
    )


def run(epochs: int = EPOCHS, out: Path = Path("demo-output")) -> None:
    """Run the whole demonstration and write its files to the folder `out`.

    Args:
        epochs: passes over the training images for each of the four models. Default 40.
        out: the folder for the saved model and the picture. Default `demo-output`.

    Raises:
        DemoError: scikit-learn is missing, or `out` cannot be written.

    Example:
        >>> import pathlib, tempfile
        >>> from staghorn.demo import digits
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> digits.run(epochs=1, out=folder)  # doctest: +ELLIPSIS
        <BLANKLINE>
        ...
        >>> sorted(path.name for path in folder.iterdir())
        ['digits.keras', 'learning_curves.png']
    """
    console = Console(highlight=False)
    data = load_digits()
    folder = output_folder(out)
    start = time.perf_counter()
    console.print(
        f"\n[bold]1. One classifier, three styles[/] ({len(data.x_train):,} images of handwritten"
        f" digits to learn from, {len(data.x_test)} to test)",
        soft_wrap=True,
    )
    train_three_styles(data, epochs, console)
    console.print("\n[bold]2. One model, two outputs[/]: which digit, and is it even?")
    model, history = train_two_outputs(data, epochs, console)
    console.print("\n[bold]3. Save to one file, rebuild from it[/]")
    save_and_rebuild(model, data, folder / "digits.keras", console)
    picture = folder / "learning_curves.png"
    plot_history(history, to_file=picture)
    console.print(f"  learning curves: {picture}", soft_wrap=True)
    console.print(f"\nDone in {time.perf_counter() - start:.1f} seconds.")
