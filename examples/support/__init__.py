"""What the examples share: their one option, and where the real data lies."""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ABSENT = 3  # exit status: nothing failed, the data is not on this machine


def epochs(description: str | None, default: int) -> int:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--epochs", type=int, default=default, help="default: %(default)s")
    return parser.parse_args().epochs


def data_file(name: str) -> Path:
    folder = Path(os.environ.get("STAGHORN_DATA", ROOT.parent / "shared" / "data"))
    path = folder / name
    if not path.is_file():
        print(f"{name} is not in {folder}; set STAGHORN_DATA to the folder that holds it.")
        sys.exit(ABSENT)
    return path


def output_file(name: str) -> Path:
    folder = ROOT / "examples-output"
    folder.mkdir(exist_ok=True)
    return folder / name
