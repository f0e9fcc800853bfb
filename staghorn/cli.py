"""The `staghorn` command. Only argparse loads with this file, so that `--help` answers at once."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DESCRIPTION = "Staghorn: Keras 3's three ways to build a model, on one fast engine."

DEMO = """\
Without --data: handwritten digits. Builds one classifier three times (Sequential, Functional,
subclassed), trains each, then a model with two outputs; saves it to one file, rebuilds it from
that file, and draws the learning curves. Nothing is downloaded.

With --data: predicts the --outputs columns of your own table from its --inputs columns:
  staghorn demo --data plant.xlsx --inputs AT,AP,RH --outputs PE,V
"""

RUN = """\
Runs a script with Staghorn in place of keras, tf.keras and tf_keras; old spellings of arguments
and old module paths are understood, and each is said once as it is written today:
  staghorn run train.py --epochs 5

In a notebook, begin with `import staghorn; staghorn.install()`.
"""

INSPECT = """\
Prints what is in a file without building the model: its layers, how it was compiled, its arrays,
whether it is whole. Understands .keras files and folders, .weights.h5, .weights.json, .h5 of any
Keras, and backups of a training. Exit status 1: loading would refuse the file.
"""

CONVERT = """\
Writes the model in a file in another format, the one that NEW ends in (.keras, .h5), and says what
was kept and what was dropped:
  staghorn convert old.h5 new.keras

Classes and functions of your own are named with the file that defines them, which is run:
  staghorn convert old.h5 new.keras --custom my_layers.py:MyLayer
"""


class _Version(argparse.Action):
    """Print the version: read only when asked for, since the look-up is not free."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, nargs=0, help=kwargs.get("help"))

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import staghorn

        print(f"staghorn {staghorn.__version__}")
        parser.exit()


def _columns(text: str) -> list[str]:
    """Split `A,B,C` into names; spaces around a comma do not count."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, got {text!r}")
    return number


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's grammar.

    Example:
        >>> import staghorn.cli
        >>> staghorn.cli.build_parser().parse_args(["demo", "--epochs", "3"]).epochs
        3
    """
    parser = argparse.ArgumentParser(prog="staghorn", description=DESCRIPTION)
    parser.add_argument("--version", action=_Version, help="print the version and leave")
    commands = parser.add_subparsers(dest="command", metavar="command")
    demo = commands.add_parser(
        "demo",
        help="train real models in under a minute, on digits or on your own table",
        description=DEMO,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument("--data", type=Path, metavar="FILE", help="a .csv, .xlsx or .parquet table")
    demo.add_argument("--inputs", type=_columns, metavar="A,B", help="columns to predict from")
    demo.add_argument("--outputs", type=_columns, metavar="C,D", help="columns to predict")
    demo.add_argument("--epochs", type=_positive, metavar="N", help="passes over the data")
    demo.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=Path("demo-output"),
        help="where files are written (default: %(default)s)",
    )
    demo.set_defaults(run=_demo)
    run = commands.add_parser(
        "run",
        help="run a script written for keras or tf.keras, as it is",
        description=RUN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("script", type=Path, metavar="script.py", help="the script")
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="its arguments")
    run.set_defaults(run=_run)
    inspect = commands.add_parser(
        "inspect",
        help="say what is in a model's file, without building it",
        description=INSPECT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inspect.add_argument("file", type=Path, metavar="FILE", help="the file or folder")
    inspect.add_argument("--weights", action="store_true", help="list all arrays, not the first 20")
    inspect.add_argument("--json", action="store_true", help="print everything as JSON")
    inspect.set_defaults(run=_inspect)
    convert = commands.add_parser(
        "convert",
        help="write a model's file in another format",
        description=CONVERT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    convert.add_argument("old", type=Path, metavar="OLD", help="the file of a model")
    convert.add_argument("new", type=Path, metavar="NEW", help="a name ending in .keras or .h5")
    convert.add_argument("--force", action="store_true", help="replace NEW if it is there")
    convert.add_argument(
        "--custom",
        action="append",
        default=[],
        metavar="FILE.py:NAME",
        help="a class or function of your own that OLD names; may be given again",
    )
    convert.set_defaults(run=_convert)
    return parser


def _inspect(arguments: argparse.Namespace) -> int:
    from staghorn.saving import inspect
    from staghorn.visualization.file_contents import print_contents

    try:
        contents = inspect(arguments.file)
    except (OSError, ValueError) as error:
        return _mistake(error)
    if arguments.json:
        import json

        print(json.dumps(contents.as_dict(), indent=2, default=str))
    else:
        print_contents(contents, every_array=arguments.weights)
    return 1 if contents.refused else 0


def _convert(arguments: argparse.Namespace) -> int:
    from staghorn.saving.conversion import convert

    try:
        custom = _custom(arguments.custom)
        kept, dropped = convert(arguments.old, arguments.new, custom, overwrite=arguments.force)
    except FileExistsError:
        return _mistake(f"{str(arguments.new)!r} exists. Add --force to replace it.")
    except (OSError, TypeError, ValueError) as error:
        hint = "\nHere:         --custom FILE.py:NAME" if "custom_objects=" in str(error) else ""
        return _mistake(f"{error}{hint}")
    print(f"{arguments.old} -> {arguments.new}")
    for label, parts in (("kept", kept), ("dropped", dropped or ["nothing"])):
        for part in parts:
            print(f"  {label:8} {part}")
    return 0


def _custom(given: Sequence[str]) -> dict[str, Any]:
    """Return the things that `FILE.py:NAME` names, by name, running each file once."""
    import runpy

    found, files = {}, {}
    for text in given:
        file, colon, name = text.rpartition(":")
        if not colon or not file.endswith(".py"):
            raise ValueError(f"--custom: expected FILE.py:NAME, got {text!r}.")
        if file not in files:
            files[file] = runpy.run_path(file)
        if name not in files[file]:
            raise ValueError(f"--custom: {file} defines no {name!r}.")
        found[name] = files[file][name]
    return found


def _mistake(message: object) -> int:
    print(f"staghorn: {message}", file=sys.stderr)
    return 2


def _run(arguments: argparse.Namespace) -> int:
    from staghorn.compat.run import run_script

    try:
        return run_script(arguments.script, arguments.arguments)
    except FileNotFoundError as error:  # the script itself: what it raises is its own
        return _mistake(error)


def _demo(arguments: argparse.Namespace) -> int:
    from staghorn.demo.errors import DemoError

    if arguments.data is not None:
        from staghorn.demo import table

        table.run(
            arguments.data,
            arguments.inputs or [],
            arguments.outputs or [],
            epochs=arguments.epochs or table.EPOCHS,
            out=arguments.out,
        )
        return 0
    if arguments.inputs or arguments.outputs:
        raise DemoError(
            "--inputs and --outputs name columns of a table: add --data FILE, for example\n"
            "  staghorn demo --data plant.csv --inputs AT,AP,RH --outputs PE,V"
        )
    from staghorn.demo import digits

    digits.run(epochs=arguments.epochs or digits.EPOCHS, out=arguments.out)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for a user's mistake, 130 for Ctrl-C.

    `run script.py` returns the script's own status; the word `run` may be left out.

    Example:
        >>> import staghorn.cli
        >>> staghorn.cli.main(["demo", "--inputs", "a"])
        2
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and argv[0].endswith(".py"):  # python -m staghorn script.py
        argv.insert(0, "run")
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    from staghorn.demo.errors import DemoError

    try:
        return arguments.run(arguments)
    except DemoError as error:
        return _mistake(error)
    except KeyboardInterrupt:
        print("staghorn: stopped.", file=sys.stderr)
        return 130
