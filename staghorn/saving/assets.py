"""Files that layers keep beside their weights, such as vocabularies.

A layer with `save_assets(folder)` and `load_assets(folder)` is given a folder; nothing of an
archive is unpacked for anyone else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from staghorn.saving.walk import walk


def collect_assets(model: Any) -> dict[str, bytes]:
    """Return path → content of what the layers of a model save as files.

    Example:
        >>> from staghorn.saving.assets import collect_assets
        >>> collect_assets(staghorn.Sequential([staghorn.layers.Dense(2)]))
        {}
    """
    assets = {}
    for path, item in walk(model):
        if not hasattr(item, "save_assets"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            item.save_assets(folder)
            for file in sorted(Path(folder).rglob("*")):
                if file.is_file():
                    name = file.relative_to(folder).as_posix()
                    assets[f"{path}/{name}" if path else name] = file.read_bytes()
    return assets


def hand_out_assets(model: Any, assets: Mapping[str, bytes]) -> None:
    """Give every layer with `load_assets` a folder with its files."""
    if not assets:
        return
    for path, item in walk(model):
        if not hasattr(item, "load_assets"):
            continue
        start = f"{path}/" if path else ""
        mine = {name[len(start) :]: data for name, data in assets.items() if name.startswith(start)}
        with tempfile.TemporaryDirectory() as folder:
            for name, data in mine.items():
                target = Path(folder, name)  # the archive's names were checked when it was read
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            item.load_assets(folder)
