"""`staghorn run script.py`: a script written for keras or tf.keras, run on Staghorn."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path


def run_script(script: Path, arguments: Sequence[str] = ()) -> int:
    """Run a Python script as `python script.py arguments` would, with Staghorn in place of Keras.

    Args:
        script: the file.
        arguments: what it finds in `sys.argv[1:]`. Default: ().

    Returns:
        The exit status: the script's own, or 1 after an exception, whose traceback begins in
        the script.

    Raises:
        FileNotFoundError: with the files of that folder that come close.

    Notes: processes that a script starts by itself import the installed keras.
    """
    from staghorn.compat.install import install

    if not script.is_file():
        raise FileNotFoundError(_no_such_file(script))
    install()
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as leaving:
        if leaving.code is None or isinstance(leaving.code, int):
            return leaving.code or 0
        print(leaving.code, file=sys.stderr)
        return 1
    except Exception as error:
        _print_from_script(error, script)
        return 1
    return 0


def _print_from_script(error: Exception, script: Path) -> None:
    """Print the traceback without the frames of this file and of runpy."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != str(script):
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace or error.__traceback__)


def _no_such_file(script: Path) -> str:
    from staghorn.engine.registry import suggestion

    near = script.parent.glob("*.py") if script.parent.is_dir() else ()
    return f"there is no file {script}.{suggestion(script.name, [path.name for path in near])}"
