"""Mistakes a user of the command line can mend: shown as one message, never as a traceback."""

import importlib
from pathlib import Path
from types import ModuleType


class DemoError(Exception):
    """Something the user can correct; the text says what and how.

    Example:
        >>> from staghorn.demo.errors import DemoError
        >>> print(DemoError("No such file: plant.csv"))
        No such file: plant.csv
    """


def require(module: str, package: str, purpose: str) -> ModuleType:
    """Import an optional dependency, or say exactly how to install it.

    Args:
        module: its import name, such as `"sklearn.datasets"`.
        package: the name `pip` knows it by.
        purpose: what it is needed for, the start of the message.

    Raises:
        DemoError: it is not installed.

    Example:
        >>> from staghorn.demo.errors import require
        >>> require("json", "json", "Reading settings").__name__
        'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise  # installed but broken: the real error says more than ours
        raise DemoError(
            f"{purpose} needs {package}, which is not installed. Install it with\n"
            "  pip install 'staghorn[demo]'"
        ) from error


def output_folder(path: Path) -> Path:
    """Make the folder results are written to and return it.

    Raises:
        DemoError: the path cannot be a folder.

    Example:
        >>> import tempfile, pathlib
        >>> from staghorn.demo.errors import output_folder
        >>> output_folder(pathlib.Path(tempfile.mkdtemp()) / "a" / "b").is_dir()
        True
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(f"Cannot write to {path}: {error.strerror}. Name another --out.") from error
    return path
