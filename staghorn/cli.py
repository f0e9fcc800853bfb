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
    return parser


def _demo(arguments: argparse.Namespace) -> None:
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
        return
    if arguments.inputs or arguments.outputs:
        raise DemoError(
            "--inputs and --outputs name columns of a table: add --data FILE, for example\n"
            "  staghorn demo --data plant.csv --inputs AT,AP,RH --outputs PE,V"
        )
    from staghorn.demo import digits

    digits.run(epochs=arguments.epochs or digits.EPOCHS, out=arguments.out)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for a user's mistake, 130 for Ctrl-C.

    Example:
        >>> import staghorn.cli
        >>> staghorn.cli.main(["demo", "--inputs", "a"])
        2
    """
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    from staghorn.demo.errors import DemoError

    try:
        arguments.run(arguments)
    except DemoError as error:
        print(f"staghorn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("staghorn: stopped.", file=sys.stderr)
        return 130
    return 0
